"""Run the semantic cases of the SBML Test Suite and say, case by case, what came out.

A case passes when every cell is within `absolute + relative
|expected|`. FAIL is a wrong answer, REFUSED an answer that was not given, with the construct that is not evaluated;
NOTRUN is a case without a time course to compare. The table goes to REPORT.csv (build/sbml-suite.csv) and, as
Markdown, beside it. Exit code 1 where a case fails.
"""

import argparse
import csv
import io
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pepr_kg.errors import PeprError
from pepr_kg.twin import evaluate
from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.sbml.reading import read_model
from pepr_kg.twin.status import Status

SECONDS = 300  # a case that takes longer has failed
TIERS = ("A", "B", "C", "random")  # what must pass whole, first in the table
BEGIN, END = "<!-- made by make sbml-suite: begin -->", "<!-- made by make sbml-suite: end -->"
OUTCOMES = ("PASS", "FAIL", "REFUSED", "NOTRUN")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    case: str
    tier: str
    result: str
    reason: str
    peer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings file of a case."""

    start: float
    duration: float
    steps: int
    variables: tuple[str, ...]
    absolute: float
    relative: float
    amount: frozenset[str]
    concentration: frozenset[str]


def read_settings(text: str) -> Settings:
    """Return the settings that a file holds, a line each, `name: value`."""
    found = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in text.splitlines())
        if name.strip()
    }

    def names(key: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in found.get(key, "").split(",") if part.strip())

    return Settings(
        float(found["start"]),
        float(found["duration"]),
        int(found["steps"]),
        names("variables"),
        float(found["absolute"]),
        float(found["relative"]),
        frozenset(names("amount")),
        frozenset(names("concentration")),
    )


def run_case(suite: Path, row: dict[str, str]) -> tuple[str, str]:
    """Return the outcome of a case and, where it is not PASS, the reason."""
    folder, case = suite / "cases" / row["case"], row["case"]
    results = folder / f"{case}-results.csv"
    try:
        model = read_model(folder / f"{case}-sbml-{row['level']}.xml", name=case)
        if row["testType"] != "TimeCourse" or not results.is_file():
            return "NOTRUN", "no time course to compare"
        settings = read_settings((folder / f"{case}-settings.txt").read_text(encoding="utf-8"))
        lines = list(csv.reader(io.StringIO(results.read_text(encoding="utf-8"))))
        expected = np.array([[float(cell) for cell in line] for line in lines[1:] if line])
        header = [name.strip() for name in lines[0]][1:]
        species = {item.symbol for item in model.variables if item.kind == "species"}
        outputs = tuple(
            f"{name}.amount"
            if name in settings.amount & species
            else f"{name}.concentration"
            if name in settings.concentration & species
            else name
            for name in header
        )
        even = np.linspace(settings.start, settings.start + settings.duration, settings.steps + 1)
        times = np.array([float(f"{time:.12g}") for time in even])  # 4.8, and not the 4.800000000000001 of a sum
        result = evaluate(
            model,
            {},
            times=times,
            outputs=outputs,
            rtol=settings.relative * 1e-3,
            atol=settings.absolute * 1e-4,
            allow_undefined=True,
            start=0.0,
        )
    except ModelUnsupported as refused:
        return "REFUSED", f"{refused.details['construct']}"
    except PeprError as refused:
        return "FAIL", f"{type(refused).__name__}: {refused}"
    if result.status[0] != Status.DONE:
        return "FAIL", f"stopped at t = {result.ended[0]:g}: {Status(int(result.status[0])).sentence('en')}"
    for at, name in enumerate(header):
        got, wanted = result.data[at, :, 0], expected[:, at + 1]
        with np.errstate(invalid="ignore"):
            same = (
                (got == wanted)
                | (np.isnan(got) & np.isnan(wanted))
                | (np.abs(got - wanted) <= settings.absolute + settings.relative * np.abs(wanted))
            )
        if not same.all():
            first = int(np.argmin(same))
            return "FAIL", f"{name} at t = {times[first]:g}: {got[first]:.9g}, expected {wanted[first]:.9g}"
    return "PASS", ""


def _work(job: tuple[Path, dict[str, str]]) -> Outcome:
    suite, row = job
    began = time.perf_counter()

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        result, reason = run_case(suite, row)
    except TimeoutError:
        result, reason = "FAIL", f"not finished after {SECONDS} s"
    except Exception as bug:  # noqa: BLE001  one broken case must not hide the others
        result, reason = "FAIL", f"{type(bug).__name__}: {bug}"
    finally:
        signal.alarm(0)
    return Outcome(
        row["case"],
        row["tier"],
        result,
        " ".join(reason.split()),
        row.get("libroadrunner_2_10_0", ""),
        time.perf_counter() - began,
    )


def run_suite(suite: Path, only: frozenset[str] = frozenset()) -> Iterator[Outcome]:
    """Yield the outcome of every case of `index.csv` (or of those whose number or tier is in `only`)."""
    with (suite / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not only or row["case"] in only or row["tier"] in only]
    with multiprocessing.get_context("forkserver").Pool(os.cpu_count()) as pool:
        yield from pool.imap(_work, [(suite, row) for row in rows], chunksize=2)


def table(outcomes: list[Outcome]) -> str:
    """Return the counts by tier as a Markdown table."""
    lines = [
        "| tier | cases | PASS | FAIL | REFUSED | NOTRUN | libroadrunner 2.10.0 PASS |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for tier in dict.fromkeys(item.tier for item in outcomes):
        group = [item for item in outcomes if item.tier == tier]
        counts = Counter(item.result for item in group)
        peer = sum(item.peer == "PASS" for item in group)
        lines.append(f"| {tier} | {len(group)} | {' | '.join(str(counts[name]) for name in OUTCOMES)} | {peer} |")
    return "\n".join(lines) + "\n"


def write_table(page: Path, text: str) -> None:
    """Put the table between the two markers of a page of the documentation."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the suite; return the exit code."""
    parser = argparse.ArgumentParser(prog="sbml_suite.py", description=__doc__.partition("\n\n")[0])
    parser.add_argument("suite", type=Path, help="a folder with index.csv and cases/")
    report = "where the outcomes are written (%(default)s)"
    parser.add_argument("report", type=Path, nargs="?", default=Path("build/sbml-suite.csv"), help=report)
    parser.add_argument("only", nargs="*", help="numbers of cases, or tiers; all where none is given")
    parser.add_argument("--docs", type=Path, help="a page whose table is replaced by the one of this run")
    asked = parser.parse_args(arguments)
    if not (asked.suite / "index.csv").is_file():
        sys.stderr.write(
            f"{asked.suite} holds no index.csv: give the folder of the suite, with index.csv and cases/.\n"
        )
        return 2
    outcomes = sorted(run_suite(asked.suite, frozenset(asked.only)), key=lambda item: (_rank(item.tier), item.case))
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    with asked.report.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "tier", "result", "reason"])
        writer.writerows([item.case, item.tier, item.result, item.reason] for item in outcomes)
    asked.report.with_suffix(".md").write_text(table(outcomes), encoding="utf-8")
    if asked.docs:
        write_table(asked.docs, table(outcomes))
    for item in outcomes:
        if item.result == "FAIL":
            print(f"{item.case} ({item.tier}) FAIL: {item.reason}")
    for tier in dict.fromkeys(item.tier for item in outcomes):
        counts = Counter(item.result for item in outcomes if item.tier == tier)
        print(f"{tier}: {', '.join(f'{counts[name]} {name}' for name in OUTCOMES if counts[name])} of {counts.total()}")
    print(f"passed {sum(item.result == 'PASS' for item in outcomes)} of {len(outcomes)}")
    return 1 if any(item.result == "FAIL" for item in outcomes) else 0


def _rank(tier: str) -> tuple[int, str]:
    return (TIERS.index(tier) if tier in TIERS else len(TIERS), tier)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
