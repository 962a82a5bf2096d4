"""Group commit: who shares a commit with whom, when each gets an answer, and what a neighbour's fault may cost."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.event import NewEvent
from app.core.policies.group_commit import Bounds, GroupCommit
from app.core.ports.event_store import Appended, Duplicate, EventStore, Outcome, Pending
from tests.conformance.stores import new_event
from tests.unit.commanded_store import CommandedStore, fates, until


def started(store: EventStore, *events: NewEvent) -> "list[asyncio.Task[Sequence[Outcome]]]":
    """Append each event in a task of its own."""

    async def append(event: NewEvent) -> Sequence[Outcome]:
        outcomes = await store.append([event])
        return [outcome for outcome in outcomes if not isinstance(outcome, Pending)]

    return [asyncio.ensure_future(append(event)) for event in events]


def events(count: int, prefix: str = "", body: bytes = b"{}") -> list[NewEvent]:
    return [new_event(f"{prefix}{number}", body=body) for number in range(count)]


@pytest.fixture
async def inner() -> AsyncIterator[CommandedStore]:
    """A store to command; nothing hangs in it when the test is over."""
    store = CommandedStore()
    yield store
    store.open.set()
    await no_more_flushing()


async def no_more_flushing() -> None:
    await until(lambda: not any(task.get_name() == "flush" for task in asyncio.all_tasks()))


async def test_one_event_is_committed_at_once_and_alone(inner: CommandedStore) -> None:
    """No lingering: an idle flusher takes it in the very next turn of the loop."""
    inner.open.clear()
    waiting = started(GroupCommit(inner), new_event())
    for _ in range(3):
        await asyncio.sleep(0)
    assert inner.sizes == [1]
    inner.open.set()
    assert [type(fate) for fate in await fates(*waiting)] == [Appended]


async def test_what_comes_while_every_flusher_is_busy_goes_into_one_commit(inner: CommandedStore) -> None:
    inner.open.clear()
    group = GroupCommit(inner)
    waiting = started(group, new_event("first"))
    await until(lambda: inner.sizes == [1])
    waiting += started(group, new_event("second"))
    await until(lambda: inner.sizes == [1, 1])
    waiting += started(group, *events(100))
    await until(lambda: group.waiting == 100)
    inner.open.set()
    assert {type(fate) for fate in await fates(*waiting)} == {Appended}
    assert inner.sizes == [1, 1, 100]


async def test_a_hung_commit_does_not_hold_up_the_next(inner: CommandedStore) -> None:
    inner.open.clear()
    group = GroupCommit(inner)
    hung = started(group, new_event("hung"))
    await until(lambda: inner.sizes == [1])
    stuck, inner.open = inner.open, asyncio.Event()
    inner.open.set()
    assert [type(fate) for fate in await fates(*started(group, new_event("next")))] == [Appended]
    stuck.set()
    assert [type(fate) for fate in await fates(*hung)] == [Appended]


async def test_a_commit_holds_at_most_so_many_rows(inner: CommandedStore) -> None:
    group = GroupCommit(inner, Bounds(rows=10))
    await group.append(events(25))
    assert inner.sizes == [10, 10, 5]


async def test_a_commit_holds_at_most_so_many_bytes_unless_one_event_is_larger(inner: CommandedStore) -> None:
    group = GroupCommit(inner, Bounds(bytes=100))
    large = new_event("large", body=b"x" * 500)
    await group.append([*events(3, "a", b"x" * 40), large, *events(3, "b", b"x" * 40)])
    assert inner.sizes == [2, 1, 1, 2, 1]


async def test_those_who_left_before_a_flusher_came_are_not_kept(inner: CommandedStore) -> None:
    """And the room that they would have taken is free for others."""
    inner.open.clear()
    group = GroupCommit(inner, Bounds(flushers=2, bytes=100))
    busy = [*started(group, new_event("1"))]
    await until(lambda: len(inner.calls) == 1)
    busy += started(group, new_event("2"))
    await until(lambda: len(inner.calls) == 2)
    leaving = started(group, *events(4, "leaving", b"x" * 40))
    staying = started(group, *events(2, "staying", b"x" * 40))
    await until(lambda: group.waiting == 6)
    for task in leaving:
        task.cancel()
    await until(lambda: all(task.done() for task in leaving))
    inner.open.set()
    assert {type(fate) for fate in await fates(*busy, *staying)} == {Appended}
    assert inner.sizes == [1, 1, 2]
    assert len(inner.memory.inbox) == 4


async def test_a_caller_that_leaves_in_flight_harms_nobody(inner: CommandedStore) -> None:
    inner.open.clear()
    group = GroupCommit(inner)
    leaving, *staying = started(group, *events(3))
    await until(lambda: inner.calls)
    leaving.cancel()
    await until(leaving.done)
    inner.open.set()
    assert {type(fate) for fate in await fates(*staying)} == {Appended}


@pytest.mark.parametrize("flushers", [1, 2])
async def test_an_event_that_comes_in_the_very_moment_in_which_a_flusher_ends_is_taken(
    inner: CommandedStore, flushers: int
) -> None:
    """The flusher has found the queue empty, but its task has not yet been seen to end."""
    inner.open.clear()
    group = GroupCommit(inner, Bounds(flushers=flushers))
    waiting: list[asyncio.Task[Sequence[Outcome]]] = []
    while len(waiting) < flushers:
        waiting += started(group, new_event(str(len(waiting))))
        await until(lambda: len(inner.calls) == len(waiting))  # noqa: B023 (called within this round)

    async def come_right_after() -> Sequence[Outcome]:
        await inner.open.wait()  # woken after the flushers, in the same turn of the loop
        return [outcome for outcome in await group.append([new_event("late")]) if not isinstance(outcome, Pending)]

    late = asyncio.ensure_future(come_right_after())
    await asyncio.sleep(0)
    inner.open.set()
    assert {type(fate) for fate in await fates(*waiting)} == {Appended}
    await until(late.done)
    assert [type(fate) for fate in await fates(late)] == [Appended]


@pytest.mark.parametrize("fault", [RowRejected, RowBlocked])
async def test_rows_at_fault_fail_alone_and_their_neighbours_are_kept(
    inner: CommandedStore, fault: type[RowRejected] | type[RowBlocked]
) -> None:
    batch = events(64)
    bad = {3, 4, 40, 63}
    inner.at_fault = {batch[number].key: fault for number in bad}
    found = await fates(*started(GroupCommit(inner), *batch))
    assert {number for number, fate in enumerate(found) if isinstance(fate, fault)} == bad
    assert {type(fate) for number, fate in enumerate(found) if number not in bad} == {Appended}
    assert len(inner.memory.inbox) == 60


async def test_lone_rows_come_last_because_they_may_wait_for_a_lock(inner: CommandedStore) -> None:
    """A blocked row that is appended alone waits for the whole lock budget: nobody must stand behind it."""
    batch = events(16)
    inner.at_fault = {batch[0].key: RowBlocked, batch[9].key: RowBlocked}
    await fates(*started(GroupCommit(inner, Bounds(flushers=1)), *batch))
    assert inner.sizes == sorted(inner.sizes, reverse=True)


async def test_halving_stops_for_those_whose_time_is_up(inner: CommandedStore) -> None:
    batch = events(8)
    inner.at_fault = {event.key: RowBlocked for event in batch}
    inner.open.clear()
    waiting = started(GroupCommit(inner, Bounds(budget_seconds=0.02)), *batch)
    assert {type(fate) for fate in await fates(*waiting)} == {OutcomeUnknown}
    inner.open.set()
    await no_more_flushing()
    assert inner.sizes == [8]


async def test_any_other_failure_is_the_whole_batch_s_and_each_gets_an_error_of_its_own(inner: CommandedStore) -> None:
    inner.before = [Unavailable("gone")]
    group = GroupCommit(inner)
    found = await fates(*started(group, *events(5)))
    assert [str(fate) for fate in found] == ["gone"] * 5
    assert {type(fate) for fate in found} == {Unavailable}
    assert len({id(fate) for fate in found}) == 5
    assert [type(fate) for fate in await fates(*started(group, new_event("next")))] == [Appended]


async def test_a_defect_below_leaves_nobody_waiting_and_the_flusher_goes_on(inner: CommandedStore) -> None:
    """What was kept is not known then; the defect is reported, and the queue behind it is served."""
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    defect = ValueError("a defect")
    inner.before = [defect]
    inner.open.clear()
    group = GroupCommit(inner, Bounds(flushers=1, rows=2))
    try:
        waiting = started(group, *events(6))
        await until(lambda: group.waiting == 4)
        inner.open.set()
        found = await fates(*waiting)
    finally:
        loop.set_exception_handler(None)
    assert [type(fate) for fate in found] == [OutcomeUnknown] * 2 + [Appended] * 4
    assert told == [defect]


async def test_when_the_flusher_is_cancelled_nobody_of_its_batch_is_left_waiting(inner: CommandedStore) -> None:
    """Not even those of the second half, while the first is being appended again."""
    batch = events(4)
    inner.at_fault = {batch[0].key: RowBlocked}
    inner.open.clear()
    group = GroupCommit(inner, Bounds(budget_seconds=60))
    waiting = started(group, *batch)
    await until(lambda: inner.sizes == [4])
    whole, inner.open = inner.open, asyncio.Event()
    whole.set()
    await until(lambda: inner.sizes == [4, 2])
    (flusher,) = group._flushing
    flusher.cancel()
    async with asyncio.timeout(1):
        assert {type(fate) for fate in await fates(*waiting)} == {OutcomeUnknown}


async def test_who_still_waits_in_the_queue_when_time_is_up_was_not_kept(inner: CommandedStore) -> None:
    """Unavailable in the queue, OutcomeUnknown in flight: only the latter may have been kept."""
    inner.open.clear()
    group = GroupCommit(inner, Bounds(rows=3, flushers=1, budget_seconds=0.05))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    found = await fates(*started(group, *events(8)))
    assert loop.time() - begun < 0.5
    assert [type(fate) for fate in found] == [OutcomeUnknown] * 3 + [Unavailable] * 5
    assert group.waiting == 0, "who has an answer takes no room in the queue"
    inner.open.set()
    assert [type(fate) for fate in await fates(*started(group, new_event("next")))] == [Appended]
    assert len(inner.memory.inbox) == 4


async def test_each_budget_counts_from_its_own_call(inner: CommandedStore) -> None:
    inner.open.clear()
    group = GroupCommit(inner, Bounds(rows=1, flushers=1, budget_seconds=0.1))
    loop = asyncio.get_running_loop()

    async def timed(event: NewEvent) -> float:
        begun = loop.time()
        with pytest.raises((OutcomeUnknown, Unavailable)):
            await group.append([event])
        return loop.time() - begun

    async with asyncio.TaskGroup() as tasks:
        timings = []
        for event in events(5):
            timings.append(tasks.create_task(timed(event)))
            await asyncio.sleep(0.03)  # so that they fall due one after the other
    assert all(0.09 < timing.result() < 0.5 for timing in timings)


async def test_nothing_of_answered_callers_is_kept_in_memory(inner: CommandedStore) -> None:
    group = GroupCommit(inner)
    for _ in range(3):
        await fates(*started(group, *events(200)))
    assert group.waiting == 0
    assert len(group._due) <= 200
    await group.append([new_event("one more")])
    assert len(group._due) <= 1


class Deferring(EventStore):
    """Answers each event later, by a future that the test settles."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Outcome]] = []

    def epoch(self) -> str | None:
        return None

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome | Pending]:
        futures: list[asyncio.Future[Outcome]] = [asyncio.get_running_loop().create_future() for _ in events]
        self.futures += futures
        return [Pending(future) for future in futures]

    async def count_duplicates(self, counts: object) -> None:
        raise NotImplementedError


