"""From the graph to columns: what a binding finds for every entity of a cohort, by one query and never one a patient.

Concepts are asked for one at a time, several at once in threads (the engine releases Python's lock); what is chosen
among the rows is decided afterwards, on arrays (`choosing`).
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Moments, Numbers, moments, numbers, select_columns
from pepr_kg.namespaces import ID, PEPR, PREFIXES, expand, shrink
from pepr_kg.rdf import is_iri
from pepr_kg.resources import read_query
from pepr_kg.runs.ages import days
from pepr_kg.runs.apart import Refused, select_apart
from pepr_kg.runs.errors import UnknownCohort, UnknownEntity
from pepr_kg.runs.paths import PropertyPath
from pepr_kg.settings import Settings
from pepr_kg.store import NamedNode, View
from pepr_kg.twin.errors import EmptyCohort

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

T = TypeVar("T")

FEW: Final = 20  # entities: up to here each is asked for by itself, which takes a millisecond
_THREADS: Final = min(4, os.cpu_count() or 1)
_TYPE: Final = NamedNode(PREFIXES["rdf"] + "type")
_CENSORED: Final = {f"{ID}censoring/left": 1, f"{ID}censoring/right": 2}
_DATES: Final = tuple(PREFIXES["xsd"] + name for name in ("date", "dateTime", "gYear", "gYearMonth"))
_COLUMNS: Final = ("entity", "value", "unit", "time")  # what the query of a binding must give
_DATE: Final = r"^\d{4}-\d\d(-\d\d([T ].*)?)?$"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a question is about, and in which version: `entities` are IRIs, sorted, and the places in every array."""

    view: View
    cohort: str | None
    entities: pa.Array
    settings: Settings


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What was found, (rows,): a `number` or NaN, else a `term` (a concept, a text, or the date of `dated` rows).

    `unit` and `observation` (an IRI) are null where there is none, `time` NaT. `censored` is 1 where the number is a
    lower limit of quantification, 2 where it is an upper one. `given` says that the row is a dose that was given.
    """

    entity: Indices
    number: Numbers
    term: pa.Array
    unit: pa.Array
    time: Moments
    observation: pa.Array
    censored: npt.NDArray[np.int8]
    given: Flags
    dated: Flags

    def __len__(self) -> int:
        return len(self.entity)

    def take(self, rows: Indices | Flags) -> "Rows":
        """Return these rows."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        chosen = pa.array(places, pa.int64())
        return Rows(
            self.entity[places], self.number[places], self.term.take(chosen), self.unit.take(chosen),
            self.time[places], self.observation.take(chosen), self.censored[places], self.given[places],
            self.dated[places],
        )  # fmt: skip


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _rows(pa.table({"entity": pa.array([], pa.string())}), pa.array([], pa.string()))
    arrays = [
        pa.concat_arrays([getattr(part, name) for part in parts])
        if isinstance(getattr(parts[0], name), pa.Array)
        else np.concatenate([getattr(part, name) for part in parts])
        for name in Rows.__slots__
    ]
    return Rows(*arrays)


def find_entities(view: View, cohort: str | None, entities: Sequence[str], settings: Settings) -> Scope:
    """Return whom a question is about: a cohort, some entities of the graph, or some of a cohort.

    Names may be IRIs or short forms. Raises `UnknownCohort`, `UnknownEntity`, `UnknownPrefix`, and `EmptyCohort` for
    nobody.
    """
    chosen = sorted({expand(entity) for entity in entities})
    for entity in chosen:
        if not is_iri(entity):
            raise _unknown(entity, "it is no IRI", "ce n’est pas une IRI")
    if cohort is None:
        for entity in chosen:  # a look-up in the index each, as fast as one query that names them all
            if next(view.quads(NamedNode(entity)), None) is None:
                raise _unknown(entity, "the graph says nothing of it", "le graphe n’en dit rien")
        return _scope(view, None, pa.array(chosen, pa.string()), settings)
    name = expand(cohort) if ":" in cohort else f"{ID}cohort/{cohort}"
    if not is_iri(name):
        raise UnknownCohort(cohort=cohort)
    iri = NamedNode(name)
    members = select_columns(view, read_query("runs/members"), {"cohort": iri})["entity"].combine_chunks()
    if not len(members) and next(view.quads(iri, _TYPE, NamedNode(PEPR + "Cohort")), None) is None:
        raise UnknownCohort(cohort=shrink(iri.value) or iri.value)
    members = members.take(pc.sort_indices(members))
    if chosen:
        wanted = pa.array(chosen, pa.string())
        strange = wanted.filter(pc.invert(pc.is_in(wanted, value_set=members)))
        if len(strange):
            name = shrink(iri.value) or iri.value
            raise _unknown(
                strange[0].as_py(), f"it is not in the cohort {name}", f"il n’est pas dans la cohorte {name}"
            )
        members = wanted
    return _scope(view, iri.value, members, settings)


