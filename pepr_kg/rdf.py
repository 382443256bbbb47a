"""RDF terms, tables of them, and files of them.

Terms are Oxigraph's own values, so nothing is converted on the way to the store. A blank
node of a file gets a name made of the file's digest and its order of appearance: the same
file always gives the same quads, and two files never share a node.

>>> quads = parse_bytes(b"[] a <urn:Thing> .", RdfFormat.TURTLE, NamedNode("urn:g"), "example.ttl")
>>> [quad.object.value for quad in quads]
['urn:Thing']
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    RdfFormat,
    Triple,
    parse,
    serialize,
)

from pepr_kg.errors import DataSyntaxError, DataUnreadable, UnknownFormat, UnsupportedData
from pepr_kg.namespaces import PREFIXES

__all__ = [
    "ESCAPES", "SUFFIXES", "BlankNode", "Literal", "NamedNode", "Quad", "RdfFormat", "Table", "Term", "Triple",
    "content_digest",
    "format_of", "is_iri", "parse_bytes", "parse_file", "prefixes_of", "read_quads", "serialize_triples",
    "syntax_position",
]  # fmt: skip

Term = NamedNode | BlankNode | Literal

# What N-Triples does not let stand in a string as it is, the sign of the escape first.
ESCAPES: Final = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"))

# File suffix -> format, in the order in which help texts list them.
SUFFIXES: Final[Mapping[str, RdfFormat]] = {
    "ttl": RdfFormat.TURTLE,
    "trig": RdfFormat.TRIG,
    "nq": RdfFormat.N_QUADS,
    "nt": RdfFormat.N_TRIPLES,
    "jsonld": RdfFormat.JSON_LD,
    "rdf": RdfFormat.RDF_XML,
    "owl": RdfFormat.RDF_XML,
}

_TRIPLE_TERM: Final = {
    "en": "it holds a triple term of RDF 1.2, which the shapes cannot check; write a pepr:Statement",
    "fr": "il contient un triplet imbriqué (RDF 1.2) que les formes ne vérifient pas ; écrivez un pepr:Statement",
}
_BLANK_GRAPH: Final = {
    "en": "a graph of it is named by a blank node, so nobody could ask for it; give the graph an IRI",
    "fr": "l’un de ses graphes est un nœud anonyme, que nul ne peut désigner ; donnez-lui une IRI",
}
_UNDECLARED: Final = "a prefix is used that nothing declares"
_DIGEST_MODULUS: Final = 1 << 256
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# How Oxigraph's parsers say where, before they say why.
_REASON: Final = re.compile(r"(?:Parser error [^:]*|error at \d+:\d+): (.*)", re.DOTALL)
_TOKENS: Final = 4  # that an error lists of what could have stood there
_POSITION: Final = re.compile(r"line (\d+),? column (\d+)|at (\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a SELECT: `rows[i][j]` is the term of column `j`, or None where it is unbound."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Term | None, ...], ...]

    def iter_dicts(self) -> Iterator[dict[str, Term]]:
        """Yield each row as column -> term, unbound columns left out."""
        for row in self.rows:
            yield {name: term for name, term in zip(self.columns, row, strict=True) if term is not None}

    def __len__(self) -> int:
        return len(self.rows)


def is_iri(text: str) -> bool:
    """Return whether a text is an absolute IRI (RFC 3987), as a term must be.

    >>> is_iri("https://example.org/a"), is_iri("https://example.org/a b"), is_iri("a")
    (True, False, False)
    """
    try:
        NamedNode(text)
    except ValueError:  # also of a lone surrogate, which UTF-8 cannot write
        return False
    return True


def format_of(path: Path) -> RdfFormat:
    """Return the RDF format that a file's suffix names. Raises `UnknownFormat`."""
    found = SUFFIXES.get(path.suffix.lower().lstrip("."))
    if found is None:
        raise UnknownFormat(path=path, known=", ".join(f".{suffix}" for suffix in SUFFIXES))
    return found


