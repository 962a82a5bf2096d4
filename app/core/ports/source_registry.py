"""Which sources there are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, Protocol

from app.core.domain.source import Source

Change = Literal["created", "changed", "unchanged"]


class SourceRegistry(Protocol):
    """The sources that people have applied; shared by every process on one database."""

    @abstractmethod
    async def get(self, name: str) -> Source | None:
        """Give one source, or None when there is none of that name. Raises `Unavailable`."""

    @abstractmethod
    async def all(self) -> Sequence[Source]:
        """Give every source, ordered by name. Raises `Unavailable`."""

    @abstractmethod
    async def apply(self, sources: Sequence[Source], *, dry_run: bool = False) -> Sequence[Change]:
        """Make these sources exist as given, in one transaction; say for each, in order, what that changed.

        No name stands twice in them. What is not named stays as it is. Applying the same again changes nothing, not
        even a version. With `dry_run` nothing is written. Raises `Unavailable`, and `OutcomeUnknown` as the event
        store does.
        """
