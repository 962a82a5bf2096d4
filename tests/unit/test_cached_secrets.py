"""The secrets kept at hand: hits without waiting, rotation seen in seconds, failures hardly remembered."""

import asyncio
from collections import Counter

import pytest

from app.core.domain.errors import SecretMissing, Unavailable
from app.core.policies.cached_secrets import CachedSecrets
from app.core.ports.secret_store import SecretStore


class Store(SecretStore):
    """One whose secrets a test changes, which counts what it is asked and can hold its answers back."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.asked = Counter[str]()
        self.away = False
        self.being_asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def resolve(self, reference: str) -> bytes:
        self.asked[reference] += 1
        self.being_asked.set()
        await self.answering.wait()
        if self.away:
            raise Unavailable("away")
        if reference not in self.values:
            raise SecretMissing(f"{reference} is not there")
        return self.values[reference]

    def fault(self, reference: str) -> str | None:
        return None if reference.startswith("env:") else "must begin with env:"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(store: Store, clock: Clock) -> CachedSecrets:
    return CachedSecrets(store, clock=clock)


async def test_a_secret_at_hand_is_given_without_waiting(store: Store, cached: CachedSecrets) -> None:
    store.values["env:A"] = b"one"
    assert await cached.resolve("env:A") == b"one"
    asking = cached.resolve("env:A")
    with pytest.raises(StopIteration) as answered:
        asking.send(None)
    assert answered.value.value == b"one"
    assert store.asked["env:A"] == 1


async def test_a_rotated_secret_is_seen_within_five_seconds(store: Store, cached: CachedSecrets, clock: Clock) -> None:
    store.values["env:A"] = b"one"
    await cached.resolve("env:A")
    store.values["env:A"] = b"two"
    clock.seconds += 4.9
    assert await cached.resolve("env:A") == b"one"
    clock.seconds += 0.1
    assert await cached.resolve("env:A") == b"two"


async def test_a_removed_secret_is_no_longer_given_after_five_seconds(
    store: Store, cached: CachedSecrets, clock: Clock
) -> None:
    store.values["env:A"] = b"one"
    await cached.resolve("env:A")
    del store.values["env:A"]
    clock.seconds += 5
    with pytest.raises(SecretMissing):
        await cached.resolve("env:A")


async def test_a_missing_secret_is_remembered_for_one_second_with_its_reason(
    store: Store, cached: CachedSecrets, clock: Clock
) -> None:
    for _ in range(2):
        with pytest.raises(SecretMissing, match="env:A is not there"):
            await cached.resolve("env:A")
    assert store.asked["env:A"] == 1
    store.values["env:A"] = b"one"
    clock.seconds += 1
    assert await cached.resolve("env:A") == b"one"


async def test_a_store_that_is_away_is_asked_again_at_once(store: Store, cached: CachedSecrets) -> None:
    store.values["env:A"] = b"one"
    store.away = True
    with pytest.raises(Unavailable):
        await cached.resolve("env:A")
    store.away = False
    assert await cached.resolve("env:A") == b"one"


async def test_many_who_ask_at_once_ask_the_store_once(store: Store, cached: CachedSecrets) -> None:
    store.values["env:A"] = b"one"
    store.answering.clear()
    asking = [asyncio.create_task(cached.resolve("env:A")) for _ in range(20)]
    await asyncio.wait_for(store.being_asked.wait(), 5)
    asking[0].cancel()
    store.answering.set()
    assert (await asyncio.gather(*asking, return_exceptions=True))[1:] == [b"one"] * 19
    assert store.asked["env:A"] == 1
