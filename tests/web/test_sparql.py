"""SPARQL over HTTP: the protocol's corners, formats, datasets, refusals, and queries that must be stopped."""

import http.client
import os
import signal
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph

from pepr_kg.namespaces import BASE, GRAPH, ONTOLOGY_GRAPH, PROGRAMME_GRAPH
from pepr_kg.store import NamedNode
from pepr_kg.web.sparql_text import scan
from tests.web.conftest import Site

FORM = "application/x-www-form-urlencoded"
QUERY = "application/sparql-query"
PREFIX = "PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/> "
SMATCH = BASE + "id/project/smatch"
# Four times every triple with every other: hours.
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"


def test_the_three_ways_give_the_same_bytes(site: Site) -> None:
    query = "SELECT ?s ?l { ?s <http://www.w3.org/2000/01/rdf-schema#label> ?l } ORDER BY ?s ?l"
    replies = [
        site.query(query),
        site.send("POST", "/sparql", {"Content-Type": FORM}, urlencode({"query": query})),
        site.send("POST", "/sparql/", {"Content-Type": f"{QUERY}; charset=utf-8"}, query),
    ]
    assert [reply.status for reply in replies] == [200] * 3
    assert len({reply.body for reply in replies}) == 1
    assert "Méthodes « statistiques »" in replies[0].body.decode()


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("SELECT * { ?s ?p 5 }", None, "application/sparql-results+json"),
        ("SELECT * { ?s ?p 5 }", "application/sparql-results+xml", "application/sparql-results+xml"),
        ("SELECT * { ?s ?p 5 }", "text/csv", "text/csv"),
        ("SELECT * { ?s ?p 5 }", "text/tab-separated-values", "text/tab-separated-values"),
        ("ASK { ?s ?p 5 }", None, "application/sparql-results+json"),
        ("ASK { ?s ?p 5 }", "application/xml", "application/xml"),
        ("CONSTRUCT WHERE { ?s ?p 5 }", None, "text/turtle"),
        ("CONSTRUCT WHERE { ?s ?p 5 }", "application/n-triples", "application/n-triples"),
        ("CONSTRUCT WHERE { ?s ?p 5 }", "application/ld+json", "application/ld+json"),
        (f"DESCRIBE <{SMATCH}>", "application/rdf+xml", "application/rdf+xml"),
        # The header as a whole decides, for each form of answer apart.
        ("ASK {}", "text/csv;q=1, application/sparql-results+xml;q=0.2", "application/sparql-results+xml"),
        ("SELECT * {}", "text/turtle, text/csv;q=0.1", "text/csv"),
    ],
)
def test_formats(site: Site, query: str, accept: str | None, media_type: str) -> None:
    reply = site.query(query, accept)
    assert reply.status == 200
    assert reply.media_type == media_type
    assert "Accept" in reply.headers["vary"]
    if media_type.endswith("json"):
        reply.json()
    elif media_type.endswith("xml"):
        ElementTree.fromstring(reply.body)


@pytest.mark.parametrize(
    "media_type", ["text/turtle", "application/n-triples", "application/rdf+xml", "application/ld+json"]
)
def test_a_graph_is_the_same_in_every_format(site: Site, media_type: str) -> None:
    reply = site.query("CONSTRUCT WHERE { ?s <https://w3id.org/pepr-santenum/ontology/number> ?o }", media_type)
    graph = Graph().parse(data=reply.body, format=media_type)
    assert {(str(s), str(o)) for s, _, o in graph} == {(SMATCH, "5"), (BASE + "id/project/rewind", "6")}


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("SELECT * {}", "image/png"),
        ("SELECT * {}", "text/turtle"),
        ("ASK {}", "text/csv"),
        ("CONSTRUCT WHERE { ?s ?p ?o }", "text/csv, text/html"),
        ("SELECT * {}", "application/sparql-results+json;q=0"),
    ],
)
def test_what_is_not_offered_is_refused_with_what_is(site: Site, query: str, accept: str) -> None:
    reply = site.query(query, accept)
    assert reply.status == 406
    expected = "text/turtle" if query.startswith("CONSTRUCT") else "application/sparql-results+xml"
    assert expected in reply.body.decode()


