"""A few connections to one Redis: each call ends within one budget of time, and no answer is taken for another's.

A call has a connection to itself from the first byte it sends to the last byte it reads. Whatever comes between (the
budget is used up, the caller is cancelled, the socket breaks) closes that connection, so a late answer finds nobody
there and the next question goes out on another socket. When one connection fails, the idle ones are closed with it:
whatever cut it off has most likely cut them off too, and each of them would cost another budget to find out.
Nothing is retried: callers do without Redis instead of waiting for it.

redis-py makes the connections, with their TLS and password; its client and pool are not used: those wrap each call in
tasks, retries and counters that cost more than the call, and their wait for a free connection has a budget of its own.
Nor is its parser: most answers are known beforehand, and comparing bytes is cheaper than reading replies one by one.
"""

import asyncio
import contextlib
from hashlib import sha1
from typing import Any, NamedTuple

from hiredis import Reader
from redis._parsers import BaseParser
from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import AuthenticationError, InvalidResponse, NoScriptError, RedisError, ResponseError

from app.core.domain.errors import Fault, Invalid, Unavailable

LONGEST_QUOTE = 200
"""Characters of Redis's own words that an error repeats."""
READ_BYTES = 65_536
"""The most that is taken from a socket's stream at once."""

_INCOMPLETE = object()


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

    def deadline(self) -> float:
        """Start a budget now, for calls that share one: its end by the loop's clock."""
        return asyncio.get_running_loop().time() + self._operation_seconds

    async def run(self, script: Script, *arguments: bytes, by: float | None = None) -> Any:
        """Run a script. One round trip, two if the server has not seen the script yet. Raises `Unavailable`."""
        asked = _Asked(_packed(script.by_digest + arguments))
        [answer] = await self._call(asked, by, if_unknown=script.whole + arguments)
        return answer

    async def exchange(
        self, packed: bytes, count: int, usual: bytes, *, forgiven: str | None = None, by: float | None = None
    ) -> list[Any]:
        """Send so many packed commands in one write, and give their replies: none if together they are `usual`.

        The first error among the replies is raised as `Unavailable`; but those whose code is `forgiven` are given as
        replies, each in its place. Some commands may have been carried out, whatever is raised.
        """
        return await self._call(_Asked(packed, count, usual, forgiven), by)

    async def close(self) -> None:
        """Close every connection; one in use when its call ends. Calls from now on raise `Unavailable`."""
        self._closed = True
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(self._operation_seconds):
                for connection in self._idle:
                    await connection.disconnect()

    async def _call(
        self, asked: "_Asked", by: float | None = None, if_unknown: tuple[bytes, ...] | None = None
    ) -> list[Any]:
        """Ask within the budget, and translate whatever goes wrong: the only place that does."""
        try:
            async with asyncio.timeout_at(self.deadline() if by is None else by), self._slots:
                return await self._ask(asked, if_unknown)
        # RuntimeError: uvloop's way to say that a socket was closed meanwhile.
        except (RedisError, OSError, RuntimeError) as error:
            for connection in self._idle:
                await connection.disconnect(nowait=True)
            raise Unavailable(self._explain(error)) from error

    async def _ask(self, asked: "_Asked", if_unknown: tuple[bytes, ...] | None) -> list[Any]:
        connection = self._idle.pop()
        writer = None
        try:
            await self._make_ready(connection)
            reader, writer = _streams(connection)
            try:
                return await _exchange(reader, writer, asked)
            except NoScriptError:
                if if_unknown is None:
                    raise
            return await _exchange(reader, writer, _Asked(_packed(if_unknown)))
        except BaseException:
            if writer is not None:
                # A plain close would first wait for a frozen peer to read what is not sent yet.
                writer.transport.abort()
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
        if isinstance(error, ResponseError) and said == "syntax error":
            return f"Redis at {self.address} is too old, it does not know a command: use Redis 7.0 or newer, or Valkey"
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


class _Asked(NamedTuple):
    """What is sent in one write, and what is known beforehand of the answer."""

    packed: bytes
    replies: int = 1
    usual: bytes = b""
    forgiven: str | None = None


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> list[Any]:
    """Send, and read until all replies are complete. No byte of them is left for whoever asks next."""
    # Without a wait until it is sent: Redis may answer the first commands before it takes the last.
    writer.write(asked.packed)
    said = await _more(reader)
    while said != asked.usual and asked.usual.startswith(said):
        said += await _more(reader)
    return [] if said == asked.usual else await _replies(reader, said, asked)


async def _replies(reader: asyncio.StreamReader, said: bytes, asked: _Asked) -> list[Any]:
    """Read the replies one by one, of which this much was said already."""
    parser = Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_INCOMPLETE)
    parser.feed(said)
    replies: list[Any] = []
    while len(replies) < asked.replies:
        reply = parser.gets()
        if reply is _INCOMPLETE:
            parser.feed(await _more(reader))
        else:
            replies.append(reply)
    if parser.has_data():
        raise InvalidResponse("it said more than it was asked")
    for reply in replies:
        if isinstance(reply, Exception) and str(reply).partition(" ")[0] != asked.forgiven:
            raise reply
    return replies


async def _more(reader: asyncio.StreamReader) -> bytes:
    said = await reader.read(READ_BYTES)
    if not said:
        raise ConnectionError("it closed the connection")
    return said


def _streams(connection: Connection) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # redis-py has no public way to a plain exchange of bytes, nor to abort.
    reader, writer = connection._reader, connection._writer  # noqa: SLF001
    if reader is None or writer is None:
        raise ConnectionError("it closed the connection")
    return reader, writer


def bulks(*words: bytes) -> bytes:
    """Write words as a command has them: each with its length."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def _packed(command: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n%b" % (len(command), bulks(*command))
