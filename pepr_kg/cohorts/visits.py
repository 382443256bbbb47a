"""What is observed in synthetic people at their visits, about once a year, and what is known of habits and history.

Blood pressure, heart rate and weight are taken at every visit, blood at every other; all else is known once, from the
latest visit.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.cohorts.population import CONDITIONS, TRAITS, Population
from pepr_kg.cohorts.records import Flags, Records, Times, records, stack
from pepr_kg.cohorts.simulated import YEAR

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FIRST_DAY: Final = np.datetime64("2018-01-01")
ATTENDED: Final = 0.55  # of the yearly visits; the latest one always
_VISITS: Final = 9
_YOUNGEST: Final = 19.0  # a; at an earlier visit
_AT_EVERY_VISIT: Final = ("systolic-blood-pressure", "diastolic-blood-pressure", "heart-rate")
_IN_BLOOD: Final = ("total-cholesterol", "hdl-cholesterol", "serum-creatinine")
_ONCE: Final = ("body-height", "body-mass-index", "physical-activity", "alcohol-intake", "particulate-matter-2-5")
_ECHOGRAPHY: Final = 0.15  # of the people without heart failure or atrial fibrillation
_SIZE: Final = 5.5  # mm, median of an aneurysm; log-normal
_SIZE_SPREAD: Final = 0.5
_ANCESTRIES: Final = ("population-european", "population-japanese", "population-finnish")
_ANCESTRY_SHARES: Final = (0.94, 0.03, 0.03)
_SITES: Final = ("site-internal-carotid-artery", "site-middle-cerebral-artery", "site-anterior-or-posterior")
_SITE_SHARES: Final = (0.35, 0.30, 0.35)
_EARLIER_BLEED: Final = 0.08
_TRAITS: Final = {trait.quantity: trait for trait in TRAITS}


def draw_visits(
    people: Population, latest: Times, elsewhere: Indices, generator: np.random.Generator
) -> tuple[Array, Records]:
    """Return the heart rates at the latest visits (/min), and the observations; `latest` has the day for each person.

    The ejection fraction of those `elsewhere` is not drawn here.
    """
    count = len(people.age)
    step = 365 * np.arange(_VISITS)[:, None] + generator.integers(-40, 41, (_VISITS, count))
    step[0] = 0
    since = generator.uniform(0.0, 8.5, count) * YEAR
    attended = generator.random((_VISITS, count)) < ATTENDED
    days = latest - step.astype("timedelta64[D]")
    came = attended & (step <= since) & (days >= FIRST_DAY) & (people.age - step / YEAR > _YOUNGEST)
    came[0] = True
    bled = came & (np.arange(_VISITS) % 2 == 0)[:, None]
    values = dict(people.earlier(step / YEAR, generator))
    weight = np.round(values["body-mass-index"] * (people.values["body-height"] / 100.0) ** 2, 1)
    everyone = np.arange(count)
    heart = (people.values["heart-failure"] + people.values["atrial-fibrillation"]) > 0.0
    heart |= generator.random(count) < _ECHOGRAPHY
    heart[elsewhere] = False
    cardiac = np.flatnonzero(heart)
    earlier = np.maximum(people.values["earlier-stroke"], people.values["vascular-disease"])
    visit, person = np.nonzero(came)
    return np.round(values["heart-rate"][0]), stack([
        records(person, "body-weight", days[visit, person], weight[visit, person], "kg"),
        *(_trait(slug, values[slug], days, came) for slug in _AT_EVERY_VISIT),
        *(_trait(slug, values[slug], days, bled) for slug in _IN_BLOOD),
        *(_once(slug, everyone, people, latest) for slug in _ONCE),
        _once("ejection-fraction", cardiac, people, latest),
        *(records(everyone, item.quantity, latest, people.values[item.quantity], "1") for item in CONDITIONS),
        records(everyone, "earlier-cardiovascular-disease", latest, earlier, "1"),
        records(everyone, "cardiovascular-risk-region", latest, coded="quantity-value:risk-region-low"),
    ])  # fmt: skip


def draw_aneurysms(members: Indices, latest: Times, generator: np.random.Generator) -> Records:
    """Return the size, the site and the history of an unruptured aneurysm of each member, and where they are from."""
    days = latest[members]
    size = np.clip(_SIZE * np.exp(_SIZE_SPREAD * generator.standard_normal(len(members))), 2.0, 28.0)
    bled = (generator.random(len(members)) < _EARLIER_BLEED).astype(np.float64)
    return stack([
        records(members, "aneurysm-size", days, np.round(size, 1), "mm"),
        records(members, "earlier-subarachnoid-haemorrhage", days, bled, "1"),
        records(members, "aneurysm-site", days, coded=_coded(_SITES, _SITE_SHARES, len(members), generator)),
        records(
            members,
            "population-ancestry-region",
            days,
            coded=_coded(_ANCESTRIES, _ANCESTRY_SHARES, len(members), generator),
        ),
    ])  # fmt: skip


def _trait(slug: str, value: Array, days: Times, rows: Flags) -> Records:
    """Return a trait where `rows` (visits, people) says so."""
    trait = _TRAITS[slug]
    visit, person = np.nonzero(rows)
    return records(person, slug, days[visit, person], np.round(value[visit, person], trait.places), trait.unit)


def _once(slug: str, who: Indices, people: Population, latest: Times) -> Records:
    trait = _TRAITS[slug]
    return records(who, slug, latest[who], np.round(people.values[slug][who], trait.places), trait.unit)


def _coded(
    slugs: Sequence[str], shares: Sequence[float], count: int, generator: np.random.Generator
) -> npt.NDArray[np.str_]:
    return np.char.add("quantity-value:", generator.choice(np.array(slugs), count, p=shares))
