"""Where FHIR JSON comes from, as chunks of bytes: a file, a stream, the body of a request; compressed or not.

Nothing is held but the chunk in hand. What compression promises is not believed: what comes out of it is counted, and
refused beyond a ratio and a total.

>>> import gzip
>>> b"".join(read_chunks([gzip.compress(b'{"resourceType": "Patient"}')], name="a.json.gz"))
b'{"resourceType": "Patient"}'
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, cast

from pepr_kg.errors import DataUnreadable
from pepr_kg.fhir.documents_errors import DocumentBroken, DocumentForeign, DocumentTooLarge
from pepr_kg.settings import Settings

__all__ = ["CHUNK", "Limits", "Source", "read_chunks", "refuse_foreign"]

Source = Path | BinaryIO | Iterable[bytes]

CHUNK: Final = 1 << 20  # bytes read at once
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_FIRST_OUTPUT: Final = 10_000_000  # bytes; the ratio of a smaller output tells nothing

_EMPTY: Final = {
    "en": "there is nothing in it. Check that the export was complete",
    "fr": "il n’y a rien dedans. Vérifiez que l’export est complet",
}
_XML: Final = {
    "en": "this is XML. Ask the server for application/fhir+json, or convert it, and give the JSON",
    "fr": "c’est du XML. Demandez application/fhir+json au serveur, ou convertissez le fichier, et donnez le JSON",
}
_HTML: Final = {
    "en": "this is an HTML page, perhaps the answer of a server that wanted a login. Fetch the JSON itself",
    "fr": "c’est une page HTML, peut-être la réponse d’un serveur qui demandait une authentification. Récupérez le "
          "JSON lui-même",
}  # fmt: skip
_TURTLE: Final = {
    "en": "this is RDF. Read it with: pepr-kg fhir json",
    "fr": "c’est du RDF. Lisez-le avec : pepr-kg fhir json",
}
_ARRAY: Final = {
    "en": "this is a JSON array. FHIR puts several resources into a Bundle, or each on a line of its own (NDJSON)",
    "fr": "c’est un tableau JSON. FHIR réunit plusieurs ressources dans un Bundle, ou en met une par ligne (NDJSON)",
}
_ARCHIVE: Final = {
    "en": "this is an archive or a compressed file of another kind than gzip. Unpack it first",
    "fr": "c’est une archive, ou un fichier compressé autrement que par gzip. Décompressez-la d’abord",
}
_PDF: Final = {"en": "this is a PDF. Give FHIR JSON", "fr": "c’est un PDF. Donnez du FHIR JSON"}
_UTF16: Final = {
    "en": "this is UTF-16 or UTF-32. JSON is exchanged as UTF-8 (RFC 8259): save it so",
    "fr": "c’est de l’UTF-16 ou de l’UTF-32. Le JSON s’échange en UTF-8 (RFC 8259) : enregistrez-le ainsi",
}
_NO_OBJECT: Final = {
    "en": "this is not JSON: a resource begins with an opening brace",
    "fr": "ce n’est pas du JSON : une ressource commence par une accolade ouvrante",
}
# Of other formats; letters in lower case.
_STARTS: Final = (
    (b"\xff\xfe", _UTF16), (b"\xfe\xff", _UTF16), (b"\0", _UTF16), (b"pk\x03\x04", _ARCHIVE), (b"bzh", _ARCHIVE),
    (b"\xfd7zxz", _ARCHIVE), (b"\x28\xb5\x2f\xfd", _ARCHIVE), (b"7z\xbc\xaf", _ARCHIVE), (b"%pdf", _PDF),
    (b"<!doctype html", _HTML), (b"<html", _HTML), (b"@prefix", _TURTLE), (b"@base", _TURTLE), (b"prefix ", _TURTLE),
    (b"<http", _TURTLE), (b"<urn", _TURTLE), (b"<", _XML), (b"[", _ARRAY),
)  # fmt: skip
_UNPACK: Final = {
    "en": "Decompress the file yourself if you trust it",
    "fr": "Décompressez vous-même le fichier s’il est digne de confiance",
}
_CUT: Final = {
    "en": "the compressed data end too early. Fetch the file again",
    "fr": "les données compressées s’arrêtent trop tôt. Récupérez le fichier de nouveau",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in: bytes of a resource, bytes of a line, levels of nesting, and what gzip may give."""

    resource_bytes: int = Settings().fhir_resource_bytes
    line_bytes: int = Settings().fhir_line_bytes
    depth: int = Settings().fhir_depth
    gzip_ratio: int = Settings().fhir_gzip_ratio
    gzip_bytes: int = Settings().fhir_gzip_bytes

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the limits that the settings hold."""
        return cls(
            settings.fhir_resource_bytes, settings.fhir_line_bytes, settings.fhir_depth, settings.fhir_gzip_ratio,
            settings.fhir_gzip_bytes,
        )  # fmt: skip


def read_chunks(source: Source, limits: Limits | None = None, *, name: str = "") -> Iterator[bytes]:
    """Yield the bytes of a source in chunks, none empty, decompressed and without a byte order mark.

    Raises `DataUnreadable`, `DocumentBroken` for compressed data that are cut or damaged, and `DocumentTooLarge` where
    they expand beyond the limits.
    """
    limits = limits or Limits()
    chunks = _raw(source, name)
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= len(_BOM):
            break
    if first.startswith(_GZIP):
        chunks = _inflate(chain([first], chunks), limits, name)
        first = next(chunks, b"")
        while len(first) < len(_BOM) and (more := next(chunks, b"")):
            first += more
    first = first.removeprefix(_BOM)
    if first:
        yield first
    yield from chunks


def refuse_foreign(start: bytes, name: str) -> None:
    """Raise `DocumentForeign` where the first bytes that are no white space do not begin a JSON object."""
    text = start.lstrip(b" \t\r\n")[:64].lower()
    if text.startswith(b"{") and b"\0" not in text[:4]:
        return
    detail = next((words for mark, words in _STARTS if text.startswith(mark)), _NO_OBJECT) if text else _EMPTY
    if b"\0" in text[:4]:
        detail = _UTF16
    if detail is _XML and b"<html" in start[:4096].lower():
        detail = _HTML
    raise DocumentForeign(source=name, where="", detail=detail)


def _raw(source: Source, name: str) -> Iterator[bytes]:
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                yield from _read(file)
        except OSError as error:
            raise DataUnreadable(path=name or source, detail=error.strerror or error) from error
    elif hasattr(source, "read"):
        yield from _read(cast(BinaryIO, source))
    else:
        yield from (bytes(chunk) for chunk in source if chunk)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _inflate(chunks: Iterator[bytes], limits: Limits, name: str) -> Iterator[bytes]:
    """Yield what gzip data hold, of all members (`cat a.gz b.gz`), a chunk at a time."""
    taken, given, inside = 0, 0, False
    machine = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            taken += len(chunk)
            rest = chunk
            while rest:
                inside = True
                piece = machine.decompress(rest, CHUNK)
                given += len(piece)
                _bound(taken, given, limits, name)
                if piece:
                    yield piece
                rest = machine.unconsumed_tail
                if machine.eof:
                    # Zeros behind the last member are padding (gzip's manual, "tape").
                    rest, inside = machine.unused_data.lstrip(b"\0"), False
                    machine = zlib.decompressobj(wbits=31)
        if inside:
            raise DocumentBroken(source=name, where="", detail=_CUT)
    except zlib.error as error:
        raise DocumentBroken(source=name, where="", detail={
            "en": "the compressed data are damaged. Fetch the file again",
            "fr": "les données compressées sont abîmées. Récupérez le fichier de nouveau",
        }) from error  # fmt: skip


def _bound(taken: int, given: int, limits: Limits, name: str) -> None:
    total, ratio = limits.gzip_bytes, limits.gzip_ratio
    if given > total:
        detail = {
            "en": f"the compressed data hold more than {total} bytes (setting fhir_gzip_bytes). {_UNPACK['en']}",
            "fr": f"les données compressées dépassent {total} octets (réglage fhir_gzip_bytes). {_UNPACK['fr']}",
        }
    elif given > _FIRST_OUTPUT and given > taken * ratio:
        detail = {
            "en": f"the compressed data expand to more than {ratio} times their size, as no medical record "
                  f"does (setting fhir_gzip_ratio). {_UNPACK['en']}",
            "fr": f"les données compressées donnent plus de {ratio} fois leur taille, ce que ne fait aucun dossier "
                  f"médical (réglage fhir_gzip_ratio). {_UNPACK['fr']}",
        }  # fmt: skip
    else:
        return
    raise DocumentTooLarge(source=name, where="", detail=detail)
