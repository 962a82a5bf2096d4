"""A lock that is left alone for a while when it fails: while it is away, nobody waits for its time-outs."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.core.domain.breaker import BreakerState, CircuitBreaker
from app.core.domain.errors import Unavailable
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

T = TypeVar("T")


class BreakingLock(IdempotencyLock):
    """An idempotency lock behind a circuit breaker: while that is open, every call is `Unavailable` at once."""

    def __init__(
        self,
        inner: IdempotencyLock,
        *,
        errors: int = 5,
        open_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
        on_lost: Callable[[Exception], None] = lambda _error: None,
        on_recovered: Callable[[], None] = lambda: None,
    ) -> None:
        """Open for `open_seconds` after `errors` failures in a row; `clock` gives monotonic seconds.

        `on_lost` is told when it first opens, `on_recovered` when it closes again.
        """
        self._inner = inner
        self._breaker = CircuitBreaker(errors=errors, open_seconds=open_seconds)
        self._clock = clock
        self._last_failure = ""
        self._lost = False
        self._on_lost = on_lost
        self._on_recovered = on_recovered

    @property
    def state(self) -> BreakerState:
        """Whether the lock is asked at this moment."""
        return self._breaker.state(self._clock())

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Pass on, unless open."""
        if not keys:  # an answer that costs no round trip proves nothing about the lock
            return []
        return await self._guard(lambda: self._inner.acquire(keys))

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Pass on, unless open."""
        if committed or released:
            await self._guard(lambda: self._inner.settle(committed, released))

    async def _guard(self, call: Callable[[], Awaitable[T]]) -> T:
        turn = self._breaker.let_through(self._clock())
        if turn is None:
            raise Unavailable(f"the lock is left alone for a while after failing: {self._last_failure}")
        try:
            result = await call()
        except Unavailable as error:
            self._last_failure = str(error)
            self._breaker.failed(turn, self._clock())
            if not self._lost and self.state is not BreakerState.CLOSED:
                self._lost = True
                self._on_lost(error)
            raise
        except BaseException:  # cancelled, or a defect of ours: no word about the lock
            self._breaker.abandoned(turn)
            raise
        self._breaker.succeeded(turn)
        if self._lost and self.state is BreakerState.CLOSED:
            self._lost = False
            self._on_recovered()
        return result
