"""Runs that no longer hold: an observation behind them was corrected, or their model was.

Nothing is erased. A run that is withdrawn keeps its figures and says why; a new run of the same question takes its
place. What was not looked at by a run (an observation that came later) does not make it stale.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pepr_kg.columns import select_columns
from pepr_kg.errors import PeprError
from pepr_kg.language import LANGUAGES
from pepr_kg.models.errors import ModelChanged, ModelFileMissing
from pepr_kg.models.registry import find_model
from pepr_kg.namespaces import ID, PEPR, RUN
from pepr_kg.resources import read_query
from pepr_kg.runs.comparing import Ground, changed_since
from pepr_kg.runs.errors import NotWithdrawn, RunDamaged
from pepr_kg.runs.reading import read_run, run_id
from pepr_kg.runs.turns import take_turn
from pepr_kg.runs.writing import Document, as_nodes, node, text
from pepr_kg.settings import Settings
from pepr_kg.store import Change, Dataset, NamedNode, Quad, View
from pepr_kg.twin.errors import UnknownModel

SUPERSEDED, WITHDRAWN, CHANGED, GONE, MODEL, MEANING, FILES = KINDS = (
    "observation-superseded", "observation-withdrawn", "observation-changed", "observation-gone", "model-changed",
    "meaning-changed", "files-damaged",
)  # fmt: skip
_STATUS: Final = f"{PEPR}hasResultStatus"
_STATUSES: Final = {  # as the ontology calls them
    "current": {"en": "current", "fr": "en vigueur"},
    "superseded": {"en": "superseded", "fr": "remplacé"},
    "withdrawn": {"en": "withdrawn", "fr": "retiré"},
}
_CURRENT: Final = f"{ID}result-status/current"
_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    SUPERSEDED: {"en": "{count} observation(s) behind it were superseded.",
                 "fr": "{count} observation(s) employée(s) ont été remplacée(s)."},
    WITHDRAWN: {"en": "{count} observation(s) behind it were withdrawn.",
                "fr": "{count} observation(s) employée(s) ont été retirée(s)."},
    CHANGED: {"en": "{count} value(s) behind it were changed.", "fr": "{count} valeur(s) employée(s) ont changé."},
    GONE: {"en": "{count} observation(s) behind it are no longer in the graph.",
           "fr": "{count} observation(s) employée(s) ne sont plus dans le graphe."},
    MODEL: {"en": "The file of its model is another one.", "fr": "Le fichier de son modèle est un autre."},
    MEANING: {"en": "What the graph says of its model was changed.",
              "fr": "Ce que le graphe dit de son modèle a changé."},
    FILES: {"en": "The file of what it used cannot be read.",
            "fr": "Le fichier de ce qui a été employé est illisible."},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stale:
    """A run that no longer holds: by kind of cause, the IRIs of the observations, patients or models."""

    run: str
    iri: str
    model: str
    ended: str
    causes: Mapping[str, tuple[str, ...]]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return all that it is because of."""
        return tuple(dict.fromkeys(item for what in self.causes.values() for item in what))

    def reason(self, lang: str) -> str:
        """Return why, in "en" or "fr"."""
        return " ".join(_SENTENCES[kind][lang].format(count=len(what)) for kind, what in self.causes.items())


def stale_runs(
    view: View, folder: Path, runs: Sequence[str] | None = None, settings: Settings | None = None
) -> tuple[Stale, ...]:  # fmt: skip
    """Return the runs that hold by their own word and whose ground has changed; `runs` looks at some of them alone.

    One query finds what was superseded or withdrawn, one for each run what it used is now; the file of inputs says what
    it was.
    """
    ground = Ground(view, folder, settings or Settings())
    wanted = None if runs is None else {f"{ID}evaluation/{run_id(name)}" for name in runs}
    corrected = _corrected(view)
    found = []
    for row in view.select(read_query("runs/current-runs")).iter_dicts():
        iri = row["evaluation"].value
        if wanted is not None and iri not in wanted:
            continue
        causes: dict[str, tuple[str, ...]] = dict(corrected.get(iri, {}))
        causes |= _of_model(ground, row["model"].value, row["digest"].value, row["meaning"].value)
        causes |= _of_values(ground, iri, {*causes.get(SUPERSEDED, ()), *causes.get(WITHDRAWN, ())})
        if causes:
            ordered = {kind: causes[kind] for kind in KINDS if kind in causes}
            found.append(Stale(run_id(iri), iri, row["model"].value, row["ended"].value, ordered))
    return tuple(found)


