"""What the graph says of a coupled model, as the evaluator's links, scheme and conserved sums.

>>> coupling = Coupling("coupling:h.MAP", "fast", "Pao", "MAP", "mean", "set", None, 1.0, "a")
>>> read_links("h", [coupling])
(Link(source='fast', symbol='Pao', target='MAP', operator='mean', level=None, mode='set'),)
>>> round(read_interval("h", [coupling], "d"), 2)
365.25
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pepr_kg.models.errors import ModelMeaningBroken, broken_by
from pepr_kg.twin import Conserved, Leaping, Link, Relaxed, TwinError
from pepr_kg.twin.units import conversion

_CLOSE = 1e-9  # two intervals that differ by less, relative, are one


@dataclass(frozen=True, slots=True)
class Coupling:
    """A coupling as the graph writes it: `symbol` of the part `giver` ("fast" or "slow") goes to `target` of the other.

    `interval` is in `time_unit`; `level` in the giver's unit. What the graph does not say is None.
    """

    focus: str
    giver: str
    symbol: str
    target: str
    operator: str
    mode: str
    level: float | None
    interval: float | None
    time_unit: str | None


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a conserved sum: `weight` times the symbol of a part, written "fast.Va"."""

    sum: str
    symbol: str
    weight: float
    tolerance: float | None


def read_links(name: str, couplings: Sequence[Coupling]) -> tuple[Link, ...]:
    """Return the links of a coupled model. Raises `ModelMeaningBroken` where there are none."""
    if not couplings:
        raise ModelMeaningBroken(name=name, focus="pepr:hasCoupling", detail={
            "en": "its parts exchange nothing", "fr": "ses parties n’échangent rien"})  # fmt: skip
    return tuple(Link(item.giver, item.symbol, item.target, item.operator, item.level, item.mode) for item in couplings)


def read_interval(name: str, couplings: Sequence[Coupling], time_unit: str | None) -> float:
    """Return the time between two exchanges, in `time_unit`, that of the slow part.

    Raises `ModelMeaningBroken` where no coupling says it, where they differ, or where their unit is none of time.
    """
    found: dict[str, float] = {}
    for item in couplings:
        if item.interval is None:
            continue
        try:
            own = item.time_unit is None or time_unit is None
            factor = 1.0 if own else conversion(str(item.time_unit), str(time_unit), symbol="exchangeInterval")[0]
        except TwinError as error:
            raise broken_by(name, item.focus, error) from error
        found[item.focus] = item.interval * factor
    if not found:
        raise ModelMeaningBroken(name=name, focus="pepr:exchangeInterval", detail={
            "en": "it is not said how often the parts exchange", "fr": "on ne sait pas à quel intervalle les parties "
            "échangent"})  # fmt: skip
    least, most = min(found.values()), max(found.values())
    if most - least > _CLOSE * most:
        focus = next(name for name, value in found.items() if value == most)
        raise ModelMeaningBroken(name=name, focus=focus, detail={
            "en": f"its interval is {most:g}, and {least:g} elsewhere; all couplings exchange together",
            "fr": f"son intervalle est {most:g}, et {least:g} ailleurs ; tous les couplages échangent ensemble",
        })  # fmt: skip
    return most


def read_scheme(
    name: str, scheme: str | None, order: int | None, tolerance: float | None, period: str | None
) -> Leaping | Relaxed:
    """Return the scheme; what the graph does not say is as the evaluator has it.

    Raises `ModelMeaningBroken` for no scheme or an unknown one, and for leaping without a period.
    """
    if scheme == "relaxed":
        given = {key: value for key, value in (("order", order), ("tolerance", tolerance)) if value is not None}
        return Relaxed(**given)  # type: ignore[arg-type]  # an int and a float, by their names
    if scheme != "leaping":
        raise ModelMeaningBroken(name=name, focus="pepr:hasCouplingScheme", detail={
            "en": f"the scheme is {scheme or 'not said'}; leaping or relaxed was expected",
            "fr": f"le schéma est {scheme or 'inconnu'} ; il faut leaping ou relaxed"})  # fmt: skip
    if period is None:
        raise ModelMeaningBroken(name=name, focus="pepr:hasPeriod", detail={
            "en": "leaping needs the period of the fast part", "fr": "leaping demande la période de la partie rapide",
        })  # fmt: skip
    found = Leaping(period)
    return Leaping(period, order or found.order, tolerance or found.tolerance)


def read_conserved(terms: Iterable[Term]) -> tuple[Conserved, ...]:
    """Return the conserved sums, in the order of their names."""
    sums: dict[str, dict[str, float]] = {}
    tolerances: dict[str, float] = {}
    for term in terms:
        sums.setdefault(term.sum, {})[term.symbol] = term.weight
        if term.tolerance is not None:
            tolerances[term.sum] = term.tolerance
    return tuple(
        Conserved(weights, tolerances[name]) if name in tolerances else Conserved(weights)
        for name, weights in sorted(sums.items())
    )
