"""SBML files become equations that mean what the standard says; what is not understood is refused by its name."""

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pepr_kg.twin.errors import ModelInvalid, ModelUnsupported
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import (
    assigned,
    compartment,
    course,
    event,
    function,
    parameter,
    rated,
    rates,
    reaction,
    sbml,
    species,
    started,
    values,
)
from tests.twin.sbml_text import (
    math as formula_math,
)

ROOT = Path(__file__).parents[2]


# The suite -----------------------------------------------------------------------------------------------------------


def suite_files(shared: Path) -> Mapping[str, tuple[str, Path]]:
    folder = shared / "sbml-test-suite"
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["case"]: (row["tier"], folder / "cases" / row["case"] / f"{row['case']}-sbml-{row['level']}.xml")
            for row in csv.DictReader(file)
        }


def test_every_case_of_the_suite_is_read_or_refused_by_name(shared: Path) -> None:
    files = suite_files(shared)
    refused: dict[str, str] = {}
    for case, (tier, path) in files.items():
        try:
            model = read_model(path)
        except ModelUnsupported as failure:
            refused[tier] = str(failure.details["construct"])
        else:
            assert len(model.rates) == len(model.states), case
            assert len(model.constraints) == len(model.algebraic), case
    assert len(files) > 800
    assert refused == {"fbc": "SBML package fbc"}


def as_level2(text: str) -> str:
    """A Level 3 file without Level 3's own constructs, written in Level 2 Version 4."""
    text = re.sub(
        r'xmlns="[^"]*core" level="3" version="\d"',
        'xmlns="http://www.sbml.org/sbml/level2/version4" level="2" version="4"',
        text,
    )
    text = re.sub(
        r"<(/?)(listOfL|l)ocalParameter",
        lambda found: f"<{found[1]}{'listOfP' if found[2] == 'listOfL' else 'p'}arameter",
        text,
    )
    text = re.sub(r' (substance|time|volume|area|length|extent)Units="[^"]*"(?=[^>]*>\s*<listOf)', "", text)
    return re.sub(r' (initialValue|persistent)="true"', "", text)


@pytest.mark.parametrize(
    "case", ["00005", "00017", "00042", "00071", "00103", "00455", "00467", "00500", "00532", "00661"]
)
def test_level_2_means_the_same(shared: Path, case: str) -> None:
    tier, path = suite_files(shared).get(case, ("", Path()))
    if not tier:
        pytest.skip(f"case {case} is not in this half of the suite")
    text = path.read_text(encoding="utf-8")
    one, two = read_model(text.encode()), read_model(as_level2(text).encode())
    assert (two.level, two.version) == (2, 4)
    assert (one.states, one.rates, one.initial) == (two.states, two.rates, two.initial)
    assert (one.assignments, one.constraints, one.constants) == (two.assignments, two.constraints, two.constants)
    assert [item.trigger for item in one.events] == [item.trigger for item in two.events]


def test_level_2_defaults_and_its_own_stoichiometry() -> None:
    stoichiometry = f"<stoichiometryMath>{formula_math('2 * k')}</stoichiometryMath>"
    text = (
        '<sbml xmlns="http://www.sbml.org/sbml/level2" level="2" version="1"><model id="old">'
        '<listOfCompartments><compartment id="c" size="2"/></listOfCompartments>'
        '<listOfSpecies><species id="S" compartment="c" initialConcentration="3"/></listOfSpecies>'
        '<listOfParameters><parameter id="k" value="5"/></listOfParameters><listOfReactions><reaction id="R">'
        f'<listOfReactants><speciesReference species="S">{stoichiometry}</speciesReference></listOfReactants>'
        f'<listOfProducts><speciesReference species="S"/></listOfProducts>'
        f'<kineticLaw>{formula_math("k * S * c")}<listOfParameters><parameter id="k" value="0.1"/></listOfParameters>'
        "</kineticLaw></reaction></listOfReactions></model></sbml>"
    )
    model = read_model(text.encode())
    # amount 6 at the start; the rate 0.1 * 3 * 2, taken 10 times and given once
    assert values(model)["S.amount"] == 6.0
    assert rates(model) == {"S.amount": pytest.approx((1 - 10) * 0.6)}
    assert model.variable("S").unit == "mol/L"
    assert model.variable("R").unit == "mol/s"
    assert model.time_unit == "s"


