"""Numbers, times and texts of FHIR JSON as terms of N-Triples.

A number keeps every digit; where the store would change its form (`5.50`, `1e2`) the written form is kept beside it. A
time is an instant with its zone or a day; a month or a year is its middle, and what was written is kept.

>>> decimal_of(b"5.50"), decimal_of(b"171.65129806003597"), decimal_of(b"1.5E-3"), decimal_of(b'"5"')
(('5.5', '5.50'), ('171.65129806003597', ''), ('0.0015', '1.5E-3'), None)
>>> time_of("2012-05")
('"2012-05-15"^^<http://www.w3.org/2001/XMLSchema#date>', '2012-05')
>>> time_of("2012-02-30") is None, time_of("2012-02-28T10:00:00") is None  # no such day; no zone
(True, True)
"""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from pepr_kg.namespaces import expand
from pepr_kg.rdf import ESCAPES

XSD: Final = expand("xsd:")
DATE: Final = f"^^<{XSD}date>"
INSTANT: Final = f"^^<{XSD}dateTime>"
DECIMAL: Final = f"^^<{XSD}decimal>"

_PLAIN: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?")
_NUMBER: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_LARGEST_EXPONENT: Final = 1000  # the digits of a number are written out; more is no measurement
_TIME: Final = re.compile(
    r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-([0-2][0-9]|3[01])"
    r"(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00))?)?)?"
)
_MIDDLE_OF_YEAR: Final = "-07-01"
_MIDDLE_OF_MONTH: Final = "-15"
_REMEMBERED: Final = 65_536
_SPECIAL: Final = re.compile(r'["\\\n\r]')
_ESCAPED: Final = dict(ESCAPES)


def decimal_of(raw: bytes) -> tuple[str, str] | None:
    """Return a JSON number as an xsd:decimal that is stored as it stands, and the written form if that is another.

    None for what is no number, or has so large an exponent that nobody measured it.
    """
    if _PLAIN.fullmatch(raw) and raw != b"-0":
        return raw.decode(), ""
    text = raw.decode("utf-8", "replace")
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, part, exponent = found.groups()
    if exponent is not None:
        if abs(int(exponent)) > _LARGEST_EXPONENT:
            return None
        whole, _, part = format(Decimal(text).copy_abs(), "f").partition(".")
        whole = whole.lstrip("0") or "0"
    digits = f"{whole}.{part}".rstrip("0").rstrip(".") if part else whole
    return (sign if digits != "0" else "") + digits, text


@lru_cache(_REMEMBERED)
def time_of(text: str) -> tuple[str, str] | None:
    """Return a date or dateTime as a term, and the written form where it is less than a day; None for what is none."""
    found = _TIME.fullmatch(text)
    if found is None or found[1] == "0000":
        return None
    if found[3] is None:
        day = text + (_MIDDLE_OF_YEAR if found[2] is None else _MIDDLE_OF_MONTH)
        return f'"{day}"{DATE}', text
    if found[3] > "28" and not _is_day(text[:10]):
        return None
    if found[3] == "00":
        return None
    return f'"{text}"{INSTANT if found[4] else DATE}', ""


@lru_cache(_REMEMBERED)
def birth_of(text: str) -> str | None:
    """Return a date as a term of its own precision: a day, a month or a year.

    >>> birth_of("1970")
    '"1970"^^<http://www.w3.org/2001/XMLSchema#gYear>'
    """
    found = _TIME.fullmatch(text)
    if found is None or time_of(text) is None:
        return None
    kind = "date" if found[3] else "gYearMonth" if found[2] else "gYear"
    return f'"{text[:10]}"^^<{XSD}{kind}>'


def moment_of(text: str | None) -> datetime | None:
    """Return an instant of `meta.lastUpdated`, None where there is none.

    >>> moment_of("2026-01-05T10:00:00Z") < moment_of("2026-01-05T10:30:00+00:00"), moment_of("2026")
    (True, None)
    """
    if text is None or "T" not in text or time_of(text) is None:
        return None
    return datetime.fromisoformat(text)


def literal(text: str) -> str:
    """Return a string as a term."""
    return f'"{_SPECIAL.sub(lambda sign: _ESCAPED[sign[0]], text)}"'


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
