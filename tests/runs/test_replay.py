"""A run computed again: the same bits, or what differs."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pepr_kg.namespaces import MODELS_GRAPH
from pepr_kg.runs import blocks, replay
from pepr_kg.runs.errors import RunDamaged, UnknownRun
from pepr_kg.runs.evaluation import evaluate
from pepr_kg.runs.replay import Replayed
from pepr_kg.runs.request import Request
from pepr_kg.store import Dataset
from tests.runs.clinic import AS_OF, drug, iri, renal
from tests.runs.graphs import add_turtle
from tests.runs.test_evaluation import change_value


def kinds(found: Replayed) -> list[str]:
    return [item.kind for item in found.differences]


@pytest.mark.parametrize("question", [
    renal(scenarios=("base", "older: age_a+10", "far: scr_mg_dL-0.8")),
    drug(samples=30, scenarios=("base", "dose_mg_per_kg*2"), at=(1.0, 7.5)),
    drug(fit=False),
    Request("two-scale-coupled", entities=("patient:p0", "patient:p1"), as_of=AS_OF),
    Request("pk2-oral", cohort="test", as_of=AS_OF, samples=5,
            scenarios=("base", "twice: dose amount_gut 100 mg @ 0,12, CL*0.9 @ 6")),
    Request("disease-course", entities=("patient:p0",), as_of=AS_OF, horizon=3.0, samples=7),
    Request("disease-course", entities=("patient:p0",), as_of=AS_OF.replace(microsecond=700_000), horizon=3.0),
])  # fmt: skip
def test_a_run_comes_out_the_same_to_the_last_bit(clinic: Dataset, question: Request) -> None:
    run = evaluate(clinic, question)
    found = replay.replay(clinic, run.id)
    assert (found.same, found.differences) == (True, ())
    assert found.compared == 0 if run.status == "failed" else found.compared > 0
    assert replay.replay(clinic, f"evaluation:{run.id}").same


def test_blocks_of_another_size_are_compared_all_the_same(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluate(clinic, renal())
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)
    assert replay.replay(clinic, run.id).same


def test_the_first_figure_that_differs_is_named(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    path = run.folder / "trajectories.parquet"
    table = parquet.read_table(path)
    values = np.array(table["egfr"].to_pylist())
    values[2] = np.nextafter(values[2], np.inf)  # the last bit of the third patient
    place = table.schema.get_field_index("egfr")
    parquet.write_table(table.set_column(place, table.schema.field("egfr"), pa.array(values)), path)
    found = replay.replay(clinic, run.id)
    assert not found.same
    assert kinds(found) == ["file", "figure"]
    last = found.differences[-1]
    assert iri("p2") in last.en
    assert "egfr" in last.fr
    assert repr(float(values[2])) in last.en


def test_rows_that_are_missing_are_a_difference(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    path = run.folder / "trajectories.parquet"
    parquet.write_table(parquet.read_table(path).slice(0, 3), path)
    assert not replay.replay(clinic, run.id).same


def test_what_was_corrected_since_is_said_and_the_figures_are_still_those(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    change_value(clinic, "c-p0", "200.0")
    found = replay.replay(clinic, run.id)
    assert found.same, "it is computed from what was used"
    assert kinds(found) == ["observations"]
    assert "observation/c-p0" in found.differences[0].fr


def test_another_version_of_the_program_is_said(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluate(clinic, renal())
    monkeypatch.setattr(replay, "software", lambda: "pepr_kg 99.0")
    found = replay.replay(clinic, run.id)
    assert found.same
    assert kinds(found) == ["software"]
    assert "pepr_kg 99.0" in found.differences[0].en


def test_a_meaning_that_was_changed_since_is_said(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    add_turtle(clinic, "variable:ckd-epi-2021.scr_mg_dL pepr:upperBound 1000.0 .", MODELS_GRAPH)
    assert "meaning" in kinds(replay.replay(clinic, run.id))


def test_a_run_without_its_files_cannot_be_replayed(clinic: Dataset) -> None:
    run = evaluate(clinic, renal())
    shutil.rmtree(run.folder)
    with pytest.raises(RunDamaged):
        replay.replay(clinic, run.id)
    with pytest.raises(UnknownRun):
        replay.replay(clinic, "0123456789abcdef")
    again = evaluate(clinic, renal())
    assert (again.reused, again.id) == (False, f"{run.id}-2")


@pytest.mark.parametrize("name", ["a b", "evaluation:a b", "https://a><https://b", "\ud800"])
def test_what_is_no_iri_is_no_run(clinic: Dataset, name: str) -> None:
    with pytest.raises(UnknownRun):
        replay.replay(clinic, name)


def test_a_pool_replays_too(clinic: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert tmp_path.is_dir()
    run = evaluate(clinic, renal())
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)
    assert replay.replay(clinic, run.id, workers=2).same
