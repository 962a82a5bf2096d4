"""Bytes on the way between a lock and its server: in pieces, too many, too late, and from a server that is too old."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from secrets import token_bytes

import pytest

from app.adapters.redis.idempotency_lock import RedisIdempotencyLock
from app.core.domain.ids import event_id
from app.core.ports.idempotency_lock import Committed, Lock, Marker
from tests.redis_locks import BUDGET_SECONDS, SOON_SECONDS, UNHURRIED, leave, marked, unavailable_within, until
from tests.redis_server import PASSWORD, RedisServer

HELD, BUSY = Lock.HELD, Lock.BUSY

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers what came in one piece, or does not."""


@asynccontextmanager
async def double(answer: Answer) -> AsyncIterator[str]:
    """A double of a server, which says what a test wants; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(1_000_000):
                await answer(said, writer)
        writer.transport.abort()

    serving = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with serving:
        yield f"redis://127.0.0.1:{serving.sockets[0].getsockname()[1]}/0"


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[RedisIdempotencyLock]:
    """A lock of one connection."""
    lock = RedisIdempotencyLock(url, connections=1, **options)
    yield lock
    await lock.close()


async def test_answers_that_come_byte_by_byte_are_read_whole() -> None:
    """Also known ones that turn out to be others half way, and values that hold the ends of lines."""
    free, busy = token_bytes(32), token_bytes(32)
    odd = {token_bytes(32): Marker(event_id(1), b"\r\n$-1\r\n+" * 4, "\r\n$-1\r\n")}
    with RedisServer() as server:
        async with opened(server.url, **UNHURRIED) as lock:
            await leave(lock, odd)
            await lock.acquire([busy])
        reader, to_server = await asyncio.open_connection("127.0.0.1", server.port)
        to_server.write(f"AUTH {PASSWORD}\r\n".encode())
        assert await reader.readline() == b"+OK\r\n"

        async def slowly(said: bytes, writer: asyncio.StreamWriter) -> None:
            to_server.write(said)
            for byte in await reader.read(1_000_000):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.0005)

        async with double(slowly) as url, opened(url, **UNHURRIED) as lock:
            assert list(await lock.acquire([free, busy, *odd, free])) == [HELD, BUSY, *odd.values(), HELD]
            await leave(lock, markers := marked(2))
            assert list(await lock.acquire(list(markers))) == list(markers.values())
            assert list(await lock.acquire([token_bytes(32), busy])) == [HELD, BUSY]
        to_server.close()


@pytest.mark.parametrize("at_once", [True, False])
async def test_where_more_was_said_than_asked_the_connection_is_not_used_again(at_once: bool) -> None:
    """Said together with the answers it makes them doubtful; said later it concerns nobody."""
    writers: set[asyncio.StreamWriter] = set()

    async def talkatively(said: bytes, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        writer.write(b"$-1\r\n" * said.count(b"SET") + (b"$1\r\nL\r\n" if at_once else b""))

    async with double(talkatively) as url, opened(url, **UNHURRIED) as lock:
        if at_once:
            assert "more than it was asked" in await unavailable_within(5, lock.acquire([token_bytes(32)]))
            await unavailable_within(5, lock.acquire([token_bytes(32)]))
        else:
            [connection] = lock._connections._idle
            assert list(await lock.acquire([token_bytes(32)])) == [HELD]
            [writer] = writers
            writer.write(b"$1\r\nL\r\n")
            await until(connection.can_read)
            assert list(await lock.acquire([token_bytes(32)] * 2)) == [HELD] * 2
    assert len(writers) == 2


async def test_a_server_too_old_is_called_so() -> None:
    """Before Redis 7.0, NX and GET did not go together."""

    async def as_redis_6(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR syntax error\r\n" * said.count(b"SET"))

    async with double(as_redis_6) as url, opened(url, **UNHURRIED) as lock:
        text = await unavailable_within(5, lock.acquire([token_bytes(32), token_bytes(32)]))
        assert "use Redis 7.0 or newer" in text


async def test_a_call_of_two_round_trips_has_one_budget() -> None:
    """The first answer comes late, the second never."""

    async def late(said: bytes, writer: asyncio.StreamWriter) -> None:
        if b"GET" in said:
            await asyncio.sleep(BUDGET_SECONDS - 0.05)
            writer.write(b"$17\r\n" + lock._own + b"\r\n")
        elif b"SET" in said:
            await asyncio.sleep(BUDGET_SECONDS - 0.05)
            writer.write(b"+OK\r\n")

    async with double(late) as url, opened(url) as lock:
        [(key, marker)] = marked(1).items()
        await unavailable_within(SOON_SECONDS, lock.acquire([key]))
        await unavailable_within(SOON_SECONDS, lock.settle([Committed(key, marker)], [key]))
