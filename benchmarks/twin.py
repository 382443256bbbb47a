"""`make bench-twin`: the twin evaluator beside its peers, in one run, at equal achieved accuracy.

Each peer runs at the tolerance that a user would take. Its achieved error is measured, and the evaluator runs at its
loosest tolerance that is at least as exact. Every rate is the median of five runs or more (of one, where a run takes a
second) in a process of its own. Peers that are slow are run on fewer patients; their patients a second then stand for
the larger cohorts, and the table says so.
"""

import argparse
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from benchmarks.limits import Limits, measure_apart
from benchmarks.twin_measure import TWIN, Figures, Setting, match, measure, personalise, scan
from benchmarks.twin_peers import FIELD
from benchmarks.twin_problems import PROBLEMS, ROOT, Problem, work

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by make bench-twin: begin -->", "<!-- made by make bench-twin: end -->"
SIZES = (1, 100, 10_000, 100_000)
COHORT = 10_000  # patients at which the bars are set
LEASPY_SUBJECTS = 60
NUMBERS = ("numpy", "scipy", "libroadrunner", "jax", "diffrax", "leaspy", "torch", "numba")


@dataclass(frozen=True, slots=True)
class Variant:
    """A way of the evaluator to solve a problem; the first one of a problem is the one that the bars are about."""

    name: str
    method: str | None
    numba: bool = False


VARIANTS = {
    "pk": (Variant("lanes", "explicit"), Variant("exact", "linear"), Variant("Numba", "scalar", True)),
    "doses": (Variant("lanes", "explicit"), Variant("chosen", None)),
    "cv": (Variant("lanes", "explicit"), Variant("Numba", "scalar", True)),
    "lg": (Variant("lanes", "explicit"), Variant("Numba", "scalar", True)),
    "stiff": (Variant("lanes", "stiff"), Variant("chosen", None)),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """What has to be reached: `found` at least `least` times (at most, where `most`); `found` None: not measured."""

    title: str
    bar: float
    found: float | None
    most: bool = False

    def met(self) -> str:
        """Return "met", "missed" or "not measured"."""
        if self.found is None or self.found != self.found:
            return "not measured"
        return "met" if (self.found <= self.bar if self.most else self.found >= self.bar) else "missed"


class Bench:
    """A run: what was measured so far, by setting, so that nothing is measured twice."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.known: dict[Setting, Figures] = {}
        self.scans: dict[tuple[str, Variant], tuple[Figures, ...]] = {}

    def figures(self, setting: Setting) -> Figures:
        """Return the figures of a setting, measured now if they are not known."""
        if setting not in self.known:
            found = self.known[setting] = measure(setting)
            said = found.failure or f"{found.rate:,.0f} patients/s, error {found.error:.1e}, {found.memory:.0f} MB"
            print(f"  {setting}: {said}", flush=True)
        return self.known[setting]

    def peer(self, problem: Problem, name: str, patients: int = COHORT) -> Figures:
        """Return a peer's figures at its usual tolerance, on as many patients as it is run on."""
        return self.figures(Setting(name, problem.key, min(patients, FIELD[problem.key][name]), usual(problem)))

    def twin(
        self, problem: Problem, variant: Variant, error: float, patients: int = COHORT, workers: int = 1
    ) -> Figures | None:
        """Return the evaluator's figures at the loosest tolerance whose error is at most `error`; None where there is
        none.
        """
        key = problem.key, variant
        if key not in self.scans:
            self.scans[key] = scan(Setting(TWIN, problem.key, problem.sample, 1e-6, variant.method, variant.numba))
        if all(item.failure for item in self.scans[key]):
            return self.scans[key][0]
        setting = match(self.scans[key], error)
        return self.figures(replace(setting, patients=patients, workers=workers)) if setting else None

    def against(self, key: str, variant: int, name: str, patients: int = COHORT) -> float | None:
        """Return how many times the evaluator is faster than a peer at equal accuracy; None where one of them did not
        run.
        """
        problem = PROBLEMS[key]
        there = self.peer(problem, name, patients)
        here = self.twin(problem, VARIANTS[key][variant], there.error, patients) if not there.failure else None
        return here.rate / there.rate if here and not here.failure else None


def usual(problem: Problem) -> float:
    """Return the tolerance at which peers run."""
    return 1e-5 if problem.stiff else 1e-6


def main() -> None:
    """Measure what was asked for, print the tables, and write them into the documentation with `--docs`."""
    parser = argparse.ArgumentParser(prog="make bench-twin", description=__doc__)
    parser.add_argument("--problems", default=",".join(PROBLEMS), help="which problems, of: %(default)s")
    parser.add_argument("--patients", default=",".join(map(str, SIZES)), help="sizes of the cohort: %(default)s")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks.md")
    asked = parser.parse_args()
    bench, keys = Bench([int(size) for size in asked.patients.split(",")]), asked.problems.split(",")
    limits = measure_apart()
    parts = [machine(limits)]
    for key in keys:
        parts.append(peers_table(bench, PROBLEMS[key]))
        parts.append(sizes_table(bench, PROBLEMS[key]))
    courses, told = personalisation()
    parts.append(told)
    parts.append(limits_table(bench, [PROBLEMS[key] for key in keys], limits))
    parts.insert(1, bars_table(bars(bench, keys, courses)))
    page = "\n\n".join(parts)
    print(page)
    if asked.docs:
        write(PAGE, page)


def machine(limits: Limits) -> str:
    """Return the paragraph that says where and with what."""
    tools = ", ".join(f"{name} {version(name)}" for name in NUMBERS)
    return (
        f"Measured on {datetime.now(UTC):%d %B %Y}: {processor()}, {limits.cores} cores, Python "
        f"{platform.python_version()}, {tools}. {limits.sentence()} Errors are the largest over patients, states and "
        "times, relative to the largest value of that state; memory is what a run needed at its peak beyond what was "
        "loaded. diffrax uses all cores, everything else one."
    )


def processor() -> str:
    """Return the name of the processor, where the system says it."""
    said = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in said if line.startswith("model name")), platform.machine())


