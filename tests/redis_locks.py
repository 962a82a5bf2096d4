"""What tests do with locks in Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from secrets import token_bytes

import pytest

from app.adapters.redis.idempotency_lock import RedisIdempotencyLock
from app.core.domain.errors import Unavailable
from app.core.domain.ids import event_id
from app.core.ports.idempotency_lock import Committed, Marker

BUDGET_SECONDS = 0.2
SOON_SECONDS = 0.3
UNHURRIED = {"connect_seconds": 5.0, "operation_seconds": 5.0}


def marked(count: int) -> dict[bytes, Marker]:
    """Keys with a marker each that is like no other."""
    return {token_bytes(32): Marker(event_id(place << 40), token_bytes(32), f"epoch {place}") for place in range(count)}


async def leave(lock: RedisIdempotencyLock, markers: dict[bytes, Marker]) -> None:
    await lock.settle([Committed(key, marker) for key, marker in markers.items()], [])


async def unavailable_within(seconds: float, call: Awaitable[object]) -> str:
    """The text of the error, which has to come in time."""
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await call
    assert time.monotonic() - started <= seconds
    return str(caught.value)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what no event tells of."""
    deadline = time.monotonic() + 10
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
