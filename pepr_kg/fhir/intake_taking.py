"""One document after the other, taken: which resource and version it is, what becomes of it, and what is reported.

Two passes are never needed: what refers to an entry further on in its Bundle (`urn:uuid:…`), or to a Medication that may
still come, waits until the end.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from pepr_kg.errors import PeprError
from pepr_kg.fhir import intake_parts as parts
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.intake_codes import Codes, Meaning
from pepr_kg.fhir.intake_cohort import MODALITY, About, describe_patient, say
from pepr_kg.fhir.intake_kept import Kept, urns_of
from pepr_kg.fhir.intake_ledger import Known, Ledger, Order, Version
from pepr_kg.fhir.intake_names import Names, identifier_of, type_of
from pepr_kg.fhir.intake_records import CLASSES, LeftOut, Node, Records, Refused
from pepr_kg.fhir.intake_report import Incident, Outcome, Report, Taken
from pepr_kg.fhir.intake_spool import Spool
from pepr_kg.fhir.intake_values import INSTANT, literal, moment_of, time_of
from pepr_kg.fhir.problems import Severity
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.terminology import check_code
from pepr_kg.namespaces import COHORT, ID, ONTOLOGY_GRAPH, PEPR, expand
from pepr_kg.store import NamedNode, Quad, View, file_digest

_GENERIC: Final = msgspec.json.Decoder(float_hook=Decimal)
_PLAIN: Final = msgspec.json.Encoder(decimal_format="number")
_HEAD: Final = msgspec.json.Decoder(parts.Head)
_FROM: Final = f"\0 <{expand('prov:wasDerivedFrom')}> <"
_BY: Final = f"\0 <{expand('prov:wasGeneratedBy')}> <"
_VERSION: Final = f"\0 <{PEPR}resourceVersion> "
_MODIFIED: Final = f"\0 <{expand('dcterms:modified')}> "
_REVISES: Final = f"<{expand('prov:wasRevisionOf')}>"
_STATUS: Final = f"<{PEPR}hasResultStatus> <{ID}result-status/"
_MEMBER: Final = f"\0 <{PEPR}memberOfCohort> <"
_TAKEN_BACK: Final = frozenset({"entered-in-error", "cancelled"})
_DIGITS: Final = 16
_PROBLEMS: Final = 1000  # that are kept with their words; all are counted
_MAPPED: Final = frozenset(parts.RESOURCES)
_WITHDRAWN: Final = {
    "entered-in-error": ("It was declared to be entered in error.", "La source l’a déclaré saisi par erreur."),
    "cancelled": ("It was cancelled at the source.", "La source l’a annulé."),
    "deleted": ("It was deleted at the source.", "La source l’a supprimé."),
}


class _Waits(Exception):
    """What a resource refers to may still come."""


def canonical(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return a resource as Python has it and as compact JSON, numbers as they are written.

    A key that stands twice in an object leaves fewer quotation marks in the compact form than there were: exact and cheap.
    Raises `BadJson`.
    """
    try:
        value = _GENERIC.decode(raw)
        text = _PLAIN.encode(value)
    except (msgspec.MsgspecError, ArithmeticError, RecursionError, UnicodeDecodeError):
        value, text = read_json(raw), raw
    else:
        if text.count(b'"') != raw.count(b'"'):
            read_json(raw)
    return (value if isinstance(value, dict) else {}), text


