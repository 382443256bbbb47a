"""The parts that every resource has: texts in two languages, codings, quantities, times, identifiers, labels.

Each function returns JSON as `write` takes it; a number is the text that it is. The rules are those of R4 and R5, which
agree on these types.

>>> said: Object = {}
>>> put_text(said, "title", {"fr": "âge", "en": "age"}, "en")
>>> write(said).decode()[:80]
'{"title":"age","_title":{"extension":[{"url":"http://hl7.org/fhir/StructureDefin'
>>> moment("2026-10-30T08:00:00"), moment("2026-10Z")
('2026-10-30T08:00:00Z', '2026-10')
>>> write(quantity("+007.50", "mg")).decode()
'{"value":7.50,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}'
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Final
from urllib.parse import unquote

import msgspec

from pepr_kg.fhir.concepts import load_stems
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import ID

# JSON in the making; `Raw` is a number whose digits stay as they are, or a piece that is written already.
Value = dict[str, "Value"] | list["Value"] | str | int | bool | msgspec.Raw | None
Object = dict[str, Value]

UCUM: Final = "http://unitsofmeasure.org"
URI: Final = "urn:ietf:rfc:3986"  # the system of an identifier that is an IRI (R4 and R5, datatype Identifier)
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_TRANSLATION: Final = "http://hl7.org/fhir/StructureDefinition/translation"
_REASON: Final = TERMINOLOGY + "v3-ActReason"
_OBSERVED: Final = TERMINOLOGY + "v3-ObservationValue"
RESEARCH: Final[Mapping[str, str]] = {"system": _REASON, "code": "HRESCH", "display": "healthcare research"}
# How far people can be told apart, in HL7's labels of security. `identifying` has none: nothing was taken away.
_SECURITY: Final[Mapping[str, Mapping[str, str]]] = {
    "synthetic": {"system": _REASON, "code": "HTEST", "display": "test health data"},
    "anonymous": {"system": _OBSERVED, "code": "ANONYED", "display": "anonymized"},
    "pseudonymised": {"system": _OBSERVED, "code": "PSEUDED", "display": "pseudonymized"},
    "aggregated": {"system": _OBSERVED, "code": "AGGRED", "display": "aggregated"},
}
# A system that FHIR knows and whose concepts have IRIs, beside those of `concepts.json` (terminology.hl7.org).
_MONDO: Final = ("http://purl.obolibrary.org/obo/MONDO_", "http://purl.obolibrary.org/obo/mondo.owl", "MONDO:")
_WHOLE, _FRACTION = 18, 17  # digits of a decimal before and after the point (R5, datatype decimal)
_TIME: Final = re.compile(r"(\d{4}(?:-\d\d(?:-\d\d(T\d\d:\d\d:\d\d(?:\.\d+)?)?)?)?)(Z|[+-]\d\d:\d\d)?")
_NUMBER: Final = re.compile(r"([+-]?)0*(\d*)(?:\.(\d*))?([eE][+-]?\d+)?")


def put_text(target: Object, name: str, words: Mapping[str, str], lang: str) -> None:
    """Set a string or markdown to a text in a language, and its translations beside it; nothing where there is no text.

    Where the text is not in the language, the one that there is stands alone and says its own language.
    """
    said = {language: text for language in LANGUAGES if (text := words.get(language, "").strip())}
    if not said:
        return
    main = lang if lang in said else next(iter(said))
    target[name] = said[main]
    others = {language: text for language, text in said.items() if language != main and text != said[main]}
    if others:
        target[f"_{name}"] = {"extension": [_translation(language, text) for language, text in others.items()]}


def _translation(language: str, text: str) -> Object:
    return {
        "url": _TRANSLATION,
        "extension": [{"url": "lang", "valueCode": language}, {"url": "content", "valueString": text}],
    }


def annotation(words: Mapping[str, str], lang: str) -> Object:
    """Return a note."""
    note: Object = {}
    put_text(note, "text", words, lang)
    return note


def coding(system: str, code: str, display: str | None = None) -> Object:
    """Return a coding. A display that says the code again says nothing, and is left out."""
    return {"system": system, "code": code, **({"display": display} if display and display != code else {})}


def codeable(words: Mapping[str, str], lang: str, codings: Iterable[Object]) -> Object:
    """Return a concept with its codings and its text."""
    found: Object = {}
    given: list[Value] = list(codings)
    if given:
        found["coding"] = given
    put_text(found, "text", words, lang)
    return found


def own_coding(iri: str, words: Mapping[str, str], lang: str) -> Object | None:
    """Return the coding of a concept of ours: its scheme is `id/KIND`, its code the name; None for an IRI of others."""
    kind, slash, name = iri.removeprefix(ID).partition("/")
    if not iri.startswith(ID) or not slash or not name:
        return None
    return coding(ID + kind, name, words.get(lang))


def outer_coding(iri: str) -> Object | None:
    """Return the coding of a concept of LOINC, SNOMED CT, MONDO and so on; None for others. Their words are not copied.

    >>> outer_coding("http://loinc.org/rdf/8867-4")
    {'system': 'http://loinc.org', 'code': '8867-4'}
    """
    for space, system, start in _spaces():
        if iri.startswith(space) and len(iri) > len(space):
            return coding(system, start + unquote(iri[len(space) :]))
    return None


@cache
def _spaces() -> tuple[tuple[str, str, str], ...]:
    """Return the namespaces in which concepts of others are named, each with its system and how its codes begin."""
    stems = {stem.iri: stem.system for release in ("R4", "R5") for stem in load_stems(release, "all").values()}
    return (*((iri, system, "") for iri, system in stems.items()), _MONDO)


def quantity(value: str | None, unit: str | None) -> Object | None:
    """Return a quantity in a unit of UCUM; None where the value is no number."""
    found = None if value is None else number(value)
    if found is None:
        return None
    return {"value": raw(found), **({"unit": unit, "system": UCUM, "code": unit} if unit else {})}


def number(text: str) -> str | None:
    """Return a number of XML Schema as JSON writes it, its digits unchanged; None for NaN and infinities.

    R5 allows 18 digits before the point and 17 after it: a number with more of them gets an exponent.

    >>> number("+.50"), number("1E-7"), number("INF"), number("0.000000000000000055")
    ('0.50', '1E-7', None, '5.5E-17')
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or not (match[2] or match[3] or text.strip("+-.0") == ""):
        return None
    sign = "-" if match[1] == "-" else ""
    fraction = f".{match[3]}" if match[3] else ""
    plain = f"{sign}{match[2] or '0'}{fraction}{match[4] or ''}"
    return f"{Decimal(plain):E}" if len(match[2]) > _WHOLE or len(fraction) > _FRACTION + 1 else plain


