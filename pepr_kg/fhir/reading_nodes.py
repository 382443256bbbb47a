"""One resource of a graph as JSON, by the table of a release."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from pepr_kg.fhir.exact import DEPTH, Json, read_json
from pepr_kg.fhir.exact_errors import BadJson
from pepr_kg.fhir.problems import Problem
from pepr_kg.fhir.reading_graph import (
    CLASS,
    ELEMENT_JSON,
    ELEMENT_NAME,
    FHIR,
    NIL,
    RESOURCE_JSON,
    ROLE,
    UNRECOGNISED,
    Graph,
    Links,
)  # fmt: skip
from pepr_kg.fhir.reading_problems import problem
from pepr_kg.fhir.reading_values import deduce_type, literal_value
from pepr_kg.fhir.tables import Element, Table, load_table
from pepr_kg.rdf import Literal, NamedNode, Term

# Said of nodes, and no elements; `value` is one only where R4's predicates are not used.
_NO_ELEMENTS: Final = frozenset({CLASS, ROLE, "index", "v", "l", "link"})
_ELEMENT: Final = "Element"  # the type that primitives are made of

Field = tuple[int, tuple[Element, ...]]


@dataclass(frozen=True, slots=True)
class Style:
    """How a graph says things: the table that its elements are looked up in, and the letter of its dialect.

    What was looked up once is remembered.
    """

    table: Table
    letter: str
    _fields: dict[str, Mapping[str, Field]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_r4(self) -> bool:
        """Return whether predicates carry the type that defines them."""
        return self.letter == "A"

    def fields(self, path: str) -> Mapping[str, Field]:
        """Return the elements of a type or part by predicate, each with its place in the order of the table."""
        found = self._fields.get(path)
        if found is None:
            elements = list(self.table.elements(path if path in self.table else _ELEMENT).values())
            if self.is_r4:
                # Some tools write the predicate of a subtype (`fhir:string.extension`): the last part is enough then.
                loose = {"." + element.name: (n, (element,)) for n, element in enumerate(elements)}
                found = {**loose, **{element.base: (n, (element,)) for n, element in enumerate(elements)}}
            else:
                stems: dict[str, Field] = {}
                for number, element in enumerate(elements):
                    order, group = stems.get(element.stem, (number, ()))
                    stems[element.stem] = order, (*group, element)
                # A modifier extension renames the way to its holder: `fhir:_component`.
                found = {**{"_" + name: known for name, known in stems.items()}, **stems}
            self._fields[path] = found
        return found


@cache
def style_of(release: str, letter: str) -> Style:
    """Return the style of a dialect with the elements of a release. Raises `KeyError` for an unknown release."""
    return Style(load_table(release), letter)


def read_resource(graph: Graph, root: Term, style: Style) -> tuple[dict[str, Json], list[Problem]]:
    """Return a resource as JSON, its keys in the order of the table, and what was wrong with it."""
    reader = _Reader(graph, style)
    return reader.resource(root, "", 1), reader.problems


class _Reader:
    def __init__(self, graph: Graph, style: Style) -> None:
        self.graph, self.style = graph, style
        self.problems: list[Problem] = []
        self._read: set[Term] = set()
        self._untyped = style.letter == "B"
        self._value = "value" if style.is_r4 else "v"

    def report(self, code: str, path: str, **fields: object) -> None:
        self.problems.append(problem(code, path, release=self.style.table.release, **fields))

    def resource(self, term: Term, where: str, depth: int) -> dict[str, Json]:
        """Return a resource, contained or not."""
        kinds = [name.removeprefix("_") for name in self.graph.classes(term)]
        known = [name for name in kinds if name in self.style.table.resources]
        kind = (known or kinds or [""])[0]
        place = where or kind or "."
        if not kind:
            self.report("resource-type-missing", place)
        elif not known:
            self.report("unknown-resource", place, name=kind)
        elif len(set(known)) > 1:
            self.report("too-many-values", place, count=len(set(known)))
        found: dict[str, Json] = {"resourceType": kind} if kind else {}
        kept = self.graph.links(term).get(RESOURCE_JSON)
        if kept and isinstance(kept[0], Literal):
            whole = self._kept(kept[0], place)
            if isinstance(whole, dict):
                return whole
        self._body(term, kind if known else "DomainResource", place, depth, found)
        return found

    def _body(self, term: Term, path: str, where: str, depth: int, found: dict[str, Json]) -> None:
        """Add the elements of a node to what was found of it."""
        if isinstance(term, Literal):
            self.report("literal-unexpected", where)
            return
        if depth > DEPTH:
            self.report("too-deep", where, count=DEPTH)
            return
        if term in self._read:
            self.report("node-shared", where)
            return
        self._read.add(term)
        links = self.graph.links(term)
        fields = self.style.fields(path)
        known: list[tuple[Field, list[Term]]] = []
        unknown: list[str] = []
        for name, values in links.items():
            place = fields.get(name)
            if place is not None:
                known.append((place, values))
            elif name not in _NO_ELEMENTS and not (name == "value" and self.style.is_r4) and name != UNRECOGNISED:
                loose = fields.get("." + name.rpartition(".")[2]) if self.style.is_r4 else None
                if loose is not None:
                    known.append((loose, values))
                elif not name.startswith(("http:", "https:", "urn:")):
                    unknown.append(name)
        known.sort(key=_order)
        for (_, elements), values in known:
            self._element(elements, values, where, depth, found)
        for name in unknown:
            self._unknown(name, links[name], where, depth, found)
        for value in links.get(UNRECOGNISED, ()):
            self._unrecognised(value, where, found)

    def _element(
        self, elements: tuple[Element, ...], values: list[Term], where: str, depth: int, found: dict[str, Json]
    ) -> None:
        """Add one element: its value or values, and, of a primitive, what extends them."""
        place = f"{where}.{elements[0].stem}"
        items, is_array = self._items(elements[0], values, place)
        element = elements[0] if len(elements) == 1 else self._choose(elements, items, place)
        if element.name in found or "_" + element.name in found:
            self.report("name-taken", place, name=element.name)
            return
        add = self._primitives if element.is_primitive else self._parts
        add(element, items, place, depth + 1 + is_array, found, is_array=is_array)

    def _primitives(
        self, element: Element, items: list[Term], place: str, depth: int, found: dict[str, Json], *, is_array: bool
    ) -> None:
        """Add the values of a primitive under its name and what extends them under `_name`, null for what is not."""
        plain: list[Json] = []
        extra: list[Json] = []
        for number, item in enumerate(items):
            value, extension = self._primitive(item, element, f"{place}[{number}]" if is_array else place, depth)
            plain.append(value)
            extra.append(extension)
        for name, values in ((element.name, plain), ("_" + element.name, extra)):
            if any(value is not None for value in values):
                found[name] = values if is_array else values[0]
        if is_array and not items:
            found[element.name] = []

    def _parts(
        self, element: Element, items: list[Term], place: str, depth: int, found: dict[str, Json], *, is_array: bool
    ) -> None:
        """Add the values of an element that has elements itself, or is a resource."""
        read: list[Json] = []
        for number, item in enumerate(items):
            at = f"{place}[{number}]" if is_array else place
            part: dict[str, Json] = {}
            if not element.is_resource:
                self._body(item, element.path, at, depth, part)
            elif isinstance(item, NamedNode) and item not in self.graph.nodes:
                self.report("resource-absent", at, name=item.value)
                continue
            else:
                part = self.resource(item, at, depth)
            read.append(part)
        if is_array:
            found[element.name] = read
        elif read:
            found[element.name] = read[0]

    def _items(self, element: Element, values: list[Term], place: str) -> tuple[list[Term], bool]:
        """Return the values of an element in order, and whether they are an array."""
        if len(values) > 1:
            values = list(dict.fromkeys(values))
        if self.style.is_r4:
            if not element.is_list and len(values) > 1:
                self.report("too-many-values", place, count=len(values))
                return values[:1], False
            return (self._indexed(values, place), True) if element.is_list else (values, False)
        lists = [value for value in values if self.graph.is_list(value)]
        if not lists:
            if element.is_list:
                self.report("list-expected", place)
                return values, True
            if len(values) > 1:
                self.report("too-many-values", place, count=len(values))
            return values[:1], False
        if len(values) > 1:
            self.report("too-many-values", place, count=len(values))
        if not element.is_list:
            self.report("list-unexpected", place)
        items, fault = self.graph.items(lists[0])
        if fault:
            self.report("list-broken", place, fault=fault)
        # Tools of 2024 put the one resource of an entry into a list.
        return items, element.is_list or len(items) > 1

    def _indexed(self, values: list[Term], place: str) -> list[Term]:
        """Return R4's values in the order of `fhir:index`."""
        if len(values) == 1:
            return values
        placed: list[tuple[float, Term]] = []
        for value in values:
            numbers = self.graph.links(value).get("index", ())
            text = numbers[0].value if len(numbers) == 1 and isinstance(numbers[0], Literal) else ""
            placed.append((int(text) if text.isascii() and text.isdigit() else float("inf"), value))
        if len({number for number, _ in placed} - {float("inf")}) < len(placed):
            self.report("index-missing", place)
        placed.sort(key=_place)
        return [value for _, value in placed]

    def _choose(self, elements: tuple[Element, ...], items: list[Term], place: str) -> Element:
        """Return the element of a choice that a node's class names, or that its value allows."""
        item = items[0] if items else NIL
        kinds = self.graph.classes(item)
        for kind in kinds:
            name = kind.removeprefix("_")
            for element in elements:
                if name == element.type or (
                    element.is_primitive and name == element.type[0].upper() + element.type[1:]
                ):
                    return element
        if kinds:
            self.report("type-unexpected", place, name=kinds[0])
        links = self.graph.links(item)
        value = item if isinstance(item, Literal) else next(iter(links.get(self._value, ())), None)
        found = None
        if isinstance(value, Literal):
            found = deduce_type(elements, value, is_linked="link" in links or "l" in links)
        if found is None:
            parts = [element for element in elements if not element.is_primitive] or list(elements)
            found = max(parts, key=lambda element: self._fit(links, element.path))
        if not kinds:
            self.report("type-deduced", place, name=found.type)
        return found

    def _fit(self, links: Links, path: str) -> int:
        """Return how many of a node's predicates a type has, each for a value or for a structure as the node says."""
        fields = self.style.fields(path)
        values = ((fields[name][1][0], links[name][0]) for name in links if name in fields and name not in _NO_ELEMENTS)
        return sum(element.is_primitive == (self._value in self.graph.links(value)) for element, value in values)

    def _primitive(self, term: Term, element: Element, place: str, depth: int) -> tuple[Json, dict[str, Json] | None]:
        """Return the value of a primitive, and its id and extensions; None for what it has not."""
        if isinstance(term, Literal):
            return self._literal(term, element.type, place), None
        links = self.graph.links(term)
        if not links and isinstance(term, NamedNode):
            self.report("iri-unexpected", place, name=term.value)
            return term.value, None
        values = links.get(self._value, ())
        literals = [value for value in values if isinstance(value, Literal)]
        if len(literals) > 1:
            literals = list(dict.fromkeys(literals))
            if len(literals) > 1:
                self.report("too-many-values", place, count=len(literals))
        plain = self._literal(literals[0], element.type, place) if literals else None
        if len(links) == 1 and literals:
            return plain, None
        extra: dict[str, Json] = {}
        self._body(term, _ELEMENT, place, depth, extra)
        return plain, extra or None

    def _literal(self, literal: Literal, kind: str, place: str) -> Json:
        value, code = literal_value(literal, kind, untyped=self._untyped)
        if code:
            self.report(code, place, name=literal.value, to=str(value))
        return value

    def _unknown(self, name: str, values: list[Term], where: str, depth: int, found: dict[str, Json]) -> None:
        """Add what the table does not know, as the graph alone lets it be read."""
        last = name.rpartition(".")[2].removeprefix("_")
        self.report("unknown-element", f"{where}.{last}", name=last)
        if last in found or "_" + last in found:
            self.report("name-taken", f"{where}.{last}", name=last)
            return
        parts = [self._generic(value, f"{where}.{last}", depth + 1) for value in dict.fromkeys(values)]
        found[last] = parts[0] if len(parts) == 1 else parts

    def _generic(self, term: Term, where: str, depth: int) -> Json:
        if isinstance(term, Literal):
            return self._literal(term, "", where)
        if self.graph.is_list(term):
            return self._generic_list(term, where, depth)
        links = self.graph.links(term)
        values = links.get(self._value, ())
        if values and isinstance(values[0], Literal) and set(links) <= {self._value, *_NO_ELEMENTS}:
            return self._literal(values[0], "", where)
        found: dict[str, Json] = {}
        if isinstance(term, NamedNode) and not links:
            return term.value.removeprefix(FHIR)
        self._body(term, _ELEMENT, where, depth, found)
        return found

    def _generic_list(self, head: Term, where: str, depth: int) -> list[Json]:
        if depth > DEPTH:
            self.report("too-deep", where, count=DEPTH)
            return []
        if head in self._read:
            self.report("node-shared", where)
            return []
        if head != NIL:
            self._read.add(head)
        items, fault = self.graph.items(head)
        if fault:
            self.report("list-broken", where, fault=fault)
        return [self._generic(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(items)]

    def _unrecognised(self, term: Term, where: str, found: dict[str, Json]) -> None:
        """Add an element that was kept as JSON because no table knows it."""
        links = self.graph.links(term)
        names, texts = links.get(ELEMENT_NAME, ()), links.get(ELEMENT_JSON, ())
        if len(names) != 1 or len(texts) != 1 or not isinstance(texts[0], Literal) or not isinstance(names[0], Literal):
            self.report("kept-json-broken", where, name=UNRECOGNISED)
            return
        name = names[0].value
        if name in found:
            self.report("name-taken", f"{where}.{name}", name=name)
            return
        found[name] = self._kept(texts[0], f"{where}.{name}")

    def _kept(self, literal: Literal, where: str) -> Json:
        try:
            return read_json(literal.value)
        except BadJson as error:
            self.report("kept-json-broken", where, name=error)
            return literal.value


def _order(part: tuple[Field, list[Term]]) -> int:
    return part[0][0]


def _place(part: tuple[float, Term]) -> float:
    return part[0]
