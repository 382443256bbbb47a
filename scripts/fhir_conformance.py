"""`make fhir-conformance`: the FHIR JSON that we write, judged by HL7's own validator, in R4 and R5.

Two kinds of JSON are judged, for each release. What we offer: the programme, a demonstration cohort and two of its
evaluations, of a dataset that is made for it, by a sample of each type of resource. And what we read back from RDF:
every example in FILES of that release, JSON to Turtle to JSON. An example may itself break a rule (the specification's
own do); what the validator says of it counts against us only if it does not say the same of the original. Nothing asks
a terminology server. The last line is `passed N of M`, over files.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pepr_kg.build import build
from pepr_kg.cohorts import DEMO_AS_OF, load_demo
from pepr_kg.fhir.dialect import DIALECTS
from pepr_kg.fhir.exact import read_json, write_json
from pepr_kg.fhir.offer import export
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.writing import Writer
from pepr_kg.rdf import RdfFormat
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.store import Dataset

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "R4": ("r4-official-pairs", "fr-r4-pairs-eprescription", "fr-r4-pairs-annuaire", "fr-r4-data-in-r5-style-essais"),
    "R5": ("r5-official-json", "r5-pairs-2025", "r5-pairs-2026"),
}
BASE = "https://fhir.example.org/"
PATIENTS = 12
OF_A_TYPE = 40  # resources of one type in a sample


def validate(release: str, folder: Path) -> dict[str, set[tuple[str, str]]]:
    """Return what the validator calls an error, place and sentence, by name of file.

    A process for each folder: what the validator says of a file depends on what it has seen before. Files of the same
    names in the same order are judged alike.
    """
    classes = f"{ROOT}/conformance/target/classes:{ROOT}/conformance/target/lib/*"
    command = ["java", "-Xmx4g", "-cp", classes, "pepr.conformance.Validate", release, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode not in {0, 1} or not lines or " files, " not in lines[-1]:
        sys.exit(f"The validator failed: {done.stderr[-2000:]}")
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for line in lines[:-1]:
        name, severity, place, text = line.split("\t")
        if severity == "error":
            found[Path(name).name].add((place, text))
    return found


def demonstration(folder: Path) -> tuple[Dataset, list[str]]:
    """Return a dataset with a cohort, of which two models were evaluated, and what of it is offered."""
    dataset = Dataset(folder)
    build(dataset)
    load_demo(dataset, PATIENTS)
    day = datetime.fromisoformat(f"{str(DEMO_AS_OF)[:10]}T23:59:59+00:00")
    runs = [
        evaluate(dataset, Request("score2", cohort="demo", as_of=day, scenarios=("base", "smoker=0"))),
        evaluate(dataset, Request("disease-course", cohort="demo", as_of=day, samples=20)),
    ]
    return dataset, ["programme", "cohort:demo", *(f"run:{run.iri.rpartition('/')[2]}" for run in runs)]


def sample(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield some resources of each type."""
    seen: dict[str, int] = defaultdict(int)
    for line in b"".join(lines).splitlines():
        kind = str(read_json(line)["resourceType"])  # type: ignore[index,call-overload]
        seen[kind] += 1
        if seen[kind] <= OF_A_TYPE:
            yield line


def offered(release: str, dataset: Dataset, whats: list[str], folder: Path) -> None:
    """Write a sample of what we offer into a folder, a file for each resource."""
    folder.mkdir()
    for what in whats:
        for number, line in enumerate(sample(export(dataset.view(), what, release))):
            (folder / f"{what.replace(':', '-').replace('/', '-')}-{number}.json").write_bytes(line)


def read_back(release: str, shared: Path, originals: Path, folder: Path) -> None:
    """Write every example of a release as it is, and as it comes back from Turtle."""
    originals.mkdir()
    folder.mkdir()
    for name in EXAMPLES[release]:
        files = sorted((shared / name).glob("*.json"))
        if not files:
            sys.stdout.write(f"{name}: not there, left out\n")
        for path in files:
            writer = Writer(DIALECTS[release], BASE)
            turtle = writer.head + writer.write(path.read_bytes()).text
            (resource,) = read_graph(turtle, RdfFormat.TURTLE, release=release).resources
            target = f"{name}--{path.name}"
            (originals / target).write_bytes(path.read_bytes())
            (folder / target).write_text(write_json(resource.json), encoding="utf-8")


def judge(release: str, folder: Path) -> tuple[int, int]:
    """Validate what stands in the folder of a release, print what is wrong, return how much passed of how much."""
    originals = validate(release, folder / "originals")
    passed = total = 0
    for kind in (folder / "offered", folder / "back"):
        good, files, excused = 0, sorted(kind.glob("*.json")), 0
        errors = validate(release, kind)
        for path in files:
            found = errors.get(path.name, set())
            left = found - originals.get(path.name, set())
            excused += len(found) - len(left)
            good += not left
            for place, text in sorted(left):
                sys.stdout.write(f"  {path.name} {place}: {text}\n")
        what = "what we offer" if kind.name == "offered" else "read back from RDF"
        aside = f"; {excused} errors are the originals' own" if excused else ""
        sys.stdout.write(f"{release}, {what}: {good} of {len(files)} files without errors{aside}\n")
        passed, total = passed + good, total + len(files)
    return passed, total


def main() -> None:
    """Make the files, have them judged, print the sum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path)
    shared: Path = parser.parse_args().files
    passed = total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset, whats = demonstration(folder / "data")
        for release in EXAMPLES:
            place = folder / release
            place.mkdir()
            offered(release, dataset, whats, place / "offered")
            read_back(release, shared, place / "originals", place / "back")
            good, count = judge(release, place)
            passed, total = passed + good, total + count
    sys.stdout.write(f"passed {passed} of {total}\n")
    sys.exit(0 if passed == total else 1)


if __name__ == "__main__":
    main()
