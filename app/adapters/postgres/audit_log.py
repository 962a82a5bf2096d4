"""The audit log in Postgres: a table that a trigger lets nobody change, whose rows are linked one by one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import reading
from app.adapters.postgres.tables import audit_log as table
from app.core.domain.audit import BEFORE_THE_FIRST, AuditEntry, Head, NewAuditEntry, canonical, entered
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.ports.audit_log import AuditLog, AuditQuery

# One at a time: two that follow the same entry would make a fork of the chain (7310001 to 7310005 and 7310007 are
# those of other things). Whoever gets the lock sees what its last holder has committed.
_LOCK = "SELECT pg_advisory_xact_lock(7310006)"

# The clock and not the transaction's time: who waited longer for the lock would have the earlier time.
_LAST = """
SELECT clock_timestamp() AS now, last.seq, last.hash
FROM (VALUES (1)) AS one_row
LEFT JOIN LATERAL (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1) AS last ON true
"""

_APPEND = """
INSERT INTO audit_log (seq, at, actor, action, target, details, trace_id, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class PostgresAuditLog(AuditLog):
    """A few round trips an entry, which only operators wait for."""

    def __init__(self, connections: Connections, engine: AsyncEngine) -> None:
        self._connections = connections
        self._engine = engine

    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        """Look at the last one and add the next under a lock, in one transaction."""
        try:
            async with self._connections.session() as session, session.transaction():
                await session.execute(_LOCK)
                last = (await session.fetch(_LAST))[0]
                new = entered(entry, Head(last["seq"] or 0, last["hash"] or BEFORE_THE_FIRST), last["now"])
                content = canonical(new.details)
                values = (new.seq, new.at, new.actor, new.action, new.target, content, new.trace_id, new.hash)
                await session.execute(_APPEND, *values)
        except OpsConnectError as error:
            raise Unavailable(f"the audit log could not be written, so nothing was done: {error}") from error
        return new

    async def find(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """List by one statement along the primary key."""
        statement = select(table).order_by(table.c.seq.desc()).limit(query.limit)
        if query.before is not None:
            statement = statement.where(table.c.seq < query.before)
        for column, wanted in ((table.c.actor, query.actor), (table.c.action, query.action)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if query.target is not None:
            statement = statement.where(table.c.target == query.target)
        async with reading(self._engine) as connection:
            return [_entry(row) for row in await connection.execute(statement)]

    async def walk(self, *, after: int, at_most: int) -> Sequence[AuditEntry]:
        """Read on along the primary key."""
        statement = select(table).where(table.c.seq > after).order_by(table.c.seq).limit(at_most)
        async with reading(self._engine) as connection:
            return [_entry(row) for row in await connection.execute(statement)]


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.seq, row.at, row.actor, row.action, row.target, row.details, row.trace_id, row.hash)
