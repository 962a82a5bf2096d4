"""Where refusals are kept, within bounds."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.core.domain.ids import EventId, RefusalId
from app.core.domain.refusal import NewRefusal, Refusal, RefusalState


@dataclass(frozen=True, slots=True)
class RefusalQuery:
    """Which refusals: all conditions hold together; None means any."""

    source: str | None = None
    code: str | None = None
    state: RefusalState | None = None
    received_after: datetime | None = None
    """Exclusive."""
    received_before: datetime | None = None
    """Exclusive."""
    before: RefusalId | None = None
    """Only refusals older than this one: the place where the last page ended."""
    limit: int = 50


class RefusalStore(Protocol):
    """The refusals of the last days, shared by every process on one database. Safe to call from many at once."""

    @abstractmethod
    async def keep(self, refusals: Sequence[NewRefusal]) -> None:
        """Keep these in one transaction, committed when this returns. The very same one (by id) again changes nothing.

        Raises `Unavailable` when nothing was kept, `OutcomeUnknown` when the commit may or may not have happened,
        `RowFault` when nothing was kept because of one of them.
        """

    @abstractmethod
    async def find(self, query: RefusalQuery) -> Sequence[Refusal]:
        """List refusals, newest first, at most `query.limit`, without headers and bodies. Raises `Unavailable`."""

    @abstractmethod
    async def get(self, refusal_id: RefusalId) -> Refusal | None:
        """Give one refusal with its headers and its body. Raises `Unavailable`."""

    @abstractmethod
    async def mark_released(self, refusal_id: RefusalId, event_id: EventId) -> None:
        """Note the event that a refusal became. The first note stays; a refusal that is gone meanwhile stays gone.

        Raises `Unavailable` or `OutcomeUnknown`.
        """

    @abstractmethod
    async def trim(self, *, count: int, weight: int, before: datetime, at_most: int) -> int:
        """Remove refusals received before a time, and those beyond a count or a weight; give how many were removed.

        What is beyond a bound is taken from the sources that have the most, the oldest of each first: who floods one
        source pushes out nothing of the others. At most `at_most` go at once; call it again until it gives fewer. While
        another call is at it, it may remove none. Raises `Unavailable` or `OutcomeUnknown`.
        """
