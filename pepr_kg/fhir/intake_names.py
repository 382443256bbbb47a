"""How resources and what becomes of them are named, within one cohort.

A resource is known by its absolute `fullUrl`, else by base, type and id, as a server would name it when it takes a
transaction in: references to a `urn:uuid:…` of the Bundle lead there too. What is made of it is named
`id/KIND/COHORT.ID_VERSION` (of a patient without a version, since twins and observations refer to it). FHIR's ids have
no underscore, so two things never share a name; a resource of another server has a digest of that server in its name.

>>> names = Names("demo", "https://example.org/fhir/")
>>> names.subject("Patient", "p1", None), names.subject("Patient", "p1", "urn:uuid:0c3")
('https://example.org/fhir/Patient/p1', 'https://example.org/fhir/Patient/p1')
>>> names.local("https://example.org/fhir/Patient/p1"), names.local("https://elsewhere.org/Patient/p1")
('demo.p1', 'demo.p1_h9220057e')
>>> names.urns["urn:uuid:0c3"], names.resolve("Patient/p2", None), names.resolve("Patient?identifier=a|b", None)
('https://example.org/fhir/Patient/p1', 'https://example.org/fhir/Patient/p2', None)
"""

import hashlib
import re
from typing import Final

from pepr_kg.fhir.iris import absolute_iri, check_base, resolve_reference, service_base, subject_iri

_REMEMBERED: Final = 200_000  # references; then it begins anew
_RESOURCE: Final = re.compile(r"(.*[/#])([A-Z][A-Za-z]+)[/-]([A-Za-z0-9.-]{1,64})")
_HISTORY: Final = re.compile(r"/_history/[^/]*$")
_UUID: Final = re.compile(r"urn:(?:uuid|oid):([A-Za-z0-9.-]{1,64})")
_DIGITS: Final = 8


class Names:
    """The names of one intake. `urns` are the addresses within a Bundle that were met, and what they lead to."""

    def __init__(self, cohort: str, base: str) -> None:
        self.cohort, self.base = cohort, check_base(base)
        self.urns: dict[str, str] = {}
        self._references: dict[tuple[str, str | None], str | None] = {}
        self._locals: dict[str, str] = {}

    def subject(self, type_name: str, identifier: str, full_url: str | None) -> str:
        """Return the IRI of a resource; its id, or that of its URN, must be given."""
        if full_url is not None and full_url.startswith(("http://", "https://")):
            iri = absolute_iri(full_url)
            if iri is not None:
                return _HISTORY.sub("", iri)
        iri = subject_iri(self.base, type_name, identifier)
        if full_url is not None and full_url.startswith("urn:"):
            self.urns[full_url] = iri
        return iri

    def local(self, subject: str) -> str:
        """Return the name COHORT.ID of a resource within its kind."""
        found = self._locals.get(subject)
        if found is None:
            parts = _RESOURCE.fullmatch(subject)
            if parts is None:
                found = f"{self.cohort}.{hashlib.sha256(subject.encode()).hexdigest()[:20]}_h"
            elif parts[1] == self.base:
                found = f"{self.cohort}.{parts[3]}"
            else:
                found = f"{self.cohort}.{parts[3]}_h{hashlib.sha256(parts[1].encode()).hexdigest()[:_DIGITS]}"
            if len(self._locals) >= _REMEMBERED:
                self._locals.clear()
            self._locals[subject] = found
        return found

    def resolve(self, reference: str, full_url: str | None) -> str | None:
        """Return the IRI of the resource that a reference leads to; None where it names none, or a URN not met yet."""
        if reference.startswith("urn:"):
            return self.urns.get(reference)
        base = None if full_url is None else service_base(full_url)
        key = (reference, base)
        if key not in self._references:
            if len(self._references) >= _REMEMBERED:
                self._references.clear()
            iri = None if reference.startswith("#") else resolve_reference(reference, base or self.base)
            self._references[key] = None if iri is None else _HISTORY.sub("", iri)
        return self._references[key]


def type_of(subject: str) -> str:
    """Return the type in the IRI of a resource, "" where it shows none.

    >>> type_of("https://example.org/fhir/Patient/p1")
    'Patient'
    """
    found = _RESOURCE.fullmatch(subject)
    return found[2] if found else ""


def identifier_of(urn: str | None) -> str:
    """Return the id that a URN gives to a resource without one.

    >>> identifier_of("urn:uuid:0c3"), identifier_of("https://example.org/Patient/p1")
    ('0c3', '')
    """
    found = _UUID.fullmatch(urn) if urn else None
    return found[1] if found else ""
