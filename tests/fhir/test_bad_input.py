"""Bad input, as it comes: a sentence in both languages that says what, where and what to do; never a traceback."""

import gzip
import io
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pepr_kg.errors import DataUnreadable, PeprError
from pepr_kg.fhir.conversion import Conversion, Plan, convert
from pepr_kg.fhir.dialect import R4
from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.documents_errors import DocumentBroken, DocumentError, DocumentForeign, DocumentTooLarge
from pepr_kg.fhir.sources import Limits, Source

GOOD = b'{"resourceType": "Patient", "id": "good"}'


def refusal(source: Source, limits: Limits | None = None, name: str = "x.json") -> PeprError:
    with pytest.raises(PeprError) as caught:
        list(open_documents(source, limits, name=name))
    error = caught.value
    for lang in ("en", "fr"):
        assert error.message(lang).startswith(name)
        assert error.message(lang).endswith(".")
    return error


def converted(*data: bytes, **more: str) -> tuple[Conversion, str]:
    output = io.BytesIO()
    done = convert([("x.json", data)], Plan(R4, "https://ex.org/", "ntriples"), output, **more)  # type: ignore[arg-type]
    return done, output.getvalue().decode()


def entries(*texts: bytes) -> bytes:
    return b'{"resourceType": "Bundle", "type": "batch", "entry": [%b]}' % b",".join(texts)


# ---- Another format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "there is nothing in it"),
        (b" \n\t ", "there is nothing in it"),
        (b'<?xml version="1.0"?>\n<Patient xmlns="http://hl7.org/fhir"/>', "this is XML"),
        (b'<Patient xmlns="http://hl7.org/fhir"/>', "this is XML"),
        (b"<!DOCTYPE html><html><body>Login</body></html>", "HTML page"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', "HTML page"),
        (b"@prefix fhir: <http://hl7.org/fhir/> .", "pepr-kg fhir json"),
        (b"[" + GOOD + b"]", "JSON array"),
        (b"PK\x03\x04....", "archive"),
        (b"%PDF-1.7", "PDF"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (GOOD.decode().encode("utf-16-le"), "UTF-16"),
        (b"resourceType,id\nPatient,a\n", "begins with an opening brace"),
        (b"null", "begins with an opening brace"),
    ],
)
def test_another_format_is_named(data: bytes, words: str) -> None:
    error = refusal([data])
    assert isinstance(error, DocumentForeign)
    assert words in error.message("en")
    assert refusal([gzip.compress(data)]).message("fr") == error.message("fr")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match=r"absent\.json cannot be read"):
        list(open_documents(tmp_path / "absent.json"))
    with pytest.raises(DataUnreadable):
        list(open_documents(tmp_path))


