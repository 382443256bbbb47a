"""Columns as N-Triples: what a run says of a hundred thousand patients, without a Python object for each.

A number is written as xsd:decimal, without an exponent, rounded to 12 significant digits and to 18 decimals (what
Oxigraph keeps); the exact figure is in the Parquet file.

>>> decimals(np.array([84.25, -1.5e-7, 0.1 + 0.2, 0.0, 1234567.891011121314])).to_pylist()
['84.25', '-0.00000015', '0.3', '0.0', '1234567.89101']
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.namespaces import PREFIXES
from pepr_kg.rdf import ESCAPES
from pepr_kg.runs.key import text_bytes

_SIGNIFICANT: Final = 12
_DECIMALS: Final = 18
_LARGEST: Final = 9e18  # above, digits do not fit 64 bits
_ROWS: Final = 50_000  # of a document at a time
_XSD: Final = PREFIXES["xsd"]

Column: TypeAlias = "pa.Array | str"
Numbers = npt.NDArray[np.float64]


def node(iri: str) -> str:
    """Return an IRI as N-Triples has it."""
    return f"<{iri}>"


def text(value: str, lang: str | None = None, datatype: str | None = None) -> str:
    """Return a literal as N-Triples has it.

    >>> print(text('say "no"', "en"), text("2026-03-01", datatype="date"))
    "say \\"no\\""@en "2026-03-01"^^<http://www.w3.org/2001/XMLSchema#date>
    """
    escaped = value
    for plain, written in ESCAPES:
        escaped = escaped.replace(plain, written)
    return f'"{escaped}"' + (f"@{lang}" if lang else f"^^<{_XSD}{datatype}>" if datatype else "")


def integer(value: int) -> str:
    """Return a whole number as N-Triples has it."""
    return text(str(value), datatype="integer")


def decimal(value: float) -> str:
    """Return one number with all its digits, as N-Triples has it: for settings and factors.

    >>> decimal(1e-06), decimal(88.4)
    ('"0.000001"^^<http://www.w3.org/2001/XMLSchema#decimal>', '"88.4"^^<http://www.w3.org/2001/XMLSchema#decimal>')
    """
    return text(f"{Decimal(repr(float(value))):f}", datatype="decimal")


def decimals(values: Numbers) -> pa.Array:
    """Return numbers as texts of decimals, rounded as the module says; NaN and infinity are null."""
    known = np.isfinite(values)
    size = np.abs(np.where(known, values, 0.0))
    with np.errstate(divide="ignore"):
        power = np.where(size > 0, np.floor(np.log10(np.where(size > 0, size, 1.0))), 0.0).astype(np.int64)
    places = np.clip(_SIGNIFICANT - 1 - power, 0, _DECIMALS)
    coarse = 10.0 ** np.maximum(power - (_SIGNIFICANT - 1), 0)  # above 10^12 digits before the point are rounded too
    fits = size < _LARGEST
    number = np.where(fits, np.rint(np.where(fits, size, 0.0) / coarse * 10.0**places), 0.0).astype(np.int64)
    number, unit = number * coarse.astype(np.int64), 10**places
    whole, part = number // unit, number % unit * 10 ** (_DECIMALS - places)
    digits = pc.utf8_rtrim(pc.utf8_lpad(pa.array(part).cast(pa.string()), _DECIMALS, "0"), "0")
    digits = pc.if_else(pa.array(part > 0), digits, constant("0"))
    sign = pc.if_else(pa.array((values < 0) & (number > 0)), constant("-"), constant(""))
    found = joined(sign, pa.array(whole).cast(pa.string()), ".", digits)
    if not known.all():
        found = pc.if_else(pa.array(known), found, pa.scalar(None, pa.string()))
    if not fits.all():
        rare = [f"{Decimal(f'{value:.{_SIGNIFICANT - 1}e}'):f}.0" for value in values[known & ~fits].tolist()]
        found = pc.replace_with_mask(found, pa.array(known & ~fits), pa.array(rare, pa.string()))
    return found


def as_decimals(values: Numbers) -> pa.Array:
    """Return numbers as literals of N-Triples."""
    return joined('"', decimals(values), f'"^^<{_XSD}decimal>')


def as_moments(values: npt.NDArray[np.datetime64]) -> pa.Array:
    """Return moments of UTC as literals of N-Triples, to the second.

    >>> as_moments(np.array(["2026-03-01T12:00:00.400"], "datetime64[ms]")).to_pylist()
    ['"2026-03-01T12:00:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime>']
    """
    shown = pc.strftime(pa.array(values.astype("datetime64[s]")), format="%Y-%m-%dT%H:%M:%SZ")
    return joined('"', shown, f'"^^<{_XSD}dateTime>')


def as_nodes(iris: pa.Array) -> pa.Array:
    """Return IRIs as N-Triples has them."""
    return joined("<", iris, ">")


@lru_cache(maxsize=4096)
def constant(value: str) -> pa.Scalar:
    """Return a text as Arrow has it. Each is made once: Arrow looks for pandas whenever it makes one, in vain."""
    return pa.scalar(value, pa.string())


def joined(*parts: Column) -> pa.Array:
    """Return the texts of columns joined row by row; a plain text is the same in each row."""
    columns = [constant(part) if isinstance(part, str) else part for part in (*parts, "")]
    column = pc.binary_join_element_wise(*columns)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def numbered(values: npt.NDArray[np.int64]) -> pa.Array:
    """Return whole numbers as texts."""
    return pa.array(values).cast(pa.string())


class Document:
    """What a run says, as two N-Triples files in the making: a specimen, which is validated, and the rest of what is
    said alike of very many.
    """

    def __init__(self, folder: Path) -> None:
        self.specimen, self.rest = folder / "specimen.nt", folder / "rest.nt"
        self._files: tuple[IO[bytes], IO[bytes]] = self.specimen.open("wb"), self.rest.open("wb")

    def __enter__(self) -> "Document":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def say(self, subject: str, *pairs: tuple[str, str]) -> None:
        """Add what is said of one thing: `subject` is an IRI, a pair a predicate's IRI and an object of N-Triples."""
        lines = [f"<{subject}> <{predicate}> {value} .\n" for predicate, value in pairs]
        self._files[0].write("".join(lines).encode())

    def say_all(
        self, subjects: Column, pairs: Sequence[tuple[str, Column]], count: int, specimen: int | None = None
    ) -> None:
        """Add what is said of `count` things: `subjects` and objects are columns of N-Triples, or the same for all.

        The first `specimen` of them go to the specimen; None: all.
        """
        cut = count if specimen is None else min(specimen, count)
        edges = sorted({*range(0, count, _ROWS), cut, count})
        for first, last in pairwise(edges):
            part = slice(first, last)
            some = [_some(column, part) for column in (subjects, *(value for _, value in pairs))]
            parts: list[Column] = [pa.array([""]).take(pa.array(np.zeros(last - first, np.int64)))]
            for (predicate, _), value in zip(pairs, some[1:], strict=True):
                parts += [some[0], f" <{predicate}> ", value, " .\n"]
            self._files[first >= cut].write(text_bytes(joined(*parts).cast(pa.large_string())))


def _some(column: Column, part: slice) -> Column:
    return column if isinstance(column, str) else column.slice(part.start, part.stop - part.start)
