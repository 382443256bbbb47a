"""Evaluate the cases of a folder and compare them with what is expected.

usage: python scripts/twin_cases.py FOLDER [--from model|graph]

With `--from graph` the cases are put into a graph first, as patients with twins, and evaluated from there (see
`twin_graph`); what is expected, and how closely, is the same.

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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from twin_figures import FIGURES
from twin_graph import Graph, GraphResult
from twin_tables import Case, CasesUnreadable, Expected, Outcome, read_cases, read_rows

from pepr_kg.errors import PeprError
from pepr_kg.twin import Model, Result, Status, evaluate, load_model
from pepr_kg.twin.builtin import builtin, default_values
from pepr_kg.twin.coupling.couple import Relaxed, couple
from pepr_kg.twin.coupling.exchange import Link
from pepr_kg.twin.errors import UnknownSymbol, suggest
from pepr_kg.twin.estimation.fitting import fit
from pepr_kg.twin.estimation.observations import Observation, Observations
from pepr_kg.twin.estimation.population import Effect, fit_population
from pepr_kg.twin.estimation.predictor import predictor
from pepr_kg.twin.units import convert

Array = npt.NDArray[np.float64]
RTOL = 1e-8
UNREADY = (PeprError, KeyError, TypeError, ValueError)  # what a row that cannot be run may raise
SPREAD = {"sources": ("s0", "s1")}  # an input of several numbers, and the symbols that take them
SOURCES = ("model", "graph")
OF_THE_RUN = ("duration_ms",)  # inputs that no model takes


# -- one model alone ---------------------------------------------------------------------------------------------------


def split_inputs(model: Model, inputs: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Return what the model takes, by symbol, and what says how it is run. Raises `UnknownSymbol` for anything else."""
    taken: dict[str, object] = {}
    others: dict[str, object] = {}
    for name, value in inputs.items():
        if isinstance(value, list):
            taken.update(zip(SPREAD.get(name, [f"{name}{at}" for at in range(len(value))]), value, strict=False))
        elif name in OF_THE_RUN:
            others[name] = value
        else:
            taken[name] = value
    for name in taken:
        if name not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=name, known=suggest(name, model.symbols))
    return taken, others


def symbol_of(model: Model, variable: str) -> str | None:
    """Return the symbol that a variable is called by, or named."""
    if variable in model.symbols:
        return variable
    return next((item.symbol for item in model.variables if item.name == variable), None)


Inputs = Mapping[str, object]
Part = tuple[dict[str, object], dict[str, object]]  # what the model takes, and what says how it is run


def run_plain(
    model: Model, cases: Sequence[Case], given: Sequence[Inputs] | None = None, graph: Graph | None = None
) -> list[Outcome]:
    """Return the outcomes of cases of one model; `given` are their inputs where they are not those of the cases."""
    outcomes = [Outcome(reason="not run") for _ in cases]
    groups: dict[tuple[str, ...], list[tuple[int, Part]]] = {}
    for at, inputs in enumerate(given or [case.inputs for case in cases]):
        try:
            part = split_inputs(model, inputs)
        except UNREADY as error:
            outcomes[at] = Outcome(reason=str(error))
        else:
            groups.setdefault(tuple(sorted(part[0])), []).append((at, part))
    for group in groups.values():
        try:
            found = side_by_side(model, [cases[at] for at, _ in group], [part for _, part in group], graph)
        except UNREADY:  # one row spoils the group: alone, each says for itself
            found = [alone(model, cases[at], part, graph) for at, part in group]
        for (at, _), outcome in zip(group, found, strict=True):
            outcomes[at] = outcome
    return outcomes


def alone(model: Model, case: Case, part: Part, graph: Graph | None) -> Outcome:
    """Return the outcome of one case."""
    try:
        return side_by_side(model, [case], [part], graph)[0]
    except UNREADY as error:
        return Outcome(reason=str(error))


