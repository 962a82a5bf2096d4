"""What waits, looked at now and then: bounded, so that a look never costs more the longer the queue is."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from app.adapters.postgres.connections import Connections
from app.core.domain.errors import OpsConnectError
from app.core.domain.job import OPEN

EVERY_SECONDS = 10.0
MOST_COUNTED = 100_000

_COUNT = "(SELECT count(*) FROM (SELECT FROM open_jobs WHERE status = '{status}' LIMIT {most}) AS found)"
_STATUSES = tuple(sorted(status.value for status in OPEN))
LOOK = f"""
SELECT {", ".join(_COUNT.format(status=status, most=MOST_COUNTED) for status in _STATUSES)},
       (SELECT count(*) FROM (SELECT FROM inbox LIMIT {MOST_COUNTED}) AS found),
       greatest(0, extract(epoch FROM now() - least(
           (SELECT due_at FROM open_jobs WHERE status = 'pending' ORDER BY id LIMIT 1),
           (SELECT due_at FROM open_jobs WHERE status = 'retrying' ORDER BY due_at LIMIT 1))))::float8
"""  # noqa: S608 (of our own constants)


class Backlog:
    """The last look, and the duty that takes the next one."""

    name = "backlog"

    def __init__(self, connections: Connections, on_failure: Callable[[Exception], None] = lambda _error: None) -> None:
        self._connections = connections
        self._on_failure = on_failure
        self.open_jobs: Mapping[str, int] = {}
        """By status."""
        self.inbox = 0
        """Events that nobody has planned yet."""
        self.oldest_seconds = 0.0
        """How long the job has waited that is due the longest."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            try:
                await self.look()
            except OpsConnectError as error:
                self._on_failure(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)

    async def look(self) -> None:
        """Look once. Raises `Unavailable` or `OutcomeUnknown`."""
        async with self._connections.session() as session:
            *counts, inbox, oldest = (await session.fetch(LOOK))[0]
        self.open_jobs = dict(zip(_STATUSES, counts, strict=True))
        self.inbox, self.oldest_seconds = inbox, oldest or 0.0
