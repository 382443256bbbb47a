"""Where blocks are computed: in this process, in several of this machine, or on the machines of a Dask cluster.

All three take blocks from a generator and have a few of them in flight, so that a million patients never stand in
memory; all three give the same bits, for what a block holds does not depend on who computes it.

>>> make_executor("serial").name
'serial'
"""

import os
import pickle
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Final, Protocol

import numpy as np

import pepr_kg
from pepr_kg.errors import MissingExtra
from pepr_kg.runs.blocks import Block, Computed, Plan, compute
from pepr_kg.runs.errors import BadRequestField, WorkersLost

EXECUTORS: Final = ("serial", "pool", "dask")
_AHEAD: Final = 2  # blocks in flight for each process
_LOOK: Final = 0.2  # seconds between two looks at whether somebody cancelled
_AGAIN: Final = 3  # times that a block is given to others after its worker died
_CONNECT: Final = 10.0  # seconds to reach a scheduler

Stopped = Callable[[], bool]

_ADDRESS: Final = re.compile(r"(?:tcp|tls)://[^/\s]+:\d+")


class Executor(Protocol):
    """Computes blocks, and gives them back as they are done, in any order."""

    @property
    def name(self) -> str:
        """What it is called in a request."""

    def run(self, plan: Plan, blocks: Iterable[Block], stopped: Stopped) -> Iterator[Computed]:
        """Yield what each block gives; none any more once `stopped()` is true.

        Raises what `compute` raises, and `WorkersLost`.
        """


def make_executor(name: str = "serial", workers: int = 1, scheduler: str | None = None) -> Executor:
    """Return an executor: a `scheduler` (tcp://HOST:PORT) means Dask, several `workers` a pool of so many processes,
    and "pool" alone one of as many as there are processors.

    Raises `BadRequestField` for a name that there is not, and for Dask without a scheduler.
    """
    lost = scheduler is None if name == "dask" else False
    odd = scheduler is not None and not _ADDRESS.fullmatch(scheduler)
    if name not in EXECUTORS or workers < 1 or lost or odd:
        wrong = "workers" if workers < 1 else "scheduler" if lost or odd else "executor"
        value = {"workers": workers, "scheduler": scheduler or "-", "executor": name}[wrong]
        raise BadRequestField(field=wrong, value=value, detail={
            "en": f"one of {', '.join(EXECUTORS)} was expected, at least one worker, and for dask the address of a "
                  "scheduler, tcp://HOST:PORT",
            "fr": f"il faut l’un de {', '.join(EXECUTORS)}, au moins un processus et, pour dask, l’adresse d’un "
                  "ordonnanceur, tcp://HÔTE:PORT"})  # fmt: skip
    if scheduler is not None:
        return Cluster(scheduler)
    if name == "pool" and workers == 1:
        workers = os.cpu_count() or 1
    return Pool(workers) if name == "pool" or workers > 1 else Serial()


@dataclass(frozen=True, slots=True)
class Serial:
    """One block after the other, in this process."""

    name: str = "serial"

    def run(self, plan: Plan, blocks: Iterable[Block], stopped: Stopped) -> Iterator[Computed]:
        """Yield what each block gives, in their order."""
        for block in blocks:
            if stopped():
                return
            yield compute(plan, block)


@dataclass(frozen=True, slots=True)
class Pool:
    """`workers` processes of this machine. They are started anew (spawned): a script that evaluates with them needs the
    usual `if __name__ == "__main__":`.
    """

    workers: int
    name: str = "pool"

    def run(self, plan: Plan, blocks: Iterable[Block], stopped: Stopped) -> Iterator[Computed]:
        """Yield what each block gives, as they are done; what a process that died had in hand is computed again."""
        packed, source, waiting, deaths = _pack(plan), iter(blocks), dict[int, Block](), 0
        while True:
            try:
                yield from self._run(packed, source, waiting, stopped)
            except BrokenProcessPool as error:
                deaths += 1
                if deaths > _AGAIN:
                    raise WorkersLost(where={"en": "this machine", "fr": "cette machine"}, detail=error) from error
            else:
                return

    def _run(
        self, packed: bytes, source: Iterator[Block], waiting: dict[int, Block], stopped: Stopped
    ) -> Iterator[Computed]:
        """Yield what the pool gives; `waiting` holds what was taken from the source and is not done."""
        with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
            flying: set[Future[Computed]] = {pool.submit(_compute, packed, block) for block in waiting.values()}
            try:
                while not stopped():
                    for block in _some(source, self.workers * _AHEAD - len(flying)):
                        waiting[block.number] = block
                        flying.add(pool.submit(_compute, packed, block))
                    if not flying:
                        return
                    done, flying = wait(flying, timeout=_LOOK, return_when=FIRST_COMPLETED)
                    for future in done:
                        found = future.result()
                        del waiting[found.number]
                        yield found
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a Dask scheduler; where one dies, others take over what it had in hand."""

    scheduler: str
    name: str = "dask"

    def run(self, plan: Plan, blocks: Iterable[Block], stopped: Stopped) -> Iterator[Computed]:
        """Yield what each block gives, as they are done."""
        try:
            dask: Any = import_module("distributed")
        except ImportError as error:
            raise MissingExtra(extra="cluster") from error
        try:
            client = dask.Client(self.scheduler, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise WorkersLost(where=self.scheduler, detail=str(error).split("\n", 1)[0]) from error
        packed, source, flying = _pack(plan), iter(blocks), set[Any]()
        try:
            while not stopped():
                threads = max(1, sum(client.nthreads().values()))
                for block in _some(source, threads * _AHEAD - len(flying)):
                    flying.add(client.submit(_compute, packed, block, pure=False, retries=_AGAIN))
                if not flying:
                    return
                try:
                    with client.as_current():
                        done, flying = dask.wait(flying, timeout=_LOOK, return_when="FIRST_COMPLETED")
                except dask.TimeoutError:
                    continue  # nothing is done yet: look whether somebody cancelled
                for future in done:
                    yield future.result()
                    future.release()
        except (OSError, dask.KilledWorker, dask.CancelledError) as error:
            raise WorkersLost(where=self.scheduler, detail=error) from error
        finally:
            if flying and client.status == "running":
                client.cancel(list(flying), force=True)
            client.close(timeout=_CONNECT)


def _some(source: Iterator[Block], count: int) -> Iterator[Block]:
    """Yield the next blocks, at most `count`."""
    for _ in range(count):
        block = next(source, None)
        if block is None:
            return
        yield block


# ---- In the worker ---------------------------------------------------------------------------------------------------


def versions() -> tuple[str, str]:
    """Return what decides the last bits: the versions of this program and of NumPy."""
    return pepr_kg.__version__, np.__version__


def _pack(plan: Plan) -> bytes:
    """Return the plan and our versions as bytes, some ten kilobytes: each task brings its own."""
    return zlib.compress(pickle.dumps((versions(), plan)))


@lru_cache(maxsize=4)
def _unpack(packed: bytes) -> Plan:
    theirs, plan = pickle.loads(zlib.decompress(packed))  # noqa: S301  from our own process, by our own channel
    if theirs != versions():
        raise WorkersLost(where={"en": "the cluster", "fr": "la grappe de calcul"}, detail={
            "en": f"they have pepr_kg and NumPy {versions()}, {theirs} was expected",
            "fr": f"ils ont pepr_kg et NumPy {versions()}, il faut {theirs}"})  # fmt: skip
    if not isinstance(plan, Plan):
        raise TypeError(type(plan).__name__)
    return plan


def _compute(packed: bytes, block: Block) -> Computed:
    return compute(_unpack(packed), block)
