"""The finished blocks of a run put together: its Parquet files, and what its graph says, as N-Triples.

One part is in memory at a time. Nothing is in the graph yet.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pepr_kg.resources import read_query
from pepr_kg.runs.estimates import Estimates, twins_of
from pepr_kg.runs.key import scenario_document
from pepr_kg.runs.predictions import Predictions, joined_failures
from pepr_kg.runs.preparation import Prepared
from pepr_kg.runs.provenance import Stated, write_evaluation, write_outcomes, write_scenarios, write_used
from pepr_kg.runs.reading import run_id
from pepr_kg.runs.stale import stale_runs
from pepr_kg.runs.storage import (
    INPUTS,
    RUNS,
    TRAJECTORIES,
    Parts,
    about_inputs,
    methods_of,
    write_inputs,
    writing_trajectories,
)
from pepr_kg.runs.writing import Document
from pepr_kg.settings import Settings
from pepr_kg.store import NamedNode, View, file_digest


@dataclass(frozen=True, slots=True)
class Assembled:
    """A run that is ready to be written: its name, its folder with the Parquet files, its N-Triples.

    superseded: the runs whose place it takes and that still held.
    """

    stated: Stated
    folder: Path
    document: Document
    predictions: int
    outcomes: Mapping[str, int]
    superseded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What assembling needs beside the question: where the parts are, when it began, how much is validated."""

    view: View
    dataset: Path
    parts: Parts
    staging: Path
    started: datetime
    specimen: int
    settings: Settings


def question_of(prepared: Prepared) -> str:
    """Return the question as JSON: what was asked of whom, without what the graph answered."""
    request, plan = prepared.request, prepared.plan
    return json.dumps(
        {
            "model": prepared.found.iri, "cohort": prepared.cohort, "entities": sorted(request.entities),
            "scenarios": [scenario_document(scenario) for scenario in plan.scenarios], "outputs": plan.outputs,
            "grid": plan.grid.tolist(), "shown": prepared.shown, "samples": plan.samples, "seed": plan.seed,
            "levels": plan.levels, "rtol": plan.rtol, "fit": request.fit,
        },
        sort_keys=True,
    )  # fmt: skip


def assemble(prepared: Prepared, run: str, work: Work) -> Assembled:
    """Return a run named `run` with its files in `work.staging`, from the parts that are all there."""
    folder = work.staging / run
    folder.mkdir(parents=True)
    places, plan = prepared.inputs.evaluable, prepared.plan
    spans = plan.split(len(places))
    cut = int(places[work.specimen]) if len(places) > work.specimen else sys.maxsize
    methods: dict[str, None] = {}
    failures, count = [], 0
    with Document(work.staging) as document:
        scenarios = write_scenarios(document, prepared, run)
        writer = Predictions(document, prepared, run, scenarios, cut)
        estimates = Estimates(document, prepared, run, twins_of(work.view, prepared), cut)
        with writing_trajectories(folder / TRAJECTORIES, prepared.layout) as file:
            for number, (first, last) in enumerate(spans):
                part = work.parts.read(number)
                methods.update(dict.fromkeys(methods_of(part)))
                file.add(part)
                made, failed = writer.write(part, places[first:last])
                estimates.write(part, places[first:last])
                count += made
                failures.append(failed)
            file.conclude(tuple(methods))
        lost = joined_failures(failures)
        about = {
            **prepared.layout.about,
            "document": json.dumps(prepared.key.document),
            "request": question_of(prepared),
        }
        write_inputs(folder / INPUTS, prepared.inputs.table, about)
        nobody = np.unique(lost.place, return_counts=True)[1] if len(lost.place) else np.empty(0, np.int64)
        replaced = _replaced(prepared, work)
        stated = Stated(
            run, work.started, datetime.now(UTC), tuple(methods),
            len(places) - int(np.count_nonzero(nobody == len(plan.scenarios))),
            f"sha256:{file_digest(folder / TRAJECTORIES)}", f"sha256:{file_digest(folder / INPUTS)}", cut,
            tuple(replaced),
        )  # fmt: skip
        write_evaluation(document, prepared, stated, scenarios)
        write_used(document, work.view, prepared, stated, work.settings.resolved_bindings)
        outcomes = write_outcomes(document, work.view, prepared, stated, lost, most=work.specimen)
    held = tuple(run_id(iri) for iri, status in replaced.items() if status == "current")
    return Assembled(stated, folder, document, count, outcomes, held)


def _replaced(prepared: Prepared, work: Work) -> dict[str, str]:
    """Return the runs (IRI → status) of the same question that do not hold any more, or whose ground has changed."""
    subject = prepared.cohort or prepared.inputs.entities[0].as_py()
    bound = {"model": NamedNode(prepared.found.iri), "subject": NamedNode(subject)}
    question = json.loads(question_of(prepared))
    same: dict[str, str] = {}
    for row in work.view.select(read_query("runs/predecessors"), bound).iter_dicts():
        path = work.dataset / RUNS / run_id(row["evaluation"].value) / INPUTS
        if path.is_file() and json.loads(about_inputs(path).get("request", "{}")) == question:
            same[row["evaluation"].value] = row["status"].value.rpartition("/")[2]
    held = [iri for iri, status in same.items() if status == "current"]
    stale = {item.iri for item in stale_runs(work.view, work.dataset, held, work.settings)} if held else set()
    return {iri: status for iri, status in same.items() if status != "current" or iri in stale}