def peers_table(bench: Bench, problem: Problem) -> str:
    """Return the table of the peers at 10 000 patients, each with the evaluator at equal accuracy beside it."""
    rows = []
    for name, most in FIELD[problem.key].items():
        there = bench.peer(problem, name)
        patients = f"{min(COHORT, most):,}" + (" (stands for 10,000)" if most < COHORT else "")
        if there.failure:
            rows.append([name, patients, there.failure, "", "", "", "", "", ""])
            continue
        # Every way of the evaluator stands beside the first peer, the one that the bars are about beside the others.
        for place, variant in enumerate(VARIANTS[problem.key][: None if not rows else 1]):
            here = bench.twin(problem, variant, there.error)
            left = [name, patients, *shown(there)] if not place else [""] * 6
            rows.append([*left, variant.name, *beside(here, there)])
    figures = ["rtol", "error", "patients/s"]
    head = ["peer", "patients", *figures, "MB", "evaluator", *figures, "times"]
    return f"### {problem.key}: {problem.title}\n\n" + table(
        head, [row + [""] * (len(head) - len(row)) for row in rows]
    )


def shown(figures: Figures) -> list[str]:
    """Return tolerance, error, patients a second and memory as cells."""
    return [f"{figures.setting.rtol:g}", f"{figures.error:.1e}", f"{figures.rate:,.0f}", f"{figures.memory:.0f}"]


def beside(here: Figures | None, there: Figures) -> list[str]:
    """Return tolerance, error, patients a second of the evaluator and its ratio to a peer as cells."""
    if here is None:
        return ["", "none is as exact", "", ""]
    if here.failure:
        return ["", here.failure, "", ""]
    return [*shown(here)[:3], multiple(here.rate / there.rate)]


