"""The page about a run: what it rests on, how it was computed, what came of it, and whether it still holds."""

from collections.abc import Sequence
from typing import Final

from fastapi import Response

from pepr_kg.namespaces import ID, PEPR
from pepr_kg.runs.reading import RunFacts, outcome_counts, read_run
from pepr_kg.store import Literal, NamedNode
from pepr_kg.web.figures import days_in
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_sheets import (
    Fact,
    Sheet,
    dataset_folder,
    figure,
    interval,
    make_sheet,
    moment,
    plain,
    result,
    text,
    unit,
    values_of,
)

_ROWS: Final = 20  # of a table before it says how many more there are
_STATES: Final = {"superseded": "run.status.superseded", "withdrawn": "run.status.withdrawn"}
_TONES: Final = {"current": "sure", "superseded": "doubt", "withdrawn": "doubt"}


def run_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a run. Raises `UnknownRun`."""
    facts = read_run(reader.view, dataset_folder(reader.request), iri)
    label = reader.label(iri)
    return reader.page(
        "run.html",
        label.text,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        iri=iri,
        label=label.text,
        status=200,
        state=reader.phrase(_STATES.get(facts.result_status, "run.status.current")),
        tone=_TONES.get(facts.result_status, "open"),
        withdrawal=facts.withdrawal.get(reader.lang, ""),
        because=[reader.show_iri(name) for name in facts.withdrawn_because],
        replaced=[reader.show_iri(name) for name in facts.replaced_by],
        facts=_facts(reader, facts),
        files=_files(facts),
        sheets=[sheet for sheet in _sheets(reader, facts) if sheet.rows],
    )


def _facts(reader: Reader, facts: RunFacts) -> list[Fact]:
    number = [
        ("run.model", [reader.show_iri(facts.model)]),
        ("run.model.digest", [Shown(facts.model_digest, code=True)]),
        ("run.meaning.digest", [Shown(facts.meaning_digest, code=True)]),
        ("run.evaluates", [reader.show_iri(name) for name in facts.evaluates[:_ROWS]]),
        ("run.patients", [Shown(reader.phrase("run.patients.of", evaluated=plain(reader, facts.evaluated).text,
                                              patients=plain(reader, facts.patients).text))]),
        ("run.scenarios", [Shown(reader.label(item.iri).text) for item in facts.scenarios]),
        ("run.asked.by", [_agent(reader, facts.asked_by)] if facts.asked_by else []),
        ("run.as.of", [moment(reader, facts.as_of)]),
        ("run.started", [moment(reader, facts.started)]),
        ("run.ended", [moment(reader, facts.ended)]),
        ("run.software", [Shown(facts.software)]),
        ("run.solvers", [reader.show_iri(name) if name.startswith(ID) else Shown(name) for name in facts.solvers]),
        ("run.tolerance", [plain(reader, facts.rtol)]),
        ("run.samples", [plain(reader, facts.samples)]),
        ("run.seed", [Shown(str(facts.seed))]),
        ("run.fitted", [Shown(reader.phrase("value.true" if facts.fitted else "value.false"))]),
        ("run.replaces", [reader.show_iri(name) for name in facts.replaces]),
        ("run.key", [Shown(facts.key, code=True)]),
    ]  # fmt: skip
    return [Fact(reader.phrase(key), values) for key, values in number if values]


def _agent(reader: Reader, name: str) -> Shown:
    return reader.show_iri(name) if name.startswith(("https://", "http://")) else Shown(name)


def _files(facts: RunFacts) -> list[tuple[str, str, str]]:
    """Return name, address and digest of the files of a run that are there."""
    home = f"/runs/{facts.id}/"
    both = ((facts.trajectories, facts.trajectories_digest), (facts.inputs, facts.inputs_digest))
    return [(path.name, home + path.name, digest) for path, digest in both if path.is_file()]


def _sheets(reader: Reader, facts: RunFacts) -> list[Sheet]:
    node = NamedNode(facts.iri)
    return [
        _predictions(reader, node),
        _counts(reader, facts),
        _aside(reader, node),
        _observations(reader, node, facts.model),
        _conversions(reader, node),
    ]


def _predictions(reader: Reader, node: NamedNode) -> Sheet:
    rows = list(reader.select("run-predictions", evaluation=node).iter_dicts())
    names = ("patient", "variable", "scenario", "value", "interval", "for")
    shown = [
        [
            reader.show_iri(text(row, "entity")),
            reader.show_iri(text(row, "variable")),
            Shown(reader.label(text(row, "scenario")).text),
            figure(reader, text(row, "value"), text(row, "unit")),
            interval(reader, row),
            moment(reader, text(row, "for"), clock=(days_in(text(row, "timeUnit")) or 0.0) < 1.0),
        ]
        for row in rows[:_ROWS]
    ]  # fmt: skip
    return make_sheet(reader, "run.predictions", names, shown, _more(reader, rows))


def _aside(reader: Reader, node: NamedNode) -> Sheet:
    rows = list(reader.select("run-aside", evaluation=node, lang=Literal(reader.lang)).iter_dicts())
    shown = [
        [reader.show_iri(text(row, "entity")), Shown(reader.label(text(row, "status")).text),
         Shown(text(row, "reason"))]
        for row in rows[:_ROWS]
    ]  # fmt: skip
    return make_sheet(reader, "run.aside", ("patient", "outcome", "reason"), shown, _more(reader, rows))


def _counts(reader: Reader, facts: RunFacts) -> Sheet:
    counts = outcome_counts(reader.view, facts)
    shown = [
        [Shown(reader.label(f"{ID}outcome-status/{name}").text), plain(reader, count)] for name, count in counts.items()
    ]
    return make_sheet(reader, "run.outcomes", ("outcome", "count"), shown)


def _observations(reader: Reader, node: NamedNode, model: str) -> Sheet:
    rows = list(reader.select("run-observations", evaluation=node).iter_dicts())
    used = sum(int(text(row, "count")) for row in reader.select("run-used-count", evaluation=node).iter_dicts())
    parts = values_of(reader, model)
    models = 1 + len(parts.get(f"{PEPR}hasFastModel", ())) + len(parts.get(f"{PEPR}hasSlowModel", ()))
    shown = [
        [reader.show_iri(text(row, "observation")), reader.show_iri(text(row, "entity")),
         reader.show_iri(text(row, "concept")) if "concept" in row else Shown("–"), result(reader, row),
         moment(reader, text(row, "time"))]
        for row in rows
    ]  # fmt: skip
    note = reader.phrase("run.observations.note", number=plain(reader, used - models).text)
    columns = ("observation", "patient", "quantity", "value", "date")
    return make_sheet(reader, "run.observations", columns, shown, note)


def _conversions(reader: Reader, node: NamedNode) -> Sheet:
    shown = [
        [reader.show_iri(text(row, "element")), unit(reader, text(row, "source")), unit(reader, text(row, "target")),
         plain(reader, text(row, "factor")), plain(reader, text(row, "offset")), plain(reader, text(row, "count"))]
        for row in reader.select("run-conversions", evaluation=node).iter_dicts()
    ]  # fmt: skip
    columns = ("variable", "unit.from", "unit.to", "factor", "offset", "count")
    return make_sheet(reader, "run.conversions", columns, shown)


def _more(reader: Reader, rows: Sequence[object]) -> str:
    """Return the sentence that says that there are more rows than the page shows; nothing where there are not."""
    return reader.phrase("sheet.first", number=_ROWS) if len(rows) > _ROWS else ""
