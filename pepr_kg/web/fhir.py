"""FHIR over HTTP: read a resource, search a type, everything of a patient, a cohort as a stream, what is offered.

The rules are those of FHIR's RESTful API (R4 and R5, http.html): the format by `Accept` or `_format`, the release by
`fhirVersion`, versions as weak entity tags, failures as OperationOutcome. A parameter that is not known is refused:
an answer to less than what was asked would look like an answer to it. What comes in is in `fhir_intake`.
"""

import re
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from pepr_kg.errors import BadRequest, MethodNotAllowed, NotAcceptable, NotFound, PeprError
from pepr_kg.fhir import everything as several
from pepr_kg.fhir.bundling import collect, search_set, write_lines, write_rdf
from pepr_kg.fhir.capability import capability
from pepr_kg.fhir.context import RELEASES, Context
from pepr_kg.fhir.criteria import Criteria
from pepr_kg.fhir.datatypes import Object, write
from pepr_kg.fhir.identities import candidates
from pepr_kg.fhir.offer import read_one, read_page, usual_release
from pepr_kg.fhir.offer_errors import PageExpired, ReleaseNotOffered
from pepr_kg.fhir.offered import Offered
from pepr_kg.fhir.outcomes import note, outcome, outcome_of
from pepr_kg.fhir.tables import load_table
from pepr_kg.web.answers import etag_of, language_of, not_modified, parameters_of, presentable, settings_of, view_of
from pepr_kg.web.negotiate import Offer, best, by_suffix

JSON: Final = Offer("json", "application/fhir+json", ("application/json", "text/json"))
TURTLE: Final = Offer("ttl", "application/fhir+turtle", ("text/turtle", "application/x-turtle"))
LINES: Final = Offer("ndjson", "application/fhir+ndjson", ("application/ndjson", "application/x-ndjson"))
_FORMATS: Final = (JSON, TURTLE, LINES)
_BROWSER: Final = Offer("json", "text/html")  # shown as plain JSON: a browser would save what it does not know
_NAMES: Final = {"json": "json", "ttl": "ttl", "turtle": "ttl", "ndjson": "ndjson"}
_VERSION: Final = re.compile(r"""\s*;\s*fhirVersion\s*=\s*"?([\w.]+)"?""", re.IGNORECASE)
_RELEASES: Final = {
    **{version: release for release, version in RELEASES.items()},
    **{version.rpartition(".")[0]: release for release, version in RELEASES.items()},
}
_VARY: Final = "Accept, Accept-Language"
_PIECE: Final = 1 << 16  # bytes of a stream that are sent at once
_MOST: Final = 1_000  # resources on a page; the server decides, says FHIR
_OWN: Final = frozenset({"cohort", "_source", "_format", "_count", "_start", "_at", "_pretty", "lang"})
_OTHER: Final = {
    "en": "{count} resources of another release of FHIR were left out. Ask for it with fhirVersion.",
    "fr": "{count} ressources d’une autre version de FHIR ont été omises. Demandez-la par fhirVersion.",
}
_BAD_COUNT: Final = {
    "en": "{name} is a whole number, and “{value}” is none.",
    "fr": "{name} est un nombre entier, et « {value} » n’en est pas un.",
}


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a caller gets: the format, the name that it goes by, and the release if one was named."""

    offer: Offer
    media_type: str
    release: str | None


class FhirRoute(APIRoute):
    """A route whose failures are OperationOutcomes, in JSON and in the caller's language."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def handle_fhir(request: Request) -> Response:
            try:
                return await handle(request)
            except PeprError as error:
                return failure(request, error)
            except HTTPException as error:
                return failure(request, BadRequest(detail=str(error.detail)), error.status_code)

        return handle_fhir


router = APIRouter(prefix="/fhir", tags=["FHIR"], route_class=FhirRoute)


