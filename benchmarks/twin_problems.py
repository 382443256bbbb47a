"""The problems of `make bench-twin`: equations, cohorts, reference trajectories, the achieved error, the work of a
patient.

Every tool gets the same patients, output times and starts. The equations stand here once, in plain arithmetic, so
that SciPy calls them with Python floats, diffrax with traced arrays and the counter of operations with numbers that
count; libroadrunner and the evaluator read the SBML file of the same model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Floats = NDArray[np.float64]
Larger = Callable[[Any, Any], Any]

ROOT = Path(__file__).resolve().parent.parent
BUILT_IN = ROOT / "ontology" / "models"
OWN = Path(__file__).resolve().parent / "models"
SPREAD = 0.2  # standard deviation of the logarithm of each parameter that varies
SEED = 20261124
TYPICAL = {"ka": 0.8, "CL": 5.0, "Q": 7.0, "V1": 35.0, "V2": 60.0}
AMOUNTS = ("amount_gut", "amount_central", "amount_peripheral")


@dataclass(frozen=True, slots=True)
class Problem:
    """An initial value problem for a cohort.

    `rates(t, y, p, larger)` returns the derivatives for the states `y` and the parameters `p` by name; `start(p)` the
    states at time 0. `states` are their symbols in the SBML file. `scale` is the usual size of each state: `atol` is
    `rtol` times a thousandth of it. `exact(p, times)`, where there is one, has shape (states, times). `sample` lanes
    are compared with the reference.
    """

    key: str
    title: str
    file: Path
    states: tuple[str, ...]
    scale: tuple[float, ...]
    times: Floats
    fixed: Mapping[str, float]
    varied: Mapping[str, float]
    rates: Callable[[Any, Any, Mapping[str, Any], Larger], list[Any]]
    start: Callable[[Mapping[str, Any]], list[Any]]
    exact: Callable[[Mapping[str, float], Floats], Floats] | None = None
    period: Callable[[Mapping[str, float]], float] | None = None
    stiff: bool = False
    sample: int = 50

    def tolerance(self, rtol: float) -> tuple[float, ...]:
        """Return the absolute tolerance of each state that goes with `rtol`."""
        return tuple(1e-3 * rtol * size for size in self.scale)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Parameters of patients: `varied` has one value a patient by name, `fixed` one value for all."""

    size: int
    fixed: Mapping[str, float]
    varied: Mapping[str, Floats]

    def patient(self, lane: int) -> dict[str, float]:
        """Return every parameter of one patient as a Python float."""
        return {**self.fixed, **{name: float(values[lane]) for name, values in self.varied.items()}}

    def first(self, size: int) -> Self:
        """Return the first `size` patients."""
        return type(self)(
            min(size, self.size), self.fixed, {name: values[:size] for name, values in self.varied.items()}
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What a patient costs at least: `evaluations` of the equations by the Dormand-Prince pair, with the operations
    in each.
    """

    evaluations: float
    simple: int
    powers: int
    states: int

    def operations(self) -> float:
        """Return additions and multiplications a patient, those of the pair (10 a state and stage) with them."""
        return self.evaluations * (self.simple + 10 * self.states)


def draw(problem: Problem, size: int) -> Cohort:
    """Return `size` patients; the first ones are the same whatever the size."""
    normal = np.random.default_rng(SEED).standard_normal((size, len(problem.varied)))
    varied = {
        name: typical * np.exp(SPREAD * normal[:, column])
        for column, (name, typical) in enumerate(problem.varied.items())
    }
    return Cohort(size, problem.fixed, varied)


@cache
def reference(key: str) -> Floats:
    """Return trajectories of the first `sample` patients, shape (lanes, states, times), far more exact than any tool
    here is asked to be.

    Exact solutions where there are any; else Radau for the stiff problem, and `switched` for the one with valves.
    """
    problem = PROBLEMS[key]
    cohort = draw(problem, problem.sample)
    lanes = []
    for lane in range(cohort.size):
        p = cohort.patient(lane)
        if problem.exact:
            lanes.append(problem.exact(p, problem.times))
            continue
        if problem.period:
            lanes.append(switched(problem, p, problem.period(p)))
            continue
        solution = solve_ivp(
            lambda t, y, p=p: problem.rates(t, y.tolist(), p, max), (0.0, float(problem.times[-1])), problem.start(p),
            method="Radau", t_eval=problem.times, rtol=1e-12, atol=[1e-12 * size for size in problem.scale],
        )  # fmt: skip
        lanes.append(solution.y)
    return np.stack(lanes)


def switched(problem: Problem, p: Mapping[str, float], period: float) -> Floats:
    """Return the trajectory of a problem with valves: DOP853 from one switch to the next, each found as a root.

    A solver that steps over a switch loses its order there, and however tight its tolerance is, now and then it does
    not see it. Which branch each `larger` takes is held within a piece.
    """
    found = np.empty((len(problem.states), problem.times.size))
    now, state, beat = 0.0, np.array(problem.start(p)), -1
    choice: list[bool] = []

    def rates(t: float, y: Floats, held: bool = True) -> tuple[list[float], list[float]]:
        gaps: list[float] = []

        def larger(a: float, b: float) -> float:
            gaps.append(a - b)
            return (a if choice[len(gaps) - 1] else b) if held else max(a, b)

        phase = min(t - beat * period, np.nextafter(period, 0.0))  # the end of a beat belongs to it
        return problem.rates(phase, y.tolist(), p, larger), gaps

    def crossing(which: int) -> Callable[[float, Floats], float]:
        def gap(t: float, y: Floats) -> float:
            return rates(t, y)[1][which]

        gap.terminal = True  # type: ignore[attr-defined]
        gap.direction = -1.0 if choice[which] else 1.0  # type: ignore[attr-defined]
        return gap

    found[:, 0] = state
    while now < problem.times[-1]:
        if now >= (beat + 1) * period or beat < 0:
            beat += 1
            choice = [gap > 0 for gap in rates(now, state, held=False)[1]]
        end = min((beat + 1) * period, float(problem.times[-1]))
        piece = solve_ivp(
            lambda t, y: rates(t, y)[0], (now, end), state, method="DOP853", dense_output=True, rtol=1e-12,
            atol=[1e-13 * size for size in problem.scale], events=[crossing(which) for which in range(len(choice))],
        )  # fmt: skip
        inside = (problem.times > now) & (problem.times <= piece.t[-1])
        if inside.any():
            found[:, inside] = piece.sol(problem.times[inside])
        for which, times in enumerate(piece.t_events):
            if times.size:
                choice[which] = not choice[which]
        now, state = float(piece.t[-1]), piece.y[:, -1]
    return found


def achieved_error(problem: Problem, trajectories: Floats) -> float:
    """Return the largest error over lanes, states and times, relative to the largest value of that state in that lane.

    Time 0 is left out: tools differ on whether a dose at time 0 is in the first output.
    """
    count = min(problem.sample, len(trajectories))
    truth = reference(problem.key)[:count]
    scale = np.abs(truth).max(axis=2, keepdims=True)
    return float((np.abs(trajectories[:count] - truth) / scale)[:, :, 1:].max())


def work(problem: Problem, rtol: float) -> Work:
    """Return the work of a patient: the median count over a few patients of the Dormand-Prince pair at `rtol`."""
    cohort = draw(problem, 5)
    evaluations = []
    for lane in range(cohort.size):
        p = cohort.patient(lane)
        solution = solve_ivp(
            lambda t, y, p=p: problem.rates(t, y.tolist(), p, max), (0.0, float(problem.times[-1])), problem.start(p),
            method="RK45", rtol=rtol, atol=problem.tolerance(rtol),
        )  # fmt: skip
        evaluations.append(solution.nfev)
    tally = Tally()
    p = {name: Counted(value, tally) for name, value in cohort.patient(0).items()}
    state = [Counted(float(value), tally) for value in problem.start(cohort.patient(0))]
    problem.rates(Counted(0.1, tally), state, p, tally.larger)
    return Work(float(np.median(evaluations)), tally.simple, tally.powers, len(problem.states))


class Tally:
    """Counts of operations."""

    def __init__(self) -> None:
        self.simple = 0
        self.powers = 0

    def larger(self, a: Any, b: Any) -> "Counted":
        """Count a comparison and return the larger one."""
        self.simple += 1
        return Counted(max(float(a), float(b)), self)


class Counted(float):
    """A number that counts what is done with it."""

    tally: Tally

    def __new__(cls, value: float, tally: Tally) -> Self:
        """Return the value, bound to its tally."""
        made = super().__new__(cls, value)
        made.tally = tally
        return made

    def _simple(self, value: float) -> "Counted":
        self.tally.simple += 1
        return Counted(value, self.tally)

    def __add__(self, other: float) -> "Counted":
        return self._simple(float(self) + float(other))

    def __sub__(self, other: float) -> "Counted":
        return self._simple(float(self) - float(other))

    def __rsub__(self, other: float) -> "Counted":
        return self._simple(float(other) - float(self))

    def __mul__(self, other: float) -> "Counted":
        return self._simple(float(self) * float(other))

    def __truediv__(self, other: float) -> "Counted":
        return self._simple(float(self) / float(other))

    def __rtruediv__(self, other: float) -> "Counted":
        return self._simple(float(other) / float(self))

    def __mod__(self, other: float) -> "Counted":
        return self._simple(float(self) % float(other))

    def __neg__(self) -> "Counted":
        return self._simple(-float(self))

    def __pow__(self, other: float, modulus: None = None) -> "Counted":
        self.tally.powers += 1
        return Counted(float(self) ** float(other), self.tally)

    __radd__ = __add__
    __rmul__ = __mul__


def pk_rates(_t: Any, y: Sequence[Any], p: Mapping[str, Any], _larger: Larger) -> list[Any]:
    """Two compartments with first-order absorption; mg, h (Gibaldi & Perrier, Pharmacokinetics, 1982)."""
    absorbed, there, back = p["ka"] * y[0], p["Q"] / p["V1"] * y[1], p["Q"] / p["V2"] * y[2]
    return [-absorbed, absorbed - p["CL"] / p["V1"] * y[1] - there + back, there - back]


def pk_exact(p: Mapping[str, float], times: Floats) -> Floats:
    """Return the sum of exponentials, by the eigenvectors of the rate matrix."""
    out, there, back, ka = p["CL"] / p["V1"], p["Q"] / p["V1"], p["Q"] / p["V2"], p["ka"]
    matrix = np.array([[-ka, 0, 0], [ka, -out - there, back], [0, there, -back]])
    values, vectors = np.linalg.eig(matrix)
    weights = np.linalg.solve(vectors, np.array([p["dose"], 0.0, 0.0]))
    return np.asarray((vectors * weights) @ np.exp(np.outer(values, times)), dtype=np.float64)


def doses_exact(p: Mapping[str, float], times: Floats) -> Floats:
    """Return the sum of the courses of all doses: the system is linear."""
    found = np.zeros((3, times.size))
    for dose in range(int(p["n_doses"])):
        after = times - dose * p["tau_h"]
        found[:, after >= 0] += pk_exact(p, after[after >= 0])
    return found


def heart_rates(t: Any, y: Sequence[Any], p: Mapping[str, Any], larger: Larger) -> list[Any]:
    """Elastance ventricle in a loop with a three-element Windkessel; mL, mm[Hg], s (Stergiopulos et al. 1996)."""
    period = 60.0 / p["HR"]
    phase = (t % period) / period
    rise, fall = (phase / 0.303) ** 1.32, (phase / 0.508) ** 21.9
    elastance = p["Emin"] + (p["Emax"] - p["Emin"]) * (1.55 * rise / ((1.0 + rise) * (1.0 + fall)))
    ventricle, artery, vein = elastance * (y[0] - p["V0"]), y[1] / p["C"], y[2] / p["Cv"]
    aortic = larger(ventricle - artery, 0.0) / (p["Zc"] + p["Rav"])
    mitral = larger(vein - ventricle, 0.0) / p["Rmv"]
    peripheral = (artery - vein) / p["Rp"]
    return [mitral - aortic, aortic - peripheral, peripheral - mitral]


def logistic_rates(_t: Any, y: Sequence[Any], p: Mapping[str, Any], _larger: Larger) -> list[Any]:
    """Logistic course; a."""
    return [p["r"] * y[0] * (1.0 - y[0])]


def logistic_exact(p: Mapping[str, float], times: Floats) -> Floats:
    """Return the closed form."""
    return np.asarray(1.0 / (1.0 + (1.0 / p["y0"] - 1.0) * np.exp(-p["r"] * times)), dtype=np.float64)[None]


def robertson_rates(_t: Any, y: Sequence[Any], p: Mapping[str, Any], _larger: Larger) -> list[Any]:
    """Robertson's system (1966); s."""
    slow, fast = p["k1"] * y[0] - p["k3"] * y[1] * y[2], p["k2"] * y[1] * y[1]
    return [-slow, slow - fast, fast]


PROBLEMS: Mapping[str, Problem] = {
    problem.key: problem
    for problem in (
        Problem(
            "pk", "one oral dose into two compartments, 48 h, 49 outputs", OWN / "two-compartment.xml",
            AMOUNTS, (300.0, 200.0, 200.0), np.linspace(0.0, 48.0, 49),
            {"dose": 300.0}, TYPICAL,
            pk_rates, lambda p: [p["dose"], 0.0, 0.0], pk_exact, sample=200,
        ),
        Problem(
            "doses", "pk2-oral as built in, 5 doses, 120 h, 241 outputs", BUILT_IN / "pk2-oral.xml",
            AMOUNTS, (300.0, 200.0, 200.0), np.linspace(0.0, 120.0, 242)[:-1],
            {"dose": 300.0, "tau_h": 24.0, "n_doses": 5.0, "doses_given": 0.0}, TYPICAL,
            pk_rates, lambda p: [p["dose"], 0.0, 0.0], doses_exact, sample=200,
        ),
        Problem(
            "cv", "elastance ventricle with Windkessel, 10 s, 501 outputs", BUILT_IN / "lv-windkessel.xml",
            ("Vlv", "Va", "Vv"), (120.0, 150.0, 600.0), np.linspace(0.0, 10.0, 501),
            {"V0": 10.0, "Zc": 0.05, "Rav": 0.01, "Rmv": 0.01, "Cv": 60.0, "SBV": 600.0},
            {"Emax": 2.0, "Emin": 0.06, "HR": 72.0, "Rp": 1.0, "C": 1.5},
            heart_rates, lambda p: [120.0, 80.0 * p["C"], p["SBV"]], period=lambda p: 60.0 / p["HR"], sample=16,
        ),
        Problem(
            "lg", "logistic course as an equation, 40 a, 41 outputs", OWN / "logistic.xml",
            ("y",), (1.0,), np.linspace(0.0, 40.0, 41),
            {}, {"r": 0.15, "y0": 0.05}, logistic_rates, lambda p: [p["y0"]], logistic_exact, sample=200,
        ),
        Problem(
            "stiff", "Robertson, 1e4 s, 11 outputs", OWN / "robertson.xml",
            ("a", "b", "c"), (1.0, 1e-5, 1.0), np.concatenate([[0.0], np.logspace(-2.0, 4.0, 10)]),
            {}, {"k1": 0.04, "k2": 3e7, "k3": 1e4}, robertson_rates, lambda p: [1.0, 0.0, 0.0], stiff=True, sample=20,
        ),
    )
}  # fmt: skip
