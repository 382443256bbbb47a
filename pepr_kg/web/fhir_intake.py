"""FHIR taken in over HTTP: POST /fhir with a Bundle, one resource or NDJSON, into the cohort that `?cohort=` names.

The body goes to a file first, within a bound, so that its size costs no memory, and then the way of `pepr-kg load
--fhir`: one change, validated, committed whole or not at all. Who may do it is who may evaluate: programs, and pages of
this server (`evaluations.refuse_other_sites`).
"""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pepr_kg.errors import BadRequest, DatasetLocked, RequestTooLarge, UnsupportedMedia
from pepr_kg.fhir.datatypes import Object, Value, write
from pepr_kg.fhir.documents import Document, Form, open_documents
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake import Into, take_in
from pepr_kg.fhir.intake_report import Report, Taken
from pepr_kg.fhir.offer_errors import BadSearch, IntakeWaits
from pepr_kg.fhir.outcomes import issue, note, outcome
from pepr_kg.fhir.sources import Limits
from pepr_kg.settings import Settings
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
_MOST_LISTED: Final = 10_000  # resources whose outcome is listed one by one
_NO_COHORT: Final = {
    "en": "Say into which cohort these resources go: POST /fhir?cohort=NAME (small letters, digits and hyphens).",
    "fr": "Dites dans quelle cohorte vont ces ressources\u202f: POST /fhir?cohort=NOM (minuscules, chiffres et traits "
    "d’union).",
}
_STATUSES: Final[Mapping[str, str]] = {
    "created": "201 Created", "updated": "200 OK", "unchanged": "200 OK", "withdrawn": "204 No Content",
    "ignored": "200 OK", "refused": "422 Unprocessable Entity",
}  # fmt: skip


@dataclass(slots=True)
class _Seen:
    """What was noticed while the documents passed by: the type of their Bundle, and how many there were."""

    bundle: str | None = None
    count: int = 0
    faults: list[DocumentError] = field(default_factory=list)

    def watch(self, documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            self.count += 1
            if self.bundle is None and document.bundle is not None:
                self.bundle = document.bundle.type
            yield document


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
    into = Into(
        given["cohort"], release, given.get("base") or None, given.get("keep", "both"), listed=True  # type: ignore[arg-type]
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pepr-fhir-") as folder:
        path = Path(folder) / "body"
        await _receive(request, path, settings.fhir_request_bytes)
        seen = _Seen()
        dataset = cast(Dataset, request.app.state.dataset)
        report = await run_in_threadpool(_take_turn, dataset, path, into, form, settings, seen)
    return _answer(request, report, seen)


def _take_turn(  # noqa: PLR0917  what one body is
    dataset: Dataset, path: Path, into: Into, form: Form, settings: Settings, seen: _Seen
) -> Report:
    """Take the file in as soon as nobody else writes. Raises `IntakeWaits` when that takes too long."""
    deadline = time.monotonic() + settings.run_wait_seconds
    while True:
        documents = open_documents(path, Limits.of(settings), name="POST /fhir", form=form, faults=seen.faults.append)
        try:
            return take_in(dataset, seen.watch(documents), into, seen.faults)
        except DatasetLocked as error:
            if time.monotonic() > deadline:
                raise IntakeWaits(seconds=settings.run_wait_seconds) from error
        time.sleep(_LOOK)


async def _receive(request: Request, path: Path, limit: int) -> None:
    """Write the body to a file. Raises `RequestTooLarge`."""
    size = 0
    with path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise RequestTooLarge(limit=limit)
            file.write(part)


def _media(request: Request) -> tuple[Form, str]:
    """Return what kind of body it is and of which release. Raises `UnsupportedMedia` or `ReleaseNotOffered`."""
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind not in _JSON | _LINES:
        raise UnsupportedMedia(found=kind or "-", expected=f"{JSON.media_type}, {LINES.media_type}")
    named = release_named(given, {"4.3": "R4B", "4.3.0": "R4B"})
    return ("ndjson" if kind in _LINES else "json"), named or "R4"


def _answer(request: Request, report: Report, seen: _Seen) -> Response:
    """Return what became of a body, as FHIR answers to each kind of it."""
    lang = language_of(request)
    headers = {"Cache-Control": "no-store", "Content-Language": lang, "Vary": "Accept, Accept-Language"}
    failed = not report.committed and report.refused > 0
    if seen.bundle in {"transaction", "batch"} and not (failed and seen.bundle == "transaction"):
        body: Object = {"resourceType": "Bundle", "type": f"{seen.bundle}-response"}
        entries: list[Value] = [_entry(request, taken) for taken in report.resources[:_MOST_LISTED]]
        said: Object = {"response": {"status": "200 OK", "outcome": _outcome(report, lang)}}
        body["entry"] = [*entries, said] if seen.bundle == "batch" and report.problems else entries
        if not entries:
            del body["entry"]
        return Response(write(body), 200, headers, media_type=JSON.media_type)
    status = 422 if failed else 200
    if seen.bundle is None and seen.count == 1 and len(report.resources) == 1 and not failed:
        taken = report.resources[0]
        status = 201 if taken.outcome == "created" else 200
        if taken.id:
            headers |= {"Location": f"{base_of(request)}{taken.type}/{taken.id}", "ETag": f'W/"{taken.version}"'}
    return Response(write(_outcome(report, lang)), status, headers, media_type=JSON.media_type)


def _entry(request: Request, taken: Taken) -> Object:
    response: Object = {"status": _STATUSES[taken.outcome]}
    if taken.id and taken.outcome in {"created", "updated", "unchanged"}:
        response["location"] = f"{taken.type}/{taken.id}"
        response["etag"] = f'W/"{taken.version}"'
    return {"response": response}


def _outcome(report: Report, lang: str) -> Object:
    """Return the report as an OperationOutcome: what was done, then each problem with its place."""
    words = {language: report.to_text(language).partition("\n")[0] for language in ("en", "fr")}
    issues: list[Value] = [note("intake", words, lang)]
    for item in report.problems:
        where = f"{item.source}{item.where['en']} {item.reference}".strip()
        issues.append(issue(item.severity, "processing", item.code, {"en": item.en, "fr": item.fr}, lang, where))
    return outcome(issues, lang)
