"""Other people's servers in memory, for tests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

from app.core.domain.address import why_forbidden
from app.core.domain.errors import AnswerTooSlow, Forbidden, Unreachable
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest, destination
from app.core.ports.outgoing import Outgoing

Answering = Callable[[OutgoingRequest], Awaitable[OutgoingAnswer]]


class MemoryOutgoing(Outgoing):
    """The in-process twin: hosts have the addresses that a test gives them, and one function answers for all."""

    def __init__(self, answering: Answering, addresses: Mapping[str, str]) -> None:
        self._answering = answering
        self._addresses = addresses
        self.sent: list[OutgoingRequest] = []

    async def send(self, request: OutgoingRequest) -> OutgoingAnswer:
        """Judge the destination as everybody does, then ask the function."""
        host = destination(request).host
        address = self._addresses.get(host) or _literal(host)
        if address is None:
            raise Unreachable(f"{host} has no address")
        if reason := why_forbidden(address, host, request.allow_private):
            raise Forbidden(f"{host} must not be called: {reason}")
        self.sent.append(request)
        try:
            async with asyncio.timeout(request.seconds):
                answer = await self._answering(request)
        except TimeoutError as error:
            raise AnswerTooSlow(f"{host} gave no whole answer within {request.seconds:g} s") from error
        truncated = len(answer.body) > request.keep_bytes
        return answer._replace(body=answer.body[: request.keep_bytes], truncated=truncated)


def _literal(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None