# ---- Not JSON, or not as it should be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b'{"resourceType": "Patient",\n "id": "a"', "line 2", "before the resource is complete"),
        (b'{"resourceType": "Patient",\n "id": "a', "line 2", "before the resource is complete"),
        (b'{"resourceType": "Patient", "active": tru', "line 1", "before the resource is complete"),
        (b"{", "line 1", "before the resource is complete"),
        (b'{"resourceType": "Patient"\n "id": "a"}', "line 2, column 2", "is expected here"),
        (b'{"resourceType": "Patient",\n\n "id": 01}', "line 3, column", "this is not JSON"),
        (b'{"resourceType": "Patient", "id": NaN}', "line 1, column", "NaN is not a number"),
        (b'{"resourceType": "Patient", "id": "a"}}', "line 1, column 39", "follows the end"),
        (b'{"resourceType": "Patient",\n "id": "a"}\n' + GOOD, "line 3", "each on a line of its own"),
        (b'{"resourceType": "Patient", "id": "a", "id": "b"}', "line 1", 'the key "id" stands twice'),
        (b'{"resourceType": "Patient", "id": "\\ud800"}', "line 1, column", "surrogate"),
        (b'{"resourceType": "Patient", "id": "\xff"}', "line 1, column 36", "UTF-8"),
        (b'{"resourceType": "Patient", "id": "a\nb"}', "line 1, column", "control character"),
        (b'{"id": "a"}', "line 1", '"resourceType"'),
        (b"{}", "line 1", '"resourceType"'),
        (b'{"resourceType": ["Patient"]}', "line 1", '"resourceType"'),
        (b'{"resourceType": "Bundle", "entry": {}}', "line 1", "is a list"),
    ],
)
def test_a_broken_resource_says_where(data: bytes, place: str, words: str) -> None:
    error = refusal([data])
    assert isinstance(error, DocumentBroken)
    assert place in error.message("en")
    assert words in error.message("en")
    assert error.message("fr") != error.message("en")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (b"{}", "neither resource nor request nor response"),
        (b'{"fullUrl": "urn:uuid:1"}', "neither resource nor request nor response"),
        (b'{"request": {"method": "PUT", "url": "Patient/a"}}', "asks for PUT and has no resource"),
        (b'{"resource": {"id": "a"}}', '"resourceType"'),
        (b'{"resource": 5}', "an object is expected, not a number"),
        (b'{"resource": null}', "an object is expected, not null"),
        (b'{"fullUrl": 5, "resource": %b}' % GOOD, "at fullUrl a text is expected, not a number"),
        (b"7", "an object is expected, not a number"),
        (b'{"resource": %b, "resource": %b}' % (GOOD, GOOD), 'the key "resource" stands twice'),
    ],
)
def test_a_bad_entry_is_reported_and_the_others_are_read(entry: bytes, words: str) -> None:
    faults: list[DocumentError] = []
    data = entries(b'{"resource": %b}' % GOOD, entry, b'{"resource": %b}' % GOOD)
    assert [item.id for item in open_documents([data], name="x.json", faults=faults.append)] == ["good", "good"]
    [fault] = faults
    assert fault.message("en").startswith("x.json, entry 2: ")
    assert words in fault.message("en")
    assert fault.message("fr").startswith("x.json, entrée 2\u202f: ")


def test_a_bundle_that_is_cut_says_in_which_line() -> None:
    data = entries(b'{"resource": %b}' % GOOD, b'\n{"resource": {"resourceType"')[:-2]
    assert refusal([data]).message("fr") == (
        "x.json, ligne 2, colonne 1\u202f: les données s’arrêtent avant la fin de la ressource. "
        "Récupérez le fichier de nouveau."
    )


# ---- Lines -----------------------------------------------------------------------------------------------------------


def test_one_bad_line_among_many_is_reported_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "many.ndjson"
    with path.open("wb") as file:
        for number in range(1, 200_001):
            file.write(b'{"resourceType": "Patient", "id": \n' if number == 123_456 else GOOD + b"\n")
    faults: list[DocumentError] = []
    assert sum(1 for _ in open_documents(path, faults=faults.append)) == 199_999
    [fault] = faults
    assert fault.message("en").startswith(f"{path}, line 123456, column")
    assert "ends before the value is complete" in fault.message("en")


@pytest.mark.parametrize("lines", [b'{"resourceType": "Patient"', b"[1]", b"{", b"\xff", b'"text"', b"{}", b"<a/>"])
def test_whatever_a_line_is_the_next_is_read(lines: bytes) -> None:
    faults: list[DocumentError] = []
    data = [GOOD + b"\n" + lines + b"\n" + GOOD]
    assert len(list(open_documents(data, form="ndjson", faults=faults.append))) == 2
    assert [", line 2" in fault.message("en") for fault in faults] == [True]


def test_white_space_is_neither_kept_nor_gone_through_again() -> None:
    def stream() -> Iterator[bytes]:
        for _ in range(300_000):
            yield b" " * 200 + b"\n"
        yield GOOD + b"\n{\n"

    started = time.process_time()
    faults: list[DocumentError] = []
    [document] = open_documents(stream(), form="ndjson", faults=faults.append)
    assert document.line == 300_001
    assert ", line 300002, " in faults[0].message("en")
    assert time.process_time() - started < 10
    with pytest.raises(DocumentForeign, match="there is nothing in it"):
        list(open_documents(b" \n" * 1000 for _ in range(1000)))
    assert "line 4, " in refusal([b"\n\n\n", b'{"resourceType": "Patient", "id": NaN}']).message("en")


def test_a_long_line_in_small_pieces_takes_no_longer() -> None:
    def stream() -> Iterator[bytes]:
        yield GOOD + b'\n{"resourceType": "Binary", "id": "long", "data": "'
        for _ in range(100_000):
            yield b"A" * 100
        yield b'"}\n'

    started = time.process_time()
    assert [document.id for document in open_documents(stream(), form="ndjson")] == ["good", "long"]
    assert time.process_time() - started < 10


