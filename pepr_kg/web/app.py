"""The application: routes, headers, errors. `create_app` receives its settings and its dataset; nothing is global."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pepr_kg import __version__
from pepr_kg.errors import BadRequest, InternalError, MethodNotAllowed, NotFound, PeprError, ServerBusy
from pepr_kg.language import LANGUAGES
from pepr_kg.runs.jobs import Jobs, JobsFull
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset
from pepr_kg.web import api, data, evaluations, fhir, fhir_intake, openapi, pages, sparql
from pepr_kg.web.answers import prefers_html, presentable, problem, view_of
from pepr_kg.web.refusals import TooManyFollowers
from pepr_kg.workers import Workers

logger = logging.getLogger(__name__)

# No script, style or picture but our own, and none written into a page.
_CONTENT: Final = "; ".join([
    "default-src 'none'", "style-src 'self'", "script-src 'self'", "img-src 'self'", "font-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
])  # fmt: skip
_HEADERS: Final = [
    (name.encode("ascii"), value.encode("ascii"))
    for name, value in {
        "content-security-policy": _CONTENT,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        # Anyone's page may read what anyone may read; there are no cookies and no credentials.
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "Content-Location, ETag, Link",
    }.items()
]
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Accept-Language, Content-Type, If-None-Match",
    "Access-Control-Max-Age": "86400",
}


class Application(FastAPI):
    """FastAPI with our own description of the interface: its answers are not Python models."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.document()
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Put `Edge` around everything, also around the handler of what nobody expected."""
        return Edge(super().build_middleware_stack())


def create_app(settings: Settings, dataset: Dataset) -> FastAPI:
    """Return the application over a dataset. Its query processes live as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        workers = Workers(settings)
        workers.start()
        app.state.workers = workers
        app.state.jobs = await run_in_threadpool(Jobs, settings, dataset)
        try:
            yield
        finally:
            await run_in_threadpool(app.state.jobs.close)
            await workers.close()

    # The two pages of documentation that FastAPI brings would load scripts from elsewhere.
    app = Application(title="pepr_kg", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.settings = settings
    app.state.dataset = dataset
    app.state.followers = evaluations.Followers()
    app.state.takers = fhir_intake.Takers(fhir_intake.RECEIVED), fhir_intake.Takers(fhir_intake.TAKEN)
    app.include_router(sparql.router)
    app.include_router(api.router)
    app.include_router(data.router)
    app.include_router(evaluations.router)
    app.include_router(fhir_intake.router)
    app.include_router(fhir.router)
    app.add_api_route("/health", health, methods=["GET"], include_in_schema=False)
    app.add_api_route("/problems", problems, methods=["GET"], include_in_schema=False)
    pages.register(app)
    app.add_exception_handler(PeprError, _expected)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    return app


def health(request: Request) -> Response:
    """Answer with the state of the service and the version of its data."""
    view = view_of(request)
    counts = view.counts()
    state = {
        "status": "ok",
        "version": __version__,
        "digest": view.version,
        "triples": sum(counts.values()),
        "graphs": counts,
    }
    return JSONResponse(state, headers={"Cache-Control": "no-store"})


def problems(request: Request) -> Response:
    """Answer with every error that the service may report: what `type` and `code` of a problem refer to."""
    found: list[dict[str, Any]] = []
    kinds: list[type[PeprError]] = [PeprError]
    while kinds:
        kind = kinds.pop(0)
        children = kind.__subclasses__()
        kinds += children
        if not children:
            found.append({"code": kind.code, "status": kind.http_status, "title": dict(kind.titles)})
    return JSONResponse({"problems": sorted(found, key=lambda item: str(item["code"]))})


class Edge:
    """What holds for every response: security headers, cross-origin reading, HEAD, OPTIONS, one line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        is_head = scope["method"] == "HEAD"

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            if scope["method"] == "OPTIONS":
                # Pages of others may read, but have nothing done.
                acts = evaluations.acts(scope["path"]) or fhir_intake.acts(scope["path"])
                headers = {**_PREFLIGHT, "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"} if acts else _PREFLIGHT
                await Response(status_code=204, headers=headers)(scope, receive, send_on)
            else:
                # HEAD is GET without the body: a route need not know of it, unless its body has no end.
                method = "GET" if is_head else scope["method"]
                await self.app({**scope, "method": method, "pepr_kg.head": is_head}, receive, send_on)
        finally:
            if logger.isEnabledFor(logging.INFO):
                milliseconds = (time.perf_counter() - started) * 1000
                logger.info("%s %s: %d, %.1f ms", scope["method"], scope["path"], status, milliseconds)


async def _expected(request: Request, error: Exception) -> Response:
    return _render(request, error if isinstance(error, PeprError) else InternalError())


async def _refused(request: Request, error: Exception) -> Response:
    """Render what the routing refuses: an unknown address, a method without meaning."""
    if not isinstance(error, HTTPException):
        raise error
    allowed = dict(error.headers or {})
    if error.status_code == 405:
        methods = _methods(request) or allowed.get("Allow", "GET")
        return _render(request, MethodNotAllowed(allowed=methods), headers={"Allow": methods})
    if error.status_code == 404:
        return _render(request, NotFound(name=request.url.path))
    detail = dict.fromkeys(LANGUAGES, str(error.detail))
    return _render(request, BadRequest(detail=detail), status=error.status_code, headers=allowed)


def _methods(request: Request) -> str:
    path = request.url.path
    if path.rstrip("/") == "/sparql":
        return "GET, HEAD, POST, OPTIONS"
    return evaluations.methods(path) or fhir_intake.methods(path) or "GET, HEAD, OPTIONS"


async def _invalid(request: Request, error: Exception) -> Response:
    return _render(request, BadRequest(detail=str(error)))


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this answer is sent: the log has it in full.
    return _render(request, InternalError())


def _render(
    request: Request, error: PeprError, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    status = status or error.http_status
    shown = presentable(error)
    if prefers_html(request):
        response = pages.error_page(request, shown, status)
        response.headers.update(headers or {})
        return response
    if isinstance(error, ServerBusy | JobsFull | TooManyFollowers):
        headers = {"Retry-After": "5", **(headers or {})}
    return problem(request, shown, status, headers)
