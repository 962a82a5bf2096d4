"""Sources in memory, for tests."""

from collections.abc import Sequence

from app.core.domain.source import Source
from app.core.ports.source_registry import SourceRegistry


class MemorySourceRegistry(SourceRegistry):
    """The in-process twin: as durable as its process."""

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        self.by_name = {source.name: source for source in sources}
        """Where `MemoryConfiguration` writes."""

    async def get(self, name: str) -> Source | None:
        """Look it up."""
        return self.by_name.get(name)

    async def all(self) -> Sequence[Source]:
        """Sort them by name."""
        return [self.by_name[name] for name in sorted(self.by_name)]
