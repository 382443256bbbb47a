"""What a model of assignments alone says about observations: compiled formulas, with exact derivatives.

Everything but the individual parameters is known beforehand, so it is computed once. Formulas that differ in such
known parts only (the outcomes of a course, say) become one formula, whose known parts differ from slot to slot: all
observations of all patients are then one call. Derivatives come by reverse accumulation through the formula (Griewank
& Walther, Evaluating Derivatives, 2nd ed. 2008, chapter 3), branch by branch where it is piecewise.

>>> from pepr_kg.twin.expression import add, exp_of, symbol
>>> slope, = gradient(multiply(symbol("c"), exp_of(multiply(number(2), symbol("x")))), ["x"])
>>> str(slope)
'c*exp(2*x)*2'
>>> alike = merge([add(symbol("x"), symbol("a")), add(symbol("x"), number(3))], frozenset({"x"}))
>>> str(alike.formula), [str(item) for item in alike.known["@0"]]
('x + @0', ['a', '3'])
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pepr_kg.twin.compiler.emission import build, order, plain
from pepr_kg.twin.compiler.operations import SLOT, STATE, Graph
from pepr_kg.twin.compiler.starting import initial_values
from pepr_kg.twin.estimation.observations import Indices, Observations
from pepr_kg.twin.expression import (
    ONE,
    ZERO,
    Array,
    Expr,
    Value,
    add,
    derivative,
    evaluate,
    multiply,
    number,
    piecewise,
    substitute,
    symbol,
    transform,
)
from pepr_kg.twin.model import Model

_ROUGH = ("factorial", "delay", "rate")  # their derivative is not a formula
_STEP = 6e-6  # of a central difference: about the cube root of the precision
_BRANCHES = ("piecewise", "max", "min")


@dataclass(frozen=True, slots=True)
class Merged:
    """One formula in place of several: `known` gives, for each new symbol, what stands there in each of them."""

    formula: Expr
    known: Mapping[str, tuple[Expr, ...]]


def merge(formulas: Sequence[Expr], free: frozenset[str]) -> Merged | None:
    """Return the formula that these are but for parts without a `free` symbol; None where they differ elsewhere."""
    names: dict[tuple[Expr, ...], str] = {}
    memo: dict[tuple[Expr, ...], Expr | None] = {}

    def join(items: tuple[Expr, ...]) -> Expr | None:
        if items not in memo:
            memo[items] = join_new(items)
        return memo[items]

    def join_new(items: tuple[Expr, ...]) -> Expr | None:
        first = items[0]
        if not any(item.symbols & free for item in items):
            if first.is_number and all(item == first for item in items):
                return first
            return symbol(names.setdefault(items, f"@{len(names)}"))
        if all(item == first for item in items) and not first.args:
            return first
        if any((item.op, len(item.args)) != (first.op, len(first.args)) for item in items) or not first.args:
            return None
        parts = [join(tuple(item.args[at] for item in items)) for at in range(len(first.args))]
        kept = tuple(part for part in parts if part is not None)
        return Expr(first.op, kept) if len(kept) == len(parts) else None

    formula = join(tuple(formulas))
    return None if formula is None else Merged(formula, {name: items for items, name in names.items()})


def gradient(formula: Expr, symbols: Sequence[str]) -> tuple[Expr, ...]:
    """Return the derivatives in these symbols; conditions count as constant.

    A branch that does not hold may be infinite or undefined: its derivative is left out, not multiplied by zero.
    """
    free = frozenset(symbols)
    found = dict.fromkeys(symbols, ZERO)
    weight = {formula: ONE}
    for node in reversed(list(_smooth(formula))):
        outer = weight.get(node, ZERO)
        if outer == ZERO or not node.symbols & free:
            continue
        if node.op == "sym":
            found[str(node.value)] = add(found[str(node.value)], outer)
        elif node.op in _BRANCHES:
            for name, slope in zip(symbols, _branch_slopes(node, symbols), strict=True):
                found[name] = add(found[name], multiply(outer, slope))
        else:
            for arg, local in zip(node.args, _locals(node), strict=True):
                if arg.symbols & free:
                    weight[arg] = add(weight.get(arg, ZERO), multiply(outer, local))
    return tuple(found[name] for name in symbols)


def _smooth(formula: Expr) -> Sequence[Expr]:
    """Return the nodes, arguments first, without what stands inside branches."""
    found: dict[Expr, None] = {}
    stack = [(formula, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.setdefault(node)
        elif node not in found:
            stack.append((node, True))
            if node.op not in _BRANCHES:
                stack.extend((arg, False) for arg in reversed(node.args))
    return list(found)


def _branch_slopes(node: Expr, symbols: Sequence[str]) -> list[Expr]:
    args = node.args
    if node.op in ("max", "min"):
        while len(args) > 2:
            args = (args[0], Expr(node.op, args[1:]))
        args = (args[0], Expr("geq" if node.op == "max" else "leq", args), args[-1]) if len(args) == 2 else args
    values = [gradient(arg, symbols) if at % 2 == 0 else () for at, arg in enumerate(args)]
    if len(args) == 1:
        return list(values[0])
    return [
        piecewise(*(arg if at % 2 else values[at][row] for at, arg in enumerate(args))) for row in range(len(symbols))
    ]


def _locals(node: Expr) -> list[Expr]:
    """Return the derivative of an operation in each of its arguments."""
    places = {f"#{at}": arg for at, arg in enumerate(node.args)}
    bare = Expr(node.op, tuple(symbol(name) for name in places))
    return [substitute(derivative(bare, name), places) for name in places]


def inline(
    model: Model, wanted: Sequence[str], free: frozenset[str], given: frozenset[str], start: float
) -> list[Expr]:
    """Return the formulas of symbols in the `free` ones, the time, and symbols that have values of their own.

    What a formula of the start computes from a free symbol is inlined too, at the time `start`; a `given` symbol is
    never computed.
    """
    rules = {item.symbol: item.formula for item in model.assignments}
    first = {item.symbol: item.formula for item in model.initial if not item.formula.is_number}
    known: dict[tuple[str, bool], Expr] = {}
    alone = free | given

    def formula_of(name: str) -> Expr | None:
        return None if name in alone else rules.get(name, first.get(name))

    def resolve(name: str, begins: bool) -> Expr:
        stack = [(name, begins)]
        while stack:
            key = stack[-1]
            formula = formula_of(key[0])
            if key in known or formula is None:
                known.setdefault(key, symbol(key[0]))
                stack.pop()
                continue
            early = key[1] or key[0] not in rules
            waiting = [(item, early) for item in formula.symbols if (item, early) not in known]
            if waiting:
                stack += waiting
                continue
            found = substitute(formula, {item: known[item, early] for item in formula.symbols})
            if early:
                found = transform(found, lambda node: number(start) if node.op == "time" else None)
            # what no free symbol moves has a value of its own, unless it moves with the time
            known[key] = found if found.symbols & free or key[0] in rules else symbol(key[0])
            stack.pop()
        return known[name, begins]

    return [resolve(name, False) for name in wanted]


@dataclass(frozen=True, slots=True)
class _Group:
    """Variables with one formula: its known parts (see `_Known`), and the compiled code.

    prepare(k) gives what depends on known parts alone, values(y, c) the predictions, slopes(y, c) these and their
    derivatives.
    """

    variables: tuple[int, ...]
    known: tuple["_Known", ...]
    prepare: Callable[[list[Any]], list[Any]]
    values: Callable[[Array, list[Any]], tuple[Any, ...]]
    slopes: Callable[[Array, list[Any]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    """Numbers that are known beforehand: one, or by variable (v,), by patient (n,), or by patient and slot (n, m)."""

    kind: str
    numbers: Array

    def of(self, slots: int, patient: Indices, variable: Indices) -> Any:
        """Return them for the first `slots` of these patients, whose variables are `variable` (slots, lanes)."""
        if self.kind == "one":
            return float(self.numbers)
        if self.kind == "variable":
            return self.numbers.take(variable)
        return self.numbers[patient] if self.kind == "patient" else _gather(self.numbers, patient, slots)


def _gather(table: Any, patient: Indices, slots: int) -> Any:
    """Return (slots, lanes) from a table (patients, slots), where what is read for one patient lies together."""
    return np.ascontiguousarray(table[:, :slots].take(patient, axis=0).T)


class ClosedForm:
    """A `posterior.Predict` for parameters `symbols` of a model of assignments; `jacobian` is a `posterior.Jacobian`.

    `wanted` are the model's symbols of `data.variables`; `values` what is known besides, by symbol, a float or one
    number for each patient.
    """

    def __init__(
        self, model: Model, data: Observations, wanted: Sequence[str], symbols: Sequence[str],
        values: Mapping[str, Value], start: float = 0.0,
    ) -> None:  # fmt: skip
        free = frozenset(symbols)
        formulas = inline(model, wanted, free, frozenset(values), start)
        self.symbols = tuple(symbols)
        self._shape = data.value.shape
        self._variable = np.ascontiguousarray(data.variable.T)
        self._time = np.ascontiguousarray(data.time.T)
        self._slots = data.present.sum(axis=0)
        self._smooth = not any(formula.has(*_ROUGH) for formula in formulas)
        known = initial_values(model, {**dict.fromkeys(symbols, np.nan), **values}, start)
        self._groups: list[_Group] = []
        for members, merged in _groups(tuple(formulas), free):
            self._groups.append(self._compile(merged, members, len(formulas), known))
        self._last: tuple[Indices, int, list[list[Any]]] | None = None

    def __call__(self, theta: Array, patient: Indices, /) -> Array:
        """Return the predictions (slots, lanes) for parameters (p, lanes)."""
        found: Array = self._run(theta, patient, 1)[0]
        return found

    @property
    def jacobian(self) -> "Callable[[Array, Indices], tuple[Array, Array]] | None":
        """Return the function that gives predictions and derivatives; None where a formula has none."""
        return self._derive if self._smooth else None

    def _derive(self, theta: Array, patient: Indices, /) -> tuple[Array, Array]:
        found = self._run(theta, patient, 1 + len(self.symbols))
        if not np.isfinite(found.sum()):
            self._mend(found, theta, patient)
        return found[0], found[1:]

    def _mend(self, found: Array, theta: Array, patient: Indices) -> None:
        """Put differences in the place of derivatives that are not finite where the prediction is, as at 0^k."""
        lanes = np.flatnonzero((np.isfinite(found[0]) & ~np.isfinite(found[1:]).all(axis=0)).any(axis=0))
        for row in range(len(theta) if lanes.size else 0):
            step = np.zeros((len(theta), lanes.size))
            step[row] = _STEP * np.maximum(1.0, np.abs(theta[row, lanes]))
            up, down = (self._run(theta[:, lanes] + side * step, patient[lanes], 1)[0] for side in (1.0, -1.0))
            slope = found[1 + row][:, lanes]
            found[1 + row][:, lanes] = np.where(np.isfinite(slope), slope, (up - down) / (2.0 * step[row]))

    def _run(self, theta: Array, patient: Indices, rows: int) -> Array:
        slots, prepared = self._prepare(patient)
        whole = np.zeros((rows, self._shape[0], theta.shape[1]))
        found = whole[:, :slots]
        with np.errstate(all="ignore"):
            for number_, (group, known) in enumerate(zip(self._groups, prepared, strict=True)):
                run = group.values if rows == 1 else group.slopes
                own = np.isin(_gather(self._variable, patient, slots), group.variables) if number_ else True
                for goal, value in zip(found, run(theta, known), strict=True):
                    np.copyto(goal, value, where=own)
        return whole

    def _prepare(self, patient: Indices) -> tuple[int, list[list[Any]]]:
        """Return how many slots these patients need, and what is known in them; kept from one call to the next."""
        last = self._last
        if last is not None and np.array_equal(last[0], patient):
            return last[1], last[2]
        slots = int(self._slots[patient].max(initial=0))
        variable = _gather(self._variable, patient, slots)
        with np.errstate(all="ignore"):
            found = [
                group.prepare([item.of(slots, patient, variable) for item in group.known]) for group in self._groups
            ]
        self._last = (patient.copy(), slots, found)
        return slots, found

    def _compile(self, merged: Merged, members: tuple[int, ...], count: int, values: Mapping[str, Value]) -> _Group:
        places: dict[str, int] = {}
        known: list[_Known] = []
        replaced: dict[str, Expr] = {}
        for name, items in merged.known.items():
            part = self._known(items, members, count, values)
            if part.kind == "one":
                replaced[name] = number(float(part.numbers))
            else:
                places[name] = len(known)
                known.append(part)
        formula = substitute(merged.formula, replaced)
        return _Group(members, tuple(known), *_code(formula, self.symbols, tuple(places), self._smooth))

    def _known(
        self, items: tuple[Expr, ...], members: tuple[int, ...], count: int, values: Mapping[str, Value]
    ) -> _Known:
        """Return the numbers of a known part, which `items` give for the variables `members`."""
        moving = any(item.has("time") for item in items)
        if moving:
            values = {
                name: item[:, np.newaxis] if isinstance(item, np.ndarray) else item for name, item in values.items()
            }
        found = [np.asarray(evaluate(item, values, self._time if moving else np.nan)) for item in items]
        wide = max(item.ndim for item in found)
        if wide == 2 or (wide and len(set(items)) > 1):
            table = np.zeros(self._time.shape)
            for at, item in zip(members, found, strict=True):
                np.copyto(table, item[:, np.newaxis] if item.ndim == 1 else item, where=self._variable == at)
            return _Known("slot", table)
        if wide:
            return _Known("patient", found[0])
        if all(np.array_equal(item, found[0], equal_nan=True) for item in found):
            return _Known("one", found[0])
        by_variable = np.zeros(count)
        by_variable[list(members)] = found
        return _Known("variable", by_variable)


@functools.lru_cache(maxsize=64)
def _groups(formulas: tuple[Expr, ...], free: frozenset[str]) -> tuple[tuple[tuple[int, ...], Merged], ...]:
    """Return which formulas become one, and this one."""
    found: list[tuple[tuple[int, ...], Merged]] = []
    for at, formula in enumerate(formulas):
        for place, (members, _) in enumerate(found):
            merged = merge([*(formulas[item] for item in members), formula], free)
            if merged is not None:
                found[place] = ((*members, at), merged)
                break
        else:
            alone = merge([formula], free)
            assert alone is not None  # a formula agrees with itself
            found.append(((at,), alone))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _code(
    formula: Expr, symbols: tuple[str, ...], known: tuple[str, ...], smooth: bool
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Return the functions of `_Group` for a formula in `symbols` and `known` parts."""
    graph = Graph()
    names = {name: graph.leaf(f"k[{at}]", SLOT) for at, name in enumerate(known)}
    names |= {name: graph.leaf(f"y{at}", STATE) for at, name in enumerate(symbols)}
    time = graph.number(np.nan)  # the time is one of the known parts
    slopes = gradient(formula, symbols) if smooth else ()
    roots = [graph.real(graph.lower(item, names, time)) for item in (formula, *slopes)]
    fixed = _fixed(graph, roots)
    lines, codes = plain(graph, fixed, {})
    prepare = build("prepare(k)", [*lines, f"return [{', '.join(codes)}]"])
    ready = {at: f"c[{place}]" for place, at in enumerate(fixed)}

    def made(wanted: Sequence[int]) -> Callable[..., Any]:
        lines, codes = plain(graph, wanted, ready)
        return build("found(y, c)", [*lines, f"return ({', '.join(codes)},)"])

    return prepare, made(roots[:1]), made(roots)


def _fixed(graph: Graph, roots: Sequence[int]) -> list[int]:
    """Return the operations and leaves of known parts that the rest reads."""
    found: dict[int, None] = {}
    for at in order(graph, roots):
        if graph.rank(at):
            found.update(dict.fromkeys(graph.args[at]))
    found.update(dict.fromkeys(roots))
    return [at for at in found if graph.rank(at) == 0 and graph.ops[at] != "num"]
