"""Convert every FHIR JSON file of a folder to RDF and back, in each release that applies, and compare.

Equal means: the same keys, every number and string byte for byte, arrays in the same order. A file is written in each
release whose style it can wear (R4 data in R4, R4B, R5 and R6, R5 data in R5 and R6), in Turtle and in N-Triples,
where the release knows its type. An element that a release does not know travels as JSON and is counted. A line for
each folder and each failure; the last line is `passed N of M`, where M counts file × release. A file that is no JSON
must be refused with its line: it is named and left out of M. Exit code 1 where one fails.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pepr_kg.errors import PeprError
from pepr_kg.fhir.dialect import DIALECTS, Dialect, Release
from pepr_kg.fhir.exact import Json, difference, read_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.writing import Syntax, Writer
from pepr_kg.rdf import RdfFormat

BASE = "https://fhir.example.org/"
SYNTAXES: tuple[tuple[Syntax, RdfFormat], ...] = (("turtle", RdfFormat.TURTLE), ("ntriples", RdfFormat.N_TRIPLES))


@dataclass(slots=True)
class Tally:
    """What came of one folder."""

    passed: int = 0
    tried: int = 0
    triples: int = 0
    seconds: float = 0.0
    releases: Counter[str] = field(default_factory=Counter)
    kept: int = 0  # conversions in which something travelled as JSON


def releases_of(folder: str, value: Json) -> tuple[Release, ...]:
    """Return the releases that a resource can be written in: its own and the later ones that know its type."""
    kind = value.get("resourceType") if isinstance(value, dict) else None
    is_later = "r5-" in folder and "r4-" not in folder
    first: tuple[Release, ...] = ("R5", "R6") if is_later else ("R4", "R4B", "R5", "R6")
    found = tuple(release for release in first if kind in load_table(release).resources)
    return found or tuple(release for release in DIALECTS if kind in load_table(release).resources)


def convert(raw: bytes, value: Json, dialect: Dialect, tally: Tally) -> str | None:
    """Return why a file does not come back in a dialect, or None."""
    kept = False
    for syntax, kind in SYNTAXES:
        writer = Writer(dialect, BASE, syntax=syntax)
        try:
            written = writer.write(raw)
            text = writer.head + written.text
            reading = read_graph(text, kind)
        except PeprError as error:
            return f"{syntax}: {error}"
        if len(reading.resources) != 1:
            return f"{syntax}: {len(reading.resources)} resources came back"
        where = difference(value, reading.resources[0].json)
        if where is not None:
            return f"{syntax}: differs at {where}" + "".join(
                f"; {found.message('en')}" for found in reading.problems[:2]
            )
        errors = [found for found in reading.problems if found.severity != "information"]
        if errors:
            return f"{syntax}: read with a problem: {errors[0].message('en')}"
        tally.triples += written.triples
        kept = kept or b"unrecognised" in text
    tally.kept += kept
    return None


def check(path: Path, tally: Tally) -> None:
    """Convert one file in each release that applies; print what fails."""
    name = f"{path.parent.name}/{path.name}"
    raw = path.read_bytes()
    try:
        value = read_json(raw)
    except BadJson as error:
        print(f"{name}: refused, as it must be: {error}")
        return
    releases = releases_of(path.parent.name, value)
    if not releases:
        print(f"{name}: left out: not a FHIR resource of a release that is known")
    for release in releases:
        tally.tried += 1
        tally.releases[release] += 1
        reason = convert(raw, value, DIALECTS[release], tally)
        if reason is None:
            tally.passed += 1
        else:
            print(f"{name} in {release}: {reason}", flush=True)


def main() -> int:
    """Run over the folder given; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds FHIR JSON files, at any depth")
    folder: Path = parser.parse_args().folder
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.json")):
        files.setdefault(str(path.parent.relative_to(folder)), []).append(path)
    if not files:
        print(f"{folder}: no .json file in it")
        return 2
    passed = tried = 0
    for name, paths in files.items():
        tally = Tally()
        start = time.perf_counter()
        for path in paths:
            check(path, tally)
        tally.seconds = time.perf_counter() - start
        shown = ", ".join(f"{release} {count}" for release, count in sorted(tally.releases.items()))
        kept = f", {tally.kept} with elements that the release does not know" if tally.kept else ""
        size = f"{tally.triples:,} triples, {tally.seconds:.1f} s"
        print(f"{name}: {tally.passed} of {tally.tried} ({shown}{kept}; {size})", flush=True)
        passed, tried = passed + tally.passed, tried + tally.tried
    print(f"passed {passed} of {tried}")
    return 0 if passed == tried else 1


if __name__ == "__main__":
    sys.exit(main())
