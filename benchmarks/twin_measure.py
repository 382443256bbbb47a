"""One measurement of `make bench-twin`, in a process of its own: what ran before it, imported or kept in memory, is
not there.
"""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from itertools import takewhile
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.twin_peers import (
    PEERS,
    Modes,
    Run,
    Visits,
    course_objective,
    first_visits,
    read_population,
    read_visits,
    run_leaspy,
)
from benchmarks.twin_problems import PROBLEMS, Cohort, Floats, Problem, achieved_error, draw

T = TypeVar("T")
R = TypeVar("R")
TWIN = "pepr_kg"
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
LONG = 1.0  # seconds: a run that takes as long is not repeated
RUNS = 5
SHORT, MANY = 0.2, 100  # runs that take less than SHORT seconds together are repeated up to MANY times
BLOCK = 16_384  # lanes side by side, as the evaluator chooses itself
SCAN = tuple(float(f"{digits}e-{power}") for power in range(3, 11) for digits in (5, 2, 1))


@dataclass(frozen=True, slots=True)
class Setting:
    """What runs: `tool` is a name of `PEERS` or `TWIN`; the rest of the line is for `TWIN` alone."""

    tool: str
    problem: str
    patients: int
    rtol: float
    method: str | None = None
    numba: bool = False
    workers: int = 1

    def __str__(self) -> str:
        """Return it in a few words."""
        extra = f" {self.method or 'chosen'}{' with numba' * self.numba} in {self.workers}" * (self.tool == TWIN)
        return f"{self.problem}, {self.patients:,} patients, {self.tool}{extra}, rtol {self.rtol:g}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a setting: patients a second, achieved error, peak memory above what was there before (MB),
    seconds to load or compile; `failure` instead where it did not run.
    """

    setting: Setting
    rate: float = float("nan")
    error: float = float("nan")
    memory: float = float("nan")
    setup: float = float("nan")
    failure: str = ""


def run_twin(problem: Problem, cohort: Cohort, setting: Setting) -> Run:
    """The evaluator: the one place that knows its interface."""
    from pepr_kg.twin import Result, evaluate, load_model

    began = time.perf_counter()
    model = load_model(problem.file)
    setup = time.perf_counter() - began
    with ProcessPoolExecutor(setting.workers) if setting.workers > 1 else nullcontext() as pool:

        def ask(size: int) -> Result:
            part, block = cohort.first(size), min(BLOCK, -(-size // setting.workers))
            return evaluate(
                model, {**part.fixed, **part.varied}, times=problem.times, outputs=problem.states,
                method=setting.method, rtol=setting.rtol, workers=pool or 1, block=block,
                jit=setting.numba,
            )  # fmt: skip

        if pool:
            ask(cohort.size)  # what a service does once: the processes start, each compiles the model
        began = time.perf_counter()
        result = ask(cohort.size)
        seconds = time.perf_counter() - began
    assert not result.failures, result.failures[0].sentence("en")
    return Run(np.stack([result.values(symbol)[:, 0, 0, :] for symbol in problem.states], axis=1), seconds, setup)


def personalise_twin(visits: Visits, copies: int) -> Modes:
    """The evaluator's individualisation of every subject, `copies` times over; what comes back is the first copy."""
    from pepr_kg.twin import Observations, fit, load_model

    model = load_model("disease-course")
    row, column = np.nonzero(np.isfinite(visits.scores))
    subjects, outcomes = visits.lane[row].astype(int), [visits.outcomes[place] for place in column]
    keys = [f"{visits.subjects[subject]}-{copy}" for copy in range(copies) for subject in subjects]
    ages, scores = np.tile(visits.ages[row], copies), np.tile(visits.scores[row, column], copies)
    began = time.perf_counter()  # leaspy too reads its table within the call
    found = fit(model, Observations.from_columns(keys, ages, outcomes * copies, scores))
    seconds = time.perf_counter() - began
    order = [found.patients.index(f"{subject}-0") for subject in visits.subjects]
    values = found.theta[[found.symbols.index(symbol) for symbol in ("xi", "tau_a", "s0", "s1")]][:, order].T
    return Modes(visits.subjects, values, seconds)


