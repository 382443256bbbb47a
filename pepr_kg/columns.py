"""Answers of queries as columns: Arrow arrays, for what is computed over many rows at once.

The engine writes its answer as CSV and Arrow reads it: no term becomes a Python object.

>>> numbers(pa.chunked_array([["1.50", None, "-2"]])).tolist()
[1.5, nan, -2.0]
>>> moments(pa.chunked_array([["2025-03-01", "2025-03-01T12:00:00+02:00", None]])).astype(str).tolist()
['2025-03-01T00:00:00.000', '2025-03-01T10:00:00.000', 'NaT']
"""

from collections.abc import Mapping
from io import BytesIO
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from pepr_kg.errors import QueryFailed
from pepr_kg.rdf import Term
from pepr_kg.view import View

Column: TypeAlias = "pa.Array | pa.ChunkedArray"
Numbers = npt.NDArray[np.float64]
Moments = npt.NDArray[np.datetime64]

_ZONE = r"(Z|[+-]\d\d:\d\d)$"


def select_columns(view: View, sparql: str, bindings: Mapping[str, Term] | None = None) -> pa.Table:
    """Return the answer of a SELECT, each column as strings, null where unbound.

    IRIs are in full, literals without their type. A blank literal and an unbound variable look alike in CSV: both are
    null. Raises `QuerySyntaxError` or `QueryFailed`.
    """
    return read_columns(view.csv(sparql, bindings))


def read_columns(data: bytes) -> pa.Table:
    """Return a CSV document that the engine wrote as columns of text. Raises `QueryFailed`."""
    names = data[: data.index(b"\n")].decode().strip().split(",")
    types = dict.fromkeys(names, pa.string())
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    parse = csv.ParseOptions(newlines_in_values=True)
    try:
        return csv.read_csv(BytesIO(data), parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise QueryFailed(detail=error) from error


def numbers(column: Column) -> Numbers:
    """Return a column of numbers, written as text, as floats: NaN where there is none or it is no number."""
    text = pa.chunked_array(column) if isinstance(column, pa.Array) else column
    try:
        found = pc.cast(text, pa.float64())
    except pa.ArrowInvalid:  # one that is no number among many: it alone becomes NaN
        plain = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        found = pc.cast(pc.if_else(plain, text, pa.scalar(None, pa.string())), pa.float64())
    return np.asarray(pc.fill_null(found, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def moments(column: Column) -> Moments:
    """Return a column of xsd:date or xsd:dateTime as UTC datetime64[ms]; a date is its midnight, NaT for all else.

    A date's own zone is not looked at; a dateTime without one is taken as UTC.
    """
    text = pa.chunked_array(column) if isinstance(column, pa.Array) else column
    known = pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?)?" + _ZONE.replace("$", "?$"))
    text = pc.if_else(known, text, pa.scalar(None, pa.string()))
    date = pc.utf8_slice_codeunits(text, 0, 10)
    clock = pc.utf8_slice_codeunits(text, 10)
    zone = pc.struct_field(pc.extract_regex(clock, r"(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d)$"), "sign")
    bare = pc.replace_substring_regex(text, _ZONE, "")
    bare = pc.if_else(pc.equal(pc.utf8_length(bare), 10), pc.binary_join_element_wise(date, "T00:00:00", ""), bare)
    values = _instants(np.asarray(pc.fill_null(bare, "NaT").to_numpy(zero_copy_only=False)))
    if pc.any(pc.is_valid(zone)).as_py():
        parts = pc.extract_regex(clock, r"(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d)$")
        hours, minutes = (numbers(pc.struct_field(parts, name)) for name in ("hours", "minutes"))
        east = np.where(np.asarray(pc.fill_null(zone, "+").to_numpy(zero_copy_only=False)) == "-", -1.0, 1.0)
        # A date has no clock, so that its zone, where it has one, does not match a time of day here.
        timed = np.asarray(pc.fill_null(pc.greater(pc.utf8_length(clock), 6), False).to_numpy(zero_copy_only=False))
        offset = np.where(timed, np.nan_to_num(east * (hours * 60 + minutes)), 0.0)
        values = values - offset.astype("timedelta64[m]").astype("timedelta64[ms]")
    return values


def _instants(written: npt.NDArray[np.object_]) -> Moments:
    try:
        return written.astype("datetime64[ms]")
    except ValueError:  # one that no calendar has, 30 February or 24 o'clock, among many: it alone becomes NaT
        return np.array([_instant(text) for text in written], "datetime64[ms]")


def _instant(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "ms")
    except ValueError:
        return np.datetime64("NaT", "ms")
