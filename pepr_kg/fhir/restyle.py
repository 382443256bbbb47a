"""FHIR RDF in other clothes: the style of R4, R4B, R5 or R6 rewritten in another; the data stay the same.

A resource is read and written again, under the subject that it had. The elements stay those of its release: an element
that the other release does not know is kept as JSON beside the others (`pepr:unrecognised`) and reported, because to
convert the content of one release to another is not a matter of clothes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pepr_kg.fhir.dialect import Dialect
from pepr_kg.fhir.exact import write_json
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.reading import Resource, read_graph
from pepr_kg.fhir.writing import Syntax, Writer
from pepr_kg.rdf import Quad, RdfFormat

__all__ = ["Restyled", "restyle", "write_resources"]


@dataclass(frozen=True, slots=True)
class Restyled:
    """A document in other clothes: its text, the number of its triples, and what was wrong with the one before."""

    text: bytes
    triples: int
    problems: tuple[Problem, ...]


def restyle(
    source: bytes | Iterable[Quad],
    kind: RdfFormat | None,
    dialect: Dialect,
    base: str,
    *,
    syntax: Syntax = "turtle",
    release: str | None = None,
    name: str = "",
) -> Restyled:
    """Return an RDF document, or quads, with its FHIR resources written in a dialect.

    `base` names the resources without a subject of their own. Raises what `read_graph` and `Writer` raise.

    >>> from pepr_kg.fhir.dialect import R6
    >>> turtle = b'''@prefix fhir: <http://hl7.org/fhir/> .
    ... <urn:uuid:1> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ;
    ...   fhir:Patient.deceasedBoolean [ fhir:value true ] .'''
    >>> done = restyle(turtle, RdfFormat.TURTLE, R6, "https://example.org/fhir/")
    >>> b"fhir:deceased [" in done.text, b"a fhir:Boolean" in done.text, done.triples
    (True, True, 5)
    """
    reading = read_graph(source, kind, release=release, name=name)
    writer = Writer(dialect, base, syntax=syntax)
    pieces = [writer.head]
    triples, problems = 0, list(reading.problems)
    for written_text, count, found in write_resources(reading.resources, writer):
        pieces.append(written_text)
        triples += count
        problems += found
    return Restyled(b"".join(pieces), triples, tuple(problems))


def write_resources(resources: Iterable[Resource], writer: Writer) -> Iterator[tuple[bytes, int, tuple[Problem, ...]]]:
    """Yield text, number of triples and problems of each resource that was read, written under the subject it had."""
    for resource in resources:
        written = writer.write(write_json(resource.json).encode(), full_url=resource.subject or None)
        yield written.text, written.triples, written.problems
