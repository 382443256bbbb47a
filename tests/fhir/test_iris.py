"""What we call an IRI is one: strict parsers read it, and nothing is linked that names nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from pepr_kg.fhir.errors import BaseMissing
from pepr_kg.fhir.iris import (
    absolute_iri,
    check_base,
    escape_iri,
    resolve_reference,
    service_base,
    subject_iri,
    version_in_query,
)

BASE = "https://example.org/fhir/"
START = st.sampled_from(
    [
        "http://",
        "https://",
        "urn:",
        "urn:uuid:",
        "mailto:",
        "http:",
        "x:",
        "http://[::1]/",
        "http://[",
        "http://a/",
        "a:b@",
    ]
)


@given(START, st.text(max_size=20))
def test_every_iri_passes_a_strict_parser(start: str, rest: str) -> None:
    iri = absolute_iri(start + rest)
    if iri is not None:
        (quad,) = parse(f"<urn:s> <urn:p> <{iri}> .".encode(), RdfFormat.N_TRIPLES)
        assert quad.object.value == iri
        assert escape_iri(iri) == iri


@given(st.text(max_size=40))
def test_every_reference_that_leads_somewhere_leads_to_a_legal_iri(reference: str) -> None:
    for text in (reference, f"Patient/{reference}"):
        iri = resolve_reference(text, BASE)
        if iri is not None:
            list(parse(f"<urn:s> <urn:p> <{iri}> .".encode(), RdfFormat.N_TRIPLES))


@pytest.mark.parametrize(
    ("reference", "iri"),
    [
        ("Patient/p1", "https://example.org/fhir/Patient/p1"),
        ("Patient/p1/_history/2", "https://example.org/fhir/Patient/p1/_history/2"),
        ("Patient/p1#part", "https://example.org/fhir/Patient/p1#part"),
        ("PractitionerRole/$ee-role", "https://example.org/fhir/PractitionerRole/$ee-role"),
        ("http://other.example/fhir/Patient/2", "http://other.example/fhir/Patient/2"),
        ("urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d", "urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d"),
        ("Patient?identifier=http://a.example|1", None),
        ("http://other.example/Patient?identifier=1", None),
        ("#contained", None),
        ("Patient", None),
        ("", None),
        ("a b/c", None),
        ("http://a b/", None),
    ],
)
def test_a_reference_leads_where_it_says(reference: str, iri: str | None) -> None:
    assert resolve_reference(reference, BASE) == iri


def test_urns_need_not_be_linked() -> None:
    assert resolve_reference("urn:oid:1.2.3", BASE, urns=False) is None


@pytest.mark.parametrize("base", ["", "example.org/", "https://example.org", "https://example.org/?a/", "https://a b/"])
def test_a_base_is_an_absolute_iri_with_an_end(base: str) -> None:
    with pytest.raises(BaseMissing) as caught:
        check_base(base)
    assert "https://fhir.example.org/" in caught.value.message("fr")


def test_a_subject_is_escaped_and_a_hash_base_joins_with_a_hyphen() -> None:
    assert subject_iri(BASE, "Patient", "a b/é") == "https://example.org/fhir/Patient/a%20b%2F%C3%A9"
    assert subject_iri("https://example.org/x#", "Patient", "1") == "https://example.org/x#Patient-1"


def test_versions_and_servers() -> None:
    assert version_in_query("http://a/b?c=d|1") == "http://a/b?c=d&version=1"
    assert service_base("http://a.example/Observation/1/_history/3") == "http://a.example/"
    assert service_base("http://a.example/x") is None
