"""The audit log, as an administrator looks at it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel

from app.adapters.web.responses import ExactJSON, problem
from app.adapters.web.shown import LARGEST_PAGE, rfc3339
from app.core.domain.audit import AuditEntry
from app.core.ports.audit_log import AuditQuery
from app.core.use_cases.browse_audit import BrowseAudit

LARGEST_SEQ = 2**63 - 1


class Entry(BaseModel):
    """One action of an operator. `hash` covers the entry and the hash of the one before."""

    seq: int
    at: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    trace_id: str | None
    hash: str


class EntryList(BaseModel):
    """A page of entries, newest first."""

    items: list[Entry]
    next_cursor: str | None


def make_router(browse: BrowseAudit) -> APIRouter:
    """Make the route."""
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("", summary="List what operators did, newest first", response_model=EntryList)
    async def find(
        actor: Annotated[str | None, Query(max_length=256)] = None,
        action: Annotated[str | None, Query(max_length=256)] = None,
        target: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=19)] = None,
    ) -> Response:
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and int(cursor) <= LARGEST_SEQ):
            return problem("invalid_cursor")
        if "\0" in (actor or "") + (action or "") + (target or ""):  # no entry has it; Postgres takes it for no text
            return ExactJSON({"items": [], "next_cursor": None})
        page = await browse.find(AuditQuery(actor, action, target, int(cursor) if cursor else None, limit))
        next_cursor = None if page.next_before is None else str(page.next_before)
        return ExactJSON({"items": [shown(entry) for entry in page.entries], "next_cursor": next_cursor})

    return router


def shown(entry: AuditEntry) -> dict[str, Any]:
    """Show an entry."""
    return {
        "seq": entry.seq,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "details": dict(entry.details),
        "trace_id": entry.trace_id,
        "hash": entry.hash.hex(),
    }
