"""FHIR resources become a cohort in our terms, in one change: committed whole, or not at all.

Patients, observations, conditions, drugs, encounters and procedures of `documents` go to `graph/cohort/NAME`, the
resources themselves to `graph/fhir/NAME`, or both (`keep`). Each node says which resource it was made from, in which version,
and by which intake: when, by whom, from which file. What is sent again changes nothing; an older version never takes
the place of a newer one; what was entered in error, cancelled or deleted is withdrawn and stays, so that runs which used it are
known to be stale. What is wrong with a resource keeps that one out and is reported; the others are loaded, but for a
transaction, which is all or nothing.

    documents = open_documents(path, faults=faults.append)
    report = intake(dataset, documents, cohort="clinic", release="R4", faults=faults)

Patients bear no name, address or number here: `pepr:identifiedWithin` says in which systems they have one.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pepr_kg.cohorts.description import identifiers
from pepr_kg.cohorts.groups import EVERYONE
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake_check import check_sets, check_specimen
from pepr_kg.fhir.intake_cohort import About, describe_cohort, describe_elements, describe_intake
from pepr_kg.fhir.intake_errors import OntologyMissing, ReleaseMixed, UnknownKeep
from pepr_kg.fhir.intake_report import Report
from pepr_kg.fhir.intake_taking import Taking
from pepr_kg.fhir.iris import check_base
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import BASE, COHORT, FHIR, ID, ONTOLOGY_GRAPH, PEPR, expand
from pepr_kg.runs.key import software
from pepr_kg.store import Change, Dataset, Literal as Text, NamedNode, Quad, View
from pepr_kg.store import file_digest

SPECIMEN: Final = 25  # nodes of each form that are held against the shapes one by one

Keep = Literal["terms", "fhir", "both"]


@dataclass(frozen=True, slots=True)
class Into:
    """Where the resources go, and what is said of them.

    base: of resources without an absolute address; by default one that is the cohort's own. keep: our terms, the resources, or
    both. identifiability: a slug of `identifiability:`; patients marked as test data (HTEST) are synthetic whatever it says.
    models: of the twins of new patients, by name; those that the dataset does not have are left out. listed: whether
    the report names each resource.
    """

    cohort: str
    release: str = "R4"
    base: str | None = None
    keep: Keep = "terms"
    who: str = ""
    titles: Mapping[str, str] | None = None
    identifiability: str = "pseudonymised"
    holder: str = "organisation:pepr-kg"
    models: Sequence[str] = EVERYONE.models
    specimen: int = SPECIMEN
    listed: bool = False


def intake(
    dataset: Dataset,
    documents: Iterable[Document],
    *,
    cohort: str,
    base: str | None = None,
    release: str = "R4",
    keep: Keep = "terms",
    who: str = "",
    faults: Sequence[DocumentError] = (),
    listed: bool = False,
    **more: object,
) -> Report:
    """Take documents into a cohort; see `take_in` for all that can be said."""
    into = Into(cohort=cohort, base=base, release=release, keep=keep, who=who, listed=listed, **more)  # type: ignore[arg-type]
    return take_in(dataset, documents, into, faults)


def take_in(
    dataset: Dataset, documents: Iterable[Document], into: Into, faults: Sequence[DocumentError] = ()
) -> Report:  # fmt: skip
    """Take documents into a cohort as one change and return what was done.

    `faults` is the list that the reader of the documents adds bad lines and entries to: they are reported with the rest, and
    keep a transaction out. Raises `BadCohortName`, `BaseMissing`, `UnknownKeep`, `ReleaseMixed`, `OntologyMissing`,
    `ValidationRefused`, what the reader of the documents raises, and what `Dataset.change` raises; the dataset then stays as it was.
    """
    identifiers(into.cohort, 0)
    if into.keep not in {"terms", "fhir", "both"}:
        raise UnknownKeep(keep=into.keep)
    check_base(into.base or _own_base(into.cohort))
    with dataset.change(who=into.who or software(), source=f"FHIR into cohort {into.cohort}") as change:
        view = dataset.view()
        if NamedNode(ONTOLOGY_GRAPH) not in view.graphs:
            raise OntologyMissing(path=dataset.path)
        _refuse_mixture(view, into)
        with tempfile.TemporaryDirectory(dir=dataset.path, prefix=".fhir-") as folder:
            return _Intake(change, view, into, Path(folder)).run(documents, faults)


def _own_base(cohort: str) -> str:
    return f"{BASE}fhir/{cohort}/"


def _refuse_mixture(view: View, into: Into) -> None:
    graph = NamedNode(FHIR + into.cohort)
    if into.keep == "terms" or graph not in view.graphs:
        return
    for quad in view.quads(graph, NamedNode(f"{PEPR}fhirRelease"), None, graph):
        if isinstance(quad.object, Text) and quad.object.value != into.release:
            raise ReleaseMixed(cohort=into.cohort, known=quad.object.value, release=into.release)


class _Intake:
    """One intake on its way through reading, validation and the store."""

    def __init__(self, change: Change, view: View, into: Into, folder: Path) -> None:
        self.change, self.view, self.into, self.folder = change, view, into, folder
        self.graph = COHORT + into.cohort
        self.started = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        self.models = [name for name in into.models
                       if next(view.quads(NamedNode(expand(f"model:{name}"))), None) is not None]  # fmt: skip
        titles = into.titles or {"en": f"{into.cohort} (FHIR)", "fr": f"{into.cohort} (FHIR)"}
        self.about = About(into.cohort, {lang: titles[lang] for lang in LANGUAGES}, into.identifiability, into.holder, self.models)
        stamp = hashlib.sha256(f"{view.version} {self.started.isoformat()} {into.cohort}".encode()).hexdigest()[:16]
        self.iri = f"{ID}intake/{into.cohort}.{stamp}"
        self.stamp = stamp

    def run(self, documents: Iterable[Document], faults: Sequence[DocumentError]) -> Report:
        begun = time.perf_counter()
        base = self.into.base or _own_base(self.into.cohort)
        with Taking(self.view, self.into.cohort, base, self.into.release, self.into.keep, self.about, self.iri, self.stamp,
                    self.folder, specimen=self.into.specimen, listed=self.into.listed) as taking:  # fmt: skip
            taking.take_all(documents)
            taking.add_faults(faults)
            changed = taking.is_changed and not (taking.is_transaction and taking.refused)
            if changed:
                self._finish(taking)
            self._count("read", begun)
            if not changed:
                return taking.report(self.view, self.graph, "", committed=False, triples=0, seconds=self.seconds)
            if self.into.keep != "fhir":
                begun = time.perf_counter()
                check_specimen(self.view, self.into.cohort, taking.terms.specimen, taking.context())
                self._count("validate", begun)
            begun = time.perf_counter()
            triples = self._load(taking)
            self._count("load", begun)
            begun = time.perf_counter()
            after = self.change.commit(self._check if self.into.keep != "fhir" else None)
            self._count("commit", begun)
            return taking.report(after, self.graph, self.iri, committed=True, triples=triples, seconds=self.seconds)

    def _finish(self, taking: Taking) -> None:
        """Write what is known only at the end: patients, codes, the cohort, the intake."""
        taking.finish()
        if self.into.keep == "fhir":
            return
        text = ""
        if next(self.view.quads(NamedNode(expand(f"cohort:{self.into.cohort}")), graph=NamedNode(self.graph)), None) is None:
            text += describe_cohort(self.view, self.about)
        text += describe_elements(self.view, self.into.cohort, taking.units)
        text += describe_intake(
            self.iri, who=self.into.who, program=software(), started=self.started, ended=datetime.now(UTC),
            digests=taking.digests(), release=self.into.release,
        )  # fmt: skip
        taking.terms.put(text.encode(), "about")

    def _load(self, taking: Taking) -> int:
        """Put what was made into the store in place of what it replaces; return how many triples came in."""
        taking.flush()
        self.change.remove(taking.outdated())
        triples = 0
        for spool, graph in ((taking.terms, self.graph), (taking.resources, FHIR + self.into.cohort)):
            if len(spool):
                triples += self.change.bulk(spool.path, NamedNode(graph))
        if self.into.keep != "fhir":
            self._recount(taking)
        return triples

    def _recount(self, taking: Taking) -> None:
        """Say how many people and records the dataset has now."""
        dataset, graph = NamedNode(expand(f"dataset:{self.into.cohort}")), NamedNode(self.graph)
        for name, more in (("individualCount", taking.new_patients), ("recordCount", taking.new_records)):
            verb = NamedNode(PEPR + name)
            before = list(self.view.quads(dataset, verb, None, graph))
            known = sum(int(quad.object.value) for quad in before if isinstance(quad.object, Text))
            self.change.remove(before)
            number = Text(str(known + more), datatype=NamedNode(expand("xsd:integer")))
            self.change.add([Quad(dataset, verb, number, graph)])

    def _check(self, view: View) -> None:
        begun = time.perf_counter()
        check_sets(view, self.into.cohort)
        self._count("validate", begun)

    def _count(self, stage: str, begun: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun
