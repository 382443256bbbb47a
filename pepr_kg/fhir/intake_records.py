r"""What each resource becomes: nodes of a cohort as blocks of N-Triples, made from templates.

A `Node` has a body in which `\0` stands for its own name. What cannot be made says why: `Refused` (the resource is
wrong: nothing of it is loaded) or `LeftOut` (it is right and says nothing that we have a place for; it is counted).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from pepr_kg.fhir import intake_parts as parts
from pepr_kg.fhir.intake_codes import Codes, Meaning
from pepr_kg.fhir.intake_refusals import bad_date, bad_number
from pepr_kg.fhir.intake_values import DECIMAL, decimal_of, literal, time_of
from pepr_kg.namespaces import ID, PEPR, PREFIXES, expand

A: Final = f"\0 <{expand('rdf:type')}> <{PEPR}"
OF: Final = f"\0 <{PREFIXES['sosa']}hasFeatureOfInterest> "
_PROPERTY: Final = f"\0 <{PREFIXES['sosa']}observedProperty> <"
_RESULT: Final = f"\0 <{PREFIXES['sosa']}hasResult> <"
_SIMPLE: Final = f"\0 <{PREFIXES['sosa']}hasSimpleResult> "
_RESULT_TIME: Final = f"\0 <{PREFIXES['sosa']}resultTime> "
_CODE: Final = f"\0 <{PEPR}hasCode> <"
_QUANTITY: Final = f"\0 <{PEPR}quantity> <"
_NUMBER: Final = f"\0 <{PEPR}numericValue> "
_UNIT: Final = f"\0 <{PEPR}unitCode> "
_WRITTEN: Final = f"\0 <{PEPR}writtenValue> "
_WRITTEN_TIME: Final = f"\0 <{PEPR}writtenTime> "
_STATUS: Final = f"\0 <{PEPR}recordStatus> "
_CENSORING: Final = f"\0 <{PEPR}hasCensoring> <{ID}censoring/"
_SETTLED: Final = frozenset({"final", "amended", "corrected", None})
_CENSORED: Final = {"<": "left", "<=": "left", ">": "right", ">=": "right", None: ""}
_ENDED: Final = frozenset({"resolved", "inactive", "remission"})
_UNSURE: Final = frozenset({"unconfirmed", "provisional", "differential"})
# Values that are kept as the text of their JSON: no computation of ours takes them.
_OTHER_VALUES: Final = (
    "valueRange", "valueRatio", "valuePeriod", "valueSampledData", "valueAttachment", "valueReference",
)  # fmt: skip
_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_VALUES: Final = f"{ID}quantity-value/"
_YES_NO: Final = f'{_UNIT}"1" .\n'
_GIVEN: Final = frozenset({"completed", "in-progress", "on-hold", "stopped"})


class LeftOut(Exception):
    """A resource has no place in our terms; the reason is a key of `REASONS`."""


REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "no-time": {"en": "it does not say when", "fr": "elle ne dit pas quand"},
    "no-value": {"en": "it has no value", "fr": "elle n’a pas de valeur"},
    "no-code": {"en": "it has no code", "fr": "elle n’a pas de code"},
    "no-patient": {"en": "it is not about a patient", "fr": "elle ne porte pas sur un patient"},
    "no-dose": {"en": "the dose has no number with a unit", "fr": "la dose n’est pas un nombre avec une unité"},
    "not-done": {"en": "it was not done", "fr": "l’acte n’a pas eu lieu"},
}


class Node(Struct, frozen=True, gc=False):
    """One thing: its kind (`observation`), what follows the name of its resource, its triples, and its form: nodes of
    one kind and form differ in values alone.
    """

    kind: str
    suffix: str
    body: str
    form: str
    quantity: str = ""
    unit: str = ""
    is_close: bool = False  # the quantity was taken by a code of close meaning


# The class of each kind of node.
CLASSES: Final[Mapping[str, str]] = {
    "observation": f"{PEPR}Observation", "administration": f"{PEPR}Administration", "condition": f"{PEPR}Condition",
    "encounter": f"{PEPR}Encounter", "procedure": f"{PEPR}Procedure", "prescription": f"{PEPR}Prescription",
    "medication-use": f"{PEPR}MedicationUse", "patient": f"{PEPR}Patient",
}  # fmt: skip
Drug = Callable[[str], "Meaning | None"]


class Records:
    """Makes nodes. `path` names the resource in what is refused."""

    def __init__(self, codes: Codes, drug: Drug) -> None:
        self.codes = codes
        self.drug = drug  # what a reference to a Medication means
        self.makers: Mapping[str, Callable[..., Iterator[Node]]] = {
            "Observation": self.observation, "Condition": self.condition, "Encounter": self.encounter,
            "Procedure": self.procedure, "MedicationRequest": self.prescription,
            "MedicationStatement": self.statement, "MedicationAdministration": self.administration,
        }  # fmt: skip

    def make(self, type_name: str, part: Struct, patient: str) -> list[Node]:
        """Return the nodes of a resource about a patient (a term). Raises `Refused` or `LeftOut`."""
        return list(self.makers[type_name](part, patient))

    # ---- Observations ------------------------------------------------------------------------------------------------

    def observation(self, part: parts.Observation, patient: str) -> Iterator[Node]:
        """Yield the observation, one for each component, and what its answer amounts to."""
        time, form = self._observed(part)
        status = part.status
        said = "" if status in _SETTLED else f"{_STATUS}{literal(status or '')} .\n"
        if part.issued is not None and (issued := time_of(part.issued)) is not None:
            said += f"{_RESULT_TIME}{issued[0]} .\n"
            form += "i"
        start = f"{A}Observation> .\n{OF}{patient} .\n"
        reason = ""
        made = False
        members: list[tuple[str, str, parts.Valued, Raw]] = [("", "Observation", part, part.code)]
        members += [(f"_{number}", f"Observation.component[{number - 1}]", item, item.code)
                    for number, item in enumerate(part.component, 1)]  # fmt: skip
        for suffix, path, valued, code in members:
            meaning = self.codes.meaning(bytes(code)) if bytes(code) else None
            if meaning is None:
                reason = reason or "no-code"
                continue
            value = self._value(valued, meaning, path)
            if value is None:
                reason = "no-value"
                continue
            made = True
            block, kind, unit = value
            body = f"{start}{_PROPERTY}{meaning.property}> .\n{_codes_beside(meaning)}{block}{time}{said}"
            yield Node("observation", suffix, body, form + kind, meaning.quantity, unit, meaning.is_close)
            if kind == "c":
                for node in self._answered(valued, meaning, start, time + said):
                    yield Node("observation", f"{suffix}{node.suffix}", node.body, form + "a", node.quantity, "1")
        if not made:
            raise LeftOut(reason)

    def _observed(self, part: parts.Observation) -> tuple[str, str]:
        """Return the triples that say when, and their form. Of a period its end, when the value is complete."""
        if part.effectiveDateTime is not None:
            return self.times("observedAt", part.effectiveDateTime, "Observation.effectiveDateTime"), "t"
        if part.effectiveInstant is not None:
            return self.times("observedAt", part.effectiveInstant, "Observation.effectiveInstant"), "t"
        if part.effectivePeriod is not None:
            period = part.effectivePeriod
            when = period.end or period.start
            if when is not None:
                path = "Observation.effectivePeriod"
                return self.times("observedAt", when, path) + self.period(period, path), "p"
        raise LeftOut("no-time")

    def _value(self, part: parts.Valued, meaning: Meaning, path: str) -> tuple[str, str, str] | None:
        """Return the triples of a value, their form, and the unit; None where there is no value."""
        quantity = part.valueQuantity
        if quantity is not None:
            return self._quantity(quantity, meaning, f"{path}.valueQuantity")
        if bytes(part.valueCodeableConcept):
            result = self.codes.meaning(bytes(part.valueCodeableConcept))
            if result is None:
                return None
            coded = result.quantity if result.quantity.startswith(_VALUES) else result.codes[0]
            return f"{_RESULT}{coded}> .\n", "c", ""
        if bytes(part.valueInteger):
            number = _number(bytes(part.valueInteger), f"{path}.valueInteger")
            return f"{_NUMBER}{number} .\n{_YES_NO}", "n", "1"
        if part.valueBoolean is not None:
            return f'{_NUMBER}"{int(part.valueBoolean)}"{DECIMAL} .\n{_YES_NO}', "n", "1"
        text = part.valueString or part.valueDateTime or part.valueTime
        if text is None:
            raw = next((bytes(found) for name in _OTHER_VALUES if bytes(found := getattr(part, name))), b"")
            text = raw.decode()
        return (f"{_SIMPLE}{literal(text)} .\n", "s", "") if text else None

    def _quantity(self, part: parts.Quantity, meaning: Meaning, path: str) -> tuple[str, str, str] | None:
        raw = bytes(part.value)
        if not raw:
            return None
        found = decimal_of(raw)
        if found is None:
            raise bad_number(path, raw)
        number, written = found
        unit = self.codes.unit(part.system, part.code, part.unit, meaning.quantity)
        censoring = _CENSORED.get(part.comparator)
        if unit is None or censoring is None:  # no computation can take it: the words stand
            words = " ".join(word for word in (part.comparator, raw.decode(), part.unit or part.code) if word)
            return f"{_SIMPLE}{literal(words)} .\n", "s", ""
        block = f'{_NUMBER}"{number}"{DECIMAL} .\n{_UNIT}{literal(unit)} .\n'
        form = "n"
        if written:
            block += f'{_WRITTEN}"{written}" .\n'
            form = "w"
        if censoring:
            block += f"{_CENSORING}{censoring}> .\n"
            form += "l"
        return block, form, unit

    def _answered(self, part: parts.Valued, question: Meaning, start: str, rest: str) -> Iterator[Node]:
        """Yield what a coded answer amounts to, as an observation of its own."""
        answer = self.codes.meaning(bytes(part.valueCodeableConcept))
        found: dict[str, str] = {}
        for asked in question.codes:
            for given in answer.codes if answer else ():
                found.update(self.codes.answers.get((asked, given), ()))
        for quantity, number in found.items():
            body = (f'{start}{_PROPERTY}{quantity}> .\n{_NUMBER}"{number}"{DECIMAL} .\n{_YES_NO}'
                    f"{rest}")  # fmt: skip
            yield Node("observation", "_" + quantity.rpartition("/")[2], body, "a", quantity)

    # ---- Conditions, encounters, procedures --------------------------------------------------------------------------

    def condition(self, part: parts.Condition, patient: str) -> Iterator[Node]:
        """Yield the condition, and an observation of yes or no for each quantity of ours that its code stands for."""
        meaning = self._code(part.code)
        begin = part.onsetDateTime or (part.onsetPeriod and part.onsetPeriod.start)
        end = part.abatementDateTime or (
            part.abatementPeriod and (part.abatementPeriod.end or part.abatementPeriod.start)
        )
        status, sure = _first_code(part.clinicalStatus), _first_code(part.verificationStatus)
        body = f"{A}Condition> .\n{OF}{patient} .\n{_all_codes(meaning)}"
        for name, text in (("beginsAt", begin), ("endsAt", end), ("recordedAt", part.recordedDate)):
            if text:
                body += self.times(name, text, "Condition")
        if status:
            body += f"{_STATUS}{literal(status)} .\n"
        if sure:
            body += f"\0 <{PEPR}verificationStatus> {literal(sure)} .\n"
        yield Node(
            "condition", "", body, f"{bool(begin)}{bool(end)}{bool(part.recordedDate)}{bool(status)}{bool(sure)}"
        )
        if sure in _UNSURE:
            return
        since = begin or part.recordedDate
        for quantity in meaning.stands_for:
            ended = bool(end) or status in _ENDED
            slug = quantity.rpartition("/")[2]
            if sure == "refuted":
                moments = {"": (part.recordedDate or begin, 0)}
            elif ended and quantity not in self.codes.history:
                moments = {"": (since, 1), "_end": (end, 0)} if end else {}
            else:
                moments = {"": (since, 1)}
            for suffix, (when, number) in moments.items():
                if when:
                    body = (f'{A}Observation> .\n{OF}{patient} .\n{_PROPERTY}{quantity}> .\n{_all_codes(meaning)}'
                            f'{_NUMBER}"{number}"{DECIMAL} .\n{_YES_NO}'
                            f"{self.times('observedAt', when, 'Condition')}")  # fmt: skip
                    yield Node("observation", f"_condition_{slug}{suffix}", body, "condition", quantity, "1")

    def encounter(self, part: parts.Encounter, patient: str) -> Iterator[Node]:
        """Yield the encounter."""
        codes: dict[str, None] = {}
        kind = bytes(part.class_)
        if kind[:1] == b"[":
            raws = [bytes(raw) for raw in _ITEMS.decode(kind)]
            found = [self.codes.meaning(raw) for raw in raws]
        else:
            found = [self.codes.meaning_of_coding(kind)] if kind else []
        for meaning in [*(self.codes.meaning(bytes(raw)) for raw in part.type), *found]:
            codes.update(dict.fromkeys(meaning.codes if meaning else ()))
        if not codes:
            raise LeftOut("no-code")
        period = part.period or part.actualPeriod
        yield self._event("encounter", "Encounter", patient, Meaning(tuple(codes)), period, part.status)

    def procedure(self, part: parts.Procedure, patient: str) -> Iterator[Node]:
        """Yield the procedure."""
        if part.status == "not-done":
            raise LeftOut("not-done")
        when = part.performedDateTime or part.occurrenceDateTime
        period = part.performedPeriod or part.occurrencePeriod or (parts.Period(when) if when else None)
        yield self._event("procedure", "Procedure", patient, self._code(part.code), period, part.status)

    # ---- Drugs -------------------------------------------------------------------------------------------------------

    def prescription(self, part: parts.MedicationRequest, patient: str) -> Iterator[Node]:
        """Yield the prescription; what was prescribed is not taken for given."""
        dosage = part.dosageInstruction[0] if part.dosageInstruction else None
        recorded = self.times("recordedAt", part.authoredOn, "MedicationRequest.authoredOn") if part.authoredOn else ""
        dose = self._dosage(dosage, "MedicationRequest.dosageInstruction[0]")
        yield self._event("prescription", "Prescription", patient, self._drug(part), None, part.status, recorded + dose)

    def statement(self, part: parts.MedicationStatement, patient: str) -> Iterator[Node]:
        """Yield the use of a drug that was stated."""
        dosage = part.dosage[0] if part.dosage else None
        recorded = (
            self.times("recordedAt", part.dateAsserted, "MedicationStatement.dateAsserted") if part.dateAsserted else ""
        )
        dose = self._dosage(dosage, "MedicationStatement.dosage[0]")
        period = part.effectivePeriod or (parts.Period(part.effectiveDateTime) if part.effectiveDateTime else None)
        yield self._event(
            "medication-use", "MedicationUse", patient, self._drug(part), period, part.status, recorded + dose
        )

    def administration(self, part: parts.MedicationAdministration, patient: str) -> Iterator[Node]:
        """Yield the dose that was given."""
        if part.status not in _GIVEN:
            raise LeftOut("not-done")
        meaning = self._drug(part)
        period = part.effectivePeriod or part.occurencePeriod
        when = part.effectiveDateTime or part.occurenceDateTime or (period and period.start)
        if not when:
            raise LeftOut("no-time")
        dose = part.dosage.dose if part.dosage else None
        block = self._dose(dose, "MedicationAdministration.dosage.dose")
        if not block:
            raise LeftOut("no-dose")
        body = (f"{A}Administration> .\n{OF}{patient} .\n{_QUANTITY}{meaning.property}> "
                f".\n{_codes_beside(meaning)}{block}"
                f"{self.times('administeredAt', when, 'MedicationAdministration.effective')}")  # fmt: skip
        if period:
            body += self.period(period, "MedicationAdministration.effectivePeriod")
        unit = dose.code or dose.unit or "" if dose else ""
        yield Node("administration", "", body, f"{bool(period)}", meaning.quantity, unit)

    def _drug(self, part: parts.Medicated) -> Meaning:
        raw = bytes(part.medicationCodeableConcept) or (bytes(part.medication.concept) if part.medication else b"")
        if raw:
            return self._code(Raw(raw))
        reference = part.medicationReference or (part.medication.reference if part.medication else None)
        if reference is None or not reference.reference:
            raise LeftOut("no-code")
        if reference.reference.startswith("#"):
            for item in part.contained:
                drug = parts.MEDICATION.decode(item)
                if drug.id == reference.reference[1:] and bytes(drug.code):
                    return self._code(drug.code)
            raise LeftOut("no-code")
        meaning = self.drug(reference.reference)
        if meaning is None:
            raise LeftOut("no-code")
        return meaning

    def _dosage(self, dosage: parts.Dosage | None, path: str) -> str:
        if dosage is None:
            return ""
        quantity = next((item.doseQuantity for item in dosage.doseAndRate if item.doseQuantity), None)
        text = f"\0 <{PEPR}dosageText> {literal(dosage.text)} .\n" if dosage.text else ""
        return text + self._dose(quantity, f"{path}.doseAndRate[0].doseQuantity")

    def _dose(self, quantity: parts.Quantity | None, path: str) -> str:
        """Return number and unit of a dose, nothing where it is not one number above zero with a unit."""
        if quantity is None or not bytes(quantity.value):
            return ""
        found = decimal_of(bytes(quantity.value))
        if found is None:
            raise bad_number(path, bytes(quantity.value))
        unit = self.codes.unit(quantity.system, quantity.code, quantity.unit, "")
        if unit is None or found[0].startswith("-") or found[0] == "0":
            return ""
        written = f'{_WRITTEN}"{found[1]}" .\n' if found[1] else ""
        return f'{_NUMBER}"{found[0]}"{DECIMAL} .\n{_UNIT}{literal(unit)} .\n{written}'

    # ---- What they share ---------------------------------------------------------------------------------------------

    def _event(  # noqa: PLR0917  what care events share
        self, kind: str, name: str, patient: str, meaning: Meaning, period: parts.Period | None, status: str | None,
        more: str = "",
    ) -> Node:  # fmt: skip
        body = f"{A}{name}> .\n{OF}{patient} .\n{_all_codes(meaning)}{more}"
        if period is not None:
            body += self.period(period, name)
        if status:
            body += f"{_STATUS}{literal(status)} .\n"
        return Node(kind, "", body, f"{bool(period)}{bool(status)}{more.count('.')}")

    def _code(self, raw: Raw) -> Meaning:
        meaning = self.codes.meaning(bytes(raw)) if bytes(raw) else None
        if meaning is None:
            raise LeftOut("no-code")
        return meaning

    def times(self, name: str, text: str, path: str) -> str:
        """Return the triples that say a time. Raises `Refused` for what is no date of FHIR."""
        found = time_of(text)
        if found is None:
            raise bad_date(path, text)
        written = f'{_WRITTEN_TIME}"{found[1]}" .\n' if found[1] and name == "observedAt" else ""
        return f"\0 <{PEPR}{name}> {found[0]} .\n{written}"

    def period(self, period: parts.Period, path: str) -> str:
        """Return the triples that say from when to when."""
        start = self.times("beginsAt", period.start, f"{path}.start") if period.start else ""
        return start + (self.times("endsAt", period.end, f"{path}.end") if period.end else "")


def _all_codes(meaning: Meaning) -> str:
    return "".join([f"{_CODE}{code}> .\n" for code in meaning.codes])


def _codes_beside(meaning: Meaning) -> str:
    """Return the codes that what is observed is not named by."""
    if meaning.quantity:
        return "".join([f"{_CODE}{code}> .\n" for code in meaning.codes])
    return "".join([f"{_CODE}{code}> .\n" for code in meaning.codes[1:]]) if len(meaning.codes) > 1 else ""


def _first_code(concept: parts.Concept | None) -> str | None:
    return next((coding.code for coding in concept.coding if coding.code), None) if concept else None


def _number(raw: bytes, path: str) -> str:
    found = decimal_of(raw)
    if found is None:
        raise bad_number(path, raw)
    return f'"{found[0]}"{DECIMAL}'
