"""One report of what the graph does not satisfy: SHACL shapes and quality queries together.

A shape looks at one node and what is next to it; SHACL says it well and pySHACL checks it.
A check that compares things across the graph (two organisations with one identifier, a
statement whose plain triple is missing) is a query of `queries/quality/`, because a
self-join costs pySHACL seconds and Oxigraph milliseconds. Each row of such a query is a
finding like any other.

What is checked is what is stored. Oxigraph rewrites a literal that is well formed to its
canonical form and a derived integer type to `xsd:integer`; it keeps an ill-formed literal
as it was written, so the shapes still see it. They ask for `xsd:integer` and a bound,
never for a derived type.

>>> finding = Finding(
...     focus=NamedNode("https://w3id.org/pepr-santenum/id/amount/x"), path="pepr:currency", value=Literal("euro"),
...     severity="violation", message={"en": "No currency code.", "fr": "Pas de code de devise."},
...     fix={"en": "Write EUR.", "fr": "Écrivez EUR."}, shape="https://w3id.org/pepr-santenum/ontology/shape/Amount",
...     component="", origin="shape")
>>> print(Report((finding,), shapes=1, constraints=1, queries=0).to_text("en"))
violation  shape:Amount: No currency code.
  To mend: Write EUR.
  - amount:x  pepr:currency "euro"
Checked: 1 shapes (1 constraints), 0 quality queries. Found: 1 violation(s), 0 warning(s), 0 remark(s).
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Any, Final
from typing import Literal as OneOf

import rdflib
from pyshacl import validate as run_shacl
from pyshacl.constraints import ALL_CONSTRAINT_PARAMETERS
from pyshacl.errors import ReportableRuntimeError
from rdflib.collection import Collection
from rdflib.namespace import RDF, SH

from pepr_kg.errors import BadQuestion, DataError
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import ONTOLOGY_GRAPH, PREFIXES, SHAPE, SHAPES_GRAPH, shrink
from pepr_kg.questions import Question, load_questions
from pepr_kg.resources import shapes_dir
from pepr_kg.store import BlankNode, Literal, NamedNode, Quad, Table, Term, View, parse_file

Severity = OneOf["violation", "warning", "info"]
Origin = OneOf["shape", "query"]

_SEVERITIES: Final[Mapping[str, Severity]] = {
    str(SH.Violation): "violation", str(SH.Warning): "warning", str(SH.Info): "info",
}  # fmt: skip
_ORDER: Final[tuple[Severity, ...]] = ("violation", "warning", "info")
_LISTED: Final = 20  # nodes that the text of a report names for each rule; the other forms name all

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "violation": {"en": "violation", "fr": "violation"},
    "warning": {"en": "warning", "fr": "avertissement"},
    "info": {"en": "remark", "fr": "remarque"},
    "colon": {"en": ": ", "fr": " : "},
    "fix": {"en": "To mend: {fix}", "fr": "Pour corriger : {fix}"},
    "more": {"en": "… and {count} more", "fr": "… et {count} autres"},
    "summary": {
        "en": "Checked: {shapes} shapes ({constraints} constraints), {queries} quality queries. "
        "Found: {violations} violation(s), {warnings} warning(s), {remarks} remark(s).",
        "fr": "Vérifié : {shapes} formes ({constraints} contraintes), {queries} requêtes de qualité. "
        "Trouvé : {violations} violation(s), {warnings} avertissement(s), {remarks} remarque(s).",
    },
    "broken": {
        "en": "The shapes cannot be used: {detail}",
        "fr": "Les formes sont inutilisables : {detail}",
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend: where (`focus`, `path`, `value`), what (`message`) and how (`fix`).

    `message` and `fix` hold one text for each language; `path` is a SPARQL property path in
    short forms, empty when the finding is about the node itself; `shape` is the IRI of the
    rule, be it a shape or a query, and `component` that of the kind of constraint.
    """

    focus: Term
    path: str
    value: Term | None
    severity: Severity
    message: Mapping[str, str]
    fix: Mapping[str, str]
    shape: str
    component: str
    origin: Origin

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON takes it."""
        return {
            "severity": self.severity,
            "focus": _plain(self.focus),
            "path": self.path,
            "value": None if self.value is None else _plain(self.value),
            "message": dict(self.message),
            "fix": dict(self.fix),
            "shape": self.shape,
            "component": self.component,
            "origin": self.origin,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a validation found, worst first, and how much it checked."""

    findings: tuple[Finding, ...]
    shapes: int
    constraints: int
    queries: int
    _results: rdflib.Graph = field(default_factory=rdflib.Graph, repr=False, compare=False)

    @property
    def violations(self) -> tuple[Finding, ...]:
        """The findings that keep a change from being committed."""
        return tuple(finding for finding in self.findings if finding.severity == "violation")

    @property
    def conforms(self) -> bool:
        """Whether there is no violation; warnings and remarks may stand."""
        return not self.violations

    def to_text(self, lang: str) -> str:
        """Return the report for a person: each rule once, with the nodes that break it."""
        lines = []
        for (severity, shape, fix), group in groupby(
            self.findings, lambda finding: (finding.severity, finding.shape, finding.fix[lang])
        ):
            found = list(group)
            # A message that names other nodes differs from row to row; any other is said once.
            messages = {finding.message[lang] for finding in found}
            said = f"{_WORDS['colon'][lang]}{messages.pop()}" if len(messages) == 1 else ""
            lines.append(f"{_WORDS[severity][lang]}  {shrink(shape) or shape}{said}")
            if fix:
                lines.append("  " + _WORDS["fix"][lang].format(fix=fix))
            for finding in found[:_LISTED]:
                lines.append(f"  - {_place(finding)}")
                if not said:
                    lines.append(f"    {finding.message[lang]}")
            if len(found) > _LISTED:
                lines.append("  " + _WORDS["more"][lang].format(count=len(found) - _LISTED))
        lines.append(
            _WORDS["summary"][lang].format(
                shapes=self.shapes, constraints=self.constraints, queries=self.queries,
                violations=len(self.violations), warnings=self._count("warning"), remarks=self._count("info"),
            )
        )  # fmt: skip
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {
            "conforms": self.conforms,
            "shapes": self.shapes,
            "constraints": self.constraints,
            "queries": self.queries,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_turtle(self) -> str:
        """Return the SHACL validation report; as the standard has it, `sh:conforms` is false if anything was found."""
        return self._results.serialize(format="turtle")

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)


