"""The sources kept at hand: hits without waiting, changes seen, misses bounded, and a registry that may be away."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from app.adapters.memory.source_registry import MemorySourceRegistry
from app.core.domain.errors import Unavailable
from app.core.domain.source import Source
from app.core.policies.cached_sources import CachedSources

DEMO = Source(name="demo", provider="b", verify=None)


class Registry(MemorySourceRegistry):
    """The one in memory, which can be away, or hold its answers back, and counts what it is asked."""

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        super().__init__(sources)
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = Counter[str]()
        self.loads = 0

    async def get(self, name: str) -> Source | None:
        self.asked[name] += 1
        found = await super().get(name)  # as of now, however late the answer comes
        await self._answer()
        return found

    async def all(self) -> Sequence[Source]:
        self.loads += 1
        found = await super().all()
        await self._answer()
        return found

    def put(self, source: Source) -> None:
        self.by_name[source.name] = source

    def forget(self, name: str) -> None:
        del self.by_name[name]

    async def _answer(self) -> None:
        await self.answering.wait()
        if self.away:
            raise Unavailable("away")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def now(cached: CachedSources, name: str) -> Source | None:
    """Ask, and insist on an answer without a single suspension."""
    asking = cached.get(name)
    with pytest.raises(StopIteration) as answered:
        asking.send(None)
    found: Source | None = answered.value.value
    return found


async def test_a_known_source_is_given_without_waiting() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    await cached.refresh()
    assert now(cached, "demo") == DEMO
    assert registry.asked == {}


async def test_all_that_are_known_are_at_hand_once_they_were_loaded() -> None:
    """A source that was asked for alone says nothing of what others there are."""
    other = replace(DEMO, name="other")
    cached = CachedSources(Registry([DEMO, other]))
    assert await cached.get("demo") == DEMO
    assert cached.at_hand() is None
    await cached.refresh()
    assert list(cached.at_hand() or ()) == [DEMO, other]


async def test_a_name_that_no_source_can_have_is_refused_without_asking() -> None:
    assert now(CachedSources(Registry()), "no such/name") is None


async def test_a_found_miss_is_known_from_then_on() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    assert await cached.get("demo") == DEMO
    assert now(cached, "demo") == DEMO
    assert registry.asked == {"demo": 1}


async def test_a_miss_is_not_remembered_so_that_a_source_works_once_it_is_applied() -> None:
    registry = Registry()
    cached = CachedSources(registry)
    assert await cached.get("demo") is None
    registry.put(DEMO)  # by another process
    assert await cached.get("demo") == DEMO


async def test_a_wave_of_requests_for_one_unknown_name_asks_once() -> None:
    registry = Registry([DEMO])
    registry.answering.clear()
    cached = CachedSources(registry)
    wave = [asyncio.create_task(cached.get("demo")) for _ in range(50)]
    await until(lambda: registry.asked["demo"])
    wave[0].cancel()  # who asked first goes away, and the others still get their answer
    registry.answering.set()
    answers = await asyncio.gather(*wave, return_exceptions=True)
    assert answers[1:] == [DEMO] * 49
    assert registry.asked == {"demo": 1}


async def test_beyond_four_unknown_names_at_once_it_is_unavailable_but_known_sources_go_on() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    await cached.refresh()
    registry.answering.clear()
    asking = [asyncio.create_task(cached.get(f"unknown-{number}")) for number in range(4)]
    await until(lambda: len(registry.asked) == 4)
    with pytest.raises(Unavailable, match="too many"):
        await cached.get("unknown-4")
    assert now(cached, "demo") == DEMO
    registry.answering.set()
    assert await asyncio.gather(*asking) == [None] * 4
    assert await cached.get("unknown-4") is None


async def test_while_the_registry_is_away_known_sources_go_on_and_unknown_ones_are_unavailable() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    await cached.refresh()
    registry.away = True
    with pytest.raises(Unavailable):
        await cached.refresh()
    with pytest.raises(Unavailable):
        await cached.get("other")
    assert now(cached, "demo") == DEMO


async def test_a_failed_look_up_that_nobody_waits_for_any_more_troubles_nobody() -> None:
    registry = Registry()
    registry.answering.clear()
    registry.away = True
    cached = CachedSources(registry)
    asking = asyncio.create_task(cached.get("demo"))
    await until(lambda: registry.asked["demo"])
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    registry.answering.set()
    registry.away = False
    assert await cached.get("other") is None


async def test_a_refresh_sees_changed_and_deleted_sources() -> None:
    registry = Registry([DEMO, replace(DEMO, name="gone")])
    cached = CachedSources(registry)
    await cached.refresh()
    changed = replace(DEMO, provider="c")
    registry.put(changed)
    registry.forget("gone")
    assert now(cached, "demo") == DEMO
    await cached.refresh()
    assert now(cached, "demo") == changed
    assert await cached.get("gone") is None


async def test_an_answer_older_than_a_load_does_not_bring_a_deleted_source_back() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    held = registry.answering
    held.clear()
    asking = asyncio.create_task(cached.get("demo"))
    await until(lambda: registry.asked["demo"])
    registry.forget("demo")
    registry.answering = asyncio.Event()
    registry.answering.set()
    await cached.refresh()  # overtakes the answer that is still held back
    held.set()
    assert await asking == DEMO
    assert await cached.get("demo") is None


async def test_the_duty_refreshes_again_and_again_tells_of_failures_and_stops_when_told() -> None:
    failures: list[Exception] = []
    registry = Registry()
    cached = CachedSources(registry, refresh_seconds=0.001, on_failure=failures.append)
    stop = asyncio.Event()
    duty = asyncio.create_task(cached.run(stop))
    registry.away = True
    await until(lambda: len(failures) >= 2)
    registry.put(DEMO)
    registry.away = False
    await until(lambda: cached._known.get("demo") == DEMO)
    registry.forget("demo")
    await until(lambda: "demo" not in cached._known)
    stop.set()
    await duty


async def test_the_duty_stops_at_once_however_long_the_pause_is() -> None:
    registry = Registry()
    cached = CachedSources(registry, refresh_seconds=3600)
    stop = asyncio.Event()
    duty = asyncio.create_task(cached.run(stop))
    await until(lambda: registry.loads)
    stop.set()
    async with asyncio.timeout(5):
        await duty
