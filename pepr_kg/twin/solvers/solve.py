"""Solve one block of lanes by the method that fits: closed form, matrix exponential, explicit or stiff integration,
scalar code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.compiler.analysis import form
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.compiler.scalar import able, run_scalar
from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.delays import History
from pepr_kg.twin.solvers.dormand_prince import DormandPrince
from pepr_kg.twin.solvers.events import Events
from pepr_kg.twin.solvers.lanes import Block
from pepr_kg.twin.solvers.linear_run import run_linear
from pepr_kg.twin.solvers.rosenbrock import Rosenbrock
from pepr_kg.twin.solvers.run import Control, Run
from pepr_kg.twin.solvers.schedule import Schedule, Target, kept_slots
from pepr_kg.twin.status import Status

METHODS = ("closed form", "linear", "explicit", "stiff", "scalar")
_STIFF_AFTER = (
    15  # steps in a row held by stability before the stiff solver takes a lane over (Hairer & Wanner 1996, IV.2)
)
_TILE = 2048  # lanes of a closed form at a time
_CHUNK = 1 << 20  # values of outputs computed at a time


# An array of 31 MB, freed at once and never touched: glibc then keeps what a block of lanes frees, and does not ask the
# kernel for the same pages again for the next (its threshold grows with the largest array freed: mallopt(3)).
del (_kept := [np.empty(31 << 17)])[:]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something done at a known time: `action` (see `schedule`) with `amount` on `symbol`, in the lanes named."""

    time: float
    symbol: str
    action: int
    amount: float
    lanes: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be solved: values by symbol (a float, or (lanes,)), output times, and how."""

    model: Model
    values: Mapping[str, Value]
    lanes: int
    grid: Array
    start: float
    outputs: tuple[str, ...]
    control: Control
    method: str | None
    entries: tuple[Entry, ...]
    seed: int
    keys: npt.NDArray[np.intp]
    allow_undefined: bool
    jit: bool
    alone: bool = False  # the whole evaluation is one lane: a block of one lane is solved as the others are

    def split(self, size: int) -> Iterator["Task"]:
        """Yield the task in blocks of at most `size` lanes."""
        for first in range(0, self.lanes, size):
            yield self.pick(np.arange(first, min(first + size, self.lanes)))

    def pick(self, lanes: npt.NDArray[np.intp]) -> "Task":
        """Return the task for some of its lanes (in increasing order).

        The first entry of each symbol stays even where it concerns none of them: what changes on the way has a value in
        each lane, and the method is the same, whichever lanes are together.
        """
        if lanes.size == self.lanes:
            return self
        values = {name: value[lanes] if isinstance(value, np.ndarray) else value for name, value in self.values.items()}
        entries, named = [], set[str]()
        for entry in self.entries:
            place = np.minimum(np.searchsorted(lanes, entry.lanes), lanes.size - 1)
            inside = place[lanes[place] == entry.lanes]
            if inside.size or entry.symbol not in named:
                entries.append(replace(entry, lanes=inside))
            named.add(entry.symbol)
        grid = self.grid if self.grid.ndim == 1 else self.grid[:, lanes]
        return replace(self, values=values, lanes=lanes.size, grid=grid, entries=tuple(entries), keys=self.keys[lanes])


@dataclass(frozen=True, slots=True)
class Part:
    """The answer of a block: `data` (outputs, times, lanes), `status`, `ended`, `steps` (lanes,), the method used."""

    data: Array
    status: npt.NDArray[np.int8]
    ended: Array
    steps: npt.NDArray[np.int64]
    method: str


def solve(task: Task) -> Part:
    """Return the outputs of a block of lanes."""
    program = compile_model(task.model)
    _refuse_method(task, program)
    y0, v = _start(task, program)
    method = task.method or _choose(task, program)
    if method in ("closed form", "linear"):
        events, schedule = _events(task, program), _schedule(task, program)
        if method == "linear":
            data = run_linear(task.model, program, task.start, y0, v, task.grid, task.outputs, events, schedule)
        else:
            data = _read_off(task, program, y0, v)
        status, steps = np.zeros(task.lanes, dtype=np.int8), np.zeros(task.lanes, dtype=np.int64)
        ended = np.full(task.lanes, task.grid[-1])
        if task.grid.ndim == 2:
            ended = np.max(task.grid, axis=0, where=np.isfinite(task.grid), initial=task.start)
        if events is not None and not np.isnan(events.endless).all():
            lost = np.flatnonzero(~np.isnan(events.endless))
            status[lost], ended[lost] = Status.NOT_RESTING, events.endless[lost]
            grid = task.grid[:, None] if task.grid.ndim == 1 else task.grid[:, lost]
            data[:, :, lost] = np.where(grid < ended[lost], data[:, :, lost], np.nan)
    else:
        run, method = _run(task, program, y0, v, method)
        data, status, steps, ended = _outputs(task, program, v, run), run.status.copy(), run.steps, run.ended
    wanted = np.isfinite(task.grid) if task.grid.ndim == 2 else np.True_
    if not wanted.all():  # after a patient's last time there are no values
        data[:, ~wanted] = np.nan
    # The states of a linear model that nothing interrupts: what is not finite stays so, and shows at the last time.
    undisturbed = method == "linear" and not task.model.events and not task.entries and task.grid.ndim == 1
    seen = data[:, -1:] if undisturbed and task.outputs == program.states else data
    if not task.allow_undefined and not np.isfinite(np.sum(seen)):
        undefined = np.any(~np.isfinite(data) & wanted, axis=(0, 1))
        status[undefined & (status == Status.DONE)] = Status.NOT_FINITE
    return Part(data, status, ended, steps, method)


def _read_off(task: Task, program: Any, y0: Array, v: list[Any]) -> Array:
    """Return the outputs of a model without states, (outputs, times, lanes), some lanes at a time for the cache."""
    compute = program.outputs(task.outputs)
    data = np.empty((len(task.outputs), len(task.grid), task.lanes))
    for first in range(0, task.lanes, _TILE):
        some = slice(first, first + _TILE)
        slots = [slot[some] if isinstance(slot, np.ndarray) else slot for slot in v]
        grid = task.grid[:, None] if task.grid.ndim == 1 else task.grid[:, some]
        compute(grid, y0[:, None, some], slots, data[:, :, some])
    return data


def _refuse_method(task: Task, program: Any) -> None:
    """Raise `ModelUnsupported` where the method asked for would pass over a part of the model."""
    detail = None
    if task.method == "closed form" and form(task.model) != "closed form":
        detail = {
            "en": "it has states or events, and so no closed form",
            "fr": "il a des états ou des événements, donc pas de forme explicite",
        }
    elif task.method == "closed form" and task.entries:
        detail = {
            "en": "something is done to it on the way: leave the method open",
            "fr": "il est modifié en cours de route : laissez le choix de la méthode",
        }
    elif task.method in ("explicit", "scalar") and program.algebraic:
        detail = {
            "en": "it has algebraic equations, which need the stiff method",
            "fr": "il a des équations algébriques, qui demandent la méthode « stiff »",
        }
    if detail is not None:
        raise ModelUnsupported(model=task.model.name, construct=f'method="{task.method}"', detail=detail)


def _start(task: Task, program: Any) -> tuple[Array, list[Any]]:
    """Return states and slots at the start; a slot that is to change on the way has a value of its own in each lane."""
    y0, v = program.start(task.values, task.lanes, task.start)
    targets = _changed(task, program)
    for slot in targets:
        v[slot] = np.array(np.broadcast_to(v[slot], task.lanes), dtype=float)
    if targets:
        program.prepare(v)
    return y0, v


def _changed(task: Task, program: Any) -> list[int]:
    """Return the slots that entries change."""
    symbols = (core_of(task.model, entry.symbol) for entry in task.entries)
    return list(dict.fromkeys(program.slots[symbol] for symbol in symbols if symbol in program.slots))


def core_of(model: Model, symbol: str) -> str:
    """Return the symbol of the core form that carries the value of one of the file's."""
    return model.variable(symbol).core or symbol


