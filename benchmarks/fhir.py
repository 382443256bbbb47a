"""FHIR beside its peers: JSON to RDF, memory by size of input, and NDJSON to a committed cohort.

usage: python -m benchmarks.fhir [--files FOLDER] [--sizes MB,MB,…] [--speed MB] [--scale MB] [--intake MB] [--docs]

The data are Bundles of Synthea (a folder of JSON), flattened to NDJSON and repeated with new ids and references. Each
measurement is a process of its own; those of one core are pinned to one, in seconds of the processor, the peers by
turns, the best of three turns counts. The Java generator is measured after its warm-up (`conformance/`, needs Java 17
and Maven; left out, and it is said, where they are missing). `--docs` writes the tables into docs/benchmarks.md: a bar
that is missed is said.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.fhir_data import make

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
FOLDER = ROOT / "build" / "bench-fhir"
JAVA = ROOT / "conformance"
SHARED = Path(os.environ.get("PEPR_KG_SHARED", ROOT.parent / "shared"))
MARKS = ("<!-- fhir -->", "<!-- /fhir -->")
TURNS = 3
RDFLIB, FHIR_RESOURCES = 200, 2000  # resources: enough for these two
WARM, MEASURED = 40, 20  # seconds of the Java generator
MEGA = 1_000_000

Result = dict[str, float]


def run(command: list[str], cores: int) -> Result:
    """Run a measurement on so many cores, and return what it found."""
    allowed = sorted(os.sched_getaffinity(0))[-cores:]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    found: Result = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {' '.join(command[-4:])}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return found


def task(*arguments: object, cores: int = 1) -> Result:
    """Run a measurement of `benchmarks.fhir_tasks`."""
    return run([sys.executable, "-m", "benchmarks.fhir_tasks", *map(str, arguments)], cores)


def java_ready() -> bool:
    """Compile the peer in Java and return whether it can be measured."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        print("Java or Maven is not there: the Java generator is left out.")
        return False
    subprocess.run(["mvn", "-q", "-B", "compile"], cwd=JAVA, check=True)
    return True


def java(file: Path, turtle: Path) -> Result:
    """Measure the Java generator on a file, and count the triples that it writes."""
    classes = f"{JAVA}/target/classes:{JAVA}/target/lib/*"
    command = ["java", "-Xmx4g", "-XX:+UseSerialGC", "-cp", classes, "pepr.conformance.Benchmark"]
    found = run([*command, "R4", str(file), "https://fhir.example.org/", str(WARM), str(MEASURED), str(turtle)], 1)
    triples = task("rdf", turtle, "turtle", "lenient")["triples"]
    passes = found["passes"]
    return {
        "seconds": found["seconds"],
        "resources": found["resources"] * passes,
        "triples": triples * passes,
        "bytes": found["input_bytes"] * passes,
    }


@dataclass
class Bars:
    """What was to be reached and what was found."""

    rows: list[list[str]] = field(default_factory=list)

    def add(self, what: str, bar: float, found: float, text: str = "{:.2f}", *, at_most: bool = False) -> None:
        """Note one bar."""
        met = found <= bar if at_most else found >= bar
        limit = f"{'at most' if at_most else 'at least'} {text.format(bar)}"
        self.rows.append([what, limit, text.format(found), "met" if met else "missed"])


def rate(found: Result, what: str) -> float:
    """Return so many a second."""
    return found.get(what, 0.0) / found["seconds"]


def row(name: str, found: Result, note: str = "") -> list[str]:
    """Return a row of the table of speeds."""
    cells = [name]
    for what, unit in (("resources", 1), ("triples", 1), ("bytes", MEGA)):
        cells.append(f"{rate(found, what) / unit:,.{0 if unit == 1 else 1}f}" if found.get(what) else "")
    return [*cells, note]


