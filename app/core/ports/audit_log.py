"""What operators did, in the order in which they did it, only ever added to."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.domain.audit import AuditEntry, NewAuditEntry


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries: all conditions hold together; None means any."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    before: int | None = None
    """Only entries before this place: where the last page ended."""
    limit: int = 50


class AuditLog(Protocol):
    """The one chain of every process on one database. Safe to call from many at once.

    Whoever acts appends first, and acts when that has returned: so there is no action without an entry. An entry says
    that somebody set about it, not how it ended.
    """

    @abstractmethod
    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        """Add an entry at the end of the chain, committed when this returns.

        Raises `Unavailable` when it is not there, or not known to be: then the action must not be carried out.
        """

    @abstractmethod
    async def find(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """List entries, newest first, at most `query.limit`. Raises `Unavailable`."""

    @abstractmethod
    async def walk(self, *, after: int, at_most: int) -> Sequence[AuditEntry]:
        """Give the entries that follow a place (0: from the first on), oldest first, as they are now.

        Nothing is checked and nothing left out: see `fault_in`. Raises `Unavailable`.
        """
