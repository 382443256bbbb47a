"""A JSON value as an RDF literal, straight from its bytes; what is not of its type has no literal here.

The type comes from the tables, never from the JSON. Numbers and texts are copied: a JSON string is a Turtle string too,
but for `\\/` and for surrogate pairs, which are written anew.

>>> literals = Literals(NTriples(), R5)
>>> literals.of("decimal")(b"1.00")
b'"1.00"^^<http://www.w3.org/2001/XMLSchema#decimal>'
>>> literals.of("date")(b'"1970-02"')
b'"1970-02"^^<http://www.w3.org/2001/XMLSchema#gYearMonth>'
>>> literals.of("date")(b'"1970-02-30"') is None, literals.of("positiveInt")(b"0") is None
(True, True)
"""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from pepr_kg.fhir.dialect import R5, Dialect
from pepr_kg.fhir.writing_syntax import Notation, NTriples

__all__ = ["FIELDS", "R5", "Fields", "Literal", "Literals", "NTriples", "json_text", "kind_of", "plain", "text_of"]

Literal = Callable[[bytes], bytes | None]
Fields = dict[str, msgspec.Raw]

FIELDS: Final = msgspec.json.Decoder(Fields)  # one level of an object: its values stay bytes

_REWRITE: Final = re.compile(rb"\\(?:/|u[dD][89a-fA-F])")
_STRING: Final = msgspec.json.Decoder(str)
_QUOTE: Final = ord('"')
_DATE: Final = re.compile(rb'"(?!0000)(\d{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?"')
_TIME_OF_DAY: Final = rb"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
_DATE_TIME: Final = re.compile(
    rb'"(?!0000)(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T'
    + _TIME_OF_DAY
    + rb'(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"'
)
_TIME: Final = re.compile(rb'"' + _TIME_OF_DAY + rb'"')
_LEAP_SECOND: Final = re.compile(rb":60(?:\.\d+)?(?:Z|[+-][\d:]+)?\"")
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9]\d*)")
_LONG: Final = re.compile(rb'"(-?(?:0|[1-9]\d*))"')
_BASE64: Final = re.compile(rb'"[0-9a-zA-Z+/ ]*={0,2} *"')
_LINE_ENDS: Final = re.compile(rb"\\[nrt]")
# By length of the quoted text: a year, a month, a day.
_PRECISION: Final = {6: "gYear", 9: "gYearMonth", 12: "date"}
_LAST_SAFE_DAY: Final = 28
_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
    "integer64": (-(2**63), 2**63 - 1),
}
_XSD: Final[Mapping[str, str]] = {
    "integer": "integer",
    "unsignedInt": "nonNegativeInteger",
    "positiveInt": "positiveInteger",
    "integer64": "long",
}
_URIS: Final = frozenset({"uri", "url", "canonical", "oid", "uuid"})
_LONGEST_INTEGER: Final = 20  # characters of a number of 64 bits
_LONGEST_EXPANSION: Final = 400  # digits: beyond it a number with an exponent stays an xsd:double


def plain(raw: bytes) -> bytes | None:
    """Return a JSON string as a plain literal, None where the JSON is no string."""
    if raw[0] != _QUOTE:
        return None
    if b"\\" in raw and _REWRITE.search(raw):
        return msgspec.json.encode(_STRING.decode(raw))
    return raw


def text_of(raw: bytes | None) -> str | None:
    """Return the text of a JSON string, None for other JSON."""
    return _STRING.decode(raw) if raw is not None and raw[0] == _QUOTE else None


def json_text(raw: bytes) -> bytes:
    """Return any JSON as the quoted text of a literal."""
    return msgspec.json.encode(raw.decode())


def kind_of(type_name: str) -> str:
    """Return which JSON a primitive type takes: "number", "boolean" or "string"."""
    if type_name in {"decimal", "integer", "unsignedInt", "positiveInt"}:
        return "number"
    return "boolean" if type_name == "boolean" else "string"


