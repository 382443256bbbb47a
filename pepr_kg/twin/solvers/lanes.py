"""The loop that integrates a block of lanes: each lane with its own time, step, error, events and status.

A lane is one patient under one scenario with one draw of the parameters. All arrays are (…, lanes). A lane never
reads another lane, and every operation is elementwise, so its bits do not depend on which lanes share its block.

What happens inside a step is smooth: relations (`a < b`, max, floor …) are *modes*, frozen while a step is made.
Where the guard of a mode turns negative, the step is cut at the crossing, found on the interpolant, and the mode is
set anew. This is how the kinks of heart valves cost two short steps and not the accuracy.

Error control: |error| <= atol + rtol (max(|y0|, |y1|, 1e-3 peak) + 1e-13 largest peak of all states) for every state,
peak being the largest value so far in this lane: a growth that starts far below its final size is followed as exactly
as any other. Step sizes by the elementary controller (Hairer, Nørsett, Wanner 1993, II.4).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.solvers.crossings import locate_guards, locate_relations, sample_guards
from pepr_kg.twin.solvers.delays import History
from pepr_kg.twin.solvers.dormand_prince import Array, Look, Pick
from pepr_kg.twin.solvers.events import Events
from pepr_kg.twin.solvers.run import Control, Run, Stepper, take
from pepr_kg.twin.solvers.schedule import Schedule
from pepr_kg.twin.status import Status

Flags = npt.NDArray[np.bool_]
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 6.0
_PEAK = 1e-3  # below this share of its own peak a state counts as small
# Of the step wanted, behind a crossing: rates may begin there like t ** 1.32 (a beat), of whose error in a long first
# step the estimate of the explicit pair sees a fourteenth.
_RESTART = 0.03
_LOOK = 500  # steps, after which the Jacobian is looked at: does stability hold the steps?
_TIRED = 50  # flips of a mode in a row, without any way made, after which a lane is taken to slide along the border
_SHORT = 0.3  # of the longest step of a lane
_EASY = 0.01  # a step with less than this share of the error allowed may be far too long to see a mode come and go
_FLOOR = 1e-13  # below this share of the largest state's peak it counts as zero


class Block:
    """A block of lanes on their way; `run` brings all of them to their last output time."""

    def __init__(
        self,
        program: Any,
        stepper: Stepper,
        t0: float,
        y0: Array,
        v: list[Any],
        grid: Array,
        control: Control,
        kept: list[int],
        events: Events | None = None,
        schedule: Schedule | None = None,
        history: History | None = None,
    ) -> None:
        states, lanes = y0.shape
        self.program, self.stepper, self.control = program, stepper, control
        self.events, self.schedule, self.history = events, schedule, history
        self.grid = grid  # (times,) for all lanes, or (times, lanes) with +inf after a lane's last
        self.ids = np.arange(lanes)
        self.t = np.full(lanes, float(t0))
        self.y = y0.copy()
        self.v = list(v)
        self.f = np.zeros_like(y0)
        self.h = np.zeros(lanes)
        self.peak = np.nan_to_num(np.abs(y0))
        self.undefined = bool(np.isnan(y0).any())  # a state without a value: what does not read it goes on
        self.steps = np.zeros(lanes, dtype=np.int64)
        self.status = np.full(lanes, Status.RUNNING, dtype=np.int8)
        self.flips = np.zeros(lanes, dtype=np.int64)
        self.widest = np.zeros(lanes)
        self.stiffness = np.zeros(lanes, dtype=np.int64)
        self.next_out = np.zeros(lanes, dtype=np.intp)
        self.due = np.zeros(lanes)
        self.stop = np.full(lanes, np.inf)
        self.end = (
            np.full(lanes, grid[-1]) if grid.ndim == 1 else np.max(np.where(np.isfinite(grid), grid, -np.inf), axis=0)
        )
        self.kept = kept
        count = len(grid)
        self.run_ = Run(
            np.full((states, count, lanes), np.nan),  # what is not written is not a value
            np.full((len(self.kept), count, lanes), np.nan),
            np.zeros(lanes, dtype=np.int8),
            np.zeros(lanes, dtype=np.int64),
            np.full(lanes, float(t0)),
        )
        self.atol = np.broadcast_to(np.asarray(control.atol, dtype=float).reshape(-1, 1), (states, 1))
        # Where triggers must be searched for, they are looked at no more rarely than outputs are asked for.
        self.longest = np.full(lanes, float(control.max_step))
        if events is not None and events.watched and count > 1:
            with np.errstate(invalid="ignore"):
                gaps = np.diff(grid, axis=0)
            widest = np.max(np.where(np.isfinite(gaps), gaps, 0.0), axis=0)
            self.longest = np.where(widest > 0, np.minimum(self.longest, widest), self.longest)
        self.look: Look | None = None if history is None else self.look_back

    # -- the way through -----------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Integrate until every lane has all its outputs or has failed."""
        with np.errstate(all="ignore"):
            self._begin()
            self._leave(force=True)
            while self.ids.size:
                self._step()
                self._leave()
        return self.run_

    def _begin(self) -> None:
        self.stepper.resize(self.ids.size)
        everyone = np.arange(self.ids.size)
        self.due = self._due(everyone)
        self._after_change(everyone)
        if self.schedule is not None:
            self._obey_schedule(everyone)
        if self.events is not None:
            self.events.begin(self)
            self._after_change(everyone)
        np.fmax(self.peak, np.abs(self.y), out=self.peak)
        if self.history is not None:
            self.history.begin(self.y, self.v)
        self._refresh(everyone)
        self._set_stops(everyone)
        self._emit_now()
        self.h[:] = self._first_steps()

    def _first_steps(self) -> Array:
        """Return first steps from the size of the states and of their rates (Hairer et al. 1993, II.4, first part)."""
        scale = self.atol + self.control.rtol * np.abs(self.y)
        known = scale > 0
        safe = np.where(known, scale, 1.0)
        size = np.max(np.where(known, np.abs(self.y), 0.0) / safe, axis=0, initial=0.0)
        slope = np.max(np.where(known, np.abs(self.f), 0.0) / safe, axis=0, initial=0.0)
        span = np.maximum(self.end - self.t, 0.0)
        first = np.where((size > 1e-5) & (slope > 1e-5), 0.01 * _RESTART * size / slope, 1e-6 * span)
        # A state that starts at zero makes any relative measure useless: begin with a small share of the way.
        first = np.where(np.any(~known & (self.f != 0), axis=0), np.minimum(first, 1e-4 * span), first)
        first = np.where(np.isfinite(first) & (first > 0), np.minimum(first, span), 1e-6 * span)
        least = np.spacing(np.abs(self.t)) * 16
        found: Array = np.maximum(np.minimum(first, self.control.max_step), least)
        return found

    def _step(self) -> None:  # noqa: PLR0915
        t, y, stepper, control = self.t, self.y, self.stepper, self.control
        gap = self.stop - t
        h = np.minimum(self.h, self.longest)
        if self.history is not None:
            h = np.minimum(h, self.history.longest_step(t, y, self.v))
        active = self.status == Status.RUNNING
        near = h >= gap * (1 - 1e-9)
        h = np.where(near & active, gap, h)
        half = (h < gap) & (h > 0.6 * gap) & active
        h = np.where(half, 0.5 * gap, h)
        h = np.where(h > 0, h, np.spacing(np.abs(t)) * 16)
        stepper.attempt(t, h, y, self.f, self.v, self.look)
        error = self._error()
        good = error <= 1.0
        accept = good & active
        factor = _SAFETY * np.maximum(error, 1e-10) ** (-1.0 / stepper.order)
        factor = np.where(np.isfinite(factor), np.clip(factor, _SHRINK, _GROW), _SHRINK)
        self.steps += active
        theta = np.ones_like(h)
        cut = self._cut(accept, h, theta, error) if accept.any() else np.zeros(0, dtype=np.intp)
        landed = accept & near & (theta == 1.0)
        t1 = np.where(landed, self.stop, t + theta * h)
        stuck = accept & (t1 == t) & (theta == 1.0) & ~landed  # near a pole: the states run, the time stands still
        self._emit_before(t1, accept, h)
        if cut.size:
            y_cut = self._dense_cut(h, cut, theta)
        if self.history is not None and accept[0]:
            self._remember(h, theta)
        if accept.all():
            self.y, stepper.y1 = stepper.y1, self.y
            self.f[...] = stepper.f1
        else:
            np.copyto(self.y, stepper.y1, where=accept)
            np.copyto(self.f, stepper.f1, where=accept)
        if cut.size:
            self.y[:, cut] = y_cut
        np.copyto(self.t, t1, where=accept)
        np.fmax(self.peak, np.abs(self.y), out=self.peak)
        # A step cut short, by a stop or by a crossing, says nothing against the step that was wanted.
        wanted = np.where(
            accept & (near | half), np.maximum(self.h, h * factor), h * np.where(good, factor, np.minimum(factor, 1.0))
        )
        np.copyto(self.h, wanted, where=active)
        self._watch(active & (~good | stuck), h)
        if control.stiff_after:
            self._feel_stiffness(accept, h)
        if cut.size:
            slope = self.f[:, cut]
            self._set_modes(cut)
            self._refresh(cut)
            # Not without end: events may crowd towards a point of time, which is to be passed (suite, 00374).
            least = np.minimum(self.h[cut], 1e-9 * np.abs(self.t[cut]))
            self.h[cut] = np.maximum(self.h[cut] * _RESTART, least)
            self._calm(cut, np.abs(self.f[:, cut] - slope))
        self._arrive(landed, cut)
        self._emit_now()

    def _error(self) -> Array:
        """Return the largest error of each lane, 1 being what is allowed; NaN where something is not a number."""
        stepper = self.stepper
        scale = np.maximum(np.maximum(np.abs(self.y), np.abs(stepper.y1)), _PEAK * self.peak)
        scale += _FLOOR * np.max(self.peak, axis=0, initial=0.0)
        scale *= self.control.rtol
        scale += self.atol
        scale += 1e-300
        size, slope = np.abs(stepper.error) / scale, stepper.f1
        if self.undefined:
            blank = np.isnan(self.y)
            size, slope = np.where(blank, 0.0, size), np.where(blank, 0.0, slope)
        error: Array = np.max(size, axis=0, initial=0.0)
        error += 0.0 * np.sum(slope, axis=0)  # rates that are not finite make the step bad
        return error

    def _remember(self, h: Array, theta: Array) -> None:
        """Keep the step for those that look back on it (a block with a history has one lane)."""
        assert self.history is not None
        dense, share = self.stepper.dense(h.copy(), self.y.copy(), np.array([0])), theta.copy()
        self.history.add(float(self.t[0]), float(self.t[0] + theta[0] * h[0]), lambda part: dense(part * share), self.v)

    def _feel_stiffness(self, accept: Flags, h: Array) -> None:
        """Give up a lane whose steps are held by stability and not by accuracy (Hairer & Wanner 1996, IV.2)."""
        rate = getattr(self.stepper, "stiffness", None)
        if rate is None:
            return
        bound = rate() * h > 3.25
        self.stiffness = np.where(
            accept, np.where(bound, self.stiffness + 1, np.maximum(self.stiffness - 3, 0)), self.stiffness
        )
        due = np.flatnonzero(accept & (self.steps % _LOOK == 0))
        held = due[self._radius(due, 2.5 / h[due]) * h[due] > 2.5] if due.size else due
        self.stiffness[held] = self.control.stiff_after
        self._fail(
            np.flatnonzero((self.stiffness >= self.control.stiff_after) & (self.status == Status.RUNNING)), Status.STIFF
        )

    def _radius(self, pick: Pick, least: Array) -> Array:
        """Return the spectral radius of the Jacobian of these lanes, or a bound of it where that is below `least`.

        The estimate of the stepper misses a fast state that has died away; here none is missed.
        """
        t, y, v, w = self.part(pick)
        count = len(y)
        jac, drift = np.zeros((count, count, pick.size)), np.zeros((count, pick.size))
        with np.errstate(all="ignore"):
            self.program.jacobian(t, y, v, w, jac, drift)
        size = np.abs(jac)
        bound: Array = np.minimum(size.sum(axis=0).max(axis=0, initial=0.0), size.sum(axis=1).max(axis=0, initial=0.0))
        high = np.flatnonzero((bound > least) & np.isfinite(bound))
        if high.size:
            bound[high] = np.abs(np.linalg.eigvals(jac[:, :, high].transpose(2, 0, 1))).max(axis=1)
        return bound

    # -- crossings -----------------------------------------------------------------------------------------------

    def _cut(self, accept: Flags, h: Array, theta: Array, error: Array) -> Pick:
        """Shorten `theta` where a mode or a trigger changes inside the step; return the lanes that were cut."""
        found = np.zeros(self.ids.size, dtype=bool)
        if len(self.stepper.guards):
            tired = self.flips >= _TIRED
            crossed = np.any(self.stepper.dips < 0, axis=0) & accept
            # A step without any error may be long enough for a mode to come and go between the stages; one that is
            # short beside others of its lane, as behind a crossing, is not.
            long = (error < _EASY) & (h > _SHORT * self.widest)
            np.maximum(self.widest, h, out=self.widest, where=accept)
            easy = sample_guards(self, np.flatnonzero(accept & ~crossed & long), h, True)
            if self.stepper.dips is self.stepper.guards:  # this stepper does not look at them within a step
                hard = sample_guards(self, np.flatnonzero(accept & ~crossed & ~long), h, False)
                crossed[hard] = True
            for pick, fine in ((np.flatnonzero(crossed & ~tired), False), (easy[~tired[easy]], True)):
                if pick.size:
                    theta[pick], inside = locate_guards(self, pick, h, fine)
                    found[pick[inside]] = True
                    quick = inside & (theta[pick] < 1e-7)
                    self.flips[pick] = np.where(quick, self.flips[pick] + 1, 0)
            found |= accept & tired & np.any(self.stepper.guards < 0, axis=0)
        if self.events is not None and self.events.watched:
            pick = locate_relations(self, accept, h, theta)
            found[pick] = True
        return np.flatnonzero(found)

    def _calm(self, cut: Pick, jump: Array) -> None:
        """Shorten the steps of lanes whose modes flip without end until the wrong mode does no harm within a step."""
        tired = self.flips[cut] >= _TIRED
        if tired.any():
            scale = self.atol + self.control.rtol * np.maximum(np.abs(self.y[:, cut]), _PEAK * self.peak[:, cut])
            harmless = np.min(np.where(jump > 0, scale / np.where(jump > 0, jump, 1.0), np.inf), axis=0, initial=np.inf)
            self.h[cut] = np.where(tired, np.minimum(self.h[cut], harmless), self.h[cut])

    def _dense_cut(self, h: Array, cut: Pick, theta: Array) -> Array:
        whole = theta[cut] == 1.0
        y = self.stepper.dense(h, self.y, cut)(theta[cut])
        return np.where(whole, self.stepper.y1[:, cut], y)

    def _set_modes(self, pick: Pick) -> None:
        """Set the modes of these lanes to what holds now."""
        if not self.program.modes:
            return
        t, y, v, w = self.part(pick)
        self.look_back(t, y, v)
        values = self.program.mode_values(t, y, v, w)
        for slot, value in zip(self.program.mode_slots, values, strict=True):
            self.v[slot][pick] = value

    def look_back(self, t: Array, y: Array, v: list[Any] | None = None) -> None:
        """Fill the slots with what the model looks back on from (t, y); nothing where it does not look back."""
        if self.history is not None:
            self.history.fill(t, y, self.v if v is None else v)

    def part(self, pick: Pick) -> tuple[Array, Array, list[Any], list[Array]]:
        """Return time, states, slots and fresh work buffers of the picked lanes; of all, the arrays themselves."""
        if pick.size == self.ids.size:
            return self.t, self.y, self.v, [np.empty(pick.size) for _ in self.stepper.work]
        return self.t[pick], self.y[:, pick], take(self.v, pick), [np.empty(pick.size) for _ in self.stepper.work]

    def _refresh(self, pick: Pick) -> None:
        """Compute the rates of these lanes anew: their modes, values or states have changed."""
        t, y, v, w = self.part(pick)
        dy = np.empty_like(y)
        self.look_back(t, y, v)
        self.program.rates(t, y, v, w, dy)
        self.f[:, pick] = dy

    # -- stops: doses, events, outputs ---------------------------------------------------------------------------

    def _arrive(self, landed: Flags, cut: Pick) -> None:
        """Do what is due where lanes have come to a stop or to a crossing."""
        if self.schedule is None and self.events is None and self.history is None:
            return
        here = landed.copy()
        here[cut] = True
        pick = np.flatnonzero(here & (self.t < np.inf))
        if not pick.size:
            return
        changed = np.zeros(self.ids.size, dtype=bool)
        if self.schedule is not None:
            changed[self._obey_schedule(pick)] = True
        if self.events is not None:
            acted = self.events.happen(self, pick)
            if acted.size:
                changed[acted] = True
                self._after_change(acted)
        moved = np.flatnonzero(changed)
        if moved.size:
            self._refresh(moved)
            np.fmax(self.peak, np.abs(self.y), out=self.peak)
            if self.history is not None:
                self.history.mark(float(self.t[0]), self.y, self.v)
        self._set_stops(pick)

    def _obey_schedule(self, pick: Pick) -> Pick:
        """Do what is due now; what follows from it is up to date before triggers are looked at."""
        assert self.schedule is not None
        done = self.schedule.apply(self, pick)
        if done.size:
            self._after_change(done)
        return done

    def _after_change(self, pick: Pick) -> None:
        """Bring what follows from states and discretes up to date in these lanes."""
        self.prepare(pick)
        if self.program.algebraic:
            self.settle(pick)
        self._set_modes(pick)

    def prepare(self, pick: Pick) -> None:
        """Compute the hoisted slots of these lanes anew."""
        v = take(self.v, pick)
        self.program.prepare(v)
        for slot in self.program.hoisted:
            if isinstance(self.v[slot], np.ndarray):
                self.v[slot][pick] = v[slot]

    def settle(self, pick: Pick) -> None:
        """Solve the constraints for the algebraic rows of these lanes; lanes for which that fails are given up."""
        y, solved = self.program.settle(*self.part(pick))
        self.y[:, pick] = y
        self._fail(pick[~solved], Status.UNSOLVED)

    def _set_stops(self, pick: Pick) -> None:
        stop = self.end[pick].copy()
        if self.schedule is not None:
            np.minimum(stop, self.schedule.next(pick), out=stop)
        if self.events is not None:
            np.minimum(stop, self.events.next(self, pick), out=stop)
        if self.history is not None:
            stop = np.minimum(stop, self.history.next_break(float(self.t[0])))
        self.stop[pick] = stop

    # -- outputs -------------------------------------------------------------------------------------------------

    def _due(self, pick: Pick) -> Array:
        """Return the next output time of these lanes; +inf after the last."""
        count = len(self.grid)
        at = self.next_out[pick]
        safe = np.minimum(at, count - 1)
        time = self.grid[safe] if self.grid.ndim == 1 else self.grid[safe, self.ids[pick]]
        return np.where(at < count, time, np.inf)

    def _emit_before(self, t1: Array, accept: Flags, h: Array) -> None:
        """Write the outputs that lie strictly inside the accepted steps, from the interpolant."""
        due = accept & (self.due < t1)
        pick = np.flatnonzero(due)
        if not pick.size:
            return
        whole = pick.size * 3 > self.ids.size  # gathering the stages of many lanes costs more than computing all
        base: Any = slice(None) if whole else pick
        dense = self.stepper.dense(h, self.y, None if whole else pick)
        t, t1, h, late = self.t[base], t1[base], h[base], due[base]
        while late.any():
            values = dense(np.where(late, (self.due[base] - t) / h, 0.0))
            lanes = np.flatnonzero(late) if whole else pick[late]
            self._write(lanes, values if lanes.size == late.size else values[:, late])
            late &= self.due[base] < t1

    def _emit_now(self) -> None:
        """Write the outputs that are due at the very time of their lanes; lanes without any more are done."""
        running = self.status == Status.RUNNING
        while (pick := np.flatnonzero((self.due <= self.t) & running)).size:
            self._write(pick, self.y[:, pick])
        self.status[running & np.isposinf(self.due)] = Status.DONE

    def _write(self, lanes: Pick, y: Array) -> None:
        at, ids = self.next_out[lanes], self.ids[lanes]
        self.look_back(self.due[lanes], y)
        self.run_.y[:, at, ids] = y
        for row, slot in enumerate(self.kept):
            self.run_.d[row, at, ids] = self.v[slot][lanes]
        self.next_out[lanes] += 1
        self.due[lanes] = self._due(lanes)

    # -- lanes that end ------------------------------------------------------------------------------------------

    def _watch(self, bad: Flags, h: Array) -> None:
        """Give up lanes whose step has shrunk to nothing, and those that have used up their steps."""
        running = self.status == Status.RUNNING
        tiny = bad & (h <= np.spacing(np.abs(self.t)) * 64) & running
        if tiny.any():
            finite = np.isfinite(self.stepper.y1).all(axis=0) & np.isfinite(self.stepper.f1).all(axis=0)
            self._fail(np.flatnonzero(tiny & finite), Status.STEP_TOO_SMALL)
            self._fail(np.flatnonzero(tiny & ~finite), Status.NOT_FINITE)
        spent = (self.steps >= self.control.max_steps) & running
        if spent.any():
            self._fail(np.flatnonzero(spent), Status.STEP_LIMIT)

    def _fail(self, pick: Pick, status: Status) -> None:
        self.status[pick] = status

    def _leave(self, force: bool = False) -> None:
        """Drop the lanes that have ended, once they are many: the others have the block to themselves."""
        running = self.status == Status.RUNNING
        count = int(np.count_nonzero(running))
        if count == running.size or (count * 4 > running.size * 3 and not force):
            return
        gone = ~running
        ids = self.ids[gone]
        self.run_.status[ids] = self.status[gone]
        self.run_.steps[ids] = self.steps[gone]
        self.run_.ended[ids] = self.t[gone]
        keep = np.flatnonzero(running)
        for name in (
            "ids",
            "t",
            "h",
            "steps",
            "status",
            "flips",
            "widest",
            "stiffness",
            "next_out",
            "due",
            "stop",
            "end",
            "longest",
        ):
            setattr(self, name, getattr(self, name)[keep])
        self.y, self.f, self.peak = self.y[:, keep], self.f[:, keep], self.peak[:, keep]
        self.v = take(self.v, keep)
        if self.events is not None:
            self.events.keep(keep)
        if self.schedule is not None:
            self.schedule = self.schedule.keep(keep)
        self.stepper.resize(keep.size)