def validate(view: View) -> Report:
    """Return what the graphs of a view do not satisfy.

    The shapes are those of the view's own shapes graph; a dataset without one is held
    against the shapes that ship with the program. Raises `DataSyntaxError` for a broken
    shapes file, `DataError` for a shape that SHACL does not allow, and `BadQuestion`.
    """
    return _report(view, _shapes(view), [quad for quad in view.quads() if quad.graph_name != NamedNode(SHAPES_GRAPH)])


def validate_graphs(view: View, graphs: Sequence[NamedNode]) -> Report:
    """Return what the subjects of these graphs do not satisfy, seen in the context of all others.

    What a change costs to check then depends on the change and not on the dataset: the shapes are held against the
    graphs, what other graphs say of the same subjects, and the types of what they name (`View.around`); the quality
    queries see the whole view. A finding that names nothing of these graphs is left out: it was there before. One about
    a node of another graph counts where a subject of these is in it: the change may have made that node wrong. Raises
    what `validate` raises.
    """
    part = view.around(graphs, NamedNode(ONTOLOGY_GRAPH))
    subjects = {quad.subject for graph in graphs for quad in part.quads(graph=graph)}
    return _report(view, _shapes(view), list(part.quads()), subjects)


def _report(view: View, shapes: rdflib.Graph, quads: Iterable[Quad], subjects: Set[object] | None = None) -> Report:
    """Return the report on what the quads say, and the view; of what names one of `subjects` where they are given."""
    try:
        # No inference: a class is found through the rdfs:subClassOf triples that are in the data.
        _, results, _ = run_shacl(_graph(quads), shacl_graph=shapes, inplace=True, inference="none")
    except ReportableRuntimeError as error:
        raise DataError(detail={lang: _WORDS["broken"][lang].format(detail=error) for lang in LANGUAGES}) from error
    if not isinstance(results, rdflib.Graph):
        raise TypeError(f"pySHACL gave {type(results).__name__} for its report")  # its signature allows other things
    findings = [
        finding for finding in _shape_findings(results, shapes) if subjects is None or finding.focus in subjects
    ]
    questions = [question for question in load_questions().values() if question.group == "quality"]
    for question in questions:
        findings += _query_findings(question, view.select(question.sparql), subjects)
    _add_query_findings(results, findings)
    # A part that two shapes share is checked once for each of them.
    distinct = {
        (finding.shape, finding.component, finding.focus, finding.path, finding.value, finding.message["en"]): finding
        for finding in findings
    }
    return Report(tuple(sorted(distinct.values(), key=_rank)), *_size(shapes), len(questions), results)


