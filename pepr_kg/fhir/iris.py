"""What a FHIR string means as an IRI: subjects, references, canonicals, and what a strict parser accepts.

>>> escape_iri("https://example.org/a b|c")
'https://example.org/a%20b%7Cc'
>>> resolve_reference("Patient/p1", "https://example.org/")
'https://example.org/Patient/p1'
>>> resolve_reference("Patient?identifier=a|b", "https://example.org/") is None
True
>>> version_in_query("https://example.org/a|2.0")
'https://example.org/a?version=2.0'
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import quote

from pepr_kg.fhir.errors import BaseMissing

# RFC 3987: what stands in an IRI as itself. What is not here is written as the percent-encoded bytes of its UTF-8 form.
_UCS: Final = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U0001fffd\U00020000-\U0002fffd"
_FORBIDDEN: Final = re.compile(rf"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?#%{_UCS}]")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_HOST: Final = rf"[A-Za-z0-9\-._~!$&'()*+,;=%{_UCS}]*"
_AUTHORITY: Final = re.compile(rf"(?:{_HOST}(?::{_HOST})?@)?(?:\[([0-9A-Fa-f:.]+)\]|{_HOST})(?::[0-9]*)?")
# A resource by type and id, perhaps a version of it. Ids outside FHIR's alphabet are linked all the same, escaped.
_RELATIVE: Final = re.compile(r"[A-Za-z]+/[^\s/?#|]+(?:/_history/[^\s/?#|]+)?(?:#[^\s#]*)?")
_RESTFUL: Final = re.compile(r"(https?://.*/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_BLANKS: Final = re.compile(r"\s")


def escape_iri(text: str) -> str:
    """Return an IRI with each character that an IRI may not hold percent-encoded; a legal one comes back unchanged."""
    if _FORBIDDEN.search(text):
        host = _bracketed(text)
        text = host + _FORBIDDEN.sub(_percent, text[len(host) :])
    if "%" in text:
        text = _LONE_PERCENT.sub("%25", text)
    if text.count("#") > 1:
        start, _, fragment = text.partition("#")
        text = f"{start}#{fragment.replace('#', '%23')}"
    return text


def _bracketed(text: str) -> str:
    """Return the start of an IRI whose host is an IPv6 address: the one place where brackets may stand."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#\[\]]*@)?\[[0-9A-Fa-f:.]+\]", text)
    return found[0] if found else ""


def _percent(found: re.Match[str]) -> str:
    return quote(found[0], safe="")


def escape_segment(text: str) -> str:
    """Return a text as one segment of an IRI: all but letters, digits and `-._~` percent-encoded."""
    return quote(text, safe="")


def absolute_iri(text: str) -> str | None:
    """Return an absolute IRI, escaped where it must be; None where a text is none.

    >>> [absolute_iri(text) for text in ("urn:oid:1.2.3", "mailto:a@b.fr", "longitude", "http://a:b:c/")]
    ['urn:oid:1.2.3', 'mailto:a@b.fr', None, None]
    """
    found = _SCHEME.fullmatch(text)
    if found is None or not found[2] or found[2] == "//":
        return None
    iri = escape_iri(text)
    if found[2].startswith("//"):
        authority = re.split(r"[/?#]", iri[len(found[1]) + 3 :], maxsplit=1)[0]
        whole = _AUTHORITY.fullmatch(authority)
        if whole is None or (whole[1] is not None and not _is_address(whole[1])):
            return None
    return iri


def _is_address(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def check_base(base: str) -> str:
    """Return a base for the IRIs of resources. Raises `BaseMissing` for all but absolute IRIs that end in / or #."""
    if not base.endswith(("/", "#")) or absolute_iri(base) != base or "?" in base:
        raise BaseMissing(base=base)
    return base


def subject_iri(base: str, type_name: str, identifier: str) -> str:
    """Return the IRI of a resource under a base; after a # it is TYPE-ID, as HL7's generator writes it."""
    return f"{base}{type_name}{'-' if base.endswith('#') else '/'}{escape_segment(identifier)}"


def service_base(full_url: str) -> str | None:
    """Return the base of the server that a RESTful URL names, None for other URLs.

    >>> service_base("https://example.org/fhir/Patient/1/_history/2")
    'https://example.org/fhir/'
    >>> service_base("urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d") is None
    True
    """
    found = _RESTFUL.fullmatch(full_url)
    return found[1] if found else None


def is_relative(reference: str) -> bool:
    """Return whether a reference is one by type and id, to be resolved against a base."""
    return _RELATIVE.fullmatch(reference) is not None


def resolve_reference(reference: str, base: str, *, urns: bool = True) -> str | None:
    """Return the IRI that a reference leads to; None for conditional and contained ones, and for what is no IRI.

    `base` ends in a slash or a hash. Conditional references (`Patient?identifier=…`) name no resource: no link.
    """
    if is_relative(reference):
        target, hash_sign, fragment = reference.partition("#")
        type_name, _, rest = target.partition("/")
        iri = f"{base}{type_name}-{rest}" if base.endswith("#") else base + target
        return escape_iri(iri + hash_sign + fragment)
    if "?" in reference or _BLANKS.search(reference):
        return None
    if not urns and not reference.startswith(("http://", "https://")):
        return None
    return absolute_iri(reference)


def version_in_query(canonical: str) -> str:
    """Return a canonical with its `|version` as a parameter of the query, as R6 links it."""
    url, bar, version = canonical.partition("|")
    return f"{url}{'&' if '?' in url else '?'}version={version}" if bar else canonical
