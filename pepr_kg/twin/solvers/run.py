"""What a run takes and gives: how it is controlled, what a stepper must have, what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.solvers.dormand_prince import Array, Look, Pick


class Stepper(Protocol):
    """One step in every lane (see `dormand_prince`)."""

    order: int
    y1: Array
    error: Array
    guards: Array
    dips: Array
    work: list[Array]

    @property
    def f1(self) -> Array:
        """The rates at the end of the step."""

    def resize(self, lanes: int) -> None:
        """Take as many lanes as this from now on."""

    def attempt(self, t: Array, h: Array, y: Array, f: Array, v: list[Any], look: Look | None = None) -> None:
        """Take one step in each lane."""

    def dense(self, h: Array, y: Array, pick: Pick | None = None) -> Callable[[Array], Array]:
        """Return the interpolant of the last attempt."""


@dataclass(frozen=True, slots=True)
class Control:
    """How a run is controlled: relative and absolute tolerance (one for all states, or one each), bounds on steps."""

    rtol: float = 1e-6
    atol: float | Array = 0.0
    max_steps: int = 100_000
    max_step: float = np.inf
    stiff_after: int = 0  # explicit: a lane that looks stiff so many times in a row ends as `Status.STIFF`; 0: never


@dataclass(slots=True)
class Run:
    """What came out: `y` (states, times, lanes), `d` (slots kept, times, lanes), `status`, `steps`, `ended` (lanes,).

    What a lane that failed has after its last good time (`ended`) means nothing.
    """

    y: Array
    d: Array
    status: npt.NDArray[np.int8]
    steps: npt.NDArray[np.int64]
    ended: Array


def take(v: list[Any], pick: Pick) -> list[Any]:
    """Return the slots of the picked lanes; a slot that is shared stays shared."""
    return [slot[pick] if isinstance(slot, np.ndarray) else slot for slot in v]
