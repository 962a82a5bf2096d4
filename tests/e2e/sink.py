"""The other side of an HTTP connection: keeps a book of what came in, and fails as often as it is told to.

A process of its own loop would tell no more; it is a thread here, so that a test can look at the book and hold answers
back while it goes on.
"""

import asyncio
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Manner = Literal["done", "500", "503", "cut", "slow", "held"]
FAILURES: tuple[Manner, ...] = ("500", "503", "cut", "slow")
SLOW_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that came in whole."""

    number: int
    at: float
    """Seconds since the epoch."""
    key: str
    traceparent: str
    body: bytes
    manner: Manner


@dataclass
class Sink:
    """The book, and how to behave."""

    seed: int = 0
    failing: float = 0.0
    """The part of all requests that does not go well."""
    hold: bool = False
    """Answer nobody before he is let go of."""
    coming: list[Manner] = field(default_factory=list)
    """How the next requests go, whatever chance says."""
    url: str = ""
    hits: list[Hit] = field(default_factory=list)
    _held: dict[int, "asyncio.Future[None]"] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._numbers = itertools.count(1)

    @property
    def keys(self) -> Counter[str]:
        """How often each idempotency key came."""
        return Counter(hit.key for hit in list(self.hits))

    def release(self, *numbers: int) -> None:
        """Let go of these, or of everybody from now on."""
        self.hold = self.hold and bool(numbers)
        for number in numbers or tuple(self._held):
            self._loop.call_soon_threadsafe(self._let_go, number)

    def _let_go(self, number: int) -> None:
        if not self._held[number].done():
            self._held[number].set_result(None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (answer := await self._answer(*await _request(reader))) is not None:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, headers: dict[str, str], body: bytes) -> bytes | None:
        manner: Manner = self._random.choice(FAILURES) if self._random.random() < self.failing else "done"
        manner = self.coming.pop(0) if self.coming else "held" if self.hold else manner
        number = next(self._numbers)
        key, traceparent = headers.get("idempotency-key", ""), headers.get("traceparent", "")
        if manner == "held":
            self._held[number] = self._loop.create_future()
        self.hits.append(Hit(number, time.time(), key, traceparent, body, manner))
        if manner == "held":
            await self._held[number]
        if manner == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if manner == "cut":
            return None
        if manner == "503":
            return _response("503 Service Unavailable", {"hit": number}, "Retry-After: 1\r\n")
        if manner == "500":
            return _response("500 Internal Server Error", {"hit": number})
        return _response("200 OK", {"hit": number})


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    return headers, await reader.readexactly(int(headers.get("content-length", "0")))


def _response(status: str, content: dict[str, Any], more: str = "") -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@contextmanager
def sink(*, seed: int = 0, failing: float = 0.0) -> Iterator[Sink]:
    """Listen on a free port of the loopback address."""
    book = Sink(seed, failing)
    server = book._loop.run_until_complete(asyncio.start_server(book._serve, "127.0.0.1", 0))
    book.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=book._loop.run_forever, daemon=True)
    thread.start()
    try:
        yield book
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), book._loop).result(10)
        book._loop.call_soon_threadsafe(book._loop.stop)
        thread.join(10)
        book._loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # in which their connections are closed


def hits_of(hits: Sequence[Hit], key: str) -> list[Hit]:
    """All requests of one effect."""
    return [hit for hit in hits if hit.key == key]
