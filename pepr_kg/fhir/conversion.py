"""Files of FHIR JSON made into RDF: here, in several processes, or on the machines of a Dask cluster.

However many take part, the bytes are the same: see `conversion_blocks`. What is in memory is the blocks in flight, so
that a stream may be of any length.

>>> from io import BytesIO
>>> from pepr_kg.fhir.dialect import R4
>>> data = [b'{"resourceType": "Basic", "id": "a"}\\n{"resourceType": \\n{"resourceType": "Basic", "id": "c"}']
>>> done = convert([("a.ndjson", data)], Plan(R4, "https://example.org/", "ntriples"), BytesIO())
>>> done.resources, done.triples, [finding.message("en") for finding in done.findings]
(2, 8, ['a.ndjson, line 2, column 17: the text ends before the value is complete'])
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pepr_kg.errors import DataUnreadable
from pepr_kg.fhir.conversion_blocks import KEPT, Block, Finding, Plan, cut, finding_of, open_writer, unwritten
from pepr_kg.fhir.conversion_pool import make_executor
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.documents_scan import Form
from pepr_kg.fhir.errors import ResourceBroken
from pepr_kg.fhir.exact import Json, write_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.sources import Source
from pepr_kg.rdf import RdfFormat, format_of

__all__ = ["Conversion", "Finding", "Plan", "convert", "read_files", "restyle_files"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was done: bytes read, resources, triples, findings by severity, and the first of them in full."""

    taken: int
    resources: int
    triples: int
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Return whether something is wrong with the data."""
        return self.counts.get("error", 0) > 0


def convert(
    sources: Iterable[tuple[str, Source]],
    plan: Plan,
    output: BinaryIO,
    *,
    form: Form = "auto",
    workers: int = 1,
    scheduler: str | None = None,
    said: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Write the sources, each with its name, to `output` as RDF, in their order.

    `workers` processes of this machine take part, or the Dask cluster of a `scheduler` (tcp://HOST:PORT). `said` hears
    of bytes read and resources written. A line or a resource that cannot be read is a finding, and the others are
    written. Raises `DataUnreadable` and `DocumentError`s where the rest of a file cannot be trusted, `BaseMissing`,
    `BaseReserved`, `WorkersLost`.
    """
    head = open_writer(plan).head
    tally, faults = _Tally(), list[DocumentError]()

    def blocks() -> Iterator[Block]:
        for block in cut(sources, plan.limits, form, faults.append):
            tally.taken += len(block.data) + sum(len(piece.data) for piece in block.pieces)
            yield block

    for converted in make_executor(workers, scheduler, output).run(plan, blocks()):
        head = b""  # it stands in the first block, so that nothing is written of what turns out not to be FHIR
        if converted.text:
            output.write(converted.text)
        tally.resources += converted.resources
        tally.triples += converted.triples
        tally.add([finding_of(error) for error in faults])
        faults.clear()
        tally.add(converted.findings, converted.counts)
        if said is not None:
            said(tally.taken, tally.resources)
    output.write(head)
    tally.add([finding_of(error) for error in faults])
    return tally.done()


def restyle_files(
    files: Iterable[Path], plan: Plan, output: BinaryIO, *, said: Callable[[int, int], None] | None = None
) -> Conversion:
    """Write files of FHIR RDF, whichever their style, as the plan says. A file is held in memory.

    Raises `DataUnreadable`, `DataSyntaxError`, `BaseMissing` and `BaseReserved`.
    """
    writer = open_writer(plan)
    writer.relabel("b")
    output.write(writer.head)
    tally = _Tally()
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataUnreadable(path=path, detail=error.strerror or error) from error
        tally.taken += len(data)
        reading = read_graph(data, format_of(path), name=str(path))
        tally.add(_of_problems(str(path), reading.problems))
        for resource in reading.resources:
            try:
                written = writer.write(write_json(resource.json).encode(), full_url=resource.subject or None)
            except (ResourceBroken, BadJson) as error:
                found = unwritten(str(path), error)
                tally.add([replace(found, path=found.path or resource.subject)])
                continue
            output.write(written.text)
            tally.resources += 1
            tally.triples += written.triples
            tally.add(_of_problems(str(path), written.problems))
        if said is not None:
            said(tally.taken, tally.resources)
    return tally.done()


def read_files(
    sources: Iterable[tuple[str, bytes, RdfFormat]],
    output: BinaryIO,
    *,
    release: str | None = None,
    lines: bool = False,
) -> Conversion:
    """Write documents of FHIR RDF, each with its name and format, as JSON: one resource indented, several one a line.

    The number of triples is not counted. Raises `DataSyntaxError`.
    """
    tally = _Tally()
    held: list[Json] = []
    for name, data, kind in sources:
        reading = read_graph(data, kind, release=release, name=name)
        tally.taken += len(data)
        tally.resources += len(reading.resources)
        tally.add(_of_problems(name, reading.problems))
        for resource in reading.resources:
            held.append(resource.json)
            if lines or len(held) > 1:
                output.writelines(f"{write_json(value)}\n".encode() for value in held)
                held, lines = [], True
    output.writelines(f"{write_json(value, indent=2)}\n".encode() for value in held)
    return tally.done()


def _of_problems(source: str, problems: Iterable[Problem]) -> list[Finding]:
    nowhere = {"en": "", "fr": ""}
    return [
        Finding(source, nowhere, problem.severity, problem.code, problem.path, {"en": problem.en, "fr": problem.fr})
        for problem in problems
    ]


class _Tally:
    """What was done so far."""

    def __init__(self) -> None:
        self.taken = self.resources = self.triples = 0
        self._counts = Counter[str]()
        self._findings: list[Finding] = []

    def add(self, findings: Sequence[Finding], counts: Mapping[str, int] | None = None) -> None:
        """Add findings; `counts` where they are only the first of more."""
        self._counts.update(Counter(finding.severity for finding in findings) if counts is None else counts)
        self._findings += findings[: KEPT - len(self._findings)]

    def done(self) -> Conversion:
        """Return what was done."""
        return Conversion(self.taken, self.resources, self.triples, dict(self._counts), tuple(self._findings))
