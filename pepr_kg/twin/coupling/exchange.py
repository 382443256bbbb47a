"""What two models hand to each other: which symbol of one becomes which input of the other, by which operator, in
which unit.

Over a window of the giving model's trajectory an operator gives one number: the value at its end (sample), the mean,
maximum or minimum, the rate (how much it changed per time; with a level, how often it rose through it per time), the
count (how often it rose through the level). A value is converted from the giver's unit to the taker's; with "rate"
and "count" the giver's unit is divided by its time unit, or is 1.

>>> Link.to_slow("Pao", "MAP", "mean")
Link(source='fast', symbol='Pao', target='MAP', operator='mean', level=None, mode='set')
>>> Conserved({"fast.Va": 1.0, "fast.Vv": 1.0}).tolerance
1e-06
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pepr_kg.twin.errors import BadLink, UnitMismatch, UnknownSymbol, suggest
from pepr_kg.twin.expression import Array
from pepr_kg.twin.model import Model, Variable
from pepr_kg.twin.units import conversion, parse_unit

OPERATORS = ("sample", "mean", "maximum", "minimum", "rate", "count")
SIDES = ("fast", "slow")


@dataclass(frozen=True, slots=True)
class Link:
    """`symbol` of the model `source` ("fast" or "slow") becomes `target` of the other one.

    `level` is what "count" and "rate" count crossings of, in the giver's unit. `mode` "set" gives the value to a
    constant of the taker; "add" adds to a state of the taker what the value changed by since the last exchange, so
    that an amount is handed over and not copied.
    """

    source: str
    symbol: str
    target: str
    operator: str = "sample"
    level: float | None = None
    mode: str = "set"

    @classmethod
    def to_slow(cls, symbol: str, target: str, operator: str = "sample", level: float | None = None) -> "Link":
        """Return the link from a symbol of the fast model to a constant of the slow one."""
        return cls("fast", symbol, target, operator, level)

    @classmethod
    def to_fast(cls, symbol: str, target: str, mode: str = "set") -> "Link":
        """Return the link from a symbol of the slow model to a constant (mode "add": a state) of the fast one."""
        return cls("slow", symbol, target, mode=mode)


@dataclass(frozen=True, slots=True)
class Conserved:
    """A sum that must stay: `weights` by symbol ("fast.Va", "slow.SBV"), `tolerance` relative to the largest term."""

    weights: Mapping[str, float]
    tolerance: float = 1e-6

    def __hash__(self) -> int:
        return hash((tuple(self.weights.items()), self.tolerance))


@dataclass(frozen=True, slots=True)
class Route:
    """A link that was checked: a value times `scale` plus `offset` is in the taker's unit."""

    link: Link
    scale: float
    offset: float

    def apply(self, coefficients: Array) -> Array:
        """Return the polynomial (n, lanes) in the taker's unit."""
        found = coefficients * self.scale
        found[0] += self.offset
        return found


def routes(models: Mapping[str, Model], links: Sequence[Link]) -> tuple[Route, ...]:
    """Return the links, checked. `models` has the keys "fast" and "slow".

    Raises `BadLink` (an unknown operator, a target that cannot be set or is set twice, no way back or forth),
    `UnknownSymbol`, `UnitMismatch`.
    """
    seen: set[tuple[str, str]] = set()
    found = []
    for link in links:
        if link.source not in SIDES:
            raise _bad(
                link,
                f'the source is "{link.source}"; fast or slow was expected',
                f"la source est « {link.source} » ; il faut fast ou slow",
            )
        giver, taker = models[link.source], models["slow" if link.source == "fast" else "fast"]
        variable, target = _variable(giver, link.symbol), _variable(taker, link.target)
        _check_operator(link)
        _check_target(link, taker, target)
        if (link.source, link.target) in seen:
            raise _bad(link, "the target is given by two links", "la cible est donnée par deux liens")
        seen.add((link.source, link.target))
        scale, offset = _conversion(link, giver, variable, target)
        found.append(Route(link, scale, 0.0 if link.mode == "add" else offset))
    if not found:
        raise BadLink(symbol="-", detail={
            "en": "there are no links; two models that exchange nothing are evaluated one by one",
            "fr": "il n’y a aucun lien ; deux modèles sans échange s’évaluent séparément"})  # fmt: skip
    return tuple(found)


def _bad(link: Link, en: str, fr: str) -> BadLink:
    return BadLink(symbol=f"{link.symbol} → {link.target}", detail={"en": en, "fr": fr})


def _variable(model: Model, symbol: str) -> Variable:
    if symbol not in model.symbols:
        raise UnknownSymbol(model=model.name, symbol=symbol, known=suggest(symbol, model.symbols))
    return model.variable(symbol)


