"""What a model looks back on: the past of one lane, kept step by step, and the values of `delay(x, span)` read from it.

The method of steps (Bellman & Cooke 1963; Hairer, Nørsett, Wanner 1993, II.17): no step is longer than the shortest
span, so that what is looked back on is always known; steps end where a jump in the past comes into view. Before the
start, states have the values that the initial assignments give at that time (SBML Test Suite, 00938).
"""

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pepr_kg.twin.solvers.dormand_prince import Array


@dataclass(frozen=True, slots=True)
class _Piece:
    """A step of the past: from `begin` to `end`, the interpolant of the states in between, the slots that held."""

    begin: float
    end: float
    dense: Callable[[Array], Array]
    v: list[Any]


class History:
    """The past of a block of one lane."""

    def __init__(self, program: Any, start: float, initial: Callable[[float], tuple[Array, list[Any]]]) -> None:
        self.program = program
        self.start = start
        self._initial = initial  # of a time, the states and slots that the initial assignments give
        self._pieces: list[_Piece] = []
        self._ends: list[float] = []
        self._breaks: list[float] = []
        self._spans: set[float] = set()

    def begin(self, y: Array, v: list[Any]) -> None:
        """Note the start as a jump."""
        self.mark(self.start, y, v)

    def add(self, begin: float, end: float, dense: Callable[[Array], Array], v: list[Any]) -> None:
        """Keep a step that was made."""
        if end > begin:
            self._pieces.append(_Piece(begin, end, dense, _copy(v)))
            self._ends.append(end)

    def mark(self, time: float, y: Array, v: list[Any]) -> None:
        """Note a jump at `time`: it comes into view again after each span."""
        for span in self._spans_at(np.array([time]), y, v):
            if span > 0:
                bisect.insort(self._breaks, time + span)

    def next_break(self, time: float) -> float:
        """Return the next time after `time` at which a jump of the past comes into view."""
        at = bisect.bisect_right(self._breaks, time + 1e-12 * abs(time))
        return self._breaks[at] if at < len(self._breaks) else np.inf

    def longest_step(self, time: Array, y: Array, v: list[Any]) -> float:
        """Return the shortest span that is not zero."""
        return min((span for span in self._spans_at(time, y, v) if span > 0), default=np.inf)

    def _spans_at(self, time: Array, y: Array, v: list[Any]) -> list[float]:
        return [self._span(at, time, y, v) for at in range(len(self.program.delays))]

    def _span(self, at: int, time: Array, y: Array, v: list[Any]) -> float:
        return float(np.ravel(self.program.delay_span(at, time, y, v))[0])

    def fill(self, time: Array, y: Array, v: list[Any]) -> None:
        """Put what the model looks back on from (time, states) into the slots `v`, those first that others read."""
        for at, slot in enumerate(self.program.delay_slots):
            value = self._value(at, time, self._span(at, time, y, v), y, v)
            v[slot] = np.array(np.broadcast_to(np.asarray(value, dtype=float), time.shape))

    def _value(self, at: int, time: Array, span: float, y: Array, v: list[Any]) -> Any:
        """Return the delayed formula `at` as it was `span` before `time`; what that reads may look back too."""
        if span <= 0:
            return self.program.delay_value(at, time, y, v)
        then = float(np.ravel(time)[0]) - span
        if then <= self.start or not self._pieces:
            y, v = self._initial(then)
        else:
            piece = self._pieces[min(bisect.bisect_left(self._ends, then), len(self._pieces) - 1)]
            y, v = piece.dense(np.array([(then - piece.begin) / (piece.end - piece.begin)])), piece.v
        time, v = np.array([then]), _copy(v)
        for earlier in range(at):
            slot = self.program.delay_slots[earlier]
            value = self._value(earlier, time, self._span(earlier, time, y, v), y, v)
            v[slot] = np.array(np.broadcast_to(np.asarray(value, dtype=float), (1,)))
        return self.program.delay_value(at, time, y, v)


def _copy(v: list[Any]) -> list[Any]:
    return [slot.copy() if isinstance(slot, np.ndarray) else slot for slot in v]
