"""A file of FHIR JSON in blocks, and what a block is as RDF.

A block is about a megabyte of whole lines or of a Bundle's entries. Its text depends on nothing but the block: blank
nodes are named after its number, so that blocks may be written by anybody, in any order, and stand in one file.

>>> from pepr_kg.fhir.dialect import R4
>>> data = [b'{"resourceType": "Basic", "id": "a"}\\n{"resourceType": "Basic", "id": "b"}\\n']
>>> [block] = cut([("a.ndjson", data)], Limits())
>>> converted = convert_block(Plan(R4, "https://example.org/", "ntriples"), block)
>>> converted.resources, converted.triples
(2, 8)
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

import msgspec

from pepr_kg.fhir.dialect import Dialect
from pepr_kg.fhir.documents import read_entry
from pepr_kg.fhir.documents_errors import DocumentError, place
from pepr_kg.fhir.documents_scan import Form, Piece, cut_lines, raise_fault, read_lines, read_object, sniff
from pepr_kg.fhir.errors import ResourceBroken
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.problems import Problem, Severity
from pepr_kg.fhir.sources import Limits, Source
from pepr_kg.fhir.writing import BundleStream, Writer

__all__ = [
    "KEPT",
    "Block",
    "Converted",
    "Finding",
    "Plan",
    "convert_block",
    "cut",
    "gather",
    "open_writer",
    "unwritten",
]

KEPT: Final = 1000  # findings that are kept word for word; the others are counted
_BLOCK: Final = 1 << 20  # bytes of JSON
_WHOLE: Final = 4 << 20  # bytes up to which a Bundle is written at once: only then its entries know each other


class _Kind(msgspec.Struct):
    type: str = ""


_decode_kind: Final = msgspec.json.Decoder(_Kind).decode


@dataclass(frozen=True, slots=True)
class Plan:
    """How resources are written; with a `graph`, N-Triples are N-Quads."""

    dialect: Dialect
    base: str
    syntax: Literal["turtle", "ntriples"] = "turtle"
    graph: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a place of a file; `path` is the element, "" where no resource could be read."""

    source: str
    where: Mapping[str, str]
    severity: Severity
    code: str
    path: str
    text: Mapping[str, str]

    def message(self, lang: str) -> str:
        """Return file, place and sentence in a language."""
        colon = "\u202f: " if lang == "fr" else ": "
        return colon.join(part for part in (self.source + self.where[lang], self.path, self.text[lang]) if part)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of NDJSON (`data`; the first has the number `first`), or pieces. Blocks are numbered in their order.

    Parts of a Bundle that runs over several blocks come with what it says before its entries, and its node's label.
    Those of a history are written by one process, one after the other (`is_history`): a resource that comes again is
    told apart by its version, which asks for a memory of the names.
    """

    number: int
    source: str
    data: bytes = b""
    first: int = 1
    pieces: tuple[Piece, ...] = ()
    bundle: bytes = b""
    label: str = ""
    is_history: bool = False


@dataclass(frozen=True, slots=True)
class Converted:
    """What a block gives; `text` is taken away where the worker has written it down itself."""

    number: int
    text: bytes
    resources: int
    triples: int
    counts: Mapping[str, int]  # of findings, by severity
    findings: tuple[Finding, ...]


# ---- Into blocks -----------------------------------------------------------------------------------------------------


def cut(
    sources: Iterable[tuple[str, Source]],
    limits: Limits,
    form: Form = "auto",
    faults: Callable[[DocumentError], None] = raise_fault,
) -> Iterator[Block]:
    """Yield sources, each with its name, as blocks. Raises what `read_pieces` raises."""
    numbers = count()
    for name, source in sources:
        stream = sniff(source, limits, name=name, form=form)
        if stream.is_lines:
            for first, data in cut_lines(stream.chunks, limits, name, faults, first=stream.first):
                yield Block(next(numbers), name, data, first)
        else:
            pieces = read_object(stream.chunks, limits, name, faults, first=stream.first)
            yield from _cut_pieces(gather(pieces), name, numbers)


def _cut_pieces(pieces: Iterable[Piece], name: str, numbers: Iterator[int]) -> Iterator[Block]:
    held: list[Piece] = []
    size, bundle, label, is_history = 0, b"", "", False

    def block() -> Block:
        number = next(numbers)
        return Block(number, name, pieces=tuple(held), bundle=bundle, label=label, is_history=is_history)

    for piece in pieces:
        if (piece.kind == "bundle" or size >= _BLOCK) and held:
            yield block()
            held, size = [], 0
        held.append(piece)
        size += len(piece.data)
        if piece.kind == "bundle":
            number = next(numbers)
            bundle, label, is_history = piece.data, label_of(number), _is_history(piece.data)
            held, size = [], 0
            yield Block(number, name, pieces=(piece,), bundle=bundle, label=label, is_history=is_history)
        elif piece.kind == "end":
            yield block()
            held, size, bundle, label, is_history = [], 0, b"", "", False
    if held:
        yield block()


def _is_history(bundle: bytes) -> bool:
    try:
        return _decode_kind(bundle).type == "history"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False  # the writer says what is wrong


def gather(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces with those of a Bundle that is not large put together: one resource, a Bundle, as it was."""
    held: list[Piece] = []
    size, is_open = 0, False
    for piece in pieces:
        if is_open or piece.kind == "resource":
            yield piece
            is_open = is_open and piece.kind != "end"
            continue
        held.append(piece)
        size += len(piece.data)
        if size > _WHOLE:
            yield from held
            is_open = piece.kind != "end"
        elif piece.kind == "end":
            yield _join(held)
        else:
            continue
        held, size = [], 0


