from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.columns import moments, numbers, select_columns
from pepr_kg.errors import QueryFailed, QuerySyntaxError
from pepr_kg.store import Dataset, NamedNode, View

GRAPH = NamedNode("urn:example:graph")
LINES = """\
<urn:a> <urn:p> "1.50"^^<http://www.w3.org/2001/XMLSchema#decimal> .
<urn:a> <urn:says> "a comma, a \\"quotation mark\\"\\nand a line end" .
<urn:b> <urn:p> "-7"^^<http://www.w3.org/2001/XMLSchema#integer> .
<urn:c> <urn:p> "much" .
"""


@pytest.fixture
def view(tmp_path: Path) -> View:
    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        assert change.bulk(LINES.encode(), GRAPH) == 4
        return change.commit()


def test_an_answer_becomes_columns_of_text(view: View) -> None:
    table = select_columns(
        view, "SELECT ?s ?v ?says WHERE { ?s <urn:p> ?v OPTIONAL { ?s <urn:says> ?says } } ORDER BY ?s"
    )
    assert table.column_names == ["s", "v", "says"]
    assert table["s"].to_pylist() == ["urn:a", "urn:b", "urn:c"]
    assert table["v"].to_pylist() == ["1.5", "-7", "much"]
    assert table["says"].to_pylist() == ['a comma, a "quotation mark"\nand a line end', None, None]


def test_what_is_no_number_is_not_a_number(view: View) -> None:
    table = select_columns(view, "SELECT ?v WHERE { ?s <urn:p> ?v } ORDER BY ?s")
    assert numbers(table["v"]).tolist()[:2] == [1.5, -7.0]
    assert np.isnan(numbers(table["v"])[2])


def test_an_empty_answer_keeps_its_columns(view: View) -> None:
    table = select_columns(view, "SELECT ?s ?v WHERE { ?s <urn:nothing> ?v }")
    assert (table.num_rows, table.column_names) == (0, ["s", "v"])
    assert numbers(table["v"]).shape == moments(table["v"]).shape == (0,)


def test_a_bound_variable_is_a_term(view: View) -> None:
    bindings = {"s": NamedNode("urn:b")}
    assert select_columns(view, "SELECT ?s ?v WHERE { ?s <urn:p> ?v }", bindings)["v"].to_pylist() == ["-7"]


def test_what_is_no_select_is_refused(view: View) -> None:
    with pytest.raises(QueryFailed):
        select_columns(view, "ASK { ?s ?p ?o }")
    with pytest.raises(QuerySyntaxError):
        select_columns(view, "SELECT")


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)))
def test_numbers_are_those_that_python_reads(values: list[object]) -> None:
    assert numbers(pa.array([f"{value:f}" for value in values], pa.string())).tolist() == [
        float(str(v)) for v in values
    ]


@given(st.lists(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.timezones())))
def test_moments_are_the_instants_that_python_reads(values: list[datetime]) -> None:
    # XML Schema knows offsets in minutes only.
    values = [value for value in values if (value.utcoffset() or value.resolution).total_seconds() % 60 == 0]
    found = moments(pa.array([value.isoformat(timespec="milliseconds") for value in values], pa.string()))
    exact = [int(value.timestamp() * 1000 // 1) for value in values]
    assert np.abs(found.astype(np.int64) - np.array(exact, dtype=np.int64)).max(initial=0) <= 1


def test_dates_and_times_meet_on_one_axis() -> None:
    texts = [
        "2025-03-01",
        "2025-03-01T00:00:00",
        "2025-03-01T01:00:00+01:00",
        "2025-02-28T23:30:00-00:30",
        "2025-03-01Z",
    ]
    assert set(moments(pa.array(texts)).astype(str)) == {"2025-03-01T00:00:00.000"}
    assert np.isnat(moments(pa.array(["yesterday", "2025-3-1", None, ""]))).all()


def test_what_no_calendar_has_is_no_moment_and_its_neighbours_stay() -> None:
    found = moments(pa.array(["2026-02-28", "2026-02-30", "2026-01-01T24:00:00Z", None, "2026-01-01T01:00:00+01:00"]))
    assert np.isnat(found).tolist() == [False, True, True, True, False]
    assert found[[0, 4]].astype(str).tolist() == ["2026-02-28T00:00:00.000", "2026-01-01T00:00:00.000"]
