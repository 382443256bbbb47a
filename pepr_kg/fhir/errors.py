"""The failures of reading and writing FHIR: a branch of the tree in `pepr_kg.errors`.

    FhirError (ValueError)
    ├── ResourceBroken          a resource is not JSON, or names no type that the release knows
    ├── BaseMissing             no base for the IRIs of resources
    └── BaseReserved            a base under hl7.org for data that are not the specification's

>>> error = BaseReserved(base="http://hl7.org/fhir/", type="Patient")
>>> error.message("fr")[:39]
'La base http://hl7.org/fhir/ appartient'
"""

from pepr_kg.errors import PeprError


class FhirError(PeprError, ValueError):
    """Something about FHIR data cannot be done. Field: detail (a text for each language)."""

    code, http_status = "fhir-error", 422
    titles = {"en": "FHIR data not usable", "fr": "Données FHIR inutilisables"}
    sentences = {"en": "{detail}", "fr": "{detail}"}


class ResourceBroken(FhirError):
    """A resource cannot be read. Fields: path (where in it), detail (a text for each language)."""

    code = "fhir-resource-broken"
    titles = {"en": "FHIR resource not readable", "fr": "Ressource FHIR illisible"}
    sentences = {
        "en": "The FHIR resource cannot be read at {path}: {detail}.",
        "fr": "La ressource FHIR est illisible à l’endroit {path} : {detail}.",
    }


class BaseMissing(FhirError):
    """No base was given for the IRIs of resources. Field: base (what was given)."""

    code = "fhir-base-missing"
    titles = {"en": "Base IRI needed", "fr": "IRI de base nécessaire"}
    sentences = {
        "en": 'FHIR resources need a base for their IRIs, and "{base}" is not an absolute IRI that ends in / or #. '
        "Give one that is yours, for instance https://fhir.example.org/.",
        "fr": "Les ressources FHIR ont besoin d’une base pour leurs IRI, et « {base} » n’est pas une IRI absolue "
        "terminée par / ou #. Donnez-en une qui vous appartient, par exemple https://fhir.example.org/.",
    }


class BaseReserved(FhirError):
    """The base belongs to the specification. Fields: base, type (of the resource)."""

    code = "fhir-base-reserved"
    titles = {"en": "Base IRI reserved", "fr": "IRI de base réservée"}
    sentences = {
        "en": "The base {base} belongs to the FHIR specification: a {type} of yours may not be named under it. Give a "
        "base that is yours.",
        "fr": "La base {base} appartient à la spécification FHIR : une ressource {type} qui est la vôtre ne peut pas "
        "y être nommée. Donnez une base qui vous appartient.",
    }
