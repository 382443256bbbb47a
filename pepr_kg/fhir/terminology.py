"""Codes that FHIR binds to a value set without exception: whether a code is one of them.

The sets in `codes/` are made by `scripts/fhir_codes.py`: bindings of strength `required` with HL7's own codes, CC0.
SNOMED CT, LOINC, UCUM and other owners' codes are out of scope, and so are sets without end (languages, media types):
nothing is said of them. A path is where an element is defined, as `tables.Element.base` says it; R6 has no package yet,
R5's codes serve.

>>> check_code("R4", "Patient.gender", "female")
>>> print(check_code("R4", "Patient.gender", "woman", "Patient.gender").message("en"))
Patient.gender: "woman" is not a code of the value set administrative-gender, from which FHIR R4 requires one here. \
Allowed: male, female, other, unknown.
>>> [problem.path for problem in check_codes("R5", {"resourceType": "Patient", "contact": [{"gender": "w"}]})]
['Patient.contact[0].gender']
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.tables import Element, Table, load_table

_FOLDER = Path(__file__).resolve().parent / "codes"
_FILES = {"R4": "r4", "R4B": "r4b", "R5": "r5", "R6": "r5"}
_SHORT = 15  # a list of more codes is not read: the nearest ones are shown


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A value set: its name, its codes in the order of their definition, and the same as pairs of system and code."""

    name: str
    codes: tuple[str, ...]
    members: frozenset[str]
    pairs: frozenset[tuple[str, str]]


@cache
def load_codes(release: str) -> Mapping[str, CodeSet]:
    """Return the value set by path of "R4", "R4B", "R5" or "R6" (R5's codes). Raises `KeyError` for others."""
    source = json.loads((_FOLDER / f"{_FILES[release]}.json").read_text(encoding="utf-8"))
    sets = {}
    for name, systems in source["sets"].items():
        pairs = [(system, code) for system, codes in systems.items() for code in codes.split(" ")]
        codes = tuple(dict.fromkeys(code for _, code in pairs))
        sets[name] = CodeSet(name, codes, frozenset(codes), frozenset(pairs))
    return {path: sets[name] for path, name in source["paths"].items()}


def check_code(release: str, path: str, code: str, where: str = "") -> Problem | None:
    """Return what is wrong with a code at a path, or None; `where` is its place in the resource, else the path."""
    codes = load_codes(release).get(path)
    if codes is None or code in codes.members:
        return None
    return _unknown(codes, release, code, where or path)


def check_concept(
    release: str, path: str, codings: Iterable[tuple[str, str]], where: str = "", text: str = ""
) -> Problem | None:
    """Return what is wrong with the codings (system, code) of a concept, or None: one of them has to be of the set.

    A concept that only has a text is a warning, for nothing wrong was said.
    """
    codes = load_codes(release).get(path)
    given = tuple(codings)
    if codes is None or not codes.pairs.isdisjoint(given):
        return None
    if given:
        system, code = given[0]
        return _unknown(codes, release, f"{system}|{code}" if system else code, where or path)
    en, fr = _allowed(codes, text)
    return Problem(
        where or path,
        "warning",
        "code-missing",
        f'"{text}" stands without a code, and FHIR {release} requires one of the value set {codes.name} here. {en}',
        f"« {text} » n’a pas de code, et FHIR {release} en exige un du jeu de valeurs {codes.name} ici. {fr}",
    )


def check_codes(release: str, resource: Mapping[str, object]) -> tuple[Problem, ...]:
    """Return what is wrong with the codes of a resource and of those in it; unknown elements are passed over."""
    kind = resource.get("resourceType")
    table = load_table(release)
    if not isinstance(kind, str) or kind not in table.resources:
        return ()
    return tuple(_Walk(release, table, load_codes(release)).through(resource, kind, kind))


@dataclass(frozen=True, slots=True)
class _Walk:
    release: str
    table: Table
    bound: Mapping[str, CodeSet]

    def through(self, node: Mapping[str, object], path: str, where: str) -> Iterator[Problem]:
        elements = self.table.elements(path)
        for name, value in node.items():
            element = elements.get(name)
            if element is None:
                continue
            is_bound = element.base in self.bound
            if element.is_primitive and not is_bound:
                continue
            items = value if isinstance(value, list) else (value,)
            for number, item in enumerate(items):
                place = f"{where}.{name}[{number}]" if isinstance(value, list) else f"{where}.{name}"
                problem = self.check(element, item, place) if is_bound else None
                if problem is not None:
                    yield problem
                if isinstance(item, dict):
                    kind = item.get("resourceType") if element.is_resource else element.path
                    if isinstance(kind, str) and kind in self.table:
                        yield from self.through(item, kind, place)

    def check(self, element: Element, value: object, where: str) -> Problem | None:
        if isinstance(value, str):
            return check_code(self.release, element.base, value, where)
        if not isinstance(value, dict) or not ({"code", "coding", "text", "system"} & value.keys()):
            return None  # absent, a null beside an extension, or an extension alone, which says why there is no code
        codings = value.get("coding", []) if element.type == "CodeableConcept" else [value]
        pairs = [_pair(coding) for coding in codings if isinstance(coding, dict)] if isinstance(codings, list) else []
        return check_concept(self.release, element.base, pairs, where, str(value.get("text", "")))


def _pair(coding: Mapping[str, object]) -> tuple[str, str]:
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _unknown(codes: CodeSet, release: str, code: str, where: str) -> Problem:
    en, fr = _allowed(codes, code.rpartition("|")[2])
    return Problem(
        where,
        "error",
        "code-unknown",
        f'"{code}" is not a code of the value set {codes.name}, from which FHIR {release} requires one here. {en}',
        f"« {code} » n’est pas un code du jeu de valeurs {codes.name}, dont FHIR {release} en exige un ici. {fr}",
    )


def _allowed(codes: CodeSet, code: str) -> tuple[str, str]:
    if len(codes.codes) <= _SHORT:
        names = ", ".join(codes.codes)
        return f"Allowed: {names}.", f"Codes admis : {names}."
    near = ", ".join(get_close_matches(code, codes.codes, n=3))
    count = len(codes.codes)
    if near:
        return f"Of its {count} codes the nearest: {near}.", f"Les plus proches de ses {count} codes : {near}."
    return f"It has {count} codes.", f"Il compte {count} codes."
