"""A dataset with the ontology and the models, and small FHIR resources to take in."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake import intake
from pepr_kg.fhir.intake_report import Report
from pepr_kg.models.description import describe_builtin
from pepr_kg.namespaces import COHORT, MODELS_GRAPH, ONTOLOGY_GRAPH, PREFIXES, SHAPES_GRAPH
from pepr_kg.resources import ontology_dir, shapes_dir
from pepr_kg.store import Dataset, NamedNode, View

CLINIC = NamedNode(f"{COHORT}clinic")
BASE = "https://fhir.example.org/"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"


def make_ground(folder: Path) -> Path:
    """Return the folder of a dataset with the ontology, the shapes and the models."""
    dataset = Dataset(folder)
    with dataset.change(who="test", source="test") as change:
        for path in [*ontology_dir().glob("*.ttl"), *(ontology_dir() / "external").glob("*.ttl")]:
            change.load(path, NamedNode(ONTOLOGY_GRAPH))
        for path in (ontology_dir() / "models").glob("*.ttl"):
            change.load(path, NamedNode(MODELS_GRAPH))
        change.add(describe_builtin())
        for path in shapes_dir().glob("*.ttl"):
            change.load(path, NamedNode(SHAPES_GRAPH))
        change.commit()
    return folder


def copied(ground: Path, to: Path) -> Dataset:
    """Return a dataset that the test may change."""
    shutil.copytree(ground, to / "data")
    return Dataset(to / "data")


def take(dataset: Dataset, *resources: object, keep: str = "terms", **more: object) -> Report:
    """Take resources (as Python has JSON, or text) in as NDJSON."""
    lines = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in resources]
    faults: list[DocumentError] = []
    documents = open_documents([("\n".join(lines) + "\n").encode()], form="ndjson", faults=faults.append)
    options = {"cohort": "clinic", "base": BASE, "listed": True, **more}
    return intake(dataset, documents, keep=keep, faults=faults, **options)  # type: ignore[arg-type]


def patient(name: str = "p1", **more: object) -> dict[str, object]:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1960-03-15"} | more


def concept(system: str, code: str, display: str | None = None) -> dict[str, object]:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}


def observation(
    name: str, code: str, value: object = None, unit: str | None = None, **more: object
) -> dict[str, object]:
    found: dict[str, object] = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": concept(LOINC, code),
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-01-05T08:30:00+01:00",
    }
    if value is not None:
        found["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return found | more


def condition(name: str, code: str, **more: object) -> dict[str, object]:
    return {
        "resourceType": "Condition",
        "id": name,
        "code": concept(SNOMED, code),
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2019-05-01",
        "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
    } | more


def ask(view: View | None, sparql: str) -> list[tuple[str, ...]]:
    """Return the rows of a query, IRIs in the short form of what they end in."""
    assert view is not None
    header = "".join(f"PREFIX {name}: <{space}>\n" for name, space in PREFIXES.items())
    rows = view.select(header + sparql).rows
    return [tuple("" if term is None else term.value for term in row) for row in rows]


def facts(view: View | None, name: str, graph: NamedNode = CLINIC) -> dict[str, list[str]]:
    """Return what a graph says of the one thing whose IRI ends in `name`, by the end of the property."""
    assert view is not None
    found: dict[str, list[str]] = {}
    for quad in view.quads(graph=graph):
        if quad.subject.value.endswith(name):  # type: ignore[union-attr]
            found.setdefault(quad.predicate.value.replace("#", "/").rpartition("/")[2], []).append(quad.object.value)  # type: ignore[union-attr]
    return found


def ends(values: Iterable[str]) -> set[str]:
    return {value.replace("#", "/").rpartition("/")[2] for value in values}