class Literals:
    """The literals of a dialect in a syntax."""

    def __init__(self, syntax: Notation, dialect: Dialect) -> None:
        self._syntax = syntax
        self._expand = dialect.exponents == "expand"
        self._functions: dict[str, Literal] = {
            "boolean": self._boolean(),
            "decimal": self._decimal,
            "base64Binary": _unescaped(self._base64()),
            "instant": _unescaped(self._instant),
            "time": _unescaped(self._time),
            "date": _unescaped(self._date),
            "dateTime": _unescaped(self._date_time),
        }
        for name in _LIMITS:
            self._functions[name] = self._integer(name)
        if dialect.typed_uris:
            typed = self._typed("anyURI")
            self._functions.update(dict.fromkeys(_URIS, typed))
        if dialect.narrative_xml:
            self._functions["xhtml"] = self._typed("XMLLiteral", "rdf")
        xsd = ("gYear", "gYearMonth", "date", "dateTime", "time", "decimal", "double")
        self._suffix = {name: b"^^" + syntax.name(name, "xsd") for name in xsd}

    def of(self, type_name: str) -> Literal:
        """Return the function that makes the literals of a primitive type."""
        return self._functions.get(type_name, plain)

    def _typed(self, datatype: str, prefix: str = "xsd") -> Literal:
        suffix = b"^^" + self._syntax.name(datatype, prefix)

        def literal(raw: bytes) -> bytes | None:
            text = plain(raw)
            return None if text is None else text + suffix

        return literal

    def _boolean(self) -> Literal:
        suffix = b"^^" + self._syntax.name("boolean", "xsd")
        return {b"true": b'"true"' + suffix, b"false": b'"false"' + suffix}.get

    def _integer(self, name: str) -> Literal:
        low, high = _LIMITS[name]
        suffix = b"^^" + self._syntax.name(_XSD[name], "xsd")

        def literal(raw: bytes) -> bytes | None:
            fits = len(raw) <= _LONGEST_INTEGER and _INTEGER.fullmatch(raw) and low <= int(raw) <= high
            return b'"%b"%b' % (raw, suffix) if fits else None

        def quoted(raw: bytes) -> bytes | None:
            found = _LONG.fullmatch(raw) if len(raw) <= _LONGEST_INTEGER + 2 else None
            return raw + suffix if found and low <= int(found[1]) <= high else None

        return _unescaped(quoted) if name == "integer64" else literal

    def _decimal(self, raw: bytes) -> bytes | None:
        if raw[0] not in b"-0123456789":
            return None
        if b"e" not in raw and b"E" not in raw:
            return b'"%b"%b' % (raw, self._suffix["decimal"])
        if self._expand:
            digits = f"{Decimal(raw.decode()):f}" if _is_short(raw) else ""
            if digits:
                return b'"%b"%b' % (digits.encode(), self._suffix["decimal"])
        return b'"%b"%b' % (raw, self._suffix["double"])

    def _base64(self) -> Literal:
        suffix = b"^^" + self._syntax.name("base64Binary", "xsd")

        def literal(raw: bytes) -> bytes | None:
            return raw + suffix if _BASE64.fullmatch(_LINE_ENDS.sub(b"", raw) if b"\\" in raw else raw) else None

        return literal

    def _date(self, raw: bytes) -> bytes | None:
        found = _DATE.fullmatch(raw)
        if found is None or not _on_calendar(found):
            return None
        return raw + self._suffix[_PRECISION[len(raw)]]

    def _date_time(self, raw: bytes) -> bytes | None:
        return self._date(raw) if len(raw) in _PRECISION else self._instant(raw)

    def _instant(self, raw: bytes) -> bytes | None:
        found = _DATE_TIME.fullmatch(raw)
        if found is None or not _on_calendar(found):
            return None
        # FHIR allows a leap second and XML Schema does not: as plain text it is not ill-typed.
        return raw if b":60" in raw and _LEAP_SECOND.search(raw) else raw + self._suffix["dateTime"]

    def _time(self, raw: bytes) -> bytes | None:
        if _TIME.fullmatch(raw) is None:
            return None
        return raw if b":60" in raw and _LEAP_SECOND.search(raw) else raw + self._suffix["time"]


def _unescaped(function: Literal) -> Literal:
    """Return a function that sees a string without needless escapes: some tools write `\\u003d` for an equals sign."""

    def literal(raw: bytes) -> bytes | None:
        if b"\\" in raw and raw[0] == _QUOTE:
            raw = msgspec.json.encode(_STRING.decode(raw))
        return function(raw)

    return literal


def _on_calendar(found: re.Match[bytes]) -> bool:
    year, month, day = found.groups()
    return day is None or int(day) <= _LAST_SAFE_DAY or int(day) <= monthrange(int(year), int(month))[1]


def _is_short(raw: bytes) -> bool:
    exponent = re.split(rb"[eE]", raw)[1]
    return len(exponent) <= len(str(_LONGEST_EXPANSION)) + 1 and abs(int(exponent)) + len(raw) <= _LONGEST_EXPANSION
