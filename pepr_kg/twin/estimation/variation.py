"""Draws of what nobody gave: parameters of patients who were not observed vary as they do in the population.

A patient's draws depend on its key and the seed only, the first k of n are the draws of k.

>>> from pepr_kg.twin import load_model, read_cohort
>>> model = load_model("warfarin-pkpd")
>>> drawn = vary(model, read_cohort(model, {"CL": [0.1, 0.2]}), samples=4, seed=7)
>>> sorted(drawn), drawn["V"].shape
(['E0', 'EC50', 'Emax', 'V', 'ka', 'kout', 'ktr'], (2, 4))
"""

from collections.abc import Mapping

import numpy as np

from pepr_kg.twin.builtin import meaning_of, priors_of
from pepr_kg.twin.cohort import Cohort
from pepr_kg.twin.errors import BadValue, UnknownSymbol, suggest
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.priors import Priors
from pepr_kg.twin.estimation.sampling import generator
from pepr_kg.twin.model import Model

_USE = 3  # of a patient's random numbers, apart from those of draws, errors and simulations


def known_priors(model: Model) -> Priors | None:
    """Return how the individual parameters of a model vary, by its meaning; None where that is not known."""
    meaning = meaning_of(model)
    if meaning is None or not meaning.effects or any(item.symbol not in model.symbols for item in meaning.effects):
        return None
    return priors_of(meaning, model)


def vary(model: Model, cohort: Cohort, *, samples: int, seed: int, spread: Priors | None = None) -> dict[str, Array]:
    """Return draws by symbol, each (patients, samples): what `evaluate` takes as `draws`.

    Without a `spread`, the parameters that the cohort does not give vary as the model's meaning says of its population,
    given those that are given, which stay as they are. With a `spread`, its parameters vary: around the value that the
    cohort gives, else around the mean of the spread.

    Raises `UnknownSymbol` for a symbol of the spread that the model does not have, and `BadValue` without a spread for
    a model of which nobody knows how its parameters vary.
    """
    priors = spread if spread is not None else known_priors(model)
    if priors is None and len(model.events) > 1:
        return {}  # samples of the order in which events of one instant go
    if priors is None:
        detail = {
            "en": "nothing says how the parameters vary: give `spread`, `draws`, or a Fit as the patients",
            "fr": "rien ne dit comment les paramètres varient : donnez `spread`, `draws`, ou un Fit pour les patients",
        }
        raise BadValue(model=model.name, symbol="samples", patient="*", value=samples, detail=detail)
    for symbol in priors.symbols:
        if symbol not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
    count = len(cohort)
    given = {name: np.broadcast_to(cohort.values[name], count) for name in priors.symbols if name in cohort.values}
    away = _away(priors, given, count)
    free = [at for at, symbol in enumerate(priors.symbols) if spread is not None or symbol not in given]
    if not free:
        return {}
    fixed = [at for at in range(len(priors.symbols)) if at not in free]
    covariance = priors.covariance[np.ix_(free, free)]
    centre = priors.mean[:, np.newaxis] + away
    if fixed:
        weight = np.linalg.solve(priors.covariance[np.ix_(fixed, fixed)], priors.covariance[np.ix_(fixed, free)])
        covariance = covariance - priors.covariance[np.ix_(free, fixed)] @ weight
        for place, at in enumerate(free):
            centre[at] = priors.mean[at] + sum(weight[row, place] * away[other] for row, other in enumerate(fixed))
    root = np.linalg.cholesky(covariance)
    noise = np.empty((len(priors.symbols), count, samples))
    for at, key in enumerate(cohort.patients):
        noise[:, at] = generator(seed, key, _USE).standard_normal((samples, len(noise))).T
    found = {}
    for row, at in enumerate(free):
        eta = centre[at][:, np.newaxis] + sum(root[row, column] * noise[free[column]] for column in range(row + 1))
        found[priors.symbols[at]] = priors.scales[at].natural(eta)
    return found


def _away(priors: Priors, given: Mapping[str, Array], count: int) -> Array:
    """Return how far the given values lie from the means, (p, patients), transformed; 0 for a value on a bound."""
    away = np.zeros((len(priors.symbols), count))
    for at, (symbol, scale) in enumerate(zip(priors.symbols, priors.scales, strict=True)):
        if symbol in given:
            distance = scale.unbounded(np.array(given[symbol], dtype=np.float64)) - priors.mean[at]
            away[at] = np.where(np.isfinite(distance), distance, 0.0)
    return away
