"""The embedded engine between a lease that ends, a database that hangs, and the end of its process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.engines.embedded import GIVE_BACK_SECONDS, LAST_TURN_SECONDS, EmbeddedEngine, Pace
from app.adapters.engines.heart import LEAVE_SECONDS, Heart
from app.adapters.memory.inbox import MemoryInbox
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.wake_ups import MemoryWakeUps
from app.adapters.memory.workers import MemoryWorkers
from app.core.domain.connection import Connection
from app.core.domain.connector import ActionCall, Done
from app.core.domain.errors import Unavailable
from app.core.domain.ids import JobId
from app.core.domain.job import ExecutionStatus, JobStatus
from app.core.policies.batched_claims import BatchedClaims
from app.core.ports.inbox import Decision, InboxEvent, Planned
from app.core.ports.job_claims import SUSPECT_AFTER, ClaimedJob, Settlement
from app.core.ports.workers import Workers
from app.core.use_cases.plan_jobs import PlanJobs
from app.core.use_cases.run_job import RunJob
from tests.jobs import a_job
from tests.running import CommandedClaims, Worker, step

PACE = Pace(concurrency=10, poll_seconds=0.02, rescue_seconds=0.05, drain_seconds=0.3)


class HangingInbox(MemoryInbox):
    """An inbox that fails, and one that never answers."""

    trouble: Exception | None = None
    hangs = False
    hung = False

    async def plan(self, most: int, decide: Callable[[InboxEvent], Decision]) -> Planned | None:
        if self.hangs:
            self.hung = True
            await asyncio.sleep(3600)
        if self.trouble:
            raise self.trouble
        return await super().plan(most, decide)


class HeldClaims(CommandedClaims):
    """Claims that come late, and settlements that never end."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__(jobs)
        self.after_claim: Callable[[], Any] = lambda: None
        self.away = False

    async def claim(self, worker: str, most: int, *, suspect: bool = False) -> Sequence[ClaimedJob]:
        jobs = await super().claim(worker, most, suspect=suspect)
        if jobs:
            self.after_claim()
        return jobs

    async def settle(self, settlements: Sequence[Settlement]) -> set[JobId]:
        if self.away:
            raise Unavailable("it is away")
        return await super().settle(settlements)


