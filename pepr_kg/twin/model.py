"""A model as one frozen value: symbols, equations, events, where it comes from.

The equations are in *core form*, which every solver reads and which `assembly` makes from an SBML file:

- `states` change by their `rates`: a species as an AMOUNT (symbol `S` where it has only substance units, else
  `S.amount`), compartments and parameters under a rate rule as themselves;
- `discretes` change by events alone; `constants` never change in a run;
- `assignments`, in the order in which they can be computed, give everything else: rules, the concentration `S` of
  a species, `S.amount`, `S.concentration`, the rate `R` of a reaction. They read time, states, discretes, constants and
  earlier assignments;
- `initial`, in order, gives the value at the start of states, discretes and constants. An entry that is a number is a
  default that a patient or a scenario may replace; so may every other entry (the value then wins over the formula);
- `constraints` are expressions that are zero at all times; the `algebraic` symbols among the discretes' peers are
  found from them (index-1 differential-algebraic systems), as many as there are constraints.

Expressions contain no `rate` operator any more (it is replaced by the formula of the rate), no user functions, no local
parameters. They may contain `delay`.
"""

from dataclasses import dataclass, field

from pepr_kg.twin.expression import Expr


@dataclass(frozen=True, slots=True)
class Code:
    """One text of a category and the number that stands for it in the equations."""

    value: float
    text: str
    label_en: str = ""
    label_fr: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """A symbol and what is known of it.

    `kind` is the SBML element: compartment, species, parameter, reference (of a species in a reaction), reaction.
    `role` is found by analysis: state, discrete, constant, derived, algebraic. `unit` is a UCUM code; None where the
    file gives none, which means unknown and never dimensionless. `bounds` are inclusive; `open_below` says that the
    lower one is excluded. `core` is the symbol that carries its value in the core form ("S.amount" for a species with
    a concentration); `compartment` is set where `symbol` is the concentration of `core` in it.
    """

    symbol: str
    kind: str
    role: str
    unit: str | None
    name: str = ""
    core: str = ""
    compartment: str | None = None
    bounds: tuple[float, float] = (-float("inf"), float("inf"))
    open_below: bool = False
    transform: str = "identity"
    direction: str = ""  # "input", "output" or nothing, where the file says so
    codes: tuple[Code, ...] = ()
    label_en: str = ""  # for readers, where the file has them
    label_fr: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a patient, a scenario or a draw may set: `value` is the default, NaN where each patient must give one."""

    symbol: str
    unit: str | None
    value: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """A symbol and the formula of its value."""

    symbol: str
    formula: Expr


@dataclass(frozen=True, slots=True)
class EventAssignment:
    """What an event gives to a core symbol (a state or a discrete).

    Where `compartment` is set, `formula` is a concentration: the core symbol gets formula times the size that the
    compartment has when the event is carried out, before any of its assignments (SBML Test Suite, case 01779).
    """

    symbol: str
    formula: Expr
    compartment: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What happens when `trigger` turns from false to true (SBML Level 3, section 4.12).

    `initial` is the trigger's value before the start; `delay` and `priority` are None where the file gives none;
    `from_trigger` says that the assignments are computed when the trigger turns, not when they are made.
    """

    symbol: str
    trigger: Expr
    assignments: tuple[EventAssignment, ...]
    delay: Expr | None = None
    priority: Expr | None = None
    initial: bool = True
    persistent: bool = True
    from_trigger: bool = True


@dataclass(frozen=True, slots=True)
class Validity:
    """For whom the model may be used: `symbol` within bounds (inclusive), and the sentence that says why not."""

    symbol: str
    minimum: float
    maximum: float
    reason_en: str
    reason_fr: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation as the file writes it: the element's metaid and symbol, the qualifier's IRI, the resource's IRI."""

    symbol: str
    metaid: str
    predicate: str
    resource: str


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Model:
    """A model in core form (see the module). Frozen; equal files have equal `digest`s (SHA-256 of the bytes).

    >>> from pepr_kg.twin import load_model
    >>> model = load_model("pk2-oral")
    >>> model.states, model.time_unit, model.variable("CL").unit
    (('amount_gut', 'amount_central', 'amount_peripheral'), 'h', 'L/h')
    """

    name: str
    title: str
    digest: str
    source: str  # the file or the address that it was read from
    level: int
    version: int
    time_unit: str | None
    variables: tuple[Variable, ...]
    constants: tuple[str, ...]
    states: tuple[str, ...]
    discretes: tuple[str, ...]
    algebraic: tuple[str, ...]
    rates: tuple[Expr, ...]  # one for each state, in their order
    initial: tuple[Assignment, ...]
    assignments: tuple[Assignment, ...]
    constraints: tuple[Expr, ...] = ()
    events: tuple[Event, ...] = ()
    validity: tuple[Validity, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    notes: str = ""
    _index: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _mark: int = field(default=0, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._index.update({variable.symbol: at for at, variable in enumerate(self.variables)})
        parts = (self.name, self.digest, self.variables, self.states, self.rates, self.initial, self.assignments,
                 self.constraints, self.events, self.validity)  # fmt: skip
        object.__setattr__(self, "_mark", hash(parts))

    def __hash__(self) -> int:
        return self._mark

    def __eq__(self, other: object) -> bool:
        """Whether two models say the same; caches ask this at every call, so it is decided by a mark made once."""
        return self is other or (isinstance(other, Model) and self._mark == other._mark and self.digest == other.digest)

    def __repr__(self) -> str:
        return f"Model({self.name}: {len(self.states)} state(s), {len(self.variables)} symbol(s), {self.digest[:12]})"

    def variable(self, symbol: str) -> Variable:
        """Return what is known of a symbol. Raises `KeyError` where the model has none of that name."""
        return self.variables[self._index[symbol]]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the constants of the file whose default is a plain number, in its order."""
        plain = {item.symbol: item.formula.value for item in self.initial if item.formula.is_number}
        constants = (item for item in self.variables if item.role == "constant" and item.symbol in plain)
        return tuple(Parameter(item.symbol, item.unit, float(plain[item.symbol] or 0.0)) for item in constants)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the file, in its order."""
        return tuple(self._index)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return what the model is asked for where nobody says: its declared outputs, else states and derived
        symbols.
        """
        declared = tuple(item.symbol for item in self.variables if item.direction == "output")
        return declared or tuple(
            item.symbol for item in self.variables if item.role in ("state", "derived", "algebraic")
        )
