"""French and English, always both: same texts, same fields, and French as it is written."""

import json
import re
from pathlib import Path

import pytest

import pepr_kg.errors
from pepr_kg.errors import PeprError
from pepr_kg.language import choose, format_amount, format_date, format_number

PACKAGE = Path(__file__).parents[1] / "pepr_kg"
FOLDERS = [path.parent for path in PACKAGE.rglob("locales/fr.json")]
ERRORS = [item for item in vars(pepr_kg.errors).values() if isinstance(item, type) and issubclass(item, PeprError)]
FIELD = re.compile(r"{(\w+)")


def texts(folder: Path, lang: str) -> dict[str, str]:
    return json.loads((folder / f"{lang}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_both_languages_have_the_same_texts_with_the_same_fields(folder: Path) -> None:
    french, english = texts(folder, "fr"), texts(folder, "en")
    assert set(french) == set(english)
    for key, text in english.items():
        assert set(FIELD.findall(text)) == set(FIELD.findall(french[key])), key


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_french_has_its_typography(folder: Path) -> None:
    for key, text in texts(folder, "fr").items():
        assert not re.search(r"\w'\w", text), f"{key}: ’ is the apostrophe of French"
        assert not re.search(r"\w[;!?»]|«\w", text), f"{key}: a space stands before ; ! ? » and after «"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_speaks_both_languages(error: type[PeprError]) -> None:
    assert set(error.titles) == set(error.sentences) == {"fr", "en"}
    assert set(FIELD.findall(error.sentences["fr"])) == set(FIELD.findall(error.sentences["en"]))
    assert error.code
    assert 400 <= error.http_status < 600


def test_codes_are_stable_names_that_no_two_errors_share() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"), ("", "en"), ("fr", "fr"), ("fr-FR,fr;q=0.9,en;q=0.8", "fr"), ("en-GB, fr;q=0.9", "en"),
        ("de, fr;q=0.2", "fr"), ("fr;q=0, en;q=0.1", "en"), ("fr;q=abc", "en"), ("fr_FR.UTF-8", "fr"), ("C", "en"),
    ],
)  # fmt: skip
def test_the_language_that_a_reader_asks_for(header: str | None, language: str) -> None:
    assert choose(header) == language


def test_numbers_amounts_and_dates() -> None:
    assert format_number("1234.5", "fr") == "1\u202f234,5"
    assert format_number("1234.5", "en") == "1,234.5"
    assert format_amount(60000000, "EUR", "fr") == "60\u202f000\u202f000\u00a0€"
    assert format_amount(5, "CHF", "en") == "CHF 5"
    assert format_date("2023-06-01", "fr") == "1er juin 2023"
    assert format_date("2021-10", "en") == "October 2021"
    assert format_date("2023", "fr") == "2023"
    assert format_date("soon", "en") == "soon"
