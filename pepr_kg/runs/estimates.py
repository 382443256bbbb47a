"""What a fit found of each twin: one estimate for each parameter that was found from observations.

The value is the parameter at the mode of the posterior, in its own unit; the interval is that of the normal
distribution around the mode on the transformed scale, brought back to the parameter's own (Laplace's approximation);
the standard deviation stays on the transformed scale, as `pepr:Estimate` has it. An estimate is of a twin: an entity
without one that uses the model has predictions alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.columns import select_columns
from pepr_kg.models.registry import Registered
from pepr_kg.namespaces import ID, PEPR, PREFIXES
from pepr_kg.resources import read_query
from pepr_kg.runs.preparation import Prepared
from pepr_kg.runs.storage import estimate_columns
from pepr_kg.runs.writing import Column, Document, as_decimals, as_nodes, decimal, joined, node, numbered, text
from pepr_kg.store import NamedNode, View

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_A: Final = PREFIXES["rdf"] + "type"
_BY: Final = PREFIXES["prov"] + "wasGeneratedBy"
_SMALLEST: Final = 1e-12  # a deviation of which the graph would keep no digit worth the name


def twins_of(view: View, prepared: Prepared) -> pa.Array:
    """Return the twin (IRI) of each entity that uses the model, null where there is none; of several, the first.

    Where nothing is fitted nobody is looked for, and all are null.
    """
    entities = prepared.inputs.entities
    if not prepared.plan.estimated:
        return pa.nulls(len(entities), pa.string())
    bound = {"model": NamedNode(prepared.found.iri)}
    table = select_columns(view, read_query("runs/twins-using"), bound)
    first = pc.index_in(entities, value_set=table["entity"].combine_chunks())
    return table["twin"].combine_chunks().take(first)


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Writes the estimates of the run named `run` to a document; `twins` are those of the cohort, `specimen` the place
    in it from which on estimates are not validated one by one.
    """

    document: Document
    prepared: Prepared
    run: str
    twins: pa.Array
    specimen: int

    def write(self, part: pa.Table, places: Places) -> int:
        """Write what a part says of its patients, whose places in the cohort are `places`; return how many estimates
        it made.
        """
        plan, found = self.prepared.plan, self.prepared.found
        if plan.priors is None or not isinstance(found, Registered):
            return 0
        count, scales = 0, plan.priors.scales
        steps = len(plan.scenarios) * len(plan.grid)
        for number, symbol in enumerate(plan.estimated):
            iri, unit = found.elements.get(symbol, ""), plan.model.variable(symbol).unit
            if "/parameter/" not in iri or unit is None:
                continue  # an initial value, say: the graph has no word for an estimate of it
            mode, deviation = (
                np.asarray(part[name].combine_chunks().fill_null(np.nan), np.float64)[::steps]
                for name in estimate_columns(symbol)
            )
            reach = NormalDist().inv_cdf((1.0 + self.prepared.request.level) / 2.0) * deviation
            figures = [scales[number].natural(each) for each in (mode, mode - reach, mode + reach)]
            sound = np.all(np.isfinite(figures), axis=0) & (deviation > _SMALLEST)
            sound &= np.asarray(pc.is_valid(self.twins.take(pa.array(places))), np.bool_)
            rows = np.flatnonzero(sound)
            self._write(number, (iri, unit), places[rows], [each[rows] for each in (*figures, deviation)])
            count += len(rows)
        return count

    def _write(self, number: int, element: tuple[str, str], places: Places, figures: Sequence[Array]) -> None:
        """Write the estimates of one parameter; `figures` are value, lower and upper limit, and deviation."""
        iri, unit = element
        name = joined(f"{self.run}-", numbered(places), f"-estimate-{number}")
        uncertainty, cut = joined(f"<{ID}uncertainty/", name, ">"), int(np.searchsorted(places, self.specimen))
        pairs: list[tuple[str, Column]] = [
            (_A, node(f"{PEPR}Estimate")),
            (f"{PEPR}estimateOf", node(iri)),
            (f"{PEPR}forTwin", as_nodes(self.twins.take(pa.array(places)))),
            (f"{PEPR}numericValue", as_decimals(figures[0])),
            (f"{PEPR}unitCode", text(unit)),
            (f"{PEPR}standardDeviation", as_decimals(figures[3])),
            (f"{PEPR}hasUncertainty", uncertainty),
            (_BY, node(f"{ID}evaluation/{self.run}")),
        ]
        self.document.say_all(joined(f"<{ID}estimate/", name, ">"), pairs, len(places), cut)
        bounds: list[tuple[str, Column]] = [
            (_A, node(f"{PEPR}Uncertainty")),
            (f"{PEPR}hasUncertaintySource", node(f"{ID}uncertainty-source/parameter")),
            (f"{PEPR}intervalLower", as_decimals(figures[1])),
            (f"{PEPR}intervalUpper", as_decimals(figures[2])),
            (f"{PEPR}intervalLevel", decimal(round(self.prepared.request.level, 6))),
        ]
        self.document.say_all(uncertainty, bounds, len(places), cut)
