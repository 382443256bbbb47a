"""The meaning of an SBML model as equations: the start of each symbol, how it changes, what it follows from.

A species that counts as a concentration is carried as its amount `S.amount`, and `S` is that over the size of its
compartment; so a compartment that changes its size keeps what is in it (SBML Level 3 Version 2 Core, section 4.6).
One that a rule assigns, or an algebraic rule determines, is carried as it is written. Section numbers in this file
are those of that document.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pepr_kg.twin.errors import ModelInvalid
from pepr_kg.twin.expression import ONE, ZERO, Expr, add, divide, multiply, negate, number, substitute, symbol
from pepr_kg.twin.model import Event, EventAssignment
from pepr_kg.twin.sbml.document import two
from pepr_kg.twin.sbml.elements import Compartment, Happening, Reaction, Reference, SbmlModel, Species
from pepr_kg.twin.sbml.mathml import Library
from pepr_kg.twin.sbml.rateof import Rates


@dataclass(slots=True)
class System:
    """The equations while they are made; `assembly` freezes them into a `Model`.

    `formulas` are of symbols that follow from others at all times; `rates` of symbols with a rate of change; `start`
    is the value of every symbol at the start; `constraints` are zero at all times and determine `unknowns`; `fast`
    gives what one turn of a fast reaction adds to each core symbol, and `rates` hold the slow reactions alone.
    """

    name: str
    formulas: dict[str, Expr] = field(default_factory=dict)
    rates: dict[str, Expr] = field(default_factory=dict)
    start: dict[str, Expr] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)  # core symbols that events assign
    core: dict[str, str] = field(default_factory=dict)  # of a symbol of the file
    given: dict[str, str] = field(default_factory=dict)  # the rule or the reaction that determines a symbol
    constraints: list[Expr] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)
    fast: dict[str, dict[str, Expr]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


def make_system(model: SbmlModel) -> System:
    """Return the equations of a model, still with algebraic rules and fast reactions as they are.

    Raises `ModelInvalid` for symbols that are not defined, constant and yet changed, or determined twice.
    """
    return _Maker(model).make()


class _Maker:
    def __init__(self, model: SbmlModel) -> None:
        self.model = model
        self.library = Library(model.functions, model.name)
        self.system = System(model.name)
        self.compartments: Mapping[str, Compartment] = {item.symbol: item for item in model.compartments}
        self.species: Mapping[str, Species] = {item.symbol: item for item in model.species}
        self.initial: dict[str, Expr] = {}
        self.constant: dict[str, bool] = {}

    def make(self) -> System:
        self.declare()
        self.reactions()
        self.rules()
        for species in self.model.species:
            self.quantities(species)
        self.begin()
        self.happenings()
        return self.system

    # What is there ---------------------------------------------------------------------------------------------------

    def declare(self) -> None:
        model, constant = self.model, self.constant
        constant.update({item.symbol: item.constant for item in model.compartments})
        constant.update({item.symbol: item.constant for item in model.species})
        constant.update({item.symbol: item.constant for item in model.parameters})
        for reaction in model.reactions:
            constant[reaction.symbol] = True
            constant.update({item.symbol: item.constant for item in reaction.references if item.symbol})
        for rule in model.initial:
            self.check_target(rule.symbol, "initialAssignment")
            if rule.symbol in self.initial:
                raise self.twice(rule.symbol)
            self.initial[rule.symbol] = self.formula(rule.formula, rule.symbol)
        for name in constant:
            self.system.core[name] = name
        for species in model.species:
            if species.compartment not in self.compartments:
                raise self.undefined(species.compartment, species.symbol)
            if self.is_concentration(species):
                self.system.core[species.symbol] = f"{species.symbol}.amount"

    def formula(self, expr: Expr, owner: str) -> Expr:
        """Return a formula without calls whose symbols all have a value."""
        found = self.library.expand(expr)
        for name in sorted(found.symbols):
            if name not in self.constant:
                raise self.undefined(name, owner)
        return found

    def undefined(self, name: str, owner: str) -> ModelInvalid:
        detail = two(
            f"{owner} reads it, but nothing gives it a value", f"{owner} l’emploie, mais rien ne lui donne de valeur"
        )
        return ModelInvalid(model=self.model.name, symbol=name, detail=detail)

    def twice(self, name: str) -> ModelInvalid:
        detail = two("two rules or reactions determine it", "deux règles ou réactions le déterminent")
        return ModelInvalid(model=self.model.name, symbol=name, detail=detail)

    def check_target(self, name: str, kind: str, may_be_constant: bool = True) -> None:
        if name not in self.constant or any(name == reaction.symbol for reaction in self.model.reactions):
            detail = two(
                f"the {kind} has no such symbol to change", f"l’élément {kind} n’a pas de tel symbole à changer"
            )
            raise ModelInvalid(model=self.model.name, symbol=name, detail=detail)
        if self.constant[name] and not may_be_constant:
            detail = two(
                f"it is constant and the target of a {kind}", f"il est constant et la cible d’un élément {kind}"
            )
            raise ModelInvalid(model=self.model.name, symbol=name, detail=detail)

    def is_concentration(self, species: Species) -> bool:
        """Whether the symbol means a concentration; without dimensions there is none (section 4.6)."""
        return not species.only_substance and self.compartments[species.compartment].dimensions != 0

    # What changes ----------------------------------------------------------------------------------------------------

    def reactions(self) -> None:
        changes: dict[str, list[Expr]] = {}
        for reaction in self.model.reactions:
            self.system.formulas[reaction.symbol] = self.speed(reaction)
            turn: dict[str, Expr] = {}
            for reference in reaction.references:
                species = self.species.get(reference.species)
                if species is None:
                    raise self.undefined(reference.species, reaction.symbol)
                amount = self.stoichiometry(reference, reaction)
                if species.boundary or species.constant:
                    continue
                name = species.symbol
                changes.setdefault(name, [])
                if reaction.fast:
                    core = self.system.core[name]
                    turn[core] = add(turn.get(core, ZERO), multiply(amount, self.conversion(species)))
                else:
                    changes[name].append(multiply(amount, symbol(reaction.symbol)))
            if reaction.fast:
                self.system.fast[reaction.symbol] = turn
        for name, terms in changes.items():
            self.system.rates[self.system.core[name]] = multiply(add(*terms), self.conversion(self.species[name]))
            self.system.given[name] = "reaction"

    def conversion(self, species: Species) -> Expr:
        """Return the factor from the extent of a reaction to the substance of a species (section 4.11)."""
        factor = species.conversion or self.model.conversion
        if not factor:
            return ONE
        if factor not in self.constant:
            raise self.undefined(factor, species.symbol)
        return symbol(factor)

    def speed(self, reaction: Reaction) -> Expr:
        """Return the rate of a reaction; its own parameters hide symbols of the model and are `R.k` outside."""
        own = {item.symbol: f"{reaction.symbol}.{item.symbol}" for item in reaction.parameters}
        for item in reaction.parameters:
            name = own[item.symbol]
            self.constant[name] = True
            self.system.core[name] = name
            self.system.start[name] = number(math.nan if item.value is None else item.value)
        if reaction.formula is None:
            return ZERO
        found = self.library.expand(reaction.formula)
        return self.formula(substitute(found, {name: symbol(full) for name, full in own.items()}), reaction.symbol)

    def stoichiometry(self, reference: Reference, reaction: Reaction) -> Expr:
        if reference.formula is not None:
            found = self.formula(reference.formula, reaction.symbol)
            if reference.symbol:
                self.system.formulas[reference.symbol] = found
                self.system.given[reference.symbol] = "assignment"
        elif reference.symbol:
            found = symbol(reference.symbol)
        else:
            found = number(math.nan if reference.stoichiometry is None else reference.stoichiometry)
        return negate(found) if reference.sign < 0 else found

    def rules(self) -> None:
        system = self.system
        for rule in self.model.rules:
            formula = self.formula(rule.formula, rule.symbol or "algebraicRule")
            if rule.kind == "algebraic":
                system.constraints.append(formula)
                continue
            self.check_target(rule.symbol, f"{rule.kind}Rule", may_be_constant=False)
            if rule.symbol in system.given or (rule.kind == "assignment" and rule.symbol in self.initial):
                raise self.twice(rule.symbol)
            system.given[rule.symbol] = rule.kind
            if rule.kind == "assignment":
                system.formulas[rule.symbol] = formula
                system.core[rule.symbol] = rule.symbol
            else:
                system.rates[system.core[rule.symbol]] = formula

    def quantities(self, species: Species) -> None:
        """Give the amount and the concentration of a species; a rate rule is of what its symbol means (section 4.9)."""
        system, name = self.system, species.symbol
        amount, concentration = f"{name}.amount", f"{name}.concentration"
        dimensionless = self.compartments[species.compartment].dimensions == 0
        size = symbol(species.compartment)
        if not self.is_concentration(species):
            system.formulas[amount] = symbol(name)
            if not dimensionless:
                system.formulas[concentration] = divide(symbol(name), size)
            return
        system.formulas[concentration] = symbol(name)
        if system.core[name] == name:
            system.formulas[amount] = multiply(symbol(name), size)
            return
        system.formulas[name] = divide(symbol(amount), size)
        if system.given.get(name) == "rate":
            grown = multiply(symbol(name), Expr("rate", (size,)))
            system.rates[amount] = add(multiply(system.rates[amount], size), grown)

    # The start -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Give every symbol its value at the start; rules hold at the start too (section 3.4)."""
        start, model = self.system.start, self.model
        start.update(self.system.formulas)
        plain = [(item.symbol, item.size) for item in model.compartments] + [
            (item.symbol, item.value) for item in model.parameters
        ]
        plain += [
            (item.symbol, item.stoichiometry)
            for reaction in model.reactions
            for item in reaction.references
            if item.symbol
        ]
        for name, value in plain:
            if self.system.given.get(name) != "assignment":
                start[name] = self.initial.get(name, number(math.nan if value is None else value))
        for species in model.species:
            if self.system.given.get(species.symbol) != "assignment":
                self.begin_species(species)

    def begin_species(self, species: Species) -> None:
        start, name, size = self.system.start, species.symbol, symbol(species.compartment)
        core = self.system.core[name]
        amount = number(math.nan if species.amount is None else species.amount)
        if name in self.initial:
            start[name] = self.initial[name]
            if core != name:
                start[core] = multiply(symbol(name), size)
        elif species.concentration is not None and species.amount is None:
            if core != name:
                start[name] = number(species.concentration)
                start[core] = multiply(symbol(name), size)
            else:
                start[name] = multiply(number(species.concentration), size)
        else:
            start[core] = amount

    # Events ----------------------------------------------------------------------------------------------------------

    def happenings(self) -> None:
        for happening in self.model.events:
            if happening.trigger is not None:  # without a formula it never fires (section 4.12)
                self.system.events.append(self.event(happening, happening.trigger))

    def event(self, happening: Happening, trigger: Expr) -> Event:
        def read(expr: Expr | None) -> Expr | None:
            return None if expr is None else self.formula(expr, happening.symbol)

        return Event(
            happening.symbol,
            self.formula(trigger, happening.symbol),
            tuple(self.assignments(happening)),
            read(happening.delay),
            read(happening.priority),
            happening.initial,
            happening.persistent,
            happening.from_trigger,
        )

    def assignments(self, happening: Happening) -> Iterator[EventAssignment]:
        seen: set[str] = set()
        for rule in happening.assignments:
            self.check_target(rule.symbol, "eventAssignment", may_be_constant=False)
            if rule.symbol in seen or self.system.given.get(rule.symbol) == "assignment":
                raise self.twice(rule.symbol)
            seen.add(rule.symbol)
            core = self.system.core[rule.symbol]
            self.system.changed.add(core)
            compartment = None if core == rule.symbol else self.species[rule.symbol].compartment
            yield EventAssignment(core, self.formula(rule.formula, happening.symbol), compartment)


def without_rates(system: System) -> None:
    """Put formulas in the place of the rates that formulas read, everywhere in the system."""
    rates = Rates(system.name, system.formulas, system.rates, frozenset(system.unknowns))
    system.formulas = {name: rates.replace(expr) for name, expr in system.formulas.items()}
    system.rates = {name: rates.replace(expr) for name, expr in system.rates.items()}
    system.start = {name: rates.replace(expr) for name, expr in system.start.items()}
    system.constraints = [rates.replace(expr) for expr in system.constraints]
    system.events = [
        Event(
            event.symbol,
            rates.replace(event.trigger),
            tuple(
                EventAssignment(item.symbol, rates.replace(item.formula), item.compartment)
                for item in event.assignments
            ),
            None if event.delay is None else rates.replace(event.delay),
            None if event.priority is None else rates.replace(event.priority),
            event.initial,
            event.persistent,
            event.from_trigger,
        )
        for event in system.events
    ]
