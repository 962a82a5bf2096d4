"""Background duties: all of one shape, started and stopped together, started again when they fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

RESTART_SECONDS = 1.0
STOP_SECONDS = 2.0

_log = structlog.get_logger()


class Duty(Protocol):
    """Something that goes on beside the requests until it is told to stop."""

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish soon."""


@asynccontextmanager
async def supervised(duties: Sequence[Duty], *, stop_seconds: float = STOP_SECONDS) -> AsyncIterator[None]:
    """Run the duties while the body runs; they have so many seconds to finish."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_keep_running(duty, stop), name=duty.name) for duty in duties]
    try:
        yield
    finally:
        stop.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=stop_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _keep_running(duty: Duty, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await duty.run(stop)
        except Exception:  # noqa: BLE001 (a duty must not end because of one failure)
            _log.exception("duty.failed", duty=duty.name)
            await pause(stop, RESTART_SECONDS)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until the end is announced."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
