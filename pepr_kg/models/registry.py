"""Models found in the graph: what the evaluator needs of one, read with a handful of queries, whatever its size.

A model is looked for by its name, its short form or its IRI. Its file is read only where its digest is the one that the
graph states: a file that was changed after it was registered is refused. What was found is kept for as long as the
dataset stays at its version; the digest of the file is looked at each time.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pepr_kg.models.couplings import (
    Coupling,
    Term,
    read_conserved,
    read_interval,
    read_links,
    read_scheme,
)
from pepr_kg.models.description import sha256_text
from pepr_kg.models.errors import ModelChanged, ModelFileMissing, ModelMeaningBroken, broken_by
from pepr_kg.models.scenarios import Change, interventions
from pepr_kg.namespaces import ID, expand
from pepr_kg.rdf import is_iri
from pepr_kg.resources import ontology_dir, read_query
from pepr_kg.store import Literal, NamedNode, Triple, View, file_digest
from pepr_kg.twin import Conserved, Leaping, Link, Model, Priors, Relaxed, Residual, Scenario, TwinError, builtin_models
from pepr_kg.twin.builtin import priors_of, residuals_of
from pepr_kg.twin.errors import UnknownModel, suggest
from pepr_kg.twin.meaning import attach, read_meaning
from pepr_kg.twin.sbml.document import read_bytes
from pepr_kg.twin.sbml.reading import read_model
from pepr_kg.twin.units import conversion

MODEL: Final = f"{ID}model/"
FOLDER: Final = "models"  # of a dataset: the files of the models that were added to it
_KEPT: Final = 64
_FIRST_ORIGIN: Final = "evaluation"

Row = Mapping[str, str]  # column -> text; what is unbound is left out


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding of a model: how `symbol`, whose node is `element`, gets its value for an entity.

    Exactly one of `value` (in `unit`), `path`, `query` and `quantities` is given; `quantities` are concepts and what is
    exactly the same. `selection` is latest, earliest, nearest or all; `maximum_age_days` is None where the age of an
    observation does not matter.
    """

    iri: str
    symbol: str
    element: str
    value: float | None = None
    unit: str | None = None
    path: str | None = None
    query: str | None = None
    quantities: tuple[str, ...] = ()
    selection: str = "latest"
    maximum_age_days: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A model of the graph, ready for the evaluator.

    `model` has the labels, bounds, categories and validity of the graph on it; `path` is its file. By symbol:
    `elements` (the node) and `quantities` (concepts, and what is exactly the same). `time_origin` is evaluation, birth
    or first-dose; `horizon` is in the model's time unit. `priors` is None where nothing varies. `scenarios` are by IRI,
    their times from the start of the evaluation on. `required` are the symbols of which the file has no value.
    `digest` is that of the file, `meaning_digest` that of what the graph says and the computation uses.
    """

    iri: str
    name: str
    model: Model
    path: Path
    elements: Mapping[str, str]
    bindings: tuple[Binding, ...]
    time_origin: str
    horizon: float | None
    priors: Priors | None
    residuals: tuple[Residual, ...]
    quantities: Mapping[str, tuple[str, ...]]
    scenarios: Mapping[str, Scenario]
    digest: str
    meaning_digest: str
    required: tuple[str, ...]
    labels: Mapping[str, str]
    licence: str | None
    publications: tuple[str, ...]  # addresses of the documents that describe it


@dataclass(frozen=True, slots=True, eq=False)
class Coupled:
    """A model that is made of two of the graph, `fast` and `slow`, and of what they exchange (`twin.couple`).

    `interval` and `horizon` are in the slow model's time unit; symbols in `scenarios` are written "fast.X" or "slow.X".
    `digest` is the digest of those of its parts; so is `meaning_digest`, with what the graph says of the whole.
    """

    iri: str
    name: str
    fast: Registered
    slow: Registered
    links: tuple[Link, ...]
    scheme: Leaping | Relaxed
    interval: float
    conserved: tuple[Conserved, ...]
    horizon: float | None
    scenarios: Mapping[str, Scenario]
    digest: str
    meaning_digest: str
    time_origin: str
    labels: Mapping[str, str]
    licence: str | None
    publications: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as a list shows it: `form` and `time_unit` are "" for a coupled one, and `file` too."""

    iri: str
    name: str
    labels: Mapping[str, str]
    form: str
    time_unit: str
    digest: str
    file: str
    coupled: bool


