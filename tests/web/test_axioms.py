"""Axioms and constraints in words, in the reader's language."""

import asyncio
import html
import re
from pathlib import Path

import httpx
import pytest

from pepr_kg import Settings
from pepr_kg.namespaces import ONTOLOGY_GRAPH, SHAPES_GRAPH
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.web.app import create_app

PREFIXES = """
@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
@prefix shape: <https://w3id.org/pepr-santenum/ontology/shape/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
pepr:p a owl:ObjectProperty . pepr:q a owl:ObjectProperty . pepr:d a owl:DatatypeProperty .
pepr:A a owl:Class . pepr:B a owl:Class . pepr:C a owl:Class .
"""
RESTRICTION = "[ a owl:Restriction ; owl:onProperty pepr:p ; {} ]"
CASES = {
    "owl:someValuesFrom pepr:A": ("p some A", "p au moins un A"),
    "owl:allValuesFrom pepr:A": ("p only A", "p seulement A"),
    "owl:hasValue pepr:A": ("p value A", "p a pour valeur A"),
    "owl:hasSelf true": ("p self", "p soi-même"),
    "owl:cardinality 2": ("p exactly 2", "p exactement 2"),
    "owl:minQualifiedCardinality 1 ; owl:onClass pepr:A": ("p min 1 A", "p au minimum 1 A"),
    "owl:maxQualifiedCardinality 3 ; owl:onDataRange xsd:date": ("p max 3 xsd:date", "p au maximum 3 xsd:date"),
    "owl:someValuesFrom [ owl:unionOf ( pepr:A pepr:B ) ]": ("p some ( A or B )", "p au moins un ( A ou B )"),
    "owl:someValuesFrom [ owl:intersectionOf ( pepr:A [ owl:complementOf pepr:B ] ) ]": (
        "p some ( A and ( not B ) )", "p au moins un ( A et ( non B ) )",
    ),
    "owl:allValuesFrom [ owl:oneOf ( pepr:A pepr:B ) ]": ("p only ( { A , B } )", "p seulement ( { A , B } )"),
    "owl:someValuesFrom [ owl:onDatatype xsd:decimal ; owl:withRestrictions ( [ xsd:minInclusive 0 ] ) ]": (
        "p some ( xsd:decimal [ ≥ 0 ] )", "p au moins un ( xsd:decimal [ ≥ 0 ] )",
    ),
    "owl:someValuesFrom [ rdfs:label \"nothing that OWL knows\" ]": ("p some …", "p au moins un …"),
}  # fmt: skip


def words_of(folder: Path, turtle: str, path: str, graph: str = ONTOLOGY_GRAPH) -> str:
    """The words of a page over an ontology that holds the Turtle."""
    file = folder / "ontology.ttl"
    file.write_text(PREFIXES + turtle, encoding="utf-8")
    dataset = Dataset(folder / "data")
    with dataset.change(who="test", source="test") as change:
        change.load(file, NamedNode(graph))
        change.commit()

    async def ask() -> str:
        transport = httpx.ASGITransport(create_app(Settings(), dataset))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get(path, headers={"Accept": "text/html"})).text

    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", asyncio.run(ask()))))


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("part", CASES)
def test_a_restriction_is_written_in_words(tmp_path: Path, part: str, lang: str) -> None:
    expected = CASES[part][lang == "fr"]
    turtle = f"pepr:C rdfs:subClassOf {RESTRICTION.format(part)} ."
    assert expected in words_of(tmp_path, turtle, f"/{lang}/ontology/C")


def test_a_chain_and_an_inverse_are_written_in_words(tmp_path: Path) -> None:
    turtle = "pepr:p owl:propertyChainAxiom ( pepr:q [ owl:inverseOf pepr:q ] ) ; a owl:TransitiveProperty ."
    words = words_of(tmp_path, turtle, "/en/ontology/p")
    assert "Follows from the chain" in words
    assert "q ∘ ( inverse of q )" in words
    assert "transitive" in words


def test_an_expression_in_itself_ends(tmp_path: Path) -> None:
    words = words_of(tmp_path, "pepr:C rdfs:subClassOf _:x . _:x owl:complementOf _:x .", "/en/ontology/C")
    assert "not" in words
    assert "…" in words


def test_a_constraint_says_what_how_strictly_and_how_to_mend_it(tmp_path: Path) -> None:
    turtle = """
    shape:C a sh:NodeShape ; sh:targetClass pepr:C ; sh:property shape:C-d .
    shape:C-d sh:path pepr:d ; sh:minCount 1 ; sh:severity sh:Warning ; sh:in ( "a" "b" ) ;
        sh:or ( [ sh:datatype xsd:date ] [ sh:datatype xsd:gYear ] ) ;
        sh:message "Il faut une date."@fr , "A date is needed."@en ; sh:description "Add one."@en .
    """
    french = words_of(tmp_path, turtle, "/fr/ontology/C", SHAPES_GRAPH)
    for expected in ("à vérifier", "au moins 1", "parmi a · b", "l’un de de type xsd:date · de type xsd:gYear",
                     "Il faut une date.", "Add one. en"):  # fmt: skip
        assert expected in french, expected
    assert "A date is needed." not in french
