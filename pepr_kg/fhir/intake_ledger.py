"""Which version of which resource is known, so that a resource that is sent again changes nothing and an older one
never takes the place of a newer.

>>> ledger = Ledger()
>>> ledger.judge("https://example.org/Patient/p1", Version("2", None))
<Order.NEW: 'new'>
>>> ledger.put("https://example.org/Patient/p1", Known(Version("2", None)))
>>> [ledger.judge("https://example.org/Patient/p1", Version(text, None)).value for text in ("2", "1", "10")]
['same', 'older', 'newer']
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pepr_kg.columns import select_columns
from pepr_kg.fhir.intake_values import moment_of
from pepr_kg.namespaces import COHORT, FHIR
from pepr_kg.resources import read_query
from pepr_kg.store import NamedNode, View


class Order(StrEnum):
    """What a version is to the one that is known."""

    NEW = "new"
    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


class Version(Struct, frozen=True, gc=False):
    """The version of a resource: `meta.versionId`, else the digest of its content; and `meta.lastUpdated`."""

    text: str
    updated: str | None

    def against(self, known: "Version") -> Order:
        """Return what it is to a known version: by number, else by `lastUpdated`, else what is sent later is newer."""
        if self.text == known.text:
            return Order.SAME
        if self.text.isdecimal() and known.text.isdecimal():
            return Order.NEWER if int(self.text) > int(known.text) else Order.OLDER
        mine, other = moment_of(self.updated), moment_of(known.updated)
        if mine is not None and other is not None and mine != other:
            return Order.NEWER if mine > other else Order.OLDER
        return Order.NEWER


class Known(Struct, frozen=True, gc=False):
    """What is known of a resource: its newest version, and what each graph has of it.

    terms, fhir: the version that the cohort's graph and the graph of resources have, "" where they have none.
    nodes: the IRIs of what was made of it and still holds. gone: it was deleted, or entered in error.
    noted: the cohort's graph of the dataset says something of the resource itself. stored: so does the graph of
    resources. place: where its text stands in what this intake is writing.
    """

    version: Version
    nodes: tuple[str, ...] = ()
    terms: str = ""
    fhir: str = ""
    gone: bool = False
    noted: bool = False
    stored: bool = False
    place: tuple[int, int] | None = None


class Ledger:
    """The resources that are known, by their IRI."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    @classmethod
    def read(cls, view: View, cohort: str) -> "Ledger":
        """Return what the graphs of a cohort know: a query for each graph that is there."""
        ledger = cls()
        terms, fhir = NamedNode(COHORT + cohort), NamedNode(FHIR + cohort)
        if terms in view.graphs:
            table = select_columns(view, read_query("fhir/known-nodes"), {"cohort": terms})
            columns = (table[name].to_pylist() for name in ("node", "subject", "version", "updated"))
            for node, subject, text, updated in zip(*columns, strict=True):
                found = ledger._known.get(subject)
                nodes = (*found.nodes, node) if found else (node,)
                ledger._known[subject] = Known(Version(text, updated or None), nodes, terms=text)
            ledger._add(view, terms, in_terms=True)
        if fhir in view.graphs:
            ledger._add(view, fhir, in_terms=False)
        return ledger

    def _add(self, view: View, graph: NamedNode, *, in_terms: bool) -> None:
        """Add what a graph says of resources themselves; of two versions the newer one counts."""
        table = select_columns(view, read_query("fhir/known-resources"), {"cohort": graph})
        columns = (table[name].to_pylist() for name in ("subject", "version", "updated", "gone"))
        for subject, text, updated, gone in zip(*columns, strict=True):
            version, is_gone = Version(text, updated or None), bool(gone)
            known = self._known.get(subject) or Known(version, gone=is_gone)
            order = version.against(known.version)
            if order is Order.NEWER:
                known = replace(known, version=version, gone=is_gone)
            elif order is Order.SAME:
                known = replace(known, gone=known.gone or is_gone)
            if in_terms:
                known = replace(known, noted=True, terms=known.terms if order is Order.OLDER else text)
            else:
                known = replace(known, stored=True, fhir=text)
            self._known[subject] = known

    def get(self, subject: str) -> Known | None:
        """Return what is known of a resource."""
        return self._known.get(subject)

    def judge(self, subject: str, version: Version) -> Order:
        """Return what a version of a resource is to what is known."""
        known = self._known.get(subject)
        return Order.NEW if known is None else version.against(known.version)

    def put(self, subject: str, known: Known) -> None:
        """Remember a resource."""
        self._known[subject] = known