def list_models(view: View) -> tuple[Listed, ...]:
    """Return the models of the graph, in the order of their names; one query, and no file is opened."""
    found: dict[str, Listed] = {}
    for row in _rows(view, "models"):
        iri = row["model"]
        labels = {lang: row[lang] for lang in ("fr", "en") if lang in row}
        form = row.get("form", "").rpartition("/")[2]
        found.setdefault(
            iri,
            Listed(
                iri, name_of(iri), labels, form, row.get("timeUnit", ""), row.get("digest", ""), row.get("file", ""),
                "fast" in row,
            ),
        )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda item: item.name))


def find_model(view: View, name: str, folder: Path) -> Registered | Coupled:
    """Return a model of the graph: `name` is "score2", "model:score2" or the IRI, `folder` that of the dataset.

    Raises `UnknownModel`, which suggests the nearest names, `UnknownPrefix`, `ModelFileMissing`, `ModelChanged` where
    the file is not the one that was registered, `ModelMeaningBroken` where what the graph says cannot be used, and what
    `read_model` raises.
    """
    iri = expand(name) if ":" in name else MODEL + name
    key = (view.version, iri, str(folder))
    known = _found.get(key)
    if known is not None:
        for part in (known.fast, known.slow) if isinstance(known, Coupled) else (known,):
            check_digest(part.name, part.path, part.digest)
        return known
    row = next(iter(_rows(view, "models", model=iri)), None) if is_iri(iri) else None
    if row is None:
        names = [item.name for item in list_models(view)]
        raise UnknownModel(name=name, known=suggest(name_of(iri), names))
    found = _couple(view, row, folder) if "fast" in row else _register(view, row, folder)
    _found[key] = found
    while len(_found) > _KEPT:
        _found.popitem(last=False)
    return found


_found: OrderedDict[tuple[str, str, str], Registered | Coupled] = OrderedDict()


def name_of(iri: str) -> str:
    """Return the name of a model from its IRI."""
    return iri.removeprefix(MODEL)


def file_of(name: str, address: str, folder: Path) -> Path:
    """Return where the file of a model is: beside the ontology for those that come with the project, else in `folder`.

    Of the address that the graph gives, the name of the file counts and no folder.
    """
    home = ontology_dir() / "models" if name in builtin_models() else folder / FOLDER
    return home / Path(address).name


def check_digest(name: str, path: Path, registered: str) -> None:
    """Raise `ModelFileMissing` or `ModelChanged` unless the file of a model is the one that was registered."""
    try:
        found = sha256_text(file_digest(path))
    except OSError as error:
        raise ModelFileMissing(name=name, path=path) from error
    if found != registered:
        raise ModelChanged(name=name, path=path, registered=registered, found=found)


def owned_triples(view: View, name: str) -> list[Triple]:
    """Return what the graph of models says of a model and of the things that are called after it."""
    table = view.select(read_query("models/owned"), {"name": Literal(name)})
    return [
        Triple(subject, predicate, value)
        for subject, predicate, value, _ in table.rows
        if isinstance(subject, NamedNode) and isinstance(predicate, NamedNode) and value is not None
    ]


# ---- One model -------------------------------------------------------------------------------------------------------


def _register(view: View, row: Row, folder: Path) -> Registered:
    iri, name = row["model"], name_of(row["model"])
    if "file" not in row:
        raise ModelMeaningBroken(name=name, focus=iri, detail={
            "en": "it has neither a file with its digest and form, nor two parts",
            "fr": "il n’a ni fichier avec son empreinte et sa forme, ni deux parties"})  # fmt: skip
    path = file_of(name, row["file"], folder)
    check_digest(name, path, row["digest"])
    meaning = read_meaning(owned_triples(view, name), iri)
    model = attach(_read(path, row["digest"], name), meaning)
    elements, quantities = _elements(view, iri)
    return Registered(
        iri=iri,
        name=name,
        model=model,
        path=path,
        elements=elements,
        bindings=_bindings(view, iri, name),
        time_origin=row.get("origin", _FIRST_ORIGIN).rpartition("/")[2],
        horizon=_number(row, "horizon"),
        priors=priors_of(meaning, model) if meaning.effects else None,
        residuals=residuals_of(meaning, model),
        quantities=quantities,
        scenarios=_scenarios(view, iri, {iri: ("", model)}, model.time_unit),
        digest=row["digest"],
        meaning_digest=meaning.digest,
        required=_required(model),
        labels={lang: row[lang] for lang in ("fr", "en") if lang in row},
        licence=row.get("licence"),
        publications=tuple(dict.fromkeys(_publications(view, iri))),
    )


