"""The connector `http` on real sockets: what it sends, where it never goes, and what it makes of answers."""

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import standardwebhooks

from app.adapters.connectors.http import HttpConnector
from app.adapters.outgoing.client import AiohttpOutgoing
from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate
from app.core.domain.connector import ActionCall, Done, Failed, Failure, Json
from tests.peer import Peer, Seen, answering, peer, reply, silent

NOW = 1_700_000_000.0
LOOPBACK = AllowPrivate.of(["127.0.0.1"])
SIGNING = b"whsec_" + b64encode(b"a signing secret of some length")
SECRETS = {"password": b"pass:word", "token": b"a token", "hmac_key": b"a key", "signing": SIGNING}
FINE = reply(200, b"{}", ("Content-Type", "application/json"))


class Subject:
    """The connector, and the server that it talks to."""

    def __init__(self, client: AiohttpOutgoing, other: Peer) -> None:
        self.client = client
        self.other = other
        self.connector = HttpConnector(client, lambda: NOW)

    def call(self, action: str, given: Json = None, *, base: str = "/v1", **fields: Any) -> ActionCall:
        settings = {"base_url": f"http://127.0.0.1:{self.other.port}{base}", **fields.pop("settings", {})}
        usual: dict[str, Any] = {"secrets": SECRETS, "allow_private": LOOPBACK, "key": "the-key"}
        return ActionCall(action, given, settings, **(usual | fields))

    async def run(self, action: str, given: Json = None, **fields: Any) -> Done | Failed:
        return await self.connector.run(self.call(action, given, **fields))

    async def sent(self, action: str, given: Json = None, **fields: Any) -> Seen:
        """Run it, and give what came."""
        result = await self.run(action, given, **fields)
        assert isinstance(result, Done), result
        return self.other.seen[-1]

    async def answered(self, raw: bytes, **fields: Any) -> Done | Failed:
        """Run it on a server that answers so."""
        self.other.manner = answering(raw)
        return await self.run("post", {"json": 1}, **fields)


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    client = AiohttpOutgoing(agent="OpsConnect/1.2.3")
    async with peer(answering(FINE)) as other:
        yield Subject(client, other)
        await client.close()


async def test_a_post_arrives_as_it_was_described(subject: Subject) -> None:
    given = {"path": "/orders", "query": {"a": ["x y", 2, True, None], "b": "&="}, "json": {"id": 10**30, "name": "ü"}}
    seen = await subject.sent("post", given, traceparent="00-1-2-01")
    assert (seen.method, seen.target) == ("POST", "/v1/orders?a=x%20y&a=2&a=true&b=%26%3D")
    assert seen.body == b'{"id":1%s,"name":"\xc3\xbc"}' % (b"0" * 30)
    told = {name: seen.headers[name] for name in ("content-type", "idempotency-key", "traceparent", "user-agent")}
    assert told == {
        "content-type": "application/json",
        "idempotency-key": "the-key",
        "traceparent": "00-1-2-01",
        "user-agent": "OpsConnect/1.2.3",
    }


@pytest.mark.parametrize("action", ["post", "put", "patch", "deliver"])
@pytest.mark.parametrize(
    "payload",
    [
        {"path": "/admin", "json": {}}, {"path": "//evil.example"}, {"headers": {"Authorization": "mine"}},
        {"method": "DELETE"}, {"body": "text"}, {"body_b64": "AAAA"}, {"json": 1}, {}, [], None, "text", 1.5, 10**40,
    ],
    ids=str,
)  # fmt: skip
async def test_a_payload_as_it_came_is_the_body_and_instructs_nobody(
    subject: Subject, action: str, payload: Json
) -> None:
    """Whoever sends webhooks would choose the path otherwise."""
    settings = {"auth": {"kind": "bearer"}}
    seen = await subject.sent(action, payload, whole=True, settings=settings)
    assert (seen.target, json.loads(seen.body)) == ("/v1", payload)
    assert seen.headers["authorization"] == "Bearer a token"
    assert seen.method == ("POST" if action == "deliver" else action.upper())


