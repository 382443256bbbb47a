"""FHIR JSON as RDF: what the rules ask for in each release, nothing lost, nothing that a strict parser refuses."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import rdflib
from pyoxigraph import BlankNode, CanonicalizationAlgorithm, Dataset, Quad, RdfFormat, parse

from pepr_kg.fhir.dialect import DIALECTS, FHIR, R4, R5, R6, Dialect
from pepr_kg.fhir.errors import BaseMissing, BaseReserved, ResourceBroken
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.writing import Syntax, Writer, Written, count_triples

BASE = "https://example.org/fhir/"
PI = "3.14159265358979323846264338327950288419716"
PREFIXES = f"@prefix fhir: <{FHIR}> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> . " \
    "@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix owl: <http://www.w3.org/2002/07/owl#> . " \
    "@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> . @base <https://example.org/fhir/> ."  # fmt: skip


def graph(quads: Iterable[Quad]) -> set[Quad]:
    dataset = Dataset(quads)
    dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
    return set(dataset)


def written(resource: object, dialect: Dialect = R5, syntax: Syntax = "turtle") -> Written:
    raw = resource if isinstance(resource, str | bytes) else json.dumps(resource)
    return Writer(dialect, BASE, syntax=syntax).write(raw)


def graph_of(resource: object, dialect: Dialect) -> set[Quad]:
    """The graph, which both syntaxes give and strict parsers read; and the number of triples is right."""
    graphs = []
    for syntax, form in (("turtle", RdfFormat.TURTLE), ("ntriples", RdfFormat.N_TRIPLES)):
        raw = resource if isinstance(resource, str | bytes) else json.dumps(resource)
        writer = Writer(dialect, BASE, syntax=syntax)  # type: ignore[arg-type]
        result = writer.write(raw)
        text = writer.head + result.text
        quads = list(parse(text, form))
        assert len(set(quads)) == result.triples
        assert len(rdflib.Graph().parse(data=text, format="turtle" if syntax == "turtle" else "nt")) == result.triples
        graphs.append(graph(quads))
    assert graphs[0] == graphs[1]
    return graphs[0]


def same(resource: object, expected: str, dialect: Dialect) -> bool:
    return graph_of(resource, dialect) == graph(parse(f"{PREFIXES}\n{expected}", RdfFormat.TURTLE))


OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "subject": {"reference": "Patient/p1"},
    "valueQuantity": {"value": 6.3},
}


def test_an_observation_in_the_style_of_r4() -> None:
    assert same(OBSERVATION, """<Observation/o1> a fhir:Observation ; fhir:nodeRole fhir:treeRoot ;
        fhir:Resource.id [ fhir:value "o1" ] ; fhir:Observation.status [ fhir:value "final" ] ;
        fhir:Observation.code [ fhir:CodeableConcept.coding [ fhir:index 0 ; a <http://loinc.org/rdf#8480-6> ;
            fhir:Coding.system [ fhir:value "http://loinc.org" ] ; fhir:Coding.code [ fhir:value "8480-6" ] ] ] ;
        fhir:Observation.subject [ fhir:link <Patient/p1> ; fhir:Reference.reference [ fhir:value "Patient/p1" ] ] ;
        fhir:Observation.valueQuantity [ fhir:Quantity.value [ fhir:value 6.3 ] ] .""", R4)  # fmt: skip


def test_an_observation_in_the_style_of_r5() -> None:
    assert same(OBSERVATION, """<Observation/o1> a fhir:Observation ; fhir:nodeRole fhir:treeRoot ;
        fhir:id [ fhir:v "o1" ] ; fhir:status [ fhir:v "final" ] ;
        fhir:code [ fhir:coding ( [ a <http://loinc.org/rdf/8480-6> ;
            fhir:system [ fhir:v "http://loinc.org"^^xsd:anyURI ] ; fhir:code [ fhir:v "8480-6" ] ] ) ] ;
        fhir:subject [ fhir:link <Patient/p1> ; fhir:reference [ fhir:v "Patient/p1" ] ] ;
        fhir:value [ a fhir:Quantity ; fhir:value [ fhir:v 6.3 ] ] .""", R5)  # fmt: skip


def test_an_observation_in_the_style_of_r6() -> None:
    assert same(OBSERVATION, """<Observation/o1> a fhir:Observation ; fhir:nodeRole fhir:treeRoot ;
        fhir:id [ fhir:v "o1" ] ; fhir:status [ fhir:v "final" ] ;
        fhir:code [ a <http://loinc.org/rdf/8480-6> ; fhir:coding ( [
            fhir:system [ fhir:v "http://loinc.org"^^xsd:anyURI ; fhir:l <http://loinc.org> ] ;
            fhir:code [ fhir:v "8480-6" ] ] ) ] ;
        fhir:subject [ fhir:l <Patient/p1> ; fhir:reference [ fhir:v "Patient/p1" ] ] ;
        fhir:value [ a fhir:Quantity ; fhir:value [ fhir:v 6.3 ] ] .""", R6)  # fmt: skip


def test_an_extension_of_a_primitive_joins_its_value() -> None:
    patient = {
        "resourceType": "Patient",
        "birthDate": "1970",
        "_birthDate": {"extension": [{"url": "urn:u", "valueString": "x"}]},
    }
    assert same(patient, """[] a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:birthDate [
        fhir:v "1970"^^xsd:gYear ; fhir:extension ( [ fhir:url [ fhir:v "urn:u"^^xsd:anyURI ] ;
            fhir:value [ a fhir:string ; fhir:v "x" ] ] ) ] .""", R5)  # fmt: skip
    assert same(patient, """[] a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:Patient.birthDate [
        fhir:value "1970"^^xsd:gYear ; fhir:Element.extension [ fhir:index 0 ;
            fhir:Extension.url [ fhir:value "urn:u" ] ;
            fhir:Extension.valueString [ fhir:value "x" ] ] ] .""", R4)  # fmt: skip


def test_nulls_in_arrays_keep_their_places() -> None:
    address = {"line": [None, "b"], "_line": [{"id": "x"}, None]}
    patient = {"resourceType": "Patient", "address": [address]}
    assert same(patient, """[] a fhir:Patient ; fhir:nodeRole fhir:treeRoot ;
        fhir:address ( [ fhir:line ( [ fhir:id [ fhir:v "x" ] ] [ fhir:v "b" ] ) ] ) .""", R5)  # fmt: skip
    assert same(patient, """[] a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:Patient.address [ fhir:index 0 ;
        fhir:Address.line [ fhir:index 0 ; fhir:Element.id [ fhir:value "x" ] ] ,
            [ fhir:index 1 ; fhir:value "b" ] ] .""", R4)  # fmt: skip


def test_contained_resources_and_what_is_linked_to_them() -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "m",
        "contained": [{"resourceType": "Medication", "id": "c"}],
        "medicationReference": {"reference": "#c"},
    }
    assert same(order, """<MedicationRequest/m> a fhir:MedicationRequest ; fhir:nodeRole fhir:treeRoot ;
        fhir:Resource.id [ fhir:value "m" ] ;
        fhir:DomainResource.contained [ a fhir:Medication ; fhir:index 0 ; fhir:Resource.id [ fhir:value "c" ] ] ;
        fhir:MedicationRequest.medicationReference [
            fhir:Reference.reference [ fhir:value "#c" ] ] .""", R4)  # fmt: skip
    report = {"resourceType": "Basic", "id": "b", "subject": {"reference": "#c"}}
    assert same(report, """<Basic/b> a fhir:Basic ; fhir:nodeRole fhir:treeRoot ; fhir:id [ fhir:v "b" ] ;
        fhir:subject [ fhir:l <Basic/b#c> ; fhir:reference [ fhir:v "#c" ] ] .""", R6)  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "value", "term"),
    [
        ("Decimal", "1.00", '"1.00"^^xsd:decimal'),
        ("Decimal", "-0", '"-0"^^xsd:decimal'),
        ("Decimal", PI, f'"{PI}"^^xsd:decimal'),
        ("Decimal", "1E-22", '"1E-22"^^xsd:double'),
        ("Decimal", "1e400", '"1e400"^^xsd:double'),
        ("Integer64", '"9223372036854775807"', '"9223372036854775807"^^xsd:long'),
        ("UnsignedInt", "0", '"0"^^xsd:nonNegativeInteger'),
        ("PositiveInt", "7", '"7"^^xsd:positiveInteger'),
        ("Integer", "-2147483648", '"-2147483648"^^xsd:integer'),
        ("Boolean", "false", '"false"^^xsd:boolean'),
        ("Date", '"2019"', '"2019"^^xsd:gYear'),
        ("Date", '"2019-03"', '"2019-03"^^xsd:gYearMonth'),
        ("Date", '"2020-02-29"', '"2020-02-29"^^xsd:date'),
        ("DateTime", '"2019-03-02T11:12:13.50+01:00"', '"2019-03-02T11:12:13.50+01:00"^^xsd:dateTime'),
        ("DateTime", '"2016-12-31T23:59:60Z"', '"2016-12-31T23:59:60Z"'),
        ("Instant", '"2019-03-02T11:12:13Z"', '"2019-03-02T11:12:13Z"^^xsd:dateTime'),
        ("Time", '"11:12:13"', '"11:12:13"^^xsd:time'),
        ("Base64Binary", '"YQ\\u003d\\u003d"', '"YQ=="^^xsd:base64Binary'),
        ("Base64Binary", '"YWE\\/\\nYWE="', '"YWE/\\nYWE="^^xsd:base64Binary'),
        ("String", '"a \\"b\\" \\\\ \\/ \\ud83d\\ude00 \\u0007 é"', '"a \\"b\\" \\\\ / 😀 \\u0007 é"'),
        ("String", '"2019-01-01"', '"2019-01-01"'),
        ("Oid", '"urn:oid:1.2"', '"urn:oid:1.2"^^xsd:anyURI'),
        ("Canonical", '"urn:x|1.0"', '"urn:x|1.0"^^xsd:anyURI ; fhir:link <urn:x%7C1.0>'),
    ],
)  # fmt: skip
def test_a_value_keeps_its_characters_and_gets_its_type(type_name: str, value: str, term: str) -> None:
    name = type_name[0].lower() + type_name[1:]
    basic = f'{{"resourceType": "Basic", "extension": [{{"url": "urn:u", "value{type_name}": {value}}}]}}'
    assert same(basic, f"""[] a fhir:Basic ; fhir:nodeRole fhir:treeRoot ; fhir:extension ( [
        fhir:url [ fhir:v "urn:u"^^xsd:anyURI ] ;
        fhir:value [ a fhir:{name} ; fhir:v {term} ] ] ) .""", R5)  # fmt: skip
    assert written(basic).problems == ()


