"""Units: UCUM's functional test cases, the codes of FHIR's examples, the definitions in our models, properties."""

import json
import math
import time
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.twin.errors import UnitMismatch, UnknownUnit
from pepr_kg.twin.ucum import PREFIXES
from pepr_kg.twin.units import SbmlUnit, conversion, convert, parse_unit, unit_from_sbml

MODELS = Path(__file__).parents[2] / "ontology" / "models"
CLINICAL = (
    "mg ug kg g mol mmol umol m cm L mL dL s ms min h d wk mo a kPa bar mm[Hg] cm[H2O] % 1 {score} [iU] U kat Hz J W V"
    " mV A uA S mS F uF Ohm N Pa K rad deg eq osm cal [lb_av] [in_i] {1.73_m2} 10*9 [drp]"
)
codes = st.sampled_from(CLINICAL.split(" "))
values = st.floats(-1e12, 1e12, allow_nan=False)


@st.composite
def products(draw: st.DrawFn) -> str:
    """A UCUM text of up to four parts, with parentheses and exponents."""
    text = draw(codes)
    for _ in range(draw(st.integers(0, 3))):
        part = draw(codes)
        if not part.endswith("}") and not part[0].isdigit():
            part += draw(st.sampled_from(["", "", "2", "-1", "-2"]))
        operator = draw(st.sampled_from("./"))
        decimal = operator == "." and text[-1].isdigit() and part[0].isdigit()  # "1.1" is refused: it may be meant so
        text = f"{text}{operator}{part}" if draw(st.booleans()) and not decimal else f"({text}){operator}({part})"
    return text.replace("1.10", "1/10")


# Conversions of the UCUM functional tests (of Grahame Grieve, 31 May 2010), and of the sources named beside them.
@pytest.mark.parametrize(
    ("value", "found", "expected", "outcome"),
    [
        (6.3, "mm", "cm", 0.63),
        (6.3, "s.m-1", "s/m", 6.3),
        (6.3, "s.mm-1", "s.m-1", 6300),
        (6.3, "s.mm-2", "s.m-2", 6300000),
        (6.3, "ms/mm", "s/m", 6.3),
        (6.3, "4.s/m", "s/m", 25.2),
        (6.3, "s/4.m", "s.m", 1.575),  # from left to right; the functional test has a misprint here
        (6.3, "[in_i]", "cm", 16.002),
        (6.3, "g.m.s-2.A-2", "g.m.C-2", 6.3),
        (1, "4.[pi].10*-7.N", "N", 1.2566370614359173e-6),
        (1, "S", "g-1.m-2.C2.s", 0.001),
        (1, "[ly]", "cm", 946073047258080000),
        (1.2, "g.m", "m.g", 1.2),
        (760, "mm[Hg]", "atm", 1.0000001424),  # the atmosphere is 760 Torr, not mmHg
        (1, "cm[H2O]", "Pa", 98.0665),
        (98.6, "[degF]", "Cel", 37),
        (-40, "Cel", "[degF]", -40),
        (150, "[lb_av]", "kg", 68.0388555),
        (1, "U", "nkat", 16.666666666666668),
        (1, "a", "d", 365.25),
        (5, "g%", "g/L", 50),
        (4.5, "10*9/L", "10*3/uL", 4.5),
        (40, "{copies}/mL", "/L", 40000),
        (1, "J", "cal", 1 / 4.184),
        (180, "deg", "rad", math.pi),
        (90, "mL/min/{1.73_m2}", "mL/min/m2", 90 / 1.73),
        (1, "[iU]/mL", "k[IU]/L", 1),
        (1, "/min", "Hz", 1 / 60),
        (1, "(mg/L).h", "ug.min/mL", 60),
    ],
)
def test_known_conversions(value: float, found: str, expected: str, outcome: float) -> None:
    assert convert(value, found, expected) == pytest.approx(outcome, rel=1e-9)


# Laboratory conversions as printed in clinical tables.
@pytest.mark.parametrize(
    ("value", "found", "expected", "molar_mass", "outcome"),
    [
        (1, "mg/dL", "umol/L", 113.12, 88.4),  # creatinine
        (100, "mg/dL", "mmol/L", 180.156, 5.55),  # glucose
        (200, "mg/dL", "mmol/L", 386.65, 5.17),  # cholesterol
        (5.17, "mmol/L", "mg/dL", 386.65, 200),
        (300, "mg", "mmol", 300, 1),
        (1, "kat", "g/s", 18, 18),
    ],
)
def test_molar_mass_bridges_mass_and_amount(
    value: float, found: str, expected: str, molar_mass: float, outcome: float
) -> None:
    assert convert(value, found, expected, molar_mass_g_per_mol=molar_mass) == pytest.approx(outcome, rel=2e-3)


