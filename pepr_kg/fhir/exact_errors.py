"""The failures of reading JSON exactly: a branch of `FhirError`.

    FhirError (ValueError)
    └── BadJson                 line, column, and what is wrong there
        └── NotJson             another format, or another encoding, from its first bytes on

>>> BadJson(line=3, column=7, detail={"en": "a value is missing", "fr": "il manque une valeur"}).message("en")
'This is not usable JSON, line 3, column 7: a value is missing.'
"""

from pepr_kg.fhir.errors import FhirError


class BadJson(FhirError):
    """A text is not JSON, or JSON that two readers would read differently. Fields: line, column (from 1), detail."""

    code, http_status = "bad-json", 400
    titles = {"en": "JSON not usable", "fr": "JSON inutilisable"}
    sentences = {
        "en": "This is not usable JSON, line {line}, column {column}: {detail}.",
        "fr": "Ce JSON est inutilisable, ligne {line}, colonne {column} : {detail}.",
    }


class NotJson(BadJson):
    """The bytes are another format or encoding. Field: detail (a text for each language)."""

    code = "not-json"
    titles = {"en": "Not JSON", "fr": "Pas du JSON"}
    sentences = {"en": "This is not JSON: {detail}.", "fr": "Ceci n’est pas du JSON : {detail}."}
