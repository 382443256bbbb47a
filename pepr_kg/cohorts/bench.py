"""A large synthetic cohort for benchmarks: each patient has exactly ten observations of one day, the inputs of SCORE2
among them. Nothing is wrong with any, and SCORE2 is made for each of them.

It comes in blocks, so that a million patients never stand in memory.

>>> blocks = list(bench_cohort(3, block=2))
>>> len(blocks), sum(block.count(b"ontology/Observation>") for block in blocks)
(3, 30)
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from pepr_kg.cohorts.demo import DEMO_AS_OF
from pepr_kg.cohorts.description import describe_people, describe_twins, identifiers
from pepr_kg.cohorts.ntriples import dates, describe_one, iri, iris, text
from pepr_kg.cohorts.population import TRAITS, Population, draw_population
from pepr_kg.cohorts.records import describe_observations, records, stack
from pepr_kg.cohorts.simulated import YEAR
from pepr_kg.twin.errors import EmptyCohort

BENCH_SEED: Final = 20261125
_MEASURED: Final = (
    "body-mass-index", "systolic-blood-pressure", "total-cholesterol", "hdl-cholesterol", "serum-creatinine",
)  # fmt: skip
_KNOWN: Final = ("smoker", "diabetes", "hypertension")
_LABELS: Final = ("cohorte d’essai (synthétique)", "benchmark cohort (synthetic)")


def bench_cohort(patients: int, seed: int = BENCH_SEED, name: str = "bench", block: int = 5000) -> Iterator[bytes]:
    """Yield N-Triples: what the cohort is, then `block` patients at a time; a patient does not depend on `patients`
    but on the seed and the block.

    Raises `EmptyCohort` for no patient, and `BadCohortName`.
    """
    if patients < 1:
        raise EmptyCohort()
    names = identifiers(name, patients)
    yield describe_one(
        f"cohort:{name}",
        {
            "rdf:type": iri("pepr:Cohort"),
            "rdfs:label": [text(_LABELS[0], "fr"), text(_LABELS[1], "en")],
            "pepr:hasIdentifiability": iri("identifiability:synthetic"),
        },
    )
    traits = {trait.quantity: trait for trait in TRAITS}
    today = DEMO_AS_OF.astype("datetime64[D]")
    for part, first in enumerate(range(0, patients, block)):
        chance = np.random.default_rng([seed, part])
        own = names[first : first + block]
        count = len(own)
        people = _draw_valid(count, chance)
        who = np.arange(count)
        days = today - chance.integers(10, 300, count).astype("timedelta64[D]")
        rows = stack([
            *(
                records(who, slug, days, np.round(people.values[slug], traits[slug].places), traits[slug].unit)
                for slug in _MEASURED
            ),
            *(records(who, slug, days, people.values[slug], "1") for slug in _KNOWN),
            records(who, "earlier-cardiovascular-disease", days, 0.0, "1"),
            records(who, "cardiovascular-risk-region", days, coded="quantity-value:risk-region-low"),
        ])  # fmt: skip
        birth = dates(today - np.ceil(people.age * YEAR).astype("timedelta64[D]"))
        yield b"".join([
            describe_people(name, own, people.female.astype(np.int64), birth, "synthetic"),
            describe_twins(own, {"score2": who, "ckd-epi-2021": who}),
            describe_observations(rows, iris("patient:", own), own),
        ])  # fmt: skip


def _draw_valid(people: int, generator: np.random.Generator) -> Population:
    """Return people whom SCORE2 or SCORE2-OP is made for: no earlier disease, and below 70 years no diabetes."""
    drawn = 3 * people + 20  # about half of the adults are
    while True:
        found = draw_population(drawn, generator)
        earlier = found.values["earlier-stroke"] + found.values["vascular-disease"] > 0.0
        young = (found.age >= 40.5) & (found.age < 69.5) & (found.values["diabetes"] == 0.0)
        old = (found.age >= 70.5) & (found.age < 88.5)
        valid = np.flatnonzero(~earlier & (young | old))
        if len(valid) >= people:
            return found.take(np.sort(generator.permutation(valid)[:people]))
        drawn *= 2
