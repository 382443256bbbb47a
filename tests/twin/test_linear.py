"""Linear models: exponentials that are known in closed form, and what a lane gets whatever its neighbours are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.twin.solvers import linear
from pepr_kg.twin.solvers.linear import Entry, Matrix, equilibrium, propagate, propagator

Array = npt.NDArray[np.float64]
NONE3 = [None, None, None]


def dense(a: Matrix, b: Sequence[Entry], dt: float | Array, lane: int = 0) -> tuple[Array, Array]:
    """Return E and e of one lane with zeros where they are None."""
    matrix, shift = propagator(a, b, dt)
    full = [[0.0 if entry is None else float(entry[lane]) for entry in row] for row in matrix]
    return np.array(full), np.array([0.0 if entry is None else float(entry[lane]) for entry in shift])


def compartments(lanes: int, seed: int = 0) -> list[list[Entry]]:
    """Return two compartments with absorption: amounts in gut, centre, periphery; rates per hour."""
    rng = np.random.default_rng(seed)
    ka, k10, k12, k21 = (mean * np.exp(0.3 * rng.normal(size=lanes)) for mean in (1.0, 0.15, 0.3, 0.2))
    return [[-ka, None, None], [ka, -(k10 + k12), k21], [None, k12, -k21]]


def pick_lanes(a: Matrix, pick: npt.NDArray[np.intp] | slice) -> list[list[Entry]]:
    return [[entry[pick] if isinstance(entry, np.ndarray) else entry for entry in row] for row in a]


def oral_dose(a: Matrix, dose: float, times: Array) -> Array:
    """Return the amount in the centre after a dose into the gut: three exponentials (Gibaldi & Perrier 1982)."""
    gut, centre, periphery = a
    ka, k21, k12 = -np.asarray(gut[0]), -np.asarray(periphery[2]), np.asarray(periphery[1])
    k10 = -np.asarray(centre[1]) - k12
    root = np.sqrt((k10 + k12 + k21) ** 2 - 4 * k10 * k21)
    alpha, beta = ((k10 + k12 + k21) + root) / 2, ((k10 + k12 + k21) - root) / 2
    t = times[:, None]
    found: Array = ka * dose * (
        (k21 - ka) / ((alpha - ka) * (beta - ka)) * np.exp(-ka * t)
        + (k21 - alpha) / ((ka - alpha) * (beta - alpha)) * np.exp(-alpha * t)
        + (k21 - beta) / ((ka - beta) * (alpha - beta)) * np.exp(-beta * t)
    )  # fmt: skip
    return found


# -- closed forms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, 40.0, 1e3, -2.0])
def test_one_state_decays_and_is_fed(t: float) -> None:
    matrix, shift = dense([[-0.7]], [2.0], t)
    assert matrix[0, 0] == pytest.approx(np.exp(-0.7 * t), rel=1e-14)
    assert shift[0] == pytest.approx(-2.0 / 0.7 * np.expm1(-0.7 * t), rel=1e-14, abs=0)


@pytest.mark.parametrize("t", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("coupling", [1.0, 1e3])
def test_defective_matrix(t: float, coupling: float) -> None:
    """A Jordan block: one eigenvalue, one eigenvector. Formulas by eigenvalues divide by zero here."""
    a = [[-2.0, coupling, None], [None, -2.0, coupling], [None, None, -2.0]]
    x = coupling * t
    expected = np.exp(-2.0 * t) * np.array([[1.0, x, x * x / 2], [0.0, 1.0, x], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(dense(a, NONE3, t)[0], expected, rtol=3e-14, atol=0)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
def test_nearly_equal_rates_lose_nothing(gap: float) -> None:
    """Absorption nearly as fast as elimination: (exp(-k t) - exp(-ka t)) / (ka - k), expanded around their mean."""
    k, t = 1.0, 2.0
    ka = k + gap
    expected = ka * t * np.exp(-(k + ka) / 2 * t) * (1 + (gap * t / 2) ** 2 / 6)
    assert dense([[-ka, None], [ka, -k]], [None, None], t)[0][1, 0] == pytest.approx(expected, rel=2e-13)


@pytest.mark.parametrize("t", [1.0, 100.0, 1e4])
def test_rotation_keeps_its_radius(t: float) -> None:
    matrix, shift = dense([[None, -1.0], [1.0, None]], [1.0, None], t)
    c, s = np.cos(t), np.sin(t)
    np.testing.assert_allclose(matrix, [[c, -s], [s, c]], atol=1e-15 * max(t, 10))
    np.testing.assert_allclose(shift, [s, 1 - c], atol=1e-15 * max(t, 10))


def test_chain_without_decay_is_a_polynomial() -> None:
    matrix, shift = dense([[None, 1.0], [None, None]], [None, 1.0], 7.0)
    np.testing.assert_array_equal(matrix, [[1.0, 7.0], [0.0, 1.0]])
    np.testing.assert_allclose(shift, [24.5, 7.0], rtol=1e-15)


@pytest.mark.parametrize("fast", [1e2, 1e4, 1e6])
def test_fast_absorption_does_not_blur_slow_elimination(fast: float) -> None:
    """A stiff chain: after the first instant all is in the centre, and leaves at its own slow rate."""
    t, k = 24.0, 0.1
    matrix, _ = dense([[-fast, None], [fast, -k]], [None, None], t)
    assert matrix[1, 1] == pytest.approx(np.exp(-k * t), rel=1e-13)
    assert matrix[1, 0] == pytest.approx(fast / (fast - k) * np.exp(-k * t), rel=1e-13)


@pytest.mark.parametrize("fast", [1e2, 1e4, 1e6])
def test_fast_exchange_settles(fast: float) -> None:
    """Two states that exchange: what they share is kept, what differs decays. Rounding of A moves it by eps * fast."""
    p, q, t = fast, fast / 4, 1.0
    matrix, _ = dense([[-p, q], [p, -q]], [None, None], t)
    share = q / (p + q)
    np.testing.assert_allclose(matrix, [[share, share], [1 - share, 1 - share]], rtol=1e-15 * max(fast, 100))


def test_badly_scaled_states_are_accurate() -> None:
    """Amounts in moles beside amounts in picomoles: the same system in other units."""
    plain, _ = dense([[-1.0, 0.5], [0.25, -2.0]], [None, None], 1.5)
    scaled, _ = dense([[-1.0, 0.5e12], [0.25e-12, -2.0]], [None, None], 1.5)
    np.testing.assert_allclose(scaled * [[1, 1e-12], [1e12, 1]], plain, rtol=1e-12)


def test_overflow_and_nan_stay_in_their_lane() -> None:
    matrix, _ = propagator([[np.array([-1.0, 1e4, np.nan, np.inf])]], [None], 1.0)
    entry = matrix[0][0]
    assert entry is not None
    assert entry[0] == pytest.approx(np.exp(-1.0))
    assert not np.isfinite(entry[1:]).any()


# -- courses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [np.linspace(0, 48, 49), np.array([0, 0.25, 0.5, 1, 2, 4, 8, 12, 24, 48.0])])
def test_oral_dose_in_two_compartments(times: Array) -> None:
    a = compartments(500)
    found = propagate(a, NONE3, [100.0, 0.0, 0.0], times)
    expected = oral_dose(a, 100.0, times)
    np.testing.assert_allclose(found[1], expected, rtol=1e-9, atol=1e-11)  # it is the closed form that loses digits
    np.testing.assert_allclose(found[0], 100 * np.exp(np.asarray(a[0][0]) * times[:, None]), rtol=1e-13)


def test_infusion_goes_to_its_equilibrium() -> None:
    a = compartments(50)
    b = [10.0, None, None]
    found = propagate(a, b, [0.0, 0.0, 0.0], np.array([0.0, 2000.0]))
    settled = equilibrium(a, b)
    np.testing.assert_allclose(found[:, 1], settled, rtol=1e-12)
    k10 = -np.asarray(a[1][1]) - np.asarray(a[2][1])
    np.testing.assert_allclose(settled[1], 10.0 / k10, rtol=1e-12)


def test_states_that_are_kept_have_no_equilibrium() -> None:
    assert not np.isfinite(equilibrium([[-1.0, 1.0], [1.0, -1.0]], [1.0, None])).all()


def test_uneven_grid_agrees_with_even_one() -> None:
    a = compartments(20)
    even = np.linspace(0, 12, 25)
    uneven = np.sort(np.concatenate([even, np.random.default_rng(1).uniform(0, 12, 30)]))
    found = propagate(a, [1.0, None, None], [5.0, 1.0, 0.0], uneven)
    expected = propagate(a, [1.0, None, None], [5.0, 1.0, 0.0], even)
    np.testing.assert_allclose(found[:, np.searchsorted(uneven, even)], expected, rtol=1e-12)


def test_grid_that_is_even_but_for_rounding_needs_one_propagator(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    exponential = linear._exponential

    def noted(a: Matrix, b: Sequence[Entry], dt: float, layout: linear._Layout) -> Array:
        made.append(dt)
        return exponential(a, b, dt, layout)

    monkeypatch.setattr(linear, "_exponential", noted)
    times: Array = np.asarray(2020 + 0.1 * np.arange(400), dtype=np.float64)
    assert len(set(np.diff(times))) > 1
    found = propagate([[-0.05]], [None], [1.0], times)
    assert len(made) == 1
    np.testing.assert_allclose(found[0, :, 0], np.exp(-0.05 * (times - times[0])), rtol=1e-12)


def test_out_is_written_and_one_time_is_the_start() -> None:
    out = np.full((1, 1, 2), np.nan)
    assert propagate([[-1.0]], [None], [np.array([3.0, 4.0])], np.array([5.0]), out) is out
    np.testing.assert_array_equal(out, [[[3.0, 4.0]]])


# -- what holds for all ------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 6), s=st.floats(0, 3), t=st.floats(0, 30))
def test_two_steps_are_one(seed: int, rows: int, s: float, t: float) -> None:
    rng = np.random.default_rng(seed)
    full = rng.normal(size=(rows, rows)) - 2 * np.eye(rows)
    a = [[float(x) if rng.random() < 0.6 else None for x in row] for row in full]
    b = [float(x) if rng.random() < 0.5 else None for x in rng.normal(size=rows)]
    first, shift1 = dense(a, b, s)
    second, shift2 = dense(a, b, t)
    whole, shift = dense(a, b, s + t)
    size = np.linalg.norm(second) * np.linalg.norm(first) + 1e-300
    assert np.abs(second @ first - whole).max() <= 4e-12 * size
    reach = size * (1 + np.abs(shift1).max()) + np.abs(shift2).max()
    assert np.abs(second @ shift1 + shift2 - shift).max() <= 4e-12 * reach


def test_entry_is_none_exactly_where_nothing_can_come_from() -> None:
    matrix, shift = propagator([[-1.0, None, None], [0.5, None, None], [None, 0.2, -1.0]], [None, 1.0, None], 1.0)
    assert [[entry is None for entry in row] for row in matrix] == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]
    assert [entry is None for entry in shift] == [True, False, False]


def test_bits_do_not_depend_on_the_lanes_beside() -> None:
    """Lanes of very different stiffness, so that each needs its own number of squarings."""
    lanes = 2 * linear._TILE + 77
    rng = np.random.default_rng(3)
    speed = 10 ** rng.uniform(-6, 4, size=lanes)
    a: Matrix = [[None if entry is None else entry * speed for entry in row] for row in compartments(lanes)]
    times = np.array([0.0, 1.0, 2.0, 5.0])
    whole = propagate(a, [1.0, None, None], [5.0, 1.0, 0.0], times)
    for pick in (rng.permutation(lanes), rng.permutation(lanes)[:50], np.array([17])):
        part = propagate(pick_lanes(a, pick), [1.0, None, None], [5.0, 1.0, 0.0], times)
        np.testing.assert_array_equal(part, whole[:, :, pick])


def test_each_lane_has_its_own_step() -> None:
    dt = np.array([0.0, 0.5, 100.0])
    for lane, span in enumerate(dt):
        np.testing.assert_array_equal(dense([[-1.0, 0.3], [0.2, -0.1]], [1.0, None], dt, lane)[0],
                                      dense([[-1.0, 0.3], [0.2, -0.1]], [1.0, None], float(span))[0])  # fmt: skip
