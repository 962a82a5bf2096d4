"""What every idempotency lock promises. Two lock objects on one store are two processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from secrets import token_bytes

import pytest

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.adapters.redis.idempotency_lock import RedisIdempotencyLock
from app.core.domain.errors import Unavailable
from app.core.domain.ids import event_id
from app.core.policies.breaker import BreakingLock, Guard
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

HELD, BUSY = Lock.HELD, Lock.BUSY
LONG, SHORT = 60.0, 0.1


@dataclass(frozen=True)
class Traits:
    """What a kind of lock does not share with all others."""

    remote: bool
    """It stands behind a network, so it can be away."""


@dataclass(frozen=True)
class Store:
    """One store of locks and markers. `tick` lets a little time pass for it."""

    open: Callable[..., IdempotencyLock]
    tick: Callable[[], Awaitable[None]]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until the condition holds."""
        for _ in range(1000):
            if await condition():
                return
            await self.tick()
        pytest.fail("it did not happen in time")


KINDS = {
    f"{policy}{adapter}": Traits(remote=adapter == "redis")
    for adapter in ("memory", "redis")
    for policy in ("", "breaking-")
}
NOWHERE = "redis://:secret@127.0.0.1:1/0"


def _memory_store(wrap: Callable[[IdempotencyLock], IdempotencyLock]) -> Store:
    now = 0.0

    async def tick() -> None:
        nonlocal now
        now += 0.01

    shared = MemoryIdempotencyLock.Shared(clock=lambda: now)

    def open_lock(lock_seconds: float = LONG, marker_seconds: float = LONG) -> IdempotencyLock:
        return wrap(MemoryIdempotencyLock(shared, lock_seconds=lock_seconds, marker_seconds=marker_seconds))

    return Store(open_lock, tick)


def _redis_store(url: str, stack: AsyncExitStack, wrap: Callable[[IdempotencyLock], IdempotencyLock]) -> Store:
    def open_lock(lock_seconds: float = LONG, marker_seconds: float = LONG) -> IdempotencyLock:
        lock = RedisIdempotencyLock(
            url, connect_seconds=5, operation_seconds=5, lock_seconds=lock_seconds, marker_seconds=marker_seconds
        )
        stack.push_async_callback(lock.close)
        return wrap(lock)

    return Store(open_lock, lambda: asyncio.sleep(0.01))


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Store]:
    """Each kind of store."""
    policy, _, adapter = request.param.rpartition("-")
    wrap: Callable[[IdempotencyLock], IdempotencyLock] = breaking if policy else lambda lock: lock
    async with AsyncExitStack() as stack:
        if adapter == "memory":
            yield _memory_store(wrap)
        else:
            yield _redis_store(redis_url, stack, wrap)


@pytest.fixture(params=[kind for kind, traits in KINDS.items() if traits.remote])
async def lock_that_is_away(request: pytest.FixtureRequest) -> IdempotencyLock:
    """Each kind of lock that can be away, with nobody at its address."""
    lock = RedisIdempotencyLock(NOWHERE)
    return breaking(lock) if request.param.startswith("breaking") else lock


def breaking(lock: IdempotencyLock) -> IdempotencyLock:
    return BreakingLock(lock, Guard("Redis", errors=5, open_seconds=3))


def keys(count: int) -> list[bytes]:
    """Keys that no other test has."""
    return [token_bytes(32) for _ in range(count)]


def marker(epoch: str = "7300000000000000000/16384/1760000000.5") -> Marker:
    """A marker that names an event of its own."""
    return Marker(event_id(Random().getrandbits(60)), token_bytes(32), epoch)


async def test_free_keys_are_taken(store: Store) -> None:
    assert list(await store.open().acquire(keys(3))) == [HELD, HELD, HELD]


async def test_another_process_finds_a_held_key_busy(store: Store) -> None:
    [key] = keys(1)
    await store.open().acquire([key])
    assert list(await store.open().acquire([key])) == [BUSY]


async def test_a_lock_object_finds_its_own_key_held_again(store: Store) -> None:
    [key] = keys(1)
    lock = store.open()
    assert [list(await lock.acquire([key])) for _ in range(3)] == [[HELD]] * 3


