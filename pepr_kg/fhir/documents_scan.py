"""The pieces of a stream of FHIR JSON as their bytes stand: resources, and a Bundle's head, entries and end.

A Bundle of gigabytes and a line of NDJSON are read alike: what is in memory is a chunk and the piece in hand. Where a
value ends is asked of msgspec's parser, which reads one value and says at which byte it found more: 400 MB/s on the
Synthea bundles on one core, where a regular expression over brackets and strings gives 50.

>>> bundle = b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}], "total": 1}'
>>> for piece in read_pieces([bundle]):
...     piece.kind, piece.data
('bundle', b'{"resourceType": "Bundle"}')
('entry', b'{"resource": {"resourceType": "Patient"}}')
('end', b'{"total": 1}')
"""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import msgspec

from pepr_kg.fhir.documents_check import check_value, explain, too_large, too_long, twice
from pepr_kg.fhir.documents_errors import DocumentBroken, DocumentError, DocumentTooLarge, place
from pepr_kg.fhir.sources import CHUNK, Limits, Source, read_chunks, refuse_foreign

__all__ = [
    "Faults", "Form", "Piece", "Stream", "cut_lines", "form_of", "name_of", "raise_fault", "read_head", "read_lines",
    "read_object", "read_pieces", "sniff",
]  # fmt: skip

Form = Literal["auto", "json", "ndjson"]
Faults = Callable[[DocumentError], None]

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_TRAILING: Final = "trailing characters (byte "
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_LOOKED_AT: Final = 1 << 16  # bytes, to tell lines from one object
_TOKEN: Final = 64  # bytes before the end of what was read in which a number or an escape may be cut

_CUT: Final = {
    "en": "the data end before the resource is complete. Fetch the file again",
    "fr": "les données s’arrêtent avant la fin de la ressource. Récupérez le fichier de nouveau",
}
_NO_OBJECT: Final = {
    "en": "a resource is expected here, which is a JSON object",
    "fr": "une ressource est attendue ici, c’est-à-dire un objet JSON",
}
_NO_TYPE: Final = {
    "en": 'it has no "resourceType" that is text; every FHIR resource has one',
    "fr": "il lui manque « resourceType », un texte que porte toute ressource FHIR",
}
_NO_LIST: Final = {
    "en": 'the "entry" of a Bundle is a list',
    "fr": "« entry », dans un Bundle, est une liste",
}
_TYPE, _ENTRY, _BUNDLE = b'"resourceType"', b'"entry"', b'"Bundle"'
_MORE: Final = {
    "en": "something follows the end of the resource. Put several into a Bundle, or each on a line of its own",
    "fr": "quelque chose suit la fin de la ressource. Mettez plusieurs ressources dans un Bundle, ou une par ligne",
}


class Head(msgspec.Struct):
    """What a resource says of itself first."""

    resourceType: str = ""  # noqa: N815  FHIR's name
    id: object = ""


read_head: Final = msgspec.json.Decoder(Head).decode
_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode


@dataclass(frozen=True, slots=True)
class Piece:
    """A resource, or a part of a Bundle: "bundle" is what it says before its entries, as a JSON object without `entry`;
    then each "entry"; "end" is what it says after them, often `{}`, and its `entry` how many there were. `line` and
    `entry` count from 1; 0 where they do not apply.
    """

    kind: Literal["resource", "bundle", "entry", "end"]
    data: bytes
    line: int = 0
    entry: int = 0
    head: Head | None = None  # where it was looked at already


def form_of(path: Path | str) -> Form:
    """Return what the name of a file says: "ndjson" for .ndjson and .jsonl, "auto" for others; a last .gz is skipped.

    >>> form_of("Patient.ndjson.gz"), form_of("bundle.json")
    ('ndjson', 'auto')
    """
    name = str(path).lower().removesuffix(".gz")
    return "ndjson" if name.endswith((".ndjson", ".jsonl")) else "auto"


def raise_fault(error: DocumentError) -> None:
    """Raise a fault: what is done with it where nobody takes it."""
    raise error


def read_pieces(
    source: Source, limits: Limits | None = None, *, name: str = "", form: Form = "auto", faults: Faults = raise_fault
) -> Iterator[Piece]:
    """Yield the pieces of a source in their order. A line that is no resource goes to `faults`, and the next is read.

    Raises `DataUnreadable` and `DocumentError`s: what stands after anything else that is broken cannot be trusted.
    """
    limits = limits or Limits()
    name = name or name_of(source)
    stream = sniff(source, limits, name=name, form=form)
    read = read_lines if stream.is_lines else read_object
    yield from read(stream.chunks, limits, name, faults, first=stream.first)


