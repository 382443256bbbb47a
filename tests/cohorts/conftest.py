"""A dataset with the program's own graphs, assembled from its files without the validation of a build."""

import shutil
from pathlib import Path

import pytest

from pepr_kg.models.description import describe_builtin
from pepr_kg.namespaces import MODELS_GRAPH, ONTOLOGY_GRAPH, PROGRAMME_GRAPH, SHAPES_GRAPH
from pepr_kg.resources import ontology_dir, shapes_dir
from pepr_kg.store import Dataset, NamedNode, Quad, parse_file

GRAPHS = {"facts": PROGRAMME_GRAPH, "models": MODELS_GRAPH}


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset that nobody may change."""
    dataset = Dataset(tmp_path_factory.mktemp("ground") / "data")
    quads: list[Quad] = [*describe_builtin()]
    for path in sorted(ontology_dir().rglob("*.ttl")):
        if path.parent.name != "cohorts":
            quads += parse_file(path, NamedNode(GRAPHS.get(path.parent.name, ONTOLOGY_GRAPH)))
    for path in sorted(shapes_dir().glob("*.ttl")):
        quads += parse_file(path, NamedNode(SHAPES_GRAPH))
    with dataset.change(who="test", source="test") as change:
        change.add(quads)
        change.commit()
    return dataset.path


@pytest.fixture
def dataset_copy(ground: Path, tmp_path: Path) -> Dataset:
    """A dataset that the test may change."""
    shutil.copytree(ground, tmp_path / "copy")
    return Dataset(tmp_path / "copy")
