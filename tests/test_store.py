import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepr_kg.errors import (
    DatasetDamaged,
    DatasetLocked,
    DatasetMissing,
    DatasetReadOnly,
    DatasetTooNew,
    DataSyntaxError,
    DataUnreadable,
    QuerySyntaxError,
    UnknownFormat,
    UnsupportedData,
)
from pepr_kg.rdf import content_digest, parse_bytes
from pepr_kg.store import Dataset, Literal, NamedNode, Quad, RdfFormat, View, parse_file

GRAPH = NamedNode("urn:example:graph")
P = NamedNode("urn:example:p")


def quad(subject: str, value: int, graph: NamedNode = GRAPH) -> Quad:
    return Quad(NamedNode(f"urn:example:{subject}"), P, Literal(value), graph)


def fill(dataset: Dataset, *quads: Quad) -> View:
    with dataset.change(who="test", source="test") as change:
        change.add(quads)
        return change.commit()


def test_a_committed_change_is_seen_and_the_old_view_keeps_its_version(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    first = fill(dataset, quad("a", 1))
    second = fill(dataset, quad("b", 2))
    assert len(list(first.triples())) == 1
    assert len(list(second.triples())) == 2
    assert dataset.view() is second
    assert second.counts() == {GRAPH.value: 2}


def test_a_change_that_its_check_refuses_leaves_no_trace(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1))

    def refuse(view: View) -> None:
        assert view.ask("ASK { <urn:example:b> ?p ?o }"), "the check sees the change"
        raise ValueError("no")

    with dataset.change(who="test", source="test") as change:
        change.add([quad("b", 2)])
        with pytest.raises(ValueError, match="no"):
            change.commit(refuse)
    assert dataset.view() is before
    assert len(list((dataset.path / "versions").iterdir())) == 1


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    with dataset.change(who="one", source="test"), pytest.raises(DatasetLocked):
        Dataset(tmp_path / "data").change(who="two", source="test")


def test_the_digest_depends_on_content_alone(tmp_path: Path) -> None:
    one = fill(Dataset(tmp_path / "one"), quad("a", 1), quad("b", 2))
    dataset = Dataset(tmp_path / "two")
    fill(dataset, quad("b", 2), quad("c", 3))
    with dataset.change(who="test", source="test") as change:
        change.add([quad("a", 1), quad("b", 2)])
        assert change.remove([quad("c", 3), quad("d", 4)]) == 1
        assert change.commit().version == one.version


def test_the_digest_is_of_what_is_stored_not_of_how_it_was_written(tmp_path: Path) -> None:
    decimal = NamedNode("http://www.w3.org/2001/XMLSchema#decimal")
    written = [Quad(P, P, Literal(text, datatype=decimal), GRAPH) for text in ("5.50", "5.5")]
    versions = {fill(Dataset(tmp_path / str(index)), item).version for index, item in enumerate(written)}
    assert len(versions) == 1


@given(st.lists(st.integers(0, 50), unique=True), st.lists(st.integers(0, 50), unique=True))
def test_the_digest_of_a_union_is_the_sum(left: list[int], right: list[int]) -> None:
    right = [value for value in right if value not in left]
    both = content_digest([quad("x", value) for value in left + right])
    start = f"{content_digest([quad('x', value) for value in left]):x}"
    assert content_digest([quad("x", value) for value in reversed(right)], start) == both


