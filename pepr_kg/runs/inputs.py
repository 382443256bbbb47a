"""What a run used of each patient, as one table: what a run keeps (`inputs.parquet`), and what it is computed from.

One row is one figure: a value of a parameter or an input, a dose, an observation that a fit is made to, each with the
observation that it is from; and one row for each patient, with its status and time zero. A run is computed from this
table alone, so that the table is enough to compute it again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Moments
from pepr_kg.models.registry import Registered
from pepr_kg.runs.ages import ages, elapsed
from pepr_kg.runs.blocks import Block, Plan
from pepr_kg.runs.key import columns_digest
from pepr_kg.runs.outcomes import Outcome
from pepr_kg.runs.resolved import Resolved
from pepr_kg.twin import Dose, Observations

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PATIENT, VALUE, DOSE, OBSERVATION = KINDS = ("patient", "value", "dose", "observation")
_NAME: Final = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [
        ("kind", _NAME), ("entity", _NAME), ("symbol", _NAME), ("binding", _NAME), ("observation", pa.string()),
        ("value", pa.float64()), ("unit", _NAME), ("used", pa.float64()), ("used_unit", _NAME),
        ("factor", pa.float64()), ("offset", pa.float64()), ("term", pa.string()), ("time", pa.timestamp("ms")),
        ("at", pa.float64()), ("censored", pa.bool_()), ("status", pa.int8()),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """What the bindings gave a model; `prefix` stands before its symbols where it is a part of a coupled one."""

    registered: Registered
    resolved: Resolved
    prefix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The table, and what the computation reads from it. Arrays are (entities,), in the order of `entities` (IRIs,
    sorted); `values` are NaN where the model's own value holds. `dosed` and `seen` are rows of the table, ordered by
    patient and time.
    """

    table: pa.Table
    entities: pa.Array
    status: npt.NDArray[np.int8]
    origin: Moments
    values: Mapping[str, Array]
    dosed: "Figures"
    seen: "Figures"

    @property
    def evaluable(self) -> Indices:
        """Return the places of those that can be evaluated."""
        return np.flatnonzero(self.status == Outcome.EVALUATED)

    def digest(self) -> str:
        """Return the digest of what is used: who, which figures of which observations, when."""
        used = self.table.select(["kind", "entity", "symbol", "observation"])
        moments = self.origin.astype("datetime64[ms]").astype(np.int64)
        texts = [used[name].cast(pa.string()) for name in used.column_names]
        numbers = [_numbers(self.table[name]) for name in ("used", "at")]
        return columns_digest([*texts, *numbers, self.status, moments, _flags(self.table["censored"])])

    def blocks(self, plan: Plan, starts: Array | None, skip: frozenset[int] = frozenset()) -> Iterator[Block]:
        """Yield the blocks of a plan but those in `skip`; `starts` are the model's times at the start (entities,)."""
        places = self.evaluable
        for number, (first, last) in enumerate(plan.split(len(places))):
            if number not in skip:
                yield self._block(plan, starts, number, places[first:last], first)

    def _block(self, plan: Plan, starts: Array | None, number: int, places: Indices, first: int) -> Block:
        keys = self.entities.take(pa.array(places)).to_pylist()
        doses = self.dosed.of(places)
        observations = None
        if plan.fitted:
            seen = self.seen.of(places)
            observations = Observations.from_columns(
                [keys[at] for at in np.searchsorted(places, seen.entity).tolist()], seen.at, seen.symbols(),
                seen.used, seen.censored, variables=[residual.variable for residual in plan.residuals], patients=keys,
            )  # fmt: skip
        given = [keys[at] for at in np.searchsorted(places, doses.entity).tolist()]
        amounts = zip(given, doses.symbols(), doses.at.tolist(), doses.used.tolist(), strict=True)
        return Block(
            number, first, tuple(keys), {name: value[places] for name, value in self.values.items()},
            None if starts is None else starts[places], tuple(Dose(*item) for item in amounts), observations,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Doses or observations, (figures,), ordered by patient: of whom, of what (a place in `names`), at which time of
    the model, how much.
    """

    entity: Indices
    symbol: Indices
    names: tuple[str, ...]
    at: Array
    used: Array
    censored: npt.NDArray[np.bool_]

    def of(self, places: Indices) -> "Figures":
        """Return those of some patients; `places` increase."""
        low, high = np.searchsorted(self.entity, [places[0], places[-1] + 1]) if len(places) else (0, 0)
        kept = low + np.flatnonzero(np.isin(self.entity[low:high], places))
        return Figures(
            self.entity[kept], self.symbol[kept], self.names, self.at[kept], self.used[kept], self.censored[kept]
        )

    def symbols(self) -> list[str]:
        """Return the symbol of each."""
        return [self.names[at] for at in self.symbol.tolist()]


# ---- From what was resolved ------------------------------------------------------------------------------------------


def gather(parts: Sequence[Given], *, fitted: bool) -> Inputs:
    """Return the inputs of a run from what the bindings gave a model, or the two parts of a coupled one."""
    entities = parts[0].resolved.entities
    status = np.zeros(len(entities), np.int8)
    for part in parts:
        status = np.where(status == Outcome.EVALUATED, part.resolved.status, status).astype(np.int8)
    tables = [_patients(entities, parts[0].resolved.origin, status)]
    tables += [_figures(part, entities, status, fitted=fitted) for part in parts]
    return read(_ordered(pa.concat_tables(tables).unify_dictionaries().combine_chunks()))


def _patients(entities: pa.Array, origin: Moments, status: npt.NDArray[np.int8]) -> pa.Table:
    count = len(entities)
    columns: dict[str, pa.Array] = {
        "kind": _constant(PATIENT, count), "entity": entities.dictionary_encode(),
        "time": pa.array(origin.astype("datetime64[ms]")), "status": pa.array(status),
    }  # fmt: skip
    return _table(columns, count)


def _figures(part: Given, entities: pa.Array, status: npt.NDArray[np.int8], *, fitted: bool) -> pa.Table:
    """Return the figures of those that are evaluated."""
    resolved, registered = part.resolved, part.registered
    sources = resolved.sources
    sources = sources.filter(pa.array(status[np.asarray(sources["entity"], np.int64)] == Outcome.EVALUATED))
    count = sources.num_rows
    symbol = pc.cast(sources["symbol"], pa.string()).combine_chunks()
    dosed = pc.is_in(symbol, value_set=pa.array(sorted({dose.symbol for dose in resolved.doses}), pa.string()))
    measured = {residual.variable for residual in registered.residuals} if resolved.observations is not None else set()
    seen = pc.is_in(symbol, value_set=pa.array(sorted(measured), pa.string()))
    kind = pc.if_else(seen, OBSERVATION, pc.if_else(dosed, DOSE, VALUE))
    place = np.asarray(sources["entity"], np.int64)
    at = np.full(count, np.nan)
    timed = np.asarray(pc.or_(seen, dosed), np.bool_)
    if timed.any() and registered.model.time_unit is not None:
        born = registered.time_origin == "birth"
        clock = partial(ages, hours=True) if born else elapsed
        when = np.asarray(sources["time"].combine_chunks().cast(pa.int64()).fill_null(0)).astype("datetime64[ms]")
        at[timed] = clock(resolved.origin[place[timed]], when[timed], registered.model.time_unit)
    columns: dict[str, pa.Array] = {
        "kind": kind.dictionary_encode(),
        "entity": entities.take(pa.array(place)).dictionary_encode(),
        "symbol": pc.binary_join_element_wise(part.prefix, symbol, "").dictionary_encode(),
        "at": pa.array(at, mask=~timed),
    }
    for name in ("binding", "observation", "value", "unit", "used", "used_unit", "factor", "offset", "term", "time",
                 "censored"):  # fmt: skip
        columns[name] = sources[name].combine_chunks()
    table = _table(columns, count)
    return table if fitted else table.filter(pc.invert(seen))


def _table(columns: Mapping[str, pa.Array], count: int) -> pa.Table:
    arrays = [columns[item.name].cast(item.type) if item.name in columns else pa.nulls(count, item.type)
              for item in SCHEMA]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def _ordered(table: pa.Table) -> pa.Table:
    """Return the rows in an order that the graph's own does not change."""
    texts = [_ranks(table[name]) for name in ("observation", "symbol", "entity", "kind")]
    numbers = [_numbers(table[name]) for name in ("used", "at")]
    return table.take(pa.array(np.lexsort([numbers[0], texts[0], numbers[1], *texts[1:]])))


def _ranks(column: pa.ChunkedArray) -> Indices:
    coded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    order = np.empty(len(coded.dictionary) + 1, np.int64)
    order[np.asarray(pc.sort_indices(coded.dictionary), np.int64)] = np.arange(len(coded.dictionary))
    order[-1] = -1
    return order[np.asarray(coded.indices.fill_null(len(coded.dictionary)), np.int64)]


# ---- From the table --------------------------------------------------------------------------------------------------


def read(table: pa.Table) -> Inputs:
    """Return the inputs that a table of a run holds (schema `SCHEMA`, rows in its order)."""
    kind = pc.cast(table["kind"], pa.string()).combine_chunks()
    rows = {name: np.flatnonzero(np.asarray(pc.equal(kind, name), np.bool_)) for name in KINDS}
    people = table.take(pa.array(rows[PATIENT]))
    entities = pc.cast(people["entity"], pa.string()).combine_chunks()
    place = np.asarray(pc.index_in(pc.cast(table["entity"], pa.string()), value_set=entities), np.int64)
    coded = pc.cast(table["symbol"], pa.string()).combine_chunks().dictionary_encode()
    names, symbol = tuple(coded.dictionary.to_pylist()), np.asarray(coded.indices.fill_null(-1), np.int64)
    used, at, censored = _numbers(table["used"]), _numbers(table["at"]), _flags(table["censored"])
    values: dict[str, Array] = {}
    for code in np.unique(symbol[rows[VALUE]]).tolist():
        mine = rows[VALUE][symbol[rows[VALUE]] == code]
        values[names[code]] = np.full(len(entities), np.nan)
        values[names[code]][place[mine]] = used[mine]
    figures = [
        Figures(place[chosen], symbol[chosen], names, at[chosen], used[chosen], censored[chosen])
        for chosen in (rows[DOSE], rows[OBSERVATION])
    ]
    return Inputs(
        table, entities, np.asarray(people["status"], np.int8),
        np.asarray(people["time"].combine_chunks().cast(pa.int64()).fill_null(np.iinfo(np.int64).min))
        .astype("datetime64[ms]"),
        values, _merged(figures[0]), _sorted(figures[1]),
    )  # fmt: skip


def _sorted(figures: Figures) -> Figures:
    order = np.lexsort((figures.symbol, figures.at, figures.entity))
    return Figures(
        figures.entity[order], figures.symbol[order], figures.names, figures.at[order], figures.used[order],
        figures.censored[order],
    )  # fmt: skip


def _merged(figures: Figures) -> Figures:
    """Return the doses with those that one patient got at one time as one."""
    figures = _sorted(figures)
    if not len(figures.entity):
        return figures
    keys = (figures.entity, figures.at, figures.symbol)
    first = np.flatnonzero(np.r_[True, np.any([key[1:] != key[:-1] for key in keys], axis=0)])
    return Figures(
        figures.entity[first], figures.symbol[first], figures.names, figures.at[first],
        np.add.reduceat(figures.used, first), figures.censored[first],
    )  # fmt: skip


def _numbers(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.combine_chunks().fill_null(float("nan")), np.float64)


def _flags(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column.combine_chunks().fill_null(False), np.bool_)
