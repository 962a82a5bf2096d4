"""A rolling deploy: two services on one socket, one after the other told to leave and replaced, under load.

DRAINS says how many of them (`make drains`: twenty).
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.settings import Settings
from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import DEMO, configure
from tests.e2e.ledger import assert_ledger
from tests.e2e.sender import SECRET, Sent, deliveries, request, send

DRAINS = int(os.environ.get("DRAINS", "2"))
BUSY, RESTING = 12, 12
"""Connections that hardly ever rest, and such that may rest for longer than the end of a service waits for them."""
BUDGET_SECONDS = 10.0


class Fleet:
    """The services of one socket, which is the test's as it would be systemd's."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, **more: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self.listener.getsockname()[1])
        self._urls = database_url, redis_url
        self._folder = folder
        self._more = {"DEMO_SECRET": SECRET, **more}
        self.services: list[Api] = []
        """The oldest first."""

    def add(self) -> Api:
        """Start one more, and wait until it serves."""
        log = self._folder / f"service-{len(list(self._folder.glob('*.log')))}.log"
        service = Api(*self._urls, log, port=self.port, more=self._more, listener=self.listener, forked=True)
        self.services.append(service.start(wait=False))
        until(lambda: service.lines("start.serving") or service.ended, 20, f"the start ({log.read_text()[-2000:]})")
        assert not service.ended, log.read_text()
        return service

    def retire(self) -> Api:
        """Tell the oldest to leave, and wait until it has."""
        oldest = self.services.pop(0)
        started = time.monotonic()
        assert oldest.stop() == 0, oldest.log.read_text()[-2000:]
        assert time.monotonic() - started < BUDGET_SECONDS
        return oldest

    def close(self) -> None:
        """End what still runs."""
        for service in self.services:
            service.stop(signal.SIGKILL)
        self.listener.close()


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Two services on one socket, which announce their end for half a second."""
    configure(database_url, DEMO)
    fleet = Fleet(database_url, redis_url, tmp_path, OPSCONNECT_DRAIN_ANNOUNCE_SECONDS="0.5")
    try:
        fleet.add()
        fleet.add()
        yield fleet
    finally:
        fleet.close()


@asynccontextmanager
async def load(port: int) -> AsyncIterator[list[Sent]]:
    """Keep sending, over connections that are kept alive, until the end; give what is sent."""
    work: list[Sent] = []
    stop = False

    def more() -> Iterator[Sent]:
        while not stop:
            (sent,) = deliveries(1, f"d{len(work)}")
            work.append(sent)
            yield sent

    senders = [
        *(asyncio.create_task(send(port, more(), pause_seconds=0.02)) for _ in range(BUSY)),
        *(asyncio.create_task(send(port, more(), pause_seconds=2.5)) for _ in range(RESTING)),
    ]
    yield work
    stop = True
    await asyncio.gather(*senders)


async def a_hundred_more(work: list[Sent]) -> None:
    """Let them be sent, so that something is under way whatever happens next."""
    enough = len(work) + 100
    async with asyncio.timeout(30):
        while len(work) < enough:
            await asyncio.sleep(0.01)


async def test_services_leave_and_come_and_no_sender_notices(fleet: Fleet, database_url: str) -> None:
    """Each request is answered, and each answer is one of ours; what was acknowledged is kept; every exit code is 0."""
    retired = []
    async with load(fleet.port) as work:
        for _ in range(DRAINS):
            await a_hundred_more(work)
            retired.append(await asyncio.to_thread(fleet.retire))
            await a_hundred_more(work)
            await asyncio.to_thread(fleet.add)
        await a_hundred_more(work)
    unanswered = [sent for sent in work if sent.answers[0][0] not in {202, 503}]
    assert not unanswered, (len(unanswered), len(work), unanswered[0])
    assert sum(sent.acknowledged for sent in work) > 0.99 * len(work)
    await assert_ledger(database_url, work)
    # The first to leave may have had nothing to do: the other one may have taken all connections.
    assert sum(bool(service.lines("webhook.answered")) for service in retired) >= DRAINS - 1 > 0


@pytest.fixture
def unheard(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """One service with the drain's times as they are by default, whose collector never says a word."""
    configure(database_url, DEMO)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = {
            "OPSCONNECT_DRAIN_ANNOUNCE_SECONDS": str(Settings.model_fields["drain_announce_seconds"].default),
            "OTEL_SDK_DISABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{deaf.getsockname()[1]}",
        }
        with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET, **settings) as api:
            yield api


async def test_a_trickling_client_and_a_deaf_collector_do_not_hold_the_end_up(unheard: Api) -> None:
    """All of the drain's parts take their time: it ends within 10 s, and the client is told to come back."""
    await send(unheard.port, deliveries(20))
    (large,) = deliveries(1, "trickle", size=900_000)
    content = request("/api/v1/webhooks/demo", large)
    reader, writer = await asyncio.open_connection("127.0.0.1", unheard.port)

    async def trickle() -> None:
        with contextlib.suppress(ConnectionError):
            for place in range(0, len(content), 100):  # 2 KB/s: not too slow, but without end
                writer.write(content[place : place + 100])
                await writer.drain()
                await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    started = time.monotonic()
    assert await asyncio.to_thread(unheard.stop) == 0
    assert time.monotonic() - started < BUDGET_SECONDS
    head = await answer
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in head
    trickling.cancel()
    writer.close()
    assert unheard.lines("telemetry.unflushed"), "the collector did not hold anything up"
