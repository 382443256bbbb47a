"""What codes and units mean to us: which quantity of ours they stand for, and which IRI a code has.

What stands for what is said by the graph (`skos:exactMatch`, `skos:narrowMatch`, `pepr:acceptsCode`, coded answers). A
code without a public IRI becomes a `pepr:Code`; none is dropped. Each CodeableConcept is looked at once: the same bytes
mean the same again.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pepr_kg.fhir.concepts import concept_iri
from pepr_kg.fhir.intake_parts import Coding, Concept
from pepr_kg.fhir.intake_values import literal
from pepr_kg.fhir.iris import absolute_iri
from pepr_kg.namespaces import ID, PEPR, PREFIXES, expand
from pepr_kg.resources import read_query
from pepr_kg.store import Literal, NamedNode, View
from pepr_kg.twin.errors import TwinError
from pepr_kg.twin.units import conversion, parse_unit

UCUM: Final = "http://unitsofmeasure.org"
QUANTITY: Final = f"{ID}quantity/"
_EXACT, _NARROW, _ACCEPTED = expand("skos:exactMatch"), expand("skos:narrowMatch"), f"{PEPR}acceptsCode"
_TYPE: Final = f"<{expand('rdf:type')}>"
_LABEL: Final = f"<{expand('rdfs:label')}>"
_ANY_URI: Final = f"^^<{expand('xsd:anyURI')}>"
_ICD: Final = re.compile(
    r"(http://id\.who\.int/icd/release/10/2019/|http://data\.esante\.gouv\.fr/atih/cim10/)([A-Z][0-9]{2})"
)
_PRINTABLE: Final = re.compile(r"[!-~]+")
_REMEMBERED: Final = 100_000  # distinct concepts; then it begins anew
_DIGITS: Final = 20  # of the digest that names a code without an IRI

_concept: Final = msgspec.json.Decoder(Concept)
_coding: Final = msgspec.json.Decoder(Coding)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a CodeableConcept means: the IRIs of its codes, the first one of them that is a quantity (`how` it is one),
    and all quantities that the codes are, or are narrower than.
    """

    codes: tuple[str, ...]
    quantity: str = ""
    how: str = ""
    stands_for: tuple[str, ...] = ()

    @property
    def is_close(self) -> bool:
        """Return whether the quantity is meant by a code of close meaning only."""
        return self.how == _ACCEPTED

    @property
    def property(self) -> str:
        """Return the IRI of what is observed: the quantity, or else the first code."""
        return self.quantity or self.codes[0]