def speeds(source: Path, one: Path, megabytes: int, bars: Bars) -> list[list[str]]:
    """Measure everybody by turns, one core each, and return the rows."""
    file, turtle, triples = FOLDER / "speed.ndjson", FOLDER / "speed.ttl", FOLDER / "speed.nt"
    make(sorted(source.glob("*.json")), file, megabytes * MEGA)
    plan = {
        "pepr_kg, N-Triples": lambda: task("written", file, "ntriples", triples),
        "pepr_kg, Turtle": lambda: task("written", file, "turtle", turtle),
        "pepr_kg, Turtle, the Bundles once (nothing remembered)": lambda: task("written", one, "turtle"),
        "msgspec, JSON only": lambda: task("json", file, "msgspec"),
        "json, JSON only": lambda: task("json", file, "json"),
        "Oxigraph parses our Turtle": lambda: task("rdf", turtle, "turtle"),
        "Oxigraph parses our N-Triples": lambda: task("rdf", triples, "ntriples"),
        "rdflib reads and writes our Turtle": lambda: task("rdflib", file, RDFLIB),
        "fhir.resources (R4B), JSON to JSON": lambda: task("fhir.resources", file, FHIR_RESOURCES),
    }
    if java_ready():
        plan["Java generator, Turtle, warm"] = lambda: java(one, FOLDER / "java.ttl")
    best: dict[str, Result] = {}
    for _ in range(TURNS):
        for name, measure in plan.items():
            found = measure()
            if name not in best or rate(found, "resources" if "resources" in found else "triples") > rate(
                best[name], "resources" if "resources" in found else "triples"
            ):
                best[name] = found
    ours = best["pepr_kg, Turtle"]
    peer = best["Oxigraph parses our Turtle"]
    bars.add("triples/s of Turtle, times Oxigraph parsing it", 1, rate(ours, "triples") / rate(peer, "triples"))
    peer = best["Oxigraph parses our N-Triples"]
    plain = best["pepr_kg, N-Triples"]
    bars.add("the same for N-Triples", 1, rate(plain, "triples") / rate(peer, "triples"))
    if "Java generator, Turtle, warm" in best:
        slow = best["Java generator, Turtle, warm"]
        bars.add("triples/s of Turtle, times the Java generator", 3, rate(ours, "triples") / rate(slow, "triples"))
    notes = {
        "rdflib reads and writes our Turtle": f"{RDFLIB} resources",
        "fhir.resources (R4B), JSON to JSON": f"{FHIR_RESOURCES:,} resources; no RDF",
        "Java generator, Turtle, warm": f"the Bundles over and over, after {WARM} s",
    }
    return [row(name, found, notes.get(name, "")) for name, found in best.items()]


def memory(source: Path, sizes: list[int], bars: Bars) -> list[list[str]]:
    """Convert files of several sizes as streams, and return the rows."""
    rows, most = [], 0.0
    for size in sizes:
        file = FOLDER / f"{size}.ndjson"
        resources = make(sorted(source.glob("*.json")), file, size * MEGA)
        for syntax in ("ntriples", "turtle"):
            found = task("converted", file, syntax, 1)
            most = max(most, found["memory"])
            rows.append([
                f"{size:,} MB", f"{resources:,}", syntax, f"{found['triples']:,}", f"{found['seconds']:.1f} s",
                f"{rate(found, 'triples'):,.0f}", f"{found['memory']:.0f} MB",
            ])  # fmt: skip
    bars.add("memory at any size of input, MB", 200, most, "{:.0f}", at_most=True)
    return rows


def scaling(source: Path, size: int, bars: Bars) -> list[list[str]]:
    """Convert a file with one process and with two, from disk to disk, and return the rows."""
    file, target = FOLDER / f"{size}.ndjson", FOLDER / "scale.out"
    make(sorted(source.glob("*.json")), file, size * MEGA)
    rows = []
    for syntax in ("ntriples", "turtle"):
        found = {}
        for workers in (1, 2) * 2:
            measured = task("converted", file, syntax, workers, target, cores=2)
            if workers not in found or measured["seconds"] < found[workers]["seconds"]:
                found[workers] = measured
        target.unlink()
        gain = found[1]["seconds"] / found[2]["seconds"]
        times = f"{gain:.2f}"
        bars.add(f"two workers, times one ({syntax})", 1.8, gain)
        rows += [
            [syntax, str(workers), f"{result['seconds']:.1f} s", f"{rate(result, 'resources'):,.0f}",
             f"{rate(result, 'triples'):,.0f}", f"{rate(result, 'bytes') / MEGA:.1f}", times if workers == 2 else ""]
            for workers, result in found.items()
        ]  # fmt: skip
    return rows


