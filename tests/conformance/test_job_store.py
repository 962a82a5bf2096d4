"""What every store of jobs keeps to, as those see it who ask for jobs and look at them."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.core.domain.event import EventState
from app.core.domain.ids import EventId, JobId, job_id
from app.core.domain.job import TRANSITIONS, Execution, ExecutionStatus, JobStatus, Move, NewJob
from app.core.domain.json_text import json_ascii
from app.core.domain.step import StepRecord, StepStatus
from app.core.ports.job_claims import Progress
from app.core.ports.job_store import Illegal, JobQuery, Moved
from tests.conformance.jobs import JobKit, Place, a_place, job_kit
from tests.jobs import STEPS, TRACEPARENT, a_job, done, settlement

NOWHERE = JobId("019a0e2c-1f40-7000-8000-00000000cafe")


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place, empty."""
    return a_place(request)


@pytest.fixture
async def kit(place: Place) -> AsyncIterator[JobKit]:
    async with job_kit(place) as made:
        yield made


async def test_a_job_is_kept_as_it_was(kit: JobKit) -> None:
    """Every field comes back, integers exact; nothing has happened to it yet."""
    event = await kit.event()
    new = a_job(flow="welcome", event_id=event.id, payload=json_ascii({"n": 10**40, "s": "\ud800\0"}))
    await kit.store.add([new])
    job = await kit.job(new.id)
    assert (job.id, job.flow, job.connector_name, job.event_id) == (new.id, "welcome", "crm", event.id)
    assert (job.status, job.attempt, job.traceparent) == (JobStatus.PENDING, 0, TRACEPARENT)
    assert job.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert job.payload == {"n": 10**40, "s": "\ud800\0"}
    assert job.steps == (StepRecord("first"), StepRecord("second"))
    assert (job.executions, job.result, job.error_message, job.fingerprint, job.due_at) == ((), None, None, None, None)
    assert abs(job.created_at - datetime.now(UTC)) < timedelta(seconds=60)
    assert job.updated_at == job.created_at


async def test_a_job_without_payload_flow_or_event_has_none(kit: JobKit) -> None:
    new = a_job(payload=None, traceparent="")
    await kit.store.add([new])
    job = await kit.job(new.id)
    assert (job.payload, job.flow, job.event_id, job.trace_id) == (None, None, None, "")


async def test_adding_none_is_no_error_and_the_same_again_changes_nothing(kit: JobKit) -> None:
    """A batch whose commit was in doubt is added again: what has begun, or is done, meanwhile stays as it is."""
    jobs = [await kit.a_job_that_is(status) for status in (JobStatus.COMPLETED, JobStatus.IN_PROGRESS)]
    jobs += [a_job(), a_job()]
    await kit.store.add([])
    await kit.store.add(jobs[2:3])
    await kit.store.add([*jobs, jobs[3]])
    page = await kit.store.find(JobQuery())
    assert [(job.id, job.status) for job in page.jobs] == [
        (jobs[3].id, JobStatus.PENDING),
        (jobs[2].id, JobStatus.PENDING),
        (jobs[1].id, JobStatus.IN_PROGRESS),
        (jobs[0].id, JobStatus.COMPLETED),
    ]


async def test_many_who_add_the_same_jobs_keep_each_once(kit: JobKit) -> None:
    event = await kit.event()
    jobs = [a_job(event_id=event.id) for _ in range(20)]
    await asyncio.gather(*(kit.store.add(jobs if turn % 2 else jobs[::-1]) for turn in range(6)))
    assert (await kit.store.find(JobQuery())).total == 20
    worker = await kit.worker()
    claimed = await kit.claims.claim(worker, 30)
    assert len(claimed) == 20
    await kit.claims.settle([settlement(job, Move.COMPLETE) for job in claimed[1:]])
    assert await kit.state(event.id) is EventState.RECEIVED
    await kit.claims.settle([settlement(claimed[0], Move.COMPLETE)])
    assert await kit.state(event.id) is EventState.PROCESSED


async def test_what_was_never_added_is_not_there(kit: JobKit) -> None:
    assert await kit.store.get(NOWHERE) is None
    assert await kit.store.rerun(NOWHERE) is None
    assert await kit.store.cancel(NOWHERE) is None
    assert await kit.store.find(JobQuery()) == ([], 0, True)


