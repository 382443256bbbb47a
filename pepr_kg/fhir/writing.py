"""FHIR JSON as FHIR RDF: one resource at a time, straight from its bytes.

A resource is read one level at a time. Values stay bytes until they are literals, and finished pieces are remembered by
the JSON they were made of (`writing_plan`), within a bound. What is noticed is a `Problem`; nothing is dropped: a text
that is not of its type stays a plain literal, and what fits nowhere stays as JSON, on a `pepr:unrecognised` node.

>>> from pepr_kg.fhir.dialect import R5
>>> writer = Writer(R5, "https://example.org/fhir/")
>>> written = writer.write('{"resourceType": "Patient", "id": "p1", "birthDate": "1970-02"}')
>>> print(written.text.decode().strip())
<https://example.org/fhir/Patient/p1> a fhir:Patient ;
  fhir:nodeRole fhir:treeRoot ;
  fhir:id [ fhir:v "p1" ] ;
  fhir:birthDate [ fhir:v "1970-02"^^xsd:gYearMonth ] .
>>> written.triples, written.subject
(6, 'https://example.org/fhir/Patient/p1')

Out of scope: files and streams (`documents`, `conversion`) and the way back (`reading`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec

from pepr_kg.fhir.dialect import FHIR, Dialect
from pepr_kg.fhir.errors import BaseReserved, ResourceBroken
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.iris import absolute_iri, check_base, escape_iri, subject_iri
from pepr_kg.fhir.writing_pieces import Pieces
from pepr_kg.fhir.writing_problems import Problem
from pepr_kg.fhir.writing_syntax import Notation, NTriples, Turtle
from pepr_kg.fhir.writing_targets import EntryNames, Targets, entry_names
from pepr_kg.fhir.writing_values import FIELDS, Fields, text_of

__all__ = ["BundleStream", "Problem", "Syntax", "Targets", "Writer", "Written", "count_triples"]

Syntax = Literal["turtle", "ntriples"]

Result = TypeVar("Result")

_MEMORY: Final = 32 * 1024 * 1024  # bytes of remembered pieces, before all are dropped
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LABEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*[A-Za-z]|[A-Za-z]")
_BOM: Final = b"\xef\xbb\xbf"
_BUILD: Final = "http://build.fhir.org/"  # where the specification's own examples say their version is
_SHOWN: Final = 60
_SAMPLE: Final = 256  # bytes that show whether white space stands between the tokens


@dataclass(frozen=True, slots=True)
class Written:
    """A resource as RDF: UTF-8 text without prefixes, its triples, what was noticed, its IRI ("" where it has none)."""

    text: bytes
    triples: int
    problems: tuple[Problem, ...]
    subject: str

    @property
    def has_errors(self) -> bool:
        """Return whether the resource breaks FHIR's rules."""
        return any(problem.severity == "error" for problem in self.problems)


