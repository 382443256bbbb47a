"""Small models written by hand, in core form, for tests of what works on a `Model`."""

from collections.abc import Mapping, Sequence

from pepr_kg.twin.expression import (
    ONE,
    TIME,
    ZERO,
    Expr,
    add,
    divide,
    multiply,
    negate,
    number,
    power,
    subtract,
    symbol,
)
from pepr_kg.twin.model import Assignment, Event, Model, Variable


def build(
    name: str,
    rates: Mapping[str, Expr],
    values: Mapping[str, float | Expr],
    assignments: Mapping[str, Expr] | None = None,
    *,
    discretes: Sequence[str] = (),
    algebraic: Sequence[str] = (),
    constraints: Sequence[Expr] = (),
    events: Sequence[Event] = (),
    variables: Sequence[Variable] = (),
) -> Model:
    """Return a model; `values` gives constants, discretes and the starts of states, as numbers or formulas."""
    initial = tuple(Assignment(key, item if isinstance(item, Expr) else number(item)) for key, item in values.items())
    own = {*rates, *discretes, *algebraic}
    return Model(
        name=name,
        title="",
        digest=name,
        source="",
        level=3,
        version=2,
        time_unit=None,
        variables=tuple(variables),
        constants=tuple(key for key in values if key not in own),
        states=tuple(rates),
        discretes=tuple(discretes),
        algebraic=tuple(algebraic),
        rates=tuple(rates.values()),
        initial=initial,
        assignments=tuple(Assignment(key, item) for key, item in (assignments or {}).items()),
        constraints=tuple(constraints),
        events=tuple(events),
    )


def robertson() -> Model:
    """Return Robertson's stiff kinetics (Hairer & Wanner 1996, IV.1)."""
    r1 = multiply(symbol("k1"), symbol("a"))
    r2 = multiply(symbol("k2"), symbol("b"), symbol("b"))
    r3 = multiply(symbol("k3"), symbol("b"), symbol("c"))
    rates = {
        "a": add(negate(symbol("r1")), symbol("r3")),
        "b": subtract(subtract(symbol("r1"), symbol("r3")), symbol("r2")),
        "c": symbol("r2"),
    }
    values = {"k1": 0.04, "k2": 3e7, "k3": 1e4, "a": 1.0, "b": 0.0, "c": 0.0}
    return build("robertson", rates, values, {"r1": r1, "r2": r2, "r3": r3})


def compartments() -> Model:
    """Return two compartments with absorption; amounts, rates per hour."""
    a0, a1, a2 = (symbol(name) for name in ("A0", "A1", "A2"))
    out = multiply(divide(add(symbol("CL"), symbol("Q")), symbol("V1")), a1)
    back = multiply(divide(symbol("Q"), symbol("V2")), a2)
    rates = {
        "A0": negate(symbol("absorbed")),
        "A1": add(subtract(symbol("absorbed"), out), back),
        "A2": subtract(multiply(divide(symbol("Q"), symbol("V1")), a1), back),
    }
    values = {"ka": 1.0, "CL": 5.0, "Q": 3.0, "V1": 20.0, "V2": 50.0, "A0": 100.0, "A1": 0.0, "A2": 0.0}
    return build("compartments", rates, values, {"absorbed": multiply(symbol("ka"), a0)})


def logistic() -> Model:
    """Return y' = r y (1 - y)."""
    y = symbol("y")
    return build("logistic", {"y": multiply(symbol("r"), y, subtract(ONE, y))}, {"r": 0.3, "y": 0.01})


def ventricle() -> Model:
    """Return the elastance ventricle with a Windkessel: two powers of the time, valves, a floor (Stergiopulos 1996)."""
    beat = divide(number(60), symbol("HR"))
    cycles = divide(TIME, symbol("T"))
    assignments = {
        "T": beat,
        "phase": subtract(cycles, Expr("floor", (cycles,))),
        "x1": power(divide(symbol("phase"), number(0.303)), number(1.32)),
        "x2": power(divide(symbol("phase"), number(0.508)), number(21.9)),
        "E": add(
            symbol("Emin"),
            multiply(
                subtract(symbol("Emax"), symbol("Emin")),
                number(1.55),
                divide(symbol("x1"), add(ONE, symbol("x1"))),
                divide(ONE, add(ONE, symbol("x2"))),
            ),
        ),
        "Plv": multiply(symbol("E"), subtract(symbol("Vlv"), symbol("V0"))),
        "Pa": divide(symbol("Va"), symbol("C")),
        "Pv": divide(symbol("Vv"), symbol("Cv")),
        "Qav": divide(Expr("max", (subtract(symbol("Plv"), symbol("Pa")), ZERO)), add(symbol("Zc"), symbol("Rav"))),
        "Qmv": divide(Expr("max", (subtract(symbol("Pv"), symbol("Plv")), ZERO)), symbol("Rmv")),
        "Qp": divide(subtract(symbol("Pa"), symbol("Pv")), symbol("Rp")),
    }
    rates = {
        "Vlv": subtract(symbol("Qmv"), symbol("Qav")),
        "Va": subtract(symbol("Qav"), symbol("Qp")),
        "Vv": subtract(symbol("Qp"), symbol("Qmv")),
    }
    values: dict[str, float | Expr] = {
        "Emax": 2.0,
        "Emin": 0.06,
        "V0": 10.0,
        "HR": 72.0,
        "Rp": 1.0,
        "Zc": 0.05,
        "Rav": 0.01,
        "Rmv": 0.01,
        "C": 1.5,
        "Cv": 60.0,
        "Vlv": 120.0,
        "Va": multiply(number(80), symbol("C")),
        "Vv": 600.0,
    }
    return build("ventricle", rates, values, assignments)
