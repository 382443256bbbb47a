"""A model as the function that estimation needs: parameters of patients in, predictions of their observations out.

>>> from pepr_kg.twin import load_model
>>> from pepr_kg.twin.estimation.observations import Observation
>>> data = Observations.from_rows([Observation("p", 1.0, "conc", 5.0), Observation("p", 24.0, "conc", 1.0)])
>>> predict = predictor(load_model("theophylline"), data, ["b_lCl", "b_lka"], inputs={"dose_mg_per_kg": 4.0})
>>> predict(np.zeros((2, 1)), np.array([0])).ravel().round(3).tolist()
[6.549, 1.169]
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.cohort import Cohort, Given, read_cohort, require_values
from pepr_kg.twin.compiler.analysis import form
from pepr_kg.twin.errors import BadTimes, BadValue, EmptyCohort, MissingValue, UnknownSymbol, UnknownVariable, suggest
from pepr_kg.twin.estimation.closed_form import ClosedForm
from pepr_kg.twin.estimation.observations import Indices, Observations
from pepr_kg.twin.expression import Array, Value
from pepr_kg.twin.interventions import Dose, broken_rules, check_doses
from pepr_kg.twin.model import Model
from pepr_kg.twin.solvers.run import Control
from pepr_kg.twin.solvers.schedule import ADD
from pepr_kg.twin.solvers.solve import Entry, Task, solve
from pepr_kg.twin.status import Status

Flags = npt.NDArray[np.bool_]
_MAX_STEPS = 100_000


def predictor(
    model: Model,
    observations: Observations,
    symbols: Sequence[str],
    *,
    inputs: Mapping[str, Given] | Cohort | None = None,
    doses: Iterable[Dose] = (),
    start: float = 0.0,
    rtol: float = 1e-8,
    method: str | None = None,
) -> "Predictor":
    """Return what `model` says about the slots of `observations` for the parameters `symbols`.

    `inputs` are the other values: by symbol, one for all or one for each of the observations' patients in their
    order, or a `Cohort` that has these patients in any order; `doses` amounts given to single patients. Times are in
    the model's unit, from `start` on; the variables observed are symbols of the model, or names of its variables.
    Models of assignments are computed directly, with exact derivatives; all others by the solver that `evaluate` would
    choose, each lane to the tolerance `rtol`, or by `method`.

    Raises `UnknownVariable`, `UnknownSymbol`, `BadTimes`, and for inputs and doses what `read_cohort` and `evaluate`
    raise.
    """
    cohort = _read_inputs(model, observations, tuple(symbols), inputs)
    wanted = tuple(symbol_of(model, variable) for variable in observations.variables)
    if observations.present.any() and (early := float(observations.time[observations.present].min())) < start:
        raise BadTimes(model=model.name, detail={
            "en": f"an observation at {early:g} lies before the start, {start:g}",
            "fr": f"une observation à {early:g} précède le début, {start:g}"})  # fmt: skip
    given = tuple(doses)
    check_doses(model, given, observations.patients, start)
    valid = broken_rules(model, cohort.values, len(observations.patients)) < 0
    own = {*model.constants, *model.discretes}
    direct = method in (None, "closed form") and not given and form(model) == "closed form" and own.issuperset(symbols)
    if direct:
        run: ClosedForm | _Solved = ClosedForm(model, observations, wanted, symbols, cohort.values, start)
    else:
        run = _Solved.of(model, observations, wanted, tuple(symbols), cohort.values, given, start, rtol, method)
    return Predictor(model, tuple(symbols), cohort, valid, run)


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A `posterior.Predict` made from a model: parameters `symbols`, the other inputs in `cohort`.

    `valid` (patients,) says for whom the model is made; the others have no prediction.
    """

    model: Model
    symbols: tuple[str, ...]
    cohort: Cohort
    valid: Flags
    run: "ClosedForm | _Solved"

    def __call__(self, theta: Array, patient: Indices, /) -> Array:
        """Return the predictions (slots, lanes); see `posterior.Predict`."""
        found = self.run(theta, patient)
        return found if self.valid.all() else np.where(self.valid[patient], found, np.nan)

    @property
    def jacobian(self) -> Callable[[Array, Indices], tuple[Array, Array]] | None:
        """Return the predictions with their exact derivatives (a `posterior.Jacobian`); None where a solver runs."""
        derive = self.run.jacobian
        if derive is None or self.valid.all():
            return derive

        def masked(theta: Array, patient: Indices) -> tuple[Array, Array]:
            found, slopes = derive(theta, patient)
            return np.where(self.valid[patient], found, np.nan), slopes

        return masked


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    """Predictions by a solver: `task` holds what all calls share, `times` (visits, patients) when a patient is
    observed, `place` (slots, patients) at which of its visits, `doses` by patient.
    """

    task: Task
    symbols: tuple[str, ...]
    data: Observations
    times: Array
    place: Indices
    visits: Indices
    doses: tuple[tuple[Dose, ...], ...]
    jacobian: None = None

    @classmethod
    def of(
        cls, model: Model, data: Observations, wanted: tuple[str, ...], symbols: tuple[str, ...],
        values: Mapping[str, Value], doses: Sequence[Dose], start: float, rtol: float, method: str | None,
    ) -> "_Solved":  # fmt: skip
        later = np.ones_like(data.present)
        later[1:] = data.time[1:] != data.time[:-1]
        place = np.cumsum(later & data.present, axis=0) - 1
        visits = place.max(axis=0, initial=-1) + 1
        times = np.full((max(1, int(visits.max(initial=0))), len(data.patients)), np.inf)
        slot, lane = np.nonzero(data.present)
        times[place[slot, lane], lane] = data.time[slot, lane]
        times[0] = np.where(visits > 0, times[0], start)
        by_patient: dict[str, list[Dose]] = {key: [] for key in data.patients}
        for dose in doses:
            by_patient[dose.patient].append(dose)
        task = Task(
            model, values, len(data.patients), times, start, wanted, Control(rtol=rtol, max_steps=_MAX_STEPS), method,
            (), 0, np.zeros(len(data.patients), dtype=np.intp), True, False,
        )  # fmt: skip
        plans = tuple(tuple(by_patient[key]) for key in data.patients) if doses else ()
        return cls(task, symbols, data, times, np.maximum(place, 0), visits, plans)

    def __call__(self, theta: Array, patient: Indices, /) -> Array:
        """Return the predictions (slots, lanes) for parameters (p, lanes)."""
        lanes = patient.size
        deep = max(1, int(self.visits[patient].max(initial=0)))
        values: dict[str, Value] = {
            symbol: value[patient] if isinstance(value, np.ndarray) else value
            for symbol, value in self.task.values.items()
        }
        values.update(zip(self.symbols, theta, strict=True))
        task = replace(
            self.task, values=values, lanes=lanes, grid=self.times[:deep].take(patient, axis=1),
            entries=self._entries(patient), keys=np.zeros(lanes, dtype=np.intp),
        )  # fmt: skip
        part = solve(task)
        place = np.minimum(self.place.take(patient, axis=1), deep - 1)
        found: Array = part.data[self.data.variable.take(patient, axis=1), place, np.arange(lanes)]
        return np.where(part.status == Status.DONE, found, np.nan)

    def _entries(self, patient: Indices) -> tuple[Entry, ...]:
        if not self.doses:
            return ()
        order = np.argsort(patient, kind="stable")
        owners, firsts = np.unique(patient[order], return_index=True)
        return tuple(
            Entry(dose.time, dose.symbol, ADD, dose.amount, lanes)
            for owner, lanes in zip(owners.tolist(), np.split(order, firsts[1:]), strict=True)
            for dose in self.doses[owner]
        )