def test_charge_bridges_equivalents_and_amount() -> None:
    assert convert(2.5, "mmol/L", "meq/L", charge=2) == 5.0
    assert convert(5.0, "meq/L", "mmol/L", charge=-2) == 2.5
    assert convert(40.08, "mg", "meq", molar_mass_g_per_mol=40.08, charge=2) == pytest.approx(2, rel=1e-15)
    with pytest.raises(UnitMismatch, match="the charge of the ion is missing"):
        convert(1.0, "meq/L", "mmol/L", symbol="calcium")


def test_a_molar_mass_that_is_not_needed_changes_nothing() -> None:
    assert conversion("mg", "g", molar_mass_g_per_mol=300, charge=2) == (0.001, 0.0)


@pytest.mark.parametrize("molar_mass", [0.0, -180.0, math.nan, math.inf])
def test_an_impossible_molar_mass_is_refused(molar_mass: float) -> None:
    with pytest.raises(UnitMismatch, match=r"glucose: .* which cannot be"):
        conversion("mg", "mmol", molar_mass_g_per_mol=molar_mass, symbol="glucose")


def test_a_mismatch_names_the_symbol_the_units_and_the_way_out_in_both_languages() -> None:
    with pytest.raises(UnitMismatch) as caught:
        convert(1.0, "mg", "mmol", symbol="dose")
    assert isinstance(caught.value, ValueError)
    for lang, way_out in (("en", "the molar mass in g/mol is missing"), ("fr", "la masse molaire en g/mol n’est pas")):
        message = caught.value.message(lang)
        assert all(part in message for part in ("dose", "mg", "mmol", way_out))


@pytest.mark.parametrize(
    ("found", "expected", "reason"),
    [
        ("mL/min/{1.73_m2}", "mL/min", "indexed to 1.73 m2"),
        ("L/min", "mL/min/{1.73m2}", "indexed to 1.73 m2"),
        ("kPa", "mL", "a pressure is not a volume"),
        ("mg/L", "mg", "a mass concentration is not a mass"),
        ("[iU]", "mg", "an amount in [iU] is not a mass"),
        ("[iU]", "[arb'U]", "an amount in [iU] is not [arb'U]"),
        ("[pH]", "mol/L", "an acidity is not a molar concentration"),
        ("meq", "mosm", "eq is not osm"),
        ("rad/s", "Hz", "rad/s is not a rate"),
        ("mmol/kg", "mmol/L", "mol/kg is not a molar concentration"),
        ("Cel", "J", "a temperature is not an energy"),
    ],
)
def test_what_does_not_convert_says_why(found: str, expected: str, reason: str) -> None:
    with pytest.raises(UnitMismatch, match="the value: ") as caught:
        conversion(found, expected)
    assert reason in str(caught.value)
    assert "la valeur" in caught.value.message("fr")


