"""Reference cases as a cohort of the graph: each case a patient with a twin, its inputs as the bindings want them.

An input that a binding finds by its concept becomes an observation, a dose an administration, sex and a whole age what
is said of the patient; an input that no binding feeds becomes a binding of the twin's own. What is evaluated is then
what the graph gives back.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pepr_kg.build import build
from pepr_kg.cohorts import load_cohort, published_cohort
from pepr_kg.models import Binding, Coupled, Registered, find_model
from pepr_kg.namespaces import COHORT, ID, PEPR, PREFIXES, expand
from pepr_kg.rdf import RdfFormat, parse_bytes
from pepr_kg.runs.binding import Resolved, resolve
from pepr_kg.runs.evaluation import Preview, Request, preview
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.twin import Model, Observation, Observations, Status
from pepr_kg.twin.builtin import meaning_of
from pepr_kg.twin.cohort import read_cohort
from pepr_kg.validation import validate_graphs

Array = npt.NDArray[np.float64]
Inputs = Mapping[str, Sequence[object]]  # by symbol, a value for each case
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
LONGEST_AGE = 120
KINDS = (
    "administration", "binding", "cohort", "identifiability", "observation", "patient", "quantity", "sex", "twin",
)  # fmt: skip
HEAD = "".join(f"@prefix {name}: <{PREFIXES[name]}> .\n" for name in (*KINDS, "dcterms", "pepr", "rdfs", "sosa", "xsd"))


@dataclass(slots=True)
class GraphResult:
    """What the evaluator's `Result` gives, read from a preview: one scenario and sample, each case at its own times."""

    found: Preview
    places: list[int | None]
    times: list[Array]
    status: list[int]
    stated: Mapping[str, Array]  # what the cases give and also ask for

    def values(self, symbol: str) -> Array:
        """Return the values (cases, 1, 1, times), NaN after a case's last time."""
        if symbol in self.stated:
            longest = max(len(times) for times in self.times)
            return np.repeat(self.stated[symbol][:, None, None, None], longest, axis=3)
        table = self.found.values(symbol)
        longest = max(len(times) for times in self.times)
        data = np.full((len(self.places), 1, 1, longest), np.nan)
        for at, (place, times) in enumerate(zip(self.places, self.times, strict=True)):
            if place is not None:
                grid = self.found.times[place]
                own = np.searchsorted(grid, times - 1e-9)
                value = table[place, 0, np.minimum(own, len(grid) - 1)]
                data[at, 0, 0, : len(times)] = np.where(times < grid[0] - 1e-9, np.nan, value)  # before the start
        return data

    def unit(self, symbol: str) -> str:
        """Return the unit of a symbol, empty for what was stated."""
        if symbol in self.stated:
            return ""
        return self.found.units[self.found.outputs.index(symbol)]


