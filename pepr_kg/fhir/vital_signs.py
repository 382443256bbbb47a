"""Vital signs as FHIR wants them: R4 and R5 have a profile for each, and it holds for whatever has one of its codes.

A profile asks for its own code of LOINC (others may stand beside it), the category, and units of its choice; that of
blood pressure asks for both pressures as components. The codes that a profile is for are those that HL7's validator
takes for it; codes alone, no words of LOINC.

>>> from pepr_kg.fhir.datatypes import coding, quantity
>>> weight = {"code": {"coding": [coding("http://loinc.org", "3141-9")]}, "valueQuantity": quantity("70", "kg")}
>>> as_vital_sign(weight)["code"]
{'coding': [{'system': 'http://loinc.org', 'code': '29463-7'}, {'system': 'http://loinc.org', 'code': '3141-9'}]}
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from pepr_kg.fhir.datatypes import TERMINOLOGY, Object, Value, coding

LOINC: Final = "http://loinc.org"
UNKNOWN: Final = coding(f"{TERMINOLOGY}data-absent-reason", "unknown", "Unknown")
_PRESSURES: Final = ("8480-6", "8462-4")  # systolic, diastolic
_BOTH: Final = "85354-9"


@dataclass(frozen=True, slots=True)
class Sign:
    """A vital sign: the code that its profile asks for, the narrower ones that it is for, the units that it allows."""

    code: str
    narrower: frozenset[str]
    units: frozenset[str]


def _sign(code: str, narrower: str, units: str) -> Sign:
    return Sign(code, frozenset(narrower.split()), frozenset(units.split()))


_SIGNS: Final = (
    _sign("9279-1", "76170-0 76172-6 76171-8 19840-8 33438-3 76270-8 11291-2", "/min"),
    _sign("8867-4", "60978-4 73795-7 73799-9 76476-1 76477-9 8889-8 8890-6 8891-4 8892-2 8893-0 40443-4 55425-3 "
          "68999-2 11328-2 69000-8 8886-4", "/min"),
    _sign("2708-6", "19224-5 20564-1 2709-4 2710-2 2713-6 51733-4 59408-5 59417-6 89276-0 97549-0", "%"),
    _sign("8310-5", "60834-9 60835-6 60836-4 60838-0 60955-2 61009-7 75539-7 75987-8 76010-8 76011-6 76278-1 8309-7 "
          "8328-7 8329-5 8330-3 8331-1 8332-9 8333-7 8334-5 91371-5 98657-0 98663-8", "Cel [degF]"),
    _sign("8302-2", "3137-7 3138-5 8306-3 8308-9", "cm [in_i]"),
    _sign("9843-4", "8287-5", "cm [in_i]"),
    _sign("29463-7", "3141-9 3142-7 75292-3 79348-9 8350-1 8351-9", "g kg [lb_av]"),
    _sign("39156-5", "89270-3", "kg/m2"),
    _sign(_BOTH, "35094-2 8459-0 76534-7 55284-4", ""),  # a panel has no value of its own
)  # fmt: skip


def as_vital_sign(made: Object) -> Object:
    """Return an Observation in the form of its profile, if it has the code of one.

    In a unit that the profile does not allow it is none in FHIR's eyes: it then has our own code alone.
    """
    codes = _codes(made)
    if codes & set(_PRESSURES):
        return _panel(made, next(name for name in _PRESSURES if name in codes))
    sign = next((sign for sign in _SIGNS if sign.code in codes or codes & sign.narrower), None)
    if sign is None:
        return made
    value = made.get("valueQuantity")
    unit = value.get("code") if isinstance(value, dict) else None
    if unit not in sign.units and "dataAbsentReason" not in made:
        return _recoded(made, without={sign.code, *sign.narrower})
    return _categorised(_recoded(made, without={sign.code}, first=sign.code))


def _panel(made: Object, pressure: str) -> Object:
    """Return one blood pressure as a panel of the systolic and the diastolic, of which the other is not known."""
    said: Object = {name: made[name] for name in made if name in {"valueQuantity", "dataAbsentReason"}}
    value = said.get("valueQuantity")
    if isinstance(value, dict) and value.get("code") != "mm[Hg]":
        return _recoded(made, without=set(_PRESSURES))
    unknown: Object = {"dataAbsentReason": {"coding": [UNKNOWN]}}
    rest = {name: item for name, item in made.items() if not name.startswith("value") and name != "dataAbsentReason"}
    panel = _categorised(_recoded(rest, without={_BOTH, *_PRESSURES}, first=_BOTH))
    both: list[Value] = [
        {"code": {"coding": [coding(LOINC, name)]}, **((said or unknown) if name == pressure else unknown)}
        for name in _PRESSURES
    ]
    more = made.get("component")
    panel["component"] = [*both, *(more if isinstance(more, list) else [])]
    return panel


def _codes(made: Object) -> set[str]:
    return {str(item["code"]) for item in _codings(made) if isinstance(item, dict) and item.get("system") == LOINC}


def _codings(made: Object) -> list[Value]:
    code = made.get("code")
    found = code.get("coding") if isinstance(code, dict) else None
    return found if isinstance(found, list) else []


def _recoded(made: Object, *, without: Set[str], first: str | None = None) -> Object:
    """Return an Observation without some codes of LOINC, and with one before all others."""
    code = made["code"]
    kept: list[Value] = [
        item for item in _codings(made)
        if not (isinstance(item, dict) and item.get("system") == LOINC and item.get("code") in without)
    ]  # fmt: skip
    given: list[Value] = [*([coding(LOINC, first)] if first is not None else []), *kept]
    words = {name: value for name, value in code.items() if name != "coding"} if isinstance(code, dict) else {}
    return {**made, "code": {**({"coding": given} if given else {}), **words}}


def _categorised(made: Object) -> Object:
    before = made.get("category")
    vital: Value = {"coding": [coding(f"{TERMINOLOGY}observation-category", "vital-signs", "Vital Signs")]}
    return {**made, "category": [vital, *(before if isinstance(before, list) else [])]}
