"""What people configure, written as one: the sources and connections of a document exist together or not at all."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from app.core.domain.connection import Connection
from app.core.domain.source import Source

Change = Literal["created", "changed", "unchanged"]


class Applied(NamedTuple):
    """What applying changed, for each that was given, in order."""

    sources: Sequence[Change]
    connections: Sequence[Change]


class Configuration(Protocol):
    """What sources and connections there are, shared by every process on one database; the registries show it."""

    @abstractmethod
    async def apply(
        self, sources: Sequence[Source], connections: Sequence[Connection] = (), *, dry_run: bool = False
    ) -> Applied:
        """Make these exist as given, all in one transaction; say for each what that changed.

        No name stands twice in one kind. What is not named stays as it is. Applying the same again changes nothing,
        not even a version; numbers of settings are the same only when they are written the same. With `dry_run`
        nothing is written. Raises `Unavailable`, and `OutcomeUnknown` as the event store does.
        """
