"""FHIR taken in over HTTP: POST /fhir with a Bundle, one resource or NDJSON, into the cohort that `?cohort=` names.

The body goes to a file first, within a bound, so that its size costs no memory, and then the way of `pepr-kg load
--fhir`: one change, validated, committed whole or not at all. Who may do it is who may evaluate: programs, and pages of
this server (`evaluations.refuse_other_sites`).
"""

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pepr_kg.errors import BadRequest, DatasetLocked, RequestTooLarge, UnsupportedMedia
from pepr_kg.fhir.answering import Seen, answer_bundle, answer_outcome, methods_of
from pepr_kg.fhir.datatypes import write
from pepr_kg.fhir.documents import Form, open_documents
from pepr_kg.fhir.identities import is_id
from pepr_kg.fhir.intake import Into, Keep, take_in
from pepr_kg.fhir.intake_report import Report
from pepr_kg.fhir.offer_errors import BadSearch, IntakeWaits
from pepr_kg.fhir.offered import tag_of
from pepr_kg.fhir.sources import Limits
from pepr_kg.store import Dataset
from pepr_kg.web.answers import language_of, parameters_of, settings_of
from pepr_kg.web.evaluations import refuse_other_sites
from pepr_kg.web.fhir import JSON, LINES, FhirRoute, base_of, release_named

router = APIRouter(prefix="/fhir", tags=["FHIR"], route_class=FhirRoute)

_JSON: Final = frozenset({JSON.media_type, *JSON.aliases})
_LINES: Final = frozenset({LINES.media_type, *LINES.aliases})
_HERE: Final = re.compile(r"/fhir/?")
_ANY: Final = frozenset({"cohort", "keep", "base", "lang", "_format"})
_LOOK: Final = 0.1  # seconds between two looks whether another writer has finished
_LISTED: Final = 50_000_000  # bytes of a body of whose resources the outcome is listed one by one
_NO_COHORT: Final = {
    "en": "Say into which cohort these resources go: POST /fhir?cohort=NAME (small letters, digits and hyphens).",
    "fr": "Dites dans quelle cohorte vont ces ressources\u202f: POST /fhir?cohort=NOM (minuscules, chiffres et traits "
    "d’union).",
}
RECEIVED: Final = 8  # bodies that come in at the same time
TAKEN: Final = 2  # bodies that are taken in, or wait for their turn, at the same time


class Takers:
    """How many bodies are received, or taken in, just now. Raises `IntakeWaits` for one more than may."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0

    def __enter__(self) -> None:
        if self.count >= self.most:
            raise IntakeWaits(seconds=0.0)
        self.count += 1

    def __exit__(self, *_error: object) -> None:
        self.count -= 1


def acts(path: str) -> bool:
    """Return whether something can be changed at an address.

    >>> acts("/fhir"), acts("/fhir/Patient")
    (True, False)
    """
    return _HERE.fullmatch(path) is not None


def methods(path: str) -> str | None:
    """Return the methods of an address of this module, for `Allow`; None for all others."""
    return "GET, HEAD, POST, OPTIONS" if acts(path) else None


@router.post("", include_in_schema=False)
@router.post("/", include_in_schema=False)
async def take(request: Request) -> Response:
    """Take resources in, and answer with what became of them."""
    refuse_other_sites(request)
    given = dict(parameters_of(request.scope["query_string"]))
    for name in given:
        if name not in _ANY:
            raise BadSearch(parameter=name, type="POST /fhir", known=", ".join(sorted(_ANY)))
    if not given.get("cohort"):
        raise BadRequest(detail=_NO_COHORT)
    form, release = _media(request)
    settings = settings_of(request)
    limits = replace(Limits.of(settings), gzip_bytes=settings.fhir_request_bytes)
    receivers, takers = cast(tuple[Takers, Takers], request.app.state.takers)
    with receivers, tempfile.TemporaryDirectory(prefix="pepr-fhir-") as folder:
        path = Path(folder) / "body"
        size = await _receive(request, path, settings.fhir_request_bytes)
        is_listed = size <= _LISTED
        keep = cast(Keep, given.get("keep", "both"))
        into = Into(given["cohort"], release, given.get("base") or None, keep, listed=is_listed)
        seen = Seen()
        dataset = cast(Dataset, request.app.state.dataset)
        turn = _Turn(dataset, path, into, form, limits, settings.run_wait_seconds)
        with takers:
            report = await run_in_threadpool(turn.take, seen)
        kind, methods = ("", list[str]())
        if is_listed and form == "json":
            kind, methods = await run_in_threadpool(methods_of, path, limits)
    if keep == "terms":  # what is not kept as FHIR has no address of its own
        report = replace(report, resources=tuple(replace(item, id="") for item in report.resources))
    return _answer(request, report, seen, kind, methods)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A body that waits for its turn, since one writes at a time."""

    dataset: Dataset
    path: Path
    into: Into
    form: Form
    limits: Limits
    seconds: float

    def take(self, seen: Seen) -> Report:
        """Take the body in as soon as nobody else writes. Raises `IntakeWaits` when that takes too long."""
        deadline = time.monotonic() + self.seconds
        while True:
            faults = seen.faults
            documents = open_documents(
                self.path, self.limits, name="POST /fhir", form=self.form, faults=faults.append
            )  # fmt: skip
            try:
                return take_in(self.dataset, seen.watch(documents), self.into, faults)
            except DatasetLocked as error:
                if time.monotonic() > deadline:
                    raise IntakeWaits(seconds=self.seconds) from error
            time.sleep(_LOOK)


async def _receive(request: Request, path: Path, limit: int) -> int:
    """Write the body to a file and return its bytes. Raises `RequestTooLarge`."""
    size = 0
    with path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise RequestTooLarge(limit=limit)
            file.write(part)
    return size


def _media(request: Request) -> tuple[Form, str]:
    """Return what kind of body it is and of which release. Raises `UnsupportedMedia` or `ReleaseNotOffered`."""
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind not in _JSON | _LINES:
        raise UnsupportedMedia(found=kind or "-", expected=f"{JSON.media_type}, {LINES.media_type}")
    return ("ndjson" if kind in _LINES else "json"), release_named(given) or "R4"


def _answer(request: Request, report: Report, seen: Seen, kind: str, methods: Sequence[str]) -> Response:
    """Return what became of a body, as FHIR answers to each kind of it."""
    lang = language_of(request)
    headers = {"Cache-Control": "no-store", "Content-Language": lang, "Vary": "Accept, Accept-Language"}
    failed = not report.committed and report.refused > 0
    if kind in {"transaction", "batch"} and not (failed and kind == "transaction"):
        body = write(answer_bundle(kind, methods, report, seen, lang))
        return Response(body, 200, headers, media_type=JSON.media_type)
    status = 422 if failed else 200
    if seen.bundle is None and seen.count == 1 and len(report.resources) == 1 and not failed:
        taken = report.resources[0]
        status = 201 if taken.outcome == "created" else 200
        if is_id(taken.id):
            headers |= {"Location": f"{base_of(request)}{taken.type}/{taken.id}", "ETag": tag_of(taken.version)}
    return Response(write(answer_outcome(report, seen, lang)), status, headers, media_type=JSON.media_type)
