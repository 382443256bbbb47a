"""The linearly implicit method Rodas5P, order 5(4), on lanes side by side: for stiff models and for algebraic rows.

The method solves `M y' = f(t, y)`, M diagonal with ones (differential rows) and zeros (algebraic rows, of index 1).
Each step has one Jacobian, one LU factorisation and eight solutions. It is L-stable and stiffly accurate: its last
stage is the error estimate. With g the diagonal coefficient, J the Jacobian and h the step, the stages U_i solve

    (M / (g h) - J) U_i = f(t + c_i h, y + sum a_ij U_j) + M / h sum C_ij U_j + h d_i df/dt

A differential row is multiplied by g h, so nothing is divided by a step that may be tiny.

Sources: Steinebach, Construction of Rosenbrock-Wanner method Rodas5P and numerical benchmarks within the Julia
Differential Equations package, BIT Numer Math 2023;63:27 (the coefficients); Hairer & Wanner, Solving Ordinary
Differential Equations II, 2nd ed. 1996, sections IV.7 (form of the stages) and VI.4 (algebraic rows).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from pepr_kg.twin.solvers import lu
from pepr_kg.twin.solvers.dormand_prince import Array, Look, Pick, Rates


class Slopes(Rates, Protocol):
    """What this stepper needs of a compiled model besides its rates."""

    def jacobian(self, t: Array, y: Array, v: list[Any], w: list[Array], jac: Array, dfdt: Array) -> None:
        """Fill `jac` (states, states, lanes) with the rates' derivatives by state, `dfdt` (states, lanes) by time."""


_GAMMA = 0.21193756319429014
_C = (0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0)
_D = (0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069,
      0.0, 0.0, 0.0)  # fmt: skip
# Stages 7, 8 and the end add the stage before to the sum of stage 6, so their rows stop here.
_A: Sequence[Sequence[float]] = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946),
)
_B: Sequence[Sequence[float]] = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783, -19.097331116725623,
     -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047, -40.06618937091002,
     -54.66780262877968, -9.48861652309627),
)  # fmt: skip
_SCALED = tuple(tuple(_GAMMA * weight for weight in row) for row in _B)
_H: Sequence[Sequence[float]] = (
    (25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204,
     0.524948541321073, 1.1241088310450404, 0.4272876194431874, -0.17202221070155493),
    (-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796,
     20.176138334709044, 15.98066361424651, -6.789040303419874, -6.710236069923372),
    (11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643,
     -52.072871366152654, -59.78993625266729, -0.15582684282751913, 4.883087185713722),
)  # fmt: skip


