"""The wheel carries the ontology, the shapes and the queries: installed alone, it builds and answers."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file_that_the_program_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = [path for folder in ("ontology", "shapes", "queries") for path in (ROOT / folder).rglob("*.*")]
    assert {f"pepr_kg/{path.relative_to(ROOT)}" for path in shipped} <= names
    assert {"pepr_kg/locales/fr.json", "pepr_kg/web/locales/fr.json"} <= names


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The pinned dependencies come first, by hash; then the wheel alone.
    subprocess.run([*install, "--require-hashes", "-r", str(ROOT / "requirements.txt")], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    command = environment / "bin" / "pepr-kg"
    subprocess.run([command, "check"], check=True, cwd=tmp_path, capture_output=True)
    subprocess.run([command, "build", "--data", tmp_path / "data"], check=True, cwd=tmp_path, capture_output=True)
    asked = subprocess.run(
        [command, "query", "projects-of-programme", "--data", tmp_path / "data", "--format", "csv"],
        check=True, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert len(asked.stdout.splitlines()) == 6