def test_a_format_can_be_named_in_the_address(site: Site) -> None:
    assert site.query("SELECT * {}", "application/json", format="csv").media_type == "text/csv"
    assert site.query("CONSTRUCT WHERE { ?s ?p 5 }", None, format="json").media_type == "application/ld+json"
    assert site.query("CONSTRUCT WHERE { ?s ?p 5 }", None, format="csv").status == 406
    refused = site.query("SELECT * {}", None, format="exe")
    assert refused.status == 400
    assert "csv" in refused.json()["detail"]


def test_an_encoded_slash_arrives_as_it_was_sent(site: Site) -> None:
    # A server that decodes a form twice finds nothing here.
    query = "SELECT ?s { ?s ?p <http://example.org/a%2Fb> }"
    for reply in (
        site.query(query),
        site.send("POST", "/sparql", {"Content-Type": FORM}, urlencode({"query": query})),
        site.send("POST", "/sparql", {"Content-Type": QUERY}, query),
    ):
        assert [row["s"]["value"] for row in reply.json()["results"]["bindings"]] == [SMATCH]


def test_plus_and_spaces_of_a_form(site: Site) -> None:
    body = "query=SELECT+(1%2B1+AS+%3Ftwo)+%7B%7D"
    reply = site.send("POST", "/sparql", {"Content-Type": FORM}, body)
    assert reply.json()["results"]["bindings"][0]["two"]["value"] == "2"


# The dataset


def count(site: Site, query: str, **parameters: object) -> int:
    return int(site.bindings(query, **parameters)[0]["n"])


def test_without_a_dataset_everything_readable_is_asked(site: Site) -> None:
    view = site.dataset.view()
    assert count(site, "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }") == sum(view.counts().values())
    graphs = site.bindings("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g")
    assert [row["g"] for row in graphs] == sorted(view.counts())


def test_the_dataset_of_the_request(site: Site) -> None:
    numbers = "SELECT (COUNT(*) AS ?n) { ?s <https://w3id.org/pepr-santenum/ontology/number> ?o }"
    inside = "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s <https://w3id.org/pepr-santenum/ontology/number> ?o } }"
    dataset = {"default-graph-uri": [PROGRAMME_GRAPH]}
    assert count(site, numbers, **dataset) == 2
    assert count(site, inside, **dataset) == 0
    dataset = {"default-graph-uri": [ONTOLOGY_GRAPH], "named-graph-uri": [PROGRAMME_GRAPH]}
    assert count(site, numbers, **dataset) == 0
    assert count(site, inside, **dataset) == 2
    assert count(site, numbers, **{"named-graph-uri": [PROGRAMME_GRAPH]}) == 0
    assert count(site, numbers, **{"default-graph-uri": ["urn:no-such-graph"]}) == 0


def test_from_in_the_text(site: Site) -> None:
    query = "SELECT (COUNT(*) AS ?n) {} { ?s <https://w3id.org/pepr-santenum/ontology/number> ?o }"
    assert count(site, query.replace("{}", f"FROM <{PROGRAMME_GRAPH}>")) == 2
    assert count(site, query.replace("{}", f"FROM <{ONTOLOGY_GRAPH}>")) == 0
    assert count(site, query.replace("{}", f"FROM NAMED <{PROGRAMME_GRAPH}>")) == 0
    # A word in a comment, a string, an IRI or a name is no dataset.
    plain = query.replace("{}", "").replace("?o }", "?o FILTER('FROM' != \"from\" && ?from != <urn:FROM>) } # FROM")
    assert count(site, plain.replace("?from != <urn:FROM>", "!BOUND(?from)")) == 2


