"""NumPy source from numbered operations: with work buffers where speed counts, plain where shapes may broadcast.

The text is made of the names of ufuncs, of numbers, and of names like `y0` and `v[3]` that this package gives; nothing
that a user or a file wrote gets into it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pepr_kg.twin.compiler.operations import STATE, Graph, factorial

_UFUNCS = (
    "add", "subtract", "multiply", "divide", "power", "negative", "exp", "log", "log10", "sqrt", "sin", "cos", "tan",
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "absolute", "floor", "ceil",
    "trunc", "fmod",
    "maximum", "minimum", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and",
    "logical_or", "logical_xor", "logical_not",
)  # fmt: skip


def truth(value: Any) -> Any:
    """Return what a number means as a condition."""
    return np.not_equal(value, 0.0)


def real(value: Any) -> Any:
    """Return a truth value as 1.0 or 0.0."""
    return np.multiply(value, 1.0)


def choose(condition: Any, yes: Any, no: Any) -> Any:
    """Return `np.where`, scalars as scalars."""
    return np.where(condition, yes, no)[()]


_NAMES: Mapping[str, Any] = {
    **{name: getattr(np, name) for name in _UFUNCS},
    "copyto": np.copyto, "where": choose, "factorial": factorial, "truth": truth, "float": real, "empty": np.empty,
    "broadcast_shapes": np.broadcast_shapes, "shape": np.shape, "inf": np.inf, "nan": np.nan,
    "__builtins__": {},
}  # fmt: skip


def build(signature: str, lines: Iterable[str]) -> Callable[..., Any]:
    """Return the function with this signature ("name(arguments)") and these lines as its body.

    >>> build("twice(t)", ["return add(t, t)"])(2.0)
    np.float64(4.0)
    """
    body = "\n    ".join(lines) or "pass"
    text = f"def {signature}:\n    {body}\n"
    space = dict(_NAMES)
    # The source is made here from checked operations and never from a user's text.
    exec(compile(text, f"<{signature}>", "exec"), space)  # noqa: S102
    made: Callable[..., Any] = space[signature.partition("(")[0]]
    return made


def order(graph: Graph, roots: Iterable[int], known: Mapping[int, str] | frozenset[int] = frozenset()) -> list[int]:
    """Return what must be computed for the roots, arguments first; leaves and `known` ones are left out."""
    found: list[int] = []
    seen: set[int] = set()
    for root in roots:
        stack = [(root, False)]
        while stack:
            at, ready = stack.pop()
            if ready:
                found.append(at)
            elif at not in seen and at not in known and not graph.is_leaf(at):
                seen.add(at)
                stack.append((at, True))
                stack.extend((arg, False) for arg in reversed(graph.args[at]))
    return found


def prelude(graph: Graph, items: Iterable[int], code: Callable[[int], str]) -> list[str]:
    """Return the lines that fetch the states these operations read: `y3 = y[3]`."""
    used: dict[str, None] = {}
    for at in items:
        for arg in (at, *graph.args[at]):
            name = code(arg)
            if name[:1] == "y" and name[1:].isdigit():
                used[name] = None
    return [f"{name} = y[{name[1:]}]" for name in sorted(used, key=lambda name: int(name[1:]))]


def literal(graph: Graph, at: int) -> str:
    """Return the code of a number or a leaf."""
    return repr(graph.values[at]) if graph.ops[at] == "num" else str(graph.values[at])


def plain(graph: Graph, roots: Sequence[int], names: Mapping[int, str]) -> tuple[list[str], list[str]]:
    """Return lines that compute the roots without buffers, whatever shapes broadcast, and the code of each root."""
    todo = order(graph, roots, names)
    local = {at: f"x{at}" for at in todo}

    def code(at: int) -> str:
        return local.get(at) or names.get(at) or literal(graph, at)

    lines = prelude(graph, [*todo, *roots], code)
    for at in todo:
        args = ", ".join(code(arg) for arg in graph.args[at])
        lines.append(f"{local[at]} = {graph.ops[at]}({args})")
    return lines, [code(root) for root in roots]


@dataclass(slots=True)
class Buffers:
    """Names of work buffers: handed out, given back, counted."""

    count: int = 0
    free: list[str] = field(default_factory=list)

    def take(self) -> str:
        """Return a buffer that nobody needs."""
        if self.free:
            return self.free.pop()
        self.count += 1
        return f"w[{self.count - 1}]"

    def give(self, name: str) -> None:
        """Take a buffer back."""
        self.free.append(name)


class Writer:
    """Writes a function that fills arrays given by the caller, with `out=` into few buffers, each reused as soon as it
    may be.

    `names`: code of operations that are there already (hoisted slots). `kept`: the operations that depend on the time
    alone and stay from one call to the next, with their buffers (`w[-1]`, …).
    """

    def __init__(self, graph: Graph, names: Mapping[int, str], kept: Mapping[int, str]) -> None:
        self.graph, self.names, self.kept = graph, names, kept
        self.buffers = Buffers()
        self._place: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        self._fetch: dict[str, str] = {}
        self._head: list[str] = []

    def _code(self, at: int) -> str:
        name = self._place.get(at) or self.names.get(at) or literal(self.graph, at)
        if "[" not in name:
            return name
        return self._row(name)

    def time_part(self) -> list[str]:
        """Return the lines that fill the kept buffers."""
        return self._write(order(self.graph, self.kept, self.names), self.kept)

    def state_part(self, targets: Sequence[tuple[str, int]]) -> list[str]:
        """Return the lines that fill each target ("dy[0]") with its operation."""
        todo = order(self.graph, [at for _, at in targets], {**self.names, **self.kept})
        self._place = dict(self.kept)
        goals: dict[int, str] = {}
        for target, at in targets:
            goals.setdefault(at, target)
        lines = self._write(todo, goals)
        for target, at in targets:
            if self._place.get(at) != target:
                lines.append(f"copyto({self._row(target)}, {self._code(at)})")
        return lines

    def head(self, lines: Sequence[str]) -> list[str]:
        """Return the lines that fetch what these lines read; call it last."""
        used = set()
        for line in lines:
            for word in line.replace("(", " ").replace(")", " ").replace(",", " ").split():
                if word[0] == "y" and word[1:].isdigit():
                    used.add(word)
        return [f"{name} = y[{name[1:]}]" for name in sorted(used, key=lambda name: int(name[1:]))] + self._head

    def _row(self, target: str) -> str:
        """Return the local name of an element of a list: looked up once, however often it is used."""
        if target not in self._fetch:
            self._fetch[target] = f"a{len(self._fetch)}"
            self._head.append(f"{self._fetch[target]} = {target}")
        return self._fetch[target]

    def _write(self, todo: Sequence[int], goals: Mapping[int, str]) -> list[str]:  # noqa: PLR0912
        graph = self.graph
        uses: dict[int, int] = {}
        for at in todo:
            for arg in graph.args[at]:
                uses[arg] = uses.get(arg, 0) + 1
        lines: list[str] = []
        for at in todo:
            op, args = graph.ops[at], graph.args[at]
            codes = [self._code(arg) for arg in args]
            for arg in set(args):
                uses[arg] -= sum(item == arg for item in args)
            if at in goals and not graph.boolean[at]:
                place = goals[at]
            elif graph.boolean[at] or op == "where":
                place = ""
            else:
                self._release(args, uses, goals)
                place = self.buffers.take()
            if not place:  # truth values are rare, and `where` has no `out`
                lines.append(f"x{at} = {op}({', '.join(codes)})")
                self._place[at] = f"x{at}"
                self._release(args, uses, goals)
                continue
            goal = self._row(place)
            if op in ("where", "factorial"):
                lines.append(f"copyto({goal}, {op}({', '.join(codes)}))")
            elif op == "float":
                lines.append(f"copyto({goal}, {codes[0]})")
            elif op in ("maximum", "minimum"):
                lines.append(f"{op}({', '.join(codes)}, out={goal})")
            else:
                lines.append(f"{op}({', '.join(codes)}, {goal})")
            self._place[at] = place
            if at in goals:
                self._release(args, uses, goals)
        return lines

    def _release(self, args: Sequence[int], uses: Mapping[int, int], goals: Mapping[int, str]) -> None:
        for arg in set(args):
            place = self._place.get(arg, "")
            if not uses[arg] and arg not in goals and place.startswith("w[") and place not in self.kept.values():
                self.buffers.give(place)


def time_only(graph: Graph, roots: Iterable[int], names: Mapping[int, str]) -> list[int]:
    """Return the operations that depend on time and modes alone and that the rest, or the caller, reads."""
    roots = list(roots)
    todo = order(graph, roots, names)

    def keeps(at: int) -> bool:
        return not (
            graph.is_leaf(at) or at in names or graph.boolean[at] or graph.reads[at] & STATE or not graph.rank(at)
        )

    found: dict[int, None] = {at: None for at in roots if keeps(at)}
    for at in todo:
        if not keeps(at):
            found.update({arg: None for arg in graph.args[at] if keeps(arg)})
    return list(found)
