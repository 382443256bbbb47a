"""SBML events on lanes: when triggers turn, what is delayed, which goes first, what is assigned.

Semantics: SBML Level 3 Version 2 Core, section 4.12. An event fires when its trigger turns from false to true; its
assignments are made after its delay; of several that are due at once the one of highest priority goes first, equals
in an order drawn at random; after each, triggers are looked at anew, and an event that is not persistent is dropped
once its trigger is false.

Lanes in which one event without delay fires and nothing waits are served together; the others one by one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.compiler.analysis import time_events
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.dormand_prince import Array, Pick
from pepr_kg.twin.status import Status

_CASCADE = 2_000  # events at one instant of one lane; more is a model that never comes to rest


@dataclass(slots=True)
class _Waiting:
    """An event that has fired and waits: when it is due, and its values where they were computed at once."""

    event: int
    due: float
    values: list[Array] | None


class Events:
    """The events of all lanes of a block: `state` (events, lanes) is what each trigger was when last looked at."""

    def __init__(
        self, model: Model, program: Any, lanes: int, keys: npt.NDArray[np.int64] | None = None, seed: int = 0
    ) -> None:
        self.program = program
        self.list = model.events
        self.state = np.repeat(np.array([[event.initial] for event in model.events], dtype=bool), lanes, axis=1)
        self.waiting: dict[int, list[_Waiting]] = {}
        self.timed = time_events(model)
        known = {item.event for item in self.timed}
        self.watched = any(at not in known for at in range(len(model.events)))
        self.looks_back = any(event.trigger.has("delay") for event in model.events) or (
            bool(program.delays)
            and any(event.trigger.symbols & {item.symbol for item in model.assignments} for event in model.events)
        )
        self.endless = np.full(lanes, np.nan)  # when a lane's events began to set one another off without end
        self._simple = np.array([item.delay is None for item in model.events])
        self._keys = np.arange(lanes) if keys is None else keys
        self._seed = seed
        self._draws: dict[int, np.random.Generator] = {}

    def keep(self, keep: Pick) -> None:
        """Drop the lanes that have ended."""
        self.state = self.state[:, keep]

    def begin(self, block: Any) -> None:
        """Fire what is true at the start and was false before it."""
        self.happen(block, np.arange(block.ids.size))

    def next(self, block: Any, pick: Pick) -> Array:
        """Return the next time known beforehand at which something happens in the picked lanes."""
        found = np.full(pick.size, np.inf)
        if self.timed:
            t, y, v, _ = block.part(pick)
            for item in self.timed:
                when = np.broadcast_to(item.when(t, y, v), t.shape)
                when = np.where(item.strict, np.nextafter(when, np.inf), when)
                ahead = (when > t) & np.broadcast_to(item.holds(t, y, v), t.shape)
                np.minimum(found, np.where(ahead, when, np.inf), out=found)
        if self.waiting:
            for at, lane in enumerate(block.ids[pick]):
                if not np.isnan(self.endless[lane]):
                    continue
                for waiting in self.waiting.get(int(lane), ()):
                    found[at] = min(found[at], waiting.due)
        return found

    def happen(self, block: Any, pick: Pick) -> Pick:
        """Do what triggers and waiting events ask for now, in the picked lanes; return the lanes that were changed."""
        changed = np.zeros(block.ids.size, dtype=bool)
        pick = pick[np.isnan(self.endless[block.ids[pick]])]
        for _ in range(_CASCADE):
            t, y, v, w = block.part(pick)
            block.look_back(t, y, v)
            now = self.program.triggers(t, y, v, w)
            rise = now & ~self.state[:, pick]
            busy = (
                np.array([int(lane) in self.waiting for lane in block.ids[pick]], dtype=bool)
                if self.waiting
                else np.zeros(pick.size, dtype=bool)
            )
            count = rise.sum(axis=0)
            plain = (count == 1) & ~busy & self._simple[np.argmax(rise, axis=0)]
            for at in np.flatnonzero((count > 1) | busy | ((count == 1) & ~plain)):
                if self._serve(block, int(pick[at])):
                    changed[pick[at]] = True
            rest = (count == 0) & ~busy
            self.state[:, pick[rest | plain]] = now[:, rest | plain]
            for event in np.unique(np.argmax(rise, axis=0)[plain]):
                lanes = pick[plain & (np.argmax(rise, axis=0) == event)]
                self._assign(block, lanes, event, self._values(block, lanes, event))
                changed[lanes] = True
            pick = pick[plain]
            if not pick.size:
                break
        else:
            self._give_up(block, pick)
        return np.flatnonzero(changed)

    def _give_up(self, block: Any, pick: Pick) -> None:
        block.status[pick] = Status.NOT_RESTING
        self.endless[block.ids[pick]] = block.t[pick]

    # -- one lane at a time --------------------------------------------------------------------------------------

    def _serve(self, block: Any, lane: int) -> bool:
        """Fire and execute, in one lane, until nothing more is due; return whether anything was assigned."""
        pick = np.array([lane])
        name = int(block.ids[lane])
        queue = self.waiting.setdefault(name, [])
        done = False
        for _ in range(_CASCADE):
            t, y, v, w = block.part(pick)
            block.look_back(t, y, v)
            now = self.program.triggers(t, y, v, w)[:, 0]
            before = self.state[:, lane].copy()
            self.state[:, lane] = now
            for event in np.flatnonzero(now & ~before):
                queue.append(self._fire(block, pick, int(event)))
            for event in np.flatnonzero(before & ~now):
                if not self.list[event].persistent:
                    queue[:] = [item for item in queue if item.event != event]
            ready = [item for item in queue if item.due <= block.t[lane]]
            if not ready:
                break
            chosen = self._choose(block, pick, name, ready)
            queue.remove(chosen)
            values = chosen.values if chosen.values is not None else self._values(block, pick, chosen.event)
            self._assign(block, pick, chosen.event, values)
            done = True
        else:
            self._give_up(block, pick)
        if not queue:
            del self.waiting[name]
        return done

    def _fire(self, block: Any, pick: Pick, event: int) -> _Waiting:
        item = self.list[event]
        t, y, v, _ = block.part(pick)
        block.look_back(t, y, v)
        wait = 0.0 if item.delay is None else float(np.broadcast_to(self.program.delay(event, t, y, v), 1)[0])
        values = self._values(block, pick, event) if item.from_trigger else None
        return _Waiting(event, float(t[0]) + max(wait, 0.0), values)

    def _choose(self, block: Any, pick: Pick, name: int, ready: list[_Waiting]) -> _Waiting:
        if len(ready) == 1:
            return ready[0]
        t, y, v, _ = block.part(pick)
        ranks = []
        for item in ready:
            known = self.list[item.event].priority is not None
            ranks.append(float(np.broadcast_to(self.program.priority(item.event, t, y, v), 1)[0]) if known else -np.inf)
        best = [item for item, rank in zip(ready, ranks, strict=True) if rank == max(ranks)]
        if len(best) == 1:
            return best[0]
        if name not in self._draws:  # a lane's luck is its own: it does not depend on the other lanes
            self._draws[name] = np.random.default_rng((self._seed, int(self._keys[name])))
        return best[int(self._draws[name].integers(len(best)))]

    # -- assignments ---------------------------------------------------------------------------------------------

    def _values(self, block: Any, pick: Pick, event: int) -> list[Array]:
        t, y, v, _ = block.part(pick)
        block.look_back(t, y, v)
        return [np.broadcast_to(value, pick.shape).copy() for value in self.program.event_values(event, t, y, v)]

    def _assign(self, block: Any, pick: Pick, event: int, values: list[Array]) -> None:
        """Give the values to their symbols, all at once: a concentration is one in the compartment as it was (suite,
        01779).
        """
        targets = self.list[event].assignments
        t, y, v, _ = block.part(pick)
        sizes = [
            1.0 if item.compartment is None else self.program.outputs((item.compartment,))(t, y, v)[0]
            for item in targets
        ]
        for target, value, size in zip(targets, values, sizes, strict=True):
            self._give(block, pick, target.symbol, value * size)
        block.prepare(pick)
        if self.program.algebraic:
            block.settle(pick)

    def _give(self, block: Any, pick: Pick, symbol: str, value: Array) -> None:
        if symbol in self.program.rows:
            block.y[self.program.rows[symbol], pick] = value
        else:
            block.v[self.program.slots[symbol]][pick] = value
