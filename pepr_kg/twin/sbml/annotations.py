"""What the annotations of an SBML file say: the RDF links of MIRIAM, SBO terms, and what this project adds to a symbol.

Links keep the qualifier's IRI and the resource as the file writes it; whoever reads them decides what is the same
thing. The project's own elements are in the namespace of its ontology: on a symbol `pepr:symbol` with role,
transform, bounds and codes; on the model `pepr:model` with `pepr:validity`.
"""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from pepr_kg.twin.errors import ModelInvalid
from pepr_kg.twin.model import Annotation, Code, Validity
from pepr_kg.twin.sbml.document import child, children, two
from pepr_kg.twin.sbml.mathml import local

NAMESPACE = "{https://w3id.org/pepr-santenum/ontology/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SBO = "sboTerm"  # the predicate of an annotation that is the attribute of this name


@dataclass(frozen=True, slots=True)
class Remarks:
    """What the project's own annotation says of a symbol, or of the model."""

    direction: str = ""
    transform: str = "identity"
    bounds: tuple[float, float] = (-float("inf"), float("inf"))
    open_below: bool = False
    codes: tuple[Code, ...] = ()
    validity: tuple[Validity, ...] = ()
    label_en: str = ""
    label_fr: str = ""


def read_remarks(annotation: Element | None, model: str) -> Remarks:
    """Return the project's own remarks in an `annotation` element. Raises `ModelInvalid` for a bound that is no
    number.
    """
    found = Remarks()
    for node in children(annotation):
        if not node.tag.startswith(NAMESPACE):
            continue
        bounds = child(node, "bounds")
        found = Remarks(
            node.get("role", ""),
            node.get("transform", "identity"),
            (_number(bounds, "minimum", -float("inf"), model), _number(bounds, "maximum", float("inf"), model)),
            bounds is not None and bounds.get("exclusive") == "true",
            tuple(
                Code(
                    _number(code, "value", 0.0, model),
                    code.get("text", ""),
                    code.get("label-en", ""),
                    code.get("label-fr", ""),
                )
                for code in children(child(node, "codes"), "code")
            ),
            tuple(
                Validity(
                    rule.get("symbol", ""),
                    _number(rule, "minimum", -float("inf"), model),
                    _number(rule, "maximum", float("inf"), model),
                    rule.get("reason-en", ""),
                    rule.get("reason-fr", ""),
                )
                for rule in children(node, "validity")
            ),
            node.get("label-en", ""),
            node.get("label-fr", ""),
        )
    return found


def _number(node: Element | None, attribute: str, default: float, model: str) -> float:
    text = None if node is None else node.get(attribute)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        detail = two(f'{attribute} is "{text}", no number', f"{attribute} vaut « {text} », qui n’est pas un nombre")
        raise ModelInvalid(model=model, symbol="annotation", detail=detail) from None


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
