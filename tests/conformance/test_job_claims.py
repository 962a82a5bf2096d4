"""What workers can rely on when they claim jobs, record how far these got, and settle them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from app.core.domain.event import EventState
from app.core.domain.job import ExecutionStatus, JobStatus, Move, NewJob
from app.core.domain.step import StepPlan, StepRecord, StepStatus
from app.core.ports.job_claims import MOST_LOSSES, SUSPECT_AFTER, ClaimedJob, Progress, Rescued
from tests.conformance.jobs import MOVES, JobKit, Place, a_place, job_kit
from tests.jobs import STEPS, TRACEPARENT, a_job, done, settlement

OTHER_TRACE = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


@pytest.fixture(params=["memory", "postgres", "batched-postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place, empty."""
    return a_place(request)


@pytest.fixture
async def kit(place: Place) -> AsyncIterator[JobKit]:
    async with job_kit(place) as made:
        yield made


async def postponed(kit: JobKit, count: int, delay_seconds: float = 0.0) -> list[NewJob]:
    """Jobs that have been tried, and are to be tried again after so long; the first of them is due first."""
    jobs = [a_job() for _ in range(count)]
    for job in await kit.claimed(await kit.worker(), *jobs):
        await kit.claims.settle([settlement(job, Move.POSTPONE, delay_seconds=delay_seconds)])
    return jobs


async def lost(kit: JobKit, times: int, new: NewJob | None = None) -> NewJob:
    """A job whose workers were gone so often."""
    if new is None:
        await kit.store.add([new := a_job()])
    for number in range(times):
        worker = await kit.worker()
        (job,) = await kit.claims.claim(worker, 1, suspect=number >= SUSPECT_AFTER)
        assert job.id == new.id
        await kit.workers.leave(worker)
        await kit.claims.rescue()
    return new


def ids(jobs: Sequence[NewJob | ClaimedJob]) -> list[str]:
    return [job.id for job in jobs]


async def test_a_claim_brings_all_that_a_worker_needs(kit: JobKit) -> None:
    """With the event's body, where it has one."""
    event = await kit.event(body=b"\x00\xff", type="lead.created", content_type="image/png")
    of_event = a_job(event_id=event.id, payload=None, flow="welcome")
    direct = a_job()
    first, second = await kit.claimed(await kit.worker(), of_event, direct)
    assert first.token != second.token or first.id != second.id
    assert (first.id, first.attempt, first.run, first.losses) == (of_event.id, 1, 1, 0)
    assert (first.flow, first.connector_name, first.plan) == ("welcome", "crm", STEPS)
    assert first.steps == (StepRecord("first"), StepRecord("second"))
    assert (first.payload, first.event_id, first.event_type) == (None, event.id, "lead.created")
    assert (first.body, first.content_type) == (b"\x00\xff", "image/png")
    assert (first.traceparent, first.previous_traceparent) == (TRACEPARENT, None)
    assert 0 <= first.waited_seconds < 60
    assert (second.payload, second.event_id, second.event_type, second.body) == ('{"a":1}', None, None, None)


async def test_a_claim_is_seen_before_it_returns(kit: JobKit) -> None:
    """The execution is counted, whatever becomes of it."""
    (job,) = await kit.claimed(await kit.worker(), a_job())
    shown = await kit.job(job.id)
    assert (shown.status, shown.attempt) == (JobStatus.IN_PROGRESS, 1)
    assert [execution.status for execution in shown.executions] == [ExecutionStatus.RUNNING]


async def test_fresh_jobs_come_in_the_order_of_their_ids(kit: JobKit) -> None:
    """Whatever order they were added in, and at most so many."""
    jobs = [a_job() for _ in range(7)]
    await kit.store.add([jobs[place] for place in (3, 1, 0, 6, 2, 5, 4)])
    worker = await kit.worker()
    assert ids(await kit.claims.claim(worker, 3)) == ids(jobs[:3])
    assert ids(await kit.rival.claim(worker, 10)) == ids(jobs[3:])
    assert await kit.claims.claim(worker, 10) == []


async def test_nothing_is_claimed_before_it_is_due(kit: JobKit) -> None:
    """And it tells how long it has been due then."""
    (new,) = await postponed(kit, 1, delay_seconds=100.0)
    shown = await kit.job(new.id)
    assert shown.due_at is not None
    assert 95 < (shown.due_at - shown.updated_at).total_seconds() < 105
    worker = await kit.worker(1000)
    assert await kit.claims.claim(worker, 9) == []
    await kit.let_pass(50)
    assert await kit.claims.claim(worker, 9) == []
    await kit.let_pass(70)
    (job,) = await kit.claims.claim(worker, 9)
    assert (job.id, job.attempt) == (new.id, 2)
    assert 19 < job.waited_seconds < 60
    assert (await kit.job(new.id)).due_at is None


