"""The programme as FHIR: ResearchStudy, Organization, Practitioner, PractitionerRole.

A project, a research programme, a component, a call and the programme itself are studies, each part of the next. Who
says what, amounts, caveats and disagreements have no place in these resources: they stand in the graph alone.
"""

from datetime import UTC, datetime
from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.datatypes import (
    TERMINOLOGY,
    Object,
    Value,
    codeable,
    coding,
    identified,
    moment,
    own_coding,
    period,
    put_text,
)
from pepr_kg.fhir.identities import KINDS_OF
from pepr_kg.fhir.nodes import Node
from pepr_kg.fhir.offered_cohort import identifiers_of
from pepr_kg.namespaces import ID, PEPR, expand
from pepr_kg.store import NamedNode

_PERSON: Final = f"{ID}person/"
_ORGANISATION: Final = f"{ID}organisation/"
_PARTS: Final = ("pepr:inResearchProgramme", "pepr:inComponent", "pepr:inEndeavour", "pepr:partOf")
_KEYWORDS: Final = ("pepr:focusesOn", "pepr:studiesOrgan", "pepr:usesMethod", "pepr:usesModality")
# HL7's types of organisations (terminology.hl7.org, organization-type); a class that is not here is "other".
_TYPES: Final = {
    "UniversityBody": ("edu", "Educational Institute"),
    "Hospital": ("prov", "Healthcare Provider"),
    "HospitalNetwork": ("prov", "Healthcare Provider"),
    "Government": ("govt", "Government"),
    "Agency": ("govt", "Government"),
    "Unit": ("dept", "Hospital Department"),
}
_OTHER: Final = ("other", "Other")
# HL7's roles in a study (R5, research-study-party-role).
_ROLES: Final = {
    "coordinator": ("primary-investigator", "primary-investigator"),
    "principal-investigator": ("primary-investigator", "primary-investigator"),
    "coordinating-organisation": ("lead-sponsor", "lead-sponsor"),
    "partner": ("collaborator", "collaborator"),
    "programme-partner": ("collaborator", "collaborator"),
    "operational-partner": ("collaborator", "collaborator"),
}


def study(context: Context, node: Node) -> Object:
    """Return a ResearchStudy: a project, or what projects are part of."""
    made: Object = {"resourceType": "ResearchStudy"}
    if context.is_r5:
        made["url"] = node.iri
    made["identifier"] = _identifiers(context, node)
    put_text(made, "title", node.words("dcterms:title") or node.words("rdfs:label"), context.lang)
    acronym = node.first("pepr:acronym")
    if acronym is not None and context.is_r5:
        kind = coding("http://hl7.org/fhir/title-type", "acronym", "Acronym")
        made["label"] = [{"type": {"coding": [kind]}, "value": acronym}]
    wholes = sorted({iri for name in _PARTS for iri in node.iris(name) if _is_study(iri)} - {node.iri})
    if wholes:
        made["partOf"] = [context.refer("ResearchStudy", iri) for iri in wholes]
    made |= _website(context, node)
    made["status"] = "active" if context.is_r5 or not _is_over(node) else "completed"
    kind_of = _class_of(context, node)
    if kind_of is not None and not context.is_r5:
        made["category"] = [kind_of]
    diseases: list[Value] = [context.concept(iri) for iri in node.iris("pepr:studiesDisease")]
    if diseases:
        made["condition"] = diseases
    keywords: list[Value] = [context.concept(iri) for name in _KEYWORDS for iri in node.iris(name)]
    if keywords:
        made["keyword"] = keywords
    put_text(made, "description", node.words("pepr:statedAim") or node.words("pepr:statedScope"), context.lang)
    during = period(node.first("pepr:start"), node.first("pepr:end"))
    if during:
        made["period"] = during
    if kind_of is not None and context.is_r5:
        made["classifier"] = [kind_of]
    if context.is_r5:
        parties = _parties(context, node)
        if parties:
            made["associatedParty"] = parties
    else:
        made |= _leaders(context, node)
    objectives: list[Value] = [
        said for iri in node.iris("pepr:hasObjective") if (said := _named(context, iri))
    ]  # fmt: skip
    if objectives:
        made["objective"] = objectives
    return made


def organization(context: Context, node: Node) -> Object:
    """Return an Organization."""
    made: Object = {
        "resourceType": "Organization",
        "identifier": [identified(node.iri), *identifiers_of(context, node)],
    }
    classes = [iri.removeprefix(PEPR) for iri in node.iris("rdf:type") if iri.startswith(PEPR)]
    kinds = [name for name in classes if name != "Organisation"] or classes
    made["type"] = [
        {"coding": [coding(f"{TERMINOLOGY}organization-type", *_TYPES.get(name, _OTHER)), _term(context, name)]}
        for name in kinds
    ]
    if not kinds:
        del made["type"]
    put_text(made, "name", node.words("rdfs:label"), context.lang)
    known = {made.get("name")}
    aliases = [
        text for text in dict.fromkeys([*node.all("pepr:acronym"), *node.all("skos:altLabel")]) if text not in known
    ]
    if aliases:
        made["alias"] = list[Value](aliases)
    website = node.first("pepr:website")
    if website is not None:
        address: list[Value] = [{"system": "url", "value": website}]
        made |= {"contact": [{"telecom": address}]} if context.is_r5 else {"telecom": address}
    wholes = [iri for iri in node.iris("pepr:partOf") if iri.startswith(_ORGANISATION) and iri != node.iri]
    if wholes:
        made["partOf"] = context.refer("Organization", wholes[0])
    return made


