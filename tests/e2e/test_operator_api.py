"""What operators see: events, health, metrics, documentation, commands; and who may."""

import json
import re
import time

from tests.e2e.api import ADMIN_KEY, CLIENT, Api, until
from tests.e2e.conftest import OPEN
from tests.e2e.sender import SECRET, signed


def send(api: Api, number: int, path: str = "/api/v1/webhooks/open") -> str:
    return str(api.post(path, f'{{"n":{number}}}', content_type="application/json").json()["event_id"])


def test_events_are_listed_newest_first_page_by_page(api: Api) -> None:
    ids = [send(api, number) for number in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/api/v1/events?limit=3{cursor}").json()
        seen += [event["id"] for event in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == list(reversed(ids)) == sorted(ids, reverse=True)


def test_events_are_found_by_every_filter(api: Api) -> None:
    first = send(api, 1)
    time.sleep(0.01)  # so that the two are in different milliseconds, which is what times are shown in
    second = send(api, 2, "/api/v1/webhooks/salesforce")
    shown = api.get(f"/api/v1/events/{second}").json()

    def found(query: str) -> list[str]:
        return [event["id"] for event in api.get(f"/api/v1/events?{query}").json()["items"]]

    assert found("source=open") == [first]
    assert found("state=received") == [second, first]
    assert found("state=dead") == []
    assert found("type=nothing") == []
    assert found(f"received_before={shown['received_at']}") == [first]
    assert found("received_after=2020-01-01T00:00:00Z&received_before=2020-01-02T00:00:00Z") == []
    assert found("source=%00") == []


def test_an_event_is_shown_with_headers_and_body(api: Api) -> None:
    body = b'{"a": [1, 2.50, "\xc3\xa9"]}'
    headers = {"content_type": "application/json", "x_delivery_id": "d-1", "x_signature": signed(SECRET, body)}
    answer = api.post("/api/v1/webhooks/demo", body, **headers)
    event_id = answer.json()["event_id"]
    assert answer.headers["x-event-id"] == event_id
    shown = api.get(f"/api/v1/events/{event_id}").json()
    assert shown["trace_id"] == answer.headers["x-trace-id"]
    assert ["x-delivery-id", "d-1"] in shown["headers"]
    assert shown["body"] == {"a": [1, 2.5, "é"]}
    expected = {
        "id": event_id,
        "source": "demo",
        "provider": "hmac",
        "type": None,
        "state": "received",
        "delivery_key": "d-1",
        "size": len(body),
        "content_type": "application/json",
        "verification": "hmac-sha256",
        "duplicates": 0,
        "conflicts": 0,
        "jobs": [],
    }
    assert {name: shown[name] for name in expected} == expected
    assert shown["received_at"].endswith("Z")
    raw = api.get(f"/api/v1/events/{event_id}/body")
    assert raw.content == body
    assert raw.headers["x-content-type-options"] == "nosniff"


QUESTIONS = [
    ("limit=0", 422),
    ("limit=1000000000", 422),
    ("limit=x", 422),
    ("cursor=forged", 422),
    ("cursor=%00", 422),
    ("cursor=" + "A" * 22, 200),
    ("state=unknown", 422),
    ("received_after=yesterday", 422),
    ("received_after=2026-01-01T00:00:00", 422),
    ("received_after=0001-01-01T00:00:00Z", 200),
    ("received_before=9999-12-31T23:59:59Z", 200),
]


def test_bad_questions_are_answered_clearly(api: Api) -> None:
    for query, status in QUESTIONS:
        answer = api.get(f"/api/v1/events?{query}")
        assert answer.status_code == status, (query, answer.text)
        if status == 422:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] in {"invalid_request", "invalid_cursor"}


def test_events_that_are_not_there_are_not_found(api: Api) -> None:
    for event_id in ("nothing", "01a1fd12-8dde-760c-a706-6332279a3d9e", "%00", "' OR 1=1", "x" * 999):
        for path in (f"/api/v1/events/{event_id}", f"/api/v1/events/{event_id}/body"):
            answer = api.get(path)
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"


def test_everything_but_webhooks_and_health_needs_the_key(api: Api) -> None:
    """Deny by default: every route of the schema, the documentation, the metrics, and what is not there at all."""
    schema = api.get("/openapi.json").json()
    assert {"/api/v1/webhook", "/api/v1/webhooks/{source}", "/api/v1/events", "/api/v1/health"} <= set(schema["paths"])
    closed = [re.sub(r"\{\w+\}", "x", path) for path in schema["paths"] if "health" not in path]
    closed = [path for path in closed if "webhook" not in path] + [
        "/docs",
        "/openapi.json",
        "/metrics",
        "/",
        "/nothing",
    ]
    for path in closed:
        bare = CLIENT.get(f"{api.url}{path}")
        assert bare.status_code == 401, path
        assert bare.headers["www-authenticate"] == "Bearer"
        assert bare.json()["code"] == "unauthorized"
        for value in ("Bearer wrong", "Bearer", f"Basic {ADMIN_KEY}", f"Bearer {ADMIN_KEY}x"):
            assert CLIENT.get(f"{api.url}{path}", headers={"Authorization": value}).status_code == 401
    for path in ("/docs", "/metrics", "/api/v1/events"):
        assert api.get(path).status_code == 200
    for path in ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"):
        assert CLIENT.get(f"{api.url}{path}").status_code == 200


def test_health_shows_the_latencies_and_the_version(api: Api) -> None:
    health = api.get("/api/v1/health").json()
    assert health["status"] == "healthy"
    assert health["db_latency_ms"] > 0
    assert health["redis_latency_ms"] > 0
    assert health["version"]


COUNTED = (("accepted", "open"), ("duplicate", "open"), ("unknown_source", "unknown"))


def test_metrics_count_what_happened(api: Api) -> None:
    def figures() -> list[float]:
        page = api.get("/metrics").text
        named = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return [
            float(named.get(f'opsconnect_requests_total{{outcome="{outcome}",source="{source}"}}', 0))
            for outcome, source in COUNTED
        ]

    before = figures()
    send(api, 1)
    send(api, 1)
    api.post("/api/v1/webhooks/nobody")
    until(lambda: figures() == [figure + 1 for figure in before])
    page = api.get("/metrics").text
    assert 'opsconnect_pool_connections{pool="intake",state="idle"}' in page
    assert "opsconnect_flush_rows_bucket" in page
    assert 'opsconnect_locks_total{outcome="held"}' in page
    assert "opsconnect_build_info" in page


def test_every_request_leaves_one_line(api: Api) -> None:
    """One canonical line a webhook, with the fields that an operator looks for."""
    event_id = send(api, 5)
    (line,) = until(lambda: [line for line in api.lines("webhook.answered") if line["event_id"] == event_id])
    fields = {"source", "outcome", "status", "bytes", "verify_ms", "lock_ms", "append_ms", "total_ms", "trace_id"}
    assert fields <= set(line)
    assert (line["source"], line["outcome"], line["status"], line["bytes"]) == ("open", "accepted", 202, 7)


def test_a_new_source_works_at_once_and_a_changed_one_within_seconds(api: Api) -> None:
    """Applied by another process, without a restart."""
    assert api.post("/api/v1/webhooks/fresh").status_code == 404
    api.apply({"name": "fresh", "provider": "test", "verify": "none"})
    assert api.post("/api/v1/webhooks/fresh").status_code == 202
    signed_only = {"verify": {"header": "X-Signature"}, "secrets": ["env:DEMO_SECRET"]}
    api.apply({"name": "fresh", "provider": "test", **signed_only})
    until(lambda: api.post("/api/v1/webhooks/fresh").status_code == 401, 5)


def test_applying_again_changes_nothing(api: Api) -> None:
    document = api.log.parent / "again.json"
    document.write_text(json.dumps({"sources": [OPEN]}))
    done = api.cli("apply", "-f", str(document), "--json")
    assert done.returncode == 0
    assert [source["change"] for source in json.loads(done.stdout)["sources"]] == ["unchanged"]


def test_events_are_listed_and_shown_by_commands(api: Api) -> None:
    event_id = send(api, 7)
    listed = api.cli("events", "list")
    assert listed.returncode == 0
    assert event_id in listed.stdout
    assert [event["id"] for event in json.loads(api.cli("events", "list", "--json").stdout)] == [event_id]
    shown = api.cli("events", "show", event_id)
    assert shown.returncode == 0
    assert '"n": 7' in shown.stdout
    assert json.loads(api.cli("events", "show", event_id, "--json").stdout)["body"] == {"n": 7}
    missing = api.cli("events", "show", "nothing")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