def test_an_unused_version_is_deleted_and_one_in_use_is_not(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    held = fill(dataset, quad("a", 1))
    fill(dataset, quad("b", 2))
    fill(dataset, quad("c", 3))
    names = {path.name for path in (dataset.path / "versions").iterdir()}
    assert {held.path.name, dataset.current()} <= names
    assert held.select("SELECT ?s WHERE { ?s ?p ?o }").rows


def test_a_killed_writer_leaves_the_old_dataset_in_service(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1)).version
    program = """
        import os, signal, sys
        from pathlib import Path
        from pepr_kg.store import Dataset, Literal, NamedNode, Quad
        change = Dataset(Path(sys.argv[1])).change(who="victim", source="test")
        change.add([Quad(NamedNode("urn:x"), NamedNode("urn:p"), Literal(1), NamedNode("urn:g"))])
        change.commit(lambda view: os.kill(os.getpid(), signal.SIGKILL))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(dataset.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Dataset(dataset.path).view().version == before
    fill(dataset, quad("b", 2))
    assert not (dataset.path / "versions" / "making").exists()


def test_a_view_of_some_graphs_shows_nothing_of_the_others(tmp_path: Path) -> None:
    secret = NamedNode("urn:example:secret")
    whole = fill(Dataset(tmp_path / "data"), quad("a", 1), quad("b", 2, secret))
    view = View.open(whole.path, [GRAPH])
    everything = "SELECT ?s WHERE { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"
    named = "SELECT ?s FROM <urn:example:secret> WHERE { ?s ?p ?o }"
    assert {row[0] for row in view.select(everything).rows} == {NamedNode("urn:example:a")}
    assert NamedNode("urn:example:b") not in {row[0] for row in view.select(named).rows}
    types = {"solutions": "text/csv", "boolean": "text/csv", "triples": "text/turtle"}
    assert b"b" not in view.answer(named, types, dataset_in_text=True).body.split(b"\r\n", 1)[1]  # type: ignore[arg-type]
    asked = view.answer("SELECT ?s { ?s ?p ?o }", types, default_graphs=[secret.value])  # type: ignore[arg-type]
    assert asked.body == b"s\r\n"
    assert not list(view.quads(graph=secret))


def test_equal_triples_of_two_graphs_are_one_triple(tmp_path: Path) -> None:
    view = fill(Dataset(tmp_path / "data"), quad("a", 1), quad("a", 1, NamedNode("urn:example:other")))
    assert len(list(view.triples())) == 1
    assert len(list(view.quads())) == 2


@pytest.mark.parametrize("kind", [RdfFormat.TRIG, RdfFormat.N_QUADS, RdfFormat.JSON_LD])
def test_a_dump_reads_back_as_the_same_quads(tmp_path: Path, kind: RdfFormat) -> None:
    view = fill(Dataset(tmp_path / "data"), quad("a", 1), quad("b", 2, NamedNode("urn:example:other")))
    assert set(parse_bytes(view.dump(kind), kind, GRAPH, "dump")) == set(view.quads())


FILES = {
    "a.ttl": "<urn:example:a> <urn:example:p> 1 .",
    "a.nt": '<urn:example:a> <urn:example:p> "1"^^<http://www.w3.org/2001/XMLSchema#integer> .',
    "a.nq": '<urn:example:a> <urn:example:p> "1"^^<http://www.w3.org/2001/XMLSchema#integer> <urn:example:graph> .',
    "a.trig": "<urn:example:graph> { <urn:example:a> <urn:example:p> 1 }",
    "a.jsonld": '{"@id": "urn:example:a", "urn:example:p": 1}',
    "a.rdf": '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="urn:example:">'
    '<rdf:Description rdf:about="urn:example:a"><e:p rdf:datatype="http://www.w3.org/2001/XMLSchema#integer">1</e:p>'
    "</rdf:Description></rdf:RDF>",
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_quad(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    assert parse_file(path, GRAPH) == [quad("a", 1)]


def test_blank_nodes_are_named_by_the_file(tmp_path: Path) -> None:
    data = b"[] <urn:p> [ <urn:q> 1 ] ."
    once, again = (parse_bytes(data, RdfFormat.TURTLE, GRAPH, "x") for _ in range(2))
    other = parse_bytes(data + b" ", RdfFormat.TURTLE, GRAPH, "x")
    assert once == again
    assert not {item.subject for item in once} & {item.subject for item in other}


def test_a_syntax_error_names_file_line_and_column_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "broken.ttl"
    path.write_text("@prefix a: <urn:a:> .\na:b a:c ;\n  d:x 3 .\n", encoding="utf-8")
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1))
    with dataset.change(who="test", source="test") as change, pytest.raises(DataSyntaxError) as caught:
        change.load(path, GRAPH)
    assert str(path) in str(caught.value)
    assert "line 2, column 9" in str(caught.value)
    assert "ligne 2, colonne 9" in caught.value.message("fr")
    assert dataset.view() is before


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match=r"\.ttl"):
        parse_file(tmp_path / "a.docx", GRAPH)
    with pytest.raises(DataUnreadable, match="No such file"):
        parse_file(tmp_path / "a.ttl", GRAPH)
    (tmp_path / "latin.ttl").write_bytes('<urn:a> <urn:b> "\xe9" .'.encode("latin-1"))
    with pytest.raises(DataSyntaxError):
        parse_file(tmp_path / "latin.ttl", GRAPH)


def test_sparql_syntax_error_has_its_place(view: View) -> None:
    with pytest.raises(QuerySyntaxError, match="line 2, column 6"):
        view.select("SELECT * {\n ?s }")


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="pepr-kg build"):
        Dataset(tmp_path).view()


@pytest.mark.parametrize("pointer", [b"nowhere\n", b"\xff\xfe", b"../../etc\n", b"a\0b"])
def test_a_pointer_that_names_no_version_is_said_and_nothing_is_deleted(tmp_path: Path, pointer: bytes) -> None:
    dataset = Dataset(tmp_path)
    kept = fill(dataset, quad("a", 1)).path
    (tmp_path / "CURRENT").write_bytes(pointer)
    with pytest.raises(DatasetDamaged, match="Move the folder aside"):
        Dataset(tmp_path).change(who="test", source="test")
    assert kept.is_dir()


@pytest.mark.parametrize("lost", ["empty", "absent"])
def test_without_its_pointer_the_newest_whole_version_is_in_service(tmp_path: Path, lost: str) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, quad("a", 1))
    newest = fill(dataset, quad("b", 2)).version
    if lost == "empty":
        (tmp_path / "CURRENT").write_text("")
    else:
        (tmp_path / "CURRENT").unlink()
    assert Dataset(tmp_path).view().version == newest
    assert len(list(fill(Dataset(tmp_path), quad("c", 3)).triples())) == 3


def test_nothing_but_versions_is_ever_deleted(tmp_path: Path) -> None:
    (tmp_path / "versions" / "mine").mkdir(parents=True)
    (tmp_path / "versions" / "mine" / "thesis.txt").write_text("ours")
    (tmp_path / "versions" / "stray").write_text("a file")
    for number in range(3):
        fill(Dataset(tmp_path), quad("a", number))
    assert (tmp_path / "versions" / "mine" / "thesis.txt").read_text() == "ours"
    assert (tmp_path / "versions" / "stray").is_file()


def test_a_damaged_database_is_said_with_the_datasets_folder(tmp_path: Path) -> None:
    path = fill(Dataset(tmp_path), quad("a", 1)).path
    for file in (path / "store").glob("MANIFEST*"):
        file.write_bytes(b"broken")
    with pytest.raises(DatasetDamaged) as caught:
        Dataset(tmp_path).view()
    assert caught.value.details["path"] == tmp_path


def test_a_reader_whose_version_is_replaced_meanwhile_gets_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = Dataset(tmp_path), Dataset(tmp_path)
    fill(writer, quad("a", 1))
    names = iter([writer.current()])
    after = fill(writer, quad("b", 2)).version
    fill(writer)  # deletes the first version
    real = Dataset.current
    monkeypatch.setattr(reader, "current", lambda: next(names, None) or real(reader), raising=False)
    assert reader.view().version == after


def test_a_view_with_more_quads_writes_nothing(tmp_path: Path) -> None:
    view = fill(Dataset(tmp_path), quad("a", 1))
    assert len(list(view.plus([quad("b", 2)]).triples())) == 2
    assert len(list(view.triples())) == 1
    assert len(list((tmp_path / "versions").iterdir())) == 1


def test_removing_is_of_what_is_stored_and_counts_once(tmp_path: Path) -> None:
    decimal = NamedNode("http://www.w3.org/2001/XMLSchema#decimal")
    written = Quad(P, P, Literal("5.50", datatype=decimal), GRAPH)
    empty = fill(Dataset(tmp_path / "empty")).version
    with Dataset(tmp_path / "data").change(who="test", source="test") as change:
        change.add([written])
        assert change.remove([written, written]) == 1
        assert change.commit().version == empty


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    program = """
        import resource, signal, sys
        from pathlib import Path
        from pepr_kg.errors import DatasetReadOnly
        from pepr_kg.store import Dataset, Literal, NamedNode, Quad
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        node = NamedNode("urn:x")
        try:
            with Dataset(Path(sys.argv[1])).change(who="test", source="test") as change:
                change.add([Quad(node, node, Literal(str(number) * 40), node) for number in range(5000)])
                change.commit()
        except DatasetReadOnly as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "data")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "cannot be written" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("graph.trig", "_:g { <urn:a> <urn:p> 1 }"),
        ("term.ttl", "<urn:a> <urn:p> <<( <urn:b> <urn:p> 1 )>> ."),
    ],
)
def test_what_the_shapes_could_not_see_is_not_taken_in(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UnsupportedData, match=name) as caught:
        parse_file(tmp_path / name, GRAPH)
    assert "Rien n’a été modifié" in caught.value.message("fr")


