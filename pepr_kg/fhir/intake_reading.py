"""A document read for the intake: its canonical form, its id, its version, and whether it still holds.

>>> canonical(b'{"resourceType": "Basic", "a": 1.50}')[1]
b'{"resourceType":"Basic","a":1.50}'
>>> state_of({"status": "entered-in-error"}), state_of({"status": "final"})
('entered-in-error', None)
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.intake_ledger import Version
from pepr_kg.fhir.intake_parts import Head
from pepr_kg.fhir.intake_refusals import wrong_kind

_GENERIC: Final = msgspec.json.Decoder(float_hook=Decimal)
_PLAIN: Final = msgspec.json.Encoder(decimal_format="number")
_HEAD: Final = msgspec.json.Decoder(Head)
_TAKEN_BACK: Final = frozenset({"entered-in-error", "cancelled"})
_DIGITS: Final = 16  # of the digest that stands for a version
_LONGEST: Final = 64


def read_head(data: bytes, type_name: str) -> Head:
    """Return type, id and version of a resource. Raises `Refused`."""
    try:
        return _HEAD.decode(data)
    except msgspec.MsgspecError as error:
        raise wrong_kind(type_name or "Resource", error) from error


def canonical(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return a resource as Python has it and as compact JSON, numbers as they are written.

    A key that stands twice in an object leaves fewer quotation marks in the compact form than there were: this is
    exact, and cheap. Raises `BadJson`.
    """
    try:
        value = _GENERIC.decode(raw)
        text = _PLAIN.encode(value)
    except (msgspec.MsgspecError, ArithmeticError, RecursionError, UnicodeDecodeError):
        value, text = read_json(raw), raw
    else:
        if text.count(b'"') != raw.count(b'"'):
            read_json(raw)
    return (value if isinstance(value, dict) else {}), text


def version_of(head: Head, text: bytes) -> Version:
    """Return the version of a resource: what it says, else `d` and the digest of its canonical form."""
    meta = head.meta
    given = meta.versionId if meta is not None and meta.versionId and is_id(meta.versionId) else None
    updated = meta.lastUpdated if meta is not None else None
    return Version(given or "d" + hashlib.sha256(text).hexdigest()[:_DIGITS], updated)


def state_of(value: Mapping[str, Any]) -> str | None:
    """Return why a resource does not hold any more, None where it does."""
    status = value.get("status")
    if isinstance(status, str) and status in _TAKEN_BACK:
        return status
    verified = value.get("verificationStatus")
    codings = verified.get("coding") if isinstance(verified, dict) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and coding.get("code") == "entered-in-error":
            return "entered-in-error"
    return None


def is_id(text: str) -> bool:
    """Return whether a text is an id of FHIR: 1 to 64 letters, digits, hyphens and dots."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.replace("-", "a").replace(".", "a").isalnum()
