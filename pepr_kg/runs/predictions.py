"""The part of a run's graph that grows with the cohort: one prediction for each patient, scenario, output and time that
is shown, and who has none, and why.

The value is the figure itself, or of several draws their median, which always lies in the interval; the mean is in the
Parquet file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pepr_kg.namespaces import ID, PEPR, PREFIXES
from pepr_kg.runs.blocks import OUT_OF_BOUNDS
from pepr_kg.runs.preparation import Prepared
from pepr_kg.runs.request import quantile_name
from pepr_kg.runs.writing import (
    Column,
    Document,
    as_decimals,
    as_moments,
    as_nodes,
    decimal,
    joined,
    node,
    numbered,
    text,
)
from pepr_kg.twin import Model, Status
from pepr_kg.twin.units import conversion

Places = npt.NDArray[np.int64]

_A = PREFIXES["rdf"] + "type"
_OF = PREFIXES["sosa"] + "hasFeatureOfInterest"
_BY = PREFIXES["prov"] + "wasGeneratedBy"
_BEYOND = {
    "en": "The scenario takes a value of this patient where no patient’s may be.",
    "fr": "Le scénario porte une valeur de ce patient hors de ce qui est possible.",
}
_UNDER = {"en": 'Scenario "{name}": {sentence}', "fr": "Scénario « {name} » : {sentence}"}


@dataclass(frozen=True, slots=True, eq=False)
class Failures:
    """Patients without a prediction under a scenario, (failures,): places in the cohort and in the scenarios, the
    status, the rule of the model's validity that is broken.
    """

    place: npt.NDArray[np.int64]
    scenario: npt.NDArray[np.int64]
    code: npt.NDArray[np.int8]
    rule: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Writes the predictions of the run named `run` to a document; `scenarios` are the IRIs of the plan's, `specimen`
    the place in the cohort from which on predictions are not validated one by one.
    """

    document: Document
    prepared: Prepared
    run: str
    scenarios: Sequence[str]
    specimen: int

    def write(self, part: pa.Table, places: Places) -> tuple[int, Failures]:
        """Write what a part says of its patients, whose places in the cohort are `places`; return how many predictions
        it made, and who has none.
        """
        plan, layout = self.prepared.plan, self.prepared.layout
        shape = (len(places), len(plan.scenarios), len(plan.grid))
        code = np.asarray(part["code"], np.int8).reshape(shape)[:, :, 0]
        rule = np.asarray(part["rule"], np.int16).reshape(shape)[:, :, 0]
        names: tuple[str, ...] = ("value",)
        if len(layout.statistics) > 1:
            names = ("q50", quantile_name(plan.levels[0]), quantile_name(plan.levels[-1]))
        count = 0
        for number, output in enumerate(layout.outputs):
            columns = [part[layout.column(output, name)].combine_chunks() for name in names]
            cubes = [np.asarray(column.fill_null(np.nan), np.float64).reshape(shape) for column in columns]
            for at in self.prepared.shown:
                who, under = np.nonzero((code == int(Status.DONE)) & np.isfinite(cubes[0][:, :, at]))
                figures = [cube[who, under, at] for cube in cubes]
                self._write(number, at, places[who], under.astype(np.int64), figures)
                count += len(who)
        failed = np.nonzero(code != int(Status.DONE))
        return count, Failures(places[failed[0]], failed[1].astype(np.int64), code[failed], rule[failed])

    def _write(
        self, output: int, at: int, places: Places, under: Places, figures: Sequence[npt.NDArray[np.float64]]
    ) -> None:
        """Write predictions of one output at one time; `figures` are the value and, of several draws, the interval."""
        prepared, layout = self.prepared, self.prepared.layout
        offset, last = float(prepared.plan.grid[at]), at == prepared.shown[-1]
        later = np.round(offset * conversion(layout.time_unit, "ms")[0]).astype("timedelta64[ms]")
        mark = f"-{output}" + ("" if last else f"-{at}")
        name = joined(f"{self.run}-", numbered(places), "-", numbered(under), mark)
        cut = int(np.searchsorted(places, self.specimen))
        pairs: list[tuple[str, Column]] = [
            (_A, node(f"{PEPR}Prediction")),
            (_OF, as_nodes(prepared.inputs.entities.take(pa.array(places)))),
            (f"{PEPR}predictedVariable", node(layout.iris[output])),
            (f"{PEPR}numericValue", as_decimals(figures[0])),
            (f"{PEPR}unitCode", text(layout.units[output])),
            (f"{PEPR}atTime", decimal(offset)),
            (f"{PEPR}timeUnitCode", text(layout.time_unit)),
            (f"{PEPR}predictedFor", as_moments(prepared.begins[places] + later)),
            (f"{PEPR}underScenario", as_nodes(pa.array(self.scenarios).take(pa.array(under)))),
            (_BY, node(f"{ID}evaluation/{self.run}")),
        ]
        if len(figures) > 1:
            uncertainty = joined(f"<{ID}uncertainty/", name, ">")
            self._write_bounds(uncertainty, figures, cut)
            pairs.append((f"{PEPR}hasUncertainty", uncertainty))
        self.document.say_all(joined(f"<{ID}prediction/", name, ">"), pairs, len(places), cut)

    def _write_bounds(self, names: pa.Array, figures: Sequence[npt.NDArray[np.float64]], cut: int) -> None:
        level = self.prepared.plan.levels[-1] - self.prepared.plan.levels[0]
        pairs: list[tuple[str, Column]] = [
            (_A, node(f"{PEPR}Uncertainty")),
            (f"{PEPR}hasUncertaintySource", node(f"{ID}uncertainty-source/parameter")),
            (f"{PEPR}intervalLower", as_decimals(figures[1])),
            (f"{PEPR}intervalUpper", as_decimals(figures[2])),
            (f"{PEPR}intervalLevel", decimal(round(level, 6))),
        ]
        self.document.say_all(names, pairs, len(names), cut)


