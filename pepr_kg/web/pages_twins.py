"""The page about a patient and its twin: what was observed, what is predicted, what can be evaluated, what if."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from fastapi import Response
from markupsafe import Markup

from pepr_kg.errors import PeprError
from pepr_kg.namespaces import PEPR
from pepr_kg.resources import read_query
from pepr_kg.runs.reading import read_band
from pepr_kg.runs.request import end_of_today
from pepr_kg.store import NamedNode, Term
from pepr_kg.web.figures import day_of, days_in
from pepr_kg.web.pages_courses import draw_course, moves
from pepr_kg.web.pages_evaluable import BUSY, evaluable
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_observed import Clock, Observed, draw_observed, list_observed, measured_of, read_observed
from pepr_kg.web.pages_sheets import (
    Fact,
    Sheet,
    dataset_folder,
    facts,
    figure,
    headings,
    interval,
    moment,
    text,
    values_of,
)
from pepr_kg.web.pages_whatif import try_change
from pepr_kg.web.pictures import Series

_RUNS: Final = 8  # runs whose predictions stand on the page
_CHARTS: Final = 4  # pictures of one run
_HOLDS: Final = "/current"

Rows = list[dict[str, Term]]  # of an answer


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one run predicts of the patient: pictures with their names, the scenarios by line, and a table.

    `typical`: no observation of the patient entered it, so that it is the model with typical parameters.
    """

    run: Shown
    model: Shown
    made: Shown
    charts: tuple[tuple[str, Markup], ...]
    keys: tuple[str, ...]
    sheet: Sheet
    typical: bool


def twin_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a patient, or about a twin, which shows its patient's."""
    said = values_of(reader, iri)
    patient = next((node.value for node in said.get(PEPR + "twinOf", ())), iri)
    person = said if patient == iri else values_of(reader, patient)
    rows = list(reader.select("observations", entity=NamedNode(patient)).iter_dicts())
    observed = read_observed(rows)
    twins = list(reader.select("twins-of", patient=NamedNode(patient)).iter_dicts())
    used = sorted({text(row, "model") for row in twins if "model" in row})
    models = evaluable(reader, patient, used)
    ready = None if models is None else [item.known for item in models if item.known]
    tried = try_change(reader, patient, ready, observed)
    busy = models is None or tried.busy
    label = reader.label(iri).text
    return reader.page(
        "twin.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        headers=BUSY if busy else None,
        status=503 if tried.busy else 422 if tried.problem else 200,
        keep=not busy,
        iri=iri,
        label=label,
        is_twin=patient != iri,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        patient=reader.show_iri(patient),
        synthetic=any(node.value.endswith("/synthetic") for node in person.get(PEPR + "hasIdentifiability", ())),
        facts=[*_about(reader, person), *_twins(reader, twins)],
        pictures=draw_observed(reader, observed),
        sheet=list_observed(reader, rows),
        predicted=list(_predicted(reader, patient, used, observed)),
        evaluable=models or (),
        busy=models is None,
        tried=tried,
        choices=tried.choices,
        asked=tried.asked,
    )


def _about(reader: Reader, person: Mapping[str, Sequence[Term]]) -> list[Fact]:
    born = next((node.value for node in person.get(PEPR + "birthDate", ())), "")
    found = facts(reader, person, [
        ("twin.sex", "pepr:hasSex"), ("twin.born", "pepr:birthDate"), ("twin.cohort", "pepr:memberOfCohort"),
        ("twin.identifiability", "pepr:hasIdentifiability"),
    ])  # fmt: skip
    age = _age(born, end_of_today().date())
    return [Fact(reader.phrase("twin.age"), [figure(reader, age, "a")]), *found] if age is not None else found


def _age(born: str, today: date) -> int | None:
    """Return an age in whole years.

    >>> _age("1958-03-02", date(2025, 3, 1)), _age("", date(2025, 3, 1))
    (66, None)
    """
    try:
        day = date.fromisoformat(born)
    except ValueError:
        return None
    return today.year - day.year - ((today.month, today.day) < (day.month, day.day))


def _twins(reader: Reader, rows: Sequence[Mapping[str, Term]]) -> list[Fact]:
    twins, models = (dict.fromkeys(text(row, name) for row in rows if name in row) for name in ("twin", "model"))
    found = [("twin.twins", twins), ("twin.models", models)]
    return [Fact(reader.phrase(key), [reader.show_iri(name) for name in names]) for key, names in found if names]


