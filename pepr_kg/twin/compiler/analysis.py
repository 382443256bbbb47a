"""What kind of model it is: found from its equations, never declared.

- "closed form": assignments only;
- "linear": the Jacobian is free of states, time and modes, and events come at times known beforehand;
- "stiff": an explicit method would take many more steps for its stability than its accuracy asks for;
- "ODE": everything else.

>>> from pepr_kg.twin.expression import number, symbol
>>> from pepr_kg.twin.model import Assignment, Event
>>> start = (Assignment("k", number(2)), Assignment("x", number(1)))
>>> rate = negate(multiply(symbol("k"), symbol("x")))
>>> dose = Event("dose", Expr("geq", (Expr("time"), symbol("k"))), ())
>>> model = Model("m", "", "decay-2", "", 3, 2, None, (), ("k",), ("x",), (), (), (rate,), start, (), events=(dose,))
>>> form(model)
'linear'
>>> linear_system(model)
LinearSystem(matrix=((Expr(-k),),), shift=(None,))
>>> [(item.event, str(item.when_formula), item.strict) for item in time_events(model)]
[(0, 'k', False)]
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pepr_kg.twin.compiler.codegen import Program, compile_model
from pepr_kg.twin.expression import (
    ONE,
    ZERO,
    Expr,
    add,
    derivative,
    divide,
    multiply,
    negate,
    power,
    substitute,
    subtract,
    transform,
)
from pepr_kg.twin.model import Model

_KEPT = 256  # models for which an answer is kept
_LINEAR_OPS = ("num", "sym", "plus", "times", "minus", "divide", "negative", "piecewise", "power")
_STEPS = 100  # of the nominal run
_CHANGE = 0.1  # local error of the nominal run, relative; it only has to see where the steps could go
_STABLE = 3.3  # how far the stability of the explicit pair reaches along the negative axis
_MANY, _TIMES = 2000, 20  # an explicit method is left when stability alone costs so many steps, and so many times more


@dataclass(frozen=True, slots=True)
class LinearSystem:
    """y' = A y + b: `matrix` and `shift` hold formulas of constants and discretes, None where the entry is always
    zero."""

    matrix: tuple[tuple[Expr | None, ...], ...]
    shift: tuple[Expr | None, ...]


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event whose trigger is `time >= when` (`strict`: >) and conditions that only constants and discretes decide.

    `when` and `holds` are functions of (t, y, v), in the layout of `codegen`.
    """

    event: int
    when_formula: Expr
    condition: Expr
    strict: bool
    when: Callable[..., Any]
    holds: Callable[..., Any]


@functools.lru_cache(maxsize=_KEPT)
def form(model: Model) -> str:
    """Return "closed form", "linear", "ODE" or "stiff" (see the module).

    Whether a model is stiff is judged along a nominal run with its default values; where they give none, it counts as
    "ODE".
    """
    return _find_form(model)


def _find_form(model: Model) -> str:
    program = compile_model(model)
    if not program.states and not model.events and not program.delays:
        return "closed form"
    if linear_system(model) is not None:
        return "linear"
    return "stiff" if program.states and _is_stiff(program) else "ODE"


# -- linear ------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=_KEPT)
def linear_system(model: Model) -> LinearSystem | None:
    """Return A and b of y' = A y + b; None where the model is not of this form, or an event waits for a state."""
    states = frozenset(model.states)
    if not states or model.constraints or len(time_events(model)) < len(model.events):
        return None
    fixed = {*model.constants, *model.discretes}
    values: dict[str, Expr] = {}
    memo: dict[Expr, Expr] = {}
    needed = _needed(model)
    for item in model.assignments:
        if item.symbol in needed:
            values[item.symbol] = substitute(item.formula, dict(values))
    rows, shift = [], []
    for rate in model.rates:
        formula = substitute(rate, values)
        if not _may_be_linear(formula, states):
            return None
        slopes = [_tidy(derivative(formula, name), memo) for name in model.states]
        rest = _tidy(substitute(formula, dict.fromkeys(model.states, ZERO)), memo)
        for part in (*slopes, rest):
            if part.symbols - fixed or part.has("time", "delay"):
                return None
        rows.append(tuple(None if part == ZERO else part for part in slopes))
        shift.append(None if rest == ZERO else rest)
    return LinearSystem(tuple(rows), tuple(shift))


def _needed(model: Model) -> frozenset[str]:
    found = frozenset[str]().union(*(rate.symbols for rate in model.rates))
    for item in reversed(model.assignments):
        if item.symbol in found:
            found |= item.formula.symbols
    return found


def _may_be_linear(formula: Expr, states: frozenset[str]) -> bool:
    """Return whether states pass through operations only that have no jumps; the derivative then tells the whole
    truth."""
    for node in formula.nodes():
        if node.op in ("time", "delay"):
            return False
        if not node.symbols.isdisjoint(states):
            if node.op not in _LINEAR_OPS:
                return False
            if node.op == "piecewise" and any(not arg.symbols.isdisjoint(states) for arg in node.args[1::2]):
                return False
    return True


def _tidy(expr: Expr, memo: dict[Expr, Expr]) -> Expr:
    """Return the formula without its zeros and ones."""

    def change(node: Expr) -> Expr | None:
        if node.is_number and node.value == 0:  # -0.0 too
            return ZERO
        rule = _RULES.get(node.op)
        if rule is None:
            return None
        found = rule(*node.args)
        return found if found != node else None

    return transform(expr, change, memo)


def _is_positive(expr: Expr) -> bool:
    return expr.is_number and float(expr.value or 0.0) > 0


