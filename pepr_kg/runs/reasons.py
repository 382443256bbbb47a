"""Why somebody cannot be evaluated: a plain sentence for each problem, with the date that would do where one is missing.

A sentence is made once for each element and kind of problem; names, numbers and dates are put in by columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import select_columns
from pepr_kg.language import format_date, format_number
from pepr_kg.models.registry import Registered
from pepr_kg.namespaces import ID
from pepr_kg.resources import read_query
from pepr_kg.runs.assigning import days_of
from pepr_kg.runs.choosing import needed_since
from pepr_kg.runs.elements import amount_unit, read_concepts, read_element, unit_sentence
from pepr_kg.runs.gathering import Indices
from pepr_kg.runs.resolved import Kind, Resolved
from pepr_kg.store import NamedNode, View

REASONS: Final = pa.schema(
    [
        ("entity", pa.int32()), ("patient", pa.string()), ("model", pa.string()), ("symbol", pa.string()),
        ("element", pa.string()), ("kind", pa.string()), ("reason", pa.string()), ("observation", pa.string()),
        ("other", pa.string()), ("latest", pa.timestamp("ms")), ("since", pa.timestamp("ms")),
    ]
)  # fmt: skip

_DATED: Final = (Kind.MISSING, Kind.TOO_OLD, Kind.LATER)  # another date would do
_MARK: Final = "\x1f"  # in a sentence, around the name of a column
_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "unbound": "{what}: nothing is bound to it, and the model has no value of its own.",
        "failed": "{what}: its binding gave nothing to anybody. {detail}",
        "missing": "{what}: no observation; {needed} would do.",
        "unsaid": "{what}: the graph does not say it.",
        "too-old": "{what}: the latest observation, {observation}, is of {day}, which is too old; {needed} would do.",
        "too-far": "{what}: the latest observation, {observation}, is of {day}, which is too far away; {needed} would do.",
        "later": "{what}: {observation} is of {day}, after the date of the evaluation; {needed} would do.",
        "no-birth": "The date of birth is not known, and the time of the model is the age.",
        "no-number": "{what}: {observation} has no value that can be read as a number.",
        "ambiguous": "{what}: {observation} and {other} give different values at one time{when}. "
        "One of them must be corrected or withdrawn.",
        "no-unit": "{what}: {observation} has no unit ({value}).",
        "unit": "{what}: {observation} is in another unit. {detail}",
        "no-category": "{what}: {found} is none of the values that the model knows.",
        "outside": "{what}: {value} {unit} is outside of what the model takes, {bounds}.",
        "too-young": "At {value} years of age, the patient is younger than those that the model is for.",
        "too-aged": "At {value} years of age, the patient is older than those that the model is for.",
        "condition-absent": "The model is for patients of whom this is true: {term}. {observation} says that it is not.",
        "condition-present": "The model is not for patients of whom this is true: {term}. {observation} says that it is.",
        "consent": "The use of this patient’s data is not permitted: consent was refused or withdrawn.",
        "noted-dose": "{what}: a dose, {observation}, lies before time zero of the model and was left out.",
        "noted": "{what}: {observation} is above an upper limit and was left out of the fit.",
        "between": "one dated between {since} and {latest}", "until": "one dated {latest} or before",
        "ever": "one of any date", "nothing": "what was found", "low": "{low} or more", "high": "{high} or less",
        "both": "{low} to {high}",
    },
    "fr": {
        "unbound": "{what} : rien n’y est lié, et le modèle n’en donne pas de valeur.",
        "failed": "{what} : sa liaison n’a rien donné pour personne. {detail}",
        "missing": "{what} : aucune observation ; {needed} conviendrait.",
        "unsaid": "{what} : le graphe ne le dit pas.",
        "too-old": "{what} : la dernière observation, {observation}, date du {day} et est trop ancienne ; "
        "{needed} conviendrait.",
        "too-far": "{what} : la dernière observation, {observation}, date du {day} et est trop éloignée ; "
        "{needed} conviendrait.",
        "later": "{what} : {observation} date du {day}, après la date de l’évaluation ; {needed} conviendrait.",
        "no-birth": "La date de naissance n’est pas connue, et le temps du modèle est l’âge.",
        "no-number": "{what} : {observation} n’a pas de valeur qui se lise comme un nombre.",
        "ambiguous": "{what} : {observation} et {other} donnent des valeurs différentes au même moment{when}. "
        "L’une des deux est à corriger ou à retirer.",
        "no-unit": "{what} : {observation} n’a pas d’unité ({value}).",
        "unit": "{what} : {observation} est dans une autre unité. {detail}",
        "no-category": "{what} : {found} n’est aucune des valeurs que le modèle connaît.",
        "outside": "{what} : {value} {unit} est hors de ce que le modèle admet, {bounds}.",
        "too-young": "À {value} ans, le patient est plus jeune que ceux auxquels le modèle s’adresse.",
        "too-aged": "À {value} ans, le patient est plus âgé que ceux auxquels le modèle s’adresse.",
        "condition-absent": "Le modèle s’adresse aux patients pour qui ceci est vrai : {term}. {observation} dit que "
        "ce ne l’est pas.",
        "condition-present": "Le modèle ne s’adresse pas aux patients pour qui ceci est vrai : {term}. {observation} "
        "dit que ce l’est.",
        "consent": "L’usage des données de ce patient n’est pas permis : le consentement a été refusé ou retiré.",
        "noted-dose": "{what} : une administration, {observation}, précède le temps zéro du modèle et a été laissée de "
        "côté.",
        "noted": "{what} : {observation} dépasse une limite supérieure et n’a pas servi à l’ajustement.",
        "between": "une observation datée entre le {since} et le {latest}",
        "until": "une observation datée du {latest} ou d’avant",
        "ever": "une observation, quelle que soit sa date,", "nothing": "ce qui a été trouvé", "low": "{low} ou plus",
        "high": "{high} ou moins", "both": "de {low} à {high}",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Content:
    """What a binding says that its sentences need."""

    quantities: tuple[str, ...] = ()
    selection: str = "latest"
    maximum_age_days: float | None = None
    observed: bool = True  # looks for an observation, which has a date


def explain(resolved: Resolved, registered: Registered, view: View, lang: str) -> pa.Table:
    """Return each problem as a row (schema `REASONS`), sorted by entity, with a sentence in "en" or "fr".

    `latest` and `since` are set where an observation of another date would do: the last day and the first, null where
    any earlier one would.
    """
    problems = resolved.problems.take(pc.sort_indices(resolved.problems, [("entity", "ascending")]))
    if not len(problems):
        return REASONS.empty_table()
    contents, content = _contents(problems, registered, view)
    columns = _columns(problems, view, lang)
    symbols, kinds = (pc.cast(problems[name], pa.string()).combine_chunks() for name in ("symbol", "kind"))
    units = pc.cast(problems["unit"], pa.string()).combine_chunks()
    units = pc.if_else(pc.equal(kinds, Kind.UNIT.value), units, pa.scalar(None, pa.string()))
    coded = [column.dictionary_encode() for column in (symbols, kinds, units)]
    keys = np.stack([*(np.asarray(pc.fill_null(item.indices, -1), np.int64) for item in coded), content])
    distinct, which = np.unique(keys, axis=1, return_inverse=True)
    names = [[*item.dictionary.to_pylist(), None] for item in coded]  # the last, at -1, is none
    speaker = _Speaker(resolved, registered, view, lang)
    order, parts = np.argsort(which.reshape(-1), kind="stable"), []
    latest, since = (np.full(len(problems), "NaT", "datetime64[ms]") for _ in range(2))
    edges = np.searchsorted(which.reshape(-1)[order], np.arange(distinct.shape[1] + 1))
    for at, (symbol, kind, unit, place) in enumerate(distinct.T.tolist()):
        rows = order[edges[at] : edges[at + 1]]
        said, known = Kind(names[1][kind]), contents[place] if place >= 0 else None
        sentence = speaker.sentence(names[0][symbol], said, names[2][unit], known)
        parts.append(_filled(sentence, columns, pa.array(rows)))
        if said in _DATED and (known is None or known.observed):
            since[rows], latest[rows] = speaker.window(known or _Content())
    reasons = pa.concat_arrays(parts).take(pa.array(np.argsort(order)))
    elements = pa.array([registered.elements.get(name or "") for name in names[0]], pa.string())
    place = pc.fill_null(coded[0].indices, len(names[0]) - 1)
    return pa.Table.from_arrays(
        [
            problems["entity"], resolved.entities.take(problems["entity"].combine_chunks()).cast(pa.string()),
            pa.repeat(registered.iri, len(problems)), symbols, elements.take(place), kinds, reasons,
            problems["observation"], problems["other"], pa.array(latest), pa.array(since),
        ],
        schema=REASONS,
    )  # fmt: skip


def _contents(problems: pa.Table, registered: Registered, view: View) -> tuple[list[_Content], Indices]:
    """Return what bindings say, each content once, and the place of each problem's among them, -1 where it has none."""
    found: dict[_Content, int] = {}
    iris, places = [], []
    for item in registered.bindings:
        content = _Content(item.quantities, item.selection, item.maximum_age_days, item.path is None)
        iris.append(item.iri)
        places.append(found.setdefault(content, len(found)))
    names = pc.cast(problems["binding"], pa.string()).combine_chunks()
    table = pa.array(iris, pa.string())
    at = np.asarray(pc.fill_null(pc.index_in(names, value_set=table), -1), np.int64)
    content_of = np.array([*places, -1], np.int64)[at]
    if pc.any(pc.and_(pc.is_valid(names), pa.array(at < 0))).as_py():  # bindings that twins have of their own
        own = select_columns(view, read_query("runs/own-bindings"))
        shapes = ("quantity", "selection", "maximumAge", "timeUnit", "path")
        text = [pc.coalesce(own[name], pa.scalar("")) for name in shapes]
        key = pc.binary_join_element_wise(*text, _MARK).combine_chunks().dictionary_encode()
        each = [_own_content(*shape.split(_MARK)) for shape in key.dictionary.to_pylist()]
        numbered = np.array([found.setdefault(shape, len(found)) for shape in each] + [-1], np.int64)
        row = np.asarray(pc.fill_null(pc.index_in(names, value_set=own["binding"].combine_chunks()), -1), np.int64)
        codes = np.r_[np.asarray(key.indices, np.int64), -1]
        content_of = np.where(at < 0, numbered[codes[row]], content_of)
    return list(found), content_of


