"""From a cohort of the graph to the inputs of a model: bindings followed for everybody at once.

`resolve` asks one query for each concept, path or query that the bindings name, then chooses and converts on arrays.
An entity that lacks something is named with what it lacks, and the others go on; why is said by `reasons.explain`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from pepr_kg.columns import Moments, Numbers
from pepr_kg.models.registry import Registered
from pepr_kg.runs.ages import instant
from pepr_kg.runs.asking import Found, ask_bindings
from pepr_kg.runs.assigning import Assigned, assign
from pepr_kg.runs.conditions import Conditions, birth_dates, broken_conditions, not_permitted, read_conditions
from pepr_kg.runs.elements import Concepts, Element, amount_unit, convert_rows, read_concepts, read_element
from pepr_kg.runs.feeding import feed
from pepr_kg.runs.gathering import Rows, Scope, find_entities, joined, observations_of
from pepr_kg.runs.measured import administer, first_doses, measure, observations_for_fit
from pepr_kg.runs.outcomes import Outcome
from pepr_kg.runs.resolved import (
    OUTCOMES,
    PROBLEMS,
    SOURCES,
    Kind,
    Resolved,
    conversions_of,
    flags_of,
    problem_rows,
    stacked,
    status_of,
)
from pepr_kg.settings import Settings
from pepr_kg.store import View
from pepr_kg.twin import Dose, Model, Observations

__all__ = ["Kind", "Outcome", "Resolved", "resolve"]

_LACKING: Final = tuple(kind for kind, outcome in OUTCOMES.items() if outcome is Outcome.BINDING_MISSING)


def resolve(
    view: View,
    registered: Registered,
    *,
    cohort: str | None,
    entities: Sequence[str] = (),
    as_of: datetime,
    fit: bool,
    settings: Settings | None = None,
) -> Resolved:
    """Return what the bindings of a model give for a cohort, for some entities of the graph, or for some of a cohort.

    Observations later than `as_of` are not looked at (but by a binding that takes the nearest). With `fit`, what was
    observed of the model's outputs comes with it. `settings` bounds the time of a binding's query.

    A binding that gives nothing to anybody is no error: its entities lack the element, and `failures` says why. Raises
    `UnknownCohort`, `UnknownEntity`, `UnknownPrefix`, `EmptyCohort`, and `BadBinding` where observations or doses must
    be placed on the clock of a model whose unit of time nobody knows.
    """
    scope = find_entities(view, cohort, entities, settings or Settings())
    asked = _ask(scope, registered, fit=fit)
    moment = instant(as_of)
    origin, notes = _origin(asked, moment)
    parts = _Parts(problems=notes)
    for item, found in zip(asked.assigned, asked.found, strict=True):
        if found.failure is not None:
            entity = np.flatnonzero(item.mask)
            parts.failures[item.binding.iri] = found.failure
            names, symbol = item.names_of(entity), item.binding.symbol
            parts.problems.append(problem_rows(Kind.FAILED, symbol, names, entity, term=item.binding.iri))
        elif item.binding.symbol not in asked.measured:
            _give(parts, asked, item, found.rows, origin=origin, as_of=moment)
    observations = _measure(parts, asked, origin, moment) if fit else None
    parts.problems += [*_unbound(asked), *_excluded(asked, moment)]
    count = len(scope.entities)
    problems = stacked(PROBLEMS, parts.problems)
    status = status_of(problems, count)
    sources = stacked(SOURCES, parts.sources)
    sources = sources.filter(pa.array(status[np.asarray(sources["entity"], np.int64)] == Outcome.EVALUATED))
    return Resolved(
        entities=scope.entities,
        values=parts.values,
        status=status,
        lacks=flags_of(problems, _LACKING, count),
        clashes=flags_of(problems, (Kind.AMBIGUOUS,), count),
        bad_units=flags_of(problems, (Kind.NO_UNIT, Kind.UNIT), count),
        outside=flags_of(problems, (Kind.OUTSIDE, Kind.NO_CATEGORY), count),
        sources=sources,
        conversions=conversions_of(sources),
        problems=problems,
        failures=parts.failures,
        origin=origin,
        doses=tuple(parts.doses),
        observations=observations,
        as_of=moment,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What the graph answered: `found` by binding in the order of `assigned`, `observed` by concept; `measured` are the
    symbols whose observations a fit is made to.
    """

    scope: Scope
    registered: Registered
    concepts: Concepts
    elements: Mapping[str, Element]
    assigned: tuple[Assigned, ...]
    found: Sequence[Found]
    observed: Mapping[str, Rows]
    measured: frozenset[str]
    conditions: Conditions


@dataclass(slots=True)
class _Parts:
    """What comes together on the way."""

    problems: list[pa.Table]
    values: dict[str, Numbers] = field(default_factory=dict)
    sources: list[pa.Table] = field(default_factory=list)
    doses: list[Dose] = field(default_factory=list)
    failures: dict[str, Mapping[str, str]] = field(default_factory=dict)


