"""Who of a synthetic population is in which group: each group is there for the models that its members exercise.

>>> from pepr_kg.cohorts.population import draw_population
>>> chance = np.random.default_rng(1)
>>> members = assign_groups(draw_population(40, chance), chance)
>>> sorted(members)
['abstract', 'aneurysm', 'arrhythmia', 'cognition', 'drug', 'everyone', 'theophylline', 'ventricle', 'warfarin']
>>> min(len(places) for places in members.values())
2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.cohorts.population import Population

Indices = npt.NDArray[np.int64]

AT_LEAST: Final = 2  # members of each group, however few people there are


@dataclass(frozen=True, slots=True)
class Group:
    """`share` of the people, between two ages (a), those with the condition `first` before others; `models` by name."""

    name: str
    models: tuple[str, ...]
    share: float
    youngest: float = 18.0
    oldest: float = 96.0
    first: str = ""


EVERYONE: Final = Group("everyone", ("score2", "ckd-epi-2021"), 1.0)
ARRHYTHMIA: Final = Group("arrhythmia", ("cha2ds2-vasc",), 0.0, first="atrial-fibrillation")  # all who have it
GROUPS: Final = (
    Group("aneurysm", ("phases",), 0.04, youngest=30.0, oldest=85.0),
    Group("cognition", ("disease-course",), 0.06, youngest=62.0, oldest=92.0),
    Group(
        "ventricle", ("lv-windkessel", "lv-remodelling", "heart-over-years"), 0.04, youngest=35.0, first="heart-failure"
    ),
    Group("warfarin", ("warfarin-pkpd",), 0.03, first="atrial-fibrillation"),
    Group("theophylline", ("theophylline",), 0.03, oldest=80.0),
    Group("drug", ("pk2-oral",), 0.03, oldest=80.0),
    Group(
        "abstract",
        ("hodgkin-huxley", "two-scale-linear", "two-scale-fast", "two-scale-slow", "two-scale-coupled"),
        0.01,
    ),
)


def assign_groups(people: Population, generator: np.random.Generator) -> Mapping[str, Indices]:
    """Return the members of each group (places, in order), by its name; a person may be in several."""
    found = {EVERYONE.name: np.arange(len(people.age))}
    for group in GROUPS:
        chance = generator.permutation(len(people.age))
        fits = (people.age >= group.youngest) & (people.age < group.oldest)
        first = people.values[group.first] > 0.0 if group.first else np.zeros(len(fits), dtype=np.bool_)
        order = np.lexsort((chance, ~first, ~fits))
        count = min(int(fits.sum()), max(AT_LEAST, round(group.share * len(fits))))
        found[group.name] = np.sort(order[:count])
    found[ARRHYTHMIA.name] = np.flatnonzero(people.values[ARRHYTHMIA.first] > 0.0)
    return found
