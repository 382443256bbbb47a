"""What-if questions as a line of text, as what the evaluator runs, and as triples.

    base                                          nothing changes
    SYMBOL=VALUE                                  set, a number or the text of a category
    SYMBOL*FACTOR                                 multiply
    SYMBOL+AMOUNT, SYMBOL-AMOUNT                  add, take away
    dose SYMBOL AMOUNT @ TIME,TIME,…              give an amount at these times
    CHANGE @ TIME                                 from this time on
    CHANGE, CHANGE                                several
    NAME: CHANGE, …                               with a name

A value, an amount and a time may have a unit, a UCUM code after a space (`dose=0.15 g`); without one they are in the
model's. Times are the model's own: those of its output. Or the IRI, or short form, of a scenario that the model
declares.

>>> from pepr_kg.twin import load_model
>>> model = load_model("warfarin-pkpd")
>>> parse_expression("half dose, later: dose*0.5, EC50+0.1 mg/L @ 1 d", model)
Scenario(name='half dose, later', interventions=(Intervention(action='scale', symbol='dose', value=0.5, at=None), \
Intervention(action='add', symbol='EC50', value=0.1, at=24.0)))
>>> to_expression(parse_expression("dose amount_gut 0.1 g @ 0, 24", load_model("pk2-oral")))
'dose amount_gut 100 @ 0,24'
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pepr_kg.errors import UnknownPrefix
from pepr_kg.namespaces import expand
from pepr_kg.runs.elements import amount_unit
from pepr_kg.runs.errors import BadExpression, UnknownScenario
from pepr_kg.twin.errors import UnknownSymbol, suggest
from pepr_kg.twin.model import Model
from pepr_kg.twin.scenario import Intervention, Scenario
from pepr_kg.twin.units import conversion, convert

BASE: Final = "base"
_NUMBER: Final = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_SYMBOL: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?"
_QUANTITY: Final = re.compile(rf"(?P<number>{_NUMBER})(?:\s+(?P<unit>\S+))?")
_DOSE: Final = re.compile(rf"dose\s+(?P<symbol>{_SYMBOL})\s+(?P<amount>.+)", re.DOTALL)
_CHANGE: Final = re.compile(rf"(?P<symbol>{_SYMBOL})\s*(?P<sign>[=*×+−-])\s*(?P<value>.+)", re.DOTALL)
_NO_NAME: Final = re.compile(r"[=*×@]")  # what no name holds
_LONGEST: Final = 10_000  # characters of a line: doses and changes enough, and read in no time
_ACTIONS: Final = {"=": "set", "*": "scale", "×": "scale", "+": "add", "-": "add", "−": "add"}
_SIGNS: Final = {"set": "=", "scale": "*", "add": "+"}

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """The symbols of two coupled models: "fast.X" and "slow.X", and X alone where one of them only has it."""

    name: str
    fast: Model
    slow: Model

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the names that may be given."""
        sides = {"fast": self.fast.symbols, "slow": self.slow.symbols}
        both = set(sides["fast"]) & set(sides["slow"])
        plain = [symbol for symbols in sides.values() for symbol in symbols if symbol not in both]
        return (*plain, *(f"{side}.{symbol}" for side, symbols in sides.items() for symbol in symbols))

    @property
    def time_unit(self) -> str | None:
        """Return the time unit of the slow model, which scenarios count in."""
        return self.slow.time_unit

    def side(self, symbol: str) -> tuple[Model, str]:
        """Return the model that a name belongs to, and its symbol there."""
        prefix, _, rest = symbol.partition(".")
        if rest and prefix in ("fast", "slow"):
            return (self.fast if prefix == "fast" else self.slow), rest
        return (self.fast if symbol in self.fast.symbols else self.slow), symbol


