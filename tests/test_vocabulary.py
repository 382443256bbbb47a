"""The ontology and the names of things as people read them."""

from pathlib import Path

import pytest

from pepr_kg.namespaces import ONTOLOGY_GRAPH, PEPR, PROGRAMME_GRAPH, SHAPES_GRAPH, expand
from pepr_kg.search import Index, Name, singular, words
from pepr_kg.store import BlankNode, Dataset, NamedNode, View
from pepr_kg.vocabulary import Label, Vocabulary

PREFIXES = """
@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
@prefix shape: <https://w3id.org/pepr-santenum/ontology/shape/> .
@prefix module: <https://w3id.org/pepr-santenum/ontology/module/> .
@prefix project: <https://w3id.org/pepr-santenum/id/project/> .
@prefix organ: <https://w3id.org/pepr-santenum/id/organ/> .
@prefix scheme: <https://w3id.org/pepr-santenum/id/scheme/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
"""
ONTOLOGY = """
pepr:Endeavour a owl:Class ; rdfs:label "entreprise"@fr , "endeavour"@en ; rdfs:isDefinedBy module:programme .
pepr:Project a owl:Class ; rdfs:subClassOf pepr:Endeavour , foaf:Project , [
        a owl:Restriction ; owl:onProperty pepr:hasPart ;
        owl:allValuesFrom [ owl:unionOf ( pepr:Project pepr:Old ) ] ] .
foaf:Project a owl:Class ; rdfs:label "Project"@en .
pepr:Old a owl:Class ; owl:deprecated true ; rdfs:subClassOf pepr:Older .
pepr:Older a owl:Class ; rdfs:subClassOf pepr:Old .
pepr:hasPart a owl:ObjectProperty . pepr:inWhole a owl:ObjectProperty ; owl:inverseOf pepr:hasPart .
pepr:inProgramme a owl:ObjectProperty ; rdfs:subPropertyOf pepr:inWhole .
"""
SHAPES = """
shape:Endeavour a sh:NodeShape ; sh:targetClass pepr:Endeavour ; sh:property shape:Endeavour-label .
shape:Endeavour-label sh:path rdfs:label ; sh:minCount 1 .
shape:Part a sh:NodeShape ; sh:targetSubjectsOf pepr:hasPart ; sh:property [ sh:path [ sh:inversePath pepr:inWhole ] ] .
"""
FACTS = """
project:one a pepr:Project , owl:NamedIndividual ; rdfs:label "Un"@fr , "One"@en ; pepr:hasPart project:two .
project:two a pepr:Project , pepr:Endeavour ; foaf:name "Deux" .
scheme:organs a skos:ConceptScheme ; rdfs:label "organes"@fr .
organ:heart a skos:Concept ; skos:inScheme scheme:organs ;
    rdfs:label "cœur"@fr , "heart"@en ; skos:altLabel "myocarde"@fr .
organ:valve a skos:Concept ; skos:inScheme scheme:organs ; skos:broader organ:heart .
"""


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return Vocabulary(filled(tmp_path_factory.mktemp("vocabulary")))


def filled(folder: Path) -> View:
    dataset = Dataset(folder / "data")
    with dataset.change(who="test", source="test") as change:
        for graph, text in {ONTOLOGY_GRAPH: ONTOLOGY, SHAPES_GRAPH: SHAPES, PROGRAMME_GRAPH: FACTS}.items():
            path = folder / "input.ttl"
            path.write_text(PREFIXES + text, encoding="utf-8")
            change.load(path, NamedNode(graph))
        return change.commit()


def test_a_label_is_in_the_language_asked_for_else_in_the_other_else_the_short_form(vocabulary: Vocabulary) -> None:
    assert vocabulary.label(expand("project:one"), "fr") == Label("Un", "fr")
    assert vocabulary.label(expand("scheme:organs"), "en") == Label("organes", "fr")
    assert vocabulary.label(expand("project:two"), "en") == Label("Deux", "")
    assert vocabulary.label(expand("pepr:hasPart"), "en") == Label("hasPart", "")
    assert vocabulary.label(expand("organ:valve"), "en") == Label("organ:valve", "")
    assert vocabulary.label("urn:elsewhere", "en") == Label("urn:elsewhere", "")


def test_the_most_specific_class_is_what_a_thing_is(vocabulary: Vocabulary) -> None:
    assert vocabulary.types(expand("project:two")) == (expand("pepr:Project"),)
    assert vocabulary.types(expand("project:one")) == (expand("pepr:Project"),)
    assert vocabulary.kind(expand("project:one")) == expand("pepr:Project")
    assert vocabulary.kind(expand("organ:heart")) == expand("scheme:organs")
    assert vocabulary.kind("urn:elsewhere") is None


def test_counts_include_those_of_classes_below(vocabulary: Vocabulary) -> None:
    endeavour, project = (vocabulary.terms[expand(curie)] for curie in ("pepr:Endeavour", "pepr:Project"))
    assert (endeavour.uses, endeavour.total) == (1, 2)
    assert (project.uses, project.total) == (2, 2)
    assert vocabulary.terms[expand("pepr:hasPart")].uses == 1
    assert set(vocabulary.instances(expand("pepr:Endeavour"))) == {expand("project:one"), expand("project:two")}


