"""Why an entity is set aside, in a sentence for each thing that is missing or wrong, and what would do instead.

Sentences are made by column: one template for each kind, filled for all entities at once.
"""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.language import format_date
from pepr_kg.models.registry import Registered
from pepr_kg.namespaces import ID, PREFIXES, shrink
from pepr_kg.runs.elements import read_concepts, read_element, unit_sentence
from pepr_kg.runs.resolved import Kind, Resolved
from pepr_kg.store import Literal, NamedNode, View

SCHEMA: Final = pa.schema(
    [
        ("entity", pa.int32()), ("patient", pa.string()), ("model", pa.string()), ("symbol", pa.string()),
        ("element", pa.string()), ("kind", pa.string()), ("reason", pa.string()), ("observation", pa.string()),
        ("other", pa.string()), ("latest", pa.timestamp("ms")), ("since", pa.timestamp("ms")),
    ]
)  # fmt: skip

_LABEL: Final = NamedNode(PREFIXES["rdfs"] + "label")
_OURS: Final = f"^{ID}([^/]+)/"

# {wanted} is what would do: see _WANTED.
_SENTENCES: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.UNBOUND: {
        "en": "{element}: nothing is bound to it, and the model has no value of its own.",
        "fr": "{element} : rien ne lui est lié, et le modèle n’a pas de valeur à lui donner.",
    },
    Kind.FAILED: {
        "en": "{element}: its binding gave nothing: {detail}.",
        "fr": "{element} : sa liaison n’a rien donné : {detail}.",
    },
    Kind.MISSING: {
        "en": "{element}: there is no {thing}; {wanted}.",
        "fr": "{element} : aucune {thing} ; {wanted}.",
    },
    Kind.TOO_OLD: {
        "en": "{element}: the latest {thing} is of {latest}, which is too old; {wanted}.",
        "fr": "{element} : la dernière {thing} date du {latest}, ce qui est trop ancien ; {wanted}.",
    },
    Kind.LATER: {
        "en": "{element}: the only {thing} is of {latest}, after the date of the evaluation; {wanted}.",
        "fr": "{element} : la seule {thing} date du {latest}, après la date de l’évaluation ; {wanted}.",
    },
    Kind.NO_BIRTH: {
        "en": "The date of birth is not known, and the model counts in ages.",
        "fr": "La date de naissance est inconnue, et le modèle compte en âges.",
    },
    Kind.NO_NUMBER: {
        "en": "{element}: what was found is no number: {found}.",
        "fr": "{element} : ce qui a été trouvé n’est pas un nombre : {found}.",
    },
    Kind.AMBIGUOUS: {
        "en": "{element}: {observation} and {other} give two values for one time; correct or withdraw one of them.",
        "fr": "{element} : {observation} et {other} donnent deux valeurs pour un même instant ; corrigez ou retirez "
        "l’une d’elles.",
    },
    Kind.NO_UNIT: {
        "en": "{element}: {observation} has no unit; add it.",
        "fr": "{element} : {observation} n’a pas d’unité ; ajoutez-la.",
    },
    Kind.UNIT: {
        "en": "{element}: the unit of {observation} cannot be used. {detail}",
        "fr": "{element} : l’unité de {observation} est inutilisable. {detail}",
    },
    Kind.NO_CATEGORY: {
        "en": '{element}: the model does not know "{found}"; it was established for {known} only.',
        "fr": "{element} : le modèle ne connaît pas « {found} » ; il n’a été établi que pour {known}.",
    },
    Kind.OUTSIDE: {
        "en": "{element}: {value} lies outside what the model takes, {bounds}.",
        "fr": "{element} : {value} est hors de ce que le modèle admet, {bounds}.",
    },
    Kind.TOO_YOUNG: {
        "en": "The model is not meant for an age of {value} years: too young.",
        "fr": "Le modèle n’est pas fait pour un âge de {value} ans : trop jeune.",
    },
    Kind.TOO_AGED: {
        "en": "The model is not meant for an age of {value} years: too old.",
        "fr": "Le modèle n’est pas fait pour un âge de {value} ans : trop âgé.",
    },
    Kind.CONDITION_ABSENT: {
        "en": "The model is for those who have this: {found}; {observation} says that it is absent.",
        "fr": "Le modèle n’est fait que pour les personnes présentant ceci : {found} ; {observation} dit que non.",
    },
    Kind.CONDITION_PRESENT: {
        "en": "The model is not for those who have this: {found}; {observation} says that it is present.",
        "fr": "Le modèle n’est pas fait pour les personnes présentant ceci : {found} ; {observation} dit que oui.",
    },
    Kind.CONSENT: {
        "en": "Consent to the use of the data was refused, withdrawn, or has run out.",
        "fr": "Le consentement à l’usage des données a été refusé ou retiré, ou il a expiré.",
    },
    Kind.NOTED: {
        "en": "{element}: {observation} of {latest} is left out of the fit, since the model cannot place it.",
        "fr": "{element} : {observation} du {latest} n’entre pas dans l’ajustement, le modèle ne pouvant la placer.",
    },
}
_PATH: Final = {
    "property": {
        "en": "{element}: the graph does not say this of the patient: {name}.",
        "fr": "{element} : le graphe ne donne pas ceci pour ce patient : {name}.",
    },
    "path": {
        "en": "{element}: the path {name} leads to nothing.",
        "fr": "{element} : le chemin {name} ne mène à rien.",
    },
}
_THINGS: Final = {
    "concept": {"en": "observation of {name}", "fr": "observation de la grandeur « {name} »"},
    "path": {"en": "observation at the end of the path {name}", "fr": "observation au bout du chemin {name}"},
    "query": {"en": "value from the query of its binding", "fr": "valeur rendue par la requête de sa liaison"},
}
_WANTED: Final = {
    "any": {"en": "one by {until} would do", "fr": "il en faudrait une au plus tard le {until}"},
    "since": {
        "en": "one from {since} to {until} would do",
        "fr": "il en faudrait une faite du {since} au {until}",
    },
}
_LOOKED_FOR: Final = (Kind.MISSING, Kind.TOO_OLD, Kind.LATER)
_BY_TERM: Final = (*_LOOKED_FOR, Kind.FAILED, Kind.CONDITION_ABSENT, Kind.CONDITION_PRESENT)
_BOUNDS: Final = {
    "en": ("at least", "more than", "at most", " and "), "fr": ("au moins", "plus de", "au plus", " et "),
}  # fmt: skip
_UNNAMED: Final = {"en": "what was found", "fr": "ce qui a été trouvé"}
_NO_VALUE: Final = {"en": "missing value", "fr": "valeur absente"}
_UNNAMED_OTHER: Final = {"en": "something else", "fr": "autre chose"}


