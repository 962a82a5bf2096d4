"""What every way out keeps to: the guarded client on real sockets, and the twin in memory."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.outgoing.client import AiohttpOutgoing
from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate
from app.core.domain.errors import AnswerTooSlow, Forbidden, Invalid, Unreachable
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.core.ports.outgoing import Outgoing
from tests.peer import Seen, peer, reply

ADDRESSES = {
    "provider.test": "127.0.0.1",
    "other.test": "127.0.0.1",
    "metadata.test": "169.254.169.254",
    "carried.test": "64:ff9b::a9fe:a9fe",
}
PROVIDER = AllowPrivate.of(["provider.test"])
BODY = bytes(range(256)) * 10


@dataclass
class Subject:
    """A way out, and what stands at `http://provider.test:PORT`."""

    outgoing: Outgoing
    port: int
    seen: Callable[[], list[tuple[str, str, bytes]]]
    """Method, target and body of each request that arrived."""

    def request(self, target: str = "/", **fields: Any) -> OutgoingRequest:
        """A request to the provider, which may be called."""
        url = f"http://provider.test:{self.port}{target}"
        usual: dict[str, Any] = {"url": url, "allow_private": PROVIDER, "seconds": 10}
        return OutgoingRequest(**usual | fields)


async def answer(target: str, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What the provider does."""
    if target == "/hang":
        await asyncio.Event().wait()
    if target == "/moved":
        return 302, b"", [("Location", "http://169.254.169.254/latest/meta-data/")]
    if target == "/echo":
        return 201, body, [("X-One", "1"), ("x-two", "a"), ("X-Two", "b")]
    return 200, target.encode(), []


def look_up(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    if host not in ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return socket.getaddrinfo(ADDRESSES[host], port, type=socket.SOCK_STREAM)  # type: ignore[return-value]


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async def manner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        status, body, headers = await answer(seen.target, seen.body)
        writer.write(reply(status, body, *headers))

    client = AiohttpOutgoing(agent="OpsConnect/test", look_up=look_up)
    async with peer(manner) as provider:
        yield Subject(client, provider.port, lambda: [(s.method, s.target, s.body) for s in provider.seen])
        await client.close()


@asynccontextmanager
async def in_memory() -> AsyncIterator[Subject]:
    def target(request: OutgoingRequest) -> str:
        return request.url.removeprefix("http://provider.test:80")

    async def answering(request: OutgoingRequest) -> OutgoingAnswer:
        status, body, headers = await answer(target(request), request.body)
        return OutgoingAnswer(status, [(name.lower(), value) for name, value in headers], body, False)

    twin = MemoryOutgoing(answering, ADDRESSES)
    yield Subject(twin, 80, lambda: [(r.method, target(r), r.body) for r in twin.sent])


@pytest.fixture(params=[real, in_memory])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with request.param() as made:
        yield made


async def test_what_was_sent_arrives_and_what_came_back_is_given(subject: Subject) -> None:
    got = await subject.outgoing.send(subject.request("/echo", method="PATCH", body=BODY))
    assert (got.status, got.body, got.truncated) == (201, BODY, False)
    assert got.values("x-one") == ["1"]
    assert got.values("x-two") == ["a", "b"]
    assert got.values("x-three") == []
    assert subject.seen() == [("PATCH", "/echo", BODY)]


async def test_the_target_is_sent_as_written(subject: Subject) -> None:
    """Addresses may be signed to the letter."""
    target = "/a%2Fb/%7e;x=1/../c?q=%20+%2B&&z"
    await subject.outgoing.send(subject.request(target))
    assert subject.seen() == [("GET", target, b"")]


async def test_a_redirect_is_an_answer_and_not_followed(subject: Subject) -> None:
    got = await subject.outgoing.send(subject.request("/moved"))
    assert (got.status, got.values("location")) == (302, ["http://169.254.169.254/latest/meta-data/"])
    assert len(subject.seen()) == 1


@pytest.mark.parametrize(
    ("keep", "kept", "truncated"),
    [(len(BODY) + 1, BODY, False), (len(BODY), BODY, False), (len(BODY) - 1, BODY[:-1], True), (0, b"", True)],
)
async def test_as_much_of_an_answer_is_kept_as_was_asked_for(
    subject: Subject, keep: int, kept: bytes, truncated: bool
) -> None:
    got = await subject.outgoing.send(subject.request("/echo", method="POST", body=BODY, keep_bytes=keep))
    assert (got.body, got.truncated) == (kept, truncated)


async def test_many_requests_at_once_get_their_own_answers(subject: Subject) -> None:
    targets = [f"/{number}" for number in range(50)]
    answers = await asyncio.gather(*(subject.outgoing.send(subject.request(target)) for target in targets))
    assert [got.body.decode() for got in answers] == targets


FORBIDDEN_HOSTS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.01",
    "0", "0.0.0.0", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
    "168.63.129.16", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "127.0.0.1.", "metadata.test",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]",
    "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "carried.test", "other.test",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
