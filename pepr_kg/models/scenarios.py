"""The scenarios of the graph as scenarios of the evaluator: in the units of the model, times in its time unit.

A time of a scenario counts from the start of the evaluation, and so it does here. Where the start is zero of the
model's clock, a scenario can be evaluated as it is; where it is an age, whoever evaluates moves the times.

>>> shift = Change("set", "dose", "mg", "h", 0.1, "g", "d", start=1.0)
>>> [str(item) for item in interventions("m", "scenario:m.x", shift)]
['dose = 100 @ 24']
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pepr_kg.models.errors import ModelMeaningBroken, broken_by
from pepr_kg.twin import Intervention, Model, Scenario, TwinError
from pepr_kg.twin.units import conversion

_MOST_DOSES = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """An intervention as the graph writes it: what is done (`kind`) to `symbol`, whose unit is `symbol_unit`.

    `value` is in `unit`; `start`, `until`, `every` and `duration` are in `time_unit`, and the model's time is in
    `model_time_unit`. What the graph does not say is None.
    """

    kind: str
    symbol: str
    symbol_unit: str | None
    model_time_unit: str | None
    value: float
    unit: str | None
    time_unit: str | None
    start: float | None = None
    until: float | None = None
    every: float | None = None
    count: int | None = None
    duration: float | None = None


def is_still(model: Model, scenarios: Sequence[Scenario]) -> bool:
    """Return whether nothing of a model depends on the time under these scenarios: a formula or a score, of which one
    time says all.

    >>> from pepr_kg.twin import load_model
    >>> [is_still(load_model(name), (Scenario.base(),)) for name in ("ckd-epi-2021", "score2", "pk2-oral")]
    [True, True, False]
    >>> is_still(load_model("ckd-epi-2021"), (Scenario.scale("scr_mg_dL", 1.5, at=2.0),))
    False
    """
    formulas = (item.formula for item in (*model.assignments, *model.initial))
    timed = any(item.at is not None for plan in scenarios for item in plan.interventions)
    return not (model.states or model.events or model.algebraic or timed) and not any(
        formula.has("time", "delay") for formula in formulas
    )


def interventions(name: str, focus: str, change: Change) -> Iterable[Intervention]:
    """Return the interventions of the evaluator that make up one of the graph, in the units of the model.

    `name` is the model's and `focus` the scenario's, for messages. What holds from zero on is there from the start;
    what ends is undone at its end; a schedule of doses becomes the doses. Raises `ModelMeaningBroken` for what the
    evaluator cannot do (an infusion, a value that is set for a while) and for units that do not convert.
    """

    def broken(en: str, fr: str) -> ModelMeaningBroken:
        return ModelMeaningBroken(name=name, focus=focus, detail={"en": en, "fr": fr})

    try:
        value = _value(change)
        factor = _time_factor(change)
    except TwinError as error:
        raise broken_by(name, focus, error) from error
    start = None if not change.start else change.start * factor  # from zero on: at the start
    if change.duration:
        raise broken(
            f"a dose of {change.symbol} that takes a time to be given is not evaluated; give it at once",
            f"une dose de {change.symbol} qui prend un temps à être donnée n’est pas évaluée ; donnez-la d’un coup",
        )
    if change.kind == "dose-schedule":
        count = change.count or 1
        if count > _MOST_DOSES or (count > 1 and not change.every):
            raise broken(
                f"{count} doses of {change.symbol} need an interval, and are at most {_MOST_DOSES}",
                f"{count} doses de {change.symbol} demandent un intervalle, et sont au plus {_MOST_DOSES}",
            )
        first, step = (change.start or 0.0) * factor, (change.every or 0.0) * factor
        return [Intervention("dose", change.symbol, value, first + at * step) for at in range(count)]
    found = [Intervention(change.kind, change.symbol, value, start)]
    if change.until is None:
        return found
    if change.kind == "set" or (change.kind == "scale" and value == 0.0):
        raise broken(
            f"the value of {change.symbol} before is not known at the end; use a factor or a difference",
            f"à la fin, on ne sait plus quelle était la valeur de {change.symbol} ; employez un facteur ou un écart",
        )
    back = 1.0 / value if change.kind == "scale" else -value
    return [*found, Intervention(change.kind, change.symbol, back, change.until * factor)]


def _value(change: Change) -> float:
    """Return the value in the unit of the symbol; a factor has none, and no unit is the symbol's own."""
    if change.kind == "scale" or change.unit is None or change.symbol_unit is None:
        return change.value
    scale, offset = conversion(change.unit, change.symbol_unit, symbol=change.symbol)
    return change.value * scale + (0.0 if change.kind == "add" else offset)


def _time_factor(change: Change) -> float:
    if change.time_unit is None or change.model_time_unit is None:
        return 1.0
    return conversion(change.time_unit, change.model_time_unit, symbol="time")[0]
