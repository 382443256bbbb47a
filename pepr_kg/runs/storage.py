"""The arrays of a run, in Parquet files beside the dataset.

    DATASET/runs/ID/trajectories.parquet     patient, scenario, time, outputs: one row group a block
    DATASET/runs/ID/inputs.parquet           every figure that was used (see `inputs`)
    DATASET/runs/.parts-KEY/NNNNN.parquet    the blocks that are done of a run that is not

Each column says its unit and its IRI in the metadata of its field; each file says the model, its digest, the key, the
program's version, and that this is for research. A part is written whole or not at all, and the next run with the same
key takes it over.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from pepr_kg.errors import DatasetError, DatasetReadOnly
from pepr_kg.runs.blocks import Computed
from pepr_kg.runs.executors import versions
from pepr_kg.runs.inputs import SCHEMA
from pepr_kg.runs.outcomes import Outcome
from pepr_kg.twin import Status
from pepr_kg.twin.result import NOTICE

RUNS: Final = "runs"
TRAJECTORIES: Final = "trajectories.parquet"
INPUTS: Final = "inputs.parquet"
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
STATES: Final = tuple(outcome.name.lower().replace("_", "-") for outcome in Outcome)
_EXTRA: Final = (("code", pa.int8()), ("rule", pa.int16()), ("ended", pa.float64()))  # of parts alone
_KEPT_SECONDS: Final = 7 * 86_400.0  # that the parts of a run which nobody finished stay
_METHODS: Final = "methods"
_PARTS: Final = 2  # which columns a part has

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the trajectories: `statistics` of each output, with its unit and its IRI; `about` is the file's
    own metadata.
    """

    outputs: tuple[str, ...]
    units: tuple[str, ...]
    iris: tuple[str, ...]
    statistics: tuple[str, ...]
    scenarios: tuple[str, ...]
    time_unit: str
    about: Mapping[str, str]

    def column(self, output: str, statistic: str) -> str:
        """Return the name of a column: the symbol alone where there is one statistic."""
        return output if len(self.statistics) == 1 else f"{output}.{statistic}"

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of the file."""
        fields = [
            pa.field("patient", _TEXT), pa.field("scenario", _TEXT),
            pa.field("time", pa.float64(), metadata={"unit": self.time_unit}),
            pa.field("status", _TEXT),
        ]  # fmt: skip
        if len(self.statistics) > 1:
            fields.append(pa.field("draws", pa.int32()))
        for output, unit, iri in zip(self.outputs, self.units, self.iris, strict=True):
            fields += [
                pa.field(self.column(output, name), pa.float64(), metadata={"unit": unit, "iri": iri})
                for name in self.statistics
            ]
        about = {f"notice_{lang}": text for lang, text in NOTICE.items()} | dict(self.about)
        return pa.schema(fields, metadata=about)


def outcome_of(status: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Return the outcomes of statuses of the evaluator.

    >>> [Outcome(code).name for code in outcome_of(np.array([0, 1, 5, 8], np.int8))]
    ['EVALUATED', 'NOT_FINITE', 'OUTSIDE_VALIDITY', 'NOT_CONVERGED']
    """
    known = {
        Status.DONE: Outcome.EVALUATED, Status.NOT_FINITE: Outcome.NOT_FINITE,
        Status.NOT_VALID: Outcome.OUTSIDE_VALIDITY,
    }  # fmt: skip
    table = np.full(int(max(Status)) + 1, int(Outcome.NOT_CONVERGED), np.int8)
    for code, outcome in known.items():
        table[code] = outcome
    return table[status]


def estimate_columns(symbol: str) -> tuple[str, str]:
    """Return the columns of parts in which the mode and the standard deviation of a fitted parameter stand."""
    return f"mode.{symbol}", f"deviation.{symbol}"


def to_table(
    layout: Layout, grid: Array, keys: pa.Array, starts: Array | None, done: Computed, *, estimated: Sequence[str] = ()
) -> pa.Table:  # fmt: skip
    """Return what a block gave as rows (patient, scenario, time), the last fastest; with the columns of parts.

    `keys` are the patients of the block, `starts` the model's time at the start of each, None for zero. What is
    `estimated` of a patient stands in the first of its rows.
    """
    _, _, patients, scenarios, times = done.data.shape
    every = np.arange(patients * scenarios)
    own = np.broadcast_to(grid, (patients, times)) if starts is None else starts[:, None] + grid
    columns: list[pa.Array] = [
        _coded(np.repeat(every // scenarios, times), keys),
        _coded(np.repeat(every % scenarios, times), layout.scenarios),
        pa.array(np.repeat(own, scenarios, axis=0).reshape(-1)),
        _coded(np.repeat(outcome_of(done.status).reshape(-1), times), STATES),
    ]
    if len(layout.statistics) > 1:
        columns.append(pa.array(np.repeat(done.draws.reshape(-1), times)))
    for output in done.data.transpose(1, 0, 2, 3, 4):
        for values in output:
            flat = values.reshape(-1)
            columns.append(pa.array(flat, mask=~np.isfinite(flat)))
    columns += [pa.array(np.repeat(done.status.reshape(-1), times)), pa.array(np.repeat(done.rule.reshape(-1), times)),
                pa.array(np.repeat(done.ended.reshape(-1), times))]  # fmt: skip
    schema = layout.schema
    for name, kind in _EXTRA:
        schema = schema.append(pa.field(name, kind))
    for symbol, pair in zip(estimated, done.estimates.transpose(1, 0, 2), strict=False):
        for name, values in zip(estimate_columns(symbol), pair, strict=True):
            flat = np.full(patients * scenarios * times, np.nan)
            flat[:: scenarios * times] = values
            columns.append(pa.array(flat, mask=~np.isfinite(flat)))
            schema = schema.append(pa.field(name, pa.float64()))
    return pa.Table.from_arrays(columns, schema=schema.with_metadata({_METHODS: json.dumps(done.methods)}))


def methods_of(part: pa.Table) -> tuple[str, ...]:
    """Return how the figures of a part were computed."""
    return tuple(json.loads((part.schema.metadata or {}).get(_METHODS.encode(), b"[]")))


def _coded(codes: npt.NDArray[Any], names: "pa.Array | Sequence[str]") -> pa.Array:
    known = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), known)