Symbols = Model | Pair


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario of a run: what is changed, its text, its IRI and labels where the model declares it."""

    scenario: Scenario
    text: str
    iri: str | None = None
    label: Labels | None = None

    @property
    def is_base(self) -> bool:
        """Whether nothing is changed."""
        return not self.scenario.interventions


def plan_scenarios(
    texts: Sequence[str], model: Symbols, declared: Mapping[str, Scenario], labels: Mapping[str, Labels] | None = None
) -> tuple[Planned, ...]:
    """Return the scenarios of a run; none given: the base alone.

    `declared` are the model's own by IRI. Raises `BadExpression` for what cannot be read or comes twice,
    `UnknownScenario`, `UnknownSymbol`, `BadScenario`, `UnknownUnit`, `UnitMismatch`.
    """
    found: list[Planned] = []
    for text in texts or (BASE,):
        iri = _declared(text.strip(), model, declared)
        if iri is not None:
            planned = Planned(declared[iri], text.strip(), iri, (labels or {}).get(iri))
        else:
            planned = Planned(parse_expression(text, model), text.strip())
        if any(planned.scenario.name == other.scenario.name for other in found):
            raise BadExpression(text=text, detail={
                "en": f'"{planned.scenario.name}" stands there twice; give each its own name, as in NAME: …',
                "fr": f"« {planned.scenario.name} » y figure deux fois ; donnez à chacun un nom, comme NOM : …",
            })  # fmt: skip
        found.append(planned)
    return tuple(found)


def _declared(text: str, model: Symbols, declared: Mapping[str, Scenario]) -> str | None:
    """Return the IRI of a declared scenario that a text names; None where it is an expression."""
    if not re.match(r"scenario:\S|\w+://", text):
        return None
    try:
        iri = expand(text)
    except UnknownPrefix:
        iri = text
    if iri not in declared:
        raise UnknownScenario(name=text, model=model.name, known=suggest(iri, declared, 10))
    return iri


def parse_expression(text: str, model: Symbols) -> Scenario:
    """Return the scenario that a line of text describes; without a name it is called by its changes.

    Raises what `plan_scenarios` raises.
    """
    if len(text) > _LONGEST:
        raise BadExpression(text=text[:40] + "…", detail={
            "en": f"it has {len(text)} characters, and at most {_LONGEST} are read; write several scenarios",
            "fr": f"elle a {len(text)} caractères, et {_LONGEST} au plus sont lus ; écrivez plusieurs scénarios",
        })  # fmt: skip
    name, rest = _split_name(text.strip())
    if rest.strip() == BASE or (rest.strip() == "" and name == BASE):
        return Scenario.base().named(name or BASE)
    scenario = Scenario("", ())
    for part in _split(rest):
        scenario += Scenario("", tuple(_read_change(part, text, model)))
    if not scenario.interventions:
        raise BadExpression(text=text, detail={
            "en": "it changes nothing; write for instance dose*0.5, or base",
            "fr": "rien n’est modifié ; écrivez par exemple dose*0.5, ou base"})  # fmt: skip
    return scenario.named(name or to_expression(scenario))


def _split_name(text: str) -> tuple[str, str]:
    """Return the name before the colon of a line, or none, and the rest: "://" is of an IRI and ends no name."""
    name, colon, rest = text.partition(":")
    if not colon or not name.strip() or rest.startswith("//") or _NO_NAME.search(name):
        return "", text
    return name.strip(), rest.strip()


def _split(text: str) -> Iterator[str]:
    """Yield the changes of a list; numbers after the times of a dose are times of it."""
    kept = ""
    for part in text.split(","):
        if kept.lstrip().startswith("dose ") and "@" in kept and _QUANTITY.fullmatch(part.strip()):
            kept += "," + part
        else:
            if kept.strip():
                yield kept.strip()
            kept = part
    if kept.strip():
        yield kept.strip()


def _read_change(part: str, text: str, model: Symbols) -> Iterator[Intervention]:
    what, sign, after = part.rpartition("@")
    what, times = (what.rstrip(), after.split(",")) if sign else (part, [])
    moments = [_time(item, text, model) for item in times]
    dose = _DOSE.fullmatch(what)
    change = None if dose else _CHANGE.fullmatch(what)
    if dose:
        symbol = _known(dose["symbol"], model)
        amount = _amount(dose["amount"], text, symbol, model, "dose")
        if not moments:
            raise BadExpression(text=text, detail={
                "en": f"the times of the dose of {symbol} are missing: dose {symbol} AMOUNT @ 0,24",
                "fr": f"il manque les instants de la dose de {symbol} : dose {symbol} QUANTITÉ @ 0,24"})  # fmt: skip
        yield from Scenario.dose(symbol, amount, moments).interventions
        return
    if change is None or len(moments) > 1:
        raise BadExpression(text=text, detail={
            "en": f'"{part}" cannot be read; write SYMBOL=VALUE, SYMBOL*FACTOR, SYMBOL+AMOUNT or '
                  "dose SYMBOL AMOUNT @ 0,24",
            "fr": f"« {part} » est illisible ; écrivez SYMBOLE=VALEUR, SYMBOLE*FACTEUR, SYMBOLE+QUANTITÉ ou "
                  "dose SYMBOLE QUANTITÉ @ 0,24"})  # fmt: skip
    symbol, action = _known(change["symbol"], model), _ACTIONS[change["sign"]]
    value: float | str = change["value"].strip()
    if action != "set" or _QUANTITY.fullmatch(str(value)):
        value = _amount(str(value), text, symbol, model, action)
        value = -value if change["sign"] in "-−" else value
    yield Intervention(action, symbol, value, moments[0] if moments else None)


def _known(symbol: str, model: Symbols) -> str:
    if symbol not in model.symbols:
        raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
    return symbol


def _amount(given: str, text: str, symbol: str, model: Symbols, action: str) -> float:
    """Return a number in the unit of a symbol; a factor has none, a dose that of the amount."""
    match = _QUANTITY.fullmatch(given.strip())
    if match is None or (action == "scale" and match["unit"]):
        raise BadExpression(text=text, detail={
            "en": f'"{given}" is not a number' + (" without a unit" if match else ""),
            "fr": f"« {given} » n’est pas un nombre" + (" sans unité" if match else "")})  # fmt: skip
    number = float(match["number"])
    if not match["unit"]:
        return number
    unit = unit_of(model, symbol, action)
    if unit is None:
        raise BadExpression(text=text, detail={
            "en": f"the unit in which {symbol} is counted is not known; leave {match['unit']} out",
            "fr": f"l’unité dans laquelle {symbol} est compté n’est pas connue ; retirez {match['unit']}"})  # fmt: skip
    scale, offset = conversion(match["unit"], unit, symbol=symbol)
    return number * scale + (offset if action == "set" else 0.0)


def unit_of(model: Symbols, symbol: str, action: str = "set") -> str | None:
    """Return the UCUM code of what an intervention says of a symbol: "1" for a factor; None where nobody knows."""
    if action == "scale":
        return "1"
    owner, name = model.side(symbol) if isinstance(model, Pair) else (model, symbol)
    return amount_unit(owner, name) if action == "dose" else owner.variable(name).unit


def _time(given: str, text: str, model: Symbols) -> float:
    match = _QUANTITY.fullmatch(given.strip())
    if match is None or (match["unit"] and model.time_unit is None):
        raise BadExpression(text=text, detail={
            "en": f'"{given.strip()}" is no time', "fr": f"« {given.strip()} » n’est pas un instant"})  # fmt: skip
    number = float(match["number"])
    return convert(number, match["unit"], model.time_unit or "", symbol="time") if match["unit"] else number


def to_expression(scenario: Scenario) -> str:
    """Return the text of a scenario's changes, without its name; what `parse_expression` reads comes out the same."""
    parts: list[str] = []
    for item in scenario.interventions:
        if item.action == "dose":
            head = f"dose {item.symbol} {_digits(item.value)} @ "
            if parts and parts[-1].startswith(head):
                parts[-1] += f",{_digits(item.at or 0.0)}"
            else:
                parts.append(head + _digits(item.at or 0.0))
            continue
        sign, value = _SIGNS[item.action], item.value
        if item.action == "add" and not isinstance(value, str) and math.copysign(1.0, value) < 0:
            sign, value = "-", -value
        when = "" if item.at is None else f" @ {_digits(item.at)}"
        parts.append(f"{item.symbol}{sign}{_digits(value)}{when}")
    return ", ".join(parts) or BASE


def _digits(value: float | str) -> str:
    """Return the shortest text that reads as the same number."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
