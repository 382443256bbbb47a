"""A run computed again from what it states: its inputs, its model's file, its scenarios, its settings.

Either every figure comes out the same, to the last bit, or it is said what differs.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from pepr_kg.errors import PeprError
from pepr_kg.models.errors import ModelChanged, ModelFileMissing
from pepr_kg.models.registry import FOLDER, Coupled, Registered, find_model, owned_triples
from pepr_kg.resources import ontology_dir
from pepr_kg.runs.ages import ages, instant
from pepr_kg.runs.blocks import Pairing, Plan
from pepr_kg.runs.comparing import Ground, changed_since
from pepr_kg.runs.conduct import never, silent
from pepr_kg.runs.errors import RunCancelled, RunDamaged
from pepr_kg.runs.executors import make_executor, versions
from pepr_kg.runs.inputs import read
from pepr_kg.runs.key import read_scenario, software
from pepr_kg.runs.reading import RunFacts, check_file, read_run
from pepr_kg.runs.results import COMPUTE, Progress, Tell
from pepr_kg.runs.storage import Layout, read_inputs, to_table
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, View, file_digest
from pepr_kg.twin import Model
from pepr_kg.twin.errors import TwinError
from pepr_kg.twin.meaning import attach, read_meaning
from pepr_kg.twin.sbml.reading import read_model

SOFTWARE, NUMPY, FILE, MODEL, MEANING, OBSERVATIONS, FIGURE = KINDS = (
    "software", "numpy", "file", "model", "meaning", "observations", "figure",
)  # fmt: skip
_SENTENCES: Final = {
    SOFTWARE: {"en": "The run was made by {was}; this is {now}.",
               "fr": "L’exécution a été faite par {was} ; ceci est {now}."},
    NUMPY: {"en": "The run was made with NumPy {was}; here is {now}.",
            "fr": "L’exécution a été faite avec NumPy {was} ; ici, c’est {now}."},
    FILE: {"en": "{was} is not the file that the run states.",
           "fr": "{was} n’est pas le fichier que donne l’exécution."},
    MODEL: {"en": "The file of the model is another one: {was} was run, {now} is here.",
            "fr": "Le fichier du modèle est un autre : {was} a été exécuté, {now} est ici."},
    MEANING: {"en": "What the graph says of the model was changed since; today’s is used.",
              "fr": "Ce que le graphe dit du modèle a changé depuis ; la version du jour est employée."},
    OBSERVATIONS: {"en": "{was} value(s) that were used are another today, or gone: {now}.",
                   "fr": "{was} valeur(s) employée(s) sont autres aujourd’hui, ou absentes : {now}."},
    FIGURE: {"en": "The first figure that differs: {where}: it was {was}, it is {now}.",
             "fr": "Le premier chiffre qui diffère : {where} : il valait {was}, il vaut {now}."},
}  # fmt: skip
_NAMED: Final = 5  # observations that a sentence names


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was: its kind, and the sentence by language."""

    kind: str
    en: str
    fr: str

    @classmethod
    def of(cls, kind: str, **fields: object) -> "Difference":
        """Return a difference with its sentences."""
        return cls(kind, *(_SENTENCES[kind][lang].format(**fields) for lang in ("en", "fr")))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of computing a run again: whether all figures are the same bits, how many were compared, and all that
    is not as it was when the run was made (which need not change a figure).
    """

    run: str
    same: bool
    compared: int
    differences: tuple[Difference, ...]


def replay(
    dataset: Dataset,
    name: str,
    *,
    executor: str = "serial",
    workers: int = 1,
    scheduler: str | None = None,
    tell: Tell = silent,
    cancelled: Callable[[], bool] = never,
    settings: Settings | None = None,
) -> Replayed:
    """Return whether a run comes out the same when it is computed again from what it states.

    Nothing is written. Raises `UnknownRun`, `RunDamaged` where a file cannot be read, `RunCancelled`, and what
    computing raises.
    """
    view = dataset.view()
    facts = read_run(view, dataset.path, name)
    try:
        table, about = read_inputs(facts.inputs)
        stored = parquet.ParquetFile(facts.trajectories)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunDamaged(run=facts.id, path=facts.folder, detail=error) from error
    differences = [*_circumstances(facts, about)]
    found, differs = _find(view, dataset.path, facts)
    differences += differs
    differences += _observations(Ground(view, dataset.path, settings or Settings()), facts)
    if found is None:
        return Replayed(facts.id, same=False, compared=0, differences=tuple(differences))
    inputs = read(table)
    plan, layout = _plan(found, json.loads(about["document"]), stored.schema_arrow)
    starts = None
    if found.time_origin == "birth":
        as_of = instant(datetime.fromisoformat(facts.as_of))
        starts = ages(inputs.origin, as_of, layout.time_unit, hours=True)
    runner, total = make_executor(executor, workers, scheduler), len(inputs.evaluable)
    compared, done, figure, rows = 0, 0, None, _Rows(stored)
    waiting: dict[int, pa.Table] = {}
    spans = plan.split(total)
    for part in runner.run(plan, inputs.blocks(plan, starts), cancelled):
        first, last = spans[part.number]
        own = inputs.evaluable[first:last]
        begins = None if starts is None else starts[own]
        waiting[part.number] = to_table(layout, plan.grid, inputs.entities.take(own), begins, part)
        done += last - first
        tell(Progress(COMPUTE, done, total))
        while figure is None and rows.part in waiting:
            now = waiting.pop(rows.part).select(layout.schema.names)
            figure, count = _compare(rows.take(now.num_rows), now)
            compared += count
        if figure is not None:
            break
    if figure is None and done < total:
        raise RunCancelled(done=done, total=total)
    if figure is None and rows.left():
        figure = Difference.of(FIGURE, where=facts.trajectories.name, was="…", now="-")
    found_all = [*differences, *([figure] if figure else [])]
    return Replayed(facts.id, figure is None, compared, tuple(found_all))


def _circumstances(facts: RunFacts, about: dict[str, str]) -> Iterator[Difference]:
    """Yield what differs of the program and of the files themselves."""
    if facts.software != software():
        yield Difference.of(SOFTWARE, was=facts.software, now=software())
    if about.get("numpy") != versions()[1]:
        yield Difference.of(NUMPY, was=about.get("numpy", "?"), now=versions()[1])
    for path, stated in ((facts.inputs, facts.inputs_digest), (facts.trajectories, facts.trajectories_digest)):
        if stated:
            try:
                check_file(facts.id, path, stated)
            except RunDamaged:
                yield Difference.of(FILE, was=path.name)


def _observations(ground: Ground, facts: RunFacts) -> Iterator[Difference]:
    try:
        changed, gone = changed_since(ground, facts)
    except PeprError:  # the model, or whom it was about, is not there any more: said elsewhere
        return
    other = (*changed, *gone)
    if other:
        named = ", ".join(other[:_NAMED]) + (" …" if len(other) > _NAMED else "")
        yield Difference.of(OBSERVATIONS, was=len(other), now=named)


# ---- The model as it was ---------------------------------------------------------------------------------------------


def _find(view: View, folder: Path, facts: RunFacts) -> tuple[Registered | Coupled | None, list[Difference]]:
    """Return the model of a run, from the file that was run if it is anywhere here, and what differs."""
    differences = []
    try:
        found = find_model(view, facts.model, folder)
    except (ModelChanged, ModelFileMissing, TwinError) as error:
        now = str(error.details.get("found", "-"))
        return None, [Difference.of(MODEL, was=facts.model_digest, now=now)]
    if found.meaning_digest != facts.meaning_digest:
        differences.append(Difference.of(MEANING))
    if found.digest == facts.model_digest:
        return found, differences
    differences.append(Difference.of(MODEL, was=facts.model_digest, now=found.digest))
    if isinstance(found, Coupled):
        return None, differences
    model = _earlier(view, found, folder, facts.model_digest)
    return (None if model is None else replace(found, model=model, digest=facts.model_digest)), differences


def _earlier(view: View, found: Registered, folder: Path, digest: str) -> Model | None:
    """Return the model of the file with this digest, wherever models are kept; None where there is none."""
    for home in (folder / FOLDER, ontology_dir() / "models"):
        for path in sorted(home.glob("**/*.xml")):
            if f"sha256:{file_digest(path)}" == digest:
                meaning = read_meaning(owned_triples(view, found.name), found.iri)
                return attach(read_model(path.read_bytes(), name=found.name, source=str(path)), meaning)
    return None


def _plan(found: Registered | Coupled, document: dict[str, Any], schema: pa.Schema) -> tuple[Plan, Layout]:
    """Return the plan and the columns of a run from the document of its key and the schema of its file."""
    pairing = None
    if isinstance(found, Coupled):
        pairing = Pairing(found.fast.model, found.links, found.scheme, found.interval, found.conserved)
    registered = found.slow if isinstance(found, Coupled) else found
    plan = Plan(
        model=registered.model,
        scenarios=tuple(read_scenario(item) for item in document["scenarios"]),
        outputs=tuple(document["outputs"]),
        grid=np.array([float.fromhex(value) for value in document["grid"]]),
        samples=document["samples"],
        seed=document["seed"],
        rtol=float.fromhex(document["rtol"]),
        levels=tuple(float.fromhex(value) for value in document["levels"]),
        priors=None if pairing else registered.priors,
        residuals=registered.residuals if document["fitted"] else (),
        fitted=document["fitted"],
        pairing=pairing,
    )
    fields = [item for item in schema if (item.metadata or {}).get(b"iri")]
    each = len(fields) // len(plan.outputs)
    statistics = tuple(item.name.rpartition(".")[2] for item in fields[:each]) if plan.samples > 1 else ("value",)
    said = [(item.metadata or {}) for item in fields[::each]]
    time = (schema.field("time").metadata or {}).get(b"unit", b"").decode()
    layout = Layout(
        plan.outputs, tuple(item[b"unit"].decode() for item in said), tuple(item[b"iri"].decode() for item in said),
        statistics, tuple(scenario.name for scenario in plan.scenarios), time, {},
    )  # fmt: skip
    return plan, layout


# ---- Figures ---------------------------------------------------------------------------------------------------------


class _Rows:
    """The rows of a file of trajectories, taken in order, some at a time."""

    def __init__(self, file: parquet.ParquetFile) -> None:
        self._groups = (file.read_row_group(at) for at in range(file.num_row_groups))
        self._kept: pa.Table | None = None
        self.part = 0  # the block whose rows come next

    def take(self, count: int) -> pa.Table:
        """Return the next rows, fewer where there are no more."""
        kept = [] if self._kept is None else [self._kept]
        while sum(table.num_rows for table in kept) < count:
            group = next(self._groups, None)
            if group is None:
                break
            kept.append(group)
        self.part += 1
        if not kept:
            return pa.table({})
        whole = pa.concat_tables(kept).unify_dictionaries()
        self._kept = whole.slice(count)
        return whole.slice(0, count)

    def left(self) -> bool:
        """Return whether there are rows that nobody took."""
        return bool((self._kept is not None and self._kept.num_rows) or next(self._groups, None) is not None)


def _compare(was: pa.Table, now: pa.Table) -> tuple[Difference | None, int]:
    """Return the first figure that differs, and how many were compared."""
    if was.num_rows < now.num_rows or was.schema.names != now.schema.names:
        return Difference.of(FIGURE, where="trajectories.parquet", was=was.num_rows, now=now.num_rows), 0
    first, column = now.num_rows, ""
    for name in now.schema.names:
        left, right = was[name].combine_chunks(), now[name].combine_chunks()
        same = np.asarray(pc.equal(pc.is_null(left), pc.is_null(right)), np.bool_)
        if pa.types.is_floating(left.type):
            bits = [np.asarray(item.fill_null(0.0), np.float64).view(np.int64) for item in (left, right)]
            same &= bits[0] == bits[1]
        else:
            kind = pa.string() if pa.types.is_dictionary(left.type) else left.type
            equal = pc.equal(pc.cast(left, kind), pc.cast(right, kind))
            same &= np.asarray(pc.fill_null(equal, True), np.bool_)
        places = np.flatnonzero(~same)
        if len(places) and places[0] < first:
            first, column = int(places[0]), name
    figures = sum(pa.types.is_floating(item.type) for item in now.schema) - 1  # the time is none
    if not column:
        return None, now.num_rows * figures
    row = {name: now[name][first].as_py() for name in ("patient", "scenario", "time")}
    where = f"{row['patient']}, {row['scenario']}, {row['time']:g}, {column}"
    values = [table[column][first].as_py() for table in (was, now)]
    return Difference.of(FIGURE, where=where, was=repr(values[0]), now=repr(values[1])), first * figures
