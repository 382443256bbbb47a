"""Of a large run a specimen goes through SHACL: of those who were set aside too."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepr_kg.build import build
from pepr_kg.cohorts import bench_cohort
from pepr_kg.namespaces import COHORT, RUN
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.validation import Report, validate_graphs
from pepr_kg.view import View


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
