"""Dates of the graph and what they make in the time of a model: ages by the calendar, times since an origin.

A year counts from birthday to birthday: who is born on 15 March 1976 is 50 on 15 March 2026, whatever the hour, and
50.5 half a year of days later. Who is born on 29 February has a birthday on 1 March in other years.

>>> born = np.array(["1976-03-15", "1976-02-29"], dtype="datetime64[ms]")
>>> ages(born, np.datetime64("2026-03-15T23:59"), "a").tolist()[0]
50.0
>>> ages(born, np.datetime64("2027-03-01"), "mo").tolist()[1]
612.0
"""

from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Column, Moments, Numbers, moments
from pepr_kg.twin.units import conversion, parse_unit

CALENDAR: Final = {"a": 1.0, "mo": 12.0}  # units that the calendar counts, in one year
_MIDDLE_OF_YEAR: Final = "-07-01"
_MIDDLE_OF_MONTH: Final = "-15"
_NONE: Final = pa.scalar(None, pa.string())


def instant(when: datetime) -> np.datetime64:
    """Return a moment in UTC as NumPy has it; one without a zone is taken as UTC."""
    plain = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    return np.datetime64(plain, "ms")


def days(column: Column) -> Moments:
    """Return a column of dates, of whatever precision, as datetime64[ms]; NaT for what is none.

    A year alone (xsd:gYear) is its middle, 1 July, and a month alone (xsd:gYearMonth) its 15th, so that an age is
    wrong by half the precision at most.

    >>> days(pa.chunked_array([["1958", "1958-03", "1958-03-02", None]])).astype("datetime64[D]").astype(str).tolist()
    ['1958-07-01', '1958-03-15', '1958-03-02', 'NaT']
    """
    text = pa.chunked_array(column) if isinstance(column, pa.Array) else column
    year = pc.match_substring_regex(text, r"^\d{4}$")
    month = pc.match_substring_regex(text, r"^\d{4}-\d\d$")
    whole = pc.if_else(year, pc.binary_join_element_wise(text, _MIDDLE_OF_YEAR, ""), text)
    return moments(pc.if_else(month, pc.binary_join_element_wise(text, _MIDDLE_OF_MONTH, ""), whole))


def is_time(unit: str) -> bool:
    """Return whether a UCUM unit measures a time. Raises `UnknownUnit`."""
    return parse_unit(unit).converts_to(parse_unit("s"))


def ages(born: Moments, at: Moments | np.datetime64, unit: str, *, hours: bool = False) -> Numbers:
    """Return how old those `born` then are at a moment, or at one each, in a unit of time; NaN where a date is NaT.

    Years and months are counted by the calendar, and by whole days or, with `hours`, to the hour and less; other units
    by elapsed time. Raises `UnknownUnit` or `UnitMismatch`.
    """
    if unit not in CALENDAR:
        return elapsed(born, at, unit)
    birth, day = born.astype("datetime64[D]"), np.asarray(at).astype("datetime64[D]")
    years = day.astype("datetime64[Y]").astype(np.int64) - birth.astype("datetime64[Y]").astype(np.int64)
    years = np.where(_birthday(birth, years) > day, years - 1, years)
    last, following = _birthday(birth, years), _birthday(birth, years + 1)
    reached = np.asarray(at).astype("datetime64[ms]") if hours else day.astype("datetime64[ms]")
    span = (following - last).astype("timedelta64[ms]").astype(np.float64)
    part = (reached - last.astype("datetime64[ms]")).astype(np.float64) / span
    known = ~(np.isnat(birth) | np.isnat(day))
    return np.where(known, (years + part) * CALENDAR[unit], np.nan)


def elapsed(since: Moments | np.datetime64, at: Moments | np.datetime64, unit: str) -> Numbers:
    """Return the time between two moments in a unit of time (the year is 365.25 days); NaN where one is NaT.

    >>> elapsed(np.datetime64("2026-03-01T08:00"), np.array(["2026-03-01T20:00"], dtype="datetime64[ms]"), "h").tolist()
    [12.0]
    """
    size, _ = conversion(unit, "ms")
    span = np.asarray(at).astype("datetime64[ms]") - np.asarray(since).astype("datetime64[ms]")
    return np.where(np.isnat(span), np.nan, span.astype(np.float64) / size)


def _birthday(birth: Moments, years: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Moments:
    """Return the birthday (datetime64[D]) on which each is so many years old."""
    month = birth.astype("datetime64[M]")
    day = birth - month.astype("datetime64[D]")
    return np.asarray((month + years * 12).astype("datetime64[D]") + day)
