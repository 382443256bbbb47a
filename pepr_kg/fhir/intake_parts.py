"""As much of each FHIR resource as the intake reads, typed: what is of another kind is refused with its place.

Numbers stay the bytes that they were (`msgspec.Raw`), and so do codes, which are looked up as they stand. The names are
FHIR's. Forms of R4, R4B and R5 stand side by side: `medicationCodeableConcept` and `medication`, `period` and
`actualPeriod`.

>>> text = b'{"code": {"text": "weight"}, "valueQuantity": {"value": 70.50, "code": "kg"}}'
>>> part = RESOURCES["Observation"].decode(text)
>>> bytes(part.valueQuantity.value), bytes(part.code)
(b'70.50', b'{"text": "weight"}')
"""

# ruff: noqa: N815  the names are those of FHIR

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

__all__ = [
    "ABSENT",
    "READ",
    "RESOURCES",
    "Coding",
    "Component",
    "Concept",
    "Condition",
    "Dosage",
    "Encounter",
    "Head",
    "Identifier",
    "Medication",
    "MedicationAdministration",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Patient",
    "Period",
    "Procedure",
    "Quantity",
    "Reference",
    "Valued",
]  # fmt: skip


ABSENT: Final = Raw()


class Coding(Struct, gc=False):
    """A code of a system."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Concept(Struct, gc=False):
    """A CodeableConcept."""

    coding: list[Coding] = []
    text: str | None = None


class Meta(Struct, gc=False):
    """Which version of a resource this is; `security` tells test data."""

    versionId: str | None = None
    lastUpdated: str | None = None
    security: list[Coding] = []


class Head(Struct, gc=False):
    """What every resource begins with."""

    resourceType: str
    id: str | None = None
    meta: Meta | None = None
    language: str | None = None
    status: Raw = ABSENT


class Reference(Struct, gc=False):
    """A reference to another resource."""

    reference: str | None = None
    display: str | None = None


class Quantity(Struct, gc=False):
    """A number with its unit."""

    value: Raw = ABSENT
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Period(Struct, gc=False):
    """From when to when."""

    start: str | None = None
    end: str | None = None


class Valued(Struct, gc=False):
    """A value of one of its forms, or why there is none."""

    valueQuantity: Quantity | None = None
    valueCodeableConcept: Raw = ABSENT
    valueString: str | None = None
    valueBoolean: bool | None = None
    valueInteger: Raw = ABSENT
    valueDateTime: str | None = None
    valueTime: str | None = None
    valueRange: Raw = ABSENT
    valueRatio: Raw = ABSENT
    valuePeriod: Raw = ABSENT
    valueSampledData: Raw = ABSENT
    valueAttachment: Raw = ABSENT
    valueReference: Raw = ABSENT
    dataAbsentReason: Raw = ABSENT


class Component(Valued, gc=False):
    """A part of an observation that has a code and a value of its own."""

    code: Raw = ABSENT


class Observation(Valued, gc=False):
    """An observation with its components."""

    status: str | None = None
    code: Raw = ABSENT
    subject: Reference | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    issued: str | None = None
    component: list[Component] = []


class Condition(Struct, gc=False):
    """A condition: since when, until when, how sure."""

    code: Raw = ABSENT
    subject: Reference | None = None
    clinicalStatus: Concept | None = None
    verificationStatus: Concept | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    recordedDate: str | None = None


class DoseAndRate(Struct, gc=False):
    """A dose, where it is one number."""

    doseQuantity: Quantity | None = None


class Dosage(Struct, gc=False):
    """How a drug is to be taken; `dose` is R4's and R5's form for what was given."""

    text: str | None = None
    doseAndRate: list[DoseAndRate] = []
    dose: Quantity | None = None


class Medicated(Struct, gc=False):
    """A drug: its code, or a reference to it, in either form."""

    medicationCodeableConcept: Raw = ABSENT
    medicationReference: Reference | None = None
    medication: "CodeableReference | None" = None
    contained: list[Raw] = []
    subject: Reference | None = None
    status: str | None = None


class CodeableReference(Struct, gc=False):
    """R5: a concept or a reference."""

    concept: Raw = ABSENT
    reference: Reference | None = None


class MedicationRequest(Medicated, gc=False):
    """A drug that is to be given."""

    authoredOn: str | None = None
    dosageInstruction: list[Dosage] = []


class MedicationStatement(Medicated, gc=False):
    """A drug that somebody says is taken."""

    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    dateAsserted: str | None = None
    dosage: list[Dosage] = []


class MedicationAdministration(Medicated, gc=False):
    """A drug that was given. R5 spells the time `occurence`."""

    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    occurenceDateTime: str | None = None
    occurencePeriod: Period | None = None
    dosage: Dosage | None = None


class Encounter(Struct, gc=False):
    """A contact with a care service; `class_` is a Coding in R4 and a list of concepts in R5."""

    status: str | None = None
    class_: Raw = field(default=ABSENT, name="class")
    type: list[Raw] = []
    subject: Reference | None = None
    period: Period | None = None
    actualPeriod: Period | None = None


class Procedure(Struct, gc=False):
    """What was done."""

    status: str | None = None
    code: Raw = ABSENT
    subject: Reference | None = None
    performedDateTime: str | None = None
    performedPeriod: Period | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None


class Identifier(Struct, gc=False):
    """A number by which somebody is known."""

    system: str | None = None
    type: Concept | None = None


class Patient(Struct, gc=False):
    """A patient, without what would tell who they are."""

    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    identifier: list[Identifier] = []
    meta: Meta | None = None


class Medication(Struct, gc=False):
    """A drug that others refer to."""

    code: Raw = ABSENT
    id: str | None = None


RESOURCES: Final[Mapping[str, "msgspec.json.Decoder[Struct]"]] = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (
        Observation, Condition, MedicationRequest, MedicationStatement, MedicationAdministration, Encounter, Procedure,
        Patient, Medication,
    )
}  # fmt: skip

MEDICATION: Final = msgspec.json.Decoder(Medication)
# The elements of each that are read: all others are counted by name.
READ: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(
        {*(item.encode_name for item in msgspec.structs.fields(decoder.type)), "resourceType", "id", "meta"}
    )
    for name, decoder in RESOURCES.items()
}
