"""What a person says of a model that is added: its names, licence, publication, project, levels and time scales.

What is not said is taken from what the graph has from before, then from the file. Without a licence or a publication a
model is refused; a project, a level or a scale that the graph does not describe is refused with the nearest names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pepr_kg.errors import UnknownPrefix
from pepr_kg.models.description import LABEL, TYPE
from pepr_kg.models.documents import address_of, cite
from pepr_kg.models.errors import ModelNotAdded
from pepr_kg.namespaces import ID, PREFIXES, expand
from pepr_kg.store import Literal, NamedNode, Quad, Triple, View
from pepr_kg.twin.errors import suggest

_PEPR: Final = PREFIXES["pepr"]
LICENCE: Final = NamedNode(PREFIXES["dcterms"] + "license")
DESCRIBED_IN: Final = NamedNode(_PEPR + "describedIn")
STANDS_FOR: Final = NamedNode(_PEPR + "standsFor")
HAS_LEVEL: Final = NamedNode(_PEPR + "hasLevel")
HAS_TIME_SCALE: Final = NamedNode(_PEPR + "hasTimeScale")
_IN_SCHEME: Final = NamedNode(PREFIXES["skos"] + "inScheme")
_CREATIVE_COMMONS: Final = re.compile(r"CC-(BY(?:-(?:NC|SA|ND))*)-(\d\.\d)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"{}|\\^`]+")


@dataclass(frozen=True, slots=True)
class Particulars:
    """What is said of a model. `labels` by language; a project or theme, levels and scales as short forms or IRIs; a
    publication as a DOI, an address or a document of the graph; a licence as its address or its SPDX name.
    """

    labels: Mapping[str, str]
    licence: str | None = None
    publication: str | None = None
    project: str | None = None
    levels: Sequence[str] = ()
    time_scales: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FromFile:
    """What the file itself says of these: its title, the address of its licence, those of its publications."""

    title: str
    licence: str | None
    documents: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A kind of thing that a model may be linked to: its words, and where the graph lists its members."""

    kind: str
    en: str
    fr: str
    members: tuple[tuple[NamedNode, NamedNode], ...]


_PROJECT: Final = _Choice(
    "project", "project or theme", "projet ni thème",
    ((TYPE, NamedNode(_PEPR + "Project")), (_IN_SCHEME, NamedNode(f"{ID}scheme/topics"))),
)  # fmt: skip
_LEVEL: Final = _Choice("level", "level", "niveau", ((_IN_SCHEME, NamedNode(f"{ID}scheme/levels")),))
_TIME_SCALE: Final = _Choice(
    "time-scale", "time scale", "échelle de temps", ((TYPE, NamedNode(_PEPR + "TimeScale")),)
)  # fmt: skip


def particular_quads(
    view: View, name: str, said: Particulars, kept: Iterable[Triple], by_file: FromFile
) -> tuple[list[Triple], list[Quad]]:
    """Return what holds of the model, as triples about it, and the quads of documents that the graph does not have yet.

    `kept` are the triples about the model from before. Raises `ModelNotAdded`.
    """
    own = NamedNode(f"{ID}model/{name}")
    before: dict[NamedNode, list[Triple]] = {}
    for triple in kept:
        if triple.subject == own:
            before.setdefault(triple.predicate, []).append(triple)
    found = [Triple(own, LABEL, Literal(text, language=lang)) for lang, text in said.labels.items() if text]
    found += [item for item in before.get(LABEL, []) if not said.labels.get(_language(item))]
    missing = {"en", "fr"} - {_language(item) for item in found}
    found += [Triple(own, LABEL, Literal(by_file.title, language=lang)) for lang in sorted(missing)]

    def choose(predicate: NamedNode, nodes: Sequence[NamedNode]) -> list[Triple]:
        return [Triple(own, predicate, node) for node in nodes] or before.get(predicate, [])

    licences = _licence(name, said.licence)
    found += choose(LICENCE, licences) or [Triple(own, LICENCE, node) for node in _licence(name, by_file.licence)]
    if not any(triple.predicate == LICENCE for triple in found):
        raise ModelNotAdded(name=name, detail={
            "en": "its file does not say under which licence it may be used; say so with --licence (CC-BY-4.0, MIT, or "
                  "the address of the licence)",
            "fr": "son fichier ne dit pas sous quelle licence il peut être employé ; dites-le avec --licence "
                  "(CC-BY-4.0, MIT, ou l’adresse de la licence)"})  # fmt: skip
    addresses = _addresses(view, name, said.publication)
    if not addresses and DESCRIBED_IN not in before:
        addresses = list(by_file.documents)
    if not addresses and DESCRIBED_IN not in before:
        raise ModelNotAdded(name=name, detail={
            "en": "its file names no publication (bqmodel:isDescribedBy) that describes it; say which with "
                  "--publication (a DOI or an address)",
            "fr": "son fichier ne nomme aucune publication qui le décrit (bqmodel:isDescribedBy) ; dites laquelle avec "
                  "--publication (un DOI ou une adresse)"})  # fmt: skip
    nodes, quads = cite(view, addresses)
    found += choose(DESCRIBED_IN, nodes)
    found += choose(STANDS_FOR, _known(view, name, [said.project] if said.project else [], _PROJECT))
    found += choose(HAS_LEVEL, _known(view, name, said.levels, _LEVEL))
    found += choose(HAS_TIME_SCALE, _known(view, name, said.time_scales, _TIME_SCALE))
    return found, quads


