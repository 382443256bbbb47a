"""The peers of `make bench-twin`: each function takes a problem, patients and a tolerance and returns trajectories
and seconds.

Each peer is used as its documentation says that it is fastest for many patients in one process: libroadrunner loads
once, then resets, sets the parameters as one vector and simulates; SciPy gets Python floats; diffrax is one compiled
`vmap`; leaspy gets all subjects at once.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.twin_problems import Cohort, Floats, Problem


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave: `trajectories` of shape (lanes, states, times), its seconds, and the seconds to load or
    compile before it.
    """

    trajectories: Floats
    seconds: float
    setup: float = 0.0


@dataclass(frozen=True, slots=True)
class Modes:
    """Individual parameters of subjects by a personalisation: xi, tau, s0, s1 in the columns of `values`, and the
    seconds that it took.
    """

    subjects: tuple[str, ...]
    values: Floats
    seconds: float


Peer = Callable[[Problem, Cohort, float], Run]


@dataclass(frozen=True, slots=True)
class Visits:
    """Observations of leaspy's simulated cohort: a row a visit; `scores` (visits, outcomes) with NaN where nothing
    was seen.
    """

    subjects: tuple[str, ...]
    lane: Floats
    ages: Floats
    scores: Floats
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """Population parameters of the logistic course (Koval et al. 2021): vectors by outcome; `mixing` has shape (2,
    outcomes).
    """

    g: Floats
    v0: Floats
    mixing: Floats
    noise: Floats
    tau_mean: float
    tau_sd: float
    xi_sd: float


def run_roadrunner(problem: Problem, cohort: Cohort, rtol: float) -> Run:
    """libroadrunner: CVODE on compiled equations, one patient after the other."""
    import roadrunner

    began = time.perf_counter()
    runner = roadrunner.RoadRunner(str(problem.file))
    runner.timeCourseSelections = list(problem.states)
    runner.integrator.relative_tolerance = rtol
    runner.integrator.absolute_tolerance = min(problem.tolerance(rtol))
    # A reset leaves what events changed (doses_given): it is set with the parameters.
    every = {name: np.full(cohort.size, value) for name, value in cohort.fixed.items()} | dict(cohort.varied)
    globals_, volumes = list(runner.model.getGlobalParameterIds()), list(runner.model.getCompartmentIds())
    plain, sized = [name for name in every if name in globals_], [name for name in every if name in volumes]
    indexes, sizes = [globals_.index(name) for name in plain], [volumes.index(name) for name in sized]
    rows = np.column_stack([every[name] for name in plain])
    volumes_of = np.column_stack([every[name] for name in sized]) if sized else None
    grid = problem.times
    uniform = np.allclose(np.diff(grid), grid[1] - grid[0])
    runner.simulate(0.0, float(grid[-1]), 2)  # the first run allocates
    setup = time.perf_counter() - began
    found = np.empty((cohort.size, len(problem.states), grid.size))
    began = time.perf_counter()
    for lane, row in enumerate(rows):
        runner.model.setGlobalParameterValues(indexes, row)
        if volumes_of is not None:
            runner.model.setCompartmentVolumes(sizes, volumes_of[lane])
        runner.reset()
        values = runner.simulate(0.0, float(grid[-1]), grid.size) if uniform else runner.simulate(times=grid)
        found[lane] = np.asarray(values).T
    return Run(found, time.perf_counter() - began, setup)


def scipy_with(method: str) -> Peer:
    """Return the peer that runs `scipy.integrate.solve_ivp` with `method`; "odeint" is the older compiled loop around
    LSODA.
    """
    from scipy.integrate import odeint, solve_ivp

    def run(problem: Problem, cohort: Cohort, rtol: float) -> Run:
        span, tolerance = (0.0, float(problem.times[-1])), problem.tolerance(rtol)
        found = np.empty((cohort.size, len(problem.states), problem.times.size))
        began = time.perf_counter()
        for lane in range(cohort.size):
            p = cohort.patient(lane)

            def rates(t: float, y: Floats, p: Mapping[str, float] = p) -> list[float]:
                return problem.rates(t, y.tolist(), p, max)

            if method == "odeint":
                found[lane] = odeint(
                    rates, problem.start(p), problem.times, rtol=rtol, atol=tolerance, tfirst=True, mxstep=100_000
                ).T
            else:
                found[lane] = solve_ivp(
                    rates, span, problem.start(p), method=method, t_eval=problem.times, rtol=rtol, atol=tolerance
                ).y
        return Run(found, time.perf_counter() - began)

    return run


def diffrax_with(solver: str) -> Peer:
    """Return the peer that runs diffrax's solver of that name over all patients at once; compilation is the setup."""

    def run(problem: Problem, cohort: Cohort, rtol: float) -> Run:
        import jax

        jax.config.update("jax_enable_x64", True)
        import diffrax
        import jax.numpy as jnp

        def rates(t: Any, y: Any, p: Mapping[str, Any]) -> Any:
            return jnp.stack(problem.rates(t, y, {**problem.fixed, **p}, jnp.maximum))

        control = diffrax.PIDController(rtol=rtol, atol=jnp.asarray(problem.tolerance(rtol)))

        def one(p: Mapping[str, Any]) -> Any:
            start = jnp.stack([jnp.asarray(value, float) for value in problem.start({**problem.fixed, **p})])
            return diffrax.diffeqsolve(
                diffrax.ODETerm(rates), getattr(diffrax, solver)(), 0.0, float(problem.times[-1]), None, start, p,
                saveat=diffrax.SaveAt(ts=jnp.asarray(problem.times)), stepsize_controller=control,
                max_steps=1_000_000, throw=False,
            ).ys  # fmt: skip

        patients = {name: jnp.asarray(values) for name, values in cohort.varied.items()}
        began = time.perf_counter()
        compiled = jax.jit(jax.vmap(one)).lower(patients).compile()
        setup = time.perf_counter() - began
        began = time.perf_counter()
        found = np.asarray(compiled(patients).block_until_ready())
        return Run(found.transpose(0, 2, 1), time.perf_counter() - began, setup)

    return run


