"""From triples to predictions in the graph: a cohort with ten observations each, stage by stage; and how large it gets.

usage: python -m benchmarks.cohort [--patients N] [--large N,N,…] [--draws N] [--docs]

Stages are timed from the outside: the engine (Oxigraph: bulk load, queries, commit), the solver (blocks of lanes), and
all the rest, which is Arrow, NumPy and Parquet. Validation by SHACL is timed apart. With `--large` the same cohort is
evaluated with three scenarios and draws on two processes, for each of these sizes, and memory is what the program had
at most. `--docs` writes the tables into docs/benchmarks.md.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pepr_kg.build import build
from pepr_kg.cohorts import bench_cohort
from pepr_kg.namespaces import COHORT
from pepr_kg.store import Change, Dataset, NamedNode
from pepr_kg.validation import Report, validate_graphs
from pepr_kg.view import View

AS_OF = datetime(2026, 11, 1, 23, 59, 59, tzinfo=UTC)
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BAR = 0.70


class Clock:
    """Seconds by name, measured around functions that are replaced for as long as this process lives."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, owner: object, name: str, label: str) -> None:
        """Measure every call of `owner.name` that is not inside another one that is measured."""
        original = getattr(owner, name)

        def measured(*arguments: object, **named: object) -> object:
            if self.inside:
                return original(*arguments, **named)
            self.inside = True
            started = time.perf_counter()
            try:
                return original(*arguments, **named)
            finally:
                self.inside = False
                self.add(label, time.perf_counter() - started)

        setattr(owner, name, measured)

    inside = False

    def add(self, label: str, seconds: float) -> None:
        """Add seconds to a name."""
        self.seconds[label] = self.seconds.get(label, 0.0) + seconds

    @contextmanager
    def stage(self, label: str):
        """Measure a stage from its start to its end."""
        started = time.perf_counter()
        yield
        self.add(label, time.perf_counter() - started)


def load(dataset: Dataset, patients: int) -> None:
    """Put the cohort of the benchmark into a dataset, unchecked."""
    graph = NamedNode(COHORT + "bench")
    with dataset.change(who="bench", source="bench") as change, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.nt"
        with path.open("wb") as file:
            for block in bench_cohort(patients):
                file.write(block)
        started = time.perf_counter()
        change.bulk(path, graph)
        change.commit()
        print(f"loaded {dataset.view().counts()[graph.value]} triples in {time.perf_counter() - started:.1f} s")


def stages(patients: int) -> list[tuple[str, str]]:
    """Return the rows of the table of stages."""
    from pepr_kg.runs import blocks, evaluation
    from pepr_kg.runs.evaluation import Request, evaluate

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder) / "data")
        build(dataset)
        clock.around(View, "csv", "engine: queries of the bindings")
        clock.around(View, "select", "engine: other queries")
        clock.around(Change, "bulk", "engine: bulk load")
        clock.around(Change, "__init__", "engine: copy of the version")
        clock.around(blocks, "compute", "solver")
        clock.around(evaluation, "compute", "solver")
        from pepr_kg.runs import executors

        clock.around(executors, "compute", "solver")
        checked = {"seconds": 0.0}

        def check(view: View, graphs: object) -> Report:
            started, clock.inside = time.perf_counter(), True  # its queries are its own
            try:
                return validate_graphs(view, graphs)  # type: ignore[arg-type]
            finally:
                clock.inside = False
                checked["seconds"] += time.perf_counter() - started

        original = Change.commit

        def commit(self: Change, test: Callable[[View], None] | None = None) -> View:
            before, started = checked["seconds"], time.perf_counter()
            inner = sum(clock.seconds.values())
            try:
                return original(self, test)
            finally:
                spent = time.perf_counter() - started - (checked["seconds"] - before)
                clock.add("engine: commit", spent - max(0.0, sum(clock.seconds.values()) - inner))

        Change.commit = commit  # type: ignore[method-assign]
        started = time.perf_counter()
        load(dataset, patients)
        loaded = time.perf_counter() - started
        begun = time.perf_counter()
        run = evaluate(
            dataset, Request("score2", cohort="bench", as_of=AS_OF, scenarios=("base", "smoker=0")), validate=check
        )
        spent = time.perf_counter() - begun - checked["seconds"]
        total = loaded + spent
        engine = sum(value for name, value in clock.seconds.items() if name.startswith("engine"))
        solver = clock.seconds.get("solver", 0.0)
        share = (engine + solver) / total
        rows = [(name, f"{value:.2f} s") for name, value in sorted(clock.seconds.items())]
        rows += [
            ("everything else (Arrow, NumPy, Parquet, writing the cohort's file)", f"{total - engine - solver:.2f} s"),
            ("in all, from triples to predictions", f"{total:.1f} s"),
            (f"share of engine and solver (bar {BAR:.0%})", f"{share:.0%}"),
            (f"validation by pySHACL, apart ({'whole' if run.specimen is None else f'{run.specimen} patients'})",
             f"{checked['seconds']:.1f} s"),
            ("patients a second, from triples", f"{patients / total:.0f}"),
            ("patients a second, from the loaded cohort", f"{patients / spent:.0f}"),
            ("evaluated, of patients", f"{run.evaluated} of {run.patients}"),
            ("predictions and triples written", f"{run.predictions}, {run.triples}"),
            ("memory at most", f"{memory_at_most():.2f} GB"),
        ]  # fmt: skip
    return rows