def licence_iri(text: str) -> str | None:
    """Return the IRI of a licence that is given by its address or its SPDX name; None for what is neither.

    >>> licence_iri("CC-BY-4.0"), licence_iri("MIT"), licence_iri("do as you like")
    ('https://creativecommons.org/licenses/by/4.0/', 'http://spdx.org/licenses/MIT', None)
    """
    text = text.strip()
    if text.upper() in ("CC0", "CC0-1.0"):
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    match = _CREATIVE_COMMONS.fullmatch(text)
    if match:
        return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2]}/"
    if _ADDRESS.fullmatch(text):
        return text
    return f"http://spdx.org/licenses/{text}" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text) else None


def _licence(name: str, text: str | None) -> list[NamedNode]:
    if not text:
        return []
    iri = licence_iri(text)
    if iri is None:
        raise ModelNotAdded(name=name, detail={
            "en": f'"{text}" is no licence; give its address or its SPDX name (CC-BY-4.0, MIT)',
            "fr": f"« {text} » n’est pas une licence ; donnez son adresse ou son nom SPDX (CC-BY-4.0, MIT)",
        })  # fmt: skip
    return [NamedNode(iri)]


def _addresses(view: View, name: str, publication: str | None) -> list[str]:
    if not publication:
        return []
    address = address_of(view, publication)
    if address is None:
        raise ModelNotAdded(name=name, detail={
            "en": f'"{publication}" is no publication; give a DOI, an address or a document of the graph (document:…)',
            "fr": f"« {publication} » n’est pas une publication ; donnez un DOI, une adresse ou un document du graphe "
                  "(document:…)"})  # fmt: skip
    return [address]


def _known(view: View, name: str, given: Sequence[str], choice: _Choice) -> list[NamedNode]:
    """Return the things that are meant; a name without a prefix is one of the kind. Raises `ModelNotAdded`."""
    if not given:
        return []
    members = {
        quad.subject for predicate, value in choice.members for quad in view.quads(predicate=predicate, object=value)
    }
    nodes = []
    for text in given:
        try:
            node = NamedNode(expand(text if ":" in text else f"{choice.kind}:{text}"))
        except (UnknownPrefix, ValueError):
            node = NamedNode(f"{ID}{choice.kind}/-")
        if node not in members:
            iris = [item.value for item in members if isinstance(item, NamedNode)]
            names = sorted(iri.removeprefix(ID).replace("/", ":", 1) for iri in iris)
            near = suggest(text if ":" in text else f"{choice.kind}:{text}", names)
            raise ModelNotAdded(name=name, detail={
                "en": f'the graph describes no {choice.en} "{text}"; the nearest: {near}',
                "fr": f"le graphe ne décrit pas de {choice.fr} « {text} » ; les plus proches : {near}"})  # fmt: skip
        nodes.append(node)
    return nodes


def _language(triple: Triple) -> str:
    return (triple.object.language or "") if isinstance(triple.object, Literal) else ""
