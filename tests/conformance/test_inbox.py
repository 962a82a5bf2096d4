"""What planning keeps to: order, one planner at a time, and all of a plan or nothing."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from app.core.domain.event import EventState
from app.core.domain.ids import EventId
from app.core.domain.job import JobStatus, Move, NewJob
from app.core.ports.inbox import Decision, InboxEvent, Planned
from app.core.ports.job_store import JobQuery
from tests.conformance.jobs import JobKit, Place, a_place, job_kit
from tests.conformance.stores import append, new_event
from tests.jobs import TRACEPARENT, a_job, settlement


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place, empty."""
    return a_place(request)


@pytest.fixture
async def kit(place: Place) -> AsyncIterator[JobKit]:
    async with job_kit(place) as made:
        yield made


class Died(BaseException):
    """The end of a planner, as a cancelled task comes to it."""


def into(count: int) -> Callable[[InboxEvent], Decision]:
    """Make so many jobs of every event."""
    return lambda event: Decision([a_job(event_id=event.id) for _ in range(count)])


async def jobs_of(kit: JobKit, event_id: EventId) -> Sequence[JobStatus]:
    return [job.status for job in (await kit.store.find(JobQuery(event_id=event_id))).jobs]


async def test_an_event_is_shown_as_it_was_kept(kit: JobKit) -> None:
    event = await kit.event(source="a-source", type="lead.created", content_type="text/plain", body=b"\x00\xff")
    bare = await kit.event(content_type=None, body=b"")
    seen: list[InboxEvent] = []

    def decide(event: InboxEvent) -> Decision:
        seen.append(event)
        return Decision()

    assert await kit.inbox.plan(9, decide) == Planned(2, 0)
    assert seen == [
        InboxEvent(event.id, "a-source", "lead.created", "text/plain", b"\x00\xff", TRACEPARENT),
        InboxEvent(bare.id, "demo", None, None, b"", TRACEPARENT),
    ]


async def test_events_are_planned_in_the_order_in_which_they_were_kept(kit: JobKit) -> None:
    """Not in that of their ids: clocks differ. So many at a time, and each once."""
    events = [new_event(str(number)) for number in range(7)]
    for place in (3, 0, 6, 1, 5, 2, 4):
        await append(kit.events, events[place])
    seen: list[str] = []

    def decide(event: InboxEvent) -> Decision:
        seen.append(event.id)
        return into(1)(event)

    assert [await kit.inbox.plan(3, decide) for _ in range(4)] == [
        Planned(3, 3), Planned(3, 3), Planned(1, 1), Planned(0, 0),
    ]  # fmt: skip
    assert seen == [events[place].id for place in (3, 0, 6, 1, 5, 2, 4)]
    assert await kit.waiting() == []


async def test_jobs_of_earlier_events_are_claimed_first(kit: JobKit) -> None:
    for _ in range(5):
        await kit.event()
    planned: list[NewJob] = []

    def decide(event: InboxEvent) -> Decision:
        planned.extend(decision := [a_job(event_id=event.id), a_job(event_id=event.id)])
        return Decision(decision)

    assert await kit.inbox.plan(9, decide) == Planned(5, 10)
    claimed = await kit.claims.claim(await kit.worker(), 20)
    assert [job.id for job in claimed] == [job.id for job in planned]


async def test_a_plan_is_kept_with_its_events_states_and_the_rows_are_gone(kit: JobKit) -> None:
    wanted, unwanted, odd, later = [await kit.event() for _ in range(4)]
    decisions = {
        wanted.id: Decision([a_job(event_id=wanted.id), a_job(event_id=wanted.id)]),
        unwanted.id: Decision(),
        odd.id: Decision(quarantine="it is no JSON"),
    }
    assert await kit.inbox.plan(3, lambda event: decisions[event.id]) == Planned(3, 2)
    assert await kit.waiting() == [later.id]
    states = [await kit.state(event.id) for event in (wanted, unwanted, odd, later)]
    assert states == [EventState.RECEIVED, EventState.DISCARDED, EventState.QUARANTINED, EventState.RECEIVED]
    quarantined = await kit.reader.get(odd.id)
    assert quarantined is not None
    assert quarantined.reason == "it is no JSON"
    assert [len(await jobs_of(kit, event.id)) for event in (wanted, unwanted, odd, later)] == [2, 0, 0, 0]


async def test_the_state_waits_for_all_jobs_of_the_plan(kit: JobKit) -> None:
    event = await kit.event()
    await kit.inbox.plan(1, into(2))
    worker = await kit.worker()
    for state in (EventState.RECEIVED, EventState.PROCESSED):
        (job,) = await kit.claims.claim(worker, 1)
        await kit.claims.settle([settlement(job, Move.COMPLETE)])
        assert await kit.state(event.id) is state


async def test_what_was_counted_before_the_plan_stays(kit: JobKit) -> None:
    """Duplicates come in while an event waits, and make a row of its state."""
    first, odd = new_event("same"), new_event("odd")
    await append(kit.events, first, odd)
    await append(kit.events, new_event("same"), new_event("same", body=b"other"), new_event("odd"))
    decisions = {
        first.id: Decision([a_job(event_id=first.id), a_job(event_id=first.id)]),
        odd.id: Decision(quarantine="it is no JSON"),
    }
    await kit.inbox.plan(9, lambda event: decisions[event.id])
    event = await kit.reader.get(first.id)
    assert event is not None
    assert (event.duplicates, event.conflicts, event.state) == (2, 1, EventState.RECEIVED)
    worker = await kit.worker()
    for state in (EventState.RECEIVED, EventState.DEAD):
        (job,) = await kit.claims.claim(worker, 1)
        await kit.claims.settle([settlement(job, Move.FAIL)])
        assert await kit.state(first.id) is state
    await append(kit.events, new_event("same"))
    event = await kit.reader.get(first.id)
    assert event is not None
    assert (event.duplicates, event.conflicts, event.state) == (3, 1, EventState.DEAD)
    event = await kit.reader.get(odd.id)
    assert event is not None
    assert (event.duplicates, event.state, event.reason) == (1, EventState.QUARANTINED, "it is no JSON")


async def test_while_one_plans_nobody_else_does_and_nobody_waits(kit: JobKit) -> None:
    event = await kit.event()
    async with kit.somebody_plans():
        assert await kit.inbox.plan(9, into(1)) is None
        assert await kit.waiting() == [event.id]
    assert await kit.inbox.plan(9, into(1)) == Planned(1, 1)


async def test_a_planner_that_dies_in_the_middle_changes_nothing(kit: JobKit) -> None:
    """And the next one decides anew."""
    events = [await kit.event() for _ in range(3)]
    turns = 0

    def die_at_the_last(event: InboxEvent) -> Decision:
        nonlocal turns
        turns += 1
        if turns == 3:
            raise Died
        return into(1)(event)

    with pytest.raises(Died):
        await kit.inbox.plan(9, die_at_the_last)
    assert await kit.waiting() == [event.id for event in events]
    assert (await kit.store.find(JobQuery())).total == 0
    assert {await kit.state(event.id) for event in events} == {EventState.RECEIVED}
    assert await kit.inbox.plan(9, into(1)) == Planned(3, 3)
    assert (await kit.store.find(JobQuery())).total == 3


async def test_a_quarantined_event_is_never_shown(kit: JobKit) -> None:
    await kit.event(quarantine="the body is not JSON")
    assert await kit.inbox.plan(9, into(1)) == Planned(0, 0)
