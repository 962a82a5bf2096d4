"""Nobody holds a connection, or the end of the process, by being slow."""

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import OPEN
from tests.web.conftest import SHORT
from tests.web.wire import CLIENT_SECONDS, IllFormed, Wire, all_answers, keep_large, post

TE = "Transfer-Encoding: chunked"


def drip(wire: Wire, data: bytes, every: float) -> None:
    """Send a byte now and then until the other side has closed or everything is sent."""
    wire.socket.settimeout(every)
    with contextlib.suppress(ConnectionError):
        for at in range(len(data)):
            wire.socket.send(data[at : at + 1])
            with contextlib.suppress(TimeoutError):
                wire.socket.recv(1, socket.MSG_PEEK)
                break
    wire.socket.settimeout(CLIENT_SECONDS)


def refused(door: Api, code: str) -> float:
    """How many of these there were."""
    name = f'opsconnect_refused_connections_total{{code="{code}"}}'
    lines = door.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_silent_connection_is_closed(door: Api, port: int) -> None:
    """Without a word, and counted."""
    before = refused(door, "silent")
    started = time.monotonic()
    with Wire(port) as wire:
        assert wire.rest() == b""
    assert 0.6 < time.monotonic() - started < 5
    assert refused(door, "silent") == before + 1


def test_an_idle_connection_is_closed(port: int) -> None:
    """Without an answer to what nobody asked."""
    with Wire(port) as wire:
        wire.send(post())
        assert wire.answer().status in {200, 202}
        started = time.monotonic()
        assert wire.rest() == b""
    assert 0.6 < time.monotonic() - started < 5


@pytest.mark.parametrize("before", [b"", post()], ids=["at first", "behind another"])
def test_half_a_header_is_refused_in_time(port: int, before: bytes) -> None:
    """It stops in the middle."""
    with Wire(port) as wire:
        wire.send(before + post()[:20])
        answers = all_answers(wire.rest())
    assert (answers[-1].status, answers[-1].code, answers[-1].closes) == (408, "header_too_slow", True)
    assert len(answers) == (2 if before else 1)


def test_a_trickled_header_is_refused_in_time(port: int) -> None:
    """Its bytes do not buy it time."""
    started = time.monotonic()
    with Wire(port) as wire:
        drip(wire, b"POST /" + b"a" * 5_000, 0.02)
        (answer,) = all_answers(wire.rest())
    assert (answer.status, answer.code) == (408, "header_too_slow")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "request_head", [post(b"x" * 100_000)[:-100_000], post(b"", TE, length=False)], ids=["a length", "chunks"]
)
def test_a_body_that_stops_or_trickles_is_refused_in_time(port: int, request_head: bytes) -> None:
    """Below the least rate long before the whole time is over."""
    for body in (b"", b"1\r\nx\r\n" * 2_000):
        started = time.monotonic()
        with Wire(port) as wire:
            wire.send(request_head)
            drip(wire, body, 0.02)
            (answer,) = all_answers(wire.rest())
        assert (answer.status, answer.code, answer.closes) == (408, "body_too_slow", True)
        assert 1.5 < time.monotonic() - started < 7


def test_a_body_that_comes_fast_enough_but_for_too_long_is_refused(port: int) -> None:
    started = time.monotonic()
    with Wire(port) as wire:
        wire.send(post(b"x" * 500_000)[:-500_000])
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 3.2:
                wire.send(b"x" * 100)
                time.sleep(0.02)
        (answer,) = all_answers(wire.rest())
    assert (answer.status, answer.code) == (408, "body_too_slow")
    assert 3.3 < time.monotonic() - started < 8


def test_a_client_that_does_not_read_is_cut_off(door: Api, port: int) -> None:
    """A large answer waits in our memory; not for ever."""
    event_id = keep_large(port)
    before = refused(door, "answer_not_read")
    with Wire(port, receive_bytes=4096) as wire:
        wire.send(
            f"GET /api/v1/events/{event_id}/body HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {door_key(door)}\r\n\r\n".encode()
        )
        until(lambda: refused(door, "answer_not_read") > before, 10, "the cut")


