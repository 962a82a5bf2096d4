"""Doing what a challenge asks for beside its answer: calling an address of the provider, out of the answer's way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.catalog.handshakes import HandshakeAnswer
from app.core.domain.errors import Fault, Invalid, OpsConnectError
from app.core.domain.outgoing import OutgoingRequest
from app.core.domain.source import Source
from app.core.ports.outgoing import Outgoing

TRIES = 4
FIRST_PAUSE_SECONDS = 1.0
MOST_AT_ONCE = 16
"""Whoever holds a genuine challenge may send it again and again; the provider asks again for what was left out."""


@dataclass(frozen=True, slots=True)
class FollowChallenge:
    """Confirms subscriptions, with a few tries each. Whether that worked is told to whoever looks after it."""

    outgoing: Outgoing
    on_followed: Callable[[str], None] = lambda _source: None
    on_failure: Callable[[str, Exception], None] = lambda _source, _error: None
    pause_seconds: float = FIRST_PAUSE_SECONDS
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def __call__(self, source: Source, answer: HandshakeAnswer) -> None:
        """Begin, and return at once."""
        if answer.fetch is None:
            return
        if len(self._tasks) >= MOST_AT_ONCE:
            self.on_failure(source.name, OpsConnectError("too many confirmations are under way"))
            return
        task = asyncio.get_running_loop().create_task(self._call(source.name, answer.fetch), name="confirm")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, source: str, url: str) -> None:
        error: Exception = Invalid([Fault(source, "was not tried")])
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self.pause_seconds * 3 ** (attempt - 1))
            try:
                answer = await self.outgoing.send(OutgoingRequest(url))
            except OpsConnectError as failure:
                error = failure
                continue
            if answer.status < 300:
                self.on_followed(source)
                return
            error = OpsConnectError(f"the provider answered {answer.status} to the confirmation")
        self.on_failure(source, error)
