"""What was observed of a patient: by quantity, as small pictures and as a table, and on the clock of a model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from markupsafe import Markup

from pepr_kg.errors import PeprError
from pepr_kg.store import Term
from pepr_kg.twin.units import convert
from pepr_kg.web.figures import day_of, days_in, unit_text
from pepr_kg.web.pages_frame import Reader, Shown, sort_key
from pepr_kg.web.pages_sheets import Sheet, figure, make_sheet, moment, result, text
from pepr_kg.web.pictures import Array, Axis, Chart, Series, draw

_ROWS: Final = 200  # observations in the table
_NO_LONGER: Final = ("superseded", "withdrawn")


@dataclass(slots=True)
class Observed:
    """The observations of one quantity that hold, the earliest first: days since 1970, values in the unit."""

    concept: str
    unit: str
    days: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """The times of a model (times,), in a UCUM unit, and the day (since 1970) of the first of them."""

    times: Array
    unit: str
    start: float = math.nan

    def at(self, start: float) -> "Clock":
        """Return the clock with the day on which it starts."""
        return Clock(self.times, self.unit, start)


def read_observed(rows: Sequence[Mapping[str, Term]]) -> dict[str, Observed]:
    """Return the observations that hold, by quantity, in the unit of the latest; without those that do not convert.

    `rows` are those of the query `observations`, the latest first.
    """
    found: dict[str, Observed] = {}
    for row in rows:
        day, value = day_of(text(row, "time")), text(row, "value")
        if not value or not math.isfinite(day) or text(row, "status").endswith(_NO_LONGER):
            continue
        series = found.setdefault(text(row, "concept"), Observed(text(row, "concept"), text(row, "unit")))
        values = _in_unit(np.array([float(value)]), text(row, "unit"), series.unit)
        if values is not None:
            series.days.insert(0, day)
            series.values.insert(0, float(values[0]))
    return found


def _in_unit(values: Array, source: str, target: str) -> Array | None:
    """Return values in another unit, None where they do not convert."""
    if source == target:
        return values
    try:
        return np.asarray(convert(values, source, target), np.float64)
    except PeprError:
        return None


def measured_of(
    reader: Reader, quantities: Iterable[str], unit: str, observed: Mapping[str, Observed], clock: Clock
) -> Series | None:
    """Return what was measured of one of these quantities, in the unit of an output, on the clock of the model.

    None where nothing was measured between the first and the last of its times, or the clock has no date.
    """
    length = days_in(clock.unit)
    if length is None or not math.isfinite(clock.start):
        return None
    for concept in quantities:
        item = observed.get(concept)
        values = None if item is None else _in_unit(np.array(item.values), item.unit, unit)
        if item is None or values is None:
            continue
        at = clock.times[0] + (np.array(item.days) - clock.start) / length
        slack = 1e-9 * max(1.0, abs(float(clock.times[-1])))
        inside = (at >= clock.times[0] - slack) & (at <= clock.times[-1] + slack)
        if inside.any():
            return Series(reader.phrase("picture.measured"), at[inside], values[inside], points=True)
    return None


def draw_observed(reader: Reader, observed: Mapping[str, Observed]) -> list[tuple[Shown, Markup]]:
    """Return a picture for each quantity that was observed more than once."""
    several = [item for item in observed.values() if len(item.days) > 1]
    found = []
    for item in sorted(several, key=lambda item: sort_key(reader.label(item.concept).text)):
        name = reader.label(item.concept).text
        days, values = np.array(item.days), np.array(item.values)
        description = reader.phrase(
            "picture.observed", number=len(values), first=moment(reader, _stamp(days.min())).text,
            last=moment(reader, _stamp(days.max())).text, low=figure(reader, values.min(), item.unit).text,
            high=figure(reader, values.max(), item.unit).text,
        )  # fmt: skip
        series = (Series(name, days, values), Series(name, days, values, points=True))
        picture = draw(
            Chart(name, description, series, Axis("", dates=True), unit_text(item.unit, reader.lang)), reader.lang
        )
        found.append((reader.show_iri(item.concept), picture))
    return found


def _stamp(day: float) -> str:
    return str(np.datetime64(int(day), "D"))


def list_observed(reader: Reader, rows: Sequence[Mapping[str, Term]]) -> Sheet:
    """Return the latest observations as a table, by quantity."""
    latest = sorted(rows[:_ROWS], key=lambda row: sort_key(reader.label(text(row, "concept")).text))
    shown = [
        [
            reader.show_iri(text(row, "concept")),
            result(reader, row),
            moment(reader, text(row, "time")),
            Shown(reader.label(text(row, "status")).text if "status" in row else reader.phrase("twin.holds")),
            Shown(text(row, "observation").rpartition("/")[2], reader.href(text(row, "observation"))),
        ]
        for row in latest
    ]
    names = ("quantity", "value", "date", "status", "observation")
    note = reader.phrase("twin.latest", number=_ROWS) if len(rows) > _ROWS else ""
    return make_sheet(reader, "twin.observations", names, shown, note)
