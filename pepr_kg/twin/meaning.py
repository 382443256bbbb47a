"""What a model means, read from RDF: the Turtle file beside its SBML file, or the graph that the file was loaded into.

The mathematics, the units and the default values stand in the SBML file; labels, concepts, bounds, the codes of
categories, for whom the model holds and how its parameters and its measurements vary stand in the Turtle. What belongs
to a model is what bears its name: of the model `…/model/NAME`, the things `…/KIND/NAME` and `…/KIND/NAME.REST`.

>>> from pepr_kg.resources import ontology_dir
>>> meaning = read_meaning_file(ontology_dir() / "models" / "score2.ttl")
>>> meaning.iri
'https://w3id.org/pepr-santenum/id/model/score2'
>>> meaning.elements["sbp_mmHg"].bounds, meaning.elements["sbp_mmHg"].quantities
((0.0, 350.0), ('https://w3id.org/pepr-santenum/id/quantity/systolic-blood-pressure',))
>>> [(code.text, code.value) for code in meaning.elements["sex"].codes]
[('male', 0.0), ('female', 1.0)]
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Final

from pepr_kg.errors import DataUnreadable
from pepr_kg.namespaces import ID, MODELS_GRAPH, PEPR, PREFIXES
from pepr_kg.rdf import Literal, NamedNode, Quad, Term, Triple, parse_file
from pepr_kg.twin.errors import ModelInvalid
from pepr_kg.twin.model import Code, Model, Validity

_TYPE: Final = PREFIXES["rdf"] + "type"
_LABEL: Final = PREFIXES["rdfs"] + "label"
_NUMBERS: Final = tuple(PREFIXES["xsd"] + kind for kind in ("decimal", "integer", "double", "float"))
_ELEMENTS: Final = tuple(PEPR + name for name in ("hasInput", "hasVariable", "hasParameter", "hasElement"))
_INPUT, _OUTPUT = ID + "variable-role/input", ID + "variable-role/output"
_INDIVIDUAL: Final = ID + "parameter-level/individual"
_TRANSFORM: Final = ID + "transform/"
_FAMILY: Final = ID + "distribution-family/"
# What the graph holds of a model besides its meaning, as it follows from the SBML file: no part of the digest.
_DERIVED: Final = frozenset(
    PEPR + name
    for name in (
        "hasInput", "hasVariable", "hasParameter", "hasElement", "hasModelEvent", "affectsElement", "symbol",
        "sourceIdentifier", "defaultValue", "hasForm", "modelFile", "contentDigest", "sboTerm", "writtenIdentifier",
    )
)  # fmt: skip
_UNITS: Final = (PEPR + "unitCode", PEPR + "timeUnitCode")  # derived where the model or an element bears them
_DERIVED_VALUES: Final = frozenset(
    ID + name for name in ("variable-role/state", "variable-role/derived", "parameter-level/population")
)

Statement = Triple | Quad
Facts = Mapping[str, Mapping[str, Sequence[Term]]]  # subject → predicate → objects


@dataclass(frozen=True, slots=True)
class Element:
    """What is said of one symbol. `direction` is "input" for what a user may set (an input, or a parameter that tells
    individuals apart), "output" for what the model is asked for, or nothing. `concepts` gives the number of each coded
    value by its IRI; `quantities` are the IRIs of the concepts that it stands for.
    """

    iri: str
    symbol: str
    direction: str = ""
    transform: str = "identity"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    open_below: bool = False
    codes: tuple[Code, ...] = ()
    concepts: tuple[tuple[str, float], ...] = ()
    quantities: tuple[str, ...] = ()
    label_en: str = ""
    label_fr: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """How an individual parameter varies, on the scale of its transform. `family` is that of its prior; only "normal"
    ones are estimated and drawn, a "point" is taken as known.
    """

    symbol: str
    mean: float
    sd: float
    family: str = "normal"


@dataclass(frozen=True, slots=True)
class Error:
    """How far a measurement of `variable` lies from the truth: normal, of variance additive² + (proportional · truth)²,
    on the scale of `transform`. `additive` is in the unit of the variable, or on the transformed scale.
    """

    variable: str
    additive: float = 0.0
    proportional: float = 0.0
    transform: str = "identity"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a model means. `elements` by symbol; `validity` in the order of symbols; `correlations` of the priors of two
    symbols. `digest` ("sha256:…") changes with all that is said of the model but texts in a language.
    """

    iri: str
    digest: str
    elements: Mapping[str, Element] = field(default_factory=dict)
    validity: tuple[Validity, ...] = ()
    effects: tuple[Effect, ...] = ()
    correlations: tuple[tuple[str, str, float], ...] = ()
    errors: tuple[Error, ...] = ()
    label_en: str = ""
    label_fr: str = ""

    def __hash__(self) -> int:
        return hash((self.iri, self.digest))

    @property
    def name(self) -> str:
        """Return the last part of the model's IRI."""
        return local_name(self.iri)


