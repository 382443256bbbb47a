"""What the bindings of a model gave for a cohort: arrays for the evaluator, and tables of where each figure is from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Moments, Numbers
from pepr_kg.runs.gathering import Flags, Indices, Rows
from pepr_kg.runs.outcomes import PRECEDENCE, Outcome
from pepr_kg.twin import Dose, Observations

_NAME: Final = pa.dictionary(pa.int32(), pa.string())

SOURCES: Final = pa.schema(
    [
        ("entity", pa.int32()), ("symbol", _NAME), ("binding", _NAME), ("observation", pa.string()),
        ("value", pa.float64()), ("unit", _NAME), ("used", pa.float64()), ("used_unit", _NAME),
        ("factor", pa.float64()), ("offset", pa.float64()), ("time", pa.timestamp("ms")), ("term", pa.string()),
        ("censored", pa.bool_()),
    ]
)  # fmt: skip
PROBLEMS: Final = pa.schema(
    [
        ("entity", pa.int32()), ("symbol", _NAME), ("binding", _NAME), ("kind", _NAME), ("observation", pa.string()),
        ("other", pa.string()), ("value", pa.float64()), ("unit", _NAME), ("term", pa.string()),
        ("time", pa.timestamp("ms")), ("since", pa.timestamp("ms")),
    ]
)  # fmt: skip
CONVERSIONS: Final = pa.schema(
    [
        ("symbol", pa.string()), ("source_unit", pa.string()), ("target_unit", pa.string()), ("factor", pa.float64()),
        ("offset", pa.float64()), ("count", pa.int64()),
    ]
)  # fmt: skip


class Kind(StrEnum):
    """What is wrong with one element of one entity. `NOTED` is said and sets nobody aside."""

    UNBOUND = "unbound"  # required, and nothing is bound to it
    FAILED = "failed"  # the binding itself gave nothing to anybody
    MISSING = "missing"
    TOO_OLD = "too-old"
    LATER = "later"
    NO_BIRTH = "no-birth"
    NO_NUMBER = "no-number"
    AMBIGUOUS = "ambiguous"
    NO_UNIT = "no-unit"
    UNIT = "unit"
    NO_CATEGORY = "no-category"
    OUTSIDE = "outside"
    TOO_YOUNG = "too-young"
    TOO_AGED = "too-aged"
    CONDITION_ABSENT = "condition-absent"
    CONDITION_PRESENT = "condition-present"
    CONSENT = "consent"
    NOTED = "noted"


OUTCOMES: Final[Mapping[Kind, Outcome]] = {
    Kind.CONSENT: Outcome.NOT_PERMITTED,
    **dict.fromkeys(
        (Kind.UNBOUND, Kind.FAILED, Kind.MISSING, Kind.TOO_OLD, Kind.LATER, Kind.NO_BIRTH, Kind.NO_NUMBER),
        Outcome.BINDING_MISSING,
    ),
    Kind.AMBIGUOUS: Outcome.BINDING_AMBIGUOUS,
    **dict.fromkeys((Kind.NO_UNIT, Kind.UNIT), Outcome.UNIT_UNMET),
    **dict.fromkeys(
        (
            Kind.NO_CATEGORY, Kind.OUTSIDE, Kind.TOO_YOUNG, Kind.TOO_AGED, Kind.CONDITION_ABSENT,
            Kind.CONDITION_PRESENT,
        ),
        Outcome.OUTSIDE_VALIDITY,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """What the bindings gave. Every array is (entities,), in the order of `entities` (IRIs, sorted).

    values: by symbol, in the model's units and codes; NaN where the default of the model holds. status: codes of
    `Outcome`, 0 where the entity can be evaluated. lacks, clashes, bad_units, outside: by symbol, whom it sets aside
    and why. sources: each figure that is used, with the observation that it is from (schema `SOURCES`: `entity` is the
    place in `entities`, `value` in `unit` became `used` in `used_unit` by `factor` and `offset`, which are null where
    nothing was multiplied; `term` is a concept or a date). conversions: which of them changed the unit, and how often.
    problems: what is wrong with whom (schema `PROBLEMS`; of what is missing, `term` is the concept or the path that was
    looked for, and `time` that of the latest observation that did not do); failures: why a binding gave nothing to
    anybody. origin: time zero of the model's clock. doses: amounts given to patients (by IRI) at times of the model,
    from the origin on. observations: of the outputs, for a fit, up to `as_of`; None where there is none to fit to.
    """

    entities: pa.Array
    values: Mapping[str, Numbers]
    status: npt.NDArray[np.int8]
    lacks: Mapping[str, Flags]
    clashes: Mapping[str, Flags]
    bad_units: Mapping[str, Flags]
    outside: Mapping[str, Flags]
    sources: pa.Table
    conversions: pa.Table
    problems: pa.Table
    failures: Mapping[str, Mapping[str, str]]
    origin: Moments
    doses: tuple[Dose, ...]
    observations: Observations | None
    as_of: np.datetime64

    @property
    def evaluable(self) -> Indices:
        """Return the places of those that can be evaluated."""
        return np.flatnonzero(self.status == Outcome.EVALUATED)


def used_rows(
    symbol: str, binding: "pa.Array | str | None", rows: Rows, used: Numbers, unit: str | None, *, factor: Numbers,
    offset: Numbers,
) -> pa.Table:  # fmt: skip
    """Return figures that are used as rows of `sources`; `binding` is one for all rows or one for each."""
    count = len(rows)
    return pa.Table.from_arrays(
        [
            pa.array(rows.entity, pa.int32()), named(symbol, count), named(binding, count), rows.observation,
            _known(rows.number), _coded(rows.unit), pa.array(used), named(unit, count), _known(factor), _known(offset),
            pa.array(rows.time, pa.timestamp("ms")), rows.term, pa.array(rows.censored > 0),
        ],
        schema=SOURCES,
    )  # fmt: skip


def problem_rows(
    kind: Kind, symbol: str | None, binding: "pa.Array | str | None", entity: Indices, rows: Rows | None = None,
    *, value: Numbers | None = None, other: pa.Array | None = None, term: str | None = None,
    since: np.datetime64 | None = None,
) -> pa.Table:  # fmt: skip
    """Return problems of one kind as rows of `problems`; `rows` (as many as entities) are what was found, `value` and
    `term` stand for what they hold. `since` is the earliest time of an observation that would have done.
    """
    count = len(entity)
    none, unknown = pa.nulls(count, pa.string()), pa.nulls(count, pa.float64())
    return pa.Table.from_arrays(
        [
            pa.array(entity, pa.int32()), named(symbol, count), named(binding, count), named(kind.value, count),
            none if rows is None else rows.observation, none if other is None else other,
            _known(value) if value is not None else unknown if rows is None else _known(rows.number),
            pa.nulls(count, _NAME) if rows is None else _coded(rows.unit),
            pa.repeat(term, count) if term is not None else none if rows is None else rows.term,
            pa.nulls(count, pa.timestamp("ms")) if rows is None else pa.array(rows.time, pa.timestamp("ms")),
            pa.array(np.full(count, np.datetime64("NaT", "ms") if since is None else since), pa.timestamp("ms")),
        ],
        schema=PROBLEMS,
    )  # fmt: skip


def stacked(schema: pa.Schema, parts: Sequence[pa.Table]) -> pa.Table:
    """Return the tables as one, each of its dictionaries one."""
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks() if parts else schema.empty_table()


def conversions_of(sources: pa.Table) -> pa.Table:
    """Return the conversions that changed a unit, each once with the number of values that it made."""
    plain = sources.select(["symbol", "unit", "used_unit", "factor", "offset"])
    for place, name in enumerate(("symbol", "unit", "used_unit")):
        plain = plain.set_column(place, name, pc.cast(plain[name], pa.string()))
    changed = plain.filter(pc.fill_null(pc.and_(pc.not_equal(plain["unit"], plain["used_unit"]),
                                                pc.is_valid(plain["factor"])), False))  # fmt: skip
    keys = ["symbol", "unit", "used_unit", "factor", "offset"]
    counted = changed.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    ordered = counted.sort_by([("symbol", "ascending"), ("unit", "ascending")])
    return pa.Table.from_arrays([ordered[name] for name in (*keys, "count_all")], schema=CONVERSIONS)


def flags_of(problems: pa.Table, kinds: Sequence[Kind], count: int) -> Mapping[str, Flags]:
    """Return, by symbol, which entities have a problem of one of the kinds; symbols without any are left out."""
    some = problems.filter(pc.is_in(pc.cast(problems["kind"], pa.string()), pa.array([kind.value for kind in kinds])))
    some = some.filter(pc.is_valid(some["symbol"]))
    entity, symbols = np.asarray(some["entity"], np.int64), pc.cast(some["symbol"], pa.string())
    found: dict[str, Flags] = {}
    for symbol in sorted(pc.unique(symbols).to_pylist()):
        flags = np.zeros(count, np.bool_)
        flags[entity[np.asarray(pc.equal(symbols, symbol), np.bool_)]] = True
        found[symbol] = flags
    return found


def status_of(problems: pa.Table, count: int) -> npt.NDArray[np.int8]:
    """Return each entity's outcome: of several reasons the one that stands first in `PRECEDENCE`."""
    status = np.zeros(count, np.int8)
    entity, kinds = np.asarray(problems["entity"], np.int64), pc.cast(problems["kind"], pa.string())
    for outcome in reversed(PRECEDENCE):
        names = pa.array([kind.value for kind, which in OUTCOMES.items() if which is outcome])
        status[entity[np.asarray(pc.is_in(kinds, value_set=names), np.bool_)]] = outcome
    return status


def named(name: "pa.Array | str | None", count: int) -> pa.Array:
    """Return a column that says the same in each row, or what the array says."""
    if name is None:
        return pa.nulls(count, _NAME)
    if isinstance(name, pa.Array):
        return _coded(name)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([name]))


def _coded(unit: pa.Array) -> pa.Array:
    coded = pc.dictionary_encode(unit)
    return coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded


def _known(values: Numbers) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
