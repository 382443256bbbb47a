"""What an evaluation tells on its way, and what it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pepr_kg.runs.preparation import Prepared
from pepr_kg.runs.reading import Aside

Array = npt.NDArray[np.float64]

STAGES = RESOLVE, COMPUTE, ASSEMBLE, VALIDATE, WRITE = "resolve", "compute", "assemble", "validate", "write"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: `stage` is one of `STAGES`, `done` of `total` patients, `rate` of them a second, `reused` of them
    from an earlier attempt.
    """

    stage: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    reused: int = 0


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a question.

    status: "finished", or "failed" where nobody could be evaluated. evaluated: of the patients, how many have a
    prediction. outcomes: how many patients by outcome. predictions and triples: what this call wrote in the graph.
    seconds: by stage. version: the content digest of the dataset that holds it. replaces: the runs (IRIs) whose place
    it takes. specimen: how many patients' predictions were validated one by one, where it was not all.
    """

    id: str
    iri: str
    key: str
    reused: bool
    status: str
    model: str
    patients: int
    evaluated: int
    outcomes: Mapping[str, int]
    folder: Path
    predictions: int = 0
    triples: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    version: str = ""
    replaces: tuple[str, ...] = ()
    specimen: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """Arrays of a question, of which nothing was written.

    patients: IRIs of those evaluated; times (patients, times): the model's; data (statistics, outputs, patients,
    scenarios, times), in `units`; status (patients, scenarios): codes of `twin.Status`; aside: who was set aside.
    """

    model: str
    patients: tuple[str, ...]
    scenarios: tuple[str, ...]
    times: Array
    time_unit: str
    outputs: tuple[str, ...]
    units: tuple[str, ...]
    statistics: tuple[str, ...]
    data: Array
    status: npt.NDArray[np.int8]
    fitted: bool
    methods: tuple[str, ...]
    aside: tuple[Aside, ...]
    prepared: Prepared

    def values(self, output: str, statistic: str | None = None) -> Array:
        """Return a figure, (patients, scenarios, times): the value, or of several draws the median or what is named."""
        name = statistic or ("q50" if len(self.statistics) > 1 else self.statistics[0])
        found: Array = self.data[self.statistics.index(name), self.outputs.index(output)]
        return found
