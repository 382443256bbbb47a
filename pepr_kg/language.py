"""French and English: which one a reader wants, and texts, numbers and dates in it.

>>> choose("fr-CH, fr;q=0.9, en;q=0.8")
'fr'
>>> choose("de, en;q=0.5, fr;q=0.4")
'en'
>>> format_number(60000000, "fr")
'60\\u202f000\\u202f000'
>>> format_amount(60000000, "EUR", "en")
'€60,000,000'
>>> format_date("2024-03-06", "fr")
'6 mars 2024'
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from pepr_kg.errors import ResourceMissing

Language = Literal["fr", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

# Every address that answers in a language falls back to this one.
DEFAULT: Final[Language] = "en"

_MONTHS: Final[Mapping[str, tuple[str, ...]]] = {
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin",
        "juillet", "août", "septembre", "octobre", "novembre", "décembre",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip
_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£"}
_DATE: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def choose(accept_language: str | None) -> Language:
    """Return the language that an `Accept-Language` header, or a locale such as `fr_FR.UTF-8`, asks for first."""
    best: tuple[float, Language] = (0.0, DEFAULT)
    for part in (accept_language or "").split(","):
        tag, _, quality = part.partition(";")
        name = re.split(r"[-_.]", tag.strip().lower())[0]
        try:
            weight = float(quality.partition("=")[2] or 1)
        except ValueError:
            weight = 0.0
        for language in LANGUAGES:
            if name == language and weight > best[0]:
                best = (weight, language)
    return best[1]


class Catalogue:
    """The texts of one room of the program, in both languages, from `fr.json` and `en.json` of a folder."""

    def __init__(self, folder: Path) -> None:
        self.texts: dict[str, dict[str, str]] = {}
        for language in LANGUAGES:
            path = folder / f"{language}.json"
            try:
                self.texts[language] = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError as error:
                raise ResourceMissing(name=str(path)) from error

    def phrase(self, key: str, lang: str, **values: object) -> str:
        """Return the text of a key with its `{fields}` filled. Raises KeyError for a key that nobody wrote."""
        text = self.texts[lang][key]
        return text.format(**values) if values else text


@cache
def catalogue(folder: Path) -> Catalogue:
    """Return the catalogue of a folder, read once."""
    return Catalogue(folder)


def format_number(value: Decimal | int | float | str, lang: str) -> str:
    """Return a number as it is written in the language (narrow no-break spaces and a comma in French)."""
    text = f"{Decimal(str(value)):,f}"
    if lang == "fr":
        text = text.replace(",", "\u202f").replace(".", ",")
    return text


def format_amount(value: Decimal | int | str, currency: str, lang: str) -> str:
    """Return an amount of money with its currency, as it is written in the language."""
    number, symbol = format_number(value, lang), _SYMBOLS.get(currency, currency)
    if lang == "fr":
        return f"{number}\u00a0{symbol}"
    return f"{symbol}{number}" if currency in _SYMBOLS else f"{symbol} {number}"


def format_date(value: str, lang: str) -> str:
    """Return an `xsd:date`, `xsd:gYearMonth` or `xsd:gYear` in words; another text comes back as it is."""
    match = _DATE.match(value)
    if not match:
        return value
    year, month, day = match.groups()
    if not month:
        return year
    name = _MONTHS[lang][int(month) - 1]
    if not day:
        return f"{name} {year}"
    first = "1er" if lang == "fr" and int(day) == 1 else str(int(day))
    return f"{first} {name} {year}"
