"""A worker's heartbeat: a thread with a loop and a connection of its own, so that busy jobs do not stop it.

It renews the lease. Two things end it:

- The lease was not renewed in time, since the database was away or this process was frozen. Then others will take the
  jobs, and the worker is told to stop them, `stop_before_seconds` ahead of the lease's end by this machine's clock; a
  process that was frozen past it is told as soon as it goes on. A new lease is begun when the database is there.
- The worker's loop has not turned for nearly as long as a lease lasts: a job holds it and will not let go. The lease is
  not renewed meanwhile. Nobody can stop such a job but by ending the process, so that is done; the jobs are found by
  others, and count as lost.

Who watches does not wait for the database: a renewal that hangs is no reason to be late with either. Should all of it
fail by a defect, the lease is lost as well, and it begins anew.
"""

import asyncio
import contextlib
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
LEAVE_SECONDS = 1.0
LOOK_SECONDS = 0.1


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
        self._ended = asyncio.Event()
        self._lost = asyncio.Event()
        """Of the thread's loop."""
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
        """End the lease, if the database is there, and the thread; within two seconds, come what may."""
        self._closing.set()
        # Not by joining it in a thread of the loop's: jobs may have all of these.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), LEAVE_SECONDS + 2 * LOOK_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                asyncio.run(self._keep())
            except Exception as error:  # noqa: BLE001 (a defect; nobody may go on as though there were a lease)
                self._lose()
                self._tell(self._on_failure, error)
                self._closing.wait(RETRY_SECONDS)
        self._tell(self._ended.set)

    async def _keep(self) -> None:
        self._lost = asyncio.Event()
        self._tick()  # nobody has looked at the loop until now
        async with self._open_workers() as workers:
            beating = asyncio.create_task(self._keep_beating(workers))
            await self._watch(beating)
            if beating.done():
                beating.result()  # which it has none of: it never ends by itself but by a defect
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            if self.worker is not None:
                with contextlib.suppress(OpsConnectError, TimeoutError):  # it ends by itself
                    async with asyncio.timeout(LEAVE_SECONDS):
                        await workers.leave(self.worker)

    async def _keep_beating(self, workers: Workers) -> None:
        while True:
            wait = min(RETRY_SECONDS, self._beat)
            try:
                if self.worker is None:
                    await self._begin(workers)
                    wait = self._beat
                elif self._stuck_seconds() <= max(self._beat, 5 * LOOK_SECONDS):  # it is looked at no more often
                    await self._renew(workers, self.worker)
                    wait = self._beat
            except OpsConnectError as error:
                self._tell(self._on_failure, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), wait)
            self._lost.clear()

    async def _watch(self, beating: asyncio.Task[None]) -> None:
        """Look after the lease and the loop, until the end, or that of the beats."""
        longest = self._lease - self._stop_before
        while not self._closing.is_set() and not beating.done():
            before = time.monotonic()
            await asyncio.wait({beating}, timeout=min(LOOK_SECONDS, self._stop_before / 2))
            if time.monotonic() - before > min(FROZEN_SECONDS, longest / 2):
                self._tick()  # the whole process stood still: it is not the loop's fault
            self._tell(self._tick)
            if (stuck := self._stuck_seconds()) > longest:
                self._on_stuck(stuck)
                os._exit(EXIT_CODE)
            if self.worker is not None and not self.holds(self.worker):
                self._lose()

    async def _begin(self, workers: Workers) -> None:
        worker, asked_at = str(uuid4()), time.monotonic()
        await workers.enlist(worker, self._name, self._lease)
        self._held_until = asked_at + self._lease
        self.worker = worker
        self._tell(self._enlisted.set)

    async def _renew(self, workers: Workers, worker: str) -> None:
        asked_at = time.monotonic()
        renewed = await workers.renew(worker, self._lease)
        if self.worker != worker:
            if renewed:  # too late: its jobs were stopped meanwhile, so others may have them now
                await workers.leave(worker)
        elif renewed:
            self._held_until = asked_at + self._lease
        else:
            self._lose()

    def _lose(self) -> None:
        if self.worker is not None:
            self.worker = None
            self._lost.set()
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
