"""Evaluations that somebody waits for: each one a process of its own, its state a file of the dataset.

    queued → running → finished | failed | cancelled | interrupted → (resume) → queued

`DATASET/jobs/ID.json` holds the state and is replaced as a whole. While its process lives, the process alone writes
it; before and after, `Jobs` does. What a stopped process had computed is kept by `evaluate` and taken up by `resume`.

>>> job = Job("0f3c", {"model": "score2"})
>>> job.state, job.is_over, job.to_dict()["request"]
('queued', False, {'model': 'score2'})
"""

import contextlib
import fcntl
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import find_model
from pepr_kg.runs.errors import RunError
from pepr_kg.runs.evaluation import find_run
from pepr_kg.runs.gathering import find_entities
from pepr_kg.runs.request import Request
from pepr_kg.runs.request_json import write_request
from pepr_kg.runs.results import Run
from pepr_kg.runs.storage import RUNS
from pepr_kg.settings import ENVIRONMENT_PREFIX, Settings
from pepr_kg.store import Dataset, View

logger = logging.getLogger(__name__)

JOBS: Final = "jobs"  # folder of the dataset
QUEUED, RUNNING, FINISHED, FAILED = "queued", "running", "finished", "failed"
CANCELLED, INTERRUPTED = "cancelled", "interrupted"
OVER: Final = frozenset({FINISHED, FAILED, CANCELLED, INTERRUPTED})
RESUMABLE: Final = frozenset({CANCELLED, INTERRUPTED, FAILED})

_ID: Final = re.compile(r"[0-9a-f]{16}")
_GRACE_SECONDS: Final = 2.0  # that a process has to stop by itself
_QUICK: Final = 5_000  # patients whose observations are followed at once, to see whether the answer is there already
_KEPT: Final = 1_000  # jobs that are over, of which the oldest are forgotten
_SLACK: Final = 100  # that may be over before they are counted again
# How a job stands, as a word in a sentence.
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    QUEUED: {"en": "waiting", "fr": "en attente"},
    RUNNING: {"en": "running", "fr": "en cours"},
    FINISHED: {"en": "finished", "fr": "terminée"},
}


class JobError(RunError):
    """Something is wrong with a job."""

    code, http_status = "job-error", 409
    titles = {"en": "Job not possible", "fr": "Tâche impossible"}


class UnknownJob(JobError, LookupError):
    """No job has this identifier. Field: job."""

    code, http_status = "unknown-job", 404
    titles = {"en": "Unknown job", "fr": "Tâche inconnue"}
    sentences = {
        "en": "There is no job {job}. The addresses of those that are known stand at /jobs.",
        "fr": "Il n’y a pas de tâche {job}. Les adresses de celles qui existent sont à /jobs.",
    }


class JobsFull(JobError):
    """As many jobs wait as may. Field: limit."""

    code, http_status = "jobs-full", 503
    titles = {"en": "Too many evaluations", "fr": "Trop d’évaluations"}
    sentences = {
        "en": "{limit} evaluations wait already (evaluation_queue). Ask again when one of them has finished.",
        "fr": "{limit} évaluations attendent déjà (evaluation_queue). Redemandez quand l’une d’elles sera terminée.",
    }


class JobTooLarge(JobError):
    """More patients, draws, times or scenarios than one job may have. Fields: field, value, limit, setting."""

    code, http_status = "job-too-large", 422
    titles = {"en": "Evaluation too large", "fr": "Évaluation trop grande"}
    sentences = {
        "en": "{field} is {value}, and at most {limit} are allowed here ({setting}). Ask for fewer, or use the command "
        "line, which has no such bound.",
        "fr": "{field} vaut {value}, et {limit} au plus sont permis ici ({setting}). Demandez-en moins, ou passez par "
        "la ligne de commande, qui n’a pas cette limite.",
    }


class JobTimeout(JobError):
    """A job ran longer than it may. Field: seconds."""

    code, http_status = "job-timeout", 503
    titles = {"en": "Evaluation stopped", "fr": "Évaluation arrêtée"}
    sentences = {
        "en": "The evaluation took longer than {seconds:g} s (evaluation_seconds) and was stopped. What it finished is "
        "kept: resume it, or ask for less.",
        "fr": "L’évaluation a dépassé {seconds:g} s (evaluation_seconds) et a été arrêtée. Ce qu’elle a terminé est "
        "gardé : reprenez-la, ou demandez-en moins.",
    }