def measure(setting: Setting) -> Figures:
    """Return the figures of one setting, measured in a new process."""
    return _judged(*_apart(_measure, setting))


def scan(setting: Setting) -> tuple[Figures, ...]:
    """Return the achieved error at each tolerance of `SCAN`, loosest first, for the lanes that have a reference."""
    return tuple(_judged(*item) for item in _apart(_scan, setting))


def personalise(tool: str, subjects: int, scored: int) -> tuple[float, float, str]:
    """Return subjects a second, the objective summed over the first `scored` subjects, and what failed, for `TWIN` or
    leaspy.
    """
    return _apart(_personalise, (tool, subjects, scored))


def match(figures: Iterable[Figures], error: float) -> Setting | None:
    """Return the loosest setting from which on every achieved error is at most `error`; None where there is none."""
    good = list(takewhile(lambda item: item.error <= error, reversed(tuple(figures))))
    return good[-1].setting if good else None


def _apart(function: Callable[[T], R], argument: T) -> R:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, argument).result()


def _run(setting: Setting, cohort: Cohort) -> Run:
    problem = PROBLEMS[setting.problem]
    return (
        run_twin(problem, cohort, setting)
        if setting.tool == TWIN
        else PEERS[setting.tool](problem, cohort, setting.rtol)
    )


def _hide_numba(setting: Setting) -> None:
    if not setting.numba:
        sys.modules["numba"] = None  # type: ignore[assignment]


def _judged(figures: Figures, trajectories: Floats) -> Figures:
    """Return the figures with the achieved error: the reference is computed here, once, and not in every process."""
    if figures.failure:
        return figures
    return replace(figures, error=achieved_error(PROBLEMS[figures.setting.problem], trajectories))


def _measure(setting: Setting) -> tuple[Figures, Floats]:
    _hide_numba(setting)
    problem = PROBLEMS[setting.problem]
    cohort = draw(problem, max(setting.patients, problem.sample)).first(setting.patients)
    try:
        _run(setting, cohort.first(2 if setting.workers == 1 else setting.patients))
        before = _memory(reset=True)
        first = _run(setting, cohort)
        memory, seconds = _memory() - before, [first.seconds]
        while first.seconds < LONG and (len(seconds) < RUNS or (sum(seconds) < SHORT and len(seconds) < MANY)):
            seconds.append(_run(setting, cohort).seconds)
    except FAILURES as error:
        return Figures(setting, failure=f"{type(error).__name__}: {error}"), np.empty(0)
    figures = Figures(setting, setting.patients / median(seconds), memory=memory, setup=first.setup)
    return figures, first.trajectories[: problem.sample]


def _scan(setting: Setting) -> list[tuple[Figures, Floats]]:
    _hide_numba(setting)
    problem = PROBLEMS[setting.problem]
    cohort = draw(problem, problem.sample)
    found = []
    for rtol in SCAN:
        at = replace(setting, rtol=rtol)
        try:
            found.append((Figures(at), _run(at, cohort).trajectories))
        except FAILURES as error:
            found.append((Figures(at, failure=f"{type(error).__name__}: {error}"), np.empty(0)))
    return found


def _personalise(task: tuple[str, int, int]) -> tuple[float, float, str]:
    tool, subjects, scored = task
    try:
        visits = read_visits()
        with redirect_stdout(StringIO()):  # leaspy prints what it did
            copies = max(1, subjects // len(visits.subjects))
            if tool == TWIN:
                personalise_twin(visits, 1)
            modes = personalise_twin(visits, copies) if tool == TWIN else run_leaspy(subjects)
        objective = course_objective(first_visits(visits, scored), modes.values[:scored], read_population())
        return copies * len(modes.subjects) / modes.seconds, objective, ""
    except FAILURES as error:
        return float("nan"), float("nan"), f"{type(error).__name__}: {error}"


def _memory(*, reset: bool = False) -> float:
    """Return the peak memory of this process in MB; with `reset`, begin a new peak and return what is in use now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS" if reset else "VmHWM"].split()[0]) / 1024
