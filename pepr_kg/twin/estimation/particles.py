"""A cloud of weighted parameter sets for each patient, which follows data that arrive one by one.

Every observation multiplies the weights by its likelihood. Where few particles carry a patient's weight they are
resampled (systematic: Kitagawa, J Comput Graph Stat 1996;5:1), all patients at once, and made different again by
Metropolis steps that leave the posterior of all data so far as it is (Gilks & Berzuini, J R Stat Soc B 2001;63:127;
Chopin, Biometrika 2002;89:539). An observation that would leave few particles is taken in by powers of its likelihood
(Del Moral, Doucet & Jasra, J R Stat Soc B 2006;68:411). Exact as the particles become many.

Unlike `individualise` nothing is assumed about the shape of the posterior. The random numbers of a step belong to
seed, patient and observation: a patient's cloud depends neither on the cohort nor on whether its data came at once or
one by one. For models with a random state see `tracking`.

>>> data = Observations.from_rows([Observation("p", 0.0, "x", 3.0)])
>>> priors = Priors.of(Prior("mean", 0.0, 1.0))
>>> before = scatter(priors, data.patients, 2000, seed=1)
>>> cloud = assimilate(before, lambda theta, patient: theta, data, priors, [Residual("x", 1.0)], seed=1)
>>> round(float(cloud.mean[0, 0]), 1)
1.5
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pepr_kg.twin.errors import BadObservation, PredictionMisfit
from pepr_kg.twin.estimation.algebra import Array, Flags, cholesky, dot, fold, inverse, multiply
from pepr_kg.twin.estimation.marquardt import Codes, Indices
from pepr_kg.twin.estimation.observations import Likelihood, Observation, Observations, Residual, residual_parts
from pepr_kg.twin.estimation.posterior import Predict
from pepr_kg.twin.estimation.priors import Prior, Priors, Transform, natural
from pepr_kg.twin.estimation.sampling import generator
from pepr_kg.twin.status import Status

__all__ = ["Cloud", "Observation", "Observations", "Prior", "Priors", "Residual", "assimilate", "scatter"]

_CELLS = 4_000_000  # predictions (slots, particles, patients) held at once
_STAGES = 60  # most powers of one likelihood
_START, _STEP, _DRAW = 3, 4, 5  # which random numbers


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """The posterior of every patient as particles, arrays (…, particles, patients).

    eta (p, particles, patients): on the transformed scale; log_weight: sum to 1 over the particles; state (k, …): of
    `track`, no rows otherwise; log_evidence (patients,): logarithm of the chance of the data so far; absorbed
    (patients,): observations used; status (patients,): `NOT_FITTED` where no particle explains an observation, the
    cloud before it stands.
    """

    symbols: tuple[str, ...]
    patients: tuple[str, ...]
    scales: tuple[Transform, ...]
    eta: Array
    log_weight: Array
    state: Array
    log_evidence: Array
    absorbed: Codes
    status: Codes

    @property
    def theta(self) -> Array:
        """Return the parameters (p, particles, patients) on their natural scale."""
        return natural(self.scales, self.eta)

    @property
    def effective(self) -> Array:
        """Return the effective number of particles (patients,), 1/Σw² (Kong, Liu & Wong, J Am Stat Assoc
        1994;89:278).
        """
        return 1.0 / fold(np.exp(2.0 * self.log_weight))

    @property
    def mean(self) -> Array:
        """Return the posterior means (p, patients) on the transformed scale."""
        return fold(self.eta * np.exp(self.log_weight))

    @property
    def covariance(self) -> Array:
        """Return the posterior covariances (p, p, patients) on the transformed scale."""
        return moments(self.eta, np.exp(self.log_weight))[1]

    @property
    def sd(self) -> Array:
        """Return the posterior standard deviations (p, patients) on the transformed scale."""
        spread = self.covariance
        found: Array = np.sqrt(np.array([spread[row, row] for row in range(len(spread))]))
        return found

    def draws(self, count: int, seed: int) -> Array:
        """Return `count` equally weighted draws (p, count, patients) of the parameters on their natural scale.

        They are in random order and depend on the patient's key and the seed only.
        """
        found = np.empty((len(self.eta), count, len(self.patients)))
        total = np.cumsum(np.exp(self.log_weight), axis=0)
        for at, key in enumerate(self.patients):
            rng = generator(seed, key, _DRAW)
            places = (rng.random() + np.arange(count)) / count * total[-1, at]
            chosen = np.minimum(np.searchsorted(total[:, at], places, side="right"), len(total) - 1)
            found[:, :, at] = self.eta[:, rng.permutation(chosen), at]
        return natural(self.scales, found)


def scatter(priors: Priors, patients: tuple[str, ...], particles: int, *, seed: int) -> Cloud:
    """Return the cloud before any observation: draws from the prior."""
    p, count = len(priors.symbols), len(patients)
    noise = np.empty((p, particles, count))
    for at, key in enumerate(patients):
        noise[:, :, at] = generator(seed, key, _START).standard_normal((particles, p)).T
    root = np.linalg.cholesky(priors.covariance)
    eta = np.empty_like(noise)
    for row, mean in enumerate(priors.mean.tolist()):
        eta[row] = mean
        for column in range(row + 1):
            eta[row] += root[row, column] * noise[column]
    weight = np.full((particles, count), -math.log(particles))
    zero = np.zeros(count, dtype=np.int64)
    return Cloud(
        priors.symbols, patients, priors.scales, eta, weight, np.empty((0, particles, count)), np.zeros(count), zero,
        zero + int(Status.DONE),
    )  # fmt: skip


def assimilate(
    cloud: Cloud,
    predict: Predict,
    observations: Observations,
    priors: Priors,
    residuals: Iterable[Residual],
    *,
    seed: int,
    moves: int = 5,
    threshold: float = 0.5,
) -> Cloud:
    """Return the cloud after the observations that it has not absorbed yet.

    observations: all of them, those already absorbed first (so that a new one is later than they are), of the
    patients of the cloud in its order; predict: for these observations; moves: Metropolis steps after each
    resampling; threshold: resample where the effective number of particles falls below this share.

    Raises `BadObservation` where a patient is missing, `UnknownVariable` where a residual is, `PredictionMisfit`.
    """
    _check(cloud, observations)
    parts = residual_parts(observations.variables, residuals)
    slots, particles = len(observations.value), cloud.log_weight.shape[0]
    size = max(1, _CELLS // max(1, slots * particles))
    done = []
    for first in range(0, len(cloud.patients), size):
        block = np.arange(first, min(first + size, len(cloud.patients)))
        likelihood = Likelihood.of(observations.select(block), *parts)
        swarm = _Swarm(cloud, block, predict, priors, likelihood=likelihood, moves=moves, seed=seed)
        for slot in range(slots):
            swarm.absorb(slot, threshold)
        done.append(swarm.result())
    return _join(cloud, done)


def _check(cloud: Cloud, observations: Observations) -> None:
    for at, key in enumerate(cloud.patients):
        if at >= len(observations.patients) or observations.patients[at] != key:
            detail = {
                "en": "the cohort is not that of the cloud, in its order",
                "fr": "la cohorte n’est pas celle du nuage, dans son ordre",
            }
            raise BadObservation(patient=key, symbol=", ".join(observations.variables), row=at + 1, detail=detail)


def _join(cloud: Cloud, parts: list[Cloud]) -> Cloud:
    return replace(
        cloud,
        eta=np.concatenate([part.eta for part in parts], axis=-1),
        log_weight=np.concatenate([part.log_weight for part in parts], axis=-1),
        state=np.concatenate([part.state for part in parts], axis=-1),
        log_evidence=np.concatenate([part.log_evidence for part in parts]),
        absorbed=np.concatenate([part.absorbed for part in parts]),
        status=np.concatenate([part.status for part in parts]),
    )


def moments(eta: Array, weight: Array) -> tuple[Array, Array]:
    """Return the means (p, L) and covariances (p, p, L) of particles (p, n, L) with weights (n, L)."""
    mean = fold(eta * weight)
    away = eta - mean[:, np.newaxis]
    p = len(eta)
    covariance = np.empty((p, p, eta.shape[-1]))
    for row in range(p):
        for column in range(row + 1):
            covariance[row, column] = covariance[column, row] = fold(weight * away[row] * away[column])
    return mean, covariance


def reweigh(log_weight: Array, loss: Array) -> tuple[Array, Array, Flags]:
    """Return the new weights (n, L), the logarithm of the mean likelihood (L,), and where there is one."""
    raised = log_weight - np.where(np.isnan(loss), np.inf, loss)
    top = raised.max(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = top + np.log(fold(np.exp(raised - top)))
        return raised - gain, gain, np.isfinite(gain)


def _temper(log_weight: Array, loss: Array, rest: Array, threshold: float, *, last: bool) -> Array:
    """Return the largest power (L,), at most `rest`, of a likelihood that keeps enough of the particles that it allows.

    Enough: an effective number of `threshold` times that of the particles whose loss is finite (all of them, as a
    rule).
    """
    finite = np.isfinite(loss)
    allowed = np.where(finite, np.exp(log_weight), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        least = threshold * np.minimum(1.0, np.square(fold(allowed)) / fold(allowed * allowed) / len(loss)) * len(loss)

    def effective(power: Array) -> Array:
        raised = np.where(finite, log_weight - power * np.where(finite, loss, 0.0), -np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.exp(raised - raised.max(axis=0))
            return np.square(fold(weight)) / fold(weight * weight)

    low, high = np.zeros_like(rest), rest.copy()
    if last or not (hard := effective(rest) < least).any():
        return rest
    for _ in range(30):
        middle = 0.5 * (low + high)
        enough = effective(middle) >= least
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return np.where(hard, np.maximum(low, 1e-6 * rest), rest)


def resample(log_weight: Array, offset: Array) -> Indices:
    """Return which particle (n, L) each new particle copies: systematic, with one random offset (L,) for each lane."""
    n, lanes = log_weight.shape
    weight = np.exp(log_weight)
    level = np.cumsum(weight, axis=0)
    ends = np.clip(np.ceil(n * (level / level[-1]) - offset), 0, n).astype(np.intp)
    ends[-1] = n
    copies = np.diff(ends, axis=0, prepend=0)
    return np.repeat(np.tile(np.arange(n), lanes), copies.T.ravel()).reshape(lanes, n).T


def losses(likelihood: Likelihood, predicted: Array, slots: slice, columns: Indices) -> Array:
    """Return the sums over `slots` of the negative log-likelihood (n, columns) for predictions (slots, n, columns)."""
    part = likelihood.take(columns)
    chosen = Likelihood(
        part.value[slots, np.newaxis], part.present[slots, np.newaxis], part.censored[slots, np.newaxis],
        part.additive[slots, np.newaxis], part.proportional[slots, np.newaxis], part.plain,
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss = chosen.score(predicted).loss + chosen.constant()
    n, lanes = predicted.shape[1:]
    return fold(loss.reshape(len(loss), n * lanes)).reshape(n, lanes)


class _Swarm:
    """The clouds of a block of patients while observations are absorbed; it holds the predictions of all particles."""

    def __init__(
        self, cloud: Cloud, block: Indices, predict: Predict, priors: Priors,
        *, likelihood: Likelihood, moves: int, seed: int,
    ) -> None:  # fmt: skip
        self.cloud, self.block, self.predict, self.priors = cloud, block, predict, priors
        self.likelihood, self.moves, self.seed = likelihood, moves, seed
        self.keys = [cloud.patients[at] for at in block]
        self.eta, self.log_weight = cloud.eta[:, :, block], cloud.log_weight[:, block]
        self.evidence, self.absorbed = cloud.log_evidence[block], cloud.absorbed[block]
        self.status = cloud.status[block]
        self.predicted = self._predict(self.eta, np.arange(len(block)))
        factor, _ = cholesky(priors.covariance[:, :, np.newaxis])
        self.precision = inverse(factor)
        everyone = np.arange(len(block))
        self.total = np.zeros_like(self.log_weight)  # negative log-likelihood of what is absorbed
        for slot in range(int(self.absorbed.max(initial=0))):
            self.total += np.where(self.absorbed > slot, self._loss(slot, everyone), 0.0)

    def _predict(self, eta: Array, columns: Indices) -> Array:
        p, n, lanes = eta.shape
        patient = np.tile(self.block[columns], n)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            theta = natural(self.cloud.scales, eta.reshape(p, n * lanes))
            found = np.asarray(self.predict(theta, patient), dtype=np.float64)
        expected = (len(self.likelihood.value), n * lanes)
        if found.shape != expected:
            raise PredictionMisfit(found=found.shape, expected=expected)
        return found.reshape(-1, n, lanes)

    def absorb(self, slot: int, threshold: float) -> None:
        """Take in the observation of `slot` of every patient that has it and has not absorbed it.

        Where it would leave too few particles it is taken in by steps, as powers of its likelihood that sum to one.
        """
        live = self.likelihood.present[slot] & (self.absorbed <= slot) & (self.status == int(Status.DONE))
        share, least = np.zeros(len(live)), threshold * len(self.log_weight)
        pending, stage = np.flatnonzero(live), 0
        while len(pending):
            loss = self._loss(slot, pending)
            step = _temper(self.log_weight[:, pending], loss, 1.0 - share[pending], threshold, last=stage == _STAGES)
            weight, gain, fine = reweigh(self.log_weight[:, pending], step * loss)
            self.status[pending[~fine]] = int(Status.NOT_FITTED)
            pending, loss, step = pending[fine], loss[:, fine], step[fine]
            self.log_weight[:, pending] = weight[:, fine]
            self.evidence[pending] += gain[fine]
            self.total[:, pending] += step * loss
            share[pending] += step
            self.absorbed[pending] = slot + 1
            poor = pending[1.0 / fold(np.exp(2.0 * self.log_weight[:, pending])) < least * (1.0 + 1e-6)]
            if len(poor):
                self._renew(slot, stage, poor, share[poor])
            pending, stage = pending[share[pending] < 1.0 - 1e-12], stage + 1

    def _loss(self, slot: int, columns: Indices) -> Array:
        return losses(self.likelihood, self.predicted[slot : slot + 1, :, columns], slice(slot, slot + 1), columns)

    def _renew(self, slot: int, stage: int, columns: Indices, share: Array) -> None:
        """Resample the patients `columns` and move their particles.

        What they move under is the posterior of the slots before `slot` and of that one's likelihood to the power
        `share`.
        """
        p, n, _ = self.eta.shape
        offset, noise, chance = self._random((slot, stage), columns)
        _, covariance = moments(self.eta[:, :, columns], np.exp(self.log_weight[:, columns]))
        least = 1e-10 * np.diag(self.priors.covariance)
        for row in range(p):  # particles that have become equal still move
            covariance[row, row] = covariance[row, row] * (1.0 + 1e-9) + least[row]
        root, _ = cholesky(covariance)
        chosen = resample(self.log_weight[:, columns], offset)
        lane = np.arange(len(columns))
        eta = self.eta[:, :, columns][:, chosen, lane]
        predicted = self.predicted[:, :, columns][:, chosen, lane]
        total = self.total[:, columns][chosen, lane]
        prior = self._prior(eta)
        for move in range(self.moves):
            reach = 2.38 / math.sqrt(p) * (1.0, 0.5, 0.25)[move % 3]  # Roberts & Rosenthal, Stat Sci 2001;16:351
            trial = eta.copy()
            for row in range(p):
                for column in range(row + 1):
                    trial[row] += reach * root[row, column] * noise[move, column]
            proposed, away = self._predict(trial, columns), self._prior(trial)
            loss = losses(self.likelihood, proposed[:slot], slice(0, slot), columns)
            loss += share * losses(self.likelihood, proposed[slot : slot + 1], slice(slot, slot + 1), columns)
            with np.errstate(invalid="ignore"):
                accepted = np.log(chance[move]) < (total + prior) - (loss + away)
            eta, predicted = np.where(accepted, trial, eta), np.where(accepted, proposed, predicted)
            total, prior = np.where(accepted, loss, total), np.where(accepted, away, prior)
        self.eta[:, :, columns], self.predicted[:, :, columns], self.total[:, columns] = eta, predicted, total
        self.log_weight[:, columns] = -math.log(n)

    def _prior(self, eta: Array) -> Array:
        p, n, lanes = eta.shape
        away = eta.reshape(p, n * lanes) - self.priors.mean[:, np.newaxis]
        return (0.5 * dot(away, multiply(self.precision, away))).reshape(n, lanes)

    def _random(self, path: tuple[int, int], columns: Indices) -> tuple[Array, Array, Array]:
        """Return an offset (L,), normal numbers (moves, p, n, L) and uniform ones (moves, n, L)."""
        p, n, _ = self.eta.shape
        offset, lanes = np.empty(len(columns)), len(columns)
        noise, chance = np.empty((self.moves, p, n, lanes)), np.empty((self.moves, n, lanes))
        for at, column in enumerate(columns.tolist()):
            rng = generator(self.seed, self.keys[column], _STEP, *path)
            offset[at] = rng.random()
            noise[..., at] = rng.standard_normal((self.moves, p, n))
            chance[..., at] = 1.0 - rng.random((self.moves, n))
        return offset, noise, chance

    def result(self) -> Cloud:
        """Return the block as a cloud."""
        return Cloud(
            self.cloud.symbols, tuple(self.keys), self.cloud.scales, self.eta, self.log_weight,
            self.cloud.state[:, :, self.block], self.evidence, self.absorbed, self.status,
        )  # fmt: skip
