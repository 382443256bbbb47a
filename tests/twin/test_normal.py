"""The normal distribution in its tails, against the standard library and exact expansions."""

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from pepr_kg.twin.estimation.normal import erfcx, gamma_tail, hazard, log_ndtr, ndtri


def asymptotic_erfcx(x: float) -> float:
    """The expansion 1/(x√π) Σ (-1)^n (2n-1)!!/(2x²)^n, exact to rounding for x >= 12."""
    term, total = Fraction(1), Fraction(1)
    for n in range(1, 30):
        term *= -Fraction(2 * n - 1) / (2 * Fraction(x) ** 2)
        total += term
    return float(total) / (x * math.sqrt(math.pi))


@pytest.mark.parametrize("x", [-20.0, -3.0, -0.46875, -0.2, 0.0, 0.1, 0.46875, 0.47, 1.0, 3.999, 4.001, 8.0])
def test_erfcx_near_the_middle_is_that_of_the_standard_library(x: float) -> None:
    assert float(erfcx(x)) == pytest.approx(math.exp(x * x) * math.erfc(x), rel=1e-13)


@pytest.mark.parametrize("x", [12.0, 26.0, 100.0, 1e8])
def test_erfcx_far_out_follows_its_asymptotic_expansion(x: float) -> None:
    assert float(erfcx(x)) == pytest.approx(asymptotic_erfcx(x), rel=1e-14)


@pytest.mark.parametrize("z", [-37.0, -20.0, -5.0, -1.0, -0.5, 0.0, 0.5, 2.0, 6.0, 9.0])
def test_log_ndtr_is_the_logarithm_of_the_distribution_function(z: float) -> None:
    expected = math.log(0.5 * math.erfc(-z / math.sqrt(2.0))) if z < 5 else -0.5 * math.erfc(z / math.sqrt(2.0))
    assert float(log_ndtr(z)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("z", [-40.0, -1e3, -1e8])
def test_log_ndtr_stays_finite_where_the_probability_underflows(z: float) -> None:
    expected = math.log(0.5 * asymptotic_erfcx(-z / math.sqrt(2.0))) - 0.5 * z * z
    assert float(log_ndtr(z)) == pytest.approx(expected, rel=1e-14)


def test_hazard_is_the_slope_of_log_ndtr() -> None:
    z = np.concatenate([np.linspace(-30.0, 6.0, 73), [-1e6]])
    width = 1e-4 * (1.0 + np.abs(z))
    slope = (log_ndtr(z + width) - log_ndtr(z - width)) / (2.0 * width)
    assert hazard(z) == pytest.approx(slope, rel=1e-5)
    assert float(hazard(-1e6)) == pytest.approx(1e6, rel=1e-11)


def test_quantiles_are_those_of_the_standard_library() -> None:
    p = np.concatenate([10.0 ** -np.arange(1, 300, 7.0), np.linspace(0.01, 0.99, 99)])
    assert ndtri(p) == pytest.approx([NormalDist().inv_cdf(value) for value in p.tolist()], rel=1e-14, abs=1e-15)
    assert ndtri([0.0, 1.0]).tolist() == [-math.inf, math.inf]
    assert np.isnan(ndtri([-0.1, 1.1, math.nan])).all()


@pytest.mark.parametrize("x", [0.01, 1.0, 4.9, 5.1, 30.0])
def test_gamma_tail_of_a_whole_shape_is_a_poisson_sum(x: float) -> None:
    expected = math.exp(-x) * sum(x**n / math.factorial(n) for n in range(5))
    assert gamma_tail(5.0, x) == pytest.approx(expected, rel=1e-12)
