"""The identifiers of MIRIAM, each form as the one IRI that names the thing.

An SBML file may write one term in several ways: `urn:miriam:obo.go:GO%3A0005623`, `http://identifiers.org/go/GO:0005623`,
`https://identifiers.org/GO:0005623`. The IRI that they become is the thing's own where it has one (terms of the OBO
Foundry, SBO, KiSAO, LOINC and SNOMED CT, documents with a DOI), else the compact form of identifiers.org.

>>> one_iri("urn:miriam:obo.go:GO%3A0005623") == one_iri("https://identifiers.org/GO:0005623")
True
>>> one_iri("http://identifiers.org/uniprot/P12345")
'https://identifiers.org/uniprot:P12345'
>>> one_iri("a remark") is None
True
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

# Collections whose terms have an IRI of their own; `{}` is the identifier without its prefix.
_OBO: Final = (
    "GO", "CHEBI", "UBERON", "DOID", "HP", "CL", "MP", "BTO", "PATO", "PR", "FMA", "OBI", "MONDO", "UO", "MOD", "SO",
    "PW", "ECO", "MI", "EFO", "MAXO", "ENVO", "CLO", "VT", "STATO",
)  # fmt: skip
_OWN: Final[Mapping[str, str]] = {
    **{name.lower(): f"http://purl.obolibrary.org/obo/{name}_{{}}" for name in _OBO if name != "EFO"},
    "efo": "http://www.ebi.ac.uk/efo/EFO_{}",
    "sbo": "http://biomodels.net/SBO/SBO_{}",
    "kisao": "http://www.biomodels.net/kisao/KISAO#KISAO_{}",
    "loinc": "http://loinc.org/rdf/{}",
    "snomedct": "http://snomed.info/id/{}",
    "doi": "https://doi.org/{}",
}
_ALIASES: Final[Mapping[str, str]] = {"snomed": "snomedct", "psimi": "mi", "psimod": "mod", "obo.psi-mod": "mod"}
_URN: Final = re.compile(r"urn:miriam:([^:]+):(.+)")
_ADDRESS: Final = re.compile(r"https?://(?:www\.)?identifiers\.org/([^/:]+)[/:](.+)")
_DOI: Final = re.compile(r"https?://(?:dx\.|www\.)?doi\.org/(10\..+)|(?:doi:)?(10\.\d{4,}.*/.+)", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_KEPT: Final = "/:;,.()-_~!$&'*+=@[]"  # characters of an identifier that an IRI takes as they are


def one_iri(written: str) -> str | None:
    """Return the IRI of what an annotation names, whichever form it was written in; None for what is no IRI at all.

    An IRI of another kind comes back as it is.

    >>> one_iri("urn:miriam:doi:10.1016%2FS0006-3495(91)82031-5")
    'https://doi.org/10.1016/S0006-3495(91)82031-5'
    >>> one_iri("https://example.org/a-term")
    'https://example.org/a-term'
    """
    text = written.strip()
    doi = doi_of(text)
    if doi:
        return _OWN["doi"].format(quote(doi, safe=_KEPT))
    match = _URN.fullmatch(text) or _ADDRESS.fullmatch(text)
    if not match:
        return text if _ABSOLUTE.fullmatch(text) else None
    written_collection, identifier = match[1].lower(), unquote(match[2])
    collection = written_collection.removeprefix("obo.").removeprefix("biomodels.")
    collection = _ALIASES.get(written_collection, _ALIASES.get(collection, collection))
    prefix, colon, rest = identifier.partition(":")
    if colon and prefix.lower() in (collection, "snomed", "snomedct") and rest:
        identifier = rest
    own = _OWN.get(collection)
    identifier = quote(identifier, safe=_KEPT)
    return own.format(identifier) if own else f"https://identifiers.org/{collection}:{identifier}"


def sbo_iri(term: str) -> str | None:
    """Return the IRI of a term of SBO as the attribute `sboTerm` writes it; None for what is none.

    >>> sbo_iri("SBO:0000293")
    'http://biomodels.net/SBO/SBO_0000293'
    """
    match = re.fullmatch(r"SBO:(\d{7})", term)
    return _OWN["sbo"].format(match[1]) if match else None


def doi_of(text: str) -> str | None:
    """Return the DOI that a text is, or that its address leads to; None where there is none.

    >>> doi_of("https://dx.doi.org/10.1000/ABC"), doi_of("doi:10.1000/ABC"), doi_of("https://example.org/10")
    ('10.1000/ABC', '10.1000/ABC', None)
    """
    match = _DOI.fullmatch(text.strip())
    return unquote(match[1] or match[2]) if match else None
