"""The failures of files and streams of FHIR JSON: a branch of `FhirError`. Each says where: file, line or entry.

    FhirError (ValueError)
    └── DocumentError           source, where, detail
        ├── DocumentForeign     it is XML, HTML, an archive, a list … or empty
        ├── DocumentBroken      what stands there is no resource: cut, not JSON, without a type
        └── DocumentTooLarge    a resource, a line, what is nested or what gzip gives, beyond its limit

>>> error = DocumentBroken(source="a.ndjson", where=place(line=7), detail={"en": "it is cut", "fr": "c’est tronqué"})
>>> error.message("en"), error.message("fr")
('a.ndjson, line 7: it is cut.', 'a.ndjson, ligne 7\\u202f: c’est tronqué.')
"""

from collections.abc import Mapping

from pepr_kg.errors import PeprError
from pepr_kg.fhir.errors import FhirError


class DocumentError(FhirError):
    """A file or stream is not what it should be. Fields: source, where, detail (both a text for each language)."""

    code, http_status = "fhir-document", 422
    titles = {"en": "FHIR file not usable", "fr": "Fichier FHIR inutilisable"}
    sentences = {"en": "{source}{where}: {detail}.", "fr": "{source}{where} : {detail}."}


class DocumentForeign(DocumentError):
    """The bytes are of another format than FHIR JSON. Fields: source, where, detail."""

    code, http_status = "fhir-document-foreign", 415
    titles = {"en": "Not FHIR JSON", "fr": "Pas du FHIR JSON"}


class DocumentBroken(DocumentError):
    """What stands at a place is not a resource. Fields: source, where, detail."""

    code, http_status = "fhir-document-broken", 400
    titles = {"en": "Broken FHIR file", "fr": "Fichier FHIR défectueux"}


class DocumentTooLarge(DocumentError):
    """Something is beyond a limit. Fields: source, where, detail."""

    code, http_status = "fhir-document-too-large", 413
    titles = {"en": "FHIR data too large", "fr": "Données FHIR trop volumineuses"}


def place(*, line: int = 0, column: int = 0, entry: int = 0) -> dict[str, str]:
    """Return where something stands as it follows the name of a file, in both languages; 0 where it does not matter.

    >>> place(line=3, entry=12)["fr"]
    ', ligne 3, entrée 12'
    """
    numbers = (("line", "ligne", line), ("column", "colonne", column), ("entry", "entrée", entry))
    return {
        "en": "".join(f", {name} {number}" for name, _, number in numbers if number),
        "fr": "".join(f", {name} {number}" for _, name, number in numbers if number),
    }


def located(error: PeprError, source: str, where: Mapping[str, str]) -> DocumentBroken:
    """Return a failure of one resource together with the place of that resource."""
    detail = {lang: error.message(lang).removesuffix(".") for lang in ("en", "fr")}
    return DocumentBroken(source=source, where=dict(where), detail=detail)
