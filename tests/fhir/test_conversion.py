"""Files into RDF: the same bytes whoever takes part, the same graph as resource by resource, legal for parsers."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyoxigraph
import pytest

from pepr_kg.errors import MissingExtra
from pepr_kg.fhir import conversion_pool
from pepr_kg.fhir.conversion import Plan, convert, read_files, restyle_files
from pepr_kg.fhir.conversion_blocks import Block, convert_block, cut, gather
from pepr_kg.fhir.conversion_pool import make_executor
from pepr_kg.fhir.dialect import R4, R5, R6
from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.documents_scan import Piece
from pepr_kg.fhir.errors import BaseMissing, BaseReserved
from pepr_kg.fhir.sources import Limits
from pepr_kg.fhir.writing import Writer
from pepr_kg.rdf import RdfFormat
from pepr_kg.runs.errors import BadRequestField, WorkersLost

ROOT = Path(__file__).parents[2]
BASE = "https://fhir.example.org/"


@pytest.fixture(scope="module")
def persons(shared: Path) -> list[Path]:
    return sorted((shared / "fhir" / "synthea-r4").glob("*.json"))


@pytest.fixture(scope="module")
def lines(persons: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thousand resources, one a line, and a broken one."""
    path = tmp_path_factory.mktemp("lines") / "all.ndjson"
    with path.open("wb") as file:
        for number in range(4):
            for person in persons:
                for document in open_documents(person):
                    data = json.dumps(json.loads(document.data)).encode()
                    file.write(data.replace(b'"id": "', b'"id": "%d-' % number) + b"\n")
            file.write(b'{"resourceType": "Patient", "id"\n')
    return path


@pytest.fixture(scope="module")
def bundle(lines: Path) -> Path:
    """The same as one Bundle, too large for one block."""
    path = lines.with_name("bundle.json")
    entries = (b'{"resource": %b}' % line for line in lines.read_bytes().splitlines() if line.endswith(b"}"))
    path.write_bytes(
        b'{"resourceType": "Bundle", "id": "all", "type": "collection", "entry": ['
        + b",\n".join(entries)
        + b'], "signature": {"who": {"display": "behind the entries"}}}'
    )
    assert path.stat().st_size > 4 << 20
    return path


def texts(source: Path, plan: Plan, *, workers: int = 1, scheduler: str | None = None) -> bytes:
    output = io.BytesIO()
    convert([(source.name, source)], plan, output, workers=workers, scheduler=scheduler)
    return output.getvalue()


def graph(text: bytes, kind: pyoxigraph.RdfFormat) -> pyoxigraph.Dataset:
    dataset = pyoxigraph.Dataset(pyoxigraph.parse(text, kind))
    dataset.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
    return dataset


