"""Identifiers and clocks of a submodel changed in its XML: in attributes, in formulas, in links of annotations."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.sbml.document import child, two
from pepr_kg.twin.sbml.mathml import NAMESPACE, local

_SYMBOLS = ("id", "compartment", "species", "symbol", "variable", "conversionFactor", "outside")
_UNITS = ("units", "substanceUnits", "timeUnits", "volumeUnits", "areaUnits", "lengthUnits", "extentUnits")
_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_CSYMBOL = "http://www.sbml.org/sbml/symbols/"


@dataclass(slots=True)
class Renaming:
    """New names of symbols and of units; `factors` by which the value of an old symbol differs; a prefix of metaids."""

    symbols: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    factors: dict[str, str] = field(default_factory=dict)
    prefix: str = ""


def rename(node: Element, renaming: Renaming, model: str) -> None:
    """Change the names in an element and all within it; names that a function or a kinetic law has of its own stay.

    Where a symbol has a factor, formulas read the new symbol over the factor, and what is assigned to it is multiplied.
    """
    _rename(node, renaming, frozenset(), model)


def _rename(node: Element, renaming: Renaming, hidden: AbstractSet[str], model: str) -> None:
    tag = local(node)
    if tag == "math":
        _rename_formula(node, renaming, hidden, model)
        return
    if tag == "annotation":
        _rename_links(node, renaming.prefix)
        return
    if tag == "kineticLaw":
        hidden = hidden | {
            part.get("id", "")
            for group in node
            if local(group) in ("listOfLocalParameters", "listOfParameters")
            for part in group
        }
    target = node.get("variable") or node.get("symbol") or ""
    own = tag == "localParameter" or (tag == "parameter" and node.get("id") in hidden)
    for key, value in list(node.attrib.items()):
        name = key.rpartition("}")[2]
        if name in _UNITS or (tag == "unitDefinition" and name == "id"):
            node.set(key, renaming.units.get(value, value))
        elif name in _SYMBOLS and not (own and name == "id"):
            node.set(key, renaming.symbols.get(value, value))
        elif name == "metaid":
            node.set(key, f"{renaming.prefix}{value}")
    for part in list(node):
        _rename(part, renaming, hidden, model)
    if target in renaming.factors:
        formula = child(node, "math")
        if formula is not None and len(formula):
            _scale(formula, 0, "times", renaming.factors[target])


def _rename_links(annotation: Element, prefix: str) -> None:
    """Let what is said about an element be about the element under its new metaid."""
    for part in annotation.iter():
        about = part.get(_ABOUT, "")
        if about.startswith("#"):
            part.set(_ABOUT, f"#{prefix}{about[1:]}")


def _rename_formula(node: Element, renaming: Renaming, hidden: AbstractSet[str], model: str) -> None:
    if local(node) == "lambda":
        hidden = hidden | {(name.text or "").strip() for part in node if local(part) == "bvar" for name in part}
    for at, part in enumerate(list(node)):
        tag = local(part)
        for key, value in list(part.attrib.items()):
            if key.rpartition("}")[2] == "units":
                part.set(key, renaming.units.get(value, value))
        name = (part.text or "").strip()
        if tag == "ci" and name not in hidden and name in renaming.symbols:
            part.text = renaming.symbols[name]
            if name in renaming.factors:
                if (node[0].get("definitionURL") or "").endswith("rateOf"):
                    detail = two("rateOf of a replaced symbol", "rateOf d’un symbole remplacé")
                    raise ModelUnsupported(model=model, construct="comp conversionFactor", detail=detail)
                _scale(node, at, "divide", renaming.factors[name])
        else:
            _rename_formula(part, renaming, hidden, model)


def convert_clock(model: Element, time: str, extent: str, reactions: AbstractSet[str], name: str) -> None:
    """Write the formulas of a submodel in its parent's time and extent; `time` and `extent` name the parent's factors.

    The parent's time is the submodel's times the factor. `reactions` are the submodel's own: what
    reads their rates still gets them in its own units.
    """
    if time or extent:
        _Clock(time, extent, reactions, name).element(model)


class _Clock:
    def __init__(self, time: str, extent: str, reactions: AbstractSet[str], name: str) -> None:
        self.time, self.extent, self.reactions, self.name = time, extent, reactions, name

    def element(self, node: Element) -> None:
        for part in list(node):
            if local(part) == "math":
                self.formula(part, False)
                self.own(local(node), part)
            elif local(part) != "annotation":
                self.element(part)

    def own(self, kind: str, formula: Element) -> None:
        """Convert the value of a formula by what it belongs to."""
        if not len(formula):
            return
        if kind == "kineticLaw" and self.extent:
            _scale(formula, 0, "times", self.extent)
        if kind in ("kineticLaw", "rateRule") and self.time:
            _scale(formula, 0, "divide", self.time)
        if kind == "delay" and self.time:
            _scale(formula, 0, "times", self.time)

    def formula(self, node: Element, function: bool) -> None:
        function = function or local(node) == "lambda"
        for at, part in enumerate(list(node)):
            self.formula(part, function)
            tag = local(part)
            if (
                tag == "csymbol"
                and self.time
                and (part.get("definitionURL") or "").removeprefix(_CSYMBOL) in ("time", "delay", "rateOf")
            ):
                if function:
                    detail = two("a function that reads the time", "une fonction qui lit le temps")
                    raise ModelUnsupported(model=self.name, construct="comp timeConversionFactor", detail=detail)
                if (part.get("definitionURL") or "").endswith("time"):
                    _scale(node, at, "divide", self.time)
            elif tag == "ci" and (part.text or "").strip() in self.reactions and not function:
                self.reaction(node, at)
            elif tag == "apply" and len(part) and local(part[0]) == "csymbol" and self.time:
                url = part[0].get("definitionURL") or ""
                if url.endswith("delay") and len(part) == 3:
                    _scale(part, 2, "times", self.time)
                elif url.endswith("rateOf"):
                    _scale(node, at, "times", self.time)

    def reaction(self, node: Element, at: int) -> None:
        if self.extent:
            _scale(node, at, "divide", self.extent)
        if self.time:
            _scale(node, at, "times", self.time)


def _scale(parent: Element, at: int, operator: str, factor: str) -> None:
    """Put an operator and a symbol around a part of a formula."""
    inner = parent[at]
    whole = Element(f"{NAMESPACE}apply")
    whole.append(Element(f"{NAMESPACE}{operator}"))
    whole.append(inner)
    name = Element(f"{NAMESPACE}ci")
    name.text = factor
    whole.append(name)
    whole.tail, inner.tail = inner.tail, None
    parent[at] = whole
