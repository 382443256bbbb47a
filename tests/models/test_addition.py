"""`model add`: any SBML file goes in whole or not at all, with its licence and publication, and can be corrected."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pyoxigraph import RdfFormat

from pepr_kg.errors import DatasetLocked, DatasetMissing, DatasetReadOnly, PeprError, ValidationRefused
from pepr_kg.models.addition import Added, add_model, added_quads
from pepr_kg.models.description import GRAPH, LEVEL
from pepr_kg.models.errors import ModelChanged, ModelNotAdded
from pepr_kg.models.registry import Registered, find_model, list_models, owned_triples
from pepr_kg.namespaces import ID
from pepr_kg.rdf import parse_bytes
from pepr_kg.resources import ontology_dir, read_query
from pepr_kg.store import Dataset, NamedNode, View
from pepr_kg.twin import evaluate
from pepr_kg.twin.errors import ModelUnreadable, ModelUnsupported
from pepr_kg.validation import validate_graphs
from tests.models.small_sbml import PUBLICATION, glucose

SHOW = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX prov: <http://www.w3.org/ns/prov#>
SELECT ?value WHERE { <https://w3id.org/pepr-santenum/id/model/glucose> %s ?value } ORDER BY ?value"""


def check(view: View) -> None:
    """The check that the command line hands in: the shapes and the quality queries."""
    report = validate_graphs(view, [GRAPH])
    if not report.conforms:
        raise ValidationRefused(violations=len(report.violations), report=report)


def unchecked(view: View) -> None:
    """For the tests whose subject is another."""
    assert view.graphs


def write(folder: Path, data: bytes, name: str = "glucose.xml") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def add(dataset: Dataset, path: Path, test: Callable[[View], None] = unchecked, **more: object) -> Added:
    return add_model(dataset, path, who="somebody", check=test, **more)  # type: ignore[arg-type]  # named as they are


def values(view: View, path: str) -> list[str]:
    return [row["value"].value.removeprefix(ID) for row in view.select(SHOW % path).iter_dicts()]


def state(dataset: Dataset) -> tuple[str, list[str]]:
    """What a refusal must not change: the version in service, and the files beside it."""
    folder = dataset.path / "models"
    return dataset.view().version, sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_file_goes_in_with_all_that_it_says_and_passes_the_shapes(own: Dataset, tmp_path: Path) -> None:
    added = add(
        own, write(tmp_path, glucose()), check, label={"fr": "Consommation du glucose", "en": "Use of glucose"},
        project="project:digphat", levels=["organ-system", "level:organ"], time_scales=["minute"],
    )  # fmt: skip
    assert (added.name, added.outcome, added.earlier) == ("glucose", "added", None)
    assert (added.elements, added.events, added.without_unit) == (10, 1, ("factor", "given"))
    assert added.path.read_bytes() == glucose()
    assert values(added.view, "rdfs:label") == ["Consommation du glucose", "Use of glucose"]
    assert values(added.view, "dcterms:license") == ["http://creativecommons.org/publicdomain/zero/1.0/"]
    assert values(added.view, "pepr:describedIn/pepr:website") == ["https://doi.org/10.1000/demo"]
    assert values(added.view, "pepr:standsFor") == ["project/digphat"]
    assert values(added.view, "pepr:hasLevel") == ["level/organ", "level/organ-system"]
    assert own.view().manifest.who == "somebody"
    found = find_model(own.view(), "glucose", own.path)
    assert isinstance(found, Registered)
    assert found.digest == added.digest
    assert found.required == ("given",)
    result = evaluate(found.model, {"given": 1.0}, times=[0.0, 30.0], outputs=["glucose"])
    assert result.values("glucose").ravel().tolist() == pytest.approx([5.5, 5.5 * 2.718281828459045**-1.5])


def test_the_same_file_again_is_said_and_nothing_changes(own: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, glucose())
    add(own, path, label={"fr": "Glucose", "en": "Glucose"})
    before = state(own)
    again = add(own, path)
    assert (again.outcome, state(own)) == ("unchanged", before)
    assert again.message("en") == "model:glucose is there already, from the same file; nothing was changed."
    assert "rien n’a changé" in again.message("fr")
    again.path.unlink()
    assert add(own, path).outcome == "restored"
    assert (again.path.read_bytes(), state(own)) == (glucose(), before)


