"""What a model starts from: its initial formulas, and the values that replace them.

>>> from pepr_kg.twin.expression import number, symbol
>>> from pepr_kg.twin.model import Assignment
>>> formulas = (Assignment("x", symbol("k")), Assignment("k", number(2)))
>>> model = Model("m", "", "m", "", 3, 2, None, (), ("k",), ("x",), (), (), (number(0),), formulas, ())
>>> initial_values(model, {}, 0.0)["x"], initial_values(model, {"k": 3.0}, 0.0)["x"]
(2.0, 3.0)
"""

from collections.abc import Mapping

from pepr_kg.twin.expression import Expr, Value, evaluate, symbol, transform
from pepr_kg.twin.model import Model


def initial_values(model: Model, values: Mapping[str, Value], t0: float) -> dict[str, Value]:
    """Return the value at `t0` of every state, constant, discrete, and of what their formulas need, by symbol.

    `values` (floats or (L,) arrays) replace what the model says; one for a species' concentration gives its amount.
    Formulas are computed in whatever order they need each other. Raises `KeyError` for a symbol without a value of its
    own, or for one that a formula needs and nothing gives.
    """
    given: dict[str, Value] = {}
    later: list[tuple[str, str, Value]] = []
    own = {*model.states, *model.algebraic, *model.constants, *model.discretes}
    for name, value in values.items():
        if name in own:
            given[name] = value
            continue
        variable = model.variable(name)
        if not variable.core or variable.core not in own or variable.compartment is None:
            raise KeyError(name)
        later.append((variable.core, variable.compartment, value))
    scaled = {core: (compartment, value) for core, compartment, value in later}
    formulas = {item.symbol: item.formula for item in (*model.assignments, *model.initial)}
    known: dict[str, Value] = dict(given)
    pending = [item.symbol for item in reversed(model.initial)]
    open_: set[str] = set()
    while pending:
        name = pending[-1]
        if name in known:
            pending.pop()
            continue
        formula = symbol(scaled[name][0]) if name in scaled else _now(formulas[name])
        missing = [item for item in formula.symbols if item not in known]
        if missing:
            if open_.issuperset(missing):
                raise KeyError(missing[0])
            open_.add(name)
            pending += missing
            continue
        value = evaluate(formula, known, t0)
        known[name] = value * scaled[name][1] if name in scaled else value
        pending.pop()
    return known


def _now(formula: Expr) -> Expr:
    """Return a formula in which a delayed value is the present one: before the start, things were as they are at the
    start."""
    return (
        transform(formula, lambda node: node.args[0] if node.op == "delay" else None)
        if formula.has("delay")
        else formula
    )
