"""What only Postgres can say of jobs: answers that are lost, days that are gone, and a server that is killed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.job_claims import DOUBTED_SECONDS, PostgresJobClaims
from app.core.domain.errors import OutcomeUnknown, Unavailable
from app.core.domain.event import EventState
from app.core.domain.ids import job_id
from app.core.domain.job import JobStatus, Move, NewJob
from app.core.domain.step import StepRecord
from app.core.ports.inbox import Decision, Planned
from app.core.ports.job_claims import Progress
from app.core.ports.job_store import JobQuery
from tests.conformance.jobs import JobKit, Place, job_kit
from tests.conftest import PATIENT, Servers
from tests.jobs import a_job, done, settlement


class Deaf(Connections):
    """Connections that break when told to, after the server has done what it was asked for."""

    breaks = False

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        async with super().session() as session:
            yield session
            if self.breaks:
                self.breaks = False
                raise ConnectionResetError


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: a day that is made stays, and harms nobody."""
    return emptied_database


@pytest.fixture
async def kit(database_url: str) -> AsyncIterator[JobKit]:
    async with job_kit(Place("postgres", database_url)) as made:
        yield made


@pytest.fixture
async def deaf(database_url: str) -> AsyncIterator[Deaf]:
    connections = Deaf(database_url, budget=PATIENT, largest=2)
    yield connections
    await connections.close()


async def test_what_a_claim_took_whose_answer_was_lost_is_taken_back(kit: JobKit, deaf: Deaf) -> None:
    """Its worker lives on and renews its lease, so that no rescue would ever come for it."""
    claims, worker = PostgresJobClaims(deaf), await kit.worker()
    await kit.store.add([new := a_job(), held := a_job()])
    deaf.breaks = True
    with pytest.raises(OutcomeUnknown):
        await claims.claim(worker, 1)
    assert (await kit.job(new.id)).status is JobStatus.IN_PROGRESS
    assert await kit.workers.renew(worker, 60)
    first, second = await claims.claim(worker, 9)
    assert [(job.id, job.attempt, job.losses) for job in (first, second)] == [(new.id, 2, 0), (held.id, 1, 0)]
    assert await claims.claim(worker, 9) == []
    assert set(await claims.settle([settlement(job, Move.COMPLETE) for job in (first, second)])) == {new.id, held.id}


async def test_a_claim_that_is_in_doubt_is_looked_for_as_long_as_it_may_still_happen(
    kit: JobKit, deaf: Deaf, database: Any
) -> None:
    """The server may carry it out after whoever asked has gone; later than a minute it does not."""
    now = 0.0
    claims, worker = PostgresJobClaims(deaf, clock=lambda: now), await kit.worker()
    deaf.breaks = True
    with pytest.raises(OutcomeUnknown):
        await claims.claim(worker, 9)
    (token,) = claims._doubtful
    assert await claims.claim(worker, 9) == []
    await kit.store.add([new := a_job()])
    late = "UPDATE open_jobs SET status = 'in_progress', worker = $1, token = $2, claimed_at = now() WHERE id = $3"
    await database.execute(late, worker, token, new.id)
    assert [job.id for job in await claims.claim(worker, 9)] == [new.id]
    deaf.breaks = True
    with pytest.raises(OutcomeUnknown):
        await claims.claim(worker, 9)
    now += DOUBTED_SECONDS + 1
    assert await claims.claim(worker, 9) == []
    assert claims._doubtful == {}


async def test_jobs_whose_event_is_gone_are_claimed_without_a_body(kit: JobKit, database: Any) -> None:
    event, other = await kit.event(body=b"gone"), await kit.event(body=b"there")
    await kit.store.add([a_job(event_id=each.id, payload=None) for each in (event, other)])
    await database.execute("DELETE FROM events WHERE id = $1", event.id)
    gone, there = await kit.claims.claim(await kit.worker(), 9)
    assert (gone.event_id, gone.body, gone.event_type) == (event.id, None, None)
    assert there.body == b"there"
    assert set(await kit.claims.settle([settlement(gone, Move.FAIL)])) == {gone.id}


async def test_an_event_that_is_gone_is_forgotten_by_the_planner(kit: JobKit, database: Any) -> None:
    gone, there = await kit.event(), await kit.event()
    await database.execute("DELETE FROM events WHERE id = $1", gone.id)
    seen: list[str] = []

    def decide(event: Any) -> Decision:
        seen.append(event.id)
        return Decision()

    assert await kit.inbox.plan(9, decide) == Planned(2, 0)
    assert seen == [there.id]
    assert await kit.waiting() == []


