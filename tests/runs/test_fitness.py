"""Fit for a twin: which inputs of which models a described dataset has, and whether it may be used for them."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pepr_kg.namespaces import ID, ONTOLOGY_GRAPH, PROGRAMME_GRAPH
from pepr_kg.resources import ontology_dir
from pepr_kg.runs.errors import UnknownDataset
from pepr_kg.runs.fitness import Cover, Fitness, assess_dataset
from pepr_kg.runs.permission import DPV, DUO, Answer, Condition, Use, judge
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.twin.errors import UnknownModel
from tests.runs.clinic import published
from tests.runs.graphs import add_turtle, with_models

GRANT = "access-condition:grant a pepr:AccessCondition, pepr:Permission ; pepr:useCondition obo:DUO_0000042 .\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = with_models(tmp_path_factory.mktemp("models") / "data")
    with dataset.change(who="test", source="test") as change:
        change.load(ontology_dir() / "facts" / "themes.ttl", NamedNode(PROGRAMME_GRAPH))
        change.load(ontology_dir() / "schemes.ttl", NamedNode(ONTOLOGY_GRAPH))
        change.commit()
    return dataset.path


@dataclass(frozen=True)
class Assess:
    """Describe dataset:d, and say how fit it is for the models named, or for all."""

    dataset: Dataset

    def __call__(self, text: str, *names: str, use: Use | None = None, elements: str = "") -> tuple[Fitness, ...]:
        described = "dataset:d a pepr:Dataset ; pepr:hasAccessCondition access-condition:grant .\n" + GRANT + text
        view = add_turtle(self.dataset, described + "".join(map(element, elements.split())))
        return assess_dataset(view, "dataset:d", names or None, use)


@pytest.fixture
def assess(models: Path, tmp_path: Path) -> Assess:
    return Assess(Dataset(Path(shutil.copytree(models, tmp_path / "data"))))


def element(given: str) -> str:
    """Return a data element from CONCEPT=UNIT, or from CONCEPT where its unit is not said."""
    concept, _, unit = given.partition("=")
    quantity = f"<{concept}>" if "://" in concept else f"quantity:{concept}"
    name = concept.rstrip("/").rpartition("/")[2]
    code = f' ; pepr:unitCode "{unit}"' if unit else ""
    return f"""