def test_the_request_wins_over_the_text(site: Site) -> None:
    query = f"SELECT (COUNT(*) AS ?n) FROM <{GRAPH}test/many> {{ ?s ?p 5 }}"
    assert site.bindings(query.replace("COUNT(*) AS ?n", "?s AS ?n"))[0]["n"] == "urn:many:5"
    rows = site.bindings(query.replace("COUNT(*) AS ?n", "?s AS ?n"), **{"default-graph-uri": PROGRAMME_GRAPH})
    assert rows == [{"n": SMATCH}]


def test_parameters_of_the_address_and_of_the_form_add_up(site: Site) -> None:
    path = "/sparql?" + urlencode({"default-graph-uri": PROGRAMME_GRAPH})
    body = urlencode({"query": "SELECT (COUNT(*) AS ?n) { ?s ?p 5 }", "default-graph-uri": GRAPH + "test/many"})
    reply = site.send("POST", path, {"Content-Type": FORM}, body)
    assert reply.json()["results"]["bindings"][0]["n"]["value"] == "2"


def test_a_graph_needs_an_absolute_iri(site: Site) -> None:
    reply = site.query("ASK {}", None, **{"default-graph-uri": "not an iri"})
    assert reply.status == 400
    assert "not an iri" in reply.json()["detail"]


def test_relative_iris_are_those_of_the_project(site: Site) -> None:
    assert site.query("ASK { <id/project/smatch> ?p ?o }").json()["boolean"] is True


# Refusals


@pytest.mark.parametrize(
    ("request_", "body", "status", "code"),
    [
        (("GET", "/sparql?query=ASK{}&query=ASK{}", {}), None, 400, "bad-request"),
        (("POST", "/sparql?query=ASK{}", {"Content-Type": QUERY}), "ASK {}", 400, "bad-request"),
        (("GET", "/sparql", {}), None, 400, "bad-request"),
        (("POST", "/sparql", {"Content-Type": FORM}), "other=1", 400, "bad-request"),
        (("POST", "/sparql", {"Content-Type": "text/plain"}), "ASK {}", 415, "unsupported-media"),
        (("POST", "/sparql", {}), "ASK {}", 415, "unsupported-media"),
        (("POST", "/sparql", {"Content-Type": f"{QUERY}; charset=UTF-16"}), "ASK {}", 415, "unsupported-media"),
        (("POST", "/sparql", {"Content-Type": f"{QUERY}; charset=latin1"}), "ASK {}", 415, "unsupported-media"),
        (("POST", "/sparql", {"Content-Type": QUERY}), b"ASK { ?s ?p 'caf\xe9' }", 400, "bad-request"),
        (("POST", "/sparql", {"Content-Type": FORM}), "query=ASK%7B%7D%20%23%E9", 400, "bad-request"),
        (("GET", "/sparql?query=ASK%7B%7D%23%E9", {}), None, 400, "bad-request"),
        (("GET", "/sparql?update=CLEAR%20ALL", {}), None, 400, "update-refused"),
        (("POST", "/sparql", {"Content-Type": FORM}), "update=CLEAR+ALL", 400, "update-refused"),
        (("POST", "/sparql", {"Content-Type": "application/sparql-update"}), "CLEAR ALL", 400, "update-refused"),
        (("POST", "/sparql", {"Content-Type": QUERY}), "INSERT DATA { <a> <b> <c> }", 400, "update-refused"),
        (("POST", "/sparql", {"Content-Type": QUERY}), "PREFIX : <urn:> # SELECT\nDELETE WHERE { :a ?b ?c }", 400,
         "update-refused"),
        (("PUT", "/sparql?query=ASK{}", {}), None, 405, "method-not-allowed"),
        (("DELETE", "/sparql", {}), None, 405, "method-not-allowed"),
        (("POST", "/sparql", {"Content-Type": QUERY}), "#" * 60_000, 413, "request-too-large"),
    ],
)  # fmt: skip
def test_refusals(
    site: Site, request_: tuple[str, str, dict[str, str]], body: str | bytes | None, status: int, code: str
) -> None:
    reply = site.send(*request_, body)
    assert (reply.status, reply.media_type) == (status, "application/problem+json")
    document = reply.json()
    assert (document["code"], document["status"]) == (code, status)
    assert document["title"]
    assert document["detail"]
    if status == 405:
        assert "GET" in reply.headers["allow"]


