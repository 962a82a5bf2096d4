"""A shield in front of the event store: one holder in flight per delivery key, and a memory of what was committed.

It is never a gate: whatever it answers, and if it answers nothing at all, the store's unique key decides.
"""

from abc import abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from app.core.domain.ids import EventId


class Lock(Enum):
    """What a process learns of a key that has no marker."""

    HELD = "held"
    """The key is in this process's hand until it is settled or its time is up."""
    BUSY = "busy"
    """Another process has it in hand."""


class Marker(NamedTuple):
    """A note that a delivery was committed. Believed only in the epoch it names."""

    event_id: EventId
    digest: bytes
    epoch: str


class Committed(NamedTuple):
    """A key whose event is committed, with the marker to leave there."""

    key: bytes
    marker: Marker


class IdempotencyLock(Protocol):
    """Locks and markers on delivery keys, shared by all processes in front of one store."""

    @abstractmethod
    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Take each key that is free, in one round trip; one answer each, in order.

        A key that this very lock object holds already is `HELD` again. A held key frees itself after a few seconds.
        Raises `Unavailable` when the lock cannot be asked; some keys may then be held until their time is up.
        """

    @abstractmethod
    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Leave markers on committed keys, and free the other keys where they are still held by this lock object.

        Markers free their keys too, and expire. Call it only after the commit. Raises `Unavailable`.
        """
