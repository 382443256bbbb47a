"""The stored queries over HTTP, the description of the interface, health, and the headers of every response."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pepr_kg import __version__
from pepr_kg.questions import load_questions
from tests.web.conftest import Site

ROOT = Path(__file__).parents[2]
PATH = "/query/projects-of-programme"
SMATCH = "https://w3id.org/pepr-santenum/id/project/smatch"
RESULTS = {"r": "http://www.w3.org/2005/sparql-results#"}


def test_the_list_of_questions(site: Site) -> None:
    listed = {item["name"]: item for item in site.get("/queries").json()["queries"]}
    assert listed.keys() == load_questions().keys()
    question = listed["projects-of-programme"]
    assert question["title"].keys() == {"fr", "en"}
    assert question["href"] == PATH
    assert [parameter["name"] for parameter in question["parameters"]] == ["programme", "lang"]


def test_json_has_the_declared_columns(site: Site) -> None:
    reply = site.get(f"{PATH}?programme=research-programme:1")
    assert (reply.status, reply.media_type) == (200, "application/sparql-results+json")
    document = reply.json()
    assert document["head"]["vars"] == ["project", "acronym", "title"]
    assert [row["project"]["value"].rpartition("/")[2] for row in document["results"]["bindings"]] == [
        "smatch", "rewind",
    ]  # fmt: skip


def test_the_readers_language_and_the_language_asked_for(site: Site) -> None:
    def titles(path: str, accept_language: str) -> list[str]:
        rows = site.get(path, None, Accept_Language=accept_language).json()["results"]["bindings"]
        return [row["title"]["value"] for row in rows]

    assert titles(PATH, "fr") == ["Méthodes « statistiques »"]
    assert len(titles(PATH, "en")) == 2
    assert titles(f"{PATH}?lang=fr", "en") == titles(PATH, "fr")
    # `lang` may be given to a question that has no such parameter.
    assert site.get("/query/graphs?lang=fr").status == 200


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        ("json", "application/sparql-results+json"),
        ("xml", "application/sparql-results+xml"),
        ("csv", "text/csv"),
        ("tsv", "text/tab-separated-values"),
        ("md", "text/markdown"),
    ],
)
def test_by_accept_and_by_suffix(site: Site, suffix: str, media_type: str) -> None:
    by_accept, by_suffix = site.get(PATH, media_type), site.get(f"{PATH}.{suffix}", "text/html")
    assert by_accept.status == by_suffix.status == 200
    assert by_accept.media_type == by_suffix.media_type == media_type
    assert by_accept.body == by_suffix.body


@pytest.mark.parametrize(
    ("name", "suffix"),
    [*((name, name) for name in ("csv", "json", "md", "tsv", "xml")), ("markdown", "md"), ("CSV", "csv")],
)
def test_a_format_can_be_named_in_the_address(site: Site, name: str, suffix: str) -> None:
    named = site.get(f"{PATH}?programme=research-programme:1&format={name}", "image/png")
    assert (named.status, named.body) == (200, site.get(f"{PATH}.{suffix}?programme=research-programme:1").body)


def test_a_format_wins_over_the_suffix_and_may_be_the_page(site: Site) -> None:
    assert site.get(f"{PATH}.xml?format=csv").media_type == "text/csv"
    assert site.get(f"{PATH}?format=").media_type == "application/sparql-results+json"
    page = site.get(f"{PATH}?format=html&programme=urn:x", "text/csv", Accept_Language="fr")
    assert (page.status, page.headers["location"]) == (303, "/fr/questions/projects-of-programme?programme=urn%3Ax")


@pytest.mark.parametrize(("lang", "said"), [("en", "Known: json, xml, csv, tsv, md"), ("fr", "Formats connus : json")])
def test_an_unknown_format_is_told_the_known_ones(site: Site, lang: str, said: str) -> None:
    reply = site.get(f"{PATH}?format=xlsx", "text/csv", Accept_Language=lang)
    assert (reply.status, reply.json()["code"]) == (400, "bad-request")
    assert said in reply.json()["detail"]


def test_the_formats_say_the_same(site: Site) -> None:
    rows = site.get(f"{PATH}.json").json()["results"]["bindings"]
    expected = [(row["project"]["value"], row["title"]["value"]) for row in rows]
    assert expected[0] == (SMATCH, 'Statistical methods | <trials> & "AI"')
    assert "\t" in expected[1][1]

    table = list(csv.reader(io.StringIO(site.get(f"{PATH}.csv").body.decode(), newline="")))
    assert table[0] == ["project", "acronym", "title"]
    assert [(row[0], row[2]) for row in table[1:]] == expected

    root = ElementTree.fromstring(site.get(f"{PATH}.xml").body)
    assert [node.get("name") for node in root.iterfind("r:head/r:variable", RESULTS)] == table[0]
    assert [
        tuple(node.text for node in result.iterfind("r:binding/*", RESULTS))
        for result in root.iterfind("r:results/r:result", RESULTS)
    ] == expected

    lines = site.get(f"{PATH}.tsv").body.decode().splitlines()
    assert lines[0] == "?project\t?acronym\t?title"
    assert [len(line.split("\t")) for line in lines] == [3, 3, 3]
    assert lines[1] == f'<{SMATCH}>\t\t"Statistical methods | <trials> & \\"AI\\""@en'

    assert "\\| <trials>" in site.get(f"{PATH}.md").body.decode()


def test_people_are_led_to_the_page_with_their_parameters(site: Site) -> None:
    path = f"{PATH}?programme=research-programme:1"
    reply = site.get(path, "text/html", Accept_Language="fr")
    assert reply.status == 303
    assert reply.headers["location"] == "/fr/questions/projects-of-programme?programme=research-programme%3A1"


def test_an_unknown_name_gets_the_nearest(site: Site) -> None:
    reply = site.get("/query/project-of-programme")
    assert (reply.status, reply.json()["code"]) == (404, "unknown-question")
    assert "projects-of-programme" in reply.json()["nearest"]


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/query/statements-of-line?line=eleven", "parameter-type", "a whole number"),
        (f"{PATH}?programme=nonsense:1", "parameter-type", "project:smatch"),
        (f"{PATH}?programme=a%20b", "parameter-type", "project:smatch"),
        (f"{PATH}?lang=de", "parameter-type", "fr or en"),
        (f"{PATH}?program=x", "unknown-parameter", "programme"),
        (f"{PATH}?programme=a&programme=b", "bad-request", "twice"),
        (f"{PATH}?programme=%E9", "bad-request", "UTF-8"),
    ],
)
def test_wrong_parameters(site: Site, path: str, code: str, said: str) -> None:
    reply = site.get(path)
    assert (reply.status, reply.json()["code"]) == (400, code)
    assert said in reply.json()["detail"]


def test_a_value_is_a_term_and_never_text_of_the_query(site: Site) -> None:
    hostile = "urn:x> } } SELECT * { ?s ?p ?o } #"
    assert site.send("GET", f"{PATH}?programme=urn:x%3E%20%7D").status == 400
    assert site.get(f"{PATH}?programme={hostile.replace(' ', '%20').replace('#', '%23')}").status == 400


def test_what_is_not_offered_is_refused_with_what_is(site: Site) -> None:
    reply = site.get(PATH, "image/png")
    assert reply.status == 406
    assert "text/markdown" in reply.json()["offered"]


def test_a_copy_that_holds_is_not_sent_again(site: Site) -> None:
    for path in (PATH, "/queries"):
        first = site.get(path)
        assert site.get(path, None, If_None_Match=first.headers["etag"]).status == 304
    assert site.get(f"{PATH}?programme=research-programme:1", None, If_None_Match=first.headers["etag"]).status == 200


# The service


def test_health(site: Site) -> None:
    state = site.get("/health").json()
    view = site.dataset.view()
    assert state["status"] == "ok"
    assert (state["version"], state["digest"]) == (__version__, view.version)
    assert state["triples"] == sum(view.counts().values())


def test_each_stored_query_is_in_the_description(site: Site) -> None:
    document = site.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for name, question in load_questions().items():
        operation = document["paths"][f"/query/{name}"]["get"]
        assert operation["summary"] == f"{question.title['en']} · {question.title['fr']}"
        assert [item["name"] for item in operation["parameters"]] == [
            *(item.name for item in question.parameters), "format",
        ]  # fmt: skip
        assert {"csv", "json", "md", "markdown", "tsv", "xml"} <= set(operation["parameters"][-1]["schema"]["enum"])


def test_the_description_is_whole_and_bilingual(site: Site) -> None:
    document = site.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(" · " in operation["summary"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    served = {"/sparql", "/queries", "/health", "/problems", "/ontology", "/id/{kind}/{name}", "/graph/{name}"}
    assert served <= document["paths"].keys()


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_no_page_calls_another_server(site: Site) -> None:
    assert site.get("/docs").status == site.get("/redoc").status == 404


@pytest.mark.parametrize(
    "path", ["/health", "/sparql?query=ASK{}", "/id/project/smatch", "/nowhere", "/fr/", "/queries"]
)
def test_every_response_is_guarded(site: Site, path: str) -> None:
    headers = site.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("accept", "media_type"), [(None, "application/problem+json"), ("text/html", "text/html")])
def test_what_nobody_expected_is_guarded_too(
    open_site: Callable[..., Site], method: str, accept: str | None, media_type: str
) -> None:
    def fail() -> None:
        raise RuntimeError("the secret of the inside")

    site = open_site()
    site.app.add_api_route("/fail", fail)
    reply = site.send(method, "/fail", {"Accept": accept} if accept else {})
    assert (reply.status, reply.media_type) == (500, media_type)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert b"secret" not in reply.body
    assert bool(reply.body) == (method == "GET")


def test_an_error_is_a_page_for_people(site: Site) -> None:
    for path in ("/nowhere", "/fr/nulle-part", "/query/nope", "/sparql?query=ASK%7B"):
        reply = site.get(path, "text/html,*/*;q=0.8", Accept_Language="fr")
        assert reply.status in {400, 404}
        assert reply.media_type == "text/html"
        assert "<html" in reply.body.decode()


def test_nothing_of_the_inside_is_shown(site: Site) -> None:
    for path in ("/nowhere", "/id/%00", "/query/..%2F..%2Fetc", "/graph/%ff"):
        reply = site.get(path)
        assert reply.status == 404
        assert str(ROOT) not in reply.body.decode()
