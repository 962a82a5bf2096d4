"""Where secrets are: configuration holds references, never values."""

from abc import abstractmethod
from typing import Protocol


class SecretStore(Protocol):
    """Turns references (`env:NAME`, `file:PATH`) into secrets, which stay in memory only."""

    @abstractmethod
    async def resolve(self, reference: str) -> bytes:
        """Give the secret as it stands now, never empty. Raises `SecretMissing`, which says what to do."""

    @abstractmethod
    def fault(self, reference: str) -> str | None:
        """Say what is wrong with a reference by its form alone; None when nothing is."""
