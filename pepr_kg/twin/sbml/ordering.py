"""The order in which formulas can be computed, and the loop that is in the way where there is none."""

from collections.abc import Iterable, Iterator, Mapping

from pepr_kg.twin.errors import ModelInvalid
from pepr_kg.twin.expression import Expr
from pepr_kg.twin.sbml.document import two
from pepr_kg.twin.sbml.mathml import rewrite


def order(formulas: Mapping[str, Expr], wanted: Iterable[str], model: str) -> list[str]:
    """Return the names of `formulas` that `wanted` needs, each after those that it reads.

    Names without a formula are taken as given. Raises `ModelInvalid` with the names on a loop, in its order.

    >>> from pepr_kg.twin.expression import add, number, symbol
    >>> order({"a": add(symbol("b"), number(1)), "b": symbol("c")}, ["a"], "example")
    ['b', 'a']
    """
    done: dict[str, None] = {}
    for goal in wanted:
        if goal in done or goal not in formulas:
            continue
        path: dict[str, Iterator[str]] = {goal: _reads(formulas, goal)}
        while path:
            name, following = next(reversed(path.items()))
            for read in following:
                if read in path:
                    names = list(path)
                    raise loop(names[names.index(read) :], model)
                if read not in done:
                    path[read] = _reads(formulas, read)
                    break
            else:
                done[name] = None
                del path[name]
    return list(done)


def _reads(formulas: Mapping[str, Expr], name: str) -> Iterator[str]:
    return iter(sorted(read for read in _now(formulas[name]) if read in formulas))


def _now(formula: Expr) -> frozenset[str]:
    """Return the symbols whose value is needed at the same time: what a delay holds is the past."""
    if not formula.has("delay"):
        return formula.symbols
    return rewrite(formula, lambda node: node.args[1] if node.op == "delay" else None).symbols


def loop(names: list[str], model: str) -> ModelInvalid:
    """Return the error of symbols that need each other."""
    shown = " → ".join([*names, names[0]])
    return ModelInvalid(
        model=model,
        symbol=names[0],
        detail=two(
            f"each of these needs the next, in a loop: {shown}", f"chacun a besoin du suivant, en boucle : {shown}"
        ),
    )
