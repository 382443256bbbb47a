"""The description of the HTTP interface: one operation for each address, and one for each stored query.

Every summary is in both languages, English first.
"""

from typing import Any, Final

from pepr_kg import __version__
from pepr_kg.web.api import operations
from pepr_kg.web.negotiate import BOOLEAN, QUADS, SOLUTIONS, TRIPLES, Offer

_QUERY_FORMATS: Final = tuple(dict.fromkeys(offer.suffix for offer in (*SOLUTIONS, *TRIPLES)))
_PROBLEM: Final = {"$ref": "#/components/responses/Problem"}


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pepr_kg",
            "version": __version__,
            "summary": "The knowledge graph of the PEPR Santé Numérique and of its patient digital twins · "
            "Le graphe de connaissances du PEPR Santé Numérique et de ses jumeaux numériques de patients",
            "license": {"name": "Apache-2.0 (code), CC-BY-4.0 (ontology, facts)"},
        },
        "paths": {
            "/sparql": {"get": _sparql_get(), "post": _sparql_post()},
            **operations(),
            "/queries": {"get": _operation(
                "Questions", "listQueries", "The stored queries · Les requêtes enregistrées", ("application/json",)
            )},
            "/id/{kind}/{name}": {"get": _linked(
                "individual", "An individual · Un individu", TRIPLES, "kind", "name"
            )},
            "/ontology": {"get": _linked("ontology", "The whole ontology · L’ontologie entière", TRIPLES)},
            "/ontology/{term}": {"get": _linked(
                "term", "A term of the ontology · Un terme de l’ontologie", TRIPLES, "term"
            )},
            "/graph/{name}": {"get": _linked(
                "graph", "A whole named graph · Un graphe nommé entier", (*TRIPLES, *QUADS), "name"
            )},
            "/problems": {"get": _operation(
                "Service", "listProblems", "The errors and their codes · Les erreurs et leurs codes",
                ("application/json",),
            )},
            "/health": {"get": _operation(
                "Service", "health", "State, version, digest, triples · État, version, empreinte, triplets",
                ("application/json",),
            )},
        },
        "components": {
            "responses": {
                "Problem": {
                    "description": "What is wrong, in the caller’s language · L’erreur, dans la langue demandée",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
            "schemas": {"Problem": _PROBLEM_SCHEMA},
        },
    }  # fmt: skip


_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "language"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "language": {"enum": ["fr", "en"]},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
        "offered": {"type": "string"},
        "nearest": {"type": "string"},
    },
}


def _operation(tag: str, name: str, summary: str, media_types: tuple[str, ...], *failures: str) -> dict[str, Any]:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "OK", "content": {media_type: {} for media_type in media_types}},
            **dict.fromkeys(failures, _PROBLEM),
        },
    }


def _linked(name: str, summary: str, offers: tuple[Offer, ...], *parameters: str) -> dict[str, Any]:
    suffixes = " ".join(f".{offer.suffix}" for offer in offers)
    operation = _operation("Linked data", name, summary, tuple(offer.media_type for offer in offers), "404", "406")
    operation["description"] = f"By Accept, or by suffix · Selon Accept ou le suffixe : {suffixes} .html"
    operation["responses"]["303"] = {"description": "To the page, for text/html · Vers la page, pour text/html"}
    operation["parameters"] = [
        {"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}} for parameter in parameters
    ]
    return operation


def _sparql(name: str) -> dict[str, Any]:
    offers = dict.fromkeys(offer.media_type for offer in (*SOLUTIONS, *BOOLEAN, *TRIPLES))
    operation = _operation(
        "SPARQL", name, "Answer a SPARQL 1.1 query · Répondre à une requête SPARQL 1.1", tuple(offers),
        "400", "403", "406", "413", "415", "503",
    )  # fmt: skip
    graphs = {"type": "array", "items": {"type": "string", "format": "iri"}}
    operation["parameters"] = [
        _parameter("default-graph-uri", "Graphs of the default graph · Graphes du graphe par défaut", graphs),
        _parameter("named-graph-uri", "Named graphs · Graphes nommés", graphs),
        _parameter(
            "format",
            "A format, in place of Accept · Un format, à la place de Accept",
            {"type": "string", "enum": list(_QUERY_FORMATS)},
        ),
    ]
    return operation


def _sparql_get() -> dict[str, Any]:
    operation = _sparql("sparqlGet")
    query = _parameter("query", "The query · La requête", {"type": "string"})
    operation["parameters"].insert(0, query | {"required": True})
    return operation


def _sparql_post() -> dict[str, Any]:
    operation = _sparql("sparqlPost")
    form = {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/sparql-query": {"schema": {"type": "string"}},
            "application/x-www-form-urlencoded": {"schema": form},
        },
    }
    return operation


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
