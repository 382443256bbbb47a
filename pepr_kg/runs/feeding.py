"""What was found becomes the values of an element: chosen, converted, checked, and what is wrong with whom."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from pepr_kg.columns import Numbers
from pepr_kg.runs.assigning import Assigned
from pepr_kg.runs.choosing import Choice, choose_rows, eligible_rows, last_rows, needed_since
from pepr_kg.runs.elements import Converted, Element, Flaw, convert_rows
from pepr_kg.runs.gathering import Flags, Indices, Rows
from pepr_kg.runs.resolved import Kind, problem_rows, used_rows

FLAWS: Final = {
    Flaw.NO_UNIT: Kind.NO_UNIT, Flaw.UNIT: Kind.UNIT, Flaw.NO_NUMBER: Kind.NO_NUMBER,
    Flaw.NO_CATEGORY: Kind.NO_CATEGORY,
}  # fmt: skip
_NO_TIME: Final = np.datetime64("NaT", "ms")


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """The values of an element: `used` of each `entity` that has one, their sources, and what is wrong."""

    entity: Indices
    used: Numbers
    sources: pa.Table
    problems: tuple[pa.Table, ...]


def feed(item: Assigned, rows: Rows, element: Element, as_of: np.datetime64, *, required: bool) -> Fed:
    """Return what a binding gives its element. Only where it is `required` is a missing observation a problem.

    What was found and cannot be used is one in any case: a default never stands in for it silently.
    """
    binding, symbol = item.binding, item.binding.symbol
    selection = "latest" if binding.selection == "all" else binding.selection
    since = needed_since(as_of, binding.maximum_age_days)
    # Two dates of birth are two values at one time.
    placed = replace(rows, time=np.where(rows.dated, _NO_TIME, rows.time)) if rows.dated.any() else rows
    eligible = eligible_rows(placed, selection, as_of, since)
    converted = convert_rows(rows, element, as_of)
    choice = choose_rows(placed, converted.used, eligible, selection, as_of)
    used = converted.used[choice.row]
    outside = element.outside(used)
    problems = list(_unusable(item, rows, choice, converted, outside))
    if required:
        problems += _missing(item, rows, eligible, choice, selection=selection, as_of=as_of, since=since)
    kept = ~choice.flawed & (choice.other < 0) & ~outside
    places = choice.row[kept]
    chosen, used = rows.take(places), used[kept]
    sources = used_rows(
        symbol, item.names_of(chosen.entity), chosen, used, element.unit, factor=converted.factor[places],
        offset=converted.offset[places],
    )  # fmt: skip
    return Fed(chosen.entity, used, sources, tuple(problems))


def _unusable(item: Assigned, rows: Rows, choice: Choice, converted: Converted, outside: Flags) -> Iterator[pa.Table]:
    """Yield what was chosen and cannot be used."""
    symbol = item.binding.symbol
    flaws = converted.flaw[choice.row]
    for flaw, kind in FLAWS.items():
        wrong = rows.take(choice.row[choice.flawed & (flaws == flaw)])
        yield problem_rows(kind, symbol, item.names_of(wrong.entity), wrong.entity, wrong)
    clash = choice.other >= 0
    first, second = rows.take(choice.row[clash]), rows.take(choice.other[clash])
    yield problem_rows(
        Kind.AMBIGUOUS, symbol, item.names_of(first.entity), first.entity, first, other=second.observation
    )
    strange = ~choice.flawed & ~clash & outside
    beyond = rows.take(choice.row[strange])
    yield problem_rows(
        Kind.OUTSIDE,
        symbol,
        item.names_of(beyond.entity),
        beyond.entity,
        beyond,
        value=converted.used[choice.row[strange]],
    )


def _missing(
    item: Assigned, rows: Rows, eligible: Flags, choice: Choice, *, selection: str, as_of: np.datetime64,
    since: np.datetime64,
) -> Iterator[pa.Table]:  # fmt: skip
    """Yield who has nothing that would do, with their latest observation, which is too old or too late."""
    binding, symbol = item.binding, item.binding.symbol
    wanted = next(iter(binding.quantities), binding.path)
    lacking = item.mask.copy()
    lacking[rows.entity[choice.row]] = False
    late = (rows.time > as_of) & (selection != "nearest")
    for kind, unfit in ((Kind.TOO_OLD, ~eligible & ~late), (Kind.LATER, late)):
        last = rows.take(last_rows(rows, unfit & lacking[rows.entity]))
        yield problem_rows(kind, symbol, item.names_of(last.entity), last.entity, last, term=wanted, since=since)
        lacking[last.entity] = False
    entity = np.flatnonzero(lacking)
    yield problem_rows(Kind.MISSING, symbol, item.names_of(entity), entity, term=wanted, since=since)
