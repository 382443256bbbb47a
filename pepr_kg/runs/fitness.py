"""Fit for a twin: what a dataset, by its description alone, offers the inputs of each model, and whether it may be
used.

No observation is looked at: a data element says a quantity and a unit, an access condition says what is permitted, by
terms of DUO (Data Use Ontology) or as a purpose of DPV (Data Privacy Vocabulary). What is not permitted is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import select_columns
from pepr_kg.namespaces import ID, PEPR, PREFIXES, expand, shrink
from pepr_kg.rdf import is_iri
from pepr_kg.resources import read_query
from pepr_kg.runs.conditions import refused
from pepr_kg.runs.elements import Concepts, read_concepts
from pepr_kg.runs.errors import UnknownDataset
from pepr_kg.runs.permission import (
    NOTHING_PERMITS,
    NOTHING_STATED,
    Answer,
    Condition,
    Force,
    Rule,
    Text,
    Use,
    decide,
    judge,
)
from pepr_kg.store import Literal, NamedNode, View
from pepr_kg.twin.errors import TwinError, UnknownModel, suggest
from pepr_kg.twin.units import conversion

Row = Mapping[str, str | None]

_TYPE: Final = NamedNode(PREFIXES["rdf"] + "type")
_LABEL: Final = NamedNode(PREFIXES["rdfs"] + "label")
_INDIVIDUALS: Final = NamedNode(PEPR + "individualCount")
_ACCESS: Final = NamedNode(PEPR + "hasAccessLevel")
_NO_UNIT: Final = {"en": "The dataset does not say its unit.", "fr": "Le jeu de données n’en dit pas l’unité."}
_NO_UNIT_TAKEN: Final = {
    "en": "The model does not say in which unit it takes it.",
    "fr": "Le modèle ne dit pas dans quelle unité il le prend.",
}
_ACCESS_RULES: Final[Mapping[str, tuple[Answer, Text]]] = {
    "closed": (
        Answer.NO,
        {"en": "The dataset is closed to others.", "fr": "Le jeu de données est fermé aux autres."},
    ),
    "controlled": (
        Answer.ASK,
        {"en": "To be done: ask the holder for access.", "fr": "À faire : demander l’accès au détenteur."},
    ),
    "registered": (
        Answer.ASK,
        {"en": "To be done: register and accept the terms.", "fr": "À faire : s’inscrire et accepter les conditions."},
    ),
}
_ALL_REFUSED: Final = {
    "en": "Everyone has refused or withdrawn consent.",
    "fr": "Toutes les personnes ont refusé ou retiré leur consentement.",
}


class Cover(StrEnum):
    """What a dataset has of an input."""

    COVERED = "covered"
    CONVERTED = "converted"  # in another unit, which converts
    WRONG_UNIT = "wrong-unit"
    LACKING = "lacking"
    ELSEWHERE = "elsewhere"  # a property of the patient, a written value or a query gives it, of which no element tells


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a model: its `unit` is what the model takes, `found` that of `data_element`, where there is one.

    `label` is what a person calls it, in each language that has a name for it; `required` says that the model has no
    value of its own; `factor` and `offset` make of a value in `found` one in
    `unit`; `detail` says why a unit cannot be used.
    """

    element: str
    symbol: str
    required: bool
    cover: Cover
    unit: str | None = None
    data_element: str | None = None
    found: str | None = None
    factor: float = 1.0
    offset: float = 0.0
    detail: Text | None = None
    label: Text = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fitness:
    """How fit a dataset is for twins of a model: `inputs` one by one, `rules` what its conditions say of the use."""

    dataset: str
    model: str
    inputs: tuple[Input, ...]
    rules: tuple[Rule, ...]

    @property
    def permission(self) -> Answer:
        """Return whether the use is permitted; `ASK` where a person must read the permission, `UNSTATED` where there is
        none. Duties may remain.
        """
        return decide(self.rules)

    @property
    def complete(self) -> bool:
        """Return whether nothing that the model requires is lacking or in a unit that cannot be used."""
        return not any(item.required and item.cover in {Cover.LACKING, Cover.WRONG_UNIT} for item in self.inputs)

    @property
    def fits(self) -> bool:
        """Return whether the dataset is fit for twins of the model: complete, and permitted or left to a person."""
        return self.complete and self.permission in {Answer.YES, Answer.ASK}

    def of(self, cover: Cover) -> tuple[Input, ...]:
        """Return the inputs of which the dataset has that."""
        return tuple(item for item in self.inputs if item.cover is cover)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "dataset": self.dataset, "model": self.model, "fits": self.fits, "complete": self.complete,
            "permission": self.permission.value,
            "rules": [
                {"condition": rule.condition, "answer": rule.answer.value, "force": rule.force.value,
                 "sentence": dict(rule.sentence)}
                for rule in self.rules
            ],
            "inputs": [
                {"element": item.element, "symbol": item.symbol, "label": dict(item.label),
                 "required": item.required, "cover": item.cover.value, "unit": item.unit,
                 "data_element": item.data_element, "found": item.found, "factor": item.factor, "offset": item.offset,
                 "detail": None if item.detail is None else dict(item.detail)}
                for item in self.inputs
            ],
        }  # fmt: skip


