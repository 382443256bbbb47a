"""The worked example of a twin: complete, sound, documented; what is required of it is missed when gone."""

import re
from pathlib import Path

import pytest
import rdflib
from rdflib import RDF, RDFS, SH, URIRef
from rdflib.collection import Collection

from pepr_kg.build import sources
from pepr_kg.namespaces import GRAPH, ID, ONTOLOGY_GRAPH, PEPR, SHAPE, SHAPES_GRAPH
from pepr_kg.resources import shapes_dir
from pepr_kg.store import Dataset, NamedNode, View
from pepr_kg.validation import Report, validate_graphs

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "data" / "twin-example.ttl"
PAGE = ROOT / "docs" / "reference" / "twin-description.md"
CANDIDATE = NamedNode(GRAPH + "candidate")

# What the description of a twin consists of: each has an instance in the example, and a shape.
DESCRIBED = (
    "Model", "Variable", "Parameter", "Prior", "CovariateModel", "Binding", "Coupling", "DigitalTwin", "Scenario",
    "Intervention", "Validity", "Credibility", "Evaluation", "Trajectory", "Prediction", "Category", "ValidityRule",
    "Administration", "ResolvedInputs", "ConservedSum", "ConservedTerm", "Observation", "Patient", "Cohort",
    "ResidualModel", "PriorCorrelation", "ModelEvent", "ResolvedBinding", "UnitConversion", "EvaluationOutcome",
    "Estimate", "Uncertainty",
)  # fmt: skip

# A rule that no minCount says: the node, what is taken from it, and the shape that must miss it.
TAKEN = (
    ("scenario/example.double-dose", "comparedWith", "WhatIfScenario"),
    ("scenario/example.double-dose", "hasIntervention", "WhatIfScenario"),
    ("prediction/0123456789abcdef-0-0-0", "hasUncertainty", "SampledPrediction"),
    ("prediction/0123456789abcdef-0-0-0", "timeUnitCode", "Prediction"),
    ("observation/example-0001-weight-2", "unitCode", "Observation"),
    ("binding/example.weight", "boundQuantity", "Binding"),
    ("binding/example.fu", "boundValue", "Binding"),
    ("binding/example.fu", "unitCode", "BoundValue-unit"),
    ("binding/example.weight", "timeUnitCode", "MaximumAge-unit"),
    ("prior/example.ka", "mean", "Prior"),
    ("trajectory/0123456789abcdef", "gridStep", "Trajectory"),
    ("variable/example.weight", "lowerBound", "ExclusiveLowerBound-bound"),
    ("variable/example.weight", "quantity", "ExchangedVariable"),
    ("model/example-over-years", "hasCouplingScheme", "CoupledModel-scheme"),
    ("model/example-over-years", "hasSlowModel", "CoupledModel-slow"),
    ("model/example-over-years", "hasCoupling", "CoupledModel-coupling"),
)


def read(*paths: Path) -> rdflib.Graph:
    graph = rdflib.Graph()
    for path in paths:
        graph.parse(path)
    return graph


@pytest.fixture(scope="module")
def example() -> rdflib.Graph:
    return read(EXAMPLE)


@pytest.fixture(scope="module")
def rules() -> rdflib.Graph:
    """The ontology, to know the subclasses, and the shapes."""
    return read(*sources()[ONTOLOGY_GRAPH], *sorted(shapes_dir().glob("*.ttl")))


def check(folder: Path, document: str) -> Report:
    """Return the report on a document in the context of the ontology."""
    path = folder / "candidate.ttl"
    path.write_text(document, encoding="utf-8")
    reports: list[Report] = []

    def validate(view: View) -> None:
        reports.append(validate_graphs(view, [CANDIDATE]))

    with Dataset(folder / "data").change(who="test", source="test") as change:
        for graph in (ONTOLOGY_GRAPH, SHAPES_GRAPH):
            for source in sources()[graph]:
                change.load(source, NamedNode(graph))
        change.load(path, CANDIDATE)
        change.commit(validate)
    return reports[0]