def side_by_side(
    model: Model, cases: Sequence[Case], parts: Sequence[Part], graph: Graph | None
) -> list[Outcome]:
    """Return the outcomes of cases with the same inputs, evaluated as one cohort."""
    figures = FIGURES.get(model.name)
    outputs: dict[str, None] = {}
    grids, looked = [], []
    for case, (taken, others) in zip(cases, parts, strict=True):
        every = {item.variable for item in case.expected}
        wanted = every - set(figures.units if figures else ())
        outputs |= {symbol: None for name in sorted(wanted) if (symbol := symbol_of(model, name)) is not None}
        times = {0.0} | {in_model(model, item) for item in case.expected if not math.isnan(item.time)}
        seen = figures.times(model, taken, others) if figures and wanted != every else np.empty(0)
        outputs |= dict.fromkeys(figures.outputs if figures and seen.size else ())
        grids.append(np.union1d(np.array(sorted(times)), seen))
        looked.append(seen)
    table = np.full((len(cases), max(len(grid) for grid in grids)), np.nan)
    for row, grid in zip(table, grids, strict=True):
        row[: len(grid)] = grid
    cohort = {name: [taken[name] for taken, _ in parts] for name in parts[0][0]}
    times_given = table if len(cases) > 1 else grids[0]
    result: Result | GraphResult
    if graph is not None:
        result = graph.evaluate(model, cohort, times_given, tuple(outputs), RTOL)
    else:
        result = evaluate(model, cohort, times=times_given, outputs=tuple(outputs), rtol=RTOL)  # type: ignore[arg-type]
    return [one_outcome(model, result, at, case=case, grid=grids[at], seen=looked[at]) for at, case in enumerate(cases)]


def in_model(model: Model, item: Expected) -> float:
    """Return the time of an expected value in the model's unit."""
    if not item.time_unit or model.time_unit is None:
        return item.time
    return convert(item.time, item.time_unit, model.time_unit, symbol="time")


def one_outcome(
    model: Model, result: Result | GraphResult, at: int, *, case: Case, grid: Array, seen: Array
) -> Outcome:
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


def read_theophylline(folder: Path, graph: Graph | None) -> tuple[Observations, Array]:
    """Return the observations of theophylline and each subject's dose in mg/kg."""
    path = folder / "theophylline-observations.csv"
    if not path.is_file():
        raise CasesUnreadable(f"{path} is not there.")
    if graph is not None:
        return graph.subjects(path)
    rows = read_rows(path, ("subject", "dose", "time_h", "conc"))
    data = Observations.from_rows(
        [Observation(row["subject"], float(row["time_h"]), "conc", float(row["conc"])) for row in rows]
    )
    doses = {row["subject"]: float(row["dose"]) for row in rows if row["dose"]}
    return data, np.array([doses[key] for key in data.patients])


def run_theophylline(
    model: Model, cases: Sequence[Case], folder: Path, graph: Graph | None = None
) -> list[Outcome]:
    """Return the outcomes of theophylline: with a subject its posterior mode, without one the fit of the population."""
    outcomes = [Outcome(reason="not run") for _ in cases]
    subjects: dict[str, dict[str, object]] = {}
    figures: dict[str, float] = {}
    whole = [at for at, case in enumerate(cases) if is_population(model, case)]
    if whole or any("subject" in case.inputs for case in cases):
        try:
            data, doses = read_theophylline(folder, graph)
        except (CasesUnreadable, *UNREADY) as error:
            return [Outcome(reason=f"its observations cannot be read: {error}") for _ in cases]
        subjects = individual_inputs(model, data, doses)
        figures = population_figures(model, data, doses) if whole else {}
    single: list[tuple[int, Inputs]] = []
    for at, case in enumerate(cases):
        inputs = {name: value for name, value in case.inputs.items() if name != "subject"}
        if at in whole:
            outcomes[at] = population_outcome(case, figures)
        elif "subject" not in case.inputs:
            single.append((at, inputs))
        elif (key := str(case.inputs["subject"])) in subjects:
            single.append((at, inputs | subjects[key]))
        else:
            outcomes[at] = Outcome(reason=f"subject {key} could not be fitted to the observations in the folder")
    alike = [cases[at] for at, _ in single], [inputs for _, inputs in single]
    found = run_plain(model, *alike, graph) if single else []
    for (at, _), outcome in zip(single, found, strict=True):
        outcomes[at] = outcome
    return outcomes


def is_population(model: Model, case: Case) -> bool:
    """Return whether a case asks for the fit of the population: no subject, and nothing to run the model for."""
    if "subject" in case.inputs:
        return False
    return not case.inputs or any(symbol_of(model, item.variable) is None for item in case.expected)


