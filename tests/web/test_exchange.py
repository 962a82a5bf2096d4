"""What a client may rely on: order, pipelining, back-pressure, 100-continue, HEAD, upgrades, forwarded addresses."""

import contextlib
import socket

from tests.e2e.api import ADMIN_KEY, Api, until
from tests.web.wire import Wire, all_answers, chunked, field_of, keep_large, post

TE = "Transfer-Encoding: chunked"
GET = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n".encode()


def test_twenty_requests_in_one_packet_get_twenty_answers_in_order(port: int) -> None:
    """With and without lengths, through the door and through FastAPI."""
    for number in range(3):
        bodies = [f"packet {number} {position}".encode() for position in range(20)]
        requests = [
            post(body) if position % 2 else post(b"", TE, length=False) + chunked(body)
            for position, body in enumerate(bodies)
        ]
        with Wire(port) as wire:
            wire.send(b"".join(requests))
            first = [wire.answer() for _ in bodies]
            wire.send(GET, b"".join(requests))
            assert wire.answer().headers["content-type"] == "application/json"
            again = [wire.answer() for _ in bodies]
        assert {answer.status for answer in first} == {202}
        assert {answer.status for answer in again} == {200}
        assert [field_of(answer, "event_id") for answer in first] == [field_of(answer, "event_id") for answer in again]


def test_a_request_may_be_cut_at_every_byte(port: int) -> None:
    """Each of two requests on one connection, the cut wherever it likes."""
    for request in (
        post(b'{"cut":1}'),
        post(b"", TE, length=False) + b'3;x\r\n{"c\r\n6\r\nut":2}\r\n0\r\nA: b\r\n\r\n',
    ):
        both = request + request
        with Wire(port) as wire:
            wire.send(both)
            expected = field_of(wire.answer(), "event_id")
            assert field_of(wire.answer(), "event_id") == expected
            for cut in range(1, len(both)):
                wire.send(both[:cut], both[cut:])
                assert [field_of(wire.answer(), "event_id") for _ in range(2)] == [expected] * 2, both[:cut]
        with Wire(port) as wire:
            wire.send(*(both[at : at + 1] for at in range(len(both))))
            assert [field_of(wire.answer(), "event_id") for _ in range(2)] == [expected] * 2


def test_hardly_anything_is_read_while_an_answer_is_under_way(door: Api, port: int) -> None:
    """Who sends requests and reads no answers is stopped by the transport, not by our memory."""
    event_id = keep_large(port)
    with Wire(port, receive_bytes=4096) as wire:
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            wire.send(GET.replace(b"/events", f"/events/{event_id}/body".encode()))
            wire.socket.settimeout(0.5)
            for _ in range(1_000):
                sent += wire.socket.send(post(b"x" * 59_999))
    assert sent < 30_000_000
    last = door.post("/api/v1/webhooks/open", b"after them").json()["event_id"]
    until(lambda: any(line["event_id"] == last for line in door.lines("webhook.answered")))
    # One at most: its answer waits behind the large one, which is in the transport's hands.
    assert len([line for line in door.lines("webhook.answered") if line["bytes"] == 59_999]) <= 1


def test_a_large_body_is_taken_whole(port: int) -> None:
    """Through the pauses of reading, with a length and in chunks."""
    body = bytes(range(256)) * 40_000
    with Wire(port) as wire:
        wire.send(post(body, path="/api/v1/webhooks/large"))
        assert wire.answer().status == 202
        pieces = [body[at : at + 70_000] for at in range(0, len(body), 70_000)]
        wire.send(post(b"", TE, path="/api/v1/webhooks/large", length=False) + chunked(*pieces))
        assert wire.answer().status == 200


def test_a_client_that_asks_first_is_told_to_go_on(port: int) -> None:
    with Wire(port) as wire:
        for _ in range(2):
            request = post(b"{}", "Expect: 100-continue")
            wire.send(request[:-2])
            assert wire.answer().status == 100
            wire.send(request[-2:])
            assert wire.answer().status in {200, 202}


def test_a_client_that_asks_first_and_is_refused_may_not_go_on(port: int) -> None:
    """Its next bytes may be the body or the next request: nobody can know."""
    with Wire(port) as wire:
        wire.send(post(b"{}", "Expect: 100-continue")[:-2].replace(b"POST", b"PUT"))
        assert wire.answer().status == 405
        with contextlib.suppress(ConnectionError):
            wire.send(post())
        assert wire.rest() == b""


def test_head_is_answered_without_a_body(port: int) -> None:
    with Wire(port) as wire:
        wire.send(b"HEAD /api/v1/webhooks/open HTTP/1.1\r\nHost: x\r\n\r\n" + post())
        assert wire.answer(to_head=True).status == 405
        assert wire.answer().status in {200, 202}


def test_an_upgrade_is_politely_ignored(port: int) -> None:
    """The request counts as it is, with its body: some clients ask for h2c with every request."""
    for wish in ("h2c", "websocket"):
        fields = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {wish}", "HTTP2-Settings: AAMAAABkAAQAAP__")
        with Wire(port) as wire:
            wire.send(post(wish.encode()))
            expected = field_of(wire.answer(), "event_id")
            wire.send(post(wish.encode(), *fields) + post(b"", *fields, TE, length=False) + chunked(wish.encode()))
            assert [field_of(wire.answer(), "event_id") for _ in range(2)] == [expected] * 2


def test_only_a_trusted_proxy_is_believed_about_its_client(door: Api, port: int) -> None:
    """The last address that is no proxy of ours counts; what stands before it anybody may have written."""
    forwarded = "X-Forwarded-For: 192.0.2.66, 198.51.100.7, 10.1.2.3"
    for source, shown in (("127.0.0.9", "198.51.100.7"), ("127.0.0.8", "127.0.0.8")):
        with Wire(port, source=source) as wire:
            wire.send(post(b"forwarded", forwarded))
            event_id = field_of(wire.answer(), "event_id")

        def told(event_id: str = event_id, shown: str = shown) -> bool:
            lines = [line for line in door.lines("webhook.answered") if line.get("event_id") == event_id]
            return any(line["client"] == shown for line in lines)

        until(told, what=f"a line with {shown}")


def test_the_last_request_of_a_connection_is_the_last(port: int) -> None:
    """What follows `Connection: close` is never looked at."""
    with Wire(port) as wire:
        wire.send(post(b"{}", "Connection: close") + post() + b"\0")
        (answer,) = all_answers(wire.rest())
    assert answer.status in {200, 202}
    assert answer.closes


def test_a_client_that_leaves_in_the_middle_is_forgotten(door: Api, port: int) -> None:
    for part in (post()[:10], post()[:-1], post(b"", TE, length=False) + b"5\r\nab"):
        with Wire(port) as wire:
            wire.send(part)
    with Wire(port) as wire:
        wire.send(post(b"x" * 500_000)[:300_000])
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert door.get("/api/v1/health").status_code == 200