dataset:d pepr:hasDataElement data-element:{name} .
data-element:{name} a pepr:DataElement ; pepr:quantity {quantity}{code} .
"""


def covers(fitness: Fitness) -> dict[str, Cover]:
    return {item.symbol: item.cover for item in fitness.inputs}


def test_each_input_is_covered_converted_wrong_or_lacking(assess: Assess) -> None:
    (score,) = assess("", "score2", elements="age=a sex systolic-blood-pressure=kPa total-cholesterol=mg/dL "
                      "hdl-cholesterol=kg smoker=1 diabetes=1")  # fmt: skip
    assert covers(score) == {
        "age_a": Cover.COVERED, "sex": Cover.COVERED, "smoker": Cover.COVERED, "sbp_mmHg": Cover.CONVERTED,
        "tchol_mmol_L": Cover.CONVERTED, "hdl_mmol_L": Cover.WRONG_UNIT, "region": Cover.LACKING,
        "diabetes": Cover.COVERED, "earlier_cvd": Cover.LACKING,
    }  # fmt: skip
    assert score.permission is Answer.YES
    assert not score.complete
    (wrong,) = score.of(Cover.WRONG_UNIT)
    assert wrong.detail is not None
    assert "kg does not convert to mmol/L" in wrong.detail["en"]
    assert "kg ne se convertit pas en mmol/L" in wrong.detail["fr"]
    pressure = next(item for item in score.inputs if item.symbol == "sbp_mmHg")
    assert pressure.factor == pytest.approx(7.50062, rel=1e-5)
    assert (wrong.data_element, wrong.found, wrong.unit) == (f"{ID}data-element/hdl-cholesterol", "kg", "mmol/L")
    optional = {item.symbol for item in score.inputs if not item.required}
    assert optional == {"diabetes", "earlier_cvd"}


def test_a_dataset_that_has_all_is_complete_also_by_the_names_of_others(assess: Assess) -> None:
    (renal,) = assess("", "ckd-epi-2021", elements="age=a sex http://loinc.org/rdf/2160-0=umol/L")
    assert covers(renal) == {"age_a": Cover.COVERED, "sex": Cover.COVERED, "scr_mg_dL": Cover.CONVERTED}
    assert renal.complete


def test_what_the_patient_says_is_no_matter_of_data_elements(assess: Assess) -> None:
    (renal,) = assess("", "ckd-epi-2021", elements="serum-creatinine=mg/dL")
    assert [item.symbol for item in renal.of(Cover.ELSEWHERE)] == ["age_a", "sex"]
    assert renal.complete


def test_of_two_data_elements_the_better_counts_and_a_unit_that_is_not_said_is_not_guessed(assess: Assess) -> None:
    (renal,) = assess("", "ckd-epi-2021", elements="serum-creatinine")
    (item,) = renal.of(Cover.WRONG_UNIT)
    assert item.detail is not None
    assert item.detail["en"] == "The dataset does not say its unit."
    (renal,) = assess("", "ckd-epi-2021", elements="http://loinc.org/rdf/2160-0=mg/dL")
    assert covers(renal)["scr_mg_dL"] is Cover.COVERED


def test_all_models_are_assessed_where_none_is_named(assess: Assess) -> None:
    found = {item.model.rpartition("/")[2]: item for item in assess("", elements="heart-rate=/min")}
    assert {"score2", "lv-windkessel", "heart-over-years", "two-scale-coupled"} <= set(found)
    assert covers(found["heart-over-years"])["HR"] is Cover.COVERED, "a coupled model takes what its parts take"
    assert covers(found["theophylline"])["dose_mg_per_kg"] in {Cover.LACKING, Cover.ELSEWHERE}


def test_unknown_names_are_refused(assess: Assess) -> None:
    with pytest.raises(UnknownModel, match="score2"):
        assess("", "scor2")
    with pytest.raises(UnknownDataset, match="dataset:other"):
        assess_dataset(assess.dataset.view(), "dataset:other")
    for name in ("a b", "dataset:a b", "https://a><https://b", "a\ud800"):
        with pytest.raises(UnknownDataset):
            assess_dataset(assess.dataset.view(), name)


def test_a_disease_permits_the_models_that_are_about_it_or_about_a_kind_of_it(assess: Assess) -> None:
    text = "access-condition:ds a pepr:Permission ; pepr:useCondition obo:DUO_0000007 ; "
    text += "pepr:limitedTo disease:cardiovascular-disease .\n"
    text += "dataset:e a pepr:Dataset ; pepr:hasAccessCondition access-condition:ds .\n"
    assess(text)
    view = assess.dataset.view()
    allowed = {
        item.model.rpartition("/")[2] for item in assess_dataset(view, "dataset:e") if item.permission is Answer.YES
    }
    assert "score2" in allowed
    assert not {"disease-course", "theophylline"} & allowed


def test_what_is_not_stated_is_told_from_what_is_not_permitted_and_neither_is_fit(assess: Assess) -> None:
    assess("dataset:bare a pepr:Dataset .\n")
    (fitness,) = assess_dataset(assess.dataset.view(), "bare", ["score2"])
    assert fitness.permission is Answer.UNSTATED
    assert "does not state what it may be used for" in fitness.rules[0].sentence["en"]
    assert "ne dit pas à quels usages" in fitness.rules[0].sentence["fr"]
    care = "access-condition:care a pepr:Permission ; pepr:useCondition obo:DUO_0000043 .\n"
    assess(care + "dataset:care a pepr:Dataset ; pepr:hasAccessCondition access-condition:care .\n")
    (fitness,) = assess_dataset(assess.dataset.view(), "dataset:care", ["score2"])
    assert fitness.permission is Answer.NO
    assert "what is not permitted is refused" in fitness.rules[-1].sentence["en"]
    closed = "dataset:closed a pepr:Dataset ; pepr:hasAccessLevel access-level:closed .\n"
    (fitness,) = assess_dataset(add_turtle(assess.dataset, closed), "dataset:closed", ["score2"])
    assert fitness.permission is Answer.NO, "a closed dataset says so"
    assert not fitness.fits


@pytest.mark.parametrize("name", ["theophylline", "warfarin"])
def test_the_published_cohorts_say_on_what_basis_they_are_used(assess: Assess, name: str) -> None:
    """No source gives a licence for its figures: a person judges, and is told why."""
    published(assess.dataset, name)
    (fitness,) = assess_dataset(assess.dataset.view(), name, [{"warfarin": "warfarin-pkpd"}.get(name, name)])
    assert fitness.permission is Answer.ASK
    assert fitness.complete
    assert fitness.fits
    said = [rule.sentence["en"] for rule in fitness.rules]
    assert any("no licence for the figures" in text or "a licence for the figures" in text for text in said)
    assert any("Cite the publication" in text for text in said)


def test_it_is_given_as_json_too(assess: Assess) -> None:
    (score,) = assess("", "score2", elements="age=a hdl-cholesterol=kg")
    found = json.loads(json.dumps(score.to_dict()))
    assert (found["model"], found["fits"], found["permission"]) == (f"{ID}model/score2", False, "yes")
    (wrong,) = [item for item in found["inputs"] if item["cover"] == "wrong-unit"]
    assert "does not convert" in wrong["detail"]["en"]
    assert wrong["label"]["fr"] == "cholestérol HDL"


@pytest.mark.parametrize(("level", "permitted", "said"), [
    ("open", True, None), ("registered", True, "register"), ("controlled", True, "ask the holder"),
    ("closed", False, "closed"),
])  # fmt: skip
def test_the_access_level_counts(assess: Assess, level: str, permitted: bool, said: str | None) -> None:
    (fitness,) = assess(f"dataset:d pepr:hasAccessLevel access-level:{level} .\n", "score2")
    assert (fitness.permission is Answer.YES) is permitted
    assert said is None or any(said in rule.sentence["en"] for rule in fitness.rules)


def test_who_withdrew_is_to_be_left_out_and_where_all_did_nothing_is_permitted(assess: Assess) -> None:
    def consent(name: str, status: str, day: str) -> str:
        when = "withdrawnOn" if status == "withdrawn" else "decidedOn"
        return f"""
