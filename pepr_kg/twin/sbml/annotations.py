"""What the annotations of an SBML file say: the RDF links of MIRIAM, and SBO terms.

Links keep the qualifier's IRI and the resource as the file writes it; whoever reads them decides what is the same
thing. What SBML cannot say of a symbol stands in Turtle (`pepr_kg.twin.meaning`).
"""

from xml.etree.ElementTree import Element

from pepr_kg.twin.model import Annotation
from pepr_kg.twin.sbml.document import child, children
from pepr_kg.twin.sbml.mathml import local

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SBO = "sboTerm"  # the predicate of an annotation that is the attribute of this name


def read_annotations(model: Element) -> tuple[Annotation, ...]:
    """Return the links of all elements of a `model` element, in the order of the file."""
    found: list[Annotation] = []
    for node in model.iter():
        metaid, symbol = node.get("metaid") or "", node.get("id") or node.get("variable") or node.get("symbol") or ""
        if node.get(SBO):
            found.append(Annotation(symbol, metaid, SBO, node.get(SBO) or ""))
        for rdf in children(child(node, "annotation"), "RDF"):
            for description in children(rdf, "Description"):
                if description.get(f"{_RDF}about", "").lstrip("#") != metaid:
                    continue
                found += [
                    Annotation(symbol, metaid, _iri(qualifier.tag), resource)
                    for qualifier in description
                    for bag in qualifier
                    if local(bag) in ("Bag", "Seq", "Alt")
                    for item in bag
                    if (resource := item.get(f"{_RDF}resource", ""))
                ]
    return tuple(found)


def _iri(tag: str) -> str:
    return tag[1:].replace("}", "") if tag.startswith("{") else tag
