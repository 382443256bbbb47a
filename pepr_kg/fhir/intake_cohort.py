"""What a cohort of FHIR resources is: the cohort, its dataset, its patients, and the intake itself, as triples."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pepr_kg.cohorts.quantities import read_quantities
from pepr_kg.fhir.intake_codes import QUANTITY, SEX, Codes
from pepr_kg.fhir.intake_parts import Identifier, Patient
from pepr_kg.fhir.intake_refusals import bad_date
from pepr_kg.fhir.intake_values import INSTANT, XSD, birth_of, literal
from pepr_kg.namespaces import COHORT, ID, expand, shrink
from pepr_kg.store import NamedNode, View

_PROV: Final = expand("prov:")
_IDENTIFIER_TYPES: Final = {"PI": "ipp", "INS-NIR": "ins-nir", "INS-NIA": "ins-nia"}
_TEST_DATA: Final = "HTEST"  # v3-ActReason: test health data
HOLDER: Final = "organisation:pepr-kg"
MODALITY: Final = expand("modality:electronic-health-records")
Facts = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class About:
    """What the caller says of the cohort: its name, titles (fr, en), how far people can be told apart (a slug), who
    holds the data (an IRI or short form), and the models that the twins of its patients use (names).
    """

    name: str
    titles: Mapping[str, str]
    identifiability: str = "pseudonymised"
    holder: str = HOLDER
    models: Sequence[str] = ()


def say(subject: str, facts: Facts) -> str:
    """Return the triples of a subject (an IRI); `facts` are pairs of a predicate's short form or IRI and a term."""
    return "".join(f"<{subject}> <{expand(verb)}> {term} .\n" for verb, term in facts)


def _node(curie: str) -> str:
    return f"<{expand(curie)}>"


def _texts(verb: str, fr: str, en: str) -> list[tuple[str, str]]:
    return [(verb, f"{literal(fr)}@fr"), (verb, f"{literal(en)}@en")]


def describe_cohort(view: View, about: About) -> str:
    """Return what a new cohort and its dataset are."""
    name, identifiability = about.name, ("pepr:hasIdentifiability", _node(f"identifiability:{about.identifiability}"))
    en, fr = about.titles["en"], about.titles["fr"]
    cohort = say(expand(f"cohort:{name}"), [
        ("rdf:type", _node("pepr:Cohort")), *_texts("rdfs:label", fr, en), identifiability,
        ("dcterms:source", _node(f"dataset:{name}")),
        *_texts("rdfs:comment", "Reprise de ressources FHIR. Pour la recherche\u202f; ceci n’est pas un avis médical.",
                "Taken from FHIR resources. For research, not medical advice."),
    ])  # fmt: skip
    dataset = say(expand(f"dataset:{name}"), [
        ("rdf:type", _node("pepr:Dataset")), *_texts("rdfs:label", f"données de «\u202f{fr}\u202f»", f"data of “{en}”"),
        ("pepr:hasAccessLevel", _node("access-level:controlled")), identifiability,
        ("pepr:hasDataHolder", _node(about.holder)), *_known(view, "pepr:hasModality", MODALITY),
        ("pepr:hasLevel", _node("level:individual")),
        ("pepr:hasAccessCondition", _node(f"access-condition:{name}")),
    ])  # fmt: skip
    condition = say(expand(f"access-condition:{name}"), [
        ("rdf:type", _node("pepr:Obligation")), ("rdf:type", _node("pepr:AccessCondition")),
        *_texts("pepr:conditionText", "Demander au détenteur des données à quelles fins elles peuvent servir.",
                "Ask the holder of the data what they may be used for."),
    ])  # fmt: skip
    holder = say(expand(about.holder), [
        ("rdf:type", _node("pepr:Organisation")), *_texts("rdfs:label", "projet pepr_kg", "pepr_kg project"),
    ]) if about.holder == HOLDER else ""  # fmt: skip
    return cohort + dataset + condition + holder


def _known(view: View, verb: str, curie: str) -> list[tuple[str, str]]:
    """Return a fact about something that the graph describes, nothing where it does not."""
    return [(verb, _node(curie))] if next(view.quads(NamedNode(expand(curie))), None) is not None else []


