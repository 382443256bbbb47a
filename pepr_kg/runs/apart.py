"""Queries that somebody wrote into a binding, in a process that is stopped when they run too long.

It is the machinery of strangers' queries (`workers`): the process may open no connection (where the kernel cannot
refuse sockets alone, no file either: `confinement`), takes no more memory than its bound, and is killed at its
deadline.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pepr_kg.columns import read_columns
from pepr_kg.errors import NotAcceptable, PeprError, QueryTimeout
from pepr_kg.settings import Settings
from pepr_kg.view import Form, View
from pepr_kg.workers import Workers

_AS_CSV: Final[Mapping[Form, str | None]] = {"solutions": "text/csv", "boolean": None, "triples": None}
# A whole cohort's values, which nobody waits for over HTTP: millions of rows, and no more than the server's memory.
_ANSWER_BYTES: Final = 2_000_000_000
# Comments, IRIs, strings, variables and prefixed names: what is left are the keywords.
_NO_KEYWORD: Final = re.compile(
    r"""\#[^\n]*|<[^<>\s]*>|\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[?$@]\w+|\w*:[\w:%.-]*""",
    re.DOTALL,
)


class Refused(ValueError):
    """A query that gave nothing; `detail` says why in each language."""

    def __init__(self, en: str, fr: str) -> None:
        self.detail = {"en": en, "fr": fr}
        super().__init__(en)


def select_apart(view: View, sparql: str, settings: Settings) -> pa.Table:
    """Return the answer of a SELECT as columns of strings, within `binding_seconds`.

    It starts an event loop, so it is called from a thread that has none. Raises `Refused` for a query that is no
    SELECT, that calls another server, that is wrong, or that takes too long or too much.
    """
    if re.search(r"\bSERVICE\b", _NO_KEYWORD.sub(" ", sparql), re.IGNORECASE):
        raise Refused("it calls another server (SERVICE)", "elle appelle un autre serveur (SERVICE)")
    limits = replace(settings, query_seconds=settings.binding_seconds, query_workers=1, result_bytes=_ANSWER_BYTES)
    try:
        answer = asyncio.run(_answer(view, sparql, limits))
    except NotAcceptable as error:
        raise Refused("a SELECT was expected", "une requête SELECT était attendue") from error
    except QueryTimeout as error:
        shown = f"{limits.query_seconds:g}"
        raise Refused(
            f"it ran longer than {shown} s and was stopped; make it simpler, or raise PEPR_KG_BINDING_SECONDS",
            f"elle a duré plus de {shown.replace('.', ',')} s et a été arrêtée ; simplifiez-la ou augmentez "
            "PEPR_KG_BINDING_SECONDS",
        ) from error
    except PeprError as error:
        raise Refused(error.message("en").rstrip("."), error.message("fr").rstrip(".")) from error
    return read_columns(answer)


async def _answer(view: View, sparql: str, settings: Settings) -> bytes:
    workers = Workers(settings)
    workers.start()
    try:
        return (await workers.answer(view, sparql, _AS_CSV)).body
    finally:
        await workers.close()
