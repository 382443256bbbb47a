"""The 143 statements of the ANR page, compared one by one with the reference material that they were written from."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pepr_kg.namespaces import PREFIXES, expand
from pepr_kg.store import Literal, NamedNode, Term, View

SHARED = Path(os.environ.get("PEPR_KG_SHARED", Path(__file__).parents[2] / "shared"))
FACTS = SHARED / "programme" / "facts.yaml"
PAGE = SHARED / "programme" / "seed-page.fr.txt"
if not (FACTS.is_file() and PAGE.is_file()):
    pytest.skip(
        f"the reference material is not at {FACTS.parent}: set PEPR_KG_SHARED to its folder", allow_module_level=True
    )

MATERIAL: dict[str, Any] = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
SEED: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MATERIAL["seed"]}
PROJECTS = {entry["project_index"]: entry for entry in SEED.values() if "project_index" in entry}
LINES = PAGE.read_text(encoding="utf-8").split("\n")
PROLOGUE = "".join(
    f"PREFIX {prefix}: <{PREFIXES[prefix]}>\n"
    for prefix in (
        "component", "decision-status", "dcterms", "document", "pepr", "programme", "prov", "rdfs", "time"
    )
)  # fmt: skip
DATATYPES = {"date": "xsd:date", "date (year-month)": "xsd:gYearMonth", "URL": "xsd:anyURI"}


@dataclass(slots=True)
class Stated:
    """What the graph holds of one statement: property IRI -> its objects."""

    iri: Term
    objects: dict[str, set[Term]] = field(default_factory=lambda: defaultdict(set))

    def of(self, prop: str) -> set[Term]:
        return self.objects[expand(prop)]

    def one(self, prop: str) -> Term:
        (found,) = self.of(prop)
        return found

    def literals(self, prop: str) -> list[Literal]:
        return [term for term in self.of(prop) if isinstance(term, Literal)]


def node(curie: str) -> NamedNode:
    return NamedNode(expand(curie))


def rows(view: View, sparql: str, **bindings: Term) -> list[tuple[Term | None, ...]]:
    return list(view.select(PROLOGUE + sparql, bindings).rows)


@pytest.fixture(scope="module")
def statements(view: View) -> dict[str, Stated]:
    """Every statement of the page, by its identifier."""
    found: dict[str, Stated] = {}
    query = """SELECT ?identifier ?statement ?property ?object WHERE {
        ?statement a pepr:Statement ; dcterms:identifier ?identifier ; ?property ?object ;
            prov:hadPrimarySource document:anr-page
        FILTER(STRSTARTS(?identifier, "seed-")) }"""
    for identifier, statement, prop, obj in rows(view, query):
        assert isinstance(identifier, Literal)
        assert isinstance(prop, NamedNode)
        assert statement is not None
        assert obj is not None
        entry = found.setdefault(identifier.value, Stated(statement))
        assert entry.iri == statement, f"two statements have the identifier {identifier.value}"
        entry.objects[prop.value].add(obj)
    return found


@pytest.fixture(scope="module")
def superseded(view: View) -> set[Term | None]:
    query = """SELECT DISTINCT ?statement WHERE {
        { ?statement pepr:hasDecisionStatus decision-status:superseded ; a pepr:Statement }
        UNION { ?later pepr:supersedes ?statement } UNION { ?statement pepr:supersededBy ?later } }"""
    return {row[0] for row in rows(view, query)}


def triples(stated: Stated) -> set[tuple[Term, Term, Term]]:
    """Return the plain triples that a statement asks for, if its basis and status let it."""
    subjects, objects = stated.of("pepr:aboutSubject"), stated.of("pepr:statesEntity") or stated.of("pepr:statesValue")
    return {(subject, stated.one("pepr:aboutProperty"), obj) for subject in subjects for obj in objects}


def holds(view: View, triple: tuple[Term, Term, Term]) -> bool:
    names = dict(zip(("s", "p", "o"), triple, strict=True))
    return bool(rows(view, "SELECT ?s ?p ?o WHERE { ?s ?p ?o }", **names))


def live(stated: Stated, superseded: set[Term | None]) -> bool:
    asserted = {node("basis:stated"), node("basis:derived"), node("basis:translated")}
    return bool(stated.of("pepr:hasBasis") & asserted) and stated.iri not in superseded


def test_the_page_has_its_143_statements_and_no_other(statements: dict[str, Stated]) -> None:
    assert len(SEED) == 143
    assert set(statements) == set(SEED)


@pytest.mark.parametrize("identifier", SEED)
def test_value(identifier: str, statements: dict[str, Stated]) -> None:
    entry, values = SEED[identifier], statements[identifier].literals("pepr:statesValue")
    exact = [literal for literal in values if literal.value == str(entry["value"])]
    assert exact, f"{entry['value']!r} is not among {values}"
    if isinstance(entry["value"], int):
        assert {literal.datatype for literal in values} == {node("xsd:integer")}
    elif entry["value_type"] in DATATYPES:
        assert {literal.datatype for literal in values} == {node(DATATYPES[entry["value_type"]])}
    elif entry["predicate"] == "acronym":
        assert exact == [Literal(entry["value"])]
    elif entry.get("verbatim"):
        assert [literal.language for literal in exact] == ["fr"]
    if any(literal.language == "en" for literal in values):
        assert {literal.language for literal in values} == {"en", "fr"}


@pytest.mark.parametrize("identifier", SEED)
def test_source_line_and_basis(identifier: str, view: View, statements: dict[str, Stated]) -> None:
    entry, stated = SEED[identifier], statements[identifier]
    query = """SELECT ?statement ?line ?end ?document WHERE {
        ?statement pepr:hasLocator ?locator . ?locator pepr:line ?line ; pepr:inDocument ?document
        OPTIONAL { ?locator pepr:lineEnd ?end } }"""
    line = re.fullmatch(r"L(\d+)", entry["locator"])
    assert line
    expected = (stated.iri, Literal(int(line[1])), None, node("document:anr-page"))
    assert rows(view, query, statement=stated.iri) == [expected]
    assert stated.one("pepr:statedOn") == Literal("2024-03-06", datatype=node("xsd:date"))
    basis = "silent" if entry["value_type"] == "missing value" else "derived" if entry.get("derived") else "stated"
    assert stated.one("pepr:hasBasis") == node(f"basis:{basis}")


@pytest.mark.parametrize("identifier", SEED)
def test_caveat_in_both_languages(identifier: str, view: View, statements: dict[str, Stated]) -> None:
    entry, stated = SEED[identifier], statements[identifier]
    query = """SELECT ?statement ?text (LANG(?text) AS ?language) WHERE {
        ?statement pepr:hasCaveat ?caveat . ?caveat a pepr:Caveat ; pepr:caveatText ?text }"""
    found = rows(view, query, statement=stated.iri)
    texts = {language.value: text for _, text, language in found if isinstance(language, Literal)}
    if "caveat" not in entry:
        assert texts == {}
        return
    assert texts["en"] == Literal(entry["caveat"], language="en")
    assert set(texts) == {"en", "fr"}
    assert texts["fr"] != texts["en"]


@pytest.mark.parametrize("identifier", SEED)
def test_words_of_the_page_are_on_their_line(identifier: str, statements: dict[str, Stated]) -> None:
    entry, wording = SEED[identifier], statements[identifier].literals("pepr:wording")
    line = LINES[int(entry["locator"].removeprefix("L")) - 1]
    assert [literal.value for literal in wording if literal.value not in line] == []
    if entry.get("verbatim"):
        assert [literal.value for literal in wording] == [entry["value"]]
    elif "display" in entry:
        (literal,) = wording
        assert literal.value.replace("’", "'") == entry["display"]


@pytest.mark.parametrize("identifier", SEED)
def test_what_a_statement_says_is_a_plain_triple(
    identifier: str, view: View, statements: dict[str, Stated], superseded: set[Term | None]
) -> None:
    stated = statements[identifier]
    wanted = triples(stated)
    assert wanted
    if live(stated, superseded):
        assert [triple for triple in wanted if not holds(view, triple)] == []
        return
    others = [other for other in statements.values() if other is not stated and live(other, superseded)]
    elsewhere = {triple for other in others for triple in triples(other)}
    assert [triple for triple in wanted - elsewhere if holds(view, triple)] == []


@pytest.mark.parametrize("identifier", [key for key, entry in SEED.items() if isinstance(entry["value"], int)])
def test_a_figure_is_also_a_number_on_its_node(identifier: str, view: View, statements: dict[str, Stated]) -> None:
    entry = SEED[identifier]
    query = """SELECT ?figure ?number ?currency ?bound WHERE {
        { ?figure pepr:numericValue ?number } UNION { ?figure time:numericDuration ?number ; a pepr:Duration }
        OPTIONAL { ?figure pepr:currency ?currency } OPTIONAL { ?figure pepr:bound ?bound } }"""
    ((_, number, currency, bound),) = rows(view, query, figure=statements[identifier].one("pepr:statesEntity"))
    assert isinstance(number, Literal)
    assert float(number.value) == entry["value"]
    if entry["value_type"] == "money EUR":
        assert currency == Literal("EUR")
    elif entry["value_type"].startswith("integer"):
        kinds = {"integer (approximate)": "nearly", "integer (lower bound)": "at-least"}
        assert bound == Literal(kinds.get(entry["value_type"], "exact"))


def test_what_a_statement_is_about_has_a_label_in_both_languages(view: View) -> None:
    query = """SELECT DISTINCT ?thing ?language WHERE {
        VALUES ?role { pepr:aboutSubject pepr:statesEntity }
        ?statement prov:hadPrimarySource document:anr-page ; ?role ?thing
        VALUES ?language { "fr" "en" }
        FILTER NOT EXISTS { ?thing rdfs:label ?label FILTER(LANG(?label) = ?language) } }"""
    assert rows(view, query) == []


def test_the_properties_that_statements_are_about_are_declared(view: View) -> None:
    query = """SELECT DISTINCT ?property WHERE {
        ?statement prov:hadPrimarySource document:anr-page ; pepr:aboutProperty ?property
        FILTER NOT EXISTS { ?property a ?kind } }"""
    assert rows(view, query) == []


@pytest.mark.parametrize("index", PROJECTS)
def test_the_title_of_a_project_is_the_line_of_the_page(index: int, view: View) -> None:
    query = """SELECT ?number ?title ?label WHERE {
        programme:pepr-sante-numerique pepr:hasProject ?project . component:first pepr:hasProject ?project .
        ?project a pepr:Project ; pepr:number ?number ; dcterms:title ?title ; rdfs:label ?label
        FILTER(LANG(?title) = "fr" && LANG(?label) = "fr") }"""
    line = LINES[int(PROJECTS[index]["locator"].removeprefix("L")) - 1]
    title = Literal(line.removeprefix("  • "), language="fr")
    number = Literal(index)
    assert rows(view, query, number=number) == [(number, title, title)]


@pytest.mark.parametrize("name", MATERIAL["seed_programmes"])
def test_a_research_programme_has_its_titles_and_projects(name: str, view: View) -> None:
    entry = MATERIAL["seed_programmes"][name]
    programme = node(f"research-programme:{entry['number']}")
    titles = """SELECT ?programme ?title WHERE {
        ?programme a pepr:ResearchProgramme ; dcterms:title ?title ; rdfs:label ?title }"""
    assert {row[1] for row in rows(view, titles, programme=programme)} == {
        Literal(entry["title_fr"], language="fr"),
        Literal(entry["title_en"], language="en"),
    }
    projects = """SELECT ?programme ?number WHERE {
        ?programme pepr:hasProject ?project ; pepr:partOf programme:pepr-sante-numerique .
        ?project pepr:inResearchProgramme ?programme ; pepr:number ?number } ORDER BY ?number"""
    expected = [Literal(int(project.removeprefix("project-"))) for project in entry["projects"]]
    assert [row[1] for row in rows(view, projects, programme=programme)] == expected


def test_the_seventeen_projects_are_subject_to_decision(view: View) -> None:
    query = """SELECT ?project WHERE {
        component:first pepr:hasProject ?project . ?project pepr:hasDecisionStatus decision-status:subject-to-decision
        FILTER EXISTS { ?statement pepr:aboutSubject ?project ; pepr:aboutProperty pepr:hasDecisionStatus } }"""
    assert len(rows(view, query)) == len(PROJECTS) == 17