def test_other_words_for_the_same_file_replace_those_before(own: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, glucose())
    add(own, path, levels=["organ"], publication="10.1000/other")
    again = add(own, path, levels=["cell"], licence="CC-BY-4.0", label={"fr": "Usage du glucose"})
    assert again.outcome == "described"
    assert values(again.view, "rdfs:label") == ["Usage du glucose", "Use of glucose"]
    assert values(again.view, "pepr:hasLevel") == ["level/cell"]
    assert values(again.view, "dcterms:license") == ["https://creativecommons.org/licenses/by/4.0/"]
    assert values(again.view, "pepr:describedIn/pepr:website") == ["https://doi.org/10.1000/other"]


def test_another_file_under_the_name_is_a_correction(own: Dataset, tmp_path: Path) -> None:
    first = add(own, write(tmp_path, glucose()), label={"fr": "Glucose", "en": "Glucose"}, levels=["organ"])
    with own.change(who="test", source="by hand") as change:
        said = f"""<{ID}parameter/glucose.k> <https://w3id.org/pepr-santenum/ontology/upperBound> 1.0 ;
            <https://w3id.org/pepr-santenum/ontology/hasParameterLevel> <{ID}parameter-level/individual> ."""
        change.add(parse_bytes(said.encode(), RdfFormat.TURTLE, GRAPH, "by hand"))
        change.commit()
    second = add(own, write(tmp_path, glucose(k="0.07")), check)
    assert (second.outcome, second.earlier) == ("corrected", first.digest)
    assert all(first.digest in second.message(lang) and second.digest in second.message(lang) for lang in ("en", "fr"))
    assert values(second.view, "pepr:contentDigest") == [second.digest]
    assert values(second.view, "rdfs:label") == ["Glucose", "Glucose"]
    assert values(second.view, "pepr:hasLevel") == ["level/organ"]
    # The version before stands for itself, with its file.
    assert values(second.view, "prov:wasRevisionOf/pepr:contentDigest") == [first.digest]
    kept = values(second.view, "prov:wasRevisionOf/pepr:modelFile")
    assert (own.path / "models" / kept[0]).read_bytes() == glucose()
    # What was written by hand stays; what the file says is new.
    found = find_model(second.view, "glucose", own.path)
    assert isinstance(found, Registered)
    assert found.model.variable("k").bounds[1] == 1.0
    assert {item.symbol: item.value for item in found.model.parameters}["k"] == 0.07
    triples = owned_triples(second.view, "glucose")
    node = NamedNode(f"{ID}parameter/glucose.k")
    levels = [item for item in triples if item.predicate == LEVEL and item.subject == node]
    assert [str(item.object) for item in levels] == [f"<{ID}parameter-level/individual>"]
    third = add(own, write(tmp_path, glucose(k="0.09")), check)
    assert values(third.view, "prov:wasRevisionOf+/pepr:contentDigest") == sorted([first.digest, second.digest])
    assert len(list((own.path / "models").iterdir())) == 3
    back = add(own, write(tmp_path, glucose()), check)
    assert (back.outcome, back.digest, back.earlier) == ("corrected", first.digest, third.digest)


def test_a_file_that_somebody_changed_is_registered_by_adding_it(own: Dataset, tmp_path: Path) -> None:
    path = add(own, write(tmp_path, glucose())).path
    path.write_bytes(glucose(k="0.07"))
    with pytest.raises(ModelChanged):
        find_model(own.view(), "glucose", own.path)
    added = add(own, path, name="glucose")
    assert added.outcome == "corrected"
    assert isinstance(find_model(own.view(), "glucose", own.path), Registered)
    assert sorted(item.name for item in (own.path / "models").iterdir()) == ["glucose.xml"]


