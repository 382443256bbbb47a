"""What is done to lanes at times known beforehand: doses and interventions, each lane with its own list.

The steps of a lane end exactly at its next entry, so an entry is never stepped over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.solvers.dormand_prince import Array, Pick

ADD, SET, SCALE, DOSE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry changes: a row of the states, or a slot (of a constant or a discrete).

    Where it is an amount that the model's user knows as a concentration, `compartment` is where: what is set or added
    is a concentration, as at the start; a dose is an amount.
    """

    row: int = -1
    slot: int = -1
    compartment: str | None = None


@dataclass(slots=True)
class Schedule:
    """Entries in order of time for each lane: `times`, `amounts`, `actions`, `targets` are (entries, lanes); +inf
    pads `times`.

    `actions` holds ADD, SET, SCALE or DOSE, `targets` an index into `table`. `at` is each lane's next entry.
    """

    times: Array
    amounts: Array
    actions: npt.NDArray[np.int8]
    targets: npt.NDArray[np.intp]
    table: tuple[Target, ...]
    at: npt.NDArray[np.intp]

    def next(self, pick: Pick) -> Array:
        """Return the time of the next entry of the picked lanes; +inf after the last."""
        count = len(self.times)
        at = self.at[pick]
        return np.where(at < count, self.times[np.minimum(at, count - 1), pick], np.inf)

    def apply(self, block: Any, pick: Pick) -> Pick:
        """Do what is due now in the picked lanes of the block; return those in which something was done."""
        done = np.zeros(block.ids.size, dtype=bool)
        while (due := pick[self.next(pick) <= block.t[pick]]).size:
            at = self.at[due]
            targets, actions, amounts = self.targets[at, due], self.actions[at, due], self.amounts[at, due]
            for index in np.unique(targets):
                mask = targets == index
                target, lanes = self.table[index], due[mask]
                values = block.y[target.row] if target.row >= 0 else block.v[target.slot]
                old, action, amount = values[lanes], actions[mask], amounts[mask]
                if target.compartment is not None and np.any((action == SET) | (action == ADD)):
                    size = block.program.outputs((target.compartment,))(*block.part(lanes)[:3])[0]
                    amount = np.where((action == SET) | (action == ADD), amount * size, amount)
                values[lanes] = np.where(action == SET, amount, np.where(action == SCALE, old * amount, old + amount))
            self.at[due] += 1
            done[due] = True
        return np.flatnonzero(done)

    def keep(self, keep: Pick) -> "Schedule":
        """Return the schedule of the lanes that stay."""
        return Schedule(
            self.times[:, keep],
            self.amounts[:, keep],
            self.actions[:, keep],
            self.targets[:, keep],
            self.table,
            self.at[keep],
        )


def kept_slots(program: Any, changed: Iterable[int], outputs: Sequence[str]) -> list[int]:
    """Return the slots that change on the way and that these outputs read: discretes, what is looked back on, what a
    schedule sets (`changed`)."""
    names = (*program.discretes, *(f"delay:{at}" for at in range(len(program.delays))))
    slots = [program.slots[name] for name in names]
    slots += [slot for slot in dict.fromkeys(changed) if slot not in slots]
    read = {program.slots[name] for name in program.reads(outputs) if name in program.slots}
    return [slot for slot in slots if slot in read]
