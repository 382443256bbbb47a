"""The parameters of each patient from its own observations: the posterior mode, its uncertainty, and draws from it.

All patients are fitted at once (`marquardt`), in blocks; the parameters are transformed so that bounds need no care;
values below a limit of quantification are used as such. Around the mode the posterior is taken as normal on the
transformed scale (Laplace).

Out of scope: posteriors with several separate modes (the best one found is given; `particles` has no such restriction).

>>> data = Observations.from_rows([Observation("p1", 1.0, "x", 3.0), Observation("p2", 1.0, "x", 1.0)])
>>> fit = individualise(
...     lambda theta, patient: theta, data, Priors.of(Prior("mean", mean=0.0, sd=1.0)), [Residual("x", additive=1.0)]
... )
>>> fit.theta.round(6).tolist(), fit.sd.round(6).tolist()
([[1.5, 0.5]], [[0.707107, 0.707107]])
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.estimation.algebra import Array, Flags, cholesky, dot, fold, inverse, log_determinant, multiply
from pepr_kg.twin.estimation.marquardt import Codes, Descent, Indices, Minimum, descend
from pepr_kg.twin.estimation.normal import LOG_ROOT_TWO_PI, ndtri
from pepr_kg.twin.estimation.observations import Likelihood, Observation, Observations, Residual, residual_parts
from pepr_kg.twin.estimation.posterior import Jacobian, Posterior, Predict, columns, precision_of
from pepr_kg.twin.estimation.priors import Prior, Priors, Transform, natural
from pepr_kg.twin.estimation.sampling import generator, standard_normals
from pepr_kg.twin.status import Status

__all__ = ["Fit", "Observation", "Observations", "Prior", "Priors", "Residual", "individualise"]

_LANES = 20_000  # of one call of the prediction function: what integrators like
_CELLS = 65_536  # predictions of one call where derivatives are supplied: they stay in the cache
_FEW = 64  # patients of a block that is not worth dividing
_CURVED = 0.02  # step of the second differences, in posterior standard deviations


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The posterior of every patient, arrays (…, patients); `mode` and `covariance` are on the transformed scale.

    objective: the negative log posterior at the mode, constants left out, in the form of `posterior`; constant: what
    was left out; misfit: the part of the objective that comes from the observations; observed: the number of
    observations; known: the other inputs of the model, one for all or (patients,), where `fitting.fit` had them. A
    patient whose `status` is not `Status.DONE` keeps the best values found, or NaN where there are none.
    """

    symbols: tuple[str, ...]
    patients: tuple[str, ...]
    scales: tuple[Transform, ...]
    mode: Array
    covariance: Array
    objective: Array
    constant: Array
    misfit: Array
    observed: Codes
    status: Codes
    iterations: Codes
    known: Mapping[str, float | Array] = field(default_factory=dict)

    @property
    def theta(self) -> Array:
        """Return the parameters at the mode (p, patients), on their natural scale."""
        return natural(self.scales, self.mode)

    @property
    def sd(self) -> Array:
        """Return the posterior standard deviations (p, patients), on the transformed scale."""
        sd: Array = np.sqrt(np.array([self.covariance[row, row] for row in range(len(self.mode))]))
        return sd

    @property
    def log_evidence(self) -> Array:
        """Return Laplace's approximation (patients,) of the logarithm of the chance of the observations under model
        and prior.

        Source: Tierney & Kadane, J Am Stat Assoc 1986;81:82. Differences between models weigh them
        (`uncertainty.weigh`).
        """
        volume: Array = 0.5 * log_determinant(cholesky(self.covariance)[0]) + len(self.mode) * LOG_ROOT_TWO_PI
        return volume - self.objective - self.constant

    @property
    def failed(self) -> tuple[tuple[str, Status], ...]:
        """Return every patient without a fit and its status (`Status.sentence` says what happened)."""
        codes = [Status(code) for code in self.status.tolist()]
        return tuple((key, code) for key, code in zip(self.patients, codes, strict=True) if code is not Status.DONE)

    def draws(self, count: int, seed: int, *, stratified: bool = False) -> Array:
        """Return `count` draws of the parameters (p, count, patients) on their natural scale; NaN for a failed patient.

        A patient's draws depend on its key and the seed only; the first k of n are the draws of k (unless
        `stratified`: a Latin hypercube, whose means vary less).
        """
        p, patients = self.mode.shape
        noise = np.empty((p, count, patients))
        for at, key in enumerate(self.patients):
            noise[:, :, at] = standard_normals(generator(seed, key), count, p, stratified=stratified).T
        failed = self.status != int(Status.DONE)
        identity = np.eye(p)[:, :, np.newaxis]
        factor, _ = cholesky(np.where(failed, identity, self.covariance))
        eta = np.empty_like(noise)
        for row in range(p):
            eta[row] = np.where(failed, np.nan, self.mode[row])
            for column in range(row + 1):
                eta[row] += factor[row, column] * noise[column]
        return natural(self.scales, eta)

    @property
    def parameters(self) -> dict[str, Array]:
        """Return the parameters at the mode by symbol, each (patients,): the patients that `evaluate` takes."""
        return dict(zip(self.symbols, self.theta, strict=True))

    def samples(self, count: int, seed: int, *, stratified: bool = False) -> dict[str, Array]:
        """Return `draws` by symbol, each (patients, count): the draws that `evaluate` takes."""
        drawn = self.draws(count, seed, stratified=stratified)
        return {symbol: np.ascontiguousarray(row.T) for symbol, row in zip(self.symbols, drawn, strict=True)}


