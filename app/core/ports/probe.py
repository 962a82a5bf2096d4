"""Asking a dependency how it is."""

from abc import abstractmethod
from typing import Protocol


class Probe(Protocol):
    """One dependency's own way to tell that it works."""

    @property
    @abstractmethod
    def name(self) -> str:
        """`db`, `redis`: what health calls it."""

    @abstractmethod
    async def check(self) -> float:
        """Make one cheap round trip and give its milliseconds. Raises `Unavailable` with a reason, within a second."""
