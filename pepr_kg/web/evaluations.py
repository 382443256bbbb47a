"""Evaluations over HTTP: ask for one, follow it, stop it, take it up again, and get the arrays of a run.

What changes the state of the server is for its own pages and for programs: a page of another site is refused.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from pepr_kg.errors import BadRequest, NotAcceptable, NotFound, RequestTooLarge, UnsupportedMedia
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import ID, RUN
from pepr_kg.runs.jobs import RESUMABLE, Job, Jobs, find_answer
from pepr_kg.runs.request_json import read_request
from pepr_kg.runs.storage import RUNS
from pepr_kg.store import Dataset, NamedNode
from pepr_kg.web.answers import language_of, respond, settings_of, view_of
from pepr_kg.web.figures import date_text, day_of
from pepr_kg.web.negotiate import HTML, JSON, best, listed
from pepr_kg.web.pages_frame import Crumb, render, texts
from pepr_kg.web.refusals import CrossSite, TooManyFollowers

router = APIRouter(tags=["Evaluations"])

JSON_TYPE: Final = "application/json"
PARQUET_TYPE: Final = "application/vnd.apache.parquet"
EVENTS_TYPE: Final = "text/event-stream"

_ACTS: Final = re.compile(r"/(evaluate|jobs)(/.*)?")
_ASK: Final = re.compile(r"/evaluate/?|/jobs/[^/]+/(cancel|resume)")
_JOB: Final = re.compile(r"/jobs/[^/]+")
_RUN: Final = re.compile(r"[0-9a-f]{16}(-[0-9]{1,6})?")
_MOST_FOLLOWERS: Final = 100  # connections that follow jobs at the same time
_LOOK_SECONDS: Final = 0.2  # between two looks at a job that is followed
_HEARTBEAT_SECONDS: Final = 10.0  # of silence, after which a comment keeps the connection open
_REFRESH_SECONDS: Final = 2  # of the page of a job that is not over
_LISTED: Final = 200  # jobs in an answer
_SHOWN: Final = 50  # jobs on a page
_FRESH: Final = {"Cache-Control": "no-store"}

_NOT_JSON: Final = {
    "en": "The body is not a JSON object in UTF-8: {detail}.",
    "fr": "Le corps n’est pas un objet JSON en UTF-8 : {detail}.",
}
_NO_OBJECT: Final = {
    "en": "The body is JSON, but no object. Send the fields of a question, as in {{\"model\": \"score2\"}}.",
    "fr": "Le corps est du JSON, mais pas un objet. Envoyez les champs d’une demande, comme {{\"model\": \"score2\"}}.",
}  # fmt: skip


class Followers:
    """How many connections follow a job just now."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_error: object) -> None:
        self.count -= 1


def jobs_of(request: Request) -> Jobs:
    """Return the jobs of the application."""
    return cast(Jobs, request.app.state.jobs)


def acts(path: str) -> bool:
    """Return whether something can be changed at an address.

    >>> acts("/jobs/0f3c/cancel"), acts("/sparql")
    (True, False)
    """
    return _ACTS.fullmatch(path) is not None


def methods(path: str) -> str | None:
    """Return the methods of an address of this module, for `Allow`; None for all others.

    >>> methods("/evaluate")
    'POST, OPTIONS'
    """
    if _ASK.fullmatch(path):
        return "POST, OPTIONS"
    return "GET, HEAD, DELETE, OPTIONS" if _JOB.fullmatch(path) else None


