"""For whom a model is not meant, and who may not be evaluated: what is known of an entity besides its inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Moments, moments, select_columns
from pepr_kg.namespaces import ID
from pepr_kg.resources import read_query
from pepr_kg.runs.ages import ages, days
from pepr_kg.runs.choosing import choose_rows, eligible_rows
from pepr_kg.runs.gathering import FEW, Flags, Rows, Scope
from pepr_kg.runs.resolved import Kind, problem_rows
from pepr_kg.store import NamedNode, View

_GIVEN: Final = f"{ID}consent-status/given"
_EVER: Final = np.datetime64("0001-01-01", "ms")
_AGELESS: Final = np.datetime64("NaT", "ms")


@dataclass(frozen=True, slots=True)
class Conditions:
    """For whom a model is meant: ages in years (who has reached the limit is outside), and concepts that one must have
    or must not have.
    """

    minimum_age: float | None
    age_limit: float | None
    required: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def concepts(self) -> tuple[str, ...]:
        """Return the concepts that are looked at."""
        return (*self.required, *self.excluded)


def read_conditions(view: View, model: str) -> Conditions:
    """Return for whom the graph says that a model is meant."""
    table = select_columns(view, read_query("runs/validity"), {"model": NamedNode(model)})

    def said(name: str) -> tuple[str, ...]:
        return tuple(sorted(set(pc.drop_null(table[name].combine_chunks()).to_pylist())))

    lowest, limit = (tuple(float(value) for value in said(name)) for name in ("minimumAge", "ageLimit"))
    return Conditions(max(lowest, default=None), min(limit, default=None), said("required"), said("excluded"))


def birth_dates(scope: Scope) -> Moments:
    """Return when each entity was born, (entities,); NaT where the graph does not say."""
    query = read_query("runs/birth-dates")
    if len(scope.entities) <= FEW:
        each = [{"entity": NamedNode(entity)} for entity in scope.entities.to_pylist()]
        table = pa.concat_tables([select_columns(scope.view, query, bound) for bound in each])
    else:
        table = select_columns(scope.view, query)
    place = pc.index_in(table["entity"], value_set=scope.entities)
    kept = pc.is_valid(place)
    found = np.full(len(scope.entities), _AGELESS)
    found[np.asarray(place.filter(kept).combine_chunks(), np.int64)] = days(table["born"].filter(kept))
    return found


def broken_conditions(
    conditions: Conditions, found: Mapping[str, Rows], born: Moments, as_of: np.datetime64, *, by_age: bool
) -> Iterator[pa.Table]:
    """Yield whom a model is not meant for, as problems. What is not known of somebody speaks against nobody.

    `by_age` says whether ages are looked at here: not where the age is an input, whose own rules say it better.
    """
    if by_age:
        age = ages(born, as_of, "a")
        for kind, broken in (
            (Kind.TOO_YOUNG, age < (conditions.minimum_age or 0.0)),
            (Kind.TOO_AGED, age >= (conditions.age_limit or np.inf)),
        ):
            yield problem_rows(kind, None, None, np.flatnonzero(broken), value=age[broken])
    for kind, concepts, unwanted in (
        (Kind.CONDITION_ABSENT, conditions.required, 0.0),
        (Kind.CONDITION_PRESENT, conditions.excluded, 1.0),
    ):
        for concept in concepts:
            rows = found[concept]
            fine = eligible_rows(rows, "latest", as_of, _AGELESS) & ~np.isnan(rows.number)
            choice = choose_rows(rows, rows.number, fine, "latest", as_of)
            broken = choice.row[rows.number[choice.row] == unwanted]
            chosen = rows.take(broken)
            yield problem_rows(kind, None, None, chosen.entity, chosen, term=concept)


def not_permitted(scope: Scope) -> Flags:
    """Return which entities decided against the use of their data, by the latest of their decisions, (entities,).

    Who never decided is not among them: the law that a dataset is used under is not known here.
    """
    return refused(select_columns(scope.view, read_query("runs/consents")), scope.entities)


def refused(table: pa.Table, entities: pa.Array) -> Flags:
    """Return whose latest decision, of those in the rows of a query of consents, is none to agree, (entities,)."""
    place = pc.index_in(table["entity"], value_set=entities)
    kept = pc.is_valid(place)
    table, at = table.filter(kept), np.asarray(place.filter(kept).combine_chunks(), np.int64)
    given = np.asarray(pc.equal(table["status"], _GIVEN).combine_chunks(), np.bool_)
    decided, withdrawn = moments(table["decided"]), moments(table["withdrawn"])
    when = np.where(given, decided, np.where(np.isnat(withdrawn), decided, withdrawn))
    stamp = np.where(np.isnat(when), _EVER, when).astype("datetime64[ms]").astype(np.int64)
    lowest = np.iinfo(np.int64).min
    agreed, against = (np.full(len(entities), lowest) for _ in range(2))
    np.maximum.at(agreed, at[given], stamp[given])
    np.maximum.at(against, at[~given], stamp[~given])
    return (against > lowest) & (against >= agreed)
