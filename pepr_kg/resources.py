"""Where `ontology/`, `shapes/` and `queries/` are: beside the package in a checkout, inside it in a wheel.

>>> (ontology_dir() / "pepr.ttl").is_file()
True
"""

from functools import cache
from pathlib import Path

from pepr_kg.errors import ResourceMissing

_PACKAGE = Path(__file__).resolve().parent


def ontology_dir() -> Path:
    """Return the folder of the ontology's Turtle files."""
    return _folder("ontology")


def shapes_dir() -> Path:
    """Return the folder of the SHACL shapes."""
    return _folder("shapes")


def queries_dir() -> Path:
    """Return the folder of the `.rq` files."""
    return _folder("queries")


@cache
def read_query(name: str) -> str:
    """Return the text of `queries/NAME.rq`, for instance `pages/entity-facts`. Raises `ResourceMissing`."""
    path = queries_dir() / f"{name}.rq"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ResourceMissing(name=f"queries/{name}.rq") from error


def _folder(name: str) -> Path:
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise ResourceMissing(name=name)
