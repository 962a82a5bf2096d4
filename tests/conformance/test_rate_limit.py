"""Rates that several processes share: never more is given than the burst and what the rate brings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest

from app.adapters.memory.rate_limit import MemoryRateLimit
from app.adapters.redis.rate_limit import RedisRateLimit
from app.core.domain.errors import Unavailable
from app.core.ports.rate_limit import RateLimit
from tests.conformance.test_idempotency_lock import NOWHERE

_names = count(1)


@dataclass
class Kit:
    """One kind of limit, as two processes have it."""

    one: RateLimit
    other: RateLimit
    wait: Callable[[float], Awaitable[None]]
    """Let so many seconds pass."""


@pytest.fixture(params=["memory", "redis"])
async def kit(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Kit]:
    """Each kind of limit."""
    now = 1000.0

    async def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    async with AsyncExitStack() as stack:
        if request.param == "memory":
            memory = MemoryRateLimit(clock=lambda: now)
            yield Kit(memory, memory, wait)
            return
        limits = []
        for _ in range(2):
            limits.append(RedisRateLimit(redis_url, connect_seconds=5, operation_seconds=5))
            stack.push_async_callback(limits[-1].close)
        yield Kit(limits[0], limits[1], asyncio.sleep)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"source-{next(_names)}"


async def test_a_second_s_worth_is_to_be_had_at_once_and_then_nothing(kit: Kit, name: str) -> None:
    slow = 0.001  # so that the test takes no part of the next one
    assert await kit.one.take(name, per_second=slow, most=5) == 1
    assert await kit.one.take(name, per_second=slow, most=1) == 0
    assert await kit.one.take(f"{name}-fast", per_second=1000, most=400) == 400


async def test_what_one_took_the_other_does_not_get(kit: Kit, name: str) -> None:
    assert await kit.one.take(name, per_second=0.01, most=1) == 1
    assert await kit.other.take(name, per_second=0.01, most=1) == 0


async def test_time_brings_more(kit: Kit, name: str) -> None:
    assert await kit.one.take(name, per_second=4, most=100) == 4
    await kit.wait(0.3)
    assert 1 <= await kit.other.take(name, per_second=4, most=100) <= 4


async def test_names_are_kept_apart(kit: Kit, name: str) -> None:
    assert await kit.one.take(name, per_second=0.01, most=1) == 1
    assert await kit.one.take(f"{name}-other", per_second=0.01, most=1) == 1


async def test_a_limit_that_cannot_be_asked_is_unavailable() -> None:
    limit = RedisRateLimit(NOWHERE)
    with pytest.raises(Unavailable):
        await limit.take("source", per_second=1, most=1)
    await limit.close()
