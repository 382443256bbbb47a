"""Bindings on a real graph: what is found for each patient, what is named when it is not, and nobody else suffers."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pepr_kg.errors import PeprError
from pepr_kg.models.registry import Binding, Registered, find_model
from pepr_kg.namespaces import ID, PEPR, expand
from pepr_kg.runs.binding import Kind, Outcome, Resolved, resolve
from pepr_kg.runs.errors import BadBinding, UnknownCohort, UnknownEntity
from pepr_kg.runs.paths import PathError, read_path
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, View
from pepr_kg.twin.errors import EmptyCohort
from tests.runs.graphs import COHORT_TEST, add_turtle, given, observed, patient, with_models

HIGH_RISK = "quantity-value:risk-region-high"
AS_OF = datetime(2026, 3, 15, 18, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_models(tmp_path_factory.mktemp("models") / "data").path


@pytest.fixture
def dataset(models: Path, tmp_path: Path) -> Dataset:
    return Dataset(Path(shutil.copytree(models, tmp_path / "data")))


Ask = Callable[..., Resolved]


@pytest.fixture
def ask(dataset: Dataset) -> Ask:
    """Resolve a model for a graph of patients; `bindings` take the place of those of the model for their symbols."""

    def resolved(
        text: str, model: str = "ckd-epi-2021", *, bindings: Sequence[Binding] = (), fit: bool = False,
        as_of: datetime = AS_OF, cohort: str | None = "test", entities: Sequence[str] = (), seconds: float = 20.0,
        registered: Registered | None = None,
    ) -> Resolved:  # fmt: skip
        view = add_turtle(dataset, COHORT_TEST + text)
        found = registered or registered_of(view, dataset, model)
        symbols = {binding.symbol for binding in bindings}
        kept = tuple(item for item in found.bindings if item.symbol not in symbols)
        return resolve(
            view, replace(found, bindings=(*kept, *bindings)), cohort=cohort, entities=entities, as_of=as_of, fit=fit,
            settings=Settings(binding_seconds=seconds, result_bytes=1_000),  # which bounds answers over HTTP alone
        )  # fmt: skip

    return resolved


def registered_of(view: View, dataset: Dataset, model: str) -> Registered:
    found = find_model(view, model, dataset.path)
    assert isinstance(found, Registered)
    return found


def creatinine(name: str, owner: str, value: str, unit: str | None, at: str, *more: str) -> str:
    return observed(name, owner, "serum-creatinine", value, unit, at, *more)


def bound(symbol: str, model: str = "ckd-epi-2021", **means: object) -> Binding:
    element = f"{ID}variable/{model}.{symbol}"
    return Binding(iri=f"{ID}binding/x.{symbol}", symbol=symbol, element=element, **means)  # type: ignore[arg-type]


def names(resolved: Resolved) -> list[str]:
    return [iri.rpartition("/")[2] for iri in resolved.entities.to_pylist()]


def outcomes(resolved: Resolved) -> dict[str, Outcome]:
    return dict(zip(names(resolved), map(Outcome, resolved.status.tolist()), strict=True))


def value(resolved: Resolved, symbol: str, name: str) -> float:
    return float(resolved.values[symbol][names(resolved).index(name)])


def problems(resolved: Resolved, symbol: str | None = None) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = resolved.problems.to_pylist()
    return [row for row in rows if symbol is None or row["symbol"] == symbol]


# ---- What is found ---------------------------------------------------------------------------------------------------


def test_a_patient_is_bound_by_birth_date_sex_and_the_latest_observation(ask: Ask) -> None:
    text = patient("ada") + creatinine("1", "ada", "0.8", "mg/dL", "2025-06-01")
    text += creatinine("2", "ada", "0.9", "mg/dL", "2026-01-10") + creatinine("3", "ada", "9.9", "mg/dL", "2026-06-01")
    resolved = ask(text)
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert {symbol: values.tolist() for symbol, values in resolved.values.items()} == {
        "scr_mg_dL": [0.9], "age_a": [50.0], "sex": [1.0],
    }  # fmt: skip
    assert resolved.origin.astype(str).tolist() == ["2026-03-15T18:30:00.000"]
    assert resolved.evaluable.tolist() == [0]


def test_every_figure_says_where_it_is_from(ask: Ask) -> None:
    resolved = ask(patient("ada") + creatinine("1", "ada", "88.4", "umol/L", "2026-01-10T08:00:00Z"))
    rows = {row["symbol"]: row for row in resolved.sources.to_pylist()}
    scr = rows["scr_mg_dL"]
    assert scr["observation"] == f"{ID}observation/1"
    assert scr["binding"] == f"{ID}binding/ckd-epi-2021.scr_mg_dL"
    assert (scr["value"], scr["unit"], scr["used_unit"], str(scr["time"])) == (
        88.4,
        "umol/L",
        "mg/dL",
        "2026-01-10 08:00:00",
    )
    assert scr["used"] == pytest.approx(1.0, rel=1e-4)
    assert scr["used"] == scr["value"] * scr["factor"] + scr["offset"]
    assert (rows["age_a"]["observation"], rows["age_a"]["used"], str(rows["age_a"]["time"])) == (
        None,
        50.0,
        "1976-03-15 00:00:00",
    )
    assert rows["sex"]["term"] == f"{ID}sex/female"


def test_a_unit_is_converted_once_whatever_the_number_of_values(ask: Ask) -> None:
    text = "".join(
        patient(f"p{at}") + creatinine(f"o{at}", f"p{at}", "80", "umol/L" if at % 2 else "mg/L", "2026-01-10")
        for at in range(6)
    )
    rows = ask(text).conversions.to_pylist()
    assert [(row["source_unit"], row["target_unit"], row["count"]) for row in rows] == [
        ("mg/L", "mg/dL", 3), ("umol/L", "mg/dL", 3),
    ]  # fmt: skip
    assert rows[0]["factor"] == pytest.approx(0.1)
    assert rows[1]["factor"] == pytest.approx(113.12 / 10_000)  # by the molar mass of creatinine


def test_a_concept_of_another_vocabulary_that_is_the_same_counts(ask: Ask) -> None:
    text = patient("ada") + observed("1", "ada", "http://loinc.org/rdf/2160-0", "1.1", "mg/dL", "2026-01-10")
    assert value(ask(text), "scr_mg_dL", "ada") == 1.1


def test_a_coded_result_and_a_coded_property_become_the_numbers_of_the_equations(ask: Ask) -> None:
    facts = [("smoker", "1", "1"), ("systolic-blood-pressure", "17.6", "kPa"), ("total-cholesterol", "200", "mg/dL"),
             ("hdl-cholesterol", "1.3", "mmol/L"), ("cardiovascular-risk-region", HIGH_RISK, None)]  # fmt: skip
    text = patient("ada", sex="sex:male") + "".join(
        observed(str(at), "ada", concept, number, unit, "2026-01-10")
        for at, (concept, number, unit) in enumerate(facts)
    )
    resolved = ask(text, "score2")
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert (value(resolved, "region", "ada"), value(resolved, "sex", "ada"), value(resolved, "smoker", "ada")) == (
        2,
        0,
        1,
    )
    assert value(resolved, "sbp_mmHg", "ada") == pytest.approx(132.0, abs=0.1)
    assert value(resolved, "tchol_mmol_L", "ada") == pytest.approx(5.17, abs=0.01)
    assert "diabetes" not in resolved.values, "an input with a default that nobody observed keeps it"


@pytest.mark.parametrize(
    ("selection", "expected"), [("latest", 1.2), ("earliest", 1.0), ("nearest", 1.3)],
)  # fmt: skip
def test_one_of_several_observations_is_chosen(ask: Ask, selection: str, expected: float) -> None:
    text = patient("ada") + "".join(
        creatinine(str(at), "ada", number, "mg/dL", day)
        for at, (number, day) in enumerate([("1.0", "2024-01-01"), ("1.2", "2026-01-01"), ("1.3", "2026-03-20")])
    )
    binding = bound("scr_mg_dL", quantities=(f"{ID}quantity/serum-creatinine",), selection=selection)
    assert value(ask(text, bindings=[binding]), "scr_mg_dL", "ada") == expected


def test_of_two_at_the_same_distance_the_one_that_was_known_is_the_nearest(ask: Ask) -> None:
    text = patient("ada") + creatinine("1", "ada", "1.0", "mg/dL", "2026-03-14T18:30:00Z")
    text += creatinine("2", "ada", "2.0", "mg/dL", "2026-03-16T18:30:00Z")
    binding = bound(
        "scr_mg_dL", quantities=(f"{ID}quantity/serum-creatinine",), selection="nearest", maximum_age_days=2.0
    )
    assert value(ask(text, bindings=[binding]), "scr_mg_dL", "ada") == 1.0


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ('"1976-03-15"^^xsd:date', 50.0),
        ('"1976-03-16"^^xsd:date', 49 + 364 / 365),
        ('"1976"^^xsd:gYear', 49 + (365 - 108) / 365),
        ('"1976-03"^^xsd:gYearMonth', 50.0),
        ('"1976-03-15T23:00:00Z"^^xsd:dateTime', 50.0),
    ],
)
def test_an_age_is_counted_by_the_calendar_and_a_date_may_be_less_precise(ask: Ask, born: str, age: float) -> None:
    resolved = ask(patient("ada", born=born) + creatinine("1", "ada", "1", "mg/dL", "2026-01-10"))
    assert value(resolved, "age_a", "ada") == pytest.approx(age, abs=1e-12)


# ---- What is missing, and what is wrong ------------------------------------------------------------------------------


def test_who_lacks_something_is_named_and_the_others_go_on(ask: Ask) -> None:
    resolved = ask(patient("ada") + patient("bob") + creatinine("1", "ada", "1", "mg/dL", "2026-01-10"))
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED, "bob": Outcome.BINDING_MISSING}
    assert resolved.lacks["scr_mg_dL"].tolist() == [False, True]
    assert set(resolved.sources["entity"].to_pylist()) == {0}, "nothing was used of who is not evaluated"
    assert [row["kind"] for row in problems(resolved)] == [Kind.MISSING]


def test_an_observation_that_is_too_old_is_no_observation_and_its_date_is_kept(ask: Ask) -> None:
    resolved = ask(patient("ada") + creatinine("1", "ada", "1", "mg/dL", "2025-03-14") + patient("bob")
                   + creatinine("2", "bob", "1", "mg/dL", "2025-03-15"))  # fmt: skip
    assert outcomes(resolved)["ada"] is Outcome.BINDING_MISSING
    (row,) = problems(resolved)
    assert (row["kind"], row["observation"], str(row["time"])) == (
        Kind.TOO_OLD,
        f"{ID}observation/1",
        "2025-03-14 00:00:00",
    )


def test_an_observation_of_later_is_not_looked_at(ask: Ask) -> None:
    resolved = ask(patient("ada") + creatinine("1", "ada", "1", "mg/dL", "2026-03-16"))
    assert [row["kind"] for row in problems(resolved)] == [Kind.LATER]


def test_two_values_at_one_time_are_named_both(ask: Ask) -> None:
    text = patient("ada") + creatinine("1", "ada", "1.0", "mg/dL", "2026-01-10")
    resolved = ask(text + creatinine("2", "ada", "1.5", "mg/dL", "2026-01-10"))
    assert outcomes(resolved) == {"ada": Outcome.BINDING_AMBIGUOUS}
    assert resolved.clashes["scr_mg_dL"].tolist() == [True]
    (row,) = problems(resolved)
    assert {row["observation"], row["other"]} == {f"{ID}observation/1", f"{ID}observation/2"}


def test_two_equal_values_at_one_time_are_one_also_in_two_units(ask: Ask) -> None:
    text = patient("ada") + creatinine("b", "ada", "1.0", "mg/dL", "2026-01-10")
    resolved = ask(text + creatinine("a", "ada", "10", "mg/L", "2026-01-10"))
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert resolved.sources["observation"].drop_null().to_pylist() == [f"{ID}observation/a"]


def test_a_corrected_or_withdrawn_observation_feeds_nothing(ask: Ask) -> None:
    text = patient("ada") + creatinine(
        "1", "ada", "9", "mg/dL", "2026-01-10", "pepr:hasResultStatus result-status:superseded"
    )
    text += creatinine("2", "ada", "1", "mg/dL", "2026-01-10", "prov:wasRevisionOf observation:1")
    text += creatinine("3", "ada", "7", "mg/dL", "2026-02-10", "pepr:hasResultStatus result-status:withdrawn")
    resolved = ask(text)
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert value(resolved, "scr_mg_dL", "ada") == 1.0


@pytest.mark.parametrize(("unit", "kind"), [(None, Kind.NO_UNIT), ("mm[Hg]", Kind.UNIT), ("mgdl", Kind.UNIT)])
def test_a_unit_that_is_missing_or_does_not_convert_is_never_guessed(ask: Ask, unit: str | None, kind: Kind) -> None:
    text = patient("ada") + creatinine("1", "ada", "1.0", "mg/dL", "2025-06-01")
    resolved = ask(text + creatinine("2", "ada", "1.0", unit, "2026-01-10"))
    assert outcomes(resolved) == {"ada": Outcome.UNIT_UNMET}
    assert resolved.bad_units["scr_mg_dL"].tolist() == [True]
    assert [(row["kind"], row["observation"]) for row in problems(resolved)] == [(kind, f"{ID}observation/2")]


def test_a_value_that_cannot_be_and_a_category_that_the_model_lacks_are_outside(ask: Ask) -> None:
    text = patient("ada") + creatinine("1", "ada", "-1", "mg/dL", "2026-01-10")
    text += patient("bob", sex="sex:other") + creatinine("2", "bob", "1", "mg/dL", "2026-01-10")
    resolved = ask(text)
    assert set(outcomes(resolved).values()) == {Outcome.OUTSIDE_VALIDITY}
    assert {(row["symbol"], row["kind"]) for row in problems(resolved)} == {
        ("scr_mg_dL", Kind.OUTSIDE), ("sex", Kind.NO_CATEGORY),
    }  # fmt: skip


def test_a_date_is_no_concentration(ask: Ask) -> None:
    resolved = ask(patient("ada"), bindings=[bound("scr_mg_dL", path="pepr:birthDate")])
    assert outcomes(resolved) == {"ada": Outcome.UNIT_UNMET}


def test_two_birth_dates_are_two_values(ask: Ask) -> None:
    text = patient("ada", 'pepr:birthDate "1980-01-01"^^xsd:date') + creatinine("1", "ada", "1", "mg/dL", "2026-01-10")
    assert outcomes(ask(text)) == {"ada": Outcome.BINDING_AMBIGUOUS}


def test_what_nothing_is_bound_to_is_lacking_for_all(ask: Ask, dataset: Dataset) -> None:
    registered = registered_of(dataset.view(), dataset, "ckd-epi-2021")
    without = replace(registered, bindings=tuple(item for item in registered.bindings if item.symbol != "sex"))
    resolved = ask(patient("ada") + creatinine("1", "ada", "1", "mg/dL", "2026-01-10"), registered=without)
    assert resolved.lacks["sex"].tolist() == [True]
    assert [row["kind"] for row in problems(resolved)] == [Kind.UNBOUND]


def test_consent_that_was_refused_or_withdrawn_is_not_permitted_unless_given_again(ask: Ask) -> None:
    text = "".join(patient(name) + creatinine(name, name, "1", "mg/dL", "2026-01-10") for name in ("a", "b", "c", "d"))
    text += """
