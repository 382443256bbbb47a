"""The patients of an intake: who was sent, who is only named by others, who was deleted.

They are few beside their observations, and wait in memory until the end: a patient's facts take the place of the
earlier ones, so that of several versions the newest alone is written.
"""

from collections.abc import Iterator

from pepr_kg.fhir.intake_cohort import About, say
from pepr_kg.fhir.intake_values import literal
from pepr_kg.namespaces import COHORT, ID, PEPR, expand
from pepr_kg.store import NamedNode, View


class People:
    """The patients that were met, by IRI. `tail` says which intake it is."""

    def __init__(self, view: View, about: About, tail: str) -> None:
        self._view, self._about = view, about
        self._tail = tail
        self._graph = NamedNode(COHORT + about.name)
        self._member = f"<{PEPR}memberOfCohort> <{expand(f'cohort:{about.name}')}"
        self._sent: dict[str, str] = {}  # what is said of each; nothing of one whom others name
        self._gone: dict[str, None] = {}
        self.outdated: list[str] = []  # those of whom the store is to forget what it says
        self.stubs = self.new = 0

    def send(self, iri: str, text: str) -> None:
        r"""Note a patient who was sent: triples with `\0` in place of the name."""
        self._sent[iri] = text
        self._gone.pop(iri, None)

    def name(self, iri: str) -> None:
        """Note a patient whom another resource is about."""
        self._sent.setdefault(iri, "")

    def forget(self, iri: str) -> None:
        """Note a patient who was deleted."""
        self._sent.pop(iri, None)
        self._gone[iri] = None

    @property
    def is_met(self) -> bool:
        """Return whether anything is to be said of anybody."""
        return bool(self._sent or self._gone)

    def named_only(self) -> list[str]:
        """Return those whom others name and who were not sent."""
        return [iri for iri, text in self._sent.items() if not text]

    def write(self) -> Iterator[tuple[str, str]]:
        """Yield the triples of each patient, with the twin of one who is new, and their form."""
        for iri, text in self._sent.items():
            known, is_member = self._standing(iri)
            if is_member and not text:
                continue
            if known:
                self.outdated.append(iri)
            if not text:
                self.stubs += 1
            self.new += not is_member
            member = f"\0 {self._member}> .\n"
            yield self._block(iri, text or self._little(), member, is_new=not known)
        for iri in self._gone:
            known, is_member = self._standing(iri)
            if known:
                self.outdated.append(iri)
                self.new -= is_member
                yield self._block(iri, self._little(), "", is_new=False)

    def _standing(self, iri: str) -> tuple[bool, bool]:
        """Return whether the cohort's graph knows a patient, and as a member."""
        known = next(self._view.quads(NamedNode(iri), graph=self._graph), None) is not None
        verb, cohort = NamedNode(f"{PEPR}memberOfCohort"), NamedNode(expand(f"cohort:{self._about.name}"))
        return known, known and next(self._view.quads(NamedNode(iri), verb, cohort, self._graph), None) is not None

    def _little(self) -> str:
        """Return what is said of a patient of whom nothing is known."""
        return f"\0 <{PEPR}hasIdentifiability> <{ID}identifiability/{self._about.identifiability}> .\n{self._tail}"

    def _block(self, iri: str, text: str, member: str, *, is_new: bool) -> tuple[str, str]:
        local = iri.rpartition("/")[2]
        body = f"\0 <{expand('rdf:type')}> <{PEPR}Patient> .\n"
        body += f"\0 <{expand('dcterms:identifier')}> {literal(local)} .\n{text}{member}"
        block = body.replace("\0", f"<{iri}>")
        if is_new and self._about.models:
            models = [("pepr:usesModel", f"<{expand(f'model:{name}')}>") for name in self._about.models]
            twin = [("rdf:type", f"<{PEPR}DigitalTwin>"), ("pepr:twinOf", f"<{iri}>"), *models]
            block += say(f"{ID}twin/{local}", twin)
        return block, f"patient {block.count(' .')}"
