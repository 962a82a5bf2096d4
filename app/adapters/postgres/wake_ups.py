"""Hints between processes by LISTEN and NOTIFY, on two sessions of their own: one that tells, one that hears.

Both are kept by a background duty, each made when it is first wanted, and again when it broke, at most once a second.
While Postgres is away, `hint` is as quick as ever and what it says is lost; `wait` lasts its time, so that whoever
waits looks again and finds out for himself. Through a pooler that lends sessions for one transaction no LISTEN is
heard: then every wait lasts its time, and that is all.
"""

import asyncio

import asyncpg

from app.adapters.postgres.connections import Budget
from app.core.ports.wake_ups import WakeUps

CHANNEL = "opsconnect_work"
SPACING_SECONDS = 0.01
"""Between two notifications: what is hinted meanwhile becomes one."""
AFTER_A_FAILURE_SECONDS = 1.0
ASKED_EVERY_SECONDS = 30.0
"""Whether the session that hears is still there: of a cut cable it would never hear."""

# What goes wrong with a session while it is made or used.
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError)


class PostgresWakeUps(WakeUps):
    """Tells and hears while its duty runs; without it, hints are never sent and waits last their time."""

    name = "wake-ups"

    def __init__(self, url: str, *, budget: Budget) -> None:
        self._url = url
        self._budget = budget
        self._hinted = asyncio.Event()
        self._waited_for = asyncio.Event()
        self._heard = asyncio.Event()
        self._teller: asyncpg.Connection | None = None
        self._hearer: asyncpg.Connection | None = None

    def hint(self) -> None:
        """Leave it to the duty."""
        self._hinted.set()

    async def wait(self, seconds: float) -> None:
        """Wait for what the duty hears; cut off, it forgets nothing."""
        self._waited_for.set()
        await _any_of(self._heard, seconds=seconds)
        self._heard.clear()

    @property
    def hears(self) -> bool:
        """Whether there is a session that hears, as far as one knows."""
        return self._hearer is not None and not self._hearer.is_closed()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell and hear until told to stop."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._keep_telling(stop))
                both.create_task(self._keep_hearing(stop))
        finally:
            await self.close()

    async def close(self) -> None:
        """Drop both sessions."""
        for session in filter(None, (self._teller, self._hearer)):
            session.terminate()
        self._teller = self._hearer = None

    async def _keep_telling(self, stop: asyncio.Event) -> None:
        """Send the first hint at once, then one every 10 ms at most, and the last one before the end."""
        while not stop.is_set() or self._hinted.is_set():
            await _any_of(self._hinted, stop)
            if self._hinted.is_set():
                self._hinted.clear()  # first: what is hinted from now on is told as well
                told = await self._tell()
                await _any_of(stop, seconds=SPACING_SECONDS if told else AFTER_A_FAILURE_SECONDS)

    async def _tell(self) -> bool:
        try:
            if self._teller is None or self._teller.is_closed():
                self._teller = await self._connect()
            await self._teller.execute(f"NOTIFY {CHANNEL}")
        except _FAILURES:
            if self._teller is not None:
                self._teller.terminate()
            return False
        return True

    async def _keep_hearing(self, stop: asyncio.Event) -> None:
        """Listen from the first wait on."""
        await _any_of(self._waited_for, stop)
        while not stop.is_set():
            try:
                await self._hear(stop)
            except _FAILURES:
                if self._hearer is not None:
                    self._hearer.terminate()
            await _any_of(stop, seconds=AFTER_A_FAILURE_SECONDS)

    async def _hear(self, stop: asyncio.Event) -> None:
        """Return when the session has ended, or raise what went wrong."""
        ended = asyncio.Event()
        hearer = self._hearer = await self._connect()
        hearer.add_termination_listener(lambda _session: ended.set())
        await hearer.add_listener(CHANNEL, lambda *_: self._heard.set())
        while not stop.is_set() and not ended.is_set():
            await hearer.execute("SELECT 1")
            await _any_of(ended, stop, seconds=ASKED_EVERY_SECONDS)

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url,
            timeout=self._budget.connect_seconds,
            command_timeout=self._budget.call_seconds,
            server_settings=self._budget.server_settings(),
        )


async def _any_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of these is set, or for so long."""
    if any(event.is_set() for event in events):
        return
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
