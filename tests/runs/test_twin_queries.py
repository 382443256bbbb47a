"""The stored queries from patients to predictions and back, on the demonstration cohort and a run."""

from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc
import pytest

from pepr_kg.cohorts import load_demo
from pepr_kg.language import LANGUAGES
from pepr_kg.models.description import describe_builtin
from pepr_kg.models.registry import Registered, find_model
from pepr_kg.namespaces import MODELS_GRAPH, ONTOLOGY_GRAPH, PROGRAMME_GRAPH, SHAPES_GRAPH, expand, shrink
from pepr_kg.questions import Question, ask, find_question, load_questions
from pepr_kg.resources import ontology_dir, shapes_dir
from pepr_kg.runs.binding import resolve
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.runs.resolved import Resolved
from pepr_kg.store import Dataset, Literal, NamedNode, Quad, Term, View, parse_file

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
NEEDING = [question for question in load_questions().values() if "\n# needs: run\n" in question.sparql]
GRAPHS = {"facts": PROGRAMME_GRAPH, "models": MODELS_GRAPH}


Ready = tuple[Dataset, str]  # with the demonstration cohort, and the identifier of a run on it


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    dataset = Dataset(tmp_path_factory.mktemp("twins") / "data")
    quads: list[Quad] = [*describe_builtin()]
    for path in sorted(ontology_dir().rglob("*.ttl")):
        if path.parent.name != "cohorts":
            quads += parse_file(path, NamedNode(GRAPHS.get(path.parent.name, ONTOLOGY_GRAPH)))
    for path in sorted(shapes_dir().glob("*.ttl")):
        quads += parse_file(path, NamedNode(SHAPES_GRAPH))
    with dataset.change(who="test", source="test") as change:
        change.add(quads)
        change.commit()
    load_demo(dataset, patients=40)
    run = evaluate(dataset, Request("score2", cohort="demo", as_of=AS_OF))
    return dataset, run.id


@pytest.fixture
def view(evaluated: Ready) -> View:
    return evaluated[0].view()


def answer(view: View, name: str, lang: str = "en", **raw: str) -> list[dict[str, str]]:
    return [
        {key: shown(term) for key, term in row.items()}
        for row in ask(view, find_question(name), raw, lang).iter_dicts()
    ]


def shown(term: Term | None) -> str:
    if isinstance(term, NamedNode):
        return shrink(term.value) or term.value
    return term.value if isinstance(term, Literal) else ""


def resolved_of(evaluated: Ready, model: str) -> tuple[Registered, Resolved]:
    dataset = evaluated[0]
    registered = find_model(dataset.view(), model, dataset.path)
    assert isinstance(registered, Registered)
    return registered, resolve(dataset.view(), registered, cohort="demo", as_of=AS_OF, fit=False)


@pytest.mark.parametrize("model", ["score2", "ckd-epi-2021", "phases", "cha2ds2-vasc"])
def test_the_query_says_of_everybody_what_the_bindings_say(evaluated: Ready, view: View, model: str) -> None:
    rows = answer(view, "evaluable-patients", model=f"model:{model}")
    registered, resolved = resolved_of(evaluated, model)
    assert [expand(row["patient"]) for row in rows] == resolved.entities.to_pylist()
    lacking = np.zeros(len(rows), np.int64)
    for flags in resolved.lacks.values():
        lacking += flags
    assert [len(row["lacks"].split("; ")) if row["lacks"] else 0 for row in rows] == lacking.tolist()
    assert [row["evaluable"] == "true" for row in rows] == (lacking == 0).tolist()
    assert {row["model"] for row in rows} == {f"model:{registered.name}"}


def test_what_is_lacking_is_named_in_the_language_of_the_reader(view: View) -> None:
    lacking = {lang: {row["lacks"] for row in answer(view, "evaluable-patients", lang)} for lang in LANGUAGES}
    assert "total cholesterol" in lacking["en"]
    assert "cholestérol total" in lacking["fr"]


def test_later_observations_do_not_count(view: View) -> None:
    assert not any(row["evaluable"] == "true" for row in answer(view, "evaluable-patients", asOf="1990-01-01"))


