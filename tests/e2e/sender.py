"""A sender of webhooks: many keep-alive connections, each request noted with its answer.

Plain sockets, because a client library would need more of this machine than the server that is tested.
"""

import asyncio
import hmac
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

SECRET = "a secret of the tests"


@dataclass
class Sent:
    """One delivery and every answer that it got."""

    delivery_id: str
    body: bytes
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Status and event id (or the problem's code); status 0 when the connection broke."""
    slowest_seconds: float = 0.0

    @property
    def acknowledged(self) -> bool:
        return any(status in {200, 202} for status, _ in self.answers)


def deliveries(count: int, prefix: str = "d", size: int = 200) -> list[Sent]:
    """Deliveries, each with an id and a body of its own."""
    return [
        Sent(f"{prefix}-{number}", f'{{"number":{number},"text":"{"x" * size}"}}'.encode()) for number in range(count)
    ]


def signed(secret: str, body: bytes) -> str:
    """What stands in X-Signature."""
    return "sha256=" + hmac.digest(secret.encode(), body, sha256).hex()


def request(path: str, sent: Sent, secret: str = SECRET) -> bytes:
    """One request as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Delivery-Id: {sent.delivery_id}\r\nX-Signature: {signed(secret, sent.body)}\r\n"
        f"Content-Length: {len(sent.body)}\r\n\r\n"
    )
    return head.encode() + sent.body


async def send_all(
    port: int, work: Sequence[Sent], *, connections: int = 50, path: str = "/api/v1/webhooks/demo"
) -> None:
    """Send each once, over so many connections; a broken connection is noted and made anew."""
    queue = iter(work)  # from which each takes what is next
    await asyncio.gather(*(send(port, queue, path) for _ in range(connections)))


async def send(port: int, work: Iterable[Sent], path: str = "/api/v1/webhooks/demo", pause_seconds: float = 0) -> None:
    """Send each once, over one connection, with pauses up to so long; closed or broken, it is made anew."""
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    for sent in work:
        started = time.perf_counter()
        try:
            if stream is not None and stream[0].at_eof():  # closed while it rested
                stream[1].close()
                stream = None
            if stream is None:
                stream = await asyncio.open_connection("127.0.0.1", port)
            answer, closes = await _exchange(*stream, request(path, sent))
            sent.answers.append(answer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            sent.answers.append((0, ""))
            closes = True
        sent.slowest_seconds = max(sent.slowest_seconds, time.perf_counter() - started)
        if closes and stream is not None:
            stream[1].close()
            stream = None
        if pause_seconds:
            await asyncio.sleep(random.uniform(0, pause_seconds))
    if stream is not None:
        stream[1].close()


async def acknowledged(work: Sequence[Sent], count: int) -> None:
    """Wait until so many of them are."""
    async with asyncio.timeout(30):
        while sum(sent.acknowledged for sent in work) < count:
            await asyncio.sleep(0.002)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes
) -> tuple[tuple[int, str], bool]:
    """Give the answer, and whether it is the last one on this connection."""
    writer.write(content)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = 0
    event_id = ""
    closes = False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"x-event-id":
            event_id = value.strip().decode()
        elif name.lower() == b"connection":
            closes = value.strip().lower() == b"close"
    body = await reader.readexactly(length)
    return (status, event_id or body.decode()), closes