consent:a a pepr:Consent ; pepr:consentOf patient:a ; pepr:hasConsentStatus consent-status:withdrawn ;
  pepr:decidedOn "2024-01-01"^^xsd:date ; pepr:withdrawnOn "2025-01-01"^^xsd:date .
consent:b a pepr:Consent ; pepr:consentOf patient:b ; pepr:hasConsentStatus consent-status:refused ;
  pepr:decidedOn "2025-01-01"^^xsd:date .
consent:b2 a pepr:Consent ; pepr:consentOf patient:b ; pepr:hasConsentStatus consent-status:given ;
  pepr:decidedOn "2025-06-01"^^xsd:date .
consent:c a pepr:Consent ; pepr:consentOf patient:c ; pepr:hasConsentStatus consent-status:given ;
  pepr:decidedOn "2025-01-01"^^xsd:date .
"""
    assert outcomes(ask(text)) == {
        "a": Outcome.NOT_PERMITTED, "b": Outcome.EVALUATED, "c": Outcome.EVALUATED, "d": Outcome.EVALUATED,
    }  # fmt: skip


def test_a_condition_that_one_is_known_not_to_have_is_outside_validity(ask: Ask) -> None:
    flags = ("heart-failure", "hypertension", "diabetes", "earlier-stroke", "vascular-disease")
    text = "".join(
        patient(name) + "".join(observed(f"{name}-{flag}", name, flag, "0", "1", "2026-01-10") for flag in flags)
        for name in ("has", "hasnt", "unknown")
    )
    text += observed("1", "has", "atrial-fibrillation", "1", "1", "2020-01-10")
    text += observed("2", "hasnt", "atrial-fibrillation", "0", "1", "2020-01-10")
    assert outcomes(ask(text, "cha2ds2-vasc")) == {
        "has": Outcome.EVALUATED, "hasnt": Outcome.OUTSIDE_VALIDITY, "unknown": Outcome.EVALUATED,
    }  # fmt: skip


def test_a_child_is_outside_a_model_that_is_for_adults_although_its_age_is_no_input(ask: Ask) -> None:
    text = patient("child", born='"2015-01-01"^^xsd:date') + patient("adult")
    assert outcomes(ask(text, "lv-windkessel")) == {"adult": Outcome.EVALUATED, "child": Outcome.OUTSIDE_VALIDITY}


# ---- Whom ------------------------------------------------------------------------------------------------------------


def test_some_entities_of_a_cohort_or_of_the_graph_can_be_asked_about(ask: Ask) -> None:
    text = "".join(patient(name) + creatinine(name, name, "1", "mg/dL", "2026-01-10") for name in ("a", "b", "c"))
    assert names(ask(text, entities=["patient:c", expand("patient:a")])) == ["a", "c"]
    resolved = ask("", cohort=None, entities=["patient:b"])
    assert (names(resolved), value(resolved, "scr_mg_dL", "b")) == (["b"], 1.0)


def test_many_patients_are_asked_about_by_concept_with_the_same_answer(ask: Ask) -> None:
    text = "".join(
        patient(f"p{at:02d}")
        + (creatinine(f"o{at}", f"p{at:02d}", f"{at / 10 + 0.5}", "mg/dL", "2026-01-10") if at % 5 else "")
        for at in range(40)
    )
    many = ask(text)
    few = ask("", entities=[f"patient:p{at:02d}" for at in range(10)])
    for symbol, values in few.values.items():
        np.testing.assert_array_equal(values, many.values[symbol][:10])
    np.testing.assert_array_equal(few.status, many.status[:10])
    assert few.problems.to_pylist() == [row for row in many.problems.to_pylist() if row["entity"] < 10]


def test_nobody_and_somebody_unknown_are_refused(ask: Ask) -> None:
    with pytest.raises(UnknownCohort, match="cohort:nobody"):
        ask("", cohort="nobody")
    with pytest.raises(EmptyCohort):
        ask("")
    with pytest.raises(EmptyCohort):
        ask("", cohort=None)
    with pytest.raises(UnknownEntity, match="patient:nobody"):
        ask("", cohort=None, entities=["patient:nobody"])
    with pytest.raises(UnknownEntity, match="patient:nobody"):
        ask(
            "".join(patient(f"x{at}") for at in range(30)),
            cohort=None,
            entities=["patient:nobody", *(f"patient:x{at}" for at in range(30))],
        )
    with pytest.raises(UnknownEntity, match="not in the cohort"):
        ask(patient("ada"), entities=["sex:female"])
    for name in ("a b", "cohort:a b", "a\ud800"):
        with pytest.raises(UnknownCohort):
            ask("", cohort=name)
    for cohort in (None, "test"):
        with pytest.raises(UnknownEntity, match="no IRI"):
            ask("", cohort=cohort, entities=["patient:a b"])


# ---- The four means --------------------------------------------------------------------------------------------------


def test_a_written_value_is_converted_and_has_a_source_for_everybody(ask: Ask) -> None:
    resolved = ask(patient("a") + patient("b"), bindings=[bound("scr_mg_dL", value=88.4, unit="umol/L")])
    assert resolved.values["scr_mg_dL"].round(4).tolist() == [1.0, 1.0]
    rows = resolved.sources.filter(np.array(resolved.sources["symbol"].to_pylist()) == "scr_mg_dL").to_pylist()
    assert [(row["entity"], row["binding"], row["value"]) for row in rows] == [
        (0, f"{ID}binding/x.scr_mg_dL", 88.4), (1, f"{ID}binding/x.scr_mg_dL", 88.4),
    ]  # fmt: skip


def test_the_binding_of_a_twin_comes_before_that_of_the_model(ask: Ask) -> None:
    text = "".join(patient(name) + creatinine(name, name, "1", "mg/dL", "2026-01-10") for name in ("a", "b", "c"))
    for name, means in (
        ("a", 'pepr:boundValue 2.0 ; pepr:unitCode "mg/dL"'),
        ("b", 'pepr:boundValue 30.0 ; pepr:unitCode "mg/L"'),
    ):
        text += f"""
