"""Linear models, exactly: from one output, dose or event to the next by the matrix exponential, all lanes at once.

y' = A y + b with A and b constant between stops; y(t + h) = exp(A h) y + integral of exp(A s) b (Gibaldi & Perrier
1982 for compartments; the exponential as in `linear`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pepr_kg.twin.compiler.analysis import linear_system
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.dormand_prince import Array, Pick
from pepr_kg.twin.solvers.events import Events
from pepr_kg.twin.solvers.linear import propagator, spacings_of, stretches
from pepr_kg.twin.solvers.run import take
from pepr_kg.twin.solvers.schedule import Schedule


class _Lanes:
    """What events and schedules need of a block: where the lanes are."""

    def __init__(self, program: Any, start: float, y0: Array, v: list[Any]) -> None:
        lanes = y0.shape[1]
        self.program = program
        self.ids = np.arange(lanes)
        self.t = np.full(lanes, float(start))
        self.y = y0.copy()
        self.v = list(v)
        self.settle = None
        self.status = np.zeros(lanes, dtype=np.int8)

    def part(self, pick: Pick) -> tuple[Array, Array, list[Any], list[Array]]:
        """Return time, states, slots and work buffers of the picked lanes; of all lanes, the arrays themselves."""
        if pick.size == self.ids.size:
            return self.t, self.y, self.v, [np.empty(pick.size) for _ in range(self.program.buffers)]
        return (
            self.t[pick],
            self.y[:, pick],
            take(self.v, pick),
            [np.empty(pick.size) for _ in range(self.program.buffers)],
        )

    def prepare(self, pick: Pick) -> None:
        """Compute the hoisted slots of these lanes anew."""
        v = take(self.v, pick)
        self.program.prepare(v)
        for slot in self.program.hoisted:
            if isinstance(self.v[slot], np.ndarray):
                self.v[slot][pick] = v[slot]

    def look_back(self, *_: object) -> None:
        """Do nothing: a linear model with delays is not solved here."""


def run_linear(
    model: Model,
    program: Any,
    start: float,
    y0: Array,
    v: list[Any],
    grid: Array,
    outputs: Sequence[str],
    events: Events | None,
    schedule: Schedule | None,
) -> Array:
    """Return outputs at `grid`, (times,) or (times, lanes), of a linear model: (outputs, times, lanes)."""
    lanes = y0.shape[1]
    block = _Lanes(program, start, y0, v)
    compute = program.outputs(outputs)
    data = np.empty((len(outputs), len(grid), lanes))
    system = _System(model, block)
    stop = np.full(lanes, np.inf)

    def act(pick: Pick, first: bool = False) -> None:
        moved = first
        if schedule is not None:
            moved |= bool(schedule.apply(block, pick).size)
        if events is not None and first:
            events.begin(block)
        elif events is not None:
            moved |= bool(events.happen(block, pick).size)
        if schedule is not None:
            stop[pick] = schedule.next(pick)
        if events is not None:
            stop[pick] = np.minimum(stop[pick] if schedule is not None else np.inf, events.next(block, pick))
        if moved:
            system.forget()

    # A step from one output to the next has the same size whatever else happens, in this lane or in others.
    sizes, which = spacings_of(grid) if grid.ndim == 1 else ([], [])

    def even(at: int) -> tuple[float, float] | None:
        return (float(grid[at - 1]), sizes[which[at - 1]]) if at and sizes else None

    act(block.ids, first=True)
    at = 0
    while at < len(grid):
        together = grid.ndim == 1 and np.all(stop == stop[0]) and np.all(block.t == block.t[0])
        ahead = int(np.searchsorted(grid, stop[0])) if together and stop[0] < np.inf else len(grid)
        if together and ahead > at:
            system.advance(block.ids, np.full(lanes, grid[at]), even(at))
            steps, alike = (sizes, which[at : ahead - 1]), tuple(outputs) == program.states
            _leap(block, system, grid[at:ahead], steps, compute, data[:, at:ahead], alike)
            at = ahead
            continue
        goal = grid[at] if grid.ndim == 2 else np.full(lanes, grid[at])
        inside = np.isfinite(goal)
        while (due := np.flatnonzero((stop <= goal) & inside)).size:
            system.advance(due, stop[due])
            act(due)
        moving = np.flatnonzero(inside)
        system.advance(moving, goal[moving], even(at))
        compute(block.t, block.y, block.v, data[:, at])
        at += 1
    return data


def _leap(
    block: _Lanes,
    system: "_System",
    times: Array,
    steps: tuple[list[float], list[int]],
    compute: Callable[..., Any],
    data: Array,
    alike: bool,
) -> None:
    """Fill `data` (outputs, times, lanes) from the first time, where all lanes are, to the last before a stop; `alike`:
    the outputs are the states."""
    clock, last = times[:, None], np.empty_like(block.y)
    for part, some, states in stretches(*system.parts(), block.y, *steps, data if alike else None):
        if not alike:
            slots = [slot[some] if isinstance(slot, np.ndarray) else slot for slot in block.v]
            compute(clock[part], states, slots, data[:, part, some])
        last[:, some] = states[:, -1]
    block.y, block.t[:] = last, times[-1]


@lru_cache(maxsize=64)
def _coefficients(model: Model) -> tuple[Callable[..., Any], int]:
    """Return the function (t, y, v) that gives the entries of A, row by row, then of b (None: always zero), and how
    many states there are. Raises `ModelUnsupported` where the model is not linear."""
    system = linear_system(model)
    if system is None:
        detail = {
            "en": "its rates are not linear in its states with constant coefficients",
            "fr": "ses dérivées ne sont pas linéaires en ses états, à coefficients constants",
        }
        raise ModelUnsupported(model=model.name, construct='method="linear"', detail=detail)
    entries = [entry for row in system.matrix for entry in row] + list(system.shift)
    known = compile_model(model).function([entry for entry in entries if entry is not None])
    places = [at for at, entry in enumerate(entries) if entry is not None]

    def compute(t: Array, y: Array, v: list[Any]) -> list[Any]:
        found: list[Any] = [None] * len(entries)
        for at, value in zip(places, known(t, y, v), strict=True):
            found[at] = value
        return found

    return compute, len(system.shift)


class _System:
    """A and b of the lanes, and the propagators that were made of them."""

    def __init__(self, model: Model, block: _Lanes) -> None:
        self._compute, self._states = _coefficients(model)
        self._block = block
        self._known: tuple[list[list[Any]], list[Any]] | None = None
        self._made: dict[float, tuple[Any, Any]] = {}

    def forget(self) -> None:
        """Drop what was made: a value that it was made from has changed."""
        self._known = None
        self._made.clear()

    def parts(self) -> tuple[list[list[Any]], list[Any]]:
        """Return A and b; None where an entry is zero for every model of this form."""
        if self._known is None:
            block, count = self._block, self._states
            flat = self._compute(block.t, block.y, block.v)
            self._known = [flat[at * count : (at + 1) * count] for at in range(count)], flat[count * count :]
        return self._known

    def advance(self, pick: Pick, goal: Array, even: tuple[float, float] | None = None) -> None:
        """Bring the picked lanes to their times `goal`; `even`: an output time and the step from there to the next."""
        block = self._block
        span = goal - block.t[pick]
        if even is not None:
            span = np.where(block.t[pick] == even[0], even[1], span)
        if not span.any():
            block.t[pick] = goal
            return
        whole = pick.size == block.ids.size
        if whole and np.all(span == span[0]):
            if float(span[0]) not in self._made:
                self._made[float(span[0])] = propagator(*self.parts(), float(span[0]))
            matrix, shift = self._made[float(span[0])]
        else:
            a, b = self.parts()
            matrix, shift = propagator([take(row, pick) for row in a], take(b, pick), span)
        y = block.y[:, pick]
        for row, entries in enumerate(matrix):  # in the order in which `linear` adds them up
            total = entries[row] * y[row]
            for column, entry in enumerate(entries):
                if entry is not None and column != row:
                    total += entry * y[column]
            if shift[row] is not None:
                total += shift[row]
            block.y[row, pick] = total
        block.t[pick] = goal
