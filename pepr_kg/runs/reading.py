"""A run read back: what the graph states of it, and the arrays of one patient from its files.

A patient's course is read from the row groups that hold it alone, however large the cohort.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from pepr_kg.errors import UnknownPrefix
from pepr_kg.namespaces import ID, PEPR, PREFIXES, RUN, expand
from pepr_kg.rdf import is_iri
from pepr_kg.resources import read_query
from pepr_kg.runs.errors import RunDamaged, UnknownRun
from pepr_kg.runs.request import quantile_name
from pepr_kg.runs.storage import INPUTS, RUNS, TRAJECTORIES
from pepr_kg.store import Literal, NamedNode, View, file_digest

_PROV: Final = PREFIXES["prov"]
_LABEL: Final = PREFIXES["rdfs"] + "label"
_EVALUATION: Final = f"{ID}evaluation/"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScenarioFacts:
    """A scenario of a run: its labels by language, and its kind, "base" or "what-if"."""

    iri: str
    labels: Mapping[str, str]
    kind: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run states of itself; concepts by their last word (`result_status` is current, superseded or withdrawn).

    The digests are those that are stated of the files.
    """

    id: str
    iri: str
    labels: Mapping[str, str]
    model: str
    model_digest: str
    meaning_digest: str
    key: str
    evaluates: tuple[str, ...]
    scenarios: tuple[ScenarioFacts, ...]
    seed: int
    samples: int
    fitted: bool
    rtol: float
    solvers: tuple[str, ...]
    software: str
    asked_by: str
    as_of: str
    started: str
    ended: str
    patients: int
    evaluated: int
    run_status: str
    result_status: str
    replaces: tuple[str, ...]
    replaced_by: tuple[str, ...]
    withdrawn_because: tuple[str, ...]
    withdrawal: Mapping[str, str]
    inputs_digest: str
    trajectories_digest: str
    folder: Path

    @property
    def trajectories(self) -> Path:
        """Return the file of the trajectories."""
        return self.folder / TRAJECTORIES

    @property
    def inputs(self) -> Path:
        """Return the file of what was used."""
        return self.folder / INPUTS


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as a list shows it."""

    id: str
    iri: str
    model: str
    as_of: str
    ended: str
    result_status: str


@dataclass(frozen=True, slots=True)
class Aside:
    """An entity that has no prediction, or not under each scenario: its outcome's last word, and why, by language."""

    entity: str
    outcome: str
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A patient's course: `data` (statistics, outputs, scenarios, times), NaN where there is no value.

    statistics: value, or of several draws mean and quantiles (`lower`, `middle` and `upper` say where they stand);
    times are the model's, in `time_unit`; states: how each scenario ended, by the last word of its outcome.
    """

    patient: str
    scenarios: tuple[str, ...]
    times: Array
    time_unit: str
    outputs: tuple[str, ...]
    units: tuple[str, ...]
    iris: tuple[str, ...]
    statistics: tuple[str, ...]
    data: Array
    states: tuple[str, ...]

    @property
    def middle(self) -> int:
        """Return the place of the figure itself, or of the median."""
        return self.statistics.index(quantile_name(0.5)) if len(self.statistics) > 1 else 0

    @property
    def lower(self) -> int | None:
        """Return the place of the lower end of the interval; None where there is one sample."""
        return 1 if len(self.statistics) > 1 else None

    @property
    def upper(self) -> int | None:
        """Return the place of the upper end of the interval; None where there is one sample."""
        return len(self.statistics) - 1 if len(self.statistics) > 1 else None


def run_id(name: str) -> str:
    """Return the identifier of a run from its IRI, its short form or itself.

    >>> run_id("evaluation:4c1fd0a29b7e6633"), run_id("4c1fd0a29b7e6633")
    ('4c1fd0a29b7e6633', '4c1fd0a29b7e6633')
    """
    try:
        iri = expand(name) if ":" in name else _EVALUATION + name
    except UnknownPrefix:
        iri = name
    if not iri.startswith(_EVALUATION) or not is_iri(iri):
        raise UnknownRun(run=name)
    return iri.removeprefix(_EVALUATION)


def read_run(view: View, folder: Path, name: str) -> RunFacts:
    """Return what a run states; `folder` is the dataset's. Raises `UnknownRun`."""
    iri = _EVALUATION + run_id(name)
    table = view.select(read_query("runs/run-facts"), {"evaluation": NamedNode(iri)})
    said: dict[str, list[NamedNode | Literal]] = {}
    for _, predicate, value in table.rows:
        if isinstance(predicate, NamedNode) and isinstance(value, NamedNode | Literal):
            said.setdefault(predicate.value, []).append(value)
    if not said:
        raise UnknownRun(run=name)

    def one(term: str) -> str:
        found = said.get(PEPR + term) or said.get(_PROV + term)
        return found[0].value if found else ""

    def every(term: str) -> tuple[str, ...]:
        return tuple(value.value for value in said.get(PEPR + term, ()))

    def texts(predicate: str) -> dict[str, str]:
        return {value.language or "": value.value for value in said.get(predicate, ()) if isinstance(value, Literal)}

    later = view.quads(None, NamedNode(PEPR + "replacesResult"), NamedNode(iri))
    return RunFacts(
        id=run_id(name),
        iri=iri,
        labels=texts(_LABEL),
        model=one("usesModel"),
        model_digest=one("modelDigest"),
        meaning_digest=one("meaningDigest"),
        key=one("evaluationKey"),
        evaluates=every("evaluates"),
        scenarios=tuple(_scenarios(view, iri)),
        seed=int(one("seed")),
        samples=int(one("sampleCount") or 1),
        fitted=one("usesFit") == "true",
        rtol=float(one("relativeTolerance") or "nan"),
        solvers=every("hasSolver"),
        software=one("softwareVersion"),
        asked_by=one("requestedBy"),
        as_of=one("asOf"),
        started=one("startedAtTime"),
        ended=one("endedAtTime"),
        patients=int(one("patientCount") or 0),
        evaluated=int(one("evaluatedCount") or 0),
        run_status=_word(one("hasRunStatus")),
        result_status=_word(one("hasResultStatus")),
        replaces=every("replacesResult"),
        replaced_by=tuple(quad.subject.value for quad in later if isinstance(quad.subject, NamedNode)),
        withdrawn_because=every("withdrawnBecauseOf"),
        withdrawal=texts(PEPR + "withdrawalReason"),
        inputs_digest=_digest(view, run_id(name), "resolved-inputs"),
        trajectories_digest=_digest(view, run_id(name), "trajectory"),
        folder=folder / RUNS / run_id(name),
    )


