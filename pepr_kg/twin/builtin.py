"""The models that come with the project, and how the individuals and the measurements of a model vary.

The mathematics, the units and the default values are in `ontology/models/NAME.xml`, all that SBML cannot say in
`ontology/models/NAME.ttl` (see `meaning`), and nothing of either stands here.

>>> builtin("theophylline").path.name
'theophylline.xml'
>>> [effect.symbol for effect in builtin("disease-course").effects]
['s0', 's1', 'tau_a', 'xi']
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pepr_kg.resources import ontology_dir
from pepr_kg.twin.errors import BadDistribution, UnknownModel, suggest
from pepr_kg.twin.estimation.observations import Residual
from pepr_kg.twin.estimation.priors import Prior, Priors
from pepr_kg.twin.expression import total_symbols
from pepr_kg.twin.meaning import Effect, Error, Meaning, meaning_beside, read_meaning_file
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model

_NORMAL, _POINT = "normal", "point"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in model by its `name`: where its files are, and what its meaning says of how its parameters vary."""

    name: str

    @property
    def path(self) -> Path:
        """Return where its SBML file is."""
        return ontology_dir() / "models" / f"{self.name}.xml"

    @property
    def meaning(self) -> Meaning:
        """Return what the Turtle beside the SBML file says."""
        return read_meaning_file(self.path.with_suffix(".ttl"))

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Return how individual parameters vary, in the order of their symbols."""
        return self.meaning.effects

    @property
    def errors(self) -> tuple[Error, ...]:
        """Return how far measurements lie from the truth, in the order of their symbols."""
        return self.meaning.errors

    @property
    def fixed(self) -> tuple[str, ...]:
        """Return the parameters that a fit of the population estimates besides the spreads: those of the population
        that the equations read; none where no parameter varies.
        """
        if not self.effects:
            return ()
        model, individual = load_builtin(self.name), {effect.symbol for effect in self.effects}
        used = total_symbols([*model.rates, *(item.formula for item in model.assignments)])
        return tuple(
            item.symbol
            for item in model.parameters
            if item.symbol in used - individual
            and model.variable(item.symbol).kind == "parameter"
            and not model.variable(item.symbol).direction
        )

    def priors(self, model: Model) -> Priors:
        """Return the joint prior of the individual parameters, on the scales that `model` has for them."""
        return priors_of(self.meaning, model)

    def residuals(self, model: Model) -> tuple[Residual, ...]:
        """Return the residual error of each variable that is measured, in its unit."""
        return residuals_of(self.meaning, model)


def builtin_models() -> tuple[str, ...]:
    """Return the names of the models that come with the project.

    >>> "theophylline" in builtin_models()
    True
    """
    return _names(ontology_dir() / "models")


@lru_cache(maxsize=4)
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.xml")))


def builtin(name: str) -> BuiltIn:
    """Return the built-in model of that name. Raises `UnknownModel`, which suggests the nearest names."""
    if name not in builtin_models():
        raise UnknownModel(name=name, known=suggest(name, builtin_models()))
    return BuiltIn(name)


def load_builtin(name: str) -> Model:
    """Return a built-in model with its meaning; read once as long as its two files stay. Raises `UnknownModel`."""
    path = builtin(name).path
    stamps = tuple((item.stat().st_mtime_ns, item.stat().st_size) for item in (path, path.with_suffix(".ttl")))
    return _load(path, name, stamps)


@lru_cache(maxsize=64)
def _load(path: Path, name: str, _stamps: tuple[tuple[int, int], ...]) -> Model:
    return read_model(path, name=name)


def meaning_of(model: Model) -> Meaning | None:
    """Return the meaning of a model: of the Turtle beside its file, else of the built-in model of its name."""
    beside = meaning_beside(model.source) if model.source else None
    if beside is not None:
        return read_meaning_file(beside)
    return builtin(model.name).meaning if model.name in builtin_models() else None


def priors_of(meaning: Meaning, model: Model) -> Priors:
    """Return the joint prior of the individual parameters, in the order of the model's symbols; parameters that are
    taken as known (a point) have none.

    Raises `BadDistribution` for a prior that is neither normal nor a point, and for a correlation of a parameter that
    has no normal prior.
    """
    place = {symbol: at for at, symbol in enumerate(model.symbols)}
    effects = sorted((effect for effect in meaning.effects if effect.family != _POINT), key=lambda e: place[e.symbol])
    for effect in effects:
        if effect.family != _NORMAL:
            raise BadDistribution(symbol=effect.symbol, detail={
                "en": f'its prior is of the family "{effect.family}"; only normal ones are estimated and drawn',
                "fr": f"sa loi a priori est de la famille « {effect.family} » ; seules les lois normales sont estimées "
                      "et tirées"})  # fmt: skip
    symbols = [effect.symbol for effect in effects]
    correlation = np.eye(len(symbols))
    for first, second, coefficient in meaning.correlations:
        for symbol in (first, second):
            if symbol not in symbols:
                raise BadDistribution(symbol=symbol, detail={
                    "en": "a correlation names it, but it has no normal prior",
                    "fr": "une corrélation la nomme, mais elle n’a pas de loi a priori normale"})  # fmt: skip
        row, column = symbols.index(first), symbols.index(second)
        correlation[row, column] = correlation[column, row] = coefficient
    return Priors.of(*(_prior(model, effect) for effect in effects), correlation=correlation)


def _prior(model: Model, effect: Effect) -> Prior:
    variable = model.variable(effect.symbol)
    if variable.transform == "identity":
        return Prior(effect.symbol, effect.mean, effect.sd)
    return Prior(effect.symbol, effect.mean, effect.sd, variable.transform, *variable.bounds)


def residuals_of(meaning: Meaning, model: Model) -> tuple[Residual, ...]:
    """Return the residual error of each variable that is measured, in the order of the model's symbols.

    Raises `BadDistribution` for an error that is added on a transformed scale, which is not evaluated.
    """
    place = {symbol: at for at, symbol in enumerate(model.symbols)}
    for error in meaning.errors:
        if error.transform != "identity":
            raise BadDistribution(symbol=error.variable, detail={
                "en": f"its error is added on the scale {error.transform}; give it as a proportional part",
                "fr": f"son erreur s’ajoute sur l’échelle {error.transform} ; donnez-la comme part proportionnelle",
            })  # fmt: skip
    return tuple(
        Residual(error.variable, error.additive, error.proportional)
        for error in sorted(meaning.errors, key=lambda error: place[error.variable])
    )


def default_values(model: Model) -> Mapping[str, float]:
    """Return the values that the file gives as plain numbers, by symbol; NaN where each patient must give one."""
    return {entry.symbol: float(entry.formula.value or 0.0) for entry in model.initial if entry.formula.is_number}
