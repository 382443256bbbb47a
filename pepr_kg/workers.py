"""Strangers' queries, in processes that can be stopped.

The engine cannot cancel a query, so each runs in a process of its own: one that passes its
deadline, or whose caller has gone, is killed and replaced. A process

- opens the version of the dataset that the view names, read-only, and the next one when asked;
- may take no more memory than its limit;
- may open no connection while it works (where the kernel cannot refuse sockets alone, no file
  either: `confinement`): whatever a query says, it reaches no other server;
- dies by an alarm of the operating system soon after its deadline, even if the server that
  started it is gone.

The two sides speak over a socket pair: lengths, a JSON object, and the bytes of an answer.
Out of scope: our own queries, which run in the server.
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from pepr_kg import errors
from pepr_kg.confinement import Confinement
from pepr_kg.errors import InternalError, PeprError, QueryFailed, QueryTimeout, QueryTooLarge, ServerBusy
from pepr_kg.language import LANGUAGES, format_number
from pepr_kg.settings import Settings
from pepr_kg.store import Answer, Form, NamedNode, View

logger = logging.getLogger(__name__)

_HEAD: Final = struct.Struct("!IQ")  # length of the JSON, length of the bytes after it
_GRACE_SECONDS: Final = 1.0  # between the deadline, kept by the server, and the alarm that stands behind it
_RESTART_SECONDS: Final = 1.0
_FAREWELL_SECONDS: Final = 0.2  # for a process that fails by itself to leave its own status
_POLL_SECONDS: Final = 0.01

_TOO_DEEP: Final = {
    "en": "it is nested too deeply, or chains too many parts; split it into several queries",
    "fr": "elle est imbriquée trop profondément ou enchaîne trop d’éléments ; répartissez-la en plusieurs requêtes",
}
_UNITS: Final = (
    (10**9, {"en": "GB", "fr": "Go"}),
    (10**6, {"en": "MB", "fr": "Mo"}),
    (10**3, {"en": "kB", "fr": "ko"}),
    (1, {"en": "bytes", "fr": "octets"}),
)
_OF_MEMORY: Final = {"en": "{size} of memory", "fr": "{size} de mémoire"}
_OF_ANSWER: Final = {"en": "{size} for one answer", "fr": "{size} pour une réponse"}


class Workers:
    """A pool of query processes. It belongs to the event loop in which it is started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[_Worker] = []  # the last one used is the first to be used again: its caches are warm
        self._turns: deque[asyncio.Future[_Worker]] = deque()
        self._all: set[_Worker] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Start the processes; the first queries wait until they are up."""
        for _ in range(max(1, self._settings.query_workers)):
            self._add()

    async def close(self) -> None:
        """Stop every process, whatever it is doing."""
        self._closed = True
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.kill() for worker in self._all))
        self._all.clear()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes that are alive."""
        return tuple(worker.process.pid for worker in self._all)

    async def answer(
        self,
        view: View,
        sparql: str,
        media_types: Mapping[Form, str | None],
        *,
        default_graphs: Sequence[str] | None = None,
        named_graphs: Sequence[str] | None = None,
        dataset_in_text: bool = False,
        base_iri: str | None = None,
    ) -> Answer:
        """Return what `View.answer` gives, within the time and the memory that a query may take.

        Raises what `View.answer` raises, `QueryTimeout`, `QueryTooLarge`, or `ServerBusy` when
        no process becomes free in that time. Cancelling the call stops the query.
        """
        job = {
            "path": str(view.path),
            "graphs": [graph.value for graph in view.graphs],
            "sparql": sparql,
            "media_types": media_types,
            "default_graphs": default_graphs,
            "named_graphs": named_graphs,
            "dataset_in_text": dataset_in_text,
            "base_iri": base_iri,
        }
        seconds = self._settings.query_seconds
        worker = await self._take(seconds)
        healthy = False
        try:
            async with asyncio.timeout(seconds):
                header, body = await worker.ask(job)
            healthy = True
        except TimeoutError as error:
            raise QueryTimeout(seconds=seconds) from error
        except ConnectionError as error:
            raise await self._cause_of_death(worker) from error
        finally:
            if healthy:
                self._release(worker)
            else:
                self._replace(worker)
        if "error" in header:
            raise _error_from(header)
        return Answer(header["form"], header["media_type"], body)

    async def _take(self, seconds: float) -> "_Worker":
        """Return an idle process, or the next one that becomes idle: first come, first served."""
        if self._idle:
            return self._idle.pop()
        turn: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            async with asyncio.timeout(seconds):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done() and not turn.cancelled():
                self._release(turn.result())  # it came at the very moment of giving up
            if isinstance(error, TimeoutError):
                raise ServerBusy(seconds=seconds) from error
            raise

    def _release(self, worker: "_Worker") -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    async def _cause_of_death(self, worker: "_Worker") -> PeprError:
        status = await worker.kill()
        if status == -signal.SIGALRM:
            return QueryTimeout(seconds=self._settings.query_seconds)
        if status == -signal.SIGABRT:
            # What the engine does when it is refused memory.
            return QueryTooLarge(limit=_sized(_OF_MEMORY, self._settings.query_memory_bytes))
        if status == -signal.SIGSEGV:
            # The engine reads a query by recursion: a text that is nested too deeply passes the end of its stack.
            return QueryFailed(detail=_TOO_DEEP)
        if not self._closed:
            logger.error("query process %d ended with status %d", worker.process.pid, status)
        return InternalError()

    def _replace(self, worker: "_Worker") -> None:
        self._all.discard(worker)
        worker.process.kill()
        if not self._closed:
            self._add(worker)

    def _add(self, instead_of: "_Worker | None" = None) -> None:
        task = asyncio.get_running_loop().create_task(self._start_one(instead_of))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_one(self, instead_of: "_Worker | None") -> None:
        if instead_of:
            await instead_of.kill()
        while not self._closed:
            worker: _Worker | None = None
            try:
                worker = await _Worker.launch(self._settings)
                self._all.add(worker)
                await worker.ready()
            except OSError:
                # It ended at once, or the system is short of processes, descriptors or memory: that may pass.
                logger.exception("a query process did not start")
            else:
                self._release(worker)
                return
            if worker:
                await worker.kill()
                self._all.discard(worker)
            await asyncio.sleep(_RESTART_SECONDS)


