"""Two models coupled: exact answers, orders, units, operators, periodic states, conservation, a cohort over years."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin import Scenario, Status, evaluate, load_model
from pepr_kg.twin.coupling.couple import Conserved, CoupledResult, Leaping, Link, Relaxed, couple
from pepr_kg.twin.coupling.periodic import find_periodic
from pepr_kg.twin.errors import (
    BadLink,
    BadScenario,
    BadTimes,
    BadValue,
    EmptyCohort,
    MissingValue,
    ModelUnsupported,
    NotSteady,
    TwinError,
    UnitMismatch,
    UnknownSymbol,
)
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import assigned, event, parameter, rated, sbml

Array = npt.NDArray[np.float64]

FAST, SLOW = load_model("two-scale-fast"), load_model("two-scale-slow")
BOTH_WAYS = [Link.to_slow("fast", "fast"), Link.to_fast("slow", "slow")]
TIMES = np.array([1.0, 2.0, 5.0, 10.0])


def exact(eps: float, k: float, a: float, times: Array) -> Array:
    """(fast, slow) from (0, 1), by the eigenvectors of the system, (2, times)."""
    values, vectors = np.linalg.eig(np.array([[-1.0 / eps, 1.0 / eps], [-k, -a]]).astype(complex))
    weights = np.linalg.solve(vectors, np.array([0.0, 1.0]))
    return np.array((vectors @ (weights[:, None] * np.exp(values[:, None] * times))).real)


GRID = [(eps, k, a) for eps in (0.001, 0.004, 0.02, 0.1) for k in (0.3, 1.0) for a in (0.0, 0.5)]
PATIENTS: dict[str, Sequence[float]] = {
    "eps_a": [row[0] for row in GRID], "k": [row[1] for row in GRID], "a": [row[2] for row in GRID]
}  # fmt: skip
EXACT = np.array([exact(*row, TIMES) for row in GRID])  # (patients, 2, times)


def relaxed(interval: float, scheme: Relaxed, patients: dict[str, Sequence[float]] = PATIENTS) -> CoupledResult:
    return couple(FAST, SLOW, BOTH_WAYS, patients, times=TIMES, interval=interval, scheme=scheme)


# -- the two-scale system: both models apart, against the exact answer of the whole ------------------------------------


def test_the_two_scale_system_is_exact_with_windows_up_to_500_times_the_fast_time_constant() -> None:
    result = relaxed(0.5, Relaxed(order=4, tolerance=1e-6))
    assert np.all(result.status == Status.DONE)
    assert result.fast is not None
    for row, side in enumerate((result.fast.values("fast"), result.slow.values("slow"))):
        wanted = EXACT[:, row]
        assert np.all(np.abs(side[:, 0, 0] - wanted) <= 1e-6 + 1e-4 * np.abs(wanted))


@pytest.mark.parametrize(("order", "least"), [(1, 1e-3), (2, 2e-5), (3, 5e-7)])
def test_the_error_falls_with_the_interval_at_the_stated_order_on_both_sides_of_the_time_constant(
    order: int, least: float
) -> None:
    """The worst of all patients, whose fast time constants are from a 500th of an interval to the whole of it."""
    errors = []
    for interval in (0.5, 0.25, 0.125):
        result = relaxed(interval, Relaxed(order=order, tolerance=None))
        errors.append(np.max(np.abs(result.slow.values("slow")[:, 0, 0] - EXACT[:, 1])))
    assert math.log2(errors[0] / errors[1]) > order
    assert math.log2(errors[1] / errors[2]) > order
    assert errors[2] < least


def test_halving_reaches_the_tolerance_asked_for() -> None:
    few = {name: row[::5] for name, row in PATIENTS.items()}
    errors, asked = [], []
    for tolerance in (1e-2, 1e-6):
        result = relaxed(2.0, Relaxed(order=4, tolerance=tolerance), few)
        errors.append(np.max(np.abs(result.slow.values("slow")[:, 0, 0] - EXACT[::5, 1])))
        asked.append(result.exchanges.max())
    assert errors[0] < 1e-2
    assert errors[1] < 1e-6
    assert asked[0] < asked[1]


def test_a_fast_model_without_memory_is_leapt_over_at_the_stated_order() -> None:
    rates = np.array([0.3, 1.0, 1.5])
    patients = {"eps_a": [1e-9] * 3, "k": [0.3, 1.0, 1.0], "a": [0.0, 0.0, 0.5]}
    links = [Link.to_slow("fast", "fast", "mean"), Link.to_fast("slow", "slow")]
    for order in (1, 2, 3, 4):
        errors = []
        for interval in (0.5, 0.25, 0.125):
            scheme = Leaping(period=1e-7, order=order, tolerance=1e-10)
            result = couple(FAST, SLOW, links, patients, times=[2.0], interval=interval, scheme=scheme)
            errors.append(np.abs(result.slow.values("slow")[:, 0, 0, 0] - np.exp(-2.0 * rates)))
        found = np.log2(errors[0] / errors[2]) / 2.0
        assert np.all((found > order - 0.1) & (found < order + 0.5)), order


def test_leaping_is_wrong_by_the_ratio_of_the_scales_where_they_touch_and_relaxation_is_not() -> None:
    """Why there are two schemes."""
    patients: dict[str, float] = {"eps_a": 0.1, "k": 1.0, "a": 0.0}
    leapt = couple(FAST, SLOW, BOTH_WAYS, patients, times=[1.0], interval=0.05, scheme=Leaping(period=10.0, order=3))
    whole = couple(FAST, SLOW, BOTH_WAYS, patients, times=[1.0], interval=0.05, scheme=Relaxed(order=3))
    truth = exact(0.1, 1.0, 0.0, np.array([1.0]))[1, 0]
    assert 1e-3 < abs(leapt.slow.values("slow").item() - truth) < 0.01
    assert abs(whole.slow.values("slow").item() - truth) < 1e-7


# -- lanes -------------------------------------------------------------------------------------------------------------


def test_a_lane_has_the_same_bits_in_every_order_and_company() -> None:
    scheme = Relaxed(order=3, tolerance=1e-2)
    together = relaxed(1.0, scheme).slow.data[0]
    order = np.random.default_rng(3).permutation(len(GRID))
    shuffled = relaxed(1.0, scheme, {name: [row[at] for at in order] for name, row in PATIENTS.items()})
    assert np.array_equal(shuffled.slow.data[0], together[:, order])
    alone = relaxed(1.0, scheme, {name: row[5:6] for name, row in PATIENTS.items()})
    assert np.array_equal(alone.slow.data[0], together[:, 5:6])
    assert together.std(axis=1).min() > 0.0


def test_a_lane_that_fails_says_so_and_the_others_go_on() -> None:
    runaway = read_model(sbml(parameter("f", 0.0), parameter("g", 1.0), *state("x", "f + g * x ** 2")))
    echo = read_model(sbml(parameter("x_seen", 0.0), *state("y", "x_seen - y")))
    result = couple(echo, runaway, [Link.to_slow("y", "f"), Link.to_fast("x", "x_seen")], {"x": 1.0, "g": [1.0, -1.0]},
                    times=[0.5, 3.0], interval=0.5, scheme=Relaxed(order=2, tolerance=1e-3), max_steps=300)  # fmt: skip
    assert result.status[0] == Status.STEP_LIMIT
    assert result.status[1] == Status.DONE
    assert np.isfinite(result.slow.values("x")[1]).all()
    assert np.isnan(result.slow.values("x")[0, 0, 0, 1])
    assert result.slow.failures[0].patient == "1"


# -- units, clocks, operators ------------------------------------------------------------------------------------------

KINDS = {
    "kPa": [("pascal", 1, 3, 1.0)],
    "mmHg": [("pascal", 1, 0, 133.322387415)],
    "day": [("second", 1, 0, 86400.0)],
    "per_day": [("second", -1, 0, 86400.0)],
    "mg": [("gram", 1, -3, 1.0)],
    "mg_per_day": [("gram", 1, -3, 1.0), ("second", -1, 0, 86400.0)],
}


def model(time: str, *parts: str, name: str = "example") -> Model:
    """A model with a time unit, and units to use."""
    units = []
    for unit, kinds in KINDS.items():
        inside = "".join(
            f'<unit kind="{kind}" exponent="{exponent}" scale="{scale}" multiplier="{multiplier}"/>'
            for kind, exponent, scale, multiplier in kinds
        )
        units.append(f'<unitDefinition id="{unit}"><listOfUnits>{inside}</listOfUnits></unitDefinition>')
    return read_model(sbml(*units, *parts, attributes=f'timeUnits="{time}"'), name=name)


def state(symbol: str, rate: str, start: float = 0.0, more: str = "") -> tuple[str, str]:
    return parameter(symbol, start, constant=False, more=more), rated(symbol, rate)


def beating() -> Model:
    """A pressure in kPa that swings about `base` with a period in seconds; no states."""
    return model(
        "second",
        parameter("base", 2.0, more='units="kPa"'),
        parameter("swing", 0.5, more='units="kPa"'),
        parameter("T", 0.8, more='units="second"'),
        parameter("p", constant=False, more='units="kPa"'),
        assigned("p", "base + swing * sin(6.283185307179586 * t / T)"),
        name="beating",
    )


def summing(unit: str) -> Model:
    """A slow model, in days, that integrates what it is handed."""
    load = state("load", "0", 2.0, 'units="mmHg"')
    return model("day", parameter("u", 0.0, more=f'units="{unit}"'), *state("y", "u"), *load, name="summing")


@pytest.mark.parametrize(
    ("operator", "level", "unit", "expected"),
    [
        ("mean", None, "mmHg", 2.0 / 0.133322387415),
        ("maximum", None, "mmHg", 2.5 / 0.133322387415),
        ("minimum", None, "mmHg", 1.5 / 0.133322387415),
        ("sample", None, "kPa", 2.0),
        ("count", 2.1, "dimensionless", 1.0),
        ("rate", 2.1, "per_day", 86400.0 / 0.8),
    ],
)
def test_operators_over_a_period_arrive_in_the_unit_of_the_taker(
    operator: str, level: float | None, unit: str, expected: float
) -> None:
    link = Link.to_slow("p", "u", operator, level)
    result = couple(beating(), summing(unit), [link], times=[0.0, 2.0], interval=1.0, scheme=Leaping(period="T"))
    assert result.slow.values("u")[0, 0, 0] == pytest.approx([expected, expected], rel=1e-6)
    assert result.slow.values("y")[0, 0, 0] == pytest.approx([0.0, 2.0 * expected], rel=1e-6)


def test_the_rate_without_a_level_is_the_slope() -> None:
    ramp = model("second", *state("x", "3", more='units="mg"'))
    link = Link.to_slow("x", "u", "rate")
    result = couple(ramp, summing("mg_per_day"), [link], times=[1.0], interval=0.5, scheme=Relaxed(order=2))
    assert result.slow.values("u").item() == pytest.approx(3.0 * 86400.0, rel=1e-9)


def test_each_model_keeps_its_own_clock() -> None:
    """The fast model's decay of 2 a day is one of 1 in 43200 s for itself."""
    decay = model("second", *state("x", "-x / 43200", 1.0))
    taker = model("day", parameter("u", 0.0), *state("y", "u"))
    result = couple(decay, taker, [Link.to_slow("x", "u")], times=[1.0], interval=0.25, scheme=Relaxed(order=4))
    assert result.slow.values("y").item() == pytest.approx((1.0 - math.exp(-2.0)) / 2.0, rel=1e-6)


