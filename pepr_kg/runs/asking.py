"""Bindings followed: what each finds in the graph for the entities that it serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import numbers, select_columns
from pepr_kg.resources import read_query
from pepr_kg.runs.apart import Refused
from pepr_kg.runs.assigning import Assigned
from pepr_kg.runs.elements import Concepts, Element
from pepr_kg.runs.gathering import Rows, Scope, along_path, at_once, by_query, joined
from pepr_kg.runs.paths import PathError, read_path

_NO_TIME: Final = np.datetime64("NaT", "ms")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a binding found, or why it gave nothing to anybody (a text for each language)."""

    rows: Rows
    failure: Mapping[str, str] | None = None


def ask_bindings(
    scope: Scope, assigned: Sequence[Assigned], elements: Mapping[str, Element], concepts: Concepts, *,
    observed: Mapping[str, Rows], quantities: Mapping[str, Sequence[str]],
) -> list[Found]:  # fmt: skip
    """Return what each binding found, in their order.

    `observed` has what was observed and given of each concept that a binding looks for; `quantities` are the concepts
    of each symbol, by which the observations that a path leads to are told apart.
    """
    by_hand = any(item.binding.query is not None for item in assigned)
    doses = select_columns(scope.view, read_query("runs/administered"))["observation"] if by_hand else None

    def ask(item: Assigned) -> Found:
        binding, element = item.binding, elements[item.binding.symbol]
        try:
            if binding.value is not None:
                rows = _written(item, element)
            elif binding.path is not None:
                unit = binding.unit or element.unit
                same = concepts.same(quantities.get(binding.symbol, ()))
                rows = along_path(scope, read_path(binding.path), same, unit=unit, known=element.terms)
            elif binding.query is not None:
                rows = _told(by_query(scope, binding.query), binding.unit, doses)
            else:
                rows = joined([observed[name] for name in concepts.same(binding.quantities)])
        except (PathError, Refused) as error:
            return Found(joined([]), error.detail)
        return Found(rows.take(item.mask[rows.entity]))

    return at_once(partial(ask, item) for item in assigned)


def _written(item: Assigned, element: Element) -> Rows:
    """Return a value that a binding gives, for each entity that it serves."""
    binding, entity = item.binding, np.flatnonzero(item.mask)
    count = len(entity)
    unit = binding.unit or ("1" if element.categories else None)
    texts = pa.nulls(count, pa.string())
    number = np.full(count, binding.value)
    if item.values is not None:
        number = numbers(item.values.take(pa.array(entity, pa.int64())))
    none = np.zeros(count, np.bool_)
    return Rows(
        entity, number, texts, pa.repeat(pa.scalar(unit, pa.string()), count), np.full(count, _NO_TIME), texts,
        np.zeros(count, np.int8), none, none,
    )  # fmt: skip


def _told(rows: Rows, unit: str | None, doses: pa.ChunkedArray | None) -> Rows:
    """Return the rows of a query with the binding's unit where they have none, and with the doses among them marked."""
    given = rows.given
    if doses is not None and len(doses):
        given = np.asarray(pc.is_in(rows.observation, value_set=doses.combine_chunks()), np.bool_)
    units = rows.unit if unit is None else pc.coalesce(rows.unit, pa.scalar(unit))
    return replace(rows, unit=units, given=given)