def symbol_of(model: Model, variable: str) -> str:
    """Return the symbol that an observed variable is called by, or named. Raises `UnknownVariable`."""
    base, _, what = variable.partition(".")
    if base in model.symbols and (not what or (what in ("amount", "concentration"))):
        return variable
    named = [item.symbol for item in model.variables if item.name == variable]
    if len(named) != 1:
        known = suggest(variable, [*model.symbols, *(item.name for item in model.variables if item.name)])
        where = {"en": f"model {model.name}", "fr": f"modèle {model.name}"}
        raise UnknownVariable(symbol=variable, where=where, known=known)
    return named[0]


def _read_inputs(
    model: Model, data: Observations, symbols: tuple[str, ...], inputs: Mapping[str, Given] | Cohort | None
) -> Cohort:
    """Return the inputs of the observations' patients, checked, without the parameters."""
    if not data.patients:
        raise EmptyCohort()
    for symbol in symbols:
        if symbol not in model.symbols:
            raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
        if model.variable(symbol).role == "derived":
            raise BadValue(model=model.name, symbol=symbol, patient="*", value="estimated", detail={
                "en": "the model computes it; estimate what it is computed from",
                "fr": "le modèle le calcule ; estimez ce dont il dépend"})  # fmt: skip
    if isinstance(inputs, Cohort):
        cohort = _arrange(model, inputs, data.patients)
    else:
        cohort = read_cohort(model, inputs or {}, patients=data.patients, strict=False)
    for symbol in symbols:
        if symbol in cohort.values:
            raise BadValue(model=model.name, symbol=symbol, patient="*", value="given", detail={
                "en": "it is to be estimated; leave it out of the inputs, or out of the priors",
                "fr": "il est à estimer ; retirez-le des entrées, ou des lois a priori"})  # fmt: skip
    require_values(model, {**cohort.values, **dict.fromkeys(symbols, 0.0)}, data.patients)
    return cohort


def _arrange(model: Model, cohort: Cohort, patients: tuple[str, ...]) -> Cohort:
    """Return the cohort with these patients, in this order."""
    places = {key: at for at, key in enumerate(cohort.patients)}
    for key in patients:
        if key not in places:
            raise MissingValue(model=model.name, symbol=next(iter(cohort.values), "-"), patient=key)
    order = np.array([places[key] for key in patients], dtype=np.intp)
    return Cohort(
        patients, {name: item[order] if isinstance(item, np.ndarray) else item for name, item in cohort.values.items()}
    )