@lru_cache(maxsize=_KEPT)
def _read(path: Path, _digest: str, name: str) -> Model:
    """Return the model of a file alone; the digest is part of the key, so that a new file is read anew."""
    return read_model(read_bytes(path, name), name=name, source=str(path))


def _required(model: Model) -> tuple[str, ...]:
    """Return the symbols of which the file has no value, in its order."""
    empty = {
        item.symbol for item in model.initial if item.formula.is_number and math.isnan(float(item.formula.value or 0))
    }
    return tuple(item.symbol for item in model.variables if item.core in empty and item.role != "algebraic")


def _elements(view: View, iri: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    elements: dict[str, str] = {}
    quantities: dict[str, dict[str, None]] = {}
    for row in _rows(view, "elements", model=iri):
        elements[row["symbol"]] = row["element"]
        for column in ("quantity", "same"):
            if column in row:
                quantities.setdefault(row["symbol"], {})[row[column]] = None
    return elements, {symbol: tuple(found) for symbol, found in quantities.items()}


def _bindings(view: View, iri: str, name: str) -> tuple[Binding, ...]:
    quantities: dict[str, dict[str, None]] = {}
    rows: dict[str, Row] = {}
    for row in _rows(view, "bindings", model=iri):
        rows.setdefault(row["binding"], row)
        for column in ("quantity", "same"):
            if column in row:
                quantities.setdefault(row["binding"], {})[row[column]] = None
    return tuple(
        Binding(
            iri=binding,
            symbol=row["symbol"],
            element=row["element"],
            value=_number(row, "value"),
            unit=row.get("unit"),
            path=row.get("path"),
            query=row.get("query"),
            quantities=tuple(quantities.get(binding, ())),
            selection=row.get("selection", "latest").rpartition("/")[2],
            maximum_age_days=_days(row, name),
        )
        for binding, row in rows.items()
    )


def _days(row: Row, name: str) -> float | None:
    age = _number(row, "maximumAge")
    if age is None:
        return None
    try:
        return age * conversion(row["timeUnit"], "d", symbol="maximumAge")[0]
    except TwinError as error:
        raise broken_by(name, row["binding"], error) from error


def _scenarios(
    view: View, iri: str, parts: Mapping[str, tuple[str, Model]], time_unit: str | None
) -> dict[str, Scenario]:
    """Return the scenarios of a model; `parts` gives what stands before the symbols of each model, and the model."""
    name = name_of(iri)
    found: dict[str, Scenario] = {}
    for row in _rows(view, "scenarios", model=iri):
        scenario = row["scenario"]
        plan = found.setdefault(scenario, Scenario(scenario.rpartition("/")[2].removeprefix(f"{name}.")))
        if "intervention" not in row:
            continue
        if row["owner"] not in parts:
            raise ModelMeaningBroken(name=name, focus=scenario, detail={
                "en": f"it intervenes on {row['symbol']} of another model, {row['owner']}",
                "fr": f"il porte sur {row['symbol']} d’un autre modèle, {row['owner']}"})  # fmt: skip
        prefix, model = parts[row["owner"]]
        change = Change(
            row["kind"].rpartition("/")[2], prefix + row["symbol"], model.variable(row["symbol"]).unit, time_unit,
            float(row["value"]), row.get("unit"), row.get("timeUnit"),
            _first(_number(row, "at"), _number(row, "from")), _number(row, "until"), _number(row, "every"),
            int(row["count"]) if "count" in row else None, _number(row, "duration"),
        )  # fmt: skip
        made = tuple(interventions(name, scenario, change))
        found[scenario] = Scenario(plan.name, plan.interventions + made)
    return found


def _publications(view: View, iri: str) -> Iterator[str]:
    for row in _rows(view, "publications", model=iri):
        yield row.get("website", row["document"])


# ---- Two models coupled ----------------------------------------------------------------------------------------------


def _part(view: View, row: Row, side: str, folder: Path) -> Registered:
    """Return one of the two models. Raises `ModelMeaningBroken` for one that is itself made of two."""
    # Looked at before it is followed: one that is a part of itself would be followed without end.
    composed = any("fast" in item for item in _rows(view, "models", model=row[side]))
    found = None if composed else find_model(view, row[side], folder)
    if not isinstance(found, Registered):
        raise ModelMeaningBroken(name=name_of(row["model"]), focus=row["model"], detail={
            "en": "a part of it is itself a coupled model, which is not evaluated",
            "fr": "l’une de ses parties est elle-même un modèle composé, ce qui n’est pas évalué"})  # fmt: skip
    return found


def _couple(view: View, row: Row, folder: Path) -> Coupled:
    iri, name = row["model"], name_of(row["model"])
    fast, slow = (_part(view, row, side, folder) for side in ("fast", "slow"))
    sides = {fast.iri: "fast", slow.iri: "slow"}
    couplings = [_coupling(item, sides, name) for item in _rows(view, "couplings", model=iri)]
    terms = [
        Term(item["sum"], f"{sides[item['owner']]}.{item['symbol']}", float(item["weight"]), _number(item, "tolerance"))
        for item in _rows(view, "conserved", model=iri)
    ]
    order = int(row["order"]) if "order" in row else None
    scheme = row["scheme"].rpartition("/")[2] if "scheme" in row else None
    models = {fast.iri: ("fast.", fast.model), slow.iri: ("slow.", slow.model)}
    said = sorted(f"{item.subject} {item.predicate} {item.object}" for item in owned_triples(view, name))
    return Coupled(
        iri=iri,
        name=name,
        fast=fast,
        slow=slow,
        links=read_links(name, couplings),
        scheme=read_scheme(name, scheme, order, _number(row, "tolerance"), row.get("period")),
        interval=read_interval(name, couplings, slow.model.time_unit),
        conserved=read_conserved(terms),
        horizon=_number(row, "horizon"),
        scenarios=_scenarios(view, iri, models, slow.model.time_unit),
        digest=_digest([fast.digest, slow.digest]),
        meaning_digest=_digest([fast.meaning_digest, slow.meaning_digest, *said]),
        time_origin=row.get("origin", _FIRST_ORIGIN).rpartition("/")[2],
        labels={lang: row[lang] for lang in ("fr", "en") if lang in row},
        licence=row.get("licence"),
        publications=tuple(dict.fromkeys(_publications(view, iri))),
    )


def _coupling(row: Row, sides: Mapping[str, str], name: str) -> Coupling:
    if row["giver"] not in sides:
        raise ModelMeaningBroken(name=name, focus=row["coupling"], detail={
            "en": f"it reads {row['symbol']} of {row['giver']}, which is no part of the model",
            "fr": f"il lit {row['symbol']} de {row['giver']}, qui ne fait pas partie du modèle"})  # fmt: skip
    return Coupling(
        row["coupling"], sides[row["giver"]], row["symbol"], row["target"],
        row.get("operator", "sample").rpartition("/")[2], row.get("mode", "set"), _number(row, "level"),
        _number(row, "interval"), row.get("timeUnit"),
    )  # fmt: skip


# ---- Rows ------------------------------------------------------------------------------------------------------------


def _rows(view: View, query: str, **iris: str) -> Iterator[Row]:
    """Yield the rows of a query of `queries/models/`, each column as text; `iris` are what variables are bound to."""
    table = view.select(read_query(f"models/{query}"), {name: NamedNode(iri) for name, iri in iris.items()})
    for row in table.iter_dicts():
        yield {name: term.value for name, term in row.items()}


def _number(row: Row, column: str) -> float | None:
    return float(row[column]) if column in row else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _digest(texts: list[str]) -> str:
    return sha256_text(hashlib.sha256("\n".join(texts).encode()).hexdigest())