@pytest.mark.parametrize("action", ["get", "delete", "request"])
async def test_what_sends_no_body_refuses_a_payload_as_it_came(subject: Subject, action: str) -> None:
    result = await subject.run(action, {"path": "/a", "method": "GET"}, whole=True)
    assert isinstance(result, Failed)
    assert (result.failure, subject.other.seen) == (Failure.INVALID, [])


@pytest.mark.parametrize(
    "given", [{"customer": 1}, {"json": {}, "customer": 1}, [], "text", None, {"json": 1, "body": ""}]
)
async def test_what_is_no_description_is_not_taken_for_a_body(subject: Subject, given: Json) -> None:
    result = await subject.run("post", given)
    assert isinstance(result, Failed)
    assert (result.failure, subject.other.seen) == (Failure.INVALID, [])


AWAY = [
    "//evil.example/", "///evil.example", "/%2fevil.example", "/%252fevil.example", "/\\evil.example",
    "\\\\evil.example", "http://evil.example/", "https:evil.example", "@evil.example/", ":80@evil.example/",
    ".evil.example/", "evil.example",
    "/..", "/../admin", "/a/../../admin", "/a/..", "/./a", "/%2e%2e/a", "/%2E./a", "/.%2e/a", "/%252e%252e/a",
    "/%25252e%25252e/a", "/%2525252525252e/a", "/a%2f..%2fb", "/a%5c..%5cb", "/..;x/a", "/%2e%2e;x/a", "/a\\b",
    "/a\\..\\b",
    "/a?b=c", "/a#b", "/a\r\nX-Evil: 1", "/a\0", "/\ud800", "/a\u2028", "", "/" + "a" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("path", AWAY, ids=ascii)
async def test_no_path_leads_away_from_the_connection(subject: Subject, path: str) -> None:
    for base in ("", "/", "/v1", "/v1?fixed=1"):
        result = await subject.run("get", {"path": path}, base=base)
        assert isinstance(result, Failed), subject.other.seen
        assert result.failure is Failure.INVALID
        assert "evil" not in result.message
    assert subject.other.seen == []


@pytest.mark.parametrize(
    ("base", "path", "query", "target"),
    [
        ("", None, {}, "/"), ("/", None, {}, "/"), ("/v1", None, {}, "/v1"), ("/v1/", "/a", {}, "/v1/a"),
        ("/v1?x=1", "/a", {"y": 2}, "/v1/a?x=1&y=2"), ("/v1?x=1", None, {}, "/v1?x=1"), ("?x=1", "/a", {}, "/a?x=1"),
        ("", "/@scope/a:b", {}, "/@scope/a:b"), ("", "/a b/ü", {}, "/a%20b/%C3%BC"), ("", "/a%2Fb", {}, "/a%2Fb"),
        ("", "/100%", {}, "/100%25"), ("", "/...", {}, "/..."), ("", "/a..b/.c", {}, "/a..b/.c"),
        ("", "/a//b", {}, "/a//b"),
        ("", "/a", {"x": "?#&/ü"}, "/a?x=%3F%23%26%2F%C3%BC"), ("", "/a", {"x": []}, "/a"),
    ],
)  # fmt: skip
async def test_a_path_and_a_query_are_added_to_the_address(
    subject: Subject, base: str, path: str | None, query: Json, target: str
) -> None:
    given = {"query": query} | ({"path": path} if path else {})
    assert (await subject.sent("get", given, base=base)).target == target


async def test_headers_of_a_call_go_before_those_of_the_connection_and_ours_before_both(subject: Subject) -> None:
    settings = {"headers": {"X-A": "1", "x-b": "1", "Authorization": "mine"}, "auth": {"kind": "bearer"}}
    own = {"X-B": 2, "content-type": "text/csv", "Idempotency-Key": "mine", "AUTHORIZATION": "mine"}
    seen = await subject.sent("request", {"method": "put", "body": "a,b", "headers": own}, settings=settings)
    assert (seen.method, seen.body) == ("PUT", b"a,b")
    wanted = {"x-a": "1", "x-b": "2", "content-type": "text/csv", "idempotency-key": "the-key"}
    assert {name: seen.headers[name] for name in wanted} == wanted
    assert seen.headers["authorization"] == "Bearer a token"


async def test_bytes_are_sent_as_they_are(subject: Subject) -> None:
    seen = await subject.sent("post", {"body_b64": "AP8="})
    assert (seen.body, seen.headers["content-type"]) == (b"\0\xff", "application/octet-stream")


async def test_each_kind_of_auth_proves_the_call(subject: Subject) -> None:
    async def seen(**auth: Json) -> dict[str, str]:
        return (await subject.sent("post", {"path": "/a", "json": [1]}, settings={"auth": auth})).headers

    assert (
        b64decode((await seen(kind="basic", username="me"))["authorization"].removeprefix("Basic ")) == b"me:pass:word"
    )
    assert (await seen(kind="bearer"))["authorization"] == "Bearer a token"
    assert (await seen(kind="header", name="X-Key", prefix="key="))["x-key"] == "key=a token"
    digest = hmac.new(b"a key", b"[1]", hashlib.sha256)
    assert (await seen(kind="hmac", header="X-Sig", prefix="sha256="))["x-sig"] == f"sha256={digest.hexdigest()}"
    stamped = await seen(kind="hmac", header="X-Sig", timestamp_header="X-Time", digest="sha512", encoding="base64")
    digest = hmac.new(b"a key", b"1700000000.[1]", hashlib.sha512)
    assert (stamped["x-time"], b64decode(stamped["x-sig"])) == ("1700000000", digest.digest())
    over = await seen(kind="hmac", header="X-Sig", template="{method} {url} {body}")
    text = f"POST http://127.0.0.1:{subject.other.port}/v1/a [1]".encode()
    assert over["x-sig"] == hmac.new(b"a key", text, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({"kind": "hmac", "header": "X", "template": "{ts}.{body}"}, "go together"),
        ({"kind": "hmac", "header": "X", "template": "{nothing}"}, "template"),
        ({"kind": "basic", "username": "a:b"}, "colon"),
        ({"kind": "bearer", "token": "in the open"}, "token"),
        ({"kind": "oauth"}, "basic, bearer, header, hmac"),
    ],
)
async def test_auth_that_cannot_be_is_told(subject: Subject, auth: Json, told: str) -> None:
    for result in (
        await subject.run("post", {"json": 1}, settings={"auth": auth}),
        await subject.connector.check(subject.call("post", settings={"auth": auth})),
    ):
        assert isinstance(result, Failed)
        assert result.failure is Failure.INVALID
        assert told in result.message
        assert "open" not in result.message


