"""What an evaluation gives: the same bits in any order and block, exact answers, scenarios, lanes that fail."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pepr_kg.twin import Dose, Result, Scenario, Status, evaluate, load_model, read_cohort
from pepr_kg.twin.cohort import Given
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import assigned, event, parameter, rated, sbml
from tests.twin.sbml_text import math as mathml

Array = npt.NDArray[np.float64]


def moving(symbol: str, value: float) -> str:
    return parameter(symbol, value, constant=False)


def model_of(name: str, *parts: str) -> Model:
    return read_model(sbml(*parts), name=name)


def explosion() -> Model:
    """y' = a y², which becomes infinite at 1 / (a y0)."""
    return model_of("explosion", parameter("a", 1.0), moving("y", 1.0), rated("y", "a*y*y"))


def stiffening() -> Model:
    """Van der Pol's oscillator: calm for a small mu, stiff for a large one."""
    parts = (parameter("mu", 1.0), moving("x", 2.0), moving("w", 0.0), rated("x", "w"), rated("w", "mu*((1-x*x)*w)-x"))
    return model_of("oscillator", *parts)


def lottery() -> Model:
    """Two events of one priority at one instant: the one that comes last decides, and chance which that is."""
    rank = f"<priority>{mathml('1')}</priority>"
    parts = (moving("x", 0.0), moving("y", 1.0), moving("z", 0.0), assigned("z", "x"), rated("y", "-0.3*y*y"))
    return model_of(
        "lottery",
        *parts,
        event("one", "t >= 1", {"x": "1"}, inside=rank),
        event("two", "t >= 1", {"x": "2"}, inside=rank),
    )


def bouncing() -> Model:
    parts = (moving("x", 1.0), moving("w", 0.0), parameter("keep", 0.8), rated("x", "w"), rated("w", "-9.81"))
    return model_of("ball", *parts, event("bounce", "x < 0", {"x": "0", "w": "-keep*w"}))


def spread(typical: float, lanes: int, seed: int) -> Array:
    return np.asarray(typical * np.exp(0.3 * np.random.default_rng(seed).standard_normal(lanes)))


# -- order, blocks, processes --------------------------------------------------------------------------------------

LANES = 6
COHORTS: Mapping[str, tuple[Model, Mapping[str, Given], Array, str | None]] = {
    "closed form": (
        load_model("theophylline"),
        {"dose_mg_per_kg": spread(4.0, LANES, 1), "b_lCl": spread(0.1, LANES, 2), "b_lka": 0.1},
        np.linspace(0, 24, 9),
        None,
    ),
    "linear": (
        load_model("pk2-oral"),
        {"CL": spread(5.0, LANES, 3), "tau_h": spread(8.0, LANES, 4), "n_doses": 3.0, "dose": 80.0},
        np.linspace(0, 40, 9),
        None,
    ),
    "dosed ODE": (
        load_model("warfarin-pkpd"),
        {"CL": spread(0.13, LANES, 5), "dose": spread(100.0, LANES, 6)},
        np.linspace(0, 100, 9),
        None,
    ),
    "valves": (
        load_model("lv-windkessel"),
        {"Emax": spread(2.0, LANES, 7), "HR": spread(72.0, LANES, 8)},
        np.linspace(0, 1, 9),
        None,
    ),
    "valves, stiff solver": (
        load_model("lv-windkessel"),
        {"Emax": spread(2.0, LANES, 7), "HR": spread(72.0, LANES, 8)},
        np.linspace(0, 0.4, 9),
        "stiff",
    ),
    "some stiff": (stiffening(), {"mu": np.geomspace(0.5, 300.0, LANES)}, np.linspace(0, 3, 9), None),
    "scalar": (stiffening(), {"mu": spread(1.0, LANES, 9)}, np.linspace(0, 5, 9), "scalar"),
    "events": (bouncing(), {"keep": np.linspace(0.75, 0.9, LANES)}, np.linspace(0, 1.5, 9), None),
    "chance": (lottery(), {"y": spread(1.0, LANES, 10)}, np.linspace(0, 2, 5), None),
    "some fail": (explosion(), {"a": np.linspace(0.1, 2.0, LANES)}, np.linspace(0, 1, 9), "explicit"),
}