def practitioner(context: Context, node: Node) -> Object:
    """Return a Practitioner. Sources give whole names only: which part is the family name would be a guess."""
    made: Object = {"resourceType": "Practitioner"}
    made["identifier"] = [identified(node.iri), *identifiers_of(context, node)]
    name = node.first("foaf:name") or node.words("rdfs:label").get(context.lang)
    if name is not None:
        made["name"] = [{"text": name}]
    return made


def role(context: Context, node: Node) -> Object:
    """Return a PractitionerRole: a part that a person takes in a study, or where a person works and as what."""
    made: Object = {"resourceType": "PractitionerRole", "identifier": [identified(node.iri)]}
    if node.is_a("foaf:Person"):
        made["practitioner"] = context.refer("Practitioner", node.iri)
        places = node.iris("pepr:affiliatedWith")
        if places:
            made["organization"] = context.refer("Organization", places[0])
        position = codeable(node.words("pepr:position"), context.lang, [])
        return {**made, **({"code": [position]} if position else {})}
    during = period(node.first("pepr:from"), node.first("pepr:until"))
    if during:
        made["period"] = during
    who = node.first("pepr:participant")
    if who is not None:
        made["practitioner"] = context.refer("Practitioner", who)
    behalf = node.first("pepr:onBehalfOf")
    if behalf is None and who is not None:
        behalf = next(iter(context.nodes.get(who).iris("pepr:affiliatedWith")), None)
    if behalf is not None:
        made["organization"] = context.refer("Organization", behalf)
    kind = node.first("pepr:inRole")
    if kind is not None:
        found = context.concept(kind)
        words = node.words("pepr:roleWording")
        said: Object = codeable(words, context.lang, []) if words else {}
        made["code"] = [{**found, **said}] if said else [found]
    return made


def is_role(node: Node) -> bool:
    """Return whether something is a role of a person: a participation of one, or a person who works somewhere."""
    if node.is_a("foaf:Person"):
        return bool(node.values.get("pepr:affiliatedWith") or node.values.get("pepr:position"))
    return (node.first("pepr:participant") or "").startswith(_PERSON)


def _website(context: Context, node: Node) -> Object:
    address = node.first("pepr:website")
    if address is None:
        return {}
    where: Object = {"document": {"url": address}} if context.is_r5 else {"url": address}
    return {"relatedArtifact": [{"type": "documentation", **where}]}


def _identifiers(context: Context, node: Node) -> list[Value]:
    """Return the identifiers of a study: its IRI, its acronym, the codes of its grants."""
    found: list[Value] = [identified(node.iri), *identifiers_of(context, node)]
    acronym = node.first("pepr:acronym")
    if acronym is not None:
        found.append({"use": "secondary", "system": expand("pepr:acronym"), "value": acronym})
    for iri in node.iris("pepr:hasGrant"):
        found += identifiers_of(context, context.nodes.get(iri))
    return found


def _leaders(context: Context, node: Node) -> Object:
    """Return who is responsible for a study, as R4 has it: one organisation and one person."""
    made: Object = {}
    sponsors = node.iris("pepr:hasCoordinatingOrganisation") or node.iris("pepr:hasPilot")
    if sponsors:
        made["sponsor"] = context.refer("Organization", sponsors[0])
    leaders = node.iris("pepr:hasCoordinator")
    if leaders:
        made["principalInvestigator"] = context.refer("Practitioner", leaders[0])
    return made


def _parties(context: Context, node: Node) -> list[Value]:
    """Return who takes part in a study, as R5 has it: every participation with its role."""
    found: list[Value] = []
    subjects = sorted(
        quad.subject.value for quad in context.nodes.pointing("pepr:participatesIn", NamedNode(node.iri))
        if isinstance(quad.subject, NamedNode)
    )  # fmt: skip
    for iri in subjects:
        part = context.nodes.get(iri)
        who, kind = part.first("pepr:participant"), part.first("pepr:inRole")
        if who is None or kind is None:
            continue
        role_name = kind.rpartition("/")[2]
        own = own_coding(kind, context.words(kind), context.lang)
        codings = (
            [coding("http://hl7.org/fhir/research-study-party-role", *_ROLES[role_name])] if role_name in _ROLES else []
        )
        codings += [] if own is None else [own]
        party = (
            context.refer("PractitionerRole", iri) if who.startswith(_PERSON) else context.refer("Organization", who)
        )
        during = period(part.first("pepr:from"), part.first("pepr:until"))
        found.append({
            "role": codeable(context.words(kind), context.lang, codings),
            **({"period": [during]} if during else {}), "party": party,
        })  # fmt: skip
    return found


def _named(context: Context, iri: str) -> Object:
    said: Object = {}
    put_text(said, "name", context.words(iri), context.lang)
    return said


def _class_of(context: Context, node: Node) -> Object | None:
    """Return what kind of study it is, in our words."""
    names = [iri.removeprefix(PEPR) for iri in node.iris("rdf:type") if iri.startswith(PEPR)]
    if not names:
        return None
    return codeable(context.words(PEPR + names[0]), context.lang, [_term(context, names[0])])


def _term(context: Context, name: str) -> Object:
    return coding(PEPR.rstrip("/"), name, context.words(PEPR + name).get(context.lang))


def _is_study(iri: str) -> bool:
    return iri.startswith(ID) and iri.removeprefix(ID).partition("/")[0] in KINDS_OF["ResearchStudy"]


def _is_over(node: Node) -> bool:
    """Return whether the end that was announced has passed: a year, a month or a day, each to its last day."""
    end = moment(node.first("pepr:end"))
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    return end is not None and end[:10] < now[: len(end[:10])]
