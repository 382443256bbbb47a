"""Numbers, units and ticks as a page writes them: significant digits, units that people read, even steps on an axis.

>>> significant(0.0123456, "fr"), significant(12345.6, "en"), significant(2.5e-9, "en")
('0,01235', '12,346', '2.5×10⁻⁹')
>>> unit_text("mm[Hg]", "en"), unit_text("mL/min/{1.73_m2}", "fr"), unit_text("a", "fr"), unit_text("1", "en")
('mmHg', 'mL/min/1,73 m²', 'an', '')
>>> [tick.text for tick in number_ticks(0.0, 1.0, 4, "fr")]
['0', '0,5', '1']
>>> [tick.text for tick in date_ticks(day_of("2019-05-01"), day_of("2025-02-01"), 4, "en")]
['2020', '2022', '2024']
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from pepr_kg.language import format_date, format_number

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_BREAK: Final = "\u00a0"

_SUPERSCRIPT: Final = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_MONTHS: Final = {
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec"),
}
# Units of time stand alone in a text; their UCUM codes are not words. Others are written with the signs of their code.
_TIMES: Final = {
    "fr": {"a": "an", "mo": "mois", "wk": "semaine", "d": "jour", "h": "h", "min": "min", "s": "s", "ms": "ms"},
    "en": {"a": "year", "mo": "month", "wk": "week", "d": "day", "h": "h", "min": "min", "s": "s", "ms": "ms"},
}
_DAYS: Final = {"a": 365.25, "mo": 30.4375, "wk": 7.0, "d": 1.0, "h": 1 / 24, "min": 1 / 1440, "s": 1 / 86400}
_PLURAL: Final = {"fr": {"an": "ans", "semaine": "semaines", "jour": "jours"},
                  "en": {"year": "years", "month": "months", "week": "weeks", "day": "days"}}  # fmt: skip
_CLOCK: Final = {"fr": f"{NO_BREAK}h{NO_BREAK}", "en": ":"}
_ANNOTATION: Final = re.compile(r"\{([^}]*)\}")
_SIGNS: Final = (
    ("mm[Hg]", "mmHg"), ("[iU]", "IU"), ("[pH]", "pH"), ("[degF]", "°F"), ("Cel", "°C"), ("10*", "10^"), ("'", "′"),
)  # fmt: skip
_NOTHING: Final = 1e-290  # below, a power of ten of the same size has lost its digits
_PER_WEEK: Final = re.compile(r"(?<=/)wk\b")  # which no sign of a unit stands for
_MICRO: Final = re.compile(r"\bu(?=[A-Za-z])")
_DECIMAL: Final = re.compile(r"(?<=\d)\.(?=\d)")
_POWER: Final = re.compile(r"(?<=[A-Za-z°^ )0])\^?(-?\d+)(?![\d.])")


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    text: str


def significant(value: float, lang: str, digits: int = 4) -> str:
    """Return a number with so many significant digits, without zeros that say nothing; a dash for none."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < _NOTHING:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 9 or size < -4:
        mantissa = _plain(value / 10.0**size, digits - 1, lang)
        return f"{mantissa}×10{str(size).translate(_SUPERSCRIPT)}"
    return _plain(value, max(0, digits - 1 - size), lang)


def with_unit(value: float, unit: str, lang: str, digits: int = 4) -> str:
    """Return a number with its unit (a UCUM code) as people read it.

    >>> with_unit(10.0, "a", "fr"), with_unit(132.04, "mm[Hg]", "en"), with_unit(12.0, "%", "fr")
    ('10\\xa0ans', '132\\xa0mmHg', '12\\u202f%')
    """
    number, text = significant(value, lang, digits), unit_text(unit, lang)
    if text in _PLURAL[lang] and abs(value) >= (2 if lang == "fr" else 1) and number != "1":
        text = _PLURAL[lang][text]
    if text == "%":
        return f"{number}\u202f%" if lang == "fr" else f"{number}%"
    return f"{number}{NO_BREAK}{text}" if text else number


def unit_text(code: str, lang: str, *, plural: bool = False) -> str:
    """Return a UCUM code as people write the unit: an empty text for a pure number."""
    if code in ("", "1"):
        return ""
    if code in _TIMES[lang]:
        word = _TIMES[lang][code]
        return _PLURAL[lang].get(word, word) if plural else word
    text = code
    for sign, plain in _SIGNS:
        text = text.replace(sign, plain)
    text = _ANNOTATION.sub(lambda match: match[1].replace("_", " "), text)
    text = _PER_WEEK.sub(_TIMES[lang]["wk"], text)
    text = _MICRO.sub("µ", text)
    text = _POWER.sub(lambda match: match[1].translate(_SUPERSCRIPT), text)
    if _DECIMAL.search(text):
        return _DECIMAL.sub(",", text) if lang == "fr" else text
    return text.replace(".", "·")


