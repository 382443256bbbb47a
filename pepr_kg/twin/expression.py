"""Formulas as immutable trees: made, folded, differentiated, substituted, evaluated.

A tree is an `Expr`: an operator and its arguments, or a number, or a symbol. Truth values are numbers (1 and 0), as
SBML Level 3 Version 2 (section 3.4.11) reads them. The names of the operators are those of MathML where it has one.

>>> x = symbol("x")
>>> str(derivative(multiply(number(3), power(x, number(2))), "x"))
'2*x*3'
>>> float(evaluate(exp_of(x), {"x": 0.0}))
1.0
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Value = float | Array

RELATIONS = ("lt", "leq", "gt", "geq", "eq", "neq")
LOGIC = ("and", "or", "xor", "not")
# Functions of one number that NumPy and the math module both know under these names.
FUNCTIONS: Mapping[str, str] = {
    "exp": "exp", "ln": "log", "log10": "log10", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh", "abs": "abs", "floor": "floor",
    "ceiling": "ceil",
}  # fmt: skip


class Expr:
    """A node: `op`, its `args`, and `value` (a float for "num", a name for "sym"). Equal trees have equal hashes.

    Operators: num, sym, time, plus, times (any number of arguments), minus, divide, power, negative, the keys of
    `FUNCTIONS`, factorial, min, max, quotient, rem, the relations, the logic, piecewise (value, condition, …,
    otherwise), delay (expression, time span), rate (of a symbol).
    """

    __slots__ = ("_hash", "_symbols", "args", "op", "value")

    op: str
    args: "tuple[Expr, ...]"
    value: float | str | None
    _hash: int
    _symbols: frozenset[str] | None

    def __init__(self, op: str, args: "tuple[Expr, ...]" = (), value: float | str | None = None) -> None:
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "value", value)
        # NaN differs from itself and 0.0 equals -0.0: the text tells them apart.
        key = repr(value) if isinstance(value, float) else value
        object.__setattr__(self, "_hash", hash((op, key, tuple(hash(arg) for arg in args))))
        object.__setattr__(self, "_symbols", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an expression is immutable: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return Expr, (self.op, self.args, self.value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Expr) or hash(self) != hash(other) or self.op != other.op:
            return False
        return repr(self.value) == repr(other.value) and self.args == other.args

    @property
    def is_number(self) -> bool:
        """Whether it is a plain number."""
        return self.op == "num"

    @property
    def symbols(self) -> frozenset[str]:
        """Return the names of its symbols; the time is an operator and not among them."""
        stack = [self] if self._symbols is None else []
        while stack:  # from the leaves up: a deep tree costs no stack
            node = stack[-1]
            waiting = [arg for arg in node.args if arg._symbols is None]  # noqa: SLF001  of its own kind
            if waiting:
                stack += waiting
                continue
            names = (str(node.value),) if node.op == "sym" else ()
            below = (arg._symbols or () for arg in node.args)  # noqa: SLF001
            object.__setattr__(node, "_symbols", frozenset(names).union(*below))
            stack.pop()
        return self._symbols or frozenset()

    def nodes(self) -> "Iterator[Expr]":
        """Yield each different node once, arguments before what uses them."""
        seen: set[Expr] = set()
        stack: list[tuple[Expr, bool]] = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if node in seen:
                continue
            if ready:
                seen.add(node)
                yield node
            else:
                stack.append((node, True))
                stack.extend((arg, False) for arg in reversed(node.args))

    def has(self, *ops: str) -> bool:
        """Return whether one of these operators occurs in it."""
        return any(node.op in ops for node in self.nodes())

    def __str__(self) -> str:
        return _show(self)

    def __repr__(self) -> str:
        return f"Expr({_show(self)})"


TIME = Expr("time")
CLOCK = "@time"  # what `derivative` calls the time: no symbol of a model can have this name


def number(value: float) -> Expr:
    """Return a number as an expression."""
    return Expr("num", (), float(value))


def symbol(name: str) -> Expr:
    """Return a symbol as an expression."""
    return Expr("sym", (), name)


ZERO, ONE = number(0.0), number(1.0)


def call(op: str, *args: Expr) -> Expr:
    """Return an operator applied to its arguments; numbers are computed at once.

    >>> str(call("plus", number(1), number(2)))
    '3'
    """
    if args and op not in ("delay", "rate") and all(arg.is_number for arg in args):
        return number(float(evaluate(Expr(op, args), {})))
    return Expr(op, args)


def add(*terms: Expr) -> Expr:
    """Return a sum without its zeros."""
    kept = [term for term in terms if term != ZERO]
    if len(kept) < 2:
        return kept[0] if kept else ZERO
    return call("plus", *kept)


def subtract(left: Expr, right: Expr) -> Expr:
    """Return a difference; without it where one side is zero."""
    if right == ZERO:
        return left
    return negate(right) if left == ZERO else call("minus", left, right)


def multiply(*factors: Expr) -> Expr:
    """Return a product without its ones; zero where a factor is zero."""
    if any(factor == ZERO for factor in factors):
        return ZERO
    kept = [factor for factor in factors if factor != ONE]
    if len(kept) < 2:
        return kept[0] if kept else ONE
    return call("times", *kept)


def divide(left: Expr, right: Expr) -> Expr:
    """Return a quotient; the left side where the right one is one, zero where the left one is zero."""
    if right == ONE:
        return left
    return ZERO if left == ZERO else call("divide", left, right)


def negate(term: Expr) -> Expr:
    """Return the opposite."""
    return term.args[0] if term.op == "negative" else call("negative", term)


def power(base: Expr, exponent: Expr) -> Expr:
    """Return a power; the base where the exponent is one, one where it is zero."""
    if exponent == ONE:
        return base
    return ONE if exponent == ZERO else call("power", base, exponent)


def exp_of(term: Expr) -> Expr:
    """Return the exponential."""
    return call("exp", term)


def piecewise(*args: Expr) -> Expr:
    """Return the value whose condition holds first; conditions that are numbers are decided at once."""
    pairs = list(zip(args[0::2], args[1::2], strict=False))
    otherwise = args[-1] if len(args) % 2 else None
    kept: list[Expr] = []
    for value, condition in pairs:
        if condition.is_number:
            if condition.value:
                otherwise = value
                break
            continue
        kept += [value, condition]
    if not kept:
        return otherwise if otherwise is not None else number(math.nan)
    if otherwise is not None:
        if all(value == otherwise for value in kept[0::2]):
            return otherwise
        kept.append(otherwise)
    return Expr("piecewise", tuple(kept))


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """Return the node with other arguments, folded."""
    if args == node.args:
        return node
    return piecewise(*args) if node.op == "piecewise" else call(node.op, *args)


def transform(expr: Expr, change: Callable[[Expr], Expr | None], memo: dict[Expr, Expr] | None = None) -> Expr:
    """Return the tree in which `change` has replaced nodes, from the leaves up; None keeps a node.

    `change` sees a node whose arguments are already changed.
    """
    done: dict[Expr, Expr] = {} if memo is None else memo
    for node in expr.nodes():
        if node not in done:
            fresh = rebuild(node, tuple(done[arg] for arg in node.args)) if node.args else node
            changed = change(fresh)
            done[node] = fresh if changed is None else changed
    return done[expr]


def substitute(expr: Expr, values: Mapping[str, Expr], memo: dict[Expr, Expr] | None = None) -> Expr:
    """Return the tree with symbols replaced by expressions, all at once.

    >>> str(substitute(add(symbol("a"), symbol("b")), {"a": symbol("b"), "b": number(2)}))
    'b + 2'
    """
    if not (expr.symbols & values.keys()):
        return expr

    def change(node: Expr) -> Expr | None:
        return values.get(str(node.value)) if node.op == "sym" else None

    return transform(expr, change, memo)


def derivative(expr: Expr, name: str) -> Expr:
    """Return the derivative with respect to a symbol (or to the time, by the name `CLOCK`).

    Conditions count as constant: at a jump there is none. What a delay holds is the past and counts as constant too.
    """
    memo: dict[Expr, Expr] = {}
    for node in expr.nodes():
        memo[node] = _derive(node, name, memo)
    return memo[expr]


def _derive(node: Expr, name: str, memo: Mapping[Expr, Expr]) -> Expr:  # noqa: PLR0911, PLR0912  one rule a line
    op, args = node.op, node.args
    if op == "sym":
        return ONE if node.value == name else ZERO
    if op == "time":
        return ONE if name == CLOCK else ZERO
    if op == "piecewise":
        odd = len(args) % 2
        parts = [memo[arg] if index % 2 == 0 else arg for index, arg in enumerate(args)]
        if all(part == ZERO for part in parts[0 : len(args) - odd : 2]) and (not odd or parts[-1] == ZERO):
            return ZERO
        return piecewise(*parts)
    slopes = [memo[arg] for arg in args]
    if all(slope == ZERO for slope in slopes) or op in RELATIONS or op in LOGIC or op in _FLAT:
        return ZERO
    if op == "plus":
        return add(*slopes)
    if op == "minus":
        return subtract(*slopes)
    if op == "negative":
        return negate(slopes[0])
    if op == "times":
        return add(*(multiply(slope, *args[:at], *args[at + 1 :]) for at, slope in enumerate(slopes) if slope != ZERO))
    if op == "divide":
        upper, lower = args
        if slopes[1] == ZERO:
            return divide(slopes[0], lower)
        return subtract(divide(slopes[0], lower), divide(multiply(upper, slopes[1]), multiply(lower, lower)))
    if op == "power":
        return _derive_power(node, slopes)
    if op in ("max", "min"):
        first, second = args
        return piecewise(slopes[0], Expr("geq" if op == "max" else "leq", (first, second)), slopes[1])
    if op == "rem":  # a - b quotient(a, b), and the quotient is flat
        return subtract(slopes[0], multiply(slopes[1], Expr("quotient", args)))
    if op in _SLOPES:
        return multiply(_SLOPES[op](args[0]), slopes[0])
    raise ValueError(f"no derivative rule for {op}")


def _derive_power(node: Expr, slopes: list[Expr]) -> Expr:
    base, exponent = node.args
    if slopes[1] == ZERO:
        lower = number(float(exponent.value or 0.0) - 1.0) if exponent.is_number else subtract(exponent, ONE)
        return multiply(exponent, power(base, lower), slopes[0])
    inner = add(multiply(slopes[1], call("ln", base)), divide(multiply(exponent, slopes[0]), base))
    return multiply(node, inner)


_FLAT = ("floor", "ceiling", "quotient", "factorial", "delay", "rate")


def _square(term: Expr) -> Expr:
    return multiply(term, term)


_SLOPES: Mapping[str, Callable[[Expr], Expr]] = {
    "exp": lambda u: call("exp", u),
    "ln": lambda u: divide(ONE, u),
    "log10": lambda u: divide(number(1 / math.log(10)), u),
    "sqrt": lambda u: divide(number(0.5), call("sqrt", u)),
    "sin": lambda u: call("cos", u),
    "cos": lambda u: negate(call("sin", u)),
    "tan": lambda u: add(ONE, _square(call("tan", u))),
    "arcsin": lambda u: divide(ONE, call("sqrt", subtract(ONE, _square(u)))),
    "arccos": lambda u: negate(divide(ONE, call("sqrt", subtract(ONE, _square(u))))),
    "arctan": lambda u: divide(ONE, add(ONE, _square(u))),
    "sinh": lambda u: call("cosh", u),
    "cosh": lambda u: call("sinh", u),
    "tanh": lambda u: subtract(ONE, _square(call("tanh", u))),
    "arcsinh": lambda u: divide(ONE, call("sqrt", add(_square(u), ONE))),
    "arccosh": lambda u: divide(ONE, call("sqrt", subtract(_square(u), ONE))),
    "arctanh": lambda u: divide(ONE, subtract(ONE, _square(u))),
    "abs": lambda u: piecewise(ONE, Expr("geq", (u, ZERO)), number(-1)),
}


def evaluate(expr: Expr, values: Mapping[str, Value], time: Value = math.nan) -> Value:
    """Return the value of the tree, a float or an array, computed as NumPy computes.

    `values` gives a float or an array for each symbol; arrays must broadcast. Raises `KeyError` for a symbol that has
    none. Division by zero gives an infinity and no warning. Delays and rates have no value here: `ValueError`.
    """
    if expr.op in ("num", "sym"):
        only: Any = expr.value if expr.op == "num" else values[str(expr.value)]
        return only if isinstance(only, np.ndarray) and only.ndim else float(only)
    done: dict[Expr, Any] = {}
    with np.errstate(all="ignore"):
        for node in expr.nodes():
            if node.op == "num":
                done[node] = node.value
            elif node.op == "sym":
                done[node] = values[str(node.value)]
            elif node.op == "time":
                done[node] = time
            else:
                done[node] = _apply(node.op, [done[arg] for arg in node.args])
    found = done[expr]
    return found if isinstance(found, np.ndarray) and found.ndim else float(found)


def _apply(op: str, args: list[Any]) -> Any:
    """Return one operator's value; the reference for what the compiled code must give."""
    if op == "piecewise":
        odd = len(args) % 2
        found: Any = args[-1] if odd else math.nan
        for at in range(len(args) - odd - 2, -1, -2):
            found = np.where(np.not_equal(args[at + 1], 0), args[at], found)
        return found
    if op in FUNCTIONS:
        return getattr(np, FUNCTIONS[op])(np.asarray(args[0], dtype=float))
    if op in _OPERATORS:
        return _OPERATORS[op](*(np.asarray(arg, dtype=float) for arg in args))
    raise ValueError(f"{op} has no value of its own")


