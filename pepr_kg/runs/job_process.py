"""The process of one job: `python -m pepr_kg.runs.job_process FOLDER ID`.

It evaluates, and writes how far it is into the job's file. It stops when it is told to (SIGTERM) or when its input
ends, which it does with the server that started it.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final

from pepr_kg.errors import InternalError, PeprError
from pepr_kg.runs.errors import RunCancelled
from pepr_kg.runs.evaluation import evaluate
from pepr_kg.runs.jobs import CANCELLED, FINISHED, JOBS, Job, JobTooLarge, load_job, now, save_job
from pepr_kg.runs.request_json import read_request
from pepr_kg.runs.results import Progress
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset

logger = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 0.2  # between two writings of the state within a stage


class Reporter:
    """Writes how far a job is, not more often than anyone could read."""

    def __init__(self, folder: Path, job: Job, patients: int) -> None:
        self.job = job
        self._folder = folder
        self._patients = patients
        self._said = 0.0

    def tell(self, progress: Progress) -> None:
        """Take in how far it is. Raises `JobTooLarge` where there are more patients than one job may have."""
        if progress.total > self._patients:
            raise JobTooLarge(
                field="patients", value=progress.total, limit=self._patients, setting="evaluation_patients"
            )
        moment = time.monotonic()
        if progress.stage == self.job.stage and moment - self._said < _EVERY_SECONDS and progress.done < progress.total:
            return
        self._said = moment
        left = (progress.total - progress.done) / progress.rate if progress.rate > 0 else None
        self.save(replace(
            self.job, stage=progress.stage, done=progress.done, total=progress.total or self.job.total,
            rate=round(progress.rate, 3), seconds_left=None if left is None else round(left, 1),
        ))  # fmt: skip

    def save(self, job: Job) -> None:
        """Write a state."""
        self.job = save_job(self._folder, job)


def work(folder: Path, name: str) -> int:
    """Evaluate what a job asks for, and return the exit code: 0 where its file says how it ended."""
    settings, told = Settings.from_environment(), threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the server decides
    threading.Thread(target=_end_with_server, daemon=True).start()
    reporter = Reporter(folder / JOBS, load_job(folder / JOBS, name), settings.evaluation_patients)
    try:
        run = evaluate(
            Dataset(folder), read_request(reporter.job.request),
            tell=reporter.tell, cancelled=told.is_set, settings=settings,
        )  # fmt: skip
    except RunCancelled:
        # Whether somebody cancelled it or the server stops, the server knows.
        return 1 if told.is_set() else _ended(reporter, replace(reporter.job, state=CANCELLED, ended=now()))
    except PeprError as error:
        if error.http_status == InternalError.http_status:
            logger.exception("job %s", name)
        return _ended(reporter, reporter.job.failed(error))
    return _ended(reporter, replace(
        reporter.job, state=FINISHED, run=run.iri, reused=run.reused, done=run.patients, total=run.patients,
        seconds_left=None, ended=now(),
    ))  # fmt: skip


def _ended(reporter: Reporter, job: Job) -> int:
    reporter.save(job)
    return 0


def _end_with_server() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os._exit(1)  # at once, also from the middle of a solver; what is finished is on disk


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(work(Path(sys.argv[1]), sys.argv[2]))