def days_in(unit: str) -> float | None:
    """Return how many days a UCUM unit of time lasts, or None for a unit that is not one of ours."""
    return _DAYS.get(unit)


def day_of(stamp: str) -> float:
    """Return an xsd:date or xsd:dateTime as days since 1970; NaN for a text that is neither.

    >>> day_of("1970-01-02"), day_of("1970-01-01T12:00:00Z")
    (1.0, 0.5)
    """
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) / timedelta(days=1)


def date_text(day: float, lang: str, *, clock: bool = False) -> str:
    """Return days since 1970 as a date in words, with the time of day where it is asked for.

    >>> date_text(20148.5, "fr", clock=True).replace("\N{NO-BREAK SPACE}", " ")
    '1er mars 2025, 12 h 00'
    """
    moment = EPOCH + timedelta(days=day)
    text = format_date(moment.date().isoformat(), lang)
    if clock:
        text += f", {moment:%H{_CLOCK[lang]}%M}"
    return text


def number_ticks(low: float, high: float, most: int, lang: str) -> tuple[Tick, ...]:
    """Return at most `most` ticks between two numbers, in steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > _NOTHING):
        return (Tick(low, significant(low, lang)),) if math.isfinite(low) else ()
    power = 10.0 ** (math.floor(math.log10(span)) - 1)
    for step in (power * factor for factor in (1, 2, 5, 10, 20, 50, 100)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return tuple(Tick(at * step, _tick_text(at * step, step, max(abs(low), abs(high)), lang))
                         for at in range(first, last + 1))  # fmt: skip
    return ()


def date_ticks(low: float, high: float, most: int, lang: str) -> tuple[Tick, ...]:
    """Return at most `most` ticks between two moments (days since 1970): hours, days, months or years."""
    start, end = EPOCH + timedelta(days=low), EPOCH + timedelta(days=high)
    for hours in (1, 3, 6, 12):
        if (high - low) * 24 / hours < most:
            return _clock_ticks(start, end, hours, lang)
    for days in (1, 2, 5, 10):
        if (high - low) / days < most:
            first = math.ceil(low)
            return tuple(Tick(at, _day_text(EPOCH + timedelta(days=at), lang))
                         for at in range(first, math.floor(high) + 1, days))  # fmt: skip
    for months in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600):
        if (high - low) / 30.4 / months < most + 1:
            found = _month_ticks(start, end, months, lang)
            if len(found) <= most:
                return found
    return ()


def _clock_ticks(start: datetime, end: datetime, hours: int, lang: str) -> tuple[Tick, ...]:
    at = start.replace(minute=0, second=0, microsecond=0)
    at -= timedelta(hours=at.hour % hours)
    found = []
    while at <= end:
        if at >= start:
            text = f"{at.hour}{NO_BREAK}h" if lang == "fr" else f"{at.hour}:00"
            found.append(Tick((at - EPOCH) / timedelta(days=1), text if at.hour else _day_text(at, lang)))
        at += timedelta(hours=hours)
    return tuple(found)


def _month_ticks(start: datetime, end: datetime, months: int, lang: str) -> tuple[Tick, ...]:
    count = start.year * 12 + start.month - 1
    count -= count % months
    found = []
    while (at := datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)) <= end:
        if at >= start:
            text = str(at.year) if months % 12 == 0 else f"{_MONTHS[lang][at.month - 1]} {at.year}"
            found.append(Tick((at - EPOCH) / timedelta(days=1), text))
        count += months
    return tuple(found)


def _day_text(moment: datetime, lang: str) -> str:
    return f"{moment.day} {_MONTHS[lang][moment.month - 1]}"


def _tick_text(value: float, step: float, largest: float, lang: str) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > 4 or largest >= 1e6:
        return significant(value, lang, 3)
    return _plain(value, decimals, lang)


def _plain(value: float, decimals: int, lang: str) -> str:
    number = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    text = format_number(number + 0, lang).replace("-", "−")  # + 0: no minus before a zero
    point = "," if lang == "fr" else "."
    if decimals and point in text:
        text = text.rstrip("0").rstrip(point)
    return text
