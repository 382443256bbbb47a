"""Which things of the graph are offered as which resource, and a resource as it leaves."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.datatypes import Object, meta, write
from pepr_kg.fhir.identities import identify, is_id
from pepr_kg.fhir.kept import Kept, reference_of
from pepr_kg.fhir.nodes import Node
from pepr_kg.fhir.offered_clinical import condition, encounter, medication_use, prescription, procedure
from pepr_kg.fhir.offered_cohort import administration, consent, group, library, observation, patient
from pepr_kg.fhir.offered_programme import is_role, organization, practitioner, role, study
from pepr_kg.fhir.offered_twins import device, device_definition, is_risk, prediction
from pepr_kg.namespaces import ID
from pepr_kg.store import NamedNode

Make = Callable[[Context, Node], Object]
Accept = Callable[[Context, Node], bool]


@dataclass(frozen=True, slots=True)
class Offered:
    """A resource as it leaves: its type, id and version, the release whose form it has, and its JSON."""

    type: str
    id: str
    version: str
    release: str
    data: bytes

    @property
    def reference(self) -> str:
        """Return `TYPE/ID`."""
        return f"{self.type}/{self.id}"

    @property
    def tag(self) -> str:
        """Return the entity tag of the version, as FHIR has it; of a version that is no id of FHIR a digest."""
        return tag_of(self.version)


def tag_of(version: str) -> str:
    """Return the entity tag of a version. What stands in a header must be of few characters.

    >>> tag_of("2"), tag_of("é\\r\\n")
    ('W/"2"', 'W/"64da669b12bbeda0"')
    """
    return f'W/"{version if is_id(version) else hashlib.sha256(version.encode()).hexdigest()[:16]}"'


@dataclass(frozen=True, slots=True)
class Source:
    """The things of one class that are offered as one type, how one is made, and which of them are not meant."""

    type: str
    curie: str
    make: Make
    accept: Accept
    research: bool


def _any(_context: Context, _node: Node) -> bool:
    return True


def _is_here(_context: Context, node: Node) -> bool:
    """Return whether a patient is one: of whom the source took back only the name stays, outside of the cohort."""
    made = node.first("prov:wasGeneratedBy") or ""
    return "pepr:memberOfCohort" in node.values or not made.startswith(f"{ID}intake/")


def _is_quantity(context: Context, node: Node) -> bool:
    return not is_risk(context, node)


def _is_role(_context: Context, node: Node) -> bool:
    return is_role(node)


_ORGANISATIONS: Final = (
    "Organisation", "ResearchOrganisation", "Agency", "UniversityBody", "HospitalNetwork", "Hospital", "Foundation",
    "Unit", "Government", "Campus",
)  # fmt: skip
_STUDIES: Final = ("Project", "ResearchProgramme", "Programme", "Component", "Call")
# In the order in which a type's things are listed; a thing of several classes is offered for the first.
SOURCES: Final = (
    Source("Patient", "pepr:Patient", patient, _is_here, research=True),
    Source("Observation", "pepr:Observation", observation, _any, research=True),
    Source("Observation", "pepr:Prediction", prediction, _is_quantity, research=True),
    Source("RiskAssessment", "pepr:Prediction", prediction, is_risk, research=True),
    Source("MedicationAdministration", "pepr:Administration", administration, _any, research=True),
    Source("Condition", "pepr:Condition", condition, _any, research=True),
    Source("MedicationRequest", "pepr:Prescription", prescription, _any, research=True),
    Source("MedicationStatement", "pepr:MedicationUse", medication_use, _any, research=True),
    Source("Encounter", "pepr:Encounter", encounter, _any, research=True),
    Source("Procedure", "pepr:Procedure", procedure, _any, research=True),
    Source("Consent", "pepr:Consent", consent, _any, research=True),
    Source("Group", "pepr:Cohort", group, _any, research=True),
    Source("Library", "pepr:Dataset", library, _any, research=False),
    Source("DeviceDefinition", "pepr:Model", device_definition, _any, research=True),
    Source("Device", "pepr:Model", device, _any, research=True),
    Source("Device", "prov:SoftwareAgent", device, _any, research=True),
    *(Source("ResearchStudy", f"pepr:{name}", study, _any, research=False) for name in _STUDIES),
    *(Source("Organization", f"pepr:{name}", organization, _any, research=False) for name in _ORGANISATIONS),
    Source("Practitioner", "foaf:Person", practitioner, _any, research=False),
    Source("PractitionerRole", "pepr:Participation", role, _is_role, research=False),
    Source("PractitionerRole", "foaf:Person", role, _is_role, research=False),
)  # fmt: skip
SOURCES_OF: Final[Mapping[str, tuple[Source, ...]]] = {
    name: tuple(source for source in SOURCES if source.type == name)
    for name in sorted({source.type for source in SOURCES})
}
TYPES: Final = (*sorted({*SOURCES_OF, "Provenance"}),)


def offer_node(context: Context, source: Source, node: Node) -> Offered | None:
    """Return a thing as a resource; None where this source does not mean it, or it came in as FHIR and is kept so."""
    if not node or not source.accept(context, node):
        return None
    if "prov:wasDerivedFrom" in node.values and reference_of(context.nodes, node.iri) is not None:
        return None
    made = source.make(context, node)
    return finish(context, made, identify(source.type, node.iri), node, research=source.research)


def offer_any(context: Context, node: Node) -> Offered | None:
    """Return a thing as the first resource that it is, or None."""
    for source in SOURCES:
        if node.is_a(source.curie):
            found = offer_node(context, source, node)
            if found is not None:
                return found
    return None


def finish(context: Context, made: Object, identifier: str, node: Node, *, research: bool) -> Offered:
    """Return a resource with its id, its version (a digest of what it says), its labels and its language."""
    labels = meta(research=research, identifiability=context.identifiability(node))
    said: Object = {
        "resourceType": made["resourceType"], "id": identifier, "meta": {"versionId": "", **labels},
        "language": context.lang, **made,
    }  # fmt: skip
    data = write(said)
    version = hashlib.sha256(context.release.encode() + data).hexdigest()[:16]
    data = data.replace(b'"versionId":""', f'"versionId":"{version}"'.encode(), 1)
    return Offered(str(made["resourceType"]), identifier, version, context.release, data)


def offer_kept(kept: Kept) -> Offered:
    """Return a resource that came in as FHIR: its text as it stands."""
    kind, _, identifier = kept.reference.partition("/")
    data = kept.text.encode()
    version = kept.version or hashlib.sha256(data).hexdigest()[:16]
    return Offered(kind, identifier, version, kept.release, data)


def things(context: Context, source: Source, graph: NamedNode | None = None) -> Iterator[tuple[NamedNode, NamedNode]]:
    """Yield subject and graph of the things that a source may mean, in the order of the index."""
    for quad in context.nodes.members(source.curie, graph):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.graph_name, NamedNode):
            yield quad.subject, quad.graph_name
