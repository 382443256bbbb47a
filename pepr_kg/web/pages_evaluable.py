"""What can be evaluated today: for one patient model by model, with what is lacking; for a cohort in numbers.

A model can be evaluated for somebody when its bindings resolve and the patient lies within its validity. The evaluator
decides that itself: it is asked for the figures of the first instant, and nothing is written.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Coupled, Registered, list_models
from pepr_kg.namespaces import ID
from pepr_kg.runs.evaluation import Preview, Request, preview
from pepr_kg.runs.request import end_of_today
from pepr_kg.web.answers import settings_of
from pepr_kg.web.pages_frame import Reader, Shown
from pepr_kg.web.pages_sheets import dataset_folder

AT_ONCE: Final = 300  # patients of a cohort that are looked at without being asked
MOST: Final = 3_000  # that are looked at when asked; a stored query counts more of them
_MODELS: Final = 20
_KEPT: Final = 1_000  # answers about a cohort and a model
_PLACES: Final = 2  # pages that compute at the same time
_WAIT_SECONDS: Final = 5.0  # for others who compute on a page, before a page does without
BUSY: Final = {"Retry-After": "5"}  # of a page that does without


@dataclass(frozen=True, slots=True)
class Evaluable:
    """Whether a model can be evaluated for the patient, and what is lacking, in sentences.

    known: the model where it can be evaluated, None where it cannot.
    """

    model: Shown
    lacks: tuple[str, ...]
    known: Registered | Coupled | None


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
        self._known: dict[tuple[str, ...], Counted] = {}

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Give whether there is room to compute, which is held until the block ends; wait a little for it."""
        free = self._places.acquire(timeout=_WAIT_SECONDS)
        try:
            yield free
        finally:
            if free:
                self._places.release()

    def kept(self, key: tuple[str, ...]) -> Counted | None:
        """Return an answer that was given before, if it is still kept."""
        with self._lock:
            return self._known.get(key)

    def keep(self, key: tuple[str, ...], found: Counted) -> Counted:
        """Keep an answer, forget the oldest, and return it."""
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return found


def trials_of(reader: Reader) -> Trials:
    """Return the trials of the application."""
    return cast(Trials, reader.request.app.state.trials)


def compute(reader: Reader, request: Request) -> Preview:
    """Return what `preview` gives, within the bounds of the server. Raises what it raises."""
    return preview(reader.view, dataset_folder(reader.request), request, settings_of(reader.request))


def evaluable(reader: Reader, patient: str, used: Sequence[str]) -> list[Evaluable] | None:
    """Return for each model of the patient's twins, or for each that there is, whether it can be evaluated.

    None where too many others compute.
    """
    names = list(used) or [item.iri for item in list_models(reader.view)]
    with trials_of(reader).place() as free:
        return [_looked_at(reader, patient, name) for name in names[:_MODELS]] if free else None


def _looked_at(reader: Reader, patient: str, iri: str) -> Evaluable:
    shown = reader.show_iri(iri)
    try:
        found = compute(reader, Request(iri, entities=(patient,), points=1, horizon=0.0, fit=False))
    except PeprError as error:
        return Evaluable(shown, (error.message(reader.lang),), None)
    lacks = tuple(dict.fromkeys(item.reasons.get(reader.lang, "") for item in found.aside))
    return Evaluable(shown, lacks, None if lacks else found.prepared.found)


def count(reader: Reader, cohort: str, models: Sequence[str], *, seconds: float) -> dict[str, Counted] | None:
    """Return for how many patients of a cohort (an IRI) each model can be evaluated, by model.

    After so many seconds no further model is begun, and those that are left are not in the answer. None where too many
    others compute.
    """
    trials = trials_of(reader)
    place = (reader.view.version, str(end_of_today().date()), cohort)
    found = {model: known for model in models if (known := trials.kept((*place, model)))}
    coupled = {item.iri for item in list_models(reader.view) if item.coupled}  # which take longest
    wanted = sorted((model for model in models if model not in found), key=lambda model: model in coupled)
    if wanted:
        with trials.place() as free:
            if not free:
                return None
            end = time.monotonic() + seconds
            for model in wanted:
                if time.monotonic() > end:
                    break
                found[model] = trials.keep((*place, model), _counted(reader, cohort, model))
    return found


def _counted(reader: Reader, cohort: str, model: str) -> Counted:
    try:
        found = compute(reader, Request(model, cohort=cohort, points=1, horizon=0.0, fit=False))
    except PeprError as error:
        return Counted(model, 0, {}, error)
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
