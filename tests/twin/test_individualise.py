"""Posterior modes: against reference cohorts, exact answers, and what must not change them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.errors import (
    BadDistribution,
    BadObservation,
    EmptyCohort,
    PredictionMisfit,
    TwinError,
    UnknownVariable,
)
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import Fit, Observation, Observations, Prior, Priors, Residual, individualise
from pepr_kg.twin.estimation.normal import hazard, log_ndtr
from pepr_kg.twin.status import Status
from tests.twin.cohorts import Course, Theophylline, Warfarin, rows

Indices = npt.NDArray[np.intp]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "twin" / "reference"


@pytest.fixture(scope="module")
def course(folder: Path) -> Course:
    return Course.read(folder)


def constant(theta: Array, patient: Indices) -> Array:
    """Every observation measures the parameter itself."""
    return theta[:1]


def one(value: float, *, censored: bool = False) -> Observations:
    return Observations.from_rows([Observation("p", 0.0, "x", value, censored)])


@pytest.mark.parametrize("slopes", ["central", "forward", "derivatives"])
def test_the_disease_course_reaches_every_given_optimum(course: Course, folder: Path, slopes: str) -> None:
    fit = individualise(
        course, course.data, course.priors, course.residuals,
        jacobian=course.derivatives if slopes == "derivatives" else None,
        forward=slopes == "forward", step=1e-4 if slopes == "forward" else 1e-3,
    )  # fmt: skip
    given = {row["id"]: row for row in rows(folder / "disease-course-map.csv")}
    assert set(given) == set(fit.patients)
    assert (fit.status == Status.DONE).all()
    for at, key in enumerate(fit.patients):
        row = given[key]
        assert fit.objective[at] < float(row["neg_log_posterior"]) + 1e-3
        assert fit.theta[1, at] == pytest.approx(float(row["tau_a"]), abs=0.05)
        assert fit.sd[:2, at] == pytest.approx([float(row["sd_xi"]), float(row["sd_tau_a"])], rel=1e-2)


def test_theophylline_subjects_reach_the_given_modes(folder: Path) -> None:
    cohort = Theophylline.read(folder)
    # the population fit of models.md, section 1
    covariance = np.array([[0.028034, -0.00131], [-0.00131, 0.43458]])
    sd = np.sqrt(np.diag(covariance))
    priors = Priors.of(
        Prior("CL", -3.22682, float(sd[0]), "log"),
        Prior("ka", 0.48094, float(sd[1]), "log"),
        correlation=covariance / np.outer(sd, sd),
    )

    def predict(theta: Array, patient: Indices) -> Array:
        return cohort(np.array([*theta, np.full(theta.shape[1], math.exp(-2.45917))]), patient)

    fit = individualise(predict, cohort.data, priors, [Residual("conc", math.sqrt(0.50158))])
    eta = fit.mode - priors.mean[:, np.newaxis]
    checked = 0
    for row in rows(folder / "expected.csv"):
        if row["case"].startswith("theo-0") and row["variable"] in ("b_lCl", "b_lka"):
            subject = str(int(row["case"].removeprefix("theo-")))
            got = eta[("b_lCl", "b_lka").index(row["variable"]), fit.patients.index(subject)]
            assert got == pytest.approx(float(row["value"]), abs=float(row["abs_tol"]))
            checked += 1
    assert checked >= 14


@pytest.mark.parametrize("hours", [36.5, 48.5])
def test_first_observations_of_warfarin_predict_the_later_ones_better_than_typical_parameters(
    folder: Path, hours: float
) -> None:
    cohort = Warfarin.read(folder)
    fit = individualise(cohort, cohort.data.before(hours), cohort.priors, cohort.residuals)
    assert (fit.status == Status.DONE).all()
    everyone = np.arange(len(fit.patients))
    typical = np.repeat(cohort.priors.natural(cohort.priors.mean[:, np.newaxis]), len(everyone), axis=1)
    later = cohort.data.present & (cohort.data.time > hours)
    for variable, gain in ((0, 0.75), (1, 0.75)):
        which = later & (cohort.data.variable == variable)
        own = (cohort(fit.theta, everyone) - cohort.data.value)[which]
        usual = (cohort(typical, everyone) - cohort.data.value)[which]
        assert np.sqrt(np.mean(own**2)) < gain * np.sqrt(np.mean(usual**2))


def test_a_start_where_absorption_and_elimination_are_swapped_comes_back(folder: Path) -> None:
    cohort = Theophylline.read(folder)
    priors = Priors.of(Prior("CL", -3.2, 0.3, "log"), Prior("ka", 0.5, 0.6, "log"), Prior("ke", -2.5, 0.3, "log"))
    residuals = [Residual("conc", 0.7)]
    usual = individualise(cohort, cohort.data, priors, residuals)
    swapped = individualise(cohort, cohort.data, priors, residuals, start=np.array([0.04, 0.08, 1.6]))
    assert (usual.status == Status.DONE).all()
    assert swapped.theta == pytest.approx(usual.theta, rel=1e-4)


def test_a_linear_model_has_the_conjugate_posterior() -> None:
    rng = np.random.default_rng(3)
    design = rng.normal(size=(6, 2))
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    data = Observations.from_rows([Observation("p", float(at), "x", float(rng.normal())) for at in range(6)])
    priors = Priors.of(Prior("a", 1.0, 2.0), Prior("b", -1.0, 0.5), correlation=correlation)

    def predict(theta: Array, patient: Indices) -> Array:
        found: Array = design @ theta
        return found

    for exact in (False, True):
        fit = individualise(predict, data, priors, [Residual("x", 0.7)], exact=exact)
        precision = np.linalg.inv(priors.covariance) + design.T @ design / 0.49
        mean = np.linalg.solve(
            precision, np.linalg.inv(priors.covariance) @ priors.mean + design.T @ data.value[:, 0] / 0.49
        )
        assert fit.theta[:, 0] == pytest.approx(mean, abs=1e-5)
        assert fit.covariance[:, :, 0] == pytest.approx(np.linalg.inv(precision), rel=1e-6)
        marginal = design @ priors.covariance @ design.T + 0.49 * np.eye(6)
        away = data.value[:, 0] - design @ priors.mean
        evidence = -0.5 * (away @ np.linalg.solve(marginal, away) + np.linalg.slogdet(2 * np.pi * marginal)[1])
        assert fit.log_evidence[0] == pytest.approx(evidence, abs=1e-5)


def negative_log_posterior(x: Array, value: float, additive: float, proportional: float, censored: bool) -> Array:
    sd = np.sqrt(additive**2 + (proportional * x) ** 2)
    away = (value - x) / sd
    found: Array = (-log_ndtr(away) if censored else 0.5 * away**2 + np.log(sd)) + 0.5 * (x - 2.0) ** 2
    return found


@pytest.mark.parametrize("additive", [0.0, 0.5])
@pytest.mark.parametrize("censored", [False, True])
@pytest.mark.parametrize("value", [0.4, 1.0, 6.0])
def test_proportional_error_and_censoring_have_their_own_mode(additive: float, censored: bool, value: float) -> None:
    fit = individualise(
        constant, one(value, censored=censored), Priors.of(Prior("x", 2.0, 1.0)), [Residual("x", additive, 0.3)],
        exact=True,
    )  # fmt: skip
    grid = np.linspace(0.05, 8.0, 20_001)
    density = negative_log_posterior(grid, value, additive, 0.3, censored)
    best = int(np.argmin(density))
    assert fit.status[0] == Status.DONE
    assert fit.theta[0, 0] == pytest.approx(grid[best], abs=1e-3)
    assert fit.objective[0] == pytest.approx(density[best], abs=1e-6)
    step = grid[1] - grid[0]
    wide = 40
    bend = (density[best - wide] - 2 * density[best] + density[best + wide]) / (wide * step) ** 2
    assert fit.sd[0, 0] == pytest.approx(1 / math.sqrt(bend), rel=0.02)


def test_a_value_far_above_the_limit_is_pulled_down_without_overflow() -> None:
    priors = Priors.of(Prior("x", 1000.0, 10.0))
    fit = individualise(constant, one(0.5, censored=True), priors, [Residual("x", 1.0)])
    assert fit.status[0] == Status.DONE
    x = float(fit.theta[0, 0])
    assert (x - 1000.0) / 100.0 + float(hazard(0.5 - x)) == pytest.approx(0.0, abs=1e-4)
    assert 10.0 < x < 11.0


@pytest.mark.parametrize("transform", ["identity", "log", "logit"])
def test_supplied_derivatives_go_through_every_transform(transform: str) -> None:
    data = Observations.from_rows([Observation("p", float(at), "x", 2.0 + 0.1 * at) for at in range(3)])
    priors = Priors.of(Prior("x", 0.2, 0.8, transform, 1.0, 4.0))

    def predict(theta: Array, patient: Indices) -> Array:
        return np.repeat(theta**2, 3, axis=0)

    def derivatives(theta: Array, patient: Indices) -> tuple[Array, Array]:
        return predict(theta, patient), np.repeat(2.0 * theta, 3, axis=0)[np.newaxis]

    numeric = individualise(predict, data, priors, [Residual("x", 0.5)])
    analytic = individualise(predict, data, priors, [Residual("x", 0.5)], jacobian=derivatives)
    assert analytic.mode == pytest.approx(numeric.mode, abs=1e-4)
    assert analytic.sd == pytest.approx(numeric.sd, rel=1e-4)
    assert priors.unbounded(numeric.theta) == pytest.approx(numeric.mode)


def test_bounds_hold_and_the_prior_stands_where_nothing_was_observed() -> None:
    data = Observations.from_rows([Observation("p", 0.0, "x", 5.0)], patients=["p", "unseen"])
    priors = Priors.of(Prior("x", 0.0, 1.0, "logit", 1.0, 3.0))
    fit = individualise(constant, data, priors, [Residual("x", 0.1)])
    assert 2.0 < fit.theta[0, 0] < 3.0
    assert fit.theta[0, 1] == pytest.approx(2.0)
    assert fit.sd[0, 1] == pytest.approx(1.0)
    drawn = fit.draws(500, seed=1)
    assert ((drawn > 1.0) & (drawn < 3.0)).all()


def test_a_failed_patient_has_a_status_and_no_figures_and_the_others_go_on() -> None:
    data = Observations.from_rows([Observation(key, 0.0, "x", 1.0) for key in ("good", "bad")])

    def predict(theta: Array, patient: Indices) -> Array:
        return np.where(patient == 1, np.nan, theta[:1])

    fit = individualise(predict, data, Priors.of(Prior("x", 0.0, 1.0)), [Residual("x", 1.0)])
    assert fit.status.tolist() == [Status.DONE, Status.NOT_FINITE]
    assert fit.theta[0, 0] == pytest.approx(0.5)
    assert np.isnan(fit.theta[0, 1])
    assert np.isnan(fit.objective[1])
    drawn = fit.draws(3, seed=1)
    assert np.isfinite(drawn[:, :, 0]).all()
    assert np.isnan(drawn[:, :, 1]).all()
    assert [key for key, *_ in fit.failed] == ["bad"]


def test_further_starts_leave_a_plateau() -> None:
    """From -4 the sigmoid is flat: the first descent ends at the prior mean and explains nothing."""
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    data = Observations.from_rows(
        [Observation("p", at, "x", 10.0 / (1.0 + math.exp(-4.0 * (at - 2.5)))) for at in times]
    )

    def predict(theta: Array, patient: Indices) -> Array:
        with np.errstate(over="ignore"):
            found: Array = 10.0 / (1.0 + np.exp(-4.0 * (data.time[:, patient] - theta[0])))
        return found

    priors = Priors.of(Prior("shift", -4.0, 6.0))
    alone = individualise(predict, data, priors, [Residual("x", 1.0)], restarts=0)
    several = individualise(predict, data, priors, [Residual("x", 1.0)], restarts=8)
    assert several.objective[0] < alone.objective[0] - 50.0
    assert several.misfit[0] < 1.0


def bits(fit: Fit, order: list[int]) -> list[bytes]:
    parts = (fit.mode, fit.covariance, fit.objective, fit.constant, fit.draws(5, seed=9))
    return [np.ascontiguousarray(part[..., order]).tobytes() for part in parts]


def test_a_patient_has_the_same_bits_in_every_cohort_order_and_block(course: Course) -> None:
    patients = course.data.patients
    rng = np.random.default_rng(5)

    def fitted(order: Indices, lanes: int | None = None) -> Fit:
        def predict(theta: Array, patient: Indices) -> Array:
            return course(theta, order[patient])

        return individualise(predict, course.data.select(order), course.priors, course.residuals, lanes=lanes)

    everyone = np.arange(len(patients))
    usual = fitted(everyone)
    shuffled = rng.permutation(everyone)
    assert bits(fitted(shuffled), np.argsort(shuffled).tolist()) == bits(usual, everyone.tolist())
    assert bits(fitted(everyone, lanes=40), everyone.tolist()) == bits(usual, everyone.tolist())
    few = np.array([17, 3, 99])
    assert bits(fitted(few), [0, 1, 2]) == bits(usual, few.tolist())
    alone = np.array([42])
    assert bits(fitted(alone), [0]) == bits(usual, [42])


def test_a_censored_or_failing_neighbour_changes_no_bit(course: Course) -> None:
    whole = course.data.select(np.arange(20))
    usual = individualise(course, whole, course.priors, course.residuals)
    censored = np.zeros_like(whole.censored)
    censored[:3, 7] = True

    def predict(theta: Array, patient: Indices) -> Array:
        return np.where(patient == 8, np.nan, course(theta, patient))

    mixed = individualise(predict, replace(whole, censored=censored), course.priors, course.residuals)
    others = [at for at in range(20) if at not in (7, 8)]
    assert mixed.status[8] == Status.NOT_FINITE
    assert not np.array_equal(mixed.mode[:, 7], usual.mode[:, 7])
    assert bits(mixed, others) == bits(usual, others)


def test_later_observations_can_be_hidden_from_the_fit(course: Course) -> None:
    part = course.data.before(75.0)
    rows = [
        Observation(part.patients[at], float(part.time[slot, at]), part.variables[part.variable[slot, at]], value)
        for slot, at in np.argwhere(part.present).tolist()
        for value in [float(part.value[slot, at])]
    ]
    assert 0 < len(rows) < course.data.present.sum()
    fewer = Observations.from_rows(rows, variables=part.variables, patients=part.patients)
    assert max(row.time for row in rows) < 75.0

    def predict(theta: Array, patient: Indices) -> Array:
        return course(theta, patient)[: len(fewer.value)]

    hidden = individualise(course, part, course.priors, course.residuals)
    absent = individualise(predict, fewer, course.priors, course.residuals)
    everyone = list(range(len(part.patients)))
    assert bits(hidden, everyone) == bits(absent, everyone)


def test_draws_have_the_posterior_mean_and_covariance_and_grow_from_the_front() -> None:
    data = Observations.from_rows([Observation("p", 0.0, "x", 1.0), Observation("q", 0.0, "x", 3.0)])
    priors = Priors.of(Prior("a", 0.0, 1.0), Prior("b", 0.0, 2.0))

    def predict(theta: Array, patient: Indices) -> Array:
        return theta[:1] + theta[1:]

    fit = individualise(predict, data, priors, [Residual("x", 0.5)])
    drawn = fit.draws(20_000, seed=11)
    for at in range(2):
        assert drawn[:, :, at].mean(axis=1) == pytest.approx(fit.mode[:, at], abs=0.03)
        assert np.cov(drawn[:, :, at]) == pytest.approx(fit.covariance[:, :, at], abs=0.03)
    assert np.array_equal(fit.draws(10, seed=11), drawn[:, :10])
    assert not np.array_equal(fit.draws(10, seed=12), drawn[:, :10])
    assert not np.array_equal(drawn[:, :, 0] - fit.mode[:, :1], drawn[:, :, 1] - fit.mode[:, 1:])
    by_symbol = fit.samples(10, seed=11)
    assert np.array_equal(by_symbol["b"][1], drawn[1, :10, 1])
    assert fit.parameters["a"].tolist() == fit.theta[0].tolist()
    even = fit.draws(200, seed=11, stratified=True)
    assert even.mean(axis=1) == pytest.approx(fit.mode, abs=0.01)


def test_prior_means_may_depend_on_covariates() -> None:
    data = Observations.from_rows([], variables=["x"], patients=["p", "q"])
    fit = individualise(
        lambda theta, patient: np.empty((0, theta.shape[1])), data, Priors.of(Prior("CL", 0.0, 0.2, "log")),
        [Residual("x", 1.0)], means=np.log([[2.0, 5.0]]),
    )  # fmt: skip
    assert fit.theta[0] == pytest.approx([2.0, 5.0])


def test_bad_observations_are_named() -> None:
    good = Observation("p", 0.0, "x", 1.0)
    with pytest.raises(BadObservation, match=r"Row 2, x of patient q: the value is not a finite number"):
        Observations.from_rows([good, Observation("q", 0.0, "x", math.nan)])
    with pytest.raises(BadObservation, match="limit of quantification is negative"):
        Observations.from_rows([Observation("q", 0.0, "x", -0.1, censored=True)])
    with pytest.raises(BadObservation, match="time is not a finite number"):
        Observations.from_rows([Observation("q", math.inf, "x", 1.0)])
    with pytest.raises(BadObservation, match="Row 1, x of patient p: the patient is not in the cohort"):
        Observations.from_rows([good], patients=["q"])
    with pytest.raises(UnknownVariable, match=r'no variable "x" \(row 1, patient p\). Known: y') as caught:
        Observations.from_rows([good], variables=["y"])
    assert "Il n’y a pas de variable « x » (ligne 1, patient p)" in caught.value.message("fr")
    with pytest.raises(EmptyCohort):
        Observations.from_rows([])


def test_bad_distributions_are_named() -> None:
    for prior in (("x", 0.0, 0.0), ("x", math.nan, 1.0), ("x", 0.0, 1.0, "cube"), ("x", 0.0, 1.0, "logit", 2.0, 1.0)):
        with pytest.raises(BadDistribution, match="of x is not usable"):
            Prior(*prior)
    for parts in ((0.0, 0.0), (-1.0, 0.0), (1.0, math.inf)):
        with pytest.raises(BadDistribution, match="of y is not usable"):
            Residual("y", *parts)
    with pytest.raises(BadDistribution, match="given twice"):
        Priors.of(Prior("x", 0.0, 1.0), Prior("x", 0.0, 1.0))
    with pytest.raises(BadDistribution, match="not symmetric and positive definite"):
        Priors.of(Prior("x", 0.0, 1.0), Prior("y", 0.0, 1.0), correlation=[[1.0, 1.2], [1.2, 1.0]])
    with pytest.raises(BadDistribution, match="out of bounds"):
        individualise(
            constant, one(1.0), Priors.of(Prior("x", 0.0, 1.0, "log")), [Residual("x", 1.0)], start=np.array([-1.0])
        )


def test_what_does_not_fit_together_is_refused() -> None:
    priors = Priors.of(Prior("x", 0.0, 1.0))
    with pytest.raises(UnknownVariable, match="no residual error"):
        individualise(constant, one(1.0), priors, [Residual("y", 1.0)])
    with pytest.raises(PredictionMisfit, match=r"shape \(2, 3\); \(1, 3\) was expected"):
        individualise(lambda theta, patient: np.zeros((2, 3)), one(1.0), priors, [Residual("x", 1.0)])
    assert issubclass(PredictionMisfit, TwinError)
