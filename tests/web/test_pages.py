"""What the pages say: facts with their sources, forms with their answers, names found, in both languages."""

import asyncio
import html
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from pepr_kg import Settings
from pepr_kg.namespaces import PROGRAMME_GRAPH
from pepr_kg.questions import load_questions
from pepr_kg.resources import queries_dir
from pepr_kg.store import Dataset, NamedNode, View
from pepr_kg.web.app import create_app

Get = Callable[..., httpx.Response]
LANGUAGES = ("fr", "en")
WEB = Path(__file__).parents[2] / "pepr_kg" / "web"


def caller(app: FastAPI) -> Get:
    def get(path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path, headers={"Accept": "text/html", **headers})

        return asyncio.run(ask())

    return get


@pytest.fixture(scope="module")
def get(dataset: Dataset) -> Get:
    return caller(create_app(Settings(), dataset))


@pytest.fixture
def strange(tmp_path: Path) -> Get:
    """Pages over a dataset that somebody filled with traps."""
    path = tmp_path / "traps.ttl"
    path.write_text(
        """
        @prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
        @prefix project: <https://w3id.org/pepr-santenum/id/project/> .
        project:trap a pepr:Project ; rdfs:label "<script>alert(1)</script> & \\"quotes\\""@en ;
            pepr:acronym "<b>" ; pepr:website "javascript:alert(1)"^^xsd:anyURI ;
            rdfs:seeAlso <javascript:alert(2)> , [ rdfs:label "nobody" ] .
        project:nameless a pepr:Project .
        project:french rdfs:label "Seulement en français"@fr .
        """,
        encoding="utf-8",
    )
    dataset = Dataset(tmp_path / "data")
    with dataset.change(who="test", source="traps") as change:
        change.load(path, NamedNode(PROGRAMME_GRAPH))
        change.commit()
    return caller(create_app(Settings(page_size=2), dataset))


