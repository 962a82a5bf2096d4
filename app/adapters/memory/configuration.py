"""The configuration in memory, for tests."""

from collections.abc import Callable, Sequence
from operator import eq
from typing import TypeVar

from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.core.domain.connection import Connection
from app.core.domain.connection_difference import is_same
from app.core.domain.source import Source
from app.core.ports.configuration import Applied, Change, Configuration

Named = TypeVar("Named", Source, Connection)


class MemoryConfiguration(Configuration):
    """Writes into the registries in memory, which show it."""

    def __init__(
        self, sources: MemorySourceRegistry | None = None, connections: MemoryConnectionRegistry | None = None
    ) -> None:
        self.sources = sources or MemorySourceRegistry()
        self.connections = connections or MemoryConnectionRegistry()

    async def apply(
        self, sources: Sequence[Source], connections: Sequence[Connection] = (), *, dry_run: bool = False
    ) -> Applied:
        """Compare with what is there, then replace it."""
        known, connected = self.sources.by_name, self.connections.by_name
        applied = Applied(
            [_change(known.get(source.name), source, eq) for source in sources],
            [_change(connected.get(connection.name), connection, is_same) for connection in connections],
        )
        if not dry_run:
            known.update({source.name: source for source in sources})
            connected.update({connection.name: connection for connection in connections})
        return applied


def _change(before: Named | None, after: Named, same: Callable[[Named, Named], bool]) -> Change:
    if before is None:
        return "created"
    return "unchanged" if same(before, after) else "changed"