@pytest.mark.parametrize("move", [Move.PARK, Move.COMPLETE, Move.FAIL])
async def test_what_is_parked_or_finished_is_never_claimed(kit: JobKit, move: Move) -> None:
    (job,) = await kit.claimed(await kit.worker(), a_job())
    await kit.claims.settle([settlement(job, move)])
    await kit.let_pass(100_000)
    assert await kit.claims.claim(await kit.worker(), 9) == []


async def test_of_a_batch_half_are_tried_again_and_half_are_fresh(kit: JobKit) -> None:
    """While there are as many; what one kind leaves, the other has."""
    late = await postponed(kit, 12)
    fresh = [a_job() for _ in range(8)]
    await kit.store.add(fresh)
    worker = await kit.worker()
    assert ids(await kit.claims.claim(worker, 10)) == ids([*late[:5], *fresh[:5]])
    assert ids(await kit.claims.claim(worker, 10)) == ids([*late[5:], *fresh[5:]])
    assert await kit.claims.claim(worker, 10) == []


async def test_few_that_are_tried_again_leave_their_room_to_fresh_ones(kit: JobKit) -> None:
    late = await postponed(kit, 2)
    fresh = [a_job() for _ in range(9)]
    await kit.store.add(fresh)
    assert ids(await kit.claims.claim(await kit.worker(), 10)) == ids([*late, *fresh[:8]])


async def test_neither_kind_waits_for_the_other_where_jobs_are_claimed_one_at_a_time(kit: JobKit) -> None:
    """As they are when a worker is full: a place is free, a job is claimed."""
    late, fresh = await postponed(kit, 6), [a_job() for _ in range(6)]
    await kit.store.add(fresh)
    worker = await kit.worker()
    claimed = [job.id for _ in range(6) for job in await kit.claims.claim(worker, 1)]
    assert sorted(claimed) == sorted(ids([*late[:3], *fresh[:3]]))


async def test_suspects_are_claimed_alone_and_only_when_asked_for(kit: JobKit) -> None:
    suspect = await lost(kit, SUSPECT_AFTER)
    once = await lost(kit, SUSPECT_AFTER - 1)
    fresh = a_job()
    await kit.store.add([fresh])
    worker = await kit.worker()
    assert ids(await kit.claims.claim(worker, 9)) == ids([once, fresh])
    (job,) = await kit.claims.claim(worker, 9, suspect=True)
    assert (job.id, job.losses) == (suspect.id, SUSPECT_AFTER)
    assert await kit.claims.claim(worker, 9, suspect=True) == []


async def test_a_rescue_tells_how_many_suspects_are_due(kit: JobKit) -> None:
    suspect = await lost(kit, SUSPECT_AFTER)
    assert (await kit.claims.rescue()).suspects == 1
    (job,) = await kit.claims.claim(await kit.worker(1000), 1, suspect=True)
    assert (await kit.claims.rescue()).suspects == 0
    await kit.claims.settle([settlement(job, Move.RETURN)])
    await lost(kit, SUSPECT_AFTER, suspect)
    (job,) = await kit.claims.claim(await kit.worker(1000), 1, suspect=True)
    await kit.claims.settle([settlement(job, Move.POSTPONE, delay_seconds=100.0)])
    assert (await kit.claims.rescue()).suspects == 0
    assert (await kit.job(suspect.id)).status is JobStatus.RETRYING


async def test_an_honest_end_makes_a_suspect_a_job_like_others(kit: JobKit) -> None:
    await lost(kit, SUSPECT_AFTER)
    worker = await kit.worker()
    (job,) = await kit.claims.claim(worker, 1, suspect=True)
    await kit.claims.settle([settlement(job, Move.POSTPONE)])
    (again,) = await kit.claims.claim(worker, 1)
    assert (again.id, again.losses) == (job.id, 0)


async def test_a_worker_whose_lease_has_ended_gets_nothing(kit: JobKit) -> None:
    """Nor does one that never began one, or has left."""
    ended, left = await kit.worker(10), await kit.worker(1000)
    await kit.workers.leave(left)
    await kit.store.add([a_job()])
    await kit.let_pass(20)
    for worker in (ended, left, str(uuid4())):
        assert await kit.claims.claim(worker, 9) == []
        assert await kit.claims.claim(worker, 9, suspect=True) == []
    assert len(await kit.claims.claim(await kit.worker(), 9)) == 1