@contextmanager
def writing_trajectories(path: Path, layout: Layout) -> Iterator["Trajectories"]:
    """Give a file to which parts are added, each as one row group."""
    with parquet.ParquetWriter(path, layout.schema, **_options(layout.schema)) as writer:
        yield Trajectories(writer, layout.schema)


@dataclass(frozen=True, slots=True)
class Trajectories:
    """A file of trajectories in the making."""

    writer: parquet.ParquetWriter
    schema: pa.Schema

    def add(self, part: pa.Table) -> None:
        """Add the rows of a part."""
        rows = part.select(self.schema.names).cast(self.schema)
        self.writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def conclude(self, methods: Sequence[str]) -> None:
        """Say how the figures were computed."""
        self.writer.add_key_value_metadata({_METHODS: ", ".join(methods)})


def write_inputs(path: Path, table: pa.Table, about: Mapping[str, str]) -> None:
    """Write the table of inputs."""
    schema = table.schema.with_metadata({f"notice_{lang}": text for lang, text in NOTICE.items()} | dict(about))
    parquet.write_table(table.cast(schema), path, **_options(schema))


def read_inputs(path: Path) -> tuple[pa.Table, dict[str, str]]:
    """Return the table of inputs and what the file says of itself."""
    table = parquet.read_table(path)
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return table.cast(SCHEMA), about


def about_inputs(path: Path) -> dict[str, str]:
    """Return what a file of inputs says of itself, without reading its rows."""
    about = parquet.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in about.items()}


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Return how columns are packed: texts by a dictionary, numbers by their bytes in streams."""
    texts = [item.name for item in schema if pa.types.is_dictionary(item.type) or pa.types.is_string(item.type)]
    floats = [item.name for item in schema if pa.types.is_floating(item.type)]
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": texts, "use_byte_stream_split": floats}


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn what the disk refuses (rights, room) into one sentence, `DatasetReadOnly`."""
    try:
        yield
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetReadOnly(path=path, detail=error.strerror or error) from error


# ---- Parts -----------------------------------------------------------------------------------------------------------


class Parts:
    """The blocks that are done of a run; a context, at whose end the folder is left for the next with the same key."""

    def __init__(self, runs: Path, key: str) -> None:
        """Open the parts of the run with this key; where another process computes it just now, some of our own."""
        with on_disk(runs):
            runs.mkdir(parents=True, exist_ok=True)
            _forget(runs)
            self.folder = runs / f".parts-{key}"
            self._lock = _claim(self.folder)
            self._own = self._lock is None
            if self._own:
                self.folder = runs / f".parts-{key}-{os.getpid()}-{time.monotonic_ns()}"
                self._lock = _claim(self.folder)
            self._check()

    def _check(self) -> None:
        """Remove parts that another version of the program made: its bits are not ours, nor are its columns."""
        about = json.dumps((*versions(), _PARTS))
        mark = self.folder / "versions.json"
        if not mark.is_file() or mark.read_text(encoding="utf-8") != about:
            for path in self.folder.glob("*.parquet"):
                path.unlink()
            mark.write_text(about, encoding="utf-8")

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self.remove()
        if self._lock is not None:
            self._lock.close()

    def done(self) -> frozenset[int]:
        """Return the numbers of the blocks that are done."""
        return frozenset(int(path.stem) for path in self.folder.glob("[0-9]*.parquet"))

    def write(self, number: int, table: pa.Table) -> None:
        """Keep what a block gave."""
        path = self._path(number)
        making = path.with_suffix(".making")
        texts = [item.name for item in table.schema if pa.types.is_dictionary(item.type)]
        with on_disk(self.folder):
            parquet.write_table(table, making, compression="none", use_dictionary=texts)
            making.replace(path)

    def read(self, number: int) -> pa.Table:
        """Return what a block gave."""
        return parquet.read_table(self._path(number), partitioning=None)

    def remove(self) -> None:
        """Forget the parts: the run is written, or nobody wants it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.parquet"


def _claim(folder: Path) -> IO[str] | None:
    """Lock a folder of parts; None where another process has it."""
    path = folder / "lock"
    while True:
        folder.mkdir(exist_ok=True)
        try:
            file = path.open("w")
        except FileNotFoundError:
            continue  # whoever had it has just removed it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()  # the lock of a folder that is gone


def _forget(runs: Path) -> None:
    """Remove the parts that nobody has come back to, and what a killed writer left."""
    for folder in (*runs.glob(".parts-*"), *runs.glob(".new-*")):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _KEPT_SECONDS and (lock := _claim(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()