async def test_answers_come_in_the_order_of_the_keys(store: Store) -> None:
    """Free, busy, own and marked keys, in any order and number."""
    lock, other = store.open(), store.open()
    expected: dict[bytes, Lock | Marker] = dict.fromkeys(keys(5), HELD)
    expected |= dict.fromkeys(busy := keys(5), BUSY)
    expected |= dict.fromkeys(own := keys(5), HELD)
    expected |= (marked := {key: marker() for key in keys(5)})
    await other.acquire(busy)
    await lock.acquire(own)
    await other.settle([Committed(key, note) for key, note in marked.items()], [])
    asked = list(expected)
    for seed in range(5):
        Random(seed).shuffle(asked)
        assert list(await lock.acquire(asked)) == [expected[key] for key in asked]


async def test_no_keys_get_no_answers(store: Store) -> None:
    lock = store.open()
    assert list(await lock.acquire([])) == []
    await lock.settle([], [])


async def test_a_key_asked_for_twice_in_one_call_gets_the_same_answer_twice(store: Store) -> None:
    free, busy, marked = keys(3)
    lock, other = store.open(), store.open()
    note = marker()
    await other.acquire([busy])
    await other.settle([Committed(marked, note)], [])
    assert list(await lock.acquire([free, busy, marked] * 2)) == [HELD, BUSY, note] * 2
    await lock.settle([], [free, free])
    assert list(await other.acquire([free])) == [HELD]


async def test_300_keys_are_settled_as_one(store: Store) -> None:
    lock, other = store.open(), store.open()
    batch = keys(300)
    assert list(await lock.acquire(batch)) == [HELD] * 300
    assert list(await other.acquire(batch)) == [BUSY] * 300
    notes = [marker() for _ in range(200)]
    await lock.settle([Committed(*pair) for pair in zip(batch, notes, strict=False)], batch[200:])
    assert list(await other.acquire(batch)) == notes + [HELD] * 100


async def test_keys_of_any_bytes_are_kept_apart(store: Store) -> None:
    """NUL, line ends, quotes and whatever a script or a protocol might stumble over."""
    lock, other = store.open(), store.open()
    salt = token_bytes(24)
    odd = [
        (piece * 8)[:8] + salt for piece in (b"\0", b"\n", b"\r\n", b"\r", b"$3\r\n", b"*", b"%s%d", b"'\"\\", b"\xff")
    ]
    notes = [marker() for _ in odd]
    assert list(await lock.acquire(odd[::2])) == [HELD] * len(odd[::2])
    expected = [HELD if place % 2 else BUSY for place in range(len(odd))]
    assert list(await other.acquire(odd)) == expected
    await lock.settle([Committed(*pair) for pair in zip(odd, notes, strict=True)], [])
    assert list(await other.acquire(odd)) == notes


async def test_a_lock_that_nobody_settles_frees_itself(store: Store) -> None:
    [key] = keys(1)
    other = store.open()
    await store.open(lock_seconds=SHORT).acquire([key])

    async def is_free() -> bool:
        return list(await other.acquire([key])) == [HELD]

    await store.until(is_free)


async def test_a_released_key_is_free_at_once(store: Store) -> None:
    released, kept = keys(2)
    lock, other = store.open(), store.open()
    await lock.acquire([released, kept])
    await lock.settle([], [released])
    assert list(await other.acquire([released, kept])) == [HELD, BUSY]


async def test_nobody_frees_the_key_of_another(store: Store) -> None:
    [key] = keys(1)
    lock, other, third = (store.open() for _ in range(3))
    await lock.acquire([key])
    await other.settle([], [key])
    assert list(await third.acquire([key])) == [BUSY]


async def test_a_key_that_was_lost_meanwhile_is_not_freed(store: Store) -> None:
    """The time of a lock runs out, another process takes the key, then the first one comes to release it."""
    [key] = keys(1)
    slow, other, third = store.open(lock_seconds=SHORT), store.open(), store.open()
    await slow.acquire([key])

    async def other_has_it() -> bool:
        return list(await other.acquire([key])) == [HELD]

    await store.until(other_has_it)
    await slow.settle([], [key])
    assert list(await third.acquire([key])) == [BUSY]


