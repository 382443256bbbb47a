"""What a server answers to what it took in: an outcome for a resource or for lines, an entry for each of a Bundle."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pepr_kg.fhir.datatypes import Object, Value
from pepr_kg.fhir.documents import Document
from pepr_kg.fhir.documents_errors import DocumentError
from pepr_kg.fhir.identities import is_id
from pepr_kg.fhir.intake_report import Incident, Report, Taken
from pepr_kg.fhir.offered import tag_of
from pepr_kg.fhir.outcomes import issue, note, outcome
from pepr_kg.fhir.sources import Limits, read_chunks
from pepr_kg.language import LANGUAGES

_MOST_FAULTS: Final = 1_000  # bad lines that are told one by one; the others are counted
_ENTRY: Final = re.compile(r"entry (\d+)")
_STATUSES: Final[Mapping[str, str]] = {
    "created": "201 Created", "updated": "200 OK", "unchanged": "200 OK", "withdrawn": "204 No Content",
    "ignored": "200 OK", "refused": "422 Unprocessable Entity",
}  # fmt: skip
_ASKING: Final = "405 Method Not Allowed"  # an entry that wants to read, or to patch
_BAD: Final = "400 Bad Request"
_MORE: Final = {
    "en": "{count} further lines or entries could not be read.",
    "fr": "{count} autres lignes ou entrées n’ont pas pu être lues.",
}
_NOT_TAKEN: Final = {
    "en": "A Bundle sent here may write (POST, PUT) and delete; read at the address of the resource.",
    "fr": "Un Bundle envoyé ici peut écrire (POST, PUT) et supprimer\u202f; lisez à l’adresse de la ressource.",
}
_UNREAD: Final = {
    "en": "This entry holds nothing that can be taken in.",
    "fr": "Cette entrée ne contient rien que l’on puisse reprendre.",
}


class Faults(list[DocumentError]):
    """The first bad lines and entries, and how many more there were. What led to them is let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0

    def append(self, fault: DocumentError) -> None:
        """Keep a fault, or count it."""
        if len(self) >= _MOST_FAULTS:
            self.more += 1
            return
        fault.__traceback__ = fault.__cause__ = fault.__context__ = None
        super().append(fault)


@dataclass(slots=True)
class Seen:
    """What was noticed while the documents passed by: the type of their Bundle, and of which entry each was."""

    bundle: str | None = None
    entries: list[int] = field(default_factory=list)
    count: int = 0
    faults: Faults = field(default_factory=Faults)

    def watch(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Yield the documents on."""
        for document in documents:
            self.count += 1
            if document.bundle is not None:
                self.bundle = self.bundle or document.bundle.type
                self.entries.append(document.entry)
            yield document


class _Asked(msgspec.Struct):
    method: str = ""


class _Entry(msgspec.Struct):
    request: _Asked | None = None


class _Bundle(msgspec.Struct):
    type: str = ""
    entry: list[msgspec.Raw] = msgspec.field(default_factory=list)


def methods_of(path: Path, limits: Limits) -> tuple[str, list[str]]:
    """Return the type of a Bundle in a file and the method of each of its entries; nothing where it is none."""
    try:
        found = msgspec.json.decode(b"".join(read_chunks(path, limits)), type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", []
    return found.type, [_method(bytes(raw)) for raw in found.entry]


def _method(raw: bytes) -> str:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "" if entry.request is None else entry.request.method


def answer_bundle(kind: str, methods: Sequence[str], report: Report, seen: Seen, lang: str) -> Object:
    """Return the response to a transaction or batch: an entry for each entry, in the same order."""
    made = dict(zip(seen.entries, report.resources, strict=False))
    problems: dict[int, list[Incident]] = {}
    for item in report.problems:
        match = _ENTRY.search(item.where["en"])
        problems.setdefault(int(match[1]) if match else 0, []).append(item)
    entries: list[Value] = []
    for number, method in enumerate(methods, 1):
        response = _response(made.get(number), method)
        told: list[Value] = [_issue(item, lang) for item in problems.get(number, ())]
        if not told and response["status"] in {_ASKING, _BAD}:
            words = _NOT_TAKEN if response["status"] == _ASKING else _UNREAD
            told = [note("not-taken", words, lang, "error")]
        if told:
            response["outcome"] = outcome(told, lang)
        entries.append({"response": response})
    body: Object = {"resourceType": "Bundle", "type": f"{kind}-response"}
    return {**body, "entry": entries} if entries else body


def _response(taken: Taken | None, method: str) -> Object:
    if taken is None:
        return {"status": _ASKING if method in {"GET", "HEAD", "PATCH"} else _BAD}
    response: Object = {"status": _STATUSES[taken.outcome]}
    if is_id(taken.id) and taken.outcome in {"created", "updated", "unchanged"}:
        response["location"] = f"{taken.type}/{taken.id}"
        response["etag"] = tag_of(taken.version)
    return response


def answer_outcome(report: Report, seen: Seen, lang: str) -> Object:
    """Return the report as an OperationOutcome: what was done, then each problem with its place."""
    words = {str(language): report.to_text(language).partition("\n")[0] for language in LANGUAGES}
    issues: list[Value] = [note("intake", words, lang), *(_issue(item, lang) for item in report.problems)]
    if seen.faults.more:
        more = {language: text.format(count=seen.faults.more) for language, text in _MORE.items()}
        issues.append(note("more", more, lang, "error"))
    return outcome(issues, lang)


def _issue(item: Incident, lang: str) -> Object:
    where = {
        str(language): f"{item.source}{item.where[language]} {item.reference}".strip(", ") for language in LANGUAGES
    }
    return issue(item.severity, "processing", item.code, {"en": item.en, "fr": item.fr}, lang, where)
