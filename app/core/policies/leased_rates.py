"""A tenth of a second of a rate at a time: most requests of a limited source are judged without asking anybody.

Each process takes a lease of what all share, uses it up, and asks for the next. Where nothing is to be had, it asks
again only after a moment, so that a flood costs no round trips. While the shared rate cannot be asked, each process
goes by the whole rate alone: a limit that is too generous for a while keeps events, one too strict would lose them.
"""

import asyncio
import math
import time
from collections.abc import Callable

from app.core.domain.errors import Unavailable
from app.core.domain.token_bucket import TokenBucket
from app.core.ports.rate_limit import RateLimit

LEASE_SECONDS = 0.1
LEASE_KEPT_SECONDS = 1.0
"""What was not used by then is given up: it was counted as used."""


class _Lease:
    __slots__ = ("alone", "asking", "empty_until", "left", "until")

    def __init__(self) -> None:
        self.left = 0
        self.until = 0.0
        self.empty_until = 0.0
        self.asking: asyncio.Task[None] | None = None
        self.alone: tuple[float, TokenBucket] | None = None
        """What this process goes by while nobody can be asked: the rate, and its bucket."""


class LeasedRates:
    """Rates by name, with leases on them."""

    def __init__(self, inner: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock
        self._leases: dict[str, _Lease] = {}

    def at_once(self, name: str, per_second: float) -> bool | None:
        """Say whether one more may come; None when somebody must be asked, with `may`."""
        lease = self._leases.get(name)
        if lease is None:
            lease = self._leases[name] = _Lease()
        now = self._clock()
        if lease.left > 0 and now < lease.until:
            lease.left -= 1
            return True
        return False if now < lease.empty_until else None

    async def may(self, name: str, per_second: float) -> bool:
        """Say whether one more may come; ask for a lease where that is not known."""
        while (answer := self.at_once(name, per_second)) is None:
            lease = self._leases[name]
            if lease.asking is None:
                lease.asking = asyncio.create_task(self._renew(name, lease, per_second), name="lease a rate")
            # Whoever goes away leaves the others their lease.
            await asyncio.shield(lease.asking)
        return answer

    async def _renew(self, name: str, lease: _Lease, per_second: float) -> None:
        wanted = max(1, math.ceil(per_second * LEASE_SECONDS))
        try:
            try:
                given = await self._inner.take(name, per_second=per_second, most=wanted)
                lease.alone = None
            except Unavailable:
                given = self._alone(lease, per_second).take_up_to(wanted, self._clock())
            now = self._clock()
            lease.left, lease.until = given, now + LEASE_KEPT_SECONDS
            # Nothing to be had: the next one comes after a while, which a slow rate makes long.
            lease.empty_until = now + min(1.0, 1 / per_second, LEASE_SECONDS) if not given else 0.0
        finally:
            lease.asking = None

    def _alone(self, lease: _Lease, per_second: float) -> TokenBucket:
        if lease.alone is None or lease.alone[0] != per_second:
            bucket = TokenBucket(per_second=per_second, burst=max(per_second, 1.0), now=self._clock())
            lease.alone = per_second, bucket
        return lease.alone[1]
