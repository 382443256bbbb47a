"""The dataset: named graphs in embedded Oxigraph, seen through a `View`, changed by a `Change`.

On disk a dataset is a folder of immutable versions:

    DIR/CURRENT                        the name of the version in service
    DIR/versions/NAME/store            an Oxigraph database, opened read-only by every reader
    DIR/versions/NAME/manifest.json
    DIR/lock                           held by the one writer

A change works on a copy (hard links, milliseconds) and replaces `CURRENT` as its last
step, so a reader never sees half a change and a killed writer leaves the old version in
service. A version is deleted when nobody has it open any more.

>>> import tempfile
>>> dataset = Dataset(Path(tempfile.mkdtemp()) / "data")
>>> with dataset.change(who="example", source="docstring") as change:
...     _ = change.add([Quad(NamedNode("urn:a"), NamedNode("urn:b"), Literal(1), NamedNode("urn:g"))])
...     view = change.commit()
>>> view.select("SELECT ?o WHERE { ?s ?p ?o }").rows[0][0].value
'1'
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from pyoxigraph import (
    BlankNode,
    Literal,
    NamedNode,
    Quad,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Store,
    Triple,
    Variable,
)

from pepr_kg.errors import DatasetDamaged, DatasetError, DatasetLocked, DatasetMissing, DatasetReadOnly, DataSyntaxError
from pepr_kg.manifest import Manifest
from pepr_kg.rdf import Table, Term, content_digest, parse_file, serialize_triples, syntax_position
from pepr_kg.view import Answer, Form, View, claim_version

__all__ = [
    "Answer", "BlankNode", "Change", "Dataset", "Form", "Literal", "Manifest", "NamedNode", "Quad",
    "QueryResultsFormat", "RdfFormat", "Table", "Term", "Triple", "Variable", "View", "parse_file",
    "serialize_triples",
]  # fmt: skip

_VERSION: Final = re.compile(r"\d{6}-[0-9a-f]{12}")
_MAKING: Final = "making"  # the version that a writer has in hand


class Dataset:
    """A dataset's folder. It holds no data open but the latest view."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._latest: tuple[str, View] | None = None

    def view(self) -> View:
        """Return the view of the version in service; the same object until a change is committed.

        Raises `DatasetMissing`, `DatasetTooNew` or `DatasetDamaged`.
        """
        name = self.current()
        if name is None:
            raise DatasetMissing(path=self.path)
        if self._latest is None or self._latest[0] != name:
            try:
                self._latest = name, View.open(self.path / "versions" / name)
            except DatasetDamaged:
                # A writer may have replaced and deleted the version since its name was read.
                if self.current() == name:
                    raise
                return self.view()
        return self._latest[1]

    def current(self) -> str | None:
        """Return the name of the version in service, or None before the first.

        Without its pointer (a writer killed between its last two steps, a file lost) the newest
        whole version is in service. Raises `DatasetDamaged` for a pointer that names no version.
        """
        try:
            name = (self.path / "CURRENT").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            name = ""
        except (OSError, ValueError) as error:
            raise DatasetDamaged(path=self.path, detail=error) from error
        if _VERSION.fullmatch(name):
            return name
        if name:
            raise DatasetDamaged(path=self.path, detail=f"CURRENT: {name!r}")
        return max(self.versions(), default=None)

    def versions(self) -> list[str]:
        """Return the names of the whole versions on disk, oldest first."""
        folder = self.path / "versions"
        try:
            return sorted(
                item.name for item in folder.iterdir()
                if _VERSION.fullmatch(item.name) and (item / "manifest.json").is_file()
            )  # fmt: skip
        except OSError:
            return []

    def change(self, who: str, source: str, inputs: str | None = None) -> "Change":
        """Return a change to be filled and committed; it holds the writer's lock until it ends.

        `inputs` is the digest of the files that a build reads; other changes keep the last one.

        Raises `DatasetReadOnly`, `DatasetLocked`, and what `view` raises.
        """
        return Change(self, who, source, inputs)