def run(name: str, order: npt.NDArray[np.intp] | None = None, *, block: int = 10_000, workers: int = 1) -> Result:
    model, values, times, method = COHORTS[name]
    who = np.arange(LANES) if order is None else order
    chosen = {key: np.asarray(value)[who] if np.ndim(value) else value for key, value in values.items()}
    cohort = read_cohort(model, chosen, patients=[f"p{at}" for at in who])
    return evaluate(model, cohort, (), times, method=method, seed=5, block=block, workers=workers)


def bits(result: Result) -> Array:
    return result.data.reshape(len(result.outputs), len(result.times), *result.shape[:2])


@pytest.mark.parametrize("name", COHORTS)
def test_neither_the_order_nor_the_size_of_blocks_changes_a_bit(name: str) -> None:
    whole = run(name)
    for block in (1, 4):
        other = run(name, block=block)
        assert np.array_equal(bits(other), bits(whole), equal_nan=True), block
        assert other.status.tolist() == whole.status.tolist()
        assert other.steps.tolist() == whole.steps.tolist()
    order = np.random.default_rng(0).permutation(LANES)
    mixed = run(name, order, block=4)
    assert np.array_equal(bits(mixed), bits(whole)[:, :, order], equal_nan=True)
    few = run(name, order[:3])
    assert np.array_equal(bits(few), bits(whole)[:, :, order[:3]], equal_nan=True)


def test_the_cohorts_above_use_the_methods_they_are_named_for() -> None:
    methods = {name: run(name).method for name in COHORTS}
    assert methods["closed form"] == "closed form"
    assert methods["linear"] == "linear"
    assert methods["dosed ODE"] == methods["valves"] == methods["events"] == "explicit"
    assert methods["some stiff"] == "explicit, stiff"
    assert methods["scalar"] == "scalar"
    assert 0 < np.count_nonzero(run("some fail").status) < LANES
    last = run("chance").values("z")[:, :, 0, -1]
    assert set(last.reshape(-1)) == {1.0, 2.0}


@pytest.mark.parametrize("name", ["linear", "valves", "chance"])
def test_two_processes_give_the_bits_of_one(name: str) -> None:
    assert np.array_equal(run(name, workers=2).data, run(name).data)


def test_another_seed_is_another_luck() -> None:
    model, values, times, _ = COHORTS["chance"]
    assert not np.array_equal(
        evaluate(model, values, times=times, seed=1).data, evaluate(model, values, times=times, seed=2).data
    )


# -- exact answers -------------------------------------------------------------------------------------------------

PK = {"CL": 5.0, "Q": 7.0, "V1": 30.0, "V2": 60.0, "ka": 0.9, "dose": 300.0}
AMOUNTS = ("amount_gut", "amount_central", "amount_peripheral")


def test_the_linear_path_is_what_integration_comes_near() -> None:
    model, values, times, _ = COHORTS["linear"]
    exact = evaluate(model, values, times=times)
    near = evaluate(model, values, times=times, method="explicit", rtol=1e-11)
    assert (exact.method, near.method) == ("linear", "explicit")
    size = np.max(np.abs(exact.data), axis=1, keepdims=True)
    assert np.max(np.abs(near.data - exact.data) / size) < 1e-9


def test_at_steady_state_what_is_given_leaves_within_the_interval() -> None:
    times = np.linspace(28 * 24.0, 29 * 24.0, 2001)[1:-1]
    found = evaluate(load_model("pk2-oral"), PK | {"tau_h": 24.0, "n_doses": 30.0}, times=times)
    area = np.trapezoid(found.values("conc_central")[0, 0, 0], times)
    assert area == pytest.approx(PK["dose"] / PK["CL"], rel=2e-3)  # Gibaldi & Perrier 1982


