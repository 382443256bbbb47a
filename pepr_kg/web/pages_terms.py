"""The pages about the ontology: its trees, a class or a property, a graph."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Response

from pepr_kg.errors import NotFound
from pepr_kg.namespaces import BASE, ONTOLOGY, PEPR, PREFIXES, expand, shrink
from pepr_kg.questions import Question, load_questions
from pepr_kg.store import NamedNode, Table
from pepr_kg.store import Term as Node
from pepr_kg.vocabulary import Term, TermKind
from pepr_kg.web.answers import node_at
from pepr_kg.web.axioms import Token, expression, facet, is_plain, phrase_or
from pepr_kg.web.pages_entity import page_links, page_of
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_trees import scheme_tree, term_tree

_RDF, _RDFS, _OWL, _SKOS, _SH = (PREFIXES[name] for name in ("rdf", "rdfs", "owl", "skos", "sh"))
_LABEL: Final = _RDFS + "label"
_TEXTS: Final = tuple(
    expand(curie)
    for curie in ("skos:definition", "rdfs:comment", "skos:scopeNote", "skos:note", "skos:example", "skos:altLabel")
)
_ALIGNMENTS: Final = frozenset(
    expand(curie) for curie in ("skos:exactMatch", "skos:closeMatch", "skos:broadMatch", "skos:narrowMatch",
                                "skos:relatedMatch", "rdfs:seeAlso", "dcterms:source")
)  # fmt: skip
# Axioms in the order in which the page states them.
_AXIOMS: Final = tuple(
    expand(curie)
    for curie in ("rdfs:subClassOf", "owl:equivalentClass", "owl:disjointWith", "owl:disjointUnionOf",
                  "rdfs:subPropertyOf", "owl:equivalentProperty", "rdfs:domain", "rdfs:range", "owl:inverseOf",
                  "owl:propertyChainAxiom", "owl:hasKey", "owl:propertyDisjointWith")
)  # fmt: skip
# Facets of a shape that say how it is run or reported, not what it asks.
_NOT_ASKED: Final = frozenset(
    _SH + name for name in ("path", "message", "description", "severity", "property", "targetClass", "name", "order",
                            "targetSubjectsOf", "targetObjectsOf", "group")
)  # fmt: skip
_SEVERITIES: Final = {_SH + "Violation": "doubt", _SH + "Warning": "open", _SH + "Info": "quiet"}
_KINDS: Final[tuple[TermKind, ...]] = ("class", "object-property", "datatype-property", "annotation-property")


@dataclass(slots=True)
class Constraint:
    """What one shape asks: of which class, on which path, how strictly, with which message."""

    shape: Shown | None
    target: list[Shown]
    path: list[Token]
    facets: list[tuple[str, list[Token]]]
    messages: list[Shown]
    advice: list[Shown]
    severity: str
    tone: str


def ontology_page(reader: Reader) -> Response:
    """Return the page of the trees: classes, properties, concept schemes."""
    trees = [
        (kind, [term_tree(reader, term) for term in reader.vocabulary.roots(kind)],
         sum(1 for term in reader.vocabulary.terms.values() if term.kind == kind and term.own))
        for kind in _KINDS
    ]  # fmt: skip
    modules = [
        reader.show_iri(iri) for iri in reader.by_label(reader.vocabulary.instances(_OWL + "Ontology"))
        if iri.startswith(PEPR)
    ]  # fmt: skip
    return reader.page(
        "ontology.html",
        reader.phrase("ontology.title"),
        crumbs=[_home(reader), Crumb(reader.phrase("nav.ontology"))],
        twins=twin_addresses(ONTOLOGY),
        trees=trees,
        schemes=[scheme_tree(reader, iri) for iri in reader.by_label(reader.vocabulary.concept_schemes())],
        modules=modules,
    )


def term_page(reader: Reader, term: Term) -> Response:
    """Return the page about a class or a property."""
    node = NamedNode(term.iri)
    facts: dict[str, list[Node]] = defaultdict(list)
    for row in reader.select("term-facts", term=node).iter_dicts():
        facts[row["property"].value].append(row["value"])
    for row in reader.select("term-axioms", term=node).iter_dicts():
        values = facts[row["relation"].value]
        if row["other"] not in values:
            values.append(row["other"])
    texts = [
        (reader.show_iri(name), sorted(map(reader.show, facts[name]), key=lambda shown: shown.lang != ""))
        for name in _TEXTS
        if name in facts
    ]
    instances, paging = _instances(reader, term)
    label = reader.label(term.iri)
    return reader.page(
        "term.html",
        label.text,
        crumbs=_term_crumbs(reader, term),
        twins=twin_addresses(term.iri) if term.own else None,
        term=term,
        label=reader.show_iri(term.iri),
        labels=[reader.show(value) for value in facts.get(_LABEL, ())],
        kind=reader.phrase(f"term.{term.kind}"),
        texts=texts,
        parents=[reader.show_iri(iri) for iri in term.parents],
        children=[
            term_tree(reader, reader.vocabulary.terms[iri], deep=False) for iri in reader.by_label(term.children)
        ],
        axioms=_axioms(reader, facts),
        characteristics=[
            reader.phrase(f"axiom.{name}")
            for value in facts.get(_RDF + "type", ())
            if (name := value.value.removeprefix(_OWL)) in _CHARACTERISTICS
        ],
        constraints=_constraints(reader, node),
        instances=instances,
        paging=paging,
        samples=_samples(reader, term, node),
        questions=questions_using(term),
        module=reader.show_iri(term.module) if term.module else None,
        alignments=[
            (reader.show_iri(name), [reader.show(value) for value in values])
            for name, values in facts.items() if name in _ALIGNMENTS
        ],
    )  # fmt: skip


def graph_page(reader: Reader, iri: str) -> Response:
    """Return the page about a named graph: what it holds, and its downloads. Raises `NotFound`."""
    node = node_at(iri)
    if node not in reader.view.graphs:
        raise NotFound(name=shrink(iri) or iri)
    table: Table = reader.select("graph-classes", graph=node)
    path = "/" + iri.removeprefix(BASE)
    name = reader.phrase("graph.title", name=iri.rpartition("/graph/")[2])
    return reader.page(
        "graph.html",
        name,
        crumbs=[_home(reader), Crumb(name)],
        twins={**twin_addresses(iri), "application/n-quads": f"{path}.nq", "application/trig": f"{path}.trig"},
        iri=iri,
        triples=reader.view.counts()[iri],
        classes=[(reader.show(row["class"]), int(row["count"].value)) for row in table.iter_dicts() if "class" in row],
        graphs=[(reader.show_iri(other), count) for other, count in reader.view.counts().items()],
    )


def questions_using(term: Term) -> list[Question]:
    """Return the stored queries whose text names the term, or which ask for one of its kind."""
    sought = re.compile(rf"(?<![\w:-]){re.escape(term.curie)}(?![\w-])|<{re.escape(term.iri)}>")
    return [
        question for question in load_questions().values()
        if sought.search(question.sparql) or any(term.iri == parameter.of_class for parameter in question.parameters)
    ]  # fmt: skip


_CHARACTERISTICS: Final = frozenset(
    {"FunctionalProperty", "InverseFunctionalProperty", "TransitiveProperty", "SymmetricProperty", "AsymmetricProperty",
     "ReflexiveProperty", "IrreflexiveProperty"}
)  # fmt: skip


def _home(reader: Reader) -> Crumb:
    return Crumb(reader.phrase("nav.home"), f"/{reader.lang}/")


def _term_crumbs(reader: Reader, term: Term) -> list[Crumb]:
    way = [_home(reader), Crumb(reader.phrase("nav.ontology"), f"/{reader.lang}/ontology")]
    above: list[Crumb] = []
    current, seen = term, {term.iri}
    while current.parents and current.parents[0] not in seen:
        current = reader.vocabulary.terms[current.parents[0]]
        seen.add(current.iri)
        shown = reader.show_iri(current.iri)
        above.append(Crumb(shown.text, shown.href))
    return [*way, *reversed(above), Crumb(reader.label(term.iri).text)]


def _axioms(reader: Reader, facts: Mapping[str, list[Node]]) -> list[tuple[str, list[list[Token]]]]:
    """Return the axioms that are more than a named parent, which the page shows already."""
    found = []
    for name in _AXIOMS:
        values = facts.get(name, [])
        if name in {_RDFS + "subClassOf", _RDFS + "subPropertyOf"}:
            values = [value for value in values if not is_plain(value)]
        if values:
            key = (shrink(name) or name).replace(":", ".")
            found.append((reader.phrase(f"axiom.{key}"), [expression(reader, value) for value in values]))
    return found


def _constraints(reader: Reader, term: NamedNode) -> list[Constraint]:
    structure = reader.vocabulary.structure
    known = reader.vocabulary.terms[term.value]
    above = {term.value, *reader.vocabulary.ancestors(term.value)} if known.kind == "class" else set()
    found = []
    for shape, constraint in reader.vocabulary.constraints(term.value):
        parts = structure.get(constraint.value, {})
        facets = []
        for name, values in parts.items():
            if name.startswith(_SH) and name not in _NOT_ASKED:
                tokens = [token for number, value in enumerate(values)
                          for token in ([Token(",")] if number else []) + facet(reader, value)]  # fmt: skip
                facets.append((phrase_or(reader, f"shape.{name.removeprefix(_SH)}", shrink(name) or name), tokens))
        messages = [reader.show(value) for value in reader.readable(parts.get(_SH + "message", ()))]
        if not facets and not messages:
            continue
        severity = next((value.value for value in parts.get(_SH + "severity", ())), _SH + "Violation")
        path = next(iter(parts.get(_SH + "path", ())), None)
        targets = structure.get(shape.value, {}).get(_SH + "targetClass", ())
        if term.value in above:  # a class: say only from which class above it the constraint comes
            targets = [target for target in targets if target.value in above and target != term]
        found.append(Constraint(
            reader.show(constraint) if isinstance(constraint, NamedNode) else reader.show(shape),
            [reader.show(target) for target in targets if target != term][:3],
            facet(reader, path) if path is not None and path != term else [],
            facets, messages,
            [reader.show(value) for value in reader.readable(parts.get(_SH + "description", ()))],
            reader.phrase(f"severity.{severity.removeprefix(_SH)}"), _SEVERITIES.get(severity, "quiet"),
        ))  # fmt: skip
    return found


def _instances(reader: Reader, term: Term) -> tuple[list[Shown], dict[str, object]]:
    if term.kind != "class":
        return [], {}
    ordered = reader.by_label(reader.vocabulary.instances(term.iri))
    if not ordered and term.own:
        return _instances_apart(reader, term)
    page, pages = page_of(reader, len(ordered))
    start = (page - 1) * reader.page_size
    shown = [reader.show_iri(iri) for iri in ordered[start : start + reader.page_size]]
    return shown, {"page": page, "pages": pages, "first": start + 1, "last": start + len(shown), "listed": len(ordered),
                   "total": len(ordered), **page_links(reader, page, pages)}  # fmt: skip


def _instances_apart(reader: Reader, term: Term) -> tuple[list[Shown], dict[str, object]]:
    """Return a few of the patients, observations or predictions, which no list of names holds."""
    node = NamedNode(term.iri)
    things = [row["thing"] for row in reader.select("class-samples", **{"class": node}).iter_dicts()]
    counts = [int(row["count"].value) for row in reader.select("class-apart", **{"class": node}).iter_dicts() if things]
    return [reader.show(thing) for thing in things], {"pages": 1, "total": counts[0] if counts else 0}


def _samples(reader: Reader, term: Term, node: NamedNode) -> list[tuple[Shown, Shown]]:
    if term.kind == "class":
        return []
    rows = reader.select("term-samples", term=node).iter_dicts()
    return [(reader.show(row["subject"]), reader.show(row["value"])) for row in rows]
