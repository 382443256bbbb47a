"""The built-in models: what their files say, and that another SBML tool computes the published numbers from them."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.resources import ontology_dir
from pepr_kg.twin import load_model
from pepr_kg.twin.builtin import BuiltIn, builtin, builtin_models, default_values
from pepr_kg.twin.errors import UnknownModel
from pepr_kg.twin.sbml.reading import read_model
from pepr_kg.twin.summary import find_spikes, summarise_beat
from pepr_kg.twin.units import conversion, unit_from_sbml

SBML = "{http://www.sbml.org/sbml/level3/version2/core}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
XHTML = "{http://www.w3.org/1999/xhtml}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NAMES = builtin_models()
ISSUE = {
    "theophylline", "pk2-oral", "warfarin-pkpd", "lv-windkessel", "disease-course", "hodgkin-huxley", "phases",
    "cha2ds2-vasc", "score2", "ckd-epi-2021",
}  # fmt: skip
SCORES = ("phases", "cha2ds2-vasc", "score2", "ckd-epi-2021")
Array = npt.NDArray[np.float64]


def root_of(name: str) -> ET.Element:
    return ET.parse(builtin(name).path).getroot()


def ids_by_name(name: str) -> dict[str, str]:
    """The identifier of each parameter by its name: an outcome whose name is no identifier is found by it."""
    return {node.get("name", ""): node.get("id", "") for node in root_of(name).iter(f"{SBML}parameter")}


def codes_of(name: str) -> dict[str, dict[str, float]]:
    return {item.symbol: {code.text: code.value for code in item.codes} for item in load_model(name).variables}


# -- the files -----------------------------------------------------------------------------------------------------


def test_the_models_of_the_programme_are_there() -> None:
    assert set(NAMES) >= ISSUE
    assert len(set(NAMES)) == len(NAMES)
    assert {path.stem for path in (ontology_dir() / "models").glob("*.xml")} >= set(NAMES)


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownModel, match="warfarin-pkpd"):
        builtin("warfarine")


@pytest.mark.parametrize("name", NAMES)
def test_everything_has_a_unit(name: str) -> None:
    root = root_of(name)
    model = root.find(f"{SBML}model")
    assert (root.get("level"), root.get("version")) == ("3", "2")
    assert model is not None
    units = {node.get("id") for node in model.iter(f"{SBML}unitDefinition")} | {"dimensionless"}
    used = [model.get("timeUnits")]
    used += [node.get("units") for tag in ("parameter", "compartment") for node in model.iter(f"{SBML}{tag}")]
    used += [node.get("substanceUnits") for node in model.iter(f"{SBML}species")]
    used += [node.get(f"{SBML}units") for node in model.iter(f"{MATHML}cn")]
    assert set(used) <= units
    assert all(node.get("name") for node in model.iter(f"{SBML}unitDefinition"))


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_unit_is_its_ucum_code(name: str) -> None:
    for definition in root_of(name).iter(f"{SBML}unitDefinition"):
        kinds = [
            (
                str(unit.get("kind")), float(unit.get("exponent", "nan")), int(unit.get("scale", "0")),
                float(unit.get("multiplier", "nan")),
            )
            for unit in definition.iter(f"{SBML}unit")
        ]  # fmt: skip
        assert conversion(definition.get("name", ""), unit_from_sbml(kinds)) == pytest.approx((1.0, 0.0), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_everything_has_an_identity_and_is_labelled_in_both_languages(name: str) -> None:
    root = root_of(name)
    metaids = [node.get("metaid") for node in root.iter() if node.get("metaid")]
    assert len(set(metaids)) == len(metaids)
    meaning = builtin(name).meaning
    assert meaning.label_en
    assert meaning.label_fr
    for tag in ("model", "parameter", "compartment", "species", "reaction", "event", "functionDefinition"):
        for node in root.iter(f"{SBML}{tag}"):
            assert node.get("metaid"), node.get("id")
            if tag in ("parameter", "compartment", "species", "reaction"):
                assert meaning.elements[node.get("id", "")].label_en, node.get("id")
                assert meaning.elements[node.get("id", "")].label_fr, node.get("id")
    for description in root.iter(f"{RDF}Description"):
        assert description.get(f"{RDF}about", "").lstrip("#") in metaids


@pytest.mark.parametrize("name", NAMES)
def test_the_notes_say_the_same_in_english_and_in_french(name: str) -> None:
    parts = {node.get(LANG): node for node in root_of(name).iter(f"{XHTML}div")}
    assert set(parts) == {"en", "fr"}
    assert len(parts["en"].findall(f"{XHTML}p")) == len(parts["fr"].findall(f"{XHTML}p")) >= 2
    french = "".join(parts["fr"].itertext())
    assert not re.search(r"[^\s\u202f\u00a0][;:?!»](\s|$)| [;:?!»]", french), "a narrow space goes before ; : ? ! »"
    assert "'" not in french


@pytest.mark.parametrize("name", NAMES)
def test_codes_and_bounds_are_complete(name: str) -> None:
    model = load_model(name)
    for item in model.variables:
        assert len({code.text for code in item.codes}) == len({code.value for code in item.codes}) != 1
        assert all(code.text and code.label_en and code.label_fr for code in item.codes)
        assert item.bounds[0] <= item.bounds[1]
    for rule in model.validity:
        assert rule.symbol in model.symbols
        assert np.isfinite([rule.minimum, rule.maximum]).any()
        assert rule.reason_en
        assert rule.reason_fr


# -- what stands beside the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_finds_a_unit_for_every_symbol(name: str) -> None:
    model = read_model(builtin(name).path)
    assert [item.symbol for item in model.variables if item.unit is None and item.kind != "reference"] == []
    assert model.time_unit is not None


@pytest.mark.parametrize("name", [name for name in NAMES if builtin(name).effects])
def test_priors_are_about_the_values_of_the_file(name: str) -> None:
    model = read_model(builtin(name).path)
    priors = builtin(name).priors(model)
    for symbol, typical in zip(priors.symbols, priors.natural(priors.mean[:, np.newaxis])[:, 0], strict=True):
        given = next(entry.formula.value for entry in model.initial if entry.symbol == symbol)
        assert typical == pytest.approx(float(given or 0.0), rel=1e-12, abs=1e-15)
        assert model.variable(symbol).direction == "input"
    assert {error.variable for error in builtin(name).residuals(model)} <= set(model.outputs)


def test_the_spreads_of_the_population_are_those_of_the_file() -> None:
    model = read_model(builtin("theophylline").path)
    covariance = builtin("theophylline").priors(model).covariance
    assert covariance == pytest.approx(np.array([[0.028034, -0.00131], [-0.00131, 0.43458]]), rel=1e-12)
    (error,) = builtin("theophylline").residuals(model)
    assert error.additive**2 == pytest.approx(0.50158, rel=1e-12)


def test_the_spreads_are_those_that_the_file_holds_under_symbols_of_its_own() -> None:
    theophylline, course = (default_values(load_model(name)) for name in ("theophylline", "disease-course"))
    held = {"xi": course["xi_sd"], "tau_a": course["tau_sd"], "s0": 1.0, "s1": 1.0}
    assert {effect.symbol: effect.sd for effect in builtin("disease-course").effects} == held
    assert all(error.additive == course[f"sd_{error.variable}"] for error in builtin("disease-course").errors)
    spread = {effect.symbol: effect.sd**2 for effect in builtin("theophylline").effects}
    assert spread == pytest.approx({"b_lCl": theophylline["omega_cl2"], "b_lka": theophylline["omega_ka2"]}, rel=1e-15)
    assert builtin("theophylline").fixed == ("lCl", "lka", "lke")


def test_the_disease_course_has_the_population_of_the_reference_folder(shared: Path) -> None:
    population = json.loads((shared / "twin/reference/disease-course-population.json").read_text(encoding="utf-8"))
    course = builtin("disease-course")
    model = read_model(course.path)
    priors, residuals = course.priors(model), course.residuals(model)
    assert priors.mean.tolist() == [0.0, *population["tau_mean"], 0.0, 0.0]
    assert [prior.sd for prior in priors.priors] == [*population["xi_std"], *population["tau_std"], 1.0, 1.0]
    assert [error.additive for error in residuals] == population["noise_std"]
    assert [model.variable(error.variable).name for error in residuals] == population["features"]


# -- another tool --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def roadrunner() -> Any:
    return pytest.importorskip("roadrunner", reason="libroadrunner is not installed")


class Peer:
    """One model in libroadrunner, loaded once."""

    def __init__(self, roadrunner: Any, name: str) -> None:
        self.name = name
        self.codes = codes_of(name)
        self.runner = roadrunner.RoadRunner(str(builtin(name).path))
        integrator = self.runner.integrator
        integrator.setValue("relative_tolerance", 1e-10)
        integrator.setValue("absolute_tolerance", 1e-12)
        integrator.setValue("maximum_num_steps", 1_000_000)

    def give(self, inputs: dict[str, Any]) -> None:
        """Set inputs and start anew. `doses_given` goes back by hand, as an event has already given the first dose."""
        self.runner.resetToOrigin()
        for symbol, value in inputs.items():
            text = str(value).lower() if isinstance(value, bool) else value
            self.runner.setValue(symbol, self.codes[symbol][text] if isinstance(text, str) else float(value))
        if "tau_h" in self.runner.model.getGlobalParameterIds():
            self.runner.setValue("doses_given", 0.0)
        self.runner.reset()

    def value(self, symbol: str) -> float:
        return float(self.runner.getValue(symbol))

    def run(self, symbols: list[str], times: list[float] | Array) -> Array:
        """Return the symbols at the times, (symbols, times); the run starts at 0 or at an earlier first time."""
        self.runner.timeCourseSelections = ["time", *symbols]
        grid = [*([0.0] if times[0] > 0 and self.name != "disease-course" else []), *times]
        table = np.array(self.runner.simulate(times=list(map(float, grid))))
        return table[-len(times) :, 1:].T


@pytest.fixture(scope="module")
def peers(roadrunner: Any) -> dict[str, Peer]:
    class Loaded(dict[str, Peer]):
        def __missing__(self, name: str) -> Peer:
            self[name] = Peer(roadrunner, name)
            return self[name]

    return Loaded()


@pytest.mark.parametrize("name", NAMES)
def test_libsbml_finds_no_fault_and_no_wrong_unit(roadrunner: Any, name: str) -> None:
    report = str(roadrunner.validateSBML(builtin(name).path.read_text(encoding="utf-8"), 127))
    for finding in re.split(r"\n\n+", report.strip()):
        # that notanumber, the value for an unknown code, has no unit is the one thing that may be said
        assert not finding or ("(99505 [Warning])" in finding and "NaN" in finding), finding


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    inputs: dict[str, Any]
    expected: list[dict[str, str]]


def read_cases(folder: Path) -> list[Case]:
    expected: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            expected[row["case"]].append(row)
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        return [
            Case(row["case"], row["model"], json.loads(row["inputs_json"]), expected[row["case"]])
            for row in csv.DictReader(file)
        ]


def run_case(peer: Peer, case: Case) -> dict[tuple[str, float | None], float]:
    """Return what libroadrunner computes for a case, by variable and time (None: no time)."""
    inputs = {key: value for key, value in case.inputs.items() if key not in ("subject", "duration_ms", "sources")}
    inputs |= {f"s{at}": value for at, value in enumerate(case.inputs.get("sources", []))}
    scalars = {row["variable"]: float(row["value"]) for row in case.expected if not row["time"]}
    inputs |= {key: scalars[key] for key in ("b_lCl", "b_lka") if key in scalars}  # their estimation is another test
    peer.give(inputs)
    ids = ids_by_name(case.model)
    timed = sorted({float(row["time"]) for row in case.expected if row["time"]})
    found: dict[tuple[str, float | None], float] = {}
    if case.model == "lv-windkessel":
        period = 60.0 / inputs["HR"]
        times = np.linspace(79.0 * period, 80.0 * period, 4001)
        beat = summarise_beat(times, *peer.run(["Vlv", "Pao", "Pv"], times))
        return {(symbol, None): float(getattr(beat, symbol)) for symbol in scalars}
    if case.model == "hodgkin-huxley":
        times = np.linspace(0.0, case.inputs["duration_ms"], 10_001)
        (potential,) = peer.run(["V"], times)
        spikes = find_spikes(times, potential)
        found = {("V", time): float(np.interp(time, times, potential)) for time in timed}
        found[("spikes", None)] = float(spikes.count)
        return found | {(symbol, None): float(getattr(spikes, symbol)) for symbol in scalars if symbol != "spikes"}
    timed_symbols = sorted({row["variable"] for row in case.expected if row["time"]})
    if case.model in SCORES:
        found = {(symbol, time): peer.value(symbol) for symbol in timed_symbols for time in timed}
    elif timed:
        rows = peer.run([ids.get(symbol, symbol) for symbol in timed_symbols], timed)
        found = {
            (symbol, time): float(rows[at, column])
            for at, symbol in enumerate(timed_symbols)
            for column, time in enumerate(timed)
        }
    return found | {(symbol, None): peer.value(symbol) for symbol in scalars if symbol != "minus2loglik"}


@pytest.mark.parametrize("model", sorted(ISSUE | {"two-scale-linear"}))
def test_libroadrunner_computes_the_reference_values(peers: dict[str, Peer], shared: Path, model: str) -> None:
    cases = [case for case in read_cases(shared / "twin" / "reference") if case.model == model]
    if not cases:
        pytest.skip(f"the reference folder has no case of {model}")
    wrong, seen = [], 0
    for case in cases:
        got = run_case(peers[model], case)
        for row in case.expected:
            key = (row["variable"], float(row["time"]) if row["time"] else None)
            if row["variable"] == "minus2loglik":
                continue  # a fit of the population, not a variable of the file
            value, seen = float(row["value"]), seen + 1
            if not abs(got[key] - value) <= float(row["abs_tol"]) + float(row["rel_tol"]) * abs(value):
                wrong.append(f"{case.name} {key}: {got[key]} for {value}")
    assert seen
    assert not wrong, wrong[:5]


# -- what the sources say ------------------------------------------------------------------------------------------


def test_what_is_dosed_every_interval_leaves_as_fast(peers: dict[str, Peer]) -> None:
    peer = peers["pk2-oral"]
    inputs = {"CL": 5.0, "Q": 7.0, "V1": 30.0, "V2": 60.0, "ka": 0.9, "dose": 300.0, "tau_h": 24.0, "n_doses": 30}
    peer.give(inputs)
    times = np.linspace(28 * 24.0, 29 * 24.0, 4001)
    (conc,) = peer.run(["conc_central"], times)
    assert np.trapezoid(conc, times) == pytest.approx(300.0 / 5.0, rel=1e-4)  # dose over clearance


def test_without_clearance_all_doses_stay(peers: dict[str, Peer]) -> None:
    peer = peers["pk2-oral"]
    peer.give({"CL": 0.0, "dose": 100.0, "tau_h": 8.0, "n_doses": 3})
    amounts = peer.run(["amount_gut", "amount_central", "amount_peripheral"], [7.9, 8.1, 16.1, 24.1, 100.0])
    assert amounts.sum(axis=0) == pytest.approx([100.0, 200.0, 300.0, 300.0, 300.0], rel=1e-8)


def test_warfarin_without_drug_leaves_the_response_at_rest(peers: dict[str, Peer]) -> None:
    peer = peers["warfarin-pkpd"]
    peer.give({"dose": 0.0, "E0": 88.0})
    assert peer.run(["pca"], [1.0, 100.0]) == pytest.approx(np.full((1, 2), 88.0), rel=1e-12)


def test_the_ventricle_neither_makes_nor_loses_blood(peers: dict[str, Peer]) -> None:
    peer = peers["lv-windkessel"]
    peer.give({"HR": 66.0, "Rp": 1.2})
    times = np.linspace(60.0, 60.0 + 60.0 / 66.0, 2001)
    left, arteries, veins, aortic, venous, arterial, valve = peer.run(
        ["Vlv", "Va", "Vv", "Pao", "Pv", "Pa", "Qav"], times
    )
    assert left + arteries + veins == pytest.approx(np.full(2001, 120.0 + 80.0 * 1.5 + 600.0), rel=1e-9)
    beat = summarise_beat(times, left, aortic, venous)
    assert np.trapezoid(valve, times) == pytest.approx(float(beat.SV), rel=1e-3)
    drop = np.trapezoid(arterial - venous, times) * 66.0 / 60.0  # mm[Hg]; by Ohm's law the flow in mL/s is drop / Rp
    assert drop / 1.2 * 60.0 / 1000.0 == pytest.approx(float(beat.CO), rel=1e-3)


def test_the_open_rates_of_the_axon_are_smooth_at_their_singularities(peers: dict[str, Peer]) -> None:
    peer = peers["hodgkin-huxley"]
    peer.give({})
    for rate, at, limit in (("alpha_n", -55.0, 0.1), ("alpha_m", -40.0, 1.0)):
        values = []
        for shift in (-0.1 - 1e-9, -0.1 + 1e-9, 0.0, 0.1 - 1e-9, 0.1 + 1e-9):  # about the edges of the series
            peer.runner.setValue("V", at + shift)
            values.append(peer.value(rate))
        assert values[2] == pytest.approx(limit, rel=1e-15)
        assert values[0] == pytest.approx(values[1], rel=1e-9)
        assert values[3] == pytest.approx(values[4], rel=1e-9)
        assert values[1] < values[2] < values[3]


PHASES = {"population": "NorthAmerican-European", "hypertension": False, "age_a": 60, "size_mm": 5.0,
          "earlier_sah": False, "site": "ICA"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "points", "risk"),
    [
        ({}, 0, 0.4),
        ({"size_mm": 6.999}, 0, 0.4),
        ({"size_mm": 7.0}, 3, 0.7),
        ({"size_mm": 10.0}, 6, 1.7),
        ({"size_mm": 20.0, "site": "MCA"}, 12, 17.8),
        ({"age_a": 69.99, "population": "Japanese"}, 3, 0.7),
        ({"age_a": 70, "population": "Japanese"}, 4, 0.9),
        ({"population": "Finnish", "earlier_sah": True, "hypertension": True, "site": "ACA-Pcom-posterior"}, 11, 7.2),
    ],
)
def test_the_classes_of_phases_are_closed_below(
    peers: dict[str, Peer], change: dict[str, Any], points: int, risk: float
) -> None:
    peer = peers["phases"]
    peer.give(PHASES | change)
    assert (peer.value("points"), peer.value("rupture_risk")) == (points, risk)


def test_an_unknown_code_and_a_missing_input_give_no_points(peers: dict[str, Peer]) -> None:
    # the points, as libroadrunner finds that "not a number < 3" is true and reads a risk from the table
    peer = peers["phases"]
    peer.give(PHASES | {"population": 7.0})
    assert np.isnan(peer.value("points"))
    peer.give({"population": 0.0})
    assert np.isnan(peer.value("points"))


def test_score2_steps_at_seventy_and_marks_whom_it_does_not_cover(peers: dict[str, Peer]) -> None:
    peer = peers["score2"]
    person = {"sex": "male", "smoker": False, "region": "low"}
    person |= {"sbp_mmHg": 140.0, "tchol_mmol_L": 5.5, "hdl_mmol_L": 1.3}
    risks = []
    for age in (69.999, 70.0):
        peer.give(person | {"age_a": age})
        risks.append(peer.value("cvd_risk"))
    assert risks[0] - risks[1] > 0.3
    peer.give(person | {"age_a": 60.0, "diabetes": True})
    assert peer.value("diabetes_below_70") == 1.0
    peer.give(person | {"age_a": 70.0, "diabetes": True})
    assert peer.value("diabetes_below_70") == 0.0
    assert peer.value("cvd_risk") > risks[1]


def test_cha2ds2_vasc_keeps_the_dip_at_eight_points(peers: dict[str, Peer]) -> None:
    peer = peers["cha2ds2-vasc"]
    everything = dict.fromkeys(("chf", "hypertension", "diabetes", "stroke_tia_te", "vascular"), True)
    risks = []
    for age, sex in ((74, "male"), (75, "male"), (75, "female")):
        peer.give(everything | {"age_a": age, "sex": sex})
        risks.append((peer.value("points"), peer.value("ischaemic_stroke_risk")))
    assert risks == [(7.0, 11.2), (8.0, 10.8), (9.0, 12.2)]


def test_theophylline_has_a_limit_where_absorption_equals_elimination(peers: dict[str, Peer]) -> None:
    peer = peers["theophylline"]
    peer.give({"dose_mg_per_kg": 5.0, "lka": -2.0, "lke": -2.0, "b_lka": 0.0, "b_lCl": 0.0})
    ke, volume = np.exp(-2.0), np.exp(-3.22682) / np.exp(-2.0)
    assert peer.value("tmax") == pytest.approx(1.0 / ke, rel=1e-12)
    assert peer.value("cmax") == pytest.approx(5.0 / volume * np.exp(-1.0), rel=1e-12)


def test_the_model_of_a_score_has_no_spread() -> None:
    assert all(not builtin(name).effects and not builtin(name).errors for name in SCORES)
    assert isinstance(builtin("score2"), BuiltIn)
