"""2,000 slow clients of one address beside 200 requests a second of another: `make slow` measures what that costs."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api, serving
from tests.e2e.conftest import OPEN
from tests.web.wire import post, take_answer

SOCKETS = int(os.environ.get("SLOW_SOCKETS", "0"))
RATE = 200
SECONDS = 8.0
ROUNDS = 2


@pytest.fixture
def roomy(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """It lets one address have them all, so that the deadlines alone are at work."""
    more = {"OPSCONNECT_CONNECTIONS_PER_ADDRESS": "10000"}
    with serving(database_url, redis_url, tmp_path, **more) as running:
        running.apply(OPEN)
        yield running


@pytest.mark.skipif(not SOCKETS, reason="measured by `make slow`, not timed in every run")
async def test_slow_clients_cost_the_others_little(roomy: Api) -> None:
    """Silent ones, heads and bodies that trickle; each comes back when it is cut off."""
    alone, beside = [], []
    for number in range(ROUNDS):
        alone.append(await p99(roomy.port, f"alone {number}"))
        crowd = [asyncio.create_task(slow(roomy.port, kind % 3)) for kind in range(SOCKETS)]
        await asyncio.sleep(1)  # let them connect
        beside.append(await p99(roomy.port, f"beside {number}"))
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    print(f"p99 in ms: alone {[round(x, 2) for x in alone]}, beside {SOCKETS} slow: {[round(x, 2) for x in beside]}")
    # The crowd lives in this process and takes its share of the machine: the bound is generous, the figure is printed.
    assert sorted(beside)[ROUNDS // 2] < 5 * sorted(alone)[ROUNDS // 2] + 20


async def p99(port: int, name: str) -> float:
    """Send at a steady rate over 20 connections; milliseconds."""
    took: list[float] = []
    begin = time.monotonic()

    async def one(lane: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(lane, int(RATE * SECONDS), 20):
            await asyncio.sleep(begin + number / RATE - time.monotonic())
            started = time.perf_counter()
            writer.write(post(f"{name} {number}".encode()))
            got = b""
            while (taken := take_answer(got)) is None:
                more = await reader.read(65_536)
                assert more, "closed on a good client"
                got += more
            assert taken[0].status == 202, taken
            took.append((time.perf_counter() - started) * 1000)
        writer.close()

    await asyncio.gather(*(one(lane) for lane in range(20)))
    return sorted(took)[int(len(took) * 0.99)]


async def slow(port: int, kind: int) -> None:
    """Say nothing, or trickle a head or a body, a byte a second; begin anew when cut off."""
    start = (b"", b"POST /api/v1/webhooks/open HTTP/1.1\r\nX: ", post(b"x" * 900_000)[:-900_000])[kind]
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
            try:
                writer.write(start)
                while not reader.at_eof():
                    if kind:
                        writer.write(b"x")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await reader.read(4_096)
            finally:
                writer.close()
