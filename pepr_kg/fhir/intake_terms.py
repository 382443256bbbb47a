"""The cohort's graph in an intake: what resources become there, what is superseded, withdrawn and noted."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from pepr_kg.fhir.intake_codes import Codes
from pepr_kg.fhir.intake_cohort import MODALITY, About, say
from pepr_kg.fhir.intake_ledger import Known, Version
from pepr_kg.fhir.intake_names import Names
from pepr_kg.fhir.intake_people import People
from pepr_kg.fhir.intake_records import CLASSES, Node
from pepr_kg.fhir.intake_spool import Spool
from pepr_kg.fhir.intake_tally import Tally
from pepr_kg.fhir.intake_values import INSTANT, literal, moment_of, time_of
from pepr_kg.namespaces import COHORT, ID, ONTOLOGY_GRAPH, PEPR, expand
from pepr_kg.store import NamedNode, Quad, View

PATIENT: Final = f"{ID}patient/"
_FROM: Final = f"\0 <{expand('prov:wasDerivedFrom')}> <"
_BY: Final = f"\0 <{expand('prov:wasGeneratedBy')}> <"
_VERSION: Final = f"\0 <{PEPR}resourceVersion> "
_MODIFIED: Final = f"\0 <{expand('dcterms:modified')}> "
_REVISES: Final = f"<{expand('prov:wasRevisionOf')}>"
_STATUS: Final = f"<{PEPR}hasResultStatus> <{ID}result-status/"
_REVISED: Final = 1000  # whose revisions may be in the specimen
_WITHDRAWN: Final = {
    "entered-in-error": ("It was declared to be entered in error.", "La source l’a déclaré saisi par erreur."),
    "cancelled": ("It was cancelled at the source.", "La source l’a annulé."),
    "deleted": ("It was deleted at the source.", "La source l’a supprimé."),
    "emptied": (
        "A newer version of the record says nothing of it that can be taken in.",
        "Une version plus récente du dossier n’en dit plus rien qui puisse être repris.",
    ),
}


class Made(Struct, frozen=True):
    """What a resource becomes: nodes about a patient (an IRI), what is said of a patient, the codes of a Medication; or
    why it has no place.
    """

    nodes: Sequence[Node] = ()
    patient: str = ""
    said: str = ""
    codes: tuple[str, ...] = ()
    left_out: str = ""
    identifiers: tuple[str, ...] = ()


class Terms:
    """Writes what resources become. `spool` is loaded while documents are read; `last`, with what is known only at the
    end, after the store has lost what is `outdated`.
    """

    def __init__(  # noqa: PLR0917  what the graph of a cohort needs to know
        self, view: View, about: About, names: Names, codes: Codes, tally: Tally, iri: str, folder: Path, *,
        specimen: int, segment: Callable[[Path], None] | None,
    ) -> None:  # fmt: skip
        self.view, self.about, self.names, self.codes, self.tally = view, about, names, codes, tally
        self.graph = NamedNode(COHORT + about.name)
        self.spool = Spool(folder / "terms.nt", specimen, segment)
        self.last = Spool(folder / "last.nt", specimen)
        self._tail = f"{_BY}{iri}> .\n"
        self.people = People(view, about, self._tail)
        self._superseded: set[str] = set()
        self._notes: dict[str, str] = {}  # what is to be said of resources themselves
        self._outdated: dict[str, None] = {}  # the resources of which the store is to lose what it says

    @property
    def is_used(self) -> bool:
        """Return whether anything is to be written."""
        return self.spool.is_used or bool(self._notes) or self.people.is_met

    def lose(self, subject: str) -> None:
        """Let the store lose what it says of a resource itself."""
        self._outdated[subject] = None

    def write(
        self, subject: str, reference: str, version: Version, made: Made, before: Known
    ) -> tuple[str, ...]:  # fmt: skip
        """Write what a resource became, in place of what was there; return the IRIs of the nodes."""
        self._notes.pop(subject, None)
        if before.noted:
            self.lose(subject)
        tail = f'{_FROM}{subject}> .\n{_VERSION}"{version.text}" .\n{self._tail}'
        if version.updated and moment_of(version.updated) and (moment := time_of(version.updated)):
            tail += f"{_MODIFIED}{moment[0]} .\n"
        local = self.names.local(subject)
        if made.said:
            iri = PATIENT + local
            self.people.send(iri, made.said + tail)
            return (iri,)
        if not made.nodes:
            if made.codes:
                self.note(subject, reference, version, made.codes)
            elif before.nodes or before.noted:
                self.take_back(before.nodes, "emptied")
                self.note(subject, reference, version)
            return ()
        self.people.name(made.patient)
        iris = []
        for node in made.nodes:
            iri = f"{ID}{node.kind}/{local}_{version.text}{node.suffix}"
            iris.append(iri)
            block = (node.body + tail).replace("\0", f"<{iri}>")
            self.spool.put(block.encode(), node.kind + node.form)
        self.tally.made(made.nodes)
        if before.nodes:
            self._supersede(before.nodes, iris)
        return tuple(iris)

    def _supersede(self, before: Sequence[str], after: Sequence[str]) -> None:
        old = [iri for iri in before if iri not in after]
        if len(self._superseded) < _REVISED:
            self._superseded.update(old)
        self.spool.put("".join(f"<{iri}> {_STATUS}superseded> .\n" for iri in old).encode())
        last = len(after) - 1
        revisions = [f"<{after[min(at, last)]}> {_REVISES} <{iri}> .\n" for at, iri in enumerate(old)]
        self.spool.put("".join(revisions).encode(), "revision")

    def take_back(self, nodes: Sequence[str], state: str) -> None:
        """Say of nodes that they are withdrawn, and why; a patient leaves the cohort."""
        en, fr = _WITHDRAWN[state]
        for iri in nodes:
            if iri.startswith(PATIENT):
                self.people.forget(iri)
                continue
            reasons = [("pepr:withdrawalReason", f"{literal(en)}@en"), ("pepr:withdrawalReason", f"{literal(fr)}@fr")]
            text = say(iri, [("pepr:hasResultStatus", f"<{ID}result-status/withdrawn>"), *reasons])
            self.spool.put(text.encode())

    def note(
        self, subject: str, reference: str, version: Version, codes: Sequence[str] = (), verb: str = "resourceReference"
    ) -> None:
        """Let the cohort's graph say which version of a resource it knows, though nothing was made of it."""
        text = said_of(subject, verb, reference, version)
        self._notes[subject] = text + say(subject, [("pepr:hasCode", f"<{code}>") for code in codes])

    def finish(self) -> None:
        """Write what is known at the end: patients, notes, what codes are."""
        for block, form in self.people.write():
            self.last.put(block.encode(), form)
            self.tally.counts["patient"] += 1
        self.tally.stubs, self.tally.new_patients = self.people.stubs, self.people.new
        for note in self._notes.values():
            self.last.put(note.encode())
        for text in self.codes.described.values():
            self.last.put(text.encode(), f"code {text.count(' .')}")

    def context(self) -> list[Quad]:
        """Return of what kind that is which is named and stands elsewhere: patients, models, what was superseded."""
        kinds = dict.fromkeys(self.people.named_only(), f"{PEPR}Patient")
        kinds |= {expand(f"model:{name}"): f"{PEPR}Model" for name in self.about.models}
        kinds |= {iri: CLASSES[iri.removeprefix(ID).partition("/")[0]] for iri in self._superseded}
        kinds |= {MODALITY: expand("skos:Concept"), expand(f"cohort:{self.about.name}"): f"{PEPR}Cohort"}
        graph, type_, status = map(NamedNode, (ONTOLOGY_GRAPH, expand("rdf:type"), f"{PEPR}hasResultStatus"))
        superseded = NamedNode(f"{ID}result-status/superseded")
        return [Quad(NamedNode(iri), type_, NamedNode(kind), graph) for iri, kind in kinds.items()] + [
            Quad(NamedNode(iri), status, superseded, graph) for iri in self._superseded
        ]

    def outdated(self) -> Iterator[Quad]:
        """Yield what the store is to lose: earlier facts about patients, and notes that were replaced."""
        for iri in (*self.people.outdated, *self._outdated):
            yield from self.view.quads(NamedNode(iri), graph=self.graph)


def said_of(subject: str, verb: str, reference: str, version: Version) -> str:
    """Return what a graph says of a resource that it knows."""
    facts = [(f"pepr:{verb}", literal(reference)), ("pepr:resourceVersion", literal(version.text))]
    if version.updated and moment_of(version.updated):
        facts.append(("dcterms:modified", f"{literal(version.updated)}{INSTANT}"))
    return say(subject, facts)
