"""Rates in memory: the twin for tests, and what a process goes by alone."""

import time
from collections.abc import Callable

from app.core.domain.token_bucket import TokenBucket
from app.core.ports.rate_limit import RateLimit


class MemoryRateLimit(RateLimit):
    """One process's own rates."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, TokenBucket]] = {}

    async def take(self, name: str, *, per_second: float, most: int) -> int:
        """Take from the name's bucket."""
        now = self._clock()
        rate, bucket = self._buckets.get(name, (None, None))
        if bucket is None or rate != per_second:
            bucket = TokenBucket(per_second=per_second, burst=max(per_second, 1.0), now=now)
            self._buckets[name] = per_second, bucket
        return bucket.take_up_to(most, now)
