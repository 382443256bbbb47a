"""Put any SBML model in the graph: its file beside the dataset, its description as one change that passes the shapes.

What the file says becomes triples (`description`); who adds it says, or the file itself does, under which licence it
may be used and which publication describes it, else it is refused. The same file again changes nothing. Another file
under the same name is a correction: the description is made anew, what was written by hand about the model stays, and
the earlier file is kept under its digest, so that evaluations that rest on it can be found and repeated.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from pepr_kg.errors import DatasetReadOnly
from pepr_kg.models.description import (
    DIGEST,
    FILE,
    GRAPH,
    HAS_INPUT,
    LABEL,
    TYPE,
    describe,
    element_nodes,
    is_derived,
    kinds_of,
    part_of,
    sha256_text,
)
from pepr_kg.models.documents import described_by
from pepr_kg.models.errors import ModelNotAdded
from pepr_kg.models.marks import THE_MODEL, Mark, read_licence, read_marks, read_references
from pepr_kg.models.particulars import (
    DESCRIBED_IN,
    HAS_LEVEL,
    HAS_TIME_SCALE,
    LICENCE,
    STANDS_FOR,
    FromFile,
    Particulars,
    particular_quads,
)
from pepr_kg.models.registry import FOLDER, MODEL, list_models, owned_triples
from pepr_kg.namespaces import ID, PREFIXES, shrink
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Dataset, Literal, NamedNode, Quad, Triple, View
from pepr_kg.twin import Model
from pepr_kg.twin.sbml.document import read_bytes, read_document
from pepr_kg.twin.sbml.reading import read_model

ADDED, UNCHANGED, RESTORED = "added", "unchanged", "restored"
DESCRIBED, CORRECTED = "described", "corrected"

_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    ADDED: {
        "en": "{iri} was added: {elements} element(s), {events} event(s), {digest}.",
        "fr": "{iri} a été ajouté : {elements} élément(s), {events} événement(s), {digest}.",
    },
    UNCHANGED: {
        "en": "{iri} is there already, from the same file; nothing was changed.",
        "fr": "{iri} y est déjà, d’après le même fichier ; rien n’a changé.",
    },
    RESTORED: {
        "en": "{iri} is there already; its file {path} was put back.",
        "fr": "{iri} y est déjà ; son fichier {path} a été remis en place.",
    },
    DESCRIBED: {
        "en": "{iri} is the same file; what is said of it was changed.",
        "fr": "{iri} est le même fichier ; ce qui en est dit a été modifié.",
    },
    CORRECTED: {
        "en": "{iri} was corrected: {digest} takes the place of {earlier}. Evaluations of the earlier file are stale "
        "(pepr-kg runs stale).",
        "fr": "{iri} a été corrigé : {digest} remplace {earlier}. Les évaluations du fichier précédent sont périmées "
        "(pepr-kg runs stale).",
    },
}
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST: Final = 64
_SHOWN: Final = 12  # digits of a digest in the name of an earlier file
_PARTICULARS: Final = frozenset({LABEL, LICENCE, DESCRIBED_IN, STANDS_FOR, HAS_LEVEL, HAS_TIME_SCALE})
_REVISION: Final = NamedNode(PREFIXES["prov"] + "wasRevisionOf")
_ENTITY: Final = NamedNode(PREFIXES["prov"] + "Entity")
_VERSION_OF: Final = NamedNode(PREFIXES["dcterms"] + "isVersionOf")


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a model.

    `outcome` is "added", "unchanged" (the same file, the same words), "restored" (the same, and its file was put back),
    "described" (the same file, other words) or "corrected" (another file; `earlier` is the digest before, and that
    file's name is in the graph). `without_unit` are the symbols whose unit the file does not give: nothing can be bound
    to them. `publications` are the documents; `view` is the dataset as it now is.
    """

    name: str
    iri: str
    outcome: str
    digest: str
    earlier: str | None
    path: Path
    elements: int
    events: int
    without_unit: tuple[str, ...]
    publications: tuple[str, ...]
    view: View

    def message(self, lang: str) -> str:
        """Return the sentence that says what came of it."""
        fields = {name: getattr(self, name) for name in ("iri", "elements", "events", "digest", "earlier", "path")}
        return _SENTENCES[self.outcome][lang].format(**fields | {"iri": shrink(self.iri) or self.iri})


