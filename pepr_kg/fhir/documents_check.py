"""What is wrong with the bytes of a value, as an error that says where: not JSON, too deep, too large, not UTF-8.

>>> explain(b'{"id": 1,}', Limits(), "a.ndjson", line=7).message("en")
'a.ndjson, line 7, column 10: a key in double quotes is expected here.'
"""

from contextlib import suppress
from json import JSONDecoder
from typing import Final

from pepr_kg.fhir.documents_errors import DocumentBroken, DocumentError, place
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.sources import Limits

__all__ = ["check_value", "explain", "too_large", "too_long", "twice"]

_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_DECODER: Final = JSONDecoder()
_SYNTAX: Final = {"en": "this is not JSON", "fr": "ce n’est pas du JSON"}
_RAISE: Final = {
    "en": "Raise the limit, or keep large attachments in files of their own",
    "fr": "Relevez la limite, ou gardez les grandes pièces jointes dans des fichiers à part",
}


def check_value(data: bytes, limits: Limits, name: str, *, line: int = 0, entry: int = 0) -> None:
    """Raise a `DocumentError` where a complete JSON value is nested too deep, or is not UTF-8."""
    if _is_flat(data, limits.depth) and (data.isascii() or _is_utf8(data)):
        return
    try:
        read_json(data, depth=limits.depth)
    except BadJson as error:
        raise _misread(error, name, line=line, entry=entry) from error


def explain(data: bytes, limits: Limits, name: str, *, line: int, column: int = 1) -> DocumentError:
    """Return why bytes, which begin at a place, are not one JSON value, or one that may be taken in."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError, RecursionError):
        # What stands behind the value is another matter. Where it has no end, it is said below why.
        data = text[: _DECODER.raw_decode(text)[1]].encode("utf-8", "surrogateescape")
    try:
        read_json(data, depth=limits.depth)
    except BadJson as error:
        return _misread(error, name, line=line, column=column)
    return DocumentBroken(source=name, where=place(line=line, column=column), detail=_SYNTAX)


def _misread(error: BadJson, name: str, *, line: int = 0, column: int = 1, entry: int = 0) -> DocumentBroken:
    details = error.details
    first, further = int(str(details["line"])), int(str(details["column"]))
    where = place(entry=entry) if entry else {"en": "", "fr": ""}
    if not entry:
        where = place(line=max(line, 1) + first - 1, column=further + column - 1 if first == 1 else further)
    elif line:
        where = place(line=line, entry=entry)
    return DocumentBroken(source=name, where=where, detail=details["detail"])


def twice(key: bytes) -> dict[str, str]:
    """Return that a key, in quotes, stands twice in one object."""
    shown = key.decode("utf-8", "replace").strip('"')[:60]
    return {
        "en": f'the key "{shown}" stands twice in one object',
        "fr": f"la clé « {shown} » figure deux fois dans un objet",
    }


def too_large(limits: Limits) -> dict[str, str]:
    """Return that a resource is beyond its limit."""
    much = limits.resource_bytes
    return {
        "en": f"a resource is larger than {much} bytes (setting fhir_resource_bytes). {_RAISE['en']}",
        "fr": f"une ressource dépasse {much} octets (réglage fhir_resource_bytes). {_RAISE['fr']}",
    }


def too_long(limits: Limits) -> dict[str, str]:
    """Return that a line is beyond its limit."""
    much = limits.line_bytes
    return {
        "en": f"the line is longer than {much} bytes (setting fhir_line_bytes). {_RAISE['en']}",
        "fr": f"la ligne dépasse {much} octets (réglage fhir_line_bytes). {_RAISE['fr']}",
    }


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_flat(data: bytes, depth: int) -> bool:
    """Return whether a value is surely not nested deeper: brackets that face each other are taken away, layer by layer.

    Brackets in strings, and more layers than half the limit, leave it open.
    """
    if data.count(b"{") + data.count(b"[") <= depth:
        return True
    brackets = data.translate(None, _NOT_BRACKETS)
    for _ in range(depth // 2):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
    return False
