"""Telling workers that there is something to do. A hint and no more: whoever waits looks again after a while anyway."""

from abc import abstractmethod
from typing import Protocol


class WakeUps(Protocol):
    """Hints between all processes on one database; any of them may be lost."""

    @abstractmethod
    def hint(self) -> None:
        """Say that there may be work; returns at once and never raises. Many hints at a time become one."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Return at a hint that came after the last return, or after so many seconds. For one waiter at a time."""