@dataclass(slots=True, eq=False)
class Codes:
    """The meanings of one dataset, and the codes that were met, which are described once at the end."""

    quantities: Mapping[str, tuple[tuple[str, str], ...]]  # by code: how, and which quantity or coded value
    answers: Mapping[tuple[str, str], tuple[tuple[str, str], ...]]  # by question and answer: quantity and number
    units: Mapping[str, str]  # the usual unit of each quantity
    history: frozenset[str]  # quantities that stay true
    systems: Mapping[str, str]  # the identification scheme of each URI
    described: dict[str, str] = field(default_factory=dict)
    _meanings: dict[bytes, Meaning | None] = field(default_factory=dict)
    _units: dict[tuple[str | None, str | None, str | None, str], str | None] = field(default_factory=dict)

    @classmethod
    def read(cls, view: View) -> "Codes":
        """Return what the graph says of codes: four small queries."""
        quantities: dict[str, list[tuple[str, str]]] = {}
        for row in view.select(read_query("fhir/meanings")).iter_dicts():
            quantities.setdefault(row["code"].value, []).append((row["how"].value, row["concept"].value))
        answers: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for row in view.select(read_query("fhir/answers")).iter_dicts():
            pair = row["question"].value, row["answer"].value
            answers.setdefault(pair, []).append((row["quantity"].value, row["number"].value))
        units, history = {}, set()
        for row in view.select(read_query("fhir/usual-units")).iter_dicts():
            units[row["quantity"].value] = row["unit"].value
            if isinstance(row.get("history"), Literal) and row["history"].value == "true":
                history.add(row["quantity"].value)
        systems = {row["system"].value: row["scheme"].value
                   for row in view.select(read_query("fhir/identifier-systems")).iter_dicts()
                   if isinstance(row["scheme"], NamedNode)}  # fmt: skip
        return cls(
            {code: tuple(found) for code, found in quantities.items()},
            {pair: tuple(found) for pair, found in answers.items()}, units, frozenset(history), systems,
        )  # fmt: skip

    def meaning(self, raw: bytes) -> Meaning | None:
        """Return what a CodeableConcept means; None where it has neither code nor text. Raises msgspec's errors."""
        found = self._meanings.get(raw, self)
        if not isinstance(found, Codes):
            return found
        concept = _concept.decode(raw)
        if len(self._meanings) >= _REMEMBERED:
            self._meanings.clear()
        made = self._meanings[raw] = self._understand(concept.coding, concept.text)
        return made

    def meaning_of_coding(self, raw: bytes) -> Meaning | None:
        """Return what one Coding means. Raises msgspec's errors."""
        return self._understand([_coding.decode(raw)], None)

    def meaning_of_codes(self, codes: Iterable[str]) -> Meaning | None:
        """Return what codes mean that are known by their IRIs already."""
        return self._mean(list(codes))

    def unit(self, system: str | None, code: str | None, unit: str | None, quantity: str) -> str | None:
        """Return the UCUM code of a quantity's unit, None where it has none that can be relied on.

        A unit that is written as text alone is taken as its code where it is one and converts to the usual unit of the
        quantity: `kg` for a weight, and not `C` (a coulomb) for a temperature.
        """
        key = (system, code, unit, quantity)
        found = self._units.get(key, key)
        if not isinstance(found, tuple):
            return found
        made = self._units[key] = self._find_unit(*key)
        return made

    def _find_unit(self, system: str | None, code: str | None, unit: str | None, quantity: str) -> str | None:
        if code and system == UCUM:
            return code if _PRINTABLE.fullmatch(code) else None
        text = code if code and not system else unit
        usual = self.units.get(quantity)
        if not text or system not in {None, UCUM} or usual is None or not _PRINTABLE.fullmatch(text):
            return None
        try:
            if not parse_unit(text).converts_to(parse_unit(usual)):
                conversion(text, usual)  # a mass against an amount of substance: the binding knows the molar mass
        except TwinError:
            return None
        return text

    def _understand(self, codings: Iterable[Coding], text: str | None) -> Meaning | None:
        codes = [self._name(coding) for coding in codings if coding.code]
        if not codes and text:
            codes = [self._describe("", text, None)]
        return self._mean(codes)

    def _mean(self, codes: Sequence[str]) -> Meaning | None:
        if not codes:
            return None
        quantity = how = ""
        stands_for: dict[str, None] = {}
        for code in codes:
            category = _ICD.match(code)
            for name in dict.fromkeys([code, category[0]] if category else [code]):
                for kind, found in self.quantities.get(name, ()):
                    narrow = kind == _NARROW or name != code
                    if kind != _ACCEPTED:
                        stands_for[found] = None
                    if not quantity and not narrow:
                        quantity, how = found, kind
        return Meaning(tuple(dict.fromkeys(codes)), quantity, how, tuple(stands_for))

    def _name(self, coding: Coding) -> str:
        system, code = coding.system or "", coding.code or ""
        iri = concept_iri(system, code, stems="all")
        if iri is None:
            return self._describe(system, code, coding.display)
        if coding.display and iri not in self.described:
            self.described[iri] = f"<{iri}> {_LABEL} {literal(coding.display)} .\n"
        return iri

    def _describe(self, system: str, code: str, display: str | None) -> str:
        """Return the IRI of a code that has none of its own, and keep what is to be said of it."""
        digest = hashlib.sha256(f"{system}|{code}".encode()).hexdigest()[:_DIGITS]
        iri = f"{ID}code/{digest}"
        if iri not in self.described:
            term = f"<{iri}>"
            lines = [f"{term} {_TYPE} <{PEPR}Code> .\n", f"{term} <{PEPR}codeValue> {literal(code)} .\n"]
            if display:
                lines.append(f"{term} {_LABEL} {literal(display)} .\n")
            uri = absolute_iri(system) if system else None
            if uri is not None:
                lines.append(f"{term} <{PEPR}codeSystem> {literal(uri)}{_ANY_URI} .\n")
            self.described[iri] = "".join(lines)
        return iri


SEX: Final[Mapping[str, str]] = {
    gender: f"<{PREFIXES['sex']}{gender}>" for gender in ("female", "male", "other", "unknown")
}
