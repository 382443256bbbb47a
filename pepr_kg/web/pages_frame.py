"""What every page is made with: templates, texts, links, values written for the reader, and the page's frame.

A page function makes a mapping of plain values and hands it to `Reader.page`; templates do
no work of their own. Texts come from `locales/`, names of things from the graph.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pepr_kg.errors import UnknownPrefix
from pepr_kg.language import LANGUAGES, Catalogue, Language, catalogue, format_amount, format_date, format_number
from pepr_kg.namespaces import BASE, COHORT, GRAPH, ID, PEPR, PREFIXES, RUN, expand, shrink
from pepr_kg.resources import read_query
from pepr_kg.runs.request import end_of_today
from pepr_kg.search import fold
from pepr_kg.store import BlankNode, Literal, NamedNode, Table, Term, View
from pepr_kg.vocabulary import Label, Vocabulary
from pepr_kg.web import answers

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
# Suffix of a download -> media type, in the order in which pages offer them.
DOWNLOADS: Final[Mapping[str, str]] = {
    "ttl": "text/turtle",
    "jsonld": "application/ld+json",
    "rdf": "application/rdf+xml",
    "nt": "application/n-triples",
}

_XSD: Final = PREFIXES["xsd"]
_BUILT_IN: Final = tuple(PREFIXES[name] for name in ("rdf", "rdfs", "owl", "sh"))
_DATES: Final = frozenset({_XSD + "date", _XSD + "gYearMonth", _XSD + "gYear"})
_NAMES: Final = (PREFIXES["rdfs"] + "label", PREFIXES["dcterms"] + "identifier")
_FEW: Final = 200  # things whose labels are looked up to sort them
_NUMBERS: Final = frozenset(_XSD + name for name in ("integer", "decimal", "int", "long", "nonNegativeInteger"))


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as the page writes it. `lang` is said only where it is not the page's own."""

    text: str
    href: str | None = None
    lang: str = ""
    short: str = ""  # CURIE of a thing, for its title
    outside: bool = False
    stamp: str = ""  # a date as machines read it
    amount: str = ""  # what a node of an amount, a count or a duration comes to
    code: bool = False


@dataclass(frozen=True, slots=True)
class Crumb:
    """A step of the way from the home page; the last one has no address."""

    text: str
    href: str | None = None


class Vocabularies:
    """The vocabulary of each version and set of graphs in use; the last few are kept.

    Cohorts and runs are left out: a million patients and predictions have no place in a list of names. A page that
    needs one of their names asks for it (`Reader.label`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, tuple[NamedNode, ...]], Vocabulary] = {}

    def of(self, view: View) -> Vocabulary:
        """Return the vocabulary of a view; the first to ask for a new version waits for it to be read."""
        key = (view.version, view.graphs)
        with self._lock:
            if key not in self._known:
                named = [graph for graph in view.graphs if not graph.value.startswith((COHORT, RUN))]
                self._known[key] = Vocabulary(view.only(named))
                while len(self._known) > 3:
                    del self._known[next(iter(self._known))]
            return self._known[key]


@cache
def templates() -> Environment:
    """Return the templates; whatever they print is escaped."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def texts() -> Catalogue:
    """Return the texts of the pages."""
    return catalogue(HERE / "locales")


