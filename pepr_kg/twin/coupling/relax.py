"""Waveform relaxation: both models run through a window in turn, each with what the other did, until nothing changes.

What is handed over is a polynomial of time, of degree order - 1, with the same moments as the trajectory (`waveform`).
The window is halved until two halves agree with the whole (Richardson), lane by lane; without a tolerance it is taken
as it is.

Order: with windows of length H the error at their ends falls at least as H^order, whether H is longer or shorter than
the fast model's time constant. A transient of the fast model that the polynomial cannot follow keeps its area and
first moments, so that the slow model feels it with an error of the order H^order times that area; where the fast
model has forgotten the transient, it follows the slow one along its slow manifold, lag included.

Sources: Lelarasmee, Ruehli & Sangiovanni-Vincentelli, IEEE Trans CAD 1982;1:131 (relaxation); Miekkala & Nevanlinna,
SIAM J Sci Stat Comput 1987;8:459 (its convergence); Hairer, Nørsett & Wanner 1993, II.4 (halving).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.coupling.exchange import Link, Route, aggregate
from pepr_kg.twin.coupling.pair import Pair, Step, assign, join
from pepr_kg.twin.coupling.waveform import Indices, Side, advance, derivatives, project, resolution, restrict
from pepr_kg.twin.expression import Array
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.status import Status

_SWEEPS = 40
_SETTLED = 0.01  # share of the tolerance at which the exchange counts as settled
_NOISE = 10.0  # what the solvers' tolerance may leave in what is handed over
_HALVINGS = 12
_RETRIES = 3  # halvings after which a lane that a solver gives up is given up here too
_SMALL = 1e-3  # below this share of its largest value so far a state counts as small
_SAMPLES = 256  # of a window in which extremes and crossings are looked for
_INTEGRATED = ("sample", "mean")


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The scheme: see the module. `clock` is the fast model's time unit in a unit of the slow one's time.

    `fast_outputs` and `slow_outputs` are what is written at output times.
    """

    routes: tuple[Route, ...]
    order: int
    tolerance: float | None
    clock: float
    fast_outputs: tuple[str, ...]
    slow_outputs: tuple[str, ...]
    fast_control: Control
    slow_control: Control

    def fast_time(self, time: float) -> float:
        """Return the fast model's time."""
        return time * self.clock

    def step(self, pair: Pair, start: float, end: float, grid: Array) -> Step:
        """Return what becomes of all lanes from `start` to `end`."""
        whole = self._window(pair, start, end, grid)
        if self.tolerance is None:
            return whole
        peak = np.abs(np.concatenate([pair.fast.states, pair.slow.states]))
        return self._halve(pair, start, end, grid=grid, whole=whole, peak=peak, depth=0)

    def _halve(
        self, pair: Pair, start: float, end: float, *, grid: Array, whole: Step, peak: Array, depth: int
    ) -> Step:
        """Return the window in two halves, each halved again in the lanes that need it."""
        middle = 0.5 * (start + end)
        early, late = grid[grid < middle], grid[grid >= middle]
        first = self._window(pair, start, middle, early, _part(whole.handed, 0.0))
        second = self._window(first.pair, middle, end, late, _part(whole.handed, 0.5))
        peak = np.maximum(peak, np.abs(np.concatenate([first.pair.fast.states, first.pair.slow.states])))
        peak = np.maximum(peak, np.abs(np.concatenate([second.pair.fast.states, second.pair.slow.states])))
        good = self._agree(whole, second, peak) & (first.status == Status.DONE) & (second.status == Status.DONE)
        ended = np.where(first.status != Status.DONE, first.status, second.status)
        hopeless = (depth >= _RETRIES) & (ended != Status.DONE) & (ended != Status.NOT_COUPLED)
        bad = np.flatnonzero(~good & ~hopeless)
        if bad.size and depth < _HALVINGS:
            left = self._halve(
                pair.pick(bad), start, middle, grid=early, whole=_pick(first, bad), peak=peak[:, bad], depth=depth + 1
            )
            first = _put(first, bad, left)
            second.status[bad] = left.status
            on = np.flatnonzero(left.status == Status.DONE)  # a lane that fails here is given up, not halved further
            if on.size:
                bad = bad[on]
                now = left.pair.pick(on)
                known = {name: item[:, bad] for name, item in second.handed.items()}
                again = self._window(now, middle, end, late, known)
                right = self._halve(now, middle, end, grid=late, whole=again, peak=peak[:, bad], depth=depth + 1)
                second = _put(second, bad, right)
        elif bad.size:
            second.status[bad] = np.where(second.status[bad] == Status.DONE, Status.NOT_COUPLED, second.status[bad])
        status = np.where(first.status != Status.DONE, first.status, second.status).astype(np.int8)
        return Step(
            second.pair, first.exchanged, join([first.fast, second.fast]), join([first.slow, second.slow]), status,
            first.exchanges + second.exchanges + whole.exchanges, first.beats + second.beats, whole.handed,
        )  # fmt: skip

    def _agree(self, whole: Step, halves: Step, peak: Array) -> npt.NDArray[np.bool_]:
        """Return in which lanes the two halves end where the whole ends."""
        assert self.tolerance is not None
        one = np.concatenate([whole.pair.fast.states, whole.pair.slow.states])
        two = np.concatenate([halves.pair.fast.states, halves.pair.slow.states])
        scale = np.maximum(np.maximum(np.abs(one), np.abs(two)), _SMALL * peak)
        with np.errstate(invalid="ignore"):
            error = np.max(np.abs(one - two) / np.maximum(scale, np.finfo(float).tiny), axis=0, initial=0.0)
        return np.asarray((whole.status == Status.DONE) & (error <= self.tolerance))

    def _window(
        self, pair: Pair, start: float, end: float, grid: Array, guess: Mapping[str, Array] | None = None
    ) -> Step:
        """Return what becomes of all lanes in one window, by sweeps until the exchange has settled."""
        lanes = pair.lanes
        noise = max(resolution(self.order), _NOISE * max(self.fast_control.rtol, self.slow_control.rtol))
        enough = noise if self.tolerance is None else max(noise, _SETTLED * self.tolerance)
        fast = np.full((len(self.fast_outputs), len(grid), lanes), np.nan)
        slow = np.full((len(self.slow_outputs), len(grid), lanes), np.nan)
        status, none = np.full(lanes, Status.NOT_COUPLED, dtype=np.int8), np.zeros(lanes, dtype=np.int64)
        found = Step(pair, pair, fast, slow, status, none.copy(), none, {})
        up = [route for route in self.routes if route.link.source == "fast"]
        down = [route for route in self.routes if route.link.source == "slow"]
        given = self._guess(pair, down, start) if guess is None else dict(guess)
        last = {name: item.copy() for name, item in given.items()}
        active = np.arange(lanes)
        for _ in range(_SWEEPS):
            if not active.size:
                break
            now = pair.pick(active)
            fast_span, slow_span = (self.fast_time(start), self.fast_time(end)), (start, end)
            quick = _turn(
                now.fast, fast_span, grid * self.clock, up, given, self.fast_outputs, self.order, self.fast_control
            )
            tardy = _turn(
                now.slow, slow_span, grid, down, quick.handed, self.slow_outputs, self.order, self.slow_control
            )
            failed = (quick.status != Status.DONE) | (tardy.status != Status.DONE)
            settled = _settled(given, tardy.handed, enough) if down else np.ones(active.size, dtype=bool)
            found.exchanges[active] += 1
            found.status[active[failed]] = np.where(quick.status != Status.DONE, quick.status, tardy.status)[failed]
            done = np.flatnonzero(settled & ~failed)
            if done.size:
                out = active[done]
                for name, item in tardy.handed.items():
                    last[name][:, out] = item[:, done]
                found.status[out] = Status.DONE
                found.fast[:, :, out], found.slow[:, :, out] = quick.data[:, :, done], tardy.data[:, :, done]
                ended = Pair(_at_end(now.fast, quick, given), _at_end(now.slow, tardy, quick.handed), {})
                found = replace(found, pair=found.pair.put(out, ended.pick(done)))
            on = np.flatnonzero(~settled & ~failed)
            active = active[on]
            given = {name: item[:, on] for name, item in tardy.handed.items()}
        return replace(found, handed=last)

    def _guess(self, pair: Pair, down: Sequence[Route], start: float) -> dict[str, Array]:
        """Return the slow model's values at the start, held, as polynomials by target (order, lanes)."""
        if not down:
            return {}
        values = pair.slow.read([route.link.symbol for route in down], start)
        found = {}
        for route, value in zip(down, values, strict=True):
            held = np.zeros((self.order, pair.lanes))
            held[0] = value
            found[route.link.target] = route.apply(held)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """A model's way through a window: states at the end, outputs, and what it hands over, by target (order, lanes)."""

    states: Array
    data: Array
    handed: dict[str, Array]
    status: npt.NDArray[np.int8]


