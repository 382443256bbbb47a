"""What the graph says of things, looked up in the engine's own order: what FHIR resources are made from.

A `Node` is one subject with its values by short form. A page of a hundred resources wants some thousand triples: the
index gives them in milliseconds, and what they share (labels, units) is remembered. Nothing is sorted and no query
is run, so a page of a million costs what one of a hundred costs, and the way to it.

>>> from pepr_kg.rdf import Literal
>>> node = Node("urn:a", {"rdfs:label": (Literal("âge", language="fr"), Literal("age", language="en"))})
>>> node.words("rdfs:label"), node.first("pepr:unitCode") is None
({'en': 'age', 'fr': 'âge'}, True)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import FHIR, expand, shrink
from pepr_kg.store import Literal, NamedNode, Quad, Term, View

_REMEMBERED: Final = 20_000  # nodes; then it begins anew
TYPE: Final = NamedNode(expand("rdf:type"))


@dataclass(frozen=True, slots=True)
class Node:
    """A subject: its IRI and its values, by the short form of the predicate."""

    iri: str
    values: Mapping[str, tuple[Term, ...]]

    def __bool__(self) -> bool:
        """Return whether anything is said of it."""
        return bool(self.values)

    def first(self, curie: str) -> str | None:
        """Return a value as text, an IRI or a literal; of several the least, so that it is always the same."""
        found = self.values.get(curie)
        return None if not found else found[0].value if len(found) == 1 else min(term.value for term in found)

    def all(self, curie: str) -> list[str]:
        """Return the values as texts, sorted."""
        return sorted(term.value for term in self.values.get(curie, ()))

    def iris(self, curie: str) -> list[str]:
        """Return the values that are IRIs, sorted."""
        return sorted(term.value for term in self.values.get(curie, ()) if isinstance(term, NamedNode))

    def words(self, curie: str) -> dict[str, str]:
        """Return the text by language, in the languages that there are; a text without a language counts for both."""
        found: dict[str, str] = {}
        for term in sorted(self.values.get(curie, ()), key=lambda term: term.value):
            if isinstance(term, Literal):
                for language in (term.language,) if term.language else LANGUAGES:
                    found.setdefault(language, term.value)
        return found

    def is_a(self, *curies: str) -> bool:
        """Return whether it is of one of these classes."""
        kinds = {term.value for term in self.values.get("rdf:type", ())}
        return any(expand(curie) in kinds for curie in curies)


class Nodes:
    """The things of one view. A node that was read is remembered for a while.

    `fhir_graphs` are those of what came in as FHIR: all, or that of a cohort; `source` how the address of a resource
    among them begins.
    """

    def __init__(self, view: View, cohort: str | None = None, source: str | None = None) -> None:
        self.view = view
        self.source = source or ""
        named = [graph for graph in view.graphs if graph.value.startswith(FHIR)]
        self.fhir_graphs = tuple(graph for graph in named if cohort is None or graph.value == FHIR + cohort)
        self._known: dict[str, Node] = {}

    def get(self, iri: str) -> Node:
        """Return a thing with all that any graph of the view says of it; without values where none says anything."""
        found = self._known.get(iri)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            node = named(iri)
            found = self._known[iri] = Node(iri, {}) if node is None else _node(iri, self.view.quads(node))
        return found

    def read(self, iri: str, graph: NamedNode | None) -> Node:
        """Return a thing with what one graph says of it: quicker, and not remembered, as there may be a million."""
        return _node(iri, self.view.quads(NamedNode(iri), graph=graph))

    def members(self, curie: str, graph: NamedNode | None = None) -> Iterator[Quad]:
        """Yield the quads that say what is of a class, in the order of the index."""
        return self.view.quads(None, TYPE, NamedNode(expand(curie)), graph)

    def graph_of(self, subject: NamedNode) -> NamedNode | None:
        """Return the graph that says what something is; of several the first."""
        quad = next(self.types(subject), None)
        return None if quad is None or not isinstance(quad.graph_name, NamedNode) else quad.graph_name

    def types(self, subject: NamedNode) -> Iterator[Quad]:
        """Yield the quads that say what something is."""
        return self.view.quads(subject, TYPE)

    def typed(self, curie: str, subject: NamedNode) -> Iterator[Quad]:
        """Yield the quads that say of something that it is of a class, in the order of the graphs."""
        return self.view.quads(subject, TYPE, NamedNode(expand(curie)))

    def typed_in(self, kind: NamedNode, graph: NamedNode) -> bool:
        """Return whether a graph has a thing of a class that somebody named."""
        return any(
            isinstance(quad.subject, NamedNode) for quad in islice(self.view.quads(None, TYPE, kind, graph), 100)
        )

    def pointing(self, curie: str, value: Term, graph: NamedNode | None = None) -> Iterator[Quad]:
        """Yield the quads by which things have a value."""
        return self.view.quads(None, NamedNode(expand(curie)), value, graph)

    def links(self, curie: str, graph: NamedNode) -> Iterator[Quad]:
        """Yield the quads of a graph with a predicate."""
        return self.view.quads(None, NamedNode(expand(curie)), None, graph)


def named(iri: str) -> NamedNode | None:
    """Return the node of an IRI; None for a text that is none, of which nothing can be said."""
    try:
        return NamedNode(iri)
    except ValueError:
        return None


def _node(iri: str, quads: Iterator[Quad]) -> Node:
    found: dict[str, list[Term]] = {}
    for quad in quads:
        values = found.setdefault(_short(quad.predicate.value), [])
        if isinstance(quad.object, Term) and quad.object not in values:
            values.append(quad.object)
    return Node(iri, {name: tuple(values) for name, values in found.items()})


@lru_cache(maxsize=4096)
def _short(predicate: str) -> str:
    return shrink(predicate) or predicate