# Quantities ----------------------------------------------------------------------------------------------------------


def test_a_compartment_that_grows_dilutes() -> None:
    model = read_model(
        sbml(compartment("V", 2.0, constant=False), species("S", "V", 'initialConcentration="3"'), rated("V", "0.5"))
    )
    assert course(model, "S", [0.0, 4.0]) == pytest.approx([3.0, 1.5])
    assert course(model, "S.amount", [0.0, 4.0]) == pytest.approx([6.0, 6.0])


def test_a_rate_rule_of_a_concentration_holds_while_the_compartment_grows() -> None:
    model = read_model(
        sbml(
            compartment("V", 2.0, constant=False),
            species("S", "V", 'initialAmount="6"', boundary=True),
            rated("V", "0.5 * V"),
            rated("S", "1"),
        )
    )
    # S is 3 + t, and its amount that times the size
    assert course(model, "S", [0.0, 2.0]) == pytest.approx([3.0, 5.0])
    assert course(model, "S.amount", [0.0, 2.0]) == pytest.approx([6.0, 5.0 * 2.0 * math.e])


def test_an_amount_stays_one_and_has_a_concentration() -> None:
    model = read_model(sbml(compartment("V", 4.0), species("S", "V", 'initialConcentration="3"', amount=True)))
    found = values(model)
    assert (found["S"], found["S.amount"], found["S.concentration"]) == (12.0, 12.0, 3.0)
    assert model.variable("S").core == "S"
    assert model.variable("S").compartment is None


def test_without_dimensions_there_is_no_concentration() -> None:
    model = read_model(sbml(compartment("P", None, dimensions=0), species("S", "P", 'initialAmount="3"')))
    assert values(model)["S"] == 3.0
    assert "S.concentration" not in {item.symbol for item in model.assignments}


def test_conversion_factors_of_species_win_over_that_of_the_model() -> None:
    model = read_model(
        sbml(
            compartment("V"),
            species("A", "V", 'initialAmount="1" conversionFactor="own"', amount=True),
            species("B", "V", 'initialAmount="1"', amount=True),
            parameter("own", 5.0),
            parameter("all", 7.0),
            reaction("R", "A", "B", "2"),
            attributes='conversionFactor="all"',
        )
    )
    assert rates(model) == {"A": -10.0, "B": 14.0}


def test_a_local_parameter_hides_a_global_one_in_its_law_alone() -> None:
    model = read_model(
        sbml(
            compartment("V"),
            species("A", "V", 'initialAmount="1"', amount=True),
            parameter("k", 2.0),
            parameter("twice", constant=False),
            assigned("twice", "2 * k"),
            reaction("R", "", "A", "k", own='<localParameter id="k" value="30"/>'),
        )
    )
    assert rates(model) == {"A": 30.0}
    assert values(model)["twice"] == 4.0
    assert "R.k" in model.constants


def test_the_start_is_ordered_through_rules_and_initial_assignments() -> None:
    # p waits for the rule of q, which waits for the concentration of S, which waits for nothing; V for p
    model = read_model(
        sbml(
            compartment("V", None),
            species("S", "V", 'initialConcentration="3"'),
            parameter("p"),
            parameter("q", constant=False),
            started("V", "p + 1"),
            started("p", "2 * q"),
            assigned("q", "S + t"),
        )
    )
    found = values(model)
    assert (found["p"], found["V"], found["S.amount"]) == (6.0, 7.0, 21.0)


def test_a_missing_value_is_no_number() -> None:
    assert math.isnan(values(read_model(sbml(parameter("k"))))["k"])


def test_rates_are_replaced_by_their_formulas() -> None:
    model = read_model(
        sbml(
            compartment("V", 2.0, constant=False),
            species("S", "V", 'initialConcentration="3"'),
            parameter("x", 1.0, constant=False),
            parameter("d", 1.0, constant=False),
            parameter("y", constant=False),
            parameter("z", constant=False),
            rated("V", "0.5"),
            rated("x", "t * x"),
            reaction("R", "", "S", "4"),
            assigned("y", "rateOf(x) + rateOf(d) + 10 * rateOf(S)"),
            assigned("z", "rateOf(y2)"),
            parameter("y2", constant=False),
            assigned("y2", "x * x + t"),
            event("E", "t > 1", {"d": "2"}),
        )
    )
    found = values(model, 3.0, x=7.0)
    # the concentration is amount / V: (4 - S 0.5) / V at the start
    assert found["y"] == pytest.approx(21.0 + 0.0 + 10 * (4 - 3 * 0.5) / 2)
    assert found["z"] == pytest.approx(2 * 7 * 21.0 + 1)
    assert not any(item.formula.has("rate") for item in model.assignments)


