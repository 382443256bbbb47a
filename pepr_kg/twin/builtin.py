"""The models that come with the project, and what SBML cannot say of them: how individuals and measurements vary.

The mathematics, the units, the bounds, the codes and the sources are in `ontology/models/NAME.xml` and nowhere else.
Here stand the between-subject spreads and the residual errors; a figure that the file holds is named by its symbol.

>>> builtin("theophylline").path.name
'theophylline.xml'
>>> [effect.symbol for effect in builtin("disease-course").effects]
['xi', 'tau_a', 's0', 's1']
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pepr_kg.resources import ontology_dir
from pepr_kg.twin.errors import UnknownModel, suggest
from pepr_kg.twin.estimation.observations import Residual
from pepr_kg.twin.estimation.priors import Prior, Priors, Transform
from pepr_kg.twin.model import Model


@dataclass(frozen=True, slots=True)
class Effect:
    """How an individual parameter varies: normal, on the scale of its transform, about the value in the file.

    The spread is `sd`, or the symbol of the parameter of the file that holds it, or `variance`, the symbol of the one
    that holds its square.
    """

    symbol: str
    sd: float | str = ""
    variance: str = ""


@dataclass(frozen=True, slots=True)
class Error:
    """How far a measurement of `variable` lies from the truth: normal, of variance additive² + (proportional · truth)².

    `additive` is a standard deviation in the unit of the variable, or the symbol of the parameter of the file that
    holds it; `variance` the symbol of the one that holds the square of the additive part.
    """

    variable: str
    additive: float | str = 0.0
    proportional: float = 0.0
    variance: str = ""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in model: `name`, `effects`, their covariances (symbol, symbol, symbol of the value), `errors`.

    `fixed` are the parameters that a fit of the population estimates besides the spreads; `source` says where the
    figures that stand here were read, or that they are ours.
    """

    name: str
    effects: tuple[Effect, ...] = ()
    covariances: tuple[tuple[str, str, str], ...] = ()
    errors: tuple[Error, ...] = ()
    fixed: tuple[str, ...] = ()
    source: str = ""

    @property
    def path(self) -> Path:
        """Return where its SBML file is."""
        return ontology_dir() / "models" / f"{self.name}.xml"

    def priors(self, model: Model) -> Priors:
        """Return the joint prior of the individual parameters, about the values in `model`, read from the file."""
        values = default_values(model)
        symbols = [effect.symbol for effect in self.effects]
        sd = [_spread(effect.sd, effect.variance, values) for effect in self.effects]
        correlation = np.eye(len(symbols))
        for first, second, holder in self.covariances:
            row, column = symbols.index(first), symbols.index(second)
            correlation[row, column] = correlation[column, row] = values[holder] / (sd[row] * sd[column])
        marginals = [_prior(model, symbol, values[symbol], spread) for symbol, spread in zip(symbols, sd, strict=True)]
        return Priors.of(*marginals, correlation=correlation)

    def residuals(self, model: Model) -> tuple[Residual, ...]:
        """Return the residual error of each variable that is measured, in its unit."""
        values = default_values(model)
        return tuple(
            Residual(error.variable, _spread(error.additive, error.variance, values), error.proportional)
            for error in self.errors
        )


def default_values(model: Model) -> Mapping[str, float]:
    """Return the values that the file gives as plain numbers, by symbol; NaN where each patient must give one."""
    return {entry.symbol: float(entry.formula.value or 0.0) for entry in model.initial if entry.formula.is_number}


def builtin(name: str) -> BuiltIn:
    """Return the built-in model of that name. Raises `UnknownModel`, which suggests the nearest names."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownModel(name=name, known=suggest(name, _BY_NAME)) from None


def _spread(given: float | str, variance: str, values: Mapping[str, float]) -> float:
    """Return a standard deviation: given as a number, by the symbol that holds it, or by that of its square."""
    if variance:
        return math.sqrt(values[variance])
    return values[given] if isinstance(given, str) else given


def _prior(model: Model, symbol: str, typical: float, sd: float) -> Prior:
    variable = model.variable(symbol)
    lower, upper = variable.bounds
    scale = Transform(variable.transform, lower, upper)
    mean = float(scale.unbounded(np.array([typical]))[0])
    if variable.transform == "identity":
        return Prior(symbol, mean, sd)
    return Prior(symbol, mean, sd, variable.transform, lower, upper)


_OUTCOMES = ("ecog_subject", "ecog_study_partner", "MMSE", "RAVLT", "FAQ", "FDG_PET", "hippocampus_volume_ratio")
_OURS = "ours: spreads as they are usual for such parameters, errors as they are usual for such measurements"

MODELS: tuple[BuiltIn, ...] = (
    BuiltIn(
        "theophylline",
        effects=(Effect("b_lCl", variance="omega_cl2"), Effect("b_lka", variance="omega_ka2")),
        covariances=(("b_lCl", "b_lka", "omega_cl_ka"),),
        errors=(Error("conc", variance="sigma2"),),
        fixed=("lCl", "lka", "lke"),
        source="the file",
    ),
    BuiltIn(
        "pk2-oral",
        effects=(Effect("CL", 0.3), Effect("V1", 0.25), Effect("Q", 0.3), Effect("V2", 0.3), Effect("ka", 0.5)),
        errors=(Error("conc_central", additive=0.05, proportional=0.1),),
        source=_OURS,
    ),
    BuiltIn(
        "warfarin-pkpd",
        effects=(
            Effect("ktr", 1.05), Effect("ka", 0.906), Effect("CL", 0.281), Effect("V", 0.229),
            Effect("Emax", 0.509), Effect("EC50", 0.519), Effect("kout", 0.127), Effect("E0", 0.0708),
        ),
        errors=(Error("conc", additive=0.144, proportional=0.15), Error("pca", additive=3.91)),
        source="fit by nlmixr, quoted in the tests of posologyr (test_multi_outputs.R), read as standard deviations",
    ),
    BuiltIn(
        "lv-windkessel",
        effects=(Effect("Emax", 0.3), Effect("Emin", 0.3), Effect("Rp", 0.25), Effect("C", 0.3), Effect("SBV", 0.15)),
        errors=(Error("Vlv", additive=5.0), Error("Pao", additive=3.0)),
        source=_OURS,
    ),
    BuiltIn("lv-remodelling"),
    BuiltIn("phases"),
    BuiltIn("cha2ds2-vasc"),
    BuiltIn("score2"),
    BuiltIn("ckd-epi-2021"),
    BuiltIn(
        "disease-course",
        effects=(Effect("xi", "xi_sd"), Effect("tau_a", "tau_sd"), Effect("s0", 1.0), Effect("s1", 1.0)),
        errors=tuple(Error(outcome, additive=f"sd_{outcome}") for outcome in _OUTCOMES),
        source="the file; the sources s0 and s1 are standard normal by the model's definition",
    ),
    BuiltIn("hodgkin-huxley"),
    BuiltIn("two-scale-linear"),
    BuiltIn("two-scale-fast"),
    BuiltIn("two-scale-slow"),
)  # fmt: skip
_BY_NAME = {model.name: model for model in MODELS}
