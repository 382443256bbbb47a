"""Fast reactions as a quasi-equilibrium: they have happened, and what they do not change goes on slowly.

The amounts of the species that fast reactions change are split: as many as the reactions are independent become
unknowns, which the equilibrium determines; the others follow from conserved combinations, states of their own, that
only slow reactions change. With the stoichiometries N of the fast reactions (species by reactions), N = M R in
reduced form, the conserved combinations are the left null space of N and the equilibrium is R v = 0 (SBML Level 3
Version 1 Core, section 4.11; Schuster & Schuster, J Math Chem 1989;3:25). The value at the start is that after the
fast reactions, as the SBML Test Suite expects.
"""

from dataclasses import replace

from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.expression import ONE, ZERO, Expr, add, call, divide, multiply, negate, substitute, subtract, symbol
from pepr_kg.twin.model import Event, EventAssignment
from pepr_kg.twin.sbml.algebraic import simplify
from pepr_kg.twin.sbml.document import two
from pepr_kg.twin.sbml.system import System

Row = list[Expr]


def settle_fast(system: System) -> None:
    """Replace fast reactions by constraints, unknowns and conserved states.

    Raises `ModelUnsupported` for stoichiometries that change, for formulas that read the rate of a fast reaction, and
    for events with a delay on what takes part in one.
    """
    if not system.fast:
        return
    _check(system)
    species = list(dict.fromkeys(core for reaction in system.fast.values() for core in reaction))
    if not species:
        return
    reduced, pivots, weights = _reduce([[part.get(core, ZERO) for part in system.fast.values()] for core in species])
    conserved = {species[at]: row for at, row in enumerate(weights) if at not in pivots}
    chosen = [species[at] for at in pivots]
    raw = {core: _raw(system, core) for core in species}
    for core, row in conserved.items():
        total = f"{core.removesuffix('.amount')}.conserved"
        mixed = [multiply(weight, symbol(name)) for weight, name in zip(row, chosen, strict=True)]
        system.formulas[core] = add(symbol(total), *mixed)
        slow = [multiply(weight, system.rates[name]) for weight, name in zip(row, chosen, strict=True)]
        system.rates[total] = simplify(subtract(system.rates.pop(core), add(*slow)))
        begun = [multiply(weight, raw[name]) for weight, name in zip(row, chosen, strict=True)]
        system.start[total] = simplify(subtract(raw[core], add(*begun)))
        system.start[core] = system.formulas[core]
    for name in chosen:
        del system.rates[name]
    speeds = [system.formulas[reaction] for reaction in system.fast]
    constraints = [
        simplify(add(*(multiply(part, speed) for part, speed in zip(row, speeds, strict=True)))) for row in reduced
    ]
    system.events = [_event(system, event, conserved, chosen) for event in system.events]
    for name, constraint in zip(chosen, constraints, strict=True):
        spent = _exhausted(system, name, conserved) if len(system.fast) == 1 else None
        if spent is not None:
            system.formulas[name] = system.start[name] = spent
            continue
        system.unknowns.append(name)
        system.constraints.insert(len(system.unknowns) - 1, constraint)


def _check(system: System) -> None:
    """Refuse what has no meaning here: the rate of an equilibrium, and a stoichiometry that changes."""
    readers = [*system.formulas.values(), *system.rates.values(), *system.constraints]
    for event in system.events:
        readers += [event.trigger, *(item.formula for item in event.assignments)]
        readers += [expr for expr in (event.delay, event.priority) if expr is not None]
    for reaction, changes in system.fast.items():
        if any(reaction in reader.symbols for reader in readers):
            raise _unsupported(
                system, f"a formula reads the rate of {reaction}", f"une formule lit la vitesse de {reaction}"
            )
        for change in changes.values():
            if _varies(system, change):
                raise _unsupported(
                    system, f"the stoichiometry of {reaction} changes", f"la stœchiométrie de {reaction} varie"
                )


def _varies(system: System, expr: Expr) -> bool:
    waiting, seen = [expr], set(expr.symbols)
    while waiting:
        part = waiting.pop()
        if part.has("time", "delay", "rate"):
            return True
        for name in part.symbols:
            if name in system.rates or name in system.changed:
                return True
            if name in system.formulas and name not in seen:
                waiting.append(system.formulas[name])
        seen |= part.symbols
    return False


def _unsupported(system: System, english: str, french: str) -> ModelUnsupported:
    return ModelUnsupported(model=system.name, construct="fast", detail=two(english, french))