def test_a_figure_is_walked_back_to_observations_file_and_publication(evaluated: Ready, view: View) -> None:
    run = evaluated[1]
    (first, *_) = [row["prediction"] for row in answer(view, "programme-to-prediction")]
    rows = answer(view, "prediction-origin", prediction=first)
    assert {(row["run"], row["model"], row["file"]) for row in rows} == {
        (f"evaluation:{run}", "model:score2", "score2.xml")
    }
    assert all(row["digest"].startswith("sha256:") and "Eur Heart J 2021" in row["publication"] for row in rows)
    (patient,) = {row["patient"] for row in rows}
    _, resolved = resolved_of(evaluated, "score2")
    place = resolved.entities.to_pylist().index(expand(patient))
    used = resolved.sources.filter(pc.equal(resolved.sources["entity"], place))
    assert sorted(expand(row["observation"]) for row in rows) == sorted(pc.drop_null(used["observation"]).to_pylist())
    pressure = next(row for row in rows if row["what"] == "systolic blood pressure")
    assert float(pressure["value"]) > 50
    assert pressure["unit"] == "mm[Hg]"
    assert pressure["time"].startswith("20")


def test_a_concept_without_a_label_is_named_by_itself(evaluated: Ready, view: View) -> None:
    first = answer(view, "programme-to-prediction")[0]["prediction"]
    used = next(
        row for row in answer(view, "prediction-origin", prediction=first) if row["what"].startswith("systolic")
    )
    code = NamedNode("http://loinc.org/rdf/8480-6")
    with evaluated[0].change(who="test", source="test") as change:
        change.add([Quad(NamedNode(expand(used["observation"])), NamedNode(expand("sosa:observedProperty")), code,
                         NamedNode(expand("cohort:demo")))])  # fmt: skip
        now = change.commit()
    rows = answer(now, "prediction-origin", prediction=first)
    assert {row["what"] for row in rows} >= {used["what"], code.value}


def test_only_what_was_withdrawn_or_superseded_does_not_count(evaluated: Ready, view: View) -> None:
    rows = answer(view, "evaluable-patients")
    patient = next(row["patient"] for row in rows if row["evaluable"] == "true")
    observed = [quad.subject for quad in view.quads(None, NamedNode(expand("sosa:hasFeatureOfInterest")),
                NamedNode(expand(patient))) if "/observation/" in str(quad.subject)]  # fmt: skip
    for status, fine in (("current", True), ("withdrawn", False)):
        said = [Quad(one, NamedNode(expand("pepr:hasResultStatus")), NamedNode(expand(f"result-status:{status}")),
                     NamedNode(expand("cohort:demo"))) for one in observed]  # fmt: skip
        found = answer(view.plus(said), "evaluable-patients")
        assert next(row["evaluable"] == "true" for row in found if row["patient"] == patient) is fine


def test_an_amount_of_the_programme_leads_to_a_prediction(evaluated: Ready, view: View) -> None:
    rows = answer(view, "programme-to-prediction")
    row = next(
        row for row in rows if row["parameter"] == "variable:score2.sbp_mmHg" and row["standsFor"] == "project:rewind"
    )
    assert (row["value"], row["currency"], row["programme"]) == ("60000000", "EUR", "programme:pepr-sante-numerique")
    assert (row["model"], row["unit"], row["run"]) == ("model:score2", "mm[Hg]", f"evaluation:{evaluated[1]}")
    assert int(row["predictions"]) > 0
    assert {row["standsFor"] for row in rows} == {"project:rewind", "project:project-15"}
    assert not answer(view, "prediction-origin"), "the example names no prediction of this dataset"


def test_a_dataset_is_compared_with_the_inputs_of_models(view: View) -> None:
    rows = {row["element"]: row for row in answer(view, "dataset-fit")}
    creatinine = rows["variable:ckd-epi-2021.scr_mg_dL"]
    assert (creatinine["unit"], creatinine["expected"], creatinine["required"]) == ("umol/L", "mg/dL", "true")
    assert creatinine["dataElement"] == "data-element:demo.serum-creatinine"


@pytest.mark.parametrize("question", NEEDING, ids=lambda question: question.name)
def test_every_question_that_needs_a_run_answers_alike_in_both_languages(view: View, question: Question) -> None:
    tables = [ask(view, question, question.example, lang) for lang in LANGUAGES]
    assert tables[0].columns == question.columns
    assert len(tables[0]) == len(tables[1])
    assert len(tables[0]) or "empty answer" in question.sparql
    assert question.title["fr"] != question.title["en"]
