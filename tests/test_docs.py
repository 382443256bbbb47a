"""The documentation holds: its examples run, its tables are those of the code, its links lead somewhere.

In a `console` block each `$ ` line is run and what it prints is compared with the lines below it: `…` stands for
the rest of a line, and alone on a line for any lines. A `turtle` block that begins with `# NAME.ttl` is written to that
file first. A `sparql` block is run; with a header it is a stored query. A `python` block is a doctest that has a
`view` and a `dataset`. The first lines of a `diff` block stand in the file that it names.
"""

import dataclasses
import doctest
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

import pepr_kg
from pepr_kg import errors
from pepr_kg.cli import cli
from pepr_kg.cohorts import load_published
from pepr_kg.language import LANGUAGES
from pepr_kg.questions import ask, load_questions
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.settings import ENVIRONMENT_PREFIX, Settings
from pepr_kg.store import Dataset, View
from pepr_kg.twin import Model, Status, builtin, builtin_models, form, load_model

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
# A folder of the program is a page too; the evaluator, the command line and the pages have pages of their own kind.
ROOMS = ("models", "runs", "cohorts")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SHOWN_ADDRESS = "http://127.0.0.1:8000"
# They set up, serve or change the reader's own shell: the fixtures have done so.
NOT_RUN = ("make ", "git ", "cd ", ". ", "pepr-kg serve")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def with_blocks(*kinds: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, *kinds)]


# Each room has its branch of the one tree of errors.
ERROR_MODULES = [
    name for name in ("pepr_kg.errors", "pepr_kg.twin.errors", "pepr_kg.models.errors", "pepr_kg.runs.errors",
                      "pepr_kg.cohorts.errors", "pepr_kg.runs.jobs", "pepr_kg.fhir.errors", "pepr_kg.fhir.exact_errors",
                      "pepr_kg.fhir.documents_errors", "pepr_kg.fhir.intake_errors", "pepr_kg.fhir.offer_errors",
                      "pepr_kg.web.refusals")
    if importlib.util.find_spec(name)
]  # fmt: skip
for _name in ERROR_MODULES:
    importlib.import_module(_name)


# ---- Tables that the code decides ------------------------------------------------------------------------------------


