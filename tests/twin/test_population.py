"""Population fits: the theophylline reference, a model whose likelihood is exact, and what must not change the
estimates.
"""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin.errors import BadDistribution, TwinError
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import individualise
from pepr_kg.twin.estimation.population import (
    Effect,
    Observation,
    Observations,
    PopulationFit,
    Residual,
    fit_population,
)
from pepr_kg.twin.status import Status
from tests.twin.cohorts import Theophylline, rows

Indices = npt.NDArray[np.intp]
# first values of the published analysis
EFFECTS = (Effect("CL", -3.22, "log"), Effect("ka", 0.47, "log"), Effect("ke", -2.45, "log", random=False))
RESIDUALS = (Residual("conc", math.sqrt(0.5)),)
COVARIANCE = ((0.03, 0.0), (0.0, 0.4))


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "twin" / "reference"


@pytest.fixture(scope="module")
def theophylline(folder: Path) -> Theophylline:
    return Theophylline.read(folder)


@pytest.fixture(scope="module")
def fit(theophylline: Theophylline) -> PopulationFit:
    return fit_population(theophylline, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=15)


def test_theophylline_reaches_the_published_maximum(fit: PopulationFit, folder: Path) -> None:
    assert fit.status is Status.DONE
    assert fit.minus2_log_likelihood == pytest.approx(355.478, abs=1e-2)
    got = {
        "lCl": fit.fixed[0],
        "lka": fit.fixed[1],
        "lke": fit.fixed[2],
        "omega_cl2": fit.covariance[0, 0],
        "omega_cl_ka": fit.covariance[0, 1],
        "omega_ka2": fit.covariance[1, 1],
        "sigma2": fit.residuals[0].additive ** 2,
        "minus2loglik": fit.minus2_log_likelihood,
    }
    given = {row["variable"]: row for row in rows(folder / "expected.csv") if row["case"] == "theo-pop"}
    assert set(given) == set(got)
    for name, row in given.items():
        assert got[name] == pytest.approx(float(row["value"]), abs=float(row["abs_tol"])), name


def test_standard_errors_match_the_spread_of_the_individual_modes(fit: PopulationFit) -> None:
    """With 12 well-observed patients the error of a typical value is near the spread between patients over sqrt(12)."""
    expected = np.sqrt(np.diag(fit.covariance) / 12.0)
    assert fit.fixed_se[:2] == pytest.approx(expected, rel=0.3)
    assert fit.covariance_se[0, 0] == pytest.approx(fit.covariance[0, 0] * math.sqrt(2 / 12), rel=0.5)
    assert 0.0 < fit.residuals_se[0][0] < 0.1
    assert fit.residuals_se[0][1] == 0.0


def test_the_fit_is_the_prior_of_the_individual_fits(fit: PopulationFit, theophylline: Theophylline) -> None:
    single = individualise(fit.restrict(theophylline), theophylline.data, fit.priors, fit.residuals)
    assert single.patients == fit.patients
    assert single.mode == pytest.approx(fit.modes, abs=1e-4)
    assert fit.bic == pytest.approx(fit.minus2_log_likelihood + 7 * math.log(12))


def test_one_node_is_near_and_more_nodes_settle(theophylline: Theophylline, fit: PopulationFit) -> None:
    laplace = fit_population(theophylline, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=1)
    middle = fit_population(theophylline, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=7)
    assert laplace.minus2_log_likelihood == pytest.approx(fit.minus2_log_likelihood, abs=3.0)
    assert middle.minus2_log_likelihood == pytest.approx(fit.minus2_log_likelihood, abs=5e-3)
    assert laplace.fixed == pytest.approx(fit.fixed, abs=0.02)


def balanced(patients: int, repeats: int, seed: int) -> tuple[Observations, Array]:
    rng = np.random.default_rng(seed)
    values = 5.0 + rng.normal(size=(patients, 1)) * 2.0 + rng.normal(size=(patients, repeats)) * 0.5
    data = Observations.from_rows(
        [Observation(f"p{i}", float(j), "x", float(values[i, j])) for i in range(patients) for j in range(repeats)]
    )
    return data, values


