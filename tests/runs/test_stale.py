"""Runs whose ground has changed are listed and withdrawn; nothing is erased, and a new run takes their place."""

import pytest

from pepr_kg.columns import select_columns
from pepr_kg.namespaces import ID, MODELS_GRAPH, PEPR, PREFIXES, RUN
from pepr_kg.resources import read_query
from pepr_kg.runs.errors import NotWithdrawn, UnknownRun
from pepr_kg.runs.evaluation import evaluate
from pepr_kg.runs.reading import read_band, read_run
from pepr_kg.runs.request import Request
from pepr_kg.runs.stale import stale_runs, withdraw
from pepr_kg.store import Dataset, Literal, NamedNode, Quad
from pepr_kg.validation import validate_graphs
from tests.runs.clinic import AS_OF, drug, iri, renal
from tests.runs.graphs import add_turtle, observed
from tests.runs.test_evaluation import change_value, one


def correct(dataset: Dataset, name: str = "p0", value: str = "200.0") -> None:
    """Supersede the creatinine of a patient by another."""
    add_turtle(
        dataset,
        f"observation:c-{name} pepr:hasResultStatus result-status:superseded .\n"
        + observed(f"c-{name}-2", name, "serum-creatinine", value, "umol/L", "2026-01-02",
                   f"prov:wasRevisionOf observation:c-{name}"),
    )  # fmt: skip


def replace_value(dataset: Dataset, subject: str, predicate: str, value: Literal | NamedNode) -> None:
    node, term = NamedNode(subject), NamedNode(predicate)
    (quad,) = dataset.view().quads(node, term)
    with dataset.change(who="test", source="test") as change:
        change.remove([quad])
        change.add([Quad(node, term, value, quad.graph_name)])
        change.commit()


def test_a_fresh_run_is_not_stale_and_stays_so_when_others_are_observed(clinic: Dataset) -> None:
    evaluate(clinic, renal())
    evaluate(clinic, drug(samples=5))
    assert stale_runs(clinic.view(), clinic.path) == ()
    add_turtle(clinic, observed("later", "p0", "serum-creatinine", "300.0", "umol/L", "2026-06-01"))
    assert stale_runs(clinic.view(), clinic.path) == ()


def test_a_superseded_observation_makes_its_runs_stale_and_no_other(clinic: Dataset) -> None:
    run, other = evaluate(clinic, renal()), evaluate(clinic, renal(entities=("patient:p1",)))
    correct(clinic)
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert (found.run, found.causes) == (run.id, {"observation-superseded": (f"{ID}observation/c-p0",)})
    assert found.reason("en") != found.reason("fr")
    assert stale_runs(clinic.view(), clinic.path, [other.id]) == ()


@pytest.mark.parametrize(("predicate", "value"), [
    (PEPR + "numericValue", Literal("71", datatype=NamedNode(PREFIXES["xsd"] + "decimal"))),
    (PEPR + "unitCode", Literal("mg/dL")),
    (PEPR + "observedAt", Literal("2026-01-03", datatype=NamedNode(PREFIXES["xsd"] + "date"))),
    (PREFIXES["sosa"] + "hasFeatureOfInterest", NamedNode(iri("p5"))),
])  # fmt: skip
def test_an_observation_that_was_edited_makes_its_runs_stale(
    clinic: Dataset, predicate: str, value: Literal | NamedNode
) -> None:
    run = evaluate(clinic, renal())
    replace_value(clinic, f"{ID}observation/c-p0", predicate, value)
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert (found.run, found.causes) == (run.id, {"observation-changed": (f"{ID}observation/c-p0",)})


