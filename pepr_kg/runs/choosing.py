"""Which of the rows that a binding found feeds its element: the latest, the earliest, the nearest, or all of them.

Everything is decided by sorting and by the boundaries between entities, for all entities at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Moments, Numbers
from pepr_kg.runs.gathering import Flags, Indices, Rows

_SAME: Final = 1e-9  # relative: two values that differ by less, after conversion, are one
_NEVER: Final = np.iinfo(np.int64).min // 4  # the time of a row without one, in ms: before all others
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Rows that were chosen, one for each entity that has one, sorted by entity.

    `row` are their places among all rows; `flawed` says that one of those at the same time has no usable value, and
    `other` is the place of one that has another value, or -1.
    """

    row: Indices
    flawed: Flags
    other: Indices


def needed_since(as_of: np.datetime64, maximum_age_days: float | None) -> np.datetime64:
    """Return the earliest time (ms) of an observation that is not too old; NaT where age does not matter.

    An age of a day or more is counted from the beginning of a day, since many observations have a date and no time.

    >>> str(needed_since(np.datetime64("2026-03-31T18:00"), 30.0))
    '2026-03-01T00:00:00.000'
    """
    if maximum_age_days is None:
        return np.datetime64("NaT", "ms")
    since = as_of.astype("datetime64[ms]") - np.timedelta64(round(maximum_age_days * _DAY_MS), "ms")
    return np.datetime64(since.astype("datetime64[D]") if maximum_age_days >= 1.0 else since, "ms")


def eligible_rows(rows: Rows, selection: str, as_of: np.datetime64, since: np.datetime64) -> Flags:
    """Return which rows are neither too old nor too late; one without a time is neither.

    The nearest may lie after `as_of`, and no further from it than `since` does.
    """
    time = rows.time
    timeless = np.isnat(time)
    if selection == "nearest":
        fine = np.ones(len(rows), np.bool_) if np.isnat(since) else np.abs(time - as_of) <= as_of - since
    else:
        fine = time <= as_of
        if not np.isnat(since):
            fine &= time >= since
    return fine | timeless


def choose_rows(rows: Rows, used: Numbers, eligible: Flags, selection: str, as_of: np.datetime64) -> Choice:
    """Return the row that each entity is given. Of equal ones at one time the lowest IRI counts."""
    places = np.flatnonzero(eligible)
    key = _rank(rows.time[places], selection, as_of)
    order = np.lexsort((key, rows.entity[places]))
    places, key = places[order], key[order]
    entity = rows.entity[places]
    last = np.flatnonzero(np.r_[entity[1:] != entity[:-1], True]) if len(places) else places
    count = np.diff(np.r_[-1, last])
    tied = key == np.repeat(key[last], count)
    places, entity = places[tied], entity[tied]
    first = np.flatnonzero(np.r_[True, entity[1:] != entity[:-1]]) if len(places) else places
    sizes = np.diff(np.r_[first, len(places)])
    if (sizes > 1).any():
        several = np.repeat(sizes > 1, sizes)
        by_name = np.zeros(len(places), np.int64)
        by_name[several] = _alphabetical(rows.observation.take(pa.array(places[several], pa.int64())))
        places = places[np.lexsort((by_name, entity))]
    values = used[places]
    flaws = np.isnan(values)
    if not len(first):
        return Choice(places, flaws, places)
    flawed = np.logical_or.reduceat(flaws, first)
    largest, smallest = (reduce.reduceat(np.where(flaws, 0.0, values), first) for reduce in (np.fmax, np.fmin))
    spread = largest - smallest
    clash = ~flawed & (spread > _SAME * np.fmax(np.abs(largest), np.abs(smallest)))
    other = np.full(len(first), -1, np.int64)
    if clash.any():
        group = np.repeat(np.arange(len(first)), sizes)
        distance = np.where(clash[group], np.abs(values - np.repeat(values[first], sizes)), 0.0)
        farthest = np.lexsort((-distance, group))[first]
        other[clash] = places[farthest][clash]
    named = places[first]
    if flawed.any():  # what is wrong is named
        group = np.repeat(np.arange(len(first)), sizes)
        named = np.where(flawed, places[np.lexsort((~flaws, group))[first]], named)
    return Choice(named, flawed, other)


def in_order(rows: Rows, places: Indices) -> Indices:
    """Return places sorted by entity and time, and by name at one time: whatever order the graph gave them in."""
    entity, time = rows.entity[places], rows.time[places]
    order = np.lexsort((time, entity))
    places, entity, time = places[order], entity[order], time[order]
    again = np.r_[False, (entity[1:] == entity[:-1]) & (time[1:] == time[:-1])] if len(places) else places > 0
    if not again.any():
        return places
    tied = again | np.r_[again[1:], False]
    by_name = np.zeros(len(places), np.int64)
    by_name[tied] = _alphabetical(rows.observation.take(pa.array(places[tied], pa.int64())))
    return places[np.lexsort((by_name, time, entity))]


def last_rows(rows: Rows, among: Flags) -> Indices:
    """Return the place of each entity's latest row among some, sorted by entity."""
    places = np.flatnonzero(among)
    places = places[np.lexsort((rows.time[places], rows.entity[places]))]
    entity = rows.entity[places]
    return places[np.r_[entity[1:] != entity[:-1], True]] if len(places) else places


def _rank(time: Moments, selection: str, as_of: np.datetime64) -> Indices:
    """Return a number for each time: the larger, the sooner the row is chosen."""
    timeless = np.isnat(time)
    ms = np.where(timeless, 0, time.astype(np.int64))
    if selection == "earliest":
        ms = -ms
    elif selection == "nearest":
        away = ms - as_of.astype("datetime64[ms]").astype(np.int64)
        ms = -(2 * np.abs(away) + (away > 0))  # of two at the same distance, what was known before
    return np.where(timeless, _NEVER, ms)


def _alphabetical(names: pa.Array) -> Indices:
    """Return the rank of each name in alphabetical order; those without come last."""
    rank = np.empty(len(names), np.int64)
    rank[np.asarray(pc.sort_indices(names), np.int64)] = np.arange(len(names))
    return rank
