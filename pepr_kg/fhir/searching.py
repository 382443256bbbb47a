"""Which resources of a type are asked for: the candidates that the index gives, and the test that each must pass.

A search starts from the criterion that the graph has an index for; what else was asked is tested on the resource, as
FHIR defines it. Nothing is sorted or counted. A position counts candidates, so that the next page goes on there; it
means the same as long as the version of the dataset is the same.

>>> Criteria.read([("patient", "Patient/demo-0001"), ("code", "8867-4")], "Observation")
Criteria(type='Observation', ids=(), patients=('demo-0001',), codes=('8867-4',), identifiers=(), targets=())
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.identities import candidates, identify, is_hashed
from pepr_kg.fhir.kept import find_kept, holders_of, kept_about, kept_of_type, read_kept
from pepr_kg.fhir.offer_errors import BadSearch, SearchTooWide
from pepr_kg.fhir.offered import SOURCES_OF, Offered, offer_kept, offer_node, things
from pepr_kg.namespaces import BASE
from pepr_kg.store import Literal, NamedNode

# The parameters of each type, with FHIR's kind of search parameter.
_EVERYWHERE: Final = {"_id": "token", "identifier": "token"}
_ABOUT: Final = {"patient": "reference", "subject": "reference"}
PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {
    "Patient": _EVERYWHERE,
    "Observation": {**_EVERYWHERE, **_ABOUT, "code": "token"},
    "RiskAssessment": {**_EVERYWHERE, **_ABOUT},
    "MedicationAdministration": {**_EVERYWHERE, **_ABOUT},
    **{name: {**_EVERYWHERE, **_ABOUT, "code": "token"} for name in ("Condition", "Procedure")},
    **{name: {**_EVERYWHERE, **_ABOUT} for name in ("Encounter", "MedicationRequest", "MedicationStatement")},
    "Consent": {**_EVERYWHERE, "patient": "reference"},
    "Provenance": {"_id": "token", "patient": "reference", "target": "reference"},
}
# How the things of a type say whom they are about.
_LINKS: Final = {"Consent": "pepr:consentOf"}
_LINK: Final = "sosa:hasFeatureOfInterest"


class _Reference(msgspec.Struct):
    reference: str = ""


class _Token(msgspec.Struct):
    system: str = ""
    code: str = ""
    value: str = ""


class _Concept(msgspec.Struct):
    coding: list[_Token] = msgspec.field(default_factory=list)


class _Searched(msgspec.Struct):
    """What a resource says that it can be found by."""

    subject: _Reference | None = None
    patient: _Reference | None = None
    code: _Concept = msgspec.field(default_factory=_Concept)
    identifier: list[_Token] = msgspec.field(default_factory=list)


Found = tuple[NamedNode, NamedNode]


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is asked of a type; of several values of one parameter one must hold, of several parameters all."""

    type: str
    ids: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @classmethod
    def read(cls, parameters: Iterable[tuple[str, str]], kind: str) -> "Criteria":
        """Return the criteria of a query string. Raises `BadSearch` for a parameter that is not searched by here."""
        known = parameters_of(kind)
        found: dict[str, list[str]] = {}
        for name, value in parameters:
            if name not in known:
                raise BadSearch(parameter=name, type=kind, known=", ".join([*known, "_count", "_format"]))
            values = [part.strip() for part in value.split(",") if part.strip()]
            field = {"subject": "patient"}.get(name, name)
            if field in found:  # FHIR: a parameter given twice must hold twice; no resource of ours has two subjects
                values = [item for item in values if item in found[field]]
            found[field] = values or ["-"]
        if kind == "Provenance" and not found:
            raise SearchTooWide(type=kind, known=", ".join(known))
        return cls(
            kind,
            tuple(found.get("_id", ())),
            tuple(value.removeprefix("Patient/") for value in found.get("patient", ())),
            tuple(found.get("code", ())),
            tuple(found.get("identifier", ())),
            tuple(found.get("target", ())),
        )

    def holds(self, offered: Offered) -> bool:
        """Return whether a resource is one that is asked for."""
        patients = self.patients if self.ids else ()  # else the search began with the patient
        if not (patients or self.codes or self.identifiers):
            return True
        said = msgspec.json.decode(offered.data, type=_Searched)
        about = said.subject or said.patient or _Reference()
        return (
            (not patients or about.reference in {f"Patient/{value}" for value in patients})
            and (not self.codes or _has_token(self.codes, [(item.system, item.code) for item in said.code.coding]))
            and (
                not self.identifiers
                or _has_token(self.identifiers, [(item.system, item.value) for item in said.identifier])
            )
        )


def parameters_of(kind: str) -> Mapping[str, str]:
    """Return the search parameters of a type, each with its kind."""
    return PARAMETERS.get(kind, _EVERYWHERE)


def find(context: Context, criteria: Criteria) -> Iterator[Offered | None]:
    """Yield the resources that fit, in a fixed order; None for a candidate that does not fit, so that it counts."""
    seen: set[str] = set()
    for offered in _offer(context, criteria):
        if offered is None or not criteria.holds(offered) or (_narrow(criteria) and offered.reference in seen):
            yield None
            continue
        if _narrow(criteria):
            seen.add(offered.reference)
        yield offered


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


def _narrow(criteria: Criteria) -> bool:
    """Return whether few candidates are looked at, so that those seen can be remembered."""
    return bool(criteria.ids or criteria.patients or criteria.identifiers)


def _offer(context: Context, criteria: Criteria) -> Iterator[Offered | None]:
    if criteria.ids:
        for identifier in criteria.ids:
            yield read(context, criteria.type, identifier)
        return
    for subject, graph in _kept_candidates(context, criteria):
        kept = read_kept(context.nodes, subject, graph)
        is_meant = kept is not None and kept.reference.startswith(f"{criteria.type}/")
        yield offer_kept(kept) if kept is not None and is_meant else None
    for subject, graph in _own_candidates(context, criteria):
        node = context.nodes.read(subject.value, graph)
        for source in SOURCES_OF.get(criteria.type, ()):
            if node.is_a(source.curie) and _is_first(context, source.curie, subject, graph):
                # What is known of a thing may stand in several graphs, but for what comes by the million.
                whole = node if source.curie in _ALONE else context.nodes.get(subject.value)
                yield offer_node(context, source, whole)
                break
        else:
            yield None


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
                yield from ((subject, graph) for subject, graph in _typed(context, value))
            else:
                yield from _pairs(context, "dcterms:identifier", Literal(value))
                for quad in context.nodes.pointing("pepr:identifierValue", Literal(value)):
                    if isinstance(quad.subject, NamedNode):
                        yield from _pairs(context, "pepr:hasIdentifier", quad.subject)
    else:
        for source in SOURCES_OF.get(criteria.type, ()):
            yield from things(context, source)


def _typed(context: Context, iri: str) -> Iterator[Found]:
    for quad in context.nodes.types(NamedNode(iri)):
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


def _has_token(wanted: tuple[str, ...], given: list[tuple[str, str]]) -> bool:
    """Return whether one of the tokens, `value` or `system|value`, is among pairs of system and value."""
    parts = [token.rpartition("|") for token in wanted]
    return any(value == said and (not bar or system == space) for space, said in given for system, bar, value in parts)
