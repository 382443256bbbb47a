"""Where the references of a resource lead, and how the resources of a Bundle are named."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pepr_kg.fhir.iris import absolute_iri, service_base
from pepr_kg.fhir.writing_values import FIELDS, Fields, text_of

_MOST_NAMES: Final = 1_000_000  # of entries, kept as hashes, to tell that one comes again
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = b"{"


class _Named(msgspec.Struct, rename={"full_url": "fullUrl"}):
    """As much of an entry as says how its resource is named. Values of the wrong kind are looked at later."""

    full_url: msgspec.Raw = msgspec.Raw(b"null")
    resource: msgspec.Raw = msgspec.Raw(b"null")


class _Head(msgspec.Struct, rename={"type_name": "resourceType"}):
    type_name: msgspec.Raw = msgspec.Raw(b"null")
    id: msgspec.Raw = msgspec.Raw(b"null")


_NAMED: Final = msgspec.json.Decoder(_Named)
_HEAD: Final = msgspec.json.Decoder(_Head)


@dataclass(slots=True)
class Targets:
    """Where references lead: as `names` says, by their text, and else as they say themselves, under `base`.

    Pieces that depend on it are remembered here.
    """

    base: str
    names: Mapping[str, str] = field(default_factory=dict)
    memo: dict[tuple[object, bytes], bytes] = field(default_factory=dict)


class EntryNames:
    """The names that entries of a Bundle have been given."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def name(self, iri: str | None, raw: bytes, *, versioned: bool) -> str | None:
        """Return the name of an entry's resource: its full URL, for a second one with its version, or None."""
        if iri is None:
            return None
        if hash(iri) in self._given and versioned:
            meta = bytes(FIELDS.decode(raw).get("meta", b""))
            version = FIELDS.decode(meta).get("versionId") if meta[:1] == _OBJECT else None
            text = text_of(bytes(version)) if version else None
            iri = f"{iri}/_history/{text}" if text and _IDENTIFIER.fullmatch(text) else None
            if iri is None or hash(iri) in self._given:
                return None
        if len(self._given) < _MOST_NAMES:
            self._given.add(hash(iri))
        return iri


def entry_names(fields: Fields) -> Mapping[str, str]:
    """Return the names of a Bundle's entries that have one which is no URL of a server, by TYPE/ID.

    References by type and id lead to them.
    """
    names: dict[str, str] = {}
    raw = bytes(fields["entry"]) if "entry" in fields else b""
    if raw[:1] != b"[":
        return names
    for item in _ITEMS.decode(raw):
        entry = bytes(item)
        if entry[:1] != b"{":
            continue
        named = _NAMED.decode(entry)
        full_url = text_of(bytes(named.full_url))
        if full_url is None or service_base(full_url) is not None or bytes(named.resource)[:1] != b"{":
            continue
        head = _HEAD.decode(bytes(named.resource))
        type_name, identifier, iri = text_of(bytes(head.type_name)), text_of(bytes(head.id)), absolute_iri(full_url)
        if type_name and identifier and iri:
            names[f"{type_name}/{identifier}"] = iri
    return names
