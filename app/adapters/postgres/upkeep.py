"""Keeping the tables fit: days are made before they come; delivery keys and body digests go when their time is up."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.adapters.postgres.connections import Connections
from app.core.domain.errors import OpsConnectError

DAYS_AHEAD = 7
EVERY_SECONDS = 600.0
AFTER_A_FAILURE_SECONDS = 20.0
TURNS_A_DAY = 144
PAGES_PER_TURN = 1_000
"""Of each partition, at least: a small table is passed over whole each time."""
PAGES_PER_STATEMENT = 50
"""Of each partition: in eight of them there is room for some 20,000 keys."""

_MAKE_DAYS = "SELECT opsconnect_make_event_days(current_date, $1)"

# No index leads to what is past its time. Every key would pay for it when it is kept; and an index of the least time in
# each range of pages soon finds an old one in all of them, since new keys come to lie where forgotten ones lay. Passing
# over the table, a piece in each turn, takes as long as it must and no more.
_PAGES = """
SELECT coalesce(max(pg_relation_size(inhrelid)), 0) / current_setting('block_size')::int
FROM pg_inherits WHERE inhparent = '{table}'::regclass
"""
# One process at a time is enough; the others find the lock taken and leave it to that one.
_FORGET = """
DELETE FROM {table}
WHERE ctid >= $2 AND ctid < $3 AND received_at < $1 AND pg_try_advisory_xact_lock(7310003)
"""


class Upkeep:
    """Every ten minutes in every process; what one has done, the next finds done."""

    name = "upkeep"

    def __init__(
        self,
        connections: Connections,
        *,
        key_retention_days: int,
        on_failure: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._connections = connections
        self._key_retention = timedelta(days=key_retention_days)
        self._on_failure = on_failure

    async def run(self, stop: asyncio.Event) -> None:
        """Work now and then until told to stop."""
        while not stop.is_set():
            wait_seconds = EVERY_SECONDS
            try:
                await self.make_days()
                await self.forget_keys(stop)
                await self.forget_digests(stop)
            except OpsConnectError as error:
                self._on_failure(error)
                wait_seconds = AFTER_A_FAILURE_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_seconds)

    async def make_days(self) -> int:
        """Make the partitions of today and of a week ahead; give how many were missing."""
        async with self._connections.session() as session:
            return int(await session.fetchval(_MAKE_DAYS, DAYS_AHEAD + 1))

    async def forget_keys(self, stop: asyncio.Event | None = None) -> int:
        """Delete the keys of this turn's pages that are past their time; give how many. The events stay."""
        return await self._forget("delivery_keys", stop)

    async def forget_digests(self, stop: asyncio.Event | None = None) -> int:
        """Delete the body digests of this turn's pages that are past their time; give how many.

        What was marked stays marked.
        """
        return await self._forget("body_digests", stop)

    async def _forget(self, table: str, stop: asyncio.Event | None) -> int:
        before = datetime.now(UTC) - self._key_retention
        async with self._connections.session() as session:
            pages = pages_of_turn(await session.fetchval(_PAGES.format(table=table)), time.time())
        forgotten = 0
        for first in pages[::PAGES_PER_STATEMENT]:
            if stop is not None and stop.is_set():
                break
            end = min(first + PAGES_PER_STATEMENT, pages.stop)
            async with self._connections.session() as session:  # a new one each time: intake needs them too
                done = await session.execute(_FORGET.format(table=table), before, (first, 0), (end, 0))
            forgotten += int(done.rpartition(" ")[2])
        return forgotten


def pages_of_turn(pages: int, now: float) -> range:
    """Choose the pages that are looked at now (seconds since the epoch), in every process the same.

    Of a table that is not small all have had their turn within a day.
    """
    turns = max(1, min(TURNS_A_DAY, pages // PAGES_PER_TURN))
    turn = int(now // EVERY_SECONDS) % turns
    return range(pages * turn // turns, pages * (turn + 1) // turns)