class Writer:
    """Writes resources in one dialect and syntax, under one base. Not for several threads at once.

    `base` ends in / or #; `graph` makes N-Quads of N-Triples; `label` is the start of the blank nodes' labels: texts of
    several writers may stand in one file if their labels differ. `as_published` writes what HL7's generator writes for
    the specification's own examples: under its base, with the types of link targets and an ontology header.

    >>> from pepr_kg.fhir.dialect import R4
    >>> writer = Writer(R4, "https://example.org/fhir/", syntax="ntriples", graph="https://example.org/g")
    >>> writer.write(b'{"resourceType": "Basic"}').text.decode().splitlines()[0]
    '_:b1 <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://hl7.org/fhir/Basic> <https://example.org/g> .'
    """

    def __init__(
        self,
        dialect: Dialect,
        base: str,
        *,
        syntax: Syntax = "turtle",
        graph: str | None = None,
        label: str = "b",
        as_published: bool = False,
        memory: int = _MEMORY,
    ) -> None:
        self.dialect = dialect
        self.base = check_base(base)
        self.notation: Notation = Turtle() if syntax == "turtle" else NTriples()
        if graph is not None and syntax == "turtle":
            raise ValueError("a named graph needs the syntax ntriples")
        self._as_published = as_published
        self._quad_end = None if graph is None else b" <%b> .\n" % escape_iri(graph).encode()
        notation = self.notation
        self._resources = dialect.table.resources
        self.root = notation.statement(notation.name("nodeRole"), notation.name("treeRoot"))
        self.pieces = Pieces(
            dialect, self.notation, self.base, label=_checked_label(label), memory=memory, as_published=as_published
        )

    @property
    def head(self) -> bytes:
        """Return what stands once at the start of a file: the prefixes of Turtle, nothing in N-Triples."""
        return self.notation.head

    def relabel(self, label: str) -> None:
        """Begin anew with the labels of blank nodes: what is written next depends on the label and the data only."""
        self.pieces.relabel(_checked_label(label))

    def targets(self, names: Mapping[str, str], full_url: str | None = None) -> Targets:
        """Return where references lead for several calls of `write`: `names` is IRI by reference as it is written."""
        return Targets(self.pieces.targets_of(full_url).base, names)

    def write(
        self,
        resource: bytes | str,
        *,
        full_url: str | None = None,
        targets: Targets | None = None,
        tree_root: bool = True,
    ) -> Written:
        """Return a resource as RDF; a Bundle with all its entries.

        `full_url` names an entry that is written without its Bundle, and says where its references lead, unless
        `targets` does. Raises `BadJson` or `ResourceBroken` where the bytes are no resource, and `BaseReserved`.

        >>> from pepr_kg.fhir.dialect import R5
        >>> writer = Writer(R5, "https://example.org/fhir/", syntax="ntriples")
        >>> entry = b'{"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}'
        >>> targets = writer.targets({"urn:uuid:1": "https://example.org/fhir/Patient/p1"})
        >>> b"<https://example.org/fhir/Patient/p1>" in writer.write(entry, targets=targets).text
        True
        """
        raw = resource.encode("utf-8", "surrogatepass") if isinstance(resource, str) else bytes(resource)
        self.pieces.names = EntryNames()
        return self.checked(raw, lambda text: self._write(text, full_url, targets, tree_root))

    def checked(self, raw: bytes, function: Callable[[bytes], Result]) -> Result:
        """Return what a function makes of JSON. Raises a sentence of ours where the JSON cannot be read."""
        raw = raw.removeprefix(_BOM).strip(b" \t\r\n")
        try:
            if not raw.isascii():
                raw.decode()
            if b"\n" in raw or b'": ' in raw[:_SAMPLE]:
                raw = msgspec.json.format(raw, indent=-1)  # white space goes, every token stays as it is
            return function(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            read_json(raw)  # raises and says where
            detail = {"en": "it is not a JSON object", "fr": "ce n’est pas un objet JSON"}
            raise ResourceBroken(path="/", detail=detail) from error

    def open_bundle(self, head: bytes, *, label: str | None = None, full_url: str | None = None) -> "BundleStream":
        """Return a Bundle to be written entry by entry; `head` is its JSON without `entry`.

        `label` starts the labels of its own blank nodes: several writers can share a Bundle if they give the same one.
        """
        return self.checked(head, lambda raw: BundleStream(self, raw, label, full_url))

    def finish(self, text: bytes, problems: list[Problem], subject: str) -> Written:
        """Return finished text as the writer gives it away."""
        triples = self.notation.count(text)
        text = self.notation.clean(text)
        if self._quad_end is not None:
            text = text.replace(b" .\n", self._quad_end)
        return Written(text, triples, tuple(problems), subject)

    def _write(self, raw: bytes, full_url: str | None, targets: Targets | None, tree_root: bool) -> Written:
        fields = FIELDS.decode(raw)
        type_name = self.type_of(fields)
        identifier = self.identifier_of(fields)
        subject = self.subject_of(type_name, identifier, full_url)
        pieces, notation = self.pieces, self.notation
        targets = targets or pieces.targets_of(full_url)
        if type_name == "Bundle" and not targets.names and b'"urn:' in raw and not self._as_published:
            targets = Targets(targets.base, entry_names(fields))
        pieces.start(type_name, targets, subject)
        self.check_identifier(type_name, identifier)
        body = pieces.body(pieces.plan.node(type_name), raw, fields, (None, type_name, None))
        if tree_root:
            body.insert(1, self.root)
        prefix = pieces.prefix()
        term = notation.iri(subject) if subject else self.blank(prefix)
        text = notation.frame(term, prefix, body)
        if pieces.blocks:
            text += b"".join(pieces.blocks)
        if self._as_published:
            text += self._surroundings(subject)
        return self.finish(text, pieces.problems, subject)

    def blank(self, prefix: bytes) -> bytes:
        """Return the term of a resource without a name."""
        return b"[]" if isinstance(self.notation, Turtle) else b"_:" + prefix

    def type_of(self, fields: Fields) -> str:
        """Return the type of a resource. Raises `ResourceBroken` where there is none that the release knows."""
        type_name = text_of(bytes(fields["resourceType"])) if "resourceType" in fields else None
        if type_name is None:
            detail = {"en": "it has no resourceType", "fr": "il lui manque un resourceType"}
            raise ResourceBroken(path="/", detail=detail)
        if type_name not in self._resources:
            shown, release = type_name[:_SHOWN], self.dialect.release
            detail = {
                "en": f"{release} has no resource type {shown}. Give the release that the data are of",
                "fr": f"{release} n’a pas de type de ressource {shown}. Donnez la version de FHIR des données",
            }
            raise ResourceBroken(path="/", detail=detail)
        return type_name

    def identifier_of(self, fields: Fields) -> str | None:
        """Return the id of a resource, None where it has none."""
        return text_of(bytes(fields["id"])) if "id" in fields else None

    def subject_of(self, type_name: str, identifier: str | None, full_url: str | None) -> str:
        """Return the IRI of a resource, "" where it has none."""
        if full_url is not None and (iri := absolute_iri(full_url)) is not None:
            return iri
        if not identifier:
            return ""
        # What the specification publishes has a publisher; data about people and things have none.
        reserved = self.base.startswith(FHIR) and not self._as_published
        if reserved and "publisher" not in self.dialect.table.elements(type_name):
            raise BaseReserved(base=self.base, type=type_name)
        return subject_iri(self.base, type_name, identifier)

    def check_identifier(self, type_name: str, identifier: str | None) -> None:
        """Note an id that FHIR does not allow."""
        if identifier is not None and _IDENTIFIER.fullmatch(identifier) is None:
            place = ((None, type_name, None), "id", None)
            self.pieces.note("identifier", place, value=identifier[:_SHOWN])

    def _surroundings(self, subject: str) -> bytes:
        """Return what HL7's generator writes around a resource: the types of link targets and, in R4, an ontology."""
        notation, pieces = self.notation, self.pieces
        text = b""
        for iri, type_name in pieces.types.items():
            name = notation.name(self.dialect.class_name(type_name))
            text += notation.frame(notation.iri(iri), pieces.prefix(), [notation.statement(notation.type, name)])
        if not (self.dialect.indexed and subject):
            return text
        header = [
            notation.statement(notation.type, notation.name("Ontology", "owl")),
            notation.statement(notation.name("imports", "owl"), notation.name("fhir.ttl")),
        ]
        if subject.startswith(FHIR):
            version = f"{_BUILD}{subject[len(FHIR) :]}.ttl"
            header.append(notation.statement(notation.name("versionIRI", "owl"), notation.iri(version)))
        return text + notation.frame(notation.iri(f"{subject}.ttl"), pieces.prefix(), header)


class BundleStream:
    """A Bundle that is written entry by entry, in constant memory: `start`, each entry, then `end`.

    Entries may be written by several writers, each with the same head and label, if their numbers are given. A full
    URL that comes twice is told apart by version, as far back as a million names, among what one writer sees.

    >>> from pepr_kg.fhir.dialect import R5
    >>> bundle = Writer(R5, "https://example.org/fhir/", syntax="ntriples").open_bundle(b'{"resourceType": "Bundle"}')
    >>> parts = [bundle.start, bundle.entry(b'{"resource": {"resourceType": "Basic"}}'), bundle.end()]
    >>> [part.triples for part in parts]
    [2, 4, 1]
    """

    def __init__(self, writer: Writer, head: bytes, label: str | None, full_url: str | None) -> None:
        fields = FIELDS.decode(head)
        type_name = writer.type_of(fields)
        if type_name != "Bundle":
            detail = {"en": f"a Bundle is expected, and this is a {type_name}",
                      "fr": f"un Bundle est attendu, et c’est un {type_name}"}  # fmt: skip
            raise ResourceBroken(path="/", detail=detail)
        self._writer = writer
        self._count = 0
        notation, pieces = writer.notation, writer.pieces
        identifier = writer.identifier_of(fields)
        subject = writer.subject_of(type_name, identifier, full_url)
        self._prefix = pieces.prefix() if label is None else _checked_label(label).encode()
        self._term = notation.iri(subject) if subject else b"_:" + self._prefix
        self._targets = pieces.targets_of(full_url)
        self._subject = subject
        self._names = EntryNames()
        self._begin()
        writer.check_identifier(type_name, identifier)
        self._node = pieces.plan.node(type_name)
        self._entry = self._node.children["entry"]
        body = pieces.body(self._node, head, fields, self._place)
        body.insert(1, writer.root)
        text = notation.frame(self._term, self._prefix, body)
        self.start = writer.finish(text, pieces.problems, subject)

    _place: Final = (None, "Bundle", None)

    def _begin(self) -> None:
        self._writer.pieces.start("Bundle", self._targets, self._subject)
        self._writer.pieces.names = self._names

    def _cell(self, number: int) -> bytes:
        return b"_:%b%b%d_" % (self._prefix, self._entry.label, number)

    def entry(self, raw: bytes, number: int | None = None) -> Written:
        """Return an entry and its resource. Where others write entries of the Bundle too, `number` says which it is."""
        return self._writer.checked(raw, lambda text: self._write(text, number))

    def _write(self, raw: bytes, number: int | None) -> Written:
        number = self._count if number is None else number
        self._count = number + 1
        writer, child = self._writer, self._entry
        notation, pieces = writer.notation, writer.pieces
        self._begin()
        inner = pieces.inner(pieces.plan.node(child.element.path), raw, (self._place, "entry", number))
        item = child.label + str(number).encode()
        if writer.dialect.indexed:
            index = notation.statement(notation.name("index"), notation.integer(number))
            piece = notation.nested(child.predicate, item, notation.both(notation.join([index]), inner))
            text = notation.frame(self._term, self._prefix, [piece])
        else:
            cell = self._cell(number)
            before = self._term if number == 0 else self._cell(number - 1)
            link = child.predicate if number == 0 else notation.name("rest", "rdf")
            first = notation.nested(notation.name("first", "rdf"), b"", inner)
            text = notation.frame(before, self._prefix, [notation.statement(link, cell)])
            text += notation.frame(cell, self._prefix + item, [first])
        return writer.finish(text + b"".join(pieces.blocks), pieces.problems, "")

    def end(self, more: bytes = b"{}", count: int | None = None) -> Written:
        """Return what closes the Bundle; `more` is the JSON of what stood behind `entry`, `count` says of how many."""
        return self._writer.checked(more, lambda raw: self._end(raw, self._count if count is None else count))

    def _end(self, more: bytes, count: int) -> Written:
        writer = self._writer
        notation, pieces = writer.notation, writer.pieces
        self._begin()
        fields = FIELDS.decode(more)
        text = b""
        if fields:
            body = pieces.body(self._node, more, fields, self._place)[1:]
            text = notation.frame(self._term, self._prefix, body)
        if count and not writer.dialect.indexed:
            closing = notation.statement(notation.name("rest", "rdf"), notation.name("nil", "rdf"))
            text += notation.frame(self._cell(count - 1), self._prefix, [closing])
        return writer.finish(text, pieces.problems, "")


def _checked_label(label: str) -> str:
    if _LABEL.fullmatch(label) is None:
        raise ValueError(f"a label is letters and digits, with letters at both ends, and not {label!r}")
    return label


def count_triples(text: bytes) -> int:
    """Return the number of triples of N-Triples or N-Quads as they are written here: one a line."""
    return text.count(b"\n")
