"""What was observed in a cohort, as arrays with the patients last, and how far an observation may lie from its
prediction.

A patient's observations stand in *slots*, sorted by time; patients with fewer have empty slots at the end. Arrays are
(slots, patients).

Residual errors are normal with variance a² + (b f)² about the prediction f (additive and proportional part,
independent). An observation below its limit of quantification counts with the probability of being there (method M3
of Beal, J Pharmacokinet Pharmacodyn 2001;28:481).

>>> data = Observations.from_rows(
...     [Observation("p1", 2.0, "conc", 7.9), Observation("p1", 24.0, "conc", 0.5, censored=True)]
... )
>>> data.value.ravel().tolist(), data.censored.ravel().tolist()
([7.9, 0.5], [False, True])
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import BadDistribution, BadObservation, EmptyCohort, UnknownVariable
from pepr_kg.twin.estimation.normal import LOG_ROOT_TWO_PI, hazard, log_ndtr

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_NOT_A_NUMBER = {"en": "the value is not a finite number", "fr": "la valeur n’est pas un nombre fini"}
_NO_TIME = {"en": "the time is not a finite number", "fr": "l’instant n’est pas un nombre fini"}
_NEGATIVE_LIMIT = {"en": "the limit of quantification is negative", "fr": "la limite de quantification est négative"}


class Observation(NamedTuple):
    """One row: `value` of `variable` in `patient` at `time`; where `censored`, it is below the limit `value`."""

    patient: str
    time: float
    variable: str
    value: float
    censored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """The observations of a cohort: `patients` (keys), `variables` (symbols), and arrays (slots, patients).

    `variable` holds indices into `variables`; `value` is the limit where `censored`; empty slots have `present`
    False, value 0 and the time of the slot before (0 for a patient without observations).
    """

    patients: tuple[str, ...]
    variables: tuple[str, ...]
    time: Array
    variable: Indices
    value: Array
    censored: Flags
    present: Flags

    @classmethod
    def from_rows(
        cls, rows: Iterable[Observation], variables: Sequence[str] | None = None, patients: Sequence[str] | None = None
    ) -> "Observations":
        """Return the observations of `rows`; see `from_columns`."""
        rows = list(rows)
        return cls.from_columns(
            [row.patient for row in rows],
            np.array([row.time for row in rows], dtype=np.float64),
            [row.variable for row in rows],
            np.array([row.value for row in rows], dtype=np.float64),
            np.array([row.censored for row in rows], dtype=np.bool_),
            variables=variables,
            patients=patients,
        )

    @classmethod
    def from_columns(
        cls,
        patient: Sequence[str],
        time: Array,
        variable: Sequence[str],
        value: Array,
        censored: Flags | None = None,
        *,
        variables: Sequence[str] | None = None,
        patients: Sequence[str] | None = None,
    ) -> "Observations":
        """Return the observations given as columns of equal length.

        `variables` are the symbols that may occur (default: those that do, sorted), `patients` the order of the
        cohort (default: of first occurrence); a patient listed there may have no observation. Raises `EmptyCohort`,
        `UnknownVariable`, and `BadObservation` for a time or value that is not finite, a negative limit, or a patient
        who is not in `patients`.
        """
        flags = np.zeros(len(patient), dtype=np.bool_) if censored is None else censored
        known = tuple(sorted(set(variable)) if variables is None else variables)
        keys = tuple(dict.fromkeys(patient) if patients is None else patients)
        if not keys:
            raise EmptyCohort()
        places = {key: at for at, key in enumerate(keys)}
        symbols = {symbol: at for at, symbol in enumerate(known)}
        try:
            owner = np.fromiter(map(places.__getitem__, patient), np.intp, len(patient))
            kind = np.fromiter(map(symbols.__getitem__, variable), np.intp, len(patient))
        except KeyError:
            _refuse_names(patient, variable, symbols, places)
            raise
        _check(patient, time, variable, value, flags)
        order = np.lexsort((kind, time, owner))
        owner = owner[order]
        counts = np.bincount(owner, minlength=len(keys))
        slot = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (int(counts.max(initial=0)), len(keys))
        present = np.zeros(shape, dtype=np.bool_)
        present[slot, owner] = True
        times, values = np.zeros(shape), np.zeros(shape)
        kinds, below = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.bool_)
        times[slot, owner], values[slot, owner] = time[order], value[order]
        kinds[slot, owner], below[slot, owner] = kind[order], flags[order]
        for at in range(1, shape[0]):
            times[at] = np.where(present[at], times[at], times[at - 1])
        return cls(keys, known, times, kinds, values, below, present)

    def select(self, patients: Indices) -> "Observations":
        """Return the observations of these patients (indices), with all slots."""
        return Observations(
            tuple(self.patients[at] for at in patients), self.variables,
            self.time[:, patients], self.variable[:, patients], self.value[:, patients],
            self.censored[:, patients], self.present[:, patients],
        )  # fmt: skip

    def until(self, slots: int) -> "Observations":
        """Return the observations with each patient's first `slots` only."""
        return Observations(
            self.patients, self.variables, self.time[:slots], self.variable[:slots],
            self.value[:slots], self.censored[:slots], self.present[:slots],
        )  # fmt: skip

    def before(self, time: float) -> "Observations":
        """Return the observations made before `time`: the later ones become empty slots, to be predicted."""
        kept = self.present & (self.time < time)
        return replace(self, value=np.where(kept, self.value, 0.0), censored=self.censored & kept, present=kept)


