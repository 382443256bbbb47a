"""Algebraic rules: which symbol each of them determines, and its formula where the rule is linear in it.

A rule says that an expression is zero (SBML Level 3 Version 2 Core, section 4.9). The symbols that nothing else
determines are matched with the rules (augmenting paths; Berge, PNAS 1957;43:842); a rule without a
partner over-determines the model. Rules that are linear in a partner are solved one after the other, as in Gaussian
elimination, and become assignments; only what is not linear stays a constraint, which the solver keeps at zero.
"""

from collections.abc import Iterable, Mapping

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.expression import (
    LOGIC,
    RELATIONS,
    ZERO,
    Expr,
    add,
    derivative,
    divide,
    multiply,
    negate,
    number,
    piecewise,
    substitute,
    subtract,
    symbol,
    transform,
)
from pepr_kg.twin.sbml.document import two
from pepr_kg.twin.sbml.elements import SbmlModel
from pepr_kg.twin.sbml.mathml import NODES, tree_size
from pepr_kg.twin.sbml.ordering import order
from pepr_kg.twin.sbml.rateof import Rates
from pepr_kg.twin.sbml.system import System

# Operators whose slope is zero although their value is not constant: what is inside is not linear.
_STEPS = (*RELATIONS, *LOGIC, "floor", "ceiling", "quotient", "factorial", "delay")


def solve_constraints(system: System, model: SbmlModel) -> None:
    """Turn the constraints of a system into formulas where they are linear; what is left determines `system.unknowns`.

    Raises `ModelInvalid` for a rule whose symbols are all determined by something else, and `ModelUnsupported` for an
    event that assigns what a rule determines.
    """
    if not system.constraints:
        return
    settled = len(system.unknowns)  # constraints of fast reactions come first, each with its unknown
    order(system.formulas, system.formulas, system.name)
    found = _match(system, model, system.constraints[settled:])
    unknowns = [*system.unknowns, *found]
    for name in found:
        if system.core[name] in system.changed:
            detail = two(
                f"an event assigns {name}, which it determines", f"un événement assigne {name}, qu’elle détermine"
            )
            raise ModelUnsupported(model=system.name, construct="algebraicRule", detail=detail)
        _free(system, model, name)
    rates = Rates(system.name, system.formulas, system.rates, frozenset(unknowns))
    system.constraints = [rates.replace(rule) for rule in system.constraints]
    system.unknowns = _eliminate(system, unknowns)


def _match(system: System, model: SbmlModel, rules: list[Expr]) -> list[str]:
    """Return the symbol that each rule determines. Symbols that no event assigns are preferred."""
    names = [item.symbol for item in model.compartments if not item.constant]
    names += [item.symbol for item in model.species if not item.constant]
    names += [item.symbol for item in model.parameters if not item.constant]
    names += [item.symbol for one in model.reactions for item in one.references if item.symbol and not item.constant]
    free = [name for name in names if name not in system.given]
    quiet = [name for name in free if system.core[name] not in system.changed]
    partner: dict[str, int] = {}
    for choice in (quiet, free):
        partner.clear()
        reached = [_reached(system, rule, set(choice)) for rule in rules]
        left = [at for at in range(len(rules)) if not _augment(at, reached, partner)]
        if not left:
            break
    else:
        shown = ", ".join(sorted(rules[left[0]].symbols)) or str(rules[left[0]])
        detail = two(
            f"the model is over-determined: other rules or reactions give all of {shown}",
            f"le modèle est surdéterminé : d’autres règles ou réactions donnent tous ces symboles : {shown}",
        )
        raise ModelInvalid(model=system.name, symbol="algebraicRule", detail=detail)
    owner = {at: name for name, at in partner.items()}
    return [owner[at] for at in range(len(rules))]


def _reached(system: System, rule: Expr, free: set[str]) -> list[str]:
    """Return the free symbols that a rule reads, also through formulas; those that it names itself first."""
    found: dict[str, None] = {}
    waiting, seen = sorted(rule.symbols), set(rule.symbols)
    while waiting:
        name = waiting.pop(0)
        if name in free:
            found[name] = None
        elif name in system.formulas:
            new = sorted(system.formulas[name].symbols - seen)
            seen.update(new)
            waiting += new
    return list(found)


