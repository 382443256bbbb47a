"""The clothes of FHIR RDF: what one release of the specification writes otherwise than another.

A dialect is a value. The four releases are constants; a switch is turned with `dataclasses.replace`:

>>> from dataclasses import replace
>>> R4.value, R5.value
('value', 'v')
>>> R5.class_name("boolean"), R6.class_name("boolean")
('boolean', 'Boolean')
>>> replace(R5, links="l", uri_links=True).link
'l'

Sources: the page `rdf.html` of R4 and of R5; for R6 its draft of September 2026 (normative, and not yet published: a
snapshot) and what HL7's generator prints since July 2026.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pepr_kg.fhir.tables import Table, load_table

Release = Literal["R4", "R4B", "R5", "R6"]

FHIR: Final = "http://hl7.org/fhir/"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How resources are written.

    release         whose elements, and whose shape of lists and predicates (R4 and R4B, or R5 and R6)
    concept_iris    where a code's own IRI stands as a class: on the Coding, on the CodeableConcept, nowhere
    concept_stems   which code systems get one: those of the specification, or all in `concepts.json`
    links           the name of the property that leads to a target
    uri_links       every absolute uri, url, canonical, oid and uuid has a link, not only references and canonicals
    urn_links       references to urn:… have a link too (the generator writes them for R6 only; it is never wrong)
    underscore      what carries a modifier extension gets an underscore: `fhir:_Observation`, `fhir:_component`
    exponents       a decimal with an exponent, which xsd:decimal does not allow: as xsd:double, or as plain digits
    narrative_xml   the narrative is an rdf:XMLLiteral, not a plain string
    upper_classes   the class of a primitive type begins with a capital: `fhir:DateTime`
    """

    release: Release
    concept_iris: Literal["coding", "codeable-concept", "none"] = "coding"
    concept_stems: Literal["standard", "all"] = "standard"
    links: Literal["link", "l"] = "link"
    uri_links: bool = False
    urn_links: bool = True
    underscore: bool = False
    exponents: Literal["double", "expand"] = "double"
    narrative_xml: bool = False
    upper_classes: bool = False

    @property
    def indexed(self) -> bool:
        """Return whether predicates are long and lists are repeated triples with an index: the style of R4."""
        return self.release in {"R4", "R4B"}

    @property
    def value(self) -> str:
        """Return the name of the property that holds a primitive's literal."""
        return "value" if self.indexed else "v"

    @property
    def link(self) -> str:
        """Return the name of the property that leads to a target."""
        return self.links

    @property
    def typed_uris(self) -> bool:
        """Return whether uri, url, canonical, oid and uuid are xsd:anyURI."""
        return not self.indexed

    @property
    def table(self) -> Table:
        """Return the elements of the release."""
        return load_table(self.release)

    def class_name(self, type_name: str) -> str:
        """Return the local name of the class of a FHIR type."""
        return type_name[0].upper() + type_name[1:] if self.upper_classes else type_name


R4: Final = Dialect("R4")
R4B: Final = Dialect("R4B")
R5: Final = Dialect("R5", underscore=True)
R6: Final = Dialect(
    "R6", concept_iris="codeable-concept", links="l", uri_links=True, narrative_xml=True, upper_classes=True
)
DIALECTS: Final = {dialect.release: dialect for dialect in (R4, R4B, R5, R6)}
