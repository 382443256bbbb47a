"""Columns as N-Triples: what is described in a table becomes the bytes of a document, without a Python object a row.

A *term* is what N-Triples writes: `<https://…>` or `"…"^^<…>`. A column of terms is an Arrow array of strings, in which
null stands for nothing to say. `describe` writes one block for each subject.

>>> people = iris("patient:", ["a-1", "a-2"])
>>> document = describe(people, [("rdf:type", iri("pepr:Patient")), ("pepr:numericValue", decimals([1.50, np.nan], 1))])
>>> print(document.decode().replace(expand("pepr:"), "…").replace(expand("patient:"), "…"))
<…a-1> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <…Patient> .
<…a-1> <…numericValue> "1.5"^^<http://www.w3.org/2001/XMLSchema#decimal> .
<…a-2> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <…Patient> .
<BLANKLINE>
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.namespaces import expand
from pepr_kg.rdf import ESCAPES

Terms: TypeAlias = pa.StringArray
Names: TypeAlias = pa.Array | Sequence[str] | npt.NDArray[np.str_]

_XSD: Final = {name: f"^^<{expand(f'xsd:{name}')}>" for name in ("date", "dateTime", "decimal", "integer", "anyURI")}


def iri(curie: str) -> str:
    """Return the term of a short form or an IRI. Raises `UnknownPrefix`."""
    return f"<{expand(curie)}>"


def iris(prefix: str, names: Names) -> Terms:
    """Return the terms of the individuals `prefix` + name; null where there is no name. Raises `UnknownPrefix`."""
    return _join(f"<{expand(prefix)}", _column(names), ">")


def decimals(values: npt.ArrayLike, places: int) -> Terms:
    """Return decimal numbers, rounded to so many places, in the form that RDF calls canonical; null where NaN.

    At most 15 digits in all, so that no number needs an exponent.
    """
    rounded = np.round(np.asarray(values, dtype=np.float64), places) + 0.0  # there is no -0 in xsd:decimal
    text = pc.cast(pa.array(rounded, mask=~np.isfinite(rounded)), pa.string())
    return _join('"', text, f'"{_XSD["decimal"]}')


def integers(values: npt.ArrayLike) -> Terms:
    """Return whole numbers."""
    return _join('"', pc.cast(pa.array(np.asarray(values, dtype=np.int64)), pa.string()), f'"{_XSD["integer"]}')


def dates(days: npt.NDArray[np.datetime64]) -> Terms:
    """Return days as xsd:date; null where NaT."""
    return _join('"', pc.cast(pa.array(days.astype("datetime64[D]")), pa.string()), f'"{_XSD["date"]}')


def moments(times: npt.NDArray[np.datetime64]) -> Terms:
    """Return times as xsd:dateTime in UTC, to the second; null where NaT."""
    text = pc.strftime(pa.array(times.astype("datetime64[s]")), format="%Y-%m-%dT%H:%M:%SZ")
    return _join('"', text, f'"{_XSD["dateTime"]}')


def texts(values: Names, language: str = "") -> Terms:
    """Return strings, in a language if one is given; null stays null."""
    column = _column(values)
    for sign, escaped in ESCAPES:
        column = pc.replace_substring(column, sign, escaped)
    return _join('"', column, f'"@{language}' if language else '"')


def text(value: str, language: str = "") -> str:
    """Return the term of one string.

    >>> text("un « oui »", "fr")
    '"un « oui »"@fr'
    """
    return str(texts([value], language)[0].as_py())


def typed(value: str, datatype: str) -> str:
    """Return the term of one literal of a type of XML Schema, for instance `anyURI`, written as it stands.

    >>> typed("https://example.org", "anyURI")
    '"https://example.org"^^<http://www.w3.org/2001/XMLSchema#anyURI>'
    """
    return text(value) + _XSD[datatype]


def describe(subjects: Terms, facts: Sequence[tuple[str, str | Terms]]) -> bytes:
    """Return the triples of subjects: for each pair of a predicate's short form and a term for all, or one for each.

    Where a column has null, that one triple is left out; where there is no subject, the whole block. Raises
    `UnknownPrefix`.
    """
    parts: list[str | pa.Array] = []
    for predicate, value in facts:
        verb = f" {iri(predicate)} "
        if isinstance(value, pa.Array) and value.null_count:
            parts.append(pc.fill_null(_join(subjects, verb, value, " .\n"), ""))
        else:
            parts += [subjects, verb, value, " .\n"]
    return _bytes(_join(*parts)) if len(subjects) else b""


def describe_one(subject: str, facts: Mapping[str, str | Sequence[str]]) -> bytes:
    """Return the triples of one thing: `facts` gives a term, or several, for each predicate's short form."""
    lines = []
    for predicate, given in facts.items():
        for value in (given,) if isinstance(given, str) else given:
            lines.append(f"{iri(subject)} {iri(predicate)} {value} .\n")
    return "".join(lines).encode()


def choose(codes: npt.NDArray[np.integer], terms: Sequence[str | None]) -> Terms:
    """Return for each code the term that stands at that place; a code of -1 is null."""
    places = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pc.take(pa.array(terms, pa.string()), places)


def _column(names: Names) -> pa.Array:
    return names if isinstance(names, pa.Array) else pa.array(names, pa.string())


def _join(*parts: str | pa.Array) -> Terms:
    """Return the parts strung together, row by row; null where one of them is."""
    return pc.binary_join_element_wise(*parts, "")


def _bytes(column: Terms) -> bytes:
    """Return the strings of a column one after the other: they already stand so in memory."""
    whole = pa.concat_arrays([column])
    offsets, data = whole.buffers()[1], whole.buffers()[2]
    ends = np.frombuffer(offsets, dtype=np.int32)[whole.offset : whole.offset + len(whole) + 1]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[-1])])
