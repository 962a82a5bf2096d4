"""Sealing: what must be kept here, and read only by those who hold the key."""

from abc import abstractmethod
from typing import Protocol

from app.core.domain.sealed import Sealed


class Sealing(Protocol):
    """Seals secrets for one purpose of one owner. Whoever has the sealed ones alone can neither read nor change any.

    Several keys may be in use while they are being rotated: the first seals, all open. Each key is looked up when it is
    needed, so a new one is seen without a restart where its store can do that.
    """

    @abstractmethod
    async def seal(self, secret: bytes, *, purpose: str, owner: str) -> Sealed:
        """Seal a secret; the same one becomes something else each time. Raises `NoSealKey`, which says what to do."""

    @abstractmethod
    async def open(self, sealed: Sealed, *, purpose: str, owner: str) -> bytes:
        """Give the secret that was sealed for this purpose of this owner.

        Raises `NotOpened` if it was sealed for another one or with a key that is not here, or was changed, and
        `NoSealKey` if there is no key at all. Their texts are for the operator and hold nothing of the secret.
        """
