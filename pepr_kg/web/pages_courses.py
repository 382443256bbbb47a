"""Courses over time: the lines of a prediction with their bands, and what was measured among them."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pepr_kg.web.figures import unit_text
from pepr_kg.web.pages_frame import Reader
from pepr_kg.web.pages_sheets import figure
from pepr_kg.web.pictures import Array, Axis, Chart, Series, draw


def moves(lines: Array) -> bool:
    """Return whether one of the lines (lines, times) changes over time.

    >>> moves(np.array([[2.0, 2.0], [1.0, 1.0]])), moves(np.array([[2.0, 2.0], [1.0, 3.0]]))
    (False, True)
    """
    fine = (line[np.isfinite(line)] for line in lines)
    return any(len(line) > 1 and bool(np.ptp(line) > 1e-9 * np.abs(line).max()) for line in fine)


def draw_course(
    reader: Reader, title: str, lines: Sequence[Series], measured: Series | None, *, time_unit: str, unit: str
) -> Markup:
    """Return the picture of a quantity over time; its description says in a sentence how each line goes."""
    chart = Chart(
        title,
        " ".join(_described(reader, line, unit) for line in lines),
        (*lines, *([measured] if measured else [])),
        Axis(unit_text(time_unit, reader.lang, plural=True)),
        unit_text(unit, reader.lang),
    )
    return draw(chart, reader.lang)


def _described(reader: Reader, line: Series, unit: str) -> str:
    fine = line.values[np.isfinite(line.values)]
    if not len(fine):
        return ""
    first, last = figure(reader, fine[0], unit).text, figure(reader, fine[-1], unit).text
    return reader.phrase("picture.course", name=line.name, first=first, last=last)
