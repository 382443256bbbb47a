"""`make fhir-roundtrip`: every file comes back, what does not is shown, and no folder makes a traceback."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pepr_kg.fhir.conversion import Plan, convert
from pepr_kg.fhir.dialect import DIALECTS, Release
from pepr_kg.fhir.exact import difference, read_json, write_json
from pepr_kg.fhir.reading import read_graph
from pepr_kg.fhir.writing import Syntax
from pepr_kg.rdf import RdfFormat

SCRIPT = Path(__file__).parents[2] / "scripts" / "fhir_roundtrip.py"


def run(folder: Path) -> tuple[int, list[str], str]:
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_files_of_every_kind_come_back_in_each_release_that_applies(shared: Path, tmp_path: Path) -> None:
    source = shared / "fhir"
    for pattern in (
        "core-expected/*",
        "validator-turtle-cases/*",
        "r5-pairs-2026/*",
        "r4-official-pairs/observation-*",
    ):
        for path in source.glob(f"{pattern}.json"):
            folder = tmp_path / path.parent.name
            folder.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    code, lines, errors = run(tmp_path)
    assert (code, errors) == (0, "")
    assert lines[-1].startswith("passed ")
    passed, _, tried = lines[-1].removeprefix("passed ").partition(" of ")
    assert passed == tried
    assert int(tried) > 150
    assert "group-choice-empty.json: refused, as it must be: " in "\n".join(lines)
    assert {path.name for path in tmp_path.iterdir()} <= {line.partition(":")[0] for line in lines}


def test_what_is_no_resource_is_named_and_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.json").write_text('{"resourceType": "Patient", "active": true}', encoding="utf-8")
    (folder / "b.json").write_text('{"resourceType": "Cat"}', encoding="utf-8")
    (folder / "c.json").write_text('{"a": 1, "a": 2}', encoding="utf-8")
    (folder / "d.json").write_text("[1, 2]", encoding="utf-8")
    (folder / "e.json").write_bytes(b"\xff\xfe")
    code, lines, errors = run(tmp_path)
    assert (code, errors) == (0, "")
    assert [line.partition(": ")[0] for line in lines[:-2]] == [
        "mixed/b.json",
        "mixed/c.json",
        "mixed/d.json",
        "mixed/e.json",
    ]
    assert lines[-1] == "passed 4 of 4"


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    code, lines, errors = run(tmp_path)
    assert (code, errors) == (2, "")
    assert lines == [f"{tmp_path}: no .json file in it"]


@pytest.mark.parametrize("release", DIALECTS)
@pytest.mark.parametrize(("syntax", "kind"), [("turtle", RdfFormat.TURTLE), ("ntriples", RdfFormat.N_TRIPLES)])
def test_a_bundle_written_entry_by_entry_is_read_as_one(
    shared: Path, release: Release, syntax: Syntax, kind: RdfFormat
) -> None:
    for pattern in (
        "r4-official-pairs/bundle-*",
        "fr-r4-pairs-eprescription/*Bundle*",
        "validator-turtle-cases/bundle-*",
    ):
        for path in sorted((shared / "fhir").glob(f"{pattern}.json"))[:8]:
            raw, output = path.read_bytes(), io.BytesIO()
            convert([(path.name, [raw])], Plan(DIALECTS[release], "https://fhir.example.org/", syntax), output)
            reading = read_graph(output.getvalue(), kind)
            assert len(reading.resources) == 1, path.name
            assert difference(read_json(raw), reading.resources[0].json) is None, path.name


def test_many_resources_in_one_document_come_back_in_order(shared: Path) -> None:
    values = [
        read_json(path.read_bytes()) for path in sorted((shared / "fhir" / "r4-official-pairs").glob("[a-l]*.json"))
    ]
    lines = "\n".join(write_json(value) for value in values).encode()
    output = io.BytesIO()
    convert([("a.ndjson", [lines])], Plan(DIALECTS["R4"], "https://fhir.example.org/", "ntriples"), output)
    reading = read_graph(output.getvalue(), RdfFormat.N_TRIPLES)
    assert [difference(*pair) for pair in zip(values, (found.json for found in reading.resources), strict=True)] == [
        None
    ] * len(values)
