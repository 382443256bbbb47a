"""The failures of offering the graph as FHIR: a branch of `pepr_kg.fhir.errors`.

    FhirError
    ├── BadSearch               a parameter that is not searched by here
    ├── UnknownCohortOfFhir     no cohort of this name
    ├── SeveralResources        two sources use one id
    ├── ResourceGone            its source took the resource back
    ├── ReleaseNotOffered       a release that there is no form for
    ├── NothingToExport         what is to be exported is not in the graph
    ├── PageExpired             the data changed between two pages of a search
    ├── SearchTooWide           a search that needs a criterion
    └── IntakeWaits             another writer does not finish

>>> BadSearch(parameter="name", type="Patient", known="_id, identifier").message("en")
'Patient is not searched by "name" here. Known: _id, identifier.'
"""

from pepr_kg.fhir.errors import FhirError


class BadSearch(FhirError):
    """A search parameter that is not known for the type. Fields: parameter, type, known."""

    code, http_status = "fhir-bad-search", 400
    titles = {"en": "Unknown search parameter", "fr": "Paramètre de recherche inconnu"}
    sentences = {
        "en": '{type} is not searched by "{parameter}" here. Known: {known}.',
        "fr": "On ne cherche pas de {type} par « {parameter} » ici. Paramètres connus : {known}.",
    }


class UnknownCohortOfFhir(FhirError):
    """There is no such cohort. Fields: name, known."""

    code, http_status = "fhir-unknown-cohort", 404
    titles = {"en": "Unknown cohort", "fr": "Cohorte inconnue"}
    sentences = {
        "en": 'There is no cohort "{name}". Known: {known}.',
        "fr": "Il n’y a pas de cohorte « {name} ». Connues\u202f: {known}.",
    }


class SeveralResources(FhirError):
    """Resources of several cohorts have one id. Fields: reference, cohorts."""

    code, http_status = "fhir-several", 409
    titles = {"en": "Several resources of one id", "fr": "Plusieurs ressources de même identifiant"}
    sentences = {
        "en": "{reference} came in several times: {cohorts}. Say which one is meant, by its cohort, or where a cohort "
        "has several by _source=, the start of its address.",
        "fr": "{reference} est arrivé plusieurs fois\u202f: {cohorts}. Dites lequel, par sa cohorte, ou, si une "
        "cohorte en a plusieurs, par _source=, le début de son adresse.",
    }


class ResourceGone(FhirError):
    """A resource that was there and was taken back. Field: reference."""

    code, http_status = "fhir-gone", 410
    titles = {"en": "Resource gone", "fr": "Ressource retirée"}
    sentences = {
        "en": "{reference} was here, and its source took it back.",
        "fr": "{reference} a existé ici, puis sa source l’a retirée.",
    }


class ReleaseNotOffered(FhirError):
    """A release of FHIR that the graph is not offered in. Fields: release, known."""

    code, http_status = "fhir-release", 406
    titles = {"en": "FHIR release not offered", "fr": "Version de FHIR non proposée"}
    sentences = {
        "en": "This is not offered in FHIR {release}. Ask for one of {known}.",
        "fr": "Ceci n’est pas proposé en FHIR {release}. Demandez l’une de ces versions : {known}.",
    }


class NothingToExport(FhirError):
    """There is no such cohort, twin or run. Fields: name, known."""

    code, http_status = "fhir-nothing", 404
    titles = {"en": "Nothing to export", "fr": "Rien à exporter"}
    sentences = {
        "en": 'There is no "{name}" to export. Known: {known}.',
        "fr": "Il n’y a pas de « {name} » à exporter. Connus : {known}.",
    }


class PageExpired(FhirError):
    """The dataset changed since the first page. No fields."""

    code, http_status = "fhir-page-expired", 410
    titles = {"en": "Page expired", "fr": "Page périmée"}
    sentences = {
        "en": "The data have changed since this search began: its next page would not go on where the last one ended. "
        "Search again.",
        "fr": "Les données ont changé depuis le début de cette recherche\u202f: la page suivante ne reprendrait pas "
        "là où la dernière s’est arrêtée. Recommencez la recherche.",
    }


class SearchTooWide(FhirError):
    """Resources that are found by a criterion only. Fields: type, known."""

    code, http_status = "fhir-search-too-wide", 400
    titles = {"en": "Criterion needed", "fr": "Critère nécessaire"}
    sentences = {
        "en": "{type} is not listed as a whole. Give one of {known}.",
        "fr": "Les {type} ne sont pas listées en entier. Donnez l’un des critères {known}.",
    }


class IntakeWaits(FhirError):
    """Somebody else writes to the dataset for too long. Field: seconds."""

    code, http_status = "fhir-intake-waits", 503
    titles = {"en": "Dataset being written", "fr": "Jeu de données en cours d’écriture"}
    sentences = {
        "en": "Something else has been writing to the dataset for {seconds:g} s. Nothing was taken in; send it again "
        "later.",
        "fr": "Une autre écriture occupe le jeu de données depuis {seconds:g} s. Rien n’a été repris\u202f; renvoyez "
        "le tout plus tard.",
    }
