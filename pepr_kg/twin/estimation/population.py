"""What is typical of a population, and how much its patients differ: maximum likelihood of a mixed-effects model.

The parameter of patient i is transform(μ + η_i) with η_i normal around 0, for up to three parameters that vary
between patients; the others are the same for all. Estimated are μ, the covariance of η (through its Cholesky factor
with logarithms on the diagonal, so that it is always a covariance) and the residual standard deviations (as
logarithms). The likelihood is that of `quadrature`; its maximum is found by a quasi-Newton method (BFGS: Nocedal &
Wright, Numerical Optimization, 2nd ed. 2006, chapter 6) whose first metric is the outer product of the patients'
scores (Berndt, Hall, Hall & Hausman, Ann Econ Soc Meas 1974;3:653). All patients, nodes and neighbouring parameters
are lanes of the same calls.

Standard errors come from the inverse of the observed information (second differences), by the delta method where the
figure is a function of what was estimated.

>>> rows = [
...     Observation(f"p{i}", float(j), "x", value)
...     for i, pair in enumerate([(1.0, 1.2), (3.1, 2.9), (2.0, 2.2), (4.1, 3.8)])
...     for j, value in enumerate(pair)
... ]
>>> def predict(theta, patient):
...     return np.repeat(theta[:1], 2, axis=0)
>>> fit = fit_population(
...     predict, Observations.from_rows(rows), [Effect("mean", 2.0)], [Residual("x", 0.5)], [[1.0]]
... )
>>> round(float(fit.fixed[0]), 2), round(float(fit.covariance[0, 0]), 2), round(fit.residuals[0].additive, 3)
(2.54, 1.1, 0.162)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import BadDistribution
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.marquardt import Indices
from pepr_kg.twin.estimation.observations import Observation, Observations, Residual, residual_parts
from pepr_kg.twin.estimation.posterior import Predict
from pepr_kg.twin.estimation.priors import Prior, Priors, Transform
from pepr_kg.twin.estimation.quadrature import Integrator, Population
from pepr_kg.twin.status import Status

__all__ = ["Effect", "Observation", "Observations", "PopulationFit", "Residual", "fit_population"]

_RANDOM = 3  # most random effects: the nodes are a power of their number
_STEP = 1e-3  # of the differences, in units of each coordinate
_LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3)


@dataclass(frozen=True, slots=True)
class Effect:
    """A parameter of the population: `start` is a first value of its typical value, on the transformed scale.

    `random` says that it varies between patients; transforms as in `priors.Prior`.
    """

    symbol: str
    start: float
    transform: str = "identity"
    random: bool = True
    lower: float = 0.0
    upper: float = 1.0

    @property
    def scale(self) -> Transform:
        """Return the transform of this parameter."""
        return Transform(self.transform, self.lower, self.upper)


@dataclass(frozen=True, slots=True, eq=False)
class PopulationFit:
    """The estimates, their standard errors (`…_se`, NaN where the information is singular) and how the search ended.

    fixed (P,): typical values on the transformed scale; covariance (k, k) of the random effects, in the order of
    those effects; residuals; modes (k, patients): the parameters of each patient that vary, transformed, at its
    posterior mode.
    """

    effects: tuple[Effect, ...]
    fixed: Array
    fixed_se: Array
    covariance: Array
    covariance_se: Array
    residuals: tuple[Residual, ...]
    residuals_se: tuple[tuple[float, float], ...]
    minus2_log_likelihood: float
    parameters: int
    patients: tuple[str, ...]
    modes: Array
    status: Status
    iterations: int

    @property
    def bic(self) -> float:
        """Return Schwarz's criterion, the patients being the observations (Ann Stat 1978;6:461)."""
        return self.minus2_log_likelihood + self.parameters * float(np.log(len(self.patients)))

    @property
    def priors(self) -> Priors:
        """Return the distribution of the parameters that vary between patients, as `individualise` takes it."""
        free = [at for at, effect in enumerate(self.effects) if effect.random]
        sd = np.sqrt(np.diag(self.covariance))
        return Priors.of(
            *(
                Prior(effect.symbol, float(self.fixed[at]), float(scale), effect.transform, effect.lower, effect.upper)
                for at, effect, scale in zip(free, [self.effects[at] for at in free], sd, strict=True)
            ),
            correlation=self.covariance / np.outer(sd, sd),
        )

    def restrict(self, predict: Predict) -> Predict:
        """Return `predict` as a function of the parameters that vary alone; the others have their estimates."""
        typical = [float(effect.scale.natural(self.fixed[at])) for at, effect in enumerate(self.effects)]
        free = [at for at, effect in enumerate(self.effects) if effect.random]

        def restricted(theta: Array, patient: Indices) -> Array:
            full = np.empty((len(typical), theta.shape[1]))
            full[:] = np.array(typical)[:, np.newaxis]
            full[free] = theta
            return predict(full, patient)

        return restricted


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """How the estimated numbers make up the population's parameters."""

    effects: tuple[Effect, ...]
    variables: tuple[str, ...]
    additive: tuple[int, ...]  # variables whose additive part is estimated
    proportional: tuple[int, ...]

    @property
    def random(self) -> int:
        return sum(effect.random for effect in self.effects)

    def unpack(self, psi: Array) -> Population:
        """Return the population's parameters (…, M) from the estimated numbers (q, M)."""
        count, k = psi.shape[1], self.random
        at = len(self.effects)
        factor = np.zeros((k, k, count))
        for row in range(k):
            for column in range(row + 1):
                factor[row, column] = np.exp(psi[at]) if row == column else psi[at]
                at += 1
        parts = np.zeros((2, len(self.variables), count))
        for kind, which in enumerate((self.additive, self.proportional)):
            for variable in which:
                parts[kind, variable] = np.exp(psi[at])
                at += 1
        return Population(psi[: len(self.effects)], factor, parts[0], parts[1])

    def figures(self, psi: Array) -> Array:
        """Return what is reported (n, M): typical values, covariances row by row, additive and proportional
        deviations.
        """
        population = self.unpack(psi)
        k, count = self.random, psi.shape[1]
        covariance = np.array(
            [
                (population.factor[row] * population.factor[column]).sum(axis=0)
                for row in range(k)
                for column in range(k)
            ]
        ).reshape(-1, count)
        return np.concatenate([population.fixed, covariance, population.additive, population.proportional])


