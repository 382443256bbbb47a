"""Resources that come again, change, are withdrawn or deleted: versions of a cohort."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.runs.stale import stale_runs
from pepr_kg.store import Dataset
from tests.fhir.ground import (
    ask,
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


# ---- Versions --------------------------------------------------------------------------------------------------------


def test_what_is_sent_again_changes_nothing(dataset: Dataset) -> None:
    first = take(dataset, patient(), observation("o1", "29463-7", 70, "kg"))
    again = take(dataset, patient(), observation("o1", "29463-7", 70, "kg"))
    assert [item.outcome for item in first.resources] == ["created", "created"]
    assert [item.outcome for item in again.resources] == ["unchanged", "unchanged"]
    assert not again.committed
    assert again.view is not None
    assert first.view is not None
    assert again.view.version == first.view.version


def test_a_newer_version_supersedes_and_an_older_one_does_not(dataset: Dataset) -> None:
    take(dataset, patient(), observation("o1", "29463-7", 70, "kg", meta={"versionId": "9"}))
    view = take(dataset, observation("o1", "29463-7", 71, "kg", meta={"versionId": "10"})).view
    assert ends(facts(view, "clinic.o1_9")["hasResultStatus"]) == {"superseded"}
    assert ends(facts(view, "clinic.o1_10")["wasRevisionOf"]) == {"clinic.o1_9"}
    late = take(dataset, observation("o1", "29463-7", 69, "kg", meta={"versionId": "8"}))
    assert [item.outcome for item in late.resources] == ["unchanged"]
    assert late.problems[0].code == "older"
    assert not facts(dataset.view(), "clinic.o1_8")


def test_without_a_version_the_time_of_change_decides(dataset: Dataset) -> None:
    def weighed(value: int, when: str) -> dict[str, object]:
        return observation("o1", "29463-7", value, "kg", meta={"lastUpdated": when})

    take(dataset, patient(), weighed(70, "2026-01-05T10:00:00Z"))
    assert take(dataset, weighed(71, "2026-01-05T10:30:00+01:00")).resources[0].outcome == "unchanged"
    assert take(dataset, weighed(72, "2026-01-05T11:30:00+01:00")).resources[0].outcome == "updated"


def test_versions_of_one_file_in_either_order(dataset: Dataset) -> None:
    old, new = (
        observation("o1", "29463-7", value, "kg", meta={"versionId": version})
        for value, version in ((70, "1"), (71, "2"))
    )
    other, newer = (item | {"id": "o2"} for item in (old, new))
    view = take(dataset, patient(), old, new, newer, other).view
    rows = ask(
        view,
        """SELECT ?v WHERE { ?o a pepr:Observation ; pepr:numericValue ?v MINUS { ?o pepr:hasResultStatus ?s }
        }""",
    )
    assert rows == [("71",), ("71",)]


def test_a_patient_who_changes_keeps_the_name(dataset: Dataset) -> None:
    take(dataset, patient(meta={"versionId": "1"}))
    report = take(dataset, patient(meta={"versionId": "2"}, birthDate="1961-03"))
    said = facts(report.view, "patient/clinic.p1")
    assert (said["birthDate"], said["resourceVersion"]) == (["1961-03"], ["2"])
    assert ask(report.view, "SELECT ?n WHERE { dataset:clinic pepr:individualCount ?n }") == [("1",)]


def test_a_patient_whom_others_name_may_come_later(dataset: Dataset) -> None:
    before = take(dataset, observation("o1", "29463-7", 70, "kg"))
    assert before.stubs == 1
    after = take(dataset, patient())
    assert facts(after.view, "patient/clinic.p1")["birthDate"] == ["1960-03-15"]
    assert ask(after.view, "SELECT ?n WHERE { dataset:clinic pepr:individualCount ?n }") == [("1",)]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_what_was_entered_in_error_is_withdrawn_and_says_why(dataset: Dataset, status: str) -> None:
    take(dataset, patient(), observation("o1", "29463-7", 70, "kg", meta={"versionId": "1"}))
    report = take(dataset, observation("o1", "29463-7", 70, "kg", meta={"versionId": "2"}, status=status))
    said = facts(report.view, "clinic.o1_1")
    assert ends(said["hasResultStatus"]) == {"withdrawn"}
    assert len(said["withdrawalReason"]) == 2
    assert report.withdrawn == 1
    assert (
        take(dataset, observation("o1", "29463-7", 70, "kg", meta={"versionId": "1"})).resources[0].outcome
        == "unchanged"
    )


def test_a_deletion_withdraws_and_a_run_that_used_it_is_stale(dataset: Dataset) -> None:
    take(dataset, patient(), observation("o1", "2160-0", 70, "umol/L"))
    run = evaluate(dataset, Request("ckd-epi-2021", cohort="clinic", as_of=AS_OF))
    assert run.evaluated == 1
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Observation/o1"}}],
    }
    report = take(dataset, bundle)
    assert report.withdrawn == 1
    assert [item.run for item in stale_runs(dataset.view(), dataset.path)] == [run.id]
    assert take(dataset, bundle).withdrawn == 0


def test_a_deleted_patient_leaves_the_cohort(dataset: Dataset) -> None:
    take(dataset, patient(), patient("p2"), observation("o1", "2160-0", 70, "umol/L"))
    view = take(
        dataset,
        {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "DELETE", "url": "Patient/p1"}}]},
    ).view
    assert ask(view, "SELECT ?p WHERE { ?p pepr:memberOfCohort cohort:clinic }") == [
        ("https://w3id.org/pepr-santenum/id/patient/clinic.p2",)
    ]
    assert "birthDate" not in facts(view, "patient/clinic.p1")
    assert ask(view, "SELECT ?n WHERE { dataset:clinic pepr:individualCount ?n }") == [("1",)]