async def test_no_two_workers_get_the_same_job(kit: JobKit) -> None:
    """However many claim at once, of both kinds; and together they get all."""
    late = await postponed(kit, 30)
    fresh = [a_job() for _ in range(50)]
    await kit.store.add(fresh)
    workers = [await kit.worker() for _ in range(4)]
    claimed: list[str] = []
    for _ in range(10):
        answers = await asyncio.gather(
            *(each.claim(worker, 6) for worker in workers for each in (kit.claims, kit.rival))
        )
        claimed += [job.id for jobs in answers for job in jobs]
    assert sorted(claimed) == sorted(ids([*late, *fresh]))


async def test_what_is_recorded_is_kept_and_found_by_whoever_comes_next(kit: JobKit) -> None:
    worker = await kit.worker()
    (job,) = await kit.claimed(worker, a_job())
    begun = StepRecord("second", StepStatus.RUNNING, None, None, None, 1, 2.5, "k")
    steps = (done("first", {"n": 10**40, "s": "\ud800\0"}), begun)
    assert set(await kit.claims.record([Progress(job.id, job.token, steps, {"n": 10**40})])) == {job.id}
    await kit.workers.leave(worker)
    await kit.claims.rescue()
    (again,) = await kit.claims.claim(await kit.worker(), 1)
    assert (again.steps, again.attempt, again.run) == (steps, 2, 1)
    assert (await kit.job(job.id)).result == {"n": 10**40}


async def test_recording_or_settling_none_is_no_error(kit: JobKit) -> None:
    assert set(await kit.claims.record([])) == set(await kit.claims.settle([])) == set()


@pytest.mark.parametrize("claimed_again", [False, True])
async def test_a_stale_token_changes_nothing(kit: JobKit, claimed_again: bool) -> None:
    """After the job was taken from its worker, and when another one has it; the others of its batch are written."""
    event = await kit.event()
    stale_worker, other_worker = await kit.worker(10), await kit.worker(1000)
    new, neighbour = a_job(event_id=event.id), a_job()
    (stale,) = await kit.claimed(stale_worker, new)
    (held,) = await kit.claimed(other_worker, neighbour)
    await kit.let_pass(20)
    assert await kit.claims.rescue() == Rescued(1, 1, 0, 0)
    if claimed_again:
        (again,) = await kit.rival.claim(other_worker, 1)
        assert (again.id, again.attempt) == (new.id, 2)
    before = await kit.job(new.id)
    steps = (done("first", "stale"), StepRecord("second"))
    progress = [Progress(one.id, one.token, steps, "stale") for one in (stale, held)]
    assert set(await kit.claims.record(progress)) == {held.id}
    for move in (*MOVES.values(), Move.RETURN):
        assert set(await kit.claims.settle([settlement(stale, move, steps=steps, result="stale")])) == set()
    assert set(await kit.claims.settle([settlement(one, Move.COMPLETE) for one in (stale, held)])) == {held.id}
    assert await kit.job(new.id) == before
    assert (await kit.job(neighbour.id)).status is JobStatus.COMPLETED
    assert await kit.state(event.id) is EventState.RECEIVED
    if claimed_again:
        assert set(await kit.rival.settle([settlement(again, Move.COMPLETE)])) == {new.id}
        assert await kit.state(event.id) is EventState.PROCESSED


async def test_a_token_of_another_job_is_stale(kit: JobKit) -> None:
    first, second = await kit.claimed(await kit.worker(), a_job(), a_job())
    made_up = replace(first, token=str(uuid4()))
    assert set(await kit.claims.record([Progress(first.id, made_up.token, first.steps)])) == set()
    assert set(await kit.claims.settle([settlement(made_up, Move.COMPLETE)])) == set()
    assert set(await kit.claims.settle([settlement(second, Move.COMPLETE)])) == {second.id}


@pytest.mark.parametrize(("status", "move"), MOVES.items())
async def test_a_settled_job_stands_where_its_move_leads(kit: JobKit, status: JobStatus, move: Move) -> None:
    """Nobody has it any more; its steps, its result and its trouble are there to be seen."""
    (job,) = await kit.claimed(await kit.worker(), a_job())
    steps = (done("first", 1), StepRecord("second", StepStatus.ERROR, None, "broken", "http_503", 2, 1.5, "k"))
    end = settlement(job, move, steps=steps, result=1, error_message="broken", delay_seconds=5.0)
    assert set(await kit.claims.settle([end])) == {job.id}
    shown = await kit.job(job.id)
    assert (shown.status, shown.steps, shown.result, shown.error_message) == (status, steps, 1, "broken")
    assert [one.status for one in shown.executions] == [end.execution]
    assert (shown.due_at is not None) == (move is Move.POSTPONE)