def fit_population(
    predict: Predict,
    observations: Observations,
    effects: Sequence[Effect],
    residuals: Iterable[Residual],
    covariance: npt.ArrayLike,
    *,
    nodes: int = 7,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> PopulationFit:
    """Return the maximum-likelihood estimates of a mixed-effects model.

    predict: takes all parameters of `effects`, in their order; residuals and covariance (k, k): first values; a part
    of a residual that is 0 stays 0; nodes: of the quadrature, along each random effect (1 is Laplace); tolerance: the
    search ends when the quadratic model promises a smaller gain in log-likelihood.

    Raises `BadDistribution` for a covariance that is none, for no or more than three random effects. The order of the
    patients changes nothing, not even the last digit. Status: `DONE`; `NOT_FITTED`, the bound on iterations;
    `NOT_FINITE`, the first values fail.
    """
    order = np.array(sorted(range(len(observations.patients)), key=lambda at: observations.patients[at]))
    layout, psi = _prepare(observations, tuple(effects), residuals, np.asarray(covariance, dtype=np.float64))
    free = tuple(at for at, effect in enumerate(effects) if effect.random)

    def ordered(theta: Array, patient: Indices) -> Array:
        return predict(theta, order[patient])

    chosen = observations.select(order)
    search = _Search(Integrator(ordered, chosen, tuple(effect.scale for effect in effects), free, nodes), layout)
    psi, value, modes, status, used = search.climb(psi, iterations, tolerance)
    failed = status is Status.NOT_FINITE
    errors = layout.figures(psi[:, np.newaxis])[:, 0] * np.nan if failed else search.errors(psi, modes)
    modes = modes[:, np.argsort(order)]
    return _report(layout, psi, errors, value, patients=observations.patients, modes=modes, ended=(status, used))


def _prepare(
    observations: Observations, effects: tuple[Effect, ...], residuals: Iterable[Residual], covariance: Array
) -> tuple[_Layout, Array]:
    """Return the layout and the first values (q,)."""
    random = [effect.symbol for effect in effects if effect.random]
    names = ", ".join(random) or "?"
    if not 1 <= len(random) <= _RANDOM:
        detail = {
            "en": f"{len(random)} random effects, where 1 to {_RANDOM} can be estimated",
            "fr": f"{len(random)} effets aléatoires, alors que l’on peut en estimer de 1 à {_RANDOM}",
        }
        raise BadDistribution(symbol=names, detail=detail)
    fine = covariance.shape == (len(random), len(random)) and np.allclose(covariance, covariance.T)
    try:
        factor = np.linalg.cholesky(covariance) if fine else None
    except np.linalg.LinAlgError:
        factor = None
    if factor is None:
        detail = {
            "en": "the first covariance is not symmetric and positive definite, a row for each random effect",
            "fr": "la covariance initiale n’est pas symétrique définie positive, une ligne par effet aléatoire",
        }
        raise BadDistribution(symbol=names, detail=detail)
    additive, proportional = residual_parts(observations.variables, residuals)
    layout = _Layout(
        effects,
        observations.variables,
        tuple(np.flatnonzero(additive).tolist()),
        tuple(np.flatnonzero(proportional).tolist()),
    )
    psi = [effect.start for effect in effects]
    for row in range(len(random)):
        psi += [
            float(np.log(factor[row, column]) if row == column else factor[row, column]) for column in range(row + 1)
        ]
    psi += np.log(additive[additive > 0.0]).tolist() + np.log(proportional[proportional > 0.0]).tolist()
    return layout, np.array(psi)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The search for the maximum: `value` is minus the log-likelihood."""

    integrator: Integrator
    layout: _Layout

    def values(self, psi: Array, modes: Array | None) -> tuple[Array, Array]:
        """Return minus the log-likelihoods (M, patients) at psi (q, M), and the modes (k, M, patients)."""
        found = self.integrator.integrate(self.layout.unpack(psi), modes)
        return -found.log_likelihood, found.modes

    def scores(self, psi: Array, modes: Array | None) -> tuple[float, Array, Array]:
        """Return the value, every patient's gradient (q, patients), and the modes (k, patients)."""
        q = len(psi)
        points = np.repeat(psi[:, np.newaxis], 1 + 2 * q, axis=1)
        for row in range(q):
            points[row, 1 + row] += _STEP
            points[row, 1 + q + row] -= _STEP
        values, found = self.values(points, modes)
        with np.errstate(invalid="ignore"):
            return float(values[0].sum()), (values[1 : 1 + q] - values[1 + q :]) / (2.0 * _STEP), found[:, 0]

    def climb(self, psi: Array, iterations: int, tolerance: float) -> tuple[Array, float, Array, Status, int]:
        """Return where the search ends, the value and the modes there, its status, and the iterations used."""
        value, scores, modes = self.scores(psi, None)
        if not np.isfinite(value) or not np.isfinite(scores).all():
            return psi, float("nan"), modes, Status.NOT_FINITE, 0
        gradient = scores.sum(axis=1)
        metric = self._metric(scores)
        fresh = True  # the metric is the patients' scores and holds no steps
        for iteration in range(1, iterations + 1):
            direction = -metric @ gradient
            promise = float(-gradient @ direction)
            if promise <= 2.0 * tolerance:
                return psi, value, modes, Status.DONE, iteration - 1
            direction *= min(1.0, 1.0 / float(np.abs(direction).max()))
            points = psi[:, np.newaxis] + direction[:, np.newaxis] * np.array(_LENGTHS)
            values, _ = self.values(points, modes)
            totals = values.sum(axis=1)
            totals = np.where(np.isfinite(totals), totals, np.inf)
            best = int(np.argmin(totals))
            if totals[best] >= value:
                if fresh:
                    return psi, value, modes, Status.DONE if promise < 1e-3 else Status.NOT_FITTED, iteration
                metric, fresh = self._metric(scores), True
                continue
            moved = points[:, best]
            value, scores, modes = self.scores(moved, modes)
            after = scores.sum(axis=1)
            metric = _update(metric, moved - psi, after - gradient)
            psi, gradient, fresh = moved, after, False
        return psi, value, modes, Status.NOT_FITTED, iterations

    def _metric(self, scores: Array) -> Array:
        """Return the inverse of the scores' outer product, made safe where there are few patients."""
        information = scores @ scores.T
        scale = np.sqrt(np.diag(information)) + 1e-8
        safe = information / np.outer(scale, scale) + 0.1 * np.eye(len(scale))
        inverted: Array = np.linalg.inv(safe) / np.outer(scale, scale)
        return inverted

    def errors(self, psi: Array, modes: Array) -> Array:
        """Return the standard errors of `_Layout.figures` at the maximum."""
        q = len(psi)
        step = 10.0 * _STEP
        moves = [np.zeros(q)]
        for row in range(q):
            moves += [step * np.eye(q)[row], -step * np.eye(q)[row]]
        pairs = [(row, column) for row in range(q) for column in range(row)]
        for row, column in pairs:
            both = step * (np.eye(q)[row] + np.eye(q)[column])
            moves += [both, -both]
        points = psi[:, np.newaxis] + np.array(moves).T
        values = self.values(points, modes)[0].sum(axis=1)
        up, down = values[1 : 1 + 2 * q : 2], values[2 : 2 + 2 * q : 2]
        information = np.diag((up + down - 2.0 * values[0]) / step**2)
        for at, (row, column) in enumerate(pairs):
            both = values[1 + 2 * q + 2 * at] + values[2 + 2 * q + 2 * at]
            mixed = (both - up[row] - down[row] - up[column] - down[column] + 2.0 * values[0]) / (2.0 * step**2)
            information[row, column] = information[column, row] = mixed
        width = 1e-5
        raised = self.layout.figures(psi[:, np.newaxis] + width * np.eye(q))
        lowered = self.layout.figures(psi[:, np.newaxis] - width * np.eye(q))
        slopes = (raised - lowered) / (2.0 * width)
        try:
            spread = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            return np.full(len(slopes), np.nan)
        variances = np.einsum("ij,jk,ik->i", slopes, spread, slopes)
        errors: Array = np.sqrt(np.where(variances >= 0.0, variances, np.nan))
        return errors


def _update(metric: Array, step: Array, change: Array) -> Array:
    """Return the BFGS update of an inverse Hessian; unchanged where the curvature along the step is not positive."""
    curvature = float(step @ change)
    if curvature <= 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
        return metric
    shrink = np.eye(len(step)) - np.outer(step, change) / curvature
    updated: Array = shrink @ metric @ shrink.T + np.outer(step, step) / curvature
    return updated


def _report(
    layout: _Layout, psi: Array, errors: Array, value: float,
    *, patients: tuple[str, ...], modes: Array, ended: tuple[Status, int],
) -> PopulationFit:  # fmt: skip
    p, k, v = len(layout.effects), layout.random, len(layout.variables)
    cuts = np.cumsum([p, k * k, v])
    fixed, covariance, additive, proportional = np.split(layout.figures(psi[:, np.newaxis])[:, 0], cuts)
    fixed_se, covariance_se, additive_se, proportional_se = np.split(errors, cuts)
    residuals = tuple(
        Residual(name, *parts)
        for name, *parts in zip(layout.variables, additive.tolist(), proportional.tolist(), strict=True)
    )
    return PopulationFit(
        layout.effects, fixed, fixed_se, covariance.reshape(k, k), covariance_se.reshape(k, k), residuals,
        tuple(zip(additive_se.tolist(), proportional_se.tolist(), strict=True)),
        2.0 * value, len(psi), patients, modes, *ended,
    )  # fmt: skip
