"""A dialect is a value with switches."""

from dataclasses import replace

from pepr_kg.fhir.dialect import DIALECTS, R4, R4B, R5, R6


def test_each_release_has_its_own_clothes() -> None:
    assert set(DIALECTS) == {"R4", "R4B", "R5", "R6"}
    assert [dialect.value for dialect in (R4, R4B, R5, R6)] == ["value", "value", "v", "v"]
    assert [dialect.indexed for dialect in (R4, R4B, R5, R6)] == [True, True, False, False]
    assert [dialect.link for dialect in (R4, R4B, R5, R6)] == ["link", "link", "link", "l"]
    assert [dialect.typed_uris for dialect in (R4, R4B, R5, R6)] == [False, False, True, True]
    assert (R6.concept_iris, R6.narrative_xml, R6.underscore) == ("codeable-concept", True, False)
    assert R5.underscore
    assert R6.table.release == "R5"


def test_a_switch_changes_one_thing() -> None:
    changed = replace(R5, links="l", uri_links=True, upper_classes=True)
    assert changed.class_name("dateTime") == "DateTime"
    assert changed.table is R5.table