def raw(digits: str) -> msgspec.Raw:
    """Return a number, written as it stands."""
    return msgspec.Raw(digits.encode())


def write(value: Value) -> bytes:
    """Return JSON as UTF-8, compact."""
    return msgspec.json.encode(value)


def moment(text: str | None) -> str | None:
    """Return a date or time of XML Schema as a dateTime of FHIR: with a zone where it has an hour, else without.

    A time that says no zone is one of ours, and ours are in UTC (`pepr_kg.cohorts.records`).
    """
    match = None if text is None else _TIME.fullmatch(text)
    if match is None:
        return None
    return f"{match[1]}{match[3] or 'Z'}" if match[2] else match[1]


def period(start: str | None, end: str | None) -> Object:
    """Return a period; empty where neither end is known."""
    ends = (("start", moment(start)), ("end", moment(end)))
    return {name: value for name, value in ends if value is not None}


def identified(iri: str) -> Object:
    """Return the identifier that says which thing of the graph this is."""
    return {"use": "official", "system": URI, "value": iri}


def meta(*, research: bool, identifiability: str | None = None) -> Object:
    """Return the labels of a resource: made for research only, and how far its people can be told apart."""
    found: Object = {}
    label = _SECURITY.get((identifiability or "").rpartition("/")[2])
    if label is not None:
        found["security"] = [dict(label)]
    if research:
        found["tag"] = [dict(RESEARCH)]
    return found
