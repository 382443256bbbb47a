"""OWL axioms and SHACL facets in words: the Manchester syntax, with its keywords in the reader's language."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pepr_kg.namespaces import PREFIXES
from pepr_kg.store import BlankNode, Literal, NamedNode, Term
from pepr_kg.web.pages_frame import Reader, Shown

_OWL, _RDF, _SH = PREFIXES["owl"], PREFIXES["rdf"], PREFIXES["sh"]
_XSD: Final = PREFIXES["xsd"]

# What a restriction may say of a property: (OWL's name, our keyword).
_FILLERS: Final = (
    ("someValuesFrom", "some"), ("allValuesFrom", "only"), ("hasValue", "value"), ("hasSelf", "self"),
)  # fmt: skip
_CARDINALITIES: Final = (
    ("minQualifiedCardinality", "min"), ("maxQualifiedCardinality", "max"), ("qualifiedCardinality", "exactly"),
    ("minCardinality", "min"), ("maxCardinality", "max"), ("cardinality", "exactly"),
)  # fmt: skip
_FACETS: Final = {
    "minInclusive": "≥", "minExclusive": ">", "maxInclusive": "≤", "maxExclusive": "<",
    "pattern": "~", "length": "=", "minLength": "≥", "maxLength": "≤",
}  # fmt: skip
_DEPTH: Final = 8  # of nested expressions; deeper is written as "…"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: a keyword or a sign, or a thing with its link."""

    word: str = ""
    thing: Shown | None = None


def expression(reader: Reader, node: Term, depth: int = 0) -> list[Token]:
    """Return a class, data range or property expression as tokens."""
    if not isinstance(node, BlankNode):
        return [Token(thing=reader.show(node))]
    if depth > _DEPTH:
        return [Token("…")]
    parts = reader.vocabulary.structure.get(node.value, {})
    writer = _Writer(reader, {name.removeprefix(_OWL): values[0] for name, values in parts.items()}, depth)
    if _RDF + "first" in parts:
        return _joined(map(writer.inner, reader.vocabulary.members(node)), Token("∘"))
    return writer.restriction() or writer.connective() or writer.data_range() or [Token("…")]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one node of an expression; `parts` are its OWL properties, by their local name."""

    reader: Reader
    parts: Mapping[str, Term]
    depth: int

    def restriction(self) -> list[Token]:
        if "onProperty" not in self.parts:
            return []
        tokens = self.inner(self.parts["onProperty"])
        for name, key in _FILLERS:
            if name in self.parts:
                return [*tokens, self.word(key), *([] if key == "self" else self.inner(self.parts[name]))]
        for name, key in _CARDINALITIES:
            if name in self.parts:
                of = self.parts.get("onClass") or self.parts.get("onDataRange")
                return [*tokens, self.word(key), Token(self.parts[name].value), *(self.inner(of) if of else [])]
        return []

    def connective(self) -> list[Token]:
        for name, joint in (("unionOf", self.word("or")), ("intersectionOf", self.word("and")), ("oneOf", Token(","))):
            if name in self.parts:
                tokens = _joined(map(self.inner, self.reader.vocabulary.members(self.parts[name])), joint)
                return [Token("{"), *tokens, Token("}")] if name == "oneOf" else tokens
        for name, key in (("complementOf", "not"), ("datatypeComplementOf", "not"), ("inverseOf", "inverse")):
            if name in self.parts:
                return [self.word(key), *self.inner(self.parts[name])]
        return []

    def data_range(self) -> list[Token]:
        if "onDatatype" not in self.parts or "withRestrictions" not in self.parts:
            return []
        limits = [
            [Token(_FACETS.get(name.removeprefix(_XSD), name)), Token(thing=self.reader.show(value))]
            for member in self.reader.vocabulary.members(self.parts["withRestrictions"])
            for name, values in self.reader.vocabulary.structure.get(member.value, {}).items()
            for value in values
        ]
        return [*self.inner(self.parts["onDatatype"]), Token("["), *_joined(limits, Token(",")), Token("]")]

    def inner(self, part: Term) -> list[Token]:
        tokens = expression(self.reader, part, self.depth + 1)
        return [Token("("), *tokens, Token(")")] if len(tokens) > 1 else tokens

    def word(self, key: str) -> Token:
        return Token(self.reader.phrase(f"axiom.{key}"))


def facet(reader: Reader, value: Term) -> list[Token]:
    """Return the value of a SHACL facet: a term, a list, a path, or the facets of a nested shape."""
    if not isinstance(value, BlankNode):
        return [Token(value.value) if isinstance(value, Literal) else Token(thing=reader.show(value))]
    parts = reader.vocabulary.structure.get(value.value, {})
    if _RDF + "first" in parts:
        return _joined((facet(reader, member) for member in reader.vocabulary.members(value)), Token("·"))
    tokens: list[Token] = []
    for name, values in parts.items():
        if name == _RDF + "type":
            continue
        for part in values:
            local = name.removeprefix(_SH)
            joint = [Token("·")] if tokens else []
            tokens += [*joint, Token(phrase_or(reader, f"shape.{local}", local)), *facet(reader, part)]
    return tokens or [Token("…")]


def phrase_or(reader: Reader, key: str, default: str) -> str:
    """Return a text of the pages, or the default for a word of OWL or SHACL that nobody has translated."""
    try:
        return reader.phrase(key)
    except KeyError:
        return default


def _joined(parts: Iterable[list[Token]], joint: Token) -> list[Token]:
    def tokens() -> Iterator[Token]:
        for number, part in enumerate(parts):
            if number:
                yield joint
            yield from part

    return list(tokens())


def is_plain(node: Term) -> bool:
    """Return whether a term is a name or a text, not an expression."""
    return isinstance(node, NamedNode | Literal)