PEERS: Mapping[str, Peer] = {
    "libroadrunner": run_roadrunner,
    "SciPy LSODA": scipy_with("LSODA"),
    "SciPy odeint": scipy_with("odeint"),
    "SciPy RK45": scipy_with("RK45"),
    "SciPy Radau": scipy_with("Radau"),
    "diffrax Dopri5": diffrax_with("Dopri5"),
    "diffrax Tsit5": diffrax_with("Tsit5"),
    "diffrax Kvaerno5": diffrax_with("Kvaerno5"),
}
# Which peers meet which problem, with the most patients that each is run on: the rest is by patients a second.
FIELD: Mapping[str, Mapping[str, int]] = {
    "pk": {"libroadrunner": 10_000, "SciPy LSODA": 1000, "SciPy odeint": 1000, "SciPy RK45": 500,
           "diffrax Dopri5": 100_000, "diffrax Tsit5": 100_000},
    "doses": {"libroadrunner": 10_000},
    "cv": {"libroadrunner": 1000, "SciPy LSODA": 100, "SciPy RK45": 100, "diffrax Dopri5": 2000, "diffrax Tsit5": 2000},
    "lg": {"libroadrunner": 10_000, "SciPy LSODA": 1000, "SciPy RK45": 1000,
           "diffrax Dopri5": 100_000, "diffrax Tsit5": 100_000},
    "stiff": {"libroadrunner": 10_000, "SciPy LSODA": 500, "SciPy odeint": 1000, "SciPy Radau": 100,
              "diffrax Kvaerno5": 2000},
}  # fmt: skip


def read_visits() -> Visits:
    """Return the observations of the 200 simulated subjects that leaspy brings along."""
    from leaspy.datasets import load_dataset

    table = load_dataset("alzheimer")
    names = table.index.get_level_values("ID")
    subjects = tuple(dict.fromkeys(names))
    order = {name: position for position, name in enumerate(subjects)}
    return Visits(
        subjects,
        np.array([order[name] for name in names], dtype=np.float64),
        table.index.get_level_values("TIME").to_numpy(dtype=np.float64),
        table.to_numpy(dtype=np.float64),
        tuple(table.columns),
    )


def read_population() -> Population:
    """Return the population parameters of the model that leaspy brings along."""
    from leaspy.datasets import load_model

    state = load_model("alzheimer").state

    def vector(name: str) -> Floats:
        return np.asarray(state.get_tensor_value(name).numpy(), dtype=np.float64)

    return Population(
        vector("g").reshape(-1), vector("v0").reshape(-1), vector("mixing_matrix"), vector("noise_std").reshape(-1),
        *(float(vector(name).reshape(())) for name in ("tau_mean", "tau_std", "xi_std")),
    )  # fmt: skip


def course_objective(visits: Visits, modes: Floats, population: Population) -> float:
    """Return half the sum of squared scaled residuals plus half the prior quadratic over all subjects (lower is
    better).
    """
    lane = visits.lane.astype(np.intp)
    xi, tau, sources = modes[:, 0], modes[:, 1], modes[:, 2:4]
    psi = np.exp(xi)[lane] * (visits.ages - tau[lane])
    g = population.g
    steep = (1 + g) ** 2 / g
    course = 1 / (1 + g * np.exp(-steep * (population.v0 * psi[:, None] + (sources @ population.mixing)[lane])))
    residual = (visits.scores - course) / population.noise
    prior = (
        (xi / population.xi_sd) ** 2 + ((tau - population.tau_mean) / population.tau_sd) ** 2 + (sources**2).sum(axis=1)
    )
    return float(np.nansum(residual**2) / 2 + prior.sum() / 2)


def first_visits(visits: Visits, subjects: int) -> Visits:
    """Return the observations of the first subjects."""
    inside = visits.lane < subjects
    return Visits(
        visits.subjects[:subjects], visits.lane[inside], visits.ages[inside], visits.scores[inside], visits.outcomes
    )


def run_leaspy(subjects: int) -> Modes:
    """leaspy: `personalize` by scipy_minimize for the first subjects of its own cohort."""
    from leaspy.datasets import load_dataset, load_model

    visits, table = read_visits(), load_dataset("alzheimer")
    names = visits.subjects[:subjects]
    model, part = load_model("alzheimer"), table.loc[list(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        found = model.personalize(part, "scipy_minimize", seed=0, progress_bar=False)
        seconds = time.perf_counter() - began
    frame = found.to_dataframe().loc[list(names), ["xi", "tau", "sources_0", "sources_1"]]
    values = frame.to_numpy(dtype=np.float64)
    return Modes(names, values, seconds)