def failure(request: Request, error: PeprError, status: int | None = None) -> Response:
    """Return an error as an OperationOutcome."""
    shown = presentable(error)
    body = write(outcome_of(shown, language_of(request), status))
    headers = {"Cache-Control": "no-store", "Vary": _VARY, "Content-Language": language_of(request)}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = str(error.details["allowed"])
    if shown.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    return Response(body, status or shown.http_status, headers, media_type=JSON.media_type)


@router.get("/metadata", include_in_schema=False)
@router.get("", include_in_schema=False)
@router.get("/", include_in_schema=False)
def metadata(request: Request) -> Response:
    """Answer with the CapabilityStatement."""
    agreed = agree(request)
    context = context_of(request, agreed)
    etag = _etag(request, agreed, context)
    if same := not_modified(request, etag, vary=_VARY):
        return same
    statement = capability(context, base_of(request), [item.media_type for item in _FORMATS])
    made = Offered("CapabilityStatement", "metadata", "1", context.release, write(statement))
    return _send(request, agreed, [made], etag, made.release)


@router.get("/Patient/{identifier}/$everything", include_in_schema=False)
def everything(request: Request, identifier: str) -> Response:
    """Answer with a patient and all that is about it, as a Bundle, NDJSON or RDF."""
    _refuse_parameters(request)
    agreed = agree(request)
    context = context_of(request, agreed)
    read_one(context, "Patient", identifier, agreed.release)  # its absence, or its release, is said before the stream
    return _stream(request, agreed, context, several.everything(context, identifier))


@router.get("/Group/{identifier}/$export", include_in_schema=False)
@router.get("/Group/{identifier}/$everything", include_in_schema=False)
def export_group(request: Request, identifier: str) -> Response:
    """Answer with a cohort and everything of its members, as a stream."""
    _refuse_parameters(request)
    agreed = agree(request, LINES)
    context = context_of(request, agreed)
    read_one(context, "Group", identifier, agreed.release)
    cohort = next(iter(candidates("Group", identifier)), "")
    return _stream(request, agreed, context, several.cohort(context, cohort))


@router.get("/{kind}/{identifier}", include_in_schema=False)
def read(request: Request, kind: str, identifier: str) -> Response:
    """Answer with one resource."""
    _refuse_parameters(request)
    _check_type(kind)
    agreed = agree(request)
    found = read_one(context_of(request, agreed), kind, identifier, agreed.release)
    sent = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if sent & {found.tag, found.tag.removeprefix("W/"), "*"}:
        return Response(status_code=304, headers={"ETag": found.tag, "Cache-Control": "no-cache", "Vary": _VARY})
    return _send(request, agreed, [found], found.tag, found.release)


@router.get("/{kind}", include_in_schema=False)
def search(request: Request, kind: str) -> Response:
    """Answer with a page of the resources of a type."""
    _check_type(kind)
    agreed = agree(request)
    context = context_of(request, agreed)
    given = parameters_of(request.scope["query_string"])
    criteria = Criteria.read([pair for pair in given if pair[0] not in _OWN], kind)
    size = settings_of(request).page_size
    count = min(_whole(given, "_count", size), _MOST)
    start = _whole(given, "_start", 0)
    version = context.view.version[:12]
    if start and dict(given).get("_at") != version:
        raise PageExpired()
    etag = _etag(request, agreed, context, *(f"{name}={value}" for name, value in sorted(given)))
    if same := not_modified(request, etag, vary=_VARY):
        return same
    page = read_page(context, criteria, start, count)
    if agreed.offer is LINES:
        return _send(request, agreed, page.resources, etag, context.release)
    here = f"{base_of(request)}{kind}"
    kept = [(name, value) for name, value in given if name not in {"_start", "_at"}]
    links = [("self", _address(here, given))]
    if page.next is not None and count:
        links.append(("next", _address(here, [*kept, ("_start", str(page.next)), ("_at", version)])))
    whole = page.next is None and not start and not page.otherwise
    body = search_set(
        page.resources, links, base_of(request), total=len(page.resources) if whole else None,
        outcome=_omitted(context, page.otherwise) if page.otherwise else None,
    )  # fmt: skip
    made = Offered("Bundle", "", "", context.release, body)
    return _send(request, agreed, [made], etag, context.release)


