"""Which resources of a type are asked for: the candidates that the index gives, and the test that each must pass.

A search starts from the criterion that the graph has an index for; what else was asked is tested on the resource, as
FHIR defines it. Nothing is sorted or counted. A position counts candidates, so that the next page goes on there; it
means the same as long as the version of the dataset is the same. Candidates before it are passed over unmade.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.criteria import Criteria
from pepr_kg.fhir.identities import candidates, identify, is_hashed
from pepr_kg.fhir.kept import find_kept, holders_of, kept_about, kept_of_type, read_kept
from pepr_kg.fhir.nodes import Node, named
from pepr_kg.fhir.offered import SOURCES_OF, Offered, offer_kept, offer_node, things
from pepr_kg.namespaces import BASE
from pepr_kg.store import Literal, NamedNode

# How the things of a type say whom they are about.
_LINKS: Final = {"Consent": "pepr:consentOf"}
_LINK: Final = "sosa:hasFeatureOfInterest"

Found = tuple[NamedNode, NamedNode]
Make = Callable[[], Offered | None]


def find(context: Context, criteria: Criteria, start: int = 0) -> Iterator[Offered | None]:
    """Yield the resources that fit, from a position on; None for a candidate that does not fit, so that it counts."""
    for make in islice(_candidates(context, criteria), start, None):
        offered = make()
        yield offered if offered is not None and criteria.holds(offered) else None


def read(context: Context, kind: str, identifier: str) -> Offered | None:
    """Return one resource, or None where there is none."""
    kept = find_kept(context.nodes, f"{kind}/{identifier}")
    if kept is not None:
        return offer_kept(kept)
    for iri in candidates(kind, identifier) if not is_hashed(identifier) else _search_hashed(context, kind, identifier):
        node = context.nodes.get(iri)
        for source in SOURCES_OF.get(kind, ()):
            if node.is_a(source.curie):
                offered = offer_node(context, source, node)
                if offered is not None:
                    return offered
    return None


def patient_nodes(context: Context, identifier: str) -> tuple[list[NamedNode], list[Found]]:
    """Return the nodes of ours that a Patient's id stands for, and subject and graph of those that came in as FHIR."""
    kept = find_kept(context.nodes, f"Patient/{identifier}")
    if kept is None:
        iris = [iri for iri in candidates("Patient", identifier) if context.nodes.get(iri).is_a("pepr:Patient")]
        return [NamedNode(iri) for iri in iris], []
    subject, graph = NamedNode(kept.subject), NamedNode(kept.graph)
    made = context.nodes.pointing("prov:wasDerivedFrom", subject)
    own = {quad.subject for quad in made if isinstance(quad.subject, NamedNode)}
    people = [node for node in sorted(own, key=str) if context.nodes.get(node.value).is_a("pepr:Patient")]
    return people, [(subject, graph)]


def _search_hashed(context: Context, kind: str, identifier: str) -> Iterator[str]:
    """Yield the things whose id is this one, which holds a digest: each of the type must be looked at."""
    for source in SOURCES_OF.get(kind, ()):
        for subject, _ in things(context, source):
            if identify(kind, subject.value) == identifier:
                yield subject.value


def _candidates(context: Context, criteria: Criteria) -> Iterator[Make]:
    """Yield what makes each candidate. Where few are looked at, each is yielded once."""
    if criteria.ids:
        for identifier in dict.fromkeys(criteria.ids):
            yield partial(read, context, criteria.type, identifier)
        return
    narrow = bool(criteria.patients or criteria.identifiers or criteria.codes)
    seen: set[Found] = set()
    for find_candidates, make in ((_kept_candidates, _make_kept), (_own_candidates, _make_own)):
        for found in find_candidates(context, criteria):
            if narrow and found in seen:
                continue
            if narrow:
                seen.add(found)
            yield partial(make, context, criteria.type, *found)


def _make_kept(context: Context, kind: str, subject: NamedNode, graph: NamedNode) -> Offered | None:
    kept = read_kept(context.nodes, subject, graph)
    return offer_kept(kept) if kept is not None and kept.reference.startswith(f"{kind}/") else None


def _make_own(context: Context, kind: str, subject: NamedNode, graph: NamedNode) -> Offered | None:
    node = context.nodes.read(subject.value, graph)
    for source in SOURCES_OF.get(kind, ()):
        if node.is_a(source.curie) and _is_first(context, source.curie, subject, graph):
            # What is known of a thing may stand in several graphs, but for what comes by the million.
            whole = node if source.curie in _ALONE else context.nodes.get(subject.value)
            return offer_node(context, source, whole) if _is_of_cohort(context, whole) else None
    return None


def _is_of_cohort(context: Context, node: Node) -> bool:
    """Return whether a thing belongs to the cohort that was named; what is about nobody belongs to all."""
    if context.cohort is None:
        return True
    cohort = context.cohort_iri
    about = node.first(_LINK) or node.first("pepr:consentOf")
    person = node if node.is_a("pepr:Patient") else context.nodes.get(about) if about is not None else None
    if person is not None:
        return cohort in person.iris("pepr:memberOfCohort")
    return not node.is_a("pepr:Cohort") or node.iri == cohort


# Classes whose things are described in one graph each.
_ALONE: Final = frozenset({
    "pepr:Administration", "pepr:Condition", "pepr:Encounter", "pepr:MedicationUse", "pepr:Observation",
    "pepr:Prediction", "pepr:Prescription", "pepr:Procedure",
})  # fmt: skip


def _is_first(context: Context, curie: str, subject: NamedNode, graph: NamedNode) -> bool:
    """Return whether a thing is listed here: where several graphs say what it is, for the first of them alone."""
    first = next(quad for quad in context.nodes.typed(curie, subject))
    return first.graph_name == graph


def _own_candidates(context: Context, criteria: Criteria) -> Iterator[Found]:
    if criteria.patients:
        for identifier in criteria.patients:
            for node in patient_nodes(context, identifier)[0]:
                yield from _pairs(context, _LINKS.get(criteria.type, _LINK), node)
    elif criteria.identifiers:
        for text in criteria.identifiers:
            value = text.rpartition("|")[2]
            if value.startswith(BASE):
                yield from _typed(context, value)
            else:
                yield from _pairs(context, "dcterms:identifier", Literal(value))
                for quad in context.nodes.pointing("pepr:identifierValue", Literal(value)):
                    if isinstance(quad.subject, NamedNode):
                        yield from _pairs(context, "pepr:hasIdentifier", quad.subject)
    else:
        for source in SOURCES_OF.get(criteria.type, ()):
            yield from things(context, source)


def _typed(context: Context, iri: str) -> Iterator[Found]:
    node = named(iri)
    for quad in context.nodes.types(node) if node is not None else ():
        if isinstance(quad.graph_name, NamedNode):
            yield NamedNode(iri), quad.graph_name


def _pairs(context: Context, curie: str, value: NamedNode | Literal) -> Iterator[Found]:
    for quad in context.nodes.pointing(curie, value):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.graph_name, NamedNode):
            yield quad.subject, quad.graph_name


def _kept_candidates(context: Context, criteria: Criteria) -> Iterator[Found]:
    if criteria.patients:
        for identifier in criteria.patients:
            for subject, graph in patient_nodes(context, identifier)[1]:
                yield from (found for found in kept_about(context.nodes, subject) if found[1] == graph)
    elif criteria.identifiers or criteria.codes:
        element = "identifier" if criteria.identifiers else "code"
        for text in criteria.identifiers or criteria.codes:
            yield from holders_of(context.nodes, element, text.rpartition("|")[2])
    else:
        yield from kept_of_type(context.nodes, criteria.type)
