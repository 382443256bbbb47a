"""The commands about FHIR as a person uses them: real processes, real files, a real dataset."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyoxigraph
import pytest

from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import COHORT
from pepr_kg.store import Dataset, NamedNode
from tests.test_cli import run

BASE = ("--base", "https://fhir.example.org/")
PATIENT = b'{"resourceType": "Patient", "id": "%b", "gender": "female", "birthDate": "1970-02-01"}\n'


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Three lines, the second of them broken."""
    path = tmp_path / "three.ndjson"
    path.write_bytes(PATIENT % b"a" + b'{"resourceType": "Patient", "id":\n' + PATIENT % b"c")
    return path


@pytest.fixture
def data(dataset: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset.path, tmp_path / "data"))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("command", [("fhir",), ("fhir", "rdf"), ("fhir", "json"), ("fhir", "export"), ("load",)])
def test_help_is_there_in_both_languages(command: tuple[str, ...], lang: str) -> None:
    done = run(*command, "--help", lang=lang)
    assert done.returncode == 0, done.stderr
    assert {"en": "Show this help", "fr": "Affiche cette aide"}[lang] in done.stdout
    assert "FHIR" in done.stdout


# ---- Conversion ------------------------------------------------------------------------------------------------------


def test_a_bad_line_is_reported_and_the_others_are_written(lines: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.nt"
    done = run("fhir", "rdf", lines, *BASE, "-o", output, lang="fr")
    assert done.returncode == 1
    assert f"{lines}, ligne 2, colonne " in done.stdout
    assert "2 ressource(s)" in done.stdout
    subjects = {quad.subject for quad in pyoxigraph.parse(path=output, format=pyoxigraph.RdfFormat.N_TRIPLES)}
    assert {NamedNode(f"https://fhir.example.org/Patient/{name}") for name in "ac"} <= subjects


def test_the_report_is_json_for_a_program(lines: Path, tmp_path: Path) -> None:
    done = run("fhir", "rdf", lines, *BASE, "-o", tmp_path / "out.ttl", "--format", "json")
    report = json.loads(done.stdout)
    assert (report["resources"], report["counts"], report["output"]) == (2, {"error": 1}, str(tmp_path / "out.ttl"))
    [finding] = report["findings"]
    assert finding["where"].startswith("line 2, column")
    assert finding["en"] != finding["fr"]


def test_rdf_goes_to_the_standard_output_and_the_report_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(PATIENT % b"a")
    done = run("fhir", "rdf", path, *BASE)
    assert done.returncode == 0
    assert done.stdout.startswith("@prefix fhir:")
    assert done.stderr.startswith("1 resource(s)")
    quads = run("fhir", "rdf", path, *BASE, "--syntax", "nquads", "--graph", "https://example.org/g")
    assert quads.stdout.splitlines()[0].endswith("<https://example.org/g> .")


def test_the_standard_input_is_a_source(lines: Path) -> None:
    for body in (lines.read_bytes(), gzip.compress(lines.read_bytes())):
        command = [sys.executable, "-m", "pepr_kg", "fhir", "rdf", "-", *BASE, "--lines", "--syntax", "ntriples"]
        environment = {**os.environ, "PEPR_KG_LANG": "en"}
        done = subprocess.run(command, input=body, capture_output=True, check=False, env=environment)
        assert done.returncode == 1
        assert b"standard input, line 2" in done.stderr
        assert done.stdout.count(b"treeRoot") == 2


def test_json_comes_back_and_styles_are_exchanged(shared: Path, tmp_path: Path) -> None:
    source = next((shared / "fhir" / "synthea-r4").glob("L*.json"))
    turtle, other, back = tmp_path / "a.ttl", tmp_path / "b.ttl", tmp_path / "c.json"
    assert run("fhir", "rdf", source, *BASE, "-o", turtle, "--workers", "2").returncode == 0
    assert run("fhir", "json", turtle, "-o", back).returncode == 0
    assert json.loads(back.read_bytes()) == json.loads(source.read_bytes())
    assert run("fhir", "rdf", turtle, *BASE, "--release", "R5", "-o", other).returncode in {0, 1}
    assert b"fhir:index" not in other.read_bytes()
    two = run("fhir", "json", turtle, other)
    assert [json.loads(line)["resourceType"] for line in two.stdout.splitlines()] == ["Bundle", "Bundle"]


def test_switches_change_the_clothes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"resourceType": "Observation", "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, '
        '"subject": {"reference": "Patient/a"}, "valueQuantity": {"value": 1.0E-3}}',
        encoding="utf-8",
    )
    plain = run("fhir", "rdf", path, *BASE, "--release", "R5").stdout
    assert "loinc.org/rdf/8480-6>" in plain
    assert "fhir:link <https://fhir.example.org/Patient/a>" in plain
    assert '"1.0E-3"^^xsd:double' in plain
    switched = run(
        "fhir", "rdf", path, *BASE, "--release", "R5", "--concepts", "none", "--links", "l", "--exponents", "expand"
    )
    assert "loinc.org/rdf" not in switched.stdout
    assert "fhir:l <https://fhir.example.org/Patient/a>" in switched.stdout
    assert '"0.0010"^^xsd:decimal' in switched.stdout


