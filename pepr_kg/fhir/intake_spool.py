"""What an intake writes, on its way to the store: an N-Triples file that grows, and a specimen of it to be validated.

>>> import tempfile
>>> with Spool(Path(tempfile.mkdtemp()) / "a.nt", specimen=1) as spool:
...     first = spool.put(b'<urn:a> <urn:b> "1" .\\n', "form")
...     second = spool.put(b'<urn:c> <urn:b> "2" .\\n', "form")
...     spool.blank(first)
>>> spool.path.read_bytes().strip(), spool.specimen
(b'<urn:c> <urn:b> "2" .', b'<urn:a> <urn:b> "1" .\\n')
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

_BUFFER: Final = 4 << 20  # bytes
_SEGMENT: Final = 16 << 20


class Spool:
    """A file of N-Triples. Of each form the first so many blocks are kept as a specimen.

    With `segment`, a file that is large enough is closed, handed over and followed by another; nothing can be blanked
    then.
    """

    def __init__(self, path: Path, specimen: int = 0, segment: Callable[[Path], None] | None = None) -> None:
        self.path = path
        self._limit = specimen
        self._segment = segment
        self._segments = 0
        self._seen: Counter[str] = Counter()
        self._specimen: list[bytes] = []
        self._file = path.open("w+b", buffering=_BUFFER)
        self._length = 0
        self.is_used = False  # whether anything was put
        self.is_whole = True  # whether the specimen is all that was put

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def specimen(self) -> bytes:
        """Return the blocks that stand for all others."""
        return b"".join(self._specimen)

    @property
    def seen(self) -> int:
        """Return how many blocks the specimen has."""
        return len(self._specimen)

    def __len__(self) -> int:
        """Return how many bytes stand in the file of now."""
        return self._length

    def put(self, block: bytes, form: str = "") -> tuple[int, int]:
        """Write a block; return where it stands. A block without a form, or of one that was seen often enough, is no
        specimen.
        """
        if self._limit and form:
            if self._seen[form] < self._limit:
                self._seen[form] += 1
                self._specimen.append(block)
            else:
                self.is_whole = False
        self.is_used = True
        place = self._length, len(block)
        self._file.write(block)
        self._length += len(block)
        if self._segment is not None and self._length > _SEGMENT:
            self._file.close()
            self._segment(self.path)
            self._segments += 1
            self.path = self.path.with_name(f"{self._segments}.nt")
            self._file = self.path.open("w+b", buffering=_BUFFER)
            self._length = 0
        return place

    def flush(self) -> None:
        """Let the file be read by others."""
        self._file.flush()

    def blank(self, place: tuple[int, int]) -> None:
        """Take a block back: empty lines stand in its place."""
        start, length = place
        self._file.seek(start)
        self._file.write(b"\n" * length)
        self._file.seek(0, 2)
