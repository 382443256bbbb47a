"""What each release of FHIR says of its elements: name, type, list, choice and the place of definition.

The tables in `tables/` are made by `scripts/fhir_tables.py` from HL7's own definitions, and say their package, version
and licence. R6 has no package yet: R5's table serves, and what R6 adds is reported as unknown.

>>> table = load_table("R5")
>>> table.elements("Observation")["valueQuantity"]
Element(name='valueQuantity', stem='value', type='Quantity', path='Quantity', base='Observation.valueQuantity', \
is_list=False, is_choice=True, is_primitive=False, is_resource=False)
>>> table.elements("Observation.component")["referenceRange"].path
'Observation.referenceRange'
>>> [element.type for element in table.choices("Annotation", "author")]
['Reference', 'string']
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "tables"
_FILES = {"R4": "r4", "R4B": "r4b", "R5": "r5", "R6": "r5"}
_ANY_RESOURCE = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class Element:
    """A child of a type or of a part of one.

    `name` is the JSON name and `stem` what a choice has before its type (else the name); `path` is the key of its
    children in `Table.elements`, empty for a primitive and for a resource, whose `resourceType` decides; `base` is R4's
    predicate, without its namespace.
    """

    name: str
    stem: str
    type: str
    path: str
    base: str
    is_list: bool
    is_choice: bool
    is_primitive: bool
    is_resource: bool


class Table:
    """The elements of one release. Lookups are remembered; a table is not changed after it is made."""

    def __init__(self, source: Mapping[str, object]) -> None:
        self.release = str(source["release"])
        self.package = f"{source['package']} {source['packageVersion']}"
        self.primitives: frozenset[str] = frozenset(source["primitives"])  # type: ignore[call-overload]
        self.resources: frozenset[str] = frozenset(source["resources"])  # type: ignore[call-overload]
        self._types: Mapping[str, tuple[str, Mapping[str, str]]] = source["types"]  # type: ignore[assignment]
        self._elements: dict[str, Mapping[str, Element]] = {}
        self._bases: dict[str, Mapping[str, Element]] = {}
        self._choices: dict[str, Mapping[str, tuple[Element, ...]]] = {}

    def __contains__(self, path: str) -> bool:
        """Return whether a type, or a part with elements of its own, is known."""
        return path in self._types

    @property
    def paths(self) -> Iterable[str]:
        """Return every type and every part of one, as `elements` takes them."""
        return self._types.keys()

    def parent(self, path: str) -> str:
        """Return the type that a type or part takes its other elements from; empty at the root."""
        return self._types[path][0]

    def elements(self, path: str) -> Mapping[str, Element]:
        """Return the elements of a type or part by JSON name, the inherited ones first. Raises `KeyError`."""
        found = self._elements.get(path)
        if found is None:
            found = self._elements[path] = self._expand(path)
        return found

    def by_base(self, path: str) -> Mapping[str, Element]:
        """Return the elements of a type or part by R4's predicate. Raises `KeyError`."""
        found = self._bases.get(path)
        if found is None:
            found = self._bases[path] = {element.base: element for element in self.elements(path).values()}
        return found

    def choices(self, path: str, stem: str) -> tuple[Element, ...]:
        """Return the elements that share a stem: several for a choice, one for others, none where it is unknown."""
        found = self._choices.get(path)
        if found is None:
            groups: dict[str, list[Element]] = {}
            for element in self.elements(path).values():
                groups.setdefault(element.stem, []).append(element)
            found = self._choices[path] = {name: tuple(group) for name, group in groups.items()}
        return found.get(stem, ())

    def _expand(self, path: str) -> Mapping[str, Element]:
        parent, own = self._types[path]
        found = dict(self.elements(parent)) if parent in self._types else {}
        for name, text in own.items():
            found.update((element.name, element) for element in self._read(path, name, text))
        return found

    def _read(self, path: str, name: str, text: str) -> list[Element]:
        kinds, _, base = text.partition(" @")
        is_list = kinds.endswith("*")
        kinds = kinds.removesuffix("*")
        stem = name.removesuffix("[x]")
        base = base.removesuffix("[x]") or f"{path}.{stem}"
        if kinds.startswith("#"):
            target = kinds[1:]
            return [Element(name, name, self.parent(target), target, base, is_list, False, False, False)]
        found = []
        for kind in kinds.split(" "):
            is_choice = name != stem
            suffix = kind[0].upper() + kind[1:] if is_choice else ""
            is_primitive = kind in self.primitives
            is_resource = kind in _ANY_RESOURCE or kind in self.resources
            children = "" if is_primitive or is_resource else kind
            found.append(
                Element(
                    name=stem + suffix,
                    stem=stem,
                    type=kind,
                    path=children,
                    base=base + suffix,
                    is_list=is_list,
                    is_choice=is_choice,
                    is_primitive=is_primitive,
                    is_resource=is_resource,
                )
            )
        return found


@cache
def load_table(release: str) -> Table:
    """Return the table of "R4", "R4B", "R5" or "R6" (R5's: no package of R6 exists). Raises `KeyError` for others."""
    path = _FOLDER / f"{_FILES[release]}.json"
    return Table(json.loads(path.read_text(encoding="utf-8")))
