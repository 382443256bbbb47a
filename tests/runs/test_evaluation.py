"""From a question to a run: what stands in the graph, what does not, what is said when it cannot be."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pyarrow import parquet

from pepr_kg.errors import PeprError, ValidationRefused
from pepr_kg.namespaces import ID, PEPR, PREFIXES, RUN
from pepr_kg.runs import blocks, errors
from pepr_kg.runs.errors import (
    BadExpression,
    BadRequestField,
    InputsChanging,
    NotAnswerable,
    RunCancelled,
    RunError,
    UnknownCohort,
    UnknownEntity,
    UnknownScenario,
)
from pepr_kg.runs.evaluation import Progress, Run, evaluate, find_run, preview
from pepr_kg.runs.reading import outcomes, read_band, read_run, runs_of
from pepr_kg.runs.request import Request
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, Literal, NamedNode, Quad, Table, View
from pepr_kg.twin import evaluate as evaluate_twin
from pepr_kg.twin import fit, load_model
from pepr_kg.twin.cohort import Cohort
from pepr_kg.twin.errors import EmptyCohort, UnknownModel, UnknownSymbol
from pepr_kg.twin.estimation.variation import vary
from pepr_kg.validation import Finding, Report, validate_graphs
from tests.runs.clinic import AS_OF, CREATININE, SEEN, drug, iri, renal
from tests.runs.graphs import add_turtle, patient

P = "PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/> PREFIX prov: <http://www.w3.org/ns/prov#> "


def ask(view: View, pattern: str) -> Table:
    return view.select(f"{P} SELECT * WHERE {{ {pattern} }}")


def one(view: View, subject: str, term: str) -> list[str]:
    predicate = NamedNode(term if "://" in term else PEPR + term)
    return sorted(str(getattr(quad.object, "value", "")) for quad in view.quads(NamedNode(subject), predicate))


def egfr(name: str) -> float:
    """What the evaluator itself says of a patient."""
    age = float(AS_OF.year - 1950 - int(name[1:]))
    sex = "male" if int(name[1:]) % 2 else "female"
    scr = float(CREATININE[name]) * 113.12 / 1e4  # umol/L to mg/dL by the molar mass of creatinine
    found = evaluate_twin(load_model("ckd-epi-2021"), {"age_a": age, "sex": sex, "scr_mg_dL": scr})
    return float(found.values("egfr").item())


# ---- What stands in the graph ----------------------------------------------------------------------------------------


def test_each_patient_has_a_prediction_with_unit_time_scenario_and_origin(clinic: Dataset) -> None:
    run = evaluate(clinic, renal(who="Camille"))
    view = clinic.view()
    for place, name in enumerate(("p0", "p1", "p2", "p3", "p4", "p5")):
        node = f"{ID}prediction/{run.id}-{place}-0-0"
        if name == "p3":
            assert not one(view, node, "numericValue")
            continue
        assert float(one(view, node, "numericValue")[0]) == pytest.approx(egfr(name), rel=1e-11)
        assert one(view, node, PREFIXES["sosa"] + "hasFeatureOfInterest") == [iri(name)]
        assert one(view, node, "predictedVariable") == [f"{ID}variable/ckd-epi-2021.egfr"]
        assert one(view, node, "unitCode") == ["mL/min/{1.73_m2}"]
        assert one(view, node, "timeUnitCode") == ["a"]
        assert one(view, node, "underScenario") == [f"{ID}scenario/{run.id}-0"]
        assert one(view, node, PREFIXES["prov"] + "wasGeneratedBy") == [run.iri]
        assert not one(view, node, "hasUncertainty"), "one sample has no interval"
    assert (run.patients, run.evaluated, run.predictions, run.status) == (6, 5, 5, "finished")


def test_a_run_states_model_inputs_conversions_settings_software_and_who_asked(clinic: Dataset) -> None:
    run = evaluate(clinic, renal(who="Camille Dupont", seed=7))
    view = clinic.view()
    facts = read_run(view, clinic.path, run.id)
    assert facts.model == f"{ID}model/ckd-epi-2021"
    assert facts.model_digest.startswith("sha256:")
    assert (facts.seed, facts.samples, facts.fitted, facts.rtol) == (7, 1, False, 1e-6)
    assert facts.software.startswith("pepr_kg ")
    assert facts.as_of == "2026-03-15T00:00:00Z"
    assert facts.evaluates == (f"{ID}cohort/test",)
    assert one(view, facts.asked_by, PREFIXES["rdfs"] + "label") == ["Camille Dupont"]
    assert facts.solvers, "the method is named by a term of KiSAO"
    used = one(view, run.iri, PREFIXES["prov"] + "used")
    assert used == sorted([f"{ID}model/ckd-epi-2021", *(f"{ID}observation/c-{name}" for name in CREATININE)])
    (conversion,) = one(view, run.iri, "hasUnitConversion")
    assert one(view, conversion, "sourceUnitCode") + one(view, conversion, "targetUnitCode") == ["umol/L", "mg/dL"]
    assert one(view, conversion, "conversionCount") == ["5"]
    assert one(view, conversion, "converts") == [f"{ID}variable/ckd-epi-2021.scr_mg_dL"]
    assert float(one(view, conversion, "conversionFactor")[0]) == pytest.approx(0.0113, rel=1e-2)
    bound = ask(view, f"<{run.iri}> pepr:hasResolvedBinding ?b . ?b pepr:fromObservation ?o ; pepr:usedValue ?v")
    assert len(bound) == 5
    assert {str(text) for text in facts.labels} == {"en", "fr"}


def test_who_was_set_aside_is_named_with_what_is_lacking_and_why_in_both_languages(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    (aside,) = outcomes(clinic.view(), run.id)
    assert (aside.entity, aside.outcome) == (iri("p3"), "binding-missing")
    assert set(aside.reasons) == {"en", "fr"}
    assert aside.reasons["en"] != aside.reasons["fr"]
    lacking = ask(clinic.view(), f"<{run.iri}> pepr:hasOutcome ?o . ?o pepr:lacksElement ?element")
    assert [row["element"].value for row in lacking.iter_dicts()] == [f"{ID}variable/ckd-epi-2021.scr_mg_dL"]
    assert run.outcomes == {"evaluated": 5, "binding-missing": 1}


def test_the_graph_rounds_to_twelve_digits_what_the_file_holds_exactly(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    band = read_band(clinic.path, run.id, "patient:p0")
    assert band is not None
    exact = float(band.data[0, 0, 0, -1])
    written = one(clinic.view(), f"{ID}prediction/{run.id}-0-0-0", "numericValue")[0]
    assert float(written) == float(f"{exact:.12g}")
    assert exact == pytest.approx(egfr("p0"), rel=1e-14)


def test_times_asked_for_are_shown_beside_the_horizon_and_dated(clinic: Dataset) -> None:
    run = evaluate(clinic, drug(at=(6.0,), fit=False))
    view = clinic.view()
    at = {
        row["t"].value: row["d"].value
        for row in ask(view, f"?p prov:wasGeneratedBy <{run.iri}> ; pepr:atTime ?t ; pepr:predictedFor ?d").iter_dicts()
    }
    assert at == {"6": "2026-02-01T14:00:00Z", "24": "2026-02-02T08:00:00Z"}  # the clock starts with the first dose
    times = ask(view, f"?t a pepr:Trajectory ; prov:wasGeneratedBy <{run.iri}> ; pepr:gridCount ?n ; pepr:gridStep ?s")
    assert [(row["n"].value, row["s"].value) for row in times.iter_dicts()] == [("5", "6")]
    odd = evaluate(clinic, drug(at=(7.0,), fit=False))
    column = ask(clinic.view(), f"?t a pepr:Trajectory ; prov:wasGeneratedBy <{odd.iri}> ; pepr:timeColumn ?c")
    assert [row["c"].value for row in column.iter_dicts()] == ["time"]


def test_several_values_are_read_by_a_patient_and_runs_are_found_by_one(clinic: Dataset) -> None:
    run = evaluate(clinic, drug(samples=20))
    band = read_band(clinic.path, run.id, iri("q0"))
    assert band is not None
    assert band.statistics == ("mean", "q05", "q50", "q95")
    assert band.data.shape == (4, 1, 1, 5)
    assert (band.units, band.time_unit, band.states) == (("mg/L",), "h", ("evaluated",))
    assert band.lower is not None
    assert band.upper is not None
    assert (band.data[band.lower] <= band.data[band.middle]).all()
    assert (band.data[band.middle] <= band.data[band.upper]).all()
    assert [item.id for item in runs_of(clinic.view(), "patient:q0")] == [run.id]
    assert read_band(clinic.path, run.id, "patient:p0") is None


# ---- Same question, same answer --------------------------------------------------------------------------------------


def test_the_same_question_is_answered_by_the_same_run(clinic: Dataset) -> None:
    first = evaluate(clinic, renal())
    before = clinic.view().version
    again = evaluate(clinic, renal())
    assert (first.reused, again.reused) == (False, True)
    assert (again.id, again.outcomes) == (first.id, first.outcomes)
    assert clinic.view().version == before
    found = find_run(clinic.view(), clinic.path, renal())
    assert found is not None
    assert found.id == first.id
    assert find_run(clinic.view(), clinic.path, renal(seed=1)) is None
    assert evaluate(clinic, renal(as_of=AS_OF + timedelta(days=1))).id != first.id
    assert evaluate(clinic, renal(entities=("patient:p1",))).id != first.id


def test_a_patients_draws_do_not_depend_on_who_else_is_evaluated(clinic: Dataset) -> None:
    question = drug(samples=30, seed=3, scenarios=("base", "dose_mg_per_kg*2"))
    everybody = preview(clinic.view(), clinic.path, question)
    alone = preview(clinic.view(), clinic.path, replace(question, entities=("patient:q1",)))
    assert alone.patients == (iri("q1"),)
    assert (alone.data[:, :, 0] == everybody.data[:, :, 1]).all()


def test_blocks_of_any_size_give_the_same_figures(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    question = drug(samples=30, seed=3, scenarios=("base", "dose_mg_per_kg*2"))
    whole = preview(clinic.view(), clinic.path, question)
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)
    assert (preview(clinic.view(), clinic.path, question).data == whole.data).all()


# ---- What the evaluator says -----------------------------------------------------------------------------------------


def test_a_fit_from_the_graph_is_the_fit_of_the_evaluator(clinic: Dataset) -> None:
    seen = preview(clinic.view(), clinic.path, drug())
    prepared = seen.prepared
    given = prepared.given[0]
    observations = given.resolved.observations
    assert observations is not None
    assert [int(count) for count in observations.present.sum(axis=0)] == [2, 2, 2, 0]
    model = prepared.plan.model
    found = fit(model, observations, inputs={"dose_mg_per_kg": 4.0}, residuals=given.registered.residuals)
    expected = evaluate_twin(model, found, times=prepared.plan.grid, outputs=["conc"]).values("conc")
    assert seen.fitted
    np.testing.assert_allclose(seen.values("conc")[:, 0], expected[:, 0, 0], rtol=1e-9)
    plain = preview(clinic.view(), clinic.path, drug(fit=False))
    assert not plain.fitted
    assert not np.allclose(plain.values("conc")[:3], seen.values("conc")[:3])
    np.testing.assert_allclose(plain.values("conc")[3], seen.values("conc")[3], rtol=1e-6)  # nothing was seen of q3
    assert abs(seen.values("conc")[0, 0, 2] - SEEN["q0"][1]) < abs(plain.values("conc")[0, 0, 2] - SEEN["q0"][1])


def test_quantiles_are_those_of_the_draws(clinic: Dataset) -> None:
    seen = preview(clinic.view(), clinic.path, drug(samples=40, level=0.8, fit=False, seed=3))
    plan = seen.prepared.plan
    cohort = Cohort(seen.patients, {"dose_mg_per_kg": np.full(4, 4.0)})
    draws = vary(plan.model, cohort, samples=40, seed=3, spread=plan.priors)
    every = evaluate_twin(plan.model, cohort, times=plan.grid, samples=40, outputs=["conc"], draws=draws).values("conc")
    assert seen.statistics == ("mean", "q10", "q50", "q90")
    np.testing.assert_allclose(seen.values("conc", "mean"), every.mean(axis=2), rtol=1e-12)
    for name, level in (("q10", 0.1), ("q50", 0.5), ("q90", 0.9)):
        np.testing.assert_allclose(seen.values("conc", name), np.quantile(every, level, axis=2), rtol=1e-12)


def test_a_draw_that_failed_does_not_count() -> None:
    data = np.random.default_rng(5).lognormal(size=(3, 2, 41))
    failed = np.zeros(data.shape, bool)
    failed[0, 0, :20] = True
    count = np.asarray(np.sum(~failed, axis=-1), np.int32)
    got = blocks.summaries(data, failed, count, (0.1, 0.5, 0.9))
    left = np.where(failed, np.nan, data)
    np.testing.assert_allclose(got[0], np.nanmean(left, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(got[1:], np.nanquantile(left, (0.1, 0.5, 0.9), axis=-1), rtol=1e-12)
    whole = blocks.summaries(data, np.zeros_like(failed), np.full(count.shape, 41, np.int32), (0.1, 0.5, 0.9))
    assert (whole[:, 1:] == got[:, 1:]).all(), "to the last bit, whatever fails beside it"


def test_uncertainty_stands_in_the_graph_where_there_are_draws(clinic: Dataset) -> None:
    run = evaluate(clinic, drug(samples=25))
    rows = ask(
        clinic.view(),
        f"?p prov:wasGeneratedBy <{run.iri}> ; pepr:numericValue ?v ; pepr:hasUncertainty ?u . "
        "?u pepr:intervalLower ?l ; pepr:intervalUpper ?h ; pepr:intervalLevel ?level ; "
        "pepr:hasUncertaintySource ?source",
    )
    assert len(rows) == 4
    for row in rows.iter_dicts():
        assert float(row["l"].value) <= float(row["v"].value) <= float(row["h"].value)
        assert (row["level"].value, row["source"].value) == ("0.9", f"{ID}uncertainty-source/parameter")


def test_scenarios_are_written_as_they_were_asked(clinic: Dataset) -> None:
    run = evaluate(clinic, renal(scenarios=("base", "older: age_a+10", "scr_mg_dL*2")))
    view = clinic.view()
    facts = read_run(view, clinic.path, run.id)
    assert [(item.kind, item.labels["en"]) for item in facts.scenarios] == [
        ("base", "base"), ("what-if", "older"), ("what-if", "scr_mg_dL*2")]  # fmt: skip
    assert facts.scenarios[0].labels["fr"] == "référence"
    (change,) = one(view, facts.scenarios[1].iri, "hasIntervention")
    assert one(view, change, "intervenesOn") == [f"{ID}variable/ckd-epi-2021.age_a"]
    assert one(view, change, "numericValue") + one(view, change, "unitCode") == ["10", "a"]
    assert one(view, change, "hasInterventionKind") == [f"{ID}intervention-kind/add"]
    assert one(view, facts.scenarios[1].iri, "comparedWith") == [facts.scenarios[0].iri]
    alone = evaluate(clinic, renal(scenarios=("age_a+10",)))
    (what_if,) = one(clinic.view(), alone.iri, "underScenario")
    assert one(clinic.view(), what_if, "comparedWith") == [f"{ID}scenario/{alone.id}-base"]


def test_a_scenario_of_the_model_keeps_its_own_iri(clinic: Dataset) -> None:
    declared = {
        row["s"].value
        for row in ask(clinic.view(), "?m pepr:hasScenario ?s . ?s pepr:hasIntervention ?i").iter_dicts()
    }  # fmt: skip
    of_drug = sorted(item for item in declared if "/theophylline." in item)
    if not of_drug:
        pytest.skip("the model declares no what-if scenario")
    short = of_drug[0].replace(f"{ID}scenario/", "scenario:")
    run = evaluate(clinic, drug(scenarios=("base", short)))
    assert of_drug[0] in {item.iri for item in read_run(clinic.view(), clinic.path, run.id).scenarios}


def test_who_is_taken_out_of_bounds_by_a_scenario_loses_that_scenario_alone(clinic: Dataset) -> None:
    run = evaluate(clinic, renal(scenarios=("base", "far: scr_mg_dL-0.8")))  # p0 has 0.797
    first = read_band(clinic.path, run.id, "patient:p0")
    second = read_band(clinic.path, run.id, "patient:p1")
    assert first is not None
    assert second is not None
    assert (first.states, second.states) == (("evaluated", "outside-validity"), ("evaluated", "evaluated"))
    assert np.isfinite(first.data[0, 0, 0]).all()
    assert np.isnan(first.data[0, 0, 1]).all()
    said = {aside.entity: aside for aside in outcomes(clinic.view(), run.id)}
    assert said[iri("p0")].outcome == "outside-validity"
    assert "far" in said[iri("p0")].reasons["en"]
    assert "« far »" in said[iri("p0")].reasons["fr"]


def test_two_coupled_models_are_evaluated_on_patients_of_the_graph(clinic: Dataset) -> None:
    question = Request("two-scale-coupled", entities=("patient:p0", "patient:p1"), as_of=AS_OF)
    run = evaluate(clinic, question)
    assert (run.status, run.evaluated) == ("finished", 2)
    facts = read_run(clinic.view(), clinic.path, run.id)
    assert facts.evaluates == (iri("p0"), iri("p1"))
    used = one(clinic.view(), run.iri, PREFIXES["prov"] + "used")
    assert {f"{ID}model/two-scale-{part}" for part in ("coupled", "fast", "slow")} <= set(used)
    with pytest.raises(NotAnswerable, match="one sample"):
        evaluate(clinic, replace(question, samples=2))


def test_a_model_whose_time_is_the_age_starts_at_each_ones_age(clinic: Dataset) -> None:
    seen = preview(
        clinic.view(),
        clinic.path,
        Request("disease-course", entities=("patient:p0", "patient:p1"), as_of=AS_OF, horizon=5.0),
    )
    if not len(seen.patients):
        pytest.skip("the model asks for a condition that these patients do not have")
    assert seen.times[:, 0].tolist() == [76.0, 75.0]
    assert seen.times[0, -1] == 81.0


def test_a_preview_writes_nothing(clinic: Dataset) -> None:
    before = clinic.view().version
    seen = preview(clinic.view(), clinic.path, renal())
    assert seen.values("egfr")[0, 0, 0] == pytest.approx(egfr("p0"), rel=1e-12)
    assert [(item.entity, item.outcome) for item in seen.aside] == [(iri("p3"), "binding-missing")]
    assert clinic.view().version == before
    assert not (clinic.path / "runs").exists()


# ---- What may not be ------------------------------------------------------------------------------------------------


def test_nobody_unknown_people_and_unknown_names_are_refused(clinic: Dataset) -> None:
    add_turtle(clinic, 'cohort:empty a pepr:Cohort ; rdfs:label "Vide"@fr , "Empty"@en .')
    for question, error in (
        (renal(cohort="empty"), EmptyCohort),
        (renal(cohort="nowhere"), UnknownCohort),
        (renal(cohort=None), EmptyCohort),
        (renal(cohort=None, entities=("patient:ghost",)), UnknownEntity),
        (renal(model="ckd"), UnknownModel),
        (renal(outputs=("gfr",)), UnknownSymbol),
        (drug(outputs=("lka",)), NotAnswerable),
        (renal(scenarios=("scenario:ckd-epi-2021.none",)), UnknownScenario),
        (renal(scenarios=("age_a",)), BadExpression),
        (renal(scenarios=("a: age_a+1", "a: age_a+2")), BadExpression),
        (renal(scenarios=("agee+1",)), UnknownSymbol),
        (renal(at=(50.0,), horizon=1.0), BadRequestField),
        (renal(samples=5), NotAnswerable),
        (renal(fit=True), NotAnswerable),
    ):
        with pytest.raises(error) as raised:
            evaluate(clinic, question)
        assert isinstance(raised.value, PeprError)
        assert raised.value.message("fr") != raised.value.message("en")
    assert not any(graph.value.startswith(RUN) for graph in clinic.view().graphs)


@pytest.mark.parametrize("change", [
    {"samples": 0}, {"points": 0}, {"level": 1.0}, {"rtol": 0.0}, {"horizon": -1.0}, {"at": (float("nan"),)},
    {"model": " "}, {"seed": -1}, {"level": 0.9999999}, {"level": 0.0000001}, {"who": "a\ud800"},
    {"entities": ("patient:\ud800",)}, {"scenarios": ("\ud800",)}, {"cohort": "\ud800"},
])  # fmt: skip
def test_a_question_that_cannot_be_is_refused_when_it_is_made(change: Mapping[str, object]) -> None:
    with pytest.raises(BadRequestField):
        renal(**change)


def test_every_failure_of_runs_speaks_both_languages() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RunError)]
    assert len(kinds) > 10
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert set(kind.titles) == set(kind.sentences) == {"en", "fr"}


def test_where_everybody_is_set_aside_the_run_says_so_and_predicts_nothing(clinic: Dataset) -> None:
    run = evaluate(clinic, renal(entities=("patient:p3",)))
    assert (run.status, run.evaluated, run.predictions) == ("failed", 0, 0)
    assert read_run(clinic.view(), clinic.path, run.id).run_status == "failed"
    assert parquet.read_table(run.folder / "trajectories.parquet").num_rows == 0
    assert [aside.outcome for aside in outcomes(clinic.view(), run.id)] == ["binding-missing"]
    assert evaluate(clinic, renal(entities=("patient:p3",))).reused


def test_a_run_that_breaks_a_shape_is_refused_and_nothing_of_it_stays(clinic: Dataset) -> None:
    before = clinic.view().version

    def refuse(view: View, graphs: Sequence[NamedNode]) -> Report:
        report = validate_graphs(view, graphs)
        assert report.conforms
        finding = Finding(
            graphs[0], "", None, "violation", {"en": "no", "fr": "non"}, {"en": "", "fr": ""}, "", "", "shape"
        )
        return replace(report, findings=(finding,))

    with pytest.raises(ValidationRefused):
        evaluate(clinic, renal(), validate=refuse)
    assert clinic.view().version == before
    assert not [path for path in (clinic.path / "runs").iterdir() if not path.name.startswith(".parts-")]


def test_of_a_large_run_a_specimen_is_validated_and_all_is_written(clinic: Dataset) -> None:
    seen: list[int] = []

    def count(view: View, graphs: Sequence[NamedNode]) -> Report:
        seen.append(sum(1 for _ in view.quads(graph=graphs[0])))
        return validate_graphs(view, graphs)

    run = evaluate(clinic, renal(), specimen=2, validate=count)
    assert run.specimen == 2
    assert seen[0] < run.triples, "two patients' predictions, not five"
    assert len(list(clinic.view().quads(graph=NamedNode(RUN + run.id)))) == run.triples
    assert validate_graphs(clinic.view(), [NamedNode(RUN + run.id)]).conforms
    assert run.predictions == 5


# ---- Stopped, at once, meanwhile -------------------------------------------------------------------------------------


def test_a_cancelled_run_leaves_nothing_and_goes_on_where_it_stopped(
    clinic: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)
    before = clinic.view().version
    told: list[Progress] = []
    with pytest.raises(RunCancelled, match="2 of 5"):
        evaluate(clinic, renal(), tell=told.append, cancelled=lambda: told[-1].done >= 2)
    assert clinic.view().version == before
    (parts,) = (clinic.path / "runs").iterdir()
    assert len(list(parts.glob("*.parquet"))) == 2
    again: list[Progress] = []
    run = evaluate(clinic, renal(), tell=again.append)
    assert [item.reused for item in again if item.stage == "compute"][-1] == 2
    assert run.evaluated == 5
    assert [path.name for path in (clinic.path / "runs").iterdir()] == [run.id]
    assert parquet.ParquetFile(run.folder / "trajectories.parquet").num_row_groups == 5


def test_progress_counts_patients_and_names_the_stages(clinic: Dataset) -> None:
    told: list[Progress] = []
    run = evaluate(clinic, renal(), tell=told.append)
    assert list(dict.fromkeys(item.stage for item in told)) == ["resolve", "compute", "assemble", "write", "validate"]
    assert [(item.done, item.total) for item in told if item.stage == "compute"] == [(0, 5), (5, 5)]
    assert set(run.seconds) == {item.stage for item in told}


def test_two_at_once_with_one_question_write_one_run(clinic: Dataset) -> None:
    runs: list[Run] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        runs.append(evaluate(Dataset(clinic.path), renal()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.id for run in runs}) == 1
    assert sorted(run.reused for run in runs) == [False, True]
    assert [graph.value for graph in clinic.view().graphs if graph.value.startswith(RUN)] == [RUN + runs[0].id]
    assert [path.name for path in (clinic.path / "runs").iterdir()] == [runs[0].id]


def test_a_run_waits_for_another_writer_and_gives_up_after_a_while(clinic: Dataset) -> None:
    short = Settings(run_wait_seconds=0.2)
    with clinic.change(who="other", source="test"), pytest.raises(PeprError, match="Another process"):
        evaluate(Dataset(clinic.path), renal(), settings=short)
    holding = clinic.change(who="other", source="test")
    threading.Timer(0.5, holding.drop).start()
    assert evaluate(Dataset(clinic.path), renal()).evaluated == 5


def test_what_is_corrected_while_a_run_is_computed_is_computed_again(clinic: Dataset) -> None:
    corrected = False

    def correct(progress: Progress) -> None:
        nonlocal corrected
        if progress.stage == "assemble" and not corrected:
            corrected = True
            change_value(Dataset(clinic.path), "c-p0", "200.0")

    run = evaluate(clinic, renal(), tell=correct)
    band = read_band(clinic.path, run.id, "patient:p0")
    assert band is not None
    assert band.data[0, 0, 0, -1] < egfr("p0") / 2
    assert len([path for path in (clinic.path / "runs").iterdir() if not path.name.startswith(".")]) == 1

    def spoil(progress: Progress) -> None:
        if progress.stage == "assemble":
            change_value(Dataset(clinic.path), "c-p1", f"{np.random.default_rng().uniform(50, 150):.6f}")

    with pytest.raises(InputsChanging):
        evaluate(clinic, renal(seed=5), tell=spoil)


def test_what_others_write_meanwhile_does_not_matter(clinic: Dataset) -> None:
    told: list[str] = []

    def disturb(progress: Progress) -> None:
        if progress.stage == "assemble" and "assemble" not in told:
            add_turtle(Dataset(clinic.path), patient("stranger").replace("cohort:test", "cohort:other"), "urn:other")
        told.append(progress.stage)

    run = evaluate(clinic, renal(), tell=disturb)
    assert run.evaluated == 5
    assert told.count("compute") == 2, "it was computed once"


def change_value(dataset: Dataset, observation: str, value: str) -> None:
    node, predicate = NamedNode(f"{ID}observation/{observation}"), NamedNode(f"{PEPR}numericValue")
    decimal = NamedNode(PREFIXES["xsd"] + "decimal")
    with dataset.change(who="test", source="test") as change:
        quads = list(dataset.view().quads(node, predicate))
        change.remove(quads)
        change.add(
            [Quad(quad.subject, quad.predicate, Literal(value, datatype=decimal), quad.graph_name) for quad in quads]
        )
        change.commit()