def population_outcome(case: Case, figures: Mapping[str, float]) -> Outcome:
    """Return the estimates that a case asks for."""
    missing = [item.variable for item in case.expected if item.variable not in figures]
    if missing:
        return Outcome(reason=f"the fit of the population does not estimate {', '.join(missing)}")
    return Outcome([figures[item.variable] for item in case.expected])


def individual_inputs(model: Model, data: Observations, doses: Array) -> dict[str, dict[str, object]]:
    """Return the individual parameters of each subject at its posterior mode."""
    found = fit(model, data, inputs={"dose_mg_per_kg": doses})
    return {
        key: dict(zip(found.symbols, found.theta[:, at].tolist(), strict=True))
        for at, key in enumerate(found.patients)
        if found.status[at] == Status.DONE
    }


def population_figures(model: Model, data: Observations, doses: Array) -> dict[str, float]:
    """Return the maximum-likelihood estimates of the population, by the symbols of the file, started from its own."""
    known = builtin(model.name)
    start = default_values(model)
    random = ("lCl", "lka")
    effects = [Effect(name, start[name], random=name in random) for name in known.fixed]
    predict = predictor(model, data, known.fixed, inputs={"dose_mg_per_kg": doses})
    spread = known.priors(model).covariance
    fitted = fit_population(predict, data, effects, known.residuals(model), spread, nodes=15)
    return {
        **dict(zip(known.fixed, fitted.fixed.tolist(), strict=True)),
        "omega_cl2": float(fitted.covariance[0, 0]), "omega_ka2": float(fitted.covariance[1, 1]),
        "omega_cl_ka": float(fitted.covariance[0, 1]), "sigma2": fitted.residuals[0].additive ** 2,
        "minus2loglik": fitted.minus2_log_likelihood,
    }  # fmt: skip


# -- two models --------------------------------------------------------------------------------------------------------


def run_coupled(cases: Sequence[Case], graph: Graph | None = None) -> list[Outcome]:
    """Return the outcomes of the two-scale cases: the fast and the slow model are run apart and coupled."""
    outcomes = [Outcome(reason="not run") for _ in cases]
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, case in enumerate(cases):
        groups.setdefault(tuple(sorted(case.inputs)), []).append(at)
    for group in groups.values():
        try:
            found = coupled_together([cases[at] for at in group], graph)
        except UNREADY as error:
            found = [Outcome(reason=str(error)) for _ in group]
        for at, outcome in zip(group, found, strict=True):
            outcomes[at] = outcome
    return outcomes


def coupled_together(cases: Sequence[Case], graph: Graph | None = None) -> list[Outcome]:
    """Return the outcomes of two-scale cases with the same inputs."""
    fast, slow = load_model("two-scale-fast"), load_model("two-scale-slow")
    times = np.unique([in_model(slow, item) for case in cases for item in case.expected])
    if graph is not None:
        return _coupled_from(graph, cases, times)
    result = couple(
        fast, slow, [Link.to_slow("fast", "fast"), Link.to_fast("slow", "slow")],
        {name: [float(str(case.inputs[name])) for case in cases] for name in cases[0].inputs},
        times=times, interval=0.5, scheme=Relaxed(order=4, tolerance=1e-6),
    )  # fmt: skip
    sides = {"fast": result.fast, "slow": result.slow}
    found = []
    for at, case in enumerate(cases):
        if result.status[at] != Status.DONE:
            found.append(Outcome(reason=Status(int(result.status[at])).sentence("en")))
            continue
        outcome = Outcome()
        for item in case.expected:
            side = sides.get(item.variable)
            if side is None:
                raise UnknownSymbol(model="two-scale-linear", symbol=item.variable, known=", ".join(sides))
            place = int(np.searchsorted(times, in_model(slow, item)))
            outcome.values.append(float(side.values(item.variable)[at, 0, 0, place]))
        found.append(outcome)
    return found