def test_a_relative_iri_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "relative.ttl").write_text("<urn:a> <urn:p> <#c> .", encoding="utf-8")
    with pytest.raises(DataSyntaxError, match="line 1, column"):
        parse_file(tmp_path / "relative.ttl", GRAPH)


def test_a_dataset_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    manifest = fill(dataset, quad("a", 1)).path / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"format": 1', '"format": 99'), encoding="utf-8")
    with pytest.raises(DatasetTooNew, match="99"):
        Dataset(tmp_path).view()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    with pytest.raises(DatasetReadOnly, match="cannot be written"):
        Dataset(blocked).change(who="test", source="test")
    if os.geteuid():  # root writes everywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(DatasetReadOnly):
            Dataset(closed / "data").change(who="test", source="test")


LINE = b'<urn:example:%s> <urn:example:p> "%d"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'


def test_a_bulk_document_is_in_the_graph_counted_and_makes_a_new_version(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1))
    with dataset.change(who="test", source="test") as change:
        assert change.bulk(LINE % (b"a", 1) + LINE % (b"b", 2), GRAPH) == 1
        view = change.commit()
    assert view.counts() == {GRAPH.value: 2}
    assert view.version != before.version
    assert view.ask("ASK { <urn:example:b> <urn:example:p> 2 }")


