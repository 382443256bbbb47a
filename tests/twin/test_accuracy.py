"""The accuracy asked for is the accuracy got: on every reference model, by every method, against exact or much tighter
runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin import evaluate, load_model
from pepr_kg.twin.amplification import amplification, local_tolerance
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import event, parameter, rated, sbml

Array = npt.NDArray[np.float64]
TOLERANCES = (1e-4, 1e-6, 1e-8)
METHODS = ("explicit", "stiff", "scalar")


@dataclass(frozen=True, slots=True)
class Problem:
    """A model with some patients; `exact` is the method of the reference run, `methods` those that are tried."""

    model: Model
    values: Mapping[str, float | Array]
    times: Array
    exact: str
    methods: tuple[str, ...] = METHODS
    tolerances: tuple[float, ...] = TOLERANCES
    tight: float = 1e-10


def moving(symbol: str, value: float) -> str:
    return parameter(symbol, value, constant=False)


def logistic() -> Model:
    return read_model(
        sbml(parameter("r", 1.0), moving("y", 1e-12), rated("y", "r*y*(1-y)")), name="logistic from 1e-12"
    )


def van_der_pol(mu: float) -> Model:
    """Van der Pol's oscillator (Hairer & Wanner 1996, IV.1)."""
    parts = (parameter("mu", mu), moving("x", 2.0), moving("w", 0.0), rated("x", "w"), rated("w", "mu*((1-x*x)*w)-x"))
    return read_model(sbml(*parts), name=f"van der Pol {mu:g}")


def robertson() -> Model:
    constants = (parameter("k1", 0.04), parameter("k2", 3e7), parameter("k3", 1e4))
    rates = (rated("a", "k3*b*c-k1*a"), rated("b", "k1*a-k3*b*c-k2*b*b"), rated("c", "k2*b*b"))
    return read_model(sbml(*constants, moving("a", 1.0), moving("b", 0.0), moving("c", 0.0), *rates), name="Robertson")


def bouncing() -> Model:
    """A ball that keeps four fifths of its speed at each bounce: an event that waits for a state."""
    parts = (moving("x", 1.0), moving("w", 0.0), rated("x", "w"), rated("w", "-9.81"))
    bounce = event("bounce", "x < 0", {"x": "0", "w": "-0.8*w"})
    return read_model(sbml(*parts, bounce), name="ball")


def spread(typical: float, seed: int, lanes: int = 4) -> Array:
    return np.asarray(typical * np.exp(0.25 * np.random.default_rng(seed).standard_normal(lanes)))


@cache
def problem(name: str) -> Problem:  # noqa: PLR0911
    grid = np.linspace(0.0, SPANS.get(name, 1.0), POINTS.get(name, 41))
    both, values = ("explicit", "stiff"), VALUES[name]
    match name:
        case "pk2-oral":
            return Problem(load_model(name), values, grid, "linear", both)
        case "warfarin-pkpd":
            return Problem(load_model(name), values, grid, "explicit", both)
        case "hodgkin-huxley":
            return Problem(load_model(name), values, grid, "scalar", ("explicit", "scalar"))
        case "lv-windkessel":
            return Problem(load_model(name), values, grid, "scalar")
        case "logistic":
            return Problem(logistic(), values, grid, "formula")
        case "van der Pol":
            return Problem(van_der_pol(5.0), values, grid, "scalar")
        case "stiff van der Pol":
            return Problem(van_der_pol(1000.0), values, grid, "stiff", ("stiff",), TOLERANCES[:2], 1e-8)
        case "ball":
            return Problem(bouncing(), values, grid, "explicit", both)
        case "Robertson":
            grid = np.array([0.0, *np.logspace(-3, 4, 30)])
            return Problem(robertson(), values, grid, "stiff", ("stiff",))
        case _:
            return Problem(load_model(name), values, grid, "linear")


VALUES: Mapping[str, Mapping[str, float | Array]] = {
    "pk2-oral": {
        "CL": spread(5.0, 1),
        "V1": spread(35.0, 2),
        "ka": spread(0.9, 3),
        "dose": 100.0,
        "tau_h": 12.0,
        "n_doses": 4.0,
    },
    "warfarin-pkpd": {"CL": spread(0.13, 4), "ka": spread(0.9, 5), "kout": spread(0.055, 6), "dose": 100.0},
    "lv-windkessel": {"Emax": spread(2.0, 7), "Rp": spread(1.0, 8), "HR": spread(72.0, 9)},
    "hodgkin-huxley": {"I_uA_per_cm2": np.array([8.0, 10.0, 14.0]), "g_Na": np.array([120.0, 110.0, 130.0])},
    "two-scale-linear": {"slow0": spread(1.0, 10)},
    "two-scale-fast": {"slow": spread(1.0, 10)},
    "two-scale-slow": {"fast": spread(1.0, 10)},
    "logistic": {"r": spread(1.0, 11)},
    "van der Pol": {"mu": spread(5.0, 12)},
    "stiff van der Pol": {"mu": np.array([900.0, 1000.0])},
    "ball": {"x": np.array([1.0, 1.3, 0.7])},
    "Robertson": {"k1": spread(0.04, 13)},
}
SPANS = {
    "pk2-oral": 60.0,
    "warfarin-pkpd": 144.0,
    "lv-windkessel": 4.0,
    "hodgkin-huxley": 30.0,
    "two-scale-linear": 5.0,
    "two-scale-slow": 10.0,
    "logistic": 60.0,
    "van der Pol": 20.0,
    "stiff van der Pol": 1200.0,
    "ball": 2.0,
}
POINTS = {"lv-windkessel": 81, "hodgkin-huxley": 61, "logistic": 61, "van der Pol": 81}
NAMES = tuple(VALUES)


