"""What is given to two coupled models: whose a symbol is, the patients of both, what scenarios change, the windows.

A symbol that both models have is written "fast.X" or "slow.X"; what a link gives cannot be given as well.

>>> split_windows("example", 0.0, 1.0, 0.4, [0.5])
[(0.0, 0.4), (0.4, 0.5), (0.5, 0.8), (0.8, 1.0)]
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pepr_kg.twin.cohort import Given, read_cohort
from pepr_kg.twin.coupling.exchange import SIDES, Route
from pepr_kg.twin.errors import BadScenario, BadTimes, BadValue, EmptyCohort, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array
from pepr_kg.twin.interventions import number_of
from pepr_kg.twin.model import Model
from pepr_kg.twin.scenario import Intervention, Scenario

_CLOSE = 1e-9  # windows that end this near to each other (a share of the interval) end together
_MOST_WINDOWS = 100_000

Models = Mapping[str, Model]
Linked = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """An intervention of the scenario number `plan` on `symbol` of the model `side` ("fast" or "slow")."""

    plan: int
    side: str
    symbol: str
    item: Intervention


def linked(checked: Sequence[Route]) -> Linked:
    """Return what links set: (side, symbol)."""
    taker = {"fast": "slow", "slow": "fast"}
    return frozenset((taker[route.link.source], route.link.target) for route in checked if route.link.mode == "set")


def read_times(model: Model, times: Sequence[float] | Array, start: float) -> Array:
    """Return the output times (times,). Raises `BadTimes` where they do not increase, or begin before `start`."""
    grid = np.array(times, dtype=float, ndmin=1)
    fine = grid.ndim == 1 and grid.size and np.isfinite(grid).all() and not np.any(np.diff(grid) <= 0)
    if not fine or grid[0] < start:
        raise BadTimes(model=model.name, detail={
            "en": f"finite, increasing numbers from {start:g} on were expected",
            "fr": f"il faut des nombres finis et croissants à partir de {start:g}"})  # fmt: skip
    return grid


def split_name(models: Models, name: str, given: Linked = frozenset()) -> tuple[str, str]:
    """Return the side and the symbol that a name stands for; what links give (`given`) is not meant.

    Raises `UnknownSymbol`, and `BadValue` where both models have it or a link gives it.
    """
    side, dot, rest = name.partition(".")
    if dot and side in SIDES:
        if rest not in models[side].symbols:
            raise UnknownSymbol(model=models[side].name, symbol=rest, known=suggest(rest, models[side].symbols))
        owners, name = [side], rest
    else:
        owners = [side for side in SIDES if name in models[side].symbols]
    free = [side for side in owners if (side, name) not in given]
    if len(free) == 1:
        return free[0], name
    if free:
        raise BadValue(model=models["slow"].name, symbol=name, patient="*", value=name, detail={
            "en": f"both models have it; write fast.{name} or slow.{name}",
            "fr": f"les deux modèles l’ont ; écrivez fast.{name} ou slow.{name}"})  # fmt: skip
    if owners:
        raise BadValue(model=models[owners[0]].name, symbol=name, patient="*", value=name, detail={
            "en": "a link gives it; it cannot be given as well",
            "fr": "un lien la donne ; on ne peut pas la donner aussi"})  # fmt: skip
    known = sorted({*models["fast"].symbols, *models["slow"].symbols})
    both = f"{models['fast'].name} + {models['slow'].name}"
    raise UnknownSymbol(model=both, symbol=name, known=suggest(name, known))


def read_cohorts(
    models: Models, given: Linked, patients: Mapping[str, Given], keys: Sequence[object] | None,
    units: Mapping[str, str],
) -> tuple[tuple[str, ...], dict[str, dict[str, float | Array]]]:  # fmt: skip
    """Return the patients' keys and, for each model, the values by symbol (a float or (patients,)).

    Raises `EmptyCohort`, and what `split_name` and `read_cohort` raise.
    """
    parts: dict[str, dict[str, Given]] = {side: {} for side in SIDES}
    unit_parts: dict[str, dict[str, str]] = {side: {} for side in SIDES}
    for name, value in patients.items():
        side, symbol = split_name(models, name, given)
        parts[side][symbol] = value
    for name, unit in units.items():
        side, symbol = split_name(models, name, given)
        unit_parts[side][symbol] = unit
    if keys is None:
        sizes = [np.size(value) for value in patients.values() if not isinstance(value, str) and np.ndim(value)]
        if sizes and min(sizes) == 0:
            raise EmptyCohort()
        keys = range(1, max(sizes, default=1) + 1)
    names = tuple(str(key) for key in keys)
    found = {}
    for side in SIDES:
        cohort = read_cohort(models[side], parts[side], patients=names, units=unit_parts[side], strict=False)
        found[side] = dict(cohort.values)
    return names, found


def read_changes(models: Models, given: Linked, plans: Sequence[Scenario]) -> list[Change]:
    """Return what scenarios change. Raises `BadScenario` for what is computed or out of bounds."""
    found = []
    for plan, scenario in enumerate(plans):
        for item in scenario.interventions:
            side, symbol = split_name(models, item.symbol, given)
            model = models[side]
            variable = model.variable(symbol)
            if variable.role == "derived" or (
                variable.compartment is not None and (item.action == "set" or item.at is not None)
            ):
                raise BadScenario(symbol=item.symbol, detail={
                    "en": f"the model {model.name} computes it; change what it is computed from",
                    "fr": f"le modèle {model.name} le calcule ; changez ce dont il dépend"})  # fmt: skip
            low, high = variable.bounds
            number = number_of(model, replace(item, symbol=symbol))
            if item.action == "set" and not low <= number <= high:
                raise BadScenario(symbol=item.symbol, detail={
                    "en": f"{number:g} is outside {low:g} to {high:g}",
                    "fr": f"{number:g} sort de {low:g} à {high:g}"})  # fmt: skip
            found.append(Change(plan, side, symbol, replace(item, value=number)))
    return found


def split_windows(
    name: str, start: float, end: float, interval: float, cuts: Sequence[float]
) -> list[tuple[float, float]]:
    """Return the windows from `start` to `end`: of the interval's length, shorter where an intervention cuts them.

    `name` is that of the slow model. Raises `BadScenario` for a cut before the start, `BadTimes` for too many windows.
    """
    early = [cut for cut in cuts if cut < start]
    if early:
        raise BadScenario(symbol="-", detail={
            "en": f"its time {early[0]:g} lies before the start, {start:g}",
            "fr": f"son instant {early[0]:g} précède le début, {start:g}"})  # fmt: skip
    count = math.ceil((end - start) / interval - _CLOSE)
    if count > _MOST_WINDOWS:
        raise BadTimes(model=name, detail={
            "en": f"{count} windows would be needed; the bound is {_MOST_WINDOWS}: lengthen the interval",
            "fr": f"il faudrait {count} fenêtres ; la limite est {_MOST_WINDOWS} : allongez l’intervalle"})  # fmt: skip
    ends = {end, *(cut for cut in cuts if start < cut < end)}
    for at in range(1, count):
        place = start + at * interval
        if all(abs(place - other) > _CLOSE * interval for other in ends):
            ends.add(place)
    return list(pairwise([start, *sorted(ends - {start})])) or [(start, start + interval)]