def test_without_clearance_every_milligram_stays() -> None:
    times = [0.0, 7.9, 8.1, 16.1, 100.0]
    for method in ("linear", "explicit", "stiff"):
        found = evaluate(
            load_model("pk2-oral"), PK | {"CL": 0.0, "tau_h": 8.0, "n_doses": 3.0}, times=times, method=method
        )
        total = sum(found.values(symbol)[0, 0, 0] for symbol in AMOUNTS)
        assert total == pytest.approx([300.0, 300.0, 600.0, 900.0, 900.0], rel=1e-9), method


def test_doses_add_up_where_the_model_is_linear() -> None:
    model, times = load_model("pk2-oral"), np.linspace(0, 48, 25)
    none = PK | {"dose": 0.0, "n_doses": 1.0}

    def conc(*scenarios: Scenario) -> Array:
        return evaluate(model, none, scenarios, times).values("conc_central")[0, :, 0]

    first, second = Scenario.dose("amount_gut", 100.0, [0.0]), Scenario.dose("amount_central", 40.0, [13.0])
    one, two, both, twice = conc(first, second, first + second, Scenario.dose("amount_gut", 200.0, [0.0]))
    assert both == pytest.approx(one + two, rel=1e-12, abs=1e-14)
    assert twice == pytest.approx(2 * one, rel=1e-12)
    assert np.all(two[times < 13] == 0)


def test_a_scheduled_dose_is_the_dose_of_the_file() -> None:
    model, times = load_model("pk2-oral"), np.array([1.0, 11.0, 12.5, 30.0])
    file = evaluate(model, PK | {"tau_h": 12.0, "n_doses": 2.0}, times=times).data
    plan = Scenario.dose("amount_gut", 300.0, [0.0, 12.0])
    for method in ("linear", "explicit", "stiff"):
        mine = evaluate(model, PK | {"dose": 0.0}, [plan], times, method=method, rtol=1e-10).data
        assert np.max(np.abs(mine - file), axis=1) == pytest.approx(0.0, abs=1e-8 * np.max(file)), method


def test_each_patient_has_doses_of_his_own() -> None:
    model = load_model("pk2-oral")
    cohort = read_cohort(model, {**PK, "dose": 0.0, "ka": [0.9, 0.9, 2.0]}, patients=["a", "b", "c"])
    doses = [
        Dose("b", "amount_gut", 1.0, 50.0),
        Dose("c", "amount_gut", 0.0, 20.0),
        Dose("c", "amount_central", 2.0, 10.0),
    ]
    for method in ("linear", "explicit"):
        found = evaluate(model, cohort, times=[0.0, 1.0, 2.0], doses=doses, method=method, outputs=AMOUNTS, rtol=1e-10)
        gut, central = found.values("amount_gut")[:, 0, 0], found.values("amount_central")[:, 0, 0]
        assert np.all(gut[0] == 0)
        assert gut[1] == pytest.approx([0.0, 50.0, 50.0 * math.exp(-0.9)], rel=1e-9)
        assert gut[2] == pytest.approx(20.0 * np.exp([0.0, -2.0, -4.0]), rel=1e-9)
        assert central[2, 2] > 10.0


def test_the_ventricle_neither_makes_nor_loses_blood() -> None:
    times = np.linspace(60.0, 60.0 + 60.0 / 66.0, 1001)
    found = evaluate(load_model("lv-windkessel"), {"HR": 66.0, "Rp": 1.2}, times=times, rtol=1e-8)
    value = {name: found.values(name)[0, 0, 0] for name in found.outputs}
    assert value["Vlv"] + value["Va"] + value["Vv"] == pytest.approx(
        np.full(1001, 120.0 + 80.0 * 1.5 + 600.0), rel=1e-11
    )
    period, stroke = 60.0 / 66.0, np.max(value["Vlv"]) - np.min(value["Vlv"])
    flow = stroke / period
    assert np.trapezoid(value["Qav"], times) == pytest.approx(stroke, rel=1e-3)
    assert np.trapezoid(value["Pa"] - value["Pv"], times) / period / 1.2 == pytest.approx(flow, rel=1e-3)  # Ohm's law


