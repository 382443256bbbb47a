"""What a reviewer tried: deletions in histories, versions that say less, graphs that are kept apart, what waits."""

import json
from pathlib import Path

import pytest

from pepr_kg.fhir import intake_spool
from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.intake import intake
from pepr_kg.fhir.intake_report import Report
from pepr_kg.namespaces import FHIR
from pepr_kg.store import Change, Dataset, NamedNode
from tests.fhir.ground import BASE, SNOMED, UCUM, ask, concept, copied, ends, facts, observation, patient, take

RESOURCES = NamedNode(f"{FHIR}clinic")
ELSEWHERE = "https://h.example.org/fhir/"


@pytest.fixture
def dataset(clinic_ground: Path, tmp_path: Path) -> Dataset:
    return copied(clinic_ground, tmp_path)


def bundle(dataset: Dataset, kind: str, *entries: dict[str, object], keep: str = "both") -> Report:
    data = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()
    return intake(dataset, open_documents([data]), cohort="clinic", base=BASE, keep=keep, listed=True)  # type: ignore[arg-type]


def weighed(value: float, version: str, **more: object) -> dict[str, object]:
    return observation("o1", "29463-7", value, "kg", meta={"versionId": version} | more)


def put(resource: dict[str, object], base: str = BASE) -> dict[str, object]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": base + url, "resource": resource, "request": {"method": "PUT", "url": url}}


def delete(url: str, base: str = BASE, **response: str) -> dict[str, object]:
    return {
        "fullUrl": base + url,
        "request": {"method": "DELETE", "url": url},
        "response": {"status": "204"} | response,
    }


def live(dataset: Dataset) -> list[tuple[str, ...]]:
    return ask(
        dataset.view(),
        "SELECT ?v WHERE { ?o a pepr:Observation ; pepr:numericValue ?v MINUS { ?o pepr:hasResultStatus ?s } }",
    )


def kept(dataset: Dataset, reference: str) -> list[tuple[str, ...]]:
    return ask(
        dataset.view(),
        f'SELECT ?v WHERE {{ ?s pepr:resourceReference "{reference}" ; pepr:resourceJson ?j ; '
        "pepr:resourceVersion ?v }",
    )


# ---- Deletions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [BASE, ELSEWHERE])
def test_a_history_says_the_newest_first_and_what_it_deletes_stays_deleted(dataset: Dataset, base: str) -> None:
    report = bundle(dataset, "history", delete("Observation/o1", base), put(weighed(70, "1"), base))
    assert [item.outcome for item in report.resources] == ["withdrawn", "unchanged"]
    assert live(dataset) == kept(dataset, "Observation/o1") == []


def test_a_history_of_something_that_was_deleted_and_made_again(dataset: Dataset) -> None:
    bundle(dataset, "history", put(weighed(72, "3")), delete("Observation/o1"), put(weighed(70, "1")))
    assert live(dataset) == [("72",)]


def test_a_deletion_names_the_resource_of_its_own_server(dataset: Dataset) -> None:
    bundle(dataset, "history", put(weighed(70, "1"), ELSEWHERE))
    assert live(dataset) == [("70",)]
    absolute: dict[str, object] = {"request": {"method": "DELETE", "url": f"{ELSEWHERE}Observation/o1"}}
    assert bundle(dataset, "batch", absolute).withdrawn == 1
    assert live(dataset) == kept(dataset, "Observation/o1") == []


def test_the_time_of_a_deletion_is_compared_with_that_of_a_version(dataset: Dataset) -> None:
    def of(day: str) -> dict[str, object]:
        return observation("o1", "29463-7", 70, "kg", meta={"lastUpdated": f"2026-01-{day}T00:00:00Z"})

    bundle(dataset, "history", delete("Observation/o1", lastModified="2026-01-05T00:00:00Z"))
    assert take(dataset, of("03")).resources[0].outcome == "unchanged"
    assert take(dataset, of("07")).resources[0].outcome == "created"
    late = bundle(dataset, "history", delete("Observation/o1", lastModified="2026-01-06T00:00:00Z"))
    assert late.resources[0].outcome == "unchanged"
    assert live(dataset) == [("70",)]


