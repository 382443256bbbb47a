"""The page about cohorts says what the code draws; the failure prints the table to paste."""

from pathlib import Path

from pepr_kg.cohorts.defects import DEFECTS
from pepr_kg.cohorts.groups import ARRHYTHMIA, EVERYONE, GROUPS
from pepr_kg.cohorts.population import AGE_SHARES, CONDITIONS, CORRELATIONS, TRAITS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cohorts.md").read_text(encoding="utf-8")


def traits_table() -> str:
    rows = ["| quantity | unit | women | men | spread | distribution |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for item in TRAITS:
        kind = ("log-normal" if item.log else "normal") + (
            f", {item.tail:g} more for each score below −1" if item.tail else ""
        )
        figures = f"{item.women:g} | {item.men:g} | {item.spread:g}"
        rows.append(f"| `{item.quantity}` | `{item.unit}` | {figures} | {kind}, {item.low:g} to {item.high:g} |")
    return "\n".join(rows)


def conditions_table() -> str:
    rows = ["| quantity | women | men |", "| --- | ---: | ---: |"]
    rows += [f"| `{item.quantity}` | {item.women:.1%} | {item.men:.1%} |" for item in CONDITIONS]
    return "\n".join(rows)


def correlations_table() -> str:
    rows = ["| one | other | correlation | direction from |", "| --- | --- | ---: | --- |"]
    rows += [f"| `{first}` | `{second}` | {size:+.2f} | {source} |" for first, second, size, source in CORRELATIONS]
    return "\n".join(rows)


def groups_table() -> str:
    rows = ["| group | models | share | ages | first of all |", "| --- | --- | ---: | --- | --- |"]
    for item in (EVERYONE, ARRHYTHMIA, *GROUPS):
        models = ", ".join(f"`{model}`" for model in item.models)
        share = f"{item.share:.0%}" if item.share else "all who have it"
        first = f"`{item.first}`" if item.first else ""
        rows.append(f"| {item.name} | {models} | {share} | {item.youngest:g} to {item.oldest:g} | {first} |")
    return "\n".join(rows)


def defects_table() -> str:
    rows = ["| defect | share | what |", "| --- | ---: | --- |"]
    rows += [f"| {item.name} | {item.share:.0%} | {item.text} |" for item in DEFECTS]
    return "\n".join(rows)


def test_the_tables_are_those_of_the_code() -> None:
    for table in (traits_table(), conditions_table(), correlations_table(), groups_table(), defects_table()):
        assert table in PAGE, table


def test_the_shares_of_ages_are_those_of_the_code() -> None:
    assert abs(sum(AGE_SHARES) - 1.0) < 1e-9
    for share in AGE_SHARES:
        assert f"{100 * share:.1f} %" in PAGE
