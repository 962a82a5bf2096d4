"""Refusals on their way into their store, off the path of every answer and within bounds.

Whoever refuses a request notes it here, which costs an append to a queue. A background duty writes what has gathered,
in batches and on connections that are not intake's, and trims what is kept. A flood of forged requests therefore costs
at most: so many rows a second and source, so many bytes a second in all, one queue. What does not fit is counted, and
that is all that becomes of it.

Postgres may be away: then the queue stays as it is, and new refusals are dropped once it is full. It is written when
Postgres is back; a batch whose commit was in doubt is written again, which changes nothing if it was kept.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from app.core.domain.errors import OpsConnectError, RowFault
from app.core.domain.refusal import NewRefusal
from app.core.domain.token_bucket import TokenBucket
from app.core.ports.refusal_store import RefusalStore

BATCH_ROWS = 100
BATCH_WEIGHT = 4_000_000
"""One refusal alone may be heavier."""
TRIMMED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RefusalBounds:
    """How much is kept, and how fast it may come."""

    count: int = 10_000
    weight: int = 100_000_000
    """Bytes of all requests that are kept, near enough."""
    age: timedelta = timedelta(days=7)
    per_second: int = 10
    """Of one source in this process; 0 keeps none."""
    seconds_at_once: int = 5
    """A source may bring so many seconds' worth at once."""
    waiting: int = 500
    waiting_weight: int = 32_000_000
    """More than the largest body of a source, so that such a one can be released too."""
    weight_per_second: int = 1_000_000
    """Of all sources in this process."""


class RefusalBook:
    """Takes refusals down at once, and the background duty that keeps them. Belongs to one event loop."""

    name = "refusal book"

    def __init__(
        self,
        store: RefusalStore,
        bounds: RefusalBounds = RefusalBounds(),
        *,
        write_seconds: float = 0.5,
        trim_seconds: float = 10.0,
        idle_trim_seconds: float = 600.0,
        after_failure_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Write every `write_seconds`; trim so long after a write, and now and then without one.

        `clock` gives monotonic seconds; `on_failure` is told whenever nothing could be written or trimmed.
        """
        self._store = store
        self._bounds = bounds
        self._write_seconds = write_seconds
        self._trim_seconds = trim_seconds
        self._idle_trim_seconds = idle_trim_seconds
        self._after_failure_seconds = after_failure_seconds
        self._clock = clock
        self._on_failure = on_failure
        self._waiting: deque[NewRefusal] = deque()
        self._waiting_weight = 0
        self._rates: dict[str, TokenBucket] = {}
        self._volume = TokenBucket(per_second=bounds.weight_per_second, burst=bounds.waiting_weight, now=clock())
        self._trim_at = clock() + trim_seconds
        self._dropped = Counter[str]({"rate": 0, "volume": 0, "queue": 0, "failed": 0})

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many were not kept, by reason.

        `rate`: their source brought more than so many a second; `volume`: all of them more than so many bytes a second;
        `queue`: too many wait for Postgres; `failed`: Postgres refused them, or was away when the process ended.
        """
        return self._dropped

    def note(self, refusal: NewRefusal) -> None:
        """Take it down to be kept, or only count it. Never waits, never raises."""
        reason = self._full(refusal)
        if reason:
            self._dropped[reason] += 1
            return
        self._waiting.append(refusal)
        self._waiting_weight += refusal.weight

    async def run(self, stop: asyncio.Event) -> None:
        """Write and trim until told to stop; then write what is left, once."""
        while not stop.is_set():
            pause_seconds = self._write_seconds
            try:
                await self.write()
                await self._trim_when_due(stop)
            except OpsConnectError as error:
                self._on_failure(error)
                pause_seconds = self._after_failure_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_seconds)
        try:
            await self.write()
        except OpsConnectError as error:
            self._on_failure(error)
            self._dropped["failed"] += len(self._waiting)
            self._leave(len(self._waiting))

    async def write(self) -> None:
        """Write all that waits. Raises `Unavailable` or `OutcomeUnknown`: the rest waits on."""
        while batch := self._batch():
            await self._keep(batch)
            self._leave(len(batch))
            self._trim_at = min(self._trim_at, self._clock() + self._trim_seconds)

    async def trim(self) -> int:
        """Remove what is beyond the bounds, a batch of it; give how many. Raises `Unavailable` or `OutcomeUnknown`."""
        return await self._store.trim(
            count=self._bounds.count,
            weight=self._bounds.weight,
            before=datetime.now(UTC) - self._bounds.age,
            at_most=TRIMMED_AT_ONCE,
        )

    def _full(self, refusal: NewRefusal) -> str | None:
        """Tell why there is no room for it. The rate comes first: most of a flood ends there."""
        now = self._clock()
        if not self._rate(refusal.source, now).take(1, now):
            return "rate"
        weight = refusal.weight
        bounds = self._bounds
        if len(self._waiting) >= bounds.waiting or self._waiting_weight + weight > bounds.waiting_weight:
            return "queue"
        return None if self._volume.take(weight, now) else "volume"

    def _rate(self, source: str, now: float) -> TokenBucket:
        """Find a source's rate. There are as many as sources: all unknown ones are one, whose name is empty."""
        rate = self._rates.get(source)
        if rate is None:
            per_second = self._bounds.per_second
            rate = TokenBucket(per_second=per_second, burst=per_second * self._bounds.seconds_at_once, now=now)
            self._rates[source] = rate
        return rate

    def _batch(self) -> list[NewRefusal]:
        """Look at the first that wait. They stay in the queue until they are kept, and count for its bounds."""
        batch: list[NewRefusal] = []
        weight = 0
        for refusal in islice(self._waiting, BATCH_ROWS):
            weight += refusal.weight
            if batch and weight > BATCH_WEIGHT:
                break
            batch.append(refusal)
        return batch

    async def _keep(self, batch: Sequence[NewRefusal]) -> None:
        """Keep a batch; one at fault is found by halving, and fails alone."""
        try:
            await self._store.keep(batch)
        except RowFault as error:
            if len(batch) == 1:
                self._on_failure(error)
                self._dropped["failed"] += 1
                return
            middle = len(batch) // 2
            await self._keep(batch[:middle])
            await self._keep(batch[middle:])

    def _leave(self, count: int) -> None:
        for _ in range(count):
            self._waiting_weight -= self._waiting.popleft().weight

    async def _trim_when_due(self, stop: asyncio.Event) -> None:
        if self._clock() < self._trim_at:
            return
        while not stop.is_set() and await self.trim() == TRIMMED_AT_ONCE:
            pass
        self._trim_at = self._clock() + self._idle_trim_seconds