def test_a_symbol_that_is_gone_is_not_forgotten_in_silence(own: Dataset, tmp_path: Path) -> None:
    more = '<parameter id="extra" value="1" constant="true"/>'
    add(own, write(tmp_path, glucose(more=more)))
    gone = add(own, write(tmp_path, glucose()))
    assert not [item for item in owned_triples(gone.view, "glucose") if "extra" in str(item.subject)]
    add(own, write(tmp_path, glucose(more=more)))
    with own.change(who="test", source="by hand") as change:
        said = f"<{ID}parameter/glucose.extra> <https://w3id.org/pepr-santenum/ontology/upperBound> 1.0 ."
        change.add(parse_bytes(said.encode(), RdfFormat.TURTLE, GRAPH, "by hand"))
        change.commit()
    before = state(own)
    with pytest.raises(ModelNotAdded, match="extra"):
        add(own, write(tmp_path, glucose()))
    assert state(own) == before


REFUSALS = [
    (glucose(licence=""), {}, "--licence"),
    (glucose(publication=""), {}, "--publication"),
    (glucose(), {"publication": "a book of mine"}, "a book of mine"),
    (glucose(), {"licence": "do as you like"}, "do as you like"),
    (glucose(), {"project": "digphatt"}, "project:digphat"),
    (glucose(), {"levels": ["organs"]}, "level:organ"),
    (glucose(), {"time_scales": ["level:organ"]}, "level:organ"),
    (glucose(), {"name": "Glucose"}, "--name"),
    (glucose(), {"name": "a.b"}, "--name"),
    (glucose(), {"name": "score2"}, "score2"),
    (glucose(), {"name": "heart-over-years"}, "--name"),
]


@pytest.mark.parametrize(("data", "said", "word"), REFUSALS)
def test_a_refusal_is_a_sentence_and_leaves_nothing_behind(
    own: Dataset, tmp_path: Path, data: bytes, said: dict[str, object], word: str
) -> None:
    before = state(own)
    with pytest.raises(ModelNotAdded) as error:
        add(own, write(tmp_path, data), unchecked, **said)
    for lang in ("en", "fr"):
        assert word in error.value.message(lang)
    assert state(own) == before


@pytest.mark.parametrize("case", ["01187", "01190", "01195", "01606"])
def test_what_is_not_evaluated_is_refused_by_name(own: Dataset, shared: Path, case: str) -> None:
    (path,) = (shared / "sbml-test-suite" / "cases" / case).glob("*-sbml-l3v2.xml")
    before = state(own)
    with pytest.raises(ModelUnsupported) as error:
        add(own, path, publication="10.1000/x", licence="MIT")
    assert "fbc" in error.value.message("fr")
    assert state(own) == before


def test_a_file_that_is_none_and_one_in_parts_are_refused(own: Dataset, shared: Path, tmp_path: Path) -> None:
    before = state(own)
    with pytest.raises(ModelUnreadable):
        add(own, write(tmp_path, b"<html/>"))
    with pytest.raises(ModelUnreadable):
        add(own, tmp_path / "nowhere.xml")
    (path,) = (shared / "sbml-test-suite" / "cases" / "01778").glob("*-sbml-l3v2.xml")
    with pytest.raises(ModelNotAdded) as error:
        add(own, path, publication="10.1000/x", licence="MIT")
    assert "aplatissement" in error.value.message("fr")
    assert state(own) == before


def test_what_the_shapes_refuse_leaves_neither_triples_nor_file(own: Dataset, tmp_path: Path) -> None:
    def refuse(view: View) -> None:
        assert list(view.quads(NamedNode(f"{ID}model/glucose")))
        raise ValidationRefused(violations=1, report=None)

    before = state(own)
    with pytest.raises(ValidationRefused):
        add(own, write(tmp_path, glucose()), refuse)
    assert state(own)[0] == before[0]
    assert state(own)[1] == []
    add(own, write(tmp_path, glucose()))
    before = state(own)
    with pytest.raises(ValidationRefused):
        add(own, write(tmp_path, glucose(k="0.07")), refuse)
    assert state(own) == before
    assert isinstance(find_model(own.view(), "glucose", own.path), Registered)


