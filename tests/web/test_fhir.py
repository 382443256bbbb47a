"""FHIR over HTTP, spoken to as its clients do: formats, releases, versions, pages, streams, refusals, taking in."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pepr_kg.rdf import RdfFormat, read_quads
from pepr_kg.settings import Settings
from tests.fhir.offered_dataset import PEOPLE, offered
from tests.web.conftest import Reply, Site, running

FHIR_JSON = "application/fhir+json"
TEST = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
PERSON = {"resourceType": "Patient", "id": "p9", "gender": "female", "birthDate": "1980-02-29",
          "meta": {"security": [TEST]}}  # fmt: skip
WEIGHT = {"resourceType": "Observation", "id": "w9", "status": "final",
          "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
          "subject": {"reference": "Patient/p9"}, "effectiveDateTime": "2026-03-01",
          "valueQuantity": {"value": 61.5, "system": "http://unitsofmeasure.org", "code": "kg"}}  # fmt: skip


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    dataset = offered(tmp_path_factory.mktemp("ward"))
    with running(Settings(fhir_request_bytes=100_000), dataset) as found:
        yield found


def issue(reply: Reply) -> dict[str, Any]:
    """Return the one issue of an OperationOutcome."""
    assert reply.media_type == FHIR_JSON
    document = reply.json()
    assert document["resourceType"] == "OperationOutcome"
    (found,) = document["issue"]
    assert isinstance(found, dict)
    return found


def post(site: Site, body: object, query: str = "?cohort=clinic", kind: str = FHIR_JSON, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.send("POST", f"/fhir{query}", {"Content-Type": kind, **fields}, data)


def test_the_statement_lists_what_can_be_read_and_searched(ward: Site) -> None:
    for version, release in (("4.0", "4.0.1"), ("5.0", "5.0.0")):
        reply = ward.get("/fhir/metadata", f"{FHIR_JSON}; fhirVersion={version}")
        assert reply.headers["content-type"] == f"{FHIR_JSON}; fhirVersion={version}"
        said = reply.json()
        assert (said["resourceType"], said["fhirVersion"], said["kind"]) == ("CapabilityStatement", release, "instance")
        resources = {item["type"]: item for item in said["rest"][0]["resource"]}
        assert {"Patient", "Observation", "RiskAssessment", "ResearchStudy", "Device", "Provenance"} <= set(resources)
        for name, item in resources.items():
            for parameter in item["searchParam"]:
                query = f"/fhir/{name}?{parameter['name']}=Patient/demo-0001&_count=1"
                assert ward.get(query).status == 200
    assert "Claim" not in resources


@pytest.mark.parametrize(("asked", "format_", "sent"), [
    (None, "", FHIR_JSON), (FHIR_JSON, "", FHIR_JSON), ("application/json", "", "application/json"),
    ("application/fhir+turtle", "", "application/fhir+turtle"), ("text/turtle", "", "text/turtle"),
    ("application/fhir+json;q=0.1, application/fhir+turtle", "", "application/fhir+turtle"),
    (None, "?_format=ttl", "application/fhir+turtle"),
    (None, "?_format=application/fhir+turtle", "application/fhir+turtle"),
    (FHIR_JSON, "?_format=ndjson", "application/fhir+ndjson"), (None, "?_format=json", FHIR_JSON),
    ("text/html,application/xhtml+xml,*/*;q=0.8", "", "application/json"),
])  # fmt: skip
def test_the_format_is_agreed_on(ward: Site, asked: str | None, format_: str, sent: str) -> None:
    reply = ward.get(f"/fhir/Patient/demo-0001{format_}", asked)
    assert (reply.status, reply.media_type) == (200, sent)
    assert "Accept" in reply.headers["vary"]
    if "turtle" in sent:
        assert len(list(read_quads(reply.body, RdfFormat.TURTLE, name="reply", lenient=False))) > 20
    else:
        assert reply.json()["id"] == "demo-0001"


@pytest.mark.parametrize("asked", ["application/fhir+xml", "image/png", f"{FHIR_JSON}; fhirVersion=3.0"])
def test_what_cannot_be_sent_is_refused_as_fhir_says_it(ward: Site, asked: str) -> None:
    reply = ward.get("/fhir/Patient/demo-0001", asked)
    assert reply.status == 406
    assert issue(reply)["code"] == "not-supported"


@pytest.mark.parametrize(("path", "status", "code"), [
    ("/fhir/Patient/none", 404, "not-found"), ("/fhir/Nonsense", 404, "not-found"), ("/fhir/a/b/c", 404, "not-found"),
    ("/fhir/Patient/none/$everything", 404, "not-found"), ("/fhir/Patient?name=x", 400, "invalid"),
    ("/fhir/Patient/demo-0001?name=x", 400, "invalid"), ("/fhir/Provenance", 400, "invalid"),
    ("/fhir/Patient?_count=many", 400, "invalid"), ("/fhir/Patient?_start=3", 410, "deleted"),
])  # fmt: skip
def test_failures_are_outcomes_in_both_languages(ward: Site, path: str, status: int, code: str) -> None:
    reply = ward.get(path, accept_language="fr")
    assert reply.status == status
    found = issue(reply)
    assert (found["severity"], found["code"]) == ("error", code)
    translation = found["details"]["_text"]["extension"][0]["extension"]
    assert translation[0] == {"url": "lang", "valueCode": "en"}
    assert found["details"]["text"] != translation[1]["valueString"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_a_resource_cannot_be_written_at_its_address(ward: Site, method: str) -> None:
    reply = ward.send(method, "/fhir/Patient/demo-0001", {"Content-Type": FHIR_JSON}, "{}")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert issue(reply)["code"] == "not-supported"


def test_a_version_is_sent_once(ward: Site) -> None:
    first = ward.get("/fhir/Patient/demo-0001")
    tag = first.headers["etag"]
    assert tag == f'W/"{first.json()["meta"]["versionId"]}"'
    again = ward.get("/fhir/Patient/demo-0001", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    assert ward.get("/fhir/Patient/demo-0001", if_none_match=tag, accept_language="fr").status == 200
    head = ward.send("HEAD", "/fhir/Patient/demo-0001")
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", tag)
    page = ward.get("/fhir/Patient")
    assert ward.get("/fhir/Patient", if_none_match=page.headers["etag"]).status == 304


def test_pages_follow_by_their_links(ward: Site) -> None:
    address: str | None = "/fhir/Patient?_count=10"
    found: list[str] = []
    sizes = []
    while address is not None:
        bundle = ward.get(address).json()
        assert bundle["type"] == "searchset"
        sizes.append(len(bundle["entry"]))
        for entry in bundle["entry"]:
            found.append(entry["resource"]["id"])
            assert entry["fullUrl"] == f"http://127.0.0.1:{ward.port}/fhir/Patient/{found[-1]}"
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links["next"].partition(f":{ward.port}")[2] if "next" in links else None
    assert sizes == [10, 10, PEOPLE - 20]
    assert len(set(found)) == PEOPLE
    assert ward.get("/fhir/Patient?_count=100").json()["total"] == PEOPLE
    empty = ward.get("/fhir/Patient?identifier=nobody").json()
    assert empty["total"] == 0
    assert "entry" not in empty


def test_everything_of_a_patient_is_one_answer(ward: Site) -> None:
    risks = ward.get("/fhir/RiskAssessment?_count=1").json()["entry"]
    person = risks[0]["resource"]["subject"]["reference"].removeprefix("Patient/")
    bundle = ward.get(f"/fhir/Patient/{person}/$everything").json()
    assert bundle["link"] == [
        {"relation": "self", "url": f"http://127.0.0.1:{ward.port}/fhir/Patient/{person}/$everything"}
    ]
    kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert kinds == {"Patient", "Observation", "RiskAssessment", "Provenance", "Device", "DeviceDefinition"}
    lines = ward.get(f"/fhir/Patient/{person}/$everything?_format=ndjson").body.splitlines()
    assert [json.loads(line) for line in lines] == [entry["resource"] for entry in bundle["entry"]]
    turtle = ward.get(f"/fhir/Patient/{person}/$everything", "application/fhir+turtle; fhirVersion=5.0").body
    assert len(list(read_quads(turtle, RdfFormat.TURTLE, name="reply", lenient=False))) > 1000


def test_a_cohort_is_a_stream(ward: Site) -> None:
    reply = ward.get("/fhir/Group/demo/$export")
    assert reply.media_type == "application/fhir+ndjson"
    resources = [json.loads(line) for line in reply.body.splitlines()]
    assert sum(item["resourceType"] == "Patient" for item in resources) == PEOPLE
    assert resources[0]["resourceType"] == "Group"


def test_a_resource_is_taken_in_and_given_back_as_it_came(ward: Site) -> None:
    reply = post(ward, PERSON)
    assert reply.status == 201, reply.body
    assert reply.headers["location"] == f"http://127.0.0.1:{ward.port}/fhir/Patient/p9"
    assert reply.json()["issue"][0]["severity"] == "information"
    given = ward.get("/fhir/Patient/p9")
    assert given.body == json.dumps(PERSON).encode()
    assert given.headers["etag"] == reply.headers["etag"]
    again = post(ward, PERSON)
    assert (again.status, again.headers["etag"]) == (200, reply.headers["etag"])
    body = json.dumps(WEIGHT).replace("61.5", "61.50").encode()
    assert post(ward, body + b"\n", kind="application/fhir+ndjson").status in {200, 201}
    assert ward.get("/fhir/Observation/w9").body == body
    found = ward.get("/fhir/Observation?patient=p9").json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["w9"]
    assert b'"value": 61.50' in ward.get("/fhir/Observation?patient=Patient/p9").body
    kinds = {item["type"] for item in ward.get("/fhir/metadata").json()["rest"][0]["resource"]}
    assert "Observation" in kinds


def test_a_bundle_is_answered_entry_by_entry(ward: Site) -> None:
    entries = [{"fullUrl": f"urn:uuid:{number}", "request": {"method": "POST", "url": "Patient"},
                "resource": {**PERSON, "id": f"b{number}"}} for number in range(3)]  # fmt: skip
    reply = post(ward, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, "?cohort=bundled")
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert answer["type"] == "transaction-response"
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["201 Created"] * 3
    for entry in answer["entry"]:
        assert ward.get(f"/fhir/{entry['response']['location']}").headers["etag"] == entry["response"]["etag"]
    gone = [{"request": {"method": "DELETE", "url": "Patient/b1"}}]
    reply = post(ward, {"resourceType": "Bundle", "type": "transaction", "entry": gone}, "?cohort=bundled")
    assert reply.json()["entry"][0]["response"]["status"] == "204 No Content"
    assert ward.get("/fhir/Patient/b1").status == 410
    assert issue(ward.get("/fhir/Patient/b1"))["code"] == "deleted"


def test_a_transaction_is_all_or_nothing_and_a_batch_is_not(ward: Site) -> None:
    entries = [{"request": {"method": "POST", "url": "Patient"}, "resource": {**PERSON, "id": f"c{number}", **more}}
               for number, more in enumerate([{}, {"birthDate": "yesterday"}])]  # fmt: skip
    reply = post(ward, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, "?cohort=refused")
    assert reply.status == 422
    assert any(item["severity"] == "error" for item in reply.json()["issue"])
    assert ward.get("/fhir/Patient/c0").status == 404
    reply = post(ward, {"resourceType": "Bundle", "type": "batch", "entry": entries}, "?cohort=refused")
    answer = reply.json()["entry"]
    assert [entry["response"]["status"][:3] for entry in answer] == ["201", "422"]
    assert "yesterday" in json.dumps(answer[-1]["response"]["outcome"])
    assert ward.get("/fhir/Patient/c0").status == 200


@pytest.mark.parametrize(("body", "status"), [
    (b"", 415), (b"{", 400), (b"<Patient/>", 415), (b"[]", 415), (b"\xff\xfe{}", 415), (b'{"id": "a"}', 400),
    (b'{"resourceType": "Patient", "id": "a", "id": "b"}', 400), (b'{"resourceType": "Nonsense", "id": "a"}', 422),
    (b'{"resourceType": "Patient", "id": "x", "birthDate": "yesterday"}', 422),
])  # fmt: skip
def test_bad_bodies_are_refused_with_a_sentence(ward: Site, body: bytes, status: int) -> None:
    before = ward.get("/health").json()["digest"]
    reply = post(ward, body, "?cohort=bad")
    assert reply.status == status
    document = reply.json()
    assert document["resourceType"] == "OperationOutcome"
    problem = next(item for item in document["issue"] if item["severity"] == "error")
    assert problem["details"]["_text"]["extension"]
    assert ward.get("/health").json()["digest"] == before


def test_who_may_not_write_is_told_so(ward: Site) -> None:
    foreign = post(ward, PERSON, origin="https://elsewhere.example", sec_fetch_site="cross-site")
    assert foreign.status == 403
    assert issue(foreign)["code"] == "forbidden"
    assert post(ward, PERSON, "").status == 400
    assert post(ward, PERSON, "?cohort=Not%20A%20Name").status == 400
    assert post(ward, PERSON, kind="text/plain").status == 415
    assert post(ward, b" " * 100_001).status == 413
    assert post(ward, PERSON, "?cohort=clinic&colour=red").status == 400
    options = ward.send("OPTIONS", "/fhir")
    assert "POST" not in options.headers["access-control-allow-methods"]


def test_a_second_release_does_not_mix_with_the_first(ward: Site) -> None:
    assert post(ward, PERSON, "?cohort=old").status == 201
    reply = post(ward, PERSON, "?cohort=old", f"{FHIR_JSON}; fhirVersion=5.0")
    assert reply.status == 409
    assert issue(reply)["details"]["coding"][0]["code"] == "fhir-release-mixed"


def test_a_synthea_person_can_be_sent(ward: Site, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = min((shared / "fhir/synthea-r4").glob("*.json"), key=lambda item: item.stat().st_size)
    reply = post(ward, path.read_bytes(), "?cohort=synthea")
    assert reply.status == 413  # the bound of this server
    small = json.loads(path.read_bytes())
    small["entry"] = small["entry"][:20]
    small["type"] = "batch"
    reply = post(ward, small, "?cohort=synthea")
    assert reply.status == 200
    assert len(reply.json()["entry"]) >= 20


def test_a_batch_has_an_answer_for_each_entry_in_order(ward: Site) -> None:
    entries: list[Any] = [
        {"request": {"method": "GET", "url": "Patient/d1"}},
        {"request": {"method": "POST", "url": "Patient"}, "resource": {**PERSON, "id": "d1"}},
        {"request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "PUT", "url": "Patient/d2"}, "resource": {**PERSON, "id": "d2", "birthDate": "no"}},
        {"request": {"method": "PUT", "url": "Patient/d3"}, "resource": {**PERSON, "id": "d3"}},
        {},
    ]
    reply = post(ward, {"resourceType": "Bundle", "type": "batch", "entry": entries}, "?cohort=ordered")
    answer = [entry["response"] for entry in reply.json()["entry"]]
    assert [entry["status"][:3] for entry in answer] == ["405", "201", "400", "422", "201", "400"]
    assert [entry.get("location") for entry in answer] == [None, "Patient/d1", None, None, "Patient/d3", None]
    for entry in answer:
        assert ("outcome" in entry) == (entry["status"][0] == "4")


@pytest.mark.parametrize("path", [
    "/fhir/Provenance/a%20b.c", "/fhir/Provenance?_id=a%20b.c", "/fhir/Provenance/%3C%3E.x", "/fhir/Patient/%20",
    "/fhir/Patient?identifier=https://w3id.org/pepr-santenum/id/a%20b", "/fhir/Patient?_id=%00",
    "/fhir/QuestionnaireResponse?identifier=abc", "/fhir/Observation?code=%22%0D%0A", "/fhir/Patient?cohort=nosuch",
    "/fhir/Patient?patient=%3C", "/fhir/Observation?patient=a%20b", "/fhir/Provenance?target=Observation/a%20b",
    "/fhir/Patient/%F0%9F%98%80", "/fhir/Patient/a/$everything?cohort=nosuch", "/fhir/Group/a%20b/$export",
    "/fhir/Patient?_source=%00",
])  # fmt: skip
def test_no_address_is_a_fault_of_ours(ward: Site, path: str) -> None:
    reply = ward.get(path)
    assert reply.status in {200, 400, 404}
    assert reply.json()["resourceType"] in {"OperationOutcome", "Bundle"}


def test_strange_ids_and_versions_do_no_harm(ward: Site) -> None:
    identifier = {"system": "urn:x", "value": "abc"}
    answer = {"resourceType": "QuestionnaireResponse", "id": "q1", "identifier": identifier, "status": "completed"}
    strange = {**PERSON, "id": "v1", "meta": {"versionId": "é\r\nX-Evil: 1"}}
    for number, body in enumerate([answer, strange, {**PERSON, "id": "é中"}, {**PERSON, "id": "a\r\nX-Evil: 1"}]):
        for keep in ("terms", "both"):
            reply = post(ward, body, f"?cohort=strange{number}{keep}&keep={keep}")
            assert reply.status in {200, 201, 400, 422}
            assert reply.json()["resourceType"] == "OperationOutcome"
            assert "x-evil" not in reply.headers
    found = ward.get("/fhir/QuestionnaireResponse?identifier=urn:x|abc").json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["q1"]
    assert ward.get("/fhir/Patient/v1").status in {200, 404}


def test_what_expands_beyond_the_bound_is_refused(ward: Site) -> None:
    body = gzip.compress(b'{"resourceType": "Patient", "id": "z"' + b" " * 20_000_000 + b"}")
    assert len(body) < 100_000
    reply = post(ward, body, "?cohort=gz")
    assert reply.status in {400, 413, 422}
    assert reply.json()["issue"][0]["severity"] == "error"


def test_other_releases_are_offered_as_they_came(ward: Site) -> None:
    assert post(ward, {**PERSON, "id": "r4b"}, "?cohort=older", f"{FHIR_JSON}; fhirVersion=4.3").status == 201
    reply = ward.get("/fhir/Patient/r4b")
    assert reply.headers["content-type"] == f"{FHIR_JSON}; fhirVersion=4.3"
    accept = f"{FHIR_JSON}; fhirVersion=4.3"
    found = ward.get("/fhir/Patient?_count=1000", accept).json()["entry"]
    assert "r4b" in {entry["resource"].get("id") for entry in found}
    assert ward.get("/fhir/Patient/r4b", f"{FHIR_JSON}; fhirVersion=4.0").status == 406
