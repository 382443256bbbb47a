"""A small cohort on a real dataset: renal function for everybody, a drug and its concentrations for some."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from pepr_kg.cohorts.published import published_cohort
from pepr_kg.namespaces import COHORT, expand
from pepr_kg.runs.request import Request
from pepr_kg.store import Dataset, NamedNode
from tests.runs.graphs import COHORT_TEST, add_turtle, given, observed, patient, with_models

AS_OF = datetime(2026, 3, 15, tzinfo=UTC)
CREATININE = {"p0": "70.5", "p1": "80.5", "p2": "90.5", "p4": "110.5", "p5": "120.5"}  # p3 was never measured
SEEN = {"q0": (6.5, 4.0), "q1": (8.0, 3.0), "q2": (5.0, 2.5)}  # theophylline, 2 h and 12 h after the dose


def people() -> str:
    """Return the Turtle of six patients of cohort:test, of whom five have a creatinine in umol/L."""
    text = COHORT_TEST
    for at in range(6):
        text += patient(f"p{at}", born=f'"{1950 + at}-03-15"^^xsd:date', sex="sex:male" if at % 2 else "sex:female")
    for name, value in CREATININE.items():
        text += observed(f"c-{name}", name, "serum-creatinine", value, "umol/L", "2026-01-02")
    return text


def treated() -> str:
    """Return the Turtle of four more patients with a dose of theophylline; the last was not measured."""
    text = 'cohort:treated a pepr:Cohort ; rdfs:label "Traités"@fr , "Treated"@en .\n'
    for name in (*SEEN, "q3"):
        text += patient(name).replace("cohort:test", "cohort:treated")
        text += given(f"d-{name}", name, "administered-theophylline", "4.0", "mg/kg", "2026-02-01T08:00:00Z")
        for hour, value in zip((10, 20), SEEN.get(name, ()), strict=False):
            at = f"2026-02-01T{hour}:00:00Z"
            text += observed(f"t-{name}-{hour}", name, "plasma-concentration-theophylline", str(value), "mg/L", at)
    return text


def models(folder: Path) -> Path:
    """Return the folder of a dataset with the models and these patients."""
    dataset = with_models(folder / "data")
    add_turtle(dataset, people() + treated())
    return dataset.path


def copied(folder: Path, to: Path) -> Dataset:
    """Return a dataset of one's own."""
    return Dataset(Path(shutil.copytree(folder, to / "data")))


def renal(**changes: object) -> Request:
    """Return the question that most tests ask: renal function of cohort:test."""
    fields: dict[str, object] = {"model": "ckd-epi-2021", "cohort": "test", "as_of": AS_OF}
    return Request(**(fields | changes))  # type: ignore[arg-type]


def drug(**changes: object) -> Request:
    """Return the question with a fit: theophylline in cohort:treated."""
    fields: dict[str, object] = {
        "model": "theophylline", "cohort": "treated", "as_of": AS_OF, "outputs": ("conc",), "horizon": 24.0,
        "points": 5,
    }  # fmt: skip
    return Request(**(fields | changes))  # type: ignore[arg-type]


def iri(name: str) -> str:
    """Return the IRI of a patient."""
    return expand(f"patient:{name}")


def published(dataset: Dataset, name: str) -> None:
    """Put the subjects of a published study into a dataset, unvalidated: it holds too little of the ontology."""
    with dataset.change(who="test", source="test") as change:
        change.bulk(published_cohort(name).document, NamedNode(COHORT + name))
        change.commit()
