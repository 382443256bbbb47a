"""Query processes: they answer as a view does, follow its versions, and leave nobody behind."""

import asyncio
import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from pepr_kg import workers as module
from pepr_kg.errors import (
    InternalError,
    NotAcceptable,
    QueryFailed,
    QuerySyntaxError,
    QueryTimeout,
    QueryTooLarge,
)
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, Form, Literal, NamedNode, Quad, View
from pepr_kg.workers import Workers

TYPES: Final[dict[Form, str | None]] = {
    "solutions": "text/csv", "boolean": "application/sparql-results+json", "triples": "application/n-triples",
}  # fmt: skip
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"
SERVER = """
import asyncio, sys
from pathlib import Path
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset
from pepr_kg.workers import Workers

async def main():
    workers = Workers(Settings(query_seconds=2.0, query_workers=2))
    workers.start()
    view = Dataset(Path(sys.argv[1])).view()
    await asyncio.gather(*(workers.answer(view, "ASK {}", {"boolean": "application/json"}) for _ in range(2)))
    slow = asyncio.ensure_future(workers.answer(view, sys.argv[2], {"solutions": "text/csv"}))
    await asyncio.sleep(0)
    print(*workers.process_ids, flush=True)
    await slow

asyncio.run(main())
"""


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    dataset = Dataset(tmp_path / "data")
    put(dataset, 500)
    return dataset


def put(dataset: Dataset, count: int, graph: str = "urn:g") -> View:
    with dataset.change(who="test", source="test") as change:
        change.add(
            Quad(NamedNode(f"urn:{number}"), NamedNode("urn:p"), Literal(number), NamedNode(graph))
            for number in range(count)
        )
        return change.commit()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def gone(process_id: int, seconds: float) -> bool:
    """Whether a process ends in the given time."""
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "query",
    ["SELECT ?s ?o { ?s ?p ?o } ORDER BY ?o", "ASK { ?s ?p 3 }", "CONSTRUCT { ?s ?p 'é\\n' } WHERE { ?s ?p 3 }"],
)
def test_the_answer_is_that_of_the_view(data: Dataset, query: str) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        assert await workers.answer(data.view(), query, TYPES) == data.view().answer(query, TYPES)
        await workers.close()

    run(work())


def test_errors_cross_the_border_whole(data: Dataset) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        with pytest.raises(QuerySyntaxError) as caught:
            await workers.answer(data.view(), "ASK {", TYPES)
        assert (caught.value.line, caught.value.column) == (1, 6)
        assert "ligne 1" in caught.value.message("fr")
        with pytest.raises(NotAcceptable):
            await workers.answer(data.view(), "ASK {}", {**TYPES, "boolean": None})
        with pytest.raises(QueryFailed):
            await workers.answer(data.view(), "SELECT (<urn:no-function>(1) AS ?x) {}", TYPES)
        await workers.close()

    run(work())


def test_a_view_of_some_graphs_is_all_that_is_seen(data: Dataset) -> None:
    put(data, 7, "urn:h")
    count = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"

    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        view = data.view()
        some = View.open(view.path, [NamedNode("urn:h")])
        for seen, expected in ((view, b"507"), (some, b"7"), (view, b"507")):
            assert (await workers.answer(seen, count, TYPES)).body.split() == [b"n", expected]
        named = await workers.answer(some, count, TYPES, default_graphs=["urn:g"], named_graphs=[])
        assert named.body.split() == [b"n", b"0"]
        await workers.close()

    run(work())


def test_each_query_sees_the_version_of_its_view(data: Dataset) -> None:
    count = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"

    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        old = data.view()
        assert (await workers.answer(old, count, TYPES)).body.split() == [b"n", b"500"]
        new = put(data, 600)
        assert (await workers.answer(new, count, TYPES)).body.split() == [b"n", b"600"]
        # A reader that began before the change still finds what it began with.
        assert (await workers.answer(old, count, TYPES)).body.split() == [b"n", b"500"]
        await workers.close()

    run(work())


