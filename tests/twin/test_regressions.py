"""What once went wrong: each test is a bug that was found by computing the same thing in two ways."""

import importlib.util
from collections.abc import Sequence

import numpy as np
import pytest

from pepr_kg.twin import Result, Scenario, Status, evaluate
from pepr_kg.twin.cohort import Given
from pepr_kg.twin.errors import BadValue, UnknownSymbol
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import (
    algebraic,
    assigned,
    compartment,
    event,
    parameter,
    rated,
    reaction,
    sbml,
    species,
    started,
)


def moving(symbol: str, value: float) -> str:
    return parameter(symbol, value, constant=False)


def model_of(name: str, *parts: str) -> Model:
    return read_model(sbml(*parts), name=name)


def quadratic() -> Model:
    """y' = -k q y², with k q computed once for a run; y = 8 / (1 + 8 k q t)."""
    return model_of("quadratic", parameter("k", 0.5), parameter("q", 3.0), moving("y", 8.0), rated("y", "-(k*q)*y*y"))


def oscillator() -> Model:
    """Van der Pol's, with an output that reads two constants."""
    parts = [parameter("mu", 1.0), parameter("p", 1.0), parameter("q", 3.0), moving("x", 2.0), moving("w", 0.0)]
    rates = [rated("x", "w"), rated("w", "mu*((1-x*x)*w)-x")]
    return model_of("oscillator-pq", *parts, moving("o", 0.0), *rates, assigned("o", "p+10*q"))


def ball() -> Model:
    parts = [moving("x", 1.0), moving("w", 0.0), parameter("keep", 0.8), rated("x", "w"), rated("w", "-9.81+0.001*w*w")]
    return model_of("ball-in-air", *parts, event("bounce", "x < 0", {"x": "0", "w": "-keep*w"}))


def same_bits(whole: Result, cut: Result) -> bool:
    return np.array_equal(whole.data, cut.data, equal_nan=True) and bool((whole.status == cut.status).all())


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_parameter_changed_at_the_very_start_is_changed_in_the_rates(method: str) -> None:
    plans = [Scenario.set("k", 1.0), Scenario.set("k", 1.0, at=0.0)]
    y = evaluate(quadratic(), {}, plans, [0.0, 1.0], method=method, rtol=1e-9, outputs=("y",)).values("y")[0, :, 0, 1]
    assert y == pytest.approx([0.32, 0.32], rel=1e-7)


def test_a_trigger_of_an_algebraic_symbol_sees_a_dose_at_once() -> None:
    parts = [moving("x", 1.0), moving("z", 2.0), moving("c", 0.0), parameter("k", 0.1), rated("x", "-k*x")]
    model = model_of("watched", *parts, algebraic("z-2*x"), event("e", "z > 5", {"c": "1"}))
    found = evaluate(model, {}, [Scenario.add("x", 10.0, at=1.0)], [0.0, 1.0, 2.0], outputs=("c",))
    assert found.values("c")[0, 0, 0].tolist() == [0.0, 1.0, 1.0]


def test_lanes_handed_to_the_stiff_solver_keep_what_scenarios_set() -> None:
    plans = [Scenario.set("p", 2.0, at=0.5), Scenario.set("mu", 1000.0) + Scenario.set("q", 1.0, at=0.5)]
    found = evaluate(oscillator(), {}, plans, [0.0, 0.7, 2.0], outputs=("x", "o"))
    assert found.method == "explicit, stiff"
    assert found.values("o")[0, :, 0].tolist() == [[31.0, 32.0, 32.0], [31.0, 11.0, 11.0]]


def test_lanes_with_delays_keep_what_scenarios_set() -> None:
    parts = [parameter("k", 0.5), parameter("q", 3.0), moving("y", 8.0), moving("o", 0.0)]
    model = model_of("delayed-kq", *parts, rated("y", "-k*q*delay(y, 1)"), assigned("o", "k+10*q"))
    plans = [Scenario.base(), Scenario.set("k", 1.0, at=0.5), Scenario.set("q", 1.0, at=0.5)]
    found = evaluate(model, {}, plans, [0.0, 0.7, 2.0], outputs=("y", "o"))
    assert found.values("o")[0, :, 0].tolist() == [[30.5] * 3, [30.5, 31.0, 31.0], [30.5, 10.5, 10.5]]


def test_a_scenario_does_not_depend_on_those_beside_it() -> None:
    model = model_of("filled", parameter("C", 2.0), moving("y", 8.0), rated("y", "-y"), started("y", "80*C"))
    plans = [Scenario.scale("y", 0.5), Scenario.set("C", 3.0), Scenario.set("C", 3.0) + Scenario.scale("y", 0.5)]
    found = evaluate(model, {"C": [2.0, 4.0]}, plans, [0.0], outputs=("y",)).values("y")[:, :, 0, 0]
    assert found.tolist() == [[80.0, 240.0, 120.0], [160.0, 240.0, 120.0]]