# ---- What is predicted -----------------------------------------------------------------------------------------------


def _predicted(
    reader: Reader, patient: str, used: Sequence[str], observed: Mapping[str, Observed]
) -> Iterator[Predicted]:
    """Yield the predictions of the latest run of each model that holds, those of the twin's own models first."""
    runs: dict[str, Rows] = {}
    for row in reader.select("entity-predictions", entity=NamedNode(patient)).iter_dicts():
        if text(row, "status").endswith(_HOLDS):
            runs.setdefault(text(row, "evaluation"), []).append(row)
    latest: dict[str, Rows] = {}
    for rows in runs.values():
        latest.setdefault(text(rows[0], "model"), rows)
    for model in sorted(latest, key=lambda model: model not in used)[:_RUNS]:
        rows = latest[model]
        keys = tuple(dict.fromkeys(reader.label(text(row, "scenario")).text for row in rows))
        charts = tuple(_courses(reader, patient, rows, observed))
        run, ended = text(rows[0], "evaluation"), text(rows[0], "ended")
        yield Predicted(
            reader.show_iri(run), reader.show_iri(model), moment(reader, ended), charts, keys[:4],
            _predictions(reader, model, rows),
            not reader.view.ask(
                read_query("pages/used-of"), {"evaluation": NamedNode(run), "entity": NamedNode(patient)}
            ),
        )  # fmt: skip


def _predictions(reader: Reader, model: str, rows: Rows) -> Sheet:
    shown = [
        [
            reader.show_iri(text(row, "variable")),
            Shown(reader.label(text(row, "scenario")).text),
            Shown(figure(reader, text(row, "value"), text(row, "unit")).text, reader.href(text(row, "evaluation"))),
            interval(reader, row),
            figure(reader, text(row, "at"), text(row, "timeUnit")),
            moment(reader, text(row, "for"), clock=(days_in(text(row, "timeUnit")) or 0.0) < 1.0),
        ]
        for row in rows
    ]  # fmt: skip
    names = ("variable", "scenario", "value", "interval", "at", "for")
    return Sheet(reader.phrase("twin.predictions.of", model=reader.label(model).text), headings(reader, names), shown)


def _courses(
    reader: Reader, patient: str, rows: Rows, observed: Mapping[str, Observed]
) -> Iterator[tuple[str, Markup]]:
    """Yield the pictures of what changes over time, and of what was measured, first; none where a file is lost."""
    try:
        band = read_band(dataset_folder(reader.request), text(rows[0], "evaluation"), patient)
    except PeprError:
        return
    if band is None:
        return
    start, clock = _start(rows, band.time_unit), Clock(band.times, band.time_unit)
    measured = {
        place: measured_of(reader, _quantities(reader, iri), unit, observed, clock.at(start))
        for place, (iri, unit) in enumerate(zip(band.iris, band.units, strict=True))
    }
    moving = [place for place in measured if moves(band.data[band.middle, place]) or measured[place] is not None]
    for place in sorted(moving, key=lambda place: measured[place] is None)[:_CHARTS]:
        lines = [
            Series(
                reader.label(name).text, band.times, band.data[band.middle, place, number],
                None if band.lower is None else band.data[band.lower, place, number],
                None if band.upper is None else band.data[band.upper, place, number],
            )
            for number, name in enumerate(band.scenarios)
        ]  # fmt: skip
        name = reader.label(band.iris[place]).text
        yield name, draw_course(reader, name, lines, measured[place], time_unit=band.time_unit, unit=band.units[place])


def _start(rows: Rows, time_unit: str) -> float:
    """Return the day on which a run starts: that of a prediction less its time; NaN where there is no date."""
    length = days_in(time_unit)
    dated = [row for row in rows if length and "for" in row and "at" in row]
    return day_of(text(dated[0], "for")) - float(text(dated[0], "at")) * length if dated and length else math.nan


def _quantities(reader: Reader, variable: str) -> list[str]:
    quads = reader.view.quads(NamedNode(variable), NamedNode(PEPR + "quantity"))
    return [quad.object.value for quad in quads if isinstance(quad.object, NamedNode)]
