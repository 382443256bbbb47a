"""What every route needs: the caller's view and language, an answer with caching headers, an error as a document."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pepr_kg import __version__
from pepr_kg.errors import BadRequest, DatasetError, InternalError, NotFound, PeprError
from pepr_kg.language import LANGUAGES, Language, choose
from pepr_kg.resources import queries_dir
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, NamedNode, View
from pepr_kg.web.negotiate import HTML, PROBLEM, best

logger = logging.getLogger(__name__)

_FIELDS: Final = (
    "line", "column", "offered", "nearest", "parameter", "field", "expected", "known", "limit", "seconds",
)  # fmt: skip
_BAD_ENCODING: Final = {
    "en": "The parameters of the request are not UTF-8.",
    "fr": "Les paramètres de la requête ne sont pas en UTF-8.",
}

_BAD_FORMAT: Final = {
    "en": "There is no format “{name}”. Known: {known}.",
    "fr": "Le format « {name} » n’existe pas. Formats connus : {known}.",
}


def settings_of(request: Request) -> Settings:
    """Return the settings of the application."""
    return cast(Settings, request.app.state.settings)


def view_of(request: Request) -> View:
    """Return the dataset as the caller sees it: one version for the whole request."""
    if not hasattr(request.state, "view"):
        request.state.view = cast(Dataset, request.app.state.dataset).view()
    return cast(View, request.state.view)


def language_of(request: Request) -> Language:
    """Return the language to answer in: the path's, else `?lang=`, else that of `Accept-Language`."""
    first = request.url.path.split("/", 2)[1:2]
    for language in LANGUAGES:
        if first == [language]:
            return language
    asked = request.query_params.get("lang")
    for language in LANGUAGES:
        if asked == language:
            return language
    return choose(request.headers.get("accept-language"))


def parameters_of(query: bytes | str) -> list[tuple[str, str]]:
    """Return the pairs of a query string or a form, percent-decoded once. Raises `BadRequest` if not UTF-8.

    >>> parameters_of("query=%3Curn%3Aa%252Fb%3E")
    [('query', '<urn:a%2Fb>')]
    """
    try:
        text = query.decode("utf-8") if isinstance(query, bytes) else query
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequest(detail=_BAD_ENCODING) from error


def unknown_format(name: str, known: Iterable[str]) -> BadRequest:
    """Return the error for a name after `format=` that stands for no format."""
    listed = ", ".join(dict.fromkeys(known))
    return BadRequest(detail={lang: text.format(name=name, known=listed) for lang, text in _BAD_FORMAT.items()})


def node_at(iri: str) -> NamedNode:
    """Return the node that an address names. Raises `NotFound` where a character stands in no IRI."""
    try:
        return NamedNode(iri)
    except ValueError as error:
        raise NotFound(name=quote(iri, safe=":/")) from error


@cache
def release() -> str:
    """Return a digest of what the program would answer with: its code, templates, texts and queries."""
    digest = hashlib.sha256(__version__.encode())
    package = Path(__file__).parents[1]
    paths = [path for path in package.rglob("*") if path.suffix in {".py", ".html", ".json", ".css", ".js", ".svg"}]
    for path in sorted([*paths, *queries_dir().rglob("*.rq")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def etag_of(request: Request, *parts: str) -> str:
    """Return the tag of an answer that depends on the view's version, on the program and on `parts`."""
    view = view_of(request)
    # The graphs are part of the tag: two callers may see different parts of one version.
    key = "\0".join([view.version, *(graph.value for graph in view.graphs), release(), *parts])
    return f'"{hashlib.sha256(key.encode()).hexdigest()[:24]}"'


def not_modified(request: Request, etag: str, *, vary: str = "Accept") -> Response | None:
    """Return a 304 if the caller has the answer already, else None."""
    sent = request.headers.get("if-none-match")
    if sent is None:
        return None
    tags = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    if etag not in tags and "*" not in tags:
        return None
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache", "Vary": vary})


def respond(
    request: Request,
    body: bytes | str,
    media_type: str,
    etag: str | None = None,
    *,
    vary: Iterable[str] = ("Accept",),
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Return a response; with a tag, caches keep it and ask each time whether it still holds."""
    fields = {"Cache-Control": "no-cache" if etag else "no-store", **(headers or {})}
    if etag:
        fields["ETag"] = etag
    if joined := ", ".join(vary):
        fields["Vary"] = joined
    if media_type.startswith("text/") and "charset" not in media_type:
        media_type += "; charset=utf-8"
    fields["Content-Type"] = media_type
    return Response(body, status, fields)


def see_other(path: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a 303 to a page in the caller's language."""
    fields = {"Vary": "Accept, Accept-Language", "Cache-Control": "no-cache", **(headers or {})}
    return RedirectResponse(path, 303, fields)


def prefers_html(request: Request) -> bool:
    """Return whether an error should be a page: pages themselves do, and callers that name HTML."""
    is_page = request.url.path == "/" or request.url.path[:4] in {"/fr/", "/en/"}
    offers = (HTML, PROBLEM) if is_page else (PROBLEM, HTML)
    choice = best(request.headers.get("accept"), offers)
    return choice is not None and choice.offer is HTML


def presentable(error: PeprError) -> PeprError:
    """Return the error as a stranger may see it: what is wrong inside is logged, not shown."""
    if error.http_status == 500 or isinstance(error, DatasetError):
        logger.error("%s: %s", error.code, error)
        return InternalError()
    return error


def problem(request: Request, error: PeprError, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return the error as problem details (RFC 9457) in the caller's language."""
    lang = language_of(request)
    document: dict[str, Any] = {
        "type": f"/problems#{error.code}",
        "title": error.title(lang),
        "status": status,
        "detail": error.message(lang),
        "code": error.code,
        "language": lang,
    }
    for name in _FIELDS:
        value = error.details.get(name)
        if isinstance(value, Mapping):
            value = value.get(lang)
        if value is not None:
            document[name] = value if isinstance(value, int | float | str) else str(value)
    fields = {
        "Content-Language": lang,
        "Vary": "Accept, Accept-Language",
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    return JSONResponse(document, status, fields, media_type="application/problem+json")
