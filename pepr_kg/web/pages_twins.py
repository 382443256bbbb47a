"""The page about a patient and its twin: what was observed, what is predicted, what can be evaluated, what if."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np
from fastapi import Response
from markupsafe import Markup

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Registered, find_model, list_models
from pepr_kg.namespaces import ID, PEPR
from pepr_kg.resources import read_query
from pepr_kg.runs.binding import resolve
from pepr_kg.runs.reading import Band, Listed, read_band, runs_of
from pepr_kg.runs.reasons import explain
from pepr_kg.runs.request import end_of_today
from pepr_kg.store import NamedNode, Term
from pepr_kg.web.figures import day_of, days_in, unit_text
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, sort_key, twin_addresses
from pepr_kg.web.pages_sheets import Fact, Sheet, dataset_folder, facts, figure, moment, plain, text, values_of
from pepr_kg.web.pages_whatif import try_change
from pepr_kg.web.pictures import Axis, Chart, Series, draw

_MODELS: Final = 20  # models that are looked at for one patient
_RUNS: Final = 8  # runs whose predictions stand on the page
_CHARTS: Final = 4  # pictures of one run
_ROWS: Final = 200  # observations in the table
_NO_LONGER: Final = ("superseded", "withdrawn")


@dataclass(slots=True)
class Observed:
    """The observations of one quantity that hold: days since 1970, values, unit."""

    concept: str
    unit: str
    days: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


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


@dataclass(frozen=True, slots=True)
class Evaluable:
    """Whether a model can be evaluated for the patient, and what is lacking, in sentences."""

    model: Shown
    name: str
    ready: bool
    lacks: tuple[str, ...]
    known: Registered | None


def twin_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a patient, or about a twin, which shows its patient's."""
    said = values_of(reader, iri)
    patient = next((node.value for node in said.get(PEPR + "twinOf", ())), iri)
    person = said if patient == iri else values_of(reader, patient)
    rows = list(reader.select("observations", entity=NamedNode(patient)).iter_dicts())
    observed = _observed(rows)
    twins = list(reader.select("twins-of", patient=NamedNode(patient)).iter_dicts())
    used = sorted({text(row, "model") for row in twins if "model" in row})
    evaluable = _evaluable(reader, patient, used)
    tried = try_change(reader, patient, [item.known for item in evaluable if item.ready and item.known])
    label = reader.label(iri).text
    return reader.page(
        "twin.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        status=422 if tried.problem else 200,
        iri=iri,
        label=label,
        is_twin=patient != iri,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        patient=reader.show_iri(patient),
        synthetic=any(node.value.endswith("/synthetic") for node in person.get(PEPR + "hasIdentifiability", ())),
        facts=[*_about(reader, person), *_twins(reader, twins)],
        pictures=_pictures(reader, observed),
        sheet=_observations(reader, rows),
        predicted=list(_predicted(reader, patient, used, observed)),
        evaluable=evaluable,
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


# ---- What was observed -----------------------------------------------------------------------------------------------


def _observed(rows: Sequence[Mapping[str, Term]]) -> dict[str, Observed]:
    """Return the observations that hold, by quantity: those in the unit that its first one has."""
    found: dict[str, Observed] = {}
    for row in rows:
        if "value" not in row or text(row, "status").endswith(_NO_LONGER):
            continue
        series = found.setdefault(text(row, "concept"), Observed(text(row, "concept"), text(row, "unit")))
        if text(row, "unit") == series.unit:
            series.days.append(day_of(text(row, "time")))
            series.values.append(float(text(row, "value")))
    return found


def _pictures(reader: Reader, observed: Mapping[str, Observed]) -> list[tuple[Shown, Markup]]:
    """Return a picture for each quantity that was observed more than once."""
    several = [item for item in observed.values() if len(item.days) > 1]
    found = []
    for item in sorted(several, key=lambda item: sort_key(reader.label(item.concept).text)):
        name = reader.label(item.concept).text
        days, values = np.array(item.days), np.array(item.values)
        description = reader.phrase(
            "picture.observed", number=len(values), first=moment(reader, _stamp(days.min())).text,
            last=moment(reader, _stamp(days.max())).text, low=figure(reader, values.min(), item.unit).text,
            high=figure(reader, values.max(), item.unit).text,
        )  # fmt: skip
        series = (Series(name, days, values), Series(name, days, values, points=True))
        picture = draw(
            Chart(name, description, series, Axis("", dates=True), unit_text(item.unit, reader.lang)), reader.lang
        )
        found.append((reader.show_iri(item.concept), picture))
    return found


def _stamp(day: float) -> str:
    return str(np.datetime64(int(day), "D"))


def _observations(reader: Reader, rows: Sequence[Mapping[str, Term]]) -> Sheet:
    latest = sorted(rows, key=lambda row: (sort_key(reader.label(text(row, "concept")).text), text(row, "time")))
    shown = [
        [
            reader.show_iri(text(row, "concept")),
            figure(reader, text(row, "value"), text(row, "unit")),
            moment(reader, text(row, "time")),
            Shown(reader.label(text(row, "status")).text if "status" in row else reader.phrase("twin.holds")),
            Shown(text(row, "observation").rpartition("/")[2], reader.href(text(row, "observation"))),
        ]
        for row in latest[:_ROWS]
    ]
    headings = ("quantity", "value", "date", "status", "observation")
    note = reader.phrase("sheet.first", number=_ROWS) if len(rows) > _ROWS else ""
    return Sheet(reader.phrase("twin.observations"), _headings(reader, headings), shown, note)


def _headings(reader: Reader, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(reader.phrase(f"column.{name}") for name in names)


# ---- What is predicted -----------------------------------------------------------------------------------------------


def _predicted(
    reader: Reader, patient: str, used: Sequence[str], observed: Mapping[str, Observed]
) -> Iterator[Predicted]:
    """Yield the predictions of the latest run of each model that holds, those of the twin's own models first."""
    latest: dict[str, Listed] = {}
    for run in runs_of(reader.view, patient):
        if run.result_status == "current":
            latest.setdefault(run.model, run)
    for run in sorted(latest.values(), key=lambda run: run.model not in used)[:_RUNS]:
        bound = {"evaluation": NamedNode(run.iri), "entity": NamedNode(patient)}
        rows = list(reader.select("predictions", **bound).iter_dicts())
        if rows:
            keys = tuple(dict.fromkeys(reader.label(text(row, "scenario")).text for row in rows))
            yield Predicted(
                reader.show_iri(run.iri), reader.show_iri(run.model), moment(reader, run.ended),
                tuple(_courses(reader, patient, run, rows, observed)), keys[:4], _predictions(reader, run, rows),
                not reader.view.ask(read_query("pages/used-of"), bound),
            )  # fmt: skip


def _predictions(reader: Reader, run: Listed, rows: Sequence[Mapping[str, Term]]) -> Sheet:
    shown = [
        [
            reader.show_iri(text(row, "variable")),
            Shown(reader.label(text(row, "scenario")).text),
            Shown(figure(reader, text(row, "value"), text(row, "unit")).text, reader.href(run.iri)),
            Shown(f"{plain(reader, text(row, 'lower')).text} – {plain(reader, text(row, 'upper')).text}"
                  if "lower" in row else "–"),
            figure(reader, text(row, "at"), text(row, "timeUnit")),
            moment(reader, text(row, "for")),
        ]
        for row in rows
    ]  # fmt: skip
    headings = ("variable", "scenario", "value", "interval", "at", "for")
    return Sheet(
        reader.phrase("twin.predictions.of", model=reader.label(run.model).text), _headings(reader, headings), shown
    )


def _courses(
    reader: Reader, patient: str, run: Listed, rows: Sequence[Mapping[str, Term]], observed: Mapping[str, Observed]
) -> Iterator[tuple[str, Markup]]:
    """Yield the pictures of what changes over time, and of what was measured, first; none where a file is lost."""
    try:
        band = read_band(dataset_folder(reader.request), run.id, patient)
    except PeprError:
        return
    if band is None:
        return
    measured = {
        place: _measured(reader, (iri, unit), band, rows, observed)
        for place, (iri, unit) in enumerate(zip(band.iris, band.units, strict=True))
    }
    moving = [place for place in measured if _moves(band, place) or measured[place] is not None]
    for place in sorted(moving, key=lambda place: measured[place] is None)[:_CHARTS]:
        points = measured[place]
        series = [
            Series(
                reader.label(name).text, band.times, band.data[band.middle, place, number],
                None if band.lower is None else band.data[band.lower, place, number],
                None if band.upper is None else band.data[band.upper, place, number],
            )
            for number, name in enumerate(band.scenarios)
        ]  # fmt: skip
        name = reader.label(band.iris[place]).text
        axis = Axis(unit_text(band.time_unit, reader.lang, plural=True))
        description = describe(reader, series, band.units[place])
        chart = Chart(
            name, description, (*series, *([points] if points else [])), axis, unit_text(band.units[place], reader.lang)
        )
        yield name, draw(chart, reader.lang)


def describe(reader: Reader, series: Sequence[Series], unit: str) -> str:
    """Return in a sentence for each line where it begins and ends."""
    sentences = []
    for item in series:
        fine = item.values[np.isfinite(item.values)]
        if len(fine):
            first, last = figure(reader, fine[0], unit).text, figure(reader, fine[-1], unit).text
            sentences.append(reader.phrase("picture.course", name=item.name, first=first, last=last))
    return " ".join(sentences)


def _moves(band: Band, place: int) -> bool:
    values = band.data[band.middle, place]
    fine = values[np.isfinite(values)]
    return len(fine) > 1 and bool(np.ptp(fine) > 1e-9 * np.abs(fine).max())


def _measured(
    reader: Reader, output: tuple[str, str], band: Band, rows: Sequence[Mapping[str, Term]], 
    observed: Mapping[str, Observed],
) -> Series | None:  # fmt: skip
    """Return what was measured of the quantity of an output (IRI, unit), in its unit, on the clock of the model."""
    variable, unit = output
    length = days_in(band.time_unit)
    origins = [
        day_of(text(row, "for")) - float(text(row, "at")) * length
        for row in rows
        if length and "for" in row and "at" in row
    ]
    for quad in reader.view.quads(NamedNode(variable), NamedNode(PEPR + "quantity")):
        item = observed.get(quad.object.value) if isinstance(quad.object, NamedNode) else None
        if item and item.unit == unit and origins and length and math.isfinite(origins[0]):
            at = (np.array(item.days) - origins[0]) / length
            inside = (at >= band.times[0] - 1e-9) & (at <= band.times[-1] * (1 + 1e-9))
            if inside.any():
                return Series(reader.phrase("picture.measured"), at[inside], np.array(item.values)[inside], points=True)
    return None


# ---- What can be evaluated -------------------------------------------------------------------------------------------


def _evaluable(reader: Reader, patient: str, used: Sequence[str]) -> list[Evaluable]:
    """Return for each model of the patient's twins, or for each that there is, whether it can be evaluated."""
    names = list(used) or [item.iri for item in list_models(reader.view)]
    return [_looked_at(reader, patient, name) for name in names[:_MODELS]]


def _looked_at(reader: Reader, patient: str, iri: str) -> Evaluable:
    shown, name = reader.show_iri(iri), iri.removeprefix(f"{ID}model/")
    try:
        model = find_model(reader.view, iri, dataset_folder(reader.request))
        parts = [model] if isinstance(model, Registered) else [model.fast, model.slow]
        lacks: dict[str, None] = {}
        for part in parts:
            found = resolve(reader.view, part, cohort=None, entities=(patient,), as_of=end_of_today(), fit=False)
            lacks.update(dict.fromkeys(explain(found, part, reader.view, reader.lang)["reason"].to_pylist()))
    except PeprError as error:
        return Evaluable(shown, name, False, (error.message(reader.lang),), None)
    return Evaluable(shown, name, not lacks, tuple(lacks), model if isinstance(model, Registered) else None)
