"""Resources made from the tables come back exactly, in every release, dialect and syntax, through strict parsers."""

import copy
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import rdflib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pepr_kg.fhir.dialect import DIALECTS, R4, R4B, R5, R6, Dialect, Release
from pepr_kg.fhir.exact import Json, Number, difference, read_json
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.tables import load_table
from pepr_kg.fhir.writing import Syntax, Writer
from pepr_kg.rdf import RdfFormat, read_quads
from tests.fhir.made_resources import as_text, make, make_all, make_types, turns

BASE = "https://fhir.example.org/"
SYNTAXES: tuple[tuple[Syntax, RdfFormat, str], ...] = (
    ("turtle", RdfFormat.TURTLE, "turtle"),
    ("ntriples", RdfFormat.N_TRIPLES, "nt"),
)
SWITCHED = {
    "R4, no concepts": replace(R4, concept_iris="none", urn_links=False),
    "R4, all concepts": replace(R4, concept_stems="all"),
    "R5 as of 2025": replace(R5, links="l", uri_links=True, narrative_xml=True),
    "R5, no underscore": replace(R5, underscore=False, concept_iris="codeable-concept"),
    "R6, underscore": replace(R6, underscore=True, concept_iris="coding", concept_stems="all"),
}
ALL: dict[str, Dialect] = {"R4": R4, "R4B": R4B, "R5": R5, "R6": R6, **SWITCHED}
PAIRS: tuple[tuple[Release, Release], ...] = (
    ("R4", "R5"), ("R4", "R6"), ("R5", "R4"), ("R4B", "R5"), ("R5", "R4B"),
)  # fmt: skip
WRONG: tuple[Json, ...] = (
    None, [], {}, [None], [[]], [{}], True, Number("1.50"), Number("1e400"), "", "text", ["a", None],
    [Number("1"), "b"], {"resourceType": "Patient"}, {"resourceType": "Cat", "name": "x"}, {"a": [{"b": None}]},
    {"extension": "x"}, {"id": ["y"]}, {"value": {}}, [{"a": Number("0.10")}, "b"],
)  # fmt: skip


def there_and_back(raw: str, dialect: Dialect, *, turn: int | None = None) -> Iterator[str]:
    """Yield what goes wrong when a resource is written and read; with a turn in one syntax and by our parser alone."""
    value = read_json(raw)
    for syntax, kind, name in SYNTAXES if turn is None else SYNTAXES[turn % 2 :][:1]:
        writer = Writer(dialect, BASE, syntax=syntax)
        written = writer.write(raw)
        text = writer.head + written.text
        reading = read_graph(text, kind)
        if len(reading.resources) != 1:
            yield f"{syntax}: {len(reading.resources)} resources"
            continue
        where = difference(value, reading.resources[0].json)
        if where is not None:
            yield f"{syntax}: differs at {where}: {reading.problems}\n{text.decode()}"
        if any(problem.severity != "information" for problem in reading.problems):
            yield f"{syntax}: {reading.problems}\n{text.decode()}"
        if turn is None:
            count = len(set(read_quads(text, kind, lenient=False)))
            if count != written.triples:
                yield f"{syntax}: {count} triples and not {written.triples}\n{text.decode()}"
            graph = rdflib.Graph()
            graph.parse(data=text, format=name)
            if len(graph) != count:
                yield f"{syntax}: {len(graph)} triples in rdflib and not {count}\n{text.decode()}"


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=18, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rng=st.randoms(use_true_random=False))
def test_a_resource_made_by_chance_comes_back_exactly(name: str, rng: random.Random) -> None:
    dialect = ALL[name]
    raw = as_text(make(load_table(dialect.release), rng), rng)
    assert not list(there_and_back(raw, dialect)), raw


@settings(max_examples=40, deadline=None)
@given(
    rng=st.randoms(use_true_random=False),
    pair=st.sampled_from(PAIRS),
)
def test_a_resource_survives_the_clothes_of_another_release(rng: random.Random, pair: tuple[Release, Release]) -> None:
    own, other = pair
    value = make(load_table(own), rng)
    if value["resourceType"] in load_table(other).resources:
        raw = as_text(value, rng)
        for problem in there_and_back(raw, DIALECTS[other], turn=rng.randint(0, 1)):
            assert "differs" not in problem, raw


def spots(value: Json) -> Iterator[tuple[dict[str, Json], str]]:
    """Yield every place of a resource where something else could stand."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "resourceType":
                yield value, key
            yield from spots(item)
    elif isinstance(value, list):
        for item in value:
            yield from spots(item)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rng=st.randoms(use_true_random=False))
def test_what_has_the_wrong_form_comes_back_too(name: str, rng: random.Random) -> None:
    value = make(load_table(name), rng)
    for _ in range(rng.randint(1, 3)):
        places = list(spots(value))
        if not places:
            break
        holder, key = rng.choice(places)
        holder[rng.choice((key, "_" + key, key.strip("_"), "unknown"))] = copy.deepcopy(rng.choice(WRONG))
    raw = as_text(value, rng)
    assert not list(there_and_back(raw, ALL[name], turn=rng.randint(0, 1))), raw


@pytest.mark.parametrize("release", ["R4", "R4B", "R5"])
def test_every_element_of_every_resource_comes_back(release: Release) -> None:
    table = load_table(release)
    faults = []
    for number, kind in enumerate(sorted(table.resources)):
        for turn in range(turns(table, kind) if release != "R4B" else 1):  # R4B's differences are types, not choices
            raw = as_text(make_all(table, kind, turn), random.Random(1))
            faults += [
                f"{kind} {turn}: {fault}" for fault in there_and_back(raw, DIALECTS[release], turn=number + turn)
            ]
    assert not faults


@pytest.mark.parametrize("name", ALL)
def test_every_type_with_all_that_it_can_hold_comes_back(name: str) -> None:
    raw = as_text(make_types(load_table(ALL[name].release)), random.Random(2))
    assert not list(there_and_back(raw, ALL[name]))
