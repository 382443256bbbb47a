"""The evaluator and libroadrunner on the same files: the built-in models give the same trajectories."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pepr_kg.twin import builtin_models, evaluate, load_model
from pepr_kg.twin.builtin import builtin
from pepr_kg.twin.cohort import Given

roadrunner = pytest.importorskip("roadrunner", reason="libroadrunner is not installed")

# What is given in place of the file's values (a number, or the text of a category), and how long the model runs.
RUNS: Mapping[str, tuple[Mapping[str, Given], float]] = {
    "theophylline": ({"dose_mg_per_kg": 4.02, "b_lCl": 0.1, "b_lka": -0.3}, 24.0),
    "pk2-oral": ({"CL": 4.0, "ka": 0.7, "dose": 150.0}, 40.0),
    "warfarin-pkpd": ({"CL": 0.2, "kout": 0.04}, 120.0),
    "lv-windkessel": ({"Emax": 1.0, "HR": 80.0, "SBV": 650.0}, 4.0),
    "hodgkin-huxley": ({"I_uA_per_cm2": 10.0}, 30.0),
    "disease-course": ({"xi": 0.2, "tau_a": 75.0, "s0": 0.5, "s1": -1.0}, 90.0),
    "two-scale-linear": ({"k": 0.7}, 3.0),
    "two-scale-fast": ({"slow": 0.7}, 1.0),
    "two-scale-slow": ({"fast": 0.7}, 3.0),
    "ckd-epi-2021": ({"scr_mg_dL": 1.4, "age_a": 66.0, "sex": "female"}, 0.0),
    "cha2ds2-vasc": (
        {"age_a": 70.0, "sex": "male", "chf": True, "hypertension": False, "diabetes": True, "stroke_tia_te": True,
         "vascular": False}, 0.0),
    "phases": (
        {"population": "Japanese", "hypertension": True, "age_a": 71.0, "size_mm": 8.0, "earlier_sah": False,
         "site": "MCA"}, 0.0),
    "score2": (
        {"sex": "female", "smoker": True, "region": "high", "age_a": 55.0, "sbp_mmHg": 150.0, "tchol_mmol_L": 6.0,
         "hdl_mmol_L": 1.2, "diabetes": False, "earlier_cvd": False}, 0.0),
}  # fmt: skip


def peer(name: str, given: Mapping[str, Given], times: Any, outputs: tuple[str, ...]) -> Any:
    """Return what libroadrunner computes, (outputs, times)."""
    model, runner = load_model(name), roadrunner.RoadRunner(str(builtin(name).path))
    runner.integrator.setValue("relative_tolerance", 1e-10)
    runner.integrator.setValue("absolute_tolerance", 1e-12)
    runner.integrator.setValue("maximum_num_steps", 1_000_000)
    runner.resetToOrigin()
    for symbol, value in given.items():
        codes = {code.text: code.value for code in model.variable(symbol).codes}
        number = codes[value] if isinstance(value, str) else float(value)  # type: ignore[arg-type]
        runner.setValue(symbol, number)
    if "doses_given" in model.discretes:
        runner.setValue("doses_given", 0.0)  # the first dose was given when the file was loaded
    runner.reset()
    if len(times) == 1:
        return np.array([[float(runner.getValue(symbol))] for symbol in outputs])
    runner.timeCourseSelections = ["time", *outputs]
    return np.array(runner.simulate(times=[float(time) for time in times]))[:, 1:].T


@pytest.mark.parametrize("name", RUNS)
def test_libroadrunner_gives_the_same_trajectories(name: str) -> None:
    given, end = RUNS[name]
    times = np.linspace(0.0, end, 41) if end else np.zeros(1)
    outputs = load_model(name).outputs
    mine = evaluate(load_model(name), given, times=times, outputs=outputs, rtol=1e-9)
    assert not mine.failures
    other = peer(name, given, times, outputs)
    after = slice(1, None) if end else slice(None)  # at 0 the tools differ on what comes first, the dose or the output
    size = np.max(np.abs(other), axis=1, keepdims=True) + 1e-12
    assert np.max(np.abs(mine.data[:, :, 0] - other)[:, after] / size) < 1e-6


def test_every_model_that_has_no_clock_of_another_is_compared() -> None:
    assert set(builtin_models()) - set(RUNS) <= {"lv-remodelling"}
