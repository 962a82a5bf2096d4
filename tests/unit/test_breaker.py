"""The circuit breaker by itself, and around a lock that fails on demand. Time is what the test says."""

import asyncio
from collections.abc import Sequence

import pytest

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.core.domain.breaker import BreakerState, CircuitBreaker
from app.core.domain.errors import OutcomeUnknown, RowRejected, Unavailable
from app.core.policies.breaker import BreakingLock, BreakingStore, Guard, GuardedProbe
from app.core.ports.event_store import Appended
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker
from tests.conformance.stores import new_event
from tests.unit.commanded_store import CommandedStore

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
KEY = bytes(32)


class SwitchableLock(IdempotencyLock):
    """A lock in memory that can be away, or slow; it counts who got to it."""

    def __init__(self) -> None:
        self._inner = MemoryIdempotencyLock()
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.reached = asyncio.Event()
        self.calls = 0

    async def _reached(self) -> None:
        self.calls += 1
        self.reached.set()
        await self.answers.wait()
        if self.error is not None:
            raise self.error

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        await self._reached()
        return await self._inner.acquire(keys)

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        await self._reached()
        await self._inner.settle(committed, released)


class Bench:
    """A breaking lock (3 errors, 10 s) around a switchable one, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.inner = SwitchableLock()
        self.guard = Guard("Redis", errors=3, open_seconds=10, clock=lambda: self.now)
        self.lock = BreakingLock(self.inner, self.guard)

    async def fail(self, times: int) -> None:
        self.inner.error = Unavailable("Redis at example:1 is away")
        for _ in range(times):
            with pytest.raises(Unavailable):
                await self.lock.acquire([KEY])

    async def half_open(self) -> None:
        await self.fail(3)
        self.now += 10
        self.inner.calls = 0
        self.inner.reached.clear()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_it_opens_after_errors_in_a_row_and_then_asks_nobody(bench: Bench) -> None:
    await bench.fail(2)
    assert bench.guard.state is CLOSED
    await bench.fail(1)
    assert bench.guard.state is OPEN
    bench.now += 9.9
    with pytest.raises(Unavailable, match="Redis at example:1 is away"):
        await bench.lock.acquire([KEY])
    with pytest.raises(Unavailable):
        await bench.lock.settle([], [KEY])
    assert bench.inner.calls == 3


async def test_a_success_in_between_starts_the_count_anew(bench: Bench) -> None:
    await bench.fail(2)
    bench.inner.error = None
    await bench.lock.settle([], [KEY])
    await bench.fail(2)
    assert bench.guard.state is CLOSED


async def test_a_successful_probe_closes_it(bench: Bench) -> None:
    await bench.half_open()
    bench.inner.error = None
    assert bench.guard.state is HALF_OPEN
    assert list(await bench.lock.acquire([KEY])) == [Lock.HELD]
    assert bench.guard.state is CLOSED


async def test_a_failed_probe_opens_it_for_the_whole_time_again(bench: Bench) -> None:
    await bench.half_open()
    await bench.fail(1)
    bench.now += 9.9
    assert bench.guard.state is OPEN
    bench.now += 0.2
    assert bench.guard.state is HALF_OPEN


async def test_of_100_callers_in_half_open_exactly_one_goes_through(bench: Bench) -> None:
    await bench.half_open()
    bench.inner.error = None
    bench.inner.answers.clear()
    callers = [asyncio.create_task(bench.lock.acquire([KEY])) for _ in range(100)]
    refused, probing = await asyncio.wait(callers, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
    while len(refused) < 99:
        done, probing = await asyncio.wait(probing, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert done
        refused |= done
    assert all(isinstance(caller.exception(), Unavailable) for caller in refused)
    assert bench.inner.calls == 1
    bench.inner.answers.set()
    [probe] = probing
    assert list(await probe) == [Lock.HELD]
    assert bench.guard.state is CLOSED


async def test_a_cancelled_probe_lets_the_next_caller_try(bench: Bench) -> None:
    await bench.half_open()
    bench.inner.error = None
    bench.inner.answers.clear()
    probe = asyncio.create_task(bench.lock.acquire([KEY]))
    await bench.inner.reached.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert bench.guard.state is HALF_OPEN
    bench.inner.answers.set()
    assert list(await bench.lock.acquire([KEY])) == [Lock.HELD]
    assert bench.guard.state is CLOSED


async def test_a_defect_of_ours_counts_for_nothing(bench: Bench) -> None:
    """Only `Unavailable` is a word about the lock; anything else neither opens it nor blocks the probe."""
    bench.inner.error = ValueError("a delivery key has the wrong length")
    for _ in range(5):
        with pytest.raises(ValueError, match="wrong length"):
            await bench.lock.acquire([KEY])
    assert bench.guard.state is CLOSED


async def test_an_empty_batch_is_no_probe(bench: Bench) -> None:
    await bench.half_open()
    assert list(await bench.lock.acquire([])) == []
    await bench.lock.settle([], [])
    assert bench.guard.state is HALF_OPEN
    assert bench.inner.calls == 0


def test_what_calls_of_an_earlier_turn_report_is_passed_over() -> None:
    """Calls that hung since before the breaker opened neither prolong it, nor close it, nor end the probe."""
    breaker = CircuitBreaker(errors=2, open_seconds=10)
    old = [turn for _ in range(6) if (turn := breaker.let_through(0)) is not None]
    assert len(old) == 6
    breaker.failed(old[0], 1)
    breaker.failed(old[1], 1)
    breaker.failed(old[2], 5)
    breaker.failed(old[3], 5)
    assert breaker.state(11) is HALF_OPEN
    probe = breaker.let_through(11)
    assert probe is not None
    breaker.succeeded(old[4])
    breaker.abandoned(old[5])
    assert breaker.state(11) is HALF_OPEN
    assert breaker.let_through(11) is None
    breaker.succeeded(probe)
    assert breaker.state(11) is CLOSED


async def test_it_tells_once_when_the_lock_is_lost_and_once_when_it_is_back() -> None:
    """However often it is probed in between: one line each for the operator."""
    now = 0.0
    told: list[str] = []
    inner = SwitchableLock()
    guard = Guard(
        "Redis",
        errors=2,
        open_seconds=3,
        clock=lambda: now,
        on_lost=lambda error: told.append(str(error)),
        on_recovered=lambda: told.append("back"),
    )
    lock = BreakingLock(inner, guard)
    for _ in range(2):
        inner.error = Unavailable("gone")
        for _ in range(5):
            now += 4
            with pytest.raises(Unavailable):
                await lock.acquire([KEY])
        inner.error = None
        for _ in range(3):
            now += 4
            await lock.acquire([KEY])
    assert told == ["gone", "back"] * 2


async def test_while_it_is_open_nothing_is_kept_and_nobody_waits_to_hear_so() -> None:
    """`OutcomeUnknown` counts as well: a commit that hangs is no sign of health."""
    now = 0.0
    inner = CommandedStore()
    store = BreakingStore(inner, Guard("Postgres", errors=2, open_seconds=1, clock=lambda: now))
    inner.before = [Unavailable("refused")]
    inner.after = [OutcomeUnknown("no answer in time")]
    for expected in (Unavailable, OutcomeUnknown):
        with pytest.raises(expected):
            await store.append([new_event("1")])
    inner.open.clear()
    with pytest.raises(Unavailable, match="Postgres is left alone for a while after failing: no answer in time"):
        await store.append([new_event("2")])
    inner.open.set()
    now += 1
    assert [type(outcome) for outcome in await store.append([new_event("2")])] == [Appended]
    assert len(inner.calls) == 3


async def test_a_row_at_fault_is_no_word_against_the_store() -> None:
    inner = CommandedStore()
    guard = Guard("Postgres", errors=1, open_seconds=1)
    store = BreakingStore(inner, guard)
    bad = new_event("bad")
    inner.at_fault[bad.key] = RowRejected
    for _ in range(3):
        with pytest.raises(RowRejected):
            await store.append([bad])
    assert guard.state is CLOSED


class Well:
    """A probe that always succeeds."""

    name = "db"

    async def check(self) -> float:
        return 1.0


async def test_whoever_comes_during_the_probe_shares_its_fate() -> None:
    """All are kept when it succeeds; when it fails, all hear so, and none of them asks again."""
    now = 0.0
    inner = CommandedStore()
    guard = Guard("Postgres", errors=1, open_seconds=1, clock=lambda: now)
    store = BreakingStore(inner, guard)
    inner.before = [Unavailable("refused"), Unavailable("still refused")]
    with pytest.raises(Unavailable):
        await store.append([new_event("0")])

    async def three_at_once() -> list[object]:
        inner.open.clear()
        calls = [asyncio.ensure_future(store.append([new_event(str(number))])) for number in range(3)]
        while guard.state is HALF_OPEN and len(inner.calls) == asked:
            await asyncio.sleep(0)
        assert not any(call.done() for call in calls)
        inner.open.set()
        return list(await asyncio.gather(*calls, return_exceptions=True))

    now += 1
    asked = len(inner.calls)
    assert [str(error) for error in await three_at_once()] == [
        "still refused",
        *["Postgres is left alone for a while after failing: still refused"] * 2,
    ]
    assert len(inner.calls) == asked + 1
    now += 1
    asked = len(inner.calls)
    assert all(isinstance(outcomes, list) for outcomes in await three_at_once())
    assert len(inner.calls) == asked + 3


async def test_health_knows_that_nothing_is_kept_while_it_is_open() -> None:
    """However well the database is by then; once the next call would be let through, it may come."""
    now = 0.0
    guard = Guard("Postgres", errors=1, open_seconds=1, clock=lambda: now)
    probe = GuardedProbe(Well(), guard)
    assert (probe.name, await probe.check()) == ("db", 1.0)
    inner = CommandedStore()
    inner.before = [Unavailable("refused")]
    with pytest.raises(Unavailable):
        await BreakingStore(inner, guard).append([new_event("1")])
    with pytest.raises(Unavailable, match="left alone"):
        await probe.check()
    now += 1
    assert await probe.check() == 1.0
