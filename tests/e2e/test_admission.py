"""What one process takes on at once: beyond that senders are told to come back, before their body is read."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import Servers
from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import OPEN, configure
from tests.web.wire import Wire, post

LARGEST = {"name": "largest", "provider": "test", "verify": "none", "body_limit": 25_000_000}


@pytest.fixture(params=["express", "asgi"])
def small(request: pytest.FixtureRequest, own_servers: Servers, tmp_path: Path) -> Iterator[Api]:
    """A process that takes on little, by either path."""
    configure(own_servers.postgres.url(), OPEN, LARGEST)
    limits = {
        "OPSCONNECT_INTAKE_PATH": request.param,
        "OPSCONNECT_INTAKE_MOST_REQUESTS": "3",
        "OPSCONNECT_INTAKE_MOST_BYTES": "26214400",
        "OPSCONNECT_OPERATOR_REQUESTS": "1",
    }
    with serving(own_servers.postgres.url(), own_servers.redis.url(), tmp_path, **limits) as running:
        assert running.post("/api/v1/webhooks/open", b'{"warm":1}').status_code == 202
        yield running


@contextmanager
def frozen(servers: Servers) -> Iterator[None]:
    """Postgres with all its backends stands still."""
    postgres = psutil.Process(servers.postgres.pid)
    family = [postgres, *postgres.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            process.send_signal(signal.SIGCONT)


def test_webhooks_beyond_the_bound_are_turned_away_at_once_and_may_come_again(small: Api, own_servers: Servers) -> None:
    """Those that wait keep their place; the connection of one that was turned away goes on."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(small.port)) for _ in range(5)]
        with frozen(own_servers):
            for number, wire in enumerate(wires[:3]):
                wire.send(post(b'{"n":%d}' % number))
            # Only the figures tell that all three have come.
            until(lambda: 'opsconnect_intake_in_hand{what="requests"} 3.0' in small.get("/metrics").text)
            wires[3].send(post(b"{}"))
            turned_away = wires[3].answer()
            assert (turned_away.status, turned_away.code) == (503, "overloaded")
            assert 1 <= int(turned_away.headers["retry-after"]) <= 5
            assert not turned_away.closes
            # Half a request is turned away at its head; the rest of it would only be thrown away.
            wires[4].send(post(b"{}" + b" " * 100_000)[:500])
            half = wires[4].answer()
            assert (half.status, half.code, half.closes) == (503, "overloaded", True)
        answers = [wire.answer() for wire in wires[:3]]
        assert {answer.status for answer in answers} <= {202, 503}

        def taken_in_again() -> bool:
            wires[3].send(post(b'{"again":1}'))
            return wires[3].answer().status in {200, 202}

        until(taken_in_again, what="being taken in again on the same connection")


def test_bodies_beyond_the_bound_are_turned_away_while_they_come(small: Api) -> None:
    """What was held is let go of with the connections that brought it."""
    with ExitStack() as stack:
        first = stack.enter_context(Wire(small.port))
        first.send(post(b"x" * 20_000_000, path="/api/v1/webhooks/largest")[:-1])
        second = stack.enter_context(Wire(small.port))
        second.send(post(b"", f"Content-Length: {20_000_000}", path="/api/v1/webhooks/largest", length=False))
        with pytest.raises(ConnectionError):
            second.send(b"x" * 19_999_999)
        first.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: small.post("/api/v1/webhooks/open", b"{}").status_code in {200, 202}, what="room again")
    assert "overloaded" in {line["code"] for line in small.lines("connection.refused")}


async def test_a_crowd_of_questions_does_not_hold_webhooks_up(small: Api, own_servers: Servers) -> None:
    """One is served at once here; the next is told to come back, and health is always answered."""
    with ExitStack() as stack:
        asking = [stack.enter_context(Wire(small.port)) for _ in range(2)]
        question = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer an-admin-key-of-the-tests\r\n\r\n"
        with frozen(own_servers):
            asking[0].send(question)
            until(lambda: _busy(asking[1], question), what="being told that there are too many")
            assert small.get("/api/v1/health/live").status_code == 200
            assert small.get("/metrics").status_code == 200
        assert asking[0].answer().status in {200, 503}
    assert small.post("/api/v1/webhooks/open", b'{"n":1}').status_code in {200, 202}


def _busy(wire: Wire, question: bytes) -> bool:
    wire.send(question)
    answer = wire.answer()
    return (answer.status, answer.code if answer.status == 503 else "") == (503, "busy")


LIMITED = {"provider": "test", "verify": "none", "limits": {"rate": "10/m"}}


@pytest.mark.parametrize("path", ["express", "asgi"])
def test_a_source_over_its_limit_is_told_so_whichever_process_is_asked(
    path: str, servers: Servers, database_url: str, tmp_path: Path
) -> None:
    """10 a minute, one at once: two processes share it, and other sources have nothing to do with it."""
    configure(database_url, OPEN, {**LIMITED, "name": path})  # Redis remembers what a source has used up
    with ExitStack() as stack:
        apis = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            apis.append(
                stack.enter_context(serving(database_url, servers.redis.url(), folder, OPSCONNECT_INTAKE_PATH=path))
            )
        answers = [api.post(f"/api/v1/webhooks/{path}", f'{{"n":{n}}}') for n in range(3) for api in apis]
        assert [answer.status_code for answer in answers].count(202) == 1
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert all(api.post("/api/v1/webhooks/open", b"{}").status_code in {200, 202} for api in apis)
