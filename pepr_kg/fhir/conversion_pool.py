"""Who writes the blocks: this process, several of this machine, or the machines of a Dask cluster; in order, always.

A few blocks are in flight for each process, so that memory does not grow. RDF is ten times as large as its JSON, and to
send it from process to process costs half of what it costs to make it: where the output is a file, each process writes
its blocks there itself, at the place that the sizes of the blocks before give.

>>> from io import BytesIO
>>> type(make_executor(1, None, BytesIO())).__name__
'Serial'
"""

import os
import pickle
import re
import stat
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Condition
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pepr_kg
from pepr_kg.errors import MissingExtra
from pepr_kg.fhir.conversion_blocks import Block, Converted, Plan, convert_block
from pepr_kg.runs.errors import BadRequestField, WorkersLost

__all__ = ["Executor", "make_executor"]

_AHEAD: Final = 3  # blocks in flight for each process
_AGAIN: Final = 3  # times that a block is given to others after its worker died
_CONNECT: Final = 10.0  # seconds to reach a scheduler
_ADDRESS: Final = re.compile(r"(?:tcp|tls)://[^/\s]+:\d+")
_HERE: Final = {"en": "this machine", "fr": "cette machine"}


class Executor(Protocol):
    """Converts blocks."""

    def run(self, plan: Plan, blocks: Iterable[Block]) -> Iterator[Converted]:
        """Yield what each block gives, in their order; no text where it is written already. Raises `WorkersLost`."""


def make_executor(workers: int, scheduler: str | None, output: BinaryIO) -> Executor:
    """Return an executor: a Dask `scheduler` (tcp://HOST:PORT), else `workers` processes, which write to `output`.

    Raises `BadRequestField`.
    """
    if scheduler is not None:
        if _ADDRESS.fullmatch(scheduler) is None:
            raise BadRequestField(field="scheduler", value=scheduler, detail={
                "en": "the address of a Dask scheduler was expected, tcp://HOST:PORT",
                "fr": "il faut l’adresse d’un ordonnanceur Dask, tcp://HÔTE:PORT"})  # fmt: skip
        return Cluster(scheduler)
    return Pool(workers, output) if workers > 1 else Serial()


@dataclass(frozen=True, slots=True)
class Serial:
    """One block after the other, in this process."""

    def run(self, plan: Plan, blocks: Iterable[Block]) -> Iterator[Converted]:
        """Yield what each block gives."""
        for block in blocks:
            yield convert_block(plan, block)


