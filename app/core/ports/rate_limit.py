"""Rates that all processes share: so much a second of a name, however many serve it."""

from abc import abstractmethod
from typing import Protocol


class RateLimit(Protocol):
    """Gives out what may be taken now."""

    @abstractmethod
    async def take(self, name: str, *, per_second: float, most: int) -> int:
        """Take up to `most` of a name's rate; give how many were to be had, 0 if none.

        A name that was not asked for lately has a second's worth, one at least. Processes that ask with different rates
        each get what fits theirs. Raises `Unavailable` when nothing can be said.
        """
