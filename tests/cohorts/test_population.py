"""The correlations that the documentation states are found again in the triples of a cohort."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pepr_kg.cohorts import DEMO_AS_OF, demo_cohort
from pepr_kg.cohorts.population import (
    CONDITIONS,
    CORRELATIONS,
    NAMES,
    TRACKING,
    TRAITS,
    correlation_matrix,
    draw_population,
)
from pepr_kg.columns import moments, numbers, select_columns
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.twin.estimation.normal import log_ndtr, ndtri

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Seen: TypeAlias = tuple[dict[str, Array], Flags]
PEOPLE = 2500
TOLERANCE = 0.07  # four standard errors of a correlation between so many people
UNITS = {trait.quantity: trait.unit for trait in TRAITS}
YES_OR_NO = {condition.quantity for condition in CONDITIONS}

PEOPLE_QUERY = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/>
SELECT ?patient ?birth ?sex WHERE { ?patient pepr:birthDate ?birth ; pepr:hasSex ?sex }"""
LATEST_QUERY = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/>
PREFIX sosa: <http://www.w3.org/ns/sosa/>
SELECT ?patient ?quantity ?value ?unit ?time WHERE {
  ?observation sosa:hasFeatureOfInterest ?patient ; sosa:observedProperty ?quantity ; pepr:numericValue ?value ;
    pepr:unitCode ?unit ; pepr:observedAt ?time .
  FILTER NOT EXISTS { ?observation pepr:hasResultStatus ?status }
}"""


def local(column: pa.ChunkedArray) -> npt.NDArray[np.str_]:
    """Return what stands after the last slash of IRIs."""
    return np.asarray(pc.replace_substring_regex(column, "^.*/", "").to_numpy(zero_copy_only=False), dtype=np.str_)


def correlation(first: Array, second: Array) -> float:
    return float(np.asarray(np.corrcoef(first, second))[0, 1])


def scores(values: Array) -> Array:
    """Return the normal scores of values by their rank; NaN where there is no value."""
    found = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = np.argsort(values[known], kind="stable")
    rank = np.empty(len(known))
    rank[order] = np.arange(len(known))
    found[known] = ndtri((rank + 0.5) / len(known))
    return found


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The latest values by quantity (NaN where none, or in another unit than usual), and who is a woman."""
    dataset = Dataset(tmp_path_factory.mktemp("population") / "data")
    with dataset.change(who="test", source="test") as change:
        change.bulk(demo_cohort(PEOPLE, seed=7).document, NamedNode("urn:g"))
        view = change.commit()
    table = select_columns(view, PEOPLE_QUERY)
    table = table.take(pc.sort_indices(table["patient"]))
    keys = local(table["patient"])
    born = moments(table["birth"])
    values = {"age": (DEMO_AS_OF - born).astype("timedelta64[D]").astype(np.float64) / 365.25}
    rows = select_columns(view, LATEST_QUERY)
    rows = rows.take(pc.sort_indices(rows["time"]))
    owner = np.searchsorted(keys, local(rows["patient"]))
    quantity, number, unit = local(rows["quantity"]), numbers(rows["value"]), np.array(rows["unit"].to_pylist())
    for name in NAMES[1:]:
        mine = (quantity == name) & (unit == UNITS.get(name, "1"))
        values[name] = np.full(len(keys), np.nan)
        values[name][owner[mine]] = number[mine]  # sorted by time: the latest stays
    return values, local(table["sex"]) == "female"


def expected(first: str, second: str, size: float, p: Array) -> float:
    """Return the correlation of what is seen of two scores: of a yes or no (with its share) only the sign is seen."""
    shares = [share for name, share in zip((first, second), p, strict=True) if name in YES_OR_NO]
    if not shares:
        return size
    cut = ndtri(1.0 - np.array(shares))
    spread = np.sqrt(np.array(shares) * (1.0 - np.array(shares)))
    if len(shares) == 1:
        return float(size * np.exp(-0.5 * cut[0] ** 2) / np.sqrt(2.0 * np.pi) / spread[0])
    x = np.linspace(cut[0], 8.0, 4001)
    inside = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi) * np.exp(log_ndtr((size * x - cut[1]) / np.sqrt(1.0 - size**2)))
    both = float(np.sum(0.5 * (inside[1:] + inside[:-1])) * (x[1] - x[0]))
    return float((both - shares[0] * shares[1]) / spread.prod())


