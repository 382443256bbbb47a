"""From a question to a run: predictions in the graph that say where they come from, and arrays beside it.

    find the model → follow the bindings → (fit) → compute in blocks → assemble → validate → commit

Computing happens outside the writer's lock. A run that exists is reused, and that is said; one that was cancelled
leaves nothing in the graph and is taken up where it stopped; one whose ground changed while it was computed is
computed again.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from pepr_kg.language import LANGUAGES
from pepr_kg.runs.blocks import compute
from pepr_kg.runs.committing import Computed, commit, known_run
from pepr_kg.runs.conduct import SPECIMEN, Conduct, Validate, never, silent
from pepr_kg.runs.errors import InputsChanging, RunCancelled
from pepr_kg.runs.executors import make_executor
from pepr_kg.runs.predictions import Failures
from pepr_kg.runs.preparation import Prepared, prepare
from pepr_kg.runs.provenance import reasons_of
from pepr_kg.runs.reading import Aside
from pepr_kg.runs.request import Request
from pepr_kg.runs.results import COMPUTE, RESOLVE, Preview, Progress, Run, Tell
from pepr_kg.runs.storage import RUNS, STATES, Parts, outcome_of, to_table
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, View
from pepr_kg.twin import Status
from pepr_kg.validation import validate_graphs

__all__ = ["Preview", "Progress", "Request", "Run", "evaluate", "find_run", "preview"]

_TIMES: Final = 3  # that a run is computed when what it rests on changes meanwhile


def evaluate(
    dataset: Dataset,
    request: Request,
    *,
    executor: str = "serial",
    workers: int = 1,
    scheduler: str | None = None,
    tell: Tell = silent,
    cancelled: Callable[[], bool] = never,
    validate: Validate = validate_graphs,
    specimen: int | None = SPECIMEN,
    settings: Settings | None = None,
) -> Run:
    """Return the run that answers a question, from the graph where it is there already, else computed and written.

    executor, workers, scheduler: see `executors`. `tell` is told how far it is, `cancelled` asked whether somebody
    wants it to stop. `validate` gives a report on the run's graph before it is committed; `specimen`: see `Conduct`.

    Raises what `prepare` raises, `RunCancelled`, `InputsChanging`, `WorkersLost`, `ValidationRefused`, and
    `DatasetLocked` where another writer does not finish in time.
    """
    place = make_executor(executor, workers, scheduler)
    conduct = Conduct(place, tell, cancelled, validate, specimen, settings or Settings())
    for _ in range(_TIMES):
        started = datetime.now(UTC)
        with conduct.stage(RESOLVE):
            view = dataset.view()
            prepared = prepare(view, dataset.path, request, conduct.settings)
            run = known_run(view, dataset.path, prepared)
        if run is None:
            with Parts(dataset.path / RUNS, prepared.key.name) as parts:
                _compute(prepared, parts, conduct)
                run = commit(dataset, Computed(prepared, parts, started, view.version), conduct)
                if run is not None:
                    parts.remove()
        if run is not None:
            return replace(run, seconds=dict(conduct.seconds))
    raise InputsChanging(times=_TIMES)


def _compute(prepared: Prepared, parts: Parts, conduct: Conduct) -> None:
    """Compute the blocks that are not done. Raises `RunCancelled`."""
    inputs, plan = prepared.inputs, prepared.plan
    places = inputs.evaluable
    spans, finished, total = plan.split(len(places)), parts.done(), len(places)
    reused = done = sum(spans[number][1] - spans[number][0] for number in finished)
    begun = time.perf_counter()
    with conduct.stage(COMPUTE, done, total):
        blocks = inputs.blocks(plan, prepared.starts, finished)
        for found in conduct.executor.run(plan, blocks, conduct.cancelled):
            first, last = spans[found.number]
            own = places[first:last]
            starts = None if prepared.starts is None else prepared.starts[own]
            keys = inputs.entities.take(own)
            table = to_table(prepared.layout, plan.grid, keys, starts, found, estimated=plan.estimated)
            parts.write(found.number, table)
            done += last - first
            rate = (done - reused) / max(time.perf_counter() - begun, 1e-9)
            conduct.tell(Progress(COMPUTE, done, total, rate, reused))
    if done < total or conduct.cancelled():
        raise RunCancelled(done=done, total=total)


def find_run(view: View, folder: Path, request: Request, settings: Settings | None = None) -> Run | None:
    """Return the run that answers a question already; None where it would have to be computed.

    `folder` is the dataset's. Raises what `prepare` raises.
    """
    return known_run(view, folder, prepare(view, folder, request, settings))


def preview(view: View, folder: Path, request: Request, settings: Settings | None = None) -> Preview:
    """Return the arrays that answer a question, and write nothing: for pages, what-if forms, and small cohorts.

    `folder` is the dataset's. Raises what `prepare` raises.
    """
    prepared = prepare(view, folder, request, settings)
    plan, places = prepared.plan, prepared.inputs.evaluable
    done = [compute(plan, block) for block in prepared.inputs.blocks(plan, prepared.starts)]
    shape = (len(prepared.layout.statistics), len(plan.outputs), 0, len(plan.scenarios), len(plan.grid))
    data = np.concatenate([np.empty(shape), *(item.data for item in done)], axis=2)
    status = np.concatenate([np.empty(shape[2:4], np.int8), *(item.status for item in done)])
    rule = np.concatenate([np.empty(shape[2:4], np.int16), *(item.rule for item in done)])
    row, under = np.nonzero(status != int(Status.DONE))
    failures = Failures(places[row], under.astype(np.int64), status[row, under], rule[row, under])
    starts = np.zeros(len(places)) if prepared.starts is None else prepared.starts[places]
    return Preview(
        model=prepared.found.name,
        patients=tuple(prepared.inputs.entities.take(places).to_pylist()),
        scenarios=prepared.layout.scenarios,
        times=starts[:, None] + plan.grid,
        time_unit=prepared.time_unit,
        outputs=plan.outputs,
        units=prepared.layout.units,
        statistics=prepared.layout.statistics,
        data=data,
        status=status,
        fitted=plan.fitted,
        methods=tuple(dict.fromkeys(name for item in done for name in item.methods)),
        aside=_aside(view, prepared, failures),
        prepared=prepared,
    )


def _aside(view: View, prepared: Prepared, failures: Failures) -> tuple[Aside, ...]:
    texts = {lang: reasons_of(view, prepared, failures, lang) for lang in LANGUAGES}
    status = prepared.inputs.status.copy()
    status[failures.place[::-1]] = outcome_of(failures.code[::-1])  # of several scenarios the first
    places = texts["en"][0]
    said = zip(*(texts[lang][1].to_pylist() for lang in LANGUAGES), strict=True)
    states = [STATES[code] for code in status[places].tolist()]
    names = prepared.inputs.entities.take(places).to_pylist()
    return tuple(
        Aside(entity, state, dict(zip(LANGUAGES, reasons, strict=True)))
        for entity, state, reasons in zip(names, states, said, strict=True)
    )
