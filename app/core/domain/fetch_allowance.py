"""How many fetches strangers may cause: whoever can write a key's name into a request can make us ask for that key.

So many at once and so many a minute, of one host and in all. A host that hangs holds up its own keys and leaves room
for others; a flood of names at one provider uses up that provider's share.
"""

from collections import Counter, deque
from dataclasses import dataclass

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class FetchBounds:
    """The most fetches of keys that were never fetched before."""

    at_once: int = 8
    at_once_per_host: int = 2
    per_minute: int = 60
    per_minute_per_host: int = 20


class FetchAllowance:
    """What is under way and what was started within the last minute. Times are monotonic seconds."""

    def __init__(self, bounds: FetchBounds) -> None:
        self._bounds = bounds
        self._under_way = Counter[str]()
        self._started: deque[tuple[float, str]] = deque()

    def take(self, host: str, now: float) -> str | None:
        """Start a fetch, or say why not; who was let start it calls `give_back` when it has ended."""
        while self._started and self._started[0][0] <= now - MINUTE:
            self._started.popleft()
        bounds = self._bounds
        if self._under_way.total() >= bounds.at_once:
            return "too many new keys are being fetched"
        if self._under_way[host] >= bounds.at_once_per_host:
            return f"too many new keys of {host} are being fetched"
        if len(self._started) >= bounds.per_minute:
            return "too many new keys were asked for within a minute"
        if sum(host == other for _, other in self._started) >= bounds.per_minute_per_host:
            return f"too many new keys of {host} were asked for within a minute"
        self._under_way[host] += 1
        self._started.append((now, host))
        return None

    def give_back(self, host: str) -> None:
        """End a fetch."""
        self._under_way[host] -= 1
        if not self._under_way[host]:
            del self._under_way[host]
