"""What kind of model it is, found from the equations alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pepr_kg.twin.compiler.analysis import form, linear_system, time_events
from pepr_kg.twin.compiler.codegen import compile_model
from pepr_kg.twin.expression import ONE, TIME, ZERO, Expr, add, divide, evaluate, multiply, number, subtract, symbol
from pepr_kg.twin.model import Event, EventAssignment, Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.small_models import build, compartments, logistic, robertson, ventricle

MODELS = Path(__file__).parents[2] / "ontology" / "models"
X, K, D = symbol("x"), symbol("k"), symbol("d")
FORMS = {
    "cha2ds2-vasc": "closed form",
    "ckd-epi-2021": "closed form",
    "disease-course": "closed form",
    "hodgkin-huxley": "ODE",
    "lv-windkessel": "ODE",
    "phases": "closed form",
    "pk2-oral": "linear",
    "score2": "closed form",
    "theophylline": "closed form",
    "warfarin-pkpd": "ODE",
}


@pytest.mark.parametrize(("name", "expected"), FORMS.items())
def test_the_form_of_each_built_in_model(name: str, expected: str) -> None:
    assert form(read_model(MODELS / f"{name}.xml")) == expected


def van_der_pol(mu: float) -> Model:
    x, y = symbol("x"), symbol("y")
    pull = multiply(symbol("mu"), subtract(ONE, multiply(x, x)), y)
    return build(f"van der pol {mu}", {"x": y, "y": subtract(pull, x)}, {"mu": mu, "x": 2.0, "y": 0.0})


@pytest.mark.parametrize(
    ("model", "expected"),
    [(robertson(), "stiff"), (van_der_pol(1000.0), "stiff"), (van_der_pol(1.0), "ODE"), (logistic(), "ODE"),
     (ventricle(), "ODE"), (compartments(), "linear")],
)  # fmt: skip
def test_the_form_of_known_equations(model: Model, expected: str) -> None:
    assert form(model) == expected


def test_a_model_without_default_values_is_not_judged_stiff() -> None:
    values = {"mu": float("nan"), "x": 2.0, "y": 0.0}
    model = van_der_pol(1000.0)
    bare = build("bare", dict(zip(model.states, model.rates, strict=True)), values)
    assert form(bare) == "ODE"


# -- linear
# ----------------------------------------------------------------------------------------------------------------


def test_the_linear_parts_give_the_rates() -> None:
    model = compartments()
    system = linear_system(model)
    assert system is not None
    assert [[entry is None for entry in row] for row in system.matrix] == [
        [False, True, True], [False, False, False], [True, False, False]
    ]  # fmt: skip
    assert system.shift == (None, None, None)
    program = compile_model(model)
    y, v = program.start({}, 4)
    y[:] = np.random.default_rng(0).normal(size=y.shape)
    dy = np.empty_like(y)
    program.rates(np.zeros(4), y, v, [np.empty(4) for _ in range(program.buffers)], dy)
    values = {name: v[slot] for name, slot in program.slots.items()}
    for row, entries in enumerate(system.matrix):
        total = sum(evaluate(entry, values) * y[at] for at, entry in enumerate(entries) if entry is not None)
        assert dy[row] == pytest.approx(total, rel=1e-13)


def test_an_affine_part_is_the_shift() -> None:
    fed = Expr("piecewise", (number(3), Expr("gt", (K, ONE)), ZERO))
    model = build("fed", {"x": subtract(add(fed, D), multiply(K, X))}, {"k": 2.0, "x": 0.0, "d": 1.0}, discretes=["d"])
    system = linear_system(model)
    assert system is not None
    assert evaluate(system.matrix[0][0] or ZERO, {"k": 2.0, "d": 1.0}) == -2.0
    assert evaluate(system.shift[0] or ZERO, {"k": 2.0, "d": 1.0}) == 4.0


NOT_LINEAR: list[Expr] = [
    multiply(X, X),
    Expr("floor", (X,)),  # its derivative is zero, yet it is not constant
    Expr("gt", (X, ONE)),
    Expr("eq", (X, ONE)),
    Expr("piecewise", (multiply(K, X), Expr("gt", (X, ONE)), ZERO)),
    Expr("max", (X, ZERO)),
    multiply(TIME, X),
    TIME,
    divide(ONE, X),
    Expr("delay", (X, ONE)),
    symbol("later"),
]


@pytest.mark.parametrize("rate", NOT_LINEAR)
def test_what_only_looks_linear_is_not(rate: Expr) -> None:
    model = build(f"not linear {rate}", {"x": rate}, {"k": 2.0, "x": 0.5}, {"later": multiply(TIME, K)})
    assert linear_system(model) is None
    assert form(model) == "ODE"


def event(trigger: Expr) -> Event:
    return Event("e", trigger, (EventAssignment("x", add(X, ONE)),))


def test_a_linear_model_whose_event_waits_for_a_state_is_not_linear() -> None:
    def make(trigger: Expr) -> Model:
        return build(f"dosed {trigger}", {"x": multiply(K, X)}, {"k": -1.0, "x": 1.0}, events=[event(trigger)])

    assert form(make(Expr("geq", (TIME, number(3))))) == "linear"
    assert form(make(Expr("lt", (X, number(0.5))))) == "ODE"


# -- events at known times
# ---------------------------------------------------------------------------------------------------

KNOWN: list[tuple[Expr, float, bool, bool]] = [
    # trigger, when, strictly later, whether the other conditions hold
    (Expr("geq", (TIME, number(3))), 3.0, False, True),
    (Expr("gt", (TIME, number(3))), 3.0, True, True),
    (Expr("leq", (multiply(K, D), TIME)), 10.0, False, True),
    (Expr("lt", (symbol("derived"), TIME)), 4.0, True, True),
    (Expr("and", (Expr("geq", (TIME, D)), Expr("lt", (K, ONE)))), 5.0, False, False),
    (Expr("and", (Expr("lt", (K, D)), Expr("and", (Expr("gt", (TIME, D)), Expr("gt", (D, ONE)))))), 5.0, True, True),
]


def timed(trigger: Expr) -> Model:
    values = {"k": 2.0, "d": 5.0, "x": 1.0}
    assignments = {"derived": add(K, K), "moving": multiply(K, TIME)}
    return build(f"timed {trigger}", {"x": X}, values, assignments, discretes=["d"], events=[event(trigger)])


@pytest.mark.parametrize(("trigger", "when", "strict", "holds"), KNOWN)
def test_the_time_of_an_event_is_known_beforehand(trigger: Expr, when: float, strict: bool, holds: bool) -> None:
    model = timed(trigger)
    (found,) = time_events(model)
    y, v = compile_model(model).start({}, 2)
    assert found.event == 0
    assert found.strict is strict
    assert np.broadcast_to(found.when(np.zeros(2), y, v), 2).tolist() == [when, when]
    assert np.broadcast_to(found.holds(np.zeros(2), y, v), 2).tolist() == [holds, holds]


UNKNOWN: list[Expr] = [
    Expr("geq", (TIME, X)),
    Expr("geq", (TIME, symbol("moving"))),
    Expr("and", (Expr("geq", (TIME, D)), Expr("gt", (X, ONE)))),
    Expr("or", (Expr("geq", (TIME, D)), Expr("gt", (K, ONE)))),
    Expr("and", (Expr("geq", (TIME, D)), Expr("lt", (TIME, number(9))))),
    Expr("geq", (multiply(number(2), TIME), D)),
    Expr("lt", (TIME, D)),
    Expr("gt", (D, ONE)),
]


@pytest.mark.parametrize("trigger", UNKNOWN)
def test_other_triggers_have_to_be_watched(trigger: Expr) -> None:
    assert time_events(timed(trigger)) == ()


@pytest.mark.parametrize("make", [robertson, ventricle])
def test_the_form_is_found_once(make: Callable[[], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    first = form(make())
    monkeypatch.setattr("pepr_kg.twin.compiler.analysis._find_form", lambda model: pytest.fail("asked again"))
    assert form(make()) == first