@pytest.mark.parametrize("name", SECRETS)
async def test_a_secret_that_is_missing_is_named(subject: Subject, name: str) -> None:
    kinds = {"password": {"kind": "basic", "username": "a"}, "hmac_key": {"kind": "hmac", "header": "X"}}
    settings = {} if name == "signing" else {"auth": kinds.get(name, {"kind": "bearer"})}
    result = await subject.run("deliver", {"json": 1}, settings=settings, secrets={**SECRETS, name: b""})
    assert isinstance(result, Failed)
    assert result.message.startswith(f"secrets.{name}: is missing")


async def test_a_delivery_is_believed_by_the_library_of_standard_webhooks(subject: Subject) -> None:
    """On every attempt under the same id, at the time of that attempt."""
    clocks: list[Callable[[], float]] = [lambda: NOW, time.time]
    for attempt, clock in enumerate(clocks, start=1):
        subject.connector = HttpConnector(subject.client, clock)
        settings = {"auth": {"kind": "bearer"}}
        seen = await subject.sent("deliver", {"json": {"type": "ü"}}, settings=settings, attempt=attempt)
        assert (seen.headers["webhook-id"], seen.headers["authorization"]) == ("the-key", "Bearer a token")
        assert abs(int(seen.headers["webhook-timestamp"]) - clock()) < 60
    library: Any = standardwebhooks
    verifier = library.Webhook(SIGNING.decode())
    assert verifier.verify(seen.body, seen.headers) == {"type": "ü"}
    with pytest.raises(library.WebhookVerificationError):
        verifier.verify(seen.body + b" ", seen.headers)


