"""What can be wrong with an intake as a whole: a branch of `FhirError`.

    FhirError (ValueError)
    ├── ReleaseMixed            the cohort holds resources of another release
    ├── UnknownKeep             neither "terms", "fhir" nor "both"
    └── OntologyMissing         the dataset does not have what codes mean

>>> ReleaseMixed(cohort="a", known="R4", release="R5").message("en")[:52]
'The cohort "a" holds FHIR resources of R4, and these'
"""

from pepr_kg.fhir.errors import FhirError


class ReleaseMixed(FhirError):
    """A cohort holds FHIR resources of another release. Fields: cohort, known, release."""

    code, http_status = "fhir-release-mixed", 409
    titles = {"en": "Another release of FHIR", "fr": "Autre version de FHIR"}
    sentences = {
        "en": 'The cohort "{cohort}" holds FHIR resources of {known}, and these are of {release}. Load them into '
        "another cohort.",
        "fr": "La cohorte « {cohort} » contient des ressources FHIR en {known}, et celles-ci sont en {release}. "
        "Chargez-les dans une autre cohorte.",
    }


class UnknownKeep(FhirError):
    """What is to be kept is none of the known words. Field: keep."""

    code = "fhir-keep-unknown"
    titles = {"en": "Unknown choice of what to keep", "fr": "Choix de conservation inconnu"}
    sentences = {
        "en": '"{keep}" is not something to keep. Say "terms" (patients and facts of care), "fhir" (the resources) or '
        '"both".',
        "fr": "« {keep} » n’est pas un choix de conservation. Dites « terms » (patients et faits de soins), « fhir » "
        "(les ressources) ou « both » (les deux).",
    }


class OntologyMissing(FhirError):
    """The dataset has no ontology to understand codes by. Field: path."""

    code, http_status = "fhir-ontology-missing", 409
    titles = {"en": "Dataset without ontology", "fr": "Jeu de données sans ontologie"}
    sentences = {
        "en": "The dataset in {path} does not have the ontology that says what codes mean. Run pepr-kg build first.",
        "fr": "Le jeu de données de {path} ne contient pas l’ontologie qui dit ce que les codes désignent. Lancez "
        "d’abord pepr-kg build.",
    }
