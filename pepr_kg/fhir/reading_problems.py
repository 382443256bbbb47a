"""The sentences about a graph that is not quite the FHIR RDF that it should be."""

from collections.abc import Mapping
from typing import Final

from pepr_kg.fhir.problems import Problem, Severity

# code -> severity, English, French. A `structure` problem speaks against the release that was tried.
_SENTENCES: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "unknown-element": (
        "warning",
        "{name} is not known here in {release}; it is kept under its name",
        "{name} est inconnu ici en {release} ; il est conservé sous son nom",
    ),
    "unknown-resource": (
        "error",
        "{name} is not a type of resource in {release}; its elements are kept under their names",
        "{name} n’est pas un type de ressource en {release} ; ses éléments sont conservés sous leurs noms",
    ),
    "resource-type-missing": (
        "error",
        "no class says which type of resource this is",
        "aucune classe ne dit de quel type de ressource il s’agit",
    ),
    "resource-absent": (
        "warning",
        "the resource {name} is named here, but the graph says nothing of it",
        "la ressource {name} est nommée ici, mais le graphe n’en dit rien",
    ),
    "list-expected": (
        "warning",
        "the values of this repeating element are in no list; their order is that of the document",
        "les valeurs de cet élément répétable ne forment pas une liste ; leur ordre est celui du document",
    ),
    "list-unexpected": (
        "error",
        "this element does not repeat in {release}, but its value is a list",
        "cet élément ne se répète pas en {release}, mais sa valeur est une liste",
    ),
    "list-broken": (
        "error",
        "the list is broken: {fault}; what could be followed is read",
        "la liste est rompue : {fault} ; ce qui a pu être suivi est lu",
    ),
    "index-missing": (
        "warning",
        "fhir:index is missing or stands twice; such values follow in the order of the document",
        "fhir:index est absent ou figure deux fois ; ces valeurs suivent dans l’ordre du document",
    ),
    "too-many-values": (
        "error",
        "{count} values where one may be; the first is read",
        "{count} valeurs là où une seule est permise ; la première est lue",
    ),
    "type-deduced": (
        "information",
        "no class says the type of this choice; {name} is deduced from the value",
        "aucune classe ne dit le type de ce choix ; {name} est déduit de la valeur",
    ),
    "type-unexpected": (
        "error",
        "the class {name} is not among the types of this element in {release}",
        "la classe {name} ne fait pas partie des types de cet élément en {release}",
    ),
    "not-a-number": (
        "error",
        "{name} cannot be written as a JSON number; it is read as text",
        "{name} ne peut pas s’écrire comme nombre JSON ; il est lu comme un texte",
    ),
    "number-rewritten": (
        "information",
        "{name} is no JSON number as it stands; it is read as {to}",
        "{name} n’est pas tel quel un nombre JSON ; il est lu {to}",
    ),
    "literal-unexpected": (
        "error",
        "a literal stands where a node is expected",
        "un littéral se trouve là où un nœud est attendu",
    ),
    "node-shared": (
        "error",
        "a node is part of two others, or of itself; it is read once",
        "un nœud fait partie de deux autres, ou de lui-même ; il est lu une fois",
    ),
    "too-deep": (
        "error",
        "elements are nested more than {count} deep; what is deeper is not read",
        "les éléments sont imbriqués sur plus de {count} niveaux ; le reste n’est pas lu",
    ),
    "prefix-missing": (
        "warning",
        "a well-known prefix is used that the document does not declare",
        "un préfixe bien connu est employé sans que le document le déclare",
    ),
    "iri-unexpected": (
        "error",
        "the IRI {name} stands where a node with a value is expected; it is read as the value",
        "l’IRI {name} se trouve là où un nœud avec une valeur est attendu ; elle est lue comme valeur",
    ),
    "no-resource": (
        "error",
        "the graph holds no FHIR resource: no node has fhir:nodeRole or a class of resources",
        "le graphe ne contient aucune ressource FHIR : aucun nœud n’a fhir:nodeRole ni une classe de ressources",
    ),
    "kept-json-broken": (
        "error",
        "the JSON kept beside the triples cannot be read ({name})",
        "le JSON conservé à côté des triplets est illisible ({name})",
    ),
    "name-taken": (
        "error",
        "{name} is said twice, in two ways; the first is read",
        "{name} est dit deux fois, de deux façons ; la première est lue",
    ),
}  # fmt: skip
_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "heads": ("a part has two continuations", "un maillon a deux suites"),
    "items": ("a part has two items", "un maillon a deux éléments"),
    "end": ("it has no end", "elle n’a pas de fin"),
    "cycle": ("it runs in a circle", "elle tourne en rond"),
}
# They say that the table of another release may fit better.
STRUCTURE: Final = frozenset(
    {"unknown-element", "unknown-resource", "list-expected", "list-unexpected", "type-unexpected", "literal-unexpected"}
)


def problem(code: str, path: str, **fields: object) -> Problem:
    """Return a problem of a place, with its sentences filled in."""
    severity, english, french = _SENTENCES[code]
    fault = fields.pop("fault", None)
    one, other = _FAULTS[str(fault)] if fault else ("", "")
    return Problem(path, severity, code, english.format(fault=one, **fields), french.format(fault=other, **fields))