async def test_a_pending_outcome_is_handed_over_whatever_it_is() -> None:
    """An outcome, an error, or an end that nobody expected; and the budget holds for it too."""
    inner = Deferring()
    group = GroupCommit(inner, Bounds(budget_seconds=0.2))
    waiting = started(group, *events(4))
    await until(lambda: len(inner.futures) == 4)
    kept = Appended(new_event().id, None)  # type: ignore[arg-type]  # the flush plays no part
    inner.futures[0].set_result(kept)
    inner.futures[1].set_exception(Unavailable("gone"))
    inner.futures[2].cancel()
    first, second, third = await fates(*waiting[:3])
    assert not waiting[3].done(), "answered only when its time was up"
    assert first == kept
    assert isinstance(second, Unavailable)
    assert isinstance(third, OutcomeUnknown)
    assert [type(fate) for fate in await fates(waiting[3])] == [OutcomeUnknown]
    await asyncio.sleep(0)
    assert inner.futures[3].cancelled(), "given up, so that nobody goes on with it"


async def test_a_call_of_several_events_raises_the_first_error_and_waits_for_all(inner: CommandedStore) -> None:
    group = GroupCommit(inner)
    batch = events(3)
    inner.at_fault = {batch[1].key: RowRejected}
    with pytest.raises(RowRejected):
        await group.append(batch)
    assert len(inner.memory.inbox) == 2
    repeated = await group.append([new_event("0"), new_event("2")])
    assert {type(outcome) for outcome in repeated} == {Duplicate}


