"""The one HTTP client for addresses that somebody else chose: aiohttp, with connections that are guarded.

There is a pool of connections for each allow list, so that nobody gets a connection that only somebody else was allowed
to make. Allow lists come from configuration, never from traffic: the pools are few.
"""

import asyncio
import ssl
from io import BytesIO
from types import SimpleNamespace

from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    SocketTimeoutError,
    TraceConfig,
    TraceRequestHeadersSentParams,
)
from yarl import URL

from app.adapters.outgoing.budget import AttemptBudget
from app.adapters.outgoing.dialling import GuardedConnector, Trust
from app.adapters.outgoing.resolver import LookUp, Resolver, system_look_up
from app.core.domain.address import AllowPrivate
from app.core.domain.errors import AnswerLost, AnswerTooSlow, ConnectingTooSlow, OpsConnectError, Unreachable
from app.core.domain.outgoing import Destination, OutgoingAnswer, OutgoingRequest, destination
from app.core.ports.outgoing import Outgoing


class _Attempt:
    """What is known of a request that is under way."""

    def __init__(self, where: Destination) -> None:
        self.where = where
        self.sent = False


class AiohttpOutgoing(Outgoing):
    """A client without redirects, proxies, cookies, netrc and retries; opened when first used."""

    def __init__(
        self,
        *,
        agent: str,
        budget: AttemptBudget | None = None,
        trust: ssl.SSLContext | None = None,
        look_up: LookUp = system_look_up,
    ) -> None:
        """`agent` is the `User-Agent`; `trust` replaces the system's authorities, `look_up` its resolver."""
        self._agent = agent
        self._budget = budget or AttemptBudget()
        self._trust = Trust(trust)
        self._resolver = Resolver(look_up)
        self._sessions: dict[AllowPrivate, ClientSession] = {}
        self._closed = False

    async def send(self, request: OutgoingRequest) -> OutgoingAnswer:
        """Send it on an idle connection, or a new one."""
        attempt = _Attempt(destination(request))
        sending = self._session(request.allow_private).request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=BytesIO(request.body) if request.body else None,
            allow_redirects=False,
            trace_request_ctx=attempt,
        )
        try:
            async with asyncio.timeout(request.seconds), sending as response:
                return await _answer(response, request.keep_bytes)
        except TimeoutError as error:
            raise self._too_slow(attempt, request, error) from error
        except ClientError as error:
            if attempt.sent:
                raise _lost(attempt.where, error) from error
            raise Unreachable(f"{attempt.where} cannot be reached: {error}") from error

    async def close(self) -> None:
        """Close every connection, also one in use. Requests from now on are `Unreachable`."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    def _session(self, allowed: AllowPrivate) -> ClientSession:
        if self._closed:
            raise Unreachable("this client was closed")
        session = self._sessions.get(allowed)
        if session is None:
            session = self._sessions[allowed] = self._opened(allowed)
        return session

    def _too_slow(self, attempt: _Attempt, request: OutgoingRequest, error: TimeoutError) -> OpsConnectError:
        if not attempt.sent:
            return ConnectingTooSlow(f"{attempt.where} could not be reached within {request.seconds:g} s")
        if isinstance(error, SocketTimeoutError):
            return AnswerTooSlow(f"{attempt.where} said nothing for {self._budget.first_byte_seconds:g} s")
        return AnswerTooSlow(f"{attempt.where} gave no whole answer within {request.seconds:g} s")

    def _opened(self, allowed: AllowPrivate) -> ClientSession:
        trace = TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        return ClientSession(
            connector=GuardedConnector(allowed, self._budget, self._resolver, self._trust),
            # An answer that nobody asked to be compressed comes as it is: there is no bomb to inflate.
            headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type",),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            timeout=ClientTimeout(sock_read=self._budget.first_byte_seconds),
            trace_configs=[trace],
            middlewares=(_once,),
        )


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending a request again after a lost connection, which it does where it sees its own errors."""
    try:
        return await handler(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        raise _lost(
            Destination(request.url.scheme, request.url.raw_host or "", request.url.port or 0), error
        ) from error


async def _note_sent(_: ClientSession, context: SimpleNamespace, __: TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.sent = True


async def _answer(response: ClientResponse, keep_bytes: int) -> OutgoingAnswer:
    """Read as much as is wanted; with more on its way, aiohttp closes the connection instead of using it again."""
    kept = bytearray()
    while len(kept) <= keep_bytes and (piece := await response.content.read(keep_bytes + 1 - len(kept))):
        kept += piece
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.raw_headers]
    return OutgoingAnswer(response.status, headers, bytes(kept[:keep_bytes]), len(kept) > keep_bytes)


def _lost(where: Destination, error: Exception) -> AnswerLost:
    return AnswerLost(f"{where} took a request and gave no whole answer: {type(error).__name__}")