class Rosenbrock:
    """Steps of order 5 with an error estimate of order 4 and a dense output of order 4, for stiff models.

    After `attempt`: `y1` the new states, `f1` their rates, `error` the local error, all (states, lanes); `guards` is
    (modes, lanes). A lane whose matrix is singular gets states that are not finite: the loop takes a smaller step
    there.

    >>> class Decay:  # y' = -1000 y
    ...     def rates(self, t, y, v, w, dy, fresh=True):
    ...         dy[...] = -1000 * y
    ...     def jacobian(self, t, y, v, w, jac, dfdt):
    ...         jac[...], dfdt[...] = -1000, 0
    >>> stepper, y = Rosenbrock(Decay(), states=1, modes=0, buffers=0, lanes=1), np.ones((1, 1))
    >>> stepper.attempt(t=np.zeros(1), h=np.array([0.001]), y=y, f=-1000 * y, v=[])
    >>> bool(abs(stepper.y1[0, 0] - np.exp(-1)) < 1e-4)
    True
    """

    order = 5
    kisao = "KISAO:0000033"  # Rosenbrock method
    singular = True  # it takes algebraic rows

    def __init__(
        self, program: Slopes, states: int, modes: int, buffers: int, lanes: int, mass: Array | None = None
    ) -> None:
        self.program = program
        self._shape = (states, modes, buffers)
        self._algebraic = np.zeros(states, bool) if mass is None else np.asarray(mass) == 0.0
        self._allocate(lanes)

    def _allocate(self, lanes: int) -> None:
        states, modes, buffers = self._shape
        self._u = np.empty((8, states, lanes))
        self._jac = np.empty((states, states, lanes))
        self._drift = np.empty((states, lanes))
        self._part = np.empty((states, lanes))
        self._sum = np.empty((states, lanes))
        self._stage = np.empty((states, lanes))
        self.y1 = np.empty((states, lanes))
        self.f1 = np.empty((states, lanes))
        self.guards = self.dips = np.empty((modes, lanes))
        self.work = [np.empty(lanes) for _ in range(buffers)]
        self._time = np.empty(lanes)
        self._scaled = np.empty(lanes)

    @property
    def error(self) -> Array:
        """The local error of the last step."""
        last: Array = self._u[7]
        return last

    def resize(self, lanes: int) -> None:
        """Take as many lanes as this from now on; what the last attempt left is lost."""
        self._allocate(lanes)

    def attempt(self, t: Array, h: Array, y: Array, f: Array, v: list[Any], look: Look | None = None) -> None:
        """Take one step of `h` from (t, y) with rates `f` in each lane."""
        u, stage, time, program = self._u, self._stage, self._time, self.program
        if look is not None:
            look(t, y)
        program.jacobian(t, y, v, self.work, self._jac, self._drift)
        factors = self._factor(h)
        np.multiply(self._drift, h, out=self._drift)
        for at in range(8):
            goal = self.y1 if at == 7 else stage
            if at == 0:
                u[0][...] = f
            else:
                if at < 6:
                    self._combine(_A[at], goal)
                    np.add(goal, y, out=goal)
                else:
                    np.add(stage, u[at - 1], out=goal)
                if at < 6:
                    np.multiply(h, _C[at], out=time)
                    np.add(time, t, out=time)
                if look is not None:
                    look(time, goal)
                program.rates(time, goal, v, self.work, u[at], at < 6)  # the stages from the sixth on are at one time
            if _D[at] != 0.0:
                np.multiply(self._drift, _D[at], out=self._part)
                np.add(u[at], self._part, out=u[at])
            self._scale(at)
            lu.solve(factors, u[at])
        np.add(self.y1, u[7], out=self.y1)
        if look is not None:
            look(time, self.y1)
        if len(self.guards):
            program.rates_guards(time, self.y1, v, self.work, self.f1, self.guards, False)
        else:
            program.rates(time, self.y1, v, self.work, self.f1, False)

    def _factor(self, h: Array) -> lu.Factors | lu.Inverses:
        """Return the factors of M - g h J, in the algebraic rows of -J."""
        np.multiply(h, _GAMMA, out=self._scaled)
        for row, algebraic in enumerate(self._algebraic):
            if algebraic:
                np.negative(self._jac[row], out=self._jac[row])
            else:
                np.multiply(self._jac[row], -self._scaled, out=self._jac[row])
                np.add(self._jac[row, row], 1.0, out=self._jac[row, row])
        return lu.factor(self._jac)

    def _scale(self, at: int) -> None:
        """Make the right side of stage `at`: g h f + M sum g C U in the differential rows, f in the algebraic ones."""
        right = self._u[at]
        if at:
            self._combine(_SCALED[at], self._sum)
        for row, algebraic in enumerate(self._algebraic):
            if not algebraic:
                np.multiply(right[row], self._scaled, out=right[row])
                if at:
                    np.add(right[row], self._sum[row], out=right[row])

    def _combine(self, weights: Sequence[float], goal: Array) -> None:
        part = self._part
        np.multiply(self._u[0], weights[0], out=goal)
        for weight, stage in zip(weights[1:], self._u[1:], strict=False):
            np.multiply(stage, weight, out=part)
            np.add(goal, part, out=goal)

    def dense(self, h: Array, y: Array, pick: Pick | None = None) -> Callable[[Array], Array]:
        """Return the interpolant of the last attempt: of theta (picked lanes,), the states at `t + theta h`.

        `h`, which this method does not need, and `y` are those of the attempt, all lanes; `pick` names the lanes
        wanted, None takes all.
        """
        u = self._u if pick is None else self._u[:, :, pick]
        y, y1 = (y.copy(), self.y1.copy()) if pick is None else (y[:, pick], self.y1[:, pick])
        bends = []
        for weights in _H:
            bend = u[0] * weights[0]
            for weight, stage in zip(weights[1:], u[1:], strict=True):
                bend += stage * weight
            bends.append(bend)
        first, second, third = bends

        def interpolate(theta: Array) -> Array:
            rest = 1.0 - theta
            found: Array = rest * y + theta * (y1 + rest * (first + theta * (second + theta * third)))
            return found

        return interpolate
