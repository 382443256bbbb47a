"""The resources themselves, kept as they came in `graph/fhir/NAME`: as FHIR RDF, and the JSON that it was made from.

The store rewrites numbers, so the JSON is what counts: it is given back byte for byte.
"""

import re
from collections.abc import Iterator
from typing import Final

from pepr_kg.fhir.dialect import R4, R4B, R5, R6, Dialect
from pepr_kg.fhir.intake_ledger import Version
from pepr_kg.fhir.intake_names import Names
from pepr_kg.fhir.intake_refusals import refuse
from pepr_kg.fhir.intake_spool import Spool
from pepr_kg.fhir.intake_values import INSTANT, literal, moment_of
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.writing import Writer
from pepr_kg.namespaces import FHIR, PEPR, expand
from pepr_kg.store import BlankNode, NamedNode, Quad, View

_DIALECTS: Final[dict[str, Dialect]] = {"R4": R4, "R4B": R4B, "R5": R5, "R6": R6}
_JSON: Final = f"^^<{expand('rdf:JSON')}>"
_URN: Final = re.compile(rb'"reference"\s*:\s*"(urn:[^"\s\\]+)"')
_LINK: Final = re.compile(rb"(/(?:link|l)> )<(urn:[^>]+)>")


class Kept:
    """Writes resources to a spool. `intake` is its IRI; the names of blank nodes begin otherwise in each."""

    def __init__(self, spool: Spool, cohort: str, base: str, release: str, intake: str) -> None:
        self.graph = FHIR + cohort
        self._spool, self._release, self._base = spool, release, base
        self._label = f"i{intake.rpartition('.')[2]}n"
        self._tail = f"> <{expand('prov:wasGeneratedBy')}> <{intake}> .\n"
        self._writer: Writer | None = None

    def write(
        self, raw: bytes, subject: str, reference: str, version: Version, names: Names
    ) -> tuple[tuple[int, int], tuple[Problem, ...]]:  # fmt: skip
        """Write a resource; return where it stands and what was noticed. Raises `Refused`, `BadJson`,
        `ResourceBroken`.
        """
        if self._writer is None:
            self._writer = Writer(_DIALECTS[self._release], self._base, syntax="ntriples", label=self._label)
            self._spool.put(f"<{self.graph}> <{PEPR}fhirRelease> {literal(self._release)} .\n".encode())
        written = self._writer.write(raw, full_url=subject)
        if written.has_errors:
            refuse(next(problem for problem in written.problems if problem.severity == "error"))
        text = written.text
        if b"<urn:" in text:
            text = _LINK.sub(lambda found: b"%b<%b>" % (found[1], _target(found[2].decode(), names).encode()), text)
        facts = f"<{subject}> <{PEPR}resourceJson> {literal(raw.decode().strip())}{_JSON} .\n"
        facts += f"<{subject}> <{PEPR}resourceReference> {literal(reference)} .\n"
        facts += f"<{subject}> <{PEPR}resourceVersion> {literal(version.text)} .\n<{subject}{self._tail}"
        if version.updated and moment_of(version.updated):
            facts += f"<{subject}> <{expand('dcterms:modified')}> {literal(version.updated)}{INSTANT} .\n"
        return self._spool.put(text + facts.encode()), written.problems

    def take_back(self, place: tuple[int, int]) -> None:
        """Take back a resource that this intake wrote."""
        self._spool.blank(place)

    def stored(self, view: View, subject: str) -> Iterator[Quad]:
        """Yield all that the store says of a resource, down to its last blank node."""
        graph = NamedNode(self.graph)
        seen: set[NamedNode | BlankNode] = set()
        waiting: list[NamedNode | BlankNode] = [NamedNode(subject)]
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            for quad in view.quads(node, graph=graph):
                yield quad
                if isinstance(quad.object, BlankNode):
                    waiting.append(quad.object)


def _target(urn: str, names: Names) -> str:
    return names.urns.get(urn, urn)


def urns_of(raw: bytes) -> list[str]:
    """Return the URNs that a resource refers to.

    >>> urns_of(b'{"subject": {"reference": "urn:uuid:0c3"}}')
    ['urn:uuid:0c3']
    """
    return [found.decode("utf-8", "replace") for found in _URN.findall(raw)] if b'"urn:' in raw else []
