"""The micro-macro scheme: the fast model runs to its periodic (or steady) state and hands over; the slow model leaps.

In a window of length H the slow model is integrated with the fast model's answers as a polynomial of time through
`order` nodes. The answers are found for where the slow model was at the nodes in the sweep before (all nodes side by
side); each sweep adds an order: 1 holds the answer from the start of the window, 2 is the linear way to the answer at
the predicted end, and so on. The fast model starts from where it was.

The error falls as H^order until what separates the scales is seen: that the fast model has no memory is wrong by the
ratio of its time constant to that of the slow one. Where this is too much, `relax` is the scheme.

Sources: E & Engquist, Comm Math Sci 2003;1:87 (heterogeneous multiscale method); Dutt, Greengard & Rokhlin, BIT
2000;40:241 (sweeps).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.coupling.exchange import Route, aggregate
from pepr_kg.twin.coupling.pair import Pair, Step, assign, shift
from pepr_kg.twin.coupling.periodic import Beats, settle
from pepr_kg.twin.coupling.waveform import Indices, Side, Stretch, advance, derivatives, interpolate
from pepr_kg.twin.expression import Array
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.status import Status

NODES = {
    1: (0.0,),
    2: (0.0, 1.0),
    3: (0.0, 0.5, 1.0),
    4: (0.0, 0.5 - 0.05**0.5, 0.5 + 0.05**0.5, 1.0),  # Lobatto
}
_SAMPLES = 256  # of a period in which extremes and crossings are looked for


@dataclass(frozen=True, slots=True)
class Leap:
    """The scheme: see the module."""

    routes: tuple[Route, ...]
    order: int
    beats: Beats
    slow_outputs: tuple[str, ...]
    fast_control: Control
    slow_control: Control

    def fast_time(self, time: float) -> float:
        """Return 0: the fast model stands at the start of a period whenever it is looked at."""
        return 0.0 * time

    def step(self, pair: Pair, start: float, end: float, grid: Array) -> Step:
        """Return what becomes of all lanes from `start` to `end`."""
        lanes, nodes = pair.lanes, NODES[self.order]
        times = np.unique(np.concatenate([grid, start + np.array(nodes[1:]) * (end - start), [end]]))
        places = np.searchsorted(times, start + np.array(nodes[1:]) * (end - start))
        found = Step(
            pair, pair, np.empty((0, len(grid), lanes)), np.full((len(self.slow_outputs), len(grid), lanes), np.nan),
            np.zeros(lanes, dtype=np.int8), np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64), {},
        )  # fmt: skip
        down = [route for route in self.routes if route.link.source == "slow"]
        read = tuple(route.link.symbol for route in down)
        begun, first = self._answer(pair, pair.slow.read(read, start), found, np.arange(lanes))
        found = replace(found, exchanged=begun)
        alive = np.flatnonzero(found.status == Status.DONE)
        if not alive.size:
            return found
        given = {name: value[None, alive] for name, value in first.items()}
        now = begun.pick(alive)
        fast = now
        for sweep in range(self.order):
            run = self._leap(now, start, end, times=times, given=given, read=read)
            if sweep == self.order - 1:
                break
            # where the slow model was at the later nodes, (links, nodes, lanes), all as lanes side by side
            there = run.data[len(self.slow_outputs) :, places]
            count = len(nodes) - 1
            wide = np.tile(np.arange(alive.size), count)
            there = there.reshape(len(read), count * alive.size)
            begun, later = self._answer(fast.pick(wide), there, found, np.tile(alive, count))
            given = {
                name: interpolate(nodes, np.concatenate([first[name][None, alive], value.reshape(count, -1)]))
                for name, value in later.items()
            }
            last = np.arange((count - 1) * alive.size, count * alive.size)
            fast = begun.pick(last)  # the next search, and the next window, start from the last node
        found.status[alive] = np.where(found.status[alive] == Status.DONE, run.status, found.status[alive])
        found.slow[:, :, alive] = run.data[: len(self.slow_outputs), np.searchsorted(times, grid)]
        ended = {name: np.asarray(sum(item, np.zeros(alive.size))) for name, item in given.items()}
        slow = assign(replace(now.slow, states=run.states), ended)
        return replace(found, pair=found.pair.put(alive, replace(fast, slow=slow)))

    def _leap(
        self, pair: Pair, start: float, end: float, *, times: Array, given: dict[str, Array], read: Sequence[str]
    ) -> Stretch:
        inputs = {name: derivatives(item, end - start) for name, item in given.items()}
        return advance(pair.slow, start, times, (*self.slow_outputs, *read), self.slow_control, inputs=inputs)

    def _answer(self, pair: Pair, values: Array, found: Step, owner: Indices) -> tuple[Pair, dict[str, Array]]:
        """Return the fast model in its periodic state for these values (links, lanes) of the slow one, and what it
        hands over, by target (lanes,). Beats and failures are written to the lanes `owner` of `found`.
        """
        down = [route for route in self.routes if route.link.source == "slow"]
        up = [route for route in self.routes if route.link.source == "fast"]
        constants, amounts, embodied = {}, {}, dict(pair.embodied)
        for route, value in zip(down, values, strict=True):
            name, taken = route.link.target, route.apply(value[None].copy())[0]
            if route.link.mode == "set":
                constants[name] = taken
            else:
                amounts[name] = taken - embodied[name]
                embodied[name] = taken
        settled = settle(shift(assign(pair.fast, constants), amounts), self.beats, self.fast_control)
        handed, status = _handed(settled.side, settled.period, up, self.fast_control)
        status = np.where(settled.status == Status.DONE, status, settled.status)
        np.add.at(found.beats, owner, settled.beats + 1)
        np.add.at(found.exchanges, owner, 1)
        failed = np.flatnonzero(status != Status.DONE)
        found.status[owner[failed]] = status[failed]
        return Pair(settled.side, pair.slow, embodied), handed


def _handed(
    side: Side, period: Array, up: Sequence[Route], control: Control
) -> tuple[dict[str, Array], npt.NDArray[np.int8]]:
    """Return what a period of the fast model hands over, by target (lanes,), and the lanes' status."""
    means = tuple(dict.fromkeys(route.link.symbol for route in up if route.link.operator == "mean"))
    sampled = tuple(dict.fromkeys(route.link.symbol for route in up if route.link.operator != "mean"))
    looks = _SAMPLES + 1 if any(route.link.operator not in ("mean", "sample") for route in up) else 2
    grid = np.linspace(0.0, 1.0, looks)[:, None] * period
    run = advance(side, 0.0, grid, sampled, control, observed=means, moments=1)
    found = {}
    for route in up:
        link = route.link
        if link.operator == "mean":
            value = run.moments[means.index(link.symbol), 0] / period
        else:
            value = aggregate(link, grid, run.data[sampled.index(link.symbol)])
        found[link.target] = route.apply(value[None].copy())[0]
    return found, run.status
