"""A computed run on its way into the graph, as one unit: validated first, committed whole or not at all."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pepr_kg.errors import DatasetLocked, ValidationRefused
from pepr_kg.namespaces import RUN
from pepr_kg.resources import read_query
from pepr_kg.runs.assembling import Assembled, Work, assemble
from pepr_kg.runs.checking import check_run
from pepr_kg.runs.conduct import Conduct
from pepr_kg.runs.key import Key, software
from pepr_kg.runs.preparation import Prepared, prepare
from pepr_kg.runs.reading import outcome_counts, read_run
from pepr_kg.runs.results import ASSEMBLE, VALIDATE, WRITE, Run
from pepr_kg.runs.stale import Mark
from pepr_kg.runs.storage import RUNS, Parts, on_disk
from pepr_kg.runs.turns import take_turn
from pepr_kg.store import Change, Dataset, Literal, NamedNode, View

_REPLACED: Final = {
    "en": "What it rests on was corrected, and it was computed again.",
    "fr": "Ce sur quoi elle repose a été corrigé, et le calcul a été refait.",
}


class _Sound(Exception):
    """The specimen of a run conforms."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A question whose blocks are all done: when it began, at which version of the dataset it was resolved."""

    prepared: Prepared
    parts: Parts
    started: datetime
    version: str


def known_run(view: View, folder: Path, prepared: Prepared) -> Run | None:
    """Return the run with the same key, made by this version of the program, that holds and whose files are there."""
    bound = {"key": Literal(prepared.key.digest), "software": Literal(software())}
    for row in view.select(read_query("runs/run-by-key"), bound).iter_dicts():
        facts = read_run(view, folder, row["evaluation"].value)
        if facts.trajectories.is_file() and facts.inputs.is_file():
            return Run(
                facts.id, facts.iri, facts.key, True, facts.run_status, facts.model, facts.patients, facts.evaluated,
                outcome_counts(view, facts), facts.folder, version=view.version, replaces=facts.replaces,
            )  # fmt: skip
    return None


def commit(dataset: Dataset, computed: Computed, conduct: Conduct) -> Run | None:
    """Return the run, written; the one that another process wrote meanwhile; None where its ground has changed.

    Raises `ValidationRefused`, `DatasetLocked`, and what `Dataset.change` raises.
    """
    key = computed.prepared.key
    staging = dataset.path / RUNS / f".new-{key.name}-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with on_disk(staging.parent):
            staging.mkdir(parents=True)
        return _Writing(dataset, computed, conduct, staging).run()
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Writing:
    dataset: Dataset
    computed: Computed
    conduct: Conduct
    staging: Path

    def run(self) -> Run | None:
        prepared, conduct = self.computed.prepared, self.conduct
        deadline = time.monotonic() + conduct.settings.run_wait_seconds
        seen, made = self.computed.version, None
        while True:
            view = self.dataset.view()
            if view.version != seen:  # somebody wrote: is it the same question still, and is it answered?
                again = prepare(view, self.dataset.path, prepared.request, conduct.settings)
                if again.key.digest != prepared.key.digest:
                    return None
                if (known := known_run(view, self.dataset.path, prepared)) is not None:
                    return known
                seen = view.version
            name = _name(view, prepared.key)
            if made is None or made.stated.run != name:
                made = self._assemble(view, name)
                self._look(made, deadline)
            with take_turn(self.dataset, self._who, self._source, deadline) as change:
                view = self.dataset.view()
                if view.version == seen:
                    with conduct.stage(WRITE, 0, len(prepared.inputs.evaluable)):
                        return self._commit(change, view, made)
            if time.monotonic() > deadline:
                raise DatasetLocked(path=self.dataset.path)

    @property
    def _who(self) -> str:
        return self.computed.prepared.request.who or software()

    @property
    def _source(self) -> str:
        return f"evaluate {self.computed.prepared.found.name}"

    def _assemble(self, view: View, name: str) -> Assembled:
        prepared, total = self.computed.prepared, len(self.computed.prepared.inputs.evaluable)
        with self.conduct.stage(ASSEMBLE, 0, total), on_disk(self.staging):
            shutil.rmtree(self.staging)
            self.staging.mkdir()
            specimen = sys.maxsize if self.conduct.specimen is None else self.conduct.specimen
            work = Work(view, self.dataset.path, self.computed.parts, self.staging, self.computed.started, specimen,
                        self.conduct.settings)  # fmt: skip
            return assemble(prepared, name, work)

    def _look(self, made: Assembled, deadline: float) -> None:
        """Validate the specimen of a run that is too large to be validated whole, in a change that is then dropped."""
        if not made.document.rest.stat().st_size:
            return
        sound = self._check(NamedNode(RUN + made.stated.run))

        def look(view: View) -> None:
            sound(view)
            raise _Sound

        with take_turn(self.dataset, self._who, self._source, deadline) as trial:
            trial.bulk(made.document.specimen, NamedNode(RUN + made.stated.run))
            try:
                trial.commit(look)
            except _Sound:
                return

    def _check_sets(self, graph: NamedNode, made: Assembled) -> Callable[[View], None]:
        """Check every prediction of a run whose specimen alone is validated node by node."""

        def check(view: View) -> None:
            with self.conduct.stage(VALIDATE):
                sampled = self.computed.prepared.plan.samples > 1
                report = check_run(view, graph, predictions=made.predictions, sampled=sampled)
            if not report.conforms:
                raise ValidationRefused(violations=len(report.violations), report=report)

        return check

    def _check(self, graph: NamedNode) -> Callable[[View], None]:
        def check(view: View) -> None:
            with self.conduct.stage(VALIDATE):
                report = self.conduct.validate(view, [graph])
            if not report.conforms:
                raise ValidationRefused(violations=len(report.violations), report=report)

        return check

    def _commit(self, change: Change, view: View, made: Assembled) -> Run:
        """Put a run in its place and in the graph; where that fails, nothing of it stays.

        What is stopped after the new version is in service has a run: its files stay.
        """
        stated, prepared = made.stated, self.computed.prepared
        graph, home = NamedNode(RUN + stated.run), self.dataset.path / RUNS / stated.run
        shutil.rmtree(home, ignore_errors=True)  # of a writer that was killed before its graph was there
        _sync(made.folder)
        made.folder.rename(home)
        try:
            triples = change.bulk(made.document.specimen, graph)
            whole = not made.document.rest.stat().st_size
            if not whole:
                triples += change.bulk(made.document.rest, graph)
            for run in made.superseded:
                if read_run(view, self.dataset.path, run).result_status == "current":
                    triples += Mark("superseded", _REPLACED).put(change, view, run)
            after = change.commit(self._check(graph) if whole else self._check_sets(graph, made))
        except BaseException:
            if graph not in self.dataset.view().graphs:
                shutil.rmtree(home, ignore_errors=True)
            raise
        status = "finished" if stated.evaluated else "failed"
        return Run(
            stated.run, stated.iri, prepared.key.digest, False, status, prepared.found.iri,
            len(prepared.inputs.entities), stated.evaluated, made.outcomes, home, made.predictions, triples,
            version=after.version, replaces=stated.replaces, specimen=None if whole else self.conduct.specimen,
        )  # fmt: skip


def _name(view: View, key: Key) -> str:
    """Return the first name of a key that no run has: one that does not hold any more keeps its own."""
    name, number = key.name, 1
    while NamedNode(RUN + name) in view.graphs:
        number += 1
        name = f"{key.name}-{number}"
    return name


def _sync(folder: Path) -> None:
    """Make the files of a folder survive a loss of power."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
