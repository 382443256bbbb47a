"""The posterior density of individual parameters in lanes: prior and likelihood around any function that predicts.

The negative logarithm, constants left out, is

    sum over observations of ((y - f)/s)²/2 (+ log s where s depends on f)  +  (η - μ)ᵀ Ω⁻¹ (η - μ)/2

with the predictions f(θ), the parameters θ = transform(η), and for a censored value minus the logarithm of its
probability. The second derivative is approximated by JᵀWJ + Ω⁻¹ (Fisher scoring); J comes from the caller or from
central differences, whose lanes go through the same call of the prediction function.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pepr_kg.twin.errors import PredictionMisfit
from pepr_kg.twin.estimation.algebra import Array, cholesky, dot, fold, inverse, multiply
from pepr_kg.twin.estimation.marquardt import Indices, Terms
from pepr_kg.twin.estimation.observations import Likelihood
from pepr_kg.twin.estimation.priors import Transform, natural

_CELLS = 32_768  # observations of one pass over the likelihood: its arrays stay in the cache


class Predict(Protocol):
    """What a model says about the observation slots of patients."""

    def __call__(self, theta: Array, patient: Indices, /) -> Array:
        """Return the predictions (slots, lanes) for parameters (p, lanes) on their natural scale.

        `patient` (lanes,) says whose slots each lane predicts. What stands in an empty slot is ignored; a value that
        is not finite in another says that the lane failed. The value in a lane must not depend on the other lanes.
        """


class Jacobian(Protocol):
    """The predictions together with their derivatives, where the caller has them."""

    def __call__(self, theta: Array, patient: Indices, /) -> tuple[Array, Array]:
        """Return predictions (slots, lanes) and their derivatives (p, slots, lanes) in the natural parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The negative log posterior of the `free` coordinates in L lanes; a `marquardt.Target`.

    scales: the transform of every parameter; base (P, L): unbounded values of all of them, which hold for those that
    are not free; mean (k, L) and precision (k, k, L) of the free ones; step: of the central differences, in units of
    the spread.
    """

    predict: Predict
    scales: tuple[Transform, ...]
    free: tuple[int, ...]
    base: Array
    mean: Array
    precision: Array
    likelihood: Likelihood
    patient: Indices
    jacobian: Jacobian | None = None
    step: float = 1e-3
    forward: bool = False
    slots: int | None = None  # that the prediction function returns, where the likelihood needs the first of them only

    def take(self, lanes: Indices) -> "Posterior":
        """Return the posterior of these lanes, with as many slots as they need."""
        likelihood = self.likelihood.take(lanes)
        slots = len(likelihood.value) if self.slots is None else self.slots
        return replace(
            self, base=self.base[:, lanes], mean=self.mean[:, lanes], precision=self.precision[:, :, lanes],
            likelihood=likelihood.trim(), patient=self.patient[lanes], slots=slots,
        )  # fmt: skip

    def natural(self, x: Array) -> Array:
        """Return all parameters (P, L) on their natural scale for free coordinates x (k, L)."""
        eta = self.base.copy()
        eta[list(self.free)] = x
        return natural(self.scales, eta)

    def value(self, x: Array) -> Array:
        """Return the negative log posterior (L,) at x (k, L); infinity where the prediction fails."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            predicted = self.predicted(x)
            away = x - self.mean
            total = fold(self.likelihood.score(predicted).loss) + 0.5 * dot(away, multiply(self.precision, away))
        return np.where(np.isfinite(total), total, np.inf)

    def predicted(self, x: Array) -> Array:
        """Return the predictions (m, L) at x (k, L)."""
        return self._predicted(self.natural(x), self.patient)

    def terms(self, x: Array, spread: Array) -> Terms:
        """Return value, gradient and Fisher information at x (k, L); see `marquardt.Target`."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such a lane is marked as failed below
            return self._terms(x, spread)

    def _terms(self, x: Array, spread: Array) -> Terms:
        predicted, slopes = self._sensitivities(x, spread)
        away = x - self.mean
        pull = multiply(self.precision, away)
        k, lanes = x.shape
        value, gradient, hessian = 0.5 * dot(away, pull), pull.copy(), self.precision.copy()
        width = max(16, _CELLS // max(1, len(predicted)))
        for first in range(0, lanes, width):
            part = slice(first, min(first + width, lanes))
            score = self.likelihood.take(part).score(predicted[:, part])
            value[part] += fold(score.loss)
            work = np.empty((k, *score.loss.shape))
            slope = slopes[:, :, part]
            gradient[:, part] += fold(np.multiply(slope, score.slope, out=work))
            for row in range(k):
                weighted = slope[row] * score.curvature
                hessian[row, : row + 1, part] += fold(np.multiply(slope[: row + 1], weighted, out=work[: row + 1]))
        for row in range(k):
            for column in range(row):
                hessian[column, row] = hessian[row, column]
        fine = np.isfinite(value) & np.isfinite(gradient).all(axis=0) & np.isfinite(hessian).all(axis=(0, 1))
        return Terms(np.where(fine, value, np.inf), gradient, hessian)

    def _predicted(self, theta: Array, patient: Indices) -> Array:
        found = np.asarray(self.predict(theta, patient), dtype=np.float64)
        return self._crop(found, theta.shape[1])

    def _crop(self, found: Array, lanes: int) -> Array:
        needed = len(self.likelihood.value)
        expected = (needed if self.slots is None else self.slots, lanes)
        if found.shape != expected:
            raise PredictionMisfit(found=found.shape, expected=expected)
        return found[:needed]

    def _sensitivities(self, x: Array, spread: Array) -> tuple[Array, Array]:
        """Return predictions (m, L) and their derivatives in x (k, m, L), 0 in empty slots."""
        k, lanes = x.shape
        present = self.likelihood.present
        if self.jacobian is not None:
            found, raw = self.jacobian(self.natural(x), self.patient)
            predicted, raw = self._crop(found, lanes), raw[:, : len(present)]
            if len(self.free) == len(raw) and all(scale.kind == "identity" for scale in self.scales):
                slopes = raw
            else:
                slopes = np.empty((k, *predicted.shape))
                for row, place in enumerate(self.free):
                    np.multiply(raw[place], self.scales[place].slope(x[row]), out=slopes[row])
            return predicted, slopes if present.all() else np.where(present, slopes, 0.0)
        step = self.step * spread
        sides = (1.0,) if self.forward else (1.0, -1.0)
        width = 1 + len(sides) * k
        moved = np.repeat(x[:, np.newaxis, :], width, axis=1)  # (k, 1 + 2k, L)
        for at, side in enumerate(sides):
            for row in range(k):
                moved[row, 1 + at * k + row] += side * step[row]
        eta = np.repeat(self.base[:, np.newaxis, :], width, axis=1)
        eta[list(self.free)] = moved
        theta = natural(self.scales, eta.reshape(len(eta), -1))
        found = self._predicted(theta, np.tile(self.patient, width)).reshape(-1, width, lanes)
        predicted = found[:, 0]
        slopes = np.empty((k, *predicted.shape))
        for row in range(k):
            up, down = found[:, 1 + row], found[:, width - k + row]
            if self.forward:
                rise = (up - predicted) / (moved[row, 1 + row] - x[row])
            else:
                rise = (up - down) / (moved[row, 1 + row] - moved[row, 1 + k + row])
                if not np.isfinite(rise).all():  # where one side fails: the other one alone
                    alone = np.where(np.isfinite(up), (up - predicted) / step[row], (predicted - down) / step[row])
                    rise = np.where(np.isfinite(rise), rise, alone)
            slopes[row] = rise
        return predicted, slopes if present.all() else np.where(present, slopes, 0.0)


def precision_of(covariance: Array) -> Array:
    """Return the inverse (p, p, 1) of a covariance matrix (p, p)."""
    factor, _ = cholesky(covariance[:, :, np.newaxis])
    return inverse(factor)


def columns(values: Sequence[float] | Array, lanes: int) -> Array:
    """Return a vector (p,) or an array (p, L) as an array (p, L)."""
    array = np.asarray(values, dtype=np.float64)
    wide: Array = np.broadcast_to(array[:, np.newaxis] if array.ndim == 1 else array, (len(array), lanes))
    return wide
