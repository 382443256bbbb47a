"""Facts of care as FHIR: Condition, MedicationRequest, MedicationStatement, Encounter, Procedure.

Only for what came in as FHIR and was kept in our terms alone; what is kept as FHIR leaves as it came.
"""

from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.datatypes import TERMINOLOGY, Object, Value, coding, identified, moment, period, quantity
from pepr_kg.fhir.nodes import Node

_WITHDRAWN: Final = frozenset({"superseded", "withdrawn"})
_CLINICAL: Final = frozenset({"active", "recurrence", "relapse", "inactive", "remission", "resolved"})
_OVER: Final = frozenset({"inactive", "remission", "resolved"})
# The codes of status that R4 and R5 require (medicationrequest-status, encounter-status, event-status).
_REQUESTS: Final = frozenset({"active", "on-hold", "cancelled", "completed", "stopped", "draft"})
_STATEMENTS: Final = frozenset({"active", "completed", "intended", "stopped", "on-hold", "not-taken"})
_EVENTS: Final = frozenset({"preparation", "in-progress", "not-done", "on-hold", "stopped", "completed"})
_ENCOUNTERS_R4: Final = frozenset({"planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled"})
_ENCOUNTERS_R5: Final = frozenset({
    "planned", "in-progress", "on-hold", "discharged", "completed", "cancelled", "discontinued",
})  # fmt: skip
# What one release calls otherwise than the other.
_AS_R5: Final = {"finished": "completed", "arrived": "in-progress", "triaged": "in-progress", "onleave": "on-hold"}
_AS_R4: Final = {"completed": "finished", "discharged": "finished", "on-hold": "onleave", "discontinued": "cancelled"}


def condition(context: Context, node: Node) -> Object:
    """Return a Condition. One that has an end is not active, as invariant con-4 of R4 (con-3 of R5) asks."""
    made: Object = {"resourceType": "Condition", "identifier": [identified(node.iri)]}
    status, sure = node.first("pepr:recordStatus") or "", node.first("pepr:verificationStatus")
    end = moment(node.first("pepr:endsAt"))
    if end is not None and status not in _OVER:
        status = "resolved"
    if _is_withdrawn(node):
        sure, status = "entered-in-error", "inactive" if context.is_r5 else ""
    if status in _CLINICAL or context.is_r5:
        shown = status if status in _CLINICAL else "unknown"
        made["clinicalStatus"] = {"coding": [coding(f"{TERMINOLOGY}condition-clinical", shown)]}
    if sure:
        made["verificationStatus"] = {"coding": [coding(f"{TERMINOLOGY}condition-ver-status", sure)]}
    made["code"] = context.coded(None, node)
    made |= _subject(context, node)
    start, recorded = moment(node.first("pepr:beginsAt")), moment(node.first("pepr:recordedAt"))
    made |= {"onsetDateTime": start} if start is not None else {}
    made |= {"abatementDateTime": end} if end is not None else {}
    made |= {"recordedDate": recorded} if recorded is not None else {}
    return made


def prescription(context: Context, node: Node) -> Object:
    """Return a MedicationRequest: a drug that was ordered."""
    made: Object = {"resourceType": "MedicationRequest", "identifier": [identified(node.iri)]}
    made["status"] = _status(node, _REQUESTS, "unknown")
    made["intent"] = "order"
    made |= _medication(context, node) | _subject(context, node)
    written = moment(node.first("pepr:recordedAt"))
    made |= {"authoredOn": written} if written is not None else {}
    return made | _dosage(node, "dosageInstruction")


def medication_use(context: Context, node: Node) -> Object:
    """Return a MedicationStatement: a drug that is or was taken."""
    made: Object = {"resourceType": "MedicationStatement", "identifier": [identified(node.iri)]}
    if context.is_r5:  # whether the drug is taken is no status any more in R5
        made["status"] = "entered-in-error" if _is_withdrawn(node) else "recorded"
    else:
        made["status"] = _status(node, _STATEMENTS, "unknown")
    made |= _medication(context, node) | _subject(context, node)
    during = period(node.first("pepr:beginsAt"), node.first("pepr:endsAt"))
    made |= {"effectivePeriod": during} if during else {}
    recorded = moment(node.first("pepr:recordedAt"))
    made |= {"dateAsserted": recorded} if recorded is not None else {}
    return made | _dosage(node, "dosage")


def encounter(context: Context, node: Node) -> Object:
    """Return an Encounter. R4 wants a class: where none of the codes is one, the null flavor “unknown”."""
    made: Object = {"resourceType": "Encounter", "identifier": [identified(node.iri)]}
    said = node.first("pepr:recordStatus") or ""
    said = (_AS_R5 if context.is_r5 else _AS_R4).get(said, said)
    known = said if said in (_ENCOUNTERS_R5 if context.is_r5 else _ENCOUNTERS_R4) else "unknown"
    made["status"] = "entered-in-error" if _is_withdrawn(node) else known
    concept = context.coded(None, node)
    codings = concept.get("coding")
    given = codings if isinstance(codings, list) else []
    classes = [item for item in given if isinstance(item, dict) and str(item["system"]).endswith("v3-ActCode")]
    types: list[Value] = [item for item in given if item not in classes]
    if context.is_r5:
        if classes:
            made["class"] = [{"coding": [item]} for item in classes]
    else:
        made["class"] = classes[0] if classes else coding(f"{TERMINOLOGY}v3-NullFlavor", "UNK", "unknown")
    if types:
        made["type"] = [{**concept, "coding": types}]
    made |= _subject(context, node)
    during = period(node.first("pepr:beginsAt"), node.first("pepr:endsAt"))
    made |= {"actualPeriod" if context.is_r5 else "period": during} if during else {}
    return made


def procedure(context: Context, node: Node) -> Object:
    """Return a Procedure: something that was done."""
    made: Object = {"resourceType": "Procedure", "identifier": [identified(node.iri)]}
    made["status"] = _status(node, _EVENTS, "unknown")
    made["code"] = context.coded(None, node)
    made |= _subject(context, node)
    during = period(node.first("pepr:beginsAt"), node.first("pepr:endsAt"))
    made |= {"occurrencePeriod" if context.is_r5 else "performedPeriod": during} if during else {}
    return made


def _medication(context: Context, node: Node) -> Object:
    concept = context.coded(None, node)
    return {"medication": {"concept": concept}} if context.is_r5 else {"medicationCodeableConcept": concept}


def _dosage(node: Node, name: str) -> Object:
    dose = quantity(node.first("pepr:writtenValue") or node.first("pepr:numericValue"), node.first("pepr:unitCode"))
    text = node.first("pepr:dosageText")
    said: Object = {"text": text} if text else {}
    said |= {"doseAndRate": [{"doseQuantity": dose}]} if dose is not None else {}
    return {name: [said]} if said else {}


def _subject(context: Context, node: Node) -> Object:
    about = node.first("sosa:hasFeatureOfInterest")
    return {} if about is None else {"subject": context.refer("Patient", about)}


def _status(node: Node, known: frozenset[str], other: str) -> str:
    if _is_withdrawn(node):
        return "entered-in-error"
    said = node.first("pepr:recordStatus") or ""
    return said if said in known else other


def _is_withdrawn(node: Node) -> bool:
    return (node.first("pepr:hasResultStatus") or "").rpartition("/")[2] in _WITHDRAWN