def _ask(scope: Scope, registered: Registered, *, fit: bool) -> _Asked:
    concepts = read_concepts(scope.view)
    assigned = assign(scope, registered)
    conditions = read_conditions(scope.view, registered.iri)
    measured = frozenset(residual.variable for residual in registered.residuals)
    symbols = dict.fromkeys([*(item.binding.symbol for item in assigned), *sorted(measured)])
    quantities = {
        symbol: (*registered.quantities.get(symbol, ()), *bound)
        for symbol in symbols
        for bound in [[name for item in assigned if item.binding.symbol == symbol for name in item.binding.quantities]]
    }
    elements = {
        symbol: read_element(
            registered.model, symbol, registered.elements.get(symbol, ""), quantities[symbol], concepts
        )
        for symbol in symbols
    }
    bound = concepts.same(name for item in assigned for name in item.binding.quantities)
    of_outputs = concepts.same(name for symbol in measured for name in registered.quantities.get(symbol, ()))
    wanted = {*bound, *concepts.same(conditions.concepts), *(of_outputs if fit else ())}
    observed = observations_of(scope, sorted(wanted), bound)
    found = ask_bindings(scope, assigned, elements, concepts, observed=observed, quantities=registered.quantities)
    return _Asked(scope, registered, concepts, elements, assigned, found, observed, measured, conditions)


def _origin(asked: _Asked, as_of: np.datetime64) -> tuple[Moments, list[pa.Table]]:
    """Return time zero of each entity, and who has none.

    Where a model counts from the first dose and an entity was given none, its first is the one that the model gives.
    """
    count = len(asked.scope.entities)
    if asked.registered.time_origin == "birth":
        born = birth_dates(asked.scope)
        return born, [problem_rows(Kind.NO_BIRTH, None, None, np.flatnonzero(np.isnat(born)))]
    origin = np.full(count, as_of, "datetime64[ms]")
    if asked.registered.time_origin == "first-dose":
        first = first_doses([found.rows for found in asked.found], count, as_of)
        origin = np.where(np.isnat(first), origin, first)
    return origin, []


def _give(parts: _Parts, asked: _Asked, item: Assigned, rows: Rows, *, origin: Moments, as_of: np.datetime64) -> None:
    """Add what a binding gives: doses, or the values of its element."""
    symbol = item.binding.symbol
    element = asked.elements[symbol]
    model = asked.registered.model
    if item.binding.selection == "all" and rows.given.any() and _holds_amount(model, symbol):
        unit = amount_unit(model, symbol)
        amount = read_element(model, symbol, "", item.binding.quantities, asked.concepts).measured_in(unit)
        doses = rows.take(rows.given & (rows.time <= as_of))
        converted = convert_rows(doses, amount, as_of)
        given, sources, problems = administer(
            asked.registered, item, unit, doses, converted, origin=origin, entities=asked.scope.entities
        )
        parts.doses += given
        parts.sources += sources
        parts.problems += problems
        return
    fed = feed(item, rows, element, as_of, required=symbol in asked.registered.required)
    if len(fed.entity):
        parts.values.setdefault(symbol, np.full(len(asked.scope.entities), np.nan))[fed.entity] = fed.used
    parts.sources.append(fed.sources)
    parts.problems += fed.problems


def _measure(parts: _Parts, asked: _Asked, origin: Moments, as_of: np.datetime64) -> Observations | None:
    """Return what a fit is made to: of each output what its binding finds, else what was observed of its concepts."""
    registered, found = asked.registered, []
    for symbol in sorted(asked.measured):
        bound = [each.rows for item, each in zip(asked.assigned, asked.found, strict=True)
                 if item.binding.symbol == symbol]  # fmt: skip
        names = asked.concepts.same(registered.quantities.get(symbol, ()))
        rows = joined(bound or [asked.observed[name] for name in names if name in asked.observed])
        if not len(rows):
            continue
        element = asked.elements[symbol]
        converted = convert_rows(rows, element, as_of)
        part, sources, problems = measure(registered, symbol, element.unit, rows, converted, origin=origin, as_of=as_of)
        found.append(part)
        parts.sources += sources
        parts.problems += problems
    return observations_for_fit(registered, found, asked.scope.entities)


def _unbound(asked: _Asked) -> Iterator[pa.Table]:
    """Yield who has no binding at all for what the model needs."""
    for symbol in asked.registered.required:
        bare = np.ones(len(asked.scope.entities), np.bool_)
        for item in asked.assigned:
            if item.binding.symbol == symbol:
                bare &= ~item.mask
        yield problem_rows(Kind.UNBOUND, symbol, None, np.flatnonzero(bare))


def _excluded(asked: _Asked, as_of: np.datetime64) -> Iterator[pa.Table]:
    """Yield for whom the model is not meant, and who does not permit it."""
    conditions, scope = asked.conditions, asked.scope
    dated = {item.binding.symbol for item, found in zip(asked.assigned, asked.found, strict=True)
             if found.rows.dated.any()}  # fmt: skip
    ruled = any(rule.symbol in dated for rule in asked.registered.model.validity)
    by_age = not ruled and (conditions.minimum_age is not None or conditions.age_limit is not None)
    born = birth_dates(scope) if by_age else np.empty(0, "datetime64[ms]")
    known = {
        concept: joined([asked.observed[name] for name in asked.concepts.same([concept])])
        for concept in conditions.concepts
    }
    yield from broken_conditions(conditions, known, born, as_of, by_age=by_age)
    yield problem_rows(Kind.CONSENT, None, None, np.flatnonzero(not_permitted(scope)))


def _holds_amount(model: Model, symbol: str) -> bool:
    variable = model.variable(symbol)
    return variable.role in {"state", "discrete"} or (variable.kind == "species" and variable.role != "derived")
