"""What an SBML file says, as triples: exact, complete, once, and the same for every file of the suite."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from pepr_kg.models.description import (
    DIGEST,
    GRAPH,
    HAS_UNIT,
    ROLE,
    SBO_TERM,
    SOURCE,
    SYMBOL,
    TIME_UNIT,
    TYPE,
    UNIT_CODE,
    WRITTEN,
    decimal_text,
    default_values,
    describe,
    describe_builtin,
    is_derived,
)
from pepr_kg.models.identifiers import one_iri
from pepr_kg.namespaces import ID, PREFIXES
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Literal, NamedNode, Quad, Triple, parse_file
from pepr_kg.twin import TwinError, builtin_models, evaluate, form, load_model
from pepr_kg.twin.sbml.reading import read_model
from tests.models.small_sbml import glucose

MODEL = f"{ID}model/glucose"
CHEBI = "http://purl.obolibrary.org/obo/CHEBI_17234"
BQBIOL = "http://biomodels.net/biology-qualifiers/"


def word(term: object) -> str:
    """Return a node's IRI or a literal's words."""
    assert isinstance(term, NamedNode | Literal)
    return term.value


def described(data: bytes, meaning: tuple[Triple, ...] = ()) -> set[tuple[str, str, str]]:
    model = read_model(data, name="glucose")
    quads = describe(model, MODEL, file="glucose.xml", data=data, meaning=meaning)
    assert len(quads) == len(set(quads))
    assert {quad.graph_name for quad in quads} == {GRAPH}
    return {short(quad) for quad in quads}


def short(quad: Quad) -> tuple[str, str, str]:
    subject, value = quad.subject, quad.object
    assert isinstance(subject, NamedNode)
    assert isinstance(value, NamedNode | Literal)
    predicate = quad.predicate.value.rpartition("/")[2].rpartition("#")[2]
    return subject.value.removeprefix(ID), predicate, value.value.removeprefix(ID)


GLUCOSE = described(glucose())


def of(subject: str, predicate: str) -> set[str]:
    return {value for one, name, value in GLUCOSE if one == subject and name == predicate}


@pytest.mark.parametrize(
    ("subject", "predicate", "values"),
    [
        ("model/glucose", "type", {PREFIXES["pepr"] + "Model"}),
        ("model/glucose", "modelFile", {"glucose.xml"}),
        ("model/glucose", "hasForm", {"model-form/linear-ode"}),
        ("model/glucose", "timeUnitCode", {"min"}),
        ("model/glucose", "sourceIdentifier", {"m0"}),
        ("model/glucose", "sboTerm", {"http://biomodels.net/SBO/SBO_0000293"}),
        ("model/glucose", "isDescribedBy", {"https://doi.org/10.1000/demo"}),
        ("model/glucose", "hasTaxon", {"https://identifiers.org/taxonomy:9606"}),
        ("model/glucose", "hasModelEvent", {"model-event/glucose.meal"}),
        ("model-event/glucose.meal", "affectsElement", {"variable/glucose.glucose"}),
        ("model-event/glucose.meal", "sourceIdentifier", {"e1"}),
        ("parameter/glucose.blood", "unitCode", {"L"}),
        ("parameter/glucose.blood", "hasUnit", {PREFIXES["unit"] + "L"}),
        ("parameter/glucose.blood", "is", {"http://purl.obolibrary.org/obo/UBERON_0000178"}),
        ("variable/glucose.glucose", "unitCode", {"mmol/L"}),
        ("variable/glucose.glucose", "defaultValue", {"5.5"}),
        ("variable/glucose.glucose", "hasVariableRole", {"variable-role/state"}),
        ("variable/glucose.glucose", "label", {"glucose in blood"}),
        # A concentration, though the file gives the amount: 1.5 mmol in 5 L.
        ("parameter/glucose.insulin", "defaultValue", {"0.3"}),
        ("parameter/glucose.k", "defaultValue", {"0.05"}),
        ("parameter/glucose.k", "hasParameterLevel", {"parameter-level/population"}),
        ("parameter/glucose.factor", "defaultValue", {"0.0000001"}),
        ("parameter/glucose.factor", "unitCode", set()),  # unknown, and never "1"
        ("parameter/glucose.half", "defaultValue", {"10"}),  # computed by the file
        ("parameter/glucose.use.rate", "unitCode", {"1"}),
        ("parameter/glucose.use.rate", "sourceIdentifier", {"l1"}),
        ("variable/glucose.slow", "hasVariableRole", {"variable-role/derived"}),
        ("variable/glucose.slow", "defaultValue", set()),
        ("variable/glucose.slow", "sboTerm", set()),  # that of its rule is not its own
        ("variable/glucose.use", "unitCode", {"mmol/min"}),
        # Without a value in the file: given from outside.
        ("variable/glucose.given", "hasVariableRole", {"variable-role/input"}),
        ("variable/glucose.given", "defaultValue", set()),
    ],
)
def test_each_thing_that_the_file_says_is_said_once(subject: str, predicate: str, values: set[str]) -> None:
    assert of(subject, predicate) == values


def test_three_ways_of_writing_one_term_are_one_term_and_are_kept_as_written() -> None:
    assert of("variable/glucose.glucose", "is") == {CHEBI}
    assert of("variable/glucose.glucose", "isVersionOf") == {"https://identifiers.org/kegg.compound:C00031"}
    assert of("variable/glucose.glucose", "writtenIdentifier") == {
        "urn:miriam:obo.chebi:CHEBI%3A17234",
        "http://identifiers.org/chebi/CHEBI:17234",
        "https://identifiers.org/CHEBI:17234",
        "https://identifiers.org/kegg.compound:C00031",
    }


@pytest.mark.parametrize(
    ("written", "iri"),
    [
        ("urn:miriam:obo.go:GO%3A0005623", "http://purl.obolibrary.org/obo/GO_0005623"),
        ("http://identifiers.org/go/GO:0005623", "http://purl.obolibrary.org/obo/GO_0005623"),
        ("http://identifiers.org/obo.go/GO:0005623", "http://purl.obolibrary.org/obo/GO_0005623"),
        ("https://identifiers.org/GO:0005623", "http://purl.obolibrary.org/obo/GO_0005623"),
        ("http://www.identifiers.org/uniprot/P12345", "https://identifiers.org/uniprot:P12345"),
        ("urn:miriam:uniprot:P12345", "https://identifiers.org/uniprot:P12345"),
        ("https://identifiers.org/uniprot:P12345", "https://identifiers.org/uniprot:P12345"),
        ("http://identifiers.org/biomodels.sbo/SBO:0000247", "http://biomodels.net/SBO/SBO_0000247"),
        ("https://identifiers.org/loinc:8480-6", "http://loinc.org/rdf/8480-6"),
        ("urn:miriam:snomedct:73211009", "http://snomed.info/id/73211009"),
        ("urn:miriam:ec-code:2.7.1.1", "https://identifiers.org/ec-code:2.7.1.1"),
        ("urn:miriam:pubmed:1413261", "https://identifiers.org/pubmed:1413261"),
        ("http://dx.doi.org/10.1000/AbC", "https://doi.org/10.1000/AbC"),
        ("https://identifiers.org/doi/10.1000/AbC", "https://doi.org/10.1000/AbC"),
        ("urn:miriam:doi:10.1000%2FAbC", "https://doi.org/10.1000/AbC"),
        ("https://example.org/term#1", "https://example.org/term#1"),
        ("not an address", None),
        ("", None),
    ],
)
def test_every_form_of_an_identifier_becomes_one_iri(written: str, iri: str | None) -> None:
    assert one_iri(written) == iri


def test_what_turtle_says_of_an_element_wins() -> None:
    node = NamedNode(f"{ID}variable/glucose.k")
    said = (
        Triple(node, ROLE, NamedNode(f"{ID}variable-role/input")),
        Triple(node, NamedNode(PREFIXES["rdfs"] + "label"), Literal("rate", language="en")),
        Triple(NamedNode(f"{ID}variable/another.factor"), ROLE, NamedNode(f"{ID}variable-role/input")),
    )
    found = described(glucose(), said)
    assert ("model/glucose", "hasVariable", "variable/glucose.k") in found
    assert ("variable/glucose.k", "defaultValue", "0.05") in found
    assert not [item for item in found if item[:2] == ("variable/glucose.k", "hasVariableRole")]
    assert not [item for item in found if item[0] == "parameter/glucose.k"]
    assert ("model/glucose", "hasParameter", "parameter/glucose.factor") in found


def test_an_unit_that_ucum_spells_in_two_ways_is_one_unit_of_qudt() -> None:
    data = glucose(more='<parameter id="flow" value="1" units="flow" constant="true"/>').replace(
        b"</listOfUnitDefinitions>",
        b'<unitDefinition id="flow" name="min-1.mL"><listOfUnits><unit kind="litre" exponent="1" scale="-3" '
        b'multiplier="1"/><unit kind="second" exponent="-1" scale="0" multiplier="60"/></listOfUnits></unitDefinition>'
        b"</listOfUnitDefinitions>",
    )
    found = described(data)
    assert ("parameter/glucose.flow", "hasUnit", PREFIXES["unit"] + "MilliL-PER-MIN") in found


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -2.5e-7, 123456789.123, 0.0])
def test_a_number_comes_back_to_the_last_bit(value: float) -> None:
    text = decimal_text(value)
    assert float(text) == value
    assert "e" not in text.lower()
    assert Decimal(text) == Decimal(repr(value))


@pytest.mark.parametrize("name", builtin_models())
def test_a_built_in_model_is_described_as_it_is(name: str) -> None:
    model = load_model(name)
    turtle = parse_file(ontology_dir() / "models" / f"{name}.ttl", GRAPH)
    quads = describe(model, f"{ID}model/{name}", file=f"{name}.xml", meaning=turtle)
    facts = {(short(quad)[0].rpartition(f"{name}.")[2], quad.predicate): short(quad)[2] for quad in quads}
    assert facts[f"model/{name}", DIGEST] == f"sha256:{model.digest}"
    assert facts[f"model/{name}", TIME_UNIT] == model.time_unit
    for variable in model.variables:
        assert facts[variable.symbol, UNIT_CODE] == variable.unit
    # Each symbol is one element, of the kind that the Turtle says, and no second role is given to it.
    elements = {quad.subject for quad in quads if quad.predicate == SYMBOL and "model-event" not in word(quad.subject)}
    assert len(elements) == len(model.variables)
    named = {quad.subject for quad in turtle if quad.predicate == SYMBOL}
    assert named <= elements
    roles = Counter(quad.subject for quad in {*quads, *turtle} if quad.predicate == ROLE)
    assert set(roles.values()) <= {1}
    assert {quad.subject for quad in quads if "/variable/" in word(quad.subject)} == set(roles)
    # What the evaluator starts from without a patient is what the graph says.
    values = default_values(model)
    asked = [symbol for symbol in values if symbol in model.symbols]
    if asked and not [item for item in model.parameters if item.value != item.value]:
        result = evaluate(model, outputs=asked, times=[0.0])
        events_at_start = {assignment.symbol for event in model.events for assignment in event.assignments}
        for at, symbol in enumerate(asked):
            if symbol not in events_at_start:
                assert float(result.data[at].ravel()[0]) == pytest.approx(values[symbol], rel=1e-15), symbol


def test_all_built_in_models_are_described_at_once() -> None:
    quads = describe_builtin()
    digests = {str(quad.subject): word(quad.object) for quad in quads if quad.predicate == DIGEST}
    assert set(digests.values()) == {f"sha256:{load_model(name).digest}" for name in builtin_models()}
    units = [quad for quad in quads if quad.predicate == HAS_UNIT]
    assert len(units) > 200
    assert all(is_derived(quad.triple, name_of(quad)) or quad.predicate == TYPE for quad in quads if name_of(quad))


def name_of(quad: Quad) -> str:
    assert isinstance(quad.subject, NamedNode)
    local = word(quad.subject).removeprefix(ID).partition("/")[2]
    return "" if quad.object == NamedNode(f"{ID}variable-role/input") else local.partition(".")[0]


CASES = ("00071", "00801", "00936", "00969", "01105", "00972", "00984", "00405", "00028", "00952", "00981", "01228")


@pytest.mark.parametrize("case", CASES)
def test_files_of_the_suite_are_described(case: str, shared: Path) -> None:
    """Species as amounts and concentrations, events with delays and priorities, SBO terms, local parameters."""
    paths = sorted((shared / "sbml-test-suite" / "cases" / case).glob("*-sbml-l3v2.xml"))
    if not paths:
        pytest.skip(f"the copy of the suite has no case {case}")
    model = load_model(paths[0])
    quads = describe(model, f"{ID}model/case-{case}", file=paths[0].name)
    symbols = [word(quad.object) for quad in quads if quad.predicate == SYMBOL]
    events = [event for event in model.events if event.assignments]
    assert sorted(symbols) == sorted([*model.symbols, *(event.symbol for event in events)])
    affected = {short(quad)[2] for quad in quads if short(quad)[1] == "affectsElement"}
    cores = {item.core: item.symbol for item in model.variables}
    names = {cores[item.symbol] for event in events for item in event.assignments}
    assert {iri.partition(".")[2] for iri in affected} == names
    text = paths[0].read_text(encoding="utf-8")
    sources = {word(quad.object) for quad in quads if quad.predicate == SOURCE}
    assert all(f'metaid="{source}"' in text for source in sources)
    terms = {word(quad.object).rpartition("_")[2] for quad in quads if quad.predicate == SBO_TERM}
    assert all(f"SBO:{term}" in text for term in terms)
    assert not [quad for quad in quads if quad.predicate == WRITTEN]
    assert form(model) in ("closed form", "linear", "ODE", "stiff")


def test_the_whole_suite_is_described(shared: Path) -> None:
    """No file that can be evaluated is too odd to be described."""
    seen = 0
    for path in sorted((shared / "sbml-test-suite" / "cases").glob("*/*.xml")):
        try:
            model = load_model(path)
        except TwinError:
            continue
        quads = describe(model, f"{ID}model/suite", file=path.name)
        assert len({quad.subject for quad in quads if quad.predicate == SYMBOL}) >= len(model.variables)
        seen += 1
    assert seen > 500
