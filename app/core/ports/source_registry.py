"""Which sources there are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from app.core.domain.source import Source


class SourceRegistry(Protocol):
    """The sources that people have applied, as `Configuration` keeps them."""

    @abstractmethod
    async def get(self, name: str) -> Source | None:
        """Give one source, or None when there is none of that name. Raises `Unavailable`."""

    @abstractmethod
    async def all(self) -> Sequence[Source]:
        """Give every source, ordered by name. Raises `Unavailable`."""
