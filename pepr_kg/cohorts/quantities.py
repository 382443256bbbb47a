"""What the ontology says of quantities: names in both languages, usual unit, molar mass.

>>> known = read_quantities()["total-cholesterol"]
>>> known.label_en, known.unit, known.molar_mass
('total cholesterol', 'mmol/L', 386.65)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pepr_kg.namespaces import ONTOLOGY_GRAPH, expand
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Literal, NamedNode, parse_file


@dataclass(frozen=True, slots=True)
class Quantity:
    """A concept of `quantity:`: its labels, usual unit (UCUM; nothing where it is coded) and molar mass (g/mol)."""

    label_fr: str
    label_en: str
    unit: str
    molar_mass: float | None


@cache
def read_quantities() -> Mapping[str, Quantity]:
    """Return the quantities of the ontology by their slug. Raises what `parse_file` raises."""
    space, label = expand("quantity:"), expand("rdfs:label")
    facts: dict[str, dict[str, str]] = {}
    for quad in parse_file(ontology_dir() / "quantities.ttl", NamedNode(ONTOLOGY_GRAPH)):
        subject, predicate, value = quad.subject, quad.predicate.value, quad.object
        if isinstance(subject, NamedNode) and subject.value.startswith(space) and isinstance(value, Literal):
            key = f"label_{value.language}" if predicate == label else predicate
            facts.setdefault(subject.value.removeprefix(space), {})[key] = value.value
    unit, mass = expand("pepr:unitCode"), expand("pepr:molarMass")
    return {
        slug: Quantity(one["label_fr"], one["label_en"], one.get(unit, ""), float(one[mass]) if mass in one else None)
        for slug, one in facts.items()
    }
