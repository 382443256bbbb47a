"""The triples of one graph, by subject, with the few things that reading FHIR asks of them.

A predicate is named without FHIR's namespace (`Resource.id`, `v`), `a` for the class, and by its IRI outside FHIR.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pepr_kg.namespaces import PEPR
from pepr_kg.rdf import Literal, NamedNode, Quad, Term, Triple

FHIR: Final = "http://hl7.org/fhir/"
RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
CLASS: Final = "a"
FIRST, REST = RDF + "first", RDF + "rest"
NIL: Final = NamedNode(RDF + "nil")
UNRECOGNISED, ELEMENT_NAME, ELEMENT_JSON, RESOURCE_JSON = (
    PEPR + name for name in ("unrecognised", "elementName", "elementJson", "resourceJson")
)
ROLE: Final = "nodeRole"
# They point to other resources; the node that they point to is not a part of this one.
_LINKS: Final = frozenset({CLASS, ROLE, "link", "l"})

Links = Mapping[str, list[Term]]
_NO_LINKS: Final[Links] = {}


class Graph:
    """The triples of one graph by subject and predicate; not changed after it is made."""

    def __init__(self) -> None:
        self.nodes: dict[Term, dict[str, list[Term]]] = {}
        self.names: dict[NamedNode, str] = {}  # of each predicate that occurs
        self._held: set[Term] = set()

    def add(self, quad: Quad) -> None:
        """Take a triple in; one about a triple changes nothing."""
        subject, predicate, value = quad.subject, quad.predicate, quad.object
        if isinstance(subject, Triple) or isinstance(value, Triple):
            return
        name = self.names.get(predicate)
        if name is None:
            name = self.names[predicate] = _name(predicate.value)
        links = self.nodes.get(subject)
        if links is None:
            links = self.nodes[subject] = {}
        values = links.get(name)
        if values is None:
            links[name] = [value]
        else:
            values.append(value)  # one that a document says twice is dropped where it matters
        if not isinstance(value, Literal) and name not in _LINKS:
            self._held.add(value)

    def links(self, term: Term) -> Links:
        """Return what a node says, by predicate; empty for a node that says nothing."""
        return self.nodes.get(term, _NO_LINKS)

    def classes(self, term: Term) -> list[str]:
        """Return the names of a node's classes that are FHIR's own."""
        return [
            value.value.removeprefix(FHIR)
            for value in self.links(term).get(CLASS, ())
            if isinstance(value, NamedNode) and value.value.startswith(FHIR)
        ]

    def is_list(self, term: Term) -> bool:
        """Return whether a node is the head of an RDF list."""
        return term == NIL or FIRST in self.links(term)

    def items(self, head: Term) -> tuple[list[Term], str]:
        """Return the items of a list and what is wrong with it: "", "heads", "items", "end" or "cycle".

        A list with two ways on is followed along the first, so that reading ends whatever the graph holds.
        """
        found: list[Term] = []
        seen: set[Term] = set()
        fault = ""
        while head != NIL:
            if head in seen:
                return found, "cycle"
            seen.add(head)
            links = self.links(head)
            values, rests = links.get(FIRST, []), links.get(REST, [])
            if not values or not rests:
                return found + values[:1], "end"
            if len(values) > 1 or len(rests) > 1:
                fault = "items" if len(values) > 1 else "heads"
            found.append(values[0])
            head = rests[0]
        return found, fault

    def roots(self, resources: frozenset[str]) -> list[Term]:
        """Return the nodes that are resources of their own, in the order of the document.

        Those are the ones with `fhir:nodeRole`, and those of a class of resources, with something said of them, that no
        other node holds.
        """
        return [
            term
            for term, links in self.nodes.items()
            if ROLE in links
            or RESOURCE_JSON in links
            or (
                CLASS in links
                and len(links) > 1
                and term not in self._held
                and any(name.removeprefix("_") in resources for name in self.classes(term))
            )
        ]


def index(quads: Iterable[Quad]) -> list[Graph]:
    """Return the graphs of a document or dataset, in the order in which they appear."""
    found: dict[object, Graph] = {}
    for quad in quads:
        graph = found.get(quad.graph_name)
        if graph is None:
            graph = found[quad.graph_name] = Graph()
        graph.add(quad)
    return list(found.values())


def _name(iri: str) -> str:
    if iri == RDF + "type":
        return CLASS
    return iri.removeprefix(FHIR)
