"""The explicit pair of Dormand and Prince, order 5(4), on lanes side by side, with its dense output.

A *stepper* takes one step in every lane of a block, each lane with a time and a step of its own. It decides nothing:
the loop in `lanes` accepts, rejects, locates and interpolates. Another stepper (`rosenbrock`) has the same members.

Source: Dormand & Prince, J Comput Appl Math 1980;6:19; dense output of order 4: Hairer, Nørsett, Wanner,
Solving Ordinary Differential Equations I, 2nd ed. 1993, section II.6.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pick = npt.NDArray[np.intp]


class Rates(Protocol):
    """What a stepper needs of a compiled model (`codegen.Program`): arrays are (states, lanes), times are (lanes,)."""

    def rates(self, t: Array, y: Array, v: list[Any], w: list[Array], dy: Array, fresh: bool = True) -> None:
        """Fill `dy` with the derivatives; with fresh=False what only the time decides is kept from the last call."""

    def rates_guards(
        self, t: Array, y: Array, v: list[Any], w: list[Array], dy: Array, g: Array, fresh: bool = True
    ) -> None:
        """Fill `dy`, and `g` (modes, lanes) with the guards: not negative while a frozen mode is right."""


# Called before each evaluation of the rates where a model looks back in time (`delay`): (time, states) of the stage.
Look = Callable[[Array, Array], None]

_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A: Sequence[Sequence[float]] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_D = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)


class DormandPrince:
    """Steps of order 5 with an error estimate of order 4; the last stage is the first of the next step.

    After `attempt`: `y1` the new states, `f1` their rates, `error` the local error, all (states, lanes); `dips` the
    least of each guard over the stages, `guards`
    (modes, lanes).
    """

    order = 5
    kisao = "KISAO:0000087"  # Dormand-Prince method
    singular = False  # it cannot take algebraic rows

    def __init__(self, program: Rates, states: int, modes: int, buffers: int, lanes: int) -> None:
        self.program = program
        self._shape = (states, modes, buffers)
        self._allocate(lanes)

    def _allocate(self, lanes: int) -> None:
        states, modes, buffers = self._shape
        self._k = np.zeros((7, states, lanes))
        self._part = np.empty((states, lanes))
        self._stage = np.empty((states, lanes))
        self.y1 = np.empty((states, lanes))
        self.error = np.empty((states, lanes))
        self.guards = np.empty((modes, lanes))
        self.dips = np.empty((modes, lanes))
        self.work = [np.empty(lanes) for _ in range(buffers)]
        self._time = np.empty(lanes)

    @property
    def f1(self) -> Array:
        """The rates at the end of the step."""
        last: Array = self._k[6]
        return last

    def resize(self, lanes: int) -> None:
        """Take as many lanes as this from now on; what the last attempt left is lost."""
        self._allocate(lanes)

    def attempt(self, t: Array, h: Array, y: Array, f: Array, v: list[Any], look: Look | None = None) -> None:
        """Take one step of `h` from (t, y) with rates `f` in each lane."""
        k, part, stage, program, work = self._k, self._part, self._stage, self.program, self.work
        k[0][...] = f
        for at in range(1, 7):
            goal = self.y1 if at == 6 else stage
            self._combine(_A[at], goal, part)
            np.multiply(goal, h, out=goal)
            np.add(goal, y, out=goal)
            if _C[at] == 1.0:
                np.add(t, h, out=self._time)
            else:
                np.multiply(h, _C[at], out=self._time)
                np.add(self._time, t, out=self._time)
            if look is not None:
                look(self._time, goal)
            if not len(self.guards):
                program.rates(self._time, goal, v, work, k[at], at < 6)  # stages 6 and 7 are at the same time
                continue
            program.rates_guards(self._time, goal, v, work, k[at], self.guards, at < 6)
            if at == 1:
                self.dips[...] = self.guards
            else:
                np.minimum(self.dips, self.guards, out=self.dips)
        self._combine(_E, self.error, part)
        np.multiply(self.error, h, out=self.error)

    def stiffness(self) -> Array:
        """Return an estimate of the largest rate of decay, (lanes,): how rates differ between two states at the end.

        Source: Shampine; Hairer & Wanner 1996, IV.2, equation 2.26.
        """
        above = np.sum(np.square(self._k[6] - self._k[5]), axis=0)
        below = np.sum(np.square(self.y1 - self._stage), axis=0)
        found: Array = np.sqrt(above / np.where(below > 0, below, np.inf))
        return found

    def _combine(self, weights: Sequence[float], goal: Array, part: Array) -> None:
        first = True
        for weight, slope in zip(weights, self._k, strict=False):
            if weight == 0.0:
                continue
            if first:
                np.multiply(slope, weight, out=goal)
                first = False
            else:
                np.multiply(slope, weight, out=part)
                np.add(goal, part, out=goal)

    def dense(self, h: Array, y: Array, pick: Pick | None = None) -> "Callable[[Array], Array]":
        """Return the interpolant of the last attempt: a function of theta (picked lanes,) that gives the states at `t
        + theta h`.

        `h` and `y` are those of the attempt, all lanes; `pick` names the lanes wanted, None takes all.
        """
        k = self._k if pick is None else self._k[:, :, pick]
        y, y1, h = (y, self.y1, h) if pick is None else (y[:, pick], self.y1[:, pick], h[pick])
        rise = y1 - y
        bend = h * k[0] - rise
        turn = rise - h * k[6] - bend
        last = k[0] * _D[0]
        for at in range(2, 7):
            last += k[at] * _D[at]
        last *= h

        def interpolate(theta: Array) -> Array:
            rest = 1.0 - theta
            found: Array = y + theta * (rise + rest * (bend + theta * (turn + rest * last)))
            return found

        return interpolate
