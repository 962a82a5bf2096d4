"""Connections in memory, for tests."""

from collections.abc import Sequence

from app.core.domain.connection import Connection
from app.core.ports.connection_registry import ConnectionRegistry


class MemoryConnectionRegistry(ConnectionRegistry):
    """The in-process twin: as durable as its process."""

    def __init__(self, connections: Sequence[Connection] = ()) -> None:
        self.by_name = {connection.name: connection for connection in connections}
        """Where `MemoryConfiguration` writes."""

    async def get(self, name: str) -> Connection | None:
        """Look it up."""
        return self.by_name.get(name)

    async def all(self) -> Sequence[Connection]:
        """Sort them by name."""
        return [self.by_name[name] for name in sorted(self.by_name)]
