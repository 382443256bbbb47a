"""The periodic state of a fast model, each lane with its own period: the state that a beat brings back to itself.

A beat maps the states y at its start to P(y) at its end. Running beat after beat gets there slowly (every beat takes
away the same share of the distance); Anderson's acceleration combines the last few beats so that the distance of the
combination is least, and needs a few. The combinations are affine, so whatever every beat conserves (a total volume)
they conserve too. A steady state is the periodic state of any period.

Sources: Anderson, J ACM 1965;12:547; Walker & Ni, SIAM J Numer Anal 2011;49:1715.

>>> from pepr_kg.twin.builtin import builtin
>>> from pepr_kg.twin.sbml.reading import read_model
>>> found = find_periodic(read_model(builtin("lv-windkessel").path), {"Emax": [1.0, 2.0]}, period="T")
>>> found.states["Vlv"].round(1).tolist(), bool(found.beats.max() < 25)
([162.2, 152.2], True)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.cohort import Given, read_cohort
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.coupling.waveform import Indices, Side, advance
from pepr_kg.twin.errors import BadValue, ModelUnsupported, NotSteady, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.status import Status

_DEPTH = 3  # beats that are combined
_ALIKE = 1e-7  # two changes whose directions differ by less count as one
_WORSE = 2.0  # growth of the distance after which the combination is dropped

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Beats:
    """How a periodic state is looked for.

    `period` is a symbol of the model or a number, in its time unit; `tolerance` the largest change in a beat of a
    state relative to its size; `most` the bound on beats.
    """

    period: str | float
    tolerance: float = 1e-6
    most: int = 200


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """The lanes at the start of the beat that repeats itself, how many beats each took, its period, its status."""

    side: Side
    beats: npt.NDArray[np.int64]
    period: Array
    status: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Periodic:
    """The periodic states of a cohort: by state (patients,), with the beats that it took and the period."""

    patients: tuple[str, ...]
    states: Mapping[str, Array]
    beats: npt.NDArray[np.int64]
    period: Array


def find_periodic(
    model: Model, patients: Mapping[str, Given] | None = None, *, period: str | float, tolerance: float = 1e-6,
    most: int = 200, rtol: float = 1e-8,
) -> Periodic:  # fmt: skip
    """Return the periodic state of each patient, at the start of a period.

    Raises `NotSteady` for the first patient that has none within `most` periods, `UnknownSymbol`, `BadValue`, and
    what `read_cohort` raises.
    """
    cohort = read_cohort(model, patients or {})
    side = begin(model, cohort.values, len(cohort), 0.0)
    found = settle(side, Beats(period, tolerance, most), Control(rtol=rtol))
    failed = np.flatnonzero(found.status != Status.DONE)
    if failed.size:
        refuse_unsteady(model, cohort.patients[failed[0]], Status(int(found.status[failed[0]])), most)
    names = (*model.states, *model.algebraic)
    return Periodic(cohort.patients, dict(zip(names, found.side.states, strict=True)), found.beats, found.period)


def refuse_unsteady(model: Model, patient: str, status: Status, most: int) -> None:
    """Raise `NotSteady` for a patient, with what became of its lane."""
    late = status is Status.NOT_STEADY
    raise NotSteady(model=model.name, patient=patient, detail={
        "en": f"it still changes after {most} periods" if late else status.sentence("en").rstrip("."),
        "fr": f"il change encore après {most} périodes" if late else status.sentence("fr").rstrip("."),
    })  # fmt: skip


def begin(model: Model, values: Mapping[str, Value], lanes: int, time: float) -> Side:
    """Return the lanes of a model at its start: the values given, else those of the model.

    Raises `ModelUnsupported` for events and delays: what they remember does not pass from one stretch to the next.
    """
    program = compile_model(model)
    if model.events or program.delays:
        raise ModelUnsupported(
            model=model.name,
            construct={
                "en": "events" if model.events else "delays",
                "fr": "des événements" if model.events else "des retards",
            },
            detail={"en": "a coupled model must be without memory", "fr": "un modèle couplé doit être sans mémoire"},
        )
    y, v = program.start(values, lanes, time)
    fixed: dict[str, Value] = {name: v[program.slots[name]] for name in (*model.constants, *model.discretes)}
    return Side(model, y, fixed)


def periods(side: Side, beats: Beats) -> Array:
    """Return each lane's period (lanes,). Raises `UnknownSymbol`, and `BadValue` where it is not above zero."""
    model, lanes = side.model, side.states.shape[1]
    if isinstance(beats.period, str):
        if beats.period not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=beats.period, known=suggest(beats.period, model.symbols))
        found = side.read((beats.period,), 0.0)[0]
    else:
        found = np.full(lanes, float(beats.period))
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0.0)))
    if bad.size:
        raise BadValue(model=model.name, symbol=str(beats.period), patient="*", value=found[bad[0]], detail={
            "en": "a period above zero was expected", "fr": "il faut une période supérieure à zéro"})  # fmt: skip
    return np.asarray(found)


def settle(side: Side, beats: Beats, control: Control) -> Settled:
    """Return the lanes in their periodic states, found from the states they are in."""
    lanes = side.states.shape[1]
    period = periods(side, beats)
    states = side.states.copy()
    count = np.zeros(lanes, dtype=np.int64)
    status = np.full(lanes, Status.NOT_STEADY, dtype=np.int8)
    search = _Search(side.pick(np.arange(lanes)), period, control)
    active = np.arange(lanes)
    for _ in range(beats.most):
        done, failed = search.beat(beats.tolerance)
        count[active] += 1
        leaving = done | failed
        if leaving.any():
            out = active[leaving]
            states[:, out] = search.side.states[:, leaving]
            status[out] = np.where(failed[leaving], search.status[leaving], Status.DONE)
            active = active[~leaving]
            if not active.size:
                break
            search.keep(np.flatnonzero(~leaving))
        search.combine()
    states[:, active] = search.side.states if active.size else states[:, active]
    return Settled(replace(side, states=states), count, period, status)


