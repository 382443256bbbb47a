"""Evaluate a model: patients × scenarios × parameter draws as lanes, in blocks, on one or several processes."""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.amplification import local_tolerance
from pepr_kg.twin.cohort import Cohort, Given, read_cohort
from pepr_kg.twin.compiler.analysis import form
from pepr_kg.twin.errors import BadTimes, BadValue, UnknownSymbol, suggest
from pepr_kg.twin.estimation.individualise import Fit
from pepr_kg.twin.estimation.priors import Priors
from pepr_kg.twin.estimation.variation import vary
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.interventions import Dose, broken_rules, entries_of, intervene, lapse
from pepr_kg.twin.model import Model
from pepr_kg.twin.result import Result
from pepr_kg.twin.scenario import Scenario
from pepr_kg.twin.solvers.processes import run_apart
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.solvers.solve import METHODS, Task, solve
from pepr_kg.twin.status import Status

_ABSOLUTE = 0.3  # of the absolute error asked for, in a step: where it rules, errors of steps add up
_BLOCK = 16_384  # lanes; more leave the cache, fewer pay for the calls


def evaluate(
    model: Model,
    patients: Cohort | Fit | Mapping[str, Given] | None = None,
    scenarios: Sequence[Scenario] = (),
    times: Sequence[float] | Array = (0.0,),
    *,
    samples: int = 1,
    draws: Mapping[str, Array] | None = None,
    spread: Priors | None = None,
    seed: int = 0,
    doses: Iterable[Dose] = (),
    outputs: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    method: str | None = None,
    rtol: float = 1e-6,
    atol: float | Mapping[str, float] = 0.0,
    start: float = 0.0,
    max_steps: int = 100_000,
    workers: int | Executor = 1,
    block: int = _BLOCK,
    allow_undefined: bool = False,
    jit: bool = False,
) -> Result:
    """Return the trajectories of a model for each patient, scenario and parameter draw.

    `patients` gives values by symbol (see `cohort.read_cohort`); `scenarios` what is changed (none: the base alone);
    `times` the output times in the model's unit, increasing: (times,) for all, or (patients, times) with NaN after a
    patient's last. `doses` are amounts given to single patients.

    With several `samples` every patient is evaluated so many times, each time with other parameters. Where `patients`
    is a `Fit`, they are drawn from its posterior (with one sample, they are at its mode). Otherwise the parameters of a
    built-in model that `patients` does not give vary as they do in its population, and those that it gives stay as
    they are: where it gives all, the samples are equal. `spread` says instead which parameters vary, around the values
    given or else around its means. `draws` gives the values themselves, by symbol (patients, samples). A patient's
    draws depend on its key and the `seed` only, and are the same in every scenario.

    `outputs` names the symbols wanted (`S.amount` and `S.concentration` for a species; None: what the model
    declares). `units` says in which UCUM unit a symbol is given.

    `rtol` bounds the error of each state relative to its largest value; `atol` adds an absolute part, for all states
    or by symbol (steps are held to less than that by what the model makes of their errors: see `amplification`).
    `method` forces "closed form", "linear", "explicit", "stiff" or "scalar"; None chooses: closed forms
    and linear models exactly, others by what is measured on the way. `workers` is a number of processes, or an
    executor of yours. The result does not depend on it, nor on `block`, the number of lanes side by side. With
    `allow_undefined` an output that is not a number is no failure. `jit` has Numba, where it is installed, compile
    models without events: seconds once, then faster.

    A lane that fails has a status and a sentence (`Result.failures`); the others go on. What is wrong with the
    question itself raises a `TwinError` that names the model, the symbol and the patient: what `read_cohort` raises,
    `BadTimes`, `BadScenario`, and `ModelUnsupported` for a `method` that does not fit the model.

    >>> from pepr_kg.twin import load_model
    >>> people = {"scr_mg_dL": [0.8, 1.6], "age_a": 60, "sex": "female"}
    >>> result = evaluate(load_model("ckd-epi-2021"), people, [Scenario.base(), Scenario.add("age_a", 10)])
    >>> result.values("egfr")[:, :, 0, 0].round(1).tolist(), result.unit("egfr")  # patients, scenarios
    ([[84.3, 79.2], [36.7, 34.5]], 'mL/min/{1.73_m2}')
    """
    if not isinstance(model, Model):
        raise BadValue(
            model="evaluate",
            symbol="model",
            patient="*",
            value=repr(model),
            detail={
                "en": "a Model was expected; load_model(name) gives one",
                "fr": "il faut un Model ; load_model(nom) en donne un",
            },
        )
    cohort = _read_patients(model, patients, units, strict=not allow_undefined)
    plans = (scenarios,) if isinstance(scenarios, Scenario) else tuple(scenarios) or (Scenario.base(),)
    if samples < 1:
        raise BadValue(
            model=model.name,
            symbol="samples",
            patient="*",
            value=samples,
            detail={"en": "at least one sample is needed", "fr": "il faut au moins un échantillon"},
        )
    _check_numbers(model, rtol=rtol, atol=atol, start=start, max_steps=max_steps, block=block, workers=workers)
    shape = (len(cohort), len(plans), samples)
    grid = _read_times(model, times, start, shape)
    wanted = model.outputs if outputs is None else (outputs,) if isinstance(outputs, str) else tuple(outputs)
    _check_outputs(model, wanted)
    if method is not None and method not in METHODS:
        raise BadValue(
            model=model.name,
            symbol="method",
            patient="*",
            value=method,
            detail={
                "en": f"one of these was expected: {', '.join(METHODS)}",
                "fr": f"valeurs acceptées : {', '.join(METHODS)}",
            },
        )
    if draws is None and samples > 1:
        if isinstance(patients, Fit) and spread is None:
            draws = patients.samples(samples, seed)
        else:
            draws = vary(model, cohort, samples=samples, seed=seed, spread=spread)
    values = _spread(model, cohort, draws, shape)
    values = intervene(model, values, plans, shape, start)
    entries = entries_of(model, plans, tuple(doses), cohort, shape, start)
    broken = broken_rules(model, values, math.prod(shape), start)
    lapses, later = lapse(model, values, plans, shape)
    stricter = _stricter(model, grid, start, rtol, method)
    absolute = _tolerances(model, atol)
    control = Control(rtol=rtol * stricter, atol=absolute * stricter * _ABSOLUTE, max_steps=max_steps)
    task = Task(
        model,
        values,
        math.prod(shape),
        grid,
        start,
        wanted,
        control,
        method,
        entries,
        seed,
        _lane_keys(model, cohort, shape),
        allow_undefined,
        jit,
        alone=math.prod(shape) == 1,
    )
    data, status, ended, steps, used = _run(task, workers, block)
    lapses[broken >= 0] = start
    for lane in np.flatnonzero(np.isfinite(lapses)):  # what the model is not made for is no prediction
        own = grid if grid.ndim == 1 else grid[:, lane]
        data[:, (own >= lapses[lane]) if broken[lane] < 0 else slice(None), lane] = np.nan
        status[lane], ended[lane] = Status.NOT_VALID, lapses[lane]
    rules = np.where(broken >= 0, broken, later)
    shown = grid if grid.ndim == 1 else np.asarray(times, dtype=float)
    keys = cohort.patients
    return Result(model, wanted, shown, keys, plans, samples, data, status, ended, steps, used, seed, rules)


