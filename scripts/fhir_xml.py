"""FHIR XML as FHIR JSON, by the tables: as much as the expectations need whose source is XML only."""

from pathlib import Path
from xml.etree import ElementTree as ET

from pepr_kg.fhir.exact import Json, Number, write_json
from pepr_kg.fhir.tables import Element, Table

FHIR_XML = "{http://hl7.org/fhir}"
XHTML = "{http://www.w3.org/1999/xhtml}"
NUMBERS = {"decimal", "integer", "unsignedInt", "positiveInt"}


def read_xml(path: Path, table: Table) -> bytes:
    """Return the resource in an XML file as JSON."""
    root = ET.parse(path).getroot()
    type_name = root.tag.removeprefix(FHIR_XML)
    head: dict[str, Json] = {"resourceType": type_name}
    return write_json(head | read_node(root, type_name, table)).encode()


def read_node(node: ET.Element, path: str, table: Table) -> dict[str, Json]:
    """Return the children of an element by JSON name."""
    found: dict[str, Json] = {name: value for name, value in node.attrib.items() if name != "value"}
    for child in node:
        if child.tag == f"{XHTML}div":
            found["div"] = ET.tostring(child, encoding="unicode")
            continue
        element = table.elements(path)[child.tag.removeprefix(FHIR_XML)]
        value = read_value(child, element, table)
        if element.is_list:
            found.setdefault(element.name, []).append(value)  # type: ignore[union-attr]
        else:
            found[element.name] = value
    return found


def read_value(node: ET.Element, element: Element, table: Table) -> Json:
    """Return the JSON of one element."""
    if not element.is_primitive:
        return read_node(node, element.path, table)
    text = node.attrib["value"]
    if element.type == "boolean":
        return text == "true"
    return Number(text) if element.type in NUMBERS else text
