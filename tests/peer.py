"""Somebody else's HTTP server for tests: a real socket, and whatever manners a test gives it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came; headers with names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """The number of the connection that it came on."""
    rest: asyncio.StreamReader
    """What else comes on that connection."""


Manner = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request, or does something worse; the connection stays open unless it closes it."""


@dataclass
class Peer:
    """What came in, and how to behave."""

    manner: Manner
    port: int = 0
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Some connection has ended."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the requests of one connection, one after the other."""
        self.connections += 1
        number = self.connections
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    seen = await _request(reader, number)
                    self.seen.append(seen)
                    await self.manner(seen, writer)
        finally:
            writer.transport.abort()
            self.gone.set()


async def _request(reader: asyncio.StreamReader, connection: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, target, headers, body, connection, reader)


def reply(status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    """A whole answer as bytes."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(raw: bytes) -> Manner:
    """The manner that always sends these bytes."""

    async def manner(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return manner


async def silent(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """The manner that takes a request and says nothing, until the other side goes."""
    await seen.rest.read()
    writer.close()


@asynccontextmanager
async def peer(manner: Manner, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Listen on a free port of the loopback address, until the body ends."""
    it = Peer(manner)
    serving: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(it.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
