"""Keys and certificates that providers publish at addresses of theirs."""

from abc import abstractmethod
from typing import Protocol


class ProviderKeys(Protocol):
    """What stands at a provider's address: a certificate, a key, a set of keys, as bytes that a scheme understands."""

    @abstractmethod
    async def get(self, url: str, *, max_age_seconds: float | None = None) -> bytes:
        """Give what stands there, never empty; or what stood there at most `max_age_seconds` ago.

        Whoever asks has checked that the address is the provider's. None leaves it to the adapter how old is too old;
        who does not find a key in a set may ask again with an age, in case the set has been renewed. Safe to call from
        many tasks; who goes away leaves the others their answer.

        Raises `KeyMissing` when the provider says that there is none, and `Unavailable` when it cannot be had now.
        """
