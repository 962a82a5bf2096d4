"""Refusals in Postgres: written by whoever serves, on a connection that is not intake's; read on the operators' own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import reading
from app.adapters.postgres.tables import refusals as table
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.ids import EventId, RefusalId
from app.core.domain.refusal import NewRefusal, Refusal, RefusalState
from app.core.ports.refusal_store import RefusalQuery, RefusalStore

# The digest is made over there: hashing megabytes here would hold the event loop up.
_KEEP = """
INSERT INTO refusals (id, received_at, source, provider, code, detail, method, url, client, traceparent, lead,
                      headers, body, digest, weight)
SELECT id, received_at, source, provider, code, detail, method, url, client, traceparent, lead,
       headers::json, body, sha256(body), weight
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::boolean[], $12::text[], $13::bytea[], $14::int[])
     AS t(id, received_at, source, provider, code, detail, method, url, client, traceparent, lead,
          headers, body, weight)
ON CONFLICT (id) DO NOTHING
"""

_MARK = "UPDATE refusals SET event_id = $2 WHERE id = $1 AND event_id IS NULL"

# Every source's newest stands first, then every source's second newest, and so on: what is beyond the count in that
# order belongs to those that have the most. The same for the weight. One process at a time is enough; the others find
# the lock taken and leave it to that one (7310001 to 7310004 are the migrations', partitions', keys' and sources').
_TRIM = """
WITH ranked AS (
    SELECT id, received_at, weight,
           row_number() OVER newest AS number_in_source, sum(weight) OVER newest AS sum_in_source
    FROM refusals
    WINDOW newest AS (PARTITION BY source ORDER BY id DESC)
), placed AS (
    SELECT id, received_at,
           row_number() OVER (ORDER BY number_in_source, id DESC) AS number,
           sum(weight) OVER (ORDER BY sum_in_source, id DESC) AS sum
    FROM ranked
)
DELETE FROM refusals WHERE id = ANY(ARRAY(
    SELECT id FROM placed WHERE number > $1 OR sum > $2 OR received_at < $3 ORDER BY id LIMIT $4
)) AND pg_try_advisory_xact_lock(7310005)
"""

_SUMMARY = (
    *(column for column in table.c if column.name not in {"headers", "body", "weight"}),
    func.octet_length(table.c.body).label("size"),
)
_HEADERS = NewRefusal._fields.index("headers")


class PostgresRefusalStore(RefusalStore):
    """Rows whose bodies lie outside of them (TOAST), so that lists and bounds do not read any."""

    def __init__(self, connections: Connections, engine: AsyncEngine) -> None:
        self._connections = connections
        self._engine = engine

    async def keep(self, refusals: Sequence[NewRefusal]) -> None:
        """Insert by one statement."""
        if not refusals:
            return
        columns: list[list[Any]] = [list(column) for column in zip(*refusals, strict=True)]
        columns[_HEADERS] = [orjson.dumps(refusal.headers).decode() for refusal in refusals]
        async with self._connections.session() as session:
            await session.execute(_KEEP, *columns, [refusal.weight for refusal in refusals])

    async def find(self, query: RefusalQuery) -> Sequence[Refusal]:
        """List by one statement along the primary key."""
        statement = select(*_SUMMARY).where(*_conditions(query)).order_by(table.c.id.desc()).limit(query.limit)
        async with reading(self._engine) as connection:
            return [_refusal(row) for row in await connection.execute(statement)]

    async def get(self, refusal_id: RefusalId) -> Refusal | None:
        """Look one up by its primary key."""
        statement = select(*_SUMMARY, table.c.headers, table.c.body).where(table.c.id == refusal_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        return _refusal(row, headers=tuple((name, value) for name, value in row.headers), body=row.body)

    async def mark_released(self, refusal_id: RefusalId, event_id: EventId) -> None:
        """Update one row."""
        await self._change(_MARK, refusal_id, event_id)

    async def trim(self, *, count: int, weight: int, before: datetime, at_most: int) -> int:
        """Rank all rows and delete by one statement: tens of milliseconds for ten thousand."""
        return await self._change(_TRIM, count, weight, before, at_most)

    async def _change(self, statement: str, *values: object) -> int:
        """Run a statement whose rows nobody can be at fault for; give how many it changed."""
        try:
            async with self._connections.session() as session:
                return int((await session.execute(statement, *values)).rpartition(" ")[2])
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else has it in hand, try again") from error


def _conditions(query: RefusalQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.source is not None:
        conditions.append(table.c.source == query.source)
    if query.code is not None:
        conditions.append(table.c.code == query.code)
    if query.state is RefusalState.REFUSED:
        conditions.append(table.c.event_id.is_(None))
    elif query.state is RefusalState.RELEASED:
        conditions.append(table.c.event_id.is_not(None))
    if query.received_after is not None:
        conditions.append(table.c.received_at > query.received_after)
    if query.received_before is not None:
        conditions.append(table.c.received_at < query.received_before)
    if query.before is not None:
        conditions.append(table.c.id < query.before)
    return conditions


def _refusal(row: Row[Any], headers: tuple[tuple[str, str], ...] | None = None, body: bytes | None = None) -> Refusal:
    return Refusal(
        id=RefusalId(row.id),
        received_at=row.received_at,
        source=row.source,
        provider=row.provider,
        code=row.code,
        detail=row.detail,
        method=row.method,
        url=row.url,
        client=row.client,
        traceparent=row.traceparent,
        lead=row.lead,
        size=row.size,
        digest=row.digest,
        event_id=EventId(row.event_id) if row.event_id else None,
        headers=headers,
        body=body,
    )
