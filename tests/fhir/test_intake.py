"""FHIR resources taken into a cohort: what they become, and what is exact."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepr_kg.store import Dataset
from tests.fhir.ground import (
    BASE,
    LOINC,
    SNOMED,
    UCUM,
    ask,
    concept,
    condition,
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


# ---- What things become ----------------------------------------------------------------------------------------------


def test_a_patient_has_sex_and_birth_date_and_nothing_that_tells_who_it_is(dataset: Dataset) -> None:
    person = patient(
        name="p1",
        deceasedDateTime="2026-02-01T10:00:00Z",
        telecom=[{"system": "phone", "value": "0612345678"}],
        address=[{"city": "Bordeaux"}],
        identifier=[
            {"system": "urn:oid:1.2.250.1.213.1.4.8", "value": "260031234567890"},
            {
                "type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "PI"),
                "system": "urn:oid:1.2.250.1.99",
                "value": "8007",
            },
        ],
    )
    person["name"] = [{"family": "Durand", "given": ["Zoé"]}]
    report = take(dataset, person)
    said = facts(report.view, "patient/clinic.p1")
    assert ends(said["type"]) == {"Patient"}
    assert ends(said["hasSex"]) == {"female"}
    assert said["birthDate"] == ["1960-03-15"]
    assert said["deathDate"] == ["2026-02-01"]
    assert ends(said["identifiedWithin"]) == {"ins-nir", "ipp"}
    assert said["wasDerivedFrom"] == [f"{BASE}Patient/p1"]
    text = json.dumps(said)
    for word in ("Durand", "Zoé", "0612345678", "Bordeaux", "260031234567890", "8007"):
        assert word not in text
    assert report.elements == {"Patient.address": 1, "Patient.name": 1, "Patient.telecom": 1}
    assert report.patients == 1


def test_a_measurement_keeps_code_number_unit_time_and_origin(dataset: Dataset) -> None:
    report = take(dataset, patient(), observation("o1", "29463-7", 70.5, "kg", meta={"versionId": "3"}))
    said = facts(report.view, "observation/clinic.o1_3")
    assert ends(said["observedProperty"]) == {"body-weight"}
    assert said["hasCode"] == ["http://loinc.org/rdf/29463-7"]
    assert (said["numericValue"], said["unitCode"]) == (["70.5"], ["kg"])
    assert said["observedAt"] == ["2026-01-05T08:30:00+01:00"]
    assert ends(said["hasFeatureOfInterest"]) == {"clinic.p1"}
    assert (said["wasDerivedFrom"], said["resourceVersion"]) == ([f"{BASE}Observation/o1"], ["3"])
    came = facts(report.view, said["wasGeneratedBy"][0].rpartition("/")[2])
    assert came["fhirRelease"] == ["R4"]
    assert came["contentDigest"][0].startswith("sha256:")
    assert "wasAssociatedWith" in came
    assert "startedAtTime" in came


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("5.50", "5.5"),
        ("1.5E-3", "0.0015"),
        ("0.12345678901234567890123", None),
        ("1234567890123456789012345.75", None),
        ("-0.0", "0"),
    ],
)
def test_a_number_keeps_every_digit_and_its_written_form(dataset: Dataset, written: str, stored: str | None) -> None:
    text = json.dumps(observation("o1", "29463-7", 1, "kg")).replace('"value": 1', f'"value": {written}')
    said = facts(take(dataset, patient(), text).view, "clinic.o1_" + version_of(dataset))
    assert said["numericValue"] == [stored or written]
    assert said.get("writtenValue", []) == ([written] if stored else [])


def version_of(dataset: Dataset) -> str:
    [(version,)] = ask(dataset.view(), "SELECT ?v WHERE { ?o a pepr:Observation ; pepr:resourceVersion ?v }")
    return version


def test_components_are_observations_of_their_own(dataset: Dataset) -> None:
    pressure = observation(
        "o1",
        "85354-9",
        meta={"versionId": "1"},
        component=[
            {"code": concept(LOINC, "8480-6"), "valueQuantity": {"value": 120, "system": UCUM, "code": "mm[Hg]"}},
            {"code": concept(LOINC, "8462-4"), "valueQuantity": {"value": 80, "system": UCUM, "code": "mm[Hg]"}},
            {"code": concept(LOINC, "8478-0"), "dataAbsentReason": {"text": "not done"}},
        ],
    )
    view = take(dataset, patient(), pressure).view
    rows = ask(
        view,
        """SELECT ?q ?v ?s WHERE { ?o a pepr:Observation ; sosa:observedProperty ?q ; pepr:numericValue ?v ;
        prov:wasDerivedFrom ?s } ORDER BY ?v""",
    )
    assert [(row[0].rpartition("/")[2], row[1], row[2]) for row in rows] == [
        ("diastolic-blood-pressure", "80", f"{BASE}Observation/o1"),
        ("systolic-blood-pressure", "120", f"{BASE}Observation/o1"),
    ]


def test_values_of_other_kinds(dataset: Dataset) -> None:
    report = take(
        dataset,
        patient(),
        observation("low", "2160-0", 5, "umol/L", meta={"versionId": "1"})
        | {"valueQuantity": {"value": 5, "comparator": "<", "system": UCUM, "code": "umol/L"}},
        observation("yes", "11111-1", valueBoolean=True, meta={"versionId": "1"}),
        observation("count", "11111-2", valueInteger=7, meta={"versionId": "1"}),
        observation("words", "11111-3", valueString='à jeun\n« oui » \\ "non"', meta={"versionId": "1"}),
        observation(
            "coded", "11111-4", valueCodeableConcept=concept("urn:local", "A+", "groupe A+"), meta={"versionId": "1"}
        ),
        observation("range", "11111-5", valueRange={"low": {"value": 1}}, meta={"versionId": "1"}),
        observation("month", "29463-7", 70, "kg", effectiveDateTime="2012-05", meta={"versionId": "1"}),
        observation("span", "8867-4", 60, "/min", meta={"versionId": "1"}, effectiveDateTime=None)
        | {"effectivePeriod": {"start": "2026-01-01", "end": "2026-01-02T10:00:00Z"}},
    )
    view = report.view
    assert ends(facts(view, "clinic.low_1")["hasCensoring"]) == {"left"}
    assert (facts(view, "clinic.yes_1")["numericValue"], facts(view, "clinic.yes_1")["unitCode"]) == (["1"], ["1"])
    assert facts(view, "clinic.count_1")["numericValue"] == ["7"]
    assert facts(view, "clinic.words_1")["hasSimpleResult"] == ['à jeun\n« oui » \\ "non"']
    code = facts(view, ends(facts(view, "clinic.coded_1")["hasResult"]).pop())
    assert (code["codeValue"], code["codeSystem"], code["label"]) == (["A+"], ["urn:local"], ["groupe A+"])
    assert facts(view, "clinic.range_1")["hasSimpleResult"] == ['{"low": {"value": 1}}']
    month = facts(view, "clinic.month_1")
    assert (month["observedAt"], month["writtenTime"]) == (["2012-05-15"], ["2012-05"])
    span = facts(view, "clinic.span_1")
    assert (span["observedAt"], span["beginsAt"], span["endsAt"]) == (
        ["2026-01-02T10:00:00Z"],
        ["2026-01-01"],
        ["2026-01-02T10:00:00Z"],
    )


def test_a_unit_in_words_counts_only_where_it_cannot_mean_something_else(dataset: Dataset) -> None:
    weight = observation("kilo", "29463-7", meta={"versionId": "1"}, valueQuantity={"value": 70.0, "unit": "kg"})
    warmth = observation("warm", "8310-5", meta={"versionId": "1"}, valueQuantity={"value": 37, "unit": "C"})
    wrong = observation("wrong", "29463-7", meta={"versionId": "1"}, valueQuantity={"value": 70, "unit": "mmHg"})
    view = take(dataset, patient(), weight, warmth, wrong).view
    assert facts(view, "clinic.kilo_1")["unitCode"] == ["kg"]
    assert facts(view, "clinic.warm_1")["hasSimpleResult"] == ["37 C"]
    assert facts(view, "clinic.wrong_1")["hasSimpleResult"] == ["70 mmHg"]


def test_a_condition_is_a_fact_and_answers_what_models_ask(dataset: Dataset) -> None:
    ended = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved")
    refuted = concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "refuted")
    unsure = concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "provisional")
    view = take(
        dataset,
        patient(),
        condition("type2", "44054006"),
        condition("was", "38341003", clinicalStatus=ended, abatementDateTime="2022-01-01"),
        condition("stroke", "230690007", clinicalStatus=ended, abatementDateTime="2020-01-01"),
        condition("not", "84114007", verificationStatus=refuted, recordedDate="2021-01-01"),
        condition("maybe", "49436004", verificationStatus=unsure),
    ).view
    rows = ask(
        view,
        """SELECT ?q ?n ?t WHERE { ?o a pepr:Observation ; sosa:observedProperty ?q ; pepr:numericValue ?n ;
        pepr:observedAt ?t } ORDER BY ?q ?t""",
    )
    assert [(q.rpartition("/")[2], n, t) for q, n, t in rows] == [
        ("diabetes", "1", "2019-05-01"),
        ("earlier-stroke", "1", "2019-05-01"),
        ("heart-failure", "0", "2021-01-01"),
        ("hypertension", "1", "2019-05-01"),
        ("hypertension", "0", "2022-01-01"),
    ]
    assert len(ask(view, "SELECT ?c WHERE { ?c a pepr:Condition }")) == 5


def test_what_a_patient_says_of_smoking(dataset: Dataset) -> None:
    status = observation("o1", "72166-2", valueCodeableConcept=concept(SNOMED, "449868002", "Smokes tobacco daily"))
    view = take(dataset, patient(), status).view
    assert ask(view, """SELECT ?n WHERE { ?o sosa:observedProperty quantity:smoker ; pepr:numericValue ?n }""") == [
        ("1",)
    ]
    assert ask(
        view, """SELECT ?r WHERE { ?o sosa:observedProperty <http://loinc.org/rdf/72166-2> ; sosa:hasResult ?r }"""
    ) == [("http://snomed.info/id/449868002",)]


