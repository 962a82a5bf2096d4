"""API keys kept at hand for seconds: not each request of an operator asks the database, and a revoked key is soon seen.

What was read at most `fresh_seconds` ago is believed. Then it is read again, which may take `look_seconds`; where that
fails, what is not older than `trusted_seconds` still is. Both are counted from before the reading began. So a key that
was revoked, wherever that was, is refused `trusted_seconds` later at the latest, and a database that is away for a
moment locks nobody out.

Whoever makes keys up makes us ask: so many at once, on connections that are not intake's, and not in the way of keys
that are known.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from app.core.domain.api_key import ApiKey, NewApiKey
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.domain.ids import ApiKeyId
from app.core.ports.api_keys import ApiKeys


class _Read(NamedTuple):
    key: ApiKey
    at: float


class CachedApiKeys(ApiKeys):
    """A store in front of a store, and the background duty that writes down when keys were used."""

    name = "uses of API keys"

    def __init__(
        self,
        inner: ApiKeys,
        *,
        fresh_seconds: float = 2.0,
        trusted_seconds: float = 5.0,
        look_seconds: float = 2.0,
        unknown_at_once: int = 4,
        use_seconds: float = 60.0,
        write_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Look every `write_seconds` for uses to be written, of each key once in `use_seconds`."""
        self._inner = inner
        self._fresh_seconds = fresh_seconds
        self._trusted_seconds = trusted_seconds
        self._look_seconds = look_seconds
        self._unknown_at_once = unknown_at_once
        self._use_seconds = use_seconds
        self._write_seconds = write_seconds
        self._clock = clock
        self._on_failure = on_failure
        self._known: dict[bytes, _Read] = {}
        self._asked: dict[bytes, asyncio.Task[ApiKey | None]] = {}
        self._uses: dict[ApiKeyId, datetime] = {}
        self._written: dict[ApiKeyId, float] = {}

    async def create(self, key: NewApiKey) -> ApiKey | None:
        """Have it created; it is found from then on."""
        return await self._inner.create(key)

    async def find(self, digest: bytes) -> ApiKey | None:
        """Give what is at hand, else ask, once for everybody who asks meanwhile."""
        read = self._known.get(digest)
        if read is not None and self._clock() - read.at <= self._fresh_seconds:
            return read.key
        try:
            return await self._ask(digest)
        except Unavailable:
            read = self._known.get(digest)
            if read is not None and self._clock() - read.at <= self._trusted_seconds:
                return read.key
            raise

    async def all(self) -> Sequence[ApiKey]:
        """Ask the store: people want the truth, not what was true seconds ago."""
        return await self._inner.all()

    async def revoke(self, key_id: ApiKeyId) -> bool:
        """Have it revoked; this process knows at once."""
        try:
            return await self._inner.revoke(key_id)
        finally:
            self._known = {digest: read for digest, read in self._known.items() if read.key.id != key_id}

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        """Take them down. The first of a key is written within a second or so, another after a minute or at the end."""
        for key_id, at in uses.items():
            self._uses[key_id] = max(at, self._uses.get(key_id, at))

    async def run(self, stop: asyncio.Event) -> None:
        """Write down until told to stop; then what is left, once."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._write_seconds):
                    await stop.wait()
            due = [key_id for key_id in self._uses if self._is_due(key_id)]
            await self._write_or_report(list(self._uses) if stop.is_set() else due)

    async def write_uses(self) -> None:
        """Write down all that was noted. Raises `Unavailable` or `OutcomeUnknown`; then it stays noted."""
        await self._write(list(self._uses))

    def _is_due(self, key_id: ApiKeyId) -> bool:
        return self._clock() - self._written.get(key_id, float("-inf")) >= self._use_seconds

    async def _write_or_report(self, key_ids: Sequence[ApiKeyId]) -> None:
        try:
            await self._write(key_ids)
        except OpsConnectError as error:
            self._on_failure(error)

    async def _write(self, key_ids: Sequence[ApiKeyId]) -> None:
        uses = {key_id: self._uses[key_id] for key_id in key_ids}
        if not uses:
            return
        await self._inner.note_uses(uses)
        for key_id, at in uses.items():
            self._written[key_id] = self._clock()
            if self._uses[key_id] == at:  # else it was used again meanwhile
                del self._uses[key_id]

    async def _ask(self, digest: bytes) -> ApiKey | None:
        asking = self._asked.get(digest)
        if asking is None:
            unknown = sum(other not in self._known for other in self._asked)
            if digest not in self._known and unknown >= self._unknown_at_once:
                raise Unavailable("too many unknown keys are being looked up; try again")
            asking = asyncio.create_task(self._look_up(digest), name="look up an API key")
            self._asked[digest] = asking
            asking.add_done_callback(lambda done: self._answered(digest, done))
        # Whoever goes away leaves the others their answer.
        return await asyncio.shield(asking)

    async def _look_up(self, digest: bytes) -> ApiKey | None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(self._look_seconds):
                key = await self._inner.find(digest)
        except TimeoutError:
            raise Unavailable("the key was not found in time; is the database up?") from None
        if key is None:
            self._known.pop(digest, None)
        else:
            self._known[digest] = _Read(key, asked_at)
        return key

    def _answered(self, digest: bytes, asking: "asyncio.Task[ApiKey | None]") -> None:
        del self._asked[digest]
        if not asking.cancelled():
            asking.exception()  # seen, even if everybody who asked has gone
