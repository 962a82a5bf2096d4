"""The watch for replays: the same bytes to the same source under another id are noticed, beside intake and after it.

It goes through the events in the order of their ids and keeps which one brought a body first; whatever brings the same
body later is marked with that one. An event's id tells when it came, not when it was committed, so the watch looks
twice: at what came two seconds ago, and again at what came ten minutes ago. What is missed is an event that is
committed more than ten minutes after the time in its id (by Postgres' clock): its process had its clock that far back.

One process at a time watches; a batch, its marks and the place that it reached are one transaction, so nothing is half
done, whoever ends when. It only marks. Nothing is refused, and intake waits for none of it.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from app.adapters.postgres.connections import Connections, Session
from app.core.domain.errors import OpsConnectError
from app.core.domain.ids import EventId, first_event_id
from app.core.domain.token_bucket import TokenBucket

EVERY_SECONDS = 2.0
BREATH_SECONDS = 0.05
"""Between two batches, where there is much to catch up with: intake needs the same disk."""
LEAST_SECONDS = 1.0
"""Of events are looked through at a time, so that many processes do not take many small turns."""
EVENTS_PER_STATEMENT = 2_000
TOLD_PER_SECOND = 5
TOLD_AT_ONCE = 20

# Others find the lock taken, and leave it to the one who has it. The plan for the batch is made for it, so that it
# touches the partitions of a day or two, however many there are; and it goes along indexes, whatever it believes of
# tables that were empty a minute ago: so a batch ends where it has its events, and costs the same when there is much to
# catch up with.
_TURN = """
SELECT position, extract(epoch FROM clock_timestamp())::float8 AS now,
       set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)
FROM replay_looks WHERE name = $1 AND pg_try_advisory_xact_lock(7310007)
"""

# Nobody else writes digests while the lock is held, so those that the statement does not see are not there. An empty
# body says nothing: some senders say all in headers. The subqueries are no joins, so that each is a look into an index
# and never a pass over a table.
_LOOK = """
WITH passed AS MATERIALIZED (
    SELECT id, source, digest, received_at FROM events WHERE id > $1 AND id < $2 ORDER BY id LIMIT $5
), bodies AS MATERIALIZED (
    SELECT id, source, received_at, key, first_value(id) OVER (PARTITION BY key ORDER BY id) AS earliest,
           (SELECT d.event_id FROM body_digests d WHERE d.key = keyed.key) AS known
    FROM (SELECT *, sha256(convert_to(source, 'UTF8') || '\\x00'::bytea || digest) AS key FROM passed
          WHERE source = ANY($3::text[]) AND digest <> sha256('')) AS keyed
), noted AS (
    INSERT INTO body_digests (key, event_id, received_at)
    SELECT key, id, received_at FROM bodies WHERE known IS NULL AND id = earliest ORDER BY key
    ON CONFLICT (key) DO NOTHING
), suspected AS (
    INSERT INTO event_states (event_id, replay_of)
    SELECT id, coalesce(known, earliest) FROM bodies
    WHERE coalesce(known, earliest) <> id
      AND (SELECT s.replay_of FROM event_states s
           WHERE s.event_id = bodies.id AND s.event_id > $1 AND s.event_id < $2) IS NULL
    ORDER BY id
    ON CONFLICT (event_id) DO UPDATE SET replay_of = excluded.replay_of, updated_at = now()
    RETURNING event_id, replay_of
), moved AS (
    UPDATE replay_looks SET position = (SELECT id FROM passed ORDER BY id DESC LIMIT 1)
    WHERE name = $4 AND position < (SELECT id FROM passed ORDER BY id DESC LIMIT 1)
)
SELECT (SELECT count(*) FROM passed) AS passed, source, event_id, replay_of
FROM (VALUES (1)) AS once LEFT JOIN (suspected JOIN bodies ON bodies.id = suspected.event_id) ON true
ORDER BY event_id
"""


class Look(NamedTuple):
    """One of the times that the watch looks at an event."""

    name: str
    after_seconds: float
    """So long after the time in its id."""


LOOKS = (Look("first", 2.0), Look("second", 600.0))

Tell = Callable[[str, EventId, EventId], None]
"""(source, event, the first event with the same bytes)"""


class ReplayWatch:
    """Every two seconds in every process, of which one works."""

    name = "replay watch"

    def __init__(
        self,
        connections: Connections,
        watched: Callable[[], Collection[str] | None],
        *,
        on_suspected: Tell = lambda _source, _event_id, _of: None,
        on_failure: Callable[[Exception], None] = lambda _error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`watched` names the sources to be watched; None: they are not known yet, so nothing is passed over.

        `on_suspected` is told of some five a second; all are counted.
        """
        self._connections = connections
        self._watched = watched
        self._on_suspected = on_suspected
        self._on_failure = on_failure
        self._clock = clock
        self._tellable = TokenBucket(per_second=TOLD_PER_SECOND, burst=TOLD_AT_ONCE, now=clock())
        self._suspected = Counter[str]()

    @property
    def suspected(self) -> Mapping[str, int]:
        """How many events this process has marked, by source."""
        return self._suspected

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until told to stop."""
        while not stop.is_set():
            try:
                for look in LOOKS:
                    while await self.look(look) == EVENTS_PER_STATEMENT and not stop.is_set():
                        await _pause(stop, BREATH_SECONDS)
            except OpsConnectError as error:
                self._on_failure(error)
            await _pause(stop, EVERY_SECONDS)

    async def look(self, look: Look) -> int:
        """Look through one batch; give how many events it had. 0 also while another process is at it."""
        watched = self._watched()
        if watched is None:
            return 0
        async with self._connections.session() as session:
            passed, suspected = await _look(session, look, watched)
        for source, event_id, first_id in suspected:
            self._suspected[source] += 1
            if self._tellable.take(1, self._clock()):
                self._on_suspected(source, event_id, first_id)
        return passed


async def _look(
    session: Session, look: Look, watched: Collection[str]
) -> tuple[int, list[tuple[str, EventId, EventId]]]:
    async with session.transaction():
        turn = await session.fetchrow(_TURN, look.name)
        if turn is None:
            return 0, []
        position, until = EventId(str(turn["position"])), turn["now"] - look.after_seconds
        if position >= _first_id(until - LEAST_SECONDS):
            return 0, []
        rows = await session.fetch(_LOOK, position, _first_id(until), list(watched), look.name, EVENTS_PER_STATEMENT)
    suspected = [(row["source"], EventId(str(row["event_id"])), EventId(str(row["replay_of"]))) for row in rows]
    return rows[0]["passed"], suspected if rows[0]["event_id"] else []


def _first_id(seconds: float) -> EventId:
    return first_event_id(round(seconds * 1000))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
