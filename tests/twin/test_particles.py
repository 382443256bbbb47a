"""Particle clouds: against exact posteriors, against the posterior modes, and what must not change them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.errors import BadObservation, PredictionMisfit
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import individualise
from pepr_kg.twin.estimation.particles import (
    Cloud,
    Observation,
    Observations,
    Prior,
    Priors,
    Residual,
    assimilate,
    resample,
    scatter,
)
from pepr_kg.twin.estimation.posterior import Predict
from pepr_kg.twin.estimation.uncertainty import calibrate, simulate
from pepr_kg.twin.status import Status
from tests.twin.cohorts import Course

Indices = npt.NDArray[np.intp]

TIMES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
PRIORS = Priors.of(Prior("level", 1.0, 2.0), Prior("slope", 0.0, 1.0), correlation=[[1.0, -0.4], [-0.4, 1.0]])
NOISE = [Residual("x", 0.5)]


def lines(patients: int, seed: int) -> Observations:
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(patients):
        level, slope = 2.0 * rng.normal(), rng.normal()
        rows += [Observation(f"p{at}", float(t), "x", float(level + slope * t + 0.5 * rng.normal())) for t in TIMES]
    return Observations.from_rows(rows)


def on(data: Observations) -> Predict:
    def predict(theta: Array, patient: Indices) -> Array:
        found: Array = theta[0] + theta[1] * data.time[:, patient]
        return found

    return predict


def conjugate(values: Array) -> tuple[Array, Array, float]:
    """The exact mean, covariance and log-evidence of the line under `PRIORS` and `NOISE`."""
    design = np.column_stack([np.ones(len(values)), TIMES[: len(values)]])
    precision = np.linalg.inv(PRIORS.covariance) + design.T @ design / 0.25
    mean = np.linalg.solve(precision, np.linalg.inv(PRIORS.covariance) @ PRIORS.mean + design.T @ values / 0.25)
    marginal = design @ PRIORS.covariance @ design.T + 0.25 * np.eye(len(values))
    away = values - design @ PRIORS.mean
    evidence = -0.5 * (away @ np.linalg.solve(marginal, away) + np.linalg.slogdet(2 * np.pi * marginal)[1])
    return mean, np.linalg.inv(precision), float(evidence)


def test_a_linear_model_has_the_conjugate_posterior_after_every_observation() -> None:
    data = lines(3, seed=1)
    cloud = scatter(PRIORS, data.patients, 4000, seed=2)
    for slots in range(1, 6):
        part = data.until(slots)
        cloud = assimilate(cloud, on(part), part, PRIORS, NOISE, seed=2)
        assert cloud.absorbed.tolist() == [slots] * 3
        for at in range(3):
            mean, covariance, evidence = conjugate(data.value[:slots, at])
            sd = np.sqrt(np.diag(covariance))
            assert np.abs(cloud.mean[:, at] - mean).max() < 0.12 * sd.max()
            assert cloud.covariance[:, :, at] == pytest.approx(covariance, abs=0.15 * float(sd.max() ** 2))
            assert cloud.log_evidence[at] == pytest.approx(evidence, abs=0.25)


def test_at_once_one_by_one_and_in_any_cohort_are_the_same_bits() -> None:
    data = lines(6, seed=3)

    def bits(cloud: Cloud, order: list[int]) -> list[bytes]:
        parts = (cloud.eta, cloud.log_weight, cloud.log_evidence, cloud.draws(7, seed=1))
        return [np.ascontiguousarray(part[..., order]).tobytes() for part in parts]

    start = scatter(PRIORS, data.patients, 200, seed=5)
    whole = assimilate(start, on(data), data, PRIORS, NOISE, seed=5)
    gradual = start
    for slots in range(1, 6):
        part = data.until(slots)
        gradual = assimilate(gradual, on(part), part, PRIORS, NOISE, seed=5)
    everyone = list(range(6))
    assert bits(gradual, everyone) == bits(whole, everyone)
    for order in ([4, 2, 0, 5, 1, 3], [3], [1, 4]):
        chosen = data.select(np.array(order))
        alone = assimilate(scatter(PRIORS, chosen.patients, 200, seed=5), on(chosen), chosen, PRIORS, NOISE, seed=5)
        assert bits(alone, list(range(len(order)))) == bits(whole, order)


def test_blocks_of_patients_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lines(5, seed=3)
    start = scatter(PRIORS, data.patients, 100, seed=5)
    whole = assimilate(start, on(data), data, PRIORS, NOISE, seed=5)
    monkeypatch.setattr("pepr_kg.twin.estimation.particles._CELLS", 1)
    assert np.array_equal(assimilate(start, on(data), data, PRIORS, NOISE, seed=5).eta, whole.eta)


def test_the_disease_course_agrees_with_the_posterior_mode(shared: Path) -> None:
    course = Course.read(shared / "twin" / "reference")
    few = np.arange(0, 133, 9)

    def predict(theta: Array, patient: Indices) -> Array:
        return course(theta, few[patient])

    data = course.data.select(few)
    fit = individualise(predict, data, course.priors, course.residuals, exact=True)
    cloud = assimilate(
        scatter(course.priors, data.patients, 400, seed=1), predict, data, course.priors, course.residuals, seed=1
    )
    assert (cloud.status == Status.DONE).all()
    away = np.abs(cloud.mean - fit.mode) / fit.sd
    # the mean of a skewed posterior is not its mode: most are near, none is far
    assert np.median(away) < 0.25
    assert away.max() < 1.5
    ratio = cloud.sd / fit.sd
    assert 0.85 < np.median(ratio) < 1.2
    assert np.abs(cloud.log_evidence - fit.log_evidence).max() < 2.0


def test_two_modes_are_both_kept() -> None:
    data = Observations.from_rows([Observation("p", float(t), "x", 1.0) for t in range(6)])
    priors = Priors.of(Prior("x", 0.0, 1.0))
    cloud = assimilate(
        scatter(priors, data.patients, 2000, seed=3),
        lambda theta, patient: np.repeat(np.abs(theta), 6, axis=0),
        data, priors, [Residual("x", 0.3)], seed=3,
    )  # fmt: skip
    drawn = cloud.draws(1000, seed=1)[0, :, 0]
    assert np.abs(np.abs(drawn) - 1.0).max() < 0.7
    assert 0.4 < (drawn > 0.0).mean() < 0.6


def test_censored_values_count_with_their_probability() -> None:
    data = Observations.from_rows([Observation("p", 0.0, "x", 0.0, censored=True)])
    priors = Priors.of(Prior("x", 0.0, 1.0))
    cloud = assimilate(
        scatter(priors, data.patients, 20_000, seed=3),
        lambda theta, patient: theta,
        data, priors, [Residual("x", 1.0)], seed=3,
    )  # fmt: skip
    # P(x + e < 0) = 1/2, and E[x | x + e < 0] = -1/sqrt(pi)
    assert cloud.log_evidence[0] == pytest.approx(np.log(0.5), abs=0.02)
    assert cloud.mean[0, 0] == pytest.approx(-1.0 / np.sqrt(np.pi), abs=0.03)


def test_ranks_are_uniform() -> None:
    design = lines(300, seed=0)
    theta, data = simulate(on(design), design, PRIORS, NOISE, seed=9)
    cloud = assimilate(scatter(PRIORS, data.patients, 300, seed=4), on(data), data, PRIORS, NOISE, seed=4)
    found = calibrate(theta, cloud.draws(49, seed=1), bins=10)
    assert (found.p_value > 0.005).all()
    assert found.coverage(0.9) == pytest.approx([0.9, 0.9], abs=0.05)


def test_a_patient_whom_no_particle_explains_has_a_status_and_the_others_go_on() -> None:
    data = Observations.from_rows(
        [Observation(key, t, "x", 1.0) for key in ("good", "bad") for t in (0.0, 1.0)],
        patients=["good", "bad", "unseen"],
    )

    def predict(theta: Array, patient: Indices) -> Array:
        found = np.repeat(theta, 2, axis=0)
        found[1, patient == 1] = np.nan
        return found

    priors = Priors.of(Prior("x", 0.0, 1.0))
    cloud = assimilate(scatter(priors, data.patients, 500, seed=1), predict, data, priors, [Residual("x", 1.0)], seed=1)
    assert cloud.status.tolist() == [Status.DONE, Status.NOT_FITTED, Status.DONE]
    assert cloud.absorbed.tolist() == [2, 1, 0]
    assert cloud.mean[0] == pytest.approx([2.0 / 3.0, 0.5, 0.0], abs=0.15)
    assert np.isfinite(cloud.log_weight).all()
    assert cloud.effective[2] == pytest.approx(500.0)
    assert (cloud.effective[:2] < 500.0).all()
    assert np.array_equal(cloud.theta, cloud.eta)


def test_what_does_not_fit_together_is_refused() -> None:
    data = lines(2, seed=1)
    cloud = scatter(PRIORS, ("p0", "someone else"), 10, seed=1)
    with pytest.raises(BadObservation, match=r"patient someone else: the cohort is not that of the cloud"):
        assimilate(cloud, on(data), data, PRIORS, NOISE, seed=1)
    with pytest.raises(PredictionMisfit):
        assimilate(
            scatter(PRIORS, data.patients, 10, seed=1), lambda theta, patient: theta, data, PRIORS, NOISE, seed=1
        )


@pytest.mark.parametrize("raw", [np.zeros(50), np.arange(50.0), -(np.arange(50.0) ** 2)])
def test_resampling_copies_every_particle_as_often_as_its_weight_says(raw: Array) -> None:
    log_weight = np.tile((raw - np.log(np.exp(raw - raw.max()).sum()) - raw.max())[:, np.newaxis], (1, 40))
    offset = np.linspace(0.0, 0.999, 40)
    chosen = resample(log_weight, offset)
    assert chosen.shape == (50, 40)
    for lane in range(40):
        copies = np.bincount(chosen[:, lane], minlength=50)
        assert (np.abs(copies - 50 * np.exp(log_weight[:, lane])) < 1.0 + 1e-9).all()
