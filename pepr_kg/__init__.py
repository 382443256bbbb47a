"""The knowledge graph of the PEPR Santé Numérique and of its patient digital twins.

What a user may import:

>>> from pepr_kg import Dataset, View, Change, Settings, __version__
"""

from pepr_kg.settings import Settings
from pepr_kg.store import Change, Dataset, View

__version__ = "0.1.0"

__all__ = ["Change", "Dataset", "Settings", "View", "__version__"]
