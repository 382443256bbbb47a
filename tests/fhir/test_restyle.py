"""The same data in other clothes: what is read of them is the same before and after, under the same names."""

from collections import Counter
from pathlib import Path

import pytest

from pepr_kg.errors import DataSyntaxError
from pepr_kg.fhir.dialect import R4, R5, R6, Dialect
from pepr_kg.fhir.exact import difference, read_json
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.restyle import restyle
from pepr_kg.fhir.writing import Writer
from pepr_kg.rdf import RdfFormat, read_quads

BASE = "https://fhir.example.org/"
PATIENT = b"""{"resourceType": "Patient", "id": "p1", "active": true, "birthDate": "1970-02",
  "name": [{"given": ["Zo\\u00e9", null], "_given": [null, {"id": "g"}]}], "deceasedDateTime": "2020",
  "generalPractitioner": [{"reference": "Practitioner/2"}],
  "extension": [{"url": "https://example.org/x", "valueDecimal": 1.00}]}"""


def shape(text: bytes, kind: RdfFormat = RdfFormat.TURTLE) -> Counter[tuple[str, str]]:
    """Return how often each predicate leads to what; blank nodes are one and the same."""
    return Counter((quad.predicate.value, str(quad.object)[:2].replace("_:", "")) for quad in read_quads(text, kind))


@pytest.mark.parametrize("end", [R4, R5, R6])
def test_clothes_are_changed_as_if_the_json_had_been_written_so(end: Dialect) -> None:
    direct = Writer(end, BASE).write(PATIENT)
    start = Writer(R4, BASE)
    text = start.head + start.write(PATIENT).text
    for step in (R5, R6, R4, end):
        done = restyle(text, RdfFormat.TURTLE, step, BASE)
        assert not done.problems
        text = done.text
    assert shape(text) == shape(Writer(end, BASE).head + direct.text)
    assert read_graph(text, RdfFormat.TURTLE).resources[0].json == read_json(PATIENT)
    assert read_graph(text, RdfFormat.TURTLE).resources[0].subject == BASE + "Patient/p1"


def test_n_triples_come_out_where_they_are_asked_for() -> None:
    writer = Writer(R5, BASE)
    text = writer.head + writer.write(PATIENT).text
    done = restyle(text, RdfFormat.TURTLE, R6, BASE, syntax="ntriples")
    assert done.triples == len(list(read_quads(done.text, RdfFormat.N_TRIPLES, lenient=False)))
    assert read_graph(done.text, RdfFormat.N_TRIPLES).resources[0].json == read_json(PATIENT)


def test_subjects_stay_whatever_the_base() -> None:
    text = b"""@prefix fhir: <http://hl7.org/fhir/> .
    <urn:uuid:7> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:Resource.id [ fhir:value "p" ] .
    <http://elsewhere.example/fhir/Patient/q> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ;
      fhir:Resource.id [ fhir:value "q" ] ;
      fhir:Patient.managingOrganization [ fhir:Reference.reference [ fhir:value "Organization/o" ] ] .
    [] a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:Resource.id [ fhir:value "r" ] ."""
    done = restyle(text, RdfFormat.TURTLE, R5, BASE)
    reading = read_graph(done.text, RdfFormat.TURTLE)
    assert {resource.subject: resource.json["id"] for resource in reading.resources} == {
        "urn:uuid:7": "p", "http://elsewhere.example/fhir/Patient/q": "q", BASE + "Patient/r": "r",
    }  # fmt: skip
    assert b"<http://elsewhere.example/fhir/Organization/o>" in done.text


@pytest.mark.parametrize(
    ("folder", "dialect"), [("fr-r4-pairs-eprescription", R5), ("fr-r4-pairs-annuaire", R6), ("r5-pairs-2026", R6)]
)
def test_what_others_published_is_the_same_data_afterwards(shared: Path, folder: str, dialect: Dialect) -> None:
    for path in sorted((shared / "fhir" / folder).glob("*.ttl"))[:12]:
        before = read_graph(path.read_bytes(), RdfFormat.TURTLE)
        done = restyle(path.read_bytes(), RdfFormat.TURTLE, dialect, BASE)
        after = read_graph(done.text, RdfFormat.TURTLE)
        assert difference(before.resources[0].json, after.resources[0].json) is None, path.name
        assert before.resources[0].subject in {after.resources[0].subject, ""}


def test_what_the_other_release_does_not_know_travels_with_it_and_is_said() -> None:
    raw = """{"resourceType": "Encounter", "id": "e", "length": {"value": 1.50},
      "class": {"code": "AMB"}, "hospitalization": {"dischargeDisposition": {"text": "home"}}}"""
    writer = Writer(R4, BASE)
    done = restyle(writer.head + writer.write(raw).text, RdfFormat.TURTLE, R5, BASE)
    assert {(problem.path, problem.code) for problem in done.problems} == {
        ("Encounter.class", "wrong-shape"), ("Encounter.hospitalization", "unknown-element"),
    }  # fmt: skip
    back = restyle(done.text, RdfFormat.TURTLE, R4, BASE)
    assert not back.problems
    assert difference(read_graph(back.text, RdfFormat.TURTLE).resources[0].json, read_json(raw)) is None


def test_a_graph_without_resources_gives_an_empty_document_and_says_so() -> None:
    done = restyle(b"<urn:a> <urn:b> <urn:c> .", RdfFormat.TURTLE, R5, BASE)
    assert done.triples == 0
    assert [problem.code for problem in done.problems] == ["no-resource"]
    with pytest.raises(DataSyntaxError):
        restyle(b"<urn:a> ", RdfFormat.TURTLE, R5, BASE)
