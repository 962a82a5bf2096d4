"""A source that takes its secrets from handshakes, and what keeps them, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.handshake import HandshakeSecrets
from app.core.domain.source import ListedScheme, Source
from app.core.use_cases.offer_secret import OfferSecret

ASANA = Source("asana", "asana", ListedScheme(), secrets=("handshake:asana",))
KEYS = {"OLD": "0f" * 32, "NEW": "f0" * 32}


@dataclass
class House:
    """Registrations whose clock a test sets, and the keys there are."""

    keys: Sequence[str] = ("env:OLD",)
    now: datetime = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
    registrations: MemoryRegistrations = field(init=False)

    def __post_init__(self) -> None:
        self.registrations = MemoryRegistrations(clock=lambda: self.now)

    @property
    def sealing(self) -> AesGcmSealing:
        return AesGcmSealing(self.keys, EnvironmentSecrets(KEYS))

    @property
    def offer(self) -> OfferSecret:
        return OfferSecret(self.registrations, self.sealing)

    @property
    def secrets(self) -> HandshakeSecrets:
        return HandshakeSecrets(self.registrations, self.sealing)

    async def kept(self, source: str = "asana") -> tuple[bytes, ...]:
        return await self.secrets.resolve_all(f"handshake:{source}")
