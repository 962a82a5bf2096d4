"""What only the lock in memory has: exact times, and a bounded memory."""

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.core.domain.ids import event_id
from app.core.ports.idempotency_lock import Committed, Lock, Marker


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(count)]


async def test_locks_and_markers_last_exactly_as_long_as_they_should() -> None:
    now = 0.0
    shared = MemoryIdempotencyLock.Shared(clock=lambda: now)
    lock, other = (MemoryIdempotencyLock(shared, lock_seconds=3, marker_seconds=120) for _ in range(2))
    [key] = keys(1)
    await lock.acquire([key])
    now = 2.9
    assert await lock.acquire([key]) == [Lock.HELD]  # and for three seconds more
    now = 5.8
    assert await other.acquire([key]) == [Lock.BUSY]
    now = 5.9
    assert await other.acquire([key]) == [Lock.HELD]
    note = Marker(event_id(1), bytes(32), "")
    await other.settle([Committed(key, note)], [])
    now = 125.8
    assert await lock.acquire([key]) == [note]
    now = 125.9
    assert await lock.acquire([key]) == [Lock.HELD]


async def test_what_has_expired_is_let_go() -> None:
    """Also behind entries that were written anew and so expire later."""
    now = 0.0
    shared = MemoryIdempotencyLock.Shared(clock=lambda: now)
    lock = MemoryIdempotencyLock(shared)
    batch = keys(1000)
    await lock.acquire(batch)
    await lock.settle([Committed(key, Marker(event_id(1), bytes(32), "")) for key in batch[:500]], [])
    assert (len(shared.locks), len(shared.markers)) == (500, 500)
    now = 2
    await lock.acquire(batch[500:501])
    now = 4
    await lock.settle([Committed(batch[0], Marker(event_id(2), bytes(32), ""))], [])
    assert (len(shared.locks), len(shared.markers)) == (1, 500)
    now = 121
    await lock.acquire([])
    assert (len(shared.locks), len(shared.markers)) == (0, 1)


async def test_the_oldest_markers_go_when_there_are_too_many() -> None:
    shared = MemoryIdempotencyLock.Shared(most_markers=10)
    lock = MemoryIdempotencyLock(shared)
    batch = keys(30)
    for key in batch:
        await lock.settle([Committed(key, Marker(event_id(1), bytes(32), ""))], [])
    assert list(shared.markers) == batch[-10:]
