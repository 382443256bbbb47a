"""What is written as columns is read back by Oxigraph as it was meant."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.cohorts.ntriples import (
    choose,
    dates,
    decimals,
    describe,
    describe_one,
    integers,
    iri,
    iris,
    moments,
    text,
    texts,
    typed,
)
from pepr_kg.errors import UnknownPrefix
from pepr_kg.rdf import parse_bytes
from pepr_kg.store import Literal, NamedNode, RdfFormat

GRAPH = NamedNode("urn:g")


def objects(document: bytes) -> list[object]:
    return [quad.object for quad in parse_bytes(document, RdfFormat.N_TRIPLES, GRAPH, "test")]


def literals(terms: pa.Array) -> list[str]:
    subjects = iris("patient:", [str(at) for at in range(len(terms))])
    found = objects(describe(subjects, [("pepr:symbol", terms)]))
    return [item.value for item in found if isinstance(item, Literal)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_any_text_comes_back(values: list[str]) -> None:
    assert literals(texts(values)) == values
    assert literals(texts(values, "fr")) == values


@given(st.lists(st.floats(-1e8, 1e8), min_size=1), st.integers(0, 6))
def test_a_number_comes_back_rounded_and_without_exponent(values: list[float], places: int) -> None:
    found = literals(decimals(values, places))
    assert not any("e" in item for item in found)
    assert [float(item) for item in found] == pytest.approx(np.round(values, places).tolist())


def test_numbers_and_times_are_written_in_canonical_form() -> None:
    assert literals(decimals([132.0, -0.0, 0.000001], 6)) == ["132", "0", "0.000001"]
    assert literals(integers([7, -7])) == ["7", "-7"]
    assert literals(dates(np.array(["2026-02-28"], dtype="datetime64[D]"))) == ["2026-02-28"]
    assert literals(moments(np.array(["2026-02-28T08:05:09"], dtype="datetime64[s]"))) == ["2026-02-28T08:05:09Z"]


def test_what_is_null_is_left_out() -> None:
    subjects = iris("patient:", pa.array(["a", None, "c"]))
    numbers = decimals([1, 2, np.nan], 0)
    document = describe(subjects, [("rdf:type", iri("pepr:Patient")), ("pepr:numericValue", numbers)])
    lines = document.decode().splitlines()
    assert len(lines) == 3
    assert [line.split()[0][-2] for line in lines] == ["a", "a", "c"]


def test_nobody_gives_nothing() -> None:
    assert describe(iris("patient:", []), [("rdf:type", iri("pepr:Patient"))]) == b""
    assert describe(iris("patient:", []), [("pepr:numericValue", decimals([], 0))]) == b""


def test_codes_choose_terms_and_minus_one_none() -> None:
    assert choose(np.array([1, -1, 0]), ["a", "b"]).to_pylist() == ["b", None, "a"]


def test_one_thing_may_say_several_things() -> None:
    document = describe_one(
        "cohort:x", {"rdfs:label": [text("un", "fr"), text("one", "en")], "pepr:symbol": typed("1", "anyURI")}
    )
    assert len(objects(document)) == 3


def test_a_slice_of_a_column_is_written_alone() -> None:
    names = iris("patient:", ["a", "b", "c", "d"])[1:3]
    assert describe(names, [("rdf:type", iri("pepr:Patient"))]).count(b" .\n") == 2


def test_an_unknown_prefix_is_refused() -> None:
    with pytest.raises(UnknownPrefix):
        iris("patients:", ["a"])
