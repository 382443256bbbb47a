"""Every prediction of a run, checked column by column: what the shapes ask of one, asked of all at once.

pySHACL looks at one node after the other, which takes minutes for the predictions of a hundred thousand patients; of a
large run it is given a specimen (`conduct.SPECIMEN`). What grows with the cohort is regular, and is asked by queries
that scan and join whole columns of the run's graph:

- as many predictions are there as were made, and each says exactly one entity, variable, value, unit, time, date,
  scenario and evaluation; so do estimates and outcomes with what is theirs;
- values are numbers, dates are moments, entities are IRIs;
- each variable is one of a model and has that unit there, each scenario is the evaluation's, the evaluation this run's;
- where there are draws, each value lies in an interval that has a probability and a source.

200 000 predictions take 7 s of one core, 10 s with intervals.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pepr_kg.namespaces import ID, PEPR, PREFIXES, SHAPE, shrink
from pepr_kg.resources import read_query
from pepr_kg.store import Literal, NamedNode, Term, View
from pepr_kg.twin.errors import TwinError
from pepr_kg.twin.units import conversion
from pepr_kg.validation import Finding, Report

Text = Mapping[str, str]

_COMPONENT: Final = PREFIXES["sh"] + "SPARQLConstraintComponent"
_TYPE: Final = NamedNode(PREFIXES["rdf"] + "type")
_OF: Final = PREFIXES["sosa"] + "hasFeatureOfInterest"
_BY: Final = PREFIXES["prov"] + "wasGeneratedBy"
_UNIT, _UNDER = NamedNode(f"{PEPR}unitCode"), NamedNode(f"{PEPR}underScenario")
_VARIABLE, _SCENARIO = NamedNode(f"{PEPR}Variable"), NamedNode(f"{PEPR}Scenario")
_MANY: Final = 1_000_000  # predictions, above which nothing is held in memory, and counting takes twice as long


def _own(*names: str) -> tuple[str, ...]:
    return tuple(PEPR + name for name in names)


# What each thing of a class says exactly once: see the shapes of `shapes/twin-results.ttl`.
_ONCE: Final[Mapping[str, tuple[str, ...]]] = {
    "Prediction": (
        _OF, *_own("predictedVariable", "numericValue", "unitCode", "atTime", "timeUnitCode", "predictedFor"),
        *_own("underScenario"), _BY,
    ),
    "Estimate": (*_own("estimateOf", "forTwin", "numericValue", "unitCode", "standardDeviation"), _BY),
    "EvaluationOutcome": _own("outcomeFor", "hasOutcomeStatus"),
}  # fmt: skip
_MEND: Final = {
    "en": "This is a fault of the program, not of the data: nothing was written. Please report it with this message.",
    "fr": "C’est une erreur du programme et non des données : rien n’a été écrit. Signalez-la avec ce message.",
}
_REBUILD: Final = {
    "en": "Build the dataset again, so that the graph describes the model as its file has it; then evaluate.",
    "fr": "Reconstruisez le jeu de données, pour que le graphe décrive le modèle tel que son fichier le donne ; puis "
    "évaluez.",
}
_SENTENCES: Final[Mapping[str, tuple[Text, Text]]] = {
    "count": ({
        "en": "{made} predictions were made, and {found} are in the graph.",
        "fr": "{made} prédictions ont été faites, et {found} sont dans le graphe.",
    }, _MEND),
    "once": ({
        "en": "It does not say {property} exactly once.",
        "fr": "On n’y lit pas {property} exactement une fois.",
    }, _MEND),
    "type": ({
        "en": "Its value {value} is no number, no moment or no IRI where it must be one.",
        "fr": "Sa valeur {value} n’est pas un nombre, un instant ou une IRI comme elle le doit.",
    }, _MEND),
    "interval": ({
        "en": "Its value does not lie in one interval that has limits in order, a probability between 0 and 1 and "
              "a source.",
        "fr": "Sa valeur n’est pas dans un intervalle qui ait des limites dans l’ordre, une probabilité entre 0 et "
              "1 et une source.",
    }, _MEND),
    "variable": ({
        "en": "Predictions name {variable} in {unit}; the graph has no such variable in that unit.",
        "fr": "Des prédictions nomment {variable} en {unit} ; le graphe n’a pas cette variable dans cette unité.",
    }, _REBUILD),
    "timeUnit": ({
        "en": "Predictions count their time in {timeUnit}, which is no unit of time.",
        "fr": "Des prédictions comptent leur temps en {timeUnit}, qui n’est pas une unité de temps.",
    }, _MEND),
    "scenario": ({
        "en": "Predictions are under {scenario}, which is no scenario of this evaluation.",
        "fr": "Des prédictions sont faites sous {scenario}, qui n’est pas un scénario de cette évaluation.",
    }, _MEND),
    "evaluation": ({
        "en": "Predictions come from {evaluation}, which is not this evaluation.",
        "fr": "Des prédictions proviennent de {evaluation}, qui n’est pas cette évaluation.",
    }, _MEND),
}  # fmt: skip


def check_run(view: View, graph: NamedNode, *, predictions: int, sampled: bool) -> Report:
    """Return what is wrong with the predictions, estimates and outcomes in the graph of a run; of each kind of fault, a
    hundred at most.

    `predictions` is how many were made; `sampled` says that each has an interval, as several draws give it. Raises
    `QueryFailed`.
    """
    looking = _Looking(view, graph, predictions > _MANY)
    findings = [
        *looking.lost(predictions),
        *(finding for kind, terms in _ONCE.items() for finding in looking.once(kind, terms)),
        *looking.typed(),
        *looking.known(),
        *looking.intervals([*(["Prediction"] if sampled else []), "Estimate"]),
    ]
    return Report(tuple(findings), shapes=0, constraints=sum(map(len, _ONCE.values())), queries=looking.asked)


class _Looking:
    """A view of a run's graph that is being checked, and how many queries it took."""

    def __init__(self, view: View, graph: NamedNode, many: bool) -> None:
        self.view, self.graph, self.many, self.asked = view, graph, many, 0

    def ask(self, query: str, **bound: str) -> list[dict[str, Term]]:
        self.asked += 1
        terms = {"run": self.graph, **{name: NamedNode(iri) for name, iri in bound.items()}}
        return list(self.view.select(read_query(f"runs/{query}"), terms).iter_dicts())

    def count(self, kind: str) -> int:
        """Return how many things of a class there are."""
        return sum(_number(row["count"]) for row in self.ask("class-count", **{"class": PEPR + kind}))

    def counted(self, query: str, **bound: str) -> set[int]:
        """Return how many values there are, and how many things have them."""
        rows = self.ask(f"{query}-of-many" if self.many else query, **bound)
        return {_number(row[name]) for row in rows for name in ("values", "things") if name in row} or {0}

    def lost(self, made: int) -> Iterator[Finding]:
        """Yield that another number of predictions is there than was made."""
        found = self.count("Prediction")
        if found != made:
            yield _finding("count", self.graph, made=str(made), found=str(found))

    def once(self, kind: str, terms: tuple[str, ...]) -> Iterator[Finding]:
        """Yield what does not say each of `terms` exactly once."""
        there = self.count(kind)
        for term in terms if there else ():
            bound = {"class": PEPR + kind, "property": term}
            if self.counted("property-count", **bound) != {there}:
                for row in self.ask("without-one", **bound):
                    yield _finding("once", row["focus"], property=_shown(row["property"]))

    def typed(self) -> Iterator[Finding]:
        """Yield what has a value of another type than it must have."""
        for row in self.ask("ill-typed"):
            yield _finding("type", row["focus"], value=_shown(row["value"]))

    def intervals(self, kinds: list[str]) -> Iterator[Finding]:
        """Yield what has no interval that holds its value."""
        for kind in kinds:
            there = self.count(kind)
            if there and self.counted("ordered-count", **{"class": PEPR + kind}) != {there}:
                for row in self.ask("without-interval", **{"class": PEPR + kind}):
                    yield _finding("interval", row["focus"])

    def known(self) -> Iterator[Finding]:
        """Yield what predictions are of and the graph does not know."""
        run = NamedNode(f"{ID}evaluation/{self.graph.value.rpartition('/')[2]}")
        for row in self.ask("kinds"):
            focus, shown = row.get("variable", row.get("scenario", run)), {name: _shown(row[name]) for name in row}
            if "variable" in row:
                known = self.has(focus, _TYPE, _VARIABLE) and self.has(focus, _UNIT, row["unit"])
            elif "timeUnit" in row:
                known = _is_time(row["timeUnit"].value)
            elif "scenario" in row:
                known = self.has(focus, _TYPE, _SCENARIO) and self.has(run, _UNDER, focus)
            else:
                known = row["evaluation"] == run
            if not known:
                kind = next(name for name in ("variable", "timeUnit", "scenario", "evaluation") if name in row)
                yield _finding(kind, focus, **shown)

    def has(self, subject: Term, predicate: NamedNode, value: Term) -> bool:
        """Return whether the graph says that."""
        if not isinstance(subject, NamedNode):
            return False
        return next(iter(self.view.quads(subject, predicate, value)), None) is not None


def _number(term: Term) -> int:
    return int(term.value)


def _is_time(unit: str) -> bool:
    try:
        conversion(unit, "s")
    except TwinError:
        return False
    return True


def _finding(kind: str, focus: Term, **shown: str) -> Finding:
    sentence, fix = _SENTENCES[kind]
    message: Text = {lang: text.format(**shown) for lang, text in sentence.items()}
    return Finding(focus, "", None, "violation", message, fix, f"{SHAPE}every-{kind}", _COMPONENT, "query")


def _shown(term: Term) -> str:
    return term.value if isinstance(term, Literal) else shrink(term.value) or term.value
