"""The demonstration cohort: the same bytes, clean in the graph, and something for every model and every outcome."""

import re
import time
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from pepr_kg.cohorts import BadCohortName, Cohort, demo_cohort, load_demo
from pepr_kg.cohorts.defects import DEFECTS
from pepr_kg.cohorts.description import models_of
from pepr_kg.cohorts.groups import assign_groups
from pepr_kg.cohorts.population import draw_population
from pepr_kg.models.registry import Coupled, Registered, find_model, list_models
from pepr_kg.namespaces import COHORT, expand
from pepr_kg.runs.binding import Resolved, resolve
from pepr_kg.runs.outcomes import Outcome
from pepr_kg.store import Dataset, Literal, NamedNode, View
from pepr_kg.twin.errors import EmptyCohort
from pepr_kg.validation import validate_graphs

GRAPH = NamedNode(COHORT + "demo")
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


def fill(dataset: Dataset, cohort: Cohort) -> View:
    with dataset.change(who="test", source="test") as change:
        change.bulk(cohort.document, GRAPH)
        return change.commit()


def outcomes(view: View, dataset: Dataset, name: str) -> tuple[Registered, Resolved, npt.NDArray[np.bool_]]:
    """Return the model, what its bindings give for the cohort, and who has a twin that uses it."""
    found = find_model(view, name, dataset.path)
    model = found.slow if isinstance(found, Coupled) else found
    uses = view.quads(None, NamedNode(expand("pepr:usesModel")), NamedNode(expand(f"model:{name}")), GRAPH)
    users = {quad.subject.value.rsplit("/", 1)[1] for quad in uses if isinstance(quad.subject, NamedNode)}
    fit = bool(model.residuals)
    resolved = resolve(view, model, cohort=expand("cohort:demo"), as_of=AS_OF, fit=fit)
    return model, resolved, np.array([iri.rsplit("/", 1)[1] in users for iri in resolved.entities.to_pylist()])


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first = demo_cohort(60, seed=5)
    assert demo_cohort(60, seed=5).document == first.document
    assert demo_cohort(60, seed=6).digest != first.digest


def test_a_thousand_patients_have_about_thirty_observations_each_and_are_soon_made() -> None:
    demo_cohort(40)  # models are read and compiled once
    started = time.process_time()
    cohort = demo_cohort()
    assert time.process_time() - started < 4.0  # about one second; more where coverage is measured
    assert cohort.patients == 1000
    assert 25 <= cohort.observations / cohort.patients <= 40
    assert cohort.document.count(b"ontology/Observation>") == cohort.observations
    assert cohort.document.count(b"ontology/Administration>") == cohort.administrations
    assert cohort.document.count(b"ontology/DigitalTwin>") == cohort.document.count(b"ontology/Patient>") == 1000


@pytest.mark.parametrize("patients", [40, 1000])
def test_every_model_has_a_twin_that_can_be_evaluated(dataset_copy: Dataset, patients: int) -> None:
    view = fill(dataset_copy, demo_cohort(patients))
    names = [listed.name for listed in list_models(view)]
    chance = np.random.default_rng(0)
    known = models_of(assign_groups(draw_population(50, chance), chance))
    assert set(names) == set(known)
    for name in names:
        model, resolved, users = outcomes(view, dataset_copy, name)
        ready = users & (np.asarray(resolved.status) == Outcome.EVALUATED)
        assert ready.any(), name
        if model.residuals and name not in {"lv-windkessel", "heart-over-years"}:  # what it measures nobody observes
            assert resolved.observations is not None
            assert resolved.observations.present[:, ready].any(), name


def test_every_outcome_of_a_binding_is_seen(dataset_copy: Dataset) -> None:
    view = fill(dataset_copy, demo_cohort())
    status = np.asarray(outcomes(view, dataset_copy, "score2")[1].status)
    seen = {Outcome(int(code)) for code in np.unique(status)}
    assert seen >= {
        Outcome.EVALUATED, Outcome.BINDING_MISSING, Outcome.BINDING_AMBIGUOUS, Outcome.UNIT_UNMET,
        Outcome.OUTSIDE_VALIDITY, Outcome.NOT_PERMITTED,
    }  # fmt: skip
    assert (status == Outcome.EVALUATED).mean() > 0.6


def test_units_are_converted_where_they_are_odd(dataset_copy: Dataset) -> None:
    view = fill(dataset_copy, demo_cohort())
    _, resolved, _ = outcomes(view, dataset_copy, "score2")
    units = {(row["symbol"], row["source_unit"]) for row in resolved.conversions.to_pylist()}
    assert units >= {("tchol_mmol_L", "mg/dL"), ("hdl_mmol_L", "mg/dL"), ("sbp_mmHg", "kPa")}
    pressure = resolved.values["sbp_mmHg"]
    assert np.nanmin(pressure) > 70.0
    assert np.nanmax(pressure) < 260.0