class JobLost(JobError):
    """The process of a job is gone without a word. Fields: job, detail."""

    code, http_status = "job-lost", 503
    titles = {"en": "Evaluation lost", "fr": "Évaluation perdue"}
    sentences = {
        "en": "The process of the job {job} ended unexpectedly (code {detail}). What it finished is kept: resume it.",
        "fr": "Le processus de la tâche {job} s’est arrêté de façon imprévue (code {detail}). Ce qu’il a terminé est "
        "gardé : reprenez-la.",
    }


class JobState(JobError):
    """A job that cannot be resumed. Fields: job, state."""

    code = "job-state"
    titles = {"en": "Job not resumable", "fr": "Reprise impossible"}
    sentences = {
        "en": "The job {job} is {state}: only one that failed, was cancelled or was interrupted can be resumed.",
        "fr": "La tâche {job} est {state} : on ne reprend qu’une tâche qui a échoué, ou qui a été annulée ou "
        "interrompue.",
    }


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation that was asked for, as it stands now.

    stage, done, total, rate: as in `Progress` (patients, patients a second); seconds_left: a guess, None where there is
    none. run: IRI of the run, reused: whether it was there already. code and messages: of the error. created, started,
    ended: ISO times (UTC). revision: counts the states.
    """

    id: str
    request: Mapping[str, Any]
    state: str = QUEUED
    stage: str = ""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    run: str | None = None
    reused: bool = False
    code: str | None = None
    messages: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    started: str | None = None
    ended: str | None = None
    revision: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self.state in OVER

    def to_dict(self) -> dict[str, Any]:
        """Return the job as JSON writes it."""
        return asdict(self)

    def failed(self, error: PeprError) -> "Job":
        """Return the job with the error that ended it."""
        said = {lang: error.message(lang) for lang in ("fr", "en")}
        return replace(self, state=FAILED, code=error.code, messages=said, ended=now(), seconds_left=None)


class Jobs:
    """The jobs of a dataset: those that wait, and the processes of those that run. Safe for threads.

    dataset: where evaluations are read and written; settings: the bounds. `close` ends the processes.
    """

    def __init__(self, settings: Settings, dataset: Dataset) -> None:
        self._settings = settings
        self._dataset = dataset
        self._folder = dataset.path / JOBS
        self._lock = threading.RLock()
        self._queue: list[str] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._cancelled: set[str] = set()
        self._closed = False
        self._since = 0  # jobs since the oldest were last forgotten
        self._recover()

    @property
    def is_closed(self) -> bool:
        """Return whether the server stops."""
        return self._closed

    def submit(self, request: Request) -> Job:
        """Return the new job, which runs or waits. Raises `JobTooLarge` and `JobsFull`."""
        check_bounds(request, self._settings)
        job = Job(secrets.token_hex(8), write_request(request), created=now())
        return self._enqueue(job)

    def get(self, name: str) -> Job:
        """Return a job as it stands; one whose process is gone with another server is interrupted.

        Raises `UnknownJob`.
        """
        job = load_job(self._folder, name)
        if job.state != RUNNING or name in self._running:
            return job
        with self._lock:
            job = load_job(self._folder, name)
            return job if job.state != RUNNING or name in self._running else self._if_lost(job)

    def list(self) -> tuple[Job, ...]:
        """Return all jobs, the latest first."""
        return tuple(reversed(_by_age(_all(self._folder))))

    def cancel(self, name: str) -> Job:
        """Return the job, which does not run any more: its process has ended. Raises `UnknownJob`."""
        with self._lock:
            job = self.get(name)
            if name in self._queue:
                self._queue.remove(name)
                return self._save(replace(job, state=CANCELLED, ended=now()))
            process, thread = self._running.get(name), self._threads.get(name)
            if process is None:
                return job
            self._cancelled.add(name)
        _stop(process)
        if thread is not None:
            thread.join()
        return self.get(name)

    def resume(self, name: str) -> Job:
        """Return the job, which waits or runs again and takes up what was finished.

        Raises `UnknownJob`, `JobState` where there is nothing to resume, `JobsFull`.
        """
        thread = self._threads.get(name)
        if thread is not None and self.get(name).is_over:
            thread.join()  # its state is written, its process about to be put away
        with self._lock:
            job = self.get(name)
            if job.state not in RESUMABLE or name in self._threads:
                raise JobState(job=name, state=_WORDS.get(job.state, _WORDS[RUNNING]))
            fresh = replace(
                job, state=QUEUED, stage="", seconds_left=None, rate=0.0, code=None, messages={}, started=None,
                ended=None,
            )  # fmt: skip
            return self._enqueue(fresh)

    def close(self) -> None:
        """End all processes; what ran is interrupted and can be resumed, what waits starts with the next server."""
        with self._lock:
            self._closed = True
            running, threads = list(self._running.values()), list(self._threads.values())
        for process in running:
            process.terminate()
        for process in running:
            _stop(process)
        for thread in threads:
            thread.join()

    def _enqueue(self, job: Job) -> Job:
        with self._lock:
            free = self._settings.evaluation_jobs - len(self._running)
            if len(self._queue) >= max(free, 0) + self._settings.evaluation_queue:
                raise JobsFull(limit=self._settings.evaluation_queue)
            self._since += 1
            if self._since > _SLACK:
                self._forget(_by_age(_all(self._folder)))
            saved = self._save(job)
            self._queue.append(job.id)
            self._start_waiting()
            return self.get(saved.id)

    def _start_waiting(self) -> None:
        """Start what waits, as far as there is room. The lock is held."""
        while not self._closed and self._queue and len(self._running) < self._settings.evaluation_jobs:
            name = self._queue.pop(0)
            with claim(self._folder, name) as handle:
                job = load_job(self._folder, name)
                if handle is None or job.state != QUEUED:
                    continue  # another server on this dataset has it, or had it
                process = self._spawn(self._save(replace(job, state=RUNNING, started=now())), handle)
            self._running[name] = process
            self._threads[name] = threading.Thread(target=self._watch, args=(name, process), daemon=True)
            self._threads[name].start()

    def _spawn(self, job: Job, handle: int) -> "subprocess.Popen[bytes]":
        arguments = [sys.executable, "-m", "pepr_kg.runs.job_process", str(self._dataset.path), job.id]
        chosen = {
            ENVIRONMENT_PREFIX + item.name.upper(): str(getattr(self._settings, item.name))
            for item in fields(self._settings)
        }
        with (self._folder / f"{job.id}.log").open("ab") as log:
            # Its input is a pipe of ours: when this server is gone, the pipe ends, and so does the process. The lock
            # goes with the process: as long as it lives, nobody else starts this job.
            return subprocess.Popen(  # noqa: S603
                arguments, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **chosen},
                pass_fds=(handle,),
            )  # fmt: skip

    def _watch(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the end of a process, and say what became of its job."""
        limit, late = self._settings.evaluation_seconds, False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
            _stop(process)
        if process.stdin is not None:
            process.stdin.close()
        for left in (self._dataset.path / RUNS).glob(f".new-*-{process.pid}-*"):
            shutil.rmtree(left, ignore_errors=True)
        with self._lock:
            job = self.get(name)
            if job.state == RUNNING:
                stopped = replace(job, ended=now(), seconds_left=None)
                if name in self._cancelled:
                    job = replace(stopped, state=CANCELLED)
                elif late:
                    job = job.failed(JobTimeout(seconds=limit))
                elif self._closed:
                    job = replace(stopped, state=INTERRUPTED)
                else:
                    logger.error("job %s ended with code %s", name, process.returncode)
                    job = job.failed(JobLost(job=name, detail=process.returncode))
                self._save(job)
            self._cancelled.discard(name)
            del self._running[name], self._threads[name]
            self._start_waiting()

    def _if_lost(self, job: Job) -> Job:
        """Return the job, interrupted if no living process holds it. The lock is held."""
        with claim(self._folder, job.id) as handle:
            if handle is None:
                return job
            current = load_job(self._folder, job.id)  # its process may have written its last word meanwhile
            if current.state != RUNNING:
                return current
            return self._save(replace(current, state=INTERRUPTED, ended=now(), seconds_left=None))

    def _forget(self, known: Sequence[Job]) -> None:
        """Take away what is kept of the oldest jobs that are over. The lock is held."""
        over = [job for job in known if job.is_over]
        for job in over[: max(len(over) - _KEPT, 0)]:
            for path in self._folder.glob(f"{job.id}.*"):
                path.unlink(missing_ok=True)
        self._since = 0

    def _recover(self) -> None:
        """Mark what another server left running, start what waited, and forget the oldest."""
        with self._lock:
            known = _by_age(_all(self._folder))
            self._forget(known)
            for job in known:
                if job.state == RUNNING:
                    self._if_lost(job)
            self._queue = [job.id for job in known if job.state == QUEUED]
            self._start_waiting()

    def _save(self, job: Job) -> Job:
        return save_job(self._folder, job)