def test_a_fact_of_a_patient_and_an_observation_that_is_gone_count_too(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    born = Literal("1951-03-15", datatype=NamedNode(PREFIXES["xsd"] + "date"))
    replace_value(clinic, iri("p0"), PEPR + "birthDate", born)
    with clinic.change(who="test", source="test") as change:
        change.remove(list(clinic.view().quads(NamedNode(f"{ID}observation/c-p1"))))
        change.commit()
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert found.run == run.id
    assert found.causes == {"observation-changed": (iri("p0"),), "observation-gone": (f"{ID}observation/c-p1",)}


def test_observations_and_doses_behind_a_fit_count_too(clinic: Dataset) -> None:
    run = evaluate(clinic, drug(samples=5))
    change_value(clinic, "t-q0-10", "7.0")
    assert stale_runs(clinic.view(), clinic.path)[0].causes == {"observation-changed": (f"{ID}observation/t-q0-10",)}
    change_value(clinic, "t-q0-10", "6.5")
    assert stale_runs(clinic.view(), clinic.path) == (), "put back as it was"
    replace_value(
        clinic, f"{ID}administration/d-q1", PEPR + "numericValue",
        Literal("5", datatype=NamedNode(PREFIXES["xsd"] + "decimal")),
    )  # fmt: skip
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert (found.run, found.causes) == (run.id, {"observation-changed": (f"{ID}administration/d-q1",)})


def test_a_model_whose_meaning_was_changed_makes_its_runs_stale(clinic: Dataset) -> None:
    run, other = evaluate(clinic, renal()), evaluate(clinic, drug())
    add_turtle(clinic, "variable:ckd-epi-2021.scr_mg_dL pepr:upperBound 1000.0 .", MODELS_GRAPH)
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert (found.run, found.causes) == (run.id, {"meaning-changed": (f"{ID}model/ckd-epi-2021",)})
    assert found.run != other.id


def test_a_withdrawn_run_keeps_its_figures_and_says_why_in_both_languages(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    before = len(list(clinic.view().quads(graph=NamedNode(RUN + run.id))))
    correct(clinic)
    taken = withdraw(clinic, [run.id], who="test")
    view = clinic.view()
    assert taken.view is view
    facts = read_run(view, clinic.path, run.id)
    assert facts.result_status == "withdrawn"
    assert set(facts.withdrawal) == {"en", "fr"}
    assert facts.withdrawn_because == (f"{ID}observation/c-p0",)
    for node in (f"{ID}prediction/{run.id}-0-0-0", f"{ID}trajectory/{run.id}-0"):
        assert one(view, node, "hasResultStatus") == [f"{ID}result-status/withdrawn"]
    assert len(list(view.quads(graph=NamedNode(RUN + run.id)))) == before - 1 + taken.triples
    assert validate_graphs(view, [NamedNode(RUN + run.id)]).conforms
    assert read_band(clinic.path, run.id, "patient:p0") is not None
    assert stale_runs(view, clinic.path) == ()
    with pytest.raises(NotWithdrawn):
        withdraw(clinic, [run.id], who="test")


def test_a_new_run_takes_the_place_of_one_that_was_withdrawn(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    correct(clinic)
    withdraw(clinic, [run.id], who="test")
    again = evaluate(clinic, renal())
    assert (again.reused, again.replaces) == (False, (run.iri,))
    facts = read_run(clinic.view(), clinic.path, run.id)
    assert (facts.replaced_by, facts.result_status) == ((again.iri,), "withdrawn")
    band, old = (read_band(clinic.path, name, "patient:p0") for name in (again.id, run.id))
    assert band is not None
    assert old is not None
    assert band.data.item() < old.data.item() / 2


def test_a_new_run_supersedes_one_whose_ground_has_changed(clinic: Dataset) -> None:
    run, other = evaluate(clinic, renal()), evaluate(clinic, renal(seed=9))
    correct(clinic)
    again = evaluate(clinic, renal())
    assert again.replaces == (run.iri,), "the same question, not the one with another seed"
    view = clinic.view()
    assert read_run(view, clinic.path, run.id).result_status == "superseded"
    assert one(view, f"{ID}prediction/{run.id}-0-0-0", "hasResultStatus") == [f"{ID}result-status/superseded"]
    assert read_run(view, clinic.path, again.id).result_status == "current"
    assert [item.run for item in stale_runs(view, clinic.path)] == [other.id]
    assert validate_graphs(view, [NamedNode(RUN + run.id), NamedNode(RUN + again.id)]).conforms


def test_a_run_that_still_holds_is_replaced_by_nothing(clinic: Dataset) -> None:
    evaluate(clinic, renal())
    assert evaluate(clinic, renal(horizon=0.5)).replaces == ()


def test_a_correction_that_is_taken_back_gets_a_run_of_its_own(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    change_value(clinic, "c-p0", "200.0")
    withdraw(clinic, [run.id], who="test")
    change_value(clinic, "c-p0", "70.5")
    again = evaluate(clinic, renal())
    assert (again.reused, again.id, again.key) == (False, f"{run.id}-2", run.key)
    assert again.replaces == (run.iri,)


def test_a_reason_of_ones_own_withdraws_what_nothing_has_made_stale(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    with pytest.raises(NotWithdrawn) as caught:
        withdraw(clinic, [run.id], who="test")
    assert "(état : en vigueur)" in caught.value.message("fr").replace("\u202f", " ").replace("\xa0", " ")
    with pytest.raises(UnknownRun):
        withdraw(clinic, ["0123456789abcdef"], who="test")
    withdraw(clinic, [run.id], who="test", reason={"en": "A mistake.", "fr": "Une erreur."})
    assert read_run(clinic.view(), clinic.path, run.id).withdrawal == {"en": "A mistake.", "fr": "Une erreur."}
    assert validate_graphs(clinic.view(), [NamedNode(RUN + run.id)]).conforms


def test_a_result_that_is_a_text_is_compared_as_one(clinic: Dataset) -> None:
    plain = observed("s-p0", "p0", "serum-creatinine", "1.0", None, "2026-01-02")
    add_turtle(clinic, plain.replace("pepr:numericValue 1.0", 'sosa:hasSimpleResult "former smoker"'))
    run, name = NamedNode(f"{ID}evaluation/e"), NamedNode(f"{ID}observation/s-p0")
    view = clinic.view().plus([Quad(run, NamedNode(PREFIXES["prov"] + "used"), name, NamedNode(RUN + "e"))])
    table = select_columns(view, read_query("runs/used-today"), {"evaluation": run})
    assert table["result"].to_pylist() == ["former smoker"]


def test_a_binding_of_a_twins_own_that_was_changed_makes_its_runs_stale(clinic: Dataset) -> None:
    own = f"{ID}binding/own.p0"
    add_turtle(
        clinic,
        """
twin:p0 a pepr:DigitalTwin ; pepr:twinOf patient:p0 ; pepr:usesModel model:pk2-oral ; pepr:hasBinding binding:own.p0 .
binding:own.p0 a pepr:Binding ; pepr:binds parameter:pk2-oral.CL ; pepr:boundValue 5.0 ; pepr:unitCode "L/h" .
""",
    )
    run = evaluate(clinic, Request("pk2-oral", entities=("patient:p0", "patient:p1"), as_of=AS_OF))
    assert stale_runs(clinic.view(), clinic.path) == ()
    replace_value(clinic, own, PEPR + "boundValue", Literal("9.0", datatype=NamedNode(PREFIXES["xsd"] + "decimal")))
    (found,) = stale_runs(clinic.view(), clinic.path)
    assert (found.run, found.causes) == (run.id, {"observation-changed": (iri("p0"),)})
