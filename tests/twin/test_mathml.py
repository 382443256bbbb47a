"""Formulas out of MathML: each element means what the standard says, in numbers."""

import math
from xml.etree.ElementTree import fromstring

import pytest

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.expression import Expr, evaluate
from pepr_kg.twin.sbml.mathml import Library, read_function, read_math, tree_size
from tests.twin.sbml_text import MATHML, csymbol, lambda_math
from tests.twin.sbml_text import math as formula_of


def read(inside: str) -> Expr:
    found = read_math(fromstring(f'<math xmlns="{MATHML}">{inside}</math>'), "example")
    assert found is not None
    return found


def value(inside: str, time: float = 0.0, **symbols: float) -> float:
    return float(evaluate(read(inside), symbols, time))


def apply(operator: str, *numbers: float) -> str:
    return f"<apply><{operator}/>{''.join(f'<cn>{number!r}</cn>' for number in numbers)}</apply>"


@pytest.mark.parametrize(
    ("operator", "arguments", "expected"),
    [
        ("plus", (), 0), ("plus", (4,), 4), ("plus", (1, 2, 3), 6),
        ("times", (), 1), ("times", (4,), 4), ("times", (2, 3, 4), 24),
        ("minus", (4,), -4), ("minus", (4, 1), 3), ("divide", (1, 4), 0.25), ("power", (2, -2), 0.25),
        ("and", (), 1), ("or", (), 0), ("xor", (), 0), ("and", (0,), 0), ("or", (1,), 1), ("xor", (1,), 1),
        ("and", (1, 1, 0), 0), ("or", (0, 0, 2), 1), ("xor", (1, 1, 1), 1), ("xor", (1, 1, 0), 0),
        ("not", (0,), 1), ("not", (3,), 0), ("implies", (1, 0), 0), ("implies", (0, 0), 1), ("implies", (1, 2), 1),
        ("eq", (), 1), ("eq", (2,), 1), ("eq", (2, 2, 2), 1), ("eq", (2, 2, 3), 0), ("neq", (2, 3), 1),
        ("lt", (1, 2, 3), 1), ("lt", (1, 3, 2), 0), ("leq", (1, 1, 2), 1), ("gt", (3, 2, 1), 1), ("geq", (3, 3, 4), 0),
        ("max", (1, 5, 3), 5), ("min", (4, 2, 3), 2), ("max", (7,), 7),
        ("quotient", (7, 2), 3), ("quotient", (-7, 2), -3), ("rem", (7, 3), 1), ("rem", (-7, 3), -1),
        ("factorial", (5,), 120), ("abs", (-2.5,), 2.5), ("floor", (-2.5,), -3), ("ceiling", (-2.5,), -2),
        ("exp", (1,), math.e), ("ln", (math.e,), 1), ("log", (1000,), 3), ("root", (9,), 3),
        ("sin", (0.3,), math.sin(0.3)), ("cos", (0.3,), math.cos(0.3)), ("tan", (0.3,), math.tan(0.3)),
        ("sec", (0.3,), 1 / math.cos(0.3)), ("csc", (0.3,), 1 / math.sin(0.3)), ("cot", (0.3,), 1 / math.tan(0.3)),
        ("sinh", (0.3,), math.sinh(0.3)), ("cosh", (0.3,), math.cosh(0.3)), ("tanh", (0.3,), math.tanh(0.3)),
        ("sech", (0.3,), 1 / math.cosh(0.3)), ("csch", (0.3,), 1 / math.sinh(0.3)),
        ("coth", (0.3,), 1 / math.tanh(0.3)),
        ("arcsin", (0.3,), math.asin(0.3)), ("arccos", (0.3,), math.acos(0.3)), ("arctan", (0.3,), math.atan(0.3)),
        ("arcsec", (2,), math.acos(0.5)), ("arccsc", (2,), math.asin(0.5)), ("arccot", (2,), math.atan(0.5)),
        ("arccot", (0,), math.pi / 2),
        ("arcsinh", (0.3,), math.asinh(0.3)), ("arccosh", (2,), math.acosh(2)), ("arctanh", (0.3,), math.atanh(0.3)),
        ("arcsech", (0.5,), math.acosh(2)), ("arccsch", (0.5,), math.asinh(2)), ("arccoth", (2,), math.atanh(0.5)),
    ],
)  # fmt: skip
def test_operators(operator: str, arguments: tuple[float, ...], expected: float) -> None:
    assert value(apply(operator, *arguments)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<cn>2.5</cn>", 2.5), ('<cn type="integer"> -3 </cn>', -3), ('<cn type="rational">1<sep/>8</cn>', 0.125),
        ('<cn type="e-notation">1.2<sep/>-3</cn>', 1.2e-3), ("<true/>", 1), ("<false/>", 0), ("<pi/>", math.pi),
        ("<exponentiale/>", math.e), ("<infinity/>", math.inf), (csymbol("avogadro"), 6.02214179e23),
        ("<apply><root/><degree><cn>3</cn></degree><cn>8</cn></apply>", 2),
        ("<apply><root/><degree><cn>2</cn></degree><cn>9</cn></apply>", 3),
        ("<apply><log/><logbase><cn>2</cn></logbase><cn>8</cn></apply>", 3),
        ("<semantics><cn>4</cn><annotation-xml><cn>bad</cn></annotation-xml></semantics>", 4),
        ("<piecewise><piece><cn>1</cn><false/></piece><otherwise><cn>2</cn></otherwise></piecewise>", 2),
        ("<piecewise><otherwise><cn>2</cn></otherwise></piecewise>", 2),
        ("<ci> x <!-- the unknown --> </ci>", 5), (csymbol("time"), 7),
    ],
)  # fmt: skip
def test_values(text: str, expected: float) -> None:
    assert value(text, 7.0, x=5.0) == pytest.approx(expected, rel=1e-15)


