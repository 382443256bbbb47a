"""An intake held against the shapes before it is committed, and checked as a set once it stands in the store.

pySHACL looks at one node after the other, so of a large intake it is given a specimen: the first nodes of each form.
Nodes of one form come out of one template and differ in values alone, and values are checked when they are read. What
grows with the intake is asked of all nodes by a few queries (`queries/fhir/unsound-*.rq`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pepr_kg.errors import ValidationRefused
from pepr_kg.namespaces import COHORT, ONTOLOGY_GRAPH, PREFIXES, SHAPE, SHAPES_GRAPH
from pepr_kg.rdf import parse_bytes
from pepr_kg.resources import read_query
from pepr_kg.store import NamedNode, Quad, RdfFormat, View
from pepr_kg.validation import Finding, Report, validate_graphs

_COMPONENT: Final = PREFIXES["sh"] + "SPARQLConstraintComponent"
_FAULT: Final = {
    "en": "This is a fault of the program, not of the data: nothing was written. Please report it with this message.",
    "fr": "C’est une erreur du programme et non des données\u202f: rien n’a été écrit. Signalez-la avec ce message.",
}
_SETS: Final[Mapping[str, Mapping[str, str]]] = {
    "unsound-records": {
        "en": "This was taken in and does not say whose it is and which resource it came from.",
        "fr": "Ceci a été repris et ne dit pas de qui il s’agit et de quelle ressource cela vient.",
    },
    "unsound-observations": {
        "en": "This observation has no property, no time or no value.",
        "fr": "Cette observation n’a pas de grandeur, pas de date ou pas de valeur.",
    },
}


def check_specimen(view: View, cohort: str, specimen: bytes, context: Sequence[Quad]) -> None:
    """Hold a specimen against the shapes and quality queries, beside the ontology, without the store being
    touched; `context` says of what kind that is which it names and which stands elsewhere. Raises `ValidationRefused`.
    """
    graph = NamedNode(COHORT + cohort)
    ground = [NamedNode(ONTOLOGY_GRAPH), NamedNode(SHAPES_GRAPH)]
    quads = parse_bytes(specimen, RdfFormat.N_TRIPLES, graph, graph.value)
    _refuse(validate_graphs(view.only(ground).plus([*quads, *context]), [graph]))


def check_sets(view: View, cohort: str) -> None:
    """Check all that stands in a cohort's graph, as a set. Raises `ValidationRefused`."""
    graph = NamedNode(COHORT + cohort)
    findings: list[Finding] = []
    for name, message in _SETS.items():
        for row in view.select(read_query(f"fhir/{name}"), {"cohort": graph}).iter_dicts():
            findings.append(Finding(
                focus=row["focus"], path="", value=None, severity="violation", message=message, fix=_FAULT,
                shape=SHAPE + name, component=_COMPONENT, origin="query",
            ))  # fmt: skip
    _refuse(Report(tuple(findings), shapes=0, constraints=0, queries=len(_SETS)))


def _refuse(report: Report) -> None:
    if not report.conforms:
        raise ValidationRefused(violations=len(report.violations), report=report)
