"""OWL 2 DL and HermiT: our ontology passes, and what is broken is found. Java starts few times: the runs are shared."""

import importlib.util
from pathlib import Path

import pytest

from pepr_kg import reasoning
from pepr_kg.errors import MissingExtra, ReasoningFailed
from pepr_kg.reasoning import Reasoning, merge, reason, reason_over
from pepr_kg.resources import ontology_dir

PEPR = "https://w3id.org/pepr-santenum/ontology/"
HEADER = """
@prefix : <https://w3id.org/pepr-santenum/ontology/> .
@prefix id: <https://w3id.org/pepr-santenum/id/patient/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:broken a owl:Ontology .
"""
BROKEN = """
:Patient a owl:Class . :Model a owl:Class ; owl:disjointWith :Patient .
:PatientModel a owl:Class ; rdfs:subClassOf :Patient , :Model .
:weight a owl:ObjectProperty , owl:DatatypeProperty .
id:one a :Patient ; :observedOn "2024-08"^^xsd:gYearMonth ; :stay "P3D"^^xsd:duration .
:observedOn a owl:DatatypeProperty . :stay a owl:DatatypeProperty .
"""
CONTRADICTION = """
:Patient a owl:Class . :Model a owl:Class ; owl:disjointWith :Patient .
id:one a :Patient , :Model .
"""


@pytest.fixture(scope="session")
def verdict() -> Reasoning:
    return reason_over(ontology_dir())


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Reasoning:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "broken.ttl").write_text(HEADER + BROKEN, encoding="utf-8")
    return reason_over(folder)


def test_ontology_and_facts_are_owl_2_dl(verdict: Reasoning) -> None:
    assert not verdict.violations


def test_ontology_and_facts_are_consistent_and_every_class_can_have_a_member(verdict: Reasoning) -> None:
    assert verdict.consistent
    assert not verdict.unsatisfiable
    assert verdict.clean


def test_an_unsatisfiable_class_is_found(broken: Reasoning) -> None:
    assert broken.consistent
    assert broken.unsatisfiable == (PEPR + "PatientModel",)


def test_a_punned_property_is_found(broken: Reasoning) -> None:
    punned = [item for item in broken.violations if item.kind == "IllegalPunning"]
    assert punned
    assert all(PEPR + "weight" in item.axiom for item in punned)
    # A month is a value outside OWL 2's datatype map: it must not count as a fault.
    assert not any("observedOn" in item.axiom for item in broken.violations)


def test_a_datatype_outside_owl_2_is_found(broken: Reasoning) -> None:
    found = [item.axiom for item in broken.violations if item.kind == "UseOfUnknownDatatype"]
    assert len(found) == 1
    assert "P3D" in found[0]


@pytest.mark.parametrize(("lang", "words"), [("fr", "aucun individu"), ("en", "no individual")])
def test_findings_are_told_in_both_languages(broken: Reasoning, lang: str, words: str) -> None:
    messages = broken.messages(lang)
    assert not broken.clean
    assert any(words in message and "PatientModel" in message for message in messages)
    assert any("OWL 2 DL" in message and "IllegalPunning" in message for message in messages)


def test_a_contradiction_is_found(tmp_path: Path) -> None:
    (tmp_path / "facts.ttl").write_text(HEADER + CONTRADICTION, encoding="utf-8")
    found = reason_over(tmp_path)
    assert not found.consistent
    assert found.unsatisfiable == ()
    assert "HermiT" in found.messages("fr")[0]


def test_merging_leaves_one_header_and_no_import() -> None:
    triples = merge(sorted(ontology_dir().glob("*.ttl")))
    assert sum(str(triple.object).endswith("owl#Ontology>") for triple in triples) == 1
    assert not any(str(triple.predicate).endswith("owl#imports>") for triple in triples)
    assert len(triples) == len(set(triples))


def test_a_reasoner_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(ReasoningFailed, match="no answer after"):
        reason(merge([]), seconds=0.01)


def test_without_the_optional_part_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(reasoning, "find_spec", lambda name: None if name == "jpype" else found(name))
    with pytest.raises(MissingExtra, match="reasoning") as caught:
        reason([])
    assert caught.value.http_status == 501
    assert "reasoning" in caught.value.message("fr")
