"""Resources made from the tables alone: by chance for the property test, and element by element to miss none."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Final

from pepr_kg.fhir.exact import Json, Number, write_json
from pepr_kg.fhir.tables import Element, Table

_URIS: Final = (
    "http://loinc.org", "https://example.org/a?b=c&d=%20#e",
    "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:oid:2.16.840.1",
    "Patient/p1", "Binary/f006", "#part", "mailto:zoe@example.org", "http://example.org/a b<c>{d}|e\\f^g`h\"i",
    "../up", "é/漢", "http://example.org/StructureDefinition/x|4.0.1",
    "Patient?identifier=urn:x|1", "longitude", "?", "urn:", "http://[", "a:b",
)  # fmt: skip
_TEXTS: Final = (
    "a", " ", "é漢\U0001f600", "e\u0301", "\u2028\u2029\u0085\ufeff", '"""', "'''", "\\u0041\\", "line\nline\r\n\ttab",
    "_:b0 <x> .", "@fr", "\x01\x08\x0b\x0c\x1f\x7f", "\ufffe\uffff\U0010ffff", "# no comment", "}{",
    "true", "1.0", "\\", '"', "&amp;<b>", "\x00x",
)  # fmt: skip
_DECIMALS: Final = (
    "0", "-0", "1", "1.0", "1.00", "-0.000", "3." + "1415926535" * 4, "9" * 40, "1e400", "1E-22",
    "-1.5e+3", "0.1", "100", "0.00e0",
)  # fmt: skip
_DATES: Final = ("2019", "2019-03", "2019-03-02", "0001", "9999-12-31")
_TIMES: Final = ("08:30:00", "23:59:60", "00:00:00.000000001", "12:00:00.10")
_ZONES: Final = ("Z", "+14:00", "-03:30", "+00:00")
_CODES: Final = ("final", "look up value", "x", "8480-6", "36629006", "73211009:363698007=123037004", "a/b", "é")
_SYSTEMS: Final = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://unitsofmeasure.org",
    "urn:oid:1.2",
)


def _date_time(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_DATES)
    return f"{rng.choice(_DATES[2:3])}T{rng.choice(_TIMES[:1] + _TIMES[2:])}{rng.choice(_ZONES)}"


_PRIMITIVES: Final[Mapping[str, Callable[[random.Random], Json]]] = {
    "boolean": lambda rng: rng.random() < 0.5,
    "integer": lambda rng: Number(rng.choice(("0", "-1", "2147483647", "-2147483648"))),
    "unsignedInt": lambda rng: Number(rng.choice(("0", "7", "2147483647"))),
    "positiveInt": lambda rng: Number(rng.choice(("1", "2147483647"))),
    "integer64": lambda rng: rng.choice(("0", "-9223372036854775808", "9007199254740993")),
    "decimal": lambda rng: Number(rng.choice(_DECIMALS)),
    "date": lambda rng: rng.choice(_DATES),
    "dateTime": _date_time,
    "instant": lambda rng: f"2020-02-29T{rng.choice(_TIMES[:1] + _TIMES[2:])}{rng.choice(_ZONES)}",
    "time": lambda rng: rng.choice(_TIMES[:1] + _TIMES[2:]),
    "base64Binary": lambda rng: rng.choice(("", "AA==", "ZsOpZQ==")) or "AAAA",
    "code": lambda rng: rng.choice(_CODES),
    "id": lambda rng: rng.choice(("a", "A-1.b", "9" * 64)),
    "xhtml": lambda rng: (
        f'<div xmlns="http://www.w3.org/1999/xhtml"><p title="é">{rng.choice(("a", "&lt;", "")).strip()}</p></div>'
    ),
    **dict.fromkeys(("string", "markdown"), lambda rng: rng.choice(_TEXTS)),
    **dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), lambda rng: rng.choice(_URIS)),
}


def make(table: Table, rng: random.Random) -> dict[str, Json]:
    """Return a resource of any type, with elements chosen by chance."""
    return _resource(table, rng, rng.choice(sorted(table.resources)), 4)


def _resource(table: Table, rng: random.Random, kind: str, levels: int) -> dict[str, Json]:
    return {"resourceType": kind, **_body(table, rng, kind, levels)}


