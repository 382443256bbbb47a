"""What an SBML file says of its elements besides the mathematics: the identifiers and the SBO terms that it gives them.

The evaluator has no use for these; here they tell which annotation is about which symbol. Only what is a symbol counts:
a rule for `x` or a unit may have a term of SBO too, which is not about `x`.
"""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from pepr_kg.twin.sbml.document import child, children, listed

THE_MODEL = ""  # the symbol under which the marks of the model itself stand

_LISTS = ("listOfCompartments", "listOfSpecies", "listOfParameters", "listOfReactions")
_REFERENCES = ("listOfReactants", "listOfProducts")
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
# Links in the notes that say under which licence a file may be used; BioModels writes them so.
_LICENCES = ("creativecommons.org/licenses/", "creativecommons.org/publicdomain/", "opensource.org/licenses/",
             "opensource.org/license/", "spdx.org/licenses/")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """The identifier of an element in its file (`metaid`, which annotations name) and its SBO term, "" where none."""

    metaid: str = ""
    sbo: str = ""


def read_marks(root: Element) -> dict[str, Mark]:
    """Return the marks of the symbols of an SBML document, and those of the model under `THE_MODEL`.

    Symbols are written as in `twin.model.Model`: a local parameter k of a reaction R is "R.k", the second event
    "event.2" where it has no identifier. What a submodel brings has no marks.
    """
    model = child(root, "model")
    if model is None:
        return {}
    found = {THE_MODEL: _mark(model)}
    for name in _LISTS:
        for node in listed(model, name):
            found[_symbol(node)] = _mark(node)
    for reaction in listed(model, "listOfReactions"):
        for node in (node for name in _REFERENCES for node in listed(reaction, name) if node.get("id")):
            found[_symbol(node)] = _mark(node)
        law = child(reaction, "kineticLaw")
        own = [] if law is None else [*listed(law, "listOfLocalParameters"), *listed(law, "listOfParameters")]
        for node in own:
            found[f"{_symbol(reaction)}.{_symbol(node)}"] = _mark(node)
    for at, node in enumerate(listed(model, "listOfEvents")):
        found[_symbol(node) or f"event.{at + 1}"] = _mark(node)
    return found


def read_licence(root: Element) -> str | None:
    """Return the address of the licence that an SBML document states, in RDF or as a link in its notes; else None."""
    model = child(root, "model")
    for annotation in [*children(root, "annotation"), *children(model, "annotation")]:
        for node in annotation.iter():
            if node.tag.rpartition("}")[2].lower() in ("license", "licence"):
                address = node.get(f"{_RDF}resource") or (node.text or "").strip()
                if address.startswith("http"):
                    return address
    for notes in [*children(root, "notes"), *children(model, "notes")]:
        for node in notes.iter():
            address = (node.get("href") or "").strip()
            if any(part in address for part in _LICENCES):
                return address
    return None


def read_references(root: Element) -> list[str]:
    """Return the other files that the submodels of an SBML document come from, each once, as it writes them."""
    nodes = [node for node in root.iter() if node.tag.rpartition("}")[2] == "externalModelDefinition"]
    sources = (value for node in nodes for key, value in node.attrib.items() if key.rpartition("}")[2] == "source")
    return list(dict.fromkeys(sources))


def _symbol(node: Element) -> str:
    return (node.get("id") or "").strip()


def _mark(node: Element) -> Mark:
    return Mark(node.get("metaid") or "", node.get("sboTerm") or "")
