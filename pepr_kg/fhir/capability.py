"""The CapabilityStatement: what this server offers as FHIR, read off what the graph holds at the moment.

Required elements and invariants are those of R4 and R5 (cpb-1, cpb-2, cpb-14), which agree on all that is used here.
"""

from collections.abc import Sequence

from pepr_kg import __version__
from pepr_kg.fhir.context import RELEASES, Context
from pepr_kg.fhir.criteria import parameters_of
from pepr_kg.fhir.datatypes import Object, Value, moment, put_text
from pepr_kg.fhir.kept import has_kept, kept_graphs
from pepr_kg.fhir.offered import SOURCES
from pepr_kg.fhir.tables import load_table

_TITLE = {"en": "PEPR Santé Numérique: graph and digital twins as FHIR",
          "fr": "PEPR Santé Numérique\u202f: le graphe et ses jumeaux numériques en FHIR"}  # fmt: skip
_DESCRIPTION = {
    "en": "The programme, cohorts of patients, models and what they predict; resources that came in as FHIR are given "
    "back as they came. Research use: no medical advice.",
    "fr": "Le programme, des cohortes de patients, des modèles et ce qu’ils prédisent\u202f; les "
    "ressources arrivées en FHIR sont rendues telles quelles. Pour la recherche\u202f; ceci n’est pas un avis médical.",
}
_SEARCH = {
    "en": "A parameter that is not listed is refused, not ignored. Pages follow by the link “next”; nothing is counted "
    "but a whole answer.",
    "fr": "Un paramètre qui n’est pas cité est refusé, jamais ignoré. Les pages se suivent par le lien « next »\u202f; "
    "seule une réponse entière est comptée.",
}
_TAKES = {
    "en": "POST to the base address takes a Bundle, one resource or NDJSON into a cohort named by ?cohort=.",
    "fr": "POST à l’adresse de base reprend un Bundle, une ressource ou du NDJSON dans la cohorte que nomme ?cohort=.",
}
_STREAM = {
    "en": "Group/[id]/$export answers at once, as a stream of NDJSON.",
    "fr": "Group/[id]/$export répond aussitôt, par un flux de NDJSON.",
}


def capability(context: Context, base: str, formats: Sequence[str]) -> Object:
    """Return the statement of the server at an address; `formats` are its media types."""
    made: Object = {"resourceType": "CapabilityStatement", "id": "metadata", "language": context.lang}
    made["url"] = f"{base}metadata"
    made["version"] = __version__
    made["name"] = "PeprKg"
    put_text(made, "title", _TITLE, context.lang)
    made["status"] = "active"
    made["date"] = moment(context.view.manifest.made_at) or "2026"
    put_text(made, "description", _DESCRIPTION, context.lang)
    made["kind"] = "instance"
    made["software"] = {"name": "pepr_kg", "version": __version__}
    where: Object = {}
    put_text(where, "description", _TITLE, context.lang)
    made["implementation"] = {**where, "url": base.rstrip("/")}
    made["fhirVersion"] = RELEASES[context.release]
    made["format"] = list[Value](formats)
    rest: Object = {"mode": "server"}
    put_text(rest, "documentation", {lang: f"{_SEARCH[lang]} {_TAKES[lang]}" for lang in _SEARCH}, context.lang)
    rest["security"] = {"cors": True}
    rest["resource"] = [_resource(context, name) for name in offered_types(context)]
    rest["interaction"] = [{"code": "transaction"}, {"code": "batch"}]
    made["rest"] = [rest]
    return made


def offered_types(context: Context) -> list[str]:
    """Return the types of which there is a resource: looked up one by one, so that nothing is counted."""
    found = {source.type for source in SOURCES if next(context.nodes.members(source.curie), None) is not None}
    if next(context.nodes.members("pepr:Prediction"), None) is not None:
        found.add("Provenance")
    graphs = kept_graphs(context.nodes)
    for name in load_table(context.release).resources if graphs else ():
        if name not in found and any(has_kept(context.nodes, name, graph) for graph in graphs):
            found.add(name)
    return sorted(found)


def _resource(context: Context, name: str) -> Object:
    made: Object = {"type": name}
    if name == "Group":
        put_text(made, "documentation", _STREAM, context.lang)
    made["interaction"] = [{"code": "read"}, {"code": "search-type"}]
    made["versioning"] = "versioned"
    made["readHistory"] = False
    made["updateCreate"] = False
    made["searchParam"] = [{"name": key, "type": kind} for key, kind in parameters_of(name).items()]
    if name == "Patient":
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        made["operation"] = [{"name": "everything", "definition": definition}]
    return made
