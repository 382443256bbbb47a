"""What the writer knows of each path of a dialect: predicates, labels, literals, and the pieces made before.

A `Node` is a type or a part of one, a `Child` an element of it. Each child remembers finished pieces by the JSON that
they were made of, so that a coding, a unit or a reference that comes again costs one lookup. A `Shape` is a set of keys
in their order: real data have few, so what keys mean is found out once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pepr_kg.fhir.dialect import Dialect
from pepr_kg.fhir.tables import Element
from pepr_kg.fhir.writing_syntax import Notation
from pepr_kg.fhir.writing_values import Literal, Literals

_LETTERS: Final = 26
_LITERAL_PLACE: Final = b"\x02"
_ANY_KEY_BYTES: Final = 4  # two quotes, a colon, and a comma or bracket
# Values that do not come again, so that it is no use to remember what was made of them.
_UNIQUE: Final = frozenset({"id", "instant", "base64Binary", "xhtml"})
LINKED: Final = frozenset({"uri", "url", "canonical", "oid", "uuid"})


class Child:
    """An element of a node in a dialect: its terms, and the pieces made so far (`memo`, by JSON)."""

    __slots__ = (
        "class_piece", "element", "get", "head", "is_linked", "is_unique", "label", "literal", "memo", "node",
        "predicate", "renamed", "tail",
    )  # fmt: skip

    def __init__(self, element: Element, position: int, dialect: Dialect, syntax: Notation, literals: Literals) -> None:
        """Prepare the element; `position` among its siblings names its blank node."""
        self.element = element
        self.label = f"{chr(65 + position // _LETTERS)}{chr(97 + position % _LETTERS)}".encode()
        name = element.base if dialect.indexed else element.stem
        self.predicate = syntax.name(name)
        self.renamed = syntax.name(f"_{name}") if dialect.underscore else self.predicate
        self.class_piece = b""
        if element.is_choice and not dialect.indexed:
            self.class_piece = syntax.statement(syntax.type, syntax.name(dialect.class_name(element.type)))
        self.literal: Literal = literals.of(element.type)
        linked = LINKED if dialect.uri_links else {"canonical"}
        self.is_linked = element.is_primitive and element.type in linked
        # What an entry's resource becomes depends on the fullUrl beside it too.
        self.is_unique = element.type in _UNIQUE or element.base in {"Resource.id", "Bundle.entry.resource"}
        self.memo: dict[bytes, bytes] = {}
        self.get: Callable[[bytes], bytes | None] = self.memo.get
        self.node: Node | None = None  # of its children, found when it is first met
        self.head = self.tail = b""
        if element.is_primitive:
            value = syntax.statement(syntax.name(dialect.value), _LITERAL_PLACE)
            pieces = [self.class_piece, value] if self.class_piece else [value]
            piece = syntax.nested(self.predicate, self.label, syntax.join(pieces))
            if dialect.indexed and element.type == "xhtml":  # the one primitive without a node, in R4
                piece = syntax.statement(self.predicate, _LITERAL_PLACE)
            self.head, _, self.tail = piece.partition(_LITERAL_PLACE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A primitive that comes in two halves: the positions of its value (None where absent) and of its `_` companion."""

    child: Child
    value: int | None
    extras: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a set of keys means.

    `children` and `gets` are in the order of the keys; they leave out the keys at `dropped`, which stand for no element
    of their own. `start` are pieces that need no value. `overhead` is the size of an object without white space around
    its values. `odd` is set where anything below needs a look.
    """

    start: tuple[bytes, ...]
    dropped: tuple[int, ...]
    children: tuple[Child, ...]
    gets: tuple[Callable[[bytes], bytes | None], ...]
    overhead: int
    odd: bool
    pairs: tuple[Pair, ...]
    unknown: tuple[tuple[int, str], ...]
    doubled: tuple[str, ...]
    modifier: bool


class Node:
    """A type, or a part of one, in a dialect. `inners` remembers what is said of it, by its JSON."""

    def __init__(self, path: str, children: Mapping[str, Child], class_pieces: tuple[bytes, bytes] | None) -> None:
        """Prepare; `class_pieces` say what a resource is, without and with a modifier extension."""
        self.path = path
        self.children = children
        self.class_pieces = class_pieces
        self.shapes: dict[tuple[str, ...], Shape] = {}
        self.inners: dict[bytes, bytes] = {}

    def shape(self, names: tuple[str, ...]) -> Shape:
        """Return what these keys mean, in this order."""
        children, dropped, pairs, unknown = [], [], [], []
        positions = {name: position for position, name in enumerate(names)}
        for position, name in enumerate(names):
            child = self.children.get(name)
            if child is not None and not (f"_{name}" in positions and child.element.is_primitive):
                children.append(child)
                continue
            dropped.append(position)
            base = self.children.get(name[1:]) if name.startswith("_") else None
            if child is not None:
                continue  # done with its companion
            if base is not None and base.element.is_primitive:
                pairs.append(Pair(base, positions.get(name[1:]), position))
            elif not (name == "resourceType" and self.class_pieces):
                unknown.append((position, name))
        stems: dict[str, set[str]] = {}
        for name in names:
            found = self.children.get(name.removeprefix("_"))
            if found is not None and found.element.is_choice:
                stems.setdefault(found.element.stem, set()).add(found.element.name)
        doubled = tuple(", ".join(sorted(group)) for group in stems.values() if len(group) > 1)
        plain = all(name.isascii() and '"' not in name and "\\" not in name and name.isprintable() for name in names)
        modifier = "modifierExtension" in positions
        return Shape(
            start=(self.class_pieces[modifier],) if self.class_pieces else (),
            dropped=tuple(reversed(dropped)),
            children=tuple(children),
            gets=tuple(child.get for child in children),
            overhead=sum(len(name) + _ANY_KEY_BYTES for name in names) + 1 if plain and names else -1,
            odd=bool(pairs or unknown or doubled or modifier or not names),
            pairs=tuple(pairs),
            unknown=tuple(unknown),
            doubled=doubled,
            modifier=modifier,
        )


class Plan:
    """The nodes of a dialect in a syntax, made when they are first met."""

    def __init__(self, dialect: Dialect, syntax: Notation) -> None:
        self._dialect = dialect
        self._syntax = syntax
        self._literals = Literals(syntax, dialect)
        self._table = dialect.table
        self._nodes: dict[str, Node] = {}

    def node(self, path: str) -> Node:
        """Return the node of a path of the table. Raises `KeyError`."""
        found = self._nodes.get(path)
        if found is None:
            elements = self._table.elements(path)
            children = {
                name: Child(element, position, self._dialect, self._syntax, self._literals)
                for position, (name, element) in enumerate(elements.items())
            }
            classes = None
            if path in self._table.resources:
                name = self._dialect.class_name(path)
                names = (name, f"_{name}" if self._dialect.underscore else name)
                plain, modified = (self._syntax.statement(self._syntax.type, self._syntax.name(item)) for item in names)
                classes = plain, modified
            found = self._nodes[path] = Node(path, children, classes)
        return found

    def without_concepts(self) -> "Plan":
        """Return a plan of its own for resources whose codes are not to be classes (definitions, in R6)."""
        return Plan(replace(self._dialect, concept_iris="none"), self._syntax)

    @property
    def dialect(self) -> Dialect:
        """Return the dialect that the plan is for."""
        return self._dialect

    def forget(self) -> None:
        """Drop all remembered pieces."""
        for node in self._nodes.values():
            node.inners.clear()
            node.shapes.clear()
            for child in node.children.values():
                child.memo.clear()
