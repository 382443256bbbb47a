"""The SPARQL 1.1 Protocol, its query half: GET, POST of a form, POST of the query itself.

Read only. The dataset is that of the request (`default-graph-uri`, `named-graph-uri`);
without it, that of the query's FROM; without that, all that the caller may read, with the
union of the graphs as default graph. Queries run in worker processes.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from pepr_kg.errors import (
    BadRequest,
    NotAcceptable,
    PeprError,
    RequestTooLarge,
    ServiceRefused,
    UnsupportedMedia,
    UpdateRefused,
)
from pepr_kg.namespaces import BASE
from pepr_kg.store import Answer, Form, NamedNode
from pepr_kg.web.answers import (
    etag_of,
    language_of,
    not_modified,
    parameters_of,
    respond,
    see_other,
    settings_of,
    unknown_format,
    view_of,
)
from pepr_kg.web.negotiate import BOOLEAN, HTML, SOLUTIONS, TRIPLES, Choice, Offer, best, by_suffix, listed
from pepr_kg.web.sparql_text import scan
from pepr_kg.workers import Workers

logger = logging.getLogger(__name__)
router = APIRouter(tags=["SPARQL"])

FORM_TYPE: Final = "application/x-www-form-urlencoded"
QUERY_TYPE: Final = "application/sparql-query"
UPDATE_TYPE: Final = "application/sparql-update"

_OFFERS: Final[Mapping[Form, tuple[Offer, ...]]] = {"solutions": SOLUTIONS, "boolean": BOOLEAN, "triples": TRIPLES}
_FORM_OF: Final[Mapping[str, Form]] = {
    "SELECT": "solutions", "ASK": "boolean", "CONSTRUCT": "triples", "DESCRIBE": "triples",
}  # fmt: skip
_ENCODINGS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_PATIENCE_SECONDS: Final = 0.05  # quick answers are not worth watching the connection
_GONE: Final = 499  # never sent: the caller has hung up

_NO_QUERY: Final = {
    "en": "There is no query. Send it as the parameter “query”, or as a body of type application/sparql-query.",
    "fr": "Il n’y a pas de requête. Envoyez-la comme paramètre « query » ou comme corps "
    "de type application/sparql-query.",
}
_TWO_QUERIES: Final = {
    "en": "There is more than one query in the request. Send one.",
    "fr": "La demande contient plusieurs requêtes. N’en envoyez qu’une.",
}
_BAD_GRAPH: Final = {
    "en": "The graph must be named by an absolute IRI, which “{iri}” is not.",
    "fr": "Le graphe doit être désigné par une IRI absolue, ce que « {iri} » n’est pas.",
}
_NOT_UTF8: Final = {"en": "The query is not UTF-8.", "fr": "La requête n’est pas en UTF-8."}


@dataclass(slots=True)
class Operation:
    """What a request asks: the query, its dataset, and a format if one was named."""

    queries: list[str] = field(default_factory=list)
    default_graphs: list[str] = field(default_factory=list)
    named_graphs: list[str] = field(default_factory=list)
    format: str | None = None

    def read(self, parameters: list[tuple[str, str]]) -> None:
        """Take in a query string or a form. Raises `UpdateRefused`."""
        for name, value in parameters:
            if name == "query":
                self.queries.append(value)
            elif name == "update":
                raise UpdateRefused()
            elif name == "default-graph-uri":
                self.default_graphs.append(value)
            elif name == "named-graph-uri":
                self.named_graphs.append(value)
            elif name == "format" and value:
                self.format = value


async def answer_query(request: Request) -> Response:
    """Answer a SPARQL query."""
    started = time.perf_counter()
    operation = Operation()
    operation.read(parameters_of(request.scope["query_string"]))
    if request.method == "POST":
        await _read_body(request, operation)
    if not operation.queries:
        choice = best(request.headers.get("accept"), (*TRIPLES, HTML))
        if request.method == "GET" and choice and choice.offer is HTML:
            return see_other(f"/{language_of(request)}/sparql")
        raise BadRequest(detail=_NO_QUERY)
    if len(operation.queries) > 1:
        raise BadRequest(detail=_TWO_QUERIES)
    sparql = operation.queries[0]
    outcome, size = "error", 0
    try:
        response = await _answer(request, operation, sparql)
        outcome, size = str(response.status_code), len(response.body)
    except PeprError as error:
        outcome = error.code
        raise
    finally:
        logger.info(
            "query %s: %s, %d bytes, %.1f ms",
            hashlib.sha256(sparql.encode()).hexdigest()[:12], outcome, size, (time.perf_counter() - started) * 1000,
        )  # fmt: skip
    return response


async def _answer(request: Request, operation: Operation, sparql: str) -> Response:
    found = scan(sparql)
    if found.updates:
        raise UpdateRefused()
    if found.calls_service:
        raise ServiceRefused()
    for iri in (*operation.default_graphs, *operation.named_graphs):
        _check_iri(iri)
    media_types = _media_types(request.headers.get("accept"), operation.format)
    form = _FORM_OF.get(found.form)
    if form and media_types[form] is None:
        raise NotAcceptable(offered=listed(_OFFERS[form]))
    has_dataset = bool(operation.default_graphs or operation.named_graphs)
    etag = None
    if request.method == "GET" and not found.is_volatile:
        dataset = [*operation.default_graphs, "", *operation.named_graphs]
        etag = etag_of(request, sparql, repr(sorted(media_types.items())), *dataset)
        if same := not_modified(request, etag):
            return same
    workers = cast(Workers, request.app.state.workers)
    answer = await _unless_gone(request, workers.answer(
        view_of(request), sparql, media_types,
        default_graphs=operation.default_graphs if has_dataset else None,
        named_graphs=operation.named_graphs if has_dataset else None,
        dataset_in_text=found.names_dataset,
        base_iri=BASE,
    ))  # fmt: skip
    if answer is None:
        return Response(status_code=_GONE)
    return respond(request, answer.body, answer.media_type, etag)


async def _read_body(request: Request, operation: Operation) -> None:
    """Take in the body of a POST.

    Raises `UnsupportedMedia`, `RequestTooLarge`, `UpdateRefused`, or `BadRequest` for a wrong encoding.
    """
    sent = request.headers.get("content-type", "")
    media_type, *parameters = (part.strip().lower() for part in sent.split(";"))
    if media_type == UPDATE_TYPE:
        raise UpdateRefused()
    if media_type not in (FORM_TYPE, QUERY_TYPE):
        raise UnsupportedMedia(found=media_type or "-", expected=f"{QUERY_TYPE}, {FORM_TYPE}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in _ENCODINGS:
            raise UnsupportedMedia(found=sent, expected=f"{media_type}; charset=utf-8")
    body = await _bounded(request)
    if media_type == FORM_TYPE:
        operation.read(parameters_of(body))
        return
    try:
        operation.queries.append(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequest(detail=_NOT_UTF8) from error


async def _bounded(request: Request) -> bytes:
    limit = settings_of(request).request_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise RequestTooLarge(limit=limit)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise RequestTooLarge(limit=limit)
    return bytes(body)


def _check_iri(iri: str) -> None:
    try:
        NamedNode(iri)
    except ValueError as error:
        raise BadRequest(detail={lang: text.format(iri=iri) for lang, text in _BAD_GRAPH.items()}) from error


def _media_types(accept: str | None, name: str | None) -> dict[Form, str | None]:
    """Return the media type for each form of answer, None where nothing suits. Raises `BadRequest`."""
    choices: dict[Form, Choice | None]
    if name is None:
        choices = {form: best(accept, offers) for form, offers in _OFFERS.items()}
    else:
        choices = {form: by_suffix(name, offers) for form, offers in _OFFERS.items()}
        # JSON-LD is the JSON of triples.
        choices["triples"] = choices["triples"] or by_suffix({"json": "jsonld", "xml": "rdf"}.get(name, ""), TRIPLES)
        if not any(choices.values()):
            raise unknown_format(name, (offer.suffix for offers in _OFFERS.values() for offer in offers))
    return {form: choice.media_type if choice else None for form, choice in choices.items()}


async def _unless_gone(request: Request, call: Coroutine[Any, Any, Answer]) -> Answer | None:
    """Return the answer, or None when the caller hung up before it was there: the query is then stopped."""
    answer = asyncio.ensure_future(call)
    hung_up: asyncio.Future[None] | None = None
    try:
        await asyncio.wait({answer}, timeout=_PATIENCE_SECONDS)
        if not answer.done():
            hung_up = asyncio.ensure_future(_hung_up(request))
            await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        tasks: list[asyncio.Future[Any]] = [answer, *([hung_up] if hung_up else [])]
        for task in tasks:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _hung_up(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


# Plain routes: what FastAPI would do for each request with the parameters, this module does itself.
for _path in ("/sparql", "/sparql/"):
    router.add_route(_path, answer_query, methods=["GET", "POST"], include_in_schema=False)
