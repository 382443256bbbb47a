"""People and what is known of them as FHIR: Patient, Observation, MedicationAdministration, Consent, Group, Library.

Each function takes a node of the graph and returns the resource without its `id` and `meta`, in the form of a release.
A consent is somebody's decision; the conditions under which a data set may be used are not, and stand in the
`copyright` of its Library, which FHIR has for restrictions of use.
"""

from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.datatypes import (
    RESEARCH,
    TERMINOLOGY,
    Object,
    Value,
    coding,
    identified,
    moment,
    period,
    put_text,
    quantity,
)
from pepr_kg.fhir.nodes import Node
from pepr_kg.fhir.vital_signs import UNKNOWN, as_vital_sign
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import ID
from pepr_kg.store import NamedNode

# The addresses of these systems; those that identify people and care stand in the ontology.
_SCHEMES: Final = {
    "doi": "https://doi.org",
    "wikidata": "http://www.wikidata.org/entity/",
    "orcid": "https://orcid.org",
}
_GENDERS: Final = {"female": "female", "male": "male", "other": "other", "unknown": "unknown"}
# A result that is not in force any more is in FHIR one that “has been withdrawn following previous final release”.
_STATUSES: Final = {"superseded": "entered-in-error", "withdrawn": "entered-in-error"}
_COMPARATORS: Final = {"left": "<", "right": ">"}  # censored: the true value lies below, or above
_CONSENTS: Final = {"given": "active", "refused": "rejected", "withdrawn": "inactive", "expired": "inactive"}
_REPLACES: Final = "http://hl7.org/fhir/StructureDefinition/observation-replaces"


def patient(context: Context, node: Node) -> Object:
    """Return a Patient. A name it has none: the graph knows no names of patients."""
    made: Object = {"resourceType": "Patient"}
    identifiers: list[Value] = [identified(node.iri)]
    cohort = node.first("pepr:memberOfCohort")
    own = node.first("dcterms:identifier")
    if own is not None:
        identifiers.append({"use": "usual", **({"system": cohort} if cohort else {}), "value": own})
    made["identifier"] = identifiers + identifiers_of(context, node)
    sex = (node.first("pepr:hasSex") or "").rpartition("/")[2]
    if sex in _GENDERS:
        made["gender"] = _GENDERS[sex]
    born = moment(node.first("pepr:birthDate"))
    if born is not None:
        made["birthDate"] = born.partition("T")[0]
    died = moment(node.first("pepr:deathDate"))
    if died is not None:
        made["deceasedDateTime"] = died
    elif node.first("pepr:isDeceased") in {"true", "false"}:
        made["deceasedBoolean"] = node.first("pepr:isDeceased") == "true"
    return made


def observation(context: Context, node: Node) -> Object:
    """Return an Observation: one thing that was measured or found."""
    made: Object = {"resourceType": "Observation", "identifier": [identified(node.iri)]}
    revised = node.iris("prov:wasRevisionOf")
    if revised:
        made["extension"] = [
            {"url": _REPLACES, "valueReference": context.refer("Observation", revised[0])},
        ]
    status = (node.first("pepr:hasResultStatus") or "").rpartition("/")[2]
    made["status"] = _STATUSES.get(status, "corrected" if revised else "final")
    concept = node.first("sosa:observedProperty")
    code = context.coded(concept, node)
    made["code"] = code
    about = node.first("sosa:hasFeatureOfInterest")
    if about is not None:
        made["subject"] = context.refer("Patient", about)
    when = moment(node.first("pepr:writtenTime") or node.first("pepr:observedAt"))
    if when is not None:
        made["effectiveDateTime"] = when
    put_value(context, made, node)
    return as_vital_sign(made)


def put_value(context: Context, made: Object, node: Node) -> None:
    """Set what was found: a number with its unit, else a coded result, else a text; else say that it is not known."""
    measured = quantity(_digits(node), node.first("pepr:unitCode"))
    censoring = (node.first("pepr:hasCensoring") or "").rpartition("/")[2]
    coded = node.iris("sosa:hasResult")
    said = node.words("sosa:hasSimpleResult")
    if measured is not None:
        if censoring in _COMPARATORS:
            measured = {"value": measured.pop("value"), "comparator": _COMPARATORS[censoring], **measured}
        made["valueQuantity"] = measured
    elif coded:
        made["valueCodeableConcept"] = context.concept(coded[0])
    elif said:
        put_text(made, "valueString", said, context.lang)
    else:
        made["dataAbsentReason"] = {"coding": [UNKNOWN]}


def _digits(node: Node) -> str | None:
    """Return a number as its source writes it, where the store changed its form."""
    return node.first("pepr:writtenValue") or node.first("pepr:numericValue")


def administration(context: Context, node: Node) -> Object:
    """Return a MedicationAdministration: a dose that was given."""
    made: Object = {"resourceType": "MedicationAdministration", "identifier": [identified(node.iri)]}
    status = (node.first("pepr:hasResultStatus") or "").rpartition("/")[2]
    made["status"] = _STATUSES.get(status, "completed")
    substance = node.first("pepr:quantity")
    concept = context.coded(substance, node)
    if context.is_r5:
        made["medication"] = {"concept": concept}
    else:
        made["medicationCodeableConcept"] = concept
    about = node.first("sosa:hasFeatureOfInterest")
    if about is not None:
        made["subject"] = context.refer("Patient", about)
    when = moment(node.first("pepr:administeredAt"))
    if when is not None:
        # R5 writes the word with one r.
        made["occurenceDateTime" if context.is_r5 else "effectiveDateTime"] = when
    dose = quantity(_digits(node), node.first("pepr:unitCode"))
    if dose is not None:
        made["dosage"] = {"dose": dose}
    return made


