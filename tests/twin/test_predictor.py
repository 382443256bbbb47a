"""Models as prediction functions: the same values as `evaluate`, exact derivatives, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.twin import Dose, evaluate, load_model, read_cohort
from pepr_kg.twin.builtin import builtin
from pepr_kg.twin.errors import BadTimes, BadValue, EmptyCohort, MissingValue, UnknownSymbol, UnknownVariable
from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.closed_form import gradient, inline, merge
from pepr_kg.twin.estimation.observations import Observation, Observations
from pepr_kg.twin.estimation.population import Effect, fit_population
from pepr_kg.twin.estimation.predictor import predictor
from pepr_kg.twin.expression import Expr, call, number, power, symbol
from pepr_kg.twin.expression import evaluate as value_of
from pepr_kg.twin.model import Assignment, Model, Variable
from pepr_kg.twin.status import Status
from tests.twin.cohorts import rows

Indices = npt.NDArray[np.intp]
OUTCOMES = ("MMSE", "FAQ", "FDG_PET")


def visits(times: Mapping[str, list[float]], variables: tuple[str, ...]) -> Observations:
    """Observations of value 0: every second time of every second variable is left out."""
    return Observations.from_rows(
        [
            Observation(key, t, name, 0.0)
            for key, row in times.items()
            for at, t in enumerate(row)
            for which, name in enumerate(variables)
            if (at + which) % 2 == 0 or at == 0
        ],
        variables=variables,
    )


def expected(model: Model, data: Observations, theta: Mapping[str, Array], **others: object) -> Array:
    """What `evaluate` gives at the slots, patient by patient."""
    found = np.zeros(data.value.shape)
    for at in range(len(data.patients)):
        there = data.present[:, at]
        given = {name: float(value[at]) for name, value in theta.items()}
        times = np.unique(data.time[there, at])
        result = evaluate(model, given, times=times, outputs=data.variables, rtol=1e-10)
        for slot in np.flatnonzero(there):
            where = int(np.searchsorted(times, data.time[slot, at]))
            found[slot, at] = result.values(data.variables[data.variable[slot, at]])[0, 0, 0, where]
    return found


@pytest.mark.parametrize(
    ("name", "variables", "parameters", "inputs"),
    [
        ("disease-course", OUTCOMES, {"xi": [0.1, -0.4], "tau_a": [71.0, 80.0], "s0": [0.3, -1.0]}, {}),
        ("theophylline", ("conc", "cmax"), {"b_lCl": [0.1, -0.2], "b_lka": [0.5, -0.5]}, {"dose_mg_per_kg": [3, 5]}),
        ("pk2-oral", ("conc_central", "amount_gut"), {"CL": [4.0, 6.0], "ka": [0.5, 1.5]}, {"dose": [100.0, 300.0]}),
        ("warfarin-pkpd", ("conc", "pca"), {"CL": [0.1, 0.2], "Emax": [0.9, 0.5]}, {"dose": [80.0, 120.0]}),
    ],
)  # fmt: skip
def test_predictions_are_what_evaluate_gives(
    name: str, variables: tuple[str, ...], parameters: dict[str, list[float]], inputs: dict[str, list[float]]
) -> None:
    model = load_model(name)
    data = visits({"a": [1.0, 2.0, 30.0], "b": [0.0, 0.5, 7.0, 80.0]}, variables)
    theta = np.array(list(parameters.values()))
    predict = predictor(model, data, tuple(parameters), inputs=inputs)
    given = {key: np.array(row) for key, row in {**parameters, **inputs}.items()}
    wanted = expected(model, data, given)
    everyone = np.arange(2)
    found = predict(theta, everyone)
    assert found[data.present] == pytest.approx(wanted[data.present], rel=1e-6, abs=1e-9)
    turned = predict(theta[:, [1, 0, 1]], np.array([1, 0, 1]))
    assert np.array_equal(turned[:, :2][:, ::-1][data.present], found[data.present])
    assert np.array_equal(turned[:, 0], turned[:, 2])
    alone = predict(theta[:, :1], np.array([0]))
    assert np.array_equal(alone[data.present[:, 0], 0], found[data.present[:, 0], 0])


@pytest.mark.parametrize(
    ("name", "variables", "theta", "inputs"),
    [
        ("disease-course", OUTCOMES, {"xi": 0.3, "tau_a": 75.0, "s0": 0.5, "s1": -0.5}, {}),
        ("disease-course", ("psi", "MMSE"), {"xi": 0.3, "tau_a": 75.0}, {"s0": 1.0}),
        ("theophylline", ("conc", "cmax", "auc_inf"), {"lke": -2.5, "b_lka": 0.1, "lCl": -3}, {"dose_mg_per_kg": 4}),
    ],
)  # fmt: skip
def test_derivatives_are_those_of_the_predictions(
    name: str, variables: tuple[str, ...], theta: dict[str, float], inputs: dict[str, float]
) -> None:
    data = visits({"a": [1.0, 70.0, 72.0], "b": [0.5, 4.0, 7.0, 80.0]}, variables)
    predict = predictor(load_model(name), data, tuple(theta), inputs=inputs)
    assert predict.jacobian is not None
    point, lanes = np.repeat(np.array([list(theta.values())]).T, 2, axis=1), np.arange(2)
    found, slopes = predict.jacobian(point, lanes)
    assert np.array_equal(found, predict(point, lanes))
    for row in range(len(theta)):
        step = np.zeros_like(point)
        step[row] = 1e-5
        rise = (predict(point + step, lanes) - predict(point - step, lanes)) / 2e-5
        assert slopes[row][data.present] == pytest.approx(rise[data.present], rel=1e-5, abs=1e-8)


def test_a_branch_that_does_not_hold_spoils_no_derivative() -> None:
    x = symbol("x")
    zero = number(0.0)
    safe = Expr("piecewise", (call("sqrt", x), Expr("gt", (x, zero)), power(x, number(2.0))))
    formula = call("times", number(3.0), safe)
    slope = gradient(formula, ["x"])[0]
    for at, wanted in ((4.0, 0.75), (-2.0, -12.0), (0.0, 0.0)):
        assert value_of(slope, {"x": at}) == pytest.approx(wanted)
    largest = gradient(Expr("max", (x, call("ln", x), number(-5.0))), ["x"])[0]
    assert value_of(largest, {"x": 2.0}) == 1.0
    assert value_of(largest, {"x": -7.0}) == 0.0


def test_formulas_are_one_but_for_what_is_known() -> None:
    x, a, b = (symbol(name) for name in "xab")
    free = frozenset("x")
    first, second = call("plus", call("exp", x), call("times", a, b)), call("plus", call("exp", x), number(2.0))
    merged = merge([first, second], free)
    assert merged is not None
    assert [str(item) for item in merged.known["@0"]] == ["a*b", "2"]
    assert merge([first, call("plus", call("ln", x), b)], free) is None
    assert merge([x, call("exp", x)], free) is None


def small(formulas: Mapping[str, Expr], initial: Mapping[str, Expr]) -> Model:
    """A model of assignments in x and k; k may be computed at the start."""
    names = [*initial, *formulas]
    variables = tuple(
        Variable(name, "parameter", "derived" if name in formulas else "constant", None, core=name) for name in names
    )
    key = str([(name, str(item)) for name, item in (*formulas.items(), *initial.items())])
    return Model(
        "small", "", key, "", 3, 2, None, variables, tuple(initial), (), (), (), (),
        tuple(Assignment(*item) for item in initial.items()), tuple(Assignment(*item) for item in formulas.items()),
    )  # fmt: skip


def test_what_the_start_computes_from_a_parameter_moves_with_it() -> None:
    time = Expr("time")
    model = small(
        {"y": call("times", symbol("k"), time), "z": call("plus", symbol("y"), symbol("k"))},
        {"x": number(2.0), "k": call("plus", call("exp", symbol("x")), time)},
    )
    data = visits({"a": [3.0, 4.0, 5.0]}, ("y", "z"))
    lane = np.array([0])
    for given, wanted, slope in (({}, np.exp(1.0), np.exp(1.0)), ({"k": 10.0}, 10.0, 0.0)):
        predict = predictor(model, data, ["x"], inputs=given)
        assert predict.jacobian is not None
        found, slopes = predict.jacobian(np.array([[1.0]]), lane)
        scale = data.time + (data.variable == 1)
        assert found == pytest.approx(wanted * scale)
        assert slopes[0] == pytest.approx(slope * scale)
    assert [str(item) for item in inline(model, ["z"], frozenset("x"), frozenset(), 0.0)] == [
        "(exp(x) + 0)*time + exp(x) + 0"
    ]


def test_a_derivative_without_a_value_is_replaced_by_a_difference() -> None:
    """t^x at the time 0: the value is 0, the formula of the derivative gives 0 · ln 0."""
    model = small({"y": call("power", Expr("time"), symbol("x"))}, {"x": number(2.0)})
    data = Observations.from_rows([Observation("p", 0.0, "y", 0.0), Observation("p", 2.0, "y", 1.0)])
    predict = predictor(model, data, ["x"])
    assert predict.jacobian is not None
    found, slopes = predict.jacobian(np.array([[3.0]]), np.array([0]))
    assert found.ravel().tolist() == [0.0, 8.0]
    assert slopes.ravel() == pytest.approx([0.0, 8.0 * np.log(2.0)])


def test_doses_go_to_their_patients_alone() -> None:
    model = load_model("pk2-oral")
    data = visits({"a": [1.0, 30.0], "b": [2.0, 40.0], "c": [5.0]}, ("conc_central",))
    doses = [
        Dose("a", "amount_gut", 1.0, 50.0),
        Dose("a", "amount_gut", 26.0, 20.0),
        Dose("c", "amount_central", 2.0, 9.0),
    ]
    predict = predictor(model, data, ["CL"], inputs={"n_doses": 0.0}, doses=doses)
    lanes = np.array([2, 0, 1, 0])
    found = predict(np.array([[3.0, 4.0, 5.0, 6.0]]), lanes)
    for column, (patient, clearance) in enumerate(zip(lanes.tolist(), (3.0, 4.0, 5.0, 6.0), strict=True)):
        key = data.patients[patient]
        own = [Dose("1", dose.symbol, dose.time, dose.amount) for dose in doses if dose.patient == key]
        there = data.present[:, patient]
        given = {"CL": clearance, "n_doses": 0.0}
        result = evaluate(model, given, times=data.time[there, patient], doses=own, outputs=["conc_central"])
        assert found[there, column] == pytest.approx(result.values("conc_central").ravel(), rel=1e-6, abs=1e-12)


def test_inputs_may_be_a_cohort_in_another_order_and_variables_may_be_named() -> None:
    model = load_model("theophylline")
    data = Observations.from_rows([Observation(key, 3.0, "conc", 0.0) for key in ("a", "b")])
    name = model.variable("conc").name
    named = Observations.from_rows([Observation(key, 3.0, name, 0.0) for key in ("a", "b")])
    cohort = read_cohort(model, {"dose_mg_per_kg": [9.0, 2.0, 3.0]}, patients=["x", "b", "a"])
    theta, lanes = np.zeros((1, 2)), np.arange(2)
    usual = predictor(model, data, ["b_lCl"], inputs={"dose_mg_per_kg": [3.0, 2.0]})(theta, lanes)
    assert np.array_equal(predictor(model, data, ["b_lCl"], inputs=cohort)(theta, lanes), usual)
    assert np.array_equal(predictor(model, named, ["b_lCl"], inputs=cohort)(theta, lanes), usual)
    with pytest.raises(MissingValue, match="patient b"):
        predictor(model, data, ["b_lCl"], inputs=read_cohort(model, {"dose_mg_per_kg": [1.0]}, patients=["a"]))


def test_what_cannot_be_predicted_is_refused_by_name() -> None:
    model = load_model("theophylline")
    data = Observations.from_rows([Observation("p", 3.0, "conc", 0.0)])
    early = Observations.from_rows([Observation("p", -1.0, "conc", 0.0)])
    strange = Observations.from_rows([Observation("p", 3.0, "level", 0.0)])
    with pytest.raises(UnknownVariable, match="level"):
        predictor(model, strange, ["b_lCl"])
    with pytest.raises(UnknownSymbol, match="b_lcl"):
        predictor(model, data, ["b_lcl"])
    with pytest.raises(BadValue, match="computes it"):
        predictor(model, data, ["ka"])
    with pytest.raises(BadValue, match="to be estimated"):
        predictor(model, data, ["b_lCl"], inputs={"b_lCl": 0.0})
    with pytest.raises(BadTimes, match="-1 lies before the start"):
        predictor(model, early, ["b_lCl"])
    with pytest.raises(EmptyCohort):
        predictor(model, data.select(np.array([], dtype=np.intp)), ["b_lCl"])
    with pytest.raises(BadValue, match="not in the cohort"):
        predictor(load_model("pk2-oral"), visits({"a": [1.0]}, ("amount_gut",)), ["CL"],
                  doses=[Dose("z", "amount_gut", 0.0, 1.0)])  # fmt: skip


def test_a_parameter_out_of_its_domain_fails_its_lane_alone() -> None:
    for name, parameter, variable in (("theophylline", "b_lCl", "conc"), ("warfarin-pkpd", "CL", "pca")):
        data = visits({"a": [1.0, 9.0], "b": [1.0, 9.0]}, (variable,))
        predict = predictor(load_model(name), data, [parameter])
        found = predict(np.array([[np.nan, 0.1]]), np.arange(2))
        assert not np.isfinite(found[:, 0]).any()
        assert np.isfinite(found[:, 1]).all()


def test_theophylline_is_refitted_through_its_model(shared: Path) -> None:
    folder = shared / "twin" / "reference"
    table = rows(folder / "theophylline-observations.csv")
    data = Observations.from_rows(
        [Observation(row["subject"], float(row["time_h"]), "conc", float(row["conc"])) for row in table]
    )
    dose = {row["subject"]: float(row["dose"]) for row in table}
    inputs = {"dose_mg_per_kg": [dose[key] for key in data.patients]}
    effects = [Effect("lCl", -3.2), Effect("lka", 0.5), Effect("lke", -2.5, random=False)]
    model = load_model("theophylline")
    predict = predictor(model, data, [effect.symbol for effect in effects], inputs=inputs)
    known = builtin("theophylline")
    found = fit_population(predict, data, effects, known.residuals(model), known.priors(model).covariance, nodes=15)
    assert found.status is Status.DONE
    assert found.minus2_log_likelihood == pytest.approx(355.478, abs=1e-2)
