"""A question as JSON: what `POST /evaluate` takes, and what a job keeps."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from pepr_kg.runs.errors import BadRequestField
from pepr_kg.runs.request import Request, read_moment, readable

# What each field of a question may be: a test of the JSON value, and what is expected in words.
_TEXT: Final = ("a text was expected", "il faut un texte")
_TEXTS: Final = ("a list of texts was expected", "il faut une liste de textes")
_NUMBER: Final = ("a finite number was expected", "il faut un nombre fini")
_NUMBERS: Final = ("a list of numbers was expected", "il faut une liste de nombres")
_WHOLE: Final = ("a whole number was expected", "il faut un nombre entier")
_TRUTH: Final = ("true, false or null was expected", "il faut true, false ou null")
_MOMENT: Final = (
    "a date or a time was expected, such as 2026-03-01 or 2026-03-01T12:00:00Z",
    "il faut une date ou un instant, comme 2026-03-01 ou 2026-03-01T12:00:00Z",
)
_UNKNOWN: Final = ("a question has no such field; known: {known}", "une demande n’a pas ce champ ; connus : {known}")
_MISSING: Final = ("name a model", "nommez un modèle")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _many(test: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(test(item) for item in value)


_KINDS: Final[Mapping[str, tuple[Callable[[object], bool], tuple[str, str]]]] = {
    "model": (_is_text, _TEXT), "cohort": (_is_text, _TEXT), "entities": (_many(_is_text), _TEXTS),
    "scenarios": (_many(_is_text), _TEXTS), "horizon": (_is_number, _NUMBER), "horizon_unit": (_is_text, _TEXT),
    "points": (_is_whole, _WHOLE), "at": (_many(_is_number), _NUMBERS), "samples": (_is_whole, _WHOLE),
    "seed": (_is_whole, _WHOLE), "as_of": (_is_text, _MOMENT), "fit": (lambda value: isinstance(value, bool), _TRUTH),
    "outputs": (_many(_is_text), _TEXTS), "rtol": (_is_number, _NUMBER), "level": (_is_number, _NUMBER),
    "who": (_is_text, _TEXT),
}  # fmt: skip
_NULLABLE: Final = frozenset({"cohort", "horizon", "horizon_unit", "fit", "outputs", "as_of"})


def read_request(sent: Mapping[str, Any]) -> Request:
    """Return the question that a JSON object states. Raises `BadRequestField`, which names the field.

    >>> read_request({"model": "score2", "cohort": "demo", "horizon": 10}).horizon
    10.0
    """
    chosen: dict[str, Any] = {}
    for name, value in sent.items():
        if name not in _KINDS:
            known = ", ".join(_KINDS)
            raise _bad(name, value, tuple(text.format(known=known) for text in _UNKNOWN))
        test, expected = _KINDS[name]
        if value is None and name in _NULLABLE:
            continue
        if not test(value):
            raise _bad(name, value, expected)
        chosen[name] = tuple(value) if isinstance(value, list) else value
    if "model" not in chosen:
        raise _bad("model", "-", _MISSING)
    for name in {"horizon", "rtol", "level"} & chosen.keys():
        chosen[name] = float(chosen[name])
    if "at" in chosen:
        chosen["at"] = tuple(float(value) for value in chosen["at"])
    if "as_of" in chosen:
        try:
            chosen["as_of"] = read_moment(chosen["as_of"])
        except ValueError as error:
            raise _bad("as_of", chosen["as_of"], _MOMENT) from error
    return Request(**chosen)


def write_request(request: Request) -> dict[str, Any]:
    """Return a question as a JSON object, which `read_request` reads back."""
    return {
        name: list(value) if isinstance(value, tuple) else value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(request).items()
    }


def _bad(name: str, value: object, expected: tuple[str, ...]) -> BadRequestField:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    detail = dict(zip(("en", "fr"), expected, strict=True))
    return BadRequestField(field=readable(name), value=readable(shown), detail=detail)
