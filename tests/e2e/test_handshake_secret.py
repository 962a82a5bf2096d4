"""A provider that brings its secret in the first request, from the first challenge to the first signed event."""

import hmac
import json
from pathlib import Path

from tests.conftest import Servers
from tests.e2e.api import serving, until

NOTION = {"name": "notion", "provider": "notion", "secrets": ["handshake:"]}
TOKEN = "secret_canary_41d9"
REFUSED = "secret_canary_refused"


def test_a_brought_secret_proves_the_events_that_follow_and_shows_nowhere(
    servers: Servers, database_url: str, tmp_path: Path
) -> None:
    """What comes uninvited is refused and not kept; what is expected is, and proves the first event at once."""
    key = tmp_path / "seal.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    with serving(database_url, servers.redis.url(), tmp_path, OPSCONNECT_SEAL_KEY=f"file:{key}") as api:
        api.apply({**NOTION, "name": "other", "secrets": ["env:NOBODY"]})
        uninvited = api.post("/api/v1/webhooks/other", json.dumps({"verification_token": REFUSED}))
        assert (uninvited.status_code, uninvited.json()["code"]) == (401, "registration_not_pending")
        api.apply(NOTION)  # which lets it expect its first secret
        brought = api.post("/api/v1/webhooks/notion", json.dumps({"verification_token": TOKEN}))
        assert brought.status_code == 200, brought.text
        body = b'{"id":"n-1","type":"page.created"}'
        signature = hmac.digest(TOKEN.encode(), body, "sha256").hex()

        def accepted() -> bool:
            headers = {"content_type": "application/json", "x_notion_signature": f"sha256={signature}"}
            return api.post("/api/v1/webhooks/notion", body, **headers).status_code in {200, 202}

        until(accepted, what="the first signed event")
        (event,) = api.get("/api/v1/events").json()["items"]
        assert (event["type"], event["delivery_key"], event["verification"]) == ("page.created", "n-1", "hmac-sha256")
        refusals = until(lambda: api.get("/api/v1/refusals").json()["items"], what="the refusal of the uninvited one")
        details = [api.get(f"/api/v1/refusals/{refusal['id']}").text for refusal in refusals]
        shown = "".join(details) + api.log.read_text() + api.get("/metrics").text
        assert TOKEN not in shown
        assert REFUSED not in shown
        assert all(refusal["size"] is None for refusal in refusals), "a body with a secret is not kept"