class Reader:
    """One request for a page: who asks, in which language, of which version of the dataset."""

    def __init__(self, request: Request, lang: Language) -> None:
        self.request = request
        self.lang: Language = lang
        self.view = answers.view_of(request)
        self.vocabulary: Vocabulary = request.app.state.vocabularies.of(self.view)
        self.page_size = max(1, answers.settings_of(request).page_size)
        self._shown: dict[str, Shown] = {}

    def phrase(self, key: str, **values: object) -> str:
        """Return a text of the pages in the reader's language."""
        return texts().phrase(key, self.lang, **values)

    def select(self, name: str, **bindings: Term) -> Table:
        """Return the answer to one of the pages' own queries."""
        return self.view.select(read_query(f"pages/{name}"), bindings)

    def label(self, iri: str) -> Label:
        """Return the label of a thing in the reader's language if it has one.

        Words of RDF, OWL and SHACL, which no graph of ours describes, have theirs in `locales/`.
        """
        if self._apart(iri):
            return self._own_label(iri)
        label = self.vocabulary.label(iri, self.lang)
        if not label.lang and iri not in self.vocabulary.labels and iri.startswith(_BUILT_IN):
            return Label(texts().texts[self.lang].get(f"name.{shrink(iri)}", label.text), "")
        return label

    def _apart(self, iri: str) -> bool:
        """Return whether a thing of ours is not in the vocabulary: one of a cohort or a run, or unknown."""
        return iri.startswith(ID) and not self.vocabulary.knows(iri)

    def _own_label(self, iri: str) -> Label:
        texts: dict[str, str] = {}
        for predicate in _NAMES:
            for quad in self.view.quads(NamedNode(iri), NamedNode(predicate)):
                if isinstance(quad.object, Literal):
                    texts.setdefault(quad.object.language or "", quad.object.value)
        for tag in (self.lang, "", *LANGUAGES, *texts):
            if tag in texts:
                return Label(texts[tag], tag)
        return Label(iri.rpartition("/")[2], "")

    def types(self, iri: str) -> tuple[str, ...]:
        """Return the classes of a thing, the most specific ones where the vocabulary knows it."""
        if not self._apart(iri):
            return self.vocabulary.types(iri)
        quads = self.view.quads(NamedNode(iri), NamedNode(PREFIXES["rdf"] + "type"))
        return tuple(sorted({quad.object.value for quad in quads if isinstance(quad.object, NamedNode)}))

    def locate(self, text: str) -> str | None:
        """Return the IRI that a text is, in full or short, if the dataset says something of it."""
        if known := self.vocabulary.locate(text):
            return known
        try:
            node = NamedNode(expand(text.removeprefix("<").removesuffix(">")))
        except (UnknownPrefix, ValueError):
            return None
        return node.value if node.value.startswith(ID) and next(self.view.quads(node), None) else None

    def identified(self, text: str) -> list[str]:
        """Return what has this identifier and is not in the vocabulary: patients, twins."""
        found = self.view.quads(None, NamedNode(PREFIXES["dcterms"] + "identifier"), Literal(text))
        things = {quad.subject.value for quad in found if isinstance(quad.subject, NamedNode)}
        return sorted(iri for iri in things if self._apart(iri))[: self.page_size]

    def href(self, iri: str) -> str | None:
        """Return the address of the page about a thing, or None if there is none here."""
        return page_path(iri, self.lang, self.vocabulary, self.view)

    def show(self, node: Term) -> Shown:
        """Return a value as the reader sees it."""
        if isinstance(node, NamedNode):
            return self.show_iri(node.value)
        if isinstance(node, BlankNode):
            return Shown(self.phrase("value.anonymous"))
        return self._show_literal(node, node.datatype.value)

    def _show_literal(self, node: Literal, kind: str) -> Shown:
        value, language = node.value, node.language or ""
        if kind == _XSD + "anyURI":
            safe = value.startswith(("https://", "http://"))
            return Shown(value, href=value if safe else None, outside=safe)
        if kind == _XSD + "boolean":
            return Shown(self.phrase(f"value.{value}"))
        if kind in _DATES:
            return Shown(format_date(value, self.lang), stamp=value)
        if kind in _NUMBERS:
            return Shown(format_number(value, self.lang))
        return Shown(value, lang="" if language == self.lang else language)

    def show_iri(self, iri: str) -> Shown:
        """Return the name of a thing with the address of its page, here or outside."""
        if iri not in self._shown:
            self._shown[iri] = self._show_iri(iri)
        return self._shown[iri]

    def _show_iri(self, iri: str) -> Shown:
        label, href = self.label(iri), self.href(iri)
        outside = href is None and iri.startswith(("https://", "http://")) and not iri.startswith(BASE)
        return Shown(
            label.text, href or (iri if outside else None), "" if label.lang == self.lang else label.lang,
            shrink(iri) or iri, outside,
        )  # fmt: skip

    def show_figure(self, node: NamedNode, row: Mapping[str, Term]) -> Shown:
        """Return a thing with what it comes to, if the row gives it a `number`: 60 000 000 €, près de 150, 7 ans."""
        shown = self.show(node)
        if "number" not in row:
            return shown
        amount = self.figure(row)
        return shown if without_amount(shown.text, amount) != shown.text else replace(shown, amount=amount)

    def figure(self, row: Mapping[str, Term]) -> str:
        """Return a number with its currency, its unit or its bound, in words."""
        number = row["number"].value
        if "currency" in row:
            text = format_amount(number, row["currency"].value, self.lang)
        elif "unit" in row:
            unit = row["unit"].value.rpartition("/")[2].partition("#")[2] or row["unit"].value
            plural = "s" if abs(float(number)) >= 2 else ""
            text = self.phrase(f"unit.{unit}{plural}", number=format_number(number, self.lang))
        else:
            text = format_number(number, self.lang)
        bound = row["bound"].value if "bound" in row else "exact"
        return text if bound == "exact" else self.phrase(f"bound.{bound}", number=text)

    def readable(self, nodes: Iterable[Term]) -> list[Term]:
        """Return the nodes without the texts in another language that also stand in the reader's."""
        found = list(nodes)
        ours = any(isinstance(node, Literal) and node.language == self.lang for node in found)
        return [
            node for node in found
            if not (ours and isinstance(node, Literal) and node.language and node.language != self.lang)
        ]  # fmt: skip

    def by_label(self, iris: Iterable[str]) -> list[str]:
        """Return IRIs in the order of their labels as people sort them, numbers in labels as numbers.

        Of very many, those whose label would have to be looked up stand by the end of their IRI.
        """
        found = list(iris)
        few = len(found) <= _FEW

        def name(iri: str) -> str:
            return self.label(iri).text if few or not self._apart(iri) else iri.rpartition("/")[2]

        return sorted(found, key=lambda iri: (sort_key(name(iri)), iri))

    def with_query(self, **changes: object) -> str:
        """Return this page's address with some of its query changed; None takes a field away."""
        fields = dict(self.request.query_params)
        for name, value in changes.items():
            fields.pop(name, None)
            if value is not None:
                fields[name] = str(value)
        return self.request.url.path + (f"?{urlencode(fields)}" if fields else "")

    def page(
        self,
        template: str,
        title: str,
        *,
        crumbs: Sequence[Crumb] = (),
        twins: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
        keep: bool = True,
        **values: Any,
    ) -> Response:
        """Return the page. `twins` are the addresses of its machine-readable forms, by media type; `keep` says that
        the page is the same until its tag changes.
        """
        body = render(self.request, self.lang, template, title, self.view, crumbs=crumbs, twins=twins, **values)
        etag = page_tag(self.request, self.lang) if keep and status == 200 else None
        links = {"Content-Language": self.lang, **(headers or {})}
        if twins:
            links["Link"] = ", ".join(f'<{address}>; rel="alternate"; type="{kind}"' for kind, address in twins.items())
        return answers.respond(
            self.request, body, "text/html; charset=utf-8", etag, vary=(), headers=links, status=status
        )


