"""How sure a prediction is, and whether it is as sure as it says.

Three sources are kept apart: what is not known of a patient's parameters, what an observation adds (residual error),
and which of several models is right. By the law of total variance they sum to the variance of the next observation:

    Var(y) = E_m[Var_θ f] + E_m[E_θ s²] + Var_m(E_θ f)
              parameter     residual     model choice

Whether a posterior deserves its name is tested by simulation: parameters drawn from the prior, observations simulated
from them, and the rank of the true value among the draws of its posterior; ranks are uniform if and only if the
posterior is right (Talts, Betancourt, Simpson, Vehtari & Gelman, arXiv:1804.06788, 2018).

Draws stand on the last axis but one, patients on the last: (…, draws, patients), as `Fit.draws` gives them.

>>> draws = np.arange(101.0).reshape(101, 1)  # one patient
>>> bands(draws, [0.05, 0.5, 0.95]).values.ravel().tolist()
[5.0, 50.0, 95.0]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import BadDistribution, EmptyCohort
from pepr_kg.twin.estimation.algebra import Array, fold
from pepr_kg.twin.estimation.normal import gamma_tail
from pepr_kg.twin.estimation.observations import Observations, Residual, residual_parts
from pepr_kg.twin.estimation.posterior import Predict
from pepr_kg.twin.estimation.priors import Priors
from pepr_kg.twin.estimation.sampling import generator

Counts = npt.NDArray[np.int64]

_BLOCK = 4_000_000  # numbers that are sorted at once
_EXPECTED = 5.0  # smallest expected count of a bin (Cochran, Ann Math Stat 1952;23:315)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Quantiles of draws: `values` (probabilities, …, patients), and `count` (…, patients) of finite draws behind
    each.
    """

    probabilities: tuple[float, ...]
    values: Array
    count: Counts


