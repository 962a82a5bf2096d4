"""Keys kept at hand: not asked for at each request, refused 5 s after they were revoked, and valid through a gap."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.api_keys import MemoryApiKeys
from app.core.domain.api_key import ApiKey, NewApiKey, Scope
from app.core.domain.errors import Unavailable
from app.core.domain.ids import ApiKeyId, api_key_id
from app.core.policies.cached_api_keys import CachedApiKeys

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
DEPLOY = NewApiKey(api_key_id(10**18), "deploy", "oc_", b"deploy", Scope.READ, None)


class Store(MemoryApiKeys):
    """The one in memory, which can be away, or hold its answers back, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = Counter[bytes]()
        self.noted: list[Mapping[ApiKeyId, datetime]] = []

    async def find(self, digest: bytes) -> ApiKey | None:
        self.asked[digest] += 1
        found = await super().find(digest)  # as of now, however late the answer comes
        await self.answering.wait()
        self._fail_if_away()
        return found

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        self._fail_if_away()
        self.noted.append(dict(uses))

    def _fail_if_away(self) -> None:
        if self.away:
            raise Unavailable("away")


class House:
    """The cache on a store with one key, and a clock that a test sets."""

    def __init__(self, **more: float) -> None:
        self.store, self.now, self.failures = Store(), 0.0, list[Exception]()
        self.looks = 0
        self.keys = CachedApiKeys(
            self.store,
            clock=self.clock,
            on_failure=self.failures.append,
            **more,  # type: ignore[arg-type]
        )

    def clock(self) -> float:
        self.looks += 1
        return self.now

    async def created(self) -> "House":
        await self.keys.create(DEPLOY)
        return self

    async def found(self, digest: bytes = b"deploy") -> bool:
        return await self.keys.find(digest) is not None


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_key_is_asked_for_once_in_two_seconds() -> None:
    house = await House().created()
    for house.now in (0.0, 1.0, 2.0):
        assert await house.found()
    assert house.store.asked[b"deploy"] == 1
    house.now = 2.1
    assert await house.found()
    assert house.store.asked[b"deploy"] == 2


async def test_one_that_another_process_revoked_is_refused_when_it_is_asked_for_again() -> None:
    house = await House().created()
    assert await house.found()
    await house.store.revoke(DEPLOY.id)
    house.now = 2.0
    assert await house.found()
    house.now = 2.1
    assert not await house.found()
    house.store.away = True
    with pytest.raises(Unavailable):
        await house.found()


async def test_one_that_this_process_revoked_is_refused_at_once() -> None:
    house = await House().created()
    assert await house.found()
    await house.keys.revoke(DEPLOY.id)
    assert not await house.found()


async def test_while_the_database_is_away_a_key_is_believed_for_five_seconds_and_no_longer() -> None:
    """Counted from before it was read; an answer that came late makes it no younger."""
    house = await House().created()
    house.store.answering.clear()
    asking = asyncio.create_task(house.found())
    await until(lambda: house.store.asked[b"deploy"])
    house.now = 1.5
    house.store.answering.set()
    assert await asking
    house.store.away = True
    house.now = 5.0
    assert await house.found()
    house.now = 5.1
    with pytest.raises(Unavailable, match="away"):
        await house.found()


async def test_a_database_that_hangs_is_not_waited_for_for_long() -> None:
    house = await House(look_seconds=0.01).created()
    assert await house.found()
    house.store.answering.clear()
    house.now = 3.0
    assert await house.found()
    house.now = 6.0
    with pytest.raises(Unavailable, match="not found in time"):
        await house.found()


async def test_who_asks_for_the_same_key_meanwhile_shares_the_answer_and_may_go_away() -> None:
    house = await House().created()
    house.store.answering.clear()
    asking = [asyncio.create_task(house.found()) for _ in range(5)]
    await until(lambda: house.store.asked[b"deploy"])
    asking[0].cancel()
    house.store.answering.set()
    assert await asyncio.gather(*asking[1:]) == [True] * 4
    assert house.store.asked[b"deploy"] == 1


async def test_made_up_keys_are_looked_up_a_few_at_once_and_keep_no_known_one_out() -> None:
    house = await House(unknown_at_once=3).created()
    assert await house.found()
    house.now = 3.0
    house.store.answering.clear()
    made_up = [asyncio.create_task(house.found(b"made up %d" % number)) for number in range(3)]
    await until(lambda: len(house.store.asked) == 4)
    with pytest.raises(Unavailable, match="too many unknown keys"):
        await house.found(b"one more")
    known = asyncio.create_task(house.found())
    await until(lambda: house.store.asked[b"deploy"] == 2)
    house.store.answering.set()
    assert await known
    assert await asyncio.gather(*made_up) == [False] * 3
    assert not await house.found(b"one more")


async def test_uses_are_written_soon_then_once_a_minute_and_at_the_end() -> None:
    house = await House(write_seconds=0.001).created()
    stop = asyncio.Event()
    writing = asyncio.create_task(house.keys.run(stop))
    await house.keys.note_uses({DEPLOY.id: NOON})
    await until(lambda: house.store.noted)
    later = [NOON + timedelta(seconds=seconds) for seconds in (1, 3, 2, 70)]
    for at in later[:3]:
        await house.keys.note_uses({DEPLOY.id: at})
    looks = house.looks
    await until(lambda: house.looks > looks + 3)
    assert house.store.noted == [{DEPLOY.id: NOON}]
    house.now = 60.0
    await until(lambda: len(house.store.noted) == 2)
    await house.keys.note_uses({DEPLOY.id: later[3]})
    stop.set()
    await writing
    assert house.store.noted == [{DEPLOY.id: NOON}, {DEPLOY.id: later[1]}, {DEPLOY.id: later[3]}]


async def test_uses_that_cannot_be_written_are_written_later() -> None:
    house = await House(write_seconds=0.001).created()
    house.store.away = True
    await house.keys.note_uses({DEPLOY.id: NOON})
    stop = asyncio.Event()
    writing = asyncio.create_task(house.keys.run(stop))
    await until(lambda: len(house.failures) > 1)
    house.store.away = False
    await until(lambda: house.store.noted)
    stop.set()
    await writing
    assert house.store.noted == [{DEPLOY.id: NOON}]