class Stage:
    """An engine on memories, and what a test commands of it."""

    def __init__(self) -> None:
        self.core = Worker(now=time.time())
        self.jobs = Jobs(self.core.events)
        self.core.jobs = self.jobs
        self.core.store._jobs = self.core.workers._jobs = self.jobs
        self.core.claims = self.claims = HeldClaims(self.jobs)
        self.inbox = HangingInbox(self.jobs)
        self.failures: list[Exception] = []
        self.heart: Heart | None = None
        claims = BatchedClaims(self.claims)
        run_job = RunJob(claims, self.core.run_job.try_step, self.core.telemetry)
        plan_jobs = PlanJobs(self.inbox, list, self.core.telemetry)
        self.engine = EmbeddedEngine(
            claims, plan_jobs, run_job, MemoryWakeUps(), self._heart, PACE, on_failure=self.failures.append
        )

    def _heart(self, on_lost: Callable[[], None]) -> Heart:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Workers]:
            yield MemoryWorkers(self.jobs)

        self.heart = Heart(
            opened,
            name="test",
            lease_seconds=5,
            heartbeat_seconds=0.1,
            stop_before_seconds=1,
            on_lost=on_lost,
            on_failure=self.failures.append,
            on_stuck=lambda _seconds: pytest.fail("nothing holds the loop"),
        )
        return self.heart

    async def add(self) -> JobId:
        """A job of one step."""
        job = a_job(steps=(step(),), connector_name="test")
        await self.core.store.add([job])
        return job.id

    async def becomes(self, job_id: JobId, status: JobStatus) -> list[ExecutionStatus]:
        """Wait until a job is in a state; give how its executions ended."""
        async with asyncio.timeout(10):
            while (job := await self.core.look(job_id)).status is not status:
                await asyncio.sleep(0.005)
        return [execution.status for execution in job.executions]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[asyncio.Event]:
    """Run the engine until its stop is set, or the body ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(stage.engine.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def test_planning_that_fails_hinders_no_job(stage: Stage) -> None:
    """Nor does it end the worker, be it a defect."""
    stage.inbox.trouble = KeyError("a defect")
    async with running(stage):
        await stage.becomes(await stage.add(), JobStatus.COMPLETED)
    assert stage.inbox.trouble in stage.failures


async def test_jobs_that_come_with_a_lease_that_has_ended_meanwhile_are_not_begun(stage: Stage) -> None:
    """They are given back, and run on the next one."""
    job = await stage.add()

    def lose() -> None:
        stage.claims.after_claim = lambda: None
        assert stage.heart is not None
        stage.heart._held_until = 0.0

    stage.claims.after_claim = lose
    async with running(stage):
        ends = await stage.becomes(job, JobStatus.COMPLETED)
    assert ends == [ExecutionStatus.RETURNED, ExecutionStatus.COMPLETED]
    assert len(stage.core.connector.calls) == 1


async def test_a_suspect_has_its_turn_though_the_worker_is_never_idle(stage: Stage) -> None:
    """Others take longer than the time between two looks; it runs alone, and they go on after it."""
    beside: list[int] = []

    async def act(call: ActionCall) -> Done:
        await asyncio.sleep((2 + len(stage.core.connector.calls) % 7) * PACE.rescue_seconds)
        if call.input == {"suspect": True}:
            beside.append(stage.engine.running)
        return Done(call.input)

    stage.core.connector.act = act
    others = [await stage.add() for _ in range(6 * PACE.concurrency)]
    suspect = a_job(steps=(step(),), connector_name="test", payload='{"suspect":true}')
    async with running(stage):
        await stage.becomes(others[0], JobStatus.COMPLETED)
        await stage.core.store.add([suspect])
        stage.jobs.kept[suspect.id].losses = SUSPECT_AFTER
        await stage.becomes(suspect.id, JobStatus.COMPLETED)
        left = sum(job.status is not JobStatus.COMPLETED for job in stage.jobs.kept.values())
        assert left >= PACE.concurrency, "it ran when there was nothing else to do"
        for other in others:
            await stage.becomes(other, JobStatus.COMPLETED)
    assert beside == [1]


async def test_a_lost_lease_stops_what_runs(stage: Stage) -> None:
    begun = asyncio.Event()
    ended: list[str] = []

    async def act(_call: ActionCall) -> Done:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")
        return Done(None)

    stage.core.connector.act = act
    job = await stage.add()
    async with running(stage):
        await begun.wait()
        stage.core.connector.act = stage.core.connector.give_back
        assert stage.heart is not None
        stage.heart._held_until = 0.0
        stage.jobs.leases.clear()
        ends = await stage.becomes(job, JobStatus.COMPLETED)
    assert ends == [ExecutionStatus.LOST, ExecutionStatus.COMPLETED]
    assert ended == ["cancelled"]
    assert [record.status for record in stage.core.telemetry.records] == ends
    assert stage.engine.leases_lost == 1


async def test_it_leaves_in_time_while_planning_hangs_a_job_does_not_end_and_nothing_is_taken_back(
    stage: Stage,
) -> None:
    """What could not be given back is found by others when the lease has ended."""

    async def act(_call: ActionCall) -> Done:
        await asyncio.sleep(3600)
        return Done(None)

    stage.core.connector.act = act
    job = await stage.add()
    async with running(stage) as stop:
        await stage.becomes(job, JobStatus.IN_PROGRESS)
        stage.inbox.hangs = stage.claims.away = True
        async with asyncio.timeout(10):
            while not stage.inbox.hung:
                await asyncio.sleep(0.005)
        stop.set()
        started = time.monotonic()
    took = time.monotonic() - started
    assert took < max(PACE.drain_seconds, LAST_TURN_SECONDS) + GIVE_BACK_SECONDS + LEAVE_SECONDS + 1.0
    assert (await stage.core.look(job)).status is JobStatus.IN_PROGRESS


async def test_a_defect_makes_a_dead_letter(stage: Stage) -> None:
    """A job that nobody works on and nobody settles would be this worker's for ever."""

    class Broken(dict[str, Connection]):
        def get(self, *_: object) -> None:  # type: ignore[override]
            raise LookupError("a defect")

    stage.core.connections = Broken()
    job = await stage.add()
    async with running(stage):
        await stage.becomes(job, JobStatus.ERROR)
        stage.core.connections = {}
        await stage.becomes(await stage.add(), JobStatus.COMPLETED)
    told = await stage.core.look(job)
    assert "LookupError" in str(told.error_message)
    assert told.fingerprint == "defect_LookupError"


async def test_while_results_are_written_as_many_jobs_again_run_and_no_more(stage: Stage) -> None:
    jobs = [await stage.add() for _ in range(3 * PACE.concurrency)]
    stage.claims.away = True
    async with running(stage):
        async with asyncio.timeout(10):
            while len(stage.core.connector.calls) < 2 * PACE.concurrency:
                await asyncio.sleep(0.005)
        await asyncio.sleep(5 * PACE.poll_seconds)
        assert len(stage.core.connector.calls) == stage.engine.running == 2 * PACE.concurrency
        stage.claims.away = False
        for job in jobs:
            assert await stage.becomes(job, JobStatus.COMPLETED) == [ExecutionStatus.COMPLETED]


async def test_jobs_that_run_have_the_places_to_themselves(stage: Stage) -> None:
    end = asyncio.Event()

    async def act(_call: ActionCall) -> Done:
        await end.wait()
        return Done(None)

    stage.core.connector.act = act
    jobs = [await stage.add() for _ in range(2 * PACE.concurrency)]
    async with running(stage):
        async with asyncio.timeout(10):
            while stage.engine.running < PACE.concurrency:
                await asyncio.sleep(0.005)
        await asyncio.sleep(5 * PACE.poll_seconds)  # so often it could have taken one more
        assert stage.engine.running == PACE.concurrency
        end.set()
        for job in jobs:
            await stage.becomes(job, JobStatus.COMPLETED)