def door_key(door: Api) -> str:
    return f"Bearer {door.environment['OPSCONNECT_ADMIN_KEY']}"


def test_one_address_may_open_so_many_connections_and_no_more(door: Api, port: int) -> None:
    """Others are not touched, and what it closes it may open again."""
    most = int(SHORT["OPSCONNECT_CONNECTIONS_PER_ADDRESS"])
    before = refused(door, "too_many_connections")
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        for _ in range(most + 20):
            stack.enter_context(Wire(port, source="127.0.0.3"))
        assert time.monotonic() - started < 0.6, "too slow a machine: the first ones are closed for their silence"
        until(lambda: refused(door, "too_many_connections") == before + 20, what="twenty refusals")
    until(lambda: answers_another(port), what="an answer to the same address")


def answers_another(port: int) -> bool:
    with Wire(port, source="127.0.0.3") as wire:
        wire.send(post())
        try:
            return wire.answer().status in {200, 202}
        except (ConnectionError, IllFormed):
            return False


@pytest.fixture
def patient(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """One with the deadlines as they are by default."""
    with serving(database_url, redis_url, tmp_path) as running:
        running.apply(OPEN)
        yield running


def test_half_sent_requests_do_not_hold_the_end_up(patient: Api) -> None:
    """Heads and bodies that never end get a 503 after a second; who is idle or silent is let go then."""
    with contextlib.ExitStack() as stack:
        silent, idle, head, body, chunks, trickle = (stack.enter_context(Wire(patient.port)) for _ in range(6))
        idle.send(post())
        assert idle.answer().status == 202
        head.send(post()[:30])
        body.send(post(b"x" * 1000)[:-1])
        chunks.send(post(b"", TE, length=False) + b"5\r\nab")
        trickle.send(b"POST /")
        assert patient.get("/api/v1/health").status_code == 200  # so everything before it has arrived
        started = time.monotonic()
        assert patient.process is not None
        patient.process.send_signal(signal.SIGTERM)
        drip(trickle, b"a" * 1_000, 0.05)
        for wire in (head, body, chunks, trickle):
            (answer,) = all_answers(wire.rest())
            assert (answer.status, answer.code, answer.closes) == (503, "unavailable", True)
            assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert silent.rest() == idle.rest() == b""
        assert patient.process.wait(10) == 0
    assert time.monotonic() - started < 5


def test_a_request_that_becomes_whole_while_draining_is_answered(patient: Api) -> None:
    """It is the last one of its connection, also where the connection was only kept alive, or new."""
    with Wire(patient.port) as head, Wire(patient.port) as body, Wire(patient.port) as idle, Wire(patient.port) as new:
        request = post(b'{"late":1}')
        idle.send(request)
        assert not idle.answer().closes
        head.send(request[:20])
        body.send(request[:-1])
        assert patient.get("/api/v1/health").status_code == 200
        assert patient.process is not None
        patient.process.send_signal(signal.SIGTERM)
        until(lambda: closed_to_others(patient.port), what="the end of listening")
        head.send(request[20:])
        body.send(request[-1:])
        idle.send(request)
        new.send(request)
        for wire in (head, body, idle, new):
            (answer,) = all_answers(wire.rest())
            assert (answer.status, answer.closes) == (200, True)
        assert patient.process.wait(10) == 0


def closed_to_others(port: int) -> bool:
    try:
        Wire(port).socket.close()
    except ConnectionError:
        return True
    return False


def test_a_client_that_reads_no_answer_does_not_hold_the_end_up(patient: Api) -> None:
    """The drain has its budget, whoever is slow."""
    patient.apply({"name": "large", "provider": "test", "verify": "none", "body_limit": 25_000_000})
    event_id = keep_large(patient.port)
    with Wire(patient.port, receive_bytes=4096) as wire:
        key = f"Authorization: {door_key(patient)}"
        wire.send(f"GET /api/v1/events/{event_id}/body HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n".encode())
        wire.socket.recv(100)
        started = time.monotonic()
        assert patient.stop() == 0
    assert time.monotonic() - started < 10
