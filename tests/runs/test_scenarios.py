"""Scenarios as a line of text: what is read, in which units, what is refused, and that text and scenario are one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.runs.errors import BadExpression, UnknownScenario
from pepr_kg.runs.key import read_scenario, scenario_document
from pepr_kg.runs.scenarios import Pair, parse_expression, plan_scenarios, to_expression
from pepr_kg.twin import Intervention, Scenario, load_model
from pepr_kg.twin.errors import UnitMismatch, UnknownSymbol, UnknownUnit

PK = load_model("pk2-oral")
NUMBERS = st.floats(min_value=-1e9, max_value=1e9).filter(lambda value: value == 0.0 or abs(value) > 1e-9)
TIMES = st.none() | st.floats(min_value=0, max_value=1e6)


def changes(text: str) -> list[str]:
    return [str(item) for item in parse_expression(text, PK).interventions]


@pytest.mark.parametrize(("text", "expected"), [
    ("CL=4", ["CL = 4"]),
    ("CL = 4", ["CL = 4"]),
    ("CL*0.5", ["CL × 0.5"]),
    ("CL×2", ["CL × 2"]),
    ("CL+1.5", ["CL + 1.5"]),
    ("CL-1.5", ["CL + -1.5"]),
    ("CL−1.5 @ 6", ["CL + -1.5 @ 6"]),
    ("CL=70 mL/min", ["CL = 4.2"]),
    ("CL=4 @ 1 d", ["CL = 4 @ 24"]),
    ("CL*0.5, V1=10@12", ["CL × 0.5", "V1 = 10 @ 12"]),
    ("dose amount_gut 100 @ 0,24,48", ["amount_gut + 100 @ 0", "amount_gut + 100 @ 24", "amount_gut + 100 @ 48"]),
    ("dose amount_gut 0.1 g @ 0, 1 d, CL*2", ["amount_gut + 100 @ 0", "amount_gut + 100 @ 24", "CL × 2"]),
    ("slow: CL*0.5", ["CL × 0.5"]),
])  # fmt: skip
def test_a_line_is_read(text: str, expected: list[str]) -> None:
    assert changes(text) == expected


def test_a_scenario_has_the_name_that_it_is_given_else_its_changes() -> None:
    assert parse_expression("base", PK) == Scenario.base()
    assert parse_expression("témoin: base", PK).name == "témoin"
    assert parse_expression("half dose, later: CL*0.5", PK).name == "half dose, later"
    assert parse_expression("CL × 0.5", PK).name == "CL*0.5"
    assert parse_expression("region=low", load_model("score2")).interventions[0].value == "low"


@pytest.mark.parametrize(("text", "error"), [
    ("", BadExpression),
    ("slow:", BadExpression),
    ("CL", BadExpression),
    ("CL*two", BadExpression),
    ("CL*2 mg", BadExpression),
    ("CL=4 @ soon", BadExpression),
    ("CL=4 @", BadExpression),
    ("CL=4" + "0" * 20_000, BadExpression),
    ("CL=4 @ 1, 2", BadExpression),
    ("dose amount_gut 100", BadExpression),
    ("CLL=4", UnknownSymbol),
    ("CL=4 mg", UnitMismatch),
    ("CL=4 furlong", UnknownUnit),
])  # fmt: skip
def test_what_cannot_be_read_is_named(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_expression(text, PK)


def test_declared_scenarios_are_named_by_their_iri() -> None:
    declared = {"https://w3id.org/pepr-santenum/id/scenario/pk2-oral.slow": Scenario.scale("CL", 0.5).named("slow")}
    (planned,) = plan_scenarios(["scenario:pk2-oral.slow"], PK, declared)
    assert (planned.iri, planned.scenario.name) == (next(iter(declared)), "slow")
    with pytest.raises(UnknownScenario, match=r"pk2-oral\.slow"):
        plan_scenarios(["scenario:pk2-oral.fast"], PK, declared)
    with pytest.raises(BadExpression):
        plan_scenarios(["slow: CL*2", "scenario:pk2-oral.slow"], PK, declared)


def test_of_two_coupled_models_a_symbol_may_say_whose_it_is() -> None:
    pair = Pair("pair", load_model("two-scale-fast"), load_model("two-scale-slow"))
    found = parse_expression("fast.eps_a=0.1, k*2", pair)
    assert [item.symbol for item in found.interventions] == ["fast.eps_a", "k"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "scale", "add"]), st.sampled_from(["CL", "V1", "Q"]), NUMBERS, TIMES),
        min_size=1, max_size=4, unique_by=lambda item: (item[0], item[1], item[3]),
    )
)  # fmt: skip
def test_text_and_scenario_are_one(items: list[tuple[str, str, float, float | None]]) -> None:
    plan = Scenario("x", tuple(Intervention(*item) for item in items))
    assert parse_expression(f"x: {to_expression(plan)}", PK) == plan
    assert read_scenario(scenario_document(plan)) == plan


@pytest.mark.parametrize(
    "text", [" " * 9_000 + "=", "a" + " " * 4_000 + "@" + " " * 4_000 + "@", "CL*" + "1" * 9_000 + "x"]
)
def test_a_long_line_is_refused_at_once(text: str) -> None:
    begin = time.process_time()
    with pytest.raises((BadExpression, UnknownSymbol)):
        parse_expression(text, PK)
    assert time.process_time() - begin < 0.5


def test_an_address_is_no_name() -> None:
    with pytest.raises(UnknownScenario):
        plan_scenarios(["https://example.org/s"], PK, {})
    with pytest.raises(BadExpression):
        parse_expression("https://example.org/s", PK)
