"""Looking at sources: what each is, where its provider sends, and how it stands with secrets that come by handshake."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.domain.registration import Registration, expects_secrets
from app.core.domain.source import Source
from app.core.ports.registrations import Registrations
from app.core.ports.source_registry import SourceRegistry

PATH = "/api/v1/webhooks/"


@dataclass(frozen=True, slots=True)
class ShownSource:
    """One source, as it is now."""

    source: Source
    address: str
    """The one to give the provider; a path alone where nobody has said what stands before it."""
    registration: Registration | None
    """None: it takes no secret from a handshake."""


@dataclass(frozen=True, slots=True)
class BrowseSources:
    """List sources, show one. Raises `Unavailable`."""

    sources: SourceRegistry
    registrations: Registrations
    public_url: str
    """Of this service; empty: not known."""

    async def find(self) -> Sequence[ShownSource]:
        """Give all, ordered by name."""
        return [await self._shown(source) for source in await self.sources.all()]

    async def get(self, name: str) -> ShownSource | None:
        """Give one; None where there is none of that name."""
        source = await self.sources.get(name)
        return None if source is None else await self._shown(source)

    async def _shown(self, source: Source) -> ShownSource:
        address = source.public_url or f"{self.public_url.rstrip('/')}{PATH}{source.name}"
        registration = await self.registrations.look(source.name) if expects_secrets(source) else None
        return ShownSource(source, address, registration)
