"""The query half of the W3C's SPARQL 1.1 Protocol tests, sent to the running server as raw HTTP.

The endpoint is read only. Of the update half, the tests that expect a refusal are run; the
others are out of scope, and `docs/reference/http.md` names them.
"""

import http.client
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rdflib import RDFS, Graph, Literal, Namespace, URIRef
from rdflib.collection import Collection
from rdflib.term import Node

from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, NamedNode
from tests.web.conftest import Reply, Site, running

ROOT = Path(__file__).parents[2]
SUITE = Path(os.environ.get("PEPR_KG_SHARED", ROOT.parent / "shared")) / "w3c/rdf-tests/sparql/sparql11/protocol"
DOCS = ROOT / "docs/reference/http.md"

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
HT = Namespace("http://www.w3.org/2011/http#")
CNT = Namespace("http://www.w3.org/2011/content#")
UT = Namespace("http://www.w3.org/2009/sparql/tests/test-update#")

RESULTS = "{http://www.w3.org/2005/sparql-results#}"
FORMATS = {
    "boolean": {"application/sparql-results+json", "application/sparql-results+xml"},
    "tabular": {
        "application/sparql-results+json", "application/sparql-results+xml", "text/csv", "text/tab-separated-values",
    },
    "RDF": {"application/rdf+xml", "text/turtle", "application/n-triples", "application/ld+json"},
}  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """A request of a test and what is expected in return."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    statuses: frozenset[str]  # such as "2xx"
    boolean: bool | None
    format: str | None


@dataclass(frozen=True)
class Case:
    """A test of the suite."""

    name: str
    exchanges: tuple[Exchange, ...]


def manifest() -> Graph:
    path = SUITE / "manifest.ttl"
    return Graph().parse(path, publicID=path.as_uri()) if path.is_file() else Graph()


def cases(graph: Graph) -> Iterator[Case]:
    for entries in graph.objects(None, MF.entries):
        for entry in Collection(graph, entries):
            action = the(graph, entry, MF.action)
            requests = Collection(graph, the(graph, action, HT.requests))
            yield Case(str(entry).rpartition("#")[2], tuple(exchange(graph, request) for request in requests))


def exchange(graph: Graph, request: Node) -> Exchange:
    headers = {"Host": "www.example"}
    if listed := graph.value(request, HT.headers):
        for header in Collection(graph, listed):
            headers[str(the(graph, header, HT.fieldName))] = str(the(graph, header, HT.fieldValue))
    content = graph.value(request, HT.body)
    body = None
    if content:
        body = str(the(graph, content, CNT.chars)).encode(str(the(graph, content, CNT.characterEncoding)))
    response = the(graph, request, HT.resp)
    boolean, kind = graph.value(response, MF.expectedBoolean), graph.value(response, MF.expectedFormat)
    return Exchange(
        str(the(graph, request, HT.methodName)),
        str(the(graph, request, HT.absolutePath)),
        headers,
        body,
        frozenset(str(status)[-3:] for status in graph.objects(response, MF.expectedStatus)),
        bool(boolean.toPython()) if isinstance(boolean, Literal) else None,
        str(kind) if kind else None,
    )


def the(graph: Graph, subject: Node, predicate: URIRef) -> Node:
    value = graph.value(subject, predicate)
    assert value is not None, (subject, predicate)
    return value


MANIFEST = manifest()
CASES = {case.name: case for case in cases(MANIFEST)}
# An update that should succeed has no place here; one that should be refused has.
RUN = [name for name in CASES if not name.startswith("update_")]
OUT_OF_SCOPE = sorted(set(CASES) - set(RUN))


@pytest.fixture(scope="module")
def suite_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on the graphs that the tests name, each under its name."""
    if not CASES:
        pytest.skip(f"the W3C suite is not at {SUITE}: set PEPR_KG_SHARED")
    dataset = Dataset(tmp_path_factory.mktemp("w3c") / "data")
    loaded: dict[str, str] = {}
    with dataset.change(who="test", source="w3c") as change:
        for data in set(MANIFEST.objects(None, UT.graphData)):
            name, file = str(the(MANIFEST, data, RDFS.label)), str(the(MANIFEST, data, UT.graph))
            assert loaded.setdefault(name, file) == file
            change.load(SUITE / file.rpartition("/")[2], NamedNode(name))
        change.commit()
    with running(Settings(), dataset) as site:
        yield site


def send(site: Site, wanted: Exchange) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    try:
        connection.request(wanted.method, wanted.path, wanted.body, wanted.headers)
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def boolean_of(reply: Reply) -> bool:
    if reply.media_type.endswith("+json"):
        answer = reply.json()["boolean"]
        assert isinstance(answer, bool)
        return answer
    return ElementTree.fromstring(reply.body).findtext(f"{RESULTS}boolean") == "true"


@pytest.mark.parametrize("name", RUN or ["suite"])
def test_protocol(suite_site: Site, name: str) -> None:
    for wanted in CASES[name].exchanges:
        reply = send(suite_site, wanted)
        assert f"{reply.status // 100}xx" in wanted.statuses, (reply.status, reply.body)
        if wanted.format:
            assert reply.media_type in FORMATS[wanted.format]
        if wanted.format == "RDF":
            Graph().parse(data=reply.body, format=reply.media_type)
        if wanted.boolean is not None:
            assert boolean_of(reply) is wanted.boolean
        if reply.status >= 400:
            assert reply.media_type == "application/problem+json"
            assert reply.json()["detail"]


@pytest.mark.skipif(not CASES, reason="the W3C suite is not there")
def test_the_suite_is_the_one_we_know() -> None:
    assert len(CASES) == 34
    assert len(RUN) == 27


@pytest.mark.skipif(not CASES, reason="the W3C suite is not there")
def test_the_docs_name_what_is_out_of_scope() -> None:
    row = re.compile(r"^\| `((?:bad_)?(?:query|update|multiple)\w*)` \|([^|]+)\|", re.MULTILINE)
    table = row.findall(DOCS.read_text("utf-8"))
    assert {name: outcome.strip() for name, outcome in table} == dict.fromkeys(RUN, "passes") | dict.fromkeys(
        OUT_OF_SCOPE, "out of scope"
    )