def test_a_windkessel_without_inflow_empties_with_its_time_constant() -> None:
    """Rp C, with the veins so wide that their pressure stays at 0 (Westerhof et al. 2009)."""
    values = {"Emax": 1e-6, "Emin": 1e-9, "Cv": 1e12, "SBV": 1e-9, "Rp": 1.3, "C": 1.1, "Vlv": 10.0}
    times = np.linspace(0, 3, 13)
    found = evaluate(load_model("lv-windkessel"), values, times=times, rtol=1e-9)
    pressure = found.values("Pa")[0, 0, 0]
    assert pressure == pytest.approx(80.0 * np.exp(-times / (1.3 * 1.1)), rel=1e-6)


# -- scenarios -----------------------------------------------------------------------------------------------------

DECAY = (parameter("k", 0.5), moving("y", 8.0), moving("z", 1.0), rated("y", "-k*y"))


def decay() -> Model:
    return model_of("decay", *DECAY, parameter("twice", None, constant=False), assigned("twice", "2*k*y*z"))


METHODS = ("linear", "explicit", "stiff")


@pytest.mark.parametrize("method", METHODS)
def test_scenarios_change_parameters_states_and_discretes_at_the_start_or_at_a_time(method: str) -> None:
    plans = [
        Scenario.base(),
        Scenario.scale("k", 2.0),
        Scenario.set("k", 0.0, at=1.0),
        Scenario.add("y", 3.0, at=1.0),
        Scenario.set("y", 1.0),
        Scenario.scale("z", 5.0, at=1.0) + Scenario.scale("k", 2.0, at=2.0),
    ]
    found = evaluate(
        decay(), {}, plans, [0.0, 0.5, 1.0, 1.5, 2.0, 3.0], method=method, rtol=1e-10, outputs=("y", "twice", "k", "z")
    )
    t = np.asarray(found.times)
    y, twice, k = (found.values(name)[0, :, 0] for name in ("y", "twice", "k"))
    base = 8.0 * np.exp(-0.5 * t)
    held = np.where(t < 1, base, 8.0 * math.exp(-0.5))
    slow = np.minimum(t, 2.0) * 0.5 + np.maximum(t - 2.0, 0.0)
    assert y[0] == pytest.approx(base, rel=1e-9)
    assert y[1] == pytest.approx(8.0 * np.exp(-t), rel=1e-9)
    assert y[2] == pytest.approx(held, rel=1e-9)
    assert y[3] == pytest.approx(np.where(t < 1, base, base + 3.0 * np.exp(-0.5 * (t - 1))), rel=1e-9)
    assert y[4] == pytest.approx(np.exp(-0.5 * t), rel=1e-9)
    assert y[5] == pytest.approx(8.0 * np.exp(-slow), rel=1e-9)
    assert k[2].tolist() == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert twice[2][2:] == pytest.approx([0.0] * 4)
    z5 = np.where(t < 1, 1.0, 5.0)
    assert twice[5] == pytest.approx(2 * np.where(t < 2, 0.5, 1.0) * 8.0 * np.exp(-slow) * z5, rel=1e-9)


def test_scenarios_apply_to_closed_forms() -> None:
    model = load_model("theophylline")
    plans = [Scenario.base(), Scenario.scale("dose_mg_per_kg", 0.5), Scenario.add("dose_mg_per_kg", 2.0)]
    found = evaluate(model, {"dose_mg_per_kg": 4.0, "b_lCl": 0.0, "b_lka": 0.0}, plans, [1.0, 5.0])
    base, half, more = found.values("conc")[0, :, 0]
    assert half == pytest.approx(base / 2, rel=1e-14)
    assert more == pytest.approx(base * 1.5, rel=1e-14)


def test_two_changes_of_one_scenario_come_one_after_the_other() -> None:
    plan = Scenario.set("y", 4.0) + Scenario.scale("y", 3.0) + Scenario.add("y", 1.0)
    assert evaluate(decay(), {}, [plan], [0.0], outputs=("y",)).data[0, 0, 0] == 13.0