def test_the_rate_of_a_symbol_called_time() -> None:
    model = read_model(
        sbml(
            parameter("time", 1.0, constant=False),
            parameter("y", constant=False),
            parameter("z", constant=False),
            rated("time", "3"),
            assigned("y", "time * t"),
            assigned("z", "rateOf(y)"),
        )
    )
    assert values(model, 5.0, time=4.0)["z"] == 4 + 3 * 5


# Events --------------------------------------------------------------------------------------------------------------


def test_an_event_gives_a_concentration_in_the_size_before_it() -> None:
    # cases 01779 and 01780 of the suite: the order in which size and concentration are written does not matter
    model = read_model(
        sbml(
            compartment("V", 0.5, constant=False),
            species("S", "V", 'initialConcentration="2"', boundary=True),
            event("E", "t >= 0.45", {"S": "0.2", "V": "0.2"}),
        )
    )
    assert course(model, "S.amount", [0.0, 1.0]) == pytest.approx([1.0, 0.1])
    assert course(model, "S", [0.0, 1.0]) == pytest.approx([2.0, 0.5])
    assert model.discretes == ("V", "S.amount")


def test_events_keep_what_the_file_says() -> None:
    inside = f"<delay>{formula_math('2')}</delay><priority>{formula_math('k')}</priority>"
    text = sbml(
        parameter("k", 1.0),
        parameter("x", 1.0, constant=False),
        event("E", "t > k", {"x": "3"}, inside=inside, flags='initialValue="false" persistent="false"'),
        event("F", "t > k", {"x": "3"}),
    )
    first, second = read_model(
        text.replace(b'id="E" useValuesFromTriggerTime="true"', b'id="E" useValuesFromTriggerTime="false"')
    ).events
    assert (first.initial, first.persistent, first.from_trigger) == (False, False, False)
    assert (str(first.delay), str(first.priority)) == ("2", "k")
    assert (second.initial, second.persistent, second.from_trigger, second.delay) == (True, True, True, None)


def test_an_event_without_a_trigger_never_fires() -> None:
    text = '<event id="E" useValuesFromTriggerTime="true"><listOfEventAssignments/></event>'
    assert read_model(sbml(text)).events == ()


# Contradictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "symbol"),
    [
        ((parameter("k"), parameter("k")), "k"),
        ((parameter("x", constant=False), assigned("x", "nothing")), "nothing"),
        ((parameter("x", constant=False), assigned("missing", "x")), "missing"),
        ((parameter("k", 1.0), assigned("k", "2")), "k"),
        ((parameter("k", 1.0), rated("k", "2")), "k"),
        ((parameter("k", 1.0), event("E", "t > 1", {"k": "2"})), "k"),
        ((parameter("x", constant=False), assigned("x", "2"), assigned("x", "3")), "x"),
        ((parameter("x", constant=False), assigned("x", "2"), started("x", "3")), "x"),
        ((parameter("x", constant=False), assigned("x", "2"), event("E", "t > 1", {"x": "1"})), "x"),
        ((species("S", "nowhere"),), "nowhere"),
        ((compartment("V"), reaction("R", "S", "", "1")), "S"),
        ((compartment("V"), species("S", "V"), reaction("R", "S", "", "1"), rated("S", "1")), "S"),
        ((compartment("V"), species("S", "V"), reaction("R", "S", "", "1"), started("R", "1")), "R"),
        ((compartment("V"), species("S", "V", 'conversionFactor="f"'), reaction("R", "S", "", "1")), "f"),
        ((function("f", "x", "x"), function("f", "x", "x")), "f"),
        (('<parameter value="1"/>',), "parameter"),
        (('<parameter id="k" value="one"/>',), "k"),
        (('<parameter id="k" value="1_0"/>',), "k"),
        (('<parameter id="k" constant="maybe"/>',), "k"),
        ((reaction("R", "", "", "k", own='<localParameter id="k"/><localParameter id="k"/>'),), "R, k"),
    ],
)
def test_a_contradiction_names_its_symbol(parts: tuple[str, ...], symbol: str) -> None:
    with pytest.raises(ModelInvalid) as caught:
        read_model(sbml(*parts))
    assert caught.value.details["symbol"] == symbol
    assert caught.value.message("fr") != caught.value.message("en")


