"""Algebraic rules and fast reactions: what determines what, and what is refused."""

import math
from pathlib import Path

import pytest

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import (
    algebraic,
    assigned,
    compartment,
    course,
    event,
    parameter,
    rated,
    reaction,
    sbml,
    species,
    started,
    values,
)

ROOT = Path(__file__).parents[2]


# Algebraic rules -----------------------------------------------------------------------------------------------------


def test_linear_rules_are_solved_together() -> None:
    # a + b = 10 and a - b = 2 x
    model = read_model(
        sbml(
            parameter("x", 1.0, constant=False),
            parameter("a", constant=False),
            parameter("b", constant=False),
            rated("x", "1"),
            algebraic("a + b - 10"),
            algebraic("a - b - 2 * x"),
        )
    )
    assert (model.constraints, model.algebraic) == ((), ())
    found = values(model, x=3.0)
    assert (found["a"], found["b"]) == (8.0, 2.0)


def test_a_rule_reaches_its_unknown_through_other_rules() -> None:
    # the unknown is the concentration of S, which only enters through y
    model = read_model(
        sbml(
            compartment("V", 2.0),
            species("S", "V", 'initialConcentration="1"', boundary=True),
            parameter("y", constant=False),
            assigned("y", "3 * S + 1"),
            algebraic("y - 7 * (t + 1)"),
        )
    )
    assert model.constraints == ()
    assert values(model, 2.0)["S"] == pytest.approx(20 / 3)
    assert values(model, 2.0)["S.amount"] == pytest.approx(40 / 3)


def test_a_rule_that_is_not_linear_stays_a_constraint() -> None:
    model = read_model(sbml(parameter("x", 1.0, constant=False), parameter("a", 4.0), algebraic("x * x - a * (t + 1)")))
    assert model.algebraic == ("x",)
    assert model.variable("x").role == "algebraic"
    assert course(model, "x", [0.0, 3.0]) == pytest.approx([2.0, 4.0])


def test_a_rule_with_steps_in_its_unknown_is_not_solved_as_if_it_had_none() -> None:
    model = read_model(sbml(parameter("x", 1.0, constant=False), algebraic("x + floor(x) - 3")))
    assert model.algebraic == ("x",)


def test_a_rule_whose_symbols_are_all_determined_is_refused() -> None:
    text = sbml(parameter("x", 1.0, constant=False), parameter("k", 1.0), rated("x", "1"), algebraic("x - k"))
    with pytest.raises(ModelInvalid, match=r"over-determined.*k, x"):
        read_model(text)


def test_two_rules_for_one_symbol_are_refused() -> None:
    text = sbml(parameter("x", 1.0, constant=False), algebraic("x - 1"), algebraic("x - 2"))
    with pytest.raises(ModelInvalid, match="over-determined"):
        read_model(text)
    # here each has a symbol of its own, but the sum of both rules has none
    text = sbml(
        parameter("x", 1.0, constant=False),
        parameter("y", 1.0, constant=False),
        algebraic("x + y - 1"),
        algebraic("x + y - 2"),
    )
    with pytest.raises(ModelInvalid, match="over-determined"):
        read_model(text)


def test_what_a_rule_determines_is_no_target_of_an_event() -> None:
    free = parameter("a", 1.0, constant=False), parameter("b", 1.0, constant=False), algebraic("a + b - 10")
    # an event assigns a, so the rule gives b
    model = read_model(sbml(*free, event("E", "t > 1", {"a": "4"})))
    assert course(model, "b", [0.0, 2.0]) == pytest.approx([9.0, 6.0])
    with pytest.raises(ModelUnsupported, match="algebraicRule"):
        read_model(sbml(*free, event("E", "t > 1", {"a": "4", "b": "3"})))


def test_a_loop_is_refused_with_its_symbols() -> None:
    names = "abc"
    parts = [parameter(name, constant=False) for name in names]
    loop = [assigned("a", "b + 1"), assigned("b", "c"), assigned("c", "a * 2")]
    with pytest.raises(ModelInvalid, match="a → b → c → a"):
        read_model(sbml(*parts, *loop))
    with pytest.raises(ModelInvalid, match="p → q → p"):
        read_model(sbml(parameter("p"), parameter("q"), started("p", "q"), started("q", "p")))
    with pytest.raises(ModelInvalid, match="rateOf"):
        read_model(
            sbml(
                parameter("x", 1, constant=False),
                rated("x", "rateOf(x) + 1"),
                parameter("y", constant=False),
                assigned("y", "rateOf(x)"),
            )
        )


