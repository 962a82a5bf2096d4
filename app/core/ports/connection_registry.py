"""Which connections there are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from app.core.domain.connection import Connection


class ConnectionRegistry(Protocol):
    """The connections that people have applied, as `Configuration` keeps them; settings come back exactly."""

    @abstractmethod
    async def get(self, name: str) -> Connection | None:
        """Give one connection, or None when there is none of that name. Raises `Unavailable`."""

    @abstractmethod
    async def all(self) -> Sequence[Connection]:
        """Give every connection, ordered by name. Raises `Unavailable`."""