def _own_content(quantity: str, selection: str, age: str, unit: str, path: str) -> _Content:
    chosen = (selection or "latest").rpartition("/")[2]
    return _Content((quantity,) if quantity else (), chosen, days_of(age or None, unit or None), not path)


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Makes the sentence of one element and kind of problem; what differs from row to row is left as a marked name."""

    resolved: Resolved
    registered: Registered
    view: View
    lang: str

    def sentence(self, symbol: str | None, kind: Kind, unit: str | None, content: _Content | None) -> str:
        """Return the sentence."""
        texts, content = _SENTENCES[self.lang], content or _Content()
        marked = {name: f"{_MARK}{name}{_MARK}" for name in _COLUMNS}
        static = {"what": self._name(symbol, content), "needed": "", "detail": "", "bounds": "", "unit": ""}
        name = kind.value
        if kind in _DATED:
            static["needed"] = self._needed(content)
        if kind is Kind.MISSING and not content.observed:
            name = "unsaid"
        elif kind is Kind.TOO_OLD and content.selection == "nearest":
            name = "too-far"
        elif kind is Kind.NOTED and content.selection == "all":
            name = "noted-dose"
        elif kind is Kind.FAILED:
            static["detail"] = self._failure(symbol)
        elif kind is Kind.UNIT and symbol is not None:
            static["detail"] = self._mismatch(symbol, unit, content)
        elif kind is Kind.OUTSIDE and symbol is not None:
            variable = self.registered.model.variable(symbol)
            static["unit"] = variable.unit or ""
            static["bounds"] = self._bounds(*variable.bounds)
        return texts[name].format(**static, **marked)

    def window(self, content: _Content) -> tuple[np.datetime64, np.datetime64]:
        """Return between which times an observation would do; NaT where there is no such limit."""
        as_of = self.resolved.as_of
        since = needed_since(as_of, content.maximum_age_days)
        if content.selection != "nearest":
            return since, as_of
        return since, as_of + (as_of - since)

    def _needed(self, content: _Content) -> str:
        since, latest = self.window(content)
        name = "ever" if np.isnat(latest) else "until" if np.isnat(since) else "between"
        said = {key: format_date(str(day.astype("datetime64[D]")), self.lang)
                for key, day in (("since", since), ("latest", latest))}  # fmt: skip
        return _SENTENCES[self.lang][name].format(**said)

    def _name(self, symbol: str | None, content: _Content) -> str:
        """Return what the element is called: its concept's label, else its own, else its symbol."""
        if symbol is None:
            return ""
        quantities = content.quantities or self.registered.quantities.get(symbol, ())
        label = next(filter(None, (label_of(self.view, name, self.lang) for name in quantities)), "")
        variable = self.registered.model.variable(symbol)
        own = variable.label_fr if self.lang == "fr" else variable.label_en
        said = label or own or variable.name or symbol
        return said if said == symbol else said[:1].upper() + said[1:]

    def _failure(self, symbol: str | None) -> str:
        iris = [item.iri for item in self.registered.bindings if item.symbol == symbol]
        known = [self.resolved.failures[iri] for iri in iris if iri in self.resolved.failures]
        texts = known or list(self.resolved.failures.values())
        return _sentence(texts[0][self.lang]) if texts else ""

    def _mismatch(self, symbol: str, unit: str | None, content: _Content) -> str:
        model, concepts = self.registered.model, read_concepts(self.view)
        quantities = (*self.registered.quantities.get(symbol, ()), *content.quantities)
        element = read_element(model, symbol, self.registered.elements.get(symbol, ""), quantities, concepts)
        said = unit_sentence(element, unit, self.lang)
        return said or unit_sentence(element.measured_in(amount_unit(model, symbol)), unit, self.lang)

    def _bounds(self, low: float, high: float) -> str:
        name = "high" if np.isinf(low) else "low" if np.isinf(high) else "both"
        said = {key: format_number(f"{value:.6g}", self.lang) if np.isfinite(value) else ""
                for key, value in (("low", low), ("high", high))}  # fmt: skip
        return _SENTENCES[self.lang][name].format(**said)


