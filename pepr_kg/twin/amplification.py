"""How much larger the error of a run is than the error allowed in a step: measured once for a model, then allowed for.

A solver bounds the error of each step. What becomes of it until the end is the model's affair: a drug that is
eliminated forgets it, an oscillator carries it on as a shift in time, and where its potential shoots up a shift is
large. So that the accuracy asked for is the accuracy got, a run with the model's own values is made at three
tolerances, and the solver is asked for as much more as they differ by. What is found depends on the model, the order of
magnitude of the accuracy and of the time alone, never on the patients: results do not depend on the cohort.

Comparing runs of two tolerances: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed. 1993,
section II.4.

>>> from pepr_kg.twin.expression import ONE, multiply, number, subtract, symbol
>>> from pepr_kg.twin.model import Assignment
>>> y = symbol("y")
>>> start = (Assignment("y", number(1e-9)),)
>>> rate = multiply(y, subtract(ONE, y))
>>> model = Model("m", "", "growth", "", 3, 2, None, (), (), ("y",), (), (), (rate,), start, ())
>>> 1.0 < amplification(model, 40.0, 1e-6) < 20.0
True
"""

import functools
import math

import numpy as np

from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.compiler.scalar import able
from pepr_kg.twin.expression import Array
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.solvers.solve import Task, solve

_USUAL = 10.0  # where the model's own values make no run that tells anything
_MARGIN = 5.0  # patients differ from the model's own values
_MORE = 10.0  # where modes change, and in stiff runs, errors come in lumps: the one run may have been lucky
_MOST = 1e3
_STEPS = 1000  # of the first run; where these do not suffice, the next coarser accuracy is looked at
_DECADE = 1.5  # growth from one decade of accuracy to the next
_FINEST, _COARSEST = -9, -2  # decades of accuracy that are looked at
_KEPT = 256


def local_tolerance(model: Model, span: float, rtol: float, *, stiff: bool = False) -> float:
    """Return the relative error to allow in a step so that the error of the run stays below `rtol`."""
    if not (0.0 < rtol < 1.0 and 0.0 < span < math.inf):
        return rtol
    return max(rtol / amplification(model, span, rtol, stiff=stiff), min(rtol, 1e-13))


def amplification(model: Model, span: float, rtol: float, *, stiff: bool = False) -> float:
    """Return how many times the tolerance of a step the error of a run over `span` may be, at least 1.

    Errors are relative to each state's largest value. `stiff` has the linearly implicit method looked at.
    """
    decade = min(max(round(math.log10(rtol)), _FINEST), _COARSEST)
    return _measure(model, math.ceil(math.log2(span)), decade, stiff)


@functools.lru_cache(maxsize=_KEPT)
def _measure(model: Model, octave: int, decade: int, stiff: bool) -> float:
    program = compile_model(model)
    if not program.states:
        return 1.0
    # Runs with many events may differ by the order of two, and take long.
    if program.delays or len(model.events) > 1 or not np.all(np.isfinite(program.start({}, 1)[0])):
        return _USUAL
    span, rtol = 2.0**octave, 10.0**decade
    # Outputs that no round time of an event meets: at a jump, just before and just after are far apart.
    places = np.concatenate([np.geomspace(1e-6, 1e-2, 16), np.linspace(0.0, 1.0, 129)[2:] - 0.00271])
    grid = span * places
    rough, plain, fine = (
        _run(model, grid, Control(rtol=rtol * share, max_steps=int(_STEPS * more)), stiff)
        for share, more in ((10.0, 1.0), (1.0, 1.0), (0.1, 2.0))
    )
    known = np.isfinite(plain).all(axis=0) & np.isfinite(fine).all(axis=0)
    reached = float(np.max(grid[known], initial=0.0)) / float(grid[-1])
    if reached < 1.0 and decade < _COARSEST:
        return min(_DECADE * _measure(model, octave, decade + 1, stiff), _MOST)
    if np.count_nonzero(known) < 8:
        return _USUAL
    size = np.max(np.abs(fine[:, known]), axis=1)
    moved = size > 1e-13 * np.max(size, initial=0.0)

    def error(run: Array) -> float:
        apart = np.abs(run - fine)[moved][:, known] / size[moved, None]
        return float(np.max(np.where(np.isfinite(apart), apart, 0.0), initial=0.0))

    # An error that happens to be small at one tolerance is not so at the next.
    found = max(error(plain), 0.05 * error(rough)) / rtol
    return min(max((_MORE if program.modes or stiff else _MARGIN) * found / reached, 1.0), _MOST)


def _run(model: Model, grid: Array, control: Control, stiff: bool) -> Array:
    """Return the states of one lane with the model's own values, (states, times); NaN where the steps were used up."""
    method = "stiff" if stiff else "scalar" if able(model) else "explicit"
    task = Task(
        model=model, values={}, lanes=1, grid=grid, start=0.0, outputs=model.states, control=control, method=method,
        entries=(), seed=0, keys=np.zeros(1, dtype=np.intp), allow_undefined=True, jit=False,
    )  # fmt: skip
    return solve(task).data[:, :, 0]
