"""The inbox: events that nobody has planned yet, in the order in which they were kept."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.core.domain.ids import EventId
from app.core.domain.job import NewJob


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event to be planned."""

    id: EventId
    source: str
    type: str | None
    content_type: str | None
    body: bytes
    traceparent: str


class Decision(NamedTuple):
    """What becomes of an event: jobs, or with none of them it is discarded, or quarantined with a reason."""

    jobs: Sequence[NewJob] = ()
    quarantine: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What was planned."""

    events: int
    jobs: int
    more: bool = field(default=False, compare=False)
    """Whether there may be more at once: the batch was full, of events or of bytes."""


class Inbox(Protocol):
    """Shared by every worker on one database; one of them plans at a time, so that what came first is planned first."""

    @abstractmethod
    async def plan(self, most: int, decide: Callable[[InboxEvent], Decision]) -> Planned | None:
        """Take up to so many events in their order, and in one transaction keep what was decided and forget the rows.

        `decide` is pure; it may be called again for an event whose plan was not committed. None: another worker is
        planning. Raises `Unavailable` or `OutcomeUnknown`: then nothing, or all of it, was done.
        """
