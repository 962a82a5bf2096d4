"""API keys in memory, for tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from app.core.domain.api_key import ApiKey, NewApiKey
from app.core.domain.ids import ApiKeyId
from app.core.ports.api_keys import ApiKeys


class MemoryApiKeys(ApiKeys):
    """The in-process twin: as durable as its process."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._keys: dict[ApiKeyId, ApiKey] = {}
        self._ids: dict[bytes, ApiKeyId] = {}

    async def create(self, key: NewApiKey) -> ApiKey | None:
        """Put it there, unless its name is."""
        if any(known.name == key.name for known in self._keys.values()):
            return None
        kept = ApiKey(key.id, key.name, key.prefix, key.scope, self._clock(), key.expires_at, None, None)
        self._keys[key.id] = kept
        self._ids[key.digest] = key.id
        return kept

    async def find(self, digest: bytes) -> ApiKey | None:
        """Look it up by its digest."""
        key = self._keys[self._ids[digest]] if digest in self._ids else None
        return None if key is None or key.revoked_at is not None else key

    async def all(self) -> Sequence[ApiKey]:
        """Sort them by id, which is by time."""
        return [key for _, key in sorted(self._keys.items())]

    async def revoke(self, key_id: ApiKeyId) -> bool:
        """Note the time, unless one is noted."""
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at is None:
            self._keys[key_id] = replace(key, revoked_at=self._clock())
        return key is not None

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        """Keep the later time of each."""
        for key_id, at in uses.items():
            key = self._keys.get(key_id)
            if key is not None and (key.last_used_at is None or key.last_used_at < at):
                self._keys[key_id] = replace(key, last_used_at=at)
