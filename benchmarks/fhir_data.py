"""NDJSON of any size, made of a few Bundles: their resources again and again, each time with new ids.

References are rewritten with the ids, so that each copy is a person with all that belongs to them, and those of the
Bundles (`urn:uuid:ID`) become those of bulk data (`Type/ID`). Every value stays as it was written.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pepr_kg.fhir.exact import read_json, write_json

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
URN = "urn:uuid:"


class Template:
    """The resources of Bundles as lines of text with a place for each id."""

    def __init__(self, files: list[Path]) -> None:
        resources: list[str] = []
        names: dict[str, str] = {}  # uuid: Type
        for path in files:
            bundle = read_json(path.read_bytes())
            for entry in bundle["entry"]:  # type: ignore[index,call-overload]
                resource = entry["resource"]  # type: ignore[index,call-overload]
                names[resource["id"]] = resource["resourceType"]
                resources.append(write_json(resource))
        text = "\n".join(resources) + "\n"
        text = re.sub(URN + f"({UUID.pattern})", lambda found: self._reference(found[1], names), text)
        ids = [found for found in UUID.finditer(text) if found[0] in names]
        starts = [0, *(found.end() for found in ids)]
        ends = [*(found.start() for found in ids), len(text)]
        self.between = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        self.ids = [found[0] for found in ids]
        self.resources = len(resources)

    @staticmethod
    def _reference(name: str, names: dict[str, str]) -> str:
        return f"{names[name]}/{name}" if name in names else URN + name

    def copy(self, number: int) -> str:
        """Return the lines of a copy; number 0 has the ids of the Bundles."""
        parts = [self.between[0]]
        for name, following in zip(self.ids, self.between[1:], strict=True):
            parts.append(f"{(int(name[:8], 16) + number) % 2**32:08x}{name[8:]}")
            parts.append(following)
        return "".join(parts)

    def copies(self, size: int) -> Iterator[str]:
        """Return lines of copies until they are `size` bytes; the last copy is cut after a line."""
        written = number = 0
        while written < size:
            text = self.copy(number)
            if written + len(text.encode()) > size and number:
                lines, kept = text.splitlines(keepends=True), []
                for line in lines:
                    kept.append(line)
                    written += len(line.encode())
                    if written >= size:
                        break
                text = "".join(kept)
            else:
                written += len(text.encode())
            number += 1
            yield text


def make(files: list[Path], target: Path, size: int) -> int:
    """Write NDJSON of about `size` bytes and return how many resources it holds. What is there already is kept."""
    if not target.exists() or abs(target.stat().st_size - size) > 100_000:
        with target.open("w", encoding="utf-8") as file:
            for text in Template(files).copies(size):
                file.write(text)
    with target.open("rb") as lines:
        return sum(1 for _ in lines)
