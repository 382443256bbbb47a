"""What an element of a model takes: unit, categories and bounds; how what was found becomes a number of it.

Nothing is converted row by row: a distinct unit has one factor and one offset, a concept of a category one number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Numbers, numbers, select_columns
from pepr_kg.resources import read_query
from pepr_kg.runs.ages import ages, is_time
from pepr_kg.runs.gathering import Flags, Rows
from pepr_kg.store import View
from pepr_kg.twin import Model
from pepr_kg.twin.errors import TwinError, UnitMismatch, UnknownUnit
from pepr_kg.twin.units import conversion, parse_unit

_NO_UNIT_OF_ITS_OWN: Final = {
    "en": "the model does not say in which unit it takes it",
    "fr": "le modèle ne dit pas dans quelle unité il le prend",
}
_DATE: Final = {"en": "a date", "fr": "une date"}
_ONLY_A_TIME: Final = {"en": "a date gives a time and nothing else", "fr": "une date ne donne qu’un temps"}


class Flaw(IntEnum):
    """Why a found value is no number of the element."""

    NONE = 0
    NO_UNIT = 1
    UNIT = 2  # it does not convert
    NO_NUMBER = 3
    NO_CATEGORY = 4


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """An element: `terms` gives the number of each concept or text of a category, `mass` is in g/mol."""

    symbol: str
    unit: str | None
    bounds: tuple[float, float]
    open_below: bool
    categories: tuple[float, ...]
    terms: Mapping[str, float]
    mass: float | None

    def factor(self, unit: str) -> tuple[float, float]:
        """Return (factor, offset) from a unit to the element's. Raises `UnknownUnit` or `UnitMismatch`."""
        if self.unit is None:
            raise UnitMismatch(found=unit, expected="?", symbol=self.symbol, detail=_NO_UNIT_OF_ITS_OWN)
        return conversion(unit, self.unit, molar_mass_g_per_mol=self.mass, symbol=self.symbol)

    def measured_in(self, unit: str | None) -> "Element":
        """Return the element in another unit, without bounds and categories: an amount that is added to it."""
        return replace(self, unit=unit, bounds=(-np.inf, np.inf), open_below=False, categories=(), terms={})

    def outside(self, values: Numbers) -> Flags:
        """Return which values lie outside the bounds; NaN does not."""
        low, high = self.bounds
        return np.asarray((values < low) | (values > high) | ((values == low) & self.open_below))


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """Found values as numbers of an element, (rows,): `used`, NaN where there is a `flaw`; `factor` and `offset` are
    NaN where nothing was multiplied (a category, an age).
    """

    used: Numbers
    factor: Numbers
    offset: Numbers
    flaw: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """What the graph says of concepts: `groups` names of the same one, `masses` (g/mol), and `categories`: for each
    element (IRI) the number of each concept or text.
    """

    groups: Mapping[str, frozenset[str]]
    masses: Mapping[str, float]
    categories: Mapping[str, Mapping[str, float]]

    def same(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the concepts and all that are an exact match of one of them, sorted."""
        return tuple(sorted({name for each in names for name in self.groups.get(each, {each})}))


def read_concepts(view: View) -> Concepts:
    """Return what the graph says of concepts: three small queries."""
    groups: dict[str, frozenset[str]] = {}
    pairs = select_columns(view, read_query("runs/matches"))
    for one, other in zip(pairs["concept"].to_pylist(), pairs["same"].to_pylist(), strict=True):
        merged = groups.get(one, frozenset({one})) | groups.get(other, frozenset({other}))
        groups.update(dict.fromkeys(merged, merged))
    table = select_columns(view, read_query("runs/molar-masses"))
    found = dict(zip(table["quantity"].to_pylist(), numbers(table["mass"]).tolist(), strict=True))
    masses = {name: mass for concept, mass in found.items() for name in groups.get(concept, {concept})}
    categories: dict[str, dict[str, float]] = {}
    table = select_columns(view, read_query("runs/categories"))
    values = numbers(table["number"]).tolist()
    for element, value, *names in zip(
        table["element"].to_pylist(), values, table["text"].to_pylist(), table["concept"].to_pylist(), strict=True
    ):
        known = categories.setdefault(element, {})
        for name in filter(None, names):
            known.update(dict.fromkeys(groups.get(name, {name}), value))
    return Concepts(groups, masses, categories)


def read_element(model: Model, symbol: str, iri: str, quantities: Sequence[str], concepts: Concepts) -> Element:
    """Return what a model's element takes; what holds an amount in a compartment takes the amount."""
    variable = model.variable(symbol)
    terms = {code.text: code.value for code in variable.codes} | dict(concepts.categories.get(iri, {}))
    mass = next((concepts.masses[name] for name in concepts.same(quantities) if name in concepts.masses), None)
    categories = tuple(sorted({*(code.value for code in variable.codes), *terms.values()}))
    unit = variable.unit or ("1" if categories else None)
    return Element(symbol, unit, variable.bounds, variable.open_below, categories, terms, mass)


def amount_unit(model: Model, symbol: str) -> str | None:
    """Return the unit of the amount that a dose to a symbol adds to: of a concentration, that times its volume's."""
    variable = model.variable(symbol)
    if variable.compartment is None or variable.unit is None:
        return variable.unit
    volume = model.variable(variable.compartment).unit
    return None if volume is None else (parse_unit(variable.unit) * parse_unit(volume)).text


def convert_rows(rows: Rows, element: Element, as_of: np.datetime64) -> Converted:
    """Return what was found as numbers of the element; a date becomes the age at `as_of`."""
    count = len(rows)
    used, factor, offset = rows.number.copy(), np.full(count, np.nan), np.full(count, np.nan)
    flaw = np.zeros(count, np.int8)
    numeric = ~np.isnan(rows.number)
    codes, units = _coded(rows.unit)
    for place, unit in enumerate(units):
        chosen = numeric & (codes == place)
        try:
            scale, shift = element.factor(unit)
        except (UnitMismatch, UnknownUnit):
            flaw[chosen] = Flaw.UNIT
            continue
        factor[chosen], offset[chosen] = scale, shift
        if (scale, shift) != (1.0, 0.0):
            used[chosen] = used[chosen] * scale + shift if shift else used[chosen] * scale
    bare = numeric & (codes < 0)
    if element.unit is None:  # no unit on either side
        factor[bare], offset[bare] = 1.0, 0.0
    else:
        flaw[bare] = Flaw.NO_UNIT
    if rows.dated.any():
        if element.unit is not None and _measures_time(element.unit):
            used[rows.dated] = ages(rows.time[rows.dated], as_of, element.unit)
            flaw[rows.dated & np.isnan(used)] = Flaw.NO_NUMBER
        else:
            flaw[rows.dated] = Flaw.UNIT
    named = ~numeric & ~rows.dated
    if named.any():
        flaw[named] = Flaw.NO_CATEGORY if element.categories else Flaw.NO_NUMBER
        if element.terms:
            table = pa.array(list(element.terms), pa.string())
            place_of = pc.fill_null(pc.index_in(rows.term, value_set=table), -1)
            places = np.asarray(place_of, np.int64)
            known = named & (places >= 0)
            used[known] = np.array(list(element.terms.values()))[places[known]]
            flaw[known] = Flaw.NONE
    if element.categories:
        strange = (flaw == Flaw.NONE) & ~np.isin(used, element.categories)
        flaw[strange] = Flaw.NO_CATEGORY
    used[flaw != Flaw.NONE] = np.nan
    return Converted(used, factor, offset, flaw)


def unit_sentence(element: Element, unit: str | None, lang: str) -> str:
    """Return why a unit does not convert to the element's, None standing for that of a date; "" where it does."""
    try:
        if unit is None:
            expected = element.unit or "?"
            raise UnitMismatch(found=_DATE, expected=expected, symbol=element.symbol, detail=_ONLY_A_TIME)
        element.factor(unit)
    except TwinError as error:
        return error.message(lang)
    return ""


def _coded(unit: pa.Array) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the place of each unit among the distinct ones, -1 where there is none."""
    encoded = pc.dictionary_encode(unit)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(pc.fill_null(encoded.indices, -1), np.int64), encoded.dictionary.to_pylist()


def _measures_time(unit: str) -> bool:
    try:
        return is_time(unit)
    except UnknownUnit:
        return False
