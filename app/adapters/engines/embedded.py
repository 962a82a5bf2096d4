"""The embedded engine: a worker that plans events and runs jobs, on Postgres alone.

One loop does it all in turns: plan what the inbox holds, claim as many jobs as there are free places, start them, and
wait for a hint, a free place, or the next look. Hints may be lost; looking is what counts.

A job that took its worker down twice is a suspect. It runs when nothing else does, and nothing else is begun before it
has ended: so it takes down nobody else's job again.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from app.adapters.engines.heart import Heart
from app.core.domain.errors import OpsConnectError
from app.core.domain.job import ExecutionStatus, Move
from app.core.ports.job_claims import ClaimedJob, JobClaims, Settlement
from app.core.ports.wake_ups import WakeUps
from app.core.use_cases.plan_jobs import MOST_AT_ONCE, PlanJobs
from app.core.use_cases.run_job import RunJob

AFTER_A_FAILURE_SECONDS = 0.5


class Pace(NamedTuple):
    """How a worker works."""

    concurrency: int = 100
    """Jobs at once."""
    poll_seconds: float = 1.0
    """The longest until it looks for work again, hints or not."""
    rescue_seconds: float = 5.0
    """How often it looks for workers that are gone."""
    drain_seconds: float = 15.0
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
        self._alone = False
        self._suspects = False
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
        rescuing = asyncio.create_task(self._rescue(stop))
        try:
            while not stop.is_set():
                worked = await self._turn(heart)
                if not worked and not stop.is_set():
                    await self._pause(stopping)
        finally:
            rescuing.cancel()
            stopping.cancel()
            await asyncio.gather(rescuing, stopping, return_exceptions=True)
            await self._leave()
            await heart.close()

    async def _turn(self, heart: Heart) -> bool:
        """Plan and claim once; tell whether there may be more to do at once."""
        planned = claimed = False
        try:
            planned = await self._plan()
            claimed = await self._claim(heart)
        except OpsConnectError as error:
            self._on_failure(error)
            await asyncio.sleep(AFTER_A_FAILURE_SECONDS)
        return planned or claimed

    async def _plan(self) -> bool:
        planned = await self._plan_jobs()
        return planned is not None and planned.events >= MOST_AT_ONCE

    async def _claim(self, heart: Heart) -> bool:
        free = self._pace.concurrency - len(self._running)
        suspects = self._suspects
        if self._alone or free <= 0 or (suspects and self._running):
            return False
        worker = heart.worker
        if worker is None or not heart.holds(worker):
            return False
        jobs = await self._claims.claim(worker, 1 if suspects else free, suspect=suspects)
        self._suspects = False
        self._alone = suspects and bool(jobs)
        self.claimed += len(jobs)
        for job in jobs:
            task = asyncio.create_task(self._work(job), name=f"job {job.id}")
            self._running[task] = job
            task.add_done_callback(self._done)
        return suspects  # the others may be claimed at once, where there was none after all

    async def _work(self, job: ClaimedJob) -> None:
        try:
            await self._run_job(job)
        except OpsConnectError as error:
            self._on_failure(error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not self._running:
            self._alone = False
        if not task.cancelled() and (error := task.exception()):
            self._on_failure(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._freed.set()

    async def _pause(self, stopping: asyncio.Task[bool]) -> None:
        """Wait for a hint, a free place, the end, or the next look."""
        self._freed.clear()
        hinted = asyncio.create_task(self._wake_ups.wait(self._pace.poll_seconds))
        freed = asyncio.create_task(self._freed.wait())
        await asyncio.wait({hinted, freed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (hinted, freed):
            task.cancel()
        await asyncio.gather(hinted, freed, return_exceptions=True)

    async def _rescue(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                rescued = await self._claims.rescue()
                self._suspects = rescued.suspects > 0
                if rescued.retrying or rescued.suspects:
                    self._freed.set()
            except OpsConnectError as error:
                self._on_failure(error)
            await asyncio.sleep(self._pace.rescue_seconds)

    def _lose(self) -> None:
        """Stop every job at once: others have them, or will soon."""
        self.leases_lost += 1
        for task in self._running:
            task.cancel()

    async def _leave(self) -> None:
        """Let jobs end; give back those that do not, so that others take them now rather than when the lease ends."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._pace.drain_seconds)
        left = dict(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            try:
                await self._claims.settle([_returned(job) for job in left.values()])
            except OpsConnectError as error:
                self._on_failure(error)


def _returned(job: ClaimedJob) -> Settlement:
    return Settlement(job.id, job.token, job.attempt, Move.RETURN, ExecutionStatus.RETURNED, steps=None)
