"""What scenarios and doses do to a cohort: at the start to the values, later as entries of a schedule."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.cohort import Cohort
from pepr_kg.twin.errors import BadScenario, BadValue, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.model import Model, Variable
from pepr_kg.twin.scenario import Intervention, Scenario
from pepr_kg.twin.solvers.schedule import ADD, DOSE, SCALE, SET
from pepr_kg.twin.solvers.solve import Entry, lane_values

_ACTIONS = {"add": ADD, "set": SET, "scale": SCALE, "dose": DOSE}


@dataclass(frozen=True, slots=True)
class Dose:
    """An amount given to one patient: added to the amount of the state `symbol` (in its unit) at `time` (the model's).

    `patient` is the patient's key: "1", "2" … where the cohort has no other.
    """

    patient: str
    symbol: str
    time: float
    amount: float


def intervene(
    model: Model, values: dict[str, Value], plans: tuple[Scenario, ...], shape: tuple[int, int, int], start: float
) -> dict[str, Value]:
    """Apply what scenarios change at the start."""
    changes = [[item for item in plan.interventions if item.at is None] for plan in plans]
    touched = dict.fromkeys(item.symbol for plan in changes for item in plan)
    if not touched:
        return values
    count = shape[0] * shape[2]
    tables = {symbol: np.empty(shape) for symbol in touched}
    for at, plan in enumerate(changes):  # each alone: what the model computes from others does so in every scenario
        own = _own(values, shape, at)
        for item in plan:
            own[item.symbol] = _changed(model, own, count, start, item)
        for symbol in touched:
            known = own[symbol] if symbol in own else lane_values(model, own, count, start, symbol)
            tables[symbol][:, at, :] = np.broadcast_to(known, count).reshape(shape[0], shape[2])
    return {**values, **{symbol: table.reshape(-1) for symbol, table in tables.items()}}


def _own(values: Mapping[str, Value], shape: tuple[int, int, int], plan: int) -> dict[str, Value]:
    """Return the values of the lanes of one scenario."""
    pick = np.arange(math.prod(shape)).reshape(shape)[:, plan, :].reshape(-1)
    return {name: value[pick] if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _changed(model: Model, own: Mapping[str, Value], count: int, time: float, item: Intervention) -> Array:
    """Return what a symbol becomes, (lanes,). Raises `BadScenario` where no patient may have such a value."""
    number = number_of(model, item)
    known = own[item.symbol] if item.symbol in own else lane_values(model, own, count, time, item.symbol)
    old = np.broadcast_to(known, count)
    changed = np.full(count, number)
    if item.action != "set":
        changed = old * changed if item.action == "scale" else old + changed
    variable = model.variable(item.symbol)
    low, high = variable.bounds
    bad = changed[(changed < low) | (changed > high) | ((changed == low) & variable.open_below)]
    if bad.size:
        least = f"{low:g}" if math.isfinite(low) else "-∞"
        most = f"{high:g}" if math.isfinite(high) else "∞"
        raise BadScenario(
            symbol=item.symbol,
            detail={
                "en": f"it becomes {bad[0]:g}, which is outside {least} to {most}",
                "fr": f"la valeur devient {bad[0]:g}, hors de {least} à {most}",
            },
        )
    return changed


def number_of(model: Model, item: Intervention) -> float:
    """Return the value of an intervention that can be made, the code where it is a text.

    Raises `UnknownSymbol`, and `BadScenario` for what the model computes, for a category that it does not have, and for
    a dose of what holds no amount.
    """

    def refuse(en: str, fr: str) -> None:
        raise BadScenario(symbol=item.symbol, detail={"en": en, "fr": fr})

    if item.symbol not in model.symbols:
        raise UnknownSymbol(model=model.name, symbol=item.symbol, known=suggest(item.symbol, model.symbols))
    variable = model.variable(item.symbol)
    if variable.role == "derived":
        refuse(
            f"the model {model.name} computes it; change what it is computed from",
            f"le modèle {model.name} le calcule ; changez ce dont il dépend",
        )
    if item.action == "dose" and not _holds(variable):
        refuse("it holds no amount; a dose goes to a state", "il ne contient pas de quantité ; une dose va à un état")
    number = next((code.value for code in variable.codes if code.text == item.value), item.value)
    if isinstance(number, str) or (item.action == "set" and variable.codes and number not in _values(variable)):
        texts = ", ".join(code.text for code in variable.codes) or "-"
        refuse(f"{item.value} is none of: {texts}", f"{item.value} ne figure pas parmi : {texts}")
    return float(number)


def _values(variable: Variable) -> tuple[float, ...]:
    return tuple(code.value for code in variable.codes)


def entries_of(
    model: Model,
    plans: tuple[Scenario, ...],
    doses: tuple[Dose, ...],
    cohort: Cohort,
    shape: tuple[int, int, int],
    start: float,
) -> tuple[Entry, ...]:
    """Return what is done at known times, each entry with the lanes that it concerns."""
    lanes = np.arange(math.prod(shape)).reshape(shape)
    found = []
    for at, plan in enumerate(plans):
        for item in plan.interventions:
            if item.at is not None:
                number = number_of(model, item)
                if item.at < start:
                    raise BadScenario(
                        symbol=item.symbol,
                        detail={
                            "en": f"its time {item.at:g} lies before the start, {start:g}",
                            "fr": f"son instant {item.at:g} précède le début, {start:g}",
                        },
                    )
                found.append(Entry(item.at, item.symbol, _ACTIONS[item.action], number, lanes[:, at, :].reshape(-1)))
    check_doses(model, doses, cohort.patients, start)
    index = {key: at for at, key in enumerate(cohort.patients)} if doses else {}
    for dose in doses:
        found.append(Entry(dose.time, dose.symbol, DOSE, dose.amount, lanes[index[str(dose.patient)]].reshape(-1)))
    return tuple(found)


def lapse(
    model: Model, values: Mapping[str, Value], plans: tuple[Scenario, ...], shape: tuple[int, int, int]
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return from when on what scenarios change on the way takes each lane out of what the model is made for (+inf:
    never), and the rule that it breaks. Raises `BadScenario` where no patient may have such a value.
    """
    count = shape[0] * shape[2]
    when, rules = np.full(shape, np.inf), np.full(shape, -1, dtype=np.intp)
    for at, plan in enumerate(plans):
        later = [(item.at, item) for item in plan.interventions if item.at is not None]
        later = [pair for pair in later if model.variable(pair[1].symbol).role == "constant"]
        own = _own(values, shape, at) if later else {}
        for time, item in sorted(later, key=lambda pair: pair[0]):
            own[item.symbol] = _changed(model, own, count, time, item)
            broken = broken_rules(model, own, count, time).reshape(shape[0], shape[2])
            fresh = (broken >= 0) & np.isinf(when[:, at, :])
            when[:, at, :][fresh], rules[:, at, :][fresh] = time, broken[fresh]
    return when.reshape(-1), rules.reshape(-1)


def check_doses(model: Model, doses: Iterable[Dose], patients: Sequence[str], start: float) -> None:
    """Raise `BadValue` or `UnknownSymbol` for a dose that cannot be given, or two that contradict each other."""
    doses = tuple(doses)
    index = {key: at for at, key in enumerate(patients)} if doses else {}
    seen: dict[tuple[str, str, float], float] = {}
    for dose in doses:
        _check_dose(model, dose, index, seen, start)


def _holds(variable: Variable) -> bool:
    """Return whether a symbol holds an amount that a dose may add to."""
    return variable.role in ("state", "discrete") or (variable.kind == "species" and variable.role != "derived")


def _check_dose(
    model: Model, dose: Dose, index: Mapping[str, int], seen: dict[tuple[str, str, float], float], start: float
) -> None:
    def refuse(en: str, fr: str) -> None:
        raise BadValue(
            model=model.name,
            symbol=dose.symbol,
            patient=dose.patient,
            value=f"{dose.amount:g} @ {dose.time:g}",
            detail={"en": en, "fr": fr},
        )

    if str(dose.patient) not in index:
        refuse("this patient is not in the cohort", "ce patient n’est pas dans la cohorte")
    if dose.symbol not in model.symbols or not _holds(model.variable(dose.symbol)):
        raise UnknownSymbol(
            model=model.name,
            symbol=dose.symbol,
            known=suggest(dose.symbol, [item.symbol for item in model.variables if _holds(item)]),
        )
    if not (math.isfinite(dose.amount) and dose.amount >= 0 and math.isfinite(dose.time) and dose.time >= start):
        refuse(
            "an amount that is not negative and a time from the start on were expected",
            "il faut une quantité non négative et un instant à partir du début",
        )
    if seen.setdefault((dose.patient, dose.symbol, dose.time), dose.amount) != dose.amount:
        refuse("another amount is given at the same time", "une autre quantité est donnée au même instant")


def broken_rules(model: Model, values: Mapping[str, Value], lanes: int, start: float = 0.0) -> npt.NDArray[np.intp]:
    """Return the number of the first rule of `Model.validity` that each lane breaks, (lanes,); -1: none."""
    broken = np.full(lanes, -1, dtype=np.intp)
    for number, rule in reversed(list(enumerate(model.validity))):
        value = values.get(rule.symbol)
        if value is None:  # a default of the file, or what it computes from others
            value = lane_values(model, values, lanes, start, rule.symbol)
        broken[~((np.asarray(value) >= rule.minimum) & (np.asarray(value) <= rule.maximum))] = number
    return broken