def explain(resolved: Resolved, registered: Registered, view: View, lang: str, *, noted: bool = False) -> pa.Table:
    """Return what is missing or wrong with whom, a row for each thing: schema `SCHEMA`, sorted by entity.

    `reason` is a sentence in "en" or "fr" that names the element, the observations, and the dates from `since` on
    between which an observation would do; `latest` is that of the observation that did not. `noted` adds what is said
    and sets nobody aside. Entities without a row can be evaluated.
    """
    texts = _texts(resolved.problems)
    parts = []
    for key in pc.unique(texts["key"]).to_pylist():
        rows = texts.filter(pc.equal(texts["key"], key))
        kind = Kind(rows["kind"][0].as_py())
        if kind is not Kind.NOTED or noted:
            parts.append(_explained(resolved, registered, view, rows, lang))
    return pa.concat_tables(parts).sort_by([("entity", "ascending")]) if parts else SCHEMA.empty_table()


def _texts(problems: pa.Table) -> pa.Table:
    """Return the problems with plain texts, and a `key` that is the same for what one sentence says."""
    for place, name in enumerate(problems.column_names):
        if pa.types.is_dictionary(problems[name].type):
            problems = problems.set_column(place, name, pc.cast(problems[name], pa.string()))
    nothing = pa.scalar("", pa.string())
    about = pc.is_in(problems["kind"], value_set=pa.array([kind.value for kind in _BY_TERM]))
    term = pc.if_else(about, pc.coalesce(problems["term"], nothing), nothing)
    unit = pc.if_else(pc.equal(problems["kind"], Kind.UNIT.value), pc.coalesce(problems["unit"], nothing), nothing)
    symbol = pc.coalesce(problems["symbol"], nothing)
    return problems.append_column("key", pc.binary_join_element_wise(problems["kind"], symbol, term, unit, "\x1f"))


