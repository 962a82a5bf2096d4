"""Secrets kept at hand for seconds: no look-up a webhook, and a rotated secret is still seen within them."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from app.core.domain.errors import SecretMissing
from app.core.ports.secret_store import SecretStore


class _Kept(NamedTuple):
    values: tuple[bytes, ...]
    """Empty: it was missing, for the reason beside."""
    reason: str
    until: float


class CachedSecrets(SecretStore):
    """A store in front of a store; what is at hand is given without waiting.

    A missing secret is remembered for a second at most, so that it works soon after somebody puts it there. Any other
    failure is not remembered at all.
    """

    def __init__(
        self,
        inner: SecretStore,
        *,
        seconds: float = 5.0,
        missing_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._seconds = seconds
        self._missing_seconds = min(seconds, missing_seconds)
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._asked: dict[str, asyncio.Task[_Kept]] = {}

    async def resolve(self, reference: str) -> bytes:
        """Give the newest of what is at hand."""
        return (await self.resolve_all(reference))[0]

    async def resolve_all(self, reference: str) -> tuple[bytes, ...]:
        """Give what is at hand, else ask the store, once for everybody who asks meanwhile."""
        kept = self._kept.get(reference)
        if kept is None or self._clock() >= kept.until:
            kept = await self._ask(reference)
        if not kept.values:
            raise SecretMissing(kept.reason)
        return kept.values

    def fault(self, reference: str) -> str | None:
        """Ask the store, which judges by the form alone."""
        return self._inner.fault(reference)

    async def _ask(self, reference: str) -> _Kept:
        asking = self._asked.get(reference)
        if asking is None:
            asking = asyncio.create_task(self._look_up(reference), name="look up a secret")
            self._asked[reference] = asking
            asking.add_done_callback(lambda done: self._answered(reference, done))
        # Whoever goes away leaves the others their answer.
        return await asyncio.shield(asking)

    async def _look_up(self, reference: str) -> _Kept:
        asked_at = self._clock()  # a value is as old as the moment before it was read
        try:
            kept = _Kept(await self._inner.resolve_all(reference), "", asked_at + self._seconds)
        except SecretMissing as missing:
            kept = _Kept((), str(missing), asked_at + self._missing_seconds)
        self._kept[reference] = kept
        return kept

    def _answered(self, reference: str, asking: asyncio.Task[_Kept]) -> None:
        del self._asked[reference]
        if not asking.cancelled():
            asking.exception()  # seen, even if everybody who asked has gone
