"""When a step that failed is tried again, and when no more. Time and chance come in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from app.core.domain.connector import Failure

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often one kind of failure is tried, and how long is waited between."""

    attempts: int = 10
    """In all, the first included."""
    first_seconds: float = 5.0
    factor: float = 3.0
    cap_seconds: float = 10 * HOUR
    delays_seconds: tuple[float, ...] | None = None
    """An explicit list in place of the growing delays, waited exactly; the attempts are one more than it has."""

    @property
    def most(self) -> int:
        """The most attempts."""
        return self.attempts if self.delays_seconds is None else len(self.delays_seconds) + 1

    def delay(self, tries: int, chance: float) -> float:
        """Give the seconds to wait after so many tries; `chance`: uniform in [0, 1), for full jitter."""
        if self.delays_seconds is not None:
            return self.delays_seconds[tries - 1]
        try:
            grown = self.first_seconds * self.factor ** (tries - 1)
        except OverflowError:  # beyond any float, and so beyond the cap
            grown = self.cap_seconds if self.first_seconds else 0.0
        return min(self.cap_seconds, grown) * chance


ONCE = Backoff(attempts=1)
FEW = Backoff(attempts=3)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The backoff of each kind of failure, and the bounds of all."""

    backoff: Backoff = field(default_factory=Backoff)
    by_failure: Mapping[Failure, Backoff] = field(
        default_factory=lambda: MappingProxyType({Failure.PERMANENT: FEW, Failure.INVALID: ONCE})
    )
    """Where it is another."""
    most_age_seconds: float = 36 * HOUR
    """From the first try on; nothing is tried later."""
    most_retry_after_seconds: float = 10 * HOUR
    """The longest that the other side may have us wait."""

    def next_delay(
        self, failure: Failure, tries: int, age_seconds: float, chance: float, retry_after_seconds: float | None = None
    ) -> float | None:
        """Give the seconds until the next try, after `tries` of them; None: there is none.

        What the other side asks for is waited at least, up to the bound; a wait that would end beyond the total age
        ends it now.
        """
        backoff = self.by_failure.get(failure, self.backoff)
        if tries >= backoff.most:
            return None
        delay = backoff.delay(tries, chance)
        if retry_after_seconds is not None:
            delay = max(delay, min(retry_after_seconds, self.most_retry_after_seconds))
        return delay if age_seconds + delay <= self.most_age_seconds else None


def usual_policy(first_seconds: float) -> RetryPolicy:
    """Give the policy of those that nobody gave one, its delays growing from so many seconds."""
    return RetryPolicy(
        Backoff(first_seconds=first_seconds),
        MappingProxyType({Failure.PERMANENT: replace(FEW, first_seconds=first_seconds), Failure.INVALID: ONCE}),
    )
