"""What a fit is made to: observations of a model's outputs, and the doses before them, on the model's own clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pepr_kg.columns import Moments, Numbers
from pepr_kg.models.registry import Registered
from pepr_kg.runs.ages import ages, elapsed
from pepr_kg.runs.assigning import Assigned
from pepr_kg.runs.choosing import in_order
from pepr_kg.runs.elements import Converted, Flaw
from pepr_kg.runs.errors import BadBinding
from pepr_kg.runs.gathering import Indices, Rows
from pepr_kg.runs.resolved import Kind, problem_rows, used_rows
from pepr_kg.twin import Dose, Observations

_BELOW, _ABOVE = 1, 2  # censored
_NO_CLOCK: Final = {
    "en": "the model does not say in which unit its time is, so that nothing can be placed on its clock",
    "fr": "le modèle ne dit pas dans quelle unité est son temps ; rien ne peut être placé sur son horloge",
}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Observations of one output, ready for a fit: `rows` were found, `value` is in the unit of `symbol`."""

    symbol: str
    unit: str | None
    rows: Rows
    value: Numbers
    time: Numbers


def clock(registered: Registered, origin: Moments, rows: Rows) -> Numbers:
    """Return the times of rows on the model's clock. Raises `BadBinding` where the model has no unit of time."""
    unit = registered.model.time_unit
    if unit is None:
        raise BadBinding(binding=registered.iri, symbol="time", detail=_NO_CLOCK)
    if registered.time_origin == "birth":
        return ages(origin[rows.entity], rows.time, unit, hours=True)
    return elapsed(origin[rows.entity], rows.time, unit)


def measure(
    registered: Registered, symbol: str, unit: str | None, rows: Rows, converted: Converted, *, origin: Moments,
    as_of: np.datetime64,
) -> tuple[Measured, list[pa.Table], list[pa.Table]]:  # fmt: skip
    """Return the observations of an output up to `as_of` and from the origin on, their sources, and what is wrong.

    Several at one time are all kept: a measurement may be repeated. One above an upper limit is left out, and noted.
    """
    time = clock(registered, origin, rows)
    inside = (rows.time <= as_of) & (time >= 0.0)
    problems = [
        problem_rows(kind, symbol, None, (part := rows.take(inside & (converted.flaw == flaw))).entity, part)
        for flaw, kind in ((Flaw.NO_UNIT, Kind.NO_UNIT), (Flaw.UNIT, Kind.UNIT), (Flaw.NO_NUMBER, Kind.NO_NUMBER))
    ]
    above = rows.take(inside & (rows.censored == _ABOVE))
    problems.append(problem_rows(Kind.NOTED, symbol, None, above.entity, above))
    kept = np.flatnonzero(inside & (converted.flaw == Flaw.NONE) & (rows.censored != _ABOVE))
    kept = in_order(rows, kept[_first_of_each(rows, kept)])
    chosen = rows.take(kept)
    sources = used_rows(
        symbol, None, chosen, converted.used[kept], unit, factor=converted.factor[kept], offset=converted.offset[kept]
    )
    return Measured(symbol, unit, chosen, converted.used[kept], time[kept]), [sources], problems


def observations_for_fit(registered: Registered, parts: Sequence[Measured], entities: pa.Array) -> Observations | None:
    """Return what was measured of the outputs that have a residual error, or None where nothing was."""
    variables = [residual.variable for residual in registered.residuals]
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        return None
    owner = np.concatenate([part.rows.entity for part in parts])
    return Observations.from_columns(
        entities.take(pa.array(owner, pa.int64())).to_pylist(),
        np.concatenate([part.time for part in parts]),
        [symbol for part in parts for symbol in [part.symbol] * len(part.rows)],
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.rows.censored == _BELOW for part in parts]),
        variables=variables,
        patients=entities.to_pylist(),
    )


def administer(
    registered: Registered, item: Assigned, unit: str | None, rows: Rows, converted: Converted, *, origin: Moments,
    entities: pa.Array,
) -> tuple[list[Dose], list[pa.Table], list[pa.Table]]:  # fmt: skip
    """Return the doses of rows on the model's clock, their sources, and what is wrong with others.

    What is given at one time is given as one amount. A dose before time zero is left out, and noted.
    """
    symbol, time = item.binding.symbol, clock(registered, origin, rows)
    problems = [
        problem_rows(kind, symbol, item.binding.iri, (part := rows.take(converted.flaw == flaw)).entity, part)
        for flaw, kind in ((Flaw.NO_UNIT, Kind.NO_UNIT), (Flaw.UNIT, Kind.UNIT), (Flaw.NO_NUMBER, Kind.NO_NUMBER))
    ]
    fine = converted.flaw == Flaw.NONE
    early = rows.take(fine & (time < 0.0))
    problems.append(problem_rows(Kind.NOTED, symbol, item.binding.iri, early.entity, early))
    kept = np.flatnonzero(fine & (time >= 0.0))
    kept = in_order(rows, kept[_first_of_each(rows, kept)])
    chosen, amount, when = rows.take(kept), converted.used[kept], time[kept]
    sources = used_rows(
        symbol, item.names_of(chosen.entity), chosen, amount, unit, factor=converted.factor[kept],
        offset=converted.offset[kept],
    )  # fmt: skip
    owner = chosen.entity
    if not len(owner):
        return [], [sources], problems
    first = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (when[1:] != when[:-1])])
    keys = entities.take(pa.array(owner[first], pa.int64())).to_pylist()
    given = zip(keys, when[first].tolist(), np.add.reduceat(amount, first).tolist(), strict=True)
    return [Dose(key, symbol, at, total) for key, at, total in given], [sources], problems


def first_doses(found: Sequence[Rows], entities: int, as_of: np.datetime64) -> Moments:
    """Return when each entity was given its first dose up to `as_of`; NaT where none was."""
    first = np.full(entities, np.iinfo(np.int64).max)
    for rows in found:
        fine = rows.given & (rows.time <= as_of)
        np.minimum.at(first, rows.entity[fine], rows.time[fine].astype("datetime64[ms]").astype(np.int64))
    none = first == np.iinfo(np.int64).max
    return np.where(none, np.datetime64("NaT", "ms"), first.astype("datetime64[ms]"))


def _first_of_each(rows: Rows, places: Indices) -> Indices:
    """Return which of the places hold an observation that none before them holds: a graph may say a thing twice."""
    names = rows.observation.take(pa.array(places, pa.int64())).dictionary_encode()
    codes = np.asarray(names.indices.fill_null(-1), np.int64)
    unnamed = np.flatnonzero(codes < 0)
    _, first = np.unique(codes, return_index=True)
    return np.union1d(first[codes[first] >= 0], unnamed)
