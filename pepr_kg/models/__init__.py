"""Models in the graph: what their SBML says as triples, how they are found again, added and exported."""

from pepr_kg.models.addition import Added, add_model, added_quads
from pepr_kg.models.archive import Exported, export_archive, read_observations
from pepr_kg.models.description import describe, describe_builtin
from pepr_kg.models.registry import Binding, Coupled, Listed, Registered, find_model, list_models

__all__ = [
    "Added", "Binding", "Coupled", "Exported", "Listed", "Registered", "add_model", "added_quads", "describe",
    "describe_builtin", "export_archive", "find_model", "list_models",
    "read_observations",
]  # fmt: skip
