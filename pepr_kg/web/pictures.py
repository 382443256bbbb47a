"""Series as a picture: a small chart in SVG, without script and without style of its own.

A chart says in its title and description what it shows; what it shows stands on the page as a table too.

>>> import numpy as np
>>> line = Series("baseline", np.array([0.0, 1.0]), np.array([2.0, 3.0]))
>>> svg = draw(Chart("Glucose", "From 2 to 3.", (line,), Axis("year"), "mmol/L"), "en")
>>> 'role="img"' in svg, "<title>Glucose</title>" in svg, "style=" in svg
(True, True, False)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from pepr_kg.web.figures import Tick, date_ticks, number_ticks

Array = npt.NDArray[np.float64]

_WIDTH: Final = 420
_HEIGHT: Final = 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 22, 34
_ROOM: Final = 3.2  # that half a letter of a tick takes
_TONES: Final = 4  # kinds of line that the style sheet tells apart


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis of time: what stands beside it, and whether its numbers are days since 1970."""

    text: str
    dates: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A line, or with `points` what was measured: at (n,), values (n,), and the band from low to high (n,) if any."""

    name: str
    at: Array
    values: Array
    low: Array | None = None
    high: Array | None = None
    points: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of some series of one quantity in one unit."""

    title: str
    description: str
    series: tuple[Series, ...]
    axis: Axis
    unit: str = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    """From numbers to places: `x` and `y` are the lowest and highest number of each axis."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, at: Array) -> Array:
        """Return where numbers stand from left to right."""
        return _LEFT + (at - self.x[0]) / (self.x[1] - self.x[0]) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, values: Array) -> Array:
        """Return where numbers stand from top to bottom."""
        return _TOP + (self.y[1] - values) / (self.y[1] - self.y[0]) * (_HEIGHT - _TOP - _BOTTOM)


def draw(chart: Chart, lang: str) -> Markup:
    """Return a chart as the text of an SVG element; nothing where no number can be shown."""
    frame = _frame(chart.series)
    if frame is None:
        return Markup("")
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(chart.title)}</title><desc>{escape(chart.description)}</desc>",
        *_axes(chart, frame, lang),
    ]
    lines = [item for item in chart.series if not item.points]
    for number, item in enumerate(lines):
        parts += _band(item, frame, number % _TONES)
    for number, item in enumerate(lines):
        parts += _line(item, frame, number % _TONES)
    for item in chart.series:
        if item.points:
            parts += _points(item, frame)
    return Markup("".join(parts) + "</svg>")  # noqa: S704 (texts are escaped above, the rest are numbers)


def _frame(series: Sequence[Series]) -> _Frame | None:
    at = np.concatenate([np.empty(0), *(item.at[np.isfinite(item.values)] for item in series)])
    shown = [part for item in series for part in (item.values, item.low, item.high) if part is not None]
    values = np.concatenate([np.empty(0), *shown])
    at, values = at[np.isfinite(at)], values[np.isfinite(values)]
    if not len(at) or not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    floor = 0.0 if low >= 0.0 and low - room < 0.0 else low - room
    first, last = float(at.min()), float(at.max())
    beside = 0.0 if last > first else 1.0
    return _Frame((first - beside, last + beside), (floor, high + room))


def _axes(chart: Chart, frame: _Frame, lang: str) -> Iterator[str]:
    base, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for tick in number_ticks(*frame.y, 5, lang):
        place = float(frame.up(np.array(tick.at)))
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{escape(tick.text)}</text>'
    ticks: tuple[Tick, ...] = (date_ticks if chart.axis.dates else number_ticks)(*frame.x, 5, lang)
    for tick in ticks:
        place = float(frame.across(np.array(tick.at)))
        yield f'<line class="mark" x1="{place:.1f}" x2="{place:.1f}" y1="{base}" y2="{base + 4}"/>'
        anchor = "end" if place > right - _ROOM * len(tick.text) else "middle"
        end = f"{right + _RIGHT - 2:.1f}" if anchor == "end" else f"{place:.1f}"
        yield f'<text class="tick" x="{end}" y="{base + 16}" text-anchor="{anchor}">{escape(tick.text)}</text>'
    yield f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{base}" y2="{base}"/>'
    if chart.unit:
        yield f'<text class="unit" x="4" y="12">{escape(chart.unit)}</text>'
    if chart.axis.text:
        yield f'<text class="unit" x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{escape(chart.axis.text)}</text>'


def _band(item: Series, frame: _Frame, tone: int) -> Iterator[str]:
    if item.low is None or item.high is None:
        return
    fine = np.isfinite(item.low) & np.isfinite(item.high) & np.isfinite(item.at)
    if fine.sum() > 1:
        there = _places(frame, item.at[fine], item.high[fine])
        back = _places(frame, item.at[fine][::-1], item.low[fine][::-1])
        yield f'<polygon class="band tone-{tone}" points="{there} {back}"/>'


def _line(item: Series, frame: _Frame, tone: int) -> Iterator[str]:
    fine = np.isfinite(item.values) & np.isfinite(item.at)
    if fine.sum() > 1:
        yield f'<polyline class="line tone-{tone}" points="{_places(frame, item.at[fine], item.values[fine])}"/>'


def _points(item: Series, frame: _Frame) -> Iterator[str]:
    fine = np.isfinite(item.values) & np.isfinite(item.at)
    for x, y in zip(frame.across(item.at[fine]), frame.up(item.values[fine]), strict=True):
        yield f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'


def _places(frame: _Frame, at: Array, values: Array) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(frame.across(at), frame.up(values), strict=True))
