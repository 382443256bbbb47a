"""What if: one parameter of a model changed, and the prediction beside the baseline; nothing is written."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Registered
from pepr_kg.namespaces import ID
from pepr_kg.runs.evaluation import Preview, Request
from pepr_kg.web.figures import unit_text
from pepr_kg.web.pages_evaluable import trials_of
from pepr_kg.web.pages_frame import Reader, Shown
from pepr_kg.web.pages_observed import Clock, Observed, measured_of
from pepr_kg.web.pages_sheets import Sheet, figure
from pepr_kg.web.pictures import Array, Axis, Chart, Series, draw

SAMPLES: Final = 200  # at most, for one patient on a page
_FURTHER: Final = 20  # times the usual horizon of a model
_POINTS: Final = 41
_CHARTS: Final = 4
_SIGNS: Final = {"set": "=", "scale": "*", "add": "+"}
_FIELDS: Final = ("symbol", "operation", "value", "horizon", "samples")
_NUMBER: Final = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Tried:
    """The form and what came of it: `choices` are a model's name and what may be changed in it, value and text."""

    choices: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    asked: Mapping[str, str]
    problem: str = ""
    field: str = ""
    sheet: Sheet | None = None
    charts: tuple[tuple[str, Markup], ...] = ()

    @property
    def measured(self) -> bool:
        """Return whether a picture shows what was measured."""
        return any("<circle" in chart for _, chart in self.charts)


class _Refused(Exception):
    """A field of the form that cannot be used: its name and the key of the sentence."""

    def __init__(self, field: str, key: str, **values: object) -> None:
        super().__init__(field)
        self.field, self.key, self.values = field, key, values


def try_change(reader: Reader, patient: str, models: Sequence[Registered], observed: Mapping[str, Observed]) -> Tried:
    """Return the form, and the two predictions or the sentence that says why there are none if it was sent.

    What was observed of an output stands in its picture, and such pictures come first.
    """
    query = reader.request.query_params
    asked = {name: query.get(name, "")[:100].strip() for name in (*_FIELDS, "model")}
    choices = [(reader.label(model.iri).text, _changeable(reader, model)) for model in models]
    blank = Tried(choices, asked | {"operation": asked["operation"] or "set", "samples": asked["samples"] or "1"})
    if not asked["symbol"] and not asked["value"]:
        return blank
    try:
        model, request = _request(asked, patient, {item.name: item for item in models})
        found = trials_of(reader).run(reader, request)
    except _Refused as refused:
        return _with_problem(blank, reader.phrase(refused.key, **refused.values), refused.field)
    except PeprError as error:
        return _with_problem(blank, error.message(reader.lang), "value")
    if found is None:
        return _with_problem(blank, reader.phrase("trial.busy"), "")
    if found.aside or not found.patients:
        reasons = " ".join(item.reasons.get(reader.lang, "") for item in found.aside)
        return _with_problem(blank, reasons or reader.phrase("whatif.nobody"), "value")
    return Tried(
        choices, blank.asked, "", "", _sheet(reader, model, found), tuple(_charts(reader, model, found, observed))
    )


def _with_problem(blank: Tried, sentence: str, field: str) -> Tried:
    return Tried(blank.choices, blank.asked, sentence, field)


def _changeable(reader: Reader, model: Registered) -> list[tuple[str, str]]:
    """Return what may be changed: what bindings give, and the parameters; by name."""
    bound = dict.fromkeys(item.symbol for item in model.bindings)
    constant = [symbol for symbol, iri in model.elements.items() if iri.startswith(f"{ID}parameter/")]
    units = {item.symbol: item.unit for item in model.model.variables}
    found = []
    for symbol in (*bound, *(name for name in sorted(constant) if name not in bound)):
        if symbol in model.elements:
            unit = unit_text(units.get(symbol) or "", reader.lang)
            name = reader.label(model.elements[symbol]).text
            found.append((f"{model.name}.{symbol}", f"{name} ({unit})" if unit else name))
    return found


def _request(asked: Mapping[str, str], patient: str, models: Mapping[str, Registered]) -> tuple[Registered, Request]:
    name, _, symbol = asked["symbol"].partition(".")
    if asked["model"]:
        name, symbol = asked["model"], asked["symbol"].removeprefix(asked["model"] + ".")
    if name not in models:
        raise _Refused("symbol", "whatif.no.model", model=name or "–")
    model, sign = models[name], _SIGNS.get(asked["operation"] or "set")
    if sign is None:
        raise _Refused("operation", "whatif.no.operation", operation=asked["operation"])
    if symbol not in model.elements:
        raise _Refused("symbol", "whatif.no.symbol", symbol=symbol or "–")
    value = _number("value", asked["value"])
    horizon = _number("horizon", asked["horizon"]) if asked["horizon"] else None
    if horizon is not None and (horizon <= 0 or (model.horizon and horizon > _FURTHER * model.horizon)):
        raise _Refused("horizon", "whatif.horizon", most=f"{_FURTHER * (model.horizon or 0):g}")
    samples = _number("samples", asked["samples"] or "1")
    if samples != int(samples) or not 1 <= samples <= SAMPLES:
        raise _Refused("samples", "whatif.samples", most=SAMPLES)
    scenario = f"{symbol}{sign}{value:.12g}"
    return model, Request(
        model.iri,
        entities=(patient,),
        scenarios=("base", scenario),
        horizon=horizon,
        points=_POINTS,
        samples=int(samples),
    )


