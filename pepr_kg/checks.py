"""Checks of the ontology's own files that need no reasoner: what a slip of the pen leaves behind.

Every file parses; a prefix means the same thing everywhere; every IRI of ours that is used is
declared; every term and concept has its label and definition in French and English, and the
module that it belongs to; outside terms are declared under `external/` and linked from
`alignments.ttl` alone; facts have no blank node.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pepr_kg.errors import DataSyntaxError
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import (
    BASE,
    ID,
    MODELS_GRAPH,
    ONTOLOGY,
    ONTOLOGY_GRAPH,
    PEPR,
    PREFIXES,
    PROGRAMME_GRAPH,
    SHAPE,
    SHAPES_GRAPH,
    shrink,
)
from pepr_kg.store import BlankNode, Literal, NamedNode, Quad, parse_file

_RDF: Final = PREFIXES["rdf"]
_RDFS: Final = PREFIXES["rdfs"]
_OWL: Final = PREFIXES["owl"]
_SKOS: Final = PREFIXES["skos"]
_TYPE: Final = _RDF + "type"
# The languages that RDF, OWL and SHACL are written in: their terms need no declaration.
_BUILT_IN: Final = (_RDF, _RDFS, _OWL, PREFIXES["xsd"], PREFIXES["sh"])
_PROPERTY_KINDS: Final = tuple(_OWL + kind for kind in ("ObjectProperty", "DatatypeProperty", "AnnotationProperty"))
_TERM_KINDS: Final = (_OWL + "Class", *_PROPERTY_KINDS)
_CONCEPT_KINDS: Final = (_SKOS + "Concept", _SKOS + "ConceptScheme")
_AXIOMS: Final = tuple(
    [_RDFS + name for name in ("subClassOf", "subPropertyOf")]
    + [_OWL + name for name in ("equivalentClass", "equivalentProperty", "sameAs")]
)
_LINKS: Final = (*_AXIOMS, *(_SKOS + kind + "Match" for kind in ("exact", "close", "broad", "narrow", "related")))
# Where a term stands as a term, not as a value.
_TERM_PLACES: Final = (
    *_AXIOMS,
    _RDFS + "domain",
    _RDFS + "range",
    *(
        _OWL + name
        for name in ("inverseOf", "onProperty", "onClass", "someValuesFrom", "allValuesFrom", "disjointWith")
    ),
)
_KNOWN_GRAPHS: Final = (ONTOLOGY_GRAPH, SHAPES_GRAPH, PROGRAMME_GRAPH, MODELS_GRAPH)

_TURTLE_PREFIX: Final = re.compile(r"^\s*(?:@prefix|PREFIX)\s+([\w-]*):\s*<([^>]*)>", re.MULTILINE | re.IGNORECASE)
_SPARQL_NOISE: Final = re.compile(r'"""(?:.|\n)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')
_SPARQL_COMMENT: Final = re.compile(r"(?m)^\s*#.*$|\s#\s.*$")
_SPARQL_NAME: Final = re.compile(r"(?<![\w:?$<./-])([A-Za-z][\w-]*):([\w-]+(?:\.[\w-]+)*)")
_SPARQL_IRI: Final = re.compile(r"<([^<>\s\"{}|^`]*)>")

