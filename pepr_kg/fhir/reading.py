"""FHIR RDF read back: every resource of a graph as the JSON that it was.

Five dialects are met in the wild, told apart by their predicates and classes:

    A  R4, R4B       `fhir:Patient.birthDate [ fhir:value "1970"^^xsd:gYear ]`, `fhir:index`
    B  early R5      as C, but no datatypes and no `fhir:nodeRole`
    C  R5            `fhir:birthDate [ fhir:v "1970"^^xsd:gYear ]`, lists, `fhir:link`
    D  2025, 2026    as C, with `fhir:l` on everything that is an IRI
    E  R6            as D, with `a fhir:DateTime` and concepts on the CodeableConcept

The clothes do not say the release: much R4 data is published in R5's. So the tables are tried in turn, and the one that
explains the graph best is taken. A defective graph gives problems, each with its place, and what could be read.

>>> from pepr_kg.rdf import RdfFormat
>>> turtle = b'''@prefix fhir: <http://hl7.org/fhir/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
... <urn:uuid:1> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:active [ fhir:v true ] ;
...   fhir:name ( [ fhir:given ( [ fhir:v "Zoe" ] ) ] ) ; fhir:birthDate [ fhir:v "1970-05"^^xsd:gYearMonth ] .'''
>>> reading = read_graph(turtle, RdfFormat.TURTLE)
>>> reading.resources[0].json
{'resourceType': 'Patient', 'active': True, 'name': [{'given': ['Zoe']}], 'birthDate': '1970-05'}
>>> reading.resources[0].dialect, reading.resources[0].release, reading.problems
('C', 'R5', ())
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pepr_kg.errors import DataSyntaxError, UnknownFormat
from pepr_kg.fhir.exact import Json
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.reading_graph import CLASS, ROLE, Graph, index
from pepr_kg.fhir.reading_nodes import read_resource, style_of
from pepr_kg.fhir.reading_problems import STRUCTURE, problem
from pepr_kg.fhir.tables import load_table
from pepr_kg.rdf import Literal, NamedNode, Quad, RdfFormat, Term, read_quads

__all__ = ["Reading", "Resource", "detect", "read_graph"]

# Tables to try, by whether the predicates are R4's.
_RELEASES: Final = {True: ("R4", "R4B", "R5"), False: ("R5", "R4", "R4B")}
_UPPER: Final = frozenset(kind[0].upper() + kind[1:] for kind in load_table("R5").primitives if kind != "xhtml")
# Put before a document on its first line, which may declare them otherwise later.
_PREFIXES: Final = b" ".join(
    b"@prefix %s: <%s> ." % (prefix, space)
    for prefix, space in (
        (b"fhir", b"http://hl7.org/fhir/"),
        (b"loinc", b"http://loinc.org/rdf#"),
        (b"owl", b"http://www.w3.org/2002/07/owl#"),
        (b"rdf", b"http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
        (b"rdfs", b"http://www.w3.org/2000/01/rdf-schema#"),
        (b"sct", b"http://snomed.info/id/"),
        (b"xs", b"http://www.w3.org/2001/XMLSchema#"),
        (b"xsd", b"http://www.w3.org/2001/XMLSchema#"),
    )
)
_BOM: Final = b"\xef\xbb\xbf"
_STRING: Final = "http://www.w3.org/2001/XMLSchema#string"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that was read.

    `subject` is its IRI, empty for a blank node; `dialect` a letter from A to E; `release` the table that explains it
    best, which for R6 is R5's.
    """

    json: dict[str, Json]
    subject: str
    dialect: str
    release: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a graph holds: its resources in the order of the document, and what was wrong with them."""

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...]


def read_graph(
    source: bytes | Iterable[Quad],
    kind: RdfFormat | None = None,
    *,
    release: str | None = None,
    base: str | None = None,
    name: str = "",
) -> Reading:
    """Return the FHIR resources of an RDF document (`kind` says its format) or of quads, each named graph on its own.

    A resource that is part of another, such as the entry of a Bundle, is read there. With `release` ("R4", "R4B", "R5",
    "R6") no other table is tried. `base` resolves relative IRIs, `name` stands in errors. Raises `DataSyntaxError` for
    a document that is no RDF; what is no FHIR is a problem.
    """
    problems: list[Problem] = []
    if isinstance(source, bytes):
        if kind is None:
            raise UnknownFormat(
                path=name, known=", ".join(str(known) for known in (RdfFormat.TURTLE, RdfFormat.N_QUADS))
            )
        source, problems = _parse(source, kind, name, base)
    resources: list[Resource] = []
    known = load_table("R5").resources | load_table("R4").resources | load_table("R4B").resources
    for graph in index(source):
        letter = ""
        for root in graph.roots(known):
            letter = letter or detect(graph)
            found, faults = _read_root(graph, root, letter, release)
            resources.append(found)
            problems += faults
    if not resources:
        problems.append(problem("no-resource", "."))
    return Reading(tuple(resources), tuple(problems))


def detect(graph: Graph) -> str:
    """Return the letter of the dialect that a graph is written in, from A to E.

    >>> graph = Graph()
    >>> graph.add(Quad(NamedNode("urn:a"), NamedNode("http://hl7.org/fhir/Resource.id"), NamedNode("urn:b")))
    >>> detect(graph)
    'A'
    """
    names = set(graph.names.values())
    if any("." in name and name[:1].isupper() for name in names):
        return "A"
    if "l" not in names:
        return "C" if ROLE in names or _has_datatypes(graph) else "B"
    concepts = {
        name for links in graph.nodes.values() if CLASS in links for name in ("coding", "code") if name in links
    }
    if concepts:
        return "E" if "coding" in concepts else "D"
    return "E" if any(name in _UPPER for node in graph.nodes for name in graph.classes(node)) else "D"


def _parse(data: bytes, kind: RdfFormat, name: str, base: str | None) -> tuple[list[Quad], list[Problem]]:
    """Return the quads of a document; one that uses a well-known prefix without declaring it is understood."""
    try:
        return list(read_quads(data, kind, name=name, base=base)), []
    except DataSyntaxError:
        if kind not in {RdfFormat.TURTLE, RdfFormat.TRIG}:
            raise
        try:
            declared = list(read_quads(_PREFIXES + data.removeprefix(_BOM), kind, name=name, base=base))
        except DataSyntaxError:
            declared = []  # something else is wrong: the first error has the true place
        if not declared:
            raise
        return declared, [problem("prefix-missing", ".")]


def _has_datatypes(graph: Graph) -> bool:
    return any(
        isinstance(value, Literal) and value.datatype.value != _STRING
        for links in graph.nodes.values()
        for value in links.get("v", ())
    )


def _read_root(graph: Graph, root: Term, letter: str, release: str | None) -> tuple[Resource, list[Problem]]:
    """Return a resource as the table that explains it best reads it."""
    best: tuple[int, Resource, list[Problem]] | None = None
    for candidate in (release,) if release else _RELEASES[letter == "A"]:
        value, problems = read_resource(graph, root, style_of(candidate, letter))
        misfits = sum(found.code in STRUCTURE for found in problems)
        if best is None or misfits < best[0]:
            subject = root.value if isinstance(root, NamedNode) else ""
            best = misfits, Resource(value, subject, letter, candidate), problems
        if misfits == 0:
            break
    assert best is not None
    return best[1], best[2]
