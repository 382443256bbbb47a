"""SBML written in a few characters, for tests: formulas from Python expressions, models from parts."""

import ast

from pepr_kg.twin import evaluate
from pepr_kg.twin.expression import evaluate as value_of
from pepr_kg.twin.model import Model

MATHML = "http://www.w3.org/1998/Math/MathML"
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "plus",
    ast.Sub: "minus",
    ast.Mult: "times",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.USub: "minus",
    ast.Lt: "lt",
    ast.LtE: "leq",
    ast.Gt: "gt",
    ast.GtE: "geq",
    ast.Eq: "eq",
    ast.NotEq: "neq",
    ast.And: "and",
    ast.Or: "or",
}
_SYMBOLS = ("delay", "rateOf")


def csymbol(name: str) -> str:
    return f'<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/{name}">{name}</csymbol>'


def content(formula: str, functions: tuple[str, ...] = ()) -> str:
    """MathML of a Python expression: `t` is the time, `a if c else b` a piecewise; `functions` are the user's own."""

    def write(node: ast.expr) -> str:  # noqa: PLR0911  one kind of node a line
        if isinstance(node, ast.Constant):
            return f"<cn> {node.value!r} </cn>"
        if isinstance(node, ast.Name):
            return csymbol("time") if node.id == "t" else f"<ci> {node.id} </ci>"
        if isinstance(node, ast.BinOp):
            return f"<apply><{_OPERATORS[type(node.op)]}/>{write(node.left)}{write(node.right)}</apply>"
        if isinstance(node, ast.UnaryOp):
            return f"<apply><{_OPERATORS[type(node.op)]}/>{write(node.operand)}</apply>"
        if isinstance(node, ast.BoolOp):
            return f"<apply><{_OPERATORS[type(node.op)]}/>{''.join(map(write, node.values))}</apply>"
        if isinstance(node, ast.Compare):
            sides = "".join(map(write, [node.left, *node.comparators]))
            return f"<apply><{_OPERATORS[type(node.ops[0])]}/>{sides}</apply>"
        if isinstance(node, ast.IfExp):
            parts = write(node.body), write(node.test), write(node.orelse)
            return f"<piecewise><piece>{parts[0]}{parts[1]}</piece><otherwise>{parts[2]}</otherwise></piecewise>"
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        head = csymbol(name) if name in _SYMBOLS else f"<ci> {name} </ci>" if name in functions else f"<{name}/>"
        return f"<apply>{head}{''.join(map(write, node.args))}</apply>"

    return write(ast.parse(formula, mode="eval").body)


def math(formula: str, *functions: str) -> str:
    return f'<math xmlns="{MATHML}">{content(formula, functions)}</math>'


def lambda_math(parameters: str, body: str, *functions: str) -> str:
    names = "".join(f"<bvar><ci>{name}</ci></bvar>" for name in parameters.split())
    return f'<math xmlns="{MATHML}"><lambda>{names}{content(body, functions)}</lambda></math>'


def function(symbol: str, parameters: str, body: str, *functions: str) -> str:
    return f'<functionDefinition id="{symbol}">{lambda_math(parameters, body, *functions)}</functionDefinition>'


def compartment(symbol: str, size: float | None = 1.0, *, constant: bool = True, dimensions: int = 3) -> str:
    given = "" if size is None else f' size="{size}"'
    return f'<compartment id="{symbol}" spatialDimensions="{dimensions}"{given} constant="{str(constant).lower()}"/>'


def species(symbol: str, within: str, more: str = "", *, amount: bool = False, boundary: bool = False) -> str:
    flags = f'hasOnlySubstanceUnits="{str(amount).lower()}" boundaryCondition="{str(boundary).lower()}"'
    constant = "" if "constant=" in more else ' constant="false"'
    return f'<species id="{symbol}" compartment="{within}" {flags}{constant} {more}/>'


def parameter(symbol: str, value: float | None = None, *, constant: bool = True, more: str = "") -> str:
    given = "" if value is None else f' value="{value}"'
    return f'<parameter id="{symbol}"{given} constant="{str(constant).lower()}" {more}/>'


def assigned(symbol: str, formula: str, *functions: str) -> str:
    return f'<assignmentRule variable="{symbol}">{math(formula, *functions)}</assignmentRule>'