def test_values_are_converted_on_the_way_to_the_fast_model_too() -> None:
    links = [Link.to_slow("p", "u", "mean"), Link.to_fast("load", "base")]
    for load, units, expected in ((15.0, None, 15.0 * 0.133322387415), (2.0, {"load": "kPa"}, 2.0)):
        result = couple(
            beating(), summing("kPa"), links, {"load": load}, times=[1.0], interval=1.0,
            scheme=Leaping(period="T"), units=units,
        )  # fmt: skip
        assert result.slow.values("u").item() == pytest.approx(expected, rel=1e-6)


# -- periodic states ---------------------------------------------------------------------------------------------------


def test_the_periodic_state_is_that_of_sixty_beats() -> None:
    model = load_model("lv-windkessel")
    rates, strong = np.array([55.0, 72.0, 104.0]), np.array([0.65, 2.0, 1.2])
    found = find_periodic(model, {"HR": rates, "Emax": strong}, period="T", tolerance=1e-8)
    result = evaluate(model, {"HR": rates, "Emax": strong}, times=(60.0 * 60.0 / rates)[:, None], outputs=model.states,
                      rtol=1e-8)  # fmt: skip
    for name in model.states:
        assert found.states[name] == pytest.approx(result.values(name)[:, 0, 0, 0], rel=2e-6)
    assert found.beats.max() < 15  # and not sixty
    total = sum(found.states[name] for name in model.states)
    assert total == pytest.approx(np.full(3, 120.0 + 80.0 * 1.5 + 600.0), rel=1e-12)