def test_two_at_once_and_no_dataset_and_no_room(own: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, glucose())
    entered, leave = threading.Event(), threading.Event()
    first: list[Added] = []

    def slow(view: View) -> None:
        entered.set()
        assert leave.wait(30)

    thread = threading.Thread(target=lambda: first.append(add(own, path, slow)))
    thread.start()
    assert entered.wait(30)
    with pytest.raises(DatasetLocked):
        add(Dataset(own.path), path)
    leave.set()
    thread.join()
    assert first[0].path.read_bytes() == glucose()
    with pytest.raises(DatasetMissing):
        add(Dataset(tmp_path / "nothing"), path)
    assert not (tmp_path / "nothing").exists()
    blocked = own.path / "models"
    for item in blocked.iterdir():
        item.unlink()
    blocked.rmdir()
    blocked.write_text("no folder", encoding="utf-8")
    with pytest.raises(DatasetReadOnly):
        add(own, path, levels=["cell"])


def test_a_publication_that_the_graph_has_is_linked_and_not_described_twice(own: Dataset, tmp_path: Path) -> None:
    by_doi = add(own, write(tmp_path, glucose()), name="one", publication="https://doi.org/10.1093/EURHEARTJ/ehab309")
    assert by_doi.publications == (f"{ID}document/score2-2021",)
    by_name = add(own, write(tmp_path, glucose(k="0.1")), name="two", publication="document:score2-2021")
    assert by_name.publications == by_doi.publications
    by_urn = add(own, write(tmp_path, glucose(k="0.2")), name="three", publication="urn:miriam:pubmed:1413261")
    assert by_urn.publications == (f"{ID}document/identifiers-org-pubmed-1413261",)
    with pytest.raises(ModelNotAdded):
        add(own, write(tmp_path, glucose()), name="four", publication="document:no-such-thing")


def test_several_publications_of_a_file_are_all_kept(own: Dataset, tmp_path: Path) -> None:
    second = PUBLICATION.replace("</rdf:Bag>", '<rdf:li rdf:resource="urn:miriam:pubmed:1413261"/></rdf:Bag>')
    added = add(own, write(tmp_path, glucose(publication=second)))
    assert len(added.publications) == 2


CASES = ("00071", "00801", "00936", "00969", "01105", "00972", "00984", "00405", "00028", "00952", "00981", "01228")


def test_a_dozen_files_of_the_suite_go_in_and_pass_the_shapes(own: Dataset, shared: Path) -> None:
    folder = shared / "sbml-test-suite" / "cases"
    paths = [path for case in CASES for path in sorted((folder / case).glob("*-sbml-l3v2.xml"))]
    assert len(paths) >= 10
    for at, path in enumerate(paths):
        last = at == len(paths) - 1
        add(own, path, check if last else unchecked, publication="10.1000/suite", licence="CC0-1.0")
    names = {item.name for item in list_models(own.view())}
    assert {path.stem for path in paths} <= names
    for path in paths:
        found = find_model(own.view(), path.stem, own.path)
        assert isinstance(found, Registered)
        assert found.licence == "https://creativecommons.org/publicdomain/zero/1.0/"


def test_a_build_keeps_what_was_added_and_nothing_of_its_own(own: Dataset, tmp_path: Path) -> None:
    assert added_quads(own.view()) == []
    add(own, write(tmp_path, glucose()))
    kept = added_quads(own.view())
    assert {quad.graph_name for quad in kept} == {GRAPH}
    with own.change(who="test", source="as a build") as change:
        change.clear(GRAPH)
        change.add(kept)
        view = change.commit()
    assert isinstance(find_model(view, "glucose", own.path), Registered)
    assert values(view, "pepr:describedIn/pepr:hasIdentifier/pepr:identifierValue") == ["10.1000/demo"]
    assert [item.name for item in list_models(view)] == ["glucose"]


def test_no_stored_question_is_made_of_the_queries_of_this_room() -> None:
    names = sorted(path.stem for path in (ontology_dir().parent / "queries" / "models").glob("*.rq"))
    assert names
    assert all("SELECT" in read_query(f"models/{name}") for name in names)
    assert issubclass(ModelNotAdded, PeprError)
