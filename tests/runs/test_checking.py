"""Every prediction of a large run is checked before it is committed: what is wrong with one of them is found."""

import pytest

from pepr_kg.errors import ValidationRefused
from pepr_kg.namespaces import ID, MODELS_GRAPH, PEPR, RUN
from pepr_kg.runs import checking
from pepr_kg.runs.checking import check_run
from pepr_kg.runs.evaluation import Run, evaluate
from pepr_kg.store import Dataset, Literal, NamedNode, Quad
from pepr_kg.validation import Report
from tests.runs.clinic import drug, renal
from tests.runs.graphs import add_turtle

XSD = "http://www.w3.org/2001/XMLSchema#"


def checked(dataset: Dataset, run: Run, *, sampled: bool = False) -> Report:
    return check_run(dataset.view(), NamedNode(RUN + run.id), predictions=run.predictions, sampled=sampled)


def replaced(dataset: Dataset, run: Run, subject: str, term: str, value: Literal | NamedNode | None) -> None:
    """Give something in the graph of a run one other value, or none."""
    graph, node, predicate = NamedNode(RUN + run.id), NamedNode(subject), NamedNode(PEPR + term)
    with dataset.change(who="test", source="test") as change:
        change.remove(list(dataset.view().quads(node, predicate, graph=graph)))
        if value is not None:
            change.add([Quad(node, predicate, value, graph)])
        change.commit()


def test_what_is_sound_is_not_complained_about(clinic: Dataset) -> None:
    plain = evaluate(clinic, renal(scenarios=("base", "scr_mg_dL*1.5")), specimen=2)
    report = checked(clinic, plain)
    assert report.conforms
    assert not report.findings
    assert report.queries == 18
    drawn = evaluate(clinic, drug(samples=20, at=(6.0,), fit=False), specimen=1)
    assert checked(clinic, drawn, sampled=True).conforms


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("numericValue", None),
        ("unitCode", None),
        ("atTime", None),
        ("timeUnitCode", None),
        ("predictedFor", None),
        ("predictedVariable", None),
        ("underScenario", None),
    ],
)
def test_a_prediction_that_lacks_something_or_has_it_wrong_is_found(
    clinic: Dataset, term: str, value: Literal | None
) -> None:
    run = evaluate(clinic, renal())
    replaced(clinic, run, f"{ID}prediction/{run.id}-4-0-0", term, value)
    report = checked(clinic, run)
    assert not report.conforms
    assert [(item.focus, item.shape.rpartition("/")[2]) for item in report.violations] == [
        (NamedNode(f"{ID}prediction/{run.id}-4-0-0"), "every-once")
    ]
    assert report.violations[0].message["en"] != report.violations[0].message["fr"]


@pytest.mark.parametrize(
    ("term", "value"),
    [("numericValue", Literal("60.5")), ("atTime", Literal("now")), ("predictedFor", Literal("2026"))],
)
def test_a_value_of_another_type_is_found(clinic: Dataset, term: str, value: Literal) -> None:
    run = evaluate(clinic, renal())
    replaced(clinic, run, f"{ID}prediction/{run.id}-0-0-0", term, value)
    (finding,) = checked(clinic, run).violations
    assert finding.shape.endswith("every-type")
    assert value.value in finding.message["fr"]


def test_millions_are_counted_without_holding_them(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluate(clinic, drug(samples=20, fit=False))
    monkeypatch.setattr(checking, "_MANY", 1)
    assert checked(clinic, run, sampled=True).conforms
    replaced(clinic, run, f"{ID}uncertainty/{run.id}-0-0-0", "intervalUpper", None)
    replaced(clinic, run, f"{ID}prediction/{run.id}-1-0-0", "unitCode", None)
    found = {item.focus.value.rpartition(run.id)[2] for item in checked(clinic, run, sampled=True).violations}
    assert found == {"-0-0-0", "-1-0-0"}


def test_a_prediction_with_two_values_is_found(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    add_turtle(clinic, f"<{ID}prediction/{run.id}-1-0-0> pepr:numericValue 12.5 .", RUN + run.id)
    (finding,) = checked(clinic, run).violations
    assert finding.focus == NamedNode(f"{ID}prediction/{run.id}-1-0-0")


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("unitCode", Literal("mL/min")),
        ("timeUnitCode", Literal("fortnight")),
        ("predictedVariable", NamedNode(f"{ID}variable/nothing")),
        ("underScenario", NamedNode(f"{ID}scenario/ckd-epi-2021.base")),
    ],
)
def test_what_the_graph_does_not_know_is_found(clinic: Dataset, term: str, value: Literal | NamedNode) -> None:
    """A unit that is not the variable's, a variable of no model, a scenario that the evaluation does not have."""
    run = evaluate(clinic, renal())
    replaced(clinic, run, f"{ID}prediction/{run.id}-4-0-0", term, value)
    (finding,) = checked(clinic, run).violations
    assert finding.shape.rpartition("/every-")[2] in {"variable", "timeUnit", "scenario"}
    shown = value.value if isinstance(value, Literal) else value.value.rpartition("/")[2]
    assert shown in finding.message["en"]
    assert shown in finding.message["fr"]


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("intervalLower", Literal("1000000.0", datatype=NamedNode(XSD + "decimal"))),
        ("intervalUpper", None),
        ("intervalLevel", Literal("90.0", datatype=NamedNode(XSD + "decimal"))),
        ("hasUncertaintySource", None),
    ],
)
def test_an_interval_that_is_none_is_found(clinic: Dataset, term: str, value: Literal | None) -> None:
    run = evaluate(clinic, drug(samples=20, fit=False))
    assert checked(clinic, run, sampled=True).conforms
    replaced(clinic, run, f"{ID}uncertainty/{run.id}-1-0-0", term, value)
    (finding,) = checked(clinic, run, sampled=True).violations
    assert finding.focus == NamedNode(f"{ID}prediction/{run.id}-1-0-0")
    assert finding.shape.endswith("every-interval")


def test_an_outcome_of_nobody_and_a_lost_prediction_are_found(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    replaced(clinic, run, f"{ID}evaluation-outcome/{run.id}-3", "outcomeFor", None)
    report = check_run(clinic.view(), NamedNode(RUN + run.id), predictions=run.predictions + 1, sampled=False)
    assert {item.shape.rpartition("/")[2] for item in report.violations} == {"every-once", "every-count"}
    assert "6 predictions were made, and 5 are in the graph." in report.to_text("en")


def test_a_large_run_whose_further_predictions_are_unsound_is_refused_and_nothing_of_it_stays(clinic: Dataset) -> None:
    """The graph says another unit of the variable than the file of the model, which no shape compares."""
    graph, node = NamedNode(MODELS_GRAPH), NamedNode(f"{ID}variable/ckd-epi-2021.egfr")
    with clinic.change(who="test", source="test") as change:
        change.remove(list(clinic.view().quads(node, NamedNode(f"{PEPR}unitCode"), graph=graph)))
        change.add([Quad(node, NamedNode(f"{PEPR}unitCode"), Literal("mL/min"), graph)])
        change.commit()
    before = clinic.view().version
    with pytest.raises(ValidationRefused) as refused:
        evaluate(clinic, renal(), specimen=2)
    report = refused.value.report
    assert isinstance(report, Report)
    assert "mL/min/{1.73_m2}" in report.to_text("fr")
    assert clinic.view().version == before
    assert not [path for path in (clinic.path / "runs").iterdir() if not path.name.startswith(".parts-")]
