"""What is applied in a process is seen in it at once."""

from collections.abc import Sequence

from app.core.domain.connection import Connection
from app.core.domain.source import Source
from app.core.policies.cached_connections import CachedConnections
from app.core.policies.cached_sources import CachedSources
from app.core.ports.configuration import Applied, Configuration


class RefreshingCaches(Configuration):
    """A configuration in front of a configuration, which tells what is kept at hand of each change."""

    def __init__(self, inner: Configuration, *caches: CachedSources | CachedConnections) -> None:
        self._inner = inner
        self._caches = caches

    async def apply(
        self, sources: Sequence[Source], connections: Sequence[Connection] = (), *, dry_run: bool = False
    ) -> Applied:
        """Apply, then load anew."""
        applied = await self._inner.apply(sources, connections, dry_run=dry_run)
        if not dry_run:
            for cache in self._caches:
                await cache.refresh_or_report()  # it was applied, whether or not this succeeds
        return applied
