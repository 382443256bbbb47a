"""JSON read and written so that no value changes: a number stays the text that it was.

FHIR asks for this: `1.00` says more than `1` does, and 40 digits do not fit a double. What two readers would read
differently is refused: a key that stands twice in one object, half of a surrogate pair, NaN, bytes that are not UTF-8
(RFC 8259, sections 4, 6, 8). So is nesting deeper than `DEPTH`.

>>> value = read_json('{"value": 1.00, "range": [1e400, -0]}')
>>> value["value"], write_json(value)
(Number('1.00'), '{"value":1.00,"range":[1e400,-0]}')
>>> difference(value, read_json('{"range": [1e400, 0], "value": 1.00}'))
'range[1]'
>>> read_json('{"a": 1, "a": 2}')
Traceback (most recent call last):
pepr_kg.fhir.exact_errors.BadJson: This is not usable JSON, line 1, column 10: the key "a" stands twice in one object.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from json.encoder import encode_basestring
from typing import Final

from pepr_kg.fhir.exact_errors import BadJson, NotJson

__all__ = ["DEPTH", "Json", "Number", "difference", "read_json", "same", "write_json"]

# Levels of objects and arrays. The deepest of the published examples that we test with has 15.
DEPTH: Final = 200


class Number(str):
    """A JSON number as it is written. Equal only to the same text: `1.0` and `1.00` differ, as FHIR says."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Number({str(self)!r})"


Json = dict[str, "Json"] | list["Json"] | str | Number | bool | None

_BOM: Final = b"\xef\xbb\xbf"
_TOKEN: Final = re.compile(
    r'"(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<word>-?Infinity|NaN)|(?P<comma>,)',
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_MAYBE_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_NOTHING: Final = object()
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)

_EARLY: Final = {
    "en": "the text ends before the value is complete",
    "fr": "le texte s’arrête avant la fin de la valeur",
}
_EMPTY: Final = {"en": "there is nothing in it", "fr": "il n’y a rien dedans"}
# What Python's scanner says, in words for a person.
_REASONS: Final = {
    "Expecting value": {"en": "a value is expected here", "fr": "une valeur est attendue ici"},
    "Expecting ',' delimiter": {
        "en": "a comma is expected here, or the end of the object or array",
        "fr": "une virgule est attendue ici, ou la fin de l’objet ou du tableau",
    },
    "Expecting ':' delimiter": {
        "en": "a colon is expected here, between key and value",
        "fr": "un deux-points est attendu ici, entre la clé et la valeur",
    },
    "Expecting property name enclosed in double quotes": {
        "en": "a key in double quotes is expected here",
        "fr": "une clé entre guillemets droits est attendue ici",
    },
    "Unterminated string starting at": {
        "en": "the string that begins here has no end",
        "fr": "la chaîne qui commence ici n’a pas de fin",
    },
    "Invalid control character at": {
        "en": "a control character stands in a string; it must be escaped",
        "fr": "une chaîne contient un caractère de contrôle ; il faut l’échapper",
    },
    "Invalid \\escape": {
        "en": "this escape sequence does not exist",
        "fr": "cette séquence d’échappement n’existe pas",
    },
    "Invalid \\uXXXX escape": {
        "en": "\\u is followed by something else than four hexadecimal digits",
        "fr": "\\u n’est pas suivi de quatre chiffres hexadécimaux",
    },
    "Extra data": {
        "en": "something stands behind the end of the value",
        "fr": "quelque chose suit la fin de la valeur",
    },
}
_OTHER: Final = {"en": "this is not JSON", "fr": "ce n’est pas du JSON"}
_HALF: Final = {
    "en": "half of a surrogate pair stands alone; no Unicode text holds it",
    "fr": "une moitié de paire de substitution est isolée ; aucun texte Unicode ne la contient",
}
_NOT_UTF8: Final = {
    "en": "a byte is no UTF-8; save the file as UTF-8",
    "fr": "un octet n’est pas de l’UTF-8 ; enregistrez le fichier en UTF-8",
}
_XML: Final = {
    "en": "it begins as XML does; convert it to FHIR JSON first",
    "fr": "il commence comme du XML ; convertissez-le d’abord en FHIR JSON",
}
_GZIP: Final = {
    "en": "it is compressed; give the file a name that ends in .gz, or decompress it",
    "fr": "il est compressé ; donnez au fichier un nom en .gz, ou décompressez-le",
}
_UTF16: Final = {
    "en": "it is UTF-16 or UTF-32; JSON is exchanged as UTF-8 (RFC 8259)",
    "fr": "c’est de l’UTF-16 ou de l’UTF-32 ; le JSON s’échange en UTF-8 (RFC 8259)",
}
_STARTS: Final = (
    (b"\x1f\x8b", _GZIP), (b"\xff\xfe", _UTF16), (b"\xfe\xff", _UTF16), (b"\0", _UTF16), (b"<", _XML)
)  # fmt: skip


