"""One document after the other, taken: which resource and version it is, and what becomes of it.

Two passes are never needed: what refers to an entry further on in its Bundle (`urn:uuid:…`), or to a Medication that
may still come, waits until the end.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from pepr_kg.errors import PeprError
from pepr_kg.fhir import intake_parts as parts
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.intake_codes import Codes, Meaning
from pepr_kg.fhir.intake_cohort import MODALITY, About, describe_patient, say
from pepr_kg.fhir.intake_kept import Kept, urns_of
from pepr_kg.fhir.intake_ledger import Known, Ledger, Order, Version
from pepr_kg.fhir.intake_names import Names, identifier_of, type_of
from pepr_kg.fhir.intake_people import People
from pepr_kg.fhir.intake_reading import canonical, is_id, read_head, state_of, version_of, wrong_kind
from pepr_kg.fhir.intake_records import CLASSES, LeftOut, Node, Records, Refused
from pepr_kg.fhir.intake_report import Outcome
from pepr_kg.fhir.intake_spool import Spool
from pepr_kg.fhir.intake_tally import Tally
from pepr_kg.fhir.intake_values import literal, moment_of, time_of
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.terminology import check_code, check_codes
from pepr_kg.namespaces import COHORT, ID, ONTOLOGY_GRAPH, PEPR, expand
from pepr_kg.store import NamedNode, Quad, View, file_digest

_FROM: Final = f"\0 <{expand('prov:wasDerivedFrom')}> <"
_BY: Final = f"\0 <{expand('prov:wasGeneratedBy')}> <"
_VERSION: Final = f"\0 <{PEPR}resourceVersion> "
_MODIFIED: Final = f"\0 <{expand('dcterms:modified')}> "
_REVISES: Final = f"<{expand('prov:wasRevisionOf')}>"
_STATUS: Final = f"<{PEPR}hasResultStatus> <{ID}result-status/"
_PATIENT: Final = f"{ID}patient/"
_MAPPED: Final = frozenset(parts.RESOURCES)
_REVISED: Final = 1000  # whose revisions may be in the specimen
_WITHDRAWN: Final = {
    "entered-in-error": ("It was declared to be entered in error.", "La source l’a déclaré saisi par erreur."),
    "cancelled": ("It was cancelled at the source.", "La source l’a annulé."),
    "deleted": ("It was deleted at the source.", "La source l’a supprimé."),
}


class _Waits(Exception):
    """What a resource refers to may still come."""


class Taking:
    """Takes documents. After `take_all` and `finish` the two spools hold what is to be loaded."""

    def __init__(  # noqa: PLR0917  what one intake is made of
        self, view: View, about: About, base: str, release: str, keep: str, iri: str, folder: Path, *, specimen: int,
        listed: bool, segment: Callable[[Path], None] | None = None,
    ) -> None:  # fmt: skip
        self.view, self.about, self.release, self.cohort = view, about, release, about.name
        self.in_terms = keep != "fhir"
        self.tally = Tally(listed=listed)
        self.names, self.codes = Names(about.name, base), Codes.read(view)
        self.ledger = Ledger.read(view, about.name)
        self.records = Records(self.codes, self._drug)
        self.terms = Spool(folder / "terms.nt", specimen, segment)
        self.resources = Spool(folder / "resources.nt")
        label = f"i{iri.rpartition('.')[2]}n"
        self.kept = Kept(self.resources, about.name, base, release, label) if keep != "terms" else None
        self.is_transaction = self.is_changed = False
        self._tail = f"{_BY}{iri}> .\n"
        self._people = People(view, about, self._tail)
        self._types = load_table(release).resources
        self._superseded: set[str] = set()
        self._drugs: dict[str, Meaning] = {}
        self._waiting: list[tuple[Document, int]] = []
        self._outdated: list[tuple[str, str]] = []  # "terms" or "fhir", and the subject that the store is to lose
        self._digests: dict[str, Any] = {}
        self._final = False
        self._full_url: str | None = None  # of the document in hand

    def __enter__(self) -> "Taking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terms.__exit__(kind, value, trace)
        self.resources.__exit__(kind, value, trace)

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
            raise _unknown_type(type_name, self.release)
        if self.kept is None and type_name not in _MAPPED:
            self.tally.unmapped[type_name] += 1
            self.tally.done(document, place, "ignored")
            return
        value, text = canonical(document.data)
        subject, version = self._subject(document, head), version_of(head, text)
        known = self.ledger.get(subject)
        order = Order.NEW if known is None else version.against(known.version)
        if order is Order.SAME or order is Order.OLDER:
            if order is Order.OLDER:
                self.tally.report_problem(
                    document,
                    "information",
                    "older",
                    "A newer version is known; this one was left out.",
                    "Une version plus récente est connue\u202f; celle-ci a été laissée de côté.",
                )
            self.tally.done(document, place, "unchanged", version.text)
            return
        state = state_of(value)
        nodes: list[Node] = []
        patient = said = ""
        if state is None and self.in_terms:
            nodes, patient, said = self._make(document, type_name, subject)
        written = None
        if self.kept is not None and state != "entered-in-error":
            written = self._keep(document, head, value, subject, version)
        if known is not None and known.place is not None and self.kept is not None:
            self.kept.take_back(known.place)
        if state is not None:
            self._withdraw(subject, known, version, state, f"{type_name}/{head.id or ''}")
            self.tally.done(document, place, "withdrawn", version.text)
            return
        iris: tuple[str, ...] = ()
        if self.in_terms:
            self.tally.read(type_name, tuple(value))
            iris = self._write(subject, version, nodes, patient, said, known)
        if known is not None and (known.stored or known.gone):
            self._outdated.append(("fhir", subject))
        if known is not None and known.gone:
            self._outdated.append(("terms", subject))
        self.ledger.put(subject, Known(version, iris, False, False, written))
        is_kept = written is not None or bool(iris)
        self.is_changed = self.is_changed or is_kept
        is_new = order is Order.NEW or (known is not None and known.gone)
        outcome: Outcome = "ignored" if not is_kept else "created" if is_new else "updated"
        self.tally.done(document, place, outcome, version.text)

    def _subject(self, document: Document, head: parts.Head) -> str:
        identifier = head.id or identifier_of(document.full_url)
        if not identifier:
            identifier = hashlib.sha256(document.data).hexdigest()[:32]
            self.tally.report_problem(
                document,
                "warning",
                "no-id",
                "It has no id, so only the same content will be known again.",
                "Elle n’a pas d’id\u202f: seul un contenu identique sera reconnu.",
            )
        elif not is_id(identifier):
            shown = identifier[:70]
            raise Refused(
                "id",
                "bad-id",
                f"“{shown}” is no id of FHIR (1 to 64 letters, digits, hyphens, dots). Correct it",
                f"« {shown} » n’est pas un id de FHIR (1 à 64 lettres, chiffres, traits d’union, points). Corrigez-le",
            )
        return self.names.subject(head.resourceType, identifier, document.full_url)

    # ---- What becomes of it ------------------------------------------------------------------------------------------

    def _make(self, document: Document, type_name: str, subject: str) -> tuple[list[Node], str, str]:
        """Return the nodes of a resource with the IRI of their patient, or what is said of a patient.

        Counts what has no place. Raises `Refused` and `_Waits`.
        """
        if type_name not in _MAPPED:
            self.tally.unmapped[type_name] += 1
            return [], "", ""
        try:
            part = parts.RESOURCES[type_name].decode(document.data)
            if isinstance(part, parts.Patient):
                return [], "", self._describe_patient(part)
            if isinstance(part, parts.Medication):
                meaning = self.codes.meaning(bytes(part.code)) if bytes(part.code) else None
                if meaning is not None:
                    self._drugs[subject] = meaning
                return [], "", ""
            status = getattr(part, "status", None)
            if status:
                _refuse(check_code(self.release, f"{type_name}.status", status))
            self._full_url = document.full_url
            patient = self._about(part, document)
            return self.records.make(type_name, part, f"<{patient}>"), patient, ""
        except LeftOut as reason:
            self.tally.left_out[f"{type_name}:{reason}"] += 1
            return [], "", ""
        except msgspec.MsgspecError as error:
            raise wrong_kind(type_name, error) from error

    def _describe_patient(self, part: parts.Patient) -> str:
        if part.gender:
            _refuse(check_code(self.release, "Patient.gender", part.gender))
        text = describe_patient(self.codes, self.about, part)
        for item in part.identifier:
            self.tally.identifiers[item.system or "?"] += 1
        return text

    def _keep(
        self, document: Document, head: parts.Head, value: dict[str, Any], subject: str, version: Version
    ) -> tuple[int, int] | None:  # fmt: skip
        """Write the resource itself. Raises `Refused`, and `_Waits` where it names an entry that was not seen yet."""
        if self.kept is None:
            return None
        if not self._final and any(urn not in self.names.urns for urn in urns_of(document.data)):
            raise _Waits
        for problem in check_codes(self.release, value):
            if problem.severity == "error":
                _refuse(problem)
        reference = f"{head.resourceType}/{head.id}" if head.id else ""
        place, problems = self.kept.write(document.data, subject, reference, version, self.names)
        for problem in problems:
            en, fr = problem.message("en"), problem.message("fr")
            self.tally.report_problem(document, problem.severity, problem.code, en, fr)
        return place

    def _about(self, part: Any, document: Document) -> str:
        """Return the IRI of the patient that a resource is about. Raises `LeftOut`, `Refused`, `_Waits`."""
        reference = part.subject.reference if part.subject is not None else None
        if not reference:
            raise LeftOut("no-patient")
        subject = self.names.resolve(reference, document.full_url)
        if subject is None and reference.startswith("urn:"):
            if not self._final:
                raise _Waits
            shown = reference[:80]
            raise Refused(
                "subject",
                "lost-reference",
                f"“{shown}” leads to no entry of this Bundle. Add the patient",
                f"« {shown} » ne mène à aucune entrée de ce Bundle. Ajoutez le patient",
            )
        if subject is None or type_of(subject) != "Patient":
            raise LeftOut("no-patient")
        return _PATIENT + self.names.local(subject)

    def _drug(self, reference: str) -> Meaning | None:
        """Return what a Medication that is referred to means. Raises `_Waits`."""
        subject = self.names.resolve(reference, self._full_url)
        found = self._drugs.get(subject or "")
        if found is None and not self._final:
            raise _Waits
        return found

    def _write(  # noqa: PLR0917  what a resource became
        self, subject: str, version: Version, nodes: Sequence[Node], patient: str, said: str, known: Known | None
    ) -> tuple[str, ...]:
        """Write the nodes of a resource; return their IRIs."""
        tail = f'{_FROM}{subject}> .\n{_VERSION}"{version.text}" .\n{self._tail}'
        if version.updated and moment_of(version.updated) and (moment := time_of(version.updated)):
            tail += f"{_MODIFIED}{moment[0]} .\n"
        local = self.names.local(subject)
        if said:
            iri = _PATIENT + local
            self._people.send(iri, said + tail)
            return (iri,)
        if not nodes:
            return ()
        self._people.name(patient)
        iris = []
        for node in nodes:
            iri = f"{ID}{node.kind}/{local}_{version.text}{node.suffix}"
            iris.append(iri)
            block = (node.body + tail).replace("\0", f"<{iri}>")
            self.terms.put(block.encode(), node.kind + node.form)
        self.tally.made(nodes)
        if known is not None and known.nodes:
            self._supersede(known.nodes, iris)
        return tuple(iris)

    def _supersede(self, before: Sequence[str], after: Sequence[str]) -> None:
        if len(self._superseded) < _REVISED:
            self._superseded.update(before)
        self.terms.put("".join(f"<{iri}> {_STATUS}superseded> .\n" for iri in before).encode())
        last = len(after) - 1
        revisions = [f"<{after[min(at, last)]}> {_REVISES} <{iri}> .\n" for at, iri in enumerate(before)]
        self.terms.put("".join(revisions).encode(), "revision")

    # ---- What is taken back ------------------------------------------------------------------------------------------

    def _remove(self, document: Document, place: int) -> None:
        subject = self.names.subject(document.type, document.id, None)
        known = self.ledger.get(subject)
        if known is not None and known.gone:
            self.tally.done(document, place, "unchanged")
            return
        if known is not None and known.place is not None and self.kept is not None:
            self.kept.take_back(known.place)
        version = known.version if known is not None else Version("deleted", None)
        self._withdraw(subject, known, version, "deleted", f"{document.type}/{document.id}")
        self.tally.done(document, place, "withdrawn", version.text)

    def _withdraw(self, subject: str, known: Known | None, version: Version, state: str, reference: str) -> None:
        """Say of a resource's nodes that they hold no more, and that the resource is gone; remember it."""
        en, fr = _WITHDRAWN[state]
        text = ""
        for iri in known.nodes if known is not None else ():
            if iri.startswith(_PATIENT):
                self._people.forget(iri)
                continue
            reasons = [("pepr:withdrawalReason", f"{literal(en)}@en"), ("pepr:withdrawalReason", f"{literal(fr)}@fr")]
            text += say(iri, [("pepr:hasResultStatus", f"<{ID}result-status/withdrawn>"), *reasons])
        gone = say(
            subject, [("pepr:resourceGone", literal(reference)), ("pepr:resourceVersion", literal(version.text))]
        )
        if known is not None and known.gone:
            self._outdated.append(("terms", subject))
        if self.in_terms:
            self.terms.put((text + gone).encode())
        if self.kept is not None and state != "cancelled":
            self.resources.put(gone.encode())
        if known is not None and (known.stored or known.gone):
            self._outdated.append(("fhir", subject))
        self.ledger.put(subject, Known(version, (), True))
        self.is_changed = True

    # ---- The end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what is known at the end: patients, and what codes are."""
        if not self.in_terms:
            return
        for block, form in self._people.write():
            self.terms.put(block.encode(), form)
            self.tally.counts["patient"] += 1
        self.tally.stubs, self.tally.new_patients = self._people.stubs, self._people.new
        for text in self.codes.described.values():
            self.terms.put(text.encode(), f"code {text.count(' .')}")

    def context(self) -> list[Quad]:
        """Return of what kind that is which is named and stands elsewhere: patients, models, what was superseded."""
        kinds = dict.fromkeys(self._people.named_only(), f"{PEPR}Patient")
        kinds |= {expand(f"model:{name}"): f"{PEPR}Model" for name in self.about.models}
        kinds |= {iri: CLASSES[iri.removeprefix(ID).partition("/")[0]] for iri in self._superseded}
        kinds |= {MODALITY: expand("skos:Concept"), expand(f"cohort:{self.cohort}"): f"{PEPR}Cohort"}
        graph, type_, status = map(NamedNode, (ONTOLOGY_GRAPH, expand("rdf:type"), f"{PEPR}hasResultStatus"))
        superseded = NamedNode(f"{ID}result-status/superseded")
        return [Quad(NamedNode(iri), type_, NamedNode(kind), graph) for iri, kind in kinds.items()] + [
            Quad(NamedNode(iri), status, superseded, graph) for iri in self._superseded
        ]

    def outdated(self) -> Iterator[Quad]:
        """Yield what the store is to lose: earlier facts about patients, and resources that were replaced."""
        graph = NamedNode(COHORT + self.cohort)
        for iri in self._people.outdated:
            yield from self.view.quads(NamedNode(iri), graph=graph)
        for kind, subject in dict.fromkeys(self._outdated):
            if kind == "terms":
                yield from self.view.quads(NamedNode(subject), graph=graph)
            elif self.kept is not None:
                yield from self.kept.stored(self.view, subject)

    def digests(self) -> list[str]:
        """Return the SHA-256 of each source: of the file where there is one, else of the resources that were read."""
        return [
            file_digest(Path(source)) if digest is None else digest.hexdigest()
            for source, digest in self._digests.items()
        ]


def _unknown_type(type_name: str, release: str) -> Refused:
    shown = type_name[:40]
    return Refused(
        "resourceType",
        "unknown-type",
        f"{release} has no resource type “{shown}”. Correct it, or give the release of the data",
        f"{release} n’a pas de type de ressource « {shown} ». Corrigez-le, ou donnez la version des données",
    )


def _refuse(problem: Problem | None) -> None:
    if problem is not None:
        raise Refused(problem.path, problem.code, problem.en.rstrip("."), problem.fr.rstrip("."))