def test_exponents_can_be_written_out() -> None:
    basic = '{"resourceType": "Basic", "extension": [{"url": "urn:u", "valueDecimal": 1.20e-3}]}'
    text = written(basic, replace(R5, exponents="expand")).text
    assert b'"0.00120"^^xsd:decimal' in text
    huge = basic.replace("1.20e-3", "1e999999999")
    assert b'"1e999999999"^^xsd:double' in written(huge, replace(R5, exponents="expand")).text


@pytest.mark.parametrize(
    ("fragment", "code", "path"),
    [
        ('"birthDate": "2019-02-30"', "wrong-value", "Patient.birthDate"),
        ('"birthDate": 1970', "wrong-shape", "Patient.birthDate"),
        ('"birthDate": null', "wrong-shape", "Patient.birthDate"),
        ('"active": "true"', "wrong-shape", "Patient.active"),
        ('"name": {"family": "x"}', "wrong-shape", "Patient.name"),
        ('"name": []', "wrong-shape", "Patient.name"),
        ('"name": [{"given": ["a", 1]}]', "wrong-shape", "Patient.name[0].given"),
        ('"maritalStatus": []', "wrong-shape", "Patient.maritalStatus"),
        ('"maritalStatus": {}', "empty-object", "Patient.maritalStatus"),
        ('"multipleBirthInteger": 1.5', "wrong-shape", "Patient.multipleBirthInteger"),
        ('"multipleBirthInteger": 99999999999999999999999', "wrong-shape", "Patient.multipleBirthInteger"),
        ('"deceasedBoolean": true, "deceasedDateTime": "2019"', "two-choices", "Patient"),
        ('"colour": {"a": [1.00]}', "unknown-element", "Patient.colour"),
        ('"_colour": {"id": "a"}', "unknown-element", "Patient._colour"),
        ('"_birthDate": []', "wrong-shape", "Patient._birthDate"),
        ('"_birthDate": {"colour": 1}', "unknown-element", "Patient.birthDate.colour"),
        ('"contained": [{"resourceType": "Nothing"}]', "wrong-shape", "Patient.contained"),
        ('"modifierExtension": [{"url": "urn:u", "valueCode": "x"}]', "modifier", "Patient.modifierExtension"),
        ('"id": "a b"', "identifier", "Patient.id"),
    ],
)
def test_what_is_wrong_is_said_in_both_languages_and_kept(fragment: str, code: str, path: str) -> None:
    raw = f'{{"resourceType": "Patient", {fragment}}}'
    graph_of(raw, R5)
    graph_of(raw, R4)
    result = written(raw)
    assert [(problem.code, problem.path) for problem in result.problems] == [(code, path)]
    (problem,) = result.problems
    assert problem.en != problem.fr
    assert result.has_errors == (problem.severity == "error")
    if code in {"wrong-shape", "unknown-element"}:
        (kept,) = [quad for quad in parse(PREFIXES.encode() + result.text, RdfFormat.TURTLE)
                   if quad.predicate.value.endswith("elementJson")]  # fmt: skip
        assert kept.object.value in raw.replace(" ", "") or kept.object.value in raw