@pytest.mark.parametrize(
    ("first", "second", "size"),
    [(first, second, size) for first, second, size, _ in CORRELATIONS if "ejection-fraction" not in (first, second)],
)
def test_a_stated_correlation_is_in_the_triples(people: Seen, first: str, second: str, size: float) -> None:
    values, female = people
    found, wanted, weight = [], [], []
    for group in (female, ~female):
        pair = {name: values[name][group] for name in (first, second)}
        known = np.isfinite(pair[first]) & np.isfinite(pair[second])
        seen = [item[known] if name in YES_OR_NO else scores(item[known]) for name, item in pair.items()]
        found.append(correlation(*seen))
        wanted.append(expected(first, second, size, np.array([item.mean() for item in seen])))
        weight.append(known.sum())
    # alcohol has many equal values, those of people who drink nothing: their ranks tell less
    slack = 0.15 * abs(size) if "alcohol-intake" in (first, second) else 0.0
    assert np.average(found, weights=weight) == pytest.approx(np.average(wanted, weights=weight), abs=TOLERANCE + slack)


def test_a_pair_of_which_nothing_is_stated_is_linked_by_age_alone() -> None:
    matrix, place = correlation_matrix(), {name: at for at, name in enumerate(NAMES)}
    pressure = place["systolic-blood-pressure"]
    assert matrix[place["total-cholesterol"], pressure] == pytest.approx(0.15 * 0.45)
    assert matrix[place["particulate-matter-2-5"], pressure] == 0.0


def test_shares_are_those_stated(people: Seen) -> None:
    values, female = people
    assert female.mean() == pytest.approx(0.52, abs=0.02)
    for condition in CONDITIONS:
        for group, share in ((female, condition.women), (~female, condition.men)):
            seen = values[condition.quantity][group]
            assert np.nanmean(seen) == pytest.approx(share, abs=0.02), condition.quantity


def test_ages_are_those_of_adults(people: Seen) -> None:
    age = people[0]["age"]
    assert age.min() >= 18.0
    assert age.max() < 96.0
    assert (age >= 75.0).mean() == pytest.approx(0.132, abs=0.005)
    assert (age >= 60.0).mean() == pytest.approx(0.351, abs=0.005)


def test_heart_failure_goes_with_a_low_ejection_fraction() -> None:
    drawn = draw_population(4000, np.random.default_rng(3))
    failing = drawn.values["heart-failure"] > 0.0
    fraction = drawn.values["ejection-fraction"]
    assert fraction[failing].mean() < fraction[~failing].mean() - 8.0
    pair = drawn.scores[[NAMES.index("heart-failure"), NAMES.index("ejection-fraction")]]
    assert correlation(*pair) == pytest.approx(-0.75, abs=0.05)


def test_people_resemble_themselves_a_year_earlier() -> None:
    drawn = draw_population(6000, np.random.default_rng(5))
    past = drawn.earlier(np.array([0.0, 1.0])[:, None] * np.ones(6000), np.random.default_rng(6))
    rate = past["heart-rate"]  # not linked to age
    assert correlation(*rate) == pytest.approx(TRACKING, abs=0.03)
    assert past["systolic-blood-pressure"][1].mean() < past["systolic-blood-pressure"][0].mean()  # they were younger


def test_pressure_keeps_its_distribution_at_every_visit() -> None:
    drawn = draw_population(5000, np.random.default_rng(8))
    past = drawn.earlier(np.array([0.0, 1.0, 2.0])[:, None] * np.ones(5000), np.random.default_rng(9))
    spread = past["systolic-blood-pressure"].std(axis=1)
    assert spread == pytest.approx(spread[0], rel=0.05)
    assert (past["diastolic-blood-pressure"] < past["systolic-blood-pressure"] - 14.9).all()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_few_people_can_be_drawn(count: int) -> None:
    drawn = draw_population(count, np.random.default_rng(1))
    assert len(drawn.age) == len(drawn.female) == count
    assert all(len(values) == count for values in drawn.values.values())