def refuse_other_sites(request: Request) -> None:
    """Raise `CrossSite` where a browser says that a page of another site asks. A program says nothing of the kind.

    What the browser says of itself (`Sec-Fetch-Site`) is believed first, for a proxy may have changed the host. Only
    pages on https and on this machine get it said, and their names cannot be made to lead elsewhere.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "").lower()
    if site:
        foreign = site not in {"none", "same-origin"}
    else:
        foreign = origin is not None and not _is_ours(origin.lower(), request)
    if foreign:
        raise CrossSite(origin=origin or site)


def _is_ours(origin: str, request: Request) -> bool:
    """Return whether an origin is this server: its host and port are those that were asked (a proxy hides the scheme).

    Where the server is for this machine alone, the host must be this machine by name, or a number: on http, a name of a
    stranger's may have been made to lead here (DNS rebinding).
    """
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    if page.netloc != request.headers.get("host", "").lower():
        return False
    return page.scheme != "http" or not _is_local(settings_of(request).host) or _is_safe(page.hostname or "")


def _is_local(host: str) -> bool:
    """Return whether only this machine gets to a server that listens there."""
    return host == "localhost" or (_is_number(host) and ip_address(host).is_loopback)


def _is_safe(host: str) -> bool:
    """Return whether a host is what it says: a number, or a name that always is this machine."""
    return host == "localhost" or host.endswith(".localhost") or _is_number(host)


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@router.post("/evaluate", include_in_schema=False)
async def evaluate(request: Request) -> Response:
    """Answer with the run that is there already (200), or with the job that makes it (202)."""
    refuse_other_sites(request)
    asked = read_request(await _read_object(request))
    settings, jobs = settings_of(request), jobs_of(request)
    view = view_of(request)
    folder = cast(Dataset, request.app.state.dataset).path
    run = await run_in_threadpool(find_answer, view, folder, asked, settings)
    if run is not None:
        found = {"reused": True, "run": run.iri, "id": run.id, "state": "finished", "status": run.status}
        return JSONResponse({**found, **_files(run.id)}, headers=_FRESH)
    job = await run_in_threadpool(jobs.submit, asked)
    return JSONResponse(described(job), 202, {**_FRESH, "Location": f"/jobs/{job.id}"})


@router.get("/jobs", include_in_schema=False)
def list_jobs(request: Request) -> Response:
    """Answer with the latest jobs, as JSON or as a page; a page that can be read at one look has fewer."""
    choice = best(request.headers.get("accept"), (JSON, HTML))
    if choice is None:
        raise NotAcceptable(offered=listed((JSON, HTML)))
    jobs = jobs_of(request).list()
    if choice.offer is HTML:
        return _list_page(request, jobs)
    fields = {**_FRESH, "Vary": "Accept"}
    return JSONResponse({"total": len(jobs), "jobs": [described(job) for job in jobs[:_LISTED]]}, headers=fields)


@router.get("/jobs/{name}", include_in_schema=False)
def show_job(request: Request, name: str) -> Response:
    """Answer with a job, as JSON or as a page."""
    choice = best(request.headers.get("accept"), (JSON, HTML))
    if choice is None:
        raise NotAcceptable(offered=listed((JSON, HTML)))
    job = jobs_of(request).get(name)
    return _page(request, job) if choice.offer is HTML else _job(request, job)


@router.post("/jobs/{name}/cancel", include_in_schema=False)
def cancel_job(request: Request, name: str) -> Response:
    """Stop a job, and answer with what became of it."""
    refuse_other_sites(request)
    return _job(request, jobs_of(request).cancel(name))


@router.delete("/jobs/{name}", include_in_schema=False)
def delete_job(request: Request, name: str) -> Response:
    """Stop a job, and answer with what became of it."""
    return cancel_job(request, name)


@router.post("/jobs/{name}/resume", include_in_schema=False)
def resume_job(request: Request, name: str) -> Response:
    """Take a job up again."""
    refuse_other_sites(request)
    return _job(request, jobs_of(request).resume(name), status=202)


@router.get("/jobs/{name}/events", include_in_schema=False)
def follow_job(request: Request, name: str) -> Response:
    """Answer with the states of a job as they come (server-sent events), until it is over."""
    jobs = jobs_of(request)
    job = jobs.get(name)
    sent = request.headers.get("last-event-id", "")
    seen = int(sent) if sent.isdecimal() and len(sent) < 10 else 0
    if job.is_over and job.revision == seen:
        return Response(status_code=204)  # what makes a browser stop asking again
    if request.scope["pepr_kg.head"]:
        return Response(media_type=EVENTS_TYPE, headers=_FRESH)
    followers = cast(Followers, request.app.state.followers)
    if followers.count >= _MOST_FOLLOWERS:
        raise TooManyFollowers(limit=_MOST_FOLLOWERS)
    return StreamingResponse(_events(jobs, name, seen, followers), media_type=EVENTS_TYPE, headers=_FRESH)


@router.get("/runs/{name}/{file}.parquet", include_in_schema=False)
def get_file(request: Request, name: str, file: str) -> Response:
    """Answer with a file of a run: `trajectories` or `inputs`."""
    folder = cast(Dataset, request.app.state.dataset).path / RUNS
    if _RUN.fullmatch(name) is None or file not in {"trajectories", "inputs"}:
        raise NotFound(name=request.url.path)
    path = folder / name / f"{file}.parquet"
    # Files are in their place a moment before their run is in the graph, and it may never come there.
    if NamedNode(RUN + name) not in view_of(request).graphs or not path.is_file():
        raise NotFound(name=request.url.path)
    return FileResponse(path, media_type=PARQUET_TYPE, filename=f"{name}-{file}.parquet")


def described(job: Job) -> dict[str, Any]:
    """Return a job as JSON, with the addresses that lead on from it."""
    here = f"/jobs/{job.id}"
    links: dict[str, Any] = {"href": here, "events": f"{here}/events"}
    if job.run:
        links |= _files(job.run.rpartition("/")[2])
    return {**job.to_dict(), **links}


def _files(run: str) -> dict[str, str]:
    return {"trajectories": f"/runs/{run}/trajectories.parquet", "inputs": f"/runs/{run}/inputs.parquet"}


def _job(request: Request, job: Job, status: int = 200) -> Response:
    """Return a job as JSON; to the form of a page, the way back to it."""
    choice = best(request.headers.get("accept"), (JSON, HTML))
    if request.method == "POST" and choice is not None and choice.offer is HTML:
        return RedirectResponse(f"/jobs/{job.id}?lang={language_of(request)}", 303, _FRESH)
    fields = {**_FRESH, "Vary": "Accept"}
    return JSONResponse(described(job), status, fields)


def _page(request: Request, job: Job) -> Response:
    lang = language_of(request)
    title = texts().phrase("job.title", lang, job=job.id)
    run = None if job.run is None else f"/{lang}/id/{job.run.removeprefix(ID)}"
    # There is no script that could ask; a reader who wants to read in peace may stop it.
    renews = not job.is_over and request.query_params.get("renew") != "0"
    return _html(
        request, "job.html", title, [Crumb(texts().phrase("nav.jobs", lang), f"/jobs?lang={lang}"), Crumb(title)],
        {"Refresh": str(_REFRESH_SECONDS)} if renews else {}, job=job, run=run, is_resumable=job.state in RESUMABLE,
        share=round(100 * job.done / job.total) if job.total else None, renews=renews,
        files=_files(job.run.rpartition("/")[2]) if job.run else {},
    )  # fmt: skip


def _list_page(request: Request, jobs: Sequence[Job]) -> Response:
    lang = language_of(request)
    title = texts().phrase("nav.jobs", lang)

    def moment(stamp: str) -> str:
        return f"{date_text(day_of(stamp), lang, clock=True)} UTC"

    return _html(request, "jobs.html", title, [Crumb(title)], {}, jobs=jobs[:_SHOWN], total=len(jobs), moment=moment)


def _html(
    request: Request, template: str, title: str, crumbs: Sequence[Crumb], headers: Mapping[str, str], **values: Any
) -> Response:
    """Return a page at an address without a language: the switch asks for the other one by `?lang=`."""
    lang, path = language_of(request), request.url.path
    body = render(
        request, lang, template, title, view_of(request),
        crumbs=[Crumb(texts().phrase("nav.home", lang), f"/{lang}/"), *crumbs], twins={JSON_TYPE: path},
        addresses={tag: f"{path}?lang={tag}" for tag in LANGUAGES}, section="jobs", **values,
    )  # fmt: skip
    fields = {"Content-Language": lang, **headers}
    return respond(request, body, "text/html; charset=utf-8", vary=("Accept", "Accept-Language"), headers=fields)


async def _events(jobs: Jobs, name: str, seen: int, followers: Followers) -> AsyncIterator[str]:
    with followers:
        async for event in _states(jobs, name, seen):
            yield event


async def _states(jobs: Jobs, name: str, seen: int) -> AsyncIterator[str]:
    silent = 0.0
    while True:
        job = await run_in_threadpool(jobs.get, name)
        if job.is_over:
            yield _event("end", job)
            return
        if job.revision > seen:
            seen, silent = job.revision, 0.0
            yield _event("progress", job)
        elif silent >= _HEARTBEAT_SECONDS:
            silent = 0.0
            yield ": …\n\n"
        if jobs.is_closed:
            return
        await asyncio.sleep(_LOOK_SECONDS)
        silent += _LOOK_SECONDS


def _event(kind: str, job: Job) -> str:
    return f"event: {kind}\nid: {job.revision}\ndata: {json.dumps(described(job), ensure_ascii=False)}\n\n"


async def _read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body. Raises `UnsupportedMedia`, `RequestTooLarge`, `BadRequest`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        raise UnsupportedMedia(found=media_type or "-", expected=JSON_TYPE)
    limit = settings_of(request).request_bytes
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise RequestTooLarge(limit=limit)
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        shown = str(error) or type(error).__name__
        raise BadRequest(detail={lang: text.format(detail=shown) for lang, text in _NOT_JSON.items()}) from error
    if not isinstance(found, dict):
        raise BadRequest(detail={lang: text.format() for lang, text in _NO_OBJECT.items()})
    return found