def add_model(
    dataset: Dataset,
    path: Path,
    *,
    name: str | None = None,
    label: Mapping[str, str] | None = None,
    project: str | None = None,
    publication: str | None = None,
    licence: str | None = None,
    levels: Sequence[str] = (),
    time_scales: Sequence[str] = (),
    who: str,
    check: Callable[[View], None],
) -> Added:
    """Put the model of an SBML file in the graph of models and its file in the dataset's folder; say what came of it.

    `name` is what it is called (the file's, where it is not given), `label` its name in each language (that of the
    file, where it is not given). The others are as in `Particulars`. `check` sees the dataset as it would be and raises
    to refuse it: the shapes are no business of this room. Whatever is refused, nothing is left behind.

    Raises `ModelNotAdded` (a name that is taken or malformed, no licence, no publication, unknown projects, levels or
    scales, a symbol that is gone but still described), what `read_model` raises for a file that is not evaluated,
    `DatasetMissing`, `DatasetLocked`, and what `check` raises.
    """
    data = read_bytes(path, path.stem)
    name = name or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    _check_name(name)
    root = read_document(data, name=name, source=str(path)).root
    _refuse_references(name, root)
    model = read_model(data, name=name, source=str(path))
    said = Particulars(label or {}, licence, publication, project, levels, time_scales)
    dataset.view()  # where there is none, a change would make an empty one
    with dataset.change(who=who, source=path.name) as change:
        before = dataset.view()
        _refuse_taken(before, name)
        current = owned_triples(before, name)
        earlier = next(_values(current, name, DIGEST), None)
        kept = _kept(current, model, name)
        metaid = read_marks(root).get(THE_MODEL, Mark()).metaid
        by_file = FromFile(model.title or name, read_licence(root), described_by(model.annotations, metaid))
        particulars, documents = particular_quads(before, name, said, kept, by_file)
        digest = sha256_text(model.digest)
        wanted = {
            *(item for item in kept if not (_is(item, name) and item.predicate in _PARTICULARS)),
            *particulars,
            *(quad.triple for quad in describe(model, MODEL + name, file=f"{name}.xml", meaning=kept, data=data)),
        }
        if earlier not in (None, digest):
            wanted = _revised(wanted, name, str(earlier))
        old, new = set(_quads(current)), {*_quads(wanted), *documents}
        outcome = ADDED if earlier is None else CORRECTED if earlier != digest else DESCRIBED
        home = dataset.path / FOLDER
        with _copy(home, name, data, earlier if outcome == CORRECTED else None) as place:
            if new <= {*old, *before.quads(graph=GRAPH)} and old <= new:
                outcome, view = RESTORED if place() else UNCHANGED, before
            else:
                change.remove(old - new)
                change.add(sorted(new - old, key=str))

                def checked(view: View) -> None:
                    check(view)
                    place()

                view = change.commit(checked)
    return Added(
        name=name,
        iri=MODEL + name,
        outcome=outcome,
        digest=digest,
        earlier=earlier if outcome == CORRECTED else None,
        path=home / f"{name}.xml",
        elements=len(model.variables),
        events=len(model.events),
        without_unit=tuple(item.symbol for item in model.variables if item.unit is None),
        publications=tuple(_values(particulars, name, DESCRIBED_IN)),
        view=view,
    )


def added_quads(view: View) -> list[Quad]:
    """Return what the graph of models holds besides the models that come with the project: what a build must keep.

    These are the models that were added, coupled models written by hand, all that is called after them, and the
    documents that describe them.
    """
    shipped = {path.stem for path in (ontology_dir() / "models").iterdir() if path.suffix in (".xml", ".ttl")}
    quads = list(view.quads(graph=GRAPH))
    subjects: dict[object, list[Quad]] = {}
    for quad in quads:
        subjects.setdefault(quad.subject, []).append(quad)
    names = {item.name for item in list_models(view)} - shipped
    waiting = [subject for subject in subjects if part_of(subject)[1] in names]
    found: dict[object, None] = {}
    while waiting:
        subject = waiting.pop()
        if subject not in found:
            found[subject] = None
            nodes = [quad.object for quad in subjects[subject] if quad.object in subjects]
            waiting += [node for node in nodes if part_of(node)[1] not in shipped]
    return [quad for quad in quads if quad.subject in found]


# ---- What stays and what goes ----------------------------------------------------------------------------------------


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ModelNotAdded(name=name or "-", detail={
            "en": f"a name is small letters, digits and hyphens between them, at most {_LONGEST}; give one with --name",
            "fr": f"un nom est fait de minuscules sans accent, de chiffres et de traits d’union entre eux, au plus "
                  f"{_LONGEST} ; donnez-en un avec --name"})  # fmt: skip


def _refuse_taken(view: View, name: str) -> None:
    shipped = any((ontology_dir() / "models" / f"{name}{suffix}").is_file() for suffix in (".xml", ".ttl"))
    coupled = any(item.name == name and not item.file for item in list_models(view))
    if shipped or coupled:
        raise ModelNotAdded(name=name, detail={
            "en": "a model that comes with the project, or a coupled one, has this name; give another with --name",
            "fr": "un modèle fourni avec le projet, ou un modèle composé, porte ce nom ; donnez-en un autre avec "
                  "--name"})  # fmt: skip


