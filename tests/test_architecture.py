"""The rooms of the house: imports run downwards only, and each dependency has one place."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pepr_kg"

# Floors from the ground up; a module imports from lower floors, or from its own row where that is said.
FLOORS = [
    ["errors"],
    ["namespaces", "settings", "language"],
    ["resources", "rdf", "manifest", "confinement"],
    ["view"],
    ["store", "columns"],
    ["workers"],
    ["search", "questions", "checks", "reasoning", "twin"],
    ["vocabulary", "models"],
    ["validation"],
    ["runs", "cohorts"],
    ["fhir"],
    ["build"],
    ["cli", "web"],
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
# `cli serve` starts the server: the one way from one to the other, and only through this module.
ALLOWED = {("cli", "web.server")}
PLACES = {
    "pyoxigraph": {"rdf", "view", "store"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "jinja2": {"web"},
    "uvicorn": {"web"},
    "pyshacl": {"validation"},
    "rdflib": {"validation", "reasoning"},
    "click": {"cli"},
    "owlready2": {"reasoning"},
    "jpype": {"reasoning"},
    "numpy": {"twin", "columns", "models", "runs", "cohorts", "web"},
    "pyarrow": {"columns", "models", "runs", "cohorts", "web"},
    "dask": {"runs", "fhir"},
    "distributed": {"runs", "fhir"},
    "msgspec": {"fhir"},
    "numba": {"twin"},
}
# The numerical room knows NumPy, the errors and, to find the shipped models, the resources: nothing of the graph.
TWIN_KNOWS = {"pepr_kg.errors", "pepr_kg.resources", "pepr_kg.twin", "numpy", "numba"}
# What a model means is written in RDF: the one module that reads it knows terms and prefixes besides.
MEANING_KNOWS = TWIN_KNOWS | {"pepr_kg.rdf", "pepr_kg.namespaces"}


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in {"__init__.py", "__main__.py"}
    }


def imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(("name", "tree"), modules().items())
def test_imports_run_downwards(name: str, tree: ast.Module) -> None:
    room = name.partition(".")[0]
    for found in imports(tree):
        if not found.startswith("pepr_kg."):
            continue
        target = found.removeprefix("pepr_kg.")
        other = target.partition(".")[0]
        if other not in LEVEL or other == room or any(target.startswith(to) for _, to in ALLOWED if room == _):
            continue
        assert LEVEL[other] < LEVEL[room], f"{name} imports {found}: arrows go down only"


@pytest.mark.parametrize(("name", "tree"), modules().items())
def test_each_dependency_has_its_place(name: str, tree: ast.Module) -> None:
    room = name.partition(".")[0]
    for found in imports(tree):
        places = PLACES.get(found.partition(".")[0])
        assert places is None or room in places, f"{name} imports {found}, which belongs in {places}"


@pytest.mark.parametrize(("name", "tree"), [item for item in modules().items() if item[0].startswith("twin.")])
def test_the_evaluator_needs_numpy_and_the_standard_library_only(name: str, tree: ast.Module) -> None:
    allowed = MEANING_KNOWS if name == "twin.meaning" else TWIN_KNOWS
    for found in imports(tree):
        known = found.partition(".")[0] in sys.stdlib_module_names or any(
            found == item or found.startswith(f"{item}.") for item in allowed
        )
        assert known, f"{name} imports {found}"


# Inside the evaluator too: what stands on the left knows nothing of what stands on the right.
TWIN_FLOORS = {
    "sbml": {"compiler", "solvers", "estimation", "coupling", "evaluate", "cohort", "scenario", "result"},
    "compiler": {"estimation", "coupling", "evaluate", "cohort", "scenario", "result"},
    "solvers": {"estimation", "coupling", "evaluate", "cohort", "scenario", "result"},
    "estimation": {"coupling"},
}


@pytest.mark.parametrize(("name", "tree"), [item for item in modules().items() if item[0].startswith("twin.")])
def test_the_rooms_of_the_evaluator_look_one_way(name: str, tree: ast.Module) -> None:
    hidden = TWIN_FLOORS.get(name.split(".")[1], set())
    for found in imports(tree):
        room = found.removeprefix("pepr_kg.twin.").partition(".")[0] if found.startswith("pepr_kg.twin.") else ""
        assert room not in hidden, f"{name} imports {found}"


def test_every_module_has_a_floor() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(LEVEL)


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "common", "core", "services", "managers", "misc"])
def test_there_are_no_drawers(name: str) -> None:
    assert not list(PACKAGE.rglob(f"{name}*"))


def test_no_file_is_too_long_to_read() -> None:
    long = {path.name: count for path in PACKAGE.rglob("*.py")
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 520}  # fmt: skip
    assert not long
