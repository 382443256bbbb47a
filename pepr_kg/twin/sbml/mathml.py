"""Formulas out of MathML: all of what SBML Level 2 and Level 3 Version 2 (section 3.4) allow, and nothing else.

Reading gives an `Expr` in which a call of a user's function is still an operator, "call"; `expand` puts the bodies in.
Truth values are the numbers 1 and 0. Names in `ci` are symbols whatever they are called, so that a parameter named
"time" or "pi" is a parameter; the time, Avogadro's constant, delays and rates are only what a `csymbol` says.

>>> from xml.etree.ElementTree import fromstring
>>> text = '<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><root/><ci> x </ci></apply></math>'
>>> str(read_math(fromstring(text), "example"))
'sqrt(x)'
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.expression import FUNCTIONS, ONE, TIME, Expr, call, number, piecewise, rebuild, symbol

NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
# SBML Level 3 fixes this value (that of CODATA 2006), whatever newer tables say.
AVOGADRO = 6.02214179e23
# A formula that grows beyond this many nodes, as a tree, is refused: functions of functions grow exponentially.
NODES = 200_000

_CONSTANTS = {
    "true": 1.0,
    "false": 0.0,
    "pi": math.pi,
    "exponentiale": math.e,
    "infinity": math.inf,
    "notanumber": math.nan,
}
_SYMBOLS = {
    "http://www.sbml.org/sbml/symbols/time": "time",
    "http://www.sbml.org/sbml/symbols/delay": "delay",
    "http://www.sbml.org/sbml/symbols/avogadro": "avogadro",
    "http://www.sbml.org/sbml/symbols/rateOf": "rate",
}
_RELATIONS = ("lt", "leq", "gt", "geq", "eq")
# What an n-ary operator without arguments is worth (Level 3 Version 2, section 3.4).
_NEUTRAL = {"plus": 0.0, "times": 1.0, "and": 1.0, "or": 0.0, "xor": 0.0}


def _inverse(op: str) -> Callable[[Expr], Expr]:
    return lambda arg: call(op, call("divide", ONE, arg))


def _reciprocal(op: str) -> Callable[[Expr], Expr]:
    return lambda arg: call("divide", ONE, call(op, arg))


# Functions that are others of one over x, or one over others (Abramowitz & Stegun, 4.3, 4.4, 4.5, 4.6).
_DERIVED: Mapping[str, Callable[[Expr], Expr]] = {
    "sec": _reciprocal("cos"), "csc": _reciprocal("sin"), "cot": _reciprocal("tan"),
    "sech": _reciprocal("cosh"), "csch": _reciprocal("sinh"), "coth": _reciprocal("tanh"),
    "arcsec": _inverse("arccos"), "arccsc": _inverse("arcsin"), "arccot": _inverse("arctan"),
    "arcsech": _inverse("arccosh"), "arccsch": _inverse("arcsinh"), "arccoth": _inverse("arctanh"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """A function definition: the names of its arguments, and its body (None where the file has none)."""

    parameters: tuple[str, ...]
    body: Expr | None


def local(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def read_math(element: Element, model: str) -> Expr | None:
    """Return the formula of a `math` element; None where it is empty (allowed since Level 3 Version 2).

    Raises `ModelUnsupported` for an element that SBML does not have, and `ModelInvalid` for a wrong number of
    arguments.
    """
    children = [child for child in element if isinstance(child.tag, str)]
    if not children:
        return None
    if len(children) > 1:
        raise ModelInvalid(model=model, symbol="math", detail=_several(len(children)))
    return _Reader(model).read(children[0])


def read_function(element: Element, model: str) -> Function:
    """Return the function of a `math` element that holds a `lambda`. Raises like `read_math`."""
    inside = next(iter(element), None)
    while inside is not None and local(inside) == "semantics":
        inside = next(iter(inside), None)
    if inside is None:
        return Function((), None)
    if local(inside) != "lambda":
        raise ModelInvalid(model=model, symbol=local(inside), detail=_NO_LAMBDA)
    names: list[str] = []
    body: Expr | None = None
    for child in inside:
        if local(child) == "bvar":
            names += [(name.text or "").strip() for name in child]
        else:
            body = _Reader(model).read(child)
    return Function(tuple(names), body)


_NO_LAMBDA = {
    "en": "a function definition must hold a lambda",
    "fr": "une définition de fonction doit contenir un élément lambda",
}


def _several(count: int) -> dict[str, str]:
    return {
        "en": f"a math element holds one formula, this one {count}",
        "fr": f"un élément math contient une formule, celui-ci {count}",
    }


class _Reader:
    """Reads one formula; it knows the model only for its errors."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.done: dict[Element, Expr] = {}

    def read(self, root: Element) -> Expr:
        """Return the formula of an element; from the leaves up, so that depth costs no stack."""
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                found = self.value(node)
                if found is not None:
                    self.done[node] = found
            elif not local(node).startswith("annotation"):
                stack.append((node, True))
                stack.extend((child, False) for child in node)
        return self.part(root)

    def part(self, node: Element) -> Expr:
        """Return the formula of an element that was read; what has none is out of its place."""
        if node not in self.done:
            shown = local(node) if node.tag.startswith(NAMESPACE) else node.tag
            raise self.unknown(f"{shown} {(node.text or '').strip()[:40]}".strip())
        return self.done[node]

    def value(self, node: Element) -> Expr | None:
        """Return the formula of an element whose parts are read; None where it is no value of its own."""
        tag = local(node)
        if not node.tag.startswith(NAMESPACE):
            return None
        if tag in _CONSTANTS:
            return number(_CONSTANTS[tag])
        if tag == "csymbol":
            kind = self.symbol_kind(node)
            return {"time": TIME, "avogadro": number(AVOGADRO)}.get(kind)
        if tag == "semantics":
            return self.part(node[0]) if len(node) else None
        readers = {"apply": self.apply, "ci": self.name, "cn": self.number, "piecewise": self.piecewise}
        return readers[tag](node) if tag in readers else None

    def name(self, node: Element) -> Expr:
        return symbol((node.text or "").strip())

    def unknown(self, construct: str) -> ModelUnsupported:
        return ModelUnsupported(
            model=self.model,
            construct=f"MathML {construct}",
            detail={"en": "SBML does not have it here", "fr": "SBML ne l’admet pas ici"},
        )

    def arity(self, name: str, found: int) -> ModelInvalid:
        detail = {"en": f"it cannot take {found} arguments", "fr": f"il n’admet pas {found} arguments"}
        return ModelInvalid(model=self.model, symbol=f"MathML {name}", detail=detail)

    def symbol_kind(self, node: Element) -> str:
        url = (node.get("definitionURL") or "").strip()
        if url not in _SYMBOLS:
            raise self.unknown(f"csymbol {url}")
        return _SYMBOLS[url]

    def number(self, node: Element) -> Expr:
        kind = node.get("type", "real")
        parts = [(node.text or "").strip(), *((child.tail or "").strip() for child in node)]
        try:
            if kind == "e-notation" and len(parts) == 2:
                return number(read_number(f"{parts[0]}e{parts[1]}"))
            if kind == "rational" and len(parts) == 2:
                return number(read_number(parts[0]) / read_number(parts[1]))
            if kind in ("real", "integer", "double") and len(parts) == 1:
                return number(read_number(parts[0]))
        except (ValueError, ZeroDivisionError):
            pass
        text = " ".join(parts)[:80]
        detail = {"en": f'"{text}" is no number of type {kind}', "fr": f"« {text} » n’est pas un nombre de type {kind}"}
        raise ModelInvalid(model=self.model, symbol="MathML cn", detail=detail)

    def piecewise(self, node: Element) -> Expr:
        pieces: list[Expr] = []
        otherwise: list[Expr] = []
        for child in node:
            goal = pieces if local(child) == "piece" else otherwise
            if local(child) not in ("piece", "otherwise"):
                raise self.unknown(local(child))
            if len(child) != (2 if goal is pieces else 1) or (otherwise and goal is otherwise):
                raise self.arity(local(child), len(child))
            goal.extend(self.part(inner) for inner in child)
        if not pieces:
            return otherwise[0] if otherwise else number(math.nan)
        return piecewise(*pieces, *otherwise)

    def apply(self, node: Element) -> Expr:
        if not len(node):
            raise self.arity("apply", 0)
        head, inside = node[0], list(node)[1:]
        tag = local(head)
        qualifiers = {local(child): child for child in inside if local(child) in ("degree", "logbase")}
        args = [self.part(child) for child in inside if local(child) not in qualifiers]
        if tag == "csymbol":
            return self.special(self.symbol_kind(head), args)
        if tag == "ci":
            return Expr("call", tuple(args), (head.text or "").strip())
        if qualifiers:
            return self.qualified(tag, qualifiers, args)
        return self.operator(tag, args)

    def special(self, kind: str, args: list[Expr]) -> Expr:
        if kind == "delay" and len(args) == 2:
            return Expr("delay", tuple(args))
        if kind == "rate" and len(args) == 1 and args[0].op == "sym":
            return Expr("rate", tuple(args))
        raise self.arity(f"csymbol {kind}", len(args))

    def qualified(self, tag: str, qualifiers: Mapping[str, Element], args: list[Expr]) -> Expr:
        name, node = next(iter(qualifiers.items()))
        if (tag, name) not in (("root", "degree"), ("log", "logbase")) or len(qualifiers) > 1:
            raise self.unknown(name)
        if len(args) != 1 or len(node) != 1:
            raise self.arity(tag, len(args))
        value = self.part(node[0])
        if tag == "root":
            return call("sqrt", args[0]) if value == number(2) else call("power", args[0], call("divide", ONE, value))
        return call("log10", args[0]) if value == number(10) else call("divide", call("ln", args[0]), call("ln", value))

    def operator(self, tag: str, args: list[Expr]) -> Expr:  # noqa: PLR0911, PLR0912  one kind of operator a line
        count = len(args)
        if tag in _NEUTRAL:
            if count < 2:
                return args[0] if args else number(_NEUTRAL[tag])
            if args[0].op == tag and tag in ("plus", "times"):  # (a + b) + c is a + b + c, computed in the same order
                args = [*args[0].args, *args[1:]]
            return call(tag, *args)
        if tag in _RELATIONS:
            pairs = [call(tag, left, right) for left, right in pairwise(args)]
            if len(pairs) < 2:
                return pairs[0] if pairs else ONE
            return call("and", *pairs)
        if tag in ("max", "min") and count:
            found = args[0]
            for arg in args[1:]:
                found = call(tag, found, arg)
            return found
        if tag == "minus" and count in (1, 2):
            return call("minus", *args) if count == 2 else call("negative", *args)
        if tag in ("divide", "power", "neq", "quotient", "rem", "implies"):
            if count != 2:
                raise self.arity(tag, count)
            return call("or", call("not", args[0]), args[1]) if tag == "implies" else call(tag, *args)
        if tag in FUNCTIONS or tag in _DERIVED or tag in ("not", "factorial", "root", "log"):
            if count != 1:
                raise self.arity(tag, count)
            if tag in _DERIVED:
                return _DERIVED[tag](args[0])
            return call({"root": "sqrt", "log": "log10"}.get(tag, tag), args[0])
        raise self.arity(tag, count) if tag in ("max", "min", "minus") else self.unknown(tag)


