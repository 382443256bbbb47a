"""`make fhir-shex PAIRS=…`: what we write of R4 resources against the R4 ShEx schema, by rudof.

Every JSON file of the folders with R4 data is written as Turtle and its resource compared with the shape of its type. A
Bundle is taken apart: each entry's resource by itself, under its full URL, and the Bundle without its resources; a
shape over the whole would only say that something in it is wrong. The schema is `PAIRS/schema/fhir-r4.shex`, with one
correction: its `canonical` forbids the `fhir:link` that the specification's own examples have.

A line for each folder and each resource that does not conform; the last one is `passed N of M`. First a resource that
is wrong on purpose must be refused: a schema that lets everything through would pass everything.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyrudof

from pepr_kg.fhir.dialect import R4
from pepr_kg.fhir.exact import Json, read_json, write_json
from pepr_kg.fhir.writing import Writer

FOLDERS = (
    "r4-official-pairs",
    "fr-r4-pairs-eprescription",
    "fr-r4-pairs-annuaire",
    "fr-r4-data-in-r5-style-essais",
    "r4-data-in-r5-style-2024",
    "synthea-r4",
)
BASE = "https://fhir.example.org/"
SHAPE = "http://hl7.org/fhir/shape/"
CLOSED, CORRECTED = "<canonical> CLOSED {\n", "<canonical> CLOSED {\n    fhir:link IRI?;\n"
AT_ONCE = 100
PREFIXES = Writer(R4, BASE).head

Object = dict[str, Json]


class Schema:
    """The schema, ready to judge resources."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        if text.count(CLOSED) != 1:
            sys.exit(f"{path} does not have the shape of canonical that is to be corrected.")
        self.rudof = pyrudof.Rudof(pyrudof.RudofConfig())
        self.rudof.read_shex(text.replace(CLOSED, CORRECTED), pyrudof.ShExFormat.ShExC)

    def refused(self, batch: list["Part"]) -> list["Part"]:
        """Return the parts of a batch whose node does not conform to the shape of its type."""
        self.rudof.reset_data()  # read_data adds to what was read before, whatever its page says
        turtle = PREFIXES + b"".join(part.turtle for part in batch)
        self.rudof.read_data(turtle.decode(), pyrudof.RDFFormat.Turtle, reader_mode=pyrudof.ReaderMode.Strict)
        self.rudof.read_shapemap(",\n".join(f"<{part.subject}>@<{SHAPE}{part.kind}>" for part in batch))
        report = self.rudof.validate_shex()
        if len(report) != len(batch):
            sys.exit(f"rudof judged {len(report)} nodes of {len(batch)}.")
        judged = {entry.node: entry.status for entry in report}
        return [part for part in batch if judged[part.subject] != "conformant"]


@dataclass(frozen=True, slots=True)
class Part:
    """A resource as it is judged: where it stands, its type, its node and Turtle, what was noticed when writing it."""

    place: str
    kind: str
    subject: str
    turtle: bytes
    noticed: str


WRONG = Part(
    "wrong on purpose",
    "Patient",
    f"{BASE}Patient/wrong",
    b"<%bPatient/wrong> a fhir:Patient ; fhir:Patient.unheardOf [ fhir:value true ] .\n" % BASE.encode(),
    "",
)


def parts(resource: Object, name: str) -> Iterator[tuple[str, Object, str]]:
    """Return place, resource and full URL: a Bundle without its resources, then each of these."""
    entries = resource.get("entry")
    if resource["resourceType"] != "Bundle" or not isinstance(entries, list):
        yield name, resource, f"{BASE}{resource['resourceType']}/{quote(name, safe='')}"
        return
    # an entry of a resource only would be an empty node: what stays is the number, as its id
    stubs = [{"id": f"e{number}", **entry, "resource": None} for number, entry in enumerate(entries)]
    stubs = [{key: value for key, value in stub.items() if value is not None} for stub in stubs]
    yield name, {**resource, "entry": stubs}, f"{BASE}Bundle/{quote(name, safe='')}"
    for number, entry in enumerate(entries):
        inner = entry.get("resource")
        if isinstance(inner, dict):
            given = entry.get("fullUrl")
            url = given if isinstance(given, str) else f"{BASE}{inner['resourceType']}/{quote(name, safe='')}-{number}"
            yield from parts_of_entry(inner, f"{name} entry {number}", url)


def parts_of_entry(resource: Object, name: str, url: str) -> Iterator[tuple[str, Object, str]]:
    """Return what an entry holds: a resource, or a Bundle in the Bundle."""
    if resource["resourceType"] == "Bundle":
        yield from parts(resource, name)
    else:
        yield name, resource, url


def written(writer: Writer, place: str, resource: Object, url: str) -> Part:
    """Return a resource as it is judged."""
    found = writer.write(write_json(resource), full_url=url)
    said = [problem.message("en") for problem in found.problems if problem.severity != "information"]
    noticed = "; ".join(said[:3]) or "nothing was noticed when it was written"
    return Part(place, str(resource["resourceType"]), found.subject, found.text, noticed)


def batches(every: Iterator[Part]) -> Iterator[list[Part]]:
    """Return parts many at a time; one node stands in a batch once."""
    batch: dict[str, Part] = {}
    for part in every:
        if len(batch) == AT_ONCE or part.subject in batch:
            yield list(batch.values())
            batch = {}
        batch[part.subject] = part
    if batch:
        yield list(batch.values())


def main() -> None:
    """Judge every resource, say which do not conform."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path)
    pairs: Path = parser.parse_args().pairs
    schema = Schema(pairs / "schema" / "fhir-r4.shex")
    if not schema.refused([WRONG]):
        sys.exit("The schema lets a wrong resource through: nothing that it says would mean anything.")
    writer = Writer(R4, BASE)
    passed = total = 0
    for folder in FOLDERS:
        files = sorted((pairs / folder).glob("*.json"))
        if not files:
            sys.stdout.write(f"{folder}: not there, left out\n")
            continue
        found = (part for path in files for part in parts(read_json(path.read_bytes()), path.stem))
        good = count = 0
        for batch in batches(written(writer, *part) for part in found):
            refused = schema.refused(batch)
            for part in refused:
                sys.stdout.write(f"  {folder}/{part.place} ({part.kind}): {part.noticed}\n")
            count, good = count + len(batch), good + len(batch) - len(refused)
        sys.stdout.write(f"{folder}: {good} of {count} conform ({len(files)} files)\n")
        passed, total = passed + good, total + count
    sys.stdout.write(f"passed {passed} of {total}\n")
    sys.exit(0 if passed == total else 1)


if __name__ == "__main__":
    main()
