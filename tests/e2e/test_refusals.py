"""What operators do about refused requests, through the real process and on a real Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.refusal_store import PostgresRefusalStore
from app.core.domain.refusal import NewRefusal, new_refusal
from app.core.ports.refusal_store import RefusalQuery
from app.core.use_cases.release_refusal import Released
from app.infra.container import Container, build
from app.settings import load
from tests.conftest import PATIENT
from tests.e2e.api import ADMIN_KEY, Api, until
from tests.e2e.conftest import DEMO, configure
from tests.e2e.sender import SECRET, signed
from tests.operators import ADA
from tests.refusals import T0, a_refusal

BODY = b'{"n": 1.50}'
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def keep(api: Api, *refusals: NewRefusal) -> None:
    """Keep refusals as a serving process does."""

    async def write() -> None:
        connections = Connections(api.database_url, budget=PATIENT, largest=1)
        engine = make_engine(api.database_url, budget=PATIENT, largest=1)
        try:
            await PostgresRefusalStore(connections, engine).keep(refusals)
        finally:
            await connections.close()
            await engine.dispose()

    asyncio.run(write())


def genuine(delivery: str = "d-1", secret: str = SECRET, **fields: Any) -> NewRefusal:
    """A request to `demo` that was refused while the source had another secret; `new_refusal` as the door calls it."""
    values: dict[str, Any] = {
        "received_ns": T0,
        "source": "demo",
        "provider": "hmac",
        "code": "signature_mismatch",
        "detail": "x-signature fits none of the 1 secrets over the raw body",
        "method": "POST",
        "target": b"/api/v1/webhooks/demo?access_token=canary&v=1",
        "client": "192.0.2.7",
        "traceparent": TRACE,
        "headers": [
            (b"content-type", b"application/json"),
            (b"x-delivery-id", delivery.encode()),
            (b"x-signature", signed(secret, BODY).encode()),
            (b"x-shown-token", b"canary"),
            (b"cookie", b"canary"),
        ],
        "body": BODY,
        "needed": {"x-shown-token"},
    }
    return new_refusal(**{**values, **fields})


def release(api: Api, refusal_id: str) -> tuple[int, dict[str, Any]]:
    answer = api.post(f"/api/v1/refusals/{refusal_id}/release", b"", authorization=f"Bearer {ADMIN_KEY}")
    return answer.status_code, answer.json()


def test_refusals_are_listed_newest_first_page_by_page_and_by_every_filter(api: Api) -> None:
    refusals = [a_refusal(number, source="demo" if number % 2 else "") for number in range(7)]
    keep(api, *refusals)
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/api/v1/refusals?limit=3{cursor}").json()
        seen += [refusal["id"] for refusal in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [refusal.id for refusal in reversed(refusals)]

    def found(query: str) -> list[str]:
        return [refusal["id"] for refusal in api.get(f"/api/v1/refusals?{query}").json()["items"]]

    assert found("source=demo") == [refusals[number].id for number in (5, 3, 1)]
    assert found("code=signature_mismatch&state=refused") == seen
    assert found("code=signature_missing") == found("state=released") == found("source=%00") == []
    moment = api.get(f"/api/v1/refusals/{refusals[3].id}").json()["received_at"]
    assert found(f"received_before={moment}") == [refusals[number].id for number in (2, 1, 0)]
    for query in ("limit=0", "limit=201", "cursor=forged", "state=unknown", "received_after=yesterday"):
        answer = api.get(f"/api/v1/refusals?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["code"] in {"invalid_request", "invalid_cursor"}


def test_a_refusal_is_shown_with_its_request_and_without_its_credentials(api: Api) -> None:
    refusal = genuine()
    keep(api, refusal)
    shown = api.get(f"/api/v1/refusals/{refusal.id}")
    assert "canary" not in shown.text
    content = shown.json()
    assert content["headers"] == [
        ["content-type", "application/json"],
        ["x-delivery-id", "d-1"],
        ["x-signature", signed(SECRET, BODY)],
        ["x-shown-token", "********"],
    ]
    expected = {
        "id": refusal.id,
        "source": "demo",
        "provider": "hmac",
        "code": "signature_mismatch",
        "detail": refusal.detail,
        "state": "refused",
        "event_id": None,
        "method": "POST",
        "url": "/api/v1/webhooks/demo?access_token=********&v=1",
        "client": "192.0.2.7",
        "size": len(BODY),
        "trace_id": TRACE.split("-")[1],
        "body": {"n": 1.5},
    }
    assert {name: content[name] for name in expected} == expected
    raw = api.get(f"/api/v1/refusals/{refusal.id}/body")
    assert raw.content == BODY
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["x-content-type-options"] == "nosniff"


def test_a_genuine_one_is_released_into_one_event_whoever_else_sends_it(api: Api) -> None:
    refusal, repeated = genuine(), genuine()
    keep(api, refusal, repeated)
    status, content = release(api, refusal.id)
    assert (status, content["state"], content["duplicate"]) == (200, "released", False)
    event = api.get(f"/api/v1/events/{content['event_id']}").json()
    assert (event["delivery_key"], event["verification"]) == ("d-1", "hmac-sha256")
    assert (event["trace_id"], event["body"]) == (TRACE.split("-")[1], {"n": 1.5})
    assert api.get(f"/api/v1/events/{content['event_id']}/body").content == BODY
    assert release(api, refusal.id) == (200, {**content, "duplicate": True})
    assert release(api, repeated.id) == (200, {**content, "id": repeated.id, "duplicate": True})
    again = api.post("/api/v1/webhooks/demo", BODY, x_delivery_id="d-1", x_signature=signed(SECRET, BODY))
    assert (again.status_code, again.json()["event_id"]) == (200, content["event_id"])
    assert len(api.get("/api/v1/events").json()["items"]) == 1
    shown = api.get(f"/api/v1/refusals/{refusal.id}").json()
    assert (shown["state"], shown["event_id"]) == ("released", content["event_id"])


def test_what_cannot_be_released_says_why_and_changes_nothing(api: Api) -> None:
    forged, unread = genuine(secret="wrong"), genuine(body=None, code="body_too_large")
    keep(api, forged, unread)
    status, content = release(api, forged.id)
    assert (status, content["code"], content["reason"]) == (409, "still_refused", "signature_mismatch")
    assert "x-signature" in content["detail"]
    status, content = release(api, unread.id)
    assert (status, content["reason"]) == (409, "body_not_kept")
    assert api.get(f"/api/v1/refusals/{unread.id}/body").json()["code"] == "body_not_kept"
    assert api.get("/api/v1/events").json()["items"] == []
    assert {refusal["state"] for refusal in api.get("/api/v1/refusals").json()["items"]} == {"refused"}


def test_a_secret_that_is_away_is_named_to_the_operator(api: Api) -> None:
    api.apply({**DEMO, "name": "elsewhere", "secrets": ["env:SOMEWHERE_ELSE"]})
    refusal = genuine(source="elsewhere")
    keep(api, refusal)
    status, content = release(api, refusal.id)
    assert status == 503
    assert "env:SOMEWHERE_ELSE" in content["detail"]


@pytest.mark.parametrize(
    "refusal_id", ["nothing", "01a1fd12-8dde-760c-a706-6332279a3d9e", "%00", "' OR 1=1", "x" * 999]
)
def test_refusals_that_are_not_there_are_not_found(api: Api, refusal_id: str) -> None:
    for path in (f"/api/v1/refusals/{refusal_id}", f"/api/v1/refusals/{refusal_id}/body"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_refusal")
    assert release(api, refusal_id)[0] == 404


def test_refusals_are_listed_shown_and_released_by_commands(api: Api) -> None:
    refusal, forged = genuine(), genuine(secret="wrong", detail="\x1b[31mred")
    assert api.cli("refusals", "list").stdout == "No refusals.\n"
    keep(api, refusal, forged)
    listed = api.cli("refusals", "list")
    assert listed.returncode == 0
    assert refusal.id in listed.stdout
    assert "\x1b" not in listed.stdout
    assert api.cli("refusals", "list", "--source", "other").stdout == "No refusals match.\n"
    assert len(json.loads(api.cli("refusals", "list", "--json", "--limit", "1").stdout)) == 1
    shown = api.cli("refusals", "show", refusal.id)
    assert shown.returncode == 0
    assert '"n": 1.5' in shown.stdout
    assert "canary" not in shown.stdout
    assert json.loads(api.cli("refusals", "show", refusal.id, "--json").stdout)["id"] == refusal.id
    refused = api.cli("refusals", "release", forged.id)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "still refused (signature_mismatch)" in refused.stderr
    done = api.cli("refusals", "release", refusal.id)
    assert done.returncode == 0
    (event,) = api.get("/api/v1/events").json()["items"]
    assert done.stdout == f"Released as event {event['id']}.\n"
    again = json.loads(api.cli("refusals", "release", refusal.id, "--json").stdout)
    assert again == {"id": refusal.id, "state": "released", "event_id": event["id"], "duplicate": True}
    for command in ("show", "release"):
        missing = api.cli("refusals", command, "nothing")
        assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


@pytest.fixture
async def container(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Container]:
    """Everything that a serving process is built of, with small bounds."""
    monkeypatch.setenv("DEMO_SECRET", SECRET)
    await asyncio.to_thread(configure, database_url, DEMO)
    bounds = {"refusals_count": 20, "refusals_per_second": 10}
    async with build(load(database_url=database_url, postgres_append_seconds=10, **bounds)) as built:
        yield built


async def noted(container: Container, refusals: Sequence[NewRefusal]) -> None:
    """What the door does, and then the duty."""
    for refusal in refusals:
        container.refusal_book.note(refusal)
    await container.refusal_book.write()


async def test_a_flood_is_kept_within_bounds_and_what_is_genuine_in_another_source_survives_it(
    container: Container,
) -> None:
    """Noted, written, trimmed, found and released, all by the parts that serve."""
    refusal = genuine()
    await noted(container, [refusal])
    await noted(container, [genuine(f"f-{number}", "wrong", source="flooded") for number in range(5_000)])
    book, application = container.refusal_book, container.application
    assert book.dropped == {"rate": 4_950, "volume": 0, "queue": 0, "failed": 0}
    assert len((await application.browse_refusals.find(RefusalQuery(limit=100))).refusals) == 51
    assert await book.trim() == 31
    page = await application.browse_refusals.find(RefusalQuery(limit=100))
    assert len(page.refusals) == 20
    assert refusal.id in {kept.id for kept in page.refusals}
    released = await application.release_refusal(refusal.id, ADA)
    assert isinstance(released, Released)
    assert await application.browse_events.body(released.event_id) == BODY


def test_a_forged_request_is_listed_and_released_once_the_secret_is_right(api: Api) -> None:
    """The whole story: refused, looked at, the secret corrected, released; and too large or unknown are listed too."""
    headers = {"x_signature": signed("another secret", BODY), "x_delivery_id": "forged"}
    assert api.post("/api/v1/webhooks/demo?v=1", BODY, **headers).status_code == 401
    assert api.post("/api/v1/webhooks/open", b"x" * 1_000_001).status_code == 413
    assert api.post("/api/v1/webhooks/nobody", BODY).status_code == 404

    def listed() -> dict[str, dict[str, Any]] | None:
        items = {item["code"]: item for item in api.get("/api/v1/refusals").json()["items"]}
        return items if len(items) == 3 else None

    refusals = until(listed, what="three refusals")
    assert (refusals["body_too_large"]["source"], refusals["body_too_large"]["size"]) == ("open", None)
    assert refusals["unknown_source"]["source"] is None
    forged = api.get(f"/api/v1/refusals/{refusals['signature_mismatch']['id']}").json()
    assert forged["url"] == "/api/v1/webhooks/demo?v=1"
    status, content = release(api, forged["id"])
    assert (status, content["reason"]) == (409, "signature_mismatch")

    secret = api.log.parent / "secret"
    secret.write_text("another secret")
    secret.chmod(0o600)
    configure(api.database_url, {**DEMO, "secrets": [f"file:{secret}"]})
    released = until(
        lambda: (answer := release(api, forged["id"]))[0] == 200 and answer[1], what="the corrected secret"
    )
    assert api.get(f"/api/v1/events/{released['event_id']}/body").content == BODY
    assert api.get(f"/api/v1/refusals/{forged['id']}").json()["state"] == "released"
    assert len(api.get("/api/v1/refusals").json()["items"]) == 3, "a release that fails is no refusal of its own"
