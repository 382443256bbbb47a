"""What keeps a formula smooth during a step: relations and jumps of what moves become modes, the past becomes slots.

>>> from pepr_kg.twin.expression import Expr, number, symbol
>>> freezer = Freezer({}, ["x"])
>>> str(freezer.freeze(Expr("max", (symbol("x"), number(0)))))
'piecewise(x, mode:0, 0)'
>>> freezer.modes
[Mode(kind='geq', left=Expr(x), right=Expr(0))]
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pepr_kg.twin.expression import ZERO, Expr, multiply, negate, piecewise, rebuild, subtract, symbol, transform

FLOATING = ("floor", "ceiling", "quotient")  # modes whose slot holds a whole number; the others hold a truth value
_RELATIONS = ("lt", "leq", "gt", "geq")
_JUMPS = frozenset((*_RELATIONS, "max", "min", "abs", "floor", "ceiling", "quotient", "rem"))


@dataclass(frozen=True, slots=True)
class Mode:
    """What a mode stands for: `kind` is a relation between `left` and `right`, or floor/ceiling of `left`, or their
    quotient."""

    kind: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Delay:
    """A formula's value `span` earlier; both may read delays with smaller numbers as symbols "delay:k"."""

    formula: Expr
    span: Expr


def replace_delays(expr: Expr, found: dict[Expr, Delay]) -> Expr:
    """Return the formula with each delay replaced by a symbol "delay:k"; `found` collects them, equal ones once."""
    if not expr.has("delay"):
        return expr

    def change(node: Expr) -> Expr | None:
        if node.op != "delay":
            return None
        found.setdefault(node, Delay(*node.args))
        return symbol(f"delay:{list(found).index(node)}")

    return transform(expr, change)


class Freezer:
    """Replaces what jumps by modes, in formulas and in the assignments that they need.

    `definitions` collects, in the order of computation, what the frozen formulas read: assignments (symbol, frozen
    formula) and modes ("mode:k", the literal formula of its value).
    """

    def __init__(self, assignments: Mapping[str, Expr], states: Iterable[str]) -> None:
        self.definitions: list[tuple[str, Expr]] = []
        self.modes: list[Mode] = []
        self._assignments = assignments
        self._moving = set(states)
        self._done: set[str] = set()
        self._memo: dict[Expr, Expr] = {}
        self._known: dict[Mode, Expr] = {}

    def _moves(self, expr: Expr) -> bool:
        names = expr.symbols
        return (
            expr.has("time") or not names.isdisjoint(self._moving) or any(name.startswith("delay:") for name in names)
        )

    def freeze(self, expr: Expr) -> Expr:
        """Return the formula with modes in place of what jumps."""
        pending = [(name, False) for name in sorted(expr.symbols)]
        needed: dict[str, None] = {}
        while pending:
            name, ready = pending.pop()
            if name in self._done or name in needed or name not in self._assignments:
                continue
            if ready:
                needed[name] = None
            else:
                pending.append((name, True))
                pending.extend((item, False) for item in sorted(self._assignments[name].symbols))
        for name in needed:
            formula = self._change(self._assignments[name])
            self._done.add(name)
            if self._moves(formula):
                self._moving.add(name)
            self.definitions.append((name, formula))
        return self._change(expr)

    def _change(self, expr: Expr) -> Expr:
        return transform(expr, self._replace, self._memo)

    def _replace(self, node: Expr) -> Expr | None:  # noqa: PLR0911
        op, args = node.op, node.args
        if op not in _JUMPS or not self._moves(node):
            return None
        if op in _RELATIONS:
            return self._mode(op, args[0], args[1])
        if op in ("max", "min"):
            found = args[0]
            for arg in args[1:]:
                found = piecewise(found, self._mode("geq" if op == "max" else "leq", found, arg), arg)
            return found
        if op == "abs":
            return piecewise(args[0], self._mode("geq", args[0], ZERO), negate(args[0]))
        if op in ("floor", "ceiling"):
            return self._mode(op, args[0], ZERO)
        if op == "quotient":
            return self._mode(op, args[0], args[1])
        if op == "rem":  # a - b quotient(a, b)
            return subtract(args[0], multiply(args[1], self._mode("quotient", args[0], args[1])))
        return None

    def _mode(self, kind: str, left: Expr, right: Expr) -> Expr:
        if not (self._moves(left) or self._moves(right)):
            return rebuild(Expr(kind), (left, right) if kind not in ("floor", "ceiling") else (left,))
        mode = Mode(kind, left, right)
        if mode not in self._known:
            name = f"mode:{len(self.modes)}"
            self.modes.append(mode)
            self._moving.add(name)
            self._known[mode] = symbol(name)
            self.definitions.append((name, Expr(kind, (left,) if kind in ("floor", "ceiling") else (left, right))))
        return self._known[mode]