class _Refused(Exception):
    """What the scanner's hooks raise; the place is looked for afterwards."""


def read_json(data: bytes | str, *, depth: int = DEPTH) -> Json:
    """Return a JSON value: dict, list, str, `Number`, bool or None.

    Raises `BadJson` with line, column and reason, also for legal JSON that readers read differently; `NotJson` for
    XML, compressed data and other encodings.
    """
    text = _decode(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    try:
        value: Json = json.loads(
            text, parse_float=Number, parse_int=Number, parse_constant=_refuse, object_pairs_hook=_gather
        )
    except json.JSONDecodeError as error:
        raise _syntax(text, error) from error
    except (_Refused, RecursionError) as error:
        raise _look(text, depth) or _at(text, 0, _OTHER) from error
    # Few texts have so many brackets or such escapes that a second look is needed.
    if text.count("{") + text.count("[") > depth or _MAYBE_HALF.search(text):
        found = _look(text, depth)
        if found is not None:
            raise found
    return value


def write_json(value: Json, indent: int | None = None) -> str:
    """Return a value as JSON text, numbers byte for byte; compact, or a member a line with `indent` spaces a level.

    >>> print(write_json({"given": ["Zoé"], "multipleBirthInteger": Number("2")}, indent=2))
    {
      "given": [
        "Zoé"
      ],
      "multipleBirthInteger": 2
    }
    """
    pieces: list[str] = []
    _append(value, pieces, None if indent is None else " " * indent, "\n")
    return "".join(pieces)


def same(one: object, other: object) -> bool:
    """Return whether two values are equal: numbers as texts, strings exact, arrays in order, keys in any order."""
    return difference(one, other) is None


def difference(one: object, other: object) -> str | None:
    """Return where two values differ first, such as `name[0].given` (`.` for the whole), None where they are equal."""
    if type(one) is not type(other):
        return "."
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(key, one.get(key, _NOTHING), other.get(key, _NOTHING)) for key in one | other]
    elif isinstance(one, list) and isinstance(other, list):
        pairs = [(f"[{n}]", left, right) for n, (left, right) in enumerate(zip_longest(one, other, fillvalue=_NOTHING))]
    else:
        return None if one == other else "."
    found = ((key, difference(left, right)) for key, left, right in pairs)
    return next((_join(key, rest) for key, rest in found if rest is not None), None)


def _join(key: str, rest: str) -> str:
    if rest == ".":
        return key
    return key + rest if rest.startswith("[") else f"{key}.{rest}"


def _decode(data: bytes) -> str:
    body = data.removeprefix(_BOM)
    start = body.lstrip(b" \t\r\n")[:4]
    if not start:
        raise NotJson(line=1, column=1, detail=_EMPTY)
    for mark, detail in _STARTS:
        if start.startswith(mark):
            raise NotJson(line=1, column=1, detail=detail)
    if b"\0" in start:
        raise NotJson(line=1, column=1, detail=_UTF16)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        raise _at(before, len(before), _NOT_UTF8) from error


def _refuse(word: str) -> Json:
    raise _Refused(word)


