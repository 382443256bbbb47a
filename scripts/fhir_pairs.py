"""`make fhir-pairs PAIRS=…`: what we write against what others wrote, by graph isomorphism, and what we can read.

A folder that claims a specification holds JSON and Turtle of one resource. The JSON, written as that specification
asks, must give the same graph as the Turtle (RDFC-1.0). Two things are not compared: the narrative, whose white space
no two tools agree on, and `meta.lastUpdated` where the Turtle has none: the build sets it, not the author.
IRIs of the Turtle that no IRI may be are percent-encoded first. The last line is `passed N of M`, over these pairs.

The Turtle of the other folders claims no specification and is read only: it must give one resource of the right type.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fhir_xml import read_xml
from pyoxigraph import CanonicalizationAlgorithm, Dataset, Literal, NamedNode, Quad, RdfFormat, parse

from pepr_kg.errors import PeprError
from pepr_kg.fhir.dialect import FHIR, R4, R5, R6, Dialect
from pepr_kg.fhir.exact import difference, read_json, write_json
from pepr_kg.fhir.iris import escape_iri
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.writing import Writer

# The guides of 2026 link every uri by fhir:l and write classes with a capital, as R6 does; the rest is R5.
R5_OF_2026 = replace(R5, links="l", uri_links=True, upper_classes=True)
WRITTEN: Mapping[str, Dialect] = {
    "r4-official-pairs": R4,
    "fr-r4-pairs-eprescription": R4,
    "fr-r4-pairs-annuaire": R4,
    "r5-pairs-2026": R5_OF_2026,
}
EXPECTATIONS = "core-expected"
READ = ("fr-r4-data-in-r5-style-essais", "r4-data-in-r5-style-2024", "r5-pairs-2025", "validator-turtle-cases")
# Pairs that cannot agree, and why the fault is not with what we write. They count as not passed.
STAMPED = "the JSON is of another build than the Turtle: its build added a version, a date or an extension of its own"
DEFECTS: Mapping[str, str] = {
    "codesystem-example": STAMPED,
    "codesystem-example-summary": STAMPED,
    "codesystem-nhin-purposeofuse": STAMPED,
    "observation-decimal": "the Turtle has exponents in xsd:decimal, which allows none, and other digits than the JSON",
    "plandefinition-example-cardiology-os": "the Turtle is none: a prefixed name with spaces, sct:look up value",
    "valueset-cpt-all": STAMPED,
    "valueset-example": STAMPED,
    "valueset-example-filter": STAMPED,
    "valueset-example-hierarchical": STAMPED,
    "valueset-example-intensional": STAMPED,
    "valueset-example-yesnodontknow": STAMPED,
}
MASK = Literal("masked")
DIV = {f"{FHIR}Narrative.div", f"{FHIR}div"}


def graph_of(text: bytes) -> set[Quad]:
    """Return the quads of Turtle with legal IRIs and the narrative masked."""
    quads = list(
        parse(text.removeprefix(b"\xef\xbb\xbf"), RdfFormat.TURTLE, base_iri="http://base.example/", lenient=True)
    )
    holders = {quad.object for quad in quads if quad.predicate.value in DIV}
    found = set()
    for quad in quads:
        subject, predicate, value = (
            NamedNode(escape_iri(term.value)) if isinstance(term, NamedNode) else term
            for term in (quad.subject, quad.predicate, quad.object)
        )
        narrative = predicate.value in DIV or (predicate.value == f"{FHIR}v" and quad.subject in holders)
        if narrative and isinstance(value, Literal):
            value = MASK
        found.add(Quad(subject, predicate, value))
    return found


def canonical(quads: set[Quad]) -> set[Quad]:
    """Return the quads with canonical names for their blank nodes."""
    dataset = Dataset(quads)
    dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
    return set(dataset)


def base_of(expected: set[Quad]) -> str:
    """Return the base under which the Turtle names its resource."""
    for quad in expected:
        if quad.predicate.value == f"{FHIR}nodeRole" and isinstance(quad.subject, NamedNode):
            return quad.subject.value.rsplit("/", 2)[0] + "/"
    return FHIR


def compare(source: bytes, expected_text: bytes, dialect: Dialect) -> tuple[str, str]:
    """Return in what our graph differs from the expected one, and what was left out to compare them; mostly nothing."""
    expected = graph_of(expected_text)
    theirs = canonical(expected)
    ours = canonical(written(source, dialect, expected))
    if ours == theirs:
        return "", ""
    stamp = "lastUpdated"
    if not any(quad.predicate.value.endswith(stamp) for quad in theirs):
        resource = read_json(source)
        meta = resource.get("meta") if isinstance(resource, dict) else None
        if isinstance(resource, dict) and isinstance(meta, dict) and meta.pop(stamp, None):
            if not meta:
                del resource["meta"]
            ours = canonical(written(write_json(resource).encode(), dialect, expected))
            if ours == theirs:
                return "", f"the same but for meta.{stamp}, which the Turtle does not have"
    return describe(ours, theirs), ""


def written(source: bytes, dialect: Dialect, expected: set[Quad]) -> set[Quad]:
    """Return what we write, under the base of the expected graph."""
    writer = Writer(dialect, base_of(expected), as_published=True)
    return graph_of(writer.head + writer.write(source).text)


def describe(ours: set[Quad], theirs: set[Quad]) -> str:
    """Return what stands on one side only, by predicate and value: names of blank nodes say nothing."""
    mine, other = sorted(map(shown, ours)), sorted(map(shown, theirs))
    extra, missing = subtract(mine, other), subtract(other, mine)
    text = [f"+ {item}" for item in extra[:3]] + [f"- {item}" for item in missing[:3]]
    return f"{len(extra)} more, {len(missing)} fewer: {' | '.join(text) or 'other structure'}"


def shown(quad: Quad) -> str:
    """Return a triple without blank nodes."""
    subject = str(quad.subject) if isinstance(quad.subject, NamedNode) else ""
    value = str(quad.object) if isinstance(quad.object, NamedNode | Literal) else "[]"
    return f"{subject} {quad.predicate.value.removeprefix(FHIR)} {value[:110]}".strip()


def subtract(left: list[str], right: list[str]) -> list[str]:
    """Return what a list has more often than another."""
    rest = list(left)
    for item in right:
        if item in rest:
            rest.remove(item)
    return rest


def pairs_of(folder: Path) -> Iterator[tuple[str, Path, Path, Dialect]]:
    """Return name, source, Turtle and dialect of each pair of a folder."""
    if folder.name != EXPECTATIONS:
        for turtle in sorted(folder.glob("*.ttl")):
            source = turtle.with_suffix(".json")
            if source.is_file():
                yield turtle.stem, source, turtle, WRITTEN[folder.name]
        return
    releases = {"-R4": R4, "-R5": replace(R5, narrative_xml=True), "-R6": R6}
    for turtle in sorted(folder.glob("*.ttl")):
        # The generator read the XML. The JSON beside it, where there is one, is of another build.
        yield turtle.stem, turtle.with_suffix(".xml"), turtle, releases[turtle.stem[-3:]]


@dataclass(slots=True)
class Tally:
    """What came out of a folder: how many passed, of how many, and what there is to say of some."""

    passed: int = 0
    total: int = 0
    masked: int = 0
    notes: list[str] = field(default_factory=list)

    def show(self, title: str) -> None:
        """Print a line for the folder and one for each note."""
        masked = f" ({self.passed - self.masked} as they stand, {self.masked} without meta.lastUpdated)"
        print(f"{title}: {self.passed} of {self.total}{masked if self.masked else ''}")
        for note in self.notes:
            print(f"  {note}")


def write_folder(folder: Path) -> Tally:
    """Return how the pairs of a folder compare."""
    tally = Tally()
    for name, source, turtle, dialect in pairs_of(folder):
        tally.total += 1
        try:
            data = source.read_bytes() if source.suffix == ".json" else read_xml(source, dialect.table)
            fault, left_out = compare(data, turtle.read_bytes(), dialect)
        except (PeprError, SyntaxError, OSError, KeyError) as error:
            fault, left_out = f"{type(error).__name__}: {error}", ""
        tally.passed += not fault
        tally.masked += bool(left_out)
        if fault or left_out:
            tally.notes.append(f"{name}: {fault or left_out}")
        if fault and name in DEFECTS:
            tally.notes.append(f"  known defect: {DEFECTS[name]}")
    return tally


def read_folder(folder: Path) -> Tally:
    """Return how much Turtle of a folder could be read."""
    tally = Tally()
    equal = 0
    for turtle in sorted(folder.glob("*.ttl")):
        tally.total += 1
        try:
            reading = read_graph(turtle.read_bytes(), RdfFormat.TURTLE)
        except PeprError as error:
            tally.notes.append(f"{turtle.stem}: {error}")
            continue
        if len(reading.resources) != 1:
            tally.notes.append(f"{turtle.stem}: {len(reading.resources)} resources instead of one")
            continue
        tally.passed += 1
        source = turtle.with_suffix(".json")
        if not source.is_file():
            continue
        try:
            expected = without_narrative(read_json(source.read_bytes()))
        except PeprError as error:
            tally.notes.append(f"{turtle.stem}: read; its JSON cannot be: {error}")
            continue
        place = difference(expected, without_narrative(reading.resources[0].json))
        equal += place is None
        if place is not None:
            tally.notes.append(f"{turtle.stem}: read; not as the JSON at {place}")
    tally.notes.insert(0, f"{equal} of them equal to the JSON but for the narrative")
    return tally


def without_narrative(resource: object) -> object:
    """Return a resource without the markup of its narratives."""
    if isinstance(resource, dict):
        return {name: without_narrative(value) for name, value in resource.items() if name != "div"}
    if isinstance(resource, list):
        return [without_narrative(item) for item in resource]
    return resource


def main() -> int:
    """Run over the folders. Returns 1 where a pair fails that has no known defect, or Turtle cannot be read."""
    parser = argparse.ArgumentParser(description="Compare what we write with what others wrote, and read the rest.")
    parser.add_argument("pairs", type=Path, help="the folder of the folders")
    root = parser.parse_args().pairs
    whole = Tally()
    faults = 0
    for name in (*READ, *WRITTEN, EXPECTATIONS):
        folder = root / name
        if not folder.is_dir():
            print(f"{name}: not there, left out")
            continue
        if name in READ:
            tally = read_folder(folder)
            tally.show(f"{name}: read")
            faults += tally.total - tally.passed
            continue
        tally = write_folder(folder)
        tally.show(name)
        whole.passed, whole.total = whole.passed + tally.passed, whole.total + tally.total
        faults += tally.total - tally.passed - sum(note.startswith("  known") for note in tally.notes)
    print(f"passed {whole.passed} of {whole.total}")
    return 1 if faults or not whole.total else 0


if __name__ == "__main__":
    sys.exit(main())
