"""A circuit breaker: after failures in a row, leave a dependency alone for a while, then let one call find out.

    CLOSED ──N failures in a row──▶ OPEN ──after S seconds──▶ HALF_OPEN ──the probe succeeds──▶ CLOSED
                                     ▲                            │
                                     └──────the probe fails───────┘

Every call that is let through carries the number of the turn in which it was, and a turn ends with each change of
state. What a call of an earlier turn reports is passed over: ten calls that hung before the breaker opened are no
ten probes, and a late success does not close it.
"""

from enum import Enum


class BreakerState(Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    """All of them."""
    OPEN = "open"
    """None."""
    HALF_OPEN = "half-open"
    """One, the probe; the others wait for what becomes of it."""


class CircuitBreaker:
    """The state of one dependency as its callers see it. Times are monotonic seconds that the caller brings."""

    def __init__(self, *, errors: int, open_seconds: float) -> None:
        self._errors = errors
        self._open_seconds = open_seconds
        self._turn = 0
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    def state(self, now: float) -> BreakerState:
        """Tell the state at this moment."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def let_through(self, now: float) -> int | None:
        """Give the turn of a call that may go ahead, None to one that may not.

        Whoever got a turn reports it to exactly one of `succeeded`, `failed` and `abandoned`.
        """
        state = self.state(now)
        if state is BreakerState.OPEN or self._probing:
            return None
        self._probing = state is BreakerState.HALF_OPEN
        return self._turn

    def succeeded(self, turn: int) -> None:
        """Count a call that worked: closed, and no failure so far."""
        if turn == self._turn:
            self._failures = 0
            if self._probing:
                self._next_turn(open_until=None)

    def failed(self, turn: int, now: float) -> None:
        """Count a call that failed: one too many in a row, or a probe, opens."""
        if turn == self._turn:
            self._failures += 1
            if self._probing or self._failures >= self._errors:
                self._next_turn(open_until=now + self._open_seconds)

    def abandoned(self, turn: int) -> None:
        """Count a call that proved nothing, a cancelled one say: the next may be the probe."""
        if turn == self._turn:
            self._probing = False

    def _next_turn(self, open_until: float | None) -> None:
        self._turn += 1
        self._failures = 0
        self._probing = False
        self._open_until = open_until