def test_drugs_ordered_said_and_given(dataset: Dataset) -> None:
    warfarin = concept("http://www.whocc.no/atc", "B01AA03")
    about = {"subject": {"reference": "Patient/p1"}, "meta": {"versionId": "1"}}
    dose = {"value": 5, "unit": "mg", "system": UCUM, "code": "mg"}
    report = take(
        dataset,
        patient(),
        {"resourceType": "Medication", "id": "m1", "code": warfarin},
        {
            "resourceType": "MedicationRequest",
            "id": "r1",
            "status": "active",
            "intent": "order",
            "medicationReference": {"reference": "Medication/m1"},
            "authoredOn": "2026-01-01",
            "dosageInstruction": [{"text": "le soir", "doseAndRate": [{"doseQuantity": dose}]}],
        }
        | about,
        {
            "resourceType": "MedicationStatement",
            "id": "s1",
            "status": "active",
            "medicationCodeableConcept": warfarin,
            "effectivePeriod": {"start": "2026-01-02"},
        }
        | about,
        {
            "resourceType": "MedicationAdministration",
            "id": "a1",
            "status": "completed",
            "medicationCodeableConcept": warfarin,
            "effectiveDateTime": "2026-01-03T20:00:00Z",
            "dosage": {"dose": dose},
        }
        | about,
        {
            "resourceType": "MedicationAdministration",
            "id": "a2",
            "status": "not-done",
            "medicationCodeableConcept": warfarin,
            "effectiveDateTime": "2026-01-04T20:00:00Z",
            "dosage": {"dose": dose},
        }
        | about,
    )
    given = facts(report.view, "administration/clinic.a1_1")
    assert ends(given["quantity"]) == {"administered-warfarin"}
    assert (given["numericValue"], given["unitCode"], given["administeredAt"]) == (
        ["5"],
        ["mg"],
        ["2026-01-03T20:00:00Z"],
    )
    ordered = facts(report.view, "prescription/clinic.r1_1")
    assert ordered["hasCode"] == ["http://purl.bioontology.org/ontology/ATC/B01AA03"]
    assert (ordered["dosageText"], ordered["numericValue"]) == (["le soir"], ["5"])
    assert facts(report.view, "medication-use/clinic.s1_1")["beginsAt"] == ["2026-01-02"]
    assert report.administrations == 1
    assert report.left_out == {"MedicationAdministration:not-done": 1}