def _corrected(view: View) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, by run and kind, the observations that were superseded or withdrawn."""
    table = select_columns(view, read_query("runs/corrected"))
    found: dict[str, dict[str, list[str]]] = {}
    for run, observation, status in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
        kind = SUPERSEDED if status.endswith("/superseded") else WITHDRAWN
        found.setdefault(run, {}).setdefault(kind, []).append(observation)
    return {run: {kind: tuple(what) for kind, what in causes.items()} for run, causes in found.items()}


def _of_model(ground: Ground, model: str, digest: str, meaning: str) -> dict[str, tuple[str, ...]]:
    try:
        now = find_model(ground.view, model, ground.folder)
    except (UnknownModel, ModelChanged, ModelFileMissing):
        return {MODEL: (model,)}
    except PeprError:  # a file or a description that cannot be read at all
        return {MEANING: (model,)}
    causes = {MODEL: now.digest != digest, MEANING: now.meaning_digest != meaning}
    return {kind: (model,) for kind, other in causes.items() if other}


def _of_values(ground: Ground, iri: str, known: set[str]) -> dict[str, tuple[str, ...]]:
    """Return what the graph says otherwise today of what a run used, but for what is `known`."""
    facts = read_run(ground.view, ground.folder, iri)
    try:
        changed, gone = changed_since(ground, facts)
    except RunDamaged:
        return {FILES: (iri,)}
    except PeprError:  # the model, which is named already, or a cohort or a patient that is gone
        return {GONE: facts.evaluates}
    causes = {CHANGED: tuple(item for item in changed if item not in known), GONE: gone}
    return {kind: what for kind, what in causes.items() if what}


# ---- Taking back -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was withdrawn: the runs, how many triples say so, and the view in which they do."""

    runs: tuple[str, ...]
    triples: int
    view: View


def withdraw(
    dataset: Dataset, runs: Sequence[str], who: str, reason: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> TakenBack:  # fmt: skip
    """Withdraw runs, their trajectories and their predictions: nothing is erased, and each says why.

    `reason` (fr and en) is for runs that nothing has made stale. Raises `UnknownRun`, `NotWithdrawn` for a run that
    does not hold any more or that nothing has made stale, and `DatasetLocked`.
    """
    settings = settings or Settings()
    names = tuple(dict.fromkeys(run_id(name) for name in runs))
    with take_turn(dataset, who, "runs withdraw", time.monotonic() + settings.run_wait_seconds) as change:
        view = dataset.view()
        stale = {item.run: item for item in stale_runs(view, dataset.path, names, settings)}
        triples = 0
        for name in names:
            facts, cause = read_run(view, dataset.path, name), stale.get(name)
            if facts.result_status != "current" or (cause is None and reason is None):
                raise NotWithdrawn(run=name, status=_STATUSES.get(facts.result_status, facts.result_status))
            texts = {str(lang): cause.reason(lang) if cause else (reason or {})[lang] for lang in LANGUAGES}
            triples += Mark("withdrawn", texts, cause.subjects if cause else ()).put(change, view, name)
        return TakenBack(names, triples, change.commit())


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said of a run that no longer holds: "superseded" or "withdrawn", why (fr and en), because of what."""

    status: str
    reason: Mapping[str, str]
    because: Sequence[str] = ()

    def put(self, change: Change, view: View, run: str) -> int:
        """Say it of a run, its trajectories and its predictions; return how many triples were added."""
        iri, graph = f"{ID}evaluation/{run}", NamedNode(RUN + run)
        change.remove([Quad(NamedNode(iri), NamedNode(_STATUS), NamedNode(_CURRENT), graph)])
        results = select_columns(view, read_query("runs/results-of"), {"evaluation": NamedNode(iri)})["result"]
        said = [(_STATUS, node(f"{ID}result-status/{self.status}")),
                *((f"{PEPR}withdrawalReason", text(self.reason[lang], lang)) for lang in LANGUAGES)]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            with Document(Path(folder)) as document:
                document.say(iri, *said, *((f"{PEPR}withdrawnBecauseOf", node(item)) for item in self.because))
                document.say_all(as_nodes(results.combine_chunks()), said, len(results))
            return change.bulk(document.specimen, graph)