def _number(field: str, written: str) -> float:
    plain = written.replace("\u202f", "").replace("\u00a0", "").replace("−", "-")
    if not _NUMBER.fullmatch(plain):
        raise _Refused(field, "whatif.no.number", text=written or "–")
    value = float(plain.replace(",", "."))
    if not math.isfinite(value):
        raise _Refused(field, "whatif.no.number", text=written)
    return value


def _sheet(reader: Reader, model: Registered, found: Preview) -> Sheet:
    """Return the figures at the last time: baseline, changed, difference."""
    rows = []
    for output, unit in zip(found.outputs, found.units, strict=True):
        values = found.values(output)[0, :, -1]
        shown = [figure(reader, value, unit) for value in (*values, values[1] - values[0])]
        rows.append([_name(reader, model, output), shown[0], _interval(reader, found, output, 0, shown[0]), shown[1],
                     _interval(reader, found, output, 1, shown[1]), shown[2]])  # fmt: skip
    names: tuple[str, ...] = ("variable", "baseline", "interval", "changed", "interval", "difference")
    if len(found.statistics) == 1:
        rows = [[row[0], row[1], row[3], row[5]] for row in rows]
        names = ("variable", "baseline", "changed", "difference")
    caption = reader.phrase("whatif.at", time=figure(reader, float(found.times[0, -1]), found.time_unit).text)
    return Sheet(caption, tuple(reader.phrase(f"column.{name}") for name in names), rows)


def _interval(reader: Reader, found: Preview, output: str, scenario: int, shown: Shown) -> Shown:
    if len(found.statistics) == 1:
        return shown
    low, high = (found.values(output, found.statistics[at])[0, scenario, -1] for at in (1, -1))
    return Shown(f"{figure(reader, low).text} – {figure(reader, high).text}")


def _name(reader: Reader, model: Registered, output: str) -> Shown:
    return reader.show_iri(model.elements[output]) if output in model.elements else Shown(output)


def _charts(
    reader: Reader, model: Registered, found: Preview, observed: Mapping[str, Observed]
) -> list[tuple[str, Markup]]:
    """Return the pictures of what changes over time, those first of which something was measured."""
    begins = float((found.prepared.begins[0] - np.datetime64(0, "D")) / np.timedelta64(1, "D"))
    clock = Clock(found.times[0], found.time_unit, begins)
    points = {
        output: measured_of(reader, model.quantities.get(output, ()), unit, observed, clock)
        for output, unit in zip(found.outputs, found.units, strict=True)
    }
    moving = [output for output in found.outputs if _moves(found.values(output)[0])]
    known = [output for output in moving if not set(model.quantities.get(output, ())).isdisjoint(observed)]
    ordered = sorted(moving, key=lambda output: (points[output] is None, output not in known))
    return [_chart(reader, model, found, output, points[output]) for output in ordered[:_CHARTS]]


def _moves(lines: Array) -> bool:
    """Return whether one of the lines (scenarios, times) changes over time."""
    fine = (line[np.isfinite(line)] for line in lines)
    return any(len(line) > 1 and np.ptp(line) > 1e-9 * np.abs(line).max() for line in fine)


def _chart(reader: Reader, model: Registered, found: Preview, output: str, points: Series | None) -> tuple[str, Markup]:
    lines, unit = found.values(output)[0], found.units[found.outputs.index(output)]
    several = len(found.statistics) > 1
    low, high = (found.values(output, found.statistics[at])[0] for at in (1, -1)) if several else (None, None)
    names = (reader.phrase("column.baseline"), reader.phrase("column.changed"))
    series = [
        Series(name, found.times[0], lines[at], None if low is None else low[at], None if high is None else high[at])
        for at, name in enumerate(names)
    ]
    sentences = [
        reader.phrase("picture.course", name=item.name, first=figure(reader, item.values[0], unit).text,
                      last=figure(reader, item.values[-1], unit).text)
        for item in series
    ]  # fmt: skip
    chart = Chart(
        _name(reader, model, output).text, " ".join(sentences), (*series, *([points] if points else [])),
        Axis(unit_text(found.time_unit, reader.lang, plural=True)), unit_text(unit, reader.lang),
    )  # fmt: skip
    return chart.title, draw(chart, reader.lang)