def page_tag(request: Request, lang: Language) -> str:
    """Return the ETag of a page: it changes with the dataset, the program and the address.

    What can be evaluated for an individual also depends on the day.
    """
    today = str(end_of_today().date()) if "/id/" in request.url.path else ""
    return answers.etag_of(request, request.url.path, str(request.url.query), lang, today)


def render(
    request: Request,
    lang: Language,
    template: str,
    title: str,
    view: View | None,
    *,
    crumbs: Sequence[Crumb] = (),
    twins: Mapping[str, str] | None = None,
    **values: Any,
) -> str:
    """Return the HTML of a page in its frame. Without a view the foot says nothing of the dataset."""
    path, query = request.url.path, request.url.query
    bare = path.removeprefix(f"/{lang}") if path.startswith((f"/{lang}/", f"/{lang}?")) else "/"
    tail = f"?{query}" if query else ""
    base = str(request.base_url).rstrip("/")

    def phrase(key: str, **fields: object) -> str:
        return texts().phrase(key, lang, **fields)

    return templates().get_template(template).render(
        t=phrase, lang=lang, title=title, crumbs=crumbs, twins=twins or {},
        languages=LANGUAGES, other="en" if lang == "fr" else "fr",
        base=base, number=lambda value: format_number(value, lang), date=lambda value: format_date(value, lang),
        foot={
            "version": view.version[:12], "made": view.manifest.made_at[:10], "triples": sum(view.counts().values())
        } if view else None,
        **{
            "sought": "", "addresses": {tag: f"/{tag}{bare}{tail}" for tag in LANGUAGES},
            "section": bare.strip("/").partition("/")[0].partition("?")[0], **values,
        },
    )  # fmt: skip


def page_path(iri: str, lang: str, vocabulary: Vocabulary, view: View) -> str | None:
    """Return the address of the page about an IRI, or None if no page is about it.

    Ours stand at the end of their IRI; an outside term that the ontology uses stands by its
    short form, `/en/ontology/foaf:Person`.
    """
    if iri.startswith((ID, PEPR)) or iri == PEPR.rstrip("/"):
        known = iri == PEPR.rstrip("/") or vocabulary.knows(iri) or (
            iri.startswith(ID) and next(view.quads(NamedNode(iri)), None) is not None
        )  # fmt: skip
        return f"/{lang}/{quote(iri.removeprefix(BASE), safe='/:')}" if known else None
    if iri.startswith(GRAPH):
        return f"/{lang}/{quote(iri.removeprefix(BASE), safe='/:')}" if NamedNode(iri) in view.graphs else None
    term = vocabulary.terms.get(iri)
    return f"/{lang}/ontology/{quote(term.path, safe=':')}" if term and "/" not in term.path else None


def without_amount(text: str, amount: str) -> str:
    """Return a label without the amount that it begins with, if it does.

    >>> without_amount("7 years: the time of the budget", "7\u00a0years")
    'the time of the budget'
    """
    plain = text.replace("\u00a0", " ").replace("\u202f", " ")
    start = amount.replace("\u00a0", " ").replace("\u202f", " ")
    return text[len(start) :].lstrip(" \u00a0\u202f:") if plain.startswith(start) else text


def twin_addresses(iri: str) -> dict[str, str]:
    """Return the downloads of one of our IRIs, by media type."""
    path = quote(iri.removeprefix(BASE), safe="/:")
    return {kind: f"/{path}.{suffix}" for suffix, kind in DOWNLOADS.items()}


def sort_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Return what sorts texts as people do: without accents and capitals, numbers as numbers."""
    parts: list[tuple[bool, int, str]] = []
    for chunk in fold(text).replace("-", " ").split():
        digits = chunk.strip(".,;:()#n°")
        parts.append((False, int(digits), "") if digits.isdecimal() else (True, 0, chunk))
    return tuple(parts)
