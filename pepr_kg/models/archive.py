"""A model as a COMBINE archive: SBML, SED-ML, data and metadata in one file that other programs open and run.

The same model, scenario and data give the same bytes, whenever and wherever the archive is made.

>>> [entry.location for entry in _entries(b"<sbml/>", "sbml.level-3.version-2", b"<sedML/>", None, b"<rdf/>")]
['./model.xml', './simulation.sedml', './metadata.rdf']
"""

import hashlib
import math
import os
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import pyarrow as pa
from pyarrow import csv

from pepr_kg.models.errors import ModelNotExported
from pepr_kg.models.registry import Coupled, Registered, check_digest
from pepr_kg.models.scenarios import is_still
from pepr_kg.models.sedml import Course, write_sedml
from pepr_kg.twin import Scenario
from pepr_kg.twin.result import NOTICE
from pepr_kg.twin.sbml.document import read_bytes, read_document

_SPECIFICATIONS: Final = "http://identifiers.org/combine.specifications/"
_MANIFEST: Final = "http://identifiers.org/combine.specifications/omex-manifest"
_CSV: Final = "http://purl.org/NET/mediatypes/text/csv"
_SPACES: Final = {
    "xmlns:rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmlns:dcterms": "http://purl.org/dc/terms/",
    "xmlns:bqmodel": "http://biomodels.net/model-qualifiers/",
}
# When the archive was made is not said, so that its bytes depend on its content alone; the format demands a date.
_CREATED: Final = "2000-01-01T00:00:00Z"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a ZIP file knows
_POINTS: Final = 201
_RTOL: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive: where it is, what it is (`format`, an IRI), whether a reader starts from it, its bytes."""

    location: str
    format: str
    master: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Exported:
    """An archive that was written: where, what is in it, and its SHA-256."""

    path: Path
    entries: tuple[Entry, ...]
    digest: str


def export_archive(
    registered: Registered | Coupled,
    path: Path,
    *,
    scenario: Scenario | None = None,
    horizon: float | None = None,
    points: int = _POINTS,
    data: pa.Table | None = None,
    rtol: float = _RTOL,
) -> Exported:
    """Write a COMBINE archive of a model and what is asked of it, and say what is in it.

    `scenario` is what is changed (nothing), `horizon` the last time, in the model's time unit (the model's own),
    `points` the number of output times from 0 to it, `data` observations to go with it as a table, `rtol` the relative
    tolerance that another program is told. Of a formula, which does not depend on the time, it is one step to the
    horizon, which may be zero. A symbol of which the file has no value keeps none unless the scenario sets
    it; results of a run are then not numbers, as they are here.

    Raises `ModelNotExported` (a coupled model, no horizon, what SED-ML cannot say, a file that cannot be written),
    `ModelChanged`, `ModelFileMissing` and `BadScenario`.
    """
    name = registered.name
    if isinstance(registered, Coupled):
        raise ModelNotExported(name=name, detail={
            "en": f"it is made of two models; export {registered.fast.name} and {registered.slow.name}",
            "fr": f"il est fait de deux modèles ; exportez {registered.fast.name} et {registered.slow.name}",
        })  # fmt: skip
    changed = scenario or Scenario.base()
    last = registered.horizon if horizon is None else horizon
    still = is_still(registered.model, (changed,))
    if still:
        last, points = last or 0.0, 1
    if last is None or not 0.0 <= last < math.inf or not (still or (last > 0.0 and points > 1)):
        raise ModelNotExported(name=name, detail={
            "en": f"a horizon above zero and at least two points are needed, not {last} and {points}",
            "fr": f"il faut un horizon supérieur à zéro et au moins deux points, et non {last} et {points}",
        })  # fmt: skip
    check_digest(name, registered.path, registered.digest)
    sbml = read_bytes(registered.path, name)
    document = read_document(sbml, name=name, source=str(registered.path))
    course = Course(changed, last, points, registered.model.outputs, rtol)
    columns = None if data is None else data.column_names
    sedml = write_sedml(document, registered.model, course, source="model.xml", data=columns)
    table = None if data is None else _csv(data)
    metadata = _metadata(registered, course)
    language = f"sbml.level-{document.level}.version-{document.version}"
    entries = _entries(sbml, language, sedml, table, metadata)
    content = _zip(entries)
    try:
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(content)
        os.replace(new, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelNotExported(name=name, detail={"en": f"{path}: {reason}", "fr": f"{path} : {reason}"}) from error
    return Exported(path, entries, hashlib.sha256(content).hexdigest())


def read_observations(path: Path, name: str) -> pa.Table:
    """Return the observations of a CSV file, to go with the model `name`. Raises `ModelNotExported`."""
    try:
        return csv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ModelNotExported(name=name, detail={
            "en": f"{path} cannot be read as CSV ({error})", "fr": f"{path} est illisible en CSV ({error})",
        }) from error  # fmt: skip


def _entries(sbml: bytes, language: str, sedml: bytes, table: bytes | None, metadata: bytes) -> tuple[Entry, ...]:
    found = [
        Entry("./model.xml", _SPECIFICATIONS + language, False, sbml),
        Entry("./simulation.sedml", f"{_SPECIFICATIONS}sed-ml.level-1.version-4", True, sedml),
    ]
    if table is not None:
        found.append(Entry("./data.csv", _CSV, False, table))
    found.append(Entry("./metadata.rdf", f"{_SPECIFICATIONS}omex-metadata", False, metadata))
    return tuple(found)


def _csv(data: pa.Table) -> bytes:
    buffer = BytesIO()
    csv.write_csv(data, buffer)
    return buffer.getvalue()


def _metadata(registered: Registered, course: Course) -> bytes:
    """Return what the archive is, under which licence, and which documents describe the model; nobody is named."""
    root = Element("rdf:RDF", _SPACES)
    label = registered.labels.get("en") or registered.model.title or registered.name
    for about, title in ((".", f"{label}: {course.scenario.name}"), ("./model.xml", label)):
        node = SubElement(root, "rdf:Description", {"rdf:about": about})
        SubElement(node, "dcterms:title").text = title
        if about == ".":
            SubElement(node, "dcterms:description").text = NOTICE["en"]
            created = SubElement(node, "dcterms:created", {"rdf:parseType": "Resource"})
            SubElement(created, "dcterms:W3CDTF").text = _CREATED
        else:
            SubElement(node, "dcterms:identifier").text = registered.digest
            SubElement(node, "bqmodel:is", {"rdf:resource": registered.iri})
        if registered.licence:
            SubElement(node, "dcterms:license", {"rdf:resource": registered.licence})
        for address in registered.publications:
            SubElement(node, "bqmodel:isDescribedBy", {"rdf:resource": address})
    return _document(root)


def _manifest(entries: tuple[Entry, ...]) -> bytes:
    root = Element("omexManifest", {"xmlns": _MANIFEST})
    places = [(".", f"{_SPECIFICATIONS}omex", False), ("./manifest.xml", _MANIFEST, False)]
    for location, kind, master in (*places, *((item.location, item.format, item.master) for item in entries)):
        attributes = {"location": location, "format": kind} | ({"master": "true"} if master else {})
        SubElement(root, "content", attributes)
    return _document(root)


def _zip(entries: tuple[Entry, ...]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for location, data in (
            ("./manifest.xml", _manifest(entries)),
            *((item.location, item.data) for item in entries),
        ):
            info = zipfile.ZipInfo(location.removeprefix("./"), _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3  # else it would differ between systems
            archive.writestr(info, data)
    return buffer.getvalue()


def _document(root: Element) -> bytes:
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode").encode() + b"\n"
