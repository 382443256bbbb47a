"""Every shape and every quality query is seen to fire, and sound data is left alone."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import rdflib
from rdflib.namespace import OWL, RDF, SH

from pepr_kg.build import Built, sources
from pepr_kg.errors import DataError, DataSyntaxError, ValidationRefused
from pepr_kg.namespaces import GRAPH, ONTOLOGY_GRAPH, SHAPE, SHAPES_GRAPH, shrink
from pepr_kg.questions import load_questions
from pepr_kg.rdf import parse_bytes
from pepr_kg.resources import queries_dir, shapes_dir
from pepr_kg.store import Dataset, NamedNode, Quad, RdfFormat, View, parse_file
from pepr_kg.validation import Report, validate, validate_graphs

EXAMPLES = Path(__file__).parent / "data" / "shapes"
CANDIDATE = NamedNode(GRAPH + "candidate")
QUALITY = sorted(path.stem for path in (queries_dir() / "quality").glob("*.rq"))
DERIVED_INTEGERS = {
    rdflib.XSD[name]
    for name in ("int", "long", "short", "byte", "nonNegativeInteger", "positiveInteger", "unsignedInt")
}

Inspect = Callable[..., Report]


@pytest.fixture(scope="module")
def inspect(tmp_path_factory: pytest.TempPathFactory) -> Inspect:
    """Validate files as a change would: with the ontology and the shapes, without the facts."""

    def run(*paths: Path, quads: tuple[Quad, ...] = ()) -> Report:
        reports: list[Report] = []
        dataset = Dataset(tmp_path_factory.mktemp("validation") / "data")
        with dataset.change(who="test", source="test") as change:
            for graph in (ONTOLOGY_GRAPH, SHAPES_GRAPH):
                for path in sources()[graph]:
                    change.load(path, NamedNode(graph))
            for path in paths:
                change.load(path, CANDIDATE)
            change.add(quads)
            change.commit(lambda view: reports.append(validate(view)))
        return reports[0]

    return run


@pytest.fixture(scope="module")
def shapes() -> rdflib.Graph:
    graph = rdflib.Graph()
    for path in sorted(shapes_dir().glob("*.ttl")):
        graph.parse(path)
    return graph


@pytest.fixture(scope="module")
def violating(inspect: Inspect) -> Report:
    """One report on all violating examples; each has IRIs of its own."""
    return inspect(*sorted(EXAMPLES.glob("*.ttl")))


def expected(path: Path) -> set[str]:
    return {
        SHAPE + name for name in re.findall(r"^# fires: shape:(\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def rules(graph: rdflib.Graph) -> set[str]:
    """The IRIs of all shapes that declare a constraint of their own."""
    own = {SH.path, SH.property, SH.targetClass, SH.targetObjectsOf, SH.targetSubjectsOf, SH.name, RDF.type}
    named = [node for kind in (SH.NodeShape, SH.PropertyShape) for node in graph.subjects(RDF.type, kind)]
    return {str(node) for node in named if set(graph.predicates(node)) - own}


# ---- The shapes themselves -------------------------------------------------------------------------------------------


def test_every_rule_has_messages_severity_and_fix_in_both_languages(shapes: rdflib.Graph) -> None:
    for rule in sorted(rules(shapes)):
        node = rdflib.URIRef(rule)
        for text in (SH.name, SH.message, SH.description):
            found = [value for value in shapes.objects(node, text) if isinstance(value, rdflib.Literal)]
            languages = sorted(str(value.language) for value in found)
            assert languages == ["en", "fr"], (rule, text)
        assert shapes.value(node, SH.severity) in (SH.Violation, SH.Warning, SH.Info), rule


def test_every_property_shape_has_an_iri_and_an_owner(shapes: rdflib.Graph) -> None:
    for node in shapes.subjects(RDF.type, SH.PropertyShape):
        assert isinstance(node, rdflib.URIRef)
        assert list(shapes.subjects(SH.property, node)), node
    for node in shapes.objects(None, SH.property):
        if isinstance(node, rdflib.URIRef):
            assert (node, RDF.type, SH.PropertyShape) in shapes, node


def test_shapes_name_only_terms_that_the_ontology_declares(shapes: rdflib.Graph) -> None:
    """A typo in a target or a path would make a shape silent."""
    ontology = rdflib.Graph()
    for path in sources()[ONTOLOGY_GRAPH]:
        ontology.parse(path)
    ours = {
        str(node)
        for _, predicate, node in shapes
        if isinstance(node, rdflib.URIRef) and predicate != RDF.type and (node, RDF.type, None) not in shapes
        and "/pepr-santenum/" in node
    }  # fmt: skip
    described = {str(node) for node in ontology.subjects(RDF.type)}
    facts = {
        "component/first",
        "scheme/organs",
        "scheme/diseases",
        "scheme/modalities",
        "scheme/methods",
        "scheme/topics",
    }
    assert {iri.partition("/id/")[2] or iri for iri in ours - described} <= facts


def test_shapes_ask_for_no_datatype_that_the_store_rewrites(shapes: rdflib.Graph) -> None:
    assert not DERIVED_INTEGERS & set(shapes.objects(None, SH.datatype))


def test_there_is_a_shapes_file_for_every_module() -> None:
    graph = rdflib.Graph()
    for path in sources()[ONTOLOGY_GRAPH]:
        graph.parse(path)
    modules = {
        str(node).rpartition("/module/")[2]
        for node in graph.subjects(RDF.type, OWL.Ontology)
        if "/module/" in str(node)
    }
    wanted = {name for name in modules if name != "alignments" and not name.startswith("external-")}
    assert wanted <= {path.stem for path in shapes_dir().glob("*.ttl")}


def test_the_page_names_every_shapes_file_and_every_query() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "validation.md").read_text(encoding="utf-8")
    for path in shapes_dir().glob("*.ttl"):
        assert f"| `{path.name}` |" in page, path.name
    for name in QUALITY:
        question = load_questions()[name]
        assert f"| `{name}` | {question.finding} | {question.title['en']} |" in page, name


# ---- Every rule fires, and only where it should ----------------------------------------------------------------------


def test_every_rule_has_a_violating_example(shapes: rdflib.Graph) -> None:
    covered = set().union(*(expected(path) for path in EXAMPLES.glob("*.ttl")))
    assert rules(shapes) - covered == set()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ttl")), ids=lambda path: path.stem)
def test_violating_example_fires_its_shapes(path: Path, violating: Report) -> None:
    nodes = {str(node) for quad in parse_file(path, CANDIDATE) for node in (quad.subject, quad.object)}
    fired = {finding.shape for finding in violating.findings if str(finding.focus) in nodes}
    assert expected(path) - fired == set()


@pytest.mark.parametrize("name", QUALITY)
def test_quality_query_finds_its_example(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / "quality" / f"{name}.ttl"
    text = path.read_text(encoding="utf-8")
    prefixes = dict(re.findall(r"^@prefix ([\w-]+): <([^>]+)>", text, re.MULTILINE))
    wanted = {
        prefixes[prefix] + local for prefix, local in re.findall(r"^# focus: ([\w-]+):(\S+)$", text, re.MULTILINE)
    }
    question = load_questions()[name]
    found: list[str] = []

    def ask(view: View) -> None:
        table = view.select(question.sparql)
        assert table.columns == question.columns
        found.extend(row["focus"].value for row in table.iter_dicts())

    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        change.load(path, CANDIDATE)
        change.commit(ask)
    assert wanted
    assert set(found) == wanted


def test_quality_queries_say_what_is_wrong_and_how_to_mend_it() -> None:
    questions = [question for question in load_questions().values() if question.group == "quality"]
    assert [question.name for question in questions] == QUALITY
    for question in questions:
        assert question.finding in ("violation", "warning", "info"), question.name
        assert question.columns[0] == "focus", question.name
        for texts in (question.title, question.message, question.fix):
            assert texts["fr"], question.name
            assert texts["en"], question.name
            assert texts["fr"] != texts["en"], question.name
            used = re.findall(r"\{(\w+)\}", texts["fr"] + texts["en"])
            assert set(used) <= set(question.columns), question.name


def test_sound_data_has_no_finding(inspect: Inspect, shapes: rdflib.Graph) -> None:
    paths = sorted((EXAMPLES / "valid").glob("*.ttl"))
    report = inspect(*paths)
    assert not report.findings, report.to_text("en")
    # Sound, and about everything: each targeted class has an instance among the examples.
    data = rdflib.Graph()
    for path in [*paths, *sources()[ONTOLOGY_GRAPH]]:
        data.parse(path)
    for target in set(shapes.objects(None, SH.targetClass)):
        classes = set(data.transitive_subjects(rdflib.RDFS.subClassOf, target))
        assert any((None, RDF.type, one) in data for one in classes), target


def test_the_programme_of_this_repository_conforms(built: tuple[Dataset, Built]) -> None:
    assert built[1].report.violations == ()


# ---- The report ------------------------------------------------------------------------------------------------------


def test_report_speaks_both_languages(violating: Report) -> None:
    finding = next(finding for finding in violating.findings if finding.shape == SHAPE + "Amount-currency")
    assert finding.message["fr"] == "Un montant a une seule devise, donnée par son code ISO 4217."
    assert finding.message["en"] == "An amount has a single currency, given by its ISO 4217 code."
    assert finding.fix["fr"] == 'Écrivez pepr:currency "EUR".'
    assert finding.path == "pepr:currency"
    assert finding.severity == "violation"
    assert "Un montant a une seule devise" in violating.to_text("fr")
    assert "Pour corriger : Écrivez pepr:currency" in violating.to_text("fr")
    assert "An amount has a single currency" in violating.to_text("en")
    assert not any(" " + value in violating.to_text("fr") for value in ("shapes (", "warning "))


def test_report_writes_inverse_and_alternative_paths(violating: Report) -> None:
    paths = {finding.path for finding in violating.findings}
    assert "^pepr:statesEntity" in paths
    assert "(pepr:line | pepr:page)" in paths


def test_report_as_json_and_as_shacl(violating: Report) -> None:
    document = json.loads(json.dumps(violating.to_dict()))
    assert document["conforms"] is False
    assert len(document["findings"]) == len(violating.findings)
    assert {finding["origin"] for finding in document["findings"]} == {"shape", "query"}
    graph = rdflib.Graph().parse(data=violating.to_turtle(), format="turtle")
    report = next(graph.subjects(RDF.type, SH.ValidationReport))
    assert graph.value(report, SH.conforms) == rdflib.Literal(False)
    results = list(graph.objects(report, SH.result))
    assert len(results) >= len(violating.findings)
    for result in results:
        for required in (SH.focusNode, SH.resultSeverity, SH.sourceShape, SH.sourceConstraintComponent):
            assert graph.value(result, required) is not None
        languages = {
            text.language for text in graph.objects(result, SH.resultMessage) if isinstance(text, rdflib.Literal)
        }
        assert languages == {"fr", "en"}


def test_findings_come_worst_first_and_always_in_one_order(inspect: Inspect) -> None:
    paths = [EXAMPLES / "Caveat.ttl", EXAMPLES / "Model.ttl", EXAMPLES / "quality" / "label-shared.ttl"]
    first, second = inspect(*paths), inspect(*reversed(paths))
    assert first.to_dict() == second.to_dict()
    order = [finding.severity for finding in first.findings]
    assert order == sorted(order, key=["violation", "warning", "info"].index)
    assert {"violation", "warning"} <= set(order)


def test_warnings_let_a_report_conform(inspect: Inspect) -> None:
    report = inspect(EXAMPLES / "quality" / "superseded-by-older.ttl")
    assert {finding.severity for finding in report.findings} == {"warning"}
    assert report.conforms
    assert report.violations == ()


def test_report_counts_what_it_checked(violating: Report, shapes: rdflib.Graph) -> None:
    assert violating.shapes == len(list(shapes.subjects(RDF.type, SH.NodeShape)))
    assert violating.constraints > violating.shapes
    assert violating.queries == len(QUALITY)


# ---- Bad input -------------------------------------------------------------------------------------------------------


def test_a_change_that_violates_a_shape_is_refused_whole(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")

    def refuse(view: View) -> None:
        report = validate(view)
        if not report.conforms:
            raise ValidationRefused(violations=len(report.violations), report=report)

    with dataset.change(who="test", source="test") as change:
        change.load(EXAMPLES / "Amount.ttl", CANDIDATE)
        with pytest.raises(ValidationRefused) as refused:
            change.commit(refuse)
    assert "refus" in refused.value.message("fr")
    assert dataset.current() is None


def test_a_dataset_without_shapes_is_held_against_the_shipped_ones(tmp_path: Path) -> None:
    reports: list[Report] = []
    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        change.load(EXAMPLES / "Amount.ttl", CANDIDATE)
        change.commit(lambda view: reports.append(validate(view)))
    assert SHAPE + "Amount-currency" in {finding.shape for finding in reports[0].findings}


def test_an_ill_formed_number_survives_the_store_and_is_found(inspect: Inspect, tmp_path: Path) -> None:
    """Oxigraph rewrites literals; only those that are well formed."""
    path = tmp_path / "bad.ttl"
    path.write_text(
        "@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .\n"
        "@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"
        '<urn:x> a pepr:Amount ; pepr:numericValue "sixty"^^xsd:integer .\n',
        encoding="utf-8",
    )
    found = {
        (finding.shape, finding.component) for finding in inspect(path).findings if str(finding.focus) == "<urn:x>"
    }
    assert (SHAPE + "Amount-value", str(SH.OrConstraintComponent)) in found


def test_a_shape_of_a_stranger_may_have_one_language_and_no_name(tmp_path: Path) -> None:
    path = tmp_path / "shapes.ttl"
    path.write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> .\n"
        "[] a sh:NodeShape ; sh:targetNode <urn:x> ;\n"
        '  sh:property [ sh:path <urn:p> ; sh:minCount 1 ; sh:message "Il faut p."@fr ] .\n',
        encoding="utf-8",
    )
    reports: list[Report] = []
    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        change.load(path, NamedNode(SHAPES_GRAPH))
        change.commit(lambda view: reports.append(validate(view)))
    (finding,) = [finding for finding in reports[0].findings if finding.origin == "shape"]
    assert finding.message == {"fr": "Il faut p.", "en": "Il faut p."}
    assert finding.path == "<urn:p>"
    assert "Il faut p." in reports[0].to_text("en")


def test_a_shape_that_shacl_does_not_allow_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "shapes.ttl"
    path.write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> .\n"
        "<urn:shape> a sh:NodeShape ; sh:targetNode <urn:x> ; sh:property [ sh:minCount 1 ] .\n",
        encoding="utf-8",
    )

    def check(view: View) -> None:
        validate(view)

    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        change.load(path, NamedNode(SHAPES_GRAPH))
        with pytest.raises(DataError) as refused:
            change.commit(check)
    assert refused.value.message("fr").startswith("Les formes sont inutilisables : ")
    assert "\n" not in refused.value.message("en")


def test_a_broken_shapes_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "shapes.ttl"
    path.write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> .\n<urn:shape> a sh:NodeShape ;; sh:targetNode .\n", encoding="utf-8"
    )
    with pytest.raises(DataSyntaxError) as error:
        parse_file(path, NamedNode(SHAPES_GRAPH))
    assert error.value.details["line"] == 2


def test_what_a_change_is_held_against_is_its_own_graph_in_the_context_of_the_rest(
    built: tuple[Dataset, Built], tmp_path: Path
) -> None:
    """A cohort that another graph declares is known; a fault elsewhere is not this change's."""
    view = built[0].view()
    cohort, other = NamedNode(GRAPH + "cohort/one"), NamedNode(GRAPH + "cohort/other")
    head = """@prefix dcterms: <http://purl.org/dc/terms/> . @prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
        @base <https://w3id.org/pepr-santenum/id/> .\n"""
    patient = """<patient/{name}> a pepr:Patient ; dcterms:identifier "{name}" ; pepr:birthDate "1960-01-01"^^xsd:date ;
        pepr:hasSex <sex/female> ; pepr:hasIdentifiability <identifiability/synthetic> ;
        pepr:memberOfCohort <cohort/c> .\n"""
    described = head + '<cohort/c> a pepr:Cohort ; rdfs:label "c"@fr , "c"@en .\n'
    sound = head + patient.format(name="p1")
    faulty = described + patient.format(name="p2").replace("pepr:hasSex", "pepr:hasSex <urn:nonsense> , ")
    quads = [
        *parse_bytes(sound.encode(), RdfFormat.TURTLE, cohort, "one"),
        *parse_bytes(faulty.encode(), RdfFormat.TURTLE, other, "other"),
    ]
    mixed = view.plus(quads)
    assert {shrink(item.focus.value) for item in validate_graphs(mixed, [cohort]).violations} == set()
    assert {shrink(item.focus.value) for item in validate_graphs(mixed, [other]).violations} == {"patient:p2"}
    whole = {item.focus for item in validate(mixed).violations}
    assert whole >= {item.focus for item in validate_graphs(mixed, [other]).violations}