def sizes_table(bench: Bench, problem: Problem) -> str:
    """Return the table of the evaluator and libroadrunner for each size of the cohort, all as exact as libroadrunner
    is.
    """
    there = bench.peer(problem, "libroadrunner")
    most, rows = FIELD[problem.key]["libroadrunner"], []
    for size in bench.sizes:
        peer = bench.peer(problem, "libroadrunner", size)
        rows.append([f"{size:,}", "libroadrunner", *(shown(peer) if not peer.failure else [peer.failure, "", "", ""]),
                     took(size, peer) + (f" (from {most:,})" if size > most else "")])  # fmt: skip
        for variant in VARIANTS[problem.key]:
            # The tolerance is the one for the whole sample, so that one lucky patient does not loosen it.
            here = bench.twin(problem, variant, there.error, size)
            cells = (
                ["", "none is as exact", "", ""]
                if here is None
                else shown(here)
                if not here.failure
                else [here.failure, "", "", ""]
            )
            rows.append(["", variant.name, *cells, took(size, here)])
    pair = [bench.twin(problem, VARIANTS[problem.key][0], there.error, COHORT, workers) for workers in (1, 2)]
    note = ""
    if all(item and not item.failure for item in pair):
        one, two = (item.rate for item in pair if item)
        note = f"\n\nTwo processes on {COHORT:,} patients: {two:,.0f} patients/s, {two / one:.2f} times one."
    return table(["patients", "tool", "rtol", "error", "patients/s", "MB", "time"], rows) + note


def took(size: int, figures: Figures | None) -> str:
    """Return the time for a cohort in words of a size that is easy to read."""
    if figures is None or figures.failure:
        return ""
    seconds = size / figures.rate
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def personalisation() -> tuple[float | None, str]:
    """Return how many times the evaluator individualises faster than leaspy, and the table that says it."""
    rows, rates = [], {}
    for name, subjects in (("leaspy", LEASPY_SUBJECTS), (TWIN, 200), (TWIN, COHORT)):
        rate, objective, failure = personalise(name, subjects, LEASPY_SUBJECTS)
        print(
            f"  personalisation {subjects} {name}: {failure or f'{rate:,.1f} subjects/s, objective {objective:.4f}'}",
            flush=True,
        )
        rows.append([name, f"{subjects:,}", failure or f"{objective:.4f}", "" if failure else f"{rate:,.1f}"])
        rates[name] = None if failure else rate
    here, there = rates[TWIN], rates["leaspy"]
    ratio = here / there if here and there else None
    title = (
        "### Individualisation: the logistic course, 4 parameters, leaspy's 200 simulated subjects\n\n"
        f"leaspy is run on the first {LEASPY_SUBJECTS} of them, the evaluator on all and on 50 copies of all. The "
        "objective (half the squared scaled residuals and the prior, lower is better) is the sum over the first "
        f"{LEASPY_SUBJECTS} in each row.\n\n"
    )
    return ratio, title + table(["tool", "subjects", "objective", "subjects/s"], rows)


def limits_table(bench: Bench, problems: Iterable[Problem], limits: Limits) -> str:
    """Return how far the lanes are from what the machine could do with the same number of steps of the same method."""
    rows = []
    for problem in problems:
        there = bench.peer(problem, "libroadrunner")
        here = bench.twin(problem, VARIANTS[problem.key][0], there.error)
        if here is None or here.failure:
            rows.append([problem.key, here.failure if here else "none is as exact", "", "", "", "", ""])
            continue
        written = limits.bandwidth * 1e9 / (8 * len(problem.states) * problem.times.size)
        cells = [problem.key, f"{here.rate:,.0f}", f"{written:,.0f}", f"{written / here.rate:,.0f}"]
        if problem.stiff:
            rows.append([*cells, "", "", ""])
            continue
        need = work(problem, here.setting.rtol)
        arithmetic = limits.product * 1e9 / need.operations()
        powers = need.evaluations * need.powers * limits.power * 1e-9
        calls = 1 / (need.operations() * limits.multiply * 1e-9 + powers)
        rows.append(
            [
                *cells,
                f"{1 / (1 / arithmetic + powers):,.0f}",
                f"{1 / (1 / arithmetic + powers) / here.rate:,.0f}",
                f"{calls / here.rate:.1f}",
            ]
        )
    return (
        "### Distance to the machine's limits\n\n"
        "One core, 10,000 patients, lanes in NumPy. *Output* is the rate at which memory could take the results; "
        "*arithmetic* the rate at which the operations of the Dormand-Prince pair at this tolerance would be done at "
        "the speed of a matrix product, with powers at their own; *calls* says how many times faster the same "
        "operations would be as single NumPy calls on arrays in the cache, without any overhead.\n\n"
        + table(["problem", "patients/s", "output bound", "times", "arithmetic bound", "times", "calls, times"], rows)
    )