def assess_dataset(
    view: View, dataset: str, models: Sequence[str] | None = None, use: Use | None = None
) -> tuple[Fitness, ...]:
    """Return how fit a dataset is for each model, or for some: names may be IRIs, short forms, or the name alone.

    `use` says what for; without it, research without commercial aim. Raises `UnknownDataset`, `UnknownModel` and
    `UnknownPrefix`.
    """
    name = expand(dataset if ":" in dataset else f"dataset:{dataset}")
    if not is_iri(name):
        raise UnknownDataset(dataset=dataset)
    iri = NamedNode(name)
    if next(view.quads(iri, _TYPE, NamedNode(PEPR + "Dataset")), None) is None:
        raise UnknownDataset(dataset=shrink(iri.value) or iri.value)
    taken = _by_model(_rows(view, "runs/model-inputs"))
    about = defaultdict(set)
    for row in _rows(view, "runs/model-purposes"):
        about[str(row["model"])].add(str(row["about"]))
    wanted = sorted({*taken, *about}) if models is None else [_model(name, {*taken, *about}) for name in models]
    concepts = read_concepts(view)
    held = _held(view, iri, concepts)
    conditions = _conditions(view, iri)
    shared = (*_access(view, iri), *_consents(view, iri))
    found = []
    for model in wanted:
        subject = frozenset(about.get(model, ()))
        rules = tuple(judge(condition, use or Use(), subject) for condition in conditions) + shared
        permits = {rule.answer for rule in rules if rule.force is Force.PERMITS}
        if not permits:
            rules += (Rule(iri.value, Answer.UNSTATED, NOTHING_STATED, Force.RESTRICTS),)
        elif permits == {Answer.NO}:
            rules += (Rule(iri.value, Answer.NO, NOTHING_PERMITS, Force.RESTRICTS),)
        inputs = tuple(
            replace(_input(rows, held, concepts), label=_labels(view, element))
            for element, rows in taken.get(model, {}).items()
        )
        found.append(Fitness(iri.value, model, inputs, rules))
    return tuple(found)


def _rows(view: View, query: str, **iris: NamedNode) -> list[Row]:
    rows: list[Row] = select_columns(view, read_query(query), iris).to_pylist()
    return rows


def _labels(view: View, iri: str) -> Text:
    found = [quad.object for quad in view.quads(NamedNode(iri), _LABEL)]
    return {text.language: text.value for text in found if isinstance(text, Literal) and text.language}


def _model(name: str, known: Iterable[str]) -> str:
    iri = expand(name) if ":" in name else f"{ID}model/{name}"
    names = sorted(known)
    if iri not in names:
        raise UnknownModel(name=name, known=suggest(name, [each.removeprefix(f"{ID}model/") for each in names]))
    return iri


