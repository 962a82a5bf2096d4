"""Events, as operators look at them."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel

from app.adapters.web.job_views import EventJob, of_event
from app.adapters.web.responses import ExactJSON, problem
from app.adapters.web.shown import LARGEST_PAGE, content, cursor_after, id_in, raw, rfc3339
from app.core.domain.event import Event, EventState
from app.core.domain.ids import EventId
from app.core.domain.job import Job
from app.core.ports.event_reader import EventQuery
from app.core.ports.job_store import JobQuery
from app.core.use_cases.browse_events import BrowseEvents
from app.core.use_cases.browse_jobs import BrowseJobs


class EventSummary(BaseModel):
    """One event in a list."""

    id: str
    source: str
    provider: str
    type: str | None
    state: EventState
    reason: str | None
    received_at: str
    delivery_key: str
    size: int
    content_type: str | None
    verification: str
    trace_id: str
    duplicates: int
    conflicts: int
    suspected_replay: str | None


class EventList(BaseModel):
    """A page of events, newest first."""

    items: list[EventSummary]
    next_cursor: str | None


class EventDetail(EventSummary):
    """One event whole; `body` is parsed where it is JSON or a form, else text where it is UTF-8, else null.

    `jobs`: the newest of them first.
    """

    headers: list[tuple[str, str]]
    body: Any
    jobs: list[EventJob]


def make_router(browse: BrowseEvents, browse_jobs: BrowseJobs) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.get("", summary="List events, newest first", response_model=EventList)
    async def find(
        source: str | None = None,
        type: Annotated[str | None, Query(max_length=256)] = None,  # noqa: A002 (the contract's name)
        state: EventState | None = None,
        received_after: AwareDatetime | None = None,
        received_before: AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: str | None = None,
    ) -> Response:
        before = None
        if cursor is not None and (before := id_in(cursor)) is None:
            return problem("invalid_cursor")
        if "\0" in (source or "") + (type or ""):  # no event has it, and Postgres would refuse the question
            return ExactJSON({"items": [], "next_cursor": None})
        older_than = EventId(before) if before else None
        page = await browse.find(EventQuery(source, type, state, received_after, received_before, older_than, limit))
        items = [summary(event) for event in page.events]
        return ExactJSON({"items": items, "next_cursor": cursor_after(page.next_before)})

    @router.get("/{event_id}", summary="Show one event", response_model=EventDetail)
    async def show(event_id: str) -> Response:
        found = await browse.get(event_id)
        if found is None:
            return problem("unknown_event")
        event, body = found
        jobs = await browse_jobs.find(JobQuery(event_id=event.id, limit=LARGEST_PAGE))
        return ExactJSON(detail(event, body, jobs.jobs))

    @router.get("/{event_id}/body", summary="Give the raw bytes exactly as they were received")
    async def body(event_id: str) -> Response:
        found = await browse.body(event_id)
        return problem("unknown_event") if found is None else raw(found, event_id)

    return router


def summary(event: Event) -> dict[str, Any]:
    """Show an event in a list."""
    return {
        "id": event.id,
        "source": event.source,
        "provider": event.provider,
        "type": event.type,
        "state": event.state.value,
        "reason": event.reason,
        "received_at": rfc3339(event.received_at),
        "delivery_key": event.delivery_id,
        "size": event.size,
        "content_type": event.content_type,
        "verification": event.verification,
        "trace_id": event.trace_id,
        "duplicates": event.duplicates,
        "conflicts": event.conflicts,
        "suspected_replay": event.replay_of,
    }


def detail(event: Event, body: bytes, jobs: Sequence[Job]) -> dict[str, Any]:
    """Show an event whole."""
    return {
        **summary(event),
        "headers": event.headers,
        "body": content(event.content_type, body),
        "jobs": [of_event(job) for job in jobs],
    }
