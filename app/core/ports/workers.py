"""The workers that live: a worker has jobs for as long as its lease is renewed."""

from abc import abstractmethod
from typing import Protocol


class Workers(Protocol):
    """The leases of all workers on one database, by the database's clock."""

    @abstractmethod
    async def enlist(self, worker: str, name: str, lease_seconds: float) -> None:
        """Begin a lease. `worker`: a fresh UUID; `name`: what people call it. The same again is the same lease.

        Raises `Unavailable` or `OutcomeUnknown`.
        """

    @abstractmethod
    async def renew(self, worker: str, lease_seconds: float) -> bool:
        """Let the lease end so many seconds from now. False: it has ended, and the worker has no jobs any more.

        Raises `Unavailable` or `OutcomeUnknown`.
        """

    @abstractmethod
    async def leave(self, worker: str) -> None:
        """End the lease; what the worker still has is taken from it by the next rescue.

        Raises `Unavailable` or `OutcomeUnknown`.
        """
