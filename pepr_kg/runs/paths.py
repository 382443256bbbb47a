"""Property paths of bindings: read by a small grammar before they go into a query.

    path     := sequence ( "|" sequence )*
    sequence := step ( "/" step )*
    step     := "^"? ( IRI | prefixed name | "(" path ")" ) ( "*" | "+" | "?" )?

Prefixes are those of the project; negated sets ("!") are not read. What comes back has every IRI in full and nothing
else in it, so that a path is all that it can add to a query.

>>> read_path("^sosa:hasFeatureOfInterest").text
'^<http://www.w3.org/ns/sosa/hasFeatureOfInterest>'
>>> read_path("pepr:birthDate").is_step, read_path("pepr:hasSex/skos:exactMatch*").is_step
(True, False)
>>> read_path("pepr:birthDate } # ").text
Traceback (most recent call last):
pepr_kg.runs.paths.PathError: "}" does not belong in a property path
"""

import re
from dataclasses import dataclass
from typing import Final

from pepr_kg.errors import UnknownPrefix
from pepr_kg.namespaces import expand

_LONGEST: Final = 1000  # characters
_DEEPEST: Final = 16  # brackets within brackets
_TOKEN: Final = re.compile(
    r"""
      \s*
      (?: <(?P<iri>[^<>"{}|^`\\\x00-\x20]+)>
        | (?P<name>[A-Za-z][\w-]*:[A-Za-z0-9_](?:[\w-]|\.(?=[\w-]))*)
        | (?P<sign>[\^/|()*+?])
        | (?P<other>\S)
      )
    """,
    re.VERBOSE | re.ASCII,
)


class PathError(ValueError):
    """A text that is no property path; `detail` says why in each language."""

    def __init__(self, en: str, fr: str) -> None:
        self.detail = {"en": en, "fr": fr}
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class PropertyPath:
    """A path that was read: its `text` with IRIs in full, and whether it is one property, or one taken backwards."""

    text: str
    is_step: bool


def read_path(text: str) -> PropertyPath:
    """Return the property path that a text holds. Raises `PathError`."""
    if len(text) > _LONGEST:
        raise PathError(
            f"it is longer than {_LONGEST} characters; write a query",
            f"il dépasse {_LONGEST} caractères ; écrivez une requête",
        )
    tokens = _tokens(text)
    reader = _Reader(tokens)
    read = reader.path(0)
    if reader.at < len(tokens):
        raise _misplaced(tokens[reader.at])
    return PropertyPath(read, re.fullmatch(r"\^?<[^<>]*>", read) is not None)


def _tokens(text: str) -> list[str]:
    """Return the signs and the IRIs (in angle brackets) of a text, in order."""
    found: list[str] = []
    for match in _TOKEN.finditer(text.rstrip()):
        if match["other"]:
            sign = match["other"]
            raise PathError(
                f'"{sign}" does not belong in a property path',
                f"« {sign} » n’a pas sa place dans un chemin de propriétés",
            )
        if match["name"]:
            try:
                found.append(f"<{expand(match['name'])}>")
            except UnknownPrefix as error:
                raise PathError(error.message("en").rstrip("."), error.message("fr").rstrip(".")) from None
        else:
            found.append(f"<{match['iri']}>" if match["iri"] else match["sign"])
    return found


def _misplaced(token: str) -> PathError:
    return PathError(f'"{token}" is not expected where it stands', f"« {token} » n’est pas à sa place")


class _Reader:
    """Where the reading stands; each method returns the text of what it read."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self.at = 0

    def path(self, depth: int) -> str:
        if depth > _DEEPEST:
            raise PathError(
                f"it has more than {_DEEPEST} brackets within brackets",
                f"il a plus de {_DEEPEST} parenthèses emboîtées",
            )
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        return "|".join(parts)

    def _sequence(self, depth: int) -> str:
        parts = [self._step(depth)]
        while self._take("/"):
            parts.append(self._step(depth))
        return "/".join(parts)

    def _step(self, depth: int) -> str:
        back = "^" if self._take("^") else ""
        if self.at == len(self._tokens):
            raise PathError("a property is missing at its end", "il manque une propriété à la fin")
        if self._take("("):
            inner = f"({self.path(depth + 1)})"
            if not self._take(")"):
                raise PathError("a bracket is not closed", "une parenthèse n’est pas fermée")
        else:
            inner = self._tokens[self.at]
            if not inner.startswith("<"):
                raise _misplaced(inner)
            self.at += 1
        times = next((sign for sign in "*+?" if self._take(sign)), "")
        return back + inner + times

    def _take(self, sign: str) -> bool:
        if self.at < len(self._tokens) and self._tokens[self.at] == sign:
            self.at += 1
            return True
        return False
