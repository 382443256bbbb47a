"""What is noticed while a resource is written, as `Problem`: an error says that it breaks FHIR's rules.

Whoever loads refuses a resource with errors; who converts loses nothing of it.
"""

from collections.abc import Mapping
from typing import Final

from pepr_kg.fhir.problems import Problem, Severity

__all__ = ["EXPECTED", "Place", "Problem", "path_of", "problem"]

# A place in a resource, from its end: (the place around it, name of the element, position in its list or None).
Place = tuple["Place | None", str, int | None]

_KINDS: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "unknown-element": (
        "warning",
        "{release} has no element {name} here. Its JSON is kept as it stands.",
        "{release} n’a pas d’élément {name} à cet endroit. Son JSON est conservé tel quel.",
    ),
    "wrong-shape": (
        "error",
        "{name} is not of its kind: {expected} is expected here. Its JSON is kept as it stands.",
        "{name} n’est pas de la bonne forme : {expected} est attendu ici. Son JSON est conservé tel quel.",
    ),
    "wrong-value": (
        "error",
        "“{value}” is not of type {type}. It is kept as plain text.",
        "« {value} » n’est pas de type {type}. La valeur est conservée comme texte simple.",
    ),
    "empty-object": (
        "error",
        "An object without content stands here. FHIR does not allow it.",
        "Un objet sans contenu se trouve ici. FHIR ne l’admet pas.",
    ),
    "two-choices": (
        "error",
        "{names} stand here together, and only one of them may.",
        "{names} se trouvent ici ensemble, alors qu’un seul est admis.",
    ),
    "modifier": (
        "warning",
        "A modifier extension changes the meaning of what stands here. Who uses these data must not ignore it.",
        "Une extension modificatrice change le sens de ce qui se trouve ici. Qui utilise ces données ne doit pas "
        "l’ignorer.",
    ),
    "identifier": (
        "error",
        "“{value}” cannot be an id: 1 to 64 letters, digits, hyphens and full stops are allowed.",
        "« {value} » ne peut pas être un id : de 1 à 64 lettres, chiffres, tirets et points sont admis.",
    ),
    "full-url": (
        "warning",
        "The fullUrl “{value}” is no IRI, or two entries without version have it. The resource has no name of its own.",
        "Le fullUrl « {value} » n’est pas une IRI, ou deux entrées sans version le portent. La ressource n’a pas de "
        "nom propre.",
    ),
}
# What is expected, where the kind of a value is wrong.
EXPECTED: Final[Mapping[str, tuple[str, str]]] = {
    "array": ("an array with at least one item", "un tableau d’au moins un élément"),
    "object": ("an object", "un objet"),
    "resource": (
        "an object with a resourceType of the release",
        "un objet avec un resourceType de cette version de FHIR",
    ),
    "string": ("a string", "une chaîne"),
    "number": ("a number", "un nombre"),
    "boolean": ("true or false", "true ou false"),
    "pair": ("a companion of the same length", "un complément de même longueur"),
    "extras": ("an object with id or extension", "un objet avec id ou extension"),
}


def path_of(place: "Place | None") -> str:
    """Return a place as it is written in FHIRPath.

    >>> path_of(((None, "Patient", None), "name", 1))
    'Patient.name[1]'
    """
    names: list[str] = []
    while place is not None:
        place, name, position = place
        names.append(name if position is None else f"{name}[{position}]")
    return ".".join(reversed(names))


def problem(code: str, place: "Place | None", **fields: str) -> Problem:
    """Return a problem of a kind. `expected` is the key of a text in both languages; others are shown as they are.

    >>> problem("wrong-shape", (None, "Patient", None), name="name", expected="array").en
    'name is not of its kind: an array with at least one item is expected here. Its JSON is kept as it stands.'
    """
    severity, en, fr = _KINDS[code]
    english = fields | ({"expected": EXPECTED[fields["expected"]][0]} if "expected" in fields else {})
    french = fields | ({"expected": EXPECTED[fields["expected"]][1]} if "expected" in fields else {})
    return Problem(path_of(place), severity, code, en.format(**english), fr.format(**french))