_RULES: dict[str, Callable[..., Expr]] = {
    "plus": add, "times": multiply, "minus": subtract, "divide": divide,
    "negative": lambda item: ZERO if item == ZERO else negate(item),
    "power": lambda base, exponent: ZERO if base == ZERO and _is_positive(exponent) else power(base, exponent),
}  # fmt: skip


# -- events at known times ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=_KEPT)
def time_events(model: Model) -> tuple[TimedEvent, ...]:
    """Return the events whose time of firing is known beforehand: `time >= g`, alone or and-ed with fixed conditions.

    g and the conditions read constants and discretes (through assignments too), and neither states nor the time.
    """
    fixed = {*model.constants, *model.discretes}
    for item in model.assignments:
        if item.formula.symbols <= fixed and not item.formula.has("time", "delay"):
            fixed.add(item.symbol)
    found = []
    for index, event in enumerate(model.events):
        parts = list(_conjuncts(event.trigger))
        gates = [gate for part in parts if (gate := _gate(part)) is not None]
        others = [part for part in parts if _gate(part) is None]
        if len(gates) != 1 or not all(_is_fixed(part, fixed) for part in (gates[0][0], *others)):
            continue
        when, strict = gates[0]
        condition = others[0] if len(others) == 1 else Expr("and", tuple(others)) if others else ONE
        program = compile_model(model)
        found.append(
            TimedEvent(
                index, when, condition, strict, _single(program.function([when])), _holds(program.function([condition]))
            )
        )
    return tuple(found)


def _conjuncts(trigger: Expr) -> Iterable[Expr]:
    if trigger.op == "and":
        for arg in trigger.args:
            yield from _conjuncts(arg)
    else:
        yield trigger


def _gate(part: Expr) -> tuple[Expr, bool] | None:
    """Return (g, strict) of `time >= g` or `time > g`, whichever way round it is written."""
    if part.op in ("geq", "gt") and part.args[0].op == "time":
        return part.args[1], part.op == "gt"
    if part.op in ("leq", "lt") and part.args[1].op == "time":
        return part.args[0], part.op == "lt"
    return None


def _is_fixed(part: Expr, fixed: set[str]) -> bool:
    return part.symbols <= fixed and not part.has("time", "delay")


def _single(compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda t, y, v: compute(t, y, v)[0]


def _holds(compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda t, y, v: np.not_equal(compute(t, y, v)[0], 0)


# -- stiffness ---------------------------------------------------------------------------------------------------------


def _is_stiff(program: Program) -> bool:
    """Return whether stability would hold an explicit method back: linearly implicit Euler from the default values.

    The steps are those that a local error of `_CHANGE` allows; along them the spectral radius of the Jacobian says how
    many steps an explicit pair would need (Hairer & Wanner 1996, IV.2). The run ends after ten times the slowest time
    constant.
    """
    if program.algebraic:
        return True
    y, v = program.start({}, 1)
    if program.delays or not np.all(np.isfinite(y)):
        return False
    count = len(program.states)
    w = [np.empty(1) for _ in range(program.buffers)]
    jac, drift, rates = np.empty((count, count, 1)), np.empty((count, 1)), np.empty((count, 1))
    eye, t, h = np.eye(count), np.zeros(1), 0.0
    peak = np.abs(y)
    explicit, made = 0.0, 0
    with np.errstate(all="ignore"):
        for _ in range(3 * _STEPS):
            for slot, value in zip(program.mode_slots, program.mode_values(t, y, v), strict=True):
                v[slot][:] = value
            program.rates(t, y, v, w, rates)
            program.jacobian(t, y, v, w, jac, drift)
            if not (np.all(np.isfinite(jac)) and np.all(np.isfinite(rates))):
                break
            values = np.linalg.eigvals(jac[:, :, 0])
            radius = float(np.max(np.abs(values)))
            if radius == 0.0:
                break
            slow = np.abs(values[np.abs(values) > 1e-12 * radius])
            if t[0] * float(np.min(slow)) > 10.0 or made >= _STEPS:
                break
            scale = np.maximum(np.abs(y), np.maximum(1e-3 * peak, 1e-12 * np.max(peak))) + 1e-300
            h = h or min(_CHANGE / radius, _CHANGE / float(np.max(np.abs(rates) / scale) + 1e-300))
            change = np.linalg.solve(eye - h * jac[:, :, 0], h * rates[:, 0] + h * h * drift[:, 0])[:, None]
            after = np.empty_like(rates)
            program.rates(t + h, y + change, v, w, after)
            # The error of the step: the defect of the new rates, damped as the stiff components are.
            defect = np.linalg.solve(
                eye - h * jac[:, :, 0], 0.5 * h * (after - rates)[:, 0] - 0.5 * h * (jac[:, :, 0] @ change[:, 0])
            )
            curve = 0.5 * h * (jac[:, :, 0] @ change[:, 0])
            size = np.abs(np.linalg.solve(eye - h * jac[:, :, 0], curve)) + np.abs(defect)
            error = float(np.max(size / scale[:, 0])) / _CHANGE
            if np.isfinite(error) and error <= 1.0:
                explicit += h * radius / _STABLE
                made += 1
                t, y = t + h, y + change
                peak = np.maximum(peak, np.abs(y))
            elif h < 1e-14 * max(float(t[0]), 1e-300):
                break
            h *= float(np.clip(0.9 / np.sqrt(error + 1e-10), 0.2, 5.0)) if np.isfinite(error) else 0.2
    return explicit > max(_MANY, _TIMES * made)