def _fold(function: Callable[[Any, Any], Any], start: float) -> Callable[..., Any]:
    def folded(*args: Any) -> Any:
        found: Any = args[0] if args else start
        for arg in args[1:]:
            found = function(found, arg)
        return np.asarray(found, dtype=float)

    return folded


def _factorial(value: Any) -> Any:
    def one(item: float) -> float:
        return math.gamma(item + 1) if item >= 0 else math.nan

    return np.vectorize(one, otypes=[float])(value)


def _truth(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda left, right: np.asarray(function(left, right), dtype=float)


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "plus": _fold(np.add, 0.0),
    "times": _fold(np.multiply, 1.0),
    "minus": np.subtract,
    "divide": np.divide,
    "power": np.power,
    "negative": np.negative,
    "max": _fold(np.maximum, math.nan),
    "min": _fold(np.minimum, math.nan),
    # MathML: the quotient is cut towards zero, the remainder has the sign of the dividend.
    "quotient": lambda left, right: np.trunc(np.divide(left, right)),
    "rem": np.fmod,
    "factorial": _factorial,
    "lt": _truth(np.less),
    "leq": _truth(np.less_equal),
    "gt": _truth(np.greater),
    "geq": _truth(np.greater_equal),
    "eq": _truth(np.equal),
    "neq": _truth(np.not_equal),
    "and": _fold(lambda a, b: np.logical_and(a != 0, b != 0), 1.0),
    "or": _fold(lambda a, b: np.logical_or(a != 0, b != 0), 0.0),
    "xor": _fold(lambda a, b: np.logical_xor(a != 0, b != 0), 0.0),
    "not": lambda value: np.asarray(value == 0, dtype=float),
}

