"""Batches of what jobs tell: who shares a statement with whom, what a neighbour's fault costs, what an outage costs."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.job_claims import MemoryJobClaims
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.workers import MemoryWorkers
from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.ids import JobId
from app.core.domain.job import ExecutionStatus, JobStatus, Move
from app.core.policies.batched_claims import MOST_IN_BATCH, BatchedClaims
from app.core.ports.job_claims import ClaimedJob, Progress, Settlement
from tests.jobs import a_job, settlement
from tests.unit.commanded_store import until


class Wire(MemoryJobClaims):
    """Claims in memory at the end of a wire that the test holds."""

    def __init__(self) -> None:
        self.jobs = Jobs(MemoryEventStore())
        super().__init__(self.jobs)
        self.store, self.workers = MemoryJobStore(self.jobs), MemoryWorkers(self.jobs)
        self.calls: list[int] = []
        """How many each call brought."""
        self.open = asyncio.Event()
        self.open.set()
        self.before: list[OpsConnectError | None] = []
        """What the next calls raise instead of writing anything."""
        self.after: list[OpsConnectError | None] = []
        """What the next calls raise after they have written everything."""
        self.at_fault = set[JobId]()

    async def _passed(self, items: Sequence[Progress | Settlement]) -> None:
        self.calls.append(len(items))
        await self.open.wait()
        if self.before and (error := self.before.pop(0)):
            raise error
        if not self.at_fault.isdisjoint(item.job_id for item in items):
            raise RowRejected("one of these")

    async def record(self, progress: Sequence[Progress]) -> set[JobId]:
        await self._passed(progress)
        return set(await super().record(progress))

    async def settle(self, settlements: Sequence[Settlement]) -> set[JobId]:
        await self._passed(settlements)
        held = set(await super().settle(settlements))
        if self.after and (error := self.after.pop(0)):
            raise error
        return held

    async def claimed(self, count: int) -> list[ClaimedJob]:
        worker = str(uuid4())
        await self.workers.enlist(worker, "test", 1e6)
        await self.store.add([a_job() for _ in range(count)])
        return list(await self.claim(worker, 1_000))

    def status(self, job: ClaimedJob) -> JobStatus:
        return self.jobs.kept[job.id].status


def ended(batched: BatchedClaims, *jobs: ClaimedJob) -> "list[asyncio.Task[set[JobId]]]":
    """Settle each in a task of its own."""

    async def end(job: ClaimedJob) -> set[JobId]:
        return set(await batched.settle([settlement(job, Move.COMPLETE)]))

    return [asyncio.create_task(end(job)) for job in jobs]


async def test_one_goes_at_once_and_what_comes_meanwhile_goes_together() -> None:
    """And each hears of its own job only."""
    wire = Wire()
    batched = BatchedClaims(wire)
    jobs = await wire.claimed(100)
    wire.open.clear()
    first = ended(batched, jobs[0])
    await until(lambda: wire.calls == [1])
    others = ended(batched, *jobs[1:])
    await asyncio.sleep(0)
    wire.open.set()
    assert await asyncio.gather(*first, *others) == [{job.id} for job in jobs]
    assert wire.calls == [1, 99]


async def test_a_batch_holds_at_most_so_many() -> None:
    wire = Wire()
    jobs = await wire.claimed(MOST_IN_BATCH + 1)
    held = await BatchedClaims(wire).settle([settlement(job, Move.COMPLETE) for job in jobs])
    assert set(held) == {job.id for job in jobs}
    assert wire.calls == [MOST_IN_BATCH, 1]


async def test_a_poisonous_row_costs_nobody_else_his_result() -> None:
    wire = Wire()
    batched = BatchedClaims(wire)
    jobs = await wire.claimed(5)
    wire.at_fault = {jobs[2].id}
    answers = await asyncio.gather(*ended(batched, *jobs), return_exceptions=True)
    assert [answer if isinstance(answer, set) else type(answer) for answer in answers] == [
        {jobs[0].id}, {jobs[1].id}, RowRejected, {jobs[3].id}, {jobs[4].id},
    ]  # fmt: skip
    assert wire.status(jobs[2]) is JobStatus.IN_PROGRESS
    assert wire.calls == [5, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("error", [Unavailable("away"), OutcomeUnknown("who knows")])
async def test_while_the_database_is_away_what_there_is_to_tell_waits(
    error: OpsConnectError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every failure is told to whoever wants to know."""
    monkeypatch.setattr("app.core.policies.batched_claims.SHORTEST_WAIT_SECONDS", 0.001)
    wire, told = Wire(), list[Exception]()
    batched = BatchedClaims(wire, on_failure=told.append)
    wire.before = [error] * 4
    (job,) = await wire.claimed(1)
    (answer,) = await asyncio.gather(*ended(batched, job))
    assert (answer, wire.status(job), told) == ({job.id}, JobStatus.COMPLETED, [error] * 4)


async def test_who_was_written_though_no_answer_came_holds_the_job_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written all the same; nobody writes it twice."""
    monkeypatch.setattr("app.core.policies.batched_claims.SHORTEST_WAIT_SECONDS", 0.001)
    wire = Wire()
    wire.after = [OutcomeUnknown("the connection broke")]
    (job,) = await wire.claimed(1)
    assert set(await BatchedClaims(wire).settle([settlement(job, Move.COMPLETE)])) == set()
    assert wire.status(job) is JobStatus.COMPLETED


async def test_a_stale_token_is_never_told_that_it_holds() -> None:
    """Though the good one of the same job waits beside it."""
    wire = Wire()
    batched = BatchedClaims(wire)
    (stale,) = await wire.claimed(1)
    wire.jobs.leases.clear()
    assert (await batched.rescue()).retrying == 1
    (good,) = await wire.claimed(0)
    progress = [Progress(job.id, job.token, job.steps) for job in (stale, good, stale)]
    async with asyncio.timeout(5):
        records = await asyncio.gather(*(batched.record([one]) for one in progress))
    assert [set(held) for held in records] == [set(), {good.id}, set()]
    assert await asyncio.gather(*ended(batched, stale, good)) == [set(), {good.id}]
    assert wire.calls == [1, 1, 1, 1, 1]


async def test_whoever_left_is_written_all_the_same() -> None:
    """A job that is cut off while it settles has still had its effect."""
    wire = Wire()
    batched = BatchedClaims(wire)
    jobs = await wire.claimed(3)
    wire.open.clear()
    tasks = ended(batched, *jobs)
    await until(lambda: wire.calls)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    wire.open.set()
    await until(lambda: [wire.status(job) for job in jobs] == [JobStatus.COMPLETED] * 3)


async def test_a_fault_of_the_code_is_told_to_those_who_wait_and_to_nobody_later() -> None:
    wire = Wire()
    batched = BatchedClaims(wire)
    jobs = await wire.claimed(2)
    impossible = Settlement(jobs[0].id, jobs[0].token, 1, Move.CANCEL, ExecutionStatus.FAILED, jobs[0].steps)
    with pytest.raises(KeyError):
        await batched.settle([impossible])
    assert set(await batched.settle([settlement(jobs[1], Move.COMPLETE)])) == {jobs[1].id}


async def test_blocked_rows_are_written_one_by_one_too() -> None:
    wire = Wire()
    batched = BatchedClaims(wire)
    jobs = await wire.claimed(2)
    wire.before = [RowBlocked("somebody has it")]
    assert await asyncio.gather(*ended(batched, *jobs)) == [{job.id} for job in jobs]
    assert wire.calls == [2, 1, 1]
