"""The cohort of the benchmark: exactly ten observations each, the same whatever the number of patients."""

from itertools import islice

import pytest

from pepr_kg.cohorts import BadCohortName, bench_cohort
from pepr_kg.twin.errors import EmptyCohort


def test_each_patient_has_ten_observations_and_two_models() -> None:
    document = b"".join(bench_cohort(250, block=100))
    assert document.count(b"ontology/Observation>") == 2500
    assert document.count(b"ontology/Patient>") == 250
    assert document.count(b"usesModel>") == 500
    for slug in (b"smoker", b"systolic-blood-pressure", b"total-cholesterol", b"hdl-cholesterol", b"diabetes"):
        assert document.count(b"quantity/" + slug + b">") == 250


def test_a_block_is_the_same_however_many_follow() -> None:
    few, many = (list(islice(bench_cohort(count, seed=3, block=50), 1, 3)) for count in (100, 400))
    assert few == many


def test_another_seed_gives_other_people() -> None:
    assert list(bench_cohort(20, seed=1)) != list(bench_cohort(20, seed=2))


def test_a_million_patients_come_one_block_at_a_time() -> None:
    blocks = bench_cohort(1_000_000, block=10)
    next(blocks)
    assert next(blocks).count(b"ontology/Patient>") == 10


def test_nobody_and_a_name_with_a_space_are_refused() -> None:
    with pytest.raises(EmptyCohort):
        next(bench_cohort(0))
    with pytest.raises(BadCohortName, match="my cohort"):
        next(bench_cohort(1, name="my cohort"))