def test_the_tree_has_our_roots_first_and_several_parents(vocabulary: Vocabulary) -> None:
    roots = [term.curie for term in vocabulary.roots("class")]
    assert roots.index("pepr:Endeavour") < roots.index("foaf:Project")
    project = vocabulary.terms[expand("pepr:Project")]
    assert project.parents == (expand("pepr:Endeavour"), expand("foaf:Project"))
    assert vocabulary.ancestors(project.iri) == project.parents
    assert vocabulary.terms[expand("foaf:Project")].path == "foaf:Project"
    assert project.path == "Project"
    assert vocabulary.terms[expand("pepr:Endeavour")].module == expand("pepr:module/programme")


def test_a_circle_of_classes_does_not_hang(vocabulary: Vocabulary) -> None:
    assert vocabulary.ancestors(PEPR + "Old") == (PEPR + "Older",)
    assert vocabulary.terms[PEPR + "Old"].deprecated


def test_inverses_reach_through_the_properties_above(vocabulary: Vocabulary) -> None:
    assert vocabulary.inverses(PEPR + "inProgramme") == {PEPR + "hasPart"}
    assert vocabulary.inverses(PEPR + "hasPart") == {PEPR + "inWhole"}


def test_shapes_hold_for_the_class_and_those_below_and_for_properties(vocabulary: Vocabulary) -> None:
    expected = {"Endeavour", "Endeavour-label"}
    for name in ("Endeavour", "Project"):
        found = vocabulary.constraints(PEPR + name)
        assert {constraint.value.rpartition("/")[2] for _, constraint in found} == expected
    assert [shape.value for shape, _ in vocabulary.constraints(expand("rdfs:label"))] == [PEPR + "shape/Endeavour"]
    (pair,) = vocabulary.constraints(PEPR + "inWhole")
    assert isinstance(pair[1], BlankNode)


def test_lists_are_read_in_order(vocabulary: Vocabulary) -> None:
    (union,) = (parts for parts in vocabulary.structure.values() if expand("owl:unionOf") in parts)
    members = vocabulary.members(union[expand("owl:unionOf")][0])
    assert [member.value for member in members] == [PEPR + "Project", PEPR + "Old"]


def test_an_iri_is_located_however_it_is_written(vocabulary: Vocabulary) -> None:
    iri = expand("project:one")
    for text in ("project:one", f" <{iri}> ", iri):
        assert vocabulary.locate(text) == iri
    for text in ("project:none", "nothing:here", "one", "https://example.org/"):
        assert vocabulary.locate(text) is None


def test_a_plain_concept_is_under_its_scheme(vocabulary: Vocabulary) -> None:
    assert set(vocabulary.concepts(expand("scheme:organs"))) == {expand("organ:heart"), expand("organ:valve")}
    assert vocabulary.concept_schemes() == (expand("scheme:organs"),)
    assert vocabulary.above(expand("organ:valve"), "skos:broader") == (expand("organ:heart"),)


def test_a_name_of_any_kind_is_found(vocabulary: Vocabulary) -> None:
    for text in ("COEUR", "cœurs", "hearts", "myocardes", "coeu"):
        (hit,) = vocabulary.index.find(text)
        assert hit.iri == expand("organ:heart"), text
    assert vocabulary.index.find("  ,;") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("hôpitaux", "HOPITAL"), ("réseau", "reseaux"), ("maladies", "maladie"), ("study", "studies"),
     ("œdème", "oedemes")],
)  # fmt: skip
def test_accents_capitals_and_plurals_do_not_matter(one: str, other: str) -> None:
    assert words(one) == words(other)


def test_a_word_of_few_letters_keeps_them() -> None:
    assert [singular(word) for word in ("os", "as", "avc", "ia")] == ["os", "as", "avc", "ia"]


def test_the_best_hit_comes_first() -> None:
    index = Index([
        Name("urn:long", "Programme de recherche en santé", "fr"),
        Name("urn:exact", "Santé", "fr"),
        Name("urn:start", "Santé numérique", "fr"),
        Name("urn:part", "Téléconsultation", "fr"),
    ])  # fmt: skip
    assert [hit.iri for hit in index.find("sante")] == ["urn:exact", "urn:start", "urn:long"]
    assert [hit.iri for hit in index.find("la santé du programme")] == ["urn:long"]
    assert [hit.iri for hit in index.find("consult")] == ["urn:part"]
    assert index.find("de la") == [] or index.find("de la")[0].iri == "urn:long"


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    index = Index([Name("urn:1", "anévrisme intracrânien", "fr")])
    assert index.suggest("anevrsme intracranien") == ["anevrisme intracranien"]
    assert index.suggest("zzzzzz") == []
    assert index.suggest("") == []


def test_the_real_ontology_has_its_terms_labelled_in_both_languages(view: View) -> None:
    vocabulary = Vocabulary(view)
    own = [term for term in vocabulary.terms.values() if term.own]
    assert len(own) > 200
    for lang in ("fr", "en"):
        assert [term.curie for term in own if vocabulary.label(term.iri, lang).lang != lang] == []
    assert vocabulary.terms[PEPR + "Project"].total == 19