def test_each_patient_has_times_of_his_own() -> None:
    model, grid = decay(), np.array([[0.0, 1.0, 2.0], [0.5, 3.0, np.nan]])
    for method in METHODS:
        found = evaluate(model, {"k": [0.5, 1.0]}, times=grid, method=method, outputs=("y",), rtol=1e-10)
        y = found.values("y")[:, 0, 0]
        assert y[0] == pytest.approx(8.0 * np.exp([0.0, -0.5, -1.0]), rel=1e-9)
        assert y[1, :2] == pytest.approx(8.0 * np.exp([-0.5, -3.0]), rel=1e-9)
        assert not found.failures


def test_a_later_start_is_the_time_of_the_first_values() -> None:
    model = model_of("clock", moving("y", 0.0), rated("y", "t"))
    found = evaluate(model, {}, times=[2.0, 3.0], start=2.0, outputs=("y",))
    assert found.data[0, :, 0] == pytest.approx([0.0, 2.5], rel=1e-6)


def test_draws_are_samples_of_a_patient_and_make_bands() -> None:
    draws = {"k": np.array([[0.1, 0.2, 0.4], [1.0, 1.0, 1.0]])}
    found = evaluate(
        decay(),
        {"y": [1.0, 2.0]},
        [Scenario.base(), Scenario.scale("y", 2.0)],
        [0.0, 1.0],
        samples=3,
        draws=draws,
        outputs=("y",),
    )
    assert found.shape == (2, 2, 3)
    y = found.values("y")
    assert y[0, 1, :, 1] == pytest.approx(2.0 * np.exp([-0.1, -0.2, -0.4]), rel=1e-9)
    band = found.band("y", (0.0, 0.5, 1.0))
    assert band.shape == (2, 2, 3, 2)
    assert band[0, 0, :, 1] == pytest.approx(np.exp([-0.4, -0.2, -0.1]), rel=1e-9)
    assert band[1, 0, 0] == pytest.approx(band[1, 0, 2])


@settings(max_examples=25, deadline=None)
@given(
    k=st.floats(1e-3, 5.0),
    y=st.floats(1e-6, 1e6),
    amount=st.floats(0.0, 1e3),
    at=st.floats(0.0, 4.0),
    end=st.floats(0.01, 6.0),
)
def test_any_dose_at_any_time_decays_from_then_on(k: float, y: float, amount: float, at: float, end: float) -> None:
    found = evaluate(decay(), {"k": k, "y": y}, [Scenario.dose("y", amount, [at])], [end], outputs=("y",))
    dosed = amount * math.exp(-k * (end - at)) if end >= at else 0.0
    assert found.data[0, 0, 0] == pytest.approx(y * math.exp(-k * end) + dosed, rel=1e-9)


# -- lanes that fail -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "explicit", "stiff", "scalar"])
def test_a_lane_that_explodes_has_a_status_and_the_others_go_on(method: str | None) -> None:
    times = np.linspace(0, 1, 5)
    cohort = read_cohort(explosion(), {"a": [0.5, 2.0, 0.1]}, patients=["calm", "wild", "slow"])
    found = evaluate(explosion(), cohort, times=times, method=method, outputs=("y",))
    (failure,) = found.failures
    assert (failure.patient, failure.scenario, failure.sample) == ("wild", "base", 0)
    assert failure.status in (Status.NOT_FINITE, Status.STEP_TOO_SMALL, Status.STEP_LIMIT)
    assert failure.time == pytest.approx(0.5, abs=0.01)
    assert "wild" in failure.sentence("en")
    assert "wild" in failure.sentence("fr")
    y = found.values("y")[:, 0, 0]
    assert np.isnan(y[1, 3:]).all()
    assert y[1, :2] == pytest.approx([1.0, 2.0], rel=1e-4)
    rest = read_cohort(explosion(), {"a": [0.5, 0.1]}, patients=["calm", "slow"])
    alone = evaluate(explosion(), rest, times=times, method=method, outputs=("y",)).values("y")[:, 0, 0]
    assert np.array_equal(y[[0, 2]], alone)


