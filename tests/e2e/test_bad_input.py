"""Hostile, broken and absurd requests at the real door: a clear answer, never a 500, and nothing lost."""

import asyncio
import gzip
import json

import pytest

from tests.e2e.api import CLIENT, Api, until
from tests.e2e.conftest import BOTH_WAYS, rows
from tests.e2e.sender import SECRET, signed

pytestmark = BOTH_WAYS

LEAD = {"lead_id": "L1", "email": "ada@example.com", "first_name": "A", "last_name": "L", "source": "web"}

ABSURD = {
    "empty": b"",
    "not an object": b"7",
    "bad UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "100,000 brackets": b"[" * 100_000,
    "a 5,000-digit integer": b'{"id":' + b"9" * 5_000 + b"}",
    "NaN": b'{"id":NaN}',
    "duplicate keys": b'{"id":1,"id":2}',
    "a lone surrogate": b'{"id":"\\ud800"}',
    "NUL in a string": b'{"id":"a\\u0000b"}',
    "NUL bytes": b"\0" * 100,
    "a large string": b'{"id":"' + b"x" * 900_000 + b'"}',
    "a gzip bomb": gzip.compress(b"0" * 50_000_000),
}


@pytest.fixture
def parsing(api: Api) -> Api:
    """A source that takes the delivery's id and type from the body."""
    api.apply(
        {
            "name": "parsing",
            "provider": "hmac",
            "verify": {"header": "X-Signature", "prefix": "sha256="},
            "secrets": ["env:DEMO_SECRET"],
            "delivery_key": "body:id",
            "type": "body:event.type",
        }
    )
    return api


def test_absurd_bodies_are_kept_as_they_are_when_they_are_signed(parsing: Api) -> None:
    """202 for each; the unreadable ones wait in quarantine with a reason. Unsigned, each is 401."""
    for name, body in ABSURD.items():
        refused = parsing.post("/api/v1/webhooks/parsing", body, content_type="application/json")
        assert refused.status_code == 401, name
        assert refused.json()["code"] == "signature_missing"
        kept = parsing.post(
            "/api/v1/webhooks/parsing", body, content_type="application/json", x_signature=signed(SECRET, body)
        )
        assert kept.status_code == 202, (name, kept.text)
        event_id = kept.json()["event_id"]
        assert parsing.get(f"/api/v1/events/{event_id}/body").content == body, name
        assert parsing.get(f"/api/v1/events/{event_id}").status_code == 200, name
    listed = {event["size"]: event for event in parsing.get("/api/v1/events?limit=50").json()["items"]}
    assert len(listed) == len({len(body) for body in ABSURD.values()})
    unreadable = ("bad UTF-8", "UTF-16", "100,000 brackets", "a 5,000-digit integer", "NaN", "NUL bytes", "a gzip bomb")
    for name, body in ABSURD.items():
        event = listed[len(body)]
        assert (event["state"] == "quarantined") is (name in unreadable), (name, event)
        assert bool(event["reason"]) is (name in unreadable), (name, event)


def test_ids_of_any_kind_identify(parsing: Api) -> None:
    """A header that is 20 KB long is refused by the framing or kept; none of them makes an error of ours."""
    for raw_id in ("../../etc/passwd", "x" * 20_000, "é", "0", "in the middle", "%00", "'; DROP TABLE events; --"):
        body = raw_id.encode()
        answers = [
            parsing.post(
                "/api/v1/webhooks/demo", body, x_delivery_id=raw_id.encode(), x_signature=signed(SECRET, body)
            ).status_code
            for _ in range(2)
        ]
        assert answers == [202, 200], raw_id
    empty = parsing.post("/api/v1/webhooks/demo", b"e", x_delivery_id="", x_signature=signed(SECRET, b"e"))
    assert empty.status_code == 202
    assert parsing.get(f"/api/v1/events/{empty.json()['event_id']}").json()["delivery_key"].startswith("sha256:")


def test_the_body_s_own_id_and_type_are_read_where_the_source_says_so(parsing: Api) -> None:
    def send(body: str) -> dict[str, object]:
        content = body.encode()
        answer = parsing.post(
            "/api/v1/webhooks/parsing", content, content_type="application/json", x_signature=signed(SECRET, content)
        )
        return {"code": answer.status_code, **answer.json()}

    first = send('{"id": 12345678901234567890123, "event": {"type": "paid"}}')
    again = send('{"id":12345678901234567890123,"event":{"type":"paid"},"attempt":2}')
    other = send('{"id":12345678901234567890124,"event":{"type":"paid"}}')
    assert (first["code"], again["code"], other["code"]) == (202, 200, 202)
    assert again["event_id"] == first["event_id"]
    shown = parsing.get(f"/api/v1/events/{first['event_id']}").json()
    assert (shown["delivery_key"], shown["type"]) == ("12345678901234567890123", "paid")
    assert (shown["duplicates"], shown["conflicts"]) == (1, 1)
    assert parsing.get(f"/api/v1/events/{first['event_id']}").text.count("12345678901234567890123") >= 2


def test_a_lead_that_is_none_is_refused_with_its_fields(api: Api) -> None:
    """The one place where content is judged; the same bytes at the source's own address are kept."""
    for body in (b"", b"{", b"[1]", json.dumps({**LEAD, "email": "nobody"}).encode(), b"[" * 100_000):
        answer = api.post("/api/v1/webhook", body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == "invalid_lead"
        assert problem["errors"]
        assert api.post("/api/v1/webhooks/salesforce", body).status_code == 202


def test_the_same_lead_is_a_duplicate_and_a_changed_one_a_new_event(api: Api) -> None:
    body = json.dumps(LEAD).encode()
    first, again = api.post("/api/v1/webhook", body), api.post("/api/v1/webhook", body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == {"status": "duplicate", "event_id": first.json()["event_id"], "source": "salesforce"}
    changed = api.post("/api/v1/webhook", json.dumps({**LEAD, "first_name": "Grace"}).encode())
    assert changed.status_code == 202
    with_id = [api.post("/api/v1/webhook", body, x_delivery_id="7") for _ in range(2)]
    assert [answer.status_code for answer in with_id] == [202, 200]


def test_a_body_beyond_the_limit_is_refused_while_it_streams(api: Api) -> None:
    """413 before the end has come, with a declared length, with none, and with a limit of the source's own."""
    assert api.post("/api/v1/webhooks/open", b"x" * 1_000_000).status_code == 202
    declared = api.post("/api/v1/webhooks/open", b"x" * 1_000_001)
    assert declared.status_code == 413
    assert declared.json()["limit_bytes"] == 1_000_000
    status, sent = asyncio.run(send_chunks(api.port, "/api/v1/webhooks/open", chunks=10_000))
    assert status == 413
    assert sent < 8_000_000, "the whole body was taken before the answer came"
    api.apply({"name": "small", "provider": "test", "verify": "none", "body_limit": 10})
    assert api.post("/api/v1/webhooks/small", b"x" * 10).status_code == 202
    assert api.post("/api/v1/webhooks/small", b"x" * 11).status_code == 413
    # Later requests are answered as before.
    assert api.post("/api/v1/webhooks/open", b"ok").status_code == 202


async def send_chunks(port: int, path: str, *, chunks: int) -> tuple[int, int]:
    """Send a chunked body without end until an answer comes; give its status and how much was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    answer = asyncio.create_task(reader.readline())
    sent = 0
    for _ in range(chunks):
        if answer.done():
            break
        writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        sent += 10_000
        try:
            await asyncio.wait_for(writer.drain(), 5)
        except OSError:
            break
        await asyncio.sleep(0)
    line = await answer
    writer.close()
    return int(line.split()[1]), sent


def test_other_methods_are_not_allowed(api: Api) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        answer = CLIENT.request(method, f"{api.url}/api/v1/webhooks/open")
        assert answer.status_code == 405, method
        assert answer.headers["allow"] == "POST"


def test_unknown_sources_are_not_found_whatever_they_are_called(api: Api) -> None:
    for name in ("nobody", "", "a/b", "%00", "..%2f..", "DEMO", "x" * 500, "é"):
        answer = api.post(f"/api/v1/webhooks/{name}")
        assert answer.status_code == 404, name
        assert answer.json()["code"] == "unknown_source"


def test_wrong_signatures_are_refused_and_the_operator_can_see_why(api: Api) -> None:
    """The sender gets a code, the log the detail; neither the secret nor the body stands in it."""
    body = b'{"email":"canary@example.com"}'
    for value, code in (
        (None, "missing"),
        ("", "missing"),
        ("sha256=00", "mismatch"),
        ("v1,x", "malformed"),
    ):
        headers = {} if value is None else {"x_signature": value}
        answer = api.post("/api/v1/webhooks/demo", body, **headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == f"signature_{code}"
    lines = until(lambda: (found := api.lines("webhook.answered")) and len(found) >= 4 and found)
    assert {line["status"] for line in lines[-4:]} == {401}
    assert all("x-signature" in line["detail"] for line in lines[-4:])
    log = api.log.read_text()
    assert "canary" not in log
    assert SECRET not in log


async def test_credentials_in_headers_are_not_kept(api: Api) -> None:
    headers = {"authorization": "Bearer CANARY", "cookie": "a=CANARY", "x_api_key": "CANARY", "x_custom": "kept"}
    event_id = api.post("/api/v1/webhooks/open", b"credentials", **headers).json()["event_id"]
    (row,) = await rows(api.database_url, "SELECT headers::text FROM events WHERE id = $1", event_id)
    assert "CANARY" not in row["headers"]
    assert "kept" in row["headers"]


def test_a_source_whose_secret_is_not_there_takes_nothing_in(api: Api) -> None:
    """503, so that the sender comes back when somebody has put the secret there; the log names the reference."""
    api.apply(
        {"name": "bare", "provider": "hmac", "verify": {"header": "X-Signature"}, "secrets": ["env:NOT_SET_ANYWHERE"]}
    )
    answer = api.post("/api/v1/webhooks/bare", b"{}", x_signature="00")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    until(lambda: any("NOT_SET_ANYWHERE" in line.get("detail", "") for line in api.lines("webhook.answered")))
