"""What models say would be measured in synthetic people: doses and concentrations, courses of disease, ventricles.

Each person's parameters are drawn from the model's own spread between individuals, and each measurement has the model's
own residual error. The models themselves are computed by the evaluator; nothing of their mathematics stands here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.cohorts.records import Flags, Records, Times, records, stack
from pepr_kg.twin import Observations, builtin, evaluate, load_model, predictor, simulate, summarise_beat
from pepr_kg.twin.cohort import Given

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

YEAR: Final = 365.25  # days; as UCUM has it
_HOUR: Final = np.timedelta64(3600, "s")
_MORNING: Final = 8 * _HOUR

OUTCOMES: Final = {
    "ecog-subject": "ecog_subject",
    "ecog-study-partner": "ecog_study_partner",
    "mmse": "MMSE",
    "ravlt": "RAVLT",
    "faq": "FAQ",
    "fdg-pet": "FDG_PET",
    "hippocampus-volume-ratio": "hippocampus_volume_ratio",
}
# Quantity, symbol of the model, unit, decimal places.
VENTRICLE: Final = (
    ("end-systolic-elastance", "Emax", "mm[Hg]/mL", 2),
    ("end-diastolic-elastance", "Emin", "mm[Hg]/mL", 3),
    ("peripheral-resistance", "Rp", "mm[Hg].s/mL", 2),
    ("arterial-compliance", "C", "mL/mm[Hg]", 2),
    ("venous-blood-volume", "SBV", "mL", 0),
)
SPREAD: Final = 0.5  # of the model's own between individuals, so that pressures stay those of living people
FAILING: Final = 0.6  # of the end-systolic elastance that is left in heart failure
_BEATS: Final = 8
_SAMPLES: Final = 251  # of the last beat
_THEOPHYLLINE_HOURS: Final = (0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0)
_WARFARIN_HOURS: Final = (3.0, 9.0, 24.0, 36.0, 48.0, 72.0)
_DRUG_HOURS: Final = (1.0, 4.0, 23.0, 25.0, 49.0, 52.0, 71.0)
_DRUG_DOSES: Final = 3
_DRUG_INTERVAL: Final = 24  # h


def simulate_theophylline(
    members: Indices, as_of: np.datetime64, generator: np.random.Generator
) -> tuple[Records, Records]:
    """Return the doses, one for each member, and the concentrations of a day."""
    dose = np.round(np.clip(generator.normal(4.6, 0.6, len(members)), 3.0, 6.5), 2)
    start = _first_doses(members, as_of, 3, generator)
    given = records(members, "administered-theophylline", start, dose, "mg/kg")
    hours = _around(_THEOPHYLLINE_HOURS, len(members), generator)
    found = measure("theophylline", members, hours, ("conc",), inputs={"dose_mg_per_kg": dose}, generator=generator)
    slug = "plasma-concentration-theophylline"
    return given, _sampled(members, start, hours, as_of, found["conc"], slug=slug, unit="mg/L", places=2)


def simulate_warfarin(
    members: Indices, as_of: np.datetime64, generator: np.random.Generator
) -> tuple[Records, Records]:
    """Return the doses, one for each member, and concentrations and prothrombin complex activities up to `as_of`."""
    dose = np.round(np.clip(generator.normal(100.0, 15.0, len(members)), 60.0, 140.0))
    start = _first_doses(members, as_of, 2, generator)
    given = records(members, "administered-warfarin", start, dose, "mg")
    hours = _around(_WARFARIN_HOURS, len(members), generator)
    found = measure("warfarin-pkpd", members, hours, ("conc", "pca"), inputs={"dose": dose}, generator=generator)
    drug = ("conc", "plasma-concentration-warfarin", "mg/L", 2)
    effect = ("pca", "prothrombin-complex-activity", "%", 1)
    return given, stack([
        _sampled(members, start, hours, as_of, found[symbol], slug=slug, unit=unit, places=places)
        for symbol, slug, unit, places in (drug, effect)
    ])  # fmt: skip


def simulate_drug(members: Indices, as_of: np.datetime64, generator: np.random.Generator) -> tuple[Records, Records]:
    """Return the doses, several for each member, and the concentrations of these days with what was planned."""
    dose = generator.choice([200.0, 300.0, 400.0], len(members))
    start = _first_doses(members, as_of, 4, generator)
    turn = np.tile(np.arange(_DRUG_DOSES), len(members))
    taken = np.repeat(start, _DRUG_DOSES) + turn * _DRUG_INTERVAL * _HOUR
    given = records(np.repeat(members, _DRUG_DOSES), "administered-drug", taken, np.repeat(dose, _DRUG_DOSES), "mg")
    regimen = [
        records(members, "dosing-interval", start, float(_DRUG_INTERVAL), "h"),
        records(members, "dose-count", start, float(_DRUG_DOSES), "1"),
    ]
    hours = _around(_DRUG_HOURS, len(members), generator)
    inputs: dict[str, Given] = {"dose": dose, "tau_h": float(_DRUG_INTERVAL), "n_doses": float(_DRUG_DOSES)}
    found = measure("pk2-oral", members, hours, ("conc_central",), inputs=inputs, generator=generator)
    slug, value = "plasma-concentration", found["conc_central"]
    return given, stack([*regimen, _sampled(members, start, hours, as_of, value, slug=slug, unit="mg/L", places=2)])


def simulate_course(members: Indices, birth: Times, as_of: np.datetime64, generator: np.random.Generator) -> Records:
    """Return the seven outcomes at four to seven visits before `as_of`; `birth` has the days of birth of members."""
    most = 7
    gaps = generator.uniform(0.5, 1.2, (len(members), most))
    days = (as_of.astype("datetime64[D]") - np.round(np.cumsum(gaps, axis=1) * YEAR).astype("timedelta64[D]"))[:, ::-1]
    age = (days - birth[:, None]).astype(np.float64) / YEAR
    age[np.arange(most) < most - generator.integers(4, most + 1, (len(members), 1))] = np.nan
    found = measure("disease-course", members, age, tuple(OUTCOMES.values()), inputs={}, generator=generator)
    visit = np.isfinite(age)
    who = np.broadcast_to(members[:, None], age.shape)[visit]
    return stack([
        records(who, slug, days[visit], np.round(np.clip(found[symbol][visit], 0.0, 1.0), 3), "1")
        for slug, symbol in OUTCOMES.items()
    ])  # fmt: skip


def simulate_ventricles(
    members: Indices, days: Times, heart_rate: Array, failing: Flags, generator: np.random.Generator
) -> Records:
    """Return what a catheter and an echograph would have found on the members' days.

    The ventricles vary at `SPREAD` of what the model says, and in heart failure contract at `FAILING` of it. Volumes
    and pressures are those of the last of some beats at the members' heart rates (/min).
    """
    if not len(members):
        return stack([])
    model, known = load_model("lv-windkessel"), builtin("lv-windkessel")
    priors = known.priors(model)
    chance = SPREAD * generator.standard_normal((len(priors.symbols), len(members)))
    drawn = priors.natural(priors.mean[:, None] + np.linalg.cholesky(priors.covariance) @ chance)
    parameters = dict(zip(priors.symbols, drawn, strict=True))
    parameters["Emax"] = parameters["Emax"] * np.where(failing, FAILING, 1.0)
    times = (_BEATS - 1 + np.linspace(0.0, 1.0, _SAMPLES)) * (60.0 / heart_rate)[:, None]
    inputs = {**parameters, "HR": heart_rate}
    result = evaluate(model, inputs, times=times, outputs=["Vlv", "Plv", "Pao", "Pv"])
    volume, pressure, aortic, venous = (result.values(symbol)[:, 0, 0] for symbol in result.outputs)
    beat = summarise_beat(times, volume, aortic, venous)
    error = {item.variable: item.additive for item in known.residuals(model)}
    found = {
        "end-diastolic-volume": (beat.EDV, error["Vlv"], "mL", 0),
        "end-systolic-volume": (beat.ESV, error["Vlv"], "mL", 0),
        "left-ventricular-systolic-pressure": (pressure.max(axis=1), error["Pao"], "mm[Hg]", 0),
        "left-ventricular-end-diastolic-pressure": (pressure[:, 0], 0.5, "mm[Hg]", 1),
        "mean-arterial-pressure": (beat.MAP, error["Pao"], "mm[Hg]", 0),
        "ejection-fraction": (beat.EF, 2.0, "%", 0),
        "wall-volume": (np.full(len(members), 150.0), 20.0, "mL", 0),
    }
    parts = [
        records(members, slug, days, np.round(parameters[symbol], places), unit)
        for slug, symbol, unit, places in VENTRICLE
    ]
    for slug, (value, spread, unit, places) in found.items():
        measured = np.maximum(value + spread * generator.standard_normal(len(members)), 0.1 * value)
        parts.append(records(members, slug, days, np.round(measured, places), unit))
    return stack(parts)


def measure(
    name: str,
    members: Indices,
    times: Array,
    symbols: Sequence[str],
    *,
    inputs: Mapping[str, Given],
    generator: np.random.Generator,
) -> Mapping[str, Array]:
    """Return what is measured of a model's symbols, each (members, times), with errors; NaN where a time is NaN.

    Times are in the model's unit.
    """
    if not len(members):
        return {symbol: np.empty(times.shape) for symbol in symbols}
    model, known = load_model(name), builtin(name)
    keys = members.astype(np.str_)
    row, column = np.nonzero(np.isfinite(times))
    design = Observations.from_columns(
        np.tile(keys[row], len(symbols)).tolist(),
        np.tile(times[row, column], len(symbols)),
        np.repeat(np.array(symbols), len(row)).tolist(),
        np.zeros(len(row) * len(symbols)),
        variables=symbols,
        patients=keys.tolist(),
    )
    priors = known.priors(model)
    predict = predictor(model, design, priors.symbols, inputs=inputs, rtol=1e-6)
    _, data = simulate(predict, design, priors, known.residuals(model), seed=int(generator.integers(2**31)))
    found = {symbol: np.full(times.shape, np.nan) for symbol in symbols}
    for at, symbol in enumerate(symbols):
        slot, owner = np.nonzero(data.present & (data.variable == at))
        order = np.lexsort((slot, owner))  # as the times of a row stand: by member, then in time
        found[symbol][row, column] = data.value[slot[order], owner[order]]
    return found


def _sampled(
    members: Indices,
    start: Times,
    hours: Array,
    until: np.datetime64,
    value: Array,
    *,
    slug: str,
    unit: str,
    places: int,
) -> Records:
    """Return what was measured (members, hours) before `until`, never below zero."""
    times = (start[:, None] + np.round(hours * 3600.0).astype("timedelta64[s]")).reshape(-1)
    number = np.round(np.maximum(value.reshape(-1), 0.0), places)
    return records(np.repeat(members, hours.shape[1]), slug, times, number, unit).keep(times < until)


def _first_doses(members: Indices, as_of: np.datetime64, days: int, generator: np.random.Generator) -> Times:
    """Return eight o’clock of a day, `days` or one more before `as_of`, for each member."""
    before = (days + generator.integers(0, 2, len(members))).astype("timedelta64[D]")
    first: Times = as_of.astype("datetime64[D]").astype("datetime64[s]") - before.astype("timedelta64[s]") + _MORNING
    return first


def _around(hours: Sequence[float], count: int, generator: np.random.Generator) -> Array:
    """Return the planned hours of sampling as they came to be, to the minute: (count, hours)."""
    late = generator.integers(-4, 10, (count, len(hours)))
    return np.round((np.asarray(hours) + late / 60.0) * 60.0) / 60.0
