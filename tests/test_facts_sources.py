"""What sources other than the ANR page say, compared with the reference material that it was written from.

The 17 projects, the second component, the 16 further statements on the programme, the 19 disagreements; and the rule
that binds every statement of the dataset to its plain triple.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from pepr_kg.namespaces import PREFIXES, expand
from pepr_kg.store import Literal, NamedNode, Term, View

SHARED = Path(os.environ.get("PEPR_KG_SHARED", Path(__file__).parents[2] / "shared"))
FACTS = SHARED / "programme" / "facts.yaml"
if not FACTS.is_file():
    pytest.skip(
        f"the reference material is not at {FACTS.parent}: set PEPR_KG_SHARED to its folder", allow_module_level=True
    )

MATERIAL: dict[str, Any] = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
PROJECTS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MATERIAL["projects"]}
LAUREATES: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MATERIAL["second_component"]["laureates"]}
OTHER: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MATERIAL["programme_other_sources"]}
CONFLICTS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MATERIAL["conflicts"]}
# Lists of the material, and how the identifiers of their statements go on after the project's.
LISTS = {
    "partner_institutions": "partner",
    "work_packages": "work-package",
    "disease_or_organ": "disease",
    "scale": "scale",
    "modalities": "modality",
    "methods": "method",
}
# Sources that the material names in words; the others are named by their address.
IN_WORDS = {
    "README of inria-datalake/Collections_INRIA": "inria-collections-readme",
    "public GitHub file: Leaspy README, project of the ARAMIS Lab (aramis-lab/leaspy)": "leaspy-readme",
    "public GitHub file: draft of a research page by a doctoral student of Inserm UMR 1248, Limoges": (
        "umr-1248-research-page"
    ),
    "public GitHub file: news digest": "news-digest",
    "public page of an Inria engineer": "inria-engineer-page",
    "public repository text": "public-repository-text",
}
PROLOGUE = "".join(
    f"PREFIX {prefix}: <{PREFIXES[prefix]}>\n"
    for prefix in ("basis", "component", "dcterms", "decision-status", "document", "pepr", "prov", "rdfs", "skos")
)
WITHHELD = {"inferred", "candidate", "unverified", "silent", "mistaken", "variant"}


def node(curie: str) -> NamedNode:
    return NamedNode(expand(curie))


def rows(view: View, sparql: str, **bindings: Term) -> list[tuple[Term | None, ...]]:
    return list(view.select(PROLOGUE + sparql, bindings).rows)


def texts(terms: set[Term]) -> set[str]:
    return {term.value for term in terms if isinstance(term, Literal)}


@pytest.fixture(scope="module")
def things(view: View) -> dict[str, dict[str, set[Term]]]:
    """Everything with an identifier of its own (statements, disagreements): identifier -> property IRI -> objects."""
    found: dict[str, dict[str, set[Term]]] = {}
    query = "SELECT ?identifier ?property ?object WHERE { ?thing dcterms:identifier ?identifier ; ?property ?object }"
    for identifier, prop, obj in rows(view, query):
        assert isinstance(identifier, Literal)
        assert isinstance(prop, NamedNode)
        assert obj is not None
        found.setdefault(identifier.value, defaultdict(set))[prop.value].add(obj)
    return found


@pytest.fixture(scope="module")
def projects(view: View) -> dict[int, NamedNode]:
    query = "SELECT ?project ?number WHERE { component:first pepr:hasProject ?project . ?project pepr:number ?number }"
    found = {}
    for project, number in rows(view, query):
        assert isinstance(project, NamedNode)
        assert isinstance(number, Literal)
        found[int(number.value)] = project
    return found


def values(view: View, subject: NamedNode, prop: str) -> set[Term]:
    query = "SELECT ?subject ?property ?value WHERE { ?subject ?property ?value }"
    return {row[2] for row in rows(view, query, subject=subject, property=node(prop)) if row[2] is not None}


def names(view: View, subject: NamedNode, prop: str) -> set[str]:
    """Return the names of the people that a plain triple leads to."""
    query = """PREFIX foaf: <http://xmlns.com/foaf/0.1/>
        SELECT ?subject ?property ?name WHERE { ?subject ?property ?person . ?person foaf:name ?name }"""
    return {
        row[2].value for row in rows(view, query, subject=subject, property=node(prop)) if isinstance(row[2], Literal)
    }


def of(identifier: str, projects: dict[int, NamedNode]) -> NamedNode:
    return projects[int(identifier.removeprefix("project-"))]


def basis(thing: dict[str, set[Term]]) -> str:
    (found,) = thing[expand("pepr:hasBasis")]
    assert isinstance(found, NamedNode)
    return found.value.rsplit("/", 1)[1]


def listed(things: dict[str, dict[str, set[Term]]], stem: str) -> list[str]:
    """Return the statements `stem-1`, `stem-2` …, without those that refine one of them."""
    return [f"{stem}-{index}" for index in range(1, 100) if f"{stem}-{index}" in things]


# ---------------------------------------------------------------- the 17 projects
def test_there_are_seventeen_projects(projects: dict[int, NamedNode]) -> None:
    assert sorted(projects) == list(range(1, 18))
    assert len(PROJECTS) == 17


@pytest.mark.parametrize("identifier", PROJECTS)
def test_titles_in_both_languages(identifier: str, view: View, projects: dict[int, NamedNode], things: Any) -> None:
    entry, project = PROJECTS[identifier], of(identifier, projects)
    expected = {Literal(entry["title_fr"], language="fr"), Literal(entry["title_en"], language="en")}
    assert values(view, project, "dcterms:title") == expected
    assert values(view, project, "rdfs:label") == expected
    assert basis(things[f"{identifier}-title-en"]) == ("translated" if entry.get("translated") else "stated")


@pytest.mark.parametrize("identifier", PROJECTS)
def test_acronym_is_plain_only_if_sourced(
    identifier: str, view: View, projects: dict[int, NamedNode], things: Any
) -> None:
    entry, plain = PROJECTS[identifier], values(view, of(identifier, projects), "pepr:acronym")
    stated = things[f"{identifier}-acronym"]
    assert stated[expand("pepr:statesValue")] == {Literal(entry["acronym"])}
    if entry.get("acronym_unverified") or entry.get("acronym_inferred"):
        assert plain == set()
        assert basis(stated) == ("unverified" if entry.get("acronym_unverified") else "inferred")
    else:
        assert plain == {Literal(entry["acronym"])}


@pytest.mark.parametrize("identifier", PROJECTS)
def test_dates_codes_and_site(identifier: str, view: View, projects: dict[int, NamedNode], things: Any) -> None:
    entry, project = PROJECTS[identifier], of(identifier, projects)
    for key in ("start", "end"):
        expected = {Literal(entry[key], datatype=node("xsd:gYear"))} if entry[key] else set()
        assert values(view, project, f"pepr:{key}") == expected
    code, candidate = entry["anr_grant_code"], entry.get("anr_grant_code_candidate")
    assert values(view, project, "pepr:grantCode") == ({Literal(code)} if code else set())
    if candidate:
        stated = things[f"{identifier}-grant-code-candidate"]
        assert stated[expand("pepr:statesValue")] == {Literal(candidate["value"])}
        assert basis(stated) == "candidate"
    site = {Literal(entry["website"], datatype=node("xsd:anyURI"))} if entry["website"] else set()
    assert values(view, project, "pepr:website") == site
    assert values(view, project, "pepr:hasBudget") == set()


def test_a_grant_bears_the_code_of_its_project(view: View) -> None:
    query = """SELECT ?code ?value WHERE { ?project pepr:hasGrant ?grant .
        ?grant pepr:grantCode ?code ; pepr:hasIdentifier/pepr:identifierValue ?value }"""
    found = {row[0].value: row[1] for row in rows(view, query) if isinstance(row[0], Literal)}
    codes = {entry["anr_grant_code"] for entry in PROJECTS.values()} - {None}
    others = {PROJECTS["project-03"]["funding_reference_other"]["value"], "2025-PEPR-121554"}
    assert set(found) == codes | others
    assert found == {code: Literal(code) for code in found}


@pytest.mark.parametrize("identifier", PROJECTS)
def test_people(identifier: str, view: View, projects: dict[int, NamedNode], things: Any) -> None:
    entry, project = PROJECTS[identifier], of(identifier, projects)
    for key, prop, stem in (
        ("coordinators", "pepr:hasCoordinator", "coordinator"),
        ("key_people", "pepr:hasKeyPerson", "key-person"),
    ):
        people = entry.get(key) or []
        assert names(view, project, prop) == {one["name"] for one in people if not one.get("inferred")}
        statements = listed(things, f"{identifier}-{stem}")
        assert [texts(things[one][expand("pepr:statesValue")]) for one in statements] == [{p["name"]} for p in people]
        bases = ["inferred" if one.get("inferred") else "stated" for one in people]
        assert [basis(things[one]) for one in statements] == bases
        for one, statement in zip(people, statements, strict=True):
            affiliation = things.get(f"{statement}-affiliation")
            said = texts(affiliation[expand("pepr:statesValue")]) if affiliation else set()
            assert (one["affiliation"] in said) if one["affiliation"] else not said


@pytest.mark.parametrize("identifier", [*PROJECTS, *LAUREATES])
def test_partners_and_themes_one_by_one(identifier: str, things: Any) -> None:
    entry = (PROJECTS | LAUREATES)[identifier]
    for key, stem in LISTS.items():
        statements = listed(things, f"{identifier}-{stem}")
        said = [texts(things[one][expand("pepr:statesValue")]) for one in statements]
        expected = entry.get(key) or []
        assert len(said) == len(expected)
        assert [words for words, found in zip(expected, said, strict=True) if words not in found] == []


@pytest.mark.parametrize("identifier", PROJECTS)
def test_the_organisation_that_coordinates(
    identifier: str, view: View, projects: dict[int, NamedNode], things: Any
) -> None:
    entry, project = PROJECTS[identifier], of(identifier, projects)
    unit = identifier == "project-04"
    plain = values(view, project, "pepr:hasCoordinatingUnit" if unit else "pepr:hasCoordinatingOrganisation")
    assert len(plain) == bool(entry["coordinating_institution"])
    if plain:
        stated = things[f"{identifier}-coordinating-{'unit' if unit else 'organisation'}"]
        assert stated[expand("pepr:statesEntity")] == plain
        assert entry["coordinating_institution"] in texts(stated[expand("pepr:statesValue")])


def test_outputs_events_and_counts(view: View) -> None:
    query = """SELECT ?output ?kind WHERE { ?project pepr:hasOutput ?output . ?output pepr:outputKind ?kind
        FILTER(LANG(?kind) = "en") }"""
    kinds = sorted(row[1].value for row in rows(view, query) if isinstance(row[1], Literal))
    assert kinds == ["article", "data challenge", "software", "software", "software", "software"]
    article = node("output:digphat-consortium-article")
    assert texts(values(view, article, "dcterms:title")) == {PROJECTS["project-04"]["outputs"][0]["name"]}
    for event, day in (
        ("ai4scmed-kickoff", "2023-09-26"),
        ("smatch-kickoff", "2023-12-14"),
        ("sanso-launch", "2024-03-13"),
    ):
        assert texts(values(view, node(f"event:{event}"), "pepr:date")) == {day}
    teams = rows(view, "SELECT ?n WHERE { ?smatch pepr:acronym 'SMATCH' ; pepr:hasCount/pepr:numericValue ?n }")
    assert teams == [(Literal(PROJECTS["project-05"]["number_of_teams"]),)]
    assert texts(values(view, node("project:sanso"), "pepr:effectiveStart")) == {"2024"}


# ---------------------------------------------------------------- the second component
def test_the_call_of_the_second_component(view: View, things: Any) -> None:
    (entry,) = MATERIAL["second_component"]["calls"]
    (call,) = values(view, node("component:second"), "pepr:hasCall")
    assert isinstance(call, NamedNode)
    assert values(view, call, "dcterms:title") == {Literal(entry["title"], language="fr")}
    assert values(view, call, "pepr:publishedOn") == {Literal(entry["published"], datatype=node("xsd:date"))}
    assert values(view, call, "pepr:callType") == {node("call-type:aap")}
    assert texts(values(view, call, "pepr:website")) == {entry["source"]}
    assert entry["aim"] in texts(values(view, call, "pepr:statedAim"))
    assert MATERIAL["second_component"]["ami_note"] in texts(things["call-ami"][expand("pepr:statesValue")])
    assert basis(things["call-ami"]) == "silent"


def test_the_laureates_belong_to_the_second_component_but_not_to_the_call(view: View, things: Any) -> None:
    laureates = values(view, node("component:second"), "pepr:hasProject")
    assert laureates == {node("project:braintwin"), node("project:twincart")}
    for identifier, entry in LAUREATES.items():
        assert entry["call_link_inferred"]
        assert basis(things[f"{identifier}-call"]) == "inferred"
        (laureate,) = things[f"{identifier}-acronym"][expand("pepr:aboutSubject")]
        assert isinstance(laureate, NamedNode)
        assert texts(values(view, laureate, "pepr:acronym")) == {entry["acronym"]}
        assert entry["title_en"] in texts(values(view, laureate, "dcterms:title"))
        assert names(view, laureate, "pepr:hasCoordinator") == {entry["coordinator"]["name"]}
        assert values(view, laureate, "pepr:inEndeavour") == set()
    (possible,) = MATERIAL["second_component"]["possible_laureates"]
    stated = things["possible-laureate-prodrom-nd"]
    assert texts(stated[expand("pepr:statesValue")]) == {possible["name"]}
    assert basis(stated) == "candidate"


def test_braintwin_has_its_budget_duration_and_dates(view: View) -> None:
    entry, project = LAUREATES["laureate-braintwin"], node("project:braintwin")
    query = """PREFIX time: <http://www.w3.org/2006/time#>
        SELECT ?project ?euros ?currency ?months ?unit WHERE {
            ?project pepr:hasBudget ?budget ; pepr:hasDuration ?duration .
            ?budget pepr:numericValue ?euros ; pepr:currency ?currency .
            ?duration time:numericDuration ?months ; time:unitType ?unit }"""
    ((_, euros, currency, months, unit),) = rows(view, query, project=project)
    assert (euros, currency) == (Literal(entry["budget_eur"]), Literal("EUR"))
    assert isinstance(months, Literal)
    assert int(months.value) == entry["duration_months"]
    assert unit == NamedNode("http://www.w3.org/2006/time#unitMonth")
    assert texts(values(view, project, "pepr:start")) == {str(entry["start"])}
    assert texts(values(view, project, "pepr:end")) == {entry["end"]}
    assert texts(values(view, project, "pepr:website")) == {entry["website"]}


# ---------------------------------------------------------------- the programme in other sources
@pytest.fixture(scope="module")
def documents(view: View) -> dict[str, Term]:
    """The document of each way in which the material names a source: its address, or its words."""
    found: dict[str, Term] = {words: node(f"document:{name}") for words, name in IN_WORDS.items()}
    for document, address in rows(view, "SELECT ?d ?address WHERE { ?d a pepr:Document ; pepr:website ?address }"):
        assert isinstance(address, Literal)
        assert document is not None
        found[address.value] = document
    return found


def sources(material: str | list[str], documents: dict[str, Term]) -> set[Term]:
    """Return the documents that the material names; what stands in brackets after an address is a remark."""
    named = [material] if isinstance(material, str) else material
    found = set()
    for one in named:
        if one.startswith("seed "):
            found.add(documents[MATERIAL["about"]["seed_page"]])
        else:
            found.add(documents[one.split(" (")[0] if one.startswith("http") else one])
    return found


@pytest.mark.parametrize("identifier", OTHER)
def test_further_statements_on_the_programme(identifier: str, things: Any, documents: dict[str, Term]) -> None:
    entry, stated = OTHER[identifier], things[identifier]
    family = [thing for name, thing in things.items() if name == identifier or name.startswith(identifier + "-")]
    cited = {document for thing in family for document in thing[expand("prov:hadPrimarySource")]}
    if entry["source"] == "see projects":
        assert len(cited) == 11  # Ten codes; that of SAFEPAW stands in two of the sources.
    else:
        assert cited == sources(entry["source"], documents)
    wanted = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
    said = texts(stated[expand("pepr:statesValue")]) | texts(stated[expand("skos:note")])
    assert [value for value in wanted if str(value) not in said] == []
    assert basis(stated) == "stated"


def test_a_note_of_the_material_is_a_caveat(view: View) -> None:
    notes = {entry["note"] for entry in OTHER.values() if "note" in entry}
    notes |= {one["note"] for entry in PROJECTS.values() for one in entry.get("key_people") or []}
    notes |= {one["note"] for entry in PROJECTS.values() for one in entry.get("coordinators") or [] if "note" in one}
    notes |= {entry["partner_note"] for entry in PROJECTS.values() if "partner_note" in entry}
    notes |= {entry["source_note"] for entry in PROJECTS.values() if "source_note" in entry}
    notes |= {
        entry["anr_grant_code_candidate"]["basis"].rstrip("'")
        for entry in PROJECTS.values()
        if "anr_grant_code_candidate" in entry
    }
    query = 'SELECT ?text WHERE { ?statement pepr:hasCaveat/pepr:caveatText ?text FILTER(LANG(?text) = "en") }'
    assert notes - {row[0].value for row in rows(view, query) if isinstance(row[0], Literal)} == set()


# ---------------------------------------------------------------- the 19 disagreements
def test_there_are_nineteen_disagreements(view: View) -> None:
    found = rows(view, "SELECT ?identifier WHERE { ?d a pepr:Disagreement ; dcterms:identifier ?identifier }")
    assert sorted(row[0].value for row in found if isinstance(row[0], Literal)) == sorted(CONFLICTS)
    assert len(CONFLICTS) == 19


@pytest.mark.parametrize("identifier", CONFLICTS)
def test_disagreement_in_words(identifier: str, view: View, things: Any) -> None:
    entry, disagreement = CONFLICTS[identifier], things[identifier]
    for prop, text in (
        ("rdfs:label", entry["topic"]),
        ("pepr:firstReading", entry["seed_value"]["value"]),
        ("pepr:secondReading", entry["other_value"]),
        ("pepr:resolution", entry["how_to_model"]),
    ):
        found = {term.language: term.value for term in disagreement[expand(prop)]}
        assert set(found) == {"en", "fr"}
        assert found["en"] == text
    query = """SELECT ?disagreement ?label WHERE {
        ?disagreement pepr:hasLocator/rdfs:label ?label FILTER(LANG(?label) = "en") }"""
    lines = texts({row[1] for row in rows(view, query, disagreement=node(f"disagreement:{identifier}")) if row[1]})
    locator = entry["seed_value"]["locator"]
    assert lines == (set(locator.split(", ")) if locator else set())


@pytest.mark.parametrize("identifier", CONFLICTS)
def test_disagreement_has_sides_from_the_sources(
    identifier: str, view: View, things: Any, documents: dict[str, Term]
) -> None:
    entry, sides = CONFLICTS[identifier], things[identifier][expand("pepr:hasSide")]
    assert len(sides) >= 2
    query = """SELECT ?disagreement ?side ?document WHERE {
        ?disagreement pepr:hasSide ?side . ?side prov:hadPrimarySource ?document }"""
    cited = {row[2] for row in rows(view, query, disagreement=node(f"disagreement:{identifier}"))}
    expected = sources(entry["other_source"], documents)
    assert expected <= cited
    page = {documents[MATERIAL["about"]["seed_page"]]}
    # Beside the sources that the material lists: the page itself, and a source that stands on the first side.
    first_side = {
        "conflict-13": {node("document:braintwin-readme")},
        "conflict-14": {node("document:smatch-site")},
        "conflict-19": {node("document:public-repository-ror-style-record")},
    }
    same_site = {node("document:ai4scmed-site"), node("document:smatch-site")}
    assert cited - expected - page - first_side.get(identifier, set()) <= same_site


def test_the_sides_of_a_disagreement_are_related(view: View) -> None:
    query = """SELECT ?disagreement ?side WHERE { ?disagreement pepr:hasSide ?side
        FILTER NOT EXISTS { ?disagreement pepr:hasSide ?other
            { ?side pepr:disagreesWith|^pepr:disagreesWith ?other }
            UNION { ?side pepr:supersedes|^pepr:supersedes|pepr:supersededBy|^pepr:supersededBy ?other } } }"""
    assert rows(view, query) == []


def test_what_time_has_overtaken_is_superseded(view: View) -> None:
    query = "SELECT ?new ?old WHERE { ?new pepr:supersedes ?old }"
    found = {(row[0], row[1]) for row in rows(view, query)}
    assert (node("statement:conflict-04-other"), node("statement:seed-024")) in found
    assert (node("statement:x-02"), node("statement:seed-114")) in found


def test_a_mistake_elsewhere_is_recorded_and_not_believed(view: View, things: Any) -> None:
    for identifier in ("conflict-07-other", "conflict-08-other", "organisation-inria-ror-mistaken"):
        assert basis(things[identifier]) == "mistaken"
    programme = node("programme:pepr-sante-numerique")
    assert values(view, programme, "pepr:hasPilot") == {node("organisation:inserm"), node("organisation:inria")}


def test_the_rest_of_the_budget_is_derived_and_flagged(view: View, things: Any) -> None:
    stated = things["conflict-18-other"]
    assert basis(stated) == "derived"
    assert stated[expand("pepr:statesEntity")] == {node("amount:pepr-remainder")}
    assert stated[expand("pepr:hasCaveat")] != set()
    remainder = node("amount:pepr-remainder")
    assert values(view, remainder, "pepr:numericValue") == {Literal(2000000)}
    assert values(view, remainder, "pepr:shareOf") == {node("amount:pepr-budget")}


def test_a_variant_is_recorded_and_not_adopted(view: View, things: Any) -> None:
    for identifier, year in (("laureate-braintwin-start-readme", "2025"), ("laureate-braintwin-start-about", "2026")):
        stated = things[identifier]
        assert basis(stated) == "variant"
        assert stated[expand("pepr:statesValue")] == {Literal(year, datatype=node("xsd:gYear"))}
        assert node(f"statement:{identifier}") in things["conflict-13"][expand("pepr:hasSide")]
    assert texts(values(view, node("event:braintwin-funding-approval"), "pepr:date")) == {"2025-12"}


def test_the_titles_of_the_research_programmes_are_translated(things: Any) -> None:
    for entry in MATERIAL["seed_programmes"].values():
        stated = things[f"research-programme-{entry['number']}-title-en"]
        assert basis(stated) == "translated"
        assert stated[expand("pepr:statesValue")] == {Literal(entry["title_en"], language="en")}


def test_an_acronym_that_no_source_gives_is_not_in_an_iri(projects: dict[int, NamedNode]) -> None:
    for identifier, entry in PROJECTS.items():
        if entry.get("acronym_unverified") or entry.get("acronym_inferred"):
            assert of(identifier, projects) == node(f"project:{identifier}")


def test_whom_a_pilot_stands_for(view: View) -> None:
    query = """SELECT ?participation ?organisation WHERE { ?participation pepr:onBehalfOf ?organisation }"""
    found = {(row[0], row[1]) for row in rows(view, query)}
    assert found == {
        (node("participation:hugues-berry-co-pilot-inria"), node("organisation:inria")),
        (node("participation:philippe-gesnouin-coordinator-inria"), node("organisation:inria")),
        (node("participation:lotfi-senhadji-co-pilot-inserm"), node("organisation:inserm")),
        (node("participation:philippe-gesnouin-co-pilot-2025"), node("organisation:inria")),
        (node("participation:lotfi-senhadji-co-pilot-2025"), node("organisation:inserm")),
    }


# ---------------------------------------------------------------- the rule of all statements
def test_a_sound_statement_has_its_plain_triple(view: View) -> None:
    query = """SELECT ?statement ?subject ?property ?object WHERE {
        VALUES ?basis { basis:stated basis:derived basis:translated }
        ?statement pepr:hasBasis ?basis ; pepr:aboutSubject ?subject ; pepr:aboutProperty ?property .
        FILTER NOT EXISTS { ?statement pepr:hasDecisionStatus decision-status:superseded }
        FILTER NOT EXISTS { ?statement ^pepr:supersedes|pepr:supersededBy ?later }
        { ?statement pepr:statesEntity ?object }
        UNION { ?statement pepr:statesValue ?object FILTER NOT EXISTS { ?statement pepr:statesEntity ?entity } }
        FILTER NOT EXISTS { ?subject ?property ?object } }"""
    assert rows(view, query) == []


def test_an_unsound_statement_has_no_plain_triple_of_its_own(view: View) -> None:
    query = """SELECT ?statement ?subject ?property ?object WHERE {
        VALUES ?basis { basis:inferred basis:candidate basis:unverified basis:silent basis:mistaken basis:variant }
        ?statement pepr:hasBasis ?basis ; pepr:aboutSubject ?subject ; pepr:aboutProperty ?property ;
            pepr:statesEntity|pepr:statesValue ?object .
        ?subject ?property ?object .
        FILTER NOT EXISTS {
            VALUES ?sound { basis:stated basis:derived basis:translated }
            ?other pepr:hasBasis ?sound ; pepr:aboutSubject ?subject ; pepr:aboutProperty ?property ;
                pepr:statesEntity|pepr:statesValue ?object
            FILTER NOT EXISTS { ?other pepr:hasDecisionStatus decision-status:superseded }
            FILTER NOT EXISTS { ?other ^pepr:supersedes|pepr:supersededBy ?later } } }"""
    assert rows(view, query) == []


def test_every_statement_of_a_source_is_complete(view: View) -> None:
    query = """SELECT ?statement WHERE { ?statement a pepr:Statement
        FILTER(NOT EXISTS { ?statement prov:hadPrimarySource/a pepr:Document }
            || NOT EXISTS { ?statement pepr:hasBasis/skos:inScheme ?scheme }
            || NOT EXISTS { ?statement dcterms:identifier ?identifier }
            || NOT EXISTS { ?statement rdfs:label ?fr FILTER(LANG(?fr) = "fr") }
            || NOT EXISTS { ?statement rdfs:label ?en FILTER(LANG(?en) = "en") }) }"""
    assert rows(view, query) == []
    withheld = rows(
        view, "SELECT ?name WHERE { ?s pepr:hasBasis ?basis BIND(STRAFTER(STR(?basis), '/basis/') AS ?name) }"
    )
    assert {row[0].value for row in withheld if isinstance(row[0], Literal)} >= WITHHELD