def grow(patients: int, draws: int) -> list[str]:
    """Return a row: size, seconds of computing, patients and lanes a second, memory at most."""
    from pepr_kg.runs.evaluation import Request, evaluate

    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder) / "data")
        build(dataset)
        load(dataset, patients)
        request = Request(
            "pk2-oral", cohort="bench", as_of=AS_OF, scenarios=("base", "dose*0.5", "dose*2"), samples=draws, points=5,
            outputs=("conc_central",), fit=False,
        )  # fmt: skip
        run = evaluate(dataset, request, executor="pool", workers=2)
        seconds = run.seconds["compute"]
        whole = sum(run.seconds.values())
        memory = memory_at_most()
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        lanes = patients * 3 * draws
        size = sum(path.stat().st_size for path in run.folder.iterdir()) / 1e6
    return [f"{patients:,}", f"{lanes:,}", f"{seconds:.0f} s", f"{whole:.0f} s", f"{lanes / seconds:,.0f}",
            f"{memory:.2f} GB", f"{child:.2f} GB", f"{size:.0f} MB"]  # fmt: skip


def memory_at_most() -> float:
    """Return the most memory that this program had, in GB; what its parent had before it started does not count."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e6


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Return what it was measured on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return f"{name or platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort")
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--large", default="")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_args()
    if given.grow:
        print("\t".join(grow(given.grow, given.draws)))
        return
    parts = [f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine()}."]
    if given.patients:
        rows = [list(row) for row in stages(given.patients)]
        parts.append(table([f"{given.patients:,} patients, ten observations each, SCORE2, two scenarios", ""], rows))
        print(parts[-1])
    sizes = [int(size) for size in given.large.split(",") if size]
    if sizes:
        grown = []
        for size in sizes:  # each in a process of its own: memory is that of one size
            command = [sys.executable, "-m", "benchmarks.cohort", "--grow", str(size), "--draws", str(given.draws)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            grown.append(done.stdout.strip().splitlines()[-1].split("\t"))
            print(grown[-1], flush=True)
        head = ["patients", "lanes", "computing", "in all", "lanes a second", "memory", "of a process", "files"]
        parts.append(table(head, grown))
    if given.docs:
        text = PAGE.read_text(encoding="utf-8")
        start, end = "<!-- cohort -->", "<!-- /cohort -->"
        before, after = text.split(start)[0], text.split(end)[1]
        PAGE.write_text(before + start + "\n" + "\n\n".join(parts) + "\n" + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
