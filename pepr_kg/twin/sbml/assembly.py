"""The equations of an SBML model in order, with units, frozen into a `Model`."""

from collections.abc import Iterable, Mapping

from pepr_kg.twin.expression import TIME, Expr, substitute, subtract
from pepr_kg.twin.model import Assignment, Model, Variable
from pepr_kg.twin.sbml.elements import Compartment, Parameter, SbmlModel, Species
from pepr_kg.twin.sbml.mathml import rewrite
from pepr_kg.twin.sbml.ordering import order
from pepr_kg.twin.sbml.system import System
from pepr_kg.twin.sbml.units import UnitTable


def assemble(system: System, sbml: SbmlModel, name: str, digest: str, source: str) -> Model:
    """Return the model in core form. Raises `ModelInvalid` with the symbols of a loop where the formulas have no
    order.
    """
    assigned = order(system.formulas, system.formulas, system.name)
    initial = _initial(system)
    states = tuple(item for item in system.start if item in system.rates)
    unknowns = tuple(system.unknowns)
    cores = [item.symbol for item in initial]
    discretes = tuple(
        item for item in cores if item in system.changed and item not in system.rates and item not in unknowns
    )
    known = {*states, *discretes, *unknowns}
    units = UnitTable(sbml)
    return Model(
        name=name,
        title=sbml.title,
        digest=digest,
        source=source,
        level=sbml.level,
        version=sbml.version,
        time_unit=units.time,
        variables=tuple(_variables(system, sbml, units, set(discretes))),
        constants=tuple(item for item in cores if item not in known),
        states=states,
        discretes=discretes,
        algebraic=unknowns,
        rates=tuple(system.rates[item] for item in states),
        initial=initial,
        assignments=tuple(Assignment(item, system.formulas[item]) for item in assigned),
        constraints=tuple(system.constraints),
        events=tuple(system.events),
        annotations=sbml.annotations,
        notes=sbml.notes,
    )


def _initial(system: System) -> tuple[Assignment, ...]:
    """Return the start of all that does not follow from a formula, in an order in which it can be computed."""
    start = system.start
    shown = {name: rewrite(expr, _present) if expr.has("delay") else expr for name, expr in start.items()}
    closed: dict[str, Expr] = {}
    moving: dict[str, Expr] = {}  # what depends on the time before the start too
    found: list[Assignment] = []
    for name in order(shown, [item for item in start if item not in system.formulas], system.name):
        formula = substitute(_before(start[name], {**closed, **moving}), closed)
        if formula.has("time"):
            moving[name] = substitute(formula, moving)
        if name in system.formulas:
            closed[name] = formula
        else:
            found.append(Assignment(name, formula))
    return tuple(found)


def _present(node: Expr) -> Expr | None:
    return node.args[0] if node.op == "delay" else None


def _before(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """Return a formula for the start, in which what is looked back on is what the formulas of the start give earlier.

    Only the time goes back: what does not depend on it was before the start as it is then.
    """
    if not expr.has("delay"):
        return expr

    def change(node: Expr) -> Expr | None:
        if node.op != "delay":
            return None
        earlier = subtract(TIME, node.args[1])
        return rewrite(substitute(node.args[0], values), lambda part: earlier if part.op == "time" else None)

    return rewrite(expr, change)


def _variables(system: System, sbml: SbmlModel, units: UnitTable, discretes: set[str]) -> Iterable[Variable]:
    def describe(name: str, kind: str, unit: str | None, item: Compartment | Species | Parameter) -> Variable:
        core = system.core[name]
        return Variable(
            symbol=name,
            kind=kind,
            role=_role(system, core, discretes),
            unit=unit,
            name=item.name,
            core=core,
            compartment=item.compartment if isinstance(item, Species) and core != name else None,
        )

    for compartment in sbml.compartments:
        yield describe(compartment.symbol, "compartment", units.compartment(compartment), compartment)
    for species in sbml.species:
        yield describe(species.symbol, "species", units.species(species), species)
    for parameter in sbml.parameters:
        yield describe(parameter.symbol, "parameter", units.of(parameter.units), parameter)
    for reaction in sbml.reactions:
        for item in reaction.references:
            if item.symbol:
                role = _role(system, system.core[item.symbol], discretes)
                yield Variable(item.symbol, "reference", role, "1", item.name, system.core[item.symbol])
        yield Variable(reaction.symbol, "reaction", "derived", units.reaction, reaction.name, reaction.symbol)
        for own in reaction.parameters:
            yield describe(f"{reaction.symbol}.{own.symbol}", "parameter", units.of(own.units), own)


def _role(system: System, core: str, discretes: set[str]) -> str:
    if core in system.unknowns:
        return "algebraic"
    if core in system.rates:
        return "state"
    if core in discretes:
        return "discrete"
    return "derived" if core in system.formulas else "constant"
