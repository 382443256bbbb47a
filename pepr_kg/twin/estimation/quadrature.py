"""The chance of a patient's observations when its own parameters are unknown: an integral over the random effects.

For every patient and every set of population parameters (a lane each) the mode and the curvature of the posterior are
found first, and Gauss-Hermite nodes are laid around them (adaptive quadrature: Pinheiro & Bates, J Comput Graph Stat
1995;4:12). One node is Laplace's approximation with the Fisher information as curvature, which pharmacometrics knows
as FOCE with interaction (Wang, J Pharmacokinet Pharmacodyn 2007;34:575).

>>> z, log_weight = tensor_nodes(3, 2)
>>> z.shape, round(float(np.exp(log_weight).sum()), 12) == round(math.pi, 12)
((2, 9), True)
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pepr_kg.twin.estimation.algebra import Array, cholesky, fold, inverse, log_determinant
from pepr_kg.twin.estimation.marquardt import Descent, descend
from pepr_kg.twin.estimation.normal import LOG_ROOT_TWO_PI
from pepr_kg.twin.estimation.observations import Likelihood, Observations
from pepr_kg.twin.estimation.posterior import Posterior, Predict
from pepr_kg.twin.estimation.priors import Transform

_LANES = 20_000  # of one call of the prediction function, about
_RULES = Descent(tolerance=1e-12, resolution=1e-14)


def tensor_nodes(nodes: int, dimensions: int) -> tuple[Array, Array]:
    """Return the points (dimensions, nodes^dimensions) of the Gauss-Hermite rule, and log weights."""
    points, weights = np.polynomial.hermite.hermgauss(nodes)
    places = np.array(np.meshgrid(*[np.arange(nodes)] * dimensions, indexing="ij")).reshape(dimensions, -1)
    return points[places], np.log(weights)[places].sum(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """M sets of population parameters, each array with the sets last.

    fixed (P, M): unbounded values of all parameters of a typical patient; factor (k, k, M): lower Cholesky factor of
    the covariance of the random effects; additive and proportional (variables, M): residual standard deviations.
    """

    fixed: Array
    factor: Array
    additive: Array
    proportional: Array


@dataclass(frozen=True, slots=True, eq=False)
class Integral:
    """The log-likelihoods (M, patients) and the modes (k, M, patients) of the parameters that vary, on the unbounded
    scale.
    """

    log_likelihood: Array
    modes: Array


@dataclass(frozen=True, slots=True, eq=False)
class Integrator:
    """The marginal likelihood of a cohort: `scales` of all parameters, `free` the indices of those that vary between
    patients.
    """

    predict: Predict
    observations: Observations
    scales: tuple[Transform, ...]
    free: tuple[int, ...]
    nodes: int

    def integrate(self, population: Population, start: Array | None = None) -> Integral:
        """Return the integral for every patient under every set of parameters.

        start: modes (k, patients) to search from, by default the typical patient. A patient whose mode is not found,
        or whose prediction fails at every node, has the log-likelihood minus infinity.
        """
        sets, count = population.fixed.shape[1], len(self.observations.patients)
        k = len(self.free)
        size = max(1, _LANES // (count * (1 + 2 * k)))
        parts = [
            self._integrate(_select(population, np.arange(first, min(first + size, sets))), start)
            for first in range(0, sets, size)
        ]
        return Integral(
            np.concatenate([part.log_likelihood for part in parts]),
            np.concatenate([part.modes for part in parts], axis=1),
        )

    def _integrate(self, population: Population, start: Array | None) -> Integral:
        data, free = self.observations, list(self.free)
        sets, count, k = population.fixed.shape[1], len(data.patients), len(free)
        patient, which = np.tile(np.arange(count), sets), np.repeat(np.arange(sets), count)
        base = Likelihood.of(data, population.additive[:, 0], population.proportional[:, 0]).take(patient)
        kind = data.variable[:, patient]
        likelihood = replace(
            base, additive=population.additive[kind, which], proportional=population.proportional[kind, which]
        )
        precision = inverse(population.factor)
        covariance_root = population.factor[:, :, which]
        typical = population.fixed[:, which]
        posterior = Posterior(
            self.predict, self.scales, self.free, typical, typical[free], precision[:, :, which], likelihood, patient,
        )  # fmt: skip
        spread = np.sqrt(np.array([np.square(covariance_root[row, : row + 1]).sum(axis=0) for row in range(k)]))
        begin = typical[free] if start is None else np.tile(start, (1, sets))
        found = descend(posterior, begin, spread, _RULES)
        curvature, positive = cholesky(np.where(np.isfinite(found.hessian), found.hessian, 0.0))
        root, _ = cholesky(inverse(curvature))
        constant = fold(likelihood.constant()) + 0.5 * log_determinant(covariance_root) + k * LOG_ROOT_TWO_PI
        volume = 0.5 * (log_determinant(root) + k * math.log(2.0)) - constant
        total = self._sum(posterior, found.x, root) + volume
        fine = positive & np.isfinite(found.value) & np.isfinite(total)
        return Integral(np.where(fine, total, -np.inf).reshape(sets, count), found.x.reshape(k, sets, count))

    def _sum(self, posterior: Posterior, mode: Array, root: Array) -> Array:
        """Return the logarithm of the weighted sum over the nodes (L,)."""
        k, lanes = mode.shape
        z, log_weight = tensor_nodes(self.nodes, k)
        log_weight = log_weight + np.square(z).sum(axis=0)
        terms = np.empty((z.shape[1], lanes))
        step = max(1, _LANES // lanes)
        for first in range(0, z.shape[1], step):
            part = slice(first, min(first + step, z.shape[1]))
            width = part.stop - part.start
            x = np.repeat(mode[:, np.newaxis, :], width, axis=1)
            for row in range(k):
                for column in range(row + 1):
                    x[row] += math.sqrt(2.0) * root[row, column] * z[column, part, np.newaxis]
            wide = posterior.take(np.tile(np.arange(lanes), width))
            terms[part] = log_weight[part, np.newaxis] - wide.value(x.reshape(k, -1)).reshape(width, lanes)
        top = terms.max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.where(np.isfinite(terms), np.exp(terms - top), 0.0)
            result: Array = top + np.log(fold(scaled))
        return result


def _select(population: Population, sets: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Population:
    return Population(
        population.fixed[:, sets], population.factor[:, :, sets], population.additive[:, sets],
        population.proportional[:, sets],
    )  # fmt: skip