twin:{name} a pepr:DigitalTwin ; pepr:twinOf patient:{name} ; pepr:usesModel model:ckd-epi-2021 ;
  pepr:hasBinding binding:own.{name} .
binding:own.{name} a pepr:Binding ; pepr:binds variable:ckd-epi-2021.scr_mg_dL ; {means} .
"""
    resolved = ask(text)
    assert resolved.values["scr_mg_dL"].tolist() == [2.0, 3.0, 1.0]
    rows = [row for row in resolved.sources.to_pylist() if row["symbol"] == "scr_mg_dL"]
    assert {row["entity"]: row["binding"].rpartition("/")[2] for row in rows} == {
        0: "own.a", 1: "own.b", 2: "ckd-epi-2021.scr_mg_dL",
    }  # fmt: skip


def test_a_twins_own_concept_replaces_the_models(ask: Ask) -> None:
    text = (
        patient("a")
        + creatinine("1", "a", "1", "mg/dL", "2026-01-10")
        + """
twin:a a pepr:DigitalTwin ; pepr:twinOf patient:a ; pepr:usesModel model:ckd-epi-2021 ; pepr:hasBinding binding:own .
binding:own a pepr:Binding ; pepr:binds variable:ckd-epi-2021.scr_mg_dL ; pepr:boundQuantity quantity:alcohol-intake .
"""
    )
    assert outcomes(ask(text)) == {"a": Outcome.BINDING_MISSING}


def test_a_path_leads_to_numbers_concepts_observations_and_through_other_things(ask: Ask) -> None:
    text = patient("ada", "<urn:ex:file> <urn:ex:record>") + "<urn:ex:record> <urn:ex:creatinine> 1.25 .\n"
    text += creatinine("1", "ada", "1", "mg/dL", "2026-01-10") + observed(
        "2", "ada", "body-weight", "70", "kg", "2026-01-10"
    )
    path = bound("scr_mg_dL", path="<urn:ex:file>/<urn:ex:creatinine>")
    assert value(ask(text, bindings=[path]), "scr_mg_dL", "ada") == 1.25, "a number is in the unit of the element"
    unit = bound("scr_mg_dL", path="<urn:ex:file>/<urn:ex:creatinine>", unit="mg/L")
    assert value(ask("", bindings=[unit]), "scr_mg_dL", "ada") == 0.125, "or in that of the binding"
    back = ask("", bindings=[bound("scr_mg_dL", path="^sosa:hasFeatureOfInterest")])
    assert value(back, "scr_mg_dL", "ada") == 1.0, "of all observations those of the element's concept"
    assert f"{ID}observation/1" in back.sources["observation"].to_pylist()


@pytest.mark.parametrize(
    "path",
    ["", "pepr:birthDate }", "!pepr:birthDate", "pepr:birthDate/", "(pepr:birthDate", "foo:bar", "?x", "<urn:a b>", "a",
     "pepr:birthDate pepr:hasSex", "(" * 20 + "pepr:hasSex" + ")" * 20, "pepr:hasSex/" * 200 + "pepr:hasSex"],
)  # fmt: skip
def test_what_is_no_path_is_a_failure_of_its_binding_by_name(ask: Ask, path: str) -> None:
    with pytest.raises(PathError):
        read_path(path)
    resolved = ask(patient("ada"), bindings=[bound("scr_mg_dL", path=path)])
    assert outcomes(resolved) == {"ada": Outcome.BINDING_MISSING}
    assert list(resolved.failures) == [f"{ID}binding/x.scr_mg_dL"]
    assert all(resolved.failures[f"{ID}binding/x.scr_mg_dL"][lang] for lang in ("en", "fr"))


@pytest.mark.parametrize(
    "path",
    ["pepr:hasSex", "^<urn:x:y>", "(pepr:hasSex|^pepr:hasSex)*/skos:exactMatch?", " pepr:hasSex / skos:broader + "],
)  # fmt: skip
def test_a_path_is_read_as_the_engine_reads_it(dataset: Dataset, path: str) -> None:
    dataset.view().select(f"SELECT ?x WHERE {{ ?x {read_path(path).text} ?y }} LIMIT 1")


QUERY = f"""
PREFIX pepr: <{PEPR}> PREFIX sosa: <http://www.w3.org/ns/sosa/>
SELECT ?entity (MAX(?number) AS ?value) ("mg/dL" AS ?unit) (MAX(?at) AS ?time) (SAMPLE(?o) AS ?observation) WHERE {{
  ?o sosa:observedProperty <{ID}quantity/serum-creatinine> ; sosa:hasFeatureOfInterest ?entity ;
    pepr:numericValue ?number ; pepr:observedAt ?at .
}} GROUP BY ?entity
"""


def test_a_query_serves_a_whole_cohort(ask: Ask) -> None:
    text = patient("a") + patient("b") + creatinine("1", "a", "1", "mg/dL", "2026-01-10")
    text += creatinine("2", "a", "3", "mg/dL", "2025-01-10") + creatinine("3", "b", "2", "mg/dL", "2026-01-11")
    resolved = ask(text, bindings=[bound("scr_mg_dL", query=QUERY)])
    assert resolved.values["scr_mg_dL"].tolist() == [3.0, 2.0]
    assert {f"{ID}observation/3"} <= set(resolved.sources["observation"].to_pylist())


def test_the_answer_of_a_binding_is_not_bounded_as_one_over_http_is(ask: Ask) -> None:
    names = [f"x{at}" for at in range(20)]
    text = "".join(patient(name) + creatinine(name, name, "1", "mg/dL", "2026-01-10") for name in names)
    assert ask(text, bindings=[bound("scr_mg_dL", query=QUERY)]).values["scr_mg_dL"].tolist() == [1.0] * 20


ENDLESS = (
    "SELECT ?entity ?value ?unit ?time WHERE { ?entity ?a ?b . ?c ?d ?e . ?f ?g ?h . ?i ?j ?k FILTER(?k = ?b + 1) }"
)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ENDLESS, "ran longer than 1 s"),
        ("ASK { ?s ?p ?o }", "SELECT was expected"),
        ("DELETE WHERE { ?s ?p ?o }", "not valid SPARQL|syntax"),
        ("SELECT ?entity ?value ?unit ?time { SERVICE <http://127.0.0.1:9/> { ?entity ?value ?unit } }", "SERVICE"),
        ("SELECT ?entity ?value { ?entity a ?value }", "no column unit, time"),
    ],
)
def test_a_query_that_cannot_be_used_is_a_failure_of_its_binding_by_name(ask: Ask, query: str, said: str) -> None:
    resolved = ask(patient("ada"), bindings=[bound("scr_mg_dL", query=query)], seconds=1.0)
    assert outcomes(resolved) == {"ada": Outcome.BINDING_MISSING}
    with pytest.raises(BadBinding, match=said):
        raise BadBinding(binding="x", symbol="scr_mg_dL", detail=resolved.failures[f"{ID}binding/x.scr_mg_dL"])
    assert value(resolved, "age_a", "ada") == 50.0, "the other bindings give what they give"


# ---- The clock of the model ------------------------------------------------------------------------------------------


def test_a_fit_counts_from_the_first_dose_and_keeps_what_is_below_the_limit(ask: Ask) -> None:
    text = patient("ada") + given("1", "ada", "administered-theophylline", "4.02", "mg/kg", "2026-01-10T08:00:00Z")
    concept = "plasma-concentration-theophylline"
    text += observed("1", "ada", concept, "10.5", "mg/L", "2026-01-10T09:30:00Z")
    text += observed("2", "ada", concept, "1000", "ug/L", "2026-01-11T08:00:00+01:00")
    text += observed("3", "ada", concept, "0.1", "mg/L", "2026-01-12T08:00:00Z", "pepr:hasCensoring censoring:left")
    text += observed("4", "ada", concept, "7", "mg/L", "2026-04-01T08:00:00Z")
    text += observed("5", "ada", concept, "7", "mg/L", "2026-01-10T07:00:00Z")
    resolved = ask(text, "theophylline", fit=True)
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert value(resolved, "dose_mg_per_kg", "ada") == 4.02
    assert resolved.origin.astype(str).tolist() == ["2026-01-10T08:00:00.000"]
    data = resolved.observations
    assert data is not None
    assert (data.patients, data.variables) == ((expand("patient:ada"),), ("conc",))
    assert data.time.ravel().tolist() == [1.5, 23.0, 48.0]
    assert data.value.ravel().tolist() == [10.5, 1.0, 0.1]
    assert data.censored.ravel().tolist() == [False, False, True]
    used = [row["observation"] for row in resolved.sources.to_pylist() if row["symbol"] == "conc"]
    assert used == [f"{ID}observation/{at}" for at in (1, 2, 3)]
    assert ask("", "theophylline").observations is None


def test_where_nobody_was_given_a_dose_the_models_own_is_given_at_the_start(ask: Ask) -> None:
    resolved = ask(patient("ada"), "theophylline", fit=True)
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED}
    assert resolved.origin.astype("datetime64[m]").astype(str).tolist() == ["2026-03-15T18:30"]
    assert resolved.observations is None


def test_all_doses_are_given_at_their_times_and_two_at_one_time_as_one(ask: Ask) -> None:
    drug = "administered-drug"
    text = patient("ada") + given("1", "ada", drug, "100", "mg", "2026-01-10T08:00:00Z")
    text += given("2", "ada", drug, "0.1", "g", "2026-01-10T20:00:00Z") + given(
        "3", "ada", drug, "50", "mg", "2026-01-10T20:00:00Z"
    )
    text += given("4", "ada", drug, "100", "mg", "2026-06-10T20:00:00Z")
    binding = Binding(f"{ID}binding/all", "amount_gut", f"{ID}variable/pk2-oral.amount_gut",
                      quantities=(f"{ID}quantity/{drug}",), selection="all")  # fmt: skip
    resolved = ask(text, "pk2-oral", bindings=[binding, bound("dose", "pk2-oral", value=0.0, unit="mg")])
    assert [(dose.patient, dose.symbol, dose.time, dose.amount) for dose in resolved.doses] == [
        (expand("patient:ada"), "amount_gut", 0.0, 100.0), (expand("patient:ada"), "amount_gut", 12.0, 150.0),
    ]  # fmt: skip
    assert [row["used"] for row in resolved.sources.to_pylist() if row["symbol"] == "amount_gut"] == [
        100.0,
        100.0,
        50.0,
    ]


def test_a_model_in_ages_counts_from_birth(ask: Ask) -> None:
    text = patient("ada", born='"1950-01-01"^^xsd:date') + observed("1", "ada", "mmse", "0.2", "1", "2024-07-01")
    text += "patient:born-unknown a pepr:Patient ; pepr:memberOfCohort cohort:test ; pepr:hasSex sex:male .\n"
    resolved = ask(text, "disease-course", fit=True)
    assert outcomes(resolved) == {"ada": Outcome.EVALUATED, "born-unknown": Outcome.BINDING_MISSING}
    assert [row["kind"] for row in problems(resolved)] == [Kind.NO_BIRTH]
    data = resolved.observations
    assert data is not None
    assert data.time[0, 0] == pytest.approx(74 + 182 / 366)


def test_errors_speak_both_languages() -> None:
    for error in (UnknownCohort(cohort="c"), UnknownEntity(entity="e", detail={"en": "x", "fr": "y"}),
                  BadBinding(binding="b", symbol="s", detail={"en": "x", "fr": "y"})):  # fmt: skip
        assert isinstance(error, PeprError)
        assert error.message("fr") != error.message("en")
