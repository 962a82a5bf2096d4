"""Making connections: look up the name, judge each address, dial only what is allowed, shake hands; each in its time.

What is dialled is the very address that was judged, so a name that means something else a moment later (DNS rebinding)
gains nothing; and no address gets around the judgement by being written as a literal, because there is no other way.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohappyeyeballs import start_connection
from aiohttp import BaseConnector, ClientRequest, ClientTimeout

from app.adapters.outgoing.budget import AttemptBudget
from app.adapters.outgoing.resolver import AddressInfo, Resolver
from app.core.domain.address import AllowPrivate, why_forbidden
from app.core.domain.errors import ConnectingTooSlow, Forbidden, Unreachable, Untrusted

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace

IDLE_SECONDS = 4.0
"""Many servers hang up on an idle connection after five; a request sent at that very moment would be lost."""
NEXT_ADDRESS_SECONDS = 0.25
GOODBYE_SECONDS = 1.0
"""For the end of TLS, for which nobody waits."""


class Trust:
    """What certificates are checked against: the system's authorities, read when they are first needed."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context

    async def context(self) -> ssl.SSLContext:
        """Give the TLS settings; reading the authorities takes tens of milliseconds, so a thread does it."""
        if self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context


class GuardedConnector(BaseConnector):
    """The connections of those who may dial the same addresses; idle ones are used again, by nobody else."""

    def __init__(self, allowed: AllowPrivate, budget: AttemptBudget, resolver: Resolver, trust: Trust) -> None:
        # No limit: a queue would let one slow destination hold up all others. Callers bound what they have in flight.
        super().__init__(limit=0, keepalive_timeout=IDLE_SECONDS)
        self._allowed = allowed
        self._budget = budget
        self._resolver = resolver
        self._trust = trust

    async def _create_connection(
        self, req: ClientRequest, traces: "list[Trace]", timeout: ClientTimeout
    ) -> "ResponseHandler":
        """Make a connection for a request: what aiohttp asks of every kind of connector."""
        host, port = (req.url.raw_host or "").lower(), req.url.port or 0
        context = await self._trust.context() if req.url.scheme == "https" else None
        connected = await self._dial(host, port, await self._addresses(host, port))
        return await self._greet(connected, host, port, context)

    async def _addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Look the name up, and leave only what may be dialled."""
        try:
            async with asyncio.timeout(self._budget.dns_seconds):
                found = await self._resolver.resolve(host, port)
        except TimeoutError as error:
            raise ConnectingTooSlow(
                f"the address of {host} was not to be had within {self._budget.dns_seconds:g} s"
            ) from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{host} has no address: {_words(error)}") from error
        reasons = [why_forbidden(str(info[4][0]), host, self._allowed) for info in found]
        allowed = [info for info, reason in zip(found, reasons, strict=True) if reason is None]
        if not allowed:
            reason = next(filter(None, reasons), "it has no address")
            raise Forbidden(f"{host} must not be called: {reason}, which allow_private does not open")
        return allowed

    async def _dial(self, host: str, port: int, addresses: Sequence[AddressInfo]) -> socket.socket:
        try:
            async with asyncio.timeout(self._budget.tcp_seconds):
                return await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, loop=self._loop)
        except TimeoutError as error:
            raise ConnectingTooSlow(
                f"{host}:{port} did not take a connection within {self._budget.tcp_seconds:g} s"
            ) from error
        # RuntimeError: uvloop's way to say that a socket was closed meanwhile.
        except (OSError, RuntimeError) as error:
            raise Unreachable(f"{host}:{port} cannot be reached: {_words(error)}") from error

    async def _greet(
        self, connected: socket.socket, host: str, port: int, context: ssl.SSLContext | None
    ) -> "ResponseHandler":
        """Give the connection to aiohttp, after the TLS handshake where there is one."""
        try:
            async with asyncio.timeout(self._budget.tls_seconds):
                _, protocol = await self._loop.create_connection(
                    self._factory,
                    sock=connected,
                    ssl=context,
                    server_hostname=host.rstrip(".") if context else None,
                    ssl_shutdown_timeout=GOODBYE_SECONDS if context else None,
                )
        except TimeoutError as error:
            raise ConnectingTooSlow(
                f"{host}:{port} did not finish TLS within {self._budget.tls_seconds:g} s"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(f"{host}:{port} did not prove who it is: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise Untrusted(f"{host}:{port} does not speak TLS as it must: {error.reason}") from error
        except (OSError, RuntimeError) as error:
            raise Unreachable(f"{host}:{port} broke the connection off: {_words(error)}") from error
        return protocol


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
