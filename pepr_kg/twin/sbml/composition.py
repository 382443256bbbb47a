"""Hierarchical composition flattened: a model with submodels becomes one without, in which `A__x` is the x of
submodel A.

Steps at each level: copies of the submodels are flattened, deletions are made, what is replaced is taken out,
identifiers get their prefix, conversion factors are written into the formulas, the lists are joined, and references
to what was replaced go to what replaces it. Source: SBML Level 3 Package Specification, Hierarchical Model
Composition, Version 1 Release 3. The converted factor of a replaced symbol acts
on formulas and on what is assigned, as there.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from pepr_kg.twin.errors import ModelInvalid, ModelUnreadable, ModelUnsupported
from pepr_kg.twin.sbml.document import COMP, Document, child, children, listed, read_bytes, read_document, two
from pepr_kg.twin.sbml.mathml import local
from pepr_kg.twin.sbml.renaming import Renaming, convert_clock, rename

# Bounds: submodels within submodels, elements after flattening, model files.
LIMIT_DEPTH = 40
LIMIT_ELEMENTS = 200_000
LIMIT_FILES = 100

_UNITS = {1.0: "lengthUnits", 2.0: "areaUnits", 3.0: "volumeUnits"}


@dataclass(frozen=True, slots=True)
class Flat:
    """A model element without submodels, and the bytes of the other files that it was made of."""

    model: Element
    files: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Copy:
    """One copy of a model: its elements by identifier, and the copies in it."""

    model: Element
    symbols: dict[str, Element] = field(default_factory=dict)
    units: dict[str, Element] = field(default_factory=dict)
    metaids: dict[str, Element] = field(default_factory=dict)
    ports: dict[str, Element] = field(default_factory=dict)
    submodels: dict[str, Element] = field(default_factory=dict)
    parts: list[Element] = field(default_factory=list)  # what the lists of the parent got from it


def attribute(node: Element, name: str) -> str:
    """Return an attribute of the package, which files write with its prefix; nothing where there is none."""
    return (node.get(f"{{{COMP}}}{name}") or node.get(name) or "").strip()


def flatten(document: Document, folder: Path | None) -> Flat:
    """Return the document's model without submodels. `folder` is where files that it refers to are; None where it
    came without one.

    Raises `ModelInvalid` for references that lead nowhere and for models that contain themselves, `ModelUnsupported`
    beyond the bounds, `ModelUnreadable` for a file that is missing or outside the folder.
    """
    model = child(document.root, "model")
    if model is None:
        raise ModelUnreadable(model=document.name, detail=two("it holds no model", "il ne contient aucun modèle"))
    if not any(node.tag.startswith(f"{{{COMP}}}") for node in document.root.iter()):
        return Flat(model)
    flattener = _Flattener(document, folder)
    flattener.measure(model, document, ())
    return Flat(flattener.build(model, document).model, tuple(flattener.files.values()))


class _Flattener:
    def __init__(self, document: Document, folder: Path | None) -> None:
        self.name, self.folder = document.name, folder
        self.parents: dict[Element, Element] = {}
        self.copies: dict[Element, _Copy] = {}  # of the element of a submodel
        self.moved: dict[Element, Element] = {}  # what stands for an element that was replaced
        self.files: dict[Path, bytes] = {}
        self.documents: dict[Path, Document] = {}
        self.places: dict[int, Path | None] = {id(document): folder}
        self.sizes: dict[Element, int] = {}

    def invalid(self, symbol: str, english: str, french: str) -> ModelInvalid:
        return ModelInvalid(model=self.name, symbol=symbol, detail=two(english, french))

    def measure(self, source: Element, document: Document, above: tuple[Element, ...]) -> int:
        """Return the number of elements that a model will have when it is flat, before any copy is made.

        Raises `ModelInvalid` for a model that contains itself, `ModelUnsupported` beyond the bounds.
        """
        if source in above:
            name = source.get("id") or "model"
            raise self.invalid(name, "it contains itself", "il se contient lui-même")
        if len(above) > LIMIT_DEPTH:
            raise self.too_large()
        if source not in self.sizes:
            found = sum(1 for _ in source.iter())
            for node in listed(source, "listOfSubmodels"):
                found += self.measure(*self.definition(attribute(node, "modelRef"), document), (*above, source))
            self.sizes[source] = found
        if self.sizes[source] > LIMIT_ELEMENTS:
            raise self.too_large()
        return self.sizes[source]

    def too_large(self) -> ModelUnsupported:
        detail = two(
            f"it would have more than {LIMIT_ELEMENTS} elements or {LIMIT_DEPTH} levels",
            f"il compterait plus de {LIMIT_ELEMENTS} éléments ou de {LIMIT_DEPTH} niveaux",
        )
        return ModelUnsupported(model=self.name, construct="comp", detail=detail)

    # One level -------------------------------------------------------------------------------------------------------

    def build(self, source: Element, document: Document) -> _Copy:
        """Return a flat copy of a model element."""
        model = copy.deepcopy(source)
        here = self.register(model)
        here.submodels.update({attribute(node, "id"): node for node in listed(model, "listOfSubmodels")})
        deleted: dict[tuple[str, str], Element] = {}
        names: dict[str, _Names] = {}
        for name, node in here.submodels.items():
            definition, home = self.definition(attribute(node, "modelRef"), document)
            copied = self.copies[node] = self.build(definition, home)
            names[name] = _Names(copied.model)  # now, for what is taken out is still read
            for order in listed(node, "listOfDeletions"):
                target = self.resolve(copied, order)
                self.remove(target)
                deleted[name, attribute(order, "id")] = target
        renaming = self.replace(here, deleted)
        for name, node in here.submodels.items():
            self.join(here, name, node, names[name])
        rename(model, renaming, self.name)
        for part in list(model):
            if part.tag.startswith(f"{{{COMP}}}"):
                model.remove(part)
        return here

    def register(self, model: Element) -> _Copy:
        here = _Copy(model)
        for parent in model.iter():
            for node in parent:
                self.parents[node] = parent
        for node in _elements(model):
            if node.get("metaid"):
                here.metaids[node.get("metaid", "")] = node
            if local(node) == "port":
                here.ports[attribute(node, "id")] = node
            elif local(node) == "unitDefinition":
                here.units[node.get("id", "")] = node
            elif node.get("id") and not self.is_local(node):
                here.symbols[node.get("id", "")] = node
        return here

    def is_local(self, node: Element) -> bool:
        """Whether it is a parameter of a kinetic law, whose name nothing else can see."""
        parent = self.parents.get(node)
        return (
            parent is not None and local(self.parents.get(parent, parent)) == "kineticLaw" and "arameter" in local(node)
        )

    def definition(self, name: str, document: Document) -> tuple[Element, Document]:
        """Return the model element that a submodel is a copy of, and the document that it is in."""
        main = child(document.root, "model")
        if main is not None and main.get("id") == name:
            return main, document
        for node in listed(document.root, "listOfModelDefinitions"):
            if node.get("id") == name:
                return node, document
        for node in listed(document.root, "listOfExternalModelDefinitions"):
            if attribute(node, "id") == name:
                return self.external(attribute(node, "source"), attribute(node, "modelRef"), document)
        raise self.invalid(
            name or "submodel", "no model definition has this name", "aucune définition de modèle ne porte ce nom"
        )

    def external(self, source: str, name: str, document: Document) -> tuple[Element, Document]:
        if self.folder is None:
            detail = two(
                f"{source} has no place: read the model from a file",
                f"{source} n’a pas de lieu : lisez le modèle depuis un fichier",
            )
            raise ModelUnreadable(model=self.name, detail=detail)
        root = self.folder.resolve()
        path = ((self.places[id(document)] or root) / source).resolve()
        if "://" in source or not path.is_relative_to(root) or len(self.files) >= LIMIT_FILES:
            detail = two(f"{source} is not beside it", f"{source} n’est pas à côté de lui")
            raise ModelUnreadable(model=self.name, detail=detail)
        if path not in self.documents:
            self.files[path] = read_bytes(path, self.name)
            found = read_document(self.files[path], name=self.name, source=str(path))
            self.documents[path] = found
            self.places[id(found)] = path.parent
        found = self.documents[path]
        main = child(found.root, "model")
        if name:
            return self.definition(name, found)
        if main is None:
            raise ModelUnreadable(
                model=self.name, detail=two(f"{source} holds no model", f"{source} ne contient aucun modèle")
            )
        return main, found

    # References ------------------------------------------------------------------------------------------------------

    def resolve(self, copied: _Copy, reference: Element) -> Element:
        """Return the element that a reference into a copy means; one that was replaced is what replaced it."""
        inner = child(reference, "sBaseRef")
        if inner is not None:
            name = attribute(reference, "idRef")
            port = copied.ports.get(attribute(reference, "portRef"))
            name = name or (attribute(port, "idRef") if port is not None else "")
            return self.resolve(self.inside(copied, name), inner)
        places = (
            ("idRef", {**copied.submodels, **copied.symbols}),
            ("metaIdRef", copied.metaids),
            ("unitRef", copied.units),
        )
        for kind, place in places:
            name = attribute(reference, kind)
            if name:
                if name not in place:
                    raise self.nowhere(name)
                found = place[name]
                while found in self.moved:
                    found = self.moved[found]
                return found
        name = attribute(reference, "portRef")
        if name not in copied.ports:
            raise self.nowhere(name)
        return self.resolve(copied, copied.ports[name])

    def inside(self, copied: _Copy, name: str) -> _Copy:
        """Return the copy that a submodel of a copy is, or of what replaced that submodel."""
        if name not in copied.submodels:
            raise self.nowhere(name)
        found = copied.submodels[name]
        while found in self.moved:
            found = self.moved[found]
        if found not in self.copies:
            raise self.nowhere(name)
        return self.copies[found]

    def nowhere(self, name: str) -> ModelInvalid:
        return self.invalid(
            name or "sBaseRef", "the submodel has no such element", "le sous-modèle n’a pas cet élément"
        )

    def remove(self, node: Element) -> None:
        """Take an element out; a submodel goes with all that came from it."""
        if node in self.copies:
            for part in self.copies[node].parts:
                self.remove(part)
            return
        parent = self.parents.pop(node, None)
        if parent is not None:
            parent.remove(node)

    # Replacing -------------------------------------------------------------------------------------------------------

    def replace(self, here: _Copy, deleted: dict[tuple[str, str], Element]) -> Renaming:
        """Take out what is replaced; return where the references to it go."""
        found = Renaming()
        for node in list(_elements(here.model)):
            for reference in listed(node, "listOfReplacedElements"):
                name, gone = self.target(here, reference, deleted)
                if gone is node:
                    continue
                self.remove(gone)
                self.moved[gone] = node
                if gone.get("id") and node.get("id"):
                    old, new = f"{name}__{gone.get('id')}", node.get("id", "")
                    (found.units if local(gone) == "unitDefinition" else found.symbols)[old] = new
                    factor = attribute(reference, "conversionFactor")
                    if factor:
                        found.factors[old] = factor
        for node in list(_elements(here.model)):
            by = child(node, "replacedBy")
            if by is not None:
                name, kept = self.target(here, by, deleted)
                self.remove(node)
                self.moved[node] = kept
                if kept.get("id") and node.get("id"):
                    place = found.units if local(kept) == "unitDefinition" else found.symbols
                    place[f"{name}__{kept.get('id')}"] = node.get("id", "")
        return found

    def target(self, here: _Copy, reference: Element, deleted: dict[tuple[str, str], Element]) -> tuple[str, Element]:
        name = attribute(reference, "submodelRef")
        copied = self.inside(here, name)
        deletion = attribute(reference, "deletion")
        if deletion:
            if (name, deletion) not in deleted:
                raise self.nowhere(deletion)
            return name, deleted[name, deletion]
        return name, self.resolve(copied, reference)

    def join(self, here: _Copy, name: str, node: Element, names: "_Names") -> None:
        """Give a copy its prefix and its parent's clock, and move its elements into the parent's lists."""
        copied = self.copies[node]
        model = copied.model
        _hand_down(model)
        reactions = {f"{name}__{item.get('id')}" for item in listed(model, "listOfReactions") if item.get("id")}
        rename(model, names.prefixed(f"{name}__"), self.name)
        convert_clock(
            model,
            attribute(node, "timeConversionFactor"),
            attribute(node, "extentConversionFactor"),
            reactions,
            self.name,
        )
        for group in list(model):
            if not local(group).startswith("listOf"):
                continue
            own = child(here.model, local(group))
            if own is None:
                own = Element(group.tag)
                here.model.append(own)
                self.parents[own] = here.model
            for item in list(group):
                own.append(item)
                self.parents[item] = own
                copied.parts.append(item)


class _Names:
    """The identifiers that a flat model uses at this moment."""

    def __init__(self, model: Element) -> None:
        self.symbols: set[str] = set()
        self.units: set[str] = set()
        parents = {node: parent for parent in model.iter() for node in parent}
        for node in _elements(model):
            name = node.get("id")
            if not name or node is model:
                continue
            if local(node) == "unitDefinition":
                self.units.add(name)
            elif local(parents.get(parents[node], node)) != "kineticLaw" or "arameter" not in local(node):
                self.symbols.add(name)

    def prefixed(self, prefix: str) -> Renaming:
        """Return the renaming that puts a prefix before each of them, and before all metaids."""
        symbols = {name: f"{prefix}{name}" for name in self.symbols}
        return Renaming(symbols, {name: f"{prefix}{name}" for name in self.units}, {}, prefix)


def _hand_down(model: Element) -> None:
    """Write what elements inherit from their model onto them, before they move into another one."""
    for species in listed(model, "listOfSpecies"):
        for key in ("conversionFactor", "substanceUnits"):
            value = model.get(key)
            if value and not species.get(key):
                species.set(key, value)
    for compartment in listed(model, "listOfCompartments"):
        try:
            key = _UNITS.get(float(compartment.get("spatialDimensions") or "nan"), "")
        except ValueError:
            continue
        value = model.get(key)
        if value and not compartment.get("units"):
            compartment.set("units", value)


def _elements(model: Element) -> Iterator[Element]:
    """Yield the elements of a model, without those of formulas and annotations."""
    stack = [model]
    while stack:
        node = stack.pop()
        yield node
        stack += [part for part in children(node) if local(part) not in ("math", "annotation", "notes")]
