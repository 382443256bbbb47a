"""What is counted and noted while an intake goes on, and the report that it becomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pepr_kg.fhir import intake_parts as parts
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake_records import Node
from pepr_kg.fhir.intake_report import Incident, Outcome, Report, Taken
from pepr_kg.fhir.problems import Severity
from pepr_kg.store import View

_PROBLEMS: Final = 1000  # that are kept with their words; all are counted

_TRANSACTION: Final = {
    "en": "A Bundle of type transaction is all or nothing, and something of this load was refused: nothing of it was "
    "taken in. Correct what was refused, or load the transaction apart.",
    "fr": "Un Bundle de type transaction est pris en entier ou pas du tout, et une partie de ce chargement a été "
    "refusée\u202f: rien n’en a été repris. Corrigez ce qui est refusé, ou chargez la transaction à part.",
}


class Tally:
    """The counts of one intake. `listed` keeps what became of each document, in their order."""

    def __init__(self, *, listed: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.identifiers: Counter[str] = Counter()
        self.units: dict[str, Counter[str]] = {}  # of each quantity
        self.received = self.close = self.stubs = self.new_patients = self.new_records = 0
        self.problem_count = 0
        self._problems: list[Incident] = []
        self._shapes: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._listed = listed
        self._taken: list[Taken] = []

    def receive(self, document: Document) -> int:
        """Count a document; return its place in the list."""
        self.received += 1
        if self._listed:
            self._taken.append(Taken(document.type, document.id, "ignored", ""))
        return len(self._taken) - 1

    def done(self, document: Document, place: int, outcome: Outcome, version: str = "", identifier: str = "") -> None:
        """Note what became of a document; `identifier` is the id that it was given, where it had none."""
        self.outcomes[outcome] += 1
        if self._listed:
            self._taken[place] = Taken(document.type, document.id or identifier, outcome, version)

    def read(self, type_name: str, elements: Sequence[str]) -> None:
        """Note which elements a resource has, for those that are not read."""
        self._shapes[type_name, tuple(elements)] += 1

    def made(self, nodes: Sequence[Node]) -> None:
        """Count what a resource became."""
        self.new_records += len(nodes)
        for node in nodes:
            self.counts[node.kind] += 1
            self.close += node.is_close
            if node.quantity:
                self.units.setdefault(node.quantity, Counter())[node.unit] += 1

    def report_problem(self, document: Document, severity: Severity, code: str, en: str, fr: str) -> None:
        """Note something about a document."""
        reference = f"{document.type}/{document.id}" if document.id else document.type
        self._add(Incident(document.source, document.where, reference, severity, code, en, fr))

    def add_faults(self, faults: Sequence[DocumentError]) -> None:
        """Note the lines and entries that could not be read at all."""
        for fault in faults:
            self.received += 1
            self.outcomes["refused"] += 1
            nowhere = {"en": "", "fr": ""}  # the sentence of the fault says where
            self._add(Incident("", nowhere, "", "error", fault.code, fault.message("en"), fault.message("fr")))

    def note_transaction(self) -> None:
        """Note that a transaction was refused, and with it all that came in the same load."""
        self._add(
            Incident("", {"en": "", "fr": ""}, "", "error", "transaction", _TRANSACTION["en"], _TRANSACTION["fr"])
        )

    def _add(self, incident: Incident) -> None:
        self.problem_count += 1
        if len(self._problems) < _PROBLEMS:
            self._problems.append(incident)

    def to_report(
        self, view: View, *, graph: str, intake: str, release: str, triples: int, validated: int, is_whole: bool,
        seconds: Mapping[str, float],
    ) -> Report:  # fmt: skip
        """Return the report; without the IRI of an intake nothing was committed."""
        elements: Counter[str] = Counter()
        for (type_name, names), count in self._shapes.items():
            for name in names:
                if name not in parts.READ.get(type_name, frozenset(names)):
                    elements[f"{type_name}.{name}"] += count
        return Report(
            view=view,
            graph=graph,
            intake=intake,
            release=release,
            committed=bool(intake),
            received=self.received,
            created=self.outcomes["created"],
            updated=self.outcomes["updated"],
            unchanged=self.outcomes["unchanged"],
            withdrawn=self.outcomes["withdrawn"],
            refused=self.outcomes["refused"],
            triples=triples,
            validated=validated,
            is_whole=is_whole,
            stubs=self.stubs,
            close=self.close,
            counts=dict(self.counts),
            unmapped=dict(self.unmapped),
            left_out=dict(self.left_out),
            elements=dict(elements),
            identifiers=dict(self.identifiers),
            problems=tuple(self._problems),
            problem_count=self.problem_count,
            resources=tuple(self._taken),
            seconds=dict(seconds),
        )