# What is told about symbols ------------------------------------------------------------------------------------------


def test_annotations_are_kept() -> None:
    rdf = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:bqbiol="http://biomodels.net/biology-qualifiers/"><rdf:Description rdf:about="#meta_k"><bqbiol:is>'
        '<rdf:Bag><rdf:li rdf:resource="urn:miriam:chebi:CHEBI%3A28177"/></rdf:Bag>'
        "</bqbiol:is></rdf:Description></rdf:RDF>"
    )
    text = (
        f'<parameter id="k" metaid="meta_k" sboTerm="SBO:0000027" name="the k" value="1" constant="true">'
        f"<annotation>{rdf}</annotation></parameter>"
    )
    model = read_model(sbml(text))
    assert model.variable("k").name == "the k"
    assert {(item.symbol, item.predicate, item.resource) for item in model.annotations} == {
        ("k", "sboTerm", "SBO:0000027"),
        ("k", "http://biomodels.net/biology-qualifiers/is", "urn:miriam:chebi:CHEBI%3A28177"),
    }


def test_units_become_ucum_codes_and_are_inherited() -> None:
    def unit(symbol: str, name: str, *kinds: str) -> str:
        return (
            f'<unitDefinition id="{symbol}" name="{name}"><listOfUnits>{"".join(kinds)}</listOfUnits></unitDefinition>'
        )

    def kind(name: str, exponent: int = 1, scale: int = 0, multiplier: float = 1) -> str:
        return f'<unit kind="{name}" exponent="{exponent}" scale="{scale}" multiplier="{multiplier}"/>'

    model = read_model(
        sbml(
            unit("hour", "", kind("second", multiplier=3600)),
            unit("mg", "", kind("gram", scale=-3)),
            unit("pressure", "", kind("pascal", multiplier=133.322387415)),
            unit(
                "indexed",
                "mL/min/{1.73_m2}",
                kind("litre", scale=-3),
                kind("second", -1, 0, 60),
                kind("metre", -2),
                kind("dimensionless", -1, 0, 1.73),
            ),
            unit("wrong", "mL", kind("litre")),
            compartment("V"),
            species("S", "V", 'initialAmount="1"'),
            species("T", "V", 'initialAmount="1" substanceUnits="mole"', amount=True),
            reaction("R", "S", "", "1"),
            parameter("p", 1.0, more='units="pressure"'),
            parameter("f", 1.0, more='units="indexed"'),
            parameter("w", 1.0, more='units="wrong"'),
            parameter("n", 1.0),
            attributes='timeUnits="hour" substanceUnits="mg" volumeUnits="litre" extentUnits="mg"',
        )
    )
    found = {item.symbol: item.unit for item in model.variables}
    assert model.time_unit == "h"
    assert found == {
        "V": "L", "S": "mg/L", "T": "mol", "R": "mg/h", "p": "mm[Hg]", "f": "mL/min/{1.73_m2}", "w": "L", "n": None,
    }  # fmt: skip


def test_equal_files_have_equal_digests() -> None:
    text = sbml(parameter("k", 1.0))
    one, two, three = read_model(text), read_model(text, name="other", source="elsewhere"), read_model(text + b" ")
    assert one.digest == two.digest != three.digest
    assert (two.name, two.source) == ("other", "elsewhere")


@pytest.mark.parametrize("path", sorted((ROOT / "ontology" / "models").glob("*.xml")), ids=lambda path: path.stem)
def test_built_in_models_have_all_their_units(path: Path) -> None:
    model = read_model(path)
    assert model.time_unit
    assert [item.symbol for item in model.variables if item.unit is None] == []


def test_a_species_that_nothing_changes_is_constant() -> None:
    model = read_model(
        sbml(
            compartment("V"),
            species("S", "V", 'initialAmount="2" constant="true"', boundary=True),
            reaction("R", "S", "", "S"),
        )
    )
    assert model.states == ()
    assert np.isclose(values(model)["R"], 2.0)
