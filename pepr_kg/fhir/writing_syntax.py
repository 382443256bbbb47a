"""How pieces of a graph are put together, as N-Triples and as readable Turtle.

A piece says something of one node, which has no name yet, so that a piece made once serves wherever the same JSON
stands again. Pieces of one node joined are its inside. In N-Triples the node is the byte 01 (left out where a piece
begins, so that joining names it), and the blank nodes below are `_:`, the byte 00 and a path of labels. JSON allows
neither byte in a text, so both are free. In Turtle blank nodes have no names; there the byte 01 marks each triple, so
that the triples of a text can be counted, and is deleted at the end.

>>> syntax = NTriples()
>>> inside = syntax.join([syntax.statement(syntax.name("v"), b'"Ada"')])
>>> text = syntax.frame(b"<urn:p>", b"b1", [syntax.nested(syntax.name("name"), b"Aa", inside)])
>>> text.decode().splitlines()[1]
'_:b1Aa <http://hl7.org/fhir/v> "Ada" .'
>>> turtle = Turtle()
>>> inside = turtle.join([turtle.statement(turtle.name("v"), b'"Ada"')])
>>> turtle.clean(turtle.frame(b"<urn:p>", b"b1", [turtle.nested(turtle.name("name"), b"Aa", inside)]))
b'<urn:p> fhir:name [ fhir:v "Ada" ] .\\n\\n'
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from pepr_kg.fhir.dialect import FHIR
from pepr_kg.namespaces import PEPR

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XSD: Final = "http://www.w3.org/2001/XMLSchema#"
_OWL: Final = "http://www.w3.org/2002/07/owl#"
PREFIXES: Final[Mapping[str, str]] = {"fhir": FHIR, "owl": _OWL, "pepr": PEPR, "rdf": _RDF, "xsd": _XSD}


class Notation(Protocol):
    """What N-Triples and Turtle can both do. Text is UTF-8; predicates and terms are whole terms of the notation."""

    head: bytes
    type: bytes

    def name(self, local: str, prefix: str = "fhir") -> bytes:
        """Return the term of a name under a prefix."""

    def iri(self, iri: str) -> bytes:
        """Return the term of an IRI, which must be legal."""

    def integer(self, number: int) -> bytes:
        """Return the term of a whole number."""

    def statement(self, predicate: bytes, term: bytes) -> bytes:
        """Return the piece that says: the node has this value."""

    def nested(self, predicate: bytes, label: bytes, inner: bytes) -> bytes:
        """Return the piece that says: the node leads to a blank node with this inside."""

    def repeated(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the piece that says: the node leads to several blank nodes."""

    def collection(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the piece that says: the node leads to a list of blank nodes."""

    def join(self, pieces: Sequence[bytes]) -> bytes:
        """Return the pieces of a node as its inside."""

    def both(self, left: bytes, right: bytes) -> bytes:
        """Return two parts of a node's inside as one; either may be empty."""

    def frame(self, subject: bytes, prefix: bytes, pieces: Sequence[bytes]) -> bytes:
        """Return the pieces of a named node as text of its own; blank nodes are named under the prefix."""

    def count(self, text: bytes) -> int:
        """Return the number of triples of a text that is not cleaned yet."""

    def clean(self, text: bytes) -> bytes:
        """Return a text as it is given away."""


class NTriples:
    """One triple a line."""

    head = b""
    type = f"<{_RDF}type>".encode()
    _first = f"<{_RDF}first>".encode()
    _rest = f"<{_RDF}rest>".encode()
    _nil = f"<{_RDF}nil>".encode()

    def name(self, local: str, prefix: str = "fhir") -> bytes:
        """Return a name as a whole IRI."""
        return f"<{PREFIXES[prefix]}{local}>".encode()

    def iri(self, iri: str) -> bytes:
        """Return an IRI in angle brackets."""
        return f"<{iri}>".encode()

    def integer(self, number: int) -> bytes:
        """Return a number with its datatype."""
        return f'"{number}"^^<{_XSD}integer>'.encode()

    def statement(self, predicate: bytes, term: bytes) -> bytes:
        """Return one line."""
        return b" %b %b .\n" % (predicate, term)

    def nested(self, predicate: bytes, label: bytes, inner: bytes) -> bytes:
        """Return the line that leads there, and the inner lines with their node named."""
        return b" %b _:\x00%b .\n%b" % (predicate, label, _renamed(label, inner))

    def repeated(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the nodes one after the other."""
        return b"\x01".join([
            self.nested(predicate, label + str(position).encode(), inner) for position, inner in enumerate(inners)
        ])  # fmt: skip

    def collection(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the list as its cells: the cell of item `Aa0` is `Aa0_`."""
        parts = [b" %b _:\x00%b0_ .\n" % (predicate, label)]
        last = len(inners) - 1
        for position, inner in enumerate(inners):
            item = label + str(position).encode()
            rest = b"_:\x00%b%d_" % (label, position + 1) if position < last else self._nil
            parts.append(
                b"_:\x00%b_ %b _:\x00%b .\n_:\x00%b_ %b %b .\n" % (item, self._first, item, item, self._rest, rest)
            )
            parts.append(_renamed(item, inner))
        return b"".join(parts)

    def join(self, pieces: Sequence[bytes]) -> bytes:
        """Return the pieces one after the other, the node before each."""
        return b"\x01" + b"\x01".join(pieces) if pieces else b""

    def both(self, left: bytes, right: bytes) -> bytes:
        """Return one part after the other."""
        return left + right

    def frame(self, subject: bytes, prefix: bytes, pieces: Sequence[bytes]) -> bytes:
        """Return the lines with all names in place."""
        text = subject.join([b"", *pieces]).replace(b"\x00", prefix)
        return text.replace(b"\x01", subject) if b"\x01" in text else text

    def count(self, text: bytes) -> int:
        """Return the number of lines: a literal holds no line end."""
        return text.count(b"\n")

    def clean(self, text: bytes) -> bytes:
        """Return the text unchanged."""
        return text


def _renamed(label: bytes, inner: bytes) -> bytes:
    return inner.replace(b"\x00", b"\x00" + label).replace(b"\x01", b"_:\x00" + label)


class Turtle:
    """Indented, with prefixes. The byte 01 stands before each object, and twice more for each cell of a list."""

    head = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in PREFIXES.items()).encode() + b"\n"
    type = b"a"

    def name(self, local: str, prefix: str = "fhir") -> bytes:
        """Return a prefixed name."""
        return f"{prefix}:{local}".encode()

    def iri(self, iri: str) -> bytes:
        """Return an IRI in angle brackets."""
        return f"<{iri}>".encode()

    def integer(self, number: int) -> bytes:
        """Return the digits."""
        return str(number).encode()

    def statement(self, predicate: bytes, term: bytes) -> bytes:
        """Return predicate and object."""
        return b"%b \x01%b" % (predicate, term)

    def nested(self, predicate: bytes, label: bytes, inner: bytes) -> bytes:
        """Return the inner pieces in brackets, on one line where there is one."""
        return b"%b \x01%b" % (predicate, _bracketed(inner))

    def repeated(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the objects with commas between them."""
        return b"%b \x01%b" % (predicate, b" , \x01".join([_bracketed(inner) for inner in inners]))

    def collection(self, predicate: bytes, label: bytes, inners: Sequence[bytes]) -> bytes:
        """Return the objects in parentheses."""
        return b"%b \x01( %b )" % (predicate, b" ".join([b"\x01\x01" + _bracketed(inner) for inner in inners]))

    def join(self, pieces: Sequence[bytes]) -> bytes:
        """Return the pieces with semicolons between them."""
        return b" ;\n".join(pieces)

    def both(self, left: bytes, right: bytes) -> bytes:
        """Return the parts with a semicolon between them."""
        return b"%b ;\n%b" % (left, right) if left and right else left or right

    def frame(self, subject: bytes, prefix: bytes, pieces: Sequence[bytes]) -> bytes:
        """Return a paragraph about a node."""
        return b"%b %b .\n\n" % (subject, b" ;\n".join(pieces).replace(b"\n", b"\n  "))

    def count(self, text: bytes) -> int:
        """Return the number of marks."""
        return text.count(b"\x01")

    def clean(self, text: bytes) -> bytes:
        """Return the text without the marks."""
        return text.translate(None, b"\x01")


def _bracketed(inner: bytes) -> bytes:
    if b"\n" in inner:
        return b"[\n  %b\n]" % inner.replace(b"\n", b"\n  ")
    return b"[ %b ]" % inner if inner else b"[]"
