"""Why a resource is refused, in sentences: where, a stable code, and what to do, in both languages.

>>> print(bad_id("a_b").en)
“a_b” is no id of FHIR (1 to 64 letters, digits, hyphens, dots). Correct it
"""

import re
from typing import Final

import msgspec

from pepr_kg.fhir.problems import Problem

NO_ID: Final = (
    "It has no id, so only the same content will be known again.",
    "Elle n’a pas d’id\u202f: seul un contenu identique sera reconnu.",
)
OLDER: Final = (
    "A newer version is known; this one was left out.",
    "Une version plus récente est connue\u202f; celle-ci a été laissée de côté.",
)
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_SHOWN: Final = 80


class Refused(Exception):
    """A resource is wrong: where, a stable code, and why in both languages, without a full stop."""

    def __init__(self, path: str, code: str, en: str, fr: str) -> None:
        super().__init__(code)
        self.path, self.code, self.en, self.fr = path, code, en, fr


def refuse(problem: Problem | None) -> None:
    """Raise `Refused` for a problem, where there is one."""
    if problem is not None:
        raise Refused(problem.path, problem.code, problem.en.rstrip("."), problem.fr.rstrip("."))


def wrong_kind(type_name: str, error: msgspec.MsgspecError) -> Refused:
    """Return what a value of another kind than FHIR's makes of a resource."""
    what, _, path = str(error).partition(" - at `$")
    kinds = _EXPECTED.search(what)
    told = f" ({kinds[1]} est attendu, {kinds[2]} se trouve là)" if kinds else ""
    return Refused(
        type_name + path.rstrip("`"),
        "wrong-kind",
        f"a value is not of its kind ({what}). Correct it",
        f"une valeur n’est pas de la bonne sorte{told}. Corrigez-la",
    )


def unknown_type(type_name: str, release: str) -> Refused:
    """Return what a type that the release does not have makes of a resource."""
    shown = type_name[:_SHOWN]
    return Refused(
        "resourceType",
        "unknown-type",
        f"{release} has no resource type “{shown}”. Correct it, or give the release of the data",
        f"{release} n’a pas de type de ressource «\u202f{shown}\u202f». Corrigez-le, ou donnez la version des données",
    )


def bad_id(identifier: str) -> Refused:
    """Return what an id outside FHIR's alphabet makes of a resource."""
    shown = identifier[:_SHOWN]
    return Refused(
        "id",
        "bad-id",
        f"“{shown}” is no id of FHIR (1 to 64 letters, digits, hyphens, dots). Correct it",
        f"«\u202f{shown}\u202f» n’est pas un id de FHIR (1 à 64 lettres, chiffres, traits d’union, points). "
        "Corrigez-le",
    )


def bad_date(path: str, text: str) -> Refused:
    """Return what a date that is none makes of a resource."""
    shown = text[:_SHOWN]
    return Refused(
        path,
        "bad-date",
        f"“{shown}” is no date of FHIR: YYYY, YYYY-MM, YYYY-MM-DD, or a day with hour and zone. Correct it",
        f"«\u202f{shown}\u202f» n’est pas une date de FHIR\u202f: AAAA, AAAA-MM, AAAA-MM-JJ, ou un jour avec "
        "l’heure et le fuseau. Corrigez-la",
    )


def bad_number(path: str, raw: bytes) -> Refused:
    """Return what a number that nobody can have measured makes of a resource."""
    shown = raw.decode("utf-8", "replace")[:_SHOWN]
    return Refused(
        path,
        "bad-number",
        f"{shown} is no number that a measurement could have. Correct the value",
        f"{shown} n’est pas un nombre qu’une mesure puisse donner. Corrigez la valeur",
    )


def lost_reference(reference: str) -> Refused:
    """Return what a reference to an entry that is not there makes of a resource."""
    shown = reference[:_SHOWN]
    return Refused(
        "subject",
        "lost-reference",
        f"“{shown}” leads to no entry of this Bundle. Add the patient",
        f"«\u202f{shown}\u202f» ne mène à aucune entrée de ce Bundle. Ajoutez le patient",
    )


def nul_in_text(type_name: str) -> Refused:
    """Return what the character NUL, which no text of FHIR may have, makes of a resource."""
    return Refused(
        type_name,
        "nul",
        "a text holds the character NUL (\\u0000), which FHIR does not allow. Take it out",
        "un texte contient le caractère NUL (\\u0000), que FHIR n’admet pas. Retirez-le",
    )


def conditional_delete(url: str) -> Refused:
    """Return what a deletion by a search makes: it names no resource."""
    shown = url[:_SHOWN]
    return Refused(
        "request.url",
        "conditional-delete",
        f"“{shown}” names no single resource to delete. Give its type and id",
        f"«\u202f{shown}\u202f» ne désigne pas une ressource à supprimer. Donnez son type et son id",
    )
