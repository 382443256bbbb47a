"""One block of patients: inputs in, summaries over the draws out. What a process or a machine of a cluster does.

Nothing here knows the graph. A block holds as many patients as fill the cache with lanes (patient, scenario, draw), so
that what is in memory does not grow with the cohort. Which blocks there are follows from the question alone: every
executor gives the same bits.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from pepr_kg.twin import Conserved, Dose, Fit, Leaping, Link, Model, Observations, Priors, Relaxed, Residual, Scenario
from pepr_kg.twin.builtin import default_values
from pepr_kg.twin.cohort import Cohort
from pepr_kg.twin.coupling.couple import couple
from pepr_kg.twin.errors import NotSteady
from pepr_kg.twin.estimation.fitting import fit
from pepr_kg.twin.estimation.variation import vary
from pepr_kg.twin.evaluate import evaluate
from pepr_kg.twin.interventions import number_of
from pepr_kg.twin.result import Result
from pepr_kg.twin.scenario import Intervention
from pepr_kg.twin.status import Status

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LANES: Final = 16_384  # of a block: more leave the cache
_FEWEST: Final = 64  # patients of a block, however many draws each has: the evaluator cuts their lanes by itself
_CELLS: Final = 16_000_000  # numbers of a block at most, 128 MB
_COUPLED_LANES: Final = 2_048
OUT_OF_BOUNDS: Final = -2  # the rule of a scenario that takes a patient where no patient can be


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """How two models are coupled; the plan's `model` is the slow one."""

    fast: Model
    links: tuple[Link, ...]
    scheme: Leaping | Relaxed
    interval: float
    conserved: tuple[Conserved, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What all blocks of a run share.

    grid: times (times,) from the start of the evaluation on, in the model's unit; levels: quantiles that are kept,
    none of a single sample; fitted: whether the individual parameters are found from observations.
    """

    model: Model
    scenarios: tuple[Scenario, ...]
    outputs: tuple[str, ...]
    grid: Array
    samples: int
    seed: int
    rtol: float
    levels: tuple[float, ...] = ()
    priors: Priors | None = None
    residuals: tuple[Residual, ...] = ()
    fitted: bool = False
    pairing: Pairing | None = None

    @property
    def estimated(self) -> tuple[str, ...]:
        """Return the symbols of the parameters that are found from observations, where some are."""
        return self.priors.symbols if self.fitted and self.priors else ()

    @property
    def patients_of_block(self) -> int:
        """Return how many patients a block holds at most."""
        lanes = len(self.scenarios) * self.samples
        usual = max(1, _COUPLED_LANES // lanes) if self.pairing else max(LANES // lanes, _FEWEST)
        return max(1, min(usual, _CELLS // (lanes * len(self.grid) * len(self.outputs))))

    def split(self, patients: int) -> list[tuple[int, int]]:
        """Return the first and last place (not included) of each block, all of about one size.

        >>> from pepr_kg.twin import load_model
        >>> plan = Plan(load_model("pk2-oral"), (Scenario.base(),), ("conc_central",), np.zeros(2), 1, 0, 1e-6)
        >>> plan.split(20_000)
        [(0, 10000), (10000, 20000)]
        """
        count = -(-patients // self.patients_of_block)
        edges = [patients * at // count for at in range(count + 1)] if count else [0]
        return list(pairwise(edges))


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some patients: `values` by symbol (patients,), NaN where the model's own value holds; `starts` the model's time
    at the start of the evaluation (patients,), None for zero; `first` the place of the first in the cohort.
    """

    number: int
    first: int
    patients: tuple[str, ...]
    values: Mapping[str, Array]
    starts: Array | None = None
    doses: tuple[Dose, ...] = ()
    observations: Observations | None = None

    def pick(self, places: npt.NDArray[np.intp]) -> "Block":
        """Return the block with these of its patients."""
        if places.size == len(self.patients):
            return self
        kept = tuple(self.patients[at] for at in places)
        owners = set(kept) if self.doses else set()
        return replace(
            self, patients=kept, values={name: value[places] for name, value in self.values.items()},
            starts=None if self.starts is None else self.starts[places],
            doses=tuple(dose for dose in self.doses if dose.patient in owners),
            observations=None if self.observations is None else self.observations.select(places),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """What a block gave: `data` (statistics, outputs, patients, scenarios, times) in the outputs' units, and for each
    (patients, scenarios) the `status` (`twin.Status`), the `rule` of the model's validity that is broken (-1: none),
    the time until which there are values, `ended`, and the number of draws that count. `estimates` (2, parameters,
    patients) are the mode and the posterior standard deviation of what the plan has `estimated`, on the transformed
    scale; NaN where a patient gives the value or has no fit.
    """

    number: int
    data: Array
    status: npt.NDArray[np.int8]
    rule: npt.NDArray[np.int16]
    ended: Array
    draws: npt.NDArray[np.int32]
    methods: tuple[str, ...]
    estimates: Array
    seconds: float = field(default=0.0, compare=False)


def compute(plan: Plan, block: Block) -> Computed:
    """Return the summaries of a block. Raises what `twin.evaluate`, `twin.fit` and `twin.couple` raise."""
    begun = time.perf_counter()
    shape = (len(block.patients), len(plan.scenarios))
    found = _empty(plan, block, shape)
    methods: dict[str, None] = {}
    block = _filled(plan, block)
    allowed = _allowed(plan, block)
    found.status[~allowed], found.rule[~allowed], found.ended[~allowed] = Status.NOT_VALID, OUT_OF_BOUNDS, 0.0
    for places, given, plans in _groups(plan, block, allowed):
        part = block.pick(places)
        part = replace(part, values={symbol: part.values[symbol] for symbol in given})
        own = replace(plan, scenarios=tuple(plan.scenarios[at] for at in plans))
        done = _couple(own, part) if plan.pairing else _evaluate(own, part)
        methods.update(dict.fromkeys(done.methods))
        if done.status.shape == shape:  # the usual case: all patients are alike
            found = done
            continue
        where = np.ix_(places, plans)
        found.data[:, :, where[0], where[1]] = done.data
        for name in ("status", "rule", "ended", "draws"):
            getattr(found, name)[where] = getattr(done, name)
        found.estimates[:, :, places] = done.estimates
    return replace(found, methods=tuple(methods), seconds=time.perf_counter() - begun)


def _empty(plan: Plan, block: Block, shape: tuple[int, int]) -> Computed:
    statistics = 1 + len(plan.levels)
    return Computed(
        block.number, np.full((statistics, len(plan.outputs), *shape, len(plan.grid)), np.nan),
        np.zeros(shape, np.int8), np.full(shape, -1, np.int16), np.full(shape, np.nan), np.zeros(shape, np.int32), (),
        _no_estimates(plan, block),
    )  # fmt: skip


def _no_estimates(plan: Plan, block: Block) -> Array:
    return np.full((2, len(plan.estimated), len(block.patients)), np.nan)


# ---- Patients who are evaluated together -----------------------------------------------------------------------------


def _varied(plan: Plan) -> frozenset[str]:
    """Return the symbols of which it matters whether a patient gives them: they vary otherwise."""
    return frozenset(plan.priors.symbols) if plan.priors and (plan.fitted or plan.samples > 1) else frozenset()


def _filled(plan: Plan, block: Block) -> Block:
    """Return the block with the model's plain values where a patient gives none, but for what varies."""
    varied, values = _varied(plan), dict(block.values)
    for symbol, given in block.values.items():
        usual = _usual(plan, symbol)
        if symbol not in varied and math.isfinite(usual):
            values[symbol] = np.where(np.isnan(given), usual, given)
    return replace(block, values=values)


def _usual(plan: Plan, symbol: str) -> float:
    """Return the plain value that the file gives a symbol; NaN where it gives none."""
    model, name = _owner(plan, symbol)
    return default_values(model).get(model.variable(name).core or name, math.nan)


def _owner(plan: Plan, symbol: str) -> tuple[Model, str]:
    if plan.pairing is None:
        return plan.model, symbol
    side, dot, rest = symbol.partition(".")
    if dot and side in ("fast", "slow"):
        return (plan.pairing.fast if side == "fast" else plan.model), rest
    return (plan.pairing.fast if symbol in plan.pairing.fast.symbols else plan.model), symbol


def _allowed(plan: Plan, block: Block) -> Flags:
    """Return under which scenarios no value of a patient (patients, scenarios) leaves its bounds.

    What the model computes at the start is not looked at here: the evaluator does so, and refuses the scenario.
    """
    allowed = np.ones((len(block.patients), len(plan.scenarios)), np.bool_)
    for at, scenario in enumerate(plan.scenarios):
        now: dict[str, Array] = {}
        for item in sorted(scenario.interventions, key=lambda item: -math.inf if item.at is None else item.at):
            if item.action == "dose":
                continue
            model, name = _owner(plan, item.symbol)
            old = now.get(item.symbol, block.values.get(item.symbol, np.full(len(block.patients), np.nan)))
            old = np.where(np.isnan(old), _usual(plan, item.symbol), old)
            now[item.symbol] = _changed(model, name, item, old)
            low, high = model.variable(name).bounds
            new = now[item.symbol]
            allowed[:, at] &= ~((new < low) | (new > high) | ((new == low) & model.variable(name).open_below))
    return allowed


def _changed(model: Model, name: str, item: Intervention, old: Array) -> Array:
    number = number_of(model, replace(item, symbol=name))
    return {"add": old + number, "scale": old * number}.get(item.action, np.full(old.shape, number))


def _groups(
    plan: Plan, block: Block, allowed: Flags
) -> Iterator[tuple[npt.NDArray[np.intp], tuple[str, ...], npt.NDArray[np.intp]]]:  # fmt: skip
    """Yield patients (places) who give the same symbols and may take the same scenarios, with both."""
    symbols, count = tuple(block.values), len(block.patients)
    given = np.array([~np.isnan(value) for value in block.values.values()], np.bool_).reshape(len(symbols), count)
    table = np.concatenate([given.T, allowed], axis=1)
    kinds, which = np.unique(table, axis=0, return_inverse=True)
    for at, kind in enumerate(kinds):
        plans = np.flatnonzero(kind[len(symbols) :])
        if plans.size:
            names = tuple(symbol for symbol, there in zip(symbols, kind[: len(symbols)], strict=True) if there)
            yield np.flatnonzero(which.reshape(-1) == at), names, plans


# ---- One model -------------------------------------------------------------------------------------------------------


def _evaluate(plan: Plan, block: Block) -> Computed:
    times = plan.grid if block.starts is None else block.starts[:, None] + plan.grid
    given = Cohort(block.patients, block.values)
    people: Cohort | Fit = given
    draws: Mapping[str, Array] | None = None
    lost = np.zeros(len(block.patients), np.bool_)
    free, centre = _conditioned(plan, block)
    if free is not None and plan.fitted and block.observations is not None:
        people = fit(
            plan.model, block.observations, inputs=given, doses=block.doses, priors=free, residuals=plan.residuals,
            means=centre,
        )  # fmt: skip
        lost = people.status != int(Status.DONE)
    elif plan.samples > 1:
        draws = {}
        if free is not None:
            middle = dict(zip(free.symbols, free.natural(centre), strict=True))
            around = Cohort(block.patients, {**block.values, **middle})
            draws = vary(plan.model, around, samples=plan.samples, seed=plan.seed, spread=free)
    result = evaluate(
        plan.model, people, plan.scenarios, times, samples=plan.samples, draws=draws, seed=plan.seed,
        doses=block.doses, outputs=plan.outputs, rtol=plan.rtol,
    )  # fmt: skip
    done = _summarise(plan, block, result)
    done.status[lost], done.data[:, :, lost] = Status.NOT_FITTED, np.nan
    if isinstance(people, Fit):
        rows = [plan.estimated.index(symbol) for symbol in people.symbols]
        done.estimates[:, rows] = np.where(lost, np.nan, np.stack([people.mode, people.sd]))
    return done


def _conditioned(plan: Plan, block: Block) -> tuple[Priors | None, Array]:
    """Return how what varies does so given what a patient gives: the distribution, and its means (p, patients)."""
    priors, count = plan.priors, len(block.patients)
    if priors is None:
        return None, np.empty((0, count))
    fixed = [at for at, symbol in enumerate(priors.symbols) if symbol in block.values]
    free = [at for at, symbol in enumerate(priors.symbols) if symbol not in block.values]
    if not free:
        return None, np.empty((0, count))
    mean = np.repeat(priors.mean[free][:, None], count, axis=1)
    if not fixed:
        return priors, mean
    scales = priors.scales
    known = np.array([scales[at].unbounded(block.values[priors.symbols[at]]) for at in fixed])
    away = known - priors.mean[fixed][:, None]
    away = np.where(np.isfinite(away), away, 0.0)  # a value on its bound says nothing of the others
    weight = np.linalg.solve(priors.covariance[np.ix_(fixed, fixed)], priors.covariance[np.ix_(fixed, free)])
    covariance = priors.covariance[np.ix_(free, free)] - priors.covariance[np.ix_(free, fixed)] @ weight
    for row in range(len(free)):  # one product after the other: a patient's figure does not depend on its neighbours
        mean[row] += sum(weight[at, row] * away[at] for at in range(len(fixed)))
    return Priors(tuple(priors.priors[at] for at in free), covariance), mean


# ---- Two models ------------------------------------------------------------------------------------------------------


def _couple(plan: Plan, block: Block) -> Computed:
    pairing = plan.pairing
    if pairing is None:
        raise ValueError("this plan has one model")
    try:
        result = couple(
            pairing.fast, plan.model, pairing.links, patients=block.values, times=plan.grid, interval=pairing.interval,
            scheme=pairing.scheme, scenarios=plan.scenarios, conserved=pairing.conserved, keys=block.patients,
            outputs=plan.outputs, rtol=plan.rtol,
        )  # fmt: skip
    except NotSteady:  # nobody of this block: no reason to refuse the others
        empty = _empty(plan, block, (len(block.patients), len(plan.scenarios)))
        empty.status[:], empty.ended[:] = Status.NOT_STEADY, 0.0
        return replace(empty, methods=(f"coupled, {type(pairing.scheme).__name__.lower()}",))
    return _summarise(plan, block, result.slow)


# ---- Summaries -------------------------------------------------------------------------------------------------------


def _summarise(plan: Plan, block: Block, result: Result) -> Computed:
    """Return what is kept of the lanes of each patient and scenario: the value, or mean and quantiles over the draws.

    A draw that failed does not count; where fewer than half are left, the patient has no prediction.
    """
    patients, scenarios, samples = result.shape
    data = result.data.reshape(len(plan.outputs), -1, patients, scenarios, samples)
    status = result.status.reshape(patients, scenarios, samples)
    failed = status != int(Status.DONE)
    draws = np.asarray(np.sum(~failed, axis=-1), np.int32)
    worst = np.argmax(failed, axis=-1)[..., None]  # the first draw that failed says why
    first = {
        name: np.take_along_axis(getattr(result, name).reshape(status.shape), worst, axis=-1)[..., 0]
        for name in ("status", "ended", "rules")
    }
    if samples == 1:
        found = np.moveaxis(data, 1, 3)[None, ..., 0]
        return Computed(
            block.number, found, first["status"].astype(np.int8), first["rules"].astype(np.int16), first["ended"],
            draws, (result.method,), _no_estimates(plan, block),
        )  # fmt: skip
    enough = 2 * draws >= samples
    found = np.moveaxis(summaries(data, failed, draws, plan.levels), 2, 4)
    found[:, :, ~enough] = np.nan
    rules = np.where(enough, -1, first["rules"]).astype(np.int16)
    state = np.where(enough, int(Status.DONE), first["status"]).astype(np.int8)
    return Computed(
        block.number, found, state, rules, first["ended"], draws, (result.method,), _no_estimates(plan, block)
    )


def summaries(data: Array, failed: Flags, draws: npt.NDArray[np.int32], levels: tuple[float, ...]) -> Array:
    """Return mean and quantiles over the last axis, (1 + levels, …), of the draws that did not fail.

    A quantile lies between two of the draws in order, by linear interpolation; whatever fails elsewhere, a patient's
    are the same bits.

    >>> some, failed = np.array([[4.0, 1.0, 3.0, 2.0, 9.0]]), np.array([[False, False, False, False, True]])
    >>> summaries(some, failed, np.array([4], np.int32), (0.5,)).ravel().tolist()
    [2.5, 2.5]
    """
    if failed.any():
        data = np.where(failed, np.nan, data)
    ordered = np.sort(data, axis=-1)  # what failed comes last; ten times faster than a partition
    found = np.empty((1 + len(levels), *data.shape[:-1]))
    count = np.broadcast_to(np.maximum(draws, 1), data.shape[:-1])
    found[0] = np.sum(np.where(failed, 0.0, data), axis=-1) / count
    for row, level in enumerate(levels, start=1):
        place = level * (count - 1)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, count - 1)
        left, right = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high))
        found[row] = left + (right - left) * (place - low)
    return found