def parse_file(path: Path, graph: NamedNode) -> list[Quad]:
    """Return the quads of an RDF file; triples that name no graph go to `graph`.

    Raises `UnknownFormat`, `DataUnreadable`, or `DataSyntaxError` with line and column.
    """
    kind = format_of(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataUnreadable(path=path, detail=error.strerror or error) from error
    return parse_bytes(data, kind, graph, str(path))


def parse_bytes(data: bytes, kind: RdfFormat, graph: NamedNode, name: str) -> list[Quad]:
    """Return the quads of an RDF document; `name` stands in the error. Raises `DataSyntaxError`."""
    label = hashlib.sha256(data).hexdigest()[:16]
    names: dict[BlankNode, BlankNode] = {}

    def rename(node: BlankNode) -> BlankNode:
        return names.setdefault(node, BlankNode(f"b{label}n{len(names)}"))

    quads = []
    for quad in read_quads(data, kind, name=name, lenient=False):
        subject, value, where = quad.subject, quad.object, quad.graph_name
        if isinstance(subject, BlankNode):
            subject = rename(subject)
        if isinstance(value, BlankNode):
            value = rename(value)
        quads.append(Quad(subject, quad.predicate, value, graph if isinstance(where, DefaultGraph) else where))
    return quads


def read_quads(
    data: bytes, kind: RdfFormat, *, name: str = "", base: str | None = None, lenient: bool = True
) -> Iterator[Quad]:
    """Yield the quads of an RDF document as they stand: lexical forms and the names of blank nodes are kept.

    `lenient` takes IRIs as they are, those of tools that write a space or a bar included. Raises `DataSyntaxError` with
    line and column, and `UnsupportedData` for triple terms and graphs named by blank nodes.
    """
    try:
        for quad in parse(data.removeprefix(_BYTE_ORDER_MARK), kind, base_iri=base, lenient=lenient):
            if isinstance(quad.subject, Triple) or isinstance(quad.object, Triple):
                raise UnsupportedData(path=name, detail=_TRIPLE_TERM)
            if isinstance(quad.graph_name, BlankNode):
                raise UnsupportedData(path=name, detail=_BLANK_GRAPH)
            yield quad
    except SyntaxError as error:
        line, column, detail = syntax_position(error)
        raise DataSyntaxError(path=name, line=line, column=column, detail=detail) from error
    except UnsupportedData:
        raise
    except ValueError as error:
        # The parser's word for text that is not UTF-8, or an IRI that is none.
        raise DataSyntaxError(path=name, line=1, column=1, detail=error) from error


def syntax_position(error: SyntaxError) -> tuple[int, int, str]:
    """Return line, column and the plain reason of an error of Oxigraph's parsers, both counted from 1."""
    text = str(error.msg or error)
    match = _POSITION.search(text)
    numbers = [int(number) for number in match.groups() if number] if match else []
    line, column = numbers or (error.lineno or 1, error.offset or 1)
    reason = _REASON.fullmatch(text)
    detail = reason[1].strip() if reason else text
    if "Prefix not found" in detail:
        detail = _UNDECLARED
    # Character classes of the grammar say nothing to a person.
    detail = re.sub(r"(?:,\s*)?\[[^\]]*(?:\.\.=|_)[^\]]*\]", "", detail, flags=re.DOTALL).rstrip(" ,.")
    tokens = detail.split(", ")
    if detail.startswith("expected one of") and len(tokens) > _TOKENS:
        detail = ", ".join(tokens[:_TOKENS]) + " …"
    return line, column, detail or "syntax error"


def serialize_triples(triples: Iterable[Triple] | Iterable[Quad], kind: RdfFormat) -> bytes:
    """Return a document of the triples, or of quads where the format has graphs; prefixes are those in use."""
    kept = cast("list[Triple]", list(triples))
    return serialize(kept, format=kind, prefixes=prefixes_of(kept)) or b""


def prefixes_of(triples: Sequence[Triple | Quad]) -> dict[str, str]:
    """Return the prefixes whose namespace occurs in the triples."""
    iris = set()
    for triple in triples:
        for term in (triple.subject, triple.predicate, triple.object):
            if isinstance(term, NamedNode):
                iris.add(term.value)
            elif isinstance(term, Literal):
                iris.add(term.datatype.value)
    spaces = {re.split(r"[^/#]*$", iri)[0] for iri in iris}
    return {prefix: space for prefix, space in PREFIXES.items() if space in spaces}


def content_digest(quads: Iterable[Quad], start: str = "0") -> int:
    """Return the digest of a set of quads as a number: the sum of their SHA-256, modulo 2^256.

    A sum does not depend on order, so a change adds what it adds and subtracts what it
    removes (Bellare and Micciancio's AdHash, Eurocrypt 1997). It tells versions apart; it
    is no signature.
    """
    total = int(start, 16)
    for quad in quads:
        total += int.from_bytes(hashlib.sha256(str(quad).encode()).digest(), "big")
    return total % _DIGEST_MODULUS