def rated(symbol: str, formula: str, *functions: str) -> str:
    return f'<rateRule variable="{symbol}">{math(formula, *functions)}</rateRule>'


def algebraic(formula: str) -> str:
    return f"<algebraicRule>{math(formula)}</algebraicRule>"


def started(symbol: str, formula: str) -> str:
    return f'<initialAssignment symbol="{symbol}">{math(formula)}</initialAssignment>'


def reaction(symbol: str, takes: str, makes: str, formula: str, *, own: str = "", fast: bool = False) -> str:
    """A reaction; species are written as "2 S1" or "S1", a comma between them."""

    def side(kind: str, text: str) -> str:
        if not text:
            return ""
        parts = [part.split() for part in text.split(",")]
        listed = "".join(
            f'<speciesReference species="{name}" stoichiometry="{number[0] if number else 1}" constant="true"/>'
            for *number, name in parts
        )
        return f"<listOf{kind}>{listed}</listOf{kind}>"

    inside = f"<listOfLocalParameters>{own}</listOfLocalParameters>" if own else ""
    law = f"<kineticLaw>{math(formula)}{inside}</kineticLaw>"
    flag = ' fast="true"' if fast else ""
    sides = side("Reactants", takes) + side("Products", makes)
    return f'<reaction id="{symbol}" reversible="false"{flag}>{sides}{law}</reaction>'


def event(
    symbol: str, trigger: str, changes: dict[str, str], *, more: str = "", inside: str = "", flags: str = ""
) -> str:
    listed = "".join(
        f'<eventAssignment variable="{name}">{math(formula)}</eventAssignment>' for name, formula in changes.items()
    )
    flags = flags or 'initialValue="true" persistent="true"'
    opened = f"<trigger {flags}>"
    return (
        f'<event id="{symbol}" useValuesFromTriggerTime="true" {more}>{opened}{math(trigger)}</trigger>{inside}'
        f"<listOfEventAssignments>{listed}</listOfEventAssignments></event>"
    )


_LISTS = {
    "functionDefinition": "FunctionDefinitions",
    "unitDefinition": "UnitDefinitions",
    "compartment": "Compartments",
    "species": "Species",
    "parameter": "Parameters",
    "initialAssignment": "InitialAssignments",
    "assignmentRule": "Rules",
    "rateRule": "Rules",
    "algebraicRule": "Rules",
    "reaction": "Reactions",
    "event": "Events",
}


def body(*parts: str) -> str:
    """The lists of a model, each part in its own."""
    lists: dict[str, str] = {}
    for part in parts:
        name = part[1:].split()[0].split(">")[0].rstrip("/")
        lists[_LISTS[name]] = lists.get(_LISTS[name], "") + part
    return "".join(f"<listOf{name}>{inside}</listOf{name}>" for name, inside in lists.items())


def sbml(*parts: str, attributes: str = "", root: str = "", version: int = 2, after: str = "", level: int = 3) -> bytes:
    """An SBML file of Level 3 (Version 2) or Level 2 with these parts."""
    namespace = f"http://www.sbml.org/sbml/level{level}/version{version}" + ("/core" if level == 3 else "")
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="{namespace}" level="{level}" version="{version}" {root}>'
        f'<model id="example" {attributes}>{body(*parts)}{after}</model></sbml>'
    )
    return text.encode()


def values(model: Model, at: float = 0.0, /, **known: float) -> dict[str, float]:
    """The values of all symbols at a time: of the start, or of what is given."""
    found: dict[str, float] = {}
    for item in model.initial:
        found[item.symbol] = known.get(item.symbol, float(value_of(item.formula, found, 0.0)))
    for item in model.assignments:
        found[item.symbol] = float(value_of(item.formula, found, at))
    return found


def rates(model: Model, at: float = 0.0, /, **known: float) -> dict[str, float]:
    found = values(model, at, **known)
    return {state: float(value_of(rate, found, at)) for state, rate in zip(model.states, model.rates, strict=True)}


def course(model: Model, name: str, times: list[float], **given: float) -> list[float]:
    result = evaluate(model, given, times=times, outputs=(name,), rtol=1e-9)
    return [float(value) for value in result.data[0, :, 0]]