def agree(request: Request, first: Offer = JSON) -> Agreed:
    """Return the format and release that `_format`, else `Accept`, ask for; without either `first`.

    Raises `NotAcceptable`, and `ReleaseNotOffered` for a release that nothing is offered in.
    """
    given = request.query_params.get("_format")
    header = request.headers.get("accept")
    # A plus sign that was not escaped comes as a space.
    asked = given.replace(" ", "+") if given else header
    release = release_named(asked or "")
    plain = _VERSION.sub("", asked or "")
    formats = (first, *(item for item in _FORMATS if item is not first), _BROWSER)
    choice = by_suffix(_NAMES.get(plain.lower(), "-"), _FORMATS) if given else None
    choice = choice or best(plain or None, formats)
    if choice is None:
        raise NotAcceptable(offered=", ".join(item.media_type for item in _FORMATS))
    if choice.offer is _BROWSER:
        return Agreed(JSON, "application/json", release)
    return Agreed(choice.offer, choice.media_type, release)


def release_named(media: str) -> str | None:
    """Return the release that a header names first of those known; None where it names none.

    Raises `ReleaseNotOffered` where it names others alone.

    >>> release_named("application/fhir+json; fhirVersion=5.0, application/json"), release_named("*/*")
    ('R5', None)
    """
    versions = _VERSION.findall(media)
    known = [_RELEASES[version] for version in versions if version in _RELEASES]
    if versions and not known:
        raise ReleaseNotOffered(release=versions[0], known=", ".join(RELEASES.values()))
    return known[0] if known else None


def context_of(request: Request, agreed: Agreed) -> Context:
    """Return the graph as the caller wants it."""
    view = view_of(request)
    release = agreed.release or usual_release(view)
    given = request.query_params
    return Context(view, release, language_of(request), cohort=given.get("cohort"), source=given.get("_source"))


def base_of(request: Request) -> str:
    """Return the address that references are relative to."""
    return f"{request.base_url}fhir/"


def _send(request: Request, agreed: Agreed, resources: Iterable[Offered], etag: str, release: str) -> Response:
    """Return resources, or the one Bundle that holds them, in the format agreed on."""
    if agreed.offer is TURTLE:
        body = b"".join(write_rdf(resources, base_of(request)))
    elif agreed.offer is LINES:
        body = b"".join(write_lines(resources))
    else:
        body = b"".join(item.data for item in resources)
    return Response(body, 200, _headers(request, agreed, etag, release))


def _stream(request: Request, agreed: Agreed, context: Context, resources: Iterator[Offered]) -> Response:
    etag = _etag(request, agreed, context)
    if same := not_modified(request, etag, vary=_VARY):
        return same
    if agreed.offer is TURTLE:
        body = write_rdf(resources, base_of(request))
    elif agreed.offer is LINES:
        body = write_lines(resources)
    else:
        body = collect(resources, base_of(request), searched=str(request.url))
    headers = _headers(request, agreed, etag, context.release)
    if request.scope["pepr_kg.head"]:
        return Response(b"", 200, headers)
    return StreamingResponse(_gathered(body), 200, headers)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in larger pieces: each one is a step of the server's loop."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _headers(request: Request, agreed: Agreed, etag: str, release: str) -> dict[str, str]:
    kind = agreed.media_type
    if kind.startswith("application/fhir+"):
        kind += f"; fhirVersion={RELEASES.get(release, release).rpartition('.')[0] or release}"
    elif kind.startswith("text/"):
        kind += "; charset=utf-8"
    return {"Content-Type": kind, "ETag": etag, "Cache-Control": "no-cache", "Vary": _VARY,
            "Content-Language": language_of(request)}  # fmt: skip


