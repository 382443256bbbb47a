"""FHIR RDF by others and by us comes back as the JSON that it was; a defective graph is said and never a traceback."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pepr_kg.errors import DataSyntaxError, UnknownFormat
from pepr_kg.fhir.exact import DEPTH, Json, Number, difference, read_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.reading import Reading, read_graph
from pepr_kg.rdf import RdfFormat

PREFIXES = """@prefix fhir: <http://hl7.org/fhir/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
"""
# Words that stand for the beginning of a resource in the graphs below.
HEADS = {
    "PATIENT": "<urn:p> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ;",
    "BUNDLE": "<urn:b> a fhir:Bundle ; fhir:nodeRole fhir:treeRoot ;",
    "OBSERVATION": "[] a fhir:Observation ; fhir:nodeRole fhir:treeRoot ;",
}
# Built from other sources than the JSON beside them (meta, dates), or known to be defective: `shared/fhir/README.md`.
OTHER_SOURCE = {
    "bundle-references", "codesystem-example", "codesystem-example-summary", "codesystem-nhin-purposeofuse",
    "conceptmap-103", "conceptmap-cdshooks-indicator", "conceptmap-example", "observation-decimal",
    "valueset-cpt-all", "valueset-example", "valueset-example-filter", "valueset-example-hierarchical",
    "valueset-example-intensional", "valueset-example-yesnodontknow",
}  # fmt: skip


def document(turtle: str) -> bytes:
    for word, head in HEADS.items():
        turtle = turtle.replace(word, head)
    return (PREFIXES + turtle).encode()


def read(turtle: str, *, release: str | None = None) -> Reading:
    return read_graph(document(turtle), RdfFormat.TURTLE, release=release)


def only(turtle: str, *, release: str | None = None) -> dict[str, Json]:
    reading = read(turtle, release=release)
    assert len(reading.resources) == 1
    assert not reading.problems
    return reading.resources[0].json


def codes(reading: Reading) -> list[str]:
    return [problem.code for problem in reading.problems]


def without_narrative(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: None if key == "div" else without_narrative(item) for key, item in value.items()}
    return [without_narrative(item) for item in value] if isinstance(value, list) else value


def pairs(folder: Path) -> Iterator[tuple[str, Reading, Json]]:
    for turtle in sorted(folder.glob("*.ttl")):
        reading = read_graph(turtle.read_bytes(), RdfFormat.TURTLE)
        assert len(reading.resources) == 1, turtle.name
        yield turtle.stem, reading, read_json(turtle.with_suffix(".json").read_bytes())


@pytest.mark.parametrize(
    ("folder", "dialects", "releases", "count"),
    [
        ("r4-official-pairs", "A", {"R4"}, 400),
        ("fr-r4-pairs-annuaire", "A", {"R4"}, 10),
        ("fr-r4-pairs-eprescription", "A", {"R4"}, 50),
        ("fr-r4-data-in-r5-style-essais", "C", {"R4", "R5"}, 15),
        ("r5-pairs-2025", "C", {"R5"}, 4),
        ("r5-pairs-2026", "DE", {"R5"}, 10),
    ],
)
def test_what_others_published_reads_as_the_json_beside_it(
    shared: Path, folder: str, dialects: str, releases: set[str], count: int
) -> None:
    found = 0
    for name, reading, expected in pairs(shared / "fhir" / folder):
        resource = reading.resources[0]
        assert resource.dialect in dialects, name
        if name not in OTHER_SOURCE:
            assert resource.release in releases, name
            assert difference(without_narrative(resource.json), without_narrative(expected)) is None, name
            assert not {problem.code for problem in reading.problems if problem.severity == "error"}, name
            found += 1
    assert found >= count


def test_choices_without_a_class_are_deduced_and_said(shared: Path) -> None:
    told: Counter[str] = Counter()
    for name, reading, expected in pairs(shared / "fhir" / "r4-data-in-r5-style-2024"):
        told.update(codes(reading))
        assert isinstance(expected, dict)
        # A markdown without its class cannot be told from a string: nothing else may differ.
        where = difference(without_narrative(reading.resources[0].json), without_narrative(expected))
        assert where in {None, "meta.extension[1].valueString"}, name
    assert set(told) == {"type-deduced", "list-unexpected"}


def test_the_expected_output_of_the_generator_reads_in_three_dialects(shared: Path) -> None:
    letters = {}
    for turtle in (shared / "fhir" / "core-expected").glob("*.ttl"):
        reading = read_graph(turtle.read_bytes(), RdfFormat.TURTLE)
        assert not reading.problems
        letters[turtle.stem[-2:]] = reading.resources[0].dialect
        value = reading.resources[0].json
        assert value["birthDate"] == "1960-03-13"
        assert value["deceasedBoolean"] is False
    assert letters == {"R4": "A", "R5": "C", "R6": "E"}


def test_files_that_forget_a_well_known_prefix_are_read_with_a_warning(shared: Path) -> None:
    seen: Counter[str] = Counter()
    for turtle in (shared / "fhir" / "validator-turtle-cases").glob("*.ttl"):
        reading = read_graph(turtle.read_bytes(), RdfFormat.TURTLE)
        assert len(reading.resources) == 1
        seen.update(codes(reading))
        text = turtle.with_suffix(".json")
        if turtle.stem in {"bundle-good", "group-minimal", "group-minimal-tiny"}:
            assert reading.resources[0].json == read_json(text.read_bytes())
    assert seen == {"prefix-missing": 4}
    with pytest.raises(BadJson, match="line 8, column 7: a comma"):
        read_json((shared / "fhir" / "validator-turtle-cases" / "group-choice-empty.json").read_bytes())


R4_NAME = """PATIENT fhir:Patient.name [ fhir:index 0 ;
  fhir:HumanName.given [ fhir:value "b" ; fhir:index 1 ] , [ fhir:index 0 ; fhir:Element.id [ fhir:value "i" ] ] ] ;
  fhir:Patient.birthDate [ fhir:Element.extension [ fhir:index 0 ; fhir:Extension.url [ fhir:value "urn:x" ] ;
    fhir:Extension.valueDecimal [ fhir:value "1.00"^^xsd:decimal ] ] ] ."""
R5_NAME = """<urn:p> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ;
  fhir:name ( [ fhir:given ( [ fhir:id [ fhir:v "i" ] ] [ fhir:v "b" ] ) ] ) ;
  fhir:birthDate [ fhir:extension ( [ fhir:url [ fhir:v "urn:x"^^xsd:anyURI ] ; 
    fhir:value [ a fhir:decimal ; fhir:v 1.00 ] ] ) ] ."""


@pytest.mark.parametrize("turtle", [R4_NAME, R5_NAME, R5_NAME.replace("a fhir:decimal", "a fhir:Decimal")])
def test_slots_without_a_value_and_extensions_of_primitives_come_back(turtle: str) -> None:
    assert only(turtle) == {
        "resourceType": "Patient",
        "name": [{"given": [None, "b"], "_given": [{"id": "i"}, None]}],
        "_birthDate": {"extension": [{"url": "urn:x", "valueDecimal": Number("1.00")}]},
    }


def test_keys_stand_in_the_order_of_the_table() -> None:
    turtle = (
        '[] a fhir:Patient ; fhir:gender [ fhir:v "male" ] ; fhir:active [ fhir:v true ] ; fhir:id [ fhir:v "p" ] .'
    )
    assert list(only(turtle)) == ["resourceType", "id", "active", "gender"]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("1.00", Number("1.00")),
        ('"1E-22"^^xsd:double', Number("1E-22")),
        ('"+.50"^^xsd:decimal', Number("0.50")),
        ('"007"^^xsd:integer', Number("7")),
        ('"7."^^xsd:decimal', Number("7")),
        ('"not one"', "not one"),
        ("true", True),
    ],
)
def test_the_datatype_of_a_literal_says_what_it_was(literal: str, value: Json) -> None:
    turtle = f"OBSERVATION fhir:value [ a fhir:Quantity ; fhir:value [ fhir:v {literal} ] ] ."
    found = read(turtle).resources[0].json
    assert found == {"resourceType": "Observation", "valueQuantity": {"value": value}}
    quantity = found["valueQuantity"]
    assert isinstance(quantity, dict)
    assert type(quantity["value"]) is type(value)


def test_integer64_is_a_string_and_a_number_that_is_none_is_text() -> None:
    turtle = """[] a fhir:Observation ; fhir:value [ a fhir:Attachment ;
      fhir:size [ fhir:v "9007199254740993"^^xsd:long ] ; fhir:width [ fhir:v "wide"^^xsd:integer ] ] ."""
    reading = read(turtle)
    assert reading.resources[0].json["valueAttachment"] == {"size": "9007199254740993", "width": "wide"}
    assert codes(reading) == ["not-a-number"]


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ('[ fhir:v "2020-01-01T00:00:00Z"^^xsd:dateTime ]', "valueDateTime"),
        ('[ fhir:v "08:00:00"^^xsd:time ]', "valueTime"),
        ("[ fhir:v true ]", "valueBoolean"),
        ("[ fhir:v 3 ]", "valueInteger"),
        ("[ fhir:v 3.5 ]", "valueDecimal"),
        ('[ fhir:v "urn:x"^^xsd:anyURI ; fhir:link <urn:x> ]', "valueCanonical"),
        ('[ fhir:v "urn:x"^^xsd:anyURI ]', "valueUri"),
        ('[ fhir:coding ( [ fhir:code [ fhir:v "x" ] ] ) ]', "valueCodeableConcept"),
        ('[ fhir:start [ fhir:v "2020"^^xsd:gYear ] ]', "valuePeriod"),
        ('[ fhir:link <urn:p> ; fhir:reference [ fhir:v "Patient/p" ] ]', "valueReference"),
    ],
)
def test_a_choice_without_a_class_is_deduced_from_its_value(node: str, name: str) -> None:
    reading = read(f'PATIENT fhir:extension ( [ fhir:url [ fhir:v "urn:e" ] ; fhir:value {node} ] ) .')
    extension = reading.resources[0].json["extension"]
    assert isinstance(extension, list)
    assert isinstance(extension[0], dict)
    assert set(extension[0]) == {"url", name}
    assert codes(reading) == ["type-deduced"]


def test_early_r5_writes_strings_alone_and_the_element_decides() -> None:
    reading = read(
        """<urn:p> a fhir:Patient ; fhir:active [ fhir:v "true" ] ; fhir:multipleBirth [ a fhir:integer ; fhir:v "2" ] ;
        fhir:name [ fhir:family [ fhir:v "A" ] ] , [ fhir:family [ fhir:v "B" ] ] ."""
    )
    assert reading.resources[0].dialect == "B"
    assert reading.resources[0].json == {
        "resourceType": "Patient",
        "active": True,
        "name": [{"family": "A"}, {"family": "B"}],
        "multipleBirthInteger": Number("2"),
    }
    assert codes(reading) == ["list-expected"]


def test_what_carries_a_modifier_extension_loses_its_underscore_in_json() -> None:
    extension = 'fhir:modifierExtension ( [ fhir:url [ fhir:v "urn:m"^^xsd:anyURI ] ] )'
    value = only(
        f"<urn:o> a fhir:_Observation ; fhir:nodeRole fhir:treeRoot ; {extension} ; "
        f'fhir:_component ( [ {extension} ] [ fhir:id [ fhir:v "c" ] ] ) .'
    )
    modifier: Json = [{"url": "urn:m"}]
    assert value == {
        "resourceType": "Observation",
        "modifierExtension": modifier,
        "component": [{"modifierExtension": modifier}, {"id": "c"}],
    }


def test_contained_resources_and_entries_are_parts_and_no_roots() -> None:
    value = only(
        """BUNDLE fhir:entry (
          [ fhir:fullUrl [ fhir:v "urn:uuid:2"^^xsd:anyURI ] ; fhir:resource <urn:uuid:2> ]
          [ fhir:resource [ a fhir:Patient ; fhir:contained ( [ a fhir:Organization ; fhir:id [ fhir:v "o" ] ] ) ] ] ) .
        <urn:uuid:2> a fhir:Patient ; fhir:managingOrganization [ fhir:link <urn:uuid:3> ] .
        <urn:uuid:3> a fhir:Organization ."""
    )
    assert value["entry"] == [
        {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Patient", "managingOrganization": {}}},
        {"resource": {"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "o"}]}},
    ]


def test_kept_json_wins_over_triples_and_unknown_elements_come_back() -> None:
    turtle = """PATIENT fhir:active [ fhir:v true ;
      pepr:unrecognised [ pepr:elementName "x" ; pepr:elementJson '{"y": [1.0, null]}'^^rdf:JSON ] ]"""
    assert only(turtle + " .") == {
        "resourceType": "Patient", "active": True, "_active": {"x": {"y": [Number("1.0"), None]}},
    }  # fmt: skip
    whole = turtle + """ ; pepr:resourceJson '{"resourceType": "Patient", "active": false}'^^rdf:JSON ."""
    assert only(whole) == {"resourceType": "Patient", "active": False}


def test_unknown_elements_of_others_are_kept_under_their_names() -> None:
    reading = read('PATIENT fhir:animal [ fhir:species [ fhir:v "cat" ] ; fhir:legs ( [ fhir:v 4 ] ) ] .')
    assert reading.resources[0].json == {"resourceType": "Patient", "animal": {"species": "cat", "legs": [Number("4")]}}
    assert codes(reading) == ["unknown-element"] * 3
    assert reading.problems[0].message("fr").startswith("Patient.animal\u202f: animal est inconnu ici")


def test_several_resources_and_graphs_are_read_each_on_its_own() -> None:
    one = "PATIENT fhir:active [ fhir:v true ] ."
    other = one.replace("true", "false")
    reading = read_graph(document(f"<urn:g1> {{ {one} }} <urn:g2> {{ {other} }} {one}"), RdfFormat.TRIG)
    assert sorted(str(resource.json["active"]) for resource in reading.resources) == ["False", "True", "True"]
    assert {resource.subject for resource in reading.resources} == {"urn:p"}


LIST = "PATIENT fhir:name ( [ fhir:given _:l ] ) . "
GIVEN = '_:l rdf:first [ fhir:v "a" ] ; rdf:rest _:m . '


@pytest.mark.parametrize(
    ("turtle", "given", "code"),
    [
        (LIST + GIVEN + '_:m rdf:first [ fhir:v "b" ] ; rdf:rest _:l .', ["a", "b"], "list-broken"),
        (LIST + GIVEN + '_:m rdf:first [ fhir:v "b" ] .', ["a", "b"], "list-broken"),
        (LIST + GIVEN + "_:m rdf:rest () .", ["a"], "list-broken"),
        (LIST + GIVEN + '_:m rdf:first [ fhir:v "b" ] ; rdf:rest (), ( [ fhir:v "c" ] ) .', ["a", "b"], "list-broken"),
        (LIST + GIVEN + '_:m rdf:first [ fhir:v "b" ], [ fhir:v "c" ] ; rdf:rest () .', ["a", "b"], "list-broken"),
        (LIST.replace("_:l", '( [ fhir:v "a" ] ), ( [ fhir:v "b" ] )'), ["a"], "too-many-values"),
        (LIST.replace("_:l", '[ fhir:v "a" ], [ fhir:v "b" ]'), ["a", "b"], "list-expected"),
        (LIST.replace("_:l", '( "a" )'), ["a"], None),
        (LIST.replace("_:l", "( <urn:x> )"), ["urn:x"], "iri-unexpected"),
        (LIST.replace("_:l", '( [ fhir:v "a", "b" ] )'), ["a"], "too-many-values"),
        (LIST.replace("_:l", "()"), [], None),
        (R4_NAME.replace("fhir:index 1 ", ""), [None, "b"], "index-missing"),
        (R4_NAME.replace("fhir:index 1", 'fhir:index "one"'), [None, "b"], "index-missing"),
        (R4_NAME.replace("fhir:index 1", "fhir:index 0"), ["b", None], "index-missing"),
        (R4_NAME.replace("fhir:index 1", "fhir:index 7"), [None, "b"], None),
    ],
)  # fmt: skip
def test_defective_lists_are_said_and_read_as_far_as_they_go(turtle: str, given: Json, code: str | None) -> None:
    reading = read(turtle)
    name = reading.resources[0].json["name"]
    assert isinstance(name, list)
    assert isinstance(name[0], dict)
    assert name[0]["given"] == given
    if code:
        assert code in codes(reading)
    else:
        assert not reading.problems


@pytest.mark.parametrize(
    ("turtle", "code"),
    [
        ('PATIENT fhir:gender [ fhir:v "a" ], [ fhir:v "b" ] .', "too-many-values"),
        ("<urn:p> a fhir:Patient, fhir:Group ; fhir:nodeRole fhir:treeRoot .", "too-many-values"),
        ("<urn:p> fhir:nodeRole fhir:treeRoot ; fhir:active [ fhir:v true ] .", "resource-type-missing"),
        ("<urn:p> a fhir:Cat ; fhir:nodeRole fhir:treeRoot .", "unknown-resource"),
        ('PATIENT fhir:meta "x" .', "literal-unexpected"),
        ("BUNDLE fhir:entry ( [ fhir:resource <urn:b> ] ) .", "node-shared"),
        ("BUNDLE fhir:entry ( [ fhir:resource <urn:x> ] ) .", "resource-absent"),
        ("PATIENT fhir:contained ( _:c ) . _:c a fhir:Patient ; fhir:contained ( _:c ) .", "node-shared"),
        ("PATIENT fhir:extension _:l . _:l rdf:first _:l ; rdf:rest _:l .", "list-broken"),
        ("PATIENT fhir:deceased [ a fhir:Quantity ] .", "type-unexpected"),
        ('PATIENT fhir:active [ fhir:v true ] ; fhir:_active [ fhir:v true ] .', "name-taken"),
        ("PATIENT pepr:unrecognised <urn:x> .", "kept-json-broken"),
        ("PATIENT pepr:unrecognised [ pepr:elementName \"x\" ; pepr:elementJson \"{\" ] .", "kept-json-broken"),
        ("<urn:p> a fhir:Patient ; fhir:active [ fhir:v true ] . <urn:q> fhir:other <urn:p> .", "no-resource"),
        ("<urn:a> <urn:b> <urn:c> .", "no-resource"),
        ("", "no-resource"),
    ],
)  # fmt: skip
def test_a_defective_graph_is_said_in_both_languages(turtle: str, code: str) -> None:
    reading = read(turtle)
    assert code in codes(reading)
    for problem in reading.problems:
        assert problem.message("en")
        assert problem.message("fr") != problem.message("en")


@pytest.mark.parametrize("levels", [DEPTH, 10_000])
def test_nesting_without_end_is_cut_and_said(levels: int) -> None:
    deep = "".join(f"_:n{n} rdf:first [ fhir:extension _:n{n + 1} ] ; rdf:rest () . " for n in range(levels))
    reading = read("PATIENT fhir:extension _:n0 . " + deep)
    assert "too-deep" in codes(reading)


def test_a_graph_that_unfolds_without_end_is_read_once() -> None:
    doubling = "".join(f"_:n{n} fhir:extension ( _:n{n + 1} _:n{n + 1} ) . " for n in range(60))
    reading = read("PATIENT fhir:extension ( _:n0 ) . " + doubling)
    assert set(codes(reading)) == {"node-shared"}
    lists = "".join(f"_:n{n} rdf:first _:n{n + 1} ; rdf:rest ( _:n{n + 1} ) . " for n in range(60))
    reading = read("PATIENT fhir:unknown _:n0 . " + lists)
    assert set(codes(reading)) == {"unknown-element", "node-shared"}


def test_no_rdf_and_no_format_are_sentences() -> None:
    with pytest.raises(DataSyntaxError) as caught:
        read_graph(b"<urn:a> <urn:b> ;;; x:y .", RdfFormat.TURTLE, name="a.ttl")
    assert (caught.value.path, caught.value.line) == ("a.ttl", 1)
    with pytest.raises(UnknownFormat):
        read_graph(b"")


@pytest.mark.parametrize(
    ("head", "level"),
    [
        ("PATIENT fhir:managingOrganization _:n0", "_:n{0} fhir:identifier [ fhir:assigner _:n{1} ] . "),
        ("PATIENT fhir:unknown _:n0", "_:n{0} fhir:unknown _:n{1} . "),
        ("PATIENT fhir:unknown _:n0", "_:n{0} fhir:unknown ( ( _:n{1} ) ) . "),
        (
            "BUNDLE fhir:entry ( [ fhir:resource _:n0 ] )",
            "_:n{0} a fhir:Bundle ; fhir:entry ( [ fhir:resource _:n{1} ] ) . ",
        ),
    ],
)
def test_no_way_of_nesting_is_without_end(head: str, level: str) -> None:
    reading = read(f"{head} . " + "".join(level.format(number, number + 1) for number in range(2_000)))
    assert "too-deep" in codes(reading)
