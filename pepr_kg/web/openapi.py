"""The description of the HTTP interface: one operation for each address, and one for each stored query.

Every summary is in both languages, English first.
"""

from typing import Any, Final

from pepr_kg import __version__
from pepr_kg.web import fhir
from pepr_kg.web.api import operations
from pepr_kg.web.evaluations import EVENTS_TYPE, JSON_TYPE, PARQUET_TYPE
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
            **_evaluations(),
            **fhir.operations(),
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
            "schemas": {"Problem": _PROBLEM_SCHEMA, "Question": _QUESTION_SCHEMA, "Job": _JOB_SCHEMA},
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
        "field": {"type": "string"},
    },
}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_QUESTION_SCHEMA: Final = {
    "type": "object",
    "required": ["model"],
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string"},
        "cohort": {"type": ["string", "null"]},
        "entities": _TEXTS,
        "scenarios": _TEXTS,
        "horizon": {"type": ["number", "null"], "minimum": 0},
        "horizon_unit": {"type": ["string", "null"], "description": "UCUM"},
        "points": {"type": "integer", "minimum": 1},
        "at": {"type": "array", "items": {"type": "number", "minimum": 0}},
        "samples": {"type": "integer", "minimum": 1},
        "seed": {"type": "integer", "minimum": 0},
        "as_of": {"type": ["string", "null"], "description": "xsd:date (its end), xsd:dateTime"},
        "fit": {"type": ["boolean", "null"]},
        "outputs": {**_TEXTS, "type": ["array", "null"]},
        "rtol": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "level": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "who": {"type": "string"},
    },
}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_JOB_SCHEMA: Final = {
    "type": "object",
    "required": ["id", "request", "state", "done", "total", "revision", "href", "events"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "request": {"$ref": "#/components/schemas/Question"},
        "state": {"enum": ["queued", "running", "finished", "failed", "cancelled", "interrupted"]},
        "stage": {"type": "string"},
        "done": {"type": "integer"},
        "total": {"type": "integer"},
        "rate": {"type": "number"},
        "seconds_left": {"type": ["number", "null"]},
        "run": {"type": ["string", "null"], "format": "iri"},
        "reused": {"type": "boolean"},
        "code": _MAYBE_TEXT,
        "messages": {"type": "object", "properties": {"fr": {"type": "string"}, "en": {"type": "string"}}},
        "created": {"type": "string", "format": "date-time"},
        "started": _MAYBE_TEXT,
        "ended": _MAYBE_TEXT,
        "revision": {"type": "integer"},
        "href": {"type": "string"},
        "events": {"type": "string"},
        "trajectories": {"type": "string"},
        "inputs": {"type": "string"},
    },
}


def _evaluations() -> dict[str, Any]:
    """Return the paths of evaluations, jobs and the files of runs."""
    job: dict[str, Any] = {
        "description": "The job · La tâche",
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/Job"}}},
    }
    ask = _operation(
        "Evaluations", "evaluate",
        "Evaluate a model for patients; research, not medical advice · Évaluer un modèle pour des patients ; pour la "
        "recherche, ce n’est pas un avis médical", (JSON_TYPE,), "400", "403", "404", "413", "415", "422", "503",
    )  # fmt: skip
    ask["responses"]["200"]["description"] = "The run that is there already · L’exécution qui existe déjà"
    ask["responses"]["202"] = {**job, "headers": {"Location": {"schema": {"type": "string"}}}}
    ask["requestBody"] = {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/Question"}}},
    }
    cancel, delete = (
        _about_job(name, "Stop a job · Arrêter une tâche", job, "403") for name in ("cancelJob", "deleteJob")
    )
    resume = _about_job("resumeJob", "Take a job up again · Reprendre une tâche", job, "403", "409", "503")
    resume["responses"]["202"] = resume["responses"].pop("200")
    show = _about_job("getJob", "A job · Une tâche", job, "406")
    show["responses"]["200"] = {**job, "content": {**job["content"], "text/html": {}}}
    follow = _about_job(
        "followJob", "The states of a job as they come (server-sent events) · Les états d’une tâche, au fil de l’eau",
        {
            "description": "Events `progress`, then `end` · Événements `progress`, puis `end`",
            "content": {EVENTS_TYPE: {}},
        },
        "503",
    )  # fmt: skip
    follow["responses"]["204"] = {"description": "The end was sent already · La fin a déjà été envoyée"}
    return {
        "/evaluate": {"post": ask},
        "/jobs": {"get": _operation(
            "Evaluations", "listJobs", "The latest jobs · Les dernières tâches", (JSON_TYPE, "text/html"), "406"
        )},
        "/jobs/{name}": {"get": show, "delete": delete},
        "/jobs/{name}/events": {"get": follow},
        "/jobs/{name}/cancel": {"post": cancel},
        "/jobs/{name}/resume": {"post": resume},
        **{
            f"/id/model/{{name}}.{suffix}": {"get": _named(_operation(
                "Evaluations", f"{suffix}OfModel", summary, (media_type,), "404"
            ))}
            for suffix, media_type, summary in (
                ("xml", "application/sbml+xml", "The SBML file of a model · Le fichier SBML d’un modèle"),
                ("omex", "application/zip", "A COMBINE archive of a model · Une archive COMBINE d’un modèle"),
            )
        },
        **{
            f"/runs/{{name}}/{file}.parquet": {"get": _named(_operation(
                "Evaluations", f"{file}OfRun", summary, (PARQUET_TYPE,), "404"
            ))}
            for file, summary in (
                ("trajectories", "The trajectories of a run · Les trajectoires d’une exécution"),
                ("inputs", "The values that a run used · Les valeurs qu’une exécution a employées"),
            )
        },
    }  # fmt: skip


def _about_job(name: str, summary: str, answer: dict[str, Any], *failures: str) -> dict[str, Any]:
    operation = _named(_operation("Evaluations", name, summary, (), "404", *failures))
    operation["responses"]["200"] = answer
    return operation


def _named(operation: dict[str, Any]) -> dict[str, Any]:
    parameter = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**operation, "parameters": [parameter]}


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
