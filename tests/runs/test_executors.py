"""One question on one process, on several, and on a cluster with a worker that dies: the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pepr_kg.errors import MissingExtra
from pepr_kg.runs import blocks, executors
from pepr_kg.runs.errors import BadRequestField, RunCancelled, WorkersLost
from pepr_kg.runs.evaluation import Progress, Run, evaluate
from pepr_kg.runs.executors import make_executor
from pepr_kg.runs.preparation import prepare
from pepr_kg.runs.request import Request
from pepr_kg.store import Dataset, file_digest
from tests.runs.clinic import AS_OF, copied, drug

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block for each patient, so that there is something to share out."""
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)


def files_of(run: Run) -> tuple[str, str]:
    return file_digest(run.folder / "trajectories.parquet"), file_digest(run.folder / "inputs.parquet")


@dataclass
class Cluster:
    """A real scheduler and its workers, on this machine."""

    address: str
    scheduler: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny",
                   "--no-dashboard", "--host", "127.0.0.1"]  # fmt: skip
        self.workers.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    where = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
         "--scheduler-file", str(where)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not where.is_file() or not where.read_text(encoding="utf-8").strip():
        assert scheduler.poll() is None, "the scheduler did not start"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    made = Cluster(json.loads(where.read_text(encoding="utf-8"))["address"], scheduler)
    made.start()
    made.start()
    yield made
    for process in (*made.workers, made.scheduler):
        process.kill()
        process.wait()


def long_question() -> Request:
    """A few beats of a heart, for each of ten patients: enough for a worker to die in the middle."""
    people = tuple(f"patient:p{at}" for at in range(6)) + tuple(f"patient:q{at}" for at in range(4))
    return Request(
        "lv-windkessel", entities=people, as_of=AS_OF, horizon=3.0, points=50, samples=50, seed=4,
        outputs=("Pao", "Vlv"), scenarios=("base", "Rp*1.2"),
    )  # fmt: skip


def test_a_pool_gives_the_bits_of_one_process(clinic_folder: Path, tmp_path: Path) -> None:
    one, many = copied(clinic_folder, tmp_path / "one"), copied(clinic_folder, tmp_path / "many")
    question = drug(samples=30, scenarios=("base", "dose_mg_per_kg*2"))
    assert files_of(evaluate(one, question)) == files_of(evaluate(many, question, workers=2))


def test_a_process_of_the_pool_that_dies_loses_nothing(clinic_folder: Path, tmp_path: Path) -> None:
    one, many = copied(clinic_folder, tmp_path / "one"), copied(clinic_folder, tmp_path / "many")
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.stage == "compute" and 0 < progress.done < progress.total and not killed:
            killed.append(children()[-1])
            os.kill(killed[0], signal.SIGKILL)

    question = long_question()
    run = evaluate(many, question, executor="pool", workers=2, tell=kill)
    assert killed
    assert files_of(run) == files_of(evaluate(one, question))


def children() -> list[int]:
    """Return the processes of the pool: children of this one that compute."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == os.getpid() and b"spawn_main" in command:
            found.append(int(path.name))
    return sorted(found)


def test_a_cluster_gives_the_bits_of_one_process_though_a_worker_is_killed(
    cluster: Cluster, clinic_folder: Path, tmp_path: Path
) -> None:
    one, many = copied(clinic_folder, tmp_path / "one"), copied(clinic_folder, tmp_path / "many")
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.stage == "compute" and 0 < progress.done < progress.total and not killed:
            cluster.workers[0].kill()
            killed.append(progress.done)

    question = long_question()
    run = evaluate(many, question, scheduler=cluster.address, tell=kill)
    assert killed, "a worker was killed in the middle"
    assert cluster.workers[0].wait() == -signal.SIGKILL
    assert run.evaluated == 10
    assert files_of(run) == files_of(evaluate(one, question))


def test_a_cancelled_run_on_a_cluster_stops_and_keeps_what_is_done(cluster: Cluster, clinic: Dataset) -> None:
    told: list[Progress] = []
    with pytest.raises(RunCancelled):
        evaluate(
            clinic, long_question(), scheduler=cluster.address, tell=told.append,
            cancelled=lambda: bool(told) and told[-1].done >= 1,
        )  # fmt: skip
    assert list((clinic.path / "runs").glob(".parts-*/*.parquet"))


def test_who_computes_is_checked_and_named(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_executor().name == "serial"
    assert make_executor(workers=3).name == "pool"
    assert make_executor(scheduler="tcp://127.0.0.1:1").name == "dask"
    for name, workers in (("dask", 1), ("threads", 1), ("pool", 0)):
        with pytest.raises(BadRequestField):
            make_executor(name, workers)
    monkeypatch.setattr(executors, "_CONNECT", 0.5)
    with pytest.raises(WorkersLost, match=r"tcp://127\.0\.0\.1:1"):
        evaluate(clinic, drug(), scheduler="tcp://127.0.0.1:1")
    monkeypatch.setattr(executors, "import_module", absent)
    with pytest.raises(MissingExtra, match="cluster"):
        evaluate(clinic, drug(), scheduler="tcp://127.0.0.1:1")


def absent(name: str) -> object:
    raise ImportError(name)


def test_a_worker_of_another_version_is_refused(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = executors._pack
    monkeypatch.setattr(executors, "versions", lambda: ("0.0.0", "0.0"))
    other = packed(plan_of(clinic))
    monkeypatch.undo()
    with pytest.raises(WorkersLost, match=r"0\.0\.0"):
        executors._unpack(other)


def plan_of(clinic: Dataset) -> blocks.Plan:
    return prepare(clinic.view(), clinic.path, drug()).plan
