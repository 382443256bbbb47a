"""Every stored query is a test: its example runs and gives the columns and the first row that its header declares."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.errors import BadQuestion, ParameterTypeError, UnknownParameter, UnknownQuestion
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import shrink
from pepr_kg.questions import Parameter, Question, ask, find_question, load_questions, render
from pepr_kg.store import Literal, NamedNode, Table, View

ALL = [question for question in load_questions().values() if question.finding is None]
# What needs a cohort and a run is asked in tests/runs/test_twin_queries.py.
QUESTIONS = [question for question in ALL if "\n# needs: run\n" not in question.sparql]
ASKERS = {"programme-officer", "data-engineer", "modeller", "ontology-engineer", "developer"}


def shown(value: object) -> str:
    return (shrink(value.value) or value.value) if isinstance(value, NamedNode) else value.value  # type: ignore[attr-defined]


def test_there_are_at_least_forty() -> None:
    assert len(QUESTIONS) >= 40


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_the_example_gives_its_declared_first_row(view: View, question: Question) -> None:
    table = ask(view, question, question.example, "en")
    assert table.columns == question.columns
    if not question.first_row:
        assert "empty answer" in question.sparql, "a query without rows says what an empty answer means"
        assert not table.rows
        return
    row = next(table.iter_dicts())
    assert {name: shown(row[name]) for name in question.first_row} == dict(question.first_row)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_it_answers_in_french_with_as_many_rows(view: View, question: Question) -> None:
    french, english = (ask(view, question, question.example, lang) for lang in LANGUAGES)
    assert len(french) == len(english)


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.name)
def test_its_header_is_whole(question: Question) -> None:
    assert question.asker in ASKERS
    assert question.title["fr"] != question.title["en"]
    assert question.first_row or "empty answer" in question.sparql
    for parameter in question.parameters:
        parameter.term(parameter.default)
        assert set(parameter.label) == set(LANGUAGES)
    assert len(set(question.example) - {parameter.name for parameter in question.parameters}) == 0


def test_a_parameter_is_bound_and_never_pasted(view: View) -> None:
    question = find_question("statement")
    attack = '" } DELETE WHERE { ?s ?p ?o } #'
    assert not ask(view, question, {"identifier": attack}, "en").rows


@given(st.text())
def test_any_text_is_a_string_parameter(value: str) -> None:
    term = Parameter("p", "string", "", {}).term(value)
    assert isinstance(term, Literal)
    assert term.value == value.strip()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", "12", "12.5"), ("integer", "-3", "douze"), ("decimal", "0.001", "NaN"), ("decimal", "5", "1,5"),
        ("date", "2024-03-06", "06/03/2024"), ("lang", "fr", "de"), ("iri", "project:smatch", "smatch"),
        ("iri", "https://example.org/a", "https://example.org/a b"), ("iri", "urn:x:y", "foo:bar"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_with_what_was_expected(kind: str, good: str, bad: str) -> None:
    parameter = Parameter("p", kind, good, {})
    assert parameter.term(good)
    with pytest.raises(ParameterTypeError, match="expected") as caught:
        parameter.term(bad)
    assert "mais il faut" in caught.value.message("fr")


@pytest.mark.parametrize("programme", ["research-programme:9", "project:smatch"])
def test_an_individual_of_another_kind_is_refused_not_answered_with_nothing(view: View, programme: str) -> None:
    question = find_question("projects-of-programme")
    with pytest.raises(ParameterTypeError, match="such as research-programme:1") as caught:
        ask(view, question, {"programme": programme}, "en")
    assert "tel que research-programme:1" in caught.value.message("fr")


def test_an_unknown_query_names_the_nearest() -> None:
    with pytest.raises(UnknownQuestion, match="projects-of-programme"):
        find_question("project-of-programme")


def test_an_unknown_parameter_names_the_known() -> None:
    with pytest.raises(UnknownParameter, match="identifier, lang"):
        find_question("statement").bind({"id": "seed-001"}, "en")


@pytest.mark.parametrize(
    "header",
    ["# title-en: only English\n", "# title-fr: a\n# title-en: b\n# asker: c\n# columns: d\n# param: x\n"],
)
def test_a_broken_header_is_named(tmp_path: Path, header: str) -> None:
    (tmp_path / "programme").mkdir()
    (tmp_path / "programme" / "broken.rq").write_text(header + "SELECT * {}", encoding="utf-8")
    with pytest.raises(BadQuestion, match=r"broken\.rq, line"):
        load_questions(tmp_path)


TABLE = Table(("a", "b"), ((NamedNode("urn:x"), None), (Literal("é|, \n\"", language="fr"), Literal(3))))


def test_csv_reads_back() -> None:
    assert list(csv.reader(io.StringIO(render(TABLE, "csv")))) == [["a", "b"], ["urn:x", ""], ["é|, \n\"", "3"]]


def test_json_is_sparql_results_json() -> None:
    answer = json.loads(render(TABLE, "json"))
    assert answer["head"] == {"vars": ["a", "b"]}
    assert answer["results"]["bindings"][1] == {
        "a": {"type": "literal", "value": "é|, \n\"", "xml:lang": "fr"},
        "b": {"type": "literal", "value": "3", "datatype": "http://www.w3.org/2001/XMLSchema#integer"},
    }


def test_markdown_keeps_its_cells_apart() -> None:
    assert render(TABLE, "markdown").splitlines()[3] == "| é\\|,  \" | 3 |"
