"""From a question to what is computed: the model, what its bindings give, the scenarios, the times, the key.

Nothing is computed here and nothing is written. What the question itself gets wrong is refused, before anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.columns import Moments
from pepr_kg.models.registry import Coupled, Registered, find_model
from pepr_kg.models.scenarios import is_still
from pepr_kg.namespaces import expand
from pepr_kg.runs.ages import ages, instant
from pepr_kg.runs.binding import resolve
from pepr_kg.runs.blocks import Pairing, Plan
from pepr_kg.runs.errors import BadRequestField, NotAnswerable, UnitUnknown
from pepr_kg.runs.inputs import Given, Inputs, gather
from pepr_kg.runs.key import FORMAT, Key, exact, scenario_document, software
from pepr_kg.runs.request import Request
from pepr_kg.runs.scenarios import Labels, Pair, Planned, plan_scenarios
from pepr_kg.runs.storage import Layout
from pepr_kg.settings import Settings
from pepr_kg.store import Literal, NamedNode, View
from pepr_kg.twin import Model, Scenario
from pepr_kg.twin.errors import UnknownSymbol, suggest
from pepr_kg.twin.interventions import number_of
from pepr_kg.twin.units import convert

Array = npt.NDArray[np.float64]

_LABEL: Final = NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
_NO_UNIT: Final = "d"  # of a time zero in a model that does not say its unit


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A question, ready to be computed.

    starts: the model's time at the start of the evaluation (entities,), None where that is zero; begins: the date of
    the start; shown: the places in the grid whose predictions stand in the graph, the horizon last.
    """

    request: Request
    found: Registered | Coupled
    given: tuple[Given, ...]
    inputs: Inputs
    planned: tuple[Planned, ...]
    plan: Plan
    layout: Layout
    starts: Array | None
    begins: Moments
    shown: tuple[int, ...]
    key: Key
    cohort: str | None

    @property
    def time_unit(self) -> str:
        """Return the UCUM code of the model's time."""
        return self.layout.time_unit


def prepare(view: View, folder: Path, request: Request, settings: Settings | None = None) -> Prepared:
    """Return a question with all that its answer follows from; `folder` is the dataset's.

    Raises what `find_model`, `resolve` and `plan_scenarios` raise, `NotAnswerable`, `UnitUnknown`, `UnknownSymbol`,
    and `BadRequestField` for a time beyond the horizon.
    """
    found = find_model(view, request.model, folder)
    model = found.slow.model if isinstance(found, Coupled) else found.model
    symbols = Pair(found.name, found.fast.model, model) if isinstance(found, Coupled) else model
    planned = plan_scenarios(request.scenarios, symbols, found.scenarios, _labels(view, found.scenarios))
    plans = tuple(item.scenario for item in planned)
    _check_scenarios(found, symbols, plans)
    outputs = _outputs(found, model, request)
    grid, shown = _grid(found, model, request, still=isinstance(found, Registered) and is_still(model, plans))
    given = _resolve(view, found, request, settings)
    fitted = _fitted(found, given, request)
    inputs = gather(given, fitted=fitted)
    registered = found.slow if isinstance(found, Coupled) else found
    plan = Plan(
        model, plans, outputs, grid, request.samples, request.seed, request.rtol, request.levels,
        registered.priors if isinstance(found, Registered) else None, registered.residuals if fitted else (), fitted,
        _pairing(found),
    )  # fmt: skip
    as_of, starts = instant(request.moment), None
    begins = np.full(len(inputs.entities), as_of)
    if found.time_origin == "birth":
        starts = ages(inputs.origin, as_of, model.time_unit or _NO_UNIT, hours=True)
    elif found.time_origin == "first-dose":
        begins = inputs.origin
    cohort = None if request.cohort is None else _cohort(request.cohort)
    key = _key(found, inputs, plan, request, shown)
    layout = Layout(
        outputs, tuple(model.variable(name).unit or "" for name in outputs),
        tuple(registered.elements[name] for name in outputs), request.statistics, tuple(plan.name for plan in plans),
        model.time_unit or _NO_UNIT,
        {
            "model": found.iri, "model_digest": found.digest, "meaning_digest": found.meaning_digest,
            "key": key.digest, "software": software(), "numpy": np.__version__,
        },
    )  # fmt: skip
    return Prepared(
        request, found, given, inputs, planned, plan, layout, starts, begins, shown, key, cohort
    )  # fmt: skip


