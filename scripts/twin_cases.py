"""Evaluate the cases of a folder and compare them with what is expected.

usage: python scripts/twin_cases.py FOLDER

FOLDER holds `cases.csv` (case, model, inputs_json …) and `expected.csv` (case, time, time_unit, variable, unit,
value, abs_tol, rel_tol); a value passes when it is within `abs_tol + rel_tol |expected|`. `disease-course-map.csv`
and `disease-course-observations.csv`, where they are there, ask for the posterior mode of each subject;
`theophylline-observations.csv` holds what individual and population fits of theophylline are made from. The cases of
a model are run side by side. Each failure is a line; the last line is `passed N of M`. Exit code 1 where one fails, 2
where the folder cannot be read.
"""

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pepr_kg.errors import PeprError
from pepr_kg.twin import Model, Result, Status, evaluate, load_model
from pepr_kg.twin.builtin import builtin, default_values
from pepr_kg.twin.couple import Relaxed, couple
from pepr_kg.twin.exchange import Link
from pepr_kg.twin.individualise import individualise
from pepr_kg.twin.observations import Observation, Observations
from pepr_kg.twin.population import Effect, fit_population
from pepr_kg.twin.posterior import Predict
from pepr_kg.twin.summary import find_spikes, summarise_beat
from pepr_kg.twin.units import convert

Array = npt.NDArray[np.float64]
RTOL = 1e-9
BEATS, PER_BEAT = 80, 1000  # the expected values of the ventricle are those of its 80th beat
SPACING_MS = 0.01  # of the samples in which spikes are looked for
SPREAD = {"sources": ("s0", "s1")}  # an input of several numbers, and the symbols that take them


class CasesUnreadable(Exception):
    """The folder is not one of cases; the text says why."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One value: `time` is NaN for a scalar result."""

    time: float
    time_unit: str
    variable: str
    unit: str
    value: float
    abs_tol: float
    rel_tol: float


@dataclass(frozen=True, slots=True)
class Case:
    """A row of `cases.csv`: what is given, and what is expected."""

    name: str
    model: str
    inputs: Mapping[str, object]
    expected: tuple[Expected, ...]


@dataclass(slots=True)
class Outcome:
    """What was computed for a case, in the order of its `expected`; or the sentence that says why it was not."""

    values: list[float] = field(default_factory=list)
    reason: str = ""


# -- reading -----------------------------------------------------------------------------------------------------------


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table. Raises `CasesUnreadable` where a column is missing."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise CasesUnreadable(f"{path} has no column {', '.join(missing)}.")
        return list(reader)


def read_cases(folder: Path) -> list[Case]:
    """Return the cases of a folder, in its order; none where it has no `cases.csv`."""
    if not (folder / "cases.csv").is_file():
        return []
    if not (folder / "expected.csv").is_file():
        raise CasesUnreadable(f"{folder} has cases.csv but not expected.csv.")
    expected: dict[str, list[Expected]] = {}
    columns = ("case", "time", "time_unit", "variable", "unit", "value", "abs_tol", "rel_tol")
    for row in read_rows(folder / "expected.csv", columns):
        time = float(row["time"]) if row["time"] else math.nan
        expected.setdefault(row["case"], []).append(Expected(
            time, row["time_unit"], row["variable"], row["unit"], float(row["value"]), float(row["abs_tol"] or 0), float(row["rel_tol"] or 0)
        ))  # fmt: skip
    return [
        Case(row["case"], row["model"], json.loads(row["inputs_json"] or "{}"), tuple(expected.get(row["case"], ())))
        for row in read_rows(folder / "cases.csv", ("case", "model", "inputs_json"))
    ]


# -- figures that are read off a trajectory ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """How the scalar results of a model are read: the `times` to look at, the `outputs` seen, the figures and their `units`."""

    outputs: tuple[str, ...]
    units: Mapping[str, str]
    times: Callable[[Model, Mapping[str, object], Mapping[str, object]], Array]
    read: Callable[[Array, Mapping[str, Array]], Mapping[str, float]]


def last_beat(model: Model, inputs: Mapping[str, object], _: Mapping[str, object]) -> Array:
    """Return the times of the last beat."""
    period = float(evaluate(model, dict(inputs), outputs=["T"]).values("T").item())  # type: ignore[arg-type]
    return period * (BEATS - 1 + np.linspace(0.0, 1.0, PER_BEAT + 1))


def duration(_: Model, __: Mapping[str, object], others: Mapping[str, object]) -> Array:
    """Return even times over the duration asked for."""
    end = float(others.get("duration_ms", 100.0))  # type: ignore[arg-type]
    return np.linspace(0.0, end, round(end / SPACING_MS) + 1)


