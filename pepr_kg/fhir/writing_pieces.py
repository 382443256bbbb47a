"""The pieces of a resource: JSON objects in, text about one node out, each kind of element in its way.

One `Pieces` serves one writer. It is told the context before each resource (`start`) and collects on the way what does
not belong into the piece itself: problems, the texts of Bundle entries that have names of their own, types of targets.
A piece is remembered only where making it had no such effect, and apart where it depends on the context.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pepr_kg.fhir.concepts import load_stems
from pepr_kg.fhir.dialect import FHIR, Dialect
from pepr_kg.fhir.errors import ResourceBroken
from pepr_kg.fhir.exact import read_json
from pepr_kg.fhir.iris import absolute_iri, escape_iri, is_relative, resolve_reference, service_base, version_in_query
from pepr_kg.fhir.writing_plan import Child, Node, Pair, Plan, Shape
from pepr_kg.fhir.writing_problems import Place, Problem, path_of, problem
from pepr_kg.fhir.writing_syntax import Notation
from pepr_kg.fhir.writing_targets import EntryNames, Targets
from pepr_kg.fhir.writing_values import FIELDS, Fields, json_text, kind_of, plain, text_of

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_DEPTH: Final = 100  # objects inside objects; an extension in an extension is one more
_LONGEST_KEY: Final = 2048  # bytes of JSON; what is longer hardly comes again
_ENTRY_OVERHEAD: Final = 200  # bytes that Python spends on remembering one piece
_MOST_SHAPES: Final = 512
_MOST_BASES: Final = 16
_OBJECT, _ARRAY, _STRING = ord("{"), ord("["), ord('"')
_SHOWN: Final = 60  # characters of a wrong value in a sentence


class Pieces:
    """Makes pieces in one dialect and syntax, for resources under one base."""

    def __init__(
        self, dialect: Dialect, syntax: Notation, base: str, *, label: str, memory: int, as_published: bool
    ) -> None:
        """Prepare for one writer; `label`, `memory` and `as_published` are its own."""
        self._syntax = syntax
        self._label = label
        self._memory = memory
        self._as_published = as_published
        self._plain_links = dialect.indexed or not dialect.uri_links
        self._resources = dialect.table.resources
        self._plans = {False: Plan(dialect, syntax)}
        if dialect.concept_iris == "codeable-concept":
            self._plans[True] = self._plans[False].without_concepts()
        self._known = {base: Targets(base)}
        self.base = base
        self.dialect = dialect
        self._link = syntax.name(dialect.link)
        self._value = syntax.name(dialect.value)
        self._index = syntax.name("index")
        self._json = b"^^" + syntax.name("JSON", "rdf")
        self._stems = load_stems(dialect.release, dialect.concept_stems)
        self._decorations: Mapping[str, Callable[[Fields], list[bytes]]] = {
            "Reference": self._reference,
            **({"Coding": self._coding} if dialect.concept_iris == "coding" else {}),
            **({"CodeableConcept": self._concept} if dialect.concept_iris == "codeable-concept" else {}),
        }
        self.held = 0  # bytes of remembered pieces
        self._count = 0
        self._effects = self._relatives = self._depth = 0
        self._entry_url: str | None = None
        self.plan = self._plans[False]
        self.targets = self._known[base]
        self.subject = ""
        self.problems: list[Problem] = []
        self.blocks: list[bytes] = []
        self.types: dict[str, str] = {}
        self.names = EntryNames()

    # What the writer calls.

    def start(self, type_name: str, targets: Targets, subject: str) -> None:
        """Begin a resource: drop what the last one left, and what is remembered if it has become too much."""
        self._relieve(targets)
        definition = self.dialect.concept_iris == "codeable-concept" and type_name.endswith("Definition")
        self.plan = self._plans[definition]
        self.targets = targets
        self.subject = subject
        self._effects = self._relatives = self._depth = 0
        self.problems, self.blocks, self.types = [], [], {}

    def _relieve(self, targets: Targets) -> None:
        """Drop what is remembered if it has become too much."""
        if self.held <= self._memory:
            return
        self.held = 0
        for plan in self._plans.values():
            plan.forget()
        for known in (*self._known.values(), targets):
            known.memo.clear()

    def relabel(self, label: str) -> None:
        """Begin anew with the labels of blank nodes."""
        self._label = label
        self._count = 0

    def targets_of(self, full_url: str | None) -> Targets:
        """Return the context of a resource that has this full URL, or none."""
        base = None if self._as_published or full_url is None else service_base(full_url)
        if base is None:
            return self._known[self.base]
        found = self._known.get(base)
        if found is None:
            if len(self._known) >= _MOST_BASES:
                self._known = {self.base: self._known[self.base]}
            found = self._known[base] = Targets(base)
        return found

    def prefix(self) -> bytes:
        """Return the start of the labels of the next named node's blank nodes."""
        self._count += 1
        return f"{self._label}{self._count}".encode()

    def note(self, code: str, place: Place | None, **fields: str) -> None:
        """Add a problem."""
        self._effects += 1
        self.problems.append(problem(code, place, **fields))

    # One object.

    def inner(self, node: Node, raw: bytes, place: Place) -> bytes:
        """Return the inside of a node from its JSON object."""
        return self._syntax.join(self.body(node, raw, FIELDS.decode(raw), place))

    def body(self, node: Node, raw: bytes, fields: Fields, place: Place) -> list[bytes]:
        """Return the pieces of a node whose fields are known already; those of a resource begin with its class."""
        names = tuple(fields)
        values = list(map(bytes, fields.values()))
        shape = node.shapes.get(names)
        if shape is None:
            if len(node.shapes) > _MOST_SHAPES:
                node.shapes.clear()
            shape = node.shapes[names] = node.shape(names)
        # A key that stands twice is lost in the dict. None does where the sizes add up, or each colon has its place.
        if len(raw) != shape.overhead + sum(map(len, values)):
            colons = len(names) + b"".join(values).count(b":")
            if raw.count(b":") != colons:
                read_json(raw)  # raises where a key stands twice; a colon in a key is no harm
        self._depth += 1
        if self._depth > _DEPTH:
            raise ResourceBroken(
                path=path_of(place)[:_SHOWN] + "…",
                detail={
                    "en": f"it is nested more than {_DEPTH} levels deep",
                    "fr": f"l’imbrication dépasse {_DEPTH} niveaux",
                },
            )
        decorate = self._decorations.get(node.path)
        if node.path == "Bundle.entry":
            self._entry_url = text_of(bytes(fields["fullUrl"])) if "fullUrl" in fields else None
        pieces = [*shape.start, *decorate(fields)] if decorate else [*shape.start]
        every = values
        if shape.dropped:
            values = values.copy()
            for position in shape.dropped:
                del values[position]
        pieces += [
            get(value) or self._piece(child, value, place)
            for get, child, value in zip(shape.gets, shape.children, values, strict=True)
        ]
        if shape.odd:
            pieces += self._odd(shape, every, place)
        self._depth -= 1
        return pieces

    def _odd(self, shape: Shape, values: list[bytes], place: Place) -> list[bytes]:
        """Return the pieces of what needs a look, and note it."""
        if not values:
            self.note("empty-object", place)
        if shape.modifier:
            self.note("modifier", (place, "modifierExtension", None))
        for group in shape.doubled:
            self.note("two-choices", place, names=group)
        pieces: list[bytes] = []
        for position, name in shape.unknown:
            self.note("unknown-element", (place, name, None), release=self.dialect.release, name=name)
            pieces.append(self._unrecognised(b"_%d" % position, name, values[position]))
        for pair in shape.pairs:
            value = None if pair.value is None else values[pair.value]
            pieces += self._paired(pair, value, values[pair.extras], place)
        return pieces

    def _unrecognised(self, label: bytes, name: str, raw: bytes) -> bytes:
        syntax = self._syntax
        inner = syntax.join([
            syntax.statement(syntax.name("elementName", "pepr"), msgspec.json.encode(name)),
            syntax.statement(syntax.name("elementJson", "pepr"), json_text(raw) + self._json),
        ])  # fmt: skip
        return syntax.nested(syntax.name("unrecognised", "pepr"), label, inner)

    def _misshapen(self, child: Child, name: str, expected: str, raw: bytes, place: Place) -> bytes:
        self.note("wrong-shape", (place, name, None), name=name, expected=expected)
        label = b"_" + child.label + (b"x" if name.startswith("_") else b"")
        return self._unrecognised(label, name, raw)

    # One element.

    def _piece(self, child: Child, raw: bytes, place: Place) -> bytes:
        """Return the piece of an element, and remember it where that is right."""
        targets = self.targets
        if targets.memo:
            known = targets.memo.get((child, raw))
            if known is not None:
                return known
        element = child.element
        effects, relatives = self._effects, self._relatives
        if element.is_list:
            piece = self._list(child, raw, None, place)
        elif element.is_primitive:
            literal = None if child.is_linked else child.literal(raw)
            piece = self._primitive(child, raw, place) if literal is None else child.head + literal + child.tail
        elif element.is_resource:
            piece = self._resource(child, raw, place)
        else:
            piece = self._complex(child, raw, place)
        if self._effects == effects and len(raw) <= _LONGEST_KEY and not child.is_unique:
            self.held += len(raw) + len(piece) + _ENTRY_OVERHEAD
            if self._relatives == relatives:
                child.memo[raw] = piece
            else:
                targets.memo[child, raw] = piece
        return piece

    def _node_of(self, child: Child) -> Node:
        if child.node is None:
            child.node = self.plan.node(child.element.path)
        return child.node

    def _predicate(self, child: Child, raw: bytes) -> bytes:
        """Return the predicate that leads to a node: another one where a modifier extension stands in it."""
        if child.renamed is child.predicate or b'"modifierExtension"' not in raw:
            return child.predicate
        items = _ITEMS.decode(raw) if raw[0] == _ARRAY else [raw]
        modified = any("modifierExtension" in FIELDS.decode(item) for item in items)
        return child.renamed if modified else child.predicate

    def _complex(self, child: Child, raw: bytes, place: Place) -> bytes:
        name = child.element.name
        if raw[0] != _OBJECT:
            return self._misshapen(child, name, "object", raw, place)
        inner = self.inner(self._node_of(child), raw, (place, name, None))
        return self._syntax.nested(self._predicate(child, raw), child.label, self._with_class(child, inner))

    def _with_class(self, child: Child, inner: bytes) -> bytes:
        """Return the inside of an element's node with the class that says which choice it is."""
        return self._syntax.both(self._syntax.join([child.class_piece]), inner) if child.class_piece else inner

    def _list(self, child: Child, raw: bytes, extras: list[bytes] | None, place: Place) -> bytes:
        element = child.element
        items = [bytes(item) for item in _ITEMS.decode(raw)] if raw[0] == _ARRAY else []
        if not items:
            return self._misshapen(child, element.name, "array", raw, place)
        inners: list[bytes] = []
        for position, item in enumerate(items):
            extra = None if extras is None else extras[position]
            inner = self._item(child, item, extra, (place, element.name, position), keep=len(items) > 1)
            if isinstance(inner, str):
                return self._misshapen(child, element.name, inner, raw, place)
            inners.append(inner)
        if not self.dialect.indexed:
            return self._syntax.collection(self._predicate(child, raw), child.label, inners)
        syntax, index = self._syntax, self._index
        return syntax.repeated(child.predicate, child.label, [
            syntax.both(syntax.join([syntax.statement(index, syntax.integer(position))]), inner)
            for position, inner in enumerate(inners)
        ])  # fmt: skip

    def _item(self, child: Child, item: bytes, extras: bytes | None, here: Place, *, keep: bool) -> bytes | str:
        """Return what is said of an item's node, or what was expected in its place."""
        element = child.element
        if element.is_primitive:
            return self._value_inner(child, item, extras, here)
        if item[0] != _OBJECT:
            return "object"
        if element.is_resource:
            found = self._nested_resource(item, here)
            return "resource" if found is None else self._syntax.join(found)
        node = self._node_of(child)
        known = node.inners.get(item)
        if known is not None:
            return known
        effects, relatives = self._effects, self._relatives
        inner = self.inner(node, item, here)
        unchanged = self._effects == effects and self._relatives == relatives
        if keep and unchanged and len(item) <= _LONGEST_KEY:
            self.held += len(item) + len(inner) + _ENTRY_OVERHEAD
            node.inners[item] = inner
        return inner

    # Primitives.

    def _primitive(self, child: Child, raw: bytes, place: Place) -> bytes:
        inner = self._value_inner(child, raw, None, (place, child.element.name, None))
        if isinstance(inner, str):
            return self._misshapen(child, child.element.name, inner, raw, place)
        return self._syntax.nested(child.predicate, child.label, self._with_class(child, inner))

    def _value_inner(self, child: Child, raw: bytes | None, extras: bytes | None, place: Place) -> bytes | str:
        """Return what is said of a primitive's node, or which kind of JSON was expected."""
        pieces = []
        more = b""
        if raw is not None and not (raw == b"null" and extras is not None):
            literal = child.literal(raw)
            if literal is None:
                kind = kind_of(child.element.type)
                if kind != "string" or raw[0] != _STRING:
                    return kind
                literal = plain(raw) or b'""'
                shown = (text_of(raw) or "")[:_SHOWN]
                self.note("wrong-value", place, value=shown, type=child.element.type)
            pieces.append(self._syntax.statement(self._value, literal))
            if child.is_linked and (iri := self._target(child.element.type, text_of(raw) or "")):
                pieces.append(self._syntax.statement(self._link, self._syntax.iri(iri)))
        if extras is not None and extras != b"null":
            if extras[0] != _OBJECT or not FIELDS.decode(extras):
                return "extras"
            more = self.inner(self.plan.node("Element"), extras, place)
        return self._syntax.both(self._syntax.join(pieces), more)

    def _paired(self, pair: Pair, raw: bytes | None, extras: bytes, place: Place) -> list[bytes]:
        """Return the piece of a primitive with its companion (its id and extensions), or two if they do not fit."""
        child = pair.child
        name = child.element.name
        kept = len(self.problems)
        piece: bytes | str
        if child.element.type == "xhtml" and self.dialect.indexed:
            piece = "pair"
        elif child.element.is_list:
            items = _ITEMS.decode(extras) if extras[0] == _ARRAY else []
            count = len(_ITEMS.decode(raw)) if raw is not None and raw[0] == _ARRAY else len(items)
            if len(items) != count or not _is_full(raw) or not _is_full(extras):
                piece = "pair"
            else:
                values = raw if raw is not None else b"[" + b",".join([b"null"] * count) + b"]"
                piece = self._list(child, values, [bytes(item) for item in items], place)
        elif extras[0] != _OBJECT or not FIELDS.decode(extras):
            piece = "extras"
        else:
            here = (place, name, None)
            piece = inner = (
                self._value_inner(child, raw, extras, here) if raw != b"null" else kind_of(child.element.type)
            )
            if isinstance(inner, bytes):
                piece = self._syntax.nested(child.predicate, child.label, self._with_class(child, inner))
        if isinstance(piece, bytes) and not any(item.code == "wrong-shape" for item in self.problems[kept:]):
            return [piece]
        del self.problems[kept:]
        expected = piece if isinstance(piece, str) else "pair"
        parts = [self._misshapen(child, f"_{name}", expected, extras, place)]
        if raw is not None:
            parts.append(self._piece(child, raw, place))
        return parts

    # Resources inside resources.

    def _resource(self, child: Child, raw: bytes, place: Place) -> bytes:
        name = child.element.name
        if raw[0] != _OBJECT:
            return self._misshapen(child, name, "resource", raw, place)
        if child.element.base == "Bundle.entry.resource" and self._entry_url is not None:
            piece = self._entry(child, raw, self._entry_url, (place, name, None))
            if piece is not None:
                return piece
        inner = self._nested_resource(raw, (place, name, None))
        if inner is None:
            return self._misshapen(child, name, "resource", raw, place)
        return self._syntax.nested(child.predicate, child.label, self._syntax.join(inner))

    def _nested_resource(self, raw: bytes, place: Place) -> list[bytes] | None:
        """Return the pieces of a resource inside another; None where its type is unknown."""
        fields = FIELDS.decode(raw)
        type_name = text_of(bytes(fields["resourceType"])) if "resourceType" in fields else None
        if type_name not in self._resources or type_name is None:
            return None
        return self.body(self.plan.node(type_name), raw, fields, place)

    def _entry(self, child: Child, raw: bytes, full_url: str, place: Place) -> bytes | None:
        """Return the piece that leads to an entry's resource by name, and keep its text; None where it has no name."""
        iri = absolute_iri(full_url)
        name = self.names.name(iri, raw, versioned=not self._as_published)
        if name is None:
            self.note("full-url", place, value=full_url[:_SHOWN])
            return None
        outer, subject = self.targets, self.subject
        self.subject = name
        if not outer.names:
            self.targets = self.targets_of(full_url)
        inner = self._nested_resource(raw, place)
        self.targets, self.subject = outer, subject
        self._relieve(outer)
        if inner is None:
            return None
        self._effects += 1
        self.blocks.append(self._syntax.frame(self._syntax.iri(name), self.prefix(), inner))
        return self._syntax.statement(child.predicate, self._syntax.iri(name))

    # Links and classes.

    def _fragment(self, reference: str) -> str | None:
        """Return the IRI of something contained in the present resource, which R6 links."""
        self._effects += 1
        if self._plain_links or not self.subject or "#" in self.subject:
            return None
        return absolute_iri(self.subject + reference)

    def _relative(self, reference: str) -> str | None:
        self._relatives += 1
        found = self.targets.names.get(reference)
        urns = self.dialect.urn_links and not (self._as_published and self._plain_links)
        return found or resolve_reference(reference, self.targets.base, urns=urns)

    def _reference(self, fields: Fields) -> list[bytes]:
        reference = text_of(bytes(fields["reference"])) if "reference" in fields else None
        if not reference:
            return []
        if reference.startswith("#"):
            iri = self._fragment(reference)
        elif reference.startswith(("http://", "https://")) and not self.targets.names:
            iri = resolve_reference(reference, self.base)
        else:
            iri = self._relative(reference)
        if iri is None:
            return []
        if self._as_published and iri.startswith(FHIR) and "/" in iri[len(FHIR) :]:
            self._effects += 1
            self.types.setdefault(iri, iri[len(FHIR) :].partition("/")[0])
        return [self._syntax.statement(self._link, self._syntax.iri(iri))]

    def _target(self, type_name: str, text: str) -> str | None:
        """Return where a uri, url, canonical, oid or uuid leads; None where it is no IRI and no known place."""
        if text.startswith("#"):
            return self._fragment(text) if type_name in {"canonical", "uri", "url"} and len(text) > 1 else None
        if not self._plain_links:
            text = version_in_query(text)
        iri = absolute_iri(text)
        if iri is not None:
            plain_urn = self._as_published and self._plain_links and not text.startswith(("http://", "https://"))
            return None if plain_urn else iri
        if is_relative(text) and text.partition("/")[0] in self._resources:
            return self._relative(text)
        if self._as_published and not self._plain_links:
            # The generator links every other uri too: a word as a name of the specification, a path under the base.
            return escape_iri((self.base if "/" in text else FHIR) + text)
        return None

    def _class_of(self, coding: Mapping[str, msgspec.Raw]) -> str | None:
        if "system" not in coding or "code" not in coding:
            return None
        stem = self._stems.get(text_of(bytes(coding["system"])) or "")
        return stem.expand(text_of(bytes(coding["code"])) or "") if stem else None

    def _coding(self, fields: Fields) -> list[bytes]:
        iri = self._class_of(fields)
        return [] if iri is None else [self._syntax.statement(self._syntax.type, self._syntax.iri(iri))]

    def _concept(self, fields: Fields) -> list[bytes]:
        raw = bytes(fields["coding"]) if "coding" in fields else b""
        if self.plan.dialect.concept_iris == "none" or raw[:1] != b"[":
            return []
        codings = [FIELDS.decode(item) for item in _ITEMS.decode(raw) if bytes(item)[0] == _OBJECT]
        iris = dict.fromkeys(iri for coding in codings if (iri := self._class_of(coding)) is not None)
        return [self._syntax.statement(self._syntax.type, self._syntax.iri(iri)) for iri in iris]


def _is_full(raw: bytes | None) -> bool:
    """Return whether an array has something in it besides nulls; one that is not there at all is as good."""
    return raw is None or (raw[0] == _ARRAY and any(bytes(item) != b"null" for item in _ITEMS.decode(raw)))
