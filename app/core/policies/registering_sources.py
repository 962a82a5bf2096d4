"""Applying a source that takes its secrets from handshakes opens its first registration."""

from collections.abc import Sequence

from app.core.domain.connection import Connection
from app.core.domain.errors import OpsConnectError
from app.core.domain.registration import expects_secrets
from app.core.domain.source import Source
from app.core.ports.configuration import Applied, Configuration
from app.core.ports.registrations import Registrations
from app.core.ports.source_registry import SourceRegistry


class RegisteringSources(Configuration):
    """A configuration in front of a configuration.

    Only a source that did not take its secrets so before is registered: files are applied again and again, by machines
    too, and a door that each of them opens is never shut.
    """

    def __init__(self, inner: Configuration, sources: SourceRegistry, registrations: Registrations) -> None:
        self._inner = inner
        self._sources = sources
        self._registrations = registrations

    async def apply(
        self, sources: Sequence[Source], connections: Sequence[Connection] = (), *, dry_run: bool = False
    ) -> Applied:
        """Apply, then open a registration of each that expects secrets from now on."""
        if dry_run or not any(expects_secrets(source) for source in sources):
            return await self._inner.apply(sources, connections, dry_run=dry_run)
        expected = {source.name for source in await self._sources.all() if expects_secrets(source)}
        applied = await self._inner.apply(sources, connections)
        for source in sources:
            if expects_secrets(source) and source.name not in expected:
                await self._open(source.name)
        return applied

    async def _open(self, name: str) -> None:
        try:
            await self._registrations.open(name)
        except OpsConnectError:
            # The source was applied all the same. That no registration is open is what its secret reference says then,
            # with the command that opens one.
            return