# The reasons of the UCUM functional tests ("12h should be 12.h") and what hospitals write.
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("mgg", "there is no mgg"),
        ("mg//L", "/ cannot stand"),
        ("m/", "too early"),
        ("/", "too early"),
        ("(mg", "too early"),
        ("mg)", "cannot stand"),
        ("()", "cannot stand"),
        ("mg..L", "cannot stand"),
        (".mg", "cannot stand"),
        ("mm[Hg", "cannot stand"),
        ("mg{a", "cannot stand"),
        ("mg{a}{b}", "cannot stand"),
        ("(m)2", "cannot stand"),
        ("m^2", "cannot stand"),
        ("10+3/ul", "cannot stand"),
        ("g/12h", r"mg/\(12.h\)"),
        ("iU", "iU is written"),
        ("molv", "there is no molv"),
        ("kg[H20]", "there is no"),
        ("kmin", "there is no kmin"),
        ("kkg", "there is no kkg"),
        ("mmHg/mL", r"mmHg is written mm\[Hg\]"),
        ("mcg", "mcg is written ug"),
        ("jours", "jours is written d"),
        ("mEq/L", "mEq is written meq"),
        ("KG", "capitals count"),
        ("µg", "write u for µ"),
        ("°C", "Cel for °C"),
        ("mg L", "no spaces"),
        ("mg\n", "no spaces"),
        ("mg\x00", "no spaces"),
        ("mL/min/1.73.m2", "decimal number"),
        ("mL/min{1.73_m2}", "slash before"),
        ("J/Cel", "use K for a difference"),
        ("Cel2", "use K for a difference"),
        ("10.Cel", "use K for a difference"),
        ("m/0", "zero or too large"),
        ("0", "zero or too large"),
        ("Ym99", "zero or too large"),
        ("m100", "exponent above 99"),
        ("10*999999999", "exponent above 99"),
        ("m" * 257, "longer than 256"),
        ("(" * 250 + "m", "too early"),
    ],
)
def test_what_is_no_unit_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnknownUnit, match=reason) as caught:
        parse_unit(text)
    assert caught.value.message("fr") != caught.value.message("en")
    assert len(str(caught.value)) < 250


def test_a_huge_text_is_refused_at_once() -> None:
    start = time.perf_counter()
    for text in ("m." * 500_000, "(" * 1_000_000, "9" * 1_000_000):
        with pytest.raises(UnknownUnit, match="longer than"):
            parse_unit(text)
    assert time.perf_counter() - start < 0.5


@given(st.text(max_size=40) | st.text("mgLsh[]{}()./*^10+-2'%", max_size=40))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    try:
        unit = parse_unit(text)
    except UnknownUnit:
        return
    assert unit.text == text
    assert unit.factor > 0


def test_every_code_of_the_fhir_examples_is_read_or_is_no_ucum(shared: Path) -> None:
    """Official examples hold some codes that are not UCUM; these alone are refused."""
    found: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            if node.get("system") == "http://unitsofmeasure.org" and isinstance(node.get("code"), str):
                found.add(node["code"])
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                collect(each)

    for path in (shared / "fhir" / "r5-official-json").glob("*.json"):
        collect(json.loads(path.read_text(encoding="utf-8")))
    refused = set()
    for code in found:
        try:
            parse_unit(code)
        except UnknownUnit:
            refused.add(code)
    assert len(found) > 20
    assert refused <= {"ea", "mcg", "mEq", "month", "ml/hr", "drop", "TAB"}


@given(values, codes)
def test_the_same_unit_changes_no_bit(value: float, code: str) -> None:
    assert conversion(code, code) == (1.0, 0.0)
    assert math.copysign(1, convert(value, code, code)) == math.copysign(1, value)
    assert convert(value, code, code) == value


@given(values)
def test_pressures_go_there_and_back(value: float) -> None:
    assert convert(convert(value, "kPa", "mm[Hg]"), "mm[Hg]", "kPa") == pytest.approx(value, rel=1e-15)


@given(values)
def test_temperatures_go_there_and_back(value: float) -> None:
    assert convert(convert(value, "Cel", "[degF]"), "[degF]", "Cel") == pytest.approx(value, rel=1e-14, abs=1e-11)


@given(products(), products(), products())
def test_conversions_compose(first: str, second: str, third: str) -> None:
    one, two = parse_unit(first), parse_unit(second)
    # a unit of the same dimension by another way: through products with other units
    other = one * two / parse_unit(third) / two * parse_unit(third)
    assert other == one
    scaled = other * parse_unit("10*-3")
    assert conversion(one, scaled)[0] == pytest.approx(1000, rel=1e-15)
    assert conversion(scaled, one)[0] * conversion(one, scaled)[0] == pytest.approx(1, rel=1e-15)


@given(products(), st.integers(-3, 3))
def test_the_text_of_a_result_is_read_back_as_the_same_unit(text: str, exponent: int) -> None:
    unit = parse_unit(text)
    assert parse_unit((unit**exponent).text) == unit**exponent
    assert parse_unit((unit / parse_unit("7.h")).text) == unit / parse_unit("7.h")


@given(products())
def test_the_square_root_of_a_square_is_the_unit(text: str) -> None:
    unit = parse_unit(text)
    assert (unit**2) ** 0.5 == unit
    assert (unit**3) ** (1 / 3) == unit