class Taking:
    """Takes documents. After `take_all` and `finish` the two spools hold what is to be loaded."""

    def __init__(  # noqa: PLR0917  what one intake is made of
        self, view: View, cohort: str, base: str, release: str, keep: str, about: About, iri: str, stamp: str, folder: Path,
        *, specimen: int, listed: bool,
    ) -> None:  # fmt: skip
        self.view, self.cohort, self.release, self.about, self.iri = view, cohort, release, about, iri
        self.in_terms, self.in_fhir = keep != "fhir", keep != "terms"
        self.names, self.codes = Names(cohort, base), Codes.read(view)
        self.ledger = Ledger.read(view, cohort)
        self.records = Records(self.codes, self._drug)
        self.table = load_table(release)
        self.terms = Spool(folder / "terms.nt", specimen)
        self.resources = Spool(folder / "resources.nt")
        self.kept = Kept(self.resources, cohort, base, release, stamp) if self.in_fhir else None
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.identifiers: Counter[str] = Counter()
        self.units: dict[str, Counter[str]] = {}
        self.problems: list[Incident] = []
        self.problem_count = self.received = self.close = self.stubs = 0
        self.new_patients = self.new_records = 0
        self.is_transaction = self.is_changed = False
        self._listed = listed
        self._taken: list[Taken] = []
        self._shapes: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._patients: dict[str, str] = {}  # term of a patient -> its triples; nothing for one whom others name
        self._gone: set[str] = set()
        self._superseded: set[str] = set()
        self._drugs: dict[str, Meaning] = {}
        self._waiting: list[tuple[int, Document]] = []
        self._outdated: list[tuple[str, str]] = []  # graph and subject of what the store is to lose
        self._digests: dict[str, Any] = {}
        self._final = False
        self._tail = f"{_BY}{iri}> .\n"

    def __enter__(self) -> "Taking":
        self.terms.__enter__()
        self.resources.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terms.__exit__(kind, value, trace)
        self.resources.__exit__(kind, value, trace)

    @property
    def refused(self) -> int:
        """Return how many resources were refused."""
        return self.outcomes["refused"]

    # ---- One document after the other --------------------------------------------------------------------------------

    def take_all(self, documents: Iterable[Document]) -> None:
        """Take the documents, and then those that had to wait."""
        for document in documents:
            self.received += 1
            self._note_source(document)
            if document.bundle is not None and document.bundle.type == "transaction":
                self.is_transaction = True
            place = len(self._taken)
            if self._listed:
                self._taken.append(Taken(document.type, document.id, "ignored", ""))
            self._take(document, place)
        self._final = True
        waiting, self._waiting = self._waiting, []
        for place, document in waiting:
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
            self._take_one(document, place)
        except _Waits:
            self._waiting.append((place, document))
        except Refused as error:
            self._report(document, "error", error.code, f"{error.path}: {error.en}.", f"{error.path}\u202f: {error.fr}.")
            self._done(document, place, "refused")
        except PeprError as error:
            self._report(document, "error", error.code, error.message("en"), error.message("fr"))
            self._done(document, place, "refused")

    def _take_one(self, document: Document, place: int) -> None:
        if document.is_removal:
            self._remove(document, place)
            return
        try:
            head = _HEAD.decode(document.data)
        except msgspec.MsgspecError as error:
            raise _wrong_kind(document.type or "Resource", error) from error
        if head.resourceType not in self.table.resources:
            shown = head.resourceType[:40]
            raise Refused("resourceType", "unknown-type", f"{self.release} has no resource type “{shown}”. Correct it, or give the release of the data",
                          f"{self.release} n’a pas de type de ressource « {shown} ». Corrigez-le, ou donnez la version des données")  # fmt: skip
        if self.kept is None and head.resourceType not in _MAPPED:
            self.unmapped[head.resourceType] += 1
            self._done(document, place, "ignored")
            return
        value, text = canonical(document.data)
        subject = self._subject(document, head)
        version = self._version(head, text)
        order = self.ledger.judge(subject, version)
        if order is Order.SAME or order is Order.OLDER:
            if order is Order.OLDER:
                self._report(document, "information", "older", "A newer version is known; this one was left out.",
                             "Une version plus récente est connue ; celle-ci a été laissée de côté.")  # fmt: skip
            self._done(document, place, "unchanged", version.text)
            return
        state = _state(value)
        written: tuple[int, int] | None = None
        nodes: list[Node] = []
        patient = ""
        if state is None and self.in_terms:
            nodes, patient = self._make(document, head.resourceType, subject)
        if self.kept is not None and state != "entered-in-error":
            written = self._keep(document, head, subject, version)
        known = self.ledger.get(subject)
        if known is not None and known.place is not None and self.kept is not None:
            self.kept.take_back(known.place)
        if state is not None:
            self._withdraw(subject, known, version, state, f"{head.resourceType}/{head.id or ''}")
            if known is None or not known.nodes:
                self.ledger.put(subject, Known(version, (), True, known.stored if known else False, written))
            self._done(document, place, "withdrawn", version.text)
            return
        if self.in_terms:
            self._shapes[head.resourceType, tuple(value)] += 1
        iris = self._write(subject, version, nodes, patient, known) if self.in_terms else ()
        if known is not None and known.stored:
            self._outdated.append(("fhir", subject))
        self.ledger.put(subject, Known(version, iris, False, False, written))
        if written is not None or iris or head.resourceType == "Patient":
            self.is_changed = True
        outcome: Outcome = "created" if order is Order.NEW or (known is not None and known.gone) else "updated"
        if written is None and not iris and not (self.in_terms and head.resourceType == "Patient"):
            outcome = "ignored"
        self._done(document, place, outcome, version.text)

    def _subject(self, document: Document, head: parts.Head) -> str:
        identifier = head.id or identifier_of(document.full_url)
        if not identifier:
            identifier = hashlib.sha256(document.data).hexdigest()[:32]
            self._report(document, "warning", "no-id", "It has no id, so only the same content will be known again.",
                         "Elle n’a pas d’id : seul un contenu identique sera reconnu.")  # fmt: skip
        elif not _is_id(identifier):
            shown = identifier[:70]
            raise Refused("id", "bad-id", f"“{shown}” is no id of FHIR (1 to 64 letters, digits, hyphens, dots). Correct it",
                          f"« {shown} » n’est pas un id de FHIR (1 à 64 lettres, chiffres, traits d’union, points). Corrigez-le")  # fmt: skip
        return self.names.subject(head.resourceType, identifier, document.full_url)

    def _version(self, head: parts.Head, text: bytes) -> Version:
        meta = head.meta
        given = meta.versionId if meta is not None and meta.versionId and _is_id(meta.versionId) else None
        updated = meta.lastUpdated if meta is not None else None
        return Version(given or "d" + hashlib.sha256(text).hexdigest()[:_DIGITS], updated)

    # ---- What becomes of it ------------------------------------------------------------------------------------------

    def _make(self, document: Document, type_name: str, subject: str) -> tuple[list[Node], str]:
        """Return the nodes of a resource and its patient; counts what has no place. Raises `Refused` and `_Waits`."""
        if type_name not in _MAPPED:
            self.unmapped[type_name] += 1
            return [], ""
        try:
            part = parts.RESOURCES[type_name].decode(document.data)
            if isinstance(part, parts.Patient):
                self._patient(part, subject)
                return [], ""
            if isinstance(part, parts.Medication):
                meaning = self.codes.meaning(bytes(part.code)) if bytes(part.code) else None
                if meaning is not None:
                    self._drugs[subject] = meaning
                return [], ""
            status = getattr(part, "status", None)
            problem = check_code(self.release, f"{type_name}.status", status) if status else None
            if problem is not None:
                raise Refused(problem.path, problem.code, problem.en.rstrip("."), problem.fr.rstrip("."))
            self._document = document
            patient = self._about(part, document)
            return self.records.make(type_name, part, patient), patient
        except LeftOut as reason:
            self.left_out[f"{type_name}:{reason}"] += 1
            return [], ""
        except msgspec.MsgspecError as error:
            raise _wrong_kind(type_name, error) from error

    def _keep(self, document: Document, head: parts.Head, subject: str, version: Version) -> tuple[int, int]:
        """Write the resource itself. Raises `Refused`, and `_Waits` where it names an entry that was not seen yet."""
        if not self._final and any(urn not in self.names.urns for urn in urns_of(document.data)):
            raise _Waits
        reference = f"{head.resourceType}/{head.id}" if head.id else ""
        place, problems = self.kept.write(document.data, subject, reference, version, self.names)  # type: ignore[union-attr]
        for problem in problems:
            self._report(document, problem.severity, problem.code, problem.message("en"), problem.message("fr"))
        return place

    def _about(self, part: Any, document: Document) -> str:
        """Return the term of the patient that a resource is about. Raises `LeftOut`, `Refused`, `_Waits`."""
        reference = part.subject.reference if part.subject is not None else None
        if not reference:
            raise LeftOut("no-patient")
        subject = self.names.resolve(reference, document.full_url)
        if subject is None:
            if reference.startswith("urn:"):
                if not self._final:
                    raise _Waits
                raise Refused("subject", "lost-reference", f"“{reference[:80]}” leads to no entry of this Bundle. Add the patient",
                              f"« {reference[:80]} » ne mène à aucune entrée de ce Bundle. Ajoutez le patient")  # fmt: skip
            raise LeftOut("no-patient")
        if type_of(subject) != "Patient":
            raise LeftOut("no-patient")
        return f"<{ID}patient/{self.names.local(subject)}>"

    def _drug(self, reference: str) -> Meaning | None:
        subject = self.names.resolve(reference, self._document.full_url)
        found = self._drugs.get(subject or "")
        if found is None and not self._final:
            raise _Waits
        return found

    def _patient(self, part: parts.Patient, subject: str) -> None:
        problem = check_code(self.release, "Patient.gender", part.gender) if part.gender else None
        if problem is not None:
            raise Refused(problem.path, problem.code, problem.en.rstrip("."), problem.fr.rstrip("."))
        self._pending = describe_patient(self.codes, self.about, part)
        for item in part.identifier:
            self.identifiers[item.system or "?"] += 1

    def _write(
        self, subject: str, version: Version, nodes: Sequence[Node], patient: str, known: Known | None
    ) -> tuple[str, ...]:
        tail = f"{_FROM}{subject}> .\n{_VERSION}{literal(version.text)} .\n{self._tail}"
        if version.updated and (moment := time_of(version.updated)) is not None and moment_of(version.updated):
            tail += f"{_MODIFIED}{moment[0]} .\n"
        local = self.names.local(subject)
        if type_of(subject) == "Patient":
            iri = f"{ID}patient/{local}"
            self._patients[f"<{iri}>"] = self._pending + tail
            self._gone.discard(f"<{iri}>")
            return (iri,)
        if patient:
            self._patients.setdefault(patient, "")
        iris = []
        for node in nodes:
            iri = f"{ID}{node.kind}/{local}_{version.text}{node.suffix}"
            iris.append(iri)
            self.terms.put((node.body + tail).replace("\0", f"<{iri}>").encode(), f"{node.kind} {node.form}")
            self.counts[node.kind] += 1
            if node.quantity:
                self.units.setdefault(node.quantity, Counter())[node.unit] += 1
            self.close += node.is_close
        self.new_records += len(nodes)
        if known is not None and known.nodes:
            self._supersede(known.nodes, iris)
        return tuple(iris)

    def _supersede(self, before: Sequence[str], after: Sequence[str]) -> None:
        if len(self._superseded) < _PROBLEMS:
            self._superseded.update(before)
        self.terms.put("".join(f"<{iri}> {_STATUS}superseded> .\n" for iri in before).encode())
        revisions = [f"<{after[min(number, len(after) - 1)]}> {_REVISES} <{iri}> .\n" for number, iri in enumerate(before) if after]
        self.terms.put("".join(revisions).encode(), "revision")

    # ---- What is taken back ------------------------------------------------------------------------------------------

    def _remove(self, document: Document, place: int) -> None:
        subject = self.names.subject(document.type, document.id, None)
        known = self.ledger.get(subject)
        if known is not None and known.gone:
            self._done(document, place, "unchanged")
            return
        if known is not None and known.place is not None and self.kept is not None:
            self.kept.take_back(known.place)
        version = known.version if known is not None else Version("deleted", None)
        self._withdraw(subject, known, version, "deleted", f"{document.type}/{document.id}")
        self._done(document, place, "withdrawn")

    def _withdraw(self, subject: str, known: Known | None, version: Version, state: str, reference: str) -> None:
        """Say of a resource's nodes that they hold no more, and that the resource is gone; remember it."""
        en, fr = _WITHDRAWN[state]
        text = ""
        for iri in known.nodes if known is not None else ():
            if "/patient/" in iri:
                self._patients.pop(f"<{iri}>", None)
                self._gone.add(f"<{iri}>")
            else:
                text += say(iri, [("pepr:hasResultStatus", f"<{ID}result-status/withdrawn>"),
                                  ("pepr:withdrawalReason", f"{literal(en)}@en"),
                                  ("pepr:withdrawalReason", f"{literal(fr)}@fr")])  # fmt: skip
        gone = say(subject, [("pepr:resourceGone", literal(reference)), ("pepr:resourceVersion", literal(version.text))])
        if self.in_terms and (known is None or not known.gone):
            self.terms.put((text + gone).encode())
        if self.kept is not None and state != "cancelled":
            self.resources.put(gone.encode())
        if known is not None and known.stored:
            self._outdated.append(("fhir", subject))
        self.ledger.put(subject, Known(version, (), True))
        self.is_changed = True

    # ---- The end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what is known at the end: patients, and what codes are."""
        if not self.in_terms:
            return
        graph = NamedNode(COHORT + self.cohort)
        for term, text in self._patients.items():
            iri = term[1:-1]
            known = next(self.view.quads(NamedNode(iri), graph=graph), None) is not None
            if known and not text:
                continue
            if known:
                self._outdated.append(("terms", iri))
            else:
                self.new_patients += 1
            if not text:
                self.stubs += 1
                text = f"\0 <{PEPR}hasIdentifiability> <{ID}identifiability/{self.about.identifiability}> .\n{self._tail}"
            self._put_patient(iri, text, is_new=not known, is_member=True)
        for term in self._gone:
            iri = term[1:-1]
            self._outdated.append(("terms", iri))
            text = f"\0 <{PEPR}hasIdentifiability> <{ID}identifiability/{self.about.identifiability}> .\n{self._tail}"
            self._put_patient(iri, text, is_new=False, is_member=False)
            self.new_patients -= 1
        for text in self.codes.described.values():
            self.terms.put(text.encode(), f"code {text.count('.')}")

    def _put_patient(self, iri: str, text: str, *, is_new: bool, is_member: bool) -> None:
        local = iri.rpartition("/")[2]
        body = f"\0 <{expand('rdf:type')}> <{PEPR}Patient> .\n\0 <{expand('dcterms:identifier')}> {literal(local)} .\n{text}"
        if is_member:
            body += f"{_MEMBER}{expand(f'cohort:{self.cohort}')}> .\n"
        block = body.replace("\0", f"<{iri}>")
        if is_new and self.about.models:
            block += say(f"{ID}twin/{local}", [
                ("rdf:type", f"<{PEPR}DigitalTwin>"), ("pepr:twinOf", f"<{iri}>"),
                *(("pepr:usesModel", f"<{expand(f'model:{name}')}>") for name in self.about.models),
            ])  # fmt: skip
        self.terms.put(block.encode(), f"patient {text.count('.')}")
        self.counts["patient"] += 1

    def context(self) -> list[Quad]:
        """Return of what kind that is which is named and stands elsewhere: patients, models, what was superseded."""
        kinds = {term[1:-1]: f"{PEPR}Patient" for term, text in self._patients.items() if not text}
        kinds |= {expand(f"model:{name}"): f"{PEPR}Model" for name in self.about.models}
        kinds |= {iri: CLASSES[iri.removeprefix(ID).partition("/")[0]] for iri in self._superseded}
        kinds |= {MODALITY: expand("skos:Concept"), expand(f"cohort:{self.cohort}"): f"{PEPR}Cohort"}
        graph, type_, status = (NamedNode(iri) for iri in (ONTOLOGY_GRAPH, expand("rdf:type"), f"{PEPR}hasResultStatus"))
        superseded = NamedNode(f"{ID}result-status/superseded")
        return [Quad(NamedNode(iri), type_, NamedNode(kind), graph) for iri, kind in kinds.items()] + [
            Quad(NamedNode(iri), status, superseded, graph) for iri in self._superseded
        ]

    def outdated(self) -> Iterator[Quad]:
        """Yield what the store is to lose: earlier facts about patients, and resources that were replaced."""
        for kind, subject in dict.fromkeys(self._outdated):
            if kind == "terms":
                yield from self.view.quads(NamedNode(subject), graph=NamedNode(COHORT + self.cohort))
            elif self.kept is not None:
                yield from self.kept.stored(self.view, subject)

    def flush(self) -> None:
        """Let the files be read."""
        self.terms.flush()
        self.resources.flush()

    def digests(self) -> list[str]:
        """Return the SHA-256 of each source: of the file where there is one, else of the resources that were read."""
        return [file_digest(Path(source)) if digest is None else digest.hexdigest()
                for source, digest in self._digests.items()]  # fmt: skip

    def add_faults(self, faults: Sequence[DocumentError]) -> None:
        """Report the lines and entries that could not be read at all."""
        for fault in faults:
            self.received += 1
            self.outcomes["refused"] += 1
            fields = fault.details
            where = fields.get("where")
            self._add(Incident(str(fields.get("source", "")), where if isinstance(where, dict) else {"en": "", "fr": ""}, "",
                               "error", fault.code, fault.message("en"), fault.message("fr")))  # fmt: skip

    def _report(self, document: Document, severity: Severity, code: str, en: str, fr: str) -> None:
        reference = f"{document.type}/{document.id}" if document.id else document.type
        self._add(Incident(document.source, document.where, reference, severity, code, en, fr))

    def _add(self, incident: Incident) -> None:
        self.problem_count += 1
        if len(self.problems) < _PROBLEMS:
            self.problems.append(incident)

    def _done(self, document: Document, place: int, outcome: Outcome, version: str = "") -> None:
        self.outcomes[outcome] += 1
        if self._listed:
            self._taken[place] = Taken(document.type, document.id, outcome, version)

    def report(
        self, view: View, graph: str, iri: str, *, committed: bool, triples: int, seconds: Mapping[str, float]
    ) -> Report:  # fmt: skip
        """Return what was done."""
        elements: Counter[str] = Counter()
        for (type_name, names), count in self._shapes.items():
            for name in names:
                if name not in parts.READ.get(type_name, frozenset(names)):
                    elements[f"{type_name}.{name}"] += count
        validated = 0 if not committed or not self.in_terms else self.terms.seen
        return Report(
            view=view, graph=graph, intake=iri, release=self.release, committed=committed, received=self.received,
            created=self.outcomes["created"], updated=self.outcomes["updated"], unchanged=self.outcomes["unchanged"],
            withdrawn=self.outcomes["withdrawn"], refused=self.outcomes["refused"], triples=triples,
            validated=validated, is_whole=self.terms.is_whole, stubs=self.stubs, close=self.close, counts=dict(self.counts),
            unmapped=dict(self.unmapped), left_out=dict(self.left_out), elements=dict(elements),
            identifiers=dict(self.identifiers), problems=tuple(self.problems), problem_count=self.problem_count,
            resources=tuple(self._taken), seconds=dict(seconds),
        )  # fmt: skip


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.replace("-", "a").replace(".", "a").isalnum()


def _state(value: Mapping[str, Any]) -> str | None:
    """Return why a resource does not hold, None where it does."""
    status = value.get("status")
    if isinstance(status, str) and status in _TAKEN_BACK:
        return status
    verified = value.get("verificationStatus")
    if isinstance(verified, dict):
        codings = verified.get("coding")
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and coding.get("code") == "entered-in-error":
                return "entered-in-error"
    return None


def _wrong_kind(type_name: str, error: msgspec.MsgspecError) -> Refused:
    text = str(error)
    what, _, path = text.partition(" - at `$")
    where = type_name + path.rstrip("`") if path else type_name
    return Refused(where, "wrong-kind", f"a value is not of its kind ({what}). Correct it",
                   f"une valeur n’est pas de la bonne sorte ({what}). Corrigez-la")  # fmt: skip
