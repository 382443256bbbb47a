"""Linked data: every IRI of ours, in every format, by `Accept` and by suffix."""

import pytest
from rdflib import RDF, BNode, Dataset, Graph, URIRef

from pepr_kg.namespaces import BASE, ONTOLOGY_GRAPH, PEPR, PROGRAMME_GRAPH
from tests.web.conftest import Site

SMATCH = URIRef(BASE + "id/project/smatch")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORMATS = {
    "ttl": "text/turtle",
    "nt": "application/n-triples",
    "jsonld": "application/ld+json",
    "rdf": "application/rdf+xml",
}


def parsed(body: bytes, media_type: str) -> Graph:
    return Graph().parse(data=body, format=media_type)


@pytest.mark.parametrize(("suffix", "media_type"), FORMATS.items())
@pytest.mark.parametrize("path", ["/id/project/smatch", "/ontology", "/ontology/Project", "/graph/programme"])
def test_by_accept_and_by_suffix(site: Site, path: str, suffix: str, media_type: str) -> None:
    by_accept, by_suffix = site.get(path, media_type), site.get(f"{path}.{suffix}", "text/html")
    for reply in (by_accept, by_suffix):
        assert (reply.status, reply.media_type) == (200, media_type)
        assert reply.headers["content-location"] == f"{path}.{suffix}"
        assert "Accept" in reply.headers["vary"]
    assert by_accept.body == by_suffix.body
    assert len(parsed(by_accept.body, media_type)) == len(parsed(site.get(path).body, "text/turtle")) > 0


@pytest.mark.parametrize("path", ["/id/project/smatch", "/ontology", "/ontology/Project", "/graph/programme"])
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_people_are_led_to_the_page(site: Site, path: str, lang: str) -> None:
    for reply in (
        site.get(path, BROWSER, Accept_Language=f"{lang};q=0.9, de"),
        site.get(f"{path}.html", None, Accept_Language=lang),
    ):
        assert (reply.status, reply.headers["location"]) == (303, f"/{lang}{path}")
        assert "Accept-Language" in reply.headers["vary"]
        assert f'<{path}.ttl>; rel="describedby"; type="text/turtle"' in reply.headers["link"]


def test_the_description_of_an_individual(site: Site) -> None:
    graph = parsed(site.get("/id/project/smatch.ttl").body, "text/turtle")
    assert (SMATCH, RDF.type, URIRef(PEPR + "Project")) in graph
    # The statements about it say where it all comes from; what merely links to it is not told.
    statement = URIRef(BASE + "id/statement/seed-001")
    assert (statement, URIRef(PEPR + "aboutSubject"), SMATCH) in graph
    assert (statement, URIRef(PEPR + "date"), None) in graph
    assert set(graph.subjects()) == {SMATCH, statement}


def test_a_description_ends_in_no_blank_node(site: Site) -> None:
    graph = parsed(site.get("/ontology/Project.ttl").body, "text/turtle")
    blank = [node for node in graph.objects() if isinstance(node, BNode)]
    assert len(blank) == 1
    assert (blank[0], RDF.type, None) in graph


def test_turtle_has_the_projects_prefixes(site: Site) -> None:
    text = site.get("/id/project/smatch.ttl").body.decode()
    assert "@prefix project: <https://w3id.org/pepr-santenum/id/project/> ." in text
    assert "project:smatch a pepr:Project" in text
    assert "« statistiques »" in text


def test_the_ontology_is_its_whole_graph(site: Site) -> None:
    for path in ("/ontology", "/ontology/", "/ontology.ttl"):
        graph = parsed(site.get(path).body, "text/turtle")
        assert len(graph) == site.dataset.view().counts()[ONTOLOGY_GRAPH]


def test_a_whole_graph(site: Site) -> None:
    counts = site.dataset.view().counts()
    assert len(parsed(site.get("/graph/programme").body, "text/turtle")) == counts[PROGRAMME_GRAPH]
    # A graph's name may have a slash in it.
    assert len(parsed(site.get("/graph/test/many.nt").body, "application/n-triples")) == 500


@pytest.mark.parametrize(("suffix", "media_type"), [("nq", "application/n-quads"), ("trig", "application/trig")])
def test_a_whole_graph_with_its_name(site: Site, suffix: str, media_type: str) -> None:
    reply = site.get(f"/graph/programme.{suffix}")
    assert reply.media_type == media_type == site.get("/graph/programme", media_type).media_type
    dataset = Dataset()
    dataset.parse(data=reply.body, format={"nq": "nquads"}.get(suffix, suffix))
    assert len(dataset.graph(URIRef(PROGRAMME_GRAPH))) == site.dataset.view().counts()[PROGRAMME_GRAPH]


@pytest.mark.parametrize(
    "path",
    [
        "/id/project/nope", "/id/project/nope.ttl", "/id/", "/ontology/Nope", "/graph/nope", "/graph/",
        "/id/project/smatch/more", "/id/a%20b", "/id/%3Cx%3E", "/id/project/smatch.exe",
        "/ontology.foo", "/id/%00", "/ontology/%00", "/graph/%3C",
    ],
)  # fmt: skip
def test_the_unknown_is_not_found(site: Site, path: str) -> None:
    reply = site.get(path, "text/turtle")
    assert (reply.status, reply.media_type, reply.json()["code"]) == (404, "application/problem+json", "not-found")
    assert site.get(path, None, Accept_Language="fr").json()["title"] == "Introuvable"
    page = site.get(path, BROWSER)
    assert (page.status, page.media_type) == (404, "text/html")


@pytest.mark.parametrize("path", ["/id/project/smatch", "/ontology", "/graph/programme"])
def test_what_is_not_offered_is_refused_with_what_is(site: Site, path: str) -> None:
    reply = site.get(path, "image/png")
    assert (reply.status, reply.json()["code"]) == (406, "not-acceptable")
    assert "text/turtle" in reply.json()["offered"]
    # Triples have no graph name: quads are offered for graphs only.
    assert ("application/trig" in reply.json()["offered"]) == path.startswith("/graph/")


@pytest.mark.parametrize("path", ["/id/project/smatch.ttl", "/ontology.jsonld", "/graph/programme.nt"])
def test_a_copy_that_holds_is_not_sent_again(site: Site, path: str) -> None:
    first = site.get(path)
    same = site.get(path, None, If_None_Match=first.headers["etag"])
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", first.headers["etag"])
    assert site.get(path, None, If_None_Match='"other"').status == 200


def test_each_format_has_its_tag(site: Site) -> None:
    tags = {site.get("/id/project/smatch", media_type).headers["etag"] for media_type in FORMATS.values()}
    assert len(tags) == len(FORMATS)


def test_links_lead_to_the_other_forms(site: Site) -> None:
    link = site.get("/id/project/smatch", "text/turtle").headers["link"]
    assert f'<{SMATCH}>; rel="describes"' in link
    assert '</id/project/smatch.jsonld>; rel="alternate"; type="application/ld+json"' in link
    assert '</fr/id/project/smatch>; rel="alternate"; type="text/html"; hreflang="fr"' in link
    assert "smatch.ttl" not in link


def test_head_and_other_methods(site: Site) -> None:
    head = site.send("HEAD", "/id/project/smatch.ttl")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    refused = site.send("DELETE", "/id/project/smatch")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