def label_of(view: View, concept: str, lang: str) -> str:
    """Return what the graph calls a concept in a language, else in any other, else ""."""
    table = select_columns(view, read_query("runs/labels"), {"concept": NamedNode(concept)})
    named = dict(zip(table["language"].to_pylist(), table["label"].to_pylist(), strict=True))
    return named.get(lang) or next(filter(None, named.values()), "")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


# ---- What differs from row to row ------------------------------------------------------------------------------------

_COLUMNS: Final = ("observation", "other", "value", "day", "when", "found", "term")


def _columns(problems: pa.Table, view: View, lang: str) -> Mapping[str, pa.Array]:
    """Return what sentences are filled with, as texts without nulls."""
    nothing = pa.scalar(_SENTENCES[lang]["nothing"])
    columns = {name: problems[name].combine_chunks() for name in ("observation", "other", "term", "value", "time")}
    day, value = _days(columns["time"], lang), _numbers(columns["value"], lang)
    unit = pc.cast(problems["unit"], pa.string()).combine_chunks()
    measured = pc.binary_join_element_wise(value, unit, " ", null_handling="skip")
    when = pc.if_else(pc.equal(day, ""), "", pc.binary_join_element_wise(pa.scalar(" ("), day, pa.scalar(")"), ""))
    terms = _terms(columns["term"], problems["kind"], view, lang)
    return {
        "observation": pc.coalesce(_short(columns["observation"]), nothing),
        "other": pc.coalesce(_short(columns["other"]), nothing),
        "value": pc.coalesce(value, pa.scalar("")), "day": day, "when": when, "term": terms,
        "found": pc.if_else(pc.equal(terms, ""), measured, terms),
    }  # fmt: skip