@pytest.mark.parametrize("status", JobStatus)
async def test_a_job_is_run_again_from_where_the_table_allows_it(kit: JobKit, status: JobStatus) -> None:
    """And is claimed at once then, whenever it was due."""
    new = await kit.a_job_that_is(status)
    moved = await kit.store.rerun(new.id)
    legal = (status, Move.RERUN) in TRANSITIONS
    assert moved == (Moved(JobStatus.PENDING) if legal else Illegal(status))
    assert (await kit.job(new.id)).status is (JobStatus.PENDING if legal else status)
    claimed = await kit.claims.claim(await kit.worker(), 9)
    assert [job.id for job in claimed] == ([new.id] if legal or status is JobStatus.PENDING else [])


@pytest.mark.parametrize("status", JobStatus)
async def test_a_job_is_cancelled_where_the_table_allows_it(kit: JobKit, status: JobStatus) -> None:
    """One that a worker has is not; and a cancelled one is nobody's any more."""
    new = await kit.a_job_that_is(status)
    moved = await kit.store.cancel(new.id)
    legal = (status, Move.CANCEL) in TRANSITIONS
    assert moved == (Moved(JobStatus.CANCELLED) if legal else Illegal(status))
    assert (await kit.job(new.id)).status is (JobStatus.CANCELLED if legal else status)
    await kit.let_pass(2000)
    if legal:
        assert await kit.claims.claim(await kit.worker(), 9) == []


@pytest.mark.parametrize("move", [Move.POSTPONE, Move.PARK, Move.FAIL])
async def test_what_failed_goes_on_where_it_failed_with_all_its_tries(kit: JobKit, move: Move) -> None:
    """As the same run: its keys stay the same, and what was done is not done again."""
    (job,) = await kit.claimed(await kit.worker(), a_job())
    failed = StepRecord("second", StepStatus.ERROR, None, "broken", "http_503", 7, 1.5, "abcd")
    first = done("first", [1, {"a": None}])
    end = settlement(job, move, steps=(first, failed), result=first.output, delay_seconds=99.0)
    await kit.claims.settle([end])
    assert (await kit.job(job.id)).steps == (first, failed)
    assert await kit.store.rerun(job.id) == Moved(JobStatus.PENDING)
    shown = await kit.job(job.id)
    assert (shown.steps, shown.result) == ((first, StepRecord("second")), first.output)
    (again,) = await kit.claims.claim(await kit.worker(), 9)
    assert (again.run, again.attempt, again.losses) == (1, 2, 0)
    assert again.steps == (first, StepRecord("second"))


async def test_what_is_completed_runs_anew_from_its_first_step(kit: JobKit) -> None:
    """As another run, with nothing of the last one but its executions."""
    (job,) = await kit.claimed(await kit.worker(), a_job())
    await kit.claims.settle([settlement(job, Move.COMPLETE, steps=(done("first", 1), done("second", 2)), result=2)])
    await kit.store.rerun(job.id)
    shown = await kit.job(job.id)
    assert (shown.steps, shown.result, shown.run) == ((StepRecord("first"), StepRecord("second")), None, 2)
    assert [execution.output for execution in shown.executions] == [2]
    (again,) = await kit.claims.claim(await kit.worker(), 9)
    assert (again.run, again.attempt, again.plan, again.payload) == (2, 2, STEPS, '{"a":1}')
    assert again.steps == (StepRecord("first"), StepRecord("second"))


async def test_a_dead_letter_tells_why_until_it_runs_again(kit: JobKit) -> None:
    (job,) = await kit.claimed(await kit.worker(), a_job())
    await kit.claims.settle([settlement(job, Move.FAIL, error_message="no such place", fingerprint="ab12")])
    dead = await kit.job(job.id)
    assert (dead.status, dead.error_message, dead.fingerprint) == (JobStatus.ERROR, "no such place", "ab12")
    await kit.store.rerun(job.id)
    assert (await kit.job(job.id)).fingerprint is None


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.ERROR, JobStatus.CANCELLED])
async def test_the_event_of_a_job_that_runs_again_is_received_again(kit: JobKit, status: JobStatus) -> None:
    """And what became of the job before counts no more."""
    event = await kit.event()
    new = await kit.a_job_that_is(status, event_id=event.id)
    before = {JobStatus.COMPLETED: EventState.PROCESSED, JobStatus.ERROR: EventState.DEAD}
    assert await kit.state(event.id) is before.get(status, EventState.DISCARDED)
    await kit.store.rerun(new.id)
    assert await kit.state(event.id) is EventState.RECEIVED
    await kit.store.cancel(new.id)
    assert await kit.state(event.id) is EventState.DISCARDED