def test_a_deletion_by_a_search_is_refused(dataset: Dataset) -> None:
    report = take(dataset, {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "DELETE", "url": "Patient?identifier=1"}},
    ]})  # fmt: skip
    assert [item.code for item in report.problems] == ["conditional-delete"]


def test_who_is_deleted_and_comes_back_counts_once(dataset: Dataset) -> None:
    take(dataset, patient("p1", meta={"versionId": "1"}), patient("p2"))
    bundle(dataset, "batch", {"request": {"method": "DELETE", "url": "Patient/p1"}})
    take(dataset, patient("p1", meta={"versionId": "2"}))
    assert ask(dataset.view(), "SELECT ?n WHERE { dataset:clinic pepr:individualCount ?n }") == [("2",)]
    assert len(ask(dataset.view(), "SELECT ?p WHERE { ?p pepr:memberOfCohort cohort:clinic }")) == 2


# ---- Versions that say less ------------------------------------------------------------------------------------------


def test_a_version_without_a_value_takes_the_old_value_back(dataset: Dataset) -> None:
    take(dataset, patient(), weighed(70, "1"))
    absent = observation("o1", "29463-7", meta={"versionId": "2"}, dataAbsentReason={"text": "wrong patient"})
    report = take(dataset, absent)
    assert (report.committed, live(dataset)) == (True, [])
    assert ends(facts(report.view, "clinic.o1_1")["hasResultStatus"]) == {"withdrawn"}
    assert take(dataset, weighed(70, "1")).resources[0].outcome == "unchanged"
    take(dataset, weighed(71, "3"))
    assert live(dataset) == [("71",)]


def test_a_dose_that_was_not_given_after_all_is_taken_back(dataset: Dataset) -> None:
    given = {
        "resourceType": "MedicationAdministration", "id": "a1", "status": "completed", "meta": {"versionId": "1"},
        "medicationCodeableConcept": concept("http://www.whocc.no/atc", "B01AA03"),
        "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-01-03",
        "dosage": {"dose": {"value": 5, "system": UCUM, "code": "mg"}},
    }  # fmt: skip
    take(dataset, patient(), given)
    take(dataset, given | {"status": "not-done", "meta": {"versionId": "2"}})
    rows = ask(
        dataset.view(), "SELECT ?a WHERE { ?a a pepr:Administration MINUS { ?a pepr:hasResultStatus ?s } }"
    )  # fmt: skip
    assert rows == []


# ---- Two graphs, kept apart and yet agreed ---------------------------------------------------------------------------


def test_resources_first_and_terms_later(dataset: Dataset) -> None:
    take(dataset, patient(), weighed(70, "1"), keep="fhir")
    report = take(dataset, patient(), weighed(70, "1"), keep="terms")
    assert (report.committed, report.patients, report.observations) == (True, 1, 1)
    assert not take(dataset, patient(), weighed(70, "1"), keep="both").committed


def test_terms_first_and_resources_later(dataset: Dataset) -> None:
    take(dataset, patient(), weighed(70, "1"), keep="terms")
    report = take(dataset, patient(), weighed(70, "1"), keep="both")
    assert (report.committed, report.observations) == (True, 0)
    assert kept(dataset, "Observation/o1") == [("1",)]


def test_what_one_graph_has_is_kept_up_to_date_whatever_is_asked(dataset: Dataset) -> None:
    take(dataset, patient(), weighed(70, "1"), keep="both")
    take(dataset, weighed(71, "2"), keep="fhir")
    assert (live(dataset), kept(dataset, "Observation/o1")) == ([("71",)], [("2",)])
    take(dataset, weighed(72, "3"), keep="terms")
    assert (live(dataset), kept(dataset, "Observation/o1")) == ([("72",)], [("3",)])
    take(dataset, weighed(72, "4") | {"status": "entered-in-error"}, keep="terms")
    assert live(dataset) == kept(dataset, "Observation/o1") == []
    assert facts(dataset.view(), "Observation/o1", RESOURCES)["resourceGone"] == ["Observation/o1"]


# ---- Names, drugs, what waits ----------------------------------------------------------------------------------------