async def test_a_returned_job_waits_for_the_next_worker_at_once(kit: JobKit) -> None:
    """As far as it was recorded, where its worker does not say how far it got."""
    worker = await kit.worker()
    (job,) = await kit.claimed(worker, a_job())
    steps = (done("first", [1]), StepRecord("second"))
    await kit.claims.record([Progress(job.id, job.token, steps, [1])])
    await kit.claims.settle([settlement(job, Move.RETURN, steps=None)])
    shown = await kit.job(job.id)
    assert (shown.status, shown.steps, shown.result) == (JobStatus.PENDING, steps, [1])
    (again,) = await kit.claims.claim(worker, 1)
    assert (again.steps, again.attempt) == (steps, 2)


async def test_a_result_of_null_leaves_no_earlier_one_behind(kit: JobKit) -> None:
    (job,) = await kit.claimed(await kit.worker(), a_job())
    await kit.claims.record([Progress(job.id, job.token, (done("first", 1), StepRecord("second")), 1)])
    await kit.claims.settle([settlement(job, Move.COMPLETE, steps=(done("first", 1), done("second")), result=None)])
    assert (await kit.job(job.id)).result is None


async def test_settling_the_same_again_changes_nothing(kit: JobKit) -> None:
    event = await kit.event()
    worker = await kit.worker()
    jobs = await kit.claimed(worker, *(a_job(event_id=event.id) for _ in range(5)))
    ends = [settlement(job, move) for job, move in zip(jobs, [*MOVES.values(), Move.RETURN], strict=True)]
    assert set(await kit.claims.settle(ends)) == set(ids(jobs))
    before = [await kit.job(job.id) for job in jobs]
    assert set(await kit.claims.settle(ends)) == set(await kit.rival.settle(ends)) == set()
    assert [await kit.job(job.id) for job in jobs] == before
    assert await kit.state(event.id) is EventState.RECEIVED


async def test_the_next_execution_knows_the_trace_of_the_last(kit: JobKit) -> None:
    worker = await kit.worker()
    (job,) = await kit.claimed(worker, a_job())
    await kit.claims.settle([settlement(job, Move.POSTPONE, traceparent=OTHER_TRACE)])
    (again,) = await kit.claims.claim(worker, 1)
    assert (again.traceparent, again.previous_traceparent) == (TRACEPARENT, OTHER_TRACE)
    await kit.claims.settle([settlement(again, Move.COMPLETE)])
    await kit.store.rerun(job.id)
    (third,) = await kit.claims.claim(worker, 1)
    assert third.previous_traceparent == OTHER_TRACE


async def test_what_a_gone_worker_had_is_tried_again_at_once_and_the_others_keep_theirs(kit: JobKit) -> None:
    gone, left, living = await kit.worker(10), await kit.worker(1000), await kit.worker(1000)
    jobs = [(await kit.claimed(worker, a_job()))[0] for worker in (gone, left, living)]
    assert await kit.claims.rescue() == Rescued(0, 0, 0)
    await kit.workers.leave(left)
    await kit.let_pass(20)
    assert await kit.claims.rescue() == Rescued(1, 2, 0)
    assert await kit.claims.rescue() == Rescued(0, 0, 0)
    shown = [await kit.job(job.id) for job in jobs]
    status = JobStatus
    assert [job.status for job in shown] == [status.RETRYING, status.RETRYING, status.IN_PROGRESS]
    assert [job.executions[-1].status.value for job in shown] == ["lost", "lost", "running"]
    assert shown[0].error_message
    assert "its worker" in shown[0].error_message
    again = await kit.claims.claim(living, 9)
    assert [(job.id, job.attempt, job.losses) for job in again] == [(job.id, 2, 1) for job in jobs[:2]]
    assert set(await kit.claims.settle([settlement(jobs[2], Move.COMPLETE)])) == {jobs[2].id}


