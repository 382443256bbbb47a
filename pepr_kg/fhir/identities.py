"""Which resource a thing of the graph is, and under which id: `id/KIND/NAME` becomes `TYPE/NAME` where that is an id.

An id of FHIR has at most 64 of the characters A-Z a-z 0-9 - . (R4 and R5, datatype id). An underscore is written
as two points; a name that does not fit is shortened and gets a digest of the whole IRI; a kind that is not the first of
its type stands before the name. So two things never share an id, the same thing always has the same one, and each
resource says its IRI as an identifier.

>>> identify("Patient", f"{ID}patient/demo-0001"), identify("Observation", f"{ID}prediction/7f-0-0-0")
('demo-0001', 'prediction.7f-0-0-0')
>>> identify("Device", f"{ID}agent/pepr_kg-0.1.0"), identify("Patient", f"{ID}patient/" + "é" * 9)
('agent.pepr..kg-0.1.0', '-baf4f0ebe1eb111d236b')
>>> candidates("Observation", "prediction.7f-0-0-0")
['https://w3id.org/pepr-santenum/id/prediction/7f-0-0-0']
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from pepr_kg.namespaces import ID, KINDS

# The kinds of individuals that a type of FHIR is made from, the one whose names stand alone first.
KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "Condition": ("condition",),
    "Consent": ("consent",),
    "Device": ("model", "agent"),
    "DeviceDefinition": ("model",),
    "Encounter": ("encounter",),
    "Group": ("cohort",),
    "Library": ("dataset",),
    "MedicationAdministration": ("administration",),
    "MedicationRequest": ("prescription",),
    "MedicationStatement": ("medication-use",),
    "Observation": ("observation", "prediction"),
    "Organization": ("organisation",),
    "Patient": ("patient",),
    "Practitioner": ("person",),
    "PractitionerRole": ("participation", "person"),
    "Procedure": ("procedure",),
    "Provenance": ("evaluation",),
    "ResearchStudy": ("project", "research-programme", "programme", "component", "call"),
    "RiskAssessment": ("prediction",),
}
LONGEST: Final = 64
_ALLOWED: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DIGITS: Final = 20  # of a digest in an id: 80 bits
_HASHED: Final = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")
_PREFIXED: Final = frozenset({*KINDS, "agent"})


def identify(kind_of_resource: str, iri: str) -> str:
    """Return the id of a thing as a resource of this type."""
    kind, _, name = iri.removeprefix(ID).partition("/") if iri.startswith(ID) else ("iri", "", iri)
    first = KINDS_OF.get(kind_of_resource, ("",))[0]
    plain = kind == first and name.partition(".")[0] not in _PREFIXED
    wanted = name if plain else f"{kind}.{name}"
    written = wanted.replace("_", "..")
    if _ALLOWED.fullmatch(written) and not _HASHED.search(written) and written.replace("..", "_") == wanted:
        return written
    digest = hashlib.sha256(iri.encode()).hexdigest()[:_DIGITS]
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", wanted).strip("-.")
    return f"{readable[: LONGEST - _DIGITS - 1].rstrip('-.')}-{digest}"


def candidates(kind_of_resource: str, identifier: str) -> list[str]:
    """Return the IRIs that an id may stand for, without a look at the graph; none for an id that holds a digest."""
    if not _ALLOWED.fullmatch(identifier) or is_hashed(identifier):
        return []
    kinds = KINDS_OF.get(kind_of_resource, ())
    written = identifier.replace("..", "_")
    found = [f"{ID}{kinds[0]}/{written}"] if kinds else []
    kind, _, name = written.partition(".")
    if name and kind in kinds:
        found.append(f"{ID}{kind}/{name}")
    return [iri for iri in found if identify(kind_of_resource, iri) == identifier]


def is_id(text: str) -> bool:
    """Return whether a text is an id of FHIR."""
    return _ALLOWED.fullmatch(text) is not None


def is_hashed(identifier: str) -> bool:
    """Return whether an id holds a digest, so that the graph must be searched for its thing."""
    return _HASHED.search(identifier) is not None
