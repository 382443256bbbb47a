"""Observations and doses of a cohort as columns, and what they become as triples.

A `Records` is one table in which each row is an observation: a number with its unit, or a coded value. Times are UTC
seconds; a row that is not `timed` says the day alone.

>>> one = records([0, 1], "heart-rate", np.array(["2026-01-05"] * 2, dtype="datetime64[D]"), [71.0, np.nan], "/min")
>>> len(one), len(one.keep(np.isfinite(one.value)))
(2, 1)
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.cohorts.ntriples import Terms, dates, decimals, describe, iri, iris, moments, text, texts

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]
Times = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]

PLAIN: Final = 0
SUPERSEDED: Final = 1  # no longer holds: the row that revises it has the same patient, quantity and time
REVISION: Final = 2
_PLACES: Final = 6  # of a value as it is written; each quantity has been rounded to its own before


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Rows: `patient` (place in the cohort), `quantity` (slug), `value` with `unit`, or the short form `coded` of the
    result, `time`, `timed`, and `state` (`PLAIN`, `SUPERSEDED`, `REVISION`).
    """

    patient: Indices
    quantity: Texts
    value: Array
    unit: Texts
    coded: Texts
    time: Times
    timed: Flags
    state: Indices

    def __len__(self) -> int:
        return len(self.patient)

    def keep(self, rows: Flags | Indices) -> "Records":
        """Return these rows (flags or places)."""
        return Records(*(getattr(self, part.name)[rows] for part in fields(self)))

    def sort(self) -> "Records":
        """Return the rows by patient, quantity and time; of a pair at one time the superseded one first."""
        return self.keep(np.lexsort((self.state, self.time, self.quantity, self.patient)))


def records(
    patient: npt.ArrayLike,
    quantity: str | Sequence[str] | Texts,
    time: Times | np.datetime64,
    value: npt.ArrayLike = np.nan,
    unit: str | Texts = "",
    *,
    coded: str | Sequence[str] | Texts = "",
) -> Records:
    """Return rows; what is given once holds for all of them. Times in days make rows that say the day alone."""
    who = np.asarray(patient, dtype=np.int64)
    when = np.broadcast_to(np.asarray(time), who.shape)
    timed = np.datetime_data(when.dtype)[0] != "D"
    return Records(
        who,
        np.broadcast_to(np.asarray(quantity, dtype=np.str_), who.shape),
        np.broadcast_to(np.asarray(value, dtype=np.float64), who.shape),
        np.broadcast_to(np.asarray(unit, dtype=np.str_), who.shape),
        np.broadcast_to(np.asarray(coded, dtype=np.str_), who.shape),
        when.astype("datetime64[s]"),
        np.full(who.shape, timed),
        np.full(who.shape, PLAIN),
    )


def stack(parts: Sequence[Records]) -> Records:
    """Return all the rows of the parts, sorted; no parts make no rows."""
    if not parts:
        return records([], "", np.datetime64("NaT", "D"))
    return Records(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Records))).sort()


def changed(rows: Records, places: Indices, value: Array, unit: str) -> Records:
    """Return the rows with other values, in another unit, at these places."""
    values = rows.value.copy()
    values[places] = value
    units = rows.unit.astype(np.promote_types(rows.unit.dtype, np.asarray(unit).dtype))
    units[places] = unit
    return replace(rows, value=values, unit=units)


def describe_observations(rows: Records, patients: Terms, names: Terms) -> bytes:
    """Return the triples of sorted rows; `patients` are the terms and `names` the identifiers of the cohort's people.

    An observation is named by its patient, its quantity and its number in time.
    """
    subjects = iris("observation:", _own_names(rows, names))
    before = pc.fill_null(pa.concat_arrays([pa.nulls(1, pa.string()), subjects[:-1]]), "") if len(rows) else subjects
    return describe(
        subjects,
        [
            ("rdf:type", iri("pepr:Observation")),
            ("sosa:hasFeatureOfInterest", pc.take(patients, pa.array(rows.patient))),
            (
                "sosa:observedProperty",
                _each(rows.quantity, [iri(f"quantity:{item}") for item in _known(rows.quantity)]),
            ),
            ("pepr:numericValue", decimals(rows.value, _PLACES)),
            ("pepr:unitCode", _each(rows.unit, [text(unit) if unit else None for unit in _known(rows.unit)])),
            ("sosa:hasResult", _each(rows.coded, [iri(code) if code else None for code in _known(rows.coded)])),
            ("pepr:observedAt", _times(rows)),
            ("pepr:hasResultStatus", _where(rows.state == SUPERSEDED, iri("result-status:superseded"))),
            ("prov:wasRevisionOf", _where(rows.state == REVISION, before)),
        ],
    )


def describe_doses(rows: Records, patients: Terms, names: Terms) -> bytes:
    """Return the triples of sorted rows as administrations: `quantity` is the substance, `value` the dose."""
    return describe(
        iris("administration:", _own_names(rows, names)),
        [
            ("rdf:type", iri("pepr:Administration")),
            ("sosa:hasFeatureOfInterest", pc.take(patients, pa.array(rows.patient))),
            ("pepr:quantity", _each(rows.quantity, [iri(f"quantity:{item}") for item in _known(rows.quantity)])),
            ("pepr:numericValue", decimals(rows.value, _PLACES)),
            ("pepr:unitCode", texts(rows.unit)),
            ("pepr:administeredAt", _times(rows)),
        ],
    )


def _own_names(rows: Records, names: Terms) -> Terms:
    """Return the names PATIENT-QUANTITY-NUMBER of sorted rows."""
    fresh = np.ones(len(rows), dtype=np.bool_)
    fresh[1:] = (rows.patient[1:] != rows.patient[:-1]) | (rows.quantity[1:] != rows.quantity[:-1])
    first = np.flatnonzero(fresh)
    number = np.arange(len(rows)) - np.repeat(first, np.diff(np.r_[first, len(rows)])) + 1
    parts = (pc.take(names, pa.array(rows.patient)), pa.array(rows.quantity), pc.cast(pa.array(number), pa.string()))
    return pc.binary_join_element_wise(*parts, "-")


def _known(column: Texts) -> list[str]:
    return [str(item) for item in np.unique(column)]


def _each(column: Texts, terms: Sequence[str | None]) -> Terms:
    """Return for each row the term of its text; `terms` are in the order of `_known(column)`."""
    codes = np.unique(column, return_inverse=True)[1]
    return pc.take(pa.array(terms, pa.string()), pa.array(codes))


def _where(rows: Flags, term: str | Terms) -> Terms:
    return pc.if_else(pa.array(rows), term, pa.scalar(None, pa.string()))


def _times(rows: Records) -> Terms:
    return pc.if_else(pa.array(rows.timed), moments(rows.time), dates(rows.time))
