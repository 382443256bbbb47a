"""Compiled models: the same numbers as the formulas, smooth steps, guards that tell when a mode is wrong."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pepr_kg.errors import PeprError
from pepr_kg.twin.compiler.codegen import Program, compile_model
from pepr_kg.twin.expression import (
    ONE,
    TIME,
    ZERO,
    Expr,
    Value,
    add,
    divide,
    evaluate,
    multiply,
    negate,
    number,
    power,
    subtract,
    symbol,
)
from pepr_kg.twin.model import Event, EventAssignment, Model, Variable
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.small_models import build, compartments, logistic, robertson, ventricle

Array = npt.NDArray[np.float64]
X, Y, K = symbol("x"), symbol("y"), symbol("k")
MODELS = [robertson, compartments, logistic, ventricle]


class At:
    """A program with states, slots and modes as they are at some times."""

    def __init__(self, model: Model, lanes: int = 5, seed: int = 0, states: Array | None = None) -> None:
        rng = np.random.default_rng(seed)
        self.program = compile_model(model)
        defaults = self.program.start({}, 1)[1]
        slots = self.program.slots
        spread = {name: defaults[slots[name]] * rng.uniform(0.9, 1.1, lanes) for name in model.constants}
        self.y, self.v = self.program.start(spread, lanes)
        self.y = np.abs(self.y) * rng.uniform(0.8, 1.2, self.y.shape) + 0.01 if states is None else states.copy()
        self.t = rng.uniform(0.1, 3.0, lanes)
        self.w = [np.full(lanes, np.nan) for _ in range(self.program.buffers)]
        self.set_modes()

    def set_modes(self) -> None:
        for slot, value in zip(self.program.mode_slots, self.program.mode_values(self.t, self.y, self.v), strict=True):
            self.v[slot][:] = value

    def rates(self, y: Array | None = None, t: Array | None = None, fresh: bool = True) -> Array:
        dy = np.full(self.y.shape, np.nan)
        with np.errstate(all="ignore"):
            self.program.rates(self.t if t is None else t, self.y if y is None else y, self.v, self.w, dy, fresh)
        return dy

    def guards(self, y: Array | None = None, t: Array | None = None) -> Array:
        found = np.full((len(self.program.modes), len(self.t)), np.nan)
        self.program.guards(self.t if t is None else t, self.y if y is None else y, self.v, self.w, found)
        return found

    def values(self) -> dict[str, Value]:
        found: dict[str, Value] = {name: self.v[slot] for name, slot in self.program.slots.items()}
        found |= {name: self.y[row] for name, row in self.program.rows.items()}
        for item in self.program.model.assignments:
            found[item.symbol] = evaluate(item.formula, found, self.t)
        return found


def one_state(rate: Expr, name: str | None = None) -> Model:
    return build(name or f"rate {rate}", {"x": rate, "y": ZERO}, {"k": 2.0, "x": 1.0, "y": 1.0})


# -- the same numbers as the formulas
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_rates_are_what_the_formulas_say(make: Callable[[], Model]) -> None:
    at = At(make(), lanes=50)
    rates, values = at.rates(), at.values()
    for row, formula in enumerate(at.program.model.rates):
        expected = np.asarray(evaluate(formula, values, at.t))
        assert np.max(np.abs(rates[row] - expected)) <= 1e-13 * np.max(np.abs(expected))


LEAVES = st.sampled_from([X, Y, K, TIME, number(0.5), number(3), number(-2)])
BINARY = ["plus", "minus", "times", "divide", "max", "min", "quotient"]
UNARY = ["negative", "abs", "floor", "ceiling", "sin", "exp", "sqrt", "ln", "tanh"]


def trees(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    relations = st.builds(Expr, st.sampled_from(["lt", "leq", "gt", "geq"]), st.tuples(children, children))
    conditions = st.one_of(
        relations,
        st.builds(Expr, st.sampled_from(["and", "or", "xor"]), st.tuples(relations, relations)),
        st.builds(lambda item: Expr("not", (item,)), relations),
    )
    return st.one_of(
        st.builds(Expr, st.sampled_from(BINARY), st.tuples(children, children)),
        st.builds(lambda op, item: Expr(op, (item,)), st.sampled_from(UNARY), children),
        st.builds(lambda yes, when, no: Expr("piecewise", (yes, when, no)), children, conditions, children),
        st.builds(
            lambda item, size: Expr("power", (item, number(size))), children, st.sampled_from([2, 3, 0.5, -1, 1.7])
        ),
        relations,
    )


@settings(max_examples=300, deadline=None)
@given(formula=st.recursive(LEAVES, trees, max_leaves=9), seed=st.integers(0, 1000))
def test_a_random_formula_means_the_same_compiled(formula: Expr, seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program(one_state(formula, "random"))
    y, v = program.start({"k": rng.normal(size=4)}, 4)
    y[:] = rng.normal(size=y.shape)
    t = rng.uniform(0, 3, 4)
    values = {"x": y[0], "y": y[1], "k": v[program.slots["k"]]}
    sizes = [np.broadcast_to(np.asarray(evaluate(node, values, t), dtype=float), 4) for node in formula.nodes()]
    expected = sizes[-1]
    sane = np.all(np.isfinite(sizes), axis=0) & (np.max(np.abs(sizes), axis=0) < 1e6)
    assume(sane.any())
    dy = np.empty_like(y)
    with np.errstate(all="ignore"):
        for slot, value in zip(program.mode_slots, program.mode_values(t, y, v), strict=True):
            v[slot][:] = value
        program.rates(t, y, v, [np.empty(4) for _ in range(program.buffers)], dy)
        assert np.allclose(dy[0][sane], expected[sane], rtol=1e-9, atol=1e-9 * np.max(np.abs(np.array(sizes)[:, sane])))
        found = program.function([formula])(t, y, v)[0]
    assert np.array_equal(np.broadcast_to(np.asarray(found, dtype=float), 4)[sane], expected[sane])


def test_every_operator_has_code() -> None:
    """Operators that the random formulas leave out, against values computed by hand."""
    cases = [
        (Expr("rem", (number(-7), K)), -1.0),
        (Expr("rem", (add(X, number(6)), K)), 1.0),
        (Expr("quotient", (number(-7), K)), -3.0),
        (Expr("factorial", (add(K, K),)), 24.0),
        (Expr("eq", (X, ONE)), 1.0),
        (Expr("neq", (X, ONE)), 0.0),
        (Expr("arctan", (X,)), math.pi / 4),
        (Expr("log10", (multiply(number(50), K),)), 2.0),
        (Expr("arcsinh", (ZERO,)), 0.0),
        (power(K, number(-2)), 0.25),
        (power(K, X), 2.0),
        (power(negate(K), number(3)), -8.0),
        (Expr("piecewise", (X, Expr("lt", (K, ZERO)))), math.nan),
        (Expr("and", ()), 1.0),
        (Expr("or", ()), 0.0),
        (Expr("plus", ()), 0.0),
        (Expr("times", ()), 1.0),
        (add(Expr("gt", (X, ZERO)), Expr("gt", (Y, ZERO))), 2.0),
    ]
    for formula, value in cases:
        program = Program(one_state(formula, "operators"))
        y, v = program.start({}, 2)
        dy = np.empty_like(y)
        program.rates(np.zeros(2), y, v, [np.empty(2) for _ in range(program.buffers)], dy)
        assert dy[0] == pytest.approx([value, value], rel=1e-15, nan_ok=True), formula
        assert np.asarray(program.function([formula])(np.zeros(2), y, v)[0], dtype=float) == pytest.approx(
            value, rel=1e-15, nan_ok=True
        ), formula


def test_an_operator_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        Program(one_state(Expr("rate", (Y,)), "refused"))


def test_the_suite_s_models_mean_the_same_compiled(shared: Path) -> None:
    checked = 0
    for path in sorted((shared / "sbml-test-suite" / "cases").glob("*/*-sbml-l3v2.xml"))[::17]:
        try:
            model = read_model(path)
        except PeprError:
            continue
        program = Program(model)
        if program.delays:
            continue
        y, v = program.start({}, 2)
        y = np.where(np.isfinite(y), np.abs(y), 1.0) + np.array([0.01, 0.02])
        t, w = np.array([0.3, 1.7]), [np.full(2, np.nan) for _ in range(program.buffers)]
        with np.errstate(all="ignore"):
            for slot, value in zip(program.mode_slots, program.mode_values(t, y, v), strict=True):
                v[slot][:] = value
            dy, guards = np.empty_like(y), np.empty((len(program.modes), 2))
            program.rates_guards(t, y, v, w, dy, guards)
            values: dict[str, Value] = {name: v[slot] for name, slot in program.slots.items()}
            values |= {name: y[row] for name, row in program.rows.items()}
            outputs = program.outputs([item.symbol for item in model.assignments])(t, y, v)
            for row, item in enumerate(model.assignments):
                values[item.symbol] = evaluate(item.formula, values, t)
                assert np.array_equal(outputs[row], np.broadcast_to(values[item.symbol], 2), equal_nan=True), path
            size = np.max(np.abs(dy), initial=1.0, where=np.isfinite(dy))
            for row, formula in enumerate((*model.rates, *model.constraints)):
                expected = np.broadcast_to(evaluate(formula, values, t), 2)
                assert np.allclose(dy[row], expected, rtol=1e-11, atol=1e-13 * size, equal_nan=True), path
            assert not np.any(guards < 0), path
        checked += 1
    assert checked > 30


# -- names
# ---------------------------------------------------------------------------------------------------------------


def test_a_symbol_s_name_never_gets_into_the_code() -> None:
    names = ["y0", "t", "v[0]", "__import__('os').abort()", "w", "dy", "add", "mode:0"]
    rates = {name: multiply(number(at + 1), symbol(name)) for at, name in enumerate(names)}
    program = Program(build("names", rates, dict.fromkeys(names, 1.0)))
    y, v = program.start({}, 1)
    dy = np.empty_like(y)
    program.rates(np.zeros(1), y, v, [np.empty(1) for _ in range(program.buffers)], dy)
    assert dy.ravel().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_programs_are_kept_by_digest_and_never_confused() -> None:
    first = compile_model(logistic())
    assert compile_model(logistic()) is first
    other = build("logistic", {"y": ONE}, {"y": 0.0})
    assert compile_model(other) is not first
    assert compile_model(other).model == other


# -- modes and guards
# ----------------------------------------------------------------------------------------------------

KINKS = [
    # formula, x where it is frozen, x where the frozen branch is asked, its value there, x at which the guard is zero
    (Expr("max", (X, ZERO)), 1.0, -0.5, -0.5, 0.0),
    (Expr("max", (X, ZERO)), -1.0, 0.5, 0.0, 0.0),
    (Expr("min", (X, K)), 1.0, 3.0, 3.0, 2.0),
    (Expr("max", (divide(ONE, X), K)), 0.25, 1.0, 1.0, 0.5),
    (Expr("abs", (X,)), -1.0, 0.5, -0.5, 0.0),
    (Expr("floor", (X,)), 1.5, 2.5, 1.0, 2.0),
    (Expr("floor", (X,)), 1.5, 0.5, 1.0, 1.0),
    (Expr("ceiling", (X,)), 1.5, 2.5, 2.0, 2.0),
    (Expr("quotient", (X, K)), -0.5, 2.5, 0.0, 2.0),
    (Expr("quotient", (X, K)), -2.5, -1.5, -1.0, -2.0),
    (Expr("rem", (X, K)), 1.5, 2.5, 2.5, 2.0),
    (Expr("piecewise", (X, Expr("lt", (X, K)), number(9))), 1.0, 3.0, 3.0, 2.0),
    (Expr("piecewise", (X, Expr("geq", (X, K)), number(9))), 1.0, 3.0, 9.0, 2.0),
    (multiply(number(3), Expr("gt", (X, K))), 3.0, 1.0, 3.0, 2.0),
]


@pytest.mark.parametrize(("formula", "frozen", "asked", "value", "kink"), KINKS)
def test_a_kink_is_frozen_and_its_guard_tells(
    formula: Expr, frozen: float, asked: float, value: float, kink: float
) -> None:
    at = At(build(f"kink {formula}", {"x": formula}, {"k": 2.0, "x": frozen}), lanes=1, states=np.array([[frozen]]))
    at.v[at.program.slots["k"]] = np.array([2.0])
    at.program.prepare(at.v)
    at.set_modes()
    assert at.guards().min() > 0
    assert at.rates() == pytest.approx(float(evaluate(formula, {"x": frozen, "k": 2.0})))
    assert at.rates(np.array([[asked]])) == pytest.approx(value)
    assert at.guards(np.array([[asked]])).min() < 0
    assert at.guards(np.array([[kink]])).min() == pytest.approx(0.0, abs=1e-12)
    both, guards = np.empty((1, 1)), np.empty((1, 1))
    at.program.rates_guards(at.t, np.array([[asked]]), at.v, at.w, both, guards)
    assert both == pytest.approx(value)
    assert np.array_equal(guards, at.guards(np.array([[asked]])))


def test_a_mode_inside_a_mode_follows_it() -> None:
    inner = Expr("max", (X, ZERO))
    at = At(
        build("nested", {"x": Expr("floor", (multiply(K, inner),))}, {"k": 2.0, "x": 1.3}), 1, states=np.array([[-4.0]])
    )
    assert at.rates()[0, 0] == 0.0
    at.y[:] = 0.8
    at.v[at.program.slots["k"]] = 2.0
    at.program.prepare(at.v)
    at.set_modes()
    assert at.rates()[0, 0] == 1.0


def test_what_no_state_and_no_time_moves_is_no_mode() -> None:
    program = Program(one_state(multiply(Expr("max", (K, ONE)), X), "fixed"))
    assert program.modes == ()


def test_a_guard_is_shared_by_equal_kinks() -> None:
    valve = Expr("max", (X, ZERO))
    program = Program(build("shared", {"x": valve, "y": negate(Expr("max", (X, ZERO)))}, {"x": 1.0, "y": 0.0}))
    assert len(program.modes) == 1


# -- derivatives
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_the_jacobian_is_the_limit_of_differences(make: Callable[[], Model]) -> None:
    at = At(make(), lanes=20)
    rows = len(at.program.states)
    jac, drift = np.full((rows, rows, 20), np.nan), np.full((rows, 20), np.nan)
    at.program.jacobian(at.t, at.y, at.v, at.w, jac, drift)
    for column in range(rows):
        step = 1e-6 * np.abs(at.y[column])
        up, down = at.y.copy(), at.y.copy()
        up[column] += step
        down[column] -= step
        slope = (at.rates(up) - at.rates(down)) / (2 * step)
        assert np.allclose(jac[:, column], slope, rtol=1e-5, atol=1e-7 * np.max(np.abs(slope)))
    slope = (at.rates(t=at.t + 1e-7) - at.rates(t=at.t - 1e-7)) / 2e-7
    assert np.allclose(drift, slope, rtol=1e-4, atol=1e-6 * np.max(np.abs(slope), initial=1.0))


def test_the_jacobian_reaches_through_modes_that_are_read_as_conditions() -> None:
    formula = Expr("piecewise", (divide(K, X), Expr("gt", (X, ONE)), multiply(X, X)))
    at = At(build("branches", {"x": formula}, {"k": 2.0, "x": 2.0}), 2, states=np.array([[2.0, 0.5]]))
    at.v[at.program.slots["k"]] = 2.0
    jac, drift = np.empty((1, 1, 2)), np.empty((1, 2))
    at.program.jacobian(at.t, at.y, at.v, at.w, jac, drift)
    assert jac.ravel().tolist() == [-0.5, 1.0]


# -- lanes
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_a_lane_s_bits_do_not_depend_on_its_neighbours(make: Callable[[], Model]) -> None:
    at = At(make(), lanes=37)
    rates = at.rates()
    rows = len(at.program.states)
    jac, drift = np.empty((rows, rows, 37)), np.empty((rows, 37))
    at.program.jacobian(at.t, at.y, at.v, at.w, jac, drift)
    pick = np.random.default_rng(3).permutation(37)[:11]
    v = [slot[pick] if isinstance(slot, np.ndarray) else slot for slot in at.v]
    w = [np.empty(11) for _ in range(at.program.buffers)]
    some, jac_some, drift_some = np.empty((rows, 11)), np.empty((rows, rows, 11)), np.empty((rows, 11))
    at.program.rates(at.t[pick], at.y[:, pick], v, w, some)
    at.program.jacobian(at.t[pick], at.y[:, pick], v, w, jac_some, drift_some)
    assert np.array_equal(some, rates[:, pick])
    assert np.array_equal(jac_some, jac[:, :, pick])
    assert np.array_equal(drift_some, drift[:, pick])


@pytest.mark.parametrize("make", MODELS)
def test_a_shared_value_means_the_same_as_one_for_each_lane(make: Callable[[], Model]) -> None:
    model = make()
    program = compile_model(model)
    y, v = program.start({}, 3)
    spread = {name: np.full(3, v[program.slots[name]]) for name in model.constants}
    y_wide, v_wide = program.start(spread, 3)
    assert np.array_equal(y, y_wide)
    assert not any(isinstance(v[program.slots[name]], np.ndarray) for name in model.constants)
    w, one, other = [np.empty(3) for _ in range(program.buffers)], np.empty_like(y), np.empty_like(y)
    program.rates(np.full(3, 0.4), y, v, w, one)
    program.rates(np.full(3, 0.4), y, v_wide, w, other)
    assert np.array_equal(one, other)


def test_what_depends_on_the_time_alone_is_kept_until_it_is_asked_anew() -> None:
    at = At(ventricle(), lanes=4)
    later = at.t + 0.01
    new = at.rates(t=later)
    assert np.array_equal(at.rates(t=later, fresh=False), new)
    at.rates()
    assert not np.array_equal(at.rates(t=later, fresh=False), new)
    guards = np.empty((3, 4))
    dy = np.empty_like(new)
    at.rates(t=later)
    at.program.rates_guards(later, at.y, at.v, at.w, dy, guards, False)
    assert np.array_equal(dy, new)


# -- the start, outputs, events, the past, constraints
# -----------------------------------------------------------------------


def test_values_replace_formulas_and_what_follows_from_them() -> None:
    program = compile_model(ventricle())
    y, v = program.start({"C": np.array([1.0, 2.0]), "Vlv": 100.0}, 2)
    assert y[program.rows["Va"]].tolist() == [80.0, 160.0]
    assert y[program.rows["Vlv"]].tolist() == [100.0, 100.0]
    assert v[program.slots["C"]].tolist() == [1.0, 2.0]
    assert v[program.slots["Rp"]] == 1.0
    with pytest.raises(KeyError, match="nothing"):
        program.start({"nothing": 1.0}, 2)


def test_a_concentration_sets_the_amount() -> None:
    species = Variable("S", "species", "state", "mmol/L", core="S.amount", compartment="V")
    concentration = {"S": divide(symbol("S.amount"), symbol("V"))}
    model = build("amounts", {"S.amount": ZERO}, {"V": 2.0, "S.amount": 1.0}, concentration, variables=[species])
    program = compile_model(model)
    y, _ = program.start({"S": np.array([3.0, 4.0]), "V": 5.0}, 2)
    assert y.tolist() == [[15.0, 20.0]]


def test_formulas_that_need_each_other_are_an_error() -> None:
    model = build("circle", {"x": ZERO}, {"k": add(X, ONE), "x": multiply(K, ONE, number(2))})
    with pytest.raises(KeyError):
        compile_model(model).start({}, 1)
    assert compile_model(model).start({"k": 1.0}, 1)[0].tolist() == [[2.0]]


def test_outputs_broadcast_over_times_and_lanes() -> None:
    program = compile_model(ventricle())
    y, v = program.start({"Rp": np.array([1.0, 2.0, 4.0])}, 3)
    path = np.repeat(y[:, None, :], 7, axis=1)
    found = program.outputs(("Qp", "time", "Vlv", "Rp", "HR"))(np.arange(7.0)[:, None], path, v)
    assert found.shape == (5, 7, 3)
    assert found[1, :, 2].tolist() == list(range(7))
    assert found[3, 0].tolist() == [1.0, 2.0, 4.0]
    assert found[0, 0] == pytest.approx((120 / 1.5 - 10.0) / np.array([1.0, 2.0, 4.0]))
    with pytest.raises(KeyError, match="Qx"):
        program.outputs(("Qx",))


def test_outputs_are_literal_where_rates_are_frozen() -> None:
    at = At(ventricle(), lanes=3)
    at.y[at.program.rows["Vlv"]] = 5.0  # below V0: the aortic valve is shut, whatever the modes hold
    for slot in at.program.mode_slots:
        at.v[slot][:] = 1
    assert at.program.outputs(("Qav",))(at.t, at.y, at.v).tolist() == [[0.0, 0.0, 0.0]]


def test_events_give_triggers_values_delays_and_priorities() -> None:
    events = [
        Event("first", Expr("and", (Expr("gt", (X, ONE)), Expr("geq", (TIME, K)))), (EventAssignment("d", add(X, K)),),
              delay=multiply(K, X), priority=X),
        Event("second", X, (EventAssignment("x", number(7)), EventAssignment("d", ZERO))),
    ]  # fmt: skip
    model = build("events", {"x": ONE}, {"k": 2.0, "x": 0.0, "d": 5.0}, discretes=["d"], events=events)
    program = compile_model(model)
    y, v = program.start({}, 3)
    t, y = np.array([1.0, 2.0, 3.0]), np.array([[2.0, 2.0, 0.0]])
    assert program.triggers(t, y, v).tolist() == [[False, True, False], [True, True, False]]
    assert [np.broadcast_to(item, 3).tolist() for item in program.event_values(0, t, y, v)] == [[4.0, 4.0, 2.0]]
    assert [np.broadcast_to(item, 3).tolist() for item in program.event_values(1, t, y, v)] == [[7.0] * 3, [0.0] * 3]
    assert program.delay(0, t, y, v).tolist() == [4.0, 4.0, 0.0]
    assert program.delay(1, t, y, v) == 0.0
    assert program.priority(0, t, y, v).tolist() == [2.0, 2.0, 0.0]
    assert math.isnan(program.priority(1, t, y, v))
    assert v[program.slots["d"]].tolist() == [5.0, 5.0, 5.0]


def test_the_past_is_read_from_slots() -> None:
    late = Expr("delay", (multiply(K, X), Y))
    model = build("past", {"x": negate(Expr("delay", (late, ONE))), "y": late}, {"k": 2.0, "x": 3.0, "y": 0.5})
    program = compile_model(model)
    assert len(program.delays) == 2
    y, v = program.start({}, 1)
    assert [v[slot].tolist() for slot in program.delay_slots] == [[6.0], [6.0]]
    t, dy = np.zeros(1), np.empty_like(y)
    v[program.delay_slots[0]][:] = 10.0
    v[program.delay_slots[1]][:] = 11.0
    program.rates(t, y, v, [np.empty(1) for _ in range(program.buffers)], dy)
    assert dy.ravel().tolist() == [-11.0, 10.0]
    assert program.delay_value(0, t, y, v).tolist() == [6.0]
    assert program.delay_value(1, t, y, v).tolist() == [10.0]
    assert program.delay_span(0, t, y, v).tolist() == [0.5]
    assert program.delay_span(1, t, y, v) == 1.0


def test_constraints_are_solved_for_in_each_lane() -> None:
    z = symbol("z")
    residual = subtract(add(multiply(z, z, z), z), multiply(K, X))
    model = build("cubic", {"x": negate(z)}, {"k": 1.0, "x": 2.0, "z": 0.0}, algebraic=["z"], constraints=[residual])
    program = compile_model(model)
    assert program.states == ("x", "z")
    assert program.mass.tolist() == [1.0, 0.0]
    y, v = program.start({"k": np.array([1.0, 5.0, 34.0, math.nan])}, 4)
    y, solved = program.settle(np.zeros(4), y, v, [np.empty(4) for _ in range(program.buffers)])
    assert solved.tolist() == [True, True, True, False]
    assert y[1, :3] == pytest.approx([1.0, 2.0, 4.0], rel=1e-14)
    assert y[0, :3].tolist() == [2.0, 2.0, 2.0]


def test_a_constraint_with_a_kink_and_one_without_a_solution() -> None:
    z = symbol("z")
    model = build(
        "kinked", {"x": ZERO}, {"x": 1.0, "z": 5.0}, algebraic=["z"],
        constraints=[subtract(add(Expr("max", (z, ZERO)), multiply(number(0.5), z)), X)],
    )  # fmt: skip
    program = compile_model(model)
    y, v = program.start({"x": np.array([3.0, -1.0])}, 2)
    y, solved = program.settle(np.zeros(2), y, v, [np.empty(2) for _ in range(program.buffers)])
    assert solved.all()
    assert y[1] == pytest.approx([2.0, -2.0])
    empty = build("empty", {"x": ZERO}, {"x": 1.0, "z": 0.5}, algebraic=["z"], constraints=[add(multiply(z, z), X)])
    program = compile_model(empty)
    y, v = program.start({}, 1)
    assert not program.settle(np.zeros(1), y, v, [np.empty(1) for _ in range(program.buffers)])[1].any()
