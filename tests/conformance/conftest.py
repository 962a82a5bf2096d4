"""Every event store there is, bare and under each policy."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.adapters.memory.wake_ups import MemoryWakeUps
from app.adapters.redis.idempotency_lock import RedisIdempotencyLock
from app.core.policies.breaker import BreakingStore, Guard
from app.core.policies.group_commit import GroupCommit
from app.core.policies.hinting import Hinting
from app.core.policies.shielded import Shielded
from app.core.ports.event_store import EventStore
from tests.conformance.stores import Kit, memory_kit, postgres_kit
from tests.conftest import Servers

KITS = [
    f"{policy}{store}"
    for store in ("memory", "postgres")
    for policy in ("", "group-commit-", "shielded-", "group-commit-shielded-")
] + ["group-commit-hinting-breaking-shielded-by-redis-postgres"]


@pytest.fixture(scope="session")
def one_database(servers: Servers) -> Iterator[str]:
    """One for all of them, whatever the file: ports do not change the schema."""
    url = servers.create_database()
    yield url
    asyncio.run(servers.drop_database(url))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, one_database: str) -> str:
    """The same with nothing in it, where the test is not one of those in memory."""
    if not request.node.name.endswith("memory]"):
        return str(request.getfixturevalue("emptied_database"))
    return one_database


@pytest.fixture(params=KITS)
async def kit(request: pytest.FixtureRequest, database_url: str, redis_url: str) -> AsyncIterator[Kit]:
    """Each store, bare and under each policy."""
    name: str = request.param
    async with AsyncExitStack() as stack:
        shared = MemoryIdempotencyLock.Shared() if "shielded" in name and "redis" not in name else None

        def wrap(inner: EventStore) -> EventStore:
            if shared is not None:
                inner = Shielded(inner, MemoryIdempotencyLock(shared))
            if "redis" in name:
                lock = RedisIdempotencyLock(redis_url)
                stack.push_async_callback(lock.close)
                inner = Shielded(inner, lock)
            if "breaking" in name:
                inner = BreakingStore(inner, Guard("Postgres", errors=3, open_seconds=1))
            if "hinting" in name:
                inner = Hinting(inner, MemoryWakeUps())
            return GroupCommit(inner) if name.startswith("group-commit") else inner

        if name.endswith("memory"):
            yield memory_kit(wrap)
        else:
            yield await postgres_kit(database_url, stack, wrap)
