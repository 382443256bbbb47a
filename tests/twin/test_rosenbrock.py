"""The stiff stepper: its orders, published solutions of stiff problems, algebraic rows, the protocol that it keeps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.solvers.linear import propagate
from pepr_kg.twin.solvers.rosenbrock import Rosenbrock

Array = npt.NDArray[np.float64]
System = Callable[[Array, Array], Array]  # (time, states) -> rates, or -> rates by state


class HandMade:
    """A program from formulas; it notes its calls."""

    def __init__(self, rates: System, by_state: System, by_time: System | None = None, modes: int = 0) -> None:
        self.formulas = (rates, by_state, by_time)
        self.modes = modes
        self.calls: list[tuple[str, float, bool]] = []

    def rates(  # noqa: PLR0917  in the order of the protocol
        self, t: Array, y: Array, v: list[Any], w: list[Array], dy: Array, fresh: bool = True
    ) -> None:
        self.calls.append(("rates", float(t[0]), fresh))
        dy[...] = self.formulas[0](t, y)

    def rates_guards(  # noqa: PLR0917  in the order of the protocol
        self, t: Array, y: Array, v: list[Any], w: list[Array], dy: Array, g: Array, fresh: bool = True
    ) -> None:
        self.rates(t, y, v, w, dy, fresh)
        g[...] = y[: self.modes] - 0.5

    def jacobian(  # noqa: PLR0917  in the order of the protocol
        self, t: Array, y: Array, v: list[Any], w: list[Array], jac: Array, dfdt: Array
    ) -> None:
        self.calls.append(("jacobian", float(t[0]), True))
        jac[...] = self.formulas[1](t, y)
        dfdt[...] = 0.0 if self.formulas[2] is None else self.formulas[2](t, y)


def stepper_of(program: HandMade, states: int, lanes: int = 1, mass: Array | None = None) -> Rosenbrock:
    return Rosenbrock(program, states, program.modes, 0, lanes, mass)


def march(
    program: HandMade, y0: Array, end: float, *, rtol: float, atol: float = 1e-14, mass: Array | None = None
) -> Array:
    """Return the states at `end`, each lane with steps of its own: the plainest control of the error."""
    y = y0.copy()
    states, lanes = y.shape
    stepper = stepper_of(program, states, lanes, mass)
    t, h, f = np.zeros(lanes), np.full(lanes, 1e-6), np.empty_like(y)
    program.rates(t, y, [], stepper.work, f)
    for _ in range(20_000):
        active = t < end
        if not active.any():
            return y
        step = np.where(active, np.minimum(h, end - t), 0.0)
        stepper.attempt(t, step, y, f, [])
        error = np.max(np.abs(stepper.error) / (rtol * np.maximum(np.abs(y), np.abs(stepper.y1)) + atol), axis=0)
        good = error <= 1.0
        np.copyto(y, stepper.y1, where=good)
        np.copyto(f, stepper.f1, where=good)
        t = np.where(good & active, np.where(step == end - t, end, t + step), t)
        h = np.where(active, step * np.clip(0.9 * np.maximum(error, 1e-10) ** -0.2, 0.2, 6.0), h)
    raise AssertionError("the steps do not come to an end")


# -- problems ----------------------------------------------------------------------------------------------------


def robertson(k1: float | Array = 0.04, k2: float | Array = 1e4, k3: float | Array = 3e7) -> HandMade:
    """Robertson's reactions (1966): rates over eleven orders of magnitude."""

    def rates(t: Array, y: Array) -> Array:
        a, b = k1 * y[0] - k2 * y[1] * y[2], k3 * y[1] ** 2
        return np.stack([-a, a - b, b])

    def by_state(t: Array, y: Array) -> Array:
        one, zero = np.ones_like(t), np.zeros_like(t)
        a = [k1 * one, -k2 * y[2], -k2 * y[1]]
        b = [zero, 2 * k3 * y[1], zero]
        return np.stack([-np.stack(a), np.stack(a) - np.stack(b), np.stack(b)])

    return HandMade(rates, by_state)


def robertson_kept() -> HandMade:
    """The same with the third row replaced by what is kept: 0 = y1 + y2 + y3 - 1."""
    plain = robertson()

    def rates(t: Array, y: Array) -> Array:
        return np.stack([*plain.formulas[0](t, y)[:2], y[0] + y[1] + y[2] - 1.0])

    def by_state(t: Array, y: Array) -> Array:
        return np.stack([*plain.formulas[1](t, y)[:2], np.ones((3, t.size))])

    return HandMade(rates, by_state)


