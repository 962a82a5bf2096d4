"""The shield: what it may answer itself, what it must leave to the store, and that nobody waits in it for ever."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.event import NewEvent
from app.core.policies import shielded
from app.core.policies.group_commit import GroupCommit
from app.core.policies.shielded import Shielded
from app.core.ports.event_store import Appended, Duplicate, Outcome, Pending
from app.core.ports.idempotency_lock import Committed, Lock, Marker
from tests.conformance.stores import append, new_event
from tests.unit.commanded_store import CommandedStore, fates, until


class CommandedLock(MemoryIdempotencyLock):
    """One process's lock on a memory that others share; it can be away, and notes what it was asked and told."""

    def __init__(self, shared: MemoryIdempotencyLock.Shared) -> None:
        super().__init__(shared)
        self.away = False
        self.asked: list[list[bytes]] = []
        self.marked: list[Committed] = []

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        self.asked.append(list(keys))
        if self.away:
            raise Unavailable("the lock is away")
        return await super().acquire(keys)

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        if self.away:
            raise Unavailable("the lock is away")
        self.marked += committed
        await super().settle(committed, released)


class Process:
    """A shield as one process has it."""

    def __init__(self, store: CommandedStore, shared: MemoryIdempotencyLock.Shared) -> None:
        self.lock = CommandedLock(shared)
        self.shield = Shielded(store, self.lock)

    def started(self, *events: NewEvent) -> "list[asyncio.Task[Sequence[Outcome]]]":
        """Append each event in a call and a task of its own."""
        return [asyncio.ensure_future(append(self.shield, event)) for event in events]

    async def settled(self) -> None:
        """Until nothing is under way any more."""
        await until(lambda: not self.shield._tasks)
        assert not self.shield._in_hand


@pytest.fixture
def shared() -> MemoryIdempotencyLock.Shared:
    return MemoryIdempotencyLock.Shared()


@pytest.fixture
async def store() -> AsyncIterator[CommandedStore]:
    """A store to command; nothing hangs in it when the test is over."""
    commanded = CommandedStore()
    yield commanded
    commanded.open.set()


@pytest.fixture
async def one(store: CommandedStore, shared: MemoryIdempotencyLock.Shared) -> AsyncIterator[Process]:
    """A process; nothing is left in its hand when the test is over."""
    process = Process(store, shared)
    yield process
    store.open.set()
    await process.settled()


@pytest.fixture
async def other(store: CommandedStore, shared: MemoryIdempotencyLock.Shared) -> AsyncIterator[Process]:
    """Another process on the same store and the same lock server."""
    process = Process(store, shared)
    yield process
    store.open.set()
    await process.settled()


async def held(process: Process, store: CommandedStore, *events: NewEvent) -> "list[asyncio.Task[Sequence[Outcome]]]":
    """Append events whose commit hangs until the store is opened."""
    store.open.clear()
    calls = len(store.calls)
    waiting = process.started(*events)
    await until(lambda: len(store.calls) == calls + len(events))
    return waiting


async def test_a_marker_answers_a_duplicate_without_the_store_and_it_is_counted(
    one: Process, other: Process, store: CommandedStore
) -> None:
    first = new_event("same")
    await append(one.shield, first)
    await one.settled()
    (outcome,) = await append(other.shield, new_event("same"))
    assert isinstance(outcome, Duplicate)
    assert (outcome.event_id, outcome.same_body) == (first.id, True)
    assert store.sizes == [1]
    await other.shield.write_counts()
    kept = await store.memory.get(first.id)
    assert kept is not None
    assert kept.duplicates == 1


