"""Several resources that belong together, one after the other: a patient, a cohort, a run, the programme.

What is yielded was looked up the moment before, so that any number of patients takes the same memory. A model or a
program that somebody's predictions name is yielded once, at the end.
"""

from collections.abc import Iterator

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.identities import candidates, identify
from pepr_kg.fhir.kept import kept_about, read_kept, source_of
from pepr_kg.fhir.nodes import Node
from pepr_kg.fhir.offered import (
    SOURCES_OF,
    Offered,
    finish,
    offer_any,
    offer_kept,
    offer_node,
    things,
)
from pepr_kg.fhir.offered_twins import predictions_of, provenance
from pepr_kg.fhir.searching import patient_nodes
from pepr_kg.namespaces import ID
from pepr_kg.store import NamedNode

_PROGRAMME = ("ResearchStudy", "Organization", "Practitioner", "PractitionerRole")


def everything(context: Context, identifier: str) -> Iterator[Offered]:
    """Yield a Patient and all that is about it: as it came in, in our terms, predicted; last what predicted it."""
    nodes, kept = patient_nodes(context, identifier)
    runs: set[str] = set()
    for subject, graph in kept:
        yield from _kept(context, subject, graph)
    for node in nodes:
        yield from _about(context, node, runs)
    yield from _predictors(context, runs)


def cohort(context: Context, iri: str) -> Iterator[Offered]:
    """Yield a Group, the Library of its data, and everything of each member."""
    node = context.nodes.get(iri)
    yield from _maybe(offer_any(context, node))
    for data in node.iris("dcterms:source"):
        yield from _maybe(offer_any(context, context.nodes.get(data)))
    runs: set[str] = set()
    for quad in context.nodes.pointing("pepr:memberOfCohort", NamedNode(iri)):
        if isinstance(quad.subject, NamedNode):
            found = source_of(context.nodes, quad.subject.value)
            if found is not None:
                yield from _kept(context, *found)
            yield from _about(context, quad.subject, runs)
    yield from _predictors(context, runs)


def run(context: Context, iri: str) -> Iterator[Offered]:
    """Yield what a run predicts, patient by patient, each with its Provenance, and at the end what predicted it."""
    node = context.nodes.get(iri)
    graph = context.nodes.graph_of(NamedNode(iri))
    if graph is None:
        return
    patients = {
        quad.object.value for quad in context.nodes.links("sosa:hasFeatureOfInterest", graph)
        if isinstance(quad.object, NamedNode)
    }  # fmt: skip
    for patient in sorted(patients):
        found = [node for node in predictions_of(context, patient, graph) if node.first("prov:wasGeneratedBy") == iri]
        for item in found:
            yield from _maybe(offer_any(context, item))
        if found:
            yield from _provenance(context, node, patient, found)
    yield from _predictors(context, {iri})


def programme(context: Context) -> Iterator[Offered]:
    """Yield the studies, the organisations and the people of the programme."""
    for kind in _PROGRAMME:
        seen: set[str] = set()
        for source in SOURCES_OF[kind]:
            for subject, _ in things(context, source):
                if subject.value not in seen:
                    seen.add(subject.value)
                    yield from _maybe(offer_node(context, source, context.nodes.get(subject.value)))


def provenance_of(context: Context, identifier: str) -> Offered | None:
    """Return a Provenance by its id: `RUN.PATIENT`, of what a run predicts for a patient."""
    name, _, patient = identifier.partition(".")
    node, owner = context.nodes.get(f"{ID}evaluation/{name}"), f"{ID}patient/{patient.replace('..', '_')}"
    if not node.is_a("pepr:Evaluation") or not context.nodes.get(owner).is_a("pepr:Patient"):
        return None
    graph = context.nodes.graph_of(NamedNode(node.iri))
    found = [item for item in predictions_of(context, owner, graph) if item.first("prov:wasGeneratedBy") == node.iri]
    return next(_provenance(context, node, owner, found), None)


def provenances(context: Context, patient: NamedNode, target: str | None = None) -> Iterator[Offered]:
    """Yield the Provenances of what was predicted for a patient, a run at a time; or those of one target alone."""
    for iri, found in sorted(_by_run(context, predictions_of(context, patient.value)).items()):
        for item in _provenance(context, context.nodes.get(iri), patient.value, found):
            if target is None or f'"reference":"{target}"'.encode() in item.data:
                yield item


def patient_of(context: Context, kind: str, identifier: str) -> str | None:
    """Return whom a prediction is for, by the resource that it is offered as."""
    for iri in candidates(kind, identifier):
        found = context.nodes.get(iri)
        if found.is_a("pepr:Prediction"):
            return found.first("sosa:hasFeatureOfInterest")
    return None


def _kept(context: Context, subject: NamedNode, graph: NamedNode) -> Iterator[Offered]:
    """Yield a Patient that came in as FHIR, and what came in about it."""
    seen: set[str] = set()
    for about in (subject, *(found for found, place in kept_about(context.nodes, subject) if place == graph)):
        if about.value not in seen:
            seen.add(about.value)
            kept = read_kept(context.nodes, about, graph)
            yield from [] if kept is None else [offer_kept(kept)]


def _about(context: Context, patient: NamedNode, runs: set[str]) -> Iterator[Offered]:
    """Yield a Patient of ours and what points to it; `runs` gets the runs that predict something for it."""
    yield from _maybe(offer_any(context, context.nodes.get(patient.value)))
    predicted: list[Node] = []
    for quad in context.nodes.pointing("sosa:hasFeatureOfInterest", patient):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.graph_name, NamedNode):
            node = context.nodes.read(quad.subject.value, quad.graph_name)
            yield from _maybe(offer_any(context, node))
            if node.is_a("pepr:Prediction"):
                predicted.append(node)
    for quad in context.nodes.pointing("pepr:consentOf", patient):
        if isinstance(quad.subject, NamedNode):
            yield from _maybe(offer_any(context, context.nodes.get(quad.subject.value)))
    for iri, found in sorted(_by_run(context, iter(predicted)).items()):
        runs.add(iri)
        yield from _provenance(context, context.nodes.get(iri), patient.value, found)


def _by_run(context: Context, predictions: Iterator[Node]) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in predictions:
        iri = node.first("prov:wasGeneratedBy")
        if iri is not None:
            found.setdefault(iri, []).append(node)
    return found


def _provenance(context: Context, node: Node, patient: str, predicted: list[Node]) -> Iterator[Offered]:
    made = provenance(context, node, patient, predicted)
    if made is not None:
        name = f"{node.iri}.{patient.rpartition('/')[2]}"
        yield finish(context, made, identify("Provenance", name), context.nodes.get(patient), research=True)


def _predictors(context: Context, runs: set[str]) -> Iterator[Offered]:
    """Yield the models and programs of runs, each once, as what they are and as what predicted."""
    iris = {
        iri for run_iri in runs
        for iri in (*context.nodes.get(run_iri).iris("pepr:usesModel"),
                    *context.nodes.get(run_iri).iris("prov:wasAssociatedWith"))
    }  # fmt: skip
    for iri in sorted(iris):
        node = context.nodes.get(iri)
        for kind in ("DeviceDefinition", "Device"):
            for source in SOURCES_OF[kind]:
                if node.is_a(source.curie):
                    yield from _maybe(offer_node(context, source, node))
                    break


def _maybe(offered: Offered | None) -> Iterator[Offered]:
    if offered is not None:
        yield offered
