"""Hints within this process, for tests."""

import asyncio
import contextlib

from app.core.ports.wake_ups import WakeUps


class MemoryWakeUps(WakeUps):
    """The in-process twin; those that share a list of events hear each other."""

    def __init__(self, together: list[asyncio.Event] | None = None) -> None:
        self._hinted = asyncio.Event()
        self._together = [] if together is None else together
        self._together.append(self._hinted)

    def hint(self) -> None:
        """Tell everybody, this one included."""
        for hinted in self._together:
            hinted.set()

    async def wait(self, seconds: float) -> None:
        """Wait for the event; cut off, it forgets nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hinted.wait()
        self._hinted.clear()
