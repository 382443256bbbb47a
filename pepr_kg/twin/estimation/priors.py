"""What is known of the individual parameters before a patient is observed: normal distributions on a transformed scale.

A parameter θ is estimated as an unbounded η: itself (identity), the logarithm of its distance to a lower bound (log),
or the logit of its place between two bounds (logit). Arrays are (parameters, lanes).

>>> clearance = Prior("CL", mean=0.0, sd=0.3, transform="log")
>>> priors = Priors.of(clearance, Prior("F", mean=0.0, sd=1.0, transform="logit"))
>>> priors.natural(np.array([[0.0], [0.0]])).ravel().tolist()
[1.0, 0.5]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import BadDistribution
from pepr_kg.twin.estimation.algebra import Array, cholesky

TRANSFORMS = ("identity", "log", "logit")


@dataclass(frozen=True, slots=True)
class Transform:
    """The way from an unbounded number to a parameter above `lower` (log) or between `lower` and `upper` (logit)."""

    kind: str = "identity"
    lower: float = 0.0
    upper: float = 1.0

    def natural(self, eta: Array) -> Array:
        """Return the parameter, on its own scale."""
        if self.kind == "identity":
            return eta
        with np.errstate(over="ignore"):  # an infinite parameter makes its lane fail, which the caller handles
            if self.kind == "log":
                return self.lower + np.exp(eta)
            return self.lower + (self.upper - self.lower) / (1.0 + np.exp(-eta))

    def slope(self, eta: Array) -> Array:
        """Return the derivative of the parameter in the unbounded number."""
        if self.kind == "identity":
            return np.ones_like(eta)
        with np.errstate(over="ignore"):
            if self.kind == "log":
                return np.exp(eta)
            share = 1.0 / (1.0 + np.exp(-np.abs(eta)))
            return (self.upper - self.lower) * share * (1.0 - share)

    def unbounded(self, theta: Array) -> Array:
        """Return the unbounded number of a parameter; NaN or infinite at and outside the bounds."""
        if self.kind == "identity":
            return theta
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.kind == "log":
                return np.log(theta - self.lower)
            return np.log(theta - self.lower) - np.log(self.upper - theta)


@dataclass(frozen=True, slots=True)
class Prior:
    """A normal distribution of one parameter: `mean` and `sd` are on the transformed scale.

    `transform` is identity, log (θ > lower) or logit (lower < θ < upper).
    """

    symbol: str
    mean: float
    sd: float
    transform: str = "identity"
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            known = ", ".join(TRANSFORMS)
            detail = {
                "en": f'there is no transform "{self.transform}" (known: {known})',
                "fr": f"la transformation « {self.transform} » n’existe pas (connues : {known})",
            }
            raise BadDistribution(symbol=self.symbol, detail=detail)
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd > 0.0):
            detail = {
                "en": f"mean {self.mean} and standard deviation {self.sd} must be finite, the latter above 0",
                "fr": f"moyenne {self.mean} et écart-type {self.sd} doivent être finis, le second supérieur à 0",
            }
            raise BadDistribution(symbol=self.symbol, detail=detail)
        if self.transform == "logit" and not self.lower < self.upper:
            detail = {
                "en": f"the lower bound {self.lower} is not below the upper bound {self.upper}",
                "fr": f"la borne inférieure {self.lower} n’est pas sous la borne supérieure {self.upper}",
            }
            raise BadDistribution(symbol=self.symbol, detail=detail)

    @property
    def scale(self) -> Transform:
        """Return the transform of this parameter."""
        return Transform(self.transform, self.lower, self.upper)


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """The joint normal distribution of several parameters: `covariance` (p, p) on the transformed scale."""

    priors: tuple[Prior, ...]
    covariance: Array

    @classmethod
    def of(cls, *priors: Prior, correlation: npt.ArrayLike | None = None) -> "Priors":
        """Return the joint distribution of `priors`, independent or with a correlation matrix (p, p).

        Raises `BadDistribution` for a symbol that comes twice, or a matrix that is not symmetric, of ones on its
        diagonal and positive definite.
        """
        symbols = [prior.symbol for prior in priors]
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                detail = {"en": "it is given twice", "fr": "elle est donnée deux fois"}
                raise BadDistribution(symbol=symbol, detail=detail)
        matrix = np.eye(len(priors)) if correlation is None else np.asarray(correlation, dtype=np.float64)
        fine = (
            matrix.shape == (len(priors), len(priors))
            and bool(np.allclose(matrix, matrix.T))
            and bool(np.allclose(np.diag(matrix), 1.0))
            and bool(cholesky(matrix[:, :, np.newaxis])[1].all())
        )
        if not fine:
            detail = {
                "en": "the correlation matrix is not symmetric and positive definite",
                "fr": "la matrice de corrélation n’est pas symétrique définie positive",
            }
            raise BadDistribution(symbol=", ".join(symbols), detail=detail)
        sd = np.array([prior.sd for prior in priors])
        return cls(priors, matrix * sd[:, np.newaxis] * sd)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the parameters' symbols, in the order of the rows."""
        return tuple(prior.symbol for prior in self.priors)

    @property
    def scales(self) -> tuple[Transform, ...]:
        """Return the parameters' transforms."""
        return tuple(prior.scale for prior in self.priors)

    @property
    def mean(self) -> Array:
        """Return the means (p,) on the transformed scale."""
        return np.array([prior.mean for prior in self.priors])

    def natural(self, eta: Array) -> Array:
        """Return the parameters (p, …) on their natural scale from their transformed values (p, …)."""
        return natural(self.scales, eta)

    def unbounded(self, theta: Array) -> Array:
        """Return the transformed values (p, …) of parameters; raises `BadDistribution` for one out of its bounds."""
        eta = np.array([scale.unbounded(row) for scale, row in zip(self.scales, theta, strict=True)])
        for prior, row in zip(self.priors, eta, strict=True):
            if not np.isfinite(row).all():
                detail = {"en": "a start value lies out of bounds", "fr": "une valeur de départ sort des bornes"}
                raise BadDistribution(symbol=prior.symbol, detail=detail)
        return eta


def natural(scales: Sequence[Transform], eta: Array) -> Array:
    """Return the parameters (p, …) on their natural scale from their unbounded values (p, …)."""
    return np.array([scale.natural(row) for scale, row in zip(scales, eta, strict=True)])
