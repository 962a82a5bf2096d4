"""Events in this process's memory: for unit tests, and to say in Python what the contract means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.core.domain.event import Event, EventState, NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_reader import EventQuery, EventReader
from app.core.ports.event_store import Appended, Duplicate, EventStore, Flush, Outcome

MOST_CONFLICTS_KEPT = 10


@dataclass(slots=True)
class _Kept:
    event: NewEvent
    state: EventState
    reason: str | None
    duplicates: int = 0
    conflicts: int = 0
    replay_of: EventId | None = None
    other_bodies: dict[bytes, bytes] = field(default_factory=dict)


class MemoryEventStore(EventStore, EventReader):
    """Both sides of what is kept, the writing and the looking, on two dictionaries."""

    def __init__(self) -> None:
        self._events: dict[EventId, _Kept] = {}
        self._keys: dict[bytes, EventId] = {}
        self.inbox: list[EventId] = []

    def epoch(self) -> str | None:
        """Vouch for this very object."""
        return f"memory/{id(self)}"

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Keep them; nothing here waits, so nothing comes in between."""
        flush = Flush(size=len(events), epoch=self.epoch() or "")
        return [self._append(event, flush) for event in events]

    def _append(self, event: NewEvent, flush: Flush) -> Outcome:
        first = self._keys.setdefault(event.key, event.id)
        if first == event.id:
            if first not in self._events:
                state = EventState.RECEIVED if event.quarantine is None else EventState.QUARANTINED
                self._events[first] = _Kept(event, state, event.quarantine)
                if event.quarantine is None:
                    self.inbox.append(first)
            return Appended(first, flush)
        kept = self._events[first]
        kept.duplicates += 1
        same_body = kept.event.digest == event.digest
        if not same_body:
            kept.conflicts += 1
            if len(kept.other_bodies) < MOST_CONFLICTS_KEPT:
                kept.other_bodies.setdefault(event.digest, event.body)
        return Duplicate(first, same_body, flush)

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Add them up."""
        for event_id, count in counts.items():
            self._events[event_id].duplicates += count

    def event(self, event_id: EventId | None) -> NewEvent | None:
        """Give one as it was appended; None also for no id."""
        kept = self._events.get(event_id) if event_id is not None else None
        return kept.event if kept else None

    def become(self, event_id: EventId, state: EventState, reason: str | None = None) -> None:
        """Change where an event stands; one that is gone is gone. Planning and jobs do it, as one with what they do."""
        if kept := self._events.get(event_id):
            kept.state, kept.reason = state, reason

    def suspect(self, event_id: EventId, first: EventId) -> None:
        """Mark one as a suspected replay; who finds them out is none of a store's business."""
        self._events[event_id].replay_of = first

    async def find(self, query: EventQuery) -> Sequence[Event]:
        """Walk all events, newest first."""
        found = (_seen(kept) for _, kept in sorted(self._events.items(), reverse=True))
        matching = [event for event in found if _matches(event, query)]
        return matching[: query.limit]

    async def get(self, event_id: EventId) -> Event | None:
        """Give one, with headers."""
        kept = self._events.get(event_id)
        return _seen(kept, headers=True) if kept else None

    async def body(self, event_id: EventId) -> bytes | None:
        """Give its bytes."""
        kept = self._events.get(event_id)
        return kept.event.body if kept else None


def _seen(kept: _Kept, *, headers: bool = False) -> Event:
    event = kept.event
    return Event(
        id=event.id,
        source=event.source,
        provider=event.provider,
        type=event.type,
        state=kept.state,
        reason=kept.reason,
        received_at=event.received_at,
        delivery_id=event.delivery_id,
        size=len(event.body),
        content_type=event.content_type,
        digest=event.digest,
        verification=event.verification,
        traceparent=event.traceparent,
        duplicates=kept.duplicates,
        conflicts=kept.conflicts,
        replay_of=kept.replay_of,
        headers=event.headers if headers else None,
    )


def _matches(event: Event, query: EventQuery) -> bool:
    return (
        query.source in (None, event.source)
        and query.type in (None, event.type)
        and query.state in (None, event.state)
        and (query.received_after is None or event.received_at > query.received_after)
        and (query.received_before is None or event.received_at < query.received_before)
        and (query.before is None or event.id < query.before)
    )
