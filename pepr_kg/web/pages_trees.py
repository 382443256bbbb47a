"""Trees as pages show them: classes, properties, concepts of a scheme."""

from collections import defaultdict
from dataclasses import dataclass

from pepr_kg.vocabulary import Term
from pepr_kg.web.pages_frame import Reader, Shown


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of a tree and what is below it; `own` says whether the term is ours."""

    shown: Shown
    count: int
    below: tuple["Branch", ...] = ()
    own: bool = True


def term_tree(reader: Reader, term: Term, *, deep: bool = True, seen: frozenset[str] = frozenset()) -> Branch:
    """Return a term with those below it; a circle of terms is cut where it closes."""
    way = seen | {term.iri}
    children = [reader.vocabulary.terms[iri] for iri in reader.by_label(term.children) if iri not in way]
    below = tuple(term_tree(reader, child, seen=way) for child in children) if deep else ()
    return Branch(reader.show_iri(term.iri), term.total, below, term.own)


def scheme_tree(reader: Reader, scheme: str) -> Branch:
    """Return a scheme with its concepts, the narrower under the broader, by rank where they have one."""
    concepts = set(reader.vocabulary.concepts(scheme))
    below: dict[str, list[str]] = defaultdict(list)
    tops = []
    for concept in concepts:
        broader = [other for other in reader.vocabulary.above(concept, "skos:broader") if other in concepts]
        for other in broader:
            below[other].append(concept)
        if not broader:
            tops.append(concept)

    def in_order(found: list[str]) -> list[str]:
        ranks = {concept: reader.vocabulary.above(concept, "pepr:rank") for concept in found}
        return sorted(reader.by_label(found), key=lambda concept: int(ranks[concept][0]) if ranks[concept] else 0)

    def branch(concept: str, seen: frozenset[str]) -> Branch:
        way = seen | {concept}
        inner = tuple(branch(other, way) for other in in_order(below[concept]) if other not in way)
        return Branch(reader.show_iri(concept), 0, inner)

    return Branch(reader.show_iri(scheme), len(concepts), tuple(branch(top, frozenset()) for top in in_order(tops)))