def test_a_resource_without_an_id_is_given_one_and_known_again(dataset: Dataset) -> None:
    basic = {"resourceType": "Basic", "code": {"text": "x"}}
    first, again = (take(dataset, basic, keep="both") for _ in range(2))
    assert (first.created, again.unchanged, again.committed) == (1, 1, False)
    name = first.resources[0].id
    assert kept(dataset, f"Basic/{name}") == [(first.resources[0].version,)]


def test_a_drug_that_was_sent_before_is_still_known(dataset: Dataset) -> None:
    drug = {"resourceType": "Medication", "id": "m1", "code": concept(SNOMED, "387207008")}

    def ordered(version: str, status: str) -> dict[str, object]:
        return {
            "resourceType": "MedicationRequest", "id": "r1", "status": status, "intent": "order",
            "meta": {"versionId": version}, "subject": {"reference": "Patient/p1"},
            "medicationReference": {"reference": "Medication/m1"},
        }  # fmt: skip

    take(dataset, patient(), drug, ordered("1", "active"))
    take(dataset, drug, ordered("2", "stopped"))
    take(dataset, ordered("3", "completed"))
    rows = ask(
        dataset.view(),
        "SELECT ?r WHERE { ?o a pepr:Prescription ; pepr:recordStatus ?r MINUS { ?o pepr:hasResultStatus ?s } }",
    )
    assert rows == [("completed",)]


def test_only_references_within_a_bundle_wait_and_nothing_overtakes_them(dataset: Dataset) -> None:
    person = patient(identifier=[{"system": "urn:oid:1.2.250.1.213.1.4.10", "value": "1"}], meta={"versionId": "1"})
    report = bundle(dataset, "batch", put(person), delete("Patient/p1"))
    assert [item.outcome for item in report.resources] == ["created", "withdrawn"]
    assert kept(dataset, "Patient/p1") == []
    late = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
    report = bundle(
        dataset, "batch",
        put(weighed(70, "1") | {"subject": {"reference": late}}), delete("Observation/o1"),
        {"fullUrl": late, "resource": patient("p9"), "request": {"method": "POST", "url": "Patient"}},
    )  # fmt: skip
    assert [item.outcome for item in report.resources] == ["created", "withdrawn", "created"]
    assert live(dataset) == []


def test_what_waits_is_counted_once(dataset: Dataset) -> None:
    late = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
    basic: dict[str, object] = {"resourceType": "Basic", "id": "b", "subject": {"reference": late}}
    report = bundle(dataset, "collection", put(basic), {"fullUrl": late, "resource": patient("p9")})
    assert report.unmapped == {"Basic": 1}
    assert report.received == 2


# ---- Loading ---------------------------------------------------------------------------------------------------------


def test_many_patients_who_change_are_loaded_in_pieces(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_spool, "_SEGMENT", 2_000)
    for version, born in (("1", "1960-03-15"), ("2", "1961-01-01")):
        people = [patient(f"p{n}", meta={"versionId": version}, birthDate=born) for n in range(20)]
        take(dataset, *people, *(observation(f"o{n}", "29463-7", 70 + n, "kg") for n in range(20)))
    assert ask(dataset.view(), "SELECT (COUNT(*) AS ?n) WHERE { ?p a pepr:Patient }") == [("20",)]
    assert ask(dataset.view(), "SELECT DISTINCT ?b WHERE { ?p pepr:birthDate ?b }") == [("1961-01-01",)]
    assert len(live(dataset)) == 20


def test_a_store_that_fails_while_it_loads_leaves_all_as_it_was(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def fail(*_: object) -> int:
        raise RuntimeError("block checksum mismatch")

    monkeypatch.setattr(intake_spool, "_SEGMENT", 500)
    monkeypatch.setattr(Change, "bulk", fail)
    before = dataset.view().version
    with pytest.raises(RuntimeError, match="checksum"):
        take(dataset, patient(), *(observation(f"o{n}", "29463-7", 70 + n, "kg") for n in range(10)))
    monkeypatch.undo()
    assert dataset.view().version == before
    assert take(dataset, patient()).committed


def test_what_a_killed_intake_left_is_cleaned_away(dataset: Dataset) -> None:
    (dataset.path / ".fhir-left").mkdir()
    take(dataset, patient())
    assert not list(dataset.path.glob(".fhir-*"))
