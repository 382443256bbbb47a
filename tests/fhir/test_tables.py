"""The tables: what HL7's definitions say, and nothing that a package has added to them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pepr_kg.fhir.tables import load_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "fhir_tables.py"


@pytest.mark.parametrize(
    ("release", "resources", "elements"), [("R4", 146, 5_500), ("R4B", 140, 5_300), ("R5", 157, 6_500)]
)
def test_each_release_has_its_resources_and_every_child_leads_somewhere(
    release: str, resources: int, elements: int
) -> None:
    table = load_table(release)
    assert len(table.resources) >= resources
    seen: set[str] = set()
    waiting = sorted(table.resources)
    count = 0
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for element in table.elements(path).values():
            count += 1
            assert element.is_primitive or element.is_resource or element.path in table, (path, element)
            if element.path:
                waiting.append(element.path)
    assert count > elements


def test_r4_has_the_elements_of_its_shex_schema_and_no_others(shared: Path) -> None:
    schema = (shared / "fhir" / "schema" / "fhir-r4.shex").read_text(encoding="utf-8")
    expected = set(re.findall(r"fhir:([A-Z][A-Za-z]+(?:\.[A-Za-z0-9]+)+)", schema))
    expected = {name for name in expected if not name.startswith("MetadataResource.")}  # a logical model, never data
    table = load_table("R4")
    paths = [path for path in table.paths if path not in table.primitives]
    assert {element.base for path in paths for element in table.elements(path).values()} == expected


@pytest.mark.parametrize("release", ["R4", "R4B", "R5"])
def test_what_the_rules_warn_of(release: str) -> None:
    table = load_table(release)
    assert table.elements("Patient")["id"].base == "Resource.id"
    assert table.elements("Age")["value"].base == "Quantity.value"
    assert table.elements("Extension")["url"].type == "uri"
    assert table.elements("Patient.contact")["id"].is_primitive
    assert table.elements("Questionnaire.item")["item"].path == "Questionnaire.item"
    assert table.elements("Observation")["valueQuantity"].base == "Observation.valueQuantity"
    assert table.elements("Bundle.entry")["resource"].is_resource
    assert table.by_base("Observation")["DomainResource.text"].name == "text"
    assert {element.name for element in table.choices("Patient", "deceased")} == {"deceasedBoolean", "deceasedDateTime"}


def test_resource_type_is_an_ordinary_element_in_one_place() -> None:
    assert load_table("R4").elements("ExampleScenario.instance")["resourceType"].type == "code"


def test_integer64_came_with_r5_and_r6_has_its_table() -> None:
    assert "integer64" in load_table("R5").primitives
    assert "integer64" not in load_table("R4").primitives
    assert load_table("R6").elements("Patient") == load_table("R5").elements("Patient")
    with pytest.raises(KeyError):
        load_table("R3")


def test_the_script_says_what_a_folder_lacks(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds 0 definitions of Resource" in done.stderr
