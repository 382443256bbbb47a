"""What the tests of runs share: a dataset with models and patients, made once and copied for each test."""

from pathlib import Path

import pytest

from pepr_kg.store import Dataset
from tests.runs.clinic import copied, models


@pytest.fixture(scope="session")
def clinic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("clinic"))


@pytest.fixture
def clinic(clinic_folder: Path, tmp_path: Path) -> Dataset:
    return copied(clinic_folder, tmp_path)
