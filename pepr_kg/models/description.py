"""What an SBML file says, as triples: the part of a model's description that nobody writes by hand.

The mathematics stands in the SBML alone, the meaning in Turtle alone. From the SBML come here: the file's digest, the
form that analysis finds, the time unit, and of each symbol its unit, its default value, its identifier in the file, its
SBO term and the links of its annotations; and which events change what. From the Turtle comes which kind of thing an
element is (`parameter:` or `variable:`), where it names it at all.

>>> from pepr_kg.twin import load_model
>>> quads = describe(load_model("pk2-oral"), ID + "model/pk2-oral", file="pk2-oral.xml")
>>> [quad.object.value for quad in quads if quad.subject.value.endswith("pk2-oral.CL") and quad.predicate == UNIT_CODE]
['L/h']
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from pepr_kg.models.identifiers import one_iri, sbo_iri
from pepr_kg.models.marks import THE_MODEL, Mark, read_marks
from pepr_kg.namespaces import ID, MODELS_GRAPH, PREFIXES
from pepr_kg.rdf import parse_file
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Literal, NamedNode, Quad, Term, Triple
from pepr_kg.twin import TwinError, builtin_models, form, load_model
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.expression import Expr
from pepr_kg.twin.model import Annotation, Event, Model, Variable
from pepr_kg.twin.sbml.annotations import SBO
from pepr_kg.twin.sbml.document import read_bytes, read_document
from pepr_kg.twin.units import parse_unit

GRAPH: Final = NamedNode(MODELS_GRAPH)


def _pepr(name: str) -> NamedNode:
    return NamedNode(PREFIXES["pepr"] + name)


def _xsd(name: str) -> NamedNode:
    return NamedNode(PREFIXES["xsd"] + name)


TYPE: Final = NamedNode(PREFIXES["rdf"] + "type")
LABEL: Final = NamedNode(PREFIXES["rdfs"] + "label")
MODEL: Final = _pepr("Model")
DIGEST: Final = _pepr("contentDigest")
FILE: Final = _pepr("modelFile")
FORM: Final = _pepr("hasForm")
TIME_UNIT: Final = _pepr("timeUnitCode")
SYMBOL: Final = _pepr("symbol")
UNIT_CODE: Final = _pepr("unitCode")
HAS_UNIT: Final = NamedNode(PREFIXES["qudt"] + "hasUnit")
DEFAULT: Final = _pepr("defaultValue")
ROLE: Final = _pepr("hasVariableRole")
LEVEL: Final = _pepr("hasParameterLevel")
SOURCE: Final = _pepr("sourceIdentifier")
SBO_TERM: Final = _pepr("sboTerm")
WRITTEN: Final = _pepr("writtenIdentifier")
HAS_VARIABLE, HAS_INPUT, HAS_PARAMETER = _pepr("hasVariable"), _pepr("hasInput"), _pepr("hasParameter")
HAS_EVENT, AFFECTS = _pepr("hasModelEvent"), _pepr("affectsElement")

# What `describe` writes of a model, and of its elements and events; nothing of it is written by hand.
_OF_MODEL: Final = frozenset(
    {DIGEST, FILE, FORM, TIME_UNIT, SOURCE, SBO_TERM, WRITTEN, HAS_VARIABLE, HAS_PARAMETER, HAS_EVENT}
)
_OF_PARTS: Final = frozenset({TYPE, SYMBOL, UNIT_CODE, HAS_UNIT, DEFAULT, SOURCE, SBO_TERM, WRITTEN, AFFECTS})
_FOUND_ROLES: Final = frozenset(NamedNode(f"{ID}variable-role/{role}") for role in ("state", "derived"))
_QUALIFIERS: Final = "http://biomodels.net/"
_UCUM: Final = NamedNode(PREFIXES["qudt"] + "ucumCode")
_POPULATION: Final = NamedNode(ID + "parameter-level/population")
# What the analysis of `twin` finds, as the concepts of the graph. Stiffness is a matter of solvers, not of form.
_FORMS: Final[Mapping[str, str]] = {
    "closed form": "closed-form", "linear": "linear-ode", "ODE": "ode", "stiff": "ode",
}  # fmt: skip
_ROLES: Final[Mapping[str, str]] = {
    "state": "state", "algebraic": "state", "discrete": "state", "derived": "derived", "constant": "input",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """What Turtle says of the elements of a model: their kinds by symbol, and which have a label, a role, a level."""

    kinds: Mapping[str, str]
    labelled: frozenset[str]
    with_role: frozenset[str]
    with_level: frozenset[str]


def describe(
    model: Model, iri: str, *, file: str, meaning: Iterable[Triple | Quad] = (), data: bytes | None = None
) -> list[Quad]:
    """Return what the SBML of a model says as quads of the graph of models, in a stable order.

    `iri` is that of the model, `file` what `pepr:modelFile` says. `meaning` are the triples that Turtle says of the
    model: an element keeps the kind, the role and the level that they give it. `data` are the bytes of the file; where
    they are not given, `model.source` is read. Units are UCUM codes; an element of which the file gives no unit, or one
    that UCUM does not have, has none here either. Numbers are decimals that give back the same float.
    Raises `ModelUnreadable` where the file is gone.
    """
    name = iri.removeprefix(f"{ID}model/")
    said = _read_said(name, meaning)
    marks = _marks(model, data)
    own = NamedNode(iri)
    links: dict[str, list[Annotation]] = {}
    for item in model.annotations:
        links.setdefault(item.metaid, []).append(item)
    triples = [*_model_triples(model, own, file), *_marked(own, marks.get(THE_MODEL, Mark()), links)]
    nodes = element_nodes(model, name, said.kinds)
    defaults = default_values(model)
    for variable in model.variables:
        node = nodes[variable.symbol]
        triples += _element_triples(own, node, variable, said, defaults.get(variable.symbol))
        triples += _marked(node, marks.get(variable.symbol, Mark()), links)
    for event in model.events:
        if event.assignments:  # one that changes nothing says nothing
            node = NamedNode(f"{ID}model-event/{name}.{event.symbol}")
            triples += _event_triples(own, node, event, model, nodes)
            triples += _marked(node, marks.get(event.symbol, Mark()), links)
    return [Quad(triple.subject, triple.predicate, triple.object, GRAPH) for triple in dict.fromkeys(triples)]


def describe_builtin() -> list[Quad]:
    """Return what the SBML files under `ontology/models/` say, each with the kinds that the Turtle beside it gives.

    >>> quads = describe_builtin()
    >>> sum(quad.predicate == DIGEST for quad in quads) == len(builtin_models())
    True
    """
    quads: list[Quad] = []
    for name in builtin_models():
        turtle = ontology_dir() / "models" / f"{name}.ttl"
        meaning = parse_file(turtle, GRAPH) if turtle.is_file() else []
        quads += describe(load_model(name), f"{ID}model/{name}", file=f"{name}.xml", meaning=meaning)
    return quads


def is_derived(triple: Triple, name: str) -> bool:
    """Return whether a triple about a model of this name follows from its file: whether `describe` may have written it.

    >>> node = NamedNode(ID + "parameter/m.k")
    >>> is_derived(Triple(node, UNIT_CODE, Literal("/h")), "m"), is_derived(Triple(node, LABEL, Literal("k")), "n")
    (True, False)
    """
    kind, owner, symbol = part_of(triple.subject)
    if owner != name:
        return False
    if kind == "model":
        of_file = triple.predicate in _OF_MODEL or triple.predicate.value.startswith(_QUALIFIERS)
        return of_file and not symbol
    if kind not in ("parameter", "variable", "model-event"):
        return False
    return (
        triple.predicate in _OF_PARTS
        or triple.predicate.value.startswith(_QUALIFIERS)
        or (triple.predicate == LABEL and isinstance(triple.object, Literal) and triple.object.language is None)
        or (triple.predicate == ROLE and triple.object in _FOUND_ROLES)
        or (triple.predicate == LEVEL and triple.object == _POPULATION)
    )


def part_of(node: object) -> tuple[str, str, str]:
    """Return kind, model's name and symbol of a node that is called after a model; empty texts for any other.

    >>> part_of(NamedNode(ID + "variable/score2.age_a"))
    ('variable', 'score2', 'age_a')
    """
    if not isinstance(node, NamedNode) or not node.value.startswith(ID):
        return "", "", ""
    kind, _, local = node.value.removeprefix(ID).partition("/")
    owner, _, symbol = local.partition(".")
    return kind, owner, symbol


def element_nodes(model: Model, name: str, kinds: Mapping[str, str]) -> dict[str, NamedNode]:
    """Return the node of each symbol of a model called `name`: `kinds` says "parameter" or "variable", else the SBML.

    What is constant is a parameter, unless the file gives it no value: that is given from outside, and a variable.
    """
    empty = {
        item.symbol for item in model.initial if item.formula.is_number and math.isnan(float(item.formula.value or 0))
    }
    found = {}
    for item in model.variables:
        fixed = item.role == "constant" and item.core not in empty
        kind = kinds.get(item.symbol, "parameter" if fixed else "variable")
        found[item.symbol] = NamedNode(f"{ID}{kind}/{name}.{item.symbol}")
    return found


def default_values(model: Model) -> dict[str, float]:
    """Return the values that symbols have at the start where no patient gives any, by symbol, in their units.

    A number of the file is the same number here; a start that the file computes is what the evaluator computes with
    the defaults of all others. A species that means a concentration has that as its value, also where the file gives an
    amount. What follows from others at all times has no default, nor has what is no finite number.
    """
    start = {item.symbol: item.formula for item in model.initial}
    found, computed = {}, []
    for item in model.variables:
        formula = start.get(item.core)
        if formula is None:
            continue
        if item.compartment is None and formula.is_number:
            found[item.symbol] = float(formula.value or 0.0)
        elif (number := _concentration(item, formula)) is not None:
            found[item.symbol] = number
        else:
            computed.append(item.symbol)
    if computed:
        program = compile_model(model)
        y, v = program.start({}, 1)
        with np.errstate(all="ignore"):
            values = program.outputs(tuple(computed))(np.zeros(1), y, v)
        found.update({name: float(np.ravel(value)[0]) for name, value in zip(computed, values, strict=True)})
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _concentration(item: Variable, formula: Expr) -> float | None:
    """Return the concentration that the file gives a species; it is carried as that times the compartment's size."""
    if item.compartment is None or formula.op != "times":
        return None
    numbers = [float(arg.value or 0.0) for arg in formula.args if arg.is_number]
    others = [arg.value for arg in formula.args if not arg.is_number]
    return numbers[0] if len(numbers) == 1 and others == [item.compartment] else None


