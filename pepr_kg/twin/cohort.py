"""The patients of an evaluation: for each symbol one value for all, or one for each patient, checked and in the
model's units.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.errors import BadValue, EmptyCohort, MissingValue, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array
from pepr_kg.twin.model import Model, Variable
from pepr_kg.twin.units import convert

# What a caller may give for a symbol: a number, a text of a category, a truth value, or a sequence of them.
Given = float | str | bool | Sequence[float] | Sequence[str] | Sequence[bool] | npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Checked inputs: `patients` are the keys, `values` a float for all of them or an array (patients,)."""

    patients: tuple[str, ...]
    values: Mapping[str, float | Array]

    def __len__(self) -> int:
        return len(self.patients)


def read_cohort(
    model: Model,
    given: Mapping[str, Given],
    *,
    patients: Sequence[object] | None = None,
    units: Mapping[str, str] | None = None,
    molar_masses: Mapping[str, float] | None = None,
    strict: bool = True,
) -> Cohort:
    """Return the inputs of a cohort, in the model's units and codes.

    `given` maps symbols to one value for all patients or to one for each; categories may be given as their texts, truth
    values as such. `units` says in which UCUM unit a symbol is given, where it is not the model's; `molar_masses`
    (g/mol) lets masses become amounts of substance. `patients` are the keys; without them 1, 2, 3 … With `strict`
    every symbol needs a value or a default.

    Raises `EmptyCohort`, `UnknownSymbol`, `BadValue` (not a number, out of bounds, unknown category, wrong length),
    `MissingValue`, `UnknownUnit` and `UnitMismatch`, each naming model, symbol and patient where there is one.

    >>> from pepr_kg.twin import load_model
    >>> model = load_model("score2")
    >>> cohort = read_cohort(model, {"sbp_mmHg": [18.0, 16.0], "region": ["low", "high"]}, units={"sbp_mmHg": "kPa"},
    ...                      strict=False)
    >>> cohort.values["sbp_mmHg"].round(1).tolist(), cohort.values["region"].tolist(), cohort.patients
    ([135.0, 120.0], [0.0, 2.0], ('1', '2'))
    """
    if not isinstance(given, Mapping):
        raise BadValue(
            model=model.name,
            symbol="patients",
            patient="*",
            value=type(given).__name__,
            detail={
                "en": "a mapping from symbols to values was expected, one value for all patients or one for each",
                "fr": "il faut un dictionnaire de symboles à valeurs, une pour tous les patients ou une pour chacun",
            },
        )
    known = {item.symbol: item for item in model.variables if item.role != "derived"}
    count = _count(model, given, patients)
    keys = tuple(str(key) for key in patients) if patients is not None else _numbered(count)
    values: dict[str, float | Array] = {}
    for symbol, raw in given.items():
        if symbol not in known:
            _refuse_symbol(model, symbol, known)
        variable = known[symbol]
        number = _numbers(model, variable, raw, keys)
        if units and symbol in units:
            if variable.unit is None:
                raise BadValue(
                    model=model.name,
                    symbol=symbol,
                    patient="*",
                    value=units[symbol],
                    detail={
                        "en": "the model does not say in which unit it takes it, so it cannot be converted",
                        "fr": "le modèle ne dit pas dans quelle unité il le prend ; la conversion est impossible",
                    },
                )
            mass = (molar_masses or {}).get(symbol)
            number = convert(number, units[symbol], variable.unit, molar_mass_g_per_mol=mass, symbol=symbol)
        _check_bounds(model, variable, number, keys)
        values[symbol] = number
    for symbol in units or {}:
        if symbol not in given and symbol in known:
            detail = {"en": "a unit is given for it, but no value", "fr": "son unité est donnée, mais aucune valeur"}
            raise BadValue(model=model.name, symbol=symbol, patient="*", value="-", detail=detail)
        if symbol not in known:
            _refuse_symbol(model, symbol, known)
    if strict:
        require_values(model, values, keys)
    return Cohort(keys, values)


@lru_cache(maxsize=4)
def _numbered(count: int) -> tuple[str, ...]:
    return tuple(str(at + 1) for at in range(count))


def _refuse_symbol(model: Model, symbol: str, known: Mapping[str, object]) -> None:
    names = sorted(known)
    if any(item.symbol == symbol for item in model.variables):
        raise BadValue(
            model=model.name,
            symbol=symbol,
            patient="*",
            value={"en": "given", "fr": "valeur donnée"},
            detail={
                "en": f"the model computes it; give what it is computed from: {', '.join(names[:8])}",
                "fr": f"le modèle le calcule ; donnez ce dont il dépend : {', '.join(names[:8])}",
            },
        )
    raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, names))