async def test_what_is_submitted_is_told_later_and_once(inner: CommandedStore) -> None:
    """Never before `submit` has returned, and to nobody who withdrew before a flusher came."""
    told: list[Outcome | OpsConnectError] = []
    group = GroupCommit(inner)
    kept, withdrawn = new_event("kept"), new_event("withdrawn")
    waiting = group.submit(kept, told.append)
    group.submit(withdrawn, told.append).withdraw()
    assert not told
    await until(lambda: told)
    assert [type(outcome) for outcome in told] == [Appended]
    waiting.settle(Unavailable("too late to say"))
    assert len(told) == 1
    assert list(inner.memory.inbox) == [kept.id]


async def test_a_second_flusher_sets_out_only_when_the_first_is_slow(
    inner: CommandedStore,
) -> None:
    """One large commit costs far less than two small ones."""
    inner.open.clear()
    group = GroupCommit(inner, Bounds(rows=10, patience_seconds=0.2))
    waiting = started(group, new_event("first"))
    await until(lambda: inner.sizes == [1])
    waiting += started(group, *events(9))
    for _ in range(5):
        await asyncio.sleep(0)
    assert inner.sizes == [1]
    await until(lambda: inner.sizes == [1, 9])
    inner.open.set()
    await fates(*waiting)


