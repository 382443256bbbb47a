"""The stored questions about models: which there are, what one is made of, which scales of an objective have one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pepr_kg.models.addition import add_model
from pepr_kg.namespaces import ID, shrink
from pepr_kg.questions import ask, load_questions
from pepr_kg.store import Dataset, NamedNode, Term, View
from tests.models.small_sbml import glucose


def rows(view: View, name: str, lang: str = "en", **given: str) -> list[dict[str, str]]:
    table = ask(view, load_questions()[name], given, lang)
    return [{column: shown(term) for column, term in row.items()} for row in table.iter_dicts()]


def shown(term: Term) -> str:
    return shrink(term.value) or term.value if isinstance(term, NamedNode) else term.value


@pytest.mark.parametrize("name", ["models", "model-elements", "objective-scales-and-models"])
def test_the_first_row_is_the_declared_one_in_both_languages(name: str, seen: View) -> None:
    question = load_questions()[name]
    expected: Mapping[str, str] = question.first_row
    first = rows(seen, name, **question.example)[0]
    found = {column: value.strip('"') for column, value in expected.items()}
    assert {column: first[column] for column in expected} == found
    assert rows(seen, name, "fr", **question.example)[0].get("label") != first["label"]


def test_the_scales_of_the_first_objective_that_have_a_model_and_those_that_have_none(seen: View) -> None:
    found = {row["scale"]: row for row in rows(seen, "objective-scales-and-models")}
    assert list(found)[:2] == ["level:subcellular", "level:cell"]
    assert (found["level:cell"]["count"], "Hodgkin" in found["level:cell"]["models"]) == ("1", True)
    assert (found["level:subcellular"]["count"], "models" in found["level:subcellular"]) == ("0", False)
    assert int(found["time-scale:year"]["count"]) > 3
    assert found["time-scale:minute"]["count"] == "0"
    assert "time-scale:microsecond" not in found  # it only touches what the objective aims at
    assert "level:organ-system" not in found


def test_an_added_model_stands_among_the_others(own: Dataset, tmp_path: Path) -> None:
    source = tmp_path / "glucose.xml"
    source.write_bytes(glucose())
    view = add_model(
        own, source, who="test", check=lambda view: None, project="digphat", levels=["subcellular"],
        time_scales=["minute"],
    ).view  # fmt: skip
    listed = {row["model"]: row for row in rows(view, "models")}["model:glucose"]
    assert (listed["label"], listed["timeUnit"], listed["standsFor"]) == ("Use of glucose", "min", "DIGPHAT")
    elements = {row["symbol"]: row for row in rows(view, "model-elements", model="model:glucose")}
    assert (elements["glucose"]["unit"], elements["glucose"]["label"]) == ("mmol/L", "glucose in blood")
    assert "unit" not in elements["factor"]
    assert elements["given"]["element"] == "variable:glucose.given"
    found = {row["scale"]: row for row in rows(view, "objective-scales-and-models", objective=f"{ID}objective/1")}
    assert (found["level:subcellular"]["models"], found["time-scale:minute"]["count"]) == ("Use of glucose", "1")
