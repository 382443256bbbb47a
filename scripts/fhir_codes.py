"""Make `pepr_kg/fhir/codes/` from FHIR definition packages: `fhir_codes.py --terminology FOLDER FOLDER...`.

The packages are those of `fhir_tables.py`, unpacked into a folder each, and `hl7.terminology 7.0.1` (npm too), whose
code systems R5 names but does not hold. All are CC0, published by HL7. What is kept are the codes of elements
with a binding of strength `required`, when every code system of the value set is HL7's own and stands complete there.
Nothing of SNOMED CT, LOINC, UCUM or another owner is copied: an element whose value set names one of these is left out,
and so are value sets without end (languages, media types). The same packages give the same bytes.

    "sets":  {"administrative-gender": {"http://hl7.org/fhir/administrative-gender": "male female other unknown"}, ...}
    "paths": {"Patient.gender": "administrative-gender", "Patient.contact.gender": "administrative-gender", ...}

A path is where the definition of the element says that it was first defined (`base.path`), as in `pepr_kg.fhir.tables`.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

CODES = Path(__file__).parents[1] / "pepr_kg" / "fhir" / "codes"
RELEASES = {"4.0.1": "R4", "4.3.0": "R4B", "5.0.0": "R5"}
KINDS = (
    "StructureDefinition-",
    "ValueSet-",
    "CodeSystem-",
    "profiles-types",
    "profiles-resources",
    "valuesets.json",
    "v3-",
)
OURS = ("http://hl7.org/fhir/", "http://terminology.hl7.org/CodeSystem/")
CODED = frozenset({"code", "Coding", "CodeableConcept"})
LARGEST = 1000

Json = dict  # FHIR's own JSON; only what is read here is relied upon


def definitions(folder: Path) -> Iterator[Json]:
    """Return the definitions, value sets and code systems of a package."""
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith(KINDS):
            document = json.loads(path.read_text(encoding="utf-8"))
            yield from [entry["resource"] for entry in document["entry"]] if "entry" in document else [document]


class Package:
    """What a package says of value sets and code systems."""

    def __init__(self, folder: Path, shared: dict[str, Json]) -> None:
        items = list(definitions(folder))
        self.types = [item for item in items if is_type(item)]
        root = next(item for item in self.types if item["type"] == "Resource")
        self.version = root["fhirVersion"]
        self.types = [item for item in self.types if item["fhirVersion"] == self.version]
        self.value_sets = {item["url"]: item for item in items if item["resourceType"] == "ValueSet"}
        self.systems = shared | code_systems(items)
        (about,) = [path for path in folder.rglob("package.json") if "name" in json.loads(path.read_text("utf-8"))][:1]
        self.about = json.loads(about.read_text(encoding="utf-8"))

    def expand(self, url: str) -> dict[str, list[str]] | None:
        """Return the codes of a value set by code system, or None when they are not HL7's or not all known."""
        value_set = self.value_sets.get(url.partition("|")[0])
        compose = (value_set or {}).get("compose")
        if compose is None:
            return None
        found: dict[str, list[str]] = {}
        for part in compose["include"]:
            codes = self.part(part)
            if codes is None:
                return None
            for system, names in codes.items():
                found[system] = list(dict.fromkeys(found.get(system, []) + names))
        for part in compose.get("exclude", []):
            codes = self.part(part)
            if codes is None:
                return None
            found = {
                system: [name for name in names if name not in codes.get(system, [])] for system, names in found.items()
            }
        return found if sum(map(len, found.values())) <= LARGEST else None

    def part(self, part: Json) -> dict[str, list[str]] | None:
        """Return the codes that one `include` or `exclude` names."""
        found: dict[str, list[str]] | None = None
        if "system" in part:
            codes = self.members(part)
            if codes is None:
                return None
            found = {part["system"]: codes}
        for url in part.get("valueSet", []):
            other = self.expand(url)
            if other is None:
                return None
            if found is None:
                found = other
            else:  # both are said: what is in both
                found = {
                    system: [name for name in names if name in other.get(system, [])] for system, names in found.items()
                }
        return found

    def members(self, part: Json) -> list[str] | None:
        """Return the codes of a system that are named, that a filter lets through, or all."""
        system = part["system"]
        if not system.startswith(OURS):
            return None
        if "concept" in part:
            return [item["code"] for item in part["concept"]]
        known = self.systems.get(system)
        if known is None or known["content"] != "complete":
            return None
        tree = dict(walk(known.get("concept", []), ()))
        names = list(tree)
        for rule in part.get("filter", []):
            if rule["op"] not in {"is-a", "descendent-of"}:
                return None
            above = rule["value"]
            itself = rule["op"] == "is-a"
            names = [name for name in names if above in tree[name] or (itself and name == above)]
        return names