def beat_figures(times: Array, values: Mapping[str, Array]) -> Mapping[str, float]:
    """Return volumes and pressures of a beat."""
    beat = summarise_beat(times, values["Vlv"], values["Pao"], values["Pv"])
    return {name: float(getattr(beat, name)) for name in FIGURES["lv-windkessel"].units}


def spike_figures(times: Array, values: Mapping[str, Array]) -> Mapping[str, float]:
    """Return number, first peak and last interval of the spikes."""
    spikes = find_spikes(times, values["V"])
    return {
        "spikes": float(spikes.count), "first_peak_time": float(spikes.first_peak_time), "first_peak": float(spikes.first_peak),
        "last_interspike_interval": float(spikes.last_interspike_interval),
    }  # fmt: skip


FIGURES = {
    "lv-windkessel": Figures(
        ("Vlv", "Pao", "Pv"),
        {"EDV": "mL", "ESV": "mL", "SV": "mL", "EF": "%", "CO": "L/min", "SBP": "mm[Hg]", "DBP": "mm[Hg]", "MAP": "mm[Hg]", "PV_mean": "mm[Hg]"},
        last_beat, beat_figures,
    ),
    "hodgkin-huxley": Figures(
        ("V",), {"spikes": "{count}", "first_peak_time": "ms", "first_peak": "mV", "last_interspike_interval": "ms"}, duration, spike_figures
    ),
}  # fmt: skip


# -- one model alone ---------------------------------------------------------------------------------------------------