def test_what_grows_without_end_is_refused_with_the_patient() -> None:
    growth = read_model(sbml(parameter("r", 0.5), *state("x", "r", 1.0)), name="growth")
    with pytest.raises(NotSteady, match=r"growth.*patient 2"):
        find_periodic(growth, {"r": [0.0, 0.5]}, period=1.0, most=20)
    slow = read_model(sbml(parameter("u", 0.0), *state("y", "u")))
    with pytest.raises(NotSteady):
        couple(growth, slow, [Link.to_slow("x", "u")], times=[1.0], interval=1.0, scheme=Leaping(period=1.0, most=20))
    result = couple(growth, slow, [Link.to_slow("x", "u")], {"r": [0.0, 0.5]}, times=[1.0], interval=1.0,
                    scheme=Leaping(period=1.0, most=20))  # fmt: skip
    assert result.status.tolist() == [Status.DONE, Status.NOT_STEADY]


# -- bad input ---------------------------------------------------------------------------------------------------------

_LINK = [Link.to_slow("fast", "fast")]


@pytest.mark.parametrize(
    ("error", "links", "changes"),
    [
        (BadLink, [], {}),
        (BadLink, [Link.to_slow("fast", "fast", "median")], {}),
        (BadLink, [Link.to_slow("fast", "fast", "count")], {}),
        (BadLink, [Link.to_slow("fast", "fast", "mean", 1.0)], {}),
        (BadLink, [Link.to_slow("fast", "slow")], {}),
        (BadLink, [Link.to_slow("fast", "fast"), Link.to_slow("fast", "fast", "mean")], {}),
        (BadLink, [Link("fastest", "fast", "fast")], {}),
        (BadLink, [Link("slow", "slow", "slow", "mean")], {}),
        (BadLink, [*_LINK, Link.to_fast("slow", "fast", "add")], {}),
        (BadLink, [*_LINK, Link.to_fast("slow", "fast", "multiply")], {}),
        (UnknownSymbol, [Link.to_slow("quick", "fast")], {}),
        (UnknownSymbol, _LINK, {"patients": {"nothing": 1.0}}),
        (UnknownSymbol, _LINK, {"patients": {"slow.eps_a": 1.0}}),
        (UnknownSymbol, _LINK, {"outputs": ["eps_a"]}),
        (UnknownSymbol, _LINK, {"conserved": [Conserved({"mass": 1.0})]}),
        (UnitMismatch, [Link.to_slow("fast", "k")], {}),
        (BadValue, _LINK, {"patients": {"slow.fast": 1.0}}),
        (BadValue, _LINK, {"patients": {"slow": 1.0}}),
        (BadValue, _LINK, {"patients": {"eps_a": -1.0}}),
        (BadValue, _LINK, {"interval": 0.0}),
        (BadValue, _LINK, {"interval": math.nan}),
        (BadValue, _LINK, {"scheme": Relaxed(order=9)}),
        (BadValue, _LINK, {"scheme": Leaping(period=0.0)}),
        (BadValue, _LINK, {"scheme": Leaping(period=1.0), "fast_outputs": ["fast"]}),
        (BadValue, _LINK, {"conserved": [Conserved({})]}),
        (BadTimes, _LINK, {"times": [2.0, 1.0]}),
        (BadTimes, _LINK, {"times": []}),
        (BadTimes, _LINK, {"interval": 1e-9}),
        (EmptyCohort, _LINK, {"patients": {"k": []}}),
        (BadScenario, _LINK, {"scenarios": [Scenario.set("k", 1.0, at=-1.0)]}),
        (BadScenario, _LINK, {"scenarios": [Scenario.set("eps_a", -1.0)]}),
    ],
)
def test_bad_input_is_a_typed_error_in_both_languages(
    error: type[Exception], links: list[Link], changes: dict[str, object]
) -> None:
    given: dict[str, object] = {"times": [1.0], "interval": 1.0, "scheme": Relaxed(), **changes}
    with pytest.raises(error) as caught:
        couple(FAST, SLOW, links, **given)  # type: ignore[arg-type]
    assert isinstance(caught.value, TwinError)
    assert caught.value.message("en") != caught.value.message("fr")


