"""Resources that are kept as they came, beside what they became; and the Synthea persons, loaded and evaluated."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pepr_kg.errors import PeprError
from pepr_kg.fhir.documents import Document, open_documents
from pepr_kg.fhir.intake import intake
from pepr_kg.fhir.intake_report import Report
from pepr_kg.namespaces import FHIR
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.store import Dataset, NamedNode, View
from tests.fhir.ground import BASE, ask, condition, copied, facts, observation, patient, take

RESOURCES = NamedNode(f"{FHIR}clinic")


@pytest.fixture
def dataset(clinic_ground: Path, tmp_path: Path) -> Dataset:
    return copied(clinic_ground, tmp_path)


@pytest.fixture(scope="module")
def synthea(clinic_ground: Path, tmp_path_factory: pytest.TempPathFactory, shared: Path) -> tuple[Dataset, Report]:
    dataset = copied(clinic_ground, tmp_path_factory.mktemp("synthea"))

    def documents() -> Iterator[Document]:
        for path in sorted((shared / "fhir" / "synthea-r4").glob("*.json")):
            yield from open_documents(path)

    return dataset, intake(dataset, documents(), cohort="synthea", base=BASE, keep="both", identifiability="synthetic")


# ---- Kept as they came -----------------------------------------------------------------------------------------------


def test_a_resource_is_kept_byte_for_byte_with_its_reference_and_version(dataset: Dataset) -> None:
    start = '{"resourceType":"Observation","id":"o1","meta":{"versionId":"4"},"status":"final",'
    text = start + '"code":{"text":"poids «à jeun» \\\\"},"valueQuantity":{"value":70.500}}'
    view = take(dataset, text, keep="both").view
    said = facts(view, "Observation/o1", RESOURCES)
    assert said["resourceJson"] == [text]
    assert (said["resourceReference"], said["resourceVersion"]) == (["Observation/o1"], ["4"])
    assert ask(view, f"SELECT ?r WHERE {{ <{RESOURCES.value}> pepr:fhirRelease ?r }}") == [("R4",)]


def test_a_newer_version_takes_the_place_of_the_whole_old_one(dataset: Dataset) -> None:
    take(dataset, patient(), observation("o1", "29463-7", 70, "kg", meta={"versionId": "1"}), keep="both")
    once = sizes(dataset.view())
    view = take(dataset, observation("o1", "29463-7", 71, "kg", meta={"versionId": "2"}), keep="both").view
    assert sizes(view) == once
    assert facts(view, "Observation/o1", RESOURCES)["resourceVersion"] == ["2"]
    values = ask(view, "SELECT ?v WHERE { ?q fhir:Quantity.value/fhir:value ?v }")
    assert values == [("71",)]


def sizes(view: View | None) -> int:
    assert view is not None
    return view.manifest.graphs[RESOURCES.value]


def test_two_versions_in_one_file_leave_one(dataset: Dataset) -> None:
    view = take(
        dataset,
        patient(),
        observation("o1", "29463-7", 70, "kg", meta={"versionId": "1"}),
        observation("o1", "29463-7", 71, "kg", meta={"versionId": "2"}),
        keep="both",
    ).view
    assert ask(view, "SELECT ?v WHERE { ?q fhir:Quantity.value/fhir:value ?v }") == [("71",)]


def test_of_what_was_deleted_only_the_name_is_left(dataset: Dataset) -> None:
    take(dataset, patient(), observation("o1", "29463-7", 70, "kg", meta={"versionId": "1"}), keep="both")
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "DELETE", "url": "Observation/o1"}}],
    }
    view = take(dataset, bundle, keep="both").view
    assert facts(view, "Observation/o1", RESOURCES) == {"resourceGone": ["Observation/o1"], "resourceVersion": ["1"]}
    back = take(dataset, observation("o1", "29463-7", 70, "kg", meta={"versionId": "2"}), keep="both")
    assert [item.outcome for item in back.resources] == ["created"]
    assert "resourceGone" not in facts(back.view, "Observation/o1", RESOURCES)


def test_what_breaks_the_rules_of_fhir_is_refused_when_resources_are_kept(dataset: Dataset) -> None:
    report = take(
        dataset, patient(), patient("p2", maritalStatus="married"), patient("p3", birthDate="yesterday"), keep="fhir"
    )
    assert (report.refused, report.committed) == (2, True)
    assert ask(report.view, "SELECT ?r WHERE { ?s pepr:resourceReference ?r }") == [("Patient/p1",)]


def test_one_cohort_holds_one_release(dataset: Dataset) -> None:
    take(dataset, patient(), keep="both")
    with pytest.raises(PeprError) as caught:
        take(dataset, patient("p2"), keep="both", release="R5")
    assert caught.value.code == "fhir-release-mixed"


# ---- A flat view and the normative graph say the same ----------------------------------------------------------------

PATIENTS = "?s a fhir:Patient ; pepr:resourceReference ?reference ; fhir:Patient.gender/fhir:value ?sex"


def test_both_graphs_count_patients_by_sex_alike(synthea: tuple[Dataset, Report]) -> None:
    view = synthea[1].view
    flat = ask(
        view,
        """SELECT ?sex (COUNT(*) AS ?n) WHERE { ?p a pepr:Patient ; pepr:memberOfCohort cohort:synthea ;
        pepr:hasSex ?s BIND(REPLACE(STR(?s), '.*/', '') AS ?sex) } GROUP BY ?sex ORDER BY ?sex""",
    )
    normative = ask(view, f"SELECT ?sex (COUNT(*) AS ?n) WHERE {{ {PATIENTS} }} GROUP BY ?sex ORDER BY ?sex")
    assert flat == normative == [("female", "1"), ("male", "4")]


def test_both_graphs_give_the_same_pressures(synthea: tuple[Dataset, Report]) -> None:
    view = synthea[1].view
    flat = ask(
        view,
        """SELECT ?patient ?value ?unit ?time WHERE {
      ?o a pepr:Observation ; sosa:observedProperty quantity:systolic-blood-pressure ; pepr:numericValue
        ?value ; pepr:unitCode ?unit ;
        pepr:observedAt ?time ; sosa:hasFeatureOfInterest/prov:wasDerivedFrom ?patient }""",
    )
    normative = ask(
        view,
        """SELECT ?patient ?value ?unit ?time WHERE {
      ?o a fhir:Observation ; fhir:Observation.subject/fhir:link ?patient ;
        fhir:Observation.effectiveDateTime/fhir:value ?time ;
        fhir:Observation.component ?c .
      ?c <http://hl7.org/fhir/Observation.component.code>/fhir:CodeableConcept.coding ?coding .
      ?coding fhir:Coding.code/fhir:value "8480-6" . ?c
        <http://hl7.org/fhir/Observation.component.valueQuantity> ?q . ?q fhir:Quantity.value/fhir:value
        ?value ; fhir:Quantity.code/fhir:value ?unit }""",
    )
    assert len(flat) == 43
    assert sorted(flat) == sorted(normative)


def test_both_graphs_give_the_same_active_conditions(synthea: tuple[Dataset, Report]) -> None:
    view = synthea[1].view
    flat = ask(
        view,
        """SELECT ?patient ?code WHERE {
      ?c a pepr:Condition ; pepr:recordStatus "active" ; pepr:hasCode ?iri ;
        sosa:hasFeatureOfInterest/prov:wasDerivedFrom ?patient
      BIND(REPLACE(STR(?iri), ".*/", "") AS ?code) }""",
    )
    normative = ask(
        view,
        """SELECT ?patient ?code WHERE {
      ?c a fhir:Condition ;
        fhir:Condition.clinicalStatus/fhir:CodeableConcept.coding/fhir:Coding.code/fhir:value "active" ;
        fhir:Condition.code/fhir:CodeableConcept.coding/fhir:Coding.code/fhir:value ?code ;
        fhir:Condition.subject/fhir:link ?patient }""",
    )
    assert len(flat) > 20
    assert sorted(flat) == sorted(normative)


def test_every_number_of_an_observation_is_the_same_in_both_graphs(synthea: tuple[Dataset, Report]) -> None:
    view = synthea[1].view
    flat = ask(
        view,
        """SELECT ?s ?v WHERE { ?o a pepr:Observation ; pepr:hasCode ?c ; pepr:numericValue ?v ;
        prov:wasDerivedFrom ?s
      FILTER(CONTAINS(STR(?s), "/Observation/")) MINUS { ?o sosa:observedProperty quantity:smoker } }""",
    )
    normative = ask(
        view,
        """SELECT ?s ?v WHERE { ?s a fhir:Observation ;
        (fhir:Observation.component/<http://hl7.org/fhir/Observation.component.valueQuantity>
        |fhir:Observation.valueQuantity)/fhir:Quantity.value/fhir:value ?v }""",
    )
    assert {(s, Decimal(v)) for s, v in flat} <= {(s, Decimal(v)) for s, v in normative}
    assert len(flat) > 200


# ---- The Synthea persons ---------------------------------------------------------------------------------------------


def test_what_the_synthea_persons_become(synthea: tuple[Dataset, Report]) -> None:
    report = synthea[1]
    assert (report.received, report.refused, report.committed) == (1051, 0, True)
    assert report.counts == {
        "patient": 5,
        "observation": 566,
        "condition": 53,
        "prescription": 44,
        "encounter": 96,
        "procedure": 48,
    }
    assert report.unmapped["Claim"] == 140
    assert report.left_out == {}
    assert report.close == 4  # creatinine in blood
    assert "Observation.category" in report.elements


def test_names_and_numbers_stay_out_of_the_cohort(synthea: tuple[Dataset, Report], shared: Path) -> None:
    view = synthea[1].view
    assert view is not None
    flat = "\n".join(
        str(quad) for quad in view.quads(graph=NamedNode("https://w3id.org/pepr-santenum/graph/cohort/synthea"))
    )
    for path in (shared / "fhir" / "synthea-r4").glob("*.json"):
        person = next(
            entry["resource"]
            for entry in json.loads(path.read_text())["entry"]
            if entry["resource"]["resourceType"] == "Patient"
        )
        for word in (
            person["name"][0]["family"],
            person["name"][0]["given"][0],
            *(item["value"] for item in person["identifier"][2:]),
        ):
            assert word not in flat


def test_the_synthea_persons_are_evaluated_at_once_and_who_lacks_what_is_said(synthea: tuple[Dataset, Report]) -> None:
    dataset, _ = synthea
    run = evaluate(dataset, Request("ckd-epi-2021", cohort="synthea", as_of=datetime(2020, 12, 1, tzinfo=UTC)))
    assert run.patients == 5
    assert run.evaluated >= 1
    assert run.outcomes["binding-missing"] == 5 - run.evaluated
    rates = ask(dataset.view(), "SELECT ?v WHERE { ?p a pepr:Prediction ; pepr:numericValue ?v }")
    assert rates
    assert all(0 < float(value) < 200 for (value,) in rates)
    risk = evaluate(dataset, Request("score2", cohort="synthea", as_of=datetime(2020, 12, 1, tzinfo=UTC)))
    assert risk.outcomes == {"binding-missing": 5}
    reasons = " ".join(
        row[0]
        for row in ask(
            dataset.view(), "SELECT ?t WHERE { ?o a pepr:EvaluationOutcome ; pepr:reason ?t FILTER(lang(?t) = 'en') }"
        )
    )
    assert "risk region" in reasons


def test_files_that_come_one_after_the_other_make_one_cohort(dataset: Dataset, shared: Path) -> None:
    paths = sorted((shared / "fhir" / "synthea-r4").glob("*.json"))[:2]
    reports = [intake(dataset, open_documents(path), cohort="clinic", base=BASE) for path in paths]
    assert [report.committed for report in reports] == [True, True]
    rows = ask(
        reports[1].view, """SELECT ?n ?m WHERE { dataset:clinic pepr:individualCount ?n ; pepr:recordCount ?m }"""
    )
    assert rows == [
        ("2", str(sum(report.counts[kind] for report in reports for kind in report.counts if kind != "patient")))
    ]


def test_a_fact_that_is_not_in_the_record_is_not_invented(dataset: Dataset) -> None:
    view = take(dataset, patient(), condition("c1", "38341003")).view
    assert ask(view, "SELECT ?q WHERE { ?o sosa:observedProperty ?q ; pepr:numericValue 0 }") == []


def test_each_person_has_a_twin_of_the_models_for_everyone(synthea: tuple[Dataset, Report]) -> None:
    rows = ask(
        synthea[1].view,
        """SELECT ?m (COUNT(*) AS ?n) WHERE { ?t a pepr:DigitalTwin ; pepr:twinOf/pepr:memberOfCohort
        cohort:synthea ; pepr:usesModel ?m } GROUP BY ?m ORDER BY ?m""",
    )
    assert [(model.rpartition("/")[2], count) for model, count in rows] == [("ckd-epi-2021", "5"), ("score2", "5")]
