"""What a query's text says before it is run: whether it updates, names its dataset, or calls other servers.

This reads tokens, not grammar: comments, strings, IRIs, variables and prefixed names are
skipped, so that only keywords are left. It serves clear error messages; what keeps a query
from reaching the network is the operating system (see `pepr_kg.workers`).

>>> scan("SELECT * FROM <urn:g> { ?s ?p 'SERVICE' } # LOAD").names_dataset
True
>>> scan("SELECT * { ?service ?p 'SERVICE' } # SERVICE").calls_service
False
>>> scan("PREFIX : <urn:> INSERT DATA { :a :b :c }").updates
True
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_UPDATES: Final = frozenset(
    {"INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH"}
)  # fmt: skip
_FORMS: Final = frozenset({"SELECT", "ASK", "CONSTRUCT", "DESCRIBE"})
# Functions whose value changes from one run to the next: such an answer must not be cached.
_VOLATILE: Final = frozenset({"NOW", "RAND", "UUID", "STRUUID"})
# Only shorter texts are remembered: what strangers send must not fill the memory.
_SHORT: Final = 4_096

# Possessive quantifiers (`*+`), and strings that may lack their end: a hostile text costs
# time in proportion to its length.
_TOKEN: Final = re.compile(
    r"""
      \s++
    | \#[^\n\r]*+
    | <(?:[^<>"{}|^`\\\x00-\x20]|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8})*+>
    | \"\"\"(?:[^"\\]|\\.|\"{1,2}(?!\"))*+(?:\"\"\")?
    | '''(?:[^'\\]|\\.|'{1,2}(?!'))*+(?:''')?
    | "(?:[^"\\\n\r]|\\.)*+"?
    | '(?:[^'\\\n\r]|\\.)*+'?
    | [?$]\w++
    | @[A-Za-z][A-Za-z0-9-]*+
    | (?P<word>[^\W\d]\w*+)[\w.-]*+(?P<local>:(?:[\w:%.-]|\\.)*+)?
    | :(?:[\w:%.-]|\\.)*+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found. `form` is the first keyword that says what the text is, in capitals, or empty."""

    form: str
    names_dataset: bool
    calls_service: bool
    is_volatile: bool

    @property
    def updates(self) -> bool:
        """Whether the text is an update."""
        return self.form in _UPDATES


def scan(text: str) -> Scan:
    """Return what the keywords of a text say."""
    return _scan_again(text) if len(text) < _SHORT else _scan(text)


def _scan(text: str) -> Scan:
    words = [match["word"].upper() for match in _TOKEN.finditer(text) if match["word"] and not match["local"]]
    found = frozenset(words)
    form = next((word for word in words if word in _FORMS or word in _UPDATES), "")
    return Scan(form, "FROM" in found, "SERVICE" in found, bool(found & _VOLATILE))


_scan_again: Final = lru_cache(maxsize=512)(_scan)