class Change:
    """What goes in, as one unit: committed whole or not at all.

    Used as a context manager; what was not committed when the block ends is dropped.
    """

    def __init__(self, dataset: Dataset, who: str, source: str, inputs: str | None) -> None:
        self._dataset, self._who, self._source = dataset, who, source
        self._versions = dataset.path / "versions"
        self._folder = self._versions / _MAKING
        self._store: Store | None = None
        with _writing(dataset.path):
            self._versions.mkdir(parents=True, exist_ok=True)
            self._lock = (dataset.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise DatasetLocked(path=dataset.path) from error
        try:
            # What is there is opened before anything is cleaned away: a damaged dataset loses nothing here.
            before = dataset.view() if dataset.current() is not None else None
            self._digest = before.version if before else "0"
            self._inputs = (before.manifest.inputs if before else "") if inputs is None else inputs
            self._counts = Counter(before.manifest.graphs if before else {})  # triples by graph, kept up to date
            self._serial = _serial(dataset.current()) + 1
            with _writing(dataset.path):
                self._remove_unused()
                self._folder.mkdir()
                if before:
                    before._store.backup(str(self._folder / "store"))  # noqa: SLF001  the two rooms share a wall
                self._store = Store(str(self._folder / "store"))
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> "Change":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def add(self, quads: Iterable[Quad]) -> int:
        """Add quads; return how many were new."""
        store = self._open_store()
        new = [quad for quad in _as_stored(quads) if quad not in store]
        with _writing(self._dataset.path):
            store.bulk_extend(new)
        self._digest = f"{content_digest(new, self._digest):064x}"
        self._counts.update(str(quad.graph_name.value) for quad in new if isinstance(quad.graph_name, NamedNode))
        return len(new)

    def bulk(self, document: bytes | Path | Iterable[bytes | Path], graph: NamedNode) -> int:
        """Add an N-Triples document, or several as they come, to a graph; return how many triples were new.

        At the engine's own speed, for what was computed as columns. The digest takes a document as a whole: the same
        triples that `add` brings one by one give another version. Raises `DataSyntaxError`; the change is then to be
        dropped.
        """
        store, marks = self._open_store(), 0
        for one in [document] if isinstance(document, bytes | Path) else document:
            digest = _bulk_load(store, one, graph, self._dataset.path)
            marks += int(hashlib.sha256(f"{graph.value} {digest}".encode()).hexdigest(), 16)
        before, after = self._counts[graph.value], _count(store, graph)
        if after > before:
            self._digest = f"{(int(self._digest, 16) + marks) % (1 << 256):064x}"
            self._counts[graph.value] = after
        return after - before

    def remove(self, quads: Iterable[Quad]) -> int:
        """Remove quads; return how many were there."""
        store = self._open_store()
        gone = [quad for quad in _as_stored(quads) if quad in store]
        with _writing(self._dataset.path):
            for quad in gone:
                store.remove(quad)
        self._digest = f"{(int(self._digest, 16) - content_digest(gone)) % (1 << 256):064x}"
        self._counts.subtract(str(quad.graph_name.value) for quad in gone if isinstance(quad.graph_name, NamedNode))
        return len(gone)

    def clear(self, graph: NamedNode) -> int:
        """Remove every quad of a graph; return how many."""
        return self.remove(list(self._open_store().quads_for_pattern(None, None, None, graph)))

    def load(self, path: Path, graph: NamedNode) -> int:
        """Add an RDF file; return how many quads were new. Raises what `parse_file` raises."""
        return self.add(parse_file(path, graph))

    def commit(self, check: Callable[[View], None] | None = None) -> View:
        """Put the change in service and return its view.

        `check` sees the dataset as it would be; when it raises, nothing is changed.
        """
        manifest = self._manifest()
        if check:
            check(View(self._open_store(), manifest, self._folder))
        store = self._open_store()
        folder = self._dataset.path
        with _writing(folder):
            store.flush()
            store.optimize()
            self._store = None
            del store  # closes the database
            manifest.write(self._folder)
            (self._folder / "claim").touch()
            _sync(self._folder)
            name = f"{self._serial:06d}-{manifest.digest[:12]}"
            self._folder.rename(self._versions / name)
            _sync(self._versions)
            pointer = folder / "CURRENT.new"
            with pointer.open("w", encoding="utf-8") as file:
                file.write(name + "\n")
                file.flush()
                os.fsync(file.fileno())
            pointer.replace(folder / "CURRENT")
            _sync(folder)
        view = self._dataset.view()
        self.drop()
        return view

    def _manifest(self) -> Manifest:
        store = self._open_store()
        for graph in [graph for graph, count in self._counts.items() if count <= 0]:
            store.remove_graph(NamedNode(graph))
            del self._counts[graph]
        graphs = {graph: self._counts[graph] for graph in sorted(self._counts)}
        return Manifest.now(f"{int(self._digest, 16):064x}", self._who, self._source, graphs, self._inputs)

    def drop(self) -> None:
        """Forget what was not committed and let the next writer in."""
        if self._lock.closed:
            return
        self._store = None
        self._remove_unused()
        self._lock.close()

    def _open_store(self) -> Store:
        if self._store is None:
            raise ValueError("this change has ended")
        return self._store

    def _remove_unused(self) -> None:
        """Delete what a killed writer left and the old versions that no reader holds; nothing else, ever."""
        current = self._dataset.current()
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in self._dataset.versions():
            if name != current and (claim := claim_version(self._versions / name, fcntl.LOCK_EX)):
                shutil.rmtree(self._versions / name, ignore_errors=True)
                claim.close()


def _bulk_load(store: Store, document: bytes | Path, graph: NamedNode, folder: Path) -> str:
    """Add an N-Triples document to a graph and return its SHA-256. Raises `DataSyntaxError`."""
    try:
        with _writing(folder):
            if isinstance(document, Path):
                store.bulk_load(path=str(document), format=RdfFormat.N_TRIPLES, to_graph=graph)
                return file_digest(document)
            store.bulk_load(document, RdfFormat.N_TRIPLES, to_graph=graph)
            return hashlib.sha256(document).hexdigest()
    except SyntaxError as error:
        line, column, detail = syntax_position(error)
        name = document if isinstance(document, Path) else graph.value
        raise DataSyntaxError(path=name, line=line, column=column, detail=detail) from error


def _count(store: Store, graph: NamedNode) -> int:
    """Return the number of triples of a graph, counted by the engine."""
    solutions = store.query("SELECT (COUNT(*) AS ?count) WHERE { ?s ?p ?o }", default_graph=[graph])
    return int(next(iter(solutions))[0].value) if isinstance(solutions, QuerySolutions) else 0


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_stored(quads: Iterable[Quad]) -> Store:
    """Return the quads as Oxigraph keeps them: it rewrites literals, and the digest is of what is stored."""
    stored = Store()
    stored.bulk_extend(quads)
    return stored


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses (rights, room, a lost mount) into one sentence."""
    try:
        yield
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetReadOnly(path=path, detail=error.strerror or error) from error


def _sync(folder: Path) -> None:
    """Make what was written in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _serial(name: str | None) -> int:
    return int(name.partition("-")[0]) if name else 0