def joined_failures(parts: Sequence[Failures]) -> Failures:
    """Return the failures of all parts."""
    none = Failures(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.int16))
    every = (none, *parts)
    return Failures(
        np.concatenate([part.place for part in every]), np.concatenate([part.scenario for part in every]),
        np.concatenate([part.code for part in every]), np.concatenate([part.rule for part in every]),
    )  # fmt: skip


def sentences(model: Model, scenarios: Sequence[str], failures: Failures, lang: str) -> pa.Array:
    """Return why each has no prediction, in "en" or "fr"; the scenario is named where others went well."""
    kinds = np.stack([failures.code.astype(np.int64), failures.rule.astype(np.int64), _named(scenarios, failures)])
    distinct, which = np.unique(kinds, axis=1, return_inverse=True)
    texts = []
    for code, rule, under in distinct.T.tolist():
        said = _sentence(model, Status(code), rule, lang)
        texts.append(said if under < 0 else _UNDER[lang].format(name=scenarios[under], sentence=said))
    return pa.array(texts, pa.string()).take(pa.array(which.reshape(-1)))


def _named(scenarios: Sequence[str], failures: Failures) -> npt.NDArray[np.int64]:
    """Return the scenario to be named; -1 where a patient fails alike under all of them."""
    keys = np.stack([failures.place, failures.code.astype(np.int64), failures.rule.astype(np.int64)])
    _, which, counts = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    return np.where(counts[which.reshape(-1)] == len(scenarios), -1, failures.scenario)


def _sentence(model: Model, status: Status, rule: int, lang: str) -> str:
    if status == Status.NOT_VALID and rule == OUT_OF_BOUNDS:
        return _BEYOND[lang]
    if status == Status.NOT_VALID and rule >= 0:
        broken = model.validity[rule]
        return broken.reason_fr if lang == "fr" else broken.reason_en
    return status.sentence(lang)
