"""A rate with a burst: so much a second on average, and a little more at once."""


class TokenBucket:
    """Holds what may still be taken now. Nobody waits for it. Times are monotonic seconds that the caller brings."""

    __slots__ = ("_burst", "_filled_at", "_left", "_per_second")

    def __init__(self, *, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._filled_at = now

    def take(self, amount: float, now: float) -> bool:
        """Take that much, or nothing and say so."""
        self._fill(now)
        if amount > self._left:
            return False
        self._left -= amount
        return True

    def take_up_to(self, most: int, now: float) -> int:
        """Take as many whole ones as there are, and say how many."""
        self._fill(now)
        taken = min(most, int(self._left))
        self._left -= taken
        return taken

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + max(now - self._filled_at, 0) * self._per_second)
        self._filled_at = now
