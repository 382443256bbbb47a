"""Why a patient is set aside: a sentence in both languages that names the element, the observations and the dates."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pepr_kg.language import LANGUAGES, Language
from pepr_kg.models.registry import Binding, Registered, find_model
from pepr_kg.namespaces import ID, RUN
from pepr_kg.runs.binding import Resolved, resolve
from pepr_kg.runs.provenance import _say_reasons
from pepr_kg.runs.reasons import explain
from pepr_kg.runs.writing import Document
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, Literal, NamedNode, parse_file
from tests.runs.graphs import COHORT_TEST, add_turtle, given, observed, patient, with_models

AS_OF = datetime(2026, 3, 15, 18, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return with_models(tmp_path_factory.mktemp("models") / "data")


def creatinine(name: str, value: str, unit: str | None, at: str) -> str:
    return observed(name, name, "serum-creatinine", value, unit, at)


PATIENTS = (
    patient("fine") + creatinine("fine", "1", "mg/dL", "2026-01-01")
    + patient("missing")
    + patient("old") + creatinine("old", "1", "mg/dL", "2024-01-01")
    + patient("late") + creatinine("late", "1", "mg/dL", "2026-04-01")
    + patient("two") + creatinine("two", "1", "mg/dL", "2026-01-01")
    + observed("three", "two", "serum-creatinine", "2", "mg/dL", "2026-01-01")
    + patient("bare") + creatinine("bare", "1", None, "2026-01-01")
    + patient("pressure") + creatinine("pressure", "1", "mm[Hg]", "2026-01-01")
    + patient("below") + creatinine("below", "-1.5", "mg/dL", "2026-01-01")
    + patient("other", sex="sex:other") + creatinine("other", "1", "mg/dL", "2026-01-01")
    + patient("coded") + creatinine("coded", "sex:male", None, "2026-01-01")
    + patient("away") + creatinine("away", "1", "mg/dL", "2026-01-01")
    + "consent:a a pepr:Consent ; pepr:consentOf patient:away ; pepr:hasConsentStatus consent-status:withdrawn ;"
    + ' pepr:withdrawnOn "2025-01-01"^^xsd:date .\n'
    + "patient:unborn a pepr:Patient ; pepr:memberOfCohort cohort:test ; pepr:hasSex sex:male .\n"
    + creatinine("unborn", "1", "mg/dL", "2026-01-01")
)  # fmt: skip
SAID = {
    "missing": "Serum creatinine: there is no observation of serum creatinine; one from 15 March 2025 to 15 March 2026 "
    "would do.",
    "old": "Serum creatinine: the latest observation of serum creatinine is of 1 January 2024, which is too old; one "
    "from 15 March 2025 to 15 March 2026 would do.",
    "late": "Serum creatinine: the only observation of serum creatinine is of 1 April 2026, after the date of the "
    "evaluation; one from 15 March 2025 to 15 March 2026 would do.",
    "two": "Serum creatinine: observation:three and observation:two give two values for one time; correct or withdraw "
    "one of them.",
    "bare": "Serum creatinine: observation:bare has no unit; add it.",
    "pressure": "Serum creatinine: the unit of observation:pressure cannot be used. scr_mg_dL: mm[Hg] does not convert "
    "to mg/dL: a pressure is not a mass concentration.",
    "below": "Serum creatinine: -1.5 mg/dL lies outside what the model takes, more than 0 and at most 50 mg/dL.",
    "other": 'Sex: the model does not know "other sex"; it was established for male, female only.',
    "coded": "Serum creatinine: what was found is no number: male.",
    "away": "Consent to the use of the data was refused, withdrawn, or has run out.",
    "unborn": "Age: the graph does not say this of the patient: birth date.",
}
DIT = {
    "missing": "Créatinine sérique : aucune observation de la grandeur « créatinine sérique » ; il en faudrait une "
    "faite du 15 mars 2025 au 15 mars 2026.",
    "old": "Créatinine sérique : la dernière observation de la grandeur « créatinine sérique » date du 1er janvier "
    "2024, ce qui est trop ancien ; il en faudrait une faite du 15 mars 2025 au 15 mars 2026.",
    "below": "Créatinine sérique : -1,5 mg/dL est hors de ce que le modèle admet, plus de 0 et au plus 50 mg/dL.",
    "unborn": "Âge : le graphe ne donne pas ceci pour ce patient : date de naissance.",
}


def ask(
    dataset: Dataset, text: str, name: str, *, cohort: str = "test", bindings: tuple[Binding, ...] = (),
    fit: bool = False,
) -> tuple[Resolved, Mapping[Language, list[dict[str, object]]]]:  # fmt: skip
    view = add_turtle(dataset, COHORT_TEST + text)
    registered = find_model(view, name, dataset.path)
    assert isinstance(registered, Registered)
    registered = replace(registered, bindings=(*registered.bindings, *bindings))
    settings = Settings(binding_seconds=10.0)
    resolved = resolve(view, registered, cohort=cohort, as_of=AS_OF, fit=fit, settings=settings)
    tables = {lang: explain(resolved, registered, view, lang, noted=True).to_pylist() for lang in LANGUAGES}
    assert len(tables["fr"]) == len(tables["en"])
    return resolved, tables


def by_patient(rows: list[dict[str, object]]) -> dict[str, str]:
    return {str(row["patient"]).rpartition("/")[2]: str(row["reason"]) for row in rows}


def test_each_reason_names_what_would_do_instead(dataset: Dataset) -> None:
    resolved, tables = ask(dataset, PATIENTS, "ckd-epi-2021")
    assert by_patient(tables["en"]) == SAID
    assert {name: by_patient(tables["fr"])[name] for name in DIT} == DIT
    assert {row["entity"] for row in tables["en"]} == set(range(12)) - set(resolved.evaluable.tolist())
    old = next(row for row in tables["en"] if str(row["patient"]).endswith("/old"))
    assert (str(old["latest"]), str(old["since"])) == ("2024-01-01 00:00:00", "2025-03-15 00:00:00")
    assert old["observation"] == f"{ID}observation/old"
    assert (old["model"], old["symbol"], old["element"]) == (f"{ID}model/ckd-epi-2021", "scr_mg_dL", "Serum creatinine")


def test_what_has_no_value_is_said_to_have_none(dataset: Dataset) -> None:
    names = {"nan": '"NaN"^^xsd:double', "none": None, "infinite": '"INF"^^xsd:double'}
    text = "cohort:valueless a pepr:Cohort .\n"
    for name, value in names.items():
        seen = creatinine(name, "1", "mg/dL", "2026-01-01")
        text += patient(name) + seen.replace("pepr:numericValue 1 ;", f"pepr:numericValue {value} ;" if value else "")
    _, tables = ask(dataset, text.replace("cohort:test", "cohort:valueless"), "ckd-epi-2021", cohort="valueless")
    said = by_patient(tables["en"])
    assert said["nan"] == said["none"] == "Serum creatinine: what was found is no number: missing value."
    assert said["infinite"].startswith("Serum creatinine: ∞ mg/dL lies outside")
    assert by_patient(tables["fr"])["nan"].endswith("n’est pas un nombre : valeur absente.")
    text = patient("sexless", sex='"NaN"').replace("cohort:test", "cohort:sexless") + "cohort:sexless a pepr:Cohort .\n"
    _, tables = ask(dataset, text, "ckd-epi-2021", cohort="sexless")
    reasons = " ".join(str(row["reason"]) for row in tables["fr"])
    assert "Sexe : le modèle ne connaît pas « valeur absente » ;" in reasons
    assert "nan" not in reasons.lower()


def test_a_failed_binding_says_why_to_each_of_its_patients(dataset: Dataset) -> None:
    text = patient("q").replace("cohort:test", "cohort:failed") + "cohort:failed a pepr:Cohort .\n"
    binding = Binding(f"{ID}binding/x", "Emax", f"{ID}parameter/lv-windkessel.Emax", query="ASK { ?s ?p ?o }")
    _, tables = ask(dataset, text, "lv-windkessel", cohort="failed", bindings=(binding,))
    assert "its binding gave nothing: a SELECT was expected." in str(tables["en"][0]["reason"])
    assert "sa liaison n’a rien donné : une requête SELECT était attendue." in str(tables["fr"][0]["reason"])


def test_ages_conditions_and_births_speak_too(dataset: Dataset) -> None:
    text = patient("child", born='"2015-01-01"^^xsd:date') + patient("nobirth", born='"?"')
    text = (
        text.replace("cohort:test", "cohort:ages").replace('pepr:birthDate "?" ;', "") + "cohort:ages a pepr:Cohort .\n"
    )
    _, tables = ask(dataset, text, "lv-windkessel", cohort="ages")
    assert by_patient(tables["en"]) == {"child": "The model is not meant for an age of 11.2 years: too young."}
    _, tables = ask(dataset, "", "disease-course", cohort="ages")
    assert by_patient(tables["fr"])["nobirth"].startswith("La date de naissance est inconnue")
    flags = ("heart-failure", "hypertension", "diabetes", "earlier-stroke", "vascular-disease", "atrial-fibrillation")
    text = "".join(observed(f"child-{flag}", "child", flag, "0", "1", "2026-01-10") for flag in flags)
    _, tables = ask(dataset, text, "cha2ds2-vasc", cohort="ages")
    reason = by_patient(tables["en"])["child"]
    assert "for those who have this: atrial fibrillation; observation:child-atrial-fibrillation says" in reason


def test_what_a_fit_leaves_out_is_noted_and_sets_nobody_aside(dataset: Dataset) -> None:
    concept = "plasma-concentration-theophylline"
    text = patient("fit") + given("f", "fit", "administered-theophylline", "4", "mg/kg", "2026-01-10T08:00:00Z")
    text += observed("f1", "fit", concept, "30", "mg/L", "2026-01-10T09:00:00Z", "pepr:hasCensoring censoring:right")
    text += observed("f2", "fit", concept, "10", "mg/L", "2026-01-10T10:00:00Z")
    text = text.replace("cohort:test", "cohort:fit") + "cohort:fit a pepr:Cohort .\n"
    resolved, tables = ask(dataset, text, "theophylline", cohort="fit", fit=True)
    assert resolved.evaluable.tolist() == [0]
    assert resolved.observations is not None
    assert resolved.observations.value.ravel().tolist() == [10.0]
    assert "observation:f1 of 10 January 2026 is left out" in str(tables["en"][0]["reason"])


def test_a_text_of_several_lines_is_a_reason_all_the_same(tmp_path: Path) -> None:
    said = 'former\tsmoker\r\nsays "\\stopped"'
    with Document(tmp_path) as document:
        _say_reasons(document, "0", np.array([3]), pa.array([said]), "en", end=9)
    (quad,) = parse_file(document.specimen, NamedNode(RUN + "0"))
    assert quad.object == Literal(said, language="en")