def states_of(model: Model) -> tuple[str, ...]:
    return tuple(symbol.removesuffix(".amount") for symbol in model.states)


@cache
def truth(name: str) -> Array:
    """States, (states, times, lanes), a hundred times more exact than anything that is asked for below."""
    case = problem(name)
    if case.exact == "formula":
        rate, start = np.asarray(case.values["r"]), 1e-12
        return np.asarray(1.0 / (1.0 + (1.0 / start - 1.0) * np.exp(-rate * case.times[:, None])))[None]
    found = evaluate(
        case.model, case.values, times=case.times, outputs=states_of(case.model), method=case.exact, rtol=case.tight
    )
    assert not found.failures
    return found.data


def achieved(name: str, method: str | None, rtol: float) -> float:
    """The largest error over lanes, times and states, relative to the largest value of that state in that lane."""
    case = problem(name)
    found = evaluate(case.model, case.values, times=case.times, outputs=states_of(case.model), method=method, rtol=rtol)
    assert not found.failures
    exact = truth(name)
    return float(np.max(np.abs(found.data - exact) / np.max(np.abs(exact), axis=1, keepdims=True)))


CASES = [(name, method) for name in NAMES for method in problem(name).methods]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_the_accuracy_asked_for_is_the_accuracy_got(name: str, method: str) -> None:
    errors = {rtol: achieved(name, method, rtol) for rtol in problem(name).tolerances}
    assert all(error <= rtol for rtol, error in errors.items()), errors


@pytest.mark.parametrize("name", NAMES)
def test_so_it_is_when_nobody_chooses_the_method(name: str) -> None:
    assert achieved(name, None, 1e-6) <= 1e-6


def test_the_references_agree_with_another_method() -> None:
    for name, method in (("lv-windkessel", "stiff"), ("warfarin-pkpd", "stiff")):
        assert achieved(name, method, 1e-9) < 1e-9


def test_a_lane_alone_has_the_accuracy_of_a_lane_among_others() -> None:
    case = problem("lv-windkessel")
    for lane in range(2):
        alone = {key: float(np.asarray(value)[lane]) for key, value in case.values.items()}
        found = evaluate(case.model, alone, times=case.times, outputs=states_of(case.model), rtol=1e-6)
        assert found.method == "scalar"
        exact = truth("lv-windkessel")[:, :, lane]
        assert np.max(np.abs(found.data[:, :, 0] - exact) / np.max(np.abs(exact), axis=1, keepdims=True)) <= 1e-6


def test_a_beat_is_never_leapt_over() -> None:
    """With all valves shut the rates are so smooth that a step may reach over the whole ejection."""
    period = 60 / 104.35004919248348
    values = {
        "Emax": 0.6465322872373901,
        "HR": 60 / period,
        "Rp": 1.4989917091984466,
        "SBV": 534.3958237896029,
        "Vlv": 151.15027176,
        "Va": 90.72607577,
        "Vv": 532.51947626,
    }
    for method in METHODS:
        for rtol in (1e-4, 1e-6, 1e-8):
            found = evaluate(
                load_model("lv-windkessel"), values, times=[period], rtol=rtol, method=method, outputs=("Vlv", "Va")
            )
            assert found.data[:, 0, 0] == pytest.approx([151.187, 89.747], rel=2 * rtol + 1e-5), (method, rtol)


def test_an_absolute_tolerance_is_kept_too() -> None:
    case = problem("warfarin-pkpd")
    found = evaluate(case.model, case.values, times=case.times, outputs=states_of(case.model), rtol=1e-9, atol=1e-3)
    assert np.max(np.abs(found.data - truth("warfarin-pkpd"))) < 1e-3 + 1e-9 * 100
    strict = evaluate(
        case.model, case.values, times=case.times, outputs=states_of(case.model), rtol=1e-9, atol={"pca": 1e-3}
    )
    assert strict.steps.sum() > found.steps.sum()  # the drug is held to the relative tolerance alone


def test_what_forgets_its_errors_costs_no_more_and_what_carries_them_on_costs_more() -> None:
    assert amplification(load_model("pk2-oral"), 48.0, 1e-6) == 1.0
    assert amplification(van_der_pol(5.0), 20.0, 1e-6) > 10.0
    assert local_tolerance(load_model("pk2-oral"), 48.0, 1e-6) == 1e-6
    assert 1e-13 <= local_tolerance(van_der_pol(5.0), 20.0, 1e-12) < 1e-12


def test_a_model_without_values_of_its_own_gets_a_usual_margin() -> None:
    model = read_model(sbml(parameter("k"), moving("y", 1.0), rated("y", "-k*y*y")), name="no defaults")
    assert 1.0 < amplification(model, 10.0, 1e-6) < 100.0
    found = evaluate(model, {"k": 2.0}, times=[0.0, 10.0], outputs=("y",))
    assert found.data[0, 1, 0] == pytest.approx(1 / 21, rel=1e-6)