def _by_model(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return the rows of each element of each model."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault(str(row["model"]), {}).setdefault(str(row["element"]), []).append(row)
    return found


def _held(view: View, dataset: NamedNode, concepts: Concepts) -> dict[str, list[Row]]:
    """Return the data elements of a dataset by concept, under each name of it."""
    found: dict[str, list[Row]] = {}
    for row in _rows(view, "runs/data-elements", dataset=dataset):
        for name in concepts.same([str(row["quantity"])]):
            found.setdefault(name, []).append(row)
    return found


def _input(rows: Sequence[Row], held: Mapping[str, Sequence[Row]], concepts: Concepts) -> Input:
    """Return what a dataset has of one element; `rows` are what the graph says of it, one for each of its concepts."""
    first = rows[0]
    element, symbol, unit = str(first["element"]), str(first["symbol"]), first["unit"]
    required = first["default"] is None
    names = [str(row["quantity"]) for row in rows if row["quantity"] is not None]
    masses = [concepts.masses[name] for name in concepts.same(names) if name in concepts.masses]
    plain = any(row["category"] is not None for row in rows)  # a category has no unit that could be wrong
    tried = [
        _compared(
            Input(element, symbol, required, Cover.COVERED, unit, str(item["element"]), item["unit"]), masses, plain
        )
        for name in names
        for item in held.get(name, ())
    ]
    if tried:
        return min(tried, key=lambda item: (_BEST.index(item.cover), item.data_element or ""))
    given = any(row[means] is not None for row in rows for means in ("path", "value", "query"))
    return Input(element, symbol, required, Cover.ELSEWHERE if given else Cover.LACKING, unit)


_BEST: Final = (Cover.COVERED, Cover.CONVERTED, Cover.WRONG_UNIT)


def _compared(item: Input, masses: Sequence[float], plain: bool) -> Input:
    """Return an input with what the unit of its data element means for it."""
    if plain or item.found == item.unit:
        return item
    if item.found is None:
        return replace(item, cover=Cover.WRONG_UNIT, detail=_NO_UNIT)
    if item.unit is None:
        return replace(item, cover=Cover.WRONG_UNIT, detail=_NO_UNIT_TAKEN)
    mass = masses[0] if masses else None
    try:
        factor, offset = conversion(item.found, item.unit, molar_mass_g_per_mol=mass, symbol=item.symbol)
    except TwinError as error:
        return replace(item, cover=Cover.WRONG_UNIT, detail={lang: error.message(lang) for lang in ("en", "fr")})
    cover = Cover.COVERED if (factor, offset) == (1.0, 0.0) else Cover.CONVERTED
    return replace(item, cover=cover, factor=factor, offset=offset)


def _conditions(view: View, dataset: NamedNode) -> tuple[Condition, ...]:
    """Return the conditions of a dataset, one for each term of each."""
    groups: dict[tuple[str, str, str | None], list[Row]] = {}
    for row in _rows(view, "runs/access-conditions", dataset=dataset):
        groups.setdefault((str(row["condition"]), str(row["kind"]), row["term"]), []).append(row)
    return tuple(
        Condition(
            condition,
            kind.removeprefix(PEPR),
            term,
            frozenset(purpose for row in rows if (purpose := row["purpose"]) is not None),
            frozenset(limit for row in rows if (limit := row["limited"]) is not None),
            {lang: text for lang in ("fr", "en") if (text := rows[0][lang]) is not None},
        )
        for (condition, kind, term), rows in groups.items()
    )


def _access(view: View, dataset: NamedNode) -> Iterable[Rule]:
    """Yield what the access level of a dataset asks for."""
    for quad in view.quads(dataset, _ACCESS):
        level = quad.object.value.rpartition("/")[2] if isinstance(quad.object, NamedNode) else ""
        if level in _ACCESS_RULES:
            answer, sentence = _ACCESS_RULES[level]
            yield Rule(dataset.value, answer, sentence, Force.RESTRICTS)


def _consents(view: View, dataset: NamedNode) -> Iterable[Rule]:
    """Yield what people's decisions about a dataset ask for: of whom no decision is known, nothing speaks against."""
    table = select_columns(view, read_query("runs/covered-consents"), {"dataset": dataset})
    people: pa.Array = pc.unique(table["entity"].combine_chunks())
    against = int(refused(table, people).sum()) if len(people) else 0
    said = [quad.object for quad in view.quads(dataset, _INDIVIDUALS)]
    stated = [int(count.value) for count in said if isinstance(count, Literal) and count.value.isdecimal()]
    everyone = max(len(people), *stated, 0)
    if against == everyone > 0:
        yield Rule(dataset.value, Answer.NO, _ALL_REFUSED, Force.RESTRICTS)
    elif against:
        sentence = {
            "en": f"To be done: leave out those who refused or withdrew consent, {against} of {everyone}.",
            "fr": f"À faire : laisser de côté les personnes qui ont refusé ou retiré leur consentement, {against} sur "
            f"{everyone}.",
        }
        yield Rule(dataset.value, Answer.ASK, sentence, Force.ASKS)
