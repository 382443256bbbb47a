"""JSON in and out: no value changes, and what two readers would read differently is refused with its place."""

import pytest

from pepr_kg.fhir.exact import DEPTH, Json, Number, difference, read_json, same, write_json
from pepr_kg.fhir.exact_errors import BadJson, NotJson

DIGITS = "3." + "1415926535" * 4


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "1.00", "1e400", "1E-22", "-1.0e+05", DIGITS, "9" * 5000, "0.000000000000000000000000000000000001"],
)
def test_a_number_keeps_every_character(number: str) -> None:
    value = read_json(f'{{"value": [{number}]}}')
    assert value == {"value": [Number(number)]}
    assert write_json(value) == f'{{"value":[{number}]}}'


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', None),
        ("1.0", "1.00", "."),
        ("1", '"1"', "."),
        ("true", "1", "."),
        ("false", "0", "."),
        ("null", "{}", "."),
        ('{"a": null}', "{}", "a"),
        ('{"a": [{"b": [1, 2]}]}', '{"a": [{"b": [1, 3]}]}', "a[0].b[1]"),
        ("[1, 2]", "[1]", "[1]"),
        ("[1, 2]", "[2, 1]", "[0]"),
        ('{"a": "é"}', '{"a": "e\\u0301"}', "a"),
    ],
)
def test_two_values_differ_at_the_first_place_that_is_not_the_same(one: str, other: str, where: str | None) -> None:
    left, right = read_json(one), read_json(other)
    assert difference(left, right) == where
    assert difference(right, left) == where
    assert same(left, right) == (where is None)


@pytest.mark.parametrize("value", ["", "é漢\U0001f600\u2028", '"\\/\b\f\n\r\t', "\x00\x1f\x7f", "\ufeff"])
def test_every_string_comes_back(value: str) -> None:
    assert read_json(write_json({value: [value]})) == {value: [value]}


def test_a_written_text_is_indented_as_asked() -> None:
    value: Json = {"a": [], "b": {}, "c": [Number("1"), None, True, False], "d": {"e": ""}}
    assert write_json(value) == '{"a":[],"b":{},"c":[1,null,true,false],"d":{"e":""}}'
    assert write_json(value, 1).splitlines() == [
        "{", ' "a": [],', ' "b": {},', ' "c": [', "  1,", "  null,", "  true,", "  false", " ],",
        ' "d": {',
        '  "e": ""', " }", "}",
    ]  # fmt: skip
    assert read_json(write_json(value, 2)) == value


def test_a_mark_of_utf8_at_the_start_is_no_matter() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "\xc3\xa9"}') == {"a": "é"}
    assert read_json("\ufeff[]") == []


@pytest.mark.parametrize(
    ("data", "line", "column", "word"),
    [
        ('{"a": 1,\n "a": 2}', 2, 2, '"a" stands twice'),
        ('{"b": {"a": 1, "\\u0061": 2}}', 1, 16, '"a" stands twice'),
        ('[{"a": 1}, {"a": 1, "b": {"a": 1}, "c": [], "b": 1}]', 1, 45, '"b" stands twice'),
        ('{"a": NaN}', 1, 7, "NaN"),
        ("[1, -Infinity]", 1, 5, "-Infinity"),
        ('["\\ud83d\\ude00", "x\\ud83d"]', 1, 20, "surrogate"),
        ('["\\ude00"]', 1, 3, "surrogate"),
        ('["\\ud83d \\ude00"]', 1, 3, "surrogate"),
        ('{"\\ud83d\\ud83d": 1}', 1, 3, "surrogate"),
        ('{"a": [1, 2', 1, 12, "ends before"),
        ('{"a": "some', 1, 12, "ends before"),
        ('{"a"', 1, 5, "ends before"),
        ('{"a": tru', 1, 7, "value is expected"),
        ('{"a": 1}\n{"a": 2}', 2, 1, "behind the end"),
        ('{"a": 01}', 1, 8, "comma is expected"),
        ("{'a': 1}", 1, 2, "double quotes"),
        ('{"a" 1}', 1, 6, "colon"),
        ('["a\nb"]', 1, 4, "control character"),
        ('["\\x"]', 1, 3, "escape"),
        ('["\\u12g4"]', 1, 4, "hexadecimal"),
        ("[1,]", 1, 4, "value is expected"),
        (b'{"a": "\xe9"}', 1, 8, "UTF-8"),
        (b'\n["\xed\xa0\x80"]', 2, 3, "UTF-8"),
        ('["\ud83d"]', 1, 3, "UTF-8"),
    ],
)
def test_bad_json_is_refused_with_its_place(data: str | bytes, line: int, column: int, word: str) -> None:
    with pytest.raises(BadJson) as caught:
        read_json(data)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert word in str(caught.value)
    assert caught.value.message("fr").startswith(f"Ce JSON est inutilisable, ligne {line}, colonne {column} : ")


@pytest.mark.parametrize("count", [DEPTH + 1, 1_000, 10_000, 200_000])
@pytest.mark.parametrize(("head", "tail"), [('{"extension":[', "]}"), ("[", "]")])
def test_deep_nesting_is_a_sentence(count: int, head: str, tail: str) -> None:
    with pytest.raises(BadJson, match=f"nested more than {DEPTH} deep"):
        read_json(head * count + tail * count)


def test_nesting_is_counted_and_not_the_number_of_brackets() -> None:
    assert read_json("[" * DEPTH + "]" * DEPTH)
    assert read_json("[" + "[]," * 5_000 + '"' + "[" * 500 + '"]')
    with pytest.raises(BadJson, match="nested more than 3 deep"):
        read_json('[[["[["]], [[[1]]], {"a": {"b": {"c": 1}}}]', depth=3)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "nothing"),
        (b" \n", "nothing"),
        (b'<?xml version="1.0"?><Patient/>', "XML"),
        (b"\xef\xbb\xbf  <Patient/>", "XML"),
        (b"\x1f\x8b\x08", "compressed"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a": 1}'.encode("utf-32-be"), "UTF-16"),
    ],
)
def test_other_formats_and_encodings_are_named(data: bytes, word: str) -> None:
    with pytest.raises(NotJson, match=word):
        read_json(data)