async def test_two_who_run_or_cancel_a_job_at_once_do_it_once(kit: JobKit) -> None:
    event = await kit.event()
    new = await kit.a_job_that_is(JobStatus.ERROR, event_id=event.id)
    assert sorted(map(repr, await asyncio.gather(*(kit.store.rerun(new.id) for _ in range(4))))) == sorted(
        map(repr, [Moved(JobStatus.PENDING), *[Illegal(JobStatus.PENDING)] * 3])
    )
    assert sorted(map(repr, await asyncio.gather(*(kit.store.cancel(new.id) for _ in range(4))))) == sorted(
        map(repr, [Moved(JobStatus.CANCELLED), *[Illegal(JobStatus.CANCELLED)] * 3])
    )
    assert await kit.state(event.id) is EventState.DISCARDED


async def test_a_job_is_either_claimed_or_cancelled(kit: JobKit) -> None:
    worker = await kit.worker()
    jobs = [a_job() for _ in range(10)]
    await kit.store.add(jobs)
    claimed, cancelled = await asyncio.gather(
        kit.claims.claim(worker, 5), asyncio.gather(*(kit.store.cancel(job.id) for job in jobs))
    )
    won = {job.id for job, moved in zip(jobs, cancelled, strict=True) if isinstance(moved, Moved)}
    assert won.isdisjoint(job.id for job in claimed)
    for job in jobs:
        assert (await kit.job(job.id)).status is not (JobStatus.PENDING if job.id in won else JobStatus.CANCELLED)


async def test_a_running_job_shows_how_far_it_got(kit: JobKit) -> None:
    """Its partial result, its steps, and the execution that is under way."""
    (job,) = await kit.claimed(await kit.worker(), a_job())
    begun = StepRecord("second", StepStatus.RUNNING, None, None, None, 1, 2.5, "k")
    await kit.claims.record([Progress(job.id, job.token, (done("first", {"x": [1]}), begun), {"x": [1]})])
    shown = await kit.job(job.id)
    assert (shown.status, shown.attempt, shown.result) == (JobStatus.IN_PROGRESS, 1, {"x": [1]})
    assert shown.steps == (done("first", {"x": [1]}), begun)
    (execution,) = shown.executions
    assert execution == Execution(1, ExecutionStatus.RUNNING, execution.started_at)
    assert abs(execution.started_at - datetime.now(UTC)) < timedelta(seconds=60)


async def test_every_execution_is_listed_with_how_it_ended(kit: JobKit) -> None:
    worker = await kit.worker()
    new = a_job()
    await kit.store.add([new])
    ends = [
        *((Move.RETURN, None, None), (Move.POSTPONE, "away", [1])),
        *((Move.PARK, "who knows", [1]), (Move.FAIL, "no", 3)),
    ]
    for move, message, output in ends:
        (job,) = await kit.claims.claim(worker, 1)
        await kit.claims.settle([settlement(job, move, error_message=message, result=output)])
        if move in {Move.PARK, Move.FAIL}:
            await kit.store.rerun(job.id)
    gone = await kit.worker()
    assert len(await kit.claims.claim(gone, 1)) == 1
    await kit.workers.leave(gone)
    await kit.claims.rescue()
    (job,) = await kit.claims.claim(worker, 1)
    await kit.claims.settle([settlement(job, Move.COMPLETE, result={"done": True})])
    shown = await kit.job(job.id)
    listed = [(one.attempt, one.status, one.output) for one in shown.executions]
    status = ExecutionStatus
    assert listed == [
        (1, status.RETURNED, None),
        (2, status.FAILED, [1]),
        (3, status.PARKED, [1]),
        (4, status.FAILED, 3),
        (5, status.LOST, None),
        (6, status.COMPLETED, {"done": True}),
    ]
    assert [one.error_message for one in shown.executions[:4]] == [None, "away", "who knows", "no"]
    for before, one in zip(shown.executions, shown.executions[1:], strict=False):
        assert before.finished_at is not None
        assert before.started_at <= before.finished_at <= one.started_at


async def test_the_newest_hundred_executions_are_listed(kit: JobKit) -> None:
    worker = await kit.worker()
    await kit.store.add([new := a_job()])
    for _ in range(101):
        (job,) = await kit.claims.claim(worker, 1)
        await kit.claims.settle([settlement(job, Move.RETURN)])
    assert [one.attempt for one in (await kit.job(new.id)).executions] == list(range(2, 102))
    await kit.claims.claim(worker, 1)
    assert [one.attempt for one in (await kit.job(new.id)).executions] == list(range(3, 103))