def _digest(view: View, run: str, kind: str) -> str:
    """Return the digest that a run states of a file, on the first thing of a kind; nothing where there is none."""
    for quad in view.quads(None, NamedNode(PEPR + "contentDigest"), None, NamedNode(RUN + run)):
        named = isinstance(quad.subject, NamedNode) and quad.subject.value.startswith(f"{ID}{kind}/")
        if named and isinstance(quad.object, Literal):
            return quad.object.value
    return ""


def _scenarios(view: View, iri: str) -> Iterator[ScenarioFacts]:
    table = view.select(read_query("runs/run-scenarios"), {"evaluation": NamedNode(iri)})
    labels: dict[str, dict[str, str]] = {}
    kinds: dict[str, str] = {}
    for row in table.iter_dicts():
        label = row["label"]
        if isinstance(label, Literal):
            labels.setdefault(row["scenario"].value, {})[label.language or ""] = label.value
        kinds[row["scenario"].value] = _word(row["kind"].value)
    for scenario, texts in labels.items():
        yield ScenarioFacts(scenario, texts, kinds[scenario])


def _word(iri: str) -> str:
    return iri.rpartition("/")[2]


def runs_of(view: View, entity: str) -> tuple[Listed, ...]:
    """Return the runs that an entity (an IRI or a short form) was evaluated or set aside in, the latest first."""
    table = view.select(read_query("runs/runs-of-entity"), {"entity": NamedNode(expand(entity))})
    return tuple(
        Listed(
            run_id(row["evaluation"].value), row["evaluation"].value, row["model"].value, row["asOf"].value,
            row["ended"].value, _word(row["status"].value),
        )
        for row in table.iter_dicts()
    )  # fmt: skip