def _unknown(entity: str, en: str, fr: str) -> UnknownEntity:
    return UnknownEntity(entity=shrink(entity) or entity, detail={"en": en, "fr": fr})


def _scope(view: View, cohort: str | None, entities: pa.Array, settings: Settings) -> Scope:
    if not len(entities):
        raise EmptyCohort()
    return Scope(view, cohort, entities, settings)


def at_once(tasks: Iterable[Callable[[], T]]) -> list[T]:
    """Return what the tasks give, in their order; a few run at a time, each in a thread."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda task: task(), tasks))


def observations_of(scope: Scope, concepts: Sequence[str], substances: Sequence[str]) -> Mapping[str, Rows]:
    """Return what was observed as each concept, and given of each substance, for the entities of the scope.

    What was superseded or withdrawn is left out.
    """
    gone = select_columns(scope.view, read_query("runs/withdrawn"))["observation"]
    by_entity = len(scope.entities) <= FEW
    asked: list[tuple[str, NamedNode]] = []
    for query, names in (("observations", concepts), ("administrations", substances)):
        if by_entity and names:
            asked += [(f"runs/{query}-of", NamedNode(entity)) for entity in scope.entities.to_pylist()]
        elif names:
            asked += [(f"runs/{query}", NamedNode(concept)) for concept in names]
    bound = "entity" if by_entity else "concept"

    def ask(query: str, term: NamedNode) -> Callable[[], pa.Table]:
        return lambda: select_columns(scope.view, read_query(query), {bound: term})

    found: dict[str, list[Rows]] = {name: [] for name in (*concepts, *substances)}
    for (query, term), table in zip(asked, at_once(ask(*pair) for pair in asked), strict=True):
        given = "administrations" in query
        wanted = (substances if given else concepts) if by_entity else (term.value,)
        for concept in wanted:
            part = table.filter(pc.equal(table["concept"], concept)) if by_entity else table
            found[concept].append(_found(scope, part, gone, given=given))
    return {concept: joined(parts) for concept, parts in found.items()}


def _found(scope: Scope, table: pa.Table, gone: pa.ChunkedArray, *, given: bool) -> Rows:
    if len(gone):
        table = table.filter(pc.invert(pc.is_in(table["observation"], value_set=gone.combine_chunks())))
    return _rows(table, scope.entities, given=given)


def along_path(
    scope: Scope, path: PropertyPath, quantities: Sequence[str], *, unit: str | None, known: Iterable[str]
) -> Rows:
    """Return what a path leads to: literals and concepts, or observations and doses of one of `quantities`.

    Without quantities every observation counts. A number has the unit `unit`, an observation its own; `known` are
    concepts that the element takes as they are. A path of more than one property is followed in a process that is
    stopped after `binding_seconds`, so this is called from a thread without an event loop. Raises `Refused`.
    """
    found = _follow(scope, "runs/path", path)
    datatype = found["datatype"]
    literal = pc.is_valid(datatype)
    things = found.filter(pc.invert(literal))
    plain = found.filter(literal).append_column("value", found.filter(literal)["found"])
    plain = plain.append_column("unit", pa.chunked_array([pa.repeat(pa.scalar(unit, pa.string()), len(plain))]))
    dated = pc.is_in(plain["datatype"], value_set=pa.array(_DATES))
    parts = [_rows(plain, scope.entities, dated=dated)]
    strange = pc.invert(pc.is_in(things["found"], value_set=pa.array(list(known), pa.string())))
    if pc.any(strange).as_py():
        gone = select_columns(scope.view, read_query("runs/withdrawn"))["observation"]
        reached: list[pa.Array] = []
        for query, given in (("runs/path-observations", False), ("runs/path-administrations", True)):
            table = _follow(scope, query, path)
            reached.append(table["observation"].combine_chunks())
            if quantities:
                table = table.filter(pc.is_in(table["concept"], value_set=pa.array(quantities)))
            parts.append(_found(scope, table, gone, given=given))
        things = things.filter(pc.invert(pc.is_in(things["found"], value_set=pa.concat_arrays(reached))))
    parts.append(_rows(things.append_column("result", things["found"]), scope.entities))
    return joined([part for part in parts if len(part)])


def _follow(scope: Scope, name: str, path: PropertyPath) -> pa.Table:
    """Ask one of the path queries: what was read and checked takes the place of its two marks."""
    if scope.cohort is not None and len(scope.entities) > FEW:
        members = f"?entity pepr:memberOfCohort {NamedNode(scope.cohort)} ."
    else:
        members = f"VALUES ?entity {{ {' '.join(str(NamedNode(iri)) for iri in scope.entities.to_pylist())} }}"
    sparql = read_query(name).replace("?entity pepr:memberOfCohort <urn:entities> .", members)
    sparql = sparql.replace("<urn:path>", path.text)
    if path.is_step:
        return select_columns(scope.view, sparql)
    return select_apart(scope.view, sparql, scope.settings)


def by_query(scope: Scope, sparql: str) -> Rows:
    """Return what the query of a binding gives for the entities of the scope; called as `along_path` is.

    Raises `Refused`.
    """
    table = select_apart(scope.view, sparql, scope.settings)
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise Refused(
            f"its answer has no column {', '.join(missing)}; it must give ?entity ?value ?unit ?time",
            f"sa réponse n’a pas de colonne {', '.join(missing)} ; elle doit donner ?entity ?value ?unit ?time",
        )
    dated = pc.match_substring_regex(table["value"], _DATE)
    return _rows(table, scope.entities, dated=dated)


def _rows(table: pa.Table, entities: pa.Array, *, given: bool = False, dated: pa.ChunkedArray | None = None) -> Rows:
    """Return a table's rows that concern the entities."""
    place = pc.index_in(table["entity"], value_set=entities)
    kept = pc.is_valid(place)
    if not pc.all(kept).as_py():
        table, place = table.filter(kept), place.filter(kept)
        dated = dated.filter(kept) if dated is not None else None
    count = len(table)

    def column(name: str) -> pa.Array:
        if name not in table.column_names:
            return pa.nulls(count, pa.string())
        return table[name].combine_chunks() if count else pa.array([], pa.string())

    dates = np.zeros(count, np.bool_) if dated is None else np.asarray(pc.fill_null(dated, False), np.bool_)
    value, result = column("value"), column("result")
    number = np.where(dates, np.nan, numbers(value))
    term = pc.if_else(pa.array(np.isnan(number)), pc.coalesce(result, value), pa.scalar(None, pa.string()))
    time = moments(column("time"))
    if dates.any():  # a date that a path leads to is what is known, and when
        time = np.where(dates, days(value), time)
    censored = np.zeros(count, np.int8)
    for concept, code in _CENSORED.items():
        censored[np.asarray(pc.fill_null(pc.equal(column("censoring"), concept), False), np.bool_)] = code
    return Rows(
        np.asarray(place.combine_chunks() if count else pa.array([], pa.int32()), np.int64), number, term,
        column("unit"), time, column("observation"), censored, np.full(count, given), dates,
    )  # fmt: skip
