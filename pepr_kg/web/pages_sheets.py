"""Tables of a page: what the pages of twins, models, runs and cohorts show in rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from fastapi import Request

from pepr_kg.namespaces import PEPR, PREFIXES
from pepr_kg.store import Dataset, Literal, NamedNode, Term, Triple
from pepr_kg.web.figures import date_text, day_of, significant, unit_text, with_unit
from pepr_kg.web.pages_frame import Reader, Shown

_IN_YEARS: Final = frozenset({"minimumAge", "ageLimit"})


def dataset_folder(request: Request) -> Path:
    """Return the folder of the dataset, where models that were added and the files of runs are."""
    return cast(Dataset, request.app.state.dataset).path


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its caption, the headings of its columns, its rows, and what was left out in a sentence."""

    caption: str
    headings: tuple[str, ...]
    rows: Sequence[Sequence[Shown]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the list of facts of a page."""

    name: str
    values: list[Shown] = field(default_factory=list)


def figure(reader: Reader, value: float | str | None, unit: str | None = None) -> Shown:
    """Return a number with its unit as the reader writes it, a dash for none."""
    number = _float(value)
    return Shown(with_unit(number, unit or "", reader.lang) if math.isfinite(number) else "–")


def plain(reader: Reader, value: float | str | None) -> Shown:
    """Return a number alone."""
    return Shown(significant(_float(value), reader.lang))


def unit(reader: Reader, code: str | None) -> Shown:
    """Return a unit as people write it: a dash for a pure number or none."""
    return Shown(unit_text(code or "", reader.lang) or "–")


def moment(reader: Reader, stamp: str, *, clock: bool = True) -> Shown:
    """Return a date, with the time of day where the stamp has one that is not midnight and `clock` wants it."""
    day = day_of(stamp)
    if not math.isfinite(day):
        return Shown(stamp or "–")
    return Shown(date_text(day, reader.lang, clock=clock and "T" in stamp and day != math.floor(day)), stamp=stamp)


def text(row: Mapping[str, Term], column: str) -> str:
    """Return a column of an answer as plain text, nothing where it is empty."""
    return row[column].value if column in row else ""


def result(reader: Reader, row: Mapping[str, Term]) -> Shown:
    """Return what an observation gave: a number with its unit, or the name of a category."""
    if "value" not in row and "result" in row:
        return reader.show_iri(text(row, "result"))
    return figure(reader, text(row, "value"), text(row, "unit"))


def interval(reader: Reader, row: Mapping[str, Term]) -> Shown:
    """Return the bounds of a prediction, a dash where it has none."""
    if "lower" not in row:
        return Shown("–")
    low, high = (plain(reader, text(row, name)).text for name in ("lower", "upper"))
    return Shown(f"{low} – {high}")


def values_of(reader: Reader, iri: str) -> dict[str, list[Term]]:
    """Return what the graph says of a thing by property, texts in the reader's language where there are such."""
    found: dict[str, dict[Term, None]] = {}
    for quad in reader.view.quads(NamedNode(iri)):
        if not isinstance(quad.object, Triple):
            found.setdefault(quad.predicate.value, {})[quad.object] = None
    return {name: reader.readable(nodes) for name, nodes in found.items()}


def headings(reader: Reader, names: Iterable[str]) -> tuple[str, ...]:
    """Return the headings of columns in the reader's language."""
    return tuple(reader.phrase(f"column.{name}") for name in names)


def make_sheet(
    reader: Reader, key: str, columns: Iterable[str], rows: Sequence[Sequence[Shown]], note: str = ""
) -> Sheet:
    """Return a table whose caption and headings are texts of the pages."""
    return Sheet(reader.phrase(key), headings(reader, columns), rows, note)


def facts(reader: Reader, said: Mapping[str, Sequence[Term]], wanted: Iterable[tuple[str, str]]) -> list[Fact]:
    """Return the facts that are there, of those wanted: key of the text, short form of the property."""
    found = []
    for key, curie in wanted:
        prefix, _, name = curie.partition(":")
        nodes = said.get((PEPR if prefix == "pepr" else PREFIXES[prefix]) + name, ())
        if nodes:
            shown = [_said(reader, name, node, said) for node in nodes]
            shown.sort(key=lambda item: item.text)
            found.append(Fact(reader.phrase(key), shown))
    return found


def _said(reader: Reader, name: str, node: Term, said: Mapping[str, Sequence[Term]]) -> Shown:
    """Return a value of a property as the reader sees it, with the unit that goes with it."""
    if name.endswith("UnitCode"):
        return unit(reader, node.value)
    if name in _IN_YEARS:
        return figure(reader, node.value, "a")
    if name == "horizon":
        return figure(reader, node.value, next((code.value for code in said.get(PEPR + "timeUnitCode", ())), ""))
    if isinstance(node, Literal) and node.datatype.value == PREFIXES["xsd"] + "decimal":
        return plain(reader, node.value)
    return reader.show(node)


def _float(value: float | str | None) -> float:
    try:
        return math.nan if value is None or value == "" else float(value)
    except ValueError:
        return math.nan
