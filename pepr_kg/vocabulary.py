"""The ontology and the names of things as people read them: labels, hierarchy, usage, constraints.

A `Vocabulary` is read from one `View`, in a few queries, and belongs to its version: keep
it under `view.version`. Labels come in the reader's language, else in the other one, with
the language said.

Out of scope: the facts about one thing (the pages ask for these), and changing anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from typing import Literal as OneOf

from pepr_kg.errors import UnknownPrefix
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import PEPR, PREFIXES, SHAPE, expand, shrink
from pepr_kg.resources import read_query
from pepr_kg.search import Index, Name
from pepr_kg.store import BlankNode, Literal, NamedNode, View
from pepr_kg.store import Term as Node

TermKind = OneOf["class", "object-property", "datatype-property", "annotation-property"]
TERM_KINDS: Final[Mapping[str, TermKind]] = {
    PREFIXES["owl"] + "Class": "class",
    PREFIXES["owl"] + "ObjectProperty": "object-property",
    PREFIXES["owl"] + "DatatypeProperty": "datatype-property",
    PREFIXES["owl"] + "AnnotationProperty": "annotation-property",
}

_RDF, _RDFS, _OWL, _SKOS, _SH = (PREFIXES[name] for name in ("rdf", "rdfs", "owl", "skos", "sh"))
_CONCEPT: Final = _SKOS + "Concept"
_SCHEME: Final = _SKOS + "ConceptScheme"
# A thing may be typed by these besides what it is; no page calls it so.
_TECHNICAL: Final = frozenset({_OWL + "NamedIndividual", _OWL + "Thing", _RDFS + "Resource", *TERM_KINDS})

# Which text is the label: the first of these that a thing has.
_LABELS: Final = (
    _RDFS + "label", _SKOS + "prefLabel", PREFIXES["foaf"] + "name", PREFIXES["dcterms"] + "title",
    _SH + "name", PREFIXES["dcterms"] + "identifier",
)  # fmt: skip
# By what a shape says what it looks at.
_TARGETS: Final = tuple(_SH + name for name in ("targetClass", "targetSubjectsOf", "targetObjectsOf", "targetNode"))
# How much a name weighs when it is looked for.
_WEIGHTS: Final[Mapping[str, float]] = {
    _RDFS + "label": 1.0,
    PEPR + "acronym": 1.0,
    _SKOS + "altLabel": 0.9,
    PREFIXES["dcterms"] + "identifier": 0.8,
}


@dataclass(frozen=True, slots=True)
class Label:
    """A text to show, with its language: empty where none is stated."""

    text: str
    lang: str


@dataclass(frozen=True, slots=True)
class Term:
    """A class or a property. `own` says whether it is ours; `total` counts instances of sub-classes too."""

    iri: str
    curie: str
    kind: TermKind
    own: bool
    parents: tuple[str, ...]
    children: tuple[str, ...]
    uses: int
    total: int
    deprecated: bool = False
    module: str | None = None

    @property
    def path(self) -> str:
        """Return the end of the term's address: `Project`, or `foaf:Person` for an outside term."""
        return self.curie.removeprefix("pepr:")