def catalogue(lang: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((WEB / "locales" / f"{lang}.json").read_text(encoding="utf-8"))
    return texts


def text_of(response: httpx.Response) -> str:
    """The words of a page, without its marks."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", bare)))


# ---- texts ----


def test_both_languages_have_the_same_texts() -> None:
    catalogues = {lang: catalogue(lang) for lang in LANGUAGES}
    assert list(catalogues["fr"]) == list(catalogues["en"])
    for key in catalogues["fr"]:
        if key == "sparql.sample":
            continue
        french, english = (
            {name for _, name, _, _ in string.Formatter().parse(texts[key]) if name} for texts in catalogues.values()
        )
        assert french == english, key


def test_french_is_set_as_french_printers_do() -> None:
    texts = catalogue("fr")
    for key, text in texts.items():
        if key != "sparql.sample":
            assert not re.search(r"[^\u00a0\u202f/][:;!?»](?:\s|$)", text), f"{key}: no-break space before the sign"
            assert "'" not in text, key
            assert not re.search(r"«[^\u00a0\u202f]", text), key


def test_every_text_is_used_and_every_use_has_a_text() -> None:
    sources = [*WEB.glob("*.py"), *(WEB / "templates").glob("*.html")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    keys = set(catalogue("en"))
    used = set(re.findall(r'\bt\("([\w.-]+)"[,)]', code)) | set(re.findall(r'phrase\("([\w.-]+)"', code))
    assert not used - keys
    computed = (
        "job|axiom|name|shape|severity|unit|bound|column|asker|term|value|search|ontology|questions.group|statement"
    )
    left = {key for key in keys - used if not re.match(rf"({computed})\.", key) and f'"{key}"' not in code}
    assert not left


def test_columns_of_all_questions_have_a_french_name() -> None:
    texts = catalogue("fr")
    missing = {column for question in load_questions().values() for column in question.columns} - {
        key.removeprefix("column.") for key in texts
    }
    assert not missing


# ---- the frame ----


def test_the_root_leads_to_the_readers_language(get: Get) -> None:
    for header, home in (("fr-FR,fr;q=0.9", "/fr/"), ("en", "/en/"), ("de", "/en/")):
        response = get("/", **{"Accept-Language": header})
        assert (response.status_code, response.headers["location"]) == (303, home)
        assert "Accept-Language" in response.headers["vary"]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "path",
    ["/", "/ontology", "/ontology/Project", "/ontology/hasProject", "/ontology/foaf:Person", "/id/project/smatch",
     "/id/statement/seed-017", "/id/document/anr-page", "/id/disagreement/conflict-01", "/id/locator/anr-page-L7",
     "/graph/programme", "/questions", "/questions/projects-of-programme", "/search", "/search?q=coeur", "/sparql"],
)  # fmt: skip
def test_each_kind_of_page_stands_in_its_frame(get: Get, lang: str, path: str) -> None:
    response = get(f"/{lang}{path}")
    assert response.status_code == 200, text_of(response)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-language"] == lang
    page = response.text
    assert f'<html lang="{lang}">' in page
    assert page.count("<h1") == 1
    assert page.count('id="content"') == 1
    assert page.count('name="q"') == 1
    assert '<a class="skip" href="#content">' in page
    assert page.count('rel="canonical"') == 1
    for tag in LANGUAGES:
        assert f'hreflang="{tag}" href="http://test/{tag}{path}"' in page
    assert "<script" not in page
    assert "style=" not in page
    assert not re.search(r'(?:src|href)="//', page)
    assert "{{" not in page
    assert "None" not in text_of(response)
    found = response.headers["etag"]
    assert get(f"/{lang}{path}", **{"If-None-Match": found}).status_code == 304


def test_the_foot_says_which_data_this_is(get: Get, view: View) -> None:
    words = text_of(get("/en/"))
    assert view.version[:12] in words
    assert f"{sum(view.counts().values()):,}" in words
    assert "CC BY 4.0" in words
    assert "w3id redirect is still to be registered" in words


def test_the_language_switch_keeps_page_and_query(get: Get) -> None:
    page = get("/fr/questions/projects-of-programme?programme=research-programme:3").text
    address = "/en/questions/projects-of-programme?programme=research-programme:3"
    assert f'class="language" href="{address}"' in page


@pytest.mark.parametrize(("lang", "words"), [("fr", "Introuvable"), ("en", "Not found")])
@pytest.mark.parametrize(
    "path", ["id/project/nothing", "ontology/Nothing", "ontology/zz:Thing", "graph/nothing", "nowhere", "id/%00",
             "id/project/%3Cb%3E", "ontology/%00", "ontology/pepr:%7B", "ontology/shape/%22", "graph/%3C", "graph/%00"],
)
def test_what_is_not_there_is_said_in_the_language(get: Get, lang: str, words: str, path: str) -> None:
    response = get(f"/{lang}/{path}")
    assert response.status_code == 404
    assert words in text_of(response)
    assert f'href="/{lang}/search"' in response.text


def test_an_unknown_language_is_not_found(get: Get) -> None:
    assert get("/de/ontology").status_code == 404


@pytest.mark.parametrize("typed", ["\0", "<", "pepr:\0", "graph:<", "graph:\0", f"{PROGRAMME_GRAPH}<"])
def test_what_no_iri_allows_may_be_typed_anywhere(get: Get, typed: str) -> None:
    for name in ("search?q", "ontology/Project?page", "id/project/smatch?via", "sparql?query", "sparql?example"):
        assert get(f"/en/{name}={quote(typed)}").status_code < 400
    assert get(f"/en/questions/projects-of-programme?programme={quote(typed)}").status_code == 400


# ---- home ----


def test_the_home_page_shows_four_programmes_and_seventeen_projects(get: Get) -> None:
    page = get("/fr/").text
    cards = page.split('id="second"')[0].count('<li class="card accent-')
    assert cards == 17
    for rank in "1234":
        assert f'<section class="programme accent-{rank}"' in page
    assert "SMATCH" in page
    assert 'href="/fr/id/project/smatch"' in page
    assert 'href="/fr/id/project/braintwin"' in page


def test_key_figures_are_written_as_the_reader_writes_and_lead_to_their_statement(get: Get) -> None:
    french, english = get("/fr/").text, get("/en/").text
    assert "60\u202f000\u202f000\u00a0€" in french
    assert "€60,000,000" in english
    assert "près de 150" in french
    assert "nearly 150" in english
    assert '<a href="/fr/id/statement/seed-017"><strong>60\u202f000\u202f000\u00a0€</strong>' in french


# ---- an individual ----


def test_a_fact_has_a_note_with_document_line_and_words(get: Get) -> None:
    page = get("/fr/id/programme/pepr-sante-numerique").text
    fact = re.search(r'60\u202f000\u202f000\u00a0€</strong>.*?<a href="#note-(\d+)"', page, re.DOTALL)
    assert fact
    note = page.split(f'<li id="note-{fact[1]}">')[1].split("</li>")[0]
    assert 'href="/fr/id/statement/seed-017"' in note
    assert 'href="/fr/id/document/anr-page"' in note
    assert re.search(r'href="/fr/id/locator/anr-page-L7"[^>]*>l\. 7<', note)


def test_a_fact_stated_from_the_other_end_has_its_note_too(get: Get) -> None:
    page = get("/en/id/project/digphat").text
    fact = page.split('title="pepr:inResearchProgramme"')[1].split("</dd>")[0]
    assert "#note-" in fact


def test_the_status_of_a_project_is_a_badge(get: Get) -> None:
    page = get("/en/id/project/smatch").text
    badge = '<a class="badge open" href="/en/id/decision-status/subject-to-decision">subject to decision</a>'
    assert badge in page
    assert 'class="accent-1"' in page


def test_what_is_not_adopted_stands_apart(get: Get) -> None:
    page = get("/en/id/project/m4di").text
    facts, apart = page.split('<section class="not-adopted"')
    assert "ANR-22-PESN-0013" in apart
    assert 'class="badge doubt"' in apart
    assert "ANR-22-PESN-0013" not in facts


def test_the_page_of_a_statement_quotes_and_names_its_caveat(get: Get) -> None:
    words = text_of(get("/en/id/statement/seed-007"))
    for expected in ("650 millions d’euros", "Envelope of the whole strategy, not of the PEPR.", "ANR page", "L5",
                     "6 March 2024", "adopted as fact"):  # fmt: skip
        assert expected in words, expected


def test_a_disagreement_shows_its_sides_and_how_it_is_represented(get: Get) -> None:
    page = get("/fr/id/disagreement/conflict-01").text
    assert page.count('<p class="side-name">') >= 2
    assert "ne pas en faire la moyenne" in page
    assert 'href="/fr/id/disagreement/conflict-01"' in get("/fr/id/statement/seed-065").text


def test_a_document_is_read_line_by_line(get: Get) -> None:
    page = get("/en/id/document/anr-page").text
    assert page.index(">L1<") < page.index(">L7<") < page.index(">L104<")
    line = page.split(">L7<")[1].split("</div>")[0]
    assert 'href="/en/id/statement/seed-011"' in line


def test_incoming_links_are_counted_and_paged(get: Get) -> None:
    page = get("/en/id/basis/stated").text
    count = re.search(r'title="pepr:hasBasis">[^<]*</a> <span class="count">(\d+)<', page)
    assert count
    assert int(count[1]) > 100
    assert 'href="/en/id/basis/stated?via=pepr%3AhasBasis#incoming"' in page
    second = get("/en/id/basis/stated?via=pepr:hasBasis&page=2").text
    assert f"51 to 100 of {count[1]}" in second
    assert 'rel="prev"' in second
    assert 'rel="next"' in second
    assert get("/en/id/basis/stated?via=pepr:hasBasis&page=9999999999").status_code == 200


def test_downloads_are_offered_and_declared(get: Get) -> None:
    response = get("/en/id/project/smatch")
    for suffix, kind in (("ttl", "text/turtle"), ("jsonld", "application/ld+json"), ("rdf", "application/rdf+xml")):
        assert f'<link rel="alternate" type="{kind}" href="/id/project/smatch.{suffix}">' in response.text
        assert f'</id/project/smatch.{suffix}>; rel="alternate"; type="{kind}"' in response.headers["link"]
        assert get(f"/id/project/smatch.{suffix}").status_code == 200


# ---- terms ----


def test_the_page_of_a_class_says_what_it_means_and_where_it_is_used(get: Get) -> None:
    page = get("/en/ontology/Project")
    words = text_of(page)
    assert "Research endeavour carried out by a consortium" in words
    assert "Entreprise collective de recherche menée par un consortium" in words
    assert "19 direct individuals" in words
    assert "This project has no title." in words
    assert 'href="/en/id/project/smatch"' in page.text
    assert 'href="/en/questions/project-card"' in page.text
    assert 'href="/en/ontology/Endeavour"' in page.text


def test_axioms_are_readable_in_both_languages(get: Get) -> None:
    pages = {lang: text_of(get(f"/{lang}/ontology/hasProject")) for lang in LANGUAGES}
    assert "Inverse of" in pages["en"]
    assert "Inverse de" in pages["fr"]
    assert "Disjoint with" in text_of(get("/en/ontology/Project"))


def test_an_outside_term_has_a_page_by_its_short_form(get: Get) -> None:
    page = get("/fr/ontology/foaf:Person").text
    assert "http://xmlns.com/foaf/0.1/Person" in page
    assert 'href="/fr/id/person/hugues-berry"' in page


def test_the_trees_hold_every_term_and_scheme(get: Get, view: View) -> None:
    page = get("/en/ontology").text
    for path in ("ontology/Endeavour", "ontology/hasProject", "ontology/acronym", "id/scheme/levels", "id/level/organ"):
        assert f'href="/en/{path}"' in page, path


def test_a_shape_and_a_module_have_pages(get: Get) -> None:
    assert get("/en/ontology/shape/Project").status_code == 200
    assert get("/fr/ontology/module/programme").status_code == 200


# ---- questions ----


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", load_questions())
def test_every_question_has_its_page(get: Get, name: str, lang: str) -> None:
    question = load_questions()[name]
    response = get(f"/{lang}/questions/{name}")
    assert response.status_code == 200
    assert question.title[lang] in text_of(response)
    for parameter in question.parameters:
        if parameter.kind != "lang":
            assert f'name="{parameter.name}"' in response.text


def test_a_question_is_a_form_with_choices_an_answer_and_its_sparql(get: Get) -> None:
    page = get("/en/questions/projects-of-programme?programme=research-programme:3").text
    assert '<option value="research-programme:3" selected>' in page
    assert page.count("<option") == 4
    assert 'href="/en/id/project/neurovasc"' in page
    assert "NEUROVASC" in page
    assert "3 rows" in page
    assert re.search(r"\d+\u00a0ms", page)
    assert 'href="/query/projects-of-programme.csv?programme=research-programme%3A3&amp;lang=en"' in page
    assert "SELECT" in page


@pytest.mark.parametrize("kind", ["csv", "json", "md"])
def test_the_downloads_of_an_answer_lead_somewhere(get: Get, kind: str) -> None:
    response = get(f"/query/projects-of-programme.{kind}?programme=research-programme%3A3&lang=en")
    assert response.status_code == 200
    assert "NEUROVASC" in response.text


def test_a_wrong_parameter_is_explained_beside_the_form(get: Get) -> None:
    response = get("/fr/questions/statements-of-line?line=sept")
    assert response.status_code == 400
    assert "Paramètre incorrect" in response.text
    assert "un nombre entier" in response.text
    assert 'value="sept" aria-invalid="true"' in response.text


def test_an_unknown_question_gives_the_nearest_names(get: Get) -> None:
    response = get("/en/questions/project-of-programme")
    assert response.status_code == 404
    assert 'href="/en/questions/projects-of-programme"' in response.text


def test_a_question_can_be_taken_to_the_sparql_form(get: Get) -> None:
    assert "hasProject" in get("/en/sparql?example=projects-of-programme").text


# ---- search ----


@pytest.mark.parametrize(
    ("sought", "address"),
    [
        ("anevrisme", "/fr/id/disease/intracranial-aneurysm"),
        ("ANÉVRISMES", "/fr/id/disease/intracranial-aneurysm"),
        ("aneurysm", "/fr/id/disease/intracranial-aneurysm"),
        ("aneurysms", "/fr/id/project/neurovasc"),
        ("SMATCH", "/fr/id/project/smatch"),
        ("jumeaux numeriques", "/fr/id/topic/digital-twin"),
        ("hugues berry", "/fr/id/person/hugues-berry"),
        ("seed-007", "/fr/id/statement/seed-007"),
        ("research programme", "/fr/ontology/ResearchProgramme"),
        ("projets d'un programme", "/fr/questions/projects-of-programme"),
    ],
)
def test_a_name_is_found(get: Get, sought: str, address: str) -> None:
    assert f'href="{address}"' in get(f"/fr/search?q={sought}").text


def test_a_hit_says_which_name_matched(get: Get) -> None:
    page = get("/fr/search?q=aneurysm").text
    assert re.search(r'lang="en">[^<]*aneurysm[^<]*<span class="tag">en<', page)


@pytest.mark.parametrize(
    ("sought", "address"),
    [
        ("project:smatch", "/en/id/project/smatch"),
        ("https://w3id.org/pepr-santenum/id/project/smatch", "/en/id/project/smatch"),
        ("<https://w3id.org/pepr-santenum/ontology/Project>", "/en/ontology/Project"),
        ("pepr:hasProject", "/en/ontology/hasProject"),
        ("foaf:Person", "/en/ontology/foaf:Person"),
    ],
)
def test_an_iri_or_short_form_goes_straight_there(get: Get, sought: str, address: str) -> None:
    response = get(f"/en/search?q={sought}")
    assert (response.status_code, response.headers["location"]) == (303, address)


def test_nothing_sought_and_nothing_found_help_on(get: Get) -> None:
    assert "in French or English" in text_of(get("/en/search?q="))
    page = get("/fr/search?q=anevrsme").text
    assert "Vouliez-vous dire" in page
    assert "/fr/search?q=anevrisme" in page
    words = text_of(get("/en/search?q=%3Cscript%3Ezzz"))
    assert "Nothing has a name that contains “<script>zzz”." in words


def test_many_hits_of_a_kind_are_folded_behind_a_link(get: Get) -> None:
    page = get("/en/search?q=programme").text
    link = re.search(r'href="(/en/search\?q=programme&amp;kind=[^"]+)"', page)
    assert link
    assert get(html.unescape(link[1])).text.count("<li>") > 6


# ---- traps ----


def test_nothing_that_data_says_becomes_markup(strange: Get) -> None:
    trap = "/en/id/project/trap"
    for path in (trap, "/en/search?q=script", "/en/ontology", f"{trap}?via=%22%3E%3Cscript%3E"):
        response = strange(path)
        assert response.status_code == 200, path
        assert "<script" not in response.text, path
        assert "<b>" not in response.text, path
        assert 'href="javascript' not in response.text.lower(), path
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in strange("/en/id/project/trap").text


def test_a_thing_without_a_name_or_in_one_language_has_a_page(strange: Get) -> None:
    assert "project:nameless" in strange("/fr/id/project/nameless").text
    page = strange("/en/id/project/french").text
    assert '<h1 lang="fr">' in page


def test_pages_stand_on_an_empty_dataset(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    with dataset.change(who="test", source="nothing") as change:
        change.commit()
    get = caller(create_app(Settings(), dataset))
    for path in ("/fr/", "/en/ontology", "/fr/search?q=x", "/en/questions", "/fr/sparql"):
        assert get(path).status_code == 200, path


# ---- ways of working ----


def test_sparql_of_the_pages_lives_in_files() -> None:
    for path in WEB.glob("pages*.py"):
        assert not re.search(r"\bSELECT\b|\bWHERE\s*\{", path.read_text(encoding="utf-8")), path.name


def test_every_page_query_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in WEB.parent.rglob("*.py"))
    for path in (queries_dir() / "pages").glob("*.rq"):
        assert f'"{path.stem}"' in code or f'"pages/{path.stem}"' in code, path.name


@pytest.mark.parametrize("path", ["questions/projects-of-programme", "ontology/Project", "search?q=projet"])
def test_a_page_size_of_nothing_is_a_page_size_of_one(dataset: Dataset, path: str) -> None:
    assert caller(create_app(Settings(page_size=0), dataset))(f"/fr/{path}").status_code == 200