def _explained(resolved: Resolved, registered: Registered, view: View, rows: pa.Table, lang: str) -> pa.Table:
    """Return the rows of one kind, about one element, with their sentence."""
    first = {name: rows[name][0].as_py() for name in ("kind", "symbol", "term", "unit")}
    kind, symbol, term = Kind(first["kind"]), first["symbol"], first["term"]
    element = _element_label(registered, symbol, lang)
    fields: dict[str, pa.Array | str] = {
        "element": element,
        "observation": _short(rows["observation"], _UNNAMED[lang]),
        "other": _short(rows["other"], _UNNAMED_OTHER[lang]),
        "latest": _dates(rows["time"], lang),
        "value": _numbers(rows["value"], _own_unit(registered, symbol, kind), lang),
        "found": _found(view, rows, lang),
    }
    template = _SENTENCES[kind][lang]
    if kind is Kind.FAILED:
        fields["detail"] = resolved.failures[term][lang]
    if kind is Kind.MISSING and term is not None and not _is_iri(term):
        step = re.fullmatch("<([^<>]*)>", term)
        template = _PATH["property" if step else "path"][lang]
        fields["name"] = _label(view, step[1], lang) if step else term
    if kind in _LOOKED_FOR:
        fields["thing"] = _thing(view, term, lang)
        fields["wanted"] = _wanted(resolved, rows["since"], lang)
    if kind in {Kind.UNIT, Kind.OUTSIDE, Kind.NO_CATEGORY} and symbol is not None:
        iri = registered.elements.get(symbol, "")
        quantities = registered.quantities.get(symbol, ())
        taken = read_element(registered.model, symbol, iri, quantities, read_concepts(view))
        fields["detail"] = unit_sentence(taken, first["unit"], lang)
        fields["bounds"] = _bounds(taken.bounds, taken.open_below, taken.unit, lang)
        fields["known"] = _categories(registered, symbol, lang)
    entity = rows["entity"].combine_chunks()
    count = len(rows)
    reason = _filled(template, fields, count)
    return pa.Table.from_arrays(
        [
            entity, resolved.entities.take(entity), pa.repeat(pa.scalar(registered.iri), count), rows["symbol"],
            pa.repeat(pa.scalar(element, pa.string()), count), rows["kind"], reason, rows["observation"],
            rows["other"], rows["time"], rows["since"],
        ],
        schema=SCHEMA,
    )  # fmt: skip


def _filled(template: str, fields: Mapping[str, "pa.Array | str"], count: int) -> pa.Array:
    """Return a template filled for each row; a field is one text for all rows or one for each."""
    parts: list[pa.Array] = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(pa.repeat(pa.scalar(text), count))
        if name is not None:
            field = fields[name]
            parts.append(pa.repeat(pa.scalar(field), count) if isinstance(field, str) else field)
    return pc.binary_join_element_wise(*parts, "")


def _element_label(registered: Registered, symbol: str | None, lang: str) -> str | None:
    """Return what an element is called in a sentence that begins with it."""
    if symbol is None:
        return None
    variable = registered.model.variable(symbol)
    label = (variable.label_fr if lang == "fr" else variable.label_en) or variable.name or symbol
    return label[:1].upper() + label[1:]


def _label(view: View, iri: str, lang: str) -> str:
    """Return the label of a concept, or its short form where it has none."""
    texts = [quad.object for quad in view.quads(NamedNode(iri), _LABEL)]
    found = {text.language: text.value for text in texts if isinstance(text, Literal)}
    return found.get(lang) or found.get("en") or shrink(iri) or iri


def _is_iri(term: str) -> bool:
    return term.startswith(("http://", "https://", "urn:"))


def _thing(view: View, term: str | None, lang: str) -> str:
    """Return what a binding looks for: `term` is a concept, a path, or None for a query."""
    if term is None:
        return _THINGS["query"][lang]
    if _is_iri(term):
        return _THINGS["concept"][lang].format(name=_label(view, term, lang))
    return _THINGS["path"][lang].format(name=shrink(term.strip("<>")) or term)


