"""Two models with clocks of their own, coupled: one fast, one slow, for a whole cohort under any number of scenarios.

The models exchange values (`exchange.Link`) over windows of the slow model's time. Two schemes:

- `Leaping` (micro-macro): the fast model runs to its periodic state and hands over, the slow one leaps. For scales
  far apart: beats and years.
- `Relaxed` (waveform relaxation): both run through the window and exchange whole trajectories until they agree. For
  scales that touch.

>>> from pepr_kg.twin import load_model
>>> result = couple(
...     load_model("two-scale-fast"),
...     load_model("two-scale-slow"),
...     [Link.to_slow("fast", "fast"), Link.to_fast("slow", "slow")],
...     patients={"eps_a": [0.1, 0.001], "k": 1.0, "a": 0.5},
...     times=[1.0, 2.0], interval=0.25, scheme=Relaxed(order=4),
... )
>>> result.slow.values("slow")[:, 0, 0, :].round(5).tolist()
[[0.21253, 0.03861], [0.22302, 0.04969]]
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.cohort import Given
from pepr_kg.twin.coupling.arrange import (
    Change,
    Models,
    linked,
    read_changes,
    read_cohorts,
    read_times,
    split_name,
    split_windows,
)
from pepr_kg.twin.coupling.exchange import SIDES, Conserved, Link, Route, routes
from pepr_kg.twin.coupling.leap import NODES, Leap
from pepr_kg.twin.coupling.pair import Pair, Scheme, alter
from pepr_kg.twin.coupling.periodic import Beats, begin, refuse_unsteady
from pepr_kg.twin.coupling.relax import Relaxation
from pepr_kg.twin.coupling.waveform import Indices, Side
from pepr_kg.twin.errors import BadLink, BadValue, MissingValue, UnitMismatch, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.model import Model
from pepr_kg.twin.result import Result
from pepr_kg.twin.scenario import Scenario
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.solvers.schedule import ADD, SCALE, SET
from pepr_kg.twin.solvers.solve import lane_values
from pepr_kg.twin.status import Status
from pepr_kg.twin.units import conversion

__all__ = ["Conserved", "CoupledResult", "Leaping", "Link", "Relaxed", "couple"]

_ACTIONS = {"add": ADD, "set": SET, "scale": SCALE, "dose": ADD}
_ORDERS = range(1, 7)

Weights = Sequence[tuple[str, str, float]]  # side, symbol, weight


@dataclass(frozen=True, slots=True)
class Leaping:
    """Micro-macro, see `leap`: the error falls as interval^`order`, 1 to 4.

    `period` of the fast model: a symbol or a number in its time unit (any number where it has a steady state);
    `tolerance` and `most` as in `periodic.Beats`.
    """

    period: str | float
    order: int = 2
    tolerance: float = 1e-6
    most: int = 200


@dataclass(frozen=True, slots=True)
class Relaxed:
    """Waveform relaxation, see `relax`: the error falls as interval^`order`, 1 to 6.

    With a `tolerance`, windows are halved where a window and its two halves differ by more than this share of a
    state; None takes them as they are.
    """

    order: int = 4
    tolerance: float | None = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class CoupledResult:
    """What came out. `slow` and `fast` hold the trajectories (`fast` is None with `Leaping`: its answers stand in
    `slow`, as the inputs that they are there). For each lane (patient, scenario): `status`, `exchanges` (how often
    the fast model was asked), `beats` (periods of it that were run); `drift` is the largest relative change of what
    must be conserved, (conserved, lanes).
    """

    slow: Result
    fast: Result | None
    status: npt.NDArray[np.int8]
    exchanges: npt.NDArray[np.int64]
    beats: npt.NDArray[np.int64]
    drift: Array
    windows: int


def couple(
    fast: Model,
    slow: Model,
    links: Sequence[Link],
    patients: Mapping[str, Given] | None = None,
    scenarios: Sequence[Scenario] = (),
    times: Sequence[float] | Array = (0.0,),
    *,
    interval: float,
    scheme: Leaping | Relaxed,
    keys: Sequence[object] | None = None,
    outputs: Sequence[str] | None = None,
    fast_outputs: Sequence[str] | None = None,
    conserved: Iterable[Conserved] = (),
    units: Mapping[str, str] | None = None,
    start: float = 0.0,
    rtol: float = 1e-8,
    max_steps: int = 100_000,
) -> CoupledResult:
    """Return the trajectories of two coupled models for each patient and scenario.

    `patients` gives values by symbol, as in `evaluate`; a symbol that both models have is written "fast.X" or
    "slow.X", as in `scenarios`, `units` and `conserved`. What a link gives is not given here. `times` are increasing,
    and `interval` is, in the slow model's time unit; interventions at a time end a window there. `outputs` are
    symbols of the slow model (None: those it declares and what it is handed), `fast_outputs` of the fast one. `keys`
    are the patients' names. A value at the end of a window is that at the start of the next: an intervention shows at
    its time.

    A lane that fails has a status; the others go on. Raises `BadLink`, `UnitMismatch`, `UnknownSymbol`, `BadValue`,
    `BadTimes`, `BadScenario`, `EmptyCohort`, `MissingValue`, `ModelUnsupported` (events, delays), and `NotSteady`
    where the fast model settles for nobody at the start.
    """
    models = {"fast": fast, "slow": slow}
    if not (math.isfinite(interval) and interval > 0):
        raise BadValue(model=slow.name, symbol="interval", patient="*", value=interval, detail={
            "en": "an interval above zero was expected", "fr": "il faut un intervalle supérieur à zéro"})  # fmt: skip
    grid = read_times(slow, times, start)
    checked = routes(models, links)
    given = linked(checked)
    plans = tuple(scenarios) or (Scenario.base(),)
    names, values = read_cohorts(models, given, patients or {}, keys, units or {})
    changes = read_changes(models, given, plans)
    cuts = [change.item.at for change in changes if change.item.at is not None]
    windows = split_windows(slow.name, start, float(grid[-1]), interval, cuts)
    wanted = _outputs(slow, outputs, [route.link.target for route in checked if route.link.source == "fast"])
    seen = _outputs(fast, fast_outputs, []) if isinstance(scheme, Relaxed) or fast_outputs else ()
    control = Control(rtol=rtol, max_steps=max_steps)
    way = _scheme(scheme, models, checked, wanted, seen, control)
    journey = _Journey(way, changes, (len(names), len(plans)), _weights(models, tuple(conserved)), grid)
    journey.begin(models, checked, values, start)
    journey.run(windows, len(seen), len(wanted))
    if isinstance(scheme, Leaping) and np.all(journey.status == Status.NOT_STEADY) and np.all(journey.ended == start):
        refuse_unsteady(fast, names[0], Status.NOT_STEADY, scheme.most)
    method = f"coupled, {type(scheme).__name__.lower()}, order {scheme.order}"
    unbroken = np.full(journey.status.size, -1, dtype=np.intp)
    kept = (journey.status, journey.ended, journey.exchanges, method, 0, unbroken)
    return CoupledResult(
        Result(slow, wanted, grid, names, plans, 1, journey.slow, *kept),
        Result(fast, seen, grid, names, plans, 1, journey.fast, *kept) if isinstance(scheme, Relaxed) else None,
        journey.status, journey.exchanges, journey.beats, journey.drift, len(windows),
    )  # fmt: skip


def _outputs(model: Model, wanted: Sequence[str] | None, handed: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((*model.outputs, *handed))) if wanted is None else tuple(wanted)
    for name in names:
        if name not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=name, known=suggest(name, model.symbols))
    return names


# -- the scheme --------------------------------------------------------------------------------------------------------


def _scheme(
    scheme: Leaping | Relaxed, models: Models, checked: tuple[Route, ...], wanted: tuple[str, ...],
    seen: tuple[str, ...], control: Control,
) -> Scheme:  # fmt: skip
    allowed = NODES if isinstance(scheme, Leaping) else _ORDERS
    if scheme.order not in allowed:
        raise BadValue(model=models["slow"].name, symbol="order", patient="*", value=scheme.order, detail={
            "en": f"an order from 1 to {max(allowed)} was expected",
            "fr": f"il faut un ordre de 1 à {max(allowed)}"})  # fmt: skip
    if isinstance(scheme, Leaping):
        if seen:
            raise BadValue(model=models["fast"].name, symbol="fast_outputs", patient="*", value=seen[0], detail={
                "en": "with Leaping the fast model has no trajectory; hand what you want over by a link",
                "fr": "avec Leaping le modèle rapide n’a pas de trajectoire ; transmettez par un lien ce qui est voulu",
            })  # fmt: skip
        _refuse_loop(models["slow"], checked)
        beats = Beats(scheme.period, scheme.tolerance, scheme.most)
        return Leap(checked, scheme.order, beats, wanted, control, control)
    for route in checked:
        if route.link.mode == "add":
            raise BadLink(symbol=f"{route.link.symbol} → {route.link.target}", detail={
                "en": "adding needs the scheme Leaping; here hand over the flow",
                "fr": "ajouter demande le schéma Leaping ; transmettez ici le débit"})  # fmt: skip
    return Relaxation(checked, scheme.order, scheme.tolerance, _clock(models), seen, wanted, control, control)


def _refuse_loop(slow: Model, checked: Sequence[Route]) -> None:
    """Raise `BadLink` where what the slow model gives follows at once from what it is handed."""
    depends = {route.link.target for route in checked if route.link.source == "fast"}
    for item in slow.assignments:
        if item.formula.symbols & depends:
            depends.add(item.symbol)
    for route in checked:
        if route.link.source == "slow" and route.link.symbol in depends:
            raise BadLink(symbol=f"{route.link.symbol} → {route.link.target}", detail={
                "en": "it follows at once from what the fast model hands over, an algebraic loop; use Relaxed, or a "
                      "state in between",
                "fr": "il découle aussitôt de ce que le modèle rapide transmet, boucle algébrique ; employez Relaxed, "
                      "ou un état intermédiaire"})  # fmt: skip


def _clock(models: Models) -> float:
    """Return how many units of the fast model's time one unit of the slow model's is."""
    fast, slow = models["fast"].time_unit, models["slow"].time_unit
    if fast == slow:
        return 1.0
    if fast is None or slow is None:
        raise UnitMismatch(found=slow or "?", expected=fast or "?", symbol="time", detail={
            "en": "one of the models does not say its time unit",
            "fr": "l’un des modèles ne dit pas son unité de temps"})  # fmt: skip
    return conversion(slow, fast, symbol="time")[0]


def _weights(models: Models, sums: Sequence[Conserved]) -> list[tuple[Weights, float]]:
    """Return, for each sum, its terms and its tolerance."""
    found: list[tuple[Weights, float]] = []
    for item in sums:
        if not item.weights:
            raise BadValue(model=models["slow"].name, symbol="conserved", patient="*", value="-", detail={
                "en": "it names no symbol", "fr": "il ne nomme aucun symbole"})  # fmt: skip
        terms = [(*split_name(models, name), weight) for name, weight in item.weights.items()]
        found.append((terms, item.tolerance))
    return found


# -- the run -----------------------------------------------------------------------------------------------------------


class _Journey:
    """All lanes, (patient, scenario) with the last fastest, on their way through the windows."""

    def __init__(
        self, way: Scheme, changes: Sequence[Change], shape: tuple[int, int], sums: Sequence[tuple[Weights, float]],
        grid: Array,
    ) -> None:  # fmt: skip
        count = math.prod(shape)
        self.way, self.changes, self.shape, self.conserved, self.grid = way, changes, shape, sums, grid
        self.table = np.arange(count).reshape(shape)
        self.status = np.zeros(count, dtype=np.int8)
        self.exchanges, self.beats = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.sums, self.drift = np.zeros((len(sums), count)), np.zeros((len(sums), count))
        self.fresh = np.ones(count, dtype=bool)  # what is conserved is measured anew

    def begin(
        self, models: Models, checked: Sequence[Route], values: Mapping[str, Mapping[str, float | Array]], start: float
    ) -> None:
        """Put all lanes at the start, with what scenarios change there."""
        count = math.prod(self.shape)
        self.ended = np.full(count, start)
        sides = {}
        for side in SIDES:
            model, time = models[side], start if side == "slow" else self.way.fast_time(start)
            given: dict[str, Value] = {symbol: 0.0 for owner, symbol in linked(checked) if owner == side}
            for symbol, value in values[side].items():
                given[symbol] = np.repeat(value, self.shape[1]) if isinstance(value, np.ndarray) else value
            for change in self.changes:
                if change.side == side and change.item.at is None:
                    symbol, lanes = change.symbol, self.table[:, change.plan]
                    now = given[symbol] if symbol in given else lane_values(model, given, count, time, symbol)
                    old = np.array(np.broadcast_to(now, count))
                    old[lanes] = {
                        "add": old[lanes] + change.item.value, "scale": old[lanes] * change.item.value
                    }.get(change.item.action, change.item.value)  # fmt: skip
                    given[symbol] = old
            sides[side] = begin(model, given, count, time)
            _require(sides[side])
            for rule in model.validity:
                value = np.broadcast_to(sides[side].read((rule.symbol,), time)[0], count)
                self.status[(value < rule.minimum) | (value > rule.maximum)] = Status.NOT_VALID
        slow = sides["slow"]
        adding = [route for route in checked if route.link.mode == "add"]
        read = slow.read([route.link.symbol for route in adding], start) if adding else np.empty((0, count))
        taken = {route.link.target: route.apply(row[None].copy())[0] for route, row in zip(adding, read, strict=True)}
        self.pair = Pair(sides["fast"], slow, taken)

    def run(self, windows: Sequence[tuple[float, float]], fast_outputs: int, slow_outputs: int) -> None:
        """Go through the windows and write the outputs of both models, (outputs, times, lanes)."""
        count = self.status.size
        self.fast = np.full((fast_outputs, self.grid.size, count), np.nan)
        self.slow = np.full((slow_outputs, self.grid.size, count), np.nan)
        for begun, ended in windows:
            self._intervene(begun)
            alive = np.flatnonzero(self.status == Status.DONE)
            if not alive.size:
                break
            last = ended == windows[-1][1]
            inside = np.flatnonzero((self.grid >= begun) & ((self.grid < ended) | last))
            step = self.way.step(self.pair.pick(alive), begun, ended, self.grid[inside])
            self.exchanges[alive] += step.exchanges
            self.beats[alive] += step.beats
            times = {"slow": begun, "fast": self.way.fast_time(begun)}
            self.status[alive] = np.where(
                step.status == Status.DONE, self._conserve(step.exchanged, alive, times), step.status
            )
            good = self.status[alive] == Status.DONE
            done = alive[good]
            self.fast[:, inside[:, None], done] = step.fast[:, :, good]
            self.slow[:, inside[:, None], done] = step.slow[:, :, good]
            self.pair = self.pair.put(alive, step.pair)
            self.ended[done] = ended
            self.fresh[:] = False

    def _intervene(self, time: float) -> None:
        for change in self.changes:
            if change.item.at == time:
                lanes = self.table[:, change.plan]
                action, amount = _ACTIONS[change.item.action], float(change.item.value)
                altered = alter(self.pair.side(change.side), change.symbol, action, amount, lanes)
                fast = change.side == "fast"
                self.pair = replace(self.pair, fast=altered) if fast else replace(self.pair, slow=altered)
                self.fresh[lanes] = True

    def _conserve(self, pair: Pair, alive: Indices, times: Mapping[str, float]) -> npt.NDArray[np.int8]:
        """Return the status of the lanes `alive` after comparing what is conserved with what it was."""
        status = np.zeros(alive.size, dtype=np.int8)
        for row, (terms, tolerance) in enumerate(self.conserved):
            total, largest = np.zeros(alive.size), np.full(alive.size, np.finfo(float).tiny)
            for side, symbol, weight in terms:
                term = weight * pair.side(side).read((symbol,), times[side])[0]
                total, largest = total + term, np.maximum(largest, np.abs(term))
            before = np.where(self.fresh[alive], total, self.sums[row, alive])
            self.sums[row, alive] = before
            with np.errstate(invalid="ignore"):
                drift = np.abs(total - before) / largest
            self.drift[row, alive] = np.fmax(self.drift[row, alive], drift)
            status[~(drift <= tolerance)] = Status.NOT_CONSERVED
        return status


def _require(side: Side) -> None:
    """Raise `MissingValue` where a constant or a state has no value."""
    model = side.model
    named = dict(zip((*model.states, *model.algebraic), side.states, strict=True)) | dict(side.values)
    for symbol, value in named.items():
        if np.isnan(value).any():
            raise MissingValue(model=model.name, symbol=symbol, patient="*")
