"""A code's own IRI, where its code system has them: the stems are data (`concepts.json`), each with its source.

>>> concept_iri("http://snomed.info/sct", "36629006", "R5")
'http://snomed.info/id/36629006'
>>> concept_iri("http://loinc.org", "8480-6", "R4"), concept_iri("http://loinc.org", "8480-6", "R5")
('http://loinc.org/rdf#8480-6', 'http://loinc.org/rdf/8480-6')
>>> concept_iri("http://snomed.info/sct", "128045006:363698007=56459004", "R4") is None
True
>>> concept_iri("http://hl7.org/fhir/sid/icd-10", "i21.0", "R4", stems="all")
'http://id.who.int/icd/release/10/2019/I21.0'
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pepr_kg.fhir.iris import escape_segment

_FILE = Path(__file__).resolve().parent / "concepts.json"


@dataclass(frozen=True, slots=True)
class Stem:
    """How one code system's codes become IRIs. `without`: characters of a code that has none; `upper`: in capitals."""

    system: str
    iri: str
    upper: bool
    without: str
    source: str

    def expand(self, code: str) -> str | None:
        """Return the IRI of a code, None where it has none."""
        if not code or any(character in code for character in self.without):
            return None
        return self.iri + escape_segment(code.upper() if self.upper else code)


@cache
def load_stems(release: str, which: Literal["standard", "all"] = "standard") -> Mapping[str, Stem]:
    """Return the stems of a release by code system."""
    data = json.loads(_FILE.read_text(encoding="utf-8"))
    rows = data["standard"] + (data["more"] if which == "all" else [])
    return {
        row["system"]: Stem(row["system"], row["stem"], row.get("upper", False), row.get("without", ""), row["source"])
        for row in rows
        if release in row["releases"]
    }


def concept_iri(
    system: str, code: str, release: str = "R5", *, stems: Literal["standard", "all"] = "standard"
) -> str | None:
    """Return the IRI of a code, None where its system has no stem or the code no IRI."""
    stem = load_stems(release, stems).get(system)
    return stem.expand(code) if stem else None