@dataclass(slots=True)
class Graph:
    """A dataset of its own, in a temporary folder, with the program's models and the cohorts that are put into it."""

    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    _cohorts: list[str] = field(default_factory=list)
    dataset: Dataset = field(init=False)

    def __post_init__(self) -> None:
        self.dataset = Dataset(Path(self._folder.name) / "data")
        build(self.dataset)

    def find(self, name: str) -> Registered | Coupled:
        """Return a model of the graph."""
        return find_model(self.dataset.view(), name, self.dataset.path)

    def evaluate(
        self, model: Model, cohort: Inputs, times: Array, outputs: Sequence[str], rtol: float
    ) -> GraphResult:
        """Return what the graph's model gives for cases with the same inputs; `times` as in `evaluate`."""
        rows = [times[np.isfinite(times)]] if times.ndim == 1 else [row[np.isfinite(row)] for row in times]
        return self.ask(model.name, cohort, rows, outputs, rtol)

    def ask(
        self, name: str, cohort: Inputs, rows: Sequence[Array], outputs: Sequence[str], rtol: float
    ) -> GraphResult:
        """Put the cases into the graph and evaluate them there."""
        found = self.find(name)
        people = self.put(found, cohort, len(rows))
        start = float(_BORN) if found.time_origin == "birth" else 0.0
        every = np.unique(np.concatenate(rows))
        grid = every[every >= start] - start
        stated = {item: np.array(cohort[item], dtype=float) for item in outputs if item in cohort}
        outputs = [item for item in outputs if item not in stated]
        request = Request(
            name, cohort=self._cohorts[-1], as_of=AS_OF, fit=False, outputs=tuple(outputs), rtol=rtol,
            horizon=float(grid[-1]), points=1, at=tuple(grid.tolist()),
        )  # fmt: skip
        given = preview(self.dataset.view(), self.dataset.path, request)
        places = [given.patients.index(iri) if iri in given.patients else None for iri in people]
        status = [int(Status.NOT_VALID) if at is None else int(given.status[at, 0]) for at in places]
        return GraphResult(given, places, list(rows), status, stated)

    def put(self, found: Registered | Coupled, cohort: Inputs, count: int) -> list[str]:
        """Write a cohort: the inputs of `count` cases by symbol. Return the IRIs of the patients, in their order."""
        name = f"case-{found.name}-{len(self._cohorts)}"
        self._cohorts.append(name)
        text = [HEAD, f'cohort:{name} a pepr:Cohort ; rdfs:label "Cas de référence"@fr , "Reference cases"@en .\n']
        people = []
        for at in range(count):
            key = f"{name}-{at:04d}"
            people.append(f"{ID}patient/{key}")
            text.append(_patient(found, key, name, {symbol: column[at] for symbol, column in cohort.items()}))
        graph = NamedNode(COHORT + name)
        quads = parse_bytes("".join(text).encode(), RdfFormat.TURTLE, graph, name)
        with self.dataset.change(who="twin-cases", source="reference cases") as change:
            change.add(quads)
            change.commit()
        return people

    def check(self) -> list[str]:
        """Return what SHACL has against the cohorts that were written."""
        view = self.dataset.view()
        report = validate_graphs(view, [NamedNode(COHORT + name) for name in self._cohorts])
        return [f"{item.focus}: {item.message['en']}" for item in report.violations]

    def subjects(self, path: Path) -> tuple[Observations, Array]:
        """Return what the graph gives for the subjects of theophylline of a file: observations, and doses in mg/kg.

        The subjects have the names of the file: those of the graph without what goes before.
        """
        load_cohort(self.dataset, published_cohort("theophylline", path), "twin-cases")
        found = self.resolve("theophylline", "theophylline")
        data = _renamed(found)
        keys = [_subject(iri) for iri in found.entities.to_pylist()]
        doses = dict(zip(keys, found.values["dose_mg_per_kg"].tolist(), strict=True))
        return data, np.array([doses[key] for key in data.patients])

    def resolve(self, model: str, cohort: str) -> Resolved:
        """Return what the bindings of a model give for a cohort, with what a fit is made to."""
        found = self.find(model)
        if isinstance(found, Coupled):
            raise TypeError(f"{model} is made of two models")
        view = self.dataset.view()
        return resolve(view, found, cohort=f"{ID}cohort/{cohort}", as_of=AS_OF, fit=True)

    def observe(self, model: str, rows: Sequence[Observation]) -> Observations:
        """Put measurements, whose times are ages, into the graph and return them as the bindings give them."""
        found = self.find(model)
        if isinstance(found, Coupled):
            raise TypeError(f"{model} is made of two models")
        name = f"seen-{model}"
        self._cohorts.append(name)
        label = '"Mesures de référence"@fr , "Reference measurements"@en'
        text = [HEAD, f"cohort:{name} a pepr:Cohort ; rdfs:label {label} .\n"]
        born = datetime(1900, 1, 1, tzinfo=UTC)
        for subject in dict.fromkeys(row.patient for row in rows):
            text.append(_described(subject, name, f'pepr:birthDate "{born:%Y-%m-%d}"^^xsd:date ; '))
        for at, row in enumerate(rows):
            concept, unit = found.quantities[row.variable][0], found.model.variable(row.variable).unit or "1"
            text.append(_observed(f"{row.patient}-{at}", row.patient, concept, row.value, unit=unit,
                                  at=_at_age(born, row.time)))  # fmt: skip
        with self.dataset.change(who="twin-cases", source="reference measurements") as change:
            change.add(parse_bytes("".join(text).encode(), RdfFormat.TURTLE, NamedNode(COHORT + name), name))
            change.commit()
        return _renamed(self.resolve(model, name))


_BORN = 40  # years before the as-of date, for a model whose time is the age


def _renamed(found: Resolved) -> Observations:
    """Return the observations of a resolution with the subjects' own names for their IRIs."""
    data = found.observations
    if data is None:
        raise ValueError("the graph has no observations of the outputs")
    return replace(data, patients=tuple(_subject(iri) for iri in data.patients))


def _subject(iri: str) -> str:
    name = iri.rpartition("/")[2]
    return name.removeprefix("theophylline-").lstrip("0") if name.startswith("theophylline-") else name


