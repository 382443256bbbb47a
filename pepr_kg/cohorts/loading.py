"""Put a cohort into a dataset: one change, checked by the shapes, and nothing at all where it already stands there.

A cohort has a graph of its own, `graph/cohort/NAME`. The digest of its content stands there, so that the same content
is known again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pepr_kg.cohorts.demo import DEMO_SEED, demo_cohort
from pepr_kg.cohorts.description import Cohort
from pepr_kg.cohorts.published import published_cohort
from pepr_kg.errors import ValidationRefused
from pepr_kg.namespaces import COHORT, expand
from pepr_kg.store import Dataset, Literal, NamedNode, View
from pepr_kg.validation import Report, validate_graphs

DEMO_PATIENTS: Final = 1000
Tell: TypeAlias = Callable[[str, object], None]  # a step ("draw", "load", "validate") and of how much


def _silent(_step: str, _much: object) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What loading did: the `view` of the version in service, the cohort's `graph` and its counts.

    `changed` is False where the same content stood there already; there is a `report` only of what was checked now.
    """

    view: View
    graph: NamedNode
    patients: int
    observations: int
    administrations: int
    triples: int
    changed: bool
    report: Report | None


def load_demo(
    dataset: Dataset,
    patients: int = DEMO_PATIENTS,
    seed: int = DEMO_SEED,
    who: str = "pepr-kg demo",
    tell: Tell = _silent,
) -> Loaded:
    """Put the demonstration cohort into a dataset, in place of an earlier one; `tell` hears of each step.

    Raises `EmptyCohort`, `ValidationRefused`, and what `Dataset.change` raises; the dataset then stays as it was.
    """
    tell("draw", patients)
    return load_cohort(dataset, demo_cohort(patients, seed), who, tell)


def load_published(dataset: Dataset, name: str, who: str = "pepr-kg demo", tell: Tell = _silent) -> Loaded:
    """Put a published cohort, `theophylline` or `warfarin`, into a dataset. Raises `UnknownPublication`, and what
    `load_demo` raises.
    """
    return load_cohort(dataset, published_cohort(name), who, tell)


def load_cohort(dataset: Dataset, cohort: Cohort, who: str, tell: Tell = _silent) -> Loaded:
    """Put a cohort into its graph, in place of what stood there. Raises `ValidationRefused`, and what
    `Dataset.change` raises.
    """
    graph = NamedNode(COHORT + cohort.name)
    before = dataset.view() if dataset.current() is not None else None
    counts = (cohort.patients, cohort.observations, cohort.administrations)
    if before is not None and _digest(before, cohort.name) == cohort.digest:
        return Loaded(before, graph, *counts, before.manifest.graphs.get(graph.value, 0), False, None)
    reports: list[Report] = []

    def check(view: View) -> None:
        tell("validate", triples)
        report = validate_graphs(view, [graph])
        reports.append(report)
        if not report.conforms:
            raise ValidationRefused(violations=len(report.violations), report=report)

    with dataset.change(who=who, source=f"cohort {cohort.name}") as change:
        tell("load", len(cohort.document))
        change.clear(graph)
        triples = change.bulk(cohort.document, graph)
        view = change.commit(check)
    return Loaded(view, graph, *counts, triples, True, reports[0])


def _digest(view: View, name: str) -> str:
    """Return the digest that a cohort's graph says of its content; nothing where there is none."""
    found: Iterable[str] = (
        quad.object.value
        for quad in view.quads(
            NamedNode(expand(f"dataset:{name}")),
            NamedNode(expand("pepr:contentDigest")),
            None,
            NamedNode(COHORT + name),
        )
        if isinstance(quad.object, Literal)
    )
    return next(iter(found), "")