def _body(table: Table, rng: random.Random, path: str, levels: int) -> dict[str, Json]:
    found: dict[str, Json] = {}
    stems = sorted({element.stem for element in table.elements(path).values()})
    chosen = rng.sample(stems, min(len(stems), rng.randint(1, 5)))
    if path == "Coding":
        chosen = ["system", "code"]
    for stem in chosen:
        element = rng.choice(table.choices(path, stem))
        if levels > 0 or element.is_primitive:
            _add(table, rng, element, levels, found)
    if path in {"Patient", "Bundle"} and rng.random() < 0.5:
        found["id"] = "p1"
    if path == "Coding" and "system" in found:
        found["system"] = rng.choice(_SYSTEMS)
    if not found:
        found["id"] = "e1"
    return found


def _add(table: Table, rng: random.Random, element: Element, levels: int, found: dict[str, Json]) -> None:
    count = rng.randint(1, 3) if element.is_list else 1
    if not element.is_primitive:
        parts: list[Json] = [_part(table, rng, element, levels - 1) for _ in range(count)]
        found[element.name] = parts if element.is_list else parts[0]
        return
    values: list[Json] = []
    extras: list[Json] = []
    for _ in range(count):
        dressed = levels > 0 and rng.random() < 0.2 and element.type != "xhtml"
        bare = dressed and rng.random() < 0.4
        values.append(None if bare else _PRIMITIVES[element.type](rng))
        extras.append(_body(table, rng, "Element", levels - 2) if dressed else None)
    for name, made in ((element.name, values), ("_" + element.name, extras)):
        if any(value is not None for value in made):
            found[name] = made if element.is_list else made[0]


def _part(table: Table, rng: random.Random, element: Element, levels: int) -> Json:
    if element.is_resource:
        kind = element.type if element.type in table.resources else rng.choice(sorted(table.resources))
        return _resource(table, rng, kind, levels)
    return _body(table, rng, element.path, levels)


def make_all(table: Table, kind: str, turn: int) -> dict[str, Json]:
    """Return a resource with every element of its type; of each choice the type whose turn it is."""
    return {"resourceType": kind, **_whole(table, random.Random(turn), kind, turn, (), levels=1)}


def turns(table: Table, kind: str) -> int:
    """Return how many turns it takes until each type of each choice of a resource has had one."""
    paths = [kind]
    for path in paths:  # grows while it is read: the parts of the resource, and theirs
        parts = {element.path for element in table.elements(path).values() if element.path.startswith(kind + ".")}
        paths += sorted(parts - set(paths))
    stems = {(path, element.stem) for path in paths for element in table.elements(path).values()}
    return max(len(table.choices(path, stem)) for path, stem in stems)


def make_types(table: Table) -> dict[str, Json]:
    """Return a resource with an extension for every type that a choice can have, each with all that it can hold."""
    made: list[Json] = []
    for turn, element in enumerate(table.choices("Extension", "value")):
        rng = random.Random(turn)
        whole = element.path and _whole(table, rng, element.path, turn, ("Extension",), levels=3)
        made.append({"url": "urn:x", element.name: whole or _PRIMITIVES[element.type](rng)})
    return {"resourceType": "Basic", "extension": made}


def _whole(
    table: Table, rng: random.Random, path: str, turn: int, around: tuple[str, ...], *, levels: int
) -> dict[str, Json]:
    """Return a type or part with all its elements, data types within data types for some levels, none within itself."""
    found: dict[str, Json] = {}
    for stem in dict.fromkeys(element.stem for element in table.elements(path).values()):
        options = table.choices(path, stem)
        element = options[turn % len(options)]
        left = levels if "." in element.path else levels - 1
        value: Json
        if element.is_primitive:
            value = _PRIMITIVES[element.type](rng)
        elif element.is_resource:
            value = {"resourceType": "Basic", "language": "fr"}
        elif element.path in around or left < 0:
            continue
        else:
            value = _whole(table, rng, element.path, turn, (*around, path), levels=left)
        found[element.name] = [value] if element.is_list else value
    return found


def as_text(value: Json, rng: random.Random) -> str:
    """Return the JSON text of a value in one of the ways that it can be written."""
    text = write_json(value, rng.choice((None, None, 0, 2)))
    if rng.random() < 0.3:
        text = re.sub(r"[^\x00-\x7f]", lambda match: _escape(match[0]), text)
    return text.replace("/", "\\/") if rng.random() < 0.1 else text


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02X}" for n in range(0, len(units), 2))