def _turn(
    side: Side, span: tuple[float, float], grid: Array, out: Sequence[Route], given: dict[str, Array],
    outputs: tuple[str, ...], order: int, control: Control,
) -> _Turn:  # fmt: skip
    """Run a model through a window with the polynomials `given`."""
    start, end = span
    length = end - start
    sampled = [route.link for route in out if route.link.operator not in _INTEGRATED]
    looks = np.linspace(start, end, _SAMPLES + 1) if sampled else np.array([end])
    times = np.unique(np.concatenate([grid, looks]))
    observed = tuple(dict.fromkeys(route.link.symbol for route in out if route.link.operator in _INTEGRATED))
    names = (*outputs, *dict.fromkeys(link.symbol for link in sampled))
    inputs = {name: derivatives(item, length) for name, item in given.items()}
    run = advance(side, start, times, names, control, inputs=inputs, observed=observed, moments=order)
    handed = {}
    for route in out:
        link = route.link
        polynomial = np.zeros((order, side.states.shape[1]))
        if link.operator == "sample":
            polynomial = project(run.moments[observed.index(link.symbol)], length)
        elif link.operator == "mean":
            polynomial[0] = run.moments[observed.index(link.symbol), 0] / length
        else:
            polynomial[0] = _look(link, looks, times, run.data[names.index(link.symbol)])
        handed[link.target] = route.apply(polynomial)
    places = np.searchsorted(times, grid)
    return _Turn(run.states, run.data[: len(outputs), places], handed, run.status)


