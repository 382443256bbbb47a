"""The stored queries: `.rq` files whose header says what they ask, of whom, with which parameters.

A header is a block of comments at the top of the file:

    # title-fr: Les projets d’un programme de recherche
    # title-en: The projects of a research programme
    # asker: programme-officer
    # param: programme iri pepr:ResearchProgramme research-programme:1 | Programme | Research programme
    # param: lang lang en | Langue | Language
    # columns: project acronym title
    # example: programme=research-programme:3
    # first-row: project=project:diip-heart ; acronym="DIIP-Heart"

A parameter is a variable of the query, bound as an RDF term and never pasted into the
text. Its type is `iri CLASS`, `string`, `integer`, `decimal`, `date` or `lang`.
"""

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Final

from pepr_kg.errors import BadQuestion, ParameterTypeError, UnknownParameter, UnknownPrefix, UnknownQuestion
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import PREFIXES, expand, shrink
from pepr_kg.resources import queries_dir, read_query
from pepr_kg.store import BlankNode, Literal, NamedNode, Table, Term, View

GROUPS: Final = ("programme", "data", "twin", "quality")  # folders of `queries/`, in the order of the list

_DIGITS: Final = 30  # before and after the point of a decimal parameter
_XSD: Final = PREFIXES["xsd"]
_PARAMETER: Final = re.compile(
    r"(?P<name>\w+)\s+(?:iri\s+(?P<class>\S+)|(?P<type>string|integer|decimal|date|lang))"
    r"\s+(?P<default>\"[^\"]*\"|\S+)\s*\|(?P<fr>[^|]+)\|(?P<en>[^|]+)"
)
_PAIR: Final = re.compile(r'(\w+)=("[^"]*"(?:@\w+)?|[^\s;]+)')
_EXPECTED: Final[Mapping[str, Mapping[str, str]]] = {
    "iri": {
        "en": "an IRI or a short form such as project:smatch",
        "fr": "une IRI ou une forme courte telle que project:smatch",
    },
    "string": {"en": "a text in Unicode", "fr": "un texte en Unicode"},
    "integer": {"en": "a whole number", "fr": "un nombre entier"},
    "decimal": {"en": "a number such as 12.5", "fr": "un nombre tel que 12.5"},
    "date": {"en": "a date such as 2024-03-06", "fr": "une date telle que 2024-03-06"},
    "lang": {"en": "fr or en", "fr": "fr ou en"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a question; `kind` is its type, `of_class` the IRI of the class of an `iri`."""

    name: str
    kind: str
    default: str
    label: Mapping[str, str]
    of_class: str | None = None

    def term(self, value: str) -> Term:
        """Return the value as an RDF term of the parameter's type. Raises `ParameterTypeError`."""
        try:
            return _TERMS[self.kind](value.strip())
        except (ValueError, InvalidOperation, UnknownPrefix) as error:
            shown = value.encode("utf-8", "replace").decode()
            raise ParameterTypeError(parameter=self.name, value=shown, expected=_EXPECTED[self.kind]) from error


@dataclass(frozen=True, slots=True)
class Question:
    """A stored query with its header; titles, labels and messages are by language."""

    name: str
    group: str
    path: Path
    sparql: str
    title: Mapping[str, str]
    asker: str
    parameters: tuple[Parameter, ...]
    columns: tuple[str, ...]
    example: Mapping[str, str]
    first_row: Mapping[str, str]
    finding: str | None = None  # severity, for a quality query: each row is a finding
    message: Mapping[str, str] = field(default_factory=dict)
    fix: Mapping[str, str] = field(default_factory=dict)

    def bind(self, raw: Mapping[str, str], lang: str) -> dict[str, Term]:
        """Return the RDF term of every parameter: given, else the default; `lang` is the reader's.

        An empty value is the default. Raises `UnknownParameter` or `ParameterTypeError`.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in raw:
            if name not in known:
                raise UnknownParameter(
                    question=self.name, parameter=name, known=", ".join(known) or {"en": "none", "fr": "aucun"}
                )
        return {
            name: parameter.term(raw.get(name) or (lang if parameter.kind == "lang" else parameter.default))
            for name, parameter in known.items()
        }

    def to_help(self, lang: str) -> str:
        """Return what the command line says of the question."""
        lines = [f"{self.name}: {self.title[lang]}", ""]
        for parameter in self.parameters:
            kind = shrink(parameter.of_class) if parameter.of_class else parameter.kind
            lines.append(f"  --{parameter.name} ({kind}) {parameter.label[lang]} [{parameter.default}]")
        example = " ".join(f"--{name} {value}" for name, value in self.example.items())
        command = f"  pepr-kg query {self.name} {example}".rstrip()
        return "\n".join([*lines, "", "  " + ", ".join(self.columns), "", command])


def ask(view: View, question: Question, raw: Mapping[str, str], lang: str) -> Table:
    """Return the answer of a question: the declared columns, in the header's order.

    Raises what `Question.bind` and `View.select` raise, and `ParameterTypeError` for an
    individual that is not of the parameter's class: an empty answer would look like a no.
    """
    terms = question.bind(raw, lang)
    for parameter in question.parameters:
        if parameter.of_class and raw.get(parameter.name):
            pair = {"individual": terms[parameter.name], "class": NamedNode(parameter.of_class)}
            if not view.ask(read_query("pages/is-member"), pair):
                kind, default = shrink(parameter.of_class) or parameter.of_class, parameter.default
                raise ParameterTypeError(
                    parameter=parameter.name,
                    value=raw[parameter.name],
                    expected={
                        "en": f"one of the individuals of {kind}, such as {default},",
                        "fr": f"un individu de {kind}, tel que {default}",
                    },
                )
    table = view.select(question.sparql, terms)
    indices = [table.columns.index(name) for name in question.columns]
    return Table(question.columns, tuple(tuple(row[index] for index in indices) for row in table.rows))


@cache
def load_questions(folder: Path | None = None) -> Mapping[str, Question]:
    """Return every stored query by name, grouped by reader. Raises `BadQuestion` for a broken header."""
    root = folder or queries_dir()
    return {
        path.stem: _parse(path, group) for group in GROUPS for path in sorted((root / group).glob("*.rq"))
    }


def find_question(name: str) -> Question:
    """Return a stored query. Raises `UnknownQuestion`, which carries the nearest names."""
    questions = load_questions()
    if name in questions:
        return questions[name]
    nearest = difflib.get_close_matches(name, questions, n=4, cutoff=0.3) or list(questions)[:4]
    raise UnknownQuestion(name=name, nearest=", ".join(nearest))


def render(table: Table, kind: str) -> str:
    """Return a table as `table`, `csv`, `json` (SPARQL results JSON) or `markdown`.

    >>> print(render(Table(("a",), ((Literal(1),),)), "markdown"))
    | a |
    | --- |
    | 1 |
    """
    if kind == "json":
        bindings = [{name: _json_term(term) for name, term in row.items()} for row in table.iter_dicts()]
        answer = {"head": {"vars": table.columns}, "results": {"bindings": bindings}}
        return json.dumps(answer, ensure_ascii=False, indent=1)
    rows = [[_short(term) if kind != "csv" else _plain(term) for term in row] for row in table.rows]
    if kind == "csv":
        output = io.StringIO()
        writer = csv.writer(output, lineterminator="\r\n")
        writer.writerow(table.columns)
        writer.writerows(rows)
        return output.getvalue()
    if kind == "markdown":
        cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in [table.columns, ["---"] * len(table.columns), *cells])
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    ruled = [table.columns, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in ruled
    )


def _iri(value: str) -> NamedNode:
    iri = expand(value)
    if any(character in iri for character in '<>"{}|^`\\ '):
        raise ValueError(value)
    return NamedNode(iri)


def _integer(value: str) -> Literal:
    return Literal(str(int(value)), datatype=NamedNode(_XSD + "integer"))


def _decimal(value: str) -> Literal:
    number = Decimal(value)
    # 1e300000000 is twelve characters that would become 300 million digits.
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS or len(value) > 2 * _DIGITS:
        raise ValueError(value)
    return Literal(f"{number:f}", datatype=NamedNode(_XSD + "decimal"))


def _date(value: str) -> Literal:
    return Literal(date.fromisoformat(value).isoformat(), datatype=NamedNode(_XSD + "date"))


def _lang(value: str) -> Literal:
    if value not in LANGUAGES:
        raise ValueError(value)
    return Literal(value)


_TERMS: Final[Mapping[str, Callable[[str], Term]]] = {
    "iri": _iri, "string": Literal, "integer": _integer, "decimal": _decimal, "date": _date, "lang": _lang,
}  # fmt: skip


def _parse(path: Path, group: str) -> Question:
    text = path.read_text(encoding="utf-8")
    fields: dict[str, str] = {}
    parameters: list[Parameter] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#"):
            break
        key, colon, value = line.lstrip("# ").partition(":")
        if colon and key == "param":
            match = _PARAMETER.fullmatch(value.strip())
            if match is None:
                raise BadQuestion(path=path, line=number, detail="param: NAME TYPE DEFAULT | FR | EN")
            parameters.append(Parameter(
                match["name"], match["type"] or "iri", match["default"].strip('"'),
                {"fr": match["fr"].strip(), "en": match["en"].strip()},
                expand(match["class"]) if match["class"] else None,
            ))  # fmt: skip
        elif colon:
            fields[key] = value.strip()
    for required in ("title-fr", "title-en", "asker", "columns"):
        if required not in fields:
            raise BadQuestion(path=path, line=1, detail=f"# {required}: is missing")
    return Question(
        path.stem, group, path, text,
        {lang: fields[f"title-{lang}"] for lang in LANGUAGES}, fields["asker"], tuple(parameters),
        tuple(fields["columns"].split()), _pairs(fields.get("example", "")), _pairs(fields.get("first-row", "")),
        fields.get("finding"),
        {lang: fields.get(f"message-{lang}", "") for lang in LANGUAGES},
        {lang: fields.get(f"fix-{lang}", "") for lang in LANGUAGES},
    )  # fmt: skip


def _pairs(text: str) -> dict[str, str]:
    return {name: value.strip('"') if value.endswith('"') else value for name, value in _PAIR.findall(text)}


def _plain(term: Term | None) -> str:
    return "" if term is None else term.value


def _short(term: Term | None) -> str:
    if isinstance(term, NamedNode):
        return shrink(term.value) or term.value
    return _plain(term)


def _json_term(term: Term) -> dict[str, str]:
    if isinstance(term, NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, BlankNode):
        return {"type": "bnode", "value": term.value}
    shown = {"type": "literal", "value": term.value}
    if term.language:
        shown["xml:lang"] = term.language
    elif term.datatype.value != _XSD + "string":
        shown["datatype"] = term.datatype.value
    return shown
