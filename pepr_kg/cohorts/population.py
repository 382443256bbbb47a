"""Synthetic adults: age, sex, what is measured in them and what they have had, correlated by a Gaussian copula.

Every person has one normal score for each trait. The scores of a population have the correlations of `CORRELATIONS`;
two traits of which nothing is said there are linked through age alone. A score becomes a value by the trait's own
distribution, which differs between women and men, or a yes for those with the highest scores.

What a person had earlier follows from it: the part of a score that age explains goes back with age, the rest is a
stationary process that keeps the share `TRACKING` of itself from one year to the next. So the correlations are those
of people at one date, whatever the date.

>>> people = draw_population(500, np.random.default_rng(1))
>>> people.values["body-height"].shape, bool(people.age.min() >= 18.0), bool(people.age.max() < 96.0)
((500,), True, True)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.estimation.normal import log_ndtr

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

# Share of adults in each age band (a). Of all residents 10.4 % were 75 and over and 27.7 % 60 and over at 1 January
# 2024, and 23.3 % under 20 (Insee, read at evaluation.securite-sociale.fr); the finer cut is ours.
AGE_EDGES: Final = (18.0, 30.0, 45.0, 60.0, 75.0, 85.0, 96.0)
AGE_SHARES: Final = (0.175, 0.232, 0.242, 0.219, 0.089, 0.043)
WOMEN: Final = 0.52
TRACKING: Final = 0.8


@dataclass(frozen=True, slots=True)
class Trait:
    """How a quantity is distributed at one date: `women` and `men` are its medians, in `unit`.

    Normal with the standard deviation `spread`, or log-normal where `log` (the spread is then that of the natural
    logarithm), within `low` and `high`. Below a score of -1 it falls off by `tail` more for each unit of the score.
    """

    quantity: str
    unit: str
    places: int
    women: float
    men: float
    spread: float
    low: float
    high: float
    log: bool = False
    tail: float = 0.0

    def value(self, score: Array, female: Flags) -> Array:
        """Return the values of scores; the last axis of both is people."""
        middle = np.where(female, self.women, self.men)
        found = middle * np.exp(self.spread * score) if self.log else middle + self.spread * score
        return np.clip(found - self.tail * np.maximum(-1.0 - score, 0.0), self.low, self.high)


@dataclass(frozen=True, slots=True)
class Condition:
    """A yes or no: the share of `women` and of `men` who have it."""

    quantity: str
    women: float
    men: float


TRAITS: Final = (
    Trait("body-height", "cm", 0, 163.0, 176.0, 6.8, 140.0, 205.0),
    Trait("body-mass-index", "kg/m2", 1, 25.0, 26.0, 0.17, 15.0, 55.0, log=True),
    Trait("systolic-blood-pressure", "mm[Hg]", 0, 124.0, 130.0, 17.0, 85.0, 220.0),
    Trait("diastolic-blood-pressure", "mm[Hg]", 0, 75.0, 79.0, 10.0, 45.0, 130.0),
    Trait("heart-rate", "/min", 0, 73.0, 70.0, 10.5, 42.0, 130.0),
    Trait("total-cholesterol", "mmol/L", 2, 5.4, 5.2, 1.0, 2.2, 10.5),
    Trait("hdl-cholesterol", "mmol/L", 2, 1.6, 1.3, 0.22, 0.5, 3.5, log=True),
    Trait("serum-creatinine", "umol/L", 0, 66.0, 84.0, 0.19, 30.0, 500.0, log=True),
    Trait("ejection-fraction", "%", 0, 64.0, 62.0, 4.5, 15.0, 78.0, tail=6.0),
    Trait("physical-activity", "min/wk", 0, 140.0, 160.0, 0.8, 0.0, 1500.0, log=True),
    Trait("alcohol-intake", "g/wk", 0, 35.0, 85.0, 80.0, 0.0, 700.0),
    Trait("particulate-matter-2-5", "ug/m3", 1, 10.0, 10.0, 0.2, 4.0, 25.0, log=True),
)
CONDITIONS: Final = (
    Condition("smoker", 0.22, 0.27),
    Condition("hypertension", 0.27, 0.36),
    Condition("diabetes", 0.06, 0.09),
    Condition("heart-failure", 0.025, 0.03),
    Condition("atrial-fibrillation", 0.035, 0.045),
    Condition("earlier-stroke", 0.025, 0.03),
    Condition("vascular-disease", 0.03, 0.07),
)

# Of scores, at one date, within a sex. Where a source stands, it gives the direction; every size is ours.
NHANES_I: Final = "Stanton et al., Hypertension 1982;4(suppl III):135"
NHANES_III: Final = "Brown et al., Obes Res 2000;8:605"
ESTEBAN: Final = "Perrine et al., Bull Epidemiol Hebd 2018;10:170"
OURS: Final = "ours"
CORRELATIONS: Final = (
    ("age", "body-height", -0.20, OURS),
    ("age", "body-mass-index", 0.15, OURS),
    ("age", "systolic-blood-pressure", 0.45, NHANES_I),
    ("age", "diastolic-blood-pressure", 0.10, NHANES_I),
    ("age", "total-cholesterol", 0.15, OURS),
    ("age", "serum-creatinine", 0.25, OURS),
    ("age", "physical-activity", -0.20, OURS),
    ("age", "smoker", -0.25, OURS),
    ("age", "hypertension", 0.50, ESTEBAN),
    ("age", "diabetes", 0.35, OURS),
    ("age", "heart-failure", 0.45, OURS),
    ("age", "atrial-fibrillation", 0.50, OURS),
    ("age", "earlier-stroke", 0.35, OURS),
    ("age", "vascular-disease", 0.45, OURS),
    ("systolic-blood-pressure", "diastolic-blood-pressure", 0.65, OURS),
    ("systolic-blood-pressure", "body-mass-index", 0.25, NHANES_I),
    ("diastolic-blood-pressure", "body-mass-index", 0.25, NHANES_I),
    ("diastolic-blood-pressure", "heart-rate", 0.15, OURS),
    ("body-mass-index", "hdl-cholesterol", -0.30, NHANES_III),
    ("body-mass-index", "physical-activity", -0.20, OURS),
    ("hdl-cholesterol", "total-cholesterol", 0.15, OURS),
    ("hdl-cholesterol", "physical-activity", 0.15, OURS),
    ("hdl-cholesterol", "alcohol-intake", 0.20, OURS),
    ("hdl-cholesterol", "smoker", -0.15, OURS),
    ("heart-rate", "physical-activity", -0.20, OURS),
    ("alcohol-intake", "systolic-blood-pressure", 0.10, OURS),
    ("alcohol-intake", "smoker", 0.20, OURS),
    ("hypertension", "systolic-blood-pressure", 0.55, OURS),
    ("hypertension", "diastolic-blood-pressure", 0.35, OURS),
    ("hypertension", "body-mass-index", 0.25, NHANES_III),
    ("hypertension", "serum-creatinine", 0.20, OURS),
    ("diabetes", "body-mass-index", 0.35, OURS),
    ("diabetes", "hdl-cholesterol", -0.20, OURS),
    ("diabetes", "hypertension", 0.35, OURS),
    ("heart-failure", "ejection-fraction", -0.75, OURS),
    ("heart-failure", "hypertension", 0.35, OURS),
    ("heart-failure", "diabetes", 0.30, OURS),
    ("heart-failure", "serum-creatinine", 0.25, OURS),
    ("heart-failure", "atrial-fibrillation", 0.45, OURS),
    ("heart-failure", "vascular-disease", 0.40, OURS),
    ("atrial-fibrillation", "hypertension", 0.35, OURS),
    ("atrial-fibrillation", "earlier-stroke", 0.35, OURS),
    ("earlier-stroke", "hypertension", 0.30, OURS),
    ("vascular-disease", "hypertension", 0.35, OURS),
    ("vascular-disease", "diabetes", 0.30, OURS),
    ("vascular-disease", "smoker", 0.10, OURS),
)
NAMES: Final = ("age", *(trait.quantity for trait in TRAITS), *(condition.quantity for condition in CONDITIONS))


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """People at one date: `age` (a) and `female`, arrays (people,).

    `values` holds each trait and each condition (0 or 1), by the slug of its quantity; `scores` the normal scores
    (names, people) in the order of `NAMES`.
    """

    age: Array
    female: Flags
    values: Mapping[str, Array]
    scores: Array = field(repr=False)

    def take(self, places: Indices) -> "Population":
        """Return these people."""
        values = {name: value[places] for name, value in self.values.items()}
        return Population(self.age[places], self.female[places], values, self.scores[:, places])

    def earlier(self, years: Array, generator: np.random.Generator) -> Mapping[str, Array]:
        """Return the traits as they were `years` (visits, people) earlier, the latest visit first and at least 0."""
        matrix = correlation_matrix()
        slope, count = matrix[1 : 1 + len(TRAITS), 0], len(TRAITS)
        spare = matrix[1 : 1 + count, 1 : 1 + count] - np.outer(slope, slope)
        root = np.linalg.cholesky(spare)
        rest = self.scores[1 : 1 + count] - slope[:, None] * self.scores[0]
        past = np.zeros(years.shape[1])
        scores = np.empty((count, *years.shape))
        for visit, ago in enumerate(years):
            kept = TRACKING ** (ago - past)
            rest = kept * rest + np.sqrt(1.0 - kept**2) * (root @ generator.standard_normal(rest.shape))
            scores[:, visit] = slope[:, None] * score_of_age(self.age - ago) + rest
            past = ago
        values = {trait.quantity: trait.value(score, self.female) for trait, score in zip(TRAITS, scores, strict=True)}
        return consistent(values)


def correlation_matrix() -> Array:
    """Return the correlations of the scores, (names, names) in the order of `NAMES`.

    >>> bool(np.linalg.eigvalsh(correlation_matrix()).min() > 0.03)
    True
    """
    places = {name: at for at, name in enumerate(NAMES)}
    with_age = np.zeros(len(NAMES))
    with_age[0] = 1.0
    for first, second, size, _ in CORRELATIONS:
        if first == "age":
            with_age[places[second]] = size
    matrix = np.outer(with_age, with_age)
    np.fill_diagonal(matrix, 1.0)
    for first, second, size, _ in CORRELATIONS:
        matrix[places[first], places[second]] = matrix[places[second], places[first]] = size
    return matrix


def draw_population(people: int, generator: np.random.Generator) -> Population:
    """Return so many people.

    Ages are spread evenly over the quantiles of their distribution and conditions go to exact shares, so that a small
    population is as mixed as a large one.
    """
    root = np.linalg.cholesky(correlation_matrix())
    free = generator.standard_normal((len(NAMES), people))
    scores = root @ free
    rank = np.empty(people)
    rank[np.argsort(scores[0], kind="stable")] = (np.arange(people) + 0.5) / people
    age = np.interp(rank, np.concatenate([[0.0], np.cumsum(AGE_SHARES)]), AGE_EDGES)
    scores += root[:, :1] * (score_of_age(age) - scores[0])  # what went with the first score goes with the age
    female = np.zeros(people, dtype=np.bool_)
    female[generator.permutation(people)[: round(WOMEN * people)]] = True
    values = {trait.quantity: trait.value(score, female) for trait, score in zip(TRAITS, scores[1:], strict=False)}
    first = 1 + len(TRAITS)
    for condition, score in zip(CONDITIONS, scores[first:], strict=True):
        values[condition.quantity] = _highest(score, female, condition)
    return Population(age, female, consistent(values), scores)


def score_of_age(age: Array) -> Array:
    """Return the normal score of ages: that of their place in the distribution of ages."""
    score = np.linspace(-3.5, 3.5, 1401)
    ages = np.interp(np.exp(log_ndtr(score)), np.concatenate([[0.0], np.cumsum(AGE_SHARES)]), AGE_EDGES)
    return np.interp(age, ages, score)


def consistent(values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the traits with a diastolic pressure at least 15 mm[Hg] below the systolic one."""
    upper = values["systolic-blood-pressure"] - 15.0
    return {**values, "diastolic-blood-pressure": np.minimum(values["diastolic-blood-pressure"], upper)}


def _highest(score: Array, female: Flags, condition: Condition) -> Array:
    """Return 1 for the share of each sex with the highest scores, at least for one person, and 0 for the others."""
    held = np.zeros(len(score))
    for group, share in ((female, condition.women), (~female, condition.men)):
        members = np.flatnonzero(group)
        count = min(len(members), max(1, round(share * len(members))))
        held[members[np.argsort(-score[members], kind="stable")[:count]]] = 1.0
    return held
