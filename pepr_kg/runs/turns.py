"""One writer at a time: whoever has finished computing waits for the other to commit."""

import time
from typing import Final

from pepr_kg.errors import DatasetLocked
from pepr_kg.store import Change, Dataset

_LOOK: Final = 0.05  # seconds between two looks


def take_turn(dataset: Dataset, who: str, source: str, deadline: float) -> Change:
    """Return a change, as soon as nobody else writes; `deadline` is a time of `time.monotonic()`.

    Raises `DatasetLocked` when it has passed, and what `Dataset.change` raises.
    """
    while True:
        try:
            return dataset.change(who=who, source=source)
        except DatasetLocked:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK)
