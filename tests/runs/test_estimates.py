"""What a fit found of a twin stands in the graph: each parameter with its unit, its interval and the run."""

import math

import pytest

from pepr_kg.namespaces import ID, RUN
from pepr_kg.runs.checking import check_run
from pepr_kg.runs.evaluation import Run, evaluate
from pepr_kg.runs.reading import read_run
from pepr_kg.runs.stale import withdraw
from pepr_kg.store import Dataset, NamedNode, Table
from pepr_kg.validation import validate_graphs
from tests.runs.clinic import drug, published
from tests.runs.graphs import add_turtle

QUERY = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/> PREFIX prov: <http://www.w3.org/ns/prov#>
SELECT ?estimate ?parameter ?twin ?value ?unit ?sd ?low ?high ?level ?status ?run WHERE {
  ?estimate a pepr:Estimate ; pepr:estimateOf ?parameter ; pepr:forTwin ?twin ; pepr:numericValue ?value ;
    pepr:unitCode ?unit ; pepr:standardDeviation ?sd ; prov:wasGeneratedBy ?run ; pepr:hasUncertainty ?u .
  ?u pepr:intervalLower ?low ; pepr:intervalUpper ?high ; pepr:intervalLevel ?level .
  OPTIONAL { ?estimate pepr:hasResultStatus ?status }
} ORDER BY ?estimate"""


def estimates(dataset: Dataset) -> Table:
    return dataset.view().select(QUERY)


def checked(dataset: Dataset, run: Run) -> None:
    graph = NamedNode(RUN + run.id)
    assert validate_graphs(dataset.view(), [graph]).conforms
    report = check_run(dataset.view(), graph, predictions=run.predictions, sampled=False)
    assert report.conforms, report.to_text("en")


def test_each_fitted_parameter_of_each_twin_has_an_estimate(clinic: Dataset) -> None:
    published(clinic, "theophylline")
    run = evaluate(clinic, drug(cohort="theophylline", level=0.95))
    rows = list(estimates(clinic).iter_dicts())
    assert len(rows) == 12 * 2
    assert {row["parameter"].value.rpartition(".")[2] for row in rows} == {"b_lCl", "b_lka"}
    assert {row["run"].value for row in rows} == {run.iri}
    assert len({row["twin"].value for row in rows}) == 12
    for row in rows:
        value, sd, low, high = (float(row[name].value) for name in ("value", "sd", "low", "high"))
        assert row["unit"].value == "1"
        assert float(row["level"].value) == 0.95
        assert low < value < high
        assert high - value == pytest.approx(1.959963984540054 * sd, rel=1e-9), "its scale is its own"
        assert 0.0 < sd < 1.0
    checked(clinic, run)


def test_a_parameter_on_a_logarithmic_scale_comes_back_to_its_own(clinic: Dataset) -> None:
    published(clinic, "warfarin")
    run = evaluate(clinic, drug(model="warfarin-pkpd", cohort="warfarin", outputs=("conc",)))
    rows = [row for row in estimates(clinic).iter_dicts() if row["parameter"].value.endswith(".CL")]
    assert len(rows) == run.evaluated
    for row in rows:
        value, sd, low, high = (float(row[name].value) for name in ("value", "sd", "low", "high"))
        assert row["unit"].value == "L/h"
        assert math.log(high / value) == pytest.approx(math.log(value / low), rel=1e-6)
        assert math.log(high / value) == pytest.approx(1.6448536269514722 * sd, rel=1e-6)
        assert 0.01 < value < 1.0
    checked(clinic, run)


def test_who_has_no_twin_that_uses_the_model_has_predictions_alone(clinic: Dataset) -> None:
    run = evaluate(clinic, drug())
    assert read_run(clinic.view(), clinic.path, run.id).fitted
    assert not estimates(clinic).rows
    assert run.predictions == 4


def test_a_value_that_a_patient_gives_is_not_estimated_nor_is_one_without_a_fit(clinic: Dataset) -> None:
    twin = "twin:q{0} a pepr:DigitalTwin ; pepr:twinOf patient:q{0} ; pepr:usesModel model:theophylline {1}.\n"
    own = "binding:own a pepr:Binding ; pepr:binds parameter:theophylline.b_lka ; pepr:boundValue 0.1 ; "
    own += 'pepr:unitCode "1" .\n'
    add_turtle(clinic, twin.format(0, "; pepr:hasBinding binding:own ") + own + twin.format(1, ""))
    run = evaluate(clinic, drug())
    found = {(row["twin"].value.rpartition("/")[2], row["parameter"].value.rpartition(".")[2])
             for row in estimates(clinic).iter_dicts()}  # fmt: skip
    assert found == {("q0", "b_lCl"), ("q1", "b_lCl"), ("q1", "b_lka")}
    checked(clinic, run)


def test_estimates_are_withdrawn_with_their_run(clinic: Dataset) -> None:
    published(clinic, "theophylline")
    run = evaluate(clinic, drug(cohort="theophylline"))
    withdraw(clinic, [run.id], who="test", reason={"fr": "Essai.", "en": "A trial."})
    assert {row["status"].value for row in estimates(clinic).iter_dicts()} == {f"{ID}result-status/withdrawn"}