def _join(parts: list[Piece]) -> Piece:
    head, *entries, end = parts
    more = end.data[1:] if end.data == b"{}" else b", " + end.data[1:]
    data = head.data[:-1] + b', "entry": [' + b", ".join(part.data for part in entries) + b"]" + more
    return Piece("resource", data, head.line)


def label_of(number: int) -> str:
    """Return the start of the labels of a block's blank nodes: no other block's begins with it."""
    return f"b{number}n"


# ---- Into RDF --------------------------------------------------------------------------------------------------------


class _Desk(threading.local):
    """What a thread writes with: workers of a cluster may have several, and a writer serves one."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.writer: Writer | None = None
        self.history: BundleStream | None = None  # the one that is being written


_desk: Final = _Desk()


def open_writer(plan: Plan) -> Writer:
    """Return this thread's writer of a plan; what it remembers serves for all blocks. Raises `BaseMissing`."""
    if _desk.writer is None or _desk.plan != plan:
        _desk.writer = Writer(plan.dialect, plan.base, syntax=plan.syntax, graph=plan.graph)
        _desk.plan, _desk.history = plan, None
    return _desk.writer


def convert_block(plan: Plan, block: Block) -> Converted:
    """Return a block as RDF, the first with the prefixes, and what was noticed. Raises `BaseReserved`."""
    writer = open_writer(plan)
    writer.relabel(label_of(block.number))
    notes = _Notes(block.source)
    pieces: Iterable[Piece] = block.pieces
    if block.data:
        pieces = gather(read_lines([block.data], plan.limits, block.source, notes.add_fault, first=block.first))
    stream = _stream(writer, block)
    texts = [] if block.number else [writer.head]
    resources = triples = 0
    for piece in pieces:
        try:
            if piece.kind == "resource":
                written = writer.write(piece.data)
            elif stream is None or (piece.kind == "bundle" and not block.bundle):
                stream = writer.open_bundle(piece.data, label=label_of(block.number) + "x")
                written = stream.start
            elif piece.kind == "bundle":
                written = stream.start
            elif piece.kind == "entry":
                _check_entry(piece, block.source, notes)
                written = stream.entry(piece.data, piece.entry - 1)
            else:
                written = stream.end(piece.data, piece.entry)
        except (ResourceBroken, BadJson) as error:
            notes.add(unwritten(block.source, error, line=piece.line, entry=piece.entry))
            continue
        texts.append(written.text)
        triples += written.triples
        resources += piece.kind in {"resource", "entry"}
        for problem in written.problems:
            notes.add_problem(piece, problem)
    return Converted(block.number, b"".join(texts), resources, triples, notes.counts, tuple(notes.findings))


def _stream(writer: Writer, block: Block) -> BundleStream | None:
    """Return the Bundle that is open where a block begins, None where there is none."""
    if not block.bundle:
        return None
    if not block.is_history:
        return writer.open_bundle(block.bundle, label=block.label)
    if _desk.history is None or block.pieces[0].kind == "bundle":
        _desk.history = writer.open_bundle(block.bundle, label=block.label)
    return _desk.history


class _Notes:
    """The findings of a block: the first of them, and how many there are of each severity."""

    def __init__(self, source: str) -> None:
        self.counts = Counter[str]()
        self.findings: list[Finding] = []
        self._source = source

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it where there is room."""
        self.counts[finding.severity] += 1
        if len(self.findings) < KEPT:
            self.findings.append(finding)

    def add_fault(self, error: DocumentError) -> None:
        """Add a line or an entry that cannot be read."""
        self.add(finding_of(error))

    def add_problem(self, piece: Piece, problem: Problem) -> None:
        """Add what the writer noticed."""
        where = place(line=piece.line, entry=piece.entry)
        text = {"en": problem.en, "fr": problem.fr}
        self.add(Finding(self._source, where, problem.severity, problem.code, problem.path, text))


def unwritten(source: str, error: ResourceBroken | BadJson, *, line: int = 0, entry: int = 0) -> Finding:
    """Return as a finding why a resource, which stands at a place, cannot be written."""
    details = error.details
    path = str(details.get("path", ""))
    where = place(line=line, entry=entry)
    if "column" in details and not entry:
        where = place(line=line or int(str(details["line"])), column=int(str(details["column"])))
    text = {lang: error.message(lang).rstrip(".") for lang in ("en", "fr")}
    detail = details.get("detail")
    if isinstance(detail, Mapping):
        text = {lang: str(detail[lang]) for lang in text}
    return Finding(source, where, "error", error.code, "" if path == "/" else path, text)


def finding_of(error: DocumentError) -> Finding:
    """Return a fault of a file as a finding."""
    details = error.details
    where, text = details["where"], details["detail"]
    if not isinstance(where, Mapping) or not isinstance(text, Mapping):
        raise TypeError(details)
    return Finding(str(details["source"]), where, "error", error.code, "", text)


def _check_entry(piece: Piece, source: str, notes: _Notes) -> None:
    """Note an entry that lacks its resource. It is written all the same, as everything that can be is."""
    if b'"resource"' in piece.data:
        return
    try:
        read_entry(piece, source, None)
    except DocumentError as error:
        notes.add_fault(error)
