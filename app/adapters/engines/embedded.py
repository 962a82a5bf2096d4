"""The embedded engine: a worker that plans events and runs jobs, on Postgres alone.

One loop does it all in turns: plan what the inbox holds, claim as many jobs as there are free places, start them, and
wait for a hint, a free place, or the next look. Hints may be lost; looking is what counts.

A job that took its worker down twice is a suspect. It runs when nothing else does, and nothing else is begun before it
has ended: so it takes down nobody else's job again. Those who did no harm are followed by the next suspect, for half of
the time between two looks for lost jobs; the other half is everybody's.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from app.adapters.engines.heart import Heart
from app.core.domain.errors import OpsConnectError
from app.core.domain.job import ExecutionStatus, Move
from app.core.ports.job_claims import ClaimedJob, JobClaims, Settlement
from app.core.ports.wake_ups import WakeUps
from app.core.use_cases.plan_jobs import PlanJobs
from app.core.use_cases.run_job import RunJob

AFTER_A_FAILURE_SECONDS = 0.5
LAST_TURN_SECONDS = 1.0
GIVE_BACK_SECONDS = 1.0


class Pace(NamedTuple):
    """How a worker works."""

    concurrency: int = 100
    """Jobs that run at once; as many again may wait for their results to be written."""
    poll_seconds: float = 1.0
    """The longest until it looks for work again, hints or not."""
    rescue_seconds: float = 5.0
    """How often it looks for workers that are gone."""
    drain_seconds: float = 14.0
    """How long jobs may go on when it is to leave."""


class EmbeddedEngine:
    """A worker in this process, as a background duty."""

    name = "worker"

    def __init__(
        self,
        claims: JobClaims,
        plan_jobs: PlanJobs,
        run_job: RunJob,
        wake_ups: WakeUps,
        make_heart: Callable[[Callable[[], None]], Heart],
        pace: Pace,
        *,
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`make_heart` gets what is to be called when the lease is lost."""
        self._claims = claims
        self._plan_jobs = plan_jobs
        self._run_job = run_job
        self._wake_ups = wake_ups
        self._make_heart = make_heart
        self._pace = pace
        self._on_failure = on_failure
        self._running: dict[asyncio.Task[None], ClaimedJob] = {}
        self._ran: set[asyncio.Task[None]] = set()
        """Those of them of which only the result is to be written: others run in their places."""
        self._alone = False
        self._suspects = 0
        """How many the last look has found."""
        self._suspects_due = False
        """One of them is next, however long those that run now may take."""
        self._suspects_until = 0.0
        """Until then others may follow it."""
        self._freed = asyncio.Event()
        self.leases_lost = 0
        self.claimed = 0

    @property
    def running(self) -> int:
        """Jobs in hand."""
        return len(self._running)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; then let jobs end, and give back what does not."""
        heart = self._make_heart(self._lose)
        stopping = asyncio.create_task(stop.wait())
        working = asyncio.create_task(self._turns(heart, stopping))
        rescuing = asyncio.create_task(self._rescue())
        until = time.monotonic()
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            until = time.monotonic() + self._pace.drain_seconds
            # What it asks the database for it may get; but that may be away.
            await asyncio.wait({working}, timeout=LAST_TURN_SECONDS)
        finally:
            for task in (working, rescuing, stopping):
                task.cancel()
            await asyncio.gather(working, rescuing, stopping, return_exceptions=True)
            await self._leave(until)
            await heart.close()

    async def _turns(self, heart: Heart, stopping: asyncio.Task[bool]) -> None:
        while not stopping.done():
            self._freed.clear()  # before it is looked at: a place that becomes free meanwhile is not overlooked
            planned = await self._tried(self._plan())
            claimed = await self._tried(self._claim(heart))
            if None in {planned, claimed}:
                await asyncio.wait({stopping}, timeout=AFTER_A_FAILURE_SECONDS)
            elif not (planned or claimed):
                await self._pause(heart, stopping)

    async def _tried(self, part: Coroutine[Any, Any, bool]) -> bool | None:
        """Tell whether there may be more of it to do at once; None: it failed, which hinders nothing else."""
        try:
            return await part
        except Exception as error:  # noqa: BLE001 (jobs go on, and are claimed and given back, whatever it was)
            self._on_failure(error)
            return None

    async def _plan(self) -> bool:
        planned = await self._plan_jobs()
        return planned is not None and planned.more

    async def _claim(self, heart: Heart) -> bool:
        # While results are written, as many jobs again may run; but there they end, should the database be away.
        free = self._pace.concurrency - len(self._running) + min(len(self._ran), self._pace.concurrency)
        suspects = self._suspects > 0 and (self._suspects_due or time.monotonic() < self._suspects_until)
        if self._alone or free <= 0 or (suspects and self._running):
            return False
        worker = heart.worker
        if worker is None or not heart.holds(worker):
            return False
        jobs = await self._claims.claim(worker, 1 if suspects else free, suspect=suspects)
        if jobs and not heart.holds(worker):  # it was lost meanwhile, and they would be lost with it
            await self._claims.settle([_returned(job) for job in jobs])
            return False
        if suspects:
            if self._suspects_due:
                self._suspects_until = time.monotonic() + self._pace.rescue_seconds / 2
            self._suspects_due = False
            self._suspects = self._suspects - 1 if jobs else 0
            self._alone = bool(jobs)
        self.claimed += len(jobs)
        held = partial(heart.holds, worker)
        for job in jobs:
            task = asyncio.create_task(self._work(job, held), name=f"job {job.id}")
            self._running[task] = job
            task.add_done_callback(self._done)
        return suspects  # the others may be claimed at once, where there was none after all

    async def _work(self, job: ClaimedJob, held: Callable[[], bool]) -> None:
        try:
            await self._run_job(job, held, self._leave_place)
        except OpsConnectError as error:
            self._on_failure(error)

    def _leave_place(self) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        if task in self._running:
            self._ran.add(task)
            self._freed.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ran.discard(task)
        if not self._running:
            self._alone = False
        if not task.cancelled() and (error := task.exception()):
            self._on_failure(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._freed.set()

    async def _pause(self, heart: Heart, stopping: asyncio.Task[bool]) -> None:
        """Wait for a hint, a free place, a lease where there is none, the end, or the next look."""
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._wake_ups.wait(self._pace.poll_seconds)),
            asyncio.create_task(self._freed.wait()),
        ]
        if heart.worker is None:
            waits.append(asyncio.create_task(heart.enlisted()))
        await asyncio.wait({*waits, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _rescue(self) -> None:
        while True:
            try:
                rescued = await self._claims.rescue()
                self._suspects = rescued.suspects
                self._suspects_due = not self._alone  # while one runs: after it the others have their turn
                if rescued.retrying or rescued.suspects:
                    self._freed.set()
            except Exception as error:  # noqa: BLE001 (whatever it was, the next look may succeed)
                self._on_failure(error)
            await asyncio.sleep(self._pace.rescue_seconds)

    def _lose(self) -> None:
        """Stop every job at once: others have them, or will soon."""
        self.leases_lost += 1
        for task in self._running:
            task.cancel()

    async def _leave(self, until: float) -> None:
        """Let jobs end; give back those that do not, so that others take them now rather than when the lease ends.

        What cannot be given back in time, since the database is away, is found by others as lost.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=max(until - time.monotonic(), 0.0))
        left = dict(self._running)
        for task in left:
            task.cancel()
        if not left:
            return
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await asyncio.wait(left, timeout=GIVE_BACK_SECONDS / 2)  # one may not let itself be stopped
                await self._claims.settle([_returned(job) for job in left.values()])
        except (OpsConnectError, TimeoutError) as error:
            self._on_failure(error)


def _returned(job: ClaimedJob) -> Settlement:
    return Settlement(job.id, job.token, job.attempt, Move.RETURN, ExecutionStatus.RETURNED, steps=None)