def _look(link: Link, looks: Array, times: Array, values: Array) -> Array:
    return aggregate(link, looks[:, None], values[np.searchsorted(times, looks)])


def _at_end(side: Side, turn: _Turn, given: Mapping[str, Array]) -> Side:
    """Return the model at the end of a window, with the inputs that it had there."""
    inputs = {name: np.asarray(sum(item, np.zeros(item.shape[1]))) for name, item in given.items()}
    return assign(replace(side, states=turn.states), inputs)


def _settled(old: dict[str, Array], new: dict[str, Array], enough: float) -> npt.NDArray[np.bool_]:
    """Return in which lanes what is handed over changes no more."""
    lanes = next(iter(new.values())).shape[1]
    found = np.ones(lanes, dtype=bool)
    for name, item in new.items():
        change = np.max(np.abs(item - old[name]), axis=0)
        found &= change <= enough * np.max(np.abs(item), axis=0) + np.finfo(float).tiny
    return found


def _part(handed: Mapping[str, Array], offset: float) -> dict[str, Array]:
    """Return what is handed over in the half of a window that starts at `offset`."""
    return {name: restrict(item, offset, 0.5) for name, item in handed.items()}


def _pick(step: Step, lanes: Indices) -> Step:
    return Step(
        step.pair.pick(lanes), step.exchanged.pick(lanes), step.fast[:, :, lanes], step.slow[:, :, lanes],
        step.status[lanes], step.exchanges[lanes], step.beats[lanes],
        {name: item[:, lanes] for name, item in step.handed.items()},
    )  # fmt: skip


def _put(step: Step, lanes: Indices, part: Step) -> Step:
    for name in ("fast", "slow"):
        getattr(step, name)[:, :, lanes] = getattr(part, name)
    step.status[lanes] = part.status
    step.exchanges[lanes] += part.exchanges
    return replace(step, pair=step.pair.put(lanes, part.pair))