def van_der_pol(stiffness: float) -> HandMade:
    """Van der Pol's oscillator with time in units of its stiffness: y2' = ((1 - y1^2) y2 - y1) mu^2."""
    m = stiffness**2

    def by_state(t: Array, y: Array) -> Array:
        one = np.ones_like(t)
        return np.stack([
            np.stack([0 * one, one]), np.stack([m * (-2 * y[0] * y[1] - 1), m * (1 - y[0] ** 2)]),
        ])  # fmt: skip

    return HandMade(lambda t, y: np.stack([y[1], m * ((1 - y[0] ** 2) * y[1] - y[0])]), by_state)


def prothero_robinson(rate: float) -> HandMade:
    """y' = -rate (y - cos t) - sin t: the solution is cos t however stiff it is made."""
    return HandMade(
        lambda t, y: -rate * (y - np.cos(t)) - np.sin(t),
        lambda t, y: np.full((1, 1, t.size), -rate),
        lambda t, y: (-rate * np.sin(t) - np.cos(t))[None],
    )


def orders(program: HandMade, steps: list[int]) -> tuple[Array, Array]:
    """Return the observed orders at the end and of the dense output, over (0, 2) from y = 1 to cos 2."""
    ends, insides = [], []
    for count in steps:
        stepper = stepper_of(program, 1)
        t, h, y, f = np.zeros(1), np.array([2.0 / count]), np.ones((1, 1)), np.empty((1, 1))
        program.rates(t, y, [], [], f)
        inside = 0.0
        for _ in range(count):
            stepper.attempt(t, h, y, f, [])
            dense = stepper.dense(h, y)
            for x in (0.2, 0.5, 0.8):
                inside = max(inside, abs(float(dense(np.array([x]))[0, 0] - np.cos(t + x * h)[0])))
            y, f, t = stepper.y1.copy(), stepper.f1.copy(), t + h
        ends.append(abs(float(y[0, 0]) - np.cos(2.0)))
        insides.append(inside)
    return np.log2(np.divide(ends[:-1], ends[1:])), np.log2(np.divide(insides[:-1], insides[1:]))


# -- accuracy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 1.0, 5.0])
def test_orders_are_five_and_inside_a_step_at_least_four(rate: float) -> None:
    end, inside = orders(prothero_robinson(rate), [10, 20, 40])
    assert np.all((end > 4.8) & (end < 5.4))
    assert np.all(inside > 3.9)


def test_order_does_not_fall_below_that_of_the_stages_when_stiff() -> None:
    """At a rate of a million the order falls to 3 (Steinebach 2023), and the error is tiny from the first."""
    end, inside = orders(prothero_robinson(1e6), [10, 20, 40])
    assert np.all(end > 2.6)
    assert np.all(inside > 3.9)


def test_error_estimate_has_order_five_locally() -> None:
    found = []
    for h in (0.1, 0.05, 0.025):
        program = prothero_robinson(1.0)
        stepper = stepper_of(program, 1)
        f = np.empty((1, 1))
        program.rates(np.ones(1), np.full((1, 1), np.cos(1.0)), [], [], f)
        stepper.attempt(np.ones(1), np.array([h]), np.full((1, 1), np.cos(1.0)), f, [])
        found.append(abs(float(stepper.error[0, 0])))
    assert np.all(np.log2(np.divide(found[:-1], found[1:])) > 4.7)


def test_robertson_at_the_times_of_the_sundials_example() -> None:
    """Figures printed by CVODE's example program cvRoberts_dns, five digits."""
    printed = {
        0.4: (9.8517e-01, 3.3864e-05, 1.4794e-02),
        40.0: (7.1583e-01, 9.1851e-06, 2.8416e-01),
        4e3: (1.8320e-01, 8.9423e-07, 8.1680e-01),
    }
    for time, expected in printed.items():
        found = march(robertson(), np.array([[1.0], [0.0], [0.0]]), time, rtol=1e-7)
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)


def test_robertson_to_the_end_of_the_world() -> None:
    """Reference solution at 1e11 of the Test Set for IVP Solvers (problem ROBER), 11 digits."""
    found = march(robertson(), np.array([[1.0], [0.0], [0.0]]), 1e11, rtol=1e-8, atol=1e-22)
    expected = [0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("rtol", "allowed"), [(1e-4, 1e-3), (1e-6, 1e-5), (1e-8, 1e-7)])
