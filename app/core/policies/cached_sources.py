"""Sources kept at hand: the webhook path finds one without waiting, and knows of a change within seconds.

Every process loads all sources every `refresh_seconds`; so it learns of a changed or deleted one even from a process
that it knows nothing of, and goes on with what it knows while the registry is away. A name that is not at hand is asked
for once, whoever else asks meanwhile, and no answer "there is none" is kept: a source works the moment it is applied.

Answers overtake each other. Loads follow one another, and a single answer is kept only if no load ended meanwhile;
should one still be replaced by something older, the next load has the last word.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.domain.source import NAME, Source
from app.core.ports.source_registry import Change, SourceRegistry


class CachedSources(SourceRegistry):
    """A registry in front of a registry, and the background duty that keeps it fresh."""

    name = "source refresh"

    def __init__(
        self,
        inner: SourceRegistry,
        *,
        refresh_seconds: float = 2.0,
        misses_at_once: int = 4,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._refresh_seconds = refresh_seconds
        self._misses_at_once = misses_at_once
        self._on_failure = on_failure
        self._known: dict[str, Source] = {}
        self._loads = 0
        self._loading = asyncio.Lock()
        self._asked: dict[str, asyncio.Task[Source | None]] = {}

    async def get(self, name: str) -> Source | None:
        """Give what is known at once; ask for what is not. `Unavailable` also when too many unknown names are asked."""
        source = self._known.get(name)
        if source is not None:
            return source
        if not NAME.fullmatch(name):
            return None
        asking = self._asked.get(name)
        if asking is None:
            if len(self._asked) >= self._misses_at_once:
                raise Unavailable("too many unknown sources are being looked up")
            asking = asyncio.create_task(self._ask(name), name=f"look up source {name}")
            self._asked[name] = asking
            asking.add_done_callback(lambda done: self._answered(name, done))
        # Whoever goes away leaves the others their answer.
        return await asyncio.shield(asking)

    def at_hand(self) -> Collection[Source] | None:
        """Give all that are known, without asking; None: they were never loaded."""
        return self._known.values() if self._loads else None

    async def all(self) -> Sequence[Source]:
        """Ask the registry: people want the truth, not what was true seconds ago."""
        return await self._inner.all()

    async def apply(self, sources: Sequence[Source], *, dry_run: bool = False) -> Sequence[Change]:
        """Apply, then see it at once in this process."""
        changes = await self._inner.apply(sources, dry_run=dry_run)
        if not dry_run:
            await self._refresh_or_report()  # it was applied, whether or not this succeeds
        return changes

    async def refresh(self) -> None:
        """Load every source, and forget those that are gone. Raises what the registry raises; then all stays known."""
        async with self._loading:
            loaded = {source.name: source for source in await self._inner.all()}
            self._known = loaded
            self._loads += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until told to stop."""
        while not stop.is_set():
            await self._refresh_or_report()
            try:
                async with asyncio.timeout(self._refresh_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _refresh_or_report(self) -> None:
        try:
            await self.refresh()
        except OpsConnectError as error:
            self._on_failure(error)

    async def _ask(self, name: str) -> Source | None:
        loads = self._loads
        source = await self._inner.get(name)
        if source is not None and loads == self._loads:
            self._known[name] = source
        return source

    def _answered(self, name: str, asking: asyncio.Task[Source | None]) -> None:
        del self._asked[name]
        if not asking.cancelled():
            asking.exception()  # seen, even if everybody who asked has gone
