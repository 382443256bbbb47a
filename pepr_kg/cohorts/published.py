"""Published cohorts: people in whom a drug was given and measured, as the CSV files of `ontology/cohorts/` have them.

The publications count hours since the dose, so hour zero is put on a nominal day, and the graph says so. Ages are
written as observations of that day: a birth date would be invented, and would age the subjects.

>>> cohort = published_cohort("theophylline")
>>> cohort.patients, cohort.observations, cohort.administrations  # eleven concentrations and a weight each
(12, 144, 12)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from pepr_kg.cohorts.description import Cohort, describe_cohort, describe_people, describe_twins
from pepr_kg.cohorts.errors import BadCohortFile, UnknownPublication
from pepr_kg.cohorts.ntriples import iris
from pepr_kg.cohorts.records import (
    Indices,
    Records,
    Texts,
    Times,
    describe_doses,
    describe_observations,
    records,
    stack,
)
from pepr_kg.resources import ontology_dir

Array = npt.NDArray[np.float64]

NOMINAL: Final = np.datetime64("2000-01-01T00:00:00")  # hour zero, by convention
_IS_TEXT: Final = ("id", "subject", "dvid", "sex")
_KEY: Final = r"^[A-Za-z0-9-]+$"  # of a subject: it becomes part of an IRI
_SEXES: Final = ("male", "female")
_MEASURED: Final = {
    "cp": ("plasma-concentration-warfarin", "mg/L"),
    "pca": ("prothrombin-complex-activity", "%"),
}


@dataclass(frozen=True, slots=True)
class Publication:
    """A published cohort: the `columns` of its file, that of the subject first, and the `model` that it is for."""

    name: str
    columns: tuple[str, ...]
    model: str


PUBLICATIONS: Final = (
    Publication("theophylline", ("subject", "weight_kg", "dose", "time_h", "conc"), "theophylline"),
    Publication("warfarin", ("id", "time", "amt", "dv", "dvid", "evid", "wt", "age", "sex"), "warfarin-pkpd"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A file: its `table`, the `subjects` in the order of the file, the row in which each comes `first`, and whose
    each row is (`owner`, places among the subjects).
    """

    path: Path
    table: pa.Table
    subjects: Texts
    first: Indices
    owner: Indices

    def numbers(self, name: str) -> Array:
        """Return a column of numbers."""
        return np.asarray(self.table[name].to_numpy(), dtype=np.float64)

    def texts(self, name: str) -> Texts:
        """Return a column of texts."""
        return np.asarray(self.table[name].to_numpy(zero_copy_only=False), dtype=np.str_)


def published_cohort(name: str, path: Path | None = None) -> Cohort:
    """Return the cohort `theophylline` or `warfarin`: of the file that comes with the project, or of one like it.

    Raises `UnknownPublication` and `BadCohortFile`.
    """
    publication = next((item for item in PUBLICATIONS if item.name == name), None)
    if publication is None:
        raise UnknownPublication(name=name, known=", ".join(item.name for item in PUBLICATIONS))
    sheet = _read(path or ontology_dir() / "cohorts" / f"{name}.csv", publication.columns)
    count = len(sheet.subjects)
    if name == "theophylline":
        rows, doses, sex = *_read_theophylline(sheet), np.full(count, -1)
    else:
        rows, doses, sex = *_read_warfarin(sheet), _sexes(sheet.texts("sex")[sheet.first])
    own = pc.utf8_lpad(pa.array(sheet.subjects, pa.string()), 4, "0")
    names = pc.binary_join_element_wise(name, own, "-")
    terms = iris("patient:", names)
    content = b"".join([
        describe_people(name, names, sex, None, "anonymous"),
        describe_twins(names, {publication.model: np.arange(count)}),
        describe_observations(rows, terms, names),
        describe_doses(doses, terms, names),
    ])  # fmt: skip
    return describe_cohort(name, name, content, rows, doses, patients=count)


