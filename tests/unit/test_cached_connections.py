"""A connection that is changed, made or gone elsewhere is seen here; the rest is said of sources."""

from dataclasses import replace

from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.core.domain.connection import Connection
from app.core.policies.cached_connections import CachedConnections

SINK = Connection("sink", "http", {"base_url": "http://localhost:8101"})


async def test_a_new_one_is_there_at_once_and_a_changed_one_after_the_next_load() -> None:
    registry = MemoryConnectionRegistry()
    cached = CachedConnections(registry)
    await cached.refresh()
    assert await cached.get("sink") is None
    registry.by_name["sink"] = SINK  # by another process
    assert await cached.get("sink") == SINK
    moved = registry.by_name["sink"] = replace(SINK, settings={"base_url": "http://localhost:8102"})
    assert await cached.get("sink") == SINK
    await cached.refresh()
    assert await cached.get("sink") == moved
    del registry.by_name["sink"]
    await cached.refresh()
    assert await cached.get("sink") is None