def test_algebra_gives_short_texts() -> None:
    litre, minute = parse_unit("L"), parse_unit("min")
    assert (parse_unit("mm[Hg]") / (litre / minute)).text == "mm[Hg].min/L"
    assert (parse_unit("mg/L") * parse_unit("h")).text == "mg.h/L"
    assert (litre / litre).text == "1"
    assert (parse_unit("m") ** Fraction(1, 2)).text == "m(1/2)"
    assert (minute**-1).text == "/min"
    assert (parse_unit("{beats}/min") * minute).is_dimensionless
    assert parse_unit("dm3") == litre
    assert not litre.converts_to(minute)


@pytest.mark.parametrize("exponent", [math.nan, math.inf, 1e9, -100])
def test_an_exponent_out_of_bounds_is_refused(exponent: float) -> None:
    with pytest.raises(UnknownUnit):
        parse_unit("mm") ** exponent


def test_arrays_keep_their_shape() -> None:
    pressures = np.array([[16.0, 10.0, np.nan], [0.0, -0.0, 13.3322387415]])
    converted = convert(pressures, "kPa", "mm[Hg]")
    assert converted.shape == (2, 3)
    assert converted[1, 2] == pytest.approx(100, rel=1e-14)
    assert np.isnan(converted[0, 2])
    assert np.signbit(converted[1]).tolist() == [False, True, False]
    assert pressures[0, 0] == 16.0
    np.testing.assert_allclose(convert(np.array([36.6, 40.0]), "Cel", "K"), [309.75, 313.15], rtol=1e-15)


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([("litre", 1, -3, 1)], "mL"),
        ([("mole", 1, -3, 1), ("litre", -1, 0, 1)], "mmol/L"),
        ([("second", 1, 0, 3600)], "h"),
        ([("second", 1, 0, 60)], "min"),
        ([("second", 1, 0, 86400)], "d"),
        ([("second", 1, 0, 31557600)], "a"),
        ([("second", 1, 3, 3.6)], "h"),
        ([("second", 1, 0, 31536000)], "365.d"),
        ([("second", -1, 0, 31536000)], "/d/365"),
        ([("second", 1, 0, 7200)], "7200.s"),
        ([("second", -1, -3, 1)], "/ms"),
        ([("pascal", 1, 0, 133.322387415)], "mm[Hg]"),
        ([("pascal", 1, 0, 133.322)], "mm[Hg]"),
        ([("pascal", 1, 3, 1)], "kPa"),
        ([("pascal", 1, 0, 133.322387415), ("second", 1, 0, 1), ("litre", -1, -3, 1)], "mm[Hg].s/mL"),
        ([("dimensionless", 1, 0, 1)], "1"),
        ([("dimensionless", 1, -2, 1)], "%"),
        ([("dimensionless", 1, 0, 2.5)], "25.10*-1"),
        ([("item", 1, 0, 1)], "{item}"),
        ([("litre", 1, -3, 1), ("metre", -2, 0, 1), ("dimensionless", -1, 0, 1.73)], "mL/{1.73_m2}"),
        ([("litre", 1, -3, 1), ("metre", -2, 0, 1.3152946437965904)], "mL/{1.73_m2}"),
        ([("metre", 2, 0, 1), ("dimensionless", 1, 0, 1.73)], "{1.73_m2}"),
        ([("item", -1, 0, 1)], "/{item}"),
        ([("kilogram", 1, 0, 1)], "kg"),
        ([("kilogram", 1, -6, 1)], "mg"),
        ([("gram", 1, -3, 1), ("kilogram", -1, 0, 1)], "mg/kg"),
        ([("gram", 1, 3, 1)], "kg"),
        ([("metre", 3, -1, 1)], "dm3"),
        ([("ampere", 1, -6, 1), ("metre", -2, -2, 1)], "uA/cm2"),
        ([("litre", 1, 0, 1), ("litre", -1, 0, 1)], "1"),
        ([("gram", 1, 0, 60)], "60.g"),
        ([("mole", 1, -3, 1.5)], "15.10*-1.mmol"),
        ([("avogadro", 1, 0, 1)], "602214179.10*15"),
        ([("mole", 1, 4, 1)], "10000.mol"),
        ([("volt", 1, 7, 1)], "10*7.V"),
    ],
)
def test_units_of_sbml_get_familiar_names(kinds: list[SbmlUnit], text: str) -> None:
    assert unit_from_sbml(kinds) == text


