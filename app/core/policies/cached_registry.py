"""A registry kept at hand: what is known is found without waiting, and a change is seen within seconds.

Every process loads everything every `refresh_seconds`; so it learns of a changed or deleted one even from a process
that it knows nothing of, and goes on with what it knows while the registry is away. A name that is not at hand is asked
for once, whoever else asks meanwhile, and no answer "there is none" is kept: what is new works once it is applied.

Answers overtake each other. Loads follow one another, and a single answer is kept only if no load ended meanwhile;
should one still be replaced by something older, the next load has the last word.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

from app.core.domain.connection import Connection
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.domain.source import NAME, Source

Named = TypeVar("Named", bound=Source | Connection)
Named_co = TypeVar("Named_co", bound=Source | Connection, covariant=True)


class Registry(Protocol[Named_co]):
    """What the registries have in common."""

    @abstractmethod
    async def get(self, name: str) -> Named_co | None:
        """Give one by its name."""

    @abstractmethod
    async def all(self) -> Sequence[Named_co]:
        """Give every one."""


class CachedRegistry(Generic[Named]):
    """A registry in front of a registry, and the background duty that keeps it fresh."""

    kind = ""
    """What is in it, in one word."""

    def __init__(
        self,
        inner: Registry[Named],
        *,
        refresh_seconds: float = 2.0,
        misses_at_once: int = 4,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._refresh_seconds = refresh_seconds
        self._misses_at_once = misses_at_once
        self._on_failure = on_failure
        self._known: dict[str, Named] = {}
        self._loads = 0
        self._loading = asyncio.Lock()
        self._asked: dict[str, asyncio.Task[Named | None]] = {}

    async def get(self, name: str) -> Named | None:
        """Give what is known at once; ask for what is not. `Unavailable` also when too many unknown names are asked."""
        known = self._known.get(name)
        if known is not None:
            return known
        if not NAME.fullmatch(name):
            return None
        asking = self._asked.get(name)
        if asking is None:
            if len(self._asked) >= self._misses_at_once:
                raise Unavailable(f"too many unknown {self.kind}s are being looked up")
            asking = asyncio.create_task(self._ask(name), name=f"look up {self.kind} {name}")
            self._asked[name] = asking
            asking.add_done_callback(lambda done: self._answered(name, done))
        # Whoever goes away leaves the others their answer.
        return await asyncio.shield(asking)

    def known(self, name: str) -> Named | None:
        """Give one that is at hand, without asking."""
        return self._known.get(name)

    def at_hand(self) -> Collection[Named] | None:
        """Give all that are known, without asking; None: they were never loaded."""
        return self._known.values() if self._loads else None

    async def all(self) -> Sequence[Named]:
        """Ask the registry: people want the truth, not what was true seconds ago."""
        return await self._inner.all()

    async def refresh(self) -> None:
        """Load every one, and forget those that are gone. Raises what the registry raises; then all stays known."""
        async with self._loading:
            loaded = {one.name: one for one in await self._inner.all()}
            self._known = loaded
            self._loads += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until told to stop."""
        while not stop.is_set():
            await self.refresh_or_report()
            try:
                async with asyncio.timeout(self._refresh_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def refresh_or_report(self) -> None:
        """Load every one; a failure is reported, and all stays known."""
        try:
            await self.refresh()
        except OpsConnectError as error:
            self._on_failure(error)

    async def _ask(self, name: str) -> Named | None:
        loads = self._loads
        found = await self._inner.get(name)
        if found is not None and loads == self._loads:
            self._known[name] = found
        return found

    def _answered(self, name: str, asking: asyncio.Task[Named | None]) -> None:
        del self._asked[name]
        if not asking.cancelled():
            asking.exception()  # seen, even if everybody who asked has gone