def code_systems(items: Iterable[Json]) -> dict[str, Json]:
    """Return the code systems among definitions, by address."""
    return {item["url"]: item for item in items if item["resourceType"] == "CodeSystem"}


def is_type(item: Json) -> bool:
    """Return whether this is the definition of a type or resource itself, not of a profile."""
    return (
        item["resourceType"] == "StructureDefinition"
        and item.get("url", "").startswith("http://hl7.org/fhir/StructureDefinition/")
        and item["kind"] in {"complex-type", "resource"}
        and item.get("derivation") != "constraint"
        and item.get("fhirVersion") in RELEASES
    )


def walk(concepts: list[Json], above: tuple[str, ...]) -> Iterator[tuple[str, frozenset[str]]]:
    """Return each code with the codes that it stands under: by place, or by the property `subsumedBy`."""
    for item in concepts:
        parents = {prop["valueCode"] for prop in item.get("property", []) if prop["code"] == "subsumedBy"}
        yield item["code"], frozenset({*above, *parents})
        yield from walk(item.get("concept", []), (*above, item["code"]))


def bindings(package: Package) -> Iterator[tuple[str, str]]:
    """Return path and value set of the elements whose codes are required."""
    for item in package.types:
        for element in item["snapshot"]["element"]:
            binding = element.get("binding", {})
            kinds = {kind["code"] for kind in element.get("type", [])}
            if binding.get("strength") == "required" and kinds & CODED and "valueSet" in binding:
                yield element["base"]["path"], binding["valueSet"].partition("|")[0]


def compile_codes(package: Package) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the sets by short name, and the name by path."""
    sets: dict[str, Json] = {}
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    for path, url in bindings(package):
        if url not in names:
            codes = package.expand(url)
            name = url.rpartition("/")[2]
            if name in sets:
                sys.exit(f"two value sets are named {name}")
            names[url] = name if codes else ""
            if codes:
                sets[name] = {system: " ".join(members) for system, members in sorted(codes.items())}
        if paths.setdefault(path, names[url]) != names[url]:
            paths[path] = ""  # types that inherit the element are bound to different sets: nothing is said of it
    paths = {path: name for path, name in sorted(paths.items()) if name}
    used = set(paths.values())
    return {name: sets[name] for name in sorted(sets) if name in used}, paths


def write(folder: Path, shared: dict[str, Json]) -> None:
    """Write the codes of the package in a folder."""
    package = Package(folder, shared)
    sets, paths = compile_codes(package)
    head = {
        "release": RELEASES[package.version],
        "fhirVersion": package.version,
        "package": package.about["name"],
        "packageVersion": package.about["version"],
        "licence": "CC0-1.0 (the definitions, HL7 International)",
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, table in (("sets", sets), ("paths", paths)):
        rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items())
        lines.append(f"{json.dumps(name)}: {{\n{rows}\n}}")
    CODES.mkdir(exist_ok=True)
    path = CODES / f"{RELEASES[package.version].lower()}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{path}: {len(sets)} value sets, {len(paths)} elements\n")


def main() -> None:
    """Write the codes of each package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--terminology", type=Path, required=True, help="where hl7.terminology is unpacked")
    given = parser.parse_args()
    shared = code_systems(definitions(given.terminology))
    for folder in given.folders:
        write(folder, shared)


if __name__ == "__main__":
    main()
