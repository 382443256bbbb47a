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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pepr_kg.twin.emission import build, order, plain
from pepr_kg.twin.expression import (
    ONE,
    ZERO,
    Array,
    Expr,
    Value,
    add,
    call,
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
from pepr_kg.twin.observations import Indices, Observations
from pepr_kg.twin.operations import SLOT, STATE, Graph
from pepr_kg.twin.starting import initial_values

_ROUGH = ("factorial", "delay", "rate")  # their derivative is not a formula
_BRANCHES = ("piecewise", "max", "min")


@dataclass(frozen=True, slots=True)
class Merged:
    """One formula in place of several: `known` gives, for each new symbol, what stands there in each of them."""

    formula: Expr
    known: Mapping[str, tuple[Expr, ...]]


def merge(formulas: Sequence[Expr], free: frozenset[str]) -> Merged | None:
    """Return the formula that these are but for parts without a `free` symbol; None where they differ elsewhere."""
    names: dict[tuple[Expr, ...], str] = {}

    def join(items: tuple[Expr, ...]) -> Expr | None:
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


def inline(model: Model, wanted: Sequence[str], free: frozenset[str], given: frozenset[str], start: float) -> list[Expr]:
    """Return the formulas of symbols in the `free` ones, the time, and symbols that have values of their own.

    What a formula of the start computes from a free symbol is inlined too, at the time `start`; a `given` symbol is
    never computed.
    """
    rules = {item.symbol: item.formula for item in model.assignments}
    first = {item.symbol: item.formula for item in model.initial if not item.formula.is_number}
    known: dict[tuple[str, bool], Expr] = {}
    alone = free | given

    def formula_of(name: str, begins: bool) -> Expr | None:
        if name in alone:
            return None
        return rules.get(name) or (first.get(name) if name not in rules else None)

    def resolve(name: str, begins: bool) -> Expr:
        stack = [(name, begins)]
        while stack:
            key = stack[-1]
            formula = formula_of(*key)
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
    """Numbers that are known beforehand: one, or by variable (v,), by patient (n,), or by slot and patient (m, n)."""

    kind: str
    numbers: Array

    def of(self, slots: int, patient: Indices, variable: Indices) -> Any:
        """Return them for the first `slots` of these patients, whose variables are `variable` (slots, lanes)."""
        if self.kind == "one":
            return float(self.numbers)
        if self.kind == "variable":
            return self.numbers[variable]
        return self.numbers[patient] if self.kind == "patient" else self.numbers[:slots].take(patient, axis=1)


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
        self._data = data
        self._slots = data.present.sum(axis=0)
        self._smooth = not any(formula.has(*_ROUGH) for formula in formulas)
        known = initial_values(model, {**dict.fromkeys(symbols, np.nan), **values}, start)
        self._groups: list[_Group] = []
        left = list(range(len(formulas)))
        while left:
            members = [left[0]]
            for at in left[1:]:
                if merge([formulas[item] for item in (*members, at)], free) is not None:
                    members.append(at)
            left = [at for at in left if at not in members]
            merged = merge([formulas[at] for at in members], free)
            assert merged is not None  # each formula agrees with itself
            self._groups.append(self._compile(merged, tuple(members), len(formulas), known))
        self._last: tuple[Indices, int, list[list[Any]]] | None = None

    def __call__(self, theta: Array, patient: Indices, /) -> Array:
        """Return the predictions (slots, lanes) for parameters (p, lanes)."""
        return self._run(theta, patient, 1)[0]

    @property
    def jacobian(self) -> "Callable[[Array, Indices], tuple[Array, Array]] | None":
        """Return the function that gives predictions and derivatives; None where a formula has none."""
        return self._derive if self._smooth else None

    def _derive(self, theta: Array, patient: Indices, /) -> tuple[Array, Array]:
        found = self._run(theta, patient, 1 + len(self.symbols))
        return found[0], found[1:]

    def _run(self, theta: Array, patient: Indices, rows: int) -> Array:
        slots, prepared = self._prepare(patient)
        whole = np.zeros((rows, len(self._data.value), theta.shape[1]))
        found = whole[:, :slots]
        with np.errstate(all="ignore"):
            for number_, (group, known) in enumerate(zip(self._groups, prepared, strict=True)):
                run = group.values if rows == 1 else group.slopes
                own = np.isin(self._data.variable[:slots].take(patient, axis=1), group.variables) if number_ else True
                for goal, value in zip(found, run(theta, known), strict=True):
                    np.copyto(goal, value, where=own)
        return whole

    def _prepare(self, patient: Indices) -> tuple[int, list[list[Any]]]:
        """Return how many slots these patients need, and what is known in them; kept from one call to the next."""
        last = self._last
        if last is not None and np.array_equal(last[0], patient):
            return last[1], last[2]
        slots = int(self._slots[patient].max(initial=0))
        variable = self._data.variable[:slots].take(patient, axis=1)
        with np.errstate(all="ignore"):
            found = [
                group.prepare([item.of(slots, patient, variable) for item in group.known]) for group in self._groups
            ]
        self._last = (patient.copy(), slots, found)
        return slots, found

    def _compile(self, merged: Merged, members: tuple[int, ...], count: int, values: Mapping[str, Value]) -> _Group:
        places, known = {}, []
        replaced: dict[str, Expr] = {}
        for name, items in merged.known.items():
            part = self._known(items, members, count, values)
            if part.kind == "one":
                replaced[name] = number(float(part.numbers))
            else:
                places[name] = len(known)
                known.append(part)
        formula = substitute(merged.formula, replaced)
        graph = Graph()
        names = {name: graph.leaf(f"k[{at}]", SLOT) for name, at in places.items()}
        names |= {name: graph.leaf(f"y{at}", STATE) for at, name in enumerate(self.symbols)}
        time = graph.number(np.nan)  # the time is one of the known parts
        slopes = gradient(formula, self.symbols) if self._smooth else ()
        roots = [graph.real(graph.lower(item, names, time)) for item in (formula, *slopes)]
        fixed = _fixed(graph, roots)
        lines, codes = plain(graph, fixed, {})
        prepare = build("prepare(k)", [*lines, f"return [{', '.join(codes)}]"])
        ready = {at: f"c[{place}]" for place, at in enumerate(fixed)}

        def made(wanted: Sequence[int]) -> Callable[..., Any]:
            lines, codes = plain(graph, wanted, ready)
            return build("found(y, c)", [*lines, f"return ({', '.join(codes)},)"])

        return _Group(members, tuple(known), prepare, made(roots[:1]), made(roots))

    def _known(
        self, items: tuple[Expr, ...], members: tuple[int, ...], count: int, values: Mapping[str, Value]
    ) -> _Known:
        """Return the numbers of a known part, which `items` give for the variables `members`."""
        time = self._data.time if any(item.has("time") for item in items) else np.nan
        found = [evaluate(item, values, time) for item in items]
        if any(np.ndim(item) == 2 for item in found) or (any(np.ndim(item) for item in found) and len(set(items)) > 1):
            table = np.zeros(self._data.time.shape)
            for at, item in zip(members, found, strict=True):
                np.copyto(table, item, where=self._data.variable == at)
            return _Known("slot", table)
        if np.ndim(found[0]):
            return _Known("patient", np.asarray(found[0]))
        if all(item == found[0] or (item != item and found[0] != found[0]) for item in found):
            return _Known("one", np.asarray(found[0]))
        table = np.zeros(count)
        table[list(members)] = found
        return _Known("variable", table)


def _fixed(graph: Graph, roots: Sequence[int]) -> list[int]:
    """Return the operations and leaves of known parts that the rest reads."""
    found: dict[int, None] = {}
    for at in [at for root in roots for at in ([root] if graph.is_leaf(root) else [*graph.args[root], root])]:
        if graph.rank(at) == 0 and graph.ops[at] != "num":
            found[at] = None
    for at in order(graph, roots):
        if graph.rank(at):
            found.update({arg: None for arg in graph.args[at] if graph.rank(arg) == 0 and graph.ops[arg] != "num"})
    return list(found)


__all__ = ["ClosedForm", "Merged", "call", "gradient", "inline", "merge"]