def _run(task: Task, program: Any, y0: Array, v: list[Any], method: str) -> tuple[Run, str]:
    """Integrate the states by a method; return the method that it came to."""
    if method == "scalar" and not task.entries:
        control = replace(task.control, stiff_after=_STIFF_AFTER) if task.method is None else task.control
        found = run_scalar(task.model, task.start, y0, v, task.grid, control, jit=task.jit)
        if found is not None:
            left = np.flatnonzero(found.status == Status.STIFF)
            spent = np.flatnonzero((found.status == Status.STEP_LIMIT) & (task.method is None))
            again = ((left, "explicit"), (spent, "stiff"))
            used = [_put_again(task, program, found, lanes, other) for lanes, other in again if lanes.size]
            return found, ", ".join([method] * (left.size + spent.size < task.lanes) + used)
    # Here too: what left the domain of plain floats, and what is too stiff for them.
    return _integrate(task, program, y0, v, "explicit" if method == "scalar" else method)


def _put_again(task: Task, program: Any, run: Run, lanes: npt.NDArray[np.intp], method: str) -> str:
    """Solve some lanes of a scalar run anew, each as it would be alone; return the method that they came to."""
    part = task.pick(lanes)
    again, used = _integrate(part, program, *_start(part, program), method)
    run.y[:, :, lanes], run.status[lanes] = again.y, again.status
    run.ended[lanes], run.steps[lanes] = again.ended, again.steps
    return used