def _coupled_from(graph: Graph, cases: Sequence[Case], times: Array) -> list[Outcome]:
    """Return the outcomes of two-scale cases by the coupled model of the graph, which gives the slow side; the fast one
    is asked of the model that is exact.
    """
    inputs = {name: [case.inputs[name] for case in cases] for name in cases[0].inputs}
    found = graph.ask("two-scale-coupled", inputs, [times] * len(cases), ("slow", "fast"), RTOL)
    outcomes = []
    for at, case in enumerate(cases):
        if found.status[at] != Status.DONE:
            outcomes.append(Outcome(reason=Status(found.status[at]).sentence("en")))
            continue
        place = [int(np.searchsorted(times, item.time)) for item in case.expected]
        outcomes.append(Outcome([
            float(found.values(item.variable)[at, 0, 0, where])
            for item, where in zip(case.expected, place, strict=True)
        ]))  # fmt: skip
    return outcomes


# -- posterior modes ---------------------------------------------------------------------------------------------------


def check_modes(folder: Path, graph: Graph | None = None) -> list[tuple[str, list[str]]]:
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
    names = [name for name in (rows[0] if rows else ()) if name not in ("id", "age_a")]
    columns = {name: symbol for name in names if (symbol := symbol_of(model, name))}
    try:
        seen_of = [
            Observation(row["id"], float(row["age_a"]), symbol, float(row[name]))
            for row in rows for name, symbol in columns.items() if row[name]
        ]  # fmt: skip
        found = fit(model, Observations.from_rows(seen_of) if graph is None else graph.observe(model.name, seen_of))
    except UNREADY as error:
        return [(f"map {row['id']}", [str(error)]) for row in wanted]
    places = {key: at for at, key in enumerate(found.patients)}
    tau = found.symbols.index("tau_a")
    checked = []
    for row in wanted:
        at = places.get(row["id"])
        if at is None:
            checked.append((f"map {row['id']}", ["the subject has no observations in the folder"]))
            continue
        wrong = []
        if found.status[at] != Status.DONE:
            wrong.append(Status(int(found.status[at])).sentence("en"))
        if not found.objective[at] <= float(row["neg_log_posterior"]) + 1e-3:
            wrong.append(
                f"objective: got {found.objective[at]:.6g}, expected {row['neg_log_posterior']} or lower (1e-3)"
            )
        if not abs(found.theta[tau, at] - float(row["tau_a"])) <= 0.05:
            wrong.append(f"tau_a: got {found.theta[tau, at]:.6g}, expected {row['tau_a']}, tolerance 0.05")
        checked.append((f"map {row['id']}", wrong))
    return checked


# -- all together ------------------------------------------------------------------------------------------------------


def run_model(name: str, cases: Sequence[Case], folder: Path, graph: Graph | None = None) -> list[Outcome]:
    """Return the outcomes of the cases of one model."""
    try:
        if name == "two-scale-linear":
            return run_coupled(cases, graph)
        model = load_model(name)
        if name == "theophylline":
            return run_theophylline(model, cases, folder, graph)
        return run_plain(model, cases, graph=graph)
    except UNREADY as error:
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


def check_cases(cases: Sequence[Case], folder: Path, graph: Graph | None = None) -> Iterable[tuple[str, list[str]]]:
    """Yield each case's name and what is wrong with it, model by model."""
    for name in dict.fromkeys(case.model for case in cases):
        group = [case for case in cases if case.model == name]
        for case, outcome in zip(group, run_model(name, group, folder, graph), strict=True):
            yield case.name, complaints(case, outcome)


def main(arguments: Sequence[str]) -> int:
    """Run the cases of a folder; return the exit code."""
    source = "model"
    if len(arguments) == 3 and arguments[1] == "--from":
        source, arguments = arguments[2], arguments[:1]
    if len(arguments) != 1 or arguments[0].startswith("-") or source not in SOURCES:
        sys.stderr.write(
            "usage: python scripts/twin_cases.py FOLDER [--from model|graph]; FOLDER holds cases.csv and expected.csv\n"
        )
        return 2
    folder = Path(arguments[0])
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder: give one that holds cases.csv and expected.csv.\n")
        return 2
    try:
        try:
            cases = read_cases(folder)
        except (ValueError, AttributeError) as error:
            raise CasesUnreadable(f"a cell is not what it should be: {error}") from error
        if not cases and not (folder / "disease-course-map.csv").is_file():
            raise CasesUnreadable(f"{folder} has neither cases.csv nor disease-course-map.csv.")
        graph = Graph() if source == "graph" else None
        checked = [*check_cases(cases, folder, graph), *check_modes(folder, graph)]
        if graph is not None:
            checked += [("the graph of the cases", [line]) for line in graph.check()]
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
