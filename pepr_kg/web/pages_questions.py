"""The pages of the stored questions: the list, one question with its form and answer, and the SPARQL form."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import Response

from pepr_kg.errors import PeprError
from pepr_kg.namespaces import PREFIXES, expand, shrink
from pepr_kg.questions import GROUPS, Parameter, Question, ask, find_question, load_questions
from pepr_kg.web.axioms import phrase_or
from pepr_kg.web.pages_entity import page_links, page_of
from pepr_kg.web.pages_frame import Crumb, Reader, Shown

_CONCEPT: Final = PREFIXES["skos"] + "Concept"
_MOST_OPTIONS: Final = 300  # of a list to choose from; beyond, the short form is typed
_OWN_FIELDS: Final = frozenset({"page"})  # of the page's address, not parameters of the question
_DOWNLOADS: Final = ("csv", "json", "md")
# How a browser may help to fill a field of each type.
_INPUTS: Final = {"integer": ("number", "1"), "decimal": ("number", "any"), "date": ("date", "")}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a question's form: a choice if it has options, else an input of a kind."""

    name: str
    label: str
    value: str
    kind: str
    step: str
    options: tuple[tuple[str, str], ...]
    wrong: bool


def questions_page(reader: Reader) -> Response:
    """Return the list of all questions, by folder, each with who asks it."""
    groups = [
        (group, [question for question in load_questions().values() if question.group == group]) for group in GROUPS
    ]
    return reader.page(
        "questions.html",
        reader.phrase("questions.title"),
        crumbs=[_home(reader), Crumb(reader.phrase("nav.questions"))],
        groups=[(group, questions) for group, questions in groups if questions],
        asker=lambda name: phrase_or(reader, f"asker.{name}", name),
    )


def question_page(reader: Reader, name: str) -> Response:
    """Return one question: its form, its answer, its SPARQL. Raises `UnknownQuestion`."""
    question = find_question(name)
    given = {key: value for key, value in reader.request.query_params.items() if key not in _OWN_FIELDS}
    error: PeprError | None = None
    wrong = ""
    rows: list[list[Shown | None]] = []
    columns = list(question.columns)
    total, seconds, paging = 0, 0.0, dict[str, object]()
    try:
        started = time.perf_counter()
        table = ask(reader.view, question, given, reader.lang)
        seconds = time.perf_counter() - started
        total = len(table)
        page, pages = page_of(reader, total)
        start = (page - 1) * reader.page_size
        rows = [
            [reader.show(term) if term is not None else None for term in row]
            for row in table.rows[start : start + reader.page_size]
        ]
        columns, rows = _without_echoes(list(question.columns), rows)
        paging = {"page": page, "pages": pages, "first": start + 1, "last": start + len(rows), "listed": total,
                  "total": total, **page_links(reader, page, pages)}  # fmt: skip
    except PeprError as problem:
        if problem.http_status >= 500:
            raise
        error = problem
        wrong = str(problem.details.get("parameter", ""))
    tail = "?" + urlencode({**given, **({"lang": reader.lang} if _has_language(question) else {})})
    return reader.page(
        "question.html",
        question.title[reader.lang],
        crumbs=[
            _home(reader),
            Crumb(reader.phrase("nav.questions"), f"/{reader.lang}/questions"),
            Crumb(question.title[reader.lang]),
        ],
        status=error.http_status if error else 200,
        question=question,
        asker=phrase_or(reader, f"asker.{question.asker}", question.asker),
        fields=[
            _field(reader, parameter, given, wrong=parameter.name == wrong)
            for parameter in question.parameters
            if parameter.kind != "lang"
        ],
        columns=[phrase_or(reader, f"column.{column}", column.replace("_", " ")) for column in columns],
        rows=rows,
        total=total,
        milliseconds=max(1, round(seconds * 1000)),
        paging=paging,
        problem=error,
        downloads=[(kind, f"/query/{question.name}.{kind}{tail if len(tail) > 1 else ''}") for kind in _DOWNLOADS],
        is_finding=question.group == "quality",
        message=question.message.get(reader.lang, ""),
        fix=question.fix.get(reader.lang, ""),
    )


def sparql_page(reader: Reader) -> Response:
    """Return the form to put a query of one's own."""
    named = ("projects-of-programme", "uncovered-levels", "disagreements")
    examples = [load_questions()[name] for name in named if name in load_questions()]
    chosen = load_questions().get(reader.request.query_params.get("example", ""))
    text = chosen.sparql if chosen else reader.request.query_params.get("query", "") or reader.phrase("sparql.sample")
    return reader.page(
        "sparql.html",
        reader.phrase("sparql.title"),
        crumbs=[_home(reader), Crumb("SPARQL")],
        text=text,
        examples=examples,
        graphs=[(reader.show_iri(iri), count) for iri, count in reader.view.counts().items()],
    )


def _home(reader: Reader) -> Crumb:
    return Crumb(reader.phrase("nav.home"), f"/{reader.lang}/")


def _without_echoes(columns: list[str], rows: list[list[Shown | None]]) -> tuple[list[str], list[list[Shown | None]]]:
    """Return the table without texts that only repeat the name of a thing beside them: a page shows things by name."""

    def same(text: Shown | None, thing: Shown | None) -> bool:
        if text is None or thing is None:
            return text is thing
        return bool(thing.short and not text.short and text.text == thing.text)

    def echoes(text: int, thing: int) -> bool:
        return any(row[text] for row in rows) and all(same(row[text], row[thing]) for row in rows)

    kept = [
        number for number in range(len(columns))
        if not any(echoes(number, thing) for thing in range(len(columns)) if thing != number)
    ]  # fmt: skip
    return [columns[number] for number in kept], [[row[number] for number in kept] for row in rows]


def _has_language(question: Question) -> bool:
    return any(parameter.kind == "lang" and parameter.name == "lang" for parameter in question.parameters)


def _field(reader: Reader, parameter: Parameter, given: Mapping[str, str], *, wrong: bool) -> Field:
    value = given.get(parameter.name, "") or parameter.default
    # A number field would drop a text that is no number: the reader is to see what was wrong.
    kind, step = ("text", "") if wrong else _INPUTS.get(parameter.kind, ("text", ""))
    options: tuple[tuple[str, str], ...] = ()
    if parameter.kind == "iri" and parameter.of_class and not wrong:
        options = _options(reader, parameter, value)
    return Field(parameter.name, parameter.label[reader.lang], value, kind, step, options, wrong)


def _options(reader: Reader, parameter: Parameter, value: str) -> tuple[tuple[str, str], ...]:
    """Return what an IRI may be: the things of the class or, of all concepts, those of the default's scheme."""
    default = expand(parameter.default)
    if parameter.of_class == _CONCEPT and default in reader.vocabulary.schemes:
        things = reader.vocabulary.concepts(reader.vocabulary.schemes[default])
    else:
        things = reader.vocabulary.instances(parameter.of_class or "")
    if not things or len(things) > _MOST_OPTIONS:
        return ()
    options = tuple((shrink(iri) or iri, reader.label(iri).text) for iri in reader.by_label(things))
    known = {short for short, _ in options}
    return options if value in known else ((value, value), *options)