class _Worker:
    """A process and the server's end of the socket pair."""

    def __init__(self, process: subprocess.Popen[bytes], channel: "_Channel") -> None:
        self.process = process
        self._channel = channel

    @classmethod
    async def launch(cls, settings: Settings) -> "_Worker":
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            with theirs:
                process = subprocess.Popen(  # noqa: S603  our own interpreter and module, numbers as arguments
                    [
                        sys.executable, "-m", "pepr_kg.workers", str(settings.query_seconds + _GRACE_SECONDS),
                        str(settings.query_memory_bytes), str(settings.result_bytes),
                    ],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                )  # fmt: skip
            undo.callback(process.kill)
            _, channel = await asyncio.get_running_loop().create_connection(_Channel, sock=ours)
            undo.pop_all()
        return cls(process, channel)

    async def ready(self) -> None:
        """Return when the process is up; raises ConnectionError if it ends before."""
        await self._channel.receive()

    async def ask(self, job: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        self._channel.send(job)
        return await self._channel.receive()

    async def kill(self) -> int:
        """Stop the process and return its exit status."""
        self._channel.close()
        patience = asyncio.get_running_loop().time() + _FAREWELL_SECONDS
        # Looked at now and then: a thread that waits may be refused by the very shortage that ended the process.
        while (status := self.process.poll()) is None:
            if asyncio.get_running_loop().time() > patience:
                self.process.kill()
            await asyncio.sleep(_POLL_SECONDS)
        return status


class _Channel(asyncio.Protocol):
    """Frames over a socket: cheaper than a stream, which wakes its reader for each part."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sizes: tuple[int, int] | None = None
        self._waiting: asyncio.Future[tuple[dict[str, Any], bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that the process is gone."""
        self._lost = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """Collect a frame; hand it over when it is whole."""
        self._buffer += data
        if self._sizes is None and len(self._buffer) >= _HEAD.size:
            self._sizes = _HEAD.unpack_from(self._buffer)
        if self._sizes is None or not self._waiting or self._waiting.done():
            return
        end_of_header = _HEAD.size + self._sizes[0]
        if len(self._buffer) < end_of_header + self._sizes[1]:
            return
        header = json.loads(self._buffer[_HEAD.size : end_of_header])
        body = bytes(memoryview(self._buffer)[end_of_header:])
        self._buffer, self._sizes = bytearray(), None
        self._waiting.set_result((header, body))

    def send(self, message: Mapping[str, Any]) -> None:
        if self._lost or self._transport is None:
            raise ConnectionResetError
        self._transport.write(_frame(message))

    async def receive(self) -> tuple[dict[str, Any], bytes]:
        if self._lost:
            raise ConnectionResetError
        self._waiting = asyncio.get_running_loop().create_future()
        self.data_received(b"")
        return await self._waiting

    def close(self) -> None:
        if self._transport:
            self._transport.close()


def _frame(message: Mapping[str, Any], body: bytes = b"") -> bytes:
    header = json.dumps(message).encode()
    return _HEAD.pack(len(header), len(body)) + header + body


def _sized(texts: Mapping[str, str], count: int) -> dict[str, str]:
    """Return a text for each language, with a number of bytes as people read it.

    >>> _sized(_OF_MEMORY, 4_000_000_000)["en"]
    '4 GB of memory'
    >>> _sized(_OF_ANSWER, 2_500)["fr"]
    '2,5\\xa0ko pour une réponse'
    """
    unit, names = next((pair for pair in _UNITS if count >= pair[0]), _UNITS[-1])
    number = f"{round(count / unit, 1):g}" if unit > 1 else count
    spaces = {"en": " ", "fr": "\u00a0"}
    return {
        lang: texts[lang].format(size=f"{format_number(number, lang)}{spaces[lang]}{names[lang]}") for lang in LANGUAGES
    }


def _error_from(header: Mapping[str, Any]) -> PeprError:
    kind: object = getattr(errors, header["error"])
    if not (isinstance(kind, type) and issubclass(kind, PeprError)):
        raise TypeError(header["error"])
    return kind(**header["details"])


# What follows runs in the query process.


class _Reader:
    """The version that is open."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self._view: View | None = None
        self._key: tuple[str, tuple[str, ...]] | None = None

    def view(self, path: str, graphs: Sequence[str]) -> View:
        key = path, tuple(graphs)
        if self._key == key and self._view is not None:
            return self._view
        self._view = self._key = None  # the old version may now be deleted
        with self._confinement.opening():
            view = View.open(Path(path))
            if tuple(graph.value for graph in view.graphs) != key[1]:
                view = View.open(Path(path), [NamedNode(graph) for graph in graphs])
        self._view, self._key = view, key
        return view


def serve(channel: socket.socket, seconds: float, result_bytes: int) -> None:
    """Answer jobs until the server closes the channel."""
    source = channel.makefile("rb")
    "Unknown".encode("idna")  # modules that Python would otherwise look for on the disk later
    confinement = Confinement()
    reader = _Reader(confinement)
    channel.sendall(_frame({"ready": True}))
    while head := source.read(_HEAD.size):
        job: dict[str, Any] = json.loads(source.read(_HEAD.unpack(head)[0]))
        # Default action: the kernel ends the process, also in the midst of the engine's work.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            view = reader.view(job.pop("path"), job.pop("graphs"))
            answer = view.answer(
                job["sparql"],
                job["media_types"],
                default_graphs=job["default_graphs"],
                named_graphs=job["named_graphs"],
                dataset_in_text=job["dataset_in_text"],
                base_iri=job["base_iri"],
                limit_bytes=result_bytes,
            )
            frame = _frame({"form": answer.form, "media_type": answer.media_type}, answer.body)
        except QueryTooLarge:
            frame = _too_large(_OF_ANSWER, result_bytes)
        except PeprError as error:
            frame = _frame({"error": type(error).__name__, "details": _plain(error.details)})
        except MemoryError:
            frame = _too_large(_OF_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[0])
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            channel.sendall(frame)
        except BrokenPipeError:  # the server is gone
            break
    confinement.lift()


def _too_large(texts: Mapping[str, str], count: int) -> bytes:
    return _frame({"error": QueryTooLarge.__name__, "details": {"limit": _sized(texts, count)}})


def _plain(details: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value if isinstance(value, str | int | float | dict | None) else str(value)
        for name, value in details.items()
    }


def main(seconds: float, memory_bytes: int, result_bytes: int) -> None:
    """Run a query process; standard input is its socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which then closes the channel
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The server may go away while this process is starting.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(socket.socket(fileno=0), seconds, result_bytes)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
