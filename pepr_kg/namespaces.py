"""Every prefix once, and the way between an IRI and its short form (CURIE).

Our IRIs have three homes: terms (`pepr:`), individuals (`id/KIND/NAME`) and
graphs (`graph/NAME`). An individual's short form is `KIND:NAME`.

>>> expand("pepr:Project")
'https://w3id.org/pepr-santenum/ontology/Project'
>>> expand("project:smatch")
'https://w3id.org/pepr-santenum/id/project/smatch'
>>> shrink("https://w3id.org/pepr-santenum/id/project/smatch")
'project:smatch'
>>> shrink("https://example.org/elsewhere") is None
True
"""

import re
from typing import Final

from pepr_kg.errors import UnknownPrefix

BASE: Final = "https://w3id.org/pepr-santenum/"
PEPR: Final = BASE + "ontology/"
ONTOLOGY: Final = BASE + "ontology"
ID: Final = BASE + "id/"
GRAPH: Final = BASE + "graph/"
SHAPE: Final = PEPR + "shape/"

ONTOLOGY_GRAPH: Final = GRAPH + "ontology"
SHAPES_GRAPH: Final = GRAPH + "shapes"
PROGRAMME_GRAPH: Final = GRAPH + "programme"
MODELS_GRAPH: Final = GRAPH + "models"
COHORT: Final = GRAPH + "cohort/"  # graphs of patients, their observations and twins: COHORT + NAME
FHIR: Final = GRAPH + "fhir/"  # graphs of FHIR resources as they came in: FHIR + NAME of their cohort
RUN: Final = GRAPH + "run/"  # graphs of what evaluations gave: RUN + ID

# Kinds of individuals: the KIND of `id/KIND/NAME`. A kind that is not here is a typo, and a test says so.
KINDS: Final = (
    "access-condition", "access-level", "administration", "aggregation", "ambition", "amount",
    "amount-kind", "answer", "basis", "binding", "call", "call-type", "category", "caveat", "censoring",
    "code", "cohort", "component", "condition", "confidence", "consent", "consent-status", "conserved-sum",
    "conserved-term", "correlation", "count", "count-kind", "coupling", "coupling-operator",
    "coupling-scheme", "covariate-model", "credibility", "credibility-activity", "data-element", "dataset",
    "decision-status", "disagreement", "disagreement-kind", "disease", "distribution",
    "distribution-family", "document", "duration", "encounter", "estimate", "evaluation",
    "evaluation-outcome", "event", "grant", "hypothesis", "identifiability", "identifier",
    "identifier-scheme", "impact", "intake", "interpolation", "intervention", "intervention-kind", "level",
    "locator", "measurement-unit", "medication-use", "method", "modality", "model", "model-event",
    "model-form", "objective", "observation", "organ", "organisation", "outcome-status", "output",
    "parameter", "parameter-level", "participation", "patient", "person", "place", "plan", "prediction",
    "prescription", "prior", "procedure", "programme", "project", "quantity", "quantity-value",
    "research-programme", "residual-model", "resolved-binding", "resolved-inputs", "result-status", "role",
    "run-status", "scenario", "scenario-kind", "scheme", "selection", "sex", "statement", "strategy",
    "time-origin", "time-scale", "topic", "trajectory", "transform", "twin", "uncertainty",
    "uncertainty-source", "unit-conversion", "validity", "validity-rule", "variable", "variable-role",
)  # fmt: skip

PREFIXES: Final[dict[str, str]] = {
    "pepr": PEPR,
    "shape": SHAPE,
    "module": PEPR + "module/",
    "graph": GRAPH,
    **{kind: f"{ID}{kind}/" for kind in KINDS},
    "bqbiol": "http://biomodels.net/biology-qualifiers/",
    "bqmodel": "http://biomodels.net/model-qualifiers/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcterms": "http://purl.org/dc/terms/",
    "fhir": "http://hl7.org/fhir/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "obo": "http://purl.obolibrary.org/obo/",
    "org": "http://www.w3.org/ns/org#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "prov": "http://www.w3.org/ns/prov#",
    "qudt": "http://qudt.org/schema/qudt/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "sbo": "http://biomodels.net/SBO/",
    "sh": "http://www.w3.org/ns/shacl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "sosa": "http://www.w3.org/ns/sosa/",
    "time": "http://www.w3.org/2006/time#",
    "unit": "http://qudt.org/vocab/unit/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

# Longest namespace first, so that `id/project/` is tried before anything that it starts with.
_BY_LENGTH: Final = sorted(PREFIXES.items(), key=lambda item: -len(item[1]))
_LOCAL: Final = re.compile(r"[\w.-]+")


def expand(curie: str) -> str:
    """Return the IRI of a CURIE; an absolute IRI comes back as it is.

    Raises `UnknownPrefix` if the prefix is none of ours.
    """
    prefix, colon, local = curie.partition(":")
    if (colon and local.startswith("//")) or prefix == "urn":
        return curie
    if not colon or prefix not in PREFIXES:
        raise UnknownPrefix(prefix=prefix if colon else curie)
    return PREFIXES[prefix] + local


def shrink(iri: str) -> str | None:
    """Return the CURIE of an IRI, or None if no prefix of ours fits it."""
    for prefix, namespace in _BY_LENGTH:
        if iri.startswith(namespace) and _LOCAL.fullmatch(iri[len(namespace) :]):
            return f"{prefix}:{iri[len(namespace) :]}"
    return None
