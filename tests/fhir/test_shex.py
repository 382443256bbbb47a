"""What we write of R4 resources conforms to the R4 ShEx schema, by rudof; what is wrong does not."""

import sys
from pathlib import Path

import pytest

from pepr_kg.fhir.dialect import R4
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.writing import Writer

pytest.importorskip("pyrudof")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import fhir_shex  # type: ignore[import-not-found]

EVERY = 9  # of the official examples, one in so many: `make fhir-shex` judges all


@pytest.fixture(scope="module")
def schema(shared: Path) -> fhir_shex.Schema:
    path = shared / "fhir" / "schema" / "fhir-r4.shex"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return fhir_shex.Schema(path)


def refused(schema: fhir_shex.Schema, files: list[Path]) -> tuple[int, list[str]]:
    """Return how many parts were judged and which did not conform."""
    writer = Writer(R4, fhir_shex.BASE)
    every = (part for path in files for part in fhir_shex.parts(read_json(path.read_bytes()), path.stem))
    count, found = 0, []
    for batch in fhir_shex.batches(fhir_shex.written(writer, *part) for part in every):
        count += len(batch)
        found += [part.place for part in schema.refused(batch)]
    return count, found


@pytest.mark.parametrize(
    ("folder", "step"),
    [("r4-official-pairs", EVERY), ("fr-r4-pairs-eprescription", 3), ("fr-r4-pairs-annuaire", 1), ("synthea-r4", 3)],
)
def test_what_we_write_conforms(schema: fhir_shex.Schema, shared: Path, folder: str, step: int) -> None:
    files = sorted((shared / "fhir" / folder).glob("*.json"))[::step]
    if not files:
        pytest.skip(f"{folder} is not there")
    count, found = refused(schema, files)
    assert count >= len(files)
    assert found == []


@pytest.mark.parametrize(
    "patient",
    [
        '{"gender": "woman"}',  # not of the value set
        '{"active": "true"}',  # a text where a boolean belongs
        '{"unheardOf": "x"}',  # the shapes are closed
        '{"contact": [{"unheardOf": 1}]}',
    ],
)
def test_a_wrong_resource_is_refused_between_right_ones(schema: fhir_shex.Schema, patient: str) -> None:
    writer = Writer(R4, fhir_shex.BASE)
    right = {"resourceType": "Patient", "gender": "female"}
    wrong = {"resourceType": "Patient", **read_json(patient)}  # type: ignore[dict-item]
    batch = [
        fhir_shex.written(writer, str(number), resource, f"{fhir_shex.BASE}Patient/{number}")
        for number, resource in enumerate([right, wrong, right])
    ]
    assert [part.place for part in schema.refused(batch)] == ["1"]


def test_a_bundle_is_taken_apart() -> None:
    bundle = read_json(
        '{"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:1", "resource":'
        ' {"resourceType": "Basic"}}, {"resource": {"resourceType": "Bundle", "type": "batch"}}]}'
    )
    found = [(part["resourceType"], url) for _, part, url in fhir_shex.parts(bundle, "b")]
    assert found == [
        ("Bundle", f"{fhir_shex.BASE}Bundle/b"),
        ("Basic", "urn:uuid:1"),
        ("Bundle", f"{fhir_shex.BASE}Bundle/b%20entry%201"),
    ]
