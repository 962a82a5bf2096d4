"""Looking at events in Postgres, on the operators' own connections."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil, floor
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Uuid, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.engine import reading
from app.adapters.postgres.tables import event_states, events
from app.core.domain.event import Event, EventState
from app.core.domain.ids import EventId, first_event_id
from app.core.ports.event_reader import EventQuery, EventReader

_SUMMARY = (
    events.c.id,
    events.c.source,
    events.c.provider,
    events.c.type,
    events.c.received_at,
    events.c.delivery_id,
    events.c.digest,
    events.c.content_type,
    events.c.verification,
    events.c.traceparent,
    func.octet_length(events.c.body).label("size"),
    # No row means: received, and never repeated.
    func.coalesce(event_states.c.state, EventState.RECEIVED).label("state"),
    event_states.c.reason,
    func.coalesce(event_states.c.duplicates, 0).label("duplicates"),
    func.coalesce(event_states.c.conflicts, 0).label("conflicts"),
    event_states.c.replay_of,
)


class PostgresEventReader(EventReader):
    """Lists go by the primary key, newest first, and touch only the days that the times asked for allow."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, query: EventQuery) -> Sequence[Event]:
        """List by one statement."""
        statement = _joined(*_SUMMARY).where(*_conditions(query)).order_by(events.c.id.desc()).limit(query.limit)
        async with reading(self._engine) as connection:
            return [_event(row) for row in await connection.execute(statement)]

    async def get(self, event_id: EventId) -> Event | None:
        """Look one up by its primary key."""
        statement = _joined(*_SUMMARY, events.c.headers).where(events.c.id == event_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _event(row, headers=tuple((name, value) for name, value in row.headers)) if row else None

    async def body(self, event_id: EventId) -> bytes | None:
        """Fetch the bytes alone."""
        async with reading(self._engine) as connection:
            return await connection.scalar(select(events.c.body).where(events.c.id == event_id))


def _joined(*columns: Any) -> Select[Any]:
    return select(*columns).outerjoin_from(events, event_states, event_states.c.event_id == events.c.id)


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.source is not None:
        conditions.append(events.c.source == query.source)
    if query.type is not None:
        conditions.append(events.c.type == query.type)
    if query.state is EventState.RECEIVED:
        conditions.append(func.coalesce(event_states.c.state, EventState.RECEIVED) == EventState.RECEIVED)
    elif query.state is not None:
        conditions.append(event_states.c.state == query.state)
    # The bounds on the id let Postgres skip whole days; the exact time is compared as well.
    if query.received_after is not None:
        conditions += [
            events.c.received_at > query.received_after,
            events.c.id >= _id(first_event_id(floor(_milliseconds(query.received_after)))),
        ]
    if query.received_before is not None:
        conditions += [
            events.c.received_at < query.received_before,
            events.c.id < _id(first_event_id(ceil(_milliseconds(query.received_before)) + 1)),
        ]
    if query.before is not None:
        conditions.append(events.c.id < _id(query.before))
    return conditions


def _milliseconds(moment: datetime) -> float:
    return max(moment.timestamp() * 1000, 0)


def _id(event_id: EventId) -> ColumnElement[Any]:
    return cast(event_id, Uuid(as_uuid=False))


def _event(row: Row[Any], headers: tuple[tuple[str, str], ...] | None = None) -> Event:
    return Event(
        id=EventId(row.id),
        source=row.source,
        provider=row.provider,
        type=row.type,
        state=EventState(row.state),
        reason=row.reason,
        received_at=row.received_at,
        delivery_id=row.delivery_id,
        size=row.size,
        content_type=row.content_type,
        digest=row.digest,
        verification=row.verification,
        traceparent=row.traceparent,
        duplicates=row.duplicates,
        conflicts=row.conflicts,
        replay_of=EventId(row.replay_of) if row.replay_of else None,
        headers=headers,
    )
