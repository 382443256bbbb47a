"""One document after the other, taken: which resource and version it is, and what becomes of it.

Two passes are never needed: what refers to an entry further on in its Bundle (`urn:uuid:…`), or to a Medication that
may still come, waits until the end.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from pepr_kg.errors import PeprError
from pepr_kg.fhir import intake_parts as parts
from pepr_kg.fhir.documents import Bundle, Document
from pepr_kg.fhir.errors import BaseReserved
from pepr_kg.fhir.intake_codes import Codes, Meaning
from pepr_kg.fhir.intake_cohort import About, describe_patient
from pepr_kg.fhir.intake_kept import Kept, urns_of
from pepr_kg.fhir.intake_ledger import Known, Ledger, Order, Version
from pepr_kg.fhir.intake_names import Names, identifier_of, type_of
from pepr_kg.fhir.intake_reading import canonical, is_id, read_head, state_of, version_of
from pepr_kg.fhir.intake_records import LeftOut, Records
from pepr_kg.fhir.intake_refusals import (
    NO_ID,
    OLDER,
    Refused,
    bad_id,
    conditional_delete,
    lost_reference,
    nul_in_text,
    refuse,
    unknown_type,
    wrong_kind,
)  # fmt: skip
from pepr_kg.fhir.intake_report import Outcome
from pepr_kg.fhir.intake_spool import Spool
from pepr_kg.fhir.intake_tally import Tally
from pepr_kg.fhir.intake_terms import PATIENT, Made, Terms, said_of
from pepr_kg.fhir.intake_values import moment_of
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.terminology import check_code, check_codes
from pepr_kg.namespaces import ID, PEPR
from pepr_kg.store import NamedNode, Quad, View, file_digest

_CODE: Final = NamedNode(f"{PEPR}hasCode")
_PATIENT: Final = f"{ID}patient/"
_SPECIFICATION: Final = "http://hl7.org/fhir/"
_MAPPED: Final = frozenset(parts.RESOURCES)
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class _Waits(Exception):
    """What a resource refers to may still come."""


class Taking:
    """Takes documents. After `take_all` and `finish` the spools hold what is to be loaded: `terms` while documents are
    read, `last` and `resources` after the store has lost what is `outdated`.
    """

    def __init__(  # noqa: PLR0917  what one intake is made of
        self, view: View, about: About, base: str, release: str, keep: str, iri: str, folder: Path, *, specimen: int,
        listed: bool, segment: Callable[[Path], None] | None = None,
    ) -> None:  # fmt: skip
        self.view, self.about, self.release, self.cohort = view, about, release, about.name
        self.in_terms, self.in_fhir = keep != "fhir", keep != "terms"
        self.tally = Tally(listed=listed)
        self.names, self.codes = Names(about.name, base), Codes.read(view)
        self.ledger = Ledger.read(view, about.name)
        self.records = Records(self.codes, self._drug)
        self.terms = Terms(
            view, about, self.names, self.codes, self.tally, iri, folder, specimen=specimen, segment=segment
        )  # fmt: skip
        self.resources = Spool(folder / "resources.nt")
        self.kept = Kept(self.resources, about.name, base, release, iri)
        self.is_transaction = self.is_changed = False
        self._types = load_table(release).resources
        self._drugs: dict[str, Meaning] = {}
        self._waiting: list[tuple[Document, int]] = []
        self._held: set[str] = set()  # the resources that wait, and what comes after with them
        self._met: dict[str, Bundle] = {}  # in which history a resource was met: its older versions follow there
        self._graves: dict[str, str] = {}  # the same in the graph of resources, of those that are gone
        self._outdated: dict[str, None] = {}  # what the graph of resources is to lose
        self._digests: dict[str, Any] = {}
        self._final = False
        self._full_url: str | None = None  # of the document in hand

    def __enter__(self) -> "Taking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in (self.terms.spool, self.terms.last, self.resources):
            spool.__exit__(kind, value, trace)

    @property
    def has_terms(self) -> bool:
        """Return whether the cohort's graph has a part in this intake."""
        return self.in_terms or self.terms.is_used

    # ---- One document after the other --------------------------------------------------------------------------------

    def take_all(self, documents: Iterable[Document]) -> None:
        """Take the documents, and then those that had to wait."""
        for document in documents:
            place = self.tally.receive(document)
            self._note_source(document)
            if document.bundle is not None and document.bundle.type == "transaction":
                self.is_transaction = True
            self._take(document, place)
        self._final = True
        waiting, self._waiting = self._waiting, []
        for document, place in waiting:
            self._take(document, place)

    def _note_source(self, document: Document) -> None:
        """Remember where documents come from; what is no file is digested on the way."""
        source = document.source
        if source not in self._digests:
            self._digests[source] = None if source and Path(source).is_file() else hashlib.sha256()
        digest = self._digests[source]
        if digest is not None:
            digest.update(document.data)

    def _take(self, document: Document, place: int) -> None:
        try:
            if document.is_removal:
                self._remove(document, place)
            else:
                self._take_one(document, place)
        except _Waits:
            self._waiting.append((document, place))
        except Refused as error:
            en, fr = f"{error.path}: {error.en}.", f"{error.path}\u202f: {error.fr}."
            self.tally.report_problem(document, "error", error.code, en, fr)
            self.tally.done(document, place, "refused")
        except PeprError as error:
            self.tally.report_problem(document, "error", error.code, error.message("en"), error.message("fr"))
            self.tally.done(document, place, "refused")

    def _take_one(self, document: Document, place: int) -> None:
        head = read_head(document.data, document.type)
        type_name = head.resourceType
        if type_name not in self._types:
            raise unknown_type(type_name, self.release)
        if b"\\u0000" in document.data and _NUL.search(document.data):
            raise nul_in_text(type_name)
        identifier, subject = self._subject(document, head)
        known = self.ledger.get(subject)
        # What a graph has is kept up to date there, whatever is asked to be kept of the rest.
        in_terms = self.in_terms or (known is not None and (known.terms != "" or known.noted))
        in_fhir = self.in_fhir or (known is not None and known.fhir != "")
        if not in_fhir and type_name not in _MAPPED:
            self.tally.unmapped[type_name] += 1
            self.tally.done(document, place, "ignored", identifier=identifier)
            return
        value, text = canonical(document.data)
        version = version_of(head, text)
        if type_name == "Medication":
            self._remember_drug(document.data, subject)
        order = Order.NEW if known is None else version.against(known.version)
        if known is not None and known.gone and self._is_met(document, subject):
            order = Order.OLDER
        self._meet(document, subject)
        if known is not None and order is Order.SAME:
            in_terms = in_terms and known.terms != version.text and type_name in _MAPPED and not known.gone
            in_fhir = in_fhir and known.fhir != version.text and not known.gone
        if order is Order.OLDER:
            self.tally.report_problem(document, "information", "older", *OLDER)
        if order is Order.OLDER or not (in_terms or in_fhir):
            self.tally.done(document, place, "unchanged", version.text, identifier)
            return
        if subject in self._held and not self._final:
            raise _Waits
        try:
            outcome = self._replace(
                document, value, f"{type_name}/{identifier}", subject, version, known, in_terms, in_fhir
            )
        except _Waits:
            self._held.add(subject)
            raise
        if outcome in {"created", "ignored"} and known is not None and not known.gone:
            outcome = "updated" if outcome == "created" else "unchanged" if order is Order.SAME else "ignored"
        self.tally.done(document, place, outcome, version.text, identifier)

    def _replace(  # noqa: PLR0917  one resource, from what it says to what both graphs say of it
        self, document: Document, value: dict[str, Any], reference: str, subject: str, version: Version,
        known: Known | None, in_terms: bool, in_fhir: bool,
    ) -> Outcome:  # fmt: skip
        """Make what a resource is now take the place of what was known of it. Raises `Refused` and `_Waits`."""
        type_name, state = reference.partition("/")[0], state_of(value)
        made = Made()
        if state is None and in_terms and type_name in _MAPPED:
            made = self._make(document, type_name, subject)
        place = None
        if in_fhir and state != "entered-in-error":
            place = self._keep(document, value, reference, subject, version)
        before = known or Known(version)
        if in_fhir:
            self._forget_kept(subject, before)
        if state is not None:
            self._withdraw(subject, before, version, state, reference, in_terms, in_fhir)
            if place is not None:
                self.ledger.put(subject, replace(self._after(subject), fhir=version.text, place=place))
            return "withdrawn"
        iris: tuple[str, ...] = ()
        if in_terms:
            self._count(type_name, tuple(value), made)
            iris = self.terms.write(subject, reference, version, made, before)
        has_terms = bool(iris or made.codes or before.nodes) if in_terms else before.terms != ""
        self.ledger.put(subject, Known(
            version, iris if in_terms else before.nodes, version.text if in_terms and has_terms else before.terms,
            version.text if place is not None else before.fhir, False, before.noted, before.stored,
            place if place is not None else before.place,
        ))  # fmt: skip
        is_written = place is not None or bool(iris or made.codes) or (in_terms and bool(before.nodes))
        self.is_changed = self.is_changed or is_written
        return "created" if is_written else "ignored"

    def _after(self, subject: str) -> Known:
        found = self.ledger.get(subject)
        return found if found is not None else Known(Version("", None))

    def _subject(self, document: Document, head: parts.Head) -> tuple[str, str]:
        """Return id and IRI of a resource. Raises `Refused` and `BaseReserved`."""
        identifier = head.id or identifier_of(document.full_url)
        if not identifier:
            identifier = hashlib.sha256(document.data).hexdigest()[:32]
            self.tally.report_problem(document, "warning", "no-id", *NO_ID)
        elif not is_id(identifier):
            raise bad_id(identifier)
        subject = self.names.subject(head.resourceType, identifier, _address(document))
        if subject.startswith(_SPECIFICATION):
            raise BaseReserved(base=_SPECIFICATION, type=head.resourceType)
        return identifier, subject

    # ---- What becomes of it ------------------------------------------------------------------------------------------

    def _make(self, document: Document, type_name: str, subject: str) -> Made:
        """Return what a resource becomes in our terms. Raises `Refused` and `_Waits`."""
        try:
            part = parts.RESOURCES[type_name].decode(document.data)
            if isinstance(part, parts.Patient):
                if part.gender:
                    refuse(check_code(self.release, "Patient.gender", part.gender))
                systems = tuple(item.system or "?" for item in part.identifier)
                return Made(said=describe_patient(self.codes, self.about, part), identifiers=systems)
            if isinstance(part, parts.Medication):
                drug = self._drugs.get(subject)
                return Made(codes=drug.codes if drug is not None else ())
            status = getattr(part, "status", None)
            if status:
                refuse(check_code(self.release, f"{type_name}.status", status))
            self._full_url = document.full_url
            patient = self._about(part, document)
            return Made(self.records.make(type_name, part, f"<{patient}>"), patient)
        except LeftOut as reason:
            return Made(left_out=str(reason))
        except msgspec.MsgspecError as error:
            raise wrong_kind(type_name, error) from error

    def _count(self, type_name: str, elements: tuple[str, ...], made: Made) -> None:
        """Count what has no place: types, resources that say too little, elements, numbers of people."""
        if type_name not in _MAPPED:
            self.tally.unmapped[type_name] += 1
        if made.left_out:
            self.tally.left_out[f"{type_name}:{made.left_out}"] += 1
        self.tally.identifiers.update(made.identifiers)
        self.tally.read(type_name, elements)

    def _keep(
        self, document: Document, value: dict[str, Any], reference: str, subject: str, version: Version
    ) -> tuple[int, int]:  # fmt: skip
        """Write the resource itself. Raises `Refused`, and `_Waits` where it names an entry that was not seen yet."""
        may_wait = document.bundle is not None and not self._final
        if may_wait and any(urn not in self.names.urns for urn in urns_of(document.data)):
            raise _Waits
        for problem in check_codes(self.release, value):
            if problem.severity == "error":
                refuse(problem)
        place, problems = self.kept.write(document.data, subject, reference, version, self.names)
        for problem in problems:
            en, fr = problem.message("en"), problem.message("fr")
            self.tally.report_problem(document, problem.severity, problem.code, en, fr)
        return place

    def _forget_kept(self, subject: str, before: Known) -> None:
        """Let the graph of resources lose what it has of a resource."""
        if before.place is not None:
            self.kept.take_back(before.place)
        if before.stored:
            self._outdated[subject] = None
        self._graves.pop(subject, None)

    def _about(self, part: Any, document: Document) -> str:
        """Return the IRI of the patient that a resource is about. Raises `LeftOut`, `Refused`, `_Waits`."""
        reference = part.subject.reference if part.subject is not None else None
        if not reference:
            raise LeftOut("no-patient")
        subject = self.names.resolve(reference, document.full_url)
        if subject is None and reference.startswith("urn:"):
            if document.bundle is not None and not self._final:
                raise _Waits
            raise lost_reference(reference)
        if subject is None or type_of(subject) != "Patient":
            raise LeftOut("no-patient")
        return PATIENT + self.names.local(subject)

    def _remember_drug(self, data: bytes, subject: str) -> None:
        """Remember what a Medication means, whether or not it is new. Raises `Refused`."""
        try:
            part = parts.MEDICATION.decode(data)
            meaning = self.codes.meaning(bytes(part.code)) if bytes(part.code) else None
        except msgspec.MsgspecError as error:
            raise wrong_kind("Medication", error) from error
        if meaning is not None:
            self._drugs[subject] = meaning

    def _drug(self, reference: str) -> Meaning | None:
        """Return what a Medication means that is referred to, of this intake or an earlier one. Raises `_Waits`."""
        subject = self.names.resolve(reference, self._full_url)
        if subject is None:
            return None
        found = self._drugs.get(subject)
        if found is None and (known := self.ledger.get(subject)) is not None and known.noted:
            codes = [
                quad.object.value
                for quad in self.view.quads(NamedNode(subject), _CODE, None, self.terms.graph)
                if isinstance(quad.object, NamedNode)
            ]
            found = self.codes.meaning_of_codes(codes)
            if found is not None:
                self._drugs[subject] = found
        if found is None and not self._final:
            raise _Waits
        return found

    # ---- What is taken back ------------------------------------------------------------------------------------------

    def _remove(self, document: Document, place: int) -> None:
        if not document.id:
            raise conditional_delete(document.request.url if document.request is not None else "")
        subject = self.names.subject(document.type, document.id, _address(document))
        if subject in self._held and not self._final:
            raise _Waits
        known = self.ledger.get(subject)
        if known is not None and (known.gone or self._is_earlier(document, subject, known)):
            self._meet(document, subject)
            self.tally.done(document, place, "unchanged", known.version.text)
            return
        self._meet(document, subject)
        before = known or Known(Version("deleted", document.modified))
        version = Version(before.version.text, document.modified or before.version.updated)
        in_terms, in_fhir = self.in_terms or before.terms != "", self.in_fhir or before.fhir != ""
        self._forget_kept(subject, before)
        self._withdraw(subject, before, version, "deleted", f"{document.type}/{document.id}", in_terms, in_fhir)
        self.tally.done(document, place, "withdrawn", version.text)

    def _meet(self, document: Document, subject: str) -> None:
        """Remember that a history has named a resource: it names the newest version first."""
        if document.bundle is not None and document.bundle.type == "history":
            self._met[subject] = document.bundle

    def _is_met(self, document: Document, subject: str) -> bool:
        return document.bundle is not None and self._met.get(subject) is document.bundle

    def _is_earlier(self, document: Document, subject: str, known: Known) -> bool:
        """Return whether a deletion took place before the version that is known."""
        deleted, changed = moment_of(document.modified), moment_of(known.version.updated)
        if deleted is not None and changed is not None:
            return deleted < changed
        return self._is_met(document, subject)

    def _withdraw(  # noqa: PLR0917  a resource that does not hold any more
        self, subject: str, before: Known, version: Version, state: str, reference: str, in_terms: bool, in_fhir: bool
    ) -> None:
        """Say of a resource's nodes that they hold no more, and that the resource is gone; remember it."""
        self.terms.take_back(before.nodes, state)
        is_gone = state != "cancelled"
        if in_terms:
            if before.noted:
                self.terms.lose(subject)
            self.terms.note(subject, reference, version, verb="resourceGone" if is_gone else "resourceReference")
        if in_fhir and is_gone:
            self._graves[subject] = said_of(subject, "resourceGone", reference, version)
        text = version.text
        self.ledger.put(subject, Known(
            version, (), text if in_terms else before.terms, text if in_fhir and is_gone else "", is_gone, before.noted,
            before.stored,
        ))  # fmt: skip
        self.is_changed = True

    # ---- The end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what is known at the end only."""
        for grave in self._graves.values():
            self.resources.put(grave.encode())
        if self.has_terms:
            self.terms.finish()

    def outdated(self) -> Iterator[Quad]:
        """Yield what the store is to lose of both graphs, because something else takes its place."""
        yield from self.terms.outdated()
        for subject in self._outdated:
            yield from self.kept.stored(self.view, subject)

    def digests(self) -> list[str]:
        """Return the SHA-256 of each source: of the file where there is one, else of the resources that were read."""
        return [
            file_digest(Path(source)) if digest is None else digest.hexdigest()
            for source, digest in self._digests.items()
        ]


def _address(document: Document) -> str | None:
    """Return the address of a resource: the fullUrl, else that of the request where it is absolute."""
    if document.full_url is not None or document.request is None or document.request.method not in {"PUT", "DELETE"}:
        return document.full_url
    url = document.request.url.partition("?")[0]
    return url if url.startswith(("http://", "https://")) else None