def test_a_problem_is_said_each_time() -> None:
    writer = Writer(R5, BASE)
    raw = '{"resourceType": "Patient", "contact": [{"x": 1}, {"x": 1}]}'
    assert len(writer.write(raw).problems) == 2
    assert len(writer.write(raw).problems) == 2


def test_a_modifier_extension_renames_what_carries_it() -> None:
    observation = {
        "resourceType": "Observation",
        "modifierExtension": [{"url": "urn:u", "valueBoolean": True}],
        "component": [{"modifierExtension": [{"url": "urn:u", "valueBoolean": True}]}],
    }
    extension = """fhir:modifierExtension ( [ fhir:url [ fhir:v "urn:u"^^xsd:anyURI ] ;
        fhir:value [ a fhir:boolean ; fhir:v true ] ] )"""
    text = f"""[] a fhir:_Observation ; fhir:nodeRole fhir:treeRoot ; {extension} ;
        fhir:_component ( [ {extension} ] ) ."""
    assert same(observation, text, R5)
    assert same(observation, text.replace("_Obs", "Obs").replace("_comp", "comp"), replace(R5, underscore=False))
    assert len(written(observation).problems) == 2


def test_a_bundle_names_its_entries_and_resolves_among_them() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "http://server.example/Patient/1", "resource": {"resourceType": "Patient", "id": "1"}},
            {
                "fullUrl": "http://server.example/Observation/2",
                "resource": {"resourceType": "Observation", "subject": {"reference": "Patient/1"}},
            },
            {"resource": {"resourceType": "Basic"}},
            {"fullUrl": "not an iri", "resource": {"resourceType": "Basic"}},
        ],
    }
    assert same(bundle, """[] a fhir:Bundle ; fhir:nodeRole fhir:treeRoot ; fhir:type [ fhir:v "collection" ] ;
        fhir:entry (
            [ fhir:fullUrl [ fhir:v "http://server.example/Patient/1"^^xsd:anyURI ] ;
              fhir:resource <http://server.example/Patient/1> ]
            [ fhir:fullUrl [ fhir:v "http://server.example/Observation/2"^^xsd:anyURI ] ;
              fhir:resource <http://server.example/Observation/2> ]
            [ fhir:resource [ a fhir:Basic ] ]
            [ fhir:fullUrl [ fhir:v "not an iri"^^xsd:anyURI ] ; fhir:resource [ a fhir:Basic ] ] ) .
        <http://server.example/Patient/1> a fhir:Patient ; fhir:id [ fhir:v "1" ] .
        <http://server.example/Observation/2> a fhir:Observation ;
            fhir:subject [ fhir:link <http://server.example/Patient/1> ; fhir:reference [ fhir:v "Patient/1" ] ] .
        """, R5)  # fmt: skip
    assert [problem.path for problem in written(bundle).problems] == ["Bundle.entry[3].resource"]


