"""One call from observations to the parameters of each patient, with the model's own priors and errors.

>>> import numpy as np
>>> from pepr_kg.twin import evaluate, load_model
>>> from pepr_kg.twin.estimation.observations import Observation
>>> model = load_model("theophylline")
>>> seen = [Observation("p", 2.0, "conc", 9.0), Observation("p", 12.0, "conc", 5.0)]
>>> found = fit(model, Observations.from_rows(seen), inputs={"dose_mg_per_kg": 4.0})
>>> later = evaluate(model, patients=found, times=[24.0], outputs=["conc"], samples=100, seed=7)
>>> later.band("conc", [0.5]).ravel().round(1).tolist()
[1.5]

Which of several models is right is a third source of uncertainty, beside the parameters and the error of a
measurement. Here the slow elimination is either that of the file or 15 % faster:

>>> from pepr_kg.twin.builtin import builtin
>>> from pepr_kg.twin.estimation.uncertainty import decompose, weigh
>>> residual, = builtin("theophylline").residuals(model)
>>> inputs = [{"dose_mg_per_kg": 4.0, "lke": lke} for lke in (-2.459, -2.459 + np.log(1.15))]
>>> fits = [fit(model, Observations.from_rows(seen), inputs=given) for given in inputs]
>>> draws = [
...     evaluate(model, patients=one, times=[24.0], outputs=["conc"], samples=400, seed=7).values("conc")[:, 0, :, 0].T
...     for one in fits
... ]
>>> parts = decompose(draws, [residual, residual], weigh(np.array([one.log_evidence for one in fits])))
>>> parts.parameter.shape, bool(parts.model[0] > 0), bool(parts.residual[0] > parts.model[0])
((1,), True, True)
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pepr_kg.twin.builtin import meaning_of, residuals_of
from pepr_kg.twin.cohort import Cohort, Given
from pepr_kg.twin.errors import MissingDistribution
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import Fit, individualise
from pepr_kg.twin.estimation.marquardt import Descent
from pepr_kg.twin.estimation.observations import Observations, Residual
from pepr_kg.twin.estimation.predictor import predictor, symbol_of
from pepr_kg.twin.estimation.priors import Priors
from pepr_kg.twin.estimation.variation import known_priors
from pepr_kg.twin.interventions import Dose
from pepr_kg.twin.model import Model

_NO_PRIORS = {
    "en": "how its individual parameters vary: give priors, for instance Priors.of(Prior(…), …)",
    "fr": "comment varient ses paramètres individuels : donnez priors, par exemple Priors.of(Prior(…), …)",
}
_NO_RESIDUALS = {
    "en": "how far measurements lie from the truth: give residuals, for instance [Residual(…)]",
    "fr": "à quelle distance de la vérité sont les mesures : donnez residuals, par exemple [Residual(…)]",
}


def fit(
    model: Model,
    observations: Observations,
    *,
    inputs: Mapping[str, Given] | Cohort | None = None,
    doses: Iterable[Dose] = (),
    priors: Priors | None = None,
    residuals: Iterable[Residual] | None = None,
    means: Array | None = None,
    start: float = 0.0,
    rtol: float = 1e-8,
    method: str | None = None,
    exact: bool = False,
    restarts: int = 4,
    rules: Descent | None = None,
    lanes: int | None = None,
) -> Fit:
    """Return the posterior of every patient's parameters: what `evaluate` takes as its `patients`.

    The parameters are those of `priors`, by default of the built-in model; `inputs`, `doses`, `start`, `rtol` and
    `method` as in `predictor`, `means`, `exact`, `restarts`, `rules` and `lanes` as in `individualise`. The variables
    observed, and those of `residuals`, are symbols of the model or names of its variables.

    Raises `MissingDistribution` where the model has no priors or residual errors of its own and none are given, and
    what `predictor` and `individualise` raise.
    """
    known = priors if priors is not None else known_priors(model)
    if known is None:
        raise MissingDistribution(model=model.name, detail=_NO_PRIORS)
    errors = tuple(residuals) if residuals is not None else _known_residuals(model)
    if not errors:
        raise MissingDistribution(model=model.name, detail=_NO_RESIDUALS)
    run = predictor(
        model, observations, known.symbols, inputs=inputs, doses=doses, start=start, rtol=rtol, method=method
    )
    named = replace(observations, variables=tuple(symbol_of(model, name) for name in observations.variables))
    errors = tuple(replace(error, variable=symbol_of(model, error.variable)) for error in errors)
    found = individualise(
        run, named, known, errors, means=means, jacobian=run.jacobian, exact=exact, restarts=restarts, rules=rules,
        lanes=lanes,
    )  # fmt: skip
    return replace(found, known=run.cohort.values)


def _known_residuals(model: Model) -> tuple[Residual, ...]:
    """Return the residual errors that the model's meaning gives; none where it has none."""
    meaning = meaning_of(model)
    if meaning is None or any(error.variable not in model.symbols for error in meaning.errors):
        return ()
    return residuals_of(meaning, model)
