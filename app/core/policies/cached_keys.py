"""Providers' keys kept at hand: an hour each, renewed in the background, and nobody waits long for a new one.

A request brings the name of the key that it was signed with, so strangers choose what is asked for. Hence: one fetch
for all who want the same key; a fetch that goes on when its callers have given up waiting, so that the key is there
when the provider sends again; failures that are remembered for a while; and an allowance for keys that were never seen.
A key that was fetched once is renewed without the allowance: a flood of invented names does not take known keys away.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from app.core.domain.errors import KeyMissing, Unavailable
from app.core.domain.fetch_allowance import FetchAllowance, FetchBounds
from app.core.ports.provider_keys import ProviderKeys

MOST_FAILURES = 256


class _Kept(NamedTuple):
    value: bytes
    asked_at: float


class _Failure(NamedTuple):
    missing: bool
    reason: str
    until: float


class CachedKeys(ProviderKeys):
    """Keys in front of where they are fetched; one at hand is given without waiting."""

    def __init__(
        self,
        inner: ProviderKeys,
        *,
        seconds: float = 3600.0,
        wait_seconds: float = 1.0,
        failed_seconds: float = 5.0,
        missing_seconds: float = 60.0,
        most_keys: int = 1000,
        most_bytes: int = 8_000_000,
        bounds: FetchBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Give a key for `seconds`, and renew it after half of them, when it is asked for.

        `wait_seconds` is the longest that a caller waits for a fetch; `failed_seconds` and `missing_seconds` are how
        long a key is left alone that could not be had, or that the provider does not have.
        """
        self._inner = inner
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._failed_seconds = failed_seconds
        self._missing_seconds = missing_seconds
        self._most_keys = most_keys
        self._most_bytes = most_bytes
        self._allowance = FetchAllowance(bounds or FetchBounds())
        self._clock = clock
        self._on_failure = on_failure
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """The one used least recently stands first. Those too old to be given remain, as known."""
        self._bytes = 0
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._fetches: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, url: str, *, max_age_seconds: float | None = None) -> bytes:
        """Give what is at hand, else fetch it; `Unavailable` also when that takes too long, or is too much at once."""
        longest = self._seconds if max_age_seconds is None else min(max_age_seconds, self._seconds)
        kept = self._kept.get(url)
        age = self._clock() - kept.asked_at if kept else 0.0
        if kept is None or age >= longest:
            return await self._wait_for(self._fetch_of(url))
        self._kept.move_to_end(url)
        if age >= self._seconds / 2:
            with suppress(Unavailable):  # it is good for a while
                self._fetch_of(url)
        return kept.value

    async def close(self) -> None:
        """End the fetches that are under way."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _wait_for(self, fetch: "asyncio.Task[bytes]") -> bytes:
        # Whoever goes away leaves the others, and whoever comes next, their answer.
        await asyncio.wait({fetch}, timeout=self._wait_seconds)
        if not fetch.done():
            raise Unavailable(f"a provider's key was not there within {self._wait_seconds:g} s")
        if fetch.cancelled():
            raise Unavailable("fetching a provider's key was ended")
        return fetch.result()

    def _fetch_of(self, url: str) -> "asyncio.Task[bytes]":
        """Give the fetch that is under way, or start one. Raises `Unavailable` where none may be started now."""
        fetch = self._fetches.get(url)
        if fetch is not None:
            return fetch
        now = self._clock()
        failure = self._failures.get(url)
        if failure is not None and now < failure.until:
            raise KeyMissing(failure.reason) if failure.missing else Unavailable(failure.reason)
        charged = None if url in self._kept else _host(url)
        if charged is not None and (reason := self._allowance.take(charged, now)):
            raise Unavailable(reason)
        fetch = asyncio.create_task(self._fetch(url), name="fetch a provider's key")
        self._fetches[url] = fetch
        fetch.add_done_callback(lambda done: self._fetched(url, charged, done))
        return fetch

    async def _fetch(self, url: str) -> bytes:
        asked_at = self._clock()  # a key is as old as the moment before it was read
        try:
            value = await self._inner.get(url)
        except KeyMissing as error:
            self._forget(url)  # the provider has withdrawn it
            self._remember(url, _Failure(True, str(error), self._clock() + self._missing_seconds))
            raise
        except Unavailable as error:
            self._remember(url, _Failure(False, str(error), self._clock() + self._failed_seconds))
            self._on_failure(error)
            raise
        self._forget(url)
        self._kept[url] = _Kept(value, asked_at)
        self._bytes += len(value)
        while len(self._kept) > self._most_keys or self._bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))
        return value

    def _fetched(self, url: str, charged: str | None, fetch: "asyncio.Task[bytes]") -> None:
        del self._fetches[url]
        if charged is not None:
            self._allowance.give_back(charged)
        if not fetch.cancelled():
            fetch.exception()  # seen, even if everybody who asked has gone

    def _forget(self, url: str) -> None:
        kept = self._kept.pop(url, None)
        if kept is not None:
            self._bytes -= len(kept.value)

    def _remember(self, url: str, failure: _Failure) -> None:
        self._failures.pop(url, None)
        self._failures[url] = failure
        if len(self._failures) > MOST_FAILURES:
            self._failures.popitem(last=False)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()