def test_a_case_without_an_answer_is_no_number() -> None:
    assert math.isnan(value("<piecewise><piece><cn>1</cn><false/></piece></piecewise>"))
    assert math.isnan(value("<notanumber/>"))


def test_names_that_look_like_constants_are_symbols() -> None:
    text = "<apply><plus/><ci>time</ci><ci>pi</ci><ci>avogadro</ci><ci>true</ci></apply>"
    assert read(text).symbols == {"time", "pi", "avogadro", "true"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<matrix/>", "matrix"), ("<apply><int/><ci>x</ci></apply>", "int"),
        ('<csymbol definitionURL="http://www.sbml.org/sbml/symbols/normal">normal</csymbol>', "symbols/normal"),
        ("<apply><plus/><vector/></apply>", "vector"), ("<html xmlns='http://www.w3.org/1999/xhtml'/>", "xhtml"),
        (csymbol("delay"), "delay"),
    ],
)  # fmt: skip
def test_what_sbml_does_not_have_is_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(ModelUnsupported, match=name):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        apply("divide", 1), apply("minus"), apply("minus", 1, 2, 3), apply("sin", 1, 2), apply("max"), "<apply/>",
        "<cn>1_000</cn>", "<cn>one</cn>", '<cn type="rational">1<sep/>0</cn>', "<cn>1</cn><cn>2</cn>",
        f"<apply>{csymbol('rateOf')}<cn>1</cn></apply>", f"<apply>{csymbol('delay')}<ci>x</ci></apply>",
        "<piecewise><piece><cn>1</cn></piece></piecewise>",
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ModelInvalid, match="example"):
        read(text)


def test_depth_costs_no_stack() -> None:
    deep = read("<apply><sin/>" * 390 + "<ci>x</ci>" + "</apply>" * 390)
    assert tree_size(deep) == 391
    assert deep.symbols == {"x"}


def test_sums_nested_on_the_left_are_one_sum() -> None:
    # some programs write a + b + c as (a + b) + c: the same number, computed in the same order
    nested = read("<apply><plus/><apply><plus/><ci>a</ci><ci>b</ci></apply><ci>c</ci></apply>")
    assert nested == read("<apply><plus/><ci>a</ci><ci>b</ci><ci>c</ci></apply>")
    other = read("<apply><plus/><ci>a</ci><apply><plus/><ci>b</ci><ci>c</ci></apply></apply>")
    assert other != nested


def library(**functions: tuple[str, str, tuple[str, ...]]) -> Library:
    read_ = {
        name: read_function(fromstring(lambda_math(names, body, *calls)), "example")
        for name, (names, body, calls) in functions.items()
    }
    return Library(read_, "example")


def expanded(found: Library, text: str, *functions: str) -> Expr:
    formula = read_math(fromstring(formula_of(text, *functions)), "example")
    assert formula is not None
    return found.expand(formula)


def test_functions_call_each_other_and_hide_names() -> None:
    # the argument x of f is not the model's x, and swapping arguments is done at once, not one after the other
    found = library(f=("x y", "x - 2*y", ()), g=("y x", "f(x, y) + f(y, x)", ("f",)), three=("", "3", ()))
    formula = expanded(found, "g(x + 1, x) + three()", "g", "three")
    x = 4.0
    assert evaluate(formula, {"x": x}) == (x - 2 * (x + 1)) + ((x + 1) - 2 * x) + 3


@pytest.mark.parametrize(
    ("functions", "text", "wrong"),
    [
        ({"f": ("x", "g(x)", ("g",)), "g": ("x", "f(x)", ("f",))}, "f(1)", "f → g → f"),
        ({"f": ("x", "x + k", ())}, "f(1)", "k"),
        ({"f": ("x", "x", ())}, "f(1, 2)", "1 arguments, not 2"),
        ({"f": ("x", "x", ())}, "g(1)", "no function"),
    ],
)
def test_broken_functions_are_refused(
    functions: dict[str, tuple[str, str, tuple[str, ...]]], text: str, wrong: str
) -> None:
    with pytest.raises(ModelInvalid, match=wrong):
        expanded(library(**functions), text, "f", "g")


def test_a_function_without_a_body_has_no_value() -> None:
    found = Library({"f": read_function(fromstring(f'<math xmlns="{MATHML}"/>'), "example")}, "example")
    assert math.isnan(float(evaluate(expanded(found, "f(1)", "f"), {})))


def test_functions_that_explode_are_refused_quickly() -> None:
    # each doubles its argument in two different ways: two to the thirtieth terms if it were written out
    names = [f"f{at}" for at in range(30)]
    functions = {
        name: ("x", f"{names[at - 1]}(x + 1) * {names[at - 1]}(x + 2)" if at else "x", tuple(names[at - 1 : at]))
        for at, name in enumerate(names)
    }
    with pytest.raises(ModelUnsupported, match="terms"):
        expanded(library(**functions), "f29(y)", "f29")
