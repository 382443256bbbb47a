"""LU across lanes: against LAPACK, and what a lane gets whatever its neighbours are."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.twin.solvers import lu

Array = npt.NDArray[np.float64]
SIZES = [1, 2, 3, 5, 8, 16, 17, 24]


def random_system(rows: int, lanes: int, seed: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, rows, lanes)), rng.normal(size=(rows, lanes))


def solved(a: Array, b: Array) -> Array:
    return lu.solve(lu.factor(a.copy()), b.copy())


@pytest.mark.parametrize("rows", SIZES)
def test_solutions_are_those_of_lapack(rows: int) -> None:
    a, b = random_system(rows, 300)
    matrices = np.moveaxis(a, 2, 0)
    expected = np.linalg.solve(matrices, b.T[:, :, None])[:, :, 0].T
    allowed = 2e-14 * np.linalg.cond(matrices) * np.abs(expected).max(axis=0)
    assert np.all(np.abs(solved(a, b) - expected).max(axis=0) <= allowed)


@pytest.mark.parametrize("rows", [8, 20])
def test_residual_is_rounding_even_where_the_matrix_is_nearly_singular(rows: int) -> None:
    """A condition number of 1e9: an inverse alone leaves a residual a million times larger."""
    left, right = (np.linalg.qr(np.random.default_rng(seed).normal(size=(50, rows, rows)))[0] for seed in (1, 2))
    matrices = left * np.logspace(0, -9, rows) @ right
    a = np.moveaxis(matrices, 0, 2)
    b = np.einsum("ijl,jl->il", a, random_system(rows, 50)[1])
    found = solved(a, b)
    residual = np.abs(np.einsum("ijl,jl->il", a, found) - b).max(axis=0)
    assert np.all(residual <= 1e-14 * (np.abs(found).max(axis=0) + np.abs(b).max(axis=0)))


@pytest.mark.parametrize("rows", [3, 17])
def test_one_factorisation_serves_several_right_sides(rows: int) -> None:
    a, b = random_system(rows, 40)
    factors = lu.factor(a.copy())
    for right in (b, 2 * b[::-1]):
        found = lu.solve(factors, right.copy())
        np.testing.assert_allclose(np.einsum("ijl,jl->il", a, found), right, atol=1e-10)


@pytest.mark.parametrize("rows", SIZES)
def test_bits_do_not_depend_on_the_lanes_beside(rows: int) -> None:
    a, b = random_system(rows, 257)
    whole = solved(a, b)
    pick = np.random.default_rng(2).permutation(257)[:31]
    np.testing.assert_array_equal(solved(a[:, :, pick], b[:, pick]), whole[:, pick])
    np.testing.assert_array_equal(solved(a[:, :, 5:6], b[:, 5:6]), whole[:, 5:6])


@given(order=st.permutations(range(6)))
def test_a_matrix_that_only_exchanges_rows_is_solved_exactly(order: list[int]) -> None:
    """Without an exchange of rows the first pivot of most of these is zero."""
    a = np.eye(6)[order][:, :, None] * np.array([1.0, -4.0])
    b = np.arange(12.0).reshape(6, 2)
    found = solved(a, b)
    np.testing.assert_array_equal(found[order], b / np.array([1.0, -4.0]))


def test_tiny_pivot_is_not_used() -> None:
    """The textbook case: eliminated without an exchange of rows, x comes out as 0 and not as 1."""
    a = np.array([[1e-20, 1.0], [1.0, 1.0]])[:, :, None]
    np.testing.assert_allclose(solved(a, np.array([[1.0], [2.0]])), [[1.0], [1.0]], rtol=1e-15)


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 17])
def test_singular_lane_is_not_finite_and_spares_its_neighbours(rows: int) -> None:
    a, b = random_system(rows, 3)
    expected = solved(a, b)
    a[:, 0, 1] = 0.0
    found = solved(a, b)
    assert not np.isfinite(found[:, 1]).all()
    np.testing.assert_array_equal(found[:, [0, 2]], expected[:, [0, 2]])


@pytest.mark.parametrize("rows", [3, 17])
def test_lane_with_nan_is_not_finite_and_spares_its_neighbours(rows: int) -> None:
    a, b = random_system(rows, 3)
    expected = solved(a, b)
    a[1, 1, 0] = np.nan
    found = solved(a, b)
    assert not np.isfinite(found[:, 0]).all()
    np.testing.assert_array_equal(found[:, 1:], expected[:, 1:])