def bands(draws: Array, probabilities: Sequence[float]) -> Bands:
    """Return the quantiles of `draws` (…, draws, patients) over the draws.

    Between two draws the quantile is interpolated (type 7 of Hyndman & Fan, Am Stat 1996;50:361). A draw that is not
    finite is left out and shows in `count`; without any the quantile is NaN. Work goes in blocks, so that the memory
    is bounded.

    Raises `BadDistribution` for a probability outside 0 to 1.
    """
    if not all(0.0 <= probability <= 1.0 for probability in probabilities):
        detail = {"en": "a probability lies outside 0 to 1", "fr": "une probabilité sort de l’intervalle de 0 à 1"}
        raise BadDistribution(symbol="bands", detail=detail)
    shape = (*draws.shape[:-2], draws.shape[-1])
    rows = np.moveaxis(draws, -2, -1).reshape(-1, draws.shape[-2]) if draws.size else np.empty((0, draws.shape[-2]))
    values, count = np.empty((len(probabilities), len(rows))), np.empty(len(rows), dtype=np.int64)
    step = max(1, _BLOCK // max(1, draws.shape[-2]))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        values[:, part], count[part] = _quantiles(rows[part], np.asarray(probabilities, dtype=np.float64))
    return Bands(tuple(probabilities), values.reshape(len(probabilities), *shape), count.reshape(shape))


def _quantiles(rows: Array, probabilities: Array) -> tuple[Array, Counts]:
    """Return the quantiles (probabilities, rows) of each row and how many of its numbers are finite."""
    finite = np.isfinite(rows)
    count = finite.sum(axis=1)
    place = probabilities[:, np.newaxis] * np.maximum(count - 1, 0)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    if finite.all():
        wanted = np.unique(np.concatenate([low[:, :1], high[:, :1]]))
        ordered = np.partition(rows, wanted, axis=1) if rows.size else rows
    else:
        ordered = np.sort(np.where(finite, rows, np.inf), axis=1)
    if not rows.shape[1]:
        return np.full(low.shape, np.nan), count
    line = np.arange(len(rows))
    below, above = ordered[line, low], ordered[line, high]
    with np.errstate(invalid="ignore"):
        found = below + (place - low) * (above - below)
    return np.where(count > 0, found, np.nan), count


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """The mean of a prediction and the variances (…, patients) by source: `parameter`, `residual`, `model`.

    `weights` (models, patients) are those of the models.
    """

    mean: Array
    parameter: Array
    residual: Array
    model: Array
    weights: Array

    @property
    def total(self) -> Array:
        """Return the variance of a new observation."""
        return self.parameter + self.residual + self.model

    @property
    def sd(self) -> Array:
        """Return the standard deviation of a new observation."""
        return np.sqrt(self.total)


def decompose(
    predictions: Sequence[Array], residuals: Sequence[Residual], weights: npt.ArrayLike | None = None
) -> Decomposition:
    """Return mean and variances of one variable as several models predict it, one model being a special case.

    predictions: for each model the draws (…, draws, patients) of its prediction, the numbers of draws may differ;
    residuals: for each model that of the variable; weights: of the models (models,) or (models, patients), by default
    equal (`weigh` makes them from evidence). Draws that are not finite are left out; a model without finite draws for
    a patient weighs nothing there.
    """
    means, within, noise = [], [], []
    for draws, residual in zip(predictions, residuals, strict=True):
        finite = np.isfinite(draws)
        count = finite.sum(axis=-2)
        kept = np.where(finite, draws, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = fold(kept) / count
            away = np.where(finite, kept - np.expand_dims(mean, -2), 0.0)
            means.append(mean)
            within.append(fold(np.square(away)) / np.maximum(count - 1, 1))
            noise.append(residual.additive**2 + residual.proportional**2 * fold(np.square(kept)) / count)
    stack = np.array(means)
    share = np.ones(len(means)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(share) != len(means) or (share < 0.0).any():
        detail = {"en": "one weight for each model, none negative", "fr": "un poids par modèle, aucun négatif"}
        raise BadDistribution(symbol="weights", detail=detail)
    share = share.reshape(len(means), *[1] * (stack.ndim - share.ndim), *share.shape[1:])
    share = np.where(np.isfinite(stack), share, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = share / share.sum(axis=0)

    def average(parts: Sequence[Array]) -> Array:
        return sum((np.where(w > 0.0, w * part, 0.0 * w) for w, part in zip(share, parts, strict=True)), np.zeros(1))

    mean = average(means)
    model = average([np.square(part - mean) for part in means])
    return Decomposition(mean, average(within), average(noise), model, share)


def weigh(log_evidence: Array, prior: npt.ArrayLike | None = None) -> Array:
    """Return the probabilities (models, …) of models with these log-evidences (models, …), by Bayes' rule.

    prior: their probabilities before the data (models,), by default equal. -BIC/2 is an approximate log-evidence
    (Kass & Raftery, J Am Stat Assoc 1995;90:773). A model whose evidence is NaN weighs nothing; NaN where all are.

    >>> weigh(np.log(np.array([3.0, 1.0]))).round(12).tolist()
    [0.75, 0.25]
    """
    start = np.zeros(len(log_evidence)) if prior is None else np.log(np.asarray(prior, dtype=np.float64))
    score = log_evidence + start.reshape(-1, *[1] * (log_evidence.ndim - 1))
    score = np.where(np.isnan(score), -np.inf, score)
    with np.errstate(invalid="ignore"):
        likely = np.exp(score - score.max(axis=0))
        found: Array = likely / likely.sum(axis=0)
    return found


def perturb(predicted: Array, residual: Residual, patients: Sequence[str], seed: int) -> Array:
    """Return predictions (…, draws, patients) with residual error added: draws of new observations.

    A patient's errors depend on its key and the seed only.
    """
    noise = np.empty(predicted.shape)
    for at, key in enumerate(patients):
        noise[..., at] = generator(seed, key, 1).standard_normal(predicted.shape[:-1])
    found: Array = predicted + np.hypot(residual.additive, residual.proportional * predicted) * noise
    return found


def simulate(
    predict: Predict,
    design: Observations,
    priors: Priors,
    residuals: Iterable[Residual],
    *,
    seed: int,
    limits: Mapping[str, float] | None = None,
) -> tuple[Array, Observations]:
    """Return parameters (p, patients) drawn from the prior, and `design` with values simulated from them.

    limits: of quantification by variable; a value below is censored at it. Raises `UnknownVariable` where a residual
    is missing.
    """
    additive, proportional = residual_parts(design.variables, residuals)
    p, count = len(priors.symbols), len(design.patients)
    noise, errors = np.empty((p, count)), np.empty(design.value.shape)
    for at, key in enumerate(design.patients):
        rng = generator(seed, key, 2)
        noise[:, at] = rng.standard_normal(p)
        errors[:, at] = rng.standard_normal(len(errors))
    root = np.linalg.cholesky(priors.covariance)
    eta = priors.mean[:, np.newaxis] + sum(root[:, column, np.newaxis] * noise[column] for column in range(p))
    theta = priors.natural(eta)
    predicted = predict(theta, np.arange(count))
    sd = np.hypot(additive[design.variable], proportional[design.variable] * predicted)
    value = np.where(design.present, predicted + sd * errors, 0.0)
    floor = np.array([(limits or {}).get(symbol, -np.inf) for symbol in design.variables])[design.variable]
    censored = design.present & (value < floor)
    return theta, replace(design, value=np.where(censored, floor, value), censored=censored)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Ranks of the truth among posterior draws: `ranks` (p, patients) from 0 to `draws`, and how uniform they are.

    counts (p, bins) with `expected` (bins,); chi_square and p_value (p,): a small p-value says that the posterior is
    wrong; failed: the number of patients without a posterior, who are left out.
    """

    ranks: Counts
    draws: int
    counts: Counts
    expected: Array
    chi_square: Array
    p_value: Array
    failed: int

    def coverage(self, level: float) -> Array:
        """Return how often (p,) the truth lies in the central interval that should hold it with the probability
        `level`.
        """
        cut = 0.5 * (1.0 - level) * (self.draws + 1)
        inside = (self.ranks + 0.5 > cut) & (self.ranks + 0.5 < self.draws + 1 - cut)
        found: Array = inside.mean(axis=1)
        return found


def calibrate(truth: Array, draws: Array, bins: int = 20) -> Calibration:
    """Return the ranks of `truth` (p, patients) among `draws` (p, draws, patients) and a chi-square test that they
    are uniform.

    Each patient is one replication of `simulate` and a fit. Neighbouring ranks share a bin; there are fewer bins than
    asked for where a bin would expect less than five patients. Draws should be independent (thin a chain).

    Raises `EmptyCohort` where no patient has a posterior.
    """
    fine = np.isfinite(draws).all(axis=(0, 1)) & np.isfinite(truth).all(axis=0)
    count, total = draws.shape[1], int(fine.sum())
    if not total:
        raise EmptyCohort()
    kept, goal = draws[:, :, fine], truth[:, np.newaxis, fine]
    ranks = (kept < goal).sum(axis=1) + (kept == goal).sum(axis=1) // 2
    bins = max(2, min(bins, count + 1, int(total / _EXPECTED)))
    edges = np.round(np.linspace(0, count + 1, bins + 1)).astype(np.int64)
    expected = total * np.diff(edges) / (count + 1)
    counts = np.array([np.histogram(row, edges - 0.5)[0] for row in ranks])
    chi_square = (np.square(counts - expected) / expected).sum(axis=1)
    p_value = np.array([gamma_tail(0.5 * (bins - 1), 0.5 * value) for value in chi_square.tolist()])
    return Calibration(ranks, count, counts, expected, chi_square, p_value, int((~fine).sum()))
