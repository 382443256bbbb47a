"""What an intake wrote is loaded while it still reads: the engine works in a thread of its own, without the lock."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

from pepr_kg.errors import PeprError
from pepr_kg.store import Change, NamedNode


class Loader:
    """Loads N-Triples files into a graph of a change, in their order. The thread begins with the first file."""

    def __init__(self, change: Change, graph: NamedNode) -> None:
        self._change, self._graph = change, graph
        self._files: SimpleQueue[Path | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._triples = 0
        self._failure: PeprError | None = None

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def load(self, path: Path) -> None:
        """Load a file when its turn comes; it is deleted afterwards."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name="fhir-intake", daemon=True)
            self._thread.start()
        self._files.put(path)

    def finish(self) -> int:
        """Wait for all files; return how many triples were new. Raises what the store raised."""
        self._stop()
        if self._failure is not None:
            raise self._failure
        return self._triples

    def _stop(self) -> None:
        if self._thread is not None:
            self._files.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        try:
            self._triples = self._change.bulk(self._each(), self._graph)
        except PeprError as error:
            self._failure = error

    def _each(self) -> Iterator[Path]:
        while (path := self._files.get()) is not None:
            yield path
            path.unlink()