def _cohort(name: str) -> str:
    return expand(name if ":" in name else f"cohort:{name}")


def _labels(view: View, scenarios: Mapping[str, Scenario]) -> dict[str, Labels]:
    """Return the labels of declared scenarios by IRI and language."""
    found: dict[str, Labels] = {}
    for iri in scenarios:
        texts = [quad.object for quad in view.quads(NamedNode(iri), _LABEL)]
        found[iri] = {text.language: text.value for text in texts if isinstance(text, Literal) and text.language}
    return found


def _check_scenarios(found: Registered | Coupled, symbols: Model | Pair, plans: Sequence[Scenario]) -> None:
    """Raise what is wrong with a scenario whatever the patient: `BadScenario`, `UnknownSymbol`, `NotAnswerable`."""
    for plan in plans:
        for item in plan.interventions:
            model, name = symbols.side(item.symbol) if isinstance(symbols, Pair) else (symbols, item.symbol)
            number_of(model, replace(item, symbol=name))
            if item.at is not None and found.time_origin == "birth":
                raise NotAnswerable(model=found.name, detail={
                    "en": f"its time is the age of each, so that nothing changes at one time for all ({item}); leave "
                          "the time out",
                    "fr": f"son temps est l’âge de chacun : rien ne change au même instant pour tous ({item}) ; "
                          "retirez l’instant"})  # fmt: skip


def _outputs(found: Registered | Coupled, model: Model, request: Request) -> tuple[str, ...]:
    registered = found.slow if isinstance(found, Coupled) else found
    names = tuple(dict.fromkeys(request.outputs or model.outputs))
    for name in names:
        if name not in model.symbols:
            raise UnknownSymbol(model=found.name, symbol=name, known=suggest(name, model.symbols))
    bare = [name for name in names if model.variable(name).unit is None]
    if bare:
        raise UnitUnknown(model=found.name, symbols=", ".join(bare))
    strange = [name for name in names if "/variable/" not in registered.elements.get(name, "")]
    if strange or not names:
        raise NotAnswerable(model=found.name, detail={
            "en": f"{', '.join(strange) or 'it'} is no variable that it computes; ask for some of: "
                  f"{', '.join(model.outputs)}",
            "fr": f"{', '.join(strange) or 'il'} n’est pas une variable qu’il calcule ; demandez parmi : "
                  f"{', '.join(model.outputs)}"})  # fmt: skip
    return names


def _grid(
    found: Registered | Coupled, model: Model, request: Request, *, still: bool
) -> tuple[Array, tuple[int, ...]]:  # fmt: skip
    """Return the times from the start on, in the model's unit, and which of them the graph shows.

    Of a model that is `still`, the horizon alone.
    """

    def own(value: float) -> float:
        if request.horizon_unit is None or value == 0.0:
            return value
        if model.time_unit is None:
            raise UnitUnknown(model=found.name, symbols="time")
        return convert(value, request.horizon_unit, model.time_unit, symbol="horizon")

    horizon = found.horizon if request.horizon is None else own(request.horizon)
    if horizon is None and (model.states or isinstance(found, Coupled)):
        raise NotAnswerable(model=found.name, detail={
            "en": "it has no usual horizon; say until when it is to be evaluated",
            "fr": "il n’a pas d’horizon habituel ; dites jusqu’à quand l’évaluer"})  # fmt: skip
    horizon = horizon or 0.0
    if horizon > 0.0 and model.time_unit is None:
        raise UnitUnknown(model=found.name, symbols="time")
    further = [own(value) for value in request.at]
    for value in further:
        if value > horizon:
            raise BadRequestField(field="at", value=f"{value:g}", detail={
                "en": f"it lies beyond the horizon, {horizon:g} {model.time_unit or ''}",
                "fr": f"il dépasse l’horizon, {horizon:g} {model.time_unit or ''}"})  # fmt: skip
    between = np.linspace(0.0, horizon, request.points if horizon and not still else 0)
    grid = np.unique(np.r_[between, further, horizon])
    shown = sorted({int(np.searchsorted(grid, value)) for value in (*further, horizon)})
    return grid, tuple(shown)


# ---- Patients --------------------------------------------------------------------------------------------------------


