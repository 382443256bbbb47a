"""What a run used, and what the graph says of it today."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import Column, moments, numbers, select_columns
from pepr_kg.models.registry import Coupled, Registered, find_model
from pepr_kg.resources import read_query
from pepr_kg.runs.binding import resolve
from pepr_kg.runs.errors import RunDamaged
from pepr_kg.runs.inputs import VALUE
from pepr_kg.runs.reading import RunFacts
from pepr_kg.runs.storage import read_inputs
from pepr_kg.settings import Settings
from pepr_kg.store import NamedNode, View

Flags = npt.NDArray[np.bool_]
_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Ground:
    """Where is looked: a version of the graph, the dataset's folder, and bounds."""

    view: View
    folder: Path
    settings: Settings


def changed_since(ground: Ground, facts: RunFacts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the observations (and, of what is no observation, the patients) that say something else today than what a
    run used, and the observations that are gone.

    One query for what was observed, and one for each property of patients that a binding follows. Raises `RunDamaged`
    where the file of inputs cannot be read, and what `find_model` raises.
    """
    try:
        inputs, about = read_inputs(facts.inputs)
        asked = json.loads(about["request"])
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise RunDamaged(run=facts.id, path=facts.inputs, detail=error) from error
    changed, gone = _observed(ground.view, facts.iri, inputs)
    return (*changed, *_described(ground, facts, inputs, asked)), tuple(gone)


def _observed(view: View, iri: str, inputs: pa.Table) -> tuple[list[str], list[str]]:
    """Return the observations whose value, unit, time or patient is another today, and those that are gone."""
    rows = inputs.filter(pc.is_valid(inputs["observation"]))
    was = rows["observation"].combine_chunks()
    today = select_columns(view, read_query("runs/used-today"), {"evaluation": NamedNode(iri)})
    names = today["observation"].combine_chunks().dictionary_encode()
    first = np.unique(np.asarray(names.indices, np.int64), return_index=True)[1]  # where the graph says it twice
    place = pc.index_in(was, value_set=names.dictionary)
    there = np.asarray(pc.is_valid(place), np.bool_)
    gone = was.filter(pa.array(~there))
    now = today.take(pa.array(first[np.asarray(place.drop_null(), np.int64)]))
    rows, was = rows.filter(pa.array(there)), was.filter(pa.array(there))
    number = np.asarray(rows["value"].combine_chunks().fill_null(np.nan), np.float64)
    time = np.asarray(rows["time"].combine_chunks().cast(pa.int64()).fill_null(_NEVER), np.int64)
    same = _same_text(now["entity"], rows["entity"]) & _same_text(now["unit"], rows["unit"])
    same &= _same_number(numbers(now["value"]), number)
    same &= moments(now["time"]).astype("datetime64[ms]").astype(np.int64) == time
    concept = np.asarray(pc.is_null(now["value"]), np.bool_)
    same &= ~concept | _same_text(now["result"], rows["term"])
    return pc.unique(was.filter(pa.array(~same))).to_pylist(), pc.unique(gone).to_pylist()


def _described(ground: Ground, facts: RunFacts, inputs: pa.Table, asked: Mapping[str, object]) -> tuple[str, ...]:
    """Return the patients of whom a value that is no observation (a date of birth, a sex) is another today."""
    kind, bare = pc.cast(inputs["kind"], pa.string()), pc.is_null(inputs["observation"])
    rows = inputs.filter(pc.and_(pc.and_(pc.equal(kind, VALUE), bare), pc.is_valid(inputs["binding"])))
    if not rows.num_rows:
        return ()
    found = find_model(ground.view, facts.model, ground.folder)
    wanted = set(pc.unique(pc.cast(rows["binding"], pa.string())).to_pylist())
    parts = [("fast.", found.fast), ("slow.", found.slow)] if isinstance(found, Coupled) else [("", found)]
    changed: set[str] = set()
    for prefix, part in parts:
        mine = _of_part(rows, prefix)
        if mine.num_rows:  # by the model's bindings, or by those that twins have of their own
            bindings = tuple(item for item in part.bindings if item.iri in wanted)
            some = replace(part, bindings=bindings, required=(), residuals=())
            changed |= _different(ground, some, facts.as_of, asked, mine)
    return tuple(sorted(changed))


def _of_part(rows: pa.Table, prefix: str) -> pa.Table:
    """Return the rows of a part of a coupled model, with the symbols that they have there."""
    symbols = pc.cast(rows["symbol"], pa.string())
    rows = rows.filter(pc.starts_with(symbols, prefix))
    plain = pc.utf8_slice_codeunits(pc.cast(rows["symbol"], pa.string()), len(prefix))
    return rows.set_column(rows.schema.get_field_index("symbol"), "symbol", plain)


def _different(
    ground: Ground, part: Registered, as_of: str, asked: Mapping[str, object], rows: pa.Table
) -> set[str]:  # fmt: skip
    """Return the patients to whom the bindings of a model give other values today."""
    cohort, entities = asked["cohort"], asked["entities"]
    resolved = resolve(
        ground.view, part, cohort=cohort if isinstance(cohort, str) else None,
        entities=tuple(entities) if isinstance(entities, list) else (), as_of=datetime.fromisoformat(as_of), fit=False,
        settings=ground.settings,
    )  # fmt: skip
    changed: set[str] = set()
    for symbol in pc.unique(rows["symbol"]).to_pylist():
        mine = rows.filter(pc.equal(rows["symbol"], symbol))
        entity = pc.cast(mine["entity"], pa.string()).combine_chunks()
        place = pc.index_in(entity, value_set=resolved.entities)
        values = resolved.values.get(symbol, np.full(len(resolved.entities), np.nan))
        now = np.where(
            np.asarray(pc.is_valid(place), np.bool_), values[np.asarray(place.fill_null(0), np.int64)], np.nan
        )
        changed |= set(entity.filter(pa.array(~_same_number(now, np.asarray(mine["used"], np.float64)))).to_pylist())
    return changed


def _same_text(one: Column, other: Column) -> Flags:
    left, right = (pc.fill_null(pc.cast(column, pa.string()), "") for column in (one, other))
    return np.asarray(pc.equal(left, right), np.bool_)


def _same_number(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> Flags:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)), np.bool_)
