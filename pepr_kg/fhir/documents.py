"""One resource after another out of a file or a stream: a resource, a Bundle of any kind, NDJSON; also compressed.

>>> lines = [b'{"resourceType": "Patient", "id": "a"}\\n{"resourceType": "Patient", "id": "b"}']
>>> [(document.type, document.id, document.line) for document in open_documents(lines)]
[('Patient', 'a', 1), ('Patient', 'b', 2)]
>>> bundle = [b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","url":"Patient/a"}}]}']
>>> [(document.id, document.request, document.data) for document in open_documents(bundle)]
[('a', Request(method='DELETE', url='Patient/a'), b'')]
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pepr_kg.fhir.documents_errors import DocumentBroken, DocumentError, located, place
from pepr_kg.fhir.documents_scan import Faults, Form, Piece, form_of, name_of, raise_fault, read_head, read_pieces
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.sources import Limits, Source

__all__ = [
    "Bundle", "Document", "DocumentError", "Faults", "Form", "Limits", "Request", "Source", "form_of", "located",
    "open_documents", "read_entry",
]  # fmt: skip

_WRITES: Final = frozenset({"POST", "PUT", "PATCH"})
_KEYS: Final = (b'"resource"', b'"fullUrl"', b'"request"', b'"response"')
_NOTHING: Final = msgspec.Raw(b"")
_SAMPLE: Final = 64  # bytes; to look for a long text from its start on takes the time to prepare for its whole length
_ADDRESS_PARTS: Final = 2  # Type/id

_MISFIT: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `([^`]+)`)?")
_KINDS: Final = {
    "object": ("an object", "un objet"), "array": ("a list", "un tableau"), "str": ("a text", "un texte"),
    "int": ("a number", "un nombre"), "float": ("a number", "un nombre"), "bool": ("true or false", "un booléen"),
    "null": ("null", "null"), "any": ("another value", "une autre valeur"),
}  # fmt: skip
_EMPTY: Final = {
    "en": "the entry has neither resource nor request nor response. Take it out, or add its resource",
    "fr": "l’entrée n’a ni « resource », ni « request », ni « response ». Retirez-la, ou ajoutez sa ressource",
}
_NO_TYPE: Final = {
    "en": 'the resource of the entry has no "resourceType" that is text; every FHIR resource has one',
    "fr": "il manque à la ressource de l’entrée « resourceType », un texte que porte toute ressource FHIR",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What an entry of a transaction, batch or history asks for."""

    method: str
    url: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a Bundle says before its entries; `data` is all of that as a JSON object without `entry`."""

    type: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as its bytes stood, and where. `line` and `entry` count from 1 and are 0 where they do not apply.

    An entry that asks for a DELETE has no `data`; type and id are those of its address, the id "" where it is a search.
    """

    kind: Literal["resource", "entry"]
    data: bytes
    type: str
    id: str
    source: str = ""
    line: int = 0
    entry: int = 0
    full_url: str | None = None
    request: Request | None = None
    bundle: Bundle | None = None
    modified: str | None = None  # when the server changed or deleted it, as an entry's response says

    @property
    def where(self) -> dict[str, str]:
        """Where it stands, as it follows the name of the file in a sentence, in both languages."""
        return place(line=self.line, entry=self.entry)

    @property
    def is_removal(self) -> bool:
        """Whether it asks that a resource go away."""
        return self.request is not None and self.request.method == "DELETE"


class _Request(msgspec.Struct):
    method: str = ""
    url: str = ""


class _Response(msgspec.Struct):
    lastModified: str | None = None  # noqa: N815  FHIR's name


class _Entry(msgspec.Struct):
    fullUrl: str | None = None  # noqa: N815  FHIR's name
    resource: msgspec.Raw = _NOTHING
    request: _Request | None = None
    response: _Response | None = None


class _Bundle(msgspec.Struct):
    type: str = ""
    id: str = ""


_decode_entry: Final = msgspec.json.Decoder(_Entry).decode
_decode_bundle: Final = msgspec.json.Decoder(_Bundle).decode


def open_documents(
    source: Source, limits: Limits | None = None, *, name: str = "", form: Form = "auto", faults: Faults = raise_fault
) -> Iterator[Document]:
    """Yield the resources of a file, an open binary file or chunks of bytes, one at a time, in constant memory.

    `form` "auto" goes by the name and then by the first lines. A fault that leaves the rest readable (a bad line, a bad
    entry) is handed to `faults`, and raised where nobody takes it. Entries that only ask (GET) or only answer give
    nothing, nor does a Bundle without entries. Raises `DataUnreadable` and `DocumentError`s.
    """
    name = name or name_of(source)
    bundle: Bundle | None = None
    for piece in read_pieces(source, limits, name=name, form=form, faults=faults):
        try:
            if piece.kind == "entry":
                document = read_entry(piece, name, bundle)
            elif piece.kind == "bundle":
                bundle = _read_bundle(piece, name)
                continue
            else:
                document = None if piece.kind == "end" else read_resource(piece, name)
        except DocumentError as error:
            faults(error)
            continue
        if document is not None:
            yield document


