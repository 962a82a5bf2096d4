"""Other people's payloads, from a folder: in, and out byte for byte, with type and delivery key right.

GITHUB_PAYLOADS names the folder. Every `*.json` below it is sent as GitHub sends it; the folder that a file lies in and
`action` in the file name its type, as in the examples that GitHub publishes: `issues/opened.payload.json`.
"""

import hmac
import json
import os
import uuid
from pathlib import Path

import httpx
import pytest

from tests.e2e.api import ADMIN_KEY, Api
from tests.e2e.conftest import configure
from tests.e2e.sender import SECRET

FOLDER = os.environ.get("GITHUB_PAYLOADS", "")


@pytest.mark.skipif(not FOLDER, reason="GITHUB_PAYLOADS names no folder of other people's payloads")
def test_every_payload_comes_out_as_it_went_in(api: Api) -> None:
    files = sorted(Path(FOLDER).rglob("*.json"))
    assert files, f"{FOLDER} holds no *.json"
    configure(api.database_url, {"name": "payloads", "provider": "github", "secrets": ["env:DEMO_SECRET"]})
    operator = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=api.url, timeout=10) as client:
        for file in files:
            body, delivery = file.read_bytes(), str(uuid.uuid4())
            headers = {
                "Content-Type": "application/json",
                "X-GitHub-Event": file.parent.name,
                "X-GitHub-Delivery": delivery,
                "X-Hub-Signature-256": f"sha256={hmac.digest(SECRET.encode(), body, 'sha256').hex()}",
            }
            answer = client.post("/api/v1/webhooks/payloads", content=body, headers=headers)
            if file.parent.name == "ping":  # a question, which is answered and brings no event
                assert answer.status_code == 200
                continue
            assert answer.status_code == 202, (file, answer.text)
            kept = f"/api/v1/events/{answer.json()['event_id']}"
            assert client.get(f"{kept}/body", headers=operator).content == body, file
            event, content = client.get(kept, headers=operator).json(), json.loads(body)
            kind = ".".join(filter(None, (file.parent.name, content.get("action"))))
            assert (event["type"], event["delivery_key"]) == (kind, delivery)
            assert event["body"] == content, file
