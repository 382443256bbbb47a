"""A real dataset to be offered as FHIR: the programme's facts, models, a cohort with predictions, what is taken in."""

from pathlib import Path

from pepr_kg.cohorts.demo import demo_cohort
from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.intake import Keep, intake
from pepr_kg.fhir.intake_report import Report
from pepr_kg.namespaces import COHORT, ONTOLOGY_GRAPH, PROGRAMME_GRAPH
from pepr_kg.resources import ontology_dir
from pepr_kg.runs.evaluation import evaluate
from pepr_kg.runs.request import Request
from pepr_kg.store import Dataset, NamedNode
from tests.runs.graphs import with_models

PEOPLE = 25


def offered(folder: Path) -> Dataset:
    """Return a dataset with the programme, and twenty-five synthetic people of whom two models predict something."""
    dataset = with_models(folder / "data")
    with dataset.change(who="test", source="test") as change:
        for name in ("clinical.ttl", "programme.ttl", "schemes.ttl", "evidence.ttl"):
            change.load(ontology_dir() / name, NamedNode(ONTOLOGY_GRAPH))
        for path in sorted((ontology_dir() / "facts").glob("*.ttl")):
            change.load(path, NamedNode(PROGRAMME_GRAPH))
        change.bulk(demo_cohort(PEOPLE).document, NamedNode(f"{COHORT}demo"))
        change.commit()
    evaluate(dataset, Request("score2", cohort="demo"))
    evaluate(dataset, Request("disease-course", cohort="demo", samples=5, who="Zoé"))
    return dataset


def take(dataset: Dataset, path: Path, cohort: str, keep: Keep) -> Report:
    """Take a file of FHIR into a cohort of synthetic people."""
    faults: list[DocumentError] = []
    documents = open_documents(path, faults=faults.append)
    return intake(
        dataset, documents, cohort=cohort, keep=keep, faults=faults, identifiability="synthetic", listed=True
    )  # fmt: skip
