"""Who captured one delivery and sends it again under ids of his own is noticed, and nothing is refused for it."""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import configure
from tests.e2e.sender import SECRET

HUB = {"name": "hub", "provider": "github", "secrets": ["env:DEMO_SECRET"]}
BODY = b'{"action":"opened","number":1}'


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    configure(database_url, HUB)
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET) as running:
        yield running


def deliver(api: Api, delivery_id: str, body: bytes = BODY) -> tuple[int, str]:
    """As GitHub does; gives status and event."""
    signature = "sha256=" + hmac.digest(SECRET.encode(), body, sha256).hex()
    named = {"X_GitHub_Delivery": delivery_id, "X_Hub_Signature_256": signature, "X_GitHub_Event": "issues"}
    answer = api.post("/api/v1/webhooks/hub", body, Content_Type="application/json", **named)
    return answer.status_code, answer.json()["event_id"]


def test_the_same_bytes_under_another_id_are_accepted_and_marked(api: Api) -> None:
    """In the list, alone, on the command line, in the log and in the metrics; a duplicate is none."""
    status, first = deliver(api, "00000000-0000-0000-0000-000000000001")
    assert status == 202
    status, replay = deliver(api, "00000000-0000-0000-0000-000000000002")
    assert status == 202
    _, other = deliver(api, "00000000-0000-0000-0000-000000000003", b'{"action":"closed","number":1}')
    assert deliver(api, "00000000-0000-0000-0000-000000000001") == (200, first)

    def suspected() -> dict[str, str | None]:
        return {event["id"]: event["suspected_replay"] for event in api.get("/api/v1/events").json()["items"]}

    until(lambda: suspected()[replay], 10, "the mark")
    assert suspected() == {first: None, replay: first, other: None}
    assert api.get(f"/api/v1/events/{replay}").json()["suspected_replay"] == first
    (line,) = api.lines("event.suspected_replay")
    assert (line["source"], line["event_id"], line["of"]) == ("hub", replay, first)
    assert 'opsconnect_suspected_replays_total{source="hub"} 1.0' in api.get("/metrics").text
    listed = api.cli("events", "list").stdout.splitlines()
    assert [event in line for event, line in zip((other, replay, first), listed, strict=True)] == [True] * 3
    assert ["suspected replay" in line for line in listed] == [False, True, False]
    assert f"suspected_replay {first}" in api.cli("events", "show", replay).stdout
    assert not api.lines("replays.not_watched")