def test_the_forms_of_r5(dataset: Dataset) -> None:
    about = {"subject": {"reference": "Patient/p1"}, "meta": {"versionId": "1"}}
    theophylline = {"concept": concept("http://www.whocc.no/atc", "R03DA04")}
    view = take(
        dataset,
        patient(),
        {
            "resourceType": "MedicationAdministration",
            "id": "a1",
            "status": "completed",
            "medication": theophylline,
            "occurenceDateTime": "2026-01-03",
            "dosage": {"dose": {"value": 300, "system": UCUM, "code": "mg"}},
        }
        | about,
        {
            "resourceType": "Encounter",
            "id": "e1",
            "status": "completed",
            "class": [concept("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB")],
            "actualPeriod": {"start": "2026-01-03", "end": "2026-01-03"},
        }
        | about,
        {
            "resourceType": "Procedure",
            "id": "x1",
            "status": "completed",
            "code": concept(SNOMED, "18286008"),
            "occurrenceDateTime": "2026-01-03",
        }
        | about,
        release="R5",
    ).view
    assert ends(facts(view, "administration/clinic.a1_1")["quantity"]) == {"administered-theophylline"}
    assert facts(view, "encounter/clinic.e1_1")["beginsAt"] == ["2026-01-03"]
    assert facts(view, "procedure/clinic.x1_1")["beginsAt"] == ["2026-01-03"]