async def test_a_host_that_nobody_has_allowed_is_forbidden(subject: Subject, host: str) -> None:
    with pytest.raises(Forbidden):
        await subject.outgoing.send(subject.request(url=f"http://{host}:{subject.port}/"))
    assert subject.seen() == []


async def test_a_name_in_the_allow_list_opens_that_name_and_no_other(subject: Subject) -> None:
    await subject.outgoing.send(subject.request(url=f"http://PROVIDER.test:{subject.port}/"))
    for allowed in (NOTHING_PRIVATE, AllowPrivate.of(["other.test", "test", "10.0.0.0/8"])):
        with pytest.raises(Forbidden, match=r"provider\.test must not be called: 127\.0\.0\.1 is a loopback address"):
            await subject.outgoing.send(subject.request(allow_private=allowed))
    metadata = subject.request(url="http://metadata.test/", allow_private=AllowPrivate.of(["metadata.test"]))
    with pytest.raises(Forbidden, match=r"metadata\.test must not be called: 169\.254\.169\.254 is a link-local"):
        await subject.outgoing.send(metadata)
    assert len(subject.seen()) == 1


async def test_a_network_in_the_allow_list_opens_its_addresses_under_every_name(subject: Subject) -> None:
    for host in ("provider.test", "other.test", "127.0.0.1"):
        url = f"http://{host}:{subject.port}/"
        await subject.outgoing.send(subject.request(url=url, allow_private=AllowPrivate.of(["127.0.0.1"])))
        with pytest.raises(Forbidden):
            await subject.outgoing.send(subject.request(url=url, allow_private=AllowPrivate.of(["127.0.0.2/31"])))


INVALID: list[dict[str, Any]] = [
    {"url": "", }, {"url": "provider.test"}, {"url": "ftp://provider.test/"}, {"url": "file:///etc/passwd"},
    {"url": "gopher://provider.test/"}, {"url": "http://"}, {"url": "http:///x"}, {"url": "http:provider.test"},
    {"url": "http://canary@provider.test/"}, {"url": "http://canary:canary@provider.test/"},
    {"url": "http://provider.test:0/"}, {"url": "http://provider.test:65536/"}, {"url": "http://provider.test:x/"},
    {"url": "http://provider.test:+80/"}, {"url": "http://provider.test:80:80/"}, {"url": "http://[::1/"},
    {"url": "http://[::1]x/"}, {"url": "http://[provider.test]/"}, {"url": "http://[1::2::3]/"},
    {"url": "http://provider.test /"}, {"url": "http://provider.test/\r\nX-Canary: 1"}, {"url": "http://a\\b/"},
    {"url": "http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.test/"}, {"url": "http://-a.test/"},
    {"url": f"http://{'a' * 64}.test/"}, {"url": f"http://provider.test/{'a' * 9000}"}, {"url": "http://a..b/"},
    {"method": ""}, {"method": "GE T"}, {"method": "GET / HTTP/1.1\r\n"}, {"method": "CONNECT"},
    {"headers": [("X A", "1")]}, {"headers": [("", "1")]}, {"headers": [("X-A", "canary\r\nX-B: 2")]},
    {"headers": [("X-A", "\0canary")]}, {"headers": [("X-A", "\N{EURO SIGN}canary")]}, {"headers": [("Host", "a")]},
    {"headers": [("Content-Length", "1")]}, {"headers": [("transfer-encoding", "chunked")]},
    {"headers": [("Proxy-Authorization", "canary")]}, {"seconds": 0}, {"seconds": -1}, {"seconds": float("nan")},
    {"keep_bytes": -1},
]  # fmt: skip


@pytest.mark.parametrize("fields", INVALID, ids=str)
async def test_what_is_no_request_is_invalid_and_not_quoted(subject: Subject, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as invalid:
        await subject.outgoing.send(subject.request(**fields))
    assert "canary" not in str(invalid.value)
    assert subject.seen() == []


async def test_a_name_without_an_address_is_unreachable(subject: Subject) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.test has no address"):
        await subject.outgoing.send(subject.request(url="http://nowhere.test/"))


async def test_an_answer_that_does_not_come_in_time_is_given_up(subject: Subject) -> None:
    await subject.outgoing.send(subject.request("/first"))  # so that there is a connection
    with pytest.raises(AnswerTooSlow, match=r"provider\.test.* within 0\.05 s"):
        await subject.outgoing.send(subject.request("/hang", seconds=0.05))


async def test_who_is_cancelled_is_cancelled(subject: Subject) -> None:
    async def arrived() -> None:
        while not subject.seen():
            await asyncio.sleep(0)

    async def send() -> OutgoingAnswer:
        return await subject.outgoing.send(subject.request("/hang"))

    sending = asyncio.create_task(send())
    await asyncio.wait_for(arrived(), 5)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await subject.outgoing.send(subject.request("/x"))).body == b"/x"
