"""One patient: exact answers, the same as lanes, kinks met, and a way out where floats stop."""

import importlib.util
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.compiler import scalar_source
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.compiler.scalar import able, compile_scalar, run_scalar
from pepr_kg.twin.expression import (
    ONE,
    TIME,
    ZERO,
    Expr,
    add,
    divide,
    multiply,
    negate,
    number,
    power,
    subtract,
    symbol,
)
from pepr_kg.twin.model import Event, EventAssignment, Model
from pepr_kg.twin.solvers import dormand_prince
from pepr_kg.twin.solvers.dormand_prince import DormandPrince
from pepr_kg.twin.solvers.lanes import Block
from pepr_kg.twin.solvers.linear import propagate
from pepr_kg.twin.solvers.run import Control, Run
from pepr_kg.twin.status import Status
from tests.twin.small_models import build, compartments, logistic, robertson, ventricle

Array = npt.NDArray[np.float64]
X, K = symbol("x"), symbol("k")
NEEDS_NUMBA = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
WITH_NUMBA = pytest.param(True, marks=NEEDS_NUMBA)


def run(model: Model, grid: Array, rtol: float = 1e-8, *, jit: bool = False, control: Control | None = None) -> Run:
    y, v = compile_model(model).start({}, 1, float(grid[0]))
    found = run_scalar(model, float(grid[0]), y, v, grid, control or Control(rtol=rtol), jit=jit)
    assert found is not None
    return found


@pytest.mark.parametrize("jit", [False, WITH_NUMBA])
def test_the_logistic_course_is_exact(jit: bool) -> None:
    grid = np.linspace(0, 40, 41)
    found = run(logistic(), grid, 1e-10, jit=jit)
    exact = 1 / (1 + 99 * np.exp(-0.3 * grid))
    assert found.status.tolist() == [Status.DONE]
    assert found.ended.tolist() == [40.0]
    assert found.y.shape == (1, 41, 1)
    assert found.y[0, :, 0] == pytest.approx(exact, rel=1e-9)


def test_compartments_agree_with_the_matrix_exponential() -> None:
    grid = np.linspace(0, 48, 49)
    found = run(compartments(), grid, 1e-10)
    matrix: list[list[float | Array | None]] = [[-1.0, None, None], [1.0, -0.4, 0.06], [None, 0.15, -0.06]]
    exact = propagate(matrix, [None, None, None], np.array([[100.0], [0.0], [0.0]]), grid)
    assert np.max(np.abs(found.y - exact)) < 1e-7


@pytest.mark.parametrize("rtol", [1e-5, 1e-7, 1e-9])
def test_the_accuracy_asked_for_is_had_across_valves(rtol: float) -> None:
    grid = np.linspace(0, 5, 101)
    tight = run(ventricle(), grid, 1e-12)
    error = np.abs(run(ventricle(), grid, rtol).y - tight.y) / np.max(np.abs(tight.y), axis=1, keepdims=True)
    assert np.max(error) < 60 * rtol


@pytest.mark.parametrize("make", [ventricle, compartments, logistic])
def test_it_steps_as_the_lanes_do(make: Callable[[], Model]) -> None:
    model, grid, control = make(), np.linspace(0, 4, 21), Control(rtol=1e-6)
    program = compile_model(model)
    y, v = program.start({}, 1)
    stepper = DormandPrince(program, len(program.states), len(program.modes), program.buffers, 1)
    lanes = Block(program, stepper, 0.0, y, v, grid, control, []).run()
    found = run(model, grid, control=control)
    assert abs(int(found.steps[0]) - int(lanes.steps[0])) <= 3
    size = np.max(np.abs(lanes.y), axis=1, keepdims=True)
    assert np.max(np.abs(found.y - lanes.y) / size) < 1e-6