def read_resource(piece: Piece, source: str) -> Document | None:
    """Return the document of a piece that is a resource; None for a Bundle without entries."""
    try:
        head = piece.head or read_head(piece.data)
    except msgspec.DecodeError as error:
        raise _bad(piece, source, _told(error)) from error
    if head.resourceType == "Bundle":
        return None
    return Document("resource", piece.data, head.resourceType, _text(head.id), source, piece.line)


def read_entry(piece: Piece, source: str, bundle: Bundle | None) -> Document | None:
    """Return the document of an entry; None where it brings nothing and takes nothing away. Raises `DocumentBroken`."""
    try:
        entry = _decode_entry(piece.data)
        data = bytes(entry.resource)
        _refuse_twice(piece.data, data)
        head = read_head(data) if data else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(piece, source, _told(error)) from error
    except BadJson as error:
        raise _bad(piece, source, error.details["detail"]) from error
    request = None if entry.request is None else Request(entry.request.method, entry.request.url)
    method = "" if request is None else request.method
    if head is None:
        if entry.response is None and (request is None or method in _WRITES):
            raise _bad(piece, source, _wanting(method) if method else _EMPTY)
        if request is None or method != "DELETE":
            return None
        kind, name = _address(request.url)
    elif not head.resourceType:
        raise _bad(piece, source, _NO_TYPE)
    else:
        kind, name = head.resourceType, _text(head.id)
    modified = None if entry.response is None else entry.response.lastModified
    return Document(
        "entry", data, kind, name, source, piece.line, piece.entry, entry.fullUrl, request, bundle, modified
    )  # fmt: skip


def _bad(piece: Piece, source: str, detail: object) -> DocumentBroken:
    return DocumentBroken(source=source, where=place(line=piece.line, entry=piece.entry), detail=detail)


def _read_bundle(piece: Piece, source: str) -> Bundle:
    try:
        head = _decode_bundle(piece.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(piece, source, _told(error)) from error
    return Bundle(head.type, head.id, piece.data)


def _refuse_twice(entry: bytes, resource: bytes) -> None:
    """Raise `BadJson` where a key of the entry itself stands twice: the parser would keep the last in silence."""
    start = entry.find(resource[:_SAMPLE])
    if not entry.startswith(resource, start):
        start = entry.find(resource)
    frame = entry[:start] + entry[start + len(resource) :]
    if any(frame.count(key) > 1 for key in _KEYS):
        read_json(entry)


def _address(url: str) -> tuple[str, str]:
    """Return type and id of an address such as `Patient/p1`, `https://…/Patient/p1/_history/2` or `Patient?active=1`.

    >>> _address("https://example.org/fhir/Patient/p1/_history/2"), _address("Patient?identifier=1")
    (('Patient', 'p1'), ('Patient', ''))
    """
    path, asks, _ = url.partition("?")
    parts = path.partition("/_history")[0].strip("/").split("/")
    if asks or len(parts) < _ADDRESS_PARTS:
        return parts[-1], ""
    return parts[-2], parts[-1]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _wanting(method: str) -> dict[str, str]:
    return {
        "en": f"the entry asks for {method} and has no resource. Add the resource, or take the entry out",
        "fr": f"l’entrée demande {method} et n’a pas de ressource. Ajoutez la ressource, ou retirez l’entrée",
    }


def _told(error: Exception) -> dict[str, str]:
    """Return what msgspec says of a value of the wrong kind, in words.

    >>> _told(ValueError("Expected `str | null`, got `int` - at `$.fullUrl`"))["en"]
    'it is not built as FHIR says: at fullUrl a text is expected, not a number'
    """
    found = _MISFIT.search(str(error))
    if found is None:
        return {"en": "it is not built as FHIR says", "fr": "ce n’est pas construit comme FHIR le demande"}
    wanted, given = (_KINDS.get(name.split(" ")[0], _KINDS["any"]) for name in found.group(1, 2))
    at = (found[3] or "$").removeprefix("$").removeprefix(".")
    where = {"en": f"at {at} " if at else "", "fr": f"à l’endroit {at}, " if at else ""}
    return {
        "en": f"it is not built as FHIR says: {where['en']}{wanted[0]} is expected, not {given[0]}",
        "fr": "ce n’est pas construit comme FHIR le demande\u202f: "
              f"{where['fr']}{wanted[1]} est attendu, pas {given[1]}",
    }  # fmt: skip