def read_number(text: str) -> float:
    """Return the number that a text is in XML. Raises `ValueError` where it is none; Python's own extras are none."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def rewrite(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """Return the formula with nodes replaced from the leaves up, folded where it may be: calls may still be in it."""
    done: dict[Expr, Expr] = {}
    for node in expr.nodes():
        args = tuple(done[arg] for arg in node.args)
        if args == node.args:
            fresh = node
        else:
            fresh = Expr(node.op, args, node.value) if node.op == "call" else rebuild(node, args)
        changed = change(fresh)
        done[node] = fresh if changed is None else changed
    return done[expr]


def tree_size(expr: Expr) -> int:
    """Return the number of nodes of the formula written out, shared parts counted each time."""
    sizes: dict[Expr, int] = {}
    for node in expr.nodes():
        sizes[node] = 1 + sum(sizes[arg] for arg in node.args)
    return sizes[expr]


class Library:
    """The function definitions of a model; `expand` puts their bodies in the place of their calls."""

    def __init__(self, functions: Mapping[str, Function], model: str) -> None:
        self._functions = functions
        self._model = model
        self._bodies: dict[str, Expr] = {}
        self._open: list[str] = []

    def expand(self, expr: Expr) -> Expr:
        """Return the formula without calls.

        Raises `ModelInvalid` for a function that is not defined, has another number of arguments, calls itself or
        reads a symbol of the model; `ModelUnsupported` where the formula grows beyond `NODES`.
        """
        found = rewrite(expr, lambda node: self._call(str(node.value), node.args) if node.op == "call" else None)
        if tree_size(found) > NODES:
            detail = {"en": f"it has more than {NODES} terms", "fr": f"elle compte plus de {NODES} termes"}
            raise ModelUnsupported(model=self._model, construct="MathML", detail=detail)
        return found

    def _call(self, name: str, args: Sequence[Expr]) -> Expr:
        function = self._functions.get(name)
        if function is None:
            raise self._wrong(name, "no function has this name", "aucune fonction ne porte ce nom")
        if len(args) != len(function.parameters) and function.body is not None:
            wanted = len(function.parameters)
            raise self._wrong(
                name, f"it takes {wanted} arguments, not {len(args)}", f"elle prend {wanted} arguments, pas {len(args)}"
            )
        values = dict(zip(function.parameters, args, strict=False))
        return rewrite(
            self._body(name, function), lambda node: values.get(str(node.value)) if node.op == "sym" else None
        )

    def _body(self, name: str, function: Function) -> Expr:
        if name in self._open:
            cycle = " → ".join([*self._open[self._open.index(name) :], name])
            raise self._wrong(name, f"it calls itself: {cycle}", f"elle s’appelle elle-même : {cycle}")
        if name not in self._bodies:
            self._open.append(name)
            # A function without a formula has no value (Level 3 Version 2, section 4.3).
            body = number(math.nan) if function.body is None else self.expand(function.body)
            self._open.pop()
            foreign = sorted(body.symbols - set(function.parameters))
            if foreign:
                listed = ", ".join(foreign)
                raise self._wrong(
                    name,
                    f"it reads {listed}, no argument of it",
                    f"elle lit {listed}, qui n’est pas un de ses arguments",
                )
            self._bodies[name] = body
        return self._bodies[name]

    def _wrong(self, name: str, english: str, french: str) -> ModelInvalid:
        return ModelInvalid(model=self._model, symbol=name, detail={"en": english, "fr": french})
