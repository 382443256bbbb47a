"""What is asked for in a search, and whether a resource is it.

>>> Criteria.read([("patient", "Patient/demo-0001"), ("code", "8867-4")], "Observation")
Criteria(type='Observation', ids=(), patients=('demo-0001',), codes=('8867-4',), identifiers=(), targets=())
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pepr_kg.fhir.offer_errors import BadSearch, SearchTooWide
from pepr_kg.fhir.offered import Offered

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
        said = msgspec.json.decode(offered.data)
        about = said.get("subject") or said.get("patient")
        reference = about.get("reference") if isinstance(about, dict) else None
        return (
            (not patients or reference in {f"Patient/{value}" for value in patients})
            and (not self.codes or _has_token(self.codes, _codings(said.get("code")), "code"))
            and (not self.identifiers or _has_token(self.identifiers, said.get("identifier"), "value"))
        )


def parameters_of(kind: str) -> Mapping[str, str]:
    """Return the search parameters of a type, each with its kind."""
    return PARAMETERS.get(kind, _EVERYWHERE)


def _codings(code: Any) -> list[Any]:
    """Return the codings of a concept, or of a list of them; elsewhere `code` is something else, and has none."""
    concepts = code if isinstance(code, list) else [code]
    found: list[Any] = []
    for concept in concepts:
        codings = concept.get("coding") if isinstance(concept, dict) else None
        found += codings if isinstance(codings, list) else []
    return found


def _has_token(wanted: tuple[str, ...], given: Any, field: str) -> bool:
    """Return whether one of the tokens, `value` or `system|value`, is among identifiers or codings: a list, or one."""
    parts = [token.rpartition("|") for token in wanted]
    return any(
        item.get(field) == value and (not bar or (item.get("system") or "") == system)
        for item in (given if isinstance(given, list) else [given])
        if isinstance(item, dict)
        for system, bar, value in parts
    )