def _gather(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused
    return found


def _at(text: str, position: int, detail: Mapping[str, str]) -> BadJson:
    line = text.count("\n", 0, position) + 1
    return BadJson(line=line, column=position - text.rfind("\n", 0, position), detail=dict(detail))


def _syntax(text: str, error: json.JSONDecodeError) -> BadJson:
    unended = error.msg.startswith("Unterminated string") and "\n" not in text[error.pos :].rstrip()
    if error.pos >= len(text.rstrip()) or unended:
        return _at(text, len(text.rstrip()), _EARLY if text.strip() else _EMPTY)
    reason = next((words for start, words in _REASONS.items() if error.msg.startswith(start)), _OTHER)
    return _at(text, error.pos, reason)


def _look(text: str, depth: int) -> BadJson | None:
    """Return the first thing in a text that is refused though the scanner may take it."""
    keys: list[set[str] | None] = []  # of each open object; None for an array
    key_next = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "string":
            half = _half(token["string"])
            if half is not None:
                return _at(text, token.start("string") + half, _HALF)
            if key_next:
                key_next = False
                known, name = keys[-1], json.loads(token[0], strict=False)
                if known is not None and name in known:
                    return _at(text, token.start(), _twice(name))
                if known is not None:
                    known.add(name)
        elif kind == "open":
            keys.append(set() if token["open"] == "{" else None)
            key_next = keys[-1] is not None
            if len(keys) > depth:
                return _at(text, token.start(), _deep(depth))
        elif kind == "close":
            key_next = False
            if keys:
                keys.pop()
        elif kind == "comma":
            key_next = bool(keys) and keys[-1] is not None
        else:
            return _at(text, token.start(), _no_number(token[0]))
    return None


def _half(string: str) -> int | None:
    """Return where half of a surrogate pair stands in a string as it is written, or None."""
    if "\\u" not in string:
        return None
    waiting: int | None = None
    end = 0
    for escape in _ESCAPE.finditer(string):
        number = int(escape[1], 16) if escape[1] else 0
        if waiting is not None:
            if number in _LOW and escape.start() == end:
                waiting = None
                continue
            return waiting
        if number in _LOW:
            return escape.start()
        if number in _HIGH:
            waiting, end = escape.start(), escape.end()
    return waiting


def _twice(name: str) -> dict[str, str]:
    shown = name if len(name) <= 60 else name[:60] + "…"
    return {
        "en": f'the key "{shown}" stands twice in one object',
        "fr": f"la clé « {shown} » figure deux fois dans un objet",
    }


def _deep(depth: int) -> dict[str, str]:
    return {
        "en": f"objects and arrays are nested more than {depth} deep",
        "fr": f"les objets et les tableaux sont imbriqués sur plus de {depth} niveaux",
    }


def _no_number(word: str) -> dict[str, str]:
    return {"en": f"{word} is not a number in JSON", "fr": f"{word} n’est pas un nombre en JSON"}


def _append(value: Json, pieces: list[str], step: str | None, start: str) -> None:
    if isinstance(value, Number):
        pieces.append(value)
    elif isinstance(value, str):
        pieces.append(encode_basestring(value))
    elif value is None or isinstance(value, bool):
        pieces.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, dict):
        members: Sequence[tuple[str, Json]] = list(value.items())
        _enclose("{}", members, pieces, step, start)
    else:
        _enclose("[]", [("", item) for item in value], pieces, step, start)


def _enclose(
    brackets: str, members: Sequence[tuple[str, Json]], pieces: list[str], step: str | None, start: str
) -> None:
    if not members:
        pieces.append(brackets)
        return
    inner = "" if step is None else start + step
    colon = ":" if step is None else ": "
    pieces.append(brackets[0])
    for number, (key, item) in enumerate(members):
        pieces.append("," + inner if number else inner)
        if brackets == "{}":
            pieces += (encode_basestring(key), colon)
        _append(item, pieces, step, inner)
    pieces += ("" if step is None else start, brackets[1])