def test_a_device_is_written_and_not_replaced(lines: Path) -> None:
    assert run("fhir", "rdf", lines, *BASE, "-o", "/dev/null").returncode == 1
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rdf", "x.json"), "--base is missing"),
        (("rdf", "absent.json", *BASE), "absent.json cannot be read"),
        (("rdf", "a.xml", *BASE), "this is XML"),
        (("rdf", "a.json", "--base", "example"), "not an absolute IRI"),
        (("rdf", "a.json", "--base", "http://hl7.org/fhir/"), "belongs to the FHIR specification"),
        (("rdf", "a.json", *BASE, "--release", "R3"), "R4, R4B, R5, R6"),
        (("rdf", "a.json", *BASE, "--graph", "https://example.org/g"), "--syntax nquads"),
        (("rdf", "a.json", "a.ttl", *BASE), "not both at once"),
        (("rdf", "a.json", *BASE, "-o", "absent/x.ttl"), "cannot be written"),
        (("rdf", "a.json", *BASE, "--scheduler", "here"), "scheduler"),
        (("json", "absent.ttl"), "absent.ttl cannot be read"),
        (("json", "a.json"), "a.json, line 1, column"),
        (("frobnicate",), "There is no command frobnicate"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(PATIENT % b"a")
    (tmp_path / "a.xml").write_text('<Patient xmlns="http://hl7.org/fhir"/>', encoding="utf-8")
    (tmp_path / "a.ttl").write_text("", encoding="utf-8")
    for lang in LANGUAGES:
        done = run("fhir", *arguments, lang=lang, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("pepr-kg")
        assert "Traceback" not in done.stderr
        assert words in done.stderr or lang == "fr"


# ---- Into the dataset and out of it ----------------------------------------------------------------------------------


def test_fhir_is_loaded_once_and_leaves_again(data: Path, lines: Path, tmp_path: Path) -> None:
    first = run("load", "--fhir", lines, "--cohort", "clinic", "--keep", "both", "--data", data)
    assert first.returncode == 1, first.stderr
    assert f"{lines}, line 2" in first.stdout
    view = Dataset(data).view()
    assert NamedNode(f"{COHORT}clinic") in view.graphs
    again = run("load", "--fhir", lines, "--cohort", "clinic", "--keep", "both", "--data", data, "--format", "json")
    report = json.loads(again.stdout)
    assert (report["unchanged"], report["created"], report["version"]) == (2, 0, view.version)
    out = tmp_path / "out.ndjson"
    done = run("fhir", "export", "cohort:clinic", "--data", data, "-o", out)
    assert done.returncode == 0, done.stderr
    assert PATIENT % b"a" in out.read_bytes()
    assert "clinic" in run("fhir", "export", "cohort:none", "--data", data).stderr


def test_what_is_cut_changes_nothing(data: Path, shared: Path, tmp_path: Path) -> None:
    whole, cut = sorted((shared / "fhir" / "synthea-r4").glob("*.json"), key=lambda path: path.stat().st_size)[:2]
    half = tmp_path / "half.json"
    half.write_bytes(cut.read_bytes()[:300_000])
    before = Dataset(data).view().version
    done = run("load", "--fhir", whole, half, "--cohort", "clinic", "--data", data, lang="fr")
    assert done.returncode == 2
    assert f"{half}, ligne " in done.stderr
    assert "Récupérez le fichier de nouveau" in done.stderr
    assert Dataset(data).view().version == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fhir", "x.json"), "name it with --cohort"),
        (("--fhir", "x.json", "--cohort", "a", "--graph", "b"), "leave --graph out"),
        (("x.ttl", "--graph", "b", "--cohort", "a"), "--cohort goes with --fhir"),
        (("--fhir", "x.json", "--cohort", "a", "--keep", "some"), "terms, fhir, both"),
        (("--fhir", "absent.json", "--cohort", "a"), "absent.json cannot be read"),
    ],
)
def test_misuse_of_load_is_a_sentence(dataset: Dataset, arguments: tuple[str, ...], words: str) -> None:
    done = run("load", *arguments, "--data", dataset.path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
