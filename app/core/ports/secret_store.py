"""Where secrets are: configuration holds references, never values."""

from abc import abstractmethod
from typing import Protocol


class SecretStore(Protocol):
    """Turns references (`env:NAME`, `file:PATH`) into secrets, which stay in memory only.

    Most stores hold one secret a reference. One that holds several, all of them good, resolves it to the newest.
    """

    @abstractmethod
    async def resolve(self, reference: str) -> bytes:
        """Give the secret as it stands now, never empty. Raises `SecretMissing`, which says what to do.

        Raises `Unavailable` where the store cannot be asked now.
        """

    async def resolve_all(self, reference: str) -> tuple[bytes, ...]:
        """Give every secret of a reference, one at least, the newest first. Raises what `resolve` raises."""
        return (await self.resolve(reference),)

    @abstractmethod
    def fault(self, reference: str) -> str | None:
        """Say what is wrong with a reference by its form alone; None when nothing is."""