def _wanted(resolved: Resolved, since: pa.ChunkedArray, lang: str) -> pa.Array:
    until = _date(str(resolved.as_of.astype("datetime64[D]")), lang)
    count = len(since)
    aged = _filled(_WANTED["since"][lang], {"since": _dates(since, lang), "until": until}, count)
    return pc.if_else(
        pc.is_valid(since.combine_chunks()), aged, pa.repeat(pa.scalar(_WANTED["any"][lang].format(until=until)), count)
    )


def _found(view: View, rows: pa.Table, lang: str) -> pa.Array:
    """Return what was found: the label of a concept, a text, a number with its unit, or that there is no value."""
    terms = pc.dictionary_encode(rows["term"].combine_chunks())
    names = [_name(view, term, lang) for term in terms.dictionary.to_pylist()]
    named = pa.array(names, pa.string()).take(terms.indices)
    unit = pc.coalesce(rows["unit"].combine_chunks(), pa.scalar("", pa.string()))
    number = pc.binary_join_element_wise(_numbers(rows["value"], None, lang), unit, " ")
    number = pc.if_else(pc.is_valid(rows["value"].combine_chunks()), pc.utf8_trim_whitespace(number), _NO_VALUE[lang])
    return pc.coalesce(named, number)


def _name(view: View, term: str, lang: str) -> str:
    """Return what a term that was found is called; "NaN", which XML Schema lets stand for a number, is no value."""
    if _is_iri(term):
        return _label(view, term, lang)
    return _NO_VALUE[lang] if term.strip().lower() in {"", "nan"} else term


def _own_unit(registered: Registered, symbol: str | None, kind: Kind) -> str | None:
    return registered.model.variable(symbol).unit if symbol is not None and kind is Kind.OUTSIDE else None


def _numbers(values: pa.ChunkedArray, unit: str | None, lang: str) -> pa.Array:
    """Return numbers as people read them, with their unit where one is given; "" where there is none."""
    rounded = pc.round(values.combine_chunks(), ndigits=3)
    whole = pc.equal(rounded, pc.round(rounded))
    texts = pc.if_else(whole, pc.cast(pc.cast(rounded, pa.int64(), safe=False), pa.string()),
                       pc.cast(rounded, pa.string()))  # fmt: skip
    if lang == "fr":
        texts = pc.replace_substring(texts, ".", ",")
    texts = pc.if_else(pc.is_inf(rounded), pc.if_else(pc.greater(rounded, 0.0), "∞", "−∞"), texts)
    if unit not in {None, "1"}:
        texts = pc.binary_join_element_wise(texts, pa.scalar(unit), " ")
    return pc.coalesce(texts, pa.scalar("", pa.string()))


def _short(iris: pa.ChunkedArray, unnamed: str) -> pa.Array:
    """Return the short forms of IRIs of ours."""
    short = pc.replace_substring_regex(iris.combine_chunks(), _OURS, r"\1:")
    return pc.coalesce(short, pa.scalar(unnamed))


def _dates(times: pa.ChunkedArray, lang: str) -> pa.Array:
    """Return the dates of times, in words; "" where there is none."""
    days = np.asarray(times.combine_chunks(), "datetime64[D]")
    distinct, place = np.unique(days, return_inverse=True)
    words = ["" if np.isnat(day) else _date(str(day), lang) for day in distinct]
    return pa.array(words, pa.string()).take(pa.array(place.reshape(-1)))


def _date(day: str, lang: str) -> str:
    return format_date(day, lang)


def _bounds(bounds: tuple[float, float], open_below: bool, unit: str | None, lang: str) -> str:
    """Return bounds as a text: "at least 40 and at most 89 a"."""
    low, high = bounds
    least, above, most, both = _BOUNDS[lang]
    parts = [f"{above if open_below else least} {low:g}"] if np.isfinite(low) else []
    parts += [f"{most} {high:g}"] if np.isfinite(high) else []
    text = both.join(parts) + (f" {unit}" if unit not in {None, "1"} else "")
    return text.replace(".", ",") if lang == "fr" else text


def _categories(registered: Registered, symbol: str, lang: str) -> str:
    codes = registered.model.variable(symbol).codes
    return ", ".join((code.label_fr if lang == "fr" else code.label_en) or code.text for code in codes)
