"""The pages that people read, in French under `/fr/` and in English under `/en/`, without any script.

Each address of a page is `/{lang}` and the end of the IRI that it is about; each page has one
address in each language, and keeps its query when the language is changed.
"""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from pepr_kg.errors import NotFound, PeprError, UnknownPrefix
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import BASE, GRAPH, ID, PEPR, expand
from pepr_kg.web import answers, pages_models
from pepr_kg.web.pages_entity import entity_page
from pepr_kg.web.pages_evaluable import Trials
from pepr_kg.web.pages_frame import STATIC, Crumb, Reader, Vocabularies, page_tag, render, texts
from pepr_kg.web.pages_home import home_page, search_page
from pepr_kg.web.pages_questions import question_page, questions_page, sparql_page
from pepr_kg.web.pages_terms import graph_page, ontology_page, term_page

router: Final = APIRouter(include_in_schema=False)


def register(app: FastAPI) -> None:
    """Add the pages and their style sheet to the application."""
    app.state.vocabularies = Vocabularies()
    app.state.trials = Trials()
    app.router.routes[:0] = pages_models.files.routes  # before the route of everything that has an IRI under /id/
    app.add_api_route("/", root, methods=["GET"], include_in_schema=False)
    for lang in LANGUAGES:
        app.include_router(router, prefix=f"/{lang}")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def root(request: Request) -> Response:
    """Lead to the home page in the reader's language."""
    return RedirectResponse(f"/{answers.language_of(request)}/", 303, {"Vary": "Accept-Language"})


def error_page(request: Request, error: PeprError, status: int) -> Response:
    """Return the page that says what went wrong and where to go on."""
    lang = answers.language_of(request)
    details = error.details
    nearest = details.get("nearest", "")
    body = render(
        request, lang, "error.html", error.title(lang), None,
        crumbs=[Crumb(texts().phrase("nav.home", lang), "/"), Crumb(error.title(lang))],
        status=status, message=error.message(lang),
        nearest=[name.strip() for name in nearest.split(",") if name.strip()] if isinstance(nearest, str) else [],
    )  # fmt: skip
    return answers.respond(
        request, body, "text/html; charset=utf-8", vary=("Accept", "Accept-Language"),
        headers={"Content-Language": lang}, status=status,
    )  # fmt: skip


def _read(request: Request, make: Callable[[Reader], Response]) -> Response:
    """Return a page, or the word that the browser's copy still holds, before any work."""
    lang = answers.language_of(request)
    same = answers.not_modified(request, page_tag(request, lang))
    return same or make(Reader(request, lang))


@router.get("/")
def home(request: Request) -> Response:
    """The home page."""
    return _read(request, home_page)


@router.get("/search")
def search(request: Request) -> Response:
    """What has the words sought in its names."""
    return _read(request, search_page)


@router.get("/questions")
def questions(request: Request) -> Response:
    """The stored questions."""
    return _read(request, questions_page)


@router.get("/questions/{name}")
def question(request: Request, name: str) -> Response:
    """One question with its answer."""
    return _read(request, lambda reader: question_page(reader, name))


@router.get("/sparql")
def sparql(request: Request) -> Response:
    """The form for a query of one's own."""
    return _read(request, sparql_page)


@router.get("/ontology")
def ontology(request: Request) -> Response:
    """The trees of the ontology."""
    return _read(request, ontology_page)


@router.get("/ontology/{term:path}")
def ontology_term(request: Request, term: str) -> Response:
    """A class or property; else whatever has an IRI of ours there: a shape, a module."""

    def make(reader: Reader) -> Response:
        iri = _outside(term) if ":" in term else PEPR + term
        known = reader.vocabulary.terms.get(iri)
        if known:
            return term_page(reader, known)
        if not iri.startswith(BASE):
            raise NotFound(name=term)
        return entity_page(reader, iri)

    return _read(request, make)


@router.get("/graph/{name:path}")
def graph(request: Request, name: str) -> Response:
    """A named graph."""
    return _read(request, lambda reader: graph_page(reader, GRAPH + name))


@router.get("/id/{name:path}")
def individual(request: Request, name: str) -> Response:
    """An individual."""
    return _read(request, lambda reader: entity_page(reader, ID + name))


def _outside(term: str) -> str:
    try:
        return expand(term)
    except UnknownPrefix as error:
        raise NotFound(name=term) from error