def now() -> str:
    """Return the time (UTC) as ISO text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_bounds(request: Request, settings: Settings) -> None:
    """Raise `JobTooLarge` where a question names more entities, draws, times or scenarios than one job may have, or
    more of the last three together.
    """
    times, scenarios = request.points + len(request.at), max(len(request.scenarios), 1)
    for name, value, setting, limit in (
        ("samples", request.samples, "evaluation_samples", settings.evaluation_samples),
        ("entities", len(request.entities), "evaluation_patients", settings.evaluation_patients),
        ("points", request.points, "evaluation_points", settings.evaluation_points),
        ("points + at", times, "evaluation_points", settings.evaluation_points),
        ("scenarios", scenarios, "evaluation_scenarios", settings.evaluation_scenarios),
        ("points × samples × scenarios", times * request.samples * scenarios, "evaluation_figures",
         settings.evaluation_figures),
    ):  # fmt: skip
        if value > limit:
            raise JobTooLarge(field=name, value=value, limit=limit, setting=setting)


def find_answer(view: View, folder: Path, request: Request, settings: Settings) -> Run | None:
    """Return the run that answers a question already; None where it is not there, or too large to look at once.

    `folder` is the dataset's. Raises `JobTooLarge`, and what `find_run` raises: of a large cohort, only what concerns
    its name and the model's; the job says the rest.
    """
    check_bounds(request, settings)
    find_model(view, request.model, folder)
    patients = len(find_entities(view, request.cohort, request.entities, settings).entities)
    if patients > settings.evaluation_patients:
        raise JobTooLarge(
            field="patients", value=patients, limit=settings.evaluation_patients, setting="evaluation_patients"
        )
    return find_run(view, folder, request, settings) if patients <= _QUICK else None


@contextlib.contextmanager
def claim(folder: Path, name: str) -> Iterator[int | None]:
    """Give the descriptor of a job's lock, or None where a living process holds it."""
    with (folder / f"{name}.lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle.fileno()


def load_job(folder: Path, name: str) -> Job:
    """Return the job that a folder holds. Raises `UnknownJob`."""
    if _ID.fullmatch(name) is None:
        raise UnknownJob(job=name)
    try:
        text = (folder / f"{name}.json").read_text("utf-8")
    except FileNotFoundError as error:  # there never was one, or it was forgotten just now
        raise UnknownJob(job=name) from error
    return Job(**json.loads(text))


def save_job(folder: Path, job: Job) -> Job:
    """Return the job with its next revision, which the folder now holds; readers see the old or the new one."""
    job = replace(job, revision=job.revision + 1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{job.id}-{os.getpid()}-{threading.get_ident()}"
    path.write_text(json.dumps(job.to_dict(), ensure_ascii=False), "utf-8")
    path.replace(folder / f"{job.id}.json")
    return job


def _by_age(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job.created, job.id))


def _all(folder: Path) -> Iterator[Job]:
    for path in folder.glob("*.json"):
        with contextlib.suppress(UnknownJob):
            yield load_job(folder, path.stem)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to stop, and end it where it does not."""
    process.terminate()
    end = time.monotonic() + _GRACE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