def bars(bench: Bench, keys: Sequence[str], courses: float | None) -> list[Bar]:
    """Return what was asked for and what was reached."""
    found = []
    for key, variant, peer, bar, title in (
        ("pk", 0, "libroadrunner", 12, "two-compartment PK by integration, times libroadrunner"),
        ("pk", 1, "libroadrunner", 400, "two-compartment PK by the linear path, times libroadrunner"),
        ("cv", 0, "libroadrunner", 8, "ventricle, times libroadrunner"),
        ("lg", 0, "libroadrunner", 20, "logistic course, times libroadrunner"),
        ("stiff", 0, "SciPy LSODA", 100, "stiff system, times SciPy LSODA"),
    ):
        if key in keys:
            found.append(Bar(title, bar, bench.against(key, variant, peer)))
    found.append(Bar("individualisation, times leaspy", 1000, courses))
    for key in ("pk", "cv", "lg"):
        if key in keys:
            for numba in (False, True):
                found.append(single(bench, PROBLEMS[key], numba))
    for key in ("pk", "cv"):
        if key in keys:
            problem = PROBLEMS[key]
            error = bench.peer(problem, "libroadrunner").error
            one, two = (bench.twin(problem, VARIANTS[key][0], error, COHORT, workers) for workers in (1, 2))
            ratio = two.rate / one.rate if one and two and not (one.failure or two.failure) else None
            found.append(Bar(f"{key}: two processes, times one", 1.5, ratio))
    return found


def single(bench: Bench, problem: Problem, numba: bool) -> Bar:
    """Return the bar for one patient: the evaluator's time over libroadrunner's, by the way that it chooses itself."""
    error = bench.peer(problem, "libroadrunner").error
    there = bench.peer(problem, "libroadrunner", 1)
    here = bench.twin(problem, Variant("one", "scalar", numba), error, 1)
    ratio = there.rate / here.rate if here and not here.failure and not there.failure else None
    return Bar(
        f"{problem.key}: one patient by integration{' with Numba' if numba else ''}, time over libroadrunner's",
        1 if numba else 3,
        ratio,
        most=True,
    )


def bars_table(found: Iterable[Bar]) -> str:
    """Return the table of the bars."""
    rows = [
        [
            bar.title,
            f"{'at most' if bar.most else 'at least'} {bar.bar:g}",
            "" if bar.found is None else multiple(bar.found),
            bar.met(),
        ]
        for bar in found
    ]
    return "### Bars at 10,000 patients\n\n" + table(["what", "bar", "found", ""], rows)


def multiple(times: float) -> str:
    """Return a ratio with three digits, without an exponent."""
    return f"{times:,.0f}" if times >= 100 else f"{times:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = chain([head, ["---"] * len(head)], rows)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ")[:160] for cell in line) + " |" for line in lines
    )


def write(path: Path, text: str) -> None:
    """Put the text between the markers of the page; a page without them gets a section at its end."""
    page = path.read_text(encoding="utf-8")
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n## Twin evaluator: `make bench-twin`\n\n{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
