"""Looking at what was kept, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.domain.event import Event
from app.core.domain.ids import EventId, is_id
from app.core.ports.event_reader import EventQuery, EventReader


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first, and the event after which the next page begins; None on the last one."""

    events: Sequence[Event]
    next_before: EventId | None


@dataclass(frozen=True, slots=True)
class BrowseEvents:
    """List events, show one, give its bytes. Raises `Unavailable`."""

    reader: EventReader

    async def find(self, query: EventQuery) -> Page:
        """Give one page of `query.limit` events."""
        found = list(await self.reader.find(replace(query, limit=query.limit + 1)))
        shown = found[: query.limit]
        return Page(shown, shown[-1].id if len(found) > len(shown) else None)

    async def get(self, event_id: str) -> tuple[Event, bytes] | None:
        """Give one event with headers, and its body; None for an id that names nothing."""
        if not is_id(event_id) or (event := await self.reader.get(EventId(event_id))) is None:
            return None
        body = await self.reader.body(event.id)
        return None if body is None else (event, body)

    async def body(self, event_id: str) -> bytes | None:
        """Give the raw bytes of one event."""
        return await self.reader.body(EventId(event_id)) if is_id(event_id) else None
