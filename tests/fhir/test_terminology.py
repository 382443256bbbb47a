"""Codes of required bindings: what is allowed, what is not, and that no licensed code came in."""

import json
from pathlib import Path

import pytest

from pepr_kg.fhir import terminology
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.terminology import check_code, check_codes, check_concept, load_codes

RELEASES = ("R4", "R4B", "R5", "R6")
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("Patient.gender", "female"),
        ("Observation.status", "entered-in-error"),
        ("Quantity.comparator", "<="),
        ("Bundle.entry.request.method", "DELETE"),
        ("Narrative.status", "generated"),
    ],
)
def test_codes_of_the_specification_are_allowed(release: str, path: str, code: str) -> None:
    assert check_code(release, path, code) is None


def test_a_wrong_code_is_an_error_with_the_allowed_ones_in_both_languages() -> None:
    problem = check_code("R4", "Observation.status", "finished", "Bundle.entry[3].resource.status")
    assert problem is not None
    assert (problem.path, problem.severity, problem.code) == (
        "Bundle.entry[3].resource.status", "error", "code-unknown",
    )  # fmt: skip
    allowed = "registered, preliminary, final, amended, corrected, cancelled, entered-in-error, unknown."
    assert allowed in problem.en
    assert allowed in problem.fr
    assert "finished" in problem.fr
    assert "jeu de valeurs observation-status" in problem.fr


def test_of_a_long_list_the_nearest_codes_are_shown() -> None:
    problem = check_code("R4", "SearchParameter.base", "Observaton")
    assert problem is not None
    assert "the nearest: Observation" in problem.en
    assert len(problem.en) < 300


def test_releases_differ() -> None:
    assert check_code("R4", "Encounter.status", "arrived") is None
    assert check_code("R5", "Encounter.status", "arrived") is not None
    assert check_code("R5", "Quantity.comparator", "ad") is None
    assert check_code("R4", "Quantity.comparator", "ad") is not None


def test_a_path_without_a_required_binding_says_nothing() -> None:
    assert check_code("R4", "Observation.code", "8480-6") is None
    assert check_code("R4", "Attachment.contentType", "text/unheard-of") is None  # without end: not compiled
    assert check_code("R4", "Nothing.there", "x") is None


def test_one_coding_of_the_set_is_enough() -> None:
    path = "Condition.clinicalStatus"
    other = ("https://example.org/states", "running")
    assert check_concept("R4", path, [other, (CLINICAL, "active")]) is None
    problem = check_concept("R4", path, [other])
    assert problem is not None
    assert "https://example.org/states|running" in problem.en
    assert check_concept("R5", path, [(CLINICAL, "active")]) is None  # from HL7's terminology package


def test_the_right_code_of_the_wrong_system_is_wrong() -> None:
    assert check_concept("R4", "Condition.clinicalStatus", [("https://example.org/", "active")]) is not None
    assert check_concept("R4", "Condition.clinicalStatus", [("", "active")]) is not None


def test_a_text_alone_is_a_warning() -> None:
    problem = check_concept("R4", "Condition.clinicalStatus", [], text="aktiv")
    assert problem is not None
    assert (problem.severity, problem.code) == ("warning", "code-missing")


def test_a_resource_is_walked_with_all_that_is_in_it() -> None:
    resource = {
        "resourceType": "Bundle",
        "type": "colection",
        "entry": [
            {"resource": {"resourceType": "Patient", "gender": "female", "contact": [{"gender": "F"}]}},
            {
                "resource": {
                    "resourceType": "Condition",
                    "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "over"}]},
                    "contained": [{"resourceType": "Observation", "status": "done", "code": {"text": "x"}}],
                }
            },
        ],
    }
    assert [problem.path for problem in check_codes("R4", resource)] == [
        "Bundle.type",
        "Bundle.entry[0].resource.contact[0].gender",
        "Bundle.entry[1].resource.clinicalStatus",
        "Bundle.entry[1].resource.contained[0].status",
    ]


def test_types_that_inherit_an_element_are_bound_too() -> None:
    resource = {
        "resourceType": "Condition",
        "onsetAge": {"value": 3, "comparator": "=<"},
        "text": {"status": "none", "div": "<div/>"},
    }
    assert [problem.path for problem in check_codes("R4", resource)] == [
        "Condition.onsetAge.comparator",
        "Condition.text.status",
    ]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Nothing", "status": "x"},
        {"resourceType": "Patient", "gender": None, "_gender": {"extension": [{"url": "u", "valueString": "x"}]}},
        {"resourceType": "Patient", "gender": ["female"], "unheardOf": {"gender": "F"}},
        {"resourceType": "Condition", "clinicalStatus": {"extension": [{"url": "u", "valueCode": "x"}]}},
        {"resourceType": "Condition", "clinicalStatus": "active", "contained": [{"resourceType": 3}, 4, None]},
        {},
    ],
)
def test_what_is_absent_or_of_the_wrong_shape_is_not_a_wrong_code(resource: dict[str, object]) -> None:
    assert check_codes("R4", resource) == () or resource.get("clinicalStatus") == "active"


@pytest.mark.parametrize("release", RELEASES)
def test_every_path_is_an_element_of_the_table(release: str) -> None:
    table = load_table(release)
    bases = {
        element.base
        for kind in [*table.resources, *_types(release)]
        if kind in table
        for element in table.elements(kind).values()
    }
    missing = [path for path in load_codes(release) if path not in bases]
    assert missing == []


def _types(release: str) -> list[str]:
    folder = Path(terminology.__file__).parent / "tables"
    name = {"R6": "r5"}.get(release, release.lower())
    return list(json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["types"])


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_but_codes_of_hl7_is_kept(release: str) -> None:
    systems = {system for codes in load_codes(release).values() for system, _ in codes.pairs}
    assert systems
    assert all(
        system.startswith(("http://hl7.org/fhir/", "http://terminology.hl7.org/CodeSystem/")) for system in systems
    )


@pytest.mark.parametrize(
    ("release", "folder"), [("R4", "synthea-r4"), ("R4", "fr-r4-pairs-annuaire"), ("R5", "r5-pairs-2026")]
)
def test_real_files_have_no_wrong_code(shared: Path, release: str, folder: str) -> None:
    files = sorted((shared / "fhir" / folder).glob("*.json"))
    if not files:
        pytest.skip(f"{folder} is not there")
    for path in files:
        assert check_codes(release, json.loads(path.read_bytes())) == (), path.name
