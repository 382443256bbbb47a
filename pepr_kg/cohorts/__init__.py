"""Cohorts that come with the project: a synthetic one for demonstrations and benchmarks, and two published ones.

>>> from pepr_kg.cohorts import published_cohort
>>> published_cohort("warfarin").patients
21
"""

from pepr_kg.cohorts.bench import bench_cohort
from pepr_kg.cohorts.demo import DEMO_AS_OF, DEMO_SEED, demo_cohort
from pepr_kg.cohorts.description import Cohort
from pepr_kg.cohorts.errors import BadCohortFile, BadCohortName, CohortError, UnknownPublication
from pepr_kg.cohorts.loading import DEMO_PATIENTS, Loaded, load_cohort, load_demo, load_published
from pepr_kg.cohorts.published import NOMINAL, PUBLICATIONS, published_cohort

__all__ = [
    "DEMO_AS_OF", "DEMO_PATIENTS", "DEMO_SEED", "NOMINAL", "PUBLICATIONS", "BadCohortFile", "BadCohortName", "Cohort",
    "CohortError", "Loaded", "UnknownPublication", "bench_cohort", "demo_cohort", "load_cohort", "load_demo",
    "load_published", "published_cohort",
]  # fmt: skip
