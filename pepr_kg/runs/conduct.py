"""How a question is worked on: where it is computed, who is told, who may stop it, what is validated, within which
bounds.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pepr_kg.runs.executors import Executor, Serial
from pepr_kg.runs.results import Progress, Tell
from pepr_kg.settings import Settings
from pepr_kg.store import NamedNode, View
from pepr_kg.validation import Report, validate_graphs

SPECIMEN: Final = 1_000  # patients whose predictions are validated one by one

Validate = Callable[[View, Sequence[NamedNode]], Report]


def silent(_: Progress) -> None:
    """Tell nobody."""


def never() -> bool:
    """Return that nobody cancels."""
    return False


@dataclass(frozen=True, slots=True)
class Conduct:
    """What `evaluation.evaluate` is told beside the question.

    specimen: patients whose predictions are validated one by one; None: all. Nothing that stands once in a run is left
    out, and the predictions of further patients are checked as sets (`checking`). seconds: counted by stage.
    """

    executor: Executor = field(default_factory=Serial)
    tell: Tell = silent
    cancelled: Callable[[], bool] = never
    validate: Validate = validate_graphs
    specimen: int | None = SPECIMEN
    settings: Settings = field(default_factory=Settings)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, done: int = 0, total: int = 0) -> Iterator[None]:
        """Say that a stage begins, and count its time; a stage within another is not counted twice."""
        self.tell(Progress(name, done, total))
        begun, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            within = sum(self.seconds.values()) - before
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun - within
