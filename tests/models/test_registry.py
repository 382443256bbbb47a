"""Models found in the graph: by any of their names, as the evaluator needs them, and refused where a file changed."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyoxigraph import RdfFormat

from pepr_kg.errors import PeprError, UnknownPrefix
from pepr_kg.models import registry
from pepr_kg.models.description import GRAPH
from pepr_kg.models.errors import ModelChanged, ModelFileMissing, ModelMeaningBroken
from pepr_kg.models.registry import Coupled, Registered, find_model, list_models
from pepr_kg.namespaces import ID
from pepr_kg.rdf import parse_bytes
from pepr_kg.store import Dataset, View
from pepr_kg.twin import Leaping, Relaxed, builtin, builtin_models, couple, evaluate, load_model
from pepr_kg.twin.errors import UnknownModel

PREFIXES = "".join(
    f"@prefix {kind}: <{ID}{kind}/> .\n"
    for kind in ("model", "parameter", "variable", "scenario", "intervention", "intervention-kind", "coupling",
                 "coupling-scheme", "binding", "selection", "quantity", "scenario-kind", "coupling-operator")
) + "@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .\n"  # fmt: skip


def load(dataset: Dataset, turtle: str) -> View:
    """Add a few triples to the graph of models."""
    with dataset.change(who="test", source="test") as change:
        change.add(parse_bytes((PREFIXES + turtle).encode(), RdfFormat.TURTLE, GRAPH, "test"))
        return change.commit()


def single(view: View, name: str, folder: Path) -> Registered:
    found = find_model(view, name, folder)
    assert isinstance(found, Registered)
    return found


def test_the_list_names_every_model_with_its_form_and_time_unit(seen: View) -> None:
    listed = {item.name: item for item in list_models(seen)}
    assert set(builtin_models()) <= set(listed)
    assert (listed["pk2-oral"].form, listed["pk2-oral"].time_unit, listed["pk2-oral"].coupled) == (
        "linear-ode",
        "h",
        False,
    )
    assert (listed["heart-over-years"].coupled, listed["heart-over-years"].file) == (True, "")
    assert listed["score2"].labels.keys() == {"fr", "en"}
    assert list(listed) == sorted(listed)


@pytest.mark.parametrize("name", builtin_models())
def test_what_the_graph_gives_is_what_the_files_give(name: str, seen: View, made: Dataset) -> None:
    """The same equations, labels, bounds, categories, validity, priors and errors as read from the files."""
    found, model = single(seen, name, made.path), load_model(name)
    assert found.model == model
    assert found.model.variables == model.variables
    assert found.model.validity == model.validity
    assert found.digest == f"sha256:{model.digest}"
    assert found.residuals == builtin(name).residuals(model)
    priors = builtin(name).priors(model) if builtin(name).effects else None
    assert (found.priors is None) == (priors is None)
    if found.priors is not None and priors is not None:
        assert found.priors.symbols == priors.symbols
        assert np.array_equal(found.priors.mean, priors.mean)
        assert np.array_equal(found.priors.covariance, priors.covariance)
    assert set(found.elements) == set(model.symbols)
    assert all(iri.endswith(f"/{name}.{symbol}") for symbol, iri in found.elements.items())
    assert found.required == tuple(item.symbol for item in model.parameters if math.isnan(item.value))
    assert {binding.symbol for binding in found.bindings} <= set(model.symbols)
    assert found.time_origin in ("evaluation", "birth", "first-dose")
    assert found.horizon is not None
    assert found.licence
    assert found.publications


@pytest.mark.parametrize("name", builtin_models())
def test_the_digest_of_the_meaning_is_that_of_the_file(name: str, seen: View, made: Dataset) -> None:
    assert single(seen, name, made.path).meaning_digest == builtin(name).meaning.digest


def test_any_of_its_names_finds_a_model_and_a_wrong_one_suggests(seen: View, made: Dataset) -> None:
    found = find_model(seen, "score2", made.path)
    assert find_model(seen, "model:score2", made.path) is found
    assert find_model(seen, f"{ID}model/score2", made.path) is found
    with pytest.raises(UnknownModel) as error:
        find_model(seen, "scor2", made.path)
    assert "score2" in error.value.message("fr")
    with pytest.raises(UnknownPrefix):
        find_model(seen, "modl:score2", made.path)


@pytest.mark.parametrize("name", ["score 2", "model:score 2", "https://a><https://b", "score2\ud800"])
def test_what_is_no_iri_is_no_model(name: str, seen: View, made: Dataset) -> None:
    with pytest.raises(UnknownModel):
        find_model(seen, name, made.path)


def test_bindings_have_their_means_their_concepts_and_their_age(seen: View, made: Dataset) -> None:
    found = {item.symbol: item for item in single(seen, "score2", made.path).bindings}
    assert (found["age_a"].path, found["age_a"].quantities) == (
        "<https://w3id.org/pepr-santenum/ontology/birthDate>",
        (),
    )
    pressure = found["sbp_mmHg"]
    assert pressure.quantities == (f"{ID}quantity/systolic-blood-pressure", "http://loinc.org/rdf/8480-6")
    assert pressure.maximum_age_days == pytest.approx(5 * 365.25)
    assert pressure.selection == "latest"
    dose = {item.symbol: item for item in single(seen, "warfarin-pkpd", made.path).bindings}["dose"]
    assert dose.query is not None
    assert dose.query.startswith("PREFIX")
    assert dose.selection == "earliest"


def test_scenarios_can_be_evaluated_as_they_are(seen: View, made: Dataset) -> None:
    found = single(seen, "pk2-oral", made.path)
    plans = list(found.scenarios.values())
    assert [plan.name for plan in plans] == ["base", "double-dose", "half-clearance"]
    result = evaluate(found.model, scenarios=plans, times=[0.0, 24.0, found.horizon or 0.0], outputs=["conc_central"])
    base, double, slow = result.values("conc_central")[0, :, 0, :]
    assert double == pytest.approx(2 * base)
    assert np.all(slow[1:] > base[1:])


def test_a_coupled_model_is_found_with_its_parts_and_runs(seen: View, made: Dataset) -> None:
    found = find_model(seen, "two-scale-coupled", made.path)
    assert isinstance(found, Coupled)
    assert (found.fast.name, found.slow.name, found.scheme) == ("two-scale-fast", "two-scale-slow", Relaxed(4, 1e-6))
    result = couple(
        found.fast.model, found.slow.model, found.links, {"eps_a": [0.1], "k": 1.0, "a": 0.5}, times=[1.0, 2.0],
        interval=found.interval, scheme=found.scheme, scenarios=list(found.scenarios.values()),
    )  # fmt: skip
    # The documentation of `couple` prints these figures, at another interval.
    assert result.slow.values("slow")[0, 0, 0, :].tolist() == pytest.approx([0.21253, 0.03861], abs=2e-4)
    assert not np.allclose(result.slow.values("slow")[0, 1], result.slow.values("slow")[0, 0])


def test_the_flagship_has_its_links_its_blood_and_its_clock(seen: View, made: Dataset) -> None:
    found = find_model(seen, "heart-over-years", made.path)
    assert isinstance(found, Coupled)
    assert found.scheme == Leaping("T", 2, 1e-6)
    assert found.interval == 1.0
    assert {(link.source, link.target, link.mode) for link in found.links} >= {
        ("fast", "MAP", "set"), ("slow", "Emax", "set"), ("slow", "Vv", "add"),
    }  # fmt: skip
    assert dict(found.conserved[0].weights) == {"fast.Vlv": 1.0, "fast.Va": 1.0, "fast.Vv": 1.0, "slow.SBV": -1.0}
    (vasodilator,) = (plan for plan in found.scenarios.values() if plan.name == "vasodilator")
    assert [(item.symbol, item.value, item.at) for item in vasodilator.interventions] == [("fast.Rp", 0.75, 1.0)]
    assert len({found.digest, found.fast.digest, found.slow.digest, found.meaning_digest}) == 4


def test_a_file_that_was_changed_or_lost_is_refused_also_when_the_model_is_known(own: Dataset) -> None:
    folder = own.path / "models"
    folder.mkdir()
    path = folder / "decay.xml"
    path.write_bytes(builtin("two-scale-slow").path.read_bytes())
    digest = single(own.view(), "two-scale-slow", own.path).digest
    view = load(own, f'''model:decay a pepr:Model ; pepr:modelFile "decay.xml" ; pepr:contentDigest "{digest}" ;
        pepr:hasForm <{ID}model-form/ode> ; pepr:timeUnitCode "a" .''')  # fmt: skip
    assert single(view, "decay", own.path).path == path
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ModelChanged) as error:
        find_model(view, "decay", own.path)
    for lang in ("en", "fr"):
        said = error.value.message(lang)
        assert digest in said
        assert str(path) in said
        assert "pepr-kg model add" in said
    path.unlink()
    with pytest.raises(ModelFileMissing, match="decay"):
        find_model(view, "decay", own.path)


def test_the_address_of_a_file_leads_nowhere_else(own: Dataset) -> None:
    view = load(own, f'''model:sly a pepr:Model ; pepr:modelFile "../../../../etc/passwd" ;
        pepr:contentDigest "sha256:{"0" * 64}" ; pepr:hasForm <{ID}model-form/ode> .''')  # fmt: skip
    with pytest.raises(ModelFileMissing) as error:
        find_model(view, "sly", own.path)
    assert error.value.path == own.path / "models" / "passwd"


SCENARIO = """model:pk2-oral pepr:hasScenario scenario:pk2-oral.x . scenario:pk2-oral.x a pepr:Scenario ;
  pepr:timeUnitCode "d" ; pepr:hasIntervention intervention:pk2-oral.x.1 . intervention:pk2-oral.x.1 """


def test_doses_and_units_of_a_scenario_are_those_of_the_model(own: Dataset) -> None:
    view = load(own, SCENARIO + """pepr:hasInterventionKind intervention-kind:dose-schedule ;
        pepr:intervenesOn variable:pk2-oral.amount_gut ; pepr:numericValue 0.1 ; pepr:unitCode "g" ;
        pepr:fromTime 1 ; pepr:repeatEvery 0.5 ; pepr:doseCount 3 .""")  # fmt: skip
    plan = single(view, "pk2-oral", own.path).scenarios[f"{ID}scenario/pk2-oral.x"]
    assert [(item.action, item.value, item.at) for item in plan.interventions] == [
        ("dose", 100.0, 24.0), ("dose", 100.0, 36.0), ("dose", 100.0, 48.0)]  # fmt: skip


def test_what_holds_for_a_while_is_undone(own: Dataset) -> None:
    said = """pepr:hasInterventionKind intervention-kind:scale ; pepr:intervenesOn parameter:pk2-oral.CL ;
        pepr:numericValue 0.5 ; pepr:fromTime 1 ; pepr:untilTime 2 ."""
    view = load(own, SCENARIO + said)
    plan = single(view, "pk2-oral", own.path).scenarios[f"{ID}scenario/pk2-oral.x"]
    assert [(item.value, item.at) for item in plan.interventions] == [(0.5, 24.0), (2.0, 48.0)]


@pytest.mark.parametrize(
    ("turtle", "word"),
    [
        (SCENARIO + """pepr:hasInterventionKind intervention-kind:add ; pepr:unitCode "mmol" ; pepr:numericValue 1 ;
            pepr:intervenesOn variable:pk2-oral.amount_gut .""", "molar mass"),
        (SCENARIO + """pepr:hasInterventionKind intervention-kind:set ; pepr:unitCode "L/h" ; pepr:numericValue 1 ;
            pepr:intervenesOn parameter:pk2-oral.CL ; pepr:untilTime 2 .""", "CL"),
        (SCENARIO + """pepr:hasInterventionKind intervention-kind:dose-schedule ; pepr:unitCode "mg" ;
            pepr:numericValue 1 ; pepr:intervenesOn variable:pk2-oral.amount_gut ; pepr:doseDuration 1 .""", "at once"),
        (SCENARIO + """pepr:hasInterventionKind intervention-kind:dose-schedule ; pepr:unitCode "mg" ;
            pepr:numericValue 1 ; pepr:intervenesOn variable:pk2-oral.amount_gut ; pepr:doseCount 2 .""", "interval"),
        (SCENARIO + """pepr:hasInterventionKind intervention-kind:set ; pepr:unitCode "a" ; pepr:numericValue 1 ;
            pepr:intervenesOn variable:score2.age_a .""", "score2"),
        ("""model:pk2-oral pepr:hasBinding binding:pk2-oral.V1 . binding:pk2-oral.V1 a pepr:Binding ;
            pepr:binds parameter:pk2-oral.V1 ; pepr:boundValue 30 ; pepr:maximumAge 5 ; pepr:timeUnitCode "years" .""",
         "years"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_its_place(own: Dataset, turtle: str, word: str) -> None:
    view = load(own, turtle)
    with pytest.raises(ModelMeaningBroken) as error:
        find_model(view, "pk2-oral", own.path)
    assert word in error.value.message("en")
    assert "pk2-oral" in error.value.message("fr")
    assert error.value.http_status == 422


COUPLED = """model:pair a pepr:Model ; pepr:hasFastModel model:two-scale-fast ; pepr:hasSlowModel model:two-scale-slow ;
    pepr:hasCoupling coupling:pair.fast , coupling:pair.slow ; pepr:hasCouplingScheme coupling-scheme:relaxed .
