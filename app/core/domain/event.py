"""An event: one accepted delivery, kept as it was."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from app.core.domain.ids import EventId


class EventState(StrEnum):
    """Where an event stands (ARCHITECTURE: received → processed | discarded | dead, or quarantined)."""

    RECEIVED = "received"
    PROCESSED = "processed"
    DISCARDED = "discarded"
    DEAD = "dead"
    QUARANTINED = "quarantined"


class NewEvent(NamedTuple):
    """What intake hands to the store. A tuple, because one is made for each request on the hot path."""

    id: EventId
    source: str
    provider: str
    key: bytes
    """The delivery key: 32 bytes, SHA-256 of source and delivery id."""
    delivery_id: str
    """What the key was made of, printable, at most 1,024 characters."""
    type: str | None
    received_at: datetime
    headers: tuple[tuple[str, str], ...]
    """The chosen headers in the order they came, names in lower case; nothing that is a credential."""
    content_type: str | None
    body: bytes
    digest: bytes
    """SHA-256 of the body, 32 bytes."""
    verification: str
    """How it was proved genuine: `hmac-sha256`, with `#2` for the second secret, or `none`."""
    traceparent: str
    """The W3C trace context of its receipt, which all later work continues or links."""
    quarantine: str | None
    """Why it cannot be read, though it is authentic; None when nothing is wrong or nothing was judged."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is looked at later; `headers` is None in a list."""

    id: EventId
    source: str
    provider: str
    type: str | None
    state: EventState
    reason: str | None
    received_at: datetime
    delivery_id: str
    size: int
    content_type: str | None
    digest: bytes
    verification: str
    traceparent: str
    duplicates: int
    conflicts: int
    replay_of: EventId | None = None
    """The first event that brought the same bytes, where this one came later and under an id that nobody signs."""
    headers: tuple[tuple[str, str], ...] | None = None

    @property
    def trace_id(self) -> str:
        """Give the trace that its receipt is in: 32 hexadecimal digits."""
        return self.traceparent.split("-")[1]