def _refuse_names(
    patient: Sequence[str], variable: Sequence[str], symbols: Mapping[str, int], places: Mapping[str, int]
) -> None:
    """Raise for the first row whose variable or patient is not known."""
    for at, (key, symbol) in enumerate(zip(patient, variable, strict=True)):
        if symbol not in symbols:
            where = {"en": f"row {at + 1}, patient {key}", "fr": f"ligne {at + 1}, patient {key}"}
            raise UnknownVariable(symbol=symbol, where=where, known=", ".join(symbols))
        if key not in places:
            detail = {"en": "the patient is not in the cohort", "fr": "le patient n’est pas dans la cohorte"}
            raise BadObservation(patient=key, symbol=symbol, row=at + 1, detail=detail)


def _check(patient: Sequence[str], time: Array, variable: Sequence[str], value: Array, censored: Flags) -> None:
    """Raise for the first row whose figures cannot be used."""
    for wrong, detail in (
        (~np.isfinite(value), _NOT_A_NUMBER),
        (~np.isfinite(time), _NO_TIME),
        (censored & (value < 0.0), _NEGATIVE_LIMIT),
    ):
        if wrong.any():
            at = int(np.argmax(wrong))
            raise BadObservation(patient=patient[at], symbol=variable[at], row=at + 1, detail=detail)


@dataclass(frozen=True, slots=True)
class Residual:
    """The residual error of one variable: standard deviation sqrt(additive² + (proportional · prediction)²)."""

    variable: str
    additive: float = 0.0
    proportional: float = 0.0

    def __post_init__(self) -> None:
        fine = all(np.isfinite(part) and part >= 0.0 for part in (self.additive, self.proportional))
        if not fine or self.additive + self.proportional == 0.0:
            detail = {
                "en": "the additive and proportional standard deviations are finite, not negative and not both 0",
                "fr": "les écarts-types additif et proportionnel sont finis, positifs ou nuls, et pas tous deux nuls",
            }
            raise BadDistribution(symbol=self.variable, detail=detail)


