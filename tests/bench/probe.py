"""A few webhooks a second beside a flood, each due at its time: what one of many senders sees and is promised."""

import asyncio
import hmac
import time
from dataclasses import dataclass
from itertools import count

from tests.bench.load import BODY, PATH, SECRET

LATE_SECONDS = 10.0
_runs = count(1)


@dataclass(frozen=True, slots=True)
class Answered:
    """One webhook and its answer."""

    delivery_id: str
    status: int
    """0: the connection broke, or nothing came in time."""
    event_id: str
    retry_after: bool
    milliseconds: float
    """From the moment at which it was due, so that a queue in front of us counts too."""
    fresh: bool
    """It came on a connection of its own."""


class Probe:
    """Sends at a steady rate over so many connections at most.

    They are kept, and open before the first is due; or each webhook comes on a fresh one, as from a sender who is new.
    """

    def __init__(self, port: int, *, per_second: float, connections: int, fresh: bool) -> None:
        self._port = port
        self._per_second = per_second
        self._fresh = fresh
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        for _ in range(connections):
            self._free.put_nowait(_Connection(port))
        self._signature = hmac.digest(SECRET.encode(), BODY, "sha256").hex()
        self._prefix = f"probe-{next(_runs)}"

    async def open(self) -> None:
        """Open the connections that are kept."""
        if not self._fresh:
            connections = [self._free.get_nowait() for _ in range(self._free.qsize())]
            for connection in connections:
                await connection.open()
                self._free.put_nowait(connection)

    async def run(self, seconds: float) -> list[Answered]:
        """Send for so long; return when all have been answered."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(int(self._per_second * seconds)):
                due = started + number / self._per_second
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                tasks.append(group.create_task(self._send(f"{self._prefix}-{number}", due)))
        while not self._free.empty():
            self._free.get_nowait().close()
        return [task.result() for task in tasks]

    async def _send(self, delivery_id: str, due: float) -> Answered:
        connection = await self._free.get()
        try:
            async with asyncio.timeout(LATE_SECONDS):
                status, headers = await connection.exchange(self._request(delivery_id))
            if self._fresh:
                connection.close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            connection.close()
            status, headers = 0, {}
        finally:
            self._free.put_nowait(connection)
        milliseconds = (time.perf_counter() - due) * 1000
        event_id, retry_after = headers.get("x-event-id", ""), "retry-after" in headers
        return Answered(delivery_id, status, event_id, retry_after, milliseconds, self._fresh)

    def _request(self, delivery_id: str) -> bytes:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\nUser-Agent: bench\r\nX-Signature: sha256={self._signature}\r\n"
            f"X-Delivery-Id: {delivery_id}\r\n\r\n"
        )
        return head.encode() + BODY


class _Connection:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open it, unless it is."""
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._port)
        return self._stream

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send and give status and headers."""
        reader, writer = await self.open()
        writer.write(request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split(" ")[1]), headers

    def close(self) -> None:
        """Give it up; the next exchange opens another."""
        if self._stream is not None:
            self._stream[1].close()
        self._stream = None