def _check_operator(link: Link) -> None:
    if link.operator not in OPERATORS:
        texts = ", ".join(OPERATORS)
        raise _bad(
            link,
            f'"{link.operator}" is not an operator; use {texts}',
            f"« {link.operator} » n’est pas un opérateur ; employez {texts}",
        )
    if link.source == "slow" and link.operator != "sample":
        raise _bad(link, "the slow model gives samples only", "le modèle lent ne donne que des échantillons (sample)")
    if link.operator == "count" and link.level is None:
        raise _bad(link, "count needs a level", "count demande un niveau (level)")
    if link.level is not None and (link.operator not in ("rate", "count") or not math.isfinite(link.level)):
        raise _bad(
            link,
            "a level is a finite number, for rate and count only",
            "le niveau est un nombre fini, pour rate et count seulement",
        )


def _check_target(link: Link, taker: Model, target: Variable) -> None:
    if link.mode not in ("set", "add"):
        raise _bad(
            link,
            f'"{link.mode}" is not a mode; use set or add',
            f"« {link.mode} » n’est pas un mode ; employez set ou add",
        )
    if link.mode == "set" and link.target not in taker.constants:
        raise _bad(link, f"the model {taker.name} has no constant of this name to set ({target.role})",
                   f"le modèle {taker.name} n’a pas de constante de ce nom à fixer ({target.role})")  # fmt: skip
    if link.mode == "add" and (link.source == "fast" or link.target not in taker.states):
        raise _bad(link, "only the slow model adds, and only to a state of the fast one",
                   "seul le modèle lent ajoute, et seulement à un état du modèle rapide")  # fmt: skip


def _conversion(link: Link, giver: Model, variable: Variable, target: Variable) -> tuple[float, float]:
    """Return scale and offset from what the operator gives to the taker's unit; two unknown units are taken as one."""
    per_time = link.operator == "rate"
    number = link.operator == "count" or (per_time and link.level is not None)
    unit = "1" if number else variable.unit
    if unit is None or target.unit is None or (per_time and giver.time_unit is None):
        if unit is None and target.unit is None and not per_time:
            return 1.0, 0.0
        named = f"{link.symbol} → {link.target}"
        raise UnitMismatch(found=unit or "?", expected=target.unit or "?", symbol=named, detail={
            "en": "one of the units is not known", "fr": "l’une des unités n’est pas connue"})  # fmt: skip
    found = parse_unit(unit)
    if per_time and giver.time_unit is not None:
        found = found / parse_unit(giver.time_unit)
    return conversion(found, target.unit, symbol=f"{link.symbol} → {link.target}")


def aggregate(link: Link, times: Array, values: Array) -> Array:
    """Return what the operator makes of samples (times, lanes) at `times` (times, lanes), (lanes,).

    The extremes are those of parabolas through the samples, the mean is by the trapezoidal rule (where it can be had,
    its integral is used instead).

    >>> time = np.linspace(0.0, 2.0, 9)[:, None]
    >>> aggregate(Link.to_slow("x", "y", "maximum"), time, 1.0 - (time - 0.9) ** 2).round(12).tolist()
    [1.0]
    >>> aggregate(Link.to_slow("x", "y", "count", level=0.0), time, np.sin(6.0 * time - 1.0)).tolist()
    [2.0]
    """
    length = times[-1] - times[0]
    if link.operator == "sample":
        return np.array(values[-1])
    if link.operator == "mean":
        areas = 0.5 * (values[1:] + values[:-1]) * np.diff(times, axis=0)
        # row by row: NumPy's sum depends on the number of lanes
        return np.asarray(sum(areas, np.zeros(values.shape[1])) / length)
    if link.operator == "maximum":
        return _top(values)
    if link.operator == "minimum":
        return -_top(-values)
    if link.level is None:
        return np.asarray((values[-1] - values[0]) / length)
    crossings: Array = np.sum((values[:-1] < link.level) & (values[1:] >= link.level), axis=0).astype(float)
    return crossings / length if link.operator == "rate" else crossings


def _top(values: Array) -> Array:
    """Return the largest value, between samples by the parabola through the largest sample and its neighbours."""
    at = np.argmax(values, axis=0)
    inner = np.clip(at, 1, len(values) - 2)
    low, top, high = (np.take_along_axis(values, (inner + shift)[None], axis=0)[0] for shift in (-1, 0, 1))
    bend, slope = high - 2.0 * top + low, 0.5 * (high - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend < 0.0, -slope / bend, 0.0)
    fitted = top + 0.5 * slope * np.clip(shift, -1.0, 1.0)
    return np.asarray(np.where((at == inner) & (np.abs(shift) <= 1.0), fitted, values.max(axis=0)))
