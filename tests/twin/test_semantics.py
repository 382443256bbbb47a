"""What SBML says happens, on models small enough to work out by hand: events, starts, rates, delays, algebraic rules.

The answers follow from SBML Level 3 Version 2 Core (sections 4.9 and 4.11 for rules and events), not from a simulator.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from pepr_kg.twin import evaluate
from pepr_kg.twin.result import Result
from pepr_kg.twin.sbml.reading import read_model
from pepr_kg.twin.status import Status
from tests.twin.sbml_text import (
    algebraic,
    assigned,
    compartment,
    event,
    math,
    parameter,
    rated,
    reaction,
    sbml,
    species,
    started,
)

NOT_PERSISTENT = 'initialValue="true" persistent="false"'
FALSE_BEFORE = 'initialValue="false" persistent="true"'


def free(symbol: str, value: float | None = None) -> str:
    return parameter(symbol, value, constant=False)


def delay(formula: str) -> str:
    return f"<delay>{math(formula)}</delay>"


def priority(formula: str) -> str:
    return f"<priority>{math(formula)}</priority>"


def late(text: str) -> str:
    """The event with its values computed when it is carried out."""
    return text.replace('useValuesFromTriggerTime="true"', 'useValuesFromTriggerTime="false"')


def run(parts: Sequence[str], outputs: str, times: Sequence[float]) -> Result:
    model = read_model(sbml(*parts), name="example")
    return evaluate(
        model, {}, times=times, outputs=outputs.split(), rtol=1e-8, atol=1e-10, allow_undefined=True, seed=1
    )


CASES: dict[str, tuple[list[str], str, list[float], list[list[float]]]] = {
    # x goes through 1..2 and from 2.5 on: the first firing is dropped at 2, before it is due at 2.2
    "an event that is not persistent is dropped, and can fire again": (
        [free("x", 0), free("n", 0), rated("x", "1"),
         late(event("E", "(x > 1 and x < 2) or x > 2.5", {"n": "n + 1"}, inside=delay("1.2"), flags=NOT_PERSISTENT))],
        "n", [0, 2.9, 3.6, 3.8, 5], [[0, 0, 0, 1, 1]]),
    "a persistent event waits twice at once": (
        [free("x", 0), free("n", 0), rated("x", "1"),
         late(event("E", "(x > 1 and x < 1.5) or x > 2", {"n": "n + 1"}, inside=delay("3")))],
        "n", [3.9, 4.1, 4.9, 5.1, 6], [[0, 1, 1, 2, 2]]),
    "values are those of the trigger or those of the assignment": (
        [free("x", 0), free("n", 0), free("m", 0), rated("x", "1"),
         event("E", "x > 1", {"n": "x"}, inside=delay("1")),
         late(event("F", "x > 1", {"m": "x"}, inside=delay("1")))],
        "n m", [3], [[1], [2]]),
    "the highest priority goes first": (
        [free("x", 0)] + [
            late(event(f"E{at}", "t >= 1", {"x": f"10*x + {at}"}, inside=priority(str(rank))))
            for at, rank in ((1, 1), (2, 3), (3, 2))],
        "x", [0.5, 1.5], [[0, 231]]),
    "priorities are computed anew after each event": (
        [free("x", 0), free("p", 0),
         late(event("A", "t >= 1", {"p": "10", "x": "10*x + 1"}, inside=priority("5"))),
         late(event("B", "t >= 1", {"x": "10*x + 2"}, inside=priority("p"))),
         late(event("C", "t >= 1", {"x": "10*x + 3"}, inside=priority("4")))],
        "x", [1.5], [[123]]),
    "an event that another sets off goes before those that wait with less priority": (
        [free("x", 0), free("z", 0), event("A", "t >= 1", {"x": "2"}, inside=priority("5")),
         late(event("L", "t >= 1", {"z": "10*z + 1"}, inside=priority("1"))),
         late(event("B", "x > 1", {"z": "10*z + 2"}, inside=priority("9")))],
        "x z", [2], [[2], [21]]),
    "an event can take the ground from another that is due": (
        [free("x", 0), free("y", 0), free("z", 0), event("A", "t >= 1", {"x": "1"}, inside=priority("2")),
         event("B", "t >= 1 and x < 0.5", {"y": "1"}, inside=priority("1"), flags=NOT_PERSISTENT),
         event("C", "t >= 1 and x < 0.5", {"z": "1"}, inside=priority("1"))],
        "x y z", [2], [[1], [0], [1]]),
    "a trigger turns again within one instant": (
        [free("x", 1), free("n", 0), event("A", "t >= 1", {"x": "0"}, inside=priority("3")),
         event("B", "t >= 1", {"x": "1"}, inside=priority("2")), event("C", "x > 0.5", {"n": "n + 1"})],
        "n", [0.5, 2], [[0, 1]]),
    "what is true at the start fires where it was false before": (
        [free("x", 0), free("y", 0), free("z", 0), event("A", "t >= 0", {"x": "1"}, flags=FALSE_BEFORE),
         event("B", "t >= 0", {"y": "1"}),
         event("C", "t >= 0", {"z": "1"}, inside=delay("0.5"), flags=FALSE_BEFORE)],
        "x y z", [0, 0.4, 0.6], [[1, 1, 1], [0, 0, 0], [0, 0, 1]]),
    "a trigger that is undefined for a moment is found later": (
        [free("x", 0), free("n", 0), rated("x", "1"), event("A", "1/x < 0.5", {"n": "1"})],
        "n", [0, 1.9, 2.1], [[0, 0, 1]]),
    # x meets y at 0.75 and is set back to 1, then again after 1/8, 1/16 …; behind t = 1 the trigger stays true
    "events crowd towards a point of time, which is passed": (
        [free("x", 0.5), free("y", 2), rated("x", "1"), rated("y", "-1"), event("A", "x > y", {"x": "1"})],
        "x y", [0.7, 0.8, 1.5, 2], [[1.2, 1.05, 1.5, 2], [1.3, 1.2, 0.5, 0]]),
    "events crowd in a model that is not linear": (
        [free("x", 0.5), free("y", 2), free("z", 1), rated("x", "1"), rated("y", "-1"), rated("z", "-z*z"),
         event("A", "x > y", {"x": "1"})],
        "x y z", [0.7, 0.8, 1.5, 2], [[1.2, 1.05, 1.5, 2], [1.3, 1.2, 0.5, 0], [1/1.7, 1/1.8, 1/2.5, 1/3]]),
    "a compartment made larger by an event keeps what is in it": (
        [compartment("C", 2, constant=False), species("S", "C", 'initialConcentration="4"'),
         event("A", "t >= 1", {"C": "4"})],
        "S S.amount C", [0, 2], [[4, 2], [8, 8], [2, 4]]),
    "an amount is assigned as an amount, whatever becomes of the compartment": (
        [compartment("C", 2, constant=False), species("S", "C", 'initialConcentration="4"', amount=True),
         event("A", "t >= 1", {"C": "4", "S": "3"})],
        "S S.amount S.concentration", [0, 2], [[8, 3], [8, 3], [4, 0.75]]),
    "the start is computed through rules, rates and reactions": (
        [compartment("V"), species("S", "V", 'initialAmount="2"'), reaction("R", "S", "", "0.5*S"),
         free("a", 1), rated("a", "3*a"), parameter("c"), parameter("d"), free("b"), assigned("b", "c + t"),
         parameter("e"), started("c", "rateOf(a)"), started("d", "R + c"), started("e", "b*b")],
        "c d e", [0, 1], [[3, 3], [4, 4], [9, 9]]),
    "a concentration given in a compartment that a rule sizes": (
        [compartment("C", None, constant=False), assigned("C", "2 + t"),
         species("S", "C", 'initialConcentration="3"')],
        "S S.amount", [0, 2], [[3, 1.5], [6, 6]]),
    "the rate of a concentration counts the growth of its compartment": (
        [compartment("C", 1, constant=False), rated("C", "1"), species("S", "C", 'initialAmount="2"'), free("r"),
         assigned("r", "rateOf(S)")],
        "r", [0, 1], [[-2, -0.5]]),
    "what is undefined beside the states leaves them alone": (
        [free("x", 1), free("q"), free("z"), free("w"), rated("x", "-x*x"), assigned("z", "q*x"),
         assigned("w", "1/(x - x)")],
        "x z w", [0, 1], [[1, 0.5], [np.nan, np.nan], [np.inf, np.inf]]),
    "an algebraic rule keeps to the branch that it starts on": (
        [free("x", -2), free("y", 1), rated("y", "1"), algebraic("x*x + y - 5")],
        "x", [0, 3], [[-2, -1]]),
    "an algebraic rule is solved anew after an event": (
        [free("x", 2), free("y", 1), algebraic("x*x + y - 5"), event("A", "t >= 1", {"y": "-4"})],
        "x", [0, 2], [[2, 3]]),
    # x*y = 2 + t and (x + y)^2 = 9 + t^2 + 4t: at t = 2 the sum is sqrt(21), the difference sqrt(5)
    "two algebraic rules are solved together": (
        [free("x", 1), free("y", 2), algebraic("x*y - 2 - t"), algebraic("x*x + y*y - 5 - t*t - 2*t")],
        "x y", [0, 2], [[1, (21**0.5 - 5**0.5) / 2], [2, (21**0.5 + 5**0.5) / 2]]),
    "an algebraic rule sizes a compartment": (
        [compartment("C", 1, constant=False), free("k", 1), rated("k", "1"), algebraic("C - 2*k"),
         species("S", "C", 'initialAmount="4"')],
        "C S S.amount", [0, 1], [[2, 4], [2, 1], [4, 4]]),
    # x = 1 before the start: x' = -1 until 1, then x' = -(1 - (t - 1))
    "a rate looks back": ([free("x", 1), rated("x", "-delay(x, 1)")], "x", [0, 1, 2], [[1, 0, -0.5]]),
    "a jump is looked back on": (
        [free("x", 0), free("y"), event("A", "t >= 1", {"x": "5"}), assigned("y", "delay(x, 1)")],
        "y", [0, 1.5, 1.9, 2.1], [[0, 0, 0, 5]]),
    "events look back": (
        [free("x", 0), free("y", 0), free("z", 0), rated("x", "1"), event("A", "t >= 2", {"y": "delay(x, 0.5)"}),
         event("B", "delay(x, 0.5) >= 1", {"z": "1"})],
        "y z", [1.45, 1.55, 3], [[0, 0, 1.5], [0, 1, 1]]),
    "names that look like the language's own are symbols": (
        [parameter("pi", 7), parameter("time", 3), parameter("inf", 2), parameter("delay", 4), free("z"),
         assigned("z", "pi + time + inf + delay + t")],
        "z", [0, 1], [[16, 17]]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_happens(name: str) -> None:
    parts, outputs, times, wanted = CASES[name]
    found = run(parts, outputs, times)
    assert found.status.tolist() == [Status.DONE]
    np.testing.assert_allclose(found.data[:, :, 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("state", [rated("y", "-y"), rated("y", "-y*y")])
def test_events_without_end_end_the_lane_with_a_sentence(state: str) -> None:
    flip = event("A", "t >= 1 and x < 0.5", {"x": "1"}), event("B", "x > 0.5", {"x": "0"})
    found = run([free("x", 0), free("y", 1), state, *flip], "x y", [0, 0.5, 2])
    assert found.status.tolist() == [Status.NOT_RESTING]
    assert found.ended[0] == pytest.approx(1)
    assert np.isnan(found.data[:, 2]).all()
    assert found.data[0, :2, 0].tolist() == [0, 0]
    assert "without end" in found.failures[0].sentence("en")


def test_equals_without_priorities_go_in_an_order_drawn_at_random() -> None:
    parts = [free("x", 0), *(late(event(f"E{at}", "t >= 1", {"x": f"10*x + {at}"})) for at in (1, 2))]
    model = read_model(sbml(*parts), name="example")
    found = evaluate(model, {}, times=[0, 2], outputs=["x"], samples=200, seed=3).data[0, 1]
    assert set(found.tolist()) == {12, 21}
    assert 60 < np.sum(found == 12) < 140  # six standard deviations of a fair draw
