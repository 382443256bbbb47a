"""Which binding feeds which element of which entity: the model's, or the one that an entity's twin has of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import numbers, select_columns
from pepr_kg.models.registry import Binding, Registered
from pepr_kg.resources import read_query
from pepr_kg.runs.gathering import Flags, Indices, Scope
from pepr_kg.twin.errors import TwinError
from pepr_kg.twin.units import conversion

_CONTENT = ("element", "value", "unit", "path", "query", "quantity", "selection", "maximumAge", "timeUnit")


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """A binding and whom it serves: `mask` is (entities,); `names` are the bindings' IRIs where twins have their own.

    Own bindings that say the same are one here; `values` are what those that give a value give, (entities,).
    """

    binding: Binding
    mask: Flags
    names: pa.Array | None = None
    values: pa.Array | None = None

    def names_of(self, entity: Indices) -> "pa.Array | str":
        """Return the IRI of the binding of each of these entities, or the one that serves all."""
        return self.binding.iri if self.names is None else self.names.take(pa.array(entity, pa.int64()))


def assign(scope: Scope, registered: Registered) -> tuple[Assigned, ...]:
    """Return the bindings of a model, each with the entities whose twin has no binding of its own for that element,
    and the own ones.
    """
    own: list[Assigned] = []
    taken: dict[str, Flags] = {}
    for item in _own(scope, registered):
        known = taken.get(item.binding.symbol, np.zeros(len(scope.entities), np.bool_))
        own.append(replace(item, mask=item.mask & ~known))  # of two for one element of one entity the first counts
        taken[item.binding.symbol] = item.mask | known
    everybody = np.ones(len(scope.entities), np.bool_)
    models = (
        Assigned(binding, ~taken[binding.symbol] if binding.symbol in taken else everybody)
        for binding in registered.bindings
    )
    return tuple(item for item in (*models, *own) if item.mask.any())


def _own(scope: Scope, registered: Registered) -> Iterable[Assigned]:
    table = select_columns(scope.view, read_query("runs/own-bindings"))
    table = table.filter(pc.is_in(table["entity"], value_set=scope.entities))
    symbols = {iri: symbol for symbol, iri in registered.elements.items()}
    table = table.filter(pc.is_in(table["element"], value_set=pa.array(list(symbols), pa.string())))
    if not len(table):
        return
    keys = ["entity", "binding", *(name for name in _CONTENT if name != "quantity")]
    table = table.group_by(keys, use_threads=False).aggregate([("quantity", "list")])
    listed = table["quantity_list"].combine_chunks()
    values = pc.coalesce(listed.values, pa.scalar("", pa.string()))
    joined = pc.binary_join(pa.ListArray.from_arrays(listed.offsets, values), " ")
    table = table.append_column("quantity", pa.chunked_array([joined]))
    same = [name for name in _CONTENT if name != "value"]  # values may differ from twin to twin
    has_value = pc.if_else(pc.is_valid(table["value"]), "yes", "no")
    key = pc.binary_join_element_wise(
        has_value, *(pc.coalesce(table[name], pa.scalar("", pa.string())) for name in same), "\x1f"
    )
    for content in pc.unique(key).to_pylist():
        part = table.filter(pc.equal(key, content))
        yield _of_content(scope, part, symbols[part["element"][0].as_py()])


def _of_content(scope: Scope, part: pa.Table, symbol: str) -> Assigned:
    """Return own bindings that say the same, as one."""
    place = np.asarray(pc.index_in(part["entity"], value_set=scope.entities).combine_chunks(), np.int64)
    count = len(scope.entities)
    mask = np.zeros(count, np.bool_)
    mask[place] = True
    row_of = np.full(count, -1, np.int64)
    row_of[place] = np.arange(len(part))
    rows = pa.array(row_of, mask=row_of < 0)
    first = {name: part[name][0].as_py() for name in (*_CONTENT, "binding")}
    valued = first["value"] is not None
    binding = Binding(
        iri=first["binding"],
        symbol=symbol,
        element=first["element"],
        value=float(numbers(part["value"])[0]) if valued else None,
        unit=first["unit"],
        path=first["path"],
        query=first["query"],
        quantities=tuple((first["quantity"] or "").split()),
        selection=(first["selection"] or "latest").rpartition("/")[2],
        maximum_age_days=_days(first["maximumAge"], first["timeUnit"]),
    )
    names = part["binding"].combine_chunks().take(rows)
    return Assigned(binding, mask, names, part["value"].combine_chunks().take(rows) if valued else None)


def _days(age: str | None, unit: str | None) -> float | None:
    """Return a maximum age in days; 0 where its unit is none, so that nothing passes for fresh."""
    if age is None:
        return None
    try:
        return float(age) * conversion(unit or "?", "d")[0]
    except TwinError:
        return 0.0