def test_a_body_of_unknown_length_is_bounded_too(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request(
        "POST", "/sparql", iter([b"#" * 10_000] * 8), {"Content-Type": QUERY}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [("ASK {", 1, 6), ("SELECT *\nWHERE {\n  ?s ?p }", 3, 10), ("SELECT ?x WHERE { ?s nope:x ?o }", 1, 28)],
)
def test_a_syntax_error_has_its_place(site: Site, query: str, line: int, column: int) -> None:
    reply = site.query(query)
    assert reply.status == 400
    document = reply.json()
    assert (document["code"], document["line"], document["column"]) == ("query-syntax", line, column)


def test_errors_speak_the_callers_language(site: Site) -> None:
    for accept_language, expected in (("fr-CA, en;q=0.5", "fr"), ("en", "en"), ("de", "en")):
        reply = site.get("/sparql?query=ASK%20%7B", None, Accept_Language=accept_language)
        assert reply.json()["language"] == reply.headers["content-language"] == expected
        assert ("ligne 1" in reply.json()["detail"]) == (expected == "fr")


def test_every_code_of_a_problem_is_listed(site: Site) -> None:
    known = {item["code"]: item for item in site.get("/problems").json()["problems"]}
    assert known["query-timeout"]["title"].keys() == {"fr", "en"}
    assert site.get("/nowhere").json()["code"] in known


# SERVICE


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
        "select * { service silent<http://127.0.0.1:9/>{ ?s ?p ?o } }",
        "SELECT * { ?s ?p '#' SERVICE ?s { ?s ?p ?o } }",
        "PREFIX a: <urn:a#> SELECT * { a:b ?p \"\"\"x\"y\"\"\" . SERVICE a:c { ?s ?p ?o } }",
    ],
)
def test_service_is_refused(site: Site, query: str) -> None:
    reply = site.query(query)
    assert (reply.status, reply.json()["code"]) == (403, "service-refused")


def test_the_word_service_is_allowed(site: Site) -> None:
    query = "PREFIX service: <urn:> SELECT ?service { ?service service:SERVICE 'SERVICE' } # SERVICE"
    assert site.query(query).status == 200


@pytest.mark.parametrize("silent", ["", "SILENT"])
def test_a_hidden_service_reaches_nobody(site: Site, silent: str) -> None:
    # The engine reads `?a<?b` as a comparison and what follows # as a comment; whoever reads
    # `<?b#>` as an IRI takes the call for a part of a string.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        query = (
            "SELECT * { VALUES (?a ?b) { (1 2) } FILTER(?a<?b#>'''\n)"
            f"SERVICE {silent} <{address}> {{ ?s ?p ?o }} }} #'''"
        )
        assert not scan(query).calls_service
        reply = site.query(query)
        assert reply.status == (200 if silent else 400)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert site.query("ASK {}").status == 200


@given(st.text(st.sampled_from("SERVICE service FROM INSERT<>'\"#\\?:{}@.\n a"), max_size=80))
def test_any_text_can_be_scanned(text: str) -> None:
    scan(text)


@given(st.text(st.characters(exclude_characters="\\'\n\r", exclude_categories=["Cs"])))
def test_no_string_hides_or_makes_a_keyword(text: str) -> None:
    query = f"SELECT * {{ ?s ?p '{text}' }}"
    assert not scan(query).names_dataset
    assert scan(f"{query} # x\n SERVICE").calls_service


