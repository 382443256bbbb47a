"""What the intake refuses, in sentences, and that nothing is half loaded."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepr_kg.errors import PeprError
from pepr_kg.fhir.documents import Document, open_documents
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake import intake
from pepr_kg.store import Dataset
from tests.fhir.ground import (
    BASE,
    copied,
    ends,
    facts,
    observation,
    patient,
    take,
)

AS_OF = datetime(2026, 3, 15, tzinfo=UTC)


@pytest.fixture
def dataset(clinic_ground: Path, tmp_path: Path) -> Dataset:
    return copied(clinic_ground, tmp_path)


# ---- What is refused -------------------------------------------------------------------------------------------------

BAD = {
    "bad-date": observation("o2", "29463-7", 70, "kg", effectiveDateTime="2026-02-30"),
    "bad-json": '{"resourceType": "Observation", "id": "o2", "status": "final", "status": "amended"}',
    "unknown-type": {"resourceType": "Observationn", "id": "o2"},
    "code-unknown": observation("o2", "29463-7", 70, "kg", status="finished"),
    "wrong-kind": observation("o2", "29463-7", 70, "kg", component={}),
    "nul": observation("o2", "11111-1", valueString="a\0b"),
    "bad-id": observation("o_2", "29463-7", 70, "kg"),
    "bad-number": json.dumps(observation("o2", "29463-7", 70, "kg")).replace('"value": 70', '"value": 1e99999'),
    "fhir-document-broken": '{"resourceType": "Observation", "id": "o2"',
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_line_is_reported_with_its_number_and_the_others_are_loaded(dataset: Dataset, code: str) -> None:
    report = take(dataset, patient(), BAD[code], observation("o3", "29463-7", 70, "kg"))
    assert (report.refused, report.observations, report.committed) == (1, 1, True)
    [problem] = [item for item in report.problems if item.severity == "error"]
    assert problem.code == code
    assert "2" in problem.message("en")
    assert problem.message("fr") != problem.message("en")


def test_a_transaction_is_all_or_nothing(dataset: Dataset) -> None:
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": patient("1"), "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": observation("o1", "29463-7", 70, "kg", effectiveDateTime="soon"),
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    report = take(dataset, bundle)
    assert (report.refused, report.committed) == (1, False)
    assert "Nothing was changed" in report.to_text("en")
    assert report.problems[-1].code == "transaction"
    assert report.view is not None
    assert CLINIC_GRAPH not in [graph.value for graph in report.view.graphs]
    assert take(dataset, bundle | {"type": "batch"}).patients == 1


CLINIC_GRAPH = "https://w3id.org/pepr-santenum/graph/cohort/clinic"


def test_entries_may_refer_to_what_comes_later_in_the_bundle(dataset: Dataset) -> None:
    first = observation(
        "o1",
        "29463-7",
        70,
        "kg",
        subject={"reference": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"},
        meta={"versionId": "1"},
    )
    lost = observation(
        "o2", "29463-7", 70, "kg", subject={"reference": "urn:uuid:00000000-bfdc-4613-8bf2-c5e300945f0a"}
    )
    entries = [
        {"resource": first},
        {"resource": lost},
        {"fullUrl": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", "resource": patient("p7")},
    ]
    report = take(dataset, {"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert ends(facts(report.view, "clinic.o1_1")["hasFeatureOfInterest"]) == {"clinic.p7"}
    assert [item.outcome for item in report.resources] == ["created", "refused", "created"]
    assert report.problems[0].code == "lost-reference"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"cohort": "My clinic"}, "bad-cohort-name"),
        ({"keep": "all"}, "fhir-keep-unknown"),
        ({"base": "here"}, "fhir-base-missing"),
        ({"base": "http://hl7.org/fhir/"}, "fhir-base-reserved"),
    ],
)
def test_what_is_asked_wrongly_is_a_sentence(dataset: Dataset, options: dict[str, str], code: str) -> None:
    with pytest.raises(PeprError) as caught:
        take(dataset, patient(), **options)
    assert caught.value.code == code
    assert caught.value.message("fr")


def test_a_dataset_without_ontology_is_a_sentence(tmp_path: Path) -> None:
    empty = Dataset(tmp_path / "empty")
    with empty.change(who="test", source="test") as change:
        change.commit()
    with pytest.raises(PeprError) as caught:
        take(empty, patient())
    assert caught.value.code == "fhir-ontology-missing"


@pytest.mark.parametrize("folder", ["r4-official-pairs", "r5-official-json"])
def test_no_published_example_makes_a_traceback(dataset: Dataset, shared: Path, folder: str) -> None:
    release = "R5" if folder.startswith("r5") else "R4"
    faults: list[DocumentError] = []

    def documents() -> Iterator[Document]:
        for path in sorted((shared / "fhir" / folder).glob("*.json")):
            yield from open_documents(path, faults=faults.append)

    report = intake(dataset, documents(), cohort="clinic", base=BASE, release=release, faults=faults)
    assert report.received > 100
    # A deletion by a search, and resources that the specification names under its own base.
    told = {item.code for item in report.problems if item.severity == "error"}
    assert told <= {"conditional-delete", "fhir-base-reserved", "transaction", "fhir-document-broken"}
    assert report.to_text("fr")
    json.dumps(report.to_dict())
