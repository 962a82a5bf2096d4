"""Telling workers that there are new events, once they are kept."""

from collections.abc import Mapping, Sequence

from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import Appended, EventStore, Outcome, Pending
from app.core.ports.wake_ups import WakeUps


class Hinting(EventStore):
    """An event store that gives a hint after each batch with a new event in it."""

    def __init__(self, inner: EventStore, wake_ups: WakeUps) -> None:
        self._inner = inner
        self._wake_ups = wake_ups

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome | Pending]:
        """Pass on. What settles alone later is not waited for: workers find it at their next look."""
        outcomes = await self._inner.append(events)
        if any(isinstance(outcome, Appended) for outcome in outcomes):
            self._wake_ups.hint()
        return outcomes

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Pass on."""
        await self._inner.count_duplicates(counts)

    def epoch(self) -> str | None:
        """Pass on what the inner store vouches for."""
        return self._inner.epoch()
