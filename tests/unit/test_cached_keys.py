"""Providers' keys kept at hand: hits without waiting, an old key while a new one comes, strangers kept in bounds."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from app.core.domain.errors import KeyMissing, Unavailable
from app.core.domain.fetch_allowance import FetchBounds
from app.core.policies.cached_keys import CachedKeys
from app.core.ports.provider_keys import ProviderKeys

A = "https://one.test/a"


class Provider(ProviderKeys):
    """One whose keys a test changes, which counts what it is asked and can hold its answers back."""

    def __init__(self) -> None:
        self.keys = {A: b"old"}
        self.asked = Counter[str]()
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()

    async def get(self, url: str, *, max_age_seconds: float | None = None) -> bytes:
        self.asked[url] += 1
        await self.answering.wait()
        if self.away:
            raise Unavailable("away")
        if url not in self.keys:
            raise KeyMissing(f"{url} is not there")
        return self.keys[url]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(provider: Provider, clock: Clock) -> CachedKeys:
    return CachedKeys(provider, clock=clock)


def now(cached: CachedKeys, url: str = A) -> bytes:
    """Ask, and insist on an answer without a single suspension."""
    asking = cached.get(url)
    with pytest.raises(StopIteration) as answered:
        asking.send(None)
    found: bytes = answered.value.value
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def settled(cached: CachedKeys) -> None:
    """Wait until no fetch is under way."""
    await until(lambda: not cached._fetches)


async def test_a_key_at_hand_is_given_without_waiting(provider: Provider, cached: CachedKeys, clock: Clock) -> None:
    assert await cached.get(A) == b"old"
    clock.seconds += 1799
    assert now(cached) == b"old"
    assert provider.asked[A] == 1


async def test_a_key_is_renewed_in_the_background_while_the_old_one_serves(
    provider: Provider, cached: CachedKeys, clock: Clock
) -> None:
    await cached.get(A)
    provider.keys[A] = b"new"
    clock.seconds += 1800
    provider.answering.clear()
    assert [now(cached) for _ in range(3)] == [b"old"] * 3
    await until(lambda: provider.asked[A] == 2)
    assert now(cached) == b"old"
    provider.answering.set()
    await settled(cached)
    assert now(cached) == b"new"
    assert provider.asked[A] == 2
    assert cached._bytes == len(b"new")


async def test_a_provider_that_is_away_does_not_take_a_key_away_before_its_hour(
    provider: Provider, cached: CachedKeys, clock: Clock
) -> None:
    """Meanwhile it is asked again, but not with every request."""
    await cached.get(A)
    provider.away = True
    clock.seconds += 1800
    for _ in range(3):
        assert now(cached) == b"old"
        await settled(cached)
    assert provider.asked[A] == 2
    clock.seconds += 1799
    assert now(cached) == b"old"
    await settled(cached)
    assert provider.asked[A] == 3
    clock.seconds += 1
    with pytest.raises(Unavailable, match="away"):
        await cached.get(A)


async def test_a_key_is_as_old_as_the_moment_before_it_was_read(
    provider: Provider, cached: CachedKeys, clock: Clock
) -> None:
    provider.answering.clear()
    asking = asyncio.create_task(cached.get(A))
    await until(lambda: provider.asked[A])
    clock.seconds += 3600
    provider.answering.set()
    await asking
    provider.away = True
    with pytest.raises(Unavailable):
        await cached.get(A)


async def test_a_key_that_the_provider_has_withdrawn_is_given_no_longer(
    provider: Provider, cached: CachedKeys, clock: Clock
) -> None:
    await cached.get(A)
    del provider.keys[A]
    clock.seconds += 1800
    assert now(cached) == b"old"
    await settled(cached)
    with pytest.raises(KeyMissing):
        await cached.get(A)


async def test_who_wants_a_younger_key_waits_for_it_once(provider: Provider, cached: CachedKeys, clock: Clock) -> None:
    """A set of keys may have been renewed; one that is young already is not asked for again."""
    await cached.get(A)
    provider.keys[A] = b"new"
    clock.seconds += 60
    assert await cached.get(A, max_age_seconds=61) == b"old"
    assert await cached.get(A, max_age_seconds=60) == b"new"
    assert await cached.get(A, max_age_seconds=60) == b"new"
    assert provider.asked[A] == 2
    provider.away = True
    clock.seconds += 60
    with pytest.raises(Unavailable):
        await cached.get(A, max_age_seconds=60)
    assert now(cached) == b"new"


async def test_a_wave_of_requests_for_one_key_asks_once(provider: Provider, cached: CachedKeys) -> None:
    provider.answering.clear()
    wave = [asyncio.create_task(cached.get(A)) for _ in range(50)]
    await until(lambda: provider.asked[A])
    wave[0].cancel()
    provider.answering.set()
    assert (await asyncio.gather(*wave, return_exceptions=True))[1:] == [b"old"] * 49
    assert provider.asked[A] == 1


async def test_nobody_waits_long_and_the_key_is_there_for_who_comes_next(provider: Provider) -> None:
    cached = CachedKeys(provider, wait_seconds=0.01)
    provider.answering.clear()
    with pytest.raises(Unavailable, match=r"not there within 0\.01 s"):
        await cached.get(A)
    provider.answering.set()
    await settled(cached)
    assert now(cached) == b"old"
    assert provider.asked[A] == 1


async def test_a_failure_is_remembered_for_a_while_with_its_reason(provider: Provider, clock: Clock) -> None:
    told: list[Exception] = []
    cached = CachedKeys(provider, clock=clock, on_failure=told.append)
    provider.away = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="away"):
            await cached.get(A)
    assert (provider.asked[A], len(told)) == (1, 1)
    provider.away = False
    clock.seconds += 5
    assert await cached.get(A) == b"old"


async def test_a_missing_key_is_remembered_for_a_minute_and_is_nobodys_trouble(
    provider: Provider, clock: Clock
) -> None:
    told: list[Exception] = []
    cached = CachedKeys(provider, clock=clock, on_failure=told.append)
    url = "https://one.test/absent"
    for _ in range(3):
        with pytest.raises(KeyMissing, match="absent is not there"):
            await cached.get(url)
        clock.seconds += 19.9
    assert (provider.asked[url], told) == (1, [])
    provider.keys[url] = b"late"
    clock.seconds += 0.4
    assert await cached.get(url) == b"late"


async def test_the_keys_used_least_recently_go_first_by_number_and_by_size(provider: Provider, clock: Clock) -> None:
    provider.keys |= {f"https://one.test/{number}": bytes(100) for number in range(4)}
    urls = [f"https://one.test/{number}" for number in range(4)]
    for bound in ({"most_keys": 3}, {"most_bytes": 399}):
        cached = CachedKeys(provider, clock=clock, **bound)  # type: ignore[arg-type]
        for url in urls[:3]:
            await cached.get(url)
        now(cached, urls[0])
        await cached.get(urls[3])
        assert list(cached._kept) == [urls[2], urls[0], urls[3]]
        assert cached._bytes == 300


async def test_failures_are_remembered_within_bounds(provider: Provider, clock: Clock) -> None:
    cached = CachedKeys(provider, clock=clock)
    for number in range(1000):
        clock.seconds += 3
        with pytest.raises(KeyMissing):
            await cached.get(f"https://one.test/absent/{number}")
    assert len(cached._failures) == 256


async def test_strangers_cause_only_so_many_fetches_at_once_and_leave_other_hosts_room(
    provider: Provider, clock: Clock
) -> None:
    cached = CachedKeys(provider, clock=clock, wait_seconds=60)
    await cached.get(A)
    provider.answering.clear()
    tasks = [asyncio.create_task(cached.get(f"https://one.test/{number}")) for number in range(10)]
    await until(lambda: sum(task.done() for task in tasks) == 8 and len(provider.asked) == 1 + 2)
    others = [asyncio.create_task(cached.get(f"https://h{number}.test/")) for number in range(10)]
    await until(lambda: sum(task.done() for task in others) == 4 and len(provider.asked) == 1 + 8)
    assert now(cached) == b"old"
    provider.answering.set()
    await asyncio.gather(*tasks, *others, return_exceptions=True)
    assert len(provider.asked) == 1 + 8
    with pytest.raises(KeyMissing):
        await cached.get("https://one.test/later")


async def test_strangers_cause_only_so_many_fetches_a_minute(provider: Provider, clock: Clock) -> None:
    cached = CachedKeys(provider, clock=clock)
    for number in range(100):
        with pytest.raises(Unavailable):
            await cached.get(f"https://one.test/absent/{number}")
    assert provider.asked.total() == 20
    for number in range(100):
        with pytest.raises(Unavailable):
            await cached.get(f"https://h{number}.test/absent")
    assert provider.asked.total() == 60
    clock.seconds += 60
    assert await cached.get(A) == b"old"


async def test_a_flood_of_strangers_does_not_keep_a_known_key_from_being_renewed(
    provider: Provider, clock: Clock
) -> None:
    """Neither before it is too old nor after."""
    cached = CachedKeys(provider, clock=clock, bounds=FetchBounds(per_minute=3))
    await cached.get(A)
    provider.keys[A] = b"new"
    clock.seconds += 1800
    for number in range(10):
        with pytest.raises(Unavailable):
            await cached.get(f"https://one.test/absent/{number}")
    now(cached)
    await settled(cached)
    assert now(cached) == b"new"
    clock.seconds += 3600
    for number in range(10):
        with pytest.raises(Unavailable):
            await cached.get(f"https://one.test/other/{number}")
    assert await cached.get(A) == b"new"


async def test_closing_ends_the_fetches_and_tells_those_who_wait(provider: Provider) -> None:
    cached = CachedKeys(provider, wait_seconds=60)
    provider.answering.clear()
    asking = asyncio.create_task(cached.get(A))
    await until(lambda: provider.asked[A])
    await cached.close()
    with pytest.raises(Unavailable, match="ended"):
        await asking


async def test_a_failed_fetch_that_nobody_waits_for_any_more_troubles_nobody(provider: Provider) -> None:
    cached = CachedKeys(provider, wait_seconds=0.01)
    provider.away = True
    provider.answering.clear()
    with pytest.raises(Unavailable):
        await cached.get(A)
    provider.answering.set()
    await settled(cached)
