"""The guarded client, loaded when something is first sent: aiohttp is a fifth of a start, and many never call."""

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
            from app.adapters.outgoing.client import AiohttpOutgoing

            self._client = AiohttpOutgoing(agent=self._agent, budget=self._budget)
        return await self._client.send(request)

    async def close(self) -> None:
        """Close what was opened."""
        if self._client is not None:
            await self._client.close()
