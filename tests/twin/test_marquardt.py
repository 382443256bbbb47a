"""The descent in lanes, and the small linear algebra under it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.estimation.algebra import Array, cholesky, fold, inverse, log_determinant, solve
from pepr_kg.twin.estimation.marquardt import Descent, Terms, descend
from pepr_kg.twin.status import Status

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Valley:
    """Rosenbrock's function as a sum of squares, with a bend of its own in every lane."""

    bend: Array

    def take(self, lanes: Indices) -> "Valley":
        return Valley(self.bend[lanes])

    def terms(self, x: Array, spread: Array) -> Terms:
        first, second = self.bend * (x[1] - x[0] ** 2), 1.0 - x[0]
        zero, one = np.zeros_like(first), np.ones_like(first)
        jacobian = np.array([[-2.0 * self.bend * x[0], self.bend], [-one, zero]])  # (residual, coordinate, lane)
        residual = np.array([first, second])
        value = 0.5 * (first**2 + second**2)
        gradient = np.einsum("rcl,rl->cl", jacobian, residual)
        return Terms(value, gradient, np.einsum("rcl,rdl->cdl", jacobian, jacobian))


def test_every_lane_reaches_the_end_of_its_valley() -> None:
    bend = np.array([1.0, 10.0, 100.0, 0.1])
    start = np.array([[-1.2, -1.2, -1.2, 50.0], [1.0, 1.0, 1.0, -30.0]])
    found = descend(Valley(bend), start, np.ones_like(start), Descent(tolerance=1e-14))
    assert (found.status == Status.DONE).all()
    assert found.x == pytest.approx(np.ones((2, 4)), abs=1e-5)
    assert found.value.max() < 1e-12
    alone = descend(Valley(bend[2:3]), start[:, 2:3], np.ones((2, 1)), Descent(tolerance=1e-14))
    assert np.array_equal(alone.x[:, 0], found.x[:, 2])
    assert alone.iterations[0] == found.iterations[2]


def test_a_bound_on_iterations_is_reported_with_the_best_point() -> None:
    start = np.array([[-1.2], [1.0]])
    found = descend(Valley(np.array([10.0])), start, np.ones_like(start), Descent(iterations=3))
    assert found.status.tolist() == [Status.NOT_FITTED]
    assert found.iterations.tolist() == [3]
    assert found.value[0] < Valley(np.array([10.0])).terms(start, start).value[0]


@dataclass(frozen=True)
class Rough:
    """A parabola whose digits end early, as those of an integrator do, or whose gradient points the wrong way."""

    grain: float
    sign: float

    def take(self, lanes: Indices) -> "Rough":
        return self

    def terms(self, x: Array, spread: Array) -> Terms:
        value = 0.5 * x[0] ** 2
        return Terms(np.round(value / self.grain) * self.grain, self.sign * x, np.ones((1, 1, x.shape[1])))


def test_noise_ends_a_descent_and_a_wrong_gradient_fails_it() -> None:
    start = np.array([[3.0]])
    noisy = descend(Rough(1e-3, 1.0), start, np.ones_like(start))
    assert noisy.status.tolist() == [Status.DONE]
    assert abs(noisy.x[0, 0]) < 0.05
    strict = descend(Rough(1e-3, 1.0), start, np.ones_like(start), Descent(noise=0.0))
    assert strict.status.tolist() == [Status.NOT_FITTED]
    wrong = descend(Rough(1e-12, -1.0), start, np.ones_like(start))
    assert wrong.status.tolist() == [Status.NOT_FITTED]
    assert wrong.x.tolist() == [[3.0]]


def matrices(size: int, lanes: int) -> Array:
    raw = np.random.default_rng(size).normal(size=(size, size + 2, lanes))
    found: Array = np.einsum("ikl,jkl->ijl", raw, raw)
    return found


@pytest.mark.parametrize("size", [1, 2, 5])
def test_factors_solve_invert_and_measure(size: int) -> None:
    matrix = matrices(size, lanes=7)
    right = np.random.default_rng(0).normal(size=(size, 7))
    factor, positive = cholesky(matrix)
    assert positive.all()
    for lane in range(7):
        assert solve(factor, right)[:, lane] == pytest.approx(np.linalg.solve(matrix[:, :, lane], right[:, lane]))
        assert inverse(factor)[:, :, lane] == pytest.approx(np.linalg.inv(matrix[:, :, lane]))
        assert log_determinant(factor)[lane] == pytest.approx(math.log(np.linalg.det(matrix[:, :, lane])))


def test_a_matrix_that_is_not_positive_definite_is_said_to_be_so() -> None:
    matrix = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]]), np.full((2, 2), np.nan)], axis=2)
    assert cholesky(matrix)[1].tolist() == [True, False, False]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 100])
def test_sums_do_not_depend_on_lanes_or_on_zeros_at_the_end(count: int) -> None:
    values = np.random.default_rng(1).normal(size=(3, count, 5)) * 10.0 ** np.arange(5)
    total = fold(values)
    assert total == pytest.approx(values.sum(axis=1), abs=1e-9)
    padded = np.concatenate([values, np.zeros((3, 37, 5))], axis=1)
    assert np.array_equal(fold(padded), total)
    assert np.array_equal(fold(values[:, :, 2:3]), total[:, 2:3])
