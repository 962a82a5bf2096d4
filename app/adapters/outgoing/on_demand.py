"""The guarded client, loaded when something is first sent: aiohttp is a fifth of a start, and many never call."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from app.adapters.outgoing.budget import AttemptBudget
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.core.ports.outgoing import Outgoing

if TYPE_CHECKING:
    from app.adapters.outgoing.client import AiohttpOutgoing


class OutgoingOnDemand(Outgoing):
    """A client that is made at the first request."""

    def __init__(self, *, agent: str, budget: AttemptBudget) -> None:
        """`agent` is the `User-Agent`."""
        self._agent = agent
        self._budget = budget
        self._client: AiohttpOutgoing | None = None

    async def send(self, request: OutgoingRequest) -> OutgoingAnswer:
        """Pass on."""
        if self._client is None:
            kind = await _loaded()
            if self._client is None:
                self._client = kind(agent=self._agent, budget=self._budget)
        return await self._client.send(request)

    async def close(self) -> None:
        """Close what was opened."""
        if self._client is not None:
            await self._client.close()


async def _loaded() -> type["AiohttpOutgoing"]:
    """Load it beside the loop, which a busy machine would keep from turning for seconds.

    In a thread of its own: connectors may have all of the loop's.
    """
    thread = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, _load)
    finally:
        thread.shutdown(wait=False)


def _load() -> type["AiohttpOutgoing"]:
    from app.adapters.outgoing.client import AiohttpOutgoing

    return AiohttpOutgoing