def test_models_with_memory_of_their_own_are_refused_by_name() -> None:
    counter = parameter("n", 0.0, constant=False)
    bell = read_model(sbml(counter, *state("x", "1"), event("e", "t > 1", {"n": "1"})))
    taker = read_model(sbml(parameter("u", 0.0), *state("y", "u")))
    with pytest.raises(ModelUnsupported, match="events"):
        couple(bell, taker, [Link.to_slow("x", "u")], times=[1.0], interval=1.0, scheme=Relaxed())


def test_a_missing_value_and_an_algebraic_loop_are_refused() -> None:
    hollow = read_model(sbml(parameter("r"), parameter("v", 0.0), *state("x", "r - x + v")))
    twice = (parameter("z", constant=False), assigned("z", "2 * u"))
    taker = read_model(sbml(parameter("u", 0.0), *twice, *state("y", "u")))
    with pytest.raises(MissingValue):
        couple(hollow, taker, [Link.to_slow("x", "u")], times=[1.0], interval=1.0, scheme=Relaxed())
    with pytest.raises(BadLink, match="loop"):
        couple(hollow, taker, [Link.to_slow("x", "u"), Link.to_fast("z", "v")], {"r": 1.0}, times=[1.0], interval=1.0,
               scheme=Leaping(period=1.0))  # fmt: skip