def _short(iris: pa.Array) -> pa.Array:
    """Return IRIs of the graph in their short form."""
    return pc.replace_substring_regex(iris, f"^{ID}([a-z-]+)/".replace(".", r"\."), r"\1:")


def _numbers(values: pa.Array, lang: str) -> pa.Array:
    """Return numbers in six digits."""
    known = pc.cast(values, pa.float64())
    plain = np.asarray(pc.fill_null(known, float("nan")), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(plain == 0.0, 0.0, np.floor(np.log10(np.abs(plain))))
    scale = 10.0 ** np.clip(5 - np.nan_to_num(power, posinf=0.0, neginf=0.0), -300, 300)
    text = pc.cast(pa.array(np.rint(plain * scale) / scale, mask=np.isnan(plain)), pa.string())
    return pc.replace_substring(text, ".", ",") if lang == "fr" else text


def _days(times: pa.Array, lang: str) -> pa.Array:
    """Return the days of times in words, "" where there is none: each distinct day is written once."""
    coded = pc.cast(pc.floor_temporal(times, unit="day"), pa.date32()).dictionary_encode()
    words = pa.array([format_date(str(day), lang) for day in coded.dictionary.to_pylist()], pa.string())
    return pc.coalesce(words.take(coded.indices), pa.scalar(""))


def _terms(terms: pa.Array, kinds: pa.ChunkedArray, view: View, lang: str) -> pa.Array:
    """Return concepts by their short form; the few conditions of a model by their label."""
    names = (Kind.CONDITION_ABSENT.value, Kind.CONDITION_PRESENT.value)
    conditions = pc.is_in(pc.cast(kinds, pa.string()).combine_chunks(), value_set=pa.array(names))
    few = pc.unique(pc.drop_null(terms.filter(conditions)))
    labels = [label_of(view, name, lang) or None for name in few.to_pylist()]
    called = pa.array(labels, pa.string()).take(pc.index_in(terms, value_set=few))
    return pc.coalesce(called, _short(terms), pa.scalar(""))


def _filled(sentence: str, columns: Mapping[str, pa.Array], rows: pa.Array) -> pa.Array:
    """Return the sentence for each of the rows."""
    pieces = sentence.split(_MARK)
    if len(pieces) == 1:
        return pa.repeat(sentence, len(rows))
    parts = [columns[piece].take(rows) if at % 2 else pa.scalar(piece) for at, piece in enumerate(pieces)]
    return pc.binary_join_element_wise(*parts, "")
