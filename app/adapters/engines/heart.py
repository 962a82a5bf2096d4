"""A worker's heartbeat: a thread with a loop and a connection of its own, so that busy jobs do not stop it.

It renews the lease. Two things end it:

- The lease was not renewed in time, since the database was away or this process was frozen. Then others will take the
  jobs, and the worker is told to stop them, `stop_before_seconds` ahead of the lease's end by this machine's clock; a
  process that was frozen past it is told as soon as it goes on. A new lease is begun when the database is there.
- The worker's loop has not turned for nearly as long as a lease lasts: a job holds it and will not let go. The lease is
  not renewed meanwhile. Nobody can stop such a job but by ending the process, so that is done; the jobs are found by
  others, and count as lost.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

from app.core.domain.errors import OpsConnectError
from app.core.ports.workers import Workers

EXIT_CODE = 70
RETRY_SECONDS = 0.5
FROZEN_SECONDS = 1.0


class Heart:
    """Keeps one lease at a time. Made and closed on the loop that it watches."""

    def __init__(
        self,
        open_workers: Callable[[], AbstractAsyncContextManager[Workers]],
        *,
        name: str,
        lease_seconds: float,
        heartbeat_seconds: float,
        stop_before_seconds: float,
        on_lost: Callable[[], None],
        on_failure: Callable[[Exception], None],
        on_stuck: Callable[[float], None],
    ) -> None:
        """`open_workers` is called in the thread. The callbacks but `on_stuck` are called on the loop."""
        self._open_workers = open_workers
        self._name = name
        self._lease = lease_seconds
        self._beat = heartbeat_seconds
        self._stop_before = stop_before_seconds
        self._on_lost = on_lost
        self._on_failure = on_failure
        self._on_stuck = on_stuck
        self.worker: str | None = None
        """The lease that is held; None: there is none."""
        self._held_until = 0.0
        self._ticked = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._enlisted = asyncio.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def holds(self, worker: str) -> bool:
        """Tell whether this very lease is held, and not about to end."""
        return self.worker == worker and time.monotonic() < self._held_until - self._stop_before

    async def enlisted(self) -> str:
        """Wait for a lease; give the worker's id."""
        while self.worker is None:
            self._enlisted.clear()
            await self._enlisted.wait()
        return self.worker

    async def close(self) -> None:
        """End the lease, if the database is there, and the thread."""
        self._closing.set()
        await asyncio.to_thread(self._thread.join, self._beat + RETRY_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        async with self._open_workers() as workers:
            while not self._closing.is_set():
                wait = RETRY_SECONDS
                try:
                    if self.worker is None:
                        await self._begin(workers)
                        wait = self._beat
                    elif self._stuck_seconds() > self._beat or await self._renewed(workers, self.worker):
                        wait = self._beat
                    else:
                        self._lose()
                        continue
                except OpsConnectError as error:
                    self._tell(self._on_failure, error)
                await self._wait(wait)
            if self.worker is not None:
                try:
                    await workers.leave(self.worker)
                except OpsConnectError as error:
                    self._tell(self._on_failure, error)

    async def _begin(self, workers: Workers) -> None:
        worker, asked_at = str(uuid4()), time.monotonic()
        await workers.enlist(worker, self._name, self._lease)
        self._held_until = asked_at + self._lease
        self.worker = worker
        self._tell(self._enlisted.set)

    async def _renewed(self, workers: Workers, worker: str) -> bool:
        asked_at = time.monotonic()
        if not await workers.renew(worker, self._lease):
            return False
        self._held_until = asked_at + self._lease
        return True

    async def _wait(self, seconds: float) -> None:
        """Wait for the next beat, looking after the lease and the loop meanwhile."""
        until = time.monotonic() + seconds
        while not self._closing.is_set() and (left := until - time.monotonic()) > 0:
            before = time.monotonic()
            await asyncio.sleep(min(left, 0.1, self._stop_before / 2))
            if time.monotonic() - before > FROZEN_SECONDS:
                self._tick()  # the whole process stood still: it is not the loop's fault
            self._tell(self._tick)
            if (stuck := self._stuck_seconds()) > self._lease - self._stop_before:
                self._on_stuck(stuck)
                os._exit(EXIT_CODE)
            if self.worker is not None and not self.holds(self.worker):
                self._lose()
                return

    def _lose(self) -> None:
        self.worker = None
        self._tell(self._on_lost)

    def _tick(self) -> None:
        self._ticked = time.monotonic()

    def _stuck_seconds(self) -> float:
        return time.monotonic() - self._ticked

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop is closed: nobody is there to be told
            self._closing.set()