ANSWERS: list[tuple[int, dict[str, str], Failure, float | None, bool]] = [
    (301, {"Location": "http://169.254.169.254/"}, Failure.PERMANENT, None, False),
    (304, {}, Failure.PERMANENT, None, False),
    (400, {}, Failure.PERMANENT, None, False),
    (401, {}, Failure.PERMANENT, None, False),
    (404, {"Retry-After": "5"}, Failure.PERMANENT, None, False),
    (408, {}, Failure.RETRY, None, False),
    (410, {}, Failure.PERMANENT, None, False),
    (425, {"Retry-After": "5"}, Failure.RETRY, 5.0, False),
    (429, {}, Failure.THROTTLED, None, False),
    (429, {"Retry-After": "120"}, Failure.THROTTLED, 120.0, False),
    (429, {"Retry-After": "Tue, 14 Nov 2023 22:14:20 GMT"}, Failure.THROTTLED, 60.0, False),
    (429, {"Retry-After": "Tue, 14 Nov 2000 22:14:20 GMT"}, Failure.THROTTLED, 0.0, False),
    (429, {"Retry-After": "9" * 5000}, Failure.THROTTLED, 1e9, False),
    (429, {"Retry-After": "-1"}, Failure.THROTTLED, None, False),
    (429, {"Retry-After": "soon"}, Failure.THROTTLED, None, False),
    (429, {"Retry-After": "1e9"}, Failure.THROTTLED, None, False),
    (500, {}, Failure.RETRY, None, True),
    (501, {}, Failure.RETRY, None, False),
    (503, {}, Failure.RETRY, None, False),
    (503, {"Retry-After": "7"}, Failure.THROTTLED, 7.0, False),
    (504, {}, Failure.RETRY, None, True),
    (599, {}, Failure.RETRY, None, True),
]


@pytest.mark.parametrize(
    ("status", "headers", "failure", "wait", "maybe_done"), ANSWERS, ids=lambda value: str(value)[:40]
)
async def test_an_answer_is_sorted_by_its_status(
    subject: Subject, status: int, headers: dict[str, str], failure: Failure, wait: float | None, maybe_done: bool
) -> None:
    result = await subject.answered(reply(status, b"", *headers.items()))
    assert isinstance(result, Failed)
    told = (result.failure, result.code, result.retry_after_seconds, result.maybe_done)
    assert told == (failure, f"http_{status}", wait, maybe_done)
    assert f"POST http://127.0.0.1:{subject.other.port} answered {status}" in result.message
    assert "169.254" not in result.message
    assert len(subject.other.seen) == 1


async def test_a_connection_may_say_what_an_answer_means(subject: Subject) -> None:
    settings = {"statuses": {"done": [409], "retry": [404], "permanent": [500]}}
    done = await subject.answered(reply(409, b"twice"), settings=settings)
    assert isinstance(done, Done)
    assert (done.output["status"], done.output["body"]) == (409, "twice")
    for status, failure in ((404, Failure.RETRY), (500, Failure.PERMANENT)):
        result = await subject.answered(reply(status), settings=settings)
        assert isinstance(result, Failed)
        assert result.failure is failure


LARGE = b"[" + b"1," * 40_000 + b"1]"