def _reduce(matrix: list[Row]) -> tuple[list[Row], list[int], list[Row]]:
    """Return R (reduced rows), the rows of `matrix` that are independent, and each row's weights over these.

    The rows are taken in their order; entries may be symbols, which count as not zero.
    """
    basis: list[
        Row
    ] = []  # combinations of independent rows, each 1 in a column of its own and 0 in those of the others
    columns: list[int] = []
    pivots: list[int] = []
    made: list[Row] = []  # each basis row as weights over the independent rows
    for at, row in enumerate(matrix):
        rest, weights = list(row), [ZERO] * len(basis)
        for index, column in enumerate(columns):
            factor = rest[column]
            if factor == ZERO:
                continue
            rest = [_less(value, factor, part) for value, part in zip(rest, basis[index], strict=True)]
            weights = [_less(value, factor, part) for value, part in zip(weights, made[index], strict=True)]
        column = next((place for place, value in enumerate(rest) if value != ZERO), -1)
        if column < 0:
            continue
        lead = rest[column]
        rest = [ONE if value == lead else simplify(divide(value, lead)) for value in rest]
        weights = [simplify(divide(value, lead)) for value in (*weights, ONE)]
        for index, old in enumerate(basis):
            factor = old[column]
            made[index] = [
                _less(value, factor, part) for value, part in zip([*made[index], ZERO], weights, strict=True)
            ]
            basis[index] = [_less(value, factor, part) for value, part in zip(old, rest, strict=True)]
        basis.append(rest)
        columns.append(column)
        pivots.append(at)
        made.append(weights)
    return basis, pivots, [_weights(row, columns, made) for row in matrix]


def _less(value: Expr, factor: Expr, part: Expr) -> Expr:
    """Return value - factor part, zero where both are the same product."""
    product = simplify(multiply(factor, part))
    return ZERO if value == product else simplify(subtract(value, product))


def _weights(row: Row, columns: list[int], made: list[Row]) -> Row:
    """Return the row as weights over the independent rows."""
    parts = [[multiply(row[column], value) for value in made[index]] for index, column in enumerate(columns)]
    return [simplify(add(*terms)) for terms in zip(*parts, strict=True)]


def _raw(system: System, core: str) -> Expr:
    """Return the amount before the fast reactions, and let what is read from it at the start be that after them."""
    name = core.removesuffix(".amount")
    found = system.start[core]
    if core != name:
        found = substitute(found, {name: system.start[name]})
        system.start[name] = system.formulas[name]
    return found


def _exhausted(system: System, name: str, conserved: dict[str, Row]) -> Expr | None:
    """Return the amount that an irreversible reaction of several species leaves: it ends with the first that is used
    up.

    The rate must be a product in which each species that the reaction uses is a factor, or a power of it is.
    """
    ((reaction, changes),) = system.fast.items()
    factors = _factors(system.formulas[reaction])
    bases = {factor.args[0] if factor.op == "power" and factor.args[1].is_number else factor for factor in factors}
    names = {part for core in changes for part in (core, core.removesuffix(".amount"))}
    if any(base.op != "sym" and _follows(system, base, names) for base in bases):
        return None
    taking = {base.value for base in bases if base.op == "sym"}
    used = [core for core, change in changes.items() if _negative(change)]
    if name not in used or not all(core in taking or core.removesuffix(".amount") in taking for core in used):
        return None
    # where one is used up, name = -conserved / weight; the reaction stops at the largest of these
    found = ZERO
    for core in used:
        if core != name:
            total = symbol(f"{core.removesuffix('.amount')}.conserved")
            found = call("max", found, simplify(divide(negate(total), conserved[core][0])))
    return found


def _negative(change: Expr) -> bool:
    if change.op == "times":
        return sum(_negative(part) for part in change.args) % 2 == 1
    return change.op == "negative" or (isinstance(change.value, float) and change.value < 0)


def _follows(system: System, expr: Expr, names: set[str]) -> bool:
    """Return whether the value of a formula depends on one of the names."""
    waiting, seen = sorted(expr.symbols), set(expr.symbols)
    while waiting:
        name = waiting.pop()
        if name in names:
            return True
        new = system.formulas[name].symbols - seen if name in system.formulas else frozenset()
        seen |= new
        waiting += sorted(new)
    return False


def _factors(expr: Expr) -> list[Expr]:
    if expr.op != "times":
        return [expr]
    return [factor for arg in expr.args for factor in _factors(arg)]


def _event(system: System, event: Event, conserved: dict[str, Row], chosen: list[str]) -> Event:
    """Return the event with assignments to conserved states in the place of those to species in fast reactions."""
    given = {item.symbol: item for item in event.assignments if item.symbol in conserved or item.symbol in chosen}
    if not given:
        return event
    if event.delay is not None and event.from_trigger:
        raise _unsupported(system, f"the event {event.symbol} has a delay", f"l’événement {event.symbol} a un délai")

    def after(core: str) -> Expr:
        item = given.get(core)
        if item is None:
            return symbol(core)
        return item.formula if item.compartment is None else multiply(item.formula, symbol(item.compartment))

    fresh: list[EventAssignment] = [item for item in event.assignments if item.symbol not in given]
    for core, row in conserved.items():
        total = f"{core.removesuffix('.amount')}.conserved"
        mixed = [multiply(weight, after(name)) for weight, name in zip(row, chosen, strict=True)]
        fresh.append(EventAssignment(total, subtract(after(core), add(*mixed))))
        system.changed.add(total)
    system.changed -= given.keys()
    return replace(event, assignments=tuple(fresh))
