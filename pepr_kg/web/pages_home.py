"""The home page and the search page."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fastapi import Response
from fastapi.responses import RedirectResponse

from pepr_kg.namespaces import ID, PEPR, PREFIXES, shrink
from pepr_kg.questions import load_questions
from pepr_kg.search import Hit, Index, Name
from pepr_kg.store import Term
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, without_amount

_SHAPES: Final = (PREFIXES["sh"] + "NodeShape", PREFIXES["sh"] + "PropertyShape")
# Groups of a search that come after all others, whatever they score: what quotes things, not the things.
_LAST: Final = (
    PEPR + "Statement", PEPR + "Locator", PEPR + "Caveat", PEPR + "Identifier", PEPR + "Participation",
    *_SHAPES,
)  # fmt: skip
_SHORT: Final = 6  # hits of a kind before "all"
_EXAMPLES: Final = {
    "fr": ("jumeau numérique", "anévrisme", "Inserm", "project:smatch"),
    "en": ("digital twin", "aneurysm", "Inserm", "project:smatch"),
}


@dataclass(slots=True)
class Card:
    """A project on the home page."""

    shown: Shown
    acronym: str = ""
    diseases: list[Shown] = field(default_factory=list)
    organs: list[Shown] = field(default_factory=list)


@dataclass(slots=True)
class Programme:
    """A research programme with its projects."""

    shown: Shown
    rank: str
    cards: list[Card]


@dataclass(slots=True)
class Found:
    """The hits of one kind. `all_href` leads to all of them where only some are shown."""

    kind: str
    hits: list[tuple[Shown, Hit | None, str]]
    total: int
    all_href: str | None = None


def home_page(reader: Reader) -> Response:
    """Return the home page."""
    programmes: dict[str, Programme] = {}
    rows: dict[str, list[dict[str, Term]]] = defaultdict(list)
    for row in reader.select("home-projects").iter_dicts():
        iri = row["programme"].value
        programmes.setdefault(iri, Programme(reader.show_iri(iri), row["rank"].value, []))
        rows[iri].append(row)
    for iri, programme in programmes.items():
        programme.cards = _cards(reader, rows[iri])
    figures: dict[str, tuple[str, str, str | None]] = {}
    for row in reader.select("home-figures").iter_dicts():
        amount, label = reader.figure(row), reader.label(row["figure"].value).text
        rest = without_amount(label, amount)
        shown = (amount, rest[:1].upper() + rest[1:], reader.href(row["statement"].value))
        figures.setdefault(row["figure"].value, shown)
    return reader.page(
        "home.html",
        reader.phrase("home.title"),
        programmes=list(programmes.values()),
        second=reader.show_iri(ID + "component/second"),
        laureates=_cards(reader, reader.select("home-second").iter_dicts()),
        figures=list(figures.values()),
        programme=reader.show_iri(ID + "programme/pepr-sante-numerique"),
        questions=len([question for question in load_questions().values() if question.group != "quality"]),
        terms=len([term for term in reader.vocabulary.terms.values() if term.own]),
        statements=len(reader.vocabulary.instances(PEPR + "Statement")),
        disagreements=len(reader.vocabulary.instances(PEPR + "Disagreement")),
        examples=_EXAMPLES[reader.lang],
        models=len(reader.vocabulary.instances(PEPR + "Model")),
        twin=next((reader.href(row["twin"].value) for row in reader.select("a-twin").iter_dicts()), None),
    )


def search_page(reader: Reader) -> Response:
    """Return what has the words sought in its names, by kind; a known IRI or short form goes to its page."""
    sought = reader.request.query_params.get("q", "").strip()[:200]
    only = reader.request.query_params.get("kind", "")
    iri = reader.locate(sought) if ":" in sought else None
    if iri and (address := reader.href(iri)):
        return RedirectResponse(address, 303)
    found = _search(reader, sought, only) if sought else []
    total = sum(group.total for group in found)
    return reader.page(
        "search.html",
        reader.phrase("search.title"),
        crumbs=[Crumb(reader.phrase("nav.home"), f"/{reader.lang}/"), Crumb(reader.phrase("nav.search"))],
        sought=sought,
        found=found,
        total=total,
        only=only,
        everything=reader.with_query(kind=None),
        suggestions=[] if total else reader.vocabulary.index.suggest(sought),
        examples=_EXAMPLES[reader.lang],
    )


def _cards(reader: Reader, rows: Iterable[dict[str, Term]]) -> list[Card]:
    cards: dict[str, Card] = {}
    for row in rows:
        card = cards.setdefault(row["project"].value, Card(reader.show(row["project"])))
        if "acronym" in row:
            card.acronym = row["acronym"].value
        if "theme" in row:
            themes = card.diseases if row["relation"].value.endswith("Disease") else card.organs
            shown = reader.show(row["theme"])
            if shown not in themes:
                themes.append(shown)
    return list(cards.values())


def _search(reader: Reader, sought: str, only: str) -> list[Found]:
    groups: dict[str, list[tuple[Shown, Hit | None, str]]] = defaultdict(list)
    for iri in reader.identified(sought):  # of a cohort, whose names are not in the index
        groups[next(iter(reader.types(iri)), "")].append((reader.show_iri(iri), None, shrink(iri) or iri))
    for hit in reader.vocabulary.index.find(sought):
        address = reader.href(hit.iri)
        if address is None:
            continue
        term = reader.vocabulary.terms.get(hit.iri)
        kind = f"term:{term.kind}" if term else reader.vocabulary.kind(hit.iri) or ""
        kind = _SHAPES[0] if kind in _SHAPES else kind
        groups[kind].append((reader.show_iri(hit.iri), _worth_saying(reader, hit), shrink(hit.iri) or hit.iri))
    questions = Index(
        Name(name, text, lang) for name, question in load_questions().items() for lang, text in question.title.items()
    )
    for hit in questions.find(sought):
        title = load_questions()[hit.iri].title[reader.lang]
        said = hit if hit.name.text != title else None
        groups["question"].append((Shown(title, f"/{reader.lang}/questions/{hit.iri}"), said, hit.iri))
    found = []
    for kind in sorted(groups, key=lambda kind: kind in _LAST):  # stable: else in the order of the best hit
        name = shrink(kind) or kind
        if only and only != name:
            continue
        hits = groups[kind]
        shown = hits if only else hits[:_SHORT]
        more = reader.with_query(kind=name) if len(shown) < len(hits) else None
        found.append(Found(_kind_name(reader, kind), shown[: reader.page_size * 4], len(hits), more))
    return found


def _worth_saying(reader: Reader, hit: Hit) -> Hit | None:
    """Return the hit if the name that matched is not the one that the page shows anyway."""
    return None if hit.name.text == reader.label(hit.iri).text else hit


def _kind_name(reader: Reader, kind: str) -> str:
    if kind == "question":
        return reader.phrase("search.questions")
    if kind in _SHAPES:
        return reader.phrase("search.shapes")
    if kind.startswith("term:"):
        return reader.phrase(f"search.{kind.removeprefix('term:')}")
    return reader.label(kind).text if kind else reader.phrase("search.others")
