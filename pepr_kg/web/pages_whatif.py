"""What if: one parameter of a model changed, and the prediction beside the baseline; nothing is written."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from markupsafe import Markup

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Coupled, Registered
from pepr_kg.namespaces import ID
from pepr_kg.runs.evaluation import Preview, Request
from pepr_kg.web.figures import unit_text
from pepr_kg.web.pages_courses import draw_course, moves
from pepr_kg.web.pages_evaluable import compute, trials_of
from pepr_kg.web.pages_frame import Reader, Shown
from pepr_kg.web.pages_observed import Clock, Observed, measured_of
from pepr_kg.web.pages_sheets import Sheet, figure, headings
from pepr_kg.web.pictures import Series

SAMPLES: Final = 200  # at most, for one patient on a page
_FURTHER: Final = 20  # times the usual horizon of a model
_FURTHER_COUPLED: Final = 2  # of a coupled one, which takes seconds
_POINTS: Final = 41
_CHARTS: Final = 4
_BUSY: Final = "trial.busy"
_SIGNS: Final = {"set": "=", "scale": "*", "add": "+"}
_FIELDS: Final = ("symbol", "operation", "value", "horizon", "samples")
_NUMBER: Final = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")

Known = Registered | Coupled


@dataclass(frozen=True, slots=True)
class Tried:
    """The form and what came of it: `choices` are a model's name and what may be changed in it, value and text."""

    choices: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    asked: Mapping[str, str]
    problem: str = ""
    field: str = ""
    sheet: Sheet | None = None
    charts: tuple[tuple[str, Markup], ...] = ()
    busy: bool = False

    @property
    def measured(self) -> bool:
        """Return whether a picture shows what was measured."""
        return any("<circle" in chart for _, chart in self.charts)


class _Refused(Exception):
    """A field of the form that cannot be used: its name and the key of the sentence."""

    def __init__(self, field: str, key: str, **values: object) -> None:
        super().__init__(field)
        self.field, self.key, self.values = field, key, values


def try_change(reader: Reader, patient: str, models: Sequence[Known] | None, observed: Mapping[str, Observed]) -> Tried:
    """Return the form, and the two predictions or the sentence that says why there are none if it was sent.

    `models` are those that can be evaluated for the patient; None where too many others compute, so that nobody knows.
    What was observed of an output stands in its picture, and such pictures come first.
    """
    query = reader.request.query_params
    asked = {name: query.get(name, "")[:100].strip() for name in (*_FIELDS, "model")}
    choices = [group for model in models or () for group in _changeable(reader, model)]
    blank = Tried(choices, asked | {"operation": asked["operation"] or "set", "samples": asked["samples"] or "1"})
    if not asked["symbol"] and not asked["value"]:
        return blank
    try:
        if models is None:
            raise _Refused("", _BUSY)
        model, request = _request(asked, patient, {item.name: item for item in models})
        with trials_of(reader).place() as free:
            if not free:
                raise _Refused("", _BUSY)
            found = compute(reader, request)
    except _Refused as refused:
        problem = reader.phrase(refused.key, **refused.values)
        return replace(blank, problem=problem, field=refused.field, busy=refused.key == _BUSY)
    except PeprError as error:
        return replace(blank, problem=error.message(reader.lang), field="value")
    if found.aside or not found.patients:
        reasons = " ".join(item.reasons.get(reader.lang, "") for item in found.aside)
        return replace(blank, problem=reasons or reader.phrase("whatif.nobody"), field="value")
    main = _main(model)
    at = figure(reader, float(found.times[0, -1]), found.time_unit).text
    caption = reader.phrase("whatif.at", time=at, model=reader.label(model.iri).text)
    return replace(
        blank, sheet=_sheet(reader, main, found, caption), charts=tuple(_charts(reader, main, found, observed))
    )


def _main(model: Known) -> Registered:
    """Return the model whose variables are predicted: of a coupled one the slow part."""
    return model.slow if isinstance(model, Coupled) else model