@pytest.mark.parametrize(
    ("kind", "body", "output"),
    [
        ("application/json", b'{"id": 1%s}' % (b"0" * 40), {"body": {"id": 10**40}}),
        ("application/problem+json; charset=utf-8", b"[1.5]", {"body": [1.5]}),
        ("application/json", b"", {"body": None}),
        ("application/json", b"{oops", {"body": "{oops"}),
        ("application/json", b"1e400", {"body": "1e400"}),
        ("application/json", b"[NaN]", {"body": "[NaN]"}),
        ("application/json", b"9" * 5000, {"body": "9" * 5000}),
        ("application/json", b"[" * 100 + b"]" * 100, {"body": "[" * 100 + "]" * 100}),
        ("application/json", LARGE, {"body": LARGE[:65_536].decode(), "truncated": True}),
        ("text/plain", b'{"a": 1}', {"body": '{"a": 1}'}),
        ("text/plain", "ü".encode() * 40_000, {"body": "ü" * 32_768, "truncated": True}),
        ("text/plain", b"x" + "ü".encode() * 40_000, {"body": "x" + "ü" * 32_767, "truncated": True}),
        ("image/png", b"\x89PNG\xff", {"body": None, "body_b64": b64encode(b"\x89PNG\xff").decode()}),
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_the_output_is_what_was_answered(
    subject: Subject, kind: str, body: bytes, output: dict[str, Json]
) -> None:
    headers = [("Content-Type", kind), ("ETag", "1"), ("ETag", "2"), ("Set-Cookie", "canary=1")]
    result = await subject.answered(reply(201, body, *headers))
    assert result == Done({"status": 201, "headers": {"content-type": kind, "etag": "1"}, **output})


async def test_a_failure_quotes_a_short_line_and_no_secret(subject: Subject) -> None:
    basic = b64encode(b"me:pass:word")
    body = b"\x1b[31m\r\n" + b" ".join([*SECRETS.values(), basic]) + b"\0" + b"x" * 1_000_000
    result = await subject.answered(reply(400, body), settings={"auth": {"kind": "basic", "username": "me"}})
    assert isinstance(result, Failed)
    assert result.message.isprintable()
    assert len(result.message) < 300
    assert "***" in result.message
    assert not any(secret.decode() in result.message for secret in [*SECRETS.values(), basic])


async def test_what_comes_between_is_sorted_too(subject: Subject) -> None:
    async def failed(**fields: Any) -> tuple[Failure, str, bool]:
        result = await subject.run("post", {"json": 1}, **fields)
        assert isinstance(result, Failed)
        assert "/v1" not in result.message  # a path may hold a token
        return result.failure, result.code, result.maybe_done

    forbidden = await failed(allow_private=NOTHING_PRIVATE)
    assert forbidden == (Failure.INVALID, "forbidden_destination", False)
    assert await failed(settings={"base_url": "http://127.0.0.1:1/v1"}) == (Failure.RETRY, "unreachable", False)
    assert await failed(settings={"base_url": "http://me@127.0.0.1/v1"}) == (Failure.INVALID, "invalid_request", False)
    assert subject.other.seen == []
    subject.other.manner = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    assert await failed(seconds=0.2) == (Failure.RETRY, "answer_timeout", True)
    subject.other.manner = silent
    assert await failed(settings={"timeout_seconds": 0.05}) == (Failure.RETRY, "answer_timeout", True)
    subject.other.manner = answering(b"nonsense\r\n\r\n")
    assert await failed() == (Failure.RETRY, "answer_lost", True)


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, None), (204, None), (301, None), (404, None), (405, None), (401, Failure.PERMANENT),
     (403, Failure.PERMANENT), (429, Failure.THROTTLED), (500, Failure.RETRY)],
)  # fmt: skip
async def test_a_check_asks_for_the_head_alone(subject: Subject, status: int, failure: Failure | None) -> None:
    subject.other.manner = answering(reply(status))
    result = await subject.connector.check(subject.call("post", settings={"auth": {"kind": "bearer"}}))
    assert (result and result.failure) == failure
    (seen,) = subject.other.seen
    assert (seen.method, seen.target, seen.body) == ("HEAD", "/v1", b"")
    assert seen.headers["authorization"] == "Bearer a token"
    assert "idempotency-key" not in seen.headers


async def test_a_check_tells_of_a_signing_secret_that_cannot_sign(subject: Subject) -> None:
    result = await subject.connector.check(subject.call("post", secrets={"signing": b"whsec_canary!"}))
    assert isinstance(result, Failed)
    assert (result.failure, "canary" in result.message) == (Failure.INVALID, False)
