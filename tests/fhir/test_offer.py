"""The graph as FHIR: what things become in R4 and R5, ids and versions, and that what came in leaves as it came."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pepr_kg.errors import NotFound
from pepr_kg.fhir.context import Context
from pepr_kg.fhir.criteria import Criteria
from pepr_kg.fhir.documents import open_documents
from pepr_kg.fhir.identities import candidates, identify
from pepr_kg.fhir.nodes import Nodes
from pepr_kg.fhir.offer import FORMS, TYPES, export, offer, read_one, read_page, usual_release
from pepr_kg.fhir.offer_errors import (
    BadSearch,
    NothingToExport,
    ReleaseNotOffered,
    ResourceGone,
    SearchTooWide,
    SeveralResources,
    UnknownCohortOfFhir,
)
from pepr_kg.fhir.tables import Table, load_table
from pepr_kg.namespaces import ID
from pepr_kg.rdf import RdfFormat, read_quads
from pepr_kg.store import Dataset, View
from tests.fhir.offered_dataset import PEOPLE, offered, take

RELEASES = ("R4", "R5")
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return offered(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def plain(hospital: Dataset) -> View:
    return hospital.view()


@pytest.fixture(scope="module")
def person(shared: Path) -> Path:
    return min((shared / "fhir/synthea-r4").glob("*.json"), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def mixed(plain: View, hospital: Dataset, person: Path) -> View:
    """The same dataset with a Synthea person kept as FHIR, and one kept in our terms alone."""
    take(hospital, person, "clinic", "both")
    take(hospital, person, "ward", "terms")
    return hospital.view()


def everything(view: View, what: str, release: str = "R4", lang: Any = "en") -> list[dict[str, Any]]:
    return [json.loads(item.data) for item in offer(Context(view, release, lang), what)]


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in resources if item["resourceType"] == kind]


def one(view: View, kind: str, identifier: str, release: str = "R4", lang: Any = "en") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_one(Context(view, release, lang), kind, identifier).data)
    return found


def unknown(table: Table, path: str, value: Any, place: str) -> Iterator[str]:
    """Yield the elements that a release does not know."""
    elements = table.elements(path)
    for name, item in value.items():
        plain = name.removeprefix("_")
        if plain == "resourceType":
            continue
        if plain not in elements:
            yield f"{place}.{name}"
            continue
        element = elements[plain]
        if element.is_list != isinstance(item, list):
            yield f"{place}.{name} (list)"
        for part in item if isinstance(item, list) else [item]:
            if isinstance(part, dict):
                below = part["resourceType"] if element.is_resource else "Element" if name[0] == "_" else element.path
                yield from unknown(table, below, part, f"{place}.{name}")


def walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, value
    for key, item in (
        value.items()
        if isinstance(value, dict)
        else [(name, item) for item in value or ()]
        if isinstance(value, list)
        else ()
    ):
        yield from walk(item, key)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("what", ["programme", "cohort:demo", "cohort:ward"])
def test_everything_that_is_offered_has_the_elements_of_its_release(mixed: View, what: str, release: str) -> None:
    table = load_table(release)
    resources = everything(mixed, what, release)
    for resource in resources:
        assert not list(unknown(table, resource["resourceType"], resource, resource["resourceType"]))
        assert resource["language"] == "en"
        assert len(resource["id"]) <= 64
    references = [f"{item['resourceType']}/{item['id']}" for item in resources]
    assert max(Counter(references).values()) == 1
    # What FHIR forbids: an empty object, an empty list, an empty text.
    assert not [name for resource in resources for name, item in walk(resource) if item in ({}, [], "")]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("what", ["cohort:demo", "cohort:ward"])
def test_what_a_resource_refers_to_can_be_read(mixed: View, what: str, release: str) -> None:
    context = Context(mixed, release)
    wanted = {item for resource in everything(mixed, what, release) for name, item in walk(resource)
              if name == "reference" and isinstance(item, str)}  # fmt: skip
    assert wanted
    for reference in wanted:
        kind, _, identifier = reference.partition("/")
        assert read_one(context, kind, identifier).reference == reference


def test_a_patient_says_who_it_is_and_that_nobody_is_it(plain: View) -> None:
    found = one(plain, "Patient", "demo-0001")
    assert found["identifier"][0] == {
        "use": "official", "system": "urn:ietf:rfc:3986", "value": f"{ID}patient/demo-0001",
    }  # fmt: skip
    assert found["gender"] in {"male", "female", "other", "unknown"}
    assert found["meta"]["security"][0]["code"] == "HTEST"
    assert found["meta"]["tag"][0]["code"] == "HRESCH"


@pytest.mark.parametrize("release", RELEASES)
def test_a_probability_is_a_risk_assessment_in_percent(plain: View, release: str) -> None:
    resources = everything(plain, "cohort:demo", release)
    risks = of_type(resources, "RiskAssessment")
    assert risks
    known = {item["id"]: item for item in of_type(resources, "Observation")}
    for risk in risks:
        assert risk["performer"] == {"reference": "Device/score2"}
        assert 0 <= risk["prediction"][0]["probabilityDecimal"] <= 100
        assert risk["prediction"][0]["whenPeriod"]["end"] > risk["occurrenceDateTime"]
        assert any("medical advice" in note["text"] for note in risk["note"])
        used = [known[item["reference"].removeprefix("Observation/")] for item in risk["basis"]]
        assert {item["subject"]["reference"] for item in used} == {risk["subject"]["reference"]}
        assert len(used) >= 5


def test_a_predicted_quantity_is_an_observation_of_its_own_category(plain: View) -> None:
    resources = of_type(everything(plain, "cohort:demo"), "Observation")
    predicted = [item for item in resources if item["id"].startswith("prediction.")]
    assert predicted
    for item in predicted:
        codes = {coding["code"] for category in item["category"] for coding in category["coding"]}
        assert "Prediction" in codes
        assert item["device"] == {"reference": "Device/disease-course"}
        assert item["method"]["coding"][1]["system"] == f"{ID}scenario"
        low, high = (part["valueQuantity"]["value"] for part in item["component"])
        assert low <= item["valueQuantity"]["value"] <= high


def test_a_run_is_the_provenance_of_what_it_gave_each_patient(plain: View) -> None:
    resources = everything(plain, "cohort:demo")
    made = {f"{item['resourceType']}/{item['id']}": item for item in resources}
    provenances = of_type(resources, "Provenance")
    assert provenances
    for item in provenances:
        subjects = {made[target["reference"]]["subject"]["reference"] for target in item["target"]}
        assert len(subjects) == 1  # nobody is told of another patient
        assert any(entity["what"]["reference"].startswith("DeviceDefinition/") for entity in item["entity"])
        assert item["recorded"].endswith("Z")
    assert any(agent["who"].get("display") == "Zoé" for item in provenances for agent in item["agent"])


def test_a_model_has_the_form_of_each_release(plain: View) -> None:
    old, new = (one(plain, "Device", "score2", release) for release in RELEASES)
    assert old["definition"] == {"reference": "DeviceDefinition/score2"}
    assert new["definition"] == {"reference": {"reference": "DeviceDefinition/score2"}}
    assert old["deviceName"][0]["name"] == new["name"][0]["value"]
    assert one(plain, "DeviceDefinition", "score2")["version"] == ["1.0"]
    assert one(plain, "DeviceDefinition", "score2", "R5")["version"] == [{"value": "1.0"}]


def test_texts_are_in_both_languages(plain: View) -> None:
    english, french = (one(plain, "ResearchStudy", "chronicardio", lang=lang) for lang in ("en", "fr"))
    assert english["language"] == "en"
    assert french["language"] == "fr"
    translation = english["_title"]["extension"][0]
    assert translation["url"] == TRANSLATION
    assert translation["extension"] == [
        {"url": "lang", "valueCode": "fr"}, {"url": "content", "valueString": french["title"]},
    ]  # fmt: skip


def test_the_programme_is_studies_organisations_and_people(plain: View) -> None:
    resources = everything(plain, "programme", "R5")
    counts = Counter(item["resourceType"] for item in resources)
    assert set(counts) == {"ResearchStudy", "Organization", "Practitioner", "PractitionerRole"}
    made = {f"{item['resourceType']}/{item['id']}" for item in resources}
    study = next(item for item in resources if item["id"] == "chronicardio")
    assert {"reference": "ResearchStudy/research-programme.3"} in study["partOf"] or study["partOf"]
    for party in study["associatedParty"]:
        assert party["party"]["reference"] in made
    inria = next(item for item in resources if item["id"] == "inria" and item["resourceType"] == "Organization")
    assert {"system": "urn:ietf:rfc:3986", "value": "https://ror.org/02kvxyf05"} in inria["identifier"]


def test_conditions_of_use_stand_in_the_library_and_a_decision_is_a_consent(plain: View) -> None:
    assert "research" in one(plain, "Library", "demo")["copyright"]
    consents = of_type(everything(plain, "cohort:demo"), "Consent")
    for consent in consents:
        assert consent["status"] == "inactive"
        assert consent["provision"]["data"][0]["reference"] == {"reference": "Library/demo"}


def test_a_blood_pressure_is_a_panel(plain: View) -> None:
    found = [item for item in of_type(everything(plain, "cohort:demo"), "Observation")
             if any(coding["code"] == "systolic-blood-pressure" for coding in item["code"]["coding"])
             and not item["id"].startswith("prediction.")]  # fmt: skip
    assert found
    panels = [item for item in found if "component" in item]
    assert panels
    for item in panels:
        assert item["code"]["coding"][0] == {"system": "http://loinc.org", "code": "85354-9"}
        assert [part["code"]["coding"][0]["code"] for part in item["component"]] == ["8480-6", "8462-4"]
        assert item["component"][0]["valueQuantity"]["code"] == "mm[Hg]"
        assert "valueQuantity" not in item
    for item in found:  # in another unit FHIR's profile would refuse it
        if "component" not in item:
            assert item["valueQuantity"]["code"] != "mm[Hg]"
            assert [coding["system"] for coding in item["code"]["coding"]] == [f"{ID}quantity"]


def test_numbers_keep_the_digits_of_the_graph(plain: View) -> None:
    nodes = Nodes(plain)
    for item in offer(Context(plain), "patient:demo-0001"):
        said = json.loads(item.data, parse_float=Decimal, parse_int=Decimal)
        if item.type == "Observation" and "valueQuantity" in said:
            node = nodes.get(said["identifier"][0]["value"])
            assert said["valueQuantity"]["value"] == Decimal(str(node.first("pepr:numericValue")))


@pytest.mark.parametrize("kind", ["Patient", "Observation", "Group", "Organization", "Device", "Provenance"])
def test_ids_are_one_to_one(kind: str) -> None:
    names = [
        "a",
        "a_b",
        "a..b",
        "a._b",
        "a_.b",
        "a.b",
        "a-b",
        "é",
        "x" * 80,
        "x" * 81,
        "patient/a",
        "model.a",
        "agent.a",
        "a b",
        "_",
    ]
    iris = [f"{ID}{start}/{name}" for start in ("patient", "observation", "prediction", "cohort", "agent", "model")
            for name in names] + ["https://example.org/a", "urn:a"]  # fmt: skip
    found = [identify(kind, iri) for iri in iris]
    assert len(set(found)) == len(iris)
    for iri, identifier in zip(iris, found, strict=True):
        assert 0 < len(identifier) <= 64
        assert not set(identifier) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")
        assert candidates(kind, identifier) in ([], [iri])


def test_what_came_in_as_fhir_leaves_byte_for_byte(mixed: View, person: Path) -> None:
    given = {f"{item.type}/{item.id}": bytes(item.data) for item in open_documents(person)}
    context = Context(mixed, cohort="clinic")
    kept = {
        f"{kind}/{name}": read_one(context, kind, name).data
        for kind, _, name in (item.partition("/") for item in given)
    }
    assert kept == given


def test_a_patient_that_came_in_is_offered_once(mixed: View) -> None:
    context = Context(mixed)
    page = read_page(context, Criteria("Patient"), 0, 1000)
    references = [item.reference for item in page.resources]
    assert len(references) == len(set(references)) == PEOPLE + 2  # the same person in two cohorts
    assert page.next is None
    kept = [item for item in page.resources if not item.id.startswith(("demo-", "ward."))]
    assert len(kept) == 1
    about = [json.loads(item.data) for item in offer(context, f"patient:clinic.{kept[0].id}")]
    # Bytes that are given back as they came keep the names of their Bundle, too.
    names = {kept[0].reference, f"urn:uuid:{kept[0].id}"}
    assert {item["subject"]["reference"] for item in about if "subject" in item} <= names
    found = read_page(context, Criteria.read([("patient", kept[0].id)], "Condition"), 0, 1000).resources
    assert len(found) == len(of_type(about, "Condition")) > 0


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_kept_in_our_terms_comes_back_as_fhir(mixed: View, person: Path, release: str) -> None:
    came = Counter(item.type for item in open_documents(person))
    back = Counter(item["resourceType"] for item in everything(mixed, "cohort:ward", release))
    for kind in ("Patient", "Condition", "Encounter", "MedicationRequest", "Procedure"):
        assert back[kind] == came[kind]
    assert back["Observation"] >= came["Observation"]


def test_pages_follow_each_other_without_gap_or_double(mixed: View) -> None:
    context = Context(mixed)
    whole = [item.reference for item in read_page(context, Criteria("Observation"), 0, 100_000).resources]
    found: list[str] = []
    start: int | None = 0
    while start is not None:
        page = read_page(Context(mixed), Criteria("Observation"), start, 97)
        assert page.resources or page.next is None or page.next > start
        found += [item.reference for item in page.resources]
        start = page.next
    assert found == whole


def test_a_search_finds_what_it_names_and_nothing_else(mixed: View) -> None:
    context = Context(mixed)
    about = read_page(context, Criteria.read([("patient", "Patient/demo-0001")], "Observation"), 0, 1000).resources
    assert about
    assert {json.loads(item.data)["subject"]["reference"] for item in about} == {"Patient/demo-0001"}
    criteria = Criteria.read([("patient", "demo-0001"), ("code", "http://loinc.org|2093-3")], "Observation")
    narrow = read_page(context, criteria, 0, 1000).resources
    assert 0 < len(narrow) < len(about)
    kept = read_page(context, Criteria.read([("code", "8302-2")], "Observation"), 0, 5000).resources
    assert any(not item.id.startswith(("demo-", "ward.")) for item in kept)  # what came in as FHIR is found, too
    identifier = f"urn:ietf:rfc:3986|{ID}patient/demo-0003"
    (found,) = read_page(context, Criteria.read([("identifier", identifier)], "Patient"), 0, 10).resources
    assert found.id == "demo-0003"
    (same,) = read_page(context, Criteria.read([("identifier", "demo-0003")], "Patient"), 0, 10).resources
    assert same == found
    with pytest.raises(BadSearch, match="name"):
        Criteria.read([("name", "x")], "Patient")
    with pytest.raises(SearchTooWide):
        Criteria.read([], "Provenance")


def test_a_provenance_is_found_by_what_it_is_of(plain: View) -> None:
    context = Context(plain)
    risk = read_page(context, Criteria("RiskAssessment"), 0, 1).resources[0]
    (found,) = read_page(context, Criteria.read([("target", risk.reference)], "Provenance"), 0, 10).resources
    assert {"reference": risk.reference} in json.loads(found.data)["target"]
    assert read_one(context, "Provenance", found.id) == found


def test_versions_change_with_content_and_release(plain: View) -> None:
    tags = {read_one(Context(plain, release, lang), "Group", "demo").tag
            for release in RELEASES for lang in ("en", "fr")}  # fmt: skip
    assert len(tags) == 4
    again = read_one(Context(plain, "R4", "en"), "Group", "demo")
    assert again.tag in tags
    assert again.tag.startswith('W/"')
    assert json.loads(again.data)["meta"]["versionId"] == again.version


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("form", FORMS)
def test_an_export_can_be_read_by_others(plain: View, form: Any, release: str) -> None:
    body = b"".join(export(plain, "twin:demo-0001", release, form=form))
    if form == "json":
        bundle = json.loads(body)
        assert bundle["type"] == "collection"
        assert all(entry["fullUrl"].endswith(f"/{entry['resource']['id']}") for entry in bundle["entry"])
    elif form == "ndjson":
        assert {json.loads(line)["resourceType"] for line in body.splitlines()} >= {"Patient", "Observation"}
    else:
        kind = RdfFormat.TURTLE if form == "ttl" else RdfFormat.N_TRIPLES
        quads = list(read_quads(body, kind, name="export", lenient=False))
        assert len(quads) > 1000


def test_what_is_not_there_is_said(mixed: View) -> None:
    context = Context(mixed)
    for kind, identifier in [("Patient", "none"), ("Observation", "x_y"), ("Claim", "1"), ("Provenance", "0.1")]:
        with pytest.raises(NotFound):
            read_one(context, kind, identifier)
    for what in ("cohort:none", "nothing", "twin:x", "project:smatch", ""):
        with pytest.raises(NothingToExport, match="programme, cohort"):
            export(mixed, what)
    with pytest.raises(ReleaseNotOffered):
        export(mixed, "programme", "R3")
    kept = next(item for item in read_page(context, Criteria("Encounter"), 0, 1).resources)
    with pytest.raises(ReleaseNotOffered):
        read_one(context, "Encounter", kept.id, "R5")
    with pytest.raises(ReleaseNotOffered):
        list(export(mixed, "cohort:clinic", "R5"))
    assert usual_release(mixed) == "R4"
    assert "Claim" not in TYPES


def test_one_id_in_two_cohorts_is_refused_until_one_is_named(hospital: Dataset, mixed: View, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text('{"resourceType":"Patient","id":"p1","gender":"female"}', encoding="utf-8")
    for name in ("here", "there"):
        take(hospital, path, name, "both")
    view = hospital.view()
    with pytest.raises(SeveralResources, match=r"cohort=here .*, cohort=there "):
        read_one(Context(view), "Patient", "p1")
    assert read_one(Context(view, cohort="there"), "Patient", "p1").data == path.read_bytes()
    source = "https://w3id.org/pepr-santenum/fhir/here/"
    assert read_one(Context(view, source=source), "Patient", "p1").data == path.read_bytes()
    with pytest.raises(UnknownCohortOfFhir, match="here"):
        Context(view, cohort="nosuch")
    people = read_page(Context(view, cohort="here"), Criteria("Patient"), 0, 1000).resources
    assert [item.id for item in people] == ["p1"]
    people = read_page(Context(view, cohort="demo"), Criteria("Patient"), 0, 1000).resources
    assert len(people) == PEOPLE
    assert read_page(Context(view, cohort="here"), Criteria("Observation"), 0, 1000).resources == ()


def test_what_its_source_took_back_is_gone(hospital: Dataset, mixed: View, tmp_path: Path) -> None:
    path = tmp_path / "patient.json"
    path.write_text('{"resourceType":"Patient","id":"p2","gender":"male"}', encoding="utf-8")
    take(hospital, path, "leaving", "both")
    assert read_one(Context(hospital.view()), "Patient", "p2").version
    bundle = {"resourceType": "Bundle", "type": "transaction",
              "entry": [{"request": {"method": "DELETE", "url": "Patient/p2"}}]}  # fmt: skip
    path.write_text(json.dumps(bundle), encoding="utf-8")
    take(hospital, path, "leaving", "both")
    with pytest.raises(ResourceGone):
        read_one(Context(hospital.view()), "Patient", "p2")
    page = read_page(Context(hospital.view()), Criteria("Patient"), 0, 1000)
    assert not [item for item in page.resources if item.id.startswith("leaving")]
