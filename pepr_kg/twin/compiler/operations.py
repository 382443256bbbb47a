"""Formulas as numbered elementwise operations, each different one once (value numbering), ready to be written as code.

An operation is known by its number in a `Graph`. What it reads is a set of bits: `SLOT` (constants and discretes),
`MODE` (frozen in a step), `TIME`, `STATE`. From them follows when it must be computed: once per run, once per time,
once per evaluation. Sums and products are regrouped so that what changes rarely is combined first; that moves results
by units in the last place.

>>> graph = Graph()
>>> k, x = graph.leaf("v[0]", SLOT), graph.leaf("y0", STATE)
>>> first = graph.product([x, k, graph.number(2.0)])
>>> graph.product([graph.product([graph.number(2.0), k]), x]) == first
True
>>> graph.reads[first] == SLOT | STATE
True
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pepr_kg.twin.expression import FUNCTIONS, Expr

SLOT, MODE, TIME, STATE = 1, 2, 4, 8

_RELATIONS = {
    "lt": "less",
    "leq": "less_equal",
    "gt": "greater",
    "geq": "greater_equal",
    "eq": "equal",
    "neq": "not_equal",
}
_LOGIC = {"and": "logical_and", "or": "logical_or", "xor": "logical_xor"}
_IN_ORDER = {"plus": "add", "times": "multiply", "minus": "subtract", "divide": "divide", "power": "power"}
_COMMUTE = {"add", "multiply", "maximum", "minimum", "equal", "not_equal", *_LOGIC.values()}
_BOOLEAN = {*_RELATIONS.values(), *_LOGIC.values(), "logical_not", "truth"}
_UNARY = {**FUNCTIONS, "abs": "absolute"}


def factorial(value: Any) -> Any:
    """Return n! = gamma(n + 1), elementwise; NaN below zero and for NaN, infinity above 170.

    >>> factorial(np.array([0.0, 4.0, 200.0])).tolist()
    [1.0, 24.0, inf]
    """

    def one(item: float) -> float:
        if not item >= 0:
            return math.nan
        return math.gamma(item + 1) if item < 170.7 else math.inf

    return np.vectorize(one, otypes=[float])(value)


def _compute(op: str, values: Sequence[float | bool]) -> float | bool:
    if op == "float":
        return float(values[0])
    if op == "truth":
        return bool(values[0] != 0)
    if op == "factorial":
        return float(factorial(values[0]))
    if op == "where":
        return values[1] if values[0] else values[2]
    with np.errstate(all="ignore"):
        found = getattr(np, op)(*values)
    return bool(found) if op in _BOOLEAN else float(found)


class Graph:
    """Operations by number: `ops`, `args`, `values` (of numbers and leaves), `reads` (bits), `boolean` (kind of
    result).

    With `literal` nothing is regrouped: where a value decides which side of a jump holds, its last bit matters.
    """

    def __init__(self, *, literal: bool = False) -> None:
        self.literal = literal
        self.ops: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.values: list[Any] = []
        self.reads: list[int] = []
        self.boolean: list[bool] = []
        self._known: dict[tuple[str, tuple[int, ...], str], int] = {}

    def _add(self, op: str, args: tuple[int, ...], value: Any, reads: int, boolean: bool) -> int:
        key = (op, args, repr(value))  # the text tells 0.0, -0.0, False and NaN apart
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self.ops)
            self.ops.append(op)
            self.args.append(args)
            self.values.append(value)
            self.reads.append(reads)
            self.boolean.append(boolean)
        return found

    # -- leaves --------------------------------------------------------------------------------------------------

    def number(self, value: float | bool) -> int:
        """Return a number or a truth value."""
        return self._add("num", (), value, 0, isinstance(value, bool))

    def leaf(self, code: str, reads: int, boolean: bool = False) -> int:
        """Return something that the code reads under this name."""
        return self._add("leaf", (), code, reads, boolean)

    def is_leaf(self, at: int) -> bool:
        """Return whether nothing has to be computed for it."""
        return self.ops[at] in ("num", "leaf")

    def rank(self, at: int) -> int:
        """Return how often it changes: 0 with slots, 1 with modes and the time, 2 with states."""
        reads = self.reads[at]
        return 2 if reads & STATE else 1 if reads & (TIME | MODE) else 0

    # -- operations ----------------------------------------------------------------------------------------------

    def make(self, op: str, *args: int) -> int:
        """Return an operation; computed at once where all arguments are numbers."""
        if all(self.ops[at] == "num" for at in args):
            return self.number(_compute(op, [self.values[at] for at in args]))
        if op in _COMMUTE:
            args = tuple(sorted(args))
        reads = 0
        for at in args:
            reads |= self.reads[at]
        return self._add(op, args, None, reads, op in _BOOLEAN)

    def real(self, at: int) -> int:
        """Return it as a number: truth is 1."""
        return self.make("float", at) if self.boolean[at] else at

    def truth(self, at: int) -> int:
        """Return it as a truth value: every number but 0 is true."""
        return at if self.boolean[at] else self.make("truth", at)

    def negative(self, at: int) -> int:
        """Return the opposite."""
        if self.ops[at] == "negative":
            return self.args[at][0]
        if self.ops[at] == "subtract":
            return self.make("subtract", *reversed(self.args[at]))
        return self.make("negative", at)

    def total(self, terms: Sequence[int]) -> int:
        """Return a sum: what changes rarely is added first, opposites are subtracted, zeros fall away."""
        groups: list[tuple[list[int], list[int]]] = [([], []), ([], []), ([], [])]
        for term in terms:
            at, minus = (self.args[term][0], True) if self.ops[term] == "negative" else (term, False)
            if self.ops[at] == "num" and self.values[at] == 0:
                continue
            groups[self.rank(at)][minus].append(at)
        plus: list[int] = []
        less: list[int] = []
        for adds, takes in groups:
            if adds and takes:
                plus.append(self._difference(adds, takes))
            elif adds:
                plus.append(self._chain("add", adds))
            elif takes:
                less.append(self._chain("add", takes))
        if not plus and not less:
            return self.number(0.0)
        if not less:
            return self._chain("add", plus)
        if not plus:
            return self.negative(self._chain("add", less))
        return self._difference(plus, less)

    def _chain(self, op: str, items: Sequence[int]) -> int:
        found = items[0]
        for at in items[1:]:
            found = self.make(op, found, at)
        return found

    def _difference(self, plus: Sequence[int], less: Sequence[int]) -> int:
        found = self._chain("add", plus)
        for at in less:
            found = self.make("subtract", found, at)
        return found

    def product(self, factors: Sequence[int]) -> int:
        """Return a product: what changes rarely is multiplied first, ones fall away, a zero makes zero."""
        groups: list[list[int]] = [[], [], []]
        scale, minus = 1.0, False
        pending = list(reversed(factors))
        while pending:
            at = pending.pop()
            op, args = self.ops[at], self.args[at]
            if op == "num":
                scale *= self.values[at]
            elif op == "negative":
                minus = not minus
                pending.append(args[0])
            elif op == "multiply" and self.rank(args[0]) != self.rank(args[1]):
                pending += reversed(args)
            else:
                groups[self.rank(at)].append(at)
        if scale == 0.0:
            return self.number(0.0)
        if scale < 0:
            scale, minus = -scale, not minus
        if scale != 1.0:
            groups[0].insert(0, self.number(scale))
        parts = [self._chain("multiply", group) for group in groups if group]
        if not parts:
            return self.number(-1.0 if minus else 1.0)
        found = self._chain("multiply", parts)
        return self.negative(found) if minus else found  # outside, so that a sum subtracts what others may share

    def quotient(self, upper: int, lower: int) -> int:
        """Return a division; by what changes rarely it becomes a product with the reciprocal (one rounding more)."""
        one = self.number(1.0)
        if lower == one:
            return upper
        if self.ops[upper] == "negative":
            return self.negative(self.quotient(self.args[upper][0], lower))
        if self.rank(lower) == 0 and self.rank(upper) > 0:
            return self.product([upper, self.make("divide", one, lower)])
        return self.make("divide", upper, lower)

    def power(self, base: int, exponent: int) -> int:
        """Return a power; small whole and half exponents as products and roots."""
        if self.ops[exponent] == "num":
            value = float(self.values[exponent])
            if abs(value) in (2.0, 3.0, 4.0, 0.5, 1.0):
                size = abs(value)
                if size == 0.5:
                    found = self.make("sqrt", base)
                elif size == 1.0:
                    found = base
                else:
                    square = self.make("multiply", base, base)
                    found = square if size == 2 else self.make("multiply", square, base if size == 3 else square)
                return found if value > 0 else self.quotient(self.number(1.0), found)
            if value == 0.0:
                return self.number(1.0)
        return self.make("power", base, exponent)

    def choose(self, condition: int, yes: int, no: int) -> int:
        """Return `yes` where the condition holds, else `no`; a product with the mode where that gives the same."""
        if yes == no:
            return yes
        if self.ops[condition] == "num":
            return yes if self.values[condition] else no
        if self.ops[condition] == "leaf" and self.reads[condition] == MODE:
            if self._is_zero(no) and self._is_tame(yes):
                return self.product([self.real(condition), yes])
            if self._is_zero(yes) and self._is_tame(no):
                rest = self.make("subtract", self.number(1.0), self.real(condition))
                return self.product([rest, no])
        return self.make("where", condition, yes, no)

    def _is_zero(self, at: int) -> bool:
        return self.ops[at] == "num" and self.values[at] == 0

    def _is_tame(self, at: int) -> bool:
        """Return whether it is finite as long as states are: then 0 times it is 0."""
        pending, seen = [at], set()
        while pending:
            at = pending.pop()
            if at in seen:
                continue
            seen.add(at)
            if self.ops[at] in ("add", "subtract", "multiply", "negative"):
                pending += self.args[at]
            elif not self.is_leaf(at) and self.reads[at] & STATE:
                return False
        return True

    # -- from expressions ----------------------------------------------------------------------------------------

    def lower(self, expr: Expr, names: Mapping[str, int], time: int) -> int:
        """Return the number of a formula; `names` gives that of each symbol. Raises `KeyError` and `ValueError`."""
        done: dict[Expr, int] = {}
        for node in expr.nodes():
            if node.op == "num":
                done[node] = self.number(float(node.value))  # type: ignore[arg-type]
            elif node.op == "sym":
                done[node] = names[str(node.value)]
            elif node.op == "time":
                done[node] = time
            else:
                done[node] = self._lower(node.op, [done[arg] for arg in node.args])
        return done[expr]

    def _lower(self, op: str, args: list[int]) -> int:  # noqa: PLR0911, PLR0912  one rule a line
        if op in _LOGIC:
            if not args:
                return self.number(op == "and")
            return self._chain(_LOGIC[op], [self.truth(at) for at in args])
        if op == "not":
            return self.make("logical_not", self.truth(args[0]))
        if op == "piecewise":
            found = self.real(args[-1]) if len(args) % 2 else self.number(math.nan)
            for at in range(len(args) // 2 - 1, -1, -1):
                found = self.choose(self.truth(args[2 * at + 1]), self.real(args[2 * at]), found)
            return found
        args = [self.real(at) for at in args]
        if self.literal and op in _IN_ORDER and args:
            return self._chain(_IN_ORDER[op], args)
        if op == "plus":
            return self.total(args)
        if op == "times":
            return self.product(args)
        if op == "minus":
            return self.total([args[0], self.negative(args[1])])
        if op == "divide":
            return self.quotient(args[0], args[1])
        if op == "power":
            return self.power(args[0], args[1])
        if op == "negative":
            return self.product([self.number(-1.0), args[0]])
        if op in ("max", "min"):
            return self._chain("maximum" if op == "max" else "minimum", args)
        if op == "quotient":
            return self.make("trunc", self.make("divide", *args))
        if op == "rem":
            return self.make("fmod", *args)
        if op == "factorial":
            return self.make("factorial", args[0])
        if op in _RELATIONS:
            return self.make(_RELATIONS[op], args[0], args[1])
        if op in _UNARY:
            return self.make(_UNARY[op], args[0])
        raise ValueError(f"no code for the operator {op}")
