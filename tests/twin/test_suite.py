"""The visible half of the SBML Test Suite, whole: nothing may come out wrong."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_EXCEPTION = ("A", "B", "C", "random")
MOSTLY = ("algebraic", "delay", "fast", "comp")


def script(name: str) -> ModuleType:
    """Return a file of `scripts/` as a module, under a name by which other processes find it."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outcomes(shared: Path) -> list[tuple[str, str, str, str]]:
    """Case, tier, result and reason of every case."""
    folder = shared / "sbml-test-suite"
    if not (folder / "index.csv").is_file():
        pytest.skip(f"the SBML Test Suite is not at {folder}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))  # the processes of the pool look there
        return [(item.case, item.tier, item.result, item.reason) for item in script("sbml_suite").run_suite(folder)]


def test_no_case_fails(outcomes: list[tuple[str, str, str, str]]) -> None:
    assert [item for item in outcomes if item[2] not in ("PASS", "REFUSED")] == []


@pytest.mark.parametrize("tier", WITHOUT_EXCEPTION)
def test_every_case_of_the_core_passes(outcomes: list[tuple[str, str, str, str]], tier: str) -> None:
    mine = [item for item in outcomes if item[1] == tier]
    assert mine
    assert [item for item in mine if item[2] != "PASS"] == []


@pytest.mark.parametrize("tier", MOSTLY)
def test_most_of_what_lies_beyond_the_core_passes(outcomes: list[tuple[str, str, str, str]], tier: str) -> None:
    results = Counter(item[2] for item in outcomes if item[1] == tier)
    assert results["PASS"] >= 0.6 * results.total() > 0


def test_what_is_refused_is_refused_by_its_name(outcomes: list[tuple[str, str, str, str]]) -> None:
    assert all(item[3] for item in outcomes if item[2] == "REFUSED")
    assert all(item[2] == "REFUSED" for item in outcomes if item[1] == "fbc")