def individualise(
    predict: Predict,
    observations: Observations,
    priors: Priors,
    residuals: Iterable[Residual],
    *,
    start: Array | None = None,
    means: Array | None = None,
    jacobian: Jacobian | None = None,
    exact: bool = False,
    restarts: int = 4,
    step: float = 1e-3,
    forward: bool = False,
    rules: Descent | None = None,
    lanes: int | None = None,
) -> Fit:
    """Return the posterior mode and the Laplace covariance of every patient.

    start: natural parameters (p,) or (p, patients) to begin with, by default the prior means; means: prior means
    (p, patients) on the transformed scale where they depend on covariates; jacobian: predictions with their
    derivatives, by default central differences of `step` conditional standard deviations, or `forward` ones, which
    need half the lanes and want a smaller step (1e-4) and predictions without noise; exact: the covariance from
    second differences of the posterior, not from JᵀWJ; restarts: further starts for a patient whose fit failed or
    explains its observations badly, the best one is kept; lanes: of one call of `predict` (or `jacobian`), about; the
    results do not depend on it.

    Raises `UnknownVariable` where a variable has no residual, `BadDistribution` for a start out of bounds,
    `PredictionMisfit`.
    """
    count = len(observations.patients)
    additive, proportional = residual_parts(observations.variables, residuals)
    mean = columns(priors.mean if means is None else means, count)
    begin = mean if start is None else columns(priors.unbounded(np.asarray(start, dtype=np.float64)), count)
    width = len(priors.symbols)
    precision = np.broadcast_to(precision_of(priors.covariance), (width, width, count))
    spread = np.broadcast_to(np.sqrt(np.diag(priors.covariance))[:, np.newaxis], (width, count))
    apiece = 1 if jacobian else 1 + width if forward else 1 + 2 * width  # lanes of one patient in one call
    usual = _CELLS // max(1, len(observations.value)) if jacobian else _LANES
    size = max(1, (usual if lanes is None else lanes) // apiece)
    if jacobian and lanes is None:  # two blocks, so that patients with few observations do not carry many empty slots
        size = min(size, max(_FEW, -(-2 * count // 3)))
    crowd = np.argsort(observations.present.sum(axis=0), kind="stable")  # equal numbers of observations together
    parts = []
    for first in range(0, count, size):
        block = crowd[first : first + size]
        data = observations.select(block)
        data = data.until(int(data.present.sum(axis=0).max(initial=0)))
        posterior = Posterior(
            predict, priors.scales, tuple(range(width)), mean[:, block], mean[:, block], precision[:, :, block],
            Likelihood.of(data, additive, proportional), block, jacobian, step, forward, len(observations.value),
        )  # fmt: skip
        parts.append(
            _fit(posterior, begin[:, block], spread[:, block], priors, exact=exact, restarts=restarts, rules=rules)
        )
    back = np.argsort(crowd)
    mode, covariance, objective, constant, misfit, observed, status, iterations = (
        np.concatenate(pieces, axis=-1)[..., back] for pieces in zip(*parts, strict=True)
    )
    return Fit(
        priors.symbols, observations.patients, priors.scales, mode, covariance, objective, constant, misfit,
        observed.astype(np.int64), status.astype(np.int64), iterations.astype(np.int64),
    )  # fmt: skip


def _fit(
    posterior: Posterior, begin: Array, spread: Array, priors: Priors,
    *, exact: bool, restarts: int, rules: Descent | None,
) -> tuple[npt.NDArray[Any], ...]:  # fmt: skip
    """Return the arrays of `Fit` for one block of patients."""
    best = descend(posterior, begin, spread, rules)
    observed = posterior.likelihood.present.sum(axis=0)
    if restarts:
        bad = np.flatnonzero((best.status != int(Status.DONE)) | _unexplained(posterior, best.x))
        if len(bad):
            _restart(posterior, best, bad, spread, priors=priors, restarts=restarts, rules=rules)
    covariance, positive = _laplace(posterior, best, exact)
    failed = (best.status == int(Status.NOT_FINITE)) | ~positive
    best.status[~positive & (best.status == int(Status.DONE))] = int(Status.NOT_FITTED)
    mode = np.where(failed, np.nan, best.x)
    log_prior, _ = cholesky(priors.covariance[:, :, np.newaxis])
    constant = fold(posterior.likelihood.constant()) + 0.5 * log_determinant(log_prior) + len(mode) * LOG_ROOT_TWO_PI
    objective = np.where(failed, np.nan, best.value)
    covariance = np.where(failed, np.nan, covariance)
    misfit = np.where(failed, np.nan, _misfit(posterior, best))
    return mode, covariance, objective, constant, misfit, observed, best.status, best.iterations


def _misfit(posterior: Posterior, best: Minimum) -> Array:
    """Return what the observations contribute to the objective (L,)."""
    away = best.x - posterior.mean
    return best.value - 0.5 * dot(away, multiply(posterior.precision, away))


def _unexplained(posterior: Posterior, x: Array) -> Flags:
    """Return where the scaled residuals are larger than chance makes them: their sum of squares is about chi-square."""
    squares = fold(posterior.likelihood.surprise(posterior.predicted(x)))
    observed = posterior.likelihood.present.sum(axis=0)
    found: Flags = squares > observed + 5.0 * np.sqrt(2.0 * observed)
    return found


def _scattered(attempt: int, priors: Priors) -> Array:
    """Return where a further start lies from the prior mean (p,): the same for all patients, spread evenly over the
    prior.

    The points are a Kronecker sequence with the powers of the generalised golden ratio (root of r^(p+1) = r + 1).
    """
    p = len(priors.symbols)
    root = 1.5
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / (p + 1))
    place = np.mod(0.5 + (attempt + 1) * root ** -np.arange(1.0, p + 1.0), 1.0)
    shift: Array = np.linalg.cholesky(priors.covariance) @ ndtri(np.clip(place, 0.02, 0.98))
    return shift


def _restart(
    posterior: Posterior, best: Minimum, bad: Indices, spread: Array,
    *, priors: Priors, restarts: int, rules: Descent | None,
) -> None:  # fmt: skip
    """Fit the lanes `bad` from `restarts` further starts, all at once, and keep in `best` what ends lower, or ends
    at all.
    """
    lanes = np.tile(bad, restarts)
    apart = np.repeat(np.array([_scattered(attempt, priors) for attempt in range(restarts)]).T, len(bad), axis=1)
    found = descend(posterior.take(lanes), posterior.mean[:, lanes] + apart, spread[:, lanes], rules)
    for attempt in range(restarts):
        part = slice(attempt * len(bad), (attempt + 1) * len(bad))
        ended, before = found.status[part] == int(Status.DONE), best.status[bad] == int(Status.DONE)
        lower = found.value[part] < best.value[bad] - 1e-9
        better = np.flatnonzero((ended & ~before) | (lower & (ended | ~before)))
        goal, source = bad[better], attempt * len(bad) + better
        best.x[:, goal] = found.x[:, source]
        best.value[goal] = found.value[source]
        best.gradient[:, goal] = found.gradient[:, source]
        best.hessian[:, :, goal] = found.hessian[:, :, source]
        best.status[goal] = found.status[source]
        best.iterations[bad] += found.iterations[part]


def _laplace(posterior: Posterior, best: Minimum, exact: bool) -> tuple[Array, Flags]:
    """Return the covariances (p, p, L) at the modes, and where they could be had.

    The exact second derivative is taken in the coordinates in which the approximate one is the identity; where it is
    not positive definite (the mode lies on a bound of rounding), the approximate one stands.
    """
    factor, positive = cholesky(np.where(np.isfinite(best.hessian), best.hessian, 0.0))
    covariance = inverse(factor)
    if not exact:
        return covariance, positive
    p, lanes = best.x.shape
    root, _ = cholesky(np.where(positive, covariance, np.eye(p)[:, :, np.newaxis]))
    pairs = [(row, column) for row in range(p) for column in range(row)]
    signs = [(0, 0, 0, 0)] + [(row, row, sign, 0) for row in range(p) for sign in (1, -1)]
    signs += [(row, column, one, two) for row, column in pairs for one in (1, -1) for two in (1, -1)]
    points = np.repeat(best.x[:, np.newaxis, :], len(signs), axis=1)
    for at, (row, column, one, two) in enumerate(signs):
        points[:, at] += _CURVED * (one * root[:, row] + two * root[:, column])
    wide = posterior.take(np.tile(np.arange(lanes), len(signs)))
    value = wide.value(points.reshape(p, -1)).reshape(len(signs), lanes)
    white = np.empty((p, p, lanes))
    with np.errstate(invalid="ignore"):
        for row in range(p):
            white[row, row] = (value[1 + 2 * row] + value[2 + 2 * row] - 2.0 * value[0]) / _CURVED**2
        for at, (row, column) in enumerate(pairs):
            first = 1 + 2 * p + 4 * at
            mixed = value[first] - value[first + 1] - value[first + 2] + value[first + 3]
            white[row, column] = white[column, row] = mixed / (4.0 * _CURVED**2)
    bent, fine = cholesky(np.where(np.isfinite(white), white, 0.0))
    core = inverse(bent)  # covariance of the white coordinates
    full = np.zeros((p, p, lanes))
    for row in range(p):
        for column in range(p):
            for left in range(row + 1):
                for right in range(column + 1):
                    full[row, column] += root[row, left] * core[left, right] * root[column, right]
    return np.where(fine, 0.5 * (full + full.transpose(1, 0, 2)), covariance), positive