def settings_table() -> str:
    rows = ["| variable | default | | |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(Settings):
        name = ENVIRONMENT_PREFIX + field.name.upper()
        rows.append(f"| `{name}` | `{field.default}` | {field.metadata['en']} | {field.metadata['fr']} |")
    return "\n".join(rows)


def errors_table() -> str:
    rows = ["| code | status | class | English | French |", "| --- | --- | --- | --- | --- |"]

    def add(kind: type[errors.PeprError]) -> None:
        titles = " | ".join(kind.titles[lang] for lang in ("en", "fr"))
        rows.append(f"| `{kind.code}` | {kind.http_status} | `{kind.__name__}` | {titles} |")
        known = [below for below in kind.__subclasses__() if below.__module__ in ERROR_MODULES]
        for below in sorted(known, key=lambda below: ERROR_MODULES.index(below.__module__)):
            add(below)

    add(errors.PeprError)
    return "\n".join(rows)


def status_table() -> str:
    rows = ["| code | name | English | French |", "| ---: | --- | --- | --- |"]
    rows += [f"| {code} | `{code.name}` | {code.sentence('en')} | {code.sentence('fr')} |" for code in Status
             if code < Status.STIFF]  # fmt: skip
    return "\n".join(rows)


def models_table() -> str:
    rows = ["| model | what | form | time | for whom |", "| --- | --- | --- | --- | --- |"]
    for name in builtin_models():
        model = load_model(name)
        reasons = " ".join(rule.reason_en for rule in model.validity)
        rows.append(f"| [`{name}`](#{name}) | {model.title} | {form(model)} | `{model.time_unit}` | {reasons} |")
    return "\n".join(rows)


def symbols_table(name: str) -> str:
    """Return what a built-in model takes and gives, as its file says it."""
    model = load_model(name)
    rows = ["| symbol | | unit | value | English | French |", "| --- | --- | --- | --- | --- | --- |"]
    for item in model.variables:
        if item.direction:
            codes = f" ({', '.join(code.text for code in item.codes)})" if item.codes else ""
            value = default(model, item.core or item.symbol) if item.direction == "input" else ""
            texts = f"{item.label_en}{codes} | {item.label_fr}"
            rows.append(f"| `{item.symbol}` | {item.direction} | `{item.unit}` | {value} | {texts} |")
    return "\n".join(rows)


def default(model: Model, symbol: str) -> str:
    """Return the value that a model gives to an input; a dash where each patient must give one."""
    formula = next(entry.formula for entry in model.initial if entry.symbol == symbol)
    value = float(formula.value or 0.0) if formula.is_number else np.nan
    return "–" if np.isnan(value) else f"{value:.6g}"


def spreads_table() -> str:
    rows = ["| model | varies between patients (scale, sd) | is measured with the error (sd) |", "| --- | --- | --- |"]
    for name in builtin_models():
        known, model = builtin(name), load_model(name)
        if not known.effects:
            continue
        priors = known.priors(model)
        spreads = zip(priors.symbols, priors.scales, np.sqrt(np.diag(priors.covariance)), strict=True)
        varies = ", ".join(f"`{symbol}` {scale.kind} {sd:.3g}" for symbol, scale, sd in spreads)
        errors = ", ".join(
            f"`{residual.variable}` " + " and ".join(
                part for part in (f"{residual.additive:.3g}" if residual.additive else "",
                                  f"{residual.proportional:.0%}" if residual.proportional else "") if part)
            for residual in known.residuals(model)
        )  # fmt: skip
        rows.append(f"| `{name}` | {varies} | {errors} |")
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("settings.md", settings_table()),
        ("errors.md", errors_table()),
        ("twin.md", status_table()),
        ("twin-models.md", models_table()),
        *(("twin-models.md", symbols_table(name)) for name in builtin_models()),
        ("twin-models.md", spreads_table()),
    ],
)
def test_the_table_is_that_of_the_code(page: str, table: str) -> None:
    assert table in (REFERENCE / page).read_text(encoding="utf-8"), f"docs/reference/{page} must hold:\n\n{table}\n"


def test_every_module_has_its_page() -> None:
    modules = {path.stem for path in (ROOT / "pepr_kg").glob("[a-z]*.py")} | set(ROOMS)
    assert modules | {"bindings", "jobs"} <= {path.stem for path in REFERENCE.glob("*.md")}


def test_every_public_name_of_the_evaluator_is_explained() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("twin*.md"))
    assert not [name for name in pepr_kg.twin.__all__ if not re.search(rf"\b{name}\b", pages)]


def test_every_page_is_listed_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    assert not [name_of(page) for page in (ROOT / "docs").rglob("*.md") if page != index and page not in listed]


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_and_option_is_described(name: str) -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    section = page.partition(f"## `pepr-kg {name}")[2].partition("\n## ")[0]
    assert section, f"docs/reference/cli.md has no section for pepr-kg {name}"
    command = cli.commands[name]
    below = list(command.commands.values()) if isinstance(command, click.Group) else []
    given = [parameter for one in (command, *below) for parameter in one.params]
    parameters = [parameter for parameter in given if isinstance(parameter, click.Option)]
    options = {option for parameter in parameters for option in parameter.opts}
    assert not [option for option in options - {"-h", "--help"} if f"`{option}" not in section]


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    reasons = (ROOT / "docs" / "adr" / "0004-dependencies.md").read_text(encoding="utf-8")
    names = {re.split(r"[<>=!\[ ]", requirement)[0] for requirement in wanted}
    assert not [name for name in sorted(names) if not re.search(rf"\b{re.escape(name)}\b", reasons)]


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(pepr_kg.__version__)}\] - \d{{4}}-\d\d-\d\d$"
    entry = re.search(heading + r"(.*?)(^## |\Z)", text, re.M | re.S)
    assert entry
    assert {"Ontology", "Service", "Twin"} == set(re.findall(r"^### (\w+)$", entry[1], re.M))


# ---- Links -----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}"