consent:{name}{status} a pepr:Consent ; pepr:consentOf patient:{name} ; pepr:coversDataset dataset:d ;
  pepr:hasConsentStatus consent-status:{status} ; pepr:{when} "{day}"^^xsd:date .
"""

    (fitness,) = assess(consent("a", "withdrawn", "2025-01-01"), "score2")
    assert fitness.permission is Answer.NO
    (fitness,) = assess(consent("b", "given", "2025-01-01"), "score2")
    assert fitness.permission is Answer.YES
    assert any("1 of 2" in rule.sentence["en"] and "1 sur 2" in rule.sentence["fr"] for rule in fitness.rules)
    (fitness,) = assess("dataset:d pepr:individualCount 40 .\n", "score2")
    assert any("1 of 40" in rule.sentence["en"] for rule in fitness.rules), "nothing speaks against the others"
    (fitness,) = assess(consent("a", "given", "2025-06-01"), "score2")
    assert not any("consent" in rule.sentence["en"] for rule in fitness.rules)


@pytest.mark.parametrize(
    ("condition", "permitted"),
    [
        ("pepr:Permission ; pepr:useCondition obo:DUO_0000042 ; pepr:limitedTo project:digphat", True),
        ("pepr:Permission ; pepr:useCondition obo:DUO_0000042 ; pepr:limitedTo project:smatch", False),
        ("pepr:Permission ; pepr:limitedTo project:digphat", True),
        ("pepr:Permission ; pepr:hasPurpose <https://w3id.org/dpv#ScientificResearch>", True),
        ("pepr:Permission ; pepr:useCondition obo:DUO_0000042 . access-condition:more a pepr:Prohibition ; "
         "pepr:limitedTo project:digphat", False),
        ("pepr:Permission ; pepr:useCondition obo:DUO_0000042 . access-condition:more a pepr:Prohibition ; "
         "pepr:limitedTo project:smatch", True),
        ("pepr:Obligation ; pepr:useCondition obo:DUO_0000019", False),
    ],
)  # fmt: skip
def test_a_condition_may_be_limited_to_a_project(assess: Assess, condition: str, permitted: bool) -> None:
    text = "dataset:l a pepr:Dataset ; pepr:hasAccessCondition access-condition:limited"
    text += ", access-condition:more .\n" if "more" in condition else " .\n"
    assess(f"{text}access-condition:limited a {condition} .\n")
    (fitness,) = assess_dataset(assess.dataset.view(), "dataset:l", ["ckd-epi-2021"])  # stands for project:digphat
    assert (fitness.permission is Answer.YES) is permitted


RESEARCH = Use()
COMMERCIAL = Use(commercial=True, for_profit=True)
CARE = Use(care=True)
METHODS = Use(methods=True)


@pytest.mark.parametrize(
    ("kind", "code", "use", "answer"),
    [
        ("Permission", "0000004", CARE, Answer.YES), ("Permission", "0000042", RESEARCH, Answer.YES),
        ("Permission", "0000042", CARE, Answer.NO), ("Permission", "0000006", RESEARCH, Answer.YES),
        ("Permission", "0000007", RESEARCH, Answer.NO), ("Permission", "0000011", RESEARCH, Answer.NO),
        ("Permission", "0000043", RESEARCH, Answer.NO), ("Permission", "0000043", CARE, Answer.YES),
        ("Permission", "0000015", METHODS, Answer.NO), ("Prohibition", "0000015", RESEARCH, Answer.YES),
        ("Permission", "0000016", RESEARCH, Answer.NO), ("Permission", "0000018", COMMERCIAL, Answer.NO),
        ("Permission", "0000018", RESEARCH, Answer.YES), ("Prohibition", "0000046", COMMERCIAL, Answer.NO),
        ("Permission", "0000045", COMMERCIAL, Answer.NO), ("Permission", "0000045", RESEARCH, Answer.YES),
        ("Permission", "0000044", RESEARCH, Answer.YES), ("Prohibition", "0000042", RESEARCH, Answer.NO),
        ("Prohibition", "0000043", RESEARCH, Answer.YES), ("Obligation", "0000021", RESEARCH, Answer.ASK),
        ("Permission", "0000019", RESEARCH, Answer.ASK), ("Obligation", "9999999", RESEARCH, Answer.ASK),
        ("Permission", "0000027", RESEARCH, Answer.ASK), ("Permission", "0000022", Use(place="urn:here"), Answer.ASK),
    ],
)  # fmt: skip
def test_terms_of_duo_are_judged(kind: str, code: str, use: Use, answer: Answer) -> None:
    rule = judge(Condition("c", kind, DUO + code), use, frozenset())
    assert rule.answer is answer
    assert rule.sentence["en"] != rule.sentence["fr"]
    assert not (rule.grants and rule.refuses)


def test_restrictions_to_a_project_an_organisation_or_a_place() -> None:
    limits = frozenset({f"{ID}project/rewind"})
    condition = Condition("c", "Permission", f"{DUO}0000027", limits=limits)
    assert judge(condition, RESEARCH, limits).answer is Answer.YES, "the model stands for the project"
    assert judge(condition, Use(project=f"{ID}project/rewind"), frozenset()).answer is Answer.YES
    assert judge(condition, RESEARCH, frozenset({f"{ID}project/bht"})).refuses
    place = Condition("c", "Permission", f"{DUO}0000022", limits=frozenset({f"{ID}place/france"}))
    assert judge(place, Use(place=f"{ID}place/france"), frozenset()).answer is Answer.YES
    assert judge(place, Use(place=f"{ID}place/elsewhere"), frozenset()).refuses
    assert judge(place, RESEARCH, frozenset()).answer is Answer.ASK, "nobody said where"


@pytest.mark.parametrize(
    ("kind", "purpose", "use", "answer"),
    [
        ("Permission", "ScientificResearch", RESEARCH, Answer.YES), ("Permission", "Marketing", RESEARCH, Answer.NO),
        ("Prohibition", "CommercialResearch", COMMERCIAL, Answer.NO),
        ("Prohibition", "CommercialResearch", RESEARCH, Answer.YES),
        ("Permission", "AcademicResearch", COMMERCIAL, Answer.NO),
    ],
)  # fmt: skip
def test_purposes_of_dpv_are_judged(kind: str, purpose: str, use: Use, answer: Answer) -> None:
    assert judge(Condition("c", kind, purposes=frozenset({DPV + purpose})), use, frozenset()).answer is answer


def test_a_condition_in_words_is_handed_to_a_person_in_both_languages() -> None:
    rule = judge(Condition("c", "Permission", text={"en": "Ask Jo.", "fr": "Demandez à Jo."}), RESEARCH, frozenset())
    assert (rule.answer, rule.sentence["en"]) == (Answer.ASK, "A person must judge this condition: Ask Jo.")
    assert rule.sentence["fr"].endswith("Demandez à Jo.")
    assert not rule.grants


def test_a_permission_in_words_leaves_the_answer_to_a_person(assess: Assess) -> None:
    assess('dataset:w a pepr:Dataset ; pepr:hasAccessCondition access-condition:w . access-condition:w a '
           'pepr:Permission ; pepr:conditionText "Ask Jo."@en , "Demandez à Jo."@fr .\n')  # fmt: skip
    (fitness,) = assess_dataset(assess.dataset.view(), "dataset:w", ["score2"])
    assert fitness.permission is Answer.ASK


def test_a_permission_of_something_else_refuses_nothing(assess: Assess) -> None:
    text = "access-condition:care a pepr:Permission ; pepr:useCondition obo:DUO_0000043 .\n"
    (fitness,) = assess(text + "dataset:d pepr:hasAccessCondition access-condition:care .\n", "score2")
    assert fitness.permission is Answer.YES
