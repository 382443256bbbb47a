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

from pepr_kg.resources import ontology_dir
from pepr_kg.twin.cohort import Cohort, read_cohort
from pepr_kg.twin.errors import TwinError, UnknownModel, suggest
from pepr_kg.twin.evaluate import Dose, evaluate
from pepr_kg.twin.model import Model
from pepr_kg.twin.result import Failure, Result
from pepr_kg.twin.sbml import read_model
from pepr_kg.twin.scenario import Intervention, Scenario
from pepr_kg.twin.status import Status

__all__ = ["Cohort", "Dose", "Failure", "Intervention", "Model", "Result", "Scenario", "Status", "TwinError", "builtin_models",
           "evaluate", "load_model", "read_cohort"]  # fmt: skip


def builtin_models() -> tuple[str, ...]:
    """Return the names of the models that come with the project.

    >>> "theophylline" in builtin_models()
    True
    """
    return tuple(sorted(path.stem for path in (ontology_dir() / "models").glob("*.xml")))


def load_model(name: str | Path) -> Model:
    """Return a built-in model by its name, or the model of an SBML file by its path.

    Raises `UnknownModel` where there is neither, `ModelUnreadable`, `ModelUnsupported` and `ModelInvalid` as
    `assembly.read_model` does.
    """
    if isinstance(name, str) and name in builtin_models():
        return read_model(ontology_dir() / "models" / f"{name}.xml", name=name)
    path = Path(name)
    if not path.is_file():
        raise UnknownModel(name=str(name), known=suggest(str(name), builtin_models(), 20))
    return read_model(path)