# -- heart beats and years ---------------------------------------------------------------------------------------------

HEART = [
    Link.to_slow("Vlv", "EDV", "maximum"),
    Link.to_slow("Vlv", "ESV", "minimum"),
    Link.to_slow("Plv", "P_systolic", "maximum"),
    Link.to_slow("Plv", "P_diastolic"),
    Link.to_slow("Pao", "MAP", "mean"),
    Link.to_fast("Emax", "Emax"),
    Link.to_fast("Emin", "Emin"),
    Link.to_fast("SBV", "Vv", "add"),
]
BLOOD = Conserved({"fast.Vlv": 1.0, "fast.Va": 1.0, "fast.Vv": 1.0, "slow.SBV": -1.0}, tolerance=1e-9)
TREATED = Scenario.scale("Rp", 0.75, at=1.0).named("vasodilator from year 1")


def hypertensives(count: int) -> dict[str, Array]:
    rng = np.random.default_rng(7)

    def around(typical: float, spread: float) -> Array:
        return typical * np.exp(spread * rng.standard_normal(count))

    volume = around(700.0, 0.05)
    return {
        "Emax_start": around(2.4, 0.15), "Emin_start": around(0.06, 0.1), "Rp": around(1.6, 0.12),
        "C": around(1.3, 0.15), "HR": around(75.0, 0.1), "SBV_start": volume, "fast.SBV": volume,
    }  # fmt: skip


