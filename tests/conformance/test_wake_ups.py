"""What hints keep to: they come, they come once, and none is needed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from app.adapters.memory.wake_ups import MemoryWakeUps
from app.adapters.postgres.wake_ups import PostgresWakeUps
from app.core.ports.wake_ups import WakeUps
from tests.conformance.jobs import Place, a_place
from tests.conftest import PATIENT

LONG = 20.0
"""A wait that nobody sees the end of."""
SHORT = 0.05


@dataclass
class Pair:
    """Two processes."""

    here: WakeUps
    there: WakeUps


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place."""
    return a_place(request)


@pytest.fixture
async def pair(place: Place) -> AsyncIterator[Pair]:
    """Both hear."""
    if place.kind == "memory":
        together: list[asyncio.Event] = []
        yield Pair(MemoryWakeUps(together), MemoryWakeUps(together))
        return
    async with AsyncExitStack() as stack:
        stop = asyncio.Event()
        here, there = PostgresWakeUps(place.url, budget=PATIENT), PostgresWakeUps(place.url, budget=PATIENT)
        duties = await stack.enter_async_context(asyncio.TaskGroup())
        for each in (here, there):
            duties.create_task(each.run(stop))
        stack.callback(stop.set)
        async with asyncio.timeout(10):
            while not (here.hears and there.hears):
                await asyncio.gather(here.wait(SHORT), there.wait(SHORT))
                await asyncio.sleep(0)  # so that time runs out also where no wait waits
        yield Pair(here, there)


async def waited(wake_ups: WakeUps, seconds: float) -> float:
    """How long a wait lasted."""
    started = time.perf_counter()
    await wake_ups.wait(seconds)
    return time.perf_counter() - started


async def test_a_hint_ends_the_wait_of_every_process(pair: Pair) -> None:
    waits = [asyncio.create_task(waited(each, LONG)) for each in (pair.here, pair.there)]
    await asyncio.sleep(0)
    pair.here.hint()
    assert all(seconds < LONG / 2 for seconds in await asyncio.gather(*waits))


async def test_a_hint_between_two_waits_is_not_lost(pair: Pair) -> None:
    for _ in range(3):
        pair.there.hint()
        assert await waited(pair.here, LONG) < LONG / 2


async def test_without_a_hint_a_wait_lasts_its_time(pair: Pair) -> None:
    assert SHORT * 0.9 <= await waited(pair.here, SHORT) < LONG / 2
    assert await waited(pair.here, 0.0) < LONG / 2


async def test_many_hints_become_few(pair: Pair) -> None:
    """However many, when they have been heard there is quiet."""
    for _ in range(1000):
        pair.here.hint()
    assert await waited(pair.there, LONG) < LONG / 2
    async with asyncio.timeout(LONG):
        while await waited(pair.there, SHORT) < SHORT * 0.9:
            await asyncio.sleep(0)


async def test_a_wait_that_is_cut_off_forgets_nothing(pair: Pair) -> None:
    cut_off = asyncio.create_task(pair.here.wait(LONG))
    await asyncio.sleep(0)
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    pair.there.hint()
    assert await waited(pair.here, LONG) < LONG / 2