def test_one_way_analysis_of_variance_has_its_exact_estimates() -> None:
    """A random intercept with equal numbers of observations: the maximum is known in closed form."""
    data, values = balanced(patients=20, repeats=4, seed=1)

    def predict(theta: Array, patient: Indices) -> Array:
        return np.repeat(theta[:1], 4, axis=0)

    found = fit_population(predict, data, [Effect("mean", 0.0)], [Residual("x", 1.0)], [[1.0]], nodes=1)
    within = float(((values - values.mean(axis=1, keepdims=True)) ** 2).sum() / (20 * 3))
    between = float((values.mean(axis=1) - values.mean()).var())
    assert found.status is Status.DONE
    assert found.fixed[0] == pytest.approx(values.mean(), abs=1e-3)
    assert found.residuals[0].additive ** 2 == pytest.approx(within, rel=1e-3)
    assert found.covariance[0, 0] == pytest.approx(between - within / 4, rel=5e-3)
    matrix = found.covariance[0, 0] * np.ones((4, 4)) + found.residuals[0].additive ** 2 * np.eye(4)
    away = values - found.fixed[0]
    sign, log_det = np.linalg.slogdet(2 * np.pi * matrix)
    exact = 20 * log_det + float(np.einsum("ij,jk,ik->", away, np.linalg.inv(matrix), away))
    assert sign == 1.0
    assert found.minus2_log_likelihood == pytest.approx(exact, abs=1e-6)
    assert found.fixed_se[0] == pytest.approx(math.sqrt(between / 20), rel=1e-2)


def test_proportional_error_and_three_random_effects_are_recovered() -> None:
    rng = np.random.default_rng(4)
    patients, times = 60, np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
    eta = rng.normal(size=(3, patients)) * np.array([0.3, 0.2, 0.25])[:, np.newaxis]
    theta = np.exp(np.array([0.2, -2.0, 1.0])[:, np.newaxis] + eta)

    def curve(theta: Array) -> Array:
        ka, ke, volume = theta
        grid = times[:, np.newaxis]
        found: Array = 100.0 / volume * ka / (ka - ke) * (np.exp(-ke * grid) - np.exp(-ka * grid))
        return found

    values = curve(theta) * (1.0 + 0.1 * rng.normal(size=(len(times), patients)))
    data = Observations.from_rows(
        [
            Observation(f"p{i:03d}", float(t), "conc", float(values[j, i]))
            for i in range(patients)
            for j, t in enumerate(times.tolist())
        ]
    )
    effects = [Effect("ka", 0.0, "log"), Effect("ke", -1.8, "log"), Effect("V", 1.2, "log")]
    found = fit_population(
        lambda theta, patient: curve(theta), data, effects, [Residual("conc", 0.0, 0.2)], np.eye(3) * 0.1, nodes=3
    )
    assert found.status is Status.DONE
    assert found.residuals[0].proportional == pytest.approx(0.1, rel=0.1)
    assert found.residuals[0].additive == 0.0
    truth = np.array([0.2, -2.0, 1.0])
    assert (np.abs(found.fixed - truth) < 3.5 * found.fixed_se).all()
    variances = np.diag(found.covariance)
    assert (np.abs(variances - np.array([0.09, 0.04, 0.0625])) < 3.5 * np.diag(found.covariance_se)).all()


def test_the_order_of_the_patients_changes_no_bit(theophylline: Theophylline) -> None:
    order = np.random.default_rng(2).permutation(12)

    def shuffled(theta: Array, patient: Indices) -> Array:
        return theophylline(theta, order[patient])

    first = fit_population(theophylline, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=3)
    second = fit_population(shuffled, theophylline.data.select(order), EFFECTS, RESIDUALS, COVARIANCE, nodes=3)
    assert first.minus2_log_likelihood == second.minus2_log_likelihood
    assert np.array_equal(first.fixed, second.fixed)
    assert np.array_equal(first.covariance_se, second.covariance_se)
    assert np.array_equal(first.modes[:, order], second.modes)


def test_a_start_that_cannot_be_evaluated_is_said_and_not_hidden(theophylline: Theophylline) -> None:
    def broken(theta: Array, patient: Indices) -> Array:
        return np.full((len(theophylline.data.value), theta.shape[1]), np.nan)

    found = fit_population(broken, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=1)
    assert found.status is Status.NOT_FINITE
    assert math.isnan(found.minus2_log_likelihood)
    assert np.isnan(found.fixed_se).all()


def test_a_bound_on_iterations_is_reported(theophylline: Theophylline) -> None:
    found = fit_population(theophylline, theophylline.data, EFFECTS, RESIDUALS, COVARIANCE, nodes=1, iterations=1)
    assert found.status is Status.NOT_FITTED


def test_impossible_first_values_are_named(theophylline: Theophylline) -> None:
    cases: list[tuple[tuple[Effect, ...], object, str]] = [
        (EFFECTS, [[0.03, 0.5], [0.5, 0.4]], "CL, ka is not usable: the first covariance is"),
        (EFFECTS, [[1.0]], "a row for each random effect"),
        (EFFECTS[2:], [[]], "0 random effects"),
        (tuple(Effect(name, 0.0) for name in "abcd"), np.eye(4), "4 random effects"),
    ]
    for effects, covariance, message in cases:
        with pytest.raises(BadDistribution, match=message) as caught:
            fit_population(theophylline, theophylline.data, effects, RESIDUALS, np.asarray(covariance))
        assert isinstance(caught.value, TwinError)
        assert caught.value.message("fr").startswith("La distribution de")
