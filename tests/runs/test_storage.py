"""The files of a run: what they say of themselves, what is read of them, what a crash leaves; and numbers as text."""

import json
import math
import os
import threading
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pepr_kg.errors import DatasetReadOnly
from pepr_kg.namespaces import ID
from pepr_kg.rdf import parse_bytes
from pepr_kg.runs import blocks, reading, storage
from pepr_kg.runs.errors import RunDamaged, UnknownRun
from pepr_kg.runs.evaluation import Progress, evaluate
from pepr_kg.runs.inputs import gather, read
from pepr_kg.runs.preparation import prepare
from pepr_kg.runs.storage import Parts
from pepr_kg.runs.writing import Document, as_decimals, decimals, joined, node
from pepr_kg.store import Dataset, NamedNode, RdfFormat
from pepr_kg.twin import Status
from tests.runs.clinic import drug, iri, renal


def test_the_files_say_model_units_key_software_and_that_they_are_no_advice(clinic: Dataset) -> None:
    run = evaluate(clinic, drug(samples=10, scenarios=("base", "twice: dose_mg_per_kg*2")))
    schema = parquet.read_schema(run.folder / "trajectories.parquet")
    about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert about["model"] == f"{ID}model/theophylline"
    assert about["key"] == run.key
    assert about["software"].startswith("pepr_kg ")
    assert about["notice_en"] == "For research, not medical advice."
    assert "avis médical" in about["notice_fr"]
    assert schema.names == [
        "patient",
        "scenario",
        "time",
        "status",
        "draws",
        "conc.mean",
        "conc.q05",
        "conc.q50",
        "conc.q95",
    ]
    assert schema.field("time").metadata[b"unit"] == b"h"
    for name in schema.names[5:]:
        assert schema.field(name).metadata == {b"unit": b"mg/L", b"iri": f"{ID}variable/theophylline.conc".encode()}
    table = parquet.read_table(run.folder / "trajectories.parquet")
    assert table.num_rows == 4 * 2 * 5
    assert set(table["scenario"].to_pylist()) == {"base", "twice"}
    file = parquet.ParquetFile(run.folder / "trajectories.parquet")
    assert file.metadata.metadata[b"methods"] == b"closed form"
    inputs, said = storage.read_inputs(run.folder / "inputs.parquet")
    assert json.loads(said["document"])["fitted"] is True
    assert sorted(set(inputs["kind"].to_pylist())) == ["observation", "patient", "value"]


def test_of_one_patient_only_its_own_rows_are_read(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)
    run = evaluate(clinic, drug())
    path = run.folder / "trajectories.parquet"
    file = parquet.ParquetFile(path)
    assert file.num_row_groups == 4
    spans = [file.metadata.row_group(at).column(0).statistics for at in range(4)]
    assert [(item.min, item.max) for item in spans] == [(iri(f"q{at}"), iri(f"q{at}")) for at in range(4)]
    whole = reading.trajectories(clinic.path, run.id, "patient:q2")
    assert set(whole["patient"].to_pylist()) == {iri("q2")}
    # Spoil the pages of another patient: whoever reads q2 does not notice.
    damaged = bytearray(path.read_bytes())
    first = file.metadata.row_group(0).column(4)
    size = first.total_compressed_size
    damaged[first.data_page_offset : first.data_page_offset + size] = bytes(size)
    path.write_bytes(damaged)
    assert reading.trajectories(clinic.path, run.id, "patient:q2").equals(whole)
    with pytest.raises(RunDamaged):
        reading.trajectories(clinic.path, run.id, "patient:q0")
    with pytest.raises(UnknownRun):
        reading.read_band(clinic.path, "0123456789abcdef", "patient:q0")


def test_what_is_computed_from_is_what_the_bindings_gave(clinic: Dataset) -> None:
    prepared = prepare(clinic.view(), clinic.path, drug())
    resolved, inputs = prepared.given[0].resolved, prepared.inputs
    for symbol, values in resolved.values.items():
        np.testing.assert_array_equal(inputs.values[symbol], values)
    (block,) = inputs.blocks(prepared.plan, None)
    assert block.observations is not None
    assert resolved.observations is not None
    for name in ("time", "value", "present", "variable"):
        np.testing.assert_array_equal(getattr(block.observations, name), getattr(resolved.observations, name))
    assert tuple(sorted(block.doses, key=str)) == tuple(sorted(resolved.doses, key=str))
    again = read(inputs.table)
    assert again.digest() == inputs.digest() == gather(prepared.given, fitted=True).digest()


def test_the_key_follows_values_and_observations_and_not_their_order(clinic: Dataset) -> None:
    one = prepare(clinic.view(), clinic.path, renal(entities=("patient:p1", "patient:p0")))
    other = prepare(clinic.view(), clinic.path, renal(entities=("patient:p0", "patient:p1")))
    assert one.key == other.key
    assert one.key.digest != prepare(clinic.view(), clinic.path, renal(entities=("patient:p0",))).key.digest
    assert one.key.digest != prepare(clinic.view(), clinic.path, renal(rtol=1e-7)).key.digest