KINKS: list[tuple[str, Expr, float, Callable[[Array], Array]]] = [
    # rates and what their integral from 0 is
    ("stairs", Expr("floor", (TIME,)), 0.0, lambda t: np.floor(t) * (t - (np.floor(t) + 1) / 2)),
    ("saw", Expr("rem", (TIME, K)), 0.0, lambda t: np.floor(t / 2) * 2 + (t % 2) ** 2 / 2),
    ("rectified", Expr("max", (Expr("sin", (TIME,)), ZERO)), 0.0,
     lambda t: 2 * np.floor(t / (2 * np.pi)) + 1 - np.cos(np.minimum(t % (2 * np.pi), np.pi))),
    ("switch", Expr("piecewise", (ONE, Expr("lt", (TIME, number(3.3))), number(-1))), 0.0, 
     lambda t: 3.3 - np.abs(t - 3.3)),
    ("empties", Expr("piecewise", (number(-1), Expr("gt", (X, ONE)), negate(X))), 3.0,
     lambda t: np.where(t < 2, 3 - t, np.exp(-np.maximum(t - 2, 0)))),
    ("full", multiply(number(2), Expr("lt", (X, ONE))), 0.0, lambda t: np.minimum(2 * t, 1)),
    ("mirror", negate(Expr("abs", (X,))), -0.001, lambda t: -0.001 * np.exp(t)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kink", "jit"),
    [
        *((kink, False) for kink in KINKS),
        *(pytest.param(kink, True, marks=NEEDS_NUMBA) for kink in KINKS[:1] + KINKS[4:5]),
    ],
)
def test_kinks_and_jumps_are_met(kink: tuple[str, Expr, float, Callable[[Array], Array]], jit: bool) -> None:
    name, rate, first, exact = kink
    model = build(f"kinks {name}", {"x": rate}, {"k": 2.0, "x": first})
    grid = np.linspace(0, 9.5, 39)
    found = run(model, grid, control=Control(rtol=1e-10, atol=1e-12), jit=jit)
    assert found.y[0, :, 0] == pytest.approx(exact(grid), rel=1e-8, abs=1e-8)


def test_a_mode_that_chatters_is_followed_or_given_up_but_never_leapt_over() -> None:
    """x is driven to 1 from both sides and stays there (a sliding mode): the rates are never right there for long."""
    model = build("chatter", {"x": subtract(ONE, multiply(number(2), Expr("gt", (X, ONE))))}, {"x": 0.0})
    grid = np.linspace(0, 1.5, 4)
    found = run(model, grid, control=Control(rtol=1e-3))
    assert found.status.tolist() == [Status.DONE]
    assert found.y[0, :, 0] == pytest.approx([0.0, 0.5, 1.0, 1.0], abs=2e-3)
    assert run(model, grid, control=Control(rtol=1e-8, max_steps=5000)).status.tolist() == [Status.STEP_LIMIT]


def test_a_mode_that_comes_and_goes_inside_a_step_is_seen() -> None:
    """Valves shut, the ventricle waits: a step would leap over the whole ejection."""
    program = compile_model(ventricle())
    values = {"Emax": 0.6465322872373901, "HR": 104.35004919248348, "Rp": 1.4989917091984466, "Vlv": 151.15027176,
              "Va": 90.72607577, "Vv": 532.51947626}  # fmt: skip
    y, v = program.start(values, 1)
    found = run_scalar(ventricle(), 0.0, y, v, np.array([60 / values["HR"]]), Control(rtol=1e-8))
    assert found is not None
    assert found.y[:, 0, 0] == pytest.approx([151.187, 89.747, 533.462], abs=1e-3)


@pytest.mark.parametrize("jit", [False, WITH_NUMBA])
def test_several_patients_each_get_their_own_answer(jit: bool) -> None:
    model, grid = logistic(), np.linspace(0, 20, 5)
    y, v = compile_model(model).start({"r": np.array([0.1, 0.3, 0.5]), "y": np.array([0.1, 0.01, 0.2])}, 3)
    found = run_scalar(model, 0.0, y, v, grid, Control(rtol=1e-10), jit=jit)
    assert found is not None
    r, start = np.array([0.1, 0.3, 0.5]), np.array([0.1, 0.01, 0.2])
    exact = 1 / (1 + (1 / start - 1) * np.exp(-r * grid[:, None]))
    assert found.y[0] == pytest.approx(exact, rel=1e-9)


def test_machine_code_gives_the_digits_of_python() -> None:
    pytest.importorskip("numba", reason="Numba is not installed")
    grid = np.linspace(0, 2, 21)
    python, machine = run(ventricle(), grid, 1e-6), run(ventricle(), grid, 1e-6, jit=True)
    assert python.steps.tolist() == machine.steps.tolist()
    assert np.max(np.abs(python.y - machine.y) / np.max(np.abs(python.y), axis=1, keepdims=True)) < 1e-12


def test_output_times_may_begin_later_and_repeat() -> None:
    model = build("ramp", {"x": K}, {"k": 2.0, "x": 0.0})
    y, v = compile_model(model).start({}, 1)
    grid = np.array([1.0, 1.0, 2.5])
    found = run_scalar(model, 0.0, y, v, grid, Control())
    assert found is not None
    assert found.y[0, :, 0] == pytest.approx([2.0, 2.0, 5.0])
    one = run_scalar(model, 0.0, y, v, np.array([0.0]), Control())
    assert one is not None
    assert one.y.tolist() == [[[0.0]]]


def test_steps_and_their_length_are_bounded() -> None:
    grid = np.linspace(0, 40, 41)
    short = run(logistic(), grid, control=Control(rtol=1e-8, max_steps=10))
    assert short.status.tolist() == [Status.STEP_LIMIT]
    assert short.steps.tolist() == [10]
    assert np.isnan(short.y[0, -1, 0])
    assert not np.isnan(short.y[0, 0, 0])
    assert run(logistic(), grid, control=Control(rtol=1e-2, max_step=0.1)).steps[0] >= 400


def test_a_pole_ends_the_run() -> None:
    model = build("pole", {"x": multiply(X, X)}, {"x": 1.0})  # x = 1 / (1 - t)
    found = run(model, np.linspace(0, 2, 5))
    assert found.status[0] in (Status.STEP_TOO_SMALL, Status.STEP_LIMIT)
    assert found.ended[0] == pytest.approx(1.0, abs=1e-6)
    assert math.isnan(found.y[0, -1, 0])


NO_FLOATS = [
    divide(ONE, subtract(X, ONE)),
    Expr("ln", (negate(X),)),
    Expr("exp", (multiply(number(1e6), X),)),
    power(negate(X), K),
]


@pytest.mark.parametrize("rate", NO_FLOATS)
def test_where_floats_stop_the_lanes_go_on(rate: Expr) -> None:
    model = build(f"stops {rate}", {"x": rate}, {"k": 0.5, "x": 1.0})
    y, v = compile_model(model).start({}, 1)
    assert run_scalar(model, 0.0, y, v, np.linspace(0, 1, 3), Control()) is None


def test_a_stiff_model_is_handed_over() -> None:
    y, v = compile_model(robertson()).start({}, 1)
    control = Control(rtol=1e-5, atol=1e-9, stiff_after=15)
    assert run_scalar(robertson(), 0.0, y, v, np.array([0.0, 1e5]), control) is None


def test_lanes_and_scalars_are_one_method() -> None:
    for name in ("_C", "_A", "_E", "_D"):
        assert getattr(scalar_source, name) == getattr(dormand_prince, name)


def test_what_it_cannot_do_it_says() -> None:
    late = build("late", {"x": Expr("delay", (X, ONE))}, {"x": 1.0})
    stirred = build("stirred", {"x": X}, {"x": 1.0}, events=[Event("e", ONE, (EventAssignment("x", ZERO),))])
    tied = build("tied", {"x": X}, {"x": 1.0, "z": 0.0}, algebraic=["z"], constraints=[subtract(symbol("z"), X)])
    still = build("still", {}, {"k": 1.0}, {"a": add(K, ONE)})
    assert [able(model) for model in (late, stirred, tied, still)] == [False] * 4
    assert able(ventricle())
    assert compile_scalar(ventricle()) is compile_scalar(ventricle())