# Fast reactions ------------------------------------------------------------------------------------------------------


def fast_model(*more: str, a: float = 3.0, b: float = 1.0) -> Model:
    """A and B in an equilibrium k of one to two, while B is slowly lost."""
    return read_model(
        sbml(
            compartment("V"),
            species("A", "V", f'initialAmount="{a}"'),
            species("B", "V", f'initialAmount="{b}"'),
            parameter("k", 2.0),
            reaction("F", "A", "B", "k * A - B", fast=True),
            reaction("S", "B", "", "0.3 * B"),
            *more,
            version=1,
        )
    )


def test_a_fast_reaction_is_in_equilibrium_from_the_start() -> None:
    # A + B = T with B = 2 A: B = 2 T / 3, and T' = -0.3 B
    model = fast_model()
    times = [0.0, 1.0, 5.0]
    assert course(model, "B", times) == pytest.approx([8 / 3 * math.exp(-0.2 * time) for time in times], rel=1e-6)
    assert course(model, "A", times) == pytest.approx([4 / 3 * math.exp(-0.2 * time) for time in times], rel=1e-6)


def test_an_event_on_a_fast_species_is_followed_by_the_equilibrium() -> None:
    model = fast_model(event("E", "t >= 1", {"A": "A + 3"}))
    assert course(model, "B", [1.0 + 1e-9])[0] == pytest.approx(2 / 3 * (4 * math.exp(-0.2) + 3), rel=1e-6)


def test_a_fast_association_is_a_constraint() -> None:
    # A + B <-> C with C = A B / 2: A - B and A + C are conserved
    model = read_model(
        sbml(
            compartment("V"),
            species("A", "V", 'initialAmount="4"'),
            species("B", "V", 'initialAmount="3"'),
            species("C", "V", 'initialAmount="0"'),
            reaction("F", "A, B", "C", "A * B - 2 * C", fast=True),
            version=1,
        )
    )
    found = {name: course(model, name, [0.0, 1.0]) for name in "ABC"}
    for a, b, c in zip(*found.values(), strict=True):
        assert a * b == pytest.approx(2 * c)
        assert (a - b, a + c) == (pytest.approx(1), pytest.approx(4))
        assert min(a, b, c) > 0


def test_two_fast_reactions_with_one_conserved_sum() -> None:
    # A <-> B <-> C, twice as much in each, the second way from A to B redundant
    model = read_model(
        sbml(
            compartment("V"),
            species("A", "V", 'initialAmount="7"'),
            species("B", "V", 'initialAmount="0"'),
            species("C", "V", 'initialAmount="0"'),
            reaction("F", "A", "B", "2 * A - B", fast=True),
            reaction("G", "B", "C", "2 * B - C", fast=True),
            reaction("H", "A", "B", "4 * A - 2 * B", fast=True),
            version=1,
        )
    )
    found = {name: course(model, name, [0.0])[0] for name in "ABC"}
    assert found == {"A": pytest.approx(1), "B": pytest.approx(2), "C": pytest.approx(4)}


def test_an_irreversible_fast_reaction_ends_with_what_is_scarce() -> None:
    def left(a: float, b: float) -> tuple[float, float, float]:
        model = read_model(
            sbml(
                compartment("V"),
                species("A", "V", f'initialAmount="{a}"'),
                species("B", "V", f'initialAmount="{b}"'),
                species("C", "V", 'initialAmount="0"'),
                reaction("F", "2 A, B", "C", "0.1 * A * A * B", fast=True),
                version=1,
            )
        )
        found = [course(model, name, [0.0])[0] for name in "ABC"]
        return found[0], found[1], found[2]

    assert left(6.0, 1.0) == pytest.approx((4.0, 0.0, 1.0))
    assert left(6.0, 5.0) == pytest.approx((0.0, 2.0, 3.0))


def test_the_rate_of_a_fast_reaction_has_no_value() -> None:
    with pytest.raises(ModelUnsupported, match="fast"):
        fast_model(parameter("y", constant=False), assigned("y", "F"))