def test_long_texts_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(60):
            assert scan(f"ASK {{}} # {number} " + "x" * 100_000).form == "ASK"
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


# Caching, cross-origin reading, HEAD


def test_an_answer_is_fetched_again_only_when_the_data_changed(tmp_path: Path, open_site: Callable[..., Site]) -> None:
    site = open_site(query_workers=1)
    path = "/sparql?query=" + quote("SELECT ?s { ?s ?p 5 }")
    first = site.get(path)
    tag = first.headers["etag"]
    assert site.get(path, None, If_None_Match=tag).status == 304
    assert site.get(path, None, If_None_Match=f'"other", W/{tag}').status == 304
    assert site.get(path, "text/csv", If_None_Match=tag).status == 200
    with site.dataset.change(who="test", source="test") as change:
        (tmp_path / "more.ttl").write_text("<urn:new> <urn:p> 5 .", encoding="utf-8")
        change.load(tmp_path / "more.ttl", NamedNode("urn:g"))
        change.commit()
    again = site.get(path, None, If_None_Match=tag)
    assert again.status == 200
    assert len(again.json()["results"]["bindings"]) == len(first.json()["results"]["bindings"]) + 1
    # The process that answered first has let the old version go: the next change removes it.
    with site.dataset.change(who="test", source="test") as change:
        change.commit()
    assert len(list((site.dataset.path / "versions").iterdir())) == 2


@pytest.mark.parametrize("call", ["NOW()", "RAND()", "UUID()", "STRUUID()"])
def test_what_changes_by_itself_is_not_kept(site: Site, call: str) -> None:
    reply = site.query(f"SELECT ({call} AS ?x) {{}}")
    assert reply.status == 200
    assert "etag" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"