def name_of(source: Source) -> str:
    """Return what a source is called in a sentence: a file by its path."""
    return str(source) if isinstance(source, Path) else "FHIR"


@dataclass(frozen=True, slots=True)
class Stream:
    """The bytes of a source from the first that is no white space on, the number of its line; whether it is NDJSON."""

    is_lines: bool
    chunks: Iterator[bytes]
    first: int


def sniff(source: Source, limits: Limits, *, name: str, form: Form = "auto") -> Stream:
    """Return the bytes of a source and what they are. Raises `DocumentForeign` where it is not FHIR JSON at all."""
    chunks = read_chunks(source, limits, name=name)
    start, first = b"", 1
    for chunk in chunks:
        start += chunk
        blank = len(start) - len(start.lstrip())
        first += start.count(b"\n", 0, blank)
        start = start[blank:]
        if len(start) >= _LOOKED_AT:
            break
    refuse_foreign(start, name)
    if form == "auto":
        form = form_of(name)
    return Stream(form == "ndjson" or (form == "auto" and _has_lines(start)), chain([start], chunks), first)


def read_object(
    chunks: Iterable[bytes], limits: Limits, name: str, faults: Faults = raise_fault, *, first: int = 1
) -> Iterator[Piece]:
    """Yield the pieces of the object that begins here; lines after one that stands on one line are NDJSON."""
    scanner = _Scanner(chunks, limits, name, first=first)
    yield from _scan_value(scanner)
    if scanner.peek() < 0:
        return
    if scanner.ended_on != first or scanner.line() == first:
        raise scanner.broken(_MORE)
    yield from read_lines(scanner.rest(), limits, name, faults, first=scanner.line())


def read_lines(
    chunks: Iterable[bytes], limits: Limits, name: str, faults: Faults = raise_fault, *, first: int = 1
) -> Iterator[Piece]:
    """Yield the pieces of NDJSON, `first` being the number of the first line."""
    for line, data in _each_line(chunks, limits, name, faults, first):
        try:
            head = _check_line(data, line, limits, name)
            if head.resourceType != "Bundle":
                yield Piece("resource", data, line, head=head)
                continue
            scanner = _Scanner([data], limits, name, line)
            yield from _scan_value(scanner)
        except DocumentError as error:
            faults(error)


# ---- Lines -----------------------------------------------------------------------------------------------------------


def _has_lines(start: bytes) -> bool:
    """Return whether the first or the second line is an object of its own, and a second line there is."""
    lines = start.lstrip().split(b"\n", 2)
    return len(lines) > 1 and bool(lines[1].strip()) and any(_is_object(line) for line in lines[:2])