def _etag(request: Request, agreed: Agreed, context: Context, *parts: str) -> str:
    """Return the tag of an answer of several resources; their full addresses hold the host that was asked."""
    path, host = request.url.path, str(request.base_url)
    return etag_of(request, path, host, agreed.media_type, context.release, context.lang, *parts)


def _check_type(kind: str) -> None:
    if kind not in load_table("R5").resources and kind not in load_table("R4").resources:
        raise NotFound(name=kind)


def _refuse_parameters(request: Request) -> None:
    """Raise `BadSearch` for a parameter of an address that takes none but those of the format."""
    for name, _ in parameters_of(request.scope["query_string"]):
        if name not in _OWN:
            Criteria.read([(name, "")], "Binary")


def _whole(given: Iterable[tuple[str, str]], name: str, default: int) -> int:
    value = dict(given).get(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadRequest(detail={lang: text.format(name=name, value=value) for lang, text in _BAD_COUNT.items()})
    return int(value)


def _address(path: str, parameters: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(parameters))
    return f"{path}?{query}" if query else path


def _omitted(context: Context, count: int) -> Object:
    words = {lang: text.format(count=count) for lang, text in _OTHER.items()}
    return outcome([note("other-release", words, context.lang, "warning")], context.lang)


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
def elsewhere(request: Request, path: str) -> Response:
    """Refuse what no address of ours takes, as an OperationOutcome. Raises `NotFound` or `MethodNotAllowed`."""
    if request.method == "GET":
        raise NotFound(name=path)
    raise MethodNotAllowed(allowed="GET, HEAD, OPTIONS")


def operations() -> dict[str, Any]:
    """Return the OpenAPI paths of FHIR: FHIR describes itself better at /fhir/metadata."""
    outcome_: dict[str, Any] = {"description": "OperationOutcome", "content": {JSON.media_type: {}}}
    formats: dict[str, Any] = {item.media_type: {} for item in _FORMATS}

    def operation(name: str, summary: str, *failures: str, **more: Any) -> dict[str, Any]:
        answers = {"200": {"description": "OK", "content": formats}, **dict.fromkeys(failures, outcome_)}
        return {"tags": ["FHIR"], "operationId": name, "summary": summary, "responses": answers, **more}

    def inside(*names: str) -> list[dict[str, Any]]:
        return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]

    cohort = {"name": "cohort", "in": "query", "required": True, "schema": {"type": "string"}}
    body = {"required": True, "content": {JSON.media_type: {}, LINES.media_type: {}}}
    return {
        "/fhir": {"post": operation(
            "fhirTake", "Take FHIR resources into a cohort · Reprendre des ressources FHIR dans une cohorte",
            "400", "403", "409", "413", "415", "422", "503", parameters=[cohort], requestBody=body,
        )},
        "/fhir/metadata": {"get": operation(
            "fhirMetadata", "What is offered as FHIR · Ce qui est proposé en FHIR", "406"
        )},
        "/fhir/{type}": {"get": operation(
            "fhirSearch", "A page of the resources of a type · Une page des ressources d’un type", "400", "404", "406",
            "410", parameters=inside("type"),
        )},
        "/fhir/{type}/{id}": {"get": operation(
            "fhirRead", "A resource · Une ressource", "404", "406", "409", "410", parameters=inside("type", "id"),
        )},
        "/fhir/Patient/{id}/$everything": {"get": operation(
            "fhirEverything", "All about a patient · Tout sur un patient", "404", "406", parameters=inside("id"),
        )},
        "/fhir/Group/{id}/$export": {"get": operation(
            "fhirExport", "A cohort as a stream · Une cohorte en flux", "404", "406", parameters=inside("id"),
        )},
    }  # fmt: skip