def _choose(task: Task, program: Any) -> str:
    """Return the method that the form of the model asks for."""
    kind = form(task.model)
    if kind == "closed form" and not task.entries:
        return "closed form"
    if program.algebraic:
        return "stiff"
    if kind == "linear" and not program.delays:
        return "linear"
    if kind == "stiff":
        return "stiff"
    plain = task.grid.ndim == 1 and not task.entries and able(task.model)
    return "scalar" if (task.alone or task.jit) and plain else "explicit"


def _integrate(task: Task, program: Any, y0: Array, v: list[Any], method: str) -> tuple[Run, str]:
    """Integrate step by step; lanes that prove stiff, or use up their steps, are done again by the stiff solver."""
    if program.delays and task.lanes > 1:
        return _one_by_one(task, method)
    stiff = method == "stiff"
    run = _block(task, program, y0, v, stiff, task.method is None and not program.delays).run()
    watched = task.method is None and not stiff and not program.delays
    taken = np.flatnonzero(np.isin(run.status, (Status.STIFF, Status.STEP_LIMIT) if watched else (Status.STIFF,)))
    if not taken.size:
        return run, method
    part = task.pick(taken)
    y_part, v_part = _start(part, program)
    again = _block(part, program, y_part, v_part, True, False).run()
    run.y[:, :, taken], run.d[:, :, taken] = again.y, again.d
    run.status[taken], run.ended[taken] = again.status, again.ended
    run.steps[taken] += again.steps
    return run, "explicit, stiff"


def _block(task: Task, program: Any, y0: Array, v: list[Any], stiff: bool, watch: bool) -> Block:
    sizes = (len(y0), len(program.modes), program.buffers, task.lanes)
    stepper: Any = Rosenbrock(program, *sizes, mass=program.mass) if stiff else DormandPrince(program, *sizes)
    control = replace(task.control, stiff_after=_STIFF_AFTER) if watch else task.control
    history = History(program, task.start, lambda then: program.start(task.values, 1, then)) if program.delays else None
    schedule, events = _schedule(task, program), _events(task, program)
    kept = kept_slots(program, _changed(task, program), task.outputs)
    return Block(program, stepper, task.start, y0, v, task.grid, control, kept, events, schedule, history)


