"""Bands, sources of variance, and posteriors put to the test by simulation."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.errors import BadDistribution, EmptyCohort
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import Observation, Observations, Prior, Priors, Residual, individualise
from pepr_kg.twin.estimation.sampling import generator, latin_hypercube
from pepr_kg.twin.estimation.uncertainty import Calibration, bands, calibrate, decompose, perturb, simulate, weigh
from tests.twin.cohorts import Course

Indices = npt.NDArray[np.intp]


@pytest.mark.parametrize("draws", [1, 2, 7, 100])
def test_bands_are_the_quantiles_of_numpy(draws: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, draws, 5))
    probabilities = [0.0, 0.025, 0.5, 0.9, 1.0]
    found = bands(values, probabilities)
    assert found.values == pytest.approx(np.quantile(values, probabilities, axis=2), abs=1e-14)
    assert (found.count == draws).all()


def test_blocks_of_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(11, 30, 5))
    whole = bands(values, [0.1, 0.8]).values
    monkeypatch.setattr("pepr_kg.twin.estimation.uncertainty._BLOCK", 100)
    assert np.array_equal(bands(values, [0.1, 0.8]).values, whole)


def test_failed_draws_are_left_out_and_counted() -> None:
    values = np.random.default_rng(0).normal(size=(10, 3))
    values[:4, 1] = np.nan
    values[5, 1] = np.inf
    values[:, 2] = np.nan
    found = bands(values, [0.25, 0.75])
    assert found.count.tolist() == [10, 5, 0]
    kept = values[np.isfinite(values[:, 1]), 1]
    assert found.values[:, 1] == pytest.approx(np.quantile(kept, [0.25, 0.75]), abs=1e-14)
    assert np.isnan(found.values[:, 2]).all()
    with pytest.raises(BadDistribution, match="outside 0 to 1"):
        bands(values, [1.5])


def test_the_three_sources_are_apart_and_sum_to_the_variance_of_what_comes() -> None:
    rng = np.random.default_rng(8)
    first, second = 10.0 + 2.0 * rng.normal(size=(50_000, 1)), 14.0 + 1.0 * rng.normal(size=(40_000, 1))
    found = decompose([first, second], [Residual("x", 0.5), Residual("x", 0.0, 0.1)], [0.75, 0.25])
    assert found.mean[0] == pytest.approx(11.0, abs=0.05)
    assert found.parameter[0] == pytest.approx(0.75 * 4.0 + 0.25 * 1.0, rel=0.02)
    assert found.residual[0] == pytest.approx(0.75 * 0.25 + 0.25 * 0.01 * (14.0**2 + 1.0), rel=0.02)
    assert found.model[0] == pytest.approx(0.75 * 1.0 + 0.25 * 9.0, rel=0.02)
    future = np.concatenate(
        [
            perturb(first[:37_500], Residual("x", 0.5), ["p"], seed=1),
            perturb(second[:12_500], Residual("x", 0.0, 0.1), ["p"], seed=2),
        ]
    )
    assert found.total[0] == pytest.approx(future.var(), rel=0.03)
    assert found.sd[0] == pytest.approx(future.std(), rel=0.02)


def test_one_model_has_no_uncertainty_of_choice_and_a_failed_one_weighs_nothing() -> None:
    draws = np.random.default_rng(1).normal(size=(6, 100, 2))
    broken = np.full((6, 100, 2), np.nan)
    broken[:, :, 0] = 3.0
    alone = decompose([draws], [Residual("x", 1.0)])
    assert (alone.model == 0.0).all()
    both = decompose([draws, broken], [Residual("x", 1.0)] * 2, np.array([[0.5, 0.5], [0.5, 0.5]]))
    assert both.weights[:, 0].tolist() == [[0.5, 1.0], [0.5, 0.0]]
    assert both.mean[:, 1] == pytest.approx(alone.mean[:, 1])
    assert (both.model[:, 0] > 0.5).all()
    with pytest.raises(BadDistribution, match="one weight for each model"):
        decompose([draws], [Residual("x", 1.0)], [0.5, 0.5])


def test_evidence_weighs_models_without_overflow() -> None:
    evidence = np.array([[-1000.0, np.nan], [-1000.0 + math.log(3.0), -5.0], [-2000.0, np.nan]])
    assert weigh(evidence)[:, 0] == pytest.approx([0.25, 0.75, 0.0], abs=1e-12)
    assert weigh(evidence)[:, 1].tolist() == [0.0, 1.0, 0.0]
    assert weigh(evidence[:, 0], prior=[0.75, 0.25, 0.0001]) == pytest.approx([0.5, 0.5, 0.0], abs=1e-12)
    assert np.isnan(weigh(np.full(2, np.nan))).all()


def test_model_choice_follows_the_evidence_of_the_fits() -> None:
    """Data from a line: the evidence of a constant falls behind for the patients with a slope."""
    times = np.linspace(0.0, 1.0, 8)
    rows = [
        Observation(key, float(t), "x", 1.0 + slope * float(t))
        for key, slope in (("flat", 0.0), ("steep", 3.0))
        for t in times
    ]
    data = Observations.from_rows(rows)
    level, line = Prior("level", 0.0, 2.0), Prior("slope", 0.0, 2.0)
    constant = individualise(
        lambda theta, patient: np.repeat(theta[:1], 8, axis=0), data, Priors.of(level), [Residual("x", 0.3)]
    )
    sloped = individualise(
        lambda theta, patient: theta[:1] + theta[1:] * data.time[:, patient],
        data, Priors.of(level, line), [Residual("x", 0.3)],
    )  # fmt: skip
    weights = weigh(np.array([constant.log_evidence, sloped.log_evidence]))
    assert weights[0, 0] > 0.6
    assert weights[1, 1] > 0.999


def linear(replications: int) -> tuple[Observations, Priors, list[Residual]]:
    rows = [Observation(f"r{at:05d}", t, "x", 0.0) for at in range(replications) for t in (0.0, 1.0, 2.0)]
    priors = Priors.of(Prior("a", 1.0, 2.0), Prior("b", 0.0, 0.5), correlation=[[1.0, 0.3], [0.3, 1.0]])
    return Observations.from_rows(rows), priors, [Residual("x", 0.8)]


def line(theta: Array, patient: Indices) -> Array:
    found: Array = theta[0] + theta[1] * np.array([0.0, 1.0, 2.0])[:, np.newaxis]
    return found


@pytest.fixture(scope="module")
def replicated() -> tuple[Array, Array]:
    design, priors, residuals = linear(2000)
    theta, data = simulate(line, design, priors, residuals, seed=21)
    fit = individualise(line, data, priors, residuals)
    return theta, fit.draws(99, seed=4)


def test_a_right_posterior_has_uniform_ranks(replicated: tuple[Array, Array]) -> None:
    found = calibrate(*replicated)
    assert (found.p_value > 0.005).all()
    assert found.counts.sum(axis=1).tolist() == [2000, 2000]
    assert found.failed == 0
    assert found.coverage(0.9) == pytest.approx([0.9, 0.9], abs=0.025)
    assert found.coverage(0.5) == pytest.approx([0.5, 0.5], abs=0.04)


def test_wrong_posteriors_are_found_out(replicated: tuple[Array, Array]) -> None:
    truth, draws = replicated
    centre = draws.mean(axis=1, keepdims=True)
    narrow, wide = centre + 0.7 * (draws - centre), centre + 1.4 * (draws - centre)
    for wrong in (narrow, wide, draws + 0.3 * draws.std(axis=1, keepdims=True)):
        assert (calibrate(truth, wrong).p_value < 1e-6).all()
    assert (calibrate(truth, centre + 0.5 * (draws - centre)).coverage(0.9) < 0.75).all()


def test_the_p_value_is_uniform_where_the_ranks_are() -> None:
    rng = np.random.default_rng(6)
    truth, draws = rng.normal(size=(300, 400)), rng.normal(size=(300, 19, 400))
    p_values = calibrate(truth, draws).p_value
    assert abs((p_values < 0.1).mean() - 0.1) < 0.06
    assert abs((p_values < 0.5).mean() - 0.5) < 0.1


def test_failed_patients_are_counted_and_an_empty_calibration_is_refused() -> None:
    rng = np.random.default_rng(6)
    truth, draws = rng.normal(size=(1, 50)), rng.normal(size=(1, 9, 50))
    draws[0, 3, :5] = np.nan
    found: Calibration = calibrate(truth, draws)
    assert found.failed == 5
    assert found.counts.sum() == 45
    assert (found.expected >= 4.0).all()
    with pytest.raises(EmptyCohort):
        calibrate(truth, np.full_like(draws, np.nan))


def test_simulated_values_below_a_limit_are_censored_at_it() -> None:
    design, priors, residuals = linear(200)
    theta, free = simulate(line, design, priors, residuals, seed=1)
    again, cut = simulate(line, design, priors, residuals, seed=1, limits={"x": 1.0})
    assert np.array_equal(theta, again)
    assert np.array_equal(cut.censored, free.value < 1.0)
    assert np.array_equal(cut.value, np.maximum(free.value, 1.0))
    # and the posterior that knows about it is calibrated, though it is normal only nearly
    fit = individualise(line, cut, priors, residuals, exact=True)
    assert (calibrate(theta, fit.draws(99, seed=2)).coverage(0.8) > 0.7).all()


def test_the_laplace_posterior_of_the_disease_course_covers_what_it_says(shared: Path) -> None:
    course = Course.read(shared / "twin" / "reference")
    theta, data = simulate(course, course.data, course.priors, course.residuals, seed=5)
    fit = individualise(course, data, course.priors, course.residuals, exact=True)
    found = calibrate(theta, fit.draws(199, seed=6), bins=10)
    assert found.failed == 0
    assert found.coverage(0.9) == pytest.approx(np.full(4, 0.9), abs=0.09)
    assert found.coverage(0.5) == pytest.approx(np.full(4, 0.5), abs=0.15)


def test_random_numbers_belong_to_the_patient() -> None:
    predicted = np.ones((4, 3))
    noise = perturb(predicted, Residual("x", 1.0), ["a", "b", "c"], seed=3)
    assert np.array_equal(perturb(predicted, Residual("x", 1.0), ["c", "a", "b"], seed=3), noise[:, [2, 0, 1]])
    assert not np.array_equal(perturb(predicted, Residual("x", 1.0), ["a", "b", "c"], seed=4), noise)
    assert generator(1, "a", 1).random() != generator(1, "a", 2).random()


def test_a_latin_hypercube_has_one_point_in_every_slice() -> None:
    points = latin_hypercube(np.random.default_rng(0), 50, 3)
    assert (np.sort((points * 50).astype(int), axis=0) == np.arange(50)[:, np.newaxis]).all()
    assert ((points >= 0.0) & (points < 1.0)).all()
