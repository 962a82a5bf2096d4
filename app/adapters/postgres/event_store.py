"""Events in Postgres: one statement and one fsync for a batch.

The statement puts the delivery keys in first, and answers how many it could put in: mostly all. `ON CONFLICT DO
NOTHING` waits for a concurrent first writer of a key but cannot see that writer's row, so where some lost, everybody's
key is looked up by a second statement, with a snapshot of its own; a loser that finds nothing there (the key expired
meanwhile) is appended again. Only winners, known by event id, get their rows. Keys are inserted in sorted order, so
that two batches cannot deadlock on them.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from operator import attrgetter
from typing import cast

import asyncpg

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.event_rows import APPEND, Argument, arguments_of, headers_json
from app.core.domain.errors import OutcomeUnknown, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import Appended, Duplicate, EventStore, Flush, Outcome

MOST_CONFLICTS_KEPT = 10

# After a statement was blocked by somebody's lock, batches are being halved to find the row; they must not wait the
# whole lock budget again at each level.
IMPATIENT_FOR_SECONDS = 1.5
IMPATIENT_LOCK_TIMEOUT = "40ms"

FIND_FIRST = "SELECT key, event_id, digest FROM delivery_keys WHERE key = ANY($1::bytea[])"

# Sorted, so that two batches take the row locks in the same order.
COUNT = """
INSERT INTO event_states AS s (event_id, duplicates, conflicts)
SELECT id, duplicates, conflicts FROM unnest($1::uuid[], $2::int[], $3::int[]) AS t(id, duplicates, conflicts)
ORDER BY id
ON CONFLICT (event_id) DO UPDATE
SET duplicates = s.duplicates + excluded.duplicates, conflicts = s.conflicts + excluded.conflicts, updated_at = now()
"""

# Runs after COUNT in the same transaction: the row lock taken there makes the bound exact.
KEEP_CONFLICTS = """
INSERT INTO conflicts (event_id, digest, received_at, content_type, headers, body)
SELECT event_id, digest, received_at, content_type, headers::json, body FROM (
    SELECT DISTINCT ON (t.event_id, t.digest) t.*,
           dense_rank() OVER (PARTITION BY t.event_id ORDER BY t.digest)
           + (SELECT count(*) FROM conflicts c WHERE c.event_id = t.event_id) AS number
    FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[], $4::text[], $5::text[], $6::bytea[])
         AS t(event_id, digest, received_at, content_type, headers, body)
    WHERE NOT EXISTS (SELECT FROM conflicts c WHERE c.event_id = t.event_id AND c.digest = t.digest)
) AS other
WHERE number <= $7
ON CONFLICT DO NOTHING
"""

STILL_KEPT = "SELECT id FROM events WHERE id = ANY($1::uuid[])"

MAKE_DAYS = "SELECT opsconnect_make_event_days($1, 1)"


class PostgresEventStore(EventStore):
    """The durable store, and the only judge of duplicates."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._impatient_until = 0.0

    def epoch(self) -> str | None:
        """Vouch for the database only while it has just answered us."""
        return self._connections.epoch()

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Insert; where some lost, look up who; append again who lost to a key that is gone."""
        if not events:
            return []
        flush = Flush(size=len(events), append_started_ns=time.time_ns())
        outcomes: dict[EventId, Outcome] = {}
        left = sorted(events, key=attrgetter("key"))
        async with self._connections.session() as session:
            # Twice is enough: for a third round a key would have to expire between two statements, twice.
            for _ in range(2):
                if await self._insert(session, left) == len(left):
                    outcomes.update({event.id: Appended(event.id, flush) for event in left})
                    break
                left = await self._look_up(session, left, outcomes, flush)
                if not left:
                    break
            else:
                raise OutcomeUnknown("Postgres: delivery keys vanish as they are being kept; send it again")
            flush.epoch = session.epoch
        flush.append_ended_ns = time.time_ns()
        return [outcomes[event.id] for event in events]

    async def _insert(self, session: Session, events: Sequence[NewEvent]) -> int:
        """Insert; give the number of those that won their key."""
        arguments = arguments_of(events)
        try:
            return await self._execute(session, len(events), arguments)
        except asyncpg.CheckViolationError as error:
            # "no partition of relation": anything else that a row violates names a constraint.
            if error.constraint_name is not None or error.table_name not in {"events", "event_states"}:
                raise
            await self._make_days(session, events)
            return await self._execute(session, len(events), arguments)

    async def _execute(self, session: Session, size: int, arguments: Sequence[Argument]) -> int:
        if size == 1 or time.monotonic() > self._impatient_until:
            try:
                return cast("int", await session.fetchval(APPEND, *arguments))
            except asyncpg.LockNotAvailableError:
                self._impatient_until = time.monotonic() + IMPATIENT_FOR_SECONDS
                raise
        async with session.transaction():
            await session.execute(f"SET LOCAL lock_timeout = '{IMPATIENT_LOCK_TIMEOUT}'")
            return cast("int", await session.fetchval(APPEND, *arguments))

    async def _make_days(self, session: Session, events: Sequence[NewEvent]) -> None:
        try:
            for day in sorted({event.received_at.astimezone(UTC).date() for event in events}):
                await session.execute(MAKE_DAYS, day)
        except asyncpg.PostgresError as error:
            # Nothing was kept; and this is no fault of a row, so halving the batch would not help.
            raise Unavailable(f"Postgres: no partition for the events and none could be made: {error}") from error

    async def _look_up(
        self, session: Session, events: Sequence[NewEvent], outcomes: dict[EventId, Outcome], flush: Flush
    ) -> list[NewEvent]:
        """Find who won, and whom the others repeat; count it, keep what differs; return those whose winner is gone."""
        rows = await session.fetch(FIND_FIRST, list({event.key for event in events}))
        first = {row["key"]: (EventId(str(row["event_id"])), row["digest"]) for row in rows}
        counts: dict[EventId, list[int]] = {}
        conflicts: list[tuple[EventId, NewEvent]] = []
        gone = []
        for event in events:
            known = first.get(event.key)
            if known is None:
                gone.append(event)
                continue
            first_id, digest = known
            if first_id == event.id:
                outcomes[event.id] = Appended(first_id, flush)
                continue
            same_body = digest == event.digest
            outcomes[event.id] = Duplicate(first_id, same_body, flush)
            count = counts.setdefault(first_id, [0, 0])
            count[0] += 1
            if not same_body:
                count[1] += 1
                conflicts.append((first_id, event))
        if counts:
            await self._record(session, counts, conflicts)
        return gone

    async def _record(
        self, session: Session, counts: Mapping[EventId, Sequence[int]], conflicts: Sequence[tuple[EventId, NewEvent]]
    ) -> None:
        tallies = [list(counts), [count[0] for count in counts.values()], [count[1] for count in counts.values()]]
        try:
            if not conflicts:
                await session.execute(COUNT, *tallies)
                return
            async with session.transaction():
                await session.execute(COUNT, *tallies)
                await session.execute(
                    KEEP_CONFLICTS,
                    [first_id for first_id, _ in conflicts],
                    [event.digest for _, event in conflicts],
                    [event.received_at for _, event in conflicts],
                    [event.content_type for _, event in conflicts],
                    [headers_json(event.headers) for _, event in conflicts],
                    [event.body for _, event in conflicts],
                    MOST_CONFLICTS_KEPT,
                )
        except asyncpg.CheckViolationError:
            # A first event's day was dropped by retention. Its key lives on, and there is nothing to count on; for the
            # others there is.
            rows = await session.fetch(STILL_KEPT, tallies[0])
            left = {first_id: counts[first_id] for row in rows if (first_id := EventId(str(row["id"]))) in counts}
            if left and len(left) < len(counts):
                await self._record(session, left, [conflict for conflict in conflicts if conflict[0] in left])

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Add them up in one statement."""
        if counts:
            async with self._connections.session() as session:
                await self._record(session, {event_id: (count, 0) for event_id, count in counts.items()}, ())
