"""Fits through the models of the project: reference modes, later observations, model choice, draws, refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin import evaluate, load_model
from pepr_kg.twin.builtin import builtin
from pepr_kg.twin.errors import MissingDistribution, UnknownSymbol, UnknownVariable
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.fitting import fit
from pepr_kg.twin.estimation.individualise import Fit, Prior, Priors, Residual
from pepr_kg.twin.estimation.observations import Observation, Observations
from pepr_kg.twin.estimation.uncertainty import decompose, weigh
from pepr_kg.twin.scenario import Scenario
from pepr_kg.twin.status import Status
from tests.twin.cohorts import Course, rows

Indices = npt.NDArray[np.intp]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "twin" / "reference"


@pytest.fixture(scope="module")
def visits(folder: Path) -> Observations:
    return Course.read(folder).data


@pytest.fixture(scope="module")
def course(visits: Observations) -> Fit:
    return fit(load_model("disease-course"), visits)


def warfarin(folder: Path) -> tuple[Observations, dict[str, list[float]]]:
    table = rows(folder / "warfarin-observations.csv")
    data = Observations.from_rows(
        [
            Observation(row["id"], float(row["time"]), {"cp": "conc"}.get(row["dvid"], row["dvid"]), float(row["dv"]))
            for row in table
            if row["evid"] == "0"
        ]
    )
    dose = {row["id"]: float(row["amt"]) for row in table if row["evid"] == "1"}
    return data, {"dose": [dose[key] for key in data.patients]}


def test_the_disease_course_reaches_every_given_optimum(course: Fit, folder: Path) -> None:
    given = {row["id"]: row for row in rows(folder / "disease-course-map.csv")}
    assert set(given) == set(course.patients)
    assert (course.status == Status.DONE).all()
    tau = course.symbols.index("tau_a")
    for at, key in enumerate(course.patients):
        assert course.objective[at] < float(given[key]["neg_log_posterior"]) + 1e-3
        assert course.theta[tau, at] == pytest.approx(float(given[key]["tau_a"]), abs=0.05)
        assert course.sd[tau, at] == pytest.approx(float(given[key]["sd_tau_a"]), rel=1e-2)


def test_a_patient_has_the_same_bits_in_every_cohort_and_order(visits: Observations, course: Fit) -> None:
    order = np.random.default_rng(1).permutation(len(visits.patients))
    model = load_model("disease-course")
    shuffled = fit(model, visits.select(order))
    few = fit(model, visits.select(np.array([60])), lanes=7)
    for whole, other, single in (
        (course.mode, shuffled.mode, few.mode),
        (course.covariance, shuffled.covariance, few.covariance),
    ):
        assert np.array_equal(whole[..., order], other)
        assert np.array_equal(whole[..., [60]], single)


def test_theophylline_subjects_reach_the_given_modes(folder: Path) -> None:
    table = rows(folder / "theophylline-observations.csv")
    data = Observations.from_rows(
        [Observation(row["subject"], float(row["time_h"]), "conc", float(row["conc"])) for row in table]
    )
    dose = {row["subject"]: float(row["dose"]) for row in table}
    found = fit(load_model("theophylline"), data, inputs={"dose_mg_per_kg": [dose[key] for key in data.patients]})
    checked = 0
    for row in rows(folder / "expected.csv"):
        if row["case"].startswith("theo-0") and row["variable"] in found.symbols:
            subject = found.patients.index(str(int(row["case"].removeprefix("theo-"))))
            value = found.theta[found.symbols.index(row["variable"]), subject]
            assert value == pytest.approx(float(row["value"]), abs=float(row["abs_tol"]))
            checked += 1
    assert checked >= 14


def test_first_observations_of_warfarin_predict_the_later_ones_better_than_typical_parameters(folder: Path) -> None:
    data, inputs = warfarin(folder)
    model = load_model("warfarin-pkpd")
    hours = 36.5
    found = fit(model, data.before(hours), inputs=inputs)
    assert (found.status == Status.DONE).all()
    grid = np.unique(data.time)
    own = evaluate(model, patients=found, times=grid)
    usual = evaluate(model, patients=inputs, times=grid)
    place = np.searchsorted(grid, data.time)
    for at, variable in enumerate(data.variables):
        later = data.present & (data.time > hours) & (data.variable == at)
        slot, patient = np.nonzero(later)
        assert slot.size > 50

        def error(values: Array) -> float:
            away = values[patient, 0, 0, place[slot, patient]] - data.value[slot, patient]  # noqa: B023
            return float(np.sqrt(np.mean(away**2)))

        assert error(own.values(variable)) < 0.8 * error(usual.values(variable)), variable


def test_draws_of_a_fit_go_into_evaluate_with_its_inputs(folder: Path) -> None:
    data, inputs = warfarin(folder)
    few = data.select(np.arange(3))
    model = load_model("warfarin-pkpd")
    given = {"dose": inputs["dose"][:3]}
    found = fit(model, few, inputs=given)
    plans = [Scenario.base(), Scenario.scale("dose", 0.5)]
    times = [24.0, 96.0]
    whole = evaluate(model, found, plans, times, samples=20, seed=7, outputs=["pca"])
    apart = evaluate(
        model, {**found.parameters, **given}, plans, times, draws=found.samples(20, 7), samples=20, outputs=["pca"]
    )
    assert whole.patients == few.patients
    assert np.array_equal(whole.data, apart.data)
    band = whole.band("pca", [0.05, 0.5, 0.95])
    assert (band[:, :, 0] < band[:, :, 1]).all()
    assert (band[:, :, 1] < band[:, :, 2]).all()
    assert (band[:, 1, 1] > band[:, 0, 1]).all()  # half the dose leaves more prothrombin activity
    mode = evaluate(model, found, times=times, outputs=["pca"])
    assert mode.values("pca")[:, 0, 0] == pytest.approx(
        evaluate(model, {**found.parameters, **given}, times=times, outputs=["pca"]).values("pca")[:, 0, 0]
    )


def test_a_failed_patient_of_a_fit_fails_in_evaluate_too_and_alone() -> None:
    model = load_model("theophylline")
    data = Observations.from_rows([Observation(key, 3.0, "conc", 5.0) for key in ("a", "b")])
    found = fit(model, data)
    status, mode = found.status.copy(), found.mode.copy()
    status[0], mode[:, 0] = Status.NOT_FINITE, np.nan
    result = evaluate(model, replace(found, status=status, mode=mode), times=[3.0], outputs=["conc"], samples=3)
    assert {item.patient for item in result.failures} == {"a"}
    assert np.isfinite(result.values("conc")[1]).all()


def test_what_was_not_given_varies_as_in_the_population_and_what_was_given_stays() -> None:
    model = load_model("warfarin-pkpd")
    given = {"CL": np.full(400, 0.1), "V": np.full(400, 8.0), "E0": np.full(400, 96.5)}
    plans = [Scenario.base(), Scenario.scale("dose", 0.5)]
    result = evaluate(model, given, plans, [0.0], samples=50, seed=3, outputs=["CL", "Emax", "kout"])
    assert np.unique(result.values("CL")).size == 1
    kout = result.values("kout")
    assert np.array_equal(kout[:, 0], kout[:, 1])  # scenarios are compared draw by draw
    assert np.log(kout[:, 0]).mean() == pytest.approx(np.log(0.055), abs=0.005)
    assert np.log(kout[:, 0]).std() == pytest.approx(0.127, rel=0.03)
    assert (result.values("Emax") < 1.0).all()
    part = evaluate(model, {"CL": [0.1], "V": 8.0, "E0": 96.5}, times=[0.0], samples=20, seed=3, outputs=["kout"])
    assert np.array_equal(part.values("kout")[0, 0], kout[0, 0, :20])
    assert np.unique(evaluate(model, given, times=[0.0], outputs=["kout"]).values("kout")).size == 1
    everything = dict.fromkeys(builtin("warfarin-pkpd").priors(model).symbols, 0.5)
    same = evaluate(model, everything, times=[0.0], samples=5, outputs=["pca"])
    assert np.unique(same.values("pca")).size == 1


def test_correlated_parameters_vary_around_what_the_given_one_implies() -> None:
    model = load_model("theophylline")
    covariance = builtin("theophylline").priors(model).covariance
    result = evaluate(model, {"b_lCl": [0.5]}, times=[0.0], samples=20_000, seed=1, outputs=["b_lka"])
    drawn = result.values("b_lka").ravel()
    slope = covariance[0, 1] / covariance[0, 0]
    assert drawn.mean() == pytest.approx(0.5 * slope, abs=0.015)
    assert drawn.var() == pytest.approx(covariance[1, 1] - covariance[0, 1] * slope, rel=0.03)


def test_a_spread_of_ones_own_lies_around_the_given_values() -> None:
    model = load_model("warfarin-pkpd")
    spread = Priors.of(Prior("CL", np.log(0.2), 0.1, "log"), Prior("kout", np.log(0.05), 0.2, "log"))
    result = evaluate(
        model, {"CL": [0.1, 0.4]}, times=[0.0], samples=4000, spread=spread, seed=1, outputs=["CL", "kout", "V"]
    )
    assert np.median(result.values("CL"), axis=2).ravel() == pytest.approx([0.1, 0.4], rel=0.01)
    assert np.median(result.values("kout"), axis=2).ravel() == pytest.approx([0.05, 0.05], rel=0.02)
    assert np.unique(result.values("V")).size == 1
    with pytest.raises(UnknownSymbol, match="clearance"):
        evaluate(model, {}, samples=2, spread=Priors.of(Prior("clearance", 0.0, 1.0)))


def test_model_choice_is_reported_apart_from_parameters_and_residual_error() -> None:
    """Two patients, one simulated from two compartments and one from (nearly) one; both models are fitted to both."""
    two = load_model("pk2-oral")
    residual = Residual("conc_central", 0.02, 0.05)
    times = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 36.0, 48.0, 72.0])
    truth: dict[str, float | list[float]] = {"Q": [30.0, 1e-3], "V2": [65.0, 65.0], "V1": [15.0, 40.0], "n_doses": 1.0}
    curve = evaluate(two, truth, times=times, outputs=["conc_central"]).values("conc_central")[:, 0, 0]
    noise = np.random.default_rng(2).normal(size=curve.shape)
    values = curve + np.hypot(0.02, 0.05 * curve) * noise
    data = Observations.from_rows(
        [
            Observation(key, float(t), "conc_central", float(values[at, place]))
            for at, key in enumerate(("two", "one"))
            for place, t in enumerate(times)
        ]
    )
    shared_priors = [
        Prior("CL", np.log(4.5), 0.3, "log"),
        Prior("V1", np.log(30.0), 0.5, "log"),
        Prior("ka", 0.0, 0.5, "log"),
    ]
    more = [Prior("Q", np.log(7.5), 1.0, "log"), Prior("V2", np.log(65.0), 0.5, "log")]
    fits = [
        fit(two, data, inputs={"n_doses": 1.0, "Q": 0.0}, priors=Priors.of(*shared_priors), residuals=[residual]),
        fit(two, data, inputs={"n_doses": 1.0}, priors=Priors.of(*shared_priors, *more), residuals=[residual]),
    ]  # fmt: skip
    weights = weigh(np.array([one.log_evidence for one in fits]))
    assert weights[1, 0] > 0.99
    assert weights[0, 1] > 0.8
    draws = [
        evaluate(two, one, times=[96.0], samples=300, seed=5, outputs=["conc_central"])
        .values("conc_central")[:, 0, :, 0]
        .T
        for one in fits
    ]
    parts = decompose(draws, [residual, residual], weights)
    assert (parts.parameter > 0.0).all()
    assert (parts.residual >= 0.02**2).all()
    assert parts.total == pytest.approx(parts.parameter + parts.residual + parts.model)
    undecided = decompose(draws, [residual, residual])
    apart = [draw.mean(axis=0) for draw in draws]
    assert undecided.model == pytest.approx((apart[0] - apart[1]) ** 2 / 4)
    assert (parts.model < undecided.model).all()


def test_what_is_missing_is_said_in_both_languages() -> None:
    data = Observations.from_rows([Observation("p", 1.0, "V", -60.0)])
    model = load_model("hodgkin-huxley")
    with pytest.raises(MissingDistribution, match="how its individual parameters vary: give priors") as caught:
        fit(model, data)
    assert "donnez priors" in caught.value.message("fr")
    with pytest.raises(MissingDistribution, match="give residuals") as caught:
        fit(model, data, priors=Priors.of(Prior("I", 0.0, 1.0)))
    assert "donnez residuals" in caught.value.message("fr")
    gut = Observations.from_rows([Observation("p", 1.0, "amount_gut", 1.0)])
    with pytest.raises(UnknownVariable, match="no residual error"):
        fit(load_model("pk2-oral"), gut)
