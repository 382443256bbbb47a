"""Evaluations over HTTP: a real server, real processes, a small cohort and one that takes a while."""

import io
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from pepr_kg.runs import jobs
from pepr_kg.runs.jobs import JOBS, RUNNING, Job, claim, load_job, save_job
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset
from tests.runs.clinic import copied, models
from tests.runs.graphs import add_turtle, given, patient
from tests.web.conftest import Reply, Site, running

RENAL = {"model": "ckd-epi-2021", "cohort": "test", "as_of": "2026-03-15"}
LONG = {
    "model": "theophylline", "cohort": "many", "as_of": "2026-03-15", "outputs": ["conc"], "horizon": 24, "points": 100,
    "samples": 2_000,
}  # fmt: skip
LONGER = LONG | {"samples": 9_000}  # does not end before it is stopped, on any machine
JSON_TYPE = {"Content-Type": "application/json"}
RUN_GRAPHS = "SELECT DISTINCT ?g { GRAPH ?g { ?run a pepr:Evaluation } }"
PREFIX = "PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/> "


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = models(tmp_path_factory.mktemp("clinic"))
    text = 'cohort:many a pepr:Cohort ; rdfs:label "Beaucoup"@fr , "Many"@en .\n'
    for at in range(200):
        text += patient(f"m{at}").replace("cohort:test", "cohort:many")
        text += given(f"dm-{at}", f"m{at}", "administered-theophylline", "4.0", "mg/kg", "2026-02-01T08:00:00Z")
    add_turtle(Dataset(folder), text)
    return folder


