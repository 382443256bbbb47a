"""OperationOutcome: what went wrong, or was noticed, as FHIR says it, in the reader's language and the other one.

>>> from pepr_kg.errors import NotFound
>>> outcome_of(NotFound(name="Patient/a"), "fr")["issue"][0]["code"]
'not-found'
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pepr_kg.errors import PeprError
from pepr_kg.fhir.datatypes import Object, Value, coding, put_text
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import BASE

PROBLEMS: Final = f"{BASE}problem"  # the system of our codes of errors, which /problems lists
# HTTP's status as one of FHIR's issue types (R4 and R5, issue-type, a required binding).
_ISSUES: Final[Mapping[int, str]] = {
    400: "invalid", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported", 409: "conflict",
    410: "deleted", 413: "too-long", 415: "not-supported", 422: "processing", 500: "exception", 503: "transient",
}  # fmt: skip


def outcome_of(error: PeprError, lang: str, status: int | None = None) -> Object:
    """Return an error as an OperationOutcome."""
    words = {str(language): error.message(language) for language in LANGUAGES}
    kind = _ISSUES.get(status or error.http_status, "processing")
    line = error.details.get("line")
    where = None if line is None else {"en": f"line {line}", "fr": f"ligne {line}"}
    return outcome([issue("error", kind, error.code, words, lang, where)], lang)


def note(code: str, words: Mapping[str, str], lang: str, severity: str = "information") -> Object:
    """Return a remark as an issue."""
    return issue(severity, "informational", code, words, lang, None)


def outcome(issues: Iterable[Value], lang: str) -> Object:
    """Return an OperationOutcome of issues. FHIR wants one at least."""
    return {"resourceType": "OperationOutcome", "language": lang, "issue": list(issues)}


def issue(  # noqa: PLR0917  the parts of an issue
    severity: str, kind: str, code: str, words: Mapping[str, str], lang: str, where: Mapping[str, str] | None
) -> Object:
    """Return an issue: how bad, FHIR's kind and our code of it, what is wrong in both languages, and where."""
    details: Object = {"coding": [coding(PROBLEMS, code)]}
    put_text(details, "text", words, lang)
    made: Object = {"severity": severity, "code": kind, "details": details}
    put_text(made, "diagnostics", where or {}, lang)
    return made
