"""What a cohort, its people and its dataset are, as triples.

The words stand in `ontology/cohorts/NAME.ttl`; what can be counted or read off the observations is added here.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pepr_kg.cohorts.errors import BadCohortName
from pepr_kg.cohorts.groups import ARRHYTHMIA, EVERYONE, GROUPS, Indices
from pepr_kg.cohorts.ntriples import (
    Terms,
    choose,
    dates,
    describe,
    describe_one,
    integers,
    iri,
    iris,
    text,
    texts,
)
from pepr_kg.cohorts.quantities import read_quantities
from pepr_kg.cohorts.records import Flags, Records, Times
from pepr_kg.namespaces import COHORT
from pepr_kg.resources import ontology_dir
from pepr_kg.store import NamedNode, RdfFormat, parse_file, serialize_triples

_SEXES: Final = ("male", "female", "unknown")
UNKNOWN_SEX: Final = 2  # the place of a sex in what `describe_people` takes
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_KINDS: Final = "cohort|dataset|access-condition"


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """A cohort as an N-Triples `document`, and how many patients, observations and administrations it has.

    `digest` is that of its content, "sha256:…"; it stands in the document, too.
    """

    name: str
    document: bytes
    digest: str
    patients: int
    observations: int
    administrations: int

    def write(self, path: Path) -> None:
        """Write the document to a file. Raises `OSError`."""
        path.write_bytes(self.document)


def identifiers(name: str, count: int) -> Terms:
    """Return the identifiers of so many patients, which sort as they stand. Raises `BadCohortName`.

    >>> identifiers("demo", 2).to_pylist()
    ['demo-0001', 'demo-0002']
    """
    if not _NAME.fullmatch(name):
        raise BadCohortName(name=name)
    width = max(4, len(str(count)))
    return pa.array([f"{name}-{at:0{width}d}" for at in range(1, count + 1)], pa.string())


def describe_people(
    name: str, names: Terms, sex: npt.NDArray[np.int_], birth: Terms | None, identifiability: str
) -> bytes:
    """Return the triples of patients: `sex` is 0 male, 1 female, `UNKNOWN_SEX`, or -1 where nothing is said; `birth`
    the terms of their birth dates.
    """
    facts: list[tuple[str, str | Terms]] = [
        ("rdf:type", iri("pepr:Patient")),
        ("dcterms:identifier", texts(names)),
        ("pepr:hasIdentifiability", iri(f"identifiability:{identifiability}")),
        ("pepr:hasSex", choose(sex, [iri(f"sex:{item}") for item in _SEXES])),
        ("pepr:memberOfCohort", iri(f"cohort:{name}")),
    ]
    if birth is not None:
        facts.append(("pepr:birthDate", birth))
    return describe(iris("patient:", names), facts)


def describe_twins(names: Terms, models: Mapping[str, Indices]) -> bytes:
    """Return a twin for each patient; `models` says for whom (places) each model is used."""
    twins, patients = iris("twin:", names), iris("patient:", names)
    parts = [describe(twins, [("rdf:type", iri("pepr:DigitalTwin")), ("pepr:twinOf", patients)])]
    parts += [
        describe(pc.take(twins, pa.array(members)), [("pepr:usesModel", iri(f"model:{model}"))])
        for model, members in models.items()
    ]
    return b"".join(parts)


def models_of(groups: Mapping[str, Indices]) -> dict[str, Indices]:
    """Return for whom each model is used, by its name."""
    return {model: groups[group.name] for group in (EVERYONE, ARRHYTHMIA, *GROUPS) for model in group.models}


def describe_consents(name: str, names: Terms, withdrawn: Flags, given: Times, on: Times) -> bytes:
    """Return the consents of those who withdrew them: when they were given and when withdrawn."""
    members = np.flatnonzero(withdrawn)
    own = pc.take(names, pa.array(members))
    return describe(
        iris("consent:", own),
        [
            ("rdf:type", iri("pepr:Consent")),
            ("pepr:consentOf", iris("patient:", own)),
            ("pepr:hasConsentStatus", iri("consent-status:withdrawn")),
            ("pepr:decidedOn", dates(given[members])),
            ("pepr:withdrawnOn", dates(on[members])),
            ("pepr:hasPurpose", "<https://w3id.org/dpv#ScientificResearch>"),
            ("pepr:coversDataset", iri(f"dataset:{name}")),
        ],
    )


def describe_cohort(kind: str, name: str, content: bytes, rows: Records, doses: Records, *, patients: int) -> Cohort:
    """Return a cohort: what `ontology/cohorts/KIND.ttl` says of it, under the name `name`, counts, a data element for
    each quantity, and `content`.

    Raises what `parse_file` raises.
    """
    quads = parse_file(ontology_dir() / "cohorts" / f"{kind}.ttl", NamedNode(COHORT + name))
    said = serialize_triples([quad.triple for quad in quads], RdfFormat.N_TRIPLES)
    lines = sorted(re.sub(rf"(/id/(?:{_KINDS})/){kind}>", rf"\g<1>{name}>", said.decode()).splitlines())
    body = "".join(f"{line}\n" for line in lines).encode() + _elements(name, rows, doses) + content
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    counts = {
        "pepr:recordCount": str(integers([len(rows) + len(doses)])[0]),
        "pepr:individualCount": str(integers([patients])[0]),
        "pepr:contentDigest": text(digest),
    }
    document = describe_one(f"dataset:{name}", counts) + body
    return Cohort(name, document, digest, patients, len(rows), len(doses))


def _elements(name: str, rows: Records, doses: Records) -> bytes:
    """Return the data elements: each quantity with the unit that most of its numbers have."""
    known = read_quantities()
    quantity, unit = np.r_[rows.quantity, doses.quantity], np.r_[rows.unit, doses.unit]
    pairs, counts = np.unique(np.char.add(np.char.add(quantity, "\t"), unit), return_counts=True)
    units: dict[str, str] = {}
    for at in np.argsort(counts, kind="stable"):  # the most frequent last
        slug, _, own = str(pairs[at]).partition("\t")
        units[slug] = own
    parts = []
    for slug in sorted(units):
        element = f"data-element:{name}.{slug}"
        facts = {
            "rdf:type": iri("pepr:DataElement"),
            "rdfs:label": [text(known[slug].label_fr, "fr"), text(known[slug].label_en, "en")],
            "pepr:quantity": iri(f"quantity:{slug}"),
        }
        if units[slug]:
            facts["pepr:unitCode"] = text(units[slug])
        parts.append(
            describe_one(element, facts) + describe_one(f"dataset:{name}", {"pepr:hasDataElement": iri(element)})
        )
    return b"".join(parts)
