"""Looking at connections: what each is, and which sources run it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.domain.connection import Connection
from app.core.domain.source import Source
from app.core.ports.connection_registry import ConnectionRegistry
from app.core.ports.source_registry import SourceRegistry


@dataclass(frozen=True, slots=True)
class ShownConnection:
    """One connection, as it is now."""

    connection: Connection
    run_by: tuple[str, ...]
    """The sources whose events set it going, by name."""


@dataclass(frozen=True, slots=True)
class BrowseConnections:
    """List connections, show one. Raises `Unavailable`."""

    connections: ConnectionRegistry
    sources: SourceRegistry

    async def find(self) -> Sequence[ShownConnection]:
        """Give all, ordered by name."""
        sources = await self.sources.all()
        return [_shown(connection, sources) for connection in await self.connections.all()]

    async def get(self, name: str) -> ShownConnection | None:
        """Give one; None where there is none of that name."""
        connection = await self.connections.get(name)
        return None if connection is None else _shown(connection, await self.sources.all())


def _shown(connection: Connection, sources: Sequence[Source]) -> ShownConnection:
    runs = tuple(source.name for source in sources if (source.run or "").partition(".")[0] == connection.name)
    return ShownConnection(connection, runs)
