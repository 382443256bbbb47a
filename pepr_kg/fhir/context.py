"""What the makers of resources share: the graph, the release and language of the answer, references and concepts."""

from collections.abc import Mapping
from typing import Final

from pepr_kg.fhir.datatypes import Object, Value, codeable, coding, outer_coding, own_coding
from pepr_kg.fhir.identities import identify
from pepr_kg.fhir.kept import reference_of
from pepr_kg.fhir.nodes import Node, Nodes
from pepr_kg.fhir.offer_errors import UnknownCohortOfFhir
from pepr_kg.language import Language
from pepr_kg.namespaces import COHORT, FHIR, ID
from pepr_kg.store import View

# R4B has the forms of R4 for all that we make, R6 those of R5: its text is not published.
RELEASES: Final[Mapping[str, str]] = {"R4": "4.0.1", "R4B": "4.3.0", "R5": "5.0.0", "R6": "6.0.0"}
_NAMED: Final = 20  # cohorts in an error
_REFERENCES: Final = 50_000  # that are remembered; then it begins anew
# Types whose things may have come in as FHIR and are then offered as they came.
_KEPT: Final = frozenset({
    "Condition", "Encounter", "MedicationAdministration", "MedicationRequest", "MedicationStatement", "Observation",
    "Patient", "Procedure",
})  # fmt: skip


_UNKNOWN: Final = {"en": "not known", "fr": "non connu"}


class Context:
    """The graph as FHIR of one release, its texts in one language first; all of it, or one cohort.

    `source` is how the address of what came in as FHIR begins. Raises `UnknownCohortOfFhir`.
    """

    def __init__(
        self,
        view: View,
        release: str = "R4",
        lang: Language = "en",
        *,
        cohort: str | None = None,
        source: str | None = None,
    ) -> None:
        if cohort is not None and not {COHORT + cohort, FHIR + cohort} & {graph.value for graph in view.graphs}:
            known = [graph.value.removeprefix(COHORT) for graph in view.graphs if graph.value.startswith(COHORT)]
            raise UnknownCohortOfFhir(name=cohort, known=", ".join(known[:_NAMED]) or "-")
        self.nodes = Nodes(view, cohort, source)
        self.cohort = cohort
        self.view = view
        self.release = release
        self.lang = lang
        self.bases: dict[tuple[str, str], list[Object]] = {}  # what the last run that was looked at used of a patient
        self._concepts: dict[str, Object] = {}
        self._references: dict[tuple[str, str], str] = {}

    @property
    def is_r5(self) -> bool:
        """Return whether the forms are those of R5."""
        return self.release in {"R5", "R6"}

    @property
    def cohort_iri(self) -> str:
        """Return the IRI of the cohort that was named, "" where none was."""
        return "" if self.cohort is None else f"{ID}cohort/{self.cohort}"

    def refer(self, kind: str, iri: str) -> Object:
        """Return the reference to a thing as a resource of a type: the one that it came in as, where there is one."""
        key = (kind, iri)
        found = self._references.get(key)
        if found is None:
            kept = reference_of(self.nodes, iri) if kind in _KEPT else None
            found = kept if kept is not None else f"{kind}/{identify(kind, iri)}"
            if len(self._references) >= _REFERENCES:
                self._references.clear()
            self._references[key] = found
        return {"reference": found}

    def concept(self, iri: str) -> Object:
        """Return a concept of the graph, or of LOINC or SNOMED CT, with what others call exactly the same."""
        found = self._concepts.get(iri)
        if found is None:
            node = self.nodes.get(iri)
            words = node.words("rdfs:label") or node.words("skos:prefLabel")
            own = own_coding(iri, words, self.lang)
            outer = [outer_coding(item) for item in (iri, *node.iris("skos:exactMatch"))]
            if node.is_a("pepr:Code"):
                system, code = node.first("pepr:codeSystem"), node.first("pepr:codeValue")
                own = coding(system, code, words.get(self.lang)) if system and code else None
                words = words or ({self.lang: code} if code and not system else {})
            codings = [item for item in (own, *outer) if item is not None]
            if not words and not codings:
                words = {self.lang: iri}
            found = self._concepts[iri] = codeable(words, self.lang, codings)
        return found

    def coded(self, iri: str | None, node: Node) -> Object:
        """Return a concept, with the codes that the record gave the thing; where nothing is known, that it is not."""
        found = self.concept(iri) if iri is not None else {}
        given: list[Value] = [*_codings(found)]
        for code in node.iris("pepr:hasCode"):
            concept = self.concept(code)
            given += [item for item in _codings(concept) if item not in given]
            found = found or {name: concept[name] for name in concept if name != "coding"}
        if not found and not given:
            return codeable(_UNKNOWN, self.lang, [])
        return {**({"coding": given} if given else {}), **{name: found[name] for name in found if name != "coding"}}

    def words(self, iri: str) -> dict[str, str]:
        """Return the label of a thing by language."""
        return self.nodes.get(iri).words("rdfs:label")

    def identifiability(self, node: Node) -> str | None:
        """Return how far the person that a thing is about can be told apart; what a thing says of itself first."""
        own = node.first("pepr:hasIdentifiability")
        patient = node.first("sosa:hasFeatureOfInterest") or node.first("pepr:consentOf")
        if own is None and patient is not None:
            own = self.nodes.get(patient).first("pepr:hasIdentifiability")
        return own


def _codings(concept: Object) -> list[Value]:
    found = concept.get("coding")
    return found if isinstance(found, list) else []
