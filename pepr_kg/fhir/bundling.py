"""Resources put together: a Bundle, lines of NDJSON, or RDF, one resource at a time.

A resource is copied into a Bundle as it stands, so what came in byte for byte leaves so.

>>> patient = Offered("Patient", "a", "1", "R4", b'{"resourceType":"Patient","id":"a"}')
>>> b"".join(collect([patient], "https://example.org/")).decode()[:70]
'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http'
>>> b"".join(write_lines([patient]))
b'{"resourceType":"Patient","id":"a"}\\n'
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Literal

from pepr_kg.fhir.datatypes import Object, write
from pepr_kg.fhir.dialect import R4, R4B, R5, R6, Dialect
from pepr_kg.fhir.offered import Offered
from pepr_kg.fhir.writing import Writer

_DIALECTS: Final[Mapping[str, Dialect]] = {"R4": R4, "R4B": R4B, "R5": R5, "R6": R6}


def collect(resources: Iterable[Offered], base: str, *, searched: str | None = None) -> Iterator[bytes]:
    """Yield a Bundle, piece by piece: the answer to a search at the address `searched`, else a collection.

    One without resources has no `entry`: FHIR has no [].
    """
    found = iter(resources)
    first = next(found, None)
    head: Object = {"resourceType": "Bundle", "type": "collection" if searched is None else "searchset"}
    if searched is not None:
        head["link"] = [{"relation": "self", "url": searched}]
    yield write(head)[:-1]
    if first is not None:
        yield b',"entry":['
        for number, offered in enumerate(chain([first], found)):
            yield (b"," if number else b"") + _entry(offered, base, b"")
        yield b"]"
    yield b"}\n"


def search_set(
    resources: Sequence[Offered],
    links: Iterable[tuple[str, str]],
    base: str,
    *,
    total: int | None,
    outcome: Object | None,
) -> bytes:
    """Return the answer of a search: matches, links to this page and the next, the total where it is known."""
    head: Object = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": name, "url": url} for name, url in links]
    entries = [_entry(offered, base, b',"search":{"mode":"match"}') for offered in resources]
    if outcome is not None:
        entries.append(b'{"resource":' + write(outcome) + b',"search":{"mode":"outcome"}}')
    if not entries:
        return write(head)
    return write(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def write_lines(resources: Iterable[Offered]) -> Iterator[bytes]:
    """Yield NDJSON: a resource a line. A resource that came in on several lines is joined: NDJSON cannot hold them."""
    for offered in resources:
        data = offered.data
        # A line end within a JSON string is always escaped: one that is there is white space.
        yield (data.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in data or b"\r" in data else data) + b"\n"


def write_rdf(
    resources: Iterable[Offered], base: str, syntax: Literal["turtle", "ntriples"] = "turtle"
) -> Iterator[bytes]:
    """Yield FHIR RDF, in the style of each resource's release. Raises what `Writer.write` raises."""
    writers: dict[str, Writer] = {}
    for offered in resources:
        writer = writers.get(offered.release)
        if writer is None:
            label = f"b{'abcd'[len(writers)]}"
            writer = writers[offered.release] = Writer(_DIALECTS[offered.release], base, syntax=syntax, label=label)
            if len(writers) == 1:
                yield writer.head
        yield writer.write(offered.data).text


def _entry(offered: Offered, base: str, rest: bytes) -> bytes:
    url = write(f"{base}{offered.reference}")
    return b'{"fullUrl":' + url + b',"resource":' + offered.data + rest + b"}"
