"""Dependencies that are left alone for a while when they fail: meanwhile nobody waits for their time-outs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from app.core.domain.breaker import BreakerState, CircuitBreaker
from app.core.domain.errors import OutcomeUnknown, RowFault, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import EventStore, Outcome, Pending
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker
from app.core.ports.probe import Probe

T = TypeVar("T")


class Guard:
    """A circuit breaker around the calls of one dependency: while it is open, each is `Unavailable` at once."""

    def __init__(
        self,
        what: str,
        *,
        errors: int,
        open_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        on_lost: Callable[[Exception], None] = lambda _error: None,
        on_recovered: Callable[[], None] = lambda: None,
    ) -> None:
        """Open for `open_seconds` after `errors` failures in a row; `clock` gives monotonic seconds.

        `what` is how errors name the dependency. `on_lost` is told when it first opens, `on_recovered` when it closes.
        """
        self._what = what
        self._breaker = CircuitBreaker(errors=errors, open_seconds=open_seconds)
        self._clock = clock
        self._last_failure = ""
        self._lost = False
        self._probe: asyncio.Event | None = None
        self._on_lost = on_lost
        self._on_recovered = on_recovered

    @property
    def state(self) -> BreakerState:
        """Whether the dependency is asked at this moment."""
        return self._breaker.state(self._clock())

    @property
    def reason(self) -> str:
        """Why it opened, for whoever is turned away."""
        return f"{self._what} is left alone for a while after failing: {self._last_failure}"

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Pass on, unless open."""
        turn = self._breaker.let_through(self._clock())
        if turn is None:
            raise Unavailable(self.reason)
        return await self._report(turn, call)

    async def call_patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Pass on, unless open; while a probe is under way, wait for what becomes of it.

        For callers with nowhere else to turn: the first good call after a failure takes the others along.
        """
        while self._probe is not None:
            await self._probe.wait()
        if self.state is not BreakerState.HALF_OPEN:
            return await self.call(call)
        self._probe = probe = asyncio.Event()
        try:
            return await self.call(call)
        finally:
            self._probe = None
            probe.set()

    async def _report(self, turn: int, call: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await call()
        except (Unavailable, OutcomeUnknown) as error:
            self._last_failure = str(error)
            self._breaker.failed(turn, self._clock())
            if not self._lost and self.state is not BreakerState.CLOSED:
                self._lost = True
                self._on_lost(error)
            raise
        except RowFault:  # the dependency is well: it said what is wrong with a row
            self._succeeded(turn)
            raise
        except BaseException:  # cancelled, or a defect of ours: no word about the dependency
            self._breaker.abandoned(turn)
            raise
        self._succeeded(turn)
        return result

    def _succeeded(self, turn: int) -> None:
        self._breaker.succeeded(turn)
        if self._lost and self.state is BreakerState.CLOSED:
            self._lost = False
            self._on_recovered()


class BreakingLock(IdempotencyLock):
    """An idempotency lock behind a circuit breaker."""

    def __init__(self, inner: IdempotencyLock, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Pass on, unless open."""
        if not keys:  # an answer that costs no round trip proves nothing about the lock
            return []
        return await self._guard.call(lambda: self._inner.acquire(keys))

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Pass on, unless open."""
        if committed or released:
            await self._guard.call(lambda: self._inner.settle(committed, released))


class BreakingStore(EventStore):
    """An event store behind a circuit breaker: while it is open, nothing is kept and nobody waits to hear so."""

    def __init__(self, inner: EventStore, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome | Pending]:
        """Pass on, unless open."""
        if not events:
            return []
        return await self._guard.call_patiently(lambda: self._inner.append(events))

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Pass on: nobody waits for it."""
        await self._inner.count_duplicates(counts)

    def epoch(self) -> str | None:
        """Pass on what the inner store vouches for."""
        return self._inner.epoch()


class GuardedProbe(Probe):
    """A probe of what stands behind a guard: well or not, nothing is asked of it while the guard is open."""

    def __init__(self, inner: Probe, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    @property
    def name(self) -> str:
        """The name of the one behind."""
        return self._inner.name

    async def check(self) -> float:
        """Pass on; `Unavailable` while the guard is open."""
        if self._guard.state is BreakerState.OPEN:
            raise Unavailable(self._guard.reason)
        return await self._inner.check()
