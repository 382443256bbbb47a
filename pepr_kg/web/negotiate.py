"""Which format to answer in: `Accept` with its q-values, or the suffix of the address.

The rules are those of RFC 9110, section 12.5.1: of the ranges that fit a media type the
most specific one gives its weight, `q=0` refuses, no header means anything. Between equal
weights a type that the caller named wins over one that a wildcard lets through, then our
own order decides. A header longer than any browser or library sends counts as not sent.

>>> best("text/turtle;q=0.5, application/rdf+xml", TRIPLES).media_type
'application/rdf+xml'
>>> best("*/*", SOLUTIONS).media_type
'application/sparql-results+json'
>>> best("image/png", SOLUTIONS) is None
True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Offer:
    """A format that can be sent: its suffix, its media type, and other names that callers use for it."""

    suffix: str
    media_type: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The format agreed on; `media_type` is the name that the caller used for it."""

    offer: Offer
    media_type: str


@dataclass(frozen=True, slots=True)
class Range:
    """One part of an `Accept` header."""

    kind: str
    subtype: str
    parameters: tuple[tuple[str, str], ...]
    quality: float


HTML: Final = Offer("html", "text/html", ("application/xhtml+xml",))
JSON: Final = Offer("json", "application/json")
MARKDOWN: Final = Offer("md", "text/markdown")
PROBLEM: Final = Offer("json", "application/problem+json", ("application/json",))

SOLUTIONS: Final = (
    Offer("json", "application/sparql-results+json", ("application/json",)),
    Offer("xml", "application/sparql-results+xml", ("application/xml", "text/xml")),
    Offer("csv", "text/csv"),
    Offer("tsv", "text/tab-separated-values"),
)
# The W3C defines no CSV or TSV for the answer of an ASK.
BOOLEAN: Final = SOLUTIONS[:2]
TRIPLES: Final = (
    Offer("ttl", "text/turtle"),
    Offer("nt", "application/n-triples"),
    Offer("jsonld", "application/ld+json", ("application/json",)),
    Offer("rdf", "application/rdf+xml", ("application/xml", "text/xml")),
)
QUADS: Final = (Offer("trig", "application/trig"), Offer("nq", "application/n-quads"))

_LONGEST: Final = 4_096  # characters of a header that is read; its parts are remembered by its text

# Parameters that say nothing which would make our answer a wrong one: we write UTF-8, and a
# JSON-LD profile is a wish that its specification lets a server ignore.
_HARMLESS: Final = frozenset({("charset", "utf-8"), ("charset", "utf8")})


def best(accept: str | None, offers: Sequence[Offer]) -> Choice | None:
    """Return the offer that suits the header best, or None if it refuses them all."""
    if accept is None or not accept.strip() or len(accept) > _LONGEST:
        return Choice(offers[0], offers[0].media_type)
    ranges = _parse(accept)
    top: tuple[float, int, bool, int] | None = None
    chosen: Choice | None = None
    for place, offer in enumerate(offers):
        for name in (offer.media_type, *offer.aliases):
            is_alias = name != offer.media_type
            quality, specificity = _weigh(name, ranges)
            # A wildcard asks for no particular name, so it gets the proper one.
            if quality <= 0 or (is_alias and specificity < 2):
                continue
            rank = (quality, specificity, not is_alias, -place)
            if top is None or rank > top:
                top, chosen = rank, Choice(offer, name)
    return chosen


def by_suffix(suffix: str, offers: Sequence[Offer]) -> Choice | None:
    """Return the offer with this suffix.

    >>> by_suffix("nt", TRIPLES).media_type
    'application/n-triples'
    """
    return next((Choice(offer, offer.media_type) for offer in offers if offer.suffix == suffix), None)


def split_suffix(path: str, offers: Sequence[Offer]) -> tuple[str, str | None]:
    """Return a path without its suffix, and the suffix if it names one of the offers.

    >>> split_suffix("project/smatch.ttl", TRIPLES)
    ('project/smatch', 'ttl')
    >>> split_suffix("ontology/0.1.0", TRIPLES)
    ('ontology/0.1.0', None)
    """
    stem, dot, suffix = path.rpartition(".")
    if dot and stem and any(offer.suffix == suffix for offer in offers):
        return stem, suffix
    return path, None


def listed(offers: Sequence[Offer]) -> str:
    """Return the media types of the offers, for the sentence of a 406."""
    return ", ".join(offer.media_type for offer in offers)


@lru_cache(maxsize=256)
def _parse(accept: str) -> tuple[Range, ...]:
    """Return the ranges of a header; a part that is not well formed counts as not sent."""
    ranges = []
    for part in _split(accept, ","):
        name, *rest = _split(part, ";")
        kind, slash, subtype = name.lower().partition("/")
        if not (kind and slash and subtype) or (kind == "*" and subtype != "*"):
            continue
        quality: float | None = 1.0
        parameters = []
        for parameter in rest:
            key, _, value = (text.strip().lower() for text in parameter.partition("="))
            if key == "q":
                quality = _quality(value)
                break  # what follows the weight are extensions of the header, not of the type
            if key:
                parameters.append((key, value.strip('"')))
        if quality is not None:
            ranges.append(Range(kind, subtype, tuple(parameters), quality))
    return tuple(ranges)


def _split(text: str, separator: str) -> list[str]:
    """Return the parts of a header between separators that stand outside of quotes."""
    parts, start, quoted = [], 0, False
    for place, character in enumerate(text):
        if character == '"' and (place == 0 or text[place - 1] != "\\"):
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def _quality(value: str) -> float | None:
    try:
        quality = float(value)
    except ValueError:
        return None
    return quality if 0 <= quality <= 1 else None


def _weigh(media_type: str, ranges: tuple[Range, ...]) -> tuple[float, int]:
    """Return the weight that the header gives to a media type, and how specific the range is that gives it."""
    kind, _, subtype = media_type.partition("/")
    found = (0.0, -1)
    for range_ in ranges:
        if range_.kind == "*":
            specificity = 0
        elif range_.kind == kind and range_.subtype == "*":
            specificity = 1
        elif (range_.kind, range_.subtype) == (kind, subtype):
            parameters = {item for item in range_.parameters if item not in _HARMLESS and item[0] != "profile"}
            if parameters:
                continue
            specificity = 2
        else:
            continue
        if specificity > found[1] or (specificity == found[1] and range_.quality > found[0]):
            found = (range_.quality, specificity)
    return found
