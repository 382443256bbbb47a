"""`make bench-start`: sizes of the dataset, time of a build, and time from a start to the first answer.

The peer of a start is rdflib reading the same Turtle files into memory, in the same run: what a
Python program without a store would do each time it starts.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median

import rdflib

from pepr_kg.build import build, sources
from pepr_kg.questions import ask, find_question, load_questions
from pepr_kg.resources import read_query
from pepr_kg.store import Dataset, View

RUNS = 5


def main() -> None:
    """Print every figure that the notes and `docs/benchmarks.md` give."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder) / "data")
        built = build(dataset)
        sizes(built.view)
        print(
            f"shapes: {built.report.shapes} with {built.report.constraints} constraints; "
            f"quality queries: {built.report.queries}; violations: {len(built.report.violations)}"
        )
        print(f"build and validation: {built.seconds:.2f} s")
        starts = [start(dataset.path) for _ in range(RUNS)]
        peers = [read_with_rdflib() for _ in range(2)]
        print(f"start on a built dataset, until /health answers: median {median(starts):.2f} s of {RUNS}")
        print(f"rdflib reading the same files: {median(peers):.2f} s; ratio {median(peers) / median(starts):.1f}")


def sizes(view: View) -> None:
    """Print what the dataset holds."""
    for graph, count in view.counts().items():
        print(f"triples in {graph}: {count}")
    classes = find_question("terms-by-kind")
    for row in ask(view, classes, {}, "en").iter_dicts():
        print(f"own terms that are {row['kind'].value.partition('#')[2]}: {row['terms'].value}")
    documents = ask(view, find_question("statements-per-document"), {}, "en")
    page, everything = (cell.value for cell in view.select(read_query("pages/page-statements")).rows[0] if cell)
    print(f"statements: {everything} from {len(documents)} documents, {page} of them of the ANR page")
    questions = load_questions().values()
    print(f"stored queries: {sum(1 for item in questions if not item.finding)}")


def start(data: Path) -> float:
    """Return the seconds from the command to the first answer of /health."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pepr_kg", "serve", "--port", "0", "--data", str(data), "--format", "json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    said = ""
    while not said.endswith("}\n"):
        said += process.stdout.readline()
    address = json.loads(said)["address"]
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                return time.perf_counter() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
    finally:
        process.terminate()
        process.wait()


def read_with_rdflib() -> float:
    """Return the seconds that rdflib takes to read what a build reads."""
    began = time.perf_counter()
    graph = rdflib.Graph()
    for paths in sources().values():
        for path in paths:
            graph.parse(path)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
