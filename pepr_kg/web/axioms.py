"""OWL axioms and SHACL facets in words: the Manchester syntax, with its keywords in the reader's language."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pepr_kg.namespaces import PREFIXES
from pepr_kg.store import BlankNode, Literal, NamedNode, Term
from pepr_kg.web.pages_frame import Reader, Shown

_OWL, _RDF, _SH = PREFIXES["owl"], PREFIXES["rdf"], PREFIXES["sh"]
_XSD: Final = PREFIXES["xsd"]

# Restrictions in the order in which OWL may combine them on one node: (property, keyword, has a number).
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

    def first(name: str) -> Term | None:
        return next(iter(parts.get(_OWL + name, ())), None)

    def word(key: str) -> Token:
        return Token(reader.phrase(f"axiom.{key}"))

    def inner(part: Term) -> list[Token]:
        tokens = expression(reader, part, depth + 1)
        return [Token("("), *tokens, Token(")")] if len(tokens) > 1 else tokens

    on = first("onProperty")
    if on is not None:
        tokens = inner(on)
        for name, key in _FILLERS:
            filler = first(name)
            if filler is not None:
                return [*tokens, word(key), *([] if key == "self" else inner(filler))]
        for name, key in _CARDINALITIES:
            number = first(name)
            if number is not None:
                of = first("onClass") or first("onDataRange")
                return [*tokens, word(key), Token(number.value), *(inner(of) if of is not None else [])]
    for name, joint in (("unionOf", "or"), ("intersectionOf", "and")):
        members = first(name)
        if members is not None:
            return _joined((inner(member) for member in reader.vocabulary.members(members)), word(joint))
    one_of = first("oneOf")
    if one_of is not None:
        listed = _joined((inner(member) for member in reader.vocabulary.members(one_of)), Token(","))
        return [Token("{"), *listed, Token("}")]
    negated = first("complementOf") or first("datatypeComplementOf")
    if negated is not None:
        return [word("not"), *inner(negated)]
    inverse = first("inverseOf")
    if inverse is not None:
        return [word("inverse"), *inner(inverse)]
    base, limits = first("onDatatype"), first("withRestrictions")
    if base is not None and limits is not None:
        facets = [
            [Token(_FACETS.get(name.removeprefix(_XSD), name)), Token(thing=reader.show(value))]
            for member in reader.vocabulary.members(limits) if isinstance(member, BlankNode)
            for name, values in reader.vocabulary.structure.get(member.value, {}).items() for value in values
        ]  # fmt: skip
        return [*inner(base), Token("["), *_joined(facets, Token(",")), Token("]")]
    if _RDF + "first" in parts:
        return _joined((inner(member) for member in reader.vocabulary.members(node)), Token("∘"))
    return [Token("…")]


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
            key = f"shape.{name.removeprefix(_SH)}"
            tokens += [*([Token("·")] if tokens else []), Token(phrase_or(reader, key, name.removeprefix(_SH))), *facet(reader, part)]
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