@pytest.mark.parametrize("method", ["linear", "explicit", "stiff"])
@pytest.mark.parametrize("symbol", ["S", "B"])
def test_a_concentration_set_at_a_time_is_the_concentration_set_at_the_start(symbol: str, method: str) -> None:
    model = model_of(
        "washed",
        compartment("c", 4.0),
        species("S", "c", 'initialConcentration="2"'),
        species("B", "c", 'initialConcentration="2" constant="true"', boundary=True),
        parameter("k", 0.1),
        reaction("r", "S", "", "k*S*B*c"),
    )
    plans = [Scenario.set(symbol, 5.0), Scenario.set(symbol, 5.0, at=0.0)]
    first, second = evaluate(model, {}, plans, [0.0, 1.0], method=method, outputs=("S", "B"), rtol=1e-9).values("S")[0]
    assert second == pytest.approx(first, rel=1e-7)


@pytest.mark.parametrize("method", ["linear", "explicit", "stiff"])
def test_after_a_patients_last_time_there_are_no_values(method: str) -> None:
    model = model_of("decay-padded", parameter("k", 0.5), moving("y", 8.0), rated("y", "-k*y"))
    times = np.array([[0.0, 1.0, 2.0], [0.0, np.nan, np.nan]])
    found = evaluate(model, {"k": [1.0, 2.0]}, times=times, method=method, outputs=("y",))
    assert np.array_equal(np.isnan(found.values("y")[:, 0, 0]), np.isnan(times))
    assert not found.failures


def test_steps_used_up_on_arrival_leave_no_value_unwritten() -> None:
    needed = int(evaluate(quadratic(), {}, times=[0.0, 1.0], method="explicit", outputs=("y",)).steps[0])
    for steps in range(needed - 2, needed + 1):
        found = evaluate(quadratic(), {}, times=[0.0, 1.0], method="explicit", outputs=("y",), max_steps=steps)
        assert found.status.tolist() == [Status.STEP_LIMIT]
        assert found.data[0, 0, 0] == 8.0
        assert np.isnan(found.data[0, 1, 0])


# -- blocks --------------------------------------------------------------------------------------------------------


def test_times_of_their_own_do_not_make_steps_depend_on_the_block() -> None:
    times = np.array([[0.0, 0.1, 0.2, 0.3], [0.0, 1.0, 1.2, 1.4]])
    whole, cut = (evaluate(ball(), {"keep": [0.8, 0.8]}, times=times, outputs=("x",), block=size) for size in (9, 1))
    assert same_bits(whole, cut)


CHANGED: Sequence[tuple[Model, Scenario]] = (
    (
        model_of("raised", parameter("k", 0.5), moving("o", 0.0), assigned("o", "exp(k*t)**1.3")),
        Scenario.set("k", 0.7, at=0.5),
    ),
    (quadratic(), Scenario.scale("q", 1.1, at=0.5)),
)


@pytest.mark.parametrize("case", CHANGED, ids=lambda case: case[0].name)
def test_a_change_in_one_scenario_leaves_the_method_of_the_others_whatever_the_block(
    case: tuple[Model, Scenario],
) -> None:
    model, plan = case
    for size in (1, 2):
        whole, cut = (evaluate(model, {}, [Scenario.base(), plan], [0.0, 1.0, 2.0], block=at) for at in (9, size))
        assert same_bits(whole, cut)
        assert whole.method == cut.method


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
def test_a_stiff_lane_leaves_the_machine_code_of_the_others_alone() -> None:
    values: dict[str, Given] = {"mu": np.geomspace(0.5, 3000.0, 6)}
    whole, cut = (evaluate(oscillator(), values, times=[0.0, 1.0, 3.0], jit=True, block=size) for size in (9, 1))
    assert same_bits(whole, cut)


# -- numbers that no solver can work with --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [{"rtol": -1e-6}, {"rtol": 0.0}, {"rtol": float("nan")}, {"rtol": 5.0}, {"atol": -1.0}, {"atol": float("nan")},
     {"max_steps": 0}, {"block": 0}, {"start": float("nan")}],
    ids=str,
)  # fmt: skip
def test_a_tolerance_that_is_none_is_refused_by_its_name(bad: dict[str, float]) -> None:
    with pytest.raises(BadValue, match=next(iter(bad))):
        evaluate(quadratic(), {}, times=[0.0, 1.0], **bad)  # type: ignore[arg-type]


def test_a_tolerance_of_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(UnknownSymbol, match="zz"):
        evaluate(quadratic(), {}, times=[0.0, 1.0], atol={"zz": 1.0})