async def test_a_whole_batch_that_waits_gets_a_flusher_at_once(inner: CommandedStore) -> None:
    inner.open.clear()
    group = GroupCommit(inner, Bounds(rows=10, patience_seconds=3600))
    waiting = started(group, new_event("first"))
    await until(lambda: inner.sizes == [1])
    waiting += started(group, *events(10))
    await until(lambda: inner.sizes == [1, 10])
    inner.open.set()
    await fates(*waiting)


async def test_who_has_less_time_is_told_sooner_and_the_others_wait_on(inner: CommandedStore) -> None:
    """Some providers hang up after a second."""
    inner.open.clear()
    group = GroupCommit(inner, Bounds(budget_seconds=30, patience_seconds=30))
    told: dict[str, Outcome | OpsConnectError] = {}
    group.submit(new_event("patient"), lambda outcome: told.update(patient=outcome))
    group.submit(new_event("hurried"), lambda outcome: told.update(hurried=outcome), budget_seconds=0.05)
    await until(lambda: told)
    assert {name: type(outcome) for name, outcome in told.items()} == {"hurried": OutcomeUnknown}
    group.submit(new_event("late"), lambda outcome: told.update(late=outcome), budget_seconds=0.05)
    await until(lambda: len(told) == 2)
    assert type(told["late"]) is Unavailable, "no flusher had it"
    inner.open.set()
    await until(lambda: len(told) == 3)
    assert type(told["patient"]) is Appended
    assert len(inner.memory.inbox) == 2
