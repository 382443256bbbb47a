"""A dataset that holds the ontology, the programme and the models; each test that changes it has a copy of its own."""

import shutil
from pathlib import Path

import pytest

from pepr_kg.build import sources
from pepr_kg.models.description import GRAPH, describe_builtin
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Dataset, NamedNode, View, parse_file

MODELS = ontology_dir() / "models"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dataset = Dataset(tmp_path_factory.mktemp("models") / "data")
    with dataset.change(who="test", source="ontology") as change:
        quads = describe_builtin()
        for graph, paths in sources().items():
            for path in paths:
                quads += parse_file(path, GRAPH if path.parent == MODELS else NamedNode(graph))
        for path in sorted(MODELS.glob("*.ttl")):
            quads += parse_file(path, GRAPH)
        change.add(quads)
        change.commit()
    return dataset


@pytest.fixture(scope="session")
def seen(made: Dataset) -> View:
    return made.view()


@pytest.fixture
def own(made: Dataset, tmp_path: Path) -> Dataset:
    """A copy of the dataset, to be changed."""
    return Dataset(shutil.copytree(made.path, tmp_path / "data"))