@dataclass(frozen=True, slots=True)
class Pool:
    """`workers` processes of this machine. They are started anew (spawned): a script that converts with them needs the
    usual `if __name__ == "__main__":`.
    """

    workers: int
    output: BinaryIO

    def run(self, plan: Plan, blocks: Iterable[Block]) -> Iterator[Converted]:
        """Yield what each block gives; the texts are in the file already where the output is one."""
        context = get_context("spawn")
        path = _file_of(self.output)
        start = self.output.tell() if path is not None else 0
        turn = context.Condition()
        following, offset = context.Value("q", 0, lock=False), context.Value("q", start, lock=False)
        flying: deque[Future[Converted]] = deque()
        with ProcessPoolExecutor(
            self.workers, mp_context=context, initializer=_begin, initargs=(plan, path, turn, following, offset)
        ) as pool:
            try:
                for block in blocks:
                    if block.is_history:
                        while flying:
                            yield flying.popleft().result()
                        done = convert_block(plan, block)
                        offset.value += _put(self.output.fileno(), done.text, offset.value) if path is not None else 0
                        following.value += 1
                        yield done if path is None else replace(done, text=b"")
                        continue
                    flying.append(pool.submit(_work, block))
                    if len(flying) >= self.workers * _AHEAD:
                        yield flying.popleft().result()
                while flying:
                    yield flying.popleft().result()
            except BrokenProcessPool as error:
                raise WorkersLost(where=_HERE, detail=error) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        if path is not None:
            self.output.seek(offset.value)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a Dask scheduler; where one dies, others take over what it had in hand."""

    scheduler: str

    def run(self, plan: Plan, blocks: Iterable[Block]) -> Iterator[Converted]:
        """Yield what each block gives."""
        try:
            dask: Any = import_module("distributed")
        except ImportError as error:
            raise MissingExtra(extra="cluster") from error
        try:
            client = dask.Client(self.scheduler, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise WorkersLost(where=self.scheduler, detail=str(error).split("\n", 1)[0]) from error
        packed, flying = zlib.compress(pickle.dumps((pepr_kg.__version__, plan))), deque[Any]()
        try:
            most = max(1, sum(client.nthreads().values())) * _AHEAD
            for block in blocks:
                if block.is_history:
                    while flying:
                        yield flying.popleft().result()
                    yield convert_block(plan, block)
                    continue
                flying.append(client.submit(_convert, packed, block, pure=False, retries=_AGAIN))
                if len(flying) >= most:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        except (OSError, dask.KilledWorker, dask.CancelledError) as error:
            raise WorkersLost(where=self.scheduler, detail=error) from error
        finally:
            if flying and client.status == "running":
                client.cancel(list(flying), force=True)
            client.close(timeout=_CONNECT)


def _file_of(output: BinaryIO) -> Path | None:
    """Return the file that an output is, where another process can open it and write anywhere in it."""
    try:
        output.flush()
        number = output.fileno()
        state = os.fstat(number)
        path = Path(os.fsdecode(output.name))
        if stat.S_ISREG(state.st_mode) and output.seekable() and os.path.samestat(state, path.stat()):
            return path.resolve()
    except (AttributeError, TypeError, OSError, ValueError):
        return None  # memory, a pipe, a file without a name
    return None


# ---- In the worker ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Desk:
    """What a process of a pool works with: the plan, the open file (-1: none), and whose turn it is to take a place."""

    plan: Plan
    file: int
    turn: Condition
    following: "Synchronized[int]"
    offset: "Synchronized[int]"


_desks: list[_Desk] = []


def _begin(
    plan: Plan, path: Path | None, turn: Condition, following: "Synchronized[int]", offset: "Synchronized[int]"
) -> None:
    file = -1 if path is None else os.open(path, os.O_WRONLY)
    _desks[:] = [_Desk(plan, file, turn, following, offset)]


def _work(block: Block) -> Converted:
    desk = _desks[0]
    text = b""
    try:
        done = convert_block(desk.plan, block)
        text = done.text if desk.file >= 0 else b""
    finally:
        # Also after a failure: the blocks behind this one are waiting for their place.
        with desk.turn:
            desk.turn.wait_for(lambda: desk.following.value == block.number)
            place = desk.offset.value
            desk.offset.value += len(text)
            desk.following.value += 1
            desk.turn.notify_all()
    if desk.file < 0:
        return done
    _put(desk.file, text, place)
    return replace(done, text=b"")


def _put(file: int, text: bytes, place: int) -> int:
    """Write a text at a place of a file and return its length."""
    rest = memoryview(text)
    while rest:
        count = os.pwrite(file, rest, place)
        rest, place = rest[count:], place + count
    return len(text)


@lru_cache(maxsize=4)
def _unpack(packed: bytes) -> Plan:
    theirs, plan = pickle.loads(zlib.decompress(packed))  # noqa: S301  from our own process, by our own channel
    if theirs != pepr_kg.__version__:
        raise WorkersLost(where={"en": "the cluster", "fr": "la grappe de calcul"}, detail={
            "en": f"they have pepr_kg {pepr_kg.__version__}, {theirs} was expected",
            "fr": f"ils ont pepr_kg {pepr_kg.__version__}, il faut {theirs}"})  # fmt: skip
    if not isinstance(plan, Plan):
        raise TypeError(type(plan).__name__)
    return plan


def _convert(packed: bytes, block: Block) -> Converted:
    return convert_block(_unpack(packed), block)
