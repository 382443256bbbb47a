"""Content negotiation: weights, specificity, wildcards, ties, what is malformed."""

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.web.negotiate import BOOLEAN, HTML, SOLUTIONS, TRIPLES, Offer, best, by_suffix, split_suffix

JSON, XML, CSV, TSV = (offer.media_type for offer in SOLUTIONS)
TURTLE, NT, JSONLD, RDF = (offer.media_type for offer in TRIPLES)
DATA = (*TRIPLES, HTML)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (CSV, CSV),
        (f"{CSV};q=0.5, {TSV};q=0.6", TSV),
        (f"{CSV};q=0.5,{TSV};q=0.6,*/*;q=0.7", JSON),
        (f"*/*;q=0.1, {XML};q=0.2", XML),
        ("text/*", CSV),
        ("text/*, text/csv;q=0", TSV),
        # The most specific range gives the weight, whatever its place in the header.
        (f"{JSON};q=0.1, */*;q=0.9, text/csv;q=0.2", XML),
        # At equal weight a named type beats one that a wildcard lets through, then our order decides.
        (f"*/*, {TSV}", TSV),
        (f"{TSV}, {CSV}", CSV),
        # Names that people use for our formats; the answer bears the name that was asked for.
        ("application/json", "application/json"),
        ("application/xml;q=0.9", "application/xml"),
        (f"application/json, {JSON}", JSON),
        # A refused type does not come back under its other name.
        (f"{JSON};q=0, */*", XML),
        (f"{JSON};charset=utf-8", JSON),
        (f"{JSON.upper()} ; Q=0.5", JSON),
        # Malformed parts count as not sent.
        (f"{CSV};q=two, {TSV};q=0.1", TSV),
        (f"{CSV};q=2, {TSV};q=0.1", TSV),
        (f"nonsense, */csv, /, {XML}", XML),
        ('text/csv;header="a,b;q=0", text/tab-separated-values', TSV),
    ],
)
def test_table(accept: str | None, expected: str) -> None:
    choice = best(accept, SOLUTIONS)
    assert choice is not None
    assert choice.media_type == expected


@pytest.mark.parametrize(
    "accept", ["image/png", f"{JSON};q=0", "*/*;q=0", "text/html", "text/csv;header=absent", "nonsense", TURTLE]
)
def test_nothing_suits(accept: str) -> None:
    assert best(accept, SOLUTIONS) is None


def test_a_boolean_is_not_offered_as_a_table() -> None:
    assert best("text/csv", BOOLEAN) is None
    assert best("text/*", BOOLEAN) is None


def test_browsers_get_pages_and_machines_get_turtle() -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    found = [best(accept, DATA) for accept in (browser, None, "*/*")]
    assert [choice.media_type for choice in found if choice] == ["text/html", TURTLE, TURTLE]


def test_a_profile_is_a_wish() -> None:
    choice = best('application/ld+json;profile="http://www.w3.org/ns/json-ld#compacted"', TRIPLES)
    assert choice is not None
    assert choice.media_type == JSONLD


def test_suffixes() -> None:
    assert split_suffix("project/smatch.jsonld", DATA) == ("project/smatch", "jsonld")
    assert split_suffix("project/smatch.html", DATA) == ("project/smatch", "html")
    assert split_suffix("project/smatch.exe", DATA) == ("project/smatch.exe", None)
    assert split_suffix(".ttl", DATA) == (".ttl", None)
    assert by_suffix("csv", TRIPLES) is None


def test_a_header_past_all_measure_counts_as_not_sent_and_is_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(60):
            choice = best(f"text/csv;n={number}" + ", text/turtle" * 4_000, SOLUTIONS)
            assert choice is not None
            assert choice.media_type == JSON
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000


WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.001", ";q=0.5", "; q=0.999", ";q=1", ";q=1.000"])
NAMES = st.sampled_from([JSON, XML, CSV, TSV, "text/*", "application/*", "*/*", "image/png", "text/turtle"])
HEADERS = st.lists(st.tuples(NAMES, WEIGHTS), min_size=1, max_size=8, unique_by=lambda item: item[0])
# Without their other names, so that the plain rule below says all.
PLAIN = tuple(Offer(offer.suffix, offer.media_type) for offer in SOLUTIONS)


def weight(media_type: str, header: list[tuple[str, str]]) -> float:
    """The rule of RFC 9110 in its plainest form."""
    given_ = {name: float(weight.partition("=")[2] or 1) for name, weight in header}
    for name in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if name in given_:
            return given_[name]
    return 0.0


@given(HEADERS)
def test_the_best_weight_wins(header: list[tuple[str, str]]) -> None:
    choice = best(", ".join(name + weight for name, weight in header), PLAIN)
    top = max(weight(offer.media_type, header) for offer in PLAIN)
    if top == 0:
        assert choice is None
    else:
        assert choice is not None
        assert weight(choice.media_type, header) == top


@given(HEADERS, st.randoms())
def test_the_order_of_the_header_does_not_matter(header: list[tuple[str, str]], random: Random) -> None:
    parts = [name + weight for name, weight in header]
    expected = best(", ".join(parts), SOLUTIONS)
    random.shuffle(parts)
    assert best(",".join(parts), SOLUTIONS) == expected


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    best(text, SOLUTIONS)
