"""What can be wrong with a cohort that is asked for.

    CohortError (ValueError)
    ├── BadCohortName
    ├── UnknownPublication (LookupError)
    └── BadCohortFile

>>> print(UnknownPublication(name="aspirin", known="theophylline, warfarin"))
There is no published cohort "aspirin". Known: theophylline, warfarin.
"""

from pepr_kg.errors import PeprError


class CohortError(PeprError, ValueError):
    """Something is wrong with a cohort."""

    code, http_status = "cohort-error", 400
    titles = {"en": "Cohort not loaded", "fr": "Cohorte non chargée"}


class BadCohortName(CohortError):
    """A name that cannot stand in an IRI. Field: name."""

    code = "bad-cohort-name"
    titles = {"en": "Name not usable", "fr": "Nom inutilisable"}
    sentences = {
        "en": '"{name}" cannot name a cohort. Use lower-case letters, digits and hyphens, a letter first.',
        "fr": "« {name} » ne peut pas nommer une cohorte. Employez des minuscules sans accent, des chiffres et des "
        "traits d’union, une lettre d’abord.",
    }


class UnknownPublication(CohortError, LookupError):
    """No published cohort has this name. Fields: name, known."""

    code, http_status = "unknown-publication", 404
    titles = {"en": "Unknown published cohort", "fr": "Cohorte publiée inconnue"}
    sentences = {
        "en": 'There is no published cohort "{name}". Known: {known}.',
        "fr": "Il n’y a pas de cohorte publiée « {name} ». Connues : {known}.",
    }


class BadCohortFile(CohortError):
    """A CSV file cannot be read as a published cohort. Fields: path, detail (a text for each language)."""

    code = "bad-cohort-file"
    titles = {"en": "File is no published cohort", "fr": "Fichier de cohorte incorrect"}
    sentences = {
        "en": "{path}: {detail}. Correct the file; nothing was changed.",
        "fr": "{path} : {detail}. Corrigez le fichier ; rien n’a été modifié.",
    }