def _augment(rule: int, reached: list[list[str]], partner: dict[str, int]) -> bool:
    """Give a rule a partner, and other rules other partners for it; return whether there is a way."""
    came: dict[str, int] = {}  # the rule from which a symbol was reached
    held = {at: name for name, at in partner.items()}
    waiting = [rule]
    while waiting:
        at = waiting.pop(0)
        for name in reached[at]:
            if name in came:
                continue
            came[name] = at
            if name in partner:
                waiting.append(partner[name])
                continue
            while True:  # back along the way, each rule takes the symbol that it reached
                at = came[name]
                partner[name], given = at, held.get(at)
                if given is None:
                    return True
                name = given  # noqa: PLW2901
    return False


def _free(system: System, model: SbmlModel, name: str) -> None:
    """Let the symbol itself be the unknown: the amount of a species follows from its concentration."""
    core = system.core[name]
    if core != name:
        species = next(item for item in model.species if item.symbol == name)
        del system.formulas[name]
        system.formulas[core] = multiply(symbol(name), symbol(species.compartment))
        system.core[name] = name


def _eliminate(system: System, unknowns: list[str]) -> list[str]:
    """Solve what is linear; return the unknowns of what is left."""
    while True:
        within = _dependent(system, unknowns)
        rules = [_inline(rule, within, system.name) for rule in system.constraints]
        for at, rule in enumerate(rules):
            for name in [unknowns[at], *(other for other in unknowns if other != unknowns[at])]:
                solution = solve(rule, name)
                if solution is not None:
                    _give(system, name, solution)
                    other = unknowns.index(name)
                    unknowns[at], unknowns[other] = unknowns[other], unknowns[at]
                    del unknowns[at], system.constraints[at]
                    break
            else:
                continue
            break
        else:
            break
    for rule in rules:
        if not any(_moves(rule, name) for name in unknowns):
            detail = two(
                f"the model is over-determined: nothing is left to make {rule} zero",
                f"le modèle est surdéterminé : rien ne reste pour annuler {rule}",
            )
            raise ModelInvalid(model=system.name, symbol="algebraicRule", detail=detail)
    system.constraints = rules
    return unknowns


def _give(system: System, name: str, formula: Expr) -> None:
    system.formulas[name] = system.start[name] = formula
    amount = f"{name}.amount"
    if amount in system.formulas:
        system.start[amount] = system.formulas[amount]


def _dependent(system: System, unknowns: Iterable[str]) -> Mapping[str, Expr]:
    """Return the formulas that depend on unknowns, each with such formulas put in."""
    hot = set(unknowns)
    found: dict[str, Expr] = {}
    for name in order(system.formulas, system.formulas, system.name):
        formula = system.formulas[name]
        if formula.symbols & hot:
            hot.add(name)
            found[name] = _inline(formula, found, system.name)
    return found


def _inline(expr: Expr, within: Mapping[str, Expr], model: str) -> Expr:
    found = substitute(expr, within)
    if tree_size(found) > NODES:
        detail = two("its algebraic rules grow too large", "ses règles algébriques deviennent trop grandes")
        raise ModelUnsupported(model=model, construct="algebraicRule", detail=detail)
    return found


def solve(rule: Expr, name: str) -> Expr | None:
    """Return the formula of a symbol that makes the expression zero; None where the expression is not linear in it.

    >>> from pepr_kg.twin.expression import number, symbol
    >>> str(solve(subtract(multiply(number(2), symbol("x")), symbol("a")), "x"))
    'a/2'
    """
    if name not in rule.symbols or _has_steps(rule, name):
        return None
    slope = simplify(derivative(rule, name))
    if slope == ZERO or name in slope.symbols:
        return None
    rest = simplify(substitute(rule, {name: ZERO}))
    if slope.is_number and isinstance(slope.value, float) and slope.value < 0:
        return divide(rest, number(-slope.value))
    return negate(rest) if slope == number(1) else divide(negate(rest), slope)


def _has_steps(rule: Expr, name: str) -> bool:
    return any(node.op in _STEPS and name in node.symbols for node in rule.nodes())


def _moves(rule: Expr, name: str) -> bool:
    """Return whether the value of the expression depends on a symbol; x - x does not."""
    if name not in rule.symbols:
        return False
    return _has_steps(rule, name) or simplify(derivative(rule, name)) != ZERO


def simplify(expr: Expr) -> Expr:
    """Return the formula without sums of zero, products with zero or one, and opposites of opposites."""

    def change(node: Expr) -> Expr | None:
        args = node.args
        if node.op == "plus":
            return add(*args)
        if node.op == "times":
            return multiply(*args)
        if node.op == "minus":
            return subtract(*args)
        if node.op == "divide":
            return divide(*args)
        if node.op == "negative":
            return negate(*args)
        return piecewise(*args) if node.op == "piecewise" else None

    return transform(expr, change)
