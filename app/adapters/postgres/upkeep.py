"""Keeping the tables fit: days are made before they come; delivery keys and body digests go when their time is up."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.adapters.postgres.connections import Connections
from app.core.domain.errors import OpsConnectError

DAYS_AHEAD = 7
EVERY_SECONDS = 600.0
AFTER_A_FAILURE_SECONDS = 20.0
KEYS_PER_STATEMENT = 5_000

_MAKE_DAYS = "SELECT opsconnect_make_event_days(current_date, $1)"

# One process at a time is enough; the others find the lock taken and leave it to that one.
_FORGET = """
DELETE FROM {table} WHERE key = ANY(ARRAY(
    SELECT key FROM {table} WHERE received_at < $1 LIMIT $2
)) AND pg_try_advisory_xact_lock(7310003)
"""
_FORGET_KEYS = _FORGET.format(table="delivery_keys")
_FORGET_DIGESTS = _FORGET.format(table="body_digests")


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
                for forget in (self.forget_keys, self.forget_digests):
                    while not stop.is_set() and await forget() == KEYS_PER_STATEMENT:
                        pass
            except OpsConnectError as error:
                self._on_failure(error)
                wait_seconds = AFTER_A_FAILURE_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_seconds)

    async def make_days(self) -> int:
        """Make the partitions of today and of a week ahead; give how many were missing."""
        async with self._connections.session() as session:
            return int(await session.fetchval(_MAKE_DAYS, DAYS_AHEAD + 1))

    async def forget_keys(self) -> int:
        """Delete one batch of keys that are past their time; give how many. The events stay."""
        return await self._forget(_FORGET_KEYS)

    async def forget_digests(self) -> int:
        """Delete one batch of body digests that are past their time; give how many. What was marked stays marked."""
        return await self._forget(_FORGET_DIGESTS)

    async def _forget(self, statement: str) -> int:
        before = datetime.now(UTC) - self._key_retention
        async with self._connections.session() as session:
            return int((await session.execute(statement, before, KEYS_PER_STATEMENT)).rpartition(" ")[2])