def test_the_cohort_passes_the_shapes_and_the_quality_queries_and_is_loaded_once(dataset_copy: Dataset) -> None:
    said: list[str] = []
    done = load_demo(dataset_copy, patients=40, who="somebody", tell=lambda step, _much: said.append(step))
    assert done.report is not None
    assert done.report.conforms
    # the two pressures of one day, made on purpose
    assert {finding.shape.rsplit("/", 1)[1] for finding in done.report.findings} == {"observation-repeated"}
    assert said == ["draw", "load", "validate"]
    assert (done.changed, done.patients) == (True, 40)
    assert done.view.manifest.who == "somebody"
    assert done.view.counts()[GRAPH.value] == done.triples
    again = load_demo(dataset_copy, patients=40)
    assert (again.changed, again.triples, again.report) == (False, done.triples, None)
    assert again.view is done.view


def test_another_seed_takes_the_place_of_the_cohort(dataset_copy: Dataset) -> None:
    first = load_demo(dataset_copy, patients=40)
    other = load_demo(dataset_copy, patients=40, seed=1)
    assert other.changed
    assert other.view.version != first.view.version
    patients = list(other.view.quads(None, None, NamedNode(expand("pepr:Patient")), GRAPH))
    assert len(patients) == 40


def test_everything_says_that_it_is_synthetic(dataset_copy: Dataset) -> None:
    view = fill(dataset_copy, demo_cohort(40))
    marked = view.quads(
        None, NamedNode(expand("pepr:hasIdentifiability")), NamedNode(expand("identifiability:synthetic")), GRAPH
    )
    assert len(list(marked)) == 42  # patients, cohort and dataset
    labels = view.quads(NamedNode(expand("cohort:demo")), NamedNode(expand("rdfs:label")), None, GRAPH)
    texts = {quad.object.language: quad.object.value for quad in labels if isinstance(quad.object, Literal)}
    assert "synthétique" in texts["fr"]
    assert "synthetic" in texts["en"]


def test_the_dataset_is_described_by_its_elements() -> None:
    document = demo_cohort(40).document.decode()
    observed = set(re.findall(r"observedProperty> <\S+/quantity/([\w-]+)>", document))
    given = set(re.findall(r"Administration>", document))
    elements = set(re.findall(r"data-element/demo\.([\w-]+)> <\S+#type>", document))
    assert given
    assert observed <= elements
    assert elements - observed == {"administered-theophylline", "administered-warfarin", "administered-drug"}
    assert (
        '/data-element/demo.serum-creatinine> <https://w3id.org/pepr-santenum/ontology/unitCode> "umol/L" .' in document
    )


def test_a_corrected_observation_points_to_the_one_that_it_revises(dataset_copy: Dataset) -> None:
    view = fill(dataset_copy, demo_cohort(200))
    pairs = list(view.quads(None, NamedNode(expand("prov:wasRevisionOf")), None, GRAPH))
    assert pairs
    superseded = NamedNode(expand("result-status:superseded"))
    old = {quad.subject for quad in view.quads(None, NamedNode(expand("pepr:hasResultStatus")), superseded, GRAPH)}
    assert {quad.object for quad in pairs} == old
    for quad in pairs:
        for name in ("sosa:hasFeatureOfInterest", "sosa:observedProperty", "pepr:observedAt"):
            new, before = (
                [found.object for found in view.quads(node, NamedNode(expand(name)), None, GRAPH)]
                for node in (quad.subject, quad.object)
                if isinstance(node, NamedNode)
            )
            assert new == before


def test_nothing_is_observed_after_the_day_of_the_demonstration() -> None:
    document = demo_cohort(300).document.decode()
    days = re.findall(r'(?:observedAt|administeredAt)> "(\d{4}-\d\d-\d\d)', document)
    assert min(days) >= "2018-01-01"
    assert max(days) < "2026-11-01"


def test_a_cohort_of_another_name_has_its_own_iris() -> None:
    document = demo_cohort(40, name="mine").document.decode()
    assert "/cohort/mine>" in document
    assert not re.findall(r"/demo[->.]", document)


def test_shares_of_defects_leave_most_people_without() -> None:
    assert sum(defect.share for defect in DEFECTS) < 0.4
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


@pytest.mark.parametrize("patients", [1, 3, 15])
def test_a_few_patients_are_no_failure(dataset_copy: Dataset, patients: int) -> None:
    view = fill(dataset_copy, demo_cohort(patients))
    assert validate_graphs(view, [GRAPH]).conforms


def test_nobody_and_an_impossible_name_are_refused() -> None:
    with pytest.raises(EmptyCohort):
        demo_cohort(0)
    with pytest.raises(BadCohortName, match="a/b"):
        demo_cohort(40, name="a/b")