def _check_numbers(
    model: Model,
    *,
    rtol: float,
    atol: float | Mapping[str, float],
    start: float,
    max_steps: int,
    block: int,
    workers: int | Executor,
) -> None:
    """Raise `BadValue` for a number that the solvers cannot work with, `UnknownSymbol` for a tolerance of none."""

    def refuse(symbol: str, value: float, en: str, fr: str) -> None:
        raise BadValue(model=model.name, symbol=symbol, patient="*", value=value, detail={"en": en, "fr": fr})

    if not 0.0 < rtol < 1.0:
        refuse("rtol", rtol, "a number between 0 and 1 was expected", "il faut un nombre entre 0 et 1")
    for symbol, value in atol.items() if isinstance(atol, Mapping) else [("atol", atol)]:
        if isinstance(atol, Mapping) and symbol not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
        if not 0.0 <= value < math.inf:
            refuse(symbol, value, "a tolerance that is not negative was expected", "il faut une tolérance non négative")
    if not math.isfinite(start):
        refuse("start", start, "a finite number was expected", "il faut un nombre fini")
    processes = workers if isinstance(workers, int) else 1
    for symbol, size in (("max_steps", max_steps), ("block", block), ("workers", processes)):
        if size < 1:
            refuse(symbol, size, "at least 1 was expected", "il faut au moins 1")


def _read_patients(
    model: Model, patients: Cohort | Fit | Mapping[str, Given] | None, units: Mapping[str, str] | None, *, strict: bool
) -> Cohort:
    if isinstance(patients, Cohort):
        return patients
    if not isinstance(patients, Fit):
        return read_cohort(model, patients or {}, units=units, strict=strict)
    for symbol in patients.symbols:
        if symbol not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
    return Cohort(patients.patients, {**patients.known, **patients.parameters})