def _refuse_references(name: str, root: Element) -> None:
    others = ", ".join(read_references(root))
    if others:
        raise ModelNotAdded(name=name, detail={
            "en": f"its submodels come from other files ({others}); make one file of them first (flattening)",
            "fr": f"ses sous-modèles viennent d’autres fichiers ({others}) ; réunissez-les d’abord en un seul "
                  "(aplatissement)"})  # fmt: skip


def _is(triple: Triple, name: str, predicate: NamedNode | None = None) -> bool:
    return triple.subject == NamedNode(MODEL + name) and predicate in (None, triple.predicate)


def _values(triples: Iterable[Triple], name: str, predicate: NamedNode) -> Iterator[str]:
    for item in triples:
        if _is(item, name, predicate) and isinstance(item.object, NamedNode | Literal):
            yield item.object.value


def _kept(current: Iterable[Triple], model: Model, name: str) -> list[Triple]:
    """Return what was written by hand about a model that may now have other symbols.

    Raises `ModelNotAdded` where something is said of a symbol that is gone.
    """
    kept = [item for item in current if not is_derived(item, name)]
    nodes = set(element_nodes(model, name, kinds_of(kept, name)).values())
    events = {event.symbol for event in model.events}
    gone: dict[str, None] = {}
    found = []
    for item in kept:
        kind, _, symbol = part_of(item.subject)
        lost = (kind in ("parameter", "variable") and item.subject not in nodes) or (
            kind == "model-event" and symbol not in events
        )
        if (item.predicate == HAS_INPUT and item.object not in nodes) or (lost and _is_plain_input(item)):
            continue
        if lost:
            gone[symbol] = None
        found.append(item)
    if gone:
        names = ", ".join(gone)
        raise ModelNotAdded(name=name, detail={
            "en": f"the graph says something by hand of what the file no longer has: {names}; take that out of the "
                  "graph of models first",
            "fr": f"le graphe dit à la main quelque chose de ce que le fichier n’a plus : {names} ; retirez-le d’abord "
                  "du graphe des modèles"})  # fmt: skip
    return found


def _is_plain_input(triple: Triple) -> bool:
    """Return whether a triple says that something is an input, which `describe` says of what has no value."""
    return triple.object == NamedNode(f"{ID}variable-role/input")


def _revised(wanted: set[Triple], name: str, earlier: str) -> set[Triple]:
    """Return the triples with the earlier version as something of its own, which the model is a revision of."""
    own = NamedNode(MODEL + name)
    shown = earlier.removeprefix("sha256:")[:_SHOWN]
    node = NamedNode(f"{MODEL}{name}.{shown}")
    chain = {item for item in wanted if item.subject == own and item.predicate == _REVISION}
    uri = NamedNode(PREFIXES["xsd"] + "anyURI")
    return {
        *(wanted - chain),
        Triple(own, _REVISION, node),
        Triple(node, TYPE, _ENTITY),
        Triple(node, DIGEST, Literal(earlier)),
        Triple(node, FILE, Literal(f"{name}.{shown}.xml", datatype=uri)),
        Triple(node, _VERSION_OF, own),
        *(Triple(node, _REVISION, item.object) for item in chain if item.object != node),
    }


def _quads(triples: Iterable[Triple]) -> Iterator[Quad]:
    for triple in triples:
        yield Quad(triple.subject, triple.predicate, triple.object, GRAPH)


# ---- The file --------------------------------------------------------------------------------------------------------


@contextmanager
def _copy(home: Path, name: str, data: bytes, earlier: str | None) -> Iterator[Callable[[], bool]]:
    """Yield what puts the file in its place and says whether another, or none, was there.

    `earlier` is the digest of the file whose place it takes and which is kept beside it. Where the block ends with an
    error, all is as it was. Raises `DatasetReadOnly`.
    """
    target, new = home / f"{name}.xml", home / f".{name}.new"
    aside = home / f"{name}.{(earlier or '').removeprefix('sha256:')[:_SHOWN]}.xml"
    with _writing(home):
        home.mkdir(parents=True, exist_ok=True)
        before = target.read_bytes() if target.is_file() else None
    touched: list[Path] = []
    done = False

    def place() -> bool:
        if before == data:
            return False
        with _writing(home):
            if before is not None and earlier == sha256_text(hashlib.sha256(before).hexdigest()):
                touched.append(aside)
                aside.write_bytes(before)
            touched.append(target)
            new.replace(target)
        return True

    try:
        with _writing(home), new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield place
        done = True
    finally:
        with _writing(home):
            new.unlink(missing_ok=True)
            if not done and target in touched:
                target.unlink(missing_ok=True)
                if before is not None:
                    target.write_bytes(before)
            if not done and aside in touched:
                aside.unlink(missing_ok=True)


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    """Turn what the disk refuses into one sentence."""
    try:
        yield
    except OSError as error:
        raise DatasetReadOnly(path=home, detail=error.strerror or error) from error