def paths_of(rules: rdflib.Graph, shape: rdflib.term.Node) -> set[URIRef] | None:
    """Return the properties of which a property shape wants one, or None where it looks the other way round."""
    path = rules.value(shape, SH.path)
    if isinstance(path, URIRef):
        return {path}
    choice = rules.value(path, SH.alternativePath)
    steps = list(Collection(rules, choice)) if choice else [None]
    return {step for step in steps if isinstance(step, URIRef)} if all(isinstance(s, URIRef) for s in steps) else None


def required(rules: rdflib.Graph, example: rdflib.Graph) -> list[tuple[URIRef, frozenset[URIRef], str]]:
    """Return (node of the example, properties to take away, shape that must miss them) for each minCount."""
    found = []
    for shape in sorted(rules.subjects(RDF.type, SH.NodeShape), key=str):
        classes = {below for one in rules.objects(shape, SH.targetClass)
                   for below in rules.transitive_subjects(RDFS.subClassOf, one)}  # fmt: skip
        nodes = sorted(node for one in classes for node in example.subjects(RDF.type, one) if isinstance(node, URIRef))
        for part in sorted(rules.objects(shape, SH.property), key=str):
            least, paths = rules.value(part, SH.minCount), paths_of(rules, part)
            if least is None or int(str(least)) < 1 or not paths:
                continue
            having = [node for node in nodes if paths & set(example.predicates(node))]
            if having:
                found.append((having[0], frozenset(paths), str(part)))
    return found


def without(example: rdflib.Graph, node: URIRef, paths: frozenset[URIRef], name: str) -> tuple[rdflib.Graph, URIRef]:
    """Return a copy of a node under another IRI without these properties; what leads to the node leads to it too."""
    copy = URIRef(f"{node}-without-{name}")
    graph = rdflib.Graph()
    for predicate, value in example.predicate_objects(node):
        if predicate not in paths:
            graph.add((copy, predicate, value))
    for subject, predicate in example.subject_predicates(node):
        graph.add((subject, predicate, copy))
    return graph, copy


def test_the_example_has_all_that_a_twin_consists_of(example: rdflib.Graph, rules: rdflib.Graph) -> None:
    targets = set(rules.objects(None, SH.targetClass))
    for name in DESCRIBED:
        above = set(rules.transitive_objects(URIRef(PEPR + name), RDFS.subClassOf))
        assert list(example.subjects(RDF.type, URIRef(PEPR + name))), name
        assert URIRef(PEPR + name) in targets or above & targets, name


def test_the_example_is_sound(tmp_path: Path) -> None:
    report = check(tmp_path, EXAMPLE.read_text(encoding="utf-8"))
    assert not report.findings, report.to_text("en")


def test_whatever_is_required_is_missed_when_it_is_gone(
    tmp_path: Path, example: rdflib.Graph, rules: rdflib.Graph
) -> None:
    cases = required(rules, example)
    cases += [(URIRef(ID + node), frozenset({URIRef(PEPR + taken)}), SHAPE + shape) for node, taken, shape in TAKEN]
    everything = rdflib.Graph()
    everything += example
    wanted = []
    for number, (node, paths, shape) in enumerate(cases):
        graph, copy = without(example, node, paths, str(number))
        assert any(example.value(node, path) is not None for path in paths), (node, paths)
        everything += graph
        wanted.append((str(copy), shape))
    report = check(tmp_path, everything.serialize(format="turtle"))
    found = {
        (finding.focus.value, finding.shape) for finding in report.findings if isinstance(finding.focus, NamedNode)
    }
    assert [case for case in wanted if case not in found] == []
    assert len(wanted) > 100


def test_the_documentation_shows_the_example_whole() -> None:
    """The blocks of the page, one after the other, are the file without its prefixes and its comment at the top."""
    blocks = re.findall(r"^```turtle\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    text = EXAMPLE.read_text(encoding="utf-8")
    assert [block.strip() for block in blocks] == [
        part.strip() for part in re.split(r"^# ---- .*$", text, flags=re.MULTILINE)[1:]
    ]


def test_each_part_of_the_description_stands_in_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in DESCRIBED if f"`pepr:{name}`" not in page] == []