def intakes(source: Path, size: int, bars: Bars) -> list[list[str]]:
    """Take NDJSON into a cohort, in our terms and with the resources beside them, and return the rows."""
    file = FOLDER / f"{size}.ndjson"
    make(sorted(source.glob("*.json")), file, size * MEGA)
    rows = []
    for keep in ("terms", "both"):
        found = task("intake", file, keep, cores=2)
        validation = found.get("stage validate", 0.0)
        ours = found["triples"] / (found["seconds"] - validation)
        engine = found["triples"] / found["bulk"]
        bars.add(f"NDJSON to a committed cohort ({keep}), times Oxigraph's bulk load", 0.6, ours / engine)
        stages = ", ".join(
            f"{name.removeprefix('stage ')} {value:.1f} s" for name, value in found.items() if name.startswith("stage ")
        )
        rows.append([
            keep, f"{found['resources']:,}", f"{found['triples']:,}", f"{found['seconds']:.1f} s", stages,
            f"{ours:,.0f}", f"{engine:,.0f}", f"{ours / engine:.2f}", f"{found['memory']:.0f} MB",
        ])  # fmt: skip
    return rows


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Return what it was measured on and with."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    names = ("msgspec", "pyoxigraph", "rdflib", "fhir.resources")
    versions = ", ".join(f"{package} {version(package)}" for package in names)
    load = os.getloadavg()[0]
    busy = (
        f" Other programs ran beside it (load {load:.1f}): the seconds of the clock are upper bounds."
        if load > 1
        else ""
    )
    return (
        f"{name or platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.{busy}"
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fhir")
    parser.add_argument("--files", type=Path, default=SHARED / "fhir" / "synthea-r4")
    parser.add_argument("--sizes", default="10,100,1000", help="MB of NDJSON for the table of memory")
    parser.add_argument("--speed", type=int, default=30, help="MB of NDJSON for the table of speeds")
    parser.add_argument("--scale", type=int, default=1000, help="MB of NDJSON for one process and two")
    parser.add_argument("--intake", type=int, default=100, help="MB of NDJSON to take into a cohort")
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_args()
    if not any(given.files.glob("*.json")):
        sys.exit(f"{given.files} holds no Bundles. Name a folder of Synthea's R4 Bundles: --files FOLDER")
    FOLDER.mkdir(parents=True, exist_ok=True)
    about, bars = machine(), Bars()
    one = FOLDER / "one.ndjson"
    make(sorted(given.files.glob("*.json")), one, 1)
    parts = []
    if given.speed:
        rows = speeds(given.files, one, given.speed, bars)
        head = ["one core", "resources/s", "triples/s", "MB/s of JSON", ""]
        parts.append(
            f"JSON to RDF, {given.speed} MB of NDJSON in memory, by seconds of the processor:\n\n{table(head, rows)}"
        )
    sizes = [int(size) for size in given.sizes.split(",") if size]
    if sizes:
        head = ["input", "resources", "syntax", "triples", "time", "triples/s", "memory at most"]
        parts.append(f"A stream from disk, one process:\n\n{table(head, memory(given.files, sizes, bars))}")
    if given.scale:
        head = ["syntax", "processes", "time", "resources/s", "triples/s", "MB/s of JSON", "times one"]
        parts.append(f"{given.scale} MB from disk to disk:\n\n{table(head, scaling(given.files, given.scale, bars))}")
    if given.intake:
        head = ["kept", "resources", "triples", "in all", "of which", "triples/s without validation",
                "bulk load, triples/s", "times", "memory"]  # fmt: skip
        rows = intakes(given.files, given.intake, bars)
        title = f"{given.intake} MB of NDJSON to a committed cohort, and Oxigraph's bulk load of the same triples:"
        parts.append(f"{title}\n\n{table(head, rows)}")
    first = f"Measured on {datetime.now(UTC):%Y-%m-%d}: {about}\n\n{table(['what', 'bar', 'found', ''], bars.rows)}"
    text = "\n\n".join([first, *parts])
    print(text)
    if given.docs:
        page = PAGE.read_text(encoding="utf-8")
        start, end = MARKS
        before, after = page.split(start)[0], page.split(end)[1]
        PAGE.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