def _is_object(line: bytes) -> bool:
    try:
        read_head(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def cut_lines(
    chunks: Iterable[bytes], limits: Limits, name: str, faults: Faults = raise_fault, *, first: int = 1
) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, each with the number of its first; a line that is too long goes to `faults`."""
    held: list[bytes] = []  # of a line whose end has not come
    length, number = 0, first
    for chunk in chain(chunks, [b"\n"]):
        start, cut = 0, chunk.rfind(b"\n") + 1
        if not cut:
            length += len(chunk)
            if length > limits.line_bytes:
                held.clear()
            else:
                held.append(chunk)
            continue
        end = chunk.find(b"\n") + 1
        if length + end - 1 > limits.line_bytes:
            faults(DocumentTooLarge(source=name, where=place(line=number), detail=too_long(limits)))
            start, held, number = end, [], number + 1
        held.append(chunk[start:cut])
        block = b"".join(held)
        if block and not block.isspace():
            yield number, block
        number += block.count(b"\n")
        held, length = [chunk[cut:]], len(chunk) - cut


def _each_line(
    chunks: Iterable[bytes], limits: Limits, name: str, faults: Faults, first: int
) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each line that is not blank."""
    for start, block in cut_lines(chunks, limits, name, faults, first=first):
        for number, data in enumerate(block.split(b"\n"), start):
            if len(data) > limits.line_bytes:
                faults(DocumentTooLarge(source=name, where=place(line=number), detail=too_long(limits)))
            elif data and not data.isspace():
                yield number, data


def _check_line(data: bytes, line: int, limits: Limits, name: str) -> Head:
    """Return the head of the resource on a line. Raises `DocumentError`s."""
    where = place(line=line)
    try:
        head = read_head(data)
    except msgspec.ValidationError as error:
        detail = _NO_TYPE if "$." in str(error) else _NO_OBJECT
        raise DocumentBroken(source=name, where=where, detail=detail) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise explain(data, limits, name, line=line) from error
    if len(data) > limits.resource_bytes and head.resourceType != "Bundle":
        raise DocumentTooLarge(source=name, where=where, detail=too_large(limits))
    if not head.resourceType:
        raise DocumentBroken(source=name, where=where, detail=_NO_TYPE)
    check_value(data, limits, name, line=line)
    return head


# ---- Objects that may be larger than the memory ----------------------------------------------------------------------


class _Scanner:
    """A window on a stream of JSON, which moves from value to value."""

    def __init__(self, chunks: Iterable[bytes], limits: Limits, name: str, line: int = 0, first: int = 1) -> None:
        self.name = name
        self.fixed = line  # the line of NDJSON that all of it stands on
        self.ended_on = 0
        self.limits = limits
        self._chunks = iter(chunks)
        self._window = b""
        self._at = 0
        self._keep = -1  # where in the window something begins that is wanted whole
        self._lines, self._column = first, 1  # of the first byte of the window

    def line(self) -> int:
        """Return the number of the line that the scanner is on."""
        return self.fixed or self._lines + self._window.count(b"\n", 0, self._at)

    def column(self) -> int:
        """Return the column, in bytes from 1."""
        newline = self._window.rfind(b"\n", 0, self._at)
        return self._at - newline if newline >= 0 else self._column + self._at

    def broken(self, detail: dict[str, str]) -> DocumentBroken:
        """Return the error that something is wrong here."""
        return DocumentBroken(
            source=self.name, where=place(line=self.line(), column=self.column()), detail=dict(detail)
        )

    def peek(self) -> int:
        """Return the next byte that is no white space, without taking it; -1 at the end."""
        while True:
            self._at = _SPACE.match(self._window, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._fill():
                return -1

    def take(self, *wanted: bytes) -> bytes:
        """Take the next byte, which must be one of those wanted."""
        found = self.peek()
        if found < 0:
            raise self.broken(_CUT)
        if bytes((found,)) not in wanted:
            shown = chr(found) if 0x20 < found < 0x7F else hex(found)
            raise self.broken({
                "en": f"{' or '.join(item.decode() for item in wanted)} is expected here, not {shown}",
                "fr": f"{' ou '.join(item.decode() for item in wanted)} est attendu ici, et non {shown}"})  # fmt: skip
        self._at += 1
        return bytes((found,))

    def keep(self) -> None:
        """Keep what comes from here on, until `kept` or `drop`."""
        self.peek()
        self._keep = self._at

    def kept(self) -> bytes:
        """Return what was kept up to here."""
        found = self._window[self._keep : self._at]
        self._keep = -1
        return found

    def drop(self) -> None:
        """Keep nothing any more."""
        self._keep = -1

    def value(self) -> bytes:
        """Return the bytes of the next value and go behind it."""
        if self.peek() < 0:
            raise self.broken(_CUT)
        while True:
            view = memoryview(self._window)[self._at :]
            try:
                _skim(view)
            except msgspec.DecodeError as error:
                text = str(error)
                position = text.find(_TRAILING)
                if position >= 0:
                    # The parser has taken the byte that it complains of, and the white space before it.
                    end = self._at + int(text[position + len(_TRAILING) : -1]) - 1
                    found = self._window[self._at : end].rstrip()
                    self._at = end
                    return found
                number = _BYTE.search(text)
                if number and int(number[1]) < len(view) - _TOKEN:
                    raise self._explain() from error
                if not self._fill():
                    # A lone half of a surrogate pair is "truncated" to the parser, as is the true end.
                    is_cut = "truncated" in text and b"\\u" not in self._window[-_TOKEN:]
                    raise self.broken(_CUT) if is_cut else self._explain() from error
            except RecursionError as error:
                raise self._explain() from error
            else:
                if not self._fill():
                    raise self.broken(_CUT)

    def rest(self) -> Iterator[bytes]:
        """Yield what was not looked at."""
        yield self._window[self._at :]
        yield from self._chunks

    def _fill(self) -> bool:
        """Read on: at least as much again as is kept, so that a large value is not tried too often."""
        start = self._at if self._keep < 0 else self._keep
        held = len(self._window) - start
        if held > self.limits.resource_bytes:
            raise DocumentTooLarge(source=self.name, where=place(line=self.line()), detail=too_large(self.limits))
        parts, added = [self._window[start:]], 0
        while added < max(CHUNK, held):
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            added += len(chunk)
        newline = self._window.rfind(b"\n", 0, start)
        self._column = start - newline if newline >= 0 else self._column + start
        self._lines += self._window.count(b"\n", 0, start)
        self._window = b"".join(parts)
        self._at -= start
        self._keep = 0 if self._keep >= 0 else -1
        return added > 0

    def _explain(self) -> DocumentError:
        found = explain(self._window[self._at :], self.limits, self.name, line=self.line(), column=self.column())
        if self.fixed:
            found.details["where"] = place(line=self.fixed)
        return found


def _scan_value(scanner: _Scanner) -> Iterator[Piece]:
    """Yield the one resource that begins here, or the pieces of the Bundle that does."""
    line = scanner.fixed
    scanner.keep()
    begun = scanner.line()
    scanner.take(b"{")
    known: set[bytes] = set()
    members: dict[bytes, bytes] = {}
    is_streamed, count = False, 0
    mark = scanner.take(b"}") if scanner.peek() == ord("}") else b","
    while mark == b",":
        key = _key(scanner)
        if key in known:
            raise scanner.broken(twice(key))
        known.add(key)
        scanner.take(b":")
        if key == _ENTRY and members.get(_TYPE) == _BUNDLE and scanner.peek() == ord("["):
            is_streamed = True
            yield Piece("bundle", _object(members), line)
            scanner.drop()
            members = {}
            count = yield from _scan_entries(scanner)
        else:
            members[key] = scanner.value()
        mark = scanner.take(b",", b"}")
    if is_streamed:
        yield Piece("end", _object(members), line, count)
    else:
        yield from _unstreamed(scanner, scanner.kept(), members, begun)
    scanner.ended_on = scanner.line()


def _unstreamed(scanner: _Scanner, data: bytes, members: dict[bytes, bytes], begun: int) -> Iterator[Piece]:
    """Yield a resource that stood in memory; a Bundle whose entries came before its type is gone through anew."""
    limits, name, line = scanner.limits, scanner.name, scanner.fixed
    entries = members.get(_ENTRY, b"[]")
    if members.get(_TYPE) == _BUNDLE and _ENTRY in members:
        if not entries.startswith(b"["):
            raise DocumentBroken(source=name, where=place(line=begun), detail=_NO_LIST)
        ordered = {key: value for key, value in members.items() if key != _ENTRY} | {_ENTRY: entries}
        yield from _scan_value(_Scanner([_object(ordered)], limits, name, line))
        return
    if not members.get(_TYPE, b"").startswith(b'"') or members[_TYPE] == b'""':
        raise DocumentBroken(source=name, where=place(line=begun), detail=_NO_TYPE)
    if len(data) > limits.resource_bytes:
        raise DocumentTooLarge(source=name, where=place(line=begun), detail=too_large(limits))
    check_value(data, limits, name, line=begun)
    yield Piece("resource", data, line)


def _scan_entries(scanner: _Scanner) -> Generator[Piece, None, int]:
    """Yield the entries; return how many there are."""
    scanner.take(b"[")
    number = 0
    mark = scanner.take(b"]") if scanner.peek() == ord("]") else b","
    while mark == b",":
        number += 1
        data = scanner.value()
        if len(data) > scanner.limits.resource_bytes:
            where = place(line=scanner.line(), entry=number)
            raise DocumentTooLarge(source=scanner.name, where=where, detail=too_large(scanner.limits))
        check_value(data, scanner.limits, scanner.name, line=scanner.fixed, entry=number)
        yield Piece("entry", data, scanner.fixed, number)
        mark = scanner.take(b",", b"]")
    return number


def _key(scanner: _Scanner) -> bytes:
    """Return the next key, in quotes and without escapes that it does not need."""
    if scanner.peek() != ord('"'):
        scanner.take(b'"')
    key = scanner.value()
    return json.dumps(json.loads(key)).encode() if b"\\" in key else key


def _object(members: dict[bytes, bytes]) -> bytes:
    return b"{" + b", ".join(key + b": " + value for key, value in members.items()) + b"}"