def local_name(iri: str) -> str:
    """Return what follows the last slash or number sign of an IRI.

    >>> local_name("https://w3id.org/pepr-santenum/id/model/score2")
    'score2'
    """
    return iri[max(iri.rfind("/"), iri.rfind("#")) + 1 :]


# -- reading -----------------------------------------------------------------------------------------------------------


def read_meaning(triples: Iterable[Statement], model_iri: str) -> Meaning:
    """Return what the triples say of a model; those about other things are passed over, in whatever order they come.

    The same triples from a file and from a graph give the same meaning and the same digest. Raises `ModelInvalid` for
    a bound, a code or a spread that is no number, an element without a symbol, and two elements with one symbol.
    """
    name = local_name(model_iri)
    facts: dict[str, dict[str, list[Term]]] = {}
    for triple in triples:
        subject = triple.subject
        if isinstance(subject, NamedNode) and _owns(name, subject.value):
            value = triple.object
            if not isinstance(value, Triple):
                facts.setdefault(subject.value, {}).setdefault(triple.predicate.value, []).append(value)
    return _Reader(model_iri, facts).read()


def read_meaning_file(path: Path) -> Meaning:
    """Return what a Turtle file says of the model that it describes: the only one, or the one with the file's name.

    Read once, as long as the file does not change. Raises like `read_meaning`, `ModelInvalid` where the file describes
    no model or several, `DataUnreadable` and `DataSyntaxError`.
    """
    try:
        stamp = path.stat()
    except OSError as error:
        raise DataUnreadable(path=path, detail=error.strerror or error) from error
    return _read_file(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=128)
def _read_file(path: Path, _modified: int, _size: int) -> Meaning:
    quads = parse_file(path, NamedNode(MODELS_GRAPH))
    models = sorted(
        quad.subject.value
        for quad in quads
        if quad.predicate.value == _TYPE
        and isinstance(quad.subject, NamedNode)
        and isinstance(quad.object, NamedNode)
        and quad.object.value == PEPR + "Model"
    )
    named = [iri for iri in models if local_name(iri) == path.stem] if len(models) > 1 else models
    if len(named) != 1:
        found = ", ".join(models) or "-"
        raise ModelInvalid(model=path.stem, symbol=path.name, detail={
            "en": f"it should describe one pepr:Model, or one named {path.stem}; it describes {found}",
            "fr": f"il doit décrire un seul pepr:Model, ou en nommer un {path.stem} ; il décrit {found}"})  # fmt: skip
    return read_meaning(quads, named[0])


def meaning_beside(source: str | Path) -> Path | None:
    """Return the Turtle file beside a model's file, of the same name; None where there is none."""
    path = Path(source)
    beside = path.with_suffix(".ttl") if path.name else path
    return beside if path.name and beside != path and beside.is_file() else None


def _owns(name: str, iri: str) -> bool:
    found = local_name(iri)
    return found == name or found.startswith(name + ".")


