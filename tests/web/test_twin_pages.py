"""The pages of twins, models, runs and cohorts say what the graph says, in both languages, and ask what if."""

import asyncio
import html
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from pepr_kg import Settings
from pepr_kg.cohorts import load_demo, load_published
from pepr_kg.namespaces import ID, PEPR
from pepr_kg.runs.evaluation import Request, Run, evaluate
from pepr_kg.runs.reading import outcomes, read_run
from pepr_kg.runs.request import end_of_today
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.web.app import create_app
from pepr_kg.web.figures import with_unit

LANGUAGES = ("fr", "en")
ONLY = {
    "fr": "Pour la recherche\u202f; ce n’est pas un avis médical.",
    "en": "For research, not medical advice.",
}
TWIN = "id/twin/theophylline-0001"


@dataclass(frozen=True)
class World:
    """A dataset with two cohorts and a run of each, and how to get a page of it."""

    get: Callable[[str], httpx.Response]
    dataset: Dataset
    fitted: Run
    scored: Run
    app: FastAPI

    def text(self, path: str) -> str:
        reply = self.get(path)
        assert reply.status_code == 200, (path, reply.status_code)
        return html.unescape(reply.text)


@pytest.fixture(scope="module")
def world(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("twins") / "data"
    shutil.copytree(dataset.path, folder)
    own = Dataset(folder)
    load_demo(own, patients=20)
    load_published(own, "theophylline")
    fitted = evaluate(own, Request("theophylline", cohort="theophylline", scenarios=("base", "dose_mg_per_kg*0.5"),
                                   samples=20, who="somebody"))  # fmt: skip
    scored = evaluate(own, Request("score2", cohort="demo"))
    app = create_app(Settings(), own)

    def get(path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path, headers={"Accept": "text/html"}, timeout=60)

        return asyncio.run(ask())

    return World(get, own, fitted, scored, app)


def form(**fields: object) -> str:
    given = {"symbol": "theophylline.dose_mg_per_kg", "operation": "scale", "value": "0.5", **fields}
    return f"{TWIN}?{urlencode(given)}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page_says_that_it_is_for_research_and_needs_no_script(world: World, lang: str) -> None:
    for path in (TWIN, "id/patient/theophylline-0001", "id/patient/demo-0001", "id/model/score2",
                 "id/model/theophylline", "id/model/heart-over-years", "id/cohort/demo",
                 f"id/evaluation/{world.fitted.id}"):  # fmt: skip
        page = world.text(f"/{lang}/{path}")
        assert ONLY[lang] in page, path
        assert "<script" not in page, path
        assert " style=" not in page, path


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_twin_shows_the_predictions_of_the_graph_with_a_link_to_their_run(world: World, lang: str) -> None:
    page = world.text(f"/{lang}/{TWIN}")
    node = NamedNode(f"{ID}prediction/{world.fitted.id}-0-0-0")
    quads = world.dataset.view().quads(node)
    said = {quad.predicate.value.rpartition("/")[2]: str(getattr(quad.object, "value", "")) for quad in quads}
    figure = with_unit(float(said["numericValue"]), said["unitCode"], lang)
    assert f'<a href="/{lang}/id/evaluation/{world.fitted.id}">{figure}</a>' in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_twin_has_pictures_with_title_description_band_and_what_was_measured(world: World, lang: str) -> None:
    pictures = re.findall(r"<svg class=\"chart\".*?</svg>", world.text(f"/{lang}/{TWIN}"), re.DOTALL)
    assert pictures
    assert all(part in item for item in pictures for part in ('role="img"', "<title>", "<desc>"))
    predicted = next(item for item in pictures if "band" in item)
    assert predicted.count("<polyline") == 2  # the base and half the dose
    assert predicted.count("<circle") > 5


def test_a_patient_hears_what_is_lacking(world: World) -> None:
    found = outcomes(world.dataset.view(), world.scored.iri)
    aside = next(item for item in found if item.outcome == "binding-missing")
    page = world.text(f"/en/{aside.entity.removeprefix('https://w3id.org/pepr-santenum/')}")
    assert "cannot be evaluated" in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_run_says_where_it_comes_from(world: World, lang: str) -> None:
    facts = read_run(world.dataset.view(), world.dataset.path, world.fitted.id)
    page = world.text(f"/{lang}/id/evaluation/{world.fitted.id}")
    for said in (facts.model_digest, facts.meaning_digest, facts.key, facts.inputs_digest, facts.trajectories_digest,
                 "somebody", facts.software, f"/runs/{facts.id}/trajectories.parquet",
                 f"/runs/{facts.id}/inputs.parquet",
                 f"/{lang}/id/observation/theophylline-0001-plasma-concentration-theophylline-1"):  # fmt: skip
        assert said in page, said


def test_a_run_names_who_was_set_aside_and_why(world: World) -> None:
    first = outcomes(world.dataset.view(), world.scored.iri)[0]
    for lang in LANGUAGES:
        page = world.text(f"/{lang}/id/evaluation/{world.scored.id}")
        assert first.reasons[lang] in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_model_shows_units_bounds_priors_runs_and_files(world: World, lang: str) -> None:
    score = world.text(f"/{lang}/id/model/score2")
    for said in ("sbp_mmHg", "mmHg", "0 – 350", f"/{lang}/id/quantity/systolic-blood-pressure",
                 f"/{lang}/id/evaluation/{world.scored.id}", "/id/model/score2.xml",
                 "/id/model/score2.omex"):  # fmt: skip
        assert said in score, said
    assert ("0,1674" if lang == "fr" else "0.1674") in world.text(f"/{lang}/id/model/theophylline")


def test_the_files_of_a_model_are_its_sbml_and_an_archive(world: World) -> None:
    sbml, archive = world.get("/id/model/theophylline.xml"), world.get("/id/model/theophylline.omex")
    assert sbml.content == (Path(__file__).parents[2] / "ontology" / "models" / "theophylline.xml").read_bytes()
    assert archive.content.startswith(b"PK")
    assert world.get("/id/model/nothing.xml").status_code == 404


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_cohort_counts_its_patients_and_twins(world: World, lang: str) -> None:
    page = world.text(f"/{lang}/id/cohort/demo")
    assert "<dd>20</dd>" in page
    assert f"/{lang}/id/patient/demo-0001" in page
    assert f"/{lang}/id/model/score2" in page
    assert "/id/twin/" in world.text(f"/{lang}/")


def test_the_form_shows_the_change_beside_the_baseline_and_writes_nothing(world: World) -> None:
    before = world.dataset.view().version
    page = world.text(f"/en/{form()}")
    table = page[page.index("Predictions at 24") :]
    baseline, changed = (float(number) for number in re.findall(r"<td>([\d.]+)\xa0mg/L</td>", table)[:2])
    assert changed == pytest.approx(baseline / 2, rel=2e-3)
    assert world.dataset.view().version == before
    assert "0,5" in world.text(f"/fr/{form(value='0,5', samples=10)}")


@pytest.mark.parametrize(("fields", "fr", "en"), [
    ({"value": "much"}, "n’est pas un nombre", "is not a number"),
    ({"value": "nan"}, "n’est pas un nombre", "is not a number"),
    ({"symbol": "theophylline.nothing"}, "choisissez ce qui change", "choose what changes"),
    ({"symbol": "nothing.dose"}, "n’est pas évaluable", "cannot be evaluated"),
    ({"operation": "divide"}, "n’est pas une opération", "is not an operation"),
    ({"samples": "201"}, "entier de 1 à 200", "whole number from 1 to 200"),
    ({"samples": "1.5"}, "entier de 1 à 200", "whole number from 1 to 200"),
    ({"horizon": "-1"}, "supérieure à 0", "above 0"),
    ({"horizon": "1e9"}, "ne pas dépasser", "at most"),
    ({"value": "-3", "operation": "set"}, "", ""),
])  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(world: World, fields: dict[str, str], fr: str, en: str) -> None:
    for lang, sentence in (("fr", fr), ("en", en)):
        reply = world.get(f"/{lang}/{form(**fields)}")
        page = html.unescape(reply.text)
        assert reply.status_code == 422
        assert 'role="alert"' in page
        assert sentence in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_whoever_lies_outside_of_a_models_validity_cannot_be_evaluated(world: World, lang: str) -> None:
    found = outcomes(world.dataset.view(), world.scored.iri)
    aside = next(item for item in found if item.outcome == "outside-validity")
    page = world.text(f"/{lang}/{aside.entity.removeprefix('https://w3id.org/pepr-santenum/')}")
    section = page[page.index('id="evaluable"') :]
    entry = next(item for item in section.split("<li>") if f"/{lang}/id/model/score2" in item)
    assert {"fr": "non évaluable", "en": "cannot be evaluated"}[lang] in entry
    assert aside.reasons[lang] in section


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_cohort_counts_who_can_be_evaluated_as_a_run_does(world: World, lang: str) -> None:
    page = world.text(f"/{lang}/id/cohort/demo?count=1")
    row = next(item for item in page.split("<tr>") if f"/{lang}/id/model/score2" in item)
    assert f"<td>{world.scored.evaluated}</td>" in row
    for name, number in world.scored.outcomes.items():
        if name != "evaluated":
            label = next(
                str(getattr(quad.object, "value", "")) for quad in world.dataset.view().quads(
                    NamedNode(f"{ID}outcome-status/{name}"), NamedNode("http://www.w3.org/2000/01/rdf-schema#label"))
                if getattr(quad.object, "language", "") == lang
            )  # fmt: skip
            assert f"{number}\u00a0× {label}" in row
    assert f"/{lang}/questions/evaluable-patients?cohort=cohort:demo" in page


def test_a_category_that_was_observed_has_its_name(world: World) -> None:
    page = world.text("/fr/id/patient/demo-0001")
    row = next(item for item in page.split("<tr>") if "demo-0001-cardiovascular-risk-region" in item)
    assert "/fr/id/quantity-value/risk-region-" in row


def test_the_form_shows_what_was_measured_beside_both(world: World) -> None:
    page = world.text(f"/fr/{form()}")
    section = page[page.index('id="whatif"') : page.index('id="observations"')]
    pictures = re.findall(r"<svg.*?</svg>", section, re.DOTALL)
    assert pictures[0].count("<polyline") == 2
    assert pictures[0].count("<circle") > 5
    assert "mesuré" in section[section.index('class="legend"') :]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_figure_of_a_run_says_what_it_is_for(world: World, lang: str) -> None:
    assert ONLY[lang] in world.text(f"/{lang}/id/prediction/{world.fitted.id}-0-0-0")


def test_patients_are_found_by_identifier_and_short_form(world: World) -> None:
    assert "/fr/id/patient/demo-0001" in world.text("/fr/search?q=demo-0001")
    reply = world.get("/en/search?q=twin:demo-0001")
    assert (reply.status_code, reply.headers["location"]) == (303, "/en/id/twin/demo-0001")
    assert world.get("/en/search?q=twin:demo-9999").status_code == 200
    assert "/en/id/patient/demo-00" in world.text("/en/ontology/Patient")


def test_what_can_be_evaluated_is_asked_again_the_next_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def tag(path: str) -> str:
        return str(world.get(path).headers["etag"])

    before = tag(f"/en/{TWIN}"), tag("/en/questions")
    tomorrow = end_of_today() + timedelta(days=1)
    monkeypatch.setattr("pepr_kg.web.pages_frame.end_of_today", lambda: tomorrow)
    assert tag(f"/en/{TWIN}") != before[0]
    assert tag("/en/questions") == before[1]


def test_pages_that_compute_wait_for_one_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pepr_kg.web.pages_evaluable._WAIT_SECONDS", 0.01)
    busy = "D’autres pages font des calculs en ce moment"
    with world.app.state.trials.place() as one, world.app.state.trials.place() as two:
        assert one
        assert two
        reply = world.get("/fr/id/patient/demo-0002")
        assert busy in reply.text
        assert (reply.status_code, reply.headers["retry-after"], "etag" in reply.headers) == (200, "5", False)
        reply = world.get(f"/fr/{form()}")
        assert (reply.status_code, reply.headers["retry-after"], "etag" in reply.headers) == (503, "5", False)
    assert busy not in world.text("/fr/id/patient/demo-0002")


def test_a_cohort_is_counted_no_longer_than_a_moment_unless_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app.state.trials._known.clear()
    monkeypatch.setattr("pepr_kg.web.pages_cohorts._SECONDS", 0.001)
    reply = world.get("/en/id/cohort/demo")
    assert "not counted yet" in reply.text
    assert "/en/id/cohort/demo?count=1#models" in reply.text
    assert "etag" not in reply.headers
    reply = world.get("/en/id/cohort/demo?count=1")
    assert "not counted yet" not in reply.text
    assert "etag" in reply.headers


def test_a_large_cohort_is_counted_when_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pepr_kg.web.pages_cohorts.AT_ONCE", 5)
    heading = '<th scope="col">évaluables</th>'
    page = world.text("/fr/id/cohort/demo")
    assert heading not in page
    assert "/fr/id/cohort/demo?count=1#models" in page
    assert heading in world.text("/fr/id/cohort/demo?count=1")
    monkeypatch.setattr("pepr_kg.web.pages_cohorts.MOST", 10)
    page = world.text("/fr/id/cohort/demo")
    assert "rien n’est compté" in page
    assert "count=1" not in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_coupled_model_can_be_changed_too(world: World, lang: str) -> None:
    model = {"model": NamedNode(f"{ID}model/two-scale-coupled")}
    query = f"SELECT ?model ?patient {{ ?twin <{PEPR}usesModel> ?model ; <{PEPR}twinOf> ?patient }}"
    rows = world.dataset.view().select(query, model)
    patient = next(rows.iter_dicts())["patient"].value.removeprefix("https://w3id.org/pepr-santenum/")
    options = world.text(f"/{lang}/{patient}")
    symbols = re.findall(r'value="(two-scale-coupled\.(?:slow|fast)\.[^"]+)"', options)
    assert {item.split(".")[1] for item in symbols} == {"slow", "fast"}
    query = urlencode({"symbol": symbols[0], "operation": "scale", "value": "1.5"})
    page = world.text(f"/{lang}/{patient}?{query}")
    assert page[page.index('id="whatif"') : page.index('id="observations"')].count("<svg") >= 1
    for field in ("samples=10", "horizon=1e6"):
        assert world.get(f"/{lang}/{patient}?{query}&{field}").status_code == 422


def test_a_reason_never_says_nan(world: World) -> None:
    aside = [item for item in outcomes(world.dataset.view(), world.scored.iri) if item.outcome != "evaluated"]
    assert not [item for item in aside if re.search(r"\bnan\b", str(item.reasons), re.IGNORECASE)]
    for item in aside[:4]:
        page = world.text(f"/en/{item.entity.removeprefix('https://w3id.org/pepr-santenum/')}")
        assert not re.search(r"\bnan\b", page, re.IGNORECASE)
