"""Where API keys are kept: names, scopes and digests, never a key itself."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.core.domain.api_key import ApiKey, NewApiKey
from app.core.domain.ids import ApiKeyId


class ApiKeys(Protocol):
    """The keys of every operator, shared by every process on one database. Safe to call from many at once.

    A key is never removed, so a name means one key for ever, in the audit log too.
    """

    @abstractmethod
    async def create(self, key: NewApiKey) -> ApiKey | None:
        """Keep a key, committed when this returns; None where the name was ever given before.

        Raises `Unavailable` when nothing was kept, `OutcomeUnknown` when it may or may not have been.
        """

    @abstractmethod
    async def find(self, digest: bytes) -> ApiKey | None:
        """Give the key with this digest; None where there is none, or where it is revoked.

        One that has expired is given: what the time is, is the caller's business. Raises `Unavailable`.
        """

    @abstractmethod
    async def all(self) -> Sequence[ApiKey]:
        """List every key, revoked and expired ones too, in the order of their creation. Raises `Unavailable`."""

    @abstractmethod
    async def revoke(self, key_id: ApiKeyId) -> bool:
        """Make `find` give it no more, from the commit on, and for good; tell whether there is a key of this id.

        The first time stays. Raises `Unavailable`, or `OutcomeUnknown`: once more finds out.
        """

    @abstractmethod
    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        """Note when keys were used; of several times the latest stays. Raises `Unavailable` or `OutcomeUnknown`."""
