"""What is asked of the evaluator: whom, with which model, under which scenarios, until when, how often, how exactly.

>>> asked = Request("theophylline", cohort="theophylline", scenarios=("base", "half: dose_mg_per_kg*0.5"), samples=100)
>>> asked.levels
(0.05, 0.5, 0.95)
>>> asked.statistics
('mean', 'q05', 'q50', 'q95')
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pepr_kg.runs.errors import BadRequestField

_ONE = ("value",)  # what is kept of a single sample


def end_of_today() -> datetime:
    """Return the last second of today (UTC): asked twice on one day, a question is the same."""
    return datetime.now(UTC).replace(hour=23, minute=59, second=59, microsecond=0)


def read_moment(text: str) -> datetime:
    """Return the moment that a text names, in UTC where it has no zone: of a date its end, so that all the day counts.

    Raises `ValueError`.

    >>> read_moment("2026-11-01").isoformat(), read_moment("2026-11-01T12:00:00+01:00").isoformat()
    ('2026-11-01T23:59:59+00:00', '2026-11-01T12:00:00+01:00')
    """
    found = datetime.fromisoformat(text)
    if "T" not in text and " " not in text.strip():
        found = found.replace(hour=23, minute=59, second=59)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    model: a name, a short form or an IRI. cohort and entities: a cohort, some entities of the graph, or some of a
    cohort. scenarios: expressions (see `scenarios`) or IRIs of scenarios that the model declares; none: the base alone.
    horizon: from the start of the evaluation, in `horizon_unit` (a UCUM code, by default the model's time unit); None
    takes the model's usual one. points: of the grid from the start to the horizon, both included. at: further times, in
    the same unit, whose predictions stand in the graph beside those of the horizon. samples: parameter draws for each
    patient. as_of: what was observed later is not looked at. fit: whether the individual parameters are found from the
    observations; None does so where the model and the observations allow it. outputs: symbols of the model; None takes
    what it declares. level: of the interval between the outer quantiles. who: who asks, an IRI or a name.

    Raises `BadRequestField` for a number that cannot be.
    """

    model: str
    cohort: str | None = None
    entities: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    horizon: float | None = None
    horizon_unit: str | None = None
    points: int = 25
    at: tuple[float, ...] = ()
    samples: int = 1
    seed: int = 0
    as_of: datetime = field(default_factory=end_of_today)
    fit: bool | None = None
    outputs: tuple[str, ...] | None = None
    rtol: float = 1e-6
    level: float = 0.9
    who: str = ""

    def __post_init__(self) -> None:
        _check("points", self.points, self.points >= 1, "at least 1 was expected", "il faut au moins 1")
        _check("samples", self.samples, self.samples >= 1, "at least 1 was expected", "il faut au moins 1")
        _check("seed", self.seed, self.seed >= 0, "it must not be negative", "elle ne peut pas être négative")
        between = ("a number between 0 and 1 was expected", "il faut un nombre entre 0 et 1")
        # Both ends of the interval are named to six places, and must not meet.
        narrow = ("a number from 0.000002 to 0.999998 was expected", "il faut un nombre de 0,000002 à 0,999998")
        _check("level", self.level, 0.0 < round((1.0 - self.level) / 2.0, 6) < 0.5, *narrow)
        _check("rtol", self.rtol, 0.0 < self.rtol < 1.0, *between)
        fine = ("a finite number that is not negative was expected", "il faut un nombre fini et non négatif")
        for name, values in (("horizon", (self.horizon or 0.0,)), ("at", self.at)):
            for value in values:
                _check(name, value, 0.0 <= value < math.inf, *fine)
        self._check_texts()
        if not self.model.strip():
            _check("model", "-", False, "name a model", "nommez un modèle")

    def _check_texts(self) -> None:
        """Refuse what UTF-8 cannot write: a lone surrogate, of JSON ("\\ud800") or of bytes on the command line."""
        one = {"model": self.model, "cohort": self.cohort, "horizon_unit": self.horizon_unit, "who": self.who}
        many = {"entities": self.entities, "scenarios": self.scenarios, "outputs": self.outputs or ()}
        for name, texts in {**{name: (text or "",) for name, text in one.items()}, **many}.items():
            for text in texts:
                shown = readable(text)
                _check(name, shown, shown == text, "it is no Unicode text", "ce n’est pas un texte Unicode")

    @property
    def levels(self) -> tuple[float, ...]:
        """Return the quantiles that are kept of several samples; none of a single one."""
        if self.samples == 1:
            return ()
        tail = round((1.0 - self.level) / 2.0, 6)
        return tail, 0.5, round(1.0 - tail, 6)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Return what is kept of each output: its value, or of several samples the mean and the quantiles."""
        return ("mean", *(quantile_name(level) for level in self.levels)) if self.samples > 1 else _ONE

    @property
    def moment(self) -> datetime:
        """Return `as_of` in UTC, to the second, as a run states it; a time without a zone is taken as UTC."""
        moment = self.as_of.replace(microsecond=0)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def readable(text: str) -> str:
    """Return a text as it can be shown: with a question mark for what is no Unicode character.

    >>> readable("a\\ud800")
    'a?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def quantile_name(level: float) -> str:
    """Return the name of a quantile's column.

    >>> quantile_name(0.05), quantile_name(0.5), quantile_name(0.975)
    ('q05', 'q50', 'q975')
    """
    return "q" + f"{level:.6f}"[2:].rstrip("0").ljust(2, "0")


def _check(name: str, value: object, fine: bool, en: str, fr: str) -> None:
    if not fine:
        raise BadRequestField(field=name, value=value, detail={"en": en, "fr": fr})