class _Reader:
    def __init__(self, iri: str, facts: Facts) -> None:
        self.iri, self.facts, self.name = iri, facts, local_name(iri)
        self.elements: dict[str, Element] = {}
        self.symbols: dict[str, str] = {}  # of elements by IRI

    def read(self) -> Meaning:
        own = [iri for predicate in _ELEMENTS for iri in self.iris(self.iri, predicate)]
        for iri in sorted(dict.fromkeys(own)):
            element = self.element(iri)
            if element.symbol in self.elements:
                raise self.invalid(element.symbol, "two elements have this symbol", "deux éléments ont ce symbole")
            self.elements[element.symbol], self.symbols[iri] = element, element.symbol
        self.elements = dict(sorted(self.elements.items()))
        english, french = self.labels(self.iri)
        return Meaning(
            self.iri, self.digest(), self.elements, self.validity(), self.effects(), self.correlations(),
            self.errors(), english, french,
        )  # fmt: skip

    # What is asked of the triples

    def all(self, subject: str, predicate: str) -> Sequence[Term]:
        return self.facts.get(subject, {}).get(predicate, ())

    def iris(self, subject: str, predicate: str) -> list[str]:
        return sorted(term.value for term in self.all(subject, predicate) if isinstance(term, NamedNode))

    def iri_of(self, subject: str, predicate: str) -> str:
        return next(iter(self.iris(subject, predicate)), "")

    def text(self, subject: str, predicate: str, language: str | None = None) -> str:
        texts = (term for term in self.all(subject, predicate) if isinstance(term, Literal))
        return next(iter(sorted(term.value for term in texts if term.language == language)), "")

    def labels(self, subject: str) -> tuple[str, str]:
        return self.text(subject, _LABEL, "en"), self.text(subject, _LABEL, "fr")

    def number(self, subject: str, predicate: str, default: float) -> float:
        text = self.text(subject, PEPR + predicate)
        if not text:
            return default
        try:
            return float(text)
        except ValueError:
            raise self.invalid(
                local_name(subject),
                f'pepr:{predicate} is "{text}", no number',
                f"pepr:{predicate} vaut « {text} », qui n’est pas un nombre",
            ) from None

    def invalid(self, symbol: str, english: str, french: str) -> ModelInvalid:
        return ModelInvalid(model=self.name, symbol=symbol, detail={"en": english, "fr": french})

    # What they say

    def element(self, iri: str) -> Element:
        symbol = self.text(iri, PEPR + "symbol")
        if not symbol:
            raise self.invalid(local_name(iri), "it has no pepr:symbol", "il n’a pas de pepr:symbol")
        roles = self.iris(iri, PEPR + "hasVariableRole")
        given = _INPUT in roles or self.iri_of(iri, PEPR + "hasParameterLevel") == _INDIVIDUAL
        codes, concepts = self.codes(iri)
        english, french = self.labels(iri)
        return Element(
            iri,
            symbol,
            direction="output" if _OUTPUT in roles else "input" if given else "",
            transform=self.iri_of(iri, PEPR + "hasTransform").removeprefix(_TRANSFORM) or "identity",
            bounds=(self.number(iri, "lowerBound", -math.inf), self.number(iri, "upperBound", math.inf)),
            open_below=self.text(iri, PEPR + "exclusiveLowerBound") in ("true", "1"),
            codes=codes,
            concepts=concepts,
            quantities=tuple(self.iris(iri, PEPR + "quantity")),
            label_en=english,
            label_fr=french,
        )

    def codes(self, iri: str) -> tuple[tuple[Code, ...], tuple[tuple[str, float], ...]]:
        codes, concepts = [], []
        for category in self.iris(iri, PEPR + "hasCategory"):
            value = self.number(category, "numericValue", math.nan)
            if math.isnan(value):
                raise self.invalid(
                    local_name(category), "it has no pepr:numericValue", "elle n’a pas de pepr:numericValue"
                )
            codes.append(Code(value, self.text(category, PEPR + "categoryText"), *self.labels(category)))
            concepts += [(concept, value) for concept in self.iris(category, PEPR + "categoryConcept")]
        return tuple(sorted(codes, key=lambda code: code.value)), tuple(sorted(concepts))

    def validity(self) -> tuple[Validity, ...]:
        rules = [
            Validity(
                self.symbol(self.iri_of(rule, PEPR + "appliesTo"), rule),
                self.number(rule, "lowerBound", -math.inf),
                self.number(rule, "upperBound", math.inf),
                self.text(rule, PEPR + "reason", "en"),
                self.text(rule, PEPR + "reason", "fr"),
            )
            for validity in self.iris(self.iri, PEPR + "hasValidity")
            for rule in self.iris(validity, PEPR + "hasValidityRule")
        ]
        return tuple(sorted(rules, key=lambda rule: (rule.symbol, rule.minimum, rule.maximum)))

    def effects(self) -> tuple[Effect, ...]:
        return tuple(
            Effect(
                element.symbol,
                self.number(prior, "mean", math.nan),
                self.number(prior, "standardDeviation", math.nan),
                self.iri_of(prior, PEPR + "hasDistributionFamily").removeprefix(_FAMILY) or "normal",
            )
            for element in self.elements.values()
            for prior in self.iris(element.iri, PEPR + "hasPrior")
        )

    def correlations(self) -> tuple[tuple[str, str, float], ...]:
        found = []
        for iri in self.facts:
            if pair := [self.symbol(end, iri) for end in self.iris(iri, PEPR + "correlates")]:
                if len(pair) != 2:
                    raise self.invalid(local_name(iri), "it has not two ends", "elle n’a pas deux extrémités")
                found.append((pair[0], pair[1], self.number(iri, "correlationCoefficient", math.nan)))
        return tuple(sorted(found))

    def errors(self) -> tuple[Error, ...]:
        return tuple(
            Error(
                element.symbol,
                self.number(residual, "additiveDeviation", 0.0),
                self.number(residual, "proportionalDeviation", 0.0),
                self.iri_of(residual, PEPR + "hasTransform").removeprefix(_TRANSFORM) or "identity",
            )
            for element in self.elements.values()
            for residual in self.iris(element.iri, PEPR + "hasResidualModel")
        )

    def symbol(self, element: str, where: str) -> str:
        if element not in self.symbols:
            raise self.invalid(
                local_name(where),
                f"{element or 'nothing'} is no element of the model",
                f"{element or 'rien'} n’est pas un élément du modèle",
            )
        return self.symbols[element]

    def digest(self) -> str:
        """SHA-256 of the sorted triples in our namespace, numbers in one form, without texts and what is derived."""
        bare = {self.iri, *self.symbols}
        lines = sorted(
            f"<{subject}> <{predicate}> {_canonical(term)} .\n"
            for subject, facts in self.facts.items()
            for predicate, terms in facts.items()
            if predicate.startswith(PEPR)
            and predicate not in _DERIVED
            and not (predicate in _UNITS and subject in bare)
            for term in terms
            if not (isinstance(term, Literal) and term.language)
            and not (isinstance(term, NamedNode) and term.value in _DERIVED_VALUES)
        )
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _canonical(term: Term) -> str:
    """Return a term as in N-Triples; a number without needless zeros, since a store may write it in its own way."""
    if isinstance(term, Literal) and term.datatype.value in _NUMBERS:
        try:
            number = Decimal(term.value)
        except InvalidOperation:
            return str(term)
        if number.is_finite():
            return f"{number.normalize() + 0:f}"
    return str(term)


# -- onto the model ----------------------------------------------------------------------------------------------------


def attach(model: Model, meaning: Meaning) -> Model:
    """Return the model with labels, bounds, codes, transforms, directions and validity as the meaning has them.

    Raises `ModelInvalid` for a symbol of the meaning that the model does not have.
    """
    known = set(model.symbols)
    for symbol in [*meaning.elements, *(rule.symbol for rule in meaning.validity)]:
        if symbol not in known:
            raise ModelInvalid(model=model.name, symbol=symbol, detail={
                "en": "its description names this symbol, which the file does not have; correct one of the two",
                "fr": "sa description nomme ce symbole, que le fichier n’a pas ; corrigez l’un des deux"})  # fmt: skip
    variables = []
    for variable in model.variables:
        found = meaning.elements.get(variable.symbol)
        variables.append(
            variable
            if found is None
            else replace(
                variable,
                direction=found.direction,
                transform=found.transform,
                bounds=found.bounds,
                open_below=found.open_below,
                codes=found.codes,
                label_en=found.label_en,
                label_fr=found.label_fr,
            )
        )
    return replace(model, variables=tuple(variables), validity=meaning.validity)
