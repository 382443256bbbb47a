"""Bootstrap filters of random states: against the exact answers of Gaussian models."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.tracking import Observation, Observations, Prior, Priors, Residual, track
from pepr_kg.twin.status import Status

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Walk:
    """A level that wanders, observed with an unknown constant offset θ: everything is Gaussian."""

    noises: int = 1

    def start(self, theta: Array, patient: Indices, noise: Array) -> Array:
        return np.zeros((1, theta.shape[1]))

    def advance(self, state: Array, theta: Array, patient: Indices, slot: int, noise: Array) -> Array:
        return state + 0.7 * noise[:1]

    def observe(self, state: Array, theta: Array, patient: Indices, slot: int) -> Array:
        found: Array = state[0] + theta[0]
        return found


def walks() -> tuple[Observations, Priors]:
    rng = np.random.default_rng(12)
    rows = []
    for key in ("a", "b", "c"):
        level, offset = 0.0, float(rng.normal())
        for t in range(12):
            level += 0.7 * float(rng.normal())
            rows.append(Observation(key, float(t), "x", level + offset + 0.4 * float(rng.normal())))
    return Observations.from_rows(rows[:-4]), Priors.of(Prior("offset", 0.0, 1.0))


def test_a_random_state_is_followed_as_a_kalman_filter_does() -> None:
    data, priors = walks()
    cloud = track(Walk(), data, priors, [Residual("x", 0.4)], particles=4000, seed=7)
    assert (cloud.status == Status.DONE).all()
    assert cloud.absorbed.tolist() == [12, 12, 8]
    for at, count in enumerate([12, 12, 8]):
        steps = np.minimum.outer(np.arange(1, count + 1), np.arange(1, count + 1))
        marginal = 0.49 * steps + 1.0 + 0.16 * np.eye(count)
        values = data.value[:count, at]
        evidence = -0.5 * (values @ np.linalg.solve(marginal, values) + np.linalg.slogdet(2 * np.pi * marginal)[1])
        offset = np.ones(count) @ np.linalg.solve(marginal, values)
        level = 0.49 * steps[-1] @ np.linalg.solve(marginal, values)
        spread = np.sqrt(1.0 - np.ones(count) @ np.linalg.solve(marginal, np.ones(count)))
        assert cloud.log_evidence[at] == pytest.approx(evidence, abs=0.3)
        assert cloud.mean[0, at] == pytest.approx(offset, abs=float(0.25 * spread))
        assert cloud.sd[0, at] == pytest.approx(spread, rel=0.25)
        weights = np.exp(cloud.log_weight[:, at])
        assert (weights * cloud.state[0, :, at]).sum() == pytest.approx(level, abs=0.15)


def test_a_track_belongs_to_its_patient() -> None:
    data, priors = walks()
    first = track(Walk(), data, priors, [Residual("x", 0.4)], particles=100, seed=7)
    order = [2, 0]
    second = track(Walk(), data.select(np.array(order)), priors, [Residual("x", 0.4)], particles=100, seed=7)
    assert np.array_equal(first.eta[:, :, order], second.eta)
    assert np.array_equal(first.state[:, :, order], second.state)
    assert np.array_equal(first.log_evidence[order], second.log_evidence)


def test_a_patient_whom_no_particle_explains_stops_and_the_others_go_on() -> None:
    data, priors = walks()

    class Broken(Walk):
        def observe(self, state: Array, theta: Array, patient: Indices, slot: int) -> Array:
            return np.where((patient == 1) & (slot >= 3), np.nan, state[0] + theta[0])

    cloud = track(Broken(), data, priors, [Residual("x", 0.4)], particles=100, seed=7)
    assert cloud.status.tolist() == [Status.DONE, Status.NOT_FITTED, Status.DONE]
    assert cloud.absorbed.tolist() == [12, 3, 8]
    assert np.isfinite(cloud.mean).all()