async def some_jobs(kit: JobKit) -> tuple[list[NewJob], EventId]:
    """Eight, open and finished: the odd ones of a flow, the last two on another connector and of an event."""
    event = await kit.event()
    fates = [
        *(JobStatus.COMPLETED, JobStatus.ERROR, JobStatus.CANCELLED, JobStatus.COMPLETED),
        *(JobStatus.RETRYING, JobStatus.WAITING, JobStatus.IN_PROGRESS, JobStatus.PENDING),
    ]
    jobs = []
    for number, status in enumerate(fates):
        fields = {"flow": "pipeline" if number % 2 else None}
        if number >= 6:
            fields |= {"connector_name": "echo", "event_id": event.id}
        jobs.append(await kit.a_job_that_is(status, **fields))
    return jobs, event.id


async def test_lists_come_newest_first_and_by_every_filter(kit: JobKit) -> None:
    """Open and finished ones in one list, a page at a time, and always with the number of all that match."""
    jobs, event_id = await some_jobs(kit)
    numbers = {job.id: number for number, job in enumerate(jobs)}

    async def found(**query: object) -> tuple[list[int], int]:
        page = await kit.store.find(JobQuery(**query))  # type: ignore[arg-type]
        assert page.total_is_exact
        return [numbers[job.id] for job in page.jobs], page.total

    assert await found() == ([7, 6, 5, 4, 3, 2, 1, 0], 8)
    assert await found(limit=3) == ([7, 6, 5], 8)
    assert await found(limit=3, offset=2) == ([5, 4, 3], 8)
    assert await found(limit=3, offset=7) == ([0], 8)
    assert await found(offset=8) == ([], 8)
    assert await found(status=JobStatus.COMPLETED) == ([3, 0], 2)
    assert await found(status=JobStatus.COMPLETED, offset=1) == ([0], 2)
    for number, status in ((1, JobStatus.ERROR), (2, JobStatus.CANCELLED), (4, JobStatus.RETRYING)):
        assert await found(status=status) == ([number], 1)
    for number, status in ((5, JobStatus.WAITING), (6, JobStatus.IN_PROGRESS), (7, JobStatus.PENDING)):
        assert await found(status=status) == ([number], 1)
    assert await found(connector_name="echo") == ([7, 6], 2)
    assert await found(connector_name="none") == ([], 0)
    assert await found(flow="pipeline") == ([7, 5, 3, 1], 4)
    assert await found(flow="pipeline", status=JobStatus.COMPLETED) == ([3], 1)
    assert await found(flow="pipeline", connector_name="echo", event_id=event_id) == ([7], 1)
    assert await found(event_id=event_id) == ([7, 6], 2)
    assert await found(event_id=event_id, status=JobStatus.COMPLETED) == ([], 0)


async def test_what_is_listed_is_what_is_seen_alone_but_for_what_is_long(kit: JobKit) -> None:
    jobs, _ = await some_jobs(kit)
    for job in (await kit.store.find(JobQuery())).jobs:
        alone = await kit.job(job.id)
        assert (job.payload, job.steps, job.executions) == (None, (), ())
        for name in ("flow", "connector_name", "status", "attempt", "created_at", "updated_at", "event_id", "due_at"):
            assert getattr(job, name) == getattr(alone, name)
        assert (job.due_at is None) == (job.status is not JobStatus.RETRYING)
    assert len(jobs) == 8


async def test_matches_are_counted_to_a_bound(kit: JobKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of them in one table, or in both."""
    for adapter in ("memory", "postgres"):
        monkeypatch.setattr(f"app.adapters.{adapter}.job_store.EXACT_TO", 7)
    await some_jobs(kit)
    assert (await kit.store.find(JobQuery(limit=2)))[1:] == (7, False)
    await kit.store.add([a_job(connector_name="many") for _ in range(8)])
    many = JobQuery(connector_name="many", limit=9)
    page = await kit.store.find(many)
    assert (len(page.jobs), page.total, page.total_is_exact) == (8, 7, False)
    await kit.store.add([a_job(connector_name="seven") for _ in range(7)])
    assert (await kit.store.find(JobQuery(connector_name="seven")))[1:] == (7, True)


async def test_jobs_of_the_same_moment_have_an_order_too(kit: JobKit) -> None:
    """Pages neither repeat nor leave out."""
    now_ns = time.time_ns()
    jobs = [a_job(id=job_id(now_ns)) for _ in range(9)]
    await kit.store.add(jobs)
    pages = [await kit.store.find(JobQuery(limit=2, offset=offset)) for offset in range(0, 10, 2)]
    listed = [job.id for page in pages for job in page.jobs]
    assert listed == sorted((job.id for job in jobs), reverse=True)
