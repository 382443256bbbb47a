"""Codes as IRIs: only where the code system has them, and each stem says where it is from."""

import json
from pathlib import Path

import pytest

from pepr_kg.fhir import concepts
from pepr_kg.fhir.concepts import concept_iri, load_stems
from pepr_kg.fhir.iris import absolute_iri


@pytest.mark.parametrize(
    ("system", "code", "release", "iri"),
    [
        ("http://snomed.info/sct", "22298006", "R4", "http://snomed.info/id/22298006"),
        ("http://snomed.info/sct", "22298006|x", "R4", "http://snomed.info/id/22298006%7Cx"),
        ("http://snomed.info/sct", "1:2=3", "R5", None),
        ("http://snomed.info/sct", "look up value", "R4", "http://snomed.info/id/look%20up%20value"),
        ("http://loinc.org", "la6576-8", "R4", "http://loinc.org/rdf#LA6576-8"),
        ("http://loinc.org", "8480-6", "R6", "http://loinc.org/rdf/8480-6"),
        ("https://www.nlm.nih.gov/mesh", "D009203", "R5", "http://id.nlm.nih.gov/mesh/D009203"),
        ("https://www.nlm.nih.gov/mesh", "D009203", "R4", None),
        ("http://unitsofmeasure.org", "mm[Hg]", "R5", None),
        ("http://loinc.org", "", "R5", None),
        ("http://hl7.org/fhir/sid/icd-10", "I21", "R5", None),
    ],
)
def test_the_stems_of_the_specification(system: str, code: str, release: str, iri: str | None) -> None:
    assert concept_iri(system, code, release) == iri


@pytest.mark.parametrize(
    ("system", "code", "iri"),
    [
        ("http://hl7.org/fhir/sid/icd-10", "I21.0", "http://id.who.int/icd/release/10/2019/I21.0"),
        ("https://smt.esante.gouv.fr/terminologie-cim-10", "I21", "http://data.esante.gouv.fr/atih/cim10/I21"),
        ("https://smt.esante.gouv.fr/terminologie-ccam", "DEQP003", "http://data.esante.gouv.fr/cnam/ccam/DEQP003"),
        ("https://smt.esante.gouv.fr/terminologie-atc", "J01DC02", "http://data.esante.gouv.fr/whocc/atc/J01DC02"),
        ("http://www.whocc.no/atc", "J01DC02", "http://purl.bioontology.org/ontology/ATC/J01DC02"),
    ],
)
def test_more_stems_are_there_for_who_asks(system: str, code: str, iri: str) -> None:
    assert concept_iri(system, code, "R4", stems="all") == iri


def test_every_stem_is_legal_and_has_a_source_and_every_absence_a_reason() -> None:
    data = json.loads((Path(concepts.__file__).parent / "concepts.json").read_text(encoding="utf-8"))
    for row in data["standard"] + data["more"]:
        assert absolute_iri(row["stem"]) == row["stem"]
        assert row["source"]
    given = {row["system"] for row in data["standard"] + data["more"]}
    assert all(row["reason"] and row["system"] not in given for row in data["none"])
    assert set(load_stems("R5")) < set(load_stems("R5", "all"))
