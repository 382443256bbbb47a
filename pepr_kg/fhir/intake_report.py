"""What an intake did, to be shown or answered.

>>> report = Report(graph="https://example.org/g", counts={"patient": 2, "observation": 31}, unmapped={"Claim": 4})
>>> report.patients, report.observations, report.conditions
(2, 31, 0)
>>> print(report.to_text("en").splitlines()[0])
Resources received: 0 (new 0, changed 0, unchanged 0, withdrawn 0, refused 0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pepr_kg.fhir.intake_records import REASONS
from pepr_kg.fhir.problems import Severity
from pepr_kg.store import View

Outcome = Literal["created", "updated", "unchanged", "withdrawn", "refused", "ignored"]
Text = Mapping[str, str]

KINDS: Final[Mapping[str, Text]] = {
    "patient": {"en": "patients", "fr": "patients"},
    "observation": {"en": "observations", "fr": "observations"},
    "administration": {"en": "doses given", "fr": "doses données"},
    "condition": {"en": "conditions", "fr": "problèmes de santé"},
    "prescription": {"en": "prescriptions", "fr": "prescriptions"},
    "medication-use": {"en": "medication uses", "fr": "prises de médicament"},
    "encounter": {"en": "encounters", "fr": "venues"},
    "procedure": {"en": "procedures", "fr": "actes de soins"},
}
_WORDS: Final[Mapping[str, Text]] = {
    "received": {
        "en": "Resources received: {received} (new {created}, changed {updated}, unchanged {unchanged}, withdrawn "
        "{withdrawn}, refused {refused}).",
        "fr": "Ressources reçues : {received} (nouvelles {created}, modifiées {updated}, inchangées {unchanged}, "
        "retirées {withdrawn}, refusées {refused}).",
    },
    "made": {"en": "Made: {what}.", "fr": "Produit : {what}."},
    "unmapped": {"en": "Not mapped, by type: {what}.", "fr": "Sans correspondance, par type : {what}."},
    "left_out": {"en": "Left out: {what}.", "fr": "Laissé de côté : {what}."},
    "elements": {"en": "Elements that are not read: {what}.", "fr": "Éléments non lus : {what}."},
    "close": {
        "en": "Observations taken by a code of close meaning: {close}.",
        "fr": "Observations prises d’après un code de sens voisin : {close}.",
    },
    "stubs": {
        "en": "Patients whom other resources name and who were not sent: {stubs}.",
        "fr": "Patients que d’autres ressources nomment et qui n’ont pas été envoyés : {stubs}.",
    },
    "checked": {
        "en": "Nodes held against the shapes one by one: {validated}; the others are of the same forms and were "
        "checked as a set.",
        "fr": "Nœuds vérifiés un à un par les formes : {validated} ; les autres sont faits sur les mêmes "
        "modèles et ont été vérifiés en bloc.",
    },
    "nothing": {"en": "Nothing was changed.", "fr": "Rien n’a été modifié."},
    "more": {"en": "Further problems: {count}.", "fr": "Autres problèmes : {count}."},
}
_LISTED: Final = 20
_NUMBERS: Final = (
    "received", "created", "updated", "unchanged", "withdrawn", "refused", "close", "stubs", "validated",
)  # fmt: skip
_PLAIN: Final = (
    "graph", "intake", "release", "committed", "received", "created", "updated", "unchanged", "withdrawn", "refused",
    "triples", "validated", "is_whole", "stubs", "close", "problem_count",
)  # fmt: skip
_TABLES: Final = ("counts", "unmapped", "left_out", "elements", "identifiers", "seconds")


@dataclass(frozen=True, slots=True)
class Incident:
    """Something about one resource: `source` and `where` (", line 3"), its reference, what is wrong, how to mend it."""

    source: str
    where: Text
    reference: str
    severity: Severity
    code: str
    en: str
    fr: str

    def message(self, lang: str) -> str:
        """Return place and sentence in a language."""
        colon = "\u202f: " if lang == "fr" else ": "
        place = f"{self.source}{self.where[lang]}".removeprefix(", ")
        return colon.join(part for part in (place, self.reference, getattr(self, lang)) if part)

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON takes it."""
        return {
            "source": self.source,
            "where": self.where["en"].removeprefix(", "),
            "reference": self.reference,
            "severity": self.severity,
            "code": self.code,
            "en": self.en,
            "fr": self.fr,
        }


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one resource."""

    type: str
    id: str
    outcome: Outcome
    version: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an intake did. `counts` are the nodes made, by kind; `unmapped` the resources without a place in our terms,
    by type; `left_out` those of a mapped type that say too little, by TYPE:REASON; `elements` what was not read, by
    name.

    `resources` is in the order of the documents, if it was asked for. `committed` is False where nothing was to be
    changed or a transaction had a resource that was refused; `validated` nodes were held against the shapes one by one,
    which was all of them if `is_whole`; `stubs` are patients that others name and nobody sent. `seconds` by stage.
    """

    view: View | None = None
    graph: str = ""
    intake: str = ""
    release: str = ""
    committed: bool = False
    received: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    refused: int = 0
    triples: int = 0
    validated: int = 0
    is_whole: bool = True
    stubs: int = 0
    close: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    unmapped: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    elements: Mapping[str, int] = field(default_factory=dict)
    identifiers: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Incident, ...] = ()
    problem_count: int = 0
    resources: tuple[Taken, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def patients(self) -> int:
        """Return how many patients were written, those that others name included."""
        return self.counts.get("patient", 0)

    @property
    def observations(self) -> int:
        """Return how many observations were made."""
        return self.counts.get("observation", 0)

    @property
    def conditions(self) -> int:
        """Return how many conditions were made."""
        return self.counts.get("condition", 0)

    @property
    def administrations(self) -> int:
        """Return how many doses that were given were made."""
        return self.counts.get("administration", 0)

    def to_text(self, lang: str) -> str:
        """Return the report for a person."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}

        def say(name: str, what: str = "") -> str:
            return _WORDS[name][lang].format(what=what, **numbers)

        lines = [say("received")]
        made = [f"{words[lang]} {self.counts[kind]}" for kind, words in KINDS.items() if self.counts.get(kind)]
        if made:
            lines.append(say("made", ", ".join(made)))
        if self.unmapped:
            lines.append(say("unmapped", _listed(self.unmapped)))
        if self.left_out:
            lines.append(say("left_out", ", ".join(_reason(key, count, lang) for key, count in self.left_out.items())))
        if self.elements:
            lines.append(say("elements", _listed(self.elements)))
        lines += [say(name) for name in ("close", "stubs") if numbers[name]]
        if not self.is_whole:
            lines.append(say("checked"))
        if not self.committed:
            lines.append(say("nothing"))
        lines += [problem.message(lang) for problem in self.problems[:_LISTED]]
        if self.problem_count > _LISTED:
            lines.append(_WORDS["more"][lang].format(count=self.problem_count - _LISTED))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        found: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        found |= {name: dict(getattr(self, name)) for name in _TABLES}
        return found | {"problems": [item.to_dict() for item in self.problems]}


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered[:_LISTED]) + (", …" if len(ordered) > _LISTED else "")


def _reason(key: str, count: int, lang: str) -> str:
    type_name, _, reason = key.partition(":")
    return f"{type_name} {count} ({REASONS[reason][lang]})"