_SIGNS = {"plus": " + ", "times": "*", "lt": " < ", "leq": " <= ", "gt": " > ", "geq": " >= ", "eq": " == ",
          "neq": " != ", "and": " && ", "or": " || ", "minus": " - ", "divide": "/", "power": "^"}  # fmt: skip
_RANK = {"plus": 1, "minus": 1, "times": 2, "divide": 2, "negative": 3, "power": 4}


def _show(expr: Expr) -> str:
    """Return the formula in the infix form that SBML tools share (Level 3 infix)."""
    if expr.op == "num":
        return f"{expr.value:.17g}" if expr.value == expr.value else "NaN"
    if expr.op in ("sym", "time"):
        return str(expr.value) if expr.op == "sym" else "time"
    if expr.op == "negative":
        return "-" + _bracket(expr.args[0], 3)
    if expr.op in _SIGNS and len(expr.args) > 1:
        rank = _RANK.get(expr.op, 0)
        parts = [
            _bracket(arg, rank + (at > 0 and expr.op in ("minus", "divide", "power")))
            for at, arg in enumerate(expr.args)
        ]
        return _SIGNS[expr.op].join(parts)
    return f"{expr.op}({', '.join(_show(arg) for arg in expr.args)})"


def _bracket(expr: Expr, rank: int) -> str:
    inner = _RANK.get(expr.op, 5 if len(expr.args) < 2 or expr.op not in _SIGNS else 0)
    return f"({_show(expr)})" if inner < rank else _show(expr)


def total_symbols(expressions: Iterable[Expr]) -> frozenset[str]:
    """Return the names of all symbols of several trees."""
    return frozenset().union(*(expr.symbols for expr in expressions))
