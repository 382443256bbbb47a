"""What-if: a named list of interventions on parameters, inputs and states, at the start or at a time.

>>> Scenario.scale("dose", 0.5).name
'dose × 0.5'
>>> (Scenario.set("Emax", 0.8) + Scenario.dose("A", 100.0, times=(0.0, 24.0))).interventions[-1].at
24.0
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from pepr_kg.twin.errors import BadScenario

SIGNS = {"set": "=", "scale": "×", "add": "+", "dose": "+"}


@dataclass(frozen=True, slots=True)
class Intervention:
    """One change: `action` is "set", "scale", "add" or "dose"; `at` is a time of the model, None the start of the run.

    What is set may be the text of a category. What is added has the unit of the symbol, a dose that of its amount.
    """

    action: str
    symbol: str
    value: float | str
    at: float | None = None

    def __post_init__(self) -> None:
        if self.action not in SIGNS:
            raise BadScenario(
                symbol=self.symbol,
                detail={
                    "en": f'"{self.action}" is not an action; use set, scale, add or dose',
                    "fr": f"« {self.action} » n’est pas une action ; employez set, scale, add ou dose",
                },
            )
        text = isinstance(self.value, str)
        if text and self.action != "set":
            raise BadScenario(
                symbol=self.symbol,
                detail={
                    "en": f'the text "{self.value}" can be set, and nothing else be done with it',
                    "fr": f"le texte « {self.value} » ne peut que remplacer une valeur (set)",
                },
            )
        finite = text or math.isfinite(float(self.value))
        if not finite or (self.at is not None and not math.isfinite(self.at)):
            raise BadScenario(
                symbol=self.symbol,
                detail={
                    "en": f"the value ({self.value}) and the time ({self.at}) must be finite numbers",
                    "fr": f"la valeur ({self.value}) et l’instant ({self.at}) doivent être des nombres finis",
                },
            )

    def __str__(self) -> str:
        when = "" if self.at is None else f" @ {self.at:g}"
        return f"{self.symbol} {SIGNS[self.action]} {_shown(self.value)}{when}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name and what is changed. Add two to have both; the later one comes after where both touch a symbol."""

    name: str
    interventions: tuple[Intervention, ...] = ()

    @classmethod
    def base(cls) -> "Scenario":
        """Return the scenario that changes nothing."""
        return cls("base")

    @classmethod
    def set(cls, symbol: str, value: float | str, at: float | None = None) -> "Scenario":
        """Return the scenario in which `symbol` has `value`, from the start or from `at` on."""
        return cls._of(Intervention("set", symbol, value, at))

    @classmethod
    def scale(cls, symbol: str, factor: float, at: float | None = None) -> "Scenario":
        """Return the scenario in which `symbol` is multiplied by `factor`."""
        return cls._of(Intervention("scale", symbol, factor, at))

    @classmethod
    def add(cls, symbol: str, amount: float, at: float | None = None) -> "Scenario":
        """Return the scenario in which `amount` is added to `symbol`."""
        return cls._of(Intervention("add", symbol, amount, at))

    @classmethod
    def dose(cls, symbol: str, amount: float, times: Iterable[float]) -> "Scenario":
        """Return the scenario in which `amount` (not negative, in the unit of the amount of `symbol`) is given at
        each of `times`.

        Raises `BadScenario` for a negative amount, for no times and for times that do not increase.
        """
        moments = tuple(float(time) for time in times)
        if amount < 0 or not moments or any(b <= a for a, b in itertools.pairwise(moments)):
            raise BadScenario(
                symbol=symbol,
                detail={
                    "en": f"a dose needs an amount not below zero ({amount:g}) and times that increase {moments}",
                    "fr": f"il faut une quantité non négative ({amount:g}) et des instants croissants {moments}",
                },
            )
        entries = tuple(Intervention("dose", symbol, amount, time) for time in moments)
        return cls(f"{symbol} + {amount:g} @ {', '.join(f'{time:g}' for time in moments)}", entries)

    @classmethod
    def _of(cls, intervention: Intervention) -> "Scenario":
        return cls(str(intervention), (intervention,))

    def __add__(self, other: "Scenario") -> "Scenario":
        entries = self.interventions + other.interventions
        names = [item.name for item in (self, other) if item.interventions]
        _refuse_contradiction(entries)
        return Scenario(", ".join(names) or self.name, entries)

    def named(self, name: str) -> "Scenario":
        """Return the same changes under another name."""
        return Scenario(name, self.interventions)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _refuse_contradiction(entries: tuple[Intervention, ...]) -> None:
    """Raise `BadScenario` where one symbol is set to two values at the same time."""
    seen: dict[tuple[str, float | None], float | str] = {}
    for entry in entries:
        if entry.action == "set" and seen.setdefault((entry.symbol, entry.at), entry.value) != entry.value:
            one, other = _shown(seen[entry.symbol, entry.at]), _shown(entry.value)
            raise BadScenario(
                symbol=entry.symbol,
                detail={
                    "en": f"it is set to {one} and to {other} at the same time",
                    "fr": f"on lui donne {one} et {other} au même instant",
                },
            )
