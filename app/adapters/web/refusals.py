"""Refusals, as operators look at them and release them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel

from app.adapters.web.guard import actor
from app.adapters.web.responses import ExactJSON, problem
from app.adapters.web.shown import LARGEST_PAGE, content, cursor_after, id_in, raw, rfc3339
from app.core.domain.audit import Actor
from app.core.domain.credentials import masked_headers, masked_url
from app.core.domain.errors import Unavailable
from app.core.domain.ids import RefusalId
from app.core.domain.refusal import Refusal, RefusalState
from app.core.ports.refusal_store import RefusalQuery
from app.core.use_cases.browse_refusals import BrowseRefusals
from app.core.use_cases.release_refusal import Released, ReleaseRefusal, StillRefused


class RefusalSummary(BaseModel):
    """One refusal in a list. `detail` is for the operator; the sender was told `code` alone."""

    id: str
    source: str | None
    provider: str | None
    code: str
    detail: str
    state: RefusalState
    event_id: str | None
    received_at: str
    method: str
    url: str
    client: str
    size: int | None
    digest: str | None
    trace_id: str


class RefusalList(BaseModel):
    """A page of refusals, newest first."""

    items: list[RefusalSummary]
    next_cursor: str | None


class RefusalDetail(RefusalSummary):
    """One refusal whole; `body` is parsed where it is JSON or a form, else text where it is UTF-8, else null."""

    headers: list[tuple[str, str]]
    body: Any


class Release(BaseModel):
    """What became of a released refusal; `duplicate`: the delivery was kept before, as this event."""

    id: str
    state: RefusalState
    event_id: str
    duplicate: bool


def make_router(browse: BrowseRefusals, release: ReleaseRefusal) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/api/v1/refusals", tags=["refusals"])

    @router.get("", summary="List refused requests, newest first", response_model=RefusalList)
    async def find(
        source: str | None = None,
        code: Annotated[str | None, Query(max_length=256)] = None,
        state: RefusalState | None = None,
        received_after: AwareDatetime | None = None,
        received_before: AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: str | None = None,
    ) -> Response:
        before = None
        if cursor is not None and (before := id_in(cursor)) is None:
            return problem("invalid_cursor")
        if "\0" in (source or "") + (code or ""):  # no refusal has it, and Postgres would refuse the question
            return ExactJSON({"items": [], "next_cursor": None})
        older_than = RefusalId(before) if before else None
        page = await browse.find(RefusalQuery(source, code, state, received_after, received_before, older_than, limit))
        items = [summary(refusal) for refusal in page.refusals]
        return ExactJSON({"items": items, "next_cursor": cursor_after(page.next_before)})

    @router.get("/{refusal_id}", summary="Show one refused request", response_model=RefusalDetail)
    async def show(refusal_id: str) -> Response:
        refusal = await browse.get(refusal_id)
        return problem("unknown_refusal") if refusal is None else ExactJSON(detail(refusal))

    @router.get("/{refusal_id}/body", summary="Give the raw bytes exactly as they were received")
    async def body(refusal_id: str) -> Response:
        refusal = await browse.get(refusal_id)
        if refusal is None:
            return problem("unknown_refusal")
        return problem("body_not_kept") if refusal.body is None else raw(refusal.body, refusal_id)

    @router.post(
        "/{refusal_id}/release",
        summary="Verify a refused request again, as of its receipt, and take it in",
        response_model=Release,
        responses={409: {"description": "It is refused again, and 'reason' says why; nothing was changed."}},
    )
    async def let_in(refusal_id: str, by: Annotated[Actor, Depends(actor)]) -> Response:
        try:
            answer = await release(refusal_id, by)
        except Unavailable as error:  # what is away may be the secret; the operator can do something about that
            return problem("unavailable", detail=str(error))
        return _told(refusal_id, answer)

    return router


def _told(refusal_id: str, answer: Released | StillRefused | None) -> Response:
    if answer is None:
        return problem("unknown_refusal")
    if isinstance(answer, StillRefused):
        return problem("still_refused", detail=answer.detail, reason=answer.code)
    return ExactJSON(released(refusal_id, answer))


def released(refusal_id: str, answer: Released) -> dict[str, Any]:
    """Show what a released refusal became."""
    state = RefusalState.RELEASED.value
    return {"id": refusal_id, "state": state, "event_id": answer.event_id, "duplicate": answer.repeated}


def summary(refusal: Refusal) -> dict[str, Any]:
    """Show a refusal in a list."""
    return {
        "id": refusal.id,
        "source": refusal.source or None,
        "provider": refusal.provider or None,
        "code": refusal.code,
        "detail": refusal.detail,
        "state": refusal.state.value,
        "event_id": refusal.event_id,
        "received_at": rfc3339(refusal.received_at),
        "method": refusal.method,
        "url": masked_url(refusal.url),
        "client": refusal.client,
        "size": refusal.size,
        "digest": refusal.digest.hex() if refusal.digest else None,
        "trace_id": refusal.trace_id,
    }


def detail(refusal: Refusal) -> dict[str, Any]:
    """Show a refusal whole, credentials masked."""
    body = None if refusal.body is None else content(refusal.content_type, refusal.body)
    return {**summary(refusal), "headers": masked_headers(refusal.headers or ()), "body": body}
