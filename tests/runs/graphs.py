"""A real dataset with the models of the project and whatever patients a test writes, without the build's validation."""

from pathlib import Path

from pepr_kg.models.description import describe_builtin
from pepr_kg.namespaces import COHORT, MODELS_GRAPH, ONTOLOGY_GRAPH, PREFIXES
from pepr_kg.rdf import parse_bytes
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Dataset, NamedNode, RdfFormat, View

VOCABULARY = ("twin.ttl", "twin-schemes.ttl", "quantities.ttl", "alignments.ttl", "data.ttl")
HEADER = "".join(f"@prefix {name}: <{space}> .\n" for name, space in PREFIXES.items())


def with_models(folder: Path) -> Dataset:
    """Return a dataset that holds the vocabulary and the models of the project."""
    dataset = Dataset(folder)
    with dataset.change(who="test", source="test") as change:
        for name in VOCABULARY:
            change.load(ontology_dir() / name, NamedNode(ONTOLOGY_GRAPH))
        for path in sorted((ontology_dir() / "models").glob("*.ttl")):
            change.load(path, NamedNode(MODELS_GRAPH))
        change.add(describe_builtin())
        change.commit()
    return dataset


def add_turtle(dataset: Dataset, text: str, graph: str = f"{COHORT}test") -> View:
    """Add Turtle, whose prefixes are those of the project, and return the new view."""
    quads = parse_bytes((HEADER + text).encode(), RdfFormat.TURTLE, NamedNode(graph), "test.ttl")
    with dataset.change(who="test", source="test") as change:
        change.add(quads)
        return change.commit()


def patient(name: str, *more: str, born: str = '"1976-03-15"^^xsd:date', sex: str = "sex:female") -> str:
    """Return the Turtle of a patient of cohort:test."""
    return f"""
patient:{name} a pepr:Patient ; dcterms:identifier "{name}" ; pepr:memberOfCohort cohort:test ;
  pepr:hasIdentifiability identifiability:synthetic ; pepr:birthDate {born} ; pepr:hasSex {sex}
  {"".join(f"; {item} " for item in more)}.
"""


def observed(  # noqa: PLR0917  a row of a table
    name: str, owner: str, concept: str, value: str, unit: str | None, at: str, *more: str
) -> str:
    """Return the Turtle of an observation; `value` is a number, or the short form of a concept."""
    result = f"sosa:hasResult {value}" if ":" in value else f"pepr:numericValue {value}"
    code = f'pepr:unitCode "{unit}" ; ' if unit is not None else ""
    kind = "dateTime" if "T" in at else "date"
    concept = f"<{concept}>" if "://" in concept else f"quantity:{concept}"
    return f"""
observation:{name} a pepr:Observation ; sosa:hasFeatureOfInterest patient:{owner} ; sosa:observedProperty {concept} ;
  {result} ; {code}pepr:observedAt "{at}"^^xsd:{kind} {"".join(f"; {item} " for item in more)}.
"""


def given(  # noqa: PLR0917  a row of a table
    name: str, owner: str, substance: str, value: str, unit: str, at: str
) -> str:
    """Return the Turtle of a dose that was given."""
    kind = "dateTime" if "T" in at else "date"
    return f"""
administration:{name} a pepr:Administration ; sosa:hasFeatureOfInterest patient:{owner} ;
  pepr:quantity quantity:{substance} ; pepr:numericValue {value} ; pepr:unitCode "{unit}" ;
  pepr:administeredAt "{at}"^^xsd:{kind} .
"""


COHORT_TEST = 'cohort:test a pepr:Cohort ; rdfs:label "Essai"@fr , "Test"@en .\n'