def _patient(found: Registered | Coupled, key: str, cohort: str, inputs: Mapping[str, object]) -> str:
    facts: list[str] = []
    born = _BORN if found.time_origin == "birth" else None
    others: list[str] = []
    own: list[str] = []
    for symbol, value in inputs.items():
        part, name = _part(found, symbol)
        binding = next((item for item in part.bindings if item.symbol == name), None)
        number = _number(part.model, name, value)
        unit = part.model.variable(name).unit or "1"
        concept = _category(part, name, number)
        if binding is not None and binding.quantities and part.model.variable(name).codes and concept:
            others.append(_coded(f"{key}-{name}", key, binding.quantities[0], concept))
        elif binding is not None and binding.quantities:
            others.append(_observed(f"{key}-{name}", key, binding.quantities[0], number, unit=unit, at=AS_OF))
        elif binding is not None and binding.query:
            others.append(_given(f"{key}-{name}", key, part.quantities[name][0], number, unit))
        elif binding is not None and _is_path(binding, "hasSex") and concept:
            facts.append(f"pepr:hasSex <{concept}> ; ")
        elif binding is not None and _is_path(binding, "birthDate") and number == int(number) and number < LONGEST_AGE:
            born = int(number)
        else:
            own.append(f"binding:{key}.{name}")
            others.append(
                f"binding:{key}.{name} a pepr:Binding ; pepr:binds <{part.elements[name]}> ; "
                f'pepr:boundValue {_decimal(number)} ; pepr:unitCode "{unit}" .\n'
            )
    if born is not None:
        facts.append(f'pepr:birthDate "{AS_OF.year - born}-{AS_OF:%m-%d}"^^xsd:date ; ')
    bound = f" ; pepr:hasBinding {' , '.join(own)}" if own else ""
    twin = f"twin:{key} a pepr:DigitalTwin ; pepr:twinOf patient:{key} ; pepr:usesModel <{found.iri}>{bound} .\n"
    return _described(key, cohort, "".join(facts)) + twin + "".join(others)


def _part(found: Registered | Coupled, symbol: str) -> tuple[Registered, str]:
    if isinstance(found, Registered):
        return found, symbol
    side, _, name = symbol.rpartition(".")
    for part, label in ((found.fast, "fast"), (found.slow, "slow")):
        if (side == label or not side) and name in part.elements:
            return part, name
    raise KeyError(symbol)


def _number(model: Model, symbol: str, value: object) -> float:
    given = read_cohort(model, {symbol: value}, strict=False).values[symbol]  # type: ignore[dict-item]
    return float(np.asarray(given).reshape(-1)[0])


def _category(part: Registered, symbol: str, number: float) -> str:
    """Return the concept that stands for a coded value, where it has one."""
    element = meaning_of(part.model).elements.get(symbol)
    return next((iri for iri, value in element.concepts if value == number), "") if element else ""


def _is_path(binding: Binding, name: str) -> bool:
    return binding.path == f"<{PEPR}{name}>"


def _described(key: str, cohort: str, facts: str) -> str:
    return (
        f'patient:{key} a pepr:Patient ; dcterms:identifier "{key}" ; {facts}'
        f"pepr:hasIdentifiability identifiability:synthetic ; pepr:memberOfCohort cohort:{cohort} .\n"
    )


def _observed(name: str, key: str, concept: str, value: object, *, unit: str, at: datetime) -> str:
    moment = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    return (
        f"observation:{name} a pepr:Observation ; sosa:hasFeatureOfInterest patient:{key} ; "
        f"sosa:observedProperty <{concept}> ; pepr:numericValue {_decimal(value)} ; "
        f'pepr:unitCode "{unit}" ; pepr:observedAt "{moment}"^^xsd:dateTime .\n'
    )


def _coded(name: str, key: str, concept: str, value: str) -> str:
    return (
        f"observation:{name} a pepr:Observation ; sosa:hasFeatureOfInterest patient:{key} ; "
        f"sosa:observedProperty <{concept}> ; sosa:hasResult <{value}> ; "
        f'pepr:observedAt "{AS_OF:%Y-%m-%d}"^^xsd:date .\n'
    )


def _given(name: str, key: str, concept: str, value: object, unit: str) -> str:
    return (
        f"administration:{name} a pepr:Administration ; sosa:hasFeatureOfInterest patient:{key} ; "
        f"pepr:quantity <{expand(concept)}> ; pepr:numericValue {_decimal(value)} ; "
        f'pepr:unitCode "{unit}" ; pepr:administeredAt "{AS_OF:%Y-%m-%d}"^^xsd:date .\n'
    )


def _decimal(value: object) -> str:
    text = f"{Decimal(str(value)):f}"
    return text if "." in text else text + ".0"


def _at_age(born: datetime, age: float) -> datetime:
    """Return the moment at which somebody has an age in calendar years: the year's share since the last birthday."""
    years = math.floor(age)
    last, following = born.replace(year=born.year + years), born.replace(year=born.year + years + 1)
    return last + (following - last) * (age - years)
