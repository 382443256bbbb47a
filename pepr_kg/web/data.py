"""Linked data: every IRI of ours answers in RDF, and sends people to its page.

The format is agreed on by `Accept`, or named by a suffix (`.ttl`, `.nt`, `.jsonld`, `.rdf`, `.html`).
"""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from pepr_kg.errors import NotAcceptable, NotFound
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import BASE, ONTOLOGY_GRAPH, PEPR, PREFIXES
from pepr_kg.store import BlankNode, NamedNode, RdfFormat, Triple, View, serialize_triples
from pepr_kg.web.answers import etag_of, language_of, node_at, not_modified, respond, see_other, view_of
from pepr_kg.web.negotiate import HTML, QUADS, TRIPLES, Offer, best, by_suffix, listed, split_suffix

router = APIRouter(tags=["Linked data"])

_ABOUT: Final = NamedNode(PEPR + "aboutSubject")
_TYPE: Final = NamedNode(PREFIXES["rdf"] + "type")
# Turtle first: machines that send no Accept get it; people's browsers name HTML.
_OFFERS: Final = (*TRIPLES, HTML)
_GRAPH_OFFERS: Final = (*TRIPLES, *QUADS, HTML)


@router.get("/id/{name:path}", include_in_schema=False)
def individual(request: Request, name: str) -> Response:
    """Answer for `id/KIND/NAME`."""
    return _resource(request, f"id/{name}")


@router.get("/ontology/{name:path}", include_in_schema=False)
def term(request: Request, name: str) -> Response:
    """Answer for a term of the ontology, or for the ontology when the name is empty."""
    return _resource(request, f"ontology/{name}") if name else ontology(request)


@router.get("/ontology", include_in_schema=False)
@router.get("/ontology.{suffix}", include_in_schema=False)
def ontology(request: Request, suffix: str | None = None) -> Response:
    """Answer with the whole ontology."""
    if suffix is not None and by_suffix(suffix, _OFFERS) is None:
        raise NotFound(name=f"{BASE}ontology.{suffix}")
    view = view_of(request)
    return _negotiated(request, "ontology", suffix, _OFFERS, lambda kind: _whole(view, NamedNode(ONTOLOGY_GRAPH), kind))


@router.get("/graph/{name:path}", include_in_schema=False)
def graph(request: Request, name: str) -> Response:
    """Answer with a whole graph."""
    path, suffix = split_suffix(f"graph/{name}", _GRAPH_OFFERS)
    view, node = view_of(request), node_at(BASE + path)
    if node not in view.graphs:
        raise NotFound(name=node.value)
    return _negotiated(request, path, suffix, _GRAPH_OFFERS, lambda kind: _whole(view, node, kind))


def description(view: View, subject: NamedNode | BlankNode) -> list[Triple]:
    """Return what the graph says of a thing, and the statements that say where that comes from.

    Blank nodes are followed: no description ends in one. Links that arrive from elsewhere
    are not in it.
    """
    statements = sorted((triple.subject for triple in view.triples(None, _ABOUT, subject)), key=str)
    found: dict[Triple, None] = {}
    seen: set[object] = set()
    pending = [subject, *(node for node in statements if isinstance(node, NamedNode | BlankNode))]
    while pending:
        node = pending.pop(0)
        if node in seen:
            continue
        seen.add(node)
        triples = sorted(view.triples(node), key=lambda triple: (triple.predicate != _TYPE, str(triple)))
        found.update(dict.fromkeys(triples))
        pending[:0] = [triple.object for triple in triples if isinstance(triple.object, BlankNode)]
    return list(found)


def _resource(request: Request, path: str) -> Response:
    path, suffix = split_suffix(path, _OFFERS)
    view, node = view_of(request), node_at(BASE + path)
    if next(view.quads(node), None) is None:
        raise NotFound(name=node.value)
    return _negotiated(request, path, suffix, _OFFERS, lambda kind: serialize_triples(description(view, node), kind))


def _whole(view: View, node: NamedNode, kind: RdfFormat) -> bytes:
    """Return a graph: as triples where one graph is a document, with its name in TriG and N-Quads."""
    if kind in (RdfFormat.TRIG, RdfFormat.N_QUADS):
        return view.dump(kind, node)
    return serialize_triples(sorted(view.triples_of(node), key=str), kind)


def _negotiated(
    request: Request, path: str, suffix: str | None, offers: Sequence[Offer], make: Callable[[RdfFormat], bytes]
) -> Response:
    """Return the document that `make` gives in the format agreed on, or send the caller to the page."""
    choice = by_suffix(suffix, offers) if suffix else best(request.headers.get("accept"), offers)
    if choice is None:
        raise NotAcceptable(offered=listed(offers))
    address = "/" + quote(path)
    if choice.offer is HTML:
        return see_other(f"/{language_of(request)}{address}", {"Link": _links(address, offers, None)})
    etag = etag_of(request, path, choice.media_type)
    if same := not_modified(request, etag):
        return same
    kind = RdfFormat.from_media_type(choice.offer.media_type)
    if kind is None:
        raise NotAcceptable(offered=listed(offers))
    headers = {
        "Content-Location": f"{address}.{choice.offer.suffix}",
        "Link": _links(address, offers, choice.offer),
    }
    return respond(request, make(kind), choice.media_type, etag, headers=headers)


def _links(address: str, offers: Sequence[Offer], sent: Offer | None) -> str:
    """Return the `Link` header: the thing, its pages, and the documents that describe it."""
    links = [f'<{BASE.rstrip("/")}{address}>; rel="describes"']
    for offer in offers:
        if offer is HTML:
            links += [f'</{lang}{address}>; rel="alternate"; type="text/html"; hreflang="{lang}"' for lang in LANGUAGES]
        elif offer is not sent:
            relation = "describedby" if sent is None else "alternate"
            links.append(f'<{address}.{offer.suffix}>; rel="{relation}"; type="{offer.media_type}"')
    return ", ".join(links)