def test_versions_in_one_bundle_stay_apart() -> None:
    def entry(version: str) -> dict[str, object]:
        return {
            "fullUrl": "http://server.example/Patient/1",
            "resource": {"resourceType": "Patient", "id": "1", "meta": {"versionId": version}},
        }

    bundle = {"resourceType": "Bundle", "entry": [entry("2"), entry("1"), entry("1")]}
    result = written(bundle, syntax="ntriples")
    subjects = {line.split()[0] for line in result.text.decode().splitlines() if line.startswith("<")}
    assert subjects == {"<http://server.example/Patient/1>", "<http://server.example/Patient/1/_history/1>"}
    assert [problem.code for problem in result.problems] == ["full-url"]  # the third has no name left


def test_references_by_type_and_id_find_an_entry_with_a_urn() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p"}},
            {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Basic", "subject": {"reference": "Patient/p"}}},
        ],
    }
    assert b"fhir:link <urn:uuid:1>" in written(bundle).text


def test_the_context_of_one_bundle_does_not_leak_into_the_next() -> None:
    writer = Writer(R5, BASE)
    order = '{"resourceType": "Basic", "subject": {"reference": "Patient/p"}}'
    assert b"<https://example.org/fhir/Patient/p>" in writer.write(order).text
    assert b"<http://a.example/Patient/p>" in writer.write(order, full_url="http://a.example/Basic/1").text
    assert b"<https://example.org/fhir/Patient/p>" in writer.write(order).text
    targets = writer.targets({"Patient/p": "urn:uuid:9"})
    assert b"<urn:uuid:9>" in writer.write(order, targets=targets).text
    assert b"<https://example.org/fhir/Patient/p>" in writer.write(order).text