async def test_releasing_what_is_not_held_changes_nothing(store: Store) -> None:
    free, marked = keys(2)
    lock = store.open()
    note = marker()
    await lock.settle([Committed(marked, note)], [])
    await lock.settle([], [free, marked])
    assert list(await lock.acquire([free, marked])) == [HELD, note]


async def test_a_marker_answers_every_process_alike(store: Store) -> None:
    [key] = keys(1)
    lock, other = store.open(), store.open()
    note = marker()
    await lock.acquire([key])
    await lock.settle([Committed(key, note)], [])
    for asking in (lock, other):
        [answer] = await asking.acquire([key])
        assert answer == note
        assert isinstance(answer, Marker)


async def test_a_marker_is_left_whoever_holds_the_key(store: Store) -> None:
    """The commit has happened; a lock that ran out, or was lost, does not make it less true."""
    lost, never_taken = keys(2)
    lock, other = store.open(), store.open()
    notes = [marker(), marker()]
    await other.acquire([lost])
    await lock.settle([Committed(lost, notes[0]), Committed(never_taken, notes[1])], [])
    await other.settle([], [lost])
    assert list(await other.acquire([lost, never_taken])) == notes


async def test_the_last_marker_counts(store: Store) -> None:
    [key] = keys(1)
    lock = store.open()
    first, second, third = marker("1"), marker("2"), marker("1")
    await lock.settle([Committed(key, first)], [])
    await lock.settle([Committed(key, second), Committed(key, third)], [])
    assert list(await lock.acquire([key])) == [third]


async def test_a_key_committed_and_released_at_once_stays_marked(store: Store) -> None:
    [key] = keys(1)
    lock = store.open()
    note = marker()
    await lock.acquire([key])
    await lock.settle([Committed(key, note)], [key])
    assert list(await lock.acquire([key])) == [note]


async def test_a_marker_expires_and_leaves_the_key_free(store: Store) -> None:
    [key] = keys(1)
    lock, other = store.open(marker_seconds=SHORT), store.open()
    await lock.acquire([key])
    await lock.settle([Committed(key, marker())], [])

    async def is_free() -> bool:
        return list(await other.acquire([key])) == [HELD]

    await store.until(is_free)


@pytest.mark.parametrize("epoch", ["", "é 漢 🙂", "x" * 10_000, "a\0b\r\nc", "M", "\ud800"], ids=ascii)
async def test_a_marker_comes_back_as_it_was_left(store: Store, epoch: str) -> None:
    [key] = keys(1)
    lock = store.open()
    note = Marker(event_id(1), b"\0\r\n\xff" * 8, epoch)
    await lock.settle([Committed(key, note)], [])
    assert list(await lock.acquire([key])) == [note]


async def test_markers_of_several_epochs_are_left_in_one_call(store: Store) -> None:
    batch = keys(20)
    lock = store.open()
    notes = [marker(f"epoch {place % 3}") for place in range(20)]
    await lock.settle([Committed(*pair) for pair in zip(batch, notes, strict=True)], [])
    assert list(await lock.acquire(batch)) == notes


async def test_two_processes_at_once_get_each_key_for_one_of_them(store: Store) -> None:
    contenders = store.open(), store.open()
    contended = keys(200)

    async def ask(number: int) -> set[tuple[int, bytes]]:
        chosen = Random(number).sample(contended, 50)
        answers = await contenders[number % 2].acquire(chosen)
        assert set(answers) <= {HELD, BUSY}
        return {(number % 2, key) for key, answer in zip(chosen, answers, strict=True) if answer is HELD}

    held = set[tuple[int, bytes]]().union(*await asyncio.gather(*(ask(number) for number in range(60))))
    assert sorted(key for _, key in held) == sorted(contended)
    assert len({holder for holder, _ in held}) == 2


async def test_a_lock_that_cannot_be_asked_is_unavailable(lock_that_is_away: IdempotencyLock) -> None:
    [key] = keys(1)
    with pytest.raises(Unavailable):
        await lock_that_is_away.acquire([key])
    with pytest.raises(Unavailable):
        await lock_that_is_away.settle([], [key])
