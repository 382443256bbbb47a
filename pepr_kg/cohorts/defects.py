"""What is wrong with the data of some synthetic people, on purpose: so that each outcome of an evaluation is seen.

A person has one defect at most. The first members of each group have none, so that each model has somebody whom it can
be evaluated for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.cohorts.population import Population
from pepr_kg.cohorts.quantities import read_quantities
from pepr_kg.cohorts.records import REVISION, SUPERSEDED, Records, changed, stack
from pepr_kg.twin.units import convert

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Defects = Mapping[str, Flags]

SPARED: Final = 2  # members of each group without a defect


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect by its name, the share of people who have it, and what it is, in words."""

    name: str
    share: float
    text: str


DEFECTS: Final = (
    Defect("no-cholesterol", 0.03, "no observation of total cholesterol"),
    Defect("no-creatinine", 0.03, "no observation of serum creatinine"),
    Defect("no-history", 0.02, "nothing is known of hypertension and vascular disease"),
    Defect("old", 0.04, "the latest visit is more than five years ago"),
    Defect("cholesterol-as-mass", 0.06, "total and HDL cholesterol are in mg/dL"),
    Defect("creatinine-as-mass", 0.06, "creatinine is in mg/dL"),
    Defect("pressure-in-kpa", 0.04, "systolic and diastolic pressure are in kPa"),
    Defect("two-pressures", 0.02, "two systolic pressures of the same day, 18 mm[Hg] apart"),
    Defect("wrong-unit", 0.02, "HDL cholesterol in mg, which is no concentration"),
    Defect("corrected", 0.03, "the latest systolic pressure revises one that is superseded"),
    Defect("sex-unknown", 0.01, "the record does not say the sex"),
    Defect("consent-withdrawn", 0.01, "the consent to research was withdrawn"),
)
_MASS: Final = (
    ("cholesterol-as-mass", "total-cholesterol", "mg/dL", 0),
    ("cholesterol-as-mass", "hdl-cholesterol", "mg/dL", 0),
    ("creatinine-as-mass", "serum-creatinine", "mg/dL", 2),
    ("pressure-in-kpa", "systolic-blood-pressure", "kPa", 1),
    ("pressure-in-kpa", "diastolic-blood-pressure", "kPa", 1),
)


def assign_defects(people: Population, groups: Mapping[str, Indices], generator: np.random.Generator) -> Defects:
    """Return for each defect who has it, (people,)."""
    count = len(people.age)
    spared = np.zeros(count, dtype=np.bool_)
    for members in groups.values():
        spared[members[:SPARED]] = True
    healthy = (people.values["diabetes"] + people.values["earlier-stroke"] + people.values["vascular-disease"]) == 0.0
    for youngest, oldest in ((42.0, 68.0), (72.0, 87.0)):  # for each of the two formulas of SCORE2
        spared[np.flatnonzero(healthy & (people.age > youngest) & (people.age < oldest))[:SPARED]] = True
    order = generator.permutation(np.flatnonzero(~spared))
    found, first = {}, 0
    for defect in DEFECTS:
        number = max(1, round(defect.share * count))
        found[defect.name] = np.zeros(count, dtype=np.bool_)
        found[defect.name][order[first : first + number]] = True
        first += number
    return found


def spoil(rows: Records, defects: Defects, generator: np.random.Generator) -> Records:
    """Return the observations with the defects of their patients (those of dates, sex and consent stand elsewhere)."""
    has = {name: people[rows.patient] for name, people in defects.items()}
    gone = has["no-cholesterol"] & (rows.quantity == "total-cholesterol")
    gone |= has["no-creatinine"] & (rows.quantity == "serum-creatinine")
    gone |= has["no-history"] & np.isin(rows.quantity, ("hypertension", "vascular-disease"))
    known = read_quantities()
    for name, slug, unit, places in _MASS:
        where = np.flatnonzero(has[name] & (rows.quantity == slug))
        if where.size:
            mass = known[slug].molar_mass
            value = convert(rows.value[where], str(rows.unit[where[0]]), unit, molar_mass_g_per_mol=mass, symbol=slug)
            rows = changed(rows, where, np.round(value, places), unit)
    where = np.flatnonzero(has["wrong-unit"] & (rows.quantity == "hdl-cholesterol"))
    rows = changed(rows, where, rows.value[where], "mg")
    last = _latest_of(rows, "systolic-blood-pressure")
    twice = rows.keep(last & has["two-pressures"])
    wrong = rows.keep(last & has["corrected"])
    state = np.where(last & has["corrected"], REVISION, rows.state)
    slip = np.round(wrong.value + generator.choice([-40.0, 100.0], len(wrong)))  # one digit typed wrong
    return stack([
        replace(rows, state=state).keep(~gone),
        replace(twice, value=twice.value + 18.0),
        replace(wrong, value=slip, state=np.full(len(wrong), SUPERSEDED)),
    ])  # fmt: skip


def _latest_of(rows: Records, slug: str) -> Flags:
    """Return which of the sorted rows is its patient’s latest of a quantity."""
    found = rows.quantity == slug
    later = np.zeros(len(rows), dtype=np.bool_)
    later[:-1] = (rows.patient[1:] == rows.patient[:-1]) & (rows.quantity[1:] == rows.quantity[:-1])
    latest: Flags = found & ~later
    return latest
