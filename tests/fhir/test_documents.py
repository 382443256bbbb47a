"""Resources out of files and streams: each one once, byte for byte, with its place, in every packing."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pepr_kg.fhir.documents import Document, Request, form_of, open_documents
from pepr_kg.fhir.documents_errors import DocumentBroken
from pepr_kg.fhir.documents_scan import read_pieces
from pepr_kg.fhir.sources import Limits
from pepr_kg.settings import Settings

PATIENT = '{"resourceType": "Patient", "id": "%s", "text": {"div": "<div>{[\\"}]\\u00e9 Zoë</div>"}}'


def patient(name: str) -> bytes:
    return (PATIENT % name).encode()


def bundle(*entries: bytes, kind: str = "collection", after: bytes = b"") -> bytes:
    joined = b" ,\n  ".join(entries)
    return b'{"resourceType": "Bundle",\n "type": "%b", "entry": [ %b ]%b}\n' % (kind.encode(), joined, after)


def names(documents: Iterator[Document]) -> list[str]:
    return [document.id for document in documents]


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_a_resource_is_given_as_its_bytes_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\n  " + patient("a") + b"  \n")
    [document] = open_documents(path)
    assert (document.kind, document.type, document.id) == ("resource", "Patient", "a")
    assert (document.data, document.source, document.where["fr"]) == (patient("a"), str(path), "")


@pytest.mark.parametrize("kind", ["transaction", "batch", "searchset", "history", "collection", "document"])
def test_every_kind_of_bundle_gives_its_entries(kind: str) -> None:
    entries = (
        b'{"fullUrl": "https://ex.org/Patient/a", "resource": %b, "search": {"mode": "match"}}' % patient("a"),
        b'{"resource": %b, "request": {"method": "PUT", "url": "Patient/b"}}' % patient("b"),
        b'{"request": {"method": "DELETE", "url": "Patient/c"}, "response": {"status": "204"}}',
    )
    first, second, third = open_documents([bundle(*entries, kind=kind)])
    assert first.bundle is not None
    assert (first.kind, first.entry, first.bundle.type) == ("entry", 1, kind)
    assert first.full_url == "https://ex.org/Patient/a"
    assert (second.data, second.full_url, second.request) == (patient("b"), None, Request("PUT", "Patient/b"))
    assert (third.is_removal, third.data, third.type, third.id) == (True, b"", "Patient", "c")
    assert third.where == {"en": ", entry 3", "fr": ", entrée 3"}


def test_entries_that_only_ask_or_only_answer_bring_nothing() -> None:
    entries = (
        b'{"request": {"method": "GET", "url": "Patient"}}',
        b'{"response": {"status": "200"}}',
        b'{"fullUrl": "https://ex.org/Patient/a", "request": {"method": "PUT", "url": "Patient/a"}, '
        b'"response": {"status": "200"}}',  # as a notification names what it is about
    )
    assert names(open_documents([bundle(*entries, b'{"resource": %b}' % patient("a"))])) == ["a"]
    assert names(open_documents([b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'])) == []
    assert names(open_documents([bundle()])) == []


def test_a_list_has_entries_too_and_stays_a_list() -> None:
    data = b'{"resourceType": "List", "id": "l", "entry": [{"item": {"reference": "Patient/a"}}]}'
    assert [document.data for document in open_documents([data])] == [data]


def test_the_order_of_keys_does_not_matter() -> None:
    data = b'{"entry": [{"resource": %b}], "type": "batch", "resourceType": "Bundle"}' % patient("a")
    [document] = open_documents([data])
    assert document.bundle is not None
    assert (document.id, document.entry, document.bundle.type) == ("a", 1, "batch")
    [escaped] = open_documents([data.replace(b'"entry"', b'"\\u0065ntry"')])
    assert escaped.id == "a"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n  \n"])
def test_lines_are_numbered_as_an_editor_does(end: bytes) -> None:
    data = end.join([patient("a"), bundle(b'{"resource": %b}' % patient("b")).replace(b"\n", b""), patient("c")])
    found = list(open_documents([data], name="x.ndjson"))
    assert [document.id for document in found] == ["a", "b", "c"]
    step = end.count(b"\n")
    assert [(document.line, document.entry) for document in found] == [(1, 0), (1 + step, 1), (1 + 2 * step, 0)]


def test_lines_are_found_without_a_telling_name() -> None:
    lines = patient("a") + b"\n" + patient("b")
    assert names(open_documents([lines])) == ["a", "b"]
    assert names(open_documents([b'{"broken": \n' + patient("b")], faults=lambda error: None)) == ["b"]
    # A Bundle on one line, larger than what is looked at first, and further lines.
    large = bundle(*[b'{"resource": %b}' % patient(f"e{number}") for number in range(10_000)]).replace(b"\n", b"")
    found = list(open_documents(pieces_of(large + b"\n" + lines, 100_000)))
    assert [(item.id, item.line, item.entry) for item in found[-3:]] == [("e9999", 0, 10_000), ("a", 2, 0), ("b", 3, 0)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_chunks_may_end_anywhere(size: int) -> None:
    entry = b'{"resource": {"resourceType": "Basic", "id": "\\ud83d\\ude00", "n": [1.00, -2e-10, true, null, "\\\\"]}}'
    data = bundle(entry, b'{"resource": %b}' % patient("b"), after=b', "signature": {"who": {"display": "e"}}').strip()
    whole = list(read_pieces([data]))
    assert [piece.kind for piece in whole] == ["bundle", "entry", "entry", "end"]
    assert whole[1].data == entry
    assert list(read_pieces(pieces_of(data, size))) == whole
    lines = patient("a") + b"\r\n" + patient("b") + b"\n"
    assert list(read_pieces(pieces_of(lines, size), form="ndjson")) == list(read_pieces([lines], form="ndjson"))


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    lines = b"\n".join(patient(f"p{number}") for number in range(5000))
    plain = tmp_path / "named-otherwise"
    plain.write_bytes(gzip.compress(lines[:100_000]) + gzip.compress(lines[100_000:]) + b"\0" * 512)
    assert len(names(open_documents(plain))) == 5000
    assert names(open_documents(pieces_of(gzip.compress(patient("a")), 1))) == ["a"]
    assert form_of("a/Patient.ndjson.gz") == "ndjson"


def test_a_byte_order_mark_is_no_content() -> None:
    assert names(open_documents([b"\xef\xbb\xbf" + patient("a")])) == ["a"]
    assert names(open_documents([b"\xef", b"\xbb\xbf", patient("a")])) == ["a"]
    assert names(open_documents([gzip.compress(b"\xef\xbb\xbf" + patient("a"))])) == ["a"]


def test_streams_and_bodies_are_sources() -> None:
    assert names(open_documents(io.BytesIO(patient("a")))) == ["a"]
    assert names(open_documents(iter(pieces_of(patient("a"), 5)))) == ["a"]


def test_the_synthea_bundles_come_out_as_they_are(shared: Path) -> None:
    for path in (shared / "fhir" / "synthea-r4").glob("*.json"):
        entries = json.loads(path.read_bytes())["entry"]
        found = list(open_documents(path))
        assert [json.loads(document.data) for document in found] == [entry["resource"] for entry in entries]
        assert [document.full_url for document in found] == [entry.get("fullUrl") for entry in entries]
        assert all(document.data in path.read_bytes() for document in found[:20])


def test_every_example_is_read(shared: Path) -> None:
    paths = list((shared / "fhir").rglob("*.json"))
    assert len(paths) > 300
    for path in paths:
        try:
            value = json.loads(path.read_bytes())
        except json.JSONDecodeError as error:  # a case that is wrong on purpose
            with pytest.raises(DocumentBroken, match=f"line {error.lineno}, column {error.colno}: "):
                list(open_documents(path))
            continue
        wanted = [item["resource"] for item in value.get("entry", []) if "resource" in item]
        if value["resourceType"] != "Bundle":
            wanted = [value]
        assert [json.loads(document.data) for document in open_documents(path) if document.data] == wanted, path.name


def test_memory_does_not_grow_with_the_bundle() -> None:
    entry = b'{"resource": {"resourceType": "Basic", "id": "x", "text": {"div": "%b"}}},' % (b"y" * 3000)

    def stream(megabytes: int) -> Iterator[bytes]:
        yield b'{"resourceType": "Bundle", "type": "collection", "entry": ['
        for _ in range(megabytes):
            yield entry * 330
        yield b'{"resource": {"resourceType": "Basic", "id": "last"}}]}'

    peaks = []
    for megabytes in (5, 50):
        tracemalloc.start()
        last = ""
        for document in open_documents(stream(megabytes)):
            last = document.id
        assert last == "last"
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1 < 20_000_000


def test_limits_are_settings() -> None:
    settings = Settings.from_environment({"PEPR_KG_FHIR_RESOURCE_BYTES": "1234", "PEPR_KG_FHIR_DEPTH": "12"})
    assert (Limits.of(settings).resource_bytes, Limits.of(settings).depth) == (1234, 12)
    assert Limits.of(Settings()) == Limits()


def test_a_fault_is_raised_where_nobody_takes_it() -> None:
    with pytest.raises(DocumentBroken):
        list(open_documents([patient("a") + b"\n{\n" + patient("b")], form="ndjson"))