# ---- Examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", with_blocks("python"), ids=name_of)
def test_python_examples(page: Path, dataset: Dataset) -> None:
    source = "\n".join(text for _, text in blocks(page, "python"))
    names = {"dataset": dataset, "view": dataset.view()}
    example = doctest.DocTestParser().get_doctest(source, names, name_of(page), str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told: list[str] = []
    assert runner.run(example, out=told.append).failed == 0, "".join(told)


@pytest.fixture(scope="module")
def evaluated(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> View:
    """The dataset with the cohort of warfarin and one run: for examples that read predictions."""
    mine = Dataset(Path(shutil.copytree(dataset.path, tmp_path_factory.mktemp("evaluated") / "data")))
    load_published(mine, "warfarin")
    evaluate(
        mine, Request("warfarin-pkpd", cohort="warfarin", scenarios=("base", "half: dose*0.5"), samples=20, who="docs")
    )
    return mine.view()


@pytest.mark.parametrize("page", with_blocks("sparql"), ids=name_of)
def test_sparql_examples(page: Path, view: View, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for number, (_, text) in enumerate(blocks(page, "sparql")):
        if "pepr:Prediction" in text:
            assert len(request.getfixturevalue("evaluated").select(text)) > 0, text
            continue
        if "# title-fr:" not in text:
            assert len(view.select(text)) > 0, text
            continue
        folder = tmp_path / str(number)
        (folder / "programme").mkdir(parents=True)
        (folder / "programme" / "example.rq").write_text(text, encoding="utf-8")
        question = load_questions(folder)["example"]
        assert [len(ask(view, question, question.example, lang)) > 0 for lang in LANGUAGES] == [True, True]


@pytest.mark.parametrize("page", with_blocks("diff"), ids=name_of)
def test_a_change_starts_from_what_the_file_says(page: Path) -> None:
    for _, text in blocks(page, "diff"):
        lines = (ROOT / re.findall(r"^--- (\S+)$", text, re.M)[0]).read_text(encoding="utf-8").splitlines()
        assert all(line in lines for line in re.findall(r"^-(?!-)(.*)$", text, re.M)), text


def test_both_tutorials_take_the_same_steps() -> None:
    english, french = (ROOT / "docs" / name for name in ("tutorial.md", "tutoriel.md"))
    kinds = [[kind for kind, _ in BLOCK.findall(page.read_text(encoding="utf-8"))] for page in (english, french)]
    assert kinds[0] == kinds[1]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block and what it is said to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", "").partition("\n")
        yield command, output


def pattern(expected: str) -> str:
    lines = []
    for line in expected.rstrip("\n").split("\n"):
        lines.append(r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r" *\n")
    return "".join(lines)


@pytest.mark.parametrize("page", with_blocks("console"), ids=name_of)
def test_console_examples(page: Path, dataset: Dataset, server: str, tmp_path: Path) -> None:
    binaries, desk = tmp_path / "bin", tmp_path / "desk"
    binaries.mkdir()
    desk.mkdir()
    (binaries / "pepr-kg").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pepr_kg "$@"\n', encoding="utf-8")
    (binaries / "pepr-kg").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PEPR_KG_DATA_DIR": str(shutil.copytree(dataset.path, tmp_path / "data")),
        "PEPR_KG_LANG": "fr" if page.stem == "tutoriel" else "en",
    }
    for kind, text in blocks(page, "console", "turtle"):
        if kind == "turtle":
            first = re.match(r"# (\w+\.ttl)\n", text)
            if first:
                (desk / first[1]).write_text(text, encoding="utf-8")
            continue
        for command, expected in commands(text):
            if command.startswith(NOT_RUN) or (command.startswith("curl ") and not shutil.which("curl")):
                continue
            done = subprocess.run(
                ["sh", "-c", command.replace(SHOWN_ADDRESS, server)], cwd=desk, env=environment, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            )  # fmt: skip
            output = done.stdout.decode().replace("\r\n", "\n").replace(server, SHOWN_ADDRESS)
            output = output if output.endswith("\n") else output + "\n"
            assert re.fullmatch(pattern(expected), output), f"{name_of(page)}\n$ {command}\n{output}"
