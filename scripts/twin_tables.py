"""The tables of a folder of cases, read: see `twin_cases`."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class CasesUnreadable(Exception):
    """The folder is not one of cases; the text says why."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One value: `time` is NaN for a scalar result."""

    time: float
    time_unit: str
    variable: str
    unit: str
    value: float
    abs_tol: float
    rel_tol: float


@dataclass(frozen=True, slots=True)
class Case:
    """A row of `cases.csv`: what is given, and what is expected."""

    name: str
    model: str
    inputs: Mapping[str, object]
    expected: tuple[Expected, ...]


@dataclass(slots=True)
class Outcome:
    """What was computed for a case, in the order of its `expected`; or the sentence that says why it was not."""

    values: list[float] = field(default_factory=list)
    reason: str = ""


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table. Raises `CasesUnreadable` where a column is missing."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise CasesUnreadable(f"{path} has no column {', '.join(missing)}.")
        return list(reader)


def read_cases(folder: Path) -> list[Case]:
    """Return the cases of a folder, in its order; none where it has no `cases.csv`."""
    if not (folder / "cases.csv").is_file():
        return []
    if not (folder / "expected.csv").is_file():
        raise CasesUnreadable(f"{folder} has cases.csv but not expected.csv.")
    expected: dict[str, list[Expected]] = {}
    columns = ("case", "time", "time_unit", "variable", "unit", "value", "abs_tol", "rel_tol")
    for row in read_rows(folder / "expected.csv", columns):
        time = float(row["time"]) if row["time"] else math.nan
        figures = (float(row["value"]), float(row["abs_tol"] or 0), float(row["rel_tol"] or 0))
        item = Expected(time, row["time_unit"], row["variable"], row["unit"], *figures)
        expected.setdefault(row["case"], []).append(item)
    return [
        Case(row["case"], row["model"], json.loads(row["inputs_json"] or "{}"), tuple(expected.get(row["case"], ())))
        for row in read_rows(folder / "cases.csv", ("case", "model", "inputs_json"))
    ]
