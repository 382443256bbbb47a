"""The dataset as one caller sees it, at one version: everything above reads through a `View`.

`Dataset.view()` gives one. A view holds its version open: nobody deletes it meanwhile.
"""

import fcntl
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from typing import Literal as OneOf

from pyoxigraph import (
    BlankNode,
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

from pepr_kg.errors import DatasetDamaged, NotAcceptable, QueryFailed, QuerySyntaxError, QueryTooLarge
from pepr_kg.manifest import Manifest
from pepr_kg.namespaces import GRAPH
from pepr_kg.rdf import Table, Term, serialize_triples, syntax_position
from pepr_kg.resources import read_query

Form = OneOf["solutions", "boolean", "triples"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's answer as it leaves: its form, its media type, its bytes."""

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
        claim = claim_version(path, fcntl.LOCK_SH)
        manifest = Manifest.read(path)
        try:
            store = Store.read_only(str(path / "store"))
        except (OSError, RuntimeError, ValueError) as error:
            raise DatasetDamaged(path=path.parent.parent, detail=error) from error
        return cls(store, manifest, path, graphs, claim)

    def plus(self, quads: Iterable[Quad]) -> "View":
        """Return the view as it would be with these quads added; they are held in memory and nothing is written."""
        store = Store()
        store.bulk_extend(self.quads())
        store.bulk_extend(quads)
        return View(store, self.manifest, self.path)

    def only(self, graphs: Sequence[NamedNode]) -> "View":
        """Return the same version with fewer graphs to be read."""
        kept = [graph for graph in self.graphs if graph in set(graphs)]
        return View(self._store, self.manifest, self.path, kept, self._claim)

    def around(self, graphs: Sequence[NamedNode], ontology: NamedNode) -> "View":
        """Return the part of the view that says what stands in `graphs`, held in memory; nothing is written.

        It holds these graphs and, in a graph of its own, their context: what other graphs say of the same subjects, the
        types of what is named there, and what `ontology` says of it.
        """
        store = Store()
        context = NamedNode(GRAPH + "context")
        for graph in graphs:
            store.bulk_load(self._dump(graph), RdfFormat.N_TRIPLES, to_graph=graph)
            others = [other for other in self.graphs if other not in graphs]
            for query, named in (
                ("store/same-subjects", others),
                ("store/context-of-subjects", list(self.graphs)),
                ("store/types-of-objects", list(self.graphs)),
                ("store/described-objects", [ontology]),
            ):
                triples = self._query(read_query(query), None, graphs=([graph], named))
                if isinstance(triples, QueryTriples):
                    document = triples.serialize(format=RdfFormat.N_TRIPLES) or b""
                    store.bulk_load(document, RdfFormat.N_TRIPLES, to_graph=context)
        return View(store, self.manifest, self.path)

    def _dump(self, graph: NamedNode) -> bytes:
        return self._store.dump(format=RdfFormat.N_TRIPLES, from_graph=graph) or b""

    def select(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> Table:
        """Return the table that a SELECT gives.

        `bindings` give variables their values as RDF terms; each such variable must stand in
        the SELECT clause (Oxigraph's rule). Raises `QuerySyntaxError` or `QueryFailed`.
        """
        solutions = self._query(sparql, bindings)
        if not isinstance(solutions, QuerySolutions):
            raise QueryFailed(detail={"en": "SELECT was expected", "fr": "SELECT était attendu"})
        columns = tuple(variable.value for variable in solutions.variables)
        try:
            return Table(columns, tuple(tuple(row) for row in solutions))
        except (RuntimeError, ValueError, OSError) as error:
            raise QueryFailed(detail=error) from error

    def csv(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> bytes:
        """Return what a SELECT gives as a CSV document, for answers of many rows (see `columns`).

        Raises `QuerySyntaxError` or `QueryFailed`.
        """
        solutions = self._query(sparql, bindings)
        if not isinstance(solutions, QuerySolutions):
            raise QueryFailed(detail={"en": "SELECT was expected", "fr": "SELECT était attendu"})
        try:
            return solutions.serialize(format=QueryResultsFormat.CSV) or b""
        except (RuntimeError, ValueError, OSError) as error:
            raise QueryFailed(detail=error) from error

    def ask(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> bool:
        """Return whether an ASK holds. Raises `QuerySyntaxError` or `QueryFailed`."""
        return bool(self._query(sparql, bindings))

    def construct(self, sparql: str, bindings: Mapping[str, Term] | None = None) -> list[Triple]:
        """Return the triples of a CONSTRUCT or DESCRIBE. Raises `QuerySyntaxError` or `QueryFailed`."""
        triples = self._query(sparql, bindings)
        if not isinstance(triples, QueryTriples):
            raise QueryFailed(
                detail={"en": "CONSTRUCT or DESCRIBE was expected", "fr": "CONSTRUCT ou DESCRIBE était attendu"}
            )
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
                raise QueryTooLarge(limit={"en": f"{limit_bytes} bytes", "fr": f"{limit_bytes} octets"}) from error
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


def claim_version(folder: Path, kind: int) -> IO[str] | None:
    """Lock a version: shared while it is read, exclusive to delete it.

    None for a version without a lock file (one half written) or, when it is to be deleted,
    one that somebody reads. Raises `DatasetDamaged` for a reader who meets its deletion.
    """
    try:
        file = (folder / "claim").open("a" if kind == fcntl.LOCK_EX else "r")
    except OSError:
        return None
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if kind == fcntl.LOCK_SH:
            raise DatasetDamaged(path=folder.parent.parent, detail=error.strerror or error) from error
        return None
    return file
