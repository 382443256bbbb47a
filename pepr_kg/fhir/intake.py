"""FHIR resources become a cohort in our terms, in one change: committed whole, or not at all.

Patients, observations, conditions, drugs, encounters and procedures of `documents` go to `graph/cohort/NAME`, the
resources themselves to `graph/fhir/NAME`, or both (`keep`). Each node says which resource it was made from, in which
version, and by which intake: when, by whom, from which file. What is sent again changes nothing; an older version
never takes the place of a newer one; what was entered in error, cancelled or deleted is withdrawn and stays, so that
runs which used it are known to be stale. What is wrong with a resource keeps that one out and is reported; the others
are loaded, but for a transaction, which is all or nothing.

    documents = open_documents(path, faults=faults.append)
    report = intake(dataset, documents, cohort="clinic", release="R4", faults=faults)

Patients bear no name, address or number here: `pepr:identifiedWithin` says in which systems they have one.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pepr_kg.cohorts.description import identifiers
from pepr_kg.cohorts.groups import EVERYONE
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.errors import BaseReserved
from pepr_kg.fhir.intake_check import check_sets, check_specimen
from pepr_kg.fhir.intake_cohort import HOLDER, About, describe_cohort, describe_elements, describe_intake
from pepr_kg.fhir.intake_errors import OntologyMissing, ReleaseMixed, UnknownKeep
from pepr_kg.fhir.intake_loading import Loader
from pepr_kg.fhir.intake_report import Report
from pepr_kg.fhir.intake_taking import Taking
from pepr_kg.fhir.iris import check_base
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import BASE, COHORT, FHIR, ID, ONTOLOGY_GRAPH, PEPR, expand
from pepr_kg.runs.key import software
from pepr_kg.store import Change, Dataset, NamedNode, Quad, View
from pepr_kg.store import Literal as Text

SPECIMEN: Final = 25  # nodes of each form that are held against the shapes one by one

_SPECIFICATION: Final = "http://hl7.org/fhir/"
_FOLDER: Final = ".fhir-"  # where an intake writes before it loads

Keep = Literal["terms", "fhir", "both"]


@dataclass(frozen=True, slots=True)
class Into:
    """Where the resources go, and what is said of them.

    base: of resources without an absolute address; by default one that is the cohort's own. keep: our terms, the
    resources, or both. identifiability: a slug of `identifiability:`; patients marked as test data (HTEST) are
    synthetic whatever it says. models: of the twins of new patients, by name; those that the dataset does not have are
    left out. listed: whether the report names each resource.
    """

    cohort: str
    release: str = "R4"
    base: str | None = None
    keep: Keep = "both"
    who: str = ""
    titles: Mapping[str, str] | None = None
    identifiability: str = "pseudonymised"
    holder: str = HOLDER
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
    keep: Keep = "both",
    who: str = "",
    faults: Sequence[DocumentError] = (),
    listed: bool = False,
    identifiability: str = "pseudonymised",
    titles: Mapping[str, str] | None = None,
    holder: str = HOLDER,
    models: Sequence[str] = EVERYONE.models,
    specimen: int = SPECIMEN,
) -> Report:
    """Take documents into a cohort; what the names mean is said by `Into`, what can fail by `take_in`."""
    into = Into(
        cohort, release, base, keep, who, titles, identifiability, holder, models, specimen, listed,
    )  # fmt: skip
    return take_in(dataset, documents, into, faults)


def take_in(
    dataset: Dataset, documents: Iterable[Document], into: Into, faults: Sequence[DocumentError] = ()
) -> Report:  # fmt: skip
    """Take documents into a cohort as one change and return what was done.

    `faults` is the list that the reader of the documents adds bad lines and entries to: they are reported with the
    rest, and keep a transaction out. Raises `BadCohortName`, `BaseMissing`, `BaseReserved`, `UnknownKeep`,
    `ReleaseMixed`, `OntologyMissing`, `ValidationRefused`, what the reader of the documents raises, and what
    `Dataset.change` raises; the dataset then stays as it was.
    """
    identifiers(into.cohort, 0)
    if into.keep not in {"terms", "fhir", "both"}:
        raise UnknownKeep(keep=into.keep)
    base = check_base(into.base or _own_base(into.cohort))
    if base.startswith(_SPECIFICATION):
        raise BaseReserved(base=base, type="Patient")
    with dataset.change(who=into.who or software(), source=f"FHIR into cohort {into.cohort}") as change:
        view = dataset.view()
        if NamedNode(ONTOLOGY_GRAPH) not in view.graphs:
            raise OntologyMissing(path=dataset.path)
        _refuse_mixture(view, into)
        _clean(dataset.path)
        with tempfile.TemporaryDirectory(dir=dataset.path, prefix=_FOLDER) as folder:
            return _Intake(change, view, into, Path(folder)).run(documents, faults)


def _own_base(cohort: str) -> str:
    return f"{BASE}fhir/{cohort}/"


def _refuse_mixture(view: View, into: Into) -> None:
    graph = NamedNode(FHIR + into.cohort)
    for quad in view.quads(graph, NamedNode(f"{PEPR}fhirRelease"), None, graph) if graph in view.graphs else ():
        if isinstance(quad.object, Text) and quad.object.value != into.release:
            raise ReleaseMixed(cohort=into.cohort, known=quad.object.value, release=into.release)


def _clean(folder: Path) -> None:
    """Delete what an intake that was killed left; called while no other can be running."""
    for left in folder.glob(f"{_FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)


class _Intake:
    """One intake on its way through reading, validation and the store."""

    def __init__(self, change: Change, view: View, into: Into, folder: Path) -> None:
        self.change, self.view, self.into, self.folder = change, view, into, folder
        self.graph = NamedNode(COHORT + into.cohort)
        self.started = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        titles = into.titles or dict.fromkeys(LANGUAGES, f"{into.cohort} (FHIR)")
        models = [name for name in into.models if self._knows(f"model:{name}")]
        self.about = About(into.cohort, titles, into.identifiability, into.holder, models)
        stamp = hashlib.sha256(f"{view.version} {self.started.isoformat()} {into.cohort}".encode()).hexdigest()[:16]
        self.iri = f"{ID}intake/{into.cohort}.{stamp}"

    def run(self, documents: Iterable[Document], faults: Sequence[DocumentError]) -> Report:
        """Read, validate, load and commit."""
        into, base = self.into, self.into.base or _own_base(self.into.cohort)
        with Loader(self.change, self.graph) as loader, Taking(
            self.view, self.about, base, into.release, into.keep, self.iri, self.folder, specimen=into.specimen,
            listed=into.listed, segment=loader.load,
        ) as taking:  # fmt: skip
            tally = taking.tally
            with self._stage("read"):
                taking.take_all(documents)
                tally.add_faults(faults)
                if taking.is_transaction and tally.outcomes["refused"]:
                    tally.note_transaction()
                    return self._report(taking, self.view, "", 0)
                if not taking.is_changed:
                    return self._report(taking, self.view, "", 0)
                self._finish(taking)
            if taking.has_terms:
                with self._stage("validate"):
                    specimen = taking.terms.spool.specimen + taking.terms.last.specimen
                    check_specimen(self.view, into.cohort, specimen, taking.terms.context())
            with self._stage("load"):
                triples = loader.finish() + self._load(taking)
            with self._stage("commit"):
                after = self.change.commit(self._check if taking.has_terms else None)
            return self._report(taking, after, self.iri, triples)

    def _report(self, taking: Taking, view: View, iri: str, triples: int) -> Report:
        return taking.tally.to_report(
            view, graph=self.graph.value, intake=iri, release=self.into.release, triples=triples,
            validated=taking.terms.spool.seen + taking.terms.last.seen if iri else 0,
            is_whole=taking.terms.spool.is_whole and taking.terms.last.is_whole, seconds=self.seconds,
        )  # fmt: skip

    def _finish(self, taking: Taking) -> None:
        """Write what is known only at the end: patients, codes, the cohort, the intake."""
        taking.finish()
        said = describe_intake(
            self.iri, who=self.into.who, program=software(), started=self.started, ended=datetime.now(UTC),
            digests=taking.digests(), release=self.into.release,
        )  # fmt: skip
        if not taking.has_terms:
            taking.resources.put(said.encode())
            return
        about = "" if self._knows(f"cohort:{self.into.cohort}", self.graph) else describe_cohort(self.view, self.about)
        elements = describe_elements(self.view, self.into.cohort, taking.tally.units)
        taking.terms.last.put((about + elements + said).encode(), "about")

    def _knows(self, curie: str, graph: NamedNode | None = None) -> bool:
        return next(self.view.quads(NamedNode(expand(curie)), graph=graph), None) is not None

    def _load(self, taking: Taking) -> int:
        """Put what was made into the store in place of what it replaces; return how many triples came in."""
        for spool in (taking.terms.spool, taking.terms.last, taking.resources):
            spool.flush()
        self.change.remove(taking.outdated())
        files = [spool.path for spool in (taking.terms.spool, taking.terms.last) if len(spool)]
        triples = self.change.bulk(files, self.graph)
        if len(taking.resources):
            triples += self.change.bulk(taking.resources.path, NamedNode(FHIR + self.into.cohort))
        if taking.has_terms:
            self._recount("individualCount", taking.tally.new_patients)
            self._recount("recordCount", taking.tally.new_records)
        return triples

    def _recount(self, name: str, more: int) -> None:
        """Say how many people or records the dataset has now."""
        dataset, verb = NamedNode(expand(f"dataset:{self.into.cohort}")), NamedNode(PEPR + name)
        before = list(self.view.quads(dataset, verb, None, self.graph))
        known = sum(int(quad.object.value) for quad in before if isinstance(quad.object, Text))
        self.change.remove(before)
        number = Text(str(known + more), datatype=NamedNode(expand("xsd:integer")))
        self.change.add([Quad(dataset, verb, number, self.graph)])

    def _check(self, view: View) -> None:
        with self._stage("validate"):
            check_sets(view, self.into.cohort)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Count the time of a stage; a stage within another is not counted twice."""
        begun, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            within = sum(self.seconds.values()) - before
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun - within
