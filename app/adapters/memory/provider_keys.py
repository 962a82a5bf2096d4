"""Providers' keys in memory, for tests."""

from collections.abc import Mapping

from app.core.domain.errors import KeyMissing
from app.core.ports.provider_keys import ProviderKeys


class MemoryProviderKeys(ProviderKeys):
    """The in-process twin: what a test puts there stands there."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = keys

    async def get(self, url: str, *, max_age_seconds: float | None = None) -> bytes:
        """Look it up."""
        key = self._keys.get(url)
        if not key:
            raise KeyMissing("no key stands at that address")
        return key