def test_van_der_pol_jumps(rtol: float, allowed: float) -> None:
    """Reference solution at 2 of the Test Set for IVP Solvers (problem VDPOL, mu = 1000)."""
    found = march(van_der_pol(1000.0), np.array([[2.0], [0.0]]), 2.0, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found[:, 0], [1.706167732170483, -0.8928097010247975], rtol=allowed)


@pytest.mark.parametrize("rows", [6, 20])
def test_diffusion_along_a_chain_is_that_of_the_exponential(rows: int) -> None:
    """As many states as make `lu` change its way; rates from 0.1 to 4000. The exact solution is that of `linear`."""
    matrix = 1e3 * (np.eye(rows, k=1) + np.eye(rows, k=-1) - 2 * np.eye(rows))
    matrix[0, 0] = matrix[-1, -1] = -1e3
    matrix[-1, -1] -= 0.1 * rows
    speeds = np.array([0.5, 1.0])
    program = HandMade(
        lambda t, y: np.einsum("ij,jl->il", matrix, y) * speeds, lambda t, y: matrix[:, :, None] * speeds
    )
    y0 = np.zeros((rows, 2))
    y0[0] = 1.0
    found = march(program, y0, 5.0, rtol=1e-8)
    entries = [[speeds * matrix[i, j] if matrix[i, j] else None for j in range(rows)] for i in range(rows)]
    expected = propagate(entries, [None] * rows, y0, np.array([0.0, 5.0]))[:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# -- algebraic rows ----------------------------------------------------------------------------------------------


def test_robertson_with_an_algebraic_row() -> None:
    y0 = np.array([[1.0], [0.0], [0.0]])
    found = march(robertson_kept(), y0, 40.0, rtol=1e-8, mass=np.array([1.0, 1.0, 0.0]))
    expected = march(robertson(), y0, 40.0, rtol=1e-10)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert found.sum() == pytest.approx(1.0, abs=1e-14)


def test_algebraic_row_that_moves_with_time_keeps_order_five() -> None:
    """y' = z, 0 = z^3 + z - (cos^3 t + cos t): z is cos t, y is sin t; the algebraic row depends on time alone."""
    program = HandMade(
        lambda t, y: np.stack([y[1], y[1] ** 3 + y[1] - np.cos(t) ** 3 - np.cos(t)]),
        lambda t, y: np.stack([np.stack([0 * t, 1 + 0 * t]), np.stack([0 * t, 3 * y[1] ** 2 + 1])]),
        lambda t, y: np.stack([0 * t, (3 * np.cos(t) ** 2 + 1) * np.sin(t)]),
    )
    ends = []
    for count in (40, 80, 160):
        stepper = stepper_of(program, 2, mass=np.array([1.0, 0.0]))
        t, h, y, f = np.zeros(1), np.array([1.0 / count]), np.array([[0.0], [1.0]]), np.empty((2, 1))
        program.rates(t, y, [], [], f)
        for _ in range(count):
            stepper.attempt(t, h, y, f, [])
            y, f, t = stepper.y1.copy(), stepper.f1.copy(), t + h
        ends.append(np.abs(y[:, 0] - [np.sin(1.0), np.cos(1.0)]))
    assert np.all(np.log2(np.divide(ends[:-1], ends[1:])) > 4.5)


def test_algebraic_row_that_is_off_at_the_start_shows_in_the_error() -> None:
    program = robertson_kept()
    stepper = stepper_of(program, 3, mass=np.array([1.0, 1.0, 0.0]))
    y, f = np.array([[1.0], [0.0], [0.3]]), np.empty((3, 1))
    program.rates(np.zeros(1), y, [], [], f)
    stepper.attempt(np.zeros(1), np.full(1, 1e-8), y, f, [])
    assert stepper.y1[:, 0].sum() == pytest.approx(1.0)  # it goes to the constraint in one step


# -- lanes and the protocol --------------------------------------------------------------------------------------


def lanes_of_robertson(lanes: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(5)
    k1, k2, k3 = (mean * np.exp(0.4 * rng.normal(size=lanes)) for mean in (0.04, 1e4, 3e7))
    return k1, k2, k3


def test_bits_do_not_depend_on_the_lanes_beside() -> None:
    k1, k2, k3 = lanes_of_robertson(60)
    start = np.array([[1.0], [0.0], [0.0]])
    whole = march(robertson(k1, k2, k3), start.repeat(60, axis=1), 40.0, rtol=1e-5)
    pick = np.random.default_rng(6).permutation(60)[:13]
    part = march(robertson(k1[pick], k2[pick], k3[pick]), start.repeat(13, axis=1), 40.0, rtol=1e-5)
    np.testing.assert_array_equal(part, whole[:, pick])


def test_cohort_agrees_with_a_tight_run() -> None:
    k1, k2, k3 = lanes_of_robertson(40)
    start = np.array([[1.0], [0.0], [0.0]]).repeat(40, axis=1)
    loose = march(robertson(k1, k2, k3), start, 1e4, rtol=1e-5)
    tight = march(robertson(k1, k2, k3), start, 1e4, rtol=1e-9)
    np.testing.assert_allclose(loose, tight, rtol=3e-5)


def test_finished_lane_with_step_zero_stays_where_it_is() -> None:
    program = robertson()
    stepper = stepper_of(program, 3, lanes=2)
    y, f = np.array([[0.8, 0.8], [1e-5, 1e-5], [0.2, 0.2]]), np.empty((3, 2))
    program.rates(np.zeros(2), y, [], [], f)
    stepper.attempt(np.zeros(2), np.array([0.1, 0.0]), y, f, [])
    np.testing.assert_array_equal(stepper.y1[:, 1], y[:, 1])
    np.testing.assert_array_equal(stepper.error[:, 1], 0.0)
    assert np.isfinite(stepper.y1).all()
    assert np.any(stepper.y1[:, 0] != y[:, 0])


def test_dense_output_meets_both_ends_and_takes_picked_lanes() -> None:
    program = robertson()
    stepper = stepper_of(program, 3, lanes=4)
    y, f = np.array([[0.9], [1e-5], [0.1]]) * np.array([1.0, 0.9, 0.8, 0.7]), np.empty((3, 4))
    t, h = np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4])
    program.rates(t, y, [], [], f)
    stepper.attempt(t, h, y, f, [])
    np.testing.assert_array_equal(stepper.dense(h, y)(np.zeros(4)), y)
    np.testing.assert_array_equal(stepper.dense(h, y)(np.ones(4)), stepper.y1)
    theta = np.array([0.1, 0.4, 0.6, 0.9])
    pick = np.array([3, 1])
    np.testing.assert_array_equal(stepper.dense(h, y, pick)(theta[pick]), stepper.dense(h, y)(theta)[:, pick])