class _Search:
    """Lanes on their way to their periodic states, with the last beats of each."""

    def __init__(self, side: Side, period: Array, control: Control) -> None:
        rows, lanes = side.states.shape
        self.side, self.period, self.control = side, period, control
        self.mapped = side.states  # where the last beat led
        self.change = np.full((rows, lanes), np.nan)  # of the last beat
        self.distance = np.full(lanes, np.inf)
        self.combined = np.zeros(lanes, dtype=bool)  # the present state is a combination and not where a beat led
        self.status = np.zeros(lanes, dtype=np.int8)
        self.steps_changed = np.zeros((_DEPTH, rows, lanes))  # differences between successive changes, the newest first
        self.steps_mapped = np.zeros((_DEPTH, rows, lanes))
        self.known = np.zeros(lanes, dtype=np.intp)

    def beat(self, tolerance: float) -> tuple[Flags, Flags]:
        """Run a beat of every lane; return which are there, at the end of that beat, and which have failed."""
        run = advance(self.side, 0.0, self.period[None], (), self.control)
        bad = run.status != Status.DONE
        change = run.states - self.side.states
        size = np.maximum(np.abs(run.states), np.abs(self.side.states))
        distance = (
            np.max(np.abs(change) / np.maximum(size, np.finfo(float).tiny), axis=0)
            if len(change)
            else np.zeros(bad.size)
        )
        failed = bad & ~self.combined
        worse = self.combined & (bad | ~(distance <= _WORSE * self.distance))
        self.status = run.status
        first = ~np.isfinite(self.distance)
        fine = ~worse & ~failed
        grown = fine & ~first
        for kept, new, old in ((self.steps_changed, change, self.change), (self.steps_mapped, run.states, self.mapped)):
            kept[1:, :, grown] = kept[:-1, :, grown]
            kept[0][:, grown] = (new - old)[:, grown]
        self.known = np.where(grown, np.minimum(self.known + 1, _DEPTH), np.where(worse, 0, self.known))
        # a combination that led away is forgotten: the lane goes on from where its last good beat led
        self.mapped = np.where(worse, self.mapped, run.states)
        self.change = np.where(worse, self.change, change)
        self.distance = np.where(worse, np.inf, distance)
        self.combined = worse  # marks, until `combine`, the lanes that go back
        done = fine & (distance <= tolerance)
        self.side = replace(self.side, states=self.mapped.copy())
        return done, failed

    def combine(self) -> None:
        """Move every lane to the best combination of its last beats."""
        back = self.combined
        weights = _least(self.steps_changed, self.change, self.known, np.abs(self.mapped))
        target = self.mapped.copy()
        for weight, step in zip(weights, self.steps_mapped, strict=True):
            target -= weight * step
        usable = np.isfinite(target).all(axis=0) & (self.known > 0) & ~back
        self.side = replace(self.side, states=np.where(usable, target, self.mapped))
        self.combined = usable

    def keep(self, lanes: Indices) -> None:
        """Drop the lanes that have finished."""
        self.side = self.side.pick(lanes)
        for name in ("period", "distance", "combined", "status", "known"):
            setattr(self, name, getattr(self, name)[lanes])
        for name in ("mapped", "change"):
            setattr(self, name, getattr(self, name)[:, lanes])
        self.steps_changed, self.steps_mapped = self.steps_changed[:, :, lanes], self.steps_mapped[:, :, lanes]


def _least(columns: Array, goal: Array, known: Indices, size: Array) -> Array:
    """Return the weights (depth, lanes) with which the columns (depth, rows, lanes) come nearest to `goal` (rows,
    lanes).

    By Gram-Schmidt, relative to the `size` (rows, lanes) of the states; a column that adds no direction has the
    weight 0. Sums are made row by row, so that a lane's bits do not depend on the others.
    """
    depth, rows, lanes = columns.shape
    scale = 1.0 / np.where(size > 0.0, size, 1.0)
    rest = goal * scale
    basis: list[Array] = []
    upper = np.zeros((depth, depth, lanes))
    along = np.zeros((depth, lanes))
    for at in range(depth):
        column = np.where(known > at, columns[at] * scale, 0.0)
        before = _length(column, rows)
        for earlier, direction in enumerate(basis):
            upper[earlier, at] = _dot(direction, column, rows)
            column = column - upper[earlier, at] * direction
        length = _length(column, rows)
        good = length > _ALIKE * before
        direction = np.where(good, column / np.where(good, length, 1.0), 0.0)
        upper[at, at] = np.where(good, length, 0.0)
        along[at] = _dot(direction, rest, rows)
        rest = rest - along[at] * direction
        basis.append(direction)
    weights = np.zeros((depth, lanes))
    for at in range(depth - 1, -1, -1):
        total = along[at].copy()
        for later in range(at + 1, depth):
            total -= upper[at, later] * weights[later]
        good = upper[at, at] > 0.0
        weights[at] = np.where(good, total / np.where(good, upper[at, at], 1.0), 0.0)
    return weights


def _dot(left: Array, right: Array, rows: int) -> Array:
    return np.asarray(sum((left[row] * right[row] for row in range(rows)), np.zeros(left.shape[1])))


def _length(column: Array, rows: int) -> Array:
    return np.sqrt(_dot(column, column, rows))
