"""The page about an individual: its facts, each with its source; what was stated and not adopted; what points to it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fastapi import Response

from pepr_kg.errors import NotFound
from pepr_kg.namespaces import GRAPH, ID, PEPR, PREFIXES, expand, shrink
from pepr_kg.store import BlankNode, Literal, NamedNode, Term
from pepr_kg.web.answers import node_at
from pepr_kg.web.axioms import Token, facet
from pepr_kg.web.pages_cohorts import cohort_page
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, sort_key, twin_addresses
from pepr_kg.web.pages_models import model_page
from pepr_kg.web.pages_runs import run_page
from pepr_kg.web.pages_trees import scheme_tree
from pepr_kg.web.pages_twins import twin_page

_P: Final = PEPR
_RDF_TYPE: Final = PREFIXES["rdf"] + "type"
_IDENTIFIER: Final = PREFIXES["dcterms"] + "identifier"
_TITLE: Final = PREFIXES["dcterms"] + "title"
_LABEL: Final = PREFIXES["rdfs"] + "label"
_DEFINITION: Final = PREFIXES["skos"] + "definition"
_SCHEME: Final = PREFIXES["skos"] + "ConceptScheme"
_SOURCE: Final = PREFIXES["prov"] + "hadPrimarySource"

# Said at the head of the page, hence not again below.
_AT_HEAD: Final = frozenset({_RDF_TYPE, _LABEL, _DEFINITION, _P + "hasDecisionStatus", _P + "hasSide"})
# What comes first among the facts; the rest follows by label.
_FIRST: Final = tuple(
    expand(curie)
    for curie in (
        "pepr:firstReading", "pepr:secondReading", "pepr:resolution", "dcterms:title", "pepr:acronym",
        "skos:altLabel", "pepr:number", "pepr:partOf", "pepr:inResearchProgramme",
        "pepr:inComponent", "pepr:statedAim", "pepr:statesText", "pepr:hasBudget", "pepr:hasAmount", "pepr:hasDuration",
        "pepr:start", "pepr:end", "pepr:date", "pepr:hasCoordinator", "pepr:hasCoordinatingOrganisation",
        "pepr:hasCoordinatingUnit", "pepr:hasPilot", "pepr:hasDirector", "pepr:hasPartner", "pepr:hasResearchProgramme",
        "pepr:hasProject", "pepr:hasObjective", "pepr:studiesDisease", "pepr:studiesOrgan", "pepr:hasLevel",
        "pepr:usesModality", "pepr:usesMethod",
    )
)  # fmt: skip
_LAST: Final = tuple(expand(curie) for curie in ("skos:note", "skos:scopeNote", "pepr:website", "rdfs:seeAlso"))
# What is called by a proper name, whose capitals are its own.
_NAMED: Final = tuple(f"{ID}{kind}/" for kind in ("project", "person", "organisation", "document", "output"))
# What has a page of its own kind.
_OF_TWINS: Final[Mapping[str, Callable[[Reader, str, Sequence[Crumb]], Response]]] = {
    _P + "Patient": twin_page,
    _P + "DigitalTwin": twin_page,
    _P + "Model": model_page,
    _P + "Evaluation": run_page,
    _P + "Cohort": cohort_page,
}
# What shows figures of a run.
_PREDICTED: Final = frozenset(_P + name for name in ("Prediction", "Estimate", "Trajectory", "Uncertainty"))
# With one of these bases what a statement says is not taken over as a fact (the ontology's evidence module).
_NOT_ADOPTED: Final = frozenset({"inferred", "candidate", "unverified", "silent", "mistaken", "variant"})
_PLAIN_BASIS: Final = "stated"
# How many values or links of one kind are open before "show more".
_OPEN: Final = 8


@dataclass(frozen=True, slots=True)
class Badge:
    """A status in a word; `tone` chooses its colour: sure, open or doubtful."""

    text: str
    href: str | None
    tone: str


@dataclass(slots=True)
class StatementShown:
    """A statement as a page quotes it. `number` is that of its footnote, 0 if it has none."""

    iri: str
    name: Shown
    details: Mapping[str, list[Term]]
    subjects: list[Shown] = field(default_factory=list)
    predicate: Shown | None = None
    values: list[Shown] = field(default_factory=list)
    literals: list[Shown] = field(default_factory=list)
    wordings: list[Shown] = field(default_factory=list)
    caveats: list[Shown] = field(default_factory=list)
    document: Shown | None = None
    locators: list[Shown] = field(default_factory=list)
    date: Shown | None = None
    badges: list[Badge] = field(default_factory=list)
    others: list[tuple[str, list[Shown]]] = field(default_factory=list)
    adopted: bool = True
    number: int = 0

    @property
    def about(self) -> set[str]:
        """Return the IRIs of the subjects."""
        return {node.value for node in self.details.get(_P + "aboutSubject", ())}


@dataclass(slots=True)
class Value:
    """A value of a fact and the numbers of its footnotes; a node without a name is written in `tokens`."""

    shown: Shown
    notes: list[int] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """The values of one property; `more` are those folded away at first."""

    property: Shown
    values: list[Value]
    more: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class Links:
    """What points to the thing by one property; `total` may be more than is listed."""

    property: Shown
    total: int
    things: list[Value]
    all_href: str | None = None


@dataclass(slots=True)
class DisagreementShown:
    """A disagreement: what two sources say, and how it was settled in the graph."""

    name: Shown
    kind: list[Shown]
    readings: list[Shown]
    resolution: list[Shown]


def entity_page(reader: Reader, iri: str) -> Response:
    """Return the page about an individual. Raises `NotFound`."""
    entity = node_at(iri)
    kinds_here = reader.types(iri)
    for kind, page in _OF_TWINS.items():  # before the facts are read: a run has as many as there are patients
        if kind in kinds_here:
            return page(reader, iri, _crumbs(reader, iri))
    rows = list(reader.select("entity-facts", entity=entity).iter_dicts())
    if not rows:
        raise NotFound(name=shrink(iri) or iri)
    facts: dict[str, list[dict[str, Term]]] = defaultdict(list)
    for row in rows:
        facts[row["property"].value].append(row)
    types = {row["value"].value for row in facts.get(_RDF_TYPE, ())}
    is_statement, is_scheme = _P + "Statement" in types, _SCHEME in types
    bound = {"statement": entity} if is_statement else {"entity": entity}
    statements = read_statements(reader, "statements", bound)
    naming = [] if is_statement else read_statements(reader, "statements-naming", bound)
    about = [] if is_statement else statements
    notes: list[StatementShown] = []
    groups = _facts(reader, facts, about, naming, notes)
    links, via = _incoming(reader, entity, naming, notes)
    if is_scheme:  # its concepts stand on the page as a tree
        links = [group for group in links if group.property.short not in {"skos:inScheme", "skos:topConceptOf"} or via]
    not_adopted = [item for item in {item.iri: item for item in (*about, *naming)}.values() if not item.adopted]
    also = [item for item in about if item.adopted and not item.number]
    label = reader.label(iri)
    other = reader.vocabulary.label(iri, "en" if reader.lang == "fr" else "fr")
    kinds = [reader.show_iri(kind) for kind in kinds_here]
    values = {predicate: [row["value"] for row in found] for predicate, found in facts.items()}
    return reader.page(
        "entity.html",
        label.text,
        crumbs=_crumbs(reader, iri),
        twins=twin_addresses(iri),
        headers=None,
        iri=iri,
        curie=shrink(iri) or iri,
        label=reader.show_iri(iri),
        other_label=other.text if other.text != label.text and other.lang and label.lang else "",
        acronym=", ".join(node.value for node in values.get(_P + "acronym", ()) if node.value != label.text),
        kinds=kinds,
        is_prediction=not _PREDICTED.isdisjoint(kinds_here),
        definition=[reader.show(node) for node in reader.readable(values.get(_DEFINITION, ()))],
        badges=[_status(reader, node, about) for node in values.get(_P + "hasDecisionStatus", ())],
        accent=accent(iri, values),
        named=iri.startswith(_NAMED),
        statement=statements[0] if is_statement and statements else None,
        groups=[] if is_statement else groups,
        notes=notes,
        also=also,
        not_adopted=not_adopted,
        disagreements=_disagreements(reader, entity),
        sides=read_sides(reader, values.get(_P + "hasSide", ())),
        scheme=scheme_tree(reader, iri).below if is_scheme else (),
        quoted=_quoted(reader, entity) if _P + "Document" in types else [],
        links=links,
        via=via,
    )


def read_statements(reader: Reader, query: str, bound: Mapping[str, Term]) -> list[StatementShown]:
    """Return the statements about a thing (bind `entity`) or one statement (bind `statement`), in order."""
    details: dict[str, dict[str, dict[Term, None]]] = defaultdict(lambda: defaultdict(dict))
    for row in reader.select(query, **bound).iter_dicts():
        details[row["statement"].value][row["detail"].value][row["value"]] = None
    return [
        _statement(reader, iri, {name: list(values) for name, values in details[iri].items()})
        for iri in sorted(details)
    ]


def read_sides(reader: Reader, sides: Iterable[Term]) -> list[StatementShown]:
    """Return the statements on the sides of a disagreement, those with a line first; a few, so one query each."""
    found = [statement for side in sides for statement in read_statements(reader, "statements", {"statement": side})]
    return sorted(found, key=lambda statement: (not statement.locators, statement.iri))


def accent(iri: str, values: Mapping[str, Sequence[Term]]) -> str:
    """Return the number of the research programme that a thing belongs to: it gives the page its colour."""
    home = ID + "research-programme/"
    places = [iri, *(node.value for node in values.get(_P + "inResearchProgramme", ()))]
    return next((place.removeprefix(home) for place in places if place.startswith(home)), "")


def _statement(reader: Reader, iri: str, details: Mapping[str, list[Term]]) -> StatementShown:
    def shown(name: str) -> list[Shown]:
        return [reader.show(node) for node in reader.readable(details.get(_P + name, ()))]

    item = StatementShown(iri, Shown(_short_name(iri, details), reader.href(iri)), details)
    item.subjects = sorted(shown("aboutSubject"), key=lambda subject: sort_key(subject.text))
    item.predicate = next(iter(shown("aboutProperty")), None)
    item.values, item.literals = shown("statesEntity"), shown("statesValue")
    item.wordings, item.caveats, item.locators = shown("wording"), shown("caveatText"), shown("hasLocator")
    item.date = next(iter(shown("statedOn")), None)
    item.document = next((reader.show(node) for node in details.get(_SOURCE, ())), None)
    bases = [node.value.rpartition("/")[2] for node in details.get(_P + "hasBasis", ())]
    statuses = {node.value.rpartition("/")[2] for node in details.get(_P + "hasDecisionStatus", ())}
    item.adopted = not (
        _NOT_ADOPTED.intersection(bases) or "superseded" in statuses or details.get(_P + "supersededBy")
    )
    for node, basis in zip(details.get(_P + "hasBasis", ()), bases, strict=True):
        if basis != _PLAIN_BASIS:
            item.badges.append(_badge(reader, node, "doubt" if basis in _NOT_ADOPTED else "quiet"))
    item.badges += [_status(reader, node) for node in details.get(_P + "hasDecisionStatus", ())]
    item.badges += [
        _badge(reader, node, "quiet", "badge.confidence")
        for node in details.get(_P + "hasConfidence", ()) if not node.value.endswith("/high")
    ]  # fmt: skip
    if details.get(_P + "supersededBy") and "superseded" not in statuses:
        item.badges.append(Badge(reader.phrase("badge.superseded"), None, "doubt"))
    for name in ("supersededBy", "supersedes", "disagreesWith"):
        nodes = details.get(_P + name)
        if nodes:
            item.others.append((name, [reader.show(node) for node in nodes]))
    return item


def _short_name(iri: str, details: Mapping[str, list[Term]]) -> str:
    return next((node.value for node in details.get(_IDENTIFIER, ())), iri.rpartition("/")[2])


def _badge(reader: Reader, node: Term, tone: str, key: str = "") -> Badge:
    text = reader.label(node.value).text
    return Badge(reader.phrase(key, value=text) if key else text, reader.href(node.value), tone)


def _status(reader: Reader, node: Term, about: Iterable[StatementShown] = ()) -> Badge:
    """Return the badge of a decision status, with the date of the statement that gives it where one is known."""
    name = node.value.rpartition("/")[2]
    tone = "sure" if name in {"decided", "contracted", "paid"} else "doubt" if name == "superseded" else "open"
    badge = _badge(reader, node, tone)
    dates = [item.date.text for item in about if item.date and node in item.details.get(_P + "statesEntity", ())]
    return replace(badge, text=reader.phrase("badge.dated", value=badge.text, date=dates[0])) if dates else badge


def _facts(
    reader: Reader,
    facts: Mapping[str, list[dict[str, Term]]],
    statements: list[StatementShown],
    naming: list[StatementShown],
    notes: list[StatementShown],
) -> list[Group]:
    """Return the facts by property, each with the numbers of the statements that it rests on.

    A fact may also rest on a statement that says the same from the other end (`naming`).
    """
    backing = _by_property(statements)
    from_afar = _by_property(naming)
    groups = []
    for predicate in _in_order(reader, facts):
        rows = facts[predicate]
        held = {row["value"] for row in rows}
        visible = set(reader.readable(held))
        values: dict[Term, Value] = {}
        for row in sorted(rows, key=lambda row: _value_order(reader, row["value"])):
            node = row["value"]
            if node in visible:
                shown = reader.show_figure(node, row) if isinstance(node, NamedNode) else reader.show(node)
                values[node] = Value(shown, tokens=facet(reader, node) if isinstance(node, BlankNode) else [])
        for item in backing.get(predicate, ()):
            said = {*item.details.get(_P + "statesEntity", ()), *item.details.get(_P + "statesValue", ())} & held
            if said:
                # A text in the reader's language hides its translations: the note goes with what is seen.
                seen = [node for node in values if node in said] or [
                    node for node in values if isinstance(node, Literal)
                ]
                _number(item, notes)
                for node in seen:
                    values[node].notes.append(item.number)
        for other in reader.vocabulary.inverses(predicate) if from_afar else ():
            for item in from_afar.get(other, ()):
                for node in item.details.get(_P + "aboutSubject", ()):
                    if node in values:
                        _number(item, notes)
                        values[node].notes.append(item.number)
        if predicate in _AT_HEAD and not any(value.notes for value in values.values()):
            continue
        label = reader.label(rows[0]["entity"].value).text
        if predicate == _TITLE and all(value.shown.text == label and not value.notes for value in values.values()):
            continue
        found = list(values.values())
        cut = _OPEN if len(found) > _OPEN + 3 else len(found)
        groups.append(Group(reader.show_iri(predicate), found[:cut], found[cut:]))
    return groups


def _by_property(statements: Iterable[StatementShown]) -> dict[str, list[StatementShown]]:
    found: dict[str, list[StatementShown]] = defaultdict(list)
    for item in statements:
        if item.adopted:
            for node in item.details.get(_P + "aboutProperty", ()):
                found[node.value].append(item)
    return found


def _number(item: StatementShown, notes: list[StatementShown]) -> None:
    if not item.number:
        notes.append(item)
        item.number = len(notes)


def _in_order(reader: Reader, facts: Iterable[str]) -> list[str]:
    names = reader.by_label(facts)
    ranks = {name: rank - len(_FIRST) for rank, name in enumerate(_FIRST)} | {
        name: rank + 1 for rank, name in enumerate(_LAST)
    }
    return sorted(names, key=lambda name: ranks.get(name, 0))


def _value_order(reader: Reader, node: Term) -> tuple[tuple[tuple[bool, int, str], ...], str]:
    return sort_key(reader.label(node.value).text if isinstance(node, NamedNode) else node.value), node.value


def _disagreements(reader: Reader, entity: NamedNode) -> list[DisagreementShown]:
    details: dict[str, dict[str, dict[Term, None]]] = defaultdict(lambda: defaultdict(dict))
    for row in reader.select("disagreements", entity=entity).iter_dicts():
        details[row["disagreement"].value][row["detail"].value][row["value"]] = None

    def shown(found: Mapping[str, Iterable[Term]], *names: str) -> list[Shown]:
        return [reader.show(node) for name in names for node in reader.readable(found.get(_P + name, ()))]

    return [
        DisagreementShown(
            reader.show_iri(iri), shown(found, "disagreementKind"), shown(found, "firstReading", "secondReading"),
            shown(found, "resolution"),
        )
        for iri, found in sorted(details.items())
    ]  # fmt: skip


def _quoted(reader: Reader, entity: NamedNode) -> list[tuple[Shown | None, list[Shown]]]:
    """Return the statements that quote a document, by line."""
    lines: dict[str, tuple[Shown | None, list[Shown]]] = {}
    for row in reader.select("document-statements", document=entity).iter_dicts():
        locator = row.get("locator")
        key = locator.value if locator else ""
        lines.setdefault(key, (reader.show(locator) if locator else None, []))[1].append(reader.show(row["statement"]))
    return list(lines.values())


def _incoming(
    reader: Reader, entity: NamedNode, naming: list[StatementShown], notes: list[StatementShown]
) -> tuple[list[Links], dict[str, object] | None]:
    """Return what points to the thing by property; or one property in pages, if the address asks for it."""
    counts = {
        row["property"].value: int(row["count"].value)
        for row in reader.select("incoming-counts", entity=entity).iter_dicts()
        if "property" in row
    }
    if not counts:
        return [], None
    asked = reader.request.query_params.get("via", "")
    chosen = next((name for name in counts if asked and asked in (shrink(name), name)), None)
    bound: dict[str, Term] = {"entity": entity}
    if chosen:
        bound["property"] = NamedNode(chosen)
    things: dict[str, list[str]] = defaultdict(list)
    for row in reader.select("incoming", **bound).iter_dicts():
        things[row["property"].value].append(row["subject"].value)
    backing = _by_property(naming)

    def values(name: str, subjects: Iterable[str]) -> list[Value]:
        found = {iri: Value(reader.show_iri(iri)) for iri in subjects}
        for item in backing.get(name, ()):
            for node in item.details.get(_P + "aboutSubject", ()):
                if node.value in found:
                    _number(item, notes)
                    found[node.value].notes.append(item.number)
        return list(found.values())

    if chosen:
        ordered = reader.by_label(things[chosen])
        page, pages = page_of(reader, len(ordered))
        start = (page - 1) * reader.page_size
        shown = values(chosen, ordered[start : start + reader.page_size])
        links = [Links(reader.show_iri(chosen), counts[chosen], shown)]
        return links, {"page": page, "pages": pages, "first": start + 1, "last": start + len(shown),
                       "listed": len(ordered), "total": counts[chosen], **page_links(reader, page, pages)}  # fmt: skip
    links = []
    for name in reader.by_label(things):
        ordered = reader.by_label(things[name])
        cut = _OPEN if len(ordered) > _OPEN + 3 else len(ordered)
        more = reader.with_query(via=shrink(name) or name, page=None) + "#incoming" if cut < counts[name] else None
        links.append(Links(reader.show_iri(name), counts[name], values(name, ordered[:cut]), more))
    return links, None


def page_of(reader: Reader, total: int) -> tuple[int, int]:
    """Return the page asked for, brought within bounds, and how many there are."""
    pages = max(1, -(-total // reader.page_size))
    asked = reader.request.query_params.get("page", "1")
    return min(max(int(asked) if asked.isdecimal() and len(asked) < 7 else 1, 1), pages), pages


def page_links(reader: Reader, page: int, pages: int) -> dict[str, str | None]:
    """Return the addresses of the pages before and after."""
    return {
        "previous": reader.with_query(page=page - 1) if page > 1 else None,
        "next": reader.with_query(page=page + 1) if page < pages else None,
    }


def _crumbs(reader: Reader, iri: str) -> list[Crumb]:
    """Return the way to a thing: home, what it is part of or what kind it is, itself."""
    steps = [Crumb(reader.phrase("nav.home"), f"/{reader.lang}/")]
    kind = reader.vocabulary.kind(iri) or next((kind for kind in reader.types(iri) if kind.startswith(PEPR)), None)
    if iri.startswith(GRAPH):
        kind = None
    if kind and reader.href(kind):
        shown = reader.show_iri(kind)
        if kind.startswith(PEPR):
            steps.append(Crumb(reader.phrase("nav.ontology"), f"/{reader.lang}/ontology"))
        steps.append(Crumb(shown.text, shown.href))
    name = iri.rpartition("/")[2] if iri.startswith(ID + "statement/") else reader.label(iri).text
    return [*steps, Crumb(name)]
