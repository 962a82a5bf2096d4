"""What an operator is told when acting meets a store that fails: never a 500, always whether to try again."""

import httpx
import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.web.guard import ScopeGuard
from app.core.domain.audit import AuditEntry, NewAuditEntry
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from tests.applications import InMemory
from tests.refusals import a_refusal


async def asked(house: InMemory, method: str, path: str, **more: object) -> httpx.Response:
    """Ask as the one who needs no key."""
    api = house.api
    transport = httpx.ASGITransport(ScopeGuard(api, api.routes, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (OutcomeUnknown("Postgres: canary"), "outcome_unknown", "may or may not have been kept"),
        (RowBlocked("Postgres: canary"), "unavailable", "Try again"),
        (RowRejected("Postgres: canary"), "unavailable", "Try again"),
        (Unavailable("source demo cannot verify: env:A is not set"), "unavailable", "env:A is not set"),
    ],
)
async def test_a_release_that_fails_says_whether_to_try_again(error: Exception, code: str, detail: str) -> None:
    async def failing(_: WebhookRequest) -> Receipt:
        raise error

    house, refusal = InMemory(failing), a_refusal()
    await house.refusals.keep([refusal])
    answer = await asked(house, "POST", f"/api/v1/refusals/{refusal.id}/release")
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert detail in answer.json()["detail"]
    assert "canary" not in answer.text
    assert answer.headers["retry-after"]


class Away(MemoryAuditLog):
    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        raise Unavailable(f"nobody writes {entry.action} down")


async def test_what_cannot_be_written_down_is_not_done() -> None:
    """503, and neither a release nor a key nor a revocation."""

    async def taken_in(_: WebhookRequest) -> Receipt:
        raise AssertionError("it was released")

    house, refusal = InMemory(taken_in), a_refusal()
    await house.refusals.keep([refusal])
    created = await asked(house, "POST", "/api/v1/keys", json={"name": "old", "scope": "read"})
    assert created.status_code == 201
    house.audit = Away()
    for method, path, more in (
        ("POST", f"/api/v1/refusals/{refusal.id}/release", {}),
        ("POST", "/api/v1/keys", {"json": {"name": "new", "scope": "read"}}),
        ("DELETE", f"/api/v1/keys/{created.json()['id']}", {}),
    ):
        answer = await asked(house, method, path, **more)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
    (key,) = (await asked(house, "GET", "/api/v1/keys")).json()["items"]
    assert (key["name"], key["state"]) == ("old", "valid")