def test_pages_of_others_may_read(site: Site) -> None:
    reply = site.get("/sparql?query=ASK{}", None, Origin="https://example.org")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers
    before = site.send("OPTIONS", "/sparql", {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"})
    assert before.status == 204
    assert "POST" in before.headers["access-control-allow-methods"]
    assert "Content-Type" in before.headers["access-control-allow-headers"]


def test_head_has_the_headers_of_get_and_no_body(site: Site) -> None:
    path = "/sparql?query=" + quote("SELECT ?s { ?s ?p 5 }")
    get, head = site.get(path), site.send("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))
    assert head.headers["etag"] == get.headers["etag"]


def test_a_browser_without_a_query_is_led_to_the_form(site: Site) -> None:
    reply = site.get("/sparql", "text/html,*/*;q=0.8", Accept_Language="fr")
    assert (reply.status, reply.headers["location"]) == (303, "/fr/sparql")


# Queries that must be stopped


def test_a_query_is_stopped_at_its_deadline(open_site: Callable[..., Site]) -> None:
    site = open_site(query_seconds=0.5, query_workers=1)
    assert site.query("ASK {}").status == 200
    started = time.monotonic()
    reply = site.query(ENDLESS)
    assert time.monotonic() - started < 2
    document = reply.json()
    assert (reply.status, document["code"], document["seconds"]) == (503, "query-timeout", 0.5)
    assert "LIMIT" in document["detail"]
    assert site.query("ASK {}").json()["boolean"] is True


def test_slow_queries_do_not_keep_others_waiting(open_site: Callable[..., Site]) -> None:
    site = open_site(query_seconds=3.0, query_workers=2)
    assert site.query("ASK {}").status == 200
    slow = threading.Thread(target=site.query, args=(ENDLESS,))
    slow.start()
    started = time.monotonic()
    for path in ("/health", "/sparql?query=ASK{}", "/id/project/smatch.ttl"):
        assert site.get(path).status == 200
    assert time.monotonic() - started < 2
    slow.join()


def test_when_all_are_busy_the_caller_is_told(open_site: Callable[..., Site]) -> None:
    site = open_site(query_seconds=0.4, query_workers=1)
    assert site.query("ASK {}").status == 200
    codes: list[str] = []
    callers = [
        threading.Thread(target=lambda: codes.append(site.query(ENDLESS).json()["code"])) for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert set(codes) == {"query-timeout", "server-busy"}
    assert site.query("ASK {}").status == 200


def test_a_query_whose_caller_hangs_up_is_stopped(open_site: Callable[..., Site]) -> None:
    site = open_site(query_seconds=30.0, query_workers=1)
    assert site.query("ASK {}").status == 200
    with socket.create_connection(("127.0.0.1", site.port)) as caller:
        caller.sendall(f"GET /sparql?query={quote(ENDLESS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        caller.settimeout(0.3)
        with pytest.raises(TimeoutError):
            caller.recv(1)
    started = time.monotonic()
    # The only process is free again long before the deadline.
    assert site.query("ASK {}").status == 200
    assert time.monotonic() - started < 5


def test_an_answer_past_its_bound_is_refused_whole(open_site: Callable[..., Site]) -> None:
    site = open_site(result_bytes=20_000)
    reply = site.query("SELECT * { ?a ?b ?c . ?d ?e ?f }")
    assert (reply.status, reply.json()["code"]) == (413, "query-too-large")
    assert "20 kB" in reply.json()["detail"]
    assert site.query("SELECT * { ?a ?b ?c } LIMIT 10").status == 200


def test_memory_is_bounded(open_site: Callable[..., Site]) -> None:
    site = open_site(query_memory_bytes=1_000_000_000, query_seconds=30.0, query_workers=1)
    assert site.query("ASK {}").status == 200
    greedy = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } ORDER BY ?c ?f ?i LIMIT 1"
    reply = site.query(greedy)
    assert (reply.status, reply.json()["code"]) == (413, "query-too-large")
    assert "1 GB of memory" in reply.json()["detail"]
    french = site.get(f"/sparql?query={quote(greedy)}", None, Accept_Language="fr").json()
    assert (french["language"], french["limit"]) == ("fr", "1\u00a0Go de mémoire")
    assert "limite de 1\u00a0Go de mémoire" in french["detail"]
    assert site.query("ASK {}").status == 200


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "nested too deeply"), ("fr", "imbriquée trop profondément")]
)
def test_a_text_that_breaks_the_engine_is_explained(
    open_site: Callable[..., Site], lang: str, words: str
) -> None:
    site = open_site(query_workers=1)
    headers = {"Content-Type": QUERY, "Accept-Language": lang}
    reply = site.send("POST", "/sparql", headers, "SELECT * " + "{" * 300_000)
    assert (reply.status, reply.json()["code"]) == (400, "query-failed")
    assert words in reply.json()["detail"]
    assert site.query("ASK {}").status == 200


def test_a_process_that_somebody_kills_is_not_the_callers_fault(open_site: Callable[..., Site]) -> None:
    site = open_site(query_workers=1, query_seconds=20.0)
    assert site.query("ASK {}").status == 200
    victim = site.app.state.workers.process_ids[0]
    killer = threading.Timer(0.5, os.kill, (victim, signal.SIGKILL))
    killer.start()
    reply = site.query(ENDLESS)
    killer.join()
    assert (reply.status, reply.json()["code"]) == (500, "internal-error")
    assert site.query("ASK {}").status == 200


def test_a_kept_connection_answers_at_once(server: str) -> None:
    # Without TCP_NODELAY each answer waits some 40 ms for an acknowledgement that the caller holds back.
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=30)
    connection.request("GET", "/health")
    connection.getresponse().read()
    started = time.monotonic()
    for _ in range(20):
        connection.request("GET", "/sparql?query=ASK%7B%7D")
        assert connection.getresponse().read()
    assert time.monotonic() - started < 0.6
    connection.close()