def follow(
    patients: dict[str, Array], interval: float = 0.5, conserved: Conserved = BLOOD,
    years: Sequence[float] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
) -> CoupledResult:  # fmt: skip
    return couple(
        load_model("lv-windkessel"), load_model("lv-remodelling"), HEART, patients, [Scenario.base(), TREATED],
        times=years, interval=interval, scheme=Leaping(period="T", order=2), conserved=[conserved],
        rtol=1e-7,
    )  # fmt: skip


@pytest.fixture(scope="module")
def years() -> CoupledResult:
    return follow(hypertensives(200))


def test_an_untreated_cohort_loses_ejection_fraction_and_a_treated_one_less(years: CoupledResult) -> None:
    assert np.all(years.status == Status.DONE)
    fraction = years.slow.values("EF")[:, :, 0]
    assert np.all(fraction[:, 0, -1] < fraction[:, 0, 0])
    assert np.array_equal(fraction[:, 0, 0], fraction[:, 1, 0])  # the same before the treatment
    assert np.all(fraction[:, 1, 2:] > fraction[:, 0, 2:])
    pressure = years.slow.values("MAP")[:, :, 0]
    assert np.all(pressure[:, 1, 1] < 0.95 * pressure[:, 0, 1])  # it shows at its time
    assert 10.0 < np.mean(fraction[:, 0, -1]) < np.mean(fraction[:, 1, -1]) < 60.0


def test_blood_is_conserved_over_five_years_and_few_beats_are_run(years: CoupledResult) -> None:
    assert years.drift.max() < 1e-12
    assert years.beats.max() < 200  # of some 190 million in five years
    assert years.exchanges.max() == 2 * years.windows


def test_a_patient_followed_alone_has_the_same_years(years: CoupledResult) -> None:
    patients = hypertensives(200)
    again = follow({name: row[17:18] for name, row in patients.items()})
    assert np.array_equal(again.slow.data, years.slow.data[:, :, 34:36])


def test_a_quantity_that_is_not_conserved_is_found() -> None:
    part = Conserved({"fast.Vlv": 1.0}, tolerance=1e-9)
    result = follow({name: row[:2] for name, row in hypertensives(2).items()}, 1.0, part)
    assert np.all(result.status == Status.NOT_CONSERVED)
    assert result.drift.max() > 1e-3
    assert np.isnan(result.slow.values("EF")[..., -1]).all()


def test_halving_the_interval_changes_the_years_little() -> None:
    patients = {name: row[:2] for name, row in hypertensives(2).items()}
    found = []
    for interval in (0.5, 0.25, 0.125):
        found.append(follow(patients, interval, years=(0.0, 1.0)).slow.values("EF"))
    first, second = np.abs(found[0] - found[1]).max(), np.abs(found[1] - found[2]).max()
    assert second < 0.4 * first < 0.4  # in points of ejection fraction; order 2 would be a quarter


def test_the_remodelling_model_rests_at_its_set_points() -> None:
    """The set points are those of the ventricle at its own values: nothing moves."""
    result = couple(load_model("lv-windkessel"), load_model("lv-remodelling"), HEART, times=[0.0, 5.0], interval=1.0,
                    scheme=Leaping(period="T"), conserved=[replace(BLOOD)])  # fmt: skip
    for name in ("Emax", "Emin", "Vw", "SBV", "EF"):
        start, end = result.slow.values(name)[0, 0, 0]
        assert end == pytest.approx(start, rel=5e-3), name
