"""A few connections to one Redis: each call ends within one budget of time, and no answer is taken for another's.

A call has a connection to itself from the first byte it sends to the last byte it reads. Whatever comes between (the
budget is used up, the caller is cancelled, the socket breaks) closes that connection, so a late answer finds nobody
there and the next question goes out on another socket. When one connection fails, the idle ones are closed with it:
whatever cut it off has most likely cut them off too, and each of them would cost another budget to find out.
Nothing is retried: callers do without Redis instead of waiting for it.

redis-py's connections are used without its client and pool: those wrap each call in tasks, retries and counters that
cost more than the call, and their wait for a free connection has a budget of its own.
"""

import asyncio
import contextlib
from hashlib import sha1
from typing import Any

from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from app.core.domain.errors import Fault, Invalid, Unavailable

LONGEST_QUOTE = 200
"""Characters of Redis's own words that an error repeats."""


class Script:
    """A Lua script, asked for by its digest so that its text travels once per server start."""

    def __init__(self, text: str) -> None:
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.by_digest = (b"EVALSHA", digest.encode(), b"0")
        self.whole = (b"EVAL", text.encode(), b"0")


class RedisConnections:
    """At most so many connections to one server, made when they are needed."""

    def __init__(
        self, url: str, *, connect_seconds: float = 0.1, operation_seconds: float = 0.2, connections: int = 8
    ) -> None:
        """Connect nothing yet. Raises `Invalid` when the URL cannot be used.

        `connect_seconds` bounds a new connection with its TLS and password; `operation_seconds` bounds a whole call:
        the wait for a free connection, a new connection where one is needed, and the answer.
        """
        self._connect_seconds = connect_seconds
        self._operation_seconds = operation_seconds
        self._idle = [_connection(url) for _ in range(connections)]
        self._slots = asyncio.Semaphore(connections)
        self._closed = False
        self.address = f"{self._idle[0].host}:{self._idle[0].port}"

    async def ping(self) -> None:
        """Make one round trip. Raises `Unavailable`."""
        await self._call((b"PING",))

    async def run(self, script: Script, *arguments: bytes) -> Any:
        """Run a script. One round trip, two if the server has not seen the script yet. Raises `Unavailable`."""
        return await self._call(script.by_digest + arguments, script.whole + arguments)

    async def close(self) -> None:
        """Close every connection; one in use when its call ends. Calls from now on raise `Unavailable`."""
        self._closed = True
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(self._operation_seconds):
                for connection in self._idle:
                    await connection.disconnect()

    async def _call(self, command: tuple[bytes, ...], if_unknown: tuple[bytes, ...] | None = None) -> Any:
        """Ask within the budget, and translate whatever goes wrong: the only place that does."""
        try:
            async with asyncio.timeout(self._operation_seconds), self._slots:
                return await self._ask(command, if_unknown)
        # RuntimeError: uvloop's way to say that a socket was closed meanwhile.
        except (RedisError, OSError, RuntimeError) as error:
            for connection in self._idle:
                await connection.disconnect(nowait=True)
            raise Unavailable(self._explain(error)) from error

    async def _ask(self, command: tuple[bytes, ...], if_unknown: tuple[bytes, ...] | None) -> Any:
        connection = self._idle.pop()
        transport = None
        try:
            await self._make_ready(connection)
            transport = _transport(connection)
            await connection.send_packed_command(_packed(command), check_health=False)
            try:
                return await connection.read_response()
            except NoScriptError:
                if if_unknown is None:
                    raise
            await connection.send_packed_command(_packed(if_unknown), check_health=False)
            return await connection.read_response()
        except BaseException:
            if transport is not None:
                # A plain close would first wait for a frozen peer to read what is not sent yet.
                transport.abort()
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._idle.append(connection)
            if self._closed:
                await connection.disconnect(nowait=True)

    async def _make_ready(self, connection: Connection) -> None:
        if self._closed:
            raise ConnectionError("these connections were closed")
        if connection.is_connected and await connection.can_read():
            # The server has hung up, or says something that nobody asked: not to be used again.
            await connection.disconnect(nowait=True)
        if not connection.is_connected:
            async with asyncio.timeout(self._connect_seconds):
                await connection.connect()  # type: ignore[no-untyped-call]

    def _explain(self, error: Exception) -> str:
        """Say what happened, where and what to do. Never the password: only the address and the server's own words."""
        said = str(error)[:LONGEST_QUOTE]
        if isinstance(error, TimeoutError):
            return (
                f"Redis at {self.address} did not answer within {self._operation_seconds:g} s "
                f"(a new connection: {self._connect_seconds:g} s): see whether it is stopped, overloaded or cut off"
            )
        if isinstance(error, AuthenticationError):
            return f"Redis at {self.address} refused the user or password of its URL: correct it ({said})"
        if isinstance(error, ResponseError):
            return f"Redis at {self.address} refused a command: mend its configuration or its state ({said})"
        return f"Redis at {self.address} cannot be reached: start it, or correct its URL ({said})"


def _connection(url: str) -> Connection:
    """Make one, not yet connected: no budget and no retry of its own, whatever the URL's options say."""
    try:
        # RESP2: no message comes that was not asked for.
        options: dict[str, Any] = {
            **parse_url(url),
            "protocol": 2,
            "driver_info": None,
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry_on_timeout": False,
            "retry_on_error": [],
            "retry": None,
            "health_check_interval": 0,
        }
        connection = options.pop("connection_class", Connection)(**options)
        if not isinstance(connection, Connection):
            raise TypeError("not TCP")
        return connection
    except (ValueError, TypeError):
        # The reason may quote a piece of the password.
        fault = Fault(
            "the URL of Redis", "cannot be used: write it as redis://:PASSWORD@HOST:PORT/0, with / in it as %2F"
        )
        raise Invalid([fault]) from None


def _transport(connection: Connection) -> asyncio.WriteTransport | None:
    writer = connection._writer  # noqa: SLF001 (redis-py closes, and has no public way to abort)
    return None if writer is None else writer.transport


def _packed(command: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n%b" % (len(command), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in command]))