def test_a_change_that_makes_a_node_of_another_graph_wrong_is_held_against_it(built: tuple[Dataset, Built]) -> None:
    """A correction says of what it corrects that it no longer holds, wherever that stands."""
    first, fix, third = (NamedNode(GRAPH + f"cohort/{name}") for name in ("one", "fix", "third"))
    pepr, observation = "https://w3id.org/pepr-santenum/ontology/", "https://w3id.org/pepr-santenum/id/observation/"
    sound = f"<{observation}o1> a <{pepr}Observation> ."
    revision = f"<{observation}o2> <http://www.w3.org/ns/prov#wasRevisionOf> <{observation}o1> ."
    other = f"<{observation}o3> a <{pepr}Observation> ."
    mixed = built[0].view().plus([
        quad
        for text, graph in ((sound, first), (revision, fix), (other, third))
        for quad in parse_bytes(text.encode(), RdfFormat.TURTLE, graph, graph.value)
    ])  # fmt: skip

    def corrected(graph: NamedNode) -> set[tuple[str | None, object]]:
        rule = SHAPE + "observation-corrected-current"
        found = validate_graphs(mixed, [graph]).violations
        return {(shrink(item.focus.value), item.value) for item in found if item.shape == rule}

    assert corrected(fix) == {("observation:o1", NamedNode(observation + "o2"))}
    assert corrected(third) == set()
