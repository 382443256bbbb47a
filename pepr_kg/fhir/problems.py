"""What is wrong or noteworthy in a resource that can nevertheless be converted.

>>> Problem("Patient.name[0]", "warning", "unknown-element", "not known in R4", "inconnu en R4").message("fr")
'Patient.name[0]\\u202f: inconnu en R4'
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about one place of a resource, as FHIR's `OperationOutcome.issue` would say it.

    `path` is where (`Patient.name[0].given[1]`), `code` a stable name, `en` and `fr` the sentence without the place. An
    error means that the resource does not say what FHIR allows: who loads refuses it, who converts keeps every value.
    """

    path: str
    severity: Severity
    code: str
    en: str
    fr: str

    def message(self, lang: str) -> str:
        """Return place and sentence in a language."""
        return f"{self.path}\u202f: {self.fr}" if lang == "fr" else f"{self.path}: {self.en}"