def _read_times(model: Model, times: Sequence[float] | Array, start: float, shape: tuple[int, int, int]) -> Array:
    """Return the output times, (times,) or (times, lanes); NaN at a patient's end becomes +inf."""
    grid = np.array(times, dtype=float, ndmin=1)
    if grid.ndim == 1 and grid.size and grid[0] >= start and grid[-1] < np.inf and (grid[1:] >= grid[:-1]).all():
        return grid  # the usual case at once; what is wrong with any other is looked for below

    def refuse(en: str, fr: str) -> None:
        raise BadTimes(model=model.name, detail={"en": en, "fr": fr})

    if not grid.size:
        refuse("there are none", "il n’y en a aucun")
    if grid.ndim > 2 or (grid.ndim == 2 and grid.shape[0] != shape[0]):
        refuse(
            f"they have the shape {grid.shape}; (times,) or (patients, times) was expected",
            f"leur forme est {grid.shape} ; il faut (instants,) ou (patients, instants)",
        )
    rows = np.atleast_2d(grid)
    known = np.isfinite(rows)
    if grid.ndim == 1 and not known.all():
        refuse("one of them is not a finite number", "l’un d’eux n’est pas un nombre fini")
    if np.any(~known[:, :-1] & known[:, 1:]) or not known[:, 0].all():
        refuse("a time follows one that is not a number", "un instant suit une valeur qui n’est pas un nombre")
    reached = np.where(known, rows, np.inf)
    back = np.argwhere(reached[:, 1:] < reached[:, :-1])
    if back.size:
        row, at = back[0]
        refuse(
            f"they go backwards from {rows[row, at]:g} to {rows[row, at + 1]:g}",
            f"ils reculent de {rows[row, at]:g} à {rows[row, at + 1]:g}",
        )
    if np.nanmin(rows) < start:
        refuse(
            f"{np.nanmin(rows):g} lies before the start, {start:g}", f"{np.nanmin(rows):g} précède le début, {start:g}"
        )
    if grid.ndim == 1:
        return grid
    return np.repeat(np.where(known, rows, np.inf).T, shape[1] * shape[2], axis=1)


def _check_outputs(model: Model, wanted: tuple[str, ...]) -> None:
    for name in wanted:
        base, _, what = name.partition(".")
        known = base in model.symbols and (
            what == "" or (what in ("amount", "concentration") and model.variable(base).kind == "species")
        )
        if not known:
            raise UnknownSymbol(model=model.name, symbol=name, known=suggest(base, model.symbols))


def _spread(
    model: Model, cohort: Cohort, draws: Mapping[str, Array] | None, shape: tuple[int, int, int]
) -> dict[str, Value]:
    """Return the values by symbol, a float or one for each lane."""
    found: dict[str, Value] = {}
    for symbol, value in cohort.values.items():
        found[symbol] = value if not isinstance(value, np.ndarray) else np.repeat(value, shape[1] * shape[2])
    for symbol, drawn in (draws or {}).items():
        if symbol not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
        table = np.asarray(drawn, dtype=float)
        if table.shape != (shape[0], shape[2]):
            raise BadValue(
                model=model.name,
                symbol=symbol,
                patient="*",
                value=table.shape,
                detail={
                    "en": f"draws of the shape (patients, samples) = {(shape[0], shape[2])} were expected",
                    "fr": f"il faut des tirages de forme (patients, échantillons) = {(shape[0], shape[2])}",
                },
            )
        found[symbol] = np.ascontiguousarray(np.broadcast_to(table[:, None, :], shape)).reshape(-1)
    return found


def _lane_keys(model: Model, cohort: Cohort, shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    """Return what the luck of each lane hangs on: the patient's key, not its place in the cohort."""
    if len(model.events) < 2:  # nothing is drawn
        return np.arange(math.prod(shape))
    inside = np.arange(shape[1] * shape[2])
    own = np.array([zlib.crc32(key.encode()) for key in cohort.patients], dtype=np.intp)
    return np.asarray((own[:, None] << 30) + inside).reshape(-1)


def _stricter(model: Model, grid: Array, start: float, rtol: float, method: str | None) -> float:
    """Return the share of the error asked for that is allowed in a step (see `amplification`)."""
    kind = form(model)
    if method in ("closed form", "linear") or (method is None and kind in ("closed form", "linear")):
        return 1.0
    last = grid[-1] if grid.ndim == 1 else np.max(grid, where=np.isfinite(grid), initial=start)
    span = float(last) - start
    stiff = method == "stiff" or kind == "stiff" or bool(model.algebraic)
    return local_tolerance(model, span, rtol, stiff=stiff) / rtol


def _tolerances(model: Model, atol: float | Mapping[str, float]) -> float | Array:
    if isinstance(atol, Mapping):
        cores = {model.variable(symbol).core or symbol: value for symbol, value in atol.items()}
        return np.array([cores.get(state, 0.0) for state in (*model.states, *model.algebraic)])
    return float(atol)


def _run(
    task: Task, workers: int | Executor, block: int
) -> tuple[Array, npt.NDArray[np.int8], Array, npt.NDArray[np.int64], str]:
    """Run the blocks of a task and put them together."""
    if isinstance(workers, ProcessPoolExecutor):
        data, parts = run_apart(list(task.split(block)), workers)
    elif not isinstance(workers, int):
        parts = list(workers.map(solve, task.split(block)))
        data = np.concatenate([part.data for part in parts], axis=2)
    elif workers > 1 and task.lanes > 1:
        with ProcessPoolExecutor(workers) as pool:
            data, parts = run_apart(list(task.split(max(1, min(block, -(-task.lanes // workers))))), pool)
    else:
        parts = [solve(part) for part in task.split(block)]
        data = parts[0].data if len(parts) == 1 else np.concatenate([part.data for part in parts], axis=2)
    return (
        data,
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.ended for part in parts]),
        np.concatenate([part.steps for part in parts]),
        ", ".join(dict.fromkeys(part.method for part in parts)),
    )