def _resolve(
    view: View, found: Registered | Coupled, request: Request, settings: Settings | None
) -> tuple[Given, ...]:  # fmt: skip
    fit = isinstance(found, Registered) and _may_fit(found, request)
    parts = [("", found)] if isinstance(found, Registered) else [("fast.", found.fast), ("slow.", found.slow)]
    if isinstance(found, Coupled):
        if request.samples > 1 or request.fit:
            raise NotAnswerable(model=found.name, detail={
                "en": "a coupled model is evaluated once for each patient: ask for one sample, and no fit",
                "fr": "un modèle composé est évalué une fois par patient : demandez un seul tirage, sans ajustement",
            })  # fmt: skip
        parts = [(prefix, _without_links(found, prefix, part)) for prefix, part in parts]
    given = []
    for prefix, part in parts:
        resolved = resolve(
            view, part, cohort=request.cohort, entities=request.entities, as_of=request.moment, fit=fit,
            settings=settings,
        )  # fmt: skip
        if prefix and resolved.doses:
            raise NotAnswerable(model=found.name, detail={
                "en": "a coupled model takes no doses", "fr": "un modèle composé ne prend pas de doses"})  # fmt: skip
        given.append(Given(part, resolved, prefix))
    return tuple(given)


def _without_links(found: Coupled, prefix: str, part: Registered) -> Registered:
    """Return a part of a coupled model without what the other part hands to it."""
    source = "slow" if prefix == "fast." else "fast"
    handed = {link.target for link in found.links if link.source == source and link.mode == "set"}
    return replace(
        part,
        bindings=tuple(item for item in part.bindings if item.symbol not in handed),
        required=tuple(symbol for symbol in part.required if symbol not in handed),
    )


def _may_fit(found: Registered, request: Request) -> bool:
    """Return whether observations are looked for: where nobody forbids it, and they can tell something."""
    known = found.priors is not None and bool(found.residuals)
    if request.fit and not known:
        raise NotAnswerable(model=found.name, detail={
            "en": "nothing says how its parameters vary or how it is measured, so that there is nothing to fit",
            "fr": "rien ne dit comment ses paramètres varient ni comment on le mesure : il n’y a rien à ajuster",
        })  # fmt: skip
    # Where time zero is the evaluation itself, all that was observed lies before it.
    return known and (found.time_origin != "evaluation" if request.fit is None else request.fit)


def _fitted(found: Registered | Coupled, given: Sequence[Given], request: Request) -> bool:
    """Return whether individual parameters are found from observations. Raises `NotAnswerable`."""
    seen = given[0].resolved.observations
    fitted = seen is not None and bool(seen.present.any()) and isinstance(found, Registered)
    if request.fit and not fitted:
        raise NotAnswerable(model=found.name, detail={
            "en": "none of its outputs was observed from its time zero on, so that there is nothing to fit to",
            "fr": "aucune de ses sorties n’a été observée à partir de son temps zéro : il n’y a rien à quoi l’ajuster",
        })  # fmt: skip
    if request.samples > 1 and isinstance(found, Registered) and found.priors is None and len(found.model.events) < 2:
        raise NotAnswerable(model=found.name, detail={
            "en": "nothing says how its parameters vary, so that all draws would be equal; ask for one sample",
            "fr": "rien ne dit comment ses paramètres varient, tous les tirages seraient égaux ; demandez un tirage",
        })  # fmt: skip
    return fitted


def _pairing(found: Registered | Coupled) -> Pairing | None:
    if isinstance(found, Registered):
        return None
    if found.time_origin != "evaluation":
        raise NotAnswerable(model=found.name, detail={
            "en": "a coupled model counts its time from the evaluation on",
            "fr": "un modèle composé compte son temps à partir de l’évaluation"})  # fmt: skip
    return Pairing(found.fast.model, found.links, found.scheme, found.interval, found.conserved)


# ---- The key ---------------------------------------------------------------------------------------------------------


def _key(
    found: Registered | Coupled, inputs: Inputs, plan: Plan, request: Request, shown: Sequence[int]
) -> Key:  # fmt: skip
    return Key.of({
        "format": FORMAT,
        "model": found.digest,
        "meaning": found.meaning_digest,
        "inputs": inputs.digest(),
        "scenarios": [scenario_document(scenario) for scenario in plan.scenarios],
        "outputs": list(plan.outputs),
        "grid": [exact(value) for value in plan.grid.tolist()],
        "shown": list(shown),
        "samples": plan.samples,
        "seed": plan.seed,
        "levels": [exact(level) for level in plan.levels],
        "rtol": exact(plan.rtol),
        "fitted": plan.fitted,
        "as_of": request.moment.isoformat(),
    })  # fmt: skip
