"""The guarded client where it meets bad company, on real sockets: what it sends, how long it waits, what it keeps."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvloop

from app.adapters.outgoing.budget import AttemptBudget
from app.adapters.outgoing.client import AiohttpOutgoing
from app.adapters.outgoing.resolver import AddressInfo
from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate
from app.core.domain.errors import (
    AnswerLost,
    AnswerTooSlow,
    ConnectingTooSlow,
    Forbidden,
    OpsConnectError,
    Unreachable,
)
from app.core.domain.outgoing import OutgoingRequest
from tests.peer import Peer, Seen, answering, peer, reply, silent

LOOPBACK = AllowPrivate.of(["127.0.0.1"])
OK = answering(reply(200, b"fine"))
Clients = Callable[..., AiohttpOutgoing]


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """Makes clients, and closes them at the end."""
    made: list[AiohttpOutgoing] = []

    def make(**options: Any) -> AiohttpOutgoing:
        made.append(AiohttpOutgoing(agent="OpsConnect/1.2.3", **options))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(clients: Clients) -> AiohttpOutgoing:
    return clients()


def to(it: Peer, **fields: Any) -> OutgoingRequest:
    usual: dict[str, Any] = {"url": f"http://127.0.0.1:{it.port}/", "allow_private": LOOPBACK, "seconds": 10}
    return OutgoingRequest(**usual | fields)


def names(addresses: dict[str, list[str]]) -> Callable[[str, int], list[AddressInfo]]:
    """A resolver that knows these."""

    def look_up(host: str, port: int) -> list[AddressInfo]:
        found = addresses[host]
        return [info for text in found for info in socket.getaddrinfo(text, port, type=socket.SOCK_STREAM)]

    return look_up


@contextlib.contextmanager
def full_backlog(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose queue of connections is full, so that the next one gets no answer at all."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


# What is sent


async def test_a_request_says_who_sends_it_and_little_else(client: AiohttpOutgoing) -> None:
    async with peer(OK) as it:
        await client.send(to(it))
        await client.send(to(it, method="POST", body=b"x", headers=[("User-Agent", "other"), ("X-A", "1")]))
        plain, posted = it.seen
    common = {"host": f"127.0.0.1:{it.port}", "accept": "*/*", "accept-encoding": "identity"}
    assert plain.headers == common | {"user-agent": "OpsConnect/1.2.3"}
    assert posted.headers == common | {"user-agent": "other", "x-a": "1", "content-length": "1"}


async def test_a_post_without_a_body_says_so(client: AiohttpOutgoing) -> None:
    async with peer(OK) as it:
        await client.send(to(it, method="POST"))
        assert it.seen[0].headers["content-length"] == "0"


async def test_a_large_body_arrives_whole(client: AiohttpOutgoing) -> None:
    body = bytes(5_000_000)
    async with peer(OK) as it:
        await client.send(to(it, method="POST", body=body))
        assert it.seen[0].body == body


async def test_no_cookie_is_kept(clients: Clients) -> None:
    client = clients(look_up=names({"provider.test": ["127.0.0.1"]}))
    async with peer(answering(reply(200, b"", ("Set-Cookie", "a=b; Path=/")))) as it:
        for _ in range(2):
            await client.send(to(it, url=f"http://provider.test:{it.port}/"))
        assert ["cookie" in seen.headers for seen in it.seen] == [False, False]


async def test_no_proxy_of_the_environment_is_used(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(OK) as it, peer(OK) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await clients().send(to(it))
        assert [seen.target for seen in it.seen] == ["/"]
        assert proxy.connections == 0


async def test_a_compressed_answer_is_given_as_it_came(client: AiohttpOutgoing) -> None:
    """What is not inflated is no bomb."""
    async with peer(answering(reply(200, b"\x1f\x8bjunk", ("Content-Encoding", "gzip")))) as it:
        assert (await client.send(to(it))).body == b"\x1f\x8bjunk"


# Where it goes


async def test_of_several_addresses_only_the_allowed_ones_are_dialled(clients: Clients) -> None:
    client = clients(look_up=names({"mixed.test": ["169.254.169.254", "127.0.0.1", "10.0.0.1"]}))
    async with peer(OK) as it:
        assert (await client.send(to(it, url=f"http://mixed.test:{it.port}/"))).status == 200
        with pytest.raises(Forbidden):
            await client.send(to(it, url=f"http://mixed.test:{it.port}/", allow_private=NOTHING_PRIVATE))


async def test_a_dead_address_of_several_does_not_matter(clients: Clients) -> None:
    client = clients(look_up=names({"twice.test": ["127.0.0.2", "127.0.0.1"]}))
    async with peer(OK) as it:
        allowed = AllowPrivate.of(["twice.test"])
        assert (await client.send(to(it, url=f"http://twice.test:{it.port}/", allow_private=allowed))).status == 200


async def test_an_address_that_says_nothing_does_not_hold_up_the_next(clients: Clients) -> None:
    client = clients(look_up=names({"twice.test": ["127.0.0.2", "127.0.0.1"]}))
    async with peer(OK) as it:
        with full_backlog("127.0.0.2", it.port):
            allowed = AllowPrivate.of(["twice.test"])
            assert (await client.send(to(it, url=f"http://twice.test:{it.port}/", allow_private=allowed))).status == 200


async def test_a_name_is_judged_each_time_that_it_is_dialled(clients: Clients) -> None:
    """What it meant a moment ago is of no use to it."""
    addresses = {"rebound.test": ["127.0.0.1"]}
    client = clients(look_up=names(addresses))
    async with peer(answering(reply(200, b"", ("Connection", "close")))) as it:
        request = to(it, url=f"http://rebound.test:{it.port}/")
        await client.send(request)
        addresses["rebound.test"] = ["169.254.169.254"]
        with pytest.raises(Forbidden):
            await client.send(request)


async def test_a_connection_is_used_again_but_only_by_those_with_the_same_allow_list(clients: Clients) -> None:
    client = clients(look_up=names({"provider.test": ["127.0.0.1"]}))
    async with peer(OK) as it:
        url = f"http://provider.test:{it.port}/"
        by_name, by_network = AllowPrivate.of(["provider.test"]), AllowPrivate.of(["127.0.0.0/8"])
        for allowed in (by_name, AllowPrivate.of(["provider.test"]), by_network, by_name):
            await client.send(to(it, url=url, allow_private=allowed))
        assert [seen.connection for seen in it.seen] == [1, 1, 2, 1]
        with pytest.raises(Forbidden):
            await client.send(to(it, url=url, allow_private=NOTHING_PRIVATE))
        assert it.connections == 2


# How long it waits


async def test_looking_up_a_name_has_its_time(clients: Clients) -> None:
    """And however many look-ups hang, others end in time too; none of them keeps the process."""
    hanging = threading.Event()

    def look_up(_: str, __: int) -> list[AddressInfo]:
        hanging.wait()
        return []

    client = clients(budget=AttemptBudget(dns_seconds=0.05), look_up=look_up)

    async def ask(number: int) -> None:
        with pytest.raises(ConnectingTooSlow, match=rf"address of n{number}\.test .* 0\.05 s"):
            await client.send(OutgoingRequest(f"http://n{number}.test/"))

    try:
        async with asyncio.timeout(5):
            await asyncio.gather(*map(ask, range(30)))
        looking = [thread for thread in threading.enumerate() if thread.name == "resolve a host"]
        assert len(looking) == 16
        assert all(thread.daemon for thread in looking)
    finally:
        hanging.set()


async def test_connecting_has_its_time(clients: Clients) -> None:
    client = clients(budget=AttemptBudget(tcp_seconds=0.05))
    with full_backlog() as port, pytest.raises(ConnectingTooSlow, match=rf"127\.0\.0\.1:{port} .* 0\.05 s"):
        await client.send(OutgoingRequest(f"http://127.0.0.1:{port}/", allow_private=LOOPBACK))


async def test_the_tls_handshake_has_its_time(clients: Clients) -> None:
    async with peer(OK) as it:
        with pytest.raises(ConnectingTooSlow, match=r"TLS within 0\.05 s"):
            await clients(budget=AttemptBudget(tls_seconds=0.05)).send(to(it, url=f"https://127.0.0.1:{it.port}/"))
        await asyncio.wait_for(it.gone.wait(), 5)  # the connection was closed


async def test_the_first_byte_has_its_time(clients: Clients) -> None:
    async with peer(silent) as it:
        with pytest.raises(AnswerTooSlow, match=r"said nothing for 0\.05 s"):
            await clients(budget=AttemptBudget(first_byte_seconds=0.05)).send(to(it))


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"])
async def test_an_answer_that_drips_has_its_time(client: AiohttpOutgoing, start: bytes) -> None:
    async def drip(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target == "/first":
            await OK(seen, writer)
            return
        writer.write(start)
        while not writer.is_closing():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.002)

    async with peer(drip) as it:
        await client.send(to(it, url=f"http://127.0.0.1:{it.port}/first"))  # so that there is a connection
        with pytest.raises(AnswerTooSlow, match=r"no whole answer within 0\.05 s"):
            await client.send(to(it, seconds=0.05))
        await asyncio.wait_for(it.gone.wait(), 5)


async def test_the_whole_time_bounds_every_part(clients: Clients) -> None:
    """Also connecting, which is told apart: then nothing was sent."""
    with full_backlog() as port, pytest.raises(ConnectingTooSlow, match=r"could not be reached within 0\.05 s"):
        await clients().send(OutgoingRequest(f"http://127.0.0.1:{port}/", allow_private=LOOPBACK, seconds=0.05))


async def test_who_is_cancelled_closes_the_connection(client: AiohttpOutgoing) -> None:
    async with peer(silent) as it:
        sending = asyncio.create_task(client.send(to(it)))
        await until(lambda: it.seen)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(it.gone.wait(), 5)


# What goes wrong


async def test_nobody_listens(client: AiohttpOutgoing) -> None:
    async with peer(OK) as it:
        pass
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{it.port} cannot be reached"):
        await client.send(to(it))


def resetting(start: bytes) -> Callable[[Seen, asyncio.StreamWriter], Any]:
    async def manner(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return manner


BROKEN = {
    "hung up": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nX-",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


@pytest.mark.parametrize("start", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_breaks_leaves_the_answer_lost_and_nothing_is_sent_twice(
    client: AiohttpOutgoing, start: bytes, method: str
) -> None:
    async with peer(resetting(start)) as it:
        with pytest.raises(AnswerLost, match=r"took a request and gave no whole answer"):
            await client.send(to(it, method=method))
        assert len(it.seen) == 1


async def test_a_kept_connection_that_turns_out_to_be_dead_is_no_reason_to_send_twice(client: AiohttpOutgoing) -> None:
    async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if len(it.seen) == 1:
            await OK(seen, writer)
        else:
            writer.transport.abort()

    async with peer(once) as it:
        await client.send(to(it))
        with pytest.raises(AnswerLost):
            await client.send(to(it))
        assert [seen.connection for seen in it.seen] == [1, 1]


JUNK = {
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
    "long line": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n",
    "endless line": b"a" * 10_000_000,
}


@pytest.mark.parametrize("raw", JUNK.values(), ids=JUNK)
async def test_what_is_no_answer_is_lost(client: AiohttpOutgoing, raw: bytes) -> None:
    async with peer(answering(raw)) as it:
        with pytest.raises(AnswerLost):
            await client.send(to(it))


async def test_an_upgrade_that_nobody_asked_for_is_an_answer_and_ends_the_connection(client: AiohttpOutgoing) -> None:
    raw = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with peer(answering(raw)) as it:
        assert (await client.send(to(it))).status == 101
        await asyncio.wait_for(it.gone.wait(), 5)


async def test_an_endless_answer_is_cut_off(client: AiohttpOutgoing) -> None:
    sent = 0

    async def pour(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(100_000))
            sent += 100_000
            await writer.drain()

    async with peer(pour) as it:
        answer = await client.send(to(it))
        assert (answer.status, len(answer.body), answer.truncated) == (200, 65_536, True)
        await asyncio.wait_for(it.gone.wait(), 5)
    assert sent < 20_000_000  # what lay in the buffers of two sockets


async def test_a_closed_client_reaches_nobody_and_leaves_no_connection(clients: Clients) -> None:
    client = clients()
    async with peer(OK) as it:
        await client.send(to(it))
        await client.close()
        await asyncio.wait_for(it.gone.wait(), 5)
        with pytest.raises(Unreachable, match="closed"):
            await client.send(to(it))


async def test_closing_ends_what_is_under_way(clients: Clients) -> None:
    client = clients()
    async with peer(silent) as it:
        sending = asyncio.create_task(client.send(to(it)))
        await until(lambda: it.seen)
        await client.close()
        with pytest.raises(AnswerLost):
            await sending


def test_the_same_on_uvloop() -> None:
    """The loop that production runs on has other words for what goes wrong."""

    async def outcome(request: OutgoingRequest, **budget: float) -> type[OpsConnectError] | int:
        client = AiohttpOutgoing(agent="OpsConnect/1", budget=AttemptBudget(**budget))
        try:
            return (await client.send(request)).status
        except OpsConnectError as error:
            return type(error)
        finally:
            await client.close()

    async def story() -> None:
        async with peer(OK) as it:
            assert await outcome(to(it)) == 200
            assert await outcome(to(it, allow_private=NOTHING_PRIVATE)) is Forbidden
        assert await outcome(to(it)) is Unreachable
        async with peer(resetting(b"HTTP/1.1 2")) as it:
            assert await outcome(to(it)) is AnswerLost
        async with peer(silent) as it:
            assert await outcome(to(it), first_byte_seconds=0.05) is AnswerTooSlow
            secure = to(it, url=f"https://127.0.0.1:{it.port}/")
            assert await outcome(secure, tls_seconds=0.05) is ConnectingTooSlow
        with full_backlog() as port:
            full = to(it, url=f"http://127.0.0.1:{port}/")
            assert await outcome(full, tcp_seconds=0.05) is ConnectingTooSlow

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