@pytest.mark.parametrize("syntax", ["turtle", "ntriples"])
@pytest.mark.parametrize("dialect", [R4, R5])
def test_a_bundle_written_entry_by_entry_is_the_same_graph(shared: Path, dialect: Dialect, syntax: Syntax) -> None:
    source = json.loads(sorted((shared / "fhir" / "synthea-r4").glob("*.json"))[2].read_text(encoding="utf-8"))
    source["entry"] = source["entry"][:25]
    form = RdfFormat.TURTLE if syntax == "turtle" else RdfFormat.N_TRIPLES
    whole = Writer(dialect, BASE, syntax=syntax)
    at_once = whole.write(json.dumps(source))
    head = json.dumps({name: value for name, value in source.items() if name != "entry"}).encode()
    writers = [Writer(dialect, BASE, syntax=syntax, label=label) for label in ("x", "y")]
    bundles = [writer.open_bundle(head, label="z") for writer in writers]
    parts = [bundles[0].start.text]
    for number, entry in enumerate(source["entry"]):
        parts.append(bundles[number % 2].entry(json.dumps(entry).encode(), number).text)
    parts.append(bundles[1].end(count=len(source["entry"])).text)
    streamed = list(parse(whole.head + b"".join(parts), form))
    assert len(streamed) == at_once.triples
    assert graph(streamed) == graph(parse(whole.head + at_once.text, form))


def test_blank_nodes_of_several_writers_do_not_clash() -> None:
    texts = [
        Writer(R5, BASE, syntax="ntriples", label=label).write(b'{"resourceType": "Basic"}').text for label in "ab"
    ]
    quads = [quad for text in texts for quad in parse(text, RdfFormat.N_TRIPLES)]
    assert len({quad.subject for quad in quads if isinstance(quad.subject, BlankNode)}) == 2
    with pytest.raises(ValueError, match="label"):
        Writer(R5, BASE, label="b1")