@pytest.fixture(scope="module")
def calm(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for what needs none of its own."""
    settings = Settings(evaluation_samples=5_000, evaluation_patients=100, request_bytes=5_000)
    with running(settings, copied(clinic, tmp_path_factory.mktemp("calm"))) as site:
        yield site


@pytest.fixture
def serve(clinic: Path, tmp_path: Path) -> Callable[..., Any]:
    dataset = copied(clinic, tmp_path)
    return lambda **changes: running(replace(Settings(), **changes), dataset)


def ask(site: Site, question: dict[str, Any], **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.send("POST", "/evaluate", JSON_TYPE | fields, json.dumps(question))


def events(site: Site, name: str, **headers: str) -> list[tuple[str, int, dict[str, Any]]]:
    reply = site.get(f"/jobs/{name}/events", **headers)
    assert (reply.status, reply.media_type) == (200, "text/event-stream")
    found = []
    for block in reply.body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return found


def until(site: Site, name: str, done: Callable[[dict[str, Any]], bool], seconds: float = 40.0) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job: dict[str, Any] = site.get(f"/jobs/{name}").json()
        if done(job):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def is_over(job: dict[str, Any]) -> bool:
    return job["state"] not in {"queued", "running"}


def is_halfway(job: dict[str, Any]) -> bool:
    return bool(job["stage"] == "compute" and 0 < job["done"] < job["total"])


def test_a_question_becomes_a_job_and_the_job_a_run(calm: Site) -> None:
    reply = ask(calm, RENAL | {"who": "Camille"})
    job = reply.json()
    assert (reply.status, reply.headers["location"]) == (202, f"/jobs/{job['id']}")
    assert re.fullmatch("[0-9a-f]{16}", job["id"])
    assert job["state"] in {"queued", "running"}
    told = events(calm, job["id"])
    assert [kind for kind, _, _ in told][-1] == "end"
    assert "progress" in {kind for kind, _, _ in told}
    numbers = [number for _, number, _ in told]
    assert numbers == sorted(set(numbers))
    last = told[-1][2]
    assert (last["state"], last["done"], last["total"], last["reused"]) == ("finished", 6, 6, False)
    assert calm.bindings(f"{PREFIX} SELECT ?n {{ <{last['run']}> pepr:evaluatedCount ?n }}") == [{"n": "5"}]
    for address, rows in ((last["trajectories"], 5), (last["inputs"], 1)):
        sent = calm.get(address)
        assert (sent.status, sent.media_type) == (200, "application/vnd.apache.parquet")
        assert parquet.read_table(io.BytesIO(sent.body)).num_rows >= rows
    # A browser that comes back does not begin again, and is told when there is no more.
    assert [kind for kind, _, _ in events(calm, job["id"], Last_Event_ID=str(numbers[-2]))] == ["end"]
    assert calm.get(f"/jobs/{job['id']}/events", Last_Event_ID=str(numbers[-1])).status == 204
    again = ask(calm, RENAL | {"who": "Camille"})
    assert (again.status, again.json()["reused"], again.json()["run"]) == (200, True, last["run"])
    assert job["id"] in {item["id"] for item in calm.get("/jobs").json()["jobs"]}
    for lang, said in (("en", "For research, not medical advice."), ("fr", "ce n’est pas un avis médical.")):
        page = calm.get(f"/jobs/{job['id']}", "text/html", Accept_Language=lang)
        assert (page.status, page.headers["content-language"], page.media_type) == (200, lang, "text/html")
        assert said in page.body.decode()
        assert "refresh" not in page.headers


@pytest.mark.parametrize(
    ("question", "status", "code", "field"),
    [
        ({"modl": "score2"}, 422, "bad-request-field", "modl"),
        ({"cohort": "test"}, 422, "bad-request-field", "model"),
        (RENAL | {"samples": "many"}, 422, "bad-request-field", "samples"),
        (RENAL | {"samples": 0}, 422, "bad-request-field", "samples"),
        (RENAL | {"samples": True}, 422, "bad-request-field", "samples"),
        (RENAL | {"samples": 5_001}, 422, "job-too-large", "samples"),
        (RENAL | {"as_of": "yesterday"}, 422, "bad-request-field", "as_of"),
        (RENAL | {"horizon": -1}, 422, "bad-request-field", "horizon"),
        (RENAL | {"at": [1, "2"]}, 422, "bad-request-field", "at"),
        (RENAL | {"entities": "patient:p0"}, 422, "bad-request-field", "entities"),
        (RENAL | {"level": 2}, 422, "bad-request-field", "level"),
        (RENAL | {"fit": "no"}, 422, "bad-request-field", "fit"),
        (RENAL | {"level": 0.9999999}, 422, "bad-request-field", "level"),
        (RENAL | {"points": 20_000_000}, 422, "job-too-large", "points"),
        (RENAL | {"at": list(range(1, 901)), "points": 9_200}, 422, "job-too-large", "points + at"),
        (RENAL | {"scenarios": ["base"] * 101}, 422, "job-too-large", "scenarios"),
        (RENAL | {"points": 9_000, "samples": 5_000}, 422, "job-too-large", "points × samples × scenarios"),
        (RENAL | {"who": "a\ud800"}, 422, "bad-request-field", "who"),
        ({"a\ud800": 1}, 422, "bad-request-field", "a?"),
        (RENAL | {"model": "score 2"}, 404, "unknown-model", None),
        (RENAL | {"cohort": "a b"}, 404, "unknown-cohort", None),
        (RENAL | {"model": "score3"}, 404, "unknown-model", None),
        (RENAL | {"cohort": "nobody"}, 404, "unknown-cohort", None),
        (RENAL | {"entities": ["patient:zz"]}, 404, "unknown-entity", None),
        (RENAL | {"cohort": "many"}, 422, "job-too-large", "patients"),
        (RENAL | {"scenarios": ["x*"]}, 422, "bad-expression", None),
    ],
)
def test_what_is_wrong_in_a_question_is_named(
    calm: Site, question: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    said = {}
    for lang in ("fr", "en"):
        reply = ask(calm, question, Accept_Language=lang)
        found = reply.json()
        assert (reply.status, found["code"], reply.media_type) == (status, code, "application/problem+json")
        assert found.get("field") == field
        assert found["language"] == lang
        said[lang] = found["detail"]
    assert said["fr"] != said["en"]


def test_bodies_that_are_no_question(calm: Site) -> None:
    def send(body: bytes, media_type: str = "application/json") -> int:
        return calm.send("POST", "/evaluate", {"Content-Type": media_type}, body).status

    assert send(b"model=score2", "application/x-www-form-urlencoded") == 415
    assert [send(body) for body in (b"", b"{", b"[]", b"\xff", b"[" * 4_000)] == [400] * 5
    assert send(json.dumps(RENAL | {"who": "x" * 6_000}).encode()) == 413


def test_files_of_a_run_that_is_not_in_the_graph_are_not_given(clinic: Path, tmp_path: Path) -> None:
    """As they stand for a moment before their run is committed."""
    dataset = copied(clinic, tmp_path)
    folder = dataset.path / "runs" / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "inputs.parquet").write_bytes(b"PAR1")
    with running(Settings(), dataset) as site:
        assert site.get("/runs/0123456789abcdef/inputs.parquet").status == 404


def test_addresses_of_no_job_and_of_no_file(calm: Site) -> None:
    for path in ("/jobs/0123456789abcdef", "/jobs/0123456789abcdef/events", "/jobs/..%2Fmanifest"):
        assert calm.get(path).status == 404
    assert calm.send("POST", "/jobs/0123456789abcdef/cancel").status == 404
    for path in ("0123456789abcdef/inputs", "..%2F..%2Fx/inputs", "0123456789abcdef/secret"):
        assert calm.get(f"/runs/{path}.parquet").status == 404
    reply = calm.get("/evaluate")
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")
    assert calm.send("PUT", "/jobs/0123456789abcdef").headers["allow"] == "GET, HEAD, DELETE, OPTIONS"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {
            "Origin": "http://stranger.example:8000",
            "Host": "stranger.example:8000",
        },  # a name that was made to lead here
    ],
)
def test_pages_of_other_sites_are_refused(calm: Site, headers: dict[str, str]) -> None:
    before = calm.get("/jobs").json()
    for method, path in (
        ("POST", "/evaluate"), ("POST", "/jobs/0123456789abcdef/cancel"), ("DELETE", "/jobs/0123456789abcdef"),
        ("POST", "/jobs/0123456789abcdef/resume"),
    ):  # fmt: skip
        reply = calm.send(method, path, JSON_TYPE | headers, json.dumps(RENAL))
        assert (reply.status, reply.json()["code"]) == (403, "cross-site")
        allowed = calm.send("OPTIONS", path, headers).headers["access-control-allow-methods"]
        assert "POST" not in allowed
        assert "DELETE" not in allowed
    assert calm.get("/jobs").json() == before


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "twins.localhost", "10.1.2.3"])
def test_a_browser_that_says_only_its_origin_may_be_ours(calm: Site, host: str) -> None:
    headers = {"Origin": f"http://{host}", "Host": host}
    assert calm.send("POST", "/jobs/0123456789abcdef/cancel", headers).status == 404


def test_our_own_pages_are_not(calm: Site) -> None:
    own = {"Origin": f"http://127.0.0.1:{calm.port}", "Sec-Fetch-Site": "same-origin"}
    reply = calm.send("POST", "/evaluate", JSON_TYPE | own, json.dumps(RENAL | {"seed": 4}))
    assert reply.status == 202
    until(calm, reply.json()["id"], is_over)
    page = calm.send("POST", f"/jobs/{reply.json()['id']}/cancel", {"Accept": "text/html", **own})
    assert (page.status, page.headers["location"].partition("?")[0]) == (303, f"/jobs/{reply.json()['id']}")
    assert calm.send("POST", f"/jobs/{reply.json()['id']}/resume").status == 409


def test_a_browser_behind_a_proxy_is_believed(calm: Site) -> None:
    """A proxy may change the host: what the browser says of itself stands before a comparison of names."""
    headers = {"Origin": "https://twins.example.org", "Sec-Fetch-Site": "same-origin"}
    assert calm.send("POST", "/jobs/0123456789abcdef/cancel", headers).status == 404


def test_jobs_have_a_page_in_both_languages(calm: Site) -> None:
    name = ask(calm, RENAL | {"seed": 11}).json()["id"]
    until(calm, name, is_over)
    for lang, other in (("fr", "en"), ("en", "fr")):
        page = calm.get(f"/jobs?lang={lang}", "text/html").body.decode()
        assert f'<html lang="{lang}">' in page
        assert f'href="/jobs/{name}?lang={lang}"' in page
        assert f'href="/jobs?lang={other}" hreflang="{other}"' in page
        one = calm.get(f"/jobs/{name}?lang={lang}", "text/html").body.decode()
        assert f'href="/jobs/{name}?lang={other}" hreflang="{other}"' in one
        assert f"/{lang}/id/evaluation/" in one
    assert calm.get("/jobs", "image/png").status == 406


def test_the_head_of_events_comes_at_once(serve: Callable[..., Any]) -> None:
    with serve() as site:
        name = ask(site, LONGER).json()["id"]
        started = time.monotonic()
        reply = site.send("HEAD", f"/jobs/{name}/events")
        assert (reply.status, reply.media_type, reply.body) == (200, "text/event-stream", b"")
        assert time.monotonic() - started < 2
        quiet = site.get(f"/jobs/{name}?renew=0", "text/html")
        assert "refresh" not in quiet.headers
        site.send("DELETE", f"/jobs/{name}")


def test_no_more_connections_follow_jobs_than_may(calm: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job = save_job(calm.dataset.path / JOBS, Job("00112233445566cc", dict(RENAL), created="2026-01-01T00:00:00+00:00"))
    monkeypatch.setattr(calm.app.state.followers, "count", 100)
    reply = calm.get(f"/jobs/{job.id}/events")
    assert (reply.status, reply.json()["code"], reply.headers["retry-after"]) == (503, "too-many-followers", "5")


def test_a_job_whose_server_is_gone_is_interrupted_when_it_is_looked_at(calm: Site) -> None:
    folder = calm.dataset.path / JOBS
    job = save_job(folder, Job("00112233445566dd", dict(RENAL), RUNNING, created="2026-01-01T00:00:00+00:00"))
    with claim(folder, job.id) as handle:
        assert handle is not None
        assert calm.get(f"/jobs/{job.id}").json()["state"] == "running"
    assert calm.get(f"/jobs/{job.id}").json()["state"] == "interrupted"


def test_the_oldest_jobs_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_KEPT", 3)
    folder = tmp_path / JOBS
    for at in range(5):
        save_job(folder, Job(f"{at:016x}", dict(RENAL), "finished", created=f"2026-01-0{at + 1}T00:00:00+00:00"))
    kept = jobs.Jobs(Settings(), Dataset(tmp_path))
    assert [job.id for job in kept.list()] == [f"{at:016x}" for at in (4, 3, 2)]
    kept.close()


def test_a_cancelled_job_leaves_no_run_and_is_resumed(serve: Callable[..., Any]) -> None:
    with serve() as site:
        name = ask(site, LONG).json()["id"]
        seen = until(site, name, is_halfway)
        assert seen["rate"] > 0
        assert seen["seconds_left"] is not None
        page = site.get(f"/jobs/{name}", "text/html")
        assert page.headers["refresh"] == "2"
        reply = site.send("DELETE", f"/jobs/{name}")
        assert (reply.status, reply.json()["state"], reply.json()["run"]) == (200, "cancelled", None)
        assert site.bindings(PREFIX + RUN_GRAPHS) == []
        assert not list((site.dataset.path / "runs").glob(".new-*"))
        assert site.send("POST", f"/jobs/{name}/resume").status == 202
        first = until(site, name, lambda job: job["stage"] == "compute" or is_over(job))
        assert first["done"] >= 64, "what was finished is not computed again"
        last = until(site, name, is_over)
        assert (last["state"], last["code"], last["reused"]) == ("finished", None, False)
        assert len(site.bindings(PREFIX + RUN_GRAPHS)) == 1


def test_two_run_at_once_one_waits_and_no_more(serve: Callable[..., Any]) -> None:
    with serve(evaluation_jobs=2, evaluation_queue=1) as site:
        asked = [ask(site, LONGER | {"seed": seed}).json() for seed in range(3)]
        assert [job["state"] for job in asked] == ["running", "running", "queued"]
        reply = ask(site, LONGER | {"seed": 9})
        assert (reply.status, reply.json()["code"], reply.headers["retry-after"]) == (503, "jobs-full", "5")
        started = time.monotonic()
        assert site.get("/health").status == 200
        assert time.monotonic() - started < 2
        assert site.send("POST", f"/jobs/{asked[2]['id']}/cancel").json()["state"] == "cancelled"
        for job in asked[:2]:
            assert site.send("POST", f"/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
        first, second = (ask(site, RENAL | {"seed": seed}).json() for seed in (1, 2))
        assert [until(site, job["id"], is_over)["state"] for job in (first, second)] == ["finished"] * 2


def test_a_job_that_takes_too_long_is_stopped(serve: Callable[..., Any]) -> None:
    with serve(evaluation_seconds=1.0) as site:
        last = until(site, ask(site, LONGER).json()["id"], is_over)
        assert (last["state"], last["code"]) == ("failed", "job-timeout")
        assert "evaluation_seconds" in last["messages"]["fr"]
        assert "evaluation_seconds" in last["messages"]["en"]
        assert site.bindings(PREFIX + RUN_GRAPHS) == []


def test_a_server_that_comes_back_says_what_was_interrupted(serve: Callable[..., Any]) -> None:
    with serve(evaluation_jobs=1) as site:
        name, waiting = ask(site, LONGER).json()["id"], ask(site, RENAL).json()["id"]
        until(site, name, is_halfway)
        folder = site.dataset.path / JOBS
    assert load_job(folder, name).state == "interrupted"
    assert load_job(folder, waiting).state == "queued"
    # As after a loss of power: the file says that it runs, and no process is there.
    lost = save_job(folder, Job("00112233445566aa", dict(RENAL), RUNNING, created="2026-01-01T00:00:00+00:00"))
    # One whose process lives, of another server on the same dataset, is left alone.
    other = save_job(folder, Job("00112233445566bb", dict(RENAL), RUNNING, created="2026-01-01T00:00:00+00:00"))
    with claim(folder, other.id) as handle:
        assert handle is not None
        with serve(evaluation_jobs=1) as site:
            assert site.get(f"/jobs/{lost.id}").json()["state"] == "interrupted"
            assert site.get(f"/jobs/{other.id}").json()["state"] == "running"
            assert until(site, waiting, is_over)["state"] == "finished"
            resumed = site.send("POST", f"/jobs/{lost.id}/resume")
            assert resumed.status == 202
            last = until(site, lost.id, is_over)
            assert (last["state"], last["reused"]) == ("finished", True)


def test_a_process_that_dies_is_said(serve: Callable[..., Any]) -> None:
    with serve() as site:
        name = ask(site, LONGER).json()["id"]
        process = site.app.state.jobs._running[name]
        process.send_signal(signal.SIGKILL)
        last = until(site, name, is_over)
        assert (last["state"], last["code"]) == ("failed", "job-lost")