def _shapes(view: View) -> rdflib.Graph:
    quads = list(view.quads(graph=NamedNode(SHAPES_GRAPH)))
    return _graph(quads) if quads else _shipped_shapes()


@cache
def _shipped_shapes() -> rdflib.Graph:
    files = sorted(shapes_dir().glob("*.ttl"))
    return _graph(quad for path in files for quad in parse_file(path, NamedNode(SHAPES_GRAPH)))


def _size(shapes: rdflib.Graph) -> tuple[int, int]:
    """Return how many node shapes there are, and how many constraints they and their parts declare."""
    constraints = sum(
        1 for name in ALL_CONSTRAINT_PARAMETERS if name != SH.property for _ in shapes.triples((None, name, None))
    )
    return sum(1 for _ in shapes.subjects(RDF.type, SH.NodeShape)), constraints


# ---- SHACL -----------------------------------------------------------------------------------------------------------


def _graph(quads: Iterable[Quad]) -> rdflib.Graph:
    """Return quads as one rdflib graph. A triple term (RDF 1.2) is left out: SHACL has no word for it."""
    graph = rdflib.Graph()
    nodes: dict[Term, rdflib.term.Node] = {}

    def node(term: Term) -> rdflib.term.Node:
        found = nodes.get(term)
        if found is None:
            found = nodes[term] = _to_rdflib(term)
        return found

    for quad in quads:
        if isinstance(quad.subject, NamedNode | BlankNode) and isinstance(quad.object, NamedNode | BlankNode | Literal):
            graph.add((node(quad.subject), node(quad.predicate), node(quad.object)))
    return graph


def _to_rdflib(term: Term) -> rdflib.term.IdentifiedNode | rdflib.Literal:
    if isinstance(term, NamedNode):
        return rdflib.URIRef(term.value)
    if isinstance(term, BlankNode):
        return rdflib.BNode(term.value)
    if term.language:
        return rdflib.Literal(term.value, lang=term.language)
    return rdflib.Literal(term.value, datatype=rdflib.URIRef(term.datatype.value), normalize=False)


def _from_rdflib(node: rdflib.term.Node) -> Term:
    if isinstance(node, rdflib.Literal):
        if node.language:
            return Literal(str(node), language=node.language)
        return Literal(str(node), datatype=NamedNode(str(node.datatype))) if node.datatype else Literal(str(node))
    return NamedNode(str(node)) if isinstance(node, rdflib.URIRef) else BlankNode(str(node))


def _shape_findings(results: rdflib.Graph, shapes: rdflib.Graph) -> list[Finding]:
    findings = []
    # Only the report's own results: a nested shape's result may hang below as sh:detail.
    for result in results.objects(None, SH.result):
        one = {str(name): value for name, value in results.predicate_objects(result)}
        shape, value, path = one[str(SH.sourceShape)], one.get(str(SH.value)), one.get(str(SH.resultPath))
        findings.append(Finding(
            focus=_from_rdflib(one[str(SH.focusNode)]),
            path=_path(results, path) if path is not None else "",
            value=_from_rdflib(value) if value is not None else None,
            severity=_SEVERITIES.get(str(one[str(SH.resultSeverity)]), "violation"),
            message=_texts(results.objects(result, SH.resultMessage)),
            fix=_texts(shapes.objects(shape, SH.description)),
            shape=str(shape),
            component=str(one[str(SH.sourceConstraintComponent)]),
            origin="shape",
        ))  # fmt: skip
    return findings


def _texts(found: Iterable[rdflib.term.Node]) -> dict[str, str]:
    """Return one text for each language; one that is missing is lent by whichever is there."""
    by_language = {
        node.language or "": str(node) for node in sorted(found, key=str) if isinstance(node, rdflib.Literal)
    }
    spare = next(iter(by_language.values()), "")
    return {lang: by_language.get(lang, spare) for lang in LANGUAGES}


