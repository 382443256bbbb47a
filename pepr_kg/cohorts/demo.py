"""The demonstration cohort: synthetic adults with observations over years, made for trying out every built-in model.

What is drawn, how it is correlated, who has which defect and why: `docs/reference/cohorts.md`.

>>> small = demo_cohort(patients=40)
>>> small.patients, demo_cohort(patients=40).document == small.document
(40, True)
"""

from typing import Final

import numpy as np

from pepr_kg.cohorts.defects import Defects, assign_defects, spoil
from pepr_kg.cohorts.description import (
    UNKNOWN_SEX,
    Cohort,
    describe_cohort,
    describe_consents,
    describe_people,
    describe_twins,
    identifiers,
    models_of,
)
from pepr_kg.cohorts.groups import assign_groups
from pepr_kg.cohorts.ntriples import dates, iris
from pepr_kg.cohorts.population import draw_population
from pepr_kg.cohorts.records import Times, describe_doses, describe_observations, stack
from pepr_kg.cohorts.simulated import (
    YEAR,
    simulate_course,
    simulate_drug,
    simulate_theophylline,
    simulate_ventricles,
    simulate_warfarin,
)
from pepr_kg.cohorts.visits import draw_aneurysms, draw_visits
from pepr_kg.twin.errors import EmptyCohort

DEMO_AS_OF: Final = np.datetime64("2026-11-01T00:00:00")  # all that is observed is earlier; ages are of this day
DEMO_SEED: Final = 20261125
_TODAY: Final = DEMO_AS_OF.astype("datetime64[D]")


def demo_cohort(patients: int = 1000, seed: int = DEMO_SEED, name: str = "demo") -> Cohort:
    """Return a synthetic cohort; the same arguments give the same bytes.

    From 40 patients on, every built-in model has a patient whom it can be evaluated for. Raises `EmptyCohort` for no
    patient, and `BadCohortName`.
    """
    if patients < 1:
        raise EmptyCohort()
    names = identifiers(name, patients)
    chances = np.random.default_rng(seed).spawn(11)
    people = draw_population(patients, chances[0])
    groups = assign_groups(people, chances[1])
    defects = assign_defects(people, groups, chances[2])
    birth = _TODAY - np.ceil(people.age * YEAR).astype("timedelta64[D]")
    latest = _latest_visits(defects, chances[3])
    ventricle, cognition = groups["ventricle"], groups["cognition"]
    rate, visited = draw_visits(people, latest, ventricle, chances[4])
    failing = people.values["heart-failure"][ventricle] > 0.0
    treated = [
        simulate_theophylline(groups["theophylline"], DEMO_AS_OF, chances[5]),
        simulate_warfarin(groups["warfarin"], DEMO_AS_OF, chances[6]),
        simulate_drug(groups["drug"], DEMO_AS_OF, chances[7]),
    ]
    clean = stack([
        visited,
        draw_aneurysms(groups["aneurysm"], latest, chances[8]),
        simulate_course(cognition, birth[cognition], DEMO_AS_OF, chances[9]),
        simulate_ventricles(ventricle, latest[ventricle], rate[ventricle], failing, chances[10]),
        *(observed for _, observed in treated),
    ])  # fmt: skip
    rows, doses = spoil(clean, defects, chances[2]), stack([given for given, _ in treated])
    terms = iris("patient:", names)
    sex = np.where(defects["sex-unknown"], UNKNOWN_SEX, people.female)
    content = b"".join([
        describe_people(name, names, sex, dates(birth), "synthetic"),
        describe_twins(names, models_of(groups)),
        describe_consents(name, names, defects["consent-withdrawn"], latest - 900, latest + 5),
        describe_observations(rows, terms, names),
        describe_doses(doses, terms, names),
    ])  # fmt: skip
    return describe_cohort("demo", name, content, rows, doses, patients=patients)


def _latest_visits(defects: Defects, generator: np.random.Generator) -> Times:
    """Return the day of each one’s latest visit: within ten months, or more than five years ago."""
    old = defects["old"]
    ago, long_ago = generator.integers(10, 300, len(old)), generator.integers(1900, 2700, len(old))
    latest: Times = _TODAY - np.where(old, long_ago, ago).astype("timedelta64[D]")
    return latest