def test_steps_are_bounded() -> None:
    found = evaluate(
        stiffening(), {"mu": [1.0, 1.2]}, times=[0.0, 1e6], max_steps=200, method="explicit", outputs=("x",)
    )
    assert found.status.tolist() == [Status.STEP_LIMIT] * 2
    assert np.isnan(found.data[:, -1]).all()
    assert np.all(found.ended < 1e6)


@pytest.mark.parametrize("formula", ["1/(y-8)", "ln(y-9)", "y/0"])
def test_what_is_undefined_is_a_failure_and_never_a_prediction(formula: str) -> None:
    model = model_of(f"undefined {formula}", *DECAY, moving("bad", 0.0), assigned("bad", formula))
    found = evaluate(model, {}, times=[0.0, 1.0], outputs=("bad",))
    assert found.status.tolist() == [Status.NOT_FINITE]
    assert not evaluate(model, {}, times=[0.0, 1.0], outputs=("y",)).failures  # nobody asked for it
    allowed = evaluate(model, {}, times=[0.0, 1.0], outputs=("bad",), allow_undefined=True)
    assert not allowed.failures
    assert not np.isfinite(allowed.data).all()


SCORE2: Mapping[str, Given] = {
    "sex": "male",
    "smoker": False,
    "region": "low",
    "sbp_mmHg": 140.0,
    "tchol_mmol_L": 5.5,
    "hdl_mmol_L": 1.3,
    "diabetes": False,
    "earlier_cvd": False,
}


def test_whom_a_model_does_not_cover_gets_no_prediction_and_a_reason() -> None:
    people = {
        **SCORE2,
        "age_a": [50.0, 39.0, 91.0, 60.0, 75.0, 60.0],
        "diabetes": [False, False, False, True, True, False],
        "earlier_cvd": [False, False, False, False, False, True],
    }
    found = evaluate(load_model("score2"), people, outputs=("cvd_risk",))
    assert found.status.tolist() == [0, 5, 5, 5, 0, 5]
    assert np.isnan(found.data[0, 0]).tolist() == [False, True, True, True, False, True]
    assert {failure.patient for failure in found.failures} == {"2", "3", "4", "6"}


def test_a_scenario_may_leave_the_range_of_a_model() -> None:
    plans = [Scenario.base(), Scenario.set("age_a", 30.0), Scenario.set("diabetes", 1.0)]
    found = evaluate(load_model("score2"), {**SCORE2, "age_a": 50.0}, plans, outputs=("cvd_risk",))
    assert found.status.tolist() == [0, Status.NOT_VALID, Status.NOT_VALID]


def test_a_category_may_be_given_by_text_or_by_code() -> None:
    model = load_model("score2")
    codes = {code.text: code.value for code in model.variable("sex").codes}
    by_text = evaluate(model, {**SCORE2, "age_a": 50.0, "sex": ["male", "female"]}, outputs=("cvd_risk",)).data
    by_code = evaluate(
        model, {**SCORE2, "age_a": 50.0, "sex": [codes["male"], codes["female"]]}, outputs=("cvd_risk",)
    ).data
    assert np.array_equal(by_text, by_code)
    assert by_text[0, 0, 0] != by_text[0, 0, 1]


def test_a_unit_that_converts_is_converted() -> None:
    model = load_model("score2")
    base = evaluate(model, {**SCORE2, "age_a": 50.0}, outputs=("cvd_risk",)).data
    kilopascal = evaluate(
        model,
        {**SCORE2, "age_a": 50.0, "sbp_mmHg": 140.0 * 0.133322387415},
        units={"sbp_mmHg": "kPa"},
        outputs=("cvd_risk",),
    )
    assert kilopascal.data == pytest.approx(base, rel=1e-9)
    assert kilopascal.unit("cvd_risk") == "%"


def test_every_prediction_says_that_it_is_no_medical_advice() -> None:
    found = evaluate(decay(), {}, outputs=("y",))
    assert "not medical advice" in found.notice("en")
    assert "avis médical" in found.notice("fr")
