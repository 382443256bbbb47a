"""What an intake wrote is loaded while it still reads: the engine works in a thread of its own, without the lock."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from pepr_kg.store import Change, NamedNode


class Loader:
    """Loads N-Triples files into a graph of a change, in their order. The thread begins with the first file."""

    def __init__(self, change: Change, graph: NamedNode) -> None:
        self._change, self._graph = change, graph
        self._files: SimpleQueue[Path | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1, "fhir-intake")
        self._work: Future[int] | None = None

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.put(None)
        self._pool.shutdown()

    def load(self, path: Path) -> None:
        """Load a file when its turn comes; it is deleted afterwards."""
        if self._work is None:
            self._work = self._pool.submit(self._change.bulk, self._each(), self._graph)
        self._files.put(path)

    def finish(self) -> int:
        """Wait for all files; return how many triples were new. Raises whatever the store raised."""
        self._files.put(None)
        return 0 if self._work is None else self._work.result()

    def _each(self) -> Iterator[Path]:
        while (path := self._files.get()) is not None:
            yield path
            path.unlink()
