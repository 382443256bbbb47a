"""A literal as a JSON value, and the type of a choice that no class names.

The datatype decides, not the element: what was written of a value that is not of its type comes back as it was.

>>> literal_value(Literal("1.00", datatype=NamedNode(XSD + "decimal")), "decimal")
(Number('1.00'), '')
>>> literal_value(Literal("+.5", datatype=NamedNode(XSD + "decimal")), "decimal")
(Number('0.5'), 'number-rewritten')
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pepr_kg.fhir.exact import Number
from pepr_kg.fhir.tables import Element
from pepr_kg.rdf import Literal, NamedNode

XSD: Final = "http://www.w3.org/2001/XMLSchema#"
_STRING: Final = NamedNode(XSD + "string")
_BOOLEAN: Final = NamedNode(XSD + "boolean")
_LONG: Final = NamedNode(XSD + "long")
_NUMBERS: Final = frozenset(
    NamedNode(XSD + name)
    for name in (
        "decimal", "integer", "double", "float", "nonNegativeInteger", "positiveInteger", "long", "int", "short",
        "byte", "unsignedInt", "unsignedLong", "unsignedShort", "unsignedByte", "negativeInteger", "nonPositiveInteger",
    )
)  # fmt: skip
_NUMERIC_TYPES: Final = frozenset({"decimal", "integer", "unsignedInt", "positiveInt"})
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_XSD_NUMBER: Final = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
# Datatype -> FHIR types that are written so, the likelier first.
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "boolean": ("boolean",),
    "integer": ("integer", "decimal", "positiveInt", "unsignedInt", "integer64"),
    "nonNegativeInteger": ("unsignedInt", "integer"),
    "positiveInteger": ("positiveInt", "integer"),
    "decimal": ("decimal",),
    "double": ("decimal",),
    "long": ("integer64",),
    "base64Binary": ("base64Binary",),
    "dateTime": ("dateTime", "instant"),
    "date": ("date", "dateTime"),
    "gYear": ("date", "dateTime"),
    "gYearMonth": ("date", "dateTime"),
    "time": ("time",),
    "anyURI": ("uri", "url", "canonical", "oid", "uuid"),
    "string": ("string", "code", "markdown", "id", "uri", "url", "canonical"),
}
_LINKED: Final = ("canonical", "uri", "url", "oid", "uuid")


def literal_value(literal: Literal, kind: str, *, untyped: bool = False) -> tuple[str | Number | bool, str]:
    """Return the JSON value of a literal in an element of a FHIR type, and the code of a problem or "".

    `untyped` is for files that write every value as a string: then the element's type decides.
    """
    datatype, text = literal.datatype, literal.value
    if datatype == _STRING and not untyped:
        return text, ""
    if datatype == _BOOLEAN or (untyped and kind == "boolean" and text in {"true", "false"}):
        return text in {"true", "1"}, ""
    if (datatype == _LONG and kind == "integer64") or (
        datatype not in _NUMBERS and not (untyped and kind in _NUMERIC_TYPES)
    ):
        return text, ""
    if _JSON_NUMBER.fullmatch(text):
        return Number(text), ""
    rewritten = _rewrite(text)
    return (text, "not-a-number") if rewritten is None else (rewritten, "number-rewritten")


def _rewrite(text: str) -> Number | None:
    """Return a number of XML Schema (`+5`, `.5`, `007`, `1.`) as JSON writes it."""
    match = _XSD_NUMBER.fullmatch(text)
    if match is None or not re.search(r"[0-9]", text):
        return None
    sign, whole, fraction, exponent = match.groups(default="")
    return Number(("-" if sign == "-" else "") + (whole or "0") + (f".{fraction}" if fraction else "") + exponent)


def deduce_type(elements: Sequence[Element], literal: Literal, *, is_linked: bool) -> Element | None:
    """Return the first of a choice's elements that a value of this datatype can be, or None."""
    name = literal.datatype.value.removeprefix(XSD)
    kinds = _LINKED if is_linked and name in {"anyURI", "string"} else _TYPES.get(name, ())
    by_type = {element.type: element for element in elements}
    return next((by_type[kind] for kind in kinds if kind in by_type), None)
