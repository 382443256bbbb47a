"""What the tests of the intake share: a dataset with ontology, shapes and models, made once."""

from pathlib import Path

import pytest

from tests.fhir.ground import make_ground


@pytest.fixture(scope="session")
def clinic_ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset that nobody may change."""
    return make_ground(tmp_path_factory.mktemp("clinic") / "data")
