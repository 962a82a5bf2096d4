"""Looking at events: what operators ask of what was kept."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.core.domain.event import Event, EventState
from app.core.domain.ids import EventId


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events: all conditions hold together; None means any."""

    source: str | None = None
    type: str | None = None
    state: EventState | None = None
    received_after: datetime | None = None
    """Exclusive."""
    received_before: datetime | None = None
    """Exclusive."""
    before: EventId | None = None
    """Only events older than this one: the place where the last page ended."""
    limit: int = 50


class EventReader(Protocol):
    """A view of the kept events. Sees whatever was committed before the call."""

    @abstractmethod
    async def find(self, query: EventQuery) -> Sequence[Event]:
        """List events, newest first, at most `query.limit`, without headers. Raises `Unavailable`."""

    @abstractmethod
    async def get(self, event_id: EventId) -> Event | None:
        """Give one event with its headers. Raises `Unavailable`."""

    @abstractmethod
    async def body(self, event_id: EventId) -> bytes | None:
        """Give the raw bytes exactly as they were received. Raises `Unavailable`."""