_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "syntax": {
        "en": "line {line}, column {column}: {detail}.",
        "fr": "ligne {line}, colonne {column} : {detail}.",
    },
    "unknown-prefix": {
        "en": 'the prefix "{prefix}" stands for <{iri}>, which namespaces.py does not know. Correct it or declare it.',
        "fr": "le préfixe « {prefix} » désigne <{iri}>, que namespaces.py ne connaît pas. Corrigez-le ou déclarez-le.",
    },
    "prefix-mismatch": {
        "en": 'the prefix "{prefix}" stands for <{iri}> here but for <{known}> elsewhere.',
        "fr": "le préfixe « {prefix} » désigne ici <{iri}>, mais ailleurs <{known}>.",
    },
    "dangling": {
        "en": "{name} is used but declared nowhere. Correct the name, or give it a type.",
        "fr": "{name} est employé sans être déclaré nulle part. Corrigez le nom ou donnez-lui un type.",
    },
    "outside-undeclared": {
        "en": "{name} is an outside term that no file under external/ declares.",
        "fr": "{name} est un terme extérieur qu’aucun fichier de external/ ne déclare.",
    },
    "label": {
        "en": "{name} has no rdfs:label in {language}.",
        "fr": "{name} n’a pas de rdfs:label dans la langue {language}.",
    },
    "definition": {
        "en": "{name} has no skos:definition in {language}.",
        "fr": "{name} n’a pas de skos:definition dans la langue {language}.",
    },
    "home": {
        "en": "{name} does not say with rdfs:isDefinedBy that it belongs to the module of its file.",
        "fr": "{name} ne dit pas par rdfs:isDefinedBy qu’il appartient au module de son fichier.",
    },
    "two-kinds": {
        "en": "{name} is declared as two kinds of entity that OWL 2 DL keeps apart: {kinds}.",
        "fr": "{name} est déclaré comme deux sortes d’entité qu’OWL 2 DL tient séparées : {kinds}.",
    },
    "declared-twice": {
        "en": "{name} is declared in {other} as well.",
        "fr": "{name} est déclaré aussi dans {other}.",
    },
    "outside-link": {
        "en": "{name} is linked to {other}; links to outside vocabularies belong in alignments.ttl.",
        "fr": "{name} est relié à {other} ; les liens vers l’extérieur vont dans alignments.ttl.",
    },
    "outside-import": {
        "en": "{name} imports {other}, which is not a module of ours. Copy the few terms needed into external/.",
        "fr": "{name} importe {other}, qui n’est pas de nos modules. Recopiez dans external/ les termes utiles.",
    },
    "blank-node": {
        "en": "a blank node stands in a fact about {name}. Give everything an IRI.",
        "fr": "un nœud anonyme figure dans un fait sur {name}. Donnez une IRI à chaque chose.",
    },
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend in a file. `code` names the check; `line` is None where no single line is at fault."""

    code: str
    path: Path
    line: int | None
    fields: Mapping[str, object]

    def message(self, lang: str) -> str:
        """Return the sentence that says what is wrong, with its line if that is known."""
        text = _SENTENCES[self.code][lang].format(**self.fields)
        if self.line is None or self.code == "syntax":
            return text
        return f"{'ligne' if lang == 'fr' else 'line'} {self.line}{' : ' if lang == 'fr' else ': '}{text}"


class _File:
    """A file with its text, and its quads if it is RDF."""

    def __init__(self, path: Path, ontology: Path, quads: list[Quad]) -> None:
        self.path, self.quads = path, quads
        self.text = path.read_text(encoding="utf-8")
        inside = path.is_relative_to(ontology)
        place = path.relative_to(ontology).parts[0] if inside else ""
        self.is_facts = place in {"facts", "models", "cohorts"}
        self.is_outside = place in {"external", "alignments.ttl"}
        self.is_ontology = inside
        # The triples whose three members are IRIs: most checks look at nothing else.
        self.links = [
            (quad.subject.value, quad.predicate.value, quad.object.value)
            for quad in quads
            if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode)
        ]
        self.types: dict[str, set[str]] = {}
        for subject, predicate, value in self.links:
            if predicate == _TYPE:
                self.types.setdefault(subject, set()).add(value)

    def terms(self) -> set[str]:
        """Return the classes, properties, concepts and schemes that the file declares."""
        kinds = {*_TERM_KINDS, *_CONCEPT_KINDS}
        return {iri for iri, types in self.types.items() if types & kinds and not iri.startswith(SHAPE)}

    def problem(self, code: str, iri: str = "", **fields: object) -> Problem:
        """Return a problem of this file, at the first line where the IRI stands."""
        return Problem(code, self.path, self.line_of(iri), {"name": shrink(iri) or f"<{iri}>", **fields})

    def line_of(self, iri: str) -> int | None:
        """Return the first line, counted from 1, that holds the IRI in full or in short."""
        if not iri:
            return None
        short = shrink(iri)
        pattern = re.compile(f"<{re.escape(iri)}>" + (rf"|(?<![\w:-]){re.escape(short)}(?![\w-])" if short else ""))
        found = pattern.search(self.text)
        return self.text.count("\n", 0, found.start()) + 1 if found else None


def check_ontology(ontology: Path, shapes: Path | None = None, queries: Path | None = None) -> tuple[Problem, ...]:
    """Return what is to be mended in the ontology, and in the shapes and queries that use its terms.

    Files that do not parse are reported, and the others checked without them.

    >>> from pepr_kg.resources import ontology_dir
    >>> [problem.message("en") for problem in check_ontology(ontology_dir())]
    []
    """
    problems: list[Problem] = []
    files: list[_File] = []
    for folder in (ontology, shapes):
        for path in sorted(folder.rglob("*.ttl")) if folder else ():
            try:
                files.append(_File(path, ontology, parse_file(path, NamedNode(ONTOLOGY_GRAPH))))
            except DataSyntaxError as error:
                fields = {name: error.details[name] for name in ("line", "column", "detail")}
                problems.append(Problem("syntax", path, int(str(fields["line"])), fields))
    asking = [_File(path, ontology, []) for path in sorted(queries.rglob("*.rq"))] if queries else []
    problems += _prefixes([*files, *asking])
    for check in _CHECKS:
        problems += check(files)
    problems += _dangling_in_queries(files, asking)
    return tuple(sorted(problems, key=lambda item: (str(item.path), item.line or 0, item.code, str(item.fields))))


def _declared(files: Iterable[_File]) -> set[str]:
    """Return every IRI that some file gives a type, and those that stand for graphs and versions."""
    found = {*_KNOWN_GRAPHS, ONTOLOGY}
    for file in files:
        found |= file.types.keys()
        found |= {value for _, predicate, value in file.links if predicate == _OWL + "versionIRI"}
    return found


def _iris(quad: Quad) -> Iterator[str]:
    for node in (quad.subject, quad.predicate, quad.object):
        if isinstance(node, NamedNode):
            yield node.value
        elif isinstance(node, Literal):
            yield node.datatype.value


def _prefixes(files: Iterable[_File]) -> Iterator[Problem]:
    """A prefix that nobody knows, or that means something else here, is a typing error waiting to be believed."""
    files = list(files)
    # The two places where the outside world is named may bring prefixes of their own.
    known = dict(
        pair for file in files if file.is_outside for pair in _TURTLE_PREFIX.findall(_without_comments(file.text))
    ) | dict(PREFIXES)
    for file in files:
        for prefix, iri in _TURTLE_PREFIX.findall(_without_comments(file.text)):
            if prefix in known and known[prefix] != iri:
                yield Problem(
                    "prefix-mismatch", file.path, None, {"prefix": prefix, "iri": iri, "known": known[prefix]}
                )
            elif prefix not in known:
                yield Problem("unknown-prefix", file.path, None, {"prefix": prefix, "iri": iri})


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", text)


def _dangling(files: list[_File]) -> Iterator[Problem]:
    declared = _declared(files)
    for file in files:
        used = {iri for quad in file.quads for iri in _iris(quad) if iri.startswith(BASE)}
        for iri in sorted(used - declared):
            yield file.problem("dangling", iri)


def _dangling_in_queries(files: list[_File], queries: list[_File]) -> Iterator[Problem]:
    declared = _declared(files)
    spaces = set(PREFIXES.values())
    for file in queries:
        body = _SPARQL_NOISE.sub('""', _SPARQL_COMMENT.sub("", file.text))
        prefixes = dict(_TURTLE_PREFIX.findall(body))
        body = _TURTLE_PREFIX.sub("", body)
        used = {iri for iri in _SPARQL_IRI.findall(body) if iri.startswith(BASE) and iri not in spaces}
        body = _SPARQL_IRI.sub(" ", body)
        used |= {prefixes[prefix] + local for prefix, local in _SPARQL_NAME.findall(body) if prefix in prefixes}
        for iri in sorted(used - declared):
            if iri.startswith(BASE):
                yield file.problem("dangling", iri)


def _outside_undeclared(files: list[_File]) -> Iterator[Problem]:
    """A misspelt outside term passes every parser in silence: only declared ones are used."""
    declared = _declared(files)
    for file in files:
        used = {quad.predicate.value for quad in file.quads}
        used |= {
            quad.object.value
            for quad in file.quads
            if quad.predicate.value in (_TYPE, *_TERM_PLACES) and isinstance(quad.object, NamedNode)
        }
        for iri in sorted(used - declared):
            if not iri.startswith((BASE, *_BUILT_IN)):
                yield file.problem("outside-undeclared", iri)


def _texts(files: list[_File]) -> Iterator[Problem]:
    """Label, definition and home of every term and concept."""
    written = {
        (quad.subject.value, quad.predicate.value, quad.object.language)
        for file in files
        for quad in file.quads
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, Literal) and quad.object.value.strip()
    }
    for file in files:
        if not file.is_ontology:
            continue
        modules = {iri for iri, types in file.types.items() if _OWL + "Ontology" in types}
        at_home = {s for s, predicate, value in file.links if predicate == _RDFS + "isDefinedBy" and value in modules}
        for iri in sorted(file.terms()):
            for code, predicate in (("label", _RDFS + "label"), ("definition", _SKOS + "definition")):
                for language in LANGUAGES:
                    if (iri, predicate, language) not in written:
                        yield file.problem(code, iri, language=language)
            if iri.startswith(PEPR) and iri not in at_home:
                yield file.problem("home", iri)


def _kinds(files: list[_File]) -> Iterator[Problem]:
    """One IRI is a class or one kind of property, and is declared in one file."""
    seen: dict[str, tuple[_File, set[str]]] = {}
    for file in files:
        for iri, types in sorted(file.types.items()):
            kinds = types & set(_TERM_KINDS)
            if not kinds:
                continue
            other, before = seen.get(iri, (None, set()))
            if other is not None:
                yield file.problem("declared-twice", iri, other=other.path.name)
            if len(kinds | before) > 1:
                names = sorted(shrink(kind) or kind for kind in kinds | before)
                yield file.problem("two-kinds", iri, kinds=", ".join(names))
            seen[iri] = file, kinds | before


def _outside_links(files: list[_File]) -> Iterator[Problem]:
    """A reader of alignments.ttl has seen every link to another vocabulary."""
    terms = {iri for file in files for iri in file.terms() if iri.startswith((PEPR, ID))}
    for file in files:
        if file.is_outside:
            continue
        for subject, predicate, value in file.links:
            if predicate in _LINKS and subject in terms and not value.startswith((BASE, *_BUILT_IN)):
                yield file.problem("outside-link", subject, other=shrink(value) or f"<{value}>")


def _imports(files: list[_File]) -> Iterator[Problem]:
    """What is imported from elsewhere changes without us, and breaks OWL 2 DL."""
    for file in files:
        for subject, predicate, value in file.links:
            if predicate == _OWL + "imports" and not value.startswith(BASE):
                yield file.problem("outside-import", subject, other=f"<{value}>")


def _blank_nodes(files: list[_File]) -> Iterator[Problem]:
    """What has no name cannot be linked to, compared or corrected."""
    for file in files:
        blank = [quad for quad in file.quads if isinstance(quad.subject, BlankNode)] if file.is_facts else []
        owners = {
            quad.subject.value
            for quad in file.quads
            if file.is_facts and isinstance(quad.object, BlankNode) and isinstance(quad.subject, NamedNode)
        }
        # A blank node that nothing points to is named by what is said of it.
        for iri in sorted(owners or {quad.predicate.value for quad in blank}):
            yield file.problem("blank-node", iri)


_CHECKS: Final[tuple[Callable[[list[_File]], Iterator[Problem]], ...]] = (
    _dangling,
    _outside_undeclared,
    _texts,
    _kinds,
    _outside_links,
    _imports,
    _blank_nodes,
)