def consent(context: Context, node: Node) -> Object:
    """Return a Consent: what a person decided about the use of their data for research."""
    made: Object = {"resourceType": "Consent", "identifier": [identified(node.iri)]}
    state = (node.first("pepr:hasConsentStatus") or "").rpartition("/")[2]
    status = _CONSENTS.get(state, "active")
    about = node.first("pepr:consentOf")
    person = {} if about is None else context.refer("Patient", about)
    decided, withdrawn = moment(node.first("pepr:decidedOn")), moment(node.first("pepr:withdrawnOn"))
    purpose: list[Value] = [dict(RESEARCH)]
    data: list[Value] = [
        {"meaning": "instance", "reference": context.refer("Library", iri)} for iri in node.iris("pepr:coversDataset")
    ]
    provision: Object = {"period": period(decided, withdrawn), "purpose": purpose, "data": data}
    policies = node.iris("pepr:hasPurpose")
    category: list[Value] = [
        {"coding": [coding(f"{TERMINOLOGY}consentcategorycodes", "research", "Research Information Access")]}
    ]
    if context.is_r5:
        made |= {"status": "inactive" if status == "rejected" else status, "category": category}
        made |= {"subject": person} if person else {}
        made |= {"date": decided.partition("T")[0]} if decided else {}
        made |= {"policyBasis": {"url": policies[0]}} if policies else {}
        made |= {"decision": "deny" if state == "refused" else "permit", "provision": [_filled(provision)]}
        return made
    made |= {
        "status": status,
        "scope": {"coding": [coding(f"{TERMINOLOGY}consentscope", "research", "Research")]},
        "category": category,
    }
    made |= {"patient": person} if person else {}
    made |= {"dateTime": decided} if decided else {}
    made["policy"] = [{"uri": iri} for iri in policies or [node.iri]]
    made["provision"] = {"type": "deny" if state == "refused" else "permit", **_filled(provision)}
    return made


def group(context: Context, node: Node) -> Object:
    """Return a Group: a cohort with its members."""
    members = sorted(
        quad.subject.value for quad in context.nodes.pointing("pepr:memberOfCohort", NamedNode(node.iri))
        if isinstance(quad.subject, NamedNode)
    )  # fmt: skip
    made: Object = {"resourceType": "Group", "identifier": [identified(node.iri)], "active": True, "type": "person"}
    if context.is_r5:
        made["membership"] = "enumerated"
    else:
        made["actual"] = True
    put_text(made, "name", node.words("rdfs:label"), context.lang)
    if context.is_r5:
        put_text(made, "description", node.words("rdfs:comment"), context.lang)
    made["quantity"] = len(members)
    made["member"] = [{"entity": context.refer("Patient", iri)} for iri in members]
    return _filled(made)


def library(context: Context, node: Node) -> Object:
    """Return a Library: the description of a data set, with the conditions under which it may be used."""
    made: Object = {"resourceType": "Library", "url": node.iri, "identifier": [identified(node.iri)]}
    put_text(made, "title", node.words("rdfs:label"), context.lang)
    made["status"] = "active"
    made["type"] = {"coding": [coding(f"{TERMINOLOGY}library-type", "asset-collection", "Asset Collection")]}
    holder = node.first("pepr:hasDataHolder")
    if holder is not None:
        put_text(made, "publisher", context.words(holder), context.lang)
    put_text(made, "description", node.words("dcterms:description"), context.lang)
    put_text(made, "copyright", _conditions(context, node), context.lang)
    topics: list[Value] = [context.concept(iri) for iri in node.iris("pepr:hasModality")]
    if topics:
        made["topic"] = topics
    return made


def _conditions(context: Context, node: Node) -> dict[str, str]:
    """Return what may be done with a data set and what may not, one condition a line."""
    said: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    for iri in node.iris("pepr:hasAccessCondition"):
        for language, text in context.nodes.get(iri).words("pepr:conditionText").items():
            said.setdefault(language, []).append(text)
    return {language: "\n".join(lines) for language, lines in said.items() if lines}


def identifiers_of(context: Context, node: Node) -> list[Value]:
    """Return the identifiers that others give a thing: a persistent address as such, another one within its scheme."""
    found: list[Value] = []
    for iri in node.iris("pepr:hasIdentifier"):
        said = context.nodes.get(iri)
        value, scheme = said.first("pepr:identifierValue"), said.first("pepr:identifierScheme")
        if value is None:
            continue
        if value.startswith(("https://", "http://", "urn:")):
            found.append({"system": "urn:ietf:rfc:3986", "value": value})
        else:
            found.append({**({"system": system_of(context, scheme)} if scheme else {}), "value": value})
    return found


def system_of(context: Context, scheme: str) -> str:
    """Return the system of a scheme of identifiers: the address that FHIR knows it by, else our IRI of it."""
    known = _SCHEMES.get(scheme.removeprefix(f"{ID}identifier-scheme/"))
    return known or context.nodes.get(scheme).first("pepr:identifierSystem") or scheme


def _filled(made: Object) -> Object:
    """Return an object without what is empty: FHIR has no empty lists and objects."""
    return {name: value for name, value in made.items() if value not in ([], {})}