def test_a_bulk_document_that_brings_nothing_changes_no_version(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1))
    with dataset.change(who="test", source="test") as change:
        assert change.bulk(LINE % (b"a", 1), GRAPH) == 0
        assert change.commit().version == before.version


def test_a_bulk_file_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "lines.nt"
    path.write_bytes(LINE % (b"b", 2))
    versions = []
    for name, document in (("file", path), ("bytes", path.read_bytes())):
        with Dataset(tmp_path / name).change(who="test", source="test") as change:
            change.bulk(document, GRAPH)
            versions.append(change.commit().version)
    assert versions[0] == versions[1]


def test_a_broken_bulk_document_is_a_sentence_and_leaves_no_trace(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    before = fill(dataset, quad("a", 1))
    with pytest.raises(DataSyntaxError) as caught, dataset.change(who="test", source="test") as change:
        change.bulk(LINE % (b"b", 2) + b"<urn:broken\n", GRAPH)
    assert caught.value.details["line"] == 2
    assert dataset.view() is before


def test_counts_follow_what_is_added_removed_and_cleared(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "data")
    other = NamedNode("urn:example:other")
    fill(dataset, quad("a", 1), quad("b", 2), quad("a", 1, other))
    with dataset.change(who="test", source="test") as change:
        change.bulk(LINE % (b"c", 3), GRAPH)
        change.remove([quad("a", 1), quad("z", 9)])
        change.clear(other)
        view = change.commit()
    assert view.counts() == {GRAPH.value: 2}
    assert [graph.value for graph in view.graphs] == [GRAPH.value]
