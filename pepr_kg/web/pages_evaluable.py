"""What can be evaluated today: for one patient model by model, with what is lacking; for a cohort in numbers.

A model can be evaluated for somebody when its bindings resolve and the patient lies within its validity. The evaluator
decides that itself: it is asked for the figures of the first instant, and nothing is written.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Registered, list_models
from pepr_kg.namespaces import ID
from pepr_kg.runs.evaluation import Preview, Request, preview
from pepr_kg.runs.request import end_of_today
from pepr_kg.web.answers import settings_of
from pepr_kg.web.pages_frame import Reader, Shown
from pepr_kg.web.pages_sheets import dataset_folder

AT_ONCE: Final = 300  # patients of a cohort that are looked at without being asked
MOST: Final = 3_000  # that are looked at when asked; a stored query counts more of them
_MODELS: Final = 20
_KEPT: Final = 50  # answers about cohorts
_PLACES: Final = 2  # pages that compute at the same time
_WAIT_SECONDS: Final = 5.0  # for others who compute on a page, before a page does without


@dataclass(frozen=True, slots=True)
class Evaluable:
    """Whether a model can be evaluated for the patient, and what is lacking, in sentences."""

    model: Shown
    ready: bool
    lacks: tuple[str, ...]
    known: Registered | None


@dataclass(frozen=True, slots=True)
class Counted:
    """For how many patients of a cohort a model can be evaluated, and how many are set aside, by outcome."""

    model: str
    ready: int
    aside: Mapping[str, int]
    problem: PeprError | None = None


class Trials:
    """The right to compute within a page: few at a time, so that pages cannot take the whole server.

    Answers about cohorts are kept, by the version of the dataset and the day.
    """

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(_PLACES)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], tuple[Counted, ...]] = {}

    def run(self, reader: Reader, request: Request) -> Preview | None:
        """Return what `preview` gives; None where too many others compute. Raises what `preview` raises."""
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            return None
        try:
            return preview(reader.view, dataset_folder(reader.request), request, settings_of(reader.request))
        finally:
            self._places.release()

    def kept(self, key: tuple[str, ...]) -> tuple[Counted, ...] | None:
        """Return an answer that was given before, if it is still kept."""
        with self._lock:
            return self._known.get(key)

    def keep(self, key: tuple[str, ...], found: tuple[Counted, ...]) -> None:
        """Keep an answer, and forget the oldest."""
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]


def trials_of(reader: Reader) -> Trials:
    """Return the trials of the application."""
    found: Trials = reader.request.app.state.trials
    return found


def evaluable(reader: Reader, patient: str, used: Sequence[str]) -> list[Evaluable]:
    """Return for each model of the patient's twins, or for each that there is, whether it can be evaluated."""
    names = list(used) or [item.iri for item in list_models(reader.view)]
    return [_looked_at(reader, patient, name) for name in names[:_MODELS]]


def _looked_at(reader: Reader, patient: str, iri: str) -> Evaluable:
    shown = reader.show_iri(iri)
    try:
        found = trials_of(reader).run(reader, Request(iri, entities=(patient,), points=1, horizon=0.0, fit=False))
    except PeprError as error:
        return Evaluable(shown, False, (error.message(reader.lang),), None)
    if found is None:
        return Evaluable(shown, False, (reader.phrase("trial.busy"),), None)
    lacks = tuple(dict.fromkeys(item.reasons.get(reader.lang, "") for item in found.aside))
    model = found.prepared.found
    return Evaluable(shown, not lacks, lacks, model if isinstance(model, Registered) else None)


def count(reader: Reader, cohort: str, models: Sequence[str]) -> tuple[Counted, ...] | None:
    """Return for how many patients of a cohort (an IRI) each model can be evaluated; None where others compute."""
    key = (reader.view.version, str(end_of_today().date()), cohort, *models)
    found = trials_of(reader).kept(key)
    if found is None:
        counted = [_counted(reader, cohort, name) for name in models[:_MODELS]]
        whole = tuple(item for item in counted if item is not None)
        if len(whole) < len(counted):
            return None
        trials_of(reader).keep(key, whole)
        found = whole
    return found


def _counted(reader: Reader, cohort: str, model: str) -> Counted | None:
    try:
        found = trials_of(reader).run(reader, Request(model, cohort=cohort, points=1, horizon=0.0, fit=False))
    except PeprError as error:
        return Counted(model, 0, {}, error)
    if found is None:
        return None
    aside = Counter(item.outcome for item in found.aside)
    return Counted(model, len(found.prepared.inputs.entities) - sum(aside.values()), aside)


def outcome_text(reader: Reader, counted: Counted) -> str:
    """Return who is set aside as a text: how many, and why, by outcome."""
    if counted.problem is not None:
        return counted.problem.message(reader.lang)
    parts = [
        f"{number}\u00a0× {reader.label(f'{ID}outcome-status/{name}').text}"
        for name, number in sorted(counted.aside.items(), key=lambda item: (-item[1], item[0]))
    ]
    return ", ".join(parts) or "–"