def _parts(model: Known) -> list[tuple[str, Registered, frozenset[str]]]:
    """Return the models that it is made of: what stands before a symbol in a scenario, the model, and the symbols that
    the other part hands to it, which nobody else can change.
    """
    if isinstance(model, Registered):
        return [("", model, frozenset())]
    handed = {side: frozenset(link.target for link in model.links if link.source != side) for side in ("slow", "fast")}
    return [("slow.", model.slow, handed["slow"]), ("fast.", model.fast, handed["fast"])]


def _changeable(reader: Reader, model: Known) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield for each part of a model its name and what may be changed: what bindings give, and the parameters."""
    for prefix, part, handed in _parts(model):
        bound = dict.fromkeys(item.symbol for item in part.bindings)
        constant = [symbol for symbol, iri in part.elements.items() if iri.startswith(f"{ID}parameter/")]
        units = {item.symbol: item.unit for item in part.model.variables}
        found = []
        for symbol in (*bound, *(name for name in sorted(constant) if name not in bound)):
            if symbol in part.elements and symbol not in handed:
                unit = unit_text(units.get(symbol) or "", reader.lang)
                name = reader.label(part.elements[symbol]).text
                found.append((f"{model.name}.{prefix}{symbol}", f"{name} ({unit})" if unit else name))
        own = reader.label(model.iri).text
        yield f"{own} – {reader.label(part.iri).text}" if prefix else own, found


def _request(asked: Mapping[str, str], patient: str, models: Mapping[str, Known]) -> tuple[Known, Request]:
    name, _, symbol = asked["symbol"].partition(".")
    if asked["model"]:
        name, symbol = asked["model"], asked["symbol"].removeprefix(asked["model"] + ".")
    if name not in models:
        raise _Refused("symbol", "whatif.no.model", model=name or "–")
    model, sign = models[name], _SIGNS.get(asked["operation"] or "set")
    if sign is None:
        raise _Refused("operation", "whatif.no.operation", operation=asked["operation"])
    known = {prefix + item for prefix, part, handed in _parts(model) for item in part.elements if item not in handed}
    if symbol not in known:
        raise _Refused("symbol", "whatif.no.symbol", symbol=symbol or "–")
    value = _number("value", asked["value"])
    horizon = _number("horizon", asked["horizon"]) if asked["horizon"] else None
    most = (_FURTHER_COUPLED if isinstance(model, Coupled) else _FURTHER) * (model.horizon or math.inf)
    if horizon is not None and not 0 < horizon <= most:
        raise _Refused("horizon", "whatif.horizon", most=f"{most:g}")
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


def _sheet(reader: Reader, model: Registered, found: Preview, caption: str) -> Sheet:
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
    return Sheet(caption, headings(reader, names), rows)


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
    moving = [output for output in found.outputs if moves(found.values(output)[0])]
    known = [output for output in moving if not set(model.quantities.get(output, ())).isdisjoint(observed)]
    ordered = sorted(moving, key=lambda output: (points[output] is None, output not in known))
    return [_chart(reader, model, found, output, points[output]) for output in ordered[:_CHARTS]]


def _chart(reader: Reader, model: Registered, found: Preview, output: str, points: Series | None) -> tuple[str, Markup]:
    values, unit = found.values(output)[0], found.units[found.outputs.index(output)]
    several = len(found.statistics) > 1
    low, high = (found.values(output, found.statistics[at])[0] for at in (1, -1)) if several else (None, None)
    names = (reader.phrase("column.baseline"), reader.phrase("column.changed"))
    lines = [
        Series(name, found.times[0], values[at], None if low is None else low[at], None if high is None else high[at])
        for at, name in enumerate(names)
    ]
    title = _name(reader, model, output).text
    return title, draw_course(reader, title, lines, points, time_unit=found.time_unit, unit=unit)