class Vocabulary:
    """What one version of the dataset says of its terms and of the names of its things."""

    def __init__(self, view: View) -> None:
        self.version = view.version
        self.labels: dict[str, dict[str, str]] = {}
        self.names: list[Name] = []
        self._read_names(view)
        self._types: dict[str, tuple[str, ...]] = {}
        self.schemes: dict[str, str] = {}
        self._read_types(view)
        self._above: dict[str, dict[str, tuple[str, ...]]] = {}
        self._read_hierarchy(view)
        # The nodes of class expressions and of shapes, by the name or the blank label: property -> values.
        self.structure: dict[str, dict[str, list[Node]]] = {}
        for node, relation, value in view.select(read_query("pages/structure")).rows:
            if node is not None and relation is not None and value is not None:
                self.structure.setdefault(node.value, {}).setdefault(relation.value, []).append(value)
        self.terms = self._terms(view)

    def label(self, iri: str, lang: str) -> Label:
        """Return the label of anything: in the language, else in another, else its short form."""
        texts = self.labels.get(iri)
        if texts:
            for tag in (lang, "", *LANGUAGES, *texts):
                if tag in texts:
                    return Label(texts[tag], tag)
        short = shrink(iri)
        return Label(short.partition(":")[2] if short and iri.startswith(PREFIXES["pepr"]) else short or iri, "")

    def types(self, iri: str) -> tuple[str, ...]:
        """Return the most specific classes of a thing, technical ones left out."""
        return self._types.get(iri, ())

    def kind(self, iri: str) -> str | None:
        """Return what best says what a thing is: the scheme of a concept, else its first class."""
        types = self.types(iri)
        if iri in self.schemes and types in ((_CONCEPT,), ()):
            return self.schemes[iri]
        return types[0] if types else None

    def knows(self, iri: str) -> bool:
        """Return whether the dataset says anything that has a name or a type about the IRI."""
        return iri in self.labels or iri in self._types or iri in self.terms

    def above(self, iri: str, relation: str) -> tuple[str, ...]:
        """Return what a thing is directly under by `rdfs:subClassOf`, `skos:broader` and the like."""
        return self._above.get(expand(relation), {}).get(iri, ())

    def roots(self, kind: TermKind) -> tuple[Term, ...]:
        """Return the terms of a kind that are under no other term of the dataset, in the order of their short forms."""
        return tuple(
            term for term in sorted(self.terms.values(), key=_order)
            if term.kind == kind and not any(parent in self.terms for parent in term.parents)
        )  # fmt: skip

    def ancestors(self, iri: str) -> tuple[str, ...]:
        """Return everything above a term, nearest first."""
        found: dict[str, None] = {}
        waiting = [iri]
        while waiting:
            for parent in self.terms[waiting.pop(0)].parents:
                if parent in self.terms and parent not in found and parent != iri:
                    found[parent] = None
                    waiting.append(parent)
        return tuple(found)

    def inverses(self, iri: str) -> frozenset[str]:
        """Return the properties that say the same of a pair from its other end, by inverses stated."""
        pairs = self._above.get(_OWL + "inverseOf", {})
        wider = {iri, *(self.ancestors(iri) if iri in self.terms else ())}
        there = {other for name in wider for other in pairs.get(name, ())}
        return frozenset(there | {name for name, others in pairs.items() if not wider.isdisjoint(others)})

    def instances(self, iri: str) -> tuple[str, ...]:
        """Return the things whose most specific class is this one or one below it."""
        below = {iri, *self._below(iri)}
        return tuple(thing for thing, types in self._types.items() if not below.isdisjoint(types))

    def concepts(self, scheme: str) -> tuple[str, ...]:
        """Return the concepts of a scheme."""
        return tuple(iri for iri, of in self.schemes.items() if of == scheme)

    def concept_schemes(self) -> tuple[str, ...]:
        """Return the concept schemes."""
        return tuple(sorted(iri for iri, types in self._types.items() if _SCHEME in types))

    def locate(self, text: str) -> str | None:
        """Return the IRI that a text is, written in full or short, if the dataset knows it."""
        text = text.strip().removeprefix("<").removesuffix(">")
        try:
            iri = expand(text)
        except UnknownPrefix:
            return None
        return iri if self.knows(iri) else None

    @cached_property
    def index(self) -> Index:
        """The search index over every name."""
        return Index(self.names)

    def members(self, node: Node) -> Iterator[Node]:
        """Yield the members of an RDF list."""
        seen = set()
        while isinstance(node, BlankNode) and node.value not in seen:
            seen.add(node.value)
            cell = self.structure.get(node.value, {})
            yield from cell.get(_RDF + "first", ())
            node = next(iter(cell.get(_RDF + "rest", ())), NamedNode(_RDF + "nil"))

    def constraints(self, iri: str) -> tuple[tuple[Node, Node], ...]:
        """Return the shapes that look at a class, or at the values of a property: (node shape, constraint).

        The shapes of the classes above a class hold for it too. A constraint is a property
        shape, or the node shape itself.
        """
        term = self.terms.get(iri)
        above = self.ancestors(iri) if term and term.kind == "class" else ()
        return tuple(dict.fromkeys(pair for name in (iri, *above) for pair in self._constrained.get(name, ())))

    @cached_property
    def _constrained(self) -> dict[str, list[tuple[Node, Node]]]:
        found: dict[str, list[tuple[Node, Node]]] = defaultdict(list)
        for name, facts in self.structure.items():
            targets = [node for key in _TARGETS for node in facts.get(key, ())]
            parts = facts.get(_SH + "property", [])
            if not targets and not parts:
                continue
            shape = NamedNode(name) if ":" in name else BlankNode(name)
            for constraint in (shape, *parts):
                for target in targets:
                    found[target.value].append((shape, constraint))
                for path in self.structure.get(constraint.value, {}).get(_SH + "path", ()):
                    for node in (path, *self.structure.get(path.value, {}).get(_SH + "inversePath", ())):
                        if isinstance(node, NamedNode):
                            found[node.value].append((shape, constraint))
        return found

    def _read_names(self, view: View) -> None:
        texts: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        for iri, relation, text in view.select(read_query("pages/names")).rows:
            if isinstance(iri, NamedNode) and isinstance(relation, NamedNode) and isinstance(text, Literal):
                lang = (text.language or "").partition("-")[0]
                # Several texts of one language: the same one is chosen every time.
                known = texts[iri.value][relation.value]
                known[lang] = min(known.get(lang, text.value), text.value)
                weight = _WEIGHTS.get(relation.value, 0.85)
                self.names.append(Name(iri.value, text.value, lang, relation.value, weight))
        for thing, by_property in texts.items():
            chosen: dict[str, str] = {}
            for label in _LABELS:
                if not chosen:
                    chosen = dict(by_property.get(label, {}))
            if chosen:
                self.labels[thing] = chosen

    def _read_types(self, view: View) -> None:
        types: dict[str, dict[str, None]] = defaultdict(dict)
        for row in view.select(read_query("pages/types")).iter_dicts():
            iri = row["iri"].value
            types[iri][row["type"].value] = None
            if "scheme" in row:
                self.schemes[iri] = row["scheme"].value
        self._all_types = {iri: tuple(found) for iri, found in types.items()}

    def _read_hierarchy(self, view: View) -> None:
        above: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in view.select(read_query("pages/hierarchy")).iter_dicts():
            above[row["relation"].value][row["iri"].value].append(row["above"].value)
        self._above = {
            relation: {iri: tuple(sorted(found, key=_own_first)) for iri, found in pairs.items()}
            for relation, pairs in above.items()
        }
        self._children: dict[str, list[str]] = defaultdict(list)
        for relation in (_RDFS + "subClassOf", _RDFS + "subPropertyOf"):
            for iri, parents in self._above.get(relation, {}).items():
                for parent in parents:
                    self._children[parent].append(iri)
        for iri, found in self._all_types.items():
            useful = [type_ for type_ in sorted(found) if type_ not in _TECHNICAL]
            self._types[iri] = tuple(
                type_ for type_ in useful if not any(other != type_ and other in self._below(type_) for other in useful)
            )

    def _below(self, iri: str) -> set[str]:
        found: set[str] = set()
        waiting = [iri]
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found - {iri}

    def _terms(self, view: View) -> dict[str, Term]:
        uses: Counter[str] = Counter()
        for row in view.select(read_query("pages/usage")).iter_dicts():
            uses[row["property"].value] = int(row["uses"].value)
        kinds = {
            iri: kind
            for iri, types in self._all_types.items()
            for type_, kind in TERM_KINDS.items()
            if type_ in types and not iri.startswith(SHAPE)
        }
        instances: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        parents = self._above.get(_RDFS + "subClassOf", {})
        for types in self._all_types.values():
            instances.update(types)
            every = set(types)
            waiting = list(types)
            while waiting:
                new = set(parents.get(waiting.pop(), ())) - every
                every |= new
                waiting.extend(new)
            totals.update(every)
        terms = {}
        for iri, kind in kinds.items():
            is_class = kind == "class"
            relation = _RDFS + ("subClassOf" if is_class else "subPropertyOf")
            terms[iri] = Term(
                iri=iri,
                curie=shrink(iri) or iri,
                kind=kind,
                own=iri.startswith(PEPR),
                parents=tuple(parent for parent in self._above.get(relation, {}).get(iri, ()) if parent in kinds),
                children=tuple(sorted(child for child in set(self._children.get(iri, ())) if child in kinds)),
                uses=instances[iri] if is_class else uses[iri],
                total=totals[iri] if is_class else uses[iri],
                deprecated="true" in self._above.get(_OWL + "deprecated", {}).get(iri, ()),
                module=next(iter(self._above.get(_RDFS + "isDefinedBy", {}).get(iri, ())), None),
            )
        return terms


def _own_first(iri: str) -> tuple[bool, str]:
    return (not iri.startswith(PEPR), iri)


def _order(term: Term) -> tuple[bool, str]:
    """Our own terms first, then by short form."""
    return (not term.own, term.curie.casefold())
