"""The commands about twins as a person uses them: real processes on a real dataset."""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from pepr_kg.cli.bar import Bar
from pepr_kg.language import LANGUAGES
from pepr_kg.store import Dataset
from tests.models.small_sbml import glucose
from tests.test_cli import run

COMMANDS = (
    ("model",), ("model", "list"), ("model", "add"), ("model", "export"), ("model", "fit"), ("demo",), ("evaluate",),
    ("runs",), ("runs", "list"), ("runs", "stale"), ("runs", "withdraw"),
)  # fmt: skip
AS_OF = ("--as-of", "2026-11-01")


@pytest.fixture(scope="module")
def twins(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with forty synthetic patients."""
    path = Path(shutil.copytree(dataset.path, tmp_path_factory.mktemp("twins") / "data"))
    done = run("demo", "--patients", "40", "--data", path)
    assert done.returncode == 0, done.stderr
    assert "40 patients" in done.stdout
    assert "Synthetic" in done.stdout
    return path


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_there_in_both_languages(command: tuple[str, ...], lang: str) -> None:
    done = run(*command, "--help", lang=lang)
    assert done.returncode == 0, done.stderr
    assert {"en": "Show this help", "fr": "Affiche cette aide"}[lang] in done.stdout


def test_an_evaluation_is_written_then_reused_then_replayed(twins: Path) -> None:
    asked = ("evaluate", "--model", "ckd-epi-2021", "--cohort", "demo", *AS_OF, "--data", twins)
    first = run(*asked)
    assert first.returncode == 0, first.stderr
    assert "For research, not medical advice." in first.stdout
    again = json.loads(run(*asked, "--format", "json").stdout)
    assert again["reused"]
    assert Path(again["folder"], "trajectories.parquet").is_file()
    replayed = run("evaluate", "--replay", again["run"].rpartition("/")[2], "--data", twins)
    assert replayed.returncode == 0, replayed.stdout
    assert "bit for bit" in replayed.stdout
    assert "ckd-epi-2021" in run("runs", "list", "--data", twins).stdout
    assert run("runs", "stale", "--data", twins).returncode == 0


def test_the_same_cohort_again_changes_nothing(twins: Path) -> None:
    before = Dataset(twins).view().version
    done = run("demo", "--patients", "40", "--data", twins, lang="fr")
    assert done.returncode == 0
    assert "rien n’a changé" in done.stdout
    assert Dataset(twins).view().version == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cohort", "demo"), "--model is missing"),
        (("--model", "score2"), "Say for whom"),
        (("--model", "score3", "--cohort", "demo"), "score2"),
        (("--model", "score2", "--cohort", "nobody"), "no cohort cohort:nobody"),
        (("--model", "score2", "--entity", "patient:nobody"), "patient:nobody"),
        (("--model", "score2", "--cohort", "demo", "--scenario", "smokr=0"), "smoker"),
        (("--model", "score2", "--cohort", "demo", "--as-of", "yesterday"), "2026-11-01"),
        (("--model", "pk2-oral", "--cohort", "demo", "--horizon", "two days"), "48 h"),
        (("--model", "pk2-oral", "--cohort", "demo", "--horizon", "3 kg"), "kg does not convert"),
        (("--replay", "0123456789abcdef"), "0123456789abcdef"),
        (("--replay", "a b"), "no run a b"),
        (("--model", "score 2", "--cohort", "demo"), "score2"),
        (("--model", "score2", "--cohort", "demo", "--entity", "patient:a b"), "it is no IRI"),
        (("--model", "score2", "--cohort", "demo", "--scheduler", "nowhere"), "tcp://"),
    ],
)
def test_misuse_of_evaluate_is_a_sentence(twins: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("evaluate", *arguments, "--data", twins)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("pepr-kg: ")
    assert "Traceback" not in done.stderr


def test_a_model_is_added_and_exported(twins: Path, tmp_path: Path) -> None:
    path = tmp_path / "glucose.xml"
    path.write_bytes(glucose())
    added = run("model", "add", path, "--name", "glucose-use", "--data", twins)
    assert added.returncode == 0, added.stderr
    assert "model/glucose-use was added" in added.stdout or "model:glucose-use" in added.stdout
    assert "glucose-use" in run("model", "list", "--data", twins).stdout
    archive = tmp_path / "warfarin.omex"
    done = run("model", "export", "warfarin-pkpd", "-o", archive, "--scenario", "dose*0.5", "--horizon", "5 d",
               "--data", twins)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert archive.read_bytes().startswith(b"PK")


def test_a_dataset_is_fit_for_some_models_and_says_what_it_lacks_for_others(twins: Path) -> None:
    done = run("model", "fit", "dataset:demo", "--model", "ckd-epi-2021", "--data", twins)
    assert done.returncode == 0, done.stderr
    assert "model:ckd-epi-2021: the dataset has all that it requires" in done.stdout
    assert "converted:\n  - serum creatinine (umol/L → mg/dL)" in done.stdout
    assert "Research is permitted." in done.stdout
    assert "fit for twins of 1 model(s) of 1" in done.stdout
    every = json.loads(run("model", "fit", "demo", "--data", twins, "--format", "json").stdout)
    assert len(every) > 10
    assert {item["dataset"] for item in every} == {"https://w3id.org/pepr-santenum/id/dataset/demo"}
    lacking = run("model", "fit", "demo", "--model", "theophylline", "--model", "score2", "--data", twins, lang="fr")
    permitted = [line for line in lacking.stdout.splitlines() if "usage permis" in line]
    assert [line.rpartition(" ")[2] for line in permitted] == ["oui", "oui"]
    assert "convient à 2 modèle(s) sur 2" in lacking.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dataset:nothing",), "dataset:nothing"),
        (("a b",), "no dataset a b"),
        (("demo", "--model", "score3"), "score2"),
        ((), "DATASET"),
    ],
)
def test_misuse_of_fit_is_a_sentence(twins: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("model", "fit", *arguments, "--data", twins)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_withdrawn_run_stays_and_says_why(twins: Path) -> None:
    asked = ("evaluate", "--model", "cha2ds2-vasc", "--cohort", "demo", *AS_OF, "--data", twins, "--format", "json")
    name = json.loads(run(*asked).stdout)["run"].rpartition("/")[2]
    refused = run("runs", "withdraw", name, "--data", twins)
    assert refused.returncode == 2
    done = run("runs", "withdraw", name, "--reason-fr", "Erreur de saisie.", "--reason-en", "Typed wrongly.",
               "--data", twins)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "withdrawn" in run("runs", "list", "--data", twins).stdout


def test_a_demo_that_no_column_can_hold_is_refused_at_once(twins: Path) -> None:
    for lang, words in (("en", "at most 50,000 patients"), ("fr", "au plus 50\u202f000 patients")):
        done = run("demo", "--patients", "1000000", "--data", twins, lang=lang)
        assert done.returncode == 2
        assert words in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "--model", "score2", "--cohort", "demo"), ("evaluate", "--replay", "0123456789abcdef"),
        ("runs", "stale"), ("runs", "withdraw", "--stale"),
    ],
)  # fmt: skip
def test_the_settings_of_the_environment_count(
    twins: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEPR_KG_BINDING_SECONDS", "soon")
    done = run(*arguments, "--data", twins)
    assert done.returncode == 2
    assert "PEPR_KG_BINDING_SECONDS" in done.stderr


def test_a_stage_that_tells_nothing_moves_its_line_after_two_seconds() -> None:
    reader, writer = os.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal, contextlib.redirect_stderr(terminal):
        with Bar("stale"):
            time.sleep(1.0)
        with Bar("stale"):
            time.sleep(2.7)
        terminal.flush()
        shown = os.read(reader, 10_000).decode()
    os.close(reader)
    lines = shown.split("\r\x1b[K")
    assert len(set(lines)) > 2, "it moves"
    assert lines[1].count("█") == 6
    assert (lines[0], lines[-1]) == ("", "")
    assert len(lines) < 10, "and is silent before"
