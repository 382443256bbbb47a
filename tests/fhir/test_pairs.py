"""`make fhir-pairs`: the pairs pass, a wrong pair is shown, what is missing is said."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "fhir_pairs.py"


def run(folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_the_pairs_of_others_have_our_graph(shared: Path) -> None:
    code, lines = run(shared / "fhir")
    assert code == 0
    shown = dict(line.rsplit(": ", 1) for line in lines if " of " in line and not line.startswith(("  ", "passed")))
    assert shown == {
        "fr-r4-data-in-r5-style-essais: read": "17 of 17",
        "r4-data-in-r5-style-2024: read": "7 of 7",
        "r5-pairs-2025: read": "4 of 4",
        "validator-turtle-cases: read": "6 of 6",
        "r4-official-pairs": "419 of 429 (416 as they stand, 3 without meta.lastUpdated)",
        "fr-r4-pairs-eprescription": "51 of 51",
        "fr-r4-pairs-annuaire": "12 of 12",
        "r5-pairs-2026": "11 of 11",
        "core-expected": "3 of 3",
    }
    assert sum("known defect" in line for line in lines) == 10
    assert lines[-1] == "passed 496 of 506"


def test_a_wrong_pair_is_shown_and_missing_folders_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "fr-r4-pairs-annuaire"
    folder.mkdir()
    (folder / "a.json").write_text('{"resourceType": "Basic", "id": "a", "language": "fr"}', encoding="utf-8")
    (folder / "a.ttl").write_text(
        "@prefix f: <http://hl7.org/fhir/> . <https://a.example/Basic/a> a f:Basic ; f:nodeRole f:treeRoot .",
        encoding="utf-8",
    )
    (folder / "b.json").write_text("{", encoding="utf-8")
    (folder / "b.ttl").write_text("not Turtle", encoding="utf-8")
    code, lines = run(tmp_path)
    assert code == 1
    assert "r4-official-pairs: not there, left out" in lines
    assert any(line.startswith("  a: 6 more, 0 fewer: ") for line in lines)
    assert any(line.startswith("  b: SyntaxError") for line in lines)
    assert lines[-1] == "passed 0 of 2"