def residual_parts(variables: Sequence[str], residuals: Iterable[Residual]) -> tuple[Array, Array]:
    """Return the additive and the proportional standard deviations, each (variables,); raises `UnknownVariable` for
    one without.
    """
    given: Mapping[str, Residual] = {residual.variable: residual for residual in residuals}
    for symbol in variables:
        if symbol not in given:
            where = {"en": "no residual error is given for it", "fr": "aucune erreur résiduelle ne lui est donnée"}
            raise UnknownVariable(symbol=symbol, where=where, known=", ".join(given))
    additive = np.array([given[symbol].additive for symbol in variables])
    return additive, np.array([given[symbol].proportional for symbol in variables])


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """The negative log-likelihood of slots (m, L), its slope in the prediction, and a curvature that is never
    negative.
    """

    loss: Array
    slope: Array
    curvature: Array


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood:
    """What each slot of each lane says of its prediction; arrays (m, L): observed value, flags, standard deviations.

    Constants are left out: log √(2π) of every measured value, and log a where the error is additive alone (`constant`
    gives them).
    """

    value: Array
    present: Flags
    censored: Flags
    additive: Array
    proportional: Array
    plain: bool  # no censored value and no proportional error anywhere

    @classmethod
    def of(cls, data: Observations, additive: Array, proportional: Array) -> "Likelihood":
        """Return the likelihood of `data` with standard deviations by variable, (variables,)."""
        a, b = additive[data.variable], proportional[data.variable]
        plain = not data.censored.any() and not proportional.any()
        return cls(data.value, data.present, data.censored, a, b, plain)

    def take(self, lanes: Indices | slice) -> "Likelihood":
        """Return the likelihood of these lanes."""
        return Likelihood(
            self.value[:, lanes], self.present[:, lanes], self.censored[:, lanes], self.additive[:, lanes],
            self.proportional[:, lanes], self.plain,
        )  # fmt: skip

    def trim(self) -> "Likelihood":
        """Return the likelihood without the empty slots that all lanes have at their end."""
        filled = np.flatnonzero(self.present.any(axis=1))
        slots = int(filled[-1]) + 1 if filled.size else 0
        if slots == len(self.value):
            return self
        return Likelihood(
            self.value[:slots], self.present[:slots], self.censored[:slots], self.additive[:slots],
            self.proportional[:slots], self.plain,
        )  # fmt: skip

    def score(self, predicted: Array) -> Score:
        """Return loss, slope and curvature of predictions (m, L); 0 in empty slots, NaN where a prediction is.

        The curvature is the expected second derivative of a measured value (Fisher scoring) and, for a censored one,
        that of the normal distribution function, λ(λ + z)/s².
        """
        predicted = np.where(self.present, predicted, 0.0)
        if self.plain:
            # the same digits as below, with fewer operations
            scaled = (predicted - self.value) / self.additive
            curvature = np.where(self.present, 1.0 / (self.additive * self.additive), 0.0)
            return Score(0.5 * scaled * scaled, scaled / self.additive, curvature)
        variance = np.where(self.present, self.additive**2 + (self.proportional * predicted) ** 2, 1.0)
        sd = np.sqrt(variance)
        turn = self.proportional**2 * predicted / sd  # d sd / d prediction
        scaled = (predicted - self.value) / sd
        varies = self.proportional > 0.0
        loss = 0.5 * scaled * scaled + np.where(varies, np.log(sd), 0.0)
        slope = scaled / sd + turn / sd * (1.0 - scaled * scaled)
        curvature = (1.0 + 2.0 * turn * turn) / variance
        if self.censored.any():
            z = -scaled  # (limit - prediction) / sd
            drop = (z * turn + 1.0) / sd  # -dz / d prediction
            ratio = hazard(z)
            loss = np.where(self.censored, -log_ndtr(z), loss)
            slope = np.where(self.censored, ratio * drop, slope)
            curvature = np.where(self.censored, ratio * np.maximum(ratio + z, 0.0) * drop * drop, curvature)
        return Score(*(np.where(self.present, part, 0.0) for part in (loss, slope, curvature)))

    def surprise(self, predicted: Array) -> Array:
        """Return the squares of the scaled residuals (m, L); -2 log of its chance for a censored value."""
        predicted = np.where(self.present, predicted, 0.0)
        sd = np.where(self.present, np.hypot(self.additive, self.proportional * predicted), 1.0)
        scaled = (predicted - self.value) / sd
        squares = scaled * scaled
        if self.censored.any():
            squares = np.where(self.censored, -2.0 * log_ndtr(-scaled), squares)
        return squares

    def constant(self) -> Array:
        """Return the terms (m, L) that `score` leaves out of the negative log-likelihood."""
        plain = self.present & (self.proportional == 0.0)
        log_sd = np.log(np.where(plain, self.additive, 1.0))
        measured = self.present & ~self.censored
        return np.where(measured, LOG_ROOT_TWO_PI + log_sd, 0.0)