def _count(model: Model, given: Mapping[str, Given], patients: Sequence[object] | None) -> int:
    if patients is not None:
        if not len(patients):
            raise EmptyCohort()
        if len(set(map(str, patients))) != len(patients):
            raise BadValue(
                model=model.name,
                symbol="patients",
                patient="*",
                value=len(patients),
                detail={"en": "two patients have the same key", "fr": "deux patients ont la même clé"},
            )
        return len(patients)
    sizes = [np.size(raw) for raw in given.values() if not isinstance(raw, str) and np.ndim(raw)]
    if sizes and min(sizes) == 0:
        raise EmptyCohort()
    return max(sizes, default=1)


def _numbers(model: Model, variable: Variable, raw: Given, keys: tuple[str, ...]) -> float | Array:
    """Return a float, or an array (patients,), from what was given; texts of a category become their codes."""
    if isinstance(raw, np.ndarray) and raw.size == 1 and raw.ndim < 2 and raw.dtype.kind == "f":
        raw = float(raw.reshape(-1)[0])
    if isinstance(raw, float) and not variable.codes and math.isfinite(raw):
        return float(raw)
    items = np.asarray(raw)
    if items.ndim > 1 or (items.ndim == 1 and items.size not in (1, len(keys))):
        raise BadValue(
            model=model.name,
            symbol=variable.symbol,
            patient="*",
            value={"en": f"shape {items.shape}", "fr": f"forme {items.shape}"},
            detail={
                "en": f"one value, or one for each of the {len(keys)} patients, was expected",
                "fr": f"il faut une valeur, ou une pour chacun des {len(keys)} patients",
            },
        )
    if items.dtype.kind in "OUS":
        items = np.array(
            [
                _code(model, variable, item, keys[at if items.ndim else 0])
                for at, item in enumerate(np.atleast_1d(items))
            ]
        )
        items = items if np.ndim(raw) and not isinstance(raw, str) else items[0]
    elif variable.codes and items.dtype.kind != "b":
        allowed = np.array([code.value for code in variable.codes])
        for at in np.flatnonzero(~np.isin(np.atleast_1d(items), allowed)):
            _refuse_code(model, variable, np.atleast_1d(items)[at], keys[at])
    number = np.asarray(items, dtype=float)
    for at in np.flatnonzero(~np.isfinite(np.atleast_1d(number))):
        raise BadValue(
            model=model.name,
            symbol=variable.symbol,
            patient=keys[at],
            value=np.atleast_1d(number)[at],
            detail={"en": "a finite number was expected", "fr": "il faut un nombre fini"},
        )
    if number.ndim == 0 or number.size == 1 != len(keys):
        return float(number.reshape(-1)[0])
    return np.ascontiguousarray(number)


def _code(model: Model, variable: Variable, item: object, patient: str) -> float:
    if isinstance(item, str):
        for code in variable.codes:
            if code.text == item:
                return code.value
        _refuse_code(model, variable, item, patient)
    if item is None:
        raise MissingValue(model=model.name, symbol=variable.symbol, patient=patient)
    return float(item)  # type: ignore[arg-type]


def _refuse_code(model: Model, variable: Variable, item: object, patient: str) -> None:
    texts = ", ".join(code.text for code in variable.codes)
    raise BadValue(
        model=model.name,
        symbol=variable.symbol,
        patient=patient,
        value=item,
        detail={
            "en": f"one of these was expected: {texts}" if texts else "a number was expected, not a text",
            "fr": f"valeurs acceptées : {texts}" if texts else "il faut un nombre et non un texte",
        },
    )


def _check_bounds(model: Model, variable: Variable, number: float | Array, keys: tuple[str, ...]) -> None:
    low, high = variable.bounds
    if isinstance(number, float) and low < number <= high:
        return
    items = np.atleast_1d(number)
    bad = (items < low) | (items > high) | ((items == low) & variable.open_below)
    for at in np.flatnonzero(bad):
        least = "" if math.isinf(low) else f"{'>' if variable.open_below else '>='} {low:g}"
        most = "" if math.isinf(high) else f"<= {high:g}"
        span = [part for part in (least, most) if part]
        en, fr = " and ".join(span), " et ".join(span)
        raise BadValue(
            model=model.name,
            symbol=variable.symbol,
            patient=keys[at],
            value=items[at],
            detail={"en": f"a value {en} was expected", "fr": f"il faut une valeur {fr}"},
        )


def require_values(model: Model, values: Mapping[str, float | Array], keys: tuple[str, ...]) -> None:
    """Raise `MissingValue` where a symbol has neither a value nor a default."""
    for entry in model.initial:
        if entry.formula.is_number and math.isnan(float(entry.formula.value or 0.0)):
            owner = next((item for item in model.variables if entry.symbol in {item.core, item.symbol}), None)
            if owner is not None and owner.symbol not in values:
                raise MissingValue(model=model.name, symbol=owner.symbol, patient=keys[0])
