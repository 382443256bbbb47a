"""What a version of the dataset says of itself, in a file beside its database.

>>> manifest = Manifest.now("0" * 64, "me", "example.ttl", {"urn:g": 5}, "")
>>> manifest.graphs["urn:g"], manifest.format
(5, 1)
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pepr_kg.errors import DatasetDamaged, DatasetTooNew

FORMAT: Final = 1  # of the dataset's folder; a reader refuses a higher one
_FILE: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version says of itself: `digest` is of its content (64 hexadecimal digits)."""

    format: int
    software: str
    digest: str
    made_at: str  # xsd:dateTime, UTC
    who: str
    source: str
    graphs: Mapping[str, int]  # graph IRI -> triples
    inputs: str  # digest of the files that a build read; empty for other changes

    @classmethod
    def now(cls, digest: str, who: str, source: str, graphs: Mapping[str, int], inputs: str) -> "Manifest":
        """Return the manifest of a version made now by this program."""
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(FORMAT, _software(), digest, made_at, who, source, graphs, inputs)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest of the version in `DIR/versions/NAME`. Raises `DatasetTooNew` or `DatasetDamaged`."""
        path = folder.parent.parent
        try:
            fields = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            found = int(fields["format"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DatasetDamaged(path=path, detail=error) from error
        if found > FORMAT:
            raise DatasetTooNew(path=path, found=found, known=FORMAT)
        try:
            return cls(**fields)
        except TypeError as error:
            raise DatasetDamaged(path=path, detail=error) from error

    def write(self, folder: Path) -> None:
        """Write the manifest of the version in `folder`."""
        with (folder / _FILE).open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())


def _software() -> str:
    try:
        return version("pepr_kg")
    except PackageNotFoundError:
        return "source"