async def test_a_job_that_was_lost_too_often_is_a_dead_letter(kit: JobKit) -> None:
    """With its event; and a person may let it run again."""
    event = await kit.event()
    new = a_job(event_id=event.id)
    await kit.store.add([new])
    await lost(kit, MOST_LOSSES - 1, new)
    assert (await kit.job(new.id)).status is JobStatus.RETRYING
    worker = await kit.worker(10)
    (job,) = await kit.claims.claim(worker, 1, suspect=True)
    assert (job.attempt, job.losses) == (MOST_LOSSES, MOST_LOSSES - 1)
    await kit.let_pass(20)
    assert await kit.claims.rescue() == Rescued(1, 0, 1)
    dead = await kit.job(new.id)
    assert (dead.status, dead.fingerprint) == (JobStatus.ERROR, "worker_lost")
    assert [one.status for one in dead.executions] == [ExecutionStatus.LOST] * MOST_LOSSES
    assert await kit.state(event.id) is EventState.DEAD
    await kit.store.rerun(new.id)
    (again,) = await kit.claims.claim(await kit.worker(), 1)
    assert again.losses == 0


async def test_a_job_is_rescued_once_whoever_comes(kit: JobKit) -> None:
    worker = await kit.worker(10)
    jobs = await kit.claimed(worker, *(a_job() for _ in range(10)))
    await kit.let_pass(20)
    rescued = await asyncio.gather(*(each.rescue() for each in (kit.claims, kit.rival) * 2))
    if sum(each.retrying for each in rescued) < 10:  # one of them passed rows by that another had in hand
        rescued += [await kit.claims.rescue()]
    assert sum(each.retrying for each in rescued) == 10
    assert sum(each.workers for each in rescued) == 1
    assert [len((await kit.job(job.id)).executions) for job in jobs] == [1] * 10


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ([Move.COMPLETE, Move.COMPLETE], EventState.PROCESSED),
        ([Move.COMPLETE, None], EventState.PROCESSED),
        ([None, None], EventState.DISCARDED),
        ([Move.FAIL, Move.COMPLETE], EventState.DEAD),
        ([None, Move.FAIL], EventState.DEAD),
    ],
)
async def test_the_last_job_of_an_event_says_what_became_of_it(
    kit: JobKit, ends: list[Move | None], state: EventState
) -> None:
    """None: the job is cancelled. Until then the event is received."""
    event = await kit.event()
    worker = await kit.worker()
    for number, end in enumerate(ends):
        later = a_job(event_id=event.id, connector_name="later")
        new = a_job(event_id=event.id)
        await kit.store.add([new])
        if end is None:
            await kit.store.add([later])
            await kit.store.cancel(new.id)
        else:
            (job,) = await kit.claims.claim(worker, 1)
            await kit.store.add([later])
            await kit.claims.settle([settlement(job, end)])
        assert await kit.state(event.id) is EventState.RECEIVED
        await kit.store.cancel(later.id)
        assert number < len(ends) - 1 or await kit.state(event.id) is state


async def test_a_retry_of_the_dead_job_makes_the_event_good_again(kit: JobKit) -> None:
    event = await kit.event()
    worker = await kit.worker()
    good, bad = await kit.claimed(worker, a_job(event_id=event.id), a_job(event_id=event.id))
    await kit.claims.settle([settlement(good, Move.COMPLETE), settlement(bad, Move.FAIL)])
    assert await kit.state(event.id) is EventState.DEAD
    await kit.store.rerun(bad.id)
    assert await kit.state(event.id) is EventState.RECEIVED
    (again,) = await kit.claims.claim(worker, 1)
    await kit.claims.settle([settlement(again, Move.COMPLETE)])
    assert await kit.state(event.id) is EventState.PROCESSED


async def test_jobs_of_the_same_events_are_settled_by_many_at_once(kit: JobKit) -> None:
    """Crosswise and in any order; whoever is last says what became of the event."""
    events = [await kit.event() for _ in range(6)]
    jobs = [a_job(event_id=event.id) for event in events for _ in range(4)]
    claimed = await kit.claimed(await kit.worker(), *jobs)
    batches = [claimed[number::4] if number % 2 else claimed[number::4][::-1] for number in range(4)]
    held = await asyncio.gather(
        *(
            each.settle([settlement(job, Move.COMPLETE) for job in batch])
            for batch, each in zip(batches, (kit.claims, kit.rival) * 2, strict=True)
        )
    )
    assert [set(one) for one in held] == [set(ids(batch)) for batch in batches]
    assert {await kit.state(event.id) for event in events} == {EventState.PROCESSED}


async def test_a_plan_is_kept_as_it_was_made(kit: JobKit) -> None:
    """Its retry policy with every bound, and inputs that hold anything."""
    plan = (*STEPS, StepPlan("third", "x", "", {"": [None, {"ü": "\ud800"}], "n": -(10**30), "f": 1.5}))
    (job,) = await kit.claimed(await kit.worker(), a_job(steps=plan))
    assert job.plan == plan
    assert [step.name for step in job.steps] == ["first", "second", "third"]