def decimal_text(value: float) -> str:
    """Return a finite float as a decimal number without exponent, the shortest one that gives it back.

    It is in the canonical form, which is how the store keeps it.

    >>> decimal_text(1e-7), decimal_text(6.02e23), decimal_text(30.0), decimal_text(-0.0)
    ('0.0000001', '602000000000000000000000', '30', '0')
    """
    text = format(Decimal(repr(float(value))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if text != "-0" else "0"


def sha256_text(digest: str) -> str:
    """Return a digest as the graph writes it: "sha256:" and the hexadecimal digits."""
    return f"sha256:{digest}"


@cache
def qudt_units() -> Mapping[object, NamedNode]:
    """Return the units of QUDT that `ontology/external/qudt.ttl` declares, by product of powers (L.h-1 is L/h)."""
    path = ontology_dir() / "external" / "qudt.ttl"
    codes = [quad for quad in parse_file(path, GRAPH) if quad.predicate == _UCUM]
    return {
        _spelling(quad.object.value): quad.subject
        for quad in codes
        if isinstance(quad.object, Literal) and isinstance(quad.subject, NamedNode)
    }


def _spelling(code: str) -> object:
    """Return what two spellings of one UCUM code have in common; the code itself where it is none of UCUM."""
    try:
        return frozenset(parse_unit(code).terms) if "{" not in code else code
    except TwinError:
        return code


def kinds_of(meaning: Iterable[Triple | Quad], name: str) -> dict[str, str]:
    """Return the kind, "parameter" or "variable", of each symbol of a model that the triples say something of."""
    parts = (part_of(triple.subject) for triple in meaning)
    return {symbol: kind for kind, owner, symbol in parts if owner == name and kind in ("parameter", "variable")}


def _read_said(name: str, meaning: Iterable[Triple | Quad]) -> _Said:
    triples = list(meaning)
    having: dict[NamedNode, set[str]] = {LABEL: set(), ROLE: set(), LEVEL: set()}
    for triple in triples:
        _, owner, symbol = part_of(triple.subject)
        if owner == name and triple.predicate in having:
            having[triple.predicate].add(symbol)
    return _Said(kinds_of(triples, name), *(frozenset(having[predicate]) for predicate in (LABEL, ROLE, LEVEL)))


def _marks(model: Model, data: bytes | None) -> Mapping[str, Mark]:
    if data is None:
        data = read_bytes(Path(model.source), model.name) if model.source else b""
    return read_marks(read_document(data, name=model.name, source=model.source).root) if data else {}


def _model_triples(model: Model, own: NamedNode, file: str) -> Iterator[Triple]:
    yield Triple(own, TYPE, MODEL)
    yield Triple(own, DIGEST, Literal(sha256_text(model.digest)))
    yield Triple(own, FILE, Literal(file, datatype=_xsd("anyURI")))
    yield Triple(own, FORM, NamedNode(f"{ID}model-form/{_FORMS[form(model)]}"))
    if model.time_unit is not None:
        yield Triple(own, TIME_UNIT, Literal(model.time_unit))


def _element_triples(
    own: NamedNode, node: NamedNode, variable: Variable, said: _Said, default: float | None
) -> Iterator[Triple]:
    symbol, is_variable = variable.symbol, node.value.startswith(f"{ID}variable/")
    yield Triple(own, HAS_VARIABLE if is_variable else HAS_PARAMETER, node)
    yield Triple(node, TYPE, _pepr("Variable" if is_variable else "Parameter"))
    yield Triple(node, SYMBOL, Literal(symbol))
    if variable.name and symbol not in said.labelled:
        yield Triple(node, LABEL, Literal(variable.name))  # in which language, the file does not say
    if variable.unit is not None:
        yield Triple(node, UNIT_CODE, Literal(variable.unit))
        unit = qudt_units().get(_spelling(variable.unit))
        if unit is not None:
            yield Triple(node, HAS_UNIT, unit)
    if default is not None:
        yield Triple(node, DEFAULT, Literal(decimal_text(default), datatype=_xsd("decimal")))
    if is_variable and symbol not in said.with_role:
        yield Triple(node, ROLE, NamedNode(f"{ID}variable-role/{_ROLES[variable.role]}"))
        if variable.role == "constant":
            yield Triple(own, HAS_INPUT, node)
    if not is_variable and symbol not in said.with_level:
        yield Triple(node, LEVEL, _POPULATION)


def _event_triples(
    own: NamedNode, node: NamedNode, event: Event, model: Model, nodes: Mapping[str, NamedNode]
) -> Iterator[Triple]:
    cores = {item.core: item.symbol for item in model.variables}
    yield Triple(own, HAS_EVENT, node)
    yield Triple(node, TYPE, _pepr("ModelEvent"))
    yield Triple(node, SYMBOL, Literal(event.symbol))
    for item in event.assignments:
        yield Triple(node, AFFECTS, nodes[cores[item.symbol]])


def _marked(node: NamedNode, mark: Mark, links: Mapping[str, Sequence[Annotation]]) -> Iterator[Triple]:
    """Yield the identifier of an element in its file, its SBO term and its links, which are given by identifier."""
    if mark.metaid:
        yield Triple(node, SOURCE, Literal(mark.metaid))
    term = sbo_iri(mark.sbo)
    if term is not None:
        yield Triple(node, SBO_TERM, NamedNode(term))
    for item in links.get(mark.metaid, ()) if mark.metaid else ():
        if item.predicate != SBO:
            yield Triple(node, WRITTEN, Literal(item.resource))
            found = _iri_of(item.resource)
            if found is not None:
                yield Triple(node, NamedNode(item.predicate), found)


def _iri_of(written: str) -> Term | None:
    found = one_iri(written)
    try:
        return NamedNode(found) if found is not None else None
    except ValueError:  # Oxigraph's word for an IRI that is none
        return None
