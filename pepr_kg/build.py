"""Build the dataset from the files that ship with the program, and the report of what was done.

The ontology, the shapes and the programme's facts each become one named graph; graphs that
a user loaded stay as they are. What the build read is remembered as a digest, so that a
second start knows whether anything must be built again.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pepr_kg.errors import ValidationRefused
from pepr_kg.models.addition import added_quads
from pepr_kg.models.description import describe_builtin
from pepr_kg.namespaces import MODELS_GRAPH, ONTOLOGY_GRAPH, PROGRAMME_GRAPH, SHAPES_GRAPH
from pepr_kg.resources import ontology_dir, queries_dir, shapes_dir
from pepr_kg.store import Dataset, NamedNode, Quad, View, parse_file
from pepr_kg.validation import Report, validate_graphs


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did: the view of the new version, the validation's report, and seconds."""

    view: View
    report: Report
    seconds: float


def sources() -> dict[str, list[Path]]:
    """Return the files of each built graph, by the graph's IRI, in a stable order."""
    ontology = ontology_dir()
    facts = sorted((ontology / "facts").glob("*.ttl"))
    models = sorted((ontology / "models").glob("*.ttl"))
    terms = sorted([*ontology.glob("*.ttl"), *(ontology / "external").glob("*.ttl")])
    return {
        ONTOLOGY_GRAPH: terms,
        SHAPES_GRAPH: sorted(shapes_dir().glob("*.ttl")),
        PROGRAMME_GRAPH: facts,
        MODELS_GRAPH: models,
    }


def inputs_digest() -> str:
    """Return the digest of everything that a build reads: graphs' files, models and quality queries."""
    digest = hashlib.sha256()
    checks = sorted((queries_dir() / "quality").glob("*.rq"))
    models = sorted((ontology_dir() / "models").glob("*.xml"))
    for path in [*(path for paths in sources().values() for path in paths), *models, *checks]:
        digest.update("/".join(path.parts[-2:]).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(dataset: Dataset) -> bool:
    """Return whether the dataset in the folder was built from today's files."""
    return dataset.current() is not None and dataset.view().manifest.inputs == inputs_digest()


def build(dataset: Dataset, tell: Callable[[str, object], None] = lambda _key, _value: None) -> Built:
    """Build, validate and put in service the graphs of the program's own files.

    What `model add` brought stays in the graph of models; the graphs that users loaded stay as they are.

    `tell(step, value)` is called as the work goes on. Raises `DataSyntaxError` for a broken
    file and `ValidationRefused` when a shape is violated; the dataset in service then stays.
    """
    started = time.perf_counter()
    inputs = inputs_digest()
    reports: list[Report] = []

    def check(view: View) -> None:
        tell("validate", len(view.graphs))
        report = validate_graphs(view, [NamedNode(graph) for graph in sources() if graph != SHAPES_GRAPH])
        reports.append(report)
        if not report.conforms:
            raise ValidationRefused(violations=len(report.violations), report=report)

    with dataset.change(who="pepr-kg build", source="ontology/ shapes/", inputs=inputs) as change:
        quads: list[Quad] = describe_builtin()
        if dataset.current() is not None:
            quads += added_quads(dataset.view())
        for graph, paths in sources().items():
            change.clear(NamedNode(graph))
            for path in paths:
                tell("load", path.name)
                quads += parse_file(path, NamedNode(graph))
        change.add(quads)  # at once: each addition costs the database a flush
        view = change.commit(check)
    return Built(view, reports[0], time.perf_counter() - started)
