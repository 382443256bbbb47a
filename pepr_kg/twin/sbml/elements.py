"""What an SBML file says, element by element, as frozen values: close to the file, and the same for Level 2 and Level
3.

The defaults of Level 2 are filled in; formulas are expressions in which functions are still called. Nothing is
computed here: `assembly` gives the elements their meaning. Sources: SBML Level 3 Version 2 Core, release 2; SBML
Level 2 Version 5.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.expression import Expr
from pepr_kg.twin.model import Annotation
from pepr_kg.twin.sbml.annotations import read_annotations
from pepr_kg.twin.sbml.document import child, listed, two
from pepr_kg.twin.sbml.mathml import Function, local, read_function, read_math, read_number

# The parts of a unit and their defaults in Level 2; no unit has an exponent or a power of ten beyond the largest.
_UNIT = {"exponent": 1.0, "scale": 0.0, "multiplier": 1.0}
_LARGEST = 300.0

Units = tuple[tuple[str, float, int, float], ...]  # kind, exponent, scale, multiplier


@dataclass(frozen=True, slots=True)
class UnitDefinition:
    """A unit of the file: a product of powers; `name` as written."""

    symbol: str
    name: str
    units: Units


@dataclass(frozen=True, slots=True)
class Compartment:
    """A compartment; `size` None where the file gives none."""

    symbol: str
    dimensions: float
    size: float | None
    units: str
    constant: bool
    name: str


@dataclass(frozen=True, slots=True)
class Species:
    """A species; at most one of `amount` and `concentration` is given."""

    symbol: str
    compartment: str
    amount: float | None
    concentration: float | None
    units: str
    only_substance: bool
    boundary: bool
    constant: bool
    conversion: str
    name: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter, global or of a kinetic law."""

    symbol: str
    value: float | None
    units: str
    constant: bool
    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A species in a reaction: `sign` -1 for a reactant, 1 for a product; `formula` is the stoichiometryMath of Level
    2.
    """

    symbol: str
    species: str
    sign: int
    stoichiometry: float | None
    formula: Expr | None
    constant: bool
    name: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction; `formula` is None where the file gives no rate."""

    symbol: str
    references: tuple[Reference, ...]
    formula: Expr | None
    parameters: tuple[Parameter, ...]
    fast: bool
    name: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with a formula; `kind` is assignment, rate or algebraic (then without `symbol`). Also an initial
    assignment.
    """

    kind: str
    symbol: str
    formula: Expr


@dataclass(frozen=True, slots=True)
class Happening:
    """An event; a trigger without a formula never fires, an assignment without one is left out."""

    symbol: str
    trigger: Expr | None
    delay: Expr | None
    priority: Expr | None
    assignments: tuple[Rule, ...]
    initial: bool
    persistent: bool
    from_trigger: bool


@dataclass(frozen=True, slots=True)
class SbmlModel:
    """The model element of a file."""

    name: str
    title: str
    level: int
    version: int
    units: Mapping[str, str]  # substance, time, volume, area, length, extent: as the attributes say
    conversion: str
    functions: Mapping[str, Function]
    unit_definitions: tuple[UnitDefinition, ...]
    compartments: tuple[Compartment, ...]
    species: tuple[Species, ...]
    parameters: tuple[Parameter, ...]
    initial: tuple[Rule, ...]
    rules: tuple[Rule, ...]
    reactions: tuple[Reaction, ...]
    events: tuple[Happening, ...]
    annotations: tuple[Annotation, ...] = ()
    notes: str = ""


def read_sbml(model: Element, level: int, version: int, name: str) -> SbmlModel:
    """Return what a `model` element says.

    Raises `ModelInvalid` for attributes that are missing or no numbers, and for identifiers used twice;
    `ModelUnsupported` like `mathml.read_math`.
    """
    return _Reader(model, level, version, name).read()


class _Reader:
    def __init__(self, model: Element, level: int, version: int, name: str) -> None:
        self.model, self.level, self.version, self.name = model, level, version, name

    def read(self) -> SbmlModel:
        model = self.model
        attributes = ("substance", "time", "volume", "area", "length", "extent")
        found = SbmlModel(
            name=model.get("id") or "",
            title=model.get("name") or "",
            level=self.level,
            version=self.version,
            units={key: model.get(f"{key}Units") or "" for key in attributes},
            conversion=model.get("conversionFactor") or "",
            functions={self.symbol(node): self.function(node) for node in listed(model, "listOfFunctionDefinitions")},
            unit_definitions=tuple(self.unit(node) for node in listed(model, "listOfUnitDefinitions")),
            compartments=tuple(self.compartment(node) for node in listed(model, "listOfCompartments")),
            species=tuple(self.species(node) for node in listed(model, "listOfSpecies")),
            parameters=tuple(self.parameter(node) for node in listed(model, "listOfParameters")),
            initial=self.initial(),
            rules=self.rules(),
            reactions=tuple(self.reaction(node) for node in listed(model, "listOfReactions")),
            events=tuple(self.event(node, at) for at, node in enumerate(listed(model, "listOfEvents"))),
            annotations=read_annotations(model),
            notes=_text(child(model, "notes")),
        )
        self.check_symbols(found)
        return found

    # Attributes -----------------------------------------------------------------------------------------------------

    def invalid(self, symbol: str, english: str, french: str) -> ModelInvalid:
        return ModelInvalid(model=self.name, symbol=symbol, detail=two(english, french))

    def symbol(self, node: Element, attribute: str = "id") -> str:
        found = (node.get(attribute) or "").strip()
        if not found:
            kind = local(node)
            raise self.invalid(
                kind, f"a {kind} has no {attribute}", f"un élément {kind} n’a pas d’attribut {attribute}"
            )
        return found

    def number(self, node: Element, attribute: str, default: float | None = None) -> float | None:
        text = node.get(attribute)
        if text is None:
            return default
        try:
            return read_number(text.strip())
        except ValueError:
            who = node.get("id") or local(node)
            raise self.invalid(
                who, f'{attribute} is "{text}", no number', f"{attribute} vaut « {text} », qui n’est pas un nombre"
            ) from None

    def flag(self, node: Element, attribute: str, default: bool) -> bool:
        text = node.get(attribute)
        if text is None:
            return default
        if text.strip() not in ("true", "false", "1", "0"):
            who = node.get("id") or local(node)
            raise self.invalid(
                who, f'{attribute} is "{text}", not true or false', f"{attribute} vaut « {text} », et non true ou false"
            )
        return text.strip() in ("true", "1")

    def math(self, node: Element | None, owner: str) -> Expr | None:
        formula = child(node, "math")
        if formula is None:
            if node is not None and node.get("formula") is not None:
                raise self.invalid(owner, "it has a formula of Level 1", "il a une formule du niveau 1")
            return None
        return read_math(formula, f"{self.name}, {owner}" if owner else self.name)

    # Elements -------------------------------------------------------------------------------------------------------

    def function(self, node: Element) -> Function:
        formula = child(node, "math")
        return Function((), None) if formula is None else read_function(formula, self.name)

    def unit(self, node: Element) -> UnitDefinition:
        units: list[tuple[str, float, int, float]] = []
        for part in listed(node, "listOfUnits"):
            exponent, scale, multiplier = (self.power(part, key, start) for key, start in _UNIT.items())
            if part.get("offset") not in (None, "0", "0.0"):
                raise ModelUnsupported(
                    model=self.name, construct="unit offset", detail=two("Level 2 Version 1", "niveau 2 version 1")
                )
            units.append((self.symbol(part, "kind"), exponent, int(scale), multiplier))
        return UnitDefinition(self.symbol(node), node.get("name") or "", tuple(units))

    def power(self, node: Element, attribute: str, default: float) -> float:
        """Return a number of a unit; sizes that no unit has are refused before anything is raised to them."""
        found = self.number(node, attribute, default)
        limit = _LARGEST if attribute != "multiplier" else math.inf
        if found is None or not math.isfinite(found) or abs(found) > limit:
            who = node.get("kind") or "unit"
            raise self.invalid(who, f"{attribute} is {found}", f"{attribute} vaut {found}")
        return found

    def compartment(self, node: Element) -> Compartment:
        default = 3.0 if self.level == 2 else math.nan
        dimensions = self.number(node, "spatialDimensions", default)
        return Compartment(
            self.symbol(node),
            math.nan if dimensions is None else dimensions,
            self.number(node, "size"),
            node.get("units") or "",
            self.flag(node, "constant", True),
            node.get("name") or "",
        )

    def species(self, node: Element) -> Species:
        return Species(
            self.symbol(node),
            self.symbol(node, "compartment"),
            self.number(node, "initialAmount"),
            self.number(node, "initialConcentration"),
            node.get("substanceUnits") or "",
            self.flag(node, "hasOnlySubstanceUnits", False),
            self.flag(node, "boundaryCondition", False),
            self.flag(node, "constant", False),
            node.get("conversionFactor") or "",
            node.get("name") or "",
        )

    def parameter(self, node: Element) -> Parameter:
        return Parameter(
            self.symbol(node),
            self.number(node, "value"),
            node.get("units") or "",
            self.flag(node, "constant", True),
            node.get("name") or "",
        )

    def initial(self) -> tuple[Rule, ...]:
        found: list[Rule] = []
        for node in listed(self.model, "listOfInitialAssignments"):
            target = self.symbol(node, "symbol")
            formula = self.math(node, target)
            if formula is not None:
                found.append(Rule("initial", target, formula))
        return tuple(found)

    def rules(self) -> tuple[Rule, ...]:
        found: list[Rule] = []
        kinds = {"assignmentRule": "assignment", "rateRule": "rate", "algebraicRule": "algebraic"}
        for node in listed(self.model, "listOfRules"):
            if local(node) not in kinds:
                raise self.invalid(local(node), "it is no rule", "ce n’est pas une règle")
            kind = kinds[local(node)]
            target = "" if kind == "algebraic" else self.symbol(node, "variable")
            formula = self.math(node, target)
            if formula is not None:
                found.append(Rule(kind, target, formula))
        return tuple(found)

    def reaction(self, node: Element) -> Reaction:
        symbol = self.symbol(node)
        references = [self.reference(item, -1, symbol) for item in listed(node, "listOfReactants")]
        references += [self.reference(item, 1, symbol) for item in listed(node, "listOfProducts")]
        law = child(node, "kineticLaw")
        locals_ = [] if law is None else [*listed(law, "listOfLocalParameters"), *listed(law, "listOfParameters")]
        if law is not None:
            self.refuse_own_units(law, symbol, ("timeUnits", "substanceUnits"))
        return Reaction(
            symbol,
            tuple(references),
            self.math(law, symbol),
            tuple(self.parameter(item) for item in locals_),
            self.flag(node, "fast", False),
            node.get("name") or "",
        )

    def reference(self, node: Element, sign: int, reaction: str) -> Reference:
        default = 1.0 if self.level == 2 else None
        value = self.number(node, "stoichiometry", default)
        denominator = self.number(node, "denominator", 1.0)  # Level 2 Version 1
        if value is not None and denominator not in (None, 1.0):
            value /= denominator or math.nan
        return Reference(
            (node.get("id") or "").strip(),
            self.symbol(node, "species"),
            sign,
            value,
            self.math(child(node, "stoichiometryMath"), reaction),
            self.flag(node, "constant", True) if self.level == 3 else False,
            node.get("name") or "",
        )

    def event(self, node: Element, at: int) -> Happening:
        symbol = (node.get("id") or f"event.{at + 1}").strip()
        self.refuse_own_units(node, symbol, ("timeUnits",))
        trigger = child(node, "trigger")
        assignments: list[Rule] = []
        for item in listed(node, "listOfEventAssignments"):
            target = self.symbol(item, "variable")
            formula = self.math(item, f"{symbol}, {target}")
            if formula is not None:
                assignments.append(Rule("event", target, formula))
        return Happening(
            symbol,
            self.math(trigger, symbol),
            self.math(child(node, "delay"), symbol),
            self.math(child(node, "priority"), symbol),
            tuple(assignments),
            True if trigger is None else self.flag(trigger, "initialValue", True),
            True if trigger is None else self.flag(trigger, "persistent", True),
            self.flag(node, "useValuesFromTriggerTime", True),
        )

    def refuse_own_units(self, node: Element, symbol: str, attributes: tuple[str, ...]) -> None:
        """Level 2 let an event or a rate have units of its own: a clock or an amount that differs is not evaluated."""
        for attribute in attributes:
            unit = node.get(attribute)
            if unit and unit not in ("time", "second", "substance", "mole"):
                detail = two(f"{attribute} {unit} in {symbol}", f"{attribute} {unit} dans {symbol}")
                raise ModelUnsupported(model=self.name, construct=f"{local(node)} {attribute}", detail=detail)

    # Identifiers ----------------------------------------------------------------------------------------------------

    def check_symbols(self, model: SbmlModel) -> None:
        seen: set[str] = set()
        references = [item for reaction in model.reactions for item in reaction.references if item.symbol]
        groups = (model.compartments, model.species, model.parameters, model.reactions, references)
        names = [item.symbol for group in groups for item in group] + list(model.functions)
        if len(model.functions) != len(listed(self.model, "listOfFunctionDefinitions")):
            names += [self.symbol(node) for node in listed(self.model, "listOfFunctionDefinitions")][
                : len(model.functions) + 1
            ]
        for name in names:
            if name in seen:
                raise self.invalid(name, "the identifier is used twice", "l’identifiant est employé deux fois")
            seen.add(name)
        for reaction in model.reactions:
            own = [item.symbol for item in reaction.parameters]
            for name in own:
                if own.count(name) > 1:
                    raise self.invalid(
                        f"{reaction.symbol}, {name}",
                        "the local parameter is given twice",
                        "le paramètre local est donné deux fois",
                    )


def _text(node: Element | None) -> str:
    """Return the text of notes, a line for each block."""
    if node is None:
        return ""
    return "\n".join(line for line in (" ".join(part.split()) for part in node.itertext()) if line)
