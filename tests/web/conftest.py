"""A small dataset on disk and a real server on it, spoken to with plain HTTP."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn
from fastapi import FastAPI

from pepr_kg.namespaces import GRAPH, ONTOLOGY_GRAPH, PROGRAMME_GRAPH
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.web.app import create_app

PREFIXES = """
@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .
@prefix project: <https://w3id.org/pepr-santenum/id/project/> .
@prefix statement: <https://w3id.org/pepr-santenum/id/statement/> .
@prefix graph: <https://w3id.org/pepr-santenum/graph/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
ONTOLOGY = """
<https://w3id.org/pepr-santenum/ontology> a owl:Ontology ; rdfs:label "Ontology"@en, "Ontologie"@fr .
pepr:Project a owl:Class ; rdfs:label "project"@en, "projet"@fr ;
    rdfs:subClassOf [ a owl:Restriction ; owl:onProperty pepr:number ; owl:maxCardinality 1 ] .
pepr:number a owl:DatatypeProperty ; rdfs:label "number"@en, "numéro"@fr .
"""
FACTS = """
project:smatch a pepr:Project ; rdfs:label "Méthodes « statistiques »"@fr ; pepr:number 5 ;
    rdfs:label "Statistical methods | <trials> & \\"AI\\""@en ; rdfs:seeAlso <http://example.org/a%2Fb> .
project:rewind a pepr:Project ; rdfs:label "REWIND, with a \\ttab"@en ; pepr:number 6 .
<https://w3id.org/pepr-santenum/id/research-programme/1> a pepr:ResearchProgramme ;
    pepr:hasProject project:smatch, project:rewind .
statement:seed-001 a pepr:Statement ; pepr:aboutSubject project:smatch ; pepr:date "2024-03-06"^^xsd:date .
"""


@dataclass(frozen=True)
class Reply:
    """A response: header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """A running server."""

    port: int
    app: FastAPI
    dataset: Dataset

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | str | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, accept: str | None = None, **headers: str) -> Reply:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", path, {**({"Accept": accept} if accept is not None else {}), **fields})

    def query(self, sparql: str, accept: str | None = None, **parameters: Any) -> Reply:
        return self.get("/sparql?" + urlencode({"query": sparql, **parameters}, doseq=True), accept)

    def bindings(self, sparql: str, **parameters: Any) -> list[dict[str, str]]:
        reply = self.query(sparql, **parameters)
        assert reply.status == 200, reply.body
        rows = reply.json()["results"]["bindings"]
        return [{name: term["value"] for name, term in row.items()} for row in rows]


@contextmanager
def running(settings: Settings, dataset: Dataset) -> Iterator[Site]:
    """Run the application on a free port until the block ends."""
    app = create_app(settings, dataset)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready = threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready.set()

        server = Server(uvicorn.Config(app, log_level="warning", h11_max_incomplete_event_size=65_536))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(20)
        try:
            yield Site(listener.getsockname()[1], app, dataset)
        finally:
            server.should_exit = True
            thread.join(20)


def small(folder: Path) -> Dataset:
    """Return a new dataset: an ontology, some facts, and a graph with many triples to join."""
    dataset = Dataset(folder / "data")
    many = "\n".join(f"<urn:many:{number}> <urn:many:p> {number} ." for number in range(500))
    with dataset.change(who="test", source="test") as change:
        for graph, text in {ONTOLOGY_GRAPH: ONTOLOGY, PROGRAMME_GRAPH: FACTS, GRAPH + "test/many": many}.items():
            path = folder / "input.ttl"
            path.write_text(PREFIXES + text, encoding="utf-8")
            change.load(path, NamedNode(graph))
        change.commit()
    return dataset


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(Settings(query_seconds=5.0, request_bytes=50_000), small(tmp_path_factory.mktemp("site"))) as found:
        yield found


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start another server, with settings of its own."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running(replace(Settings(), **changes), small(tmp_path)))
