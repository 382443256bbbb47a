"""A model for a stretch of time: states in, states out, with inputs that are polynomials of time and moments of what
it does.

A constant X of the model becomes a state with X' = d1(X), d1(X)' = d2(X) … and a last derivative that is 0: its value
is the polynomial whose derivatives at the start are the starting values of these states. A linear model so stays
linear and is solved exactly.

What another model shall know of Z over the stretch is taken as moments: m0(Z)' = Z, m1(Z)' = m0(Z) … from 0. At the
end of a stretch of length h, mj(Z) is the integral of (h - u)^j / j! Z(u) du. The polynomial that has the same
moments as Z is its projection in the mean square: a fast transient that it cannot follow keeps its area, first moment
and so on, which is what a slow model feels of it.

>>> coefficients = project(np.array([[0.5], [1.0 / 6.0]]), 1.0)  # the moments of Z = u on 0..1
>>> coefficients.round(12).ravel().tolist()
[0.0, 1.0]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import comb, factorial

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.expression import Array, Value, number, symbol
from pepr_kg.twin.model import Assignment, Model, Variable
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.solvers.solve import Task, solve
from pepr_kg.twin.status import Status

_BLOCK = 16_384  # lanes side by side, as in `evaluate`

Indices = npt.NDArray[np.intp]


@lru_cache(maxsize=64)
def drive(model: Model, inputs: tuple[str, ...], degree: int, observed: tuple[str, ...], moments: int) -> Model:
    """Return the model with its constants `inputs` as polynomials of `degree`, and `moments` moments of each of
    `observed`.

    >>> from pepr_kg.twin.sbml.reading import read_model
    >>> from pepr_kg.twin.builtin import builtin
    >>> drive(read_model(builtin("two-scale-fast").path), ("slow",), 1, ("fast",), 2).states
    ('fast', 'slow', 'd1(slow)', 'm0(fast)', 'm1(fast)')
    """
    moving = inputs if degree else ()
    states = [*model.states, *moving]
    rates = [*model.rates, *(symbol(f"d1({name})") for name in moving)]
    for name in moving:
        states += [f"d{at}({name})" for at in range(1, degree + 1)]
        rates += [symbol(f"d{at + 1}({name})") if at < degree else number(0.0) for at in range(1, degree + 1)]
    for name in observed:
        states += [f"m{at}({name})" for at in range(moments)]
        rates += [symbol(f"m{at - 1}({name})" if at else name) for at in range(moments)]
    added = [name for name in states if name not in model.symbols and name not in model.states]
    known = tuple(replace(item, role="state") if item.symbol in moving else item for item in model.variables)
    digest = f"{model.digest}|{moving}|{degree}|{observed}|{moments}"
    return replace(
        model, digest=digest, states=tuple(states), rates=tuple(rates),
        constants=tuple(name for name in model.constants if name not in moving),
        variables=known + tuple(Variable(name, "parameter", "state", None) for name in added),
        initial=model.initial + tuple(Assignment(name, number(0.0)) for name in added), _index={},
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One model of a coupled run: `states` (rows, lanes), rows being states and then algebraic symbols, and the
    `values` of all its constants and discretes, each a float or (lanes,).
    """

    model: Model
    states: Array
    values: Mapping[str, Value]

    def pick(self, lanes: Indices) -> "Side":
        """Return these lanes, by index; a lane may come several times."""
        values = {name: value[lanes] if isinstance(value, np.ndarray) else value for name, value in self.values.items()}
        return replace(self, states=self.states[:, lanes], values=values)

    def row(self, name: str) -> int:
        """Return the row of a state."""
        return (*self.model.states, *self.model.algebraic).index(name)

    def read(self, names: Sequence[str], time: float) -> Array:
        """Return the values of any symbols at a time, (names, lanes)."""
        program = compile_model(self.model)
        lanes = self.states.shape[1]
        y, v = program.start({**self.values, **dict(zip(program.states, self.states, strict=True))}, lanes, time)
        return np.array(np.broadcast_to(program.outputs(tuple(names))(np.full(lanes, time), y, v), (len(names), lanes)))


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What came of it: `states` (rows, lanes) at the last time, `data` (outputs, times, lanes), `moments`
    (observed, moments, lanes), and for each lane its status and the time up to which it got.
    """

    states: Array
    data: Array
    moments: Array
    status: npt.NDArray[np.int8]
    ended: Array


def advance(
    side: Side, start: float, grid: Array, outputs: Sequence[str], control: Control,
    *, inputs: Mapping[str, Array] | None = None, observed: tuple[str, ...] = (), moments: int = 0,
) -> Stretch:  # fmt: skip
    """Return what the model does from `start` on, in all lanes.

    `grid` is (times,) or (times, lanes), increasing; its last row ends the stretch. `inputs` gives, by symbol, the
    value at the start and the derivatives, (degree + 1, lanes), all of one degree.
    """
    given = dict(inputs or {})
    degree = max((len(item) - 1 for item in given.values()), default=0)
    model = drive(side.model, tuple(given), degree, observed, moments) if given or observed else side.model
    rows = (*side.model.states, *side.model.algebraic)
    values: dict[str, Value] = {**side.values, **dict(zip(rows, side.states, strict=True))}
    for name, derivatives in given.items():
        values[name] = derivatives[0]
        values |= {f"d{at}({name})": derivatives[at] for at in range(1, degree + 1)}
    lanes = side.states.shape[1]
    # two dimensions whatever the number of lanes: the same code, and so the same bits, for one lane as for many
    times = np.array(np.broadcast_to(np.asarray(grid, dtype=float).reshape(len(grid), -1), (len(grid), lanes)))
    tracked = tuple(f"m{at}({name})" for name in observed for at in range(moments))
    task = Task(
        model=model, values=values, lanes=lanes, grid=times, start=start, outputs=(*outputs, *rows, *tracked),
        control=control, method=None, entries=(), seed=0, keys=np.arange(lanes), allow_undefined=False, jit=False,
    )  # fmt: skip
    parts = [solve(part) for part in task.split(_BLOCK)]
    data = np.concatenate([part.data for part in parts], axis=2)
    first, last = len(outputs), len(outputs) + len(rows)
    return Stretch(
        data[first:last, -1], data[:first], data[last:, -1].reshape(len(observed), moments, lanes),
        np.concatenate([part.status for part in parts]), np.concatenate([part.ended for part in parts]),
    )  # fmt: skip


@lru_cache(maxsize=32)
def _recovery(count: int) -> Array:
    """Return the inverse of the matrix of the integrals of (1 - s)^j s^i over 0..1, i! j! / (i + j + 1)!."""
    matrix = [[factorial(i) * factorial(j) / factorial(i + j + 1) for i in range(count)] for j in range(count)]
    inverse: Array = np.linalg.inv(np.array(matrix))
    return inverse


def project(moments: Array, length: float | Array) -> Array:
    """Return the coefficients (n, lanes) in powers of s = u / `length` of the polynomial of these moments."""
    count = len(moments)
    scaled = [factorial(at) * moments[at] / length ** (at + 1) for at in range(count)]
    return combine(_recovery(count), scaled)


def interpolate(nodes: tuple[float, ...], values: Array) -> Array:
    """Return the coefficients (n, lanes) in powers of s of the polynomial through `values` (n, lanes) at `nodes`."""
    return combine(_vandermonde(nodes), list(values))


@lru_cache(maxsize=32)
def _vandermonde(nodes: tuple[float, ...]) -> Array:
    inverse: Array = np.linalg.inv(np.vander(np.array(nodes), increasing=True))
    return inverse


def combine(matrix: Array, rows: Sequence[Array]) -> Array:
    """Return matrix times rows (n, lanes), lane by lane: what BLAS would give may depend on the number of lanes."""
    found = np.zeros((len(matrix), *np.shape(rows[0])))
    for goal, entries in enumerate(matrix):
        for entry, row in zip(entries, rows, strict=True):
            found[goal] += entry * row
    return found


def restrict(coefficients: Array, offset: float, share: float) -> Array:
    """Return the coefficients (n, lanes) of the same polynomial in s' where s = offset + share s'.

    >>> restrict(np.array([[0.0], [1.0]]), 0.5, 0.5).ravel().tolist()
    [0.5, 0.5]
    """
    count = len(coefficients)
    matrix = np.zeros((count, count))
    for power in range(count):
        for part in range(power + 1):
            matrix[part, power] = comb(power, part) * offset ** (power - part) * share**part
    return combine(matrix, list(coefficients))


def derivatives(coefficients: Array, length: float | Array) -> Array:
    """Return value and derivatives at the start (n, lanes) of a polynomial in powers of s = u / `length`."""
    return np.array([factorial(at) * row / length**at for at, row in enumerate(coefficients)])


def finished(stretch: Stretch) -> npt.NDArray[np.bool_]:
    """Return which lanes got to the end."""
    return np.equal(stretch.status, Status.DONE)


@lru_cache(maxsize=32)
def resolution(count: int) -> float:
    """Return how far rounding moves the coefficients that `project` finds from `count` moments, relative to the
    largest.

    >>> resolution(4) < 1e-10
    True
    """
    return float(8.0 * np.finfo(float).eps * np.max(np.sum(np.abs(_recovery(count)), axis=1)))
