"""Of a large run a specimen goes through SHACL: of those who were set aside too."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepr_kg.build import build
from pepr_kg.cohorts import bench_cohort
from pepr_kg.namespaces import COHORT, RUN
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.runs.reading import read_run
from pepr_kg.store import Dataset, Literal, NamedNode
from pepr_kg.validation import Report, validate_graphs
from pepr_kg.view import View
from tests.runs.clinic import renal


@pytest.mark.parametrize(("specimen", "seen"), [(5, 5), (None, 40)])
def test_outcomes_beyond_the_specimen_are_checked_as_a_set(tmp_path: Path, specimen: int | None, seen: int) -> None:
    dataset = Dataset(tmp_path / "data")
    build(dataset)
    with dataset.change(who="test", source="test") as change:
        change.bulk(b"".join(bench_cohort(40)), NamedNode(COHORT + "bench"))
        change.commit()
    found: list[int] = []

    def count(view: View, graphs: Sequence[NamedNode]) -> Report:
        outcomes = "SELECT ?o WHERE { GRAPH ?g { ?e <https://w3id.org/pepr-santenum/ontology/hasOutcome> ?o } }"
        found.append(len(view.select(outcomes).rows))
        return validate_graphs(view, graphs)

    # In 1990 nobody of the cohort had been observed yet.
    request = Request("score2", cohort="bench", as_of=datetime(1990, 1, 1, tzinfo=UTC))
    run = evaluate(dataset, request, specimen=specimen, validate=count)
    assert (run.evaluated, run.patients) == (0, 40)
    assert found == [seen]
    graph = NamedNode(RUN + run.id)
    outcome = NamedNode("https://w3id.org/pepr-santenum/ontology/EvaluationOutcome")
    assert sum(1 for _ in dataset.view().quads(None, None, outcome, graph)) == 40


class _Interrupted(Dataset):
    """A dataset whose writer is told to stop (Ctrl-C) at once after a version came into service."""

    before: str | None = None

    def view(self) -> View:
        if self.before is not None and self.current() != self.before:
            self.before = None
            raise KeyboardInterrupt
        return super().view()


def test_a_run_that_is_stopped_once_it_is_in_service_keeps_its_files(clinic: Dataset) -> None:
    dataset = _Interrupted(clinic.path)

    def arm(view: View, graphs: Sequence[NamedNode]) -> Report:
        dataset.before = dataset.current()
        return validate_graphs(view, graphs)

    with pytest.raises(KeyboardInterrupt):
        evaluate(dataset, renal(), validate=arm)
    run = evaluate(clinic, renal())
    assert run.reused
    assert (run.folder / "trajectories.parquet").is_file()


def test_who_asks_by_what_is_no_iri_is_named_by_it(clinic: Dataset) -> None:
    name = "https://a><https://b"
    run = evaluate(clinic, renal(who=name))
    asked = read_run(clinic.view(), clinic.path, run.id).asked_by
    label = NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
    assert [quad.object for quad in clinic.view().quads(NamedNode(asked), label)] == [Literal(name)]