def _path(graph: rdflib.Graph, node: rdflib.term.Node) -> str:
    """Return a SHACL path as a SPARQL path."""
    if isinstance(node, rdflib.URIRef):
        return _short(NamedNode(str(node)))
    for predicate, form in ((SH.inversePath, "^{}"), (SH.zeroOrMorePath, "{}*"), (SH.oneOrMorePath, "{}+"),
                            (SH.zeroOrOnePath, "{}?")):  # fmt: skip
        inner = graph.value(node, predicate)
        if inner is not None:
            return form.format(_path(graph, inner))
    choice = graph.value(node, SH.alternativePath)
    steps = [_path(graph, step) for step in Collection(graph, choice or node)]
    return "({})".format(" | ".join(steps)) if choice else " / ".join(steps)


# ---- Quality queries -------------------------------------------------------------------------------------------------


def _query_findings(question: Question, table: Table, subjects: Set[object] | None = None) -> list[Finding]:
    """Return a finding for each row, or for each in which one of `subjects` stands. Column `focus` is the node; `path`
    and `value`, if there, say where.
    """
    if question.finding not in _ORDER or "focus" not in table.columns:
        raise BadQuestion(
            path=question.path, line=1, detail="# finding: violation | warning | info, and a column focus"
        )
    findings = []
    for row in table.iter_dicts():
        if subjects is not None and subjects.isdisjoint(row.values()):
            continue
        path = row.get("path")
        # In a sentence a number or a name stands without Turtle's quotation marks.
        shown = {name: term.value if isinstance(term, Literal) else _short(term) for name, term in row.items()}
        findings.append(Finding(
            focus=row["focus"],
            path=_short(path) if path is not None else "",
            value=row.get("value"),
            severity=next(severity for severity in _ORDER if severity == question.finding),
            message={lang: _fill(question.message[lang], shown) for lang in LANGUAGES},
            fix={lang: _fill(question.fix[lang], shown) for lang in LANGUAGES},
            shape=SHAPE + question.name,
            component=str(SH.SPARQLConstraintComponent),
            origin="query",
        ))  # fmt: skip
    return findings


def _fill(text: str, shown: Mapping[str, str]) -> str:
    """Return a message with each `{column}` replaced by the row's value; other braces stay."""
    return re.sub(r"\{(\w+)\}", lambda match: shown.get(match[1], match[0]), text)


def _add_query_findings(results: rdflib.Graph, findings: Iterable[Finding]) -> None:
    """Add to a SHACL report the findings that SHACL did not make."""
    for prefix in ("pepr", "shape"):
        results.bind(prefix, PREFIXES[prefix])
    report = next(results.subjects(RDF.type, SH.ValidationReport))
    uris = {name: iri for iri, name in _SEVERITIES.items()}
    for number, finding in enumerate(finding for finding in findings if finding.origin == "query"):
        node = rdflib.BNode(f"query{number}")
        results.add((report, SH.result, node))
        results.add((node, RDF.type, SH.ValidationResult))
        results.add((node, SH.focusNode, _to_rdflib(finding.focus)))
        results.add((node, SH.resultSeverity, rdflib.URIRef(uris[finding.severity])))
        results.add((node, SH.sourceShape, rdflib.URIRef(finding.shape)))
        results.add((node, SH.sourceConstraintComponent, rdflib.URIRef(finding.component)))
        for lang, text in finding.message.items():
            results.add((node, SH.resultMessage, rdflib.Literal(text, lang=lang)))
        if finding.value is not None:
            results.add((node, SH.value, _to_rdflib(finding.value)))
        results.set((report, SH.conforms, rdflib.Literal(False)))


# ---- Showing ---------------------------------------------------------------------------------------------------------


def _rank(finding: Finding) -> tuple[int, str, str, str, str, str]:
    """Return the sort key: worst first, then by rule and node, so that a report is always the same."""
    value = "" if finding.value is None else str(finding.value)
    return (
        _ORDER.index(finding.severity), finding.shape, finding.fix["en"], str(finding.focus), finding.path, value,
    )  # fmt: skip


def _place(finding: Finding) -> str:
    value = "" if finding.value is None or finding.value == finding.focus else _short(finding.value)
    where = " ".join(part for part in (finding.path, value) if part)
    return f"{_short(finding.focus)}  {where}".rstrip()


def _short(term: Term) -> str:
    """Return a term as Turtle writes it, with our prefixes and without a datatype."""
    if isinstance(term, NamedNode):
        return shrink(term.value) or f"<{term.value}>"
    if isinstance(term, BlankNode):
        return f"_:{term.value}"
    return f'"{term.value}"' + (f"@{term.language}" if term.language else "")


def _plain(term: Term) -> str:
    return f"_:{term.value}" if isinstance(term, BlankNode) else term.value
