"""The part of a run's graph that says where its predictions come from: the question, the model, what was used of whom,
what was converted, how it was computed, who asked, who was set aside and why.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.errors import UnknownPrefix
from pepr_kg.language import LANGUAGES
from pepr_kg.models.registry import Coupled
from pepr_kg.namespaces import ID, PEPR, PREFIXES, expand
from pepr_kg.rdf import ESCAPES, is_iri
from pepr_kg.runs.inputs import OBSERVATION, PATIENT, Given
from pepr_kg.runs.key import software
from pepr_kg.runs.outcomes import Outcome
from pepr_kg.runs.predictions import Failures, sentences
from pepr_kg.runs.preparation import Prepared
from pepr_kg.runs.reasons import explain
from pepr_kg.runs.resolved import Kind
from pepr_kg.runs.scenarios import Labels, Pair, unit_of
from pepr_kg.runs.storage import INPUTS, RUNS, TRAJECTORIES, outcome_of
from pepr_kg.runs.writing import Column, Document, as_decimals, as_nodes, decimal, integer, joined, node, numbered, text
from pepr_kg.store import NamedNode, View
from pepr_kg.twin import Intervention
from pepr_kg.twin.interventions import number_of
from pepr_kg.twin.result import NOTICE
from pepr_kg.twin.solvers.dormand_prince import DormandPrince
from pepr_kg.twin.solvers.rosenbrock import Rosenbrock

_A: Final = PREFIXES["rdf"] + "type"
_LABEL: Final = PREFIXES["rdfs"] + "label"
_COMMENT: Final = PREFIXES["rdfs"] + "comment"
_PROV: Final = PREFIXES["prov"]
_OF: Final = PREFIXES["sosa"] + "hasFeatureOfInterest"
_BASE: Final = {"en": "base", "fr": "référence"}
_NO_UNIT: Final = "{unknown}"  # an annotation of UCUM: a foreign model that does not say the unit of what is changed
_KISAO: Final = "http://www.biomodels.net/kisao/KISAO#KISAO_"
_ANY_METHOD: Final = "0000000"  # KiSAO has no word for a closed form or the exponential of a matrix
_METHODS: Final = {
    "explicit": DormandPrince.kisao.partition(":")[2], "scalar": DormandPrince.kisao.partition(":")[2],
    "stiff": Rosenbrock.kisao.partition(":")[2],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stated:
    """What a run states of itself beside the question: its name, when it ran, how, what came of it."""

    run: str
    started: datetime
    ended: datetime
    methods: tuple[str, ...]
    evaluated: int
    trajectories_digest: str
    inputs_digest: str
    specimen: int  # the place in the cohort from which on what is said is not validated one by one
    replaces: tuple[str, ...] = ()

    @property
    def iri(self) -> str:
        """Return the IRI of the evaluation."""
        return f"{ID}evaluation/{self.run}"


def write_evaluation(document: Document, prepared: Prepared, stated: Stated, scenarios: Sequence[str]) -> None:
    """Write what is said of the evaluation itself, its files and trajectories."""
    request, found, plan = prepared.request, prepared.found, prepared.plan
    labels = {lang: found.labels.get(lang, found.name) for lang in LANGUAGES}
    day = request.moment.strftime("%Y-%m-%d")
    program = f"{ID}agent/{software().replace(' ', '-')}"
    document.say(program, (_A, node(f"{_PROV}SoftwareAgent")), (_LABEL, text(software())))
    asked = _agent(document, request.who, program)
    about = [node(prepared.cohort)] if prepared.cohort else [f"<{iri}>" for iri in prepared.inputs.entities.to_pylist()]
    models = [found.iri] if not isinstance(found, Coupled) else [found.iri, found.fast.iri, found.slow.iri]
    state = "finished" if stated.evaluated else "failed"
    document.say(
        stated.iri,
        (_A, node(f"{PEPR}Evaluation")), (_A, node(f"{_PROV}Activity")),
        (_LABEL, text(f"{labels['en']}, {day}", "en")), (_LABEL, text(f"{labels['fr']}, {day}", "fr")),
        *((_COMMENT, text(NOTICE[lang], lang)) for lang in LANGUAGES),
        *((f"{PEPR}evaluates", iri) for iri in about),
        (f"{PEPR}usesModel", node(found.iri)),
        *((f"{_PROV}used", node(iri)) for iri in models),
        *((f"{PEPR}underScenario", node(iri)) for iri in scenarios),
        (f"{PEPR}modelDigest", text(found.digest)), (f"{PEPR}meaningDigest", text(found.meaning_digest)),
        (f"{PEPR}evaluationKey", text(prepared.key.digest)),
        (f"{PEPR}seed", integer(plan.seed)), (f"{PEPR}sampleCount", integer(plan.samples)),
        (f"{PEPR}usesFit", text("true" if plan.fitted else "false", datatype="boolean")),
        (f"{PEPR}relativeTolerance", decimal(plan.rtol)),
        *((f"{PEPR}hasSolver", node(iri)) for iri in _solvers(stated.methods)),
        (f"{PEPR}softwareVersion", text(software())),
        (f"{_PROV}wasAssociatedWith", node(program)), (f"{_PROV}wasAssociatedWith", node(asked)),
        (f"{PEPR}requestedBy", node(asked)),
        (f"{PEPR}asOf", _moment(request.moment)),
        (f"{_PROV}startedAtTime", _moment(stated.started)), (f"{_PROV}endedAtTime", _moment(stated.ended)),
        (f"{PEPR}patientCount", integer(len(prepared.inputs.entities))),
        (f"{PEPR}evaluatedCount", integer(stated.evaluated)),
        (f"{PEPR}hasRunStatus", node(f"{ID}run-status/{state}")),
        (f"{PEPR}hasResultStatus", node(f"{ID}result-status/current")),
        *((f"{PEPR}replacesResult", node(iri)) for iri in stated.replaces),
        (f"{PEPR}hasResolvedInputs", node(f"{ID}resolved-inputs/{stated.run}")),
    )  # fmt: skip
    document.say(
        f"{ID}resolved-inputs/{stated.run}", (_A, node(f"{PEPR}ResolvedInputs")),
        (f"{PEPR}dataFile", text(f"{RUNS}/{stated.run}/{INPUTS}", datatype="anyURI")),
        (f"{PEPR}contentDigest", text(stated.inputs_digest)),
    )  # fmt: skip
    _write_trajectories(document, prepared, stated, scenarios)


def _write_trajectories(document: Document, prepared: Prepared, stated: Stated, scenarios: Sequence[str]) -> None:
    """Write one trajectory for each scenario: of the cohort, or of each entity where no cohort was named."""
    if not stated.evaluated:
        return
    plan, layout = prepared.plan, prepared.layout
    steps = np.diff(plan.grid)
    regular = prepared.starts is None and len(steps) > 0 and bool(np.allclose(steps, steps[0], rtol=1e-12, atol=0.0))
    times: list[tuple[str, Column]] = [(f"{PEPR}timeColumn", text("time"))]
    if regular:
        times = [(f"{PEPR}gridStart", decimal(0.0)), (f"{PEPR}gridStep", decimal(float(steps[0]))),
                 (f"{PEPR}gridCount", integer(len(plan.grid)))]  # fmt: skip
    places = prepared.inputs.evaluable
    for at, scenario in enumerate(scenarios):
        if prepared.cohort:
            subjects: Column = f"<{ID}trajectory/{stated.run}-{at}>"
            owners: Column = node(prepared.cohort)
        else:
            subjects = joined(f"<{ID}trajectory/{stated.run}-{at}-", numbered(places), ">")
            owners = as_nodes(prepared.inputs.entities.take(pa.array(places)))
        pairs: list[tuple[str, Column]] = [
            (_A, node(f"{PEPR}Trajectory")),
            (f"{PEPR}trajectoryOf", owners),
            *((f"{PEPR}hasSeriesOf", node(iri)) for iri in layout.iris),
            *times,
            (f"{PEPR}timeUnitCode", text(layout.time_unit)),
            (f"{PEPR}dataFile", text(f"{RUNS}/{stated.run}/{TRAJECTORIES}", datatype="anyURI")),
            (f"{PEPR}contentDigest", text(stated.trajectories_digest)),
            (f"{PEPR}underScenario", node(scenario)),
            (f"{_PROV}wasGeneratedBy", node(stated.iri)),
        ]
        cut = int(np.searchsorted(places, stated.specimen))
        document.say_all(subjects, pairs, *((1, 1) if prepared.cohort else (len(places), cut)))


def _solvers(methods: Sequence[str]) -> list[str]:
    names = [name for method in methods for name in method.split(", ")]
    return list(dict.fromkeys(_KISAO + _METHODS.get(name, _ANY_METHOD) for name in names))


def _moment(moment: datetime) -> str:
    return text(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), datatype="dateTime")


def _agent(document: Document, who: str, program: str) -> str:
    """Return the IRI of who asks: one that the graph has, or one made of the name; the program, where nobody does."""
    name = who.strip()
    if name in {"", software()}:
        return program
    if re.match(r"[a-z-]+:\S+$", name):
        try:
            given = expand(name)
        except UnknownPrefix:
            given = ""
        if is_iri(given):
            return given
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    iri = f"{ID}agent/{re.sub(r'[^a-z0-9.]+', '-', plain).strip('-') or 'unknown'}"
    document.say(iri, (_A, node(f"{_PROV}Agent")), (_LABEL, text(name)))
    return iri


# ---- Scenarios -------------------------------------------------------------------------------------------------------


def write_scenarios(document: Document, prepared: Prepared, run: str) -> tuple[str, ...]:
    """Write the scenarios that the model does not declare; return the IRIs of all, in their order."""
    planned = prepared.planned
    iris = tuple(item.iri or f"{ID}scenario/{run}-{at}" for at, item in enumerate(planned))
    base = next((iri for iri, item in zip(iris, planned, strict=True) if item.is_base), None)
    mine = [(iri, item) for iri, item in zip(iris, planned, strict=True) if item.iri is None]
    if base is None and mine:  # nobody asked for it; a what-if says what it departs from
        base = f"{ID}scenario/{run}-base"
        _write_scenario(document, prepared, base, _BASE, "base")
    for iri, item in mine:
        plain = item.is_base and item.scenario.name == _BASE["en"]
        labels: Labels = _BASE if plain else dict.fromkeys(LANGUAGES, item.scenario.name)
        _write_scenario(document, prepared, iri, labels, "base" if item.is_base else "what-if")
        if item.is_base:
            continue
        document.say(iri, (f"{PEPR}comparedWith", node(base or iri)))
        for number, change in enumerate(item.scenario.interventions):
            name = f"{ID}intervention/{iri.rpartition('/')[2]}-{number}"
            document.say(iri, (f"{PEPR}hasIntervention", node(name)))
            _write_intervention(document, prepared, name, change)
    return iris


def _write_scenario(document: Document, prepared: Prepared, iri: str, labels: Labels, kind: str) -> None:
    document.say(
        iri, (_A, node(f"{PEPR}Scenario")), *((_LABEL, text(labels[lang], lang)) for lang in LANGUAGES),
        (f"{PEPR}hasScenarioKind", node(f"{ID}scenario-kind/{kind}")),
        (f"{PEPR}horizon", decimal(float(prepared.plan.grid[-1]))),
        (f"{PEPR}timeUnitCode", text(prepared.layout.time_unit)),
    )  # fmt: skip


def _write_intervention(document: Document, prepared: Prepared, iri: str, change: Intervention) -> None:
    found = prepared.found
    if isinstance(found, Coupled):
        symbols: Pair | None = Pair(found.name, found.fast.model, found.slow.model)
        model, symbol = symbols.side(change.symbol) if symbols else (found.slow.model, change.symbol)
        owner = found.fast if model is found.fast.model else found.slow
    else:
        symbols, model, symbol, owner = None, found.model, change.symbol, found
    plain = Intervention(change.action, symbol, change.value, change.at)
    once = change.action == "dose" or model.variable(symbol).role == "state"
    kind = "dose-schedule" if change.action == "dose" else change.action
    document.say(
        iri, (_A, node(f"{PEPR}Intervention")),
        (f"{PEPR}hasInterventionKind", node(f"{ID}intervention-kind/{kind}")),
        (f"{PEPR}intervenesOn", node(owner.elements[symbol])),
        (f"{PEPR}numericValue", decimal(number_of(model, plain))),
        (f"{PEPR}unitCode", text(unit_of(model, symbol, change.action) or _NO_UNIT)),
        (f"{PEPR}{'atTime' if once else 'fromTime'}", decimal(change.at or 0.0)),
        (f"{PEPR}timeUnitCode", text(prepared.layout.time_unit)),
    )  # fmt: skip


# ---- What was used ---------------------------------------------------------------------------------------------------


def write_used(document: Document, view: View, prepared: Prepared, stated: Stated, most: int) -> None:
    """Write every observation that was used, the conversions that were made, and each value used where there are at
    most `most` (more stand in the file of inputs alone).
    """
    table = prepared.inputs.table
    used = pc.unique(table["observation"].combine_chunks()).drop_null()
    document.say_all(node(stated.iri), [(f"{_PROV}used", as_nodes(used))], len(used), stated.specimen)
    number = 0
    for part in prepared.given:
        number = _write_conversions(document, stated, part, number)
    kind = pc.cast(table["kind"], pa.string())
    rows = table.filter(pc.and_(pc.not_equal(kind, PATIENT), pc.not_equal(kind, OBSERVATION)))
    rows = rows.filter(pc.and_(pc.is_valid(rows["binding"]), pc.is_valid(rows["used_unit"])))
    if rows.num_rows > most:
        return
    columns = {name: pc.cast(rows[name], pa.string()).combine_chunks()
               for name in ("entity", "binding", "observation", "used_unit")}  # fmt: skip
    names, cut = (
        joined(f"<{ID}resolved-binding/{stated.run}-", numbered(np.arange(rows.num_rows)), ">"),
        stated.specimen,
    )
    document.say_all(node(stated.iri), [(f"{PEPR}hasResolvedBinding", names)], rows.num_rows, cut)
    pairs: list[tuple[str, Column]] = [
        (_A, node(f"{PEPR}ResolvedBinding")),
        (_OF, as_nodes(columns["entity"])),
        (f"{PEPR}resolves", as_nodes(columns["binding"])),
        (f"{PEPR}usedValue", as_decimals(np.asarray(rows["used"], np.float64))),
        (f"{PEPR}unitCode", joined('"', columns["used_unit"], '"')),
    ]
    document.say_all(names, pairs, rows.num_rows, cut)
    doses = pa.array(_bindings_of_doses(view, columns["binding"], columns["observation"]), pa.string())
    dosed, known = pc.is_in(columns["binding"], value_set=doses), pc.is_valid(columns["observation"])
    for predicate, flags in (
        (f"{PEPR}fromObservation", pc.and_(known, pc.invert(dosed))), (f"{_PROV}wasDerivedFrom", pc.and_(known, dosed)),
    ):  # fmt: skip
        rows_of = np.flatnonzero(np.asarray(flags, np.bool_))
        chosen = pa.array(rows_of)
        objects = as_nodes(columns["observation"].take(chosen))
        document.say_all(names.take(chosen), [(predicate, objects)], len(rows_of), int(np.searchsorted(rows_of, cut)))


def _bindings_of_doses(view: View, bindings: pa.Array, observations: pa.Array) -> list[str]:
    """Return the bindings that take doses and no observations: of each, one is looked at."""
    known = np.flatnonzero(np.asarray(pc.is_valid(observations), np.bool_))
    coded = bindings.take(pa.array(known)).dictionary_encode()
    first = known[np.unique(np.asarray(coded.indices, np.int64), return_index=True)[1]]
    pairs = zip(coded.dictionary.to_pylist(), observations.take(pa.array(first)).to_pylist(), strict=True)
    given = NamedNode(f"{PEPR}Administration")
    return [binding for binding, one in pairs if next(view.quads(NamedNode(one), NamedNode(_A), given), None)]


def _write_conversions(document: Document, stated: Stated, part: Given, number: int) -> int:
    for row in part.resolved.conversions.to_pylist():
        iri, element = f"{ID}unit-conversion/{stated.run}-{number}", part.registered.elements.get(row["symbol"])
        document.say(stated.iri, (f"{PEPR}hasUnitConversion", node(iri)))
        document.say(
            iri, (_A, node(f"{PEPR}UnitConversion")), (f"{PEPR}sourceUnitCode", text(row["source_unit"])),
            (f"{PEPR}targetUnitCode", text(row["target_unit"])), (f"{PEPR}conversionFactor", decimal(row["factor"])),
            (f"{PEPR}conversionOffset", decimal(row["offset"] or 0.0)),
            (f"{PEPR}conversionCount", integer(row["count"])),
            *([(f"{PEPR}converts", node(element))] if element else []),
        )  # fmt: skip
        number += 1
    return number


# ---- Who was set aside -----------------------------------------------------------------------------------------------


def write_outcomes(
    document: Document, view: View, prepared: Prepared, stated: Stated, failures: Failures, *, most: int
) -> dict[str, int]:  # fmt: skip
    """Write who has no prediction, or not under every scenario, and why; return how many had each outcome.

    At most the first `most` of them are validated one by one.
    """
    status = prepared.inputs.status.copy()
    fell = np.unique(failures.place)
    first = np.searchsorted(failures.place, fell) if len(fell) else np.empty(0, np.int64)
    status[fell] = outcome_of(failures.code[first])
    aside = np.flatnonzero(status != Outcome.EVALUATED)
    reasons = {lang: reasons_of(view, prepared, failures, lang) for lang in LANGUAGES}
    names = joined(f"<{ID}evaluation-outcome/{stated.run}-", numbered(aside), ">")
    states = pa.array([outcome.iri for outcome in Outcome]).take(pa.array(status[aside].astype(np.int64)))
    end = min(stated.specimen, int(aside[most])) if len(aside) > most else stated.specimen
    cut = int(np.searchsorted(aside, end))
    document.say_all(node(stated.iri), [(f"{PEPR}hasOutcome", names)], len(aside), cut)
    pairs: list[tuple[str, Column]] = [
        (_A, node(f"{PEPR}EvaluationOutcome")),
        (f"{PEPR}outcomeFor", as_nodes(prepared.inputs.entities.take(pa.array(aside)))),
        (f"{PEPR}hasOutcomeStatus", as_nodes(states)),
    ]
    document.say_all(names, pairs, len(aside), cut)
    for lang, (places, texts) in reasons.items():
        _say_reasons(document, stated.run, places, texts, lang, end=end)
    for part in prepared.given:
        for flags in (part.resolved.lacks, part.resolved.clashes, part.resolved.bad_units):
            for symbol, lacking in flags.items():
                places = np.flatnonzero(lacking & (status != Outcome.EVALUATED))
                subjects = joined(f"<{ID}evaluation-outcome/{stated.run}-", numbered(places), ">")
                element = node(part.registered.elements[symbol])
                cut = int(np.searchsorted(places, end))
                document.say_all(subjects, [(f"{PEPR}lacksElement", element)], len(places), cut)
    counts = np.bincount(status, minlength=len(Outcome))
    return {outcome.name.lower().replace("_", "-"): int(counts[outcome]) for outcome in Outcome if counts[outcome]}


def _say_reasons(
    document: Document, run: str, places: npt.NDArray[np.int64], texts: pa.Array, lang: str, *, end: int
) -> None:  # fmt: skip
    subjects = joined(f"<{ID}evaluation-outcome/{run}-", numbered(places), ">")
    escaped = texts
    for plain, written in ESCAPES:
        escaped = pc.replace_substring(escaped, plain, written)
    said = joined('"', escaped, f'"@{lang}')
    cut = int(np.searchsorted(places, end))
    document.say_all(subjects, [(f"{PEPR}reason", said)], len(places), cut)


def reasons_of(
    view: View, prepared: Prepared, failures: Failures, lang: str
) -> tuple[npt.NDArray[np.int64], pa.Array]:  # fmt: skip
    """Return the places of those who were set aside, in order, and for each its reasons as one text."""
    found: list[tuple[npt.NDArray[np.int64], pa.Array]] = []
    for part in prepared.given:
        table = explain(part.resolved, part.registered, view, lang)
        places = np.asarray(table["entity"], np.int64)
        aside = pa.array(prepared.inputs.status[places] != Outcome.EVALUATED)
        table = table.filter(pc.and_(aside, pc.not_equal(pc.cast(table["kind"], pa.string()), Kind.NOTED.value)))
        found.append((np.asarray(table["entity"], np.int64), pc.cast(table["reason"], pa.string()).combine_chunks()))
    model = prepared.plan.model
    said = sentences(model, prepared.layout.scenarios, failures, lang)
    found.append((failures.place, said))
    places = np.concatenate([item[0] for item in found])
    texts = pa.concat_arrays([item[1] for item in found])
    if not len(places):
        return places, texts
    order = np.argsort(places, kind="stable")
    places, texts = places[order], texts.take(pa.array(order))
    fresh = np.r_[True, (places[1:] != places[:-1])]
    if len(texts):  # a reason that comes twice is said once
        coded = texts.dictionary_encode().indices.to_numpy()
        keep = np.r_[True, (places[1:] != places[:-1]) | (coded[1:] != coded[:-1])]
        places, texts = places[keep], texts.filter(pa.array(keep))
        fresh = np.r_[True, (places[1:] != places[:-1])]
    edges = np.r_[np.flatnonzero(fresh), len(places)]
    lists = pa.ListArray.from_arrays(pa.array(edges, pa.int32()), texts)
    return places[fresh], pc.binary_join(lists, " ")