def test_a_line_that_is_too_long_is_skipped_in_constant_memory() -> None:
    limits = Limits(line_bytes=100_000)
    faults: list[DocumentError] = []

    def stream() -> Iterator[bytes]:
        yield GOOD + b'\n{"resourceType": "Binary", "data": "'
        for _ in range(200):
            yield b"A" * 1_000_000
        yield b'"}\n' + GOOD + b"\n"

    found = list(open_documents(stream(), limits, form="ndjson", name="x", faults=faults.append))
    assert [document.line for document in found] == [1, 3]
    assert isinstance(faults[0], DocumentTooLarge)
    assert (
        faults[0].message("en").startswith("x, line 2: the line is longer than 100000 bytes (setting fhir_line_bytes)")
    )


# ---- Too much --------------------------------------------------------------------------------------------------------


def test_an_attachment_beyond_the_limit_stops_early() -> None:
    taken = 0

    def stream() -> Iterator[bytes]:
        nonlocal taken
        yield b'{"resourceType": "Binary", "contentType": "image/dicom", "data": "'
        for _ in range(500):
            taken += 1_000_000
            yield b"A" * 1_000_000
        yield b'"}'

    error = refusal(stream())
    assert isinstance(error, DocumentTooLarge)
    assert "larger than 64000000 bytes (setting fhir_resource_bytes)" in error.message("en")
    assert "Relevez la limite" in error.message("fr")
    assert taken < 140_000_000


def test_gzip_that_expands_without_end_stops_early() -> None:
    taken = 0

    def bomb() -> Iterator[bytes]:
        nonlocal taken
        machine = zlib.compressobj(9, wbits=31)
        yield machine.compress(b'{"resourceType": "Binary", "data": "')
        while True:
            piece = machine.compress(b"A" * 1_000_000)
            taken += len(piece)
            yield piece

    error = refusal(bomb())
    assert isinstance(error, DocumentTooLarge)
    assert "200 times their size" in error.message("en")
    assert taken < 200_000
    text = b"".join(b"%d" % number for number in range(100_000))
    assert "more than 100000 bytes" in refusal([gzip.compress(text)], Limits(gzip_bytes=100_000)).message("en")


def test_gzip_that_is_cut_or_damaged() -> None:
    data = bytearray(gzip.compress(b'{"resourceType": "Patient", "id": "%b"}' % bytes(range(97, 123)) * 10))
    assert "end too early" in refusal([bytes(data[:-9])]).message("en")
    data[20] ^= 255
    assert "are damaged" in refusal([bytes(data)]).message("en")


@pytest.mark.parametrize("depth", [201, 900, 10_000, 200_000])
def test_nesting_without_end_is_a_sentence(depth: int) -> None:
    data = b'{"resourceType": "Patient", "extension": ' + b'[{"extension": ' * depth + b"1" + b"}]" * depth + b"}"
    assert "nested more than 200 deep" in refusal([data]).message("en")
    done, _ = converted(GOOD + b"\n" + data + b"\n" + GOOD, form="ndjson")
    assert (done.resources, done.counts) == (2, {"error": 1})
    faults: list[DocumentError] = []
    assert not list(open_documents([data], form="ndjson", faults=faults.append))
    assert "imbriqués" in faults[0].message("fr")


def test_brackets_in_texts_are_no_nesting() -> None:
    data = b'{"resourceType": "Basic", "id": "a", "x": "%b", "y": [%b]}' % (
        b"[{" * 5000,
        b", ".join([b'{"a": []}'] * 500),
    )
    assert [document.id for document in open_documents([data])] == ["a"]


# ---- Converted, nothing lost, nothing endless ------------------------------------------------------------------------


def test_numbers_beyond_a_double_stay_as_they_are() -> None:
    value = "0.1234567890123456789012345678901234567890"
    done, text = converted(
        b'{"resourceType": "Observation", "valueQuantity": {"value": %b}, ' % value.encode()
        + b'"component": [{"valueQuantity": {"value": 1e400}}]}'
    )
    assert done.resources == 1
    assert f'"{value}"^^<http://www.w3.org/2001/XMLSchema#decimal>' in text
    assert '"1e400"^^<http://www.w3.org/2001/XMLSchema#double>' in text


