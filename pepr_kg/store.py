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
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from typing import Literal as OneOf

from pyoxigraph import (
    BlankNode,
    Literal,
    NamedNode,
    Quad,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    QueryTriples,
    RdfFormat,
    Store,
    Triple,
    Variable,
)

from pepr_kg.errors import (
    DatasetDamaged,
    DatasetLocked,
    DatasetMissing,
    DatasetReadOnly,
    NotAcceptable,
    QueryFailed,
    QuerySyntaxError,
    QueryTooLarge,
)
from pepr_kg.manifest import Manifest
from pepr_kg.rdf import (
    Table,
    Term,
    content_digest,
    parse_file,
    serialize_triples,
    syntax_position,
)

__all__ = [
    "Answer", "BlankNode", "Change", "Dataset", "Form", "Literal", "Manifest", "NamedNode", "Quad",
    "QueryResultsFormat", "RdfFormat", "Table", "Term", "Triple", "Variable", "View", "parse_file",
    "serialize_triples",
]  # fmt: skip

Form = OneOf["solutions", "boolean", "triples"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's answer as it leaves: `rows` is None for an RDF or a boolean answer."""

    form: Form
    media_type: str
    body: bytes


class View:
    """The dataset as one caller sees it, at one version.

    `graphs` are the named graphs that the caller may read; the default graph of a query is
    their union. `version` is the content digest: the key of every cache.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        path: Path,
        graphs: Sequence[NamedNode] | None = None,
        claim: IO[str] | None = None,
    ) -> None:
        self._store = store
        self._claim = claim  # while it is open, nobody deletes the version
        self._all = graphs is None
        self.path = path
        self.manifest = manifest
        self.version = manifest.digest
        named = [graph for graph in store.named_graphs() if isinstance(graph, NamedNode)]
        self.graphs = tuple(sorted(named, key=str) if graphs is None else graphs)

    @classmethod
    def open(cls, path: Path, graphs: Sequence[NamedNode] | None = None) -> "View":
        """Return a view of the version in the folder `path`.

        Raises `DatasetTooNew` or `DatasetDamaged`.
        """
        claim = _claim(path, fcntl.LOCK_SH)
        manifest = Manifest.read(path)
        try:
            store = Store.read_only(str(path / "store"))
        except (OSError, RuntimeError) as error:
            raise DatasetDamaged(path=path, detail=error) from error
        return cls(store, manifest, path, graphs, claim)

    def select(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> Table:
        """Return the table that a SELECT gives.

        `bindings` give variables their values as RDF terms; each such variable must stand in
        the SELECT clause (Oxigraph's rule). Raises `QuerySyntaxError` or `QueryFailed`.
        """
        solutions = self._query(sparql, bindings)
        if not isinstance(solutions, QuerySolutions):
            raise QueryFailed(detail="SELECT expected")
        columns = tuple(variable.value for variable in solutions.variables)
        try:
            return Table(columns, tuple(tuple(row) for row in solutions))
        except (RuntimeError, ValueError, OSError) as error:
            raise QueryFailed(detail=error) from error

    def ask(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> bool:
        """Return whether an ASK holds. Raises `QuerySyntaxError` or `QueryFailed`."""
        return bool(self._query(sparql, bindings))

    def construct(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> list[Triple]:
        """Return the triples of a CONSTRUCT or DESCRIBE. Raises `QuerySyntaxError` or `QueryFailed`."""
        triples = self._query(sparql, bindings)
        if not isinstance(triples, QueryTriples):
            raise QueryFailed(detail="CONSTRUCT or DESCRIBE expected")
        return list(triples)

    def quads(
        self,
        subject: NamedNode | BlankNode | None = None,
        predicate: NamedNode | None = None,
        object: Term | None = None,
        graph: NamedNode | None = None,
    ) -> Iterator[Quad]:
        """Yield the quads that fit the pattern, in the graphs of the view."""
        graphs = self.graphs if graph is None else [graph] if graph in self.graphs else []
        for name in graphs:
            yield from self._store.quads_for_pattern(subject, predicate, object, name)

    def triples(
        self,
        subject: NamedNode | BlankNode | None = None,
        predicate: NamedNode | None = None,
        object: Term | None = None,
    ) -> Iterator[Triple]:
        """Yield the triples that fit the pattern, each once, whatever graphs hold it."""
        seen = set()
        for quad in self.quads(subject, predicate, object):
            if quad.triple not in seen:
                seen.add(quad.triple)
                yield quad.triple

    def counts(self) -> dict[str, int]:
        """Return the number of triples of each graph, by the graph's IRI."""
        return {graph.value: self.manifest.graphs.get(graph.value, 0) for graph in self.graphs}

    def dump(self, kind: RdfFormat, graph: NamedNode | None = None) -> bytes:
        """Return a document of one graph, or of all graphs in a format that has graphs (TriG, N-Quads, JSON-LD)."""
        quads = sorted(self.quads(graph=graph), key=str)
        return serialize_triples(quads if kind.supports_datasets else [quad.triple for quad in quads], kind)

    def triples_of(self, graph: NamedNode) -> list[Triple]:
        """Return the triples of one graph."""
        return [quad.triple for quad in self.quads(graph=graph)]

    def answer(
        self,
        sparql: str,
        media_types: Mapping[Form, str | None],
        *,
        default_graphs: Sequence[str] | None = None,
        named_graphs: Sequence[str] | None = None,
        dataset_in_text: bool = False,
        base_iri: str | None = None,
        limit_bytes: int | None = None,
    ) -> Answer:
        """Return the answer to any query as bytes of the media type that `media_types` gives its form.

        The dataset is the graphs given; else the query's own FROM when `dataset_in_text`;
        else all that the view may read. Raises `QuerySyntaxError`, `QueryFailed`,
        `QueryTooLarge`, or `NotAcceptable` when the form has no media type.
        """
        if default_graphs is None and named_graphs is None:
            results = self._query(sparql, None, base_iri=base_iri, text=dataset_in_text)
        else:
            allowed = set(self.graphs)
            chosen = [
                [node for iri in iris or () if (node := NamedNode(iri)) in allowed]
                for iris in (default_graphs, named_graphs)
            ]
            results = self._query(sparql, None, base_iri=base_iri, graphs=(chosen[0], chosen[1]))
        form: Form = (
            "solutions" if isinstance(results, QuerySolutions)
            else "boolean" if isinstance(results, QueryBoolean)
            else "triples"
        )  # fmt: skip
        media_type = media_types[form]
        if media_type is None:
            raise NotAcceptable(offered=form)
        output = _Bounded(limit_bytes)
        try:
            if isinstance(results, QueryTriples):
                kind = RdfFormat.from_media_type(media_type)
                output.write(serialize_triples(results, kind or RdfFormat.TURTLE))
            else:
                results.serialize(output, QueryResultsFormat.from_media_type(media_type))
        except (RuntimeError, ValueError, OSError) as error:
            if output.full:
                raise QueryTooLarge(limit=f"{limit_bytes} bytes") from error
            raise QueryFailed(detail=error) from error
        return Answer(form, media_type, output.getvalue())

    def _query(
        self,
        sparql: str,
        bindings: Mapping[str, Term] | None,
        *,
        base_iri: str | None = None,
        text: bool = False,
        graphs: tuple[list[NamedNode], list[NamedNode]] | None = None,
    ) -> QuerySolutions | QueryBoolean | QueryTriples:
        """Run a query on the view's graphs, on `graphs`, or on what its own FROM names (`text`)."""
        if graphs is None and not self._all:
            graphs = (list(self.graphs), list(self.graphs))
        terms: dict[Variable, Term | Triple] | None = (
            {Variable(name): term for name, term in bindings.items()} if bindings else None
        )
        try:
            if graphs is not None:
                return self._store.query(
                    sparql,
                    base_iri=base_iri,
                    default_graph=[*graphs[0]],
                    named_graphs=[*graphs[1]],
                    substitutions=terms,
                )
            return self._store.query(
                sparql, base_iri=base_iri, use_default_graph_as_union=not text, substitutions=terms
            )
        except SyntaxError as error:
            line, column, detail = syntax_position(error)
            raise QuerySyntaxError(line=line, column=column, detail=detail) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise QueryFailed(detail=error) from error


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
            self._latest = name, View.open(self.path / "versions" / name)
        return self._latest[1]

    def current(self) -> str | None:
        """Return the name of the version in service, or None before the first."""
        try:
            return (self.path / "CURRENT").read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DatasetDamaged(path=self.path, detail=error.strerror or error) from error

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
        versions = dataset.path / "versions"
        try:
            versions.mkdir(parents=True, exist_ok=True)
            self._lock = (dataset.path / "lock").open("w")
        except OSError as error:
            raise DatasetReadOnly(path=dataset.path, detail=error.strerror or error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise DatasetLocked(path=dataset.path) from error
        try:
            self._remove_unused(versions)
            self._folder = versions / "making"
            before = dataset.view() if dataset.current() is not None else None
            self._digest = before.version if before else "0"
            self._inputs = (before.manifest.inputs if before else "") if inputs is None else inputs
            self._serial = _serial(dataset.current()) + 1
            self._folder.mkdir()
            if before:
                before._store.backup(str(self._folder / "store"))  # noqa: SLF001  the two live in one room
            self._store: Store | None = Store(str(self._folder / "store"))
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
        # Oxigraph rewrites literals when it stores them: the digest is of what is stored.
        stored = Store()
        stored.bulk_extend(quads)
        new = [quad for quad in stored if quad not in store]
        store.bulk_extend(new)
        self._digest = f"{content_digest(new, self._digest):064x}"
        return len(new)

    def remove(self, quads: Iterable[Quad]) -> int:
        """Remove quads; return how many were there."""
        store = self._open_store()
        gone = [quad for quad in quads if quad in store]
        for quad in gone:
            store.remove(quad)
        self._digest = f"{(int(self._digest, 16) - content_digest(gone)) % (1 << 256):064x}"
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
        store.flush()
        store.optimize()
        self._store = None
        del store
        manifest.write(self._folder)
        (self._folder / "claim").touch()
        name = f"{self._serial:06d}-{manifest.digest[:12]}"
        self._folder.rename(self._dataset.path / "versions" / name)
        pointer = self._dataset.path / "CURRENT.new"
        with pointer.open("w", encoding="utf-8") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        pointer.replace(self._dataset.path / "CURRENT")
        view = self._dataset.view()
        self.drop()
        return view

    def inspect(self, check: Callable[[View], None]) -> None:
        """Show `check` the dataset as it would be, and keep nothing."""
        check(View(self._open_store(), self._manifest(), self._folder))

    def _manifest(self) -> Manifest:
        store = self._open_store()
        graphs = {
            graph.value: sum(1 for _ in store.quads_for_pattern(None, None, None, graph))
            for graph in sorted(store.named_graphs(), key=str)
            if isinstance(graph, NamedNode)
        }
        empty = [graph for graph, count in graphs.items() if not count]
        for graph in empty:
            store.remove_graph(NamedNode(graph))
            del graphs[graph]
        return Manifest.now(f"{int(self._digest, 16):064x}", self._who, self._source, graphs, self._inputs)

    def drop(self) -> None:
        """Forget what was not committed and let the next writer in."""
        if self._lock.closed:
            return
        self._store = None
        self._remove_unused(self._dataset.path / "versions")
        self._lock.close()

    def _open_store(self) -> Store:
        if self._store is None:
            raise ValueError("this change has ended")
        return self._store

    def _remove_unused(self, versions: Path) -> None:
        """Delete what a killed writer left and the old versions that no reader holds."""
        current = self._dataset.current()
        for folder in versions.iterdir():
            if folder.name == current:
                continue
            claim = _claim(folder, fcntl.LOCK_EX)
            if claim is not None:
                shutil.rmtree(folder, ignore_errors=True)
                claim.close()


class _Bounded(io.BytesIO):
    """A buffer that refuses to grow past its bound."""

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self._limit = limit
        self.full = False

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than any buffer
        if self._limit is not None and self.tell() + len(data) > self._limit:
            self.full = True
            raise OSError("answer too large")
        return super().write(data)


def _claim(folder: Path, kind: int) -> IO[str] | None:
    """Lock a version: shared while it is read, exclusive to delete it. None if another holds it."""
    try:
        file = (folder / "claim").open("a" if kind == fcntl.LOCK_EX else "r")
    except FileNotFoundError:
        # A version on read-only media, or one half written: nothing to hold.
        return None
    except PermissionError:
        return None
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _serial(name: str | None) -> int:
    return int(name.partition("-")[0]) if name else 0
