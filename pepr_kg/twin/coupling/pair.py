"""Two models on their way together: the lanes of both, what a window of time made of them, changes from outside.

>>> from pepr_kg.twin.builtin import builtin
>>> from pepr_kg.twin.coupling.periodic import begin
>>> from pepr_kg.twin.sbml.reading import read_model
>>> side = begin(read_model(builtin("two-scale-slow").path), {"slow0": np.array([1.0, 2.0])}, 2, 0.0)
>>> alter(side, "slow", SCALE, 0.5, np.array([1])).states.tolist()
[[1.0, 1.0]]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.coupling.waveform import Indices, Side
from pepr_kg.twin.expression import Array
from pepr_kg.twin.solvers.schedule import ADD, SCALE


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The fast and the slow model, with the same lanes.

    `embodied` holds, for each link that adds, the value of the slow model that the fast one has already been given.
    """

    fast: Side
    slow: Side
    embodied: Mapping[str, Array]

    @property
    def lanes(self) -> int:
        """Return the number of lanes."""
        return int(self.slow.states.shape[1])

    def pick(self, lanes: Indices) -> "Pair":
        """Return these lanes, by index."""
        return Pair(
            self.fast.pick(lanes), self.slow.pick(lanes), {name: value[lanes] for name, value in self.embodied.items()}
        )

    def side(self, name: str) -> Side:
        """Return the model called "fast" or "slow"."""
        return self.fast if name == "fast" else self.slow

    def put(self, lanes: Indices, other: "Pair") -> "Pair":
        """Return the pair with the lanes of another one at the indices `lanes`."""
        return Pair(
            _put(self.fast, lanes, other.fast), _put(self.slow, lanes, other.slow),
            {name: _write(value, lanes, other.embodied[name]) for name, value in self.embodied.items()},
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a window gave: the pair at its end, and at its start after the exchange; the outputs of both models
    (outputs, times, lanes); for each lane its status, the exchanges (evaluations of the fast model) and the beats;
    what the slow model hands over, by target, as polynomials over the window (order, lanes).
    """

    pair: Pair
    exchanged: Pair
    fast: Array
    slow: Array
    status: npt.NDArray[np.int8]
    exchanges: npt.NDArray[np.int64]
    beats: npt.NDArray[np.int64]
    handed: Mapping[str, Array]


class Scheme(Protocol):
    """A way of bringing a pair over a window."""

    def step(self, pair: Pair, start: float, end: float, grid: Array) -> Step:
        """Return what becomes of all lanes from `start` to `end`, in the slow model's time, with outputs at `grid`."""

    def fast_time(self, time: float) -> float:
        """Return what the clock of the fast model shows at a time of the slow one."""


def _put(side: Side, lanes: Indices, other: Side) -> Side:
    states = _write(side.states, lanes, other.states)
    values = dict(side.values)
    for name, value in other.values.items():
        old = values[name]
        if isinstance(old, np.ndarray) or isinstance(value, np.ndarray) or old != value:
            values[name] = _write(np.array(np.broadcast_to(old, states.shape[1])), lanes, value)
    return replace(side, states=states, values=values)


def _write(old: Array, lanes: Indices, new: float | Array) -> Array:
    found = old.copy()
    found[..., lanes] = new
    return found


def alter(side: Side, symbol: str, action: int, amount: float, lanes: Indices) -> Side:
    """Return the side with a state or constant changed in some lanes: set, scaled or added to (see `schedule`)."""
    core = side.model.variable(symbol).core or symbol
    rows = (*side.model.states, *side.model.algebraic)
    count = side.states.shape[1]
    old = side.states[rows.index(core)] if core in rows else np.broadcast_to(side.values[core], count)
    new = np.array(old)
    new[lanes] = new[lanes] + amount if action == ADD else new[lanes] * amount if action == SCALE else amount
    if core in rows:
        states = side.states.copy()
        states[rows.index(core)] = new
        return replace(side, states=states)
    return replace(side, values={**side.values, core: new})


def assign(side: Side, values: Mapping[str, Array]) -> Side:
    """Return the side with these constants."""
    return replace(side, values={**side.values, **values})


def shift(side: Side, amounts: Mapping[str, Array]) -> Side:
    """Return the side with these amounts (lanes,) added to its states."""
    states = side.states.copy()
    for name, amount in amounts.items():
        states[side.row(name)] += amount
    return replace(side, states=states)


def join(parts: Sequence[Array]) -> Array:
    """Return outputs (outputs, times, lanes) one after the other in time."""
    return np.concatenate(list(parts), axis=1)