def describe_elements(view: View, name: str, units: Mapping[str, Counter[str]]) -> str:
    """Return the data elements of a dataset that are new: each quantity with the unit that most of its numbers have."""
    known, graph, parts = read_quantities(), NamedNode(COHORT + name), []
    for quantity, counts in sorted(units.items()):
        slug = quantity.removeprefix(QUANTITY)
        element = expand(f"data-element:{name}.{slug}")
        if slug not in known or next(view.quads(NamedNode(element), graph=graph), None) is not None:
            continue
        facts = [("rdf:type", _node("pepr:DataElement")), ("pepr:quantity", f"<{quantity}>")]
        facts += _texts("rdfs:label", known[slug].label_fr, known[slug].label_en)
        unit = counts.most_common(1)[0][0]
        if unit:
            facts.append(("pepr:unitCode", literal(unit)))
        parts.append(say(element, facts) + say(expand(f"dataset:{name}"), [("pepr:hasDataElement", f"<{element}>")]))
    return "".join(parts)


def describe_patient(codes: Codes, about: About, part: Patient) -> str:
    r"""Return the triples of a patient, `\0` in place of the name; neither name nor number nor address is among them.

    Raises `Refused` for a date that is none.
    """
    tested = any(coding.code == _TEST_DATA for coding in (part.meta.security if part.meta else ()))
    facts = [("pepr:hasIdentifiability", _node(f"identifiability:{'synthetic' if tested else about.identifiability}"))]
    if part.gender:
        facts.append(("pepr:hasSex", SEX.get(part.gender, SEX["unknown"])))
    for verb, text, path in (("pepr:birthDate", part.birthDate, "Patient.birthDate"),
                             ("pepr:deathDate", part.deceasedDateTime, "Patient.deceasedDateTime")):  # fmt: skip
        if text:
            day = birth_of(text)
            if day is None:
                raise bad_date(path, text)
            facts.append((verb, day))
    if part.deceasedBoolean is not None and part.deceasedDateTime is None:
        facts.append(("pepr:isDeceased", f'"{str(part.deceasedBoolean).lower()}"^^<{XSD}boolean>'))
    schemes = dict.fromkeys(scheme_of(codes, item) for item in part.identifier)
    facts += [("pepr:identifiedWithin", f"<{scheme}>") for scheme in schemes]
    return "".join(f"\0 <{expand(verb)}> {term} .\n" for verb, term in facts)


def scheme_of(codes: Codes, identifier: Identifier) -> str:
    """Return the identification scheme of an identifier: by its system, else by its type (PI, INS-NIR, …)."""
    found = codes.systems.get(identifier.system or "")
    if found is None and identifier.type is not None:
        types = [coding.code for coding in identifier.type.coding if coding.code in _IDENTIFIER_TYPES]
        found = f"{ID}identifier-scheme/{_IDENTIFIER_TYPES[str(types[0])]}" if types else None
    return found or f"{ID}identifier-scheme/other-person"


def describe_intake(
    intake: str, *, who: str, program: str, started: datetime, ended: datetime, digests: Sequence[str], release: str,
) -> str:  # fmt: skip
    """Return the activity: when, by whom and by which program, from which files.

    A file is said by the SHA-256 of its bytes alone: its name may be that of a patient.
    """
    software = f"{ID}agent/{program.replace(' ', '-')}"
    agent, described = _agent(who, software)
    facts = [
        ("rdf:type", _node("pepr:Intake")), ("rdf:type", f"<{_PROV}Activity>"),
        *_texts("rdfs:label", f"reprise FHIR du {started:%Y-%m-%d}", f"FHIR intake of {started:%Y-%m-%d}"),
        ("prov:startedAtTime", f'"{started:%Y-%m-%dT%H:%M:%SZ}"{INSTANT}'),
        ("prov:endedAtTime", f'"{ended:%Y-%m-%dT%H:%M:%SZ}"{INSTANT}'),
        ("prov:wasAssociatedWith", f"<{software}>"), ("pepr:fhirRelease", literal(release)),
        ("pepr:softwareVersion", literal(program)),
        *((("prov:wasAssociatedWith", f"<{agent}>"),) if agent != software else ()),
        *(("pepr:contentDigest", literal(f"sha256:{digest}")) for digest in dict.fromkeys(digests)),
    ]  # fmt: skip
    known = say(software, [("rdf:type", f"<{_PROV}SoftwareAgent>"), ("rdfs:label", literal(program))])
    return say(intake, facts) + known + described


def _agent(who: str, software: str) -> tuple[str, str]:
    """Return the IRI of who asks, and what is to be said of them."""
    name = who.strip()
    if not name:
        return software, ""
    if shrink(name) is not None:
        return name, ""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    iri = f"{ID}agent/{re.sub(r'[^a-z0-9.]+', '-', plain).strip('-') or 'unknown'}"
    return iri, say(iri, [("rdf:type", f"<{_PROV}Agent>"), ("rdfs:label", literal(name))])