def outcomes(view: View, name: str) -> tuple[Aside, ...]:
    """Return who was set aside in a run, in the order of their IRIs."""
    table = view.select(read_query("runs/run-outcomes"), {"evaluation": NamedNode(_EVALUATION + run_id(name))})
    states: dict[str, str] = {}
    reasons: dict[str, dict[str, str]] = {}
    for row in table.iter_dicts():
        entity = row["entity"].value
        states[entity] = _word(row["status"].value)
        if "reason" in row:
            reasons.setdefault(entity, {})[row["lang"].value] = row["reason"].value
    return tuple(Aside(entity, state, reasons.get(entity, {})) for entity, state in states.items())


def outcome_counts(view: View, facts: RunFacts) -> dict[str, int]:
    """Return how many patients of a run had each outcome, by its last word."""
    table = view.select(read_query("runs/outcome-counts"), {"evaluation": NamedNode(facts.iri)})
    aside = {_word(row["status"].value): int(row["count"].value) for row in table.iter_dicts()}
    evaluated = facts.patients - sum(aside.values())
    return ({"evaluated": evaluated} if evaluated else {}) | aside


# ---- Files -----------------------------------------------------------------------------------------------------------


def check_file(run: str, path: Path, stated: str) -> None:
    """Raise `RunDamaged` unless a file of a run is the one that it states."""
    try:
        found = f"sha256:{file_digest(path)}"
    except OSError as error:
        raise RunDamaged(run=run, path=path, detail=error.strerror or error) from error
    if found != stated:
        raise RunDamaged(run=run, path=path, detail={
            "en": f"its digest is {found}, and the run states {stated}",
            "fr": f"son empreinte est {found}, et l’exécution donne {stated}"})  # fmt: skip


def trajectories(folder: Path, run: str, patient: str) -> pa.Table:
    """Return the rows of one patient (scenario, time, status, outputs), in the order of scenarios and times.

    Raises `UnknownRun` or `RunDamaged`; nobody's rows where the patient was set aside.
    """
    path, name = _file(folder, run), expand(patient)
    try:
        file = parquet.ParquetFile(path)
        rows = file.read_row_groups([at for at in range(file.num_row_groups) if _may_hold(file, at, name)])
    except (OSError, pa.ArrowInvalid) as error:
        raise RunDamaged(run=run, path=path, detail=error) from error
    return rows.filter(pc.equal(pc.cast(rows["patient"], pa.string()), name))


def _may_hold(file: parquet.ParquetFile, group: int, patient: str) -> bool:
    """Return whether a row group may hold a patient: patients are in order, and each group knows its first and last."""
    known = file.metadata.row_group(group).column(0).statistics
    return known is None or not known.has_min_max or known.min <= patient <= known.max


def read_band(folder: Path, run: str, patient: str) -> Band | None:
    """Return the course of one patient in a run; None where the patient has none.

    Raises `UnknownRun`, `UnknownPrefix` or `RunDamaged`.
    """
    table = trajectories(folder, run, patient)
    if not table.num_rows:
        return None
    names = pc.cast(table["scenario"], pa.string()).combine_chunks()
    scenarios = pc.unique(names).to_pylist()
    shape = (len(scenarios), table.num_rows // len(scenarios))
    fields = [item for item in table.schema if (item.metadata or {}).get(b"iri")]
    several = "draws" in table.schema.names
    outputs = dict.fromkeys(item.name.rpartition(".")[0] if several else item.name for item in fields)
    statistics = tuple(item.name.rpartition(".")[2] for item in fields[: len(fields) // len(outputs)])
    values = [np.asarray(table[item.name].combine_chunks().fill_null(np.nan), np.float64) for item in fields]
    data = np.array(values).reshape(len(outputs), -1, *shape).transpose(1, 0, 2, 3)
    first = [item.metadata for item in fields[:: len(statistics) if several else 1]]
    states = pc.cast(table["status"], pa.string()).to_pylist()
    about = table.schema.field("time").metadata or {}
    return Band(
        expand(patient), tuple(scenarios), np.asarray(table["time"], np.float64).reshape(shape)[0],
        about.get(b"unit", b"").decode(), tuple(outputs), tuple(item[b"unit"].decode() for item in first),
        tuple(item[b"iri"].decode() for item in first), statistics if several else ("value",), data,
        tuple(states[:: shape[1]]),
    )  # fmt: skip


def _file(folder: Path, run: str) -> Path:
    path = folder / RUNS / run_id(run) / TRAJECTORIES
    if not path.is_file():
        raise UnknownRun(run=run)
    return path
