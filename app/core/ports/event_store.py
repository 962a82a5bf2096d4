"""Where events are kept. Nothing here returns an outcome before its transaction has committed."""

from abc import abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId


@dataclass(slots=True)
class Flush:
    """The story of one flush, shared by the outcomes that it gave; each layer writes its own part.

    Times are nanoseconds since the epoch; 0 means that it did not happen.
    """

    size: int = 0
    """Rows in the statement."""
    epoch: str = ""
    """The database that committed; see `EventStore.epoch`."""
    append_started_ns: int = 0
    append_ended_ns: int = 0
    lock_started_ns: int = 0
    lock_ended_ns: int = 0
    locks: Mapping[str, int] | None = None
    """How many keys of the flush were `held`, `busy`, `marked` or `unshielded`; None when no lock was asked."""
    recorded: object = None
    """The telemetry adapter's own note that it has seen this flush."""


class Appended(NamedTuple):
    """The event is kept: its row is committed."""

    event_id: EventId
    flush: Flush


class Duplicate(NamedTuple):
    """The delivery was kept before, as `event_id`, by a transaction that has committed."""

    event_id: EventId
    same_body: bool
    """False: the key is the same, the bytes are not; the other bytes are kept as a conflict."""
    flush: Flush


class Pending(NamedTuple):
    """Not settled together with its neighbours: somebody else has this key in hand, and this is awaited alone."""

    outcome: Awaitable[Appended | Duplicate]


Outcome = Appended | Duplicate


class EventStore(Protocol):
    """A durable record of what providers told us."""

    @abstractmethod
    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome | Pending]:
        """Keep these events, their delivery keys and their inbox rows in one transaction; one outcome each, in order.

        A delivery that was kept before is a `Duplicate` naming the first event, which is no error: it is counted, and
        where its bytes differ they are kept as a conflict (at most 10 an event). The same key twice in one call: one is
        kept. The very same event (by id) again is `Appended` again, and not counted. Quarantined events get no inbox
        row. Safe to call from many tasks and processes at once.

        Raises `Unavailable` when nothing was kept, `OutcomeUnknown` when the commit may or may not have happened,
        `RowFault` when nothing was kept because of one of the rows.
        """

    @abstractmethod
    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Add to the number of times that events came again, for deliveries answered without `append`.

        Raises `Unavailable` or `OutcomeUnknown`; counts are for people, and may be off by what such a failure hides.
        """

    @abstractmethod
    def epoch(self) -> str | None:
        """Name the very database that holds the events, or None unless it answered within the last second.

        Another database, a restored or failed-over one, or the same one restarted has another epoch: what was said
        about commits in one epoch proves nothing in another.
        """
