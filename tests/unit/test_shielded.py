"""The shield takes nothing for proved but a marker of this very database; everything else goes to the store."""

import asyncio
from collections.abc import Sequence

import pytest

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.core.domain.delivery_key import delivery_key
from app.core.domain.errors import Unavailable
from app.core.domain.event import NewEvent
from app.core.policies.shielded import Shielded
from app.core.ports.event_store import Appended, Duplicate, Outcome, Pending
from app.core.ports.idempotency_lock import IdempotencyLock, Lock, Marker
from tests.conformance.stores import append, new_event


class Watched(MemoryEventStore):
    """A store that says which events came to it, and in which batches; its epoch is what the test says."""

    def __init__(self, epoch: str | None = "this database") -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.now = epoch

    def epoch(self) -> str | None:
        return self.now

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        self.batches.append([event.delivery_id for event in events])
        return await super().append(events)


class Away(MemoryIdempotencyLock):
    """A lock that cannot be asked."""

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        raise Unavailable(f"nobody answers for {len(keys)} keys")


async def kept_and_marked(shared: MemoryIdempotencyLock.Shared, store: Watched) -> None:
    """Keep delivery 1, and wait for its marker."""
    (outcome,) = await append(Shielded(store, MemoryIdempotencyLock(shared)), new_event("1"))
    assert isinstance(outcome, Appended)
    async with asyncio.timeout(5):
        while not shared.markers:
            await asyncio.sleep(0)


@pytest.fixture
def shared() -> MemoryIdempotencyLock.Shared:
    return MemoryIdempotencyLock.Shared()


async def test_a_marker_of_this_database_answers_for_the_store(shared: MemoryIdempotencyLock.Shared) -> None:
    store = Watched()
    await kept_and_marked(shared, store)
    (outcome,) = await append(Shielded(store, MemoryIdempotencyLock(shared)), new_event("1"))
    assert isinstance(outcome, Duplicate)
    assert store.batches == [["1"]]


async def test_a_marker_of_another_database_does_not(shared: MemoryIdempotencyLock.Shared) -> None:
    """Restored to a moment before the event: the sender is told that it is kept because it is kept anew."""
    await kept_and_marked(shared, Watched())
    restored = Watched("the same data, restored")
    (outcome,) = await append(Shielded(restored, MemoryIdempotencyLock(shared)), new_event("1"))
    assert isinstance(outcome, Appended)
    assert restored.batches == [["1"]]


async def test_no_marker_does_while_the_store_vouches_for_nothing(shared: MemoryIdempotencyLock.Shared) -> None:
    store = Watched()
    await kept_and_marked(shared, store)
    store.now = None
    (outcome,) = await append(Shielded(store, MemoryIdempotencyLock(shared)), new_event("1"))
    assert isinstance(outcome, Duplicate)
    assert store.batches == [["1"], ["1"]]


async def test_no_marker_does_for_other_bytes(shared: MemoryIdempotencyLock.Shared) -> None:
    store = Watched()
    await kept_and_marked(shared, store)
    (outcome,) = await append(Shielded(store, MemoryIdempotencyLock(shared)), new_event("1", body=b"other"))
    assert isinstance(outcome, Duplicate)
    assert not outcome.same_body
    assert store.batches == [["1"], ["1"]]


async def test_a_lock_that_cannot_be_asked_changes_nothing() -> None:
    store = Watched()
    lock: IdempotencyLock = Away()
    outcomes = await append(Shielded(store, lock), new_event("1"), new_event("2"))
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended]
    assert store.batches == [["1", "2"]]


async def test_neighbours_of_a_busy_key_do_not_wait_for_it(shared: MemoryIdempotencyLock.Shared) -> None:
    """It goes alone, and to the store all the same when its holder does not come back."""
    await MemoryIdempotencyLock(shared).acquire([delivery_key("demo", b"busy")])
    store = Watched()
    shield = Shielded(store, MemoryIdempotencyLock(shared))
    first, busy, last = await shield.append([new_event("1"), new_event("busy"), new_event("2")])
    assert isinstance(first, Appended)
    assert isinstance(last, Appended)
    assert isinstance(busy, Pending)
    assert store.batches == [["1", "2"]]
    async with asyncio.timeout(5):
        assert isinstance(await busy.outcome, Appended)
    assert store.batches == [["1", "2"], ["busy"]]
