"""Which sources expect a secret of their provider, and the secrets that came: sealed before they get here."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol

from app.core.domain.registration import Registration
from app.core.domain.sealed import Sealed


class Registrations(Protocol):
    """The registrations of every source, shared by every process on one database. Safe to call from many at once.

    A registration is pending from its opening for as long as `PENDING`, by the database's clock, or until it has
    brought its one secret.
    """

    @abstractmethod
    async def open(self, source: str) -> datetime | None:
        """Let a source that exists expect a secret from now on; give until when.

        One that is pending begins anew. None, and nothing was changed, where `MOST_SECRETS` are kept. Raises
        `Unavailable` or `OutcomeUnknown`.
        """

    @abstractmethod
    async def keep(self, source: str, sealed: Sealed) -> bool:
        """Keep a secret if one is expected, which ends the registration; tell whether it was, in one transaction.

        Of many at once, one is kept. Raises `Unavailable`, or `OutcomeUnknown` when the commit may or may not have
        happened.
        """

    @abstractmethod
    async def look(self, source: str) -> Registration:
        """Tell how a source stands, whether or not there is one of that name. Raises `Unavailable`."""

    @abstractmethod
    async def forget(self, source: str, secret_id: int) -> bool:
        """Remove one of a source's secrets; tell whether it was there. It opens no registration again.

        Raises `Unavailable` or `OutcomeUnknown`.
        """
