"""Jobs in each place where they are kept, ready for the conformance suites."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.inbox import MemoryInbox
from app.adapters.memory.job_claims import MemoryJobClaims
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.workers import MemoryWorkers
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.event_reader import PostgresEventReader
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.inbox import PostgresInbox
from app.adapters.postgres.job_claims import PostgresJobClaims
from app.adapters.postgres.job_store import PostgresJobStore
from app.adapters.postgres.workers import PostgresWorkers
from app.core.domain.event import EventState, NewEvent
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import Job, JobStatus, Move, NewJob
from app.core.policies.batched_claims import BatchedClaims
from app.core.ports.event_reader import EventReader
from app.core.ports.event_store import EventStore
from app.core.ports.inbox import Inbox
from app.core.ports.job_claims import ClaimedJob, JobClaims
from app.core.ports.job_store import JobStore
from app.core.ports.workers import Workers
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT
from tests.jobs import a_job, settlement

MOVES = {
    JobStatus.RETRYING: Move.POSTPONE,
    JobStatus.WAITING: Move.PARK,
    JobStatus.COMPLETED: Move.COMPLETE,
    JobStatus.ERROR: Move.FAIL,
}


@dataclass
class JobKit:
    """All that is about jobs in one place, with what a test needs to look behind it."""

    store: JobStore
    claims: JobClaims
    rival: JobClaims
    """Another one on the same data, as another process would have."""
    workers: Workers
    inbox: Inbox
    events: EventStore
    reader: EventReader
    waiting: Callable[[], Awaitable[list[str]]]
    """The events that are still in the inbox."""
    let_pass: Callable[[float], Awaitable[None]]
    """So many seconds go by, for leases and what is due."""
    somebody_plans: Callable[[], AbstractAsyncContextManager[None]]

    async def worker(self, lease_seconds: float = 60.0) -> str:
        """A worker that has just begun its lease."""
        worker = str(uuid4())
        await self.workers.enlist(worker, "test", lease_seconds)
        return worker

    async def event(self, **fields: Any) -> NewEvent:
        """An event that has just come."""
        event = new_event(str(uuid4()), **fields)
        await append(self.events, event)
        return event

    async def state(self, event_id: EventId) -> EventState:
        """Where an event stands."""
        event = await self.reader.get(event_id)
        assert event is not None
        return event.state

    async def job(self, job_id: JobId) -> Job:
        """A job that is there."""
        job = await self.store.get(job_id)
        assert job is not None
        return job

    async def claimed(self, worker: str, *jobs: NewJob) -> list[ClaimedJob]:
        """Add jobs, and let a worker have them."""
        await self.store.add(jobs)
        claimed = await self.claims.claim(worker, len(jobs))
        assert [job.id for job in claimed] == [job.id for job in jobs]
        return list(claimed)

    async def a_job_that_is(self, status: JobStatus, **fields: Any) -> NewJob:
        """A job that has come to a status; to be asked for before there are others."""
        new = a_job(**fields)
        if status in {JobStatus.PENDING, JobStatus.CANCELLED}:
            await self.store.add([new])
            if status is JobStatus.CANCELLED:
                await self.store.cancel(new.id)
            return new
        (job,) = await self.claimed(await self.worker(), new)
        if move := MOVES.get(status):
            assert await self.claims.settle([settlement(job, move, delay_seconds=1000.0)]) == {job.id}
        return new


class Place(NamedTuple):
    """Where jobs are kept; a memory asks for no server, and so costs no test a database."""

    kind: str
    url: str


def a_place(request: pytest.FixtureRequest) -> Place:
    """The place that a fixture's parameter names, empty."""
    kind: str = request.param
    return Place(kind, request.getfixturevalue("database_url") if kind.endswith("postgres") else "")


@asynccontextmanager
async def job_kit(place: Place) -> AsyncIterator[JobKit]:
    """All that is about jobs in one place."""
    async with AsyncExitStack() as stack:
        if place.kind == "memory":
            yield _memory_kit()
        else:
            yield await _postgres_kit(place.url, stack, batched=place.kind.startswith("batched"))


def _memory_kit() -> JobKit:
    passed = timedelta()

    async def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += timedelta(seconds=seconds)

    events = MemoryEventStore()
    jobs = Jobs(events, lambda: datetime.now(UTC) + passed)

    async def waiting() -> list[str]:
        return list(events.inbox)

    @asynccontextmanager
    async def somebody_plans() -> AsyncIterator[None]:
        jobs.being_planned = True
        yield
        jobs.being_planned = False

    return JobKit(
        MemoryJobStore(jobs), MemoryJobClaims(jobs), MemoryJobClaims(jobs), MemoryWorkers(jobs), MemoryInbox(jobs),
        events, events, waiting, let_pass, somebody_plans,
    )  # fmt: skip


async def _postgres_kit(url: str, stack: AsyncExitStack, *, batched: bool) -> JobKit:
    connections = Connections(url, budget=PATIENT, largest=6)
    stack.push_async_callback(connections.close)
    engine = make_engine(url, budget=PATIENT, largest=2)
    stack.push_async_callback(engine.dispose)
    aside = await asyncpg.connect(url)
    stack.push_async_callback(aside.close)

    async def waiting() -> list[str]:
        return [str(row["event_id"]) for row in await aside.fetch("SELECT event_id FROM inbox ORDER BY seq")]

    async def let_pass(seconds: float) -> None:
        for table, column in (("open_jobs", "due_at"), ("workers", "lease_until")):
            await aside.execute(f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1)", seconds)

    @asynccontextmanager
    async def somebody_plans() -> AsyncIterator[None]:
        async with aside.transaction():
            await aside.execute("SELECT pg_advisory_xact_lock(7310008)")
            yield

    def claims() -> JobClaims:
        plain = PostgresJobClaims(connections)
        return BatchedClaims(plain) if batched else plain

    return JobKit(
        PostgresJobStore(connections, engine), claims(), claims(), PostgresWorkers(connections),
        PostgresInbox(connections), PostgresEventStore(connections), PostgresEventReader(engine),
        waiting, let_pass, somebody_plans,
    )  # fmt: skip