# SBML Level 3 Version 2 Core, table 2; Level 2 adds liter and meter in its first version.
KINDS = (
    "ampere avogadro becquerel candela coulomb dimensionless farad gram gray henry hertz item joule katal kelvin"
    " kilogram litre lumen lux metre mole newton ohm pascal radian second siemens sievert steradian tesla volt watt"
    " weber liter meter"
)
SI = {"kg": "kilogram", "m": "metre", "s": "second", "A": "ampere", "K": "kelvin", "cd": "candela", "mol": "mole"}


@pytest.mark.parametrize("kind", KINDS.split(" "))
def test_every_kind_of_sbml_has_a_code(kind: str) -> None:
    assert parse_unit(unit_from_sbml([(kind, 1, 0, 1)])).factor > 0


@pytest.mark.parametrize(("base", "kind"), SI.items())
def test_the_base_units_of_sbml_are_ours(base: str, kind: str) -> None:
    unit = parse_unit(unit_from_sbml([(kind, 1, 0, 1)]))
    assert unit.factor == 1
    assert unit.dimension == ((base, Fraction(1)),)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS.split(" ")),
            st.integers(-3, 3),
            st.integers(-12, 9),
            st.sampled_from([1.0, 60.0, 3600.0, 2.54, 0.1, 1 / 3, 1e-3, 7e5]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_code_of_a_definition_has_its_size(kinds: list[SbmlUnit]) -> None:
    size, product = Fraction(1), parse_unit("1")
    for kind, exponent, scale, multiplier in kinds:
        one = parse_unit(unit_from_sbml([(kind, 1, 0, 1)]))
        product *= one ** int(exponent)
        size *= (Fraction(repr(multiplier)) * Fraction(10) ** scale) ** int(exponent)
    unit = parse_unit(unit_from_sbml(kinds))
    assert unit.dimension == product.dimension
    assert unit.factor == size * product.factor


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ([], "definition is empty"),
        ([("celsius", 1, 0, 1)], "use kelvin"),
        ([("Celsius", 1, 0, 1)], "use kelvin"),
        ([("furlong", 1, 0, 1)], "no kind of unit"),
        ([("", 1, 0, 1)], "no kind of unit"),
        ([("metre", 0.5, 0, 1)], "small whole number"),
        ([("metre", math.nan, 0, 1)], "small whole number"),
        ([("metre", 10**9, 0, 1)], "small whole number"),
        ([("metre", 1, 10**9, 1)], "factor is not usable"),
        ([("metre", 1, 0, 0)], "factor is not usable"),
        ([("metre", 1, 0, -1)], "factor is not usable"),
        ([("metre", 1, 0, math.nan)], "factor is not usable"),
        ([("metre", 1, 0, 1e300)], "zero or too large"),
        ([("metre", 99, 99, 1e300)], "zero or too large"),
    ],
)
def test_what_sbml_cannot_mean_is_refused(kinds: list[SbmlUnit], reason: str) -> None:
    with pytest.raises(UnknownUnit, match=reason):
        unit_from_sbml(kinds)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.xml")), ids=lambda path: path.stem)
def test_the_unit_definitions_of_our_models_are_what_their_names_say(path: Path) -> None:
    core = "{http://www.sbml.org/sbml/level3/version2/core}"
    definitions = ET.parse(path).getroot().findall(f".//{core}unitDefinition")
    assert definitions
    for definition in definitions:
        kinds: list[SbmlUnit] = [
            (
                unit.attrib["kind"],
                float(unit.attrib["exponent"]),
                int(unit.attrib["scale"]),
                float(unit.attrib["multiplier"]),
            )
            for unit in definition.iter(f"{core}unit")
        ]
        code = unit_from_sbml(kinds)
        assert conversion(code, definition.attrib["name"]) == (1.0, 0.0), definition.attrib["id"]
        assert len(code) <= len(definition.attrib["name"]) + 3


def test_all_prefixes_are_powers_of_ten_and_none_is_taken_for_a_unit() -> None:
    for prefix, power in PREFIXES.items():
        assert parse_unit(f"{prefix}Pa").factor == Fraction(10) ** power
    assert parse_unit("cd").dimension == (("cd", Fraction(1)),)
    assert parse_unit("min").factor == 60
    assert parse_unit("dar").factor == 10  # a tenth of an are
