"""What an evaluation gives: values for each patient, scenario and draw, and for each lane how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import UnknownSymbol, suggest
from pepr_kg.twin.expression import Array
from pepr_kg.twin.model import Model, Validity
from pepr_kg.twin.scenario import Scenario
from pepr_kg.twin.status import Status

NOTICE = {
    "en": "For research, not medical advice.",
    "fr": "Pour la recherche ; ceci n’est pas un avis médical.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A lane without a prediction: whose, under which scenario, in which draw, from which time on, and why."""

    patient: str
    scenario: str
    sample: int
    time: float
    status: Status
    rule: Validity | None = None  # the one of the model's that is broken, where it is not made for this patient

    def sentence(self, lang: str) -> str:
        """Return it as one sentence in "en" or "fr"."""
        if lang == "fr":
            where = f"Patient {self.patient}, scénario « {self.scenario} », à t = {self.time:g}"
            if self.rule is not None:
                return f"{where} : Le modèle n’est pas fait pour ce patient ({self.rule.symbol}). {self.rule.reason_fr}"
            return f"{where} : {self.status.sentence(lang)}"
        where = f'Patient {self.patient}, scenario "{self.scenario}", at t = {self.time:g}'
        if self.rule is not None:
            return f"{where}: The model is not made for this patient ({self.rule.symbol}). {self.rule.reason_en}"
        return f"{where}: {self.status.sentence(lang)}"


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """Trajectories of the outputs asked for.

    `data` is (outputs, times, lanes), a lane being (patient, scenario, sample), the last fastest; NaN stands only
    where `status` (lanes,) is not 0. `ended` (lanes,) is the time until which there are values, `steps` (lanes,) counts
    the solver's steps, `method` says how it was computed.

    >>> from pepr_kg.twin import evaluate, load_model
    >>> result = evaluate(load_model("pk2-oral"), {"CL": [3.0, 6.0]}, times=[0.0, 12.0], outputs=["conc_central"])
    >>> result.shape, result.values("conc_central").shape, result.unit("conc_central"), result.method
    ((2, 1, 1), (2, 1, 1, 2), 'mg/L', 'linear')
    """

    model: Model
    outputs: tuple[str, ...]
    times: Array
    patients: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    samples: int
    data: Array
    status: npt.NDArray[np.int8]
    ended: Array
    steps: npt.NDArray[np.int64]
    method: str
    seed: int
    rules: npt.NDArray[np.intp]  # (lanes,), the rule of `model.validity` that is broken; -1: none

    def __repr__(self) -> str:
        patients, scenarios, samples = self.shape
        failed = int(np.count_nonzero(self.status))
        return (
            f"Result({self.model.name}: {patients} patient(s), {scenarios} scenario(s), {samples} sample(s), "
            f"{self.times.shape[-1]} time(s), {failed} failure(s), outputs {', '.join(self.outputs)})"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the numbers of patients, scenarios and samples."""
        return len(self.patients), len(self.scenarios), self.samples

    def values(self, symbol: str) -> Array:
        """Return an output, (patients, scenarios, samples, times), in `unit(symbol)`. Raises `UnknownSymbol`."""
        rows = np.moveaxis(self.data[self._row(symbol)], 0, -1)
        found: Array = rows.reshape(*self.shape, -1)
        return found

    def unit(self, symbol: str) -> str | None:
        """Return the UCUM code of an output's unit; None where the model does not say. Raises `UnknownSymbol`."""
        self._row(symbol)
        base, _, what = symbol.partition(".")
        return self.model.variable(base).unit if not what else None

    def band(self, symbol: str, levels: Sequence[float] = (0.05, 0.5, 0.95)) -> Array:
        """Return quantiles over the samples that succeeded, (patients, scenarios, levels, times)."""
        values = self.values(symbol)
        failed = (self.status != Status.DONE).reshape(self.shape)
        if failed.any():
            values = np.where(failed[..., None], np.nan, values)
            return np.moveaxis(np.nanquantile(values, levels, axis=2), 0, 2)
        return np.moveaxis(np.quantile(values, levels, axis=2), 0, 2)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the lanes without a prediction."""
        found = []
        for lane in np.flatnonzero(self.status != Status.DONE):
            patient, scenario, sample = np.unravel_index(lane, self.shape)
            plan, status = self.scenarios[scenario].name, Status(int(self.status[lane]))
            rule = self.model.validity[self.rules[lane]] if status == Status.NOT_VALID else None
            found.append(Failure(self.patients[patient], plan, int(sample), float(self.ended[lane]), status, rule))
        return tuple(found)

    def notice(self, lang: str) -> str:
        """Return the sentence that goes with every prediction."""
        return NOTICE[lang]

    def _row(self, symbol: str) -> int:
        if symbol not in self.outputs:
            raise UnknownSymbol(model=self.model.name, symbol=symbol, known=suggest(symbol, self.outputs))
        return self.outputs.index(symbol)