def test_labels_begin_anew_so_that_the_same_data_give_the_same_bytes() -> None:
    writer = Writer(R5, BASE, syntax="ntriples")
    first = [writer.write(json.dumps(OBSERVATION)).text for _ in range(2)]
    writer.relabel("b")
    assert [writer.write(json.dumps(OBSERVATION)).text for _ in range(2)] == first
    assert first[0] != first[1]


def test_a_graph_can_be_named() -> None:
    writer = Writer(R4, BASE, syntax="ntriples", graph="https://example.org/g|1")
    result = writer.write(json.dumps(OBSERVATION | {"status": "a .\n"}))
    quads = list(parse(result.text, RdfFormat.N_QUADS))
    assert len(quads) == result.triples == count_triples(result.text)
    assert {quad.graph_name.value for quad in quads} == {"https://example.org/g%7C1"}
    with pytest.raises(ValueError, match="ntriples"):
        Writer(R4, BASE, graph="https://example.org/g")


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b'{"resourceType": "Patient", "id": "a"', BadJson),
        (b'{"resourceType": "Patient", "id": "a", "id": "b"}', BadJson),
        (b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}', BadJson),
        (b'{"resourceType":"Patient","name":[{"family":"a","\\u0066amily":"b"}]}', BadJson),
        (b'{"resourceType": "Patient", "language": "\\ud800"}', BadJson),
        (b'{"resourceType": "Patient", "language": "\xff"}', BadJson),
        (b'{"resourceType": "Patient", "x": NaN}', BadJson),
        (b"[]", ResourceBroken),
        (b"{}", ResourceBroken),
        (b'{"resourceType": 3}', ResourceBroken),
        (b'{"resourceType": "Nothing"}', ResourceBroken),
        (b"", BadJson),
    ],
)
def test_what_is_no_resource_is_refused_with_a_sentence(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        written(raw)
    assert caught.value.message("fr") != caught.value.message("en")  # type: ignore[attr-defined]


def test_a_key_with_a_colon_is_no_duplicate() -> None:
    assert [problem.path for problem in written('{"resourceType": "Basic", "a:b": 1}').problems] == ["Basic.a:b"]


@pytest.mark.parametrize("depth", [150, 10_000])
def test_deep_nesting_is_a_sentence(depth: int) -> None:
    extension = '{"url": "urn:u", "extension": [' * depth + '{"url": "urn:u"}' + "]}" * depth
    with pytest.raises((ResourceBroken, BadJson)):
        written(f'{{"resourceType": "Basic", "extension": [{extension}]}}')


def test_nesting_that_people_use_is_written() -> None:
    extension = '{"url": "urn:u", "extension": [' * 40 + '{"url": "urn:u"}' + "]}" * 40
    assert written(f'{{"resourceType": "Basic", "extension": [{extension}]}}', syntax="ntriples").triples > 200


def test_the_base_of_the_specification_is_not_for_patients() -> None:
    writer = Writer(R4, FHIR)
    with pytest.raises(BaseReserved):
        writer.write('{"resourceType": "Patient", "id": "p1"}')
    assert writer.write('{"resourceType": "ValueSet", "id": "v"}').subject == f"{FHIR}ValueSet/v"
    with pytest.raises(BaseMissing):
        Writer(R4, "example.org")


@pytest.mark.parametrize("release", ["R4", "R5", "R6"])
def test_every_synthea_bundle_passes_strict_parsers_in_both_syntaxes(shared: Path, release: str) -> None:
    path = min((shared / "fhir" / "synthea-r4").glob("*.json"), key=lambda file: file.stat().st_size)
    for syntax, form in (("turtle", RdfFormat.TURTLE), ("ntriples", RdfFormat.N_TRIPLES)):
        writer = Writer(DIALECTS[release], BASE, syntax=syntax)  # type: ignore[index,arg-type]
        result = writer.write(path.read_bytes())
        assert sum(1 for _ in parse(writer.head + result.text, form)) == result.triples


def test_memory_is_bounded() -> None:
    writer = Writer(R4, BASE, syntax="ntriples", memory=200_000)
    for number in range(3_000):
        writer.write(json.dumps(OBSERVATION | {"id": str(number), "note": [{"text": f"{number} " * 20}]}))
    assert writer.pieces.held < 300_000
