"""The twin evaluator: models as files of a standard, thousands of patients as lanes of NumPy.

>>> from pepr_kg.twin import Scenario, evaluate, load_model
>>> result = evaluate(
...     load_model("warfarin-pkpd"),
...     patients={"CL": [0.10, 0.1313, 0.17]},
...     scenarios=[Scenario.base(), Scenario.scale("dose", 0.5)],
...     times=[0.0, 24.0, 48.0],
...     outputs=["pca"],
... )
>>> result.values("pca").shape  # patients, scenarios, samples, times
(3, 2, 1, 3)
>>> result.notice("en")
'For research, not medical advice.'
"""

from pathlib import Path

from pepr_kg.twin.builtin import builtin, builtin_models, load_builtin
from pepr_kg.twin.cohort import Cohort, read_cohort
from pepr_kg.twin.compiler.analysis import form
from pepr_kg.twin.coupling.couple import Conserved, CoupledResult, Leaping, Link, Relaxed, couple
from pepr_kg.twin.errors import TwinError, UnknownModel, suggest
from pepr_kg.twin.estimation.fitting import fit
from pepr_kg.twin.estimation.individualise import Fit, individualise
from pepr_kg.twin.estimation.observations import Observation, Observations, Residual
from pepr_kg.twin.estimation.particles import Cloud, assimilate, scatter
from pepr_kg.twin.estimation.population import Effect, PopulationFit, fit_population
from pepr_kg.twin.estimation.predictor import predictor
from pepr_kg.twin.estimation.priors import Prior, Priors
from pepr_kg.twin.estimation.tracking import track
from pepr_kg.twin.estimation.uncertainty import bands, calibrate, decompose, perturb, simulate, weigh
from pepr_kg.twin.evaluate import evaluate
from pepr_kg.twin.interventions import Dose
from pepr_kg.twin.model import Model
from pepr_kg.twin.result import Failure, Result
from pepr_kg.twin.sbml.reading import read_model
from pepr_kg.twin.scenario import Intervention, Scenario
from pepr_kg.twin.status import Status
from pepr_kg.twin.summary import find_spikes, summarise_beat

__all__ = [
    "Cloud", "Cohort", "Conserved", "CoupledResult", "Dose", "Effect", "Failure", "Fit", "Intervention", "Leaping",
    "Link", "Model", "Observation", "Observations", "PopulationFit", "Prior", "Priors", "Relaxed", "Residual",
    "Result", "Scenario", "Status", "TwinError", "assimilate", "bands", "builtin", "builtin_models", "calibrate",
    "couple", "decompose", "evaluate", "find_spikes", "fit", "fit_population", "form", "individualise",
    "load_model", "perturb", "predictor", "read_cohort", "scatter", "simulate", "summarise_beat", "track", "weigh",
]  # fmt: skip


def load_model(name: str | Path) -> Model:
    """Return a built-in model by its name, or the model of an SBML file by its path, each with its meaning: the Turtle
    file of the same name beside it, where there is one.

    Raises `UnknownModel` where there is neither, `ModelUnreadable` where the file is not SBML, `ModelUnsupported` where
    it needs what is not evaluated here, `ModelInvalid` where it contradicts itself.
    """
    if isinstance(name, str) and name in builtin_models():
        return load_builtin(name)
    path = Path(name)
    if not path.is_file():
        raise UnknownModel(name=str(name), known=suggest(str(name), builtin_models(), 20))
    return read_model(path)
