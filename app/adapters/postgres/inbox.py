"""Planning in Postgres: read the inbox in order, decide, and keep jobs, states and the removal in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.job_days import JobDays
from app.adapters.postgres.job_store import add_jobs
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.event import EventState
from app.core.domain.ids import EventId
from app.core.ports.inbox import Decision, Inbox, InboxEvent, Planned

MOST_BODY_BYTES = 8_000_000
"""In one transaction, beyond the first event's: the planner has all of them in memory."""

# Whoever waits here would only find what the other has left: so nobody waits. (7310007 is the replay watch's.)
LOCK = "SELECT pg_try_advisory_xact_lock(7310008)"

# A row whose event is gone (its day was dropped) comes without a body, and is only forgotten.
READ = """
SELECT * FROM (
    SELECT i.seq, i.source, i.offered, e.id, e.type, e.content_type, e.body, e.traceparent,
           sum(octet_length(e.body)) OVER (ORDER BY i.seq) - octet_length(e.body) AS before
    FROM (SELECT *, count(*) OVER () AS offered FROM (SELECT * FROM inbox ORDER BY seq LIMIT $1) AS first) AS i
    LEFT JOIN LATERAL (
        SELECT id, type, content_type, body, traceparent FROM events WHERE id = i.event_id LIMIT 1
    ) AS e ON true
) AS rows
WHERE before IS NULL OR before < $2
ORDER BY seq
"""

# There may be a row already: of duplicates that came, or of a replay.
SETTLE = """
INSERT INTO event_states AS s (event_id, state, reason, jobs_open)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) AS t(event_id, state, reason, jobs)
ORDER BY event_id
ON CONFLICT (event_id) DO UPDATE
SET state = excluded.state, reason = excluded.reason, jobs_open = s.jobs_open + excluded.jobs_open, updated_at = now()
"""

FORGET = "DELETE FROM inbox WHERE seq = ANY($1::bigint[])"


class PostgresInbox(Inbox):
    """The inbox of one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._days = JobDays()

    async def plan(self, most: int, decide: Callable[[InboxEvent], Decision]) -> Planned | None:
        """Plan under a lock that ends with the transaction."""
        try:
            async with self._connections.session() as session, session.transaction():
                if not await session.fetchval(LOCK):
                    return None
                rows = await session.fetch(READ, most, MOST_BODY_BYTES)
                if not rows:
                    return Planned(0, 0)
                decisions = [(EventId(str(row["id"])), decide(_event(row))) for row in rows if row["id"] is not None]
                made = await self._days.made(session, [job.id for _, decision in decisions for job in decision.jobs])
                planned = await _keep(session, [row["seq"] for row in rows], decisions)
            self._days.know(made)
            return replace(planned, more=len(rows) < rows[0]["offered"] or len(rows) == most)
        except RowFault as error:
            raise Unavailable(str(error)) from error


def _event(row: Any) -> InboxEvent:
    return InboxEvent(
        EventId(str(row["id"])), row["source"], row["type"], row["content_type"], row["body"], row["traceparent"]
    )


async def _keep(session: Session, numbers: Sequence[int], decisions: Sequence[tuple[EventId, Decision]]) -> Planned:
    jobs = [job for _, decision in decisions for job in decision.jobs]
    if jobs:
        await add_jobs(session, jobs, counted=True)
    if decisions:
        await session.execute(
            SETTLE,
            [event_id for event_id, _ in decisions],
            [_state(decision).value for _, decision in decisions],
            [decision.quarantine for _, decision in decisions],
            [len(decision.jobs) for _, decision in decisions],
        )
    await session.execute(FORGET, numbers)
    return Planned(len(numbers), len(jobs))


def _state(decision: Decision) -> EventState:
    if decision.quarantine is not None:
        return EventState.QUARANTINED
    return EventState.RECEIVED if decision.jobs else EventState.DISCARDED