def split_inputs(model: Model, inputs: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Return what the model takes, by symbol, and what says how it is run."""
    taken: dict[str, object] = {}
    others: dict[str, object] = {}
    for name, value in inputs.items():
        if isinstance(value, list):
            taken.update(zip(SPREAD.get(name, [f"{name}{at}" for at in range(len(value))]), value, strict=False))
        elif name in model.symbols:
            taken[name] = value
        else:
            others[name] = value
    return taken, others


def symbol_of(model: Model, variable: str) -> str | None:
    """Return the symbol that a variable is called by, or named."""
    if variable in model.symbols:
        return variable
    return next((item.symbol for item in model.variables if item.name == variable), None)


def run_plain(
    model: Model, cases: Sequence[Case], given: Sequence[Mapping[str, object]] | None = None
) -> list[Outcome]:
    """Return the outcomes of cases of one model; `given` are their inputs where they are not those of the cases."""
    parts = [split_inputs(model, inputs) for inputs in given or [case.inputs for case in cases]]
    outcomes: list[Outcome | None] = [None] * len(cases)
    for keys in dict.fromkeys(tuple(sorted(taken)) for taken, _ in parts):
        group = [at for at, (taken, _) in enumerate(parts) if tuple(sorted(taken)) == keys]
        try:
            found = side_by_side(model, [cases[at] for at in group], [parts[at] for at in group])
        except PeprError:  # one row spoils the group: alone, each says for itself
            found = [alone(model, cases[at], parts[at]) for at in group]
        for at, outcome in zip(group, found, strict=True):
            outcomes[at] = outcome
    return [item or Outcome(reason="not run") for item in outcomes]


def alone(model: Model, case: Case, part: tuple[dict[str, object], dict[str, object]]) -> Outcome:
    """Return the outcome of one case."""
    try:
        return side_by_side(model, [case], [part])[0]
    except PeprError as error:
        return Outcome(reason=str(error))


def side_by_side(
    model: Model, cases: Sequence[Case], parts: Sequence[tuple[dict[str, object], dict[str, object]]]
) -> list[Outcome]:
    """Return the outcomes of cases with the same inputs, evaluated as one cohort."""
    figures = FIGURES.get(model.name)
    outputs: dict[str, None] = {}
    grids, looked = [], []
    for case, (taken, others) in zip(cases, parts, strict=True):
        wanted = {item.variable for item in case.expected if not (figures and item.variable in figures.units)}
        outputs |= {symbol: None for name in sorted(wanted) if (symbol := symbol_of(model, name)) is not None}
        times = {0.0} | {in_model(model, item) for item in case.expected if not math.isnan(item.time)}
        seen = (
            figures.times(model, taken, others)
            if figures and len(wanted) < len({item.variable for item in case.expected})
            else np.empty(0)
        )
        outputs |= dict.fromkeys(figures.outputs if figures and seen.size else ())
        grids.append(np.union1d(np.array(sorted(times)), seen))
        looked.append(seen)
    table = np.full((len(cases), max(len(grid) for grid in grids)), np.nan)
    for row, grid in zip(table, grids, strict=True):
        row[: len(grid)] = grid
    cohort = {name: [taken[name] for taken, _ in parts] for name in parts[0][0]}
    result = evaluate(model, cohort, times=table if len(cases) > 1 else grids[0], outputs=tuple(outputs), rtol=RTOL)  # type: ignore[arg-type]
    return [
        one_outcome(model, result, at, case=case, grid=grids[at], seen=looked[at]) for at, case in enumerate(cases)
    ]  # fmt: skip


def in_model(model: Model, item: Expected) -> float:
    """Return the time of an expected value in the model's unit."""
    if not item.time_unit or model.time_unit is None:
        return item.time
    return convert(item.time, item.time_unit, model.time_unit, symbol="time")


def one_outcome(model: Model, result: Result, at: int, *, case: Case, grid: Array, seen: Array) -> Outcome:
    """Return what was computed for the case in row `at` of the cohort."""
    if result.status[at] != Status.DONE:
        return Outcome(reason=Status(int(result.status[at])).sentence("en"))
    figures = FIGURES.get(model.name)
    read: Mapping[str, float] = {}
    if figures is not None and seen.size:
        places = np.searchsorted(grid, seen)
        read = figures.read(seen, {name: result.values(name)[at, 0, 0, places] for name in figures.outputs})
    found = Outcome()
    for item in case.expected:
        symbol = symbol_of(model, item.variable)
        if figures is not None and item.variable in read:
            value, unit = read[item.variable], figures.units[item.variable]
        elif symbol is None:
            return Outcome(reason=f"{model.name} has no variable {item.variable}")
        else:
            place = 0 if math.isnan(item.time) else int(np.searchsorted(grid, in_model(model, item)))
            value, unit = float(result.values(symbol)[at, 0, 0, place]), result.unit(symbol) or item.unit
        found.values.append(
            convert(value, unit, item.unit, symbol=item.variable) if item.unit and unit != item.unit else value
        )
    return found


# -- individuals and populations ---------------------------------------------------------------------------------------


def predictor(
    model: Model, symbols: Sequence[str], data: Observations, known: Mapping[str, Array] | None = None
) -> Predict:
    """Return what the model says about the slots of `data` for parameters `symbols`; `known` are other inputs (patients,)."""
    visits = [np.unique(data.time[data.present[:, at], at]) for at in range(len(data.patients))]
    times = np.full((len(visits), max(1, *(len(row) for row in visits))), np.nan)
    place = np.zeros(data.time.shape, dtype=np.intp)
    for at, row in enumerate(visits):
        times[at, : len(row)] = row
        place[:, at] = np.minimum(np.searchsorted(row, data.time[:, at]), max(0, len(row) - 1))
        if not len(row):
            times[at, 0] = 0.0

    def predict(theta: Array, patient: npt.NDArray[np.intp]) -> Array:
        given = dict(zip(symbols, theta, strict=True)) | {name: value[patient] for name, value in (known or {}).items()}
        result = evaluate(model, given, times=times[patient], outputs=data.variables)  # type: ignore[arg-type]
        return result.data[data.variable[:, patient], place[:, patient], np.arange(patient.size)]

    return predict


def read_theophylline(folder: Path) -> tuple[Observations, Array]:
    """Return the observations of theophylline and each subject's dose in mg/kg."""
    path = folder / "theophylline-observations.csv"
    if not path.is_file():
        raise CasesUnreadable(f"{path} is not there.")
    rows = read_rows(path, ("subject", "dose", "time_h", "conc"))
    data = Observations.from_rows(
        [Observation(row["subject"], float(row["time_h"]), "conc", float(row["conc"])) for row in rows]
    )
    doses = {row["subject"]: float(row["dose"]) for row in rows if row["dose"]}
    return data, np.array([doses[key] for key in data.patients])


def run_theophylline(model: Model, cases: Sequence[Case], folder: Path) -> list[Outcome]:
    """Return the outcomes of theophylline: with a subject its posterior mode, without one the fit of the population."""
    outcomes: list[Outcome | None] = [None] * len(cases)
    fitted = [at for at, case in enumerate(cases) if "subject" in case.inputs]
    plain = [at for at, case in enumerate(cases) if "subject" not in case.inputs and case.inputs]
    whole = [at for at, case in enumerate(cases) if not case.inputs]
    try:
        data, doses = read_theophylline(folder) if fitted or whole else (None, None)
    except CasesUnreadable as error:
        data, doses = None, None
        for at in fitted + whole:
            outcomes[at] = Outcome(reason=str(error))
    if data is not None and doses is not None:
        subjects = individual_inputs(model, data, doses)
        known = [at for at in fitted if str(cases[at].inputs["subject"]) in subjects]
        inputs = [
            {name: value for name, value in cases[at].inputs.items() if name != "subject"} | subjects[str(cases[at].inputs["subject"])] for at in known
        ]  # fmt: skip
        if known:
            for at, outcome in zip(known, run_plain(model, [cases[at] for at in known], inputs), strict=True):
                outcomes[at] = outcome
        for at in set(fitted) - set(known):
            outcomes[at] = Outcome(reason=f"subject {cases[at].inputs['subject']} has no observations in the folder")
        figures = population_figures(model, data, doses) if whole else {}
        for at in whole:
            missing = [item.variable for item in cases[at].expected if item.variable not in figures]
            reason = f"the fit of the population does not estimate {', '.join(missing)}" if missing else ""
            outcomes[at] = Outcome([] if missing else [figures[item.variable] for item in cases[at].expected], reason)
    if plain:
        for at, outcome in zip(plain, run_plain(model, [cases[at] for at in plain]), strict=True):
            outcomes[at] = outcome
    return [item or Outcome(reason="not run") for item in outcomes]


def individual_inputs(model: Model, data: Observations, doses: Array) -> dict[str, dict[str, object]]:
    """Return the individual parameters of each subject at its posterior mode."""
    known = builtin(model.name)
    priors = known.priors(model)
    predict = predictor(model, priors.symbols, data, {"dose_mg_per_kg": doses})
    fit = individualise(predict, data, priors, known.residuals(model))
    return {
        key: dict(zip(priors.symbols, fit.theta[:, at].tolist(), strict=True))
        for at, key in enumerate(fit.patients)
        if fit.status[at] == Status.DONE
    }


def population_figures(model: Model, data: Observations, doses: Array) -> dict[str, float]:
    """Return the maximum-likelihood estimates of the population, by the symbols of the file, started from its figures."""
    known = builtin(model.name)
    start = default_values(model)
    random = ("lCl", "lka")
    effects = [Effect(name, start[name], random=name in random) for name in known.fixed]
    predict = predictor(model, known.fixed, data, {"dose_mg_per_kg": doses})
    spread = known.priors(model).covariance
    fit = fit_population(predict, data, effects, known.residuals(model), spread, nodes=15)
    return {
        **dict(zip(known.fixed, fit.fixed.tolist(), strict=True)),
        "omega_cl2": float(fit.covariance[0, 0]), "omega_cl_ka": float(fit.covariance[0, 1]), "omega_ka2": float(fit.covariance[1, 1]),
        "sigma2": fit.residuals[0].additive ** 2, "minus2loglik": fit.minus2_log_likelihood,
    }  # fmt: skip


# -- two models --------------------------------------------------------------------------------------------------------


def run_coupled(cases: Sequence[Case]) -> list[Outcome]:
    """Return the outcomes of the two-scale cases: the fast and the slow model are run apart and coupled."""
    outcomes = []
    for keys in dict.fromkeys(tuple(sorted(case.inputs)) for case in cases):
        group = [case for case in cases if tuple(sorted(case.inputs)) == keys]
        times = np.unique([item.time for case in group for item in case.expected if not math.isnan(item.time)])
        result = couple(
            load_model("two-scale-fast"), load_model("two-scale-slow"),
            [Link.to_slow("fast", "fast"), Link.to_fast("slow", "slow")],
            patients={name: [case.inputs[name] for case in group] for name in keys},  # type: ignore[misc]
            times=times, interval=0.5, scheme=Relaxed(order=4, tolerance=1e-6),
        )  # fmt: skip
        for at, case in enumerate(group):
            failed = result.status[at] != Status.DONE
            side = {"fast": result.fast, "slow": result.slow}
            values = [
                float(side[item.variable].values(item.variable)[at, 0, 0, int(np.searchsorted(times, item.time))])
                for item in case.expected
            ]  # fmt: skip
            reason = Status(int(result.status[at])).sentence("en") if failed else ""
            outcomes.append((case, Outcome([] if failed else values, reason)))
    order = {id(case): at for at, case in enumerate(cases)}
    return [outcome for _, outcome in sorted(outcomes, key=lambda pair: order[id(pair[0])])]


# -- posterior modes ---------------------------------------------------------------------------------------------------


def check_modes(folder: Path) -> list[tuple[str, list[str]]]:
    """Return, for each row of `disease-course-map.csv`, its name and what is wrong with it."""
    path = folder / "disease-course-map.csv"
    if not path.is_file():
        return []
    wanted = read_rows(path, ("id", "tau_a", "neg_log_posterior"))
    seen = folder / "disease-course-observations.csv"
    if not seen.is_file():
        return [(f"map {row['id']}", [f"{seen.name} is not there"]) for row in wanted]
    model = load_model("disease-course")
    rows = read_rows(seen, ("id", "age_a"))
    columns = {
        name: symbol
        for name in (rows[0] if rows else ())
        if (symbol := symbol_of(model, name)) and name not in ("id", "age_a")
    }
    data = Observations.from_rows([
        Observation(row["id"], float(row["age_a"]), symbol, float(row[name])) for row in rows for name, symbol in columns.items() if row[name]
    ])  # fmt: skip
    known = builtin(model.name)
    priors = known.priors(model)
    fit = individualise(predictor(model, priors.symbols, data), data, priors, known.residuals(model))
    places = {key: at for at, key in enumerate(fit.patients)}
    tau = priors.symbols.index("tau_a")
    found = []
    for row in wanted:
        at = places.get(row["id"])
        if at is None:
            found.append((f"map {row['id']}", ["the subject has no observations in the folder"]))
            continue
        wrong = []
        if fit.status[at] != Status.DONE:
            wrong.append(Status(int(fit.status[at])).sentence("en"))
        if not fit.objective[at] <= float(row["neg_log_posterior"]) + 1e-3:
            wrong.append(
                f"objective: got {fit.objective[at]:.6g}, expected {row['neg_log_posterior']} or lower, tolerance 1e-3"
            )
        if not abs(fit.theta[tau, at] - float(row["tau_a"])) <= 0.05:
            wrong.append(f"tau_a: got {fit.theta[tau, at]:.6g}, expected {row['tau_a']}, tolerance 0.05")
        found.append((f"map {row['id']}", wrong))
    return found


# -- all together ------------------------------------------------------------------------------------------------------


def run_model(name: str, cases: Sequence[Case], folder: Path) -> list[Outcome]:
    """Return the outcomes of the cases of one model."""
    try:
        if name == "two-scale-linear":
            return run_coupled(cases)
        model = load_model(name)
        if name == "theophylline":
            return run_theophylline(model, cases, folder)
        return run_plain(model, cases)
    except PeprError as error:
        return [Outcome(reason=str(error)) for _ in cases]


def complaints(case: Case, outcome: Outcome) -> list[str]:
    """Return what is wrong with a case: a line for each value out of its tolerance."""
    if outcome.reason:
        return [outcome.reason]
    if not case.expected:
        return ["expected.csv has no value for it"]
    found = []
    for item, got in zip(case.expected, outcome.values, strict=True):
        tolerance = item.abs_tol + item.rel_tol * abs(item.value)
        if not abs(got - item.value) <= tolerance:
            when = "" if math.isnan(item.time) else f" at {item.time:g} {item.time_unit}"
            found.append(f"{item.variable}{when}: got {got:.9g}, expected {item.value:.9g}, tolerance {tolerance:.3g}")
    return found


def check_cases(cases: Sequence[Case], folder: Path) -> Iterable[tuple[str, list[str]]]:
    """Yield each case's name and what is wrong with it, model by model."""
    for name in dict.fromkeys(case.model for case in cases):
        group = [case for case in cases if case.model == name]
        for case, outcome in zip(group, run_model(name, group, folder), strict=True):
            yield case.name, complaints(case, outcome)


def main(arguments: Sequence[str]) -> int:
    """Run the cases of a folder; return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python scripts/twin_cases.py FOLDER; FOLDER holds cases.csv and expected.csv\n")
        return 2
    folder = Path(arguments[0])
    try:
        cases = read_cases(folder)
        if not cases and not (folder / "disease-course-map.csv").is_file():
            raise CasesUnreadable(f"{folder} has neither cases.csv nor disease-course-map.csv.")
        checked = [*check_cases(cases, folder), *check_modes(folder)]
    except (CasesUnreadable, OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        sys.stderr.write(f"{folder} cannot be read: {error}\n")
        return 2
    for name, wrong in checked:
        for line in wrong:
            sys.stdout.write(f"{name}: {line}\n")
    passed = sum(not wrong for _, wrong in checked)
    sys.stdout.write(f"passed {passed} of {len(checked)}\n")
    return 0 if passed == len(checked) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
