"""The graph as FHIR: one resource, a page of a search, everything of a patient, an export.

>>> [name for name in TYPES if name.startswith("R")]
['ResearchStudy', 'RiskAssessment']

Programme, cohorts, twins and predictions are made into resources as they are asked for; what came in as FHIR is given
back as it came. Which thing becomes which resource: docs/reference/fhir-http.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from pepr_kg.errors import NotFound, UnknownPrefix
from pepr_kg.fhir import everything as several
from pepr_kg.fhir.bundling import collect, write_lines, write_rdf
from pepr_kg.fhir.context import RELEASES, Context
from pepr_kg.fhir.criteria import Criteria
from pepr_kg.fhir.kept import is_gone, kept_graphs, release_of
from pepr_kg.fhir.offer_errors import NothingToExport, ReleaseNotOffered, ResourceGone
from pepr_kg.fhir.offered import TYPES, Offered
from pepr_kg.fhir.searching import find, patient_nodes, read
from pepr_kg.language import Language
from pepr_kg.namespaces import BASE, expand, shrink
from pepr_kg.store import NamedNode, View

__all__ = ["BASE_OF_EXPORTS", "FORMS", "TYPES", "Page", "export", "offer", "read_one", "read_page", "usual_release"]

Form = Literal["json", "ndjson", "ttl", "nt"]
FORMS: Final[tuple[Form, ...]] = ("json", "ndjson", "ttl", "nt")
BASE_OF_EXPORTS: Final = f"{BASE}fhir/"
# Candidates looked at for a page, and for each resource of it; then the page is shorter and the next one goes on.
_WIDEST: Final = (2_000, 20)
_NAMED: Final = 20  # names in an error


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a search: its resources, where the next begins (None at the end), how many are of another release."""

    resources: tuple[Offered, ...]
    next: int | None
    otherwise: int


def read_one(context: Context, kind: str, identifier: str, release: str | None = None) -> Offered:
    """Return one resource. Raises `NotFound`, `ResourceGone`, or `ReleaseNotOffered` where it came in another."""
    reference = f"{kind}/{identifier}"
    found = several.provenance_of(context, identifier) if kind == "Provenance" else None
    if found is None:
        found = read(context, kind, identifier)
    if found is None:
        if is_gone(context.nodes, reference):
            raise ResourceGone(reference=reference)
        raise NotFound(name=reference)
    if release is not None and found.release != release:
        raise ReleaseNotOffered(
            release=RELEASES.get(release, release), known=RELEASES.get(found.release, found.release)
        )
    return found


def read_page(context: Context, criteria: Criteria, start: int, count: int) -> Page:
    """Return a page of what fits, from a position on that an earlier page gave, or 0."""
    found: list[Offered] = []
    otherwise = 0
    is_provenance = criteria.type == "Provenance"
    offers = islice(_provenances(context, criteria), start, None) if is_provenance else find(context, criteria, start)
    position = start
    most = _WIDEST[0] + count * _WIDEST[1]
    for offered in islice(offers, most):
        if offered is not None and offered.release != context.release:
            otherwise += 1
        elif offered is not None:
            if len(found) == count:
                return Page(tuple(found), position, otherwise)
            found.append(offered)
        position += 1
    more = position - start == most
    return Page(tuple(found), position if more else None, otherwise)


def offer(context: Context, what: str) -> Iterator[Offered]:
    """Yield the resources of something: `programme`, or the short form of a cohort, twin, patient or evaluation.

    Raises `NothingToExport` before the first is yielded.
    """
    if what == "programme":
        return several.programme(context)
    kind, _, name = what.partition(":")
    try:
        iri = expand({"run": f"evaluation:{name}"}.get(kind, what))
    except UnknownPrefix as error:
        raise _nothing(context, what) from error
    node = context.nodes.get(iri)
    if node.is_a("pepr:Cohort"):
        return several.cohort(context, iri)
    if node.is_a("pepr:Evaluation"):
        return several.run(context, iri)
    patient = node.first("pepr:twinOf") if node.is_a("pepr:DigitalTwin") else iri
    if patient is not None and context.nodes.get(patient).is_a("pepr:Patient"):
        reference = str(context.refer("Patient", patient)["reference"])
        return several.everything(context, reference.removeprefix("Patient/"))
    raise _nothing(context, what)


def export(
    view: View,
    what: str,
    release: str | None = None,
    *,
    form: Form = "ndjson",
    lang: Language = "en",
    base: str = BASE_OF_EXPORTS,
) -> Iterator[bytes]:
    """Yield something of the graph as FHIR, in the bytes of a form, in constant memory.

    `what` as in `offer`; without a release it is that of what came in, else R4. Raises `NothingToExport` and
    `ReleaseNotOffered` before the first byte, and the latter where a patient who came in another release is met.
    """
    context = Context(view, check_release(release) if release is not None else usual_release(view), lang)
    resources = _alike(context, offer(context, what))
    if form == "json":
        return collect(resources, base)
    if form == "ndjson":
        return write_lines(resources)
    return write_rdf(resources, base, "turtle" if form == "ttl" else "ntriples")


def check_release(release: str) -> str:
    """Return a release that the graph is offered in. Raises `ReleaseNotOffered`."""
    if release not in RELEASES:
        raise ReleaseNotOffered(release=release, known=", ".join(RELEASES))
    return release


def usual_release(view: View) -> str:
    """Return the release that is meant where nobody names one: that of all that came in as FHIR, else R4."""
    context = Context(view)
    found = {release_of(context.nodes, graph) for graph in kept_graphs(context.nodes)}
    return found.pop() if len(found) == 1 and found <= set(RELEASES) else "R4"


def _alike(context: Context, resources: Iterator[Offered]) -> Iterator[Offered]:
    for offered in resources:
        if offered.release != context.release:
            known = RELEASES.get(offered.release, offered.release)
            raise ReleaseNotOffered(release=RELEASES[context.release], known=known)
        yield offered


def _provenances(context: Context, criteria: Criteria) -> Iterator[Offered | None]:
    """Yield the Provenances of a patient, or of a target; a list of all would be as long as that of predictions."""
    if criteria.ids:
        for identifier in criteria.ids:
            yield several.provenance_of(context, identifier)
    for identifier in criteria.patients:
        for node in patient_nodes(context, identifier)[0]:
            yield from several.provenances(context, node)
    for target in criteria.targets:
        kind, _, identifier = target.partition("/")
        found = several.patient_of(context, kind, identifier)
        if found is not None:
            yield from several.provenances(context, NamedNode(found), target)


def _nothing(context: Context, what: str) -> NothingToExport:
    names = ["programme"]
    for curie in ("pepr:Cohort", "pepr:Evaluation"):
        names += [
            shrink(quad.subject.value) or quad.subject.value for quad in context.nodes.members(curie)
            if isinstance(quad.subject, NamedNode)
        ]  # fmt: skip
    return NothingToExport(name=what, known=", ".join(names[:_NAMED]))