async def test_a_planner_has_so_many_bytes_in_memory_and_one_event_more(
    kit: JobKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large event is planned alone; it does not stop those behind it."""
    monkeypatch.setattr("app.adapters.postgres.inbox.MOST_BODY_BYTES", 100)
    for size in (60, 60, 60, 1000, 1, 1):
        await kit.event(body=b"x" * size)
    planned = [await kit.inbox.plan(9, lambda _: Decision()) for _ in range(4)]
    assert planned == [Planned(2, 0), Planned(2, 0), Planned(2, 0), Planned(0, 0)]
    assert [one.more for one in planned if one] == [True, True, False, False], "nobody waits for the next look then"


def job_of(days_from_now: int, **fields: Any) -> NewJob:
    """A job as a process makes it whose clock is so far ahead."""
    return a_job(id=job_id(time.time_ns() + days_from_now * 86_400 * 10**9), **fields)


async def test_a_day_that_has_no_partition_yet_is_made_before_it_is_needed(kit: JobKit) -> None:
    """Else a job of it could be kept and run, but never finished."""
    event = await kit.event()
    added = [job_of(20), job_of(21), job_of(20)]
    await kit.store.add(added)
    assert await kit.inbox.plan(9, lambda event: Decision([job_of(22, event_id=event.id)])) == Planned(1, 1)
    for new in added[:2]:
        await kit.store.cancel(new.id)
    claimed = await kit.claims.claim(await kit.worker(), 9)
    assert set(await kit.claims.settle([settlement(job, Move.COMPLETE) for job in claimed])) == {
        job.id for job in claimed
    }
    assert await kit.state(event.id) is EventState.PROCESSED
    assert (await kit.store.find(JobQuery(status=JobStatus.COMPLETED))).total == 2


@pytest.mark.parametrize("days", [90, -90])
async def test_a_clock_that_is_far_off_is_refused_clearly_and_nothing_is_kept(kit: JobKit, days: int) -> None:
    event = await kit.event()
    with pytest.raises(Unavailable, match="is a clock wrong"):
        await kit.store.add([a_job(), job_of(days)])
    with pytest.raises(Unavailable, match="is a clock wrong"):
        await kit.inbox.plan(9, lambda event: Decision([job_of(days)]))
    assert (await kit.store.find(JobQuery())).total == 0
    assert await kit.waiting() == [event.id]


async def test_a_row_that_somebody_holds_is_no_fault_of_the_job(kit: JobKit, database_url: str, database: Any) -> None:
    """Told as unavailable: the same call is made again."""
    impatient = Connections(database_url, budget=PATIENT.__class__(connect_seconds=10, lock_seconds=0.05), largest=1)
    claims, worker = PostgresJobClaims(impatient), await kit.worker()
    (job,) = await kit.claimed(worker, a_job())
    async with database.transaction():
        await database.execute("SELECT FROM open_jobs FOR UPDATE")
        with pytest.raises(Unavailable):
            await claims.record([Progress(job.id, job.token, job.steps)])
        with pytest.raises(Unavailable):
            await claims.settle([settlement(job, Move.COMPLETE)])
        assert (await claims.rescue()).retrying == 0
    assert set(await claims.settle([settlement(job, Move.COMPLETE)])) == {job.id}
    await impatient.close()


async def test_a_job_moves_only_between_two_looks(kit: JobKit) -> None:
    """From one table to the other it is always in exactly one of them, for a list and alone."""
    worker = await kit.worker()
    new = a_job()
    await kit.store.add([new])
    finished = asyncio.Event()

    async def move() -> None:
        for _ in range(15):
            (job,) = await kit.claims.claim(worker, 1)
            await kit.claims.settle([settlement(job, Move.COMPLETE)])
            await kit.store.rerun(new.id)
        finished.set()

    moving = asyncio.create_task(move())
    looks = 0
    while not finished.is_set():
        assert (await kit.job(new.id)).id == new.id
        looks += 1
    await moving
    assert looks > 5


async def test_what_was_told_is_there_after_kill_9(own_servers: Servers) -> None:
    """Claims, progress, ends, plans and leases: each is committed when its call returns."""
    place = Place("postgres", own_servers.postgres.url("opsconnect"))
    async with job_kit(place) as kit:
        event = await kit.event()
        worker = await kit.worker(1e6)
        await kit.inbox.plan(9, lambda event: Decision([a_job(event_id=event.id)]))
        (planned,) = await kit.claims.claim(worker, 1)
        await kit.claims.settle([settlement(planned, Move.COMPLETE, result=[1])])
        ended, held, added = await kit.claimed(worker, a_job(), a_job(), a_job())
        await kit.claims.settle([settlement(added, Move.RETURN)])
        cancelled = a_job()
        await kit.store.add([cancelled])
        await kit.store.cancel(cancelled.id)
        steps = (done("first", 1), StepRecord("second"))
        await kit.claims.record([Progress(held.id, held.token, steps, 1)])
        await kit.claims.settle([settlement(ended, Move.FAIL, error_message="no")])
        await asyncio.to_thread(own_servers.postgres.kill)
    await asyncio.to_thread(own_servers.postgres.start)
    async with job_kit(place) as kit:
        status = JobStatus
        expected = {
            planned.id: status.COMPLETED, ended.id: status.ERROR, held.id: status.IN_PROGRESS,
            added.id: status.PENDING, cancelled.id: status.CANCELLED,
        }  # fmt: skip
        assert {job_id: (await kit.job(job_id)).status for job_id in expected} == expected
        assert (await kit.job(held.id)).steps == steps
        assert await kit.state(event.id) is EventState.PROCESSED
        assert await kit.waiting() == []
        assert await kit.workers.renew(worker, 60)
        assert set(await kit.claims.settle([settlement(held, Move.COMPLETE)])) == {held.id}