def test_a_stopped_query_takes_its_process_with_it(data: Dataset) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_seconds=0.3, query_workers=1))
        workers.start()
        await workers.answer(data.view(), "ASK {}", TYPES)
        (before,) = workers.process_ids
        with pytest.raises(QueryTimeout):
            await workers.answer(data.view(), ENDLESS, TYPES)
        assert await asyncio.to_thread(gone, before, 2.0)
        await asyncio.sleep(0)
        cancelled = asyncio.ensure_future(workers.answer(data.view(), ENDLESS, TYPES))
        await asyncio.wait({cancelled}, timeout=0.1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await workers.close()

    run(work())


def test_a_process_that_dies_is_replaced(data: Dataset) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        await workers.answer(data.view(), "ASK {}", TYPES)
        os.kill(workers.process_ids[0], signal.SIGKILL)
        # Whoever killed it, it was not the caller.
        with pytest.raises(InternalError):
            await workers.answer(data.view(), ENDLESS, TYPES)
        assert (await workers.answer(data.view(), "ASK {}", TYPES)).form == "boolean"
        await workers.close()

    run(work())


@pytest.mark.parametrize("query", ["SELECT * " + "{" * 300_000, "ASK {" + "{} UNION " * 300_000 + "{}}"])
def test_a_text_that_is_nested_too_deeply_is_named_as_such(data: Dataset, query: str) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_workers=1))
        workers.start()
        with pytest.raises(QueryFailed) as caught:
            await workers.answer(data.view(), query, TYPES)
        assert "nested too deeply" in caught.value.message("en")
        assert "imbriquée trop profondément" in caught.value.message("fr")
        assert (await workers.answer(data.view(), "ASK {}", TYPES)).form == "boolean"
        await workers.close()

    run(work())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_start_that_the_system_refuses_is_tried_again(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    start = subprocess.Popen
    refusals = [OSError(number, os.strerror(number))] * 2

    def refuse_twice(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if refusals:
            raise refusals.pop()
        return start(*arguments, **options)

    monkeypatch.setattr(module, "_RESTART_SECONDS", 0.01)
    monkeypatch.setattr(subprocess, "Popen", refuse_twice)

    async def work() -> None:
        workers = Workers(Settings(query_seconds=5.0, query_workers=1))
        workers.start()
        assert (await workers.answer(data.view(), "ASK {}", TYPES)).form == "boolean"
        assert len(workers.process_ids) == 1
        await workers.close()

    run(work())
    assert not refusals


def test_bounds_are_said_in_the_readers_language_and_units(data: Dataset) -> None:
    async def work() -> None:
        workers = Workers(Settings(query_workers=1, result_bytes=2_500))
        workers.start()
        with pytest.raises(QueryTooLarge) as caught:
            await workers.answer(data.view(), "SELECT * { ?s ?p ?o }", TYPES)
        assert "2.5 kB for one answer" in caught.value.message("en")
        assert "2,5\u00a0ko pour une réponse" in caught.value.message("fr")
        await workers.answer(data.view(), "ASK {}", TYPES)
        os.kill(workers.process_ids[0], signal.SIGABRT)  # as the engine ends when it gets no memory
        with pytest.raises(QueryTooLarge) as caught:
            await workers.answer(data.view(), ENDLESS, TYPES)
        assert "4 GB of memory" in caught.value.message("en")
        assert "4\u00a0Go de mémoire" in caught.value.message("fr")
        await workers.close()

    run(work())


def test_closing_leaves_no_process(data: Dataset) -> None:
    found: list[int] = []

    async def work() -> None:
        workers = Workers(Settings(query_seconds=30.0, query_workers=3))
        workers.start()
        await workers.answer(data.view(), "ASK {}", TYPES)
        slow = asyncio.ensure_future(workers.answer(data.view(), ENDLESS, TYPES))
        await asyncio.wait({slow}, timeout=0.2)
        found.extend(workers.process_ids)
        await workers.close()
        with pytest.raises((InternalError, asyncio.CancelledError)):
            await slow

    run(work())
    assert len(found) == 3
    assert all(gone(process_id, 2.0) for process_id in found)


def test_no_process_outlives_a_killed_server(data: Dataset) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data.path), ENDLESS], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert server.stdout is not None
    processes = [int(number) for number in server.stdout.readline().split()]
    assert len(processes) == 2
    server.kill()
    server.wait()
    # The idle one sees its channel close; the busy one is ended by its alarm.
    assert all(gone(process_id, 10.0) for process_id in processes)