# ---- Parts -----------------------------------------------------------------------------------------------------------


def test_parts_of_another_version_are_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Parts(tmp_path, "abc") as parts:
        parts.write(3, pa.table({"a": [1]}))
    with Parts(tmp_path, "abc") as parts:
        assert parts.done() == {3}
        assert parts.read(3)["a"].to_pylist() == [1]
    monkeypatch.setattr(storage, "versions", lambda: ("9.9.9", "9.9"))
    with Parts(tmp_path, "abc") as parts:
        assert parts.done() == frozenset()


def test_two_with_one_key_do_not_share_parts_while_both_compute(tmp_path: Path) -> None:
    seen: list[Path] = []

    def second() -> None:
        with Parts(tmp_path, "abc") as parts:
            seen.append(parts.folder)

    with Parts(tmp_path, "abc") as first:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert seen[0] != first.folder
        assert first.folder.is_dir()
    assert not seen[0].exists()


def test_half_a_part_is_no_part(clinic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LANES", 1)
    monkeypatch.setattr(blocks, "_FEWEST", 1)

    def crash(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(clinic, renal(), tell=crash)
    (folder,) = (clinic.path / "runs").iterdir()
    (folder / "00004.making").write_bytes(b"PAR1 half")
    assert evaluate(clinic, renal()).evaluated == 5


def test_parts_that_nobody_came_back_to_are_removed_after_a_week(tmp_path: Path) -> None:
    for name in (".parts-old", ".parts-new", ".new-old"):
        (tmp_path / name).mkdir()
    for name in (".parts-old", ".new-old"):
        os.utime(tmp_path / name, (0, 0))
    with Parts(tmp_path, "abc"):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".parts-abc", ".parts-new"]


def test_a_folder_that_cannot_be_written_is_a_sentence(clinic: Dataset) -> None:
    (clinic.path / "runs").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(DatasetReadOnly, match="runs"):
        evaluate(clinic, renal())


def test_statuses_of_the_evaluator_are_outcomes() -> None:
    codes = np.array([int(status) for status in Status if status < Status.STIFF], np.int8)
    assert set(storage.outcome_of(codes).tolist()) == {0, 4, 6, 7}


# ---- Numbers as text -------------------------------------------------------------------------------------------------


def rounded(value: float) -> Decimal:
    """What `decimals` promises: 12 significant digits, at most 18 after the point."""
    exact = Decimal(value)
    if not exact:
        return Decimal(0)
    places = min(18, 11 - exact.adjusted())
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN) if places >= 0 else Decimal(f"{value:.11e}")


@settings(max_examples=300)
@given(st.floats(min_value=-1e20, max_value=1e20))
@example(0.0)
@example(-0.0)
@example(999999999999.5)
@example(1e12)
@example(123456789012345678.0)
@example(5e-19)
@example(1.0 - 2**-53)
def test_a_number_is_written_without_exponent_to_twelve_digits(value: float) -> None:
    (text,) = decimals(np.array([value])).to_pylist()
    assert "e" not in text.lower()
    whole, _, part = text.lstrip("-").partition(".")
    assert whole.isdigit()
    assert part.isdigit()
    assert len(part) <= 18
    expected = rounded(value)
    unit = Decimal(1).scaleb(max(-18, expected.adjusted() - 11)) if expected else Decimal("1e-18")
    assert abs(Decimal(text) - expected) <= unit, "one unit of the last digit at most"
    assert text != "-0.0"


def test_numbers_are_written_in_order_and_what_is_none_is_null() -> None:
    values = np.array([1.5, math.nan, -2.25, math.inf, 1e-3, 1e22])
    assert decimals(values).to_pylist() == ["1.5", None, "-2.25", None, "0.001", "10000000000000000000000.0"]
    rising = np.sort(np.random.default_rng(1).normal(scale=1e6, size=1000))
    written = [Decimal(text) for text in decimals(rising).to_pylist()]
    assert written == sorted(written), "rounding keeps the order, so that an interval holds its median"


def test_columns_become_triples_in_two_files(tmp_path: Path) -> None:
    names = joined("<urn:a", pa.array(["1", "2", "3"]), ">")
    with Document(tmp_path) as document:
        document.say("urn:x", ("urn:is", '"é\\"\\n"@fr'))
        document.say_all(names, [("urn:v", as_decimals(np.array([1.0, 2.5, -3.0]))), ("urn:t", node("urn:T"))], 3, 2)
        document.say_all(node("urn:x"), [("urn:has", names)], 3)
        document.say_all(names, [("urn:none", node("urn:T"))], 0)
    read_back = [
        {str(quad.triple) for quad in parse_bytes(path.read_bytes(), RdfFormat.N_TRIPLES, NamedNode("urn:g"), "x.nt")}
        for path in (document.specimen, document.rest)
    ]
    assert (len(read_back[0]), len(read_back[1])) == (1 + 4 + 3, 2)
    assert all("urn:a3" in line for line in read_back[1])
