"""Pictures: what is drawn, for whom, and what is left out; numbers, units and dates beside them."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.web.figures import date_ticks, day_of, number_ticks, significant, unit_text, with_unit
from pepr_kg.web.pictures import Axis, Chart, Series, draw

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


def drawn(*series: Series, dates: bool = False, lang: str = "fr") -> ET.Element:
    return ET.fromstring(draw(Chart("Débit & <volume>", "De 1 à 2.", series, Axis("h", dates), "mL/min"), lang))


def line(*values: float, spread: float | None = None) -> Series:
    found = np.array(values)
    low, high = (None, None) if spread is None else (found - spread, found + spread)
    return Series("a", np.arange(float(len(values))), found, low, high)


def test_a_picture_has_a_name_a_description_and_an_image_role() -> None:
    picture = drawn(line(1.0, 2.0))
    assert picture.get("role") == "img"
    assert [picture[0].tag, picture[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert (picture[0].text, picture[1].text) == ("Débit & <volume>", "De 1 à 2.")
    assert not [item for item in picture.iter() if "style" in item.attrib]


def test_nothing_to_show_is_no_picture() -> None:
    for series in ((), (line(math.nan, math.nan),), (line(),)):
        assert draw(Chart("x", "y", series, Axis("h")), "en") == ""


@pytest.mark.parametrize("values", [(5.0,), (5.0, 5.0), (0.0, 0.0), (-3.0, -3.0), (1e-300, 2e-300), (1.0, math.nan)])
def test_what_does_not_vary_is_drawn_too(values: tuple[float, ...]) -> None:
    picture = drawn(line(*values), Series("b", np.arange(float(len(values))), np.array(values), points=True))
    assert picture.findall(f"{SVG}circle")


def test_a_band_lies_around_its_line_and_points_stand_apart() -> None:
    picture = drawn(line(1.0, 2.0, 3.0, spread=1.0), line(2.0, 3.0, 4.0))
    assert len(picture.findall(f"{SVG}polygon")) == 1
    tones = [item.get("class") for item in picture.findall(f"{SVG}polyline")]
    assert tones == ["line tone-0", "line tone-1"]


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_everything_stays_within_the_picture(values: list[float]) -> None:
    picture = drawn(line(*values), lang="en")
    _, _, width, height = map(float, str(picture.get("viewBox")).split())
    for item in picture.findall(f"{SVG}polyline"):
        for pair in str(item.get("points")).split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


@given(NUMBERS, NUMBERS, st.integers(2, 8))
def test_ticks_are_few_and_within(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    ticks = number_ticks(low, high, most, "en")
    assert len(ticks) <= most
    slack = 1e-6 * max(high - low, 1e-300) + 1e-9 * max(abs(low), abs(high))
    assert all(low - slack <= tick.at <= high + slack for tick in ticks)


@given(st.floats(-20_000, 40_000), st.floats(0.01, 30_000), st.integers(2, 6))
def test_ticks_of_dates_are_few_and_within(first: float, span: float, most: int) -> None:
    ticks = date_ticks(first, first + span, most, "fr")
    assert len(ticks) <= most + 1
    assert all(first - 1e-6 <= tick.at <= first + span + 1e-6 for tick in ticks)


def test_dates_have_the_step_that_fits() -> None:
    start = day_of("2025-03-01")
    texts = {span: [tick.text for tick in date_ticks(start, start + span, 4, "fr")] for span in (3, 100, 800, 3_000)}
    assert texts == {
        3: ["1 mars", "2 mars", "3 mars", "4 mars"],
        100: ["mars 2025", "avr. 2025", "mai 2025", "juin 2025"],
        800: ["juil. 2025", "janv. 2026", "juil. 2026", "janv. 2027"],
        3_000: ["2026", "2028", "2030", "2032"],
    }


@pytest.mark.parametrize(
    ("code", "fr", "en"),
    [
        ("mm[Hg]", "mmHg", "mmHg"), ("umol/L", "µmol/L", "µmol/L"), ("10*3/uL", "10³/µL", "10³/µL"),
        ("mL/min/{1.73_m2}", "mL/min/1,73 m²", "mL/min/1.73 m²"), ("ug/m3", "µg/m³", "µg/m³"), ("a", "an", "year"),
        ("mm[Hg].s/mL", "mmHg·s/mL", "mmHg·s/mL"), ("1", "", ""), ("", "", ""), ("kg/m2", "kg/m²", "kg/m²"),
        ("min/wk", "min/semaine", "min/week"),
    ],
)  # fmt: skip
def test_units_are_written_as_people_write_them(code: str, fr: str, en: str) -> None:
    assert (unit_text(code, "fr"), unit_text(code, "en")) == (fr, en)


def test_numbers_are_written_as_the_language_does() -> None:
    assert significant(-0.5, "fr") == "−0,5"
    assert significant(-1234567.0, "en") == "−1,234,567"
    assert significant(math.nan, "fr") == "–"
    assert with_unit(1.0, "a", "fr") == "1\xa0an"
    assert with_unit(2.0, "a", "en") == "2\xa0years"
