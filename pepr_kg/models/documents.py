"""The documents that describe a model: found in the graph by their address, or described anew.

>>> [quad.object.value for quad in document_quads("https://doi.org/10.1000/ab.1") if quad.predicate == WEBSITE]
['https://doi.org/10.1000/ab.1']
>>> document_node("https://doi.org/10.1000/ab.1").value.rpartition("/")[2]
'doi-10-1000-ab-1'
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pepr_kg.errors import UnknownPrefix
from pepr_kg.models.description import GRAPH, LABEL, TYPE
from pepr_kg.models.identifiers import doi_of, one_iri
from pepr_kg.namespaces import ID, PREFIXES, expand
from pepr_kg.resources import read_query
from pepr_kg.store import Literal, NamedNode, Quad, View
from pepr_kg.twin.model import Annotation

_PEPR: Final = PREFIXES["pepr"]
DOCUMENT: Final = NamedNode(_PEPR + "Document")
WEBSITE: Final = NamedNode(_PEPR + "website")
_KIND: Final = NamedNode(_PEPR + "documentKind")
_HAS_IDENTIFIER: Final = NamedNode(_PEPR + "hasIdentifier")
_URI: Final = NamedNode(PREFIXES["xsd"] + "anyURI")
_LONGEST: Final = 80  # characters of the name of a document


def described_by(annotations: Iterable[Annotation], metaid: str) -> list[str]:
    """Return the addresses of the documents that an SBML file says it is described by, in its order."""
    found = [
        one_iri(item.resource)
        for item in annotations
        if item.metaid == metaid and item.predicate.endswith("/isDescribedBy")
    ]
    return [address for address in dict.fromkeys(found) if address is not None and address.startswith("http")]


def address_of(view: View, given: str) -> str | None:
    """Return the address of a publication as a person gives it (a DOI, an address, a document of the graph).

    A document of the graph comes back as its IRI; None for what is none of these.
    """
    text = given.strip()
    if doi_of(text) or text.startswith("urn:miriam:"):
        return one_iri(text)
    if re.fullmatch(r"https?://[^\s<>\"]+", text) and not text.startswith(ID):
        return one_iri(text)
    try:
        iri = expand(text)
    except UnknownPrefix:
        return None
    return iri if any(view.quads(NamedNode(iri), TYPE, DOCUMENT)) else None


def cite(view: View, addresses: Sequence[str]) -> tuple[list[NamedNode], list[Quad]]:
    """Return the documents at these addresses, and the quads that describe those that the graph does not have yet.

    One query, however many there are.
    """
    known: dict[str, NamedNode] = {}
    for row in view.select(read_query("models/document")).iter_dicts():
        known.setdefault(row["address"].value, NamedNode(row["document"].value))
    nodes, quads = [], []
    for address in dict.fromkeys(addresses):
        if address.startswith(ID):
            nodes.append(NamedNode(address))
        elif address.lower() in known:
            nodes.append(known[address.lower()])
        else:
            nodes.append(document_node(address))
            quads += document_quads(address)
    return nodes, quads


def document_node(address: str) -> NamedNode:
    """Return the node of a document that is known by its address alone; a DOI and an address name it."""
    doi = doi_of(address)
    text = f"doi-{doi}" if doi else address.partition("://")[2]
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST].rstrip('-')}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
    return NamedNode(f"{ID}document/{name}")


def document_quads(address: str) -> list[Quad]:
    """Return what can be said of a document of which only the address is known."""
    node, doi = document_node(address), doi_of(address)
    shown = f"DOI {doi}" if doi else address
    pairs: list[tuple[NamedNode, NamedNode, NamedNode | Literal]] = [
        (node, TYPE, DOCUMENT),
        (node, WEBSITE, Literal(address, datatype=_URI)),
        *((node, LABEL, Literal(shown, language=language)) for language in ("en", "fr")),
        *((node, _KIND, Literal("publication", language=language)) for language in ("en", "fr")),
    ]
    if doi:
        identifier = NamedNode(node.value.replace("/document/", "/identifier/"))
        pairs += [
            (node, _HAS_IDENTIFIER, identifier),
            (identifier, TYPE, NamedNode(_PEPR + "Identifier")),
            (identifier, NamedNode(_PEPR + "identifierScheme"), NamedNode(f"{ID}identifier-scheme/doi")),
            (identifier, NamedNode(_PEPR + "identifierValue"), Literal(doi)),
            *((identifier, LABEL, Literal(shown, language=language)) for language in ("en", "fr")),
        ]
    return [Quad(subject, predicate, value, GRAPH) for subject, predicate, value in pairs]
