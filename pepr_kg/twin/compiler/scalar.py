"""One patient, fast: the model as plain Python on floats, or as machine code where Numba is installed.

Arrays of one element cost NumPy about a microsecond an operation; floats cost a twentieth of that. Where the numbers
leave the domain of plain floats (division by zero, overflow), or the model turns out stiff, there is no answer here:
`lanes` takes over.

>>> from pepr_kg.twin.expression import negate, number, symbol
>>> from pepr_kg.twin.model import Assignment
>>> start = (Assignment("x", number(1)),)
>>> model = Model("m", "", "decay-3", "", 3, 2, None, (), (), ("x",), (), (), (negate(symbol("x")),), start, ())
>>> y, v = compile_model(model).start({}, 1)
>>> found = run_scalar(model, 0.0, y, v, np.array([0.0, 1.0]), Control(rtol=1e-8))
>>> found.y[0, :, 0].round(6).tolist(), found.status.tolist()
([1.0, 0.367879], [0])
"""

import functools
import importlib
import importlib.util
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pepr_kg.twin.compiler.codegen import Program, compile_model
from pepr_kg.twin.compiler.scalar_source import BUILTINS, SPACE, Source
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.run import Control, Run
from pepr_kg.twin.status import Status

Array = np.ndarray[Any, np.dtype[np.float64]]
_LARGEST = 400  # operations of the rates: a longer text is slow to compile and runs no faster than lanes
_KEPT: "OrderedDict[tuple[str, bool], Scalar]" = OrderedDict()
_KEPT_SIZE = 32


def _define(source: Source, wrap: Callable[[Any], Any], builtins: Any) -> Callable[..., tuple[int, int, float]]:
    """Return the function `integrate` of a source."""
    space: dict[str, Any] = {**SPACE, "__builtins__": builtins}
    for name, text in source.functions.items():
        # The source is made of checked operations and of names given here, never of a user's text.
        exec(compile(text, f"<{name}>", "exec"), space)  # noqa: S102
        space[name] = wrap(space[name])
    made: Callable[..., tuple[int, int, float]] = space["integrate"]
    return made


@dataclass(frozen=True, slots=True)
class Scalar:
    """The integrator of a model for one patient; `many` runs over the rows of arrays, and exists as machine code
    only."""

    program: Program
    integrate: Callable[..., tuple[int, int, float]]
    many: Callable[..., None] | None


def numba_is_here() -> bool:
    """Return whether Numba can be imported."""
    return importlib.util.find_spec("numba") is not None


def able(model: Model) -> bool:
    """Return whether a model can be run here: states, no events, delays or constraints, not too large."""
    if model.events or model.constraints or not model.states:
        return False
    program = compile_model(model)
    return not program.delays and len(program.frozen.graph.ops) <= _LARGEST


def compile_scalar(model: Model, *, jit: bool = False) -> Scalar:
    """Return the integrator of a model, as machine code with `jit` (Numba must be installed); the last few are kept.

    `integrate(t, y, v, grid, rtol, atol, max_steps, max_step, stiff_after, out)` takes the states `y`, the slots `v`
    (modes and hoisted ones filled), increasing times `grid` and the absolute tolerances `atol` as lists of floats
    (arrays with `jit`), fills `out` (times, states) and returns a `Status`, the steps tried, and the time reached.
    """
    key = (model.digest, jit)
    known = _KEPT.get(key)
    if known is None or known.program.model != model:
        program = compile_model(model)
        source = Source(program)
        if jit:
            known = Scalar(program, *_compile(source))
        else:
            known = Scalar(program, _define(source, lambda made: made, dict(BUILTINS)), None)
        _KEPT[key] = known
        if len(_KEPT) > _KEPT_SIZE:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return known


def _compile(source: Source) -> tuple[Callable[..., Any], Callable[..., None]]:
    numba: Any = importlib.import_module("numba")
    wrap = functools.partial(numba.njit, error_model="numpy", fastmath=False)
    integrate: Any = _define(source, wrap, __builtins__)

    def loop(  # Numba compiles positional arguments best
        t: float, y: Array, v: Array, grid: Array, rtol: float, atol: Array, max_steps: int, max_step: float,
        stiff_after: int, out: Array, status: Any, steps: Any, ended: Array,
    ) -> None:  # pragma: no cover  # machine code  # fmt: skip
        for lane in range(len(y)):
            status[lane], steps[lane], ended[lane] = integrate(
                t, y[lane], v[lane], grid, rtol, atol, max_steps, max_step, stiff_after, out[lane]
            )

    return integrate, wrap(loop)


def run_scalar(
    model: Model, start: float, y0: Array, v: list[Any], grid: Array, control: Control, *, jit: bool = False
) -> Run | None:
    """Return the states at `grid` (times,) of every lane, one after the other; None where `lanes` must do it.

    Of several lanes, one that `lanes` must do has `Status.STIFF`; it is None only where that is so of all.

    `y0` (states, L) and `v` as `Program.start` gives them. With `jit` the text is compiled by Numba, which takes
    seconds once and then makes it twenty times as fast; the digits differ by rounding at most.
    """
    if grid.ndim != 1 or not able(model) or np.isnan(y0).any():
        return None
    scalar = compile_scalar(model, jit=jit)
    program = scalar.program
    states, lanes = y0.shape
    y = np.full((lanes, len(grid), states), np.nan)
    status, steps, ended = np.zeros(lanes, dtype=np.int8), np.zeros(lanes, dtype=np.int64), np.full(lanes, float(start))
    atol = np.array(np.broadcast_to(np.asarray(control.atol, dtype=float).ravel(), states))
    limits = (control.max_steps, float(control.max_step), control.stiff_after)
    if scalar.many is not None:
        slots = np.empty((lanes, program.width))
        for at, slot in enumerate(v):
            slots[:, at] = slot
        first = np.ascontiguousarray(y0.T)
        goal = np.ascontiguousarray(grid)
        scalar.many(float(start), first, slots, goal, control.rtol, atol, *limits, y, status, steps, ended)
    else:
        times, tolerances = grid.tolist(), atol.tolist()
        for lane in range(lanes):
            slots_ = [float(slot[lane]) if isinstance(slot, np.ndarray) else float(slot) for slot in v]
            first_ = y0[:, lane].tolist()
            try:
                found = scalar.integrate(
                    float(start), first_, slots_, times, control.rtol, tolerances, *limits, y[lane]
                )
            except (OverflowError, ZeroDivisionError, ValueError):  # where NumPy goes on with an infinity or NaN
                found = (Status.STIFF, 0, start)
            status[lane], steps[lane], ended[lane] = found
    if np.all(status == Status.STIFF):
        return None
    nothing_changes = np.empty((0, len(grid), lanes))  # without events, discretes stay what they are
    return Run(np.ascontiguousarray(y.transpose(2, 1, 0)), nothing_changes, status, steps, ended)
