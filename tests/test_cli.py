"""The command line as a person uses it: real processes, real datasets, what they print and how they end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pepr_kg.language import LANGUAGES
from pepr_kg.store import Dataset

COMMANDS = ("check", "build", "load", "validate", "query", "export", "serve")


def run(*arguments: str | Path, lang: str = "en", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pepr_kg", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PEPR_KG_LANG": lang},
        timeout=120,
        check=False,
    )


def copy(dataset: Dataset, to: Path) -> Path:
    return Path(shutil.copytree(dataset.path, to / "data"))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_teaches_in_both_languages(command: str, lang: str) -> None:
    done = run(*([command] if command else []), "--help", lang=lang)
    assert done.returncode == 0
    assert done.stdout.startswith({"en": "Usage: ", "fr": "Usage : "}[lang])
    assert {"en": "Show this help", "fr": "Affiche cette aide"}[lang] in done.stdout
    assert "Traceback" not in done.stderr


def test_query_answers_in_every_format(dataset: Dataset) -> None:
    arguments = ("query", "projects-of-programme", "--programme", "research-programme:3", "--data", dataset.path)
    table = run(*arguments).stdout
    assert "ChroniCardio" in table
    assert run(*arguments, "--format", "csv").stdout.splitlines()[0].startswith("project,")
    assert run(*arguments, "--format", "markdown").stdout.splitlines()[1].startswith("| --- |")
    answer = json.loads(run(*arguments, "--format", "json").stdout)
    assert len(answer["results"]["bindings"]) == 3


def test_query_lists_questions_and_explains_one() -> None:
    assert "projects-of-programme" in run("query").stdout
    assert "projets" in run("query", lang="fr").stdout
    assert "--programme" in run("query", "projects-of-programme", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("query", "projects-of-program"), "projects-of-programme"),
        (("query", "projects-of-programme", "--programme", "foo:bar"), "an IRI or a short form"),
        (("query", "projects-of-programme", "--programm", "x"), "has no parameter"),
        (("query", "projects-of-programme", "oops"), "--name value"),
        (("query", "projects-of-programme", "--programme"), "--name value"),
        (("export", "--format", "ttl"), "--graph"),
        (("load", "absent.ttl", "--graph", "x"), "absent.ttl cannot be read"),
        (("load", "absent.ttl", "--graph", "a b"), "cannot be part of an IRI"),
        (("nonsense",), "There is no command nonsense"),
        (("query", "--bogus"), "is not understood"),
        (("query", "time-scales-within", "--from", "1e300000000"), "a number such as"),
        (("query", "statement", "--identifier", "\udcff"), "a text in Unicode"),
        (("export", "--format", "ttl", "--graph", "nosuch"), "The graphs are: models, ontology"),
        (("export", "-o", "/nonexistent/file"), "cannot be written"),
        (("load", "absent.ttl"), "--graph is missing"),
        (("serve", "--port", "abc"), "The value of --port"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(
    dataset: Dataset, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    data = () if arguments == ("nonsense",) else ("--data", copy(dataset, tmp_path))
    done = run(*arguments, *data)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_misuse_speaks_french() -> None:
    assert "La commande nonsense n’existe pas. Aide : pepr-kg --help" in run("nonsense", lang="fr").stderr
    assert "Choisissez parmi : text, json" in run("check", "--format", "x", lang="fr").stderr


def test_errors_speak_french(dataset: Dataset) -> None:
    done = run("query", "projets", "--data", dataset.path, lang="fr")
    assert "Aucune requête ne s’appelle « projets »" in done.stderr


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    done = run("query", "projects-of-programme", "--data", tmp_path / "none")
    assert (done.returncode, "pepr-kg build --data" in done.stderr) == (2, True)


def test_a_dataset_of_a_newer_version(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    manifest = data / "versions" / (data / "CURRENT").read_text().strip() / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    for arguments in (("validate",), ("serve", "--port", "0"), ("export",)):
        done = run(*arguments, "--data", data)
        assert (done.returncode, "Upgrade pepr_kg" in done.stderr) == (2, True)
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("build", "--data", tmp_path / "file" / "data")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_port_in_use_is_said_before_anything_is_built(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), "--data", tmp_path / "data")
    assert (done.returncode, f"127.0.0.1:{port}" in done.stderr) == (2, True)
    assert not (tmp_path / "data").exists()


def test_load_adds_a_graph_that_a_rebuild_keeps(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    (tmp_path / "note.ttl").write_text('<urn:example:a> <urn:example:p> "kept" .')
    done = run("load", tmp_path / "note.ttl", "--graph", "cohort/example", "--data", data, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new_triples"] == 1
    assert run("build", "--data", data).returncode == 0
    assert '"kept"' in run("export", "--graph", "cohort/example", "--format", "nt", "--data", data).stdout


def test_load_refuses_what_violates_a_shape_and_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    before = Dataset(data).view().version
    bad = tmp_path / "bad.ttl"
    bad.write_text(
        "@prefix pepr: <https://w3id.org/pepr-santenum/ontology/> .\n"
        "<https://w3id.org/pepr-santenum/id/amount/orphan> a pepr:Amount ; pepr:numericValue 5 .\n"
    )
    done = run("load", bad, "--graph", "x", "--data", data, lang="fr")
    assert done.returncode == 1
    assert "amount/orphan" in done.stderr or "amount:orphan" in done.stderr
    assert "Rien n’a été modifié" in done.stderr
    assert Dataset(data).view().version == before
    shown = run("validate", bad, "--data", data, "--format", "json")
    assert shown.returncode == 1
    assert not json.loads(shown.stdout)["conforms"]
    assert Dataset(data).view().version == before


def test_load_refuses_the_graphs_that_a_build_writes(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    (tmp_path / "a.ttl").write_text("<urn:a> <urn:p> 1 .")
    (tmp_path / "a.nq").write_text("<urn:a> <urn:p> <urn:b> <https://w3id.org/pepr-santenum/graph/shapes> .")
    for name, graph in (("a.ttl", "programme"), ("a.nq", "mine")):
        done = run("load", tmp_path / name, "--graph", graph, "--data", data)
        assert (done.returncode, "Load into another graph" in done.stderr) == (2, True)


def test_validate_with_files_needs_a_dataset_and_writes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("<urn:a> <urn:p> 1 .")
    assert run("validate", tmp_path / "a.ttl", "--data", tmp_path / "none").returncode == 2
    assert not (tmp_path / "none").exists()


def test_a_reader_who_leaves_is_no_failure(dataset: Dataset) -> None:
    command = f"{sys.executable} -m pepr_kg export --data {dataset.path} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_setting_out_of_bounds_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pepr_kg", "serve", "--port", "0"], capture_output=True, text=True, check=False,
        env={**os.environ, "PEPR_KG_PAGE_SIZE": "0", "PEPR_KG_LANG": "en"},
    )  # fmt: skip
    assert (done.returncode, "PEPR_KG_PAGE_SIZE" in done.stderr) == (2, True)


def test_ctrl_c_ends_the_server_without_a_word(dataset: Dataset) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pepr_kg", "serve", "--port", "0", "--data", str(dataset.path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PEPR_KG_LANG": "en"},
    )  # fmt: skip
    assert process.stdout
    while "Ctrl+C" not in process.stdout.readline():
        pass
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")


def test_load_names_the_place_of_a_syntax_error(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    (tmp_path / "broken.ttl").write_text("<urn:a> <urn:b>\n  oops .")
    done = run("load", tmp_path / "broken.ttl", "--graph", "x", "--data", data)
    assert done.returncode == 2
    assert "broken.ttl, line 2" in done.stderr


def test_export_of_a_graph_reads_back(dataset: Dataset, tmp_path: Path) -> None:
    output = tmp_path / "programme.nt"
    assert run("export", "--graph", "programme", "--format", "nt", "-o", output, "--data", dataset.path).returncode == 0
    counts = dataset.view().counts()
    assert len(output.read_text().splitlines()) == counts["https://w3id.org/pepr-santenum/graph/programme"]


def test_a_build_is_reproducible(dataset: Dataset, tmp_path: Path) -> None:
    done = run("build", "--data", tmp_path / "again", "--format", "json")
    built = json.loads(done.stdout)
    assert built["version"] == dataset.view().version
    assert built["page_statements"] == 143
    assert built["violations"] == 0


def test_serve_says_what_it_did_and_a_second_start_reuses_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    data = copy(dataset, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "pepr_kg", "serve", "--port", "0", "--data", str(data), "--format", "json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    said = ""
    while not said.endswith("}\n"):
        said += process.stdout.readline()
    done = json.loads(said)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"{done['address']}/health", timeout=1) as response:
                    health = json.load(response)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert done["reused"]
    assert health["status"] == "ok"
    assert done["page_statements"] == 143
