"""The stored queries over HTTP: their list, and the answer of each."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pepr_kg.errors import BadRequest, NotAcceptable
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import shrink
from pepr_kg.questions import Parameter, Question, ask, find_question, load_questions, render
from pepr_kg.store import BlankNode, NamedNode, Table, Term
from pepr_kg.web.answers import (
    etag_of,
    language_of,
    not_modified,
    parameters_of,
    respond,
    see_other,
    unknown_format,
    view_of,
)
from pepr_kg.web.negotiate import HTML, MARKDOWN, SOLUTIONS, Choice, best, by_suffix, listed, split_suffix

router = APIRouter(tags=["Questions"])

_OFFERS: Final = (*SOLUTIONS, MARKDOWN, HTML)
_TWICE: Final = {
    "en": "The parameter “{name}” is given twice.",
    "fr": "Le paramètre « {name} » est donné deux fois.",
}
# What people type after `format=`: the suffixes, and the name that the command line has for one of them.
_FORMATS: Final[Mapping[str, str]] = {**{offer.suffix: offer.suffix for offer in _OFFERS}, "markdown": "md"}
_RESULTS: Final = "http://www.w3.org/2005/sparql-results#"


@router.get("/queries", include_in_schema=False)
def list_questions(request: Request) -> Response:
    """Answer with the list of the stored queries."""
    etag = etag_of(request, "queries")
    if same := not_modified(request, etag):
        return same
    described = [describe(question) for question in load_questions().values()]
    return JSONResponse({"queries": described}, headers={"ETag": etag, "Cache-Control": "no-cache"})


@router.get("/query/{name}", include_in_schema=False)
def answer_question(request: Request, name: str) -> Response:
    """Answer a stored query."""
    name, suffix = split_suffix(name, _OFFERS)
    question = find_question(name)
    raw = _raw(request, question)
    choice = _choice(request, suffix, None if _takes(question, "format") else raw.pop("format", None))
    lang = language_of(request)
    vary = "Accept, Accept-Language"
    if choice.offer is HTML:
        query = f"?{urlencode(raw)}" if raw else ""
        return see_other(f"/{lang}/questions/{name}{query}")
    etag = etag_of(request, name, choice.media_type, lang, repr(sorted(raw.items())))
    if same := not_modified(request, etag, vary=vary):
        return same
    table = ask(view_of(request), question, raw, lang)
    headers = {"Link": f'</{lang}/questions/{name}>; rel="alternate"; type="text/html"'}
    return respond(request, write(table, choice.offer.suffix), choice.media_type, etag, vary=(vary,), headers=headers)


def describe(question: Question) -> dict[str, Any]:
    """Return a stored query as the list shows it."""
    return {
        "name": question.name,
        "group": question.group,
        "title": dict(question.title),
        "asker": question.asker,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.kind,
                "class": parameter.of_class,
                "default": parameter.default,
                "label": dict(parameter.label),
            }
            for parameter in question.parameters
        ],
        "columns": list(question.columns),
        "example": dict(question.example),
        "href": f"/query/{question.name}",
        "pages": {lang: f"/{lang}/questions/{question.name}" for lang in LANGUAGES},
    }


def write(table: Table, suffix: str) -> str:
    """Return a table in the format of a suffix: `json`, `xml`, `csv`, `tsv` or `md`.

    >>> write(Table(("a", "b"), ((NamedNode("urn:x"), None),)), "tsv")
    '?a\\t?b\\n<urn:x>\\t\\n'
    """
    if suffix == "xml":
        return _xml(table)
    if suffix == "tsv":
        rows = ["\t".join("" if term is None else _turtle(term) for term in row) for row in table.rows]
        return "\n".join(["\t".join(f"?{name}" for name in table.columns), *rows, ""])
    return render(table, {"md": "markdown"}.get(suffix, suffix))


def _raw(request: Request, question: Question) -> dict[str, str]:
    """Return the parameters of the request; `lang` may always be given. Raises `BadRequest`."""
    raw: dict[str, str] = {}
    for name, value in parameters_of(request.scope["query_string"]):
        if name in raw:
            raise BadRequest(detail={lang: text.format(name=name) for lang, text in _TWICE.items()})
        raw[name] = value
    if not _takes(question, "lang") and raw.get("lang") in LANGUAGES:
        del raw["lang"]
    return raw


def _takes(question: Question, name: str) -> bool:
    return any(parameter.name == name for parameter in question.parameters)


def _choice(request: Request, suffix: str | None, name: str | None) -> Choice:
    """Return the format named after `format=`, else that of the suffix, else what `Accept` prefers.

    Raises `BadRequest` for an unknown name, `NotAcceptable` where nothing suits.
    """
    if name and name.lower() not in _FORMATS:
        raise unknown_format(name, _FORMATS)
    suffix = _FORMATS[name.lower()] if name else suffix
    choice = by_suffix(suffix, _OFFERS) if suffix else best(request.headers.get("accept"), _OFFERS)
    if choice is None:
        raise NotAcceptable(offered=listed(_OFFERS))
    return choice


def _turtle(term: Term) -> str:
    # Tabs and line ends would break the table; Oxigraph escapes all but the tab.
    return str(term).replace("\t", "\\t")


def _xml(table: Table) -> str:
    variables = "".join(f"<variable name={quoteattr(name)}/>" for name in table.columns)
    rows = "".join(
        "<result>"
        + "".join(f"<binding name={quoteattr(name)}>{_xml_term(term)}</binding>" for name, term in row.items())
        + "</result>"
        for row in table.iter_dicts()
    )
    return f'<?xml version="1.0"?><sparql xmlns="{_RESULTS}"><head>{variables}</head><results>{rows}</results></sparql>'


def _xml_term(term: Term) -> str:
    if isinstance(term, NamedNode):
        return f"<uri>{escape(term.value)}</uri>"
    if isinstance(term, BlankNode):
        return f"<bnode>{escape(term.value)}</bnode>"
    kind = (
        f" xml:lang={quoteattr(term.language)}" if term.language
        else "" if term.datatype.value.endswith("#string")
        else f" datatype={quoteattr(term.datatype.value)}"
    )  # fmt: skip
    return f"<literal{kind}>{escape(term.value)}</literal>"


def operations() -> dict[str, Any]:
    """Return the OpenAPI path of each stored query."""
    return {f"/query/{question.name}": {"get": _operation(question)} for question in load_questions().values()}


def _operation(question: Question) -> Mapping[str, Any]:
    formats: dict[str, Any] = {offer.media_type: {} for offer in _OFFERS}
    parameters: list[dict[str, Any]] = [
        {
            "name": parameter.name,
            "in": "query",
            "required": False,
            "description": f"{parameter.label['en']} · {parameter.label['fr']}"
            + (f" ({shrink(parameter.of_class)})" if parameter.of_class else ""),
            "schema": _SCHEMAS.get(parameter.kind, {"type": "string"}) | {"default": _default(parameter)},
        }
        for parameter in question.parameters
    ]
    if not _takes(question, "format"):
        parameters.append(
            {
                "name": "format",
                "in": "query",
                "required": False,
                "description": "A format, in place of Accept · Un format, à la place de Accept",
                "schema": {"type": "string", "enum": list(_FORMATS)},
            }
        )
    return {
        "tags": ["Questions"],
        "operationId": "query_" + question.name.replace("-", "_"),
        "summary": f"{question.title['en']} · {question.title['fr']}",
        "parameters": parameters,
        "responses": {
            "200": {"description": "The table · Le tableau: " + ", ".join(question.columns), "content": formats},
            "400": {"$ref": "#/components/responses/Problem"},
            "406": {"$ref": "#/components/responses/Problem"},
        },
    }


_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "integer": {"type": "integer"},
    "decimal": {"type": "number"},
    "date": {"type": "string", "format": "date"},
    "lang": {"type": "string", "enum": list(LANGUAGES)},
}


def _default(parameter: Parameter) -> int | float | str:
    if parameter.kind == "integer":
        return int(parameter.default)
    return float(parameter.default) if parameter.kind == "decimal" else parameter.default