async def test_no_marker_is_written_before_the_store_has_committed(one: Process, store: CommandedStore) -> None:
    """What a marker says must be true whenever somebody reads it: after a failure there is none."""
    (waiting,) = await held(one, store, new_event("1"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not one.lock.marked
    store.before = [OutcomeUnknown("who knows")]
    store.open.set()
    await fates(waiting)
    await one.settled()
    assert not one.lock.marked
    await append(one.shield, new_event("2"))
    await one.settled()
    assert len(one.lock.marked) == 1


@pytest.mark.parametrize("what", ["another body", "another epoch", "the store silent", "no epoch"])
async def test_a_marker_that_proves_nothing_sends_the_event_to_the_store(
    what: str, one: Process, store: CommandedStore, shared: MemoryIdempotencyLock.Shared
) -> None:
    """Another digest, a database restarted or gone: the unique key decides, and here the event was never kept."""
    epoch = "" if what == "no epoch" else "commanded/0"
    lost, event = new_event("same", body=b"other" if what == "another body" else b"{}"), new_event("same")
    await CommandedLock(shared).settle([Committed(lost.key, Marker(lost.id, lost.digest, epoch))], ())
    store.restarts = 1 if what == "another epoch" else 0
    store.vouches = what != "the store silent"
    (outcome,) = await append(one.shield, event)
    assert isinstance(outcome, Appended)
    assert await store.memory.body(event.id) == b"{}"


async def test_a_busy_key_alone_is_never_a_duplicate(
    one: Process, store: CommandedStore, shared: MemoryIdempotencyLock.Shared
) -> None:
    """Another process took the lock and died: the event goes to the store, and is new there."""
    event = new_event("same")
    await CommandedLock(shared).acquire([event.key])
    (outcome,) = await append(one.shield, event)
    assert isinstance(outcome, Appended)
    assert len(one.lock.asked) == 2, "one more look, and no more"


async def test_busy_keys_do_not_hold_their_neighbours_up_and_go_to_the_store_together(
    one: Process, store: CommandedStore, shared: MemoryIdempotencyLock.Shared
) -> None:
    """However many they are, they take one connection beside the batch's, not one each."""
    busy, free = [new_event(f"busy{number}") for number in range(50)], new_event("free")
    await CommandedLock(shared).acquire([event.key for event in busy])
    *pending, neighbour = await one.shield.append([*busy, free])
    assert isinstance(neighbour, Appended)
    assert all(isinstance(outcome, Pending) for outcome in pending)
    outcomes = [await outcome.outcome for outcome in pending if isinstance(outcome, Pending)]
    assert {type(outcome) for outcome in outcomes} == {Appended}
    assert store.sizes == [1, 50]


async def test_the_second_look_finds_what_the_other_process_has_committed_meanwhile(
    one: Process, other: Process, store: CommandedStore
) -> None:
    first = new_event("same")
    (winner,) = await held(other, store, first)
    (loser,) = one.started(new_event("same"))
    await until(lambda: len(one.lock.asked) == 1)
    store.open.set()
    outcomes = await fates(winner, loser)
    assert [type(outcome) for outcome in outcomes] == [Appended, Duplicate]
    assert {outcome.event_id for outcome in outcomes if isinstance(outcome, Appended | Duplicate)} == {first.id}
    assert store.sizes == [1]


@pytest.mark.parametrize("fault", [RowBlocked, RowRejected])
async def test_a_busy_row_at_fault_does_not_fail_the_other_busy_ones(
    fault: type[RowBlocked], one: Process, store: CommandedStore, shared: MemoryIdempotencyLock.Shared
) -> None:
    busy = [new_event(str(number)) for number in range(4)]
    await CommandedLock(shared).acquire([event.key for event in busy])
    store.at_fault = {busy[1].key: fault}
    waiting = [outcome.outcome for outcome in await one.shield.append(busy) if isinstance(outcome, Pending)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Appended, fault, Appended, Appended]


async def test_without_the_lock_everything_goes_to_the_store(one: Process, store: CommandedStore) -> None:
    one.lock.away = True
    outcomes = await append(one.shield, new_event("1"), new_event("2"), new_event("1"))
    again = await append(one.shield, new_event("1"))
    assert [type(outcome) for outcome in [*outcomes, *again]] == [Appended, Appended, Duplicate, Duplicate]
    assert one.shield.lock_outcomes["unshielded"] == 3
    assert one.shield.lock_outcomes["held"] == 0


@pytest.mark.parametrize("error", [Unavailable("gone"), OutcomeUnknown("who knows"), RowBlocked("locked")])
async def test_after_a_failure_of_one_event_its_lock_is_free_for_others(
    error: Exception, one: Process, other: Process, store: CommandedStore
) -> None:
    store.before = [error]
    with pytest.raises(type(error)):
        await append(one.shield, new_event("same"))
    await one.settled()
    (lock,) = await other.lock.acquire([new_event("same").key])
    assert lock is Lock.HELD


async def test_a_row_fault_of_several_leaves_the_locks_for_the_halves(
    one: Process, other: Process, store: CommandedStore
) -> None:
    first, second = new_event("1"), new_event("2")
    store.at_fault = {second.key: RowRejected}
    with pytest.raises(RowRejected):
        await append(one.shield, first, second)
    await one.settled()
    assert await other.lock.acquire([first.key]) == [Lock.BUSY]
    (outcome,) = await append(one.shield, first)
    assert isinstance(outcome, Appended)


async def test_a_storm_on_one_key_is_one_call_at_a_time_and_mostly_none(one: Process, store: CommandedStore) -> None:
    storm = [new_event("same") for _ in range(500)]
    (first,) = await held(one, store, storm[0])
    rest = one.started(*storm[1:])
    for _ in range(5):
        await asyncio.sleep(0)
    store.open.set()
    outcomes = await fates(first, *rest)
    assert [type(outcome) for outcome in outcomes] == [Appended] + [Duplicate] * 499
    assert store.sizes == [1]
    await one.shield.write_counts()
    kept = await store.memory.get(storm[0].id)
    assert kept is not None
    assert kept.duplicates == 499


async def test_a_storm_of_different_bodies_goes_to_the_store_in_portions(
    one: Process, store: CommandedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement outgrows a batch, by rows or by bytes, and no two of the key are under way at once."""
    monkeypatch.setattr(shielded, "MOST_ROWS_APART", 10)
    monkeypatch.setattr(shielded, "MOST_BYTES_APART", 1_000)
    small = [new_event("same", body=b"%d" % number) for number in range(25)]
    large = [new_event("same", body=b"%d" % number + b"x" * 600) for number in range(3)]
    waiting = await held(one, store, small[0])
    waiting += one.started(*small[1:], *large)
    for _ in range(5):
        await asyncio.sleep(0)
    store.open.set()
    outcomes = await fates(*waiting)
    assert [type(outcome) for outcome in outcomes] == [Appended] + [Duplicate] * 27
    assert store.sizes == [1, 10, 10, 5, 1, 1]
    assert store.most_calls_for_a_key == 1
    kept = await store.memory.get(small[0].id)
    assert kept is not None
    assert (kept.duplicates, kept.conflicts) == (27, 27)


async def test_those_who_wait_for_a_failed_event_are_kept_themselves(one: Process, store: CommandedStore) -> None:
    """What failed for the first says nothing of the others; one of them is the event then."""
    events = [new_event("same") for _ in range(4)]
    waiting = await held(one, store, events[0])
    waiting += one.started(*events[1:])
    for _ in range(5):
        await asyncio.sleep(0)
    store.before = [Unavailable("gone")]
    store.open.set()
    outcomes = await fates(*waiting)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Appended, Duplicate, Duplicate]
    assert store.sizes == [1, 3]


async def test_waiters_of_a_blocked_key_are_told_so_one_after_the_other(one: Process, store: CommandedStore) -> None:
    """And who comes meanwhile neither overtakes them nor is forgotten."""
    events = [new_event("same") for _ in range(4)]
    store.at_fault = {events[0].key: RowBlocked}
    waiting = await held(one, store, events[0])
    waiting += one.started(*events[1:3])
    for _ in range(5):
        await asyncio.sleep(0)
    first, store.open = store.open, asyncio.Event()
    first.set()
    await until(lambda: store.sizes == [1, 2])
    together, store.open = store.open, asyncio.Event()
    together.set()
    await until(lambda: store.sizes == [1, 2, 1])
    alone, store.open = store.open, asyncio.Event()
    alone.set()
    await until(lambda: store.sizes == [1, 2, 1, 1])
    waiting += one.started(events[3])  # the key is still in hand
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.sizes == [1, 2, 1, 1]
    store.at_fault.clear()
    store.open.set()
    outcomes = await fates(*waiting)
    assert [type(outcome) for outcome in outcomes] == [RowBlocked, RowBlocked, Appended, Duplicate]
    assert store.most_calls_for_a_key == 1


async def test_a_neighbour_s_fault_makes_no_event_count_twice(one: Process, store: CommandedStore) -> None:
    """Three of one key and a poisonous row in one batch: the halves append them anew, the first try is void."""
    events = [new_event("same") for _ in range(3)]
    poison = new_event("poison")
    store.at_fault = {poison.key: RowRejected}
    group = GroupCommit(one.shield)
    waiting = [asyncio.ensure_future(group.append([event])) for event in [*events, poison]]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[3], RowRejected)
    await one.settled()
    await one.shield.write_counts()
    (kept,) = [await store.memory.get(event_id) for event_id in store.memory.inbox]
    assert kept is not None
    assert kept.duplicates == 2


async def test_a_proved_duplicate_beside_a_fault_counts_once(
    one: Process, other: Process, store: CommandedStore
) -> None:
    first, poison = new_event("same"), new_event("poison")
    await append(other.shield, first)
    await other.settled()
    store.at_fault = {poison.key: RowRejected}
    group = GroupCommit(one.shield)
    waiting = [asyncio.ensure_future(group.append([event])) for event in (new_event("same"), poison)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], RowRejected)
    await one.shield.write_counts()
    kept = await store.memory.get(first.id)
    assert kept is not None
    assert kept.duplicates == 1


async def test_a_call_that_failed_leaves_nothing_behind_that_is_appended_later(
    one: Process, store: CommandedStore
) -> None:
    """Its caller was told that nothing was kept: then nothing of it may be kept."""
    first, second, neighbour = new_event("same", body=b"1"), new_event("same", body=b"2"), new_event("other")
    (waiting,) = await held(one, store, first)
    hanging, store.open = store.open, asyncio.Event()
    store.open.set()
    store.before = [Unavailable("gone")]
    with pytest.raises(Unavailable):
        await append(one.shield, second, neighbour)
    hanging.set()
    assert [type(outcome) for outcome in await fates(waiting)] == [Appended]
    await one.settled()
    assert store.memory.inbox == [first.id]
    kept = await store.memory.get(first.id)
    assert kept is not None
    assert kept.conflicts == 0


async def test_a_cancelled_call_frees_its_keys_and_those_who_wait_for_them(one: Process, store: CommandedStore) -> None:
    events = [new_event("same") for _ in range(2)]
    (leaving,) = await held(one, store, events[0])
    (staying,) = one.started(events[1])
    for _ in range(5):
        await asyncio.sleep(0)
    leaving.cancel()
    await until(lambda: len(store.calls) == 2)
    store.open.set()
    assert [type(outcome) for outcome in await fates(staying)] == [Appended]


async def test_a_defect_below_leaves_nobody_waiting(one: Process, store: CommandedStore) -> None:
    """Those apart from the batch are told that nobody knows; the key is free again."""
    events = [new_event("same") for _ in range(3)]
    waiting = await held(one, store, events[0])
    waiting += one.started(*events[1:])
    for _ in range(5):
        await asyncio.sleep(0)
    store.before = [Unavailable("gone"), ValueError("a defect")]
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    try:
        store.open.set()
        outcomes = await fates(*waiting)
        assert [type(outcome) for outcome in outcomes] == [Unavailable, OutcomeUnknown, OutcomeUnknown]
        await one.settled()
        await until(lambda: told)
    finally:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_counts_that_cannot_be_written_are_kept_for_the_next_time(
    one: Process, other: Process, store: CommandedStore
) -> None:
    first = new_event("same")
    await append(one.shield, first)
    await one.settled()
    told: list[Exception] = []
    counting = Shielded(store, other.lock, on_failure=told.append)
    await append(counting, new_event("same"))
    store.before = [Unavailable("gone")]
    await counting.write_counts()
    assert [str(error) for error in told] == ["gone"]
    await append(counting, new_event("same"))
    await counting.write_counts()
    kept = await store.memory.get(first.id)
    assert kept is not None
    assert kept.duplicates == 2


async def test_counts_are_written_within_a_second_and_at_the_end(one: Process, store: CommandedStore) -> None:
    first = new_event("same")
    await append(one.shield, first)
    await one.settled()
    stop = asyncio.Event()
    duty = asyncio.create_task(one.shield.run(stop))

    async def counted(number: int) -> None:
        async with asyncio.timeout(1):
            while (kept := await store.memory.get(first.id)) is None or kept.duplicates < number:
                await asyncio.sleep(0.01)

    await append(one.shield, new_event("same"))
    await counted(1)
    await append(one.shield, new_event("same"))
    stop.set()
    await duty
    await counted(2)
