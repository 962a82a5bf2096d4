"""Every place where a configuration is kept, with the registries that show it, bare and under each policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.registries import PostgresConnectionRegistry, PostgresSourceRegistry
from app.core.policies.cached_connections import CachedConnections
from app.core.policies.cached_sources import CachedSources
from app.core.policies.refreshing_caches import RefreshingCaches
from app.core.policies.registering_sources import RegisteringSources
from app.core.ports.configuration import Configuration
from app.core.ports.connection_registry import ConnectionRegistry
from app.core.ports.source_registry import SourceRegistry
from tests.conftest import PATIENT

KINDS = [f"{policy}{kind}" for policy in ("", "cached ", "registering ") for kind in ("memory", "postgres")]


@dataclass
class Configured:
    """What is written, and where it shows."""

    configuration: Configuration
    sources: SourceRegistry
    connections: ConnectionRegistry


@asynccontextmanager
async def configured(kind: str, url: str) -> AsyncIterator[Configured]:
    """Make one of the kinds."""
    connections = Connections(url, budget=PATIENT, largest=4)
    memory = MemoryConfiguration()
    kept = (
        Configured(
            PostgresConfiguration(connections),
            PostgresSourceRegistry(connections),
            PostgresConnectionRegistry(connections),
        )
        if "postgres" in kind
        else Configured(memory, memory.sources, memory.connections)
    )
    if "registering" in kind:
        kept.configuration = RegisteringSources(kept.configuration, kept.sources, MemoryRegistrations())
    if "cached" in kind:
        sources, connected = CachedSources(kept.sources), CachedConnections(kept.connections)
        kept = Configured(RefreshingCaches(kept.configuration, sources, connected), sources, connected)
    try:
        yield kept
    finally:
        await connections.close()
