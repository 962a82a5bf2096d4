"""Locks and markers within one process: the twin of those in Redis, and the stand-in where there is one process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

MOST_MARKERS = 50_000
"""Markers kept at most (some 25 MB); the oldest go first, which costs only a statement in the store."""


class MemoryIdempotencyLock(IdempotencyLock):
    """One lock on a memory of its own, or on one shared with others; it never fails and never waits."""

    class Shared:
        """What several locks contend for, as processes do for one Redis."""

        def __init__(self, *, clock: Callable[[], float] = time.monotonic, most_markers: int = MOST_MARKERS) -> None:
            """`clock` gives monotonic seconds."""
            self.clock = clock
            self.locks: OrderedDict[bytes, tuple[object, float]] = OrderedDict()
            self.markers: OrderedDict[bytes, tuple[Marker, float]] = OrderedDict()
            self._most_markers = most_markers

        def forget_expired(self, now: float) -> None:
            """Let go of what has expired (what was written first stands first), and of too many markers."""
            for entries in (self.locks, self.markers):
                while entries and next(iter(entries.values()))[1] <= now:
                    entries.popitem(last=False)
            while len(self.markers) > self._most_markers:
                self.markers.popitem(last=False)

    def __init__(
        self, shared: Shared | None = None, *, lock_seconds: float = 3.0, marker_seconds: float = 120.0
    ) -> None:
        self._shared = shared or self.Shared()
        self._lock_seconds = lock_seconds
        self._marker_seconds = marker_seconds

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Look at each key in turn; nothing else runs meanwhile."""
        now = self._shared.clock()
        self._shared.forget_expired(now)
        return [self._take(key, now) for key in keys]

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Mark, then free, as the one in Redis does."""
        now = self._shared.clock()
        locks, markers = self._shared.locks, self._shared.markers
        for key, marker in committed:
            locks.pop(key, None)
            markers[key] = marker, now + self._marker_seconds
            markers.move_to_end(key)
        for key in released:
            if key in locks and locks[key][0] is self:
                del locks[key]
        self._shared.forget_expired(now)

    def _take(self, key: bytes, now: float) -> Lock | Marker:
        locks, markers = self._shared.locks, self._shared.markers
        if key in markers and now < markers[key][1]:
            return markers[key][0]
        if key in locks and locks[key][0] is not self and now < locks[key][1]:
            return Lock.BUSY
        locks[key] = self, now + self._lock_seconds
        locks.move_to_end(key)
        return Lock.HELD
