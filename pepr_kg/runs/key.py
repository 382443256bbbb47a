"""The key of a run: a digest of all that its figures follow from, and of nothing else.

Equal keys mean equal figures (by one version of the program): a run that exists is then reused. The key is the SHA-256
of a JSON document, `Key.document`, which a run keeps; numbers stand there as hexadecimal, exact to the last bit.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import pepr_kg
from pepr_kg.twin.scenario import Intervention, Scenario

FORMAT: Final = 1
_ID: Final = 16  # digits of the key in a run's name


@dataclass(frozen=True, slots=True)
class Key:
    """`digest` is "sha256:" and 64 digits, `document` what it is of, as JSON takes it."""

    digest: str
    document: Mapping[str, Any]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Key":
        """Return the key of a document.

        >>> Key.of({"b": 1, "a": [2]}).digest == Key.of({"a": [2], "b": 1}).digest
        True
        """
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return cls(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", document)

    @property
    def name(self) -> str:
        """Return the name of the run that first has this key: its first digits."""
        return self.digest.removeprefix("sha256:")[:_ID]


def software() -> str:
    """Return the program and its version, as a run states it."""
    return f"pepr_kg {pepr_kg.__version__}"


def exact(value: float) -> str:
    """Return a number as text that reads back as the same bits.

    >>> exact(0.1), float.fromhex(exact(0.1)) == 0.1
    ('0x1.999999999999ap-4', True)
    """
    return float(value).hex()


def scenario_document(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as the key takes it."""
    return {
        "name": scenario.name,
        "changes": [
            [item.action, item.symbol, item.value if isinstance(item.value, str) else exact(item.value),
             None if item.at is None else exact(item.at), isinstance(item.value, str)]
            for item in scenario.interventions
        ],
    }  # fmt: skip


def read_scenario(document: Mapping[str, Any]) -> Scenario:
    """Return the scenario that `scenario_document` wrote.

    >>> plan = Scenario.scale("dose", 0.1, at=2.0) + Scenario.set("region", "low")
    >>> read_scenario(scenario_document(plan)) == plan
    True
    """
    return Scenario(
        document["name"],
        tuple(
            Intervention(action, symbol, value if text else float.fromhex(value), at and float.fromhex(at))
            for action, symbol, value, at, text in document["changes"]
        ),
    )


def columns_digest(columns: Iterable[pa.Array | np.ndarray[Any, np.dtype[Any]]]) -> str:
    """Return the SHA-256 of columns, in hexadecimal: of the bytes of numbers, and of the lengths and bytes of texts.

    >>> columns_digest([np.array([1.0])]) == columns_digest([np.array([1.0 + 2**-52])])
    False
    """
    digest = hashlib.sha256()
    for column in columns:
        if isinstance(column, np.ndarray):
            digest.update(f"{column.dtype.str}{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).view(np.uint8).data)
            continue
        text = pc.fill_null(column.cast(pa.large_string()), "")
        digest.update(np.ascontiguousarray(pc.binary_length(text).to_numpy(zero_copy_only=False)).data)
        for chunk in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
            digest.update(text_bytes(chunk))
    return digest.hexdigest()


def text_bytes(column: pa.Array) -> memoryview:
    """Return the bytes of a column of large strings one after the other, without a copy; nulls count as nothing."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return memoryview(b"")
    places = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[int(places[0]) : int(places[-1])]
