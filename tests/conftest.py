"""What tests share: the real dataset, built once from the repository's files, and a real server on it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pepr_kg.build import Built, build
from pepr_kg.store import Dataset, View

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material that lies beside the checkout (or where PEPR_KG_SHARED says)."""
    folder = Path(os.environ.get("PEPR_KG_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the reference material is not at {folder}: set PEPR_KG_SHARED")
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Built]:
    dataset = Dataset(tmp_path_factory.mktemp("dataset") / "data")
    return dataset, build(dataset)


@pytest.fixture(scope="session")
def dataset(built: tuple[Dataset, Built]) -> Dataset:
    return built[0]


@pytest.fixture(scope="session")
def view(built: tuple[Dataset, Built]) -> View:
    return built[1].view


@pytest.fixture(scope="session")
def server(dataset: Dataset) -> Iterator[str]:
    """The address of a running `pepr-kg serve` on the dataset."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "pepr_kg", "serve", "--port", str(port), "--data", str(dataset.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
            break
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                output = process.stdout.read().decode() if process.stdout else ""
                pytest.fail(f"the server did not come up:\n{output}")
            time.sleep(0.05)
    yield address
    process.terminate()
    process.wait(timeout=10)
