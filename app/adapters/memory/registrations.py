"""Registrations in memory, for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from app.core.domain.registration import MOST_SECRETS, PENDING, KeptSecret, Registration
from app.core.domain.sealed import Sealed
from app.core.ports.registrations import Registrations


@dataclass
class _Known:
    opened_at: datetime | None = None
    brought: int | None = None
    """The id of the secret that ended the registration."""
    secrets: dict[int, KeptSecret] = field(default_factory=dict)


class MemoryRegistrations(Registrations):
    """The in-process twin: as durable as its process."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._ids = count(1)
        self._sources: dict[str, _Known] = {}

    async def open(self, source: str) -> datetime | None:
        """Begin anew, unless there are too many."""
        known = self._sources.setdefault(source, _Known())
        if len(known.secrets) >= MOST_SECRETS:
            return None
        known.opened_at, known.brought = self._clock(), None
        return known.opened_at + PENDING

    async def keep(self, source: str, sealed: Sealed) -> bool:
        """Put it there and note that it was the one."""
        known = self._sources.get(source, _Known())
        if not self._is_pending(known):
            return False
        known.brought = next(self._ids)
        known.secrets[known.brought] = KeptSecret(known.brought, self._clock(), sealed)
        return True

    async def look(self, source: str) -> Registration:
        """Sort what is known of it."""
        known = self._sources.get(source, _Known())
        newest_first = tuple(secret for _, secret in sorted(known.secrets.items(), reverse=True))
        return Registration(known.opened_at, self._is_pending(known), newest_first)

    async def forget(self, source: str, secret_id: int) -> bool:
        """Take it away, and the registration that it ended."""
        known = self._sources.get(source, _Known())
        if known.brought == secret_id:
            known.opened_at = known.brought = None
        return known.secrets.pop(secret_id, None) is not None

    def _is_pending(self, known: _Known) -> bool:
        return known.opened_at is not None and known.brought is None and self._clock() < known.opened_at + PENDING
