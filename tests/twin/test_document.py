"""Files that are no models: each is refused quickly, with a sentence, and nothing of it is run."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pepr_kg.twin.errors import ModelInvalid, ModelUnreadable, ModelUnsupported, TwinError
from pepr_kg.twin.sbml.document import LIMIT_BYTES, LIMIT_DEPTH
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import (
    algebraic,
    assigned,
    compartment,
    event,
    function,
    parameter,
    rated,
    reaction,
    sbml,
    species,
    started,
)

CORE = "http://www.sbml.org/sbml/level3/version2/core"
EMPTY = f'<sbml xmlns="{CORE}" level="3" version="2"><model/></sbml>'
PACKAGE = "http://www.sbml.org/sbml/level3/version1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "line 1"),
        (b"no xml at all", "line 1"),
        (EMPTY.encode()[:-3], "line 1"),
        (b"<?xml version='1.0' encoding='klingon'?><sbml/>", "encoding"),
        (b"<?xml version='1.0' encoding='utf-8'?><sbml x='\xff\xfe'/>", "line 1"),
        (b"\x00" * 100, "line 1"),
        (b"<html/>", "html"),
        (b"<sbml/>", "no namespace of SBML"),
        (b'<sbml xmlns="http://www.sbml.org/sbml/level9/core"/>', "level9"),
        (f'<sbml xmlns="{CORE}" level="3" version="2"/>'.encode(), "no model"),
    ],
)
def test_what_is_not_sbml_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(ModelUnreadable, match=reason):
        read_model(text)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE sbml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE sbml SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE sbml [<!ENTITY % x SYSTEM "http://example.org/x.dtd"> %x;]>',
        "<!DOCTYPE sbml>",
    ],
)
def test_entities_are_never_expanded(head: str) -> None:
    with pytest.raises(ModelUnreadable, match="entities") as caught:
        read_model((head + EMPTY).encode())
    assert "entités" in caught.value.message("fr")


def test_a_file_of_100_mb_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.xml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    began = time.perf_counter()
    with pytest.raises(ModelUnreadable, match=rf"huge.*{100 * 1024 * 1024}.*{LIMIT_BYTES}"):
        read_model(path)
    assert time.perf_counter() - began < 0.1


def test_the_limit_holds_for_bytes_and_can_be_set() -> None:
    text = sbml(parameter("k", 1.0))
    assert read_model(text, limit=len(text)).constants == ("k",)
    with pytest.raises(ModelUnreadable, match=f"{len(text)} bytes"):
        read_model(text, limit=len(text) - 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadable, match="nowhere"):
        read_model(tmp_path / "nowhere.xml")
    with pytest.raises(ModelUnreadable):
        read_model(tmp_path)


def test_elements_may_not_nest_without_end() -> None:
    deep = "<a>" * LIMIT_DEPTH + "</a>" * LIMIT_DEPTH
    with pytest.raises(ModelUnreadable, match=str(LIMIT_DEPTH)):
        read_model(EMPTY.replace("<model/>", f"<model><annotation>{deep}</annotation></model>").encode())


@pytest.mark.parametrize(
    ("root", "name"),
    [
        (f'xmlns:spatial="{PACKAGE}/spatial/version1" spatial:required="true"', "spatial"),
        (f'xmlns:q="{PACKAGE}/qual/version1" q:required="true"', "qual"),
        (f'xmlns:d="{PACKAGE}/distrib/version1" d:required="1"', "distrib"),
        (f'xmlns:a="{PACKAGE}/arrays/version1" a:required="true"', "arrays"),
        ('xmlns:o="http://example.org/own" o:required="true"', "http://example.org/own"),
    ],
)
def test_a_required_package_is_refused_by_its_name(root: str, name: str) -> None:
    with pytest.raises(ModelUnsupported, match=name):
        read_model(sbml(parameter("k", 1.0), root=root))


def test_packages_that_are_not_required_are_passed_over() -> None:
    layout = f'xmlns:layout="{PACKAGE}/layout/version1" layout:required="false"'
    fbc = f'xmlns:fbc="{PACKAGE}/fbc/version2" fbc:required="false"'
    assert read_model(sbml(parameter("k", 1.0), root=f"{layout} {fbc}")).constants == ("k",)


def test_flux_balance_is_refused_by_its_name() -> None:
    root = f'xmlns:fbc="{PACKAGE}/fbc/version2" fbc:required="false"'
    bounds = reaction("R", "", "", "1").replace("<reaction ", '<reaction fbc:lowerFluxBound="low" ')
    with pytest.raises(ModelUnsupported, match="fbc"):
        read_model(sbml(bounds, root=root))


def test_level_1_is_refused_by_its_name() -> None:
    text = b'<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model/></sbml>'
    with pytest.raises(ModelUnsupported, match="Level 1"):
        read_model(text)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_typed_error(data: bytes) -> None:
    with pytest.raises(TwinError):
        read_model(data)


RICH = sbml(
    function("f", "x y", "x * y + 1"),
    compartment("V", 2.0, constant=False),
    species("S", "V", 'initialConcentration="3"'),
    species("T", "V", 'initialAmount="3"', amount=True),
    parameter("k", 0.5),
    parameter("p", constant=False),
    parameter("q", 1.0, constant=False),
    started("k", "f(2, 3)"),
    rated("V", "0.1 * V"),
    assigned("p", "k * S"),
    algebraic("q - p * t"),
    reaction("R", "S", "2 T", "k * S * V"),
    reaction("F", "T", "", "c * T", own='<localParameter id="c" value="0.1"/>'),
    event("E", "t > 1", {"S": "S + rateOf(V)"}),
).replace(b"<f/>", b"<ci> f </ci>")


def assert_read_or_refused(data: bytes) -> None:
    try:
        model = read_model(data)
    except TwinError as failure:
        sentences = {lang: failure.message(lang) for lang in ("en", "fr")}
    else:
        sentences = {"states": f"{len(model.states)} {len(model.rates)}"}
        assert len(model.rates) == len(model.states)
    assert all(sentences.values())


def test_the_file_that_is_damaged_below_is_sound() -> None:
    model = read_model(RICH)
    assert (model.states, len(model.events)) == (("V", "S.amount", "T"), 1)


@pytest.mark.parametrize(
    "unit", ['scale="1000000000"', 'scale="NaN"', 'exponent="1e300"', 'exponent="INF"', 'multiplier="INF"', 'scale="x"']
)
def test_absurd_units_are_refused_quickly(unit: str) -> None:
    kind = f'<unitDefinition id="u"><listOfUnits><unit kind="metre" {unit}/></listOfUnits></unitDefinition>'
    with pytest.raises(ModelInvalid, match=r"metre|unit"):
        read_model(sbml(kind, parameter("k", 1.0, more='units="u"')))


@pytest.mark.parametrize("seed", range(300))
def test_a_damaged_model_is_read_or_refused_but_never_breaks(seed: int) -> None:
    # parts of a good file are cut out, doubled, swapped or changed by a character
    draw = random.Random(seed)
    data = bytearray(RICH)
    for _ in range(draw.randint(1, 4)):
        begin = draw.randrange(len(data))
        end = min(len(data), begin + draw.choice((1, 1, 3, 10, 60)))
        kind = draw.randrange(4)
        if kind == 0:
            del data[begin:end]
        elif kind == 1:
            data[begin:begin] = data[begin:end]
        elif kind == 2:
            other = draw.randrange(len(data))
            data[begin:end] = data[other : other + end - begin]
        else:
            data[begin] = draw.choice(b'abxSV019<>/"& ')
    assert_read_or_refused(bytes(data))


@pytest.mark.parametrize("seed", range(200))
def test_a_model_with_lines_cut_out_is_read_or_refused(seed: int) -> None:
    # the file stays well formed: whole elements go, or attributes, or names change
    draw = random.Random(seed)
    text = RICH.decode()
    for _ in range(draw.randint(1, 3)):
        kind = draw.randrange(3)
        names = ("S", "T", "V", "k", "p", "q", "R", "E", "f", "x")
        if kind == 0:
            old, new = draw.choice(names), draw.choice((*names, "unknown", ""))
            at = draw.choice((f'"{old}"', f"> {old} <"))
            text = text.replace(at, at.replace(old, new), draw.choice((1, -1)))
        elif kind == 1:
            start = draw.choice(("<ci>", "<cn>", "<parameter ", "<species ", "<compartment ", "<speciesReference "))
            at_ = text.find(start, draw.randrange(len(text)))
            if at_ >= 0:
                stop = text.find("/>" if start.endswith(" ") else f"</{start[1:]}", at_)
                text = text[:at_] + text[stop + (2 if start.endswith(" ") else 5) :]
        else:
            tags = ("plus", "times", "gt", "apply", "assignmentRule", "rateRule", "algebraicRule")
            old, new = draw.choice(tags), draw.choice((*tags, "sin", "piecewise", "lambda"))
            text = text.replace(f"<{old}", f"<{new}").replace(f"</{old}", f"</{new}")
    assert_read_or_refused(text.encode())