def _read_theophylline(sheet: Sheet) -> tuple[Records, Records]:
    """Return observations and doses: one dose each at hour zero, in mg per kg, and every concentration."""
    who = np.arange(len(sheet.subjects))
    taken = sheet.numbers("conc")
    rows = [
        records(who, "body-weight", NOMINAL, sheet.numbers("weight_kg")[sheet.first], "kg"),
        records(sheet.owner, "plasma-concentration-theophylline", _times(sheet.numbers("time_h")), taken, "mg/L"),
    ]
    dose = sheet.numbers("dose")[sheet.first]
    return stack(rows), records(who, "administered-theophylline", NOMINAL, dose, "mg/kg")


def _read_warfarin(sheet: Sheet) -> tuple[Records, Records]:
    """Return observations and doses: a row with `evid` 1 is a dose of `amt` mg, any other a measurement `dv`."""
    who = np.arange(len(sheet.subjects))
    times, value, kind = _times(sheet.numbers("time")), sheet.numbers("dv"), sheet.texts("dvid")
    given = sheet.numbers("evid") == 1.0
    strange = sorted({str(item) for item in kind[~given]} - set(_MEASURED))
    if strange:
        raise BadCohortFile(path=sheet.path, detail={
            "en": f"dvid is {', '.join(strange)}, but cp or pca was expected",
            "fr": f"dvid vaut {', '.join(strange)}, mais cp ou pca était attendu"})  # fmt: skip
    rows = [
        records(who, "body-weight", NOMINAL, sheet.numbers("wt")[sheet.first], "kg"),
        records(who, "age", NOMINAL, sheet.numbers("age")[sheet.first], "a"),
    ]
    for text, (slug, unit) in _MEASURED.items():
        measured = np.flatnonzero(~given & (kind == text))
        rows.append(records(sheet.owner[measured], slug, times[measured], value[measured], unit))
    amount = sheet.numbers("amt")
    doses = records(sheet.owner[given], "administered-warfarin", times[given], amount[given], "mg").sort()
    return stack(rows), doses


def _read(path: Path, columns: tuple[str, ...]) -> Sheet:
    """Return a file. Raises `BadCohortFile` where it cannot be read or lacks a column or a value."""
    types = {name: pa.string() if name in _IS_TEXT else pa.float64() for name in columns}
    try:
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
    except (OSError, pa.ArrowInvalid) as error:
        raise BadCohortFile(path=path, detail=str(error).splitlines()[0].rstrip(".")) from error
    wanting = [name for name in columns if name not in table.column_names or table[name].null_count]
    if wanting or not table.num_rows:
        names = ", ".join(wanting or columns)
        raise BadCohortFile(path=path, detail={
            "en": f"each row must have a value in the column(s) {names}",
            "fr": f"chaque ligne doit avoir une valeur dans la ou les colonnes {names}"})  # fmt: skip
    given = np.asarray(table[columns[0]].to_numpy(zero_copy_only=False), dtype=np.str_)
    if not pc.all(pc.match_substring_regex(table[columns[0]], _KEY)).as_py():
        raise BadCohortFile(path=path, detail={
            "en": f"{columns[0]} may hold letters, digits and hyphens only",
            "fr": f"{columns[0]} ne peut contenir que des lettres, des chiffres et des traits d’union"})  # fmt: skip
    _, first, place = np.unique(given, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Sheet(path, table, given[first[order]], first[order], rank[place])


def _times(hours: Array) -> Times:
    """Return when an hour of the study is, to the second."""
    times: Times = NOMINAL + np.round(hours * 3600.0).astype("timedelta64[s]")
    return times


def _sexes(given: Texts) -> Indices:
    """Return 0 for male, 1 for female, -1 for anything else."""
    found = np.full(len(given), -1)
    for code, name in enumerate(_SEXES):
        found[given == name] = code
    return found
