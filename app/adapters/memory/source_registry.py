"""Sources in memory, for tests."""

from collections.abc import Sequence

from app.core.domain.source import Source
from app.core.ports.source_registry import Change, SourceRegistry


class MemorySourceRegistry(SourceRegistry):
    """The in-process twin: as durable as its process."""

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        self._sources = {source.name: source for source in sources}

    async def get(self, name: str) -> Source | None:
        """Look it up."""
        return self._sources.get(name)

    async def all(self) -> Sequence[Source]:
        """Sort them by name."""
        return [self._sources[name] for name in sorted(self._sources)]

    async def apply(self, sources: Sequence[Source], *, dry_run: bool = False) -> Sequence[Change]:
        """Compare with what is there, then replace it."""
        changes = [self._change(source) for source in sources]
        if not dry_run:
            self._sources.update({source.name: source for source in sources})
        return changes

    def _change(self, source: Source) -> Change:
        known = self._sources.get(source.name)
        if known is None:
            return "created"
        return "unchanged" if known == source else "changed"