coupling:pair.fast pepr:couplesFrom variable:two-scale-fast.fast ; pepr:couplesTo variable:two-scale-slow.fast ;
    pepr:hasCouplingOperator coupling-operator:sample ; pepr:exchangeInterval 91.3125 ; pepr:timeUnitCode "d" .
coupling:pair.slow pepr:couplesFrom variable:two-scale-slow.slow ; pepr:couplesTo variable:two-scale-fast.slow ;
    pepr:hasCouplingOperator coupling-operator:sample .
"""


def test_a_coupled_model_of_ones_own_is_read(own: Dataset) -> None:
    found = find_model(load(own, COUPLED), "pair", own.path)
    assert isinstance(found, Coupled)
    assert found.interval == pytest.approx(0.25)
    assert found.horizon is None


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("coupling-scheme:relaxed", "coupling-scheme:leaping", "period"),
        ("coupling-scheme:relaxed", "coupling-scheme:other", "leaping or relaxed"),
        ("pepr:hasSlowModel model:two-scale-slow", "pepr:hasSlowModel model:two-scale-coupled", "coupled"),
        ("pepr:hasSlowModel model:two-scale-slow", "pepr:hasSlowModel model:pair", "coupled"),
        ("couplesFrom variable:two-scale-fast.fast", "couplesFrom variable:pk2-oral.conc_central", "no part"),
        ("pepr:exchangeInterval 91.3125", "pepr:window 1", "how often"),
        ('"d"', '"mmol"', "amount"),
    ],
)
def test_a_coupling_that_cannot_be_is_said(own: Dataset, old: str, new: str, word: str) -> None:
    with pytest.raises(PeprError) as error:
        find_model(load(own, COUPLED.replace(old, new)), "pair", own.path)
    assert word in error.value.message("en")
    assert isinstance(error.value, ModelMeaningBroken)


def test_a_model_is_read_once_and_again_when_the_dataset_changes(own: Dataset) -> None:
    first = find_model(own.view(), "pk2-oral", own.path)
    started = time.perf_counter()
    for _ in range(100):
        assert find_model(own.view(), "pk2-oral", own.path) is first
    assert time.perf_counter() - started < 1.0
    view = load(own, "parameter:pk2-oral.CL pepr:upperBound 99.0 .")
    second = single(view, "pk2-oral", own.path)
    assert second.model.variable("CL").bounds[1] == 99.0
    assert second.meaning_digest != single(own.view(), "two-scale-slow", own.path).meaning_digest
    assert isinstance(first, Registered)
    assert (second.digest, second.meaning_digest == first.meaning_digest) == (first.digest, False)
    assert replace(second, name="x").name == "x"
    assert len(registry._found) <= registry._KEPT