def test_contained_resources_that_point_at_each_other_come_to_an_end() -> None:
    done, text = converted(
        b'{"resourceType": "MedicationRequest", "id": "m", "contained": ['
        b'{"resourceType": "List", "id": "a", "entry": [{"item": {"reference": "#b"}}]},'
        b'{"resourceType": "List", "id": "b", "entry": [{"item": {"reference": "#a"}}, {"item": {"reference": "#"}}]}],'
        b'"subject": {"reference": "#a"}}'
    )
    assert done.resources == 1
    assert text.count('"#a"') == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"resourceType": "Foo"}', "R4 has no resource type Foo"),
        (b'{"resourceType": "Patient", "name": [{"family": "a", "family": "b"}]}', 'the key "family" stands twice'),
        (b'{"resourceType": "Patient", "birthDate": "tomorrow"}', "tomorrow"),
        (b'{"resourceType": "Patient", "birthday": "1970"}', "birthday"),
        (b'{"resourceType": "Patient", "name": {"family": "a"}}', "name"),
    ],
)
def test_what_only_the_writer_sees_is_reported_with_its_place(line: bytes, words: str) -> None:
    done, _ = converted(GOOD + b"\n" + line + b"\n" + GOOD, form="ndjson")
    assert done.resources >= 2
    assert any(
        finding.message("en").startswith("x.json, line 2") and words in finding.message("en")
        for finding in done.findings
    )
    assert all(finding.message("fr").startswith("x.json, ligne 2") for finding in done.findings)


def test_entries_of_a_large_bundle_are_reported_one_by_one() -> None:
    filler = b'{"resource": {"resourceType": "Basic", "id": "b", "text": {"div": "%b"}}}' % (b"x" * 5000)
    done, _ = converted(entries(*[filler] * 500, b"{}", *[filler] * 500, b'{"resource": {"resourceType": "Foo"}}'))
    assert done.resources >= 1001
    messages = [finding.message("en") for finding in done.findings if finding.severity == "error"]
    assert any(text.startswith("x.json, entry 501: the entry has neither") for text in messages)
    assert any(text.startswith("x.json, entry 1002: ") for text in messages)


def test_a_source_that_is_cut_leaves_the_output_without_a_name(tmp_path: Path) -> None:
    source = tmp_path / "cut.json"
    source.write_bytes(entries(*[b'{"resource": %b}' % GOOD] * 10_000)[:-100])
    command = [
        sys.executable,
        "-m",
        "pepr_kg",
        "fhir",
        "rdf",
        source,
        "--base",
        "https://ex.org/",
        "-o",
        tmp_path / "o.nt",
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cut.json"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_large_bundle_is_converted_in_little_memory(tmp_path: Path, workers: int) -> None:
    source, output = tmp_path / "large.json", tmp_path / "large.nt"
    resource_text = b'{"resourceType": "Observation", "id": "%d", "status": "final", "note": [{"text": "%b"}]}'
    with source.open("wb") as file:
        file.write(b'{"resourceType": "Bundle", "type": "collection", "entry": [')
        for number in range(20_000):
            file.write(b'{"resource": ' + resource_text % (number, b"z" * 4000) + b"},\n")
        file.write(b'{"resource": ' + resource_text % (20_000, b"end") + b"}]}")
    script = (
        "import sys; from pathlib import Path; from pepr_kg.fhir.conversion import Plan, convert\n"
        "from pepr_kg.fhir.dialect import R5\nimport re, resource\n"
        "if __name__ == '__main__':\n"
        "    plan, workers = Plan(R5, 'https://ex.org/', 'ntriples'), int(sys.argv[3])\n"
        "    with open(sys.argv[2], 'wb') as file:\n"
        "        done = convert([('x', Path(sys.argv[1]))], plan, file, workers=workers)\n"
        "    own = int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
        "    print(done.resources, own // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
    )
    path = tmp_path / "run.py"
    path.write_text(script, encoding="utf-8")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, path, source, output, str(workers)], capture_output=True, text=True, check=True
    )
    assert time.monotonic() - started < 60
    resources, own, theirs = map(int, done.stdout.split())
    assert resources == 20_001
    assert max(own, theirs) < 200
    assert output.stat().st_size > source.stat().st_size
