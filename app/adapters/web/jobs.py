"""Jobs: started, looked at, run again and cancelled by operators and scripts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.adapters.web.guard import actor
from app.adapters.web.job_views import JobDetail, JobList, detail, summary
from app.adapters.web.json_body import LONGEST_NAME, name_fault, read_object
from app.adapters.web.responses import ExactJSON, problem
from app.adapters.web.shown import LARGEST_PAGE
from app.core.domain.audit import Actor
from app.core.domain.connector import Json
from app.core.domain.document import kind
from app.core.domain.errors import Fault, Invalid, OutcomeUnknown
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import TRANSITIONS, Job, JobStatus, Move
from app.core.domain.json_text import json_ascii
from app.core.ports.job_store import Illegal, JobQuery, Moved
from app.core.use_cases.browse_jobs import BrowseJobs
from app.core.use_cases.change_job import ChangeJob
from app.core.use_cases.start_job import StartJob

PREFIX = "/api/v1/jobs"
FARTHEST_OFFSET = 10_000
MOVES = {Move.RERUN: "retry", Move.CANCEL: "cancel"}
"""What a person can do to a job, as the addresses name it."""
DONE = {"retry": "retried", "cancel": "cancelled"}

_NEW_JOB: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "connector_name": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": LONGEST_NAME,
                            "description": "a connection, or a connector that needs no settings",
                        },
                        "action": {
                            "type": ["string", "null"],
                            "minLength": 1,
                            "maxLength": LONGEST_NAME,
                            "description": "the connector's first one where it is left out",
                        },
                        "payload": {"description": "any JSON: given to the action as it is, as a value"},
                        "input": {
                            "type": "object",
                            "description": "instead of a payload: describes what the action is to do, such as "
                            "{'path': '/orders', 'json': {'n': 1}} for http; texts may hold ${…} expressions",
                        },
                    },
                    "required": ["connector_name"],
                    "oneOf": [{"required": ["payload"]}, {"required": ["input"]}],
                    "additionalProperties": False,
                }
            }
        },
    }
}
STARTING: dict[int | str, dict[str, Any]] = {
    413: {"description": "The body is larger than the API takes."},
    415: {"description": "It does not say that it is JSON."},
    422: {"description": "'errors' names the fields that are at fault."},
}
_CHANGING: dict[int | str, dict[str, Any]] = {
    404: {"description": "No job has this id."},
    409: {"description": "Not in the state that the job is in: 'job_status'; 'possible' says what can be done."},
}


class StartedJob(BaseModel):
    """A job that waits for a worker. `attempt`: the number of the execution to come."""

    job_id: str
    status: JobStatus
    attempt: int
    connector_name: str
    trace_id: str


class MovedJob(BaseModel):
    """A job that was moved by hand. `attempt`: the number of the execution to come, or of the last one."""

    job_id: str
    status: JobStatus
    attempt: int


@dataclass(frozen=True, slots=True)
class Starting:
    """What routes need that start jobs."""

    start: StartJob
    traceparent: Callable[[], str]
    """Gives the context of the request that is being served, which the job continues."""
    body_limit_bytes: int

    async def started(
        self, start: Callable[[str], Awaitable[JobId]], shown_at: str, status: int, **told: Json
    ) -> Response:
        """Start a job in the trace of the request, and say so, and where it is shown."""
        traceparent = self.traceparent()
        try:
            job_id = await start(traceparent)
        except OutcomeUnknown:
            text = "The job may or may not have been started. Look at GET /api/v1/jobs before you start it again."
            return problem("outcome_unknown", detail=text)
        trace_id = traceparent.split("-")[1]
        content = {"job_id": job_id, "status": JobStatus.PENDING.value, **told, "trace_id": trace_id}
        return ExactJSON(content, status, {"location": f"{shown_at}/{job_id}", "x-trace-id": trace_id})


def make_router(starting: Starting, change: ChangeJob, browse: BrowseJobs) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix=PREFIX, tags=["jobs"])

    @router.post(
        "",
        summary="Start a job: an action of a connection, run once on a payload",
        status_code=201,
        response_model=StartedJob,
        responses=STARTING,
        openapi_extra=_NEW_JOB,
    )
    async def start(request: Request) -> Response:
        known = ("connector_name", "action", "payload", "input")
        given = _checked(dict(await read_object(request, starting.body_limit_bytes, known)))
        described = given.get("input")
        return await starting.started(
            lambda traceparent: starting.start.on_connector(
                given["connector_name"],
                given["payload"] if described is None else described,
                action=given.get("action"),
                described=described,
                traceparent=traceparent,
            ),
            PREFIX,
            201,
            attempt=1,
            connector_name=given["connector_name"],
        )

    @router.get("", summary="List jobs, open and finished ones, newest first", response_model=JobList)
    async def find(
        status: JobStatus | None = None,
        connector_name: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
        flow: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
        event_id: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        offset: Annotated[int, Query(ge=0, le=FARTHEST_OFFSET)] = 0,
    ) -> Response:
        event = None if event_id is None else EventId(event_id)
        page = await browse.find(JobQuery(status, connector_name, flow, event, limit, offset))
        return ExactJSON(
            {
                "items": [summary(job) for job in page.jobs],
                "total": page.total,
                "total_is_exact": page.total_is_exact,
                "limit": limit,
                "offset": offset,
            }
        )

    @router.get("/{job_id}", summary="Show one job, as far as it has got", response_model=JobDetail)
    async def show(job_id: str) -> Response:
        job = await browse.get(job_id)
        return problem("unknown_job") if job is None else ExactJSON(detail(job))

    async def moving(
        job_id: str, move: Move, by: Actor, change_it: Callable[[str, Actor], Awaitable[Moved | Illegal | None]]
    ) -> Response:
        try:
            answer = await change_it(job_id, by)
        except OutcomeUnknown:
            text = f"It may or may not have been done. Look at GET /api/v1/jobs/{job_id}, and ask again if it was not."
            return problem("outcome_unknown", detail=text)
        if isinstance(answer, Illegal):
            return _conflict(answer.status, move)
        job = await browse.get(job_id) if answer else None
        if answer is None or job is None:
            return problem("unknown_job")
        return ExactJSON(moved(answer, job), 202)

    @router.post(
        "/{job_id}/retry",
        summary="Run a job now, resumed at the step that failed; a completed one from its first step, on purpose",
        status_code=202,
        response_model=MovedJob,
        responses=_CHANGING,
    )
    async def retry(job_id: str, by: Annotated[Actor, Depends(actor)]) -> Response:
        return await moving(job_id, Move.RERUN, by, change.retry)

    @router.post(
        "/{job_id}/cancel",
        summary="End a job that no worker has",
        status_code=202,
        response_model=MovedJob,
        responses=_CHANGING,
    )
    async def cancel(job_id: str, by: Annotated[Actor, Depends(actor)]) -> Response:
        return await moving(job_id, Move.CANCEL, by, change.cancel)

    return router


def moved(answer: Moved, job: Job) -> dict[str, Any]:
    """Show a job that was just moved, from a look at it afterwards."""
    # A worker may have been quicker than the look; then the execution to come has come.
    to_come = answer.status is JobStatus.PENDING and job.status is JobStatus.PENDING
    return {"job_id": job.id, "status": answer.status.value, "attempt": job.attempt + to_come}


def possible(status: JobStatus) -> list[str]:
    """Name what a person can do to a job in this state."""
    return [word for move, word in MOVES.items() if (status, move) in TRANSITIONS]


def refusal(status: JobStatus, move: Move) -> str:
    """Say why a job in this state is not moved so, and what can be done to it."""
    if status is JobStatus.IN_PROGRESS:
        return "A worker has it just now. Wait until this execution has ended."
    can = " and ".join(DONE[word] for word in possible(status))
    return f"A job that is {status} cannot be {DONE[MOVES[move]]}; it can be {can}."


def _conflict(status: JobStatus, move: Move) -> Response:
    code = "job_running" if status is JobStatus.IN_PROGRESS else "illegal_move"
    return problem(code, detail=refusal(status, move), job_status=status.value, possible=possible(status))


def _checked(given: dict[str, Json]) -> dict[str, Json]:
    """Look at every field of a new job. Raises `Invalid`."""
    faults: list[Fault] = []
    if fault := name_fault(given["connector_name"]) if "connector_name" in given else "is missing":
        faults.append(Fault("connector_name", fault))
    if given.get("action") is not None and (fault := name_fault(given["action"])):
        faults.append(Fault("action", fault))
    described = given.get("input")
    if described is None and "payload" not in given:
        text = "is missing: give 'payload', which is sent as it is, or 'input', which describes what to do"
        faults.append(Fault("payload", text))
    elif described is not None and "payload" in given:
        faults.append(Fault("input", "cannot stand beside 'payload': give one of the two"))
    elif described is not None and not isinstance(described, dict):
        faults.append(Fault("input", f"must be an object; this is {kind(described)}"))
    for name in ("payload", "input"):
        try:
            json_ascii(given.get(name))
        except ValueError as error:
            faults.append(Fault(name, str(error)))
    if faults:
        raise Invalid(faults)
    return given
