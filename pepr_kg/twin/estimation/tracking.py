"""Models whose state wanders at random: the state and the parameters of each patient, followed by a bootstrap filter.

Particles carry a state and parameters; an observation multiplies their weights by its likelihood; where few carry a
patient's weight they are resampled, all patients at once (Gordon, Salmond & Smith, IEE Proc F 1993;140:107). Resampled
parameters are drawn from the kernel of Liu & West (in Doucet, de Freitas & Gordon, Sequential Monte Carlo Methods in
Practice, 2001, chapter 10), which keeps the mean and the covariance of the cloud but smooths its shape a little: the
price of a likelihood that cannot be computed. A model that predicts from parameters alone is better served by
`particles.assimilate`.

>>> class Drift:  # a level that wanders from an unknown start
...     noises = 1
...     def start(self, theta, patient, noise):
...         return theta[:1]
...     def advance(self, state, theta, patient, slot, noise):
...         return state + 0.1 * noise
...     def observe(self, state, theta, patient, slot):
...         return state[0]
>>> data = Observations.from_rows([Observation("p", t, "x", 3.0) for t in (0.0, 1.0, 2.0)])
>>> cloud = track(
...     Drift(), data, Priors.of(Prior("level", 0.0, 10.0)), [Residual("x", 0.5)], particles=2000, seed=1
... )
>>> abs(float(cloud.mean[0, 0]) - 3.0) < 0.2
True
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from pepr_kg.twin.estimation.algebra import Array, cholesky, fold
from pepr_kg.twin.estimation.marquardt import Indices
from pepr_kg.twin.estimation.observations import Likelihood, Observation, Observations, Residual, residual_parts
from pepr_kg.twin.estimation.particles import Cloud, losses, moments, resample, reweigh, scatter
from pepr_kg.twin.estimation.priors import Prior, Priors, natural
from pepr_kg.twin.estimation.sampling import generator
from pepr_kg.twin.status import Status

__all__ = ["Cloud", "Observation", "Observations", "Prior", "Priors", "Process", "Residual", "track"]

_NOISE = 6  # which random numbers


class Process(Protocol):
    """A model with a random state, in lanes; a lane is a particle of a patient."""

    @property
    def noises(self) -> int:
        """Return how many normal numbers a step takes."""

    def start(self, theta: Array, patient: Indices, noise: Array, /) -> Array:
        """Return the state (k, L) before the first observation; theta (p, L), noise (noises, L)."""

    def advance(self, state: Array, theta: Array, patient: Indices, slot: int, noise: Array, /) -> Array:
        """Return the state (k, L) at the time of each patient's observation `slot`, from that at the one before."""

    def observe(self, state: Array, theta: Array, patient: Indices, slot: int, /) -> Array:
        """Return the prediction (L,) of each patient's observation `slot`."""


def track(
    process: Process,
    observations: Observations,
    priors: Priors,
    residuals: Iterable[Residual],
    *,
    particles: int,
    seed: int,
    discount: float = 0.99,
    threshold: float = 0.5,
) -> Cloud:
    """Return the cloud of parameters and states after all observations.

    discount: of Liu & West, near 1; the kernel's width is 1 - ((3d - 1)/2d)² of the cloud's covariance. Raises
    `UnknownVariable` where a residual is missing.
    """
    likelihood = Likelihood.of(observations, *residual_parts(observations.variables, residuals))
    cloud = scatter(priors, observations.patients, particles, seed=seed)
    count, p = len(cloud.patients), len(priors.symbols)
    patient = np.tile(np.arange(count), particles)
    keep = (3.0 * discount - 1.0) / (2.0 * discount)
    eta, log_weight, evidence = cloud.eta, cloud.log_weight, cloud.log_evidence
    absorbed, status = cloud.absorbed, cloud.status

    def flat(values: Array) -> Array:
        return values.reshape(*values.shape[:-2], particles * count)

    def normals(step: int, numbers: int) -> Array:
        found = np.empty((numbers, particles, count))
        for at, key in enumerate(cloud.patients):
            found[:, :, at] = generator(seed, key, _NOISE, step).standard_normal((numbers, particles))
        return found

    state = process.start(natural(cloud.scales, flat(eta)), patient, flat(normals(0, process.noises)))
    for slot in range(len(observations.value)):
        live = observations.present[slot] & (status == int(Status.DONE))
        noise = normals(slot + 1, process.noises + p + 1)
        theta = natural(cloud.scales, flat(eta))
        moved = process.advance(state, theta, patient, slot, flat(noise[: process.noises]))
        state = np.where(np.tile(live, particles), moved, state)
        predicted = process.observe(state, theta, patient, slot).reshape(1, particles, count)
        loss = losses(likelihood, predicted, slice(slot, slot + 1), np.arange(count))
        weight, gain, fine = reweigh(log_weight, loss)
        status = np.where(live & ~fine, int(Status.NOT_FITTED), status)
        live = live & fine
        log_weight = np.where(live, weight, log_weight)
        evidence, absorbed = np.where(live, evidence + gain, evidence), np.where(live, slot + 1, absorbed)
        poor = np.flatnonzero(live & (1.0 / fold(np.exp(2.0 * log_weight)) < threshold * particles))
        if not len(poor):
            continue
        mean, covariance = moments(eta[:, :, poor], np.exp(log_weight[:, poor]))
        root, _ = cholesky(covariance + 1e-12 * priors.covariance[:, :, np.newaxis])
        lane = np.arange(len(poor))
        # an offset in (0, 1) from the last row of normal numbers, the same for all particles of a patient
        offset = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in noise[-1, 0, poor].tolist()])
        chosen = resample(log_weight[:, poor], offset)
        fresh = keep * eta[:, :, poor][:, chosen, lane] + (1.0 - keep) * mean[:, np.newaxis]
        for row in range(p):
            for column in range(row + 1):
                fresh[row] += math.sqrt(1.0 - keep**2) * root[row, column] * noise[process.noises + column][:, poor]
        eta[:, :, poor] = fresh
        grid = state.reshape(-1, particles, count)
        grid[:, :, poor] = grid[:, :, poor][:, chosen, lane]
        state, log_weight[:, poor] = flat(grid), -math.log(particles)
    return replace(
        cloud, eta=eta, log_weight=log_weight, state=state.reshape(-1, particles, count), log_evidence=evidence,
        absorbed=absorbed, status=status,
    )  # fmt: skip
