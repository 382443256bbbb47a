"""Resources that came in as FHIR and are given back as they came, byte for byte.

The intake keeps the text of each in its graph `graph/fhir/NAME`: `pepr:resourceJson`, and `pepr:resourceReference` with
`TYPE/ID`. What was made of it in our terms says `prov:wasDerivedFrom`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pepr_kg.fhir.nodes import TYPE, Nodes
from pepr_kg.fhir.offer_errors import SeveralResources
from pepr_kg.namespaces import FHIR, expand
from pepr_kg.store import BlankNode, Literal, NamedNode, Quad

_FHIR: Final = "http://hl7.org/fhir/"
_JSON: Final = NamedNode(expand("pepr:resourceJson"))
_REFERENCE: Final = NamedNode(expand("pepr:resourceReference"))
_VERSION: Final = NamedNode(expand("pepr:resourceVersion"))
_GONE: Final = NamedNode(expand("pepr:resourceGone"))
_RELEASE: Final = NamedNode(expand("pepr:fhirRelease"))
_ABOUT: Final = frozenset({"subject", "patient"})  # the elements that say whom a resource is about
_DEEPEST: Final = 50  # steps from a text up to its resource: a list has one for each item
_FROM: Final = NamedNode(expand("prov:wasDerivedFrom"))


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource as it came: its subject and graph, its reference (`TYPE/ID`), version, release and text."""

    subject: str
    graph: str
    reference: str
    version: str
    release: str
    text: str


def find_kept(nodes: Nodes, reference: str) -> Kept | None:
    """Return the resource with this reference, or None. Raises `SeveralResources` where two sources use the id."""
    found = []
    for graph in kept_graphs(nodes):
        for quad in nodes.view.quads(None, _REFERENCE, Literal(reference), graph):
            if isinstance(quad.subject, NamedNode) and quad.subject.value.startswith(nodes.source):
                kept = read_kept(nodes, quad.subject, graph)
                found += [] if kept is None else [kept]
    if len(found) > 1:
        cohorts = ", ".join(f"cohort={kept.graph.removeprefix(FHIR)} (_source={kept.subject})" for kept in found)
        raise SeveralResources(reference=reference, cohorts=cohorts)
    return found[0] if found else None


def is_gone(nodes: Nodes, reference: str) -> bool:
    """Return whether there was a resource with this reference that its source took back."""
    return next(nodes.view.quads(None, _GONE, Literal(reference)), None) is not None


def read_kept(nodes: Nodes, subject: NamedNode, graph: NamedNode) -> Kept | None:
    """Return the resource that a graph keeps of a subject, or None where it has no text of it."""
    text = _value(nodes, subject, _JSON, graph)
    if text is None:
        return None
    reference = _value(nodes, subject, _REFERENCE, graph) or ""
    version = _value(nodes, subject, _VERSION, graph) or ""
    return Kept(subject.value, graph.value, reference, version, release_of(nodes, graph), text)


def release_of(nodes: Nodes, graph: NamedNode) -> str:
    """Return the release of what a graph keeps."""
    return _value(nodes, graph, _RELEASE, graph) or "R4"


def kept_of_type(nodes: Nodes, kind: str) -> Iterator[tuple[NamedNode, NamedNode]]:
    """Yield subject and graph of the resources of a type, in the order of the index."""
    for graph in kept_graphs(nodes):
        for name in (kind, f"_{kind}"):  # R5: a resource with a modifier extension
            for quad in nodes.view.quads(None, TYPE, NamedNode(_FHIR + name), graph):
                if isinstance(quad.subject, NamedNode):
                    yield quad.subject, graph


def has_kept(nodes: Nodes, kind: str, graph: NamedNode) -> bool:
    """Return whether a graph keeps a resource of a type."""
    return any(nodes.typed_in(NamedNode(_FHIR + name), graph) for name in (kind, f"_{kind}"))


def kept_about(nodes: Nodes, subject: NamedNode) -> Iterator[tuple[NamedNode, NamedNode]]:
    """Yield subject and graph of the resources that say that they are about a resource."""
    for graph in kept_graphs(nodes):
        for name in ("link", "l"):
            for link in nodes.view.quads(None, NamedNode(_FHIR + name), subject, graph):
                if not isinstance(link.subject, BlankNode):
                    continue
                for holder in nodes.view.quads(None, None, link.subject, graph):
                    if isinstance(holder.subject, NamedNode) and _element(holder.predicate.value) in _ABOUT:
                        yield holder.subject, graph


def holders_of(nodes: Nodes, element: str, value: str) -> Iterator[tuple[NamedNode, NamedNode]]:
    """Yield subject and graph of the resources with a text in an element of theirs, such as `code` or `identifier`.

    From the literal upwards through the nodes that nobody named; the step that leaves the resource must be the element.
    """
    for graph in kept_graphs(nodes):
        for name in ("value", "v"):
            for quad in nodes.view.quads(None, NamedNode(_FHIR + name), Literal(value), graph):
                holder = _climb(nodes, quad, element, graph)
                if holder is not None:
                    yield holder, graph


def _climb(nodes: Nodes, quad: Quad, element: str, graph: NamedNode) -> NamedNode | None:
    """Return the resource above a text, if the text stands in this element of it."""
    for _ in range(_DEEPEST):
        node = quad.subject
        if isinstance(node, NamedNode):
            return node if _element(quad.predicate.value) == element else None
        above = next(nodes.view.quads(None, None, node, graph), None) if isinstance(node, BlankNode) else None
        if above is None:
            return None
        quad = above
    return None


def kept_graphs(nodes: Nodes) -> tuple[NamedNode, ...]:
    """Return the graphs of what came in as FHIR; that of one cohort alone where it was named."""
    return nodes.fhir_graphs


def source_of(nodes: Nodes, iri: str) -> tuple[NamedNode, NamedNode] | None:
    """Return the resource that a thing was made from and that is kept: its subject and its graph."""
    if not nodes.fhir_graphs:
        return None
    for quad in nodes.view.quads(NamedNode(iri), _FROM):
        if isinstance(quad.object, NamedNode):
            for graph in nodes.fhir_graphs:
                if next(nodes.view.quads(quad.object, _REFERENCE, None, graph), None) is not None:
                    return quad.object, graph
    return None


def reference_of(nodes: Nodes, iri: str) -> str | None:
    """Return the reference of the resource that a thing was made from, where it is kept."""
    found = source_of(nodes, iri)
    return None if found is None else _value(nodes, found[0], _REFERENCE, found[1])


def _element(predicate: str) -> str:
    """Return the element that a predicate stands for, in R4's way or in R5's.

    >>> _element("http://hl7.org/fhir/Observation.code"), _element("http://hl7.org/fhir/code")
    ('code', 'code')
    """
    return predicate.rpartition("/")[2].rpartition(".")[2]


def _value(nodes: Nodes, subject: NamedNode, predicate: NamedNode, graph: NamedNode) -> str | None:
    quad = next(nodes.view.quads(subject, predicate, None, graph), None)
    return None if quad is None or not isinstance(quad.object, Literal) else quad.object.value