def test_after_a_step_rates_and_guards_are_those_at_its_end() -> None:
    program = prothero_robinson(3.0)
    program.modes = 1
    stepper = stepper_of(program, 1, lanes=2)
    t, h, y, f = np.array([0.0, 1.0]), np.array([0.1, 0.3]), np.ones((1, 2)), np.empty((1, 2))
    program.rates(t, y, [], [], f)
    stepper.attempt(t, h, y, f, [])
    np.testing.assert_array_equal(stepper.f1, program.formulas[0](t + h, stepper.y1))
    np.testing.assert_array_equal(stepper.guards, stepper.y1 - 0.5)


def test_what_depends_on_time_is_only_kept_between_calls_at_one_time() -> None:
    program = prothero_robinson(3.0)
    stepper = stepper_of(program, 1)
    looked: list[float] = []
    stepper.attempt(
        np.ones(1), np.full(1, 0.5), np.ones((1, 1)), np.ones((1, 1)), [], lambda t, y: looked.append(float(t[0]))
    )
    assert program.calls[0] == ("jacobian", 1.0, True)
    for before, (_, time, fresh) in zip(program.calls, program.calls[1:], strict=False):
        assert fresh or time == before[1]
    assert [fresh for _, _, fresh in program.calls].count(False) == 3
    assert looked == [time for _, time, _ in program.calls]  # before each evaluation, of the Jacobian too


def test_resized_it_steps_as_a_new_one() -> None:
    k1, k2, k3 = lanes_of_robertson(5)
    program = robertson(k1, k2, k3)
    grown, made = stepper_of(program, 3, lanes=2), stepper_of(program, 3, lanes=5)
    grown.resize(5)
    y, f = np.array([[0.9], [1e-5], [0.1]]).repeat(5, axis=1), np.empty((3, 5))
    program.rates(np.zeros(5), y, [], [], f)
    for stepper in (grown, made):
        stepper.attempt(np.zeros(5), np.full(5, 0.1), y, f, [])
    np.testing.assert_array_equal(grown.y1, made.y1)
