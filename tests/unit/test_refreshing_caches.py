"""What is applied in a process is seen in it at once, and an apply that worked is no failure when looking again is."""

import asyncio
from dataclasses import replace

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.core.domain.connection import Connection
from app.core.policies.cached_connections import CachedConnections
from app.core.policies.cached_sources import CachedSources
from app.core.policies.refreshing_caches import RefreshingCaches
from tests.unit.test_cached_sources import DEMO, Registry, now, until

SINK = Connection("sink", "http")


async def test_what_is_applied_here_is_known_here_at_once() -> None:
    registry, connected = Registry([DEMO]), MemoryConnectionRegistry([SINK])
    cached, connections = CachedSources(registry), CachedConnections(connected)
    await cached.refresh()
    await connections.refresh()
    configuration = RefreshingCaches(MemoryConfiguration(registry, connected), cached, connections)
    changed, moved = replace(DEMO, provider="c"), replace(SINK, connector="kafka")
    assert await configuration.apply([changed], [moved]) == (["changed"], ["changed"])
    assert now(cached, "demo") == changed
    assert connections.at_hand() is not None
    assert list(connections.at_hand() or ()) == [moved]


async def test_a_refresh_that_began_before_an_apply_does_not_undo_it() -> None:
    registry = Registry([DEMO])
    cached = CachedSources(registry)
    registry.answering.clear()
    slow = asyncio.create_task(cached.refresh())
    await until(lambda: registry.loads)
    changed = replace(DEMO, provider="c")
    applying = asyncio.create_task(RefreshingCaches(MemoryConfiguration(registry), cached).apply([changed]))
    registry.answering.set()
    await asyncio.gather(slow, applying)
    assert now(cached, "demo") == changed


async def test_an_apply_that_worked_is_no_failure_when_the_refresh_after_it_is() -> None:
    failures: list[Exception] = []
    registry = Registry()
    cached = CachedSources(registry, on_failure=failures.append)
    registry.away = True
    assert await RefreshingCaches(MemoryConfiguration(registry), cached).apply([DEMO]) == (["created"], [])
    assert len(failures) == 1


async def test_a_dry_run_looks_at_nothing_anew() -> None:
    registry = Registry()
    await RefreshingCaches(MemoryConfiguration(registry), CachedSources(registry)).apply([DEMO], dry_run=True)
    assert registry.loads == 0