@pytest.mark.parametrize("syntax", ["ntriples", "turtle"])
@pytest.mark.parametrize("kind", ["lines", "bundle"])
def test_several_processes_write_the_same_bytes(
    syntax: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(kind)
    plan = Plan(R4, BASE, syntax)  # type: ignore[arg-type]
    alone = texts(source, plan)
    if (syntax, kind) == ("turtle", "bundle"):  # through the parent, where the output is no file
        assert texts(source, plan, workers=2) == alone
    with (tmp_path / "out").open("wb") as file:
        file.write(b"# before\n")
        done = convert([(source.name, source)], plan, file, workers=2)
        file.write(b"# after\n")
    assert (tmp_path / "out").read_bytes() == b"# before\n" + alone + b"# after\n"
    assert done.counts.get("error", 0) == (4 if kind == "lines" else 0)
    parsed = sum(1 for _ in pyoxigraph.parse(alone, getattr(pyoxigraph.RdfFormat, syntax.upper().replace("NT", "N_T"))))
    assert parsed == done.triples


def test_lines_become_the_graph_of_their_resources(lines: Path) -> None:
    head = lines.read_bytes().splitlines()[:300]
    output = io.BytesIO()
    convert([("x.ndjson", [b"\n".join(head)])], Plan(R4, BASE, "ntriples"), output)
    writer = Writer(R4, BASE, syntax="ntriples", label="other")
    alone = b"".join(writer.write(line).text for line in head)
    assert graph(output.getvalue(), RdfFormat.N_TRIPLES) == graph(alone, RdfFormat.N_TRIPLES)


@pytest.mark.parametrize("dialect", [R4, R5, R6], ids=lambda dialect: dialect.release)
def test_a_bundle_of_many_blocks_is_the_graph_of_the_bundle_at_once(dialect: object) -> None:
    entries = b",".join(
        b'{"fullUrl": "%bPatient/p%d", "resource": {"resourceType": "Patient", "id": "p%d", "link": [{"other": '
        b'{"reference": "Patient/p%d"}}], "text": {"div": "%b"}}}' % (BASE.encode(), n, n, (n + 1) % 30, b"x" * 200_000)
        for n in range(30)
    )
    data = b'{"resourceType": "Bundle", "type": "collection", "entry": [%b], "total": 30}' % entries
    plan = Plan(dialect, BASE, "ntriples")  # type: ignore[arg-type]
    assert len(list(cut([("x", [data])], Limits()))) > 5
    output = io.BytesIO()
    done = convert([("x", [data])], plan, output)
    assert done.resources == 30
    whole = Writer(plan.dialect, BASE, syntax="ntriples").write(data)
    assert graph(output.getvalue(), RdfFormat.N_TRIPLES) == graph(whole.text, RdfFormat.N_TRIPLES)
    turtle = io.BytesIO()
    convert([("x", [data])], Plan(plan.dialect, BASE), turtle)
    assert graph(turtle.getvalue(), RdfFormat.TURTLE) == graph(whole.text, RdfFormat.N_TRIPLES)


def test_versions_in_a_large_history_are_told_apart(tmp_path: Path) -> None:
    entries = b",".join(
        b'{"fullUrl": "%bPatient/p", "resource": {"resourceType": "Patient", "id": "p", "meta": {"versionId": "%d"}, '
        b'"text": {"div": "%b"}}, "request": {"method": "PUT", "url": "Patient/p"}}'
        % (BASE.encode(), n, b"x" * 200_000)
        for n in range(30)
    )
    source = tmp_path / "history.json"
    source.write_bytes(b'{"resourceType": "Bundle", "type": "history", "entry": [%b]}' % entries)
    alone = texts(source, Plan(R4, BASE, "ntriples"))
    of_type = pyoxigraph.NamedNode("http://hl7.org/fhir/Patient")
    named = {quad.subject for quad in pyoxigraph.parse(alone, RdfFormat.N_TRIPLES) if quad.object == of_type}
    versions = {pyoxigraph.NamedNode(f"{BASE}Patient/p/_history/{n}") for n in range(1, 30)}
    assert named == {pyoxigraph.NamedNode(f"{BASE}Patient/p"), *versions}
    assert texts(source, Plan(R4, BASE, "ntriples"), workers=2) == alone
    with (tmp_path / "out").open("wb") as file:
        convert([("a", source), ("b", [b'{"resourceType": "Basic"}'])], Plan(R4, BASE, "ntriples"), file, workers=2)
    assert (tmp_path / "out").read_bytes().startswith(alone)


def test_a_bundle_that_is_not_large_is_written_at_once(persons: list[Path]) -> None:
    [block] = cut([("x", persons[0])], Limits())
    [piece] = block.pieces
    assert json.loads(piece.data) == json.loads(persons[0].read_bytes())
    parts = [Piece("bundle", b'{"a": 1}'), Piece("end", b'{"b": 2}')]
    assert [item.data for item in gather(parts)] == [b'{"a": 1, "entry": [], "b": 2}']


def test_quads_stand_in_their_graph(persons: list[Path]) -> None:
    text = texts(persons[0], Plan(R4, BASE, "ntriples", graph="https://example.org/g"))
    graphs = {quad.graph_name for quad in pyoxigraph.parse(text, RdfFormat.N_QUADS)}
    assert graphs == {pyoxigraph.NamedNode("https://example.org/g")}


def test_several_sources_follow_each_other(persons: list[Path]) -> None:
    output = io.BytesIO()
    done = convert([(path.name, path) for path in persons], Plan(R4, BASE), output)
    assert output.getvalue().count(b"@prefix fhir:") == 1
    assert done.resources == len(persons)
    dataset = pyoxigraph.Dataset(pyoxigraph.parse(output.getvalue(), RdfFormat.TURTLE))
    assert len(dataset) <= done.triples


def test_progress_is_told(lines: Path) -> None:
    said: list[tuple[int, int]] = []
    convert([("x", lines)], Plan(R4, BASE), io.BytesIO(), said=lambda taken, count: said.append((taken, count)))
    assert said == sorted(said)
    assert said[-1][0] == lines.stat().st_size


def test_a_base_that_is_none_or_reserved_writes_nothing(lines: Path) -> None:
    output = io.BytesIO()
    with pytest.raises(BaseMissing):
        convert([("x", lines)], Plan(R4, "example"), output)
    assert output.getvalue() == b""
    for workers in (1, 2):
        with pytest.raises(BaseReserved, match="hl7"):
            convert([("x", lines)], Plan(R4, "http://hl7.org/fhir/"), io.BytesIO(), workers=workers)


def test_rdf_is_read_back_and_put_into_other_clothes(persons: list[Path], tmp_path: Path) -> None:
    wanted = json.loads(persons[0].read_bytes())
    turtle = tmp_path / "a.ttl"
    turtle.write_bytes(texts(persons[0], Plan(R4, BASE)))
    output = io.BytesIO()
    done = read_files([("a.ttl", turtle.read_bytes(), RdfFormat.TURTLE)], output)
    assert (done.resources, json.loads(output.getvalue())) == (1, wanted)
    two = io.BytesIO()
    read_files([(name, turtle.read_bytes(), RdfFormat.TURTLE) for name in "ab"], two)
    assert [json.loads(line) for line in two.getvalue().splitlines()] == [wanted, wanted]
    dressed = tmp_path / "b.nt"
    with dressed.open("wb") as file:
        assert restyle_files([turtle], Plan(R5, BASE, "ntriples"), file).triples > 1000
    again = io.BytesIO()
    read_files([("b.nt", dressed.read_bytes(), RdfFormat.N_TRIPLES)], again)
    assert json.loads(again.getvalue()) == wanted


def test_a_type_that_the_release_does_not_know_stops_no_other(tmp_path: Path) -> None:
    turtle = tmp_path / "a.ttl"
    turtle.write_text(
        "@prefix fhir: <http://hl7.org/fhir/> .\n"
        '<urn:a:1> a fhir:Media ; fhir:nodeRole fhir:treeRoot ; fhir:id [ fhir:v "x" ] .\n'
        '<urn:a:2> a fhir:Patient ; fhir:nodeRole fhir:treeRoot ; fhir:id [ fhir:v "y" ] .\n',
        encoding="utf-8",
    )
    output = io.BytesIO()
    done = restyle_files([turtle], Plan(R5, BASE), output)
    assert done.resources == 1
    assert b"<urn:a:2> a fhir:Patient" in output.getvalue()
    [finding] = [item for item in done.findings if item.severity == "error"]
    assert "urn:a:1" in finding.message("fr")
    assert "Media" in finding.message("fr")


def test_threads_do_not_share_a_writer(lines: Path) -> None:
    plan = Plan(R4, BASE, "ntriples")
    rows = lines.read_bytes().splitlines(keepends=True)[:1000]
    blocks = [Block(n, "x", b"".join(rows[n * 25 : n * 25 + 25])) for n in range(40)]
    alone = [convert_block(plan, block) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(partial(convert_block, plan), blocks)) == alone


# ---- On other machines -----------------------------------------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler with two workers, as processes of their own."""
    where, running = tmp_path / "scheduler.json", []
    options = ["--host", "127.0.0.1", "--no-dashboard"]

    def start(*arguments: str) -> None:
        command = [sys.executable, "-m", *arguments, *options]
        running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    start("distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", str(where))
    deadline = time.monotonic() + 30
    while not where.is_file() or not where.read_text(encoding="utf-8").strip():
        assert running[0].poll() is None, "the scheduler did not start"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    address = json.loads(where.read_text(encoding="utf-8"))["address"]
    for _ in range(2):
        start("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny")
    yield address
    for process in running:
        process.terminate()
        process.wait()


def test_the_machines_of_a_cluster_write_the_same_bytes(scheduler: str, lines: Path, bundle: Path) -> None:
    plan = Plan(R4, BASE, "ntriples")
    for source in (lines, bundle):
        assert texts(source, plan, scheduler=scheduler) == texts(source, plan)
    with pytest.raises(BaseReserved):
        texts(lines, Plan(R4, "http://hl7.org/fhir/"), scheduler=scheduler)


def test_a_scheduler_that_is_none_is_a_sentence(persons: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequestField, match="scheduler"):
        make_executor(1, "localhost", io.BytesIO())
    monkeypatch.setattr(conversion_pool, "_CONNECT", 0.5)
    with pytest.raises(WorkersLost, match=r"tcp://127\.0\.0\.1:1"):
        texts(persons[0], Plan(R4, BASE), scheduler="tcp://127.0.0.1:1")
    monkeypatch.setattr(conversion_pool, "import_module", absent)
    with pytest.raises(MissingExtra, match="cluster"):
        texts(persons[0], Plan(R4, BASE), scheduler="tcp://127.0.0.1:1")


def absent(name: str) -> object:
    raise ImportError(name)
