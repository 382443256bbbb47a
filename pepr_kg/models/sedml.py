"""The simulation of a model under a scenario as SED-ML (Level 1 Version 4): changes, time course, outputs, a report.

Of a model that does not depend on the time, one step says all: what is simulated is then `oneStep`, to the horizon.

What a scenario changes at the start becomes changes of attributes of the SBML; what it does later becomes events that
are added to it. The file itself stays as it was registered, and its digest with it.

Source: Smith et al., The simulation experiment description markup language (SED-ML): language specification for Level 1
Version 4, J Integr Bioinform 2021;18:20210021.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from pepr_kg.models.description import decimal_text, default_values
from pepr_kg.models.errors import ModelNotExported
from pepr_kg.twin import Model, Scenario, form
from pepr_kg.twin.interventions import intervene, number_of
from pepr_kg.twin.sbml.document import Document, child, listed
from pepr_kg.twin.scenario import Intervention

_SEDML: Final = "http://sed-ml.org/sed-ml/level1/version4"
_MATHML: Final = "http://www.w3.org/1998/Math/MathML"
_TIME: Final = "http://www.sbml.org/sbml/symbols/time"
# Terms of KiSAO: how the model is solved here, and how exactly.
_DORMAND_PRINCE, _ROSENBROCK, _RELATIVE_TOLERANCE = "KISAO:0000087", "KISAO:0000033", "KISAO:0000209"
_LISTS: Final = {
    "compartment": ("listOfCompartments", "compartment"),
    "species": ("listOfSpecies", "species"),
    "parameter": ("listOfParameters", "parameter"),
    "reaction": ("listOfReactions", "reaction"),
}
_CLOCK: Final = "clock"  # in identifiers; a symbol may be called time
_MODEL: Final = "/sbml:sbml/sbml:model"
_LEVEL3: Final = 3


@dataclass(frozen=True, slots=True)
class Course:
    """What is simulated: `scenario` from 0 to `horizon` with `points` output times, of `outputs`, to `rtol`; a single
    point is one step to the horizon.
    """

    scenario: Scenario
    horizon: float
    points: int
    outputs: tuple[str, ...]
    rtol: float


def write_sedml(document: Document, model: Model, course: Course, *, source: str, data: Sequence[str] | None) -> bytes:
    """Return the SED-ML document of a course of a model, whose SBML it finds under `source`.

    `data` are the columns of `data.csv` beside it, None where there is none. Raises `ModelNotExported` for what SED-ML
    cannot change (a stoichiometry, a symbol of a submodel) and what `twin` raises for a scenario that cannot be.
    """
    root = Element("sedML", {
        "xmlns": _SEDML, "xmlns:sbml": document.core[1:-1], "level": "1", "version": "4"})  # fmt: skip
    writer = _Writer(document, model)
    outputs = [symbol for symbol in course.outputs if writer.find(symbol) is not None]
    if not outputs:
        raise ModelNotExported(name=model.name, detail={
            "en": "its file has none of the symbols that are asked for",
            "fr": "son fichier n’a aucun des symboles demandés"})  # fmt: skip
    if data is not None:
        _describe_data(root, data)
    changes = list(writer.changes(course.scenario))
    models = SubElement(root, "listOfModels")
    language = f"urn:sedml:language:sbml.level-{document.level}.version-{document.version}"
    changed = SubElement(models, "model", {"id": "model", "language": language, "source": source})
    if changes:
        SubElement(changed, "listOfChanges").extend(changes)
    _add_course(root, model, course)
    tasks = SubElement(root, "listOfTasks")
    SubElement(tasks, "task", {"id": "task", "modelReference": "model", "simulationReference": "course"})
    generators = SubElement(root, "listOfDataGenerators")
    _add_generator(generators, _CLOCK, "time", {"symbol": "urn:sedml:symbol:time"})
    for symbol in outputs:
        _add_generator(generators, _id(symbol), symbol, {"target": writer.path(symbol)})
    reports = SubElement(root, "listOfOutputs")
    report = SubElement(reports, "report", {"id": "report", "name": course.scenario.name})
    sets = SubElement(report, "listOfDataSets")
    for name, label in ((_CLOCK, "time"), *((_id(symbol), symbol) for symbol in outputs)):
        SubElement(sets, "dataSet", {"id": f"set_{name}", "label": label, "dataReference": f"data_{name}"})
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode").encode() + b"\n"


def _describe_data(root: Element, columns: Sequence[str]) -> None:
    descriptions = SubElement(root, "listOfDataDescriptions")
    attributes = {"id": "data", "source": "data.csv", "format": "urn:sedml:format:csv"}
    sources = SubElement(SubElement(descriptions, "dataDescription", attributes), "listOfDataSources")
    for at, column in enumerate(columns):
        slices = SubElement(SubElement(sources, "dataSource", {"id": f"column_{at + 1}"}), "listOfSlices")
        SubElement(slices, "slice", {"reference": "ColumnIds", "value": column})


def _add_course(root: Element, model: Model, course: Course) -> None:
    last, name, attributes = repr(float(course.horizon)), "oneStep", {"id": "course"}
    if course.points == 1:
        attributes["step"] = last
    else:
        name = "uniformTimeCourse"
        attributes |= {
            "initialTime": "0", "outputStartTime": "0", "outputEndTime": last, "numberOfSteps": str(course.points - 1),
        }  # fmt: skip
    simulation = SubElement(SubElement(root, "listOfSimulations"), name, attributes)
    kind = _ROSENBROCK if form(model) == "stiff" else _DORMAND_PRINCE
    algorithm = SubElement(simulation, "algorithm", {"kisaoID": kind})
    parameters = SubElement(algorithm, "listOfAlgorithmParameters")
    SubElement(parameters, "algorithmParameter", {"kisaoID": _RELATIVE_TOLERANCE, "value": repr(course.rtol)})


def _add_generator(generators: Element, name: str, label: str, variable: Mapping[str, str]) -> None:
    generator = SubElement(generators, "dataGenerator", {"id": f"data_{name}", "name": label})
    variables = SubElement(generator, "listOfVariables")
    SubElement(variables, "variable", {"id": f"of_{name}", "taskReference": "task", **variable})
    math = SubElement(generator, "math", {"xmlns": _MATHML})
    SubElement(math, "ci").text = f"of_{name}"


def _id(symbol: str) -> str:
    return f"symbol_{symbol.replace('.', '__')}"


class _Writer:
    """The changes that a scenario makes to an SBML file."""

    def __init__(self, document: Document, model: Model) -> None:
        self.document, self.model = document, model
        self.element = child(document.root, "model")
        self.assigned = {node.get("symbol") for node in self._listed("listOfInitialAssignments")}
        self.later = 0  # events that were made

    def _listed(self, name: str) -> list[Element]:
        return [] if self.element is None else listed(self.element, name)

    # Where things are

    def find(self, symbol: str) -> Element | None:
        """Return the element of a symbol, None where the file has none: it came with a submodel."""
        reaction, dot, own = symbol.partition(".")
        if dot:
            laws = [child(node, "kineticLaw") for node in self._listed("listOfReactions") if node.get("id") == reaction]
            parameters = [item for law in laws if law is not None for name in ("listOfLocalParameters",
                          "listOfParameters") for item in listed(law, name)]  # fmt: skip
            return next((item for item in parameters if item.get("id") == own), None)
        kind = self.model.variable(symbol).kind
        nodes = self._listed(_LISTS[kind][0]) if kind in _LISTS else []
        return next((node for node in nodes if node.get("id") == symbol), None)

    def path(self, symbol: str) -> str:
        """Return the XPath of the element of a symbol."""
        reaction, dot, own = symbol.partition(".")
        if dot:
            kind = "localParameter" if self.document.level == _LEVEL3 else "parameter"
            plural = "listOfLocalParameters" if self.document.level == _LEVEL3 else "listOfParameters"
            where = f"{_MODEL}/sbml:listOfReactions/sbml:reaction[@id='{reaction}']/sbml:kineticLaw"
            return f"{where}/sbml:{plural}/sbml:{kind}[@id='{own}']"
        plural, kind = _LISTS[self.model.variable(symbol).kind]
        return f"{_MODEL}/sbml:{plural}/sbml:{kind}[@id='{symbol}']"

    # What is changed

    def changes(self, scenario: Scenario) -> Iterator[Element]:
        """Yield the changes of a scenario, those at the start first."""
        start = Scenario(scenario.name, tuple(item for item in scenario.interventions if item.at is None))
        timed = [item for item in scenario.interventions if item.at is not None]
        wanted: dict[str, dict[str, str]] = {}
        for symbol, value in intervene(self.model, {}, (start,), (1, 1, 1), 0.0).items():
            if symbol in self.assigned:
                where = f"{_MODEL}/sbml:listOfInitialAssignments/sbml:initialAssignment[@symbol='{symbol}']"
                yield Element("removeXML", {"target": where})
            name, number = self.at_start(symbol, float(np.ravel(value)[0]))
            wanted.setdefault(symbol, {})[name] = repr(number)
        for item in timed:
            constant = "true" if self.document.level < _LEVEL3 else "false"  # where the file does not say
            if self.need(item.symbol).get("constant", constant) != "false":
                wanted.setdefault(item.symbol, {})["constant"] = "false"
        for symbol, attributes in wanted.items():
            yield from self.rewrite(symbol, attributes)
        if timed:
            yield self.events(timed)

    def rewrite(self, symbol: str, attributes: Mapping[str, str]) -> Iterator[Element]:
        """Yield the changes of attributes; an element that lacks one of them is replaced as a whole."""
        node, path = self.need(symbol), self.path(symbol)
        if all(node.get(name) is not None for name in attributes):
            for name, value in attributes.items():
                yield Element("changeAttribute", {"target": f"{path}/@{name}", "newValue": value})
            return
        whole = deepcopy(node)
        for name, value in attributes.items():
            whole.set(name, value)
        change = Element("changeXML", {"target": path})
        SubElement(change, "newXML").append(_prefixed(whole))
        yield change

    def need(self, symbol: str) -> Element:
        node = self.find(symbol)
        if node is None:
            raise ModelNotExported(name=self.model.name, detail={
                "en": f"the scenario changes {symbol}, which stands in no list of its file",
                "fr": f"le scénario change {symbol}, qui ne figure dans aucune liste de son fichier"})  # fmt: skip
        return node

    def at_start(self, symbol: str, value: float) -> tuple[str, float]:
        """Return the attribute that gives a symbol its value at the start, and what it must say."""
        node, variable = self.need(symbol), self.model.variable(symbol)
        if variable.kind != "species":
            return ("size" if variable.kind == "compartment" else "value"), value
        given = node.get("initialAmount") is not None
        if variable.compartment is not None:  # the symbol means a concentration
            size = default_values(self.model)[variable.compartment] if given else 1.0
            return ("initialAmount", value * size) if given else ("initialConcentration", value)
        if given or node.get("initialConcentration") is None:
            return "initialAmount", value
        return "initialConcentration", value / default_values(self.model)[str(node.get("compartment"))]

    def events(self, timed: Sequence[Intervention]) -> Element:
        """Return the addition of an event for each intervention at a time; where times are equal, their order holds."""
        present = self.element is not None and child(self.element, "listOfEvents") is not None
        change = Element("addXML", {"target": f"{_MODEL}/sbml:listOfEvents" if present else _MODEL})
        home = SubElement(change, "newXML")
        home = home if present else SubElement(home, "sbml:listOfEvents")
        home.extend([self.event(item, len(timed) - at) for at, item in enumerate(timed)])
        return change

    def event(self, item: Intervention, priority: int) -> Element:
        if "." in item.symbol:
            raise ModelNotExported(name=self.model.name, detail={
                "en": f"an event cannot change a local parameter, and the scenario changes {item.symbol} at a time",
                "fr": f"un événement ne peut pas changer un paramètre local, et le scénario change {item.symbol} à un "
                      "instant"})  # fmt: skip
        self.later += 1
        level3 = self.document.level == _LEVEL3
        event = Element("sbml:event", {"id": f"intervention_{self.later}", "useValuesFromTriggerTime": "true"})
        at_once = {"initialValue": "false", "persistent": "true"} if level3 else {}
        trigger = _math(SubElement(event, "sbml:trigger", at_once))
        condition = SubElement(trigger, "apply")
        SubElement(condition, "geq")
        time = {"encoding": "text", "definitionURL": _TIME}
        SubElement(condition, "csymbol", time).text = "t"
        SubElement(condition, "cn").text = decimal_text(item.at or 0.0)
        if level3:
            SubElement(_math(SubElement(event, "sbml:priority")), "cn").text = str(priority)
        assignments = SubElement(event, "sbml:listOfEventAssignments")
        assignment = _math(SubElement(assignments, "sbml:eventAssignment", {"variable": item.symbol}))
        number = number_of(self.model, item)
        if item.action == "set":
            SubElement(assignment, "cn").text = decimal_text(number)
            return event
        apply = SubElement(assignment, "apply")
        SubElement(apply, "times" if item.action == "scale" else "plus")
        SubElement(apply, "ci").text = item.symbol
        compartment = self.model.variable(item.symbol).compartment
        if item.action == "dose" and compartment is not None:
            apply = SubElement(apply, "apply")
            SubElement(apply, "divide")
            SubElement(apply, "cn").text = decimal_text(number)
            SubElement(apply, "ci").text = compartment
        else:
            SubElement(apply, "cn").text = decimal_text(number)
        return event


def _math(parent: Element) -> Element:
    return SubElement(parent, "math", {"xmlns": _MATHML})


def _prefixed(node: Element) -> Element:
    """Return an element of SBML as the prefix of the document has it; what is not SBML's core is left out."""
    space, _, name = node.tag.rpartition("}")
    found = Element(f"sbml:{name}", {key: value for key, value in node.attrib.items() if "}" not in key})
    found.extend([_prefixed(item) for item in node if item.tag.startswith(f"{space}}}")])
    return found