def _one_by_one(task: Task, method: str) -> tuple[Run, str]:
    """Solve each lane alone: models that look back keep a history of their own."""
    parts = []
    for lane in range(task.lanes):
        part = task.pick(np.array([lane]))
        program = compile_model(part.model)
        y0, v = _start(part, program)
        parts.append(_block(part, program, y0, v, method == "stiff", False).run())
    return Run(
        np.concatenate([part.y for part in parts], axis=2),
        np.concatenate([part.d for part in parts], axis=2),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.ended for part in parts]),
    ), method


def _events(task: Task, program: Any) -> Events | None:
    return Events(task.model, program, task.lanes, task.keys, task.seed) if task.model.events else None


def _schedule(task: Task, program: Any) -> Schedule | None:
    """Return the entries of each lane in order of time."""
    if not task.entries:
        return None
    table: list[Target] = []
    rows: list[list[tuple[float, int, float, int]]] = [[] for _ in range(task.lanes)]
    for entry in task.entries:
        core = core_of(task.model, entry.symbol)
        variable = task.model.variable(entry.symbol)
        within = variable.compartment if core != entry.symbol else None
        row, slot = program.rows.get(core, -1), -1 if core in program.rows else program.slots[core]
        target = Target(row, slot, within)
        if target not in table:
            table.append(target)
        for lane in entry.lanes:
            rows[lane].append((entry.time, entry.action, entry.amount, table.index(target)))
    depth = max([1, *(len(row) for row in rows)])
    shape = (depth, task.lanes)
    plan = Schedule(
        np.full(shape, np.inf),
        np.zeros(shape),
        np.zeros(shape, dtype=np.int8),
        np.zeros(shape, dtype=np.intp),
        tuple(table),
        np.zeros(task.lanes, dtype=np.intp),
    )
    for lane, row in enumerate(rows):
        for at, found in enumerate(sorted(row, key=lambda item: item[0])):
            plan.times[at, lane], plan.actions[at, lane], plan.amounts[at, lane], plan.targets[at, lane] = found
    return plan


def _outputs(task: Task, program: Any, v: list[Any], run: Run) -> Array:
    """Return the symbols asked for, (outputs, times, lanes), in pieces that fit the memory."""
    compute = program.outputs(task.outputs)
    count = len(task.grid)
    alike = task.outputs == program.states  # then they are there already
    data = run.y if alike else np.empty((len(task.outputs), count, task.lanes))
    size = max(1, _CHUNK // max(1, task.lanes))
    slots = list(v)
    changing = kept_slots(program, _changed(task, program), task.outputs) if len(run.d) else []
    with np.errstate(all="ignore"):
        for first in range(0, 0 if alike else count, size):
            part = slice(first, min(first + size, count))
            grid = task.grid[part, None] if task.grid.ndim == 1 else task.grid[part]
            for row, slot in enumerate(changing):
                slots[slot] = run.d[row, part]
            compute(grid, run.y[:, part], slots, data[:, part])
    for lane in np.flatnonzero(run.status != Status.DONE):  # what was not reached is not a value
        grid = task.grid if task.grid.ndim == 1 else task.grid[:, lane]
        unwritten = np.isnan(run.y[:, :, lane]).all(axis=0) if len(run.y) else grid == run.ended[lane]
        data[:, (grid > run.ended[lane]) | unwritten, lane] = np.nan
    return data


def lane_values(model: Model, values: Mapping[str, Value], lanes: int, start: float, symbol: str) -> Array:
    """Return the value that a symbol has at the start, (lanes,)."""
    program = compile_model(model)
    y, v = program.start(values, lanes, start)
    found = program.outputs((symbol,))(np.full(lanes, start), y, v)[0]
    return np.array(np.broadcast_to(found, lanes))
